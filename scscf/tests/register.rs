//! Registration at the S-CSCF, told as messages (TS 24.229 §5.4.1).

mod bench;

use bench::*;
use cscf::flow::Trust;
use cscf::identity::Impu;
use diameter_client::cx::{
    AuthDataItem, CxAnswer, CxRequest, CxResult, DeregistrationReason, DigestAuthenticate, Maa, Ppr,
    ReasonCode, Rtr, ServerAssignmentType,
};
use diameter_client::endpoint::CxFailure;
use scscf::{Cause, Command, Notice};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn impu(user: &str) -> Impu {
    Impu::parse(format!("sip:{user}@{HOME}").as_bytes()).expect("a SIP URI")
}

fn contacts(bench: &Bench, user: &str) -> usize {
    bench.node.role().registrations().find(&impu(user)).map_or(0, |(_, found)| found.bindings.len())
}

#[test]
fn a_user_registers_by_aka_and_gets_the_whole_200() {
    let mut bench = Bench::new();
    let did = bench.receive(PCSCF, &register("alice").text(None));
    let (mar, request) = cx(&did);
    let CxRequest::Mar(request) = request else { panic!("{request:?}") };
    assert_eq!(request.user_name, format!("alice@{HOME}"));
    assert_eq!(request.auth_data_item.scheme.as_ref().unwrap().as_str(), "Digest-AKAv1-MD5");
    let unauthorized = bench.cx(mar, maa());
    let challenge = header(sip(&unauthorized), "WWW-Authenticate").to_owned();
    assert!(challenge.contains("algorithm=AKAv1-MD5") && challenge.contains("ck=\"0404"), "{challenge}");

    let answer = register("alice").next().text(Some((&nonce(&challenge), &RES)));
    let did = bench.receive(PCSCF, &answer);
    let (id, request) = sar(&did);
    assert_eq!(request.assignment_type, ServerAssignmentType::Registration);
    assert_eq!(request.public_identities, [format!("sip:alice@{HOME}")]);
    let did = bench.cx(id, saa("alice"));
    assert!(sips(&did).is_empty(), "no 200 before the binding is stored: {did:?}");
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    let ok = sip(&did);
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    assert_eq!(header(ok, "Path"), "<sip:path-alice@127.0.0.10:5060;lr>");
    assert_eq!(header(ok, "Contact"), "<sip:alice@10.0.0.1:5060>;expires=600");
    assert_eq!(
        headers(ok, "P-Associated-URI"),
        [format!("<sip:alice@{HOME}>").as_str(), "<tel:+4930100001>"]
    );
    let service_route = header(ok, "Service-Route");
    assert!(service_route.ends_with(&format!("@scscf.{HOME}:6060;lr;orig>")), "{service_route}");
    assert_eq!(header(ok, "P-Charging-Vector"), format!("icid-value=i1;orig-ioi=visited;term-ioi={HOME}"));
    assert_eq!(bench.notices, [Notice::Registered { impu: impu("alice"), contacts: 1 }]);
}

#[test]
fn a_wrong_response_is_forbidden_told_to_the_hss_and_answered_once() {
    let mut bench = Bench::new();
    let nonce = bench.challenge(&register("alice"));
    let wrong = register("alice").next().text(Some((&nonce, &[9; 8])));
    let did = bench.receive(PCSCF, &wrong);
    assert!(sip(&did).starts_with("SIP/2.0 403 "));
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::AuthenticationFailure);
    // The right one comes too late: a new challenge.
    let right = register("alice").next().next().text(Some((&nonce, &RES)));
    let did = bench.receive(PCSCF, &right);
    assert!(matches!(cx(&did).1, CxRequest::Mar(_)));
}

#[test]
fn a_failed_reauthentication_leaves_the_user_registered() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let again = Register { cseq: 10, ..register("alice") };
    let nonce = bench.challenge(&again);
    let did = bench.receive(PCSCF, &again.clone().next().text(Some((&nonce, &[9; 8]))));
    assert!(sip(&did).starts_with("SIP/2.0 403 "));
    assert_eq!(contacts(&bench, "alice"), 1);
}

#[test]
fn an_answer_under_another_call_id_is_challenged_anew() {
    let mut bench = Bench::new();
    let nonce = bench.challenge(&register("alice"));
    let other = Register { call_id: "other".into(), ..register("alice").next() };
    let did = bench.receive(PCSCF, &other.text(Some((&nonce, &RES))));
    assert!(matches!(cx(&did).1, CxRequest::Mar(_)));
}

