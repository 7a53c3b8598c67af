//! A node with everything that it needs above the sockets: SIP transport layer, Diameter endpoint, tap.
//!
//! [`Station`] is a [`Machine`]: a driver, real or simulated, moves bytes in and out of it and knows nothing else.

mod aliases;
pub mod colocation;
mod merge;
mod neighbours;
mod parcel;
mod placement;
mod remembered;
mod shards;
mod wire;

pub use crate::bucket::ShardId;
pub use colocation::{Colocation, OfPart};
pub use diameter_client::endpoint::StreamTransport;
pub use parcel::Parcel;
pub use placement::AccessSide;
pub use shards::Shards;
pub use wire::{LinkId, Machine, Operated, Protocol, WireInput, WireOutput};

use crate::assembly::Part;
use crate::bucket::TokenKey;
use crate::flow::{Source, Transport};
use crate::input::{Event, Exit, Input, Output};
use crate::metrics::{Gauge, Holding, Snapshot};
use crate::node::{Count, Node};
use crate::query::{Answer, Query, QueryId, Record, Secure};
use crate::role::Role;
use crate::trace;
use crate::transport::{TransportOutput, Transports};
use ambient::{Instant, Now};
use diameter_client::endpoint::{ConnId, Endpoint, EndpointInput, EndpointOutput};
use neighbours::Neighbours;
use parcel::Content;
use recorder::{FactRef, Rule};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// A node, its SIP transport layer and its Diameter endpoint.
///
/// Records of a node go out as [`Query::Store`] and come back through [`WireInput::Start`]; a query of Cx stays inside.
pub struct Station<R: Role> {
    node: Node<R>,
    transports: Transports,
    endpoint: Option<Endpoint>,
    outputs: VecDeque<WireOutput>,
    notices: VecDeque<R::Notice>,
    tap: Option<trace::Tap>,
    stopping: Stopping,
    neighbours: Neighbours,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    /// In service.
    No,
    /// No new work; transactions finish, with the HSS still at hand.
    Draining,
    /// All work is done and the Diameter peers were told.
    Drained,
}

impl<R: Role> Station<R> {
    /// A station; `endpoint` for a role that speaks Cx.
    pub fn new(node: Node<R>, transports: Transports, endpoint: Option<Endpoint>) -> Station<R> {
        Station {
            neighbours: neighbours::alone(&node),
            node,
            transports,
            endpoint,
            outputs: VecDeque::new(),
            notices: VecDeque::new(),
            tap: None,
            stopping: Stopping::No,
        }
    }

    /// The node.
    pub fn node(&self) -> &Node<R> {
        &self.node
    }

    /// The node, to look at or to set up; what it outputs meanwhile leaves with the next input.
    pub fn node_mut(&mut self) -> &mut Node<R> {
        &mut self.node
    }

    /// The SIP transport layer.
    pub fn transports(&self) -> &Transports {
        &self.transports
    }

    /// Hands a command to the role, and carries out what follows from it.
    pub fn command(&mut self, now: Now, command: R::Command) {
        self.node.handle(now, Input::Event(Event::Command(command)));
        self.settle(now);
    }

    /// The next thing that the role has to say.
    pub fn poll_notice(&mut self) -> Option<R::Notice> {
        self.notices.pop_front()
    }

    /// Begins to record everything, or ends it; before the first input, lest a stream be joined midway.
    pub fn set_trace(&mut self, on: bool) {
        let rule = if on { Rule::default() } else { Rule::off() };
        self.set_recorder("", &rule);
    }

    /// Begins to record by `rule`, as the node of this name.
    pub fn set_recorder(&mut self, name: &str, rule: &Rule) {
        let node = recorder::Node { function: trace::function(R::NAME), name: name.to_owned() };
        self.tap = trace::Tap::new(node, rule);
        self.node.set_facts(self.tap.is_some());
    }

    /// The next message that was sent or received; `None` while the tap is off.
    pub fn poll_trace(&mut self) -> Option<trace::Event> {
        self.tap.as_mut()?.poll()
    }

