//! What the HSS asks: Registration-Termination and Push-Profile (TS 29.228 §6.1.3, §6.2.2).

use super::assignment::USER_DATA_MAX;
use super::binding::{Binding, Change};
use super::implicit_set::ImplicitSet;
use super::record;
use super::registrations::{Registration, RegistrationId, Registrations, State};
use crate::role::Scscf;
use crate::waiting::{Cause, Waiting};
use cscf::Turn;
use cscf::identity::{Impi, Impu};
use cscf::query::Query;
use diameter_client::cx::{CxAnswer, CxRequest, CxResult, EmergencyIdentity, Ppr, ReasonCode, Rta, Rtr};
use diameter_client::endpoint::RequestId;
use smallvec::SmallVec;

impl Scscf {
    /// A request of the HSS; its answer leaves when what it changed is stored.
    pub(crate) fn hss_asks(&mut self, turn: &mut Turn<'_, Scscf>, id: RequestId, request: CxRequest) {
        let outcome = match &request {
            CxRequest::Rtr(rtr) => return self.rtr(turn, id, rtr),
            CxRequest::Ppr(ppr) => self.push(turn, ppr),
            _ => Err(CxResult::COMMAND_UNSUPPORTED),
        };
        match outcome {
            Err(result) => turn.answer_peer(id, request.refuse(result)),
            Ok(records) if records.is_empty() => turn.answer_peer(id, request.refuse(CxResult::SUCCESS)),
            Ok(records) => {
                let answer = Box::new(request.refuse(CxResult::SUCCESS));
                let refusal = Box::new(request.refuse(CxResult::UNABLE_TO_COMPLY));
                turn.query(Query::Store(records), Waiting::StoredForPeer { id, answer, refusal });
            }
        }
    }

    fn rtr(&mut self, turn: &mut Turn<'_, Scscf>, id: RequestId, rtr: &Rtr) {
        let (records, answer) = self.terminate(turn, rtr);
        if records.is_empty() {
            return turn.answer_peer(id, CxAnswer::Rta(answer));
        }
        let refusal = Rta { result: CxResult::UNABLE_TO_COMPLY, ..Rta::default() };
        let (answer, refusal) = (Box::new(CxAnswer::Rta(answer)), Box::new(CxAnswer::Rta(refusal)));
        turn.query(Query::Store(records), Waiting::StoredForPeer { id, answer, refusal });
    }

    /// Ends registrations. The HSS has changed its state already, so that no SAR follows (TS 29.228 §6.1.3.1). Those for
    /// emergencies stay, and the answer names them, unless another S-CSCF has the user.
    fn terminate(&mut self, turn: &mut Turn<'_, Scscf>, rtr: &Rtr) -> (Vec<cscf::query::Record>, Rta) {
        let mut impis = vec![Impi::new(rtr.user_name.clone())];
        impis.extend(rtr.associated_identities.iter().cloned().map(Impi::new));
        turn.count("registration", "ended by the hss");
        let (mut records, mut has_ended, mut kept) = (Vec::new(), false, Vec::new());
        let keeps_emergencies =
            matches!(rtr.reason.code, ReasonCode::PermanentTermination | ReasonCode::RemoveScscf);
        for id in named(&self.registrations, rtr, &impis) {
            let Some(registration) = self.registrations.get(id) else { continue };
            if keeps_emergencies {
                kept.extend(emergencies(registration, &impis));
            }
            if rtr.reason.code == ReasonCode::RemoveScscf && registration.state == State::Registered {
                // Only the data of users who are not registered is to go.
                continue;
            }
            let is_ended = |binding: &Binding| {
                impis.iter().any(|impi| binding.is_of(impi)) && !(binding.is_emergency && keeps_emergencies)
            };
            let (ended, stay): (SmallVec<[Binding; 1]>, SmallVec<[Binding; 1]>) =
                registration.bindings.iter().cloned().partition(is_ended);
            let is_over = stay.iter().all(|binding| binding.is_emergency);
            has_ended |= !ended.is_empty();
            match told(rtr.reason.code) {
                Some(change) => ended.iter().for_each(|binding| self.note(id, binding, change)),
                None if is_over => self.forget_subscriptions(turn, id),
                None => {}
            }
            self.registrations.bind(id, stay);
            // TS 29.228 §6.1.3.1: with another S-CSCF in charge the data goes silently, and calls may run on.
            let cause = match rtr.reason.code {
                ReasonCode::PermanentTermination | ReasonCode::RemoveScscf => Cause::Hss,
                ReasonCode::NewServerAssigned | ReasonCode::ServerChange => Cause::Moved,
            };
            if cause == Cause::Hss && !ended.is_empty() && !is_over {
                self.release_contacts(turn, id, &ended);
            }
            records.extend(self.keep_or_drop(turn, id, cause));
            self.tell_subscribers(turn, id);
        }
        for impi in &impis {
            self.authentications.forget(impi);
        }
        let result = match (kept.is_empty(), has_ended) {
            (true, _) => CxResult::SUCCESS,
            (false, true) => CxResult::LIMITED_SUCCESS,
            (false, false) => CxResult::UNABLE_TO_COMPLY,
        };
        (records, Rta { result, emergency_identities: kept, ..Rta::default() })
    }

