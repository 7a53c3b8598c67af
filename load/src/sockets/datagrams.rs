//! UDP: few sockets for all UEs, and the batches that move through them.

use super::{Counts, port_of};
use crate::outbox::Outbox;
use crate::sources::{Network, Sources};
use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmsg};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// Open sockets.
pub struct Datagrams {
    sockets: Vec<UdpSocket>,
    sources: Sources,
    buffers: Vec<Vec<u8>>,
    headers: MultiHeaders<SockaddrStorage>,
    /// Which socket is read first: each in turn.
    first: usize,
    /// Datagrams that the system would not take.
    refused: u64,
}

impl Datagrams {
    /// Opens what so many UEs of a network need.
    pub fn open(network: Network, ues: usize, first_port: u16) -> io::Result<Datagrams> {
        let count = network.sockets(ues);
        if count > SOCKETS_MAX {
            return Err(io::Error::other(format!(
                "{ues} UEs on {} addresses need {count} sockets; {SOCKETS_MAX} are the most: name a larger network \
                 with --source",
                network.count
            )));
        }
        // One socket for many addresses is bound to none of them.
        let ip = match network.first {
            IpAddr::V4(_) if network.count > 1 => Ipv4Addr::UNSPECIFIED.into(),
            ip => ip,
        };
        let sockets: Vec<UdpSocket> = (0..count)
            .map(|number| bound(SocketAddr::new(ip, port_of(first_port, number)?)))
            .collect::<io::Result<_>>()?;
        let ports =
            sockets.iter().map(|socket| Ok(socket.local_addr()?.port())).collect::<io::Result<_>>()?;
        Ok(Datagrams {
            sockets,
            sources: Sources::new(network, ports),
            buffers: vec![vec![0; DATAGRAM_BYTES_MAX]; BATCH],
            headers: MultiHeaders::preallocate(BATCH, None),
            first: 0,
            refused: 0,
        })
    }

    /// Where the UEs are.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Sends what waits, as far as there is room.
    pub fn send(&mut self, outbox: &mut Outbox) {
        let has_many = self.sources.has_many_addresses();
        while let Some(outgoing) = outbox.front() {
            let Some(socket) = self.sockets.get(outgoing.source.socket) else { return outbox.pop() };
            let payload = [IoSlice::new(outgoing.bytes)];
            let info = match outgoing.source.address.ip() {
                IpAddr::V4(ip) if has_many => Some(source_info(ip)),
                _ => None,
            };
            let control = info.as_ref().map(ControlMessage::Ipv4PacketInfo);
            let flags = MsgFlags::MSG_DONTWAIT;
            let remote = SockaddrStorage::from(outgoing.remote);
            let result = sendmsg(socket.as_raw_fd(), &payload, control.as_slice(), flags, Some(&remote));
            match result {
                Ok(_) => {}
                Err(nix::Error::EAGAIN) => return,
                Err(nix::Error::EINTR) => continue,
                Err(_) => self.refused += 1,
            }
            outbox.pop();
        }
    }

    /// Receives a batch without waiting, and gives each datagram to `take`; how many came.
    pub fn receive(&mut self, mut take: impl FnMut(SocketAddr, &[u8])) -> usize {
        let Datagrams { sockets, buffers, headers, first, .. } = self;
        let mut total = 0;
        for at in 0..sockets.len() {
            let index = (*first + at) % sockets.len();
            let mut slices: Vec<[IoSliceMut<'_>; 1]> =
                buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            let fd = sockets[index].as_raw_fd();
            let Ok(batch) = recvmmsg(fd, headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) else {
                continue;
            };
            for datagram in batch {
                total += 1;
                let (Some(remote), Some(bytes)) =
                    (datagram.address.as_ref().and_then(to_std), datagram.iovs().next())
                else {
                    continue;
                };
                take(remote, bytes);
            }
            if total > 0 {
                *first = index + 1;
                break;
            }
        }
        total
    }

    /// Waits until a datagram comes, or there is room for one that waits, or so much time has passed.
    ///
    /// `also` is another file to be read from.
    pub fn wait(&self, at_most: Duration, has_waiting: bool, also: Option<BorrowedFd<'_>>) {
        let flags = match has_waiting {
            true => PollFlags::POLLIN | PollFlags::POLLOUT,
            false => PollFlags::POLLIN,
        };
        let mut polled: Vec<PollFd<'_>> =
            self.sockets.iter().map(|socket| PollFd::new(socket.as_fd(), flags)).collect();
        polled.extend(also.map(|file| PollFd::new(file, flags)));
        // A signal that interrupts it, or any other error, is a shorter wait.
        let _ = ppoll(&mut polled, Some(TimeSpec::from_duration(at_most)), None);
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts { refused: self.refused, overflows: self.overflows(), ..Counts::default() }
    }

    /// Datagrams that the kernel dropped because the sockets were full, as it counts them since they were opened.
    fn overflows(&self) -> u64 {
        let table = std::fs::read_to_string("/proc/self/net/udp").unwrap_or_default();
        let ports: Vec<u16> =
            self.sockets.iter().filter_map(|socket| Some(socket.local_addr().ok()?.port())).collect();
        table.lines().skip(1).filter_map(|line| drops(line, &ports)).sum()
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagrams").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}

/// The last column of a line of `/proc/net/udp` (`proc(5)`), when the line is of one of these ports.
fn drops(line: &str, ports: &[u16]) -> Option<u64> {
    let mut words = line.split_whitespace();
    let local = words.nth(1)?;
    let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    ports.contains(&port).then(|| words.last()?.parse().ok()).flatten()
}

fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    // As much as the system allows; what it then drops is counted.
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

pub(crate) fn source_info(ip: Ipv4Addr) -> libc::in_pktinfo {
    libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: ip.to_bits().to_be() },
        ipi_addr: libc::in_addr { s_addr: 0 },
    }
}

pub(crate) fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddrV4::from(*address).into());
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddrV6::from(*address).into()))
}

