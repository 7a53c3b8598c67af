//! What the core refuses, and how it says so: the HSS's refusals, a store that fails, requests that bypass or deceive.

use carillon_tests::story::{header, refusal, settled};
use diameter_client::cx::CxResult;
use hss_mock::{CommandReport, HssCommand, Refusal};
use sim::{Fate, Heard, Ims, Phone, Plan, Say, Stranger};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use ue::{Command, Notice};

const P: &str = "127.0.0.10:5060";
const I: &str = "127.0.0.11:4060";
const S: &str = "127.0.0.101:6060";
const HOME: &str = "ims.mnc001.mcc001.3gppnetwork.org";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Alice and bob, of whom alice is registered.
fn alice_is_registered(seed: u64) -> (Ims, Phone, Phone) {
    let mut ims = Ims::seeded(seed);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    (ims, alice, bob)
}

/// The text of the Warning or the reason phrase that a phone was given.
fn reason(notice: &Notice) -> String {
    match notice {
        Notice::RegistrationFailed(failure) => failure.to_string(),
        _ => String::new(),
    }
}

// --- the HSS refuses ----------------------------------------------------------------------------------------------

/// TS 24.229 §5.3.1.3, TS 29.228 §6.1: each refusal at each step of a registration has its status and says why; nobody
/// else suffers, and when it is lifted the same phone registers.
#[test]
fn every_refusal_of_the_hss_has_its_status_and_a_reason() {
    let table = [
        ("UAR", CxResult::USER_UNKNOWN, 403),
        ("UAR", CxResult::IDENTITIES_DONT_MATCH, 403),
        ("UAR", CxResult::IDENTITY_NOT_REGISTERED, 403),
        ("UAR", CxResult::ROAMING_NOT_ALLOWED, 403),
        ("UAR", CxResult::AUTHORIZATION_REJECTED, 403),
        ("UAR", CxResult::UNABLE_TO_COMPLY, 504),
        ("UAR", CxResult::UNABLE_TO_DELIVER, 504),
        ("UAR", CxResult::TOO_BUSY, 504),
        ("MAR", CxResult::USER_UNKNOWN, 403),
        ("MAR", CxResult::IDENTITIES_DONT_MATCH, 403),
        ("MAR", CxResult::AUTH_SCHEME_NOT_SUPPORTED, 403),
        ("MAR", CxResult::UNABLE_TO_COMPLY, 500),
        ("MAR", CxResult::TOO_BUSY, 500),
        ("SAR", CxResult::USER_UNKNOWN, 403),
        ("SAR", CxResult::IDENTITIES_DONT_MATCH, 403),
        ("SAR", CxResult::UNABLE_TO_COMPLY, 500),
        ("SAR", CxResult::UNABLE_TO_DELIVER, 500),
        // Another S-CSCF serves the user: the I-CSCF finds none that does.
        ("SAR", CxResult::IDENTITY_ALREADY_REGISTERED, 504),
    ];
    for (command, result, status) in table {
        let (mut ims, alice, bob) = alice_is_registered(50);
        let refused = Refusal {
            command: Some(command.to_owned()),
            identity: Some("001010000000002@ims.mnc001.mcc001.3gppnetwork.org".to_owned()),
            result,
            count: None,
        };
        assert_eq!(ims.hss(HssCommand::Refuse(refused)), Ok(CommandReport::Done));
        let notice = ims.register(&bob);
        assert_eq!(refusal(&notice), status, "{command} {result}: {notice:?}\n{}", ims.ladder());
        assert!(reason(&notice).contains("399 "), "{command} {result}: {notice:?}");
        assert_eq!(ims.contacts(&bob), 0, "{command} {result}");
        let notice = ims.message(&alice, &alice.tel, "to myself");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{command} {result}: {notice:?}");
        ims.hss(HssCommand::ClearRefusals).unwrap();
        ims.register_well(&bob);
        settled(ims, &[&alice, &bob]);
    }
}

