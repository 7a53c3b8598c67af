//! Requests within a dialog (TS 24.229 §5.2.6.3.5): the Record-Route token says whose it is.

use crate::bench::*;
use cscf::{Transport, Trust};

/// A dialog that alice began: our entry as the core and as she was given it, and the icid that the core was told.
struct Call {
    core: String,
    ue: String,
    charging: String,
}

fn call(bench: &mut Bench) -> Call {
    bench.register();
    let text = format!(
        "INVITE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKd1;rport\nMax-Forwards: 70\n\
         Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\nFrom: <sip:alice@{HOME}>;tag=a1\nTo: <sip:bob@{HOME}>\nCall-ID: call\n\
         CSeq: 1 INVITE\nContact: <sip:alice@10.0.0.1:5060>\nContent-Length: 0\n\n"
    );
    let sent = bench.ue_sends(ALICE, &text);
    let (_, invite) = sent.last().expect("the INVITE");
    let ok = response(invite, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>");
    let back = bench.core_sends(&recorded_by_scscf(&ok));
    assert!(back[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{back:?}");
    let core = value(invite, "Record-Route");
    let recorded = value(&back[0].1, "Record-Route");
    let ue = recorded.rsplit(", ").next().expect("our entry").to_owned();
    Call { core, ue, charging: value(invite, "P-Charging-Vector") }
}

/// The response as it comes through an S-CSCF that stays in the dialog.
fn recorded_by_scscf(response: &str) -> String {
    response.replacen("Record-Route: ", &format!("Record-Route: <{SERVICE_ROUTE}>, "), 1)
}

/// A request of alice in the dialog.
fn from_alice(method: &str, route: &str, call_id: &str) -> String {
    format!(
        "{method} sip:bob@10.0.0.2:5060 SIP/2.0\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKd2{method};rport\n\
         Max-Forwards: 70\nRoute: {route}, <{SERVICE_ROUTE}>\nFrom: <sip:alice@{HOME}>;tag=a1\n\
         To: <sip:bob@{HOME}>;tag=there\nCall-ID: {call_id}\nCSeq: 2 {method}\nContent-Length: 0\n\n"
    )
}

/// A request of bob in the dialog, as the S-CSCF forwards it.
fn to_alice(method: &str, route: &str, call_id: &str) -> String {
    format!(
        "{method} sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKd3\nMax-Forwards: 60\n\
         Route: {route}\nFrom: <sip:bob@{HOME}>;tag=there\nTo: <sip:alice@{HOME}>;tag=a1\nCall-ID: {call_id}\n\
         CSeq: 9 {method}\nP-Charging-Vector: icid-value=x\nContent-Length: 0\n\n"
    )
}

#[test]
fn the_ues_ack_and_bye_follow_the_dialog_with_its_icid() {
    let mut bench = Bench::new();
    let Call { ue: route, charging, .. } = call(&mut bench);
    for method in ["ACK", "BYE"] {
        let sent = bench.ue_sends(ALICE, &from_alice(method, &route, "call"));
        let [(to, text)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(to, &format!("udp:{SCSCF}"));
        assert_eq!(values(text, "Route"), [format!("<{SERVICE_ROUTE}>")]);
        assert_eq!(value(text, "P-Charging-Vector"), charging);
        assert_eq!(values(text, "P-Asserted-Identity"), [""; 0]);
    }
}

#[test]
fn a_request_of_the_other_end_reaches_the_ue() {
    let mut bench = Bench::new();
    let Call { core: route, .. } = call(&mut bench);
    let sent = bench.core_sends(&to_alice("BYE", &route, "call"));
    let [(to, text)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(to, "flow");
    assert_eq!(values(text, "Route"), [""; 0]);
    assert_eq!(values(text, "P-Charging-Vector"), [""; 0]);
    let back = bench.ue_sends(ALICE, &response(text, "200 OK", ""));
    assert!(back[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{back:?}");
    assert!(bench.settles());
}

#[test]
fn somebody_else_is_not_in_the_dialog() {
    let mut bench = Bench::new();
    let Call { ue: route, .. } = call(&mut bench);
    let sent = bench.ue_sends("10.0.0.7:5060", &from_alice("BYE", &route, "call"));
    assert!(sent[0].1.starts_with("SIP/2.0 403 "), "{sent:?}");
    assert_eq!(bench.ue_sends("10.0.0.7:5060", &from_alice("ACK", &route, "call")), [], "an ACK is dropped");
}

#[test]
fn a_token_opens_its_own_dialog_only() {
    let mut bench = Bench::new();
    let Call { core, ue, .. } = call(&mut bench);
    let sent = bench.ue_sends(ALICE, &from_alice("BYE", &ue, "another"));
    assert!(sent[0].1.starts_with("SIP/2.0 481 "), "{sent:?}");
    let sent = bench.core_sends(&to_alice("BYE", &core, "another"));
    assert!(sent[0].1.starts_with("SIP/2.0 481 "), "{sent:?}");
    let plain = format!("<sip:{PCSCF};lr>");
    let sent = bench.ue_sends(ALICE, &from_alice("UPDATE", &plain, "call"));
    assert!(sent[0].1.starts_with("SIP/2.0 481 "), "without a token: {sent:?}");
}

/// A call outlives the registration, and a restart of this node: what the dialog needs is in the token.
#[test]
fn a_dialog_outlives_the_binding_and_a_restart() {
    let mut bench = Bench::new();
    let Call { core, ue, .. } = call(&mut bench);
    bench.store.clear();
    let mut bench = bench.restarted();
    assert!(!bench.is_registered());
    let sent = bench.core_sends(&to_alice("UPDATE", &core, "call"));
    assert_eq!(sent[0].0, format!("udp:{ALICE}"));
    let sent = bench.ue_sends(ALICE, &from_alice("BYE", &ue, "call"));
    assert_eq!(sent[0].0, format!("udp:{SCSCF}"));
}

/// RFC 5658 §5: a UE that came by TCP sees an entry of its own, and its later requests carry both.
#[test]
fn a_dialog_over_another_transport_passes_both_entries() {
    let mut bench = Bench::new();
    bench.register();
    let text = format!(
        "INVITE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/TCP {ALICE};branch=z9hG4bKd9;rport\nMax-Forwards: 70\n\
         Route: <{SERVICE_ROUTE}>\nFrom: <sip:alice@{HOME}>;tag=a1\nTo: <sip:bob@{HOME}>\nCall-ID: call\n\
         CSeq: 1 INVITE\nContact: <sip:alice@10.0.0.1:5060>\nContent-Length: 0\n\n"
    );
    let sent = bench.receive(Trust::Outside, Transport::Tcp, "10.0.0.1:40001", &text);
    let invite = &sent.last().expect("the INVITE").1;
    let ok = response(invite, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>");
    let back = bench.core_sends(&recorded_by_scscf(&ok));
    let recorded = values(&back[0].1, "Record-Route").join(", ");
    let recorded: Vec<&str> = recorded.split(", ").collect();
    let [_, core, access] = &recorded[..] else { panic!("{recorded:?}") };
    let bye = from_alice("BYE", &format!("{access}, <sip:{PCSCF};lr>, {core}"), "call");
    let sent = bench.receive(Trust::Outside, Transport::Tcp, "10.0.0.1:40001", &bye);
    assert_eq!(sent[0].0, format!("udp:{SCSCF}"));
    assert_eq!(values(&sent[0].1, "Route"), [format!("<{SERVICE_ROUTE}>")]);
    let sent = bench.core_sends(&to_alice("BYE", &format!("{core}, {access}"), "call"));
    assert_eq!((sent[0].0.as_str(), values(&sent[0].1, "Route").len()), ("flow", 0), "{sent:?}");
}
