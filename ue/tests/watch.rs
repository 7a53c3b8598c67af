//! The UE watches its own registration and does what the network asks (TS 24.229 §5.1.1.3, §5.1.1.5.2, §5.1.1.7).

mod phones;

use phones::{ALICE, HOME, Phones};
use std::time::Duration;
use ue::{Command, Deregistration, Notice, Watching};

/// Alice registered and watching; gives her SUBSCRIBE, which is answered with 200.
fn watching() -> (Phones, String) {
    let mut phones = Phones::configured(|_, config| config.watching = Watching::OwnRegistration);
    phones.loses = Box::new(|_, text| text.starts_with("SUBSCRIBE "));
    phones.command(ALICE, Command::Register);
    let subscribe = phones.last(ALICE, "SUBSCRIBE ").to_owned();
    let mut ok = "SIP/2.0 200 OK\n".to_owned();
    for line in subscribe.lines() {
        if ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            ok.push_str(line);
            ok.push_str(if line.starts_with("To:") { ";tag=n\n" } else { "\n" });
        }
    }
    phones.deliver(
        ALICE,
        &format!("{ok}Contact: <sip:notifier@scscf.{HOME}>\nExpires: 600000\nContent-Length: 0\n\n"),
    );
    phones.log.clear();
    phones.notices[ALICE].clear();
    (phones, subscribe)
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

/// What the S-CSCF tells of a contact.
fn told(phones: &mut Phones, subscribe: &str, cseq: u32, contact: &str, event: &str, state: &str) {
    let registration = format!(
        "<registration aor=\"sip:alice@{HOME}\" id=\"1\" state=\"active\">\
         <contact id=\"2\" state=\"active\" event=\"{event}\" expires=\"60\" retry-after=\"5\"><uri>{contact}</uri></contact>\
         </registration>"
    );
    said(phones, subscribe, cseq, &registration, state);
    // It is told on; what the UE makes of it is looked at.
    let heard = phones.notices[ALICE].iter().position(|notice| matches!(notice, Notice::RegistrationTold(_)));
    heard.map(|heard| phones.notices[ALICE].remove(heard));
}

/// A NOTIFY with this registration in it.
fn said(phones: &mut Phones, subscribe: &str, cseq: u32, registration: &str, state: &str) {
    let body = format!("<reginfo version=\"{}\" state=\"full\">{registration}</reginfo>", cseq - 1);
    let target = header(subscribe, "Contact");
    let target = target.split(['<', '>']).nth(1).unwrap_or_default();
    phones.deliver(
        ALICE,
        &format!(
            "NOTIFY {target} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKn{cseq}\nMax-Forwards: 70\nFrom: {};tag=n\n\
             To: {}\nCall-ID: {}\nCSeq: {cseq} NOTIFY\nContact: <sip:notifier@scscf.{HOME}>\nEvent: reg\n\
             Subscription-State: {state}\nContent-Type: application/reginfo+xml\nContent-Length: {}\n\n{body}",
            header(subscribe, "To"),
            header(subscribe, "From"),
            header(subscribe, "Call-ID"),
            body.len()
        ),
    );
}

const ACTIVE: &str = "active;expires=600000";
const OVER: &str = "terminated;reason=noresource";

fn own(subscribe: &str) -> String {
    header(subscribe, "Contact").split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}

fn registers(phones: &Phones) -> Vec<String> {
    phones.log.iter().map(|(_, text)| text.clone()).filter(|text| text.starts_with("REGISTER ")).collect()
}

#[test]
fn a_ue_that_is_asked_to_watches_its_registration() {
    let (phones, subscribe) = watching();
    assert!(subscribe.starts_with(&format!("SUBSCRIBE sip:alice@{HOME} SIP/2.0")), "{subscribe}");
    assert_eq!((header(&subscribe, "Event"), header(&subscribe, "Expires")), ("reg", "600000"));
    assert_eq!(header(&subscribe, "Accept"), "application/reginfo+xml");
    assert!(subscribe.contains(&format!("Route: <sip:orig@scscf.{HOME};lr>")), "{subscribe}");
    assert!(phones.nodes[ALICE].role().is_registered());
    let mut quiet = Phones::new();
    quiet.command(ALICE, Command::Register);
    assert!(!quiet.log.iter().any(|(_, text)| text.starts_with("SUBSCRIBE ")), "nobody has asked for it");
}