    /// Tells the subscribers of a registration that its set has other identities than before (TS 29.228 §6.5.2.1).
    fn tell_of_identities(&mut self, turn: &mut Turn<'_, Scscf>, id: RegistrationId, before: Vec<Box<str>>) {
        if self.subscriptions.is_empty() {
            return;
        }
        let Some(registration) = self.registrations.get(id) else { return };
        let after = told_identities(&registration.set);
        if after == before {
            return;
        }
        let gone: Vec<Box<str>> = before.into_iter().filter(|identity| !after.contains(identity)).collect();
        self.note_identities(id, &gone);
        self.tell_subscribers(turn, id);
    }

    /// Takes a new profile over, whole or not at all (TS 29.228 §6.5.2.1).
    fn push(&mut self, turn: &mut Turn<'_, Scscf>, ppr: &Ppr) -> Result<Vec<cscf::query::Record>, CxResult> {
        let impi = Impi::new(ppr.user_name.clone());
        let id = match &ppr.user_data {
            None => self.registrations.of_impi(&impi).map(|(id, _)| id).min(),
            Some(xml) if xml.len() > USER_DATA_MAX => {
                turn.count("profile refused", "too long");
                return Err(CxResult::TOO_MUCH_DATA);
            }
            Some(xml) => {
                let pushed = self.registrations.read(xml).map_err(|fault| {
                    turn.count("profile refused", fault.cause());
                    // TS 29.228 §6.2.2: the HSS learns whether it was what, or how much.
                    match fault.is_too_much() {
                        true => CxResult::TOO_MUCH_DATA,
                        false => CxResult::NOT_SUPPORTED_USER_DATA,
                    }
                })?;
                // An empty set, or one without a default identity, is ended by an RTR.
                let default = pushed.default_identity().ok_or(CxResult::NOT_SUPPORTED_USER_DATA)?;
                let (id, registration) = self.registrations.find(&default).ok_or(CxResult::USER_UNKNOWN)?;
                if registration.default_identity().is_some_and(|stands| stands != default) {
                    // A PPR cannot change the default identity.
                    return Err(CxResult::UNABLE_TO_COMPLY);
                }
                let before = told_identities(&registration.set);
                self.withdraw(turn, id);
                self.registrations.replace_set(id, pushed);
                self.announce(turn, id);
                self.tell_of_identities(turn, id, before);
                Some(id)
            }
        };
        let id = id.ok_or(CxResult::USER_UNKNOWN)?;
        if let Some(charging) = &ppr.charging_information {
            self.registrations.charge(id, charging.clone());
        }
        let Some(registration) = self.registrations.get(id) else { return Err(CxResult::USER_UNKNOWN) };
        turn.count("registration", "profile pushed");
        if registration.bindings.is_empty() {
            return Ok(Vec::new());
        }
        let now = ambient::Now { instant: turn.now(), wall: turn.wall() };
        Ok(vec![record::of(registration, now)])
    }
}

/// Who of `impis` has a contact for emergencies, with an identity of the set.
fn emergencies<'a>(
    registration: &'a Registration,
    impis: &'a [Impi],
) -> impl Iterator<Item = EmergencyIdentity> {
    let bound = |impi: &&Impi| {
        registration.bindings.iter().any(|binding| binding.is_emergency && binding.is_of(impi))
    };
    impis.iter().filter(bound).map(|impi| EmergencyIdentity {
        user_name: impi.as_str().to_owned(),
        public_identity: registration.key().to_owned(),
    })
}

/// What subscribers hear of a contact that an RTR ends (TS 24.229 §5.4.1.5); nothing where another S-CSCF has the user.
fn told(reason: ReasonCode) -> Option<Change> {
    match reason {
        // The subscription is over: whoever registers again is refused.
        ReasonCode::PermanentTermination => Some(Change::Rejected),
        // The UE registers anew, and the I-CSCF chooses another S-CSCF.
        ReasonCode::ServerChange => Some(Change::Deactivated),
        ReasonCode::NewServerAssigned => None,
        // It is about users who are not registered.
        ReasonCode::RemoveScscf => Some(Change::Deactivated),
    }
}

/// The identities of a set that subscribers hear of.
fn told_identities(set: &ImplicitSet) -> Vec<Box<str>> {
    set.associated().map(|identity| Box::from(identity.as_str())).collect()
}

/// The registrations that an RTR means: those of its public identities, or else all of its private ones.
fn named(registrations: &Registrations, rtr: &Rtr, impis: &[Impi]) -> Vec<RegistrationId> {
    let mut ids: Vec<RegistrationId> = match rtr.public_identities.is_empty() {
        true => impis.iter().flat_map(|impi| registrations.of_impi(impi)).map(|(id, _)| id).collect(),
        false => rtr
            .public_identities
            .iter()
            .filter_map(|identity| registrations.find(&Impu::parse(identity.as_bytes())?).map(|(id, _)| id))
            .collect(),
    };
    ids.sort();
    ids.dedup();
    ids
}
