//! Application servers that do what they should not, told as messages (TS 24.229 §5.4.3.2, §5.4.3.3).

mod bench;

use bench::*;
use diameter_client::cx::{CxAnswer, CxRequest, CxResult, Ppr, Saa};
use std::time::Duration;

const AS1: &str = "192.0.2.51:5065";
const AS2: &str = "192.0.2.52:5065";
/// The flow that a request came in on.
const BACK: &str = "back";
const SECOND: Duration = Duration::from_secs(1);
const CONTINUED: u8 = 0;
const TERMINATED: u8 = 1;

/// A criterion: requests of a session case that are no REGISTERs, and what else `triggers` say.
fn criterion(priority: usize, case: u8, server: &str, handling: u8, triggers: &str) -> String {
    format!(
        "<InitialFilterCriteria><Priority>{priority}</Priority><TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF>\
         <SPT><Group>0</Group><SessionCase>{case}</SessionCase></SPT>\
         <SPT><ConditionNegated>1</ConditionNegated><Group>1</Group><Method>REGISTER</Method></SPT>{triggers}\
         </TriggerPoint><ApplicationServer><ServerName>{server}</ServerName>\
         <DefaultHandling>{handling}</DefaultHandling></ApplicationServer></InitialFilterCriteria>"
    )
}

/// Of requests of the user.
fn originating(server: &str, handling: u8) -> String {
    criterion(1, 0, &format!("sip:{server}"), handling, "")
}

/// Registers a user with criteria, and gives the Service-Route.
fn registered_at(mut bench: Bench, user: &str, services: &str) -> (Bench, String) {
    let (id, _) = bench.authenticate(&register(user));
    let xml = String::from_utf8(profile(user)).expect("text");
    let xml = xml.replace("</ServiceProfile>", &format!("{services}</ServiceProfile>"));
    let user_data = Some(xml.into_bytes());
    let answer = CxAnswer::Saa(Saa { result: CxResult::SUCCESS, user_data, ..Default::default() });
    let did = bench.cx(id, answer);
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    let service_route = header(sip(&did), "Service-Route").to_owned();
    (bench, service_route)
}

fn registered(user: &str, services: &str) -> (Bench, String) {
    registered_at(Bench::new(), user, services)
}

/// What alice's P-CSCF sends by her Service-Route; each with a number of its own.
fn from_alice(service_route: &str, method: &str, number: usize, more: &str) -> String {
    format!(
        "{method} sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/UDP {PCSCF};branch=z9hG4bKorig{number}\nMax-Forwards: 68\n\
         Route: {service_route}\nFrom: <sip:alice@{HOME}>;tag=a\nTo: <sip:bob@{HOME}>\nCall-ID: call-{number}\n\
         CSeq: 1 {method}\nContact: <sip:alice@10.0.0.1:5060>\nP-Asserted-Identity: <sip:alice@{HOME}>\n\
         P-Charging-Vector: icid-value=i2;orig-ioi=visited\n{more}Content-Length: 0\n\n"
    )
}

/// What the I-CSCF sends for bob.
fn to_bob(method: &str, number: usize, more: &str) -> String {
    format!(
        "{method} sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/UDP {ICSCF};branch=z9hG4bKterm{number}\nMax-Forwards: 68\n\
         Route: <sip:scscf.{HOME}:6060;lr>\nFrom: <sip:alice@{HOME}>;tag=a\nTo: <sip:bob@{HOME}>\n\
         Call-ID: call-{number}\nCSeq: 1 {method}\nContact: <sip:alice@10.0.0.1:5060>\n\
         P-Asserted-Identity: <sip:alice@{HOME}>\nP-Charging-Vector: icid-value=i2;orig-ioi={HOME}\n\
         {more}Content-Length: 0\n\n"
    )
}

/// A response as the next hop would send it.
fn response(request: &str, status: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\n");
    for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
        for value in headers(request, name) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    format!("{text}To: {};tag=as\nContact: <sip:as@{AS1}>\nContent-Length: 0\n\n", header(request, "To"))
}

/// A request as an application server that is a proxy sends it back, for the `number`th time.
fn back(request: &str, server: &str, number: usize) -> String {
    let text = request.replace("\r\n", "\n");
    let (line, rest) = text.split_once('\n').expect("a request");
    let (_, own) = header(request, "Route").split_once(", ").expect("two Routes");
    let rest = rest.replace(&format!("Route: {}", header(request, "Route")), &format!("Route: {own}"));
    format!("{line}\nVia: SIP/2.0/UDP {server};branch=z9hG4bKas{number}\n{rest}")
}

