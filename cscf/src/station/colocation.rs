//! P-, I- and S-CSCF in one process, on one thread: what one sends to another stays in memory.
//!
//! TS 23.228 §4.6 leaves it to the operator which functions share a machine. Each stays a station of its own, with its
//! own transactions, addresses and records; a datagram between two of them is handed over as the bytes that a socket would
//! have carried, and the receiver parses it anew and trusts it by the same address. So both ways of running are the same
//! code, and what passes between the functions is the same in both.
//!
//! With several shards, each shard of the driver has one shard of every function.
//!
//! All three keep their records in one store, which makes them durable in the order in which they were given. So the
//! S-CSCF need not wait for its own write: it goes on at once, what follows from it inside the process goes on too, up to the
//! write of the P-CSCF, and what would leave the process is held until the disk has both. A registration waits for the disk
//! once and not twice, and still nobody is told of what could be lost.

use super::{LinkId, Machine, Operated, Parcel, Protocol, ShardId, Station, WireInput, WireOutput};
use crate::assembly::Part;
use crate::config::Config;
use crate::flow::{Side, Transport};
use crate::metrics::Snapshot;
use crate::node::{Count, Node};
use crate::query::{Answer, Query, QueryId, Record, StoreFailure};
use crate::role::Role;
use crate::trace;
use ambient::{Instant, Now};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;

/// The three CSCFs as one machine.
pub struct Colocation<P: Role, I: Role, S: Role> {
    pcscf: Station<P>,
    icscf: Station<I>,
    scscf: Station<S>,
    /// Who listens where; of several at one address the first.
    listening: Vec<(SocketAddr, Transport, Part)>,
    /// Accepted connections: whose they are. Those that a function opens carry its number.
    accepted: BTreeMap<LinkId, Part>,
    /// On its way from one function to another.
    carried: VecDeque<Carried>,
    /// The write that what is being handled follows from, though it is not durable yet.
    after: Option<QueryId>,
    /// What leaves when the write before it is durable.
    held: VecDeque<(QueryId, WireOutput)>,
    /// Writes whose function has gone on, in their order.
    early: VecDeque<QueryId>,
    /// Writes that follow from these.
    following: VecDeque<Following>,
    outputs: VecDeque<WireOutput>,
}

/// What no driver sees.
#[derive(Debug)]
enum Carried {
    /// A datagram between two functions.
    Datagram { to: Part, sender: SocketAddr, receiver: SocketAddr, bytes: Vec<u8> },
    /// The S-CSCF may go on: its write, by its name outside, has its place in the order.
    Ordered(QueryId),
}

/// A write that follows from one before it.
#[derive(Debug)]
struct Following {
    id: QueryId,
    after: QueryId,
    /// The one before it failed.
    is_lost: bool,
}

/// What is of one of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfPart<P, I, S> {
    /// Of the P-CSCF.
    Pcscf(P),
    /// Of the I-CSCF.
    Icscf(I),
    /// Of the S-CSCF.
    Scscf(S),
}

