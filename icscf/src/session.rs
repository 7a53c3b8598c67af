//! Requests other than REGISTER at the I-CSCF (TS 24.229 §5.3.2): find the S-CSCF of the served user.
//!
//! The S-CSCF becomes a Route, the Request-URI stays; nothing is recorded, so the rest of the dialog passes by.

use crate::selection::Assignment;
use crate::{Icscf, Waiting};
use cscf::breakout::Departure;
use cscf::identity::Impu;
use cscf::{Answer, Failure, Incoming, LifeSign, Next, Reject, Target, Trust, Turn, breakout, gruu};
use diameter_client::cx::{
    CxAnswer, CxRequest, CxResult, Lia, Lir, ServerCapabilities, UserAuthorizationType,
};
use diameter_client::endpoint::CxFailure;
use sip_core::{Message, Method, Name, Status, Uri};

/// Whose services a request wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionSide {
    /// Those of the user that the Request-URI names.
    #[default]
    Terminating,
    /// Those of the user that an AS acts for: the topmost Route carried `orig`.
    Originating,
}

/// A request, before the HSS was asked.
pub fn begin(icscf: &Icscf, turn: &mut Turn<'_, Icscf>, request: &Incoming) -> Result<(), Reject> {
    let message = &request.message;
    let is_foreign = request.source.trust == Trust::Outside;
    if is_foreign && !icscf.config.icscf.takes_foreign {
        return Err(Reject::new(Status::FORBIDDEN, "request from outside the trust domain"));
    }
    if message.method() == Method::Options && is_for_node(icscf, turn, message) {
        turn.reply(request, Status::OK, |response| response);
        return Ok(());
    }
    turn.data().is_foreign = is_foreign;
    icscf.charge(turn, message);
    // TS 24.229 §5.3.2.1: whoever wrote further Routes knows the way; a stranger is not taken there.
    let next = next_route(icscf, turn, message);
    if is_foreign && next.is_some() {
        return Err(Reject::new(Status::FORBIDDEN, "Route from outside the trust domain"));
    }
    if let Some(next) = next {
        let edits = icscf.edits(turn, message);
        turn.forward(request, edits, Target::Uri(next));
        return Ok(());
    }
    if message.method() == Method::Ack {
        // The ACK to a 2xx follows the route set, and this node is in none.
        return Err(Reject::new(Status::FORBIDDEN, "ACK without a Route"));
    }
    // Only a trusted application server acts for a user.
    let side = icscf.own_route(turn, message).map_or(SessionSide::Terminating, |(_, side)| side);
    let side = if is_foreign { SessionSide::Terminating } else { side };
    turn.data().side = side;
    if side == SessionSide::Terminating && gruu::may_be(message.uri()) {
        let uri = message.request_uri().ok();
        if let Some(user) = uri.as_ref().and_then(gruu::temporary) {
            return to_maker(icscf, turn, request, user);
        }
    }
    let lir = lir(message, side, icscf.config.home.domain())?;
    icscf.ask(turn, message, CxRequest::Lir(lir), Waiting::Lia);
    Ok(())
}

/// A temporary GRUU names nobody to the HSS: the S-CSCF that has made it knows (TS 24.229 §5.4.7A.3).
fn to_maker(
    icscf: &Icscf,
    turn: &mut Turn<'_, Icscf>,
    request: &Incoming,
    user: &[u8],
) -> Result<(), Reject> {
    let mark = gruu::Mark::read(user);
    let maker = icscf.config.icscf.scscfs.iter().find(|entry| Some(gruu::Mark::of(&entry.uri)) == mark);
    let maker = maker.ok_or_else(|| Reject::new(Status::NOT_FOUND, "temporary GRUU of no S-CSCF here"))?;
    let search = &mut turn.data().search;
    search.assign(Assignment::Named(maker.uri.clone()), &[]);
    // Nobody else can say who is meant.
    search.is_last = true;
    let scscf = icscf.next_scscf(turn)?;
    forward(icscf, turn, request, &scscf);
    Ok(())
}

