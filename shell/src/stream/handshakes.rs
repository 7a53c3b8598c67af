//! Handshakes that peers have begun: each has a time, and there are only so many, in all and of one address.

use crate::tls::HandshakeBounds;
use cscf::station::LinkId;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

/// Those of one shard.
pub(super) struct Handshakes {
    bounds: HandshakeBounds,
    /// Those under way, in the order in which they are due.
    due: VecDeque<(Instant, usize, LinkId)>,
    // For look-up only.
    per_remote: HashMap<IpAddr, usize>,
}

impl Handshakes {
    pub(super) fn new(bounds: HandshakeBounds) -> Handshakes {
        Handshakes { bounds, due: VecDeque::new(), per_remote: HashMap::new() }
    }

    /// Whether one more with a peer at this address is too many.
    pub(super) fn is_full(&self, remote: IpAddr) -> bool {
        self.due.len() >= self.bounds.max
            || self.per_remote.get(&remote).is_some_and(|count| *count >= self.bounds.per_remote_max)
    }

    /// One has begun.
    pub(super) fn begin(&mut self, now: Instant, slot: usize, id: LinkId, remote: IpAddr) {
        *self.per_remote.entry(remote).or_insert(0) += 1;
        self.due.push_back((now + self.bounds.timeout, slot, id));
    }

    /// One has ended, well or not.
    pub(super) fn end(&mut self, id: LinkId, remote: IpAddr) {
        if let Some(at) = self.due.iter().position(|(.., waiting)| *waiting == id) {
            self.due.remove(at);
        }
        if let Some(count) = self.per_remote.get_mut(&remote) {
            *count -= 1;
            if *count == 0 {
                self.per_remote.remove(&remote);
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due.front().map(|(at, ..)| *at)
    }

    /// The slot of the next whose time is over; it is for the caller to end it.
    pub(super) fn due(&self, now: Instant) -> Option<usize> {
        self.due.front().filter(|(at, ..)| *at <= now).map(|(_, slot, _)| *slot)
    }
}
