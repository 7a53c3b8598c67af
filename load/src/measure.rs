//! What came of it all: counts, latencies, and both over time.

use crate::scenario::Scenario;
use ambient::Instant;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Latencies in microseconds, to three digits, up to two minutes.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Latencies {
        Latencies(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds of a histogram are sound"))
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// The latency that this share of all does not exceed, in microseconds; 0 without any.
    pub fn quantile_us(&self, share: f64) -> u64 {
        if self.0.is_empty() { 0 } else { self.0.value_at_quantile(share) }
    }

    /// The longest, in microseconds.
    pub fn max_us(&self) -> u64 {
        self.0.max()
    }

    /// The mean, in microseconds.
    pub fn mean_us(&self) -> f64 {
        self.0.mean()
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.reset();
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

/// A part of a scenario that is timed by itself, from the first time that its request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// REGISTER to 401.
    Challenge,
    /// REGISTER with the answer to 200.
    Answer,
    /// INVITE to 180.
    Ringing,
    /// INVITE to 200.
    Connect,
    /// BYE to 200.
    Release,
}

impl Part {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Part; 5] = [Part::Challenge, Part::Answer, Part::Ringing, Part::Connect, Part::Release];

    /// What it is called in a report.
    pub fn name(self) -> &'static str {
        match self {
            Part::Challenge => "REGISTER to 401",
            Part::Answer => "REGISTER to 200",
            Part::Ringing => "INVITE to 180",
            Part::Connect => "INVITE to 200",
            Part::Release => "BYE to 200",
        }
    }
}

/// Why one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The final response to a request of this method.
    Refused(&'static str, u16),
    /// No final response to a request of this method in 64·T1.
    Timeout(&'static str),
    /// The challenge could not be answered.
    Challenge(&'static str),
    /// The called UE never got the ACK.
    NoAck,
    /// It was not over when the run had to end.
    Unfinished,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Refused(method, status) => write!(f, "{method} {status}"),
            Cause::Timeout(method) => write!(f, "{method} timeout"),
            Cause::Challenge(why) => write!(f, "challenge {why}"),
            Cause::NoAck => f.write_str("no ACK"),
            Cause::Unfinished => f.write_str("unfinished"),
        }
    }
}

/// Counts of one scenario, or of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Begun.
    pub attempted: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// Ended well, but later than they should.
    pub late: u64,
}

/// One second of the run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// What began in it, and what ended in it.
    pub counts: Counts,
    /// Median latency of what succeeded in it.
    pub p50_us: u64,
    /// 99th percentile of the same.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Measures {
    late_after: Duration,
    /// By scenario, in the order of [`Scenario::ALL`].
    pub scenarios: [(Counts, Latencies); 5],
    /// Of all scenarios, from the time at which they were scheduled.
    pub latency: Latencies,
    /// By part, in the order of [`Part::ALL`].
    pub parts: [Latencies; 5],
    /// Why what failed did.
    pub causes: BTreeMap<Cause, u64>,
    /// Requests and responses of ours that were sent again.
    pub retransmissions_sent: u64,
    /// Requests and responses that came again.
    pub retransmissions_received: u64,
    /// Arrivals for which no UE was free.
    pub dropped: u64,
    /// Registrations of UEs that were registered already.
    pub again: u64,
    /// How long after its time each began.
    pub lag: Latencies,
    /// The run second by second.
    pub seconds: Vec<Second>,
    /// When the first second began.
    start: Instant,
    of_second: Latencies,
}

impl Measures {
    /// Nothing yet; a success that takes longer than `late_after` is late.
    pub fn new(late_after: Duration) -> Measures {
        Measures {
            late_after,
            scenarios: Default::default(),
            latency: Latencies::new(),
            parts: Default::default(),
            causes: BTreeMap::new(),
            retransmissions_sent: 0,
            retransmissions_received: 0,
            dropped: 0,
            again: 0,
            lag: Latencies::new(),
            seconds: Vec::new(),
            start: Instant::START,
            of_second: Latencies::new(),
        }
    }

    /// Seconds count from here.
    pub fn begin(&mut self, now: Instant) {
        self.start = now;
    }

    /// One begins.
    pub fn attempted(&mut self, scenario: Scenario, scheduled: Instant, now: Instant) {
        self.scenarios[scenario as usize].0.attempted += 1;
        self.lag.record(now.since(scheduled));
        self.second(now).attempted += 1;
    }

