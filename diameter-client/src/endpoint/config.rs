//! What an endpoint is told at its start: who it is, whom it talks to, and every limit.

use super::StreamTransport;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Who this node is, its peers and its limits.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Origin-Host: this node's Diameter identity.
    pub origin_host: String,
    /// Origin-Realm.
    pub origin_realm: String,
    /// Product-Name in CER and CEA.
    pub product_name: String,
    /// Host-IP-Address in CER and CEA; at least one.
    pub host_ips: Vec<IpAddr>,
    /// The peers that we know, in any order.
    pub peers: Vec<PeerConfig>,
    /// Whether a peer that is not in `peers` may connect; else it is told UNKNOWN_PEER. Normal in labs.
    pub accept_unknown_peers: bool,
    /// Tw of RFC 3539: silence after which a DWR is sent; each is up to 2 s more or less. 30 s by default, at least 6 s.
    pub tw: Duration,
    /// How long an answer may take, failovers included.
    pub request_timeout: Duration,
    /// How long a connection may take until CER and CEA are exchanged, and how long a DPA may take.
    pub handshake_timeout: Duration,
    /// Requests that wait for an answer, of all peers together.
    pub pending_max: usize,
    /// Requests of peers that wait for our answer; above it they are told TOO_BUSY.
    pub served_max: usize,
    /// Connections that peers may have open to us.
    pub accepted_max: usize,
    /// The largest message that is read, in octets.
    pub message_len_max: usize,
    /// Wait before the first reconnection; doubles with each failure (RFC 6733 §5.1 calls it Tc).
    pub reconnect_min: Duration,
    /// The longest wait before a reconnection.
    pub reconnect_max: Duration,
}

impl EndpointConfig {
    /// A node of this identity without peers, everything else at its default.
    pub fn new(origin_host: impl Into<String>, origin_realm: impl Into<String>) -> EndpointConfig {
        EndpointConfig {
            origin_host: origin_host.into(),
            origin_realm: origin_realm.into(),
            product_name: "Carillon".to_owned(),
            host_ips: Vec::new(),
            peers: Vec::new(),
            accept_unknown_peers: false,
            tw: Duration::from_secs(30),
            request_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            pending_max: 10_000,
            served_max: 10_000,
            accepted_max: 256,
            message_len_max: 1 << 20,
            reconnect_min: Duration::from_secs(1),
            reconnect_max: Duration::from_secs(30),
        }
    }
}

/// One peer that we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its Diameter identity; `None` takes whatever identity answers at the address.
    pub host: Option<String>,
    /// The realm that it serves.
    pub realm: String,
    /// Where to connect to, and where it may connect from (the port is then not looked at).
    pub addr: SocketAddr,
    /// What a connection to it runs over; it may come to us over either.
    pub transport: StreamTransport,
    /// Who opens the connection.
    pub role: PeerRole,
    /// Which peer of a realm is taken first: the lowest; of equals, in turn.
    pub priority: u16,
}

/// Who opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerRole {
    /// We connect; the peer may do so as well, then the election decides.
    Connect,
    /// The peer connects.
    Accept,
}
