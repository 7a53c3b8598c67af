//! A host that says what it is told and keeps what it hears: an attacker, a broken peer, a phone written by hand.

use ambient::{Instant, Now};
use cscf::station::{LinkId, Machine, Operated, Protocol, WireInput, WireOutput};
use cscf::trace;
use diameter_client::endpoint::StreamTransport;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// What a stranger is told to do.
#[derive(Clone, Debug)]
pub enum Say {
    /// Send a datagram.
    Datagram {
        /// From which of its ports.
        local: SocketAddr,
        /// Where to.
        remote: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Open a connection and write to it.
    Stream {
        /// Where to.
        remote: SocketAddr,
        /// Who listens there.
        protocol: Protocol,
        /// What.
        bytes: Vec<u8>,
    },
}

/// What a stranger heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// These bytes, by datagram or stream.
    Bytes(Vec<u8>),
    /// The other end closed the connection, or did not take it.
    Closed,
}

/// The stranger. Answers every piece of a stream with `babble`, where it has some.
#[derive(Debug, Default)]
pub struct Stranger {
    babble: Option<Vec<u8>>,
    waiting: Vec<(LinkId, Vec<u8>)>,
    links: u64,
    outputs: VecDeque<WireOutput>,
    heard: VecDeque<Heard>,
}

impl Stranger {
    /// One that speaks only when told.
    pub fn silent() -> Stranger {
        Stranger::default()
    }

    /// One that answers whatever comes on a connection with these bytes.
    pub fn babbling(babble: &[u8]) -> Stranger {
        Stranger { babble: Some(babble.to_vec()), ..Stranger::default() }
    }
}

impl Machine for Stranger {
    fn handle(&mut self, _: Now, input: WireInput) {
        match input {
            WireInput::Datagram { bytes, .. } => self.heard.push_back(Heard::Bytes(bytes)),
            WireInput::Received { link, bytes } => {
                self.heard.push_back(Heard::Bytes(bytes));
                if let Some(bytes) = self.babble.clone() {
                    self.outputs.push_back(WireOutput::Write { link, bytes });
                }
            }
            WireInput::Connected { link, .. } => {
                if let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == link) {
                    let (link, bytes) = self.waiting.remove(at);
                    self.outputs.push_back(WireOutput::Write { link, bytes });
                }
            }
            WireInput::Closed { .. } | WireInput::ConnectFailed { .. } => self.heard.push_back(Heard::Closed),
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }

    fn is_drained(&self) -> bool {
        true
    }
}

impl Operated for Stranger {
    type Command = Say;
    type Notice = Heard;

    fn command(&mut self, _: Now, command: Say) {
        match command {
            Say::Datagram { local, remote, bytes } => {
                self.outputs.push_back(WireOutput::Datagram { local, remote, bytes });
            }
            Say::Stream { remote, protocol, bytes } => {
                self.links += 1;
                let link = LinkId(self.links);
                self.waiting.push((link, bytes));
                self.outputs.push_back(WireOutput::Connect {
                    link,
                    protocol,
                    transport: StreamTransport::Tcp,
                    local: None,
                    remote,
                });
            }
        }
    }

    fn poll_notice(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    fn set_trace(&mut self, _: bool) {}

    fn poll_trace(&mut self) -> Option<trace::Event> {
        None
    }
}
