//! TCP above our own ESP: one small stack of smoltcp for each set of associations that TCP is spoken by.
//!
//! A stack lives while it has a connection, so that a UE that speaks UDP costs nothing. It takes and gives segments; those
//! who have the associations put them into ESP.

use ambient::{Entropy, Instant};
use ipsec::Selector;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The TCP of one set of associations.
pub(super) struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    link: Link,
    /// Where the peer connects to: between our server port and its client port.
    server: Selector,
    /// Where we connect from: between our client port and its server port.
    client: Selector,
    /// Waits for the peer's next connection.
    listening: SocketHandle,
    connections: Vec<Connection>,
    next: u32,
    /// The sequence number of the peer's newest SYN.
    syn: Option<u32>,
}

struct Connection {
    number: u32,
    handle: SocketHandle,
    is_open: bool,
    /// What the buffer of the socket has no room for.
    unsent: VecDeque<u8>,
    /// Closed from here once nothing is left to be sent.
    is_ending: bool,
    /// What the peer has to do, while there is something.
    owed: Option<Owed>,
}

/// What a peer has to acknowledge or to end.
#[derive(Clone, Copy)]
struct Owed {
    octets: usize,
    state: State,
    /// When it last did some of it.
    since: Instant,
}

/// What a stack has to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'e> {
    /// A connection stands.
    Opened(u32, Selector),
    /// The peer sent this.
    Octets(u32, &'e [u8]),
    /// A connection has ended, or never came to stand.
    Closed(u32),
}

impl Stack {
    /// A stack between the ends of a set, without connections.
    pub(super) fn new(server: Selector, client: Selector, entropy: &mut Entropy, now: Instant) -> Stack {
        let mut link = Link::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = entropy.next_u64();
        let mut interface = Interface::new(config, &mut link, time(now));
        interface.update_ip_addrs(|addresses| {
            // The peer, wherever it is, is at the other end of the link. One address fits: the list has room for one at least.
            let _ = addresses.push(IpCidr::new(server.local.ip().into(), 0));
        });
        let mut sockets = SocketSet::new(Vec::new());
        let listening = listen(&mut sockets, server.local);
        Stack {
            interface,
            sockets,
            link,
            server,
            client,
            listening,
            connections: Vec::new(),
            next: 0,
            syn: None,
        }
    }

    /// Takes a segment that came by the association between the ends of `selector`.
    pub(super) fn take(&mut self, selector: &Selector, segment: &[u8]) {
        if let Some(sequence) = syn(segment)
            && self.syn.replace(sequence) != Some(sequence)
        {
            self.peer_begins_anew(selector);
        }
        if self.link.incoming.len() < QUEUE_MAX {
            self.link.incoming.push_back(packet(selector.remote.ip(), selector.local.ip(), segment));
        }
    }

    /// The peer opens a connection: one that we still have from it is of a life that it has lost.
    ///
    /// RFC 5961 §4 asks the peer first, lest somebody else ends it. Nobody else can send through the association, and a
    /// copy of an old SYN would be a replay to ESP.
    fn peer_begins_anew(&mut self, selector: &Selector) {
        for connection in &self.connections {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            if socket.local_endpoint().map(|local| local.port) == Some(selector.local.port()) {
                socket.abort();
            }
        }
    }

