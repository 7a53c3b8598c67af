//! Requests of a UE outside a dialog (TS 24.229 §5.2.6.3).

use crate::bench::*;
use cscf::{Transport, Trust};
use std::time::Duration;

fn request(method: &str, uri: &str, extra: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKo{};rport\nMax-Forwards: 70\n\
         From: <sip:mallory@{HOME}>;tag=a1\nTo: <{uri}>\nCall-ID: call\nCSeq: 1 {method}\n{extra}Contact: \
         <sip:alice@10.0.0.1:5060>\nContent-Length: 0\n\n",
        extra.len()
    )
}

fn invite(extra: &str) -> String {
    request("INVITE", &format!("sip:bob@{HOME}"), extra)
}

fn routed() -> String {
    format!("Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\n")
}

fn forwarded(sent: &[Sent]) -> &str {
    let found = sent.iter().find(|(_, text)| !text.starts_with("SIP/2.0 "));
    let (to, text) = found.unwrap_or_else(|| panic!("nothing was forwarded: {sent:?}"));
    assert_eq!(to, &format!("udp:{SCSCF}"));
    text
}

fn status(sent: &[Sent]) -> &str {
    &sent.last().unwrap_or_else(|| panic!("no response")).1[8..11]
}

/// TS 24.229 §5.2.6.3: Route, Record-Route, the asserted identity and the charging vector.
#[test]
fn a_call_of_a_registered_ue_follows_its_service_route() {
    let mut bench = Bench::new();
    bench.register();
    let sent = bench.ue_sends(
        ALICE,
        &invite(&format!(
            "{}P-Preferred-Identity: <tel:+49301>\nP-Asserted-Identity: <sip:bob@{HOME}>\nProxy-Require: sec-agree\n\
             Security-Verify: ipsec-3gpp;q=0.1\nP-Charging-Vector: icid-value=forged\nP-Served-User: <sip:bob@{HOME}>\n",
            routed()
        )),
    );
    assert!(sent[0].1.starts_with("SIP/2.0 100 "), "{sent:?}");
    let text = forwarded(&sent);
    assert_eq!(values(text, "Route"), [format!("<{SERVICE_ROUTE}>")]);
    assert_eq!(values(text, "P-Asserted-Identity"), ["<tel:+49301>"]);
    for absent in ["P-Preferred-Identity", "Security-Verify", "Proxy-Require", "P-Served-User"] {
        assert_eq!(values(text, absent), [""; 0], "{absent}");
    }
    assert_eq!(value(text, "From"), format!("<sip:mallory@{HOME}>;tag=a1"), "From is never rewritten");
    let recorded = values(text, "Record-Route");
    assert_eq!(recorded.len(), 1, "one address serves both sides: {recorded:?}");
    assert!(recorded[0].ends_with(&format!("@{PCSCF};lr>")), "{recorded:?}");
    let charging = value(text, "P-Charging-Vector");
    assert!(!charging.contains("forged") && charging.ends_with(&format!(";orig-ioi={HOME}")), "{charging}");
}

#[test]
fn without_a_preference_the_default_identity_is_asserted() {
    let mut bench = Bench::new();
    bench.register();
    let sent =
        bench.ue_sends(ALICE, &invite(&format!("{}P-Preferred-Identity: <sip:bob@{HOME}>\n", routed())));
    assert_eq!(values(forwarded(&sent), "P-Asserted-Identity"), [format!("<sip:alice@{HOME}>")]);
}

#[test]
fn a_sender_that_is_not_registered_is_refused() {
    let mut bench = Bench::new();
    assert_eq!(status(&bench.ue_sends(ALICE, &invite(&routed()))), "403");
    bench.register();
    assert_eq!(status(&bench.ue_sends("10.0.0.2:5060", &invite(&routed()))), "403", "another host");
    bench.advance(Duration::from_secs(700));
    assert_eq!(status(&bench.ue_sends(ALICE, &request("MESSAGE", "sip:bob@x", &routed()))), "403", "expired");
}

/// TS 24.229 §5.2.6.3.3: the operator chooses whether a wrong Route is refused or replaced.
#[test]
fn a_route_that_differs_from_the_service_route_is_refused_or_replaced() {
    for route in [
        "".to_owned(),
        format!("Route: <sip:{PCSCF};lr>\n"),
        format!("Route: <sip:{PCSCF};lr>, <sip:other@{SCSCF};lr>\n"),
        format!("Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>, <sip:evil.example;lr>\n"),
    ] {
        let mut bench = Bench::new();
        bench.register();
        assert_eq!(status(&bench.ue_sends(ALICE, &invite(&route))), "400", "{route}");
        let mut bench = Bench::with("route_enforcement = \"overwrite\"");
        bench.register();
        let sent = bench.ue_sends(ALICE, &invite(&route));
        assert_eq!(values(forwarded(&sent), "Route"), [format!("<{SERVICE_ROUTE}>")], "{route}");
    }
}