    // --- one input ------------------------------------------------------------------------------------------------

    fn input(&mut self, now: Now, input: WireInput) {
        match input {
            WireInput::Start { mut restored } => {
                self.take_token_key(&mut restored);
                self.node.handle(now, Input::Event(Event::Restored(restored)));
                self.tell_endpoint(now, EndpointInput::Start);
            }
            WireInput::Datagram { local, remote, bytes } => {
                match self.elsewhere(self.transports.trust(remote), remote, &bytes) {
                    Some(home) => self.say(home, Content::Datagram { local, remote, bytes }),
                    None => self.transports.datagram(now.instant, local, remote, bytes),
                }
            }
            WireInput::DatagramFailed { remote, why } => self.transports.datagram_failed(remote, why),
            WireInput::Accepted { link, protocol: Protocol::Sip, local, remote } => {
                self.transports.accepted(now.instant, link, local, remote);
            }
            WireInput::Accepted { link, protocol: Protocol::Diameter, local, remote } => {
                self.tap_opened(link, local, remote);
                match self.endpoint {
                    Some(_) => {
                        self.tell_endpoint(now, EndpointInput::Accepted { conn: ConnId(link.0), remote })
                    }
                    None => self.outputs.push_back(WireOutput::Close { link }),
                }
            }
            // A link that is not the transport layer's is the endpoint's.
            WireInput::Connected { link, local } => match self.transports.has_link(link) {
                true => self.transports.connected(now.instant, link, local),
                false => {
                    if let Some(tap) = &mut self.tap {
                        tap.connected(link, local);
                    }
                    self.tell_endpoint(now, EndpointInput::Connected { conn: conn(link) });
                }
            },
            WireInput::ConnectFailed { link, why } => match self.transports.has_link(link) {
                true => {
                    if let (Some(tap), Some(way)) = (&mut self.tap, self.transports.way_of_link(link)) {
                        let remote = Some(way.ends.1);
                        let fact =
                            FactRef { name: "connection_refused", cause: why, remote, ..FactRef::default() };
                        tap.fact(now, &fact);
                    }
                    self.transports.connect_failed(link, why);
                }
                false => self.tell_endpoint(now, EndpointInput::ConnectFailed { conn: conn(link) }),
            },
            WireInput::Received { link, bytes } => {
                match self.transports.has_link(link) {
                    true => self.transports.received(now.instant, link, &bytes),
                    false => {
                        if let Some(tap) = &mut self.tap {
                            tap.read(now, link, &bytes);
                        }
                        self.tell_endpoint(now, EndpointInput::Bytes { conn: conn(link), bytes: &bytes });
                    }
                }
                self.node.recycle(bytes);
            }
            WireInput::Closed { link } => match self.transports.has_link(link) {
                true => self.transports.closed(link),
                false => {
                    if let Some(tap) = &mut self.tap {
                        tap.closed(link);
                    }
                    self.tell_endpoint(now, EndpointInput::Closed { conn: conn(link) });
                }
            },
            WireInput::Answered { id: TOKEN_KEY_QUERY, answer } => {
                if let Answer::Stored(Err(why)) = answer {
                    tracing::error!(role = R::NAME, %why, "the key of tokens could not be stored");
                }
            }
            WireInput::Answered { id, answer } => self.node.handle(now, Input::Answer { query: id, answer }),
            WireInput::Timeout => {
                self.transports.timeout(now.instant);
                self.tell_endpoint(now, EndpointInput::Timeout);
                self.node.handle(now, Input::Timeout);
                self.say_again(now);
            }
            WireInput::Parcel { from, parcel } => self.parcel(now, from, parcel),
            WireInput::ParcelReturned { shard, parcel } => self.returned(now, shard, parcel),
            WireInput::Drain => {
                if self.stopping == Stopping::No {
                    self.stopping = Stopping::Draining;
                    self.node.handle(now, Input::Event(Event::Draining));
                }
            }
        }
    }

