//! The security association database of a node that does ESP itself (RFC 4301 §4.4.2), with what each has carried.
//!
//! A packet that comes in names its association by the SPI; one that goes out, by its addresses and ports.

use crate::association::{Association, Direction, Encapsulation, Protocol, SaSet, Selector, Spi};
use crate::esp::{self, Inbound, Outbound, Refusal, SequenceExhausted};
use crate::inner;
use crate::transform::Transform;
use ambient::entropy::KeyedState;
use ambient::{Entropy, Wall};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The associations of one node.
pub struct Sad {
    sets: Vec<Option<Held>>,
    free: Vec<u32>,
    inbound: HashMap<Spi, Place, KeyedState>,
    outbound: HashMap<Selector, Place, KeyedState>,
    refused: [u64; Refusal::ALL.len()],
    entropy: Entropy,
}

/// A set, its associations in the order of [`SaSet::associations`].
struct Held {
    associations: [Association; 4],
    carried: [Carried; 4],
    inbound: [Inbound; 2],
    outbound: [Outbound; 2],
    /// With the outer address of the peer as its newest packet showed it.
    encapsulation: Encapsulation,
}

#[derive(Clone, Copy, Default)]
struct Carried {
    packets: u64,
    octets: u64,
    last: Option<Wall>,
}

/// A set, and which pair of it: 0 is at the server port, 1 at the client port.
#[derive(Clone, Copy)]
struct Place {
    set: u32,
    pair: u8,
}

impl Sad {
    /// An empty one.
    pub fn new(mut entropy: Entropy) -> Sad {
        let state = KeyedState::new(&mut entropy);
        Sad {
            sets: Vec::new(),
            free: Vec::new(),
            inbound: HashMap::with_hasher(state),
            outbound: HashMap::with_hasher(state),
            refused: [0; Refusal::ALL.len()],
            entropy,
        }
    }

