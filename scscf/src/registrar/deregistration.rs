//! De-registration: by the UE, by expiry, by the network (TS 24.229 §5.4.1.4, §5.4.1.5).

use super::assignment;
use super::binding::{Binding, Change, Updated};
use super::record;
use super::register::Register;
use super::registrations::{Registration, RegistrationId, State};
use super::saa;
use crate::role::Scscf;
use crate::sessions::release::Ended;
use crate::waiting::{Cause, Notice, Waiting};
use cscf::identity::{Impi, Impu};
use cscf::query::{Query, Record};
use cscf::user_data::RegistrationType;
use cscf::{Incoming, Reject, Turn};
use diameter_client::cx::{
    CxAnswer, CxRequest, CxResult, IMS_RESTORATION_IND, P_CSCF_RESTORATION, SIFC, Sar, ServerAssignmentType,
    SupportedFeatures, UserDataAlreadyAvailable,
};
use diameter_client::endpoint::{CxFailure, Destination};
use smallvec::SmallVec;

impl Scscf {
    /// The HSS answered the SAR by which a UE's last contact goes.
    pub(crate) fn released(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
        authentication_info: Option<String>,
        answer: Result<CxAnswer, CxFailure>,
    ) -> Result<(), Reject> {
        match saa(&answer) {
            Err(failure) => return Err(assignment::unreachable_hss(failure)),
            // The HSS forgot the user before we did: what was asked for is so.
            Ok(saa) if saa.result.is_success() || is_gone(saa.result) => {}
            Ok(saa) => {
                return Err(Reject::new(sip_core::Status::SERVER_INTERNAL_ERROR, "refused by the hss")
                    .detail(format!("{:?}", saa.result)));
            }
        }
        let found = self.registrations.find(&register.impu).map(|(id, _)| id);
        let Some(id) = found else {
            self.accept(turn, request, &register, authentication_info.as_deref());
            return Ok(());
        };
        let Updated { bindings, changes } = self.binding_update(turn, &register)?;
        let heard = self.heard(id, &register.impu, RegistrationType::ReRegistration);
        self.note_all(id, &[], &changes);
        self.registrations.bind(id, bindings);
        let records = self.keep_or_drop(turn, id, Cause::User);
        self.authentications.forget(register.impi());
        turn.query(
            Query::Store(records),
            Waiting::Stored { register, id, created: SmallVec::new(), heard, authentication_info },
        );
        Ok(())
    }

    /// After bindings of `impis` went without their UE asking: tells the HSS of each private identity that has none
    /// left, stores what stays, drops what is empty.
    pub(crate) fn settle(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        id: RegistrationId,
        cause: Cause,
        asked: ServerAssignmentType,
        impis: &[Impi],
    ) {
        let Some(registration) = self.registrations.get(id) else { return };
        let Some(named) = registration.named() else { return };
        let gone: Vec<Impi> =
            impis.iter().filter(|impi| !registration.has_binding_of(impi)).cloned().collect();
        let asked = self.ending(id, asked);
        for impi in &gone {
            self.tell(turn, asked, Some(impi), &named);
            self.authentications.forget(impi);
        }
        let records = self.keep_or_drop(turn, id, cause);
        self.tell_subscribers(turn, id);
        turn.query(Query::Store(records.clone()), Waiting::StoredAlone { records });
        for impi in impis.iter().filter(|impi| !gone.contains(impi)) {
            self.tell_what_changed(turn, id, impi);
        }
    }

    /// How the HSS is told that a user is not registered any more: it keeps us on record where a contact for emergencies
    /// stays (TS 29.228 Annex G).
    pub(super) fn ending(&self, id: RegistrationId, asked: ServerAssignmentType) -> ServerAssignmentType {
        let is_kept = |binding: &Binding| binding.is_emergency;
        if !self.registrations.get(id).is_some_and(|registration| registration.bindings.iter().any(is_kept)) {
            return asked;
        }
        match asked {
            ServerAssignmentType::UserDeregistration => {
                ServerAssignmentType::UserDeregistrationStoreServerName
            }
            ServerAssignmentType::TimeoutDeregistration => {
                ServerAssignmentType::TimeoutDeregistrationStoreServerName
            }
            other => other,
        }
    }

    /// The record of a registration whose bindings changed; without any by which its user is registered it ends, and its
    /// sessions are released where the network ended it. Contacts for emergencies stay.
    pub(crate) fn keep_or_drop(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        id: RegistrationId,
        cause: Cause,
    ) -> Vec<Record> {
        let stands = self.registrations.get(id).is_some_and(|registration| match registration.state {
            State::Registered => registration.ordinary().next().is_some(),
            State::Unregistered => !registration.bindings.is_empty(),
        });
        if stands {
            self.arm_expiry(turn, id);
            return self.stored_form(turn, id).into_iter().collect();
        }
        self.withdraw(turn, id);
        let Some(registration) = self.registrations.remove(id) else { return Vec::new() };
        if let Some(timer) = registration.timer {
            turn.disarm(timer);
        }
        self.end_subscriptions(turn.now(), id, &registration);
        match cause {
            Cause::Expiry | Cause::Hss | Cause::Operator | Cause::Pcscf | Cause::ApplicationServer => {
                self.tell_servers_of_end(turn, id, &registration);
            }
            // They hear after the 200 of the UE, from the other S-CSCF, or never heard of it.
            Cause::User | Cause::Moved | Cause::Store => {}
        }
        if registration.state == State::Registered
            && let Some(impu) = registration.default_identity().or_else(|| registration.named())
        {
            turn.notice(Notice::Deregistered { impu, cause });
        }
        if matches!(cause, Cause::Hss | Cause::Operator | Cause::ApplicationServer) {
            self.release_sessions(turn, &registration, Ended::ByNetwork);
        }
        if registration.bindings.is_empty() {
            return vec![record::gone(&registration)];
        }
        let mut kept = registration;
        (kept.state, kept.timer, kept.must_prove) = (State::Unregistered, None, false);
        let id = self.registrations.insert(kept);
        self.announce(turn, id);
        self.arm_expiry(turn, id);
        self.stored_form(turn, id).into_iter().collect()
    }

