//! What other threads hand to one shard: answers, connections, parcels of the other shards.

use super::bell::Bell;
use cscf::query::{Answer, QueryId};
use cscf::station::{Parcel, Protocol, ShardId, StreamTransport};
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One shard's, filled by all others.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) bell: Bell,
    answers: Mutex<VecDeque<(QueryId, Answer)>>,
    accepted: Mutex<VecDeque<Accepted>>,
    /// By the number of the sender: what one sender says keeps its order, and two never wait for each other.
    lanes: Box<[Mutex<VecDeque<Parcel>>]>,
    is_closed: AtomicBool,
}

/// A connection that a peer opened, not yet read from.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) transport: StreamTransport,
    pub(crate) protocol: Protocol,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

impl Inbox {
    /// For a shard of a function that has `shards` of them.
    pub(crate) fn new(bell: Bell, shards: usize) -> Inbox {
        Inbox {
            bell,
            answers: Mutex::default(),
            accepted: Mutex::default(),
            lanes: (0..shards).map(|_| Mutex::default()).collect(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Hands over the answer to a query of this shard's machine; each query has one, so that the machine bounds them.
    pub(crate) fn answer(&self, id: QueryId, answer: Answer) {
        self.put_answer(id, answer);
        self.bell.ring();
    }

    /// The same without a word: who puts several rings when the last one is there.
    pub(crate) fn put_answer(&self, id: QueryId, answer: Answer) {
        locked(&self.answers).push_back((id, answer));
    }

    /// Hands over a connection; gives it back when the shard has too many to open, or has ended.
    pub(crate) fn accept(&self, accepted: Accepted) -> Result<(), Accepted> {
        let mut waiting = locked(&self.accepted);
        if waiting.len() >= ACCEPTED_MAX || self.is_closed.load(Ordering::Acquire) {
            return Err(accepted);
        }
        waiting.push_back(accepted);
        drop(waiting);
        self.bell.ring();
        Ok(())
    }

    /// Hands over parcels of one sender in order; those that the lane has no room for stay.
    pub(crate) fn deliver(&self, from: ShardId, parcels: &mut VecDeque<Parcel>) {
        let Some(lane) = self.lanes.get(usize::from(from.0)) else { return };
        let mut lane = locked(lane);
        if self.is_closed.load(Ordering::Acquire) {
            return;
        }
        let room = LANE_MAX.saturating_sub(lane.len()).min(parcels.len());
        lane.extend(parcels.drain(..room));
        drop(lane);
        if room > 0 {
            self.bell.ring();
        }
    }

    /// Takes the answers into an empty queue.
    pub(crate) fn take_answers(&self, into: &mut VecDeque<(QueryId, Answer)>) {
        std::mem::swap(&mut *locked(&self.answers), into);
    }

    /// Takes the connections into an empty queue.
    pub(crate) fn take_accepted(&self, into: &mut VecDeque<Accepted>) {
        std::mem::swap(&mut *locked(&self.accepted), into);
    }

    /// Takes what `from` has said into an empty queue.
    pub(crate) fn take_parcels(&self, from: ShardId, into: &mut VecDeque<Parcel>) {
        if let Some(lane) = self.lanes.get(usize::from(from.0)) {
            std::mem::swap(&mut *locked(lane), into);
        }
    }

    /// Takes nothing more: the shard has ended.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        for lane in &self.lanes {
            locked(lane).clear();
        }
        locked(&self.accepted).clear();
    }
}

/// Locks what no thread leaves half done: each change is one call of the queue.
fn locked<T>(queue: &Mutex<T>) -> MutexGuard<'_, T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parcels of one sender that wait for one shard.
const LANE_MAX: usize = 8192;
/// Connections that wait for one shard.
const ACCEPTED_MAX: usize = 4096;
