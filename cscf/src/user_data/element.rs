//! The document as a small tree: local names, text, and the line where each element starts.

use super::UserDataError;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use std::borrow::Cow;

/// The longest document that is read.
pub const OCTETS_MAX: usize = 512 * 1024;
/// The deepest nesting that is read; Annex E needs eleven.
pub const DEPTH_MAX: usize = 32;
/// The most elements that are read.
pub const ELEMENTS_MAX: usize = 20_000;

/// One element, without its namespace prefix and attributes; what it says as it stands there is borrowed from the document.
#[derive(Debug, Default)]
pub struct Element<'x> {
    pub name: Cow<'x, str>,
    pub line: u32,
    /// All character data directly inside, references resolved, trimmed.
    pub text: Cow<'x, str>,
    pub children: Vec<Element<'x>>,
}

impl<'x> Element<'x> {
    /// The root element of a document.
    pub fn read(xml: &'x [u8]) -> Result<Element<'x>, UserDataError> {
        if xml.len() > OCTETS_MAX {
            return Err(UserDataError::new(1, format!("longer than {OCTETS_MAX} octets")));
        }
        let text = std::str::from_utf8(xml)
            .map_err(|error| UserDataError::new(line_of(&xml[..error.valid_up_to()]), "not UTF-8"))?;
        // Some HSSs count the terminating zero of a C string in.
        Tree::new(text.trim_end_matches('\0')).read()
    }

    /// The children of this name that stand directly inside.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element<'x>> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of this name that stands directly inside.
    pub fn one(&self, name: &str) -> Option<&Element<'x>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of this name, directly inside or at any depth of Extension.
    pub fn all_extended<'a>(&'a self, name: &str) -> Vec<&'a Element<'x>> {
        let mut found = Vec::new();
        self.collect(name, &mut found);
        found
    }

    /// The first of [`Element::all_extended`].
    pub fn one_extended(&self, name: &str) -> Option<&Element<'x>> {
        self.children.iter().find_map(|child| match &*child.name {
            "Extension" if name != "Extension" => child.one_extended(name),
            other => (other == name).then_some(child),
        })
    }

    fn collect<'a>(&'a self, name: &str, found: &mut Vec<&'a Element<'x>>) {
        for child in &self.children {
            if child.name == name {
                found.push(child);
            } else if child.name == "Extension" {
                child.collect(name, found);
            }
        }
    }

    /// An error at this element.
    pub fn fault(&self, reason: impl std::fmt::Display) -> UserDataError {
        UserDataError::new(self.line, format!("{}: {reason}", self.name))
    }
}

/// A document being read.
struct Tree<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// The elements that are open, the root first.
    open: Vec<Element<'a>>,
    count: usize,
    /// Where in the document lines were counted last, and how many there were.
    counted: (usize, u32),
}

impl<'a> Tree<'a> {
    fn new(text: &'a str) -> Tree<'a> {
        Tree { text, reader: Reader::from_str(text), open: Vec::new(), count: 0, counted: (0, 1) }
    }

    fn read(mut self) -> Result<Element<'a>, UserDataError> {
        loop {
            let event = self.reader.read_event();
            let line = self.line();
            match event.map_err(|error| UserDataError::new(line, format!("not well-formed: {error}")))? {
                Event::Start(tag) => self.start(tag.local_name().as_ref(), line)?,
                Event::Empty(tag) => {
                    self.start(tag.local_name().as_ref(), line)?;
                    if let Some(root) = self.end() {
                        return Ok(root);
                    }
                }
                Event::End(_) => {
                    if let Some(root) = self.end() {
                        return Ok(root);
                    }
                }
                Event::Text(text) => self.characters(&text.xml10_content(), line)?,
                Event::CData(text) => self.characters(&text.xml10_content(), line)?,
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref() {
                        Ok(Some(character)) => Some(character),
                        Ok(None) => resolve_xml_entity(&reference).and_then(|text| text.chars().next()),
                        Err(_) => None,
                    };
                    let character = character.ok_or_else(|| UserDataError::new(line, "unknown reference"))?;
                    self.characters(character.encode_utf8(&mut [0; 4]), line)?;
                }
                // Entities that a document defines itself are the way to make much of little.
                Event::DocType(_) => return Err(UserDataError::new(line, "a DOCTYPE is not allowed")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => return Err(UserDataError::new(line, "ends before its root element does")),
            }
        }
    }

    fn start(&mut self, name: &str, line: u32) -> Result<(), UserDataError> {
        self.count += 1;
        if self.count > ELEMENTS_MAX {
            return Err(UserDataError::new(line, format!("more than {ELEMENTS_MAX} elements")));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(UserDataError::new(line, format!("nested deeper than {DEPTH_MAX} elements")));
        }
        let end = name.char_indices().nth(NAME_MAX).map_or(name.len(), |(at, _)| at);
        let name = self.borrowed(&name[..end]);
        self.open.push(Element { name, line, ..Element::default() });
        Ok(())
    }

    /// The same text as it stands in the document, or a copy when it does not stand there.
    fn borrowed(&self, part: &str) -> Cow<'a, str> {
        let at = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr());
        let there = at.and_then(|at| self.text.get(at..at.checked_add(part.len())?));
        there.map_or_else(|| Cow::Owned(part.to_owned()), Cow::Borrowed)
    }

    /// Closes the innermost element; gives the root when it is that.
    fn end(&mut self) -> Option<Element<'a>> {
        let mut element = self.open.pop()?;
        match &mut element.text {
            Cow::Borrowed(text) => *text = text.trim(),
            Cow::Owned(text) => *text = text.trim().to_owned(),
        }
        match self.open.last_mut() {
            Some(parent) => {
                parent.children.push(element);
                None
            }
            None => Some(element),
        }
    }

    fn characters(&mut self, text: &str, line: u32) -> Result<(), UserDataError> {
        let borrowed = self.borrowed(text);
        match self.open.last_mut() {
            Some(element) if element.text.is_empty() => element.text = borrowed,
            Some(element) => element.text.to_mut().push_str(text),
            None if text.trim_start_matches('\u{feff}').trim().is_empty() => {}
            None => return Err(UserDataError::new(line, "text outside the root element")),
        }
        Ok(())
    }

    fn line(&mut self) -> u32 {
        let (from, line) = self.counted;
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.text.len());
        let lines = self.text.as_bytes()[from.min(at)..at].iter().filter(|octet| **octet == b'\n').count();
        self.counted = (at, line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX)));
        self.counted.1
    }
}

/// Names are kept this long; the longest of Annex E has 36 characters.
const NAME_MAX: usize = 64;

fn line_of(before: &[u8]) -> u32 {
    let lines = before.iter().filter(|octet| **octet == b'\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1)
}
