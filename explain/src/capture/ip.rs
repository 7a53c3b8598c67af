//! From a frame to what UDP, TCP and SCTP carry: link layers, IPv4 and IPv6 with fragments, GTP-U, ESP with NULL
//! encryption.

use super::file::Frame;
use super::{Parts, is_sip};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One packet between two ports.
#[derive(Debug)]
pub struct Packet {
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it is for.
    pub to: SocketAddr,
    /// The SPI of the ESP that it came in.
    pub spi: Option<u32>,
    /// What it carries.
    pub payload: Payload,
}

/// What a packet carries.
#[derive(Debug)]
pub enum Payload {
    /// A datagram.
    Udp(Vec<u8>),
    /// A segment.
    Tcp(Segment),
    /// Whole user messages.
    Sctp(Vec<Vec<u8>>),
    /// ESP that cannot be read.
    Protected,
}

/// One segment of TCP.
#[derive(Debug)]
pub struct Segment {
    /// The number of its first octet.
    pub sequence: u32,
    /// Whether it opens the connection.
    pub is_syn: bool,
    /// Its octets.
    pub bytes: Vec<u8>,
}

/// Names the datagram that a fragment is of.
type DatagramKey = (IpAddr, IpAddr, u32, u8);

/// What is kept from one frame to the next: the fragments of datagrams that are not whole.
#[derive(Default)]
pub struct Layers {
    fragments: Parts<DatagramKey>,
    holes: std::collections::BTreeMap<DatagramKey, Vec<(usize, usize, bool)>>,
    order: VecDeque<DatagramKey>,
}

impl Layers {
    /// Opens a frame down to what its packets carry.
    pub fn open(&mut self, frame: &Frame<'_>, packets: &mut Vec<Packet>) {
        let bytes = frame.bytes;
        let network = match frame.link {
            ETHERNET => ethernet(bytes),
            SLL => bytes.get(16..),
            SLL2 => bytes.get(20..),
            NULL | LOOP => bytes.get(4..),
            RAW_OLD | RAW | IPV4 | IPV6 => Some(bytes),
            _ => None,
        };
        if let Some(network) = network {
            self.network(network, None, DEPTH_MAX, packets);
        }
    }

