//! What a view wants to know of a SIP message, read without trust in it.

/// The value of the first header field of this name, or of its short form.
pub fn header<'m>(message: &'m [u8], name: &str, short: &str) -> Option<&'m str> {
    headers(message).find_map(|(found, value)| {
        (found.eq_ignore_ascii_case(name) || !short.is_empty() && found.eq_ignore_ascii_case(short))
            .then_some(value)
    })
}

/// The header fields, a line each; what a line continues is left out.
pub fn headers(message: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let head = memchr::memmem::find(message, b"\r\n\r\n").map_or(message, |end| &message[..end]);
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        // A line that begins with a space continues the one before it.
        if line.first().is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        Some((text(&line[..colon])?, text(&line[colon + 1..])?))
    })
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().map(str::trim)
}

/// The body.
pub fn body(message: &[u8]) -> &[u8] {
    memchr::memmem::find(message, b"\r\n\r\n").map_or(&[], |end| &message[end + 4..])
}

/// The first line.
pub fn start_line(message: &[u8]) -> String {
    let end = message.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(message.len());
    String::from_utf8_lossy(&message[..end]).into_owned()
}

/// The status of a response.
pub fn status(message: &[u8]) -> Option<u16> {
    let rest = message.strip_prefix(b"SIP/2.0 ")?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

/// The method: of a request its own, of a response that of its CSeq.
pub fn method(message: &[u8]) -> Option<String> {
    match status(message) {
        None => start_line(message).split(' ').next().filter(|word| !word.is_empty()).map(str::to_owned),
        Some(_) => header(message, "CSeq", "")?.split_ascii_whitespace().nth(1).map(str::to_owned),
    }
}

/// The Call-ID.
pub fn call_id(message: &[u8]) -> Option<&str> {
    header(message, "Call-ID", "i")
}

/// The icid-value of P-Charging-Vector (RFC 7315 §5.6).
pub fn icid(message: &[u8]) -> Option<String> {
    parameter(header(message, "P-Charging-Vector", "")?, "icid-value")
}

/// The branch of the topmost Via.
pub fn branch(message: &[u8]) -> Option<String> {
    let via = header(message, "Via", "v")?;
    parameter(via.split(',').next()?, "branch")
}

/// A parameter of a header field, without its quotes.
pub fn parameter(value: &str, name: &str) -> Option<String> {
    value.split([';', ',']).find_map(|part| {
        let (found, value) = part.split_once('=')?;
        let found = found.trim().rsplit(' ').next()?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// What a ladder writes on the arrow: `INVITE`, `200 OK (INVITE)`.
pub fn summary(message: &[u8]) -> String {
    let line = start_line(message);
    match line.strip_prefix("SIP/2.0 ") {
        Some(status) => match method(message) {
            Some(method) => format!("{status} ({method})"),
            None => status.to_owned(),
        },
        None => line.split(' ').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:bob@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1;rport, SIP/2.0/UDP b;branch=2\r\n\
        i: x@y\r\nP-Charging-Vector: icid-value=\"ab c\";orig-ioi=h\r\nCSeq: 1 INVITE\r\n\r\nCall-ID: in the body\r\n";

    #[test]
    fn fields_are_found_by_either_name_and_not_in_the_body() {
        assert_eq!(call_id(INVITE), Some("x@y"));
        assert_eq!(icid(INVITE).as_deref(), Some("ab c"));
        assert_eq!(branch(INVITE).as_deref(), Some("z9hG4bK1"));
        assert_eq!(body(INVITE), b"Call-ID: in the body\r\n");
        assert_eq!(call_id(b"INVITE a SIP/2.0\r\n\r\nCall-ID: b"), None);
    }

    #[test]
    fn a_message_is_summed_up_by_its_method_or_status() {
        assert_eq!(summary(INVITE), "INVITE");
        let response = b"SIP/2.0 200 OK\r\nVia: x\r\ncseq : 7  INVITE\r\n\r\n";
        assert_eq!((summary(response).as_str(), status(response)), ("200 OK (INVITE)", Some(200)));
        assert_eq!((summary(b""), method(b"")), (String::new(), None));
        for cut in 0..INVITE.len() {
            let _ = (summary(&INVITE[..cut]), call_id(&INVITE[..cut]), branch(&INVITE[..cut]));
        }
    }
}
