//! The timers of RFC 3261 §17 (table 4) and their values by flow (TS 24.229 §7.7).

use std::time::Duration;

/// A timer of a transaction machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// INVITE request retransmission, unreliable transports only.
    A,
    /// INVITE client timeout.
    B,
    /// Wait for response retransmissions of a failed INVITE, unreliable transports only.
    D,
    /// Non-INVITE request retransmission, unreliable transports only.
    E,
    /// Non-INVITE client timeout.
    F,
    /// INVITE response retransmission, unreliable transports only.
    G,
    /// Wait for ACK.
    H,
    /// Wait for ACK retransmissions, unreliable transports only.
    I,
    /// Wait for non-INVITE request retransmissions, unreliable transports only.
    J,
    /// Wait for response retransmissions of a failed non-INVITE, unreliable transports only.
    K,
    /// Wait for retransmissions of an accepted INVITE (RFC 6026 §7.1), server.
    L,
    /// Wait for retransmissions of a 2xx to INVITE, and for 2xx of other branches (RFC 6026 §7.2), client.
    M,
}

impl Timer {
    /// The name for an operator.
    pub const fn name(self) -> &'static str {
        match self {
            Timer::A => "timer A",
            Timer::B => "timer B",
            Timer::D => "timer D",
            Timer::E => "timer E",
            Timer::F => "timer F",
            Timer::G => "timer G",
            Timer::H => "timer H",
            Timer::I => "timer I",
            Timer::J => "timer J",
            Timer::K => "timer K",
            Timer::L => "timer L",
            Timer::M => "timer M",
        }
    }
}

/// The base values of a flow's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Round-trip estimate.
    pub t1: Duration,
    /// The longest interval between retransmissions of a non-INVITE request and of a response to INVITE.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
}

impl Timing {
    /// RFC 3261 table 4: between network entities (TS 24.229 table 7.7.1).
    pub const CORE: Timing =
        Timing { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
    /// TS 24.229 table 7.7.1: at the UE, and at a P-CSCF towards a UE.
    pub const ACCESS: Timing =
        Timing { t1: Duration::from_secs(2), t2: Duration::from_secs(16), t4: Duration::from_secs(17) };

    /// The first value of a timer on a flow; `None` when a reliable flow does not arm it, or waits no time.
    pub fn first(&self, timer: Timer, reliable: bool) -> Option<Duration> {
        let unreliable_only = |value| if reliable { None } else { Some(value) };
        match timer {
            Timer::A | Timer::E | Timer::G => unreliable_only(self.t1),
            Timer::B | Timer::F | Timer::H | Timer::L | Timer::M => Some(self.t1 * 64),
            // RFC 3261 table 4 asks for more than 32 s, TS 24.229 table 7.7.1 for more than 128 s at the UE.
            Timer::D => unreliable_only(self.t1 * 64 + Duration::from_millis(500)),
            Timer::J => unreliable_only(self.t1 * 64),
            Timer::I | Timer::K => unreliable_only(self.t4),
        }
    }

    /// The value of a retransmission timer after one of `last`: doubled, up to T2 where the RFC caps it.
    ///
    /// In the Proceeding state of a non-INVITE client Timer E is T2 at once (RFC 3261 §17.1.2.2).
    pub fn next(&self, timer: Timer, last: Duration, proceeding: bool) -> Duration {
        match timer {
            Timer::E if proceeding => self.t2,
            Timer::E | Timer::G => (last * 2).min(self.t2),
            _ => last * 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reliable_flow_neither_retransmits_nor_lingers() {
        for timer in [Timer::A, Timer::D, Timer::E, Timer::G, Timer::I, Timer::J, Timer::K] {
            assert_eq!(Timing::CORE.first(timer, true), None, "{timer:?}");
        }
        assert_eq!(Timing::CORE.first(Timer::B, true), Some(Duration::from_secs(32)));
        assert_eq!(Timing::ACCESS.first(Timer::F, true), Some(Duration::from_secs(128)));
    }

    #[test]
    fn timer_e_doubles_to_t2_and_timer_a_without_a_cap() {
        let s = Duration::from_secs;
        assert_eq!(Timing::CORE.next(Timer::E, s(4), false), s(4));
        assert_eq!(Timing::CORE.next(Timer::E, Duration::from_millis(500), true), s(4));
        assert_eq!(Timing::CORE.next(Timer::A, s(4), false), s(8));
    }
}
