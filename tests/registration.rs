//! Registrations: how they begin, are proved, refreshed, shared between phones, and how each way of ending them ends.

use carillon_tests::story::{header, refusal, settled};
use cscf::user_data::{PublicIdentity, ServiceProfile};
use diameter_client::cx::{CxRequest, ReasonCode, ServerAssignmentType, ServerCapabilities};
use hss_mock::{CommandReport, Credentials, HssCommand, PrivateIdentity};
use ims_aka::tuak::Length;
use ims_aka::{Algorithm, Hash, Key, Opc, Sqn, Topc, TuakKey, Usim};
use sim::{Ims, Phone, Plan};
use std::net::Ipv4Addr;
use std::time::Duration;
use ue::{Answering, Command, Deregistration, Ending, Fault, Notice, Password};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// --- proof --------------------------------------------------------------------------------------------------------

/// TS 33.203 §6.1.3, TS 29.228 §6.3.1: a number that the USIM has seen before makes it ask for another one.
#[test]
fn a_sequence_number_that_fell_back_is_resynchronised_by_a_second_vector() {
    let mut ims = Ims::seeded(20);
    let alice = ims.phone();
    ims.register_well(&alice);
    ims.deregister(&alice);
    let impi = "001010000000001@ims.mnc001.mcc001.3gppnetwork.org".to_owned();
    let fallen = HssCommand::SetSqn { impi, sqn: Sqn::default() };
    assert_eq!(ims.hss(fallen), Ok(CommandReport::Done));
    let before = ims.cx_count("MAR");
    ims.register_well(&alice);
    assert_eq!(ims.cx_count("MAR") - before, 2, "{}", ims.ladder());
    let resync = ims.cx_requests().into_iter().rev().find_map(|request| match request {
        CxRequest::Mar(mar) => Some(mar.auth_data_item.authorization),
        _ => None,
    });
    // TS 29.229 §6.3.11: RAND and AUTS, 30 octets.
    assert_eq!(resync.flatten().map(|item| item.len()), Some(30));
    settled(ims, &[&alice]);
}

/// TS 33.203 §6.1.1, TS 24.229 §5.4.1.2.3A: a wrong RES is refused, and whoever was registered stays it.
#[test]
fn a_wrong_answer_to_the_challenge_is_refused_and_ends_nothing() {
    let mut ims = Ims::seeded(21);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    let thief = ims.phone_of(0, "thief", Ipv4Addr::new(10, 1, 0, 66), |ue| {
        ue.policy.fault = Some(Fault::WrongRes);
    });
    assert_eq!(refusal(&ims.register(&thief)), 403, "{}", ims.ladder());
    assert!(ims.assignments().contains(&ServerAssignmentType::AuthenticationFailure));
    assert_eq!(ims.contacts(&alice), 1);
    let notice = ims.message(&bob, &alice.sip, "still there?");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    settled(ims, &[&alice, &bob]);
}

/// TS 33.203 §6.1.2.2: a network that does not know K cannot challenge; the UE says so, and is not registered.
#[test]
fn a_challenge_of_another_key_is_no_challenge() {
    let mut ims = Ims::seeded(22);
    let alice = ims.phone_with(|ue| {
        let key = Key::from_hex("000102030405060708090a0b0c0d0e0f").unwrap();
        ue.credentials =
            ue::Credentials::Aka(Box::new(Usim::new(Algorithm::milenage(&key.clone(), Opc(key)))));
    });
    let bob = ims.phone();
    let notice = ims.register(&alice);
    assert!(matches!(notice, Notice::RegistrationFailed(_)), "{notice:?}");
    assert!(ims.assignments().contains(&ServerAssignmentType::AuthenticationFailure), "{}", ims.ladder());
    assert_eq!(ims.registered_at(&alice), None);
    ims.register_well(&bob);
    settled(ims, &[&bob]);
}

