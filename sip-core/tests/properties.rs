//! Round trips over generated messages: what is built is read, and what is edited leaves the rest alone.

use proptest::prelude::*;
use sip_core::{Edits, Limits, Message, Method, Name, RequestBuilder};

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,12}"
}

/// A header line's name and value: known and unknown names, spaces, quotes, commas and bytes beyond ASCII.
fn line() -> impl Strategy<Value = (String, String)> {
    let known: Vec<_> = Name::known()
        .filter(|name| !matches!(name, Name::ContentLength | Name::ContentType | Name::ContentEncoding))
        .map(|name| name.as_str().to_owned())
        .collect();
    let name = prop_oneof![3 => proptest::sample::select(known), 1 => token().prop_map(|token| format!("X-{token}"))];
    (name, "[ -~\u{e9}\u{4e2d}]{0,40}")
}

fn message(lines: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut text = b"INVITE sip:b@h SIP/2.0\r\n".to_vec();
    for (name, value) in lines {
        text.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
    }
    text.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    text.extend_from_slice(body);
    text
}

fn parse(bytes: &[u8]) -> Message {
    Message::parse(bytes.to_vec(), &Limits { values: 4096, ..Limits::default() }).expect("readable")
}

/// Every value of every line but those of `skipped`, in order.
fn values(message: &Message, skipped: Name) -> Vec<(Name, Vec<u8>)> {
    message
        .slots()
        .filter(|(_, name, _, _)| *name != skipped)
        .map(|(_, name, _, value)| (name, value.to_vec()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_edits_leave_no_trace(lines in proptest::collection::vec(line(), 0..20), body in any::<Vec<u8>>()) {
        let bytes = message(&lines, &body);
        let parsed = parse(&bytes);
        let mut out = Vec::new();
        Edits::new().render(&parsed, &mut out);
        prop_assert_eq!(out, bytes);
        prop_assert_eq!(parsed.body(), &body[..]);
    }

    #[test]
    fn removing_one_value_leaves_all_others(
        lines in proptest::collection::vec(line(), 1..20),
        pick in any::<proptest::sample::Index>(),
    ) {
        let parsed = parse(&message(&lines, b"x"));
        let slots: Vec<_> = parsed.slots().map(|(id, name, _, value)| (id, name, value.to_vec())).collect();
        let at = pick.index(slots.len());
        let mut edits = Edits::new();
        edits.remove_slot(slots[at].0);
        let mut out = Vec::new();
        edits.render(&parsed, &mut out);
        let left: Vec<_> = values(&parse(&out), Name::ContentLength);
        let mut expected: Vec<_> = slots.into_iter().map(|(_, name, value)| (name, value)).collect();
        expected.remove(at);
        expected.retain(|(name, _)| *name != Name::ContentLength);
        // An empty value cannot be told from none in what is left of its line.
        let visible = |values: Vec<(Name, Vec<u8>)>| -> Vec<_> {
            values.into_iter().filter(|(_, value)| !value.is_empty()).collect()
        };
        prop_assert_eq!(visible(left), visible(expected));
    }

    #[test]
    fn a_pushed_line_is_the_first_of_its_name_and_moves_nothing(
        lines in proptest::collection::vec(line(), 0..20),
        name in proptest::sample::select(vec![Name::Via, Name::Route, Name::Path, Name::PServedUser]),
    ) {
        let parsed = parse(&message(&lines, b""));
        let mut edits = Edits::new();
        edits.push_top(name, "pushed");
        let mut out = Vec::new();
        edits.render(&parsed, &mut out);
        let read = parse(&out);
        prop_assert_eq!(read.first(name), Some(&b"pushed"[..]));
        prop_assert_eq!(read.count(name), parsed.count(name) + 1);
        prop_assert_eq!(values(&read, name), values(&parsed, name));
    }

    #[test]
    fn what_is_built_is_read_back(value in "[!-~]([ -~]{0,30}[!-~])?", other in token(), body in any::<Vec<u8>>()) {
        let name = format!("X-{other}");
        let built = RequestBuilder::new(Method::Message, "sip:b@h")
            .header(Name::Subject, &value)
            .other(name.as_bytes(), &value)
            .body("text/plain", &body)
            .build();
        let read = parse(&built);
        prop_assert_eq!(read.first(Name::Subject), Some(value.as_bytes()));
        prop_assert_eq!(read.other(name.as_bytes()), Some(value.as_bytes()));
        prop_assert_eq!(read.body(), &body[..]);
    }
}
