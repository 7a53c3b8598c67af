use super::*;
use crate::algorithm::{Algorithms, Encryption, Integrity};
use crate::association::LIFETIME_MAX;
use crate::keys::Keys;
use crate::udp::{self, Datagram};
use std::net::SocketAddr;

fn spi(number: u32) -> Spi {
    Spi::new(number).expect("not reserved")
}

/// A set of the P-CSCF's with the UE of a number.
fn set(number: u32) -> SaSet {
    let algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
    SaSet {
        own_ip: IpAddr::from([192, 0, 2, 1]),
        peer_ip: IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number)),
        own_client_port: 6101,
        own_server_port: 6100,
        peer_client_port: 31_000,
        peer_server_port: 31_001,
        own_spi_c: spi(1_000_000 + 2 * number),
        own_spi_s: spi(1_000_001 + 2 * number),
        peer_spi_c: spi(2001),
        peer_spi_s: spi(2002),
        algorithms,
        keys: Keys::derive(algorithms, [number as u8; 16], [2; 16]),
        encapsulation: Encapsulation::Transport,
        lifetime: LIFETIME_MAX,
    }
}

const NOON: Wall = Wall::from_millis(43_200_000);

/// The ESP packet of a datagram from the client port of a node to the server port of its peer.
fn to_server(from: &mut Sad, set: &SaSet, payload: &[u8]) -> Vec<u8> {
    let client = set.associations()[3].selector;
    datagram(from, client, payload)
}

fn datagram(from: &mut Sad, selector: Selector, payload: &[u8]) -> Vec<u8> {
    let header = udp::header(selector.local, selector.remote, payload).expect("short");
    let mut packet = Vec::new();
    from.protect(&selector, Protocol::Udp, &[&header, payload], NOON, &mut packet).expect("an association");
    packet
}

fn pair() -> (Sad, Sad, SaSet, SaSet) {
    let (at_pcscf, at_ue) = (set(7), set(7).mirrored());
    let (mut pcscf, mut ue) = (Sad::new(Entropy::seeded(1)), Sad::new(Entropy::seeded(2)));
    pcscf.install(&at_pcscf).expect("the first set");
    ue.install(&at_ue).expect("the first set");
    (pcscf, ue, at_pcscf, at_ue)
}

#[test]
fn a_datagram_goes_from_the_client_port_to_the_server_port_of_the_peer() {
    let (mut pcscf, mut ue, _, at_ue) = pair();
    let mut packet = to_server(&mut ue, &at_ue, b"REGISTER");
    let accepted = pcscf.accept(at_ue.own_ip, &mut packet, NOON).expect("its own UE");
    assert_eq!(accepted.association.selector.local.port(), 6100);
    let read = Datagram::parse(at_ue.own_ip, at_ue.peer_ip, accepted.payload).expect("a datagram");
    assert_eq!((read.source_port, read.destination_port, read.payload), (31_000, 6100, &b"REGISTER"[..]));
    let used: Vec<_> = pcscf.usage().filter(|usage| usage.packets > 0).collect();
    assert_eq!(used.len(), 1);
    assert_eq!((used[0].spi, used[0].sequence, used[0].last_used), (spi(1_000_015), 1, Some(NOON)));
}

#[test]
fn each_refusal_has_a_counter_of_its_own() {
    let (mut pcscf, mut ue, _, at_ue) = pair();
    let from = at_ue.own_ip;
    let packet = to_server(&mut ue, &at_ue, b"REGISTER");
    assert!(pcscf.accept(from, &mut packet.clone(), NOON).is_ok());
    assert_eq!(pcscf.accept(from, &mut packet.clone(), NOON), Err(Refusal::Replay));
    let mut foreign = packet.clone();
    foreign[..4].copy_from_slice(&9999_u32.to_be_bytes());
    assert_eq!(pcscf.accept(from, &mut foreign, NOON), Err(Refusal::UnknownSpi));
    let mut changed = packet.clone();
    *changed.last_mut().expect("not empty") ^= 1;
    assert_eq!(pcscf.accept(from, &mut changed, NOON), Err(Refusal::BadIcv));
    assert_eq!(pcscf.accept(from, &mut [0; 3], NOON), Err(Refusal::Malformed));
    let mut behind_nat = to_server(&mut ue, &at_ue, b"REGISTER");
    let nat = IpAddr::from([203, 0, 113, 5]);
    assert_eq!(pcscf.accept(nat, &mut behind_nat, NOON), Err(Refusal::Source));
    for reason in Refusal::ALL {
        assert_eq!(pcscf.refused(reason), u64::from(reason != Refusal::Selector), "{reason:?}");
    }
}

