//! Requests to a UE outside a dialog (TS 24.229 §5.2.6.4).

use crate::bench::*;
use cscf::{Transport, Trust};

fn request(method: &str, path: &str, extra: &str) -> String {
    format!(
        "{method} sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKt1\nMax-Forwards: 60\n\
         Route: {path}\nRecord-Route: <sip:mt@{SCSCF};lr>\nFrom: <sip:bob@{HOME}>;tag=b1\nTo: <sip:alice@{HOME}>\n\
         Call-ID: mt\nCSeq: 1 {method}\nP-Asserted-Identity: <sip:bob@{HOME}>\nP-Called-Party-ID: <tel:+49301>\n\
         P-Charging-Vector: icid-value=abc;orig-ioi=h\nP-Charging-Function-Addresses: ccf=c\n\
         P-Served-User: <sip:alice@{HOME}>\n{extra}Content-Length: 0\n\n"
    )
}

fn forwarded(sent: &[Sent]) -> &str {
    let found = sent.iter().find(|(_, text)| !text.starts_with("SIP/2.0 "));
    let (to, text) = found.unwrap_or_else(|| panic!("nothing was forwarded: {sent:?}"));
    assert_eq!(to, "flow");
    text
}

#[test]
fn a_call_reaches_the_ue_by_the_flow_that_it_registered_on() {
    let mut bench = Bench::new();
    let path = bench.register();
    let sent = bench.core_sends(&request("INVITE", &path, ""));
    let text = forwarded(&sent);
    assert!(text.starts_with("INVITE sip:alice@10.0.0.1:5060 SIP/2.0\r\n"), "{text}");
    for absent in ["Route", "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Served-User"] {
        assert_eq!(values(text, absent), [""; 0], "{absent}");
    }
    assert_eq!(values(text, "P-Asserted-Identity"), [format!("<sip:bob@{HOME}>")]);
    assert_eq!(values(text, "P-Called-Party-ID"), ["<tel:+49301>"]);
    let recorded = values(text, "Record-Route");
    assert!(recorded.len() == 2 && recorded[0].ends_with(&format!("@{PCSCF};lr>")), "{recorded:?}");
}

/// RFC 3325 §7: `Privacy: id` hides the caller from the UE.
#[test]
fn a_caller_who_asks_for_privacy_is_not_named() {
    let mut bench = Bench::new();
    let path = bench.register();
    let sent = bench.core_sends(&request("INVITE", &path, "Privacy: id\n"));
    assert_eq!(values(forwarded(&sent), "P-Asserted-Identity"), [""; 0]);
}

/// TS 24.229 §5.2.6.4: the one that answers is asserted, and the charging vector comes back with our network in it.
#[test]
fn the_answer_of_the_ue_is_asserted_and_charged() {
    for (extra, identity) in [
        ("", "<tel:+49301>".to_owned()),
        ("P-Asserted-Identity: <sip:eve@x>\nP-Charging-Vector: icid-value=forged", "<tel:+49301>".to_owned()),
        (&format!("P-Preferred-Identity: <sip:alice@{HOME}>"), format!("<sip:alice@{HOME}>")),
    ] {
        let mut bench = Bench::new();
        let path = bench.register();
        let sent = bench.core_sends(&request("INVITE", &path, ""));
        let ringing = response(forwarded(&sent), "180 Ringing", extra);
        let back = bench.ue_sends(ALICE, &ringing);
        let [(to, text)] = &back[..] else { panic!("{back:?}") };
        assert_eq!(to, "flow");
        assert_eq!(values(text, "P-Asserted-Identity"), [identity], "{extra}");
        assert_eq!(values(text, "P-Preferred-Identity"), [""; 0]);
        assert_eq!(values(text, "P-Charging-Vector"), [format!("icid-value=abc;orig-ioi=h;term-ioi={HOME}")]);
    }
}

#[test]
fn a_refusal_of_the_ue_asserts_nobody() {
    let mut bench = Bench::new();
    let path = bench.register();
    let sent = bench.core_sends(&request("MESSAGE", &path, ""));
    let back = bench
        .ue_sends(ALICE, &response(forwarded(&sent), "486 Busy Here", "P-Asserted-Identity: <sip:eve@x>"));
    assert!(back[0].1.starts_with("SIP/2.0 486 "), "{back:?}");
    assert_eq!(values(&back[0].1, "P-Asserted-Identity"), [""; 0]);
    assert!(bench.settles());
}

#[test]
fn a_path_without_registration_is_not_found() {
    let mut bench = Bench::new();
    let path = bench.register();
    let gone = bench.ue_sends(ALICE, &register("r2", &format!("{CONTACT};expires=0")));
    bench.core_sends(&granted(&gone[0].1, "X-None: 1"));
    let sent = bench.core_sends(&request("MESSAGE", &path, ""));
    assert!(sent[0].1.starts_with("SIP/2.0 404 "), "{sent:?}");
    let other = request("MESSAGE", &format!("<sip:{PCSCF};lr>"), "").replace("z9hG4bKt1", "z9hG4bKt2");
    let sent = bench.core_sends(&other);
    assert!(sent[0].1.starts_with("SIP/2.0 404 "), "no Path at all: {sent:?}");
}

#[test]
fn a_ue_that_cannot_be_reached_is_temporarily_unavailable() {
    let mut bench = Bench::new();
    let path = bench.register();
    bench.network_is_down = true;
    let sent = bench.core_sends(&request("MESSAGE", &path, ""));
    assert!(sent.last().is_some_and(|(_, text)| text.starts_with("SIP/2.0 480 ")), "{sent:?}");
}

/// A Path token opens the way to a UE for the core only.
#[test]
fn a_stranger_with_a_path_does_not_reach_the_ue() {
    let mut bench = Bench::new();
    let path = bench.register();
    let sent = bench.receive(Trust::Outside, Transport::Udp, "10.0.0.9:5060", &request("MESSAGE", &path, ""));
    assert!(sent[0].1.starts_with("SIP/2.0 403 "), "{sent:?}");
}

#[test]
fn a_restarted_node_still_finds_the_ue() {
    let mut bench = Bench::new();
    let path = bench.register();
    let mut bench = bench.restarted();
    let sent = bench.core_sends(&request("MESSAGE", &path, ""));
    assert_eq!(sent[0].0, format!("udp:{ALICE}"), "by its address: the flow of the former life is gone");
}
