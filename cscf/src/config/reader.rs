//! Walks the TOML document: reads each key once, collects every mistake, and notes where each value came from.

use super::fault::{ConfigError, suggestion};
use super::value::{Fault, Value};
use std::fmt;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where an effective value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// Computed from other values, at the root from `[plmn]`.
    Derived,
    /// Written in the file.
    File {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Derived => f.write_str("derived"),
            Origin::File { file, line } => write!(f, "{file}:{line}"),
        }
    }
}

/// One effective value, for printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The section, empty for a key at the top.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value as TOML.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What holds when the file says nothing.
pub enum Fallback<T> {
    /// A built-in value.
    Default(T),
    /// A value computed from others.
    Derived(T),
}

/// A parsed document and what was found in it so far.
pub struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    root: DeTable<'t>,
    sections: Vec<&'static str>,
    pub effective: Vec<Effective>,
    pub errors: Vec<ConfigError>,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str, file: &'t str) -> Reader<'t> {
        let (root, failures) = DeTable::parse_recoverable(text);
        let mut reader = Reader {
            file,
            text,
            root: root.into_inner(),
            sections: Vec::new(),
            effective: Vec::new(),
            errors: Vec::new(),
        };
        for failure in failures {
            let at = failure.span().unwrap_or(0..0);
            let fault = syntax_fault(text, &at, failure.message());
            reader.error(Some(at), String::new(), fault);
        }
        reader
    }

    /// Whether the document is TOML at all.
    pub fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    /// The syntax errors: nothing else can be told of a document that is not TOML.
    pub fn finish_syntax(mut self) -> Vec<ConfigError> {
        self.errors.sort_by_key(|error| (error.line, error.column));
        self.errors.dedup_by_key(|error| error.line);
        self.errors
    }

    /// Opens a section; close it by [`Section::end`] so that unknown keys are found.
    pub fn section(&mut self, name: &'static str) -> Section<'_, 't> {
        self.sections.push(name);
        let (table, wrong) = match self.root.get(name) {
            None => (None, None),
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => (Some(table.clone()), None),
                other => (None, Some((value.span(), other.type_str()))),
            },
        };
        if let Some((at, found)) = wrong {
            let fault = Fault::new(
                format!("is a section, not a {found}"),
                format!("write [{name}] on a line of its own"),
            );
            self.error(Some(at), name.to_owned(), fault);
        }
        Section { reader: self, name: name.to_owned(), table, known: Vec::new() }
    }

    /// Reports the sections that nobody opened, and gives the findings back.
    pub fn finish(mut self) -> (Vec<Effective>, Vec<ConfigError>) {
        let unknown: Vec<_> = self
            .root
            .keys()
            .filter(|key| !self.sections.contains(&key.get_ref().as_ref()))
            .map(|key| (key.span(), key.get_ref().to_string()))
            .collect();
        for (at, name) in unknown {
            let remedy = match suggestion(&name, self.sections.iter().copied()) {
                Some(meant) => format!("did you mean [{meant}]?"),
                None => format!("the sections are {}", self.sections.join(", ")),
            };
            self.error(Some(at), name, Fault::new("unknown section", remedy));
        }
        self.errors.sort_by_key(|error| (error.line, error.column));
        (self.effective, self.errors)
    }

    /// Reports a mistake of the value of `key`, wherever that was written.
    pub fn reject(&mut self, section: &str, key: &str, fault: Fault) {
        let at = self.root.get(section).and_then(|value| value.get_ref().get(key)).map(Spanned::span);
        self.error(at, format!("{section}.{key}"), fault);
    }

    pub fn error(&mut self, at: Option<Range<usize>>, key: String, fault: Fault) {
        let (line, column) = at.map_or((0, 0), |at| self.position(at.start));
        self.errors.push(ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            key,
            message: fault.message,
            remedy: fault.remedy,
        });
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
    }
}

/// One section being read.
pub struct Section<'r, 't> {
    reader: &'r mut Reader<'t>,
    name: String,
    table: Option<DeTable<'t>>,
    known: Vec<&'static str>,
}

impl Section<'_, '_> {
    /// The value of `key`, or what holds without it.
    pub fn get<T: Value>(&mut self, key: &'static str, fallback: Fallback<T>) -> T {
        match self.read(key) {
            Some((value, line)) => {
                self.note(key, &value, Origin::File { file: self.reader.file.to_owned(), line });
                value
            }
            None => {
                let (value, origin) = match fallback {
                    Fallback::Default(value) => (value, Origin::Default),
                    Fallback::Derived(value) => (value, Origin::Derived),
                };
                self.note(key, &value, origin);
                value
            }
        }
    }

