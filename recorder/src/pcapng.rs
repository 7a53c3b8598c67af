//! A recording as a capture that other tools open: pcapng, an interface for each reference point, each message once, in
//! packets with the addresses between which it went, decrypted.
//!
//! What was cut, lost or sent again below the messages is not in it. Connections have no beginning and no end.

use crate::entry::{Entry, ReferencePoint, Transport, What};
use crate::ladder::{Passed, passed};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A capture of joined entries.
pub fn write(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    block(&mut out, SECTION_HEADER, |body| {
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        option(body, 4, b"carillon");
        option(body, 0, b"");
    });
    let passed = passed(entries);
    let mut interfaces: BTreeMap<ReferencePoint, u32> = BTreeMap::new();
    for Passed { entry, .. } in &passed {
        if let What::Message(message) = &entries[*entry].what
            && !interfaces.contains_key(&message.interface)
        {
            interfaces.insert(message.interface, interfaces.len() as u32);
            block(&mut out, INTERFACE, |body| {
                body.extend(LINK_RAW_IP.to_le_bytes());
                body.extend([0; 6]);
                option(body, 2, message.interface.name().as_bytes());
                option(body, 0, b"");
            });
        }
    }
    let mut sent: BTreeMap<(SocketAddr, SocketAddr), u32> = BTreeMap::new();
    let start = entries.first().map(|first| first.at);
    for Passed { entry, received } in passed {
        let entry = &entries[entry];
        let What::Message(message) = &entry.what else { continue };
        let (from, to) = message.ends();
        let since = start.map_or(0, |start| (entry.at.instant - start.instant).as_micros() as u64);
        let micros = start.map_or(0, |start| start.wall.as_millis() * 1000) + since;
        let at_other = received.and_then(|at| entries.get(at)).map(|entry| entry.node.function.title());
        let (here, way) = (entry.node.function.title(), if message.sent { "sent by" } else { "received by" });
        let mut comment = format!("{} {way} {here}", message.interface.name());
        if let Some(other) = at_other {
            comment.push_str(&format!(", received by {other}"));
        }
        if let Some(security) = message.security {
            comment.push_str(&format!(", protected by the associations of SPI {:#x}", security.spi));
        }
        if message.transport == Transport::Tls {
            comment.push_str(", over TLS, here in clear");
        }
        let interface = interfaces.get(&message.interface).copied().unwrap_or(0);
        let mut rest = message.bytes.as_slice();
        loop {
            let (part, more) = rest.split_at(rest.len().min(SEGMENT_MAX));
            rest = more;
            let packet = packet(message.transport, (from, to), part, &mut sent);
            block(&mut out, ENHANCED_PACKET, |body| {
                body.extend(interface.to_le_bytes());
                body.extend(((micros >> 32) as u32).to_le_bytes());
                body.extend((micros as u32).to_le_bytes());
                body.extend((packet.len() as u32).to_le_bytes());
                body.extend((packet.len() as u32).to_le_bytes());
                body.extend_from_slice(&packet);
                body.resize(body.len().next_multiple_of(4), 0);
                option(body, 1, comment.as_bytes());
                option(body, 0, b"");
            });
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

fn block(out: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    let length = (body.len() as u32 + 12).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(length);
    out.extend(body);
    out.extend(length);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// One IP packet.
fn packet(
    transport: Transport,
    (from, to): (SocketAddr, SocketAddr),
    payload: &[u8],
    sent: &mut BTreeMap<(SocketAddr, SocketAddr), u32>,
) -> Vec<u8> {
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    let (protocol, mut segment) = match transport {
        Transport::Udp | Transport::Memory => {
            let length = (payload.len() as u16 + 8).to_be_bytes();
            (UDP, [&ports[..], &length, &[0, 0], payload].concat())
        }
        Transport::Tcp | Transport::Tls => {
            let own = sent.get(&(from, to)).copied().unwrap_or(1);
            let other = sent.get(&(to, from)).copied().unwrap_or(1);
            sent.insert((from, to), own.wrapping_add(payload.len() as u32));
            // Header of five words, PSH and ACK, a window.
            let tail = [0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0];
            (TCP, [&ports[..], &own.to_be_bytes(), &other.to_be_bytes(), &tail, payload].concat())
        }
        Transport::Sctp => {
            let own = sent.get(&(from, to)).copied().unwrap_or(1);
            sent.insert((from, to), own.wrapping_add(1));
            let length = (payload.len() as u16 + 16).to_be_bytes();
            // Tag, no checksum; a DATA chunk that is a whole message, stream 0, Diameter (RFC 6733 §2.1).
            let head =
                [&ports[..], &[0; 8], &[0, 3], &length, &own.to_be_bytes(), &[0; 4], &[0, 0, 0, 46]].concat();
            let mut segment = [&head[..], payload].concat();
            segment.resize(segment.len().next_multiple_of(4), 0);
            (SCTP, segment)
        }
    };
    let at = match protocol {
        UDP => 6,
        TCP => 16,
        _ => usize::MAX,
    };
    if let Some(place) = segment.get_mut(at..at.saturating_add(2)) {
        place.copy_from_slice(&[0, 0]);
        let sum =
            checksum(&[&pseudo_header(from.ip(), to.ip(), protocol, segment.len())[..], &segment].concat());
        // Zero says that there is none (RFC 768).
        let sum = if sum == 0 && protocol == UDP { 0xffff } else { sum };
        segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    [ip_header(from.ip(), to.ip(), protocol, segment.len()), segment].concat()
}

fn ip_header(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = (length as u16 + 20).to_be_bytes();
            let mut header = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&header).to_be_bytes();
            header[10..12].copy_from_slice(&sum);
            header
        }
        (from, to) => {
            let length = (length as u16).to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 64];
            header.extend(octets(from));
            header.extend(octets(to));
            header
        }
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = (length as u16).to_be_bytes();
            [&from.octets()[..], &to.octets(), &[0, protocol], &length].concat()
        }
        (from, to) => {
            let length = (length as u32).to_be_bytes();
            [&octets(from)[..], &octets(to), &length, &[0, 0, 0, protocol]].concat()
        }
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const LINK_RAW_IP: u16 = 101;
const UDP: u8 = 17;
const TCP: u8 = 6;
const SCTP: u8 = 132;
/// Bytes of a message in one packet: IP takes no more than 65,535 with its headers.
const SEGMENT_MAX: usize = 65_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn blocks_have_whole_words_and_their_length_at_both_ends() {
        let mut entries = vec![
            sample::sip("INVITE sip:b SIP/2.0", "one", None),
            sample::diameter(300, "a;1;2", Some("sip:a@h")),
        ];
        if let What::Message(message) = &mut entries[1].what {
            message.local = "[2001:db8::1]:40000".parse().unwrap();
            message.remote = "[2001:db8::2]:3868".parse().unwrap();
        }
        let capture = write(&entries);
        let mut kinds = Vec::new();
        let mut rest = capture.as_slice();
        while let Some(head) = rest.first_chunk::<8>() {
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(rest[length - 4..length], rest[4..8]);
            kinds.push(head[0]);
            rest = &rest[length..];
        }
        assert_eq!(kinds, [0x0a, 1, 1, 6, 6]);
    }

    #[test]
    fn a_packet_sums_to_its_checksum() {
        let ends = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        let packet = packet(Transport::Udp, ends, b"odd", &mut BTreeMap::new());
        assert_eq!(checksum(&packet[..20]), 0);
        let pseudo = pseudo_header(ends.0.ip(), ends.1.ip(), UDP, packet.len() - 20);
        assert_eq!(checksum(&[&pseudo[..], &packet[20..]].concat()), 0);
    }
}
