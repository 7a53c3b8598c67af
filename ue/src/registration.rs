//! The registration of a UE (TS 24.229 §5.1.1): from the first REGISTER to the last.
//!
//! ```text
//!              Register            401: answer it
//!   (nothing) ----------> attempt ----------------+
//!       ^                  |   ^ <----------------+  423: ask for longer
//!       |     other 3xx-6xx|   |
//!       +------------------+   | refresh point, FlowLost, Deregister
//!       |                      |
//!       |  expired       2xx   v
//!       +--------------- binding
//! ```
//!
//! One attempt at a time; a binding lives on while a refresh of it is tried.

use crate::authentication::{Answer, Challenge};
use crate::binding::{Binding, granted, public_gruu, refresh_point};
use crate::command::{Deregistration, Notice, RegistrationFailure};
use crate::config::{Fault, Persistence, RegistersFor};
use crate::ue::{Timer, Ue, Waiting};
use ambient::TimerId;
use cscf::role::Outcome;
use cscf::{Incoming, Turn};
use sip_core::{Message, Method, Name, RequestBuilder, Status};
use std::time::Duration;

/// At most two bad challenges in a row are answered (TS 24.229 §5.1.1.5.3).
const BAD_CHALLENGES_MAX: u8 = 2;
/// A registrar that never stops challenging would keep us busy for ever.
const CHALLENGES_MAX: u8 = 5;
/// How often an attempt begins anew.
const FRESH_STARTS_MAX: u8 = 1;
/// How often an attempt asks for a longer expiry after a 423.
const TOO_BRIEF_MAX: u8 = 2;
/// The pauses between attempts (RFC 5626 §4.5).
const RETRY_FIRST: Duration = Duration::from_secs(30);
const RETRY_LONGEST: Duration = Duration::from_secs(1800);

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Register,
    Refresh,
    Deregister,
    DeregisterAll,
}

impl Purpose {
    fn ends_it(self) -> bool {
        matches!(self, Purpose::Deregister | Purpose::DeregisterAll)
    }
}

/// One REGISTER and its repetitions, until a final response that is neither a challenge nor a 423.
#[derive(Debug)]
struct Attempt {
    purpose: Purpose,
    expires_s: u32,
    authorization: String,
    challenges: u8,
    bad_challenges: u8,
    too_brief: u8,
    /// How often it has begun anew.
    fresh_starts: u8,
}

/// The registration of a UE.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    binding: Option<Binding>,
    attempt: Option<Attempt>,
    /// What the user asked for while an attempt was under way.
    queued: Option<Purpose>,
    /// What ends the registration once the last call has ended.
    leaving: Option<Purpose>,
    call_id: String,
    sequence: u32,
    tag: String,
    /// The Authorization that the network accepted last; a refresh repeats it.
    accepted: Option<String>,
    /// Failed attempts in a row.
    failures: u32,
    retry: Option<TimerId>,
}

impl Registration {
    pub(crate) fn binding(&self) -> Option<&Binding> {
        self.binding.as_ref()
    }
}

impl Ue {
    /// The user wants to be registered, or the registration refreshed.
    pub(crate) fn register(&mut self, turn: &mut Turn<'_, Ue>) {
        self.registration.leaving = None;
        let purpose = if self.is_registered() { Purpose::Refresh } else { Purpose::Register };
        self.start(turn, purpose);
    }

    /// The user wants to be registered no longer. Calls end first (TS 24.229 §5.1.1.6).
    pub(crate) fn deregister(&mut self, turn: &mut Turn<'_, Ue>, all: bool) {
        if self.config.registers_for == RegistersFor::Emergencies {
            // TS 24.229 §5.1.6.5: it ends by its time alone.
            let why = "a registration for emergencies ends by its time alone";
            return turn.notice(Notice::Refused { command: "deregister", why });
        }
        self.end_all_calls(turn);
        if !self.is_registered() && self.registration.attempt.is_none() {
            self.stop_retrying(turn);
            return turn.notice(Notice::Refused { command: "deregister", why: "not registered" });
        }
        self.registration.leaving = Some(if all { Purpose::DeregisterAll } else { Purpose::Deregister });
        self.leave(turn);
    }

    /// Whether the user wants to be de-registered once the calls have ended.
    pub(crate) fn is_leaving(&self) -> bool {
        self.registration.leaving.is_some()
    }

    /// De-registers if the user has asked for it and no call is left: the way of a BYE and of its answer ends with the
    /// registration.
    pub(crate) fn leave(&mut self, turn: &mut Turn<'_, Ue>) {
        if self.calls.are_over()
            && let Some(purpose) = self.registration.leaving.take()
        {
            self.registration.queued = Some(purpose);
            if self.registration.attempt.is_none() {
                self.run_queued(turn);
            }
        }
    }

