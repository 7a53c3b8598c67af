//! Sessions beyond the plain call: reliable provisional responses, changes, timers, races, transports, numbers, privacy.

use carillon_tests::story::{header, refusal, settled};
use cscf::flow::Transport;
use sim::{Fate, Ims, Link, Phone, Plan};
use std::time::Duration;
use ue::{Answering, Command, Ending, Notice, Reliable};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn both_registered(mut ims: Ims) -> (Ims, Phone, Phone) {
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    (ims, alice, bob)
}

/// Calls, and lets the ACK arrive.
fn call_well(ims: &mut Ims, from: &Phone, to: &str) {
    let notice = ims.call(from, to);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    ims.advance(seconds(1));
}

/// Changes what alice sends to the P-CSCF in requests of this method: one line in front of Max-Forwards.
fn alice_adds(ims: &mut Ims, method: &'static str, line: &'static str) {
    ims.world.set_tamper(move |from, to, bytes| {
        if from == "alice" && to == "pcscf" && bytes.starts_with(method.as_bytes()) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let added = format!("\r\n{line}\r\nMax-Forwards: ");
            *bytes = text.replacen("\r\nMax-Forwards: ", &added, 1).into_bytes();
        }
        Fate::Pass
    });
}

/// RFC 3262: a reliable 180 is acknowledged by PRACK, end to end through both halves.
#[test]
fn ringing_is_told_reliably() {
    let mut ims = Ims::seeded(70);
    let alice = ims.phone();
    let bob = ims.phone_with(|ue| ue.policy.reliable = Reliable::WhenSupported);
    ims.register_well(&alice);
    ims.register_well(&bob);
    call_well(&mut ims, &alice, &bob.tel);
    let ringing = ims.received("alice", "180");
    assert!(header(&ringing[0], "RSeq").is_some(), "{ringing:?}");
    assert_eq!(ims.received("bob", "PRACK").len(), 1, "{}", ims.ladder());
    assert_eq!(ims.received("alice", "200 OK (PRACK)").len(), 1);
    ims.hang_up(&bob);
    settled(ims, &[&alice, &bob]);
}

/// RFC 3261 §14, RFC 3311: both ends change the session by re-INVITE and by UPDATE.
#[test]
fn both_ends_change_the_session() {
    let (mut ims, alice, bob) = both_registered(Ims::seeded(71));
    call_well(&mut ims, &alice, &bob.sip);
    for who in [&bob, &alice] {
        for command in
            [Command::Hold { call: None }, Command::Resume { call: None }, Command::Update { call: None }]
        {
            let done =
                |notice: &Notice| matches!(notice, Notice::Changed { .. } | Notice::ChangeRefused { .. });
            let notice = ims.ask(who, command.clone(), seconds(20), done);
            assert!(matches!(notice, Notice::Changed { .. }), "{} {command:?}: {notice:?}", who.name);
            ims.advance(seconds(1));
        }
    }
    ims.hang_up(&bob);
    settled(ims, &[&alice, &bob]);
}

/// RFC 4028 §5 to §8: an interval that the S-CSCF finds too short is refused with 422, and the caller asks for a longer.
#[test]
fn a_session_interval_that_is_too_short_is_made_longer() {
    let mut ims = Plan::seeded(72).with_scscf_settings("min_se = \"300s\"").start();
    let alice = ims.phone_with(|ue| ue.policy.session_expires = Some(seconds(90)));
    let bob = ims.phone();
    ims.register_well(&alice);
    ims.register_well(&bob);
    call_well(&mut ims, &alice, &bob.tel);
    let brief = ims.received("alice", "422");
    assert_eq!(brief.first().and_then(|text| header(text, "Min-SE")), Some("300"), "{}", ims.ladder());
    let updates = ims.received("bob", "UPDATE").len() + ims.received("bob", "INVITE").len();
    ims.advance(seconds(600));
    let after = ims.received("bob", "UPDATE").len() + ims.received("bob", "INVITE").len();
    assert!(after > updates, "nobody refreshed\n{}", ims.ladder());
    ims.hang_up(&alice);
    settled(ims, &[&alice, &bob]);
}

/// RFC 3261 §9.1: the CANCEL that crosses the 200 changes nothing; the caller ends the call that came about.
#[test]
fn a_cancel_that_crosses_the_answer_leaves_no_call_behind() {
    for early_ms in [0, 1, 2, 3] {
        let (mut ims, alice, bob) = both_registered(Ims::seeded(73));
        ims.world.command(alice.host, Command::Call { to: bob.tel.clone(), offer: None });
        let rings = |notice: &Notice| matches!(notice, Notice::IncomingCall { .. });
        assert!(ims.wait_for(&bob, seconds(5), rings).is_some());
        // Bob answers after a second; the CANCEL leaves just before the 200 would arrive.
        ims.advance(seconds(1) - Duration::from_millis(early_ms) + Duration::from_micros(600));
        ims.world.command(alice.host, Command::Hangup { call: None });
        ims.advance(seconds(40));
        for phone in [&alice, &bob] {
            ims.world.take_notices::<Notice>(phone.host);
            let notice = ims.hang_up(phone);
            assert!(matches!(notice, Notice::Refused { .. }), "{} still has a call: {notice:?}", phone.name);
        }
        settled(ims, &[&alice, &bob]);
    }
}

