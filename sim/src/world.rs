//! The world: hosts, their network, and one heap of what happens next.

mod streams;

use crate::host::{Factory, Host};
use crate::nat::Nat;
use crate::network::{Link, Network};
use crate::security::{Esp, Leaving, Marks, Origin};
use ambient::{Entropy, Instant, Now, Wall};
use cscf::query::{Answer, Query, QueryId, Record, Secure, StoreFailure, Unresolved};
use cscf::resolve::Naptr;
use cscf::station::{WireInput, WireOutput};
use cscf::trace;
use ipsec::{Protocol, Selector};
use std::any::Any;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use streams::{End, Stream, StreamEvent};

/// Index of a host.
pub type HostId = usize;

/// What happens at one moment.
#[derive(Debug)]
enum Happening {
    /// A datagram arrives in clear.
    Datagram { to: HostId, local: SocketAddr, remote: SocketAddr, bytes: Vec<u8> },
    /// An ESP packet arrives.
    Esp { to: HostId, origin: Origin, packet: Vec<u8> },
    /// A stream does something at one of its ends.
    Stream { stream: usize, end: End, what: StreamEvent },
    /// A host wants its timeout.
    Wake { host: HostId, life: u32 },
    /// A store has written.
    Stored { host: HostId, life: u32, id: QueryId, records: Vec<Record> },
    /// A query is answered.
    Answered { host: HostId, life: u32, id: QueryId, answer: Answer },
}

/// What becomes of something on its way, after a story had its hands on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, as it is by then.
    Pass,
    /// It is lost. (What a stream loses is not sent again.)
    Drop,
}

/// Told the sender, the receiver and the bytes, which it may change.
type Tamper = Box<dyn FnMut(&str, &str, &mut Vec<u8>) -> Fate>;

/// One packet as the network between two hosts sees it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sent it.
    pub from: HostId,
    /// Whom it is for.
    pub to: HostId,
    /// Whether it is ESP.
    pub is_esp: bool,
    /// All of it behind the IP header; of what goes in clear, the payload.
    pub bytes: Vec<u8>,
}

/// One thing that was traced.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The host that saw it.
    pub host: HostId,
    /// In which of its lives.
    pub life: u32,
    /// What it saw.
    pub event: trace::Event,
}

/// All of it.
pub struct World {
    now: Now,
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    sequence: u64,
    hosts: Vec<Host>,
    streams: Vec<Stream>,
    nats: Vec<Nat>,
    /// The links.
    pub network: Network,
    entropy: Entropy,
    traced: Vec<Traced>,
    tamper: Option<Tamper>,
    tapped: Option<Vec<Packet>>,
    next_port: u16,
    next_link: u64,
    /// The NAPTR records of names, as DNS has them.
    pub zone: BTreeMap<String, Vec<Naptr>>,
    /// How long a store takes to acknowledge, at most.
    pub store_delay_max: Duration,
    steps: u64,
}

