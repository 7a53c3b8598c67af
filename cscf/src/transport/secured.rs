//! Security associations as the transport layer knows them: between which ports protected messages travel
//! (TS 33.203 §7.1).
//!
//! A set is named by the SPI of our server port. Datagrams leave from our client port for the server port of the peer,
//! responses too, whatever rport says. A connection that the peer opened carries its own responses; everything else goes
//! by one that we open from the client port.

use crate::flow::Flow;
use ipsec::{SaSet, Spi};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The ends of the associations of one set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Our protected server port.
    pub(super) server: SocketAddr,
    /// Our protected client port.
    pub(super) client: SocketAddr,
    /// The protected server port of the peer.
    pub(super) peer_server: SocketAddr,
    /// The protected client port of the peer.
    pub(super) peer_client: SocketAddr,
    /// The connection that we opened.
    pub(super) connection: Option<Flow>,
}

/// The sets of one transport layer.
#[derive(Debug, Default)]
pub(super) struct Secured {
    by_spi: BTreeMap<Spi, Ends>,
    by_ends: BTreeMap<(SocketAddr, SocketAddr), Spi>,
}

impl Secured {
    /// Takes a set; what has the same ends or name goes.
    pub(super) fn insert(&mut self, set: &SaSet) {
        let ends = Ends {
            server: SocketAddr::new(set.own_ip, set.own_server_port),
            client: SocketAddr::new(set.own_ip, set.own_client_port),
            peer_server: SocketAddr::new(set.peer_ip, set.peer_server_port),
            peer_client: SocketAddr::new(set.peer_ip, set.peer_client_port),
            connection: None,
        };
        self.remove(set.own_spi_s);
        self.by_spi.insert(set.own_spi_s, ends);
        for pair in ends.pairs() {
            self.by_ends.insert(pair, set.own_spi_s);
        }
    }

    /// Forgets a set.
    pub(super) fn remove(&mut self, spi: Spi) -> Option<Ends> {
        let ends = self.by_spi.remove(&spi)?;
        for pair in ends.pairs() {
            if self.by_ends.get(&pair) == Some(&spi) {
                self.by_ends.remove(&pair);
            }
        }
        Some(ends)
    }

    /// The set of this name.
    pub(super) fn get(&mut self, spi: Spi) -> Option<&mut Ends> {
        self.by_spi.get_mut(&spi)
    }

    /// The set whose association goes between a port of ours and one of the peer's.
    pub(super) fn between(&self, local: SocketAddr, remote: SocketAddr) -> Option<Spi> {
        self.by_ends.get(&(local, remote)).copied()
    }
}

impl Ends {
    /// What its associations go between.
    fn pairs(&self) -> [(SocketAddr, SocketAddr); 2] {
        [(self.server, self.peer_client), (self.client, self.peer_server)]
    }
}
