//! Edits: what a proxy changes, what stays byte for byte, and what nobody can smuggle in.

use sip_core::{Edits, Limits, Message, Method, Name, Status};

const INVITE: &str = "INVITE sip:bob@home2.net SIP/2.0\r\n\
    v: SIP/2.0/UDP a;branch=z9hG4bK1 ,\r\n SIP/2.0/UDP b;branch=z9hG4bK2\r\n\
    Max-Forwards :  70\r\n\
    ROUTE: <sip:p1;lr>,<sip:p2;lr>\r\n\
    From: <sip:alice@home1.net>;tag=1\r\n\
    to: <sip:bob@home2.net>\r\n\
    i: c1\r\n\
    CSeq: 1 INVITE\r\n\
    Require: sec-agree\r\n\
    Proxy-Require: sec-agree, path\r\n\
    X-Odd:  one\r\n  folded \r\n\
    c: application/sdp\r\n\
    L: 5\r\n\r\nv=0\r\n";

fn parse(text: &str) -> Message {
    Message::parse(text.as_bytes().to_vec(), &Limits::default()).expect("a well-formed message")
}

/// The message after `edit`, as text.
fn edited(text: &str, edit: impl FnOnce(&mut Edits, &Message)) -> String {
    let message = parse(text);
    let mut edits = Edits::new();
    edit(&mut edits, &message);
    let mut out = Vec::new();
    edits.render(&message, &mut out);
    String::from_utf8(out).expect("ASCII")
}

/// RFC 3261 §16.6: everything a proxy does to a request at once, and nothing else moves.
#[test]
fn a_forwarded_request_changes_only_where_it_was_told() {
    let forwarded = edited(INVITE, |edits, message| {
        edits.set_uri("sip:bob@192.0.2.4:5060");
        edits.set(message, Name::MaxForwards, "69");
        let (top, _) = message.routes().next().unwrap();
        edits.remove_slot(top);
        edits.push_top(Name::RecordRoute, "<sip:us;lr>");
        edits.push_top(Name::Via, "SIP/2.0/UDP us;branch=z9hG4bK3");
    });
    let expected = INVITE
        .replace("INVITE sip:bob@home2.net SIP", "INVITE sip:bob@192.0.2.4:5060 SIP")
        .replace("v: SIP", "Via: SIP/2.0/UDP us;branch=z9hG4bK3\r\nv: SIP")
        .replace("Max-Forwards :  70\r\n", "Record-Route: <sip:us;lr>\r\nMax-Forwards: 69\r\n")
        .replace("<sip:p1;lr>,<sip:p2;lr>", "<sip:p2;lr>");
    assert_eq!(forwarded, expected);
}

#[test]
fn one_of_two_vias_in_a_line_leaves_a_correct_line() {
    let without_first = edited(INVITE, |edits, message| {
        edits.remove_slot(message.vias().next().unwrap().0);
    });
    assert!(without_first.contains("SIP/2.0\r\nv: SIP/2.0/UDP b;branch=z9hG4bK2\r\nMax"), "{without_first}");
    let without_last = edited(INVITE, |edits, message| {
        edits.remove_slot(message.vias().next_back().unwrap().0);
    });
    assert!(without_last.contains("SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nMax"), "{without_last}");
    let without_both = edited(INVITE, |edits, message| edits.remove(message, Name::Via));
    assert!(without_both.contains("SIP/2.0\r\nMax-Forwards :  70"), "{without_both}");
}

/// The P-CSCF takes `sec-agree` out; a field that is empty afterwards goes.
#[test]
fn an_option_tag_goes_and_its_field_with_it_when_empty() {
    let out = edited(INVITE, |edits, message| {
        for name in [Name::Require, Name::ProxyRequire] {
            for (id, tag) in message.all(name) {
                if tag.eq_ignore_ascii_case(b"sec-agree") {
                    edits.remove_slot(id);
                }
            }
        }
    });
    assert!(!out.contains("\r\nRequire:") && out.contains("\r\nProxy-Require: path\r\n"), "{out}");
}