#[test]
fn with_integrity_required_an_answer_in_the_clear_is_challenged_anew() {
    let mut bench = Bench::configured("require_integrity = true\n");
    let nonce = bench.challenge(&register("alice"));
    let did = bench.receive(PCSCF, &register("alice").next().text(Some((&nonce, &RES))));
    assert!(matches!(cx(&did).1, CxRequest::Mar(_)));
    let nonce = bench.challenge(&Register { cseq: 5, ..register("alice") });
    let protected = Register { cseq: 6, integrity: "yes", ..register("alice") };
    let did = bench.receive(PCSCF, &protected.text(Some((&nonce, &RES))));
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::Registration);
}

#[test]
fn a_usim_out_of_step_is_resynchronised_by_a_second_mar() {
    let mut bench = Bench::new();
    let nonce = bench.challenge(&register("alice"));
    let auts = ims_aka::aka_digest::encode_auts(&[7; 14]);
    let text = register("alice").next().text(Some((&nonce, &RES)));
    let text = text.replace("integrity-protected", &format!("auts=\"{auts}\",integrity-protected"));
    let did = bench.receive(PCSCF, &text);
    let (id, CxRequest::Mar(mar)) = cx(&did) else { panic!("{did:?}") };
    assert_eq!(mar.auth_data_item.authorization, Some([vec![1; 16], vec![7; 14]].concat()));
    let did = bench.cx(id, maa());
    assert!(sip(&did).starts_with("SIP/2.0 401 "));
}

#[test]
fn a_usim_that_does_not_believe_the_network_ends_the_authentication() {
    let mut bench = Bench::new();
    let nonce = bench.challenge(&register("alice"));
    let text = register("alice").next().text(None).replace("nonce=\"\"", &format!("nonce=\"{nonce}\""));
    let did = bench.receive(PCSCF, &text);
    assert!(sip(&did).starts_with("SIP/2.0 403 "));
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::AuthenticationFailure);
}

#[test]
fn a_challenge_that_nobody_answers_is_told_to_the_hss_after_four_minutes() {
    let mut bench = Bench::new();
    bench.challenge(&register("alice"));
    assert!(bench.advance(239 * SECOND).iter().all(|did| !matches!(did, Did::Cx(..))));
    let did = bench.advance(SECOND);
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::AuthenticationTimeout);
    assert!(bench.node.role().authentications().is_empty());
}

#[test]
fn a_user_whom_the_hss_does_not_know_is_forbidden_and_a_silent_hss_is_a_504() {
    for (answer, status) in [
        (Ok(CxResult::USER_UNKNOWN), "403"),
        (Ok(CxResult::UNABLE_TO_COMPLY), "500"),
        (Err(CxFailure::Timeout), "504"),
        (Err(CxFailure::Overload), "503"),
    ] {
        let mut bench = Bench::new();
        let did = bench.receive(PCSCF, &register("alice").text(None));
        let (id, _) = cx(&did);
        let did = match answer {
            Ok(result) => bench.cx(id, CxAnswer::Maa(Maa { result, ..Default::default() })),
            Err(failure) => bench.cx_fails(id, failure),
        };
        assert!(sip(&did).starts_with(&format!("SIP/2.0 {status} ")), "{status}: {did:?}");
    }
}

#[test]
fn a_user_without_any_scheme_of_ours_is_forbidden_after_both_were_asked_for() {
    let mut bench = Bench::new();
    let unsupported =
        || CxAnswer::Maa(Maa { result: CxResult::AUTH_SCHEME_NOT_SUPPORTED, ..Default::default() });
    let did = bench.receive(PCSCF, &register("alice").text(None));
    let (id, _) = cx(&did);
    let did = bench.cx(id, unsupported());
    let (id, digest) = cx(&did);
    let CxRequest::Mar(digest) = digest else { panic!("{digest:?}") };
    assert_eq!(digest.auth_data_item.scheme.as_ref().unwrap().as_str(), "SIP Digest");
    let did = bench.cx(id, unsupported());
    assert!(sip(&did).starts_with("SIP/2.0 403 "), "{did:?}");
}

