//! The IMS communication service of a request: what its sender prefers becomes what the network asserts, where the user
//! has subscribed to it (RFC 6050, TS 24.229 §5.4.3.2, §5.4.3.3).
//!
//! Pure: a message and a profile go in, edits come out.

use cscf::user_data::CoreNetworkServices;
use sip_core::{Edits, Message, Name};

/// Whether a profile allows a service; one that lists none restricts none (TS 29.228 §B.2.1).
///
/// A service below a subscribed one, as `...icsi.mmtel.hd` is below `...icsi.mmtel`, is part of it (TS 23.228 §4.13).
fn is_allowed(services: Option<&CoreNetworkServices>, wanted: &[u8]) -> bool {
    let Some(services) = services.filter(|services| !services.service_ids.is_empty()) else { return true };
    services.service_ids.iter().any(|subscribed| {
        let subscribed = subscribed.trim().as_bytes();
        wanted.split_at_checked(subscribed.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(subscribed) && (rest.is_empty() || rest.starts_with(b"."))
        })
    })
}

/// The values of a header field that is a list of URNs.
fn urns(message: &Message, name: Name) -> impl Iterator<Item = &[u8]> {
    let lines = message.all(name).map(|(_, line)| line);
    lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).filter(|urn| is_urn(urn))
}

/// `urn:urn-7:` and a name of the 3GPP (RFC 6050 §4.4); whatever else is there is not repeated.
fn is_urn(text: &[u8]) -> bool {
    text.len() < URN_MAX
        && text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"urn:"))
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b":-._+%~".contains(byte))
}

/// Longer than the name of any service.
const URN_MAX: usize = 256;

/// Of a request that a user sent: P-Preferred-Service goes; the first of its services that is subscribed to is asserted,
/// where nobody in the network has asserted one before.
pub fn assert_preferred(services: Option<&CoreNetworkServices>, message: &Message, edits: &mut Edits) {
    edits.remove(message, Name::PPreferredService);
    if urns(message, Name::PAssertedService).any(|urn| is_allowed(services, urn)) {
        return;
    }
    match urns(message, Name::PPreferredService).find(|urn| is_allowed(services, urn)) {
        Some(urn) => edits.set(message, Name::PAssertedService, urn),
        None => edits.remove(message, Name::PAssertedService),
    }
}

/// Of a request to a user: a service that the user has not subscribed to is asserted no further.
pub fn check_asserted(services: Option<&CoreNetworkServices>, message: &Message, edits: &mut Edits) {
    if message.has(Name::PAssertedService)
        && !urns(message, Name::PAssertedService).any(|urn| is_allowed(services, urn))
    {
        edits.remove(message, Name::PAssertedService);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    const MMTEL: &str = "urn:urn-7:3gpp-service.ims.icsi.mmtel";
    const OMA: &str = "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.session";

    fn edited(
        edit: fn(Option<&CoreNetworkServices>, &Message, &mut Edits),
        subscribed: &[&str],
        headers: &str,
    ) -> Vec<(String, String)> {
        let text = format!("INVITE sip:b@h SIP/2.0\r\nFrom: <sip:a@h>;tag=1\r\n{headers}\r\n");
        let message = Message::parse(text.into_bytes(), &Limits::default()).unwrap();
        let service_ids = subscribed.iter().map(|id| (*id).to_owned()).collect();
        let services = CoreNetworkServices { service_ids, ..CoreNetworkServices::default() };
        let mut edits = Edits::new();
        edit(Some(&services).filter(|_| !subscribed.is_empty()), &message, &mut edits);
        let mut bytes = Vec::new();
        edits.render(&message, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("P-"));
        lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn what_a_user_prefers_and_has_subscribed_to_is_asserted() {
        let preferred = |urns: &str| format!("P-Preferred-Service: {urns}\r\n");
        let both = format!("{OMA}, {MMTEL}");
        let asserted_already = format!("P-Asserted-Service: {OMA}\r\n{}", preferred(MMTEL));
        let hd = format!("{MMTEL}.hd");
        for (subscribed, headers, expected) in [
            (&[MMTEL][..], preferred(MMTEL), Some(MMTEL)),
            (&[MMTEL], preferred(&both), Some(MMTEL)),
            (&[], preferred(&both), Some(OMA)),
            (&[MMTEL], preferred(&hd), Some(&hd)),
            (&[MMTEL], preferred(&format!("{MMTEL}x")), None),
            (&[MMTEL], preferred(OMA), None),
            (&[], String::new(), None),
            (&[], preferred("nonsense"), None),
            (&[], preferred("urn:a\"b<c>"), None),
            // An application server has asserted it, and the user may have it.
            (&[MMTEL, OMA], asserted_already.clone(), Some(OMA)),
            // The user may not, but for what is preferred.
            (&[MMTEL], asserted_already, Some(MMTEL)),
        ] {
            let found = edited(assert_preferred, subscribed, &headers);
            let expected: Vec<_> =
                expected.map(|urn| ("P-Asserted-Service".to_owned(), urn.to_owned())).into_iter().collect();
            assert_eq!(found, expected, "{subscribed:?} {headers}");
        }
    }

    #[test]
    fn what_the_called_one_has_not_subscribed_to_is_asserted_no_further() {
        let headers = format!("P-Asserted-Service: {MMTEL}\r\n");
        assert_eq!(edited(check_asserted, &[MMTEL], &headers).len(), 1);
        assert_eq!(edited(check_asserted, &[], &headers).len(), 1);
        assert_eq!(edited(check_asserted, &[OMA], &headers).len(), 0);
        assert_eq!(edited(check_asserted, &[OMA], "").len(), 0);
    }
}
