//! The P-CSCF watches the registrations that go through it (TS 24.229 §5.2.3).

use super::bench::*;
use std::time::Duration;

const SCSCF_CONTACT: &str = "<sip:n1@127.0.0.12:6060>";

/// Alice registered at a P-CSCF that watches; gives the SUBSCRIBE.
fn watching() -> (Bench, String) {
    let mut bench = Bench::with("reg_event = true");
    let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
    let sent = bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600")));
    assert!(sent[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{sent:?}");
    let (to, subscribe) = sent[1].clone();
    assert!(to.ends_with("127.0.0.11:4060"), "{to}: {subscribe}");
    (bench, subscribe)
}

fn accepted(subscribe: &str) -> String {
    response(subscribe, "200 OK", &format!("Contact: {SCSCF_CONTACT}\nExpires: 600000"))
}

/// A NOTIFY of the S-CSCF in the dialog of a SUBSCRIBE, which says this of alice's contact.
fn notify(subscribe: &str, cseq: u32, state: &str, event: &str) -> String {
    let of = |aor: &str| {
        let registration = if event == "refreshed" { "active" } else { "terminated" };
        format!(
            "<registration aor=\"{aor}\" id=\"1\" state=\"{registration}\"><contact id=\"{aor}\" state=\"{registration}\" \
             event=\"{event}\"><uri>sip:alice@10.0.0.1:5060</uri></contact></registration>"
        )
    };
    let body = format!(
        "<reginfo version=\"{}\" state=\"full\">{}{}</reginfo>",
        cseq - 1,
        of(&format!("sip:alice@{HOME}")),
        of("tel:+49301")
    );
    let contact = value(subscribe, "Contact");
    format!(
        "NOTIFY {} SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKn{cseq}\nMax-Forwards: 70\nFrom: {};tag=there\nTo: {}\n\
         Call-ID: {}\nCSeq: {cseq} NOTIFY\nContact: {SCSCF_CONTACT}\nEvent: reg\nSubscription-State: {state}\n\
         Content-Type: application/reginfo+xml\nContent-Length: {}\n\n{body}",
        contact.trim_matches(['<', '>']),
        value(subscribe, "To"),
        value(subscribe, "From"),
        value(subscribe, "Call-ID"),
        body.len()
    )
}

const ACTIVE: &str = "active;expires=600000";
const OVER: &str = "terminated;reason=noresource";

#[test]
fn a_registration_is_watched_as_the_entry_of_its_path() {
    let (_, subscribe) = watching();
    assert!(subscribe.starts_with(&format!("SUBSCRIBE sip:alice@{HOME} SIP/2.0\r\n")), "{subscribe}");
    assert_eq!(value(&subscribe, "To"), format!("<sip:alice@{HOME}>"));
    let own = value(&subscribe, "P-Asserted-Identity");
    assert!(own.ends_with("@127.0.0.10:5060>"), "{own}");
    assert!(value(&subscribe, "From").starts_with(&format!("{own};tag=")), "{subscribe}");
    assert_eq!((value(&subscribe, "Contact"), value(&subscribe, "Event")), (own, "reg".to_owned()));
    assert_eq!(value(&subscribe, "Expires"), "601200", "longer than a UE may register for");
    assert!(value(&subscribe, "P-Charging-Vector").starts_with("icid-value="), "{subscribe}");
}

/// TS 24.229 §5.2.3, §5.2.5.2: what the network ends, ends here.
#[test]
fn a_registration_that_the_network_ends_is_gone_at_once_and_by_the_store_too() {
    for event in ["rejected", "deactivated"] {
        let (mut bench, subscribe) = watching();
        bench.core_sends(&accepted(&subscribe));
        let sent = bench.core_sends(&notify(&subscribe, 1, ACTIVE, "refreshed"));
        assert!(sent[0].1.starts_with("SIP/2.0 200 OK\r\n") && bench.is_registered(), "{sent:?}");
        let sent = bench.core_sends(&notify(&subscribe, 2, OVER, event));
        assert!(sent[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{sent:?}");
        assert!(!bench.is_registered() && bench.store.is_empty(), "{event}");
        assert!(bench.node.role().watches().is_empty());
        assert!(bench.settles());
    }
}

#[test]
fn a_notify_that_overtakes_the_200_or_is_not_ours_is_taken_or_refused() {
    let (mut bench, subscribe) = watching();
    let sent = bench.core_sends(&notify(&subscribe, 1, ACTIVE, "refreshed"));
    assert!(sent[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{sent:?}");
    bench.core_sends(&accepted(&subscribe));
    let call_id = value(&subscribe, "Call-ID");
    for (cseq, from, to) in [(5, call_id.as_str(), "other"), (6, "tag=there", "tag=here")] {
        let sent = bench.core_sends(&notify(&subscribe, cseq, OVER, "rejected").replace(from, to));
        assert!(sent[0].1.starts_with("SIP/2.0 481 "), "{to}: {sent:?}");
    }
    // A UE cannot play the S-CSCF.
    let sent = bench.ue_sends(ALICE, &notify(&subscribe, 7, OVER, "rejected"));
    assert!(!sent[0].1.starts_with("SIP/2.0 200 "), "{sent:?}");
    assert!(bench.is_registered());
}

#[test]
fn a_subscription_that_the_scscf_has_lost_is_made_anew_and_one_that_it_refuses_is_not() {
    let (mut bench, subscribe) = watching();
    bench.core_sends(&accepted(&subscribe));
    let sent = bench.core_sends(&notify(&subscribe, 1, "terminated;reason=deactivated", "refreshed"));
    let [(_, ok), (_, anew)] = &sent[..] else { panic!("{sent:?}") };
    assert!(ok.starts_with("SIP/2.0 200 ") && anew.starts_with("SUBSCRIBE "), "{sent:?}");
    assert_ne!(value(anew, "Call-ID"), value(&subscribe, "Call-ID"));
    let sent = bench.core_sends(&response(anew, "403 Forbidden", ""));
    assert!(sent.is_empty() && bench.node.role().watches().is_empty() && bench.is_registered(), "{sent:?}");
}

/// The 200 to a de-registration is on its way when the last NOTIFY comes.
#[test]
fn a_ue_that_leaves_is_told_so_and_its_subscription_goes_with_the_last_word() {
    let (mut bench, subscribe) = watching();
    bench.core_sends(&accepted(&subscribe));
    let leave = register("r2", &format!("{CONTACT};expires=0")).replace("CSeq: 1", "CSeq: 2");
    let sent = bench.ue_sends(ALICE, &leave);
    let sent = bench.core_sends(&response(&sent[0].1, "200 OK", ""));
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(!bench.is_registered() && bench.node.role().watches().len() == 1);
    let sent = bench.core_sends(&notify(&subscribe, 1, OVER, "unregistered"));
    assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:?}");
    assert!(bench.node.role().watches().is_empty());
    // And without one after a while.
    let (mut bench, subscribe) = watching();
    bench.core_sends(&accepted(&subscribe));
    bench.advance(Duration::from_secs(700));
    assert!(!bench.is_registered() && bench.node.role().watches().is_empty());
}
