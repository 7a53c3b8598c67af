//! What of a received message a UE looks at: found in one pass, and nothing else read.

use std::ops::ControlFlow;

/// The header fields that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Via,
    RecordRoute,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    ServiceRoute,
    PAssociatedUri,
    WwwAuthenticate,
    SecurityServer,
}

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start<'a> {
    Response(u16),
    Request { method: &'a [u8], uri: &'a [u8] },
}

/// A message, as far as it was read.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) start: Start<'a>,
    /// Values in the order in which they came.
    fields: Vec<(Field, &'a [u8])>,
}

impl<'a> Received<'a> {
    /// Reads a datagram; `None` when it is no SIP message.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Received<'a>> {
        let end = memchr::memchr(b'\n', bytes)?;
        let start = read_start(bytes[..end].trim_ascii_end())?;
        let mut fields: Vec<(Field, &[u8])> = Vec::with_capacity(FIELDS_USUAL);
        let mut at = end + 1;
        let mut last: Option<(Field, usize)> = None;
        loop {
            let length = memchr::memchr(b'\n', &bytes[at..])?;
            let line = bytes[at..at + length].trim_ascii_end();
            match read_line(line) {
                ControlFlow::Break(()) => return Some(Received { start, fields }),
                ControlFlow::Continue(Line::Folded) => {
                    // The value goes on: one piece of the buffer from where it began.
                    if let (Some((_, from)), Some(field)) = (last, fields.last_mut()) {
                        field.1 = bytes[from..at + line.len()].trim_ascii();
                    }
                }
                ControlFlow::Continue(Line::Known(field, colon)) => {
                    last = Some((field, at + colon + 1));
                    fields.push((field, line[colon + 1..].trim_ascii()));
                }
                ControlFlow::Continue(Line::Other) => last = None,
            }
            at += length + 1;
        }
    }

    /// The first value of a field.
    pub(crate) fn first(&self, field: Field) -> Option<&'a [u8]> {
        self.all(field).next()
    }

    /// All values of a field, in their order, those of a list one by one.
    pub(crate) fn all(&self, field: Field) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(name, _)| *name == field).flat_map(|(_, value)| listed(value))
    }

    /// The fields that a response takes over from its request (RFC 3261 §8.2.6.2, §12.1.1), as lines.
    pub(crate) fn mirrored(&self) -> impl Iterator<Item = (Field, &'a [u8])> {
        self.fields.iter().copied()
    }

    /// The method of CSeq.
    pub(crate) fn cseq_method(&self) -> &'a [u8] {
        let value = self.first(Field::CSeq).unwrap_or_default();
        value.rsplit(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default()
    }
}

enum Line {
    /// A field, and where its colon is.
    Known(Field, usize),
    Other,
    /// Belongs to the line before (RFC 3261 §7.3.1).
    Folded,
}

fn read_start(line: &[u8]) -> Option<Start<'_>> {
    if let Some(rest) = line.strip_prefix(b"SIP/2.0 ") {
        let digits = rest.get(..3)?;
        let code = digits.iter().try_fold(0u16, |code, digit| {
            digit.is_ascii_digit().then(|| code * 10 + u16::from(digit - b'0'))
        })?;
        return (100..700).contains(&code).then_some(Start::Response(code));
    }
    let mut words = line.split(|byte| *byte == b' ');
    let (method, uri, version) = (words.next()?, words.next()?, words.next()?);
    (version == b"SIP/2.0").then_some(Start::Request { method, uri })
}

/// `Break` at the empty line that ends the header.
fn read_line(line: &[u8]) -> ControlFlow<(), Line> {
    let Some(first) = line.first() else { return ControlFlow::Break(()) };
    if matches!(first, b' ' | b'\t') {
        return ControlFlow::Continue(Line::Folded);
    }
    let Some(colon) = memchr::memchr(b':', line) else { return ControlFlow::Continue(Line::Other) };
    let name = line[..colon].trim_ascii_end();
    let is = |long: &[u8]| name.eq_ignore_ascii_case(long);
    let field = match name.len() {
        1 => match first.to_ascii_lowercase() {
            b'v' => Some(Field::Via),
            b'f' => Some(Field::From),
            b't' => Some(Field::To),
            b'i' => Some(Field::CallId),
            b'm' => Some(Field::Contact),
            _ => None,
        },
        2 if is(b"To") => Some(Field::To),
        3 if is(b"Via") => Some(Field::Via),
        4 if is(b"From") => Some(Field::From),
        4 if is(b"CSeq") => Some(Field::CSeq),
        7 if is(b"Call-ID") => Some(Field::CallId),
        7 if is(b"Contact") => Some(Field::Contact),
        15 if is(b"Security-Server") => Some(Field::SecurityServer),
        12 if is(b"Record-Route") => Some(Field::RecordRoute),
        13 if is(b"Service-Route") => Some(Field::ServiceRoute),
        16 if is(b"P-Associated-URI") => Some(Field::PAssociatedUri),
        16 if is(b"WWW-Authenticate") => Some(Field::WwwAuthenticate),
        _ => None,
    };
    ControlFlow::Continue(field.map_or(Line::Other, |field| Line::Known(field, colon)))
}

