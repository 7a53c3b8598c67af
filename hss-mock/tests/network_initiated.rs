//! RTR and PPR: what the network begins (TS 29.228 §6.1.3, §6.2.2).

mod lab;

use cscf::user_data;
use diameter_client::cx::{CxAnswer, CxRequest, CxResult, Ppa, ReasonCode, Rta};
use diameter_client::endpoint::CxFailure;
use hss_mock::{CommandError, CommandReport, Conflict, HssCommand, HssConfig, State};
use lab::*;

fn deregister(target: &str, reason: ReasonCode) -> HssCommand {
    HssCommand::Deregister { target: target.to_owned(), reason, info: None }
}

#[test]
fn a_terminated_user_is_gone_before_the_server_is_told() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    assert_eq!(
        lab.command(deregister(ALICE_TEL, ReasonCode::PermanentTermination)),
        None,
        "it waits for the RTA"
    );
    assert_eq!(lab.hss.state(ALICE), Some((State::NotRegistered, None)));
    let (id, CxRequest::Rtr(rtr), host) = lab.sent.remove(0) else { panic!("an RTR") };
    assert_eq!((rtr.user_name.as_str(), rtr.public_identities.len()), (ALICE_IMPI, 4));
    assert_eq!(host, "scscf1.home1.net");
    lab.answer(id, Ok(CxAnswer::Rta(Rta::default())));
    assert_eq!(lab.done.pop().unwrap().1, Ok(CommandReport::Answered(CxResult::SUCCESS)));
}

#[test]
fn a_server_that_cannot_be_told_is_reported_and_the_user_is_gone_all_the_same() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    lab.command(deregister("alice", ReasonCode::ServerChange));
    let (id, CxRequest::Rtr(rtr), _) = lab.sent.remove(0) else { panic!("an RTR") };
    assert!(rtr.public_identities.is_empty(), "all of the subscription");
    lab.answer(id, Err(CxFailure::Timeout));
    assert_eq!(lab.done.pop().unwrap().1, Err(CommandError::NotTold(CxFailure::Timeout)));
    assert_eq!(lab.uar(ALICE_IMPI, ALICE).result, CxResult::FIRST_REGISTRATION);
}

#[test]
fn nobody_is_told_of_a_user_who_is_not_served_or_does_not_exist() {
    let mut lab = Lab::new();
    let result = lab.command(deregister("alice", ReasonCode::PermanentTermination));
    assert_eq!(result, Some(Ok(CommandReport::NotServed)));
    let result = lab.command(deregister("carol", ReasonCode::PermanentTermination));
    assert_eq!(result, Some(Err(CommandError::Unknown)));
    assert!(lab.sent.is_empty());
}

#[test]
fn a_changed_profile_is_pushed_whole() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let mut changed = alice();
    changed.implicit_sets[0].service_profiles[0].public_identities[0].is_barred = false;
    assert_eq!(
        lab.command(HssCommand::ReplaceSubscriber(Box::new(changed.clone()))),
        Some(Ok(CommandReport::Done))
    );
    assert_eq!(lab.hss.state(ALICE), Some((State::Registered, Some(SCSCF))), "registrations stay");
    lab.command(HssCommand::PushProfile { target: "alice".to_owned() });
    let (id, CxRequest::Ppr(ppr), _) = lab.sent.remove(0) else { panic!("a PPR") };
    let pushed = user_data::validate(ppr.user_data.as_deref().unwrap()).unwrap();
    assert_eq!(pushed, changed.user_data(&changed.implicit_sets[0], ALICE_IMPI));
    lab.answer(id, Ok(CxAnswer::Ppa(Ppa::default())));
    assert_eq!(lab.done.pop().unwrap().1, Ok(CommandReport::Answered(CxResult::SUCCESS)));
}

#[test]
fn a_profile_that_is_too_much_sends_the_user_to_another_server() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    lab.command(HssCommand::PushProfile { target: ALICE.to_owned() });
    let (id, ..) = lab.sent.remove(0);
    lab.answer(id, Ok(CxAnswer::Ppa(Ppa { result: CxResult::TOO_MUCH_DATA, ..Ppa::default() })));
    let (_, CxRequest::Rtr(rtr), _) = lab.sent.remove(0) else { panic!("an RTR") };
    assert_eq!(rtr.reason.code, ReasonCode::ServerChange);
    assert_eq!(lab.hss.state(ALICE), Some((State::NotRegistered, None)));
}

#[test]
fn another_private_identity_is_tried_when_the_server_does_not_know_the_first() {
    let mut shared = alice();
    let mut second = shared.private_identities[0].clone();
    second.impi = "second@home1.net".to_owned();
    shared.private_identities.push(second);
    let mut lab = Lab::with(HssConfig::default(), vec![shared]);
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    lab.register("second@home1.net", ALICE, SCSCF);
    lab.command(HssCommand::PushProfile { target: ALICE.to_owned() });
    let (id, ..) = lab.sent.remove(0);
    lab.answer(id, Ok(CxAnswer::Ppa(Ppa { result: CxResult::USER_UNKNOWN, ..Ppa::default() })));
    let (_, CxRequest::Ppr(ppr), _) = lab.sent.remove(0) else { panic!("a second PPR") };
    assert_eq!(ppr.user_name, "second@home1.net");
}

#[test]
fn subscribers_come_and_go_while_the_hss_runs() {
    let mut lab = Lab::with(HssConfig::default(), vec![alice()]);
    let add = |subscriber| HssCommand::AddSubscriber(Box::new(subscriber));
    assert_eq!(lab.command(add(bob())), Some(Ok(CommandReport::Done)));
    let mut twin = bob();
    twin.name = "twin".to_owned();
    let conflict = Conflict::Impi(BOB_IMPI.to_owned());
    assert_eq!(lab.command(add(twin)), Some(Err(CommandError::Conflict(conflict))));

    lab.register(BOB_IMPI, BOB, SCSCF);
    assert_eq!(lab.command(HssCommand::RemoveSubscriber { target: BOB.to_owned() }), None);
    let (id, CxRequest::Rtr(_), _) = lab.sent.remove(0) else { panic!("an RTR") };
    lab.answer(id, Ok(CxAnswer::Rta(Rta::default())));
    assert_eq!(lab.done.pop().unwrap().1, Ok(CommandReport::Answered(CxResult::SUCCESS)));
    assert_eq!(lab.uar(BOB_IMPI, BOB).result, CxResult::USER_UNKNOWN);
    assert!(lab.records.keys().all(|key| !key.contains("bob") && !key.contains(BOB_IMPI)), "nothing is left");
}