    /// The time to refresh the registration has come; one for emergencies lives on only while somebody is helped
    /// (TS 24.229 §5.1.6.4).
    pub(crate) fn refresh_point_came(&mut self, turn: &mut Turn<'_, Ue>) {
        if self.config.registers_for == RegistersFor::Everything || !self.calls.are_over() {
            self.refresh(turn);
        }
    }

    pub(crate) fn refresh(&mut self, turn: &mut Turn<'_, Ue>) {
        if self.is_registered() {
            self.start(turn, Purpose::Refresh);
        }
    }

    pub(crate) fn retry(&mut self, turn: &mut Turn<'_, Ue>) {
        self.registration.retry = None;
        self.register(turn);
    }

    /// The connection to the P-CSCF is gone, and with it the way to us; but for one through a security association, for
    /// the P-CSCF opens its own.
    pub(crate) fn flow_lost(&mut self, turn: &mut Turn<'_, Ue>) {
        if !self.security.is_up() {
            self.refresh(turn);
        }
    }

    pub(crate) fn expired(&mut self, turn: &mut Turn<'_, Ue>) {
        if self.registration.binding.is_none() {
            return;
        }
        self.registration.leaving = None;
        self.forget_binding(turn);
        self.security_ended(turn);
        turn.notice(Notice::Deregistered(Deregistration::Expired));
        if self.config.policy.persistence == Persistence::KeepTrying {
            self.start(turn, Purpose::Register);
        }
    }

    /// The network has ended the registration, and does not want another.
    pub(crate) fn lose_registration(&mut self, turn: &mut Turn<'_, Ue>) {
        self.forget_binding(turn);
        self.security_ended(turn);
        turn.notice(Notice::Deregistered(Deregistration::ByNetwork));
    }

    /// The network wants another registration, after a while.
    pub(crate) fn retry_after(&mut self, turn: &mut Turn<'_, Ue>, after: Duration) {
        self.stop_retrying(turn);
        let after = after.min(RETRY_LONGEST * 2);
        self.registration.retry = Some(turn.arm(after, Timer::Retry, "registration retry"));
    }

    /// The network has shortened the registration (TS 24.229 §5.1.1.5.2): it is refreshed in time.
    pub(crate) fn shorten_registration(&mut self, turn: &mut Turn<'_, Ue>, left: Duration) {
        let Some(binding) = &mut self.registration.binding else { return };
        let refresh = turn.arm(refresh_point(left), Timer::Refresh, "registration refresh");
        let expiry = turn.arm(left, Timer::Expired, "registration expiry");
        turn.disarm(std::mem::replace(&mut binding.refresh, refresh));
        turn.disarm(std::mem::replace(&mut binding.expiry, expiry));
    }

    /// The network has lost the registration: it begins anew, unless that is under way.
    pub(crate) fn register_anew(&mut self, turn: &mut Turn<'_, Ue>) {
        if self.registration.attempt.is_none() {
            self.forget_binding(turn);
            self.start(turn, Purpose::Register);
        }
    }

    fn start(&mut self, turn: &mut Turn<'_, Ue>, purpose: Purpose) {
        if let Some(attempt) = &self.registration.attempt {
            // TS 24.229 §5.1.1.2.1: one at a time. Asking twice for the same is asking once.
            if attempt.purpose.ends_it() != purpose.ends_it() {
                self.registration.queued = Some(purpose);
            }
            return;
        }
        self.stop_retrying(turn);
        if purpose == Purpose::Register || self.registration.call_id.is_empty() {
            self.registration.call_id = Ue::token(turn);
            self.registration.tag = Ue::token(turn);
            self.registration.sequence = 0;
            self.registration.accepted = None;
        }
        let expires_s = match purpose {
            Purpose::Register | Purpose::Refresh => {
                u32::try_from(self.config.expires.as_secs()).unwrap_or(u32::MAX)
            }
            Purpose::Deregister | Purpose::DeregisterAll => 0,
        };
        let authorization =
            self.registration.accepted.clone().unwrap_or_else(|| self.authenticator.unchallenged());
        if purpose == Purpose::Register {
            self.security_ended(turn);
        }
        self.offer_security(turn);
        self.registration.attempt = Some(Attempt {
            purpose,
            expires_s,
            authorization,
            challenges: 0,
            bad_challenges: 0,
            too_brief: 0,
            fresh_starts: 0,
        });
        self.send_register(turn);
    }

