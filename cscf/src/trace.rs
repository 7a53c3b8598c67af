//! The tap of a station: every SIP and Diameter message that it sent or received, and what it found and decided, into
//! its ring of the flight recorder.
//!
//! Off, it costs one test of an `Option` per message.

use crate::flow::{Transport, Trust};
use crate::station::{LinkId, Protocol};
use ambient::Now;
use recorder::{FactRef, Function, MessageRef, Node, ReferencePoint, Ring, Rule, Security, diameter};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// One message that passed the edge of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When the input was handled that brought or caused it.
    pub at: Now,
    /// Whether it left this station; else it came in.
    pub sent: bool,
    /// What it is.
    pub protocol: Protocol,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The whole message, without CK and IK, and without the text of a MESSAGE where the rule does not keep it.
    pub bytes: Vec<u8>,
}

impl Event {
    /// What a ladder writes on the arrow: `INVITE`, `200 OK (INVITE)`, `UAR`, `UAA 2001`.
    pub fn summary(&self) -> String {
        match self.protocol {
            Protocol::Sip => recorder::sip::summary(&self.bytes),
            Protocol::Diameter => diameter::summary(&self.bytes),
        }
    }

    /// A message of the recorder.
    pub fn of(entry: &recorder::Entry) -> Option<Event> {
        let recorder::What::Message(message) = &entry.what else { return None };
        let &recorder::Message { sent, local, remote, ref bytes, .. } = message;
        let protocol = match message.protocol {
            recorder::Protocol::Sip => Protocol::Sip,
            recorder::Protocol::Diameter => Protocol::Diameter,
        };
        Some(Event { at: entry.at, sent, protocol, local, remote, bytes: bytes.clone() })
    }
}

/// Something that a node found or decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// What kind: the name of a counter.
    pub name: &'static str,
    /// The cause, as it is counted.
    pub cause: &'static str,
    /// What an operator wants to know besides.
    pub detail: String,
    /// The Call-ID of what it belongs to.
    pub call_id: Vec<u8>,
    /// The other end.
    pub remote: Option<SocketAddr>,
}

impl Fact {
    /// As the ring takes it.
    pub fn as_ref(&self) -> FactRef<'_> {
        let Fact { name, cause, detail, call_id, remote } = self;
        FactRef { name, cause, detail, call_id, remote: *remote }
    }
}

/// Over what a message of SIP passed.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Both ends: ours, the other.
    pub ends: (SocketAddr, SocketAddr),
    /// The transport.
    pub transport: Transport,
    /// Whether the other end is in the trust domain.
    pub trust: Trust,
    /// The set of security associations, by the SPI of our server port.
    pub secured: Option<ipsec::Spi>,
}

/// A Diameter message longer than this is not shown: the endpoint refuses it too.
const DIAMETER_MAX: usize = 1 << 20;

/// Records, and cuts Diameter streams into messages.
#[derive(Debug)]
pub struct Tap {
    ring: Ring,
    rule: Rule,
    /// How far [`Tap::poll`] has read, and what it has read and not given.
    read: u64,
    unread: std::collections::VecDeque<Event>,
    /// Ends and unfinished input of each Diameter connection; `None` once its framing is lost.
    streams: BTreeMap<LinkId, (SocketAddr, SocketAddr, Option<Vec<u8>>)>,
}

impl Tap {
    /// A tap of `node`; `None` when nothing is to be recorded.
    pub fn new(node: Node, rule: &Rule) -> Option<Tap> {
        (rule.mode != recorder::Mode::Off).then(|| Tap {
            ring: Ring::new(node, rule.memory).keeping_texts(rule.texts),
            rule: rule.clone(),
            read: 0,
            unread: std::collections::VecDeque::new(),
            streams: BTreeMap::new(),
        })
    }

    /// A message of SIP.
    pub fn message(&mut self, at: Now, sent: bool, way: Way, bytes: &[u8]) {
        if self.rule.takes(recorder::Protocol::Sip, bytes) {
            let (local, remote) = way.ends;
            let message = MessageRef {
                sent,
                protocol: recorder::Protocol::Sip,
                transport: match way.transport {
                    Transport::Udp => recorder::Transport::Udp,
                    Transport::Tcp => recorder::Transport::Tcp,
                    Transport::Tls => recorder::Transport::Tls,
                },
                interface: reference_point(self.ring.node().function, &way),
                local,
                remote,
                security: way.secured.map(|spi| Security { spi: spi.get() }),
                bytes,
            };
            self.ring.message(at, &message);
        }
    }

    /// A message of Diameter.
    fn diameter(&mut self, at: Now, sent: bool, (local, remote): (SocketAddr, SocketAddr), bytes: &[u8]) {
        if self.rule.takes(recorder::Protocol::Diameter, bytes) {
            let message = MessageRef {
                sent,
                protocol: recorder::Protocol::Diameter,
                transport: recorder::Transport::Tcp,
                interface: ReferencePoint::Cx,
                local,
                remote,
                security: None,
                bytes,
            };
            self.ring.message(at, &message);
        }
    }

    /// Something was found or decided.
    pub fn fact(&mut self, at: Now, fact: &FactRef<'_>) {
        self.ring.fact(at, fact);
    }

