//! From received bytes to a message with its index, in one pass (RFC 3261 §7, §25).
//!
//! This is the lenient of two levels: it finds the start line, the header lines and the body, and refuses only what
//! leaves one of these open. What fields say is judged by [`Message::check`].

use crate::grammar;
use crate::message::{Index, Message, Place, Slot, StartLine};
use crate::name::{Cardinality, Name};
use crate::status::Status;

/// How big a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Start line, headers and body together; at most 65 535, whatever is asked for.
    pub message_bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// Header values: a line of a list field counts once per value.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { message_bytes: MESSAGE_BYTES_MAX, headers: 128, values: 256 }
    }
}

/// Offsets are 16 bits; a UDP datagram is never longer either.
pub(crate) const MESSAGE_BYTES_MAX: usize = 65_535;

/// Why a message was refused; one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParseReason {
    /// Nothing but line ends.
    Empty,
    /// Longer than [`Limits::message_bytes`].
    TooLarge,
    /// More header lines or values than [`Limits`] allows.
    TooManyHeaders,
    /// The first line is neither a request line nor a status line.
    StartLine,
    /// The Request-URI is empty, bracketed or has white space in it.
    RequestUri,
    /// A SIP version other than 2.0.
    Version,
    /// A status code outside 100 to 699.
    StatusCode,
    /// A header line without a name or a colon.
    HeaderLine,
    /// A CR that no LF follows, or a NUL outside a quoted-pair: another element might see a line end there.
    ControlByte,
    /// The empty line behind the headers is missing.
    Unterminated,
    /// Content-Length is no number, or two of them differ.
    ContentLength,
    /// Content-Length promises more than there is.
    BodyTruncated,
}

impl ParseReason {
    /// Every reason, for a table of counters.
    pub const ALL: [ParseReason; 12] = [
        ParseReason::Empty,
        ParseReason::TooLarge,
        ParseReason::TooManyHeaders,
        ParseReason::StartLine,
        ParseReason::RequestUri,
        ParseReason::Version,
        ParseReason::StatusCode,
        ParseReason::HeaderLine,
        ParseReason::ControlByte,
        ParseReason::Unterminated,
        ParseReason::ContentLength,
        ParseReason::BodyTruncated,
    ];

    /// A short name, for a counter's label.
    pub fn label(self) -> &'static str {
        match self {
            ParseReason::Empty => "empty",
            ParseReason::TooLarge => "too_large",
            ParseReason::TooManyHeaders => "too_many_headers",
            ParseReason::StartLine => "start_line",
            ParseReason::RequestUri => "request_uri",
            ParseReason::Version => "version",
            ParseReason::StatusCode => "status_code",
            ParseReason::HeaderLine => "header_line",
            ParseReason::ControlByte => "control_byte",
            ParseReason::Unterminated => "unterminated",
            ParseReason::ContentLength => "content_length",
            ParseReason::BodyTruncated => "body_truncated",
        }
    }

    /// The response that a request refused for this reason deserves.
    pub fn status(self) -> Status {
        match self {
            // RFC 3261 §21.5.6 and §21.5.7.
            ParseReason::Version => Status::VERSION_NOT_SUPPORTED,
            ParseReason::TooLarge | ParseReason::TooManyHeaders => Status::MESSAGE_TOO_LARGE,
            _ => Status::BAD_REQUEST,
        }
    }
}

/// A refused message, with its buffer given back.
#[derive(Debug)]
pub struct ParseError {
    /// The first fault found.
    pub reason: ParseReason,
    /// What was received.
    pub bytes: Vec<u8>,
    /// What could be read all the same.
    pub partial: Option<Box<Partial>>,
}

/// As much of a refused request as a response needs: From, To, Call-ID, CSeq and a Via were readable.
#[derive(Debug)]
pub struct Partial {
    index: Index,
    start: StartLine,
    headers_start: u16,
    headers_end: u16,
}

