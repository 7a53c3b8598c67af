//! The edge of the trust domain (TS 24.229 §4.4): which header fields may cross it, and which way.
//!
//! Inside, a header field says what a trusted element wrote. So what an outsider wrote into such a field is removed on
//! the way in, and what is nobody else's business is removed on the way out. Pure: a message in, removals out.

use sip_core::{Edits, Message, Name, Uri};

/// Who stands on the other side of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outsider {
    /// A UE, at the P-CSCF.
    Ue,
    /// Another network or an application server of somebody else's.
    Network,
    /// A PSAP: told where the caller is and who it is, which those who call for help want (TS 23.167 §4.1).
    Psap,
}

/// Removes what a message from `outsider` may not say.
///
/// A request's `integrity-protected` is not looked at: it is a parameter that the P-CSCF rewrites by itself.
pub fn entering(message: &Message, outsider: Outsider, edits: &mut Edits) {
    edits.remove_where(message, |name| rule_of(name).is_some_and(|rule| rule.entering(outsider)));
    remove_reason(message, edits);
    remove_psap_callback(message, edits);
    if outsider == Outsider::Ue {
        remove_claims(message, edits);
        remove_early_media(message, edits);
    }
    if let Some(uri) = without_trusted_params(message.uri()) {
        edits.set_uri(&uri);
    }
}

/// Removes what `outsider` may not see of a message.
pub fn leaving(message: &Message, outsider: Outsider, edits: &mut Edits) {
    edits.remove_where(message, |name| rule_of(name).is_some_and(|rule| rule.leaving(outsider)));
    remove_reason(message, edits);
    remove_psap_callback(message, edits);
    // RFC 3325 §7: the asserted identity crosses the edge unless its owner asked for privacy.
    if outsider != Outsider::Psap && asks_for_privacy(message, b"id") {
        edits.remove(message, Name::PAssertedIdentity);
    }
    if [&b"history"[..], b"header", b"session"].iter().any(|kind| asks_for_privacy(message, kind)) {
        edits.remove(message, Name::HistoryInfo);
    }
    // TS 24.229 §5.4.1.2.2F: a UE sees the Path in the 200 to its REGISTER, and nowhere else.
    let is_register_response = !message.is_request() && message.method() == sip_core::Method::Register;
    if outsider == Outsider::Ue && !is_register_response {
        edits.remove(message, Name::Path);
    }
}

/// Whether the Privacy header field asks for `kind`; `none` overrides the rest (RFC 3323 §4.2).
pub fn asks_for_privacy(message: &Message, kind: &[u8]) -> bool {
    let asks = |wanted: &[u8]| {
        message.all(Name::Privacy).any(|(_, value)| {
            value
                .split(|byte| matches!(byte, b';' | b','))
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(wanted))
        })
    };
    asks(kind) && !asks(b"none")
}

/// When a field is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Crosses the edge in neither direction, whoever stands there.
    Inside,
    /// As `Inside`, and a UE writes it for itself; it sees no one else's.
    OwnAtUe,
    /// Nobody outside may write it; a UE may read it.
    ReadByUe,
    /// Nobody outside may write it, and anybody may read it, its owner's privacy permitting.
    ReadByAll,
    /// A UE neither writes nor reads it; between networks the border decides.
    NotAtUe,
    /// Only what a UE writes is removed: it reads the field.
    NotFromUe,
}

impl Rule {
    fn entering(self, outsider: Outsider) -> bool {
        match (self, outsider) {
            (Rule::Inside | Rule::ReadByUe | Rule::ReadByAll, _) => true,
            (Rule::OwnAtUe | Rule::NotAtUe | Rule::NotFromUe, outsider) => {
                (self == Rule::OwnAtUe) == (outsider != Outsider::Ue)
            }
        }
    }

    fn leaving(self, outsider: Outsider) -> bool {
        match self {
            Rule::Inside => true,
            Rule::OwnAtUe => outsider != Outsider::Psap,
            Rule::ReadByUe => outsider != Outsider::Ue,
            Rule::NotAtUe => outsider == Outsider::Ue,
            Rule::ReadByAll | Rule::NotFromUe => false,
        }
    }
}

