//! The notifier of the reg event package, told as messages (RFC 3680, RFC 6665, TS 24.229 §5.4.2.1).

mod bench;

use bench::*;
use cscf::identity::Impu;
use cscf::reginfo::{self, Reginfo};
use diameter_client::cx::{
    ChargingInformation, CxAnswer, CxRequest, CxResult, DeregistrationReason, Ppr, ReasonCode, Rtr,
};
use scscf::Command;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What a P-CSCF or a UE sends by the I-CSCF, outside of any dialog.
fn subscribe(asserted: &str, call_id: &str, more: &str) -> String {
    format!(
        "SUBSCRIBE sip:alice@{HOME} SIP/2.0\nVia: SIP/2.0/UDP {ICSCF};branch=z9hG4bK{call_id}\n\
         Record-Route: <sip:edge@127.0.0.10:5060;lr>\nRoute: <sip:scscf.{HOME}:6060;lr>\nMax-Forwards: 68\n\
         From: <sip:watcher@{HOME}>;tag=w\nTo: <sip:alice@{HOME}>\nCall-ID: {call_id}\nCSeq: 7 SUBSCRIBE\n\
         Contact: <sip:watcher@127.0.0.10:5060>\nP-Asserted-Identity: <{asserted}>\n{more}Content-Length: 0\n\n"
    )
}

const REG: &str = "Event: reg\nExpires: 600000\nAccept: application/reginfo+xml\n";
/// The entry of alice's Path.
const EDGE: &str = "sip:127.0.0.10:5060";

fn response(request: &str, status: &str, more: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        text.push_str(&format!("{name}: {}\n", header(request, name)));
    }
    format!("{text}{more}Content-Length: 0\n\n")
}

