//! `recvmmsg`, `sendmmsg` and the error queue of Linux, behind safe functions.
//!
//! Unsafe code: the standard library has no call that moves more than one datagram, and that
//! call is most of what a SIP server costs. Every pointer handed to the kernel points into a buffer that this module
//! owns for the length of the call, and every length is set right before it.
#![allow(unsafe_code)]

use super::{BATCH, DATAGRAM_BYTES_MAX};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::null_mut;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Room for one batch of received datagrams.
pub(super) struct ReceiveBatch {
    payload: Vec<u8>,
    received: Vec<(Option<SocketAddr>, usize)>,
}

impl ReceiveBatch {
    pub(super) fn new() -> ReceiveBatch {
        ReceiveBatch { payload: vec![0; BATCH * DATAGRAM_BYTES_MAX], received: Vec::with_capacity(BATCH) }
    }

    /// Receives up to a batch without waiting; how many came.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        socket.try_io(Interest::READABLE, || self.receive_now(socket))
    }

    fn receive_now(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // SAFETY: all three are plain C structures for which zero bytes are a valid value.
        let mut names: [libc::sockaddr_storage; BATCH] = unsafe { zeroed() };
        let mut vectors: [libc::iovec; BATCH] = unsafe { zeroed() };
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        let pieces = self.payload.chunks_exact_mut(DATAGRAM_BYTES_MAX);
        for (((header, vector), name), piece) in
            headers.iter_mut().zip(&mut vectors).zip(&mut names).zip(pieces)
        {
            vector.iov_base = piece.as_mut_ptr().cast();
            vector.iov_len = piece.len();
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = NAME_BYTES;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: `headers` holds BATCH initialised headers whose names and vectors live until the call returns.
        let count = unsafe {
            libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as libc::c_uint, libc::MSG_DONTWAIT, null_mut())
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.received.clear();
        let pairs = headers.iter().zip(&names).take(count);
        self.received.extend(pairs.map(|(header, name)| (from_c(name), header.msg_len as usize)));
        Ok(count)
    }

    /// A datagram of the last batch.
    pub(super) fn get(&self, at: usize) -> Option<(SocketAddr, &[u8])> {
        let (remote, length) = *self.received.get(at)?;
        let start = at * DATAGRAM_BYTES_MAX;
        Some((remote?, self.payload.get(start..start + length)?))
    }
}

/// Sends batches.
pub(super) struct SendBatch;

impl SendBatch {
    pub(super) fn new() -> SendBatch {
        SendBatch
    }

    /// Sends up to a batch from the front of `waiting` without waiting; how many left.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        waiting: &mut [(SocketAddr, Vec<u8>)],
    ) -> io::Result<usize> {
        match send_now(socket, waiting) {
            // Asked again through the runtime, so that it wakes us when there is room.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                socket.try_io(Interest::WRITABLE, || send_now(socket, waiting))
            }
            result => result,
        }
    }
}

fn send_now(socket: &UdpSocket, waiting: &mut [(SocketAddr, Vec<u8>)]) -> io::Result<usize> {
    // SAFETY: all three are plain C structures for which zero bytes are a valid value.
    let mut names: [libc::sockaddr_storage; BATCH] = unsafe { zeroed() };
    let mut vectors: [libc::iovec; BATCH] = unsafe { zeroed() };
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    let mut filled: libc::c_uint = 0;
    for (((header, vector), name), (remote, bytes)) in
        headers.iter_mut().zip(&mut vectors).zip(&mut names).zip(waiting.iter_mut())
    {
        header.msg_hdr.msg_namelen = to_c(*remote, name);
        header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        vector.iov_base = bytes.as_mut_ptr().cast();
        vector.iov_len = bytes.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        filled += 1;
    }
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the first `filled` headers point to names, vectors and payloads that live until the call returns.
    let count = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), filled, libc::MSG_DONTWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Lets the kernel keep ICMP errors with the address that they are of (`ip(7)`, IP_RECVERR).
pub(super) fn enable_errors(socket: &impl AsFd, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = match is_ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        false => (libc::IPPROTO_IP, libc::IP_RECVERR),
    };
    let on: libc::c_int = 1;
    let bytes = size_of::<libc::c_int>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the option takes an int, and `on` is one that outlives the call.
    let result = unsafe { libc::setsockopt(fd, level, option, std::ptr::from_ref(&on).cast(), bytes) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The destination of the next datagram that an ICMP error came for; `None` when there is no more.
pub(super) fn next_error(socket: &impl AsFd) -> io::Result<Option<SocketAddr>> {
    // SAFETY: both are plain C structures for which zero bytes are a valid value.
    let mut name: libc::sockaddr_storage = unsafe { zeroed() };
    let mut header: libc::msghdr = unsafe { zeroed() };
    // The returned payload and details are of no interest: without room for them the kernel cuts them off.
    header.msg_name = std::ptr::from_mut(&mut name).cast();
    header.msg_namelen = NAME_BYTES;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: `header` points to `name`, which outlives the call, and to nothing else.
    let result = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &mut header, flags) };
    if result < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    Ok(from_c(&name))
}

const NAME_BYTES: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

fn from_c(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure the kernel wrote, and the storage is large and aligned for all.
            let name = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(name.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id)))
        }
        _ => None,
    }
}

fn to_c(address: SocketAddr, storage: &mut libc::sockaddr_storage) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: the storage is large and aligned for every kind of address, and borrowed for us alone.
            let name = unsafe { &mut *std::ptr::from_mut(storage).cast::<libc::sockaddr_in>() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = address.port().to_be();
            name.sin_addr.s_addr = address.ip().to_bits().to_be();
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            // SAFETY: as above.
            let name = unsafe { &mut *std::ptr::from_mut(storage).cast::<libc::sockaddr_in6>() };
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = address.port().to_be();
            name.sin6_addr.s6_addr = address.ip().octets();
            name.sin6_flowinfo = address.flowinfo();
            name.sin6_scope_id = address.scope_id();
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_from_c_as_it_went() {
        for text in ["192.0.2.1:5060", "[2001:db8::1]:65535", "[fe80::1%7]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            // SAFETY: a plain C structure for which zero bytes are a valid value.
            let mut storage = unsafe { zeroed() };
            assert!(to_c(address, &mut storage) > 0);
            assert_eq!(from_c(&storage), Some(address));
        }
    }
}
