//! This node's Diameter as a value: peers, routing, failover, pending requests (RFC 6733 §2, §5, §6).
//!
//! Sans-IO. The driver owns the sockets: it opens what [`EndpointOutput::Connect`] asks for, says what became of it, gives
//! received bytes in pieces of any size, and calls [`Endpoint::handle`] with [`EndpointInput::Timeout`] when
//! [`Endpoint::next_timeout`] is reached. After each input it drains [`Endpoint::poll_output`].

mod config;
mod connection;
mod dispatch;
mod handshake;
mod lifecycle;
mod neighbour;
mod routing;
mod slots;

pub use config::{EndpointConfig, PeerConfig, PeerRole};

use crate::cx::{CxAnswer, CxRequest, CxResult};
use crate::peer::PeerEvent;
use crate::watchdog::{WatchdogEvent, WatchdogState};
use ambient::{Entropy, Instant, Now, TimerId, Timers};
use connection::Connection;
use dispatch::Served;
use neighbour::Neighbour;
use routing::Pending;
use slots::Slots;
use std::collections::{BTreeMap, VecDeque};
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
#[expect(
    clippy::large_enum_variant,
    reason = "an input is made, handled and gone: no collection of them is kept"
)]
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
    /// Close the connection, or stop opening it; nothing more is said about it.
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

/// What an operator would ask about; each grows from 0 at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests sent again, to another peer.
    pub failovers: u64,
    /// Requests that no answer came to in time.
    pub timeouts: u64,
    /// Requests refused because too many wait, ours and those of peers.
    pub overloads: u64,
    /// Answers that came too late, or to nothing.
    pub late_answers: u64,
    /// Answers that could not be read.
    pub undecodable_answers: u64,
    /// Requests of peers that were answered with a fault.
    pub refused_requests: u64,
    /// Connections refused at their CER.
    pub refused_peers: u64,
    /// Connections closed because of what came on them.
    pub malformed: u64,
}

/// What a timer of the endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimerKey {
    /// No CER on an accepted connection.
    Cer { conn: ConnId },
    /// A handshake or goodbye took too long.
    State { peer: usize },
    /// Tw.
    Watchdog { peer: usize },
    /// Time to connect again.
    Reconnect { peer: usize },
    /// No answer to a request of ours.
    Request { hop_by_hop: u32 },
}

/// This node's Diameter.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    entropy: Entropy,
    /// The time of the input being handled.
    now: Instant,
    /// Origin-State-Id: wall time of the start, so that it grows from start to start.
    origin_state_id: u32,
    is_stopping: bool,
    /// Those of the configuration, in its order, then strangers; `None` where a stranger was.
    peers: Vec<Option<Neighbour>>,
    conns: BTreeMap<ConnId, Connection>,
    pending: Slots<Pending>,
    served: Slots<Served>,
    timers: Timers<TimerKey>,
    outputs: VecDeque<EndpointOutput>,
    counters: Counters,
    conn_count: u64,
    session_count: u32,
    /// The last Hop-by-Hop id of a base request; those of Cx requests are slots.
    hop_by_hop: u32,
    end_to_end: u32,
    /// Whose turn it is among equal peers.
    turn: usize,
}

impl Endpoint {
    /// An endpoint that has done nothing yet; [`EndpointInput::Start`] sets it going.
    pub fn new(config: EndpointConfig, mut entropy: Entropy) -> Endpoint {
        let backoff = config.reconnect_min;
        let peers = config.peers.iter().map(|peer| Some(Neighbour::new(peer.clone(), backoff))).collect();
        Endpoint {
            now: Instant::START,
            origin_state_id: 0,
            is_stopping: false,
            peers,
            conns: BTreeMap::new(),
            pending: Slots::new(config.pending_max),
            served: Slots::new(config.served_max),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            conn_count: 0,
            session_count: 0,
            hop_by_hop: entropy.next_u32(),
            end_to_end: entropy.next_u32(),
            turn: 0,
            config,
            entropy,
        }
    }

