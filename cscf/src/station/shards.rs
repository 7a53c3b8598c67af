//! All shards of a function as one machine, which carries what they say to each other in memory.
//!
//! The simulation runs a function so; a real driver gives each shard a thread of its own. What a driver would do by the
//! ports of the system is done alike: datagrams of one sender come to one shard, whichever it is, and a connection is moved
//! to its home before it is read.

use super::{LinkId, Machine, Operated, Parcel, Protocol, ShardId, Station, WireInput, WireOutput};
use crate::assembly::Part;
use crate::metrics::{self, Snapshot};
use crate::node::{Count, Node};
use crate::query::QueryId;
use crate::role::Role;
use crate::trace;
use ambient::entropy::KeyedState;
use ambient::{Instant, Now};
use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::net::SocketAddr;

/// All shards of one function.
pub struct Shards<R: Role> {
    stations: Vec<Station<R>>,
    outputs: VecDeque<WireOutput>,
    notices: VecDeque<R::Notice>,
    /// Accepted connections: whose they are. Those that a shard opens carry its number.
    accepted: BTreeMap<LinkId, ShardId>,
    /// Open queries: whose they are, and what they are called there.
    queries: BTreeMap<u64, (ShardId, QueryId)>,
    queries_count: u64,
    /// Parcels under way.
    parcels: VecDeque<(ShardId, ShardId, Parcel)>,
    parcels_max: usize,
    handed_over: u64,
}

impl<R: Role> Shards<R> {
    /// A function of these stations, as [`crate::assembly::shards`] makes them.
    pub fn new(stations: Vec<Station<R>>) -> Shards<R> {
        assert!(!stations.is_empty(), "a function has at least one shard");
        Shards {
            stations,
            outputs: VecDeque::new(),
            notices: VecDeque::new(),
            accepted: BTreeMap::new(),
            queries: BTreeMap::new(),
            queries_count: 0,
            parcels: VecDeque::new(),
            parcels_max: usize::MAX,
            handed_over: 0,
        }
    }

    /// With queues between the shards that hold so many parcels.
    pub fn with_parcels_max(self, parcels_max: usize) -> Shards<R> {
        Shards { parcels_max, ..self }
    }

    /// The shards, by number.
    pub fn stations(&self) -> &[Station<R>] {
        &self.stations
    }

    /// How many parcels the shards have given to each other.
    pub fn handed_over(&self) -> u64 {
        self.handed_over
    }

    /// The shard whose socket the system would give a datagram of this sender to.
    fn listener(&self, local: SocketAddr, remote: SocketAddr) -> usize {
        let spread = KeyedState::from_key((1, 2)).hash_one((local, remote));
        (spread % self.stations.len() as u64) as usize
    }

    fn owner(&mut self, link: LinkId) -> (usize, LinkId) {
        match link.is_accepted() {
            true => (self.accepted.get(&link).map_or(0, |shard| usize::from(shard.0)), link),
            false => {
                let shard = (link.0 >> SHARD_SHIFT) & SHARD_MASK;
                (shard as usize, LinkId(link.0 & !(SHARD_MASK << SHARD_SHIFT)))
            }
        }
    }
}