/// TS 24.229 §5.3.2, TS 29.228 §6.1.4: what the HSS says of the callee becomes the caller's answer.
#[test]
fn every_refusal_of_a_location_query_has_its_status() {
    let table = [
        (CxResult::USER_UNKNOWN, 404),
        (CxResult::IDENTITY_NOT_REGISTERED, 480),
        (CxResult::UNABLE_TO_COMPLY, 504),
        (CxResult::AVP_UNSUPPORTED, 504),
    ];
    for (result, status) in table {
        let (mut ims, alice, bob) = alice_is_registered(51);
        ims.register_well(&bob);
        ims.refuse("LIR", result);
        let notice = ims.message(&alice, &bob.tel, "hello?");
        assert_eq!(refusal(&notice), status, "{result}: {notice:?}\n{}", ims.ladder());
        let refused = ims.received("alice", &format!("{status}"));
        assert!(header(&refused[0], "Warning").is_some(), "{result}: {refused:?}");
        ims.hss(HssCommand::ClearRefusals).unwrap();
        let notice = ims.message(&alice, &bob.tel, "hello?");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{result}: {notice:?}");
        settled(ims, &[&alice, &bob]);
    }
}

/// Without the HSS nobody new registers, and is told why; who is registered is served where no question arises.
#[test]
fn while_the_hss_is_down_new_registrations_are_refused_with_a_reason() {
    let (mut ims, alice, bob) = alice_is_registered(52);
    let hss = ims.world.host("hss");
    let notice = ims.message(&alice, &alice.tel, "to myself");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    ims.world.crash(hss);
    ims.advance(seconds(2));
    let notice = ims.register(&bob);
    assert_eq!(refusal(&notice), 504, "{notice:?}");
    assert!(reason(&notice).contains("HSS gives no usable answer"), "{notice:?}");
    assert_eq!(ims.contacts(&alice), 1);
    // It starts again: nothing else has to.
    ims.world.start(hss);
    ims.advance(seconds(40));
    ims.register_well(&bob);
    let notice = ims.call(&alice, &bob.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
    ims.hang_up(&alice);
    settled(ims, &[&alice, &bob]);
}

/// Registered users call each other while the HSS is down, silent or refuses to work (the I-CSCF asks the S-CSCFs).
#[test]
fn registered_users_call_each_other_without_the_hss() {
    let (mut ims, alice, bob) = alice_is_registered(63);
    ims.register_well(&bob);
    let hss = ims.world.host("hss");
    for trouble in ["down", "silent", "busy"] {
        match trouble {
            "down" => ims.world.crash(hss),
            "silent" => ims.world.network.cut("icscf", "hss"),
            _ => ims.refuse("LIR", CxResult::TOO_BUSY),
        }
        ims.advance(seconds(1));
        let notice = ims.call(&alice, &bob.tel);
        assert!(matches!(notice, Notice::Established { .. }), "{trouble}: {notice:?}\n{}", ims.ladder());
        ims.hang_up(&alice);
        match trouble {
            "down" => ims.world.start(hss),
            "silent" => ims.world.network.heal_all(),
            _ => drop(ims.hss(HssCommand::ClearRefusals)),
        }
        ims.advance(seconds(100));
    }
    settled(ims, &[&alice, &bob]);
}

/// A call that stands needs no HSS: it is held, resumed and ended without it.
#[test]
fn a_call_that_stands_does_not_need_the_hss() {
    let (mut ims, alice, bob) = alice_is_registered(53);
    ims.register_well(&bob);
    ims.call(&alice, &bob.tel);
    ims.advance(seconds(1));
    let hss = ims.world.host("hss");
    ims.world.crash(hss);
    let changed = |notice: &Notice| matches!(notice, Notice::Changed { .. } | Notice::ChangeRefused { .. });
    let notice = ims.ask(&bob, Command::Hold { call: None }, seconds(30), changed);
    assert!(matches!(notice, Notice::Changed { .. }), "{notice:?}");
    ims.hang_up(&alice);
    let ended = ims.wait_for(&bob, seconds(10), |notice| matches!(notice, Notice::Ended { .. }));
    assert!(ended.is_some(), "{}", ims.ladder());
    ims.world.start(hss);
    settled(ims, &[&alice, &bob]);
}

// --- the store fails ----------------------------------------------------------------------------------------------

/// A registration that could not be made durable is no registration: never a silent 200.
#[test]
fn a_registration_that_cannot_be_stored_is_refused() {
    for part in ["scscf", "pcscf", "hss"] {
        let (mut ims, alice, bob) = alice_is_registered(54);
        let host = ims.world.host(part);
        ims.world.set_disk_fails(host, true);
        let notice = ims.register(&bob);
        assert!((500..600).contains(&refusal(&notice)), "{part}: {notice:?}\n{}", ims.ladder());
        assert!(ims.received("bob", "200").is_empty(), "{part}");
        ims.world.set_disk_fails(host, false);
        ims.advance(seconds(30));
        ims.register_well(&bob);
        let notice = ims.message(&alice, &bob.sip, "there?");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{part}: {notice:?}\n{}", ims.ladder());
        settled(ims, &[&alice, &bob]);
    }
}

/// A store that is late keeps the 200 back: it leaves after the record is written, not before.
#[test]
fn a_late_store_keeps_the_200_back() {
    let mut ims = Ims::seeded(55);
    let alice = ims.phone();
    ims.world.store_delay_max = Duration::from_millis(900);
    ims.register_well(&alice);
    let scscf = ims.world.host("scscf");
    ims.world.crash(scscf);
    ims.world.start(scscf);
    assert_eq!(ims.contacts(&alice), 1, "what was told to the phone was on the disk");
    settled(ims, &[&alice]);
}

// --- requests that bypass the P-CSCF ------------------------------------------------------------------------------

struct Attacker {
    host: usize,
    address: SocketAddr,
}

impl Attacker {
    fn at(ims: &mut Ims, address: [u8; 4]) -> Attacker {
        let ip = IpAddr::V4(Ipv4Addr::from(address));
        let host = ims.world.add("mallory", ip, Box::new(|_| Box::new(Stranger::silent())));
        Attacker { host, address: SocketAddr::new(ip, 5060) }
    }

    /// Sends a request and returns the status lines that come back.
    fn send(&self, ims: &mut Ims, to: &str, request: &str) -> Vec<String> {
        ims.world.take_notices::<Heard>(self.host);
        let (local, remote) = (self.address, to.parse().expect("a value"));
        ims.world.command(self.host, Say::Datagram { local, remote, bytes: request.as_bytes().to_vec() });
        ims.advance(seconds(20));
        let heard = ims.world.take_notices::<Heard>(self.host);
        let mut lines: Vec<String> = heard
            .into_iter()
            .filter_map(|(_, heard)| match heard {
                Heard::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).lines().next()?.to_owned()),
                Heard::Closed => None,
            })
            .collect();
        lines.dedup();
        lines
    }

    fn request(&self, method: &str, uri: &str, headers: &str) -> String {
        let address = self.address;
        let length = if headers.contains("Content-Length") { "" } else { "Content-Length: 0\r\n" };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{method}{}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+49301000001@{HOME}>;tag=evil\r\n\
             Call-ID: evil-{}\r\nCSeq: 1 {method}\r\nContact: <sip:x@{address}>\r\n{headers}{length}\r\n",
            headers.len(),
            headers.len(),
        )
    }
}

