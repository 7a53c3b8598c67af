//! Addresses in header fields: `name-addr` and `addr-spec` with their parameters (RFC 3261 §20.10, §25.1).

use super::FieldError;
use crate::grammar::{self, Params, trim, trim_start};
use crate::name::Name;
use crate::uri::{self, Uri};
use std::borrow::Cow;

/// One address with its display name and header parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    field: Name,
    raw: &'a [u8],
    display: &'a [u8],
    uri: &'a [u8],
    bracketed: bool,
    params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value of the header field `field`.
    pub fn parse(field: Name, value: &'a [u8]) -> Result<NameAddr<'a>, FieldError> {
        let raw = trim(value);
        NameAddr::read(field, raw).ok_or(FieldError::syntax(field))
    }

    fn read(field: Name, raw: &'a [u8]) -> Option<NameAddr<'a>> {
        let display_end = match raw.first()? {
            b'"' => grammar::quoted_end(raw)?,
            _ => memchr::memchr(b'<', raw).unwrap_or(raw.len()),
        };
        let (display, rest) = raw.split_at(display_end);
        let rest = trim_start(rest);
        let [b'<', rest @ ..] = rest else { return NameAddr::read_bare(field, raw) };
        let display = trim(display);
        if display.first() != Some(&b'"') && !display.iter().all(|byte| is_display_byte(*byte)) {
            return None;
        }
        let close = memchr::memchr(b'>', rest)?;
        let uri = &rest[..close];
        if !is_uri_like(uri) {
            return None;
        }
        let params = Params::parse(&rest[close + 1..])?;
        Some(NameAddr { field, raw, display, uri, bracketed: true, params })
    }

    /// Without brackets, whatever follows a semicolon belongs to the header field (RFC 3261 §20).
    fn read_bare(field: Name, raw: &'a [u8]) -> Option<NameAddr<'a>> {
        let end = raw.iter().position(|byte| *byte == b';' || grammar::is_lws(*byte)).unwrap_or(raw.len());
        let (uri, rest) = raw.split_at(end);
        let is_wildcard = uri == b"*" && field == Name::Contact && rest.is_empty();
        // RFC 3261 §20: a URI with a comma or a question mark must stand in brackets.
        let must_be_bracketed = uri.iter().any(|byte| matches!(byte, b',' | b'?'));
        if !is_wildcard && (must_be_bracketed || !is_uri_like(uri)) {
            return None;
        }
        let params = Params::parse(rest)?;
        Some(NameAddr { field, raw, display: b"", uri, bracketed: false, params })
    }

    /// The value as it stands.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The display name, its quotes and escapes resolved; empty when there is none.
    pub fn display(&self) -> Cow<'a, [u8]> {
        grammar::unquote(self.display)
    }

    /// The URI as it stands; `*` for a wildcard Contact.
    pub fn uri(&self) -> &'a [u8] {
        self.uri
    }

    /// The URI, read.
    pub fn parsed_uri(&self) -> Result<Uri<'a>, FieldError> {
        Uri::parse(self.uri).map_err(|_| FieldError::syntax(self.field))
    }

    /// Whether the URI stands in angle brackets.
    pub fn is_bracketed(&self) -> bool {
        self.bracketed
    }

    /// Whether this is `Contact: *` (RFC 3261 §10.2.2).
    pub fn is_wildcard(&self) -> bool {
        self.uri == b"*"
    }

    /// The tag; `None` when absent or empty.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.param(b"tag").filter(|tag| !tag.is_empty())
    }

    /// A header parameter as it stands, quotes kept; `""` for a flag.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.params.get(name)
    }

    /// A header parameter without its quotes, such as `+sip.instance`.
    pub fn unquoted_param(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.param(name).map(grammar::unquote)
    }

    /// The header parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The `expires` parameter of a Contact in seconds; an unreadable one counts as 3 600 (RFC 3261 §10.2.1.1).
    pub fn expires(&self) -> Option<u32> {
        self.param(b"expires").map(|expires| grammar::number(expires).unwrap_or(3600))
    }
}

/// Whether `byte` may stand in an unquoted display name; bytes beyond ASCII are met there and harm nobody.
fn is_display_byte(byte: u8) -> bool {
    grammar::is_token_byte(byte) || grammar::is_lws(byte) || byte >= 0x80
}

/// Whether `uri` has a scheme and no byte that ends a URI; [`Uri::parse`] looks closer.
fn is_uri_like(uri: &[u8]) -> bool {
    memchr::memchr(b':', uri).is_some_and(|colon| uri::is_scheme(&uri[..colon])) && uri::are_uri_bytes(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<NameAddr<'_>> {
        NameAddr::parse(Name::Contact, text.as_bytes()).ok()
    }

    #[test]
    fn the_three_spellings_of_an_address_are_read() {
        let quoted = parse("\"Al \\\"<\\\" ice\" <sip:a@h;lr?x=y>;tag=1;q=0.5").unwrap();
        assert_eq!(quoted.display().as_ref(), b"Al \"<\" ice");
        assert_eq!(quoted.uri(), b"sip:a@h;lr?x=y");
        assert_eq!(quoted.tag(), Some(&b"1"[..]));
        assert_eq!(quoted.parsed_uri().unwrap().param(b"lr"), Some(&b""[..]));

        let tokens = parse("Al ice<sip:a@h> ; tag=2").unwrap();
        assert_eq!(tokens.display().as_ref(), b"Al ice");
        assert_eq!(tokens.tag(), Some(&b"2"[..]));

        let bare = parse("sip:a@h;tag=3").unwrap();
        assert_eq!(bare.uri(), b"sip:a@h");
        assert_eq!(bare.tag(), Some(&b"3"[..]));
    }

    #[test]
    fn bytes_beyond_ascii_stand_in_a_display_name() {
        let latin1 = NameAddr::parse(Name::From, b"\"J\xf6rg\" <sip:j@h>").unwrap();
        assert_eq!(latin1.display().as_ref(), b"J\xf6rg");
    }

    #[test]
    fn a_wildcard_is_a_contact_alone() {
        assert!(parse("*").unwrap().is_wildcard());
        assert!(parse("*;expires=0").is_none());
        assert!(NameAddr::parse(Name::To, b"*").is_err());
    }

    #[test]
    fn broken_addresses_are_refused() {
        let broken = [
            "",
            "\"open <sip:a@h>",
            "\"a\" sip:a@h",
            "<sip:a@h",
            "< sip:a@h >",
            "Bell, A <sip:a@h>",
            "<sip:a@h>;;",
            "<sip:a@h> x",
            "<a@h>",
            "sip:a@h?x=y",
            "<sip:a@h>,<sip:b@h>",
        ];
        for text in broken {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn contact_expires_falls_back_when_unreadable() {
        assert_eq!(parse("<sip:a@h>;expires=60").unwrap().expires(), Some(60));
        assert_eq!(parse("<sip:a@h>;expires=soon").unwrap().expires(), Some(3600));
        assert_eq!(parse("<sip:a@h>").unwrap().expires(), None);
        let instance = parse("<sip:a@h>;+sip.instance=\"<urn:gsma:imei:1>\"").unwrap();
        assert_eq!(instance.unquoted_param(b"+sip.instance").unwrap().as_ref(), b"<urn:gsma:imei:1>");
    }
}
