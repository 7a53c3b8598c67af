//! CSCFs of several shards: every message finds the shard that is its home, whatever identity it names, and what is stored
//! is found by another number of shards.

use carillon_tests::story::settled;
use cscf::flow::Transport;
use diameter_client::cx::{CxResult, ReasonCode};
use hss_mock::{CommandReport, HssCommand};
use scscf::Scscf;
use sim::{Ims, Phone, Plan};
use std::time::Duration;
use ue::{Notice, UeConfig};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn registered(ims: &mut Ims, count: u8) -> Vec<Phone> {
    let phones: Vec<Phone> = (0..count).map(|_| ims.phone()).collect();
    phones.iter().for_each(|phone| ims.register_well(phone));
    phones
}

fn call_and_hang_up(ims: &mut Ims, from: &Phone, to: &str) {
    let notice = ims.call(from, to);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    ims.advance(seconds(1));
    ims.hang_up(from);
}

/// How many registrations and sessions each shard of the S-CSCF has.
fn spread(ims: &Ims) -> Vec<(usize, usize)> {
    let host = ims.world.host("scscf");
    ims.world.hosts()[host]
        .shards::<Scscf>()
        .iter()
        .map(|station| (station.node().role().registrations().len(), station.node().role().sessions().len()))
        .collect()
}

fn everybody_calls_everybody(ims: &mut Ims, phones: &[Phone]) {
    for from in phones {
        for to in phones.iter().filter(|to| to.name != from.name) {
            call_and_hang_up(ims, from, &to.sip);
            call_and_hang_up(ims, from, &to.tel);
            let notice = ims.message(from, &format!("{};user=phone", to.sip), "hello");
            assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
        }
    }
}

#[test]
fn users_of_all_shards_call_each_other_by_every_identity_and_leave_nothing_behind() {
    for shards in [2, 3] {
        let mut ims = Plan::seeded(400).with_shards(shards).with_subscribers(6).start();
        let phones = registered(&mut ims, 6);
        let used = spread(&ims).iter().filter(|(registrations, _)| *registrations > 0).count();
        assert!(used > 1, "six users fall to more than one of {shards} shards");
        everybody_calls_everybody(&mut ims, &phones);
        assert!(spread(&ims).iter().all(|(_, sessions)| *sessions == 0), "{:?}", spread(&ims));
        settled(ims, &phones.iter().collect::<Vec<_>>());
    }
}

#[test]
fn the_same_over_connections() {
    let mut ims = Plan::seeded(401).with_shards(3).with_subscribers(4).start();
    let tcp = |ue: &mut UeConfig| ue.pcscf.transport = Transport::Tcp;
    let phones: Vec<Phone> = (0..4).map(|_| ims.phone_with(tcp)).collect();
    phones.iter().for_each(|phone| ims.register_well(phone));
    everybody_calls_everybody(&mut ims, &phones);
    settled(ims, &phones.iter().collect::<Vec<_>>());
}

#[test]
fn what_one_shard_has_stored_three_find_and_one_again() {
    let mut ims = Plan::seeded(402).with_subscribers(4).start();
    let phones = registered(&mut ims, 4);
    for shards in [3, 2, 1] {
        ims.set_shards(shards);
        for part in ["pcscf", "icscf", "scscf"] {
            ims.restart(part, seconds(1));
        }
        ims.advance(seconds(5));
        let registrations: usize = spread(&ims).iter().map(|(registrations, _)| registrations).sum();
        assert_eq!((spread(&ims).len(), registrations), (usize::from(shards), 4), "each is kept once");
        everybody_calls_everybody(&mut ims, &phones);
    }
    settled(ims, &phones.iter().collect::<Vec<_>>());
}

#[test]
fn a_call_that_stands_outlives_a_restart_with_more_shards() {
    let mut ims = Plan::seeded(403).with_shards(2).start();
    let phones = registered(&mut ims, 2);
    let notice = ims.call(&phones[0], &phones[1].tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
    ims.advance(seconds(1));
    ims.set_shards(5);
    for part in ["pcscf", "icscf", "scscf"] {
        ims.restart(part, seconds(1));
    }
    ims.advance(seconds(5));
    ims.hang_up(&phones[1]);
    let ended = ims.wait_for(&phones[0], seconds(10), |notice| matches!(notice, Notice::Ended { .. }));
    assert!(ended.is_some() || ims.received("alice", "BYE").len() == 1, "{}", ims.ladder());
    settled(ims, &[&phones[0], &phones[1]]);
}

#[test]
fn the_hss_ends_a_registration_wherever_it_is_and_pushes_a_profile_there() {
    let mut ims = Plan::seeded(404).with_shards(3).with_subscribers(4).start();
    let phones = registered(&mut ims, 4);
    for phone in &phones {
        let target = phone.sip.clone();
        assert!(matches!(
            ims.hss(HssCommand::PushProfile { target }),
            Ok(CommandReport::Answered(CxResult::SUCCESS))
        ));
    }
    for (number, phone) in phones.iter().enumerate() {
        let target = phone.sip.clone();
        let reason = ReasonCode::PermanentTermination;
        assert!(ims.hss(HssCommand::Deregister { target, reason, info: None }).is_ok());
        assert_eq!(ims.contacts(phone), 0);
        let left: usize = spread(&ims).iter().map(|(registrations, _)| registrations).sum();
        assert_eq!(left, 3 - number, "nobody else is ended");
    }
    settled(ims, &[]);
}
