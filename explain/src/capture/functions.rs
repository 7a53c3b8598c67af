//! Which function has which address, by what passed between them.

use super::Found;
use recorder::{Function, Node, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The functions of a capture by address and port.
pub type Functions = BTreeMap<SocketAddr, Function>;

/// Guesses the functions from REGISTERs, which pass UE, P-, I- and S-CSCF and get a Via at each, and from Cx.
pub fn of(found: &[Found]) -> Functions {
    let mut known = Functions::new();
    for message in found {
        let (from, to) = match message.protocol {
            Protocol::Sip => match vias_of_register(&message.bytes) {
                Some(1) => (Function::Ue, Function::Pcscf),
                Some(2) => (Function::Pcscf, Function::Icscf),
                Some(3) => (Function::Icscf, Function::Scscf),
                _ => continue,
            },
            // UAR, SAR, LIR and MAR go to an HSS.
            Protocol::Diameter => match message.bytes.get(4..8) {
                Some([flags, 0, 1, 44..=47]) if flags & 0x80 != 0 => (Function::Other, Function::Hss),
                _ => continue,
            },
        };
        for (address, function) in [(message.from, from), (message.to, to)] {
            if function != Function::Other {
                known.entry(address).or_insert(function);
            }
        }
    }
    known
}

/// The node at an address.
pub fn node(known: &Functions, address: SocketAddr) -> Node {
    let of_ip = |ip: IpAddr| -> BTreeSet<Function> {
        known.iter().filter(|(known, _)| known.ip() == ip).map(|(_, function)| *function).collect()
    };
    let function = known.get(&address).copied().or_else(|| {
        let functions = of_ip(address.ip());
        functions.first().copied().filter(|_| functions.len() == 1)
    });
    let function = function.unwrap_or(Function::Other);
    let name = match function {
        Function::Ue => address.ip().to_string(),
        Function::Other => address.to_string(),
        _ => String::new(),
    };
    Node { function, name }
}

/// How many Vias a REGISTER has; `None` of another message.
fn vias_of_register(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let mut lines = bytes[..head].split(|octet| *octet == b'\n');
    lines.next().filter(|line| line.starts_with(b"REGISTER "))?;
    let is_via = |line: &&[u8]| {
        let name = line.split(|octet| *octet == b':').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"Via") || name.eq_ignore_ascii_case(b"v")
    };
    Some(lines.filter(is_via).count())
}