/// TS 24.229 §4.4, and the fields that never go to or come from a UE. P-Early-Media, Reason and Priority have rules of
/// their own below.
const FIELDS: &[(Name, Rule)] = &[
    (Name::PAssertedIdentity, Rule::ReadByAll),
    (Name::PAccessNetworkInfo, Rule::OwnAtUe),
    (Name::CellularNetworkInfo, Rule::OwnAtUe),
    (Name::HistoryInfo, Rule::ReadByAll),
    (Name::PAssertedService, Rule::Inside),
    (Name::ResourcePriority, Rule::ReadByUe),
    (Name::PProfileKey, Rule::Inside),
    (Name::PServedUser, Rule::Inside),
    (Name::PPrivateNetworkIndication, Rule::Inside),
    (Name::FeatureCaps, Rule::ReadByUe),
    (Name::RestorationInfo, Rule::Inside),
    (Name::RelayedCharge, Rule::Inside),
    (Name::ServiceInteractInfo, Rule::Inside),
    (Name::ResponseSource, Rule::Inside),
    (Name::AttestationInfo, Rule::Inside),
    (Name::OriginationId, Rule::Inside),
    (Name::AdditionalIdentity, Rule::Inside),
    (Name::PChargingVector, Rule::NotAtUe),
    (Name::PChargingFunctionAddresses, Rule::Inside),
    (Name::PVisitedNetworkId, Rule::NotAtUe),
    (Name::PUserDatabase, Rule::Inside),
    // A UE reads these in responses and in requests to it, and would only forge them in its own.
    (Name::PAssociatedUri, Rule::NotFromUe),
    (Name::PCalledPartyId, Rule::NotFromUe),
    (Name::ServiceRoute, Rule::NotFromUe),
    (Name::Path, Rule::NotFromUe),
];

/// The rules by name, so that a message is judged in one pass over its fields.
static RULES: [Option<Rule>; 256] = {
    let mut rules = [None; 256];
    let mut at = 0;
    while at < FIELDS.len() {
        rules[FIELDS[at].0 as usize] = Some(FIELDS[at].1);
        at += 1;
    }
    rules
};

fn rule_of(name: Name) -> Option<Rule> {
    RULES[name as usize]
}

/// Reason crosses in requests (RFC 3326 has a UE send and read it in BYE and CANCEL), not in responses.
fn remove_reason(message: &Message, edits: &mut Edits) {
    if !message.is_request() {
        edits.remove(message, Name::Reason);
    }
}

fn remove_psap_callback(message: &Message, edits: &mut Edits) {
    if message.first(Name::Priority).is_some_and(|priority| priority.eq_ignore_ascii_case(b"psap-callback")) {
        edits.remove(message, Name::Priority);
    }
}

/// A UE tells its own access; what claims to come from the network does not (TS 33.203 Annex P.3).
fn remove_claims(message: &Message, edits: &mut Edits) {
    for name in [Name::PAccessNetworkInfo, Name::CellularNetworkInfo] {
        for (slot, value) in message.all(name) {
            let claims = value
                .split(|byte| *byte == b';')
                .skip(1)
                .any(|param| param.trim_ascii().eq_ignore_ascii_case(b"network-provided"));
            if claims {
                edits.remove_slot(slot);
            }
        }
    }
}

/// A UE may say that it understands early media (RFC 5009 §8), and may not authorise any.
fn remove_early_media(message: &Message, edits: &mut Edits) {
    for (slot, value) in message.all(Name::PEarlyMedia) {
        if !(message.is_request() && value.eq_ignore_ascii_case(b"supported")) {
            edits.remove_slot(slot);
        }
    }
}

