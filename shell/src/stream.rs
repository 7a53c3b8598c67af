//! Stream connections, TCP, TLS and SCTP: read a piece at a time, written once a turn, with a bound on what waits.
//!
//! A machine that is slow reads less, and the transport then stops the peer; a peer that is slow fills the connection's
//! write budget, and the connection ends.

mod connection;
mod handshakes;
mod listener;
mod session;

pub(crate) use listener::Listeners;

use crate::driver::Accepted;
use crate::spare::Spare;
use crate::tls::{self, Tls};
use connection::{Connection, Progress};
use cscf::station::{LinkId, StreamTransport, WireInput};
use handshakes::Handshakes;
use mio::event::Event;
use mio::{Interest, Registry, Token};
use session::{Heard, Opening, Session};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// All connections of one machine.
pub(crate) struct Links {
    registry: Registry,
    /// The token of slot 0.
    first_token: usize,
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Connections that the machine knows.
    by_id: HashMap<LinkId, usize>,
    /// Slots that may have something to read, each once.
    readable: VecDeque<usize>,
    /// Slots with something to write, each once.
    unwritten: Vec<usize>,
    /// Slots whose peer takes nothing, with the time at which to look again.
    stalled: VecDeque<(Instant, usize, LinkId)>,
    /// What one read brings.
    piece: Box<[u8]>,
    budget: usize,
    accepted_count: u64,
    tls: Option<Tls>,
    handshakes: Option<Handshakes>,
    refused: Refused,
}

impl Links {
    /// No connections; their events will carry the tokens from `first_token` up. `budget` bytes may wait for a peer.
    pub(crate) fn new(registry: Registry, first_token: usize, budget: usize, tls: Option<Tls>) -> Links {
        Links {
            registry,
            first_token,
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            readable: VecDeque::new(),
            unwritten: Vec::new(),
            stalled: VecDeque::new(),
            piece: vec![0; PIECE_BYTES].into_boxed_slice(),
            budget,
            accepted_count: 0,
            handshakes: tls.as_ref().map(|tls| Handshakes::new(tls.bounds())),
            tls,
            refused: Refused::default(),
        }
    }

    // --- how a connection begins ----------------------------------------------------------------------------------

    /// Takes over a connection that a peer opened: [`WireInput::Accepted`] at once or, of one of TLS, when the handshake
    /// is done.
    pub(crate) fn accepted(&mut self, accepted: Accepted, now: Instant) -> io::Result<Option<WireInput>> {
        let Accepted { stream, transport, protocol, local, remote } = accepted;
        self.accepted_count += 1;
        let link = LinkId(LinkId::ACCEPTED | self.accepted_count);
        let mut connection = Connection::open(link, stream, transport);
        let told = match transport {
            StreamTransport::Tcp | StreamTransport::Sctp => {
                Some(WireInput::Accepted { link, protocol, local, remote })
            }
            StreamTransport::Tls => {
                let (Some(tls), Some(handshakes)) = (&self.tls, &self.handshakes) else {
                    return Err(io::Error::other("no certificate to show"));
                };
                if handshakes.is_full(remote.ip()) {
                    self.refused.tell(now, remote, "too many TLS handshakes at once");
                    return Ok(None);
                }
                let begun = tls.accept().map_err(io::Error::other)?;
                let opening = Opening::Accepted { protocol, local, remote };
                connection.session = Some(Box::new(Session::new(begun, opening)));
                None
            }
        };
        let slot = self.insert(connection)?;
        if told.is_none()
            && let Some(handshakes) = &mut self.handshakes
        {
            handshakes.begin(now, slot, link, remote.ip());
        }
        // What came before the registration raises no event everywhere.
        self.may_read(slot);
        Ok(told)
    }

