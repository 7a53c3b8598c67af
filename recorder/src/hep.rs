//! A message as HEP3, which Homer, heplify and sngrep take.

use crate::entry::{Entry, Function, Protocol, Transport, What};
use crate::sip;
use std::net::IpAddr;

/// The packet of one message; `None` for what is no message. `correlation` ties legs together: the icid, else the Call-ID
/// is taken.
pub fn packet(entry: &Entry, correlation: Option<&str>) -> Option<Vec<u8>> {
    let What::Message(message) = &entry.what else { return None };
    let (from, to) = message.ends();
    let mut chunks = Vec::new();
    let mut chunk = |kind: u16, value: &[u8]| {
        chunks.extend([0, 0]);
        chunks.extend(kind.to_be_bytes());
        chunks.extend((value.len() as u16 + 6).to_be_bytes());
        chunks.extend_from_slice(value);
    };
    let ip_protocol = match message.transport {
        Transport::Udp | Transport::Memory => 17,
        Transport::Tcp | Transport::Tls => 6,
        Transport::Sctp => 132,
    };
    let is_v4 = from.is_ipv4() && to.is_ipv4();
    chunk(0x01, &[if is_v4 { 2 } else { 10 }]);
    chunk(0x02, &[ip_protocol]);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            chunk(0x03, &from.octets());
            chunk(0x04, &to.octets());
        }
        (from, to) => {
            for (kind, ip) in [(0x05, from), (0x06, to)] {
                let octets = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                chunk(kind, &octets);
            }
        }
    }
    chunk(0x07, &from.port().to_be_bytes());
    chunk(0x08, &to.port().to_be_bytes());
    let millis = entry.at.wall.as_millis();
    chunk(0x09, &u32::try_from(millis / 1000).unwrap_or(u32::MAX).to_be_bytes());
    chunk(0x0a, &((millis % 1000 * 1000) as u32).to_be_bytes());
    chunk(0x0b, &[if message.protocol == Protocol::Sip { SIP } else { LOG }]);
    chunk(0x0c, &node_id(entry.node.function).to_be_bytes());
    let correlation = correlation.or_else(|| sip::call_id(&message.bytes));
    if let Some(correlation) = correlation {
        let id = correlation.as_bytes();
        chunk(0x11, id.get(..CORRELATION_MAX).unwrap_or(id));
    }
    chunk(0x13, entry.node.function.title().as_bytes());
    match message.protocol {
        Protocol::Sip => chunk(0x0f, message.bytes.get(..PAYLOAD_MAX).unwrap_or(&message.bytes)),
        Protocol::Diameter => chunk(0x0f, message.summary().as_bytes()),
    }
    let length = u16::try_from(chunks.len() + 6).ok()?;
    Some([b"HEP3", &length.to_be_bytes()[..], &chunks].concat())
}

/// Numbers of the functions as capture agents.
const fn node_id(function: Function) -> u32 {
    2001 + function as u32
}

const SIP: u8 = 1;
const LOG: u8 = 100;
/// The length of a packet is 16 bits, with some for the other chunks.
const PAYLOAD_MAX: usize = 65_000;
/// As long as an icid or a Call-ID sensibly is.
const CORRELATION_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_packet_has_its_length_and_the_whole_message() {
        let entry = sample::sip("INVITE sip:b SIP/2.0", "one", Some("ic"));
        let packet = packet(&entry, Some("ic")).unwrap();
        assert_eq!(&packet[..4], b"HEP3");
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
        assert!(packet.windows(8).any(|part| part == [0, 0, 0, 0x11, 0, 8, b'i', b'c']));
        let What::Message(message) = &entry.what else { panic!("a message") };
        assert!(packet.ends_with(&message.bytes));
    }
}
