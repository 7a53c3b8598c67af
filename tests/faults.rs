//! Faults: an HSS that is slow or answers nonsense, half-open partitions, crashes at every step, malformed input.

use carillon_tests::story::{header, refusal, settled};
use cscf::station::Protocol;
use sim::{Fate, Ims, Phone, Say, Stranger};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use ue::{Command, Notice, Persistence};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Alice and bob, of whom alice is registered.
fn alice_is_registered(seed: u64) -> (Ims, Phone, Phone) {
    let mut ims = Ims::seeded(seed);
    let alice = ims.phone();
    let bob = ims.phone();
    ims.register_well(&alice);
    (ims, alice, bob)
}

/// An HSS that answers later than `diameter.request_timeout` is one that does not answer; the late answer harms nobody.
#[test]
fn an_hss_that_is_too_slow_is_a_504_and_its_late_answer_is_dropped() {
    let (mut ims, alice, bob) = alice_is_registered(90);
    let slow = sim::Link { delay_min: seconds(4), delay_max: seconds(4), ..sim::Link::GOOD };
    ims.world.network.set("icscf", "hss", slow);
    let notice = ims.register(&bob);
    assert_eq!(refusal(&notice), 504, "{notice:?}\n{}", ims.ladder());
    let notice = ims.message(&alice, &alice.tel, "to myself");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    ims.world.network.heal_all();
    ims.advance(seconds(60));
    ims.register_well(&bob);
    settled(ims, &[&alice, &bob]);
}

/// An answer whose AVPs are no AVPs counts as none: a 5xx with a reason, for this request alone.
#[test]
fn an_answer_that_cannot_be_decoded_is_a_5xx_and_the_next_request_is_served() {
    for part in ["icscf", "scscf"] {
        let (mut ims, alice, bob) = alice_is_registered(91);
        ims.world.set_tamper(move |from, to, bytes| {
            // Version 1, an answer, of the Cx application: what follows the header becomes nonsense.
            if from == "hss" && to == part && bytes.len() > 40 && bytes[8..12] == 16_777_216u32.to_be_bytes()
            {
                bytes[20..].fill(0xff);
            }
            Fate::Pass
        });
        let notice = ims.register(&bob);
        assert!((500..600).contains(&refusal(&notice)), "{part}: {notice:?}\n{}", ims.ladder());
        let refused = ims.received("bob", "5");
        assert!(header(&refused[0], "Warning").is_some(), "{part}: {refused:?}");
        ims.world.clear_tamper();
        ims.advance(seconds(60));
        ims.register_well(&bob);
        settled(ims, &[&alice, &bob]);
    }
}

/// A peer that speaks no Diameter is closed and tried again; when the HSS is back, nothing has to be restarted.
#[test]
fn a_peer_that_babbles_is_closed_until_an_hss_is_there_again() {
    let (mut ims, alice, bob) = alice_is_registered(92);
    let hss = ims.world.host("hss");
    ims.world.crash(hss);
    // Another machine at the same address takes the connections.
    let real = ims
        .world
        .replace(hss, Box::new(|_| Box::new(Stranger::babbling(b"HTTP/1.1 400 Bad Request\r\n\r\n"))));
    ims.world.start(hss);
    ims.advance(seconds(90));
    assert_eq!(refusal(&ims.register(&bob)), 504);
    ims.world.crash(hss);
    drop(ims.world.replace(hss, real));
    ims.world.start(hss);
    ims.advance(seconds(60));
    ims.register_well(&bob);
    settled(ims, &[&alice, &bob]);
}

/// Requests arrive and answers do not: the phone is told of a time-out, and once the link heals it registers.
#[test]
fn a_half_open_link_between_two_cscfs_heals() {
    for (deaf, mute) in [("pcscf", "icscf"), ("icscf", "scscf"), ("pcscf", "scscf")] {
        let (mut ims, alice, bob) = alice_is_registered(93);
        ims.world.set_tamper(
            move |from, to, _| {
                if from == mute && to == deaf { Fate::Drop } else { Fate::Pass }
            },
        );
        let notice = ims.register(&bob);
        let is_well = matches!(notice, Notice::Registered { .. });
        assert!(is_well || refusal(&notice) >= 500, "{deaf}, {mute}: {notice:?}\n{}", ims.ladder());
        ims.world.clear_tamper();
        ims.advance(seconds(300));
        ims.register_well(&bob);
        let notice = ims.message(&alice, &bob.sip, "there?");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{deaf}, {mute}: {notice:?}");
        settled(ims, &[&alice, &bob]);
    }
}

