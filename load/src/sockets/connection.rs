//! The connection of one UE: what waits to be written, and what of a message has come.

use sip_core::framing::Framer;
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

/// A connection that opens or is open.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    is_open: bool,
    /// What the system has not taken yet.
    unsent: Vec<u8>,
    /// The beginning of a message; most have none, and then hold no buffer.
    pub(super) partial: Option<Box<Framer>>,
}

impl Connection {
    /// Begins to open a connection, from just this address and port.
    pub(super) fn open(local: SocketAddr, remote: SocketAddr) -> io::Result<Connection> {
        let socket = Socket::new(Domain::for_address(remote), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // A UE that connects again does so from its old port, which is what its Contact says.
        socket.set_reuse_address(true)?;
        socket.bind(&local.into())?;
        // Messages are written whole: waiting for more only delays them.
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&remote.into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(Connection { stream: socket.into(), is_open: false, unsent: Vec::new(), partial: None })
    }

    /// Whether both ends have agreed on it.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Sends a message, now or as soon as there is room. An error ends the connection.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if self.is_open && self.unsent.is_empty() {
            let count = self.write(message)?;
            self.unsent.extend_from_slice(&message[count..]);
            return Ok(());
        }
        if self.unsent.len() + message.len() > UNSENT_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::OutOfMemory, "the P-CSCF takes nothing"));
        }
        self.unsent.extend_from_slice(message);
        Ok(())
    }

    /// It may be written to: what waits goes out.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.is_open {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            self.is_open = true;
        }
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            let count = self.write(&unsent)?;
            if count < unsent.len() {
                self.unsent = unsent[count..].to_vec();
            }
        }
        Ok(())
    }

    /// Reads what there is, up to a piece: how many bytes; `None` when there is nothing, 0 at the end.
    pub(super) fn read(&mut self, piece: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(piece) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < bytes.len() {
            match self.stream.write(&bytes[count..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(some) => count += some,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// More than one UE has to say before an answer comes.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
