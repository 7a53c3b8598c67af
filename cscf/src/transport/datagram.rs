//! UDP flows (RFC 5626 §3.3): who sent a datagram to which of our addresses, so that an answer finds its way back.

use crate::bucket::ShardId;
use crate::flow::Flow;
use ambient::entropy::KeyedState;
use ambient::{Entropy, Instant};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// The table of UDP flows, bounded: a flow that nobody used for a while makes room for a new one.
///
/// A P-CSCF has one for each UE that it hears, so that a flow is small: ours is one of a few addresses, and the other is
/// looked up by a hash alone.
#[derive(Debug)]
pub(super) struct DatagramFlows {
    /// Whose they are.
    shard: ShardId,
    slots: Vec<DatagramFlow>,
    /// By a keyed hash of both ends, of which nobody who knows no key finds two that are equal.
    by_ends: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    hashed: KeyedState,
    /// Our addresses, as flows name them.
    locals: Vec<SocketAddr>,
    slots_max: usize,
    /// Where the search for an unused flow goes on: the hand of a clock.
    hand: usize,
}

#[derive(Debug)]
struct DatagramFlow {
    remote: Remote,
    generation: u32,
    /// Our end, among the addresses of the table.
    local: u16,
    /// Used again since it was made, or since the hand passed: one datagram alone protects no flow.
    used: bool,
    /// How often it was answered by the transport layer itself.
    answered: Answered,
}

/// How many answers were given in the latest span of time: its number, and how many, in half an octet each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answered(u8);

impl Answered {
    /// Counts one more, if that is not too many.
    fn once_more(&mut self, now: Instant) -> bool {
        let span = (now.as_micros() / ANSWERED_SPAN_US) as u8 & 0x0f;
        let count = if self.0 >> 4 == span { self.0 & 0x0f } else { 0 };
        if count == ANSWERED_MAX {
            return false;
        }
        self.0 = span << 4 | (count + 1);
        true
    }
}

/// The answers of one flow in a span: the repetitions of one STUN request (RFC 8489 §6.2.1), and its next one.
const ANSWERED_MAX: u8 = 15;
const ANSWERED_SPAN_US: u64 = 8_000_000;

/// The other end, as small as it can be: most are IPv4.
#[derive(Debug, PartialEq, Eq)]
enum Remote {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Remote {
        match address {
            SocketAddr::V4(address) => Remote::V4(address),
            SocketAddr::V6(address) => Remote::V6(Box::new(address)),
        }
    }
}

impl Remote {
    fn address(&self) -> SocketAddr {
        match self {
            Remote::V4(address) => SocketAddr::V4(*address),
            Remote::V6(address) => SocketAddr::V6(**address),
        }
    }
}

impl DatagramFlows {
    /// An empty table of at most `slots_max` flows.
    pub(super) fn new(shard: ShardId, slots_max: usize, entropy: &mut Entropy) -> DatagramFlows {
        let slots_max = slots_max.max(1);
        DatagramFlows {
            shard,
            slots: Vec::new(),
            by_ends: HashMap::default(),
            hashed: KeyedState::new(entropy),
            locals: Vec::new(),
            slots_max,
            hand: 0,
        }
    }

    /// The flow between `local` and `remote`, new or known.
    pub(super) fn flow(&mut self, local: SocketAddr, remote: SocketAddr) -> Flow {
        let hash = self.hash(local, remote);
        if let Some(slot) = self.by_ends.get(&hash) {
            let entry = &mut self.slots[*slot as usize];
            entry.used = true;
            return Flow { shard: self.shard, slot: *slot, generation: entry.generation };
        }
        let local = self.number_of(local);
        let new = |generation| DatagramFlow {
            remote: remote.into(),
            generation,
            local,
            used: false,
            answered: Answered::default(),
        };
        let slot = if self.slots.len() < self.slots_max {
            self.slots.push(new(0));
            self.slots.len() - 1
        } else {
            let slot = self.evict();
            let entry = &mut self.slots[slot];
            *entry = new(entry.generation.wrapping_add(1));
            slot
        };
        let generation = self.slots[slot].generation;
        let slot = u32::try_from(slot).expect("the table is bounded far below 2^31 slots by its limit");
        self.by_ends.insert(hash, slot);
        Flow { shard: self.shard, slot, generation }
    }

    /// The ends of a flow: ours, then the other; `None` when its slot has been taken by another.
    pub(super) fn ends(&mut self, flow: Flow) -> Option<(SocketAddr, SocketAddr)> {
        let entry = self.slots.get_mut(flow.slot as usize)?;
        if entry.generation != flow.generation {
            return None;
        }
        entry.used = true;
        Some((*self.locals.get(usize::from(entry.local))?, entry.remote.address()))
    }

