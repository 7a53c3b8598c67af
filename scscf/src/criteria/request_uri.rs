//! What an expression on the Request-URI is matched against (TS 29.228 Annex F): `hostport` of a SIP URI, and
//! `telephone-subscriber` of a tel URI, its parameters included as RFC 3966 §3 has it.

/// The part of a URI that counts. Of another scheme, all that stands behind it.
pub fn target(uri: &[u8]) -> &[u8] {
    let Some(colon) = memchr::memchr(b':', uri) else { return uri };
    let (scheme, rest) = (&uri[..colon], &uri[colon + 1..]);
    if !scheme.eq_ignore_ascii_case(b"sip") && !scheme.eq_ignore_ascii_case(b"sips") {
        return rest;
    }
    // Semicolons and question marks may stand in a user part, and no `@` in what follows it (RFC 3261 §25.1).
    let host = memchr::memchr(b'@', rest).map_or(rest, |at| &rest[at + 1..]);
    let end = memchr::memchr2(b';', b'?', host).unwrap_or(host.len());
    &host[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_count_and_neither_user_nor_parameters() {
        for (uri, expected) in [
            ("sip:bob@home1.net", "home1.net"),
            ("SIPS:bob@home1.net:5061;transport=tls?Subject=x", "home1.net:5061"),
            ("sip:home1.net", "home1.net"),
            ("sip:+4930;phone-context=a?b@home1.net;user=phone", "home1.net"),
            ("sip:bob@[2001:db8::1]:5060", "[2001:db8::1]:5060"),
            ("tel:+49-30-1", "+49-30-1"),
            ("tel:110;phone-context=home1.net", "110;phone-context=home1.net"),
            ("urn:service:sos.fire", "service:sos.fire"),
            ("nonsense", "nonsense"),
            ("", ""),
            ("sip:", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(target(uri.as_bytes())), expected, "{uri}");
        }
    }
}