    /// As [`Section::get`], bounded: outside of `range` is a mistake.
    pub fn within<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: Value + PartialOrd + Clone,
    {
        let value = self.get(key, Fallback::Default(default.clone()));
        if range.contains(&value) {
            return value;
        }
        let fault = Fault::new(
            format!("{} is out of range", value.show()),
            format!("use a value from {} to {}", range.start().show(), range.end().show()),
        );
        let name = self.name.clone();
        self.reader.reject(&name, key, fault);
        default
    }

    /// The value of `key` where there is one.
    pub fn optional<T: Value>(&mut self, key: &'static str) -> Option<T> {
        let (value, line) = self.read(key)?;
        self.note(key, &value, Origin::File { file: self.reader.file.to_owned(), line });
        Some(value)
    }

    /// The value of `key`, which must be there; `placeholder` stands for it once its absence is reported.
    pub fn required<T: Value>(&mut self, key: &'static str, placeholder: T, remedy: &str) -> T {
        let errors_before = self.reader.errors.len();
        match self.optional(key) {
            Some(value) => value,
            None => {
                if self.reader.errors.len() == errors_before {
                    let fault = Fault::new("is missing", remedy);
                    let name = self.name.clone();
                    self.reader.error(None, format!("{name}.{key}"), fault);
                }
                placeholder
            }
        }
    }

    /// Every key with a value of one kind: a section whose keys are names.
    pub fn entries<T: Value>(&mut self) -> Vec<(String, T)> {
        let mut entries = Vec::new();
        for (key, value) in self.table.take().unwrap_or_default() {
            let name = key.get_ref().to_string();
            match T::read(value.get_ref()) {
                Ok(read) => {
                    let (line, _) = self.reader.position(key.span().start);
                    self.reader.effective.push(Effective {
                        section: self.name.clone(),
                        key: format!("\"{name}\""),
                        value: read.show(),
                        origin: Origin::File { file: self.reader.file.to_owned(), line },
                    });
                    entries.push((name, read));
                }
                Err(fault) => {
                    let at = fault.at.clone().unwrap_or(value.span());
                    self.reader.error(Some(at), format!("{}.\"{name}\"", self.name), fault);
                }
            }
        }
        entries
    }

    /// Notes a value that was computed for this section.
    pub fn derived<T: Value>(&mut self, key: &str, value: &T) {
        self.note(key, value, Origin::Derived);
    }

    /// Reports the keys that nobody asked for.
    pub fn end(self) {
        let Some(table) = self.table else { return };
        for key in table.keys() {
            let written = key.get_ref().as_ref();
            if self.known.contains(&written) {
                continue;
            }
            let remedy = match suggestion(written, self.known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("the keys of [{}] are {}", self.name, self.known.join(", ")),
            };
            self.reader.error(
                Some(key.span()),
                format!("{}.{written}", self.name),
                Fault::new("unknown key", remedy),
            );
        }
    }

    fn read<T: Value>(&mut self, key: &'static str) -> Option<(T, usize)> {
        self.known.push(key);
        let value = self.table.as_ref()?.get(key)?;
        let (line, _) = self.reader.position(value.span().start);
        match T::read(value.get_ref()) {
            Ok(read) => Some((read, line)),
            Err(fault) => {
                let at = fault.at.clone().unwrap_or(value.span());
                self.reader.error(Some(at), format!("{}.{key}", self.name), fault);
                None
            }
        }
    }

    fn note<T: Value>(&mut self, key: &str, value: &T, origin: Origin) {
        self.reader.effective.push(Effective {
            section: self.name.clone(),
            key: key.to_owned(),
            value: value.show(),
            origin,
        });
    }
}

/// A TOML syntax error, told in the words of the one who wrote the line.
fn syntax_fault(text: &str, at: &Range<usize>, message: &str) -> Fault {
    let start = at.start.min(text.len());
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    if let Some((key, value)) = line.split_once('=') {
        let value = value.split('#').next().unwrap_or("").trim();
        let is_number = value.len() > 1 && value.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && value.starts_with('0') {
            return Fault::new(
                format!("{value} begins with a zero, which a TOML number cannot"),
                format!("write it in quotes, {} = \"{value}\", so that its digits are kept", key.trim()),
            );
        }
        let bare_word = value.chars().next().is_some_and(|first| first.is_ascii_alphabetic());
        if bare_word && !value.ends_with('"') {
            return Fault::new(
                format!("not TOML: {message}"),
                format!("write text in quotes: {} = \"{value}\"", key.trim()),
            );
        }
    }
    Fault::new(format!("not TOML: {message}"), "see https://toml.io for the syntax")
}
