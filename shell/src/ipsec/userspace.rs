//! ESP in this process, on raw sockets of protocol 50, which need CAP_NET_RAW alone.
//!
//! One socket per address of ours takes the ESP of all UEs, and each packet is opened once. UDP is carried; the addresses and
//! ports of a datagram are those of its association. The kernel puts fragments together before a raw socket sees them, and
//! cuts what is too long for the link.

use super::SecurityError;
use ambient::{Entropy, Wall};
use ipsec::udp::{self, Datagram};
use ipsec::{Accepted, NotSent, Protocol, Refusal, SaSet, Sad, Selector, Usage, esp};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// A node's own ESP.
pub struct Userspace {
    sad: Sad,
    sockets: Vec<RawSocket>,
    /// What came in, before it is opened in place.
    received: Vec<u8>,
    /// What goes out.
    packet: Vec<u8>,
    unreadable: u64,
}

/// A raw socket that is bound to one address of ours.
///
/// The standard library has no raw sockets, but its calls for datagrams do the same on one.
struct RawSocket {
    own: IpAddr,
    socket: UdpSocket,
}

impl Userspace {
    /// Opens a socket for each address of ours.
    pub fn open(own: &[IpAddr], entropy: Entropy) -> Result<Userspace, SecurityError> {
        let sockets = own.iter().map(|own| RawSocket::open(*own)).collect::<io::Result<Vec<_>>>();
        Ok(Userspace {
            sad: Sad::new(entropy),
            sockets: sockets.map_err(SecurityError::system("open a raw socket for ESP"))?,
            received: vec![0; DATAGRAM_MAX],
            packet: Vec::with_capacity(DATAGRAM_MAX),
            unreadable: 0,
        })
    }

    /// Installs a set, or nothing of it.
    pub fn install(&mut self, set: &SaSet) -> Result<(), SecurityError> {
        self.sad.install(set).map_err(SecurityError::set("install security associations"))
    }

    /// Takes up a set that is installed where it was before a restart: see [`Sad::resume`].
    pub fn resume(&mut self, set: &SaSet, received: [u32; 2], sent: [u32; 2]) -> bool {
        self.sad.resume(set.own_spi_s, received, sent)
    }

    /// Removes a set, and tells whether it was there.
    pub fn remove(&mut self, set: &SaSet) -> bool {
        self.sad.remove(set.own_spi_s)
    }

    /// Removes the set of an association; nothing if it is an outbound one, whose set its inbound one removes.
    pub(super) fn discard(&mut self, association: &Usage) {
        self.sad.remove(association.spi);
    }

    /// What there is, with counters.
    pub fn list(&self) -> Vec<Usage> {
        self.sad.usage().collect()
    }

    /// How many packets were refused for a reason.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.sad.refused(reason)
    }

    /// How many authentic packets held a broken datagram, or a segment of TCP, which nobody here takes.
    pub const fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The sockets, so that one can wait for them.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|raw| raw.socket.as_fd())
    }

    /// Sends a datagram between the ends of an association.
    pub fn send(&mut self, selector: &Selector, payload: &[u8], now: Wall) -> io::Result<()> {
        let raw = self.sockets.iter().find(|raw| raw.own == selector.local.ip());
        let raw = raw.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let header = udp::header(selector.local, selector.remote, payload);
        let header = header.ok_or_else(|| io::Error::from_raw_os_error(libc::EMSGSIZE))?;
        self.packet.clear();
        self.sad.protect(selector, Protocol::Udp, &[&header, payload], now, &mut self.packet).map_err(
            |refused| {
                io::Error::other(match refused {
                    NotSent::NoAssociation => "no security association goes between these ports",
                    NotSent::SequenceExhausted => "the security association is used up",
                })
            },
        )?;
        raw.send(&self.packet, selector.remote.ip())
    }

    /// Takes what has come, and hands each datagram to `take` with its association's ends; at most `most` packets.
    ///
    /// Returns how many packets there were: fewer than `most` when no more were waiting.
    pub fn receive(
        &mut self,
        most: usize,
        now: Wall,
        mut take: impl FnMut(Selector, &[u8]),
    ) -> io::Result<usize> {
        let mut count = 0;
        for raw in &self.sockets {
            while count < most {
                let Some((source, packet)) = raw.receive(&mut self.received)? else { break };
                count += 1;
                let Ok(accepted) = self.sad.accept(source, packet, now) else { continue };
                match datagram(&accepted) {
                    Some(payload) => take(accepted.association.selector, payload),
                    None => self.unreadable += 1,
                }
            }
        }
        Ok(count)
    }
}

/// The payload of a datagram that came by an association.
fn datagram<'p>(accepted: &Accepted<'p>) -> Option<&'p [u8]> {
    let (from, to) = (accepted.association.source().ip(), accepted.association.destination().ip());
    match accepted.protocol {
        Protocol::Udp => Datagram::parse(from, to, accepted.payload).map(|datagram| datagram.payload),
        Protocol::Tcp => None,
    }
}

impl RawSocket {
    fn open(own: IpAddr) -> io::Result<RawSocket> {
        let protocol = socket2::Protocol::from(i32::from(esp::PROTOCOL));
        let socket = Socket::new(Domain::for_address(SocketAddr::new(own, 0)), Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        // A burst of all UEs; the kernel grants what its bound allows.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(&SockAddr::from(SocketAddr::new(own, 0)))?;
        Ok(RawSocket { own, socket: socket.into() })
    }

    fn send(&self, packet: &[u8], to: IpAddr) -> io::Result<()> {
        self.socket.send_to(packet, SocketAddr::new(to, 0)).map(drop)
    }

    /// The next packet with its sender, or nothing when none is waiting.
    fn receive<'r>(&self, room: &'r mut [u8]) -> io::Result<Option<(IpAddr, &'r mut [u8])>> {
        let (length, source) = match self.socket.recv_from(room) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let packet = &mut room[..length];
        // Over IPv4 a raw socket hands out the IP header as well.
        let header = match (self.own, packet.first()) {
            (IpAddr::V4(_), Some(first)) => 4 * usize::from(first & 15),
            _ => 0,
        };
        Ok(Some((source.ip(), packet.get_mut(header..).unwrap_or_default())))
    }
}

const DATAGRAM_MAX: usize = 65_536;
const RECEIVE_BUFFER: usize = 4 << 20;
