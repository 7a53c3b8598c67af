//! ESP in this process, on raw sockets of protocol 50, which need CAP_NET_RAW alone.
//!
//! One socket per address of ours takes the ESP of all UEs, and each packet is opened once. UDP and TCP are carried; the
//! addresses and ports are those of the association. The kernel puts fragments together before a raw socket sees them, and
//! cuts what is too long for the link.
//!
//! A UE behind a NAT sends the same in UDP (RFC 3948), to a port of its own.

mod tcp;

use super::SecurityError;
use ambient::{Entropy, Instant, Now};
use ipsec::udp::{self, Datagram};
use ipsec::{Accepted, Encapsulation, NotSent, Protocol, Refusal, SaSet, Sad, Selector, Spi, Usage, esp};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use tcp::{Event, Stack};

/// A node's own ESP.
pub struct Userspace {
    sad: Sad,
    ports: Vec<Port>,
    /// By the inbound SPI of the server port, which names a set.
    sets: BTreeMap<Spi, Ends>,
    /// The inbound SPIs of the client ports, and the sets that they are of.
    clients: BTreeMap<Spi, Spi>,
    /// Sets whose NAT this end keeps open.
    behind_nat: BTreeSet<Spi>,
    /// When the TCP of a set is due.
    due: BTreeSet<(Instant, Spi)>,
    entropy: Entropy,
    /// What came in, before it is opened in place.
    received: Vec<u8>,
    /// What goes out.
    packet: Leaving,
    unreadable: u64,
}

/// The packet that left last, and which way.
struct Leaving {
    octets: Vec<u8>,
    way: Option<(Selector, SocketAddr, SocketAddr, Carries)>,
}

/// Between what the associations of a set are, and its TCP if there is any.
struct Ends {
    server: Selector,
    client: Selector,
    client_spi: Spi,
    stack: Option<Box<Stack>>,
    due: Option<Instant>,
}

/// A connection of TCP through an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    set: Spi,
    number: u32,
}

impl ConnectionId {
    /// The set whose association it goes through, by the inbound SPI of its server port.
    pub const fn set(self) -> Spi {
        self.set
    }

    /// Whether it goes through an association of this set.
    pub fn is_of(self, set: &SaSet) -> bool {
        self.set == set.own_spi_s
    }
}

