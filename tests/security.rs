//! Gm through security associations (TS 33.203), in simulation: phones, the P-CSCF and ESP between them.

use ambient::Entropy;
use carillon_tests::story::{header, refusal, settled};
use cscf::flow::Transport;
use ipsec::Refusal;
use sim::{Ims, Link, Phone, Plan};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use ue::{Command, Deregistration, Fault, Notice, RegistrationFailure, SecurityConfig};

const OPTIONAL: &str = "[ipsec]\npolicy = \"optional\"";

fn secured(plan: Plan) -> Ims {
    // Each REGISTER is challenged, so that each leads to new associations.
    plan.with_settings(OPTIONAL).with_scscf_settings("reauthenticate = \"always\"").start()
}

fn phone(ims: &mut Ims) -> Phone {
    ims.phone_with(|config| config.security = Some(SecurityConfig::default()))
}

/// How many sets of associations stand at a host.
fn sets(ims: &Ims, host: &str) -> usize {
    ims.world.hosts()[ims.world.host(host)].esp.sets().count()
}

/// The name of the only set at a host.
fn newest(ims: &Ims, host: &str) -> ipsec::Spi {
    let mut sets = ims.world.hosts()[ims.world.host(host)].esp.sets();
    let set = sets.next().expect("a set");
    assert!(sets.next().is_none());
    set.own_spi_s
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
    let mut names = vec![newest(&ims, "alice")];
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
        names.push(newest(&ims, "alice"));
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "each registration has had a set of its own");
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
    ims.advance(Duration::from_secs(300));
    assert_eq!(sets(&ims, "pcscf"), 4, "nobody has used a newer set: {}", ims.ladder());
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
    ims.advance(Duration::from_secs(140));
    assert_eq!(sets(&ims, "pcscf"), 2, "the older ones have ended");
    settled(ims, &[&alice, &bob]);
}

/// TS 33.203 §6.1.1: CK and IK are for the P-CSCF and the UE alone: no trace of any function shows them, and no message
/// towards the phone.
#[test]
fn ck_and_ik_are_seen_nowhere() {
    let mut ims = secured(Plan::seeded(4));
    ims.world.tap();
    let pair = ipsec::Algorithms::ALL[2];
    let alice = ims.phone_with(|config| {
        config.security = Some(SecurityConfig { pairs: vec![pair], ..SecurityConfig::default() });
    });
    ims.register_well(&alice);
    ims.register_well(&alice);
    let pcscf = ims.world.host("pcscf");
    let keys: Vec<Vec<u8>> = ims.world.hosts()[pcscf]
        .esp
        .sets()
        .flat_map(|set| [set.keys.expose_encryption().to_vec(), set.keys.expose_integrity()[..16].to_vec()])
        .collect();
    assert_eq!(keys.len(), 4, "CK and IK of both registrations");
    let hex = |key: &[u8]| key.iter().map(|octet| format!("{octet:02x}")).collect::<String>().into_bytes();
    let secrets: Vec<Vec<u8>> = keys.iter().flat_map(|key| [key.clone(), hex(key)]).collect();
    let shows = |bytes: &[u8]| {
        let lower = bytes.to_ascii_lowercase();
        secrets.iter().any(|secret| {
            [bytes, &lower].iter().any(|text| text.windows(secret.len()).any(|part| part == secret))
        })
    };
    assert!(ims.world.taken().iter().any(|packet| shows(&packet.bytes)), "on Mw and Cx they travel");
    for packet in ims.world.taken().iter().filter(|packet| packet.to == alice.host) {
        assert!(!shows(&packet.bytes), "towards the phone");
    }
    for traced in ims.world.traced() {
        assert!(!shows(&traced.event.bytes), "in a trace: {}", String::from_utf8_lossy(&traced.event.bytes));
    }
}