#[test]
fn an_association_carries_its_own_ports_only() {
    let (mut pcscf, mut ue, _, at_ue) = pair();
    let selector = at_ue.associations()[3].selector;
    for (local, remote, protocol) in
        [(selector.local.port(), 5060, Protocol::Udp), (31_001, selector.remote.port(), Protocol::Tcp)]
    {
        let (from, to) = (SocketAddr::new(at_ue.own_ip, local), SocketAddr::new(at_ue.peer_ip, remote));
        let header = udp::header(from, to, b"x").expect("short");
        let mut packet = Vec::new();
        ue.protect(&selector, protocol, &[&header, b"x"], NOON, &mut packet).expect("an association");
        assert_eq!(pcscf.accept(at_ue.own_ip, &mut packet, NOON), Err(Refusal::Selector));
    }
    assert_eq!(pcscf.refused(Refusal::Selector), 2);
}

#[test]
fn nothing_is_sent_between_ports_without_an_association() {
    let (mut pcscf, _, at_pcscf, _) = pair();
    let mut selector = at_pcscf.associations()[3].selector;
    assert_eq!(pcscf.inbound(&selector), Some(at_pcscf.own_spi_c));
    selector.remote.set_port(5060);
    assert_eq!(pcscf.inbound(&selector), None);
    let mut packet = Vec::new();
    let sent = pcscf.protect(&selector, Protocol::Udp, &[b"INVITE"], NOON, &mut packet);
    assert_eq!(sent, Err(NotSent::NoAssociation));
    assert!(packet.is_empty());
}

/// TS 33.203 §7.4: the client ports move at a re-registration, so that the old set works while the new one is taken up.
#[test]
fn an_old_and_a_new_set_of_one_ue_work_side_by_side() {
    let (mut pcscf, mut ue, at_pcscf, at_ue) = pair();
    let mut next = at_pcscf.clone();
    (next.own_client_port, next.peer_client_port) = (6102, 31_002);
    (next.own_spi_c, next.own_spi_s) = (spi(3000), spi(3001));
    (next.peer_spi_c, next.peer_spi_s) = (spi(4000), spi(4001));
    assert_eq!(pcscf.install(&next), Ok(()));
    assert_eq!(ue.install(&next.mirrored()), Ok(()));
    let mut by_old = to_server(&mut ue, &at_ue, b"old");
    let mut by_new = to_server(&mut ue, &next.mirrored(), b"new");
    assert!(pcscf.accept(at_ue.own_ip, &mut by_new, NOON).is_ok());
    assert!(pcscf.accept(at_ue.own_ip, &mut by_old, NOON).is_ok());
    assert!(pcscf.remove(at_pcscf.own_spi_c));
    assert!(!pcscf.remove(at_pcscf.own_spi_c));
    let mut by_old = to_server(&mut ue, &at_ue, b"old");
    assert_eq!(pcscf.accept(at_ue.own_ip, &mut by_old, NOON), Err(Refusal::UnknownSpi));
    let mut by_new = to_server(&mut ue, &next.mirrored(), b"new");
    assert!(pcscf.accept(at_ue.own_ip, &mut by_new, NOON).is_ok());
    assert_eq!(pcscf.len(), 4);
}

#[test]
fn a_set_that_would_take_what_is_anothers_is_refused_whole() {
    let (mut pcscf, _, at_pcscf, _) = pair();
    assert_eq!(pcscf.install(&at_pcscf), Err(NotInstalled::SpiInUse));
    let mut same_ports = at_pcscf.clone();
    (same_ports.own_spi_c, same_ports.own_spi_s) = (spi(3000), spi(3001));
    assert_eq!(pcscf.install(&same_ports), Err(NotInstalled::SelectorInUse));
    let mut no_pair = set(8);
    no_pair.algorithms.encryption = Encryption::AesGcm;
    assert_eq!(pcscf.install(&no_pair), Err(NotInstalled::Algorithms));
    let mut others_keys = set(8);
    others_keys.algorithms.encryption = Encryption::DesEde3Cbc;
    assert_eq!(pcscf.install(&others_keys), Err(NotInstalled::Algorithms));
    assert_eq!(pcscf.len(), 4);
}

/// A set of a UE behind a NAT: within, its own address; without, that of the NAT.
fn behind_nat(is_ipv6: bool) -> SaSet {
    let mut set = set(7);
    if is_ipv6 {
        set.own_ip = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        set.peer_ip = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 2]);
    }
    let (local, remote) =
        (SocketAddr::from(([192, 0, 2, 1], 4500)), SocketAddr::from(([203, 0, 113, 5], 1024)));
    set.encapsulation = Encapsulation::UdpTunnel { local, remote };
    set
}