/// Whether a request is for this node and no user behind it: a keep-alive of a neighbour.
fn is_for_node(icscf: &Icscf, turn: &Turn<'_, Icscf>, message: &Message) -> bool {
    let has_user = message.request_uri().is_ok_and(|uri| uri.user().is_some());
    !has_user && icscf.is_own_uri(turn, message.uri()) && next_route(icscf, turn, message).is_none()
}

/// The first Route that is not this node's own.
fn next_route(icscf: &Icscf, turn: &Turn<'_, Icscf>, message: &Message) -> Option<Vec<u8>> {
    message
        .routes()
        .filter_map(|(_, route)| route.ok())
        .find(|route| !icscf.is_own_uri(turn, route.uri()))
        .map(|route| route.uri().to_vec())
}

/// The HSS answered, or could not be asked.
pub fn located(
    icscf: &Icscf,
    turn: &mut Turn<'_, Icscf>,
    request: &Incoming,
    answer: Answer,
) -> Result<(), Reject> {
    let Answer::Cx(answer) = answer else {
        return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "another question was answered"));
    };
    let data = turn.data();
    let Location { assignment, profile_key, is_direct } = match answer {
        Err(failure) if is_hss_gone(&failure) && data.side == SessionSide::Terminating => {
            tracing::warn!(%failure, "the callee is looked for without the HSS");
            data.is_blind = true;
            let any = Assignment::Select(ServerCapabilities::default());
            Location { assignment: any, profile_key: None, is_direct: false }
        }
        answer => match location(answer.map(|answer| *answer)) {
            Err(reject) if reject.status == Status::NOT_FOUND => {
                return break_out(icscf, turn, request, reject);
            }
            located => located?,
        },
    };
    data.profile_key = profile_key;
    // Nobody else has the service: no S-CSCF is asked for, should its server be silent.
    data.search.is_last |= is_direct;
    data.search.assign(assignment, &icscf.config.icscf.scscfs);
    let scscf = icscf.next_scscf(turn)?;
    forward(icscf, turn, request, &scscf);
    Ok(())
}

/// Nobody here has what was called. A number leaves the network by the rule that it falls under (TS 24.229 §5.3.2.1,
/// §5.6.2), when it comes from inside: for strangers this is no way through.
fn break_out(
    icscf: &Icscf,
    turn: &mut Turn<'_, Icscf>,
    request: &Incoming,
    unknown: Reject,
) -> Result<(), Reject> {
    let message = &request.message;
    if request.source.trust == Trust::Outside || turn.data().side == SessionSide::Originating {
        return Err(unknown);
    }
    let Ok(uri) = message.request_uri() else { return Err(unknown) };
    match breakout::of_number(&icscf.config.bgcf.rules, &uri) {
        Some(rule) => {
            turn.count("breakout", "number without subscriber");
            depart(icscf, turn, request, Departure::by(rule, None));
            Ok(())
        }
        None if !icscf.config.bgcf.rules.is_empty() && is_number(&uri) => {
            Err(Reject::new(Status::NOT_FOUND, "number has no subscriber and no rule"))
        }
        None => Err(unknown),
    }
}

/// Sends a request out of the network, and remembers by which way.
fn depart(icscf: &Icscf, turn: &mut Turn<'_, Icscf>, request: &Incoming, departure: Departure) {
    let message = &request.message;
    let mut edits = icscf.edits(turn, message);
    let target = departure.leave(message, &mut edits);
    let branch = turn.forward(request, edits, target);
    if let Some(after) = departure.silence_max(message.method()) {
        turn.limit_silence(branch, after, LifeSign::Trying);
    }
    turn.data().departure = Some(Box::new(departure));
}

fn is_number(uri: &Uri<'_>) -> bool {
    matches!(uri, Uri::Tel(_)) || uri.param(b"user").is_some_and(|user| user.eq_ignore_ascii_case(b"phone"))
}

/// Whether the HSS cannot be asked, so that nothing is known of the callee.
///
/// TS 24.229 leaves open what follows. An S-CSCF that has the callee registered needs no HSS, so those of the
/// configuration are tried in turn; one that has not answers 5xx, for it cannot ask the HSS either.
fn is_hss_gone(failure: &CxFailure) -> bool {
    matches!(failure, CxFailure::NoPeer | CxFailure::Timeout | CxFailure::Rejected { .. })
}

