//! The world as one machine sees it: its sockets, connections, store and names.

use super::{Arrived, Setup};
use crate::clock::Clock;
use crate::datagram::{Arrival, DatagramPorts};
use crate::dns::Dns;
use crate::store::Store;
use crate::stream::{Link, OpenLink, accept};
use ambient::{Entropy, Instant, Now};
use cscf::query::{Answer, Query, QueryId, Record, StoreFailure, Unresolved};
use cscf::station::{LinkId, WireInput, WireOutput};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

/// Everything around a machine.
pub(super) struct World {
    pub(super) datagrams: DatagramPorts,
    clock: Clock,
    links: BTreeMap<LinkId, Link>,
    accepted_count: u64,
    store: Store,
    restored: Vec<Record>,
    /// Writes not yet acknowledged, oldest first, with the time by which they must be.
    writes: VecDeque<(Instant, QueryId)>,
    dns: Dns,
    lookups: Arc<Semaphore>,
    entropy: Entropy,
    events: Sender<Arrived>,
    /// What the world answered at once.
    inputs: VecDeque<WireInput>,
    drain_max: Duration,
    write_buffer_max: usize,
}

impl World {
    /// Begins to listen; within the runtime of the main loop.
    pub(super) fn open(setup: Setup, events: Sender<Arrived>) -> io::Result<World> {
        for (local, speaks, listener) in setup.sockets.streams {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(accept(listener, local, speaks, events.clone()));
        }
        Ok(World {
            datagrams: DatagramPorts::new(setup.sockets.datagrams, &events)?,
            clock: setup.clock,
            links: BTreeMap::new(),
            accepted_count: 0,
            store: setup.store,
            restored: setup.restored,
            writes: VecDeque::new(),
            dns: Dns::new(&setup.dns),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            entropy: setup.entropy,
            events,
            inputs: VecDeque::new(),
            drain_max: setup.drain_max,
            write_buffer_max: setup.write_buffer_max,
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

    /// When the main loop must look up again: for the machine, for a write that is late, or for the end.
    pub(super) fn wake(&self, due: Option<Instant>, until: Option<Instant>) -> tokio::time::Instant {
        let late = self.writes.front().map(|(at, _)| *at);
        let first = [due, until, late].into_iter().flatten().min();
        // With nothing to wait for, an hour is as good as any time.
        let at = first.unwrap_or_else(|| self.now().instant + Duration::from_secs(3600));
        tokio::time::Instant::from_std(self.clock.system(at))
    }

    /// Reads a batch of datagrams.
    pub(super) fn receive(&mut self, port: usize) -> Vec<WireInput> {
        let mut inputs = Vec::new();
        self.datagrams.serve(port, |arrival| inputs.push(input_of(arrival)));
        inputs
    }

    /// Sends the datagrams that are queued.
    pub(super) fn flush(&mut self) {
        let World { datagrams, inputs, .. } = self;
        datagrams.flush(|arrival| inputs.push_back(input_of(arrival)));
    }

    /// The next thing that the world answered at once.
    pub(super) fn poll_input(&mut self) -> Option<WireInput> {
        self.inputs.pop_front()
    }

    /// What a task around the main loop reports, as the machine is told; `None` when it is no business of it any more.
    pub(super) fn arrived(&mut self, event: Arrived) -> Option<WireInput> {
        match event {
            Arrived::Accepted { stream, protocol, local, remote } => {
                self.accepted_count += 1;
                let link = LinkId(LinkId::ACCEPTED | self.accepted_count);
                self.open_link(link, stream);
                Some(WireInput::Accepted { link, protocol, local, remote })
            }
            Arrived::Connected { link, stream, local } => {
                self.links.get(&link)?;
                self.open_link(link, stream);
                Some(WireInput::Connected { link, local })
            }
            Arrived::ConnectFailed { link, why } => {
                self.links.remove(&link)?;
                Some(WireInput::ConnectFailed { link, why })
            }
            Arrived::Received { link, bytes } => {
                self.links.get(&link)?;
                Some(WireInput::Received { link, bytes })
            }
            Arrived::Closed { link } => {
                self.close_link(link)?;
                Some(WireInput::Closed { link })
            }
            Arrived::Undeliverable { remote, why } => Some(WireInput::DatagramFailed { remote, why }),
            Arrived::Answered { id, answer } => {
                if matches!(*answer, Answer::Stored(_)) {
                    self.writes.retain(|(_, waiting)| *waiting != id);
                }
                Some(WireInput::Answered { id, answer: *answer })
            }
        }
    }

    /// Tells the machine of writes that were not acknowledged in time; what the disk says later is ignored there.
    pub(super) fn expire_writes(&mut self, now: Now) {
        while let Some((_, id)) = self.writes.pop_front_if(|(at, _)| *at <= now.instant) {
            tracing::error!("the store did not acknowledge a write in time");
            let answer = Answer::Stored(Err(StoreFailure::Late));
            self.inputs.push_back(WireInput::Answered { id, answer });
        }
    }

    /// Does what the machine asks for.
    pub(super) fn carry_out(&mut self, now: Now, output: WireOutput) {
        match output {
            WireOutput::Datagram { local, remote, bytes } => self.datagrams.send(local, remote, bytes),
            WireOutput::Connect { link, transport, local, remote, .. } => {
                let connecting = Link::connect(link, transport, local, remote, self.events.clone());
                self.links.insert(link, connecting);
            }
            WireOutput::Write { link, bytes } => {
                let Some(Link::Open(open)) = self.links.get(&link) else { return };
                if !open.write(bytes, self.write_buffer_max) {
                    tracing::warn!("a peer reads too slowly: its connection is closed");
                    self.close_link(link);
                    self.inputs.push_back(WireInput::Closed { link });
                }
            }
            WireOutput::Close { link } => {
                self.close_link(link);
            }
            WireOutput::Query { id, query: Query::Store(records) } => {
                match self.store.write(id, records, &self.events) {
                    Some(result) => {
                        let answer = Answer::Stored(result);
                        self.inputs.push_back(WireInput::Answered { id, answer });
                    }
                    None => self.writes.push_back((now.instant + STORE_TIMEOUT, id)),
                }
            }
            WireOutput::Query { id, query: Query::Resolve(lookup) } => {
                let Ok(permit) = Arc::clone(&self.lookups).try_acquire_owned() else {
                    let answer = Answer::Resolved(Err(Unresolved::Unreachable(lookup.name)));
                    return self.inputs.push_back(WireInput::Answered { id, answer });
                };
                let (dns, events, entropy) = (self.dns.clone(), self.events.clone(), self.entropy.fork());
                tokio::spawn(async move {
                    let answer = Box::new(Answer::Resolved(dns.resolve(lookup, entropy).await));
                    drop(permit);
                    // The driver is gone when this fails.
                    let _ = events.send(Arrived::Answered { id, answer }).await;
                });
            }
            WireOutput::Parcel { shard, .. } => {
                debug_assert!(false, "a machine alone has no other shard: {shard:?}");
            }
            WireOutput::Query { id, query: Query::Cx { .. } } => {
                debug_assert!(false, "a station keeps its Cx queries inside: {id:?}");
            }
        }
    }

    /// Ends everything: in good order, or at once.
    pub(super) async fn close(mut self, at_once: bool) {
        if !at_once {
            let links: Vec<_> = self.links.keys().copied().collect();
            let writers: Vec<_> =
                links.into_iter().filter_map(|link| self.close_link(link).flatten()).collect();
            let all = async {
                for writer in writers {
                    // A writer that panicked has nothing left to write.
                    let _ = writer.await;
                }
            };
            if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
                tracing::warn!("some peers did not take the last bytes in time");
            }
        }
        self.store.close();
    }

    fn open_link(&mut self, link: LinkId, stream: TcpStream) {
        let open = OpenLink::start(link, stream, self.events.clone());
        self.links.insert(link, Link::Open(open));
    }

    /// Forgets a connection; outer `None` when it is gone already, inner when it had not been open.
    fn close_link(&mut self, link: LinkId) -> Option<Option<JoinHandle<()>>> {
        Some(match self.links.remove(&link)? {
            Link::Connecting(task) => {
                task.abort();
                None
            }
            Link::Open(open) => Some(open.close()),
        })
    }
}

fn input_of(arrival: Arrival<'_>) -> WireInput {
    match arrival {
        Arrival::Datagram { local, remote, bytes } => {
            WireInput::Datagram { local, remote, bytes: bytes.to_vec() }
        }
        Arrival::Undeliverable { remote, why } => WireInput::DatagramFailed { remote, why },
    }
}

/// Names that are looked up at once; beyond, a lookup fails.
const LOOKUPS_MAX: usize = 256;
/// How long a write may take before the request that waits for it is refused.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last bytes of all connections may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);
