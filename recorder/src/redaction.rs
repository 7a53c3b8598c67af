//! Who a user is, made unreadable, while messages can still be told apart: the same text stays the same text.

use crate::diameter;
use crate::entry::{Entry, Protocol, What};

/// Shortens the identities in every entry: users of SIP and tel URIs, user names, names in quotes, and whatever has as many
/// digits as an IMSI. Lengths stay.
pub fn redact(entries: &mut [Entry]) {
    for entry in entries {
        hide_word(&mut entry.node.name);
        match &mut entry.what {
            What::Message(message) => {
                if message.protocol == Protocol::Diameter {
                    hide_user_name(&mut message.bytes);
                }
                hide(&mut message.bytes);
            }
            What::Fact(fact) => hide_text(&mut fact.detail),
        }
    }
}

/// The same in text that is shown beside entries.
pub fn hide_text(text: &mut String) {
    let mut bytes = std::mem::take(text).into_bytes();
    hide(&mut bytes);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

/// The same for a word that is an identity as a whole, such as a number.
pub fn hide_word(word: &mut String) {
    let mut bytes = std::mem::take(word).into_bytes();
    mask(&mut bytes);
    *word = String::from_utf8_lossy(&bytes).into_owned();
}

/// Identities in text, wherever it is.
fn hide(bytes: &mut [u8]) {
    for scheme in [&b"sip:"[..], b"sips:", b"tel:", b"username=\""] {
        let mut from = 0;
        while let Some(found) = memchr::memmem::find(&bytes[from..], scheme) {
            let start = from + found + scheme.len();
            let length = bytes[start..].iter().position(|byte| is_end(*byte)).unwrap_or(bytes.len() - start);
            // A host has no user before it.
            let is_user =
                bytes.get(start + length) == Some(&b'@') || scheme == b"tel:" || scheme == b"username=\"";
            if is_user {
                mask(&mut bytes[start..start + length]);
            }
            from = start;
        }
    }
    hide_names(bytes);
    hide_digits(bytes);
}

const fn is_end(byte: u8) -> bool {
    matches!(byte, b'@' | b';' | b'>' | b'<' | b'"' | b'?' | b',' | b'&') || byte <= b' ' || byte >= 0x7f
}

/// Names in quotes before an address in brackets.
fn hide_names(bytes: &mut [u8]) {
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&bytes[from..], b"\" <") {
        let end = from + found;
        let line = bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if let Some(start) = bytes[line..end].iter().rposition(|byte| *byte == b'"') {
            mask(&mut bytes[line + start + 1..end]);
        }
        from = end + 3;
    }
}

/// Runs of as many digits as an IMSI or an IMEISV has; in Diameter the octet before an IMSI, a length, may look like a digit
/// too, and stays as the first of a run does.
fn hide_digits(bytes: &mut [u8]) {
    for run in bytes.chunk_by_mut(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        if matches!(run.len(), 14..=16) && run[0].is_ascii_digit() {
            mask(run);
        }
    }
}

/// User-Name: an IMPI stands there without a scheme, and again in what groups hold of it.
fn hide_user_name(bytes: &mut [u8]) {
    let found = diameter::avps_of(bytes).find(|(code, _)| *code == diameter::USER_NAME);
    let Some(name) = found.map(|(_, data)| data.to_vec()).filter(|name| !name.is_empty()) else { return };
    let length = name.iter().position(|byte| *byte == b'@').unwrap_or(name.len());
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&bytes[from..], &name) {
        let start = from + found;
        mask(&mut bytes[start..start + length]);
        from = start + name.len();
    }
}

/// Leaves the first character and, of what is long, the last two.
fn mask(word: &mut [u8]) {
    let kept = if word.len() > 6 { 2 } else { 0 };
    let end = word.len().saturating_sub(kept);
    for byte in word.iter_mut().take(end).skip(1).filter(|byte| byte.is_ascii_alphanumeric()) {
        *byte = b'*';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_shortened_and_nothing_else() {
        for (text, expected) in [
            ("To: <sip:alice@home.net>;tag=1", "To: <sip:a****@home.net>;tag=1"),
            ("To: <sip:home.net;lr>", "To: <sip:home.net;lr>"),
            ("<tel:+491701234567>", "<tel:+**********67>"),
            ("From: \"Alice Smith\" <sip:home.net>", "From: \"A**** ***th\" <sip:home.net>"),
            (
                "username=\"001010000000001@ims\",realm=\"ims\"",
                "username=\"0************01@ims\",realm=\"ims\"",
            ),
            ("imsi 001010000000001 of 12345678", "imsi 0************01 of 12345678"),
            ("", ""),
        ] {
            let mut bytes = text.as_bytes().to_vec();
            hide(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        }
    }

    #[test]
    fn a_user_name_of_diameter_is_shortened() {
        let mut entries = [crate::sample::diameter(300, "s;1;2", Some("sip:alice@h"))];
        redact(&mut entries);
        let What::Message(message) = &entries[0].what else { panic!("a message") };
        assert_eq!(diameter::text(&message.bytes, diameter::PUBLIC_IDENTITY), Some("sip:a****@h"));
    }
}