    /// Takes the four associations of a set, or none of them.
    pub fn install(&mut self, set: &SaSet) -> Result<(), NotInstalled> {
        let transform = Transform::new(set.algorithms, &set.keys).ok_or(NotInstalled::Algorithms)?;
        let transform = Arc::new(transform);
        let associations = set.associations();
        let [server_in, server_out, client_in, client_out] = associations;
        if server_in.spi == client_in.spi
            || [server_in, client_in].iter().any(|taken| self.inbound.contains_key(&taken.spi))
        {
            return Err(NotInstalled::SpiInUse);
        }
        if server_out.selector == client_out.selector
            || [server_out, client_out].iter().any(|taken| self.outbound.contains_key(&taken.selector))
        {
            return Err(NotInstalled::SelectorInUse);
        }
        let held = Held {
            associations,
            carried: [Carried::default(); 4],
            inbound: [Inbound::new(transform.clone()), Inbound::new(transform.clone())],
            outbound: [
                Outbound::new(server_out.spi, transform.clone(), &mut self.entropy),
                Outbound::new(client_out.spi, transform, &mut self.entropy),
            ],
            encapsulation: set.encapsulation,
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.sets.push(None);
            self.sets.len() as u32 - 1
        });
        self.sets[at as usize] = Some(held);
        for (pair, (inbound, outbound)) in
            [(server_in, server_out), (client_in, client_out)].iter().enumerate()
        {
            let place = Place { set: at, pair: pair as u8 };
            self.inbound.insert(inbound.spi, place);
            self.outbound.insert(outbound.selector, place);
        }
        Ok(())
    }

    /// Forgets the set that has this inbound SPI, and tells whether there was one.
    pub fn remove(&mut self, inbound: Spi) -> bool {
        let Some(place) = self.inbound.get(&inbound).copied() else { return false };
        let Some(held) = self.sets[place.set as usize].take() else { return false };
        for association in held.associations {
            match association.direction {
                Direction::Inbound => drop(self.inbound.remove(&association.spi)),
                Direction::Outbound => drop(self.outbound.remove(&association.selector)),
            }
        }
        self.free.push(place.set);
        true
    }

    /// Takes up the set of an inbound SPI where it was before a restart.
    ///
    /// What comes in at or below a `received` is a replay; what goes out has numbers above the `sent`. Both are of the server
    /// port and then of the client port.
    pub fn resume(&mut self, inbound: Spi, received: [u32; 2], sent: [u32; 2]) -> bool {
        let Some(place) = self.inbound.get(&inbound).copied() else { return false };
        let Some(held) = &mut self.sets[place.set as usize] else { return false };
        for pair in 0..2 {
            held.inbound[pair].skip_to(received[pair]);
            held.outbound[pair].skip_to(sent[pair]);
        }
        true
    }

    /// Takes the outer address of a tunnel's peer up where it was before a restart.
    pub fn resume_outer(&mut self, inbound: Spi, outer: SocketAddr) {
        let Some(place) = self.inbound.get(&inbound) else { return };
        if let Some(Held { encapsulation: Encapsulation::UdpTunnel { remote, .. }, .. }) =
            &mut self.sets[place.set as usize]
        {
            *remote = outer;
        }
    }

    /// The outer address of the peer of a tunnel, as its newest packet showed it, by an inbound SPI.
    pub fn outer(&self, inbound: Spi) -> Option<SocketAddr> {
        let place = self.inbound.get(&inbound)?;
        match self.sets.get(place.set as usize)?.as_ref()?.encapsulation {
            Encapsulation::UdpTunnel { remote, .. } if remote.port() != 0 => Some(remote),
            Encapsulation::UdpTunnel { .. } | Encapsulation::Transport => None,
        }
    }

    /// When a set of this inbound SPI has sent its newest packet.
    pub fn last_sent(&self, inbound: Spi) -> Option<Wall> {
        let place = self.inbound.get(&inbound)?;
        let carried = &self.sets.get(place.set as usize)?.as_ref()?.carried;
        carried[1].last.max(carried[3].last)
    }

    /// The newest sequence numbers of the set of an inbound SPI, received and sent, in the order of [`Sad::resume`].
    pub fn sequences(&self, inbound: Spi) -> Option<([u32; 2], [u32; 2])> {
        let place = self.inbound.get(&inbound)?;
        let held = self.sets.get(place.set as usize)?.as_ref()?;
        let received = held.inbound.each_ref().map(|inbound| inbound.sequence());
        Some((received, held.outbound.each_ref().map(|outbound| outbound.sequence())))
    }

    /// How the packets between the ends of `selector` travel: in UDP, with the outer address of the peer as it is known now.
    pub fn encapsulation(&self, selector: &Selector) -> Option<Encapsulation> {
        let place = self.outbound.get(selector)?;
        Some(self.sets.get(place.set as usize)?.as_ref()?.encapsulation)
    }

    /// Appends to `packet` an ESP packet with a datagram or segment that goes between the ends of `selector`.
    ///
    /// It is given in at most [`PARTS_MAX`] parts.
    pub fn protect(
        &mut self,
        selector: &Selector,
        protocol: Protocol,
        parts: &[&[u8]],
        now: Wall,
        packet: &mut Vec<u8>,
    ) -> Result<(), NotSent> {
        let place = self.outbound.get(selector).ok_or(NotSent::NoAssociation)?;
        let held = self.sets[place.set as usize].as_mut().ok_or(NotSent::NoAssociation)?;
        let pair = usize::from(place.pair);
        let before = packet.len();
        let (outbound, entropy) = (&mut held.outbound[pair], &mut self.entropy);
        match held.encapsulation {
            Encapsulation::Transport => outbound.seal(entropy, protocol.number(), parts, packet)?,
            Encapsulation::UdpTunnel { remote, .. } if remote.port() == 0 => {
                return Err(NotSent::PeerUnknown);
            }
            Encapsulation::UdpTunnel { .. } => {
                let header = inner::Header::new(selector, protocol, parts).ok_or(NotSent::TooLong)?;
                let mut all: [&[u8]; PARTS_MAX + 1] = [&[]; PARTS_MAX + 1];
                all[0] = header.octets();
                all.get_mut(1..=parts.len()).ok_or(NotSent::TooLong)?.copy_from_slice(parts);
                outbound.seal(entropy, header.number(), &all, packet)?;
            }
        }
        held.carried[2 * pair + 1].add(packet.len() - before, now);
        Ok(())
    }

    /// Opens an ESP packet in place that came directly on IP; a refusal is counted.
    pub fn accept<'p>(
        &mut self,
        source: IpAddr,
        packet: &'p mut [u8],
        now: Wall,
    ) -> Result<Accepted<'p>, Refusal> {
        self.count(|sad| sad.open(Origin::Ip(source), packet, now))
    }

    /// Opens an ESP packet in place that came in UDP (RFC 3948); a refusal is counted.
    ///
    /// A NAT may give a UE another outer address at any time: what is authentic and newer than all before moves it.
    pub fn accept_encapsulated<'p>(
        &mut self,
        source: SocketAddr,
        packet: &'p mut [u8],
        now: Wall,
    ) -> Result<Accepted<'p>, Refusal> {
        self.count(|sad| sad.open(Origin::Udp(source), packet, now))
    }

    fn count<'p>(
        &mut self,
        open: impl FnOnce(&mut Sad) -> Result<Accepted<'p>, Refusal>,
    ) -> Result<Accepted<'p>, Refusal> {
        let accepted = open(self);
        if let Err(refusal) = &accepted {
            self.refused[*refusal as usize] += 1;
        }
        accepted
    }

    fn open<'p>(&mut self, origin: Origin, packet: &'p mut [u8], now: Wall) -> Result<Accepted<'p>, Refusal> {
        let length = packet.len();
        if length < 4 {
            return Err(Refusal::Malformed);
        }
        let place = esp::spi(packet).and_then(|spi| self.inbound.get(&spi)).ok_or(Refusal::UnknownSpi)?;
        let held = self.sets[place.set as usize].as_mut().ok_or(Refusal::UnknownSpi)?;
        let pair = usize::from(place.pair);
        let association = held.associations[2 * pair];
        let newest = held.inbound[pair].sequence();
        let opened = held.inbound[pair].open(packet)?;
        // RFC 4301 §5.2 step 4: what was inside has to be what the association is for.
        let (protocol, payload) = match (&mut held.encapsulation, origin) {
            (Encapsulation::Transport, Origin::Ip(source)) => {
                if association.selector.remote.ip() != source {
                    return Err(Refusal::Source);
                }
                (Protocol::from_number(opened.next_header).ok_or(Refusal::Selector)?, opened.payload)
            }
            (Encapsulation::UdpTunnel { remote, .. }, Origin::Udp(source)) => {
                if opened.sequence > newest {
                    *remote = source;
                }
                inner::read(&association, opened.next_header, opened.payload).ok_or(Refusal::Selector)?
            }
            _ => return Err(Refusal::Source),
        };
        let [from, from_low, to, to_low] = *payload.first_chunk().ok_or(Refusal::Selector)?;
        let ports = (u16::from_be_bytes([from, from_low]), u16::from_be_bytes([to, to_low]));
        if ports != (association.source().port(), association.destination().port()) {
            return Err(Refusal::Selector);
        }
        held.carried[2 * pair].add(length, now);
        Ok(Accepted { association, protocol, payload })
    }

    /// The inbound SPI between the ends of `selector`.
    pub fn inbound(&self, selector: &Selector) -> Option<Spi> {
        let place = self.outbound.get(selector)?;
        let held = self.sets.get(place.set as usize)?.as_ref()?;
        Some(held.associations[2 * usize::from(place.pair)].spi)
    }

    /// How many packets were refused for a reason.
    pub const fn refused(&self, reason: Refusal) -> u64 {
        self.refused[reason as usize]
    }

    /// What each association has carried, set by set.
    pub fn usage(&self) -> impl Iterator<Item = Usage> {
        self.sets.iter().flatten().flat_map(|held| {
            let sequences = [
                held.inbound[0].sequence(),
                held.outbound[0].sequence(),
                held.inbound[1].sequence(),
                held.outbound[1].sequence(),
            ];
            (0..4).map(move |at| Usage {
                spi: held.associations[at].spi,
                source: held.associations[at].source().ip(),
                destination: held.associations[at].destination().ip(),
                packets: held.carried[at].packets,
                octets: held.carried[at].octets,
                last_used: held.carried[at].last,
                sequence: sequences[at],
            })
        })
    }

    /// How many associations there are.
    pub fn len(&self) -> usize {
        2 * self.inbound.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.inbound.is_empty()
    }
}

