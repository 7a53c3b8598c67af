//! Application servers hear who is registered (TS 24.229 §5.4.1.7, TS 23.218 §6.3).

mod bench;

use bench::*;
use cscf::identity::Impu;
use diameter_client::cx::{CxAnswer, CxRequest, CxResult, DeregistrationReason, ReasonCode, Rtr, Saa};
use scscf::Command;
use std::time::Duration;

const AS1: &str = "192.0.2.51:5065";
const AS2: &str = "192.0.2.52:5065";

/// A criterion of an application server at an address: which REGISTERs, and what it wants to hear.
fn criterion(priority: u32, server: &str, kinds: &[u32], rest: &str) -> String {
    let kinds: String =
        kinds.iter().map(|kind| format!("<RegistrationType>{kind}</RegistrationType>")).collect();
    let extension = if kinds.is_empty() { String::new() } else { format!("<Extension>{kinds}</Extension>") };
    format!(
        "<InitialFilterCriteria><Priority>{priority}</Priority><TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF><SPT>\
         <Group>0</Group><Method>REGISTER</Method>{extension}</SPT></TriggerPoint><ApplicationServer>\
         <ServerName>sip:{server}</ServerName>{rest}</ApplicationServer></InitialFilterCriteria>"
    )
}

fn alice(criteria: &str) -> CxAnswer {
    let xml = String::from_utf8(profile("alice")).expect("text");
    let xml = xml.replace("</ServiceProfile>", &format!("{criteria}</ServiceProfile>"));
    CxAnswer::Saa(Saa { result: CxResult::SUCCESS, user_data: Some(xml.into_bytes()), ..Default::default() })
}

/// Registers alice with these criteria; all that left with her 200, and it first.
fn registered(criteria: &str) -> (Bench, Vec<(String, String)>) {
    let mut bench = Bench::new();
    let (id, _) = bench.authenticate(&register("alice"));
    let did = bench.cx(id, alice(criteria));
    let (id, records) = store(&did);
    let sent = sent(&bench.stored(id, &records));
    assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:?}");
    (bench, sent)
}

fn sent(did: &[Did]) -> Vec<(String, String)> {
    sips(did).into_iter().map(|(to, text)| (to.to_owned(), text.to_owned())).collect()
}

/// The REGISTERs to application servers: where to, and the expiry.
fn registers(sent: &[(String, String)]) -> Vec<(&str, &str)> {
    let of = sent.iter().filter(|(_, text)| text.starts_with("REGISTER "));
    of.map(|(to, text)| (to.as_str(), header(head(text), "Expires"))).collect()
}

/// A message without its body.
fn head(text: &str) -> &str {
    text.split("\r\n\r\n").next().unwrap_or_default()
}

fn response(request: &str, status: &str) -> String {
    let request = head(request);
    let mut text = format!("SIP/2.0 {status}\n");
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        text.push_str(&format!("{name}: {}\n", header(request, name)));
    }
    format!("{text}To: {};tag=as\nContent-Length: 0\n\n", header(request, "To"))
}

fn is_registered(bench: &Bench) -> bool {
    let impu = Impu::parse(format!("sip:alice@{HOME}").as_bytes()).expect("an identity");
    bench.node.role().registrations().find(&impu).is_some()
}

