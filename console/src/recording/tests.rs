//! What a recording finds out while entries come.

use super::*;
use ambient::{Instant, Now, Wall};
use recorder::{Message, Transport};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A message that nobody has sent yet.
pub fn message(protocol: Protocol, bytes: &[u8]) -> Message {
    Message {
        sent: true,
        protocol,
        transport: Transport::Udp,
        interface: ReferencePoint::Unknown,
        local: address("127.0.0.1:1"),
        remote: address("127.0.0.10:5060"),
        security: None,
        bytes: bytes.to_vec(),
    }
}

fn node(function: Function, name: &str) -> Node {
    Node { function, name: name.to_owned() }
}

const ALICE: &str = "127.0.0.1:40001";
const BOB: &str = "127.0.0.1:40002";
const PCSCF: &str = "127.0.0.10:5060";

fn known() -> Known {
    Known {
        addresses: vec![
            (address(ALICE), node(Function::Ue, "alice")),
            (address(BOB), node(Function::Ue, "bob")),
            (address(PCSCF), node(Function::Pcscf, "")),
            (address("127.0.0.13:3868"), node(Function::Hss, "")),
        ],
        hosts: vec![("icscf.home.net".to_owned(), node(Function::Icscf, ""))],
    }
}

fn entry(at_ms: u64, node: Node, sent: bool, (local, remote): (&str, &str), text: &str) -> Entry {
    let at = Now { instant: Instant::from_micros(at_ms * 1000), wall: Wall::from_millis(1_000_000 + at_ms) };
    let message = Message {
        sent,
        local: address(local),
        remote: address(remote),
        ..message(Protocol::Sip, text.as_bytes())
    };
    Entry { sequence: 0, at, node, what: What::Message(message) }
}

fn request(method: &str, call: &str) -> String {
    format!(
        "{method} sip:bob@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:alice@h>;tag=1\r\nTo: <sip:bob@h>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\r\n"
    )
}

fn response(status: &str, method: &str, call: &str) -> String {
    format!(
        "SIP/2.0 {status}\r\nFrom: <sip:alice@h>;tag=1\r\nTo: <sip:bob@h>;tag=2\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\r\n"
    )
}

/// Alice calls bob through a P-CSCF that records too.
fn call(recording: &Recording, call: &str, answer: &str) {
    let (alice, pcscf, bob) =
        (node(Function::Ue, "alice"), node(Function::Pcscf, ""), node(Function::Ue, "bob"));
    let invite = request("INVITE", call);
    let onward = invite.replace("\r\nFrom", "\r\nVia: SIP/2.0/UDP p;branch=z9hG4bK2\r\nFrom");
    let told = response(answer, "INVITE", call);
    recording.push([
        entry(1, alice.clone(), true, (ALICE, PCSCF), &invite),
        entry(2, pcscf.clone(), false, (PCSCF, ALICE), &invite),
        entry(2, pcscf.clone(), true, (PCSCF, BOB), &onward),
        entry(3, bob.clone(), false, (BOB, PCSCF), &onward),
        entry(4, bob, true, (BOB, PCSCF), &told),
        entry(5, pcscf.clone(), false, (PCSCF, BOB), &told),
        entry(6, pcscf, true, (PCSCF, ALICE), &told),
        entry(7, alice, false, (ALICE, PCSCF), &told),
    ]);
}

#[test]
fn a_call_is_one_story_with_each_message_once() {
    let recording = Recording::new(known());
    call(&recording, "c1", "200 OK");
    let (story, entries) = recording.story(1).expect("a story");
    let arrows: Vec<_> =
        story.arrows.iter().map(|arrow| format!("{} {} {}", arrow.from, arrow.to, arrow.summary)).collect();
    assert_eq!(
        arrows,
        [
            "ue:alice pcscf INVITE",
            "pcscf ue:bob INVITE",
            "ue:bob pcscf 200 OK (INVITE)",
            "pcscf ue:alice 200 OK (INVITE)"
        ]
    );
    let columns: Vec<_> = story.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["UE alice", "P-CSCF", "UE bob"]);
    assert_eq!((story.summary.state.as_str(), story.summary.cause, entries.len()), ("talking", None, 8));
    assert!(story.arrows.iter().all(|arrow| arrow.interface == "Gm"));
}

