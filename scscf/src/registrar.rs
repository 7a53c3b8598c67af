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
mod commit;
mod deregistration;
mod emergency;
pub mod expiry;
pub mod giba;
pub mod gruu;
mod home;
pub mod implicit_set;
mod index;
pub mod integrity;
mod lapse;
pub mod listing;
pub mod path;
mod peer;
pub mod profile_fault;
mod reauthentication;
pub mod record;
pub mod register;
pub mod registration;
pub mod registrations;
mod restoration;
pub mod restoration_info;
pub mod services;
pub mod shared;
mod sources;
pub mod third_party;
mod vectors;

use crate::role::Scscf;
use crate::waiting::Timer;
use binding::Binding;
use challenge::{Challenge, KeyHandOver, Staleness, Vector, Wrong};
use cscf::identity::{Impi, Impu};
use cscf::{Incoming, Reject, Turn, emergency as emergencies};
use diameter_client::cx::{CxAnswer, ServerAssignmentType};
use diameter_client::endpoint::CxFailure;
use ims_aka::AkaAlgorithm;
use integrity::Integrity;
use register::Register;
use registration::{Facts, Standing, Step};
use sip_core::uri::SipUri;
use sip_core::{Name, Status, Uri};

/// RFC 3261 §19.1.4; two URIs that are none are equal when their octets are.
pub(crate) fn same_uri(a: &[u8], b: &[u8]) -> bool {
    // Most are written alike.
    a == b || matches!((Uri::parse(a), Uri::parse(b)), (Ok(a), Ok(b)) if a.uri_eq(&b))
}

/// Whether two SIP URIs name one host; a port counts where both have one, and the user part does not: it tells what a
/// URI was handed out for.
pub(crate) fn same_host(one: &[u8], other: &[u8]) -> bool {
    let (Ok(Uri::Sip(one)), Ok(Uri::Sip(other))) = (Uri::parse(one), Uri::parse(other)) else { return false };
    let is_same_port =
        |a: &SipUri<'_>, b: &SipUri<'_>| a.port.is_none() || b.port.is_none() || a.port == b.port;
    let is_same_name = match (one.host.name(), other.host.name()) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (None, None) => one.host.ip() == other.host.ip(),
        _ => false,
    };
    is_same_name && is_same_port(&one, &other)
}

impl Scscf {
    /// A REGISTER.
    pub(crate) fn register(&mut self, turn: &mut Turn<'_, Scscf>, request: &Incoming) -> Result<(), Reject> {
        let is_emergency = emergencies::is_registration(&request.message);
        let bounds = if is_emergency { self.emergency_bounds } else { self.bounds };
        let register = Register::read(&request.message, bounds)?;
        if self.config.access.has_giba() && giba::applies(&request.message) {
            self.ask_for_bearer(turn, Box::new(register));
            return Ok(());
        }
        let facts = Facts {
            integrity: register.authorization.integrity,
            challenged: self.authentications.challenged(&register),
            response: register.authorization.response(),
            standing: self.standing(&register),
            digest_nonce_known: self.authentications.knows_digest_nonce(&register),
        };
        match registration::next(&facts, self.policy_for(&register))? {
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
                self.forget_stranger(register.impi(), &register.impu);
                Err(Reject::new(Status::FORBIDDEN, "challenge not believed"))
            }
            Step::Update => self.assign(turn, request, Box::new(register), None),
        }
    }

    fn standing(&self, register: &Register) -> Standing {
        let Some((_, registration)) = self.registrations.find(&register.impu) else {
            return Standing::Unregistered;
        };
        let is_emergency = register.is_emergency();
        let is_own =
            |binding: &Binding| binding.is_of(register.impi()) && binding.is_emergency == is_emergency;
        if !registration.bindings.iter().any(is_own) {
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
            Some(vector) => self.issue(turn, request, register, vector, staleness),
            None => self.ask_for_vectors(turn, register, None),
        }
        Ok(())
    }

    /// Sends the 401 and waits for its answer.
    pub(crate) fn issue(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
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
        let challenge = Challenge::issue(vector, algorithm, &register.origin.call_id, turn.entropy());
        let value = challenge.www_authenticate(self.config.home.domain(), keys, staleness);
        self.abandon_challenge(turn, register.impi());
        let timer = turn.arm(
            self.config.scscf.reg_await_auth,
            Timer::RegAwaitAuth(register.impi().clone()),
            "reg-await-auth",
        );
        let Register { impu, origin, .. } = *register;
        let outstanding = authentication::Outstanding { challenge, impu, timer };
        self.authentications.entry(origin.impi).outstanding = Some(outstanding);
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
        self.forget_stranger(impi, &outstanding.impu);
    }

    /// Forgets what an authentication left behind of a user who is not registered.
    pub(super) fn forget_stranger(&mut self, impi: &Impi, impu: &Impu) {
        let found = self.registrations.find(impu);
        if !found.is_some_and(|(_, registration)| registration.has_binding_of(impi)) {
            self.authentications.forget(impi);
        }
    }

    fn verify(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        register: Box<Register>,
    ) -> Result<(), Reject> {
        if !register.authorization.is_for_registrar(&self.config.home, request.message.uri()) {
            // RFC 7616 §3.4.6: the proof is one for another resource.
            return Err(Reject::new(Status::BAD_REQUEST, "digest uri names another resource"));
        }
        let is_outstanding = self.authentications.challenged(&register) == registration::Challenged::Same;
        let Some(known) = self.authentications.get_mut(register.impi()) else {
            return self.challenge(turn, request, register, Staleness::Stale);
        };
        let challenge = match known.outstanding.as_mut().filter(|_| is_outstanding) {
            Some(outstanding) => &mut outstanding.challenge,
            None => match known.digest.as_mut() {
                Some(challenge) => challenge,
                None => return self.challenge(turn, request, register, Staleness::Stale),
            },
        };
        let method = request.message.method();
        let (impi, home, body) = (register.impi(), self.config.home.domain(), request.message.body());
        let verdict = challenge.verify(impi, home, &register.authorization, method.as_bytes(), body);
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
                self.authentications.tidy(register.impi());
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
                self.forget_stranger(register.impi(), &register.impu);
                Err(Reject::new(Status::FORBIDDEN, "authentication failed"))
            }
        }
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
