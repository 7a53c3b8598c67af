//! Calls and messages between two UEs on a wire that may lose messages.

mod phones;

use phones::{ALICE, BOB, HOME, Phones, bob};
use sip_core::Status;
use std::time::Duration;
use ue::{
    Answering, CallNumber, Command, Deregistration, Ending, Fault, Notice, Reliable, RequestFailure, UeConfig,
};

const CALL: CallNumber = CallNumber(1);

fn answering(_: usize, config: &mut UeConfig) {
    config.policy.answering = Answering::After(Duration::from_secs(1));
}

fn call() -> Command {
    Command::Call { to: bob(), offer: None }
}

fn ended(phones: &Phones, phone: usize) -> Option<&Ending> {
    phones.notices[phone].iter().find_map(|notice| match notice {
        Notice::Ended { ending, .. } => Some(ending),
        _ => None,
    })
}

fn is_established(phones: &Phones, phone: usize) -> bool {
    phones.notices[phone].iter().any(|notice| matches!(notice, Notice::Established { .. }))
}

/// No transaction, call or timer of a call is left.
fn assert_quiet(phones: &mut Phones) {
    phones.advance(Duration::from_secs(300));
    for node in &phones.nodes {
        assert_eq!(node.open(), (0, 0, 0));
        assert_eq!(node.role().calls(), 0);
    }
}

#[test]
fn a_call_rings_is_answered_and_ended_by_the_caller() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(2));
    phones.command(ALICE, Command::Hangup { call: None });

    assert_eq!(
        phones.ladder(),
        ["> INVITE", "< 100 INVITE", "< 180 INVITE", "< 200 INVITE", "> ACK", "> BYE", "< 200 BYE"]
    );
    let [
        Notice::Calling { .. },
        Notice::Ringing { .. },
        Notice::Established { remote_sdp, .. },
        Notice::Ended { .. },
    ] = &phones.notices[ALICE][..]
    else {
        panic!("{:?}", phones.notices[ALICE]);
    };
    assert!(remote_sdp.starts_with(b"v=0\r\n"));
    assert_eq!(ended(&phones, ALICE), Some(&Ending::Local));
    assert_eq!(ended(&phones, BOB), Some(&Ending::Remote));
    assert_quiet(&mut phones);
}

#[test]
fn an_invite_takes_the_service_route_and_names_a_registered_identity() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    let invite = phones.last(ALICE, "INVITE");
    assert!(
        invite.contains(&format!("\nRoute: <sip:10.0.0.9:5060;lr>\nRoute: <sip:orig@scscf.{HOME};lr>\n")),
        "{invite}"
    );
    assert!(invite.contains(&format!("\nP-Preferred-Identity: <sip:alice@{HOME}>\n")));
    assert!(invite.contains("\nSession-Expires: 1800\n"));
    assert!(invite.len() < 1300, "it fits one datagram: {}", invite.len());
}

#[test]
fn a_barred_identity_is_never_named_and_the_default_one_is() {
    let mut phones = Phones::configured(|_, config| config.impu = format!("sip:001010000000001@{HOME}"));
    phones.registrar.scripted = vec![format!("200 OK\nP-Associated-URI: <sip:alice@{HOME}>, <tel:+49301>\n")];
    phones.command(ALICE, Command::Register);
    phones.command(ALICE, call());
    let invite = phones.last(ALICE, "INVITE");
    assert!(invite.contains(&format!("\nFrom: <sip:alice@{HOME}>;tag=")), "{invite}");
    assert!(invite.contains(&format!("\nP-Preferred-Identity: <sip:alice@{HOME}>\n")));
}

#[test]
fn the_called_ends_the_call_too() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(2));
    phones.command(BOB, Command::Hangup { call: Some(CALL) });
    assert_eq!(ended(&phones, ALICE), Some(&Ending::Remote));
    assert_eq!(ended(&phones, BOB), Some(&Ending::Local));
    assert_quiet(&mut phones);
}

#[test]
fn a_caller_who_gives_up_cancels_and_the_phone_stops_ringing() {
    let mut phones = Phones::registered(|_, _| ());
    phones.command(ALICE, call());
    phones.command(ALICE, Command::Hangup { call: None });
    assert_eq!(
        phones.ladder(),
        ["> INVITE", "< 100 INVITE", "< 180 INVITE", "> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"]
    );
    assert_eq!(ended(&phones, ALICE), Some(&Ending::Local));
    assert_eq!(ended(&phones, BOB), Some(&Ending::Cancelled));
    assert_quiet(&mut phones);
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let mut phones = Phones::registered(answering);
    phones.loses = Box::new(|_, text| text.starts_with("CANCEL"));
    phones.command(ALICE, call());
    phones.command(ALICE, Command::Hangup { call: None });
    phones.advance(Duration::from_secs(2));
    assert_eq!(phones.ladder()[3..8], ["> CANCEL", "< 200 INVITE", "> ACK", "> BYE", "< 200 BYE"]);
    assert_eq!(ended(&phones, ALICE), Some(&Ending::Local));
    phones.loses = Box::new(|_, _| false);
    assert_quiet(&mut phones);
}

