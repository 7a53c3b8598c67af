//! A SIP message: its first line, each header field with its parameters, its body.

use super::{sdp, shown};
use crate::api::Field;
use sip_core::{Limits, Message, Name};

/// The parts of a SIP message.
pub fn tree(bytes: &[u8]) -> Vec<Field> {
    let Ok(message) = Message::parse(bytes.to_vec(), &Limits::default()) else {
        return vec![Field::leaf("unreadable", shown(bytes))];
    };
    let mut parts = vec![first_line(&message)];
    for (_, name, written, value) in message.slots() {
        // A field of a list has one slot for each value.
        let title = String::from_utf8_lossy(written).into_owned();
        let title = if title.len() < 3 { name.as_str().to_owned() } else { title };
        let value = shown(value);
        let parameters = parameters(name, &value);
        parts.push(Field::leaf(title, value).with_parts(parameters));
    }
    if !message.body().is_empty() {
        let kind = message.first(Name::ContentType).map(shown).unwrap_or_default();
        let body = Field::leaf("body", format!("{} octets", message.body().len())).with_note(kind.clone());
        let inside = match kind.trim().to_ascii_lowercase().starts_with("application/sdp") {
            true => sdp::tree(message.body()),
            false => vec![Field::leaf("text", shown(message.body()))],
        };
        parts.push(body.with_parts(inside));
    }
    parts
}

fn first_line(message: &Message) -> Field {
    match message.status() {
        Some(status) => Field::leaf("status", format!("{} {}", status.code(), shown(message.reason()))),
        None => Field::leaf("request", format!("{} {}", message.method(), shown(message.uri()))),
    }
}

/// The parameters of a field, and of the URI in it.
fn parameters(name: Name, value: &str) -> Vec<Field> {
    let is_digest = matches!(
        name,
        Name::Authorization | Name::WwwAuthenticate | Name::ProxyAuthenticate | Name::ProxyAuthorization
    );
    let separator = if is_digest { ',' } else { ';' };
    let value = if is_digest { value.split_once(' ').map_or(value, |(_, rest)| rest) } else { value };
    let mut pieces = outside_of_quotes(value, separator);
    if !is_digest {
        let is_one = pieces.len() < 2;
        if is_one {
            return Vec::new();
        }
        pieces.remove(0);
    }
    let field = |piece: &str| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        Field::leaf(name.trim(), value.trim().trim_matches('"'))
    };
    pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty()).map(field).collect()
}

/// The pieces between separators that stand neither in quotes nor in angle brackets.
fn outside_of_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut start, mut is_quoted, mut depth) = (Vec::new(), 0, false, 0_u32);
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            '<' if !is_quoted => depth += 1,
            '>' if !is_quoted => depth = depth.saturating_sub(1),
            _ if c == separator && !is_quoted && depth == 0 => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'a>(tree: &'a [Field], name: &str) -> &'a Field {
        tree.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("{name}: {tree:?}"))
    }

    #[test]
    fn a_request_is_its_line_its_fields_with_parameters_and_its_body() {
        let text = "INVITE sip:bob@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: \"A; B\" <sip:a@h;x=1>;tag=7\r\n\
                    Content-Type: application/sdp\r\nContent-Length: 43\r\n\r\nv=0\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n";
        let tree = tree(text.as_bytes());
        assert_eq!(tree[0], Field::leaf("request", "INVITE sip:bob@h"));
        assert_eq!(field(&tree, "Via").parts, [Field::leaf("branch", "z9hG4bK1")]);
        assert_eq!(field(&tree, "From").parts, [Field::leaf("tag", "7")]);
        let media = field(&field(&tree, "body").parts, "media");
        assert!(media.value.starts_with("audio 4000"), "{media:?}");
    }

    #[test]
    fn a_challenge_is_told_by_its_parameters() {
        let text = "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"h, i\",nonce=\"x\"\r\n\r\n";
        let tree = tree(text.as_bytes());
        let challenge = &field(&tree, "WWW-Authenticate").parts;
        assert_eq!(challenge, &[Field::leaf("realm", "h, i"), Field::leaf("nonce", "x")]);
    }

    #[test]
    fn what_is_no_sip_is_shown_as_it_is() {
        assert_eq!(tree(b"\xff\x00"), [Field::leaf("unreadable", "ff00")]);
    }
}
