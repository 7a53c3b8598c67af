//! This node's Diameter as a value: peers, routing, failover, pending requests (RFC 6733 §2, §5, §6).
//!
//! Sans-IO. The driver owns the sockets: it opens what [`EndpointOutput::Connect`] asks for, says what became of it, gives
//! received bytes in pieces of any size, and calls [`Endpoint::handle`] with [`EndpointInput::Timeout`] when
//! [`Endpoint::next_timeout`] is reached. After each input it drains [`Endpoint::poll_output`]:
//!
//! ```
//! use ambient::{Entropy, Now};
//! use diameter_client::endpoint::*;
//!
//! let mut config = EndpointConfig::new("icscf.ims.example", "ims.example");
//! config.host_ips.push([127, 0, 0, 11].into());
//! config.peers.push(PeerConfig {
//!     host: None,
//!     realm: "ims.example".into(),
//!     addr: ([127, 0, 0, 13], 3868).into(),
//!     transport: StreamTransport::Tcp,
//!     role: PeerRole::Connect,
//!     priority: 0,
//! });
//! let mut endpoint = Endpoint::new(config, Entropy::seeded(1));
//! endpoint.handle(Now::default(), EndpointInput::Start);
//! let Some(EndpointOutput::Connect { conn, .. }) = endpoint.poll_output() else { panic!() };
//! endpoint.handle(Now::default(), EndpointInput::Connected { conn });
//! let Some(EndpointOutput::Send { bytes, .. }) = endpoint.poll_output() else { panic!() };
//! assert_eq!(bytes[5..8], [0, 1, 1], "a CER is the first message");
//! assert!(endpoint.next_timeout().is_some(), "the CEA is awaited, not for ever");
//! ```

mod config;
mod connection;
mod dispatch;
mod failure;
mod handshake;
mod input;
mod lifecycle;
mod neighbour;
mod output;
mod routing;
mod slots;
mod traffic;
mod transport;

pub use config::{EndpointConfig, PeerConfig, PeerRole};
pub use failure::CxFailure;
pub use input::{ConnId, Destination, EndpointInput, RequestId};
pub use output::EndpointOutput;
pub use traffic::{Asked, Traffic};
pub use transport::StreamTransport;

use crate::peer::PeerEvent;
use crate::watchdog::{WatchdogEvent, WatchdogState};
use ambient::{Entropy, Instant, Now, TimerId, Timers};
use connection::Connection;
use dispatch::Served;
use neighbour::Neighbour;
use routing::Pending;
use slots::Slots;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

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
    traffic: Traffic,
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
            traffic: Traffic::default(),
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

    /// Which commands were asked and answered, how long that took, and which peers there are.
    pub fn traffic(&self) -> Traffic {
        let peers = self.peers.iter().flatten();
        let peers = peers.map(|peer| (peer.name(), peer.open_conn().is_some())).collect();
        let mut traffic = self.traffic.clone();
        (traffic.peers, traffic.counters) = (peers, self.counters);
        traffic
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
