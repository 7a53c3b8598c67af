//! Gm through security associations (TS 33.203), in simulation: phones, the P-CSCF and ESP between them.

use carillon_tests::story::settled;
use sim::{Ims, Phone, Plan};
use std::time::Duration;
use ue::{Command, Deregistration, Notice, SecurityConfig};

const OPTIONAL: &str = "[ipsec]\npolicy = \"optional\"";

fn secured(plan: Plan) -> Ims {
    plan.with_settings(OPTIONAL).start()
}

fn phone(ims: &mut Ims) -> Phone {
    ims.phone_with(|config| config.security = Some(SecurityConfig::default()))
}

/// How many sets of associations stand at a host.
fn sets(ims: &Ims, host: &str) -> usize {
    ims.world.hosts()[ims.world.host(host)].esp.sets().count()
}

/// What left in clear between a phone and the P-CSCF since the tap was set, by its first line.
fn in_clear(ims: &Ims, phone: &Phone) -> Vec<String> {
    let pcscf = ims.world.host("pcscf");
    let is_gm = |packet: &&sim::Packet| {
        [packet.from, packet.to].contains(&phone.host) && [packet.from, packet.to].contains(&pcscf)
    };
    let clear = ims.world.taken().iter().filter(is_gm).filter(|packet| !packet.is_esp);
    clear
        .map(|packet| String::from_utf8_lossy(&packet.bytes).lines().next().unwrap_or_default().to_owned())
        .collect()
}

/// TS 24.229 §5.1.1, §5.2.2: everything behind the first REGISTER and its 401 is ESP, and the keys of the challenge never
/// reach the phone.
#[test]
fn after_the_challenge_nothing_goes_in_clear() {
    let mut ims = secured(Plan::seeded(1));
    ims.world.tap();
    let (alice, bob) = (phone(&mut ims), phone(&mut ims));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    let notice = ims.call(&alice, &bob.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    ims.hang_up(&alice);
    let notice = ims.message(&bob, &alice.sip, "hello");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    let notice = ims.deregister(&alice);
    assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed));
    for phone in [&alice, &bob] {
        let clear = in_clear(&ims, phone);
        assert!(
            matches!(&clear[..], [register, challenge]
                if register.starts_with("REGISTER ") && challenge.starts_with("SIP/2.0 401 ")),
            "{clear:?}"
        );
    }
    let to_phones = ims.world.taken().iter().filter(|packet| [alice.host, bob.host].contains(&packet.to));
    for packet in to_phones.filter(|packet| !packet.is_esp) {
        let text = String::from_utf8_lossy(&packet.bytes);
        assert!(!text.contains("ck=") && !text.contains("ik="), "{text}");
    }
    ims.advance(Duration::from_secs(130));
    assert_eq!((sets(&ims, "pcscf"), sets(&ims, "alice"), sets(&ims, "bob")), (1, 0, 1));
    settled(ims, &[&bob]);
}

/// Every pair of algorithms of the profile that phones in the field need.
#[test]
fn a_phone_with_any_one_pair_is_served() {
    for (seed, pair) in ipsec::Algorithms::ALL.into_iter().enumerate() {
        let mut ims = secured(Plan::seeded(100 + seed as u64));
        let alice = ims.phone_with(|config| {
            config.security = Some(SecurityConfig { pairs: vec![pair], ..SecurityConfig::default() });
        });
        ims.register_well(&alice);
        let pcscf = &ims.world.hosts()[ims.world.host("pcscf")];
        let agreed: Vec<_> = pcscf.esp.sets().map(|set| set.algorithms).collect();
        assert_eq!(agreed, [pair]);
        assert!(pcscf.esp.usage().iter().all(|usage| usage.packets > 0 || usage.sequence == 0));
    }
}

/// TS 33.203 §7.4: three re-registrations, each with a new set, with calls both ways before, between and after; one set is
/// left in the end, and none after a de-registration.
#[test]
fn a_soak_through_reregistrations_loses_nothing() {
    let mut ims = secured(Plan::seeded(2));
    let (alice, bob) = (phone(&mut ims), phone(&mut ims));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    for round in 0..3 {
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            let notice = ims.message(from, &to.sip, "before");
            assert!(
                matches!(notice, Notice::MessageSent { .. }),
                "round {round}: {notice:?}\n{}",
                ims.ladder()
            );
        }
        ims.register_well(&alice);
        let notice = ims.message(&bob, &alice.sip, "to the one who has a newer set");
        assert!(matches!(notice, Notice::MessageSent { .. }), "round {round}: {notice:?}\n{}", ims.ladder());
        let notice = ims.message(&alice, &bob.sip, "from the one who has a newer set");
        assert!(matches!(notice, Notice::MessageSent { .. }), "round {round}: {notice:?}");
        ims.advance(Duration::from_secs(140));
        assert_eq!((sets(&ims, "pcscf"), sets(&ims, "alice")), (2, 1), "round {round}");
    }
    let notice = ims.deregister(&alice);
    assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed));
    ims.advance(Duration::from_secs(140));
    assert_eq!((sets(&ims, "pcscf"), sets(&ims, "alice")), (1, 0));
    settled(ims, &[&bob]);
}

/// A call that stands while one of its ends re-registers goes on, and ends, through the newer set.
#[test]
fn a_call_outlives_the_set_that_it_began_in() {
    let mut ims = secured(Plan::seeded(3));
    let (alice, bob) = (phone(&mut ims), phone(&mut ims));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    let notice = ims.call(&alice, &bob.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    ims.advance(Duration::from_secs(600));
    assert_eq!(sets(&ims, "pcscf"), 2, "{}", ims.ladder());
    let hold = ims.ask(&bob, Command::Hold { call: None }, Duration::from_secs(60), |notice| {
        matches!(notice, Notice::Changed { .. } | Notice::Refused { .. })
    });
    assert!(matches!(hold, Notice::Changed { .. }), "{hold:?}\n{}", ims.ladder());
    ims.hang_up(&alice);
    ims.advance(Duration::from_secs(1));
    assert!(
        ims.world
            .take_notices::<Notice>(bob.host)
            .iter()
            .any(|(_, notice)| matches!(notice, Notice::Ended { .. }))
    );
    settled(ims, &[&alice, &bob]);
}
