//! Emergency services: their URNs (RFC 5031), and the numbers that stand for them (TS 24.229 §5.2.10).

use sip_core::{Host, Message, Method, Uri};

/// The URN of all emergency services.
pub const SOS: &str = "urn:service:sos";

/// The longest number that can stand for an emergency service.
pub const NUMBER_DIGITS_MAX: usize = 8;

/// Which service a URI names: `sos`, or one below it such as `sos.police`, as it is written.
pub fn service(uri: &[u8]) -> Option<&[u8]> {
    const PREFIX: &[u8] = b"urn:service:";
    let (prefix, service) = uri.split_at_checked(PREFIX.len())?;
    let (sos, below) = service.split_at_checked(3)?;
    let is_emergency = prefix.eq_ignore_ascii_case(PREFIX)
        && sos.eq_ignore_ascii_case(b"sos")
        && below.first().is_none_or(|byte| *byte == b'.');
    is_emergency.then_some(service)
}

/// Whether a contact is one for emergencies: its URI has `sos` (TS 24.229 §5.1.6.2, §7.2A.13).
pub fn is_contact(uri: &[u8]) -> bool {
    // Nearly every contact ends here.
    let is_sos = |at: usize| uri.get(at + 1..at + 4).is_some_and(|name| name.eq_ignore_ascii_case(b"sos"));
    memchr::memchr_iter(b';', uri).any(is_sos) && Uri::parse(uri).is_ok_and(|uri| uri.params().has(b"sos"))
}

/// Whether a request is a REGISTER for emergencies.
pub fn is_registration(message: &Message) -> bool {
    let is_one = |contact: sip_core::NameAddr<'_>| is_contact(contact.uri());
    message.method() == Method::Register && message.contacts().any(|(_, contact)| contact.is_ok_and(is_one))
}

/// How many registrations for emergencies there is room for beyond the others: who needs help comes when everybody comes.
pub const fn reserve(registrations_max: usize) -> usize {
    registrations_max / 8 + 4
}

/// Whether `wanted` is `offered` or lies below it: `sos.police` is served by whoever serves `sos`.
pub fn is_within(wanted: &[u8], offered: &[u8]) -> bool {
    let Some((head, below)) = wanted.split_at_checked(offered.len()) else { return false };
    head.eq_ignore_ascii_case(offered) && below.first().is_none_or(|byte| *byte == b'.')
}

/// Whether a URI is one of the emergency numbers: a tel URI, or a SIP URI that says that it is a number, or that is
/// one of the home network.
pub fn is_number(uri: &[u8], numbers: &[String], home: &str) -> bool {
    let written = uri.get(4..).unwrap_or_default();
    let end = written.iter().position(|byte| matches!(byte, b'@' | b';')).unwrap_or(written.len());
    // Nearly every call ends here: it goes to a longer number, or to a name.
    if end == 0 || end > NUMBER_DIGITS_MAX || !written[..end].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let is_known = numbers.iter().any(|number| number.as_bytes() == &written[..end]);
    is_known
        && match Uri::parse(uri) {
            Ok(Uri::Tel(_)) => true,
            Ok(Uri::Sip(sip)) => {
                let says_number = sip.params.get(b"user").is_some_and(|user| {
                    user.eq_ignore_ascii_case(b"phone") || user.eq_ignore_ascii_case(b"dialstring")
                });
                says_number || is_named(&sip.host, home)
            }
            _ => false,
        }
}

fn is_named(host: &Host<'_>, home: &str) -> bool {
    host.name().is_some_and(|name| name.eq_ignore_ascii_case(home.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emergency_is_the_service_urn_and_its_kinds() {
        for (uri, expected) in [
            ("urn:service:sos", Some("sos")),
            ("URN:Service:SOS.police", Some("SOS.police")),
            ("urn:service:sosx", None),
            ("urn:service:so", None),
            ("urn:service:counseling", None),
            ("sip:sos@home.net", None),
            ("", None),
        ] {
            assert_eq!(service(uri.as_bytes()), expected.map(str::as_bytes), "{uri}");
        }
    }

    #[test]
    fn a_contact_is_for_emergencies_by_the_parameter_of_its_uri() {
        for (uri, expected) in [
            ("sip:a@10.0.0.1:5060;sos", true),
            ("sip:a@[2001:db8::1];transport=tcp;SOS", true),
            ("sip:a@10.0.0.1;sosx", false),
            ("sip:a;sos@10.0.0.1", false),
            ("sip:sos@10.0.0.1", false),
        ] {
            assert_eq!(is_contact(uri.as_bytes()), expected, "{uri}");
        }
    }

    #[test]
    fn a_service_lies_within_what_its_labels_begin_with() {
        for (wanted, offered, expected) in [
            ("sos", "sos", true),
            ("sos.police", "sos", true),
            ("SOS.Police", "sos.police", true),
            ("sos", "sos.police", false),
            ("sos.policeman", "sos.police", false),
            ("sos.fire", "sos.police", false),
        ] {
            assert_eq!(is_within(wanted.as_bytes(), offered.as_bytes()), expected, "{wanted} in {offered}");
        }
    }

    #[test]
    fn a_number_is_one_in_every_form_that_phones_write_and_in_no_other_home() {
        let numbers = ["112".to_owned(), "911".to_owned()];
        for (uri, expected) in [
            ("tel:112", true),
            ("tel:911;phone-context=home.net", true),
            ("sip:112@home.net", true),
            ("sip:112@other.net;user=phone", true),
            ("sip:112;phone-context=home.net@home.net;user=dialstring", true),
            ("sip:112@other.net", false),
            ("sip:112@other.net;user=ip", false),
            ("tel:1123", false),
            ("tel:+112", false),
            ("tel:110", false),
            ("sip:home.net", false),
            ("urn:112", false),
            ("112", false),
        ] {
            assert_eq!(is_number(uri.as_bytes(), &numbers, "home.net"), expected, "{uri}");
        }
    }
}