    /// Sends the REGISTER of the attempt (TS 24.229 §5.1.1.2.1, §5.1.1.4.1, §5.1.1.6).
    pub(crate) fn send_register(&mut self, turn: &mut Turn<'_, Ue>) {
        let contact = self.contact_field(turn);
        let Some(attempt) = &self.registration.attempt else { return };
        let registration = &self.registration;
        let sequence = registration.sequence.saturating_add(1);
        let identity = &self.config.impu;
        let contact = match attempt.purpose {
            Purpose::DeregisterAll => "*".to_owned(),
            Purpose::Deregister => format!("{contact};expires=0"),
            Purpose::Register | Purpose::Refresh => contact,
        };
        let mut request =
            RequestBuilder::new(Method::Register, format_args!("sip:{}", self.config.home_domain))
                .header(Name::MaxForwards, "70")
                .header(Name::From, format_args!("<{identity}>;tag={}", registration.tag))
                .header(Name::To, format_args!("<{identity}>"))
                .header(Name::CallId, &registration.call_id)
                .header(Name::CSeq, format_args!("{sequence} REGISTER"))
                .header(Name::Contact, &contact)
                .header(Name::Expires, format_args!("{}", attempt.expires_s))
                .header(Name::Supported, self.config.handset.register_supported)
                .header(Name::Allow, self.config.handset.allow)
                .header(Name::Authorization, &attempt.authorization);
        // TS 24.229 §5.1.1.2.1 h): nothing about the access before the registration is protected.
        let is_protected = registration.binding.is_some() || self.security.is_up();
        if let Some(access) = self.config.access.as_ref().filter(|_| is_protected) {
            request = request.header(Name::PAccessNetworkInfo, access);
        }
        request = self.secure_register(request);
        self.registration.sequence = sequence;
        let request = self.config.handset.finish_register(request);
        turn.originate(request, self.register_target(), Waiting::Register);
    }

    /// Our Contact with its feature tags.
    fn contact_field(&self, turn: &Turn<'_, Ue>) -> String {
        let form = &self.config.handset.register_contact;
        form.value(&self.registered_contact_uri(turn), self.config.instance_id.as_deref())
    }

    /// What came of a REGISTER.
    pub(crate) fn registered(&mut self, turn: &mut Turn<'_, Ue>, outcome: Outcome<'_>) {
        if self.registration.attempt.is_none() {
            return;
        }
        let response = match outcome {
            Outcome::Response(response) => response,
            Outcome::Timeout => return self.attempt_failed(turn, RegistrationFailure::Timeout, None),
            Outcome::Unreachable(why) => {
                return self.attempt_failed(turn, RegistrationFailure::Unreachable(why), None);
            }
        };
        match response.message.status() {
            None => {}
            Some(status) if status.is_provisional() => {}
            Some(status) if status.is_success() => self.accepted(turn, response),
            Some(Status::UNAUTHORIZED) => self.challenged(turn, &response.message),
            Some(Status::INTERVAL_TOO_BRIEF) => self.too_brief(turn, &response.message),
            Some(status) => self.refused(turn, status, &response.message),
        }
    }

    fn challenged(&mut self, turn: &mut Turn<'_, Ue>, response: &Message) {
        let challenge = response.all(Name::WwwAuthenticate).find_map(|(_, value)| Challenge::read(value));
        let fault = self.config.policy.fault;
        let cnonce = Ue::token(turn);
        let answer = match challenge {
            Some(_) if fault == Some(Fault::IgnoreChallenge) => Answer::Unusable("told to ignore it"),
            Some(challenge) => self.authenticator.answer(&challenge, b"REGISTER", &cnonce, fault),
            None => Answer::Unusable("the 401 has no Digest challenge"),
        };
        let Some(attempt) = &mut self.registration.attempt else { return };
        attempt.challenges += 1;
        let mut is_genuine = false;
        let authorization = match answer {
            Answer::Good(authorization) => {
                attempt.bad_challenges = 0;
                is_genuine = true;
                authorization
            }
            Answer::Bad(authorization) => {
                attempt.bad_challenges += 1;
                // TS 24.229 §5.1.1.5.3: with auts the card asks to be followed, without it does not know the network.
                let is_out_of_step = authorization.contains("auts=");
                turn.count(
                    "challenge refused",
                    if is_out_of_step { "SQN out of range" } else { "MAC failure" },
                );
                authorization
            }
            Answer::Unusable(why) => {
                return self.attempt_failed(turn, RegistrationFailure::Challenge(why), None);
            }
        };
        if attempt.bad_challenges > BAD_CHALLENGES_MAX {
            return self.attempt_failed(
                turn,
                RegistrationFailure::Challenge("three bad ones in a row"),
                None,
            );
        }
        if attempt.challenges > CHALLENGES_MAX {
            return self.attempt_failed(
                turn,
                RegistrationFailure::Challenge("there is no end of them"),
                None,
            );
        }
        attempt.authorization = authorization;
        if is_genuine {
            let keys = self.authenticator.take_keys();
            match self.agree_on_security(turn, response, keys) {
                Ok(true) => return,
                Ok(false) => {}
                Err(why) => return self.begin_afresh(turn, why),
            }
        } else {
            // TS 24.229 §5.1.1.5.3: in the way that the REGISTER took, with new SPIs.
            self.security_refused(turn);
            self.offer_security(turn);
        }
        self.answer_challenge(turn);
    }

