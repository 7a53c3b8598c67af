//! The window of sequence numbers that keeps replays out (RFC 4303 §3.4.3).

/// Which of the last 128 sequence numbers have come.
///
/// Two UEs of one cell may reorder a packet or two; a burst over several radio bearers reorders dozens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    /// The highest that has come; 0 before the first.
    highest: u32,
    /// Bit `n` stands for `highest - n`.
    seen: u128,
}

impl ReplayWindow {
    /// How many sequence numbers it remembers.
    pub const SIZE: u32 = u128::BITS;

    /// A window in which everything up to `highest` has come, as after a restart.
    pub const fn after(highest: u32) -> ReplayWindow {
        ReplayWindow { highest, seen: u128::MAX }
    }

    /// The highest that has come; 0 before the first.
    pub const fn highest(&self) -> u32 {
        self.highest
    }

    /// Whether a packet of this number has not come, and is not too old to tell.
    pub fn admits(&self, sequence: u32) -> bool {
        if sequence == 0 {
            return false;
        }
        match self.highest.checked_sub(sequence) {
            None => true,
            Some(age) => age < ReplayWindow::SIZE && self.seen & 1 << age == 0,
        }
    }

    /// Notes that an authentic packet of this number has come.
    pub fn note(&mut self, sequence: u32) {
        match self.highest.checked_sub(sequence) {
            None => {
                let by = sequence - self.highest;
                self.seen = self.seen.checked_shl(by).unwrap_or(0) | 1;
                self.highest = sequence;
            }
            Some(age) if age < ReplayWindow::SIZE => self.seen |= 1 << age,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Admits and notes, as a receiver does.
    fn take(window: &mut ReplayWindow, sequence: u32) -> bool {
        let admitted = window.admits(sequence);
        if admitted {
            window.note(sequence);
        }
        admitted
    }

    #[test]
    fn each_number_is_taken_once_in_any_order() {
        let mut window = ReplayWindow::default();
        for sequence in [1, 3, 2, 100, 64, 128, 129] {
            assert!(take(&mut window, sequence), "{sequence}");
            assert!(!take(&mut window, sequence), "{sequence} again");
        }
        assert_eq!(window.highest(), 129);
    }

    #[test]
    fn what_is_older_than_the_window_is_refused_even_if_it_never_came() {
        let mut window = ReplayWindow::default();
        assert!(take(&mut window, 200));
        assert!(take(&mut window, 73), "128 numbers end here");
        assert!(!take(&mut window, 72));
    }

    #[test]
    fn zero_is_never_sent_and_the_last_number_is_taken() {
        let mut window = ReplayWindow::default();
        assert!(!take(&mut window, 0));
        assert!(take(&mut window, u32::MAX));
        assert!(take(&mut window, u32::MAX - 1));
        assert!(!take(&mut window, 1));
    }

    #[test]
    fn after_a_restart_everything_before_it_is_a_replay() {
        let mut window = ReplayWindow::after(500);
        assert!(!take(&mut window, 500));
        assert!(!take(&mut window, 450));
        assert!(take(&mut window, 501));
        assert!(!take(&mut window, 499), "the jump by one did not forget it");
    }
}
