//! The watchdog of RFC 3539 §3.4: is the other end of an open connection alive.
//!
//! ```text
//!             Connection up          Timer & Pending          Timer
//!   Initial ----------------> Okay ------------------> Suspect ------> Down
//!                              ^ ^        DWA, other      |             |
//!                              | +------------------------+             | Connection up
//!                              |          third DWA                     v
//!                              +------------------------------------ Reopen
//! ```
//!
//! Two deviations. Reconnection has a timer of its own that backs off, so no timer runs in Initial and Down. And what
//! arrives in Reopen is handled, not thrown away: a request that a peer sends while we do not trust it yet deserves its
//! answer; routing prefers other peers meanwhile.

/// State of the watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchdogState {
    /// Never connected.
    Initial,
    /// Alive.
    Okay,
    /// A DWR was not answered in time: pending requests go elsewhere.
    Suspect,
    /// Lost.
    Down,
    /// Connected again, and not trusted before three DWAs.
    Reopen,
}

/// What the watchdog sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogEvent {
    /// CER and CEA were exchanged.
    ConnectionUp,
    /// The connection is gone.
    ConnectionDown,
    /// A DWA arrived.
    Dwa,
    /// Any other message arrived.
    NonDwa,
    /// Tw ran out.
    Timer,
}

/// What the endpoint does about it, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogAction {
    /// Start Tw anew.
    SetWatchdog,
    /// Send a DWR.
    SendWatchdog,
    /// Move pending requests to another peer.
    Failover,
    /// The peer takes new requests again.
    Failback,
    /// Close the connection.
    CloseConnection,
}

/// The watchdog of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    state: WatchdogState,
    /// Whether a DWR waits for its DWA.
    is_pending: bool,
    /// DWAs received in Reopen; -1 once one was late (NumDWA of the RFC).
    dwa_count: i8,
}

impl Default for Watchdog {
    fn default() -> Watchdog {
        Watchdog { state: WatchdogState::Initial, is_pending: false, dwa_count: 0 }
    }
}

impl Watchdog {
    /// The state.
    pub fn state(&self) -> WatchdogState {
        self.state
    }

    /// Handles one event.
    pub fn handle(&mut self, event: WatchdogEvent) -> &'static [WatchdogAction] {
        use WatchdogAction::*;
        use WatchdogEvent::*;
        use WatchdogState::*;
        let (next, actions): (_, &[_]) = match (self.state, event) {
            (Initial, ConnectionUp) => (Okay, &[SetWatchdog]),
            (Down, ConnectionUp) => {
                (self.dwa_count, self.is_pending) = (0, true);
                (Reopen, &[SendWatchdog, SetWatchdog])
            }
            // A connection comes up once.
            (Okay | Suspect | Reopen, ConnectionUp) => (self.state, &[]),

            (Okay, Dwa) => {
                self.is_pending = false;
                (Okay, &[SetWatchdog])
            }
            (Okay, NonDwa) => (Okay, &[SetWatchdog]),
            (Suspect, Dwa) => {
                self.is_pending = false;
                (Okay, &[Failback, SetWatchdog])
            }
            (Suspect, NonDwa) => (Okay, &[Failback, SetWatchdog]),
            (Reopen, Dwa) => {
                self.is_pending = false;
                self.dwa_count += 1;
                if self.dwa_count >= 3 { (Okay, &[Failback]) } else { (Reopen, &[]) }
            }
            (Reopen, NonDwa) => (Reopen, &[]),
            // No connection, no message.
            (Initial | Down, Dwa | NonDwa) => (self.state, &[]),

            (Okay, Timer) if !self.is_pending => {
                self.is_pending = true;
                (Okay, &[SendWatchdog, SetWatchdog])
            }
            (Okay, Timer) => (Suspect, &[Failover, SetWatchdog]),
            (Suspect, Timer) => (Down, &[CloseConnection]),
            (Reopen, Timer) if !self.is_pending => {
                self.is_pending = true;
                (Reopen, &[SendWatchdog, SetWatchdog])
            }
            (Reopen, Timer) if self.dwa_count < 0 => (Down, &[CloseConnection]),
            (Reopen, Timer) => {
                self.dwa_count = -1;
                (Reopen, &[SetWatchdog])
            }
            // The timer does not run.
            (Initial | Down, Timer) => (self.state, &[]),

            (Okay, ConnectionDown) => (Down, &[Failover]),
            (Suspect | Reopen, ConnectionDown) => (Down, &[]),
            (Initial | Down, ConnectionDown) => (self.state, &[]),
        };
        if next == Down {
            self.is_pending = false;
        }
        self.state = next;
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::WatchdogEvent::*;
    use super::WatchdogState::*;
    use super::*;
    use std::fmt::Write;

    /// RFC 3539 §3.4.1: every pair, with what Pending and NumDWA make of it.
    #[test]
    fn every_pair_of_state_and_event_is_as_recorded() {
        let mut table = String::new();
        for state in [Initial, Okay, Suspect, Down, Reopen] {
            for (is_pending, dwa_count) in [(false, 0), (true, 0), (false, 2), (true, -1)] {
                for event in [ConnectionUp, ConnectionDown, Dwa, NonDwa, Timer] {
                    let mut watchdog = Watchdog { state, is_pending, dwa_count };
                    let actions = watchdog.handle(event);
                    let Watchdog { state: next, is_pending: p, dwa_count: n } = watchdog;
                    writeln!(
                        table,
                        "{state:?} pending={is_pending} dwa={dwa_count} + {event:?} -> {next:?} pending={p} dwa={n} {actions:?}"
                    )
                    .unwrap();
                }
            }
        }
        let recorded = include_str!("watchdog/table.txt");
        assert_eq!(table, recorded, "the table changed; if that is wanted, record this:\n{table}");
    }

    #[test]
    fn a_silent_peer_is_suspected_after_one_lost_dwr_and_closed_after_another_tw() {
        let mut watchdog = Watchdog::default();
        watchdog.handle(ConnectionUp);
        assert_eq!(watchdog.handle(Timer), [WatchdogAction::SendWatchdog, WatchdogAction::SetWatchdog]);
        assert_eq!(watchdog.handle(Timer), [WatchdogAction::Failover, WatchdogAction::SetWatchdog]);
        assert_eq!(watchdog.handle(Timer), [WatchdogAction::CloseConnection]);
        assert_eq!(watchdog.state(), Down);
    }

    #[test]
    fn a_peer_that_comes_back_is_trusted_after_three_dwas() {
        let mut watchdog = Watchdog::default();
        watchdog.handle(ConnectionUp);
        watchdog.handle(ConnectionDown);
        watchdog.handle(ConnectionUp);
        for _ in 0..2 {
            watchdog.handle(Dwa);
            assert_eq!(watchdog.state(), Reopen);
            watchdog.handle(Timer);
        }
        assert_eq!(watchdog.handle(Dwa), [WatchdogAction::Failback]);
        assert_eq!(watchdog.state(), Okay);
    }
}
