//! UDP in batches: one system call moves many datagrams, and what cannot be delivered is told.

#[cfg(target_os = "linux")]
mod mmsg;
#[cfg(not(target_os = "linux"))]
mod plain;
#[cfg(target_os = "linux")]
mod steering;

#[cfg(target_os = "linux")]
use mmsg::{ReceiveBatch, SendBatch, drops, enable_errors, next_error};
#[cfg(not(target_os = "linux"))]
use plain::{ReceiveBatch, SendBatch, drops, enable_errors, next_error};

#[cfg(target_os = "linux")]
pub(crate) use mmsg::{set_buffers, spread};
#[cfg(not(target_os = "linux"))]
pub(crate) use plain::{set_buffers, spread};
#[cfg(all(test, target_os = "linux"))]
pub(crate) use steering::Scope;

use crate::spare::Spare;
use crate::stream::why;
use cscf::station::WireInput;
use mio::event::Event;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// The UDP listening points of one machine.
pub(crate) struct DatagramPorts {
    registry: Registry,
    ports: Vec<Port>,
    batch: ReceiveBatch,
    /// Where the last batch came in, how many it has, and how many of them were taken.
    received: (SocketAddr, usize, usize),
    sender: SendBatch,
    /// Which port is asked first: each in turn.
    first: usize,
}

struct Port {
    token: Token,
    socket: UdpSocket,
    local: SocketAddr,
    /// What is to be sent.
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Whether there may be something to read.
    is_readable: bool,
    /// Whether the socket had no room for what waits.
    is_full: bool,
    /// Datagrams that the kernel has dropped, as far as they were told.
    dropped: u32,
}

impl DatagramPorts {
    /// Takes over bound sockets; their events carry the tokens from 0 up.
    pub(crate) fn new(
        sockets: Vec<(SocketAddr, std::net::UdpSocket)>,
        registry: &Registry,
    ) -> io::Result<DatagramPorts> {
        let mut ports = Vec::new();
        for (index, (local, socket)) in sockets.into_iter().enumerate() {
            let mut socket = UdpSocket::from_std(socket);
            if let Err(error) = enable_errors(&socket, local.is_ipv6()) {
                tracing::warn!(%local, %error, "undeliverable datagrams will only be noticed by timeout");
            }
            registry.register(&mut socket, Token(index), Interest::READABLE)?;
            ports.push(Port {
                token: Token(index),
                socket,
                local,
                waiting: VecDeque::new(),
                is_readable: true,
                is_full: false,
                dropped: 0,
            });
        }
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Ok(DatagramPorts {
            registry: registry.try_clone()?,
            ports,
            batch: ReceiveBatch::new(),
            received: (nowhere, 0, 0),
            sender: SendBatch::new(),
            first: 0,
        })
    }

    /// How many ports there are.
    pub(crate) fn len(&self) -> usize {
        self.ports.len()
    }

    /// What the system says of a port; what it says of datagrams that were sent goes to `inputs`.
    pub(crate) fn event(&mut self, index: usize, event: &Event, inputs: &mut VecDeque<WireInput>) {
        let Some(port) = self.ports.get_mut(index) else { return };
        port.is_readable |= event.is_readable();
        if port.is_full && event.is_writable() {
            port.set_full(false, &self.registry);
        }
        if event.is_error() {
            port.errors(inputs);
        }
    }

    /// Whether a port may have something to read, or room for what waits.
    pub(crate) fn has_work(&self) -> bool {
        self.ports.iter().any(|port| port.is_readable || (!port.waiting.is_empty() && !port.is_full))
    }

