//! The clock and the randomness of the operating system: what a machine is given and cannot fetch.

use ambient::{Entropy, Instant, Now, Wall};
use std::io::{self, Read};
use std::time::{Duration, SystemTime};

/// Stamps [`Now`]. Copies share one start, so that the times of machines in one process can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock { start: std::time::Instant::now() }
    }

    /// The time by both clocks.
    pub fn now(&self) -> Now {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        // A clock before 1970 is a fault of the host; expiries then run from 1970.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Now { instant: Instant::from_micros(micros), wall: Wall::from_millis(millis) }
    }

    /// The moment of the system's monotonic clock that `at` stands for.
    pub(crate) fn system(&self, at: Instant) -> std::time::Instant {
        // A century is as good as never, and cannot overflow the addition.
        self.start + Duration::from_micros(at.as_micros()).min(Duration::from_secs(100 * 365 * 86_400))
    }
}

/// A generator seeded by the operating system.
pub fn system_entropy() -> io::Result<Entropy> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(Entropy::from_seed(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_and_its_moments_are_the_systems() {
        let clock = Clock::start();
        let early = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        let late = clock.now();
        assert!(late.instant.since(early.instant) >= Duration::from_millis(2));
        assert!(clock.system(early.instant) < clock.system(late.instant));
        assert!(clock.system(Instant::from_micros(u64::MAX)) > clock.system(late.instant));
    }

    #[test]
    fn two_generators_of_the_system_differ() {
        assert_ne!(system_entropy().unwrap().next_u64(), system_entropy().unwrap().next_u64());
    }
}
