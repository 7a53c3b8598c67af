//! A session description: its lines by their names, the media with theirs (RFC 8866).

use super::shown;
use crate::api::Field;

/// The parts of a session description.
pub fn tree(body: &[u8]) -> Vec<Field> {
    let text = shown(body);
    let mut parts: Vec<Field> = Vec::new();
    let mut is_in_media = false;
    for line in text.lines() {
        let Some((kind, value)) = line.split_once('=') else {
            if !line.trim().is_empty() {
                parts.push(Field::leaf("unreadable", line));
            }
            continue;
        };
        let field = match (kind, value.split_once(':')) {
            ("a", Some((name, value))) => attribute(name, value),
            ("a", None) => Field::leaf(value, ""),
            _ => Field::leaf(name(kind), value),
        };
        if kind == "m" {
            is_in_media = true;
            parts.push(field);
            continue;
        }
        match parts.last_mut().filter(|_| is_in_media) {
            Some(media) => media.parts.push(field),
            None => parts.push(field),
        }
    }
    parts
}

fn attribute(name: &str, value: &str) -> Field {
    let field = Field::leaf(name, value);
    match name {
        "curr" => field.with_note("what has been reserved (RFC 3312)"),
        "des" => field.with_note("what must be reserved before the phone rings (RFC 3312)"),
        "conf" => field.with_note("tell me when it is reserved (RFC 3312)"),
        _ => field,
    }
}

fn name(kind: &str) -> &str {
    match kind {
        "v" => "version",
        "o" => "origin",
        "s" => "session",
        "i" => "information",
        "c" => "connection",
        "b" => "bandwidth",
        "t" => "time",
        "m" => "media",
        "k" => "key",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_medium_are_in_it() {
        let tree = tree(b"v=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendonly\r\nnonsense\r\nm=video 0 RTP/AVP 31\r\n");
        let names: Vec<_> = tree.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["version", "connection", "media", "unreadable", "media"]);
        assert_eq!(tree[2].parts, [Field::leaf("rtpmap", "0 PCMU/8000"), Field::leaf("sendonly", "")]);
    }
}