/// TS 24.229 table 7.8.1 (reg-await-auth), TS 29.229 §6.3.15: a challenge that nobody answers is given up after 4 min.
#[test]
fn an_ignored_challenge_is_reported_to_the_hss_after_four_minutes() {
    let mut ims = Ims::seeded(23);
    let alice = ims.phone_with(|ue| ue.policy.fault = Some(Fault::IgnoreChallenge));
    ims.world.command(alice.host, Command::Register);
    ims.advance(seconds(230));
    assert_eq!(ims.assignments(), []);
    ims.advance(seconds(20));
    assert_eq!(ims.assignments(), [ServerAssignmentType::AuthenticationTimeout]);
    assert_eq!(ims.registered_at(&alice), None);
    settled(ims, &[]);
}

/// TS 35.231: another set of functions on the card and in the HSS, the same procedure.
#[test]
fn a_subscriber_with_tuak_registers() {
    let key = || TuakKey::K256(Key::new([7; 32]));
    let topc = || Topc(Key::new([9; 32]));
    let plan = Plan::seeded(24).with_subscriber(0, |subscriber| {
        subscriber.private_identities[0].credentials =
            Credentials::Tuak { k: key(), topc: topc(), iterations: 1 };
    });
    let mut ims = plan.start();
    let alice = ims.phone_with(|ue| {
        let algorithm = Algorithm::tuak(key(), topc(), 1, Length::Bits64);
        ue.credentials = ue::Credentials::Aka(Box::new(Usim::new(algorithm)));
    });
    ims.register_well(&alice);
    settled(ims, &[&alice]);
}

/// TS 33.203 Annex N: SIP digest by password, and the wrong password beside it.
#[test]
fn a_subscriber_with_a_password_registers_by_sip_digest_and_a_wrong_password_does_not() {
    for (hash, seed) in [(Hash::Md5, 25), (Hash::Sha256, 26)] {
        let digest = move |subscriber: &mut hss_mock::Subscriber| {
            let identity = &mut subscriber.private_identities[0];
            let realm = "ims.mnc001.mcc001.3gppnetwork.org";
            identity.credentials = Credentials::digest_password(hash, &identity.impi, realm, "secret");
        };
        let plan = Plan::seeded(seed).with_subscriber(0, digest).with_subscriber(1, digest);
        let mut ims = plan.start();
        let alice = ims.phone_with(|ue| ue.credentials = ue::Credentials::Digest(Password::new("secret")));
        let bob = ims.phone_with(|ue| ue.credentials = ue::Credentials::Digest(Password::new("wrong")));
        ims.register_well(&alice);
        let notice = ims.register(&bob);
        assert_eq!(refusal(&notice), 403, "{notice:?}\n{}", ims.ladder());
        let notice = ims.message(&alice, &alice.tel, "to myself");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
        settled(ims, &[&alice]);
    }
}

