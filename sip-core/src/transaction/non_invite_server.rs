//! The non-INVITE server transaction (RFC 3261 §17.2.2, figure 8).
//!
//! ```text
//!            request: pass
//!             +--------+
//!             | Trying |  request again: nothing
//!             +--------+
//!       1xx: send |   | 200-699: send, arm J
//!                 v   +-------------------+
//!          +------------+                 v           J
//!          | Proceeding |--------->+-----------+---------->+------------+
//!          +------------+          | Completed |           | Terminated |
//!  request again: resend           +-----------+           +------------+
//!                                  request again: resend
//! ```

use super::{Action::*, Class, Step, Timer, step};

/// A state of figure 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No response yet.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// A final response was sent.
    Completed,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The request again.
    Request,
    /// The transaction user sends a response.
    Respond(Class),
    /// A timer fired.
    Timer(Timer),
    /// The response could not be sent.
    TransportError,
}

/// The next step. `Send` sends the response at hand for [`Event::Respond`], else the last one sent.
pub fn on(state: State, event: Event) -> Step<State> {
    use State::*;
    match (state, event) {
        (Trying | Proceeding, Event::Respond(Class::Provisional)) => step(Proceeding, &[Send]),
        (Trying | Proceeding, Event::Respond(Class::Success | Class::Failure)) => {
            step(Completed, &[Send, Arm(Timer::J)])
        }
        (Proceeding | Completed, Event::Request) => step(state, &[Send]),
        (Completed, Event::Timer(Timer::J)) => step(Terminated, &[Terminate]),
        // A retransmission before any response is absorbed; a second final response is not sent.
        (Trying, Event::Request)
        | (Completed, Event::Respond(_))
        // Kept, so that a retransmission over another connection can still be answered (RFC 3261 §18.2.2).
        | (Trying | Proceeding | Completed, Event::TransportError)
        | (Trying | Proceeding | Completed, Event::Timer(_))
        | (Terminated, _) => step(state, &[]),
    }
}