    /// Begins a connection from our client port to the peer's server port.
    pub(super) fn connect(&mut self) -> io::Result<u32> {
        let mut socket = socket();
        let (local, remote) = (IpEndpoint::from(self.client.local), IpEndpoint::from(self.client.remote));
        socket
            .connect(self.interface.context(), remote, local)
            .map_err(|_| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        let handle = self.sockets.add(socket);
        Ok(self.hold(handle))
    }

    /// Sends octets on a connection, at once or when there is room.
    pub(super) fn write(&mut self, number: u32, octets: &[u8]) -> io::Result<()> {
        let connection = self.connections.iter_mut().find(|connection| connection.number == number);
        let connection = connection.ok_or(io::ErrorKind::NotConnected)?;
        if connection.is_ending {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if connection.unsent.len() + octets.len() > UNSENT_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        connection.unsent.extend(octets);
        Ok(())
    }

    /// Ends a connection when what was written has been sent.
    pub(super) fn close(&mut self, number: u32) {
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.number == number) {
            connection.is_ending = true;
        }
    }

    /// Moves on, and hands each segment that is to be sent to `send` with the ends between which it goes.
    pub(super) fn poll(&mut self, now: Instant, mut send: impl FnMut(&Selector, &[u8])) {
        self.flush();
        self.watch(now);
        self.interface.poll(time(now), &mut self.link, &mut self.sockets);
        // What came made room, or opened what was waited for.
        self.flush();
        self.watch(now);
        self.interface.poll(time(now), &mut self.link, &mut self.sockets);
        while let Some(packet) = self.link.outgoing.pop_front() {
            let Some(segment) = segment(&packet) else { continue };
            let port = segment.first_chunk().copied().map(u16::from_be_bytes);
            let ends = [&self.server, &self.client];
            if let Some(selector) = ends.into_iter().find(|ends| Some(ends.local.port()) == port) {
                send(selector, segment);
            }
        }
    }

    /// Tells what has happened since the last time, and forgets what has ended.
    pub(super) fn events(&mut self, mut tell: impl FnMut(Event<'_>)) {
        let accepted = self.sockets.get::<Socket<'_>>(self.listening).state();
        if !matches!(accepted, State::Listen | State::SynReceived) {
            let handle = std::mem::replace(&mut self.listening, listen(&mut self.sockets, self.server.local));
            self.hold(handle);
        }
        for connection in &mut self.connections {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            if !connection.is_open && socket.may_send() {
                connection.is_open = true;
                let is_theirs =
                    socket.local_endpoint().map(|local| local.port) == Some(self.server.local.port());
                tell(Event::Opened(connection.number, if is_theirs { self.server } else { self.client }));
            }
            while socket.can_recv() {
                let received = socket.recv(|octets| {
                    tell(Event::Octets(connection.number, octets));
                    (octets.len(), ())
                });
                if received.is_err() {
                    break;
                }
            }
            // The peer has ended its side: SIP needs both.
            if socket.state() == State::CloseWait {
                connection.is_ending = true;
            }
        }
        let (sockets, connections) = (&mut self.sockets, &mut self.connections);
        connections.retain(|connection| {
            // An old duplicate would be a replay to ESP, so that there is nothing to wait for in TIME-WAIT.
            let state = sockets.get::<Socket<'_>>(connection.handle).state();
            let has_ended = matches!(state, State::Closed | State::TimeWait);
            if has_ended {
                sockets.remove(connection.handle);
                tell(Event::Closed(connection.number));
            }
            !has_ended
        });
    }

    /// Whether nothing would be lost if the stack were dropped.
    pub(super) fn is_idle(&self) -> bool {
        let listening = self.sockets.get::<Socket<'_>>(self.listening).state();
        self.connections.is_empty() && listening == State::Listen
    }

    /// When [`poll`](Stack::poll) is due, if nothing comes before.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        // Ending a connection takes another turn once its last octets have left.
        let delay = self.interface.poll_delay(time(now), &self.sockets);
        let turn = delay.map(|delay| now + Duration::from_micros(delay.total_micros()));
        let owed = self.connections.iter().filter_map(|connection| connection.owed);
        owed.map(|owed| owed.since + SILENCE_MAX).chain(turn).min()
    }

    fn hold(&mut self, handle: SocketHandle) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        // From here on it is watched in another way, which bears with silence where nothing is owed.
        self.sockets.get_mut::<Socket<'_>>(handle).set_timeout(None);
        self.connections.push(Connection {
            number,
            handle,
            is_open: false,
            unsent: VecDeque::new(),
            is_ending: false,
            owed: None,
        });
        number
    }

    /// Gives up connections whose peer owes something and has done nothing for it in a long time.
    ///
    /// The timeout of smoltcp ends idle connections as well, and lets one that half-closes wait for ever.
    fn watch(&mut self, now: Instant) {
        for connection in &mut self.connections {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            let (octets, state) = (connection.unsent.len() + socket.send_queue(), socket.state());
            let rests = matches!(state, State::Established | State::CloseWait);
            let is_over = matches!(state, State::Closed | State::TimeWait);
            connection.owed = match connection.owed {
                _ if is_over || (rests && octets == 0) => None,
                Some(owed) if owed.state == state && owed.octets <= octets => Some(Owed { octets, ..owed }),
                _ => Some(Owed { octets, state, since: now }),
            };
            if connection.owed.is_some_and(|owed| owed.since + SILENCE_MAX <= now) {
                connection.owed = None;
                socket.abort();
            }
        }
    }

