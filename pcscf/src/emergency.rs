//! Requests of a UE for an emergency service (TS 24.229 §5.2.10): to the E-CSCF, and along nobody's Service-Route.
//!
//! Where no E-CSCF serves the UE, it is told by a 380 to look for another way to help.

use crate::binding::BindingId;
use crate::gm::{self, Direction, Routes};
use crate::originating::begins_dialog;
use crate::path::{DialogToken, Token};
use crate::{Data, Pcscf, assertion, securing};
use cscf::bucket::TokenKey;
use cscf::config::{EmergencyCallers, EmergencyPolicy, PcscfSection};
use cscf::{Hop, Incoming, Reject, Target, Turn, emergency};
use sip_core::{Message, Method, Name, Status, Uri};

/// Whether a Request-URI asks for an emergency service, by its URN or by a number: UEs do not know every number of
/// every network, so that some are dialled as any other.
pub fn is_wanted(config: &PcscfSection, uri: &[u8]) -> bool {
    emergency::service(uri).is_some()
        || emergency::is_number(uri, &config.emergency_numbers, &config.visited_network_id)
}

/// Whether a request asks for an emergency service, or is within the dialog of such a call.
pub fn is_part(config: &PcscfSection, key: &TokenKey, message: &Message) -> bool {
    let is_recorded = |uri: &[u8]| {
        let Ok(Uri::Sip(sip)) = Uri::parse(uri) else { return false };
        let token = sip.user.and_then(|user| Token::open(key, user));
        matches!(token, Some(Token::Dialog(dialog)) if dialog.is_emergency && dialog.is_of(key, message.call_id()))
    };
    is_wanted(config, message.uri())
        || emergency::is_registration(message)
        || message.routes().filter_map(|(_, route)| route.ok()).any(|route| is_recorded(route.uri()))
}

/// A request of a UE for an emergency service, outside of a dialog.
pub fn begin(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    routes: &Routes,
) -> Result<(), Reject> {
    let message = &request.message;
    let config = &pcscf.config.pcscf;
    let is_clear = pcscf.config.ipsec.is_on() && request.source.secured.is_none();
    if is_clear && pcscf.config.ipsec.emergency == EmergencyPolicy::Protected {
        return Err(Reject::new(Status::FORBIDDEN, "emergency request outside of a security association"));
    }
    gm::count_forged(turn, message);
    let source = securing::sender(pcscf, &request.source)?;
    let mut senders = pcscf.bindings.of_sender(&source, crate::sent_by(message));
    if senders.iter().any(|binding| binding.is_emergency()) {
        senders.retain(|binding| binding.is_emergency());
    }
    let caller = assertion::asserted(message, &senders);
    let id = caller.map(|(_, binding)| binding.id());
    let standing = match caller {
        None => Standing::Unknown,
        Some((_, binding)) if binding.is_emergency() => Standing::RegisteredForEmergencies,
        Some((_, binding)) if pcscf.config.home.is_domain(binding.domain().as_bytes()) => Standing::AtHome,
        Some(_) => Standing::Roaming,
    };
    let ecscf = match (decide(config.emergency, standing), &config.ecscf) {
        (Decision::Serve, Some(ecscf)) => ecscf,
        (Decision::Serve | Decision::Elsewhere, _) => {
            return Err(elsewhere(pcscf, turn, request, id, ELSEWHERE));
        }
        (Decision::RegisterFirst, Some(_)) => {
            return Err(elsewhere(pcscf, turn, request, id, REGISTER_FIRST));
        }
        (Decision::RegisterFirst, None) => return Err(elsewhere(pcscf, turn, request, id, ELSEWHERE)),
    };
    if caller.is_some() {
        securing::verify(pcscf, &source, message)?;
    } else if message.method() != Method::Invite {
        return Err(Reject::new(Status::FORBIDDEN, securing::why_unknown(pcscf, &source)));
    }
    let mut edits = turn.edits();
    gm::from_ue(message, &mut edits);
    routes.pop(&mut edits);
    edits.remove(message, Name::Route);
    edits.append(Name::Route, format_args!("<{ecscf};lr>"));
    if emergency::service(message.uri()).is_none() {
        edits.set_uri(emergency::SOS);
    }
    if let Some((identity, binding)) = caller {
        edits.set(message, Name::PAssertedIdentity, format_args!("<{identity}>"));
        // TS 23.167 §6.2.1: the PSAP calls back by a number.
        let is_number = |uri: &str| uri.starts_with("tel:");
        let number = binding.identities().map(|uri| uri.to_string()).find(|uri| is_number(uri));
        if let Some(number) = number.filter(|_| !is_number(&identity.to_string())) {
            edits.append(Name::PAssertedIdentity, format_args!("<{number}>"));
        }
    }
    let icid = gm::charge(pcscf, turn, message, &mut edits);
    if begins_dialog(message.method()) {
        let hop = Hop { transport: source.transport, remote: source.remote };
        let is_protected = match caller {
            Some((_, binding)) => binding.is_protected(),
            None => source.secured.is_some(),
        };
        let id = id.unwrap_or(BindingId::UNKNOWN);
        let dialog = DialogToken::new(turn.token_key(), id, hop, message.call_id(), icid.as_str())
            .protected(is_protected)
            .of_emergency();
        gm::record_route(pcscf, turn, &mut edits, Direction::Originating, dialog, source.local);
    }
    let whose = if caller.is_some() { "of a registered UE" } else { "of an unknown UE" };
    turn.count("emergency", whose);
    tracing::info!(icid = icid.as_str(), whose, "an emergency request goes to the E-CSCF");
    *turn.data() = Data::Emergency { binding: id, is_cancelled: false };
    turn.forward(request, edits, Target::Uri(ecscf.clone().into_bytes()));
    Ok(())
}

