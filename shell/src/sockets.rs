//! Listening sockets: bound before the machine exists, so that a mistake shows at once and a free port is known.

use crate::datagram::{set_buffers, spread};
use crate::sctp;
use cscf::config::DiameterPoint;
use cscf::station::{Protocol, StreamTransport};
use cscf::{Local, Transport};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::num::NonZeroU16;

/// What a listening socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speaks {
    /// SIP over UDP.
    SipDatagrams,
    /// SIP over TCP.
    SipStreams,
    /// SIP over TLS.
    SipTls,
    /// Diameter over TCP.
    DiameterStreams,
    /// Diameter over SCTP.
    DiameterSctp,
}

impl Speaks {
    /// What a stream that is accepted here speaks, and over what; `None` for datagrams.
    pub(crate) const fn stream(self) -> Option<(Protocol, StreamTransport)> {
        match self {
            Speaks::SipDatagrams => None,
            Speaks::SipStreams => Some((Protocol::Sip, StreamTransport::Tcp)),
            Speaks::SipTls => Some((Protocol::Sip, StreamTransport::Tls)),
            Speaks::DiameterStreams => Some((Protocol::Diameter, StreamTransport::Tcp)),
            Speaks::DiameterSctp => Some((Protocol::Diameter, StreamTransport::Sctp)),
        }
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Speaks::SipDatagrams => "SIP on udp",
            Speaks::SipStreams => "SIP on tcp",
            Speaks::SipTls => "SIP on tls",
            Speaks::DiameterStreams => "Diameter on tcp",
            Speaks::DiameterSctp => "Diameter on sctp",
        })
    }
}

/// One address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What is spoken there.
    pub speaks: Speaks,
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
}

impl Binding {
    /// A Diameter listening point of TCP.
    pub const fn diameter(address: SocketAddr) -> Binding {
        Binding { speaks: Speaks::DiameterStreams, address }
    }
}

impl From<&DiameterPoint> for Binding {
    fn from(point: &DiameterPoint) -> Binding {
        let speaks = match point.transport {
            // No Diameter peer is configured with TLS.
            StreamTransport::Tcp | StreamTransport::Tls => Speaks::DiameterStreams,
            StreamTransport::Sctp => Speaks::DiameterSctp,
        };
        Binding { speaks, address: point.address }
    }
}

impl From<&Local> for Binding {
    fn from(local: &Local) -> Binding {
        let speaks = match local.transport {
            Transport::Udp => Speaks::SipDatagrams,
            Transport::Tcp => Speaks::SipStreams,
            Transport::Tls => Speaks::SipTls,
        };
        Binding { speaks, address: local.address }
    }
}

/// Why a socket could not be bound, in words that say what to do.
#[derive(Debug)]
pub struct BindError {
    /// What was wanted.
    pub binding: Binding,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Binding { speaks, address } = self.binding;
        write!(f, "cannot listen for {speaks} at {address}: ")?;
        match self.error.kind() {
            io::ErrorKind::AddrInUse => {
                let flag = match speaks {
                    Speaks::SipDatagrams => 'u',
                    Speaks::SipStreams | Speaks::SipTls | Speaks::DiameterStreams => 't',
                    Speaks::DiameterSctp => 'S',
                };
                let port = address.port();
                write!(
                    f,
                    "the address is in use; find by whom with `ss -l{flag}np 'sport = :{port}'`, or change `listen`"
                )
            }
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("no interface of this host has that address; add it, or change `listen`")
            }
            io::ErrorKind::PermissionDenied => {
                f.write_str("not permitted; take a port above 1023, or give the process CAP_NET_BIND_SERVICE")
            }
            _ => write!(f, "{}", self.error),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Bound sockets, not yet read from.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(crate) datagrams: Vec<(SocketAddr, UdpSocket)>,
    /// One-to-one sockets of SCTP are among them: they listen and accept as those of TCP do.
    pub(crate) streams: Vec<(SocketAddr, Speaks, TcpListener)>,
    /// The same addresses once more for each further shard; the system spreads what comes over all of them.
    pub(crate) shared_with: Vec<Sockets>,
}

