//! Numbers that our users call, looked up in the DNS (ENUM, RFC 6116; TS 24.229 §5.4.3.2).

mod bench;

use bench::*;
use cscf::query::{Answer, QueryId, Unresolved};
use cscf::resolve::Naptr;

const ENUM: &str = "enum_domain = \"e164.example\"\n[bgcf]\nrule = [{ next_hop = \"sip:192.0.2.9:5060\", domain = \"pbx.example\" }]\n";

fn record(regexp: &str) -> Naptr {
    Naptr {
        order: 100,
        preference: 10,
        flags: "u".to_owned(),
        services: "E2U+sip".to_owned(),
        regexp: regexp.to_owned(),
        replacement: ".".to_owned(),
    }
}

/// A request of alice's by her Service-Route, and what it made the S-CSCF do.
fn calls(bench: &mut Bench, ok: &str, uri: &str, call_id: &str) -> Vec<Did> {
    let route = header(ok, "Service-Route");
    let text = format!(
        "INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP {PCSCF};branch=z9hG4bK{call_id}\nMax-Forwards: 69\nRoute: {route}\n\
         From: <sip:alice@{HOME}>;tag=a\nTo: <{uri}>\nCall-ID: {call_id}\nCSeq: 1 INVITE\n\
         Contact: <sip:alice@10.0.0.1:5060>\nP-Asserted-Identity: <sip:alice@{HOME}>\nContent-Length: 0\n\n"
    );
    bench.receive(PCSCF, &text)
}

/// The question for a number.
fn asked(did: &[Did]) -> (QueryId, &str) {
    let asked = did.iter().find_map(|one| match one {
        Did::Naptr(id, name) => Some((*id, name.as_str())),
        _ => None,
    });
    asked.unwrap_or_else(|| panic!("no question: {did:?}"))
}

/// Where an INVITE goes, with which Request-URI.
fn gone(did: &[Did]) -> (String, String) {
    let invite = sips(did).into_iter().find(|(_, text)| text.starts_with("INVITE "));
    let (to, text) = invite.unwrap_or_else(|| panic!("no INVITE: {did:?}"));
    (to.to_owned(), text.split(' ').nth(1).unwrap_or_default().to_owned())
}

#[test]
fn a_number_becomes_the_uri_that_the_dns_knows_or_stays_a_number() {
    let mut bench = Bench::configured(ENUM);
    let ok = bench.register(&register("alice"));
    let icscf = ICSCF.to_owned();
    let home = format!("!^\\+49(.*)$!sip:user\\1@{HOME}!");
    let unreachable = || Err(Unresolved::Unreachable("x".to_owned()));
    let number = "tel:+498912345".to_owned();
    for (call_id, records, expected) in [
        (
            "pbx",
            Ok(vec![record("!^\\+49(.*)$!sip:\\1@pbx.example!")]),
            ("192.0.2.9:5060".to_owned(), "sip:8912345@pbx.example".to_owned()),
        ),
        (
            "address",
            Ok(vec![record("!.*!sip:bob@192.0.2.77!")]),
            ("192.0.2.77:5060".to_owned(), "sip:bob@192.0.2.77".to_owned()),
        ),
        ("home", Ok(vec![record(&home)]), (icscf.clone(), format!("sip:user8912345@{HOME}"))),
        ("none", Ok(vec![]), (icscf.clone(), number.clone())),
        ("other", Ok(vec![record("!^\\+44!sip:bob@pbx.example!")]), (icscf.clone(), number.clone())),
        ("hostile", Ok(vec![record("!((.*)*)*x!sip:bob@pbx.example!")]), (icscf.clone(), number.clone())),
        ("silent", unreachable(), (icscf.clone(), number.clone())),
    ] {
        let did = calls(&mut bench, &ok, &number, call_id);
        let (id, name) = asked(&did);
        assert_eq!(name, "5.4.3.2.1.9.8.9.4.e164.example");
        assert!(
            !did.iter().any(|one| matches!(one, Did::Sip(_, text) if text.starts_with("INVITE"))),
            "{did:?}"
        );
        assert_eq!(gone(&bench.answer(id, Answer::Naptr(records))), expected, "{call_id}");
    }
}

/// What the user dialled is a global number by the policy of the operator; user=phone at home is a number as well.
#[test]
fn dialled_numbers_are_looked_up_in_global_form_and_nothing_else_is() {
    let mut bench = Bench::configured(ENUM);
    let ok = bench.register(&register("alice"));
    for (number, uri) in
        ["tel:+49-89-12345", "tel:08912345;phone-context={HOME}", "sip:+498912345@{HOME};user=phone"]
            .iter()
            .enumerate()
    {
        let did = calls(&mut bench, &ok, &uri.replace("{HOME}", HOME), &format!("n{number}"));
        assert_eq!(asked(&did).1, "5.4.3.2.1.9.8.9.4.e164.example", "{uri}");
    }
    for (number, uri) in [
        "sip:bob@{HOME}",
        "sip:+498912345@192.0.2.77;user=phone",
        "tel:110;phone-context={HOME}",
        "tel:+498912345;npdi;rn=+4999",
    ]
    .iter()
    .enumerate()
    {
        let did = calls(&mut bench, &ok, &uri.replace("{HOME}", HOME), &format!("o{number}"));
        assert!(!did.iter().any(|one| matches!(one, Did::Naptr(..))), "{uri}: {did:?}");
    }
    let mut bench = Bench::new();
    let ok = bench.register(&register("alice"));
    let did = calls(&mut bench, &ok, "tel:+498912345", "off");
    assert_eq!(gone(&did), (ICSCF.to_owned(), "tel:+498912345".to_owned()), "off by default");
}

/// RFC 3261 §9.2: a caller who hangs up before the DNS has answered is gone.
#[test]
fn a_call_that_is_cancelled_meanwhile_goes_nowhere() {
    let mut bench = Bench::configured(ENUM);
    let ok = bench.register(&register("alice"));
    let did = calls(&mut bench, &ok, "tel:+498912345", "c1");
    let (id, _) = asked(&did);
    let route = header(&ok, "Service-Route");
    let cancel = format!(
        "CANCEL tel:+498912345 SIP/2.0\nVia: SIP/2.0/UDP {PCSCF};branch=z9hG4bKc1\nMax-Forwards: 69\nRoute: {route}\n\
         From: <sip:alice@{HOME}>;tag=a\nTo: <tel:+498912345>\nCall-ID: c1\nCSeq: 1 CANCEL\nContent-Length: 0\n\n"
    );
    let cancelled = bench.receive(PCSCF, &cancel);
    assert!(sips(&cancelled).iter().any(|(_, text)| text.starts_with("SIP/2.0 487 ")), "{cancelled:?}");
    let after = bench.answer(id, Answer::Naptr(Ok(vec![record("!.*!sip:bob@192.0.2.77!")])));
    assert!(sips(&after).is_empty(), "{after:?}");
}