/// The same with every transport and spread over shards: requests to a phone go by a connection of the P-CSCF's own.
#[test]
fn tcp_and_shards_make_no_difference() {
    for (seed, transport, shards) in
        [(10, Transport::Tcp, 1), (11, Transport::Udp, 3), (12, Transport::Tcp, 3)]
    {
        let mut ims = secured(Plan::seeded(seed).with_shards(shards));
        ims.world.tap();
        let mut phone = || {
            ims.phone_with(|config| {
                config.security = Some(SecurityConfig::default());
                config.pcscf.transport = transport;
            })
        };
        let (alice, bob) = (phone(), phone());
        for phone in [&alice, &bob] {
            ims.register_well(phone);
        }
        for _ in 0..2 {
            let notice = ims.call(&alice, &bob.tel);
            assert!(matches!(notice, Notice::Established { .. }), "{transport} {notice:?}\n{}", ims.ladder());
            ims.hang_up(&bob);
            let notice = ims.message(&bob, &alice.sip, "hello");
            assert!(matches!(notice, Notice::MessageSent { .. }), "{transport} {notice:?}\n{}", ims.ladder());
            ims.register_well(&alice);
            ims.advance(Duration::from_secs(200));
        }
        assert_eq!(in_clear(&ims, &alice).len(), 2, "{transport} {:?}", in_clear(&ims, &alice));
        settled(ims, &[&alice, &bob]);
    }
}

/// A phone does not notice more than lost packets when its P-CSCF crashes: calls go on, and the phone is reached, through
/// the set that it had, with no new REGISTER.
#[test]
fn associations_outlive_a_crash_of_the_pcscf() {
    for (seed, transport) in [(20, Transport::Udp), (21, Transport::Tcp)] {
        let mut ims = secured(Plan::seeded(seed).with_subscribers(100));
        let mut phones = Vec::new();
        for _ in 0..100 {
            let phone = ims.phone_with(|config| {
                config.security = Some(SecurityConfig::default());
                config.pcscf.transport = transport;
            });
            ims.register_well(&phone);
            phones.push(phone);
        }
        let calls: Vec<_> = phones[..40].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        for (from, to) in &calls {
            let notice = ims.call(from, &to.tel);
            assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
        }
        // More than a mark's worth of packets, so that what is taken up again is no first number.
        for _ in 0..70 {
            let notice = ims.message(&phones[98], &phones[99].sip, "hello");
            assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
        }
        let before = ims.received("pcscf", "REGISTER").len();
        assert!(before >= 200, "each was challenged: {before}");
        ims.restart("pcscf", Duration::from_secs(2));
        ims.advance(Duration::from_secs(5));
        for pair in phones.chunks(2) {
            for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let notice = ims.message(from, &to.sip, "after the crash");
                assert!(
                    matches!(notice, Notice::MessageSent { .. }),
                    "{transport} {}: {notice:?}\n{}",
                    from.name,
                    ims.ladder()
                );
            }
        }
        for (from, to) in &calls {
            let hold = ims.ask(to, Command::Hold { call: None }, Duration::from_secs(60), |notice| {
                matches!(
                    notice,
                    Notice::Changed { .. } | Notice::ChangeRefused { .. } | Notice::Refused { .. }
                )
            });
            assert!(matches!(hold, Notice::Changed { .. }), "{transport} {hold:?}");
            let notice = ims.hang_up(from);
            assert!(matches!(notice, Notice::Ended { .. }), "{notice:?}");
        }
        assert_eq!(ims.received("pcscf", "REGISTER").len(), before, "no phone had to register anew");
        settled(ims, &phones.iter().collect::<Vec<_>>());
    }
}

/// RFC 3329 §2.3.1, TS 33.203 §7.2: a phone that was bidden down, or proves nothing, is refused, with the cause counted.
#[test]
fn what_a_phone_does_wrong_is_refused_by_name() {
    for (fault, status, cause) in [
        (Fault::AlteredSecurityVerify, 494, "Security-Verify differs from our Security-Server"),
        (Fault::NoSecurityVerify, 494, "no Security-Verify"),
        (Fault::ChangedAlgorithms, 494, "Security-Client differs from the one that was challenged"),
        (Fault::WrongRes, 403, ""),
    ] {
        let mut ims = secured(Plan::seeded(30));
        let alice = ims.phone_with(|config| {
            config.security = Some(SecurityConfig::default());
            config.policy.fault = Some(fault);
        });
        let notice = ims.register(&alice);
        assert_eq!(refusal(&notice), status, "{fault:?} {notice:?}\n{}", ims.ladder());
        assert_eq!(counted(&ims, "refused", cause), u64::from(!cause.is_empty()), "{fault:?}");
        assert!(ims.registered_at(&alice).is_none());
        ims.advance(Duration::from_secs(300));
        assert_eq!((sets(&ims, "pcscf"), sets(&ims, "alice")), (0, 0), "{fault:?}");
    }
}

