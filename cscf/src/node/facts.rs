//! What a node found and decided, for the flight recorder: every count of an operator's counters with the call that it is
//! about.

use crate::trace::Fact;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Facts that the station has not taken yet. Off, nothing is kept.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    is_on: bool,
    /// The Call-ID of the request that is being handled.
    call_id: Vec<u8>,
    remote: Option<SocketAddr>,
    facts: VecDeque<Fact>,
}

impl Facts {
    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    pub(crate) fn set(&mut self, is_on: bool) {
        self.is_on = is_on;
    }

    /// From here on, what is found is about this request.
    pub(crate) fn about(&mut self, call_id: Option<&[u8]>, remote: Option<SocketAddr>) {
        self.call_id.clear();
        self.call_id.extend_from_slice(call_id.unwrap_or_default());
        self.remote = remote;
    }

    /// Something was counted.
    pub(crate) fn add(&mut self, name: &'static str, cause: &'static str, detail: &str) {
        if self.is_on && !OFTEN.contains(&name) {
            if self.facts.len() == FACTS_MAX {
                self.facts.pop_front();
            }
            self.facts.push_back(Fact {
                name,
                cause,
                detail: detail.to_owned(),
                call_id: self.call_id.clone(),
                remote: self.remote,
            });
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }
}

/// Counts of what goes well with each request: the messages say it.
const OFTEN: [&str; 3] = ["retransmission", "removed", "behind_nat"];
/// Facts of one input.
const FACTS_MAX: usize = 256;
