//! What a UE, an HSS or a store that misbehaves may not bring about at an S-CSCF.

mod bench;

use bench::*;
use cscf::identity::Impu;
use diameter_client::cx::{CxAnswer, CxResult, Saa, ServerAssignmentType};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn impu(user: &str) -> Impu {
    Impu::parse(format!("sip:{user}@{HOME}").as_bytes()).expect("a SIP URI")
}

/// The digest covers no To: alice's answer to her own challenge says nothing about bob.
#[test]
fn an_answer_under_another_public_identity_is_no_answer() {
    let mut bench = Bench::new();
    bench.register(&register("bob"));
    let nonce = bench.challenge(&register("alice"));
    let as_bob = register("alice")
        .next()
        .text(Some((&nonce, &RES)))
        .replace(&format!("To: <sip:alice@{HOME}>"), &format!("To: <sip:bob@{HOME}>"));
    let fetch = as_bob.replace("Contact: <sip:alice@10.0.0.1:5060>;expires=600\n", "");
    for text in [fetch, as_bob.replace("CSeq: 2", "CSeq: 3").replace("reg-alice2", "reg-alice3")] {
        let did = bench.receive(PCSCF, &text);
        assert!(sips(&did).is_empty(), "neither bob's contacts nor anything else: {did:?}");
        assert!(matches!(cx(&did).1, diameter_client::cx::CxRequest::Mar(_)), "challenged anew: {did:?}");
    }
}

#[test]
fn a_profile_of_somebody_else_is_given_back() {
    let mut bench = Bench::new();
    bench.register(&register("bob"));
    let (id, _) = bench.authenticate(&register("alice"));
    let did = bench.cx(id, saa("bob"));
    assert!(sip(&did).starts_with("SIP/2.0 500 "), "{did:?}");
    let (_, undo) = sar(&did);
    assert_eq!(undo.assignment_type, ServerAssignmentType::AdministrativeDeregistration);
    assert_eq!(undo.public_identities, [format!("sip:alice@{HOME}")]);
    let registrations = bench.node.role().registrations();
    assert!(registrations.find(&impu("alice")).is_none());
    let (_, bob) = registrations.find(&impu("bob")).expect("bob's own");
    assert_eq!(bob.bindings[0].uri(), b"sip:bob@10.0.0.1:5060", "bob keeps his phone");
}

/// What is written again later is what stands then, not what stood when the store failed.
#[test]
fn a_removal_that_was_not_stored_does_not_take_a_later_registration_with_it() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let did = bench.advance(601 * SECOND);
    let (expiry, removal) = store(&did);
    assert!(removal[0].value.is_none(), "{removal:?}");
    bench.not_stored(expiry);
    bench.register(&Register { call_id: "second".into(), ..register("alice") });
    let did = bench.advance(6 * SECOND);
    let (again, records) = store(&did);
    bench.stored(again, &records);
    let (restarted, _) = bench.restart(SECOND);
    assert!(restarted.node.role().registrations().find(&impu("alice")).is_some(), "her 200 was sent");
}

fn invite(call: &str, more: &str) -> String {
    format!(
        "INVITE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/UDP {ICSCF};branch=z9hG4bK{call}\n\
         Record-Route: <sip:p-orig@127.0.0.10:5060;lr>\nRoute: <sip:scscf.{HOME}:6060;lr>\nMax-Forwards: 68\n\
         From: <sip:alice@{HOME}>;tag=a\nTo: <sip:bob@{HOME}>\nCall-ID: {call}\nCSeq: 1 INVITE\n\
         Contact: <sip:alice@10.0.0.1:5060>\nP-Asserted-Identity: <sip:alice@{HOME}>\n{more}Content-Length: 0\n\n"
    )
}

fn answer(invite: &str, more: &str) -> String {
    let mut text = "SIP/2.0 200 OK\n".to_owned();
    for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
        headers(invite, name).iter().for_each(|value| text.push_str(&format!("{name}: {value}\n")));
    }
    format!(
        "{text}To: {};tag=b\nContact: <sip:bob@10.0.0.1>\n{more}Content-Length: 0\n\n",
        header(invite, "To")
    )
}