    /// A challenge without a Security-Server that could be used: its authentication is abandoned, and the registration begins
    /// anew with another Call-ID (TS 24.229 §5.1.1.5.1); once, lest it go on for ever.
    fn begin_afresh(&mut self, turn: &mut Turn<'_, Ue>, why: &'static str) {
        match &mut self.registration.attempt {
            Some(attempt) if attempt.fresh_starts < FRESH_STARTS_MAX && !attempt.purpose.ends_it() => {
                attempt.fresh_starts += 1;
                attempt.challenges = 0;
                attempt.authorization = self.authenticator.unchallenged();
            }
            _ => return self.attempt_failed(turn, RegistrationFailure::Challenge(why), None),
        }
        tracing::warn!(why, "the challenge is abandoned, and the registration begins anew");
        self.registration.call_id = Ue::token(turn);
        self.registration.tag = Ue::token(turn);
        self.registration.sequence = 0;
        self.security_refused(turn);
        self.offer_security(turn);
        self.send_register(turn);
    }

    /// The back end of IPsec has answered to the set of a challenge.
    pub(crate) fn associations_answered(&mut self, turn: &mut Turn<'_, Ue>, answer: &cscf::Answer) {
        if self.registration.attempt.is_none() {
            return self.security_refused(turn);
        }
        match self.secured(turn, answer) {
            Ok(()) => self.answer_challenge(turn),
            Err(why) => self.attempt_failed(turn, RegistrationFailure::Challenge(why), None),
        }
    }

    fn answer_challenge(&mut self, turn: &mut Turn<'_, Ue>) {
        let pause = self.config.policy.challenge_pause;
        if pause.is_zero() {
            self.send_register(turn);
        } else {
            turn.arm(pause, Timer::AnswerChallenge, "answer challenge");
        }
    }

    /// RFC 3261 §10.2.8: ask again, for at least what the registrar wants.
    fn too_brief(&mut self, turn: &mut Turn<'_, Ue>, response: &Message) {
        let least = response.number(Name::MinExpires).ok().flatten().unwrap_or(0);
        match &mut self.registration.attempt {
            Some(attempt)
                if least > attempt.expires_s
                    && attempt.too_brief < TOO_BRIEF_MAX
                    && !attempt.purpose.ends_it() =>
            {
                attempt.expires_s = least;
                attempt.too_brief += 1;
                self.send_register(turn);
            }
            _ => self.refused(turn, Status::INTERVAL_TOO_BRIEF, response),
        }
    }

    fn accepted(&mut self, turn: &mut Turn<'_, Ue>, response: &Incoming) {
        let contact = self.registered_contact_uri(turn);
        let Some(attempt) = self.registration.attempt.take() else { return };
        self.registration.failures = 0;
        self.registration.accepted = Some(attempt.authorization);
        self.security_accepted(turn);
        self.forget_binding(turn);
        if attempt.purpose.ends_it() {
            self.security_ended(turn);
            turn.notice(Notice::Deregistered(Deregistration::Confirmed));
            return self.run_queued(turn);
        }
        let message = &response.message;
        let expires_s = granted(message, &contact, attempt.expires_s);
        if expires_s == 0 {
            self.security_ended(turn);
            turn.notice(Notice::Deregistered(Deregistration::Expired));
            return self.run_queued(turn);
        }
        let mut identities: Vec<String> = message
            .name_addrs(Name::PAssociatedUri)
            .filter_map(|(_, identity)| Some(String::from_utf8_lossy(identity.ok()?.uri()).into_owned()))
            .collect();
        if identities.is_empty() {
            identities.push(self.config.impu.clone());
        }
        let service_route: Vec<String> = message
            .all(Name::ServiceRoute)
            .map(|(_, route)| String::from_utf8_lossy(route).into_owned())
            .collect();
        let lifetime = Duration::from_secs(u64::from(expires_s));
        self.registration.binding = Some(Binding {
            identities: identities.clone(),
            service_route: service_route.clone(),
            path: message
                .all(Name::Path)
                .map(|(_, path)| String::from_utf8_lossy(path).into_owned())
                .collect(),
            gruu: public_gruu(message, &contact),
            refresh: turn.arm(refresh_point(lifetime), Timer::Refresh, "registration refresh"),
            expiry: turn.arm(lifetime, Timer::Expired, "registration expiry"),
        });
        turn.notice(Notice::Registered {
            identities,
            service_route,
            expires_s,
            refresh: attempt.purpose == Purpose::Refresh,
        });
        if attempt.purpose == Purpose::Register {
            self.watch_ended(turn);
        }
        if self.config.registers_for == RegistersFor::Everything {
            self.watch(turn);
        }
        self.run_queued(turn);
    }

