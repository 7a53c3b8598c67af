//! TCP between hosts: connections that keep their order, lose nothing but by a cut, and are ESP between protected ports.

use super::{Happening, HostId, World};
use crate::security::{Leaving, Origin};
use ambient::Instant;
use cscf::station::{self, LinkId, WireInput};
use ipsec::{Protocol, Selector};
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Debug)]
pub(super) enum StreamEvent {
    /// It comes to the accepter, whose association has to open what is sealed.
    Asked(Option<(Vec<u8>, Origin)>),
    Opened,
    Refused,
    Bytes(Vec<u8>),
    /// Bytes in an ESP packet.
    Sealed(Vec<u8>, Origin),
    Closed,
}

/// An end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Opener,
    Accepter,
}

/// One simulated TCP connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) opener: (HostId, u32, LinkId),
    pub(super) accepter: (HostId, u32, LinkId),
    pub(super) addresses: (SocketAddr, SocketAddr),
    pub(super) protocol: station::Protocol,
    /// When the last thing sent in each direction arrives: a stream keeps its order.
    pub(super) arrives: [Instant; 2],
    pub(super) is_open: bool,
    /// Whether associations carry it: it never goes on in clear.
    pub(super) is_sealed: bool,
}

/// How long a connection attempt into silence takes to fail.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a segment into a cut link is sent again, as TCP would.
const SEGMENT_RETRY: Duration = Duration::from_millis(500);
/// How long a stream goes on trying: then it is reset.
const SEGMENT_GIVE_UP: Duration = Duration::from_secs(60);

impl World {
    pub(super) fn connect(
        &mut self,
        id: HostId,
        link: LinkId,
        protocol: station::Protocol,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) {
        self.next_port = self.next_port.checked_add(1).unwrap_or(30_000);
        let ip = local.map_or(self.hosts[id].address, |local| local.ip());
        let ip = if ip.is_unspecified() { self.hosts[id].address } else { ip };
        let port = local.map(|local| local.port()).filter(|port| *port != 0).unwrap_or(self.next_port);
        let local = SocketAddr::new(ip, port);
        self.next_link += 1;
        let ends = Selector { local, remote };
        let outer = self.hosts[id].esp.outer(ends).unwrap_or(ends);
        let to = self.place_of(outer.remote).map(|(to, _)| to);
        let accepted = LinkId(LinkId::ACCEPTED | self.next_link);
        let now = self.now.instant;
        let accepter = (to.unwrap_or(id), to.map_or(0, |to| self.hosts[to].life), accepted);
        let addresses = (if outer == ends { self.outside_of(id, local) } else { local }, remote);
        self.streams.push(Stream {
            opener: (id, self.hosts[id].life, link),
            accepter,
            addresses,
            protocol,
            arrives: [now, now],
            is_open: true,
            is_sealed: self.hosts[id].esp.is_protected(Selector { local, remote }),
        });
        let stream = self.streams.len() - 1;
        let delay = to.and_then(|to| {
            let (a, b) = (self.hosts[id].name.clone(), self.hosts[to].name.clone());
            self.network.segment(&a, &b)
        });
        match (to, delay) {
            (Some(to), Some(delay)) if self.is_up(to) && self.takes(to, protocol) => {
                let ask = match self.sealed(id, Selector { local, remote }, Protocol::Tcp, Vec::new()) {
                    Leaving::Esp(packet, tunnel) => {
                        self.take(id, to, true, &packet);
                        self.origin(id, to, local.ip(), tunnel).map(|origin| (packet, origin))
                    }
                    Leaving::Clear(_) | Leaving::Nothing => None,
                };
                self.streams[stream].arrives = [now + delay, now + delay * 2];
                let happens = |end, what| Happening::Stream { stream, end, what };
                self.schedule(now + delay, happens(End::Accepter, StreamEvent::Asked(ask)));
                self.schedule(now + delay * 2, happens(End::Opener, StreamEvent::Opened));
            }
            (Some(_), Some(delay)) => {
                let refused = Happening::Stream { stream, end: End::Opener, what: StreamEvent::Refused };
                self.schedule(now + delay * 2, refused);
            }
            _ => {
                let refused = Happening::Stream { stream, end: End::Opener, what: StreamEvent::Refused };
                self.schedule(now + CONNECT_TIMEOUT, refused);
            }
        }
    }

    fn takes(&self, host: HostId, protocol: station::Protocol) -> bool {
        protocol != station::Protocol::Sip || !self.hosts[host].refuses_streams
    }

    pub(super) fn stream_of(&self, id: HostId, link: LinkId) -> Option<(usize, End)> {
        let life = self.hosts[id].life;
        self.streams.iter().enumerate().rev().filter(|(_, stream)| stream.is_open).find_map(|(at, stream)| {
            if stream.opener == (id, life, link) {
                Some((at, End::Opener))
            } else if stream.accepter == (id, life, link) {
                Some((at, End::Accepter))
            } else {
                None
            }
        })
    }

