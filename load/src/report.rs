//! What a run showed: as text for a person, as JSON for a program, as HTML to keep.

mod axis;
mod chart;
mod html;
mod markup;
mod plot;

use crate::arrivals::Rate;
use crate::driver::OwnCost;
use crate::measure::{Latencies, Part};
use crate::run::Run;
use crate::scenario::Scenario;
use crate::search::Try;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// What a run showed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The scenario, or the mix.
    pub scenario: String,
    /// The address of the P-CSCF.
    pub pcscf: String,
    /// What the UEs speak to it over.
    pub transport: &'static str,
    /// The home network domain name.
    pub domain: String,
    /// Arrivals per second that were wanted; of a ramp, the mean.
    pub rate: f64,
    /// Where a ramp begins and ends.
    pub ramp: Option<(f64, f64)>,
    /// How many UEs there were.
    pub ues: usize,
    /// How long it was measured.
    pub duration_s: f64,
    /// Begun.
    pub attempted: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended otherwise, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Sent or received again, by whichever end.
    pub retransmissions: u64,
    /// Those that our UEs sent.
    pub retransmissions_sent: u64,
    /// Those that they received.
    pub retransmissions_received: u64,
    /// Ended well, but too late.
    pub late: u64,
    /// The share of what was begun that failed or was late.
    pub inadequate_share: f64,
    /// Arrivals for which no UE was free.
    pub dropped: u64,
    /// Registrations of UEs that were registered already.
    pub registered_again: u64,
    /// Successes per second.
    pub achieved_rate: f64,
    /// From the time of arrival to success.
    pub latency_us: Summary,
    /// The same by scenario.
    pub scenarios: BTreeMap<&'static str, OfScenario>,
    /// From request to response.
    pub parts: BTreeMap<&'static str, Summary>,
    /// How long after its time each began.
    pub send_lag_us: Summary,
    /// CPU time of the generator while it measured.
    pub own_cpu_s: f64,
    /// The same as a share of a core.
    pub own_cpu_share: f64,
    /// Connections of UEs that were open at the end.
    pub connections: u64,
    /// Connections that ended without the generator's doing, or did not come about.
    pub connections_lost: u64,
    /// Datagrams that the generator's own sockets had no room for.
    pub own_socket_overflows: u64,
    /// Messages that the system would not send.
    pub own_send_errors: u64,
    /// Whether the generator itself was the limit.
    pub generator_limited: bool,
    /// UEs that could not be registered.
    pub ues_lost: usize,
    /// Latency at ever higher shares.
    pub percentiles: Vec<(f64, u64)>,
    /// The run second by second.
    pub seconds: Vec<OfSecond>,
    /// The rates that a search for the highest one tried, in that order; none without a search.
    pub tries: Vec<Try>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// Nine of ten are not longer.
    pub p90: u64,
    /// 99 of 100 are not longer.
    pub p99: u64,
    /// 999 of 1000 are not longer.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl From<&Latencies> for Summary {
    fn from(latencies: &Latencies) -> Summary {
        Summary {
            count: latencies.count(),
            mean: latencies.mean_us(),
            p50: latencies.quantile_us(0.5),
            p90: latencies.quantile_us(0.9),
            p99: latencies.quantile_us(0.99),
            p999: latencies.quantile_us(0.999),
            max: latencies.max_us(),
        }
    }
}

/// One scenario of a mix.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OfScenario {
    /// Its share of the arrivals.
    pub share: f64,
    /// Begun.
    pub attempted: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// Ended well, but too late.
    pub late: u64,
    /// From the time of arrival to success.
    pub latency_us: Summary,
    /// Latency at ever higher shares.
    pub percentiles: Vec<(f64, u64)>,
}