#[test]
fn a_ue_whose_contact_is_deactivated_registers_anew() {
    let (mut phones, subscribe) = watching();
    told(&mut phones, &subscribe, 1, &own(&subscribe), "registered", ACTIVE);
    assert!(registers(&phones).is_empty() && phones.notices[ALICE].is_empty());
    told(&mut phones, &subscribe, 2, &own(&subscribe), "deactivated", OVER);
    assert_eq!(phones.notices[ALICE][0], Notice::Deregistered(Deregistration::ByNetwork));
    assert!(
        matches!(phones.notices[ALICE][1], Notice::Registered { refresh: false, .. }),
        "{:?}",
        phones.notices[ALICE]
    );
    let anew = phones.last(ALICE, "SUBSCRIBE ");
    assert_ne!(header(anew, "Call-ID"), header(&subscribe, "Call-ID"), "and watches that");
}

/// An S-CSCF that has lost what it knew can say no more than that.
#[test]
fn a_ue_whose_registration_is_over_for_no_known_reason_registers_anew() {
    let (mut phones, subscribe) = watching();
    let over = format!("<registration aor=\"sip:alice@{HOME}\" id=\"1\" state=\"terminated\"/>");
    said(&mut phones, &subscribe, 1, &over, OVER);
    let [Notice::RegistrationTold(told), ended, begun] = &phones.notices[ALICE][..] else {
        panic!("{:?}", phones.notices[ALICE])
    };
    assert!(told.registrations[0].contacts.is_empty());
    assert_eq!(*ended, Notice::Deregistered(Deregistration::ByNetwork));
    assert!(matches!(begun, Notice::Registered { refresh: false, .. }), "{begun:?}");
}

#[test]
fn a_ue_whose_contact_is_rejected_is_not_registered_and_does_not_ask_to_be() {
    for event in ["rejected", "expired", "unregistered"] {
        let (mut phones, subscribe) = watching();
        told(&mut phones, &subscribe, 1, &own(&subscribe), event, OVER);
        phones.advance(Duration::from_secs(3600));
        assert_eq!(phones.notices[ALICE], [Notice::Deregistered(Deregistration::ByNetwork)], "{event}");
        assert!(!phones.nodes[ALICE].role().is_registered() && registers(&phones).is_empty());
    }
    let (mut phones, subscribe) = watching();
    told(&mut phones, &subscribe, 1, &own(&subscribe), "probation", OVER);
    assert!(!phones.nodes[ALICE].role().is_registered());
    phones.advance(Duration::from_secs(6));
    assert!(phones.nodes[ALICE].role().is_registered(), "after the time that it was told");
}

#[test]
fn a_ue_whose_time_is_shortened_registers_in_time() {
    let (mut phones, subscribe) = watching();
    told(&mut phones, &subscribe, 1, &own(&subscribe), "shortened", ACTIVE);
    phones.advance(Duration::from_secs(29));
    assert!(registers(&phones).is_empty());
    phones.advance(Duration::from_secs(1));
    assert!(!registers(&phones).is_empty());
    assert!(matches!(phones.notices[ALICE][..], [Notice::Registered { refresh: true, .. }]));
}

#[test]
fn what_is_told_of_another_contact_or_in_another_dialog_changes_nothing() {
    let (mut phones, subscribe) = watching();
    told(&mut phones, &subscribe, 1, "sip:10.0.0.77:5060", "rejected", ACTIVE);
    let other = subscribe.replace(header(&subscribe, "Call-ID"), "other");
    told(&mut phones, &other, 2, &own(&subscribe), "rejected", OVER);
    assert!(phones.last(ALICE, "SIP/2.0 481").contains("other"));
    assert!(phones.nodes[ALICE].role().is_registered() && phones.notices[ALICE].is_empty());
}
