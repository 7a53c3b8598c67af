//! From a proven user to the 200: assignment at the HSS, bindings, store (TS 24.229 §5.4.1.2.2).

use super::accepted::Accepted;
use super::assignment::{self, Profile, Refused};
use super::binding::{self, Binding, Change, Updated};
use super::gruu::Gruus;
use super::implicit_set::ImplicitSet;
use super::register::Register;
use super::registrations::{Registration, RegistrationId, State};
use super::third_party::Heard;
use super::{saa, same_uri};
use crate::role::Scscf;
use crate::sessions::token::{self, Case};
use crate::waiting::{Cause, Notice, Waiting};
use ambient::Instant;
use cscf::identity::Impu;
use cscf::query::{Query, StoreFailure};
use cscf::user_data::RegistrationType;
use cscf::{Incoming, Reject, Turn};
use diameter_client::cx::{
    ChargingInformation, CxAnswer, CxRequest, Sar, ServerAssignmentType, UserDataAlreadyAvailable,
};
use diameter_client::endpoint::CxFailure;
use sip_core::{Name, ResponseBuilder, Status};
use smallvec::SmallVec;

impl Scscf {
    // --- assignment -------------------------------------------------------------------------------------------------

    /// The user is who he says: `authenticated` is `None` when nobody asked this time, else holds Authentication-Info.
    pub(super) fn assign(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
        authenticated: Option<Option<String>>,
    ) -> Result<(), Reject> {
        if register.is_emergency() {
            return self.assign_for_emergency(turn, register, authenticated.flatten());
        }
        let updated = self.binding_update(turn, &register)?;
        let found = self.registrations.find(&register.impu);
        let had = found.is_some_and(|(_, registration)| registration.has_binding_of(register.impi()));
        let is_own = |binding: &Binding| binding.is_of(register.impi()) && !binding.is_emergency;
        let has = updated.bindings.iter().any(is_own);
        let is_registered = found.is_some_and(|(_, registration)| registration.state == State::Registered);
        let found = found.map(|(id, _)| id);
        let is_new = found.is_none();
        let is_challenged = authenticated.is_some();
        let authentication_info = authenticated.flatten();
        if is_challenged {
            self.has_proven(&register.impu);
        }
        if register.wish == binding::Wish::Fetch {
            self.accept(turn, request, &register, authentication_info.as_deref());
            return Ok(());
        }
        if !has {
            // The last contact of this private identity, or none to begin with.
            if had || is_challenged {
                let asked = ServerAssignmentType::UserDeregistration;
                let asked = found.map_or(asked, |id| self.ending(id, asked));
                let sar = self.assignment(asked, Some(register.impi()), &register.impu);
                self.ask(turn, sar, |register| Waiting::Released { register, authentication_info }, register);
            } else {
                self.accept(turn, request, &register, None);
            }
            return Ok(());
        }
        if had && !is_challenged {
            // The HSS knows all that this changes (TS 23.228 §5.2.2.4 leaves the query out for a re-registration).
            return self.commit(turn, register, updated, Profile::Kept, None, authentication_info);
        }
        if is_new && self.registrations.len() >= self.config.scscf.registrations_max {
            return Err(Reject::new(Status::SERVICE_UNAVAILABLE, "too many registrations")
                .header(Name::RetryAfter, "60"));
        }
        let asked = match (is_registered, had) {
            (true, true) => ServerAssignmentType::ReRegistration,
            _ => ServerAssignmentType::Registration,
        };
        self.ask_assignment(turn, register, asked, &updated.bindings, authentication_info);
        Ok(())
    }