/// TS 24.229 §5.4.3.3: who is known but not registered is 480; who is not known is 404.
#[test]
fn the_unregistered_and_the_unknown_are_told_apart() {
    let mut ims = Ims::seeded(74);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    assert_eq!(refusal(&ims.call(&alice, &bob.tel)), 480);
    assert_eq!(refusal(&ims.call(&alice, "sip:nobody@ims.mnc001.mcc001.3gppnetwork.org")), 404);
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.1.1.2.1: a phone that registered over TCP is called over TCP, and calls over it.
#[test]
fn phones_on_tcp_call_and_are_called() {
    let mut ims = Ims::seeded(75);
    let alice = ims.phone_with(|ue| ue.pcscf.transport = Transport::Tcp);
    let bob = ims.phone();
    ims.register_well(&alice);
    ims.register_well(&bob);
    call_well(&mut ims, &alice, &bob.tel);
    ims.hang_up(&bob);
    ims.advance(seconds(2));
    call_well(&mut ims, &bob, &alice.tel);
    assert!(ims.received("alice", "INVITE")[0].starts_with("INVITE sip:"));
    ims.hang_up(&alice);
    settled(ims, &[&alice, &bob]);
}

/// RFC 3261 §18.1.1: a request of more than 1300 bytes goes over TCP, and back over UDP where TCP is refused.
#[test]
fn a_large_request_takes_tcp_and_falls_back_to_udp() {
    for refuses in [false, true] {
        let (mut ims, alice, bob) = both_registered(Ims::seeded(76));
        for part in ["scscf", "icscf", "pcscf"] {
            let host = ims.world.host(part);
            ims.world.set_refuses_streams(host, refuses);
        }
        let text = "x".repeat(1100);
        let notice = ims.message(&alice, &bob.tel, &text);
        assert!(matches!(notice, Notice::MessageSent { .. }), "{refuses}: {notice:?}\n{}", ims.ladder());
        let at_icscf = ims.received("icscf", "MESSAGE");
        let via = header(&at_icscf[0], "Via").unwrap();
        assert_eq!(via.starts_with("SIP/2.0/UDP"), refuses, "{via}");
        settled(ims, &[&alice, &bob]);
    }
}

/// RFC 3261 §18.1.1: where the path MTU is known, what fits into it with room for the response stays on UDP.
#[test]
fn a_large_request_stays_on_udp_where_the_path_is_known_to_carry_it() {
    for (path_mtu, transport) in [(9000, "SIP/2.0/UDP"), (1500, "SIP/2.0/TCP")] {
        let known = format!("[network]\npath_mtu = {path_mtu}\n");
        let (mut ims, alice, bob) = both_registered(Plan::seeded(76).with_settings(&known).start());
        let notice = ims.message(&alice, &bob.tel, &"x".repeat(1100));
        assert!(matches!(notice, Notice::MessageSent { .. }), "{path_mtu}: {notice:?}\n{}", ims.ladder());
        let at_icscf = ims.received("icscf", "MESSAGE");
        let via = header(&at_icscf[0], "Via").unwrap();
        assert!(via.starts_with(transport), "{path_mtu}: {via}");
        settled(ims, &[&alice, &bob]);
    }
}

/// RFC 3323, RFC 3325 §9.3: with `Privacy: id` the callee does not see who calls; the core does.
#[test]
fn a_caller_who_wants_privacy_is_not_shown() {
    let (mut ims, alice, bob) = both_registered(Ims::seeded(77));
    alice_adds(&mut ims, "MESSAGE", "Privacy: id");
    let notice = ims.message(&alice, &bob.tel, "guess who");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    let inside = ims.received("icscf", "MESSAGE");
    assert!(header(&inside[0], "P-Asserted-Identity").is_some());
    let outside = ims.received("bob", "MESSAGE");
    assert_eq!(header(&outside[0], "P-Asserted-Identity"), None, "{}", outside[0]);
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.4.3.2: a number is made global by the operator's policy before anybody is looked for.
#[test]
fn a_national_number_with_a_phone_context_reaches_its_user() {
    let mut ims = Plan::seeded(78).with_scscf_settings("country_code = \"49\"").start();
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    for uri in [
        "tel:0301000002;phone-context=ims.mnc001.mcc001.3gppnetwork.org",
        "tel:301000002;phone-context=+49",
        "sip:+49301000002@ims.mnc001.mcc001.3gppnetwork.org;user=phone",
    ] {
        let notice = ims.message(&alice, uri, "hello");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{uri}: {notice:?}\n{}", ims.ladder());
    }
    settled(ims, &[&alice, &bob]);
}

/// RFC 3261 §11: OPTIONS goes to the other end and back like any request.
#[test]
fn options_are_answered_by_the_other_phone() {
    let (mut ims, alice, bob) = both_registered(Ims::seeded(79));
    let command = Command::Options { to: bob.tel.clone() };
    let notice =
        ims.ask(&alice, command, seconds(20), |notice| matches!(notice, Notice::OptionsAnswered { .. }));
    assert!(matches!(notice, Notice::OptionsAnswered { outcome: Ok(_), .. }), "{notice:?}");
    assert_eq!(ims.received("bob", "OPTIONS").len(), 1);
    settled(ims, &[&alice, &bob]);
}

/// A partition during a call: the BYE is sent again until the network heals, and ends it.
#[test]
fn a_bye_outlasts_a_partition() {
    let (mut ims, alice, bob) = both_registered(Ims::seeded(80));
    call_well(&mut ims, &alice, &bob.tel);
    ims.world.network.cut("pcscf", "scscf");
    ims.world.command(alice.host, Command::Hangup { call: None });
    ims.advance(seconds(10));
    assert!(ims.received("bob", "BYE").is_empty());
    ims.world.network.heal_all();
    let ended = ims.wait_for(&bob, seconds(20), |notice| matches!(notice, Notice::Ended { .. }));
    assert!(
        matches!(ended, Some(Notice::Ended { ending: Ending::Remote, .. })),
        "{ended:?}\n{}",
        ims.ladder()
    );
    settled(ims, &[&alice, &bob]);
}

/// RFC 3261 §17.2: packets that come twice and out of order set up one call and end one.
#[test]
fn doubled_and_reordered_packets_make_one_call() {
    let (mut ims, alice, bob) = both_registered(Ims::seeded(81));
    ims.set_links(Link {
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(40),
        loss_permille: 0,
        duplicate_permille: 1000,
        is_cut: false,
    });
    call_well(&mut ims, &alice, &bob.tel);
    let incoming = ims.world.take_notices::<Notice>(bob.host);
    let calls = incoming.iter().filter(|(_, notice)| matches!(notice, Notice::IncomingCall { .. })).count();
    assert_eq!(calls, 1);
    ims.hang_up(&alice);
    ims.advance(seconds(5));
    let ended = ims.world.take_notices::<Notice>(bob.host);
    let ends = ended.iter().filter(|(_, notice)| matches!(notice, Notice::Ended { .. })).count();
    assert_eq!(ends, 1);
    settled(ims, &[&alice, &bob]);
}

/// RFC 3261 §16.7 step 6: of several refusals the caller gets the best one.
#[test]
fn a_phone_that_is_busy_and_rings_elsewhere_is_not_busy() {
    let second = "bob-tablet@ims.mnc001.mcc001.3gppnetwork.org";
    let plan = Plan::seeded(82).with_subscriber(1, |bob| {
        let first = bob.private_identities[0].clone();
        bob.private_identities.push(hss_mock::PrivateIdentity { impi: second.to_owned(), ..first });
    });
    let mut ims = plan.start();
    let alice = ims.phone();
    let busy = ims.phone_with(|ue| ue.policy.answering = Answering::Refuse(sip_core::Status::BUSY_HERE));
    let tablet = ims.phone_of(1, "tablet", [10, 1, 0, 22].into(), |ue| ue.impi = second.to_owned());
    for phone in [&alice, &busy, &tablet] {
        ims.register_well(phone);
    }
    call_well(&mut ims, &alice, &busy.tel);
    ims.hang_up(&alice);
    settled(ims, &[&alice, &busy, &tablet]);
}

/// What of a dialog the requests in it repeat to the octet, as a strict phone compares them: one de-registered itself over less.
#[derive(Debug, PartialEq, Eq)]
struct Ends {
    uri: String,
    from: String,
    to: String,
    call_id: String,
    routes: Vec<String>,
}

impl Ends {
    /// Of a request in a dialog, as it is sent.
    fn of(request: &str) -> Ends {
        let field =
            |name| header(request, name).unwrap_or_else(|| panic!("no {name} in {request}")).to_owned();
        Ends {
            uri: request.split(' ').nth(1).unwrap_or_default().to_owned(),
            from: field("From"),
            to: field("To"),
            call_id: field("Call-ID"),
            routes: values(request, "Route"),
        }
    }

    /// What a request towards the caller has to have, by the INVITE or SUBSCRIBE as the sender received it, and its own answer.
    fn towards_caller(request: &str, answer: &str) -> Ends {
        let field = |text: &str, name| header(text, name).unwrap_or_default().to_owned();
        Ends {
            uri: contact(request),
            from: field(answer, "To"),
            to: field(request, "From"),
            call_id: field(request, "Call-ID"),
            routes: values(request, "Record-Route"),
        }
    }
}

/// Every value of a header, in order.
fn values(message: &str, name: &str) -> Vec<String> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    let all = head.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    all.flat_map(|value| value.split(", ")).map(str::to_owned).collect()
}

fn contact(message: &str) -> String {
    let contact = header(message, "Contact").unwrap_or_default();
    contact.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}

fn number(message: &str) -> u32 {
    let cseq = header(message, "CSeq").unwrap_or_default();
    cseq.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// RFC 3261 §12.2.1.1: every NOTIFY of the S-CSCF, before and after a crash of it.
#[test]
fn a_strict_phone_finds_nothing_wrong_with_a_notify() {
    let mut ims = Plan::seeded(91).with_settings("[pcscf]\nreg_event = true").start();
    let alice = ims.phone_with(|ue| ue.watching = ue::Watching::OwnRegistration);
    ims.register_well(&alice);
    ims.advance(seconds(2));
    ims.register_well(&alice);
    ims.restart("scscf", seconds(2));
    ims.advance(seconds(5));
    ims.register_well(&alice);
    ims.advance(seconds(2));
    let asked: Vec<String> = ims.received("scscf", "SUBSCRIBE");
    let granted = ims.sent("scscf", "200 OK (SUBSCRIBE)");
    let told = ims.sent("scscf", "NOTIFY");
    assert!(told.len() >= 8, "{}: two subscriptions, four NOTIFYs each\n{}", told.len(), ims.ladder());
    let mut latest = std::collections::BTreeMap::new();
    for notify in told {
        let ends = Ends::of(&notify);
        // The last answer of the notifier to the SUBSCRIBE that made the dialog, and that SUBSCRIBE as it came to it.
        let is_it = |text: &&String| header(text, "Call-ID") == Some(ends.call_id.as_str());
        let (subscribe, ok) = (asked.iter().rfind(is_it), granted.iter().find(is_it));
        let (subscribe, ok) = (subscribe.expect("a SUBSCRIBE"), ok.expect("a 200"));
        assert_eq!(ends, Ends::towards_caller(subscribe, ok), "{notify}");
        let before = latest.insert(ends.call_id, number(&notify));
        assert!(before.is_none_or(|before| before < number(&notify)), "{before:?}: {notify}");
    }
    settled(ims, &[&alice]);
}

/// RFC 3261 §12.2.1.1: the BYE by which the network ends a call, at both phones.
#[test]
fn a_strict_phone_finds_nothing_wrong_with_a_bye_of_the_network() {
    let (mut ims, alice, bob) = both_registered(Ims::seeded(92));
    call_well(&mut ims, &alice, &bob.sip);
    let scscf = ims.world.host("scscf");
    let impu = cscf::identity::Impu::parse(bob.sip.as_bytes()).expect("an identity");
    ims.world.command(scscf, scscf::Command::Deregister { impu });
    ims.advance(seconds(2));
    let only = |mut all: Vec<String>| {
        assert_eq!(all.len(), 1, "{}", ims.ladder());
        all.remove(0)
    };
    let field = |text: &str, name| header(text, name).unwrap_or_default().to_owned();
    // Alice called: the BYE comes from her peer as the 200 named it, to her as her INVITE did.
    let (invite, ok, bye) = (
        only(ims.sent("alice", "INVITE")),
        only(ims.received("alice", "200 OK (INVITE)")),
        only(ims.received("alice", "BYE")),
    );
    assert_eq!((field(&bye, "From"), field(&bye, "To")), (field(&ok, "To"), field(&invite, "From")));
    assert_eq!((field(&bye, "Call-ID"), Ends::of(&bye).uri), (field(&invite, "Call-ID"), contact(&invite)));
    assert!(Ends::of(&bye).routes.is_empty(), "the way has an end: {bye}");
    // Bob was called: the other way round, and above every number that alice has used.
    let (invite, ok, bye) = (
        only(ims.received("bob", "INVITE")),
        only(ims.sent("bob", "200 OK (INVITE)")),
        only(ims.received("bob", "BYE")),
    );
    assert_eq!((field(&bye, "From"), field(&bye, "To")), (field(&invite, "From"), field(&ok, "To")));
    assert_eq!((field(&bye, "Call-ID"), Ends::of(&bye).uri), (field(&invite, "Call-ID"), contact(&ok)));
    assert!(Ends::of(&bye).routes.is_empty() && number(&bye) > number(&invite), "{bye}");
    settled(ims, &[&alice]);
}
