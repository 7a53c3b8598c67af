//! The SIP transport layer (RFC 3261 §18) without sockets: flows, connections, framing, and who is trusted.
//!
//! Below it a driver moves bytes by the contract of [`crate::station::Machine`]; above it a node sees whole messages with
//! their [`Source`], and names an [`Exit`] for what it sends.

mod connection;
mod datagram;
mod limits;
mod output;
mod secured;
mod trust_list;

pub use limits::TransportLimits;
pub use output::TransportOutput;
pub use trust_list::TrustList;

use crate::bucket::ShardId;
use crate::flow::{Flow, Hop, Local, Side, Source, Transport, Trust};
use crate::input::{Exit, Ticket};
use crate::station::{LinkId, Protocol, StreamTransport, WireOutput};
use crate::stun::{self, Heard};
use crate::trace::Way;
use ambient::{Entropy, Instant, Timers};
use connection::{Connection, Connections, State};
use datagram::DatagramFlows;
use ipsec::{SaSet, Spi};
use secured::Secured;
use sip_core::Message;
use sip_core::framing::{Frame, Framer, FramingReason};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// The SIP transport layer of one node.
#[derive(Debug)]
pub struct Transports {
    locals: Vec<Local>,
    trust: TrustList,
    limits: TransportLimits,
    datagrams: DatagramFlows,
    connections: Connections,
    secured: Secured,
    /// One per connection: when to look at it next.
    timers: Timers<Flow>,
    /// Datagrams of the last seconds that somebody waits for: what an ICMP error can still name.
    recent: VecDeque<(Instant, SocketAddr, Ticket)>,
    next_link: u64,
    outputs: VecDeque<TransportOutput>,
    counts: BTreeMap<&'static str, u64>,
}

impl Transports {
    /// A transport layer that listens at `locals` and believes the addresses of `trust`.
    pub fn new(
        locals: Vec<Local>,
        trust: TrustList,
        limits: TransportLimits,
        entropy: &mut Entropy,
    ) -> Transports {
        Transports::of_shard(ShardId(0), locals, trust, limits, entropy)
    }

    /// As [`Transports::new`], for one shard of a function.
    pub fn of_shard(
        shard: ShardId,
        locals: Vec<Local>,
        trust: TrustList,
        limits: TransportLimits,
        entropy: &mut Entropy,
    ) -> Transports {
        Transports {
            locals,
            trust,
            datagrams: DatagramFlows::new(shard, limits.datagram_flows_max, entropy),
            connections: Connections::new(shard, entropy),
            secured: Secured::default(),
            limits,
            timers: Timers::new(),
            recent: VecDeque::new(),
            next_link: 0,
            outputs: VecDeque::new(),
            counts: BTreeMap::new(),
        }
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<TransportOutput> {
        self.outputs.pop_front()
    }

    /// When [`Transports::timeout`] is due, and why.
    pub fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        self.timers.next()
    }

    /// The listening points.
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// How often each thing happened that an operator would ask about.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whether a link is a SIP connection of this layer.
    pub fn has_link(&self, link: LinkId) -> bool {
        self.connections.of_link(link).is_some()
    }

    /// How what leaves by a connection goes, for the recorder; `None` when it is none of this layer's.
    pub fn way_of_link(&mut self, link: LinkId) -> Option<Way> {
        let flow = self.connections.of_link(link)?;
        let connection = self.connections.get(flow)?;
        Some(Way {
            ends: (connection.socket, connection.remote),
            transport: connection.transport,
            trust: connection.trust,
            secured: connection.secured,
        })
    }

    /// How a datagram between these goes, for the recorder.
    pub fn way_of_datagram(&self, local: SocketAddr, remote: SocketAddr) -> Way {
        Way {
            ends: (local, remote),
            transport: Transport::Udp,
            trust: self.trust.trust(remote),
            secured: self.secured.between(local, remote),
        }
    }

    /// The ends of the socket of a flow; `None` when it is gone.
    pub fn ends(&mut self, flow: Flow) -> Option<(SocketAddr, SocketAddr)> {
        match Connections::is_stream(flow) {
            _ if flow.shard != self.connections.shard() => None,
            true => self.connections.get(flow).map(|connection| (connection.socket, connection.remote)),
            false => self.datagrams.ends(flow),
        }
    }

    // --- what comes from the driver -------------------------------------------------------------------------------

