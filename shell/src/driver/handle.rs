//! The owner's end of a running machine.

use super::company::Company;
use super::inbox::Inbox;
use crate::sockets::Binding;
use cscf::assembly::Part;
use cscf::metrics::Snapshot;
use cscf::node::Count;
use cscf::station::Operated;
use cscf::trace;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A machine, or the shards of one function, each running on a thread of its own.
///
/// Dropping the handle stops them in good order, without waiting for it.
#[derive(Debug)]
pub struct Handle<C, N> {
    pub(super) orders: Orders<C>,
    /// What the machine tells its owner. Those that nobody reads are lost beyond some ten thousand.
    pub notices: Receiver<N>,
    /// Every message that it sent or received, when [`super::Setup::trace`] asked for it; of several shards, each tells
    /// its own in order.
    pub traces: Receiver<trace::Event>,
    pub(super) addresses: Vec<Binding>,
    pub(super) threads: Vec<JoinHandle<io::Result<Ended>>>,
}

/// What the owner asks of the main loop.
#[derive(Debug)]
pub(super) enum Order<C> {
    Command(C),
    /// Each shard tells what it has counted, for one of the functions that share the machine or for all.
    Count {
        of: Option<Part>,
        asker: SyncSender<Vec<Count>>,
    },
    /// Each shard tells what its functions have counted and hold.
    Measure {
        asker: SyncSender<Vec<Snapshot>>,
    },
    /// One shard tells what it has recorded after an entry, for one of the functions that share the machine.
    Record {
        of: Option<Part>,
        after: u64,
        asker: SyncSender<Option<Vec<u8>>>,
    },
    Drain,
    Abort,
}

/// How a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All work was finished.
    Drained,
    /// Work was left when the time to finish it was over.
    Late,
    /// At once, as asked.
    Aborted,
}

/// The machine has ended, or its queue of commands is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the machine has stopped or takes no more commands")
    }
}

impl std::error::Error for Gone {}

impl<C, N> Handle<C, N> {
    /// Queues a command; every shard gets it.
    pub fn command(&self, command: C) -> Result<(), Gone>
    where
        C: Clone,
    {
        self.orders.0.command(command)
    }

    /// The end that commands the machine and hears its notices, to be used elsewhere; [`Handle::notices`] is silent from
    /// here on.
    ///
    /// It keeps no machine alive.
    pub fn operator(&mut self) -> Operator<C, N>
    where
        C: Clone + Send + 'static,
    {
        let notices = self.take_notices();
        let posts = self.orders.0.clone();
        let (company, shards) = (Arc::clone(&posts.company), posts.posts.len());
        let count = posts.clone().count(None);
        let record = posts.clone().record(None);
        let command = Box::new(move |command| posts.command(command));
        Operator { command, count, record, company, shards, notices }
    }

    /// The end that asks the machine for its numbers, to be used elsewhere. It keeps no machine alive.
    pub fn meter(&self) -> Meter
    where
        C: Send + 'static,
    {
        let posts = self.orders.0.clone();
        let (company, shards) = (Arc::clone(&posts.company), posts.posts.len());
        let measure = Box::new(move |asker: SyncSender<_>| {
            posts.order(|| Order::Measure { asker: asker.clone() });
        });
        Meter { measure, company, shards }
    }

    pub(super) fn take_notices(&mut self) -> Receiver<N> {
        let (_, silent) = sync_channel(1);
        std::mem::replace(&mut self.notices, silent)
    }

    /// Where the machine listens, with the ports that the system chose.
    pub fn addresses(&self) -> &[Binding] {
        &self.addresses
    }

    /// Whether the machine has ended, all of its shards.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until the machine has ended, all of its shards, or is about to: [`Handle::join`] tells how.
    pub async fn ended(&self) {
        self.orders.0.company.ended().await;
    }

