//! REGISTER at the P-CSCF (TS 24.229 §5.2.2): what goes to the registrar, and what its answer leaves behind.

use crate::admission::{self, Proposal};
use crate::binding::{Binding, BindingId, is_same_contact};
use crate::bindings::Bindings;
use crate::credentials::{self, Arrival};
use crate::gm;
use crate::grant::{Asked, Change};
use crate::path::ID_BITS;
use crate::scheme::{self, Credentials, Facts, Way};
use crate::tls_session::TlsSession;
use crate::{Data, Pcscf, Timer, Waiting, nat, record, reg_event, securing};
use ambient::Now;
use cscf::identity::Impu;
use cscf::{Answer, Incoming, Query, Reject, Target, Transport, Trust, Turn, emergency};
use sip_core::{Message, Name, Status};
use smallvec::SmallVec;
use std::net::SocketAddr;

/// A REGISTER of a UE.
pub fn begin(pcscf: &Pcscf, turn: &mut Turn<'_, Pcscf>, request: &Incoming) -> Result<(), Reject> {
    let message = &request.message;
    let aor = aor(message)?;
    let source = securing::sender(pcscf, &request.source)?;
    let through = source.secured.and_then(|set| pcscf.agreements.get(set));
    // Who registers is read for a connection of TLS alone: each other REGISTER would pay for it.
    let impi = (source.transport == Transport::Tls).then(|| admission::impi(message)).flatten();
    let tls = pcscf.tls_sessions.of(&source, impi.as_deref())?;
    let has_tls = turn.locals().iter().any(|local| local.transport == Transport::Tls);
    let facts = Facts::of(&pcscf.config, message, through.is_some(), tls, has_tls);
    let (way, access_type) = scheme::admit(&pcscf.config, &facts, message, source.remote)?;
    let is_apart = matches!(way, Way::DigestTls | Way::DigestTlsAhead | Way::Giba)
        || (way == Way::Digest && !pcscf.config.access.networks.is_empty());
    // Security associations are for AKA: what an access network lets in otherwise has none.
    let proposal = match is_apart || tls.is_some() {
        true => None,
        false => {
            let claimed = pcscf.config.ipsec.is_on().then(|| nat::claimed(message, &source)).flatten();
            admission::admit(&pcscf.config.ipsec, through, message, claimed)?
        }
    };
    let arrival = match (tls, way) {
        (Some(session), _) => Arrival::Tls(session),
        (None, Way::DigestTlsAhead) => Arrival::Tls(TlsSession::Pending),
        (None, _) if through.is_some() => Arrival::Protected,
        (None, Way::Digest) if facts.credentials == Credentials::Unnamed => Arrival::Digest,
        (None, _) => Arrival::Clear,
    };
    let has_contact = |uri: &str| {
        let mut contacts = message.contacts().filter_map(|(_, contact)| Some(contact.ok()?.uri()));
        contacts.any(|contact| is_same_contact(contact, uri.as_bytes()))
    };
    let is_emergency = emergency::is_registration(message);
    let refreshed = pcscf.bindings.refreshed_by(&source, &aor, is_emergency);
    let known = refreshed.or_else(|| pcscf.bindings.returned(&source, &aor, has_contact));
    let known = known.map(|binding| binding.id());
    let reserve = if is_emergency { emergency::reserve(pcscf.config.pcscf.registrations_max) } else { 0 };
    if known.is_none() && pcscf.bindings.len() >= pcscf.config.pcscf.registrations_max + reserve {
        return Err(
            Reject::new(Status::SERVICE_UNAVAILABLE, "too many registrations").header(Name::RetryAfter, "60")
        );
    }
    let id = known.unwrap_or_else(|| BindingId(turn.entropy().next_u64() & ((1 << ID_BITS) - 1)));
    let mut edits = turn.edits();
    gm::from_ue(message, &mut edits);
    // A REGISTER follows no Route: the registrar's domain decides, or the configuration.
    edits.remove(message, Name::Route);
    for (slot, authorization) in message.all(Name::Authorization) {
        let value = credentials::with_integrity(authorization, arrival)
            .ok_or_else(|| Reject::new(Status::BAD_REQUEST, "Authorization cannot be read"))?;
        edits.replace(slot, value.as_slice());
    }
    let token = gm::path_token(turn, id, source.remote.ip());
    let path = gm::path_uri(pcscf, turn, &token);
    // RFC 5626 §5.1: the UE asks to be reached by this flow.
    let flow = if asks_for_flow(message) { ";ob" } else { "" };
    edits.push_top(Name::Path, format_args!("<{path}{flow}>"));
    if !message.has_option(Name::Require, b"path") {
        edits.append(Name::Require, "path");
    }
    edits.set(
        message,
        Name::PVisitedNetworkId,
        format_args!("\"{}\"", pcscf.config.pcscf.visited_network_id),
    );
    if let Some(access_type) = access_type {
        edits.append(Name::PAccessNetworkInfo, format_args!("{access_type};network-provided"));
    }
    gm::charge(pcscf, turn, message, &mut edits);
    *turn.data() = Data::Register { id, proposal: proposal.map(Box::new), way };
    let target = pcscf
        .config
        .pcscf
        .icscf
        .as_ref()
        .map_or_else(|| message.uri().to_vec(), |uri| uri.clone().into_bytes());
    turn.forward(request, edits, Target::Uri(target));
    Ok(())
}

