//! UDP in batches: one system call moves many datagrams, and what cannot be delivered is told.

#[cfg(target_os = "linux")]
mod mmsg;
#[cfg(not(target_os = "linux"))]
mod plain;

#[cfg(target_os = "linux")]
use mmsg::{ReceiveBatch, SendBatch, enable_errors, next_error};
#[cfg(not(target_os = "linux"))]
use plain::{ReceiveBatch, SendBatch, enable_errors, next_error};

use crate::driver::Arrived;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Sender;

/// The UDP listening points of one machine.
pub(crate) struct DatagramPorts {
    ports: Vec<Port>,
    batch: ReceiveBatch,
    sender: SendBatch,
    /// Which port is asked first: each in turn.
    first: usize,
}

struct Port {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    /// What the socket had no room for.
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// What a port brought.
pub(crate) enum Arrival<'b> {
    /// A datagram.
    Datagram { local: SocketAddr, remote: SocketAddr, bytes: &'b [u8] },
    /// A datagram of ours did not arrive.
    Undeliverable { remote: SocketAddr, why: &'static str },
}

impl DatagramPorts {
    /// Takes over bound sockets; to be called within the runtime that serves them. What the network says of
    /// undeliverable datagrams goes to `events`.
    pub(crate) fn new(
        sockets: Vec<(SocketAddr, std::net::UdpSocket)>,
        events: &Sender<Arrived>,
    ) -> io::Result<DatagramPorts> {
        let ports = sockets.into_iter().map(|(local, socket)| {
            let enabled = enable_errors(&socket, local.is_ipv6());
            let socket = Arc::new(UdpSocket::from_std(socket)?);
            match enabled {
                Ok(()) => drop(tokio::spawn(watch(Arc::clone(&socket), events.clone()))),
                Err(error) => {
                    tracing::warn!(%local, %error, "undeliverable datagrams will only be noticed by timeout");
                }
            }
            Ok(Port { socket, local, waiting: VecDeque::new() })
        });
        Ok(DatagramPorts {
            ports: ports.collect::<io::Result<_>>()?,
            batch: ReceiveBatch::new(),
            sender: SendBatch::new(),
            first: 0,
        })
    }

    /// Waits until a port has something to read, or room for what waits to be written; which one.
    pub(crate) async fn ready(&mut self) -> usize {
        std::future::poll_fn(|context| self.poll_ready(context)).await
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        let count = self.ports.len();
        for at in 0..count {
            let index = (self.first + at) % count;
            let port = &self.ports[index];
            let has_room = !port.waiting.is_empty() && port.socket.poll_send_ready(context).is_ready();
            if has_room || port.socket.poll_recv_ready(context).is_ready() {
                self.first = index + 1;
                return Poll::Ready(index);
            }
        }
        Poll::Pending
    }

    /// Moves one batch through a port that was ready: what waits goes out, what came is given to `take`.
    pub(crate) fn serve(&mut self, index: usize, mut take: impl FnMut(Arrival<'_>)) {
        let DatagramPorts { ports, batch, sender, .. } = self;
        let Some(port) = ports.get_mut(index) else { return };
        port.flush(sender, &mut take);
        match batch.receive(&port.socket) {
            Ok(count) => {
                for at in 0..count {
                    if let Some((remote, bytes)) = batch.get(at) {
                        take(Arrival::Datagram { local: port.local, remote, bytes });
                    }
                }
            }
            // Nothing to read, or the error of a datagram that was sent: either way the queue of errors may hold some.
            Err(_) => port.errors(&mut take),
        }
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

    /// Sends what is queued, as far as the sockets have room.
    pub(crate) fn flush(&mut self, mut take: impl FnMut(Arrival<'_>)) {
        for port in &mut self.ports {
            port.flush(&mut self.sender, &mut take);
        }
    }
}

impl Port {
    fn flush(&mut self, sender: &mut SendBatch, take: &mut impl FnMut(Arrival<'_>)) {
        let mut faults = 0;
        while !self.waiting.is_empty() {
            match sender.send(&self.socket, self.waiting.make_contiguous()) {
                Ok(count) => {
                    self.waiting.drain(..count.min(self.waiting.len()));
                    faults = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The error may be of an earlier datagram (an ICMP answer that waits in the queue): try again once,
                // then take it for this one's.
                Err(error) => {
                    self.errors(take);
                    faults += 1;
                    if faults > 1 {
                        faults = 0;
                        if let Some((remote, _)) = self.waiting.pop_front() {
                            let why = crate::stream::why(&error);
                            take(Arrival::Undeliverable { remote, why });
                        }
                    }
                }
            }
        }
    }

    /// Reads the queue of ICMP errors empty.
    fn errors(&self, take: &mut impl FnMut(Arrival<'_>)) {
        for remote in undelivered(&self.socket) {
            take(Arrival::Undeliverable { remote, why: UNREACHABLE });
        }
    }
}

/// Waits for ICMP errors, which alone do not make a socket readable, and reports them.
async fn watch(socket: Arc<UdpSocket>, events: Sender<Arrived>) {
    while socket.ready(Interest::ERROR).await.is_ok() {
        // The runtime forgets the condition when told that there is nothing (more) to do about it.
        let mut remotes = Vec::new();
        let _ = socket.try_io(Interest::ERROR, || {
            remotes = undelivered(&socket);
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
        for remote in remotes {
            if events.send(Arrived::Undeliverable { remote, why: UNREACHABLE }).await.is_err() {
                return;
            }
        }
    }
}

/// Where the datagrams were going that the network returned.
fn undelivered(socket: &UdpSocket) -> Vec<SocketAddr> {
    (0..ERRORS_MAX).map_while(|_| next_error(socket).ok().flatten()).collect()
}

/// Datagrams that wait for a socket to have room.
const WAITING_MAX: usize = 4096;
/// ICMP errors read in one go.
const ERRORS_MAX: usize = 256;
const UNREACHABLE: &str = "port unreachable";
/// Datagrams of one system call.
const BATCH: usize = 32;
/// The largest payload of UDP.
const DATAGRAM_BYTES_MAX: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn bound(ip: &str) -> (SocketAddr, std::net::UdpSocket) {
        let socket = std::net::UdpSocket::bind((ip.parse::<std::net::IpAddr>().unwrap(), 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    fn ports(local: SocketAddr, socket: std::net::UdpSocket) -> DatagramPorts {
        DatagramPorts::new(vec![(local, socket)], &tokio::sync::mpsc::channel(1).0).unwrap()
    }

    async fn arrivals(ports: &mut DatagramPorts, wanted: usize) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.len() < wanted {
            let ready = tokio::time::timeout(std::time::Duration::from_secs(5), ports.ready()).await;
            let index = ready.expect("the datagram arrives");
            ports.serve(index, |arrival| {
                seen.push(match arrival {
                    Arrival::Datagram { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
                    Arrival::Undeliverable { remote, why } => format!("{remote} {why}"),
                });
            });
        }
        seen
    }

    #[tokio::test]
    async fn more_than_a_batch_arrives_whole_and_in_order_over_both_families() {
        for ip in ["127.0.0.1", "::1"] {
            let (receiver_at, receiver) = bound(ip);
            let (sender_at, sender) = bound(ip);
            let mut receiver = ports(receiver_at, receiver);
            let mut sender = ports(sender_at, sender);
            let sent: Vec<_> = (0..100).map(|n| format!("{n} {}", "x".repeat(n * 10))).collect();
            for text in &sent {
                sender.send(sender_at, receiver_at, text.clone().into_bytes());
            }
            sender.flush(|_| panic!("deliverable"));
            assert_eq!(arrivals(&mut receiver, 100).await, sent, "{ip}");
        }
    }

    #[tokio::test]
    async fn the_largest_datagram_is_not_cut() {
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (sender_at, sender) = bound("127.0.0.1");
        let mut receiver = ports(receiver_at, receiver);
        let mut sender = ports(sender_at, sender);
        let text = "y".repeat(65_507);
        sender.send(sender_at, receiver_at, text.clone().into_bytes());
        sender.flush(|_| panic!("deliverable"));
        assert_eq!(arrivals(&mut receiver, 1).await, [text]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_port_that_nobody_listens_at_is_told_by_its_address_and_others_still_get_theirs() {
        let (gone_at, gone) = bound("127.0.0.1");
        drop(gone);
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (sender_at, sender) = bound("127.0.0.1");
        let mut receiver = ports(receiver_at, receiver);
        let (events, mut arrived) = tokio::sync::mpsc::channel(8);
        let mut sender = DatagramPorts::new(vec![(sender_at, sender)], &events).unwrap();
        let mut told = Vec::new();
        let mut note = |arrival: Arrival<'_>| {
            if let Arrival::Undeliverable { remote, .. } = arrival {
                told.push(remote);
            }
        };
        sender.send(sender_at, gone_at, b"lost".to_vec());
        sender.flush(&mut note);
        // The error of the first may hit the second's system call.
        sender.send(sender_at, receiver_at, b"kept".to_vec());
        sender.flush(&mut note);
        if told.is_empty() {
            let event = tokio::time::timeout(std::time::Duration::from_secs(5), arrived.recv()).await;
            match event.expect("the error arrives") {
                Some(Arrived::Undeliverable { remote, .. }) => told.push(remote),
                _ => panic!("only errors are reported"),
            }
        }
        assert_eq!(told, [gone_at]);
        assert_eq!(arrivals(&mut receiver, 1).await, ["kept"]);
    }

    #[tokio::test]
    async fn a_datagram_to_nowhere_does_not_stop_the_ones_behind_it() {
        let (receiver_at, receiver) = bound("127.0.0.1");
        let (sender_at, sender) = bound("127.0.0.1");
        let mut receiver = ports(receiver_at, receiver);
        let mut sender = ports(sender_at, sender);
        let nowhere = SocketAddr::from((Ipv4Addr::BROADCAST, 5060));
        sender.send(sender_at, nowhere, b"refused".to_vec());
        sender.send(sender_at, receiver_at, b"kept".to_vec());
        let mut told = 0;
        sender.flush(|_| told += 1);
        assert_eq!(told, 1);
        assert_eq!(arrivals(&mut receiver, 1).await, ["kept"]);
    }
}
