//! Release by the network: sessions of a user whose registration the network ended (TS 24.229 §5.4.5.1).

use super::dialog::{Session, SessionId};
use crate::registrar::registrations::Registration;
use crate::role::Scscf;
use crate::waiting::Waiting;
use cscf::{Target, Turn};
use sip_core::Status;

/// Why sessions are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The registration of the user was ended by an operator or the HSS.
    ByNetwork,
}

impl Ended {
    /// The Reason header field (RFC 3326).
    const fn reason(self) -> &'static str {
        match self {
            Ended::ByNetwork => "SIP;cause=480;text=\"registration ended\"",
        }
    }
}

impl Scscf {
    /// Ends every session of the users of a registration: a BYE both ways, or an answer to an INVITE that has none.
    pub(crate) fn release_sessions(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        registration: &Registration,
        why: Ended,
    ) {
        let ids: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| registration.identity(&session.impu).is_some())
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            if let Some(session) = self.sessions.remove(id) {
                release(turn, &session, why);
            }
        }
    }
}

fn release(turn: &mut Turn<'_, Scscf>, session: &Session, why: Ended) {
    turn.count("session", "released");
    if let Some(timer) = session.timer {
        turn.disarm(timer);
    }
    if let Some(context) = session.context {
        turn.reply_to(context, Status::TEMPORARILY_UNAVAILABLE, |response| {
            response.header(sip_core::Name::Reason, why.reason())
        });
    }
    for (bye, first_hop) in session.byes(why.reason()) {
        turn.originate(bye, Target::Uri(first_hop), Waiting::Bye);
    }
}
