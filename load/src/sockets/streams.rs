//! TCP: a connection for each UE, opened when it first sends, kept open, and used by both ends (RFC 5626 §4.3).
//!
//! One epoll watches all of them. What waits for a peer is bounded, and a connection without the beginning of a message
//! holds no buffer: a hundred thousand UEs that say nothing cost little.

use super::connection::Connection;
use super::{Counts, Path, port_of};
use crate::outbox::Outbox;
use crate::sources::{Network, Source, Sources};
use ambient::Instant;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use sip_core::framing::{Frame, Framer};
use sip_core::parse::Limits;
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

/// The connections of all UEs.
pub struct Streams {
    pcscf: SocketAddr,
    sources: Sources,
    /// By UE.
    connections: Vec<Option<Connection>>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    /// What one read brings.
    piece: Box<[u8]>,
    /// For whoever has no beginning of a message.
    framer: Box<Framer>,
    limits: Limits,
    /// How often each connection is used at least.
    keep_alive: Duration,
    /// Who sends a keep-alive next, and when.
    next_ping: (usize, Option<Instant>),
    counts: Counts,
}

impl Streams {
    /// No connections yet, of so many UEs.
    pub fn new(network: Network, ues: usize, path: Path) -> io::Result<Streams> {
        let Path { pcscf, first_port, keep_alive } = path;
        let count = network.sockets(ues);
        if count > PORTS_MAX {
            return Err(io::Error::other(format!(
                "{ues} UEs on {} addresses need {count} ports; {PORTS_MAX} are the most: name a larger network with \
                 --source",
                network.count
            )));
        }
        // All of them are held until each has another one.
        let held: Vec<Socket> = (0..count)
            .map(|number| bound(SocketAddr::new(network.first, port_of(first_port, number)?)))
            .collect::<io::Result<_>>()?;
        let ports = held.iter().filter_map(|socket| Some(socket.local_addr().ok()?.as_socket()?.port()));
        Ok(Streams {
            pcscf,
            sources: Sources::new(network, ports.collect()),
            connections: (0..ues).map(|_| None).collect(),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); BATCH],
            piece: vec![0; PIECE_BYTES].into_boxed_slice(),
            framer: Box::new(Framer::new()),
            limits: Limits::default(),
            keep_alive,
            next_ping: (0, None),
            counts: Counts::default(),
        })
    }

    /// Where the UEs are.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Sends what waits, each message over the connection of its UE.
    pub fn send(&mut self, outbox: &mut Outbox) {
        while let Some(outgoing) = outbox.front() {
            if self.send_one(outgoing.source, outgoing.bytes).is_err() {
                self.counts.refused += 1;
                self.lose(outgoing.source.ue);
            }
            outbox.pop();
        }
    }

    fn send_one(&mut self, source: Source, message: &[u8]) -> io::Result<()> {
        let slot = self
            .connections
            .get_mut(source.ue as usize)
            .ok_or_else(|| io::Error::other("no UE of that number"))?;
        if let Some(connection) = slot {
            return connection.send(message);
        }
        let mut connection = Connection::open(source.address, self.pcscf)?;
        // Edges, so that a UE that says nothing costs no system call.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.epoll.add(&connection, EpollEvent::new(flags, source.ue.into()))?;
        connection.send(message)?;
        *slot = Some(connection);
        Ok(())
    }

    /// Receives without waiting, and gives each message to `take`; how many came.
    pub fn receive(&mut self, mut take: impl FnMut(SocketAddr, &[u8])) -> usize {
        let mut events = std::mem::take(&mut self.events);
        // A signal that interrupts it is nothing that came.
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let mut total = 0;
        for event in &events[..count] {
            total += self.happened(event, &mut take);
        }
        self.events = events;
        total
    }

    fn happened(&mut self, event: &EpollEvent, take: &mut impl FnMut(SocketAddr, &[u8])) -> usize {
        let ue = event.data() as u32;
        let Some(Some(connection)) = self.connections.get_mut(ue as usize) else { return 0 };
        let was_open = connection.is_open();
        if event.events().contains(EpollFlags::EPOLLOUT) && connection.flush().is_err() {
            self.lose(ue);
            return 0;
        }
        self.counts.connections += u64::from(connection.is_open() && !was_open);
        let ended =
            EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        match event.events().intersects(ended) {
            true => self.read(ue, take),
            false => 0,
        }
    }

    /// Reads a connection until it has no more.
    fn read(&mut self, ue: u32, take: &mut impl FnMut(SocketAddr, &[u8])) -> usize {
        let mut total = 0;
        loop {
            let Some(Some(connection)) = self.connections.get_mut(ue as usize) else { return total };
            let count = match connection.read(&mut self.piece) {
                Ok(None) => return total,
                Ok(Some(count)) if count > 0 => count,
                Ok(Some(_)) | Err(_) => {
                    self.lose(ue);
                    return total;
                }
            };
            if let Some(partial) = connection.partial.take() {
                self.framer = partial;
            }
            self.framer.push(&self.piece[..count]);
            let came = frames(&mut self.framer, &self.limits, self.pcscf, take);
            let Some(Frames { messages, wants_pong, has_pong }) = came else {
                *self.framer = Framer::new();
                self.lose(ue);
                return total;
            };
            total += messages;
            if self.framer.pending_bytes() > 0 {
                connection.partial = Some(std::mem::take(&mut self.framer));
            } else if has_pong {
                // It waits for the second half of a ping, which the next UE's pong is not.
                *self.framer = Framer::new();
            }
            if wants_pong && connection.send(b"\r\n").is_err() {
                self.lose(ue);
                return total;
            }
        }
    }

    /// Waits until something happens, or so much time has passed.
    pub fn wait(&self, at_most: Duration) {
        let mut polled = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        // A signal that interrupts it, or any other error, is a shorter wait.
        let _ = ppoll(&mut polled, Some(TimeSpec::from_duration(at_most)), None);
    }

    /// Pings those whose turn it is (RFC 5626 §4.4.1): each once in the keep-alive time.
    pub fn tick(&mut self, now: Instant) {
        if self.keep_alive.is_zero() || self.connections.is_empty() {
            return;
        }
        let pause = self.keep_alive / u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        let (mut ue, due) = self.next_ping;
        let mut due = due.unwrap_or(now + pause);
        while due <= now {
            let open = self.connections[ue].as_mut().filter(|connection| connection.is_open());
            if open.is_some_and(|connection| connection.send(b"\r\n\r\n").is_err()) {
                self.lose(ue as u32);
            }
            ue = (ue + 1) % self.connections.len();
            due = due + pause.max(PAUSE_MIN);
        }
        self.next_ping = (ue, Some(due));
    }

    /// A connection has ended; the UE's next message opens another.
    fn lose(&mut self, ue: u32) {
        self.counts.connections_lost += 1;
        let Some(slot) = self.connections.get_mut(ue as usize) else { return };
        let was_open = slot.take().is_some_and(|connection| connection.is_open());
        self.counts.connections -= u64::from(was_open);
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("pcscf", &self.pcscf)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// What a piece of a stream held.
struct Frames {
    messages: usize,
    wants_pong: bool,
    has_pong: bool,
}

/// What came, message by message; `None` when the frame of the stream was lost.
fn frames(
    framer: &mut Framer,
    limits: &Limits,
    remote: SocketAddr,
    take: &mut impl FnMut(SocketAddr, &[u8]),
) -> Option<Frames> {
    let mut frames = Frames { messages: 0, wants_pong: false, has_pong: false };
    loop {
        match framer.next(limits) {
            Ok(Some(Frame::Message(message))) => {
                frames.messages += 1;
                take(remote, &message);
            }
            Ok(Some(Frame::KeepAlivePing)) => frames.wants_pong = true,
            Ok(Some(Frame::KeepAlivePong)) => frames.has_pong = true,
            Ok(None) => return Some(frames),
            Err(_) => return None,
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // What an earlier load left behind in TIME-WAIT is no obstacle.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Connections that one look gives.
const BATCH: usize = 256;
const PIECE_BYTES: usize = 64 * 1024;
/// Ports that a system gives to those that ask for none (Linux: 32768 to 60999).
const PORTS_MAX: usize = 28_000;
/// However many UEs there are, time goes on.
const PAUSE_MIN: Duration = Duration::from_micros(10);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    const KEEP_ALIVE: Duration = Duration::from_secs(100);

    fn streams(listener: &TcpListener, ues: usize) -> Streams {
        let network = Network::parse("127.77.0.0/24").unwrap();
        let pcscf = listener.local_addr().unwrap();
        Streams::new(network, ues, Path { pcscf, first_port: 0, keep_alive: KEEP_ALIVE }).unwrap()
    }

    fn message(call_id: u32, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("MESSAGE sip:a SIP/2.0\r\nCall-ID: {call_id}\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    }

    fn send(streams: &mut Streams, ue: u32, bytes: &[u8]) {
        let mut outbox = Outbox::default();
        outbox.push(streams.sources().of(ue), streams.pcscf, bytes);
        streams.send(&mut outbox);
        assert!(outbox.is_empty());
    }

    /// Receives until so many messages have come, or nothing comes any more.
    fn all(streams: &mut Streams, wanted: usize) -> Vec<Vec<u8>> {
        let mut came = Vec::new();
        while came.len() < wanted {
            streams.wait(Duration::from_secs(5));
            let before = (came.len(), streams.counts());
            streams.receive(|_, bytes| came.push(bytes.to_vec()));
            assert_ne!(before, (came.len(), streams.counts()), "nothing came for five seconds");
        }
        came
    }

    /// Waits until so many connections are open.
    fn opened(streams: &mut Streams, wanted: u64) {
        while streams.counts().connections < wanted {
            let before = streams.counts();
            streams.wait(Duration::from_secs(5));
            streams.receive(|_, _| {});
            assert_ne!(before, streams.counts(), "none opened in five seconds");
        }
    }

    fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn each_ue_has_one_connection_from_its_address_and_hears_what_comes_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut streams = streams(&listener, 20);
        let mut accepted = Vec::new();
        for ue in 0..20 {
            send(&mut streams, ue, &message(ue, "one"));
            send(&mut streams, ue, &message(ue, "two"));
            let (stream, remote) = listener.accept().unwrap();
            assert_eq!(remote, streams.sources().of(ue).address);
            accepted.push(stream);
        }
        opened(&mut streams, 20);
        for (ue, stream) in accepted.iter_mut().enumerate() {
            let both = [message(ue as u32, "one"), message(ue as u32, "two")].concat();
            assert_eq!(read(stream, both.len()), both);
            stream.write_all(&message(ue as u32, "back")).unwrap();
        }
        let mut came = all(&mut streams, 20);
        came.sort();
        let mut expected: Vec<_> = (0..20).map(|ue| message(ue, "back")).collect();
        expected.sort();
        assert_eq!(came, expected);
        assert_eq!(streams.counts(), Counts { connections: 20, ..Counts::default() });
    }

    #[test]
    fn messages_are_cut_out_of_the_stream_wherever_its_pieces_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut streams = streams(&listener, 2);
        let peers = [0, 1].map(|ue| {
            send(&mut streams, ue, b"\r\n\r\n");
            listener.accept().unwrap().0
        });
        opened(&mut streams, 2);
        // Halves of two UEs in turn, and a ping between.
        let [first, second] = [message(1, "first"), message(2, "second")];
        let (mut a, mut b) = (&peers[0], &peers[1]);
        a.write_all(&first[..20]).unwrap();
        let partial = |streams: &Streams, ue: usize| {
            streams.connections[ue].as_ref().is_some_and(|connection| connection.partial.is_some())
        };
        while !partial(&streams, 0) {
            streams.wait(Duration::from_secs(5));
            streams.receive(|_, _| panic!("half a message"));
        }
        b.write_all(&[&second[..], b"\r\n\r\n", &second[..second.len() - 1]].concat()).unwrap();
        assert_eq!(all(&mut streams, 1), std::slice::from_ref(&second));
        while !partial(&streams, 1) {
            streams.wait(Duration::from_secs(5));
            streams.receive(|_, _| panic!("half a message"));
        }
        a.write_all(&first[20..]).unwrap();
        assert_eq!(all(&mut streams, 1), [first]);
        b.write_all(&second[second.len() - 1..]).unwrap();
        assert_eq!(all(&mut streams, 1), [second]);
        assert!(!partial(&streams, 0) && !partial(&streams, 1), "no buffer is held between messages");
        assert_eq!(
            read(&mut peers[1].try_clone().unwrap(), 6),
            b"\r\n\r\n\r\n",
            "its own ping, then the pong"
        );
    }

    #[test]
    fn a_connection_that_ends_is_counted_and_the_next_message_opens_another_from_the_same_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut streams = streams(&listener, 1);
        send(&mut streams, 0, &message(1, ""));
        let (first, remote) = listener.accept().unwrap();
        opened(&mut streams, 1);
        drop(first);
        while streams.counts().connections_lost == 0 {
            streams.wait(Duration::from_secs(5));
            streams.receive(|_, _| {});
        }
        assert_eq!(streams.counts().connections, 0);
        send(&mut streams, 0, &message(2, ""));
        let (_second, again) = listener.accept().unwrap();
        assert_eq!(again, remote);
        opened(&mut streams, 1);
    }

    #[test]
    fn a_stream_that_is_no_sip_ends_its_connection_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut streams = streams(&listener, 2);
        let mut peers = [0, 1].map(|ue| {
            send(&mut streams, ue, b"\r\n\r\n");
            listener.accept().unwrap().0
        });
        opened(&mut streams, 2);
        peers[0].write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        peers[1].write_all(&message(1, "x")).unwrap();
        let mut came = Vec::new();
        while came.is_empty() || streams.counts().connections_lost == 0 {
            streams.wait(Duration::from_secs(5));
            streams.receive(|_, bytes| came.push(bytes.to_vec()));
        }
        assert_eq!((came, streams.counts().connections), (vec![message(1, "x")], 1));
    }

    /// A P-CSCF that reads nothing costs a UE its connection, and us no memory.
    #[test]
    fn what_waits_for_a_peer_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut streams = streams(&listener, 1);
        send(&mut streams, 0, b"\r\n\r\n");
        let _peer = listener.accept().unwrap();
        opened(&mut streams, 1);
        let large = message(1, &"x".repeat(60_000));
        for _ in 0..1000 {
            if streams.counts().connections_lost > 0 {
                return;
            }
            send(&mut streams, 0, &large);
        }
        panic!("60 MB were taken");
    }

    #[test]
    fn each_open_connection_is_pinged_once_in_the_keep_alive_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut streams = streams(&listener, 4);
        let mut peers = [0, 1].map(|ue| {
            send(&mut streams, ue, b"x");
            listener.accept().unwrap().0
        });
        opened(&mut streams, 2);
        streams.tick(Instant::START);
        streams.tick(Instant::START + KEEP_ALIVE);
        for peer in &mut peers {
            assert_eq!(read(peer, 5), b"x\r\n\r\n");
            peer.write_all(b"\r\n").unwrap();
        }
        let [first, mut second] = peers;
        drop(first);
        while streams.counts().connections_lost == 0 {
            streams.wait(Duration::from_secs(5));
            streams.receive(|_, _| {});
        }
        send(&mut streams, 1, b"y");
        assert_eq!(read(&mut second, 1), b"y", "no second ping, and no answer to a pong");
    }
}