    fn network(&mut self, bytes: &[u8], spi: Option<u32>, depth: u8, packets: &mut Vec<Packet>) {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => self.ipv4(bytes, spi, depth, packets),
            Some(6) => self.ipv6(bytes, spi, depth, packets),
            _ => {}
        }
    }

    fn ipv4(&mut self, bytes: &[u8], spi: Option<u32>, depth: u8, packets: &mut Vec<Packet>) {
        let Some(head) = bytes.first_chunk::<20>() else { return };
        let header = usize::from(head[0] & 0xf) * 4;
        let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
        // An offload engine leaves the length to itself.
        let end = if total == 0 { bytes.len() } else { total.min(bytes.len()) };
        let Some(payload) = bytes.get(header..end).filter(|_| header >= 20) else { return };
        let from = IpAddr::V4(Ipv4Addr::new(head[12], head[13], head[14], head[15]));
        let to = IpAddr::V4(Ipv4Addr::new(head[16], head[17], head[18], head[19]));
        let place = u16::from_be_bytes([head[6], head[7]]);
        let (offset, more) = (usize::from(place & 0x1fff) * 8, place & 0x2000 != 0);
        let number = u32::from(u16::from_be_bytes([head[4], head[5]]));
        self.whole((from, to, number, head[9]), (offset, more), payload, spi, depth, packets);
    }

    fn ipv6(&mut self, bytes: &[u8], spi: Option<u32>, depth: u8, packets: &mut Vec<Packet>) {
        let Some(head) = bytes.first_chunk::<40>() else { return };
        let address = |at: usize| {
            let octets: [u8; 16] = head[at..at + 16].try_into().unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        let (from, to) = (address(8), address(24));
        let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
        let end = if length == 0 { bytes.len() } else { (40 + length).min(bytes.len()) };
        let mut rest = &bytes[40..end];
        let mut next = head[6];
        let mut place = (0, false);
        let mut number = 0;
        for _ in 0..EXTENSIONS_MAX {
            let length = match next {
                0 | 43 | 60 => rest.get(1).map(|length| (usize::from(*length) + 1) * 8),
                44 => Some(8),
                _ => break,
            };
            let Some((extension, behind)) = length.and_then(|length| rest.split_at_checked(length)) else {
                return;
            };
            if next == 44 {
                let field = u16::from_be_bytes([extension[2], extension[3]]);
                place = (usize::from(field & 0xfff8), field & 1 != 0);
                number = u32::from_be_bytes([extension[4], extension[5], extension[6], extension[7]]);
            }
            (next, rest) = (extension[0], behind);
        }
        self.whole((from, to, number, next), place, rest, spi, depth, packets);
    }

    /// Goes on with a datagram once it is whole.
    fn whole(
        &mut self,
        key: DatagramKey,
        (offset, more): (usize, bool),
        payload: &[u8],
        spi: Option<u32>,
        depth: u8,
        packets: &mut Vec<Packet>,
    ) {
        let (from, to, _, protocol) = key;
        if offset == 0 && !more {
            return self.transport((from, to), protocol, payload, spi, depth, packets);
        }
        let end = offset + payload.len();
        if end > DATAGRAM_MAX {
            return;
        }
        if !self.fragments.contains_key(&key) {
            if self.order.len() >= DATAGRAMS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.fragments.remove(&oldest);
                self.holes.remove(&oldest);
            }
            self.order.push_back(key);
        }
        let buffer = self.fragments.entry(key).or_default();
        if buffer.len() < end {
            buffer.resize(end, 0);
        }
        buffer[offset..end].copy_from_slice(payload);
        let parts = self.holes.entry(key).or_default();
        if parts.len() < FRAGMENTS_MAX {
            parts.push((offset, end, more));
        }
        parts.sort_unstable();
        let mut reached = 0;
        let mut is_whole = false;
        for (start, end, more) in parts.iter() {
            if *start > reached {
                return;
            }
            reached = reached.max(*end);
            is_whole |= !more;
        }
        if is_whole && let Some(payload) = self.fragments.remove(&key) {
            self.holes.remove(&key);
            self.order.retain(|other| *other != key);
            self.transport((from, to), protocol, &payload, spi, depth, packets);
        }
    }

    fn transport(
        &mut self,
        (from, to): (IpAddr, IpAddr),
        protocol: u8,
        bytes: &[u8],
        spi: Option<u32>,
        depth: u8,
        packets: &mut Vec<Packet>,
    ) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let port = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk::<2>()?));
        let ends = |at: usize| Some((SocketAddr::new(from, port(at)?), SocketAddr::new(to, port(at + 2)?)));
        let mut push = |ends: Option<(SocketAddr, SocketAddr)>, payload| {
            if let Some((from, to)) = ends {
                packets.push(Packet { from, to, spi, payload });
            }
        };
        match protocol {
            4 | 41 => self.network(bytes, spi, depth, packets),
            17 => {
                let Some(payload) = bytes.get(8..) else { return };
                let ports = (port(0), port(2));
                let is_port = |number| ports.0 == Some(number) || ports.1 == Some(number);
                if is_port(GTP_U) {
                    if let Some(inner) = gtp(payload) {
                        self.network(inner, spi, depth, packets);
                    }
                } else if is_port(ESP_IN_UDP)
                    && payload.first_chunk::<4>().is_some_and(|spi| *spi != [0; 4])
                    && payload.len() > 1
                {
                    self.esp((from, to), payload, depth, packets);
                } else {
                    push(ends(0), Payload::Udp(payload.to_vec()));
                }
            }
            6 => {
                let header = bytes.get(12).map(|word| usize::from(word >> 4) * 4);
                let payload = header.and_then(|header| bytes.get(header..));
                let (Some(payload), Some(sequence)) =
                    (payload, bytes.get(4..).and_then(|rest| rest.first_chunk::<4>()))
                else {
                    return;
                };
                let is_syn = bytes.get(13).is_some_and(|flags| flags & 2 != 0);
                let segment =
                    Segment { sequence: u32::from_be_bytes(*sequence), is_syn, bytes: payload.to_vec() };
                push(ends(0), Payload::Tcp(segment));
            }
            132 => push(ends(0), Payload::Sctp(data_chunks(bytes))),
            50 => self.esp((from, to), bytes, depth, packets),
            51 => {
                // An AH in front of what it protects.
                let length = bytes.get(1).map(|length| (usize::from(*length) + 2) * 4);
                if let (Some(next), Some(inner)) =
                    (bytes.first(), length.and_then(|length| bytes.get(length..)))
                {
                    self.transport((from, to), *next, inner, spi, depth, packets);
                }
            }
            _ => {}
        }
    }

    /// ESP whose cipher is NULL has its payload as it is (RFC 2410): the lengths of the usual ICVs are tried.
    fn esp(&mut self, ends: (IpAddr, IpAddr), bytes: &[u8], depth: u8, packets: &mut Vec<Packet>) {
        let Some(head) = bytes.first_chunk::<8>() else { return };
        let spi = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        for icv in [12, 16, 0] {
            let Some(text) = bytes.len().checked_sub(icv).and_then(|end| bytes.get(8..end)) else { continue };
            let Some((padding, next)) = trailer(text) else { continue };
            let payload = &text[..text.len() - 2 - padding];
            if is_plausible(next, payload) {
                return self.transport(ends, next, payload, Some(spi), depth, packets);
            }
        }
        let port = |ip| SocketAddr::new(ip, 0);
        packets.push(Packet {
            from: port(ends.0),
            to: port(ends.1),
            spi: Some(spi),
            payload: Payload::Protected,
        });
    }
}