    /// What was recorded after the entry numbered `after`.
    pub fn chunk(&mut self, after: u64) -> Vec<u8> {
        self.ring.chunk(after, CHUNK_MAX)
    }

    pub fn opened(&mut self, link: LinkId, local: SocketAddr, remote: SocketAddr) {
        self.streams.insert(link, (local, remote, Some(Vec::new())));
    }

    /// A connection of ours stands: our end is known.
    pub fn connected(&mut self, link: LinkId, local: SocketAddr) {
        if let Some(stream) = self.streams.get_mut(&link) {
            stream.0 = local;
        }
    }

    pub fn closed(&mut self, link: LinkId) {
        self.streams.remove(&link);
    }

    /// What a Diameter endpoint wrote: whole messages.
    pub fn wrote(&mut self, at: Now, link: LinkId, mut bytes: &[u8]) {
        let Some((local, remote, _)) = self.streams.get(&link) else { return };
        let ends = (*local, *remote);
        while let Some(message) = diameter::first_message(bytes) {
            self.diameter(at, true, ends, message);
            bytes = &bytes[message.len()..];
        }
    }

    /// What a Diameter connection received: cut anywhere.
    pub fn read(&mut self, at: Now, link: LinkId, bytes: &[u8]) {
        let Some((local, remote, pending)) = self.streams.get_mut(&link) else { return };
        let ends = (*local, *remote);
        let Some(mut buffer) = pending.take() else { return };
        buffer.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(message) = diameter::first_message(&buffer[used..]) {
            used += message.len();
            self.diameter(at, false, ends, message);
        }
        buffer.drain(..used);
        let framed = buffer.first().is_none_or(|version| *version == 1) && buffer.len() <= DIAMETER_MAX;
        if let Some((_, _, pending)) = self.streams.get_mut(&link) {
            *pending = framed.then_some(buffer);
        }
    }

    /// The next message that nobody has polled yet.
    pub fn poll(&mut self) -> Option<Event> {
        if self.unread.is_empty() && self.read < self.ring.newest() {
            let chunk = recorder::read_chunk(&self.ring.chunk(self.read, CHUNK_MAX)).ok()?;
            self.read = chunk.entries.last().map_or(self.ring.newest(), |last| last.sequence);
            self.unread.extend(chunk.entries.iter().filter_map(Event::of));
        }
        self.unread.pop_front()
    }
}

/// What a station knows of the reference point by itself; the rest is told by who is at the other end.
fn reference_point(function: Function, way: &Way) -> ReferencePoint {
    match (function, way.trust) {
        (Function::Ue, _) => ReferencePoint::Gm,
        (Function::Pcscf, Trust::Outside) => ReferencePoint::Gm,
        (Function::Pcscf, Trust::Domain) => ReferencePoint::Mw,
        (Function::Icscf | Function::Scscf, Trust::Outside) => ReferencePoint::Mm,
        (Function::Ecscf, Trust::Outside) => ReferencePoint::Mi,
        _ => ReferencePoint::Unknown,
    }
}

/// The function of a role by its name.
pub fn function(name: &str) -> Function {
    match name {
        "ue" => Function::Ue,
        "pcscf" => Function::Pcscf,
        "icscf" => Function::Icscf,
        "scscf" => Function::Scscf,
        "ecscf" => Function::Ecscf,
        "hss" => Function::Hss,
        _ => Function::Other,
    }
}

/// Bytes that a reader gets in one go: little enough that a shard does not stand still for it.
const CHUNK_MAX: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);

    fn uaa() -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 32, 0x40, 0, 1, 44, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        bytes.extend_from_slice(&[0, 0, 1, 12, 0x40, 0, 0, 12]);
        bytes.extend_from_slice(&2001_u32.to_be_bytes());
        bytes
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn tap() -> Tap {
        let rule = Rule { memory: Ring::MEMORY_MIN, ..Rule::default() };
        Tap::new(Node { function: Function::Hss, name: String::new() }, &rule).unwrap()
    }

    #[test]
    fn a_diameter_stream_cut_anywhere_is_shown_message_by_message() {
        let stream = [uaa(), uaa()].concat();
        for cut in 0..stream.len() {
            let mut tap = tap();
            tap.opened(LINK, address(1), address(2));
            tap.read(Now::default(), LINK, &stream[..cut]);
            tap.read(Now::default(), LINK, &stream[cut..]);
            let seen: Vec<_> = std::iter::from_fn(|| tap.poll()).map(|event| event.bytes).collect();
            assert_eq!(seen, [uaa(), uaa()], "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_that_is_not_diameter_is_not_collected() {
        let mut tap = tap();
        tap.opened(LINK, address(1), address(2));
        tap.read(Now::default(), LINK, b"GET / HTTP/1.1\r\n");
        tap.read(Now::default(), LINK, &uaa());
        assert_eq!(tap.poll(), None);
    }

    #[test]
    fn nothing_is_recorded_by_a_rule_that_says_so() {
        assert!(Tap::new(Node { function: Function::Hss, name: String::new() }, &Rule::off()).is_none());
    }
}
