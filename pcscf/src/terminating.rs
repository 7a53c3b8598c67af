//! Requests to a UE outside a dialog (TS 24.229 §5.2.6.4): by the binding that our Path names.

use crate::binding::BindingId;
use crate::gm::{self, Direction, Routes};
use crate::kept::Kept;
use crate::originating::begins_dialog;
use crate::path::DialogToken;
use crate::written::Written;
use crate::{Data, Pcscf, assertion, securing};
use cscf::charging;
use cscf::{Incoming, Reject, Transport, Turn};
use sip_core::{Edits, Message, Name, Status};
use smallvec::SmallVec;

/// A request of the core to the UE of a binding.
pub fn begin(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    routes: &Routes,
    id: BindingId,
) -> Result<(), Reject> {
    let message = &request.message;
    let Some(binding) = pcscf.bindings.get(id) else {
        // TS 24.229 §4.14: the S-CSCF takes a 404 as the sign of a P-CSCF that has lost the registration.
        return Err(Reject::new(Status::NOT_FOUND, "no registration behind this Path"));
    };
    if routes.is_flow && is_lost(binding) {
        // RFC 5626 §5.3: whoever knows other flows of the UE tries them.
        turn.count("flow", "failed");
        return Err(Reject::new(Status::FLOW_FAILED, "flow to the UE is gone"));
    }
    let target = securing::target(pcscf, binding)?;
    let mut edits = turn.edits();
    routes.pop(&mut edits);
    gm::to_ue(message, &mut edits);
    if begins_dialog(message.method()) {
        let dialog = dialog(turn, message, binding);
        gm::record_route(pcscf, turn, &mut edits, Direction::Terminating, dialog, binding.local());
    }
    *turn.data() = Data::ToUe(Some(id));
    turn.forward(request, edits, target);
    Ok(())
}

/// Whether the connection of a binding is gone. Datagrams have none, and to a protected UE the P-CSCF opens its own.
fn is_lost(binding: &Kept) -> bool {
    binding.flow().is_none() && binding.hop().transport != Transport::Udp && !binding.is_protected()
}

/// A response of the UE on its way into the core; `binding` is the UE's for a request outside a dialog.
pub fn response(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    response: &Incoming,
    binding: Option<BindingId>,
) {
    let message = &response.message;
    let mut edits = turn.edits();
    gm::from_ue(message, &mut edits);
    let binding = binding.and_then(|id| pcscf.bindings.get(id));
    let is_asserted = message.status().is_some_and(|status| (101..300).contains(&status.code()));
    if let Some(binding) = binding.filter(|_| is_asserted) {
        let identity = identity(&request.message, message, binding);
        edits.set(message, Name::PAssertedIdentity, format_args!("<{identity}>"));
        if begins_dialog(request.message.method()) {
            hold_to_route(pcscf, turn, &request.message, message, binding, &mut edits);
        }
    }
    charge(pcscf, &request.message, message, &mut edits);
    turn.pass(response, edits);
}

/// Puts the charging vector of the request back, with our network as the one that answered (TS 24.229 §4.5.4).
fn charge(pcscf: &Pcscf, request: &Message, response: &Message, edits: &mut Edits) {
    if let Some(answered) = charging::answer(request, &pcscf.config.pcscf.ioi) {
        edits.set(response, Name::PChargingVector, format_args!("{answered}"));
    }
}

/// Puts the recorded route back into a response that lost it.
///
/// The route set of the caller follows from what the UE returns: without this, a UE could take its own network out of the
/// path of the BYE. What the UE's own side has put on top stays.
fn hold_to_route(
    pcscf: &Pcscf,
    turn: &Turn<'_, Pcscf>,
    request: &Message,
    response: &Message,
    binding: &Kept,
    edits: &mut Edits,
) {
    let dialog = dialog(turn, request, binding);
    let access = (binding.local(), dialog.hop.transport);
    let token = gm::mint(turn, dialog);
    let (below, top) = gm::recorded(pcscf, turn, Direction::Terminating, &token, access);
    let own = [top.to_string(), below.to_string()];
    let own = if own[0] == own[1] { &own[..1] } else { &own[..] };
    let expected: SmallVec<[&[u8]; 8]> =
        own.iter().map(String::as_bytes).chain(recorded_uris(request)).collect();
    let answered: SmallVec<[&[u8]; 8]> = recorded_uris(response).collect();
    if answered.ends_with(&expected) {
        return;
    }
    edits.remove(response, Name::RecordRoute);
    for uri in own {
        edits.append(Name::RecordRoute, format_args!("<{uri}>"));
    }
    for (_, route) in request.all(Name::RecordRoute) {
        edits.append(Name::RecordRoute, route);
    }
}

/// The URIs of what a message has recorded; one that cannot be read is empty.
fn recorded_uris(message: &Message) -> impl Iterator<Item = &[u8]> {
    message.record_routes().map(|(_, route)| route.map_or(&b""[..], |route| route.uri()))
}

/// The token of the dialog that a request begins: its UE goes by what was recorded before us.
fn dialog(turn: &Turn<'_, Pcscf>, request: &Message, binding: &Kept) -> DialogToken {
    let icid = charging::icid(request).unwrap_or_default();
    let key = turn.token_key();
    DialogToken::new(key, binding.id(), binding.hop(), request.call_id(), &icid)
        .protected(binding.is_protected())
        .held_to(key, request.record_routes().map(|(slot, _)| gm::entry_uri(request, slot)))
}

/// The identity to assert for the one that answers: the one it prefers, the one that was called, or its default; always
/// one that it registered.
fn identity<'b>(request: &Message, response: &Message, binding: &'b Kept) -> Written<'b> {
    let called = || {
        let called = request.name_addr(Name::PCalledPartyId).ok()?;
        assertion::registered(binding, called.uri())
    };
    assertion::preferred(response, &[binding])
        .map(|(uri, _)| uri)
        .or_else(called)
        .unwrap_or_else(|| assertion::default_identity(binding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::tests::binding;
    use crate::kept::tests::kept;
    use sip_core::Limits;

    fn message(start: &str, header: &str) -> Message {
        let text = format!("{start}\r\nCSeq: 1 INVITE\r\n{header}\r\n\r\n");
        Message::parse(text.into_bytes(), &Limits::default()).expect("a message")
    }

    #[test]
    fn the_one_that_answers_is_named_by_preference_then_by_what_was_called() {
        let alice = kept(&binding(1, "10.0.0.1:5060", "sip:alice@home.net"));
        for (called, prefers, expected) in [
            (
                "P-Called-Party-ID: <tel:+491>",
                "P-Preferred-Identity: <sip:alice@home.net>",
                "sip:alice@home.net",
            ),
            ("P-Called-Party-ID: <tel:+491>", "P-Preferred-Identity: <sip:eve@home.net>", "tel:+491"),
            ("P-Called-Party-ID: <sip:eve@home.net>", "X: 1", "sip:alice@home.net"),
            ("X: 1", "X: 1", "sip:alice@home.net"),
        ] {
            let request = message("INVITE sip:ue@10.0.0.1 SIP/2.0", called);
            let response = message("SIP/2.0 200 OK", prefers);
            let identity = identity(&request, &response, &alice).to_string();
            assert_eq!(identity, expected, "{called} {prefers}");
        }
    }
}
