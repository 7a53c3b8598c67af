//! Edits of a message: one fate per header value, insertions at named places, and one copy at the end.
//!
//! What no edit touches is copied byte by byte, so order, case, folding and spelling stay as they were received.

use crate::message::{Message, SlotId};
use crate::name::Name;
use crate::status::Status;
use std::fmt;
use std::io::Write;

/// A set of edits of one message. It can be cleared and used again, and then allocates nothing.
///
/// Edits work as if applied one after the other: `remove` also takes back what was inserted under that name before,
/// and `set` twice leaves one line.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// Every value written so far; spans point into it.
    pub(crate) scratch: Vec<u8>,
    pub(crate) uri: Option<Span>,
    pub(crate) status: Option<(Status, Span)>,
    /// By slot; slots behind the end are kept.
    pub(crate) fates: Vec<Fate>,
    pub(crate) insertions: Vec<Insertion>,
    pub(crate) body: BodyEdit,
    pub(crate) wants_content_length: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// What becomes of one header value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Fate {
    #[default]
    Keep,
    Drop,
    Replace(Span),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Insertion {
    pub(crate) place: InsertAt,
    pub(crate) name: Name,
    /// The spelling of a [`Name::Other`].
    pub(crate) spelling: Span,
    pub(crate) value: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertAt {
    /// Before the first line of that name, else behind the Vias.
    Top,
    /// Behind the last line of that name, else behind all headers.
    Bottom,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum BodyEdit {
    #[default]
    Keep,
    Remove,
    Set {
        content_type: Span,
        bytes: Span,
    },
}

/// Text that can become a header value.
pub trait Value {
    /// Appends the text.
    fn write_to(self, out: &mut Vec<u8>);
}

impl Value for &[u8] {
    fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> Value for &[u8; N] {
    fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Value for &Vec<u8> {
    fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Value for &str {
    fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Value for &String {
    fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Value for fmt::Arguments<'_> {
    fn write_to(self, out: &mut Vec<u8>) {
        // Writing to a vector fails only when a Display of the arguments does; what it wrote until then stands.
        let _ = out.write_fmt(self);
    }
}

impl Edits {
    /// No edits.
    pub fn new() -> Edits {
        Edits::default()
    }

    /// Forgets all edits and keeps the buffers.
    pub fn clear(&mut self) {
        self.scratch.clear();
        self.uri = None;
        self.status = None;
        self.fates.clear();
        self.insertions.clear();
        self.body = BodyEdit::Keep;
        self.wants_content_length = false;
    }

    /// Whether nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.uri.is_none()
            && self.status.is_none()
            && self.fates.is_empty()
            && self.insertions.is_empty()
            && matches!(self.body, BodyEdit::Keep)
            && !self.wants_content_length
    }

    /// Replaces the Request-URI. White space and control bytes are left out: they would end it.
    pub fn set_uri(&mut self, value: impl Value) {
        let start = self.scratch.len();
        value.write_to(&mut self.scratch);
        retain_from(&mut self.scratch, start, |byte| byte > b' ' && byte != 0x7f);
        self.uri = Some(self.span_from(start));
    }

    /// The Request-URI that these edits give, when they give one.
    pub fn uri(&self) -> Option<&[u8]> {
        self.uri.map(|uri| uri.of(&self.scratch))
    }

    /// Replaces the status and the reason phrase of a response.
    pub fn set_status(&mut self, status: Status, reason: impl Value) {
        let reason = self.write_value(reason);
        self.status = Some((status, reason));
    }

    /// Removes every value of the header field `name`, and what earlier edits inserted under it.
    pub fn remove(&mut self, message: &Message, name: Name) {
        for (id, _) in message.all(name) {
            self.remove_slot(id);
        }
        self.insertions.retain(|insertion| insertion.name != name);
    }

    /// Removes every value of the header fields that `goes` says, in one pass, and what was inserted under them.
    pub fn remove_where(&mut self, message: &Message, goes: impl Fn(Name) -> bool) {
        for (id, slot) in message.index.slots.iter().enumerate() {
            if goes(slot.name) {
                self.remove_slot(SlotId(id as u16));
            }
        }
        self.insertions.retain(|insertion| !goes(insertion.name));
    }

    /// Removes every line of the header field spelled `name` in any case, whether this stack knows it or not.
    pub fn remove_other(&mut self, message: &Message, name: &[u8]) {
        match Name::from_bytes(name) {
            Name::Other => {
                for (id, _) in message.others(name) {
                    self.remove_slot(id);
                }
                let scratch = &self.scratch;
                self.insertions.retain(|insertion| {
                    insertion.name != Name::Other
                        || !insertion.spelling.of(scratch).eq_ignore_ascii_case(name)
                });
            }
            known => self.remove(message, known),
        }
    }

    /// Removes one value; a line that loses its last value goes with it.
    pub fn remove_slot(&mut self, slot: SlotId) {
        *self.fate_mut(slot) = Fate::Drop;
    }

    /// Replaces one value and leaves the rest of its line.
    pub fn replace(&mut self, slot: SlotId, value: impl Value) {
        let value = self.write_value(value);
        *self.fate_mut(slot) = Fate::Replace(value);
    }

    /// Leaves exactly one value: in the place of the first one there is, else behind all headers.
    pub fn set(&mut self, message: &Message, name: Name, value: impl Value) {
        let first = message.all(name).next().map(|(id, _)| id);
        self.remove(message, name);
        match first {
            Some(first) => self.replace(first, value),
            None => self.append(name, value),
        }
    }

    /// Inserts a line before the first of that name. Without one: behind the Vias, and a Via above everything.
    pub fn push_top(&mut self, name: Name, value: impl Value) {
        self.insert(InsertAt::Top, name, b"", value);
    }

    /// Inserts a line behind the last of that name, else behind all headers.
    pub fn append(&mut self, name: Name, value: impl Value) {
        self.insert(InsertAt::Bottom, name, b"", value);
    }

    /// Inserts a line of a header field without a [`Name`]; what is no token byte is left out of the name.
    pub fn append_other(&mut self, name: &[u8], value: impl Value) {
        self.insert(InsertAt::Bottom, Name::from_bytes(name), name, value);
    }

    /// Replaces the body, and Content-Type and Content-Length with it. Content-Encoding goes.
    pub fn set_body(&mut self, content_type: impl Value, bytes: &[u8]) {
        let content_type = self.write_value(content_type);
        let start = self.scratch.len();
        self.scratch.extend_from_slice(bytes);
        self.body = BodyEdit::Set { content_type, bytes: self.span_from(start) };
    }

    /// Removes the body and every Content field but Content-Length, which becomes 0.
    pub fn remove_body(&mut self) {
        self.body = BodyEdit::Remove;
    }

    /// Adds Content-Length when the message has none, which a stream needs (RFC 3261 §20.14).
    pub fn require_content_length(&mut self) {
        self.wants_content_length = true;
    }

    fn insert(&mut self, place: InsertAt, name: Name, spelling: &[u8], value: impl Value) {
        let start = self.scratch.len();
        if name == Name::Other {
            self.scratch.extend_from_slice(spelling);
            retain_from(&mut self.scratch, start, crate::grammar::is_token_byte);
        }
        let spelling = self.span_from(start);
        if name == Name::Other && spelling.of(&self.scratch).is_empty() {
            return;
        }
        let value = self.write_value(value);
        self.insertions.push(Insertion { place, name, spelling, value });
    }

    fn fate_mut(&mut self, slot: SlotId) -> &mut Fate {
        let at = usize::from(slot.0);
        if self.fates.len() <= at {
            self.fates.resize(at + 1, Fate::Keep);
        }
        &mut self.fates[at]
    }

    /// Writes a header value; a line end in it becomes a space, so that no value can smuggle a header.
    fn write_value(&mut self, value: impl Value) -> Span {
        let start = self.scratch.len();
        value.write_to(&mut self.scratch);
        blank_line_ends(&mut self.scratch[start..]);
        self.span_from(start)
    }

    fn span_from(&self, start: usize) -> Span {
        debug_assert!(u32::try_from(self.scratch.len()).is_ok(), "edits of one message stay far below 4 GiB");
        Span { start: start as u32, end: self.scratch.len() as u32 }
    }

    pub(crate) fn fate(&self, at: usize) -> Fate {
        self.fates.get(at).copied().unwrap_or_default()
    }
}

impl Span {
    pub(crate) fn of(self, scratch: &[u8]) -> &[u8] {
        &scratch[self.start as usize..self.end as usize]
    }
}

/// Turns every byte that ends a line into a space.
pub(crate) fn blank_line_ends(bytes: &mut [u8]) {
    for byte in bytes {
        if matches!(*byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}

/// Keeps, from `start` on, only the bytes that `keep` says.
pub(crate) fn retain_from(bytes: &mut Vec<u8>, start: usize, keep: impl Fn(u8) -> bool) {
    let mut to = start;
    for from in start..bytes.len() {
        if keep(bytes[from]) {
            bytes[to] = bytes[from];
            to += 1;
        }
    }
    bytes.truncate(to);
}