impl ParseError {
    /// The refused request as a message fit for a [`ResponseBuilder`](crate::build::ResponseBuilder) and for nothing
    /// else; `None` when no response is possible (a response, an ACK, a header that a response copies is missing, or control bytes that it must not copy).
    pub fn into_request(self) -> Option<Message> {
        let Partial { index, start, headers_start, headers_end } = *self.partial?;
        let body_start = u16::try_from(self.bytes.len()).ok()?;
        Some(Message { bytes: self.bytes, index, start, headers_start, headers_end, body_start })
    }
}

pub(crate) fn parse(mut bytes: Vec<u8>, limits: &Limits, mut index: Index) -> Result<Message, ParseError> {
    index.slots.clear();
    index.slots.reserve(SLOTS_USUAL);
    // RFC 3261 §7.5: empty lines before the start line are ignored.
    let leading = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if leading > 0 {
        bytes.drain(..leading);
    }
    if bytes.is_empty() {
        return Err(ParseError { reason: ParseReason::Empty, bytes, partial: None });
    }
    // A longer one may still name enough of itself in its first 64 KiB to be answered.
    let size_max = limits.message_bytes.min(MESSAGE_BYTES_MAX);
    let too_large = bytes.len() > size_max;
    if too_large {
        bytes.truncate(size_max);
    }

    let mut pass = Pass {
        bytes: &bytes,
        limits,
        slots: &mut index.slots,
        fault: None,
        has_control: false,
        content_length: None,
    };
    if too_large {
        pass.blame(ParseReason::TooLarge);
    }
    let (start, headers_start) = pass.start_line();
    let (headers_end, body_start) = pass.header_lines(headers_start);
    let body_bytes = pass.body_bytes(body_start);
    let (has_control, fault) = (pass.has_control, pass.fault);
    index.note_firsts();

    match (fault, start) {
        (None, Some(start)) => {
            bytes.truncate(body_start + body_bytes);
            Ok(Message {
                bytes,
                index,
                start,
                headers_start: offset(headers_start),
                headers_end: offset(headers_end),
                body_start: offset(body_start),
            })
        }
        (fault, start) => {
            let reason = fault.unwrap_or(ParseReason::StartLine);
            let partial =
                start.filter(|start| !has_control && is_answerable(start, &bytes, &index)).map(|start| {
                    Box::new(Partial {
                        index,
                        start,
                        headers_start: offset(headers_start),
                        headers_end: offset(headers_end),
                    })
                });
            Err(ParseError { reason, bytes, partial })
        }
    }
}

/// Whether a refused message is a request with every field that a response copies (RFC 3261 §8.2.6.2).
fn is_answerable(start: &StartLine, bytes: &[u8], index: &Index) -> bool {
    let StartLine::Request { method_end, .. } = start else { return false };
    let has = |name| index.slots.iter().any(|slot| slot.name == name && slot.end > slot.value);
    &bytes[..usize::from(*method_end)] != b"ACK"
        && [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq].into_iter().all(has)
}

/// Every offset lies within a message of at most [`MESSAGE_BYTES_MAX`] bytes.
fn offset(at: usize) -> u16 {
    debug_assert!(
        at <= MESSAGE_BYTES_MAX,
        "the message was cut to {MESSAGE_BYTES_MAX} bytes before the pass"
    );
    at as u16
}

/// The one pass. It goes on after a fault, to find what a response needs.
struct Pass<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    slots: &'a mut Vec<Slot>,
    fault: Option<ParseReason>,
    /// Whether a byte was met that must not be copied into a response.
    has_control: bool,
    content_length: Option<u32>,
}

