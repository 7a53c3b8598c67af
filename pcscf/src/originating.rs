//! Requests of a UE outside a dialog (TS 24.229 §5.2.6.3): only from a registered UE, with an identity of its own, by
//! its Service-Route.

use crate::gm::{self, Direction, Routes};
use crate::path::DialogToken;
use crate::{Data, Pcscf, assertion, emergency, securing};
use cscf::config::RouteEnforcement;
use cscf::{Incoming, Reject, Target, Turn};
use sip_core::{Edits, Message, Method, Name, Status, Uri};

/// A request of a UE that begins a dialog, or stands alone.
pub fn begin(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    routes: &Routes,
) -> Result<(), Reject> {
    let message = &request.message;
    if emergency::is_wanted(&pcscf.config.pcscf, message.uri()) {
        return emergency::begin(pcscf, turn, request, routes);
    }
    gm::count_forged(turn, message);
    let source = securing::sender(pcscf, &request.source)?;
    let mut senders = pcscf.bindings.of_sender(&source, crate::sent_by(message));
    let is_known = !senders.is_empty();
    senders.retain(|binding| !binding.is_emergency());
    if is_known && senders.is_empty() {
        // TS 23.167 §6.2.1: such a registration is for calls for help.
        return Err(Reject::new(Status::FORBIDDEN, "UE is registered for emergencies only"));
    }
    let Some((identity, binding)) = assertion::asserted(message, &senders) else {
        return Err(Reject::new(Status::FORBIDDEN, securing::why_unknown(pcscf, &source)));
    };
    securing::verify(pcscf, &source, message)?;
    let Some(first_hop) = binding.service_route().first() else {
        return Err(Reject::new(Status::FORBIDDEN, "registration has no Service-Route"));
    };
    let follows = follows(routes.rest_uris(message), binding.service_route());
    if !follows && pcscf.config.pcscf.route_enforcement == RouteEnforcement::Reject {
        return Err(Reject::new(Status::BAD_REQUEST, "Route differs from the Service-Route"));
    }
    let mut edits = turn.edits();
    gm::from_ue(message, &mut edits);
    routes.pop(&mut edits);
    if !follows {
        edits.remove(message, Name::Route);
        for uri in binding.service_route() {
            edits.append(Name::Route, format_args!("<{uri}>"));
        }
    }
    edits.set(message, Name::PAssertedIdentity, format_args!("<{identity}>"));
    let icid = gm::charge(pcscf, turn, message, &mut edits);
    if begins_dialog(message.method()) {
        let hop = cscf::Hop { transport: source.transport, remote: source.remote };
        let dialog = DialogToken::new(turn.token_key(), binding.id(), hop, message.call_id(), icid.as_str())
            .protected(binding.is_protected());
        gm::record_route(pcscf, turn, &mut edits, Direction::Originating, dialog, source.local);
    }
    *turn.data() = Data::FromUe { binding: Some(binding.id()), is_cancelled: false };
    turn.forward(request, edits, Target::Uri(first_hop.clone().into_bytes()));
    Ok(())
}

/// A response of the core on its way to the UE that asked.
pub fn response(turn: &mut Turn<'_, Pcscf>, request: &Incoming, response: &Incoming) {
    let message = &response.message;
    let mut edits = turn.edits();
    gm::to_ue(message, &mut edits);
    let makes_dialog = message.status().is_some_and(|status| (101..300).contains(&status.code()));
    if makes_dialog && begins_dialog(request.message.method()) && !is_in_dialog(&request.message) {
        hold_to_route(turn, message, &mut edits);
    }
    turn.pass(response, edits);
}

/// Seals what the core has recorded into our own entry, which the UE puts on top of its Routes (RFC 3261 §16.7 step 8).
fn hold_to_route(turn: &Turn<'_, Pcscf>, response: &Message, edits: &mut Edits) {
    // From the bottom up, which is the order in which the UE will use them.
    let mut entries = response.record_routes().rev().map(|(slot, _)| slot);
    let own = entries.find_map(|slot| {
        let dialog = gm::dialog_token(turn, gm::entry_uri(response, slot))?;
        dialog.is_of(turn.token_key(), response.call_id()).then_some((slot, dialog))
    });
    let Some((slot, dialog)) = own else { return };
    let mut above = entries.map(|slot| gm::entry_uri(response, slot)).peekable();
    above.next_if(|uri| gm::dialog_token(turn, uri).is_some_and(|twin| twin.is_twin(&dialog)));
    let held = dialog.held_to(turn.token_key(), above);
    let uri = gm::entry_uri(response, slot);
    let Some(at) = uri.iter().position(|byte| *byte == b'@') else { return };
    let token = gm::mint(turn, held);
    edits.replace(slot, format_args!("<sip:{token}{}>", String::from_utf8_lossy(&uri[at..])));
}

/// Whether a request may begin a dialog, so that the P-CSCF stays in its path.
pub fn begins_dialog(method: Method<'_>) -> bool {
    matches!(method, Method::Invite | Method::Subscribe | Method::Refer | Method::Notify)
}

/// Whether the Routes behind our own are the Service-Route, in its order (TS 24.229 §5.2.6.3.3).
pub fn follows<'r>(mut routes: impl Iterator<Item = &'r [u8]>, service_route: &[String]) -> bool {
    let is_same = |route: &[u8], wanted: &String| match (Uri::parse(route), Uri::parse(wanted.as_bytes())) {
        (Ok(route), Ok(wanted)) => route.uri_eq(&wanted),
        _ => false,
    };
    service_route.iter().all(|wanted| routes.next().is_some_and(|route| is_same(route, wanted)))
        && routes.next().is_none()
}

/// Whether anything in a message asks for a dialog that exists.
pub fn is_in_dialog(message: &Message) -> bool {
    message.to().is_ok_and(|to| to.tag().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_route_is_followed_whole_and_in_order() {
        let service_route = ["sip:a@s1:6060;lr".to_owned(), "sip:s2;lr".to_owned()];
        for (routes, expected) in [
            (&["sip:a@s1:6060;lr", "sip:s2;lr"][..], true),
            (&["sip:a@S1:6060;lr", "sip:s2;LR"], true),
            (&["sip:a@s1:6060;lr"], false),
            (&["sip:s2;lr", "sip:a@s1:6060;lr"], false),
            (&["sip:a@s1:6060;lr", "sip:s2;lr", "sip:s3;lr"], false),
            (&["sip:b@s1:6060;lr", "sip:s2;lr"], false),
            (&[], false),
        ] {
            let found = follows(routes.iter().map(|route| route.as_bytes()), &service_route);
            assert_eq!(found, expected, "{routes:?}");
        }
    }
}
