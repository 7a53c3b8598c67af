//! What of a report is drawn: rates and latencies over time, and the percentiles of each scenario.

use super::axis::Axis;
use super::plot::{Line, Plot};
use super::{OfSecond, Report};

/// What was wanted, what began, what succeeded and what failed, in each second.
pub fn rates(report: &Report) -> Plot {
    let (from, to) = report.ramp.unwrap_or((report.rate, report.rate));
    let spans = Spans::of(&report.seconds);
    let line = |name: &str, tone, count: fn(&OfSecond) -> u64| Line {
        name: name.to_owned(),
        tone,
        points: spans.points(|span| Some(span.iter().map(count).sum::<u64>() as f64 / span.len() as f64)),
    };
    let mut lines = vec![
        Line {
            name: "wanted".to_owned(),
            tone: "wanted",
            points: vec![(0.0, Some(from)), (report.duration_s, Some(to))],
        },
        line("begun", "a", |second| second.attempted),
        line("succeeded", "b", |second| second.succeeded),
    ];
    if report.failures() > 0 {
        lines.push(line("failed", "bad", |second| second.failed));
    }
    let highest = highest(&lines);
    Plot {
        title: "Rates over time",
        x: time(report),
        y: Axis::above("per second", highest.unwrap_or(0.0)),
        lines,
    }
}

/// The latency of what succeeded in each second.
pub fn latencies(report: &Report) -> Plot {
    let spans = Spans::of(&report.seconds);
    let line = |name: &str, tone, micros: fn(&OfSecond) -> u64| Line {
        name: name.to_owned(),
        tone,
        points: spans.points(|span| {
            span.iter().filter(|second| second.succeeded > 0).map(micros).max().map(milliseconds)
        }),
    };
    let lines = vec![
        line("p50", "a", |second| second.p50_us),
        line("p99", "c", |second| second.p99_us),
        line("longest", "wanted", |second| second.max_us),
    ];
    let (x, y) = (time(report), latency(&lines));
    Plot { title: "Latency over time", x, y, lines }
}

/// The latency that each share of a scenario did not exceed.
pub fn percentiles(report: &Report) -> Plot {
    let scenarios = report.scenarios.iter().filter(|(_, scenario)| scenario.latency_us.count > 0);
    let lines: Vec<Line> = scenarios
        .zip(TONES)
        .map(|((name, scenario), tone)| {
            let count = scenario.latency_us.count as f64;
            // Of a hundred values, the 99.9th percentile is the longest, which has its own point at the end.
            let told = scenario.percentiles.iter().filter(|(share, _)| (1.0 - share) * count >= 1.0);
            let longest = (1.0 - 1.0 / count, scenario.latency_us.max);
            let points = told.copied().chain([longest]);
            Line {
                name: (*name).to_owned(),
                tone,
                points: points.map(|(share, micros)| (share, Some(milliseconds(micros)))).collect(),
            }
        })
        .collect();
    let count = report.scenarios.values().map(|scenario| scenario.latency_us.count).max();
    Plot {
        title: "Percentiles by scenario",
        x: Axis::nines("share of what succeeded", count.unwrap_or(0)),
        y: latency(&lines),
        lines,
    }
}

/// Seconds in groups of equal size, of one second each unless there are very many.
struct Spans<'a> {
    seconds: &'a [OfSecond],
    length: usize,
}

impl<'a> Spans<'a> {
    fn of(seconds: &'a [OfSecond]) -> Spans<'a> {
        Spans { seconds, length: seconds.len().div_ceil(POINTS_MAX).max(1) }
    }

    /// A point in the middle of each.
    fn points(&self, value: impl Fn(&[OfSecond]) -> Option<f64>) -> Vec<(f64, Option<f64>)> {
        let middle = |at: usize, span: &[OfSecond]| (at * self.length) as f64 + span.len() as f64 / 2.0;
        let spans = self.seconds.chunks(self.length).enumerate();
        spans.map(|(at, span)| (middle(at, span), value(span))).collect()
    }
}

fn time(report: &Report) -> Axis {
    Axis::up_to("seconds", (report.seconds.len() as f64).max(report.duration_s).max(1.0))
}

fn latency(lines: &[Line]) -> Axis {
    let lowest = values(lines).reduce(f64::min).unwrap_or(1.0);
    Axis::log("milliseconds", lowest, highest(lines).unwrap_or(1.0))
}

fn highest(lines: &[Line]) -> Option<f64> {
    values(lines).reduce(f64::max)
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| &line.points).filter_map(|(_, value)| *value)
}

fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// More points than this nobody can see: an hour has one for every second, a longer run one for several.
const POINTS_MAX: usize = 3600;
/// One for each scenario.
const TONES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_many_hours_is_drawn_with_the_mean_rate_and_the_worst_latency_of_each_span() {
        let quiet = OfSecond { succeeded: 10, p99_us: 1000, ..OfSecond::default() };
        let busy = OfSecond { succeeded: 30, p99_us: 9000, ..OfSecond::default() };
        let seconds = [quiet, busy].repeat(POINTS_MAX);
        let report = Report { duration_s: 7200.0, seconds, ..Report::default() };
        let rates = rates(&report).lines[2].points.clone();
        assert_eq!((rates.len(), rates[1]), (POINTS_MAX, (3.0, Some(20.0))));
        assert_eq!(latencies(&report).lines[1].points[0], (1.0, Some(9.0)));
    }

    #[test]
    fn an_empty_report_is_drawn_without_lines() {
        let report = Report::default();
        for plot in [rates(&report), latencies(&report), percentiles(&report)] {
            let svg = plot.to_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
