//! A message as a tree that a person can read.

mod diameter;
mod sdp;
mod sip;

use crate::api::Field;
use recorder::{Message, Protocol};

/// The parts of a message; what cannot be read is told as such, with its octets.
pub fn tree(message: &Message) -> Vec<Field> {
    match message.protocol {
        Protocol::Sip => sip::tree(&message.bytes),
        Protocol::Diameter => diameter::tree(&message.bytes),
    }
}

impl Field {
    /// A part without parts.
    fn leaf(name: impl Into<String>, value: impl Into<String>) -> Field {
        Field { name: name.into(), value: value.into(), note: None, parts: Vec::new() }
    }

    fn with_note(self, note: impl Into<String>) -> Field {
        Field { note: Some(note.into()), ..self }
    }

    fn with_parts(self, parts: Vec<Field>) -> Field {
        Field { parts, ..self }
    }
}

/// Text as it is; anything else in hexadecimal.
fn shown(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) => {
            text.to_owned()
        }
        _ => hex(octets),
    }
}

fn hex(octets: &[u8]) -> String {
    let shown = &octets[..octets.len().min(HEX_MAX)];
    let mut out: String = shown.iter().map(|octet| format!("{octet:02x}")).collect();
    if octets.len() > HEX_MAX {
        out.push_str(&format!("… ({} octets)", octets.len()));
    }
    out
}

/// What nobody can read is shown so far.
const HEX_MAX: usize = 256;
