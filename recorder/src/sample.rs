//! Entries to test views with.

use crate::entry::{Entry, Function, Message, Node, Protocol, ReferencePoint, Transport, What};
use ambient::{Instant, Now, Wall};
use std::net::SocketAddr;

/// A request or response of SIP from alice to the P-CSCF.
pub(crate) fn sip(start: &str, call_id: &str, icid: Option<&str>) -> Entry {
    let method = start.split(' ').next().filter(|word| !word.starts_with("SIP")).unwrap_or("INVITE");
    let vector = icid.map_or(String::new(), |icid| format!("P-Charging-Vector: icid-value=\"{icid}\"\r\n"));
    let text = format!(
        "{start}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{call_id}\r\nFrom: \"A\" <sip:a@h>;tag=1\r\nTo: <sip:a@h>\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 {method}\r\n{vector}Content-Length: 0\r\n\r\n"
    );
    entry(Function::Pcscf, Protocol::Sip, text.into_bytes())
}

/// A Diameter request of the I-CSCF.
pub(crate) fn diameter(command: u32, session: &str, user: Option<&str>) -> Entry {
    let avp = |code: u32, data: &[u8]| {
        let mut avp = code.to_be_bytes().to_vec();
        avp.extend_from_slice(&(0x4000_0000 | (8 + data.len() as u32)).to_be_bytes());
        avp.extend_from_slice(data);
        avp.resize(avp.len().next_multiple_of(4), 0);
        avp
    };
    let mut bytes = vec![1, 0, 0, 0, 0xc0];
    bytes.extend_from_slice(&command.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[0; 12]);
    if !session.is_empty() {
        bytes.extend(avp(263, session.as_bytes()));
    }
    if let Some(user) = user {
        bytes.extend(avp(601, user.as_bytes()));
    }
    let length = (bytes.len() as u32).to_be_bytes();
    bytes[1..4].copy_from_slice(&length[1..]);
    entry(Function::Icscf, Protocol::Diameter, bytes)
}

/// Some message of a node, received.
pub(crate) fn entry(function: Function, protocol: Protocol, bytes: Vec<u8>) -> Entry {
    Entry {
        sequence: 1,
        at: Now { instant: Instant::from_micros(1000), wall: Wall::from_millis(1_700_000_000_000) },
        node: Node { function, name: String::new() },
        what: What::Message(Message {
            sent: false,
            protocol,
            transport: if protocol == Protocol::Sip { Transport::Udp } else { Transport::Tcp },
            interface: if protocol == Protocol::Sip { ReferencePoint::Gm } else { ReferencePoint::Cx },
            local: SocketAddr::from(([127, 0, 0, 10], 5060)),
            remote: SocketAddr::from(([127, 0, 0, 1], 5061)),
            security: None,
            bytes,
        }),
    }
}
