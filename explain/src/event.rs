//! One entry of the recorder, read.

use crate::diameter::Diameter;
use crate::sip::Sip;
use recorder::{Entry, Fact, Function, Node, Protocol, What};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// An entry and what it says.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which entry of those that were given.
    pub index: usize,
    /// Milliseconds since the recording began.
    pub at_ms: u64,
    /// Where it was seen.
    pub node: Node,
    /// Who sent it and who received it, as names for a person.
    pub from: String,
    /// See [`Event::from`].
    pub to: String,
    /// The functions at its two ends, as far as they are known.
    pub ends: (Function, Function),
    /// The addresses at its two ends, the sender's first.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Whether the other end recorded it, too; `None` where the other end records nothing.
    pub arrived: Option<bool>,
    /// Whether it went through a security association.
    pub is_protected: bool,
    /// What.
    pub seen: Seen,
}

/// What an entry says.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A SIP message.
    Sip(Box<Sip>),
    /// A Diameter message.
    Diameter(Box<Diameter>),
    /// Something that a node found.
    Fact(Fact),
    /// A message that cannot be read at all.
    Unreadable,
}

impl Event {
    /// The SIP message.
    pub fn sip(&self) -> Option<&Sip> {
        match &self.seen {
            Seen::Sip(sip) => Some(sip),
            Seen::Diameter(_) | Seen::Fact(_) | Seen::Unreadable => None,
        }
    }

    /// The Diameter message.
    pub fn diameter(&self) -> Option<&Diameter> {
        match &self.seen {
            Seen::Diameter(diameter) => Some(diameter),
            Seen::Sip(_) | Seen::Fact(_) | Seen::Unreadable => None,
        }
    }

    /// The fact.
    pub fn fact(&self) -> Option<&Fact> {
        match &self.seen {
            Seen::Fact(fact) => Some(fact),
            Seen::Sip(_) | Seen::Diameter(_) | Seen::Unreadable => None,
        }
    }

    /// What a small ladder says of it.
    pub fn summary(&self) -> String {
        match &self.seen {
            Seen::Sip(sip) => sip.summary(),
            Seen::Diameter(diameter) => diameter.summary(),
            Seen::Fact(fact) if fact.detail.is_empty() => format!("{}: {}", fact.name, fact.cause),
            Seen::Fact(fact) => format!("{}: {} ({})", fact.name, fact.cause, fact.detail),
            Seen::Unreadable => "a message that cannot be read".to_owned(),
        }
    }

    /// The message as a person reads it, in full.
    pub fn is_message(&self) -> bool {
        matches!(self.seen, Seen::Sip(_) | Seen::Diameter(_) | Seen::Unreadable)
    }
}

/// Reads entries, each message once: what both of its ends recorded is told by its sender.
pub fn read(entries: &[Entry]) -> Vec<Event> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|index| (entries[*index].at.instant, *index));
    let names = names(entries);
    let twins = twins(entries, &order);
    let mut events = Vec::new();
    for index in order {
        let entry = &entries[index];
        let at_ms = entry.at.instant.as_micros() / 1000;
        let node = entry.node.clone();
        let twin = &twins[index];
        let event = match &entry.what {
            What::Fact(fact) => Event {
                index,
                at_ms,
                from: node.title(),
                to: fact.remote.map(|remote| name_of(&names, remote).0).unwrap_or_default(),
                ends: (node.function, Function::Other),
                addresses: None,
                arrived: None,
                is_protected: false,
                seen: Seen::Fact(fact.clone()),
                node,
            },
            // Its sender tells of it.
            What::Message(message) if !message.sent && *twin == Twin::Paired => continue,
            What::Message(message) => {
                let own = (node.title(), node.function);
                let other = name_of(&names, message.remote);
                let (from, to, addresses) = match message.sent {
                    true => (own, other, (message.local, message.remote)),
                    false => (other, own, (message.remote, message.local)),
                };
                let arrived = match (message.sent, twin) {
                    (false, _) | (_, Twin::Paired) => Some(true),
                    (true, Twin::Alone) => names.contains_key(&message.remote.ip()).then_some(false),
                };
                let seen = match message.protocol {
                    Protocol::Sip => Seen::Sip(Box::new(Sip::read(&message.bytes))),
                    Protocol::Diameter => Diameter::read(&message.bytes)
                        .map_or(Seen::Unreadable, |diameter| Seen::Diameter(Box::new(diameter))),
                };
                Event {
                    index,
                    at_ms,
                    node,
                    from: from.0,
                    to: to.0,
                    ends: (from.1, to.1),
                    addresses: Some(addresses),
                    arrived,
                    is_protected: message.security.is_some(),
                    seen,
                }
            }
        };
        events.push(event);
    }
    events
}

/// Whether the other end of a message recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twin {
    Alone,
    Paired,
}

/// Pairs what was sent with what was received: the same octets between the same protocols, the first with the first.
///
/// The addresses take no part, because a NAT or a wildcard address may lie between.
fn twins(entries: &[Entry], order: &[usize]) -> Vec<Twin> {
    let mut twins = vec![Twin::Alone; entries.len()];
    let mut open: BTreeMap<(&[u8], bool), VecDeque<usize>> = BTreeMap::new();
    for index in order {
        let What::Message(message) = &entries[*index].what else { continue };
        let other = open.entry((&message.bytes, !message.sent)).or_default();
        // A node does not hear itself, and a retransmission is no answer to what was sent minutes ago.
        let found = other.iter().position(|other| {
            entries[*other].node != entries[*index].node
                && entries[*index].at.instant.since(entries[*other].at.instant).as_secs() < TWIN_SECONDS
        });
        match found.and_then(|at| other.remove(at)) {
            Some(other) => {
                twins[other] = Twin::Paired;
                twins[*index] = Twin::Paired;
            }
            None => {
                let waiting = open.entry((&message.bytes, message.sent)).or_default();
                waiting.push_back(*index);
                if waiting.len() > WAITING_MAX {
                    waiting.pop_front();
                }
            }
        }
    }
    twins
}

/// The nodes by their addresses.
type Names = BTreeMap<std::net::IpAddr, Vec<(Option<u16>, Node)>>;

/// Who is where: by address and port where several nodes share an address.
fn names(entries: &[Entry]) -> Names {
    let mut names = Names::new();
    for entry in entries {
        let What::Message(message) = &entry.what else { continue };
        if entry.node.function == Function::Other || message.local.ip().is_unspecified() {
            continue;
        }
        let known = names.entry(message.local.ip()).or_default();
        let place = (Some(message.local.port()), entry.node.clone());
        if known.len() < NODES_MAX && !known.contains(&place) {
            known.push(place);
        }
    }
    names
}

fn name_of(names: &Names, address: SocketAddr) -> (String, Function) {
    let Some(known) = names.get(&address.ip()) else { return (address.to_string(), Function::Other) };
    let exact = known.iter().find(|(port, _)| *port == Some(address.port()));
    let is_alone = known.iter().all(|(_, node)| *node == known[0].1);
    match exact.or(known.first().filter(|_| is_alone)) {
        Some((_, node)) => (node.title(), node.function),
        None => (address.to_string(), Function::Other),
    }
}

/// Seconds within which both ends of a message record it.
const TWIN_SECONDS: u64 = 30;
/// Copies of one message that wait for their other end.
const WAITING_MAX: usize = 64;
/// Ports of one address that are told apart.
const NODES_MAX: usize = 64;
