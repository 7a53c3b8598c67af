//! Lines and commands, notices and replies.

use super::*;
use crate::record::hex;
use crate::subscriber::Subscriber;
use crate::subscriber_record::write_subscriber;
use cscf::identity::{HomeNetwork, Plmn};
use ims_aka::{Key, Opc};

fn alice() -> Subscriber {
    let (k, opc) = (Key::new([1; 16]), Opc(Key::new([2; 16])));
    let home = HomeNetwork::of(&Plmn::test());
    Subscriber::lab(&home, "001010000000001", k, opc, "49301000001", "alice").expect("a subscriber")
}

fn refusal(
    command: Option<&str>,
    result: CxResult,
    identity: Option<&str>,
    count: Option<u32>,
) -> HssCommand {
    let (command, identity) = (command.map(str::to_owned), identity.map(str::to_owned));
    HssCommand::Refuse(Refusal { command, identity, result, count })
}

#[test]
fn a_line_is_a_command() {
    let target = || "alice".to_owned();
    let deregister = |reason, info: Option<&str>| HssCommand::Deregister {
        target: target(),
        reason,
        info: info.map(str::to_owned),
    };
    let put = format!("put {}", hex(&write_subscriber(&alice())));
    for (line, command) in [
        ("deregister alice", deregister(ReasonCode::PermanentTermination, None)),
        (
            "deregister alice reason=server-change info=moved  to reason=x",
            deregister(ReasonCode::ServerChange, Some("moved  to reason=x")),
        ),
        ("deregister alice reason=new-server", deregister(ReasonCode::NewServerAssigned, None)),
        ("deregister alice reason=remove-scscf", deregister(ReasonCode::RemoveScscf, None)),
        ("push alice", HssCommand::PushProfile { target: target() }),
        ("refuse MAR 5012 count=1", refusal(Some("MAR"), CxResult::UNABLE_TO_COMPLY, None, Some(1))),
        ("refuse uar 3gpp:5001", refusal(Some("UAR"), CxResult::USER_UNKNOWN, None, None)),
        ("refuse any TOO_BUSY who=sip:a@b", refusal(None, CxResult::TOO_BUSY, Some("sip:a@b"), None)),
        ("serve-all", HssCommand::ClearRefusals),
        (
            "set-sqn a@b 1f",
            HssCommand::SetSqn { impi: "a@b".to_owned(), sqn: Sqn::new(31).expect("48 bits") },
        ),
        ("show alice", HssCommand::Show { target: target() }),
        ("list", HssCommand::ListSubscribers),
        (put.as_str(), HssCommand::PutSubscriber(Box::new(alice()))),
        ("remove alice", HssCommand::RemoveSubscriber { target: target() }),
    ] {
        assert_eq!(read(line), Ok(command), "{line}");
    }
}

#[test]
fn a_line_that_is_none_is_refused_in_words() {
    for (line, why) in [
        ("", "unknown"),
        ("registrate alice", "\"registrate\" is unknown"),
        ("deregister", "WHO is missing"),
        ("deregister alice now", "\"now\" is not understood"),
        ("deregister alice reason=fun", "permanent, new-server"),
        ("push alice bob", "more than WHO"),
        ("refuse MAR", "a command and a result"),
        ("refuse PPR 5012", "PPR is none of"),
        ("refuse MAR 7", "no result"),
        ("refuse MAR 3gpp:x", "no result"),
        ("refuse MAR NONSENSE", "no result"),
        ("refuse MAR 5012 count=0", "number from 1"),
        ("refuse MAR 5012 who=", "not understood"),
        ("serve-all x", "too much"),
        ("set-sqn a@b", "IMPI HEX"),
        ("set-sqn a@b 1000000000000", "48 bits"),
    ] {
        let told = read(line).expect_err(line);
        assert!(told.contains(why), "{line}: {told}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_not_repeated() {
    let record = hex(&write_subscriber(&alice()));
    for damaged in [&record[2..], &record[..record.len() - 1], "0x", ""] {
        assert_eq!(read(&format!("put {damaged}")), Err(unreadable()));
    }
}

#[test]
fn a_result_has_a_name_with_or_without_its_prefixes() {
    for (text, result) in [
        ("user_unknown", CxResult::USER_UNKNOWN),
        ("ERROR_USER_UNKNOWN", CxResult::USER_UNKNOWN),
        ("DIAMETER_ERROR_ROAMING_NOT_ALLOWED", CxResult::ROAMING_NOT_ALLOWED),
        ("DIAMETER_UNABLE_TO_COMPLY", CxResult::UNABLE_TO_COMPLY),
        ("5001", CxResult::AVP_UNSUPPORTED),
        ("3GPP:5012", CxResult::SERVING_NODE_FEATURE_UNSUPPORTED),
    ] {
        assert_eq!(result_of(text), Some(result), "{text}");
    }
}

#[test]
fn the_notice_of_the_command_is_the_reply_and_no_other() {
    let told = |command: &HssCommand, result| tell(command, 2, &HssNotice { command: 2, result });
    let push = HssCommand::PushProfile { target: "alice".to_owned() };
    let other = HssNotice { command: 1, result: Ok(CommandReport::Done) };
    assert_eq!(tell(&push, 2, &other), None);
    let answered = |result| told(&push, Ok(CommandReport::Answered(result))).expect("a reply");
    assert_eq!(answered(CxResult::SUCCESS), Reply::done(["the S-CSCF answered 2001 SUCCESS".to_owned()]));
    assert!(matches!(answered(CxResult::USER_UNKNOWN).outcome, Outcome::Failed(_)));
    let outcome = |error| told(&push, Err(error)).map(|reply| reply.outcome).expect("a reply");
    assert!(matches!(outcome(CommandError::Unknown), Outcome::Failed(_)));
    assert!(matches!(outcome(CommandError::NotTold(CxFailure::NoPeer)), Outcome::Unreachable(_)));
    assert!(matches!(outcome(CommandError::NotTold(CxFailure::Timeout)), Outcome::Timeout(_)));
    let once = refusal(Some("MAR"), CxResult::UNABLE_TO_COMPLY, None, Some(1));
    let line = "the next MAR of anybody is refused: 5012 UNABLE_TO_COMPLY".to_owned();
    assert_eq!(told(&once, Ok(CommandReport::Done)), Some(Reply::done([line])));
}

#[test]
fn a_subscription_is_shown_with_its_state_and_without_its_keys() {
    let shown = Shown {
        name: "alice".to_owned(),
        imsi: None,
        server_name: Some("sip:scscf.home1.net".to_owned()),
        private_identities: vec![("a@home1.net".to_owned(), Sqn::from_parts(1, 2))],
        sets: vec![ShownSet {
            state: State::Registered,
            registered: vec!["a@home1.net".to_owned()],
            identities: vec![("sip:1@home1.net".to_owned(), true), ("sip:a@home1.net".to_owned(), false)],
        }],
    };
    assert_eq!(
        lines_of(&shown),
        [
            "name      alice",
            "imsi      -",
            "s-cscf    sip:scscf.home1.net",
            "private   a@home1.net (SQN 000000000022)",
            "set       registered by a@home1.net",
            "public    sip:1@home1.net (barred)",
            "public    sip:a@home1.net",
        ]
    );
}
