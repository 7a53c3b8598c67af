//! Writes a document, element by element, into one text.

use super::{ContactEvent, Extent, State};
use sip_core::grammar::Params;
use std::fmt::Write;

/// A document in the making.
#[derive(Debug)]
pub struct Document(String);

/// The contacts of one identity in the making.
#[derive(Debug)]
pub struct Contacts<'d>(&'d mut String);

/// What a document tells of a contact.
#[derive(Clone, Copy, Debug)]
pub struct ContactFields<'a> {
    /// Names it in all documents of a subscription.
    pub id: u64,
    /// What happened to it last; its state follows from that.
    pub event: ContactEvent,
    /// What is left of it, in seconds.
    pub expires_s: Option<u32>,
    /// The preference in thousandths, where it has one.
    pub q: Option<u16>,
    /// Of the REGISTER that updated it last.
    pub call_id: &'a [u8],
    /// Of the same.
    pub cseq: u32,
    /// The contact.
    pub uri: &'a [u8],
    /// Its header parameters, each with its leading semicolon.
    pub params: &'a [u8],
    /// Its public GRUU, where it has one (RFC 5628).
    pub public_gruu: Option<&'a str>,
    /// Its latest temporary one, and the CSeq of the REGISTER since which all that were assigned hold (RFC 5628).
    pub temporary_gruu: Option<(&'a str, u32)>,
}

impl Document {
    /// The head of a document.
    pub fn new(version: u32, extent: Extent) -> Document {
        let mut text = String::with_capacity(1024);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"");
        number(version, &mut text);
        text.push_str(match extent {
            Extent::Full => "\" state=\"full\">\n",
            Extent::Partial => "\" state=\"partial\">\n",
        });
        Document(text)
    }

    /// Adds an identity; `inside` adds its contacts.
    pub fn registration(&mut self, aor: &str, id: u64, state: State, inside: impl FnOnce(&mut Contacts<'_>)) {
        let text = &mut self.0;
        text.push_str("<registration aor=\"");
        escaped(aor, text);
        // Text takes every write.
        let _ = writeln!(text, "\" id=\"{id:x}\" state=\"{}\">", state.word());
        inside(&mut Contacts(text));
        text.push_str("</registration>\n");
    }

    /// How long it is so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is in it, which no document is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole.
    pub fn end(mut self) -> String {
        self.0.push_str("</reginfo>\n");
        self.0
    }
}

impl Contacts<'_> {
    /// Adds a contact.
    pub fn contact(&mut self, contact: &ContactFields<'_>) {
        let text = &mut *self.0;
        let state = if contact.event.is_end() { State::Terminated } else { State::Active };
        let _ = write!(
            text,
            "<contact id=\"{:x}\" state=\"{}\" event=\"{}\"",
            contact.id,
            state.word(),
            contact.event.word()
        );
        if let Some(expires_s) = contact.expires_s {
            text.push_str(" expires=\"");
            number(expires_s, text);
            text.push('"');
        }
        if let Some(q) = contact.q {
            let written = format!("{}.{:03}", q / 1000, q % 1000);
            let written = written.trim_end_matches('0').trim_end_matches('.');
            let _ = write!(text, " q=\"{written}\"");
        }
        text.push_str(" callid=\"");
        escaped(&String::from_utf8_lossy(contact.call_id), text);
        text.push_str("\" cseq=\"");
        number(contact.cseq, text);
        text.push_str("\">\n<uri>");
        escaped(&String::from_utf8_lossy(contact.uri), text);
        text.push_str("</uri>\n");
        for (name, value) in Params::lenient(contact.params) {
            // It has attributes of its own (RFC 3680 §5.2).
            if name.eq_ignore_ascii_case(b"q") || name.eq_ignore_ascii_case(b"expires") {
                continue;
            }
            text.push_str("<unknown-param name=\"");
            escaped(&String::from_utf8_lossy(name), text);
            text.push_str("\">");
            escaped(&String::from_utf8_lossy(value.unwrap_or_default()), text);
            text.push_str("</unknown-param>\n");
        }
        if let Some(gruu) = contact.public_gruu {
            text.push_str("<gr:pub-gruu xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" uri=\"");
            escaped(gruu, text);
            text.push_str("\"/>\n");
        }
        if let Some((gruu, since)) = contact.temporary_gruu {
            text.push_str("<gr:temp-gruu xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" uri=\"");
            escaped(gruu, text);
            text.push_str("\" first-cseq=\"");
            number(since, text);
            text.push_str("\"/>\n");
        }
        text.push_str("</contact>\n");
    }
}

fn number(number: u32, text: &mut String) {
    let _ = write!(text, "{number}");
}

/// Text as it may stand in an element or attribute; what XML cannot hold is left out (XML 1.0 §2.2).
fn escaped(raw: &str, text: &mut String) {
    for character in raw.chars() {
        match character {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            plain => text.push(plain),
        }
    }
}