    /// A chunk of what a shard has recorded after the entry numbered `after`, as [`Operator::recorded`].
    pub fn recorded(&self, shard: usize, after: u64, within: Duration) -> Option<Vec<u8>> {
        let (asker, told) = sync_channel(1);
        self.orders.0.posts.get(shard)?.push(Order::Record { of: None, after, asker });
        told.recv_timeout(within).ok().flatten()
    }

    /// Asks the machine to take no new work and to end; does not wait.
    pub fn drain(&self) {
        self.orders.0.order(|| Order::Drain);
    }

    /// Stops the machine in good order and waits for its end.
    pub fn stop(self) -> io::Result<Ended> {
        self.drain();
        self.join()
    }

    /// Ends the machine as a crash would: nothing is finished, nothing is said.
    pub fn abort(self) -> io::Result<Ended> {
        self.orders.0.order(|| Order::Abort);
        self.join()
    }

    /// Waits until the machine ends by itself.
    pub fn join(self) -> io::Result<Ended> {
        let Handle { orders, threads, .. } = self;
        let result = join_all(threads);
        drop(orders);
        result
    }
}

/// Waits for all threads: the first error, or the worst end.
pub(super) fn join_all(threads: Vec<JoinHandle<io::Result<Ended>>>) -> io::Result<Ended> {
    let joined: Vec<_> = threads
        .into_iter()
        .map(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the machine's thread panicked")))
        })
        .collect();
    let mut worst = Ended::Drained;
    for ended in joined {
        worst = match (worst, ended?) {
            (Ended::Late, _) | (_, Ended::Late) => Ended::Late,
            (Ended::Aborted, _) | (_, Ended::Aborted) => Ended::Aborted,
            (Ended::Drained, Ended::Drained) => Ended::Drained,
        };
    }
    Ok(worst)
}

/// Asks a shard for what it has recorded after an entry.
pub(super) type AskRecord = dyn Fn(usize, u64, SyncSender<Option<Vec<u8>>>) + Send;

/// Who commands a running machine, and hears what it says of it.
pub struct Operator<C, N> {
    pub(super) command: Box<dyn Fn(C) -> Result<(), Gone> + Send>,
    pub(super) count: Box<dyn Fn(SyncSender<Vec<Count>>) + Send>,
    pub(super) record: Box<AskRecord>,
    pub(super) company: Arc<Company>,
    pub(super) shards: usize,
    /// What the machine tells.
    pub notices: Receiver<N>,
}

impl<C, N> Operator<C, N> {
    /// Queues a command; every shard gets it.
    pub fn command(&self, command: C) -> Result<(), Gone> {
        (self.command)(command)
    }

    /// What the machine and its driver have counted since the start, of all shards; those that do not answer in time are left
    /// out.
    pub fn counters(&self, within: Duration) -> Vec<Count> {
        let (sender, counted) = sync_channel(self.shards().max(1));
        let until = Instant::now() + within;
        (self.count)(sender);
        let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for _ in 0..self.shards() {
            let Ok(counts) = counted.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                break;
            };
            for Count { name, cause, count } in counts {
                *sums.entry((name, cause)).or_default() += count;
            }
        }
        sums.into_iter().map(|((name, cause), count)| Count { name, cause, count }).collect()
    }

    /// A chunk of what a shard has recorded after the entry numbered `after` ([`recorder::read_chunk`]); `None` when it
    /// records nothing, or does not answer in time.
    pub fn recorded(&self, shard: usize, after: u64, within: Duration) -> Option<Vec<u8>> {
        let (sender, told) = sync_channel(1);
        (self.record)(shard, after, sender);
        told.recv_timeout(within).ok().flatten()
    }

    /// How many shards a command reaches: so many notices may tell of it.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Whether the machine has ended.
    pub fn is_gone(&self) -> bool {
        self.company.running() == 0
    }
}

impl<C, N> fmt::Debug for Operator<C, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// Who asks a running machine for its numbers.
pub struct Meter {
    measure: Box<dyn Fn(SyncSender<Vec<Snapshot>>) + Send + Sync>,
    company: Arc<Company>,
    shards: usize,
}

