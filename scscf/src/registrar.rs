//! The registrar (TS 24.229 §5.4.1).
//!
//! A REGISTER is read, its next step decided by [`registration::next`], and the step done here: a challenge, a check, an
//! assignment at the HSS, the bindings, the store, the 200.

pub mod accepted;
pub mod assignment;
pub mod authentication;
pub mod authorization;
pub mod binding;
pub mod challenge;
mod deregistration;
pub mod expiry;
pub mod integrity;
mod lapse;
mod peer;
pub mod record;
pub mod register;
pub mod registration;
pub mod registrations;
mod vectors;

use crate::role::Scscf;
use crate::waiting::{Cause, Notice, Timer, Waiting};
use accepted::Accepted;
use assignment::{Profile, Refused};
use binding::{Change, Updated};
use challenge::{Challenge, KeyHandOver, Staleness, Vector, Wrong};
use cscf::identity::{Impi, Impu};
use cscf::query::{Query, StoreFailure};
use cscf::{Incoming, Reject, Turn};
use diameter_client::cx::{CxAnswer, CxRequest, ServerAssignmentType, UserDataAlreadyAvailable};
use diameter_client::endpoint::CxFailure;
use ims_aka::AkaAlgorithm;
use integrity::Integrity;
use register::Register;
use registration::{Facts, Standing, Step};
use registrations::{Registration, RegistrationId, State};
use sip_core::{Name, Status, Uri};

/// RFC 3261 §19.1.4; two URIs that are none are equal when their octets are.
fn same_uri(a: &[u8], b: &[u8]) -> bool {
    match (Uri::parse(a), Uri::parse(b)) {
        (Ok(a), Ok(b)) => a.uri_eq(&b),
        _ => a == b,
    }
}

impl Scscf {
    /// A REGISTER.
    pub(crate) fn register(&mut self, turn: &mut Turn<'_, Scscf>, request: &Incoming) -> Result<(), Reject> {
        let register = Register::read(&request.message, self.bounds)?;
        let facts = Facts {
            integrity: register.authorization.integrity,
            challenged: self.authentications.challenged(&register),
            response: register.authorization.response(),
            standing: self.standing(&register),
            digest_nonce_known: self.authentications.knows_digest_nonce(&register),
        };
        match registration::next(&facts, self.policy)? {
            Step::Challenge => {
                self.abandon_challenge(turn, register.impi());
                self.challenge(turn, request, Box::new(register), Staleness::Fresh)
            }
            Step::Resynchronise => self.resynchronise(turn, Box::new(register)),
            Step::Verify => self.verify(turn, request, Box::new(register)),
            Step::NetworkFailedAuthentication => {
                self.abandon_challenge(turn, register.impi());
                turn.count("registration", "network failed authentication");
                self.tell(
                    turn,
                    ServerAssignmentType::AuthenticationFailure,
                    Some(register.impi()),
                    &register.impu,
                );
                Err(Reject::new(Status::FORBIDDEN, "challenge not believed"))
            }
            Step::Update => self.assign(turn, request, Box::new(register), None),
        }
    }

    fn standing(&self, register: &Register) -> Standing {
        let Some((_, registration)) = self.registrations.find(&register.impu) else {
            return Standing::Unregistered;
        };
        if !registration.has_binding_of(register.impi()) {
            return Standing::Unregistered;
        }
        let unknown = register
            .contacts()
            .iter()
            .find(|contact| !binding::is_known(&registration.bindings, register.impi(), contact, same_uri));
        match unknown {
            None => Standing::Known,
            Some(contact) if contact.flow().is_some() => Standing::NewFlow,
            Some(_) => Standing::NewContact,
        }
    }

    // --- challenge --------------------------------------------------------------------------------------------------

    /// Challenges with the next vector, or asks for one.
    fn challenge(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
        staleness: Staleness,
    ) -> Result<(), Reject> {
        let vector = self.authentications.get_mut(register.impi()).and_then(|known| match staleness {
            Staleness::Fresh => known.vectors.pop_front(),
            // The same secret under another nonce.
            Staleness::Stale => known.digest.as_ref().and_then(Challenge::digest_vector),
        });
        match vector {
            Some(vector) => self.issue(turn, request, &register, vector, staleness),
            None => self.ask_for_vectors(turn, register, None),
        }
        Ok(())
    }

