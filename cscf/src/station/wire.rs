//! The contract between a machine and its driver: bytes, connections, queries and time, and nothing else.
//!
//! A driver moves bytes between sockets (or a simulated network) and a [`Machine`]; it knows neither SIP nor Diameter.

use crate::assembly::Part;
use crate::bucket::ShardId;
use crate::metrics::Snapshot;
use crate::node::Count;
use crate::query::{Answer, Query, QueryId, Record};
use crate::station::Parcel;
use ambient::{Instant, Now};
use diameter_client::endpoint::StreamTransport;
use std::fmt;
use std::net::SocketAddr;

/// A value that a driver drives: a CSCF, an HSS or a UE with everything that it needs above the sockets.
///
/// One input, to completion; then drain the outputs; then sleep until `next_timeout` at the latest.
pub trait Machine: Send {
    /// Handles one input to completion.
    fn handle(&mut self, now: Now, input: WireInput);

    /// The next output; drain until `None` after each input, in order.
    fn poll_output(&mut self) -> Option<WireOutput>;

    /// When [`WireInput::Timeout`] is due, and why; `None` while nothing waits for time.
    fn next_timeout(&self) -> Option<(Instant, &'static str)>;

    /// Whether, after [`WireInput::Drain`], all work is finished, so that the driver may stop.
    fn is_drained(&self) -> bool {
        true
    }

    /// The shard that a connection belongs to, asked by a driver that accepted it, before it reads: every shard listens,
    /// and any of them may accept.
    fn home_of_connection(&self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> ShardId {
        let _ = (protocol, local, remote);
        ShardId(0)
    }

    /// Takes a buffer that the driver has sent and does not need, to make messages in. It may be dropped.
    fn recycle(&mut self, buffer: Vec<u8>) {
        drop(buffer);
    }

    /// A buffer that the machine does not need, for the driver to receive into; `None` when there is none.
    fn spare_buffer(&mut self) -> Option<Vec<u8>> {
        None
    }
}

/// What a person or a test may ask of a machine beside its network.
pub trait Operated: Machine {
    /// What an operator or, at a UE, its user can ask for.
    type Command: Send + fmt::Debug + 'static;
    /// What an operator or user is told.
    type Notice: Send + fmt::Debug + 'static;

    /// Handles one command to completion; outputs follow as after [`Machine::handle`].
    fn command(&mut self, now: Now, command: Self::Command);

    /// The next notice.
    fn poll_notice(&mut self) -> Option<Self::Notice>;

    /// Turns the tap of [`Operated::poll_trace`] on or off; before the first input, lest a stream be joined midway.
    fn set_trace(&mut self, on: bool);

    /// The next message that was sent or received, in order; `None` while the tap is off.
    fn poll_trace(&mut self) -> Option<crate::trace::Event>;

    /// What its functions have counted and hold, one for each.
    fn snapshots(&self) -> Vec<Snapshot> {
        Vec::new()
    }

    /// Begins to record by `rule`, as the node of this name; before the first input, lest a stream be joined midway.
    fn set_recorder(&mut self, _name: &str, _rule: &recorder::Rule) {}

    /// A chunk of what was recorded after the entry numbered `after`, of one of the functions that share a machine; `None`
    /// when nothing is recorded.
    fn recorded(&mut self, _of: Option<Part>, _after: u64) -> Option<Vec<u8>> {
        None
    }

    /// Records what the driver has found.
    fn record(&mut self, _now: Now, _fact: &recorder::FactRef<'_>) {}

    /// What it has counted since it started; of functions that share a machine, one tells its own if it is named.
    fn counters(&self, _of: Option<Part>) -> Vec<Count> {
        Vec::new()
    }
}

/// Names one stream connection.
///
/// Minted by the machine for those that it opens, and by the driver, with the top bit set, for those that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl LinkId {
    /// Set in the ids of accepted connections.
    pub const ACCEPTED: u64 = 1 << 63;

    /// Whether the driver minted it for a connection that it accepted.
    pub const fn is_accepted(self) -> bool {
        self.0 & LinkId::ACCEPTED != 0
    }
}

/// What a listening point or a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// SIP over a stream (RFC 3261 §18).
    Sip,
    /// Diameter (RFC 6733).
    Diameter,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Sip => "SIP",
            Protocol::Diameter => "Diameter",
        })
    }
}