#[test]
fn a_refused_call_tells_the_caller_the_status() {
    let mut phones = Phones::registered(|_, _| ());
    phones.command(ALICE, call());
    phones.command(BOB, Command::Reject { call: None, status: Status::BUSY_HERE });
    let expected = Ending::Refused { status: Status::BUSY_HERE, reason: "Busy Here".to_owned() };
    assert_eq!(ended(&phones, ALICE), Some(&expected));
    assert_quiet(&mut phones);

    let mut phones = Phones::registered(|_, config| {
        config.policy.answering = Answering::Refuse(Status::TEMPORARILY_UNAVAILABLE)
    });
    phones.command(ALICE, call());
    assert!(matches!(ended(&phones, ALICE), Some(Ending::Refused { status, .. }) if status.code() == 480));
    assert!(phones.notices[BOB].is_empty());
}

#[test]
fn a_lost_2xx_is_sent_again_byte_for_byte_and_a_lost_ack_too() {
    let mut phones = Phones::registered(answering);
    let (mut successes, mut acks) = (0, 0);
    phones.loses = Box::new(move |_, text| {
        successes += u32::from(text.starts_with("SIP/2.0 200"));
        acks += u32::from(text.starts_with("ACK"));
        text.starts_with("SIP/2.0 200") && successes == 1 || text.starts_with("ACK") && acks == 1
    });
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(20));
    assert_eq!(
        phones.ladder()[3..],
        ["< 200 INVITE", "< 200 INVITE", "> ACK", "< 200 INVITE", "> ACK"],
        "lost, answered by a lost ACK, answered"
    );
    let sent: Vec<_> = phones.log.iter().filter(|(_, text)| text.starts_with("SIP/2.0 200")).collect();
    assert!(sent.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(is_established(&phones, ALICE) && is_established(&phones, BOB));
}

#[test]
fn a_2xx_that_is_never_acknowledged_ends_the_call() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, Command::SetPolicy(ue::Policy { fault: Some(Fault::NoAck), ..Default::default() }));
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(140));
    assert_eq!(ended(&phones, BOB), Some(&Ending::NoAck));
    assert_eq!(ended(&phones, ALICE), Some(&Ending::Remote), "the BYE came through");
    assert_quiet(&mut phones);
}

#[test]
fn a_reliable_180_is_repeated_until_its_prack() {
    let mut phones = Phones::registered(|_, config| config.policy.reliable = Reliable::WhenSupported);
    let mut ringing = 0;
    phones.loses = Box::new(move |_, text| {
        ringing += u32::from(text.starts_with("SIP/2.0 180"));
        text.starts_with("SIP/2.0 180") && ringing == 1
    });
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(60));
    assert_eq!(
        phones.ladder(),
        ["> INVITE", "< 100 INVITE", "< 180 INVITE", "< 180 INVITE", "> PRACK", "< 200 PRACK"]
    );
    phones.command(BOB, Command::Answer { call: None });
    assert!(is_established(&phones, ALICE) && is_established(&phones, BOB));
}

#[test]
fn a_reliable_180_without_a_prack_refuses_the_call_after_64_t1() {
    let mut phones = Phones::registered(|_, config| config.policy.reliable = Reliable::WhenSupported);
    phones.loses = Box::new(|_, text| text.starts_with("PRACK"));
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(140));
    assert!(matches!(ended(&phones, ALICE), Some(Ending::Refused { status, .. }) if status.code() == 504));
    phones.loses = Box::new(|_, _| false);
    assert_quiet(&mut phones);
}

#[test]
fn hold_and_resume_are_re_invites_with_a_direction() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(2));
    phones.command(ALICE, Command::Hold { call: None });
    assert!(phones.last(ALICE, "INVITE").contains("a=sendonly"));
    assert!(phones.last(BOB, "SIP/2.0 200").contains("a=recvonly"));
    assert!(phones.notices[BOB].iter().any(|notice| matches!(notice, Notice::Changed { .. })));
    phones.command(ALICE, Command::Resume { call: None });
    assert!(phones.last(BOB, "SIP/2.0 200").contains("a=sendrecv"));
    phones.command(BOB, Command::Update { call: None });
    assert_eq!(phones.ladder().iter().rev().take(2).collect::<Vec<_>>(), ["> 200 UPDATE", "< UPDATE"]);
}

