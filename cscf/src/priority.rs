//! Resource-Priority (RFC 4412): requests that are served when others are refused for overload.
//!
//! It counts where a trusted element has written it. A P-CSCF removes what a UE writes, as every edge of the trust domain
//! does (TS 24.229 §4.4), so that inside it comes from an application server, an operator's gateway or another core.

use crate::flow::Trust;
use sip_core::{Message, Name};

/// Whether a request has a priority of one of these namespaces from whom it is believed.
pub fn is_granted(namespaces: &[String], trust: Trust, message: &Message) -> bool {
    if trust != Trust::Domain || namespaces.is_empty() {
        return false;
    }
    let is_known = |value: &[u8]| {
        let end = value.iter().position(|byte| *byte == b'.').unwrap_or(value.len());
        let namespace = value[..end].trim_ascii();
        namespaces.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(namespace))
    };
    let mut values = message.all(Name::ResourcePriority);
    values.any(|(_, value)| value.split(|byte| *byte == b',').any(is_known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    #[test]
    fn a_priority_counts_by_its_namespace_and_from_inside_alone() {
        let namespaces = ["ets".to_owned(), "wps".to_owned()];
        for (field, trust, expected) in [
            ("Resource-Priority: ets.0", Trust::Domain, true),
            ("Resource-Priority: dsn.flash, WPS.4", Trust::Domain, true),
            ("Resource-Priority: dsn.flash", Trust::Domain, false),
            ("Resource-Priority: etsx.0", Trust::Domain, false),
            ("Resource-Priority: ets.0", Trust::Outside, false),
            ("X: ets.0", Trust::Domain, false),
        ] {
            let text = format!("INVITE sip:a@b SIP/2.0\r\n{field}\r\n\r\n");
            let message = Message::parse(text.into_bytes(), &Limits::default()).expect("a request");
            assert_eq!(is_granted(&namespaces, trust, &message), expected, "{field} {trust:?}");
        }
    }
}
