//! The request that is tried: of a file, or made of a method and a URI.

use crate::arguments::IfcTest;
use crate::exit::Failure;
use cscf::config::Config;
use sip_core::{Limits, Message};

/// The request that the command line describes.
pub fn read(test: &IfcTest, config: &Config) -> Result<Message, Failure> {
    let (name, text) = match &test.request {
        Some(file) => {
            let shown = file.display().to_string();
            let text =
                std::fs::read_to_string(file).map_err(|error| Failure::Usage(format!("{shown}: {error}")))?;
            (shown, text)
        }
        None => ("the request".to_owned(), made(test, config)?),
    };
    of_text(&name, &text)
}

/// The request that somebody wrote.
pub fn of_text(name: &str, text: &str) -> Result<Message, Failure> {
    let message = Message::parse(on_the_wire(text).into_bytes(), &Limits::default())
        .map_err(|error| Failure::Usage(format!("{name} is no SIP message: {error:?}")))?;
    match message.is_request() {
        true => Ok(message),
        false => Err(Failure::Usage(format!("{name} is a response: criteria are for requests"))),
    }
}

/// A file that an editor wrote, with the line ends of SIP; its Content-Length counted other ones.
fn on_the_wire(text: &str) -> String {
    if text.contains("\r\n") {
        return text.to_owned();
    }
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let is_length = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l")
    };
    let lines: Vec<&str> = head.lines().filter(|line| !is_length(line)).collect();
    format!("{}\r\n\r\n{}", lines.join("\r\n"), body.replace('\n', "\r\n"))
}

fn made(test: &IfcTest, config: &Config) -> Result<String, Failure> {
    let domain = config.home.domain();
    let to = test.to.clone().unwrap_or_else(|| format!("sip:somebody@{domain}"));
    let method = &test.method;
    let mut lines = vec![
        format!("{method} {to} SIP/2.0"),
        format!("Via: SIP/2.0/UDP {domain};branch=z9hG4bK1"),
        "Max-Forwards: 70".to_owned(),
        format!("From: <{}>;tag=1", test.from.clone().unwrap_or_else(|| format!("sip:me@{domain}"))),
        format!("To: <{to}>"),
        "Call-ID: 1".to_owned(),
        format!("CSeq: 1 {method}"),
    ];
    for header in &test.header {
        if !header.contains(':') || header.contains(['\r', '\n']) {
            return Err(Failure::Usage(format!("{header:?} is not NAME: VALUE")));
        }
        lines.push(header.clone());
    }
    Ok(lines.join("\r\n") + "\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Name;

    #[test]
    fn a_file_with_the_lines_of_an_editor_is_read_with_its_whole_body() {
        let text = "INVITE sip:bob@h SIP/2.0\nContent-Length: 3\nContent-Type: application/sdp\n\nv=0\nm=audio 1 RTP/AVP 0\n";
        let message = Message::parse(on_the_wire(text).into_bytes(), &Limits::default()).unwrap();
        assert_eq!(message.body(), b"v=0\r\nm=audio 1 RTP/AVP 0\r\n");
        assert_eq!(message.first(Name::ContentType), Some(&b"application/sdp"[..]));
        assert_eq!(on_the_wire("OPTIONS sip:h SIP/2.0\n"), "OPTIONS sip:h SIP/2.0\r\n\r\n");
        let wire = "OPTIONS sip:h SIP/2.0\r\n\r\n";
        assert_eq!(on_the_wire(wire), wire);
    }
}