/// One input of a machine.
#[derive(Debug)]
pub enum WireInput {
    /// Once, before anything else.
    Start {
        /// What the store held: the last record of each key.
        restored: Vec<Record>,
    },
    /// A SIP datagram came.
    Datagram {
        /// The listening point that it came in on.
        local: SocketAddr,
        /// Who sent it.
        remote: SocketAddr,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// A peer opened a connection.
    Accepted {
        /// Its id from here on.
        link: LinkId,
        /// By the listening point.
        protocol: Protocol,
        /// Our end: the listening point's address.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
    },
    /// A connection of [`WireOutput::Connect`] is open.
    Connected {
        /// Its id.
        link: LinkId,
        /// Our end, with the port that the system chose.
        local: SocketAddr,
    },
    /// A connection of [`WireOutput::Connect`] did not come about; the id is free.
    ConnectFailed {
        /// Its id.
        link: LinkId,
        /// For an operator.
        why: &'static str,
    },
    /// Bytes came on a connection.
    Received {
        /// Its id.
        link: LinkId,
        /// In order, cut anywhere.
        bytes: Vec<u8>,
    },
    /// A connection ended, by the peer or by a fault; not reported after [`WireOutput::Close`].
    Closed {
        /// Its id.
        link: LinkId,
    },
    /// A datagram to `remote` could not be delivered, where the driver learns it (ICMP port unreachable).
    DatagramFailed {
        /// Where it was sent to.
        remote: SocketAddr,
        /// For an operator.
        why: &'static str,
    },
    /// The answer to a query.
    Answered {
        /// The query's id.
        id: QueryId,
        /// What it came to.
        answer: Answer,
    },
    /// Another shard of this function says something.
    Parcel {
        /// Who says it.
        from: ShardId,
        /// What, as it left [`WireOutput::Parcel`].
        parcel: Parcel,
    },
    /// What was said to another shard could not be: its queue is full.
    ParcelReturned {
        /// Who did not hear it.
        shard: ShardId,
        /// What it was.
        parcel: Parcel,
    },
    /// Time has passed.
    Timeout,
    /// Take no new work and finish what there is (SIGTERM).
    Drain,
}

/// One output of a machine.
#[derive(Debug)]
pub enum WireOutput {
    /// Send a datagram.
    Datagram {
        /// From this listening point.
        local: SocketAddr,
        /// To this address.
        remote: SocketAddr,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// Open a connection.
    Connect {
        /// Its id from here on.
        link: LinkId,
        /// What it will speak.
        protocol: Protocol,
        /// What carries it.
        transport: StreamTransport,
        /// The address to bind, its port not used; `None` leaves it to the system.
        local: Option<SocketAddr>,
        /// Where to.
        remote: SocketAddr,
    },
    /// Write to an open connection; in order.
    Write {
        /// Its id.
        link: LinkId,
        /// What to write.
        bytes: Vec<u8>,
    },
    /// Close a connection once everything written is out. The id is free, and nothing more is reported for it.
    Close {
        /// Its id.
        link: LinkId,
    },
    /// Ask the world: [`Query::Resolve`] or [`Query::Store`] only.
    Query {
        /// Comes back with the answer.
        id: QueryId,
        /// The question.
        query: Query,
    },
    /// Say something to another shard of this function: into its bounded queue, in order.
    Parcel {
        /// To whom.
        shard: ShardId,
        /// What.
        parcel: Parcel,
    },
}