    /// Opens a connection: [`WireInput::Connected`] or [`WireInput::ConnectFailed`] follows.
    pub(crate) fn connect(
        &mut self,
        id: LinkId,
        transport: StreamTransport,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        inputs: &mut VecDeque<WireInput>,
    ) {
        let session = match (transport, self.tls.as_ref().map(|tls| tls.connect(remote))) {
            (StreamTransport::Tcp | StreamTransport::Sctp, _) => None,
            (StreamTransport::Tls, Some(Ok(begun))) => {
                Some(Box::new(Session::new(begun, Opening::Connected(None))))
            }
            (StreamTransport::Tls, Some(Err(error))) => {
                return inputs.push_back(WireInput::ConnectFailed { link: id, why: tls::why(&error) });
            }
            (StreamTransport::Tls, None) => {
                let why = "TLS: no trust anchors; set tls.trust_anchors";
                return inputs.push_back(WireInput::ConnectFailed { link: id, why });
            }
        };
        let opened = Connection::connect(id, transport, local, remote).and_then(|mut connection| {
            connection.session = session;
            self.insert(connection)
        });
        if let Err(error) = opened {
            inputs.push_back(WireInput::ConnectFailed { link: id, why: why(&error) });
        }
    }

    fn insert(&mut self, mut connection: Connection) -> io::Result<usize> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) =
            self.registry.register(&mut connection.stream, Token(self.first_token + slot), both)
        {
            self.free.push(slot);
            return Err(error);
        }
        self.by_id.insert(connection.id, slot);
        self.slots[slot] = Some(connection);
        Ok(slot)
    }

    // --- what the system says -------------------------------------------------------------------------------------

    /// What the system says of the connection with this token; one that is gone is not meant.
    pub(crate) fn event(&mut self, token: usize, event: &Event, inputs: &mut VecDeque<WireInput>) {
        let Some(slot) = token.checked_sub(self.first_token) else { return };
        let Some(Some(connection)) = self.slots.get_mut(slot) else { return };
        if connection.is_connecting {
            return match connection.finish_connect() {
                Ok(None) => {}
                Ok(Some(local)) => {
                    match &mut connection.session {
                        Some(session) => {
                            session.connected(local);
                            self.may_write(slot);
                        }
                        None => inputs.push_back(WireInput::Connected { link: connection.id, local }),
                    }
                    self.may_read(slot);
                }
                Err(error) => {
                    inputs.push_back(WireInput::ConnectFailed { link: connection.id, why: why(&error) });
                    self.forget(slot);
                }
            };
        }
        connection.has_ended |= event.is_read_closed() || event.is_error();
        if event.is_writable() && connection.is_full {
            connection.is_full = false;
            self.may_write(slot);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.may_read(slot);
        }
    }

    /// How many connections may have something to read.
    pub(crate) fn readable(&self) -> usize {
        self.readable.len()
    }

    /// Reads a piece of the connection that has waited longest: its bytes, or its end. `None` when there was nothing.
    pub(crate) fn read(&mut self, spare: &mut Spare) -> Option<WireInput> {
        let slot = self.readable.pop_front()?;
        let connection = self.slots.get_mut(slot)?.as_mut()?;
        connection.awaits_read = false;
        if connection.is_closing || connection.is_connecting {
            return None;
        }
        if connection.session.is_some() {
            return self.read_session(slot, spare);
        }
        let link = connection.id;
        match connection.stream.read(&mut self.piece) {
            Ok(0) => self.end(slot),
            Ok(count) => {
                // Less than was asked for is all that there was, where a stream has no message boundaries.
                if count == self.piece.len() || connection.has_ended || connection.has_boundaries {
                    self.may_read(slot);
                }
                Some(WireInput::Received { link, bytes: spare.copy(&self.piece[..count]) })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.may_read(slot);
                None
            }
            Err(_) => self.end(slot),
        }
    }

    /// The same through TLS.
    fn read_session(&mut self, slot: usize, spare: &mut Spare) -> Option<WireInput> {
        let connection = self.slots.get_mut(slot)?.as_mut()?;
        let session = connection.session.as_mut()?;
        let link = connection.id;
        let heard = session.hear(&mut connection.stream, &mut self.piece);
        let says = session.wants_write() && !connection.is_full;
        let told = match heard {
            Heard::Opened(opening) => {
                self.handshake_ended(link, opening);
                self.may_read(slot);
                match opening {
                    Opening::Accepted { protocol, local, remote } => {
                        Some(WireInput::Accepted { link, protocol, local, remote })
                    }
                    Opening::Connected(local) => local.map(|local| WireInput::Connected { link, local }),
                }
            }
            Heard::Bytes(count) => {
                self.may_read(slot);
                Some(WireInput::Received { link, bytes: spare.copy(&self.piece[..count]) })
            }
            Heard::More => {
                self.may_read(slot);
                None
            }
            Heard::Nothing => None,
            Heard::End => return self.fail(slot, "TLS: connection closed in the handshake"),
            Heard::Failed(error) => {
                let remote = connection.stream.peer_addr().ok();
                tracing::debug!(?remote, %error, "TLS failed");
                return self.fail(slot, tls::why(&error));
            }
        };
        if says {
            self.may_write(slot);
        }
        told
    }

    /// Ends a connection of TLS: before the handshake is done it is no connection yet, and `why` says what was wrong.
    fn fail(&mut self, slot: usize, why: &'static str) -> Option<WireInput> {
        let connection = self.slots.get(slot)?.as_ref()?;
        let (link, is_closing) = (connection.id, connection.is_closing);
        match connection.session.as_ref().and_then(|session| session.opening()).copied() {
            None => self.end(slot),
            Some(Opening::Accepted { remote, .. }) => {
                self.refused.tell(Instant::now(), remote, why);
                self.forget(slot);
                None
            }
            Some(Opening::Connected(_)) => {
                let remote = connection.stream.peer_addr().ok();
                tracing::warn!(?remote, "a TLS connection did not come about: {why}");
                self.forget(slot);
                (!is_closing).then_some(WireInput::ConnectFailed { link, why })
            }
        }
    }

    fn handshake_ended(&mut self, id: LinkId, opening: Opening) {
        if let (Opening::Accepted { remote, .. }, Some(handshakes)) = (opening, &mut self.handshakes) {
            handshakes.end(id, remote.ip());
        }
    }

    // --- what the machine asks for --------------------------------------------------------------------------------

    /// Queues bytes; [`Links::flush`] writes. A connection whose peer is so slow that they would pass the budget ends.
    pub(crate) fn write(&mut self, id: LinkId, bytes: Vec<u8>, inputs: &mut VecDeque<WireInput>) {
        let Some(&slot) = self.by_id.get(&id) else { return };
        let Some(Some(connection)) = self.slots.get_mut(slot) else { return };
        if connection.queue(bytes) > self.budget {
            tracing::warn!("a peer reads too slowly: its connection is closed");
            inputs.extend(self.end(slot));
        } else if !connection.is_full && !connection.is_connecting {
            self.may_write(slot);
        }
    }

    /// Closes a connection once everything queued is out.
    pub(crate) fn close(&mut self, id: LinkId) {
        let Some(slot) = self.by_id.remove(&id) else { return };
        let Some(Some(connection)) = self.slots.get_mut(slot) else { return };
        match connection.close() {
            true if connection.is_full => {}
            true => self.may_write(slot),
            false => self.forget(slot),
        }
    }

    /// Writes what is queued, as far as the peers take it, each connection's in one call; `sent` takes the buffers.
    pub(crate) fn flush(
        &mut self,
        now: Instant,
        inputs: &mut VecDeque<WireInput>,
        mut sent: impl FnMut(Vec<u8>),
    ) {
        let mut slots = std::mem::take(&mut self.unwritten);
        for slot in slots.drain(..) {
            let Some(Some(connection)) = self.slots.get_mut(slot) else { continue };
            connection.awaits_write = false;
            match connection.write(now, &mut sent) {
                Progress::Done if connection.is_closing => self.forget(slot),
                Progress::Done => {}
                Progress::Stalled => {
                    if !connection.is_watched {
                        connection.is_watched = true;
                        self.stalled.push_back((now + WRITE_STALL, slot, connection.id));
                    }
                }
                Progress::Broken => inputs.extend(self.fail(slot, "TLS: connection closed in the handshake")),
            }
        }
        self.unwritten = slots;
    }

    /// When [`Links::expire`] is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let handshake = self.handshakes.as_ref().and_then(Handshakes::next_timeout);
        self.stalled.front().map(|(at, _, _)| *at).into_iter().chain(handshake).min()
    }

    /// Ends the connections whose peers have taken nothing for too long, and the handshakes that last too long.
    pub(crate) fn expire(&mut self, now: Instant, inputs: &mut VecDeque<WireInput>) {
        while let Some(slot) = self.handshakes.as_ref().and_then(|handshakes| handshakes.due(now)) {
            inputs.extend(self.fail(slot, "TLS: handshake takes too long"));
        }
        while let Some((_, slot, id)) = self.stalled.pop_front_if(|(at, _, _)| *at <= now) {
            let Some(Some(connection)) = self
                .slots
                .get_mut(slot)
                .filter(|held| held.as_ref().is_some_and(|connection| connection.id == id))
            else {
                continue;
            };
            connection.is_watched = false;
            if !connection.has_queued() {
                continue;
            }
            match connection.progress_at {
                Some(at) if at + WRITE_STALL > now => {
                    connection.is_watched = true;
                    self.stalled.push_back((at + WRITE_STALL, slot, id));
                }
                _ => inputs.extend(self.fail(slot, "TLS: handshake takes too long")),
            }
        }
    }

    /// Closes all of them, each once everything queued is out.
    pub(crate) fn close_all(&mut self) {
        let ids: Vec<_> = self.by_id.keys().copied().collect();
        for id in ids {
            self.close(id);
        }
    }

    /// Whether no connection is left, be it one that is being closed.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    // --- details --------------------------------------------------------------------------------------------------

    fn may_read(&mut self, slot: usize) {
        if let Some(Some(connection)) = self.slots.get_mut(slot)
            && !std::mem::replace(&mut connection.awaits_read, true)
        {
            self.readable.push_back(slot);
        }
    }

    fn may_write(&mut self, slot: usize) {
        if let Some(Some(connection)) = self.slots.get_mut(slot)
            && !std::mem::replace(&mut connection.awaits_write, true)
        {
            self.unwritten.push(slot);
        }
    }

    /// Ends a connection; what the machine is told, unless it has closed it itself.
    fn end(&mut self, slot: usize) -> Option<WireInput> {
        let connection = self.forget_slot(slot)?;
        (!connection.is_closing).then_some(WireInput::Closed { link: connection.id })
    }

    fn forget(&mut self, slot: usize) {
        drop(self.forget_slot(slot));
    }

    /// Takes a connection out of every list; dropping it closes its socket.
    fn forget_slot(&mut self, slot: usize) -> Option<Connection> {
        let mut connection = self.slots.get_mut(slot)?.take()?;
        if self.by_id.get(&connection.id) == Some(&slot) {
            self.by_id.remove(&connection.id);
        }
        if let Some(opening) = connection.session.as_ref().and_then(|session| session.opening()).copied() {
            self.handshake_ended(connection.id, opening);
        }
        if connection.awaits_read {
            self.readable.retain(|waiting| *waiting != slot);
        }
        if connection.awaits_write {
            self.unwritten.retain(|waiting| *waiting != slot);
        }
        if let Err(error) = self.registry.deregister(&mut connection.stream) {
            tracing::debug!(%error, "a connection was not registered");
        }
        self.free.push(slot);
        Some(connection)
    }
}

