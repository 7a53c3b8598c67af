use super::*;
use ambient::Wall;
use ipsec::{Algorithms, Keys};
use std::time::Duration;

/// A set with the UE of a number.
fn set(number: u32) -> SaSet {
    let algorithms = Algorithms::ALL[2];
    let spi = |offset| Spi::new(1_000_000 + 4 * number + offset).expect("not reserved");
    SaSet {
        own_ip: IpAddr::from([192, 0, 2, 1]),
        peer_ip: IpAddr::from((0x0a00_0000 + number).to_be_bytes()),
        own_client_port: 6101,
        own_server_port: 6100,
        peer_client_port: 31_000,
        peer_server_port: 31_001,
        own_spi_c: spi(0),
        own_spi_s: spi(1),
        peer_spi_c: spi(2),
        peer_spi_s: spi(3),
        algorithms,
        keys: Keys::derive(algorithms, [number as u8; 16], [2; 16]),
        encapsulation: Encapsulation::Transport,
        lifetime: Duration::from_secs(3600),
    }
}

/// One that has no socket, and so needs no privilege.
fn without_sockets() -> Userspace {
    Userspace::open(&[], Entropy::seeded(1)).expect("nothing to open")
}

const START: Now = Now { instant: Instant::from_micros(0), wall: Wall::from_millis(0) };

#[test]
fn a_hundred_thousand_associations_fit_into_a_hundred_megabytes() {
    let mut own = without_sockets();
    let measured = allocation_counter::measure(|| {
        for number in 0..25_000 {
            own.install(&set(number)).expect("each has its own address");
        }
    });
    assert_eq!(own.list().len(), 100_000);
    println!("{} octets for 100,000 associations", measured.bytes_current);
    assert!(measured.bytes_current < 100_000_000, "{}", measured.bytes_current);
}

#[test]
fn a_set_that_is_removed_leaves_nothing_and_takes_its_connections_along() {
    let mut own = without_sockets();
    own.install(&set(1)).expect("an empty database");
    let client = set(1).associations()[3].selector;
    let id = own.connect(&client, START).expect("a set");
    assert!(own.due().is_some(), "the SYN is sent again, as there is no socket to send it");
    assert!(own.remove(&set(1)));
    assert!(!own.remove(&set(1)));
    assert_eq!(own.due(), None);
    assert!(own.write(id, b"INVITE", START).is_err());
    assert!(own.connect(&client, START).is_err());
    assert!(own.sets.is_empty() && own.clients.is_empty() && own.list().is_empty());
}

#[test]
fn a_connection_to_a_silent_ue_is_told_to_be_over() {
    let mut own = without_sockets();
    own.install(&set(1)).expect("an empty database");
    let id = own.connect(&set(1).associations()[3].selector, START).expect("a set");
    let mut told = Vec::new();
    while let Some(due) = own.due() {
        assert!(due < Instant::from_micros(120_000_000), "it gives up");
        let now = Now { instant: due, wall: Wall::from_millis(due.as_micros() / 1000) };
        own.expire(now, |arrival| told.push(format!("{arrival:?}")));
    }
    assert_eq!(told, [format!("{:?}", Arrival::Closed(id))]);
}

#[test]
fn more_than_a_connection_holds_is_refused_and_not_kept() {
    let mut own = without_sockets();
    own.install(&set(1)).expect("an empty database");
    let id = own.connect(&set(1).associations()[3].selector, START).expect("a set");
    let megabyte = vec![0; 1 << 20];
    assert!(own.write(id, &megabyte, START).is_ok());
    let refused = own.write(id, b"one more", START).expect_err("the peer takes nothing");
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
}
