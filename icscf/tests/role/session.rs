//! Requests other than REGISTER (TS 24.229 §5.3.2).

use crate::bench::*;
use cscf::Trust;
use diameter_client::cx::{
    CxAnswer, CxRequest, CxResult, Lia, Lir, ServerCapabilities, UserAuthorizationType,
};
use diameter_client::endpoint::CxFailure;
use std::time::Duration;

const SCSCF: &str = "127.0.0.12:6060";

fn request(method: &str, uri: &str, extra: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKi1\nMax-Forwards: 66\n\
         Record-Route: <sip:mo@{SCSCF};lr>\nFrom: <sip:alice@{HOME}>;tag=a1\nTo: <sip:bob@{HOME}>\nCall-ID: c1\n\
         CSeq: 1 {method}\n{extra}Content-Length: 0\n\n"
    )
}

fn invite(uri: &str) -> String {
    request("INVITE", uri, &format!("Route: <sip:{ICSCF};lr>\n"))
}

fn bob() -> String {
    format!("sip:bob@{HOME}")
}

fn lia(result: CxResult, server_name: Option<&str>) -> Result<CxAnswer, CxFailure> {
    Ok(CxAnswer::Lia(Lia { result, server_name: server_name.map(str::to_owned), ..Lia::default() }))
}

fn asked(text: &str) -> Lir {
    let mut bench = Bench::new();
    bench.receive(SCSCF, text);
    match bench.asked() {
        CxRequest::Lir(lir) => lir,
        other => panic!("{other:?}"),
    }
}

