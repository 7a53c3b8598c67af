//! What is lost with an S-CSCF or a P-CSCF, and how it comes back (TS 23.380), in simulation.
//!
//! `CARILLON_BLESS=1 cargo test -p carillon-tests --test restoration` writes the ladders of `docs/flows/` anew.

use carillon_tests::story::{refusal, settled};
use diameter_client::cx::ServerAssignmentType as Type;
use sim::{Ims, Phone, Plan, ladder};
use std::path::Path;
use std::time::Duration;
use ue::{Ending, Notice, SecurityConfig, Watching};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Compares the ladder from a line on with its golden file.
fn golden(name: &str, ims: &Ims, count: usize) {
    let drawn = ims.ladder();
    let mut lines = drawn.lines();
    let header = lines.next().unwrap_or_default();
    let rest: Vec<&str> = std::iter::once(header).chain(lines.skip(count)).collect();
    let drawn = format!("{}\n", rest.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flows").join(name);
    if std::env::var_os("CARILLON_BLESS").is_some() {
        std::fs::write(&path, &drawn).expect("docs/flows can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == drawn, "docs/flows/{name} differs from this run:\n{drawn}");
}

fn lines(ims: &Ims) -> usize {
    ladder::ladder(&ims.world).count()
}

/// A CSCF comes back with an empty disk, and has reached the HSS.
fn lose(ims: &mut Ims, name: &str) {
    ims.replace(name, seconds(5));
    ims.advance(seconds(2));
}

fn both_registered(plan: Plan) -> (Ims, Phone, Phone) {
    let mut ims = plan.start();
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    (ims, alice, bob)
}

/// TS 23.380 §4: the S-CSCF comes back with an empty disk. A text to alice finds her, and one of hers goes out, without her
/// phone having noticed anything.
#[test]
fn an_scscf_that_has_lost_its_store_serves_on() {
    let (mut ims, alice, bob) = both_registered(Plan::seeded(201));
    lose(&mut ims, "scscf");
    assert_eq!(ims.contacts(&alice), 0);
    let count = lines(&ims);
    let notice = ims.message(&bob, &alice.tel, "are you there?");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    golden("restoration.txt", &ims, count);
    assert_eq!((ims.contacts(&alice), ims.contacts(&bob)), (1, 1));
    let notice = ims.call(&alice, &bob.sip);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    ims.advance(seconds(1));
    ims.hang_up(&bob);
    // What is restored is durable.
    ims.restart("scscf", seconds(5));
    assert_eq!((ims.contacts(&alice), ims.contacts(&bob)), (1, 1));
    settled(ims, &[&alice, &bob]);
}

#[test]
fn whoever_is_called_first_after_a_loss_is_found_whatever_the_number_of_shards() {
    for seed in 210..214 {
        let (mut ims, alice, bob) = both_registered(Plan::seeded(seed).with_shards(4));
        lose(&mut ims, "scscf");
        for (from, to) in [(&alice, &bob.tel), (&bob, &alice.sip), (&bob, &alice.tel), (&alice, &bob.sip)] {
            let notice = ims.message(from, to, "hello");
            assert!(
                matches!(notice, Notice::MessageSent { .. }),
                "seed {seed}: {notice:?}\n{}",
                ims.ladder()
            );
        }
        assert_eq!((ims.contacts(&alice), ims.contacts(&bob)), (1, 1), "seed {seed}: one copy each");
        ims.register_well(&alice);
        settled(ims, &[&alice, &bob]);
    }
}

/// TS 24.229 §5.4.1.2.3A: a refresh over security associations of a user whom nobody here knows any more.
#[test]
fn a_protected_refresh_after_a_loss_is_challenged_and_the_phone_stays_registered() {
    let plan = Plan::seeded(202).with_settings("[ipsec]\npolicy = \"required\"");
    let mut ims = plan.start();
    let alice = ims.phone_with(|config| config.security = Some(SecurityConfig::default()));
    ims.register_well(&alice);
    lose(&mut ims, "scscf");
    let count = lines(&ims);
    ims.register_well(&alice);
    golden("restoration-refresh.txt", &ims, count);
    assert_eq!(ims.contacts(&alice), 1);
    settled(ims, &[&alice]);
}

/// TS 23.380 §4, TS 24.229 §5.3.2: the S-CSCF of alice is gone for good. The I-CSCF chooses another one, and that gets what the
/// first one has left.
#[test]
fn another_scscf_takes_the_place_of_one_that_is_gone() {
    let mut ims = Plan::seeded(203).with_scscfs(2).start();
    let alice = ims.phone();
    ims.register_well(&alice);
    let first = ims.registered_at(&alice).unwrap_or_default();
    let name = if first.contains("scscf1") { "scscf-1" } else { "scscf-2" };
    let gone = ims.world.host(name);
    ims.world.crash(gone);
    let bob = ims.phone();
    ims.register_well(&bob);
    let count = lines(&ims);
    let notice = ims.message(&bob, &alice.sip, "are you there?");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    golden("restoration-takeover.txt", &ims, count);
    assert_ne!(ims.registered_at(&alice), Some(first));
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.1.2A.1.6, §5.4.3.2: where the HSS has kept nothing, the phone is asked to register anew, and does.
#[test]
fn a_phone_registers_anew_where_nothing_can_be_restored() {
    let mut ims = Plan::seeded(204).with_scscf_settings("restoration = false").start();
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    lose(&mut ims, "scscf");
    let count = lines(&ims);
    let notice = ims.call(&alice, &bob.sip);
    assert!(
        matches!(&notice, Notice::Ended { ending: Ending::Refused { status, .. }, .. } if status.code() == 504),
        "{notice:?}\n{}",
        ims.ladder()
    );
    ims.advance(seconds(5));
    golden("restoration-by-the-phone.txt", &ims, count);
    assert_eq!(ims.contacts(&alice), 1, "{}", ims.ladder());
    settled(ims, &[&alice]);
}

/// A subscription is in the store: the phone and its P-CSCF hear of an end that comes after a crash.
#[test]
fn subscriptions_outlive_a_crash_of_the_scscf() {
    for (seed, is_disk_lost) in [(205, false), (206, true)] {
        let mut ims = Plan::seeded(seed).with_settings("[pcscf]\nreg_event = true").start();
        let alice = ims.phone_with(|config| config.watching = Watching::OwnRegistration);
        ims.register_well(&alice);
        ims.advance(seconds(2));
        assert_eq!(ims.subscriptions(), 2, "{}", ims.ladder());
        match is_disk_lost {
            false => ims.restart("scscf", seconds(5)),
            true => {
                lose(&mut ims, "scscf");
                ims.register_well(&alice);
            }
        }
        ims.advance(seconds(5));
        assert_eq!(ims.subscriptions(), 2, "seed {seed}\n{}", ims.ladder());
        let impu = cscf::identity::Impu::parse(alice.sip.as_bytes()).expect("an identity");
        let scscf = ims.world.host("scscf");
        ims.world.command(scscf, scscf::Command::Deregister { impu });
        ims.advance(seconds(5));
        assert_eq!(ims.bindings(), 0, "seed {seed}: the P-CSCF has heard of it\n{}", ims.ladder());
        let heard = ims.world.take_notices::<Notice>(alice.host);
        assert!(
            heard.iter().any(|(_, notice)| matches!(notice, Notice::Deregistered(_))),
            "seed {seed}: {heard:?}"
        );
        settled(ims, &[]);
    }
}

/// TS 23.380 §5.4, TS 24.229 §4.14: a P-CSCF that has lost what it knew says so by a 404. Alice is unregistered until she
/// registers again: what would send her phone there is an EPC.
#[test]
fn a_user_whose_pcscf_has_lost_everything_is_unregistered_until_it_registers() {
    let plan = Plan::seeded(207).with_scscf_settings("pcscf_restoration = true");
    let (mut ims, alice, bob) = both_registered(plan);
    lose(&mut ims, "pcscf");
    ims.register_well(&bob);
    let count = lines(&ims);
    let notice = ims.message(&bob, &alice.tel, "are you there?");
    assert_eq!(refusal(&notice), 480, "{notice:?}\n{}", ims.ladder());
    golden("restoration-pcscf.txt", &ims, count);
    assert_eq!(ims.registered_at(&alice), None);
    assert!(ims.assignments().ends_with(&[Type::UnregisteredUser]), "{:?}", ims.assignments());
    ims.register_well(&alice);
    let notice = ims.message(&bob, &alice.tel, "and now?");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    settled(ims, &[&alice, &bob]);
}