#[test]
fn every_refusal_of_the_assignment_has_its_status_and_binds_nothing() {
    for (result, status) in [
        (CxResult::USER_UNKNOWN, "403"),
        (CxResult::IDENTITY_ALREADY_REGISTERED, "480"),
        (CxResult::UNABLE_TO_COMPLY, "500"),
    ] {
        let mut bench = Bench::new();
        let (id, _) = bench.authenticate(&register("alice"));
        let did = bench.cx(id, saa_result(result));
        assert!(sip(&did).starts_with(&format!("SIP/2.0 {status} ")), "{did:?}");
        assert_eq!(contacts(&bench, "alice"), 0);
    }
}

#[test]
fn an_hss_that_holds_the_user_registered_is_asked_again_for_a_re_registration() {
    let mut bench = Bench::new();
    let (id, _) = bench.authenticate(&register("alice"));
    let did = bench.cx(id, saa_result(CxResult::IN_ASSIGNMENT_TYPE));
    let (id, again) = sar(&did);
    assert_eq!(again.assignment_type, ServerAssignmentType::ReRegistration);
    let did = bench.cx(id, saa("alice"));
    store(&did);
}

#[test]
fn a_binding_that_cannot_be_stored_is_a_500_and_is_taken_back() {
    let mut bench = Bench::new();
    let (id, _) = bench.authenticate(&register("alice"));
    let did = bench.cx(id, saa("alice"));
    let (id, _) = store(&did);
    let did = bench.not_stored(id);
    assert!(sip(&did).starts_with("SIP/2.0 500 "), "{did:?}");
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::AdministrativeDeregistration);
    assert_eq!(contacts(&bench, "alice"), 0);
}

#[test]
fn a_protected_refresh_needs_neither_challenge_nor_hss() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    bench.advance(300 * SECOND);
    let refresh = Register { cseq: 3, integrity: "yes", ..register("alice") };
    let did = bench.receive(PCSCF, &refresh.text(None));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert_eq!(header(sip(&did), "Contact"), "<sip:alice@10.0.0.1:5060>;expires=600");
    // It would have run out 600 s after the first.
    bench.advance(400 * SECOND);
    assert_eq!(contacts(&bench, "alice"), 1);
}

#[test]
fn a_protected_refresh_cannot_bring_another_contact() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let moved = Register {
        cseq: 3,
        integrity: "yes",
        ..register("alice").contact("<sip:alice@10.9.9.9>;expires=600")
    };
    let did = bench.receive(PCSCF, &moved.text(None));
    assert!(sip(&did).starts_with("SIP/2.0 403 "));
}

#[test]
fn a_protected_register_of_a_user_who_is_not_here_is_a_500() {
    let mut bench = Bench::configured("restoration = false\n");
    let stranger = Register { integrity: "yes", ..register("alice") };
    let did = bench.receive(PCSCF, &stranger.text(None));
    assert!(sip(&did).starts_with("SIP/2.0 500 "));
}

#[test]
fn an_expiry_below_the_minimum_is_a_423_before_anybody_is_asked() {
    let mut bench = Bench::new();
    let did = bench.receive(PCSCF, &register("alice").contact("<sip:alice@10.0.0.1>;expires=10").text(None));
    assert!(sip(&did).starts_with("SIP/2.0 423 "));
    assert_eq!(header(sip(&did), "Min-Expires"), "60");
}

#[test]
fn a_user_de_registers_and_the_hss_gives_the_name_up() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let leave = Register { cseq: 5, more: "Expires: 0\n".into(), ..register("alice").contact("*") };
    let (id, sar) = bench.authenticate(&leave);
    assert_eq!(sar.assignment_type, ServerAssignmentType::UserDeregistration);
    let did = bench.cx(id, saa_result(CxResult::SUCCESS));
    let (id, records) = store(&did);
    assert!(records.iter().all(|record| record.value.is_none()));
    let did = bench.stored(id, &records);
    assert!(sip(&did).starts_with("SIP/2.0 200 "), "{did:?}");
    assert!(headers(sip(&did), "Contact").is_empty());
    assert!(bench.store.is_empty());
    assert_eq!(bench.notices.last(), Some(&Notice::Deregistered { impu: impu("alice"), cause: Cause::User }));
}

#[test]
fn the_last_binding_that_runs_out_ends_the_registration_at_the_hss() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let did = bench.advance(600 * SECOND);
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::TimeoutDeregistration);
    let (id, records) = store(&did);
    bench.stored(id, &records);
    assert!(bench.store.is_empty() && contacts(&bench, "alice") == 0);
}