/// TS 24.229 §5.3.2.1: the S-CSCF becomes the Route, the Request-URI stays, and this node is not recorded.
#[test]
fn a_request_gets_the_route_of_the_users_scscf() {
    let mut bench = Bench::new();
    let trying = bench.receive(SCSCF, &invite(&bob()));
    assert!(trying[0].1.starts_with("SIP/2.0 100 "), "{trying:?}");
    let CxRequest::Lir(lir) = bench.asked() else { panic!("no LIR") };
    assert_eq!((lir.public_identity, lir.is_originating), (bob(), false));
    let sent = bench.answer(lia(CxResult::SUCCESS, Some(SECOND)));
    let [(to, text)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(to, "udp:127.0.0.22:6060");
    assert!(text.starts_with(&format!("INVITE {} SIP/2.0\r\n", bob())), "{text}");
    assert_eq!(text.matches("Route: ").count(), 2, "one Route, one Record-Route: {text}");
    assert!(text.contains(&format!("\r\nRoute: <{SECOND};lr>\r\n")), "{text}");
    assert!(text.contains(&format!("\r\nRecord-Route: <sip:mo@{SCSCF};lr>\r\n")), "{text}");
}

/// TS 24.229 §5.3.2.1: a SIP URI that stands for a global number of the home network becomes a tel URI.
#[test]
fn a_telephone_number_is_asked_for_and_carried_as_tel() {
    let gruu = format!("sip:+49301@{HOME};user=phone;gr=x");
    for (uri, expected) in [
        (format!("sip:+49301@{HOME};user=phone"), "tel:+49301"),
        ("tel:+49-30-1".to_owned(), "tel:+49301"),
        (gruu, &format!("sip:+49301@{HOME}")),
        (format!("sip:+49301@{HOME}"), &format!("sip:+49301@{HOME}")),
        ("sip:+49301@elsewhere.net;user=phone".to_owned(), "sip:+49301@elsewhere.net"),
    ] {
        assert_eq!(asked(&invite(&uri)).public_identity, expected, "{uri}");
    }
    let mut bench = Bench::new();
    bench.receive(SCSCF, &invite(&format!("sip:+49301@{HOME};user=phone")));
    let sent = bench.answer(lia(CxResult::SUCCESS, Some(FIRST)));
    assert!(sent[0].1.starts_with("INVITE tel:+49301 SIP/2.0\r\n"), "{sent:?}");
}

/// An AS that acts for a user: `orig` in our Route asks for that user's S-CSCF and goes along.
#[test]
fn an_originating_request_of_an_as_is_located_by_its_served_user() {
    let text = request(
        "MESSAGE",
        &bob(),
        &format!(
            "Route: <sip:{ICSCF};lr;orig>\nP-Asserted-Identity: <sip:other@{HOME}>\n\
             P-Served-User: <sip:alice@{HOME}>;sescase=orig;regstate=unreg\n"
        ),
    );
    let lir = asked(&text);
    assert_eq!((lir.public_identity, lir.is_originating), (format!("sip:alice@{HOME}"), true));
    let mut bench = Bench::new();
    bench.receive(SCSCF, &text);
    let sent = bench.answer(lia(CxResult::SUCCESS, Some(FIRST)));
    assert!(sent[0].1.contains(&format!("\r\nRoute: <{FIRST};lr;orig>\r\n")), "{sent:?}");
    let mut bench = Bench::new();
    let nobody = request("MESSAGE", &bob(), &format!("Route: <sip:{ICSCF};lr;orig>\n"));
    assert!(bench.receive(SCSCF, &nobody)[0].1.starts_with("SIP/2.0 403 "));
}

#[test]
fn a_request_with_a_further_route_is_passed_on_without_asking() {
    let mut bench = Bench::new();
    let text = request("MESSAGE", &bob(), &format!("Route: <sip:{ICSCF};lr>, <sip:x@127.0.0.30:5070;lr>\n"));
    let sent = bench.receive(SCSCF, &text);
    assert_eq!(sent[0].0, "udp:127.0.0.30:5070");
    assert!(sent[0].1.contains("\r\nRoute: <sip:x@127.0.0.30:5070;lr>\r\n"), "{sent:?}");
}

/// TS 24.229 §5.3.2.1, TS 29.228 §6.1.4.1: every refusal of the HSS, and its silence.
#[test]
fn what_the_hss_says_of_the_callee_becomes_a_status_or_a_choice() {
    let select = |mandatory: &[u32]| {
        Ok(CxAnswer::Lia(Lia {
            result: CxResult::UNREGISTERED_SERVICE,
            server_capabilities: Some(ServerCapabilities {
                mandatory: mandatory.to_vec(),
                ..Default::default()
            }),
            ..Lia::default()
        }))
    };
    for (answer, expected) in [
        (lia(CxResult::USER_UNKNOWN, None), "SIP/2.0 404 "),
        (lia(CxResult::IDENTITY_NOT_REGISTERED, None), "SIP/2.0 480 "),
        (lia(CxResult::UNABLE_TO_COMPLY, None), "SIP/2.0 504 "),
        (lia(CxResult::SUCCESS, Some("mailto:x")), "SIP/2.0 504 "),
        (Err(CxFailure::Undecodable { reason: "cut short".to_owned() }), "SIP/2.0 504 "),
        (Err(CxFailure::Overload), "SIP/2.0 503 "),
        (select(&[9]), "SIP/2.0 504 "),
        (select(&[7]), "MESSAGE sip:bob"),
        (lia(CxResult::SUCCESS_SERVER_NAME_NOT_STORED, None), "MESSAGE sip:bob"),
        (lia(CxResult::UNREGISTERED_SERVICE, Some(SECOND)), "MESSAGE sip:bob"),
    ] {
        let mut bench = Bench::new();
        bench.receive(SCSCF, &request("MESSAGE", &bob(), ""));
        let told = format!("{answer:?}");
        let sent = bench.answer(answer);
        assert!(sent[0].1.starts_with(expected), "{told}: {sent:?}");
    }
}

#[test]
fn a_wildcarded_identity_goes_along_as_the_profile_key() {
    let mut bench = Bench::new();
    bench.receive(SCSCF, &request("MESSAGE", &bob(), ""));
    let sent = bench.answer(Ok(CxAnswer::Lia(Lia {
        server_name: Some(FIRST.to_owned()),
        wildcarded_public_identity: Some("sip:b!.*!@home.net".to_owned()),
        ..Lia::default()
    })));
    assert!(sent[0].1.contains("P-Profile-Key: <sip:b!.*!@home.net>\r\n"), "{sent:?}");
}

/// TS 24.229 §5.3.2.1: silence of the S-CSCF leads to another one, its refusal does not.
#[test]
fn a_silent_scscf_is_replaced_and_a_refusing_one_is_not() {
    let mut bench = Bench::new();
    bench.receive(SCSCF, &request("MESSAGE", &bob(), ""));
    bench.answer_with_all_unreachable(lia(CxResult::SUCCESS, Some(FIRST)));
    let CxRequest::Lir(lir) = bench.asked() else { panic!("no LIR") };
    assert_eq!(lir.authorization_type, Some(UserAuthorizationType::RegistrationAndCapabilities));
    let sent = bench.answer(lia(CxResult::SUCCESS, None));
    let (to, text) = &sent[0];
    assert_eq!(to, "udp:127.0.0.22:6060");
    let back = bench.receive(&address(to), &response(text, "480 Temporarily Unavailable"));
    assert!(back[0].1.starts_with("SIP/2.0 480 "), "{back:?}");
    assert!(bench.settles());
}

/// TS 29.228 §6.1.4.1: a service that its server has directly is served by no S-CSCF.
#[test]
fn the_silent_server_of_a_service_is_replaced_by_nobody() {
    for (flags, is_replaced) in [(None, true), (Some(0), true), (Some(1), false)] {
        let mut bench = Bench::new();
        bench.receive(SCSCF, &request("MESSAGE", &bob(), ""));
        let server_name = Some(FIRST.to_owned());
        let lia = Lia { result: CxResult::SUCCESS, server_name, lia_flags: flags, ..Lia::default() };
        let sent = bench.answer_with_all_unreachable(Ok(CxAnswer::Lia(lia)));
        let is_refused = sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 504 "));
        assert_eq!(is_refused, !is_replaced, "{flags:?} {sent:?}");
        if is_replaced {
            assert!(matches!(bench.asked(), CxRequest::Lir(_)));
        }
    }
}

/// While the HSS is gone, registered users are found where they are registered; others get the S-CSCF's 5xx.
#[test]
fn without_the_hss_each_scscf_is_tried_until_one_knows_the_callee() {
    for failure in [CxFailure::NoPeer, CxFailure::Timeout] {
        let mut bench = Bench::new();
        bench.receive(SCSCF, &request("MESSAGE", &bob(), ""));
        let sent = bench.answer(Err(failure.clone()));
        assert_eq!(sent[0].0, "udp:127.0.0.12:6060");
        let sent = bench.receive(&address(&sent[0].0), &response(&sent[0].1, "504 Server Time-out"));
        let second = sent.iter().find(|(to, _)| to == "udp:127.0.0.22:6060");
        let (to, text) = second.unwrap_or_else(|| panic!("{sent:?}"));
        let back = bench.receive(&address(to), &response(text, "504 Server Time-out"));
        assert!(back.iter().any(|(_, text)| text.starts_with("SIP/2.0 504 ")), "nobody knows bob: {back:?}");
        assert!(bench.settles());

        let mut bench = Bench::new();
        bench.receive(SCSCF, &request("MESSAGE", &bob(), ""));
        let sent = bench.answer(Err(failure));
        let back = bench.receive(&address(&sent[0].0), &response(&sent[0].1, "486 Busy Here"));
        assert!(back[0].1.starts_with("SIP/2.0 486 "), "whoever knows bob decides: {back:?}");
        assert!(bench.settles());
    }
    let mut bench = Bench::new();
    bench.receive(SCSCF, &request("MESSAGE", &bob(), ""));
    let sent = bench.answer_with_all_unreachable(Err(CxFailure::NoPeer));
    assert!(sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 504 ")), "{sent:?}");
    assert!(bench.settles(), "the HSS is not asked again");
}

/// RFC 3261 §16.10: a call that was cancelled while the HSS was asked goes nowhere.
#[test]
fn a_call_cancelled_during_the_question_is_not_forwarded() {
    let mut bench = Bench::new();
    bench.receive(SCSCF, &invite(&bob()));
    let cancel = invite(&bob()).replace("INVITE", "CANCEL");
    let sent = bench.receive(SCSCF, &cancel);
    assert!(sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 200 ")), "{sent:?}");
    assert!(sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 487 ")), "{sent:?}");
    assert_eq!(bench.answer(lia(CxResult::SUCCESS, Some(FIRST))), []);
    assert!(bench.settles());
}

/// RFC 3261 §16.10: a cancelled call is not tried at another S-CSCF when the first one stays silent.
#[test]
fn a_cancelled_call_does_not_move_on() {
    let mut bench = Bench::new();
    bench.receive(SCSCF, &invite(&bob()));
    bench.answer(lia(CxResult::UNREGISTERED_SERVICE, None));
    bench.receive(SCSCF, &invite(&bob()).replace("INVITE", "CANCEL"));
    let sent = bench.advance(Duration::from_secs(100));
    assert!(sent.iter().all(|(to, _)| to != "udp:127.0.0.22:6060"), "{sent:?}");
    assert!(sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 487 ")), "{sent:?}");
    assert!(bench.settles());
}

#[test]
fn a_request_from_outside_the_trust_domain_is_refused() {
    let mut bench = Bench::new();
    let sent = bench.receive_from(Trust::Outside, "10.0.0.1:5060", &request("MESSAGE", &bob(), ""));
    assert!(sent[0].1.starts_with("SIP/2.0 403 "), "{sent:?}");
}

#[test]
fn options_to_the_node_itself_is_answered() {
    let mut bench = Bench::new();
    let sent = bench.receive(SCSCF, &request("OPTIONS", &format!("sip:{ICSCF}"), ""));
    assert!(sent[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{sent:?}");
}

#[test]
fn a_request_uri_that_names_no_user_is_refused() {
    let mut bench = Bench::new();
    let sent = bench.receive(SCSCF, &request("MESSAGE", "urn:service:counseling", ""));
    assert!(sent[0].1.starts_with("SIP/2.0 416 "), "{sent:?}");
}

/// TS 24.229 §5.4.7A.3: a temporary GRUU names nobody to the HSS, which is not asked; the S-CSCF that has made it is.
#[test]
fn a_temporary_gruu_goes_to_the_scscf_that_has_made_it() {
    let gruu = |scscf: &str| {
        let mut user = b"aaag".to_vec();
        cscf::gruu::Mark::of(scscf).write(&mut user);
        format!("sip:{}xyz@{HOME};gr", String::from_utf8_lossy(&user))
    };
    let mut bench = Bench::new();
    let uri = gruu(SECOND);
    let sent = bench.receive(SCSCF, &invite(&uri));
    let (to, text) = sent.last().unwrap_or_else(|| panic!("{sent:?}"));
    assert_eq!(to, "udp:127.0.0.22:6060");
    assert!(text.starts_with(&format!("INVITE {uri} SIP/2.0\r\n")), "{text}");
    let mut bench = Bench::new();
    let sent = bench.receive(SCSCF, &invite(&gruu("sip:nobody:6060")));
    assert!(sent.last().is_some_and(|(_, text)| text.starts_with("SIP/2.0 404 ")), "{sent:?}");
}