    /// Sends the 401 and waits for its answer.
    pub(crate) fn issue(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: &Register,
        vector: Vector,
        staleness: Staleness,
    ) {
        let connected = register.authorization.integrity == Integrity::Connected;
        let keys = if connected { KeyHandOver::None } else { KeyHandOver::ToPcscf };
        // TS 33.203 §X.2.3.3: AKAv2 only where there is no IPsec; what the UE named before wins among the two.
        let algorithm = match register.authorization.algorithm.as_deref().and_then(AkaAlgorithm::from_token) {
            Some(algorithm) => algorithm,
            None if connected => AkaAlgorithm::V2Sha256,
            None => AkaAlgorithm::V1Md5,
        };
        let challenge = Challenge::issue(
            vector,
            algorithm,
            &register.origin.call_id,
            self.config.home.domain(),
            turn.entropy(),
        );
        let value = challenge.www_authenticate(keys, staleness);
        self.abandon_challenge(turn, register.impi());
        let timer = turn.arm(
            self.config.scscf.reg_await_auth,
            Timer::RegAwaitAuth(register.impi().clone()),
            "reg-await-auth",
        );
        let outstanding = authentication::Outstanding { challenge, impu: register.impu.clone(), timer };
        self.authentications.entry(register.impi()).outstanding = Some(outstanding);
        turn.count("registration", "challenged");
        turn.reply(request, Status::UNAUTHORIZED, |response| response.header(Name::WwwAuthenticate, &value));
    }

    /// Voids the challenge that is out.
    fn abandon_challenge(&mut self, turn: &mut Turn<'_, Scscf>, impi: &Impi) {
        if let Some(outstanding) = self.authentications.take_outstanding(impi) {
            turn.disarm(outstanding.timer);
        }
    }

    /// reg-await-auth fired: the HSS is told, and a registered user stays registered.
    pub(crate) fn nobody_answered(&mut self, turn: &mut Turn<'_, Scscf>, impi: &Impi) {
        let Some(outstanding) = self.authentications.take_outstanding(impi) else { return };
        turn.count("registration", "challenge not answered");
        self.tell(turn, ServerAssignmentType::AuthenticationTimeout, Some(impi), &outstanding.impu);
        let is_registered = self
            .registrations
            .find(&outstanding.impu)
            .is_some_and(|(_, registration)| registration.has_binding_of(impi));
        if !is_registered {
            self.authentications.forget(impi);
        }
    }

    fn verify(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
    ) -> Result<(), Reject> {
        let is_outstanding = self.authentications.challenged(&register) == registration::Challenged::Same;
        let known = self.authentications.entry(register.impi());
        let challenge = match known.outstanding.as_mut().filter(|_| is_outstanding) {
            Some(outstanding) => &mut outstanding.challenge,
            None => match known.digest.as_mut() {
                Some(challenge) => challenge,
                None => return self.challenge(turn, request, register, Staleness::Stale),
            },
        };
        let method = request.message.method();
        let verdict = challenge.verify(&register.authorization, method.as_bytes(), request.message.body());
        match verdict {
            Ok(ha1) => {
                let is_digest = challenge.is_digest();
                let info = is_digest
                    .then(|| challenge::authentication_info(&ha1, &register.authorization))
                    .flatten();
                if is_outstanding && let Some(outstanding) = known.outstanding.take() {
                    turn.disarm(outstanding.timer);
                    known.digest = is_digest.then_some(outstanding.challenge);
                }
                self.assign(turn, request, register, Some(info))
            }
            Err(Wrong::NonceCount) => self.challenge(turn, request, register, Staleness::Stale),
            Err(Wrong::Response) => {
                // TS 33.203 §6.1.1: whoever is registered stays so. One answer a challenge.
                self.abandon_challenge(turn, register.impi());
                if let Some(known) = self.authentications.get_mut(register.impi()) {
                    known.digest = None;
                }
                turn.count("registration", "wrong response");
                self.tell(
                    turn,
                    ServerAssignmentType::AuthenticationFailure,
                    Some(register.impi()),
                    &register.impu,
                );
                Err(Reject::new(Status::FORBIDDEN, "authentication failed"))
            }
        }
    }