    pub(super) fn ask_assignment(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        register: Box<Register>,
        asked: ServerAssignmentType,
        bindings: &[Binding],
        authentication_info: Option<String>,
    ) {
        let mut sar = self.assignment(asked, Some(register.impi()), &register.impu);
        sar.user_data_already_available = self.available(&register.impu);
        sar.restoration_info = self.restoration_info(turn, &register.impu, register.impi(), bindings);
        if sar.restoration_info.is_some() && asked == ServerAssignmentType::Registration {
            // Nothing is known here of this private identity, and the HSS may know more: other contacts, and the dialogs of
            // those who watch. None of it must be overwritten.
            sar.is_multiple_registration = Some(true);
        }
        self.ask(turn, sar, |register| Waiting::Saa { register, asked, authentication_info }, register);
    }

    fn ask(
        &self,
        turn: &mut Turn<'_, Scscf>,
        sar: Sar,
        waiting: impl FnOnce(Box<Register>) -> Waiting,
        register: Box<Register>,
    ) {
        let trace = register.trace.clone();
        let query = Query::Cx { request: Box::new(CxRequest::Sar(sar)), destination: self.hss(), trace };
        turn.query(query, waiting(register));
    }

    fn available(&self, impu: &Impu) -> UserDataAlreadyAvailable {
        match self.registrations.find(impu) {
            Some(_) => UserDataAlreadyAvailable::AlreadyAvailable,
            None => UserDataAlreadyAvailable::NotAvailable,
        }
    }

    /// The HSS answered the SAR of a REGISTER.
    pub(crate) fn assigned(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        register: Box<Register>,
        asked: ServerAssignmentType,
        authentication_info: Option<String>,
        answer: Result<CxAnswer, CxFailure>,
    ) -> Result<(), Reject> {
        let saa = saa(&answer);
        let available = self.available(&register.impu);
        let is_restoring = saa.is_ok_and(|saa| assignment::is_restoring(asked, saa));
        let mut fault = None;
        let read = |xml: &[u8]| self.registrations.read(xml).inspect_err(|why| fault = Some(why.cause()));
        let outcome = assignment::outcome(asked, &register.impu, saa, available, read);
        if let Some(cause) = fault {
            turn.count("profile refused", cause);
        }
        match outcome {
            Ok(profile) => {
                let profile = match saa.ok().filter(|saa| !saa.restoration_infos.is_empty()) {
                    None => profile,
                    // Others share the identity, or this user had more contacts: they are not lost with our memory.
                    Some(saa) => match self.restore(turn, &register.impu, profile, saa)? {
                        Ok(_) => Profile::Kept,
                        Err(profile) => profile,
                    },
                };
                if is_restoring {
                    let asked = ServerAssignmentType::ReRegistration;
                    let bindings = self.binding_update(turn, &register)?.bindings;
                    self.ask_assignment(turn, register, asked, &bindings, authentication_info);
                    return Ok(());
                }
                let charging = saa.ok().and_then(|saa| saa.charging_information.clone());
                // Anew: others may have come while the HSS was asked.
                let given = match &profile {
                    Profile::Given(set) => Some(&**set),
                    Profile::Kept => None,
                };
                let updated = match self.binding_update_by(turn, &register, given) {
                    Ok(updated) => updated,
                    Err(reject) => {
                        let found = self.registrations.find(&register.impu);
                        if !found.is_some_and(|(_, found)| found.has_binding_of(register.impi())) {
                            let undo = ServerAssignmentType::AdministrativeDeregistration;
                            self.tell(turn, undo, Some(register.impi()), &register.impu);
                        }
                        return Err(reject);
                    }
                };
                let impu = register.impu.clone();
                self.commit(turn, register, updated, profile, charging, authentication_info)?;
                if let Some((id, _)) = self.registrations.find(&impu) {
                    self.has_told(id);
                }
                Ok(())
            }
            Err(Refused::Again(asked)) => {
                let bindings = self.binding_update(turn, &register)?.bindings;
                self.ask_assignment(turn, register, asked, &bindings, authentication_info);
                Ok(())
            }
            Err(Refused::Undo(reject, asked)) => {
                self.forget_stranger(register.impi(), &register.impu);
                self.tell(turn, asked, Some(register.impi()), &register.impu);
                Err(reject)
            }
            Err(Refused::Final(reject)) => {
                self.forget_stranger(register.impi(), &register.impu);
                Err(reject)
            }
        }
    }

