//! What the functions and the phones of this process trace, as entries of the recording.

use ::console::{Known, Recording};
use cscf::assembly::Part;
use cscf::config::Config;
use cscf::station::Protocol as Traced;
use cscf::trace::Event;
use recorder::{Entry, Function, Message, Node, Protocol, ReferencePoint, Transport, What};
use std::net::SocketAddr;
use std::sync::Arc;

/// From traces to entries.
pub struct Feed {
    config: Arc<Config>,
    recording: Arc<Recording>,
}

/// The four functions, in the order in which a core tells what they traced.
const FUNCTIONS: [Function; 4] = [Function::Pcscf, Function::Icscf, Function::Scscf, Function::Hss];

fn node(function: Function, name: &str) -> Node {
    Node { function, name: name.to_owned() }
}

/// Where the functions of a configuration are.
pub fn known(config: &Config) -> Known {
    let listed = |function, addresses: Vec<SocketAddr>| {
        addresses.into_iter().map(move |address| (address, node(function, "")))
    };
    let of = |part: Part| part.locals(config).into_iter().map(|local| local.address).collect::<Vec<_>>();
    let hss = config.hss.listen.iter().map(|point| point.address).collect();
    let addresses = [
        listed(Function::Pcscf, of(Part::Pcscf)),
        listed(Function::Icscf, of(Part::Icscf)),
        listed(Function::Scscf, of(Part::Scscf)),
        listed(Function::Ecscf, config.ecscf.listen.iter().map(|local| local.address).collect()),
        listed(Function::Hss, hss),
    ];
    let hosts = vec![
        (config.icscf.host.clone(), node(Function::Icscf, "")),
        (config.scscf.host.clone(), node(Function::Scscf, "")),
        (config.hss.host.clone(), node(Function::Hss, "")),
    ];
    Known { addresses: addresses.into_iter().flatten().collect(), hosts }
}

impl Feed {
    /// Into this recording.
    pub fn new(config: Arc<Config>, recording: Arc<Recording>) -> Feed {
        Feed { config, recording }
    }

    /// Adds what was traced, in the order of its time.
    pub fn take(&self, of_core: [Vec<Event>; 4], of_phones: Vec<(String, SocketAddr, Vec<Event>)>) {
        let mut entries = Vec::new();
        for (name, address, events) in of_phones {
            let mut phone = node(Function::Ue, &name);
            if self.config.recorder.privacy {
                recorder::hide_word(&mut phone.name);
            }
            if !events.is_empty() {
                self.recording.know(address, phone.clone());
            }
            entries.extend(events.into_iter().map(|event| entry(phone.clone(), event)));
        }
        for (function, events) in FUNCTIONS.into_iter().zip(of_core) {
            // The HSS tells both directions of every Diameter connection of this process.
            let told =
                events.into_iter().filter(|event| function == Function::Hss || event.protocol == Traced::Sip);
            entries.extend(told.map(|event| {
                let function =
                    if function == Function::Hss { function } else { self.of_address(function, event.local) };
                entry(node(function, ""), event)
            }));
        }
        if entries.is_empty() {
            return;
        }
        if self.config.recorder.privacy {
            recorder::redact(&mut entries);
        }
        entries.sort_by_key(|entry| entry.at.instant);
        self.recording.push(entries);
    }

    /// Functions that are one machine trace as one: the address tells which of them it was.
    fn of_address(&self, told: Function, local: SocketAddr) -> Function {
        let parts =
            [(Part::Pcscf, Function::Pcscf), (Part::Icscf, Function::Icscf), (Part::Scscf, Function::Scscf)];
        let has = |fits: &dyn Fn(SocketAddr) -> bool| {
            let found =
                parts.iter().find(|(part, _)| part.locals(&self.config).iter().any(|own| fits(own.address)));
            found.map(|(_, function)| *function)
        };
        // The port of a connection that a function opened is its own alone; so is, in a lab, its address.
        has(&|own| own == local).or_else(|| has(&|own| own.ip() == local.ip())).unwrap_or(told)
    }
}

fn entry(node: Node, event: Event) -> Entry {
    let Event { at, sent, protocol, local, remote, bytes } = event;
    let protocol = match protocol {
        Traced::Sip => Protocol::Sip,
        Traced::Diameter => Protocol::Diameter,
    };
    let transport = match protocol {
        Protocol::Sip => by_via(&bytes),
        Protocol::Diameter => Transport::Tcp,
    };
    let interface = ReferencePoint::Unknown;
    let message = Message { sent, protocol, transport, interface, local, remote, security: None, bytes };
    Entry { sequence: 0, at, node, what: What::Message(message) }
}

/// What a message came over, by its topmost Via.
fn by_via(bytes: &[u8]) -> Transport {
    let via = bytes.split(|octet| *octet == b'\n').find_map(|line| {
        let rest = line.strip_prefix(b"Via:").or_else(|| line.strip_prefix(b"v:"))?;
        rest.trim_ascii_start().strip_prefix(b"SIP/2.0/")
    });
    match via {
        Some(via) if via.starts_with(b"TCP") => Transport::Tcp,
        Some(via) if via.starts_with(b"TLS") => Transport::Tls,
        _ => Transport::Udp,
    }
}
