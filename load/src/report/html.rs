//! A report as one HTML file: figures, tables and plots, without a script and without anything to fetch.
//!
//! What it shows, and in which order, follows the reports of ETSI TS 186 008: the mix, the load over time, what was
//! handled inadequately, and the highest load that was held.

use super::markup::{Escaped, table};
use super::{Report, Summary, chart};
use crate::search::Try;
use std::fmt;

/// A report as HTML.
#[derive(Debug)]
pub struct Page<'a>(pub &'a Report);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let title = format!("{} at {}/s", report.scenario, report.wanted());
        writeln!(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(f, "<meta name=\"viewport\" content=\"width=device-width\">")?;
        writeln!(f, "<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>", Escaped(&title))?;
        writeln!(f, "<h1>{}</h1>", Escaped(&title))?;
        let about = format!(
            "{:.0} s, {} UEs, P-CSCF {} over {}, home network {}",
            report.duration_s,
            report.ues,
            report.pcscf,
            report.transport.to_uppercase(),
            report.domain
        );
        writeln!(f, "<p class=\"about\">{}</p>", Escaped(&about))?;
        if report.generator_limited {
            writeln!(
                f,
                "<p class=\"warning\">The generator was the limit: what it loaded may do more, or answer sooner, \
                 than this says.</p>"
            )?;
        }
        self.verdict(f)?;
        self.figures(f)?;
        self.highest(f)?;
        self.mix(f)?;
        write!(f, "{}{}", chart::rates(report), chart::latencies(report))?;
        if report.latency_us.count > 0 {
            write!(f, "{}", chart::percentiles(report))?;
        }
        self.parts(f)?;
        f.write_str("<div class=\"beside\">\n")?;
        self.failures(f)?;
        self.again(f)?;
        self.generator(f)?;
        f.write_str("</div>\n</body>\n</html>\n")
    }
}