#[test]
fn a_refusal_fails_its_story_and_is_counted_by_its_cause() {
    let recording = Recording::new(known());
    call(&recording, "c1", "480 Temporarily Unavailable");
    call(&recording, "c2", "480 Temporarily Unavailable");
    call(&recording, "c3", "200 OK");
    let failures = recording.failures();
    assert_eq!(failures.causes.len(), 1);
    assert_eq!(
        (failures.causes[0].cause.as_str(), failures.causes[0].count),
        ("480 Temporarily Unavailable", 2)
    );
    assert_eq!(failures.outcomes, [crate::api::Outcome { kind: "call".to_owned(), count: 3, failed: 2 }]);
    assert_eq!(recording.stories(None, Some("failed"), "", 0, 10).count, 2);
    assert_eq!(recording.stories(Some("registration"), None, "", 0, 10).count, 0);
    assert_eq!(recording.stories(None, None, "ALICE", 0, 1).stories.len(), 1);
}

#[test]
fn a_message_is_shown_against_the_hop_before() {
    let recording = Recording::new(known());
    call(&recording, "c1", "200 OK");
    let first = recording.message(1).expect("the first INVITE");
    assert!(first.previous.is_none() && first.difference.is_empty());
    let onward = recording.message(3).expect("the second INVITE");
    assert_eq!(onward.previous, Some(1));
    let added: Vec<_> = onward.difference.iter().filter(|line| line.change != "same").collect();
    assert_eq!(added.len(), 1, "{added:?}");
    assert_eq!(
        (added[0].change.as_str(), added[0].text.as_str()),
        ("added", "Via: SIP/2.0/UDP p;branch=z9hG4bK2")
    );
    assert!(recording.message(99).is_none());
    assert!(recording.message(0).is_none());
}

#[test]
fn a_party_that_records_nothing_is_drawn_by_what_is_received_from_it() {
    let recording =
        Recording::new(Known { addresses: vec![(address(PCSCF), node(Function::Pcscf, ""))], hosts: vec![] });
    let pcscf = || node(Function::Pcscf, "");
    recording.push([
        entry(1, pcscf(), false, (PCSCF, ALICE), &request("OPTIONS", "o")),
        entry(2, pcscf(), true, (PCSCF, ALICE), &response("200 OK", "OPTIONS", "o")),
    ]);
    let (story, _) = recording.story(1).expect("a story");
    assert_eq!(story.arrows.len(), 2);
    assert_eq!(story.columns[0].id, format!("other:{ALICE}"));
}

#[test]
fn pages_are_cut_from_the_end_or_from_where_one_says() {
    let recording = Recording::new(known());
    call(&recording, "c1", "200 OK");
    let page = recording.messages("", None, None, 3);
    let sequences =
        |page: &crate::api::Messages| page.rows.iter().map(|row| row.sequence).collect::<Vec<_>>();
    assert_eq!((sequences(&page), page.offset, page.count), (vec![6, 7, 8], 5, 8));
    assert_eq!(sequences(&recording.messages("", None, Some(1), 2)), [2, 3]);
    assert_eq!(sequences(&recording.messages("200 ok", None, Some(0), 9)), [5, 6, 7, 8]);
    assert!(recording.messages("", None, Some(99), 9).rows.is_empty());
    assert!(recording.messages("", Some(2), None, 9).rows.is_empty());
}

#[test]
fn a_reader_who_is_behind_skips_and_is_told_how_much() {
    let recording = Recording::new(known());
    call(&recording, "c1", "200 OK");
    let live = recording.live(0, 4, 0);
    assert_eq!((live.arrows.len(), live.skipped, live.last), (2, 4, 8));
    assert_eq!(recording.live(0, 100, 0).arrows.len(), 4);
    assert!(recording.live(8, 100, 0).arrows.is_empty());
}

#[test]
fn what_is_kept_is_bounded_and_what_goes_takes_its_story_along() {
    let recording = Recording::new(known());
    let body = "x".repeat(30_000);
    let big = |call: &str| request("OPTIONS", call).replace("\r\n\r\n", &format!("\r\nX: {body}\r\n\r\n"));
    for number in 0..4_000 {
        let text = big(&format!("c{number}"));
        recording.push([entry(number, node(Function::Ue, "alice"), true, (ALICE, PCSCF), &text)]);
    }
    let recorded = recording.recorded();
    assert!(recorded.bytes <= BYTES_MAX as u64, "{recorded:?}");
    assert_eq!((recorded.last, recorded.dropped), (4_000, recorded.first - 1));
    assert!(recorded.dropped > 0);
    assert!(recording.story(1).is_none() && recording.story(4_000).is_some());
    let kept = recording.lock();
    assert_eq!(kept.stories.len(), kept.items.len());
    assert_eq!(kept.by_thread.len(), kept.stories.len());
    assert!(kept.by_identity.len() <= 2);
}

