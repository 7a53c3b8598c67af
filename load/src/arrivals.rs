//! When the next one begins: Poisson or evenly spaced arrivals, at one rate or along a ramp.

use ambient::{Entropy, Instant};
use std::fmt;
use std::time::Duration;

/// Arrivals per second over the length of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At the beginning.
    pub from: f64,
    /// At the end.
    pub to: f64,
}

impl Rate {
    /// The same all the time.
    pub fn steady(rate: f64) -> Rate {
        Rate { from: rate, to: rate }
    }

    /// A rate as it is written: `100`, or `100..2000` for a ramp.
    pub fn parse(text: &str) -> Result<Rate, String> {
        let number = |text: &str| match text.trim().parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
            _ => Err(format!("`{text}` is not a rate above zero")),
        };
        match text.split_once("..") {
            Some((from, to)) => Ok(Rate { from: number(from)?, to: number(to)? }),
            None => number(text).map(Rate::steady),
        }
    }

    /// The mean over the length.
    pub fn mean(self) -> f64 {
        (self.from + self.to) / 2.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}", self.from)
        } else {
            write!(f, "{}..{}", self.from, self.to)
        }
    }
}

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Independent of each other, as many callers are.
    Poisson,
    /// Evenly.
    Even,
}

/// The times at which something begins.
///
/// The number of arrivals expected until `t` along a ramp is `from·t + (to-from)·t²/2D`. Each arrival is one unit (even)
/// or an exponentially distributed number of units (Poisson) after the one before; the time is found by inversion.
#[derive(Debug)]
pub struct Arrivals {
    start: Instant,
    length_s: f64,
    rate: Rate,
    spacing: Spacing,
    entropy: Entropy,
    /// How many were expected until the next one.
    expected: f64,
}

impl Arrivals {
    /// Arrivals from `start` for `length`. A seed repeats them.
    pub fn new(start: Instant, length: Duration, rate: Rate, spacing: Spacing, entropy: Entropy) -> Arrivals {
        let mut arrivals =
            Arrivals { start, length_s: length.as_secs_f64(), rate, spacing, entropy, expected: 0.0 };
        arrivals.step();
        arrivals
    }

    /// When the next one is; `None` when the time is over.
    pub fn next(&self) -> Option<Instant> {
        let Rate { from, to } = self.rate;
        let slope = (to - from) / self.length_s.max(f64::MIN_POSITIVE);
        // The root of slope/2·t² + from·t = expected that does not cancel where the slope is small. Where a ramp falls
        // to zero there may be none: then no more come.
        let root = (from * from + 2.0 * slope * self.expected).sqrt();
        let at_s = 2.0 * self.expected / (from + root);
        (at_s < self.length_s).then(|| self.start + Duration::from_secs_f64(at_s))
    }

    /// The next one if it is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<Instant> {
        let next = self.next().filter(|next| *next <= now)?;
        self.step();
        Some(next)
    }

    /// The rate at a time, for the eye.
    pub fn rate_at(&self, now: Instant) -> f64 {
        let share = now.since(self.start).as_secs_f64() / self.length_s.max(f64::MIN_POSITIVE);
        self.rate.from + (self.rate.to - self.rate.from) * share.clamp(0.0, 1.0)
    }

    fn step(&mut self) {
        self.expected += match self.spacing {
            Spacing::Even => 1.0,
            // 1 - u is never zero.
            Spacing::Poisson => -(1.0 - unit(&mut self.entropy)).ln(),
        };
    }
}

/// A number from 0 up to, and without, 1.
pub(crate) fn unit(entropy: &mut Entropy) -> f64 {
    (entropy.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(rate: Rate, spacing: Spacing, seconds: u64, seed: u64) -> Vec<Instant> {
        let length = Duration::from_secs(seconds);
        let mut arrivals = Arrivals::new(Instant::START, length, rate, spacing, Entropy::seeded(seed));
        let end = Instant::START + length;
        std::iter::from_fn(|| arrivals.pop_due(end)).collect()
    }

    fn seconds(at: Instant) -> f64 {
        at.since(Instant::START).as_secs_f64()
    }

    #[test]
    fn even_arrivals_are_one_interval_apart() {
        let times = all(Rate::steady(100.0), Spacing::Even, 2, 1);
        assert_eq!(times.len(), 199, "the first is one interval after the start");
        assert!(times.windows(2).all(|pair| (seconds(pair[1]) - seconds(pair[0]) - 0.01).abs() < 2e-6));
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_poisson() {
        let times = all(Rate::steady(1000.0), Spacing::Poisson, 20, 7);
        let gaps: Vec<f64> = times.windows(2).map(|pair| seconds(pair[1]) - seconds(pair[0])).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 1000.0 - 1.0).abs() < 0.03, "{mean}");
        // Exponential gaps deviate as much as they last.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn a_seed_repeats_its_arrivals_and_another_does_not() {
        let times = |seed| all(Rate::steady(50.0), Spacing::Poisson, 5, seed);
        assert_eq!(times(3), times(3));
        assert_ne!(times(3), times(4));
    }

    #[test]
    fn a_ramp_begins_slowly_and_ends_fast_and_falls_as_well() {
        let count = |times: &[Instant], from: f64, to: f64| {
            times.iter().filter(|at| (from..to).contains(&seconds(**at))).count()
        };
        let up = all(Rate { from: 100.0, to: 900.0 }, Spacing::Even, 10, 1);
        assert!((4995..=5000).contains(&up.len()), "{}", up.len());
        assert!((138..=142).contains(&count(&up, 0.0, 1.0)));
        assert!((858..=862).contains(&count(&up, 9.0, 10.0)));
        let down = all(Rate { from: 900.0, to: 100.0 }, Spacing::Even, 10, 1);
        assert!((858..=862).contains(&count(&down, 0.0, 1.0)));
        assert!((4995..=5000).contains(&down.len()), "{}", down.len());
    }

    #[test]
    fn a_rate_is_a_number_or_a_ramp() {
        assert_eq!(Rate::parse("250"), Ok(Rate::steady(250.0)));
        assert_eq!(Rate::parse("100..2000"), Ok(Rate { from: 100.0, to: 2000.0 }));
        for text in ["", "0", "-1", "many", "1..", "..2", "1..inf"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
        assert_eq!(Rate::parse("100..2000").unwrap().to_string(), "100..2000");
    }
}