#[test]
fn a_session_interval_of_a_lifetime_is_not_kept_that_long() {
    let mut bench = Bench::new();
    bench.register(&register("bob"));
    for (call, offered, agreed) in [
        ("1", "", "Session-Expires: 4294967295;refresher=uac\n"),
        ("2", "Supported: timer\nSession-Expires: 4294967295\nMin-SE: 4294967295\n", ""),
    ] {
        let did = bench.receive(ICSCF, &invite(call, offered));
        let forwarded = sip(&did).to_owned();
        bench.receive(PCSCF, &answer(&forwarded, agreed));
        assert_eq!(bench.node.role().sessions().len(), 1);
        bench.advance(25 * HOUR);
        assert!(bench.node.role().sessions().is_empty(), "call {call}");
        bench.register(&Register { call_id: call.into(), ..register("bob") });
    }
}

#[test]
fn sessions_beyond_the_bound_are_served_and_not_remembered() {
    let mut bench = Bench::configured("registrations_max = 1");
    bench.register(&register("bob"));
    for call in 1..=4 {
        let did = bench.receive(ICSCF, &invite(&format!("c{call}"), ""));
        let forwarded = sip(&did).to_owned();
        let did = bench.receive(PCSCF, &answer(&forwarded, ""));
        assert!(sip(&did).starts_with("SIP/2.0 200 "), "{did:?}");
    }
    assert_eq!(bench.node.role().sessions().len(), 2);
}

#[test]
fn a_user_whom_the_hss_does_not_know_leaves_nothing_behind() {
    let mut bench = Bench::new();
    for number in 0..50 {
        let user = format!("u{number}");
        let (id, _) = bench.authenticate(&register(&user));
        let did = bench.cx(id, saa_result(CxResult::USER_UNKNOWN));
        assert!(sip(&did).starts_with("SIP/2.0 403 "), "{did:?}");
    }
    bench.advance(HOUR);
    assert!(bench.node.role().authentications().is_empty());
    assert_eq!(bench.node.open(), (0, 0, 0));
}

/// A profile of alice with one criterion; `conditions` stands in its trigger point.
fn profile_with(conditions: &str) -> Vec<u8> {
    let criteria = format!(
        "<InitialFilterCriteria><Priority>1</Priority><TriggerPoint><ConditionTypeCNF>0</ConditionTypeCNF>{conditions}\
         </TriggerPoint><ApplicationServer><ServerName>sip:as.{HOME}</ServerName></ApplicationServer>\
         </InitialFilterCriteria></ServiceProfile>"
    );
    String::from_utf8(profile("alice")).expect("text").replace("</ServiceProfile>", &criteria).into_bytes()
}

/// A trigger on the content of a header field.
fn content(expression: &str) -> String {
    format!(
        "<SPT><Group>0</Group><SIPHeader><Header>To</Header><Content>{expression}</Content></SIPHeader></SPT>"
    )
}

/// Profiles that would cost more than they are worth, and why each is refused.
fn hostile_profiles() -> Vec<(&'static str, Vec<u8>, CxResult)> {
    let refused = CxResult::NOT_SUPPORTED_USER_DATA;
    let whole = |conditions: &str| profile_with(conditions);
    let entity = [
        b"<!DOCTYPE x [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]>".to_vec(),
        whole(&content("&amp;b;")),
    ]
    .concat();
    let nested = format!("{}{}", "<Extension>".repeat(60), "</Extension>".repeat(60));
    let criterion = "<InitialFilterCriteria><Priority>1</Priority><ApplicationServer><ServerName>sip:as</ServerName>\
                     </ApplicationServer></InitialFilterCriteria>";
    let many = String::from_utf8(profile("alice"))
        .expect("text")
        .replace("</ServiceProfile>", &format!("{}</ServiceProfile>", criterion.repeat(300)));
    let groups: String = (0..40).map(|group| format!("<Group>{group}</Group>")).collect();
    vec![
        ("entities", entity, refused),
        ("an undefined entity", whole(&content("&b;")), refused),
        ("nesting", whole(&format!("{}{nested}", content("a"))), refused),
        ("a long expression", whole(&content(&"a".repeat(600))), refused),
        ("a deep expression", whole(&content(&"(".repeat(300))), refused),
        ("repetitions of repetitions", whole(&content("((a{200}){200}){200}")), refused),
        ("a large automaton", whole(&content("(a|b)*a(a|b){25}")), refused),
        ("no expression", whole(&content("[a-")), refused),
        ("a glob", whole(&content("*@example.net")), refused),
        ("many criteria", many.into_bytes(), CxResult::TOO_MUCH_DATA),
        ("many triggers", whole(&content("a").repeat(1500)), CxResult::TOO_MUCH_DATA),
        (
            "many groups",
            whole(&format!("<SPT>{groups}<Method>INVITE</Method></SPT>")),
            CxResult::TOO_MUCH_DATA,
        ),
    ]
}