/// TS 33.203 Annex M: the outer address is the NAT's, which may move; the associations are between the inner ones.
#[test]
fn a_tunnel_follows_the_newest_authentic_packet_through_the_nat() {
    for is_ipv6 in [false, true] {
        let at_pcscf = behind_nat(is_ipv6);
        let (mut pcscf, mut ue) = (Sad::new(Entropy::seeded(1)), Sad::new(Entropy::seeded(2)));
        pcscf.install(&at_pcscf).expect("an empty database");
        let at_ue = at_pcscf.mirrored();
        ue.install(&at_ue).expect("an empty database");
        let selector = at_pcscf.associations()[3].selector;
        let outer = |sad: &Sad| match sad.encapsulation(&selector) {
            Some(Encapsulation::UdpTunnel { remote, .. }) => remote.port(),
            other => panic!("{other:?}"),
        };
        let nat = |port| SocketAddr::from(([203, 0, 113, 5], port));
        assert_eq!(outer(&pcscf), 1024);
        let (first, mut second) =
            (to_server(&mut ue, &at_ue, b"first"), to_server(&mut ue, &at_ue, b"second"));
        let accepted = pcscf.accept_encapsulated(nat(2000), &mut second, NOON).expect("genuine");
        let read = Datagram::parse(at_ue.own_ip, at_ue.peer_ip, accepted.payload).expect("a datagram");
        assert_eq!(read.payload, b"second");
        assert_eq!(outer(&pcscf), 2000, "the NAT gave it another port");
        assert!(pcscf.accept_encapsulated(nat(1024), &mut first.clone(), NOON).is_ok(), "late");
        assert_eq!(outer(&pcscf), 2000, "what is late does not move it back");
        assert_eq!(pcscf.accept_encapsulated(nat(6666), &mut first.clone(), NOON), Err(Refusal::Replay));
        let mut forged = to_server(&mut ue, &at_ue, b"third");
        forged[20] ^= 1;
        assert_eq!(pcscf.accept_encapsulated(nat(6666), &mut forged, NOON), Err(Refusal::BadIcv));
        assert_eq!(outer(&pcscf), 2000, "nor does what is not genuine");
        let mut back = datagram(&mut pcscf, selector, b"back");
        assert!(ue.accept_encapsulated(nat(4500), &mut back, NOON).is_ok());
    }
}

/// A P-CSCF does not know what the NAT makes of the port of a UE that has sent nothing.
#[test]
fn nothing_goes_into_a_tunnel_before_something_came_out_of_it() {
    let mut at_pcscf = behind_nat(false);
    if let Encapsulation::UdpTunnel { remote, .. } = &mut at_pcscf.encapsulation {
        remote.set_port(0);
    }
    assert!(!at_pcscf.is_behind_nat(), "the other end is");
    let (mut pcscf, mut ue) = (Sad::new(Entropy::seeded(1)), Sad::new(Entropy::seeded(2)));
    pcscf.install(&at_pcscf).expect("an empty database");
    let at_ue = behind_nat(false).mirrored();
    ue.install(&at_ue).expect("an empty database");
    let selector = at_pcscf.associations()[3].selector;
    let name = at_pcscf.own_spi_s;
    let mut packet = Vec::new();
    let sent = pcscf.protect(&selector, Protocol::Udp, &[b"12345678"], NOON, &mut packet);
    assert_eq!((sent, packet.len(), pcscf.outer(name)), (Err(NotSent::PeerUnknown), 0, None));
    assert_eq!(pcscf.last_sent(name), None);
    let nat = SocketAddr::from(([203, 0, 113, 5], 1024));
    let mut first = to_server(&mut ue, &at_ue, b"first");
    assert!(pcscf.accept_encapsulated(nat, &mut first, NOON).is_ok());
    assert_eq!(pcscf.outer(name), Some(nat));
    assert!(pcscf.protect(&selector, Protocol::Udp, &[b"12345678"], NOON, &mut packet).is_ok());
    assert_eq!((pcscf.last_sent(name), ue.last_sent(at_ue.own_spi_s)), (Some(NOON), Some(NOON)));
    let mut next = Sad::new(Entropy::seeded(3));
    next.install(&at_pcscf).expect("an empty database");
    next.resume_outer(name, nat);
    assert_eq!(next.outer(name), Some(nat), "after a restart");
    let mut plain = Sad::new(Entropy::seeded(3));
    plain.install(&set(7)).expect("an empty database");
    plain.resume_outer(set(7).own_spi_s, nat);
    assert_eq!(plain.outer(set(7).own_spi_s), None);
}