/// Handshakes that came to nothing: each has a cause that somebody looks for, and anybody can make many.
#[derive(Default)]
struct Refused {
    /// When one was last told, and how many were not since.
    last: Option<(Instant, u64)>,
}

impl Refused {
    fn tell(&mut self, now: Instant, remote: SocketAddr, why: &str) {
        match &mut self.last {
            Some((at, untold)) if now.duration_since(*at) < REFUSED_PAUSE => *untold += 1,
            last => {
                let untold = last.map_or(0, |(_, untold)| untold);
                *last = Some((now, 0));
                tracing::warn!(%remote, untold, "a TLS connection was refused: {why}");
            }
        }
    }
}

/// An error in the few words that a machine reports.
pub(crate) fn why(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::TimedOut => "connection timed out",
        io::ErrorKind::AddrNotAvailable => "own address not available",
        io::ErrorKind::AddrInUse => "no free port",
        io::ErrorKind::PermissionDenied => "not permitted",
        io::ErrorKind::Unsupported => "no SCTP in this program or kernel",
        _ => "cannot be reached",
    }
}

const PIECE_BYTES: usize = 64 * 1024;
/// One line in so long tells of refused handshakes.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// A peer that takes nothing for so long is gone.
const WRITE_STALL: Duration = Duration::from_secs(30);
