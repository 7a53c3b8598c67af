//! Third-party registration (TS 24.229 §5.4.1.7, TS 23.218 §6.3): application servers hear who is registered, by a REGISTER of
//! ours to each whose filter criteria match, after the 200 to the UE, and with zero when a registration has ended.

mod body;

use super::accepted::Functions;
use super::registrations::{Registration, RegistrationId, State};
use super::services::Services;
use crate::criteria::{Criteria, Facts, server_uri};
use crate::role::Scscf;
use crate::waiting::{Cause, Waiting};
use body::Body;
use cscf::charging::{self, Icid};
use cscf::identity::Impu;
use cscf::role::Outcome;
use cscf::user_data::{ApplicationServer, DefaultHandling, RegistrationType, SessionCase};
use cscf::{Target, Turn};
use diameter_client::cx::ChargingInformation;
use sip_core::{Limits, Message, Method, Name, RequestBuilder, Status};
use std::sync::Arc;

/// Of whom application servers hear, kept while the registration itself may end.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The registration.
    id: RegistrationId,
    /// The identity, as the HSS wrote it.
    identity: Box<str>,
    /// What has happened to its registration.
    kind: RegistrationType,
    services: Arc<Services>,
    charging: Option<Arc<ChargingInformation>>,
}

/// A REGISTER of ours that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whose registration it tells of.
    pub id: RegistrationId,
    /// What becomes of the user when the server does not answer.
    handling: DefaultHandling,
    /// Whether it tells of the end.
    is_end: bool,
}

/// Application servers that one registration is told to at most.
const SERVERS_MAX: usize = 16;
/// REGISTERs of ours that may be out at once; what is beyond is counted and left out.
const OPEN_MAX: usize = 20_000;

impl Scscf {
    /// Of whom application servers are to hear, where the profile of an identity names any.
    pub(super) fn heard(
        &self,
        id: RegistrationId,
        impu: &Impu,
        kind: RegistrationType,
    ) -> Option<Box<Heard>> {
        let registration = self.registrations.get(id)?;
        heard(id, registration, Some(impu), kind).map(Box::new)
    }