/// The elements of a list: commas outside of quotes and angle brackets divide it. A challenge is not a list, but nobody
/// asks for more than its parameters, which [`crate::challenge`] reads from the whole field.
fn listed(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut is_quoted, mut is_bracketed) = (false, false);
        let comma = text.iter().enumerate().position(|(at, byte)| {
            match byte {
                b'"' if at == 0 || text[at - 1] != b'\\' => is_quoted = !is_quoted,
                b'<' if !is_quoted => is_bracketed = true,
                b'>' if !is_quoted => is_bracketed = false,
                b',' => return !is_quoted && !is_bracketed,
                _ => {}
            }
            false
        });
        match comma {
            Some(comma) => {
                rest = Some(&text[comma + 1..]);
                Some(text[..comma].trim_ascii())
            }
            None => {
                rest = None;
                Some(text.trim_ascii())
            }
        }
    })
}

/// The whole of the first WWW-Authenticate field, which commas do not divide.
pub(crate) fn challenge_field<'a>(received: &Received<'a>) -> Option<&'a [u8]> {
    received.mirrored().find(|(field, _)| *field == Field::WwwAuthenticate).map(|(_, value)| value)
}

/// The URI of a name-addr or addr-spec.
pub(crate) fn uri(value: &[u8]) -> &[u8] {
    match (memchr::memchr(b'<', value), memchr::memrchr(b'>', value)) {
        (Some(from), Some(to)) if from < to => &value[from + 1..to],
        _ => value.split(|byte| *byte == b';').next().unwrap_or_default(),
    }
}

/// Fields of an ordinary message that are kept.
const FIELDS_USUAL: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP 127.64.0.1:5060;branch=z9hG4bK1\r\n\
        Via: SIP/2.0/UDP other\r\nRecord-Route: <sip:a;lr>, <sip:b,c;lr>\r\nrecord-route : <sip:d;lr>\r\n\
        f: <sip:x@y>;tag=1\r\nTO: <sip:z@y>;tag=2\r\nCall-Id: q\r\nCSeq:  7  INVITE\r\nX-Other: n\r\n\
        m: <sip:127.64.0.2:5060>\r\n ;expires=60\r\nContent-Length: 0\r\n\r\nv: body";

    #[test]
    fn a_response_gives_what_is_asked_for_in_any_spelling() {
        let read = Received::read(OK).unwrap();
        assert_eq!(read.start, Start::Response(200));
        assert_eq!(read.first(Field::Via), Some(&b"SIP/2.0/UDP 127.64.0.1:5060;branch=z9hG4bK1"[..]));
        assert_eq!(read.all(Field::Via).count(), 2, "the body is not read");
        let routes: Vec<_> = read.all(Field::RecordRoute).collect();
        assert_eq!(routes, [&b"<sip:a;lr>"[..], b"<sip:b,c;lr>", b"<sip:d;lr>"]);
        assert_eq!(read.first(Field::To), Some(&b"<sip:z@y>;tag=2"[..]));
        assert_eq!(read.cseq_method(), b"INVITE");
        let contact = read.first(Field::Contact).unwrap();
        assert_eq!(uri(contact), b"sip:127.64.0.2:5060");
        assert!(contact.ends_with(b"expires=60"), "a folded line belongs to the one before");
        assert_eq!(read.first(Field::ServiceRoute), None);
    }

    #[test]
    fn a_request_has_a_method_and_a_uri() {
        let read = Received::read(b"BYE sip:127.64.0.1:5060 SIP/2.0\r\nCall-ID: x\r\n\r\n").unwrap();
        assert_eq!(read.start, Start::Request { method: b"BYE", uri: b"sip:127.64.0.1:5060" });
    }

    #[test]
    fn what_is_no_message_is_none_and_never_a_panic() {
        for bytes in [
            &b""[..],
            b"\r\n\r\n",
            b"SIP/2.0 20\r\n\r\n",
            b"SIP/2.0 099 X\r\n\r\n",
            b"SIP/2.0 2x0 X\r\n\r\n",
            b"INVITE sip:x\r\n\r\n",
            b"INVITE sip:x HTTP/1.1\r\n\r\n",
            b"SIP/2.0 200 OK\r\nVia: x\r\n",
        ] {
            assert!(Received::read(bytes).is_none(), "{}", String::from_utf8_lossy(bytes));
        }
        for cut in 0..OK.len() {
            let _ = Received::read(&OK[..cut]);
        }
    }

    #[test]
    fn a_uri_is_found_with_and_without_brackets() {
        assert_eq!(uri(b"\"A\" <sip:a@b;x=1>;tag=2"), b"sip:a@b;x=1");
        assert_eq!(uri(b"sip:a@b;tag=2"), b"sip:a@b");
        assert_eq!(uri(b"><"), b"><");
    }
}