    fn refused(&mut self, turn: &mut Turn<'_, Ue>, status: Status, response: &Message) {
        let reason = response.first(Name::Warning).unwrap_or(response.reason());
        let reason = String::from_utf8_lossy(reason).into_owned();
        let retry_after = response.first(Name::RetryAfter).and_then(|value| {
            // The delay may be followed by a comment and parameters (RFC 3261 §20.33).
            let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
            sip_core::grammar::number(&value[..digits])
        });
        self.attempt_failed(turn, RegistrationFailure::Refused { status, reason }, retry_after);
    }

    fn attempt_failed(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        failure: RegistrationFailure,
        retry_after_s: Option<u32>,
    ) {
        let Some(attempt) = self.registration.attempt.take() else { return };
        self.security_refused(turn);
        if attempt.purpose.ends_it() {
            self.forget_binding(turn);
            self.security_ended(turn);
            turn.notice(Notice::Deregistered(Deregistration::Unconfirmed));
            return self.run_queued(turn);
        }
        self.registration.failures = self.registration.failures.saturating_add(1);
        let may_pass = match &failure {
            RegistrationFailure::Refused { status, .. } => {
                status.code() >= 500 && status.code() < 600
                    || matches!(*status, Status::REQUEST_TIMEOUT | Status::TEMPORARILY_UNAVAILABLE)
            }
            RegistrationFailure::Timeout | RegistrationFailure::Unreachable(_) => true,
            RegistrationFailure::Challenge(_) => false,
        };
        let is_persistent = self.config.policy.persistence == Persistence::KeepTrying
            || attempt.purpose == Purpose::Refresh && self.is_registered();
        let pause = match retry_after_s {
            Some(seconds) => Some(Duration::from_secs(u64::from(seconds)).min(RETRY_LONGEST * 2)),
            None if may_pass && is_persistent => {
                Some(pause(self.registration.failures, turn.entropy().below(51)))
            }
            None => None,
        };
        turn.notice(Notice::RegistrationFailed(failure));
        if let Some(pause) = pause
            && self.registration.queued.is_none()
        {
            self.registration.retry = Some(turn.arm(pause, Timer::Retry, "registration retry"));
        }
        self.run_queued(turn);
    }

    fn run_queued(&mut self, turn: &mut Turn<'_, Ue>) {
        match self.registration.queued.take() {
            Some(purpose) if purpose.ends_it() && !self.is_registered() => {
                turn.notice(Notice::Deregistered(Deregistration::Unconfirmed));
            }
            Some(Purpose::Refresh) if !self.is_registered() => self.start(turn, Purpose::Register),
            Some(purpose) => self.start(turn, purpose),
            None => {}
        }
    }

    fn forget_binding(&mut self, turn: &mut Turn<'_, Ue>) {
        if let Some(binding) = self.registration.binding.take() {
            turn.disarm(binding.refresh);
            turn.disarm(binding.expiry);
        }
    }

    fn stop_retrying(&mut self, turn: &mut Turn<'_, Ue>) {
        if let Some(retry) = self.registration.retry.take() {
            turn.disarm(retry);
        }
    }
}

/// The pause after so many failures: doubled each time, 50 to 100 per cent of it by chance (RFC 5626 §4.5).
fn pause(failures: u32, chance: u64) -> Duration {
    let longest = RETRY_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_LONGEST);
    longest * u32::try_from(50 + chance.min(50)).unwrap_or(100) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_up_to_half_an_hour() {
        let s = Duration::from_secs;
        assert_eq!(pause(1, 50), s(30));
        assert_eq!(pause(1, 0), s(15));
        assert_eq!(pause(3, 50), s(120));
        assert_eq!(pause(1000, 50), RETRY_LONGEST);
    }
}
