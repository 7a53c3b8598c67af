//! A SIP message: the buffer that it came in, plus an index of header values (RFC 3261 §7).

use crate::grammar;
use crate::method::Method;
use crate::name::Name;
use crate::parse::{self, Limits, ParseError};
use crate::status::Status;
use std::fmt;

/// One message over the bytes that it was received in.
///
/// The index says where each header value lies; a field is read when somebody asks for it.
#[derive(Clone)]
pub struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) index: Index,
    pub(crate) start: StartLine,
    /// Where the first header line begins.
    pub(crate) headers_start: u16,
    /// Where the empty line behind the headers begins.
    pub(crate) headers_end: u16,
    pub(crate) body_start: u16,
}

/// The slots of a message, kept apart from it between two messages so that parsing needs no allocation.
#[derive(Clone, Debug)]
pub struct Index {
    pub(crate) slots: Vec<Slot>,
    /// By name: one more than the number of its first slot, 0 for a name that is not there. [`FAR`] stands for every
    /// number that does not fit.
    firsts: [u8; NAMES],
}

/// How many names there are, [`Name::Other`] the last.
const NAMES: usize = Name::Other as usize + 1;
/// A first slot that is somewhere from this number on.
const FAR: u8 = u8::MAX;

impl Default for Index {
    fn default() -> Index {
        Index { slots: Vec::new(), firsts: [0; NAMES] }
    }
}

impl Index {
    /// An empty index, which grows with the first message that is parsed into it.
    pub fn new() -> Index {
        Index::default()
    }

    /// Notes where each name comes first, once all slots are there.
    pub(crate) fn note_firsts(&mut self) {
        self.firsts = [0; NAMES];
        for (at, slot) in self.slots.iter().enumerate().rev() {
            self.firsts[slot.name as usize] = u8::try_from(at + 1).unwrap_or(FAR);
        }
    }

    /// The number of the first slot of a name.
    fn first(&self, name: Name) -> Option<usize> {
        match self.firsts[name as usize] {
            0 => None,
            FAR => {
                let from = usize::from(FAR) - 1;
                self.slots[from..].iter().position(|slot| slot.name == name).map(|at| from + at)
            }
            near => Some(usize::from(near) - 1),
        }
    }
}

/// Where one header value lies. A message is at most 65 535 bytes, so that an offset is two bytes and a slot eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) name: Name,
    pub(crate) place: Place,
    /// The first byte of the line or, behind another value, the comma between them.
    pub(crate) start: u16,
    /// The first byte of the value.
    pub(crate) value: u16,
    /// Just behind the last byte of the value, white space trimmed.
    pub(crate) end: u16,
}

/// Whether a value opens its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// The line's first value, or its only one.
    First,
    /// Behind another value of the same line.
    Further,
}

/// Names one header value of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub(crate) u16);

/// The first line (RFC 3261 §7.1, §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartLine {
    Request { method_end: u16, uri_start: u16, uri_end: u16 },
    Response { status: Status, reason_start: u16, reason_end: u16 },
}

impl Message {
    /// Parses one datagram, or one message as a [`Framer`](crate::framing::Framer) cut it.
    ///
    /// Bytes beyond Content-Length are cut off, and missing ones are an error (RFC 3261 §18.3). Only the frame is
    /// checked here: the start line, the shape of header lines, Content-Length. See [`Message::check`] for the rest.
    pub fn parse(bytes: Vec<u8>, limits: &Limits) -> Result<Message, ParseError> {
        Message::parse_into(bytes, limits, Index::new())
    }

    /// As [`Message::parse`], with the index of an earlier message (see [`Message::into_parts`]), which saves the
    /// allocation.
    pub fn parse_into(bytes: Vec<u8>, limits: &Limits, index: Index) -> Result<Message, ParseError> {
        parse::parse(bytes, limits, index)
    }