/// Whether another socket may have the same address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    No,
    Yes,
}

impl Sockets {
    /// Binds every address, each one once, or none.
    pub fn bind(bindings: impl IntoIterator<Item = Binding>) -> Result<Sockets, BindError> {
        Sockets::bind_for(NonZeroU16::MIN, bindings)
    }

    /// Binds every address once for each of `shards`, or none.
    pub fn bind_for(
        shards: NonZeroU16,
        bindings: impl IntoIterator<Item = Binding>,
    ) -> Result<Sockets, BindError> {
        let alone = Sockets::bind_each(bindings, Sharing::No)?;
        if shards == NonZeroU16::MIN {
            return Ok(alone);
        }
        // An address that is shared could be shared with another process, too: so it was bound alone first.
        let bound = alone.addresses();
        drop(alone);
        let mut all = (0..shards.get()).map(|_| Sockets::bind_each(bound.clone(), Sharing::Yes));
        let mut first = all.next().unwrap_or_else(|| Ok(Sockets::default()))?;
        first.shared_with = all.collect::<Result<_, _>>()?;
        for (address, socket) in &first.datagrams {
            match spread(socket, shards.get()) {
                Ok(scope) => tracing::debug!(%address, ?scope, "datagrams go to their shards"),
                Err(error) => {
                    tracing::warn!(%address, %error, "all that one neighbour sends comes in at one shard");
                }
            }
        }
        Ok(first)
    }

    /// The sockets of each shard.
    pub(crate) fn of_shards(mut self) -> Vec<Sockets> {
        let others = std::mem::take(&mut self.shared_with);
        std::iter::once(self).chain(others).collect()
    }

    fn bind_each(
        bindings: impl IntoIterator<Item = Binding>,
        sharing: Sharing,
    ) -> Result<Sockets, BindError> {
        let mut sockets = Sockets::default();
        let bindings: Vec<_> = bindings.into_iter().collect();
        // What this system cannot do shows before anything is bound.
        for &binding in bindings.iter().filter(|binding| binding.speaks == Speaks::DiameterSctp) {
            sctp::probe().map_err(|error| BindError { binding, error })?;
        }
        for binding in bindings {
            let bound = sockets.addresses();
            if !bound.contains(&binding) {
                sockets.add(binding, sharing).map_err(|error| BindError { binding, error })?;
            }
        }
        Ok(sockets)
    }

    /// Binds a free port of `ip` for SIP over both UDP and TCP.
    pub fn bind_free(ip: IpAddr) -> Result<Sockets, BindError> {
        let mut tries_left = FREE_PORT_TRIES;
        loop {
            let both = |port| {
                [Speaks::SipDatagrams, Speaks::SipStreams]
                    .map(|speaks| Binding { speaks, address: SocketAddr::new(ip, port) })
            };
            let [datagrams, _] = both(0);
            let mut sockets = Sockets::bind([datagrams])?;
            let port = sockets.datagrams.first().map_or(0, |(address, _)| address.port());
            let [_, streams] = both(port);
            match sockets.add(streams, Sharing::No) {
                Ok(()) => return Ok(sockets),
                Err(error) if tries_left == 0 => return Err(BindError { binding: streams, error }),
                // Somebody has that port for TCP: take another.
                Err(_) => tries_left -= 1,
            }
        }
    }

