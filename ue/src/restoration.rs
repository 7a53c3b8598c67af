//! A network that asks the UE to register anew (TS 24.229 §5.1.2A.1.6, §7.6): it has lost what it knew of it.

use crate::binding::Binding;
use crate::ue::Ue;
use cscf::Turn;
use sip_core::{Message, Name, Status, Uri};

/// The type of the body.
const IMS_XML: &[u8] = b"application/3gpp-ims+xml";

impl Ue {
    /// Looks at the response to a request outside a dialog; a 504 that asks for it, and may, starts a new registration.
    pub(crate) fn restore(&mut self, turn: &mut Turn<'_, Ue>, response: &Message) {
        if self.registration.binding().is_some_and(|binding| asks_to_register(response, binding)) {
            self.register_anew(turn);
        }
    }
}

/// Whether a response asks for an initial registration, and is from a URI of our Path or Service-Route.
fn asks_to_register(response: &Message, binding: &Binding) -> bool {
    let is_xml = response.first(Name::ContentType).is_some_and(|value| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(IMS_XML)
    });
    response.status() == Some(Status::SERVER_TIMEOUT)
        && is_xml
        && says(response.body(), "type", "restoration")
        && says(response.body(), "action", "initial-registration")
        && response.name_addrs(Name::PAssertedIdentity).any(|(_, asserted)| {
            asserted.is_ok_and(|asserted| binding.hops().any(|hop| is_same(hop, asserted.uri())))
        })
}

/// Whether an element says so: by its text, or by an empty element within it. Both are written.
fn says(body: &[u8], element: &str, word: &str) -> bool {
    let text = String::from_utf8_lossy(body);
    let Some((_, rest)) = text.split_once(&format!("<{element}>")) else { return false };
    let Some((content, _)) = rest.split_once(&format!("</{element}>")) else { return false };
    content.trim().trim_start_matches('<').trim_end_matches('>').trim_end_matches('/').trim() == word
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    match (Uri::parse(one), Uri::parse(other)) {
        (Ok(one), Ok(other)) => one.uri_eq(&other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_read_in_both_spellings() {
        for (body, expected) in [
            ("<a><type>restoration</type></a>", true),
            ("<a><type> restoration\r\n</type></a>", true),
            ("<a><type><restoration/></type></a>", true),
            ("<a><type>emergency</type></a>", false),
            ("<a><type>restoration", false),
            ("", false),
        ] {
            assert_eq!(says(body.as_bytes(), "type", "restoration"), expected, "{body}");
        }
    }
}
