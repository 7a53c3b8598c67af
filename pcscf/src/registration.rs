//! REGISTER at the P-CSCF (TS 24.229 §5.2.2): what goes to the registrar, and what its answer leaves behind.

use crate::binding::{Binding, BindingId};
use crate::bindings::Bindings;
use crate::gm;
use crate::grant::{Asked, Change};
use crate::path::ID_BITS;
use crate::{Data, Pcscf, Timer, Waiting, credentials, record};
use ambient::Now;
use cscf::identity::Impu;
use cscf::{Answer, Incoming, Query, Reject, Target, Trust, Turn};
use sip_core::{Message, Name, Status};

/// A REGISTER of a UE.
pub fn begin(pcscf: &Pcscf, turn: &mut Turn<'_, Pcscf>, request: &Incoming) -> Result<(), Reject> {
    let message = &request.message;
    let aor = aor(message)?;
    let known = pcscf.bindings.refreshed_by(&request.source, &aor).map(|binding| binding.id());
    if known.is_none() && pcscf.bindings.len() >= pcscf.config.pcscf.registrations_max {
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
        let value = credentials::with_integrity(authorization)
            .ok_or_else(|| Reject::new(Status::BAD_REQUEST, "Authorization cannot be read"))?;
        edits.replace(slot, value.as_slice());
    }
    let token = gm::path_token(turn, id, request.source.remote.ip());
    let path = gm::path_uri(pcscf, turn, &token);
    edits.push_top(Name::Path, format_args!("<{path}>"));
    if !message.has_option(Name::Require, b"path") {
        edits.append(Name::Require, "path");
    }
    edits.set(
        message,
        Name::PVisitedNetworkId,
        format_args!("\"{}\"", pcscf.config.pcscf.visited_network_id),
    );
    gm::charge(pcscf, turn, message, &mut edits);
    *turn.data() = Data::Register(id);
    let target = pcscf
        .config
        .pcscf
        .icscf
        .as_ref()
        .map_or_else(|| message.uri().to_vec(), |uri| uri.clone().into_bytes());
    turn.forward(request, edits, Target::Uri(target));
    Ok(())
}

/// The public identity of the To.
fn aor(message: &Message) -> Result<Impu, Reject> {
    let to = message.to().ok().and_then(|to| Impu::parse(to.uri()));
    to.ok_or_else(|| Reject::new(Status::BAD_REQUEST, "To is no public user identity"))
}

/// The registrar's answer on its way to the UE. What a 2xx changes is made durable before it goes on.
pub fn response(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    response: &Incoming,
    id: BindingId,
) {
    let is_success = response.message.status().is_some_and(Status::is_success);
    if is_success && response.source.trust == Trust::Outside {
        // Where the Request-URI chooses the registrar, a UE may choose one of its own: what that one associates must not
        // be asserted, nor its Service-Route followed.
        tracing::warn!(remote = %response.source.remote, "registrar outside the trust domain");
        return turn.refuse(request, &Reject::new(Status::FORBIDDEN, "registrar outside the trust domain"));
    }
    let Ok(aor) = aor(&request.message) else { return pass(turn, response) };
    if !is_success {
        return pass(turn, response);
    }
    let now = Now { instant: turn.now(), wall: turn.wall() };
    let asked = Asked { id, aor, source: request.source, request: &request.message };
    let change = asked.change(&pcscf.bindings, &response.message, now);
    if change.is_empty() {
        return pass(turn, response);
    }
    let response = Incoming { message: response.message.clone(), source: response.source };
    let query = Query::Store(change.records());
    turn.query(query, Waiting::Stored { response, change });
}

/// The store has answered.
pub fn stored(
    pcscf: &mut Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    response: &Incoming,
    change: Change,
    answer: Answer,
) -> Result<(), Reject> {
    match answer {
        Answer::Stored(Ok(())) => {
            apply(change, &mut pcscf.bindings, turn);
            pass(turn, response);
            Ok(())
        }
        Answer::Stored(Err(failure)) => {
            Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "registration could not be stored")
                .detail(failure.to_string()))
        }
        Answer::Cx(_) | Answer::Resolved(_) | Answer::Secured(_) => {
            Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "another question was answered"))
        }
    }
}

/// Passes an answer without what the UE may not see: the keys of a challenge, the charging headers.
fn pass(turn: &mut Turn<'_, Pcscf>, response: &Incoming) {
    let message = &response.message;
    let mut edits = turn.edits();
    gm::to_ue(message, &mut edits);
    for (slot, challenge) in message.all(Name::WwwAuthenticate) {
        match credentials::without_keys(challenge) {
            Some(value) => edits.replace(slot, value.as_slice()),
            None => edits.remove_slot(slot),
        }
    }
    turn.pass(response, edits);
}

/// Lets a change take effect, timers included.
fn apply(change: Change, bindings: &mut Bindings, turn: &mut Turn<'_, Pcscf>) {
    for id in change.end {
        let Some(binding) = bindings.remove(id) else { continue };
        tracing::info!(aor = %binding.aor, remote = %binding.hop, "registration has ended");
        turn.count("registration_ended", "by REGISTER");
        if let Some(timer) = binding.timer {
            turn.disarm(timer);
        }
    }
    for binding in change.stand {
        if bindings.get(binding.id).is_none() {
            tracing::info!(aor = %binding.aor, remote = %binding.hop, "registered");
            turn.count("registered", "by REGISTER");
        }
        stand(bindings, turn, binding);
    }
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
        turn.query(Query::Store(vec![record::removal(id)]), Waiting::Forgotten);
    } else {
        turn.query(Query::Store(vec![record::of(&binding)]), Waiting::Forgotten);
        stand(&mut pcscf.bindings, turn, binding);
    }
}