/// A phone that goes on with its older associations is heard while they stand, and not when they have ended.
#[test]
fn a_phone_that_stays_with_stale_associations_is_not_heard_in_the_end() {
    let mut ims = secured(Plan::seeded(40));
    let alice = ims.phone_with(|config| {
        config.security = Some(SecurityConfig::default());
        config.policy.fault = Some(Fault::StaleSecurity);
    });
    let bob = phone(&mut ims);
    ims.register_well(&bob);
    ims.register_well(&alice);
    ims.register_well(&alice);
    let notice = ims.message(&alice, &bob.sip, "by the older one");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    ims.advance(Duration::from_secs(800));
    assert_eq!(counted(&ims, "esp_refused", "unknown SPI"), 0);
    let heard = ims.received("pcscf", "MESSAGE").len();
    let notice = ims.message(&alice, &bob.sip, "by the older one still");
    assert!(matches!(notice, Notice::MessageFailed { .. }), "{notice:?}");
    assert!(counted(&ims, "esp_refused", "unknown SPI") > 0, "{}", ims.ladder());
    assert_eq!(ims.received("pcscf", "MESSAGE").len(), heard);
    settled(ims, &[&alice, &bob]);
}

/// RFC 4303 §3.4.3: what a phone sends twice is heard once.
#[test]
fn a_phone_that_repeats_a_packet_is_counted() {
    let mut ims = secured(Plan::seeded(41));
    let alice = ims.phone_with(|config| {
        config.security = Some(SecurityConfig::default());
        config.policy.fault = Some(Fault::Replay);
    });
    ims.register_well(&alice);
    ims.advance(Duration::from_secs(1));
    assert_eq!(counted(&ims, "esp_refused", "replay"), 1, "{}", ims.ladder());
    settled(ims, &[&alice]);
}

/// RFC 3325 §8: an identity that a phone asserts itself goes no further, and is counted.
#[test]
fn an_identity_that_a_phone_asserts_is_taken_away_and_counted() {
    let mut ims = secured(Plan::seeded(42));
    let alice = ims.phone_with(|config| {
        config.security = Some(SecurityConfig::default());
        config.policy.fault = Some(Fault::ForgedIdentity);
    });
    let bob = phone(&mut ims);
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    let notice = ims.message(&alice, &bob.sip, "believe me");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    let heard = ims.received("bob", "MESSAGE");
    assert!(heard.iter().all(|message| !message.contains("somebody-else")), "{heard:?}");
    assert_eq!(counted(&ims, "removed", "P-Asserted-Identity of a UE"), 1);
    settled(ims, &[&alice, &bob]);
}

