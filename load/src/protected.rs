//! The raw socket of the UEs: ESP from and to all their addresses, which needs CAP_NET_RAW.

use crate::generator::Generator;
use crate::outbox::Outbox;
use crate::sockets::datagrams::{BUFFER_BYTES, DATAGRAM_BYTES_MAX, source_info, to_std};
use ambient::Instant;
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmsg};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The socket, and what is not protected yet.
pub struct Protected {
    socket: Socket,
    /// What goes by the sockets of [`crate::sockets`].
    pub open: Outbox,
    buffers: Vec<Vec<u8>>,
    headers: MultiHeaders<SockaddrStorage>,
    /// Packets that the system would not take.
    pub refused: u64,
}

impl Protected {
    /// Opens it for what comes from a P-CSCF.
    pub fn open(pcscf: Ipv4Addr) -> io::Result<Protected> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(ESP))))?;
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_send_buffer_size(BUFFER_BYTES)?;
        socket.set_nonblocking(true)?;
        // What goes to the P-CSCF comes by here as well where both are on one host.
        socket.attach_filter(&from(pcscf))?;
        Ok(Protected {
            socket,
            open: Outbox::default(),
            buffers: vec![vec![0; DATAGRAM_BYTES_MAX]; BATCH],
            headers: MultiHeaders::preallocate(BATCH, None),
            refused: 0,
        })
    }

    /// The socket, so that one can wait for it.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends what waits and goes through associations, as far as there is room; the rest is put into [`Protected::open`].
    pub fn send(&mut self, generator: &mut Generator) {
        let Generator { outbox, security, .. } = generator;
        let Some(security) = security else { return };
        while let Some((selector, packet)) = security.take_reset() {
            if let (IpAddr::V4(own), IpAddr::V4(peer)) = (selector.local.ip(), selector.remote.ip()) {
                // One that is lost is asked for again.
                let _ = self.transmit(own, peer, &packet);
            }
        }
        while let Some(outgoing) = outbox.front() {
            let (source, remote) = (outgoing.source, outgoing.remote);
            let packet = security.protect(source.ue, outgoing.bytes);
            let (Some(packet), IpAddr::V4(own), IpAddr::V4(peer)) =
                (packet, source.address.ip(), remote.ip())
            else {
                self.open.push(source, remote, outgoing.bytes);
                outbox.pop();
                continue;
            };
            match self.transmit(own, peer, packet) {
                Ok(_) => {}
                // It is sealed anew when there is room: a number that is left out is as good as a lost packet.
                Err(nix::Error::EAGAIN) => return,
                Err(nix::Error::EINTR) => continue,
                Err(_) => self.refused += 1,
            }
            outbox.pop();
        }
    }

    fn transmit(&self, own: Ipv4Addr, peer: Ipv4Addr, packet: &[u8]) -> nix::Result<usize> {
        let payload = [IoSlice::new(packet)];
        let info = source_info(own);
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let remote = SockaddrStorage::from(SocketAddr::new(peer.into(), 0));
        sendmsg(self.socket.as_raw_fd(), &payload, &control, MsgFlags::MSG_DONTWAIT, Some(&remote))
    }

    /// Receives a batch without waiting, and gives the generator what is in it; how many packets came.
    pub fn receive(&mut self, now: Instant, generator: &mut Generator) -> usize {
        let Protected { socket, buffers, headers, .. } = self;
        let mut came: [Option<(IpAddr, usize)>; BATCH] = [None; BATCH];
        let mut total = 0;
        {
            let mut slices: Vec<[IoSliceMut<'_>; 1]> =
                buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            let flags = MsgFlags::MSG_DONTWAIT;
            let Ok(batch) = recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), flags, None) else {
                return 0;
            };
            for (at, packet) in batch.enumerate().take(BATCH) {
                total += 1;
                came[at] = packet.address.as_ref().and_then(to_std).map(|source| (source.ip(), packet.bytes));
            }
        }
        for (buffer, came) in buffers.iter_mut().zip(came) {
            let Some((source, length)) = came else { continue };
            // A raw socket hands out the IP header as well.
            let header = buffer.first().map_or(0, |first| 4 * usize::from(first & 15));
            let Some(packet) = buffer.get_mut(header..length.max(header)) else { continue };
            generator.receive_protected(now, source, packet);
        }
        total
    }
}

/// Keeps what has this source address (RFC 791 §3.1: twelve octets into the header).
fn from(source: Ipv4Addr) -> [SockFilter; 4] {
    let operation = |code: u32, jt, jf, k| SockFilter::new(code as u16, jt, jf, k);
    [
        operation(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 12),
        operation(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, source.to_bits()),
        operation(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        operation(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

/// The number of ESP in an IP header.
const ESP: u8 = ipsec::esp::PROTOCOL;
/// Packets of one system call.
const BATCH: usize = 32;