/// One second.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct OfSecond {
    /// Begun in it.
    pub attempted: u64,
    /// Ended well in it.
    pub succeeded: u64,
    /// Ended otherwise in it.
    pub failed: u64,
    /// Ended well in it, but too late.
    pub late: u64,
    /// Median latency.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Report {
    /// The report of a run that is over.
    pub fn of(run: &Run, cost: &OwnCost) -> Report {
        let (measures, setup) = (&run.generator.measures, run.generator.setup());
        let total = measures.total();
        let (began, ended) = run.measured();
        let duration_s = ended.since(began).as_secs_f64();
        let lag = Summary::from(&measures.lag);
        let rate = run.plan().rate;
        let share_of = |part: u64| part as f64 / (total.attempted.max(1)) as f64;
        let shares = run.plan().mix.shares();
        let scenarios =
            shares.map(|(scenario, share)| (scenario.name(), Report::scenario(run, scenario, share)));
        let parts =
            Part::ALL.into_iter().map(|part| (part.name(), Summary::from(&measures.parts[part as usize])));
        Report {
            scenario: run.plan().mix.to_string(),
            pcscf: setup.pcscf.to_string(),
            transport: setup.transport.name(),
            domain: setup.domain.clone(),
            rate: rate.mean(),
            ramp: (rate.from != rate.to).then_some((rate.from, rate.to)),
            ues: run.generator.population.len(),
            duration_s,
            attempted: total.attempted,
            succeeded: total.succeeded,
            failed: measures.causes.iter().map(|(cause, count)| (cause.to_string(), *count)).collect(),
            retransmissions: measures.retransmissions_sent + measures.retransmissions_received,
            retransmissions_sent: measures.retransmissions_sent,
            retransmissions_received: measures.retransmissions_received,
            late: total.late,
            inadequate_share: share_of(total.failed + total.late),
            dropped: measures.dropped,
            registered_again: measures.again,
            achieved_rate: total.succeeded as f64 / duration_s.max(1e-9),
            latency_us: Summary::from(&measures.latency),
            scenarios: scenarios.collect(),
            parts: parts.filter(|(_, summary)| summary.count > 0).collect(),
            send_lag_us: lag,
            own_cpu_s: cost.cpu.as_secs_f64(),
            own_cpu_share: cost.share(),
            connections: cost.sockets.connections,
            connections_lost: cost.sockets.connections_lost,
            own_socket_overflows: cost.sockets.overflows,
            own_send_errors: cost.sockets.refused,
            generator_limited: cost.share() > CPU_SHARE_MAX
                || lag.p99 > LAG_MAX_US
                || cost.sockets.overflows > 0,
            ues_lost: run.generator.population.lost(),
            percentiles: percentiles(&measures.latency),
            seconds: measures
                .seconds
                .iter()
                .map(|second| OfSecond {
                    attempted: second.counts.attempted,
                    succeeded: second.counts.succeeded,
                    failed: second.counts.failed,
                    late: second.counts.late,
                    p50_us: second.p50_us,
                    p99_us: second.p99_us,
                    max_us: second.max_us,
                })
                .collect(),
            tries: Vec::new(),
        }
    }

    fn scenario(run: &Run, scenario: Scenario, share: f64) -> OfScenario {
        let (counts, latencies) = &run.generator.measures.scenarios[scenario as usize];
        OfScenario {
            share,
            attempted: counts.attempted,
            succeeded: counts.succeeded,
            failed: counts.failed,
            late: counts.late,
            latency_us: Summary::from(latencies),
            percentiles: percentiles(latencies),
        }
    }

    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// The share of what was begun that failed.
    pub fn failed_share(&self) -> f64 {
        self.share(self.failures())
    }

    /// This many as a share of what was begun.
    fn share(&self, count: u64) -> f64 {
        count as f64 / self.attempted.max(1) as f64
    }

    /// The rate that was wanted.
    fn wanted(&self) -> Rate {
        match self.ramp {
            Some((from, to)) => Rate { from, to },
            None => Rate::steady(self.rate),
        }
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has no map with keys that are no text")
    }

    /// The report as one HTML file, without a script and without anything to fetch.
    pub fn html(&self) -> String {
        html::Page(self).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.wanted();
        writeln!(f, "{} at {rate}/s for {:.0} s, {} UEs", self.scenario, self.duration_s, self.ues)?;
        let percent = |part: u64| 100.0 * self.share(part);
        writeln!(f, "  attempted   {:>10}", self.attempted)?;
        writeln!(
            f,
            "  succeeded   {:>10}  {:>7.3} %  {:.1}/s",
            self.succeeded,
            percent(self.succeeded),
            self.achieved_rate
        )?;
        writeln!(f, "  late        {:>10}  {:>7.3} %", self.late, percent(self.late))?;
        writeln!(f, "  failed      {:>10}  {:>7.3} %", self.failures(), percent(self.failures()))?;
        for (cause, count) in &self.failed {
            writeln!(f, "    {cause:<20} {count:>10}")?;
        }
        writeln!(
            f,
            "  sent again  {:>10}  {:>7.3} %  ({} by the UEs, {} to them)",
            self.retransmissions,
            percent(self.retransmissions),
            self.retransmissions_sent,
            self.retransmissions_received
        )?;
        if self.dropped > 0 {
            writeln!(f, "  dropped     {:>10}  no UE was free: take more with --ues", self.dropped)?;
        }
        if self.registered_again > 0 {
            writeln!(
                f,
                "  of them     {:>10}  registrations of UEs that were registered already",
                self.registered_again
            )?;
        }
        if self.ues_lost > 0 {
            writeln!(f, "  UEs lost    {:>10}  could not be registered", self.ues_lost)?;
        }
        if self.connections + self.connections_lost > 0 {
            writeln!(
                f,
                "  connections {:>10}  open at the end, {} lost",
                self.connections, self.connections_lost
            )?;
        }
        writeln!(f, "\n  milliseconds            p50      p90      p99    p99.9      max")?;
        line(f, "arrival to success", &self.latency_us)?;
        if self.scenarios.len() > 1 {
            for (name, scenario) in &self.scenarios {
                line(f, &format!("  {name}"), &scenario.latency_us)?;
            }
        }
        for (name, summary) in &self.parts {
            line(f, name, summary)?;
        }
        line(f, "begun late by", &self.send_lag_us)?;
        write!(
            f,
            "\n  generator: {:.2} s of CPU, {:.0} % of a core",
            self.own_cpu_s,
            100.0 * self.own_cpu_share
        )?;
        if self.own_socket_overflows > 0 {
            write!(f, "; its sockets had no room for {} datagrams", self.own_socket_overflows)?;
        }
        if self.own_send_errors > 0 {
            write!(f, "; {} messages could not be sent", self.own_send_errors)?;
        }
        f.write_char('\n')?;
        if self.generator_limited {
            writeln!(
                f,
                "  THE GENERATOR WAS THE LIMIT: what it loaded may do more, or answer sooner, than this says"
            )?;
        }
        Ok(())
    }
}

/// Latency at ever higher shares.
fn percentiles(latencies: &Latencies) -> Vec<(f64, u64)> {
    SHARES.iter().map(|share| (*share, latencies.quantile_us(*share))).collect()
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, summary: &Summary) -> fmt::Result {
    let ms = |micros: u64| micros as f64 / 1000.0;
    let Summary { p50, p90, p99, p999, max, .. } = *summary;
    writeln!(
        f,
        "  {name:<18} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>8.2}",
        ms(p50),
        ms(p90),
        ms(p99),
        ms(p999),
        ms(max)
    )
}

/// Above this share of a core, the generator's thread may be what limits.
const CPU_SHARE_MAX: f64 = 0.9;
/// When one in a hundred begins this late, the generator does not keep up, by itself or for want of a core.
const LAG_MAX_US: u64 = 10_000;
/// The points of the percentile curve.
const SHARES: &[f64] = &[
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9975, 0.999, 0.9995,
    0.9999, 1.0,
];
