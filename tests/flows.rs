//! The flows of a core in good health, in simulation; their ladders are golden files and documentation at once.
//!
//! `CARILLON_BLESS=1 cargo test -p carillon-tests --test flows` writes `docs/flows/` anew: read the difference as code.

use sim::{Ims, Phone, Plan, checker, ladder};
use std::path::Path;
use std::time::Duration;
use ue::{Command, Deregistration, Ending, Notice, SecurityConfig};

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