#[test]
fn two_devices_of_one_user_are_both_listed_and_only_one_leaves() {
    let mut bench = Bench::new();
    let phone = register("alice").contact("<sip:alice@10.0.0.1>;expires=600;+sip.instance=\"<urn:uuid:1>\"");
    let tablet = Register { call_id: "tablet".into(), ..register("alice") }
        .contact("<sip:alice@10.0.0.2>;expires=600;+sip.instance=\"<urn:uuid:2>\"");
    bench.register(&phone);
    let ok = bench.register(&tablet);
    assert_eq!(headers(&ok, "Contact").len(), 2, "{ok}");

    let gone = tablet.contact.replace("expires=600", "expires=0");
    let leave = Register { cseq: 7, integrity: "yes", ..tablet.contact(&gone) };
    let did = bench.receive(PCSCF, &leave.text(None));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(header(sip(&did), "Contact").starts_with("<sip:alice@10.0.0.1>"));
}

#[test]
fn a_restart_keeps_what_was_acknowledged_and_ends_what_ran_out() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let (mut bench, _) = bench.restart(500 * SECOND);
    assert_eq!(contacts(&bench, "alice"), 1);
    let did = bench.advance(100 * SECOND);
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::TimeoutDeregistration);

    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let (_, did) = bench.restart(5000 * SECOND);
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::TimeoutDeregistration);
}

#[test]
fn the_hss_ends_a_registration_and_hears_back_when_the_store_has_it() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let rtr = |code| {
        CxRequest::Rtr(Rtr {
            user_name: format!("alice@{HOME}"),
            reason: DeregistrationReason { code, info: None },
            ..Default::default()
        })
    };
    let did = bench.hss_asks(rtr(ReasonCode::PermanentTermination));
    assert!(!did.iter().any(|one| matches!(one, Did::Peer(_) | Did::Cx(..))), "{did:?}");
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(
        matches!(&did[..], [Did::Peer(CxAnswer::Rta(rta))] if rta.result == CxResult::SUCCESS),
        "{did:?}"
    );
    assert_eq!(contacts(&bench, "alice"), 0);
    // Once more: it is so already.
    let did = bench.hss_asks(rtr(ReasonCode::PermanentTermination));
    assert!(
        matches!(&did[..], [Did::Peer(CxAnswer::Rta(rta))] if rta.result == CxResult::SUCCESS),
        "{did:?}"
    );
}

#[test]
fn a_pushed_profile_is_taken_over_whole_or_refused() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let push = |user_data: Vec<u8>| {
        CxRequest::Ppr(Ppr {
            user_name: format!("alice@{HOME}"),
            user_data: Some(user_data),
            ..Default::default()
        })
    };
    let without_number =
        String::from_utf8(profile("alice")).unwrap().replace("tel:+4930100001", "sip:al@home1.net");
    let did = bench.hss_asks(push(without_number.into_bytes()));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(
        matches!(&did[..], [Did::Peer(CxAnswer::Ppa(ppa))] if ppa.result == CxResult::SUCCESS),
        "{did:?}"
    );
    let number = Impu::parse(b"tel:+4930100001").unwrap();
    assert!(bench.node.role().registrations().find(&number).is_none());
    for (user_data, result) in [
        (b"<nonsense".to_vec(), CxResult::NOT_SUPPORTED_USER_DATA),
        (profile("bob"), CxResult::USER_UNKNOWN),
        (vec![b' '; 300_000], CxResult::TOO_MUCH_DATA),
    ] {
        let did = bench.hss_asks(push(user_data));
        assert!(matches!(&did[..], [Did::Peer(CxAnswer::Ppa(ppa))] if ppa.result == result), "{did:?}");
    }
}

#[test]
fn an_operator_ends_a_registration() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let did = bench.command(Command::Deregister { impu: impu("alice") });
    assert_eq!(sar(&did).1.assignment_type, ServerAssignmentType::AdministrativeDeregistration);
    assert_eq!(contacts(&bench, "alice"), 0);
}

#[test]
fn a_register_from_outside_the_trust_domain_is_forbidden() {
    let mut bench = Bench::new();
    let did = bench.receive_from("10.0.0.1:5060", Trust::Outside, &register("alice").text(None));
    assert!(sip(&did).starts_with("SIP/2.0 403 "));
    assert!(!did.iter().any(|one| matches!(one, Did::Cx(..))));
}