impl<R> Shards<R>
where
    R: Role + Send,
    Node<R>: Send,
    R::Notice: Send,
{
    fn input(&mut self, now: Now, input: WireInput) {
        match input {
            WireInput::Start { restored } => {
                for station in &mut self.stations {
                    station.handle(now, WireInput::Start { restored: restored.clone() });
                }
            }
            WireInput::Datagram { local, remote, .. } => {
                let listener = self.listener(local, remote);
                self.stations[listener].handle(now, input);
            }
            WireInput::DatagramFailed { remote, why } => {
                for station in &mut self.stations {
                    station.handle(now, WireInput::DatagramFailed { remote, why });
                }
            }
            WireInput::Accepted { link, protocol, local, remote } => {
                let listener = self.listener(local, remote);
                let home = self.stations[listener].home_of_connection(protocol, local, remote);
                self.accepted.insert(link, home);
                self.stations[usize::from(home.0)].handle(now, input);
            }
            WireInput::Connected { link, local } => {
                let (shard, link) = self.owner(link);
                self.stations[shard].handle(now, WireInput::Connected { link, local });
            }
            WireInput::ConnectFailed { link, why } => {
                let (shard, link) = self.owner(link);
                self.stations[shard].handle(now, WireInput::ConnectFailed { link, why });
            }
            WireInput::Received { link, bytes } => {
                let (shard, link) = self.owner(link);
                self.stations[shard].handle(now, WireInput::Received { link, bytes });
            }
            WireInput::Closed { link: outer } => {
                let (shard, link) = self.owner(outer);
                self.accepted.remove(&outer);
                self.stations[shard].handle(now, WireInput::Closed { link });
            }
            WireInput::Answered { id, answer } => {
                if let Some((shard, id)) = self.queries.remove(&id.0) {
                    self.stations[usize::from(shard.0)].handle(now, WireInput::Answered { id, answer });
                }
            }
            WireInput::Timeout => {
                for station in &mut self.stations {
                    station.handle(now, WireInput::Timeout);
                }
            }
            WireInput::Drain => {
                for station in &mut self.stations {
                    station.handle(now, WireInput::Drain);
                }
            }
            WireInput::Parcel { .. } | WireInput::ParcelReturned { .. } => {
                debug_assert!(false, "the shards of one machine have no others");
            }
        }
    }

    /// Carries what the shards say to each other until all are silent.
    fn carry(&mut self, now: Now) {
        loop {
            self.collect(now);
            let Some((from, to, parcel)) = self.parcels.pop_front() else { return };
            self.handed_over += 1;
            self.stations[usize::from(to.0)].handle(now, WireInput::Parcel { from, parcel });
        }
    }

    /// Takes what each shard puts out.
    fn collect(&mut self, now: Now) {
        for number in 0..self.stations.len() {
            let shard = ShardId(number as u16);
            while let Some(output) = self.stations[number].poll_output() {
                match output {
                    WireOutput::Parcel { shard: to, parcel } if self.parcels.len() < self.parcels_max => {
                        self.parcels.push_back((shard, to, parcel));
                    }
                    WireOutput::Parcel { shard: to, parcel } => {
                        self.stations[number].handle(now, WireInput::ParcelReturned { shard: to, parcel });
                    }
                    output => {
                        let output = self.outer(shard, output);
                        self.outputs.push_back(output);
                    }
                }
            }
            while let Some(notice) = self.stations[number].poll_notice() {
                self.notices.push_back(notice);
            }
        }
    }

    /// An output of a shard as one of the function: ids say whose they are.
    fn outer(&mut self, shard: ShardId, output: WireOutput) -> WireOutput {
        let outer = |link: LinkId| match link.is_accepted() {
            true => link,
            false => LinkId(link.0 | u64::from(shard.0) << SHARD_SHIFT),
        };
        match output {
            WireOutput::Connect { link, protocol, transport, local, remote } => {
                WireOutput::Connect { link: outer(link), protocol, transport, local, remote }
            }
            WireOutput::Write { link, bytes } => WireOutput::Write { link: outer(link), bytes },
            WireOutput::Close { link } => {
                self.accepted.remove(&link);
                WireOutput::Close { link: outer(link) }
            }
            WireOutput::Query { id, query } => {
                self.queries_count += 1;
                self.queries.insert(self.queries_count, (shard, id));
                WireOutput::Query { id: QueryId(self.queries_count), query }
            }
            output @ (WireOutput::Datagram { .. } | WireOutput::Parcel { .. }) => output,
        }
    }
}

impl<R> Machine for Shards<R>
where
    R: Role + Send,
    Node<R>: Send,
    R::Notice: Send,
{
    fn handle(&mut self, now: Now, input: WireInput) {
        self.input(now, input);
        self.carry(now);
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        self.stations.iter().filter_map(Machine::next_timeout).min_by_key(|(at, _)| *at)
    }

    fn is_drained(&self) -> bool {
        self.stations.iter().all(Machine::is_drained)
    }

    fn home_of_connection(&self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> ShardId {
        self.stations[0].home_of_connection(protocol, local, remote)
    }
}

impl<R> Operated for Shards<R>
where
    R: Role + Send,
    Node<R>: Send,
    R::Command: Clone + Send + 'static,
    R::Notice: Send + 'static,
{
    type Command = R::Command;
    type Notice = R::Notice;

    fn command(&mut self, now: Now, command: R::Command) {
        for station in &mut self.stations {
            station.command(now, command.clone());
        }
        self.carry(now);
    }

    fn poll_notice(&mut self) -> Option<R::Notice> {
        self.notices.pop_front()
    }

    fn set_trace(&mut self, on: bool) {
        self.stations.iter_mut().for_each(|station| station.set_trace(on));
    }

    fn poll_trace(&mut self) -> Option<trace::Event> {
        self.stations.iter_mut().find_map(Station::poll_trace)
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        metrics::merged(self.stations.iter().flat_map(Operated::snapshots))
    }

    fn counters(&self, of: Option<Part>) -> Vec<Count> {
        self.stations.iter().flat_map(|station| station.counters(of)).collect()
    }
}

/// Where the number of a shard stands in the id of a connection that it opened.
const SHARD_SHIFT: u32 = 48;
const SHARD_MASK: u64 = 0xff;

#[cfg(test)]
mod tests;