    /// An operator ends a registration.
    pub(crate) fn deregister(&mut self, turn: &mut Turn<'_, Scscf>, impu: &Impu) {
        let Some((id, registration)) = self.registrations.find(impu) else {
            return turn.notice(Notice::NotRegistered { impu: impu.clone() });
        };
        if registration.state != State::Registered {
            turn.notice(Notice::NotRegistered { impu: impu.clone() });
        }
        self.end_registration(turn, id, Cause::Operator);
    }

    /// The network ends a registration by itself (TS 24.229 §5.4.1.5): nobody is meant to be back at once.
    pub(crate) fn end_registration(&mut self, turn: &mut Turn<'_, Scscf>, id: RegistrationId, cause: Cause) {
        let Some(registration) = self.registrations.get(id) else { return };
        let impis = registration.registered_impis();
        // TS 24.229 §5.4.8: whoever is registered for emergencies stays so.
        let (stay, ended): (SmallVec<[Binding; 1]>, SmallVec<[Binding; 1]>) =
            registration.bindings.iter().cloned().partition(|binding| binding.is_emergency);
        ended.iter().for_each(|binding| self.note(id, binding, Change::Rejected));
        self.registrations.bind(id, stay);
        self.settle(turn, id, cause, ServerAssignmentType::AdministrativeDeregistration, &impis);
    }

    /// Tells the HSS something whose answer changes nothing here.
    pub(crate) fn tell(
        &self,
        turn: &mut Turn<'_, Scscf>,
        asked: ServerAssignmentType,
        impi: Option<&Impi>,
        impu: &Impu,
    ) {
        let request = CxRequest::Sar(self.assignment(asked, impi, impu));
        turn.query(
            Query::Cx { request: Box::new(request), destination: self.hss(), trace: None },
            Waiting::Told { asked },
        );
    }

    /// The HSS answered something that changes nothing here.
    pub(crate) fn told(
        &self,
        turn: &mut Turn<'_, Scscf>,
        asked: ServerAssignmentType,
        answer: &Result<CxAnswer, CxFailure>,
    ) {
        match saa(answer) {
            Ok(saa) if saa.result.is_success() => {}
            // It will learn at the next registration; until then it holds this S-CSCF for the user's.
            Ok(saa) => {
                turn.count("assignment", "refused");
                tracing::warn!(?asked, result = ?saa.result, "the HSS refused what it was told");
            }
            Err(failure) => {
                turn.count("assignment", "not told");
                tracing::warn!(?asked, %failure, "the HSS could not be told");
            }
        }
    }

    /// A SAR of ours.
    pub(crate) fn assignment(&self, asked: ServerAssignmentType, impi: Option<&Impi>, impu: &Impu) -> Sar {
        let mut sar = assignment::request(
            asked,
            &self.config.scscf.uri,
            impi.map(Impi::as_str),
            impu.as_str(),
            UserDataAlreadyAvailable::NotAvailable,
        );
        // TS 29.229 §7.1.1: profiles may name shared sets instead of holding them; and what is lost can be had again.
        let section = &self.config.scscf;
        let features = [
            (!self.registrations.shared_sets().is_empty(), SIFC),
            (section.restoration, IMS_RESTORATION_IND),
            (section.pcscf_restoration, P_CSCF_RESTORATION),
        ];
        let features =
            features.into_iter().filter(|(has, _)| *has).fold(0, |all, (_, feature)| all | feature);
        if features != 0 {
            sar.supported_features = vec![SupportedFeatures::cx(features)];
        }
        sar
    }

    /// The HSS of the home network; a relay or SLF finds the right one (TS 29.229 §5.5).
    pub(crate) fn hss(&self) -> Destination {
        Destination { realm: self.config.home.realm().to_owned(), host: None }
    }

    /// The durable form of a registration.
    pub(crate) fn stored_form(&self, turn: &Turn<'_, Scscf>, id: RegistrationId) -> Option<Record> {
        let now = ambient::Now { instant: turn.now(), wall: turn.wall() };
        self.registrations.get(id).map(|registration: &Registration| record::of(registration, now))
    }
}

fn is_gone(result: CxResult) -> bool {
    matches!(result, CxResult::USER_UNKNOWN | CxResult::IDENTITY_NOT_REGISTERED)
}
