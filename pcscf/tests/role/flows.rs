//! Flows of RFC 5626: a UE that says by which connection it is to be reached, and what is said when that is gone.

use crate::bench::*;
use cscf::{Event, Flow, Input, ShardId, Transport, Trust};

const UE: &str = "10.0.0.1:40001";

fn contact(reg_id: u32) -> String {
    format!("Contact: <sip:alice@10.0.0.1:5060>;reg-id={reg_id};+sip.instance=\"<urn:uuid:1>\"")
}

/// Registers a flow by TCP; gives its Path and the 200.
fn registers(bench: &mut Bench, from: &str, reg_id: u32, listed: &[u32]) -> (String, String) {
    let asked = register(&format!("f{reg_id}"), &format!("{}\nSupported: path, outbound", contact(reg_id)));
    let sent =
        bench.receive(Trust::Outside, Transport::Tcp, from, &asked.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    let path = value(&sent[0].1, "Path");
    let listed: Vec<String> =
        listed.iter().map(|number| format!("{};expires=600", contact(*number))).collect();
    let granted = granted(&sent[0].1, &format!("Require: outbound\n{}", listed.join("\n")));
    let ok = bench.core_sends(&granted);
    (path, ok[0].1.clone())
}

fn message(path: &str, number: u32) -> String {
    format!(
        "MESSAGE sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKm{number}\nMax-Forwards: 60\n\
         Route: {path}\nFrom: <sip:bob@{HOME}>;tag=b1\nTo: <sip:alice@{HOME}>\nCall-ID: m{number}\nCSeq: 1 MESSAGE\n\
         Content-Length: 0\n\n"
    )
}

/// RFC 5626 §5.1, §5.4: the Path is marked, and the UE is told how often to show that the flow is alive; neither of one
/// that asks for nothing.
#[test]
fn a_flow_is_marked_in_the_path_and_kept_alive() {
    let mut bench = Bench::new();
    let (path, ok) = registers(&mut bench, UE, 1, &[1]);
    assert!(path.ends_with(";lr;ob>"), "{path}");
    assert_eq!(values(&ok, "Flow-Timer"), ["120"]);
    let mut bench = Bench::new();
    let path = bench.register();
    assert!(!path.contains(";ob"), "{path}");
}

/// RFC 5626 §5.3: the connection is gone, and whoever knows other flows hears so; the other flow, which has the same contact,
/// goes on.
#[test]
fn a_lost_flow_is_a_430_and_leaves_the_other_alone() {
    let mut bench = Bench::new();
    let (first, _) = registers(&mut bench, UE, 1, &[1]);
    let (second, _) = registers(&mut bench, "10.0.0.1:40002", 2, &[1, 2]);
    assert_ne!(first, second);
    assert_eq!(bench.node.role().bindings().len(), 2, "the second took nothing from the first");
    let sent = bench.core_sends(&message(&first, 1));
    assert!(sent.iter().any(|(to, text)| to == "flow" && text.starts_with("MESSAGE ")), "{sent:?}");
    let gone = Flow { shard: ShardId(0), slot: 1, generation: 0 };
    bench.node.handle(bench.now, Input::Event(Event::FlowLost(gone)));
    let sent = bench.core_sends(&message(&first, 2));
    assert!(sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 430 ")), "{sent:?}");
}