/// What came through an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// A datagram between the ends of an association.
    Datagram(Selector, &'a [u8]),
    /// A connection stands, between the ends of an association.
    Opened(ConnectionId, Selector),
    /// The next octets of a connection.
    Octets(ConnectionId, &'a [u8]),
    /// A connection has ended, or never came to stand.
    Closed(ConnectionId),
}

/// A socket for ESP that is bound to an address of ours.
///
/// The standard library has no raw sockets, but its calls for datagrams do the same on one.
struct Port {
    own: SocketAddr,
    carries: Carries,
    socket: UdpSocket,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// ESP on IP; the port of the address is 0.
    Esp,
    /// ESP in UDP.
    Udp,
}

impl Userspace {
    /// Opens a socket for each address of ours.
    pub fn open(own: &[IpAddr], mut entropy: Entropy) -> Result<Userspace, SecurityError> {
        let ports = own.iter().map(|own| Port::open(*own)).collect::<io::Result<Vec<_>>>();
        Ok(Userspace {
            sad: Sad::new(entropy.fork()),
            ports: ports.map_err(SecurityError::system("open a raw socket for ESP"))?,
            sets: BTreeMap::new(),
            clients: BTreeMap::new(),
            behind_nat: BTreeSet::new(),
            due: BTreeSet::new(),
            entropy,
            received: vec![0; DATAGRAM_MAX],
            packet: Leaving { octets: Vec::with_capacity(DATAGRAM_MAX), way: None },
            unreadable: 0,
        })
    }

    /// Takes ESP in UDP as well, at an address of ours; its port is 4500 by custom (RFC 3948 §2.1).
    pub fn open_encapsulated(&mut self, own: SocketAddr) -> Result<(), SecurityError> {
        let port = Port::open_udp(own).map_err(SecurityError::system("open a port for ESP in UDP"))?;
        self.ports.push(port);
        Ok(())
    }

    /// Keeps every NAT open that this end is behind (RFC 3948 §2.3), where nothing has left for [`NAT_SILENCE`]; tells how many.
    pub fn keep_nats_open(&self, now: Now) -> usize {
        let is_silent =
            |name: &&Spi| self.sad.last_sent(**name).is_none_or(|sent| now.wall.since(sent) >= NAT_SILENCE);
        let silent = self.behind_nat.iter().filter(is_silent);
        let sent = silent.filter(|name| {
            let ends = self.sets.get(*name);
            match ends.and_then(|ends| self.sad.encapsulation(&ends.server)) {
                // One that does not leave is one that is lost; the next one comes soon.
                Some(Encapsulation::UdpTunnel { local, remote }) => {
                    Port::find(&self.ports, local, Carries::Udp)
                        .and_then(|port| port.socket.send_to(KEEP_ALIVE, remote))
                        .is_ok()
                }
                Some(Encapsulation::Transport) | None => false,
            }
        });
        sent.count()
    }

    /// How long after [`Userspace::keep_nats_open`] it is called for again: when the next set has been silent for so long.
    pub fn nats_stay_open_for(&self, now: Now) -> Duration {
        let silence = |name: &Spi| {
            let silent = self.sad.last_sent(*name).map_or(NAT_SILENCE, |sent| now.wall.since(sent));
            // One that was silent for so long has just been kept open.
            NAT_SILENCE.checked_sub(silent).filter(|left| !left.is_zero()).unwrap_or(NAT_SILENCE)
        };
        self.behind_nat.iter().map(silence).min().unwrap_or(NAT_SILENCE)
    }

    /// Whether this end is behind a NAT with any of its sets.
    pub fn is_behind_nat(&self) -> bool {
        !self.behind_nat.is_empty()
    }

    /// The outer address of a tunnel's peer, as its newest packet showed it.
    pub fn outer(&self, set: Spi) -> Option<SocketAddr> {
        self.sad.outer(set)
    }

    /// Takes up where the NAT of a peer was before a restart.
    pub fn resume_outer(&mut self, set: &SaSet, outer: SocketAddr) {
        self.sad.resume_outer(set.own_spi_s, outer);
    }

    /// Installs a set, or nothing of it.
    pub fn install(&mut self, set: &SaSet) -> Result<(), SecurityError> {
        self.sad.install(set).map_err(SecurityError::set("install security associations"))?;
        let [server, _, client, _] = set.associations().map(|association| association.selector);
        let ends = Ends { server, client, client_spi: set.own_spi_c, stack: None, due: None };
        self.sets.insert(set.own_spi_s, ends);
        if set.is_behind_nat() {
            self.behind_nat.insert(set.own_spi_s);
        }
        self.clients.insert(set.own_spi_c, set.own_spi_s);
        Ok(())
    }

    /// Takes up a set that is installed where it was before a restart: see [`Sad::resume`].
    pub fn resume(&mut self, set: &SaSet, received: [u32; 2], sent: [u32; 2]) -> bool {
        self.sad.resume(set.own_spi_s, received, sent)
    }

    /// Ends the connections of an earlier life of this process, of which the peer has not heard that they are gone.
    ///
    /// Nobody knows their sequence numbers here: an acknowledgement that fits none of them makes the peer tell
    /// (RFC 9293 §3.10.7.4), and to that the answer is a reset. One of two acknowledgements that are far apart lies ahead of
    /// what the peer has sent, which every stack minds.
    pub fn reset_streams(&mut self, set: &SaSet, now: Now) {
        for association in set.associations().iter().step_by(2) {
            for acknowledged in [0, 1 << 31] {
                let segment =
                    tcp::acknowledgement(&association.selector, self.entropy.next_u64() as u32, acknowledged);
                let Userspace { sad, ports, packet, .. } = self;
                // One that does not leave is one that is lost: the peer finds out when it sends next.
                let _ = emit(sad, ports, packet, &association.selector, Protocol::Tcp, &[&segment], now);
            }
        }
    }

    /// Removes a set with its connections, of which nothing is told any more; tells whether it was there.
    pub fn remove(&mut self, set: &SaSet) -> bool {
        self.forget(set.own_spi_s)
    }

    /// Removes the set of an association; nothing if it is an outbound one, whose set its inbound one removes.
    pub(super) fn discard(&mut self, association: &Usage) {
        self.forget(association.spi);
    }

    fn forget(&mut self, inbound: Spi) -> bool {
        let set = self.clients.get(&inbound).copied().unwrap_or(inbound);
        self.behind_nat.remove(&set);
        if let Some(ends) = self.sets.remove(&set) {
            self.clients.remove(&ends.client_spi);
            if let Some(due) = ends.due {
                self.due.remove(&(due, set));
            }
        }
        self.sad.remove(set)
    }

    /// What there is, with counters.
    pub fn list(&self) -> Vec<Usage> {
        self.sad.usage().collect()
    }

    /// How many packets were refused for a reason.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.sad.refused(reason)
    }

    /// How many authentic packets held a broken datagram.
    pub const fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The sockets, so that one can wait for them.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ports.iter().map(|port| port.socket.as_fd())
    }

    /// Sends a datagram between the ends of an association.
    pub fn send(&mut self, selector: &Selector, payload: &[u8], now: Now) -> io::Result<()> {
        let header = udp::header(selector.local, selector.remote, payload);
        let header = header.ok_or_else(|| io::Error::from_raw_os_error(libc::EMSGSIZE))?;
        let Userspace { sad, ports, packet, .. } = self;
        emit(sad, ports, packet, selector, Protocol::Udp, &[&header, payload], now)
    }

    /// Sends the packet once more that left last, if it was one of this set: a fault on demand.
    pub fn repeat(&self, set: &SaSet) -> io::Result<()> {
        let is_its = |selector: &Selector| self.set_of(selector) == Some(set.own_spi_s);
        match &self.packet.way {
            Some((selector, own, remote, carries)) if is_its(selector) => {
                let port = Port::find(&self.ports, *own, *carries)?;
                port.socket.send_to(&self.packet.octets, *remote).map(drop)
            }
            Some(_) | None => Err(io::Error::other("another packet left since")),
        }
    }

    /// Begins a connection from a client port of ours; it is opened or closed later.
    pub fn connect(&mut self, selector: &Selector, now: Now) -> io::Result<ConnectionId> {
        let set = self.sad.inbound(selector).and_then(|inbound| self.clients.get(&inbound).copied());
        let set = set.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let ends = self.sets.get_mut(&set).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let number = ends.stack(&mut self.entropy, now).connect()?;
        self.turn(set, now);
        Ok(ConnectionId { set, number })
    }

    /// Sends octets on a connection, at once or when there is room.
    ///
    /// An error of the kind `WouldBlock` says that too much is waiting already.
    pub fn write(&mut self, connection: ConnectionId, octets: &[u8], now: Now) -> io::Result<()> {
        let stack = self.sets.get_mut(&connection.set).and_then(|ends| ends.stack.as_mut());
        stack.ok_or(io::ErrorKind::NotConnected)?.write(connection.number, octets)?;
        self.turn(connection.set, now);
        Ok(())
    }

    /// Ends a connection when what was written has been sent.
    pub fn close(&mut self, connection: ConnectionId, now: Now) {
        if let Some(stack) = self.sets.get_mut(&connection.set).and_then(|ends| ends.stack.as_mut()) {
            stack.close(connection.number);
            self.turn(connection.set, now);
        }
    }

    /// Takes what has come, about `most` packets and of each socket its share, and hands what was in them to `take`.
    ///
    /// Returns how many packets there were: none when no more are waiting.
    pub fn receive(&mut self, most: usize, now: Now, mut take: impl FnMut(Arrival<'_>)) -> io::Result<usize> {
        let mut count = 0;
        let mut touched = BTreeSet::new();
        let share = most.div_ceil(self.ports.len().max(1));
        let mut failed = None;
        for port in &self.ports {
            for _ in 0..share {
                let (source, packet) = match port.receive(&mut self.received) {
                    Ok(Some(received)) => received,
                    Ok(None) => break,
                    // What other sockets have brought is still to be told.
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                };
                count += 1;
                let accepted = match port.carries {
                    Carries::Esp => self.sad.accept(source.ip(), packet, now.wall),
                    Carries::Udp if is_other_than_esp(packet) => continue,
                    Carries::Udp => self.sad.accept_encapsulated(source, packet, now.wall),
                };
                let Ok(accepted) = accepted else { continue };
                let selector = accepted.association.selector;
                match accepted.protocol {
                    Protocol::Udp => match datagram(&accepted) {
                        Some(payload) => take(Arrival::Datagram(selector, payload)),
                        None => self.unreadable += 1,
                    },
                    Protocol::Tcp => {
                        let spi = accepted.association.spi;
                        let set = self.clients.get(&spi).copied().unwrap_or(spi);
                        if let Some(ends) = self.sets.get_mut(&set) {
                            ends.stack(&mut self.entropy, now).take(&selector, accepted.payload);
                            touched.insert(set);
                        }
                    }
                }
            }
        }
        for set in touched {
            self.turn(set, now);
            self.tell(set, now, &mut take);
        }
        match failed {
            Some(error) if count == 0 => Err(error),
            _ => Ok(count),
        }
    }

    /// The name of the set whose association goes between the ends of `selector`: the inbound SPI of its server port.
    pub fn set_of(&self, selector: &Selector) -> Option<Spi> {
        let inbound = self.sad.inbound(selector)?;
        Some(self.clients.get(&inbound).copied().unwrap_or(inbound))
    }

    /// How far a set has come: what [`Userspace::resume`] takes.
    pub fn sequences(&self, set: Spi) -> Option<([u32; 2], [u32; 2])> {
        self.sad.sequences(set)
    }

    /// When [`expire`](Userspace::expire) is due.
    pub fn due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Does what the time asks for: segments that were not acknowledged are sent again, silent connections end.
    pub fn expire(&mut self, now: Now, mut take: impl FnMut(Arrival<'_>)) {
        let ready: Vec<_> =
            self.due.iter().take_while(|(due, _)| *due <= now.instant).map(|(_, set)| *set).collect();
        for set in ready {
            self.turn(set, now);
            self.tell(set, now, &mut take);
        }
    }

    /// Lets the TCP of a set move on, and sends what it has to send.
    fn turn(&mut self, set: Spi, now: Now) {
        let Userspace { sad, ports, packet, sets, .. } = self;
        if let Some(stack) = sets.get_mut(&set).and_then(|ends| ends.stack.as_mut()) {
            stack.poll(now.instant, |selector, segment| {
                // A segment that does not leave is one that is lost, and TCP sends it again.
                let _ = emit(sad, ports, packet, selector, Protocol::Tcp, &[segment], now);
            });
        }
        self.arm(set, now);
    }

    /// Tells what has happened to the connections of a set.
    fn tell(&mut self, set: Spi, now: Now, take: &mut impl FnMut(Arrival<'_>)) {
        let Some(ends) = self.sets.get_mut(&set) else { return };
        let Some(stack) = ends.stack.as_mut() else { return };
        stack.events(|event| {
            let id = |number| ConnectionId { set, number };
            take(match event {
                Event::Opened(number, selector) => Arrival::Opened(id(number), selector),
                Event::Octets(number, octets) => Arrival::Octets(id(number), octets),
                Event::Closed(number) => Arrival::Closed(id(number)),
            });
        });
        // What was read opens the window, and what the peer has ended ends here.
        self.turn(set, now);
    }

    /// Notes when the TCP of a set is due, and drops it if there is nothing of it.
    fn arm(&mut self, set: Spi, now: Now) {
        let Some(ends) = self.sets.get_mut(&set) else { return };
        if let Some(due) = ends.due.take() {
            self.due.remove(&(due, set));
        }
        ends.due = ends.stack.as_mut().and_then(|stack| stack.due(now.instant));
        if ends.stack.as_ref().is_some_and(|stack| stack.is_idle()) {
            (ends.stack, ends.due) = (None, None);
        }
        self.due.extend(ends.due.map(|due| (due, set)));
    }
}

impl Ends {
    /// The TCP of the set, made if there is none.
    fn stack(&mut self, entropy: &mut Entropy, now: Now) -> &mut Stack {
        let (server, client) = (self.server, self.client);
        self.stack.get_or_insert_with(|| Box::new(Stack::new(server, client, entropy, now.instant)))
    }
}

/// Puts a datagram or segment into ESP and sends it.
fn emit(
    sad: &mut Sad,
    ports: &[Port],
    packet: &mut Leaving,
    selector: &Selector,
    protocol: Protocol,
    parts: &[&[u8]],
    now: Now,
) -> io::Result<()> {
    packet.octets.clear();
    sad.protect(selector, protocol, parts, now.wall, &mut packet.octets).map_err(
        |refused| match refused {
            NotSent::NoAssociation => io::Error::other("no security association goes between these ports"),
            NotSent::SequenceExhausted => io::Error::other("the security association is used up"),
            NotSent::TooLong => io::Error::from_raw_os_error(libc::EMSGSIZE),
            NotSent::PeerUnknown => io::Error::other("nothing has come through the NAT of the peer yet"),
        },
    )?;
    let (own, remote, carries) = match sad.encapsulation(selector) {
        Some(Encapsulation::UdpTunnel { local, remote }) => (local, remote, Carries::Udp),
        _ => {
            let without_port = |end: SocketAddr| SocketAddr::new(end.ip(), 0);
            (without_port(selector.local), without_port(selector.remote), Carries::Esp)
        }
    };
    packet.way = Some((*selector, own, remote, carries));
    Port::find(ports, own, carries)?.socket.send_to(&packet.octets, remote).map(drop)
}

/// Whether a datagram at the port of ESP in UDP is a keep-alive or a message of IKE (RFC 3948 §2.2, §2.3).
fn is_other_than_esp(packet: &[u8]) -> bool {
    packet == KEEP_ALIVE || packet.starts_with(&[0; 4])
}

/// The payload of a datagram that came by an association.
fn datagram<'p>(accepted: &Accepted<'p>) -> Option<&'p [u8]> {
    let (from, to) = (accepted.association.source().ip(), accepted.association.destination().ip());
    Datagram::parse(from, to, accepted.payload).map(|datagram| datagram.payload)
}

