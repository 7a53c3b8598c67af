//! Which identity the P-CSCF asserts for a request of a UE (TS 24.229 §5.2.6.3).
//!
//! Pure: what the UE prefers and what it registered go in, one registered identity comes out. From is never looked at.

use crate::kept::Kept;
use crate::written::Written;
use cscf::identity::Impu;
use sip_core::{Message, Name};

/// The identity to assert, and the binding that registered it; `None` when there is no binding.
///
/// The first P-Preferred-Identity that is registered counts, else the default identity of the first binding.
pub fn asserted<'b>(message: &Message, bindings: &[&'b Kept]) -> Option<(Written<'b>, &'b Kept)> {
    preferred(message, bindings).or_else(|| {
        let binding = *bindings.first()?;
        Some((default_identity(binding), binding))
    })
}

/// The first identity of the P-Preferred-Identity fields that one of the bindings registered.
pub fn preferred<'b>(message: &Message, bindings: &[&'b Kept]) -> Option<(Written<'b>, &'b Kept)> {
    message.name_addrs(Name::PPreferredIdentity).find_map(|(_, preferred)| {
        let wanted = preferred.ok()?.uri();
        bindings.iter().find_map(|binding| Some((registered(binding, wanted)?, *binding)))
    })
}

/// The identity of a binding that is `wanted`, as the registrar wrote it. Barred ones are in no P-Associated-URI.
pub fn registered<'b>(binding: &'b Kept, wanted: &[u8]) -> Option<Written<'b>> {
    // Nearly always it is written as the registrar wrote it.
    binding.identities().find(|uri| uri.is(wanted)).or_else(|| {
        let wanted = Impu::parse(wanted)?;
        binding.identities().find(|uri| uri.impu().as_ref() == Some(&wanted))
    })
}

/// The default identity: the first of the set; the one that registered where the registrar named none.
pub fn default_identity(binding: &Kept) -> Written<'_> {
    binding.identities().next().unwrap_or_else(|| binding.aor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::tests::binding;
    use crate::kept::tests::kept;
    use sip_core::Limits;

    fn request(headers: &str) -> Message {
        let text = format!(
            "INVITE sip:carol@home.net SIP/2.0\r\nFrom: <sip:mallory@home.net>;tag=1\r\n{headers}\r\n"
        );
        Message::parse(text.into_bytes(), &Limits::default()).expect("a message")
    }

    #[test]
    fn a_ue_chooses_among_its_own_identities_only() {
        let alice = kept(&binding(1, "10.0.0.1:5060", "sip:alice@home.net"));
        let second = kept(&binding(2, "10.0.0.1:5060", "sip:alice2@home.net"));
        let bindings = [&alice, &second];
        for (headers, expected) in [
            ("", "sip:alice@home.net"),
            ("P-Preferred-Identity: <sip:alice@HOME.net:5060>\r\n", "sip:alice@home.net"),
            ("P-Preferred-Identity: \"A\" <tel:+49-1>\r\n", "tel:+491"),
            ("P-Preferred-Identity: <tel:+492>\r\n", "tel:+492"),
            ("P-Preferred-Identity: <sip:bob@home.net>, <sip:alice2@home.net>\r\n", "sip:alice2@home.net"),
            ("P-Preferred-Identity: <sip:bob@home.net>\r\n", "sip:alice@home.net"),
            ("P-Asserted-Identity: <sip:alice2@home.net>\r\n", "sip:alice@home.net"),
        ] {
            assert_eq!(
                asserted(&request(headers), &bindings).map(|(uri, _)| uri.is(expected.as_bytes())),
                Some(true),
                "{headers}"
            );
        }
        assert!(asserted(&request(""), &[]).is_none());
    }

    #[test]
    fn without_a_set_the_registered_identity_is_the_default() {
        let mut alone = binding(1, "10.0.0.1:5060", "sip:alice@home.net");
        alone.identities.clear();
        let alone = kept(&alone);
        let asserted = asserted(&request(""), &[&alone]);
        assert_eq!(asserted.map(|(uri, _)| uri.to_string()).as_deref(), Some("sip:alice@home.net"));
    }
}