impl Pass<'_> {
    /// Keeps the first fault.
    fn blame(&mut self, reason: ParseReason) {
        self.fault.get_or_insert(reason);
    }

    /// Reads the first line; gives it (if anything can be made of it) and where the next one begins.
    fn start_line(&mut self) -> (Option<StartLine>, usize) {
        let (end, next) = self.line_end(0);
        let line = &self.bytes[..end];
        if line.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"SIP/")) {
            return (self.status_line(line), next);
        }
        (self.request_line(line), next)
    }

    fn status_line(&mut self, line: &[u8]) -> Option<StartLine> {
        let Some(rest) =
            line.get(VERSION.len()..).filter(|_| line[..VERSION.len()].eq_ignore_ascii_case(VERSION))
        else {
            self.blame(ParseReason::Version);
            return None;
        };
        let code_end = rest.iter().skip(1).position(|byte| *byte == b' ').map_or(rest.len(), |at| at + 1);
        let (Some(b' '), code) = (rest.first(), rest.get(1..code_end).unwrap_or_default()) else {
            self.blame(ParseReason::StartLine);
            return None;
        };
        let status = match code.len() {
            3 => grammar::number(code).and_then(|code| Status::new(code as u16)),
            _ => None,
        };
        let Some(status) = status else {
            self.blame(ParseReason::StatusCode);
            return None;
        };
        let reason_start = (VERSION.len() + code_end + 1).min(line.len());
        Some(StartLine::Response {
            status,
            reason_start: offset(reason_start),
            reason_end: offset(line.len()),
        })
    }

    fn request_line(&mut self, line: &[u8]) -> Option<StartLine> {
        let (method, rest) = grammar::take_token(line);
        if method.is_empty() || rest.first() != Some(&b' ') {
            self.blame(ParseReason::StartLine);
            return None;
        }
        // The version is found from the right, so that a Request-URI with spaces still leaves an answerable request.
        let uri_start = method.len() + 1;
        let Some(version_start) = memchr::memrchr(b' ', line).filter(|at| *at >= uri_start) else {
            self.blame(ParseReason::StartLine);
            return None;
        };
        let uri = &line[uri_start..version_start];
        let version = &line[version_start + 1..];
        if !version.eq_ignore_ascii_case(VERSION) {
            let is_sip = version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"));
            self.blame(if is_sip { ParseReason::Version } else { ParseReason::StartLine });
        } else if uri.is_empty() || uri[0] == b'<' || uri.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
            self.blame(ParseReason::RequestUri);
        }
        Some(StartLine::Request {
            method_end: offset(method.len()),
            uri_start: offset(uri_start),
            uri_end: offset(version_start),
        })
    }

    /// Reads the header lines from `at`; gives where the empty line begins and where the body does.
    fn header_lines(&mut self, mut at: usize) -> (usize, usize) {
        let mut lines = 0;
        while at < self.bytes.len() {
            let line_start = at;
            match self.bytes[at..] {
                [b'\r', b'\n', ..] => return (at, at + 2),
                [b'\n', ..] => return (at, at + 1),
                _ => {}
            }
            let (mut end, mut next) = self.line_end(at);
            while let Some(b' ' | b'\t') = self.bytes.get(next) {
                (end, next) = self.line_end(next);
            }
            at = next;
            lines += 1;
            if lines > self.limits.headers {
                self.blame(ParseReason::TooManyHeaders);
                continue;
            }
            let line = &self.bytes[line_start..end];
            let (spelled, rest) = grammar::take_token(line);
            let value_start = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
            match value_start {
                Some(colon) if rest[colon] == b':' && !spelled.is_empty() => {
                    let value_start = line_start + spelled.len() + colon + 1;
                    self.header(Name::from_bytes(spelled), line_start, value_start, end);
                }
                _ => self.blame(ParseReason::HeaderLine),
            }
        }
        self.blame(ParseReason::Unterminated);
        (self.bytes.len(), self.bytes.len())
    }

    /// Indexes the values of one header line.
    fn header(&mut self, name: Name, line_start: usize, value_start: usize, line_end: usize) {
        let mut slot = Slot { name, place: Place::First, start: offset(line_start), value: 0, end: 0 };
        let is_list = name.cardinality() == Cardinality::List;
        let mut at = value_start;
        loop {
            let rest = &self.bytes[at..line_end];
            let length = if is_list { grammar::value_end(rest) } else { rest.len() };
            let value = grammar::trim_start(&rest[..length]);
            let start = at + length - value.len();
            slot.value = offset(start);
            slot.end = offset(start + grammar::trim_end(value).len());
            if self.slots.len() >= self.limits.values.min(VALUES_MAX) {
                self.blame(ParseReason::TooManyHeaders);
                return;
            }
            self.slots.push(slot);
            at += length;
            if at >= line_end {
                break;
            }
            slot.place = Place::Further;
            slot.start = offset(at);
            at += 1;
        }
        if name == Name::ContentLength {
            self.content_length(&self.bytes[usize::from(slot.value)..usize::from(slot.end)]);
        }
    }

    fn content_length(&mut self, value: &[u8]) {
        // Two lengths that differ would let two elements cut the stream at different places.
        match grammar::number(value) {
            Some(length) if self.content_length.is_none_or(|earlier| earlier == length) => {
                self.content_length = Some(length);
            }
            _ => self.blame(ParseReason::ContentLength),
        }
    }

    /// How many bytes from `body_start` on are the body (RFC 3261 §18.3).
    fn body_bytes(&mut self, body_start: usize) -> usize {
        let available = self.bytes.len() - body_start;
        match self.content_length {
            None => available,
            Some(length) if length as usize > available => {
                self.blame(ParseReason::BodyTruncated);
                available
            }
            Some(length) => length as usize,
        }
    }

    /// Where the line that begins at `at` ends, and where the next one begins.
    ///
    /// A lone LF counts as a line end, so that whoever reads it so further on sees no header that we did not.
    fn line_end(&mut self, at: usize) -> (usize, usize) {
        let mut from = at;
        while let Some(found) = memchr::memchr3(b'\n', b'\r', 0, &self.bytes[from..]) {
            let end = from + found;
            match self.bytes[end..] {
                [b'\n', ..] => return (end, end + 1),
                [b'\r', b'\n', ..] => return (end, end + 2),
                // RFC 3261 §25.1: a quoted-pair may hide a NUL, nothing may hide a line end.
                [0, ..] if end > 0 && self.bytes[end - 1] == b'\\' => {}
                _ => {
                    self.has_control = true;
                    self.blame(ParseReason::ControlByte);
                }
            }
            from = end + 1;
        }
        self.blame(ParseReason::Unterminated);
        (self.bytes.len(), self.bytes.len())
    }
}