    /// Whether this is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.start, StartLine::Request { .. })
    }

    /// The request's method; for a response, the method of its CSeq (an empty [`Method::Other`] when it has none).
    pub fn method(&self) -> Method<'_> {
        match self.start {
            StartLine::Request { method_end, .. } => {
                Method::from_token(&self.bytes[..usize::from(method_end)])
            }
            StartLine::Response { .. } => self.cseq().map_or(Method::Other(b""), |cseq| cseq.method),
        }
    }

    /// The Request-URI as it stands; empty for a response.
    pub fn uri(&self) -> &[u8] {
        match self.start {
            StartLine::Request { uri_start, uri_end, .. } => self.span(uri_start, uri_end),
            StartLine::Response { .. } => b"",
        }
    }

    /// The status; `None` for a request.
    pub fn status(&self) -> Option<Status> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The reason phrase as it stands; empty for a request.
    pub fn reason(&self) -> &[u8] {
        match self.start {
            StartLine::Request { .. } => b"",
            StartLine::Response { reason_start, reason_end, .. } => self.span(reason_start, reason_end),
        }
    }

    /// The body, as long as Content-Length says.
    pub fn body(&self) -> &[u8] {
        &self.bytes[usize::from(self.body_start)..]
    }

    /// The whole message as received, without what lay behind Content-Length.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes another value over the one in `slot`, in the buffer itself; false when it does not fit into a message.
    ///
    /// For what the transport layer writes into a Via (RFC 3261 §18.2.1): `value` is one value, without a line end or a
    /// comma. What a proxy changes is a matter of [`Edits`](crate::Edits).
    pub fn overwrite(&mut self, slot: SlotId, value: &[u8]) -> bool {
        let Some(old) = self.index.slots.get(usize::from(slot.0)).copied() else { return false };
        let (from, to) = (usize::from(old.value), usize::from(old.end));
        let len = self.bytes.len() - (to - from) + value.len();
        if len > usize::from(u16::MAX) || value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b',')) {
            return false;
        }
        let old_len = self.bytes.len();
        self.bytes.resize(old_len.max(len), 0);
        self.bytes.copy_within(to..old_len, from + value.len());
        self.bytes.truncate(len);
        self.bytes[from..from + value.len()].copy_from_slice(value);
        // Everything behind the value moves by as much; the whole stays below 2^16, so no offset wraps.
        let moved = |offset: u16| {
            if offset >= old.end { (usize::from(offset) + value.len() - (to - from)) as u16 } else { offset }
        };
        for later in self.index.slots.iter_mut().skip(usize::from(slot.0) + 1) {
            (later.start, later.value, later.end) =
                (moved(later.start), moved(later.value), moved(later.end));
        }
        self.index.slots[usize::from(slot.0)].end = moved(old.end);
        self.headers_end = moved(self.headers_end);
        self.body_start = moved(self.body_start);
        true
    }

    /// The buffer itself.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The buffer and the index, both for the next message.
    pub fn into_parts(self) -> (Vec<u8>, Index) {
        (self.bytes, self.index)
    }

    /// The first value of the header field `name`, white space trimmed.
    pub fn first(&self, name: Name) -> Option<&[u8]> {
        let slot = self.index.slots[self.index.first(name)?];
        Some(self.span(slot.value, slot.end))
    }

    /// Every value of the header field `name`, in order. A list field gives its values one by one.
    pub fn all(&self, name: Name) -> impl DoubleEndedIterator<Item = (SlotId, &[u8])> {
        let first = self.index.first(name).unwrap_or(self.index.slots.len());
        self.enumerate_slots()
            .skip(first)
            .filter(move |(_, slot)| slot.name == name)
            .map(|(id, slot)| (id, self.span(slot.value, slot.end)))
    }

    /// How many values the header field `name` has.
    pub fn count(&self, name: Name) -> usize {
        self.all(name).count()
    }

    /// Whether the header field `name` is there, empty or not.
    pub fn has(&self, name: Name) -> bool {
        self.index.first(name).is_some()
    }

    /// Every value of every header field in order: id, name, the name as it stands, value.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, Name, &[u8], &[u8])> {
        let mut spelling: &[u8] = b"";
        self.enumerate_slots().map(move |(id, slot)| {
            if slot.place == Place::First {
                spelling = self.spelling(slot);
            }
            (id, slot.name, spelling, self.span(slot.value, slot.end))
        })
    }

    /// The value in a slot of this message; empty for an id of another message that points behind this one's.
    pub fn slot(&self, id: SlotId) -> &[u8] {
        self.index.slots.get(usize::from(id.0)).map_or(b"", |slot| self.span(slot.value, slot.end))
    }

    /// The first value of the header field spelled `name` in any case, whether this stack knows it or not.
    pub fn other(&self, name: &[u8]) -> Option<&[u8]> {
        match Name::from_bytes(name) {
            Name::Other => self.others(name).next().map(|(_, value)| value),
            known => self.first(known),
        }
    }

    /// Every value of the unknown header field spelled `name` in any case; commas are not looked at.
    pub fn others(&self, name: &[u8]) -> impl Iterator<Item = (SlotId, &[u8])> {
        self.enumerate_slots()
            .filter(move |(_, slot)| {
                slot.name == Name::Other && self.spelling(slot).eq_ignore_ascii_case(name)
            })
            .map(|(id, slot)| (id, self.span(slot.value, slot.end)))
    }

    fn enumerate_slots(&self) -> impl DoubleEndedIterator<Item = (SlotId, &Slot)> + ExactSizeIterator {
        // The parser refuses more values than an index of 16 bits can name.
        self.index.slots.iter().enumerate().map(|(at, slot)| (SlotId(at as u16), slot))
    }

    /// The name at the start of a slot's line, as it stands.
    pub(crate) fn spelling(&self, slot: &Slot) -> &[u8] {
        match slot.place {
            Place::First => grammar::take_token(self.span(slot.start, slot.end)).0,
            Place::Further => slot.name.as_str().as_bytes(),
        }
    }

    pub(crate) fn span(&self, start: u16, end: u16) -> &[u8] {
        &self.bytes[usize::from(start)..usize::from(end)]
    }
}

