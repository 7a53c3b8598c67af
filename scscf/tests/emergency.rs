//! Registration for emergencies (TS 24.229 §5.4.8.2): beside whatever else a user has registered, and by rules of its own.

mod bench;

use bench::*;
use diameter_client::cx::{
    CxAnswer, CxRequest, CxResult, DeregistrationReason, ReasonCode, Rta, Rtr, ServerAssignmentType,
};
use scscf::Command;
use std::time::Duration;

const ORDINARY: &str = "<sip:alice@10.0.0.1:5060>;expires=600";
const FOR_HELP: &str = "<sip:alice@10.0.0.1:5060;sos>;expires=600000";

fn for_help() -> Register {
    Register { call_id: "help".to_owned(), ..register("alice") }.contact(FOR_HELP)
}

/// A whole registration for emergencies of whoever is known here; gives the 200.
fn known_registers_for_help(bench: &mut Bench) -> String {
    let register = for_help();
    let nonce = bench.challenge(&register);
    let did = bench.receive(PCSCF, &register.next().text(Some((&nonce, &RES))));
    let (id, records) = store(&did);
    sip(&bench.stored(id, &records)).to_owned()
}

fn impu() -> cscf::identity::Impu {
    cscf::identity::Impu::parse(format!("sip:alice@{HOME}").as_bytes()).expect("an identity")
}

/// How many contacts alice has: for everything, and for emergencies.
fn contacts(bench: &Bench) -> (usize, usize) {
    let found = bench.node.role().registrations().find(&impu());
    found.map_or((0, 0), |(_, registration)| {
        let ordinary = registration.ordinary().count();
        (ordinary, registration.bindings.len() - ordinary)
    })
}

/// TS 29.228 Annex G: nobody is registered by it. The 200 has an own time, the identities, and no Service-Route.
#[test]
fn somebody_unknown_is_registered_for_emergencies_and_remains_unregistered_at_the_hss() {
    let mut bench = Bench::configured("emergency_expires = \"5min\"");
    let (sar, asked) = bench.authenticate(&for_help());
    assert_eq!(asked.assignment_type, ServerAssignmentType::UnregisteredUser);
    let did = bench.cx(sar, saa("alice"));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    let ok = sip(&did);
    assert_eq!(header(ok, "Contact"), "<sip:alice@10.0.0.1:5060;sos>;expires=300");
    assert!(headers(ok, "Service-Route").is_empty(), "{ok}");
    assert_eq!(headers(ok, "P-Associated-URI").len(), 2, "{ok}");
    assert_eq!(contacts(&bench), (0, 1));
    // Its time is over: the user is given back, and the store holds nothing.
    let did = bench.advance(Duration::from_secs(301));
    assert_eq!(sar_of(&did), [ServerAssignmentType::TimeoutDeregistration]);
    let (id, records) = store(&did);
    bench.stored(id, &records);
    assert!(bench.node.role().registrations().is_empty() && bench.store.is_empty());
}

fn sar_of(did: &[Did]) -> Vec<ServerAssignmentType> {
    did.iter()
        .filter_map(|one| match one {
            Did::Cx(_, CxRequest::Sar(sar)) => Some(sar.assignment_type),
            _ => None,
        })
        .collect()
}

/// TS 24.229 §7.2A.13: the same URI with `sos` is another contact; neither touches the other, nor is told of it.
#[test]
fn a_contact_for_emergencies_stands_beside_the_same_one_without() {
    let mut bench = Bench::configured("contacts_max = 1");
    bench.register(&register("alice").contact(ORDINARY));
    let ok = known_registers_for_help(&mut bench);
    assert_eq!(headers(&ok, "Contact").len(), 1, "{ok}");
    assert_eq!(contacts(&bench), (1, 1));
    let refresh = Register { cseq: 9, integrity: "yes", ..register("alice") }.contact(ORDINARY);
    let did = bench.receive(PCSCF, &refresh.text(None));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(!header(sip(&did), "Contact").contains("sos"), "{did:?}");
    assert_eq!(headers(sip(&did), "Contact").len(), 1);
    assert_eq!(contacts(&bench), (1, 1));
}

