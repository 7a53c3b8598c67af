//! What a called UE answers.

use crate::received::{Field, Received};
use crate::request::{ALLOW, MMTEL, description, put};
use crate::transport::Transport;
use std::io::Write;
use std::net::SocketAddr;

/// A response of a UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 180 Ringing.
    Ringing,
    /// 200 OK to an INVITE, with the answer to its offer.
    Connected,
    /// 200 OK to anything else.
    Ok,
    /// A refusal.
    Refused(u16, &'static str),
}

/// Writes the response of the UE at `address` to `request` (RFC 3261 §8.2.6).
pub(crate) fn write(
    answer: Answer,
    request: &Received<'_>,
    (address, transport): (SocketAddr, Transport),
    tag: &[u8],
    out: &mut Vec<u8>,
) {
    out.clear();
    // Writing to a Vec does not fail.
    let _ = match answer {
        Answer::Ringing => out.write_all(b"SIP/2.0 180 Ringing\r\n"),
        Answer::Connected | Answer::Ok => out.write_all(b"SIP/2.0 200 OK\r\n"),
        Answer::Refused(status, reason) => write!(out, "SIP/2.0 {status} {reason}\r\n"),
    };
    let makes_dialog = matches!(answer, Answer::Ringing | Answer::Connected);
    for (field, value) in request.mirrored() {
        let name: &[u8] = match field {
            Field::Via => b"Via: ",
            Field::RecordRoute if makes_dialog => b"Record-Route: ",
            Field::From => b"From: ",
            Field::To => b"To: ",
            Field::CallId => b"Call-ID: ",
            Field::CSeq => b"CSeq: ",
            _ => continue,
        };
        put(out, &[name, value]);
        if field == Field::To && memchr::memmem::find(value, b";tag=").is_none() {
            put(out, &[b";tag=", tag]);
        }
        out.extend_from_slice(b"\r\n");
    }
    if makes_dialog {
        let _ = write!(
            out,
            "Contact: <sip:{address}{}>;{MMTEL}\r\nAllow: {ALLOW}\r\n",
            transport.uri_parameter()
        );
    }
    if answer == Answer::Connected {
        let sdp = description(address);
        let _ = write!(out, "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
    } else {
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:127.64.0.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP p;branch=z9hG4bK1\r\n\
        Via: SIP/2.0/UDP s;branch=z9hG4bK2\r\nRecord-Route: <sip:p;lr>\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n\
        Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a>\r\nContent-Length: 0\r\n\r\n";

    fn written(answer: Answer) -> String {
        let mut out = Vec::new();
        let request = Received::read(INVITE).unwrap();
        let contact = ("127.64.0.2:5060".parse().unwrap(), Transport::Udp);
        write(answer, &request, contact, b"t", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ringing_takes_over_what_a_dialog_needs_and_adds_a_tag_and_a_contact() {
        assert_eq!(
            written(Answer::Ringing),
            "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP p;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP s;branch=z9hG4bK2\r\n\
             Record-Route: <sip:p;lr>\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=t\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:127.64.0.2:5060>;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_carries_a_description_of_the_length_that_it_says() {
        let text = written(Answer::Connected);
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(header.ends_with(&format!("Content-Length: {}", body.len())), "{header}");
        assert!(body.starts_with("v=0\r\n") && body.contains("IN IP4 127.64.0.2"));
    }

    #[test]
    fn a_refusal_makes_no_dialog() {
        let text = written(Answer::Refused(486, "Busy Here"));
        assert!(text.starts_with("SIP/2.0 486 Busy Here\r\n") && !text.contains("Contact"), "{text}");
    }
}
