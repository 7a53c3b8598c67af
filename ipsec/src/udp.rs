//! UDP datagrams inside of ESP (RFC 768, RFC 8200 §8.1).

use std::net::{IpAddr, SocketAddr};

/// The header of a datagram, or nothing if the payload is too long for one.
///
/// Both addresses are of one family.
pub fn header(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Option<[u8; HEADER]> {
    let length = u16::try_from(payload.len() + HEADER).ok()?;
    let mut header = [0; HEADER];
    header[..2].copy_from_slice(&source.port().to_be_bytes());
    header[2..4].copy_from_slice(&destination.port().to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    let sum = checksum(source.ip(), destination.ip(), 17, &[&header, payload]);
    // RFC 768: zero says that there is none, and all ones is zero as well.
    let sum = if sum == 0 { 0xffff } else { sum };
    header[6..].copy_from_slice(&sum.to_be_bytes());
    Some(header)
}

/// A datagram, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'p> {
    /// The port of the sender.
    pub source_port: u16,
    /// The port of the receiver.
    pub destination_port: u16,
    /// What it carries.
    pub payload: &'p [u8],
}

impl<'p> Datagram<'p> {
    /// Reads a datagram whose length and checksum are right. Over IPv4 it may have no checksum.
    pub fn parse(source: IpAddr, destination: IpAddr, octets: &'p [u8]) -> Option<Datagram<'p>> {
        let header: &[u8; HEADER] = octets.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let octets = octets.get(..usize::from(word(4)))?;
        let payload = octets.get(HEADER..)?;
        let has_none = word(6) == 0 && source.is_ipv4();
        if !has_none && checksum(source, destination, 17, &[octets]) != 0 {
            return None;
        }
        Some(Datagram { source_port: word(0), destination_port: word(2), payload })
    }
}

/// The octets of a header.
pub const HEADER: usize = 8;

/// The checksum of UDP and TCP over a segment and its pseudo header; 0 over a segment that has the right one.
///
/// Each part but the last has an even length.
pub fn checksum(source: IpAddr, destination: IpAddr, protocol: u8, parts: &[&[u8]]) -> u16 {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut sum = u64::from(protocol) + length as u64;
    let mut add = |octets: &[u8]| {
        let (words, odd) = octets.as_chunks::<2>();
        sum += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
        sum += odd.first().map_or(0, |octet| u64::from(*octet) << 8);
    };
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => add(&address.octets()),
            IpAddr::V6(address) => add(&address.octets()),
        }
    }
    parts.iter().for_each(|part| add(part));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_datagram_is_read_back_over_both_families() {
        for (source, destination) in
            [("192.0.2.1:6101", "192.0.2.9:31001"), ("[2001:db8::1]:1", "[2001:db8::2]:2")]
        {
            let (source, destination) = (at(source), at(destination));
            for payload in [&b""[..], b"odd", b"even"] {
                let datagram = [&header(source, destination, payload).expect("short")[..], payload].concat();
                let read = Datagram::parse(source.ip(), destination.ip(), &datagram).expect("its checksum");
                assert_eq!((read.source_port, read.destination_port), (source.port(), destination.port()));
                assert_eq!(read.payload, payload);
                let elsewhere = Datagram::parse(source.ip(), source.ip(), &datagram);
                assert_eq!(elsewhere, None, "the pseudo header is covered");
            }
        }
    }

    #[test]
    fn no_checksum_is_for_ipv4_alone() {
        let datagram = [0, 1, 0, 2, 0, 9, 0, 0, b'x'];
        let (old, new) = (at("192.0.2.1:1").ip(), at("[2001:db8::1]:1").ip());
        assert!(Datagram::parse(old, old, &datagram).is_some());
        assert!(Datagram::parse(new, new, &datagram).is_none());
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let ip = at("192.0.2.1:1").ip();
        assert!(Datagram::parse(ip, ip, &[0, 1, 0, 2, 0, 10, 0, 0, b'x']).is_none(), "longer than what came");
        assert!(Datagram::parse(ip, ip, &[0, 1, 0, 2, 0, 7, 0, 0]).is_none(), "shorter than its header");
        assert!(Datagram::parse(ip, ip, &[0; 7]).is_none());
        assert!(header(at("192.0.2.1:1"), at("192.0.2.1:2"), &[0; 65_528]).is_none());
    }
}