/// A Diameter message of an AVP list, text values alone.
fn diameter(at_ms: u64, sent: bool, command: u32, avps: &[(u32, u32, &[u8])]) -> Entry {
    let mut body = Vec::new();
    for (code, vendor, data) in avps {
        let head = if *vendor == 0 { 8 } else { 12 };
        body.extend(code.to_be_bytes());
        body.push(if *vendor == 0 { 0x40 } else { 0xc0 });
        body.extend(&((head + data.len()) as u32).to_be_bytes()[1..]);
        if *vendor != 0 {
            body.extend(vendor.to_be_bytes());
        }
        body.extend(*data);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut bytes = vec![1];
    bytes.extend(&((20 + body.len()) as u32).to_be_bytes()[1..]);
    bytes.push(if sent { 0x40 } else { 0xc0 });
    bytes.extend(&command.to_be_bytes()[1..]);
    bytes.extend([0; 12]);
    bytes.extend(body);
    let at = Now { instant: Instant::from_micros(at_ms * 1000), wall: Wall::from_millis(1_000_000 + at_ms) };
    let message = Message {
        sent,
        local: address("127.0.0.13:3868"),
        remote: address("127.0.0.1:50000"),
        ..message(Protocol::Diameter, &bytes)
    };
    Entry { sequence: 0, at, node: node(Function::Hss, ""), what: What::Message(message) }
}

/// The HSS alone tells what passes at Cx: its peer is known by the name that it gave, and records SIP only.
#[test]
fn what_the_hss_is_asked_belongs_to_what_the_user_does() {
    let recording = Recording::new(known());
    let (host, session) = ((264, 0, &b"icscf.home.net"[..]), (263, 0, &b"s1"[..]));
    let icscf = node(Function::Icscf, "");
    recording.push([
        diameter(0, false, 257, &[host]),
        diameter(0, true, 257, &[(268, 0, &2001_u32.to_be_bytes()), (264, 0, b"hss.home.net")]),
        entry(1, node(Function::Ue, "alice"), true, (ALICE, PCSCF), &request("INVITE", "c1")),
        entry(1, icscf, true, ("127.0.0.11:4060", PCSCF), &response("100 Trying", "INVITE", "c1")),
        diameter(2, false, 302, &[session, host, (601, 10_415, b"sip:bob@h")]),
        diameter(3, true, 302, &[session, (297, 0, &[0, 0, 1, 42, 0x40, 0, 0, 12, 0, 0, 19, 137])]),
    ]);
    let (story, _) = recording.story(1).expect("a story");
    let arrows: Vec<_> =
        story.arrows.iter().map(|arrow| format!("{} {} {}", arrow.from, arrow.to, arrow.summary)).collect();
    assert_eq!(arrows[2..], ["icscf hss LIR", "hss icscf LIA 5001"]);
    assert_eq!(story.arrows[3].cause.as_deref(), Some("LIA 5001 ERROR_USER_UNKNOWN (3GPP)"));
    let (_, _, peers) = recording.topology(Vec::new(), 1_000_010);
    assert_eq!(peers.len(), 1);
    assert_eq!((peers[0].host.as_str(), peers[0].state.as_str()), ("icscf.home.net", "open"));
    assert_eq!((peers[0].requests, peers[0].errors), (1, 1));
    assert_eq!(recording.topology(Vec::new(), 1_200_000).2[0].state, "silent");
}

/// P- and S-CSCF on one thread: each tells what it sent in one turn, the P-CSCF first.
#[test]
fn messages_of_one_instant_stand_in_the_order_in_which_each_caused_the_next() {
    let recording = Recording::new(known());
    let (alice, pcscf, scscf) =
        (node(Function::Ue, "alice"), node(Function::Pcscf, ""), node(Function::Scscf, ""));
    let invite = request("INVITE", "c1");
    let home = "127.0.0.12:6060";
    recording.know(address(home), scscf.clone());
    recording.push([
        entry(1, alice, true, (ALICE, PCSCF), &invite),
        entry(2, pcscf.clone(), true, (PCSCF, ALICE), &response("100 Trying", "INVITE", "c1")),
        entry(2, pcscf.clone(), true, (PCSCF, BOB), &invite),
        entry(2, pcscf, true, (PCSCF, home), &invite),
        entry(2, scscf, true, (home, PCSCF), &invite),
    ]);
    let (story, _) = recording.story(1).expect("a story");
    let parties: Vec<_> = story.arrows.iter().map(|arrow| format!("{}>{}", arrow.from, arrow.to)).collect();
    assert_eq!(parties[0], "ue:alice>pcscf");
    let at = |wanted: &str| parties.iter().position(|party| party == wanted).expect(wanted);
    assert!(at("pcscf>scscf") < at("scscf>pcscf"), "{parties:?}");
    assert_eq!(at("scscf>pcscf"), at("pcscf>scscf") + 1, "{parties:?}");
}