    /// One has ended well, with this latency.
    pub fn succeeded(&mut self, scenario: Scenario, latency: Duration, now: Instant) {
        let is_late = latency > self.late_after;
        let (counts, latencies) = &mut self.scenarios[scenario as usize];
        counts.succeeded += 1;
        counts.late += u64::from(is_late);
        latencies.record(latency);
        self.latency.record(latency);
        let second = self.second(now);
        second.succeeded += 1;
        second.late += u64::from(is_late);
        self.of_second.record(latency);
    }

    /// One has failed.
    pub fn failed(&mut self, scenario: Scenario, cause: Cause, now: Instant) {
        self.scenarios[scenario as usize].0.failed += 1;
        *self.causes.entry(cause).or_default() += 1;
        self.second(now).failed += 1;
    }

    /// A part took this long.
    pub fn part(&mut self, part: Part, latency: Duration) {
        self.parts[part as usize].record(latency);
    }

    /// The run is over: the last second is complete.
    pub fn finish(&mut self) {
        self.close_second();
    }

    /// The sum of all scenarios.
    pub fn total(&self) -> Counts {
        self.scenarios.iter().fold(Counts::default(), |sum, (counts, _)| Counts {
            attempted: sum.attempted + counts.attempted,
            succeeded: sum.succeeded + counts.succeeded,
            failed: sum.failed + counts.failed,
            late: sum.late + counts.late,
        })
    }

    /// The counts of the second that `now` is in.
    fn second(&mut self, now: Instant) -> &mut Counts {
        let index = usize::try_from(now.since(self.start).as_secs()).unwrap_or(usize::MAX);
        let index = index.min(SECONDS_MAX - 1);
        while self.seconds.len() <= index {
            self.close_second();
            self.seconds.push(Second::default());
        }
        &mut self.seconds[index].counts
    }

    fn close_second(&mut self) {
        if let Some(last) = self.seconds.last_mut()
            && self.of_second.count() > 0
        {
            last.p50_us = self.of_second.quantile_us(0.5);
            last.p99_us = self.of_second.quantile_us(0.99);
            last.max_us = self.of_second.max_us();
            self.of_second.clear();
        }
    }
}

/// The longest latency that is told from a longer one.
const LONGEST_US: u64 = 120_000_000;
/// The longest run that is kept by the second: a week.
const SECONDS_MAX: usize = 7 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    #[test]
    fn what_succeeds_late_is_both_and_what_fails_says_why() {
        let mut measures = Measures::new(Duration::from_secs(2));
        for (millis, latency) in [(0, 5), (10, 2000), (20, 2001)] {
            measures.attempted(Scenario::Call, at(millis), at(millis + 1));
            measures.succeeded(Scenario::Call, Duration::from_millis(latency), at(millis + latency));
        }
        measures.attempted(Scenario::Message, at(30), at(30));
        measures.failed(Scenario::Message, Cause::Refused("MESSAGE", 503), at(40));
        assert_eq!(measures.total(), Counts { attempted: 4, succeeded: 3, failed: 1, late: 1 });
        let causes: Vec<_> =
            measures.causes.iter().map(|(cause, count)| format!("{cause}: {count}")).collect();
        assert_eq!(causes, ["MESSAGE 503: 1"]);
        assert!((1000..=1001).contains(&measures.lag.max_us()));
    }

    #[test]
    fn each_second_has_its_own_latencies_and_a_quiet_one_has_none() {
        let mut measures = Measures::new(Duration::from_secs(2));
        measures.begin(at(500));
        measures.succeeded(Scenario::Message, Duration::from_millis(3), at(600));
        measures.succeeded(Scenario::Message, Duration::from_millis(7), at(2600));
        measures.finish();
        let maxima: Vec<_> = measures.seconds.iter().map(|second| second.max_us / 1000).collect();
        assert_eq!(maxima, [3, 0, 7]);
    }

    #[test]
    fn latencies_are_kept_to_three_digits_and_never_lost() {
        let mut latencies = Latencies::new();
        for micros in 1..=1000 {
            latencies.record(Duration::from_micros(micros));
        }
        latencies.record(Duration::from_secs(1000));
        assert_eq!(latencies.count(), 1001);
        assert!((498..=503).contains(&latencies.quantile_us(0.5)));
        assert!(latencies.max_us() >= 119_000_000);
        assert_eq!(Latencies::new().quantile_us(0.99), 0);
    }
}