/// Where each message went, and its first line up to the Request-URI or the reason.
fn told(did: &[Did]) -> Vec<(String, String)> {
    let words = |text: &str| {
        text.split(' ').take(if text.starts_with("SIP") { 2 } else { 1 }).collect::<Vec<_>>().join(" ")
    };
    sips(did).into_iter().map(|(to, text)| (to.to_owned(), words(text))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(to, what)| ((*to).to_owned(), (*what).to_owned())).collect()
}

fn count(bench: &Bench, cause: &str) -> u64 {
    bench.node.counters().get("application server", cause)
}

/// TS 24.229 §5.4.3.2: only a 1xx other than 100 keeps default handling away.
#[test]
fn a_server_that_says_100_and_nothing_more_is_cancelled_and_gone_round() {
    let (mut bench, route) = registered("alice", &originating(AS1, CONTINUED));
    let did = bench.receive(PCSCF, &from_alice(&route, "INVITE", 1, ""));
    let invite = sip(&did).to_owned();
    assert_eq!(told(&did), pairs(&[(AS1, "INVITE")]));
    bench.receive(AS1, &response(&invite, "100 Trying"));
    assert_eq!(told(&bench.advance(4 * SECOND)), []);
    let did = bench.advance(Duration::from_millis(1200));
    let mut after = told(&did);
    after.sort();
    let mut expected = pairs(&[(AS1, "CANCEL"), (ICSCF, "INVITE")]);
    expected.sort();
    assert_eq!(after, expected);
    // What it says to that is between it and us; and so is what it says too late.
    assert_eq!(told(&bench.receive(AS1, &response(&invite, "180 Ringing"))), []);
    assert_eq!(
        told(&bench.receive(AS1, &response(&invite, "487 Request Terminated"))),
        pairs(&[(AS1, "ACK")])
    );
    let onward = sips(&did).into_iter().find(|(to, _)| *to == ICSCF).expect("the INVITE").1.to_owned();
    let did = bench.receive(ICSCF, &response(&onward, "200 OK"));
    assert_eq!(told(&did), pairs(&[(BACK, "SIP/2.0 200")]));
    assert!(!bench.node.role().left_out().iter().any(|_| true), "it has said a word: it is not dead");
}

#[test]
fn by_the_other_default_handling_its_caller_gets_a_408() {
    let (mut bench, route) = registered("alice", &originating(AS1, TERMINATED));
    let invite = sip(&bench.receive(PCSCF, &from_alice(&route, "INVITE", 1, ""))).to_owned();
    bench.receive(AS1, &response(&invite, "100 Trying"));
    let mut after = told(&bench.advance(Duration::from_millis(5200)));
    after.sort();
    assert_eq!(after[..], pairs(&[(AS1, "CANCEL"), (BACK, "SIP/2.0 408")])[..], "{after:?}");
}

#[test]
fn one_that_rings_is_waited_for_as_long_as_a_call_is() {
    let (mut bench, route) = registered("alice", &originating(AS1, CONTINUED));
    let invite = sip(&bench.receive(PCSCF, &from_alice(&route, "INVITE", 1, ""))).to_owned();
    bench.receive(AS1, &response(&invite, "100 Trying"));
    let did = bench.receive(AS1, &response(&invite, "183 Session Progress"));
    assert_eq!(told(&did), pairs(&[(BACK, "SIP/2.0 183")]));
    assert_eq!(told(&bench.advance(60 * SECOND)), []);
}

/// It answers when its request has gone on: nobody hears it, and what it sends back is refused.
#[test]
fn an_answer_that_comes_too_late_is_nobodys() {
    let (mut bench, route) = registered("alice", &originating(AS1, TERMINATED));
    let invite = sip(&bench.receive(PCSCF, &from_alice(&route, "INVITE", 1, ""))).to_owned();
    let after = told(&bench.advance(6 * SECOND));
    assert_eq!(after.last(), pairs(&[(BACK, "SIP/2.0 408")]).last(), "{after:?}");
    assert_eq!(told(&bench.receive(AS1, &response(&invite, "200 OK"))), []);
    let did = bench.receive(AS1, &back(&invite, AS1, 1));
    assert_eq!(told(&did), pairs(&[(BACK, "SIP/2.0 408")]));
}

#[test]
fn a_uri_that_would_spoil_the_route_is_one_that_cannot_be_reached() {
    for server in
        ["sip:as.example&gt;, &lt;sip:evil.example", "as.example", "tel:+4930", "sip:as.example?Route=x"]
    {
        for (handling, expected) in [(CONTINUED, (ICSCF, "MESSAGE")), (TERMINATED, (BACK, "SIP/2.0 504"))] {
            let (mut bench, route) = registered("alice", &criterion(1, 0, server, handling, ""));
            let did = bench.receive(PCSCF, &from_alice(&route, "MESSAGE", 1, ""));
            assert_eq!(told(&did), pairs(&[expected]), "{server}");
            assert!(!sip(&did).contains("evil.example"), "{did:?}");
            assert_eq!(count(&bench, "unusable uri"), 1);
        }
    }
    // The next one is visited all the same.
    let both =
        [criterion(1, 0, "sip:&lt;", CONTINUED, ""), criterion(2, 0, &format!("sip:{AS2}"), CONTINUED, "")];
    let (mut bench, route) = registered("alice", &both.concat());
    let did = bench.receive(PCSCF, &from_alice(&route, "MESSAGE", 1, ""));
    assert_eq!(told(&did), pairs(&[(AS2, "MESSAGE")]));
}