#[test]
fn two_changes_at_once_are_both_refused_and_tried_again() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(2));
    // Both ends change before either hears of the other.
    let held = [ALICE, BOB].map(|phone| {
        phones.nodes[phone]
            .handle(phones.now, cscf::Input::Event(cscf::Event::Command(Command::Hold { call: None })));
        phone
    });
    phones.advance(Duration::from_secs(10));
    for phone in held {
        let changes =
            phones.notices[phone].iter().filter(|notice| matches!(notice, Notice::Changed { .. })).count();
        assert_eq!(changes, 2, "its own and the other's: {:?}", phones.ladder());
    }
    assert!(phones.ladder().iter().any(|line| line.contains("491")));
}

#[test]
fn a_session_is_refreshed_by_the_caller_and_dies_when_nobody_does() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(2));
    phones.log.clear();
    phones.advance(Duration::from_secs(1000));
    assert_eq!(phones.ladder(), ["> UPDATE", "< 200 UPDATE"]);
    phones.advance(Duration::from_secs(5000));
    assert_eq!(ended(&phones, ALICE), None);

    phones.loses = Box::new(|phone, _| phone == ALICE);
    phones.advance(Duration::from_secs(1800));
    assert_eq!(ended(&phones, BOB), Some(&Ending::SessionExpired));
    assert_eq!(ended(&phones, ALICE), Some(&Ending::SessionExpired));
}

#[test]
fn a_session_interval_that_is_too_short_is_raised_by_a_422() {
    let mut phones = Phones::registered(|phone, config| {
        config.policy.answering = Answering::After(Duration::ZERO);
        match phone {
            ALICE => config.policy.session_expires = Some(Duration::from_secs(120)),
            _ => config.policy.min_se = Duration::from_secs(600),
        }
    });
    phones.command(ALICE, call());
    assert_eq!(phones.ladder()[..4], ["> INVITE", "< 100 INVITE", "< 422 INVITE", "> ACK"]);
    let again = phones.last(ALICE, "INVITE");
    assert!(
        again.contains("\nSession-Expires: 600\nMin-SE: 600\n") && again.contains("\nCSeq: 2 INVITE\n"),
        "{again}"
    );
    assert!(is_established(&phones, ALICE));
}

#[test]
fn an_invite_that_asks_too_much_is_refused_with_what_would_do() {
    let invite = |headers: &str, body: &str| {
        format!(
            "INVITE sip:bob@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK{}\nMax-Forwards: 70\n\
             From: <sip:x@h>;tag=x\nTo: <sip:bob@h>\nCall-ID: c\nCSeq: 1 INVITE\nContact: <sip:x@10.0.0.9>\n{headers}\
             Content-Length: {}\n\n{body}",
            headers.len() + body.len(),
            body.len()
        )
    };
    let video = "v=0 t=0 0 m=video 1 RTP/AVP 31";
    let cases = [
        (invite("Require: precondition\n", ""), "420", "Unsupported: precondition"),
        (invite("Content-Type: text/html\n", "<html>"), "415", "Accept: application/sdp"),
        (invite("Content-Type: application/sdp\n", video), "488", "Warning: "),
        (invite("Supported: timer\nSession-Expires: 30\n", ""), "422", "Min-SE: 90"),
    ];
    for (invite, code, header) in cases {
        let mut phones = Phones::registered(|_, _| ());
        phones.deliver(BOB, &invite);
        let response = phones.last(BOB, &format!("SIP/2.0 {code}"));
        assert!(response.contains(header), "{response}");
        assert_eq!(phones.nodes[BOB].role().calls(), 0);
    }
}

#[test]
fn a_request_in_an_unknown_dialog_is_481_and_an_unknown_method_405() {
    let request = |method: &str, to_tag: &str| {
        format!(
            "{method} sip:bob@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK1{method}\nMax-Forwards: 70\n\
             From: <sip:x@h>;tag=x\nTo: <sip:bob@h>{to_tag}\nCall-ID: c\nCSeq: 1 {method}\nContent-Length: 0\n\n"
        )
    };
    let mut phones = Phones::registered(|_, _| ());
    for method in ["BYE", "UPDATE", "INVITE", "NOTIFY"] {
        phones.deliver(BOB, &request(method, ";tag=gone"));
        assert!(phones.last(BOB, "SIP/2.0 481").contains(&format!("CSeq: 1 {method}")));
    }
    phones.deliver(BOB, &request("PUBLISH", ""));
    assert!(phones.last(BOB, "SIP/2.0 405").contains("Allow: INVITE"));
    phones.deliver(BOB, &request("OPTIONS", ""));
    assert!(phones.last(BOB, "SIP/2.0 200").contains("Accept: application/sdp"));
}