    // --- assignment -------------------------------------------------------------------------------------------------

    /// The user is who he says: `authenticated` is `None` when nobody asked this time, else holds Authentication-Info.
    fn assign(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
        authenticated: Option<Option<String>>,
    ) -> Result<(), Reject> {
        let updated = self.binding_update(turn, &register)?;
        let found = self.registrations.find(&register.impu);
        let had = found.is_some_and(|(_, registration)| registration.has_binding_of(register.impi()));
        let has = updated.bindings.iter().any(|binding| binding.impi == *register.impi());
        let is_registered = found.is_some_and(|(_, registration)| registration.state == State::Registered);
        let is_challenged = authenticated.is_some();
        let authentication_info = authenticated.flatten();
        if register.wish == binding::Wish::Fetch {
            self.accept(turn, request, &register, authentication_info.as_deref());
            return Ok(());
        }
        if !has {
            // The last contact of this private identity, or none to begin with.
            if had || is_challenged {
                let sar = self.assignment(
                    ServerAssignmentType::UserDeregistration,
                    Some(register.impi()),
                    &register.impu,
                );
                self.ask(
                    turn,
                    sar,
                    register.trace(),
                    |register| Waiting::Released { register, authentication_info },
                    register,
                );
            } else {
                self.accept(turn, request, &register, None);
            }
            return Ok(());
        }
        if had && !is_challenged {
            // The HSS knows all that this changes (TS 23.228 §5.2.2.4 leaves the query out for a re-registration).
            return self.commit(turn, request, register, Profile::Kept, None, authentication_info);
        }
        if found.is_none() && self.registrations.len() >= self.config.scscf.registrations_max {
            return Err(Reject::new(Status::SERVICE_UNAVAILABLE, "too many registrations")
                .header(Name::RetryAfter, "60"));
        }
        let asked = match (is_registered, had) {
            (true, true) => ServerAssignmentType::ReRegistration,
            _ => ServerAssignmentType::Registration,
        };
        self.ask_assignment(turn, register, asked, authentication_info);
        Ok(())
    }

    fn ask_assignment(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        register: Box<Register>,
        asked: ServerAssignmentType,
        authentication_info: Option<String>,
    ) {
        let mut sar = self.assignment(asked, Some(register.impi()), &register.impu);
        sar.user_data_already_available = self.available(&register.impu);
        self.ask(
            turn,
            sar,
            register.trace(),
            |register| Waiting::Saa { register, asked, authentication_info },
            register,
        );
    }

    fn ask(
        &self,
        turn: &mut Turn<'_, Scscf>,
        sar: diameter_client::cx::Sar,
        trace: Option<String>,
        waiting: impl FnOnce(Box<Register>) -> Waiting,
        register: Box<Register>,
    ) {
        let query = Query::Cx { request: CxRequest::Sar(sar), destination: self.hss(), trace };
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
        request: &Incoming,
        register: Box<Register>,
        asked: ServerAssignmentType,
        authentication_info: Option<String>,
        answer: Result<CxAnswer, CxFailure>,
    ) -> Result<(), Reject> {
        let saa = saa(&answer);
        match assignment::outcome(asked, saa, self.available(&register.impu)) {
            Ok(profile) => {
                let charging = saa.ok().and_then(|saa| saa.charging_information.clone());
                self.commit(turn, request, register, profile, charging, authentication_info)
            }
            Err(Refused::Again(asked)) => {
                self.ask_assignment(turn, register, asked, authentication_info);
                Ok(())
            }
            Err(Refused::Undo(reject, asked)) => {
                self.tell(turn, asked, Some(register.impi()), &register.impu);
                Err(reject)
            }
            Err(Refused::Final(reject)) => Err(reject),
        }
    }

    // --- bindings ---------------------------------------------------------------------------------------------------

    pub(crate) fn binding_update(
        &self,
        turn: &Turn<'_, Scscf>,
        register: &Register,
    ) -> Result<Updated, Reject> {
        let bindings = self.registrations.find(&register.impu).map_or(&[][..], |(_, found)| &found.bindings);
        binding::update(
            bindings,
            &register.origin,
            &register.wish,
            turn.now(),
            self.config.scscf.contacts_max,
            same_uri,
        )
    }

