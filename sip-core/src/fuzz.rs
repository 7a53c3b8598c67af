//! Entry points for fuzzing: ordinary functions that take any bytes and assert what must hold for all of them.

use crate::edit::Edits;
use crate::framing::{Frame, Framer};
use crate::message::Message;
use crate::name::Name;
use crate::parse::Limits;
use crate::sdp::Sdp;
use crate::uri::Uri;

/// Parses `data` as a datagram and reads, edits and renders what comes of it.
///
/// # Panics
///
/// When an invariant of the message layer does not hold.
pub fn fuzz_message(data: &[u8]) {
    let limits = Limits::default();
    let message = match Message::parse(data.to_vec(), &limits) {
        Ok(message) => message,
        Err(error) => {
            let Some(request) = error.into_request() else { return };
            let status = crate::Status::BAD_REQUEST;
            let response = crate::ResponseBuilder::for_request(&request, status).to_tag("fuzz").build();
            // A field that a response copies may be as long as the request, so the response may outgrow the limit; and it
            // has a line for each Via, where the request may have had them all in one.
            if response.len() <= limits.message_bytes {
                let limits = Limits { headers: limits.values + limits.headers, ..limits };
                let parsed = Message::parse(response, &limits).expect("a response to anything can be parsed");
                assert_eq!(parsed.status(), Some(status));
            }
            return;
        }
    };
    let received = data.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n')).copied().collect::<Vec<_>>();
    assert!(received.starts_with(message.bytes()), "a message is a prefix of what was received");
    let mut rendered = Vec::new();
    Edits::new().render(&message, &mut rendered);
    assert_eq!(rendered, message.bytes(), "no edits leave no trace");
    read_everything(&message);
    edit_everything(&message);
    fuzz_sdp(message.body());
}

/// Reads `data` as a session description.
///
/// # Panics
///
/// When a line or a media description lies outside the body.
pub fn fuzz_sdp(data: &[u8]) {
    let Ok(sdp) = Sdp::parse(data) else { return };
    let mut end = 0;
    for line in sdp.lines() {
        assert!(
            line.range.start >= end && line.range.end <= data.len(),
            "lines lie in order within the body"
        );
        end = line.range.end;
    }
    let announced = sdp.lines().filter(|line| line.kind == b'm').count();
    assert_eq!(sdp.media().count(), announced, "every m= line begins a description");
    for media in sdp.media() {
        assert!(data[media.range()].starts_with(b"m="), "a description begins with its m= line");
        let _ =
            (media.direction(), media.connection(), media.bandwidths().count(), media.each_format().count());
    }
    let _ = (sdp.origin(), sdp.connection(), sdp.attributes().count());
}

/// Pushes `data` through a framer whole and byte by byte.
///
/// # Panics
///
/// When the two ways give other messages, or the framer holds more than it may.
pub fn fuzz_stream(data: &[u8]) {
    let limits = Limits { message_bytes: 4096, ..Limits::default() };
    let whole = messages(data.chunks(data.len().max(1)), &limits);
    let bytewise = messages(data.chunks(1), &limits);
    assert_eq!(whole, bytewise, "how a stream is cut does not matter");
}

fn messages<'a>(chunks: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Vec<Vec<u8>> {
    let mut framer = Framer::new();
    let mut found = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        loop {
            match framer.next(limits) {
                Ok(Some(Frame::Message(message))) => found.push(message),
                Ok(Some(Frame::KeepAlivePing | Frame::KeepAlivePong)) => {}
                Ok(None) => break,
                Err(_) => return found,
            }
        }
        assert!(framer.pending_bytes() <= limits.message_bytes, "a framer holds one message at most");
    }
    found
}

