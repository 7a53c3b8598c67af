//! The sockets of the UEs: a few for datagrams, or a connection for each UE.

mod connection;
pub(crate) mod datagrams;
mod streams;

use crate::outbox::Outbox;
use crate::sources::{Network, Sources};
use crate::transport::Transport;
use ambient::Instant;
use datagrams::Datagrams;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use streams::Streams;

/// Open sockets.
#[derive(Debug)]
pub enum Sockets {
    /// Over UDP.
    Datagrams(Datagrams),
    /// Over TCP.
    Streams(Streams),
}

/// Between the UEs and the P-CSCF.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The P-CSCF.
    pub pcscf: SocketAddr,
    /// The first port of the UEs, further ones behind it; 0 is any.
    pub first_port: u16,
    /// How often a connection is used at least; zero is never.
    pub keep_alive: Duration,
}

/// The port of the socket of this number.
fn port_of(first_port: u16, number: usize) -> io::Result<u16> {
    if first_port == 0 {
        return Ok(0);
    }
    let port = u16::try_from(number).ok().and_then(|number| first_port.checked_add(number));
    port.ok_or_else(|| io::Error::other("there are not so many ports behind the first one"))
}

/// What the sockets have counted since they were opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that the system would not take.
    pub refused: u64,
    /// Datagrams that the kernel dropped because the sockets were full.
    pub overflows: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Connections that ended without our doing, or did not come about.
    pub connections_lost: u64,
}

impl Counts {
    /// What was counted since an earlier look; connections are those that are open.
    pub fn since(self, before: Counts) -> Counts {
        Counts {
            refused: self.refused.saturating_sub(before.refused),
            overflows: self.overflows.saturating_sub(before.overflows),
            connections: self.connections,
            connections_lost: self.connections_lost.saturating_sub(before.connections_lost),
        }
    }
}

impl Sockets {
    /// Opens what so many UEs of a network need towards a P-CSCF.
    pub fn open(transport: Transport, network: Network, ues: usize, path: Path) -> io::Result<Sockets> {
        Ok(match transport {
            Transport::Udp => Sockets::Datagrams(Datagrams::open(network, ues, path.first_port)?),
            Transport::Tcp => Sockets::Streams(Streams::new(network, ues, path)?),
        })
    }

    /// Where the UEs are.
    pub fn sources(&self) -> &Sources {
        match self {
            Sockets::Datagrams(datagrams) => datagrams.sources(),
            Sockets::Streams(streams) => streams.sources(),
        }
    }

    /// Sends what waits, as far as there is room.
    pub fn send(&mut self, outbox: &mut Outbox) {
        match self {
            Sockets::Datagrams(datagrams) => datagrams.send(outbox),
            Sockets::Streams(streams) => streams.send(outbox),
        }
    }

    /// Receives a batch without waiting, and gives each message to `take`; how many came.
    pub fn receive(&mut self, take: impl FnMut(SocketAddr, &[u8])) -> usize {
        match self {
            Sockets::Datagrams(datagrams) => datagrams.receive(take),
            Sockets::Streams(streams) => streams.receive(take),
        }
    }

    /// Waits until something comes, or there is room for what waits, or so much time has passed.
    ///
    /// `also` is another file to be read from, beside datagrams: UEs with connections have no associations.
    pub fn wait(&self, at_most: Duration, has_waiting: bool, also: Option<BorrowedFd<'_>>) {
        match self {
            Sockets::Datagrams(datagrams) => datagrams.wait(at_most, has_waiting, also),
            Sockets::Streams(streams) => streams.wait(at_most),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        match self {
            Sockets::Datagrams(_) => {}
            Sockets::Streams(streams) => streams.tick(now),
        }
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        match self {
            Sockets::Datagrams(datagrams) => datagrams.counts(),
            Sockets::Streams(streams) => streams.counts(),
        }
    }
}