/// How an ESP packet came.
#[derive(Clone, Copy)]
enum Origin {
    Ip(IpAddr),
    Udp(SocketAddr),
}

/// In how many parts a datagram or segment may be given.
pub const PARTS_MAX: usize = 4;

impl Carried {
    fn add(&mut self, octets: usize, now: Wall) {
        self.packets += 1;
        self.octets += octets as u64;
        self.last = Some(now);
    }
}

/// What came in by an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'p> {
    /// By which it came.
    pub association: Association,
    /// What the payload is.
    pub protocol: Protocol,
    /// The datagram or segment with its header, whose ports are those of the association.
    pub payload: &'p [u8],
}

/// What one association has carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Of the receiver.
    pub spi: Spi,
    /// The address of the sender.
    pub source: IpAddr,
    /// The address of the receiver.
    pub destination: IpAddr,
    /// How many packets.
    pub packets: u64,
    /// How many octets of ESP, or of what is inside, as the back end counts.
    pub octets: u64,
    /// When the last one went, if one did.
    pub last_used: Option<Wall>,
    /// The highest sequence number, 0 before the first packet.
    pub sequence: u32,
}

/// Why a set was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInstalled {
    /// An inbound SPI is another association's.
    SpiInUse,
    /// Another association goes between the same ports.
    SelectorInUse,
    /// The algorithms are no pair, or the keys are not theirs.
    Algorithms,
    /// The back end does transport mode only.
    Encapsulation,
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// None goes between these ports.
    NoAssociation,
    /// The association has used up its sequence numbers.
    SequenceExhausted,
    /// It does not fit into a packet of IP.
    TooLong,
    /// Nothing has come out of the tunnel yet, so that nobody knows the outer port of the peer's NAT.
    PeerUnknown,
}

impl From<SequenceExhausted> for NotSent {
    fn from(_: SequenceExhausted) -> NotSent {
        NotSent::SequenceExhausted
    }
}

#[cfg(test)]
mod tests;
