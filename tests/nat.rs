//! Phones behind a NAT (TS 33.203 Annex M, TS 24.229 Annex F), in simulation: ESP in UDP between them and the P-CSCF.

use carillon_tests::story::{refusal, settled};
use cscf::flow::Transport;
use ipsec::{Encapsulation, Mode, Refusal};
use sim::{Ims, Phone, Plan};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use ue::{Notice, SecurityConfig, Tunnel};

const OWN_ESP: &str = "[ipsec]\npolicy = \"required\"\nback_end = \"userspace\"";
const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 77));

fn core(seed: u64, settings: &str) -> Ims {
    Plan::seeded(seed).with_settings(settings).with_scscf_settings("reauthenticate = \"always\"").start()
}

/// A phone with protected ports of its own, for all of one NAT have one address.
fn phone(ims: &mut Ims, first_port: u16, transport: Transport, tunnel: Option<Tunnel>) -> Phone {
    ims.phone_with(|config| {
        config.security = Some(SecurityConfig {
            server_ports: vec![first_port],
            client_ports: vec![first_port + 1, first_port + 2, first_port + 3],
            tunnel,
            ..SecurityConfig::default()
        });
        config.pcscf.transport = transport;
    })
}

fn behind_nat(ims: &mut Ims, first_port: u16, transport: Transport) -> Phone {
    let phone = phone(ims, first_port, transport, Some(Tunnel::default()));
    ims.world.put_behind_nat(phone.host, OUTSIDE);
    phone
}

/// The modes of the sets at a host, by name.
fn modes(ims: &Ims, host: &str) -> Vec<Mode> {
    let host = &ims.world.hosts()[ims.world.host(host)];
    host.esp.sets().map(|set| set.encapsulation.mode()).collect()
}

fn table(ims: &mut Ims) -> Vec<String> {
    let pcscf = ims.world.host("pcscf");
    let form = pcscf::wording::Form::Table;
    ims.world.command(pcscf, pcscf::wording::Command::SecurityAssociations(form));
    let mut notices = ims.world.take_notices::<pcscf::wording::Notice>(pcscf);
    match notices.pop() {
        Some((_, pcscf::wording::Notice::SecurityAssociations { lines, .. })) => lines,
        other => panic!("{other:?}"),
    }
}

fn counted(ims: &Ims, name: &str, cause: &str) -> u64 {
    ims.world.hosts()[ims.world.host("pcscf")].counted(name, cause)
}

/// Two phones behind one NAT: register, call, message, re-register with new sets, de-register, over UDP and TCP; the table of
/// associations names them as what they are.
#[test]
fn phones_behind_a_nat_are_served_through_tunnels_in_udp() {
    for (seed, transport) in [(1, Transport::Udp), (2, Transport::Tcp)] {
        let mut ims = core(seed, OWN_ESP);
        ims.world.tap();
        let alice = behind_nat(&mut ims, 6300, transport);
        let bob = behind_nat(&mut ims, 6400, transport);
        for phone in [&alice, &bob] {
            ims.register_well(phone);
            assert_eq!(modes(&ims, &phone.name), [Mode::UdpTunnel]);
        }
        for _ in 0..2 {
            let notice = ims.call(&alice, &bob.tel);
            assert!(matches!(notice, Notice::Established { .. }), "{transport} {notice:?}\n{}", ims.ladder());
            ims.hang_up(&bob);
            let notice = ims.message(&bob, &alice.sip, "hello");
            assert!(matches!(notice, Notice::MessageSent { .. }), "{transport} {notice:?}\n{}", ims.ladder());
            // TS 24.229 §F.2.1.2.2: what is protected names the address of the NAT.
            ims.register_well(&alice);
            let registers = ims.received("pcscf", "REGISTER");
            let last = registers.last().expect("a REGISTER");
            assert!(last.contains("@203.0.113.1:6300"), "{last}");
            ims.advance(Duration::from_secs(200));
        }
        assert_eq!(counted(&ims, "behind_nat", "UDP-enc-tun"), 4, "{transport}");
        let own = ims.world.hosts()[alice.host].address;
        let lines = table(&mut ims);
        assert!(
            lines
                .iter()
                .any(|line| line.contains(&format!("behind a NAT (calls itself {own}, UDP-enc-tun)"))),
            "{lines:?}"
        );
        let clear = ims.world.taken().iter().filter(|packet| packet.from == alice.host && !packet.is_esp);
        assert_eq!(clear.count(), 1, "{transport}: one REGISTER");
        for phone in [&alice, &bob] {
            let notice = ims.deregister(phone);
            assert!(matches!(notice, Notice::Deregistered(_)), "{notice:?}");
        }
        ims.advance(Duration::from_secs(140));
        assert_eq!(modes(&ims, "pcscf"), []);
        settled(ims, &[]);
    }
}