/// Forwards with the S-CSCF as the only Route (TS 24.229 §5.3.2.1).
fn forward(icscf: &Icscf, turn: &mut Turn<'_, Icscf>, request: &Incoming, scscf: &str) {
    let message = &request.message;
    let mut edits = icscf.edits(turn, message);
    if let Some(tel) = telephone_uri(message.uri(), icscf.config.home.domain()) {
        edits.set_uri(tel.as_str());
    }
    if let Some(key) = &turn.data().profile_key {
        edits.set(message, Name::PProfileKey, format_args!("<{key}>"));
    }
    let route = scscf_route(scscf, turn.data().side);
    edits.push_top(Name::Route, format_args!("<{route}>"));
    let branch = turn.forward(request, edits, Target::Uri(route.into_bytes()));
    turn.limit_silence(branch, icscf.config.icscf.scscf_timeout, LifeSign::Trying);
}

/// The S-CSCF did not answer (TS 24.229 §5.3.2.1): only silence moves on, unlike for REGISTER.
pub fn failed(
    icscf: &Icscf,
    turn: &mut Turn<'_, Icscf>,
    request: &Incoming,
    failure: &Failure<'_>,
) -> Result<Next, Reject> {
    let is_silent = matches!(failure, Failure::Timeout { answered: false } | Failure::Unreachable(_));
    if let Some(departure) = turn.data().departure.take() {
        let further = departure.after(failure).filter(|_| !turn.data().is_cancelled);
        let Some(further) = further else { return Ok(Next::Collect) };
        turn.count("breakout", "next hop silent");
        depart(icscf, turn, request, further);
        return Ok(Next::Handled);
    }
    let data = turn.data();
    let is_elsewhere =
        matches!(failure, Failure::Response(response) if data.is_blind && is_server_failure(response));
    // A request that went on by its own Route was nobody's to reselect.
    if !(is_silent || is_elsewhere) || data.is_cancelled || !data.search.is_begun() {
        return Ok(Next::Collect);
    }
    if is_silent {
        tracing::warn!(scscf = data.search.last(), ?failure, "S-CSCF does not answer");
        turn.count("scscf_failed", "session");
    }
    if let Some(scscf) = turn.data().search.next(icscf.config.icscf.scscf_tries_max) {
        forward(icscf, turn, request, &scscf);
        return Ok(Next::Handled);
    }
    if is_elsewhere {
        return Ok(Next::Collect);
    }
    if turn.data().search.is_last || turn.data().is_blind {
        return Err(Reject::new(Status::SERVER_TIMEOUT, "no S-CSCF answers")
            .detail(format!("last tried: {}", turn.data().search.last())));
    }
    turn.data().search.is_last = true;
    let side = turn.data().side;
    let mut lir = lir(&request.message, side, icscf.config.home.domain())?;
    lir.authorization_type = Some(UserAuthorizationType::RegistrationAndCapabilities);
    icscf.ask(turn, &request.message, CxRequest::Lir(lir), Waiting::Lia);
    Ok(Next::Handled)
}

fn is_server_failure(response: &Message) -> bool {
    response.status().is_some_and(|status| (500..600).contains(&status.code()))
}

/// The LIR for a request (TS 29.228 §6.1.4).
pub fn lir(message: &Message, side: SessionSide, home: &str) -> Result<Lir, Reject> {
    let impu = match side {
        SessionSide::Originating => originator(message)
            .ok_or_else(|| Reject::new(Status::FORBIDDEN, "originating request names no served user"))?,
        SessionSide::Terminating => {
            let telephone = telephone_uri(message.uri(), home);
            let uri = telephone.as_ref().map_or(message.uri(), |tel| tel.as_bytes());
            Impu::parse(uri)
                .ok_or_else(|| Reject::new(Status::UNSUPPORTED_URI_SCHEME, "Request-URI names no user"))?
        }
    };
    Ok(Lir {
        public_identity: impu.into_string(),
        is_originating: side == SessionSide::Originating,
        ..Lir::default()
    })
}

