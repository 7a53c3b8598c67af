//! No answer leaves before what it depends on is durable, and nothing durable is forgotten.

mod lab;

use ambient::{Entropy, Now};
use diameter_client::cx::{CxRequest, CxResult, ServerAssignmentType as Type};
use hss_mock::hss::LoadError;
use hss_mock::{
    CommandError, CommandReport, Hss, HssCommand, HssConfig, HssInput, HssOutput, Permission, State,
    StoreFailure, Subscriber,
};
use ims_aka::UsimAnswer;
use lab::*;

fn next_batch(lab: &mut Lab) -> u64 {
    match lab.hss.poll_output() {
        Some(HssOutput::Store { batch, .. }) => batch,
        other => panic!("expected a batch to store, got {other:?}"),
    }
}

fn registration() -> CxRequest {
    CxRequest::Sar(sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration))
}

#[test]
fn an_answer_waits_for_the_store_and_what_follows_waits_behind_it() {
    let mut lab = Lab::new();
    let first = lab.send(registration(), "scscf1.home1.net");
    let batch = next_batch(&mut lab);
    let second =
        lab.send(CxRequest::Sar(sar(ALICE_IMPI, ALICE, SCSCF, Type::NoAssignment)), "scscf1.home1.net");
    assert_eq!(lab.hss.poll_output(), None, "neither is answered");
    assert_eq!(lab.uar(BOB_IMPI, BOB).result, CxResult::FIRST_REGISTRATION, "others are");
    lab.hss.handle(Now::default(), HssInput::Stored { batch, result: Ok(()) });
    let order: Vec<_> = lab.settle().into_iter().map(|(id, answer)| (id, answer.result())).collect();
    assert_eq!(order, [(first, CxResult::SUCCESS), (second, CxResult::SUCCESS)]);
}

#[test]
fn a_store_that_fails_refuses_the_answer_and_takes_the_change_back() {
    let mut lab = Lab::new();
    lab.send(registration(), "scscf1.home1.net");
    let batch = next_batch(&mut lab);
    lab.hss.handle(Now::default(), HssInput::Stored { batch, result: Err(StoreFailure) });
    let answers = lab.settle();
    assert_eq!(answers[0].1.result(), CxResult::UNABLE_TO_COMPLY);
    assert_eq!(lab.hss.state(ALICE), Some((State::NotRegistered, None)));
    lab.register(ALICE_IMPI, ALICE, OTHER_SCSCF);
}

#[test]
fn a_subscriber_that_could_not_be_stored_does_not_exist_and_a_removed_one_comes_back() {
    let mut lab = Lab::with(HssConfig::default(), vec![alice()]);
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    for (id, command) in [
        (901, HssCommand::AddSubscriber(Box::new(bob()))),
        (902, HssCommand::RemoveSubscriber { target: "alice".to_owned() }),
    ] {
        lab.hss.handle(Now::default(), HssInput::Command { id, command });
        let batch = next_batch(&mut lab);
        lab.hss.handle(Now::default(), HssInput::Stored { batch, result: Err(StoreFailure) });
        lab.settle();
        assert_eq!(lab.result_of(id), Some(Err(CommandError::NotStored)));
    }
    assert_eq!(lab.uar(BOB_IMPI, BOB).result, CxResult::USER_UNKNOWN);
    assert_eq!(lab.hss.state(ALICE), Some((State::Registered, Some(SCSCF))));
    assert!(lab.sent.is_empty(), "and nobody was told");
}

#[test]
fn a_warm_subscriber_needs_no_store() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let before = lab.stored;
    for _ in 0..10 {
        assert!(lab.uar(ALICE_IMPI, ALICE).result.is_success());
        assert!(lab.mar(ALICE_IMPI, ALICE, SCSCF).result.is_success());
        assert!(lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::ReRegistration).result.is_success());
        assert!(lab.lir(ALICE).result.is_success());
    }
    assert_eq!(lab.stored, before);
}

