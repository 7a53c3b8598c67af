//! ESP of our own: a datagram of 1,200 octets is sealed at one end and opened at the other.

use crate::cases::Round;
use ambient::{Entropy, Wall};
use ipsec::{Algorithms, Encapsulation, Keys, Protocol, SaSet, Sad, Spi};
use std::net::IpAddr;

/// By AES-GCM, the first choice.
pub fn gcm() -> Round {
    of("null/aes-gcm")
}

/// By HMAC-SHA-1 and AES-CBC.
pub fn sha1_cbc() -> Round {
    of("hmac-sha-1-96/aes-cbc")
}

/// By HMAC-MD5 without encryption, as older phones have it.
pub fn md5() -> Round {
    of("hmac-md5-96/null")
}

fn of(name: &str) -> Round {
    let algorithms =
        Algorithms::ALL.into_iter().find(|pair| pair.name() == name).expect("a pair of the list");
    let spi = |number| Spi::new(number).expect("not reserved");
    let set = SaSet {
        own_ip: IpAddr::from([192, 0, 2, 1]),
        peer_ip: IpAddr::from([192, 0, 2, 2]),
        own_client_port: 5100,
        own_server_port: 6100,
        peer_client_port: 6301,
        peer_server_port: 6300,
        own_spi_c: spi(1001),
        own_spi_s: spi(1002),
        peer_spi_c: spi(2001),
        peer_spi_s: spi(2002),
        algorithms,
        keys: Keys::derive(algorithms, [1; 16], [2; 16]),
        encapsulation: Encapsulation::Transport,
        lifetime: ipsec::association::LIFETIME_MAX,
    };
    let (mut pcscf, mut ue) = (Sad::new(Entropy::seeded(1)), Sad::new(Entropy::seeded(2)));
    pcscf.install(&set).expect("an empty database");
    ue.install(&set.mirrored()).expect("an empty database");
    let selector = set.associations()[3].selector;
    let payload = vec![b'x'; 1200];
    let header = ipsec::udp::header(selector.local, selector.remote, &payload).expect("short enough");
    let mut packet = Vec::with_capacity(2048);
    Box::new(move || {
        packet.clear();
        let parts: [&[u8]; 2] = [&header, &payload];
        pcscf.protect(&selector, Protocol::Udp, &parts, Wall::from_millis(0), &mut packet).expect("a set");
        let opened = ue.accept(set.own_ip, &mut packet, Wall::from_millis(0)).expect("its mirror");
        assert_eq!(opened.payload.len(), 1208);
    })
}