/// TS 33.203 §O.4.3: the P-CSCF tells the registrar that the connection is the one that has registered.
#[test]
fn a_phone_registers_by_sip_digest_over_tls_and_its_connection_vouches_for_it() {
    let digest = |subscriber: &mut hss_mock::Subscriber| {
        let identity = &mut subscriber.private_identities[0];
        let realm = "ims.mnc001.mcc001.3gppnetwork.org";
        identity.credentials = Credentials::digest_password(Hash::Md5, &identity.impi, realm, "secret");
    };
    let settings = "[pcscf]\nlisten = [\"127.0.0.10:5060\", \"tls:127.0.0.10:5061\"]\n\
                    [tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
    let plan = Plan::seeded(33).with_subscriber(0, digest).with_subscriber(1, digest);
    let mut ims = plan.with_settings(settings).start();
    let mut phone = || {
        ims.phone_with(|ue| {
            ue.credentials = ue::Credentials::Digest(Password::new("secret"));
            ue.pcscf.transport = cscf::flow::Transport::Tls;
            ue.pcscf.remote.set_port(5061);
        })
    };
    let (alice, bob) = (phone(), phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    let bound = |ims: &Ims| {
        let registers = ims.received("scscf", "REGISTER");
        registers.iter().filter(|text| text.contains("integrity-protected=\"tls-yes\"")).count()
    };
    assert_eq!(bound(&ims), 0, "{}", ims.ladder());
    ims.register_well(&alice);
    assert!(bound(&ims) > 0, "the connection has registered before\n{}", ims.ladder());
    let notice = ims.message(&alice, &bob.tel, "over TLS");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    let via = ims.received("bob", "MESSAGE");
    assert!(via.iter().all(|text| text.contains("Via: SIP/2.0/TLS 127.0.0.10:5061;")), "{via:?}");
    settled(ims, &[&alice, &bob]);
}

// --- refresh ------------------------------------------------------------------------------------------------------

/// TS 24.229 §5.4.1.2.2: whether a refresh is challenged again is the operator's policy.
#[test]
fn a_refresh_is_challenged_as_the_policy_says() {
    for (policy, challenges) in [("always", 2), ("unprotected", 2), ("never", 1)] {
        let settings = format!("reauthenticate = \"{policy}\"");
        let mut ims = Plan::seeded(27).with_scscf_settings(&settings).start();
        let alice = ims.phone();
        ims.register_well(&alice);
        ims.register_well(&alice);
        assert_eq!(ims.sent("scscf", "401").len(), challenges, "{policy}\n{}", ims.ladder());
        assert!(ims.assignments().starts_with(&[ServerAssignmentType::Registration]));
        settled(ims, &[&alice]);
    }
}

/// RFC 3261 §10.3 step 7: a registration that is too short is refused with the shortest; the UE asks again with that.
#[test]
fn a_registration_that_is_too_short_is_made_as_long_as_the_registrar_wants() {
    let mut ims = Ims::seeded(28);
    let alice = ims.phone_with(|ue| ue.expires = seconds(10));
    let notice = ims.register(&alice);
    assert!(matches!(notice, Notice::Registered { expires_s: 60, .. }), "{notice:?}\n{}", ims.ladder());
    let brief = ims.received("alice", "423");
    assert_eq!(brief.first().and_then(|text| header(text, "Min-Expires")), Some("60"));
    ims.deregister(&alice);
    settled(ims, &[]);
}

/// TS 29.229 §6.3.15: a phone that went away is de-registered when its time is over, and cannot be called from then on.
#[test]
fn a_phone_that_vanished_expires_and_is_unreachable() {
    let mut ims = Ims::seeded(29);
    let alice = ims.phone();
    let bob = ims.phone_with(|ue| ue.expires = seconds(120));
    ims.register_well(&alice);
    ims.register_well(&bob);
    ims.world.crash(bob.host);
    ims.advance(seconds(100));
    assert_eq!(ims.contacts(&bob), 1);
    ims.advance(seconds(30));
    assert_eq!(ims.contacts(&bob), 0);
    assert_eq!(ims.assignments().last(), Some(&ServerAssignmentType::TimeoutDeregistration));
    assert_eq!(ims.registered_at(&bob), None);
    assert_eq!(refusal(&ims.call(&alice, &bob.tel)), 480);
    settled(ims, &[&alice]);
}

// --- several identities, several phones ---------------------------------------------------------------------------

/// TS 23.228 §5.2.1a: what registers one identity of an implicit set registers all of them.
#[test]
fn every_identity_of_the_implicit_set_can_be_called() {
    let mut ims = Ims::seeded(30);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    let by_name = "sip:bob@ims.mnc001.mcc001.3gppnetwork.org".to_owned();
    for uri in [&bob.sip, &bob.tel, &by_name] {
        let notice = ims.message(&alice, uri, "hello");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{uri}: {notice:?}");
    }
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.4.1.2.2F: the barred identity that registers is neither told nor reached.
#[test]
fn the_temporary_identity_is_hidden_and_cannot_be_called() {
    let mut ims = Ims::seeded(31);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    let Notice::Registered { identities, .. } = ims.register(&bob) else { panic!("bob is not registered") };
    assert!(identities.iter().all(|identity| !identity.contains("00101")), "{identities:?}");
    let temporary = "sip:001010000000002@ims.mnc001.mcc001.3gppnetwork.org";
    assert_eq!(refusal(&ims.message(&alice, temporary, "hello?")), 404);
    settled(ims, &[&alice, &bob]);
}

/// Two phones, each with a private identity of its own, on bob's public identities.
fn bob_with_two_phones(seed: u64) -> (Ims, Phone, [Phone; 2]) {
    const SECOND: &str = "bob-tablet@ims.mnc001.mcc001.3gppnetwork.org";
    let plan = Plan::seeded(seed).with_subscriber(1, |bob| {
        let first = bob.private_identities[0].clone();
        bob.private_identities.push(PrivateIdentity { impi: SECOND.to_owned(), ..first });
    });
    let mut ims = plan.start();
    let alice = ims.phone();
    let phone = ims.phone_with(|ue| ue.policy.answering = Answering::Manual);
    let tablet = ims.phone_of(1, "tablet", Ipv4Addr::new(10, 1, 0, 22), |ue| {
        ue.impi = SECOND.to_owned();
        ue.policy.answering = Answering::Manual;
    });
    for phone in [&alice, &phone, &tablet] {
        ims.register_well(phone);
    }
    assert_eq!(ims.contacts(&phone), 2, "{}", ims.ladder());
    (ims, alice, [phone, tablet])
}

/// RFC 3261 §16.7: both phones of a user ring, one answers, the other is cancelled.
#[test]
fn both_phones_of_a_user_ring_until_one_answers() {
    let (mut ims, alice, [phone, tablet]) = bob_with_two_phones(32);
    ims.world.command(alice.host, Command::Call { to: phone.tel.clone(), offer: None });
    let rings = |notice: &Notice| matches!(notice, Notice::IncomingCall { .. });
    assert!(ims.wait_for(&phone, seconds(5), rings).is_some());
    assert!(ims.wait_for(&tablet, seconds(5), rings).is_some(), "{}", ims.ladder());
    ims.world.command(tablet.host, Command::Answer { call: None });
    let established = |notice: &Notice| matches!(notice, Notice::Established { .. });
    assert!(ims.wait_for(&alice, seconds(5), established).is_some(), "{}", ims.ladder());
    let ended = ims.wait_for(&phone, seconds(5), |notice| matches!(notice, Notice::Ended { .. }));
    assert!(matches!(ended, Some(Notice::Ended { ending: Ending::Cancelled, .. })), "{ended:?}");
    ims.hang_up(&tablet);
    settled(ims, &[&alice, &phone, &tablet]);
}

/// TS 24.229 §5.4.1.4: `Contact: *` ends the contacts of its own private identity and of no other.
#[test]
fn a_star_removes_the_contacts_of_its_own_phone_only() {
    let (mut ims, alice, [phone, tablet]) = bob_with_two_phones(33);
    let gone = |notice: &Notice| matches!(notice, Notice::Deregistered(_));
    let notice = ims.ask(&phone, Command::DeregisterAll, seconds(60), gone);
    assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed), "{}", ims.ladder());
    assert_eq!(ims.contacts(&tablet), 1);
    assert!(ims.registered_at(&tablet).is_some(), "one private identity is left (TS 29.228 §6.1.2.1)");
    let notice = ims.message(&alice, &tablet.sip, "which one?");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    let heard = ims.world.take_notices::<Notice>(tablet.host);
    assert!(heard.iter().any(|(_, notice)| matches!(notice, Notice::MessageReceived { .. })), "{heard:?}");
    settled(ims, &[&alice, &tablet]);
}

