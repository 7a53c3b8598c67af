//! The non-INVITE client transaction (RFC 3261 §17.1.2, figure 6).
//!
//! ```text
//!                    request sent, arm E and F
//!       1xx: pass     +--------+   E: resend, double to T2
//!   +-----------------| Trying |----------------------+ F: timeout, or transport error
//!   v                 +--------+                      v
//! +------------+        | 200-699: pass         +------------+
//! | Proceeding |-----+  v                       | Terminated |
//! +------------+  +-----------+       K         +------------+
//!   E: resend, T2 | Completed |---------------------->^
//!                 +-----------+
//! ```

use super::{Action, Action::*, Class, Step, Timer, step};

/// A state of figure 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No response yet.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; its retransmissions are absorbed.
    Completed,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A response matched.
    Response(Class),
    /// A timer fired.
    Timer(Timer),
    /// The message could not be sent.
    TransportError,
}

/// What to do when it starts.
pub const START: &[Action] = &[Send, Arm(Timer::E), Arm(Timer::F)];

/// The next step.
pub fn on(state: State, event: Event) -> Step<State> {
    use State::*;
    match (state, event) {
        (Trying | Proceeding, Event::Timer(Timer::E)) => step(state, &[Send, Rearm(Timer::E)]),
        (Trying | Proceeding, Event::Timer(Timer::F)) => {
            step(Terminated, &[Disarm(Timer::E), Timeout, Terminate])
        }
        (Trying | Proceeding, Event::Response(Class::Provisional)) => step(Proceeding, &[Pass]),
        (Trying | Proceeding, Event::Response(Class::Success | Class::Failure)) => {
            step(Completed, &[Disarm(Timer::E), Disarm(Timer::F), Arm(Timer::K), Pass])
        }
        (Completed, Event::Timer(Timer::K)) => step(Terminated, &[Terminate]),
        (Trying | Proceeding, Event::TransportError) => {
            step(Terminated, &[Disarm(Timer::E), Disarm(Timer::F), Timeout, Terminate])
        }
        // Retransmitted finals are absorbed; timers that a race left behind do nothing.
        (Completed, Event::Response(_) | Event::TransportError)
        | (Trying | Proceeding | Completed, Event::Timer(_))
        | (Terminated, _) => step(state, &[]),
    }
}
