//! TLS on one connection: bytes of the network on one side, bytes of the machine on the other.

use cscf::station::Protocol;
use mio::net::TcpStream;
use rustls::Connection;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// One TLS session. It holds at most what rustls bounds: a record that is being read, and 64 KiB to be written.
pub(super) struct Session {
    connection: Connection,
    /// What the machine is told once the handshake is done.
    opening: Option<Opening>,
    has_said_goodbye: bool,
}

/// Who began the handshake.
#[derive(Clone, Copy)]
pub(super) enum Opening {
    /// A peer.
    Accepted { protocol: Protocol, local: SocketAddr, remote: SocketAddr },
    /// We, from this end; `None` until TCP has connected.
    Connected(Option<SocketAddr>),
}

/// What came of reading.
pub(super) enum Heard {
    /// The handshake is done.
    Opened(Opening),
    /// So many bytes for the machine.
    Bytes(usize),
    /// Something for TLS alone; there may be more.
    More,
    /// Nothing for now.
    Nothing,
    /// The peer sends no more.
    End,
    /// The peer breaks the rules, or shows what is not believed.
    Failed(rustls::Error),
}

/// What came of writing.
pub(super) enum Said {
    /// Everything that TLS had is out, and so many bytes more of the machine's were taken.
    Taken(usize),
    /// The peer takes no more for now.
    Full,
    /// The connection has ended.
    Broken,
}

impl Session {
    pub(super) fn new(connection: impl Into<Connection>, opening: Opening) -> Session {
        Session { connection: connection.into(), opening: Some(opening), has_said_goodbye: false }
    }

    /// Whether the handshake is under way.
    pub(super) const fn is_opening(&self) -> bool {
        self.opening.is_some()
    }

    /// Who began a handshake that is under way.
    pub(super) const fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// TCP has connected, from here.
    pub(super) fn connected(&mut self, from: SocketAddr) {
        self.opening = Some(Opening::Connected(Some(from)));
    }

    /// Whether something waits to be written.
    pub(super) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Reads a little: what the machine is to have goes into `piece`.
    pub(super) fn hear(&mut self, stream: &mut TcpStream, piece: &mut [u8]) -> Heard {
        if self.opening.is_none() {
            match self.connection.reader().read(piece) {
                // The peer has said goodbye.
                Ok(0) => return Heard::End,
                Ok(count) => return Heard::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Heard::End,
            }
        }
        match self.connection.read_tls(stream) {
            Ok(0) => return Heard::End,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Heard::More,
            Err(_) => return Heard::End,
        }
        if let Err(error) = self.connection.process_new_packets() {
            // The alert that says why; if the peer takes it.
            while self.connection.wants_write() && self.connection.write_tls(stream).is_ok() {}
            return Heard::Failed(error);
        }
        match self.connection.is_handshaking() {
            true => Heard::More,
            false => self.opening.take().map_or(Heard::More, Heard::Opened),
        }
    }

    /// Writes what TLS has, and takes more of the machine's: nothing of that before the handshake is done.
    pub(super) fn say(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> Said {
        while self.connection.wants_write() {
            match self.connection.write_tls(stream) {
                Ok(0) => return Said::Broken,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Said::Full,
                Err(_) => return Said::Broken,
            }
        }
        if self.opening.is_some() || bytes.is_empty() {
            return Said::Taken(0);
        }
        match self.connection.writer().write(bytes) {
            Ok(0) | Err(_) => Said::Broken,
            Ok(count) => Said::Taken(count),
        }
    }

    /// Tells the peer, once, that nothing follows (RFC 8446 §6.1); true when there is something to be written for it.
    pub(super) fn say_goodbye(&mut self) -> bool {
        let says = !self.is_opening() && !std::mem::replace(&mut self.has_said_goodbye, true);
        if says {
            self.connection.send_close_notify();
        }
        says && self.connection.wants_write()
    }
}
