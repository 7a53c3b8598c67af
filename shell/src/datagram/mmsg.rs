//! `recvmmsg`, `sendmmsg`, the error queue and the counters of Linux, behind safe functions.
//!
//! Unsafe code: the standard library has no call that moves more than one datagram, and that
//! call is most of what a SIP server costs. Every pointer handed to the kernel points into a buffer that is borrowed or
//! owned here for the length of the call, and every pointer and length that a call uses is set right before it.
#![allow(unsafe_code)]

use super::steering::{self, Scope};
use super::{BATCH, DATAGRAM_BYTES_MAX};
use crate::spare::Spare;
use mio::net::UdpSocket;
use std::collections::VecDeque;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{from_mut, null_mut};

/// Room for one batch of received datagrams.
///
/// Each arrives in a buffer that whoever handles it then owns; what is longer than the buffer goes on in a tail, which
/// is rare.
pub(super) struct ReceiveBatch {
    buffers: Vec<Vec<u8>>,
    tails: Vec<u8>,
    names: Box<[libc::sockaddr_storage; BATCH]>,
    vectors: Box<[[libc::iovec; 2]; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
}

impl ReceiveBatch {
    pub(super) fn new() -> ReceiveBatch {
        // SAFETY: all three are plain C structures for which zero bytes are a valid value.
        let (names, vectors, headers) =
            unsafe { (Box::new(zeroed()), Box::new(zeroed()), Box::new(zeroed())) };
        ReceiveBatch {
            buffers: vec![Vec::new(); BATCH],
            tails: vec![0; BATCH * DATAGRAM_BYTES_MAX],
            names,
            vectors,
            headers,
        }
    }

    /// Receives up to a batch without waiting, into buffers of `spare`; how many came.
    pub(super) fn receive(&mut self, socket: &UdpSocket, spare: &mut Spare) -> io::Result<usize> {
        let ReceiveBatch { buffers, tails, names, vectors, headers } = self;
        let pieces = tails.chunks_exact_mut(DATAGRAM_BYTES_MAX);
        let rooms = buffers.iter_mut().zip(pieces).zip(names.iter_mut()).zip(vectors.iter_mut());
        for (header, (((buffer, tail), name), vector)) in headers.iter_mut().zip(rooms) {
            if buffer.capacity() == 0 {
                *buffer = spare.take();
            }
            buffer.clear();
            let room = buffer.spare_capacity_mut();
            vector[0] = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            vector[1] = libc::iovec { iov_base: tail.as_mut_ptr().cast(), iov_len: tail.len() };
            header.msg_hdr.msg_name = from_mut(name).cast();
            header.msg_hdr.msg_namelen = NAME_BYTES;
            header.msg_hdr.msg_iov = vector.as_mut_ptr();
            header.msg_hdr.msg_iovlen = 2;
            header.msg_len = 0;
        }
        let fd = socket.as_raw_fd();
        // SAFETY: `headers` holds BATCH initialised headers whose names, buffers and tails live until the call returns,
        // and of which each belongs to one header alone.
        let count = unsafe {
            libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as libc::c_uint, libc::MSG_DONTWAIT, null_mut())
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Takes a datagram of the last batch, once each.
    pub(super) fn take(&mut self, at: usize) -> Option<(SocketAddr, Vec<u8>)> {
        let length = self.headers.get(at)?.msg_len as usize;
        let mut bytes = std::mem::take(self.buffers.get_mut(at)?);
        let held = length.min(bytes.capacity());
        // SAFETY: the buffer was empty, and the kernel has filled it from its start as far as its capacity goes: the
        // length is zero but for datagrams of the last batch, and for those until they are taken.
        unsafe { bytes.set_len(held) };
        if length > held {
            let start = at * DATAGRAM_BYTES_MAX;
            bytes.extend_from_slice(self.tails.get(start..start + length - held)?);
        }
        self.headers[at].msg_len = 0;
        Some((from_c(&self.names[at])?, bytes))
    }
}

/// Sends batches.
pub(super) struct SendBatch {
    names: Box<[libc::sockaddr_storage; BATCH]>,
    vectors: Box<[libc::iovec; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
}

impl SendBatch {
    pub(super) fn new() -> SendBatch {
        // SAFETY: all three are plain C structures for which zero bytes are a valid value.
        let (names, vectors, headers) =
            unsafe { (Box::new(zeroed()), Box::new(zeroed()), Box::new(zeroed())) };
        SendBatch { names, vectors, headers }
    }