/// RFC 3329 §2.3.1: each request proves the agreement anew, within a dialog as well; the proof ends at the P-CSCF.
#[test]
fn requests_within_a_dialog_prove_the_agreement() {
    let mut ims = secured(Plan::seeded(43));
    let (alice, bob) = (phone(&mut ims), phone(&mut ims));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    let notice = ims.call(&alice, &bob.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
    ims.advance(Duration::from_secs(1));
    let hold = |ims: &mut Ims| {
        ims.ask(&bob, Command::Hold { call: None }, Duration::from_secs(60), |notice| {
            matches!(notice, Notice::Changed { .. } | Notice::ChangeRefused { .. })
        })
    };
    let policy = ue::Policy { fault: Some(Fault::AlteredSecurityVerify), ..ue::Policy::default() };
    ims.world.command(bob.host, Command::SetPolicy(policy));
    let notice = hold(&mut ims);
    assert!(matches!(&notice, Notice::ChangeRefused { .. }), "{notice:?}\n{}", ims.ladder());
    let cause = "Security-Verify differs from our Security-Server";
    assert_eq!(counted(&ims, "refused", cause), 1);
    ims.world.command(bob.host, Command::SetPolicy(ue::Policy::default()));
    let notice = hold(&mut ims);
    assert!(matches!(notice, Notice::Changed { .. }), "{notice:?}\n{}", ims.ladder());
    ims.hang_up(&alice);
    ims.advance(Duration::from_secs(1));
    for method in ["INVITE", "ACK", "BYE"] {
        let at_pcscf = ims.received("pcscf", method);
        let of_ue = at_pcscf.iter().filter(|request| request.contains("Security-Verify: ipsec-3gpp"));
        assert!(of_ue.count() > 0, "{method}: {at_pcscf:?}");
        let beyond = ims.received("scscf", method);
        assert!(
            !beyond.is_empty() && beyond.iter().all(|request| !request.contains("Security-")),
            "{method}"
        );
    }
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.1.1.5.1: a challenge without a Security-Server that could be used is abandoned, and the registration begins
/// anew with another Call-ID; once.
#[test]
fn a_phone_without_a_usable_security_server_begins_anew() {
    for (lost, succeeds) in [(1, true), (9, false)] {
        let mut ims = secured(Plan::seeded(44));
        let alice = phone(&mut ims);
        let mut left = lost;
        ims.world.set_tamper(move |_, to, bytes| {
            let name = b"Security-Server";
            let found = bytes.windows(name.len()).any(|part| part == name);
            if to == "alice" && found && left > 0 {
                left -= 1;
                while let Some(at) = bytes.windows(name.len()).position(|part| part == name) {
                    bytes[at..at + name.len()].copy_from_slice(b"X-ecurity-Taken");
                }
            }
            sim::Fate::Pass
        });
        let notice = ims.register(&alice);
        assert_eq!(matches!(notice, Notice::Registered { .. }), succeeds, "{notice:?}\n{}", ims.ladder());
        let registers = ims.received("pcscf", "REGISTER");
        let ids: std::collections::BTreeSet<_> =
            registers.iter().filter_map(|register| header(register, "Call-ID")).collect();
        assert_eq!((registers.len(), ids.len()), (if succeeds { 3 } else { 2 }, 2), "{}", ims.ladder());
    }
}

/// TS 33.203 §7.1: whether an emergency request may come outside of associations is policy; there is nobody yet to serve it.
#[test]
fn an_emergency_outside_of_associations_is_decided_by_policy() {
    for (policy, status, cause) in [
        ("any", "380", "emergency services are not supported"),
        ("protected", "403", "emergency request outside of a security association"),
    ] {
        let settings = format!("[ipsec]\npolicy = \"required\"\nemergency = \"{policy}\"");
        let mut ims = Plan::seeded(45).with_settings(&settings).start();
        let remote = SocketAddr::from(([10, 9, 9, 9], 5060));
        let request = "INVITE urn:service:sos SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bKsos\r\nMax-Forwards: 70\r\n\
             From: <sip:anonymous@anonymous.invalid>;tag=1\r\nTo: <urn:service:sos>\r\nCall-ID: sos\r\nCSeq: 1 INVITE\r\n\
             Content-Length: 0\r\n\r\n";
        ims.world.inject(remote, SocketAddr::from(([127, 0, 0, 10], 5060)), request.as_bytes());
        ims.advance(Duration::from_millis(10));
        assert_eq!(counted(&ims, "refused", cause), 1, "{policy} {status}");
    }
}

/// A phone whose ESP names another SPI is not heard: the packets are counted, and what was set up for it goes.
#[test]
fn esp_with_a_foreign_spi_is_dropped_and_counted() {
    let mut ims = secured(Plan::seeded(31));
    let alice = ims.phone_with(|config| {
        config.security = Some(SecurityConfig::default());
        config.policy.fault = Some(Fault::WrongSpi);
    });
    let notice = ims.register(&alice);
    assert!(matches!(notice, Notice::RegistrationFailed(RegistrationFailure::Timeout)), "{notice:?}");
    assert!(counted(&ims, "esp_refused", "unknown SPI") > 3, "{}", ims.ladder());
    ims.advance(Duration::from_secs(300));
    assert_eq!((sets(&ims, "pcscf"), sets(&ims, "alice")), (0, 0));
}

/// RFC 4303 §3.4.3, §3.4.4: what was heard before, and what was changed on the way, goes no further.
#[test]
fn replayed_and_altered_esp_is_dropped_and_counted() {
    let mut ims = secured(Plan::seeded(32));
    let (alice, bob) = (phone(&mut ims), phone(&mut ims));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    ims.world.tap();
    ims.message(&alice, &bob.sip, "hello");
    let pcscf = ims.world.host("pcscf");
    let sent: Vec<_> = ims.world.taken().iter().filter(|packet| packet.from == alice.host).cloned().collect();
    assert!(sent.iter().all(|packet| packet.is_esp && packet.to == pcscf) && !sent.is_empty());
    let heard = ims.received("pcscf", "MESSAGE").len();
    let source = ims.world.hosts()[alice.host].address;
    for packet in &sent {
        ims.world.inject_esp(source, pcscf, &packet.bytes);
        let mut altered = packet.bytes.clone();
        // A number that has not been heard, so that it is not taken for a replay.
        altered[4..8].copy_from_slice(&9000_u32.to_be_bytes());
        ims.world.inject_esp(source, pcscf, &altered);
        ims.world.inject_esp(IpAddr::from([10, 9, 9, 9]), pcscf, &packet.bytes);
    }
    ims.advance(Duration::from_secs(1));
    let esp = &ims.world.hosts()[pcscf].esp;
    assert!(esp.refused(Refusal::Replay) >= sent.len() as u64);
    assert_eq!(esp.refused(Refusal::BadIcv), sent.len() as u64);
    assert_eq!(ims.received("pcscf", "MESSAGE").len(), heard);
    settled(ims, &[&alice, &bob]);
}

/// TS 33.203 §7.1: whoever speaks for a protected user in clear is refused, from whichever port, and at a protected port
/// is not even heard.
#[test]
fn a_protected_user_cannot_be_spoken_for_in_clear() {
    let mut ims = secured(Plan::seeded(33));
    let (alice, bob) = (phone(&mut ims), phone(&mut ims));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    let ip = ims.world.hosts()[alice.host].address;
    let request = |branch: &str| {
        format!(
            "MESSAGE {} SIP/2.0\r\nVia: SIP/2.0/UDP {ip}:6300;branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n\
             From: <{}>;tag=1\r\nTo: <{}>\r\nCall-ID: {branch}\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
            bob.sip, alice.sip, bob.sip
        )
    };
    for (port, at) in [(6300, 5060), (6301, 5060), (5060, 5060), (6301, 6100), (6300, 5100), (5060, 6100)] {
        let (remote, local) = (SocketAddr::new(ip, port), SocketAddr::from(([127, 0, 0, 10], at)));
        ims.world.inject(remote, local, request(&format!("x{port}{at}")).as_bytes());
    }
    ims.advance(Duration::from_secs(2));
    assert_eq!(ims.received("bob", "MESSAGE").len(), 0);
    assert_eq!(counted(&ims, "refused", "outside the security association"), 3, "a counter of its own");
    assert_eq!(ims.received("pcscf", "MESSAGE").len(), 3, "those to protected ports are not heard");
    settled(ims, &[&alice, &bob]);
}

/// A phone that lost its battery comes back with nothing: it registers in clear, and until that succeeds it is registered
/// as before.
#[test]
fn a_phone_that_restarts_is_challenged_and_served_again() {
    let mut ims = secured(Plan::seeded(34));
    let (alice, bob) = (phone(&mut ims), phone(&mut ims));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    ims.restart("alice", Duration::from_secs(1));
    assert!(ims.registered_at(&alice).is_some());
    ims.register_well(&alice);
    let notice = ims.message(&bob, &alice.sip, "hello again");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    ims.advance(Duration::from_secs(140));
    assert_eq!(sets(&ims, "pcscf"), 2);
    settled(ims, &[&alice, &bob]);
}

/// On links that lose, double and reorder, a registration is still a matter of retransmissions.
#[test]
fn bad_links_are_borne() {
    for seed in 0..20 {
        let mut ims = secured(Plan::seeded(1000 + seed));
        ims.set_links(Link::BAD);
        let (alice, bob) = (phone(&mut ims), phone(&mut ims));
        for phone in [&alice, &bob] {
            ims.register_well(phone);
            ims.register_well(phone);
        }
        let notice = ims.message(&alice, &bob.sip, "hello");
        assert!(matches!(notice, Notice::MessageSent { .. }), "seed {seed}: {notice:?}\n{}", ims.ladder());
        ims.set_links(Link::GOOD);
        settled(ims, &[&alice, &bob]);
    }
}

/// All phones share one server port and a ring of client ports, and none of them can use them up.
#[test]
fn a_hundred_phones_share_the_protected_ports() {
    let mut ims = secured(Plan::seeded(35).with_subscribers(100).untraced());
    let phones: Vec<Phone> = (0..100).map(|_| phone(&mut ims)).collect();
    for phone in &phones {
        ims.register_well(phone);
    }
    let pcscf = &ims.world.hosts()[ims.world.host("pcscf")];
    let mut own: Vec<(u16, u16)> =
        pcscf.esp.sets().map(|set| (set.own_client_port, set.own_server_port)).collect();
    assert_eq!(own.len(), 100);
    own.sort_unstable();
    own.dedup();
    assert_eq!(own, [(5100, 6100)], "SPIs tell them apart");
    let notice = ims.message(&phones[0], &phones[99].sip, "from one end to the other");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    settled(ims, &phones.iter().collect::<Vec<_>>());
}

/// RFC 3261 §18.1.1 within an association: what is too long for a datagram goes by TCP between the same ports.
#[test]
fn a_long_request_goes_by_tcp_through_the_same_association() {
    let mut ims = secured(Plan::seeded(36));
    let (alice, bob) = (phone(&mut ims), phone(&mut ims));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    ims.world.tap();
    let text = "long ".repeat(240);
    let notice = ims.message(&alice, &bob.sip, &text);
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    let to_bob = ims.received("bob", "MESSAGE");
    assert!(to_bob[0].contains("SIP/2.0/TCP 127.0.0.10:6100"), "{to_bob:?}");
    assert_eq!(in_clear(&ims, &bob), [""; 0]);
    settled(ims, &[&alice, &bob]);
}

/// A registered phone that says nothing hears nothing: no ping through the tunnel whose loss would end its registration.
#[test]
fn nobody_pings_a_phone_through_its_association() {
    let mut ims = secured(Plan::seeded(37));
    let alice = phone(&mut ims);
    ims.register_well(&alice);
    ims.advance(Duration::from_secs(200));
    ims.world.tap();
    ims.advance(Duration::from_secs(3600));
    let heard =
        ims.world.taken().iter().filter(|packet| [packet.from, packet.to].contains(&alice.host)).count();
    assert_eq!(heard, 0);
    assert!(ims.registered_at(&alice).is_some());
    settled(ims, &[&alice]);
}

/// A phone that registers, de-registers, restarts and is cut off in any order leaves what its last word asks for, and
/// no more: neither set nor binding is freed twice, or forgotten.
#[test]
fn races_of_one_phone_with_itself_leave_nothing_behind() {
    for seed in 0..30 {
        let mut ims = secured(Plan::seeded(2000 + seed));
        let alice = phone(&mut ims);
        let mut chance = Entropy::seeded(seed);
        for _ in 0..12 {
            match chance.below(6) {
                0 | 1 => ims.world.command(alice.host, Command::Register),
                2 => ims.world.command(alice.host, Command::Deregister),
                3 => ims.world.network.cut("alice", "pcscf"),
                4 => ims.world.network.heal("alice", "pcscf"),
                _ => {
                    ims.world.crash(alice.host);
                    ims.world.start(alice.host);
                }
            }
            ims.advance(Duration::from_millis(chance.below(3000)));
        }
        ims.world.network.heal_all();
        ims.advance(Duration::from_secs(400));
        let notice = ims.register(&alice);
        assert!(matches!(notice, Notice::Registered { .. }), "seed {seed}: {notice:?}\n{}", ims.ladder());
        let notice = ims.deregister(&alice);
        assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed), "seed {seed}");
        ims.advance(Duration::from_secs(800));
        assert_eq!((sets(&ims, "pcscf"), sets(&ims, "alice")), (0, 0), "seed {seed}\n{}", ims.ladder());
    }
}

/// How often the P-CSCF has counted something, as `ims counters pcscf` tells.
fn counted(ims: &Ims, name: &str, cause: &str) -> u64 {
    ims.world.hosts()[ims.world.host("pcscf")].counted(name, cause)
}
