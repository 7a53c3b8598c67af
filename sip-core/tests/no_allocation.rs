//! In steady state, parsing, editing and rendering allocate nothing: buffers, index and edits go round.

use allocation_counter::measure;
use sip_core::{Edits, Index, Limits, Message, Name};

const BYE: &[u8] = b"BYE sip:bob@192.0.2.4 SIP/2.0\r\n\
    Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK2, SIP/2.0/UDP c;branch=z9hG4bK3\r\n\
    Max-Forwards: 70\r\nRoute: <sip:p1;lr>, <sip:p2;lr>\r\nFrom: \"Alice\" <sip:alice@home1.net>;tag=1\r\n\
    To: <sip:bob@home2.net>;tag=2\r\nCall-ID: c\r\nCSeq: 2 BYE\r\nP-Charging-Vector: icid-value=1;orig-ioi=a\r\n\
    X-Other: kept\r\nContent-Length: 0\r\n\r\n";

/// One hop of an in-dialog request, as a proxy does it; gives all buffers back.
fn forward(received: Vec<u8>, index: Index, edits: &mut Edits, out: &mut Vec<u8>) -> (Vec<u8>, Index) {
    let message = Message::parse_into(received, &Limits::default(), index).expect("a well-formed message");
    message.check().expect("a well-formed message");
    edits.clear();
    let max_forwards = message.max_forwards().expect("a number").unwrap_or(70);
    edits.set(&message, Name::MaxForwards, format_args!("{}", max_forwards - 1));
    let (route, _) = message.routes().next().expect("a Route");
    edits.remove_slot(route);
    edits.push_top(Name::Via, format_args!("SIP/2.0/UDP us;branch=z9hG4bK{:08x}", 7));
    edits.remove(&message, Name::PAccessNetworkInfo);
    out.clear();
    edits.render(&message, out);
    message.into_parts()
}

#[test]
fn a_hop_allocates_nothing_once_its_buffers_have_grown() {
    let (mut edits, mut out) = (Edits::new(), Vec::new());
    let (mut received, mut index) = forward(BYE.to_vec(), Index::new(), &mut edits, &mut out);
    let spent = measure(|| {
        for _ in 0..100 {
            received.clear();
            received.extend_from_slice(BYE);
            let parts = (std::mem::take(&mut received), std::mem::take(&mut index));
            (received, index) = forward(parts.0, parts.1, &mut edits, &mut out);
        }
    });
    assert_eq!(spent.count_total, 0);
    assert!(
        out.starts_with(b"BYE sip:bob@192.0.2.4 SIP/2.0\r\nVia: SIP/2.0/UDP us;branch=z9hG4bK00000007\r\n")
    );
    assert!(String::from_utf8_lossy(&out).contains("\r\nMax-Forwards: 69\r\nRoute: <sip:p2;lr>\r\nFrom"));
}

#[test]
fn a_fresh_parse_allocates_no_more_than_its_index() {
    let received = BYE.to_vec();
    let mut parsed = None;
    let spent = measure(|| parsed = Message::parse(received, &Limits::default()).ok());
    assert!(parsed.is_some());
    assert_eq!(spent.count_total, 1);
}