    /// Tells application servers of a REGISTER that was accepted; `response` is its 200.
    pub(super) fn tell_servers(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        heard: &Heard,
        register: &Message,
        response: impl Fn(&Scscf, &mut Turn<'_, Scscf>) -> Vec<u8>,
    ) {
        let now = turn.now();
        let registration = self.registrations.get(heard.id);
        let left = registration
            .into_iter()
            .flat_map(Registration::ordinary)
            .map(|binding| binding.expires_at.since(now).as_micros().div_ceil(1_000_000))
            .max();
        let expires_s = u32::try_from(left.unwrap_or(0)).unwrap_or(u32::MAX);
        let kind = if expires_s == 0 { RegistrationType::DeRegistration } else { heard.kind };
        let servers = matching(&heard.services.criteria, register, kind);
        let wanted = servers.iter().any(|server| server.includes_register_response);
        let response = wanted.then(|| response(self, turn));
        for server in servers {
            let body = Body { server, request: Some(register.bytes()), response: response.as_deref() };
            self.register_with(turn, heard, &body, register, expires_s);
        }
    }

    /// Tells application servers that the network has ended a registration, as if its user had.
    pub(super) fn tell_servers_of_end(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        id: RegistrationId,
        registration: &Registration,
    ) {
        if registration.state != State::Registered {
            return;
        }
        let Some(heard) = heard(id, registration, None, RegistrationType::DeRegistration) else { return };
        let Some(register) = as_if_the_user_had(&heard.identity, self.config.home.domain()) else { return };
        for server in matching(&heard.services.criteria, &register, RegistrationType::DeRegistration) {
            self.register_with(turn, &heard, &Body { server, request: None, response: None }, &register, 0);
        }
    }

    fn register_with(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        heard: &Heard,
        body: &Body<'_>,
        register: &Message,
        expires_s: u32,
    ) {
        if self.third_party_open >= OPEN_MAX {
            return turn.count("third-party register", "left out: too many are open");
        }
        let server = body.server;
        if server_uri::read(&server.server_name).is_err() {
            // It would spoil the Request-URI.
            return turn.count("third-party register", "left out: unusable uri");
        }
        let own = &self.config.scscf.uri;
        let token = |turn: &mut Turn<'_, Scscf>| format!("{:016x}", turn.entropy().next_u64());
        let (tag, call_id, boundary) = (token(turn), token(turn), token(turn));
        let minted = Icid::mint(turn.entropy());
        let icid = charging::icid(register);
        let icid = icid.as_deref().unwrap_or(minted.as_str());
        let mut request = RequestBuilder::new(Method::Register, &server.server_name)
            .header(Name::MaxForwards, "70")
            .header(Name::From, format_args!("<{own}>;tag={tag}"))
            .header(Name::To, format_args!("<{}>", heard.identity))
            .header(Name::CallId, &call_id)
            .header(Name::CSeq, "1 REGISTER")
            .header(Name::Contact, format_args!("<{own}>"))
            .header(Name::Expires, format_args!("{expires_s}"))
            .header(
                Name::PChargingVector,
                format_args!("{}", charging::written(icid, &self.config.scscf.ioi)),
            );
        for name in [Name::PAccessNetworkInfo, Name::PVisitedNetworkId] {
            for (_, value) in register.all(name) {
                request = request.header(name, value);
            }
        }
        if let Some(functions) = heard.charging.as_deref().map(Functions).filter(Functions::has_any) {
            request = request.header(Name::PChargingFunctionAddresses, format_args!("{functions}"));
        }
        if let Some((content_type, bytes)) = body.write(&boundary) {
            request = request.body(&content_type, &bytes);
        }
        let asked = Asked { id: heard.id, handling: server.default_handling, is_end: expires_s == 0 };
        self.third_party_open += 1;
        turn.count("third-party register", if expires_s == 0 { "of an end" } else { "sent" });
        let target = Target::Uri(server.server_name.clone().into_bytes());
        turn.originate(request.build(), target, Waiting::ThirdParty(asked));
    }

    /// What came of a REGISTER of ours.
    pub(crate) fn server_answered(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        asked: Asked,
        outcome: &Outcome<'_>,
    ) {
        let status = match outcome {
            Outcome::Response(response) => response.message.status(),
            Outcome::Timeout | Outcome::Unreachable(_) => None,
        };
        if status.is_some_and(Status::is_provisional) {
            return;
        }
        self.third_party_open = self.third_party_open.saturating_sub(1);
        if !is_failure(status) {
            return;
        }
        turn.count("third-party register", "not answered");
        if asked.handling == DefaultHandling::SessionTerminated && !asked.is_end {
            tracing::info!(
                "a registration ends, for an application server that must hear of it does not answer"
            );
            self.end_registration(turn, asked.id, Cause::ApplicationServer);
        }
    }
}

/// TS 24.229 §5.4.1.7: no answer, a 408 or a 5xx; what else a server says is its own affair.
fn is_failure(status: Option<Status>) -> bool {
    status.is_none_or(|status| status == Status::REQUEST_TIMEOUT || (500..600).contains(&status.code()))
}

/// The identity that is told is the one of the REGISTER, or where that is barred the default one.
fn heard(
    id: RegistrationId,
    registration: &Registration,
    impu: Option<&Impu>,
    kind: RegistrationType,
) -> Option<Heard> {
    let set = &registration.set;
    if set.services().iter().all(|services| services.criteria.is_empty()) {
        return None;
    }
    let named = impu.and_then(|impu| set.identity(impu.as_str())).filter(|identity| !identity.is_barred);
    let identity = named.or_else(|| set.associated().next())?;
    let services = set.services().get(usize::from(identity.profile()))?;
    if services.criteria.is_empty() {
        return None;
    }
    Some(Heard {
        id,
        identity: Box::from(identity.as_str()),
        kind,
        services: services.clone(),
        charging: registration.charging.clone(),
    })
}

/// The servers of the criteria that a REGISTER matches, in order, each once.
fn matching<'c>(
    criteria: &'c Criteria,
    register: &Message,
    kind: RegistrationType,
) -> Vec<&'c ApplicationServer> {
    let facts = Facts {
        message: register,
        case: SessionCase::OriginatingRegistered,
        is_registered: true,
        registration: Some(kind),
    };
    let mut servers: Vec<&ApplicationServer> = Vec::new();
    let mut after = None;
    while let Some(criterion) = criteria.next(after, &facts).filter(|_| servers.len() < SERVERS_MAX) {
        after = Some(criterion.place);
        let server = &*criterion.application_server;
        if !servers.iter().any(|known| known.server_name == server.server_name) {
            servers.push(server);
        }
    }
    servers
}

/// The REGISTER by which the user would have ended it, for criteria to match.
fn as_if_the_user_had(identity: &str, domain: &str) -> Option<Message> {
    let register = RequestBuilder::new(Method::Register, format_args!("sip:{domain}"))
        .header(Name::From, format_args!("<{identity}>"))
        .header(Name::To, format_args!("<{identity}>"))
        .header(Name::CSeq, "1 REGISTER")
        .header(Name::Contact, "*")
        .header(Name::Expires, "0");
    Message::parse(register.build(), &Limits::default()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_a_408_and_a_5xx_are_failures() {
        for (status, expected) in [
            (None, true),
            (Some(Status::REQUEST_TIMEOUT), true),
            (Some(Status::SERVICE_UNAVAILABLE), true),
            (Some(Status::OK), false),
            (Some(Status::NOT_FOUND), false),
            (Some(Status::FORBIDDEN), false),
        ] {
            assert_eq!(is_failure(status), expected, "{status:?}");
        }
    }
}
