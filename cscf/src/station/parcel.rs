//! What one shard of a function says to another.

use crate::bucket::Bucket;
use crate::flow::{Flow, Source};
use crate::input::{Exit, Ticket};
use crate::query::QueryId;
use diameter_client::cx::{CxAnswer, CxRequest};
use diameter_client::endpoint::{CxFailure, Destination, RequestId};

/// What one shard of a function says to another. A driver carries it, in order for each pair of shards, and does not look
/// inside.
#[expect(dead_code, reason = "the contract comes before those who read it")]
#[derive(Debug)]
pub struct Parcel(pub(super) Content);

/// What is in a [`Parcel`].
#[expect(dead_code, reason = "the contract comes before those who read it")]
#[derive(Debug)]
pub(super) enum Content {
    /// A message whose home is the receiver.
    Message { source: Source, bytes: Vec<u8> },
    /// A message to be sent by a flow of the receiver.
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
    /// The identities whose keyed hashes these are live in `owner`; `None`: where their own bucket is.
    Alias { identities: Vec<u64>, owner: Option<Bucket> },
    /// The sender has no work left.
    Drained,
}

/// A question to the HSS on its way to the shard that has the connection.
#[expect(dead_code, reason = "the contract comes before those who read it")]
#[derive(Debug)]
pub(super) struct CxQuery {
    pub(super) id: QueryId,
    pub(super) request: CxRequest,
    pub(super) destination: Destination,
    pub(super) trace: Option<String>,
}
