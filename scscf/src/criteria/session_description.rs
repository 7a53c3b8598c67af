//! A condition on the session description: the letter of a line, and what stands behind it.

use super::expression::{Case, Compiler, Expression, Fault};
use sip_core::{Message, Name};
use std::ops::Range;

/// One condition.
#[derive(Debug)]
pub struct SessionDescription {
    /// The letters that match, `a` to `z` from bit 0, `A` to `Z` from bit 32.
    letters: u64,
    content: Option<Expression>,
}

impl SessionDescription {
    /// Compiles one; a fault comes with the element that has it.
    pub fn compile(
        line: &str,
        content: Option<&str>,
        compiler: &mut Compiler,
    ) -> Result<SessionDescription, (&'static str, Fault)> {
        let line = compiler.compile(line, Case::Sensitive).map_err(|fault| ("Line", fault))?;
        let letters = (b'a'..=b'z').chain(b'A'..=b'Z').filter(|letter| line.matches(&[*letter]));
        let letters = letters.fold(0, |letters, letter| letters | bit(letter));
        let content = content.map(|content| compiler.compile(content, Case::Sensitive)).transpose();
        Ok(SessionDescription { letters, content: content.map_err(|fault| ("Content", fault))? })
    }

    /// Whether no line can match.
    pub fn is_never(&self) -> bool {
        self.letters == 0
    }

    /// Whether it asks more than octets can answer.
    pub fn is_machine(&self) -> bool {
        self.content.as_ref().is_some_and(Expression::is_machine)
    }

    /// Whether a line of the description matches.
    pub fn matches(&self, description: &Lines<'_>) -> bool {
        if self.letters & description.letters == 0 {
            return false;
        }
        let is_met = |(letter, value): (u8, &[u8])| {
            self.letters & bit(letter) != 0
                && self.content.as_ref().is_none_or(|content| content.matches(value))
        };
        let rest = description.rest;
        description.known().any(is_met) || lines(rest).any(|(letter, value)| is_met((letter, &rest[value])))
    }
}

/// A session description whose first lines were found.
pub struct Lines<'a> {
    text: &'a [u8],
    /// The letters of all lines, as [`bit`] places them.
    letters: u64,
    /// Of the first ones the letter, and where the value lies.
    known: [(u8, u16, u16); LINES_KNOWN],
    count: usize,
    /// What stands behind those.
    rest: &'a [u8],
}

/// More than most have; those behind are looked for each time.
const LINES_KNOWN: usize = 32;

impl<'a> Lines<'a> {
    /// Of the session description that a message carries.
    pub fn of(message: &'a Message) -> Lines<'a> {
        Lines::find(of(message).unwrap_or_default())
    }

    fn find(text: &'a [u8]) -> Lines<'a> {
        // A message is shorter than 2^16, and so is what it carries.
        let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let mut found = Lines { text, letters: 0, known: [(0, 0, 0); LINES_KNOWN], count: 0, rest: b"" };
        let mut rest = text;
        for (letter, value) in lines(text) {
            found.letters |= bit(letter);
            match found.known.get_mut(found.count) {
                Some(known) => {
                    *known = (letter, place(value.start), place(value.end));
                    found.count += 1;
                    rest = &text[value.end..];
                }
                None => found.rest = rest,
            }
        }
        found
    }

    fn known(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let text = self.text;
        self.known[..self.count].iter().map(move |(letter, start, end)| {
            (*letter, text.get(usize::from(*start)..usize::from(*end)).unwrap_or_default())
        })
    }
}

/// The place of a letter among those that match; none of other octets.
fn bit(letter: u8) -> u64 {
    match letter {
        b'a'..=b'z' => 1 << (letter - b'a'),
        b'A'..=b'Z' => 1 << (letter - b'A' + 32),
        _ => 0,
    }
}

/// The lines that are a letter, `=` and a value, and where the value lies; others are passed over.
fn lines(text: &[u8]) -> impl Iterator<Item = (u8, Range<usize>)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while from < text.len() {
            let start = from;
            let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |feed| start + feed);
            from = end + 1;
            if let [letter, b'=', value @ ..] = &text[start..end] {
                let length = value.strip_suffix(b"\r").unwrap_or(value).len();
                return Some((*letter, start + 2..start + 2 + length));
            }
        }
        None
    })
}

/// The session description that a message carries, alone or among the parts of its body.
pub fn of(message: &Message) -> Option<&[u8]> {
    let body = message.body();
    if body.is_empty() {
        return None;
    }
    let content_type = message.first(Name::ContentType)?;
    if is_sdp(content_type) {
        return Some(body);
    }
    if !media_type(content_type).get(..10)?.eq_ignore_ascii_case(b"multipart/") {
        return None;
    }
    parts(body, boundary(content_type)?).find_map(|part| {
        let (head, content) = split_part(part)?;
        head.split(|octet| *octet == b'\n')
            .filter_map(|line| {
                let colon = memchr::memchr(b':', line)?;
                let name = line[..colon].trim_ascii();
                name.eq_ignore_ascii_case(b"Content-Type").then(|| line[colon + 1..].trim_ascii())
            })
            .any(is_sdp)
            .then_some(content)
    })
}

