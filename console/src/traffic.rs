//! What a recorded message is about: read once, when it comes.

use crate::judgement;
use diameter_client::dictionary::{DataType, command_name, lookup};
use diameter_client::wire;
use recorder::{Message, Protocol};
use sip_core::{Limits, Message as SipMessage, Name};

/// What lists, stories and ladders need of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// `INVITE`, `200 OK (INVITE)`, `UAA 2001`.
    pub summary: String,
    /// What ties it to others: the Call-ID, or the Session-Id.
    pub thread: String,
    /// The method of SIP, also of a response; the command of Diameter, `UA`.
    pub method: String,
    /// Of a response: the status; of a Diameter answer: the result.
    pub result: Option<u32>,
    /// From, or the Origin-Host.
    pub from: String,
    /// To.
    pub to: String,
    /// The identities that it names.
    pub identities: Vec<String>,
    /// Whether a REGISTER ends bindings.
    pub is_deregistration: bool,
    /// Why it refuses, where it does.
    pub cause: Option<String>,
}

impl Traffic {
    /// Reads a message; what cannot be read says so.
    pub fn of(message: &Message) -> Traffic {
        let read = match message.protocol {
            Protocol::Sip => sip(&message.bytes),
            Protocol::Diameter => diameter(&message.bytes),
        };
        read.unwrap_or_else(|| Traffic { summary: "unreadable".to_owned(), ..Traffic::default() })
    }

    /// Whether it asks for something.
    pub fn is_request(&self) -> bool {
        self.result.is_none()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn sip(bytes: &[u8]) -> Option<Traffic> {
    let message = SipMessage::parse(bytes.to_vec(), &Limits::default()).ok()?;
    let field = |name| message.first(name).map(text).unwrap_or_default();
    let cseq = field(Name::CSeq);
    let method = match message.is_request() {
        true => message.method().to_string(),
        false => cseq.split_whitespace().nth(1).unwrap_or_default().to_owned(),
    };
    let status = message.status().map(|status| u32::from(status.code()));
    let summary = match status {
        Some(code) => format!("{code} {} ({method})", text(message.reason())),
        None => method.clone(),
    };
    let (from, to) = (uri(&field(Name::From)), uri(&field(Name::To)));
    let mut identities = vec![from.clone(), to.clone()];
    if message.is_request() && method != "REGISTER" {
        identities.push(bare(&text(message.uri())));
    }
    let contact = field(Name::Contact);
    let is_deregistration =
        method == "REGISTER" && (field(Name::Expires).trim() == "0" || contact.contains("expires=0"));
    let cause = status.and_then(|code| judgement::of_response(code, &text(message.reason()), &message));
    let thread = field(Name::CallId);
    Some(Traffic { summary, thread, method, result: status, from, to, identities, is_deregistration, cause })
}

/// The URI of a field like From, without its parameters.
fn uri(field: &str) -> String {
    let inside = match field.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => field.split(';').next().unwrap_or(field),
    };
    bare(inside)
}

/// A URI without parameters and port.
fn bare(uri: &str) -> String {
    let uri = uri.trim().split([';', '?']).next().unwrap_or_default();
    match uri.rsplit_once(':') {
        Some((rest, port)) if !rest.is_empty() && rest.contains(':') && port.parse::<u16>().is_ok() => {
            rest.to_owned()
        }
        _ => uri.to_owned(),
    }
}

fn diameter(bytes: &[u8]) -> Option<Traffic> {
    let message = wire::Message::parse(bytes).ok()?;
    let header = message.header;
    let name = command_name(header.command, header.is_request())
        .map_or_else(|| format!("command {}", header.command), str::to_owned);
    let mut traffic = Traffic { method: name.trim_end_matches(['R', 'A']).to_owned(), ..Traffic::default() };
    let mut result = None;
    for avp in message.avps().map_while(Result::ok) {
        match avp.code {
            SESSION_ID => traffic.thread = text(avp.data),
            ORIGIN_HOST => traffic.from = text(avp.data),
            DESTINATION_HOST => traffic.to = text(avp.data),
            USER_NAME | PUBLIC_IDENTITY => {
                let is_text =
                    lookup(avp.code, avp.vendor).is_some_and(|def| def.data_type == DataType::Utf8String);
                if is_text {
                    traffic.identities.push(text(avp.data));
                }
            }
            RESULT_CODE => result = avp.unsigned32().ok().map(|code| (code, false)),
            EXPERIMENTAL_RESULT => {
                let inside = avp.group().ok().and_then(|mut group| {
                    group.find_map(|avp| avp.ok().filter(|avp| avp.code == EXPERIMENTAL_RESULT_CODE))
                });
                result = inside.and_then(|avp| avp.unsigned32().ok()).map(|code| (code, true));
            }
            _ => {}
        }
    }
    if header.is_request() {
        traffic.summary = name;
        return Some(traffic);
    }
    let (code, is_experimental) = result.unwrap_or((0, false));
    traffic.result = Some(code);
    traffic.summary = format!("{name} {code}");
    traffic.cause = judgement::of_answer(&name, code, is_experimental);
    Some(traffic)
}

const USER_NAME: u32 = 1;
const SESSION_ID: u32 = 263;
const ORIGIN_HOST: u32 = 264;
const RESULT_CODE: u32 = 268;
const DESTINATION_HOST: u32 = 293;
const EXPERIMENTAL_RESULT: u32 = 297;
const EXPERIMENTAL_RESULT_CODE: u32 = 298;
const PUBLIC_IDENTITY: u32 = 601;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_compared_without_what_says_nothing_about_the_user() {
        for (field, expected) in [
            ("\"A\" <sip:alice@home.net;user=phone>;tag=1", "sip:alice@home.net"),
            ("<sip:alice@home.net:5060>", "sip:alice@home.net"),
            ("tel:+49301;tag=x", "tel:+49301"),
            ("<tel:+49301000001>", "tel:+49301000001"),
            ("sip:[::1]:5060", "sip:[::1]"),
        ] {
            assert_eq!(uri(field), expected, "{field}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for protocol in [Protocol::Sip, Protocol::Diameter] {
            let message = crate::recording::tests::message(protocol, b"\x01\x00garbage");
            assert_eq!(Traffic::of(&message).summary, "unreadable");
        }
    }

    #[test]
    fn a_response_has_the_method_of_its_request() {
        let text = "SIP/2.0 404 Not Found\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n\r\n";
        let traffic = Traffic::of(&crate::recording::tests::message(Protocol::Sip, text.as_bytes()));
        assert_eq!(traffic.summary, "404 Not Found (INVITE)");
        assert_eq!((traffic.method.as_str(), traffic.result), ("INVITE", Some(404)));
        assert_eq!(traffic.cause.as_deref(), Some("404 Not Found"));
    }
}
