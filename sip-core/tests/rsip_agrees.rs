//! Differential test against `rsip`: where it can read a message, both say the same.
//!
//! It reads `sip:` URIs, long header names and unfolded lines of UTF-8 only, so the messages here keep to that.

use rsip::headers::ToTypedHeader as _;
use rsip::headers::UntypedHeader as _;
use rsip::message::HeadersExt as _;
use sip_core::{Limits, Message, Name, Uri};
use std::path::Path;

const REGISTER: &str = "REGISTER sip:home1.net SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKnashds7\r\nMax-Forwards: 70\r\n\
    From: \"Alice A.\" <sip:alice@home1.net>;tag=456248\r\nTo: <sip:alice@home1.net>\r\n\
    Call-ID: 843817637684230@998sdasdh09\r\nCSeq: 1826 REGISTER\r\n\
    Contact: <sip:alice@192.0.2.4:5070;transport=tcp>;expires=7200\r\nExpires: 7200\r\nContent-Length: 0\r\n\r\n";

const OK: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP server10.biloxi.com:5062;branch=z9hG4bKnashds8\r\n\
    Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds\r\nTo: Bob <sip:bob@biloxi.com>;tag=a6c85cf\r\n\
    From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\nCall-ID: a84b4c76e66710@pc33.atlanta.com\r\n\
    CSeq: 314159 INVITE\r\nContact: <sip:bob@192.0.2.4>\r\nContent-Length: 4\r\n\r\nbody";

/// Compares what both make of `bytes`; false when `rsip` cannot read it.
fn agree(name: &str, bytes: &[u8]) -> bool {
    let Ok(theirs) = rsip::SipMessage::try_from(bytes.to_vec()) else { return false };
    let ours = Message::parse(bytes.to_vec(), &Limits::default())
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    match &theirs {
        rsip::SipMessage::Request(request) => {
            assert!(ours.is_request(), "{name}");
            assert_eq!(ours.method().to_string(), request.method.to_string(), "{name}");
            compare_uri(name, &ours.request_uri().expect("ours reads what rsip reads"), &request.uri);
        }
        rsip::SipMessage::Response(response) => {
            assert_eq!(
                ours.status().expect("ours reads what rsip reads").code(),
                response.status_code.code(),
                "{name}"
            );
        }
    }
    if let Ok(via) = theirs.via_header().and_then(|via| via.clone().typed()) {
        let top = ours.top_via().expect("ours reads what rsip reads");
        assert_eq!(top.transport.as_bytes(), via.transport.to_string().as_bytes(), "{name}: transport");
        assert_eq!(top.port, via.uri.host_with_port.port.as_ref().map(|port| *port.value()), "{name}: port");
        assert_eq!(top.host, via.uri.host_with_port.host.to_string().as_bytes(), "{name}: sent-by");
        let branch = via.branch().map(|branch| branch.value().to_owned());
        assert_eq!(top.branch(), branch.as_deref().map(str::as_bytes), "{name}: branch");
    }
    if let Ok(from) = theirs.from_header().and_then(|from| from.clone().typed()) {
        let tag = from.tag().map(|tag| tag.value().to_owned());
        assert_eq!(
            ours.from().expect("ours reads what rsip reads").tag(),
            tag.as_deref().map(str::as_bytes),
            "{name}: From tag"
        );
        compare_uri(
            name,
            &ours
                .from()
                .expect("ours reads what rsip reads")
                .parsed_uri()
                .expect("ours reads what rsip reads"),
            &from.uri,
        );
    }
    if let Ok(cseq) = theirs.cseq_header().and_then(|cseq| cseq.clone().typed()) {
        assert_eq!(ours.cseq().expect("ours reads what rsip reads").number, cseq.seq, "{name}: CSeq");
        assert_eq!(
            ours.cseq().expect("ours reads what rsip reads").method.to_string(),
            cseq.method.to_string(),
            "{name}: CSeq method"
        );
    }
    if let Ok(call_id) = theirs.call_id_header() {
        assert_eq!(ours.call_id(), call_id.value().as_bytes(), "{name}: Call-ID");
    }
    true
}

fn compare_uri(name: &str, ours: &Uri<'_>, theirs: &rsip::Uri) {
    let Some(sip) = ours.sip() else { return };
    let host = theirs.host_with_port.host.to_string();
    // rsip takes some user parts (`j.user@`) for a part of the host, which no host can be.
    if host.contains('@') {
        return;
    }
    let mut lower = Vec::new();
    sip.host.write_lower(&mut lower);
    assert_eq!(lower, host.to_lowercase().as_bytes(), "{name}: host");
    assert_eq!(sip.port, theirs.host_with_port.port.as_ref().map(|port| *port.value()), "{name}: port");
    assert_eq!(sip.user, theirs.user().map(str::as_bytes), "{name}: user");
}

#[test]
fn rsip_reads_the_same_in_well_formed_messages() {
    assert!(agree("REGISTER", REGISTER.as_bytes()));
    assert!(agree("200", OK.as_bytes()));
}

/// Where `rsip` is too strict it reads nothing; where it is too lenient, our own checks refuse the message.
#[test]
fn rsip_reads_the_same_in_the_torture_messages_that_it_can_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let is_valid = Message::parse(bytes.clone(), &Limits::default())
            .is_ok_and(|message| message.check().is_ok() && message.first(Name::Via).is_some());
        if is_valid && agree(&name, &bytes) {
            compared += 1;
        }
    }
    assert!(compared >= 10, "only {compared} messages compared");
}
