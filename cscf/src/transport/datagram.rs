//! UDP flows (RFC 5626 §3.3): who sent a datagram to which of our addresses, so that an answer finds its way back.

use crate::bucket::ShardId;
use crate::flow::Flow;
use ambient::Entropy;
use ambient::entropy::KeyedState;
use std::collections::HashMap;
use std::net::SocketAddr;

/// The table of UDP flows, bounded: a flow that nobody used for a while makes room for a new one.
#[derive(Debug)]
pub(super) struct DatagramFlows {
    /// Whose they are.
    shard: ShardId,
    slots: Vec<DatagramFlow>,
    /// For look-up only; the order of a keyed map reaches no output.
    by_ends: HashMap<(SocketAddr, SocketAddr), u32, KeyedState>,
    slots_max: usize,
    /// Where the search for an unused flow goes on: the hand of a clock.
    hand: usize,
}

#[derive(Debug)]
struct DatagramFlow {
    generation: u32,
    local: SocketAddr,
    remote: SocketAddr,
    /// Used again since it was made, or since the hand passed: one datagram alone protects no flow.
    used: bool,
}

impl DatagramFlows {
    /// An empty table of at most `slots_max` flows.
    pub(super) fn new(shard: ShardId, slots_max: usize, entropy: &mut Entropy) -> DatagramFlows {
        let slots_max = slots_max.max(1);
        DatagramFlows {
            shard,
            slots: Vec::new(),
            by_ends: HashMap::with_hasher(KeyedState::new(entropy)),
            slots_max,
            hand: 0,
        }
    }

    /// The flow between `local` and `remote`, new or known.
    pub(super) fn flow(&mut self, local: SocketAddr, remote: SocketAddr) -> Flow {
        if let Some(slot) = self.by_ends.get(&(local, remote)) {
            let entry = &mut self.slots[*slot as usize];
            entry.used = true;
            return Flow { shard: self.shard, slot: *slot, generation: entry.generation };
        }
        let slot = if self.slots.len() < self.slots_max {
            self.slots.push(DatagramFlow { generation: 0, local, remote, used: false });
            self.slots.len() - 1
        } else {
            let slot = self.evict();
            let entry = &mut self.slots[slot];
            *entry =
                DatagramFlow { generation: entry.generation.wrapping_add(1), local, remote, used: false };
            slot
        };
        let generation = self.slots[slot].generation;
        let slot = u32::try_from(slot).expect("the table is bounded far below 2^31 slots by its limit");
        self.by_ends.insert((local, remote), slot);
        Flow { shard: self.shard, slot, generation }
    }

    /// The ends of a flow: ours, then the other; `None` when its slot has been taken by another.
    pub(super) fn ends(&mut self, flow: Flow) -> Option<(SocketAddr, SocketAddr)> {
        let entry = self.slots.get_mut(flow.slot as usize)?;
        if entry.generation != flow.generation {
            return None;
        }
        entry.used = true;
        Some((entry.local, entry.remote))
    }

    /// Frees the next slot that was not used since the hand passed it.
    fn evict(&mut self) -> usize {
        loop {
            let slot = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            let entry = &mut self.slots[slot];
            if !std::mem::take(&mut entry.used) {
                self.by_ends.remove(&(entry.local, entry.remote));
                return slot;
            }
        }
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
    fn a_flow_that_is_no_index_is_gone() {
        let mut flows = DatagramFlows::new(ShardId(0), 8, &mut Entropy::seeded(1));
        assert_eq!(flows.ends(Flow { shard: ShardId(0), slot: 5, generation: 0 }), None);
    }
}