// --- the network ends or changes it -------------------------------------------------------------------------------

/// TS 29.228 §6.1.3.1: each reason of an RTR, and what is left; the S-CSCF sends no SAR after it.
#[test]
fn the_hss_ends_a_registration_for_each_reason() {
    use ReasonCode::{NewServerAssigned, PermanentTermination, RemoveScscf, ServerChange};
    // With NEW_SERVER_ASSIGNED by command, the HSS still has this S-CSCF on record, and gives back what it is asked for.
    let table = [
        (PermanentTermination, 0, false),
        (NewServerAssigned, 0, true),
        (ServerChange, 0, false),
        (RemoveScscf, 1, true),
    ];
    for (reason, contacts_left, is_reached) in table {
        let mut ims = Ims::seeded(34);
        let (alice, bob) = (ims.phone(), ims.phone());
        ims.register_well(&alice);
        ims.register_well(&bob);
        let told = ims.assignments().len();
        let target = bob.sip.clone();
        let report = ims.hss(HssCommand::Deregister { target, reason, info: None });
        assert!(matches!(report, Ok(CommandReport::Answered(result)) if result.is_success()), "{report:?}");
        assert_eq!(ims.contacts(&bob), contacts_left, "{reason:?}");
        assert_eq!(ims.assignments().len(), told, "{reason:?}: the HSS knows already");
        let notice = ims.message(&alice, &bob.sip, "there?");
        assert_eq!(refusal(&notice) == 480, !is_reached, "{reason:?}: {notice:?}\n{}", ims.ladder());
        // Whoever was ended may come back.
        ims.register_well(&bob);
        let notice = ims.message(&alice, &bob.sip, "there?");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{reason:?}: {notice:?}");
        settled(ims, &[&alice, &bob]);
    }
}