fn media_type(content_type: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    content_type[..end].trim_ascii()
}

fn is_sdp(content_type: &[u8]) -> bool {
    media_type(content_type).eq_ignore_ascii_case(b"application/sdp")
}

/// The `boundary` of a multipart body (RFC 2046 §5.1.1).
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    content_type.split(|octet| *octet == b';').skip(1).find_map(|parameter| {
        let equals = memchr::memchr(b'=', parameter)?;
        let value = parameter[equals + 1..].trim_ascii();
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        let is_boundary = parameter[..equals].trim_ascii().eq_ignore_ascii_case(b"boundary");
        (is_boundary && !value.is_empty()).then_some(value)
    })
}

/// What stands between two delimiters, line ends included; what stands before the first is passed over.
fn parts<'a>(body: &'a [u8], boundary: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = delimiter(body, boundary).map(|(_, behind)| behind);
    std::iter::from_fn(move || {
        let part = rest?;
        let (end, behind) = delimiter(part, boundary)?;
        rest = Some(behind);
        Some(&part[..end])
    })
}

/// Where the next delimiter begins, and what stands behind it.
fn delimiter<'a>(text: &'a [u8], boundary: &[u8]) -> Option<(usize, &'a [u8])> {
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&text[from..], b"--") {
        let at = from + at;
        let starts_line = at == 0 || text[at - 1] == b'\n';
        if starts_line && text[at + 2..].starts_with(boundary) {
            return Some((at, &text[at + 2 + boundary.len()..]));
        }
        from = at + 2;
    }
    None
}

/// The header lines of a part, and what stands behind the empty line.
fn split_part(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let crlf = memchr::memmem::find(part, b"\r\n\r\n").map(|at| (at, at + 4));
    let (head, content) = crlf.or_else(|| memchr::memmem::find(part, b"\n\n").map(|at| (at, at + 2)))?;
    Some((&part[..head], &part[content..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::parse::Limits;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n";

    fn invite(content_type: &str, body: &str) -> Message {
        let text = format!(
            "INVITE sip:b@home1.net SIP/2.0\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(text.into_bytes(), &Limits::default()).unwrap()
    }

    fn matches(line: &str, content: Option<&str>, description: &str) -> bool {
        SessionDescription::compile(line, content, &mut Compiler::default())
            .unwrap()
            .matches(&Lines::find(description.as_bytes()))
    }

    #[test]
    fn a_line_is_matched_by_its_letter_and_what_stands_behind_it() {
        for (line, content, expected) in [
            ("m", None, true),
            ("b", None, false),
            ("m", Some("audio"), true),
            ("m", Some("video"), false),
            ("m", Some("^audio [0-9]+ RTP/AVP"), true),
            ("m", Some("0$"), true),
            ("a", Some("^sendonly$"), true),
            ("[am]", Some("sendonly"), true),
            (".", Some("IP4"), true),
            // A letter, and not `m=`.
            ("m=", None, false),
            ("", Some("sendonly"), true),
        ] {
            assert_eq!(matches(line, content, SDP), expected, "{line} {content:?}");
        }
        let long = SDP.replace("m=audio", &format!("{}m=audio", "a=filler\r\n".repeat(60)));
        for (line, content, expected) in [
            ("m", Some("^audio"), true),
            ("a", Some("sendonly"), true),
            ("a", Some("recvonly"), false),
            ("o", None, true),
        ] {
            assert_eq!(matches(line, content, &long), expected, "{line} {content:?} of many lines");
        }
        assert!(!matches(".", None, ""));
        assert!(!matches(".", None, "no description at all\r\n"));
    }

    #[test]
    fn the_description_is_found_alone_and_among_other_parts() {
        let part = "--b1\r\nContent-Type: application/pidf+xml\r\n\r\n<x/>\r\n";
        let multipart =
            format!("preamble\r\n{part}--b1\r\ncontent-type : application/sdp\r\n\r\n{SDP}--b1--\r\n");
        for (content_type, body, expected) in [
            ("application/sdp", SDP, Some(SDP)),
            ("Application/SDP;charset=utf-8", SDP, Some(SDP)),
            ("text/plain", SDP, None),
            ("application/sdp", "", None),
            ("multipart/mixed;boundary=b1", &multipart, Some(SDP)),
            ("multipart/mixed; boundary=\"b1\"", &multipart, Some(SDP)),
            ("multipart/mixed;boundary=b2", &multipart, None),
            ("multipart/mixed", &multipart, None),
            ("multipart/mixed;boundary=b1", part, None),
            ("m", SDP, None),
        ] {
            let message = invite(content_type, body);
            assert_eq!(of(&message), expected.map(str::as_bytes), "{content_type}");
        }
    }
}
