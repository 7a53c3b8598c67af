//! What one shard of a function says to another.

use crate::assembly::Part;
use crate::bucket::Bucket;
use crate::flow::{Flow, Source};
use crate::input::{Exit, Ticket};
use crate::query::QueryId;
use diameter_client::cx::{CxAnswer, CxRequest};
use diameter_client::endpoint::{CxFailure, Destination, RequestId};
use std::net::SocketAddr;

/// What one shard of a function says to another. A driver carries it, in order for each pair of shards, and does not look
/// inside.
#[derive(Debug)]
pub struct Parcel {
    pub(super) content: Content,
    /// Whose it is, where a driver's shard has several functions.
    pub(super) part: Option<Part>,
}

impl Parcel {
    pub(super) fn new(content: Content) -> Parcel {
        Parcel { content, part: None }
    }

    /// Says that the sender has no work left, which means nothing to one that is not draining.
    pub fn drained() -> Parcel {
        Parcel::new(Content::Drained)
    }
}

/// What is in a [`Parcel`].
#[derive(Debug)]
pub(super) enum Content {
    /// A datagram whose home is the receiver, which answers by its own socket.
    Datagram { local: SocketAddr, remote: SocketAddr, bytes: Vec<u8> },
    /// A message whose home is the receiver; its connection stays with the sender.
    Message { source: Source, bytes: Vec<u8> },
    /// A message to be sent by a connection of the receiver.
    Send { exit: Exit, bytes: Vec<u8>, ticket: Ticket },
    /// It could not be sent, or was lost with its connection.
    SendFailed { ticket: Ticket, why: &'static str },
    /// A connection of the sender is gone.
    FlowLost(Flow),
    /// A question to the HSS, for the shard that has the connection to it.
    Cx(Box<CxQuery>),
    /// What the HSS answered.
    CxAnswer { id: QueryId, result: Box<Result<CxAnswer, CxFailure>> },
    /// A request of the HSS.
    PeerRequest { id: RequestId, request: Box<CxRequest> },
    /// What the sender has to say to it.
    PeerAnswer { id: RequestId, answer: Box<CxAnswer> },
    /// The identity of this keyed hash is served in `owner`, or not any more.
    Alias { identity: u64, owner: Bucket, stands: bool },
    /// The sender has no work left.
    Drained,
}

/// A question to the HSS on its way to the shard that has the connection.
#[derive(Debug)]
pub(super) struct CxQuery {
    pub(super) id: QueryId,
    pub(super) request: CxRequest,
    pub(super) destination: Destination,
    pub(super) trace: Option<String>,
}