    /// Fills the buffers of the sockets.
    fn flush(&mut self) {
        for connection in &mut self.connections {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            while socket.can_send() && !connection.unsent.is_empty() {
                let Ok(sent) = socket.send_slice(connection.unsent.as_slices().0) else { break };
                connection.unsent.drain(..sent);
            }
            if connection.is_ending && connection.unsent.is_empty() {
                socket.close();
            }
        }
    }
}

fn socket() -> Socket<'static> {
    let mut socket = Socket::new(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]));
    // A message is written whole, and what waits for it waits for nothing else.
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    socket.set_timeout(Some(SILENCE_MAX.into()));
    socket
}

fn listen(sockets: &mut SocketSet<'static>, at: SocketAddr) -> SocketHandle {
    let mut socket = socket();
    socket.listen(IpEndpoint::from(at)).expect("a new socket listens at a port that is not 0");
    sockets.add(socket)
}

fn time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(now.as_micros() as i64)
}

/// An IP packet around a segment, as a stack wants it; ESP has checked what the header would.
fn packet(source: IpAddr, destination: IpAddr, segment: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(40 + segment.len());
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend_from_slice(&(20 + segment.len() as u16).to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
            packet.extend_from_slice(&source.octets());
            packet.extend_from_slice(&destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&(segment.len() as u16).to_be_bytes());
            packet.extend_from_slice(&[6, 64]);
            packet.extend_from_slice(&source.octets());
            packet.extend_from_slice(&destination.octets());
        }
        // A set has one family.
        _ => return packet,
    }
    packet.extend_from_slice(segment);
    packet
}

/// The segment in an IP packet of a stack, if it is one of TCP.
fn segment(packet: &[u8]) -> Option<&[u8]> {
    match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&6) => packet.get(4 * usize::from(packet[0] & 15)..),
        6 if packet.get(6) == Some(&6) => packet.get(40..),
        _ => None,
    }
}

/// A segment without data that acknowledges so much.
pub(super) fn acknowledgement(ends: &Selector, sequence: u32, acknowledged: u32) -> [u8; 20] {
    let mut segment = [0; 20];
    segment[..2].copy_from_slice(&ends.local.port().to_be_bytes());
    segment[2..4].copy_from_slice(&ends.remote.port().to_be_bytes());
    segment[4..8].copy_from_slice(&sequence.to_be_bytes());
    segment[8..12].copy_from_slice(&acknowledged.to_be_bytes());
    // Five words of header, and the flag ACK.
    segment[12..14].copy_from_slice(&[0x50, 0x10]);
    let protocol = ipsec::Protocol::Tcp.number();
    let checksum = ipsec::udp::checksum(ends.local.ip(), ends.remote.ip(), protocol, &[&segment]);
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    segment
}

/// The sequence number of a segment that asks for a connection.
fn syn(segment: &[u8]) -> Option<u32> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let asks = segment.get(13)? & (SYN | ACK) == SYN;
    Some(u32::from_be_bytes(*segment.get(4..)?.first_chunk()?)).filter(|_| asks)
}

/// What a stack takes for its network.
#[derive(Default)]
struct Link {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

struct Incoming(Vec<u8>);
struct Outgoing<'l>(&'l mut VecDeque<Vec<u8>>);

impl Device for Link {
    type RxToken<'l> = Incoming;
    type TxToken<'l> = Outgoing<'l>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let packet = self.incoming.pop_front()?;
        Some((Incoming(packet), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outgoing<'_>> {
        (self.outgoing.len() < QUEUE_MAX).then_some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        // There is no header of IP on the wire that a sum would be in.
        capabilities.checksum.ipv4 = Checksum::None;
        capabilities
    }
}

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}

/// With the 57 octets that ESP adds at most, this fits through the tunnels of a mobile network.
const MTU: usize = 1280;
/// A window of both directions; SIP messages are smaller but for the rarest.
const BUFFER: usize = 8 * 1024;
/// What one connection may wait to send: sixteen of the longest messages.
const UNSENT_MAX: usize = 1 << 20;
/// Segments between two turns; what is more is lost and comes again.
const QUEUE_MAX: usize = 64;
/// As long as a transaction waits (64 times T1 of RFC 3261): a peer that does not acknowledge is gone.
const SILENCE_MAX: Duration = Duration::from_secs(32);

#[cfg(test)]
mod tests;