/// Whom an AS acts for: P-Served-User, else P-Asserted-Identity.
fn originator(message: &Message) -> Option<Impu> {
    [Name::PServedUser, Name::PAssertedIdentity]
        .into_iter()
        .find_map(|name| Impu::parse(message.name_addr(name).ok()?.uri()))
}

/// The tel URI for a SIP URI of the home domain that stands for a telephone number: `user=phone` and a global number,
/// and no GRUU (TS 24.229 §5.3.2.1).
pub fn telephone_uri(uri: &[u8], home: &str) -> Option<String> {
    let uri = Uri::parse(uri).ok()?;
    let user = uri.user()?;
    let is_phone = uri.param(b"user").is_some_and(|value| value.eq_ignore_ascii_case(b"phone"));
    let is_home = uri.host()?.name().is_some_and(|host| host.eq_ignore_ascii_case(home.as_bytes()));
    let is_gruu = uri.params().has(b"gr");
    if !is_phone || !is_home || is_gruu || user.first() != Some(&b'+') {
        return None;
    }
    // The user part is a telephone-subscriber; parameters of its own go along.
    let tel = format!("tel:{}", std::str::from_utf8(user).ok()?);
    Uri::parse(tel.as_bytes()).is_ok().then_some(tel)
}

/// The Route to an S-CSCF: loose, and marked when the originating services are wanted.
fn scscf_route(scscf: &str, side: SessionSide) -> String {
    let has = |name: &[u8]| Uri::parse(scscf.as_bytes()).is_ok_and(|uri| uri.params().has(name));
    let lr = if has(b"lr") { "" } else { ";lr" };
    let orig = match side {
        SessionSide::Originating if !has(b"orig") => ";orig",
        SessionSide::Originating | SessionSide::Terminating => "",
    };
    let mut route = String::with_capacity(scscf.len() + lr.len() + orig.len());
    [scscf, lr, orig].into_iter().for_each(|part| route.push_str(part));
    route
}

/// The bit of LIA-Flags that says so: PSI Direct Routing Indication (TS 29.229 §6.3).
const LIA_PSI_DIRECT_ROUTING: u32 = 1;

/// What the HSS said about the served user.
#[derive(Debug, PartialEq, Eq)]
pub struct Location {
    /// Who serves.
    pub assignment: Assignment,
    /// The wildcarded identity that matched, which the S-CSCF looks the profile up by (P-Profile-Key).
    pub profile_key: Option<String>,
    /// It is the server of a service identity itself, not an S-CSCF.
    pub is_direct: bool,
}

/// What an LIA means (TS 24.229 §5.3.2.1, TS 29.228 §6.1.4.1).
pub fn location(answer: Result<CxAnswer, CxFailure>) -> Result<Location, Reject> {
    let no_answer = |detail: String| {
        Err(Reject::new(Status::SERVER_TIMEOUT, "HSS gives no usable answer").detail(detail))
    };
    let lia = match answer {
        Ok(CxAnswer::Lia(lia)) => lia,
        Ok(other) => return no_answer(format!("{} instead of LIA", other.name())),
        Err(CxFailure::Overload) => return Err(crate::overloaded()),
        Err(failure) => return no_answer(failure.to_string()),
    };
    match lia.result {
        result if result == CxResult::SUCCESS || lia.is_unregistered_service() => named_or_select(lia),
        CxResult::USER_UNKNOWN => Err(Reject::new(Status::NOT_FOUND, "HSS does not know the user")),
        CxResult::IDENTITY_NOT_REGISTERED => {
            Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "user is not registered"))
        }
        result => no_answer(result.to_string()),
    }
}

fn named_or_select(lia: Lia) -> Result<Location, Reject> {
    let assignment = match lia.server_name {
        Some(name) => Assignment::Named(crate::server_name(name)?),
        None => Assignment::Select(lia.server_capabilities.unwrap_or_default()),
    };
    let is_direct = lia.lia_flags.is_some_and(|flags| flags & LIA_PSI_DIRECT_ROUTING != 0);
    Ok(Location { assignment, profile_key: lia.wildcarded_public_identity, is_direct })
}
