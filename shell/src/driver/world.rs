//! The world as one machine sees it: its sockets, connections, store, names, and the other shards.

use super::Setup;
use super::company::Company;
use super::inbox::{Accepted, Inbox};
use super::security::Associations;
use crate::clock::Clock;
use crate::datagram::DatagramPorts;
use crate::dns::{Asked, Desk};
use crate::spare::Spare;
use crate::store::Store;
use crate::stream::{Links, Listeners};
use ambient::{Entropy, Instant, Now};
use cscf::node::Count;
use cscf::query::{Answer, Query, QueryId, Record, SecureFailure, StoreFailure};
use cscf::station::{Parcel, ShardId, WireInput, WireOutput};
use ipsec::Selector;
use mio::event::Event;
use mio::{Events, Poll, Token};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Everything around a machine.
pub(super) struct World {
    pub(super) datagrams: DatagramPorts,
    pub(super) links: Links,
    pub(super) listeners: Listeners,
    pub(super) spare: Spare,
    /// What the world answered at once.
    pub(super) inputs: VecDeque<WireInput>,
    security: Option<Associations>,
    /// How many sockets of our own ESP there are.
    protected: usize,
    shard: ShardId,
    company: Arc<Company>,
    inbox: Arc<Inbox>,
    /// What was said to the other shards in this turn.
    parcels: Vec<VecDeque<Parcel>>,
    clock: Clock,
    store: Store,
    restored: Vec<Record>,
    /// Writes not yet acknowledged, oldest first, with the time by which they must be.
    writes: VecDeque<(Instant, QueryId)>,
    /// Whether the store was written to in this turn.
    has_written: bool,
    names: Arc<Desk>,
    entropy: Entropy,
    drain_max: Duration,
    /// When to look for datagrams that the kernel dropped; `None` while none came.
    drops_at: Option<Instant>,
}

impl World {
    /// Begins to listen; on the thread of the main loop.
    pub(super) fn open(
        setup: Setup,
        shard: ShardId,
        company: Arc<Company>,
        names: Arc<Desk>,
        poll: &Poll,
    ) -> io::Result<World> {
        let registry = poll.registry();
        let datagrams = DatagramPorts::new(setup.sockets.datagrams, registry)?;
        let listeners = Listeners::new(setup.sockets.streams, registry, datagrams.len())?;
        let first_protected = datagrams.len() + listeners.len();
        let mut restored = setup.restored;
        let shared = (Arc::clone(&company.leftovers), Arc::clone(&company.told));
        let mut entropy = setup.entropy;
        let (security, protected) =
            setup.security.open(&mut restored, shared, entropy.fork(), registry, first_protected)?;
        let first_link = first_protected + protected;
        let inbox = company.inboxes.get(usize::from(shard.0)).cloned();
        let inbox = inbox.ok_or_else(|| io::Error::other("a shard without an inbox"))?;
        Ok(World {
            datagrams,
            links: Links::new(registry.try_clone()?, first_link, setup.write_buffer_max, setup.tls),
            listeners,
            spare: Spare::default(),
            inputs: VecDeque::new(),
            security,
            shard,
            parcels: company.inboxes.iter().map(|_| VecDeque::new()).collect(),
            company,
            inbox,
            clock: setup.clock,
            store: setup.store,
            restored,
            protected,
            writes: VecDeque::new(),
            has_written: false,
            names,
            entropy,
            drain_max: setup.drain_max,
            drops_at: None,
        })
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(super) fn drain_max(&self) -> Duration {
        self.drain_max
    }

    pub(super) fn take_restored(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.restored)
    }

    /// The machine has taken up what the store held.
    pub(super) fn started(&mut self) {
        if let Some(security) = &mut self.security {
            security.started();
        }
    }

    /// What the system says of a socket.
    pub(super) fn event(&mut self, event: &Event) {
        let Token(token) = event.token();
        let ports = self.datagrams.len();
        if token < ports {
            self.datagrams.event(token, event, &mut self.inputs);
        } else if token < ports + self.listeners.len() {
            self.listeners.event(token);
        } else if token < ports + self.listeners.len() + self.protected {
            if let Some(security) = &mut self.security {
                security.wake();
            }
        } else {
            self.links.event(token, event, &mut self.inputs);
        }
    }

    /// Whether there is work without waiting for the system.
    pub(super) fn has_work(&self) -> bool {
        self.datagrams.has_work()
            || self.links.readable() > 0
            || self.listeners.has_work()
            || self.security.as_ref().is_some_and(Associations::has_work)
            || !self.inputs.is_empty()
    }