/// The E-CSCF is silent or gone.
pub fn unserved(
    pcscf: &Pcscf,
    turn: &mut Turn<'_, Pcscf>,
    request: &Incoming,
    id: Option<BindingId>,
) -> Reject {
    tracing::warn!("the E-CSCF does not answer an emergency request");
    elsewhere(pcscf, turn, request, id, (ELSEWHERE.0, "the E-CSCF does not answer"))
}

/// What becomes of an emergency request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// It goes to the E-CSCF.
    Serve,
    /// The UE may come again when it is registered.
    RegisterFirst,
    /// The UE looks for another network.
    Elsewhere,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nobody who is registered here.
    Unknown,
    /// A user of this network.
    AtHome,
    /// A user of another network, whom that one may not let register here.
    Roaming,
    /// Whoever it is, registered for this.
    RegisteredForEmergencies,
}

/// TS 23.167 §6.2.1, §7.3.
fn decide(callers: EmergencyCallers, standing: Standing) -> Decision {
    match (callers, standing) {
        (EmergencyCallers::Off, _) => Decision::Elsewhere,
        (_, Standing::Roaming) | (EmergencyCallers::Registered, Standing::Unknown) => Decision::RegisterFirst,
        (_, Standing::AtHome | Standing::RegisteredForEmergencies)
        | (EmergencyCallers::Anyone, Standing::Unknown) => Decision::Serve,
    }
}

/// The 380 (TS 24.229 §5.2.10, §7.6): a UE believes it from a URI of its Path, or of the P-CSCF that it knows.
fn elsewhere(
    pcscf: &Pcscf,
    turn: &Turn<'_, Pcscf>,
    request: &Incoming,
    id: Option<BindingId>,
    (body, cause): (&'static str, &'static str),
) -> Reject {
    let own = match id.and_then(|id| pcscf.bindings.get(id)) {
        Some(binding) => {
            let token = gm::path_token(turn, binding.id(), binding.hop().remote.ip());
            format!("<{}>", gm::path_uri(pcscf, turn, &token))
        }
        None => format!("<sip:{}:{}>", pcscf.config.pcscf.host, request.source.local.port()),
    };
    Reject::new(Status::ALTERNATIVE_SERVICE, cause)
        .header(Name::PAssertedIdentity, own)
        .body("application/3gpp-ims+xml", body)
}

const ELSEWHERE: (&str, &str) = (
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
     <ims-3gpp version=\"1\"><alternative-service><type>emergency</type>\
     <reason>no emergency services here</reason></alternative-service></ims-3gpp>\r\n",
    "emergency services are not supported",
);

const REGISTER_FIRST: (&str, &str) = (
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
     <ims-3gpp version=\"1\"><alternative-service><type>emergency</type>\
     <reason>not registered</reason><action>emergency-registration</action></alternative-service></ims-3gpp>\r\n",
    "emergency request of a UE that is not registered",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_says_whose_emergencies_are_served() {
        use Decision::{Elsewhere, RegisterFirst, Serve};
        use EmergencyCallers::{Anyone, Off, Registered};
        let all =
            [Standing::Unknown, Standing::AtHome, Standing::Roaming, Standing::RegisteredForEmergencies];
        for (callers, expected) in [
            (Registered, [RegisterFirst, Serve, RegisterFirst, Serve]),
            (Anyone, [Serve, Serve, RegisterFirst, Serve]),
            (Off, [Elsewhere; 4]),
        ] {
            assert_eq!(all.map(|standing| decide(callers, standing)), expected, "{callers:?}");
        }
    }
}