/// The URI without the parameters that only trusted elements set; `None` when it has none of them.
fn without_trusted_params(uri: &[u8]) -> Option<Vec<u8>> {
    const TRUSTED: [&[u8]; 3] = [b"cpc", b"oli", b"iotl"];
    let is_trusted = |name: &[u8]| TRUSTED.iter().any(|trusted| trusted.eq_ignore_ascii_case(name));
    let parsed = Uri::parse(uri).ok()?;
    let params = parsed.params();
    if !params.into_iter().any(|(name, _)| is_trusted(name)) {
        return None;
    }
    let start = params.raw().as_ptr().addr().checked_sub(uri.as_ptr().addr())?;
    let (before, after) = (uri.get(..start)?, uri.get(start + params.raw().len()..)?);
    let mut kept = before.to_vec();
    for (name, value) in params {
        if is_trusted(name) {
            continue;
        }
        kept.push(b';');
        kept.extend_from_slice(name);
        if let Some(value) = value {
            kept.push(b'=');
            kept.extend_from_slice(value);
        }
    }
    kept.extend_from_slice(after);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    fn message(start: &str, headers: &str) -> Message {
        let text = format!("{start}\r\nCSeq: 1 INVITE\r\n{headers}\r\n");
        Message::parse(text.into_bytes(), &Limits::default()).expect("a message")
    }

    const REQUEST: &str = "INVITE sip:bob@home1.net SIP/2.0";
    const RESPONSE: &str = "SIP/2.0 200 OK";

    type Edge = fn(&Message, Outsider, &mut Edits);

    fn after(edge: Edge, outsider: Outsider, message: &Message) -> String {
        let mut edits = Edits::new();
        edge(message, outsider, &mut edits);
        let mut out = Vec::new();
        edits.render(message, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn passes(edge: Edge, outsider: Outsider, start: &str, header: &str) -> bool {
        after(edge, outsider, &message(start, &format!("{header}\r\n"))).contains(header)
    }

    #[test]
    fn each_field_crosses_the_edge_where_it_may() {
        use Outsider::{Network, Ue};
        // header, from a UE, from a network, to a UE, to a network
        for (header, from_ue, from_network, to_ue, to_network) in [
            ("P-Asserted-Identity: <sip:a@home1.net>", false, false, true, true),
            ("P-Preferred-Identity: <sip:a@home1.net>", true, true, true, true),
            ("P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=1", true, false, false, false),
            ("P-Access-Network-Info: 3GPP-E-UTRAN-FDD;network-provided", false, false, false, false),
            ("P-Charging-Vector: icid-value=1", false, true, false, true),
            ("P-Charging-Function-Addresses: ccf=c", false, false, false, false),
            ("P-Visited-Network-ID: v", false, true, false, true),
            ("P-Served-User: <sip:a@home1.net>", false, false, false, false),
            ("P-Profile-Key: <sip:a@home1.net>", false, false, false, false),
            ("P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel", false, false, false, false),
            ("Feature-Caps: *;+g.3gpp.icsi-ref", false, false, true, false),
            ("Resource-Priority: wps.3", false, false, true, false),
            ("Restoration-Info: noresponse", false, false, false, false),
            ("Relayed-Charge: x", false, false, false, false),
            ("Attestation-Info: A", false, false, false, false),
            ("Path: <sip:x@p.net;lr>", false, true, false, true),
            ("P-Called-Party-ID: <sip:a@home1.net>", false, true, true, true),
            ("P-Early-Media: supported", true, true, true, true),
            ("P-Early-Media: sendrecv", false, true, true, true),
            ("Priority: psap-callback", false, false, false, false),
            ("Priority: emergency", true, true, true, true),
            ("Reason: SIP;cause=200", true, true, true, true),
            ("X-Own: kept", true, true, true, true),
        ] {
            assert_eq!(passes(entering, Ue, REQUEST, header), from_ue, "from a UE: {header}");
            assert_eq!(passes(entering, Network, REQUEST, header), from_network, "from a network: {header}");
            assert_eq!(passes(leaving, Ue, REQUEST, header), to_ue, "to a UE: {header}");
            assert_eq!(passes(leaving, Network, REQUEST, header), to_network, "to a network: {header}");
        }
    }

    #[test]
    fn a_response_keeps_its_reason_inside() {
        assert!(!passes(leaving, Outsider::Ue, RESPONSE, "Reason: Q.850;cause=16"));
        assert!(!passes(entering, Outsider::Network, RESPONSE, "Reason: Q.850;cause=16"));
        assert!(!passes(entering, Outsider::Ue, RESPONSE, "P-Early-Media: supported"));
    }

    #[test]
    fn privacy_hides_the_asserted_identity_unless_it_says_none() {
        let identity = "P-Asserted-Identity: <sip:a@home1.net>";
        let leaves = |privacy: &str| {
            let request = message(REQUEST, &format!("{identity}\r\n{privacy}"));
            after(leaving, Outsider::Ue, &request).contains(identity)
        };
        assert!(leaves(""));
        assert!(leaves("Privacy: none\r\n"));
        assert!(leaves("Privacy: user\r\n"));
        assert!(!leaves("Privacy: id\r\n"));
        assert!(!leaves("Privacy: user; ID\r\n"));
        assert!(leaves("Privacy: id;none\r\n"));
    }

    #[test]
    fn the_path_reaches_a_ue_in_the_answer_to_its_register_only() {
        let answer = "SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\nPath: <sip:x@p.net;lr>\r\n\r\n";
        let answer = Message::parse(answer.as_bytes().to_vec(), &Limits::default()).expect("a message");
        assert!(after(leaving, Outsider::Ue, &answer).contains("Path:"));
        assert!(!passes(leaving, Outsider::Ue, RESPONSE, "Path: <sip:x@p.net;lr>"));
    }

    #[test]
    fn the_claim_of_one_access_is_removed_and_its_neighbour_stays() {
        let request = message(
            REQUEST,
            "P-Access-Network-Info: 3GPP-NR-FDD;utran-cell-id-3gpp=1, IEEE-802.11;network-provided\r\n",
        );
        let entered = after(entering, Outsider::Ue, &request);
        assert!(entered.contains("P-Access-Network-Info: 3GPP-NR-FDD;utran-cell-id-3gpp=1\r\n"), "{entered}");
    }

    #[test]
    fn a_caller_category_does_not_come_in_with_the_request_uri() {
        let request = message("INVITE tel:+49301;cpc=operator;phone-context=x;oli=1 SIP/2.0", "");
        let entered = after(entering, Outsider::Ue, &request);
        assert!(entered.starts_with("INVITE tel:+49301;phone-context=x SIP/2.0\r\n"), "{entered}");
        let plain = message("INVITE tel:+49301;phone-context=x SIP/2.0", "");
        assert_eq!(after(entering, Outsider::Ue, &plain).as_bytes(), plain.bytes());
    }
}