impl Port {
    fn open(own: IpAddr) -> io::Result<Port> {
        let protocol = socket2::Protocol::from(i32::from(esp::PROTOCOL));
        Port::bind(SocketAddr::new(own, 0), Carries::Esp, Type::RAW, Some(protocol))
    }

    fn open_udp(own: SocketAddr) -> io::Result<Port> {
        Port::bind(own, Carries::Udp, Type::DGRAM, None)
    }

    fn bind(
        own: SocketAddr,
        carries: Carries,
        kind: Type,
        protocol: Option<socket2::Protocol>,
    ) -> io::Result<Port> {
        let socket = Socket::new(Domain::for_address(own), kind, protocol)?;
        socket.set_nonblocking(true)?;
        // A burst of all UEs; the kernel grants what its bound allows.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(&SockAddr::from(own))?;
        Ok(Port { own, carries, socket: socket.into() })
    }

    fn find(ports: &[Port], own: SocketAddr, carries: Carries) -> io::Result<&Port> {
        let found = ports.iter().find(|port| port.own == own && port.carries == carries);
        found.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// The next packet with its sender, or nothing when none is waiting.
    fn receive<'r>(&self, room: &'r mut [u8]) -> io::Result<Option<(SocketAddr, &'r mut [u8])>> {
        let (length, source) = match self.socket.recv_from(room) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let packet = &mut room[..length];
        // Over IPv4 a raw socket hands out the IP header as well.
        let header = match (self.carries, self.own, packet.first()) {
            (Carries::Esp, SocketAddr::V4(_), Some(first)) => 4 * usize::from(first & 15),
            _ => 0,
        };
        Ok(Some((source, packet.get_mut(header..).unwrap_or_default())))
    }
}

/// After so long a silence a NAT hears of us again: RFC 3948 §4 leaves 20 seconds, and one looks as often as this.
pub const NAT_SILENCE: Duration = Duration::from_secs(10);
/// One octet (RFC 3948 §2.3).
const KEEP_ALIVE: &[u8] = &[0xff];
const DATAGRAM_MAX: usize = 65_536;
const RECEIVE_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests;
