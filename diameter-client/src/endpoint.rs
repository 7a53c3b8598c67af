//! This node's Diameter as a value: peers, routing, failover, pending requests (RFC 6733 §2, §5, §6).
//!
//! Sans-IO. The driver owns the sockets: it opens what [`EndpointOutput::Connect`] asks for, says what became of it, gives
//! received bytes in pieces of any size, and calls [`Endpoint::handle`] with [`EndpointInput::Timeout`] when
//! [`Endpoint::next_timeout`] is reached. After each input it drains [`Endpoint::poll_output`].

mod config;

pub use config::{EndpointConfig, PeerConfig, PeerRole};

use crate::cx::{CxAnswer, CxRequest, CxResult};
use ambient::{Entropy, Instant, Now};
use std::collections::VecDeque;
use std::fmt;
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
pub enum EndpointInput<'a> {
    /// Connect to the peers that we connect to.
    Start,
    /// A connection that the endpoint asked for stands.
    Connected {
        /// From [`EndpointOutput::Connect`].
        conn: ConnId,
    },
    /// A connection that the endpoint asked for could not be had.
    ConnectFailed {
        /// From [`EndpointOutput::Connect`].
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
    /// The time of [`Endpoint::next_timeout`] was reached.
    Timeout,
    /// Send a request; [`EndpointOutput::Answer`] with the same id follows, exactly once.
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
        /// From [`EndpointOutput::Request`].
        id: RequestId,
        /// The answer.
        answer: CxAnswer,
    },
    /// Say goodbye to every peer (DPR) and close.
    Stop,
}

/// What the endpoint wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum EndpointOutput {
    /// Open a connection.
    Connect {
        /// Its name from here on.
        conn: ConnId,
        /// Where to.
        addr: SocketAddr,
    },
    /// Write bytes: one whole message.
    Send {
        /// The connection.
        conn: ConnId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Close the connection; nothing more is said about it.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// What became of a request of ours.
    Answer {
        /// From [`EndpointInput::Request`].
        id: u64,
        /// The answer, of whatever result, or why there is none.
        result: Result<CxAnswer, CxFailure>,
        /// Origin-Host of the answer; the HSS to name in later requests (TS 29.229 §5.5).
        origin_host: Option<String>,
    },
    /// A peer asks us something; answer with [`EndpointInput::Answer`].
    Request {
        /// Name it when answering.
        id: RequestId,
        /// The request.
        request: CxRequest,
        /// Origin-Host of the request.
        origin_host: String,
        /// Origin-Realm of the request.
        origin_realm: String,
    },
    /// A peer can take requests.
    PeerUp {
        /// Its Diameter identity.
        peer: String,
    },
    /// A peer cannot take requests any more.
    PeerDown {
        /// Its Diameter identity.
        peer: String,
        /// In words for an operator.
        reason: String,
    },
}

/// Why a request has no answer that could be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CxFailure {
    /// No peer for the destination is connected.
    NoPeer,
    /// No answer came in time.
    Timeout,
    /// Too many requests wait for an answer.
    Overload,
    /// The Diameter network refused the request with a protocol error, and no other peer could be tried.
    Rejected {
        /// The result, a 3xxx.
        result: CxResult,
    },
    /// The answer could not be read.
    Undecodable {
        /// What was wrong with it.
        reason: String,
    },
}

impl fmt::Display for CxFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CxFailure::NoPeer => write!(f, "no Diameter peer is connected for the destination"),
            CxFailure::Timeout => write!(f, "no answer from the HSS in time"),
            CxFailure::Overload => write!(f, "too many Cx requests wait for an answer"),
            CxFailure::Rejected { result } => write!(f, "the Diameter network refused the request: {result}"),
            CxFailure::Undecodable { reason } => write!(f, "the HSS's answer cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for CxFailure {}

/// This node's Diameter.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    entropy: Entropy,
    outputs: VecDeque<EndpointOutput>,
}

impl Endpoint {
    /// An endpoint that has done nothing yet; [`EndpointInput::Start`] sets it going.
    pub fn new(config: EndpointConfig, entropy: Entropy) -> Endpoint {
        Endpoint { config, entropy, outputs: VecDeque::new() }
    }

    /// Handles one input to completion.
    pub fn handle(&mut self, now: Now, input: EndpointInput<'_>) {
        let _ = (now, &mut self.entropy, &self.config);
        if let EndpointInput::Request { id, .. } = input {
            let result = Err(CxFailure::NoPeer);
            self.outputs.push_back(EndpointOutput::Answer { id, result, origin_host: None });
        }
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<EndpointOutput> {
        self.outputs.pop_front()
    }

    /// When to call with [`EndpointInput::Timeout`], and why.
    pub fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }
}
