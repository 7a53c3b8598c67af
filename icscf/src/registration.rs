//! REGISTER at the I-CSCF (TS 24.229 §5.3.1): ask the HSS, choose the S-CSCF, pass the request on.

use crate::selection::Assignment;
use crate::{Icscf, Waiting};
use cscf::identity::{Impi, Impu};
use cscf::{Answer, Failure, Incoming, LifeSign, Next, Reject, Target, Trust, Turn, emergency};
use diameter_client::cx::{CxAnswer, CxRequest, CxResult, UAR_EMERGENCY, Uaa, Uar, UserAuthorizationType};
use diameter_client::endpoint::CxFailure;
use sip_core::{Message, Name, Status};
use std::borrow::Cow;

/// A REGISTER, before the HSS was asked.
pub fn begin(icscf: &Icscf, turn: &mut Turn<'_, Icscf>, request: &Incoming) -> Result<(), Reject> {
    // TS 24.229 §5.3.1.2: only a P-CSCF, an IBCF or another trusted node may register a user here.
    if request.source.trust == Trust::Outside {
        return Err(Reject::new(Status::FORBIDDEN, "REGISTER from outside the trust domain"));
    }
    let uar = uar(&request.message, icscf.config.home.domain())?;
    icscf.charge(turn, &request.message);
    icscf.ask(turn, &request.message, CxRequest::Uar(uar), Waiting::Uaa);
    Ok(())
}

/// The HSS answered, or could not be asked.
pub fn assigned(
    icscf: &Icscf,
    turn: &mut Turn<'_, Icscf>,
    request: &Incoming,
    answer: Answer,
) -> Result<(), Reject> {
    let Answer::Cx(answer) = answer else {
        return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "another question was answered"));
    };
    let assignment = assignment(answer.map(|answer| *answer))?;
    turn.data().search.assign(assignment, &icscf.config.icscf.scscfs);
    let scscf = icscf.next_scscf(turn)?;
    forward(icscf, turn, request, scscf);
    Ok(())
}

/// Forwards to an S-CSCF, whose URI becomes the Request-URI (TS 24.229 §5.3.1.2).
fn forward(icscf: &Icscf, turn: &mut Turn<'_, Icscf>, request: &Incoming, scscf: String) {
    let mut edits = icscf.edits(turn, &request.message);
    edits.set_uri(scscf.as_str());
    let branch = turn.forward(request, edits, Target::Uri(scscf.into_bytes()));
    turn.limit_silence(branch, icscf.config.icscf.scscf_timeout, LifeSign::Trying);
}

/// The S-CSCF did not take the REGISTER (TS 24.229 §5.3.1.3).
pub fn failed(
    icscf: &Icscf,
    turn: &mut Turn<'_, Icscf>,
    request: &Incoming,
    failure: &Failure<'_>,
) -> Result<Next, Reject> {
    if !moves_on(failure) {
        return Ok(Next::Collect);
    }
    turn.count("scscf_failed", "REGISTER");
    tracing::warn!(scscf = turn.data().search.last(), ?failure, "S-CSCF does not take a REGISTER");
    if is_protected(&request.message) {
        return lost(turn, failure);
    }
    if let Some(scscf) = turn.data().search.next(icscf.config.icscf.scscf_tries_max) {
        forward(icscf, turn, request, scscf);
        return Ok(Next::Handled);
    }
    let mut uar = uar(&request.message, icscf.config.home.domain())?;
    if turn.data().search.is_last || uar.authorization_type == UserAuthorizationType::DeRegistration {
        return lost(turn, failure);
    }
    turn.data().search.is_last = true;
    uar.authorization_type = UserAuthorizationType::RegistrationAndCapabilities;
    icscf.ask(turn, &request.message, CxRequest::Uar(uar), Waiting::Uaa);
    Ok(Next::Handled)
}

/// No other S-CSCF is left: the answer of the last one counts, and its silence is a 504.
fn lost(turn: &mut Turn<'_, Icscf>, failure: &Failure<'_>) -> Result<Next, Reject> {
    match failure {
        Failure::Response(_) => Ok(Next::Collect),
        Failure::Timeout { .. } | Failure::Unreachable(_) => {
            Err(Reject::new(Status::SERVER_TIMEOUT, "no S-CSCF answers")
                .detail(format!("last tried: {}", turn.data().search.last())))
        }
    }
}

/// Whether another S-CSCF may do better: silence, a redirection, or 480 (TS 24.229 §5.3.1.3).
fn moves_on(failure: &Failure<'_>) -> bool {
    match failure {
        Failure::Timeout { .. } | Failure::Unreachable(_) => true,
        Failure::Response(response) => response.status().is_some_and(|status| {
            (300..400).contains(&status.code()) || status == Status::TEMPORARILY_UNAVAILABLE
        }),
    }
}