/// Asks for every view there is; only panics matter, and that what is found lies within the message.
fn read_everything(message: &Message) {
    let within = message.bytes().as_ptr_range();
    for (id, name, spelling, value) in message.slots() {
        let at = value.as_ptr_range();
        assert!(at.start >= within.start && at.end <= within.end, "a value lies within the message");
        assert_eq!(message.slot(id), value);
        assert!(!spelling.is_empty(), "every line has a name");
        assert!(!value.first().is_some_and(|byte| crate::grammar::is_lws(*byte)), "values are trimmed");
        if let Ok(address) = crate::NameAddr::parse(name, value) {
            let _ =
                (address.tag(), address.display(), address.expires(), address.params().into_iter().count());
            if let Ok(uri) = address.parsed_uri() {
                check_uri(&uri);
            }
        }
    }
    if let Ok(uri) = message.request_uri() {
        check_uri(&uri);
    }
    for (_, via) in message.vias() {
        let _ = via.map(|via| (via.sent_by(), via.received_ip(), via.rport(), via.is_rfc3261_branch()));
    }
    let _ = message.check();
    let _ = (message.max_forwards(), message.expires(), message.cseq(), message.method());
    for name in [Name::Authorization, Name::WwwAuthenticate] {
        let _ = message
            .credentials(name)
            .filter_map(|(_, value)| value.ok())
            .map(|c| c.params.iter().count())
            .sum::<usize>();
        let _ = message
            .challenges(name)
            .filter_map(|(_, value)| value.ok())
            .map(|c| c.params.iter().count())
            .sum::<usize>();
    }
    let _ = message
        .mechanisms(Name::SecurityClient)
        .filter_map(|(_, value)| value.ok())
        .map(|m| m.preference_milli())
        .max();
    let _ = message.charging_vector().map(|vector| vector.map(|vector| vector.with_ioi(None, None)));
    let _ =
        (message.access_networks().count(), message.privacy(), message.session_expires(), message.min_se());
    let _ = (message.rack().is_ok(), message.event().is_ok(), message.subscription_state().is_ok());
    let _ = message.option_tags(Name::Supported).count();
}

/// A canonical form is one: it can be read, and its own canonical form is itself.
fn check_uri(uri: &Uri<'_>) {
    assert!(uri.uri_eq(uri), "a URI equals itself: {uri:?}");
    let mut canonical = Vec::new();
    uri.canonical_aor(&mut canonical);
    let read = Uri::parse(&canonical).expect("a canonical form is a URI");
    let mut again = Vec::new();
    read.canonical_aor(&mut again);
    assert_eq!(canonical, again);
}

/// Edits as a proxy does, and reads the outcome back.
fn edit_everything(message: &Message) {
    let mut edits = Edits::new();
    edits.set_uri("sip:fuzz@example.com\r\nX-Smuggled: 1");
    edits.push_top(Name::Via, "SIP/2.0/UDP fuzz\r\nX-Smuggled: 1;branch=z9hG4bKfuzz");
    edits.push_top(Name::RecordRoute, "<sip:fuzz;lr>");
    if let Some((route, _)) = message.all(Name::Route).next() {
        edits.remove_slot(route);
    }
    if let Some((via, _)) = message.all(Name::Via).next_back() {
        edits.replace(via, "SIP/2.0/UDP last");
    }
    edits.set(message, Name::MaxForwards, format_args!("{}", 69));
    edits.remove(message, Name::PAssertedIdentity);
    edits.append_other(b"X-Fuzz", "1");
    edits.require_content_length();
    let mut rendered = Vec::new();
    edits.render(message, &mut rendered);
    let limits = Limits { headers: 1024, values: 4096, ..Limits::default() };
    if rendered.len() > limits.message_bytes {
        return;
    }
    let read = Message::parse(rendered, &limits).expect("an edited message can be parsed");
    assert_eq!(read.is_request(), message.is_request());
    assert_eq!(read.body(), message.body());
    assert_eq!(read.count(Name::Via), message.count(Name::Via) + 1);
    assert_eq!(read.count(Name::RecordRoute), message.count(Name::RecordRoute) + 1);
    assert_eq!(read.count(Name::Route), message.count(Name::Route).saturating_sub(1));
    assert_eq!(read.first(Name::MaxForwards), Some(&b"69"[..]));
    assert!(!read.has(Name::PAssertedIdentity));
    assert_eq!(read.others(b"X-Smuggled").count(), message.others(b"X-Smuggled").count());
    assert_eq!(read.first(Name::CallId), message.first(Name::CallId));
}
