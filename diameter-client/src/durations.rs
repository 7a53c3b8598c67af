//! How long things took, as a histogram of fixed size: what takes part in it allocates nothing and costs two additions.

use std::time::Duration;

/// How many took how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durations {
    /// By the first of [`Durations::BOUNDS_US`] that is not below it; the last one is for what took longer than all.
    counts: [u64; Durations::BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Default for Durations {
    fn default() -> Durations {
        Durations { counts: [0; Durations::BOUNDS_US.len() + 1], sum_us: 0 }
    }
}

impl Durations {
    /// The upper bounds in microseconds: from what one process answers at once to what a person waits for.
    pub const BOUNDS_US: [u64; 17] = [
        250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
    ];

    /// One more took so long.
    pub fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = Durations::BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[at] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Takes those of another one too.
    pub fn merge(&mut self, other: &Durations) {
        for (own, more) in self.counts.iter_mut().zip(other.counts) {
            *own += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together, in seconds.
    pub fn sum_s(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    /// For each bound in seconds, how many took no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Durations::BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).zip(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_below_its_bound_and_above_and_the_last_below_none() {
        let mut durations = Durations::default();
        for us in [0, 250, 251, 60_000_000, 60_000_001] {
            durations.add(Duration::from_micros(us));
        }
        let cumulative: Vec<_> = durations.cumulative().collect();
        assert_eq!(cumulative[..2], [(0.00025, 2), (0.0005, 3)]);
        assert_eq!(cumulative.last(), Some(&(60.0, 4)));
        assert_eq!(durations.count(), 5);
        assert!((durations.sum_s() - 120.000_502).abs() < 1e-9, "{}", durations.sum_s());
        let mut twice = durations.clone();
        twice.merge(&durations);
        assert_eq!((twice.count(), twice.cumulative().last()), (10, Some((60.0, 8))));
    }
}
