//! A UE leaves the way that was recorded for its dialog (TS 24.229 §5.2.6.3.5): it would bypass its S-CSCF.

use crate::bench::*;
use cscf::{Transport, Trust};

const MO: &str = "<sip:mo@127.0.0.12:6060;lr;did=7.1>";
const MT: &str = "<sip:mt@127.0.0.12:6060;lr>";

fn routes_of(response: &str) -> Vec<String> {
    values(response, "Record-Route").join(", ").split(", ").map(str::to_owned).collect()
}

/// A call of alice: the Routes that she has to use, our own first.
fn originating(bench: &mut Bench) -> Vec<String> {
    bench.register();
    let text = format!(
        "INVITE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bKr1;rport\nMax-Forwards: 70\n\
         Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\nFrom: <sip:alice@{HOME}>;tag=a1\nTo: <sip:bob@{HOME}>\nCall-ID: call\n\
         CSeq: 1 INVITE\nContact: <sip:alice@10.0.0.1:5060>\nContent-Length: 0\n\n"
    );
    let sent = bench.ue_sends(ALICE, &text);
    let ok = response(&sent.last().expect("the INVITE").1, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>");
    let back = bench.core_sends(&ok.replacen("Record-Route: ", &format!("Record-Route: {MT}, {MO}, "), 1));
    let mut routes = routes_of(&back[0].1);
    routes.reverse();
    routes
}

/// A call to alice: the Routes that she has to use, and the entry of ours that the core has to use.
fn terminating(bench: &mut Bench) -> (Vec<String>, String) {
    let path = bench.register();
    let text = format!(
        "INVITE sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKr2\nMax-Forwards: 60\n\
         Route: {path}\nRecord-Route: {MT}, {MO}\nFrom: <sip:bob@{HOME}>;tag=there\nTo: <sip:alice@{HOME}>\n\
         Call-ID: call\nCSeq: 1 INVITE\nP-Charging-Vector: icid-value=abc;orig-ioi=h\nContent-Length: 0\n\n"
    );
    let sent = bench.core_sends(&text);
    let invite = &sent[1].1;
    let ok =
        response(invite, "200 OK", "Contact: <sip:alice@10.0.0.1:5060>").replace("tag=there\n", "tag=a1\n");
    // The tag of the one who calls is that of the From.
    let ok =
        ok.replace(&format!("From: <sip:bob@{HOME}>;tag=a1"), &format!("From: <sip:bob@{HOME}>;tag=there"));
    let back = bench.ue_sends(ALICE, &ok);
    assert!(back[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{back:?}");
    (routes_of(invite), routes_of(&back[0].1)[0].clone())
}

/// A request of alice in the dialog.
fn from_alice(method: &str, branch: &str, routes: &[String]) -> String {
    format!(
        "{method} sip:bob@10.0.0.2:5060 SIP/2.0\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bK{branch}{method};rport\n\
         Max-Forwards: 70\nRoute: {}\nFrom: <sip:alice@{HOME}>;tag=a1\nTo: <sip:bob@{HOME}>;tag=there\n\
         Call-ID: call\nCSeq: 2 {method}\nContent-Length: 0\n\n",
        routes.join(", ")
    )
}

fn to_alice(method: &str, route: &str) -> String {
    format!(
        "{method} sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKr3{method}\nMax-Forwards: 60\n\
         Route: {route}\nFrom: <sip:bob@{HOME}>;tag=there\nTo: <sip:alice@{HOME}>;tag=a1\nCall-ID: call\n\
         CSeq: 9 {method}\nP-Charging-Vector: icid-value=x\nContent-Length: 0\n\n"
    )
}

/// What the core got of a request, if anything.
fn forwarded(sent: &[Sent]) -> Option<&str> {
    let (to, text) = sent.iter().find(|(_, text)| !text.starts_with("SIP/2.0 "))?;
    assert_eq!(to, &format!("udp:{SCSCF}"));
    Some(text)
}

fn refused(bench: &mut Bench) -> u64 {
    bench.node.counters().get("refused", "Route differs from the recorded one")
}

#[test]
fn both_ends_of_a_call_go_by_the_recorded_route_also_after_a_restart() {
    for is_caller in [true, false] {
        let mut bench = Bench::new();
        let routes = match is_caller {
            true => originating(&mut bench),
            false => terminating(&mut bench).0,
        };
        assert_eq!(routes.len(), 3, "{routes:?}");
        for round in ["before", "after"] {
            for method in ["INVITE", "ACK", "BYE"] {
                let sent = bench.ue_sends(ALICE, &from_alice(method, round, &routes));
                let text =
                    forwarded(&sent).unwrap_or_else(|| panic!("{method} {round} the restart: {sent:?}"));
                assert_eq!(values(text, "Route").join(", "), routes[1..].join(", "), "{method}");
            }
            bench = bench.restarted();
        }
    }
}

#[test]
fn the_core_reaches_a_ue_that_was_called() {
    let mut bench = Bench::new();
    let (_, route) = terminating(&mut bench);
    let sent = bench.core_sends(&to_alice("BYE", &route));
    assert_eq!((sent[0].0.as_str(), values(&sent[0].1, "Route").len()), ("flow", 0), "{sent:?}");
    let sent = bench.restarted().core_sends(&to_alice("INFO", &route));
    assert_eq!(sent[0].0, format!("udp:{ALICE}"), "{sent:?}");
}

#[test]
fn a_ue_that_leaves_the_recorded_route_is_refused_and_counted() {
    for is_caller in [true, false] {
        let mut bench = Bench::new();
        let routes = match is_caller {
            true => originating(&mut bench),
            false => terminating(&mut bench).0,
        };
        let [own, first, second] = &routes[..] else { panic!("{routes:?}") };
        let evil = "<sip:gateway.example;lr>".to_owned();
        let hostile: [&[String]; 8] = [
            std::slice::from_ref(own),
            &[own.clone(), evil.clone()],
            &[own.clone(), second.clone()],
            &[own.clone(), second.clone(), first.clone()],
            &[own.clone(), evil.clone(), first.clone(), second.clone()],
            &[own.clone(), first.clone(), second.clone(), evil],
            &[own.clone(), first.replace(";lr", ";lr;maddr=192.0.2.1"), second.clone()],
            &[own.clone(), format!("<{SERVICE_ROUTE}>")],
        ];
        for (at, hostile) in hostile.iter().enumerate() {
            let before = refused(&mut bench);
            let sent = bench.ue_sends(ALICE, &from_alice("INFO", &at.to_string(), hostile));
            assert!(sent[0].1.starts_with("SIP/2.0 400 "), "{hostile:?}: {sent:?}");
            assert!(sent[0].1.contains("Route differs from the recorded one"), "{sent:?}");
            assert_eq!(refused(&mut bench), before + 1);
            let sent = bench.ue_sends(ALICE, &from_alice("ACK", &at.to_string(), hostile));
            assert_eq!(sent, [], "an ACK is dropped: {hostile:?}");
        }
        assert!(bench.settles());
    }
}

/// What the UE was given allows its own route only; what the core was given allows a UE none.
#[test]
fn the_entry_that_the_core_was_given_opens_nothing_to_a_ue() {
    let mut bench = Bench::new();
    bench.register();
    let text = format!(
        "INVITE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/TCP {ALICE};branch=z9hG4bKr9;rport\nMax-Forwards: 70\n\
         Route: <{SERVICE_ROUTE}>\nFrom: <sip:alice@{HOME}>;tag=a1\nTo: <sip:bob@{HOME}>\nCall-ID: call\n\
         CSeq: 1 INVITE\nContact: <sip:alice@10.0.0.1:5060>\nContent-Length: 0\n\n"
    );
    let from = "10.0.0.1:40001";
    let sent = bench.receive(Trust::Outside, Transport::Tcp, from, &text);
    let ok = response(&sent.last().expect("the INVITE").1, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>");
    let back = bench.core_sends(&ok.replacen("Record-Route: ", &format!("Record-Route: {MO}, "), 1));
    let mut routes = routes_of(&back[0].1);
    routes.reverse();
    let [ue, core, mo] = &routes[..] else { panic!("{routes:?}") };
    let honest = from_alice("BYE", "1", &routes).replace("/UDP", "/TCP");
    let sent = bench.receive(Trust::Outside, Transport::Tcp, from, &honest);
    assert_eq!(forwarded(&sent).map(|text| value(text, "Route")).as_ref(), Some(mo));
    let alone = from_alice("BYE", "2", &[core.clone(), mo.clone()]).replace("/UDP", "/TCP");
    let sent = bench.receive(Trust::Outside, Transport::Tcp, from, &alone);
    assert!(sent[0].1.starts_with("SIP/2.0 400 "), "{sent:?}");
    let sent = bench.receive(
        Trust::Outside,
        Transport::Tcp,
        from,
        &from_alice("BYE", "3", &[ue.clone(), core.clone()]),
    );
    assert!(sent[0].1.starts_with("SIP/2.0 400 "), "{sent:?}");
}

/// A caller and a called UE at one P-CSCF: the entry of the other one's dialog is a hop, and not ours to take away.
#[test]
fn the_entry_of_another_ue_is_no_entry_of_this_one() {
    let mut bench = Bench::new();
    let routes = originating(&mut bench);
    let mut other = Bench::new();
    let (theirs, _) = terminating(&mut other);
    let sent = bench.ue_sends(ALICE, &from_alice("INFO", "x", &[routes[0].clone(), theirs[0].clone()]));
    assert!(sent[0].1.starts_with("SIP/2.0 400 "), "{sent:?}");
}