    /// Sends something from `end` of a stream to the other one.
    pub(super) fn write(&mut self, stream: usize, end: End, what: StreamEvent) {
        let (from, to) = match end {
            End::Opener => (self.streams[stream].opener.0, self.streams[stream].accepter.0),
            End::Accepter => (self.streams[stream].accepter.0, self.streams[stream].opener.0),
        };
        let (a, b) = (self.hosts[from].name.clone(), self.hosts[to].name.clone());
        let now = self.now.instant;
        let (other, direction) = match end {
            End::Opener => (End::Accepter, 0),
            End::Accepter => (End::Opener, 1),
        };
        let at = match self.network.segment(&a, &b) {
            Some(delay) => now + delay,
            // The link is cut: TCP sends again until it gives up. The fate is decided when the time comes.
            None => now + SEGMENT_RETRY,
        };
        let at = at.max(self.streams[stream].arrives[direction]);
        self.streams[stream].arrives[direction] = at;
        self.schedule(at, Happening::Stream { stream, end: other, what });
    }

    pub(super) fn reset(&mut self, stream: usize, end: End) {
        self.streams[stream].is_open = false;
        let at = self.now.instant + Duration::from_millis(1);
        self.schedule(at, Happening::Stream { stream, end, what: StreamEvent::Closed });
    }

    /// Something arrives at an end of a stream.
    pub(super) fn stream_event(&mut self, stream: usize, end: End, what: StreamEvent) {
        let Stream { opener, accepter, addresses, protocol, .. } = self.streams[stream];
        let (host, life, link) = if end == End::Opener { opener } else { accepter };
        let other = if end == End::Opener { accepter.0 } else { opener.0 };
        let (a, b) = (self.hosts[host].name.clone(), self.hosts[other].name.clone());
        let ends = match end {
            End::Opener => Selector { local: addresses.0, remote: addresses.1 },
            End::Accepter => Selector { local: addresses.1, remote: addresses.0 },
        };
        if matches!(what, StreamEvent::Bytes(_) | StreamEvent::Sealed(..) | StreamEvent::Closed)
            && self.network.link(&a, &b).is_cut
        {
            return self.segment_lost(stream, end, what);
        }
        if self.hosts[host].life != life || !self.is_up(host) {
            if matches!(what, StreamEvent::Bytes(_) | StreamEvent::Sealed(..)) && self.streams[stream].is_open
            {
                let sender = if end == End::Opener { End::Accepter } else { End::Opener };
                self.reset(stream, sender);
            }
            return;
        }
        match what {
            StreamEvent::Asked(ask) => {
                let (remote, local) = addresses;
                if self.hears(host, Selector { local, remote }, ask).is_some() {
                    self.input(host, WireInput::Accepted { link, protocol, local, remote });
                } else {
                    self.streams[stream].is_open = false;
                }
            }
            // Nobody answered.
            StreamEvent::Opened if !self.streams[stream].is_open => {
                let refused = Happening::Stream { stream, end, what: StreamEvent::Refused };
                self.schedule(self.now.instant + CONNECT_TIMEOUT, refused);
            }
            StreamEvent::Opened => self.input(host, WireInput::Connected { link, local: addresses.0 }),
            StreamEvent::Refused => {
                self.streams[stream].is_open = false;
                self.input(host, WireInput::ConnectFailed { link, why: "connection refused" });
            }
            StreamEvent::Bytes(bytes) => {
                if self.hosts[host].esp.lets_in(ends.local) {
                    self.input(host, WireInput::Received { link, bytes });
                }
            }
            StreamEvent::Sealed(packet, origin) => {
                if let Some(bytes) = self.hears(host, ends, Some((packet, origin))) {
                    self.input(host, WireInput::Received { link, bytes });
                }
            }
            StreamEvent::Closed => {
                self.streams[stream].is_open = false;
                self.input(host, WireInput::Closed { link });
            }
        }
    }

    /// What a segment says to an end of a stream, sealed or else in clear; `None` when it is not let in.
    fn hears(&mut self, id: HostId, ends: Selector, sealed: Option<(Vec<u8>, Origin)>) -> Option<Vec<u8>> {
        let Some((mut packet, origin)) = sealed else {
            return self.hosts[id].esp.lets_in(ends.local).then(Vec::new);
        };
        let (opened, protocol, bytes) = self.unsealed(id, origin, &mut packet)?;
        (opened == ends && protocol == Protocol::Tcp).then_some(bytes)
    }

    /// A segment meets a cut link: it is sent again, with everything behind it, until the stream gives up.
    fn segment_lost(&mut self, stream: usize, end: End, what: StreamEvent) {
        let direction = usize::from(end == End::Opener);
        let now = self.now.instant;
        let since = self.streams[stream].arrives[direction];
        if now.since(since) > SEGMENT_GIVE_UP {
            let sender = if end == End::Opener { End::Accepter } else { End::Opener };
            return self.reset(stream, sender);
        }
        // Order holds: the heap gives equal moments in the order of scheduling, and the whole direction waits alike.
        self.schedule(now + SEGMENT_RETRY, Happening::Stream { stream, end, what });
    }
}
