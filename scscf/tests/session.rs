//! Requests of and to the users of an S-CSCF, told as messages (TS 24.229 §5.4.3).

mod bench;

use bench::*;
use cscf::flow::Trust;
use cscf::identity::Impu;
use diameter_client::cx::{CxResult, ServerAssignmentType};
use diameter_client::endpoint::CxFailure;
use scscf::Command;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const FAR: &str = "192.0.2.9:5060";

fn request(method: &str, uri: &str, branch: &str, headers: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.10:5060;branch=z9hG4bK{branch}\n\
         Record-Route: <sip:p-orig@127.0.0.10:5060;lr>\nMax-Forwards: 68\n\
         From: <sip:alice@{HOME}>;tag=a\nTo: <{uri}>\nCall-ID: call-1\nCSeq: 1 {method}\n\
         Contact: <sip:alice@10.0.0.1:5060>\n{headers}Content-Length: 0\n\n"
    )
}

/// What alice's P-CSCF sends by her Service-Route.
fn from_alice(service_route: &str, method: &str, uri: &str, more: &str) -> String {
    let headers = format!(
        "Route: {service_route}\nP-Asserted-Identity: <sip:alice@{HOME}>\n\
         P-Charging-Vector: icid-value=i2;orig-ioi=visited\n{more}"
    );
    request(method, uri, "orig", &headers)
}

/// What the I-CSCF sends for a user.
fn to_user(method: &str, uri: &str, more: &str) -> String {
    let headers = format!(
        "Route: <sip:scscf.{HOME}:6060;lr>\nP-Asserted-Identity: <sip:alice@{HOME}>\n\
         P-Charging-Vector: icid-value=i2;orig-ioi={HOME}\n{more}"
    );
    request(method, uri, "term", &headers)
}

fn bob() -> String {
    format!("sip:bob@{HOME}")
}

fn registered(user: &str) -> (Bench, String) {
    let mut bench = Bench::new();
    let ok = bench.register(&register(user));
    let service_route = header(&ok, "Service-Route").to_owned();
    (bench, service_route)
}

/// A response to a request as its next hop would send it.
fn response(request: &str, status: &str, more: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\n");
    for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
        for value in headers(request, name) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    let to = header(request, "To");
    let tag = if to.contains(";tag=") { "" } else { ";tag=b" };
    format!("{text}To: {to}{tag}\n{more}Content-Length: 0\n\n")
}

#[test]
fn a_call_of_a_user_goes_to_the_icscf_marked_and_charged() {
    let (mut bench, service_route) = registered("alice");
    let did = bench.receive(
        PCSCF,
        &from_alice(&service_route, "INVITE", &bob(), "P-Served-User: <sip:alice@x>\n")
            .replace("sip:alice@x", &format!("sip:alice@{HOME}")),
    );
    let all = sips(&did);
    let (to, invite) = all[0];
    assert_eq!(to, ICSCF);
    assert!(headers(invite, "Route").is_empty() && headers(invite, "P-Served-User").is_empty(), "{invite}");
    assert_eq!(
        headers(invite, "P-Asserted-Identity"),
        [format!("<sip:alice@{HOME}>").as_str(), "<tel:+4930100001>"]
    );
    assert_eq!(header(invite, "P-Charging-Vector"), format!("icid-value=i2;orig-ioi={HOME}"));
    assert_eq!(header(invite, "Session-Expires"), "1800");
    let recorded = headers(invite, "Record-Route");
    assert!(
        recorded[0].contains(&format!("@scscf.{HOME}:6060;lr")) && recorded[1].contains("p-orig"),
        "{recorded:?}"
    );
    assert_ne!(recorded[0], service_route);
}

#[test]
fn a_dialled_number_becomes_global_and_another_network_hears_no_more_than_it_may() {
    let (mut bench, service_route) = registered("alice");
    let uri = format!("tel:030-100002;phone-context={HOME}");
    let did = bench.receive(PCSCF, &from_alice(&service_route, "MESSAGE", &uri, ""));
    assert!(sip(&did).starts_with("MESSAGE tel:+4930100002 SIP/2.0"), "{did:?}");

    let (mut bench, service_route) = registered("alice");
    let pani = "P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=1\n";
    let did = bench.receive(PCSCF, &from_alice(&service_route, "MESSAGE", "sip:carol@far.example", pani));
    let all = sips(&did);
    assert_eq!(all[0].0, FAR);
    assert!(headers(all[0].1, "P-Access-Network-Info").is_empty(), "{}", all[0].1);
}