/// RFC 3948 §3.3, TS 33.203 Annex M: the NAT may get another address at any time; from the phone's next packet on the P-CSCF
/// finds it, and a call goes on.
#[test]
fn a_tunnel_follows_its_nat() {
    let mut ims = core(3, OWN_ESP);
    let alice = behind_nat(&mut ims, 6300, Transport::Udp);
    let bob = behind_nat(&mut ims, 6400, Transport::Udp);
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    let notice = ims.call(&alice, &bob.tel);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
    let registers = ims.received("pcscf", "REGISTER").len();
    ims.world.move_nat(OUTSIDE, ELSEWHERE);
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        // The one who writes first is found by what it writes; the other one by its answers, which it cannot give yet.
        ims.message(from, "sip:nobody@ims.mnc001.mcc001.3gppnetwork.org", "here I am");
        let notice = ims.message(to, "sip:nobody@ims.mnc001.mcc001.3gppnetwork.org", "and I");
        assert!(matches!(notice, Notice::MessageFailed { .. }), "{notice:?}");
        let notice = ims.message(from, &to.sip, "hello");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    }
    let notice = ims.hang_up(&bob);
    assert!(matches!(notice, Notice::Ended { .. }), "{notice:?}");
    assert_eq!(ims.received("pcscf", "REGISTER").len(), registers, "nobody registered anew");
    let pcscf = &ims.world.hosts()[ims.world.host("pcscf")];
    for set in pcscf.esp.sets() {
        assert_eq!(set.peer_ip, OUTSIDE, "within, it is known by the address that it registered with");
        let selector = set.associations()[3].selector;
        assert_eq!(pcscf.esp.outer(selector).map(|outer| outer.remote.ip()), Some(ELSEWHERE));
    }
    settled(ims, &[&alice, &bob]);
}

/// A packet that was heard on its way, and comes again from another address, does not move the tunnel there.
#[test]
fn nobody_else_moves_a_tunnel() {
    let mut ims = core(4, OWN_ESP);
    let alice = behind_nat(&mut ims, 6300, Transport::Udp);
    let bob = behind_nat(&mut ims, 6400, Transport::Udp);
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    ims.world.tap();
    ims.message(&alice, &bob.sip, "hello");
    let pcscf = ims.world.host("pcscf");
    let heard: Vec<_> =
        ims.world.taken().iter().filter(|packet| packet.from == alice.host).cloned().collect();
    let thief = SocketAddr::new(ELSEWHERE, 4500);
    for packet in &heard {
        ims.world.inject_esp_in_udp(thief, pcscf, &packet.bytes);
        let mut forged = packet.bytes.clone();
        forged[4..8].copy_from_slice(&9000_u32.to_be_bytes());
        ims.world.inject_esp_in_udp(thief, pcscf, &forged);
        ims.world.inject_esp(ELSEWHERE, pcscf, &forged);
    }
    ims.advance(Duration::from_secs(1));
    let esp = &ims.world.hosts()[pcscf].esp;
    assert_eq!(esp.refused(Refusal::Replay), heard.len() as u64);
    assert_eq!(esp.refused(Refusal::BadIcv), 2 * heard.len() as u64);
    assert!(!heard.is_empty());
    let notice = ims.message(&bob, &alice.sip, "still there?");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
    settled(ims, &[&alice, &bob]);
}

/// A P-CSCF that crashes finds the phones behind their NATs again: requests reach them before they say anything.
#[test]
fn a_tunnel_outlives_a_crash_of_the_pcscf() {
    let mut ims = core(5, OWN_ESP);
    let alice = behind_nat(&mut ims, 6300, Transport::Udp);
    let bob = phone(&mut ims, 6400, Transport::Udp, Some(Tunnel::default()));
    for phone in [&alice, &bob] {
        ims.register_well(phone);
    }
    assert_eq!(modes(&ims, "bob"), [Mode::Transport], "no NAT, no tunnel");
    ims.restart("pcscf", Duration::from_secs(2));
    ims.advance(Duration::from_secs(5));
    let notice = ims.message(&bob, &alice.sip, "after the crash");
    assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}\n{}", ims.ladder());
    let lines = table(&mut ims);
    assert_eq!(lines.iter().filter(|line| line.contains("behind a NAT")).count(), 1, "{lines:?}");
    let pcscf = &ims.world.hosts()[ims.world.host("pcscf")];
    let tunnels = pcscf.esp.sets().filter(|set| matches!(set.encapsulation, Encapsulation::UdpTunnel { .. }));
    assert_eq!(tunnels.count(), 1);
    settled(ims, &[&alice, &bob]);
}

/// A phone behind a NAT that knows of no tunnels is named, so that somebody finds out why its ESP never comes; with a back end
/// that has none, so is one that does.
#[test]
fn a_nat_without_a_tunnel_is_named() {
    let by_kernel = "[ipsec]\npolicy = \"required\"";
    for (seed, settings, tunnel, cause) in [
        (6, OWN_ESP, None, "no UDP-enc-tun offered"),
        (7, by_kernel, Some(Tunnel::default()), "no tunnels here"),
    ] {
        let mut ims = core(seed, settings);
        let alice = phone(&mut ims, 6300, Transport::Udp, tunnel);
        ims.world.put_behind_nat(alice.host, OUTSIDE);
        let notice = ims.register(&alice);
        assert!(matches!(notice, Notice::RegistrationFailed(_)), "{notice:?}");
        assert!(counted(&ims, "behind_nat", cause) > 0, "{cause}");
        assert!(table(&mut ims)[0].contains("behind a NAT"), "{cause}");
        assert!(ims.registered_at(&alice).is_none());
    }
}

/// TS 33.203 §7.1: all behind one NAT have one address, so that their protected ports must differ; who comes second with the
/// same is refused, and the first one is not touched.
#[test]
fn the_ports_of_another_user_behind_the_same_nat_are_taken() {
    let mut ims = core(8, OWN_ESP);
    let alice = behind_nat(&mut ims, 6300, Transport::Udp);
    let bob = behind_nat(&mut ims, 6300, Transport::Udp);
    ims.register_well(&alice);
    let notice = ims.register(&bob);
    assert_eq!(refusal(&notice), 403, "{notice:?}");
    assert!(ims.registered_at(&alice).is_some());
    settled(ims, &[&alice]);
}
