//! REGISTER (TS 24.229 §5.3.1).

use crate::bench::*;
use cscf::Trust;
use diameter_client::cx::{
    CxAnswer, CxRequest, CxResult, ServerCapabilities, Uaa, Uar, UserAuthorizationType,
};
use diameter_client::endpoint::CxFailure;
use std::time::Duration;

fn register(extra: &str) -> String {
    format!(
        "REGISTER sip:{HOME} SIP/2.0\nVia: SIP/2.0/UDP {PCSCF};branch=z9hG4bKr1\nMax-Forwards: 69\n\
         Path: <sip:token@{PCSCF};lr>\nFrom: <sip:alice@{HOME}>;tag=a1\nTo: <sip:alice@{HOME}>\nCall-ID: c1\n\
         CSeq: 1 REGISTER\n{extra}Content-Length: 0\n\n"
    )
}

const CONTACT: &str = "Contact: <sip:alice@10.0.0.1:5060>;expires=600000\n";

fn uaa(result: CxResult, server_name: Option<&str>) -> Result<CxAnswer, CxFailure> {
    Ok(CxAnswer::Uaa(Uaa { result, server_name: server_name.map(str::to_owned), ..Uaa::default() }))
}

fn select(mandatory: &[u32]) -> Result<CxAnswer, CxFailure> {
    let capabilities = ServerCapabilities { mandatory: mandatory.to_vec(), ..ServerCapabilities::default() };
    Ok(CxAnswer::Uaa(Uaa {
        result: CxResult::FIRST_REGISTRATION,
        server_capabilities: Some(capabilities),
        ..Uaa::default()
    }))
}

fn asked(extra: &str) -> Uar {
    let mut bench = Bench::new();
    assert_eq!(bench.receive(PCSCF, &register(extra)), []);
    match bench.asked() {
        CxRequest::Uar(uar) => uar,
        other => panic!("{other:?}"),
    }
}

/// TS 24.229 §5.3.1.2: the identities come from To and Authorization, the visited network from the P-CSCF.
#[test]
fn a_register_becomes_a_uar() {
    let uar = asked(&format!(
        "{CONTACT}Authorization: Digest username=\"00101@{HOME}\",realm=\"{HOME}\",nonce=\"\",response=\"\"\n\
         P-Visited-Network-ID: \"visited.net\";x=1\n"
    ));
    assert_eq!(uar.user_name, format!("00101@{HOME}"));
    assert_eq!(uar.public_identity, format!("sip:alice@{HOME}"));
    assert_eq!(uar.visited_network, b"visited.net");
    assert_eq!(uar.authorization_type, UserAuthorizationType::Registration);
    assert_eq!(uar.uar_flags, None);
}

#[test]
fn without_authorization_the_private_identity_comes_from_the_public_one() {
    let uar = asked(CONTACT);
    assert_eq!(uar.user_name, format!("alice@{HOME}"));
    assert_eq!(uar.visited_network, HOME.as_bytes());
}

/// TS 29.229 §6.3.24.
#[test]
fn a_register_that_leaves_no_contact_is_a_deregistration() {
    use UserAuthorizationType::{DeRegistration, Registration};
    for (extra, expected) in [
        ("Contact: *\nExpires: 0\n", DeRegistration),
        ("Contact: <sip:a@10.0.0.1>;expires=0\n", DeRegistration),
        ("Contact: <sip:a@10.0.0.1>\nExpires: 0\n", DeRegistration),
        ("Contact: <sip:a@10.0.0.1>;expires=0, <sip:a@10.0.0.2>\n", Registration),
        ("Contact: <sip:a@10.0.0.1>;expires=60\nExpires: 0\n", Registration),
        ("Contact: <sip:a@10.0.0.1>\n", Registration),
        ("", Registration),
    ] {
        assert_eq!(asked(extra).authorization_type, expected, "{extra}");
    }
}

#[test]
fn an_emergency_contact_is_told_to_the_hss() {
    assert_eq!(asked("Contact: <sip:a@10.0.0.1;sos>\n").uar_flags, Some(1));
}