    /// Sends up to a batch from the front of `waiting` without waiting; how many left.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        waiting: &mut VecDeque<(SocketAddr, Vec<u8>)>,
    ) -> io::Result<usize> {
        let SendBatch { names, vectors, headers } = self;
        let mut filled: libc::c_uint = 0;
        let rooms = names.iter_mut().zip(vectors.iter_mut()).zip(headers.iter_mut());
        for (((name, vector), header), (remote, bytes)) in rooms.zip(waiting.iter_mut()) {
            header.msg_hdr.msg_namelen = to_c(*remote, name);
            header.msg_hdr.msg_name = from_mut(name).cast();
            *vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            filled += 1;
        }
        let fd = socket.as_raw_fd();
        // SAFETY: the first `filled` headers point to names, vectors and payloads that live until the call returns.
        let count = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), filled, libc::MSG_DONTWAIT) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}

/// Lets the kernel keep ICMP errors with the address that they are of (`ip(7)`, IP_RECVERR).
pub(super) fn enable_errors(socket: &impl AsFd, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = match is_ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        false => (libc::IPPROTO_IP, libc::IP_RECVERR),
    };
    set_int(socket, level, option, 1)
}

/// Asks for buffers of this size even beyond what the system grants to everyone, where the process may
/// (`socket(7)`, CAP_NET_ADMIN); how large the receive buffer came out.
pub(crate) fn set_buffers(socket: &impl AsFd, bytes: usize) -> usize {
    let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    for (forced, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        if set_int(socket, libc::SOL_SOCKET, forced, wanted).is_err() {
            // The system may grant less: then a burst has less room, and drops are told.
            let _ = set_int(socket, libc::SOL_SOCKET, plain, wanted);
        }
    }
    let mut granted: [libc::c_int; 1] = [0];
    // The system counts its own bookkeeping as as much again.
    match get_ints(socket, libc::SO_RCVBUF, &mut granted) {
        Ok(_) => usize::try_from(granted[0]).unwrap_or(0) / 2,
        Err(_) => 0,
    }
}

/// Lets each datagram to an address that `sockets` sockets share go to the one of its home, or to one of them by chance,
/// and not by where it is from (`socket(7)`, SO_ATTACH_REUSEPORT_CBPF): a single neighbour keeps all shards busy. One of
/// the sockets is enough. How much of a datagram is looked at.
pub(crate) fn spread(socket: &impl AsFd, sockets: u16) -> io::Result<Scope> {
    let mut refused = io::ErrorKind::InvalidInput.into();
    for scope in Scope::ALL {
        let Some(mut steps) = steering::filter(scope, sockets) else { continue };
        let len = libc::c_ushort::try_from(steps.len()).unwrap_or_default();
        let program = libc::sock_fprog { len, filter: steps.as_mut_ptr() };
        match set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program) {
            Ok(()) => return Ok(scope),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// How many datagrams the kernel has dropped because the receive buffer was full (`socket(7)`, SO_MEMINFO).
pub(super) fn drops(socket: &impl AsFd) -> Option<u32> {
    let mut numbers: [libc::c_int; MEMINFO_NUMBERS] = [0; MEMINFO_NUMBERS];
    let count = get_ints(socket, SO_MEMINFO, &mut numbers).ok()?;
    (count > MEMINFO_DROPS).then(|| numbers[MEMINFO_DROPS].cast_unsigned())
}

fn set_int(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    set(socket, level, option, &value)
}

/// Sets an option; `T` is the C structure that it takes, and what that points to outlives it.
fn set<T>(socket: &impl AsFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let bytes = size_of::<T>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads `bytes` bytes of `value`, which is borrowed for the call, and what a filter points to.
    let result = unsafe { libc::setsockopt(fd, level, option, std::ptr::from_ref(value).cast(), bytes) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option that is an array of ints; how many it has.
fn get_ints(socket: &impl AsFd, option: libc::c_int, into: &mut [libc::c_int]) -> io::Result<usize> {
    let mut bytes = size_of_val(into) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `bytes` bytes, which is what `into` has, and any bits are an int.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, option, into.as_mut_ptr().cast(), &mut bytes) };
    if result == 0 { Ok(bytes as usize / size_of::<libc::c_int>()) } else { Err(io::Error::last_os_error()) }
}

/// The destination of the next datagram that an ICMP error came for; `None` when there is no more.
pub(super) fn next_error(socket: &impl AsFd) -> io::Result<Option<SocketAddr>> {
    // SAFETY: both are plain C structures for which zero bytes are a valid value.
    let mut name: libc::sockaddr_storage = unsafe { zeroed() };
    let mut header: libc::msghdr = unsafe { zeroed() };
    // The returned payload and details are of no interest: without room for them the kernel cuts them off.
    header.msg_name = from_mut(&mut name).cast();
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
// linux/sock_diag.h, asm-generic/socket.h
const MEMINFO_NUMBERS: usize = 9;
const MEMINFO_DROPS: usize = 8;
const SO_MEMINFO: libc::c_int = 55;

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