#[test]
fn a_barred_originator_is_forbidden_and_so_is_one_whom_nobody_asserts() {
    let (mut bench, service_route) = registered("alice");
    let text = from_alice(&service_route, "INVITE", &bob(), "");
    let asserted = format!("P-Asserted-Identity: <sip:alice@{HOME}>");
    let barred = text.replace(&asserted, &format!("P-Asserted-Identity: <sip:imsi-alice@{HOME}>"));
    assert!(sip(&bench.receive(PCSCF, &barred)).starts_with("SIP/2.0 403 "));
    let nobody = text.replace(&format!("{asserted}\n"), "").replace("z9hG4bKorig", "z9hG4bKother");
    assert!(sip(&bench.receive(PCSCF, &nobody)).starts_with("SIP/2.0 403 "));
}

#[test]
fn a_user_whose_registration_is_lost_is_asked_to_register_again() {
    let (mut bench, service_route) = registered("alice");
    bench.command(Command::Deregister { impu: Impu::parse(format!("sip:alice@{HOME}").as_bytes()).unwrap() });
    let did = bench.receive(PCSCF, &from_alice(&service_route, "INVITE", &bob(), ""));
    // TS 29.228 §6.1.2.1: the HSS has forgotten the user, too.
    let did = bench.cx(sar(&did).0, saa_result(CxResult::UNABLE_TO_COMPLY));
    let lost = sip(&did);
    assert!(lost.starts_with("SIP/2.0 504 ") && lost.contains("<type>restoration</type>"), "{lost}");
    assert_eq!(header(lost, "P-Asserted-Identity"), service_route);
}

#[test]
fn a_service_route_outlives_a_restart() {
    let (bench, service_route) = registered("alice");
    let (mut bench, _) = bench.restart(10 * SECOND);
    let did = bench.receive(PCSCF, &from_alice(&service_route, "MESSAGE", &bob(), ""));
    assert_eq!(sips(&did)[0].0, ICSCF);
}

#[test]
fn a_call_to_a_user_goes_along_the_path_to_the_contact() {
    let (mut bench, _) = registered("bob");
    let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), ""));
    let all = sips(&did);
    let (to, invite) = all[0];
    assert_eq!(to, PCSCF);
    assert!(invite.starts_with("INVITE sip:bob@10.0.0.1:5060 SIP/2.0"), "{invite}");
    assert_eq!(header(invite, "Route"), "<sip:path-bob@127.0.0.10:5060;lr>");
    assert_eq!(header(invite, "P-Called-Party-ID"), format!("<{}>", bob()));

    let ringing = response(invite, "180 Ringing", &format!("P-Asserted-Identity: <{}>\n", bob()));
    let did = bench.receive(PCSCF, &ringing);
    let ringing = sip(&did);
    assert_eq!(
        headers(ringing, "P-Asserted-Identity"),
        [format!("<{}>", bob()).as_str(), "<tel:+4930100002>"]
    );
    assert_eq!(
        header(ringing, "P-Charging-Vector"),
        format!("icid-value=i2;orig-ioi={HOME};term-ioi={HOME}")
    );
}

#[test]
fn a_number_finds_its_user_in_either_form() {
    for uri in ["tel:+49-30-100002".to_owned(), format!("sip:+4930100002@{HOME};user=phone")] {
        let (mut bench, _) = registered("bob");
        let did = bench.receive(ICSCF, &to_user("MESSAGE", &uri, ""));
        assert!(sip(&did).starts_with("MESSAGE sip:bob@10.0.0.1:5060 "), "{uri}: {did:?}");
    }
}

#[test]
fn who_is_not_registered_is_unavailable_and_who_does_not_exist_is_not_found() {
    let mut bench = Bench::new();
    let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), ""));
    let (id, asked) = sar(&did);
    assert_eq!((asked.assignment_type, &asked.user_name), (ServerAssignmentType::UnregisteredUser, &None));
    let did = bench.cx(id, saa("bob"));
    assert!(sip(&did).starts_with("SIP/2.0 480 "));
    // The profile is kept for a while, and then given back.
    let again = to_user("INVITE", &bob(), "").replace("z9hG4bKterm", "z9hG4bKterm2");
    assert!(sip(&bench.receive(ICSCF, &again)).starts_with("SIP/2.0 480 "));
    let did = bench.advance(601 * SECOND);
    let given_back = did.iter().any(|one| matches!(one, Did::Cx(..)));
    assert!(given_back && bench.node.role().registrations().is_empty(), "{did:?}");

    for (answer, status) in [
        (Ok(CxResult::USER_UNKNOWN), "404"),
        (Err(CxFailure::NoPeer), "504"),
        (Ok(CxResult::UNABLE_TO_COMPLY), "500"),
    ] {
        let mut bench = Bench::new();
        let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), ""));
        let (id, _) = cx(&did);
        let did = match answer {
            Ok(result) => bench.cx(id, saa_result(result)),
            Err(failure) => bench.cx_fails(id, failure),
        };
        assert!(sip(&did).starts_with(&format!("SIP/2.0 {status} ")), "{did:?}");
    }
}