/// TS 24.229 §5.3.1.2: the S-CSCF that the HSS names becomes the Request-URI, and our own Route goes.
#[test]
fn a_register_goes_to_the_named_scscf() {
    let mut bench = Bench::new();
    bench.receive(
        PCSCF,
        &register(&format!("Route: <sip:{ICSCF};lr>\n{CONTACT}P-Charging-Vector: icid-value=abc\n")),
    );
    let sent = bench.answer(uaa(CxResult::SUBSEQUENT_REGISTRATION, Some(SECOND)));
    let [(to, text)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(to, "udp:127.0.0.22:6060");
    assert!(text.starts_with(&format!("REGISTER {SECOND} SIP/2.0\r\n")), "{text}");
    assert!(!text.contains("Route:"), "{text}");
    assert!(text.contains("P-Charging-Vector: icid-value=abc\r\n"), "{text}");
    assert!(text.contains("Max-Forwards: 68\r\n"), "{text}");
    let back = bench.receive(&address(to), &response(text, "200 OK"));
    assert!(back[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{back:?}");
    assert!(bench.settles());
}

/// TS 24.229 §4.5.2: a request that comes without a charging vector gets one.
#[test]
fn a_missing_charging_vector_is_minted() {
    let mut bench = Bench::new();
    bench.receive(PCSCF, &register(CONTACT));
    let sent = bench.answer(uaa(CxResult::SUCCESS, Some(FIRST)));
    assert!(sent[0].1.contains(&format!(";orig-ioi={HOME}\r\n")), "{sent:?}");
}

#[test]
fn the_first_register_goes_to_an_scscf_with_the_capabilities() {
    for (mandatory, expected) in [(&[][..], "udp:127.0.0.12:6060"), (&[7], "udp:127.0.0.22:6060")] {
        let mut bench = Bench::new();
        bench.receive(PCSCF, &register(CONTACT));
        assert_eq!(bench.answer(select(mandatory))[0].0, expected);
    }
}

/// An HSS that answers a first registration with neither name nor capabilities leaves the choice to us.
#[test]
fn an_answer_without_name_or_capabilities_leaves_the_choice() {
    let mut bench = Bench::new();
    bench.receive(PCSCF, &register(CONTACT));
    assert_eq!(bench.answer(uaa(CxResult::FIRST_REGISTRATION, None))[0].0, "udp:127.0.0.12:6060");
}

/// TS 24.229 §5.3.1.3: every refusal of the HSS, and its silence.
#[test]
fn what_the_hss_refuses_becomes_a_status() {
    for (answer, expected) in [
        (uaa(CxResult::USER_UNKNOWN, None), "403"),
        (uaa(CxResult::IDENTITIES_DONT_MATCH, None), "403"),
        (uaa(CxResult::IDENTITY_NOT_REGISTERED, None), "403"),
        (uaa(CxResult::ROAMING_NOT_ALLOWED, None), "403"),
        (uaa(CxResult::AUTHORIZATION_REJECTED, None), "403"),
        (uaa(CxResult::UNABLE_TO_COMPLY, None), "504"),
        (uaa(CxResult::FIRST_REGISTRATION, Some("tel:+1")), "504"),
        (select(&[9]), "504"),
        (Err(CxFailure::Timeout), "504"),
        (Err(CxFailure::NoPeer), "504"),
        (Err(CxFailure::Overload), "503"),
    ] {
        let mut bench = Bench::new();
        bench.receive(PCSCF, &register(CONTACT));
        let told = format!("{answer:?}");
        let sent = bench.answer(answer);
        assert!(sent[0].1.starts_with(&format!("SIP/2.0 {expected} ")), "{told}: {sent:?}");
        assert!(sent[0].1.contains("Warning: 399 "), "the reason is told: {sent:?}");
        assert!(bench.settles());
    }
}

/// TS 24.229 §5.3.1.2.
#[test]
fn a_register_from_outside_the_trust_domain_is_refused() {
    let mut bench = Bench::new();
    let sent = bench.receive_from(Trust::Outside, "10.0.0.1:5060", &register(CONTACT));
    assert!(sent[0].1.starts_with("SIP/2.0 403 "), "{sent:?}");
}

/// TS 24.229 §5.3.1.3: an S-CSCF that redirects, answers 480 or is gone is replaced by the next candidate.
#[test]
fn an_initial_register_moves_on_to_another_scscf() {
    for status in ["305 Use Proxy", "480 Temporarily Unavailable"] {
        let mut bench = Bench::new();
        bench.receive(PCSCF, &register(CONTACT));
        let (to, text) = bench.answer(select(&[])).remove(0);
        let sent = bench.receive(&address(&to), &response(&text, status));
        assert_eq!(sent[0].0, "udp:127.0.0.22:6060", "{status}");
        assert!(sent[0].1.starts_with(&format!("REGISTER {SECOND} ")));
    }
    let mut bench = Bench::new();
    bench.receive(PCSCF, &register(CONTACT));
    bench.answer(select(&[]));
    let sent = bench.advance(Duration::from_secs(33));
    assert!(sent.iter().any(|(to, _)| to == "udp:127.0.0.22:6060"), "silence: {sent:?}");
}

#[test]
fn another_refusal_of_the_scscf_is_passed_on() {
    for status in ["401 Unauthorized", "403 Forbidden", "500 Server Internal Error"] {
        let mut bench = Bench::new();
        bench.receive(PCSCF, &register(CONTACT));
        let (to, text) = bench.answer(select(&[])).remove(0);
        let sent = bench.receive(&address(&to), &response(&text, status));
        assert!(sent[0].1.starts_with(&format!("SIP/2.0 {status}\r\n")), "{sent:?}");
    }
}

/// TS 24.229 §5.3.1.3: when the assigned S-CSCF is gone the HSS is asked for capabilities, once.
#[test]
fn a_lost_assigned_scscf_is_replaced_by_asking_the_hss_anew() {
    let mut bench = Bench::new();
    bench.receive(PCSCF, &register(CONTACT));
    bench.answer_with_all_unreachable(uaa(CxResult::SUBSEQUENT_REGISTRATION, Some(FIRST)));
    let CxRequest::Uar(uar) = bench.asked() else { panic!("no UAR") };
    assert_eq!(uar.authorization_type, UserAuthorizationType::RegistrationAndCapabilities);
    let sent = bench.answer_with_all_unreachable(uaa(CxResult::SUCCESS, None));
    assert!(sent.iter().any(|(to, _)| to == "udp:127.0.0.22:6060"), "{sent:?}");
    assert!(sent.iter().all(|(to, _)| to != "udp:127.0.0.12:6060"), "none is tried twice: {sent:?}");
    let (_, last) = sent.last().expect("a response");
    assert!(last.starts_with("SIP/2.0 504 "), "{last}");
    assert!(bench.settles());
}

/// TS 24.229 §5.3.1.3: a protected REGISTER belongs to its S-CSCF.
#[test]
fn a_protected_register_does_not_move_on() {
    for (flag, moves) in [("yes", false), ("tls-yes", false), ("no", true)] {
        let mut bench = Bench::new();
        let authorization = format!("Authorization: Digest username=\"u\",integrity-protected=\"{flag}\"\n");
        bench.receive(PCSCF, &register(&format!("{CONTACT}{authorization}")));
        let sent = bench.answer_with_all_unreachable(select(&[]));
        assert_eq!(sent.iter().any(|(to, _)| to == "udp:127.0.0.22:6060"), moves, "{flag}: {sent:?}");
    }
}

#[test]
fn an_answer_of_another_command_is_no_answer() {
    let mut bench = Bench::new();
    bench.receive(PCSCF, &register(CONTACT));
    let sent = bench.answer(Ok(CxAnswer::Lia(Default::default())));
    assert!(sent[0].1.starts_with("SIP/2.0 504 "), "{sent:?}");
}