#[test]
fn a_restart_remembers_who_is_registered_and_repeats_no_sequence_number() {
    let mut lab = Lab::new();
    let mut card = card(&alice());
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    for restart in 0..3 {
        for _ in 0..restart * 20 + 1 {
            let maa = lab.mar(ALICE_IMPI, ALICE, SCSCF);
            assert!(matches!(answer_of(&mut card, &maa.auth_data_items[0]), UsimAnswer::Ok { .. }));
        }
        let records = std::mem::take(&mut lab.records);
        lab = Lab::restarted(HssConfig::default(), vec![alice(), bob()], records);
        assert_eq!(lab.hss.state(ALICE), Some((State::Registered, Some(SCSCF))));
        assert_eq!(lab.hss.state(BOB), Some((State::NotRegistered, None)));
    }
    lab.command(HssCommand::Deregister {
        target: "alice".to_owned(),
        reason: diameter_client::cx::ReasonCode::PermanentTermination,
        info: None,
    });
    assert_eq!(lab.sent[0].2, "scscf1.home1.net", "the host of the S-CSCF is remembered");
}

#[test]
fn a_line_that_is_full_is_told_so() {
    let config = HssConfig { line_max: 2, ..HssConfig::default() };
    let mut lab = Lab::with(config, vec![alice()]);
    lab.send(registration(), "scscf1.home1.net");
    let batch = next_batch(&mut lab);
    for _ in 0..2 {
        lab.send(registration(), "scscf1.home1.net");
    }
    let third = lab.send(registration(), "scscf1.home1.net");
    let answers = lab.settle();
    assert_eq!(
        answers.iter().map(|(id, a)| (*id, a.result())).collect::<Vec<_>>(),
        [(third, CxResult::TOO_BUSY)]
    );
    lab.hss.handle(Now::default(), HssInput::Stored { batch, result: Ok(()) });
    assert_eq!(lab.settle().len(), 3);
}

fn put(subscriber: Subscriber) -> HssCommand {
    HssCommand::PutSubscriber(Box::new(subscriber))
}

#[test]
fn a_subscription_that_was_put_is_there_after_a_restart_and_goes_before_the_listed_one() {
    let mut lab = Lab::with(HssConfig::default(), vec![alice()]);
    assert_eq!(lab.command(put(alice())), Some(Ok(CommandReport::Unchanged)));
    assert_eq!(lab.stored, 0, "what is so already is not stored");
    let denied = Subscriber { registration: Permission::Denied, ..alice() };
    assert_eq!(lab.command(put(denied)), Some(Ok(CommandReport::Done)));
    assert_eq!(lab.command(put(bob())), Some(Ok(CommandReport::Done)));
    lab.register(BOB_IMPI, BOB, SCSCF);

    let mut lab = Lab::restarted(HssConfig::default(), vec![alice()], lab.records);
    assert_eq!(lab.uar(ALICE_IMPI, ALICE).result, CxResult::AUTHORIZATION_REJECTED);
    assert_eq!(lab.hss.state(BOB), Some((State::Registered, Some(SCSCF))), "with the state of bob");
    lab.command(HssCommand::RemoveSubscriber { target: "bob".to_owned() });
    let lab = Lab::restarted(HssConfig::default(), vec![alice()], lab.records);
    assert_eq!(lab.hss.state(BOB), None);
}

#[test]
fn a_damaged_record_is_told_and_the_others_are_taken_over() {
    let mut lab = Lab::with(HssConfig::default(), vec![alice()]);
    lab.command(put(bob()));
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let mut records = lab.records;
    records.insert("subscriber/bob".to_owned(), b"1\nname\tbob\n".to_vec());
    let mut hss = Hss::new(HssConfig::default(), Entropy::seeded(1));
    let told = hss.load(vec![alice()], records.into_iter().collect());
    assert_eq!(told, Err(LoadError::Damaged("subscriber/bob".to_owned())));
    assert_eq!(hss.state(ALICE), Some((State::Registered, Some(SCSCF))));
}

#[test]
fn what_is_shown_is_the_state_as_it_is() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let target = ALICE_TEL.to_owned();
    let Some(Ok(CommandReport::Shown(shown))) = lab.command(HssCommand::Show { target }) else {
        panic!("alice is shown")
    };
    assert_eq!((shown.name.as_str(), shown.server_name.as_deref()), ("alice", Some(SCSCF)));
    assert_eq!(
        (shown.sets[0].state, shown.sets[0].registered.as_slice()),
        (State::Registered, &[ALICE_IMPI.to_owned()][..])
    );
    assert!(shown.private_identities[0].1.seq() > 0, "a vector was made");
    let target = "nobody".to_owned();
    assert_eq!(lab.command(HssCommand::Show { target }), Some(Err(CommandError::Unknown)));
    let listed = CommandReport::Listed(vec!["alice".to_owned(), "bob".to_owned()]);
    assert_eq!(lab.command(HssCommand::ListSubscribers), Some(Ok(listed)));
}