/// The length of the padding and the protocol in front of it, where the padding counts from 1 (RFC 4303 §2.4).
fn trailer(text: &[u8]) -> Option<(usize, u8)> {
    let [.., padding, next] = text else { return None };
    let padding = usize::from(*padding);
    let pad = text.get(text.len().checked_sub(2 + padding)?..text.len() - 2)?;
    let counts = (1..=255_u8).zip(pad).all(|(expected, octet)| expected == *octet);
    counts.then_some((padding, *next))
}

/// Whether octets are a datagram or a segment as a phone sends it.
fn is_plausible(next: u8, payload: &[u8]) -> bool {
    match next {
        17 => {
            let length =
                payload.get(4..6).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])));
            length == Some(payload.len())
                && payload.get(8..).is_some_and(|text| is_sip(text) || text.len() <= 4)
        }
        6 => payload.get(12).is_some_and(|word| {
            let header = usize::from(word >> 4) * 4;
            header >= 20 && header <= payload.len() && word & 0x0e == 0
        }),
        _ => false,
    }
}

/// What is behind the header and the tags of Ethernet, where it is IP.
fn ethernet(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 12;
    for _ in 0..3 {
        let kind = u16::from_be_bytes(*bytes.get(at..)?.first_chunk::<2>()?);
        match kind {
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            0x0800 | 0x86dd => return bytes.get(at + 2..),
            _ => return None,
        }
    }
    None
}

/// What a G-PDU of GTP-U carries (TS 29.281 §5.1).
fn gtp(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.first_chunk::<8>()?;
    if head[0] >> 5 != 1 || head[1] != 0xff {
        return None;
    }
    if head[0] & 7 == 0 {
        return bytes.get(8..);
    }
    let mut next = *bytes.get(11)?;
    let mut at = 12;
    for _ in 0..EXTENSIONS_MAX {
        if next == 0 {
            break;
        }
        let length = usize::from(*bytes.get(at)?) * 4;
        if length == 0 {
            return None;
        }
        next = *bytes.get(at + length - 1)?;
        at += length;
    }
    bytes.get(at..)
}

/// User messages that lie whole in DATA chunks (RFC 9260 §3.3.1).
fn data_chunks(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some(head) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length < 4 || chunks.len() >= CHUNKS_MAX {
            break;
        }
        let is_whole = head[0] == 0 && head[1] & 3 == 3;
        if is_whole && let Some(data) = rest.get(16..length) {
            chunks.push(data.to_vec());
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    chunks
}

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW_OLD: u32 = 12;
const RAW: u32 = 101;
const LOOP: u32 = 108;
const SLL: u32 = 113;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
const SLL2: u32 = 276;
const GTP_U: u16 = 2152;
const ESP_IN_UDP: u16 = 4500;
/// Tunnels in tunnels.
const DEPTH_MAX: u8 = 6;
/// Extension headers of one packet.
const EXTENSIONS_MAX: usize = 8;
/// Octets of a datagram.
const DATAGRAM_MAX: usize = 65_535;
/// Datagrams that wait for fragments.
const DATAGRAMS_MAX: usize = 256;
/// Fragments of one datagram.
const FRAGMENTS_MAX: usize = 128;
/// Chunks of one packet of SCTP.
const CHUNKS_MAX: usize = 64;