const VERSION: &[u8] = b"SIP/2.0";

/// Values of most messages: one allocation of half a kilobyte for an index that is new.
const SLOTS_USUAL: usize = 64;

/// What a 16-bit slot id can name, with room to spare.
const VALUES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\n\
        Call-ID: c\r\nCSeq: 1 OPTIONS\r\n";

    fn refuse(text: &str) -> ParseError {
        Message::parse(text.as_bytes().to_vec(), &Limits::default()).expect_err(text)
    }

    #[test]
    fn each_fault_of_the_frame_has_its_reason() {
        let cases = [
            ("\r\n\r\n", ParseReason::Empty),
            ("OPTIONS\r\n\r\n", ParseReason::StartLine),
            (" OPTIONS sip:b SIP/2.0\r\n\r\n", ParseReason::StartLine),
            ("OPTIONS sip:b\r\n\r\n", ParseReason::StartLine),
            ("OPTIONS  sip:b SIP/2.0\r\n\r\n", ParseReason::RequestUri),
            ("OPTIONS sip:b  SIP/2.0\r\n\r\n", ParseReason::RequestUri),
            ("OPTIONS <sip:b> SIP/2.0\r\n\r\n", ParseReason::RequestUri),
            ("OPTIONS sip:b SIP/2.0 \r\n\r\n", ParseReason::StartLine),
            ("OPTIONS sip:b SIP/3.0\r\n\r\n", ParseReason::Version),
            ("SIP/2.1 200 OK\r\n\r\n", ParseReason::Version),
            ("SIP/2.0 2000 OK\r\n\r\n", ParseReason::StatusCode),
            ("SIP/2.0 099 OK\r\n\r\n", ParseReason::StatusCode),
            ("SIP/2.0\r\n\r\n", ParseReason::StartLine),
            ("OPTIONS sip:b SIP/2.0\r\nVia\r\n\r\n", ParseReason::HeaderLine),
            ("OPTIONS sip:b SIP/2.0\r\n: x\r\n\r\n", ParseReason::HeaderLine),
            ("OPTIONS sip:b SIP/2.0\r\n folded: x\r\n\r\n", ParseReason::HeaderLine),
            ("OPTIONS sip:b SIP/2.0\r\nSubject: a\rVia: x\r\n\r\n", ParseReason::ControlByte),
            ("OPTIONS sip:b SIP/2.0\r\nSubject: a\0b\r\n\r\n", ParseReason::ControlByte),
            ("OPTIONS sip:b SIP/2.0\r\nSubject: a\r\n", ParseReason::Unterminated),
            ("OPTIONS sip:b SIP/2.0\r\nl: -1\r\n\r\n", ParseReason::ContentLength),
            ("OPTIONS sip:b SIP/2.0\r\nl: 1\r\nl: 0\r\n\r\nx", ParseReason::ContentLength),
            ("OPTIONS sip:b SIP/2.0\r\nl: 2\r\n\r\nx", ParseReason::BodyTruncated),
        ];
        for (text, reason) in cases {
            assert_eq!(refuse(text).reason, reason, "{text:?}");
        }
    }

    #[test]
    fn a_refused_request_can_be_answered_when_it_names_itself() {
        let error = refuse(&format!("OPTIONS sip:b SIP/7.0\r\n{HEADERS}\r\n"));
        assert_eq!(error.reason.status(), Status::VERSION_NOT_SUPPORTED);
        let request = error.into_request().expect("all five fields are there");
        assert_eq!(request.first(Name::CallId), Some(&b"c"[..]));

        assert!(refuse(&format!("ACK sip:b SIP/7.0\r\n{HEADERS}\r\n")).into_request().is_none());
        assert!(refuse(&format!("SIP/7.0 200 OK\r\n{HEADERS}\r\n")).into_request().is_none());
        assert!(refuse("OPTIONS sip:b SIP/7.0\r\nVia: x\r\n\r\n").into_request().is_none());
    }

    #[test]
    fn the_buffer_of_a_refused_message_comes_back() {
        assert_eq!(refuse("nonsense\r\n\r\n").bytes, b"nonsense\r\n\r\n");
    }

    #[test]
    fn limits_are_kept() {
        let limits = Limits { headers: 2, values: 3, ..Limits::default() };
        let parse =
            |text: &str| Message::parse(text.as_bytes().to_vec(), &limits).map_err(|error| error.reason);
        assert!(parse("OPTIONS sip:b SIP/2.0\r\nA: 1\r\nVia: 2,3\r\n\r\n").is_ok());
        let lines = parse("OPTIONS sip:b SIP/2.0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
        assert_eq!(lines.err(), Some(ParseReason::TooManyHeaders));
        let values = parse("OPTIONS sip:b SIP/2.0\r\nVia: 1,2,3,4\r\n\r\n");
        assert_eq!(values.err(), Some(ParseReason::TooManyHeaders));
    }

    #[test]
    fn a_message_beyond_64_kib_is_refused_and_still_answerable() {
        let mut text = format!("OPTIONS sip:b SIP/2.0\r\n{HEADERS}\r\n").into_bytes();
        text.resize(MESSAGE_BYTES_MAX, b'x');
        assert!(Message::parse(text.clone(), &Limits::default()).is_ok());
        text.push(b'x');
        let error = Message::parse(text, &Limits::default()).expect_err("one byte too long");
        assert_eq!(error.reason, ParseReason::TooLarge);
        assert!(error.into_request().is_some());
    }

    #[test]
    fn lone_line_feeds_folds_and_leading_empty_lines_are_read() {
        let text = b"\r\n\r\nOPTIONS sip:b SIP/2.0\nSubject : a\n  b\r\n\tc\r\n\nbody".to_vec();
        let message = Message::parse(text, &Limits::default()).expect("lenient");
        assert_eq!(message.first(Name::Subject), Some(&b"a\n  b\r\n\tc"[..]));
        assert_eq!(message.body(), b"body");
    }
}
