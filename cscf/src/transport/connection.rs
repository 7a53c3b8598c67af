//! The table of stream connections: by flow, by link, and by the peer that they reach.

use crate::bucket::ShardId;
use crate::flow::{Flow, Transport, Trust};
use crate::input::Ticket;
use crate::station::LinkId;
use ambient::entropy::KeyedState;
use ambient::{Entropy, Instant, TimerId};
use ipsec::Spi;
use sip_core::framing::Framer;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: LinkId,
    /// TCP, or TLS over it.
    pub(super) transport: Transport,
    /// The listening point that it belongs to, whichever side opened it.
    pub(super) local: SocketAddr,
    /// Our end of the socket.
    pub(super) socket: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Where the peer listens, by `;alias` in its Via (RFC 5923 §5).
    pub(super) alias: Option<SocketAddr>,
    pub(super) trust: Trust,
    /// The set of security associations that it goes through.
    pub(super) secured: Option<Spi>,
    pub(super) state: State,
    pub(super) framer: Framer,
    pub(super) opened: Instant,
    /// When a whole message last came or went; `None` before the first.
    pub(super) last_used: Option<Instant>,
    /// Since when a message is unfinished.
    pub(super) partial_since: Option<Instant>,
    /// Messages written since the peer was last heard: a close would lose them.
    pub(super) unheard: VecDeque<Ticket>,
    /// Its stream has lost its framing: it ends once an answer had its chance.
    pub(super) doomed: bool,
    pub(super) timer: TimerId,
}

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum State {
    /// Ours, not yet open: what waits for it.
    Connecting(Vec<(Vec<u8>, Ticket)>),
    /// Open.
    Open,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
    /// The listening point of the last connection here, for an answer that comes too late for it.
    last_local: Option<SocketAddr>,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    /// Whose they are.
    shard: ShardId,
    slots: Vec<Slot>,
    free: Vec<u32>,
    // For look-up only; the order of a keyed map reaches no output.
    by_link: HashMap<LinkId, u32, KeyedState>,
    by_peer: HashMap<(IpAddr, SocketAddr), u32, KeyedState>,
    per_remote: HashMap<IpAddr, usize, KeyedState>,
}

/// Set in the slot number of every stream flow, so that it is never taken for a UDP flow.
const STREAM: u32 = 1 << 31;

impl Connections {
    /// An empty table.
    pub(super) fn new(shard: ShardId, entropy: &mut Entropy) -> Connections {
        let keyed = KeyedState::new(entropy);
        Connections {
            shard,
            slots: Vec::new(),
            free: Vec::new(),
            by_link: HashMap::with_hasher(keyed),
            by_peer: HashMap::with_hasher(keyed),
            per_remote: HashMap::with_hasher(keyed),
        }
    }

    /// Whose they are.
    pub(super) const fn shard(&self) -> ShardId {
        self.shard
    }

    /// Whether a flow is one of a stream.
    pub(super) const fn is_stream(flow: Flow) -> bool {
        flow.slot & STREAM != 0
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many there are with peers at this address.
    pub(super) fn count_of(&self, remote: IpAddr) -> usize {
        self.per_remote.get(&remote).copied().unwrap_or(0)
    }

    /// The flow that the next [`Connections::insert`] will have.
    pub(super) fn next_flow(&self) -> Flow {
        match self.free.last() {
            Some(slot) => {
                let generation = self.slots[*slot as usize].generation.wrapping_add(1);
                Flow { shard: self.shard, slot: slot | STREAM, generation }
            }
            None => {
                let slot = u32::try_from(self.slots.len()).expect("connections are bounded far below 2^31");
                Flow { shard: self.shard, slot: slot | STREAM, generation: 1 }
            }
        }
    }

    /// Adds a connection and makes it the one that requests to its peer use, unless there is one already.
    pub(super) fn insert(&mut self, connection: Connection) -> Flow {
        let flow = self.next_flow();
        let slot = flow.slot & !STREAM;
        self.by_link.insert(connection.link, slot);
        self.by_peer.entry((connection.local.ip(), connection.remote)).or_insert(slot);
        *self.per_remote.entry(connection.remote.ip()).or_insert(0) += 1;
        if self.free.pop().is_none() {
            self.slots.push(Slot::default());
        }
        self.slots[slot as usize] = Slot {
            generation: flow.generation,
            last_local: Some(connection.local),
            connection: Some(connection),
        };
        flow
    }

    /// Ends a connection and forgets every way to it.
    pub(super) fn remove(&mut self, flow: Flow) -> Option<Connection> {
        let slot = flow.slot & !STREAM;
        self.get(flow)?;
        let connection = self.slots[slot as usize].connection.take()?;
        self.free.push(slot);
        self.by_link.remove(&connection.link);
        for peer in [Some(connection.remote), connection.alias].into_iter().flatten() {
            let key = (connection.local.ip(), peer);
            if self.by_peer.get(&key) == Some(&slot) {
                self.by_peer.remove(&key);
            }
        }
        if let Some(count) = self.per_remote.get_mut(&connection.remote.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_remote.remove(&connection.remote.ip());
            }
        }
        Some(connection)
    }

    /// Lets requests to `alias` use this connection (RFC 5923 §5); the first connection of an alias keeps it.
    pub(super) fn set_alias(&mut self, flow: Flow, alias: SocketAddr) {
        let slot = flow.slot & !STREAM;
        if let Some(connection) = self.get(flow) {
            connection.alias = Some(alias);
            let key = (connection.local.ip(), alias);
            self.by_peer.entry(key).or_insert(slot);
        }
    }

    /// The connection of a flow; `None` when it is gone.
    pub(super) fn get(&mut self, flow: Flow) -> Option<&mut Connection> {
        let slot = self.slots.get_mut((flow.slot & !STREAM) as usize)?;
        if slot.generation != flow.generation {
            return None;
        }
        slot.connection.as_mut()
    }

    /// Whether the connection of a flow is one of this transport.
    pub(super) fn carries(&mut self, flow: Flow, transport: Transport) -> bool {
        self.get(flow).is_some_and(|connection| connection.transport == transport)
    }

    /// The listening point of a flow that is there, or gone and not yet replaced.
    pub(super) fn local_of(&self, flow: Flow) -> Option<SocketAddr> {
        let slot = self.slots.get((flow.slot & !STREAM) as usize)?;
        slot.last_local.filter(|_| slot.generation == flow.generation)
    }

    /// The flow of a link.
    pub(super) fn of_link(&self, link: LinkId) -> Option<Flow> {
        self.by_link.get(&link).map(|slot| self.flow_of(*slot))
    }

    /// The connection from our address to a peer.
    pub(super) fn to_peer(&self, local: IpAddr, remote: SocketAddr) -> Option<Flow> {
        self.by_peer.get(&(local, remote)).map(|slot| self.flow_of(*slot))
    }

    fn flow_of(&self, slot: u32) -> Flow {
        Flow { shard: self.shard, slot: slot | STREAM, generation: self.slots[slot as usize].generation }
    }
}
