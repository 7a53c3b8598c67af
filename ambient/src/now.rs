//! The time of an input: a monotonic instant and the wall clock, both as plain numbers.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of the driver's monotonic clock, in microseconds since the driver started.
///
/// Ours, and not `std::time::Instant`, so that the core cannot read a clock: there is no function to call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment at which the driver started.
    pub const START: Instant = Instant(0);

    /// The moment `micros` microseconds after the driver started.
    pub const fn from_micros(micros: u64) -> Instant {
        Instant(micros)
    }

    /// Microseconds since the driver started.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, after: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

/// Wall time in milliseconds since the Unix epoch.
///
/// Only for what leaves the process or outlives it: Date, stored expiries, CDRs. A stepped clock moves no timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(u64);

impl Wall {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Wall {
        Wall(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Wall {
    type Output = Wall;

    fn add(self, after: Duration) -> Wall {
        Wall(self.0.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Wall {
    /// Writes `HH:MM:SS.mmm` in UTC, which is what a ladder shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day_ms = self.0 % 86_400_000;
        let (h, m, s, ms) = (day_ms / 3_600_000, day_ms / 60_000 % 60, day_ms / 1000 % 60, day_ms % 1000);
        write!(f, "{h:02}:{m:02}:{s:02}.{ms:03}")
    }
}

/// The time stamped on an input, by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// What timers run on.
    pub instant: Instant,
    /// What the outside is told.
    pub wall: Wall,
}

impl Now {
    /// This time, `after` later on both clocks.
    pub fn after(self, after: Duration) -> Now {
        Now { instant: self.instant + after, wall: self.wall + after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_never_goes_below_zero() {
        let early = Instant::from_micros(5);
        let late = early + Duration::from_millis(1);
        assert_eq!(late - early, Duration::from_millis(1));
        assert_eq!(early - late, Duration::ZERO);
    }

    #[test]
    fn wall_time_prints_as_time_of_day() {
        assert_eq!(Wall::from_millis(86_400_000 + 3_723_004).to_string(), "01:02:03.004");
    }
}