impl World {
    /// An empty world.
    pub fn seeded(seed: u64) -> World {
        crate::errors::watch();
        let mut entropy = Entropy::seeded(seed);
        World {
            // A date that all seeds share, so that golden files do not change.
            now: Now { instant: Instant::START, wall: Wall::from_millis(1_767_225_600_000) },
            heap: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            hosts: Vec::new(),
            streams: Vec::new(),
            nats: Vec::new(),
            network: Network::new(Link::GOOD, entropy.fork()),
            entropy,
            traced: Vec::new(),
            tamper: None,
            tapped: None,
            next_port: 30_000,
            next_link: 0,
            zone: BTreeMap::new(),
            store_delay_max: Duration::from_millis(5),
            steps: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Everything that was traced so far, in order.
    pub fn traced(&self) -> &[Traced] {
        &self.traced
    }

    /// How many inputs were handled.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> HostId {
        self.hosts
            .iter()
            .position(|host| host.name == name)
            .unwrap_or_else(|| panic!("no host is called {name}"))
    }

    /// Adds a host and starts it.
    pub fn add(&mut self, name: &str, address: IpAddr, factory: Factory) -> HostId {
        let esp = Esp::new(Entropy::seeded(0));
        self.hosts.push(Host {
            name: name.to_owned(),
            address,
            machine: None,
            factory,
            disk: BTreeMap::new(),
            esp,
            marks: Marks::new(),
            left_last: None,
            life: 0,
            notices: Vec::new(),
            disk_fails: false,
            refuses_streams: false,
            wakes_at: None,
        });
        let id = self.hosts.len() - 1;
        self.start(id);
        id
    }

    /// Starts a host that is down, with what its disk holds.
    pub fn start(&mut self, id: HostId) {
        let seed = self.entropy.next_u64();
        let host = &mut self.hosts[id];
        assert!(host.machine.is_none(), "{} is up", host.name);
        host.life += 1;
        host.wakes_at = None;
        host.esp = Esp::new(Entropy::seeded(seed ^ 0x6573_7000));
        let restored = host.restored();
        host.machine = Some((host.factory)(seed));
        self.input(id, WireInput::Start { restored });
    }

    /// Crashes a host: everything in memory is gone, its connections are reset.
    pub fn crash(&mut self, id: HostId) {
        self.hosts[id].machine = None;
        self.hosts[id].wakes_at = None;
        for stream in 0..self.streams.len() {
            let Stream { opener, accepter, is_open, .. } = self.streams[stream];
            if !is_open {
                continue;
            }
            if opener.0 == id {
                self.reset(stream, End::Accepter);
            } else if accepter.0 == id {
                self.reset(stream, End::Opener);
            }
        }
    }

    /// A host loses what its disk holds.
    pub fn lose_disk(&mut self, id: HostId) {
        self.hosts[id].disk.clear();
    }

    /// Whether a host is up.
    pub fn is_up(&self, id: HostId) -> bool {
        self.hosts[id].machine.is_some()
    }

    /// Makes a host's disk refuse to write, or write again.
    pub fn set_disk_fails(&mut self, id: HostId, fails: bool) {
        self.hosts[id].disk_fails = fails;
    }

    /// Makes a host refuse connections of SIP, or take them again.
    pub fn set_refuses_streams(&mut self, id: HostId, refuses: bool) {
        self.hosts[id].refuses_streams = refuses;
    }

    /// Makes other machines of a host from its next start on; what made them before comes back.
    pub fn replace(&mut self, id: HostId, factory: Factory) -> Factory {
        std::mem::replace(&mut self.hosts[id].factory, factory)
    }

    /// Shows every packet between hosts to `tamper`, which may change it or lose it.
    pub fn set_tamper(&mut self, tamper: impl FnMut(&str, &str, &mut Vec<u8>) -> Fate + 'static) {
        self.tamper = Some(Box::new(tamper));
    }

    /// Leaves packets alone again.
    pub fn clear_tamper(&mut self) {
        self.tamper = None;
    }

    /// A datagram arrives, whoever sent it: source addresses can be forged.
    pub fn inject(&mut self, remote: SocketAddr, local: SocketAddr, bytes: &[u8]) {
        let (to, local) = self.place_of(local).unwrap_or_else(|| panic!("nobody is at {local}"));
        self.schedule(self.now.instant, Happening::Datagram { to, local, remote, bytes: bytes.to_vec() });
    }

    /// An ESP packet arrives, whoever sent it.
    pub fn inject_esp(&mut self, source: IpAddr, to: HostId, packet: &[u8]) {
        let origin = Origin::Ip(source);
        self.schedule(self.now.instant, Happening::Esp { to, origin, packet: packet.to_vec() });
    }

    /// An ESP packet arrives in UDP, whoever sent it.
    pub fn inject_esp_in_udp(&mut self, source: SocketAddr, to: HostId, packet: &[u8]) {
        let origin = Origin::Udp(source);
        self.schedule(self.now.instant, Happening::Esp { to, origin, packet: packet.to_vec() });
    }

    /// Puts a host behind the NAT at this address.
    pub fn put_behind_nat(&mut self, host: HostId, outside: IpAddr) {
        match self.nats.iter_mut().find(|nat| nat.outside() == outside) {
            Some(nat) => nat.take_in(host),
            None => {
                let mut nat = Nat::new(outside);
                nat.take_in(host);
                self.nats.push(nat);
            }
        }
    }

    /// Moves the NAT at an address to another one; it forgets whom its ports are of.
    pub fn move_nat(&mut self, from: IpAddr, to: IpAddr) {
        self.nats.iter_mut().filter(|nat| nat.outside() == from).for_each(|nat| nat.move_to(to));
    }

    /// Keeps every packet that leaves from here on, for [`World::taken`].
    pub fn tap(&mut self) {
        self.tapped = Some(Vec::new());
    }

    /// The packets that left since the tap was set.
    pub fn taken(&self) -> &[Packet] {
        self.tapped.as_deref().unwrap_or_default()
    }

    fn take(&mut self, from: HostId, to: HostId, is_esp: bool, bytes: &[u8]) {
        if let Some(tapped) = &mut self.tapped {
            tapped.push(Packet { from, to, is_esp, bytes: bytes.to_vec() });
        }
    }

    fn tampered(&mut self, from: HostId, to: HostId, bytes: &mut Vec<u8>) -> Fate {
        match &mut self.tamper {
            Some(tamper) => tamper(&self.hosts[from].name, &self.hosts[to].name, bytes),
            None => Fate::Pass,
        }
    }

    /// Gives a command to the machine of a host that is up.
    pub fn command(&mut self, id: HostId, command: impl Any) {
        let now = self.now;
        if let Some(machine) = &mut self.hosts[id].machine {
            assert!(
                machine.command(now, Box::new(command)),
                "the command is not one of {}",
                self.hosts[id].name
            );
        }
        self.carry_out(id);
    }

    /// Takes the notices that a host has given since the last time.
    pub fn take_notices<N: Any>(&mut self, id: HostId) -> Vec<(Instant, N)> {
        let taken = std::mem::take(&mut self.hosts[id].notices);
        taken.into_iter().filter_map(|(at, notice)| Some((at, *notice.downcast::<N>().ok()?))).collect()
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now.instant + by;
        while self.step_until(until) {}
        self.set_time(until);
    }

    /// Runs until `is_done` or for `at_most`; whether it was done.
    pub fn run_until(&mut self, at_most: Duration, mut is_done: impl FnMut(&mut World) -> bool) -> bool {
        let until = self.now.instant + at_most;
        loop {
            if is_done(self) {
                return true;
            }
            if !self.step_until(until) {
                self.set_time(until);
                return is_done(self);
            }
        }
    }

    /// Handles the next happening, unless it is later than `until`; false when there is none.
    fn step_until(&mut self, until: Instant) -> bool {
        let Some(Reverse((at, sequence))) = self.heap.peek().copied() else { return false };
        if at > until {
            return false;
        }
        self.heap.pop();
        let Some(happening) = self.happenings.remove(&sequence) else { return true };
        self.set_time(at);
        self.steps += 1;
        self.happen(happening);
        true
    }

    fn set_time(&mut self, at: Instant) {
        let passed = at.since(self.now.instant);
        self.now = self.now.after(passed);
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence)));
        self.happenings.insert(self.sequence, happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Datagram { to, local, remote, bytes } => {
                if self.hosts[to].esp.lets_in(local) {
                    self.input(to, WireInput::Datagram { local, remote, bytes });
                }
            }
            Happening::Esp { to, origin, mut packet } => {
                if let Some((ends, Protocol::Udp, bytes)) = self.unsealed(to, origin, &mut packet) {
                    self.input(to, WireInput::Datagram { local: ends.local, remote: ends.remote, bytes });
                }
            }
            Happening::Stream { stream, end, what } => self.stream_event(stream, end, what),
            Happening::Wake { host, life } => {
                // One that was overtaken by an earlier one means nothing any more.
                let is_due = self.hosts[host].wakes_at == Some(self.now.instant);
                if self.hosts[host].life == life && is_due {
                    self.hosts[host].wakes_at = None;
                    self.input(host, WireInput::Timeout);
                }
            }
            Happening::Stored { host, life, id, records } => {
                // A host that crashed before the disk had it has lost it.
                if self.hosts[host].life == life && self.is_up(host) {
                    let answer = if self.hosts[host].disk_fails {
                        Err(StoreFailure::Failed("disk full".to_owned()))
                    } else {
                        self.hosts[host].write(records);
                        Ok(())
                    };
                    self.input(host, WireInput::Answered { id, answer: Answer::Stored(answer) });
                }
            }
            Happening::Answered { host, life, id, answer } => {
                if self.hosts[host].life == life {
                    self.input(host, WireInput::Answered { id, answer });
                }
            }
        }
    }

    fn input(&mut self, id: HostId, input: WireInput) {
        let now = self.now;
        if let Some(machine) = &mut self.hosts[id].machine {
            machine.handle(now, input);
        }
        self.carry_out(id);
    }

    /// Does what a machine asks for after an input.
    fn carry_out(&mut self, id: HostId) {
        while let Some(output) = self.hosts[id].machine.as_mut().and_then(|machine| machine.poll_output()) {
            self.output(id, output);
        }
        let now = self.now.instant;
        let host = &mut self.hosts[id];
        let Some(machine) = &mut host.machine else { return };
        while let Some(event) = machine.poll_trace() {
            self.traced.push(Traced { host: id, life: host.life, event });
        }
        while let Some(notice) = machine.poll_notice() {
            host.notices.push((now, notice));
        }
        if let Some((at, _)) = machine.next_timeout() {
            let at = at.max(now);
            if host.wakes_at.is_none_or(|wakes_at| at < wakes_at) {
                host.wakes_at = Some(at);
                let life = host.life;
                self.schedule(at, Happening::Wake { host: id, life });
            }
        }
    }

    fn output(&mut self, id: HostId, output: WireOutput) {
        let now = self.now.instant;
        match output {
            WireOutput::Datagram { local, remote, mut bytes } => {
                let ends = Selector { local, remote };
                let outer = self.hosts[id].esp.outer(ends).unwrap_or(ends);
                let Some((to, _)) = self.place_of(outer.remote) else { return };
                if self.tampered(id, to, &mut bytes) == Fate::Drop {
                    return;
                }
                let (a, b) = (self.hosts[id].name.clone(), self.hosts[to].name.clone());
                let leaving = self.sealed(id, ends, Protocol::Udp, bytes);
                match &leaving {
                    Leaving::Clear(bytes) => self.take(id, to, false, bytes),
                    Leaving::Esp(packet, _) => self.take(id, to, true, packet),
                    Leaving::Nothing => return,
                }
                let origin = match &leaving {
                    Leaving::Esp(_, tunnel) => self.origin(id, to, local.ip(), *tunnel),
                    Leaving::Clear(_) | Leaving::Nothing => None,
                };
                if let (Leaving::Esp(packet, _), Some(origin)) = (&leaving, origin) {
                    self.hosts[id].left_last = Some((to, origin, packet.clone()));
                }
                let source = self.outside_of(id, outer.local);
                let inner = self.place_of(outer.remote).map_or(outer.remote, |(_, inner)| inner);
                for delay in self.network.datagram(&a, &b) {
                    let arrival = match (&leaving, origin) {
                        (Leaving::Clear(bytes), _) => {
                            Happening::Datagram { to, local: inner, remote: source, bytes: bytes.clone() }
                        }
                        (Leaving::Esp(packet, _), Some(origin)) => {
                            Happening::Esp { to, origin, packet: packet.clone() }
                        }
                        (Leaving::Esp(..), None) | (Leaving::Nothing, _) => return,
                    };
                    self.schedule(now + delay, arrival);
                }
            }
            WireOutput::Connect { link, protocol, local, remote, .. } => {
                self.connect(id, link, protocol, local, remote);
            }
            WireOutput::Write { link, mut bytes } => {
                if let Some((stream, end)) = self.stream_of(id, link) {
                    let Stream { opener, accepter, addresses, .. } = self.streams[stream];
                    let to = if end == End::Opener { accepter.0 } else { opener.0 };
                    if self.tampered(id, to, &mut bytes) == Fate::Drop {
                        return;
                    }
                    let (local, remote) = match end {
                        End::Opener => addresses,
                        End::Accepter => (addresses.1, addresses.0),
                    };
                    match self.sealed(id, Selector { local, remote }, Protocol::Tcp, bytes) {
                        Leaving::Clear(_) if self.streams[stream].is_sealed => {}
                        Leaving::Clear(bytes) => {
                            self.take(id, to, false, &bytes);
                            self.write(stream, end, StreamEvent::Bytes(bytes));
                        }
                        Leaving::Esp(packet, tunnel) => {
                            self.take(id, to, true, &packet);
                            if let Some(origin) = self.origin(id, to, local.ip(), tunnel) {
                                self.hosts[id].left_last = Some((to, origin, packet.clone()));
                                self.write(stream, end, StreamEvent::Sealed(packet, origin));
                            }
                        }
                        Leaving::Nothing => {}
                    }
                }
            }
            WireOutput::Close { link } => {
                if let Some((stream, end)) = self.stream_of(id, link) {
                    self.write(stream, end, StreamEvent::Closed);
                    self.streams[stream].is_open = false;
                }
            }
            WireOutput::Parcel { shard, .. } => unreachable!("a machine keeps its shards inside: {shard:?}"),
            WireOutput::Query { id: query, query: Query::Store(records) } => {
                let delay = self.entropy.below(self.store_delay_max.as_micros() as u64 + 1);
                let life = self.hosts[id].life;
                let stored = Happening::Stored { host: id, life, id: query, records };
                self.schedule(now + Duration::from_micros(delay), stored);
            }
            WireOutput::Query { id: query, query: Query::Secure(wish) } => {
                if matches!(wish, Secure::Repeat(_))
                    && let Some((to, origin, packet)) = self.hosts[id].left_last.clone()
                {
                    self.schedule(now + Duration::from_millis(1), Happening::Esp { to, origin, packet });
                }
                let host = &mut self.hosts[id];
                let answer = Answer::Secured(host.esp.secure(wish, &mut host.marks));
                let answered = Happening::Answered { host: id, life: host.life, id: query, answer };
                self.schedule(now + Duration::from_micros(100), answered);
            }
            WireOutput::Query { id: query, query: Query::Naptr(name) } => {
                let answer = Answer::Naptr(Ok(self.zone.get(&name).cloned().unwrap_or_default()));
                let life = self.hosts[id].life;
                let answered = Happening::Answered { host: id, life, id: query, answer };
                self.schedule(now + Duration::from_millis(1), answered);
            }
            WireOutput::Query { id: query, query: question } => {
                let name = format!("{question:?}");
                let answer = Answer::Resolved(Err(Unresolved::NoRecord(name)));
                let life = self.hosts[id].life;
                let answered = Happening::Answered { host: id, life, id: query, answer };
                self.schedule(now + Duration::from_millis(1), answered);
            }
        }
    }

    /// What leaves a host between two ports, by its associations.
    fn sealed(&mut self, id: HostId, ends: Selector, protocol: Protocol, bytes: Vec<u8>) -> Leaving {
        let host = &mut self.hosts[id];
        let leaving = host.esp.leave(ends, protocol, bytes, self.now.wall);
        host.esp.mark(&mut host.marks);
        leaving
    }

    /// What an ESP packet holds for a host.
    fn unsealed(
        &mut self,
        id: HostId,
        origin: Origin,
        packet: &mut [u8],
    ) -> Option<(Selector, Protocol, Vec<u8>)> {
        let host = &mut self.hosts[id];
        let opened = host.esp.open(origin, packet, self.now.wall);
        host.esp.mark(&mut host.marks);
        opened.filter(|_| host.machine.is_some())
    }

    /// How ESP of a host comes to another one; `None` where a NAT is in its way.
    fn origin(&mut self, id: HostId, to: HostId, source: IpAddr, tunnel: Option<Selector>) -> Option<Origin> {
        let has_nat = self.nats.iter().any(|nat| nat.hides(id) || nat.hides(to));
        match tunnel {
            Some(tunnel) => Some(Origin::Udp(self.outside_of(id, tunnel.local))),
            None => (!has_nat).then_some(Origin::Ip(source)),
        }
    }

    /// How a port of a host looks to others.
    fn outside_of(&mut self, id: HostId, local: SocketAddr) -> SocketAddr {
        match self.nats.iter_mut().find(|nat| nat.hides(id)) {
            Some(nat) => nat.translate(id, local),
            None => local,
        }
    }

    /// Whose port this is, and which one it is there; nobody reaches those behind a NAT but through it.
    fn place_of(&self, remote: SocketAddr) -> Option<(HostId, SocketAddr)> {
        let inside = self.nats.iter().find_map(|nat| nat.inside(remote));
        let is_hidden = |id: &HostId| self.nats.iter().any(|nat| nat.hides(*id));
        let open = || {
            let owner = self.hosts.iter().position(|host| host.address == remote.ip());
            owner.filter(|id| !is_hidden(id)).map(|id| (id, remote))
        };
        inside.or_else(open)
    }
}