/// TS 24.229 §5.4.5.1: with the registration the network ends the call.
#[test]
fn the_end_of_a_registration_ends_its_call() {
    let mut ims = Ims::seeded(35);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    ims.call(&alice, &bob.tel);
    let (target, reason) = (bob.sip.clone(), ReasonCode::PermanentTermination);
    assert!(ims.hss(HssCommand::Deregister { target, reason, info: None }).is_ok());
    let ended = |notice: &Notice| matches!(notice, Notice::Ended { .. });
    let notice = ims.wait_for(&alice, seconds(10), ended);
    assert!(
        matches!(notice, Some(Notice::Ended { ending: Ending::Remote, .. })),
        "{notice:?}\n{}",
        ims.ladder()
    );
    settled(ims, &[&alice]);
}

/// TS 29.228 §6.2.2: a profile that changes reaches the S-CSCF by PPR, and counts at once.
#[test]
fn a_pushed_profile_counts_at_once() {
    let mut changed = None;
    let plan = Plan::seeded(36).with_subscriber(1, |bob| changed = Some(bob.clone()));
    let mut ims = plan.start();
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    let office = "sip:office@ims.mnc001.mcc001.3gppnetwork.org";
    assert_eq!(refusal(&ims.message(&alice, office, "anybody?")), 404);
    let mut subscriber = changed.unwrap();
    let profile: &mut ServiceProfile = &mut subscriber.implicit_sets[0].service_profiles[0];
    profile
        .public_identities
        .push(PublicIdentity { identity: office.to_owned(), ..PublicIdentity::default() });
    let target = subscriber.name.clone();
    let replaced = ims.hss(HssCommand::ReplaceSubscriber(Box::new(subscriber)));
    assert!(replaced.is_ok(), "{replaced:?}");
    let report = ims.hss(HssCommand::PushProfile { target });
    assert!(matches!(report, Ok(CommandReport::Answered(result)) if result.is_success()), "{report:?}");
    let notice = ims.message(&alice, office, "anybody?");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    settled(ims, &[&alice, &bob]);
}

// --- choosing the S-CSCF ------------------------------------------------------------------------------------------