/// TS 29.228 §6.2.2: a profile that cannot be taken is refused with why, and the old one stands.
#[test]
fn a_hostile_profile_is_refused_and_the_subscriber_keeps_the_old_one() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let good = profile_with(&content("alice"));
    let push = |bench: &mut Bench, user_data: &[u8]| {
        let user_data = Some(user_data.to_vec());
        let user_name = format!("alice@{HOME}");
        let ppr = diameter_client::cx::Ppr { user_name, user_data, ..Default::default() };
        bench.hss_asks(diameter_client::cx::CxRequest::Ppr(ppr))
    };
    let did = push(&mut bench, &good);
    let (id, records) = store(&did);
    bench.stored(id, &records);
    let servers = |bench: &Bench| -> Vec<String> {
        let (_, alice) = bench.node.role().registrations().find(&impu("alice")).expect("registered");
        let criteria = alice.set.services()[0].criteria.iter();
        criteria.map(|criterion| criterion.application_server.server_name.clone()).collect()
    };
    assert_eq!(servers(&bench), [format!("sip:as.{HOME}")]);
    for (what, hostile, result) in hostile_profiles() {
        let did = push(&mut bench, &hostile);
        assert!(
            matches!(&did[..], [Did::Peer(CxAnswer::Ppa(ppa))] if ppa.result == result),
            "{what}: {did:?}"
        );
        assert_eq!(servers(&bench), [format!("sip:as.{HOME}")], "{what}");
    }
    // And one that comes with the answer to a SAR: it is registered again, and what it subscribes to stays.
    for (what, hostile, _) in hostile_profiles() {
        let (id, sar) =
            bench.authenticate(&Register { call_id: what.replace(' ', "-"), ..register("alice") });
        assert_eq!(sar.assignment_type, ServerAssignmentType::ReRegistration);
        let answer = Saa { result: CxResult::SUCCESS, user_data: Some(hostile), ..Default::default() };
        let did = bench.cx(id, CxAnswer::Saa(answer));
        let (id, records) = store(&did);
        // The application server hears of it too.
        assert!(sips(&bench.stored(id, &records))[0].1.starts_with("SIP/2.0 200 "), "{what}");
        assert_eq!(servers(&bench), [format!("sip:as.{HOME}")], "{what}");
    }
    let refused = |cause| bench.node.counters().get("profile refused", cause);
    assert_eq!(refused("filter criteria"), 2 * 6);
    assert_eq!(refused("too many filter criteria"), 2 * 3);
    assert_eq!(refused("not user data"), 2 * 3);
}

/// Whoever comes with such a profile for the first time is not registered, and the HSS is told to forget it.
#[test]
fn a_user_with_a_hostile_profile_is_not_registered() {
    for (what, hostile, result) in hostile_profiles() {
        let mut bench = Bench::new();
        let (id, _) = bench.authenticate(&register("alice"));
        let answer = Saa { result: CxResult::SUCCESS, user_data: Some(hostile), ..Default::default() };
        let did = bench.cx(id, CxAnswer::Saa(answer));
        let (status, undo) = match result {
            CxResult::TOO_MUCH_DATA => ("SIP/2.0 480 ", ServerAssignmentType::DeregistrationTooMuchData),
            _ => ("SIP/2.0 500 ", ServerAssignmentType::AdministrativeDeregistration),
        };
        assert!(sip(&did).starts_with(status), "{what}: {did:?}");
        assert_eq!(sar(&did).1.assignment_type, undo, "{what}");
        assert!(bench.node.role().registrations().is_empty(), "{what}");
    }
}
