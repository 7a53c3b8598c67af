//! Writing an edited message: what is untouched in runs, what is touched line by line.

use crate::edit::{BodyEdit, Edits, Fate, InsertAt, Insertion};
use crate::message::{Message, Place, Slot, StartLine};
use crate::name::Name;
use std::io::Write;

impl Edits {
    /// Appends `message` with these edits to `out`, in one copy.
    pub fn render(&self, message: &Message, out: &mut Vec<u8>) {
        let mut render = Render { edits: self, message, out, copied: 0 };
        render.start_line();
        render.headers();
        render.body();
    }
}

struct Render<'a> {
    edits: &'a Edits,
    message: &'a Message,
    out: &'a mut Vec<u8>,
    /// Up to here the message is dealt with: written, or dropped.
    copied: usize,
}

impl<'a> Render<'a> {
    fn start_line(&mut self) {
        match (self.message.start, self.edits.uri, self.edits.status) {
            (StartLine::Request { uri_start, uri_end, .. }, Some(uri), _) => {
                self.copy_to(usize::from(uri_start));
                self.out.extend_from_slice(uri.of(&self.edits.scratch));
                self.copied = usize::from(uri_end);
            }
            (StartLine::Response { reason_end, .. }, _, Some((status, reason))) => {
                let _ = write!(self.out, "SIP/2.0 {} ", status.code());
                self.out.extend_from_slice(reason.of(&self.edits.scratch));
                self.copied = usize::from(reason_end);
            }
            // A Request-URI for a response, or a status for a request, is no edit of this message.
            (StartLine::Request { .. }, None, _) | (StartLine::Response { .. }, _, None) => {}
        }
    }

    fn headers(&mut self) {
        let slots = &self.message.index.slots;
        if !self.edits.insertions.is_empty() && !slots.iter().any(|slot| slot.name == Name::Via) {
            self.copy_to(usize::from(self.message.headers_start));
            self.insert_unanchored_tops();
        }
        let mut at = 0;
        while at < slots.len() {
            let end = slots[at + 1..]
                .iter()
                .position(|slot| slot.place == Place::First)
                .map_or(slots.len(), |further| at + 1 + further);
            self.line(at, end);
            at = end;
        }
        self.copy_to(usize::from(self.message.headers_end));
        self.insert_at_end();
    }

    /// Writes the line of the slots `at..end`, with what is inserted before and behind it.
    fn line(&mut self, at: usize, end: usize) {
        let slots = &self.message.index.slots;
        let slot = slots[at];
        let line_end = slots.get(end).map_or(self.message.headers_end, |next| next.start);
        let is_beside = self.edits.inserts_beside(slot.name);
        if is_beside && slots[..at].iter().all(|earlier| earlier.name != slot.name) {
            self.insert_tops(slot);
        }
        if self.is_touched(at, end) {
            self.copy_to(usize::from(slot.start));
            self.rewrite_line(at, end);
            self.copied = usize::from(line_end);
        }
        if is_beside && slots[end..].iter().all(|later| later.name != slot.name) {
            self.insert_bottoms(slot, usize::from(line_end));
        }
        let is_last_via = slot.name == Name::Via && slots[end..].iter().all(|later| later.name != Name::Via);
        if is_last_via && !self.edits.insertions.is_empty() {
            self.copy_to(usize::from(line_end));
            self.insert_unanchored_tops();
        }
    }

    fn is_touched(&self, at: usize, end: usize) -> bool {
        is_dropped_with(self.edits.body, self.message.index.slots[at].name)
            || (at..end).any(|slot| !matches!(self.edits.fate(slot), Fate::Keep))
    }

