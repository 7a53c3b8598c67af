//! One connection: its socket, what waits to be written, and where it stands.

use super::session::{Said, Session};
use crate::sctp;
use cscf::station::{LinkId, StreamTransport};
use mio::net::TcpStream;
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

/// A connection as the driver holds it.
pub(super) struct Connection {
    pub(super) id: LinkId,
    pub(super) stream: TcpStream,
    /// Where the connection is one of TLS.
    pub(super) session: Option<Box<Session>>,
    /// Ours, and not yet open.
    pub(super) is_connecting: bool,
    /// Closed by the machine: it lives until everything queued is out.
    pub(super) is_closing: bool,
    /// The peer will send no more: a read tells.
    pub(super) has_ended: bool,
    /// Each write is one message of its own, and a read ends where a message does (RFC 6458 §4).
    pub(super) has_boundaries: bool,
    /// The peer took less than it was given.
    pub(super) is_full: bool,
    /// Whether it is in the list of those to read from.
    pub(super) awaits_read: bool,
    /// Whether it is in the list of those to write to.
    pub(super) awaits_write: bool,
    /// Whether it is in the list of those whose peer is slow.
    pub(super) is_watched: bool,
    /// When the peer last took something while more was waiting.
    pub(super) progress_at: Option<Instant>,
    writes: VecDeque<Vec<u8>>,
    /// Bytes of the first of `writes` that are out.
    written: usize,
    queued_bytes: usize,
}

/// What came of writing.
pub(super) enum Progress {
    /// Everything is out.
    Done,
    /// The peer takes no more for now.
    Stalled,
    /// The connection has ended.
    Broken,
}

impl Connection {
    /// An open connection.
    pub(super) fn open(id: LinkId, stream: TcpStream, transport: StreamTransport) -> Connection {
        let has_boundaries = transport == StreamTransport::Sctp;
        if !has_boundaries && let Err(error) = stream.set_nodelay(true) {
            // Messages are written whole: waiting for more only delays them.
            tracing::debug!(%error, "TCP_NODELAY refused");
        }
        Connection {
            id,
            stream,
            session: None,
            is_connecting: false,
            is_closing: false,
            has_ended: false,
            has_boundaries,
            is_full: false,
            awaits_read: false,
            awaits_write: false,
            is_watched: false,
            progress_at: None,
            writes: VecDeque::new(),
            written: 0,
            queued_bytes: 0,
        }
    }