    /// What is bound, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<Binding> {
        let datagrams = self
            .datagrams
            .iter()
            .map(|(address, _)| Binding { speaks: Speaks::SipDatagrams, address: *address });
        let streams = self.streams.iter().map(|&(address, speaks, _)| Binding { speaks, address });
        datagrams.chain(streams).collect()
    }

    fn add(&mut self, binding: Binding, sharing: Sharing) -> io::Result<()> {
        let Binding { speaks, address } = binding;
        let domain = Domain::for_address(address);
        let socket = match speaks {
            Speaks::SipDatagrams => Socket::new(domain, Type::DGRAM, None)?,
            Speaks::SipStreams | Speaks::SipTls | Speaks::DiameterStreams => {
                Socket::new(domain, Type::STREAM, None)?
            }
            Speaks::DiameterSctp => sctp::socket(domain)?,
        };
        if address.is_ipv6() {
            // Each family has its own listening point.
            socket.set_only_v6(true)?;
        }
        if sharing == Sharing::Yes {
            socket.set_reuse_port(true)?;
        }
        match speaks.stream() {
            None => {
                socket.bind(&SockAddr::from(address))?;
                socket.set_nonblocking(true)?;
                let socket = UdpSocket::from(socket);
                // A burst must fit while the thread is elsewhere.
                let granted = set_buffers(&socket, DATAGRAM_BUFFER_BYTES);
                if granted < DATAGRAM_BUFFER_BYTES {
                    tracing::info!(
                        %address,
                        granted,
                        wanted = DATAGRAM_BUFFER_BYTES,
                        "the system grants a smaller receive buffer; raise net.core.rmem_max for long bursts"
                    );
                }
                self.datagrams.push((socket.local_addr()?, socket));
            }
            Some(_) => {
                // Old connections in TIME-WAIT must not keep a restarted process from its port.
                socket.set_reuse_address(true)?;
                socket.bind(&SockAddr::from(address))?;
                socket.listen(BACKLOG)?;
                socket.set_nonblocking(true)?;
                let listener = TcpListener::from(socket);
                self.streams.push((listener.local_addr()?, speaks, listener));
            }
        }
        Ok(())
    }
}

/// Room for some thousand messages.
const DATAGRAM_BUFFER_BYTES: usize = 4 << 20;
const BACKLOG: i32 = 1024;
const FREE_PORT_TRIES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_free_port_serves_both_transports() {
        let sockets = Sockets::bind_free(loopback(0).ip()).unwrap();
        let [datagrams, streams] = sockets.addresses()[..] else { panic!("two sockets") };
        assert_eq!(datagrams.address, streams.address);
        assert_ne!(datagrams.address.port(), 0);
    }

    #[test]
    fn an_address_listed_twice_is_bound_once() {
        let free = Sockets::bind([Binding::diameter(loopback(0))]).unwrap().addresses()[0];
        let sockets = Sockets::bind([free, free]).unwrap();
        assert_eq!(sockets.addresses(), [free]);
    }

    #[test]
    fn shards_share_an_address_and_another_process_does_not() {
        let shards = NonZeroU16::new(3).unwrap();
        let free = Sockets::bind_free(loopback(0).ip()).unwrap().addresses();
        let sockets = Sockets::bind_for(shards, free.clone()).unwrap();
        assert_eq!(sockets.addresses(), free);
        let error = Sockets::bind_for(shards, free.clone()).unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::AddrInUse);
        let of_shards = sockets.of_shards();
        assert_eq!(of_shards.len(), 3);
        assert!(of_shards.iter().all(|sockets| sockets.addresses() == free));
    }

    #[test]
    fn an_address_in_use_is_named_with_a_way_to_find_its_owner() {
        let first = Sockets::bind([Binding::diameter(loopback(0))]).unwrap();
        let taken = first.addresses()[0];
        let error = Sockets::bind([taken]).unwrap_err().to_string();
        let port = taken.address.port();
        assert_eq!(
            error,
            format!(
                "cannot listen for Diameter on tcp at 127.0.0.1:{port}: the address is in use; find by whom with \
                 `ss -ltnp 'sport = :{port}'`, or change `listen`"
            )
        );
    }

    #[test]
    fn an_address_of_another_host_is_refused_with_a_remedy() {
        let binding = Binding { speaks: Speaks::SipDatagrams, address: "192.0.2.1:5060".parse().unwrap() };
        let error = Sockets::bind([binding]).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:5060: no interface of this host has that address"), "{error}");
    }
}