    /// Whether the transport layer itself may answer once more what came by a flow: whoever writes another's address into his
    /// datagrams gets him a few answers and no more.
    pub(super) fn may_be_answered(&mut self, flow: Flow, now: Instant) -> bool {
        let entry =
            self.slots.get_mut(flow.slot as usize).filter(|entry| entry.generation == flow.generation);
        entry.is_some_and(|entry| entry.answered.once_more(now))
    }

    /// Frees the next slot that was not used since the hand passed it.
    fn evict(&mut self) -> usize {
        loop {
            let slot = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            let entry = &mut self.slots[slot];
            if !std::mem::take(&mut entry.used) {
                let (local, remote) = (self.locals[usize::from(entry.local)], entry.remote.address());
                let hash = self.hash(local, remote);
                self.by_ends.remove(&hash);
                return slot;
            }
        }
    }

    fn hash(&self, local: SocketAddr, remote: SocketAddr) -> u64 {
        self.hashed.hash_one((local, remote))
    }

    /// The number of one of our addresses, of which there are as many as listening points.
    fn number_of(&mut self, local: SocketAddr) -> u16 {
        let known = self.locals.iter().position(|known| *known == local);
        let number = known.unwrap_or_else(|| {
            self.locals.push(local);
            self.locals.len() - 1
        });
        u16::try_from(number)
            .expect("a port has no more than 2^16 numbers, and listening points are configured")
    }
}

/// Takes a number that is a hash already for what it is.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn the_same_ends_are_the_same_flow() {
        let mut flows = DatagramFlows::new(ShardId(0), 8, &mut Entropy::seeded(1));
        let flow = flows.flow(address(1), address(2));
        assert_eq!(flows.flow(address(1), address(2)), flow);
        assert_ne!(flows.flow(address(1), address(3)), flow);
        assert_eq!(flows.ends(flow), Some((address(1), address(2))));
    }

    #[test]
    fn a_flood_of_senders_costs_no_more_than_the_table_and_spares_the_flow_in_use() {
        let mut flows = DatagramFlows::new(ShardId(0), 8, &mut Entropy::seeded(1));
        let busy = flows.flow(address(1), address(2));
        let idle = flows.flow(address(1), address(3));
        for port in 1000..2000 {
            flows.ends(busy);
            flows.flow(address(1), address(port));
        }
        assert_eq!(flows.slots.len(), 8);
        assert_eq!(flows.by_ends.len(), 8);
        assert_eq!(flows.ends(busy), Some((address(1), address(2))));
        assert_eq!(flows.ends(idle), None);
    }

    #[test]
    fn ends_come_back_of_either_family_and_by_each_of_our_addresses() {
        let mut flows = DatagramFlows::new(ShardId(0), 8, &mut Entropy::seeded(1));
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 5060, 0, 3).into();
        let ends = [(address(1), address(2)), (address(3), address(2)), (address(3), scoped)];
        let made = ends.map(|(local, remote)| flows.flow(local, remote));
        assert_eq!(made.map(|flow| flows.ends(flow)), ends.map(Some));
    }

    #[test]
    fn a_flow_is_answered_so_often_in_a_while_and_then_again() {
        let mut flows = DatagramFlows::new(ShardId(0), 8, &mut Entropy::seeded(1));
        let (flow, other) = (flows.flow(address(1), address(2)), flows.flow(address(1), address(3)));
        let answered = |flows: &mut DatagramFlows, flow, at_s: u64| {
            let at = Instant::from_micros(at_s * 1_000_000);
            (0..100).filter(|_| flows.may_be_answered(flow, at)).count()
        };
        for at_s in [0, 8, 20, 128, 1000] {
            assert_eq!(answered(&mut flows, flow, at_s), 15, "{at_s} s");
        }
        assert_eq!(answered(&mut flows, flow, 1000), 0);
        assert_eq!(answered(&mut flows, other, 1000), 15);
        assert_eq!(answered(&mut flows, Flow { generation: 7, ..flow }, 2000), 0);
    }

    /// In the table, and what it is found by.
    #[test]
    fn a_flow_takes_forty_octets() {
        assert_eq!((size_of::<DatagramFlow>(), size_of::<(u64, u32)>()), (24, 16));
    }

    #[test]
    fn a_flow_that_is_no_index_is_gone() {
        let mut flows = DatagramFlows::new(ShardId(0), 8, &mut Entropy::seeded(1));
        assert_eq!(flows.ends(Flow { shard: ShardId(0), slot: 5, generation: 0 }), None);
    }
}