    /// Tokens in Path and Service-Route outlive a restart, so their key does too: it is the station's own record.
    fn take_token_key(&mut self, restored: &mut Vec<Record>) {
        let own =
            restored.iter().position(|record| record.key == TOKEN_KEY_RECORD).map(|at| restored.remove(at));
        match own.and_then(|record| record.value?.first_chunk::<16>().copied()) {
            Some(key) => {
                let key = u128::from_be_bytes(key);
                self.node.set_token_key(TokenKey::from_key(((key >> 64) as u64, key as u64)));
            }
            // All shards have the same, and the first one keeps it.
            None if self.neighbours.share.id() != ShardId(0) => {}
            None => {
                let (high, low) = self.node.token_key().key();
                let value = (u128::from(high) << 64 | u128::from(low)).to_be_bytes().to_vec();
                let record = Record { key: TOKEN_KEY_RECORD.to_vec(), value: Some(value) };
                let query = Query::Store(vec![record]);
                self.outputs.push_back(WireOutput::Query { id: TOKEN_KEY_QUERY, query });
            }
        }
    }

    /// Carries what the three parts say to each other until all are silent.
    fn settle(&mut self, now: Now) {
        loop {
            self.tap_facts(now);
            if let Some(output) = self.transports.poll_output() {
                self.on_transports(now, output);
            } else if let Some(output) = self.node.poll_output() {
                self.on_node(now, output);
            } else if let Some(output) = self.endpoint.as_mut().and_then(Endpoint::poll_output) {
                self.on_endpoint(now, output);
            } else if self.stopping != Stopping::Draining || !self.node.is_idle() || !self.try_end(now) {
                return;
            }
        }
    }

    fn on_transports(&mut self, now: Now, output: TransportOutput) {
        match output {
            TransportOutput::Message { source, bytes } => {
                // A datagram has been placed before it became a flow.
                let home = match source.transport {
                    Transport::Udp => None,
                    Transport::Tcp | Transport::Tls => self.elsewhere(source.trust, source.remote, &bytes),
                };
                match home {
                    Some(home) => self.say(home, Content::Message { source, bytes }),
                    None => self.message(now, source, bytes),
                }
            }
            TransportOutput::FlowLost(flow) => {
                self.node.handle(now, Input::Event(Event::FlowLost(flow)));
                self.say_to_all(|| Content::FlowLost(flow));
            }
            TransportOutput::SendFailed { ticket, why } => match ticket.held() {
                Some((shard, ticket)) => self.say(shard, Content::SendFailed { ticket, why }),
                None => self.node.handle(now, Input::SendFailed { ticket, why }),
            },
            TransportOutput::Wire(output) => {
                self.tap_left(now, &output);
                self.outputs.push_back(output);
            }
        }
    }

    /// A message that is at home here.
    fn message(&mut self, now: Now, source: Source, bytes: Vec<u8>) {
        if let Some(tap) = &mut self.tap {
            let ends = self.transports.ends(source.flow).unwrap_or((source.local, source.remote));
            let Source { transport, trust, secured, .. } = source;
            tap.message(now, false, trace::Way { ends, transport, trust, secured }, &bytes);
        }
        self.node.handle(now, Input::Message { source, bytes });
    }

    fn on_node(&mut self, now: Now, output: Output<R>) {
        match output {
            Output::Send { exit: exit @ Exit::Flow { flow, .. }, bytes, ticket }
                if flow.shard != self.neighbours.share.id() =>
            {
                self.say(flow.shard, Content::Send { exit, bytes, ticket });
            }
            Output::Send { exit, bytes, ticket } => self.transports.send(now.instant, exit, bytes, ticket),
            Output::Query { id, query: Query::Cx { request, destination, trace } } => {
                self.ask(now, id, *request, destination, trace);
            }
            Output::Query { id, query } => {
                match &query {
                    Query::Secure(Secure::Install(set) | Secure::Adopt(set)) => self.transports.secure(set),
                    Query::Secure(Secure::Remove(set)) => self.transports.unsecure(set.own_spi_s),
                    Query::Secure(Secure::Repeat(_))
                    | Query::Cx { .. }
                    | Query::Resolve(_)
                    | Query::Naptr(_)
                    | Query::Store(_) => {}
                }
                self.outputs.push_back(WireOutput::Query { id, query });
            }
            Output::PeerAnswer { id, answer } => self.peer_answer(now, id, *answer),
            Output::Alias { identity, owner, change } => self.alias(identity, owner, change),
            Output::Notice(notice) => {
                // A reader that never comes must not cost memory without end.
                if self.notices.len() == NOTICES_MAX {
                    self.notices.pop_front();
                }
                self.notices.push_back(notice);
            }
        }
    }