/// Each role crashes after each message of a registration: what a phone was told is so, and everything heals.
#[test]
fn a_crash_at_any_step_of_a_registration_leaves_nothing_wrong() {
    for part in ["pcscf", "icscf", "scscf", "hss"] {
        for step in 1..100 {
            let mut ims = Ims::seeded(94);
            let alice = ims.phone_with(|ue| ue.policy.persistence = Persistence::KeepTrying);
            let before = ims.world.traced().len();
            ims.world.command(alice.host, Command::Register);
            ims.world.run_until(seconds(5), |world| world.traced().len() >= before + step);
            let done = ims.world.traced().len() < before + step;
            ims.restart(part, Duration::from_millis(300));
            ims.advance(seconds(900));
            let told = ims.world.take_notices::<Notice>(alice.host);
            let registered = told.iter().rev().find_map(|(_, notice)| match notice {
                Notice::Registered { .. } => Some(true),
                Notice::RegistrationFailed(_) => Some(false),
                _ => None,
            });
            assert_eq!(registered, Some(true), "{part} after {step}: {told:?}\n{}", ims.ladder());
            let notice = ims.message(&alice, &alice.tel, "to myself");
            assert!(
                matches!(notice, Notice::MessageSent { .. }),
                "{part} after {step}: {notice:?}\n{}",
                ims.ladder()
            );
            settled(ims, &[&alice]);
            if done {
                break;
            }
        }
    }
}

/// Whatever arrives at whichever door, nobody else notices.
#[test]
fn malformed_input_at_every_role_disturbs_nobody() {
    let (mut ims, alice, bob) = alice_is_registered(95);
    ims.register_well(&bob);
    let ip = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
    let stranger = ims.world.add("stranger", ip, Box::new(|_| Box::new(Stranger::silent())));
    let long = format!("INVITE sip:{} SIP/2.0\r\n\r\n", "a".repeat(60_000));
    let many = format!("OPTIONS sip:x SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(5_000));
    let junk: Vec<&[u8]> = vec![
        b"INVITE",
        b"INVITE sip:a SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 999 No\r\nVia: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\n\r\n",
        b"REGISTER sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK2\r\nContent-Length: -5\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK3\r\nVia: ,,,\r\nCSeq: 99999999999 INVITE\r\n\r\n",
        b"BYE sip:x SIP/2.0\r\nTo: <sip:\xff\xfe>;tag=\x00\r\nRoute: <<<>>>\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\x00\x00\x00",
        b"ACK sip:x SIP/2.0\r\nFrom: \"\r\nTo: \"\"\"\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    let doors = ["127.0.0.10:5060", "127.0.0.11:4060", "127.0.0.101:6060"];
    for door in doors {
        let remote: SocketAddr = door.parse().unwrap();
        for bytes in &junk {
            let local = SocketAddr::new(ip, 5060);
            ims.world.command(stranger, Say::Datagram { local, remote, bytes: bytes.to_vec() });
            ims.world
                .command(stranger, Say::Stream { remote, protocol: Protocol::Sip, bytes: bytes.to_vec() });
            // The same from an address inside the trust domain, where nobody is asked who he is.
            ims.world.inject("127.0.0.200:5060".parse().unwrap(), remote, bytes);
            // And at the door of the phones, from a phone's own address.
            ims.world.inject(SocketAddr::new(Ipv4Addr::new(10, 1, 0, 1).into(), 5060), remote, bytes);
        }
        ims.advance(seconds(1));
    }
    let hss = "127.0.0.13:3868".parse().unwrap();
    for bytes in &junk {
        ims.world.command(
            stranger,
            Say::Stream { remote: hss, protocol: Protocol::Diameter, bytes: bytes.to_vec() },
        );
    }
    ims.advance(seconds(5));
    let notice = ims.call(&alice, &bob.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    ims.hang_up(&bob);
    ims.register_well(&bob);
    settled(ims, &[&alice, &bob]);
}

/// One byte of each message of a registration and a call is changed on its way, in every message in turn: the run may
/// fail, nothing may break.
#[test]
fn a_flipped_byte_anywhere_breaks_nothing_for_good() {
    for at in (0..120).step_by(3) {
        let mut ims = Ims::seeded(96);
        let (alice, bob) = (ims.phone(), ims.phone());
        ims.register_well(&bob);
        let mut count = 0usize;
        ims.world.set_tamper(move |_, _, bytes| {
            count += 1;
            if count == at {
                let place = (at * 7901) % bytes.len().max(1);
                bytes[place] ^= 0x15;
            }
            Fate::Pass
        });
        ims.register(&alice);
        ims.world.command(alice.host, Command::Call { to: bob.tel.clone(), offer: None });
        ims.advance(seconds(10));
        ims.world.command(alice.host, Command::Hangup { call: None });
        ims.advance(seconds(200));
        ims.world.clear_tamper();
        ims.world.command(bob.host, Command::Hangup { call: None });
        ims.advance(seconds(60));
        ims.register_well(&alice);
        let notice = ims.message(&alice, &bob.tel, "and now?");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{at}: {notice:?}\n{}", ims.ladder());
        settled(ims, &[&alice, &bob]);
    }
}