    /// Receives a batch at the next port that may have one: [`DatagramPorts::take`] gives its datagrams. False when
    /// there is none.
    pub(crate) fn receive(&mut self, spare: &mut Spare, inputs: &mut VecDeque<WireInput>) -> bool {
        let count = self.ports.len();
        for at in 0..count {
            let index = (self.first + at) % count;
            let port = &mut self.ports[index];
            if !port.is_readable {
                continue;
            }
            match self.batch.receive(&port.socket, spare) {
                Ok(received) => {
                    // Where some came, more have come by the time that these are handled: asking again is cheaper than
                    // going to sleep. After a few the next event will tell.
                    port.is_readable = received >= EAGER;
                    self.received = (port.local, received, 0);
                    self.first = index + 1;
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => port.is_readable = false,
                // The error is of a datagram that was sent: there may be something to read all the same.
                Err(_) => port.errors(inputs),
            }
        }
        false
    }

    /// The next datagram of the last batch.
    pub(crate) fn take(&mut self) -> Option<WireInput> {
        let (local, count, taken) = &mut self.received;
        while taken < count {
            *taken += 1;
            if let Some((remote, bytes)) = self.batch.take(*taken - 1) {
                return Some(WireInput::Datagram { local: *local, remote, bytes });
            }
        }
        None
    }

    /// Queues a datagram to leave from `local`; [`DatagramPorts::flush`] sends.
    pub(crate) fn send(&mut self, local: SocketAddr, remote: SocketAddr, bytes: Vec<u8>) {
        let exact = self.ports.iter().position(|port| port.local == local);
        // A listening point of port 0 in the configuration, or of a wildcard address, has another name here.
        let similar = || self.ports.iter().position(|port| port.local.is_ipv4() == remote.is_ipv4());
        let Some(index) = exact.or_else(similar) else {
            return tracing::warn!(%local, %remote, "no UDP socket to send from");
        };
        let waiting = &mut self.ports[index].waiting;
        if waiting.len() == WAITING_MAX {
            // UDP may lose: the oldest is the one whose retransmission comes first.
            waiting.pop_front();
        }
        waiting.push_back((remote, bytes));
    }

    /// Sends what is queued, as far as the sockets have room; `sent` takes the buffers.
    pub(crate) fn flush(&mut self, inputs: &mut VecDeque<WireInput>, mut sent: impl FnMut(Vec<u8>)) {
        for port in &mut self.ports {
            port.flush(&self.registry, &mut self.sender, inputs, &mut sent);
        }
    }

    /// Tells of datagrams that the kernel has dropped since the last call.
    pub(crate) fn tell_drops(&mut self) {
        for port in &mut self.ports {
            let total = drops(&port.socket).unwrap_or(port.dropped);
            let count = total.wrapping_sub(port.dropped);
            if count > 0 {
                let local = port.local;
                tracing::warn!(%local, count, total, "datagrams came faster than they were read and were dropped");
            }
            port.dropped = total;
        }
    }
}

impl Port {
    fn flush(
        &mut self,
        registry: &Registry,
        sender: &mut SendBatch,
        inputs: &mut VecDeque<WireInput>,
        sent: &mut impl FnMut(Vec<u8>),
    ) {
        let mut faults = 0;
        while !self.waiting.is_empty() && !self.is_full {
            match sender.send(&self.socket, &mut self.waiting) {
                Ok(count) => {
                    let count = count.min(self.waiting.len());
                    self.waiting.drain(..count).for_each(|(_, bytes)| sent(bytes));
                    faults = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.set_full(true, registry),
                // The error may be of an earlier datagram (an ICMP answer that waits in the queue): try again once,
                // then take it for this one's.
                Err(error) => {
                    self.errors(inputs);
                    faults += 1;
                    if faults > 1 {
                        faults = 0;
                        if let Some((remote, _)) = self.waiting.pop_front() {
                            inputs.push_back(WireInput::DatagramFailed { remote, why: why(&error) });
                        }
                    }
                }
            }
        }
    }

    /// Only a port without room asks to hear of room: else the system would tell of it after each datagram that was sent.
    fn set_full(&mut self, is_full: bool, registry: &Registry) {
        self.is_full = is_full;
        let interest = match is_full {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        if let Err(error) = registry.reregister(&mut self.socket, self.token, interest) {
            tracing::error!(local = %self.local, %error, "the system will not tell when a socket has room");
        }
    }

    /// Reads the queue of ICMP errors empty.
    fn errors(&self, inputs: &mut VecDeque<WireInput>) {
        let remotes = (0..ERRORS_MAX).map_while(|_| next_error(&self.socket).ok().flatten());
        inputs.extend(remotes.map(|remote| WireInput::DatagramFailed { remote, why: UNREACHABLE }));
    }
}

/// Datagrams that wait for a socket to have room.
const WAITING_MAX: usize = 4096;
/// ICMP errors read in one go.
const ERRORS_MAX: usize = 256;
const UNREACHABLE: &str = "port unreachable";
/// Datagrams of one system call.
const BATCH: usize = 32;
/// After a batch of so many, another is asked for at once.
const EAGER: usize = 4;
/// The largest payload of UDP.
const DATAGRAM_BYTES_MAX: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn bound(ip: &str) -> (SocketAddr, std::net::UdpSocket) {
        let socket = std::net::UdpSocket::bind((ip.parse::<std::net::IpAddr>().unwrap(), 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    /// Ports with the loop around them.
    struct Served {
        poll: Poll,
        ports: DatagramPorts,
        spare: Spare,
        inputs: VecDeque<WireInput>,
    }

    impl Served {
        fn new(local: SocketAddr, socket: std::net::UdpSocket) -> Served {
            let poll = Poll::new().unwrap();
            let ports = DatagramPorts::new(vec![(local, socket)], poll.registry()).unwrap();
            Served { poll, ports, spare: Spare::default(), inputs: VecDeque::new() }
        }

        fn send(&mut self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
            self.ports.send(local, remote, bytes.to_vec());
            self.ports.flush(&mut self.inputs, |_| ());
        }

        /// Waits for the next input.
        fn input(&mut self) -> WireInput {
            let mut events = Events::with_capacity(8);
            loop {
                if let Some(input) = self.ports.take().or_else(|| self.inputs.pop_front()) {
                    return input;
                }
                if !self.ports.receive(&mut self.spare, &mut self.inputs) && self.inputs.is_empty() {
                    self.poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
                    assert!(!events.is_empty(), "nothing comes");
                    for event in &events {
                        self.ports.event(event.token().0, event, &mut self.inputs);
                    }
                }
            }
        }

        fn text(&mut self) -> String {
            match self.input() {
                WireInput::Datagram { bytes, .. } => String::from_utf8_lossy(&bytes).into_owned(),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn more_than_a_batch_arrives_whole_and_in_order_over_both_families() {
        for ip in ["127.0.0.1", "::1"] {
            let (receiver_at, receiver) = bound(ip);
            let (sender_at, sender) = bound(ip);
            let mut receiver = Served::new(receiver_at, receiver);
            let mut sender = Served::new(sender_at, sender);
            let sent: Vec<_> = (0..100).map(|n| format!("{n} {}", "x".repeat(n * 10))).collect();
            for text in &sent {
                sender.ports.send(sender_at, receiver_at, text.clone().into_bytes());
            }
            let mut buffers = 0;
            sender.ports.flush(&mut sender.inputs, |_| buffers += 1);
            assert_eq!(
                (buffers, sender.inputs.len()),
                (100, 0),
                "{ip}: all buffers come back, nothing failed"
            );
            for text in &sent {
                assert_eq!(receiver.text(), *text, "{ip}");
            }
        }
    }

    #[test]
    fn a_port_hears_of_room_only_while_it_has_none() {
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (sender_at, sender) = bound("127.0.0.1");
        let mut receiver = Served::new(receiver_at, receiver);
        let mut sender = Served::new(sender_at, sender);
        let mut events = Events::with_capacity(8);
        for text in ["one", "two"] {
            sender.send(sender_at, receiver_at, text.as_bytes());
            assert_eq!(receiver.text(), text);
            sender.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            assert!(events.is_empty(), "nobody wakes for what has left");
        }
        assert!(!sender.ports.receive(&mut sender.spare, &mut sender.inputs), "nothing came for it");
        // As if the socket had taken no more.
        sender.ports.ports[0].set_full(true, &sender.ports.registry);
        sender.send(sender_at, receiver_at, b"three");
        assert!(!sender.ports.has_work());
        sender.poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
        for event in &events {
            sender.ports.event(event.token().0, event, &mut sender.inputs);
        }
        assert!(sender.ports.has_work());
        sender.ports.flush(&mut sender.inputs, |_| ());
        assert_eq!(receiver.text(), "three");
    }

    #[test]
    fn the_largest_datagram_is_not_cut() {
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (sender_at, sender) = bound("127.0.0.1");
        let mut receiver = Served::new(receiver_at, receiver);
        let mut sender = Served::new(sender_at, sender);
        let text: String = (0..65_507).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        sender.send(sender_at, receiver_at, text.as_bytes());
        assert_eq!(receiver.text(), text);
        sender.send(sender_at, receiver_at, b"short");
        assert_eq!(receiver.text(), "short", "and leaves nothing behind");
    }

    #[test]
    fn a_received_datagram_takes_a_buffer_that_was_kept() {
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (sender_at, sender) = bound("127.0.0.1");
        let mut receiver = Served::new(receiver_at, receiver);
        let mut sender = Served::new(sender_at, sender);
        receiver.spare.keep(Vec::with_capacity(3001));
        let mut rooms = Vec::new();
        for _ in 0..BATCH {
            sender.send(sender_at, receiver_at, b"x");
            let WireInput::Datagram { bytes, .. } = receiver.input() else { panic!("a datagram") };
            rooms.push(bytes.capacity());
        }
        assert!(rooms.contains(&3001), "{rooms:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_that_nobody_listens_at_is_told_by_its_address_and_others_still_get_theirs() {
        let (gone_at, gone) = bound("127.0.0.1");
        drop(gone);
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (sender_at, sender) = bound("127.0.0.1");
        let mut receiver = Served::new(receiver_at, receiver);
        let mut sender = Served::new(sender_at, sender);
        sender.send(sender_at, gone_at, b"lost");
        // The error of the first may hit the second's system call.
        sender.send(sender_at, receiver_at, b"kept");
        let told = sender.input();
        assert!(matches!(told, WireInput::DatagramFailed { remote, .. } if remote == gone_at), "{told:?}");
        assert_eq!(receiver.text(), "kept");
    }

    #[test]
    fn a_datagram_to_nowhere_does_not_stop_the_ones_behind_it() {
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (sender_at, sender) = bound("127.0.0.1");
        let mut receiver = Served::new(receiver_at, receiver);
        let mut sender = Served::new(sender_at, sender);
        let nowhere = SocketAddr::from((Ipv4Addr::BROADCAST, 5060));
        sender.ports.send(sender_at, nowhere, b"refused".to_vec());
        sender.send(sender_at, receiver_at, b"kept");
        assert_eq!(sender.inputs.len(), 1);
        assert_eq!(receiver.text(), "kept");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_kernel_drops_is_counted() {
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (_, sender) = bound("127.0.0.1");
        let mut receiver = Served::new(receiver_at, receiver);
        receiver.ports.tell_drops();
        assert_eq!(receiver.ports.ports[0].dropped, 0);
        // Far more than any receive buffer of a system's default holds.
        for _ in 0..4096 {
            sender.send_to(&[0; 8192], receiver_at).unwrap();
        }
        receiver.ports.tell_drops();
        assert!(receiver.ports.ports[0].dropped > 0);
    }
}