    /// Handles one input to completion.
    pub fn handle(&mut self, now: Now, input: EndpointInput<'_>) {
        self.now = now.instant;
        match input {
            EndpointInput::Start => self.start(now),
            EndpointInput::Connected { conn } => self.connected(conn),
            EndpointInput::ConnectFailed { conn } => {
                self.connection_lost(conn, PeerEvent::IRcvConnNack);
            }
            EndpointInput::Accepted { conn, remote } => self.accepted(conn, remote),
            EndpointInput::Bytes { conn, bytes } => self.received(conn, bytes),
            EndpointInput::Closed { conn } => {
                let side = self.conns.get(&conn).map(|connection| connection.side);
                if let Some(side) = side {
                    self.connection_lost(conn, PeerEvent::PeerDisc(side));
                }
            }
            EndpointInput::Timeout => self.timed_out(),
            EndpointInput::Request { id, request, destination, session } => {
                self.request(id, request, destination, session);
            }
            EndpointInput::Answer { id, answer } => self.answer(id, &answer),
            EndpointInput::Stop => self.stop(),
        }
        self.timers.drop_stale();
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<EndpointOutput> {
        self.outputs.pop_front()
    }

    /// When to call with [`EndpointInput::Timeout`], and why.
    pub fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        self.timers.next()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The identities of the peers that are connected, with what their watchdog thinks of them.
    pub fn open_peers(&self) -> Vec<(String, WatchdogState)> {
        let open = self.peers.iter().flatten().filter(|peer| peer.open_conn().is_some());
        open.map(|peer| (peer.name(), peer.watchdog.state())).collect()
    }

    /// How many requests of ours wait for an answer.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    fn start(&mut self, now: Now) {
        // The low half of the seconds is enough to tell two starts apart, and to outgrow the one before.
        self.origin_state_id = now.wall.as_secs() as u32;
        // RFC 6733 §3: the time in the high 12 bits, so that ids of two starts differ.
        self.end_to_end = self.origin_state_id << 20 | self.end_to_end & 0x000f_ffff;
        for index in 0..self.peers.len() {
            self.start_peer(index);
        }
    }

    fn start_peer(&mut self, index: usize) {
        if self.peer_mut(index).is_some_and(|peer| peer.connects()) {
            self.step(index, PeerEvent::Start);
        }
    }

    fn stop(&mut self) {
        self.is_stopping = true;
        for index in 0..self.peers.len() {
            let timer = self.peer_mut(index).and_then(|peer| peer.reconnect_timer.take());
            self.disarm(timer);
            self.note_reason(index, "we are stopping");
            self.step(index, PeerEvent::Stop);
        }
        let nameless: Vec<_> =
            self.conns.iter().filter(|(_, c)| c.peer.is_none()).map(|(id, _)| *id).collect();
        for conn in nameless {
            self.close(conn);
        }
    }

    fn accepted(&mut self, conn: ConnId, remote: SocketAddr) {
        let accepted_count = self.conns.values().filter(|connection| connection.remote.is_some()).count();
        if self.is_stopping || accepted_count >= self.config.accepted_max {
            return self.outputs.push_back(EndpointOutput::Close { conn });
        }
        let after = self.config.handshake_timeout;
        let timer = self.timers.arm(self.now, after, TimerKey::Cer { conn }, "Diameter CER");
        self.conns.insert(conn, Connection::accepted(remote, timer));
    }

    fn connected(&mut self, conn: ConnId) {
        match self.conns.get(&conn).and_then(|connection| connection.peer) {
            Some(index) => self.step(index, PeerEvent::IRcvConnAck),
            // It took too long, and was closed in the meantime.
            None => self.outputs.push_back(EndpointOutput::Close { conn }),
        }
    }

    /// The driver says that the connection is gone: nothing is left to close.
    fn connection_lost(&mut self, conn: ConnId, event: PeerEvent) {
        let Some(connection) = self.conns.remove(&conn) else { return };
        self.disarm(connection.cer_timer);
        self.forget_served(conn);
        let Some(index) = connection.peer else { return };
        if let Some(peer) = self.peer_mut(index) {
            *peer.conn_slot(connection.side) = None;
        }
        self.step(index, event);
    }

    fn timed_out(&mut self) {
        while let Some(key) = self.timers.pop_due(self.now) {
            match key {
                TimerKey::Cer { conn } => {
                    self.counters.malformed += 1;
                    if let Some(connection) = self.conns.get_mut(&conn) {
                        connection.cer_timer = None;
                    }
                    self.close(conn);
                }
                TimerKey::State { peer } => {
                    if let Some(peer) = self.peer_mut(peer) {
                        peer.state_timer = None;
                    }
                    self.step(peer, PeerEvent::Timeout);
                }
                TimerKey::Watchdog { peer } => {
                    if let Some(peer) = self.peer_mut(peer) {
                        peer.watchdog_timer = None;
                    }
                    self.watch(peer, WatchdogEvent::Timer);
                }
                TimerKey::Reconnect { peer } => {
                    if let Some(peer) = self.peer_mut(peer) {
                        peer.reconnect_timer = None;
                    }
                    self.step(peer, PeerEvent::Start);
                }
                TimerKey::Request { hop_by_hop } => self.request_timed_out(hop_by_hop),
            }
        }
    }

    fn peer_mut(&mut self, index: usize) -> Option<&mut Neighbour> {
        self.peers.get_mut(index)?.as_mut()
    }

    fn disarm(&mut self, timer: Option<TimerId>) {
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
    }

    fn next_hop_by_hop(&mut self) -> u32 {
        self.hop_by_hop = self.hop_by_hop.wrapping_add(1);
        self.hop_by_hop
    }

    fn next_end_to_end(&mut self) -> u32 {
        self.end_to_end = self.end_to_end.wrapping_add(1);
        self.end_to_end
    }
}

#[cfg(test)]
mod tests;