    /// Writes the values of a line that are left, one space behind the colon and behind each comma.
    fn rewrite_line(&mut self, at: usize, end: usize) {
        let slots = &self.message.index.slots;
        let mut written = 0;
        for (slot, number) in slots[at..end].iter().zip(at..) {
            let value = match self.edits.fate(number) {
                Fate::Drop => continue,
                _ if is_dropped_with(self.edits.body, slot.name) => continue,
                Fate::Replace(value) => value.of(&self.edits.scratch),
                Fate::Keep => self.message.span(slot.value, slot.end),
            };
            if written == 0 {
                self.out.extend_from_slice(self.message.spelling(&slots[at]));
                self.out.extend_from_slice(b": ");
            } else {
                self.out.extend_from_slice(b", ");
            }
            self.out.extend_from_slice(value);
            written += 1;
        }
        if written > 0 {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what is pushed above the first line of a name, the latest push first.
    fn insert_tops(&mut self, before: Slot) {
        self.copy_to(usize::from(before.start));
        for insertion in self.edits.insertions.iter().rev() {
            if insertion.place == InsertAt::Top && insertion.name == before.name {
                write_line(self.edits, insertion, self.out);
            }
        }
    }

    /// Writes what is appended behind the last line of a name, which ends at `line_end`.
    fn insert_bottoms(&mut self, behind: Slot, line_end: usize) {
        self.copy_to(line_end);
        for insertion in &self.edits.insertions {
            if insertion.place == InsertAt::Bottom && insertion.name == behind.name {
                write_line(self.edits, insertion, self.out);
            }
        }
    }

    /// Writes what is pushed on top of names that the message does not have, Via above the others.
    fn insert_unanchored_tops(&mut self) {
        for is_via in [true, false] {
            for insertion in self.edits.insertions.iter().rev() {
                if insertion.place == InsertAt::Top
                    && (insertion.name == Name::Via) == is_via
                    && !self.message.has(insertion.name)
                {
                    write_line(self.edits, insertion, self.out);
                }
            }
        }
    }

    /// Writes what is appended to a name that the message does not have, and the Content fields that it lacks.
    fn insert_at_end(&mut self) {
        for insertion in &self.edits.insertions {
            if insertion.place == InsertAt::Bottom
                && (insertion.name == Name::Other || !self.message.has(insertion.name))
                && !is_dropped_with(self.edits.body, insertion.name)
            {
                write_line(self.edits, insertion, self.out);
            }
        }
        if let BodyEdit::Set { content_type, .. } = self.edits.body {
            self.out.extend_from_slice(b"Content-Type: ");
            self.out.extend_from_slice(content_type.of(&self.edits.scratch));
            self.out.extend_from_slice(b"\r\n");
        }
        let body_bytes = match self.edits.body {
            BodyEdit::Keep if self.edits.wants_content_length && !self.message.has(Name::ContentLength) => {
                self.message.body().len()
            }
            BodyEdit::Keep => return,
            BodyEdit::Remove => 0,
            BodyEdit::Set { bytes, .. } => bytes.of(&self.edits.scratch).len(),
        };
        let _ = write!(self.out, "Content-Length: {body_bytes}\r\n");
    }

    fn body(&mut self) {
        match self.edits.body {
            BodyEdit::Keep => self.copy_to(self.message.bytes.len()),
            BodyEdit::Remove => self.copy_to(usize::from(self.message.body_start)),
            BodyEdit::Set { bytes, .. } => {
                self.copy_to(usize::from(self.message.body_start));
                self.out.extend_from_slice(bytes.of(&self.edits.scratch));
            }
        }
    }

    fn copy_to(&mut self, end: usize) {
        if self.copied < end {
            self.out.extend_from_slice(&self.message.bytes[self.copied..end]);
            self.copied = end;
        }
    }
}

impl Edits {
    /// Whether something is inserted beside the lines of `name`. Unknown fields go to the end, whatever is there.
    fn inserts_beside(&self, name: Name) -> bool {
        name != Name::Other
            && self.insertions.iter().any(|insertion| insertion.name == name)
            && !is_dropped_with(self.body, name)
    }
}

/// Whether a body edit removes the field `name`, or writes it anew behind all headers.
fn is_dropped_with(body: BodyEdit, name: Name) -> bool {
    match body {
        BodyEdit::Keep => false,
        BodyEdit::Remove => matches!(
            name,
            Name::ContentLength
                | Name::ContentType
                | Name::ContentEncoding
                | Name::ContentDisposition
                | Name::ContentLanguage
                | Name::ContentId
        ),
        BodyEdit::Set { .. } => {
            matches!(name, Name::ContentLength | Name::ContentType | Name::ContentEncoding)
        }
    }
}

fn write_line(edits: &Edits, insertion: &Insertion, out: &mut Vec<u8>) {
    match insertion.name {
        Name::Other => out.extend_from_slice(insertion.spelling.of(&edits.scratch)),
        known => out.extend_from_slice(known.as_str().as_bytes()),
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(insertion.value.of(&edits.scratch));
    out.extend_from_slice(b"\r\n");
}
