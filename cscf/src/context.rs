//! Response contexts: what a node knows of one request until its last response (RFC 3261 §16.7 step 1).

use crate::flow::Transport;
use crate::input::Exit;
use crate::metrics::Kind;
use crate::node::ClientId;
use crate::node::server::Server;
use crate::role::{Incoming, Role};
use ambient::Instant;
use sip_core::Name;
use smallvec::SmallVec;
use std::net::IpAddr;

/// Names a context. Stale ids (the request is over) match nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// How one branch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BranchState {
    /// No final response yet.
    Open,
    /// A 2xx, or a failure that was collected or handled.
    Ended,
}

/// One branch and the client transaction that carries it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BranchEntry {
    pub(crate) state: BranchState,
    pub(crate) client: Option<ClientId>,
}

/// When a request came, and as what it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came {
    pub(crate) at: Instant,
    pub(crate) kind: Kind,
    pub(crate) transport: Transport,
    /// It belongs to no dialog.
    pub(crate) is_initial: bool,
    /// Its client was told that it rings.
    pub(crate) has_rung: bool,
}

/// What a node knows of one request.
#[derive(Debug)]
pub struct Context<R: Role> {
    /// `None` while a hook holds it, and once nothing but retransmissions can come.
    pub(crate) request: Option<Incoming>,
    /// The server transaction; `None` once it has ended.
    pub(crate) server: Option<Server>,
    /// When it came, and what it is in the tables of [`crate::metrics`].
    pub(crate) came: Came,
    /// Where responses go.
    pub(crate) exit: Exit,
    /// One entry per [`crate::turn::Turn::forward`], by branch number.
    pub(crate) branches: SmallVec<[BranchEntry; 2]>,
    /// The best failure so far, with the branch it came by.
    pub(crate) best: Option<(u16, Incoming)>,
    /// What the challenges of the other branches ask for (RFC 3261 §16.7 step 7).
    pub(crate) challenges: Vec<(Name, Vec<u8>)>,
    /// The best failure that no peer sent: its status code.
    pub(crate) best_own: Option<u16>,
    /// Whose quota the request counts against.
    pub(crate) holder: Option<IpAddr>,
    /// Our To tag, minted when first needed.
    pub(crate) tag: Option<String>,
    /// Client transactions that still name this context.
    pub(crate) clients: u32,
    /// Queries whose answer is awaited.
    pub(crate) queries: u32,
    /// How many branches the role said it would make: each gets its share of Max-Breadth (RFC 5393 §5.3.3).
    pub(crate) fork_width: u32,
    /// The client cancelled.
    pub(crate) is_cancelled: bool,
    /// A final response has gone upstream.
    pub(crate) is_answered: bool,
    /// The role's memory of the request.
    pub(crate) data: R::Data,
}

impl<R: Role> Context<R> {
    pub(crate) fn new(
        request: Incoming,
        server: Option<Server>,
        came: Came,
        exit: Exit,
        holder: Option<IpAddr>,
    ) -> Context<R> {
        Context {
            request: Some(request),
            server,
            came,
            exit,
            branches: SmallVec::new(),
            best: None,
            challenges: Vec::new(),
            best_own: None,
            holder,
            tag: None,
            clients: 0,
            queries: 0,
            fork_width: 1,
            is_cancelled: false,
            is_answered: false,
            data: R::Data::default(),
        }
    }

    /// Whether some branch has no final response yet.
    pub(crate) fn has_open_branch(&self) -> bool {
        self.branches.iter().any(|branch| branch.state == BranchState::Open)
    }

    /// Whether the role is done with the request: only the client's own retransmissions can come.
    pub(crate) fn is_done(&self) -> bool {
        self.is_answered && self.clients == 0 && self.queries == 0
    }

    /// Whether nothing can happen to the context any more.
    pub(crate) fn is_over(&self) -> bool {
        self.server.is_none() && self.clients == 0 && self.queries == 0
    }
}