#[test]
fn a_server_that_does_not_answer_is_left_out_until_it_answers_what_it_is_asked() {
    let (mut bench, route) = registered("alice", &originating(AS1, CONTINUED));
    bench.receive(PCSCF, &from_alice(&route, "MESSAGE", 1, ""));
    let after = told(&bench.advance(6 * SECOND));
    assert!(after.contains(&(ICSCF.to_owned(), "MESSAGE".to_owned())), "{after:?}");
    assert_eq!(bench.node.role().left_out().iter().collect::<Vec<_>>(), [format!("sip:{AS1}")]);
    // Nobody waits for it any more.
    let did = bench.receive(PCSCF, &from_alice(&route, "MESSAGE", 2, ""));
    assert_eq!(told(&did), pairs(&[(ICSCF, "MESSAGE")]));
    assert_eq!((count(&bench, "left out"), count(&bench, "does not answer, is left out")), (1, 1));
    let did = bench.advance(5 * SECOND);
    let options =
        sips(&did).into_iter().find(|(_, text)| text.starts_with("OPTIONS ")).expect("it is asked").1;
    bench.receive(AS1, &response(options, "405 Method Not Allowed"));
    assert_eq!(count(&bench, "answers again"), 1);
    let did = bench.receive(PCSCF, &from_alice(&route, "MESSAGE", 3, ""));
    assert_eq!(told(&did), pairs(&[(AS1, "MESSAGE")]));
}

#[test]
fn a_server_that_never_answers_is_tried_again_after_its_time_and_each_time_where_there_is_none() {
    let (mut bench, route) = registered("alice", &originating(AS1, CONTINUED));
    bench.receive(PCSCF, &from_alice(&route, "MESSAGE", 1, ""));
    bench.advance(40 * SECOND);
    let did = bench.receive(PCSCF, &from_alice(&route, "MESSAGE", 2, ""));
    assert_eq!(told(&did), pairs(&[(AS1, "MESSAGE")]));

    let patient = Bench::configured("application_server_left_out = \"0s\"\n");
    let (mut bench, route) = registered_at(patient, "alice", &originating(AS1, CONTINUED));
    for number in 1..4 {
        let did = bench.receive(PCSCF, &from_alice(&route, "MESSAGE", number, ""));
        assert_eq!(told(&did), pairs(&[(AS1, "MESSAGE")]));
        bench.advance(6 * SECOND);
    }
}

/// A server forks, or tries one target after another, but not for ever.
#[test]
fn a_request_comes_back_by_one_identifier_sixteen_times() {
    let (mut bench, route) = registered("alice", &originating(AS1, CONTINUED));
    let invite = sip(&bench.receive(PCSCF, &from_alice(&route, "INVITE", 1, ""))).to_owned();
    for number in 1..=16 {
        let did = bench.receive(AS1, &back(&invite, AS1, number));
        assert_eq!(told(&did), pairs(&[(ICSCF, "INVITE")]), "{number}");
    }
    let did = bench.receive(AS1, &back(&invite, AS1, 17));
    assert_eq!(told(&did), pairs(&[(BACK, "SIP/2.0 482")]));
}

#[test]
fn one_request_visits_thirty_two_servers() {
    let all: String =
        (0..40).map(|number| criterion(number, 0, &format!("sip:{AS1}"), TERMINATED, "")).collect();
    let (mut bench, route) = registered("alice", &all);
    let mut did = bench.receive(PCSCF, &from_alice(&route, "MESSAGE", 1, ""));
    for number in 1..=32 {
        assert_eq!(told(&did), pairs(&[(AS1, "MESSAGE")]), "{number}");
        let request = sip(&did).to_owned();
        did = bench.receive(AS1, &back(&request, AS1, number));
    }
    assert_eq!(told(&did), pairs(&[(BACK, "SIP/2.0 482")]));
}

#[test]
fn no_more_requests_are_at_servers_than_there_is_room_for() {
    let small = Bench::configured("registrations_max = 3\n");
    let (mut bench, route) = registered_at(small, "alice", &originating(AS1, CONTINUED));
    for number in 1..=6 {
        let did = bench.receive(PCSCF, &from_alice(&route, "INVITE", number, ""));
        assert_eq!(told(&did), pairs(&[(AS1, "INVITE")]), "{number}");
    }
    let did = bench.receive(PCSCF, &from_alice(&route, "INVITE", 7, ""));
    assert_eq!(told(&did), pairs(&[(BACK, "SIP/2.0 503")]));
    assert_eq!(bench.node.role().chains().len(), 6);
    // An hour later nobody knows of them.
    bench.advance(3700 * SECOND);
    assert!(bench.node.role().chains().is_empty());
}