    // --- bindings ---------------------------------------------------------------------------------------------------

    pub(crate) fn binding_update(
        &self,
        turn: &Turn<'_, Scscf>,
        register: &Register,
    ) -> Result<Updated, Reject> {
        self.binding_update_by(turn, register, None)
    }

    /// The same by a profile that has just come.
    fn binding_update_by(
        &self,
        turn: &Turn<'_, Scscf>,
        register: &Register,
        given: Option<&ImplicitSet>,
    ) -> Result<Updated, Reject> {
        let found = self.registrations.find(&register.impu).map(|(_, found)| found);
        let bindings = found.map_or(&[][..], |found| &found.bindings);
        // TS 29.228 Annex E: a subscription may allow fewer.
        let set = given.or_else(|| found.map(|found| &found.set));
        let subscribed = set.and_then(|set| {
            let details = set.identity(register.impu.as_str())?.details()?;
            usize::try_from(details.max_simultaneous_registrations?).ok()
        });
        let configured = self.config.scscf.contacts_max;
        let contacts_max = subscribed.map_or(configured, |subscribed| subscribed.min(configured));
        binding::update(bindings, &register.origin, &register.wish, turn.now(), contacts_max, same_uri)
    }

    /// Changes the bindings, and stores them.
    pub(super) fn commit(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        register: Box<Register>,
        updated: Updated,
        profile: Profile,
        charging: Option<ChargingInformation>,
        authentication_info: Option<String>,
    ) -> Result<(), Reject> {
        let Updated { bindings, changes } = updated;
        let id = self.adopt(turn, &register.impu, profile)?;
        if let Some(registration) = self.registrations.get(id).filter(|_| !self.subscriptions.is_empty()) {
            let before = registration.bindings.clone();
            self.note_all(id, &before, &changes);
        }
        self.registrations.bind(id, bindings);
        if let Some(charging) = charging {
            self.registrations.charge(id, charging);
        }
        let Some(registration) = self.registrations.get_mut(id) else {
            return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "registration ended meanwhile"));
        };
        let was_registered = registration.state == State::Registered;
        let is_emergency = register.is_emergency();
        if !is_emergency {
            registration.state = State::Registered;
            registration.named_explicitly(&register.impu);
        }
        let created = changes
            .into_iter()
            .filter(|(_, change)| *change == Change::Registered)
            .map(|(binding, _)| binding)
            .collect();
        let kind = match was_registered {
            true => RegistrationType::ReRegistration,
            false => RegistrationType::Initial,
        };
        // TS 24.229 §5.4.8.2: application servers do not hear of it.
        let heard = (!is_emergency).then(|| self.heard(id, &register.impu, kind)).flatten();
        self.arm_expiry(turn, id);
        let records = self.stored_form(turn, id).into_iter().collect();
        turn.query(
            Query::Store(records),
            Waiting::Stored { register, id, created, heard, authentication_info },
        );
        Ok(())
    }

    /// The registration of an identity with the profile that an SAA brought, made when there is none.
    pub(crate) fn adopt(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        impu: &Impu,
        profile: Profile,
    ) -> Result<RegistrationId, Reject> {
        let unusable = || Reject::new(Status::SERVER_INTERNAL_ERROR, "profile without the identity");
        let found = self.registrations.find(impu).map(|(id, _)| id);
        let home = turn.bucket(impu.as_str().as_bytes());
        let id = match (found, profile) {
            (Some(id), Profile::Kept) => return Ok(id),
            (None, Profile::Kept) => return Err(unusable()),
            (Some(id), Profile::Given(set)) => {
                self.withdraw(turn, id);
                self.registrations.replace_set(id, *set);
                id
            }
            (None, Profile::Given(set)) => {
                let registration = Registration::new(*set, State::Unregistered, home).ok_or_else(unusable)?;
                self.registrations.insert(registration)
            }
        };
        self.announce(turn, id);
        Ok(id)
    }

    /// The store answered: the 200 leaves, or the contacts that were new are taken back.
    pub(crate) fn stored(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
        (id, created, heard): (RegistrationId, &[Binding], Option<Box<Heard>>),
        authentication_info: Option<&str>,
        answer: Result<(), StoreFailure>,
    ) -> Result<(), Reject> {
        if let Err(failure) = answer {
            turn.count("registration", "not stored");
            self.take_back(turn, &register, created);
            self.tell_subscribers(turn, id);
            return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "registration could not be stored")
                .detail(failure.to_string())
                .header(Name::RetryAfter, "10"));
        }
        let found = self.registrations.find(&register.impu);
        let contacts = found.map(|(_, registration)| registration.bindings.len());
        if contacts.is_none() && !register.removes_only() {
            // The HSS ended the registration while it was being stored.
            self.tell_subscribers(turn, id);
            return Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "registration ended meanwhile"));
        }
        let accepted = if register.is_emergency() { "accepted for emergencies" } else { "accepted" };
        turn.count("registration", accepted);
        self.accept(turn, request, &register, authentication_info);
        self.tell_subscribers(turn, id);
        self.tell_what_changed(turn, id, register.impi());
        if let Some(heard) = heard {
            self.tell_servers(turn, &heard, &request.message, |scscf, turn| {
                let (tag, now) = (turn.tag(), turn.now());
                let token = scscf.own_token(turn, &register.impu, Case::ServiceRoute, None);
                let ok = ResponseBuilder::for_request(&request.message, Status::OK).to_tag(&tag);
                scscf.accepted((&token, now), &register, authentication_info, None, |accepted| {
                    accepted.fill(ok, &request.message).build()
                })
            });
        }
        if let Some(contacts) = contacts {
            turn.notice(Notice::Registered { impu: register.impu, contacts });
        }
        Ok(())
    }

    fn take_back(&mut self, turn: &mut Turn<'_, Scscf>, register: &Register, created: &[Binding]) {
        let Some((id, registration)) = self.registrations.find(&register.impu) else { return };
        // One that was refreshed meanwhile is another.
        let stays = |binding: &&Binding| !created.contains(binding);
        let stay: SmallVec<[Binding; 1]> = registration.bindings.iter().filter(stays).cloned().collect();
        created.iter().for_each(|binding| self.note(id, binding, Change::Deactivated));
        self.registrations.bind(id, stay);
        if register.is_emergency() {
            // The HSS has nobody registered for it.
            return self.arm_expiry(turn, id);
        }
        self.settle(
            turn,
            id,
            Cause::Store,
            ServerAssignmentType::AdministrativeDeregistration,
            &[register.impi().clone()],
        );
    }

    /// Sends the 200.
    pub(crate) fn accept(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: &Register,
        authentication_info: Option<&str>,
    ) {
        let (token, now) = (self.own_token(turn, &register.impu, Case::ServiceRoute, None), turn.now());
        let gruus = self.gruus(turn, register);
        self.accepted((&token, now), register, authentication_info, gruus.as_ref(), |accepted| {
            turn.reply(request, Status::OK, |response| accepted.fill(response, &request.message));
        });
    }

    fn accepted<T>(
        &self,
        (token, now): (&str, Instant),
        register: &Register,
        authentication_info: Option<&str>,
        gruus: Option<&Gruus>,
        write: impl FnOnce(Accepted<'_>) -> T,
    ) -> T {
        write(Accepted {
            registration: self.registrations.find(&register.impu).map(|(_, registration)| registration),
            register,
            service_route: &token::uri(&self.config.scscf.uri, token),
            ioi: &self.config.scscf.ioi,
            home: &self.config.home,
            authentication_info,
            gruus,
            now,
        })
    }
}
