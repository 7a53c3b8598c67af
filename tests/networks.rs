//! Two home networks: a call from one to the other goes from S-CSCF to I-CSCF by the name of the domain; what belongs inside
//! of a network stays there; and what nobody is called by leaves by a rule.

use carillon_tests::story::settled;
use cscf::resolve::Naptr;
use sim::ims::Network;
use sim::{Ims, Phone, Plan};
use std::net::Ipv4Addr;
use std::time::Duration;
use ue::{Ending, Notice};

/// What each network knows of the other, as DNS would tell it.
fn names(of: Network) -> String {
    [of.entry(), of.scscf(1)].iter().map(|(name, at)| format!("\"{name}\" = [\"{at}\"]\n")).collect()
}

fn two_networks(seed: u64) -> (Ims, Phone, Phone) {
    let plan = || Plan::seeded(seed).with_icscf_settings("foreign = \"accept\"");
    let first = plan().with_settings(&names(Network::Second)).start();
    let second = plan().with_settings(&names(Network::First)).of_second_network();
    let (mut ims, carol) = first.beside(second, |_| {});
    let alice = ims.phone();
    ims.register_well(&alice);
    ims.register_well(&carol);
    (ims, alice, carol)
}

/// TS 24.229 §5.4.3.2, §5.3.2: either end hangs up, by the route that was recorded in both networks.
#[test]
fn users_of_two_networks_call_each_other_and_either_end_hangs_up() {
    for is_called_one_who_ends in [false, true] {
        let (mut ims, alice, carol) = two_networks(701);
        let notice = ims.call(&alice, &carol.sip);
        assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
        ims.advance(Duration::from_secs(1));
        let (ends, hears) = if is_called_one_who_ends { (&carol, &alice) } else { (&alice, &carol) };
        ims.hang_up(ends);
        let heard = ims.wait_for(hears, Duration::from_secs(10), |notice| {
            matches!(notice, Notice::Ended { ending: Ending::Remote, .. })
        });
        assert!(heard.is_some(), "{}", ims.ladder());
        let sent = ims.message(&carol, &alice.sip, "see you");
        assert!(matches!(sent, Notice::MessageSent { .. }), "{sent:?}\n{}", ims.ladder());
        settled(ims, &[&alice]);
    }
}

/// TS 24.229 §4.4: what the other network asserts of its user is not believed, and what is the first one's own business
/// does not get there.
#[test]
fn what_belongs_inside_of_a_network_stays_there() {
    let (mut ims, alice, carol) = two_networks(702);
    ims.world.command(alice.host, ue::Command::Call { to: carol.sip.clone(), offer: None });
    let called =
        ims.wait_for(&carol, Duration::from_secs(5), |notice| matches!(notice, Notice::IncomingCall { .. }));
    let Some(Notice::IncomingCall { from, .. }) = called else { panic!("{}", ims.ladder()) };
    assert!(!from.starts_with("tel:"), "no asserted number: {from}");
    ims.advance(Duration::from_secs(3));
    ims.hang_up(&alice);
    settled(ims, &[&alice]);
}

/// TS 24.229 §5.6: a number without a subscriber leaves by the rule that it falls under; one without a rule is told so.
#[test]
fn a_number_without_a_subscriber_leaves_by_its_rule() {
    const TRUNK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 40);
    /// Nobody is there: the I-CSCF for numbers, and the S-CSCF for domains, go on to the next.
    const DEAD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 41);
    let rules = format!(
        "[bgcf]\nrule = [{{ next_hop = [\"sip:{DEAD}:5060\", \"sip:{TRUNK}:5060\"], prefix = \"+4989\" }}, \
         {{ next_hop = [\"sip:{DEAD}:5060\", \"sip:{TRUNK}:5060\"], domain = \"pbx.example\" }}]\n"
    );
    let mut ims = Plan::seeded(703).with_settings(&rules).start();
    // Whatever answers calls behind the trunk.
    let trunk = ims.psap("trunk", TRUNK);
    let alice = ims.phone();
    ims.register_well(&alice);
    for called in ["tel:+4989123456", "sip:bob@pbx.example"] {
        let before = ims.world.now().instant;
        let notice = ims.call(&alice, called);
        assert!(matches!(notice, Notice::Established { .. }), "{called}: {notice:?}\n{}", ims.ladder());
        assert!(ims.world.now().instant.since(before) > Duration::from_secs(4), "the first one was tried");
        ims.advance(Duration::from_secs(1));
        if called.starts_with("tel:") {
            ims.hang_up(&alice);
        } else {
            ims.world.command(trunk, ue::psap::Command::HangUp);
            let ended = ims.wait_for(&alice, Duration::from_secs(10), |notice| {
                matches!(notice, Notice::Ended { ending: Ending::Remote, .. })
            });
            assert!(ended.is_some(), "{}", ims.ladder());
        }
    }
    let notice = ims.call(&alice, "tel:+4940123456");
    let Notice::Ended { ending: Ending::Refused { status, .. }, .. } = notice else { panic!("{notice:?}") };
    assert_eq!(status.code(), 404);
    settled(ims, &[&alice]);
}

/// RFC 6116, TS 24.229 §5.4.3.2: the DNS knows whose number it is; what it does not know goes by its rule.
#[test]
fn a_number_that_the_dns_knows_reaches_a_user_of_another_network() {
    let enumerated = "enum_domain = \"e164.example\"";
    let plan = || Plan::seeded(704).with_icscf_settings("foreign = \"accept\"");
    let first = plan().with_scscf_settings(enumerated).with_settings(&names(Network::Second)).start();
    let second = plan().with_settings(&names(Network::First)).of_second_network();
    let (mut ims, carol) = first.beside(second, |_| {});
    let alice = ims.phone();
    ims.register_well(&alice);
    ims.register_well(&carol);
    let record = |regexp: String| Naptr {
        order: 100,
        preference: 10,
        flags: "u".to_owned(),
        services: "E2U+sip".to_owned(),
        regexp,
        replacement: ".".to_owned(),
    };
    let name = "5.4.3.2.1.9.8.9.4.e164.example".to_owned();
    ims.world.zone.insert(name, vec![record(format!("!^\\+49.*$!{}!", carol.sip))]);
    let notice = ims.call(&alice, "tel:+498912345");
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    ims.advance(Duration::from_secs(1));
    ims.hang_up(&alice);
    let heard = ims.wait_for(&carol, Duration::from_secs(10), |notice| {
        matches!(notice, Notice::Ended { ending: Ending::Remote, .. })
    });
    assert!(heard.is_some(), "{}", ims.ladder());
    let notice = ims.call(&alice, "tel:+498912346");
    let Notice::Ended { ending: Ending::Refused { status, .. }, .. } = notice else { panic!("{notice:?}") };
    assert_eq!(status.code(), 404);
    settled(ims, &[&alice]);
}