    /// How long the main loop may sleep: until `due` of the machine, or something of the world's own; `None` for ever.
    pub(super) fn wait(&self, due: Option<Instant>) -> Option<Duration> {
        let late = self.writes.front().map(|(at, _)| *at);
        let ending = self.security.as_ref().and_then(Associations::next_timeout);
        let ours = [due, late, self.drops_at, ending].into_iter().flatten().map(|at| self.clock.system(at));
        let theirs = [self.links.next_timeout(), self.listeners.next_timeout()];
        let first = ours.chain(theirs.into_iter().flatten()).min()?;
        Some(first.saturating_duration_since(std::time::Instant::now()))
    }

    /// Does what time asks for.
    pub(super) fn timeout(&mut self, now: Now) {
        // What the disk says later is ignored by the machine.
        while let Some((_, id)) = self.writes.pop_front_if(|(at, _)| *at <= now.instant) {
            tracing::error!("the store did not acknowledge a write in time");
            let answer = Answer::Stored(Err(StoreFailure::Late));
            self.inputs.push_back(WireInput::Answered { id, answer });
        }
        if self.drops_at.is_some_and(|at| at <= now.instant) {
            self.drops_at = None;
            self.datagrams.tell_drops();
        }
        if let Some(security) = &mut self.security {
            security.timeout(now, &mut self.inputs);
        }
        let moment = self.clock.system(now.instant);
        self.links.expire(moment, &mut self.inputs);
        self.listeners.resume(moment);
    }

    /// Receives a batch of datagrams, which [`World::take_datagram`] gives; false when there is none.
    pub(super) fn receive(&mut self, now: Now) -> bool {
        let has_received = self.datagrams.receive(&mut self.spare, &mut self.inputs);
        if has_received && self.drops_at.is_none() {
            self.drops_at = Some(now.instant + DROPS_LOOK);
        }
        has_received
    }

    /// Takes a batch of what came through our own ESP.
    pub(super) fn receive_protected(&mut self, now: Now) {
        if let Some(security) = &mut self.security {
            security.receive(now, &mut self.inputs);
        }
    }

    /// Takes over a connection, and tells the machine of it.
    pub(super) fn accepted(&mut self, accepted: Accepted) {
        let local = accepted.local;
        match self.links.accepted(accepted, std::time::Instant::now()) {
            Ok(told) => self.inputs.extend(told),
            Err(error) => tracing::warn!(%local, %error, "a connection cannot be served"),
        }
    }

    /// The answer to a query came.
    pub(super) fn answered(&mut self, id: QueryId, answer: Answer) -> WireInput {
        if matches!(answer, Answer::Stored(_))
            && self.writes.pop_front_if(|(_, first)| *first == id).is_none()
        {
            self.writes.retain(|(_, waiting)| *waiting != id);
        }
        WireInput::Answered { id, answer }
    }

    /// Does what the machine asks for; what moves bytes is done by [`World::flush`].
    pub(super) fn carry_out(&mut self, now: Now, output: WireOutput) {
        match output {
            WireOutput::Datagram { local, remote, bytes } => {
                let ends = Selector { local, remote };
                match self.security.as_mut().is_some_and(|security| security.send(ends, &bytes, now)) {
                    true => drop(self.spare.keep(bytes)),
                    false => self.datagrams.send(local, remote, bytes),
                }
            }
            WireOutput::Write { link, bytes } => {
                let inputs = &mut self.inputs;
                let security = self.security.as_mut();
                match security.is_some_and(|security| security.write(link, &bytes, now, inputs)) {
                    true => drop(self.spare.keep(bytes)),
                    false => self.links.write(link, bytes, inputs),
                }
            }
            WireOutput::Connect { link, transport, local, remote, .. } => {
                let inputs = &mut self.inputs;
                let ends = local.map(|local| Selector { local, remote });
                let is_protected = ends
                    .zip(self.security.as_mut())
                    .is_some_and(|(ends, security)| security.connect(link, ends, now, inputs));
                if !is_protected {
                    self.links.connect(link, transport, local, remote, inputs);
                }
            }
            WireOutput::Close { link } => {
                if !self.security.as_mut().is_some_and(|security| security.close_link(link, now)) {
                    self.links.close(link);
                }
            }
            WireOutput::Query { id, query: Query::Store(records) } => {
                match self.store.write(id, records, &self.inbox) {
                    Some(result) => {
                        let answer = Answer::Stored(result);
                        self.inputs.push_back(WireInput::Answered { id, answer });
                    }
                    None => {
                        self.has_written = true;
                        self.writes.push_back((now.instant + STORE_TIMEOUT, id));
                    }
                }
            }
            WireOutput::Query { id, query: Query::Resolve(lookup) } => {
                let asked = Asked::Hops(lookup, Box::new(self.entropy.fork()));
                let answer = self.names.resolve(id, asked, &self.inbox);
                self.inputs.extend(answer.map(|answer| WireInput::Answered { id, answer }));
            }
            WireOutput::Query { id, query: Query::Naptr(name) } => {
                let answer = self.names.resolve(id, Asked::Naptr(name), &self.inbox);
                self.inputs.extend(answer.map(|answer| WireInput::Answered { id, answer }));
            }
            WireOutput::Query { id, query: Query::Secure(wish) } => {
                let none = || Err(SecureFailure("there is no back end for IPsec".to_owned()));
                let inputs = &mut self.inputs;
                let security = self.security.as_mut();
                let done = security.map_or_else(none, |security| security.carry_out(now, wish, inputs));
                let answer = Answer::Secured(done);
                self.inputs.push_back(WireInput::Answered { id, answer });
            }
            WireOutput::Query { id, query: Query::Cx { .. } } => {
                debug_assert!(false, "a station keeps its Cx queries inside: {id:?}");
            }
            WireOutput::Parcel { shard, parcel } => match self.parcels.get_mut(usize::from(shard.0)) {
                Some(parcels) => parcels.push_back(parcel),
                None => debug_assert!(false, "no such shard: {shard:?}"),
            },
        }
    }

