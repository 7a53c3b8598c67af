//! The INVITE server transaction (RFC 3261 §17.2.1, figure 7, as changed by RFC 6026 §8.5 and §7.1).
//!
//! ```text
//!                  INVITE: pass
//!                 +------------+  INVITE again: resend last provisional
//!    2xx: send    | Proceeding |  1xx: send
//!  +--------------+------------+-----------------+ 300-699: send, arm G and H
//!  v                                             v
//! +----------+ INVITE again: nothing      +-----------+ INVITE again, or G: resend
//! | Accepted | 2xx: send, ACK: pass       | Completed | H: timeout
//! +----------+                            +-----------+------------+
//!  | L                                      | ACK                  |
//!  |                +-----------+           v                      v
//!  +---------+      | Confirmed |<----------+               +------------+
//!            |      +-----------+------------ I ----------->| Terminated |
//!            +-----------------------------------------------------^
//! ```

use super::{Action::*, Class, Step, Timer, step};

/// A state of figure 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No final response yet.
    Proceeding,
    /// A final response of 300 or above was sent; waits for the ACK.
    Completed,
    /// The ACK came; its retransmissions are absorbed.
    Confirmed,
    /// A 2xx was sent; retransmitted INVITEs are absorbed (RFC 6026 §7.1).
    Accepted,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The INVITE again.
    Request,
    /// The ACK of the same transaction.
    Ack,
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
        (Proceeding, Event::Request) => step(Proceeding, &[Send]),
        (Proceeding, Event::Respond(Class::Provisional)) => step(Proceeding, &[Send]),
        (Proceeding, Event::Respond(Class::Success)) => step(Accepted, &[Send, Arm(Timer::L)]),
        (Proceeding, Event::Respond(Class::Failure)) => {
            step(Completed, &[Send, Arm(Timer::G), Arm(Timer::H)])
        }
        (Accepted, Event::Respond(Class::Success)) => step(Accepted, &[Send]),
        (Accepted, Event::Ack) => step(Accepted, &[Pass]),
        (Accepted, Event::Timer(Timer::L)) => step(Terminated, &[Terminate]),
        (Completed, Event::Request) => step(Completed, &[Send]),
        (Completed, Event::Timer(Timer::G)) => step(Completed, &[Send, Rearm(Timer::G)]),
        (Completed, Event::Timer(Timer::H)) => step(Terminated, &[Disarm(Timer::G), Timeout, Terminate]),
        (Completed, Event::Ack) => step(Confirmed, &[Disarm(Timer::G), Disarm(Timer::H), Arm(Timer::I)]),
        (Confirmed, Event::Timer(Timer::I)) => step(Terminated, &[Terminate]),
        // The response cannot reach the client; its retransmissions may still ask for it (RFC 6026 §8.8), and Timer H
        // or L ends the transaction.
        (Proceeding | Completed | Confirmed | Accepted, Event::TransportError)
        // Retransmissions that a later state absorbs.
        | (Accepted | Confirmed, Event::Request)
        | (Proceeding | Confirmed, Event::Ack)
        // A transaction answers once: a second final response, or a provisional after a final, is not sent.
        | (Completed | Confirmed, Event::Respond(_))
        | (Accepted, Event::Respond(Class::Provisional | Class::Failure))
        | (Proceeding | Completed | Confirmed | Accepted, Event::Timer(_))
        | (Terminated, _) => step(state, &[]),
    }
}
