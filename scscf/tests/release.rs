//! The HSS takes one phone of two away that share a public identity (TS 24.229 §5.4.5.1): what goes on there ends, and
//! nothing else does.

mod bench;

use bench::*;
use diameter_client::cx::{CxRequest, DeregistrationReason, ReasonCode, Rtr};

/// Bob's phone and his tablet: two private identities, one public one, registered with these preferences.
fn with_phone_and_tablet(q: [&str; 2]) -> Bench {
    let mut bench = Bench::new();
    for ((device, address), q) in [("bob", "10.0.0.1"), ("tablet", "10.0.0.2")].into_iter().zip(q) {
        let contact = format!("<sip:bob@{address}>;expires=600;q={q}");
        let register = register(device).contact(&contact);
        let as_bob =
            |text: String| text.replace(&format!("<sip:{device}@{HOME}>"), &format!("<sip:bob@{HOME}>"));
        let did = bench.receive(PCSCF, &as_bob(register.text(None)));
        let (mar, _) = cx(&did);
        let did = bench.cx(mar, maa());
        let nonce = nonce(sip(&did));
        let did = bench.receive(PCSCF, &as_bob(register.next().text(Some((&nonce, &RES)))));
        let (id, _) = sar(&did);
        let did = bench.cx(id, saa("bob"));
        let (id, records) = store(&did);
        let did = bench.stored(id, &records);
        assert!(sip(&did).starts_with("SIP/2.0 200 "), "{did:?}");
    }
    bench
}

fn invite() -> String {
    format!(
        "INVITE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/UDP {ICSCF};branch=z9hG4bKcall\n\
         Record-Route: <sip:p-orig@127.0.0.10:5060;lr>\nRoute: <sip:scscf.{HOME}:6060;lr>\nMax-Forwards: 68\n\
         From: <sip:alice@{HOME}>;tag=a\nTo: <sip:bob@{HOME}>\nCall-ID: call\nCSeq: 1 INVITE\n\
         Contact: <sip:alice@10.0.0.1:5060>\nP-Asserted-Identity: <sip:alice@{HOME}>\nContent-Length: 0\n\n"
    )
}

fn response(request: &str, status: &str, more: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\n");
    for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
        headers(request, name).iter().for_each(|value| text.push_str(&format!("{name}: {value}\n")));
    }
    format!("{text}To: {};tag=b\n{more}Content-Length: 0\n\n", header(request, "To"))
}

/// The HSS ends the registration of one private identity; what left, beside the record.
fn terminate(bench: &mut Bench, impi: &str, code: ReasonCode) -> Vec<(String, String)> {
    let rtr = Rtr {
        user_name: format!("{impi}@{HOME}"),
        reason: DeregistrationReason { code, info: None },
        ..Default::default()
    };
    let did = bench.hss_asks(CxRequest::Rtr(rtr));
    sips(&did).into_iter().map(|(to, text)| (to.to_owned(), text.to_owned())).collect()
}

#[test]
fn a_phone_that_the_network_takes_away_stops_ringing_and_the_other_rings_on() {
    let mut bench = with_phone_and_tablet(["1.0", "1.0"]);
    let did = bench.receive(ICSCF, &invite());
    let invites: Vec<String> = sips(&did).iter().map(|(_, text)| text.to_string()).collect();
    assert_eq!(invites.len(), 2, "{did:?}");
    for invite in &invites {
        bench.receive(PCSCF, &response(invite, "180 Ringing", ""));
    }
    let sent = terminate(&mut bench, "bob", ReasonCode::PermanentTermination);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].1.starts_with("CANCEL sip:bob@10.0.0.1 "), "{sent:?}");

    bench.receive(PCSCF, &response(&invites[0], "487 Request Terminated", ""));
    let did = bench.receive(PCSCF, &response(&invites[1], "200 OK", "Contact: <sip:bob@10.0.0.2>\n"));
    assert!(sip(&did).starts_with("SIP/2.0 200 "), "{did:?}");
}

#[test]
fn a_phone_that_the_network_takes_away_is_not_tried_later_and_the_caller_hears_that_nobody_is_there() {
    let mut bench = with_phone_and_tablet(["0.5", "1.0"]);
    let did = bench.receive(ICSCF, &invite());
    let to_tablet = sip(&did).to_owned();
    assert!(to_tablet.starts_with("INVITE sip:bob@10.0.0.2 "), "{to_tablet}");
    bench.receive(PCSCF, &response(&to_tablet, "180 Ringing", ""));
    terminate(&mut bench, "bob", ReasonCode::PermanentTermination);
    let did = bench.receive(PCSCF, &response(&to_tablet, "486 Busy Here", ""));
    let sent: Vec<&str> = sips(&did).into_iter().map(|(_, text)| text).collect();
    assert!(sent.iter().any(|text| text.starts_with("SIP/2.0 486 ")), "{did:?}");
    assert!(!sent.iter().any(|text| text.starts_with("INVITE ")), "{did:?}");

    // The one that rings is taken away: the next is tried, and without a next one the caller hears no 487.
    for (q, next) in [(["0.5", "1.0"], "INVITE sip:bob@10.0.0.1 "), (["1.0", "1.0"], "SIP/2.0 480 ")] {
        let mut bench = with_phone_and_tablet(q);
        let did = bench.receive(ICSCF, &invite());
        let all: Vec<String> = sips(&did).iter().map(|(_, text)| text.to_string()).collect();
        for invite in &all {
            bench.receive(PCSCF, &response(invite, "180 Ringing", ""));
        }
        if let [to_bob, _] = &all[..] {
            bench.receive(PCSCF, &response(to_bob, "480 Temporarily Unavailable", ""));
        }
        terminate(&mut bench, "tablet", ReasonCode::PermanentTermination);
        let did = bench.receive(PCSCF, &response(all.last().unwrap(), "487 Request Terminated", ""));
        assert!(sips(&did).iter().any(|(_, text)| text.starts_with(next)), "{next}: {did:?}");
    }
}

#[test]
fn the_call_at_the_phone_that_goes_is_released_and_one_at_the_other_runs_on() {
    for (device, byes) in [("bob", 2), ("tablet", 0)] {
        let mut bench = with_phone_and_tablet(["1.0", "0.5"]);
        let did = bench.receive(ICSCF, &invite());
        let ok = response(sip(&did), "200 OK", "Contact: <sip:bob@10.0.0.1>\n");
        bench.receive(PCSCF, &ok);
        let sent = terminate(&mut bench, device, ReasonCode::PermanentTermination);
        assert_eq!(
            sent.iter().filter(|(_, text)| text.starts_with("BYE ")).count(),
            byes,
            "{device}: {sent:?}"
        );
        assert_eq!(bench.node.role().sessions().len(), usize::from(byes == 0), "{device}");
    }
}

/// TS 29.228 §6.1.3.1: another S-CSCF is in charge, and the data goes silently.
#[test]
fn a_phone_that_moved_to_another_scscf_rings_on() {
    let mut bench = with_phone_and_tablet(["1.0", "1.0"]);
    let did = bench.receive(ICSCF, &invite());
    let all: Vec<String> = sips(&did).iter().map(|(_, text)| text.to_string()).collect();
    for invite in &all {
        bench.receive(PCSCF, &response(invite, "180 Ringing", ""));
    }
    assert!(terminate(&mut bench, "bob", ReasonCode::NewServerAssigned).is_empty());
}
