//! The flows of a core in good health, in simulation; their ladders are golden files and documentation at once.
//!
//! `CARILLON_BLESS=1 cargo test -p carillon-tests --test flows` writes `docs/flows/` anew: read the difference as code.

use cscf::identity::Impu;
use cscf::user_data::{ApplicationServer, InitialFilterCriteria, PublicIdentity};
use diameter_client::cx::ReasonCode;
use hss_mock::HssCommand;
use sim::world::HostId;
use sim::{Heard, Ims, Phone, Plan, Say, Stranger, checker, ladder};
use sip_core::{Limits, Message, ResponseBuilder, Status};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use ue::{Command, Deregistration, Ending, Notice, SecurityConfig, Watching};

fn settled(mut ims: Ims, registered: &[&Phone]) {
    let broken = checker::settle(&mut ims, registered);
    assert!(broken.is_empty(), "{broken:#?}\n{}", ims.ladder());
}

/// Compares a ladder with its golden file.
fn golden(name: &str, drawn: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flows").join(name);
    if std::env::var_os("CARILLON_BLESS").is_some() {
        std::fs::write(&path, drawn).expect("docs/flows can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == drawn, "docs/flows/{name} differs from this run:\n{drawn}");
}

/// TS 24.229 §5.1.1, §5.2.2, §5.3.1, §5.4.1: initial registration with IMS-AKA.
#[test]
fn a_phone_registers_by_aka() {
    let mut ims = Ims::seeded(1);
    let alice = ims.phone();
    ims.register_well(&alice);
    golden("register.txt", &ims.ladder());
    assert!(ims.registered_at(&alice).unwrap().starts_with("sip:scscf1."));
    settled(ims, &[&alice]);
}

/// TS 33.203 §6.1, §7.2: the same with security associations, and a refresh that moves to new ones.
#[test]
fn a_phone_registers_through_security_associations() {
    let plan = Plan::seeded(1).with_settings("[ipsec]\npolicy = \"required\"");
    let mut ims = plan.with_scscf_settings("reauthenticate = \"always\"").start();
    let alice = ims.phone_with(|config| config.security = Some(SecurityConfig::default()));
    ims.register_well(&alice);
    ims.register_well(&alice);
    golden("register-ipsec.txt", &ims.ladder());
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.4.3.2, §5.3.2, §5.4.3.3: both halves of a call, LIR in the middle, and the BYE on the recorded route.
#[test]
fn two_phones_call_each_other_and_hang_up() {
    let mut ims = Ims::seeded(2);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    let registered = ladder::ladder(&ims.world).count();
    let notice = ims.call(&alice, &bob.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
    ims.advance(Duration::from_secs(2));
    let notice = ims.hang_up(&alice);
    assert!(matches!(notice, Notice::Ended { ending: Ending::Local, .. }), "{notice:?}");
    ims.advance(Duration::from_secs(1));
    let drawn = ims.ladder();
    let mut lines = drawn.lines();
    let header = lines.next().unwrap();
    let call: Vec<&str> = std::iter::once(header).chain(lines.skip(registered)).collect();
    golden("call.txt", &format!("{}\n", call.join("\n")));
    settled(ims, &[&alice, &bob]);
}

/// RFC 3428 through an IMS: a MESSAGE is a standalone transaction, served like an INVITE.
#[test]
fn a_message_is_delivered() {
    let mut ims = Ims::seeded(3);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    let registered = ladder::ladder(&ims.world).count();
    let notice = ims.message(&alice, &bob.sip, "hello");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    let drawn = ims.ladder();
    let mut lines = drawn.lines();
    let header = lines.next().unwrap();
    let message: Vec<&str> = std::iter::once(header).chain(lines.skip(registered)).collect();
    golden("message.txt", &format!("{}\n", message.join("\n")));
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.1.2A.2: the identity that the network asserts is one of the registered set, whatever the UE claims.
#[test]
fn a_caller_is_shown_by_the_identity_that_the_network_asserts() {
    let mut ims = Ims::seeded(4);
    let alice = ims.phone_with(|ue| ue.policy.fault = Some(ue::Fault::ForgedIdentity));
    let bob = ims.phone();
    ims.register_well(&alice);
    ims.register_well(&bob);
    ims.message(&alice, &bob.sip, "who am I?");
    let received = ims.world.take_notices::<Notice>(bob.host);
    let from = received.iter().find_map(|(_, notice)| match notice {
        Notice::MessageReceived { from, .. } => Some(from.clone()),
        _ => None,
    });
    let from = from.unwrap_or_else(|| panic!("no message\n{}", ims.ladder()));
    assert!(from.starts_with("sip:alice@"), "{from}");
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.1.1.6, §5.4.1.4: after the de-registration nobody is reached, and the HSS knows.
#[test]
fn a_phone_that_deregistered_is_not_reached() {
    let mut ims = Ims::seeded(5);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    let notice = ims.deregister(&bob);
    assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed));
    assert_eq!(ims.registered_at(&bob), None);
    let notice = ims.message(&alice, &bob.sip, "hello?");
    let Notice::MessageFailed { failure: ue::RequestFailure::Refused(status), .. } = &notice else {
        panic!("{notice:?}")
    };
    assert_eq!(status.code(), 480);
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.3.2: a number that nobody has is 404, told by the HSS's answer to the LIR.
#[test]
fn an_unknown_number_is_not_found() {
    let mut ims = Ims::seeded(6);
    let alice = ims.phone();
    ims.register_well(&alice);
    let notice = ims.call(&alice, "tel:+49309999999");
    let Notice::Ended { ending: Ending::Refused { status, .. }, .. } = &notice else { panic!("{notice:?}") };
    assert_eq!(status.code(), 404, "{}", ims.ladder());
    settled(ims, &[&alice]);
}

/// RFC 3261 §9: the caller gives up while the phone rings.
#[test]
fn a_ringing_call_is_cancelled() {
    let mut ims = Ims::seeded(7);
    let alice = ims.phone();
    let bob = ims.phone_with(|ue| ue.policy.answering = ue::Answering::Manual);
    ims.register_well(&alice);
    ims.register_well(&bob);
    let command = Command::Call { to: bob.tel.clone(), offer: None };
    ims.ask(&alice, command, Duration::from_secs(20), |notice| matches!(notice, Notice::Ringing { .. }));
    ims.world.command(alice.host, Command::Hangup { call: None });
    let ended = |notice: &Notice| matches!(notice, Notice::Ended { .. });
    let notice = ims.wait_for(&bob, Duration::from_secs(20), ended);
    assert!(
        matches!(notice, Some(Notice::Ended { ending: Ending::Cancelled, .. })),
        "{notice:?}\n{}",
        ims.ladder()
    );
    settled(ims, &[&alice, &bob]);
}

/// RFC 3261 §21.4.18 through two proxies' best-response choice: busy stays busy.
#[test]
fn a_busy_phone_is_busy() {
    let mut ims = Ims::seeded(8);
    let alice = ims.phone();
    let bob = ims.phone_with(|ue| ue.policy.answering = ue::Answering::Refuse(sip_core::Status::BUSY_HERE));
    ims.register_well(&alice);
    ims.register_well(&bob);
    let notice = ims.call(&alice, &bob.sip);
    let Notice::Ended { ending: Ending::Refused { status, .. }, .. } = &notice else { panic!("{notice:?}") };
    assert_eq!(status.code(), 486);
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.1.1.4: the UE refreshes on its own, long before the registration ends.
#[test]
fn a_registration_refreshes_itself_for_a_week() {
    let mut ims = Ims::seeded(9);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    ims.advance(Duration::from_secs(7 * 24 * 3600));
    let notice = ims.message(&alice, &bob.sip, "still there?");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    settled(ims, &[&alice, &bob]);
}

/// RFC 4028: a call of hours stays up by its refreshes, and both ends can hang up.
#[test]
fn a_long_call_is_kept_alive_and_ended_by_the_callee() {
    let mut ims = Ims::seeded(10);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    ims.call(&alice, &bob.tel);
    ims.advance(Duration::from_secs(4 * 3600));
    let notice = ims.hang_up(&bob);
    assert!(matches!(notice, Notice::Ended { ending: Ending::Local, .. }), "{notice:?}");
    let ended =
        ims.wait_for(&alice, Duration::from_secs(10), |notice| matches!(notice, Notice::Ended { .. }));
    // The notice may have been given while bob hung up.
    assert!(
        ended.is_none() || matches!(ended, Some(Notice::Ended { ending: Ending::Remote, .. })),
        "{ended:?}"
    );
    settled(ims, &[&alice, &bob]);
}

/// TS 24.610 by re-INVITE, and RFC 3311: changes inside a call reach the other end.
#[test]
fn a_call_is_held_resumed_and_updated() {
    let mut ims = Ims::seeded(11);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    ims.call(&alice, &bob.tel);
    for command in
        [Command::Hold { call: None }, Command::Resume { call: None }, Command::Update { call: None }]
    {
        ims.world.take_notices::<Notice>(bob.host);
        let done = |notice: &Notice| matches!(notice, Notice::Changed { .. } | Notice::ChangeRefused { .. });
        let notice = ims.ask(&alice, command.clone(), Duration::from_secs(20), done);
        assert!(matches!(notice, Notice::Changed { .. }), "{command:?}: {notice:?}");
        let heard = ims.world.take_notices::<Notice>(bob.host);
        assert!(
            heard.iter().any(|(_, notice)| matches!(notice, Notice::Changed { .. })),
            "{command:?}: {heard:?}"
        );
    }
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.4.3.2: originating and terminating user on different S-CSCFs.
#[test]
fn users_of_two_scscfs_call_each_other() {
    let mut ims = sim::Plan::seeded(12).with_scscfs(2).start();
    let alice = ims.phone();
    ims.register_well(&alice);
    let first = ims.registered_at(&alice).unwrap();
    // The first choice is gone while bob registers, so that the I-CSCF chooses the other one for him.
    let name = if first.contains("scscf1") { "scscf-1" } else { "scscf-2" };
    ims.world.network.cut("icscf", name);
    let bob = ims.phone();
    ims.register_well(&bob);
    ims.world.network.heal("icscf", name);
    assert_ne!(ims.registered_at(&bob), Some(first), "{}", ims.ladder());
    let notice = ims.call(&alice, &bob.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    let notice = ims.call(&bob, &alice.sip);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    settled(ims, &[&alice, &bob]);
}

/// A core in which P-CSCF and phone watch registrations, with alice registered; how long its ladder is by then.
fn watched(plan: Plan) -> (Ims, Phone, usize) {
    let mut ims = plan.with_settings("[pcscf]\nreg_event = true").start();
    let alice = ims.phone_with(|config| config.watching = Watching::OwnRegistration);
    ims.register_well(&alice);
    ims.advance(Duration::from_secs(2));
    let count = ladder::ladder(&ims.world).count();
    (ims, alice, count)
}

/// The ladder from a line on.
fn since(ims: &Ims, count: usize) -> String {
    let drawn = ims.ladder();
    let mut lines = drawn.lines();
    let header = lines.next().unwrap_or_default();
    let rest: Vec<&str> = std::iter::once(header).chain(lines.skip(count)).collect();
    format!("{}\n", rest.join("\n"))
}

/// TS 24.229 §5.1.1.3, §5.2.3, §5.4.2.1: after the 200, P-CSCF and UE subscribe to the registration.
#[test]
fn a_registration_is_watched_by_the_phone_and_its_pcscf() {
    let (ims, alice, _) = watched(Plan::seeded(21));
    golden("register-watched.txt", &ims.ladder());
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.4.1.5, §5.2.5.2, §5.1.1.7: what the HSS ends, everybody hears of, and the phone does not come back.
#[test]
fn a_registration_that_the_hss_ends_is_over_everywhere() {
    let (mut ims, alice, count) = watched(Plan::seeded(22));
    let target = alice.sip.clone();
    let reason = ReasonCode::PermanentTermination;
    assert!(ims.hss(HssCommand::Deregister { target, reason, info: None }).is_ok());
    ims.advance(Duration::from_secs(2));
    golden("rtr.txt", &since(&ims, count));
    let heard = ims.world.take_notices::<Notice>(alice.host);
    assert!(
        heard.iter().any(|(_, notice)| *notice == Notice::Deregistered(Deregistration::ByNetwork)),
        "{heard:?}\n{}",
        ims.ladder()
    );
    assert_eq!(ims.registered_at(&alice), None);
    assert_eq!(ims.bindings(), 0, "the P-CSCF has dropped it at once");
    settled(ims, &[]);
}

/// TS 24.229 §5.4.1.5: a user who is to have another S-CSCF registers again at once.
#[test]
fn a_phone_whose_server_changes_registers_anew_at_once() {
    let (mut ims, alice, count) = watched(Plan::seeded(23));
    let target = alice.sip.clone();
    let reason = ReasonCode::ServerChange;
    assert!(ims.hss(HssCommand::Deregister { target, reason, info: None }).is_ok());
    ims.advance(Duration::from_secs(5));
    golden("rtr-server-change.txt", &since(&ims, count));
    assert!(ims.registered_at(&alice).is_some(), "{}", ims.ladder());
    assert_eq!(ims.bindings(), 1);
    settled(ims, &[&alice]);
}

/// TS 29.228 §6.2, TS 24.229 §5.4.2.1.2: a pushed profile with an identity more is told to all who watch.
#[test]
fn an_identity_that_a_pushed_profile_brings_is_told() {
    let mut changed = None;
    let plan = Plan::seeded(24).with_subscriber(0, |alice| changed = Some(alice.clone()));
    let (mut ims, alice, count) = watched(plan);
    let mut changed = changed.unwrap();
    let office = "sip:office@ims.mnc001.mcc001.3gppnetwork.org".to_owned();
    let identities = &mut changed.implicit_sets[0].service_profiles[0].public_identities;
    identities.push(PublicIdentity { identity: office.clone(), ..PublicIdentity::default() });
    let target = changed.name.clone();
    assert!(ims.hss(HssCommand::ReplaceSubscriber(Box::new(changed))).is_ok());
    assert!(ims.hss(HssCommand::PushProfile { target }).is_ok());
    ims.advance(Duration::from_secs(2));
    golden("ppr.txt", &since(&ims, count));
    let told = ims.received(&alice.name, "NOTIFY").pop().unwrap_or_default();
    assert!(told.contains(&office) && told.contains("event=\"created\""), "{told}");
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.4.1.6, §5.1.1.5.2: a phone that is to prove anew who it is does so in half of the time that it has left.
#[test]
fn a_phone_that_is_to_prove_anew_who_it_is_does_so_in_time() {
    let (mut ims, alice, count) = watched(Plan::seeded(25));
    let impu = Impu::parse(alice.sip.as_bytes()).unwrap();
    let scscf = ims.world.host("scscf");
    ims.world.command(scscf, scscf::Command::Reauthenticate { impu, within: Duration::from_secs(60) });
    ims.advance(Duration::from_secs(32));
    golden("reauthentication.txt", &since(&ims, count));
    ims.advance(Duration::from_secs(60));
    assert_eq!(ims.contacts(&alice), 1, "{}", ims.ladder());
    settled(ims, &[&alice]);
}

/// A subscription is served by the shard of its registration, whoever receives what comes for it.
#[test]
fn registrations_are_watched_and_ended_whatever_the_number_of_shards() {
    for seed in 26..30 {
        let (mut ims, alice, _) = watched(Plan::seeded(seed).with_shards(4));
        assert_eq!(ims.subscriptions(), 2, "seed {seed}: the phone and its P-CSCF\n{}", ims.ladder());
        ims.register_well(&alice);
        ims.advance(Duration::from_secs(2));
        assert_eq!(ims.subscriptions(), 2, "seed {seed}: a refresh needs no other");
        let reason = ReasonCode::PermanentTermination;
        assert!(ims.hss(HssCommand::Deregister { target: alice.sip.clone(), reason, info: None }).is_ok());
        ims.advance(Duration::from_secs(2));
        assert_eq!((ims.subscriptions(), ims.bindings()), (0, 0), "seed {seed}\n{}", ims.ladder());
        let heard = ims.world.take_notices::<Notice>(alice.host);
        let over = |(_, notice): &(_, Notice)| *notice == Notice::Deregistered(Deregistration::ByNetwork);
        assert!(heard.iter().any(over), "seed {seed}: {heard:?}");
        settled(ims, &[]);
    }
}

/// Answers what an application server has heard with a 200; how many REGISTERs there were.
fn answer_as_server(ims: &mut Ims, server: HostId, local: SocketAddr) -> usize {
    let mut answered = 0;
    loop {
        let mut heard = Vec::new();
        ims.world.run_until(Duration::from_secs(1), |world| {
            heard = world.take_notices::<Heard>(server);
            !heard.is_empty()
        });
        if heard.is_empty() {
            return answered;
        }
        for (_, heard) in heard {
            let Heard::Bytes(bytes) = heard else { continue };
            let request = Message::parse(bytes, &Limits::default()).expect("what an S-CSCF sends");
            let ok = ResponseBuilder::for_request(&request, Status::OK).to_tag("as").build();
            let remote = ims.config().scscf.listen[0].address;
            ims.world.command(server, Say::Datagram { local, remote, bytes: ok });
            answered += 1;
        }
    }
}

/// TS 24.229 §5.4.1.7: an application server whose criteria match hears of a registration after its 200, and of its end.
#[test]
fn an_application_server_hears_who_is_registered_and_who_leaves() {
    let local: SocketAddr = "127.0.0.60:5065".parse().unwrap();
    let plan = Plan::seeded(30).with_subscriber(0, |alice| {
        let application_server = ApplicationServer {
            server_name: format!("sip:{local}"),
            service_info: Some("tariff=gold".into()),
            ..ApplicationServer::default()
        };
        let criterion = InitialFilterCriteria { application_server, ..InitialFilterCriteria::default() };
        alice.implicit_sets[0].service_profiles[0].filter_criteria.push(criterion);
    });
    let mut ims = plan.start();
    let server = ims.world.add("as1", local.ip(), Box::new(|_| Box::new(Stranger::silent())));
    let alice = ims.phone();
    ims.register_well(&alice);
    assert_eq!(answer_as_server(&mut ims, server, local), 1);
    golden("third-party-register.txt", &ims.ladder());
    assert_eq!(ims.deregister(&alice), Notice::Deregistered(Deregistration::Confirmed));
    assert_eq!(answer_as_server(&mut ims, server, local), 1);
    let told = ims.sent("scscf", "REGISTER");
    let expires: Vec<&str> =
        told.iter().filter_map(|text| text.lines().find_map(|line| line.strip_prefix("Expires: "))).collect();
    assert_eq!(expires, ["600000", "0"], "{told:?}");
    assert!(told.iter().all(|text| text.contains("<service-info>tariff=gold</service-info>")), "{told:?}");
    settled(ims, &[]);
}

/// The same seed gives the same run, to the byte.
#[test]
fn a_seed_repeats_its_run() {
    let run = |seed| {
        let mut ims = Ims::seeded(seed);
        let alice = ims.phone();
        ims.register_well(&alice);
        ims.world.traced().iter().map(|traced| traced.event.bytes.clone()).collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6), "Call-ID, RAND and branches differ between seeds");
}