/// It ends by its time alone: not by its UE, not by `*`, not by an operator; what the HSS hears keeps us on record.
#[test]
fn nobody_de_registers_who_may_need_help() {
    let mut bench = Bench::new();
    bench.register(&register("alice").contact(ORDINARY));
    known_registers_for_help(&mut bench);
    let with = |cseq, contact: &str, more: &str| {
        let register = Register { cseq, integrity: "yes", more: more.to_owned(), ..register("alice") };
        register.contact(contact).text(None)
    };
    let did = bench.receive(PCSCF, &with(20, "<sip:alice@10.0.0.1:5060;sos>;expires=0", ""));
    assert!(sip(&did).starts_with("SIP/2.0 403 "), "{did:?}");
    let did = bench.receive(PCSCF, &with(21, "*", "Expires: 0\n"));
    let (id, asked) = sar(&did);
    assert_eq!(asked.assignment_type, ServerAssignmentType::UserDeregistrationStoreServerName);
    let did = bench.cx(id, saa_result(CxResult::SUCCESS));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(headers(sip(&did), "Contact").is_empty(), "{did:?}");
    assert_eq!(contacts(&bench), (0, 1));
    bench.command(Command::Deregister { impu: impu() });
    assert_eq!(contacts(&bench), (0, 1));
    // What the store has of it, a restarted S-CSCF has too.
    let (bench, _) = bench.restart(Duration::from_secs(1));
    assert_eq!(contacts(&bench), (0, 1));
}

/// TS 29.228 §6.1.3.1: the HSS ends what it may, and learns what stays.
#[test]
fn an_rtr_leaves_emergency_registrations_and_names_them() {
    let rtr = |code| {
        CxRequest::Rtr(Rtr {
            user_name: format!("alice@{HOME}"),
            reason: DeregistrationReason { code, info: None },
            ..Rtr::default()
        })
    };
    for (has_ordinary, code, expected, left) in [
        (true, ReasonCode::PermanentTermination, CxResult::LIMITED_SUCCESS, (0, 1)),
        (false, ReasonCode::PermanentTermination, CxResult::UNABLE_TO_COMPLY, (0, 1)),
        (true, ReasonCode::NewServerAssigned, CxResult::SUCCESS, (0, 0)),
    ] {
        let mut bench = Bench::new();
        bench.register(&register("alice").contact(ORDINARY));
        known_registers_for_help(&mut bench);
        if !has_ordinary {
            bench.command(Command::Deregister { impu: impu() });
        }
        let mut did = bench.hss_asks(rtr(code));
        if let Some(at) = did.iter().position(|one| matches!(one, Did::Store(..))) {
            let Did::Store(id, records) = did.swap_remove(at) else { unreachable!("it is one") };
            did.extend(bench.stored(id, &records));
        }
        let answer = did.iter().find_map(|one| match one {
            Did::Peer(CxAnswer::Rta(rta)) => Some(rta.clone()),
            _ => None,
        });
        let Rta { result, emergency_identities, .. } = answer.unwrap_or_else(|| panic!("{did:?}"));
        assert_eq!((result, contacts(&bench)), (expected, left), "{code:?}");
        let named: Vec<String> = emergency_identities.into_iter().map(|one| one.user_name).collect();
        assert_eq!(named, vec![format!("alice@{HOME}"); left.1], "{code:?}");
    }
}

fn call(priority: &str) -> String {
    format!(
        "INVITE sip:alice@{HOME} SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.11:4060;branch=z9hG4bKcb{}\nMax-Forwards: 60\n\
         Route: <sip:scscf.{HOME}:6060;lr>\nFrom: <sip:psap@emergency.example>;tag=p\nTo: <sip:alice@{HOME}>\n\
         Call-ID: callback{}\nCSeq: 1 INVITE\nContact: <sip:psap@192.0.2.1>\n{priority}Content-Length: 0\n\n",
        priority.len(),
        priority.len()
    )
}

/// Whoever is registered for emergencies alone is called by nobody but whom it called for help (RFC 7090).
#[test]
fn only_a_psap_calls_a_contact_for_emergencies() {
    let mut bench = Bench::new();
    let (sar, _) = bench.authenticate(&for_help());
    let did = bench.cx(sar, saa("alice"));
    let (id, records) = store(&did);
    bench.stored(id, &records);
    let did = bench.receive(ICSCF, &call(""));
    assert!(sip(&did).starts_with("SIP/2.0 480 "), "{did:?}");
    let did = bench.receive(ICSCF, &call("Priority: psap-callback\n"));
    let (_, invite) = sips(&did)[0];
    assert!(invite.starts_with("INVITE sip:alice@10.0.0.1:5060;sos SIP/2.0"), "{invite}");
}
