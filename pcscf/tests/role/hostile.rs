//! What a UE that misbehaves may not bring about.

use crate::bench::*;
use cscf::{Transport, Trust};

/// Where the Request-URI chooses the registrar, a UE could have its own one say that it is somebody else.
#[test]
fn a_registrar_outside_the_trust_domain_registers_nobody() {
    let mut bench = Bench::new();
    let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
    let granted = granted(&sent[0].1, &format!("{CONTACT};expires=600"));
    let back = bench.receive(Trust::Outside, Transport::Udp, "192.0.2.66:5060", &granted);
    assert!(back[0].1.starts_with("SIP/2.0 403 "), "{back:?}");
    assert!(values(&back[0].1, "Service-Route").is_empty() && !bench.is_registered());
    assert!(bench.settles());
}

fn invite(path: &str) -> String {
    format!(
        "INVITE sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKt1\nMax-Forwards: 60\n\
         Route: {path}\nRecord-Route: <sip:mt@{SCSCF};lr>, <sip:mo@{SCSCF};lr>\nFrom: <sip:bob@{HOME}>;tag=b1\n\
         To: <sip:alice@{HOME}>\nCall-ID: mt\nCSeq: 1 INVITE\nP-Charging-Vector: icid-value=abc;orig-ioi=h\n\
         Content-Length: 0\n\n"
    )
}

#[test]
fn a_ue_cannot_take_the_network_out_of_the_route_of_a_call() {
    let mut bench = Bench::new();
    let path = bench.register();
    let sent = bench.core_sends(&invite(&path));
    let forwarded = sent[1].1.clone();
    let recorded = values(&forwarded, "Record-Route");
    let ok = response(&forwarded, "200 OK", "Contact: <sip:alice@10.0.0.1:5060>");
    let without: String =
        ok.lines().filter(|line| !line.starts_with("Record-Route")).map(|l| format!("{l}\n")).collect();
    let added = |route: &str| without.replacen("From:", &format!("Record-Route: {route}\nFrom:"), 1);
    let pbx = ok.replacen("Record-Route:", "Record-Route: <sip:pbx.example;lr>,", 1);
    for (answer, expected) in [
        (ok.clone(), recorded.clone()),
        (without.clone(), recorded.clone()),
        (added("<sip:elsewhere.example;lr>"), recorded.clone()),
        (added(&recorded[0]), recorded.clone()),
        (pbx, [vec![format!("<sip:pbx.example;lr>, {}", recorded[0])], recorded[1..].to_vec()].concat()),
    ] {
        let back = bench.ue_sends(ALICE, &answer);
        let left = values(&back[0].1, "Record-Route").join(", ").replace(",<", ", <");
        assert_eq!(left, expected.join(", "), "{answer}");
    }
}
