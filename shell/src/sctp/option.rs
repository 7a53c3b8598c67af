//! The options of an SCTP socket (RFC 6458 §8), which the standard library has no names for.
//!
//! Unsafe for the one system call that sets an option: it reads a value that lives for the length of the call.
#![allow(unsafe_code)]

use socket2::Socket;
use std::io;
use std::os::fd::AsRawFd;

/// Sets what a Diameter connection wants; sockets that are accepted inherit it.
pub(super) fn set_for_diameter(socket: &Socket) -> io::Result<()> {
    // struct sctp_initmsg: streams out, streams in, attempts, timeout; zero leaves it to the system. We write on one
    // stream; a peer may write on as many as it likes.
    set(socket, SCTP_INITMSG, &[STREAMS_OUT, 0, 0, 0].map(u16::to_ne_bytes).concat())?;
    // Messages are written whole: waiting for more only delays them.
    set(socket, SCTP_NODELAY, &1_u32.to_ne_bytes())?;
    // struct sctp_sndinfo: stream and flags, payload protocol in network order, context, association.
    set(socket, SCTP_DEFAULT_SNDINFO, &[0, PPID_DIAMETER.to_be(), 0, 0].map(u32::to_ne_bytes).concat())
}

fn set(socket: &Socket, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel copies `length` bytes out of `value`, which is that long and outlives the call.
    let status = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_SCTP, option, value.as_ptr().cast(), length)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Diameter in a DATA chunk (RFC 6733 §11.4).
const PPID_DIAMETER: u32 = 46;
const STREAMS_OUT: u16 = 1;
// linux/sctp.h
const SCTP_INITMSG: libc::c_int = 2;
const SCTP_NODELAY: libc::c_int = 3;
const SCTP_DEFAULT_SNDINFO: libc::c_int = 34;