#[test]
fn a_barred_identity_cannot_be_called() {
    let (mut bench, _) = registered("bob");
    let did = bench.receive(ICSCF, &to_user("INVITE", &format!("sip:imsi-bob@{HOME}"), ""));
    assert!(sip(&did).starts_with("SIP/2.0 404 "));
}

fn with_two_phones(q: [&str; 2]) -> Bench {
    let mut bench = Bench::new();
    for (n, q) in q.iter().enumerate() {
        let contact = format!("<sip:bob@10.0.0.{n}>;expires=600;q={q};+sip.instance=\"<urn:uuid:{n}>\"");
        bench.register(&Register { call_id: format!("phone{n}"), ..register("bob").contact(&contact) });
    }
    bench
}

#[test]
fn all_phones_of_equal_preference_ring_at_once_and_the_first_answer_stops_the_rest() {
    let mut bench = with_two_phones(["1.0", "1.0"]);
    let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), ""));
    let invites: Vec<String> = sips(&did).iter().map(|(_, text)| text.to_string()).collect();
    assert_eq!(invites.len(), 2);
    assert_eq!(headers(&invites[0], "Record-Route")[0], headers(&invites[1], "Record-Route")[0]);
    bench.receive(PCSCF, &response(&invites[0], "180 Ringing", ""));
    bench.receive(PCSCF, &response(&invites[1], "180 Ringing", ""));
    let did = bench.receive(PCSCF, &response(&invites[0], "200 OK", "Contact: <sip:bob@10.0.0.0>\n"));
    let all = sips(&did);
    assert!(all.iter().any(|(_, text)| text.starts_with("SIP/2.0 200 ")), "{did:?}");
    assert!(all.iter().any(|(_, text)| text.starts_with("CANCEL sip:bob@10.0.0.1 ")), "{did:?}");
}

#[test]
fn a_less_wanted_phone_rings_when_the_better_one_has_failed_and_not_after_a_6xx() {
    for (failure, second_rings) in [("486 Busy Here", true), ("603 Decline", false)] {
        let mut bench = with_two_phones(["0.9", "0.5"]);
        let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), ""));
        let first = sip(&did).to_owned();
        assert!(first.starts_with("INVITE sip:bob@10.0.0.0 "), "{first}");
        let did = bench.receive(PCSCF, &response(&first, failure, ""));
        let rings = sips(&did).iter().any(|(_, text)| text.starts_with("INVITE sip:bob@10.0.0.1 "));
        assert_eq!(rings, second_rings, "{failure}: {did:?}");
    }
}

#[test]
fn no_fork_reaches_one_phone() {
    let mut bench = with_two_phones(["1.0", "1.0"]);
    let did = bench.receive(ICSCF, &to_user("MESSAGE", &bob(), "Request-Disposition: no-fork\n"));
    assert_eq!(sips(&did).len(), 1);
}

/// A call to bob that was answered; gives the 200's Record-Routes.
fn call(bench: &mut Bench, more: &str) -> Vec<String> {
    let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), more));
    let invite = sips(&did)[0].1.to_owned();
    let ok = response(&invite, "200 OK", "Contact: <sip:bob@10.0.0.1:5060>\n");
    // The P-CSCF of bob has recorded its route too.
    let ok =
        ok.replacen("Record-Route: ", "Record-Route: <sip:p-term@127.0.0.10:5060;lr>\nRecord-Route: ", 1);
    let did = bench.receive(PCSCF, &ok);
    let ok = sip(&did);
    headers(ok, "Record-Route").into_iter().map(str::to_owned).collect()
}

fn within(method: &str, cseq: u32, routes: &[String]) -> String {
    let routes: String = routes.iter().map(|route| format!("Route: {route}\n")).collect();
    format!(
        "{method} sip:bob@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.10:5060;branch=z9hG4bK{method}{cseq}\n\
         Max-Forwards: 68\nFrom: <sip:alice@{HOME}>;tag=a\nTo: <{}>;tag=b\nCall-ID: call-1\nCSeq: {cseq} {method}\n\
         {routes}Content-Length: 0\n\n",
        bob()
    )
}