    /// Changes the bindings, and stores them.
    fn commit(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        _request: &Incoming,
        register: Box<Register>,
        profile: Profile,
        charging: Option<diameter_client::cx::ChargingInformation>,
        authentication_info: Option<String>,
    ) -> Result<(), Reject> {
        // Anew: others may have come while the HSS was asked.
        let Updated { bindings, changes } = self.binding_update(turn, &register)?;
        let id = self.adopt(&register.impu, profile)?;
        let Some(registration) = self.registrations.get_mut(id) else {
            return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "registration ended meanwhile"));
        };
        registration.bindings = bindings;
        registration.state = State::Registered;
        if charging.is_some() {
            registration.charging = charging;
        }
        let created = changes
            .into_iter()
            .filter(|(_, change)| *change == Change::Registered)
            .map(|(uri, _)| uri)
            .collect();
        self.arm_expiry(turn, id);
        let records = self.stored_form(turn, id).into_iter().collect();
        turn.query(Query::Store(records), Waiting::Stored { register, created, authentication_info });
        Ok(())
    }

    /// The registration of an identity with the profile that an SAA brought, made when there is none.
    pub(crate) fn adopt(&mut self, impu: &Impu, profile: Profile) -> Result<RegistrationId, Reject> {
        let unusable = || Reject::new(Status::SERVER_INTERNAL_ERROR, "profile without the identity");
        let found = self.registrations.find(impu).map(|(id, _)| id);
        let id = match (found, profile) {
            (Some(id), Profile::Kept) => return Ok(id),
            (None, Profile::Kept) => return Err(unusable()),
            (Some(id), Profile::Given(subscription)) => {
                self.registrations.replace_profile(id, *subscription);
                id
            }
            (None, Profile::Given(subscription)) => {
                let registration =
                    Registration::new(*subscription, State::Unregistered).ok_or_else(unusable)?;
                self.registrations.insert(registration)
            }
        };
        Ok(id)
    }

    /// The store answered: the 200 leaves, or the contacts that were new are taken back.
    pub(crate) fn stored(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: &Register,
        created: &[Vec<u8>],
        authentication_info: Option<&str>,
        answer: Result<(), StoreFailure>,
    ) -> Result<(), Reject> {
        if let Err(failure) = answer {
            turn.count("registration", "not stored");
            self.take_back(turn, register, created);
            return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "registration could not be stored")
                .detail(failure.to_string())
                .header(Name::RetryAfter, "10"));
        }
        if let Some((_, registration)) = self.registrations.find(&register.impu) {
            let contacts = registration.bindings.len();
            turn.notice(Notice::Registered { impu: register.impu.clone(), contacts });
        } else if !register.removes_only() {
            // The HSS ended the registration while it was being stored.
            return Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "registration ended meanwhile"));
        }
        turn.count("registration", "accepted");
        self.accept(turn, request, register, authentication_info);
        Ok(())
    }

    fn take_back(&mut self, turn: &mut Turn<'_, Scscf>, register: &Register, created: &[Vec<u8>]) {
        let Some((id, _)) = self.registrations.find(&register.impu) else { return };
        let Some(registration) = self.registrations.get_mut(id) else { return };
        registration.bindings.retain(|binding| {
            binding.call_id != register.origin.call_id
                || binding.cseq != register.origin.cseq
                || !created.contains(&binding.contact.uri)
        });
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
        let service_route =
            self.own_uri(turn, &register.impu, crate::sessions::token::Case::ServiceRoute, None);
        let accepted = Accepted {
            registration: self.registrations.find(&register.impu).map(|(_, registration)| registration),
            register,
            service_route: &service_route,
            ioi: &self.config.scscf.ioi,
            authentication_info,
            now: turn.now(),
        };
        turn.reply(request, Status::OK, |response| accepted.fill(response, &request.message));
    }
}

/// The SAA in an answer; another command's answer is nonsense.
pub(crate) fn saa(answer: &Result<CxAnswer, CxFailure>) -> Result<&diameter_client::cx::Saa, &CxFailure> {
    static OTHER_COMMAND: CxFailure = CxFailure::Undecodable { reason: String::new() };
    match answer {
        Ok(CxAnswer::Saa(saa)) => Ok(saa),
        Ok(_) => Err(&OTHER_COMMAND),
        Err(failure) => Err(failure),
    }
}