impl Page<'_> {
    /// Whether the rate was held, in one sentence.
    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        if report.attempted == 0 {
            return writeln!(f, "<p class=\"verdict not\">Nothing was begun.</p>");
        }
        let (class, verdict) = match Try::of(report, report.rate).is_held {
            true => ("held", "The rate was held"),
            false => ("not", "The rate was not held"),
        };
        let mut why = format!(
            "{} failed or came late, {} was sent again",
            percent(report.inadequate_share),
            percent(report.share(report.retransmissions))
        );
        if report.dropped > 0 {
            why.push_str(&format!(", and for {} arrivals no UE was free", report.dropped));
        }
        writeln!(f, "<p class=\"verdict {class}\"><b>{verdict}:</b> {}.</p>", Escaped(&why))
    }

    /// What is to be seen first.
    fn figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let latency = &report.latency_us;
        f.write_str("<dl>\n")?;
        for (name, figure) in [
            ("begun", report.attempted.to_string()),
            ("succeeded", format!("{} ({:.1}/s)", report.succeeded, report.achieved_rate)),
            ("inadequately handled", percent(report.inadequate_share)),
            ("sent again", percent(report.share(report.retransmissions))),
            ("latency p50", format!("{} ms", ms(latency.p50))),
            ("latency p99", format!("{} ms", ms(latency.p99))),
        ] {
            writeln!(f, "<div><dt>{}</dt><dd>{}</dd></div>", Escaped(name), Escaped(&figure))?;
        }
        f.write_str("</dl>\n")
    }

    /// The rates that a search tried.
    fn highest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = &self.0.tries;
        let held = tries.iter().filter(|tried| tried.is_held).map(|tried| tried.rate).reduce(f64::max);
        let Some(held) = held else { return Ok(()) };
        writeln!(f, "<h2>Highest rate held: {held:.1}/s</h2>")?;
        let rows = tries.iter().map(|tried| {
            vec![
                format!("{:.1}", tried.rate),
                if tried.is_held { "yes" } else { "no" }.to_owned(),
                percent(tried.inadequate_share),
                percent(tried.retransmitted_share),
                if tried.generator_limited { "yes" } else { "no" }.to_owned(),
            ]
        });
        let head = ["rate/s", "held", "inadequately handled", "sent again", "generator was the limit"];
        table(f, &head, &rows.collect::<Vec<_>>())
    }

    fn mix(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.0.scenarios.iter().map(|(name, scenario)| {
            let inadequate = (scenario.failed + scenario.late) as f64 / scenario.attempted.max(1) as f64;
            vec![
                (*name).to_owned(),
                format!("{:.1} %", 100.0 * scenario.share),
                scenario.attempted.to_string(),
                scenario.succeeded.to_string(),
                scenario.failed.to_string(),
                scenario.late.to_string(),
                percent(inadequate),
            ]
        });
        writeln!(f, "<h2>Scenario mix</h2>")?;
        let head = ["scenario", "share", "begun", "succeeded", "failed", "late", "inadequately handled"];
        table(f, &head, &rows.collect::<Vec<_>>())?;
        writeln!(f, "<p>Inadequately handled: failed, or succeeded but late.</p>")?;
        if self.0.dropped > 0 {
            writeln!(
                f,
                "<p>For {} arrivals no UE was free; they are not among the begun.</p>",
                self.0.dropped
            )?;
        }
        Ok(())
    }

    /// Latencies in figures: of all, of each scenario, and of the requests they are made of.
    fn parts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let mut rows = vec![latencies("arrival to success", &report.latency_us)];
        if report.scenarios.len() > 1 {
            rows.extend(report.scenarios.iter().map(|(name, of)| latencies(name, &of.latency_us)));
        }
        rows.extend(report.parts.iter().map(|(name, summary)| latencies(name, summary)));
        writeln!(f, "<h2>Latency in milliseconds</h2>")?;
        table(f, &["", "p50", "p90", "p99", "p99.9", "longest"], &rows)
    }

    fn failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "<section><h2>Failures</h2>")?;
        if report.failed.is_empty() {
            return writeln!(f, "<p>None.</p></section>");
        }
        let mut causes: Vec<_> = report.failed.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let rows = causes.into_iter();
        let rows =
            rows.map(|(cause, count)| vec![cause.clone(), count.to_string(), percent(report.share(*count))]);
        table(f, &["reason", "count", "of what was begun"], &rows.collect::<Vec<_>>())?;
        writeln!(f, "</section>")
    }

    fn again(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "<section><h2>Retransmissions</h2>")?;
        let row =
            |name: &str, count: u64| vec![name.to_owned(), count.to_string(), percent(report.share(count))];
        let rows = [
            row("sent by the UEs", report.retransmissions_sent),
            row("received by the UEs", report.retransmissions_received),
        ];
        table(f, &["", "count", "of what was begun"], &rows)?;
        writeln!(f, "</section>")
    }

    fn generator(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let limit = if report.generator_limited { "yes" } else { "no" };
        let row = |name: &str, figure: String| vec![name.to_owned(), figure];
        let mut rows = vec![
            row("CPU", format!("{:.2} s", report.own_cpu_s)),
            row("share of a core", format!("{:.0} %", 100.0 * report.own_cpu_share)),
            row("begun late by, p99", format!("{} ms", ms(report.send_lag_us.p99))),
            row("datagrams without room", report.own_socket_overflows.to_string()),
            row("messages not sent", report.own_send_errors.to_string()),
            row("was the limit", limit.to_owned()),
        ];
        if report.connections + report.connections_lost > 0 {
            rows.push(row("connections open at the end", report.connections.to_string()));
            rows.push(row("connections lost", report.connections_lost.to_string()));
        }
        if report.ues_lost > 0 {
            rows.push(row("UEs that could not register", report.ues_lost.to_string()));
        }
        writeln!(f, "<section><h2>The generator itself</h2>")?;
        table(f, &[], &rows)?;
        writeln!(f, "</section>")
    }
}

fn latencies(name: &str, summary: &Summary) -> Vec<String> {
    let Summary { p50, p90, p99, p999, max, .. } = *summary;
    [name.to_owned()].into_iter().chain([p50, p90, p99, p999, max].map(ms)).collect()
}

fn percent(share: f64) -> String {
    format!("{:.3} %", 100.0 * share)
}

fn ms(micros: u64) -> String {
    format!("{:.2}", micros as f64 / 1000.0)
}

const STYLE: &str = include_str!("html.css");
