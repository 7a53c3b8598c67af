//! The chains of application servers that requests are on (TS 24.229 §5.4.3.4): what the original dialog identifier in our
//! Route behind an application server names.
//!
//! An entry is one visit: who is served, the criteria as they were when the request came, and how far they have been
//! worked off. It is here and not in the identifier, for it lives no longer than the request that waits for its answer.

use super::Served;
use super::dialog::SessionId;
use crate::criteria::Place;
use crate::registrar::services::Services;
use ambient::TimerId;
use ambient::entropy::KeyedState;
use cscf::context::ContextId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Names one visit; a random number, so that nobody guesses it and none of an earlier life of this process names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub u64);

/// How far the chain of a request has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Who is served.
    pub served: Served,
    /// Whether that user was registered when the chain began.
    pub is_registered: bool,
    /// The services of that user when the chain began: what is changed meanwhile is for later requests (TS 23.218 §5.2.3).
    pub services: Arc<Services>,
    /// The criterion that was worked off last.
    pub after: Option<Place>,
    /// How many application servers the request has been sent to.
    pub visits: u8,
    /// The session that the request sets up, where it has not become another dialog on the way.
    pub session: Option<SessionId>,
}

/// What is thought of an application server that has a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It has not said anything that counts.
    Unknown,
    /// It has answered by a provisional response beyond 100, or has sent the request back: default handling is off.
    Shown,
    /// It was given up: what it sends back comes too late.
    GivenUp,
}

/// A request at an application server.
#[derive(Debug)]
pub struct Visit {
    /// Who has sent it there, and how it goes on.
    pub progress: Progress,
    /// What is thought of the server.
    pub life: Life,
    /// The request that waits for the answer, and the branch of it.
    pub waits: (ContextId, u16),
    /// How often it came back by this identifier.
    pub returns: u8,
    /// Ends the entry.
    pub timer: TimerId,
}

/// All visits.
#[derive(Debug)]
pub struct Chains {
    by_id: HashMap<ChainId, Box<Visit>, KeyedState>,
}

/// The numbers are random and come back in tokens of ours only: the key need not be secret.
const STATE: (u64, u64) = (0x6368_6169_6e73_2061, 0x7070_6c69_6361_7469);

impl Default for Chains {
    fn default() -> Chains {
        Chains { by_id: HashMap::with_hasher(KeyedState::from_key(STATE)) }
    }
}

impl Chains {
    /// A request goes to an application server.
    pub fn insert(&mut self, id: ChainId, visit: Visit) {
        self.by_id.insert(id, Box::new(visit));
    }

    /// The visit of this identifier.
    pub fn get_mut(&mut self, id: ChainId) -> Option<&mut Visit> {
        self.by_id.get_mut(&id).map(|visit| &mut **visit)
    }

    /// Takes a visit out.
    pub fn remove(&mut self, id: ChainId) -> Option<Visit> {
        self.by_id.remove(&id).map(|visit| *visit)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// The most application servers that one request is sent to by one S-CSCF; a profile with more would be over Max-Forwards.
pub const VISITS_MAX: u8 = 32;
/// How often a request may come back by one identifier: an application server may fork, or try one target after another.
pub const RETURNS_MAX: u8 = 16;
/// A visit whose request is still open is forgotten after this; an INVITE without a final response is over long before.
pub const VISIT_KEPT: Duration = Duration::from_secs(3600);
/// How long an identifier is good when its request has succeeded: an application server may answer a caller first and
/// call on then.
pub const ANSWERED_KEPT: Duration = Duration::from_secs(60);
/// How long one that was given up is known as such: an application server that was only slow sends its request back in
/// this time (64 times T1, RFC 3261 §17.1.1.2).
pub const GIVEN_UP_KEPT: Duration = Duration::from_secs(32);
