//! The INVITE client transaction (RFC 3261 §17.1.1, figure 5, as changed by RFC 6026 §8.4).
//!
//! ```text
//!                     INVITE sent, arm A and B
//!        1xx           +---------+   A: resend, double
//!     +----------------| Calling |----------------------+ B: timeout, or transport error
//!     v                +---------+                      v
//! +------------+  300-699: ACK  +-----------+   D   +------------+
//! | Proceeding |--------------->| Completed |------>| Terminated |
//! +------------+                +-----------+       +------------+
//!     | 2xx        +----------+      ^ 300-699: ACK        ^
//!     +----------->| Accepted |------+---------------------+ M
//!                  +----------+ 2xx: pass
//! ```

use super::{Action, Action::*, Class, Step, Timer, step};

/// A state of figure 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No response yet.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A final response of 300 or above came; its retransmissions are acknowledged again.
    Completed,
    /// A 2xx came; its retransmissions, and those of other branches, are passed (RFC 6026 §7.2).
    Accepted,
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

/// What to do when it starts in [`State::Proceeding`], at a server that has the request as soon as it is sent: in the same
/// process, where a 100 (Trying) has nothing to stop.
pub const START_HEARD: &[Action] = &[Send];

/// What to do when it starts.
pub const START: &[Action] = &[Send, Arm(Timer::A), Arm(Timer::B)];

/// The next step.
pub fn on(state: State, event: Event) -> Step<State> {
    use State::*;
    match (state, event) {
        (Calling, Event::Timer(Timer::A)) => step(Calling, &[Send, Rearm(Timer::A)]),
        (Calling, Event::Timer(Timer::B)) => step(Terminated, &[Timeout, Terminate]),
        (Calling, Event::Response(Class::Provisional)) => {
            // Timer B stops here: a proxy's Timer C takes over (RFC 3261 §16.6 step 11, §17.1.1.2).
            step(Proceeding, &[Disarm(Timer::A), Disarm(Timer::B), Pass])
        }
        (Proceeding, Event::Response(Class::Provisional)) => step(Proceeding, &[Pass]),
        (Calling | Proceeding, Event::Response(Class::Success)) => {
            step(Accepted, &[Disarm(Timer::A), Disarm(Timer::B), Arm(Timer::M), Pass])
        }
        (Calling | Proceeding, Event::Response(Class::Failure)) => {
            step(Completed, &[Disarm(Timer::A), Disarm(Timer::B), SendAck, Arm(Timer::D), Pass])
        }
        (Completed, Event::Response(Class::Failure)) => step(Completed, &[SendAck]),
        (Completed, Event::Timer(Timer::D)) => step(Terminated, &[Terminate]),
        (Accepted, Event::Response(Class::Success)) => step(Accepted, &[Pass]),
        (Accepted, Event::Timer(Timer::M)) => step(Terminated, &[Terminate]),
        (Calling, Event::TransportError) => {
            step(Terminated, &[Disarm(Timer::A), Disarm(Timer::B), Timeout, Terminate])
        }
        // The ACK could not be sent: RFC 3261 §17.1.1.2 informs the user; the final response has already been passed.
        (Completed, Event::TransportError) => step(Terminated, &[Disarm(Timer::D), Terminate]),
        // Responses that come too late for the state, and timers that a race left behind.
        (Completed, Event::Response(Class::Provisional | Class::Success))
        | (Accepted, Event::Response(Class::Provisional | Class::Failure))
        | (Proceeding | Accepted, Event::TransportError)
        | (Calling | Proceeding | Completed | Accepted, Event::Timer(_))
        | (Terminated, _) => step(state, &[]),
    }
}