    /// A reason for which ESP was refused since the last time, and how often.
    pub(super) fn poll_refused(&mut self) -> Option<(&'static str, u64)> {
        self.security.as_mut()?.poll_refused()
    }

    /// What is counted around the machine.
    pub(super) fn counters(&self) -> Vec<Count> {
        self.security.as_ref().map(Associations::counters).unwrap_or_default()
    }

    /// Moves everything that this turn has produced: once to each socket, connection, shard, and to the store.
    ///
    /// Buffers that are free now are kept; those beyond go to `surplus`.
    pub(super) fn flush(&mut self, now: Now, mut surplus: impl FnMut(Vec<u8>)) {
        let marks = self.security.as_mut().map(Associations::take_records).unwrap_or_default();
        if !marks.is_empty() {
            // Nobody waits for it: a mark that is lost is one that is older.
            self.store.write(MARKS_QUERY, marks, &self.inbox);
            self.has_written = true;
        }
        if std::mem::take(&mut self.has_written) {
            self.store.flush();
        }
        for (number, parcels) in (0..).zip(&mut self.parcels) {
            if parcels.is_empty() {
                continue;
            }
            let shard = ShardId(number);
            if let Some(inbox) = self.company.inboxes.get(usize::from(number)) {
                inbox.deliver(self.shard, parcels);
            }
            self.inputs.extend(parcels.drain(..).map(|parcel| WireInput::ParcelReturned { shard, parcel }));
        }
        let spare = &mut self.spare;
        let mut sent = |bytes| {
            if let Some(more) = spare.keep(bytes) {
                surplus(more);
            }
        };
        self.datagrams.flush(&mut self.inputs, &mut sent);
        self.links.flush(self.clock.system(now.instant), &mut self.inputs, &mut sent);
    }

    /// Ends everything: in good order, or at once.
    pub(super) fn close(mut self, poll: &mut Poll, at_once: bool) {
        if !at_once {
            self.links.close_all();
            let now = self.now();
            if let Some(security) = &mut self.security {
                security.close_links(now);
            }
            self.last_words(poll);
        }
        let marks = self.security.take().map(Associations::close).unwrap_or_default();
        if !marks.is_empty() {
            self.store.write(MARKS_QUERY, marks, &self.inbox);
            self.store.flush();
        }
        self.store.close();
    }

    /// Waits a moment for the peers to take what is still queued for them.
    fn last_words(&mut self, poll: &mut Poll) {
        let until = std::time::Instant::now() + LAST_WORDS;
        let mut events = Events::with_capacity(256);
        loop {
            let now = self.now();
            self.receive_protected(now);
            if let Some(security) = &mut self.security {
                security.timeout(now, &mut self.inputs);
            }
            self.flush(now, drop);
            self.inputs.clear();
            let left = until.saturating_duration_since(std::time::Instant::now());
            let security = self.security.as_ref();
            if self.links.is_empty() && security.is_none_or(Associations::is_quiet) {
                return;
            }
            if left.is_zero() {
                return tracing::warn!("some peers did not take the last bytes in time");
            }
            let has_more = security.is_some_and(Associations::has_work);
            let due = security.and_then(Associations::next_timeout).map(|at| self.clock.system(at));
            let due = due.map(|at| at.saturating_duration_since(std::time::Instant::now()));
            let wait = if has_more { Duration::ZERO } else { left.min(due.unwrap_or(left)) };
            match poll.poll(&mut events, Some(wait)) {
                Ok(()) => events.iter().for_each(|event| self.event(event)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return tracing::error!(%error, "the last bytes may be lost"),
            }
        }
    }
}

/// Stores the marks of our own ESP: no machine has a query of this name.
const MARKS_QUERY: QueryId = QueryId(u64::MAX - 1);
/// How long a write may take before the request that waits for it is refused.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last bytes of all connections may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often datagrams that the kernel dropped are looked for.
const DROPS_LOOK: Duration = Duration::from_secs(5);
