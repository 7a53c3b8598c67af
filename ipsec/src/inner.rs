//! The IP packet inside of a tunnel (RFC 4303 §3.1.2, TS 33.203 Annex M).

use crate::association::{Association, Protocol, Selector};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The header of a packet that goes into a tunnel.
pub(crate) struct Header {
    octets: [u8; IPV6],
    length: usize,
}

impl Header {
    /// The header of a datagram or segment between the ends of `selector`, or nothing if it is too long.
    pub(crate) fn new(selector: &Selector, protocol: Protocol, parts: &[&[u8]]) -> Option<Header> {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        let mut octets = [0; IPV6];
        let length = match (selector.local.ip(), selector.remote.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let length = u16::try_from(IPV4 + payload).ok()?;
                octets[0] = 0x45;
                octets[2..4].copy_from_slice(&length.to_be_bytes());
                // It is not cut: the outer packet is, where need be.
                octets[6] = 0x40;
                (octets[8], octets[9]) = (HOPS, protocol.number());
                octets[12..16].copy_from_slice(&source.octets());
                octets[16..20].copy_from_slice(&destination.octets());
                let sum = sum(&octets[..IPV4]);
                octets[10..12].copy_from_slice(&sum.to_be_bytes());
                IPV4
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                octets[0] = 0x60;
                octets[4..6].copy_from_slice(&u16::try_from(payload).ok()?.to_be_bytes());
                (octets[6], octets[7]) = (protocol.number(), HOPS);
                octets[8..24].copy_from_slice(&source.octets());
                octets[24..40].copy_from_slice(&destination.octets());
                IPV6
            }
            _ => return None,
        };
        Some(Header { octets, length })
    }

    /// The header itself.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// What ESP calls the packet: IPv4 or IPv6.
    pub(crate) const fn number(&self) -> u8 {
        if self.length == IPV4 { IN_IPV4 } else { IN_IPV6 }
    }
}

/// Reads a packet that came out of a tunnel: the datagram or segment in it, if it is between the addresses of the association.
///
/// Fragments, and extension headers of IPv6, are refused: no UE has a reason for either inside.
pub(crate) fn read<'p>(
    association: &Association,
    next_header: u8,
    packet: &'p [u8],
) -> Option<(Protocol, &'p [u8])> {
    let word = |at: usize| Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?));
    let (source, destination, protocol, payload): (IpAddr, IpAddr, _, _) = match next_header {
        IN_IPV4 => {
            let first = *packet.first()?;
            let header = 4 * usize::from(first & 15);
            let is_whole = word(6)? & 0x3fff == 0;
            if first >> 4 != 4 || header < IPV4 || !is_whole {
                return None;
            }
            let payload = packet.get(header..usize::from(word(2)?))?;
            let address = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?));
            (address(12)?.into(), address(16)?.into(), *packet.get(9)?, payload)
        }
        IN_IPV6 => {
            if packet.first()? >> 4 != 6 {
                return None;
            }
            let payload = packet.get(IPV6..IPV6 + usize::from(word(4)?))?;
            let address = |at: usize| Some(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?));
            (address(8)?.into(), address(24)?.into(), *packet.get(6)?, payload)
        }
        _ => return None,
    };
    let is_its = source == association.source().ip() && destination == association.destination().ip();
    Some((Protocol::from_number(protocol)?, payload)).filter(|_| is_its)
}

/// The checksum of a header of IPv4 (RFC 791 §3.1).
fn sum(header: &[u8]) -> u16 {
    let (words, _) = header.as_chunks::<2>();
    let mut sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

const IN_IPV4: u8 = 4;
const IN_IPV6: u8 = 41;
const IPV4: usize = 20;
const IPV6: usize = 40;
const HOPS: u8 = 64;