/// Whether the REGISTER came over a security association: `integrity-protected` with another value than `no`.
fn is_protected(message: &Message) -> bool {
    let value = credentials_param(message, b"integrity-protected");
    value.is_some_and(|value| !value.eq_ignore_ascii_case(b"no"))
}

/// A parameter of the Authorization header, without its quotes.
fn credentials_param<'m>(message: &'m Message, name: &[u8]) -> Option<Cow<'m, [u8]>> {
    message.credentials(Name::Authorization).find_map(|(_, credentials)| credentials.ok()?.param(name))
}

/// The UAR for a REGISTER (TS 29.228 §6.1.1); `home` stands in for a P-Visited-Network-ID that is missing.
pub fn uar(message: &Message, home: &str) -> Result<Uar, Reject> {
    let to = message.to().map_err(|_| Reject::new(Status::BAD_REQUEST, "To cannot be read"))?;
    let impu = Impu::parse(to.uri())
        .ok_or_else(|| Reject::new(Status::BAD_REQUEST, "To is no public user identity"))?;
    let named =
        credentials_param(message, b"username").and_then(|name| String::from_utf8(name.into_owned()).ok());
    let impi = named.filter(|name| !name.is_empty()).map_or_else(|| impu.derived_impi(), Impi::new);
    Ok(Uar {
        user_name: impi.into_string(),
        public_identity: impu.into_string(),
        visited_network: visited_network(message).unwrap_or_else(|| home.as_bytes().to_vec()),
        authorization_type: authorization_type(message),
        uar_flags: emergency::is_registration(message).then_some(UAR_EMERGENCY),
        ..Uar::default()
    })
}

/// The first P-Visited-Network-ID without quotes and parameters (RFC 7315 §4.3).
fn visited_network(message: &Message) -> Option<Vec<u8>> {
    let value = message.first(Name::PVisitedNetworkId)?;
    let network = match value.strip_prefix(b"\"") {
        Some(quoted) => &quoted[..quoted.iter().position(|byte| *byte == b'"')?],
        None => value.split(|byte| *byte == b';').next()?.trim_ascii_end(),
    };
    (!network.is_empty()).then(|| network.to_vec())
}

/// DE_REGISTRATION when no contact stays (TS 24.229 §5.3.1.2, TS 29.229 §6.3.24).
fn authorization_type(message: &Message) -> UserAuthorizationType {
    let header = message.expires().ok().flatten();
    let mut contacts = message.contacts().filter_map(|(_, contact)| contact.ok()).peekable();
    let ends = match contacts.peek() {
        None => header == Some(0),
        Some(_) => contacts.all(|contact| contact.expires().or(header) == Some(0)),
    };
    if ends { UserAuthorizationType::DeRegistration } else { UserAuthorizationType::Registration }
}

/// What a UAA means (TS 24.229 §5.3.1.2 and §5.3.1.3, TS 29.228 §6.1.1.1).
pub fn assignment(answer: Result<CxAnswer, CxFailure>) -> Result<Assignment, Reject> {
    let forbidden = |cause| Err(Reject::new(Status::FORBIDDEN, cause));
    let uaa = match answer {
        Ok(CxAnswer::Uaa(uaa)) => uaa,
        Ok(other) => return Err(no_answer(&format!("{} instead of UAA", other.name()))),
        Err(CxFailure::Overload) => return Err(crate::overloaded()),
        Err(failure) => return Err(no_answer(&failure.to_string())),
    };
    match uaa.result {
        CxResult::FIRST_REGISTRATION | CxResult::SUBSEQUENT_REGISTRATION | CxResult::SUCCESS => {
            named_or_select(uaa)
        }
        CxResult::USER_UNKNOWN => forbidden("HSS does not know the user"),
        CxResult::IDENTITIES_DONT_MATCH => forbidden("public and private identity do not belong together"),
        CxResult::IDENTITY_NOT_REGISTERED => forbidden("identity is not registered"),
        CxResult::ROAMING_NOT_ALLOWED => forbidden("roaming is not allowed"),
        CxResult::AUTHORIZATION_REJECTED => forbidden("HSS does not authorize the registration"),
        result => Err(no_answer(&result.to_string())),
    }
}

fn named_or_select(uaa: Uaa) -> Result<Assignment, Reject> {
    match uaa.server_name {
        Some(name) => crate::server_name(name).map(Assignment::Named),
        None => Ok(Assignment::Select(uaa.server_capabilities.unwrap_or_default())),
    }
}

/// TS 24.229 §5.3.1.3: the HSS is silent or unable to comply.
fn no_answer(detail: &str) -> Reject {
    Reject::new(Status::SERVER_TIMEOUT, "HSS gives no usable answer").detail(detail)
}