#[test]
fn pushes_stack_up_and_appends_queue_behind() {
    let out = edited(INVITE, |edits, _| {
        edits.push_top(Name::Route, "<sip:second;lr>");
        edits.push_top(Name::Route, "<sip:first;lr>");
        edits.append(Name::Route, "<sip:last;lr>");
        edits.append(Name::PAssertedIdentity, "<sip:alice@home1.net>");
        edits.append(Name::PAssertedIdentity, "<tel:+1>");
        edits.append_other(b"x-odd", "two");
    });
    let routes: Vec<_> = parse(&out).routes().map(|(_, route)| route.unwrap().uri().to_vec()).collect();
    assert_eq!(routes, [&b"sip:first;lr"[..], b"sip:second;lr", b"sip:p1;lr", b"sip:p2;lr", b"sip:last;lr"]);
    let end = "L: 5\r\nP-Asserted-Identity: <sip:alice@home1.net>\r\nP-Asserted-Identity: <tel:+1>\r\nx-odd: two\r\n\r\nv=0";
    assert!(out.contains(end), "{out}");
}

#[test]
fn later_edits_of_a_name_undo_earlier_ones() {
    let out = edited(INVITE, |edits, message| {
        edits.append(Name::PAssertedIdentity, "<sip:forged@x>");
        edits.set(message, Name::PAssertedIdentity, "<sip:alice@home1.net>");
        edits.set(message, Name::PAssertedIdentity, "<sip:alice@home1.net>");
        edits.append_other(b"X-New", "1");
        edits.remove_other(message, b"x-new");
        edits.remove_other(message, b"x-odd");
        edits.set(message, Name::Require, "a");
        edits.remove(message, Name::Require);
    });
    assert_eq!(out.matches("P-Asserted-Identity").count(), 1, "{out}");
    assert!(!out.contains("X-New") && !out.contains("X-Odd") && !out.contains("\r\nRequire"), "{out}");
}

#[test]
fn a_new_body_brings_its_type_and_length() {
    let out = edited(INVITE, |edits, _| edits.set_body("text/plain", b"hello world"));
    assert!(out.ends_with("Content-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world"), "{out}");
    assert!(!out.contains("\r\nc:") && !out.contains("\r\nL:"), "{out}");

    let out = edited(INVITE, |edits, _| edits.remove_body());
    assert!(out.ends_with("Content-Length: 0\r\n\r\n") && !out.contains("application/sdp"), "{out}");
}

#[test]
fn content_length_is_added_only_where_it_is_missing() {
    assert_eq!(edited(INVITE, |edits, _| edits.require_content_length()), INVITE);
    let bare = INVITE.replace("L: 5\r\n", "");
    let out = edited(&bare, |edits, _| edits.require_content_length());
    assert!(out.ends_with("Content-Length: 5\r\n\r\nv=0\r\n"), "{out}");
}

#[test]
fn a_response_gets_another_status_and_keeps_the_rest() {
    let response = "SIP/2.0 200 Fine\r\nVia: SIP/2.0/UDP a\r\nCSeq: 1 INVITE\r\n\r\n";
    let out = edited(response, |edits, message| {
        edits.set_status(Status::BUSY_HERE, "Busy\r\nX: 1");
        edits.remove_slot(message.vias().next().unwrap().0);
    });
    assert_eq!(out, "SIP/2.0 486 Busy  X: 1\r\nCSeq: 1 INVITE\r\n\r\n");
}

#[test]
fn no_value_smuggles_a_line() {
    let out = edited(INVITE, |edits, message| {
        edits.set_uri("sip:x SIP/2.0\r\nX-Evil: 1");
        edits.append(Name::Subject, "a\r\nX-Evil: 2");
        edits.append_other(b"X\r\nX-Evil: 3\r\nY", "b\nX-Evil: 4");
        edits.replace(message.all(Name::From).next().unwrap().0, format_args!("<sip:a>\r\n{}", "X-Evil: 5"));
        edits.set_body("t\r\nX-Evil: 6", b"\r\nX-Evil: 7");
    });
    let message = parse(&out);
    assert!(message.others(b"X-Evil").next().is_none(), "{out}");
    assert_eq!(message.method(), Method::Invite);
    assert_eq!(message.body(), b"\r\nX-Evil: 7");
}

#[test]
fn cleared_edits_edit_nothing() {
    let message = parse(INVITE);
    let mut edits = Edits::new();
    edits.set_uri("sip:x");
    edits.remove(&message, Name::Via);
    edits.remove_body();
    assert!(!edits.is_empty());
    edits.clear();
    assert!(edits.is_empty());
    let mut out = Vec::new();
    edits.render(&message, &mut out);
    assert_eq!(out, INVITE.as_bytes());
}