/// TS 33.203 Annex N: nobody said which scheme it is, and the HSS has a password for the user, not a USIM.
#[test]
fn a_user_with_a_password_registers_by_sip_digest_and_refreshes_with_the_same_nonce() {
    let mut bench = Bench::new();
    let plain = Register { integrity: "", ..register("alice") };
    let did = bench.receive(PCSCF, &plain.text(None));
    let (id, _) = cx(&did);
    let refused = Maa { result: CxResult::AUTH_SCHEME_NOT_SUPPORTED, ..Default::default() };
    let did = bench.cx(id, CxAnswer::Maa(refused));
    let (id, CxRequest::Mar(mar)) = cx(&did) else { panic!("{did:?}") };
    assert_eq!(mar.auth_data_item.scheme.as_ref().unwrap().as_str(), "SIP Digest");
    let user = format!("alice@{HOME}");
    let ha1 = ims_aka::Ha1::from_password(ims_aka::Hash::Md5, user.as_bytes(), HOME.as_bytes(), &RES);
    let digest = DigestAuthenticate { realm: HOME.into(), ha1: ha1.expose().into(), ..Default::default() };
    let item = AuthDataItem { digest: Some(digest), ..Default::default() };
    let maa = Maa { result: CxResult::SUCCESS, auth_data_items: vec![item], ..Default::default() };
    let did = bench.cx(id, CxAnswer::Maa(maa));
    let challenge = header(sip(&did), "WWW-Authenticate").to_owned();
    assert!(challenge.contains("algorithm=MD5") && !challenge.contains("ck="), "{challenge}");

    let nonce = nonce(&challenge);
    let did = bench.receive(PCSCF, &plain.clone().next().text(Some((&nonce, &RES))));
    let (id, _) = sar(&did);
    let did = bench.cx(id, saa("alice"));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(header(sip(&did), "Authentication-Info").contains("rspauth="), "{did:?}");

    // The count did not rise: the same secret under another nonce, and the client is told that it was right.
    let did = bench.receive(PCSCF, &plain.clone().next().next().text(Some((&nonce, &RES))));
    let stale = header(sip(&did), "WWW-Authenticate");
    assert!(stale.contains("stale=TRUE") && !stale.contains(&nonce), "{stale}");
}

#[test]
fn a_refresh_that_the_hss_cannot_confirm_is_a_504_and_the_old_binding_stays() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let (id, again) = bench.authenticate(&Register { cseq: 5, ..register("alice") });
    assert_eq!(again.assignment_type, ServerAssignmentType::ReRegistration);
    let did = bench.cx_fails(id, CxFailure::NoPeer);
    assert!(sip(&did).starts_with("SIP/2.0 504 "));
    assert_eq!(contacts(&bench, "alice"), 1);
}

#[test]
fn an_overtaken_register_changes_nothing() {
    let mut bench = Bench::new();
    bench.register(&Register { cseq: 10, ..register("alice") });
    let late = Register { cseq: 3, integrity: "yes", ..register("alice") }
        .contact("<sip:alice@10.0.0.1:5060>;expires=0");
    let did = bench.receive(PCSCF, &late.text(None));
    assert!(sip(&did).starts_with("SIP/2.0 500 "));
    assert_eq!(contacts(&bench, "alice"), 1);
}

#[test]
fn a_register_without_contact_tells_what_is_bound() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let fetch = Register { cseq: 3, integrity: "yes", ..register("alice") };
    let text = fetch.text(None).replace("Contact: <sip:alice@10.0.0.1:5060>;expires=600\n", "");
    let did = bench.receive(PCSCF, &text);
    assert_eq!(header(sip(&did), "Contact"), "<sip:alice@10.0.0.1:5060>;expires=600");
}

#[test]
fn nobody_stays_in_memory_who_did_not_get_in() {
    let mut bench = Bench::new();
    let nonce = bench.challenge(&register("alice"));
    bench.receive(PCSCF, &register("alice").next().text(Some((&nonce, &[9; 8]))));
    assert!(bench.node.role().authentications().is_empty());
    let (id, _) = bench.authenticate(&Register { cseq: 7, ..register("alice") });
    bench.cx(id, saa_result(CxResult::USER_UNKNOWN));
    assert!(bench.node.role().authentications().is_empty() && bench.node.role().registrations().is_empty());
}