/// TS 24.229 §5.3.1.2, TS 29.228 §6.7: an S-CSCF must have every mandatory capability of the subscriber.
#[test]
fn the_scscf_is_chosen_by_its_capabilities() {
    let uri = |n: u8| format!("sip:scscf{n}.ims.mnc001.mcc001.3gppnetwork.org:6060");
    let needs = |mandatory: Vec<u32>| ServerCapabilities { mandatory, ..ServerCapabilities::default() };
    let plan = Plan::seeded(37)
        .with_scscfs(2)
        .with_capabilities(2, &[7])
        .with_subscriber(0, |alice| alice.server = Some(needs(vec![7])))
        .with_subscriber(1, |bob| bob.server = Some(needs(vec![7, 8])));
    let mut ims = plan.start();
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    assert_eq!(ims.registered_at(&alice), Some(uri(2)));
    // Nobody can do what bob needs.
    let notice = ims.register(&bob);
    assert_eq!(refusal(&notice), 504, "{notice:?}");
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.3.1.3: when the chosen S-CSCF does not answer, another one is tried.
#[test]
fn register_moves_on_when_the_scscf_is_silent() {
    let mut ims = Plan::seeded(38).with_scscfs(2).start();
    ims.world.network.cut("icscf", "scscf-1");
    let alice = ims.phone();
    ims.register_well(&alice);
    assert!(ims.registered_at(&alice).unwrap().starts_with("sip:scscf2."));
    settled(ims, &[&alice]);
}

// --- restarts -----------------------------------------------------------------------------------------------------

/// A binding whose 200 left survives the crash of any role, and so does a call.
#[test]
fn registrations_and_a_call_outlive_the_restart_of_every_role() {
    for part in ["scscf", "pcscf", "icscf", "hss"] {
        let mut ims = Ims::seeded(39);
        let (alice, bob) = (ims.phone(), ims.phone());
        ims.register_well(&alice);
        ims.register_well(&bob);
        let notice = ims.call(&alice, &bob.tel);
        assert!(matches!(notice, Notice::Established { .. }), "{part}: {notice:?}");
        // The ACK arrives.
        ims.advance(seconds(1));
        ims.restart(part, seconds(3));
        ims.advance(seconds(5));
        let notice = ims.hang_up(&bob);
        assert!(matches!(notice, Notice::Ended { ending: Ending::Local, .. }), "{part}: {notice:?}");
        ims.advance(seconds(5));
        assert_eq!(ims.received("alice", "BYE").len(), 1, "{part}\n{}", ims.ladder());
        let notice = ims.message(&alice, &bob.sip, "and again");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{part}: {notice:?}\n{}", ims.ladder());
        settled(ims, &[&alice, &bob]);
    }
}

/// TS 33.102 Annex C: an HSS that starts again goes on counting, so that no USIM asks for a resynchronisation.
#[test]
fn an_hss_that_starts_again_uses_no_sequence_number_twice() {
    let mut ims = Ims::seeded(40);
    let alice = ims.phone();
    for _ in 0..3 {
        ims.register_well(&alice);
        ims.restart("hss", seconds(2));
        ims.advance(seconds(5));
    }
    let resyncs = ims.received("scscf", "REGISTER");
    assert!(resyncs.iter().all(|register| !register.contains("auts=")), "{}", ims.ladder());
    settled(ims, &[&alice]);
}

/// RFC 5627: a call to the public GRUU of one of two phones of a user rings there alone, and what is sent within the call to
/// the GRUU that it gave as its Contact finds it; at one shard as at three.
#[test]
fn a_call_to_a_gruu_rings_at_one_phone_and_goes_on_by_it() {
    for shards in [1, 3] {
        let mut ims = Plan::seeded(560).with_shards(shards).with_subscribers(3).start();
        let with_instance = |instance: &str| {
            let instance = instance.to_owned();
            move |config: &mut ue::UeConfig| {
                config.instance_id = Some(instance);
                config.uses_gruu = true;
            }
        };
        let alice = ims.phone_with(with_instance("urn:uuid:00000000-0000-4000-8000-000000000001"));
        let tablet = ims.phone_of(
            0,
            "tablet",
            Ipv4Addr::new(10, 3, 0, 1),
            with_instance("urn:uuid:00000000-0000-4000-8000-000000000002"),
        );
        let bob = ims.phone();
        [&alice, &tablet, &bob].into_iter().for_each(|phone| ims.register_well(phone));
        let domain = ims.config().home.domain().to_owned();
        let gruu = format!("{};gr=urn:uuid:00000000-0000-4000-8000-000000000002", tablet.sip);
        assert!(gruu.contains(&domain));
        let notice = ims.call(&bob, &gruu);
        assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
        let heard = |ims: &mut Ims, phone: &Phone| {
            let notices = ims.world.take_notices::<Notice>(phone.host);
            notices.iter().any(|(_, notice)| matches!(notice, Notice::IncomingCall { .. }))
        };
        assert!(heard(&mut ims, &tablet) && !heard(&mut ims, &alice), "{}", ims.ladder());
        let held = ims.ask(&bob, ue::Command::Hold { call: None }, Duration::from_secs(10), |notice| {
            matches!(notice, Notice::Changed { .. } | Notice::ChangeRefused { .. } | Notice::Refused { .. })
        });
        assert!(matches!(held, Notice::Changed { .. }), "{held:?}\n{}", ims.ladder());
        ims.hang_up(&bob);
        settled(ims, &[&alice, &bob]);
    }
}
