//! Reads a document, leniently: unknown elements, attributes and namespaces are passed over (RFC 3680 §5.1).

use super::{ContactEvent, Extent, State};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use std::fmt;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reginfo {
    /// Counts the documents of a subscription from 0.
    pub version: u32,
    /// How much it tells.
    pub extent: Extent,
    /// The identities.
    pub registrations: Vec<Registration>,
}

/// An identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its URI.
    pub aor: String,
    /// Its name in the documents of a subscription.
    pub id: String,
    /// Its state.
    pub state: State,
    /// Its contacts.
    pub contacts: Vec<Contact>,
}

/// A contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Its name in the documents of a subscription.
    pub id: String,
    /// What happened to it last.
    pub event: ContactEvent,
    /// What is left of it, in seconds.
    pub expires_s: Option<u32>,
    /// After how many seconds it may be registered again.
    pub retry_after_s: Option<u32>,
    /// The contact.
    pub uri: String,
}

/// Why a body is no such document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReginfoError(pub &'static str);

impl fmt::Display for ReginfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ReginfoError {}

/// The longest body that is read: no SIP message is longer.
const OCTETS_MAX: usize = 64 * 1024;
/// The deepest nesting that is read; the schema needs four, extensions a few more.
const DEPTH_MAX: usize = 16;
/// The most elements that are read.
const ELEMENTS_MAX: usize = 4000;

/// Reads a body.
pub fn read(body: &[u8]) -> Result<Reginfo, ReginfoError> {
    if body.len() > OCTETS_MAX {
        return Err(ReginfoError("too long"));
    }
    let text = std::str::from_utf8(body).map_err(|_| ReginfoError("not UTF-8"))?;
    let mut reader = Reader::from_str(text);
    let mut reading = Reading::default();
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|_| ReginfoError("not well-formed"))?;
        match event {
            Event::Start(tag) => {
                elements += 1;
                reading.start(&tag)?;
            }
            Event::Empty(tag) => {
                elements += 1;
                reading.start(&tag)?;
                reading.end();
            }
            Event::End(_) => reading.end(),
            Event::Text(text) => reading.characters(&text.xml10_content()),
            Event::CData(text) => reading.characters(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => Some(character),
                    Ok(None) => resolve_xml_entity(&reference).and_then(|text| text.chars().next()),
                    Err(_) => None,
                };
                let character = character.ok_or(ReginfoError("unknown reference"))?;
                reading.characters(character.encode_utf8(&mut [0; 4]));
            }
            // Entities that a document defines itself are the way to make much of little.
            Event::DocType(_) => return Err(ReginfoError("a DOCTYPE is not allowed")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
        if elements > ELEMENTS_MAX {
            return Err(ReginfoError("too many elements"));
        }
        if reading.depth == 0 && reading.reginfo.is_some() {
            break;
        }
    }
    match reading.reginfo {
        Some(reginfo) if reading.depth == 0 => Ok(reginfo),
        Some(_) => Err(ReginfoError("ends before its root element does")),
        None => Err(ReginfoError("has no root element")),
    }
}

/// A document being read.
#[derive(Debug, Default)]
struct Reading {
    depth: usize,
    reginfo: Option<Reginfo>,
    is_in_registration: bool,
    is_in_contact: bool,
    is_in_uri: bool,
}

