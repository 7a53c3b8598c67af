//! What goes through associations of our own ESP: datagrams and connections that no socket of the system has.

use crate::ipsec::Userspace;
use crate::ipsec::userspace::{Arrival, ConnectionId};
use crate::stream;
use ambient::Now;
use cscf::station::{LinkId, Protocol, WireInput};
use ipsec::{SaSet, Selector, Spi};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// The traffic of a machine's own ESP.
pub(super) struct Protected {
    /// The ports that nothing goes through in another way.
    ports: Vec<SocketAddr>,
    links: BTreeMap<LinkId, ConnectionId>,
    connections: BTreeMap<ConnectionId, Link>,
    accepted_count: u64,
    /// Sets whose connections have carried something, once for each piece.
    carried: Vec<Spi>,
    /// Whether a socket may have more: the system tells of news only.
    has_more: bool,
}

/// A connection as the machine knows it.
#[derive(Clone, Copy)]
struct Link {
    id: LinkId,
    is_open: bool,
}

impl Protected {
    /// Begins to listen to the sockets; their events carry the tokens from `first_token` up. Gives how many there are.
    pub(super) fn new(
        userspace: &Userspace,
        ports: Vec<SocketAddr>,
        registry: &Registry,
        first_token: usize,
    ) -> io::Result<(Protected, usize)> {
        let mut count = 0;
        for socket in userspace.sockets() {
            let token = Token(first_token + count);
            registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
            count += 1;
        }
        let protected = Protected {
            ports,
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            accepted_count: 0,
            carried: Vec::new(),
            has_more: true,
        };
        Ok((protected, count))
    }

    /// Whether what is at this port of ours goes through an association.
    pub(super) fn has_port(&self, local: SocketAddr) -> bool {
        self.ports.contains(&local)
    }

    /// Whether a connection is one of ours.
    pub(super) fn has_link(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// A socket has news.
    pub(super) fn wake(&mut self) {
        self.has_more = true;
    }

    /// Whether there is work without waiting for the system.
    pub(super) fn has_work(&self) -> bool {
        self.has_more
    }

    /// Takes a batch of what has come.
    pub(super) fn receive(&mut self, userspace: &mut Userspace, now: Now, inputs: &mut VecDeque<WireInput>) {
        if !self.has_more {
            return;
        }
        match userspace.receive(BATCH, now, |arrival| self.arrive(arrival, inputs)) {
            Ok(count) => self.has_more = count > 0,
            Err(error) => {
                self.has_more = false;
                tracing::warn!(%error, "the sockets of ESP cannot be read");
            }
        }
    }

    /// Does what time asks for.
    pub(super) fn timeout(&mut self, userspace: &mut Userspace, now: Now, inputs: &mut VecDeque<WireInput>) {
        if userspace.due().is_some_and(|due| due <= now.instant) {
            userspace.expire(now, |arrival| self.arrive(arrival, inputs));
        }
    }

    fn arrive(&mut self, arrival: Arrival<'_>, inputs: &mut VecDeque<WireInput>) {
        inputs.extend(match arrival {
            Arrival::Datagram(Selector { local, remote }, payload) => {
                Some(WireInput::Datagram { local, remote, bytes: payload.to_vec() })
            }
            Arrival::Opened(connection, Selector { local, remote }) => {
                Some(match self.connections.get_mut(&connection) {
                    Some(link) => {
                        link.is_open = true;
                        WireInput::Connected { link: link.id, local }
                    }
                    None => {
                        self.accepted_count += 1;
                        let id = LinkId(LinkId::ACCEPTED | PROTECTED | self.accepted_count);
                        self.insert(id, connection, true);
                        WireInput::Accepted { link: id, protocol: Protocol::Sip, local, remote }
                    }
                })
            }
            Arrival::Octets(connection, octets) => {
                self.carried.push(connection.set());
                let link = self.connections.get(&connection);
                link.map(|link| WireInput::Received { link: link.id, bytes: octets.to_vec() })
            }
            Arrival::Closed(connection) => self.ended(connection, "connection refused"),
        });
    }

    /// Opens a connection between protected ports.
    pub(super) fn connect(
        &mut self,
        userspace: &mut Userspace,
        (link, ends): (LinkId, Selector),
        now: Now,
        inputs: &mut VecDeque<WireInput>,
    ) {
        match userspace.connect(&ends, now) {
            Ok(connection) => self.insert(link, connection, false),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::AddrNotAvailable => "no security association",
                    _ => stream::why(&error),
                };
                inputs.push_back(WireInput::ConnectFailed { link, why });
            }
        }
    }

    /// Writes to a connection of ours; one whose peer takes too little ends.
    pub(super) fn write(
        &mut self,
        userspace: &mut Userspace,
        (link, bytes): (LinkId, &[u8]),
        now: Now,
        inputs: &mut VecDeque<WireInput>,
    ) {
        let Some(connection) = self.links.get(&link).copied() else { return };
        self.carried.push(connection.set());
        if let Err(error) = userspace.write(connection, bytes, now) {
            tracing::debug!(%error, "a connection through a security association ends");
            userspace.close(connection, now);
            inputs.extend(self.ended(connection, stream::why(&error)));
        }
    }

    /// The sets whose connections have carried something since the last time, once for each piece.
    pub(super) fn take_carried(&mut self) -> Vec<Spi> {
        std::mem::take(&mut self.carried)
    }

    /// Ends a connection of ours, once what was written is out.
    pub(super) fn close(&mut self, userspace: &mut Userspace, link: LinkId, now: Now) {
        if let Some(connection) = self.links.remove(&link) {
            self.connections.remove(&connection);
            userspace.close(connection, now);
        }
    }

    /// Ends all connections, each once what was written is out.
    pub(super) fn close_all(&mut self, userspace: &mut Userspace, now: Now) {
        self.links.clear();
        for connection in std::mem::take(&mut self.connections).into_keys() {
            userspace.close(connection, now);
        }
    }

    /// The connections of a set are gone with it.
    pub(super) fn removed(&mut self, set: &SaSet, inputs: &mut VecDeque<WireInput>) {
        let gone: Vec<_> = self.connections.keys().copied().filter(|id| id.is_of(set)).collect();
        for connection in gone {
            inputs.extend(self.ended(connection, "security association has ended"));
        }
    }

    fn insert(&mut self, id: LinkId, connection: ConnectionId, is_open: bool) {
        self.links.insert(id, connection);
        self.connections.insert(connection, Link { id, is_open });
    }

    /// What the machine is told of a connection that has ended.
    fn ended(&mut self, connection: ConnectionId, why: &'static str) -> Option<WireInput> {
        let Link { id: link, is_open } = self.connections.remove(&connection)?;
        self.links.remove(&link);
        Some(if is_open { WireInput::Closed { link } } else { WireInput::ConnectFailed { link, why } })
    }
}

/// Set in the ids of connections that peers open through associations, beside those that the system accepts.
const PROTECTED: u64 = 1 << 61;
/// Packets in one turn.
const BATCH: usize = 256;