/// Whether a REGISTER is for a flow (RFC 5626 §4.2.1).
fn asks_for_flow(message: &Message) -> bool {
    let has_reg_id = |contact: sip_core::NameAddr<'_>| contact.param(b"reg-id").is_some();
    message.has_option(Name::Supported, b"outbound")
        && message.contacts().any(|(_, contact)| contact.is_ok_and(has_reg_id))
}

/// The public identity of the To.
fn aor(message: &Message) -> Result<Impu, Reject> {
    let to = message.to().ok().and_then(|to| Impu::parse(to.uri()));
    to.ok_or_else(|| Reject::new(Status::BAD_REQUEST, "To is no public user identity"))
}

/// The registrar's answer on its way to the UE. What a 2xx changes is made durable before it goes on.
pub fn response(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    response: &Incoming,
    id: BindingId,
    (proposal, way): (Option<Box<Proposal>>, Way),
) {
    let is_success = response.message.status().is_some_and(Status::is_success);
    if is_success && response.source.trust == Trust::Outside {
        // Where the Request-URI chooses the registrar, a UE may choose one of its own: what that one associates must not
        // be asserted, nor its Service-Route followed.
        tracing::warn!(remote = %response.source.remote, "registrar outside the trust domain");
        return turn.refuse(request, &Reject::new(Status::FORBIDDEN, "registrar outside the trust domain"));
    }
    if !is_success {
        return failure(pcscf, turn, request, response, (proposal, way));
    }
    let source = pcscf.agreements.sender(&request.source);
    let (Ok(aor), Some(source)) = (aor(&request.message), source) else { return pass(turn, response, &[]) };
    let now = Now { instant: turn.now(), wall: turn.wall() };
    let asked = Asked { id, aor, source, request: &request.message };
    let change = asked.change(&pcscf.bindings, &response.message, now);
    let mut records = change.records();
    records.extend(source.secured.into_iter().flat_map(|set| securing::records(pcscf, set)));
    if records.is_empty() {
        return pass(turn, response, &[]);
    }
    let response = Incoming { message: response.message.clone(), source: response.source };
    turn.query(Query::Store(records), Waiting::Stored { response, change });
}

/// The registrar does not accept a REGISTER: it challenges it, or refuses it.
fn failure(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    response: &Incoming,
    (proposal, way): (Option<Box<Proposal>>, Way),
) {
    let status = response.message.status();
    if status == Some(Status::UNAUTHORIZED)
        && let Some(proposal) = proposal
    {
        return match securing::challenged(pcscf, turn, request, response, &proposal) {
            Ok(true) => {}
            Ok(false) => pass(turn, response, &[]),
            Err(reject) => turn.refuse(request, &reject),
        };
    }
    if status == Some(Status::UNAUTHORIZED) && way == Way::DigestTlsAhead {
        return pass(turn, response, &[scheme::SECURITY_SERVER.to_owned()]);
    }
    if status.is_some_and(|status| !status.is_provisional())
        && let Some(set) = request.source.secured
    {
        securing::refused(pcscf, turn, set);
    }
    pass(turn, response, &[]);
}

/// The store has answered.
pub fn stored(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: Option<&Incoming>,
    response: &Incoming,
    change: Change,
    answer: Answer,
) -> Result<(), Reject> {
    match answer {
        Answer::Stored(Ok(())) => {
            if let Some(set) = request.and_then(|request| request.source.secured) {
                securing::accepted(pcscf, turn, set);
            }
            if let Some(request) = request.filter(|request| request.source.transport == Transport::Tls)
                && let Some(impi) = admission::impi(&request.message)
            {
                pcscf.tls_sessions.registered(&request.source, impi);
            }
            let stand: SmallVec<[BindingId; 1]> = change.stand.iter().map(|binding| binding.id).collect();
            let left = apply(pcscf, turn, change, "by REGISTER");
            pass_accepted(turn, request, response);
            left.into_iter().for_each(|ue| securing::registration_ended(pcscf, turn, ue));
            stand.into_iter().for_each(|id| reg_event::begin(pcscf, turn, id));
            Ok(())
        }
        Answer::Stored(Err(failure)) => {
            Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "registration could not be stored")
                .detail(failure.to_string()))
        }
        Answer::Cx(_) | Answer::Resolved(_) | Answer::Naptr(_) | Answer::Secured(_) => {
            Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "another question was answered"))
        }
    }
}