impl Meter {
    /// What each function of each shard tells; those that do not answer in time are left out.
    pub fn snapshots(&self, within: Duration) -> Vec<Snapshot> {
        if self.company.running() < self.shards {
            return Vec::new();
        }
        let (sender, measured) = sync_channel(self.shards.max(1));
        let until = Instant::now() + within;
        (self.measure)(sender);
        let answers = (0..self.shards)
            .map_while(|_| measured.recv_timeout(until.saturating_duration_since(Instant::now())).ok());
        answers.flatten().collect()
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// The owner's right to command: when it is dropped, the machine stops in good order.
#[derive(Debug)]
pub(super) struct Orders<C>(pub(super) Posts<C>);

impl<C> Drop for Orders<C> {
    fn drop(&mut self) {
        self.0.order(|| Order::Drain);
    }
}

/// Where orders go: to each shard.
#[derive(Debug)]
pub(super) struct Posts<C> {
    pub(super) posts: Arc<[Post<C>]>,
    pub(super) company: Arc<Company>,
}

impl<C> Clone for Posts<C> {
    fn clone(&self) -> Posts<C> {
        Posts { posts: Arc::clone(&self.posts), company: Arc::clone(&self.company) }
    }
}

impl<C> Posts<C> {
    fn order(&self, order: impl Fn() -> Order<C>) {
        for post in self.posts.iter() {
            post.push(order());
        }
    }
}

impl<C: Send + 'static> Posts<C> {
    /// Asks each shard for what it has counted.
    pub(super) fn count(self, of: Option<Part>) -> Box<dyn Fn(SyncSender<Vec<Count>>) + Send> {
        Box::new(move |asker| self.order(|| Order::Count { of, asker: asker.clone() }))
    }

    /// Asks one shard for what it has recorded.
    pub(super) fn record(self, of: Option<Part>) -> Box<AskRecord> {
        Box::new(move |shard, after, asker| {
            if let Some(post) = self.posts.get(shard) {
                post.push(Order::Record { of, after, asker });
            }
        })
    }
}

impl<C: Clone> Posts<C> {
    pub(super) fn command(&self, command: C) -> Result<(), Gone> {
        let is_full = |post: &Post<C>| post.locked().len() >= ORDERS_MAX;
        if self.company.running() < self.posts.len() || self.posts.iter().any(is_full) {
            return Err(Gone);
        }
        self.order(|| Order::Command(command.clone()));
        Ok(())
    }
}

/// The orders of one shard.
#[derive(Debug)]
pub(super) struct Post<C> {
    orders: Mutex<VecDeque<Order<C>>>,
    inbox: Arc<Inbox>,
}

impl<C> Post<C> {
    pub(super) fn new(inbox: Arc<Inbox>) -> Post<C> {
        Post { orders: Mutex::default(), inbox }
    }

    /// The next order.
    pub(super) fn take(&self) -> Option<Order<C>> {
        self.locked().pop_front()
    }

    fn push(&self, order: Order<C>) {
        self.locked().push_back(order);
        self.inbox.bell.ring();
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<Order<C>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shard's end of what its owner reads.
pub(super) struct Reports<N> {
    pub(super) notice: SyncSender<N>,
    pub(super) trace: Option<SyncSender<trace::Event>>,
    /// Messages that no reader took.
    pub(super) lost: u64,
}

impl<N> Reports<N> {
    /// Hands over what the machine has to say; a reader that is behind or gone loses it.
    pub(super) fn collect(&mut self, machine: &mut impl Operated<Notice = N>) {
        while let Some(notice) = machine.poll_notice() {
            let _ = self.notice.try_send(notice);
        }
        let Some(trace) = &self.trace else { return };
        while let Some(event) = machine.poll_trace() {
            self.lost += u64::from(trace.try_send(event).is_err());
        }
    }
}

/// Commands that wait for a machine.
const ORDERS_MAX: usize = 1024;