/// RFC 5502 §5: whom a server has served stays on ISC.
#[test]
fn a_server_that_sends_a_request_elsewhere_does_not_tell_there_whom_it_has_served() {
    let terminating = criterion(1, 1, &format!("sip:{AS1}"), CONTINUED, "");
    let (mut bench, _) = registered("bob", &terminating);
    let invite = sip(&bench.receive(ICSCF, &to_bob("INVITE", 1, "P-Profile-Key: <sip:x@y>\n"))).to_owned();
    assert_eq!(header(&invite, "P-Served-User"), format!("<sip:bob@{HOME}>;sescase=term;regstate=reg"));
    let (_, own) = header(&invite, "Route").split_once(", ").expect("two Routes");
    for (elsewhere, to, stays) in [("127.0.0.11:4060", ICSCF, true), ("far.example", "192.0.2.9:5060", false)]
    {
        let sent = back(&invite, AS1, to.len()).replace(own, &format!("{own}, <sip:{elsewhere};lr>"));
        let did = bench.receive(AS1, &sent);
        assert_eq!(told(&did), pairs(&[(to, "INVITE")]));
        assert!(headers(sip(&did), "P-Served-User").is_empty(), "{did:?}");
        assert_eq!(headers(sip(&did), "P-Profile-Key").len(), usize::from(stays), "{elsewhere}: {did:?}");
    }
}

/// TS 24.229 §5.4.3.2: the service is asserted before criteria are looked at.
#[test]
fn a_service_that_is_preferred_and_subscribed_to_is_asserted_and_criteria_see_it() {
    let mmtel = "urn:urn-7:3gpp-service.ims.icsi.mmtel";
    let subscribed = format!(
        "<CoreNetworkServicesAuthorization><Extension><ListOfServiceIds><ServiceId>{mmtel}</ServiceId></ListOfServiceIds>\
         </Extension></CoreNetworkServicesAuthorization>"
    );
    let asserted = "<SPT><Group>2</Group><SIPHeader><Header>P-Asserted-Service</Header><Content>mmtel</Content></SIPHeader></SPT>";
    let services = subscribed + &criterion(1, 0, &format!("sip:{AS1}"), CONTINUED, asserted);
    for (preferred, server) in [(mmtel, AS1), ("urn:urn-7:3gpp-service.ims.icsi.other", ICSCF)] {
        let (mut bench, route) = registered("alice", &services);
        let preferred = format!("P-Preferred-Service: {preferred}\n");
        let did = bench.receive(PCSCF, &from_alice(&route, "INVITE", 1, &preferred));
        assert_eq!(told(&did), pairs(&[(server, "INVITE")]));
        assert!(headers(sip(&did), "P-Preferred-Service").is_empty(), "{did:?}");
        let expected: &[&str] = if server == AS1 { &[mmtel] } else { &[] };
        assert_eq!(headers(sip(&did), "P-Asserted-Service"), expected);
    }
    // And who is called with a service that is not the user's hears nothing of it.
    let (mut bench, _) = registered("bob", &services);
    let did = bench
        .receive(ICSCF, &to_bob("INVITE", 1, "P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.other\n"));
    assert!(headers(sip(&did), "P-Asserted-Service").is_empty(), "{did:?}");
}

/// TS 23.218 §5.2.3: a request that is at a server goes on by the criteria that it came under.
#[test]
fn a_profile_that_is_pushed_is_for_later_requests() {
    let both = [originating(AS1, TERMINATED), criterion(2, 0, &format!("sip:{AS2}"), TERMINATED, "")];
    let (mut bench, route) = registered("alice", &both.concat());
    let did = bench.receive(PCSCF, &from_alice(&route, "INVITE", 1, ""));
    let invite = sip(&did).to_owned();
    assert_eq!(told(&did), pairs(&[(AS1, "INVITE")]));
    let pushed =
        Ppr { user_name: format!("alice@{HOME}"), user_data: Some(profile("alice")), ..Default::default() };
    let did = bench.hss_asks(CxRequest::Ppr(pushed));
    let (id, records) = store(&did);
    bench.stored(id, &records);
    let did = bench.receive(AS1, &back(&invite, AS1, 1));
    assert_eq!(told(&did), pairs(&[(AS2, "INVITE")]));
    let did = bench.receive(PCSCF, &from_alice(&route, "INVITE", 2, ""));
    assert_eq!(told(&did), pairs(&[(ICSCF, "INVITE")]));
}
