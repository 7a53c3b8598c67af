//! One thing under way: a registration, a text or a call, with both its ends.

use crate::measure::Cause;
use crate::scenario::Scenario;
use crate::transport::Transport;
use ambient::Instant;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where an operation is, seen from who began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is under way in this slot.
    Free,
    /// A REGISTER was sent; a challenge may come.
    Registering,
    /// A challenge has come, and its answer waits for its time.
    Pausing,
    /// The REGISTER with the answer was sent.
    Answering,
    /// A MESSAGE was sent.
    Sending,
    /// An INVITE was sent.
    Inviting,
    /// The call stands.
    Talking,
    /// A BYE was sent.
    Releasing,
}

/// Where a call or text is, seen from who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// Nothing has come.
    Nothing,
    /// 180 was sent.
    Ringing,
    /// 200 was sent, and no ACK has come.
    Answered,
    /// The ACK has come; or a text has.
    Confirmed,
    /// The BYE has come.
    Released,
}

/// A message that is sent again until something stops it (RFC 3261 §17.1.1.2 Timer A, §17.1.2.2 Timer E, §13.3.1.4).
#[derive(Debug)]
pub(crate) struct Resend {
    /// What.
    pub(crate) bytes: Vec<u8>,
    /// When next; `None` once it is stopped.
    pub(crate) due: Option<Instant>,
    /// The pause after that.
    pub(crate) pause: Duration,
    /// When there is no hope left.
    pub(crate) until: Instant,
}

impl Resend {
    fn new() -> Resend {
        Resend { bytes: Vec::new(), due: None, pause: Duration::ZERO, until: Instant::START }
    }

    /// Begins to wait for an answer; the first repetition is after `t1`, and over a reliable transport there is none.
    pub(crate) fn begin(&mut self, now: Instant, t1: Duration, transport: Transport) -> Instant {
        self.pause = t1 * 2;
        self.until = now + t1 * TRIES_T1;
        let due = if transport.is_reliable() { self.until } else { now + t1 };
        self.due = Some(due);
        due
    }

    /// Stops.
    pub(crate) fn stop(&mut self) {
        self.due = None;
    }
}

/// Which end of an operation a timer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Caller,
    Called,
}

/// One operation. A slot is used again and again, and keeps its buffers.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) generation: u32,
    pub(crate) scenario: Scenario,
    pub(crate) step: Step,
    pub(crate) called: Called,
    /// Whether it counts.
    pub(crate) is_measured: bool,
    /// Whether nobody asked for it: a UE registers so that others can be called.
    pub(crate) is_background: bool,
    pub(crate) ue: u32,
    /// Who is called or written to.
    pub(crate) peer: u32,
    pub(crate) scheduled: Instant,
    /// When the present request was sent for the first time.
    pub(crate) sent: Instant,
    /// What the scenario took, once that is known.
    pub(crate) latency: Option<Duration>,
    /// What went wrong at the called end.
    pub(crate) fault: Option<Cause>,
    /// Of the last branch.
    pub(crate) sequence: u16,
    /// Of the INVITE's branch, for its ACK.
    pub(crate) invite_sequence: u16,
    /// The present request; while talking, nothing.
    pub(crate) request: Resend,
    /// The ACK, for each 200 that comes again.
    pub(crate) ack: Vec<u8>,
    /// Authorization of the present REGISTER, which is kept when it is accepted.
    pub(crate) authorization: Vec<u8>,
    /// Of the dialog: Route header lines, the remote target, and To with its tag.
    pub(crate) routes: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) to: Vec<u8>,
    /// The called UE's last response, and where it goes.
    pub(crate) response: Resend,
    pub(crate) response_remote: SocketAddr,
}

impl Operation {
    pub(crate) fn new() -> Operation {
        Operation {
            generation: 0,
            scenario: Scenario::Register,
            step: Step::Free,
            called: Called::Nothing,
            is_measured: false,
            is_background: false,
            ue: 0,
            peer: 0,
            scheduled: Instant::START,
            sent: Instant::START,
            latency: None,
            fault: None,
            sequence: 0,
            invite_sequence: 0,
            request: Resend::new(),
            ack: Vec::new(),
            authorization: Vec::new(),
            routes: Vec::new(),
            target: Vec::new(),
            to: Vec::new(),
            response: Resend::new(),
            response_remote: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        }
    }

    /// The slot is taken for something new.
    pub(crate) fn begin(&mut self, scenario: Scenario, ue: u32, peer: u32, scheduled: Instant) {
        self.scenario = scenario;
        self.ue = ue;
        self.peer = peer;
        self.scheduled = scheduled;
        self.called = Called::Nothing;
        self.is_measured = false;
        self.is_background = false;
        self.latency = None;
        self.fault = None;
        self.sequence = 0;
        self.invite_sequence = 0;
        self.request.stop();
        self.response.stop();
        for buffer in
            [&mut self.ack, &mut self.authorization, &mut self.routes, &mut self.target, &mut self.to]
        {
            buffer.clear();
        }
    }

    /// The slot is free again: what comes for it from here on is not for the next one.
    pub(crate) fn end(&mut self) {
        self.step = Step::Free;
        self.generation = self.generation.wrapping_add(1);
        self.request.stop();
        self.response.stop();
    }

    /// The method of the present request.
    pub(crate) fn method(&self) -> &'static str {
        match self.step {
            Step::Registering | Step::Pausing | Step::Answering => "REGISTER",
            Step::Sending => "MESSAGE",
            Step::Inviting => "INVITE",
            Step::Releasing | Step::Talking | Step::Free => "BYE",
        }
    }
}

/// Timers B, F and H: 64·T1 (RFC 3261 §17).
pub(crate) const TRIES_T1: u32 = 64;