#[test]
fn a_message_is_delivered_and_a_refusal_is_told() {
    let mut phones = Phones::registered(|_, _| ());
    let message = |text: &str| Command::Message { to: bob(), text: text.to_owned() };
    phones.command(ALICE, message("grüß dich"));
    assert_eq!(
        phones.notices[BOB],
        [Notice::MessageReceived { from: format!("sip:alice@{HOME}"), text: "grüß dich".to_owned() }]
    );
    assert_eq!(phones.notices[ALICE], [Notice::MessageSent { to: bob(), status: Status::OK }]);

    phones.loses = Box::new(|_, _| true);
    phones.command(ALICE, message("is anybody there"));
    phones.advance(Duration::from_secs(200));
    let failed = Notice::MessageFailed { to: bob(), failure: RequestFailure::Timeout };
    assert_eq!(phones.notices[ALICE].last(), Some(&failed));

    phones.command(ALICE, message(&"x".repeat(1301)));
    assert!(matches!(phones.notices[ALICE].last(), Some(Notice::Refused { command: "message", .. })));
}

#[test]
fn nothing_is_sent_by_a_ue_that_is_not_registered_unless_it_misbehaves() {
    let mut phones = Phones::new();
    phones.command(ALICE, call());
    assert!(matches!(
        phones.notices[ALICE][..],
        [Notice::Refused { command: "call", why: "not registered" }]
    ));
    assert!(phones.log.is_empty());
    phones.command(
        ALICE,
        Command::SetPolicy(ue::Policy { fault: Some(Fault::Unregistered), ..Default::default() }),
    );
    phones.command(ALICE, call());
    assert!(phones.last(ALICE, "INVITE").contains("\nRoute: <sip:10.0.0.9:5060;lr>\nMax-Forwards"));
}

#[test]
fn a_local_number_is_dialled_in_the_home_network() {
    let mut phones = Phones::registered(|_, _| ());
    for (dialled, uri) in [
        ("tel:110", format!("tel:110;phone-context={HOME}")),
        ("tel:+49301", "tel:+49301".to_owned()),
        ("sip:bob@elsewhere", "sip:bob@elsewhere".to_owned()),
    ] {
        phones.command(ALICE, Command::Message { to: dialled.to_owned(), text: String::new() });
        assert!(phones.last(ALICE, "MESSAGE").starts_with(&format!("MESSAGE {uri} SIP/2.0\n")));
    }
    phones.command(ALICE, Command::Message { to: "bob".to_owned(), text: String::new() });
    assert!(matches!(phones.notices[ALICE].last(), Some(Notice::Refused { .. })));
}

#[test]
fn a_second_phone_that_answers_is_acknowledged_and_hung_up() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(2));
    let other = phones.last(BOB, "SIP/2.0 200").replace(";tag=", ";tag=other");
    let other = other.replacen(";tag=other", ";tag=", 1);
    phones.log.clear();
    phones.deliver(ALICE, &other);
    assert_eq!(phones.ladder()[..2], ["> ACK", "> BYE"], "{:?}", phones.log);
    assert_eq!(phones.nodes[ALICE].role().calls(), 1, "the first call goes on");
}

#[test]
fn deregistering_ends_the_calls_first() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(2));
    phones.log.clear();
    phones.command(ALICE, Command::Deregister);
    phones.advance(Duration::from_secs(1));
    let ladder = phones.ladder();
    let at = |what: &str| {
        ladder.iter().position(|line| line == what).unwrap_or_else(|| panic!("{what}: {ladder:?}"))
    };
    assert!(at("> BYE") < at("< 200 BYE") && at("< 200 BYE") < at("> REGISTER"), "{ladder:?}");
    assert_eq!(phones.notices[ALICE].last(), Some(&Notice::Deregistered(Deregistration::Confirmed)));
}

/// The way of the BYE and of its answer would be gone with the registration; who does not answer holds nobody back for ever.
#[test]
fn deregistering_waits_for_the_farewells_and_for_no_longer_than_they_last() {
    let mut phones = Phones::registered(answering);
    phones.command(ALICE, call());
    phones.advance(Duration::from_secs(2));
    phones.log.clear();
    phones.loses = Box::new(|_, _| true);
    phones.command(ALICE, Command::Deregister);
    phones.advance(Duration::from_secs(120));
    assert!(phones.ladder().iter().all(|line| line == "> BYE"), "{:?}", phones.ladder());
    phones.loses = Box::new(|_, _| false);
    phones.advance(Duration::from_secs(10));
    assert_eq!(phones.notices[ALICE].last(), Some(&Notice::Deregistered(Deregistration::Confirmed)));
}