#[test]
fn requests_within_a_dialog_follow_their_route_and_bye_ends_it() {
    let (mut bench, _) = registered("bob");
    let recorded = call(&mut bench, "");
    // As the caller's side sends it: what lies between it and us is used up.
    let routes: Vec<String> = recorded.iter().take(2).rev().cloned().collect();
    let did = bench.receive(ICSCF, &within("ACK", 1, &routes));
    let ack = sip(&did);
    assert_eq!(headers(ack, "Route"), ["<sip:p-term@127.0.0.10:5060;lr>"], "{ack}");
    assert_eq!(bench.node.role().sessions().len(), 1);
    let did = bench.receive(ICSCF, &within("BYE", 2, &routes));
    assert_eq!(headers(sip(&did), "Route"), ["<sip:p-term@127.0.0.10:5060;lr>"]);
    assert!(bench.node.role().sessions().is_empty());
}

#[test]
fn the_network_releases_the_calls_of_a_user_whose_registration_it_ends() {
    let (mut bench, _) = registered("bob");
    call(&mut bench, "");
    let did = bench.command(Command::Deregister { impu: Impu::parse(bob().as_bytes()).unwrap() });
    let byes: Vec<(&str, &str)> =
        sips(&did).into_iter().filter(|(_, text)| text.starts_with("BYE ")).collect();
    assert_eq!(byes.len(), 2, "{did:?}");
    let (_, to_bob) = byes[0];
    assert!(to_bob.starts_with("BYE sip:bob@10.0.0.1:5060 "), "{to_bob}");
    assert_eq!(header(to_bob, "Route"), "<sip:p-term@127.0.0.10:5060;lr>");
    assert!(header(to_bob, "Reason").starts_with("SIP;cause=480"));
    let (_, to_alice) = byes[1];
    assert!(to_alice.starts_with("BYE sip:alice@10.0.0.1:5060 "), "{to_alice}");
    assert_eq!(header(to_alice, "Route"), "<sip:p-orig@127.0.0.10:5060;lr>");
    assert!(bench.node.role().sessions().is_empty());
}

#[test]
fn a_call_that_rings_is_refused_when_the_registration_ends_and_a_late_answer_is_ended() {
    let (mut bench, _) = registered("bob");
    let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), ""));
    let invite = sips(&did)[0].1.to_owned();
    bench.receive(PCSCF, &response(&invite, "180 Ringing", ""));
    let did = bench.command(Command::Deregister { impu: Impu::parse(bob().as_bytes()).unwrap() });
    assert!(sips(&did).iter().any(|(_, text)| text.starts_with("SIP/2.0 480 ")), "{did:?}");
    assert!(sips(&did).iter().any(|(_, text)| text.starts_with("CANCEL sip:bob@10.0.0.1:5060 ")), "{did:?}");
    let did = bench.receive(PCSCF, &response(&invite, "200 OK", "Contact: <sip:bob@10.0.0.1:5060>\n"));
    let sent: Vec<&str> = sips(&did).into_iter().map(|(_, text)| text.split(' ').next().unwrap()).collect();
    assert_eq!(sent, ["ACK", "BYE"], "{did:?}");
    assert_eq!(header(sips(&did)[0].1, "CSeq"), "1 ACK");
    bench.advance(240 * SECOND);
    assert!(bench.node.role().sessions().is_empty());
}

#[test]
fn a_session_interval_below_the_minimum_is_a_422_and_a_missing_refresher_is_named() {
    let (mut bench, _) = registered("bob");
    let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), "Session-Expires: 60\nSupported: timer\n"));
    assert!(sip(&did).starts_with("SIP/2.0 422 "));
    assert_eq!(header(sip(&did), "Min-SE"), "90");
    assert!(bench.node.role().sessions().is_empty());

    let (mut bench, _) = registered("bob");
    let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), "Supported: timer\n"));
    let invite = sips(&did)[0].1.to_owned();
    let did = bench.receive(PCSCF, &response(&invite, "200 OK", "Contact: <sip:bob@10.0.0.1:5060>\n"));
    let ok = sip(&did);
    assert_eq!(header(ok, "Session-Expires"), "1800;refresher=uac");
    assert_eq!(header(ok, "Require"), "timer");
    bench.advance(1800 * SECOND);
    assert!(bench.node.role().sessions().is_empty());
}

