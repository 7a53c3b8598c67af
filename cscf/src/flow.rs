//! Where a message came from and where one goes: flows, hops, listening points.

use crate::bucket::ShardId;
use diameter_client::endpoint::StreamTransport;
use ipsec::Spi;
use std::fmt;
use std::net::SocketAddr;

/// Names one flow of the transport layer: a UDP 5-tuple or a connection (RFC 5626 §3.3 uses the word so).
///
/// A slot and a generation: a flow that is gone is never mistaken for the one that took its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The shard that reads and writes it.
    pub shard: ShardId,
    /// Index into the transport layer's table.
    pub slot: u32,
    /// Counts the uses of the slot.
    pub generation: u32,
}

/// The transports that a SIP message travels over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// RFC 3261 §18: unreliable, one message a datagram.
    Udp,
    /// RFC 3261 §18: a stream framed by Content-Length.
    Tcp,
    /// RFC 3261 §26.2.1: TLS over TCP.
    Tls,
}

impl Transport {
    /// Whether the transaction layer leaves retransmission to the transport (RFC 3261 §17).
    pub const fn is_reliable(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }

    /// The port of a URI or Via that names none (RFC 3261 §19.1.2, §18.2.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }

    /// What carries a connection of it; `None` for datagrams.
    pub const fn stream(self) -> Option<StreamTransport> {
        match self {
            Transport::Udp => None,
            Transport::Tcp => Some(StreamTransport::Tcp),
            Transport::Tls => Some(StreamTransport::Tls),
        }
    }

    /// The token of a Via's sent-protocol.
    pub const fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// The value of the `transport` URI parameter: for TLS the one that RFC 3261 §26.2.2 deprecates and everybody writes.
    pub const fn uri_token(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri_token())
    }
}

/// Which side of a node a listening point serves. Only a P-CSCF has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Towards UEs (Gm).
    Access,
    /// Towards other CSCFs and application servers (Mw, ISC).
    Core,
    /// Towards a UE or, at a UE, its P-CSCF, inside security associations (TS 33.203 §7.1): nothing is taken here in clear.
    Protected,
}

/// One listening point of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// What it serves. A P-CSCF with one address for both lists it twice, or once as `Access`.
    pub side: Side,
    /// Its transport.
    pub transport: Transport,
    /// The address that its socket is bound to, and that it writes into Via, Route and Contact.
    pub address: SocketAddr,
}

/// How far the sender of a message is believed (TS 24.229 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// Outside: a UE, an unknown host, a foreign network.
    Outside,
    /// Inside the trust domain: listed in the configuration's `[trust]` section.
    Domain,
}

/// Where a received message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The flow it came in on; an answer goes back by it.
    pub flow: Flow,
    /// The transport of that flow.
    pub transport: Transport,
    /// Our end.
    pub local: SocketAddr,
    /// The other end, as the packet had it.
    pub remote: SocketAddr,
    /// Decided from `remote` by the trust list.
    pub trust: Trust,
    /// The set of security associations that protected it, by the SPI of our server port.
    pub secured: Option<Spi>,
}

/// One resolved place to send a request to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The transport to use.
    pub transport: Transport,
    /// The address and port.
    pub remote: SocketAddr,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.remote)
    }
}