impl<P: Role, I: Role, S: Role> Colocation<P, I, S> {
    /// The stations of `config`, beside each other.
    pub fn new(
        config: &Config,
        mut pcscf: Station<P>,
        mut icscf: Station<I>,
        mut scscf: Station<S>,
    ) -> Colocation<P, I, S> {
        let mut listening = Vec::new();
        for part in Part::ALL {
            // What comes by security associations or from a UE behind a socket comes from a socket.
            let open = part.locals(config).into_iter().filter(|local| local.side != Side::Protected);
            listening.extend(open.map(|local| (local.address, local.transport, part)));
        }
        let datagrams = |without: Part| {
            let others = listening
                .iter()
                .filter(|(_, transport, part)| *transport == Transport::Udp && *part != without);
            others.map(|(address, ..)| *address).collect()
        };
        pcscf.node_mut().set_colocated(datagrams(Part::Pcscf));
        icscf.node_mut().set_colocated(datagrams(Part::Icscf));
        scscf.node_mut().set_colocated(datagrams(Part::Scscf));
        Colocation {
            pcscf,
            icscf,
            scscf,
            listening,
            accepted: BTreeMap::new(),
            carried: VecDeque::new(),
            after: None,
            held: VecDeque::new(),
            early: VecDeque::new(),
            following: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The P-CSCF.
    pub fn pcscf(&self) -> &Station<P> {
        &self.pcscf
    }

    /// The I-CSCF.
    pub fn icscf(&self) -> &Station<I> {
        &self.icscf
    }

    /// The S-CSCF.
    pub fn scscf(&self) -> &Station<S> {
        &self.scscf
    }

    /// Whose listening point this is.
    fn listener(&self, address: SocketAddr, transport: Transport) -> Option<Part> {
        let is_it = |(at, by, _): &&(SocketAddr, Transport, Part)| *at == address && *by == transport;
        self.listening.iter().find(is_it).map(|(.., part)| *part)
    }

    /// Whose connection this is, by its id or, where it was accepted, by where.
    fn owner(&self, link: LinkId) -> (Part, LinkId) {
        match link.is_accepted() {
            true => (self.accepted.get(&link).copied().unwrap_or(Part::Pcscf), link),
            false => {
                let part = part(link.0 >> LINK_SHIFT);
                (part, LinkId(link.0 & !(PART_MASK << LINK_SHIFT)))
            }
        }
    }

    /// Whose listening point accepts a connection: protected ports are the P-CSCF's, and speak SIP.
    fn accepting(&self, protocol: Protocol, local: SocketAddr) -> Part {
        match protocol {
            Protocol::Sip => {
                let by_tcp = self.listener(local, Transport::Tcp);
                by_tcp.or_else(|| self.listener(local, Transport::Tls)).unwrap_or(Part::Pcscf)
            }
            // No CSCF listens for Diameter; whoever is asked closes it.
            Protocol::Diameter => Part::Icscf,
        }
    }
}

impl<P, I, S> Colocation<P, I, S>
where
    Station<P>: Machine,
    Station<I>: Machine,
    Station<S>: Machine,
    P: Role,
    I: Role,
    S: Role,
{
    fn station(&mut self, part: Part) -> &mut dyn Machine {
        match part {
            Part::Pcscf => &mut self.pcscf,
            Part::Icscf => &mut self.icscf,
            Part::Scscf => &mut self.scscf,
        }
    }

    fn stations(&self) -> [&dyn Machine; 3] {
        [&self.pcscf, &self.icscf, &self.scscf]
    }

    fn input(&mut self, now: Now, input: WireInput) {
        let (part, input) = match input {
            WireInput::Start { restored } => return self.start(now, restored),
            WireInput::Timeout => return self.timeout(now),
            WireInput::Drain => return self.each(now, || WireInput::Drain),
            WireInput::DatagramFailed { remote, why } => {
                return self.each(now, || WireInput::DatagramFailed { remote, why });
            }
            WireInput::Datagram { local, .. } => {
                // A protected port is the P-CSCF's.
                (self.listener(local, Transport::Udp).unwrap_or(Part::Pcscf), input)
            }
            WireInput::Accepted { link, protocol, local, .. } => {
                let part = self.accepting(protocol, local);
                self.accepted.insert(link, part);
                (part, input)
            }
            WireInput::Connected { link, local } => {
                let (part, link) = self.owner(link);
                (part, WireInput::Connected { link, local })
            }
            WireInput::ConnectFailed { link, why } => {
                let (part, link) = self.owner(link);
                (part, WireInput::ConnectFailed { link, why })
            }
            WireInput::Received { link, bytes } => {
                let (part, link) = self.owner(link);
                (part, WireInput::Received { link, bytes })
            }
            WireInput::Closed { link: outer } => {
                let (part, link) = self.owner(outer);
                self.accepted.remove(&outer);
                (part, WireInput::Closed { link })
            }
            WireInput::Answered { id, answer: Answer::Stored(result) } if self.early.contains(&id) => {
                return self.durable(id, result);
            }
            WireInput::Answered { id, answer: Answer::Stored(result) } => {
                let answer = Answer::Stored(self.in_order(id, result));
                let (part, id) = inner_query(id);
                (part, WireInput::Answered { id, answer })
            }
            WireInput::Answered { id, answer } => {
                let (part, id) = inner_query(id);
                (part, WireInput::Answered { id, answer })
            }
            WireInput::Parcel { ref parcel, .. } | WireInput::ParcelReturned { ref parcel, .. } => {
                (parcel.part.unwrap_or(Part::Pcscf), input)
            }
        };
        self.tell(now, part, input);
    }

    /// Gives each function its own records.
    fn start(&mut self, now: Now, restored: Vec<Record>) {
        let mut records = Part::ALL.map(|_| Vec::new());
        for mut record in restored {
            match Part::ALL.iter().position(|part| is_of(*part, &record)) {
                Some(number) => {
                    record.key.remove(0);
                    records[number].push(record);
                }
                None => tracing::warn!("the store has a record of an unknown function: it is left alone"),
            }
        }
        for (part, restored) in Part::ALL.into_iter().zip(records) {
            self.tell(now, part, WireInput::Start { restored });
        }
    }

    /// Time has passed: for those for whom it is time.
    fn timeout(&mut self, now: Now) {
        for part in Part::ALL {
            if self.station(part).next_timeout().is_some_and(|(at, _)| at <= now.instant) {
                self.tell(now, part, WireInput::Timeout);
            }
        }
    }

    fn each(&mut self, now: Now, input: impl Fn() -> WireInput) {
        for part in Part::ALL {
            self.tell(now, part, input());
        }
    }

    fn tell(&mut self, now: Now, part: Part, input: WireInput) {
        self.station(part).handle(now, input);
        self.collect(now, part);
    }

    /// Carries between the functions until all are silent.
    fn carry(&mut self, now: Now) {
        while let Some(carried) = self.carried.pop_front() {
            match carried {
                Carried::Datagram { to, sender, receiver, bytes } => {
                    self.tell(now, to, WireInput::Datagram { local: receiver, remote: sender, bytes });
                }
                Carried::Ordered(write) => {
                    self.after = Some(write);
                    let (part, id) = inner_query(write);
                    self.tell(now, part, WireInput::Answered { id, answer: Answer::Stored(Ok(())) });
                }
            }
        }
        self.after = None;
    }

    /// A write that its function did not wait for has come to its end: what was held for it leaves, or is lost with it.
    fn durable(&mut self, write: QueryId, result: Result<(), StoreFailure>) {
        self.early.retain(|early| *early != write);
        if let Err(why) = &result {
            tracing::error!(%why, "what the S-CSCF has registered is not stored: the UE is not told that it is");
        }
        for (after, output) in std::mem::take(&mut self.held) {
            match after == write {
                false => self.held.push_back((after, output)),
                true if result.is_ok() => self.outputs.push_back(output),
                true => {}
            }
        }
        if result.is_err() {
            let follow = self.following.iter_mut().filter(|following| following.after == write);
            follow.for_each(|following| following.is_lost = true);
        }
    }

    /// The result of a write that others may stand before: good only if theirs was.
    fn in_order(&mut self, id: QueryId, result: Result<(), StoreFailure>) -> Result<(), StoreFailure> {
        let Some(at) = self.following.iter().position(|following| following.id == id) else { return result };
        let is_lost = self.following.remove(at).is_some_and(|following| following.is_lost);
        match is_lost {
            true => Err(StoreFailure::Failed("what it follows from could not be stored".to_owned())),
            false => result,
        }
    }

    /// Lets an output go, or holds it for the write that it follows from.
    fn put_out(&mut self, output: WireOutput) {
        match (self.after, &output) {
            (
                Some(write),
                WireOutput::Datagram { .. } | WireOutput::Write { .. } | WireOutput::Parcel { .. },
            ) => {
                return self.held.push_back((write, output));
            }
            (Some(after), &WireOutput::Query { id, query: Query::Store(_) }) if !self.early.contains(&id) => {
                self.following.push_back(Following { id, after, is_lost: false });
            }
            _ => {}
        }
        self.outputs.push_back(output);
    }

    /// Takes what one of them puts out.
    fn collect(&mut self, now: Now, part: Part) {
        while let Some(output) = self.station(part).poll_output() {
            match output {
                WireOutput::Datagram { local, remote, bytes } => {
                    match self.listener(remote, Transport::Udp) {
                        None => self.put_out(WireOutput::Datagram { local, remote, bytes }),
                        Some(to) if self.carried.len() < CARRIED_MAX => {
                            let carried = Carried::Datagram { to, sender: local, receiver: remote, bytes };
                            self.carried.push_back(carried);
                        }
                        Some(_) => {
                            let why = "the other function of this process has too much to do";
                            self.station(part).handle(now, WireInput::DatagramFailed { remote, why });
                        }
                    }
                }
                output => {
                    let output = self.outer(part, output);
                    if let WireOutput::Query { id, query: Query::Store(_) } = output
                        && part == Part::Scscf
                        && !is_named(id)
                    {
                        self.early.push_back(id);
                        self.carried.push_back(Carried::Ordered(id));
                    }
                    self.put_out(output);
                }
            }
        }
    }

    /// An output of one function as one of the process: ids and records say whose they are.
    fn outer(&mut self, part: Part, output: WireOutput) -> WireOutput {
        let outer = |link: LinkId| match link.is_accepted() {
            true => link,
            false => LinkId(link.0 | number(part) << LINK_SHIFT),
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
                let query = match query {
                    Query::Store(mut records) => {
                        records.iter_mut().for_each(|record| mark(part, record));
                        Query::Store(records)
                    }
                    query => query,
                };
                WireOutput::Query { id: outer_query(part, id), query }
            }
            WireOutput::Parcel { shard, parcel } => {
                WireOutput::Parcel { shard, parcel: Parcel { part: Some(part), ..parcel } }
            }
            output @ WireOutput::Datagram { .. } => output,
        }
    }
}

impl<P, I, S> Machine for Colocation<P, I, S>
where
    P: Role + Send,
    I: Role + Send,
    S: Role + Send,
    Node<P>: Send,
    Node<I>: Send,
    Node<S>: Send,
    P::Notice: Send,
    I::Notice: Send,
    S::Notice: Send,
{
    fn handle(&mut self, now: Now, input: WireInput) {
        self.input(now, input);
        self.carry(now);
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        self.stations().into_iter().filter_map(Machine::next_timeout).min_by_key(|(at, _)| *at)
    }

    fn is_drained(&self) -> bool {
        self.held.is_empty() && self.stations().into_iter().all(Machine::is_drained)
    }

    fn home_of_connection(&self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> ShardId {
        match self.accepting(protocol, local) {
            Part::Pcscf => self.pcscf.home_of_connection(protocol, local, remote),
            Part::Icscf => self.icscf.home_of_connection(protocol, local, remote),
            Part::Scscf => self.scscf.home_of_connection(protocol, local, remote),
        }
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        // Where most of what leaves comes from.
        self.pcscf.recycle(buffer);
    }

    fn spare_buffer(&mut self) -> Option<Vec<u8>> {
        let Colocation { pcscf, icscf, scscf, .. } = self;
        pcscf.spare_buffer().or_else(|| scscf.spare_buffer()).or_else(|| icscf.spare_buffer())
    }
}

impl<P, I, S> Operated for Colocation<P, I, S>
where
    P: Role + Send,
    I: Role + Send,
    S: Role + Send,
    Node<P>: Send,
    Node<I>: Send,
    Node<S>: Send,
    P::Command: Send + 'static,
    I::Command: Send + 'static,
    S::Command: Send + 'static,
    P::Notice: Send + 'static,
    I::Notice: Send + 'static,
    S::Notice: Send + 'static,
{
    type Command = OfPart<P::Command, I::Command, S::Command>;
    type Notice = OfPart<P::Notice, I::Notice, S::Notice>;

    fn command(&mut self, now: Now, command: Self::Command) {
        let part = match command {
            OfPart::Pcscf(command) => {
                self.pcscf.command(now, command);
                Part::Pcscf
            }
            OfPart::Icscf(command) => {
                self.icscf.command(now, command);
                Part::Icscf
            }
            OfPart::Scscf(command) => {
                self.scscf.command(now, command);
                Part::Scscf
            }
        };
        self.collect(now, part);
        self.carry(now);
    }

    fn poll_notice(&mut self) -> Option<Self::Notice> {
        let Colocation { pcscf, icscf, scscf, .. } = self;
        (pcscf.poll_notice().map(OfPart::Pcscf))
            .or_else(|| icscf.poll_notice().map(OfPart::Icscf))
            .or_else(|| scscf.poll_notice().map(OfPart::Scscf))
    }

    fn set_trace(&mut self, on: bool) {
        self.pcscf.set_trace(on);
        self.icscf.set_trace(on);
        self.scscf.set_trace(on);
    }

    fn poll_trace(&mut self) -> Option<trace::Event> {
        let Colocation { pcscf, icscf, scscf, .. } = self;
        pcscf.poll_trace().or_else(|| icscf.poll_trace()).or_else(|| scscf.poll_trace())
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        [self.pcscf.snapshots(), self.icscf.snapshots(), self.scscf.snapshots()]
            .into_iter()
            .flatten()
            .collect()
    }

    fn set_recorder(&mut self, name: &str, rule: &recorder::Rule) {
        self.pcscf.set_recorder(name, rule);
        self.icscf.set_recorder(name, rule);
        self.scscf.set_recorder(name, rule);
    }

    fn recorded(&mut self, of: Option<Part>, after: u64) -> Option<Vec<u8>> {
        match of.unwrap_or(Part::Pcscf) {
            Part::Pcscf => self.pcscf.recorded(of, after),
            Part::Icscf => self.icscf.recorded(of, after),
            Part::Scscf => self.scscf.recorded(of, after),
        }
    }

    fn record(&mut self, now: Now, fact: &recorder::FactRef<'_>) {
        // What a driver finds is about IPsec, which is the P-CSCF's.
        self.pcscf.record(now, fact);
    }

    fn counters(&self, of: Option<Part>) -> Vec<Count> {
        let counts = |part| match part {
            Part::Pcscf => self.pcscf.counters(of),
            Part::Icscf => self.icscf.counters(of),
            Part::Scscf => self.scscf.counters(of),
        };
        let asked = Part::ALL.into_iter().filter(|part| of.is_none_or(|of| of == *part));
        asked.flat_map(counts).collect()
    }
}

impl<P: Role, I: Role, S: Role> fmt::Debug for Colocation<P, I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Colocation").field("listening", &self.listening).finish_non_exhaustive()
    }
}

