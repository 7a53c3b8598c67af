//! Release by the network: sessions of a user whose registration the network ended (TS 24.229 §5.4.5.1).

use super::dialog::SessionId;
use crate::registrar::registrations::Registration;
use crate::role::Scscf;
use crate::waiting::Waiting;
use cscf::{Target, Turn};
use sip_core::{Name, Status};
use std::time::Duration;

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
            let Some(session) = self.sessions.get_mut(id) else { continue };
            turn.count("session", "released");
            if let Some(context) = session.context.take() {
                // The branches ring on until they answer or give up: an answer is ended by `refuse_answer`.
                session.is_released = true;
                turn.reply_to(context, Status::TEMPORARILY_UNAVAILABLE, |response| {
                    response.header(Name::Reason, why.reason())
                });
                self.arm_session(turn, id, RELEASED_KEPT);
                continue;
            }
            for (bye, first_hop) in session.byes(why.reason()) {
                turn.originate(bye, Target::Uri(first_hop), Waiting::Bye);
            }
            self.forget_session(turn, id);
        }
    }

    /// A 2xx for a caller who has been refused already: acknowledged and ended in the caller's place. True when it was
    /// such a one.
    pub(super) fn refuse_answer(&mut self, turn: &mut Turn<'_, Scscf>, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.is_released) else {
            return false;
        };
        if let Some((ack, bye, first_hop)) = session.refusal_of_answer(Ended::ByNetwork.reason()) {
            turn.send_ack(ack, Target::Uri(first_hop.clone()));
            turn.originate(bye, Target::Uri(first_hop), Waiting::Bye);
        }
        true
    }
}

/// Timer C has fired at every branch by then (RFC 3261 §16.6 step 11: more than 3 minutes).
const RELEASED_KEPT: Duration = Duration::from_secs(240);