impl fmt::Debug for Message {
    /// Names the message without its content, which may name people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            None => write!(f, "Message({} request, {} bytes)", self.method(), self.bytes.len()),
            Some(status) => write!(f, "Message({} to {}, {} bytes)", status, self.method(), self.bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:bob@home SIP/2.0\r\n\
        v: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2\r\n\
        VIA: SIP/2.0/UDP c;branch=z9hG4bK3\r\n\
        From: \"A, B\" <sip:a@home>;tag=1\r\n\
        X-Foo: one, two\r\n\
        x-foo : three\r\n\
        Supported:\r\n\
        CSeq: 7 INVITE\r\n\
        l: 4\r\n\r\nbodyrest";

    fn invite() -> Message {
        Message::parse(INVITE.to_vec(), &Limits::default()).unwrap()
    }

    #[test]
    fn a_list_field_has_a_slot_per_value_across_lines() {
        let invite = invite();
        let vias: Vec<_> = invite.all(Name::Via).map(|(_, value)| value).collect();
        assert_eq!(
            vias,
            [
                b"SIP/2.0/UDP a;branch=z9hG4bK1",
                b"SIP/2.0/UDP b;branch=z9hG4bK2",
                b"SIP/2.0/UDP c;branch=z9hG4bK3"
            ]
        );
        assert_eq!(invite.count(Name::From), 1);
    }

    /// The first slot of a name is noted in one byte.
    #[test]
    fn a_field_behind_very_many_others_is_found() {
        for others in [252, 253, 254, 255, 256, 400] {
            let text = format!(
                "INFO sip:a SIP/2.0\r\nRoute: <sip:r0>{}\r\nTo: <sip:b>\r\nCSeq: 1 INFO\r\n\r\n",
                ", <sip:r>".repeat(others)
            );
            let limits = Limits { values: 1000, ..Limits::default() };
            let info = Message::parse(text.into_bytes(), &limits).unwrap();
            assert_eq!(info.first(Name::To), Some(&b"<sip:b>"[..]), "behind {others}");
            assert_eq!(info.first(Name::CSeq), Some(&b"1 INFO"[..]));
            assert_eq!((info.has(Name::From), info.count(Name::Route)), (false, others + 1));
            assert_eq!(info.all(Name::CSeq).map(|(id, _)| usize::from(id.0)).next(), Some(others + 2));
        }
    }

    #[test]
    fn an_unknown_field_is_found_in_any_case_and_kept_whole() {
        let invite = invite();
        let values: Vec<_> = invite.others(b"X-FOO").map(|(_, value)| value).collect();
        assert_eq!(values, [&b"one, two"[..], b"three"]);
        assert_eq!(invite.other(b"via"), Some(&b"SIP/2.0/UDP a;branch=z9hG4bK1"[..]));
        assert_eq!(invite.other(b"X-Bar"), None);
    }

    #[test]
    fn every_slot_tells_the_spelling_of_its_line() {
        let spelled: Vec<_> = invite().slots().map(|(_, _, name, _)| name.to_vec()).collect();
        let expected: [&[u8]; 9] =
            [b"v", b"v", b"VIA", b"From", b"X-Foo", b"x-foo", b"Supported", b"CSeq", b"l"];
        assert_eq!(spelled, expected);
    }

    #[test]
    fn an_empty_value_is_there_and_an_absent_field_is_not() {
        assert_eq!(invite().first(Name::Supported), Some(&b""[..]));
        assert_eq!(invite().first(Name::Require), None);
    }

    #[test]
    fn a_value_that_is_written_over_leaves_the_rest_as_it_was() {
        for value in [&b"SIP/2.0/UDP a;branch=z9hG4bK1;received=192.0.2.1"[..], b"SIP/2.0/UDP x", b""] {
            let mut written = invite();
            let (via, _) = written.all(Name::Via).next().unwrap();
            assert!(written.overwrite(via, value));
            let before = INVITE[..INVITE.len() - 4].to_vec();
            let expected = String::from_utf8(before).unwrap().replacen(
                "SIP/2.0/UDP a;branch=z9hG4bK1",
                &String::from_utf8_lossy(value),
                1,
            );
            assert_eq!(written.bytes(), expected.as_bytes());
            let read = Message::parse(expected.into_bytes(), &Limits::default()).unwrap();
            assert_eq!(written.slots().collect::<Vec<_>>(), read.slots().collect::<Vec<_>>());
            assert_eq!((written.body(), written.body_start), (&b"body"[..], read.body_start));
        }
    }

    #[test]
    fn a_value_that_would_be_more_than_one_is_not_written() {
        let mut written = invite();
        let (via, _) = written.all(Name::Via).next().unwrap();
        for value in [&b"a, b"[..], b"a\r\nX: 1", &[b'x'; 65_535]] {
            assert!(!written.overwrite(via, value));
        }
        assert!(!written.overwrite(SlotId(999), b"x"));
        assert_eq!(written.bytes(), invite().bytes());
    }

    #[test]
    fn the_body_ends_where_content_length_says() {
        assert_eq!(invite().body(), b"body");
        assert!(invite().bytes().ends_with(b"body"));
    }

    #[test]
    fn a_response_has_the_method_of_its_cseq() {
        let bytes = b"SIP/2.0 180 Ringing there\r\nCSeq: 1 INVITE\r\n\r\n".to_vec();
        let ringing = Message::parse(bytes, &Limits::default()).unwrap();
        assert_eq!(ringing.status(), Some(Status::RINGING));
        assert_eq!(ringing.reason(), b"Ringing there");
        assert_eq!(ringing.method(), Method::Invite);
        assert_eq!(ringing.uri(), b"");
    }

    #[test]
    fn debug_does_not_print_who_calls_whom() {
        assert_eq!(format!("{:?}", invite()), format!("Message(INVITE request, {} bytes)", INVITE.len() - 4));
    }
}