    /// A connection that is being opened, from just the port of `local` where that is not 0.
    pub(super) fn connect(
        id: LinkId,
        transport: StreamTransport,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> io::Result<Connection> {
        let domain = Domain::for_address(remote);
        let socket = match transport {
            StreamTransport::Tcp | StreamTransport::Tls => Socket::new(domain, Type::STREAM, None)?,
            StreamTransport::Sctp => sctp::socket(domain)?,
        };
        socket.set_nonblocking(true)?;
        if let Some(local) = local {
            if local.port() != 0 {
                // One port is the end of connections to many peers, and of one that has just closed.
                socket.set_reuse_address(true)?;
                socket.set_reuse_port(true)?;
            }
            socket.bind(&SockAddr::from(local))?;
        }
        match socket.connect(&SockAddr::from(remote)) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let stream = TcpStream::from_std(std::net::TcpStream::from(socket));
        Ok(Connection { is_connecting: true, ..Connection::open(id, stream, transport) })
    }

    /// Our end once the connection stands; `None` while it does not.
    pub(super) fn finish_connect(&mut self) -> io::Result<Option<SocketAddr>> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.is_connecting = false;
                self.stream.local_addr().map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Queues bytes to be written; how many wait.
    pub(super) fn queue(&mut self, bytes: Vec<u8>) -> usize {
        self.queued_bytes += bytes.len();
        self.writes.push_back(bytes);
        self.queued_bytes
    }

    /// Whether something waits to be written.
    pub(super) fn has_queued(&self) -> bool {
        !self.writes.is_empty() || self.session.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Closed by the machine; true when something has to be written before the end.
    pub(super) fn close(&mut self) -> bool {
        self.is_closing = true;
        let may_write = !self.is_connecting && !self.is_opening();
        let has_goodbye =
            self.writes.is_empty() && self.session.as_mut().is_some_and(|tls| tls.say_goodbye());
        may_write && (has_goodbye || self.has_queued())
    }

    /// Whether TLS is shaking hands, so that the machine does not know the connection as open.
    pub(super) fn is_opening(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_opening())
    }

    /// Writes as much as the peer takes; `sent` takes the buffers that are out.
    pub(super) fn write(&mut self, now: Instant, sent: &mut impl FnMut(Vec<u8>)) -> Progress {
        if self.session.is_some() {
            return self.write_session(now, sent);
        }
        while self.has_queued() {
            match self.write_once() {
                Ok(0) => return Progress::Broken,
                Ok(count) => self.advance(count, sent),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_full = true;
                    return Progress::Stalled;
                }
                Err(_) => return Progress::Broken,
            }
            self.progress_at = Some(now);
        }
        if self.is_closing {
            // The peer may have ended it already.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Progress::Done
    }

    /// The same through TLS.
    fn write_session(&mut self, now: Instant, sent: &mut impl FnMut(Vec<u8>)) -> Progress {
        while let Some(session) = &mut self.session {
            let first =
                self.writes.front().map_or(&[][..], |bytes| bytes.get(self.written..).unwrap_or_default());
            match session.say(&mut self.stream, first) {
                Said::Taken(0) if self.is_closing && session.say_goodbye() => {}
                Said::Taken(0) => break,
                Said::Taken(count) => self.advance(count, sent),
                Said::Full => {
                    self.is_full = true;
                    return Progress::Stalled;
                }
                Said::Broken => return Progress::Broken,
            }
            self.progress_at = Some(now);
        }
        if self.is_closing {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Progress::Done
    }

    fn write_once(&mut self) -> io::Result<usize> {
        let first =
            self.writes.front().map_or(&[][..], |bytes| bytes.get(self.written..).unwrap_or_default());
        if self.has_boundaries || self.writes.len() == 1 {
            return self.stream.write(first);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        slices[0] = IoSlice::new(first);
        let rest = self.writes.iter().skip(1);
        let filled =
            slices[1..].iter_mut().zip(rest).map(|(slice, bytes)| *slice = IoSlice::new(bytes)).count();
        self.stream.write_vectored(&slices[..=filled])
    }

    fn advance(&mut self, count: usize, sent: &mut impl FnMut(Vec<u8>)) {
        self.queued_bytes -= count;
        self.written += count;
        while let Some(bytes) = self.writes.pop_front_if(|bytes| bytes.len() <= self.written) {
            self.written -= bytes.len();
            sent(bytes);
        }
    }
}

/// Messages of one system call.
const SLICES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    /// TS 33.203 §7.1: the connections to all UEs come from one protected client port.
    #[test]
    fn connections_to_several_peers_come_from_the_port_that_was_asked_for() {
        let peers = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let opened = peers.each_ref().map(|peer| {
            let remote = peer.local_addr().unwrap();
            Connection::connect(LinkId(1), StreamTransport::Tcp, Some(free), remote).unwrap()
        });
        for peer in &peers {
            assert_eq!(peer.accept().unwrap().1, free);
        }
        drop(opened);
    }

    /// A connection that ended here stays with the system for a while, and the next one has the same four ends.
    #[test]
    fn a_peer_is_connected_to_again_from_the_port_of_a_connection_that_has_ended() {
        let peer = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for _ in 0..3 {
            let remote = peer.local_addr().unwrap();
            let opened = Connection::connect(LinkId(1), StreamTransport::Tcp, Some(free), remote).unwrap();
            let (mut accepted, from) = peer.accept().unwrap();
            assert_eq!(from, free);
            drop(opened);
            assert_eq!(accepted.read(&mut [0; 1]).unwrap(), 0, "our side ends first");
        }
    }
}
