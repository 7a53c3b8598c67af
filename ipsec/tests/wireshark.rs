//! Wireshark's dissector reads our ESP: it finds each ICV good, and the SIP inside.

use ambient::{Entropy, Wall};
use ipsec::wireshark::{Secrecy, row};
use ipsec::{Algorithms, Encapsulation, Integrity, Keys, Protocol, SaSet, Sad, Spi, udp};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SIP: &[u8] = b"OPTIONS sip:p.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:6101;branch=z9hG4bKx\r\n\
    From: <sip:a@example.org>;tag=1\r\nTo: <sip:p.example>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

fn set(algorithms: Algorithms, is_ipv6: bool, number: u32) -> SaSet {
    let ip = |host: u8| {
        if is_ipv6 {
            IpAddr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host])
        } else {
            IpAddr::from([192, 0, 2, host])
        }
    };
    let spi = |offset| Spi::new(10_000 + 10 * number + offset).expect("not reserved");
    SaSet {
        own_ip: ip(1),
        peer_ip: ip(2),
        own_client_port: 6101,
        own_server_port: 5060,
        peer_client_port: 31_000 + number as u16,
        peer_server_port: 5060,
        own_spi_c: spi(1),
        own_spi_s: spi(2),
        peer_spi_c: spi(3),
        peer_spi_s: spi(4),
        algorithms,
        keys: Keys::derive(algorithms, *b"0123456789abcdef", [number as u8; 16]),
        encapsulation: Encapsulation::Transport,
        lifetime: Duration::from_secs(600),
    }
}

/// An IP packet with ESP in it.
fn ip(from: IpAddr, to: IpAddr, protocol: u8, esp: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet.extend([0x45, 0]);
            packet.extend((20 + esp.len() as u16).to_be_bytes());
            packet.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((esp.len() as u16).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        _ => panic!("one family"),
    }
    packet.extend(esp);
    packet
}

/// A capture of bare IP packets.
fn capture(path: &Path, packets: &[Vec<u8>]) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0xffff, 101] {
        file.extend(word.to_le_bytes());
    }
    for (at, packet) in packets.iter().enumerate() {
        for word in [at as u32, 0, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    std::fs::write(path, file).expect("the scratch folder is writable");
}

/// One line per packet: whether the ICV is good, and the method of the SIP request inside.
fn dissect(capture: &Path, rows: &[String]) -> Vec<(String, String)> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(capture).args([
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-e",
        "esp.icv_good",
        "-e",
        "sip.Method",
    ]);
    for option in ["esp.enable_null_encryption_decode_heuristic:FALSE", "esp.enable_encryption_decode:TRUE"] {
        tshark.args(["-o", option]);
    }
    tshark.args(["-o", "esp.enable_authentication_check:TRUE"]);
    for row in rows {
        tshark.args(["-o", &format!("uat:esp_sa:{row}")]);
    }
    let run = tshark.output().expect("tshark runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).expect("fields are text");
    text.lines()
        .map(|line| line.split_once('|').expect("two fields"))
        .map(|(icv, method)| (icv.to_owned(), method.to_owned()))
        .collect()
}

fn has_tshark() -> bool {
    Command::new("tshark").arg("--version").output().is_ok_and(|run| run.status.success())
}

#[test]
fn wireshark_finds_every_icv_good_and_reads_the_sip_inside() {
    if !has_tshark() {
        println!("left out: no tshark here");
        return;
    }
    let (mut packets, mut rows, mut hidden, mut wanted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut number = 0;
    for algorithms in Algorithms::ALL {
        for is_ipv6 in [false, true] {
            number += 1;
            let set = set(algorithms, is_ipv6, number);
            let mut sad = Sad::new(Entropy::seeded(number.into()));
            sad.install(&set).expect("an empty database");
            for association in [set.associations()[1], set.associations()[3]] {
                let selector = association.selector;
                let header = udp::header(selector.local, selector.remote, SIP).expect("short");
                let mut esp = Vec::new();
                sad.protect(&selector, Protocol::Udp, &[&header, SIP], Wall::from_millis(0), &mut esp)
                    .expect("an association");
                packets.push(ip(set.own_ip, set.peer_ip, 50, &esp));
                rows.push(row(&set, &association, Secrecy::Revealed));
                hidden.push(row(&set, &association, Secrecy::Hidden));
                // Wireshark's table has no AES-GMAC: a kernel is the judge of that.
                let is_read = algorithms.integrity != Integrity::AesGmac;
                wanted.push(if is_read { ("1", "OPTIONS") } else { ("0", "") });
            }
        }
    }
    // A UE behind a NAT: the same in a tunnel in UDP (RFC 3948). Wireshark looks up the association by the outer addresses.
    for (number, is_ipv6) in [(50, false), (51, true)] {
        let mut set = set(Algorithms::ALL[2], is_ipv6, number);
        let (local, remote) = (SocketAddr::new(set.own_ip, 4500), SocketAddr::new(set.peer_ip, 4500));
        set.encapsulation = Encapsulation::UdpTunnel { local, remote };
        let mut sad = Sad::new(Entropy::seeded(number.into()));
        sad.install(&set).expect("an empty database");
        let association = set.associations()[3];
        let header =
            udp::header(association.selector.local, association.selector.remote, SIP).expect("short");
        let mut esp = Vec::new();
        sad.protect(&association.selector, Protocol::Udp, &[&header, SIP], Wall::from_millis(0), &mut esp)
            .expect("an association");
        let outer = udp::header(local, remote, &esp).expect("short");
        packets.push(ip(set.own_ip, set.peer_ip, 17, &[&outer, &esp[..]].concat()));
        rows.push(row(&set, &association, Secrecy::Revealed));
        hidden.push(row(&set, &association, Secrecy::Hidden));
        wanted.push(("1", "OPTIONS"));
    }
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("esp.pcap");
    capture(&path, &packets);
    let read = dissect(&path, &rows);
    assert!(read.iter().map(|(icv, method)| (icv.as_str(), method.as_str())).eq(wanted), "{read:?}");
    assert!(hidden.iter().all(|row| !row.contains(",\"0x3031")), "no key without being asked");
    // The oracle can find fault: one octet changed is a bad ICV.
    for packet in &mut packets {
        *packet.last_mut().expect("not empty") ^= 1;
    }
    capture(&path, &packets);
    assert!(dissect(&path, &rows).iter().all(|(good, _)| good != "1"));
    let none = dissect(&path, &[]);
    assert!(none.iter().all(|(_, method)| method.is_empty()), "decoded without keys: {none:?}");
}
