//! The four transaction machines of RFC 3261 §17, with RFC 6026, as pure tables.
//!
//! Each machine is a function from a state and an event to the next state and what to do. The owner (the node of a
//! CSCF) keeps the buffers and arms the timers; the machines know neither messages nor time. A transaction that has
//! ended is removed by its owner at [`Action::Terminate`].

pub mod invite_client;
pub mod invite_server;
pub mod non_invite_client;
pub mod non_invite_server;
pub mod timing;

pub use timing::{Timer, Timing};

/// What the owner of a transaction does at a step, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the stored message: the request of a client, the last response of a server.
    Send,
    /// Send the ACK to a final response of 300 or above (RFC 3261 §17.1.1.3).
    SendAck,
    /// Hand the response, or the request, to the transaction user.
    Pass,
    /// Arm a timer with its first value.
    Arm(Timer),
    /// Arm a retransmission timer with its next value.
    Rearm(Timer),
    /// Disarm a timer.
    Disarm(Timer),
    /// Tell the transaction user that no final response came (client), or no ACK (server).
    Timeout,
    /// The transaction has ended.
    Terminate,
}

/// How a machine moves on: the next state, and what to do on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<S> {
    /// The state from here on.
    pub state: S,
    /// What to do, in order.
    pub actions: &'static [Action],
}

const fn step<S>(state: S, actions: &'static [Action]) -> Step<S> {
    Step { state, actions }
}

/// What a final or provisional response is to a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 100 to 199.
    Provisional,
    /// 200 to 299.
    Success,
    /// 300 to 699.
    Failure,
}

impl Class {
    /// The class of a status code.
    pub const fn of(code: u16) -> Class {
        match code {
            0..=199 => Class::Provisional,
            200..=299 => Class::Success,
            _ => Class::Failure,
        }
    }
}
