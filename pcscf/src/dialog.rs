//! Requests within a dialog (TS 24.229 §5.2.6.3.5): the token in our Record-Route says which, whose UE, and by which way
//! that UE may go.

use crate::binding::BindingId;
use crate::gm::{self, Routes};
use crate::path::{DialogToken, Token};
use crate::{Data, Pcscf, securing};
use cscf::charging;
use cscf::{Incoming, Reject, Target, Transport, Turn};
use sip_core::{Name, Status};

/// A request of a UE within a dialog: only from the UE that the dialog is with.
pub fn from_ue(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    routes: &Routes,
) -> Result<(), Reject> {
    let message = &request.message;
    let dialog = known(turn, request, routes)?;
    gm::count_forged(turn, message);
    let source = securing::sender(pcscf, &request.source)?;
    let sent_by = crate::sent_by(message);
    let is_same_way = match dialog.is_protected {
        true => source.secured.is_some(),
        // Of TLS the connection counts, not the address: the binding knows it, where there is one.
        false => {
            source.secured.is_none()
                && dialog.hop.transport == source.transport
                && (source.transport != Transport::Tls || dialog.binding == BindingId::UNKNOWN)
        }
    };
    let is_at_address = is_same_way && dialog.hop.remote == source.remote;
    let is_sender = is_at_address
        || pcscf.bindings.get(dialog.binding).is_some_and(|binding| binding.is_sender(&source, sent_by));
    if !is_sender {
        return Err(Reject::new(Status::FORBIDDEN, "sender is not in the dialog"));
    }
    securing::verify(pcscf, &source, message)?;
    // There is no list to put in its place: it is known by its seal only.
    if !dialog.allows(turn.token_key(), routes.rest_uris(message)) {
        return Err(Reject::new(Status::BAD_REQUEST, "Route differs from the recorded one"));
    }
    let mut edits = turn.edits();
    gm::from_ue(message, &mut edits);
    routes.pop(&mut edits);
    match dialog.icid() {
        "" => {
            gm::charge(pcscf, turn, message, &mut edits);
        }
        icid => {
            let charging = charging::written(icid, &pcscf.config.pcscf.ioi);
            edits.set(message, Name::PChargingVector, format_args!("{charging}"));
        }
    }
    *turn.data() = Data::FromUe { binding: None, is_cancelled: false };
    turn.forward(request, edits, routes.next());
    Ok(())
}

/// A request of the core within a dialog: to the UE where it registered last, else where the dialog began.
pub fn to_ue(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    routes: &Routes,
) -> Result<(), Reject> {
    let message = &request.message;
    let dialog = known(turn, request, routes)?;
    let target = match pcscf.bindings.get(dialog.binding) {
        Some(binding) => securing::target(pcscf, binding)?,
        None if dialog.is_protected => securing::protected_target(pcscf, dialog.hop)?,
        None if dialog.hop.transport == Transport::Tls && dialog.binding != BindingId::UNKNOWN => {
            return Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "the TLS connection of the UE is gone"));
        }
        None => Target::Hop(dialog.hop),
    };
    let mut edits = turn.edits();
    routes.pop(&mut edits);
    gm::to_ue(message, &mut edits);
    *turn.data() = Data::ToUe(None);
    turn.forward(request, edits, target);
    Ok(())
}

/// The dialog that the request claims to be in; a token of another one opens nothing.
fn known<'r>(
    turn: &Turn<'_, Pcscf>,
    request: &Incoming,
    routes: &'r Routes,
) -> Result<&'r DialogToken, Reject> {
    match &routes.token {
        Some(Token::Dialog(dialog)) if dialog.is_of(turn.token_key(), request.message.call_id()) => {
            Ok(dialog)
        }
        Some(_) | None => {
            Err(Reject::new(Status::CALL_DOES_NOT_EXIST, "Route names no dialog of this Call-ID"))
        }
    }
}