#[test]
fn a_tunnel_and_a_set_in_transport_mode_do_not_take_each_others_packets() {
    let (at_pcscf, plain) = (behind_nat(false), set(7));
    let mut ue = Sad::new(Entropy::seeded(2));
    ue.install(&at_pcscf.mirrored()).expect("an empty database");
    let mut tunnelled = to_server(&mut ue, &at_pcscf.mirrored(), b"x");
    let mut pcscf = Sad::new(Entropy::seeded(1));
    pcscf.install(&at_pcscf).expect("an empty database");
    assert_eq!(pcscf.accept(at_pcscf.peer_ip, &mut tunnelled.clone(), NOON), Err(Refusal::Source));
    let mut pcscf = Sad::new(Entropy::seeded(1));
    pcscf.install(&plain).expect("an empty database");
    assert_eq!(
        pcscf.accept(plain.peer_ip, &mut tunnelled, NOON),
        Err(Refusal::Selector),
        "a packet in a packet"
    );
}

#[test]
fn a_packet_inside_that_is_not_whole_or_between_others_is_refused() {
    let association = set(7).associations()[0];
    let selector = Selector { local: association.selector.remote, remote: association.selector.local };
    let datagram = udp::header(selector.local, selector.remote, b"x").expect("short");
    let header = inner::Header::new(&selector, Protocol::Udp, &[&datagram, b"x"]).expect("short");
    let packet = [header.octets(), &datagram, b"x"].concat();
    assert_eq!(inner::read(&association, 4, &packet), Some((Protocol::Udp, &packet[20..])));
    for length in 0..packet.len() {
        assert_eq!(inner::read(&association, 4, &packet[..length]), None, "{length}");
    }
    let changed = |at: usize, octet: u8| {
        let mut packet = packet.clone();
        packet[at] = octet;
        inner::read(&association, 4, &packet).is_none()
    };
    assert!(changed(0, 0x44) && changed(0, 0x65), "the header");
    assert!(changed(6, 0x20) && changed(7, 1), "a fragment");
    assert!(changed(9, 1), "ICMP");
    assert!(changed(15, 99) && changed(19, 99), "others' addresses");
    assert_eq!(inner::read(&association, 41, &packet), None, "not what ESP said");
}

/// A P-CSCF that starts again must not repeat a number, and must not take an old packet.
#[test]
fn after_a_restart_old_packets_are_replays_and_new_ones_go_on() {
    let (mut pcscf, mut ue, at_pcscf, at_ue) = pair();
    let early = to_server(&mut ue, &at_ue, b"early");
    assert!(pcscf.accept(at_ue.own_ip, &mut early.clone(), NOON).is_ok());
    let mut from_before = to_server(&mut pcscf, &at_pcscf, b"before");
    assert!(ue.accept(at_pcscf.own_ip, &mut from_before, NOON).is_ok());
    let mut again = Sad::new(Entropy::seeded(3));
    again.install(&at_pcscf).expect("an empty database");
    assert!(again.resume(at_pcscf.own_spi_s, [1, 0], [0, 1000]));
    assert_eq!(again.accept(at_ue.own_ip, &mut early.clone(), NOON), Err(Refusal::Replay));
    let mut from_after = to_server(&mut again, &at_pcscf, b"after");
    assert!(ue.accept(at_pcscf.own_ip, &mut from_after, NOON).is_ok(), "the UE sees a jump ahead");
    assert!(again.accept(at_ue.own_ip, &mut to_server(&mut ue, &at_ue, b"late"), NOON).is_ok());
}

#[test]
fn a_hundred_thousand_associations_fit_into_a_hundred_megabytes() {
    let mut sad = Sad::new(Entropy::seeded(1));
    let measured = allocation_counter::measure(|| {
        for number in 0..25_000 {
            sad.install(&set(number)).expect("each has its own address");
        }
    });
    assert_eq!(sad.len(), 100_000);
    println!("{} octets for 100,000 associations", measured.bytes_current);
    assert!(measured.bytes_current < 100_000_000, "{}", measured.bytes_current);
}

#[test]
fn a_packet_is_protected_and_accepted_without_an_allocation() {
    let (mut pcscf, mut ue, _, at_ue) = pair();
    let selector = at_ue.associations()[3].selector;
    let payload = [b'x'; 900];
    let mut packet = Vec::with_capacity(1500);
    let measured = allocation_counter::measure(|| {
        for _ in 0..10 {
            packet.clear();
            let header = udp::header(selector.local, selector.remote, &payload).expect("short");
            ue.protect(&selector, Protocol::Udp, &[&header, &payload], NOON, &mut packet)
                .expect("an association");
            assert!(pcscf.accept(at_ue.own_ip, &mut packet, NOON).is_ok());
        }
    });
    assert_eq!(measured.count_total, 0);
}
