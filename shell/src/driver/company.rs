//! The shards of one function, as they know of each other: how many run, and how many are done.

use super::inbox::Inbox;
use super::leftovers::Leftovers;
use super::refusals::Told;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Shared by all shards of a function and by whoever owns it.
#[derive(Debug)]
pub(crate) struct Company {
    /// By shard number.
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    /// What an earlier process left to them.
    pub(crate) leftovers: Arc<Leftovers>,
    /// Which refusals of ESP an operator knows of.
    pub(crate) told: Arc<Told>,
    running: AtomicUsize,
    drained: AtomicUsize,
    broken: AtomicBool,
    /// Told once nobody runs any more.
    end: Notify,
}

impl Company {
    /// Shards that are about to run.
    pub(crate) fn new(inboxes: Vec<Arc<Inbox>>, leftovers: Leftovers) -> Company {
        let running = AtomicUsize::new(inboxes.len());
        Company {
            inboxes,
            leftovers: Arc::new(leftovers),
            told: Arc::default(),
            running,
            drained: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            end: Notify::new(),
        }
    }

    /// How many have not ended.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// One more has finished its work, and says so once.
    pub(crate) fn one_drained(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
        self.ring_all();
    }

    /// Whether all have finished their work: until then each may be needed by another.
    pub(crate) fn all_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire) >= self.inboxes.len()
    }

    /// Whether one has failed, so that the others end.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Waits until nobody runs any more.
    pub(crate) async fn ended(&self) {
        let end = self.end.notified();
        if self.running() > 0 {
            end.await;
        }
    }

    fn ring_all(&self) {
        for inbox in &self.inboxes {
            inbox.bell.ring();
        }
    }
}

/// One shard's place in the company; dropping it is the end of the shard, in good order or by a panic.
pub(crate) struct Membership {
    pub(crate) company: Arc<Company>,
    pub(crate) inbox: Arc<Inbox>,
    /// Cleared when the shard ends as it should.
    pub(crate) has_failed: bool,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.inbox.close();
        if self.has_failed {
            self.company.broken.store(true, Ordering::Relaxed);
        }
        if self.company.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.company.end.notify_waiters();
        }
        self.company.ring_all();
    }
}
