//! The URI of an application server, as filter criteria name it, on its way into a Route or a Request-URI.

use sip_core::Uri;

/// How the server routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Its URI has `lr`.
    Loose,
    /// It has not, and gets one: TS 24.229 knows no strict routers.
    Unmarked,
}

/// Reads a URI; what cannot stand in a Route is nobody's address.
pub fn read(uri: &str) -> Result<Routing, &'static str> {
    // In angle brackets everything up to the next `>` is the URI (RFC 3261 §20.34): what is behind it would be ours to say.
    if uri.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || matches!(byte, b'<' | b'>' | b'"')) {
        return Err("uri of application server cannot stand in a route");
    }
    match Uri::parse(uri.as_bytes()) {
        // Header fields of a URI are not for a Route (RFC 3261 §19.1.1 table 1).
        Ok(Uri::Sip(_)) if uri.contains('?') => Err("uri of application server has header fields"),
        Ok(parsed @ Uri::Sip(_)) => Ok(match parsed.param(b"lr") {
            Some(_) => Routing::Loose,
            None => Routing::Unmarked,
        }),
        Ok(_) => Err("uri of application server is no sip uri"),
        Err(_) => Err("malformed uri of application server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sip_uri_is_taken_and_what_would_spoil_a_route_is_not() {
        for (uri, expected) in [
            ("sip:as.home1.net", Ok(Routing::Unmarked)),
            ("sip:as.home1.net;lr", Ok(Routing::Loose)),
            ("sips:mmtel@as.home1.net:5061;transport=tcp;lr", Ok(Routing::Loose)),
            ("sip:[2001:db8::1]:5060", Ok(Routing::Unmarked)),
            ("", Err(())),
            ("as.home1.net", Err(())),
            ("sip:", Err(())),
            ("tel:+4930", Err(())),
            ("sip:as.home1.net>, <sip:evil.example", Err(())),
            ("sip:as.home1.net\r\nX: y", Err(())),
            ("<sip:as.home1.net>", Err(())),
            ("sip:as.home1.net?Route=x", Err(())),
            ("sip:as home1.net", Err(())),
            ("sip:äs.home1.net", Err(())),
        ] {
            assert_eq!(read(uri).map_err(drop), expected, "{uri}");
        }
    }
}