impl Reading {
    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), ReginfoError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ReginfoError("nested too deep"));
        }
        let name = tag.local_name();
        match (self.depth, name.as_ref()) {
            (1, "reginfo") if self.reginfo.is_none() => {
                self.reginfo = Some(Reginfo {
                    version: number(tag, "version").ok_or(ReginfoError("has no version"))?,
                    extent: match attribute(tag, "state").as_deref() {
                        Some("full") => Extent::Full,
                        Some("partial") => Extent::Partial,
                        _ => return Err(ReginfoError("neither full nor partial")),
                    },
                    registrations: Vec::new(),
                });
            }
            (1, _) => return Err(ReginfoError("root element is not reginfo")),
            (2, "registration") => {
                let state = attribute(tag, "state").and_then(|state| State::of(&state));
                let registration = Registration {
                    aor: attribute(tag, "aor").ok_or(ReginfoError("registration has no aor"))?,
                    id: attribute(tag, "id").unwrap_or_default(),
                    state: state.ok_or(ReginfoError("registration has no state"))?,
                    contacts: Vec::new(),
                };
                if let Some(reginfo) = &mut self.reginfo {
                    reginfo.registrations.push(registration);
                    self.is_in_registration = true;
                }
            }
            (3, "contact") if self.is_in_registration => {
                let event = attribute(tag, "event").and_then(|event| ContactEvent::of(&event));
                let contact = Contact {
                    id: attribute(tag, "id").unwrap_or_default(),
                    event: event.ok_or(ReginfoError("contact has no event"))?,
                    expires_s: number(tag, "expires"),
                    retry_after_s: number(tag, "retry-after"),
                    uri: String::new(),
                };
                let registration = self.reginfo.as_mut().and_then(|reginfo| reginfo.registrations.last_mut());
                if let Some(registration) = registration {
                    registration.contacts.push(contact);
                    self.is_in_contact = true;
                }
            }
            (4, "uri") if self.is_in_contact => self.is_in_uri = true,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) {
        match self.depth {
            4 => self.is_in_uri = false,
            3 => self.is_in_contact = false,
            2 => self.is_in_registration = false,
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn characters(&mut self, text: &str) {
        if !self.is_in_uri || self.depth != 4 {
            return;
        }
        let registration = self.reginfo.as_mut().and_then(|reginfo| reginfo.registrations.last_mut());
        if let Some(contact) = registration.and_then(|registration| registration.contacts.last_mut()) {
            contact.uri.push_str(text.trim());
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == name)?;
    let value = quick_xml::escape::unescape(&attribute.value).ok()?;
    Some(value.into_owned())
}

fn number(tag: &BytesStart<'_>, name: &str) -> Option<u32> {
    attribute(tag, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As another registrar may write it: a prefix, an extension, other white space.
    const FOREIGN: &str = "<?xml version='1.0'?>\n<r:reginfo xmlns:r='urn:ietf:params:xml:ns:reginfo' \
        xmlns:g='urn:ietf:params:xml:ns:gruuinfo' version='0' state='full'>\n <r:registration aor='sip:a@h' id='x' state='active'>\n\
        <r:contact id='1' state='terminated' event='probation' retry-after='30' expires='0'>\n  <r:uri> sip:a@10.0.0.1?x=1&amp;y=2 </r:uri>\n\
        <g:pub-gruu uri='sip:a@h;gr=1'><uri>not this</uri></g:pub-gruu></r:contact></r:registration>\n</r:reginfo>";

    #[test]
    fn another_registrars_document_is_read() {
        let reginfo = read(FOREIGN.as_bytes()).expect("a document");
        let contact = &reginfo.registrations[0].contacts[0];
        assert_eq!(contact.uri, "sip:a@10.0.0.1?x=1&y=2");
        assert_eq!((contact.event, contact.retry_after_s), (ContactEvent::Probation, Some(30)));
    }

    #[test]
    fn what_is_no_document_is_refused_with_a_reason() {
        let deep = format!("<reginfo version='0' state='full'>{}", "<a>".repeat(20));
        let many = format!("<reginfo version='0' state='full'>{}</reginfo>", "<a/>".repeat(ELEMENTS_MAX));
        let long = " ".repeat(OCTETS_MAX + 1);
        for (body, reason) in [
            ("", "has no root element"),
            ("<reginfo version='0' state='full'>", "ends before its root element does"),
            ("<presence/>", "root element is not reginfo"),
            ("<reginfo state='full'/>", "has no version"),
            ("<reginfo version='0'/>", "neither full nor partial"),
            (
                "<reginfo version='0' state='full'><registration state='active'/></reginfo>",
                "registration has no aor",
            ),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><reginfo version='0' state='full'/>", "a DOCTYPE is not allowed"),
            (&deep, "nested too deep"),
            (&many, "too many elements"),
            (&long, "too long"),
        ] {
            assert_eq!(read(body.as_bytes()), Err(ReginfoError(reason)), "{}", &body[..body.len().min(60)]);
        }
        assert_eq!(read(b"\xff"), Err(ReginfoError("not UTF-8")));
    }
}