    /// A datagram came.
    pub fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, bytes: Vec<u8>) {
        match bytes.iter().find(|byte| !matches!(byte, b'\r' | b'\n' | 0)) {
            // RFC 5626 §4.4 sends CRLF over streams only; over UDP it is common, harmless, and gets no answer.
            None => return self.count("keep-alive datagram"),
            // A STUN message begins with two zero bits (RFC 8489 §5), a SIP message with a token.
            Some(first) if *first < 0x20 => return self.not_sip(now, local, remote, &bytes),
            Some(_) => {}
        }
        let source = self.datagram_source(local, remote);
        if source.secured.is_none() && self.is_protected(local) {
            return self.count(UNPROTECTED);
        }
        self.outputs.push_back(TransportOutput::Message { source, bytes });
    }

    /// STUN is answered to UEs, outside of security associations: a way through a NAT inside them is kept open by ESP
    /// (RFC 3948 §2.3).
    fn not_sip(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        let serves_ues = |known: &Local| {
            (known.side, known.transport, known.address) == (Side::Access, Transport::Udp, local)
        };
        let heard = match self.locals.iter().any(serves_ues) {
            true => stun::hear(bytes, remote),
            false => Heard::Noise,
        };
        match heard {
            Heard::Asked(answer) => {
                let flow = self.datagrams.flow(local, remote);
                if !self.datagrams.may_be_answered(flow, now) {
                    return self.count("STUN request too soon after others");
                }
                self.count("STUN request");
                self.send_datagram(now, local, remote, answer, Ticket::default());
            }
            Heard::Told => {
                self.datagrams.flow(local, remote);
                self.count("STUN indication");
            }
            Heard::Noise => self.count("datagram that is not SIP"),
        }
    }

    /// Where a datagram came from.
    pub fn datagram_source(&mut self, local: SocketAddr, remote: SocketAddr) -> Source {
        let trust = self.trust.trust(remote);
        let secured = self.secured.between(local, remote);
        Source {
            flow: self.datagrams.flow(local, remote),
            transport: Transport::Udp,
            local,
            remote,
            trust,
            secured,
        }
    }

    /// Messages may go through a set of security associations from here on.
    pub fn secure(&mut self, set: &SaSet) {
        self.secured.insert(set);
    }

    /// A set of security associations ends, with the connections through it.
    pub fn unsecure(&mut self, set: Spi) {
        let Some(ends) = self.secured.remove(set) else { return };
        let theirs = self.connections.to_peer(ends.server.ip(), ends.peer_client);
        for flow in [ends.connection, theirs].into_iter().flatten() {
            if self.connections.get(flow).is_some_and(|connection| connection.secured == Some(set)) {
                self.close(flow, "security association has ended");
            }
        }
    }

    /// Whether nothing is taken in clear at a port of ours.
    fn is_protected(&self, local: SocketAddr) -> bool {
        self.locals.iter().any(|known| known.side == Side::Protected && known.address == local)
    }

    /// How far whoever is at `remote` is believed.
    pub fn trust(&self, remote: SocketAddr) -> Trust {
        self.trust.trust(remote)
    }

    /// The network says that datagrams to `remote` do not arrive.
    pub fn datagram_failed(&mut self, remote: SocketAddr, why: &'static str) {
        self.count("datagram undeliverable");
        let outputs = &mut self.outputs;
        self.recent.retain(|(_, to, ticket)| {
            if *to == remote {
                outputs.push_back(TransportOutput::SendFailed { ticket: *ticket, why });
            }
            *to != remote
        });
    }

    /// A peer opened a connection to us.
    pub fn accepted(&mut self, now: Instant, link: LinkId, local: SocketAddr, remote: SocketAddr) {
        let trust = self.trust.trust(remote);
        let secured = self.secured.between(local, remote);
        if secured.is_none() && self.is_protected(local) {
            self.count(UNPROTECTED);
            return self.outputs.push_back(TransportOutput::Wire(WireOutput::Close { link }));
        }
        let crowded = trust == Trust::Outside
            && self.connections.count_of(remote.ip()) >= self.limits.connections_per_remote_max;
        if crowded || self.connections.len() >= self.limits.connections_max {
            self.count(if crowded { "too many connections of one address" } else { "too many connections" });
            self.outputs.push_back(TransportOutput::Wire(WireOutput::Close { link }));
            return;
        }
        let transport = self.stream_at(local);
        self.open(now, (link, secured), transport, (local, remote), State::Open);
    }

    /// What a connection that was accepted at a listening point carries.
    fn stream_at(&self, local: SocketAddr) -> Transport {
        let mut found =
            self.locals.iter().filter(|known| known.address == local).map(|known| known.transport);
        found.find(|transport| transport.is_reliable()).unwrap_or(Transport::Tcp)
    }

    /// A connection of ours is open.
    pub fn connected(&mut self, now: Instant, link: LinkId, socket: SocketAddr) {
        let Some(flow) = self.connections.of_link(link) else { return };
        let Some(connection) = self.connections.get(flow) else { return };
        connection.socket = socket;
        let State::Connecting(waiting) = std::mem::replace(&mut connection.state, State::Open) else {
            return;
        };
        for (bytes, ticket) in waiting {
            self.write(now, flow, bytes, ticket);
        }
    }

    /// A connection of ours did not come about.
    pub fn connect_failed(&mut self, link: LinkId, why: &'static str) {
        self.count("connection refused");
        if let Some(flow) = self.connections.of_link(link) {
            self.lose(flow, why);
        }
    }

    /// Bytes came on a connection.
    pub fn received(&mut self, now: Instant, link: LinkId, bytes: &[u8]) {
        let Some(flow) = self.connections.of_link(link) else { return };
        let Some(connection) = self.connections.get(flow) else { return };
        connection.unheard.clear();
        connection.framer.push(bytes);
        let source = Source {
            flow,
            transport: connection.transport,
            local: connection.local,
            remote: connection.remote,
            trust: connection.trust,
            secured: connection.secured,
        };
        loop {
            let Some(connection) = self.connections.get(flow) else { return };
            match connection.framer.next(&self.limits.message) {
                Ok(Some(Frame::Message(bytes))) => {
                    let first = connection.last_used.replace(now).is_none();
                    if first {
                        self.learn_alias(source, &bytes);
                    }
                    self.outputs.push_back(TransportOutput::Message { source, bytes });
                }
                // RFC 5626 §4.4.1: a ping of CRLF CRLF is answered by a pong of CRLF.
                Ok(Some(Frame::KeepAlivePing)) => {
                    connection.last_used = Some(now);
                    self.outputs.push_back(TransportOutput::Wire(WireOutput::Write {
                        link,
                        bytes: b"\r\n".to_vec(),
                    }));
                }
                Ok(Some(Frame::KeepAlivePong)) => connection.last_used = Some(now),
                Ok(None) => {
                    connection.partial_since = match connection.framer.pending_bytes() {
                        0 => None,
                        _ => connection.partial_since.or(Some(now)),
                    };
                    return;
                }
                // Where one message ends can no longer be told (RFC 3261 §18.3), so nothing later can be read. The
                // head goes up, so that the node may answer 400, and the connection ends right after.
                Err(error) => {
                    if !connection.doomed {
                        connection.doomed = true;
                        self.timers.cancel(connection.timer);
                        connection.timer =
                            self.timers.arm(now, Duration::ZERO, flow, "stream without framing");
                        // A head without Content-Length would be taken for a whole message.
                        if error.reason != FramingReason::ContentLengthMissing {
                            self.outputs.push_back(TransportOutput::Message { source, bytes: error.head });
                        }
                        self.count("stream without framing");
                    }
                    return;
                }
            }
        }
    }

    /// A connection ended.
    pub fn closed(&mut self, link: LinkId) {
        if let Some(flow) = self.connections.of_link(link) {
            self.lose(flow, "connection closed");
        }
    }

    /// Time has passed: close what stalls, idles or does not open.
    pub fn timeout(&mut self, now: Instant) {
        while let Some(flow) = self.timers.pop_due(now) {
            let Some(connection) = self.connections.get(flow) else { continue };
            if connection.doomed {
                self.close(flow, "stream without framing");
                continue;
            }
            let (deadline, why) = match (&connection.state, connection.partial_since, connection.last_used) {
                (State::Connecting(_), _, _) => {
                    (connection.opened + self.limits.connect_timeout, "connection timed out")
                }
                (State::Open, Some(since), _) => {
                    (since + self.limits.stall_timeout, "peer stalls in a message")
                }
                (State::Open, None, None) => {
                    (connection.opened + self.limits.stall_timeout, "peer stays silent")
                }
                (State::Open, None, Some(used)) => (used + self.limits.idle_timeout, "connection idle"),
            };
            if deadline <= now {
                self.count(why);
                self.close(flow, why);
            } else {
                // A stall may begin before an idle connection is due: look again by then.
                let after = deadline.since(now).min(self.limits.stall_timeout);
                connection.timer = self.timers.arm(now, after, flow, "connection check");
            }
        }
    }

    // --- what comes from the node ---------------------------------------------------------------------------------

    /// Sends a message; a failure comes back by its ticket.
    pub fn send(&mut self, now: Instant, exit: Exit, bytes: Vec<u8>, ticket: Ticket) {
        match exit {
            Exit::Secured { set, transport, flow } => {
                self.send_secured(now, set, transport, flow, (bytes, ticket))
            }
            Exit::Hop { hop, local } => self.send_to(now, hop, local, bytes, ticket),
            Exit::Flow { flow, or } => {
                if Connections::is_stream(flow) {
                    if self.connections.get(flow).is_some() {
                        return self.write(now, flow, bytes, ticket);
                    }
                } else if let Some((local, remote)) = self.datagrams.ends(flow) {
                    return self.send_datagram(now, local, remote, bytes, ticket);
                }
                // RFC 3261 §18.2.2: the flow is gone, so open one to where the peer said that it listens.
                match or.and_then(|hop| Some((hop, self.local_for(flow, hop)?))) {
                    Some((hop, local)) => self.send_to(now, hop, local, bytes, ticket),
                    None => self.fail(ticket, "the flow is gone"),
                }
            }
        }
    }

    fn send_to(&mut self, now: Instant, hop: Hop, local: SocketAddr, bytes: Vec<u8>, ticket: Ticket) {
        if local.is_ipv4() != hop.remote.is_ipv4() {
            return self.fail(ticket, "no address of that family");
        }
        let Some(stream) = hop.transport.stream() else {
            return self.send_datagram(now, local, hop.remote, bytes, ticket);
        };
        let known = self.connections.to_peer(local.ip(), hop.remote);
        match known.filter(|flow| self.connections.carries(*flow, hop.transport)) {
            Some(flow) => self.write(now, flow, bytes, ticket),
            None => {
                let any_port = SocketAddr::new(local.ip(), 0);
                let way = (hop.transport, stream);
                self.connect(now, way, (local, any_port), (hop.remote, None), (bytes, ticket));
            }
        }
    }

    /// Between protected ports (TS 33.203 §7.1).
    fn send_secured(
        &mut self,
        now: Instant,
        set: Spi,
        transport: Transport,
        flow: Option<Flow>,
        (bytes, ticket): (Vec<u8>, Ticket),
    ) {
        let Some(ends) = self.secured.get(set) else { return self.fail(ticket, "no security association") };
        let ends = *ends;
        if transport == Transport::Udp {
            return self.send_datagram(now, ends.client, ends.peer_server, bytes, ticket);
        }
        for flow in [flow, ends.connection].into_iter().flatten() {
            if self.connections.get(flow).is_some_and(|connection| connection.secured == Some(set)) {
                return self.write(now, flow, bytes, ticket);
            }
        }
        let opened = self.connections.next_flow();
        if let Some(ends) = self.secured.get(set) {
            ends.connection = Some(opened);
        }
        let way = (Transport::Tcp, StreamTransport::Tcp);
        let message = (bytes, ticket);
        self.connect(now, way, (ends.server, ends.client), (ends.peer_server, Some(set)), message);
    }

    fn send_datagram(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: Vec<u8>,
        ticket: Ticket,
    ) {
        if ticket != Ticket::default() {
            while self.recent.len() >= RECENT_MAX
                || self.recent.front().is_some_and(|(at, _, _)| now.since(*at) > RECENT_AGE)
            {
                self.recent.pop_front();
            }
            self.recent.push_back((now, remote, ticket));
        }
        self.outputs.push_back(TransportOutput::Wire(WireOutput::Datagram { local, remote, bytes }));
    }

    fn connect(
        &mut self,
        now: Instant,
        (transport, stream): (Transport, StreamTransport),
        (local, from): (SocketAddr, SocketAddr),
        (remote, secured): (SocketAddr, Option<Spi>),
        (bytes, ticket): (Vec<u8>, Ticket),
    ) {
        if self.connections.len() >= self.limits.connections_max {
            self.count("too many connections");
            return self.fail(ticket, "too many connections");
        }
        self.next_link += 1;
        let link = LinkId(self.next_link);
        let state = State::Connecting(vec![(bytes, ticket)]);
        self.open(now, (link, secured), transport, (local, remote), state);
        self.outputs.push_back(TransportOutput::Wire(WireOutput::Connect {
            link,
            protocol: Protocol::Sip,
            transport: stream,
            local: Some(from),
            remote,
        }));
    }

    fn open(
        &mut self,
        now: Instant,
        (link, secured): (LinkId, Option<Spi>),
        transport: Transport,
        (local, remote): (SocketAddr, SocketAddr),
        state: State,
    ) {
        let after = match state {
            State::Connecting(_) => self.limits.connect_timeout,
            State::Open => self.limits.stall_timeout,
        };
        let timer = self.timers.arm(now, after, self.connections.next_flow(), "connection check");
        self.connections.insert(Connection {
            link,
            transport,
            local,
            socket: local,
            remote,
            alias: None,
            trust: self.trust.trust(remote),
            secured,
            state,
            framer: Framer::new(),
            opened: now,
            last_used: None,
            partial_since: None,
            unheard: VecDeque::new(),
            doomed: false,
            timer,
        });
    }

    fn write(&mut self, now: Instant, flow: Flow, bytes: Vec<u8>, ticket: Ticket) {
        let waiting_max = self.limits.waiting_bytes_max;
        let Some(connection) = self.connections.get(flow) else {
            return self.fail(ticket, "the flow is gone");
        };
        if let State::Connecting(waiting) = &mut connection.state {
            let waiting_bytes: usize = waiting.iter().map(|(bytes, _)| bytes.len()).sum();
            if waiting_bytes + bytes.len() > waiting_max {
                return self.fail(ticket, "too much waits for the connection");
            }
            waiting.push((bytes, ticket));
            return;
        }
        connection.last_used = Some(now);
        if ticket != Ticket::default() {
            if connection.unheard.len() == UNHEARD_MAX {
                connection.unheard.pop_front();
            }
            connection.unheard.push_back(ticket);
        }
        let link = connection.link;
        self.outputs.push_back(TransportOutput::Wire(WireOutput::Write { link, bytes }));
    }

    // --- the end of a connection ----------------------------------------------------------------------------------

    /// Ends a connection from our side.
    fn close(&mut self, flow: Flow, why: &'static str) {
        if let Some(connection) = self.connections.get(flow) {
            let link = connection.link;
            self.outputs.push_back(TransportOutput::Wire(WireOutput::Close { link }));
            self.lose(flow, why);
        }
    }

    /// Forgets a connection, and tells those who wait for what it carried.
    fn lose(&mut self, flow: Flow, why: &'static str) {
        let Some(connection) = self.connections.remove(flow) else { return };
        self.timers.cancel(connection.timer);
        if let State::Connecting(waiting) = connection.state {
            for (_, ticket) in waiting {
                self.fail(ticket, why);
            }
        }
        for ticket in connection.unheard {
            self.fail(ticket, why);
        }
        self.outputs.push_back(TransportOutput::FlowLost(flow));
    }

    // --- details --------------------------------------------------------------------------------------------------

    /// RFC 5923 §5: a peer that puts `alias` into its Via takes requests for its listening port on this connection.
    ///
    /// Nothing proves the claim, for no certificate is asked of who connects, so it is believed only inside the trust domain, and only for the address
    /// that the connection comes from.
    fn learn_alias(&mut self, source: Source, bytes: &[u8]) {
        if source.trust == Trust::Outside || bytes.starts_with(b"SIP/2.0 ") {
            return;
        }
        let Ok(message) = Message::parse(bytes.to_vec(), &self.limits.message) else { return };
        let Ok(via) = message.top_via() else { return };
        if via.param(b"alias").is_some() {
            let port = via.port.unwrap_or(source.transport.default_port());
            self.connections.set_alias(source.flow, SocketAddr::new(source.remote.ip(), port));
        }
    }

    /// The listening point from which to reach `hop` in the place of a flow that is gone.
    fn local_for(&self, flow: Flow, hop: Hop) -> Option<SocketAddr> {
        let fits = |address: &SocketAddr| address.is_ipv4() == hop.remote.is_ipv4();
        let former = Some(flow).filter(|flow| Connections::is_stream(*flow));
        let former = former.and_then(|flow| self.connections.local_of(flow));
        let same_ip = self.locals.iter().find(|local| {
            local.transport == hop.transport && former.is_some_and(|former| former.ip() == local.address.ip())
        });
        let any =
            || self.locals.iter().find(|local| local.transport == hop.transport && fits(&local.address));
        same_ip.filter(|local| fits(&local.address)).or_else(any).map(|local| local.address)
    }

    fn fail(&mut self, ticket: Ticket, why: &'static str) {
        if ticket != Ticket::default() {
            self.outputs.push_back(TransportOutput::SendFailed { ticket, why });
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_insert(0) += 1;
    }
}

/// What came in clear where only ESP may.
const UNPROTECTED: &str = "unprotected at a protected port";
/// Tickets of datagrams that an ICMP error may still name.
const RECENT_MAX: usize = 256;
/// An ICMP error comes within a round trip.
const RECENT_AGE: Duration = Duration::from_secs(2);
/// Tickets of one connection whose messages a close would lose.
const UNHEARD_MAX: usize = 64;

#[cfg(test)]
mod tests;