const fn number(part: Part) -> u64 {
    match part {
        Part::Pcscf => 0,
        Part::Icscf => 1,
        Part::Scscf => 2,
    }
}

const fn part(number: u64) -> Part {
    match number & PART_MASK {
        1 => Part::Icscf,
        2 => Part::Scscf,
        _ => Part::Pcscf,
    }
}

/// Makes a function's record one of the process. Records of the driver's own begin with a zero.
pub fn mark(part: Part, record: &mut Record) {
    record.key.insert(0, letter(part));
}

/// Whether a record of the process is one of this function.
pub fn is_of(part: Part, record: &Record) -> bool {
    record.key.first() == Some(&letter(part))
}

const fn letter(part: Part) -> u8 {
    match part {
        Part::Pcscf => b'P',
        Part::Icscf => b'I',
        Part::Scscf => b'S',
    }
}

/// Queries are numbered from below, and a few with a name of their own from above: the bits between are free in both.
fn outer_query(part: Part, QueryId(id): QueryId) -> QueryId {
    QueryId(id ^ (number(part) << QUERY_SHIFT))
}

const fn is_named(QueryId(id): QueryId) -> bool {
    id >> 63 == 1
}

fn inner_query(QueryId(id): QueryId) -> (Part, QueryId) {
    let part = part((if is_named(QueryId(id)) { !id } else { id }) >> QUERY_SHIFT);
    (part, QueryId(id ^ (number(part) << QUERY_SHIFT)))
}

const PART_MASK: u64 = 3;
/// Where the number of a function stands in the id of a connection that it opened.
const LINK_SHIFT: u32 = 56;
/// Where it stands in the id of a query.
const QUERY_SHIFT: u32 = 60;
/// Datagrams between the functions at one time. One input leads to a few: this many means that they breed.
const CARRIED_MAX: usize = 8192;

#[cfg(test)]
mod tests;
