//! The highest rate held, by bisection.

use crate::report::Report;
use serde::Serialize;

/// Whether a run held its rate: at most one in a thousand failed or late, and at most one in a thousand sent again.
pub fn is_held(report: &Report) -> bool {
    let again = retransmitted_share(report);
    report.attempted > 0 && report.dropped == 0 && report.inadequate_share <= SHARE_MAX && again <= SHARE_MAX
}

fn retransmitted_share(report: &Report) -> f64 {
    report.retransmissions as f64 / report.attempted.max(1) as f64
}

/// A rate that was tried, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Try {
    /// Arrivals per second.
    pub rate: f64,
    /// Whether it was held.
    pub is_held: bool,
    /// The share of what was begun that failed or was late.
    pub inadequate_share: f64,
    /// What was sent again, as a share of what was begun.
    pub retransmitted_share: f64,
    /// Whether the generator itself was the limit.
    pub generator_limited: bool,
}

impl Try {
    /// What a report says of the rate that was tried.
    pub fn of(report: &Report, rate: f64) -> Try {
        Try {
            rate,
            is_held: is_held(report),
            inadequate_share: report.inadequate_share,
            retransmitted_share: retransmitted_share(report),
            generator_limited: report.generator_limited,
        }
    }
}

/// A search for the highest rate that is held: it doubles until one is not, then halves the gap.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    next: f64,
    held: Option<f64>,
    not_held: Option<f64>,
}

impl Search {
    /// A search that begins with this rate.
    pub fn from(rate: f64) -> Search {
        Search { next: rate, held: None, not_held: None }
    }

    /// The rate to try next; `None` once the answer is known to [`GAP`].
    pub fn next(&self) -> Option<f64> {
        let is_close = match (self.held, self.not_held) {
            (Some(held), Some(not_held)) => not_held / held <= 1.0 + GAP,
            (None, Some(not_held)) => not_held < RATE_MIN,
            (_, None) => false,
        };
        (!is_close).then_some(self.next)
    }

    /// What came of the last one.
    pub fn tried(&mut self, rate: f64, is_held: bool) {
        if is_held {
            self.held = Some(rate);
        } else {
            self.not_held = Some(rate);
        }
        self.next = match (self.held, self.not_held) {
            (Some(held), Some(not_held)) => (held + not_held) / 2.0,
            (Some(held), None) => held * 2.0,
            (None, Some(not_held)) => not_held / 2.0,
            (None, None) => rate,
        };
    }

    /// The highest rate that was held so far.
    pub fn held(&self) -> Option<f64> {
        self.held
    }
}

/// The bound on failures and late successes, and the one on what is sent again.
const SHARE_MAX: f64 = 0.001;
/// How close the answer is.
const GAP: f64 = 0.03;
/// Nobody wants to know whether less than this is held.
const RATE_MIN: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn search(from: f64, limit: f64) -> (Option<f64>, usize) {
        let mut search = Search::from(from);
        let mut tries = 0;
        while let Some(rate) = search.next() {
            tries += 1;
            search.tried(rate, rate <= limit);
        }
        (search.held(), tries)
    }

    #[test]
    fn the_highest_rate_is_found_from_below_and_from_above() {
        for from in [10.0, 1000.0, 50_000.0] {
            let (held, tries) = search(from, 1234.0);
            let held = held.unwrap();
            assert!((1195.0..=1234.0).contains(&held), "{held}");
            assert!(tries < 20, "{tries}");
        }
    }

    #[test]
    fn a_core_that_holds_nothing_ends_the_search() {
        assert_eq!(search(100.0, 0.0).0, None);
    }
}
