//! Release by the network: sessions of a user whose registration the network ended (TS 24.229 §5.4.5.1).

use super::dialog::SessionId;
use crate::registrar::binding::Binding;
use crate::registrar::implicit_set::Identity;
use crate::registrar::registrations::{Registration, RegistrationId};
use crate::registrar::same_uri;
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
    /// Ends every session of the users of a registration: a BYE both ways, or an answer to an INVITE that has
    /// none, whose branches are cancelled.
    pub(crate) fn release_sessions(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        registration: &Registration,
        why: Ended,
    ) {
        for id in self.sessions_of(registration) {
            self.release_session(turn, id, why);
        }
    }

    /// Ends what goes on at contacts that the network took away from a set that others are still registered in: their
    /// sessions, and the branches of calls that ring there.
    pub(crate) fn release_contacts(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        id: RegistrationId,
        ended: &[Binding],
    ) {
        let Some(registration) = self.registrations.get(id) else { return };
        for id in self.sessions_of(registration) {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let has_end_there = ended.iter().any(|binding| session.has_end_at(binding.uri()));
            let Some(context) = session.context.filter(|_| !has_end_there) else {
                if has_end_there {
                    self.release_session(turn, id, Ended::ByNetwork);
                }
                continue;
            };
            session.ringing.retain(|ringing| {
                let rings_on = !ended.iter().any(|binding| binding.is_same(&ringing.binding, same_uri));
                if !rings_on {
                    session.is_curtailed = true;
                    turn.count("session", "branch released");
                    turn.cancel_branch(context, ringing.branch);
                }
                rings_on
            });
        }
    }

    fn sessions_of(&self, registration: &Registration) -> Vec<SessionId> {
        let users = registration.set.identities().iter().filter_map(Identity::canonical);
        users.flat_map(|canonical| self.sessions.of_user(canonical)).collect()
    }

    fn release_session(&mut self, turn: &mut Turn<'_, Scscf>, id: SessionId, why: Ended) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        turn.count("session", "released");
        if let Some(context) = session.context.take() {
            // A 2xx that crosses the CANCEL is ended by `refuse_answer`.
            session.is_released = true;
            turn.reply_to(context, Status::TEMPORARILY_UNAVAILABLE, |response| {
                response.header(Name::Reason, why.reason())
            });
            turn.cancel_branches_of(context);
            return self.arm_session(turn, id, RELEASED_KEPT);
        }
        for (bye, first_hop) in session.byes(why.reason()) {
            turn.originate(bye, Target::Uri(first_hop), Waiting::Bye);
        }
        self.forget_session(turn, id);
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