#[test]
fn a_call_that_fails_or_is_given_up_leaves_no_session() {
    let (mut bench, _) = registered("bob");
    let did = bench.receive(ICSCF, &to_user("INVITE", &bob(), ""));
    let invite = sips(&did)[0].1.to_owned();
    let did = bench.receive(PCSCF, &response(&invite, "486 Busy Here", ""));
    assert!(sips(&did).iter().any(|(_, text)| text.starts_with("SIP/2.0 486 ")), "{did:?}");
    assert!(bench.node.role().sessions().is_empty());

    let (mut bench, _) = registered("bob");
    let invite = to_user("INVITE", &bob(), "");
    bench.receive(ICSCF, &invite);
    bench.advance(400 * SECOND);
    assert!(bench.node.role().sessions().is_empty());
}

#[test]
fn a_caller_who_gives_up_while_the_hss_is_asked_reaches_nobody() {
    let mut bench = Bench::new();
    let invite = to_user("INVITE", &bob(), "");
    let did = bench.receive(ICSCF, &invite);
    let (id, _) = cx(&did);
    let cancel = invite.replace("INVITE", "CANCEL").replace("Contact: <sip:alice@10.0.0.1:5060>\n", "");
    let did = bench.receive(ICSCF, &cancel);
    assert!(sips(&did).iter().any(|(_, text)| text.starts_with("SIP/2.0 487 ")), "{did:?}");
    let did = bench.cx(id, saa("bob"));
    assert!(sips(&did).is_empty(), "{did:?}");
}

#[test]
fn whoever_goes_round_the_pcscf_is_refused_and_a_ping_is_answered() {
    let (mut bench, service_route) = registered("alice");
    let did = bench.receive_from(
        "10.0.0.1:5060",
        Trust::Outside,
        &from_alice(&service_route, "INVITE", &bob(), ""),
    );
    assert!(sip(&did).starts_with("SIP/2.0 403 "));
    let did = bench.receive(ICSCF, &request("OPTIONS", &format!("sip:scscf.{HOME}:6060"), "ping", ""));
    assert!(sip(&did).starts_with("SIP/2.0 200 "));
}

#[test]
fn a_call_between_two_users_of_this_scscf_passes_twice_and_later_requests_once() {
    let (mut bench, service_route) = registered("alice");
    bench.register(&register("bob"));
    let did = bench.receive(PCSCF, &from_alice(&service_route, "INVITE", &bob(), ""));
    let invite = sips(&did)[0].1.to_owned();
    // The I-CSCF adds its Via and the Route to us.
    let spiral = invite.replacen(
        "Via: ",
        &format!(
            "Route: <sip:scscf.{HOME}:6060;lr>\r\nVia: SIP/2.0/UDP 127.0.0.11:4060;branch=z9hG4bKi\r\nVia: "
        ),
        1,
    );
    let did = bench.receive(ICSCF, &spiral.replace("\r\n", "\n"));
    let to_bob = sips(&did)[0].1.to_owned();
    assert!(to_bob.starts_with("INVITE sip:bob@10.0.0.1:5060 "), "{to_bob}");
    let recorded = headers(&to_bob, "Record-Route");
    assert_eq!(recorded.len(), 3, "{to_bob}");
    assert_eq!(bench.node.role().sessions().len(), 2);

    bench.advance(SECOND);
    let ok =
        response(&to_bob, "200 OK", "Contact: <sip:bob@10.0.0.1:5060>\nSession-Expires: 600;refresher=uac\n");
    let did = bench.receive(PCSCF, &ok);
    // Back through the I-CSCF to ourselves, and on to alice.
    let back = sip(&did).replace("\r\n", "\n");
    let own_via = back.lines().find(|line| line.starts_with("Via: ")).unwrap();
    bench.receive(ICSCF, &back.replacen(&format!("{own_via}\n"), "", 1));
    bench.advance(300 * SECOND);
    let routes: Vec<String> = recorded.iter().take(2).rev().map(|route| route.to_string()).collect();
    let did = bench.receive(PCSCF, &within("UPDATE", 2, &routes));
    bench.receive(PCSCF, &response(sip(&did), "200 OK", "Session-Expires: 600;refresher=uac\n"));
    bench.advance(400 * SECOND);
    assert_eq!(bench.node.role().sessions().len(), 2, "refreshed at 300 s, both live until 900 s");
    let did = bench.receive(PCSCF, &within("BYE", 3, &routes));
    let bye = sip(&did);
    assert!(headers(bye, "Route").is_empty() && bench.node.role().sessions().is_empty(), "{bye}");
}