/// TS 24.229 §5.3.1.2: a REGISTER straight at the I-CSCF or the S-CSCF from outside is refused, whatever it claims.
#[test]
fn a_register_that_bypasses_the_pcscf_is_refused() {
    let (mut ims, alice, _) = alice_is_registered(56);
    let mallory = Attacker::at(&mut ims, [203, 0, 113, 9]);
    let asked = ims.cx_requests().len();
    let headers = format!(
        "To: <sip:+49301000001@{HOME}>\r\nAuthorization: Digest username=\"001010000000001@{HOME}\",\
         realm=\"{HOME}\",nonce=\"\",uri=\"sip:{HOME}\",response=\"\",integrity-protected=\"yes\"\r\n"
    );
    let register = mallory.request("REGISTER", &format!("sip:{HOME}"), &headers);
    for to in [I, S] {
        let heard = mallory.send(&mut ims, to, &register);
        assert_eq!(heard, ["SIP/2.0 403 Forbidden"], "{to}");
    }
    assert_eq!(ims.cx_requests().len(), asked, "the HSS is not bothered");
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.4.3: neither is an INVITE from outside served, though it names a registered user as its sender.
#[test]
fn an_invite_that_bypasses_the_pcscf_is_refused() {
    let (mut ims, alice, bob) = alice_is_registered(57);
    ims.register_well(&bob);
    let mallory = Attacker::at(&mut ims, [203, 0, 113, 9]);
    let headers = format!(
        "To: <{}>\r\nP-Asserted-Identity: <{}>\r\nRoute: <sip:127.0.0.101:6060;lr;orig>\r\n",
        bob.sip, alice.sip
    );
    let invite = mallory.request("INVITE", &bob.sip, &headers);
    for to in [I, S] {
        let heard = mallory.send(&mut ims, to, &invite);
        assert_eq!(heard.last().map(String::as_str), Some("SIP/2.0 403 Forbidden"), "{to}: {heard:?}");
    }
    assert!(ims.received("bob", "INVITE").is_empty());
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.2.6.3: an unregistered UE, or another address than the registered one, may not call.
#[test]
fn a_call_of_somebody_who_is_not_registered_is_forbidden() {
    let (mut ims, alice, _) = alice_is_registered(58);
    let carol = ims.phone_of(1, "carol", Ipv4Addr::new(10, 1, 0, 77), |ue| {
        ue.policy.fault = Some(ue::Fault::Unregistered);
    });
    assert_eq!(refusal(&ims.call(&carol, &alice.sip)), 403, "{}", ims.ladder());
    let mallory = Attacker::at(&mut ims, [10, 1, 0, 99]);
    let invite = mallory.request("INVITE", &alice.sip, &format!("To: <{}>\r\n", alice.sip));
    let heard = mallory.send(&mut ims, P, &invite);
    assert_eq!(heard.last().map(String::as_str), Some("SIP/2.0 403 Forbidden"), "{heard:?}");
    assert!(ims.received("alice", "INVITE").is_empty());
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.2.6.3.3: a UE keeps to its Service-Route; one that leads elsewhere is refused.
#[test]
fn a_forged_route_is_refused() {
    let (mut ims, alice, bob) = alice_is_registered(59);
    ims.register_well(&bob);
    // What alice sends is changed on its way to the P-CSCF: the Service-Route leads straight to the I-CSCF.
    ims.world.set_tamper(|from, to, bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if from == "alice" && to == "pcscf" && text.starts_with("INVITE ") {
            let lines = text.split("\r\n").map(|line| match line.strip_prefix("Route: ") {
                Some(_) => "Route: <sip:127.0.0.10:5060;lr>, <sip:127.0.0.11:4060;lr>",
                None => line,
            });
            *bytes = lines.collect::<Vec<_>>().join("\r\n").into_bytes();
        }
        Fate::Pass
    });
    assert_eq!(refusal(&ims.call(&alice, &bob.tel)), 400, "{}", ims.ladder());
    ims.world.clear_tamper();
    assert!(matches!(ims.call(&alice, &bob.tel), Notice::Established { .. }));
    ims.hang_up(&alice);
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.2.6.3.5: a third party that knows everything about a dialog can still not end it.
#[test]
fn a_third_party_cannot_end_a_call() {
    let (mut ims, alice, bob) = alice_is_registered(60);
    ims.register_well(&bob);
    ims.call(&alice, &bob.tel);
    ims.advance(seconds(1));
    let hold = |notice: &Notice| matches!(notice, Notice::Changed { .. });
    ims.ask(&alice, Command::Hold { call: None }, seconds(20), hold);
    let reinvite = ims.sent("alice", "INVITE").pop().unwrap();
    let line = |name: &str| header(&reinvite, name).map(|value| format!("{name}: {value}\r\n")).unwrap();
    let uri = reinvite.split(' ').nth(1).unwrap();
    let mallory = Attacker::at(&mut ims, [10, 1, 0, 99]);
    let bye = format!(
        "BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.99:5060;branch=z9hG4bKbye\r\nMax-Forwards: 70\r\n{}{}{}{}\
         CSeq: 99999 BYE\r\nContent-Length: 0\r\n\r\n",
        line("From"),
        line("To"),
        line("Call-ID"),
        reinvite
            .split("\r\n")
            .filter(|line| line.starts_with("Route: "))
            .map(|line| format!("{line}\r\n"))
            .collect::<String>(),
    );
    let heard = mallory.send(&mut ims, P, &bye);
    assert!(
        heard.iter().all(|line| line.contains(" 403 ") || line.contains(" 481 ")) && !heard.is_empty(),
        "{heard:?}"
    );
    assert!(ims.received("bob", "BYE").is_empty());
    let notice = ims.hang_up(&alice);
    assert!(matches!(notice, Notice::Ended { .. }), "{notice:?}");
    ims.advance(seconds(2));
    assert_eq!(ims.received("bob", "BYE").len(), 1);
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §4.4: what only the trust domain may say is not taken from a UE.
#[test]
fn the_headers_of_the_trust_domain_are_not_taken_from_a_ue() {
    let (mut ims, alice, bob) = alice_is_registered(61);
    ims.register_well(&bob);
    ims.world.set_tamper(|from, to, bytes| {
        if from == "alice" && to == "pcscf" && bytes.starts_with(b"MESSAGE ") {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let forged = "\r\nP-Asserted-Identity: <sip:boss@forged.example>\
                \r\nP-Charging-Vector: icid-value=forged\r\nP-Served-User: <sip:boss@forged.example>\
                \r\nP-Charging-Function-Addresses: ccf=forged.example\r\nP-Profile-Key: <sip:forged.example>\
                \r\nP-Visited-Network-ID: forged\r\nMax-Forwards: ";
            *bytes = text.replacen("\r\nMax-Forwards: ", forged, 1).into_bytes();
        }
        Fate::Pass
    });
    let notice = ims.message(&alice, &bob.tel, "obey");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    let at_edge = ims.received("pcscf", "MESSAGE");
    assert!(at_edge[0].contains("forged"), "the story tells what it means to tell");
    for part in ["scscf", "icscf", "bob"] {
        let seen = ims.received(part, "MESSAGE");
        assert!(
            !seen.is_empty() && seen.iter().all(|message| !message.contains("forged")),
            "{part}: {seen:?}"
        );
    }
    let inside = ims.received("scscf", "MESSAGE");
    assert!(inside[0].contains("P-Asserted-Identity: <sip:alice@"), "{}", inside[0]);
    assert!(header(&inside[0], "P-Charging-Vector").is_some_and(|vector| vector.contains("icid-value=")));
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.4.1.2.2: one registration more than the registrar may hold is refused, and those before it stay.
#[test]
fn a_full_registrar_refuses_new_users_and_keeps_the_old() {
    let mut ims = Plan::seeded(62).with_scscf_settings("registrations_max = 1").start();
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    let notice = ims.register(&bob);
    // RFC 3261 §16.7 step 6: the 503 of the registrar is nobody else's.
    assert_eq!(refusal(&notice), 500, "{notice:?}\n{}", ims.ladder());
    assert!(reason(&notice).contains("too many registrations"), "{notice:?}");
    assert_eq!(
        ims.sent("scscf", "503").len(),
        1,
        "the same server is not asked again over another transport"
    );
    ims.register_well(&alice);
    // Its phone would go on trying.
    ims.world.crash(bob.host);
    settled(ims, &[&alice]);
}