/// Datagrams of one system call.
const BATCH: usize = 32;
/// The longest datagram that is read whole: more than any P-CSCF sends to these UEs.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 16 * 1024;
/// The socket buffers that are asked for.
pub(crate) const BUFFER_BYTES: usize = 8 << 20;
/// More would make waiting for them dearer than what they carry.
const SOCKETS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(sockets: &mut Datagrams) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut came = Vec::new();
        while sockets.receive(|remote, bytes| came.push((remote, bytes.to_vec()))) > 0 {}
        came
    }

    #[test]
    fn each_ue_sends_from_its_own_address_and_hears_what_is_sent_there() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let network = Network::parse("127.77.0.0/24").unwrap();
        let mut sockets = Datagrams::open(network, 100, 0).unwrap();
        let mut outbox = Outbox::default();
        let sources = sockets.sources().clone();
        for ue in 0..50 {
            outbox.push(sources.of(ue), server.local_addr().unwrap(), format!("{ue}").as_bytes());
        }
        sockets.send(&mut outbox);
        assert!(outbox.is_empty() && sockets.refused == 0);
        let mut buffer = [0; 16];
        for ue in 0..50 {
            let (length, remote) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(remote, sources.of(ue).address);
            server.send_to(&buffer[..length], remote).unwrap();
        }
        sockets.wait(Duration::from_secs(5), false, None);
        let texts: Vec<_> = all(&mut sockets).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, (0..50).map(|ue| format!("{ue}").into_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn one_address_has_a_socket_for_each_ue_over_both_families() {
        for ip in ["127.0.0.1", "::1"] {
            let Ok(server) = UdpSocket::bind((ip, 0)) else { continue };
            let mut sockets = Datagrams::open(Network::parse(ip).unwrap(), 3, 0).unwrap();
            let mut outbox = Outbox::default();
            let sources = sockets.sources().clone();
            outbox.push(sources.of(2), server.local_addr().unwrap(), b"x");
            sockets.send(&mut outbox);
            let (_, remote) = server.recv_from(&mut [0; 4]).unwrap();
            assert_eq!(remote, sources.of(2).address);
            server.send_to(b"y", remote).unwrap();
            assert_eq!(all(&mut sockets), [(server.local_addr().unwrap(), b"y".to_vec())]);
        }
    }

    #[test]
    fn more_sockets_than_make_sense_are_refused_with_a_remedy() {
        let error = Datagrams::open(Network::parse("127.0.0.1").unwrap(), 100_000, 0).err().unwrap();
        assert!(error.to_string().contains("--source"), "{error}");
    }

    /// A later load finds its registrations again, where the network knows them by this address and port.
    #[test]
    fn the_ports_are_those_that_were_asked_for() {
        let free = UdpSocket::bind("127.0.0.99:0").unwrap().local_addr().unwrap().port();
        let sockets = Datagrams::open(Network::parse("127.0.0.99").unwrap(), 1, free).unwrap();
        assert_eq!(sockets.sources().of(0).address, SocketAddr::from(([127, 0, 0, 99], free)));
        let error = Datagrams::open(Network::parse("127.0.0.99").unwrap(), 3, 65_534).err().unwrap();
        assert!(error.to_string().contains("ports"), "{error}");
    }

    #[test]
    fn drops_are_read_from_the_line_of_our_port() {
        let line =
            " 1234: 00000000:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 99 2 0 17";
        assert_eq!(drops(line, &[0x13c4]), Some(17));
        assert_eq!(drops(line, &[1]), None);
        assert_eq!(drops("garbage", &[1]), None);
    }
}
