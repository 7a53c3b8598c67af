//! What goes into a node and what comes out of it.

use crate::bucket::{Bucket, SHARDS_MAX, ShardId};
use crate::flow::{Flow, Hop, Source, Transport};
use crate::query::{Answer, Query, QueryId, Record};
use crate::role::Role;
use diameter_client::cx::{CxAnswer, CxRequest};
use diameter_client::endpoint::RequestId;
use ipsec::Spi;

/// One input of a node.
#[expect(
    clippy::large_enum_variant,
    reason = "made, handled and gone: boxing would cost an allocation per message"
)]
#[derive(Debug)]
pub enum Input<R: Role> {
    /// One whole SIP message: a datagram, or a frame of a stream.
    Message {
        /// Where it came from.
        source: Source,
        /// The bytes, owned from here on.
        bytes: Vec<u8>,
    },
    /// The answer to a query. A second answer to the same query is ignored.
    Answer {
        /// The query's id.
        query: QueryId,
        /// What it came to.
        answer: Answer,
    },
    /// A Diameter request from a peer (RTR, PPR).
    PeerRequest {
        /// Hand it back with the answer.
        id: RequestId,
        /// The command.
        request: CxRequest,
    },
    /// A message could not be sent: no connection, refused, reset before it left.
    SendFailed {
        /// As in [`Output::Send`].
        ticket: Ticket,
        /// What the transport said.
        why: &'static str,
    },
    /// Something else that happened.
    Event(Event<R>),
    /// Time has passed: fire what is due.
    Timeout,
}

/// What happened outside any message.
#[derive(Debug)]
pub enum Event<R: Role> {
    /// A connection is gone (RFC 5626 §5.3); datagram flows are never lost.
    FlowLost(Flow),
    /// The store was read; the node's own records, before the first message.
    Restored(Vec<Record>),
    /// A command of an operator or, at a UE, of its user.
    Command(R::Command),
    /// Stop taking new work: 503 with Retry-After from here on.
    Draining,
}

/// Ties a sent message to what waits for it, so that a failure finds its way back. Zero: nobody waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket(pub u64);

impl Ticket {
    /// The ticket as another shard holds it for `shard`; none stays none.
    pub(crate) const fn held_for(self, shard: ShardId) -> Ticket {
        match self.0 {
            0 => self,
            number => Ticket(number | (shard.0 as u64 + 1) << SHARD_SHIFT),
        }
    }

    /// Whose ticket it is, and as it was; `None`: it was never given away.
    pub(crate) const fn held(self) -> Option<(ShardId, Ticket)> {
        match self.0 >> SHARD_SHIFT {
            0 => None,
            shard => Some((ShardId(shard as u16 - 1), Ticket(self.0 & ((1 << SHARD_SHIFT) - 1)))),
        }
    }
}

/// A node numbers its client transactions below 2^25 (the branch has no room for more), so that its tickets end here.
const SHARD_SHIFT: u32 = 58;
const _: () = assert!((SHARDS_MAX as u64) < 1 << (u64::BITS - SHARD_SHIFT));

/// Where a message leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// On a flow that exists; when it is gone and `or` is given, by a new one to that hop (RFC 3261 §18.2.2).
    Flow {
        /// The flow.
        flow: Flow,
        /// The fall-back.
        or: Option<Hop>,
    },
    /// To a hop: over an open connection to it where there is one (RFC 5923), else a new one.
    Hop {
        /// The hop.
        hop: Hop,
        /// From which of our addresses.
        local: std::net::SocketAddr,
    },
    /// Through security associations, from our protected client port to the peer's protected server port, over TCP by a
    /// connection that we open (TS 33.203 §7.1).
    Secured {
        /// The set, by the SPI of our server port.
        set: Spi,
        /// The transport.
        transport: Transport,
        /// A connection that the peer opened, while it stands: for the responses to what it carried.
        flow: Option<Flow>,
    },
}

/// One output of a node.
#[derive(Debug)]
pub enum Output<R: Role> {
    /// Send a message.
    Send {
        /// Where.
        exit: Exit,
        /// The rendered message.
        bytes: Vec<u8>,
        /// Who wants to know when it cannot leave.
        ticket: Ticket,
    },
    /// Ask the world.
    Query {
        /// Comes back with the answer.
        id: QueryId,
        /// The question.
        query: Query,
    },
    /// Answer a Diameter request of a peer.
    PeerAnswer {
        /// The id of the request.
        id: RequestId,
        /// The answer.
        answer: Box<CxAnswer>,
    },
    /// Something that the owner of the node wants to hear of: at a UE, its user.
    Notice(R::Notice),
    /// Where messages for an identity go.
    Alias {
        /// The keyed hash of its canonical form.
        identity: u64,
        /// The bucket that serves it.
        owner: Bucket,
        /// What became of that.
        change: AliasChange,
    },
}

/// What becomes of the knowledge that an identity is served elsewhere than in its own bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasChange {
    /// All shards are to know it.
    Announced,
    /// This shard knows it, and the others by themselves.
    Noted,
    /// It is so no more.
    Withdrawn,
}
