//! What the endpoint wants done, and what it has to say.

use super::{ConnId, CxFailure, RequestId, StreamTransport};
use crate::cx::{CxAnswer, CxRequest};
use std::net::SocketAddr;

/// What the endpoint wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum EndpointOutput {
    /// Open a connection.
    Connect {
        /// Its name from here on.
        conn: ConnId,
        /// Where to.
        addr: SocketAddr,
        /// Over what.
        transport: StreamTransport,
    },
    /// Write bytes: one whole message.
    Send {
        /// The connection.
        conn: ConnId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Close the connection, or stop opening it; nothing more is said about it.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// What became of a request of ours.
    Answer {
        /// From [`EndpointInput::Request`](super::EndpointInput::Request).
        id: u64,
        /// The answer, of whatever result, or why there is none.
        result: Result<CxAnswer, CxFailure>,
        /// Origin-Host of the answer; the HSS to name in later requests (TS 29.229 §5.5).
        origin_host: Option<String>,
    },
    /// A peer asks us something; answer with [`EndpointInput::Answer`](super::EndpointInput::Answer).
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
