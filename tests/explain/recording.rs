//! What the nodes recorded, as entries of the recorder.

use cscf::station::Protocol;
use cscf::trace;
use explain::Scene;
use recorder::{Entry, Message, Node, ReferencePoint, Security, Transport, What};
use std::fmt::Write;

/// What a node's tap saw, as an entry.
pub fn entry(sequence: u64, node: &Node, event: trace::Event, protected: &[u16]) -> Entry {
    let is_protected = protected.contains(&event.local.port()) && protected.contains(&event.remote.port());
    let message = Message {
        sent: event.sent,
        protocol: match event.protocol {
            Protocol::Sip => recorder::Protocol::Sip,
            Protocol::Diameter => recorder::Protocol::Diameter,
        },
        transport: Transport::Udp,
        interface: ReferencePoint::Unknown,
        local: event.local,
        remote: event.remote,
        security: is_protected.then_some(Security { spi: 0 }),
        bytes: event.bytes,
    };
    Entry { sequence, at: event.at, node: node.clone(), what: What::Message(message) }
}

/// Every event, for whoever looks into a failed run.
pub fn picture(scene: &Scene) -> String {
    let mut picture = String::new();
    let first = scene.events().first().map_or(0, |event| event.at_ms);
    for event in scene.events() {
        let _ = writeln!(
            picture,
            "  {:>6} {} -> {}: {}",
            event.at_ms - first,
            event.from,
            event.to,
            event.summary()
        );
    }
    picture
}
