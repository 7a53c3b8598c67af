//! What the user of a UE can ask for, and what the user is told.

use crate::config::Policy;
use cscf::reginfo::Reginfo;
use sip_core::Status;
use std::fmt;

/// Names one call of a UE. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallNumber(pub u32);

/// What the user of a UE can ask for.
///
/// Where a call is optional, `None` means the newest one that the command fits.
#[derive(Clone, Debug)]
pub enum Command {
    /// Register, or refresh the registration.
    Register,
    /// De-register this contact.
    Deregister,
    /// De-register every contact of this UE (`Contact: *`).
    DeregisterAll,
    /// Call somebody.
    Call {
        /// A SIP or tel URI.
        to: String,
        /// The SDP offer; the UE's own audio offer when `None`.
        offer: Option<Vec<u8>>,
    },
    /// Answer a ringing call.
    Answer {
        /// Which.
        call: Option<CallNumber>,
    },
    /// Refuse a ringing call.
    Reject {
        /// Which.
        call: Option<CallNumber>,
        /// With what.
        status: Status,
    },
    /// End a call: CANCEL before the answer, BYE after it.
    Hangup {
        /// Which.
        call: Option<CallNumber>,
    },
    /// Put a call on hold by a re-INVITE (TS 24.610: `sendonly`).
    Hold {
        /// Which.
        call: Option<CallNumber>,
    },
    /// Take a call off hold by a re-INVITE.
    Resume {
        /// Which.
        call: Option<CallNumber>,
    },
    /// Send an UPDATE with an offer in a call (RFC 3311).
    Update {
        /// Which.
        call: Option<CallNumber>,
    },
    /// Send a pager-mode MESSAGE (RFC 3428).
    Message {
        /// A SIP or tel URI.
        to: String,
        /// The text.
        text: String,
    },
    /// Send an OPTIONS.
    Options {
        /// A SIP or tel URI.
        to: String,
    },
    /// Behave differently from here on.
    SetPolicy(Policy),
}

/// What the user of a UE is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The network has registered the UE, or refreshed its registration.
    Registered {
        /// The identities of P-Associated-URI; the first is the default one.
        identities: Vec<String>,
        /// The Service-Route, top first.
        service_route: Vec<String>,
        /// What the network granted.
        expires_s: u32,
        /// Whether this was a refresh.
        refresh: bool,
    },
    /// A registration or a refresh failed.
    RegistrationFailed(RegistrationFailure),
    /// The UE is no longer registered.
    Deregistered(Deregistration),
    /// What the network tells of the registration that the UE watches.
    RegistrationTold(Reginfo),
    /// The registration is not watched, or no longer; the response that says so, where one came.
    NotWatched(Option<Status>),
    /// An outgoing call was started.
    Calling {
        /// Its number.
        call: CallNumber,
    },
    /// The called phone rings.
    Ringing {
        /// Its number.
        call: CallNumber,
    },
    /// A call came in; the phone rings, unless the policy refused it.
    IncomingCall {
        /// Its number.
        call: CallNumber,
        /// The caller, as the network asserts it, else as From has it.
        from: String,
        /// The identity that was called (P-Called-Party-ID, else To).
        called: String,
    },
    /// A call is set up.
    Established {
        /// Its number.
        call: CallNumber,
        /// The other end's session description as last received; empty when there was none.
        remote_sdp: Vec<u8>,
    },
    /// The session of a call was changed by a re-INVITE or an UPDATE with an offer, of ours or of the other end.
    Changed {
        /// Its number.
        call: CallNumber,
        /// The other end's session description.
        remote_sdp: Vec<u8>,
    },
    /// A session change of ours was refused; the session goes on as it was.
    ChangeRefused {
        /// Its number.
        call: CallNumber,
        /// The response.
        status: Status,
    },
    /// A call is over, or was never set up.
    Ended {
        /// Its number.
        call: CallNumber,
        /// Why.
        ending: Ending,
    },
    /// A MESSAGE came.
    MessageReceived {
        /// The sender, as the network asserts it, else as From has it.
        from: String,
        /// The text.
        text: String,
    },
    /// A MESSAGE was delivered, or accepted for delivery.
    MessageSent {
        /// The receiver.
        to: String,
        /// 200 or 202.
        status: Status,
    },
    /// A MESSAGE was not delivered.
    MessageFailed {
        /// The receiver.
        to: String,
        /// Why not.
        failure: RequestFailure,
    },
    /// An OPTIONS was answered.
    OptionsAnswered {
        /// Whom we asked.
        to: String,
        /// The response, or its absence.
        outcome: Result<Status, RequestFailure>,
    },
    /// A command did not fit: no such call, not registered, text too long.
    Refused {
        /// Which command.
        command: &'static str,
        /// Why.
        why: &'static str,
    },
}

/// Why a registration failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationFailure {
    /// The network refused.
    Refused {
        /// The final response.
        status: Status,
        /// Its reason phrase, or the text of its Warning.
        reason: String,
    },
    /// No final response.
    Timeout,
    /// The P-CSCF could not be reached.
    Unreachable(&'static str),
    /// The challenge cannot be answered.
    Challenge(&'static str),
}

impl RegistrationFailure {
    /// The status of the final response, where there was one.
    pub fn status(&self) -> Option<Status> {
        match self {
            RegistrationFailure::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl fmt::Display for RegistrationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistrationFailure::Refused { status, reason } => write!(f, "{status} {reason}"),
            RegistrationFailure::Timeout => f.write_str("no answer to REGISTER"),
            RegistrationFailure::Unreachable(why) => write!(f, "P-CSCF unreachable: {why}"),
            RegistrationFailure::Challenge(why) => write!(f, "challenge not answered: {why}"),
        }
    }
}

/// How a registration came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deregistration {
    /// The user asked for it and the network agreed.
    Confirmed,
    /// The user asked for it; the network did not answer, or refused. The UE has forgotten it.
    Unconfirmed,
    /// It expired before a refresh succeeded.
    Expired,
    /// The network ended it, and told a UE that watches it.
    ByNetwork,
}

/// Why a request outside a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestFailure {
    /// A final response of 300 or above.
    Refused(Status),
    /// No final response.
    Timeout,
    /// It could not be sent.
    Unreachable(&'static str),
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestFailure::Refused(status) => write!(f, "{status:?}"),
            RequestFailure::Timeout => f.write_str("no answer"),
            RequestFailure::Unreachable(why) => f.write_str(why),
        }
    }
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// We hung up, refused or cancelled.
    Local,
    /// The other end hung up.
    Remote,
    /// The caller gave up before the answer.
    Cancelled,
    /// The call was refused.
    Refused {
        /// The final response.
        status: Status,
        /// Its reason phrase.
        reason: String,
    },
    /// No final response to the INVITE.
    NoAnswer,
    /// The INVITE could not be sent.
    Unreachable(&'static str),
    /// Our 2xx was never acknowledged (RFC 3261 §13.3.1.4).
    NoAck,
    /// Nobody refreshed the session (RFC 4028 §10).
    SessionExpired,
    /// The other end broke the protocol.
    Protocol(&'static str),
}