#[test]
fn each_server_whose_criteria_match_is_told_after_the_200_with_what_it_wants() {
    let all = "<ServiceInfo>key=&lt;1&gt;</ServiceInfo><Extension><IncludeRegisterRequest/><IncludeRegisterResponse/></Extension>";
    let criteria =
        [criterion(0, AS1, &[], all), criterion(1, AS2, &[0], ""), criterion(2, AS1, &[], "")].concat();
    let (_, sent) = registered(&criteria);
    assert_eq!(registers(&sent), [(AS1, "600"), (AS2, "600")], "each once: {sent:?}");
    let first = &sent[1].1;
    assert!(first.starts_with(&format!("REGISTER sip:{AS1} SIP/2.0\r\n")), "{first}");
    let top = head(first);
    let own = format!("<sip:scscf.{HOME}:6060>");
    assert_eq!(
        (header(top, "Contact"), header(top, "To")),
        (own.as_str(), format!("<sip:alice@{HOME}>").as_str())
    );
    assert!(header(top, "From").starts_with(&format!("{own};tag=")), "{first}");
    assert_eq!(header(top, "P-Charging-Vector"), format!("icid-value=i1;orig-ioi={HOME}"));
    let kind = headers(top, "Content-Type")[0];
    assert!(kind.starts_with("multipart/mixed;boundary="), "{kind}");
    for part in [
        "Content-Type: application/3gpp-ims+xml\r\n",
        "<service-info>key=&lt;1&gt;</service-info>",
        "Content-Type: message/sip\r\n\r\nREGISTER sip:scscf.",
        "Content-Type: message/sip\r\n\r\nSIP/2.0 200 OK\r\n",
        "P-Associated-URI: <tel:+4930100001>",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    // The embedded 200 is the one that the UE got.
    let embedded = first.split("message/sip\r\n\r\n").nth(2).unwrap();
    assert_eq!(header(embedded.split("\r\n\r\n").next().unwrap(), "To"), header(&sent[0].1, "To"));
    assert!(sent[2].1.ends_with("Content-Length: 0\r\n\r\n"), "nothing was asked for: {}", sent[2].1);
}

#[test]
fn a_refresh_and_a_de_registration_are_told_to_those_who_ask_for_them() {
    let criteria = [criterion(0, AS1, &[0, 2], ""), criterion(1, AS2, &[1], "")].concat();
    let (mut bench, sent_first) = registered(&criteria);
    assert_eq!(registers(&sent_first), [(AS1, "600")]);
    let refresh = Register { cseq: 3, integrity: "yes", ..register("alice") };
    let (id, records) = store(&bench.receive(PCSCF, &refresh.text(None)));
    let did = bench.stored(id, &records);
    assert_eq!(registers(&sent(&did)), [(AS2, "600")], "a re-registration");
    let leave = Register { cseq: 5, ..register("alice").contact("<sip:alice@10.0.0.1:5060>;expires=0") };
    let (id, _) = bench.authenticate(&leave);
    let did = bench.cx(id, saa_result(CxResult::SUCCESS));
    assert!(sips(&did).is_empty(), "not before the store: {did:?}");
    let (id, records) = store(&did);
    let sent = sent(&bench.stored(id, &records));
    assert!(sent[0].1.starts_with("SIP/2.0 200 "), "{sent:?}");
    assert_eq!(registers(&sent), [(AS1, "0")]);
}

/// TS 23.218 §6.3: as if the user had de-registered; but not where another S-CSCF tells them.
#[test]
fn an_end_by_the_network_is_told_too() {
    let want_all = "<Extension><IncludeRegisterRequest/><IncludeRegisterResponse/></Extension>";
    let criteria = criterion(0, AS1, &[], want_all);
    let rtr = |code| {
        let reason = DeregistrationReason { code, info: None };
        CxRequest::Rtr(Rtr { user_name: format!("alice@{HOME}"), reason, ..Default::default() })
    };
    let impu = Impu::parse(format!("sip:alice@{HOME}").as_bytes()).unwrap();
    type End<'a> = &'a dyn Fn(&mut Bench) -> Vec<Did>;
    let ends: [(End<'_>, &[(&str, &str)]); 4] = [
        (&|bench| bench.advance(Duration::from_secs(600)), &[(AS1, "0")]),
        (&|bench| bench.command(Command::Deregister { impu: impu.clone() }), &[(AS1, "0")]),
        (&|bench| bench.hss_asks(rtr(ReasonCode::PermanentTermination)), &[(AS1, "0")]),
        (&|bench| bench.hss_asks(rtr(ReasonCode::NewServerAssigned)), &[]),
    ];
    for (end, expected) in ends {
        let (mut bench, first) = registered(&criteria);
        bench.receive(AS1, &response(&first[1].1, "200 OK"));
        let sent = sent(&end(&mut bench));
        assert_eq!(registers(&sent), expected, "{sent:?}");
        assert!(
            sent.iter().all(|(_, text)| text.ends_with("Content-Length: 0\r\n\r\n")),
            "no REGISTER was there: {sent:?}"
        );
        assert!(!is_registered(&bench));
    }
}

/// TS 24.229 §5.4.1.7: no answer, a 408 or a 5xx ends the registration where the server must hear of it.
#[test]
fn a_server_that_does_not_answer_ends_the_registration_where_it_must_hear_of_it() {
    for (handling, status, stays) in [
        (1, Some("503 Service Unavailable"), false),
        (1, Some("408 Request Timeout"), false),
        (1, None, false),
        (1, Some("404 Not Found"), true),
        (1, Some("200 OK"), true),
        (0, Some("503 Service Unavailable"), true),
        (0, None, true),
    ] {
        let criteria = criterion(0, AS1, &[], &format!("<DefaultHandling>{handling}</DefaultHandling>"));
        let (mut bench, first) = registered(&criteria);
        let did = match status {
            Some(status) => bench.receive(AS1, &response(&first[1].1, status)),
            None => bench.advance(Duration::from_secs(33)),
        };
        assert_eq!(is_registered(&bench), stays, "{handling} {status:?}");
        let is_told = did.iter().any(|one| matches!(one, Did::Cx(_, CxRequest::Sar(_))));
        assert_eq!(is_told, !stays, "the HSS is told of it: {did:?}");
    }
}

#[test]
fn a_user_whose_criteria_are_for_calls_is_told_to_nobody() {
    let calls = criterion(0, AS1, &[], "").replace("REGISTER", "INVITE");
    for criteria in ["", &calls] {
        assert_eq!(registered(criteria).1.len(), 1);
    }
}