    fn on_endpoint(&mut self, now: Now, output: EndpointOutput) {
        match output {
            EndpointOutput::Connect { conn, addr, transport } => {
                let link = link(conn);
                // Our end is known only once the connection stands.
                self.tap_opened(link, SocketAddr::new(unspecified(addr), 0), addr);
                self.outputs.push_back(WireOutput::Connect {
                    link,
                    protocol: Protocol::Diameter,
                    transport,
                    local: None,
                    remote: addr,
                });
            }
            EndpointOutput::Send { conn, bytes } => {
                if let Some(tap) = &mut self.tap {
                    tap.wrote(now, link(conn), &bytes);
                }
                self.outputs.push_back(WireOutput::Write { link: link(conn), bytes });
            }
            EndpointOutput::Close { conn } => {
                if let Some(tap) = &mut self.tap {
                    tap.closed(link(conn));
                }
                self.outputs.push_back(WireOutput::Close { link: link(conn) });
            }
            EndpointOutput::Answer { id, result, .. } => self.endpoint_answered(now, id, result),
            EndpointOutput::Request { id, request, .. } => self.peer_asks(now, id, request),
            EndpointOutput::PeerUp { peer } => {
                self.tap_peer(now, "peer_up", "connected", &peer);
                tracing::info!(role = R::NAME, peer, "Diameter peer is up");
            }
            EndpointOutput::PeerDown { peer, reason } if self.stopping == Stopping::Drained => {
                self.tap_peer(now, "peer_down", "stopped here", &format!("{peer}: {reason}"));
                tracing::info!(role = R::NAME, peer, reason, "Diameter peer is down");
            }
            EndpointOutput::PeerDown { peer, reason } => {
                self.tap_peer(now, "peer_down", "lost", &format!("{peer}: {reason}"));
                tracing::warn!(role = R::NAME, peer, reason, "Diameter peer is down");
            }
        }
    }

    fn tell_endpoint(&mut self, now: Now, input: EndpointInput<'_>) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.handle(now, input);
        }
    }

    /// Records a message that leaves.
    fn tap_left(&mut self, now: Now, output: &WireOutput) {
        let Some(tap) = &mut self.tap else { return };
        match output {
            WireOutput::Datagram { local, remote, bytes } => {
                tap.message(now, true, self.transports.way_of_datagram(*local, *remote), bytes);
            }
            // A pong (RFC 5626 §4.4.1) is no message.
            WireOutput::Write { link, bytes } if !bytes.starts_with(b"\r\n") => {
                if let Some(way) = self.transports.way_of_link(*link) {
                    tap.message(now, true, way, bytes);
                }
            }
            _ => {}
        }
    }

    /// Records what the node has found.
    fn tap_facts(&mut self, now: Now) {
        let Some(tap) = &mut self.tap else { return };
        while let Some(fact) = self.node.poll_fact() {
            tap.fact(now, &fact.as_ref());
        }
    }

    /// Records what became of a Diameter peer.
    fn tap_peer(&mut self, now: Now, name: &str, cause: &str, detail: &str) {
        if let Some(tap) = &mut self.tap {
            tap.fact(now, &FactRef { name, cause, detail, ..FactRef::default() });
        }
    }

    fn tap_opened(&mut self, link: LinkId, local: SocketAddr, remote: SocketAddr) {
        if let Some(tap) = &mut self.tap {
            tap.opened(link, local, remote);
        }
    }
}

