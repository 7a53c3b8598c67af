//! SCTP of the kernel for Diameter (RFC 6733 §2.1, TS 29.229 §5.4), in one-to-one sockets (RFC 6458 §4).
//!
//! Such a socket listens, accepts, connects, reads and writes as one of TCP does, so that the rest of the driver treats
//! it as one. Each write is one message of the association, on its first stream, in order; what is read may be a part of
//! a message, and the endpoint puts it together by Diameter's own length.

#[cfg(feature = "sctp")]
mod option;

use socket2::{Domain, Socket};
use std::io;

/// Whether SCTP can be had here; if not, the error says what to do.
pub(crate) fn probe() -> io::Result<()> {
    socket(Domain::IPV4).map(drop)
}

/// A socket that is to listen or to connect.
#[cfg(feature = "sctp")]
pub(crate) fn socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::SCTP));
    let socket = socket.map_err(|error| match error.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => io::Error::new(
            io::ErrorKind::Unsupported,
            "the kernel has no SCTP; load it with `modprobe sctp`, or leave out \"sctp:\" for TCP",
        ),
        _ => error,
    })?;
    option::set_for_diameter(&socket)?;
    Ok(socket)
}

/// A socket that is to listen or to connect: never, in a program without it.
#[cfg(not(feature = "sctp"))]
pub(crate) fn socket(_domain: Domain) -> io::Result<Socket> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this program was built without SCTP; build it with `--features sctp`, or leave out \"sctp:\" for TCP",
    ))
}

#[cfg(test)]
mod tests;