fn told(notify: &str) -> Reginfo {
    let (_, body) = notify.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no body in {notify}"));
    reginfo::read(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {notify}"))
}

/// State of alice's SIP identity, and event and URI of each of its contacts.
fn alices(notify: &str) -> String {
    let reginfo = told(notify);
    let aor = format!("sip:alice@{HOME}");
    let found = reginfo.registrations.iter().find(|registration| registration.aor == aor);
    let found = found.unwrap_or_else(|| panic!("no {aor} in {notify}"));
    let contacts = found.contacts.iter().map(|contact| format!(" {} {}", contact.event.word(), contact.uri));
    format!("{}:{}", found.state.word(), contacts.collect::<String>())
}

/// The only NOTIFY of what was done.
fn notify(did: &[Did]) -> String {
    let all: Vec<&str> =
        sips(did).into_iter().map(|(_, text)| text).filter(|text| text.starts_with("NOTIFY ")).collect();
    assert_eq!(all.len(), 1, "{did:?}");
    all[0].to_owned()
}

fn has_notify(did: &[Did]) -> bool {
    sips(did).iter().any(|(_, text)| text.starts_with("NOTIFY "))
}

/// What comes of a SUBSCRIBE, once the store has what it is to have.
fn send(bench: &mut Bench, from: &str, text: &str) -> Vec<Did> {
    let did = bench.receive(from, text);
    match did.iter().any(|one| matches!(one, Did::Store(..))) {
        true => {
            assert!(sips(&did).is_empty(), "nothing is promised before the store has it: {did:?}");
            let (id, records) = store(&did);
            bench.stored(id, &records)
        }
        false => did,
    }
}

/// Alice registered, and watched from this Call-ID; gives the 200 and the first NOTIFY, which is answered.
fn watched(bench: &mut Bench, call_id: &str) -> (String, String) {
    let did = send(bench, ICSCF, &subscribe(EDGE, call_id, REG));
    let ok = sips(&did)[0].1.to_owned();
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    let first = notify(&did);
    bench.receive(PCSCF, &response(&first, "200 OK", ""));
    (ok, first)
}

fn registered() -> Bench {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    bench
}

#[test]
fn a_subscription_is_granted_and_told_the_whole_state_at_once() {
    let mut bench = registered();
    let did = send(&mut bench, ICSCF, &subscribe(EDGE, "s1", REG));
    let [(_, ok), (to, first)] = sips(&did)[..] else { panic!("{did:?}") };
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    assert_eq!(header(ok, "Expires"), "600000");
    assert_eq!(header(ok, "Record-Route"), "<sip:edge@127.0.0.10:5060;lr>");
    let contact = header(ok, "Contact");
    assert!(contact.ends_with(&format!("@scscf.{HOME}:6060>")), "{contact}");

    // RFC 3261 §12.2.1.1: exact ends, the route set, a CSeq of our own.
    assert_eq!(to, PCSCF);
    assert!(first.starts_with("NOTIFY sip:watcher@127.0.0.10:5060 SIP/2.0\r\n"), "{first}");
    assert_eq!(header(first, "Route"), "<sip:edge@127.0.0.10:5060;lr>");
    assert_eq!(header(first, "From"), header(ok, "To"));
    assert_eq!(header(first, "To"), format!("<sip:watcher@{HOME}>;tag=w"));
    assert_eq!((header(first, "Call-ID"), header(first, "CSeq")), ("s1", "1 NOTIFY"));
    assert_eq!(header(first, "Contact"), contact);
    assert_eq!(header(first, "Event"), "reg");
    assert_eq!(header(first, "Subscription-State"), "active;expires=600000");
    assert_eq!(header(first, "Content-Type"), "application/reginfo+xml");
    let reginfo = told(first);
    assert_eq!((reginfo.version, reginfo.extent), (0, reginfo::Extent::Full));
    let aors: Vec<&str> =
        reginfo.registrations.iter().map(|registration| registration.aor.as_str()).collect();
    assert_eq!(aors, [format!("sip:alice@{HOME}").as_str(), "tel:+4930100001"], "the barred one is not told");
    assert_eq!(alices(first), "active: registered sip:alice@10.0.0.1:5060");
    assert_eq!(reginfo.registrations[1].contacts[0].event, reginfo::ContactEvent::Created);
    assert_eq!(reginfo.registrations[0].contacts[0].expires_s, Some(600));
}

#[test]
fn a_subscription_that_may_not_be_is_refused() {
    let mut bench = registered();
    for (asserted, more, status) in [
        (format!("sip:bob@{HOME}"), REG, 403),
        (format!("sip:imsi-alice@{HOME}"), REG, 403),
        (EDGE.to_owned(), "Event: reg\nExpires: 10\n", 423),
        (EDGE.to_owned(), "Event: reg\nAccept: text/plain\n", 406),
    ] {
        let did =
            send(&mut bench, ICSCF, &subscribe(&asserted, &format!("{status}{}", asserted.len()), more));
        assert!(sip(&did).starts_with(&format!("SIP/2.0 {status} ")), "{asserted}: {did:?}");
    }
    // Another package is the UE's business.
    let did = send(&mut bench, ICSCF, &subscribe(EDGE, "p", "Event: presence\n"));
    assert!(sip(&did).starts_with("SUBSCRIBE sip:alice@10.0.0.1:5060 "), "{did:?}");
    // Nobody is registered.
    let carol = subscribe(EDGE, "c", REG).replace("alice", "carol");
    let did = bench.receive(ICSCF, &carol);
    let did = bench.cx(sar(&did).0, saa("carol"));
    assert!(sip(&did).starts_with("SIP/2.0 480 "), "{did:?}");
    assert!(bench.node.role().subscriptions().is_empty());
}

#[test]
fn there_is_an_end_to_the_subscriptions_of_one_registration_and_of_all() {
    let mut bench = registered();
    let mut refused = 0;
    for number in 0..40 {
        let did = send(&mut bench, ICSCF, &subscribe(EDGE, &format!("s{number}"), REG));
        refused += usize::from(sips(&did)[0].1.starts_with("SIP/2.0 503 "));
    }
    assert_eq!((refused, bench.node.role().subscriptions().len()), (8, 32));
    let mut bench = Bench::configured("subscriptions_max = 1\n");
    bench.register(&register("alice"));
    watched(&mut bench, "s1");
    let did = send(&mut bench, ICSCF, &subscribe(EDGE, "s2", REG));
    assert!(sip(&did).starts_with("SIP/2.0 503 "), "{did:?}");
}

/// The UE asks by its Service-Route: the way to the I-CSCF and back is spared.
#[test]
fn a_ue_watches_its_own_registration_by_its_service_route() {
    let mut bench = Bench::new();
    let ok = bench.register(&register("alice"));
    let own = format!("sip:alice@{HOME}");
    let route = format!("Route: {}\n", header(&ok, "Service-Route"));
    let text = subscribe(&own, "u1", REG).replace(&format!("Route: <sip:scscf.{HOME}:6060;lr>\n"), &route);
    let did = send(&mut bench, PCSCF, &text);
    assert_eq!(alices(&notify(&did)), "active: registered sip:alice@10.0.0.1:5060");
}

#[test]
fn a_refresh_is_told_when_it_is_durable_and_one_change_at_a_time() {
    let mut bench = registered();
    watched(&mut bench, "s1");
    bench.advance(100 * SECOND);
    let refresh = Register { cseq: 3, integrity: "yes", ..register("alice") };
    let did = bench.receive(PCSCF, &refresh.text(None));
    assert!(!has_notify(&did), "not before the store: {did:?}");
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(sips(&did)[0].1.starts_with("SIP/2.0 200 "), "the 200 first: {did:?}");
    let second = notify(&did);
    assert_eq!(header(&second, "CSeq"), "2 NOTIFY");
    assert_eq!((told(&second).version, told(&second).extent), (1, reginfo::Extent::Partial));
    assert_eq!(alices(&second), "active: refreshed sip:alice@10.0.0.1:5060");

    // Two changes while that one is out become one NOTIFY.
    for cseq in [4, 5] {
        let refresh = Register { cseq, ..refresh.clone() };
        let did = bench.receive(PCSCF, &refresh.text(None));
        let (id, records) = store(&did);
        assert!(!has_notify(&bench.stored(id, &records)));
    }
    let did = bench.receive(PCSCF, &response(&second, "200 OK", ""));
    let third = notify(&did);
    assert_eq!((told(&third).version, header(&third, "CSeq")), (2, "3 NOTIFY"));
    assert!(!has_notify(&bench.receive(PCSCF, &response(&third, "200 OK", ""))), "nothing is left to tell");
}

#[test]
fn a_second_device_is_told_and_keeps_the_ids_of_the_first() {
    let mut bench = registered();
    let (_, first) = watched(&mut bench, "s1");
    // RFC 5626 flows of one phone stand beside each other.
    let flow = register("alice").contact(
        "<sip:alice@10.0.0.9:5060>;expires=600;+sip.instance=\"<urn:x>\";reg-id=1;+g.3gpp.smsip;q=0.5",
    );
    let flow = Register { call_id: "flow".into(), more: "Supported: outbound\n".into(), ..flow };
    let text = |register: &Register, answer: Option<(&str, &[u8])>| {
        register.text(answer).replace("127.0.0.10:5060;lr>", "127.0.0.10:5060;lr;ob>")
    };
    let did = bench.receive(PCSCF, &text(&flow, None));
    let did = bench.cx(cx(&did).0, maa());
    let nonce = nonce(sip(&did));
    let did = bench.receive(PCSCF, &text(&flow.next(), Some((&nonce, &RES))));
    let did = bench.cx(sar(&did).0, saa("alice"));
    let (id, records) = store(&did);
    let second = notify(&bench.stored(id, &records));
    assert_eq!(alices(&second), "active: registered sip:alice@10.0.0.9:5060");
    assert!(
        second.contains("q=\"0.5\"") && second.contains("<unknown-param name=\"+g.3gpp.smsip\">"),
        "{second}"
    );
    // A refresh of the subscription tells all of it.
    let (ok, _) = watched(&mut bench, "s2");
    assert!(header(&ok, "Contact").contains("scscf"));
    let did = send(&mut bench, ICSCF, &subscribe(EDGE, "s3", REG));
    let all = told(&notify(&did));
    assert_eq!(all.registrations[0].contacts.len(), 2);
    assert_eq!(all.registrations[0].contacts[0].id, told(&first).registrations[0].contacts[0].id);
    assert_eq!(all.registrations[0].id, told(&first).registrations[0].id);
}

#[test]
fn a_ue_that_leaves_ends_what_its_watchers_hear_after_its_200() {
    let mut bench = registered();
    watched(&mut bench, "s1");
    let leave = Register { cseq: 5, ..register("alice").contact("<sip:alice@10.0.0.1:5060>;expires=0") };
    let (id, _) = bench.authenticate(&leave);
    let did = bench.cx(id, saa_result(CxResult::SUCCESS));
    assert!(!has_notify(&did), "{did:?}");
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(sips(&did)[0].1.starts_with("SIP/2.0 200 "), "{did:?}");
    let last = notify(&did);
    assert_eq!(header(&last, "Subscription-State"), "terminated;reason=noresource");
    assert_eq!(alices(&last), "terminated: unregistered sip:alice@10.0.0.1:5060");
    assert!(bench.node.role().subscriptions().is_empty());
}

#[test]
fn a_registration_that_runs_out_is_told_as_expired() {
    let mut bench = registered();
    watched(&mut bench, "s1");
    let last = notify(&bench.advance(600 * SECOND));
    assert_eq!(alices(&last), "terminated: expired sip:alice@10.0.0.1:5060");
    assert!(header(&last, "Subscription-State").starts_with("terminated"));
}

#[test]
fn an_operator_who_ends_a_registration_sends_nobody_back() {
    let mut bench = registered();
    watched(&mut bench, "s1");
    let impu = Impu::parse(format!("sip:alice@{HOME}").as_bytes()).expect("an identity");
    let last = notify(&bench.command(Command::Deregister { impu }));
    assert_eq!(alices(&last), "terminated: rejected sip:alice@10.0.0.1:5060");
}

/// TS 24.229 §5.4.1.5: each reason of an RTR, whatever its scope, and what watchers hear of it.
#[test]
fn each_reason_of_an_rtr_has_its_event() {
    for (code, expected) in [
        (ReasonCode::PermanentTermination, Some("terminated: rejected sip:alice@10.0.0.1:5060")),
        (ReasonCode::ServerChange, Some("terminated: deactivated sip:alice@10.0.0.1:5060")),
        // Another S-CSCF has the user: not a word.
        (ReasonCode::NewServerAssigned, None),
    ] {
        // Of all of hers; of one identity; of a list; of a subscription that she is one private identity of.
        for (user_name, public_identities) in [
            ("alice", vec![]),
            ("alice", vec![format!("sip:alice@{HOME}")]),
            ("alice", vec!["tel:+4930100001".to_owned(), format!("sip:nobody@{HOME}")]),
            ("tablet", vec![]),
        ] {
            let mut bench = registered();
            watched(&mut bench, "s1");
            let rtr = Rtr {
                user_name: format!("{user_name}@{HOME}"),
                associated_identities: vec![format!("alice@{HOME}")],
                public_identities: public_identities.clone(),
                reason: DeregistrationReason { code, info: None },
                ..Default::default()
            };
            let did = bench.hss_asks(CxRequest::Rtr(rtr));
            match expected {
                Some(expected) => {
                    assert_eq!(alices(&notify(&did)), expected, "{code:?} {user_name} {public_identities:?}")
                }
                None => assert!(!has_notify(&did), "{did:?}"),
            }
            assert!(
                bench.node.role().subscriptions().is_empty() && bench.node.role().registrations().is_empty()
            );
            // The end of the subscription is stored too, and nobody waits for it.
            let of_registration =
                |one: &Did| matches!(one, Did::Store(_, records) if records[0].key[0] == b'r');
            let stored = did.into_iter().filter(of_registration).collect::<Vec<_>>();
            let (id, records) = store(&stored);
            let did = bench.stored(id, &records);
            assert!(
                matches!(&did[..], [Did::Peer(CxAnswer::Rta(rta))] if rta.result == CxResult::SUCCESS),
                "{did:?}"
            );
        }
    }
    // It is for users who are not registered.
    let mut bench = registered();
    watched(&mut bench, "s1");
    let reason = DeregistrationReason { code: ReasonCode::RemoveScscf, info: None };
    let did = bench.hss_asks(CxRequest::Rtr(Rtr {
        user_name: format!("alice@{HOME}"),
        reason,
        ..Default::default()
    }));
    assert!(!has_notify(&did) && bench.node.role().registrations().len() == 1, "{did:?}");
}

fn pushed(identities: &str) -> Ppr {
    let xml = format!(
        "<IMSSubscription><PrivateID>alice@{HOME}</PrivateID><ServiceProfile>{identities}</ServiceProfile></IMSSubscription>"
    );
    Ppr { user_name: format!("alice@{HOME}"), user_data: Some(xml.into_bytes()), ..Default::default() }
}

#[test]
fn a_pushed_profile_tells_of_identities_that_come_and_go_and_of_nothing_else() {
    let mut bench = registered();
    watched(&mut bench, "s1");
    let alice = format!("<PublicIdentity><Identity>sip:alice@{HOME}</Identity></PublicIdentity>");
    let tel = "<PublicIdentity><Identity>tel:+4930100001</Identity></PublicIdentity>";
    let did = bench.hss_asks(CxRequest::Ppr(pushed(&format!("{alice}{tel}"))));
    assert!(!has_notify(&did), "a barred identity came and went unheard: {did:?}");
    let unbarred = "<PublicIdentity><Identity>sip:new@h</Identity></PublicIdentity>";
    let second = notify(&bench.hss_asks(CxRequest::Ppr(pushed(&format!("{alice}{unbarred}")))));
    let lines: Vec<String> = told(&second)
        .registrations
        .iter()
        .map(|one| format!("{} {} {}", one.aor, one.state.word(), one.contacts[0].event.word()))
        .collect();
    assert_eq!(
        lines,
        [
            format!("sip:alice@{HOME} active registered"),
            "sip:new@h active created".to_owned(),
            "tel:+4930100001 terminated rejected".to_owned()
        ]
    );
    let charging = ChargingInformation { primary_ccf: Some("aaa://ccf".into()), ..Default::default() };
    let ppr = Ppr {
        user_name: format!("alice@{HOME}"),
        charging_information: Some(charging),
        ..Default::default()
    };
    assert!(!has_notify(&bench.hss_asks(CxRequest::Ppr(ppr))));
}

/// RFC 6665 §4.2.1.3, §4.2.1.4: a refresh in the dialog, an older one, an end, and what comes after it.
#[test]
fn a_subscription_is_refreshed_and_ended_in_its_dialog() {
    let mut bench = registered();
    let (ok, _) = watched(&mut bench, "s1");
    let contact = header(&ok, "Contact").trim_matches(['<', '>']).to_owned();
    let within = |cseq: u32, more: &str| {
        subscribe(EDGE, "s1", more)
            .replace(&format!("SUBSCRIBE sip:alice@{HOME} "), &format!("SUBSCRIBE {contact} "))
            .replace(&format!("To: <sip:alice@{HOME}>"), &format!("To: {}", header(&ok, "To")))
            .replace("CSeq: 7", &format!("CSeq: {cseq}"))
            .replace(
                "branch=z9hG4bKs1",
                &format!("branch=z9hG4bKs1-{cseq}-{}", more.bytes().map(u32::from).sum::<u32>()),
            )
    };
    let did = send(&mut bench, ICSCF, &within(8, "Event: reg\nExpires: 900\n"));
    assert_eq!(header(sips(&did)[0].1, "Expires"), "900");
    let second = notify(&did);
    assert_eq!((told(&second).extent, told(&second).version), (reginfo::Extent::Full, 1));
    assert_eq!(header(&second, "Subscription-State"), "active;expires=900");
    bench.receive(PCSCF, &response(&second, "200 OK", ""));
    for (cseq, more, status) in [
        (7, "Event: reg\n", 500),
        (9, "Event: presence\n", 489),
        (9, "Event: reg;id=2\n", 481),
        (9, "Event: reg\nExpires: 5\n", 423),
    ] {
        let did = send(&mut bench, ICSCF, &within(cseq, more));
        assert!(sip(&did).starts_with(&format!("SIP/2.0 {status} ")), "{more}: {did:?}");
    }
    let did = send(&mut bench, ICSCF, &within(10, "Event: reg\nExpires: 0\n"));
    assert!(sips(&did)[0].1.starts_with("SIP/2.0 200 "), "{did:?}");
    assert_eq!(header(&notify(&did), "Subscription-State"), "terminated;reason=timeout");
    let did = send(&mut bench, ICSCF, &within(11, "Event: reg\n"));
    assert!(sip(&did).starts_with("SIP/2.0 481 "), "{did:?}");
}

#[test]
fn a_subscription_that_nobody_refreshes_times_out_and_a_fetch_is_over_at_once() {
    let mut bench = registered();
    let did = send(&mut bench, ICSCF, &subscribe(EDGE, "s1", "Event: reg;id=a\nExpires: 300\n"));
    let first = notify(&did);
    assert_eq!(header(&first, "Event"), "reg;id=a");
    bench.receive(PCSCF, &response(&first, "200 OK", ""));
    let last = notify(&bench.advance(300 * SECOND));
    assert_eq!(header(&last, "Subscription-State"), "terminated;reason=timeout");
    let did = send(&mut bench, ICSCF, &subscribe(EDGE, "f", "Event: reg\nExpires: 0\n"));
    assert_eq!(header(sips(&did)[0].1, "Expires"), "0");
    let only = notify(&did);
    assert_eq!(header(&only, "Subscription-State"), "terminated;reason=timeout");
    assert_eq!(alices(&only), "active: registered sip:alice@10.0.0.1:5060");
    assert!(bench.node.role().subscriptions().is_empty());
}

#[test]
fn a_watcher_that_knows_nothing_of_it_ends_a_subscription_and_one_that_is_busy_does_not() {
    for (status, more, left) in [
        ("481 Call/Transaction Does Not Exist", "", 0),
        ("404 Not Found", "", 0),
        ("503 Service Unavailable", "Retry-After: 5\n", 1),
        ("200 OK", "", 1),
    ] {
        let mut bench = registered();
        let did = send(&mut bench, ICSCF, &subscribe(EDGE, "s1", REG));
        bench.receive(PCSCF, &response(&notify(&did), status, more));
        assert_eq!(bench.node.role().subscriptions().len(), left, "{status}");
    }
    let mut bench = registered();
    send(&mut bench, ICSCF, &subscribe(EDGE, "s1", REG));
    bench.advance(40 * SECOND);
    assert!(bench.node.role().subscriptions().is_empty(), "nobody answered");
}

#[test]
fn a_registration_that_could_not_be_stored_was_never_told() {
    let mut bench = registered();
    watched(&mut bench, "s1");
    let moved = Register {
        call_id: "other".into(),
        ..register("alice").contact("<sip:alice@10.9.9.9>;expires=600;q=0.1")
    };
    let (id, _) = bench.authenticate(&moved);
    let did = bench.cx(id, saa("alice"));
    let (id, _) = store(&did);
    let last = notify(&bench.not_stored(id));
    // The new contact had taken the place of the old one, and then could not be kept.
    assert_eq!(alices(&last), "terminated: deactivated sip:alice@10.0.0.1:5060");
}

/// TS 24.229 §5.4.1.6: the time is shortened and told, and the next REGISTER is challenged whatever vouches for it.
#[test]
fn a_user_who_is_to_prove_anew_who_it_is_is_told_and_challenged() {
    let mut bench = registered();
    watched(&mut bench, "s1");
    let impu = Impu::parse(format!("sip:alice@{HOME}").as_bytes()).expect("an identity");
    let command = Command::Reauthenticate { impu: impu.clone(), within: 60 * SECOND };
    let second = notify(&bench.command(command.clone()));
    assert_eq!(alices(&second), "active: shortened sip:alice@10.0.0.1:5060");
    assert_eq!(told(&second).registrations[0].contacts[0].expires_s, Some(60));
    bench.receive(PCSCF, &response(&second, "200 OK", ""));
    let refresh = Register { cseq: 3, integrity: "yes", ..register("alice") };
    let nonce = bench.challenge(&refresh);
    let did = bench.receive(PCSCF, &refresh.clone().next().text(Some((&nonce, &RES))));
    let did = bench.cx(sar(&did).0, saa("alice"));
    let (id, records) = store(&did);
    assert_eq!(alices(&notify(&bench.stored(id, &records))), "active: refreshed sip:alice@10.0.0.1:5060");
    // Once is enough.
    let did = bench.receive(PCSCF, &Register { cseq: 9, ..refresh }.text(None));
    let (id, records) = store(&did);
    bench.stored(id, &records);
    // Whoever does not react loses the registration.
    bench.command(command);
    bench.advance(60 * SECOND);
    assert!(bench.node.role().registrations().is_empty());
}

/// What is to be had of the store after a restart: the subscription, in its dialog, and what its subscriber may not have heard.
#[test]
fn a_subscription_outlives_a_restart_and_its_subscriber_is_told_how_things_stand() {
    let mut bench = registered();
    let (ok, first) = watched(&mut bench, "s1");
    let (mut bench, did) = bench.restart(100 * SECOND);
    assert!(!has_notify(&did), "not all at once");
    let second = notify(&bench.advance(SECOND / 10));
    // RFC 3261 §12.2.1.1: the same dialog, with numbers above all that were used.
    for name in ["From", "To", "Call-ID", "Route", "Contact", "Event"] {
        assert_eq!(header(&second, name), header(&first, name), "{name}");
    }
    let cseq = header(&second, "CSeq").split(' ').next().and_then(|number| number.parse::<u32>().ok());
    assert!(cseq.is_some_and(|cseq| cseq > 1), "{second}");
    assert!(told(&second).version > told(&first).version && told(&second).extent == reginfo::Extent::Full);
    assert_eq!(alices(&second), "active: registered sip:alice@10.0.0.1:5060");
    let left = header(&second, "Subscription-State").strip_prefix("active;expires=");
    let left: u32 = left.and_then(|left| left.parse().ok()).expect("a time");
    assert!((599_890..=599_900).contains(&left), "{left}");
    bench.receive(PCSCF, &response(&second, "200 OK", ""));
    // It is refreshed as before.
    let contact = header(&ok, "Contact").trim_matches(['<', '>']).to_owned();
    let refresh = subscribe(EDGE, "s1", REG)
        .replace(&format!("SUBSCRIBE sip:alice@{HOME} "), &format!("SUBSCRIBE {contact} "))
        .replace(&format!("To: <sip:alice@{HOME}>"), &format!("To: {}", header(&ok, "To")))
        .replace("CSeq: 7", "CSeq: 8");
    let did = send(&mut bench, ICSCF, &refresh);
    assert!(sips(&did)[0].1.starts_with("SIP/2.0 200 "), "{did:?}");
    assert!(has_notify(&did));
}

/// The end of a registration is stored before it is told: a crash in between loses no last word.
#[test]
fn a_registration_that_ended_unheard_is_told_as_over_after_a_restart() {
    let mut bench = registered();
    watched(&mut bench, "s1");
    let gone = bench.store.iter().position(|record| record.key[0] == b'r').expect("a registration");
    bench.store.remove(gone);
    let (mut bench, _) = bench.restart(SECOND);
    let last = notify(&bench.advance(SECOND / 10));
    assert_eq!(header(&last, "Subscription-State"), "terminated;reason=noresource");
    assert_eq!(alices(&last), "terminated:");
    assert!(bench.node.role().subscriptions().is_empty());
}

#[test]
fn a_subscription_that_ran_out_while_nobody_looked_is_dropped_and_an_ended_one_does_not_come_back() {
    for (expires, ends) in [(60, false), (6000, true)] {
        let mut bench = registered();
        let more = format!("Event: reg\nExpires: {expires}\n");
        let did = send(&mut bench, ICSCF, &subscribe(EDGE, "s1", &more));
        let first = notify(&did);
        if ends {
            // A subscriber that does not know it has no subscription any more.
            let did = bench.receive(PCSCF, &response(&first, "481 Gone", ""));
            let (id, records) = store(&did);
            bench.stored(id, &records);
        }
        let (mut bench, did) = bench.restart(100 * SECOND);
        if !ends {
            let (id, records) = store(&did);
            assert!(records.iter().all(|record| record.value.is_none()), "{records:?}");
            bench.stored(id, &records);
        }
        assert!(!has_notify(&bench.advance(SECOND)));
        assert!(bench.node.role().subscriptions().is_empty() && bench.store.len() == 1, "{:?}", bench.store);
    }
}

#[test]
fn a_subscription_that_cannot_be_stored_is_not_promised() {
    let mut bench = registered();
    let did = bench.receive(ICSCF, &subscribe(EDGE, "s1", REG));
    let (id, _) = store(&did);
    let did = bench.not_stored(id);
    assert!(sip(&did).starts_with("SIP/2.0 500 "), "{did:?}");
    assert!(bench.node.role().subscriptions().is_empty());
    // One that stands goes on standing when its refresh cannot be stored.
    let (ok, _) = watched(&mut bench, "s2");
    let contact = header(&ok, "Contact").trim_matches(['<', '>']).to_owned();
    let refresh = subscribe(EDGE, "s2", REG)
        .replace(&format!("SUBSCRIBE sip:alice@{HOME} "), &format!("SUBSCRIBE {contact} "))
        .replace(&format!("To: <sip:alice@{HOME}>"), &format!("To: {}", header(&ok, "To")))
        .replace("branch=z9hG4bKs2", "branch=z9hG4bKs2r")
        .replace("CSeq: 7", "CSeq: 8");
    let (id, _) = store(&bench.receive(ICSCF, &refresh));
    assert!(sip(&bench.not_stored(id)).starts_with("SIP/2.0 500 "));
    assert_eq!(bench.node.role().subscriptions().len(), 1);
}