/// How often a UE is to show that a flow is alive (RFC 5626 §5.4), in seconds.
const FLOW_TIMER_S: u32 = 120;

/// Passes the 2xx to a REGISTER. Who has registered a flow over a connection is asked to keep it alive by the pings of
/// RFC 5626 §4.4.1; those of datagrams (§4.4.2) are not answered here, and so not asked for.
fn pass_accepted(turn: &mut Turn<'_, Pcscf>, request: Option<&Incoming>, response: &Incoming) {
    let is_connection = request.is_some_and(|request| request.source.transport != Transport::Udp);
    let is_flow = is_connection && response.message.has_option(Name::Require, b"outbound");
    pass_with(turn, response, &[], is_flow.then_some(FLOW_TIMER_S));
}

/// Passes an answer without what the UE may not see: the keys of a challenge, the charging headers; with the mechanisms of
/// our Security-Server where there is one.
pub fn pass(turn: &mut Turn<'_, Pcscf>, response: &Incoming, security_server: &[String]) {
    pass_with(turn, response, security_server, None);
}

fn pass_with(
    turn: &mut Turn<'_, Pcscf>,
    response: &Incoming,
    security_server: &[String],
    flow_timer_s: Option<u32>,
) {
    let message = &response.message;
    let mut edits = turn.edits();
    gm::to_ue(message, &mut edits);
    for (slot, challenge) in message.all(Name::WwwAuthenticate) {
        match credentials::without_keys(challenge) {
            Some(value) => edits.replace(slot, value.as_slice()),
            None => edits.remove_slot(slot),
        }
    }
    if let Some(seconds) = flow_timer_s {
        edits.set(message, Name::FlowTimer, format_args!("{seconds}"));
    }
    for mechanism in security_server {
        edits.append(Name::SecurityServer, mechanism.as_str());
    }
    turn.pass(response, edits);
}

/// Lets a change take effect, timers included; gives the protected UEs that have lost a binding.
pub(crate) fn apply(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    change: Change,
    cause: &'static str,
) -> SmallVec<[SocketAddr; 2]> {
    let mut left = SmallVec::new();
    for id in change.end {
        reg_event::ended(pcscf, turn, id);
        let Some(binding) = pcscf.bindings.remove(id) else { continue };
        tracing::info!(aor = %binding.aor, remote = %binding.hop, "registration has ended");
        turn.count("registration_ended", cause);
        if let Some(timer) = binding.timer {
            turn.disarm(timer);
        }
        if binding.is_protected {
            left.push(binding.hop.remote);
        }
    }
    for binding in change.stand {
        if pcscf.bindings.get(binding.id).is_none() {
            tracing::info!(aor = %binding.aor, remote = %binding.hop, "registered");
            turn.count("registered", "by REGISTER");
        }
        stand(&mut pcscf.bindings, turn, binding);
    }
    left
}

/// Puts a binding into the table and arms the timer of its first contact that ends.
pub fn stand(bindings: &mut Bindings, turn: &mut Turn<'_, Pcscf>, binding: Binding) {
    let id = binding.id;
    let Some(end) = binding.next_end() else { return };
    if let Some(timer) = bindings.insert(&binding) {
        turn.disarm(timer);
    }
    let after = end.since(turn.now());
    let timer = turn.arm(after, Timer::ContactEnds(id), "a registered contact ends");
    bindings.set_timer(id, timer);
}

/// A contact of a binding has ended.
pub fn contact_ended(pcscf: &mut Pcscf, turn: &mut Turn<'_, Pcscf>, id: BindingId) {
    let now = turn.now();
    let Some(mut binding) = pcscf.bindings.remove(id) else { return };
    binding.contacts.retain(|contact| contact.ends > now);
    binding.timer = None;
    if binding.contacts.is_empty() {
        tracing::info!(aor = %binding.aor, "registration has ended");
        turn.count("registration_ended", "expired");
        reg_event::ended(pcscf, turn, id);
        turn.query(Query::Store(vec![record::removal(id)]), Waiting::Forgotten);
        if binding.is_protected {
            securing::registration_ended(pcscf, turn, binding.hop.remote);
        }
    } else {
        turn.query(Query::Store(vec![record::of(&binding)]), Waiting::Forgotten);
        stand(&mut pcscf.bindings, turn, binding);
    }
}