/// RFC 3261 §18.1.1: a large request comes by TCP from another port; its Via names the registered contact.
#[test]
fn a_request_by_another_connection_of_the_same_ue_is_served() {
    let mut bench = Bench::new();
    bench.register();
    let text = invite(&routed()).replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    let sent = bench.receive(Trust::Outside, Transport::Tcp, "10.0.0.1:40001", &text);
    let recorded = values(forwarded(&sent), "Record-Route");
    assert_eq!(recorded.len(), 2, "each side gets its own: {recorded:?}");
    assert!(!recorded[0].contains("transport=tcp") && recorded[1].contains(";transport=tcp"), "{recorded:?}");
    let stranger = text.replace(&format!("TCP {ALICE}"), "TCP 10.0.0.1:5099").replace("z9hG4bK", "z9hG4bKx");
    let sent = bench.receive(Trust::Outside, Transport::Tcp, "10.0.0.1:40002", &stranger);
    assert_eq!(status(&sent), "403");
}

#[test]
fn responses_reach_the_ue_without_what_stays_inside() {
    let mut bench = Bench::new();
    bench.register();
    let sent = bench.ue_sends(ALICE, &invite(&routed()));
    let extra = format!(
        "P-Charging-Vector: icid-value=x\nP-Charging-Function-Addresses: ccf=c\nP-Asserted-Identity: <sip:bob@{HOME}>"
    );
    let back = bench.core_sends(&response(forwarded(&sent), "180 Ringing", &extra));
    assert_eq!(back[0].0, "flow");
    assert_eq!(values(&back[0].1, "P-Charging-Vector"), [""; 0]);
    assert_eq!(values(&back[0].1, "P-Charging-Function-Addresses"), [""; 0]);
    assert_eq!(values(&back[0].1, "P-Asserted-Identity"), [format!("<sip:bob@{HOME}>")]);
    let hidden = bench.core_sends(&response(
        forwarded(&sent),
        "183 Session Progress",
        &format!("{extra}\nPrivacy: id"),
    ));
    assert_eq!(values(&hidden[0].1, "P-Asserted-Identity"), [""; 0], "RFC 3325 §7");
}

#[test]
fn a_message_is_not_recorded() {
    let mut bench = Bench::new();
    bench.register();
    let sent = bench.ue_sends(ALICE, &request("MESSAGE", &format!("sip:bob@{HOME}"), &routed()));
    assert_eq!(values(forwarded(&sent), "Record-Route"), [""; 0]);
}

#[test]
fn options_to_the_node_itself_is_answered_to_anybody() {
    let mut bench = Bench::new();
    let sent = bench.ue_sends(ALICE, &request("OPTIONS", &format!("sip:{PCSCF}"), ""));
    assert_eq!(status(&sent), "200");
}

/// TS 24.229 §5.2.6.3: a core that does not answer.
#[test]
fn a_silent_core_is_a_504() {
    let mut bench = Bench::new();
    bench.register();
    bench.ue_sends(ALICE, &invite(&routed()));
    let sent = bench.advance(Duration::from_secs(33));
    let refusals: Vec<&str> =
        sent.iter().filter(|(to, _)| to == "flow").map(|(_, text)| &text[8..11]).collect();
    assert!(!refusals.is_empty() && refusals.iter().all(|status| *status == "504"), "{refusals:?}");
    assert!(bench.settles());
}

/// TS 24.229 §5.2.6.3, §7.6: the UE is told to register anew by the URI that its Path has; one that registers is not.
#[test]
fn a_silent_core_makes_the_ue_register_again() {
    let mut bench = Bench::new();
    let path = bench.register();
    bench.ue_sends(ALICE, &invite(&routed()));
    let sent = bench.advance(Duration::from_secs(33));
    let (_, refusal) = sent.iter().rfind(|(_, text)| text.starts_with("SIP/2.0 504 ")).expect("a 504");
    assert_eq!(value(refusal, "P-Asserted-Identity"), path);
    assert_eq!(value(refusal, "Content-Type"), "application/3gpp-ims+xml");
    let (_, body) = refusal.split_once("\r\n\r\n").expect("a body");
    assert_eq!(value(refusal, "Content-Length"), body.len().to_string());
    assert!(
        body.contains("<type>restoration</type>") && body.contains("<action>initial-registration</action>")
    );

    let mut bench = Bench::new();
    bench.ue_sends(ALICE, &register("r1", CONTACT));
    let sent = bench.advance(Duration::from_secs(33));
    let (_, refusal) = sent.last().expect("a 504 to the REGISTER");
    assert!(refusal.starts_with("SIP/2.0 504 ") && refusal.ends_with("\r\n\r\n"), "no body: {refusal}");
}

/// RFC 3261 §16.10: who cancels a call hears 487, also when the core never said a word.
#[test]
fn a_cancelled_call_ends_with_487() {
    let mut bench = Bench::new();
    bench.register();
    bench.ue_sends(ALICE, &invite(&routed()));
    let cancel = invite(&routed()).replace("INVITE", "CANCEL");
    let sent = bench.ue_sends(ALICE, &cancel);
    assert!(sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 200 ")), "{sent:?}");
    let sent = bench.advance(Duration::from_secs(100));
    let finals: Vec<&str> =
        sent.iter().filter(|(to, _)| to == "flow").map(|(_, text)| &text[8..11]).collect();
    assert!(!finals.is_empty() && finals.iter().all(|status| *status == "487"), "{finals:?}");
    assert!(bench.settles());
}