impl<R> Machine for Station<R>
where
    R: Role + Send,
    Node<R>: Send,
    R::Notice: Send,
{
    fn handle(&mut self, now: Now, input: WireInput) {
        self.input(now, input);
        self.settle(now);
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        let endpoint = self.endpoint.as_ref().and_then(Endpoint::next_timeout);
        [self.node.next_timeout(), self.transports.next_timeout(), endpoint, self.neighbours.next_timeout()]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    fn is_drained(&self) -> bool {
        let has_peers = self.endpoint.as_ref().is_some_and(|endpoint| !endpoint.open_peers().is_empty());
        self.stopping == Stopping::Drained && !has_peers
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        self.node.recycle(buffer);
    }

    fn spare_buffer(&mut self) -> Option<Vec<u8>> {
        self.node.spare_buffer()
    }

    fn home_of_connection(&self, protocol: Protocol, _local: SocketAddr, remote: SocketAddr) -> ShardId {
        match protocol {
            Protocol::Diameter => ShardId(0),
            Protocol::Sip => self.home_of_sender(self.transports.trust(remote), remote),
        }
    }
}

impl<R> Operated for Station<R>
where
    R: Role + Send,
    Node<R>: Send,
    R::Command: Send + 'static,
    R::Notice: Send + 'static,
{
    type Command = R::Command;
    type Notice = R::Notice;

    fn command(&mut self, now: Now, command: R::Command) {
        Station::command(self, now, command);
    }

    fn poll_notice(&mut self) -> Option<R::Notice> {
        Station::poll_notice(self)
    }

    fn set_trace(&mut self, on: bool) {
        Station::set_trace(self, on);
    }

    fn poll_trace(&mut self) -> Option<trace::Event> {
        Station::poll_trace(self)
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        let mut gauges = self.node.gauges();
        gauges.push(Gauge::new(Holding::Connections, "open", self.transports.connections()));
        vec![Snapshot {
            role: R::NAME,
            traffic: self.node.traffic().cloned(),
            diameter: self.endpoint.as_ref().map(Endpoint::traffic),
            gauges,
            counts: Operated::counters(self, None),
        }]
    }

    fn set_recorder(&mut self, name: &str, rule: &Rule) {
        Station::set_recorder(self, name, rule);
    }

    fn recorded(&mut self, _of: Option<Part>, after: u64) -> Option<Vec<u8>> {
        Some(self.tap.as_mut()?.chunk(after))
    }

    fn record(&mut self, now: Now, fact: &FactRef<'_>) {
        if let Some(tap) = &mut self.tap {
            tap.fact(now, fact);
        }
    }

    fn counters(&self, _of: Option<Part>) -> Vec<Count> {
        let of_node = self.node.counters().iter();
        let of_node = of_node.map(|(name, cause, count)| Count { name, cause, count });
        let of_transport = self.transports.counts().iter();
        let of_transport =
            of_transport.map(|(cause, count)| Count { name: "transport", cause, count: *count });
        of_node.chain(of_transport).collect()
    }
}

/// Set in the links of connections that the Diameter endpoint opens, so that they are never the transport layer's.
const DIAMETER: u64 = 1 << 62;
/// The record of the key of tokens. No role's record begins with a zero byte.
const TOKEN_KEY_RECORD: &[u8] = b"\0token-key";
/// Stores that record. A node counts its queries from below.
const TOKEN_KEY_QUERY: QueryId = QueryId(u64::MAX);
/// Notices kept for a reader that is behind; the oldest go first.
const NOTICES_MAX: usize = 65_536;

fn link(conn: ConnId) -> LinkId {
    match LinkId(conn.0).is_accepted() {
        true => LinkId(conn.0),
        false => LinkId(conn.0 | DIAMETER),
    }
}

fn conn(link: LinkId) -> ConnId {
    match link.is_accepted() {
        true => ConnId(link.0),
        false => ConnId(link.0 & !DIAMETER),
    }
}

fn unspecified(like: SocketAddr) -> std::net::IpAddr {
    match like {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests;
