//! What the driver and the node tell the endpoint, and the names that both sides use.

use crate::cx::{CxAnswer, CxRequest};
use std::net::SocketAddr;

/// Names one connection. The endpoint mints those that it asks for, the driver those that it accepts, which have the top
/// bit set ([`ConnId::accepted`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The `n`th connection that the driver accepted; never the id of one that the endpoint asked for.
    pub fn accepted(n: u64) -> ConnId {
        ConnId(n | 1 << 63)
    }
}

/// Names one request of a peer until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Where a request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// Destination-Realm.
    pub realm: String,
    /// Destination-Host, when it is known (TS 29.229 §5.5).
    pub host: Option<String>,
}

/// What the driver and the node tell the endpoint.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an input is made, handled and gone: no collection of them is kept"
)]
pub enum EndpointInput<'a> {
    /// Connect to the peers that we connect to.
    Start,
    /// A connection that the endpoint asked for stands.
    Connected {
        /// From [`EndpointOutput::Connect`](super::EndpointOutput::Connect).
        conn: ConnId,
    },
    /// A connection that the endpoint asked for could not be had.
    ConnectFailed {
        /// From [`EndpointOutput::Connect`](super::EndpointOutput::Connect).
        conn: ConnId,
    },
    /// A peer connected to us.
    Accepted {
        /// Minted by the driver, see [`ConnId::accepted`].
        conn: ConnId,
        /// Where it came from.
        remote: SocketAddr,
    },
    /// Bytes arrived, in order, split anyhow.
    Bytes {
        /// The connection.
        conn: ConnId,
        /// What was read.
        bytes: &'a [u8],
    },
    /// The connection is gone.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// The time of [`Endpoint::next_timeout`](super::Endpoint::next_timeout) was reached.
    Timeout,
    /// Send a request; [`EndpointOutput::Answer`](super::EndpointOutput::Answer) with the same id follows, exactly once.
    Request {
        /// The caller's own name for it.
        id: u64,
        /// The request.
        request: CxRequest,
        /// Where it goes.
        destination: Destination,
        /// Ends the Session-Id, so that a trace can be followed across nodes.
        session: Option<String>,
    },
    /// Answer a peer's request.
    Answer {
        /// From [`EndpointOutput::Request`](super::EndpointOutput::Request).
        id: RequestId,
        /// The answer.
        answer: CxAnswer,
    },
    /// Say goodbye to every peer (DPR) and close.
    Stop,
}
