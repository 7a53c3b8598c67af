//! Bounds and times of the transport layer.

use sip_core::Limits;
use std::time::Duration;

/// Bounds and times of the transport layer; the configuration's `[limits]` sets most of them.
#[derive(Clone, Debug)]
pub struct TransportLimits {
    /// UDP flows remembered; the least used go first.
    pub datagram_flows_max: usize,
    /// Stream connections in all.
    pub connections_max: usize,
    /// Stream connections that one address outside the trust domain may hold.
    pub connections_per_remote_max: usize,
    /// Bytes that wait for one connection to open.
    pub waiting_bytes_max: usize,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a peer may leave a message unfinished, or a new connection silent.
    pub stall_timeout: Duration,
    /// How long a connection may go unused. Longer than the registration period of UEs without keep-alive.
    pub idle_timeout: Duration,
    /// Bounds of one message.
    pub message: Limits,
}

impl Default for TransportLimits {
    fn default() -> TransportLimits {
        TransportLimits {
            datagram_flows_max: 1 << 20,
            connections_max: 65_536,
            connections_per_remote_max: 256,
            waiting_bytes_max: 256 * 1024,
            connect_timeout: Duration::from_secs(4),
            stall_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(3 * 3600),
            message: Limits::default(),
        }
    }
}
