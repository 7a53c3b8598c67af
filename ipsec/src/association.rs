//! The security associations of one agreement between a UE and its P-CSCF (TS 33.203 §7.1).
//!
//! Each end has a client and a server port and an SPI for what comes in at each. Packets go from the client port of the
//! one to the server port of the other; over TCP, the answers go back the same way.

use crate::agreement::Mode;
use crate::algorithm::Algorithms;
use crate::keys::Keys;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A security parameters index: with the address of the receiver it names an inbound association.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spi(u32);

impl Spi {
    /// The least one: 1 to 255 are reserved, and 0 is for local use (RFC 4303 §2.1).
    pub const MIN: Spi = Spi(256);

    /// The SPI of a number, if the number is not reserved.
    pub const fn new(number: u32) -> Option<Spi> {
        if number >= Spi::MIN.0 { Some(Spi(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spi({:#010x})", self.0)
    }
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Which way the packets of an association go, as this end sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the peer.
    Inbound,
    /// To the peer.
    Outbound,
}

/// What an association carries. One association carries both (TS 33.203 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl Protocol {
    /// Both.
    pub const ALL: [Protocol; 2] = [Protocol::Udp, Protocol::Tcp];

    /// The number in an IP header and in ESP's Next Header.
    pub const fn number(self) -> u8 {
        match self {
            Protocol::Udp => 17,
            Protocol::Tcp => 6,
        }
    }

    /// Reads the number of an IP header.
    pub fn from_number(number: u8) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.number() == number)
    }
}

/// The addresses and ports between which an association carries packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// This end.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// How ESP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// Transport mode, directly on IP: `mod=trans`.
    Transport,
    /// Tunnel mode in UDP, through a NAT: `mod=UDP-enc-tun` (TS 33.203 Annex M, RFC 3948).
    UdpTunnel {
        /// Where this end takes encapsulated packets.
        local: SocketAddr,
        /// Where those of the peer come from: the outer side of its NAT. Its port is 0 until something has come, for the NAT
        /// chooses it.
        remote: SocketAddr,
    },
}

impl Encapsulation {
    /// How packets travel, as SIP names it.
    pub const fn mode(&self) -> Mode {
        match self {
            Encapsulation::Transport => Mode::Transport,
            Encapsulation::UdpTunnel { .. } => Mode::UdpTunnel,
        }
    }
}

/// The four associations of one agreement, as one end sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaSet {
    /// The address of this end. Of the same family as the peer's.
    pub own_ip: IpAddr,
    /// The address of the peer.
    pub peer_ip: IpAddr,
    /// The protected client port of this end: `port-c`.
    pub own_client_port: u16,
    /// The protected server port of this end: `port-s`.
    pub own_server_port: u16,
    /// The protected client port of the peer.
    pub peer_client_port: u16,
    /// The protected server port of the peer.
    pub peer_server_port: u16,
    /// What comes in at our client port: the `spi-c` that we gave out.
    pub own_spi_c: Spi,
    /// What comes in at our server port: the `spi-s` that we gave out.
    pub own_spi_s: Spi,
    /// What goes to the client port of the peer: its `spi-c`.
    pub peer_spi_c: Spi,
    /// What goes to the server port of the peer: its `spi-s`.
    pub peer_spi_s: Spi,
    /// The pair that was agreed on.
    pub algorithms: Algorithms,
    /// The keys of the pair.
    pub keys: Keys,
    /// How ESP travels.
    pub encapsulation: Encapsulation,
    /// After how long a back end may drop the associations by itself, should nobody remove them before.
    ///
    /// TS 33.203 §7.1 gives them 2^32 - 1 seconds: SIP decides when they end.
    pub lifetime: Duration,
}

/// The longest lifetime (TS 33.203 §7.1).
pub const LIFETIME_MAX: Duration = Duration::from_secs(0xffff_ffff);

impl SaSet {
    /// The four associations: in at the server port, out from it, in at the client port, out from it.
    pub fn associations(&self) -> [Association; 4] {
        let between = |own: u16, peer: u16| Selector {
            local: SocketAddr::new(self.own_ip, own),
            remote: SocketAddr::new(self.peer_ip, peer),
        };
        let server = between(self.own_server_port, self.peer_client_port);
        let client = between(self.own_client_port, self.peer_server_port);
        let association = |spi, direction, selector| Association { spi, direction, selector };
        [
            association(self.own_spi_s, Direction::Inbound, server),
            association(self.peer_spi_c, Direction::Outbound, server),
            association(self.own_spi_c, Direction::Inbound, client),
            association(self.peer_spi_s, Direction::Outbound, client),
        ]
    }

    /// Whether this end is the one behind a NAT: it sends from another address than the one that it is known by, and keeps the
    /// NAT open (RFC 3948 §2.3).
    pub fn is_behind_nat(&self) -> bool {
        matches!(self.encapsulation, Encapsulation::UdpTunnel { local, .. } if local.ip() != self.own_ip)
    }

    /// The same agreement as the other end sees it.
    pub fn mirrored(&self) -> SaSet {
        SaSet {
            own_ip: self.peer_ip,
            peer_ip: self.own_ip,
            own_client_port: self.peer_client_port,
            own_server_port: self.peer_server_port,
            peer_client_port: self.own_client_port,
            peer_server_port: self.own_server_port,
            own_spi_c: self.peer_spi_c,
            own_spi_s: self.peer_spi_s,
            peer_spi_c: self.own_spi_c,
            peer_spi_s: self.own_spi_s,
            algorithms: self.algorithms,
            keys: self.keys.clone(),
            encapsulation: match self.encapsulation {
                Encapsulation::Transport => Encapsulation::Transport,
                Encapsulation::UdpTunnel { local, remote } => {
                    Encapsulation::UdpTunnel { local: remote, remote: local }
                }
            },
            lifetime: self.lifetime,
        }
    }
}

/// One unidirectional association. It carries UDP and TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Association {
    /// Chosen by the receiver.
    pub spi: Spi,
    /// Which way it carries packets.
    pub direction: Direction,
    /// Between what.
    pub selector: Selector,
}

impl Association {
    /// The sender of its packets.
    pub const fn source(&self) -> SocketAddr {
        match self.direction {
            Direction::Inbound => self.selector.remote,
            Direction::Outbound => self.selector.local,
        }
    }

    /// The receiver of its packets, whose SPI it is.
    pub const fn destination(&self) -> SocketAddr {
        match self.direction {
            Direction::Inbound => self.selector.local,
            Direction::Outbound => self.selector.remote,
        }
    }

    /// Whether both are the same association, seen from its two ends.
    pub fn is_mirror_of(&self, other: &Association) -> bool {
        self.spi == other.spi
            && self.direction != other.direction
            && self.source() == other.source()
            && self.destination() == other.destination()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::{Encryption, Integrity};

    fn spi(number: u32) -> Spi {
        Spi::new(number).expect("not reserved")
    }

    fn at_pcscf() -> SaSet {
        let algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
        SaSet {
            own_ip: IpAddr::from([192, 0, 2, 1]),
            peer_ip: IpAddr::from([192, 0, 2, 99]),
            own_client_port: 6101,
            own_server_port: 6100,
            peer_client_port: 31_000,
            peer_server_port: 31_001,
            own_spi_c: spi(1001),
            own_spi_s: spi(1002),
            peer_spi_c: spi(2001),
            peer_spi_s: spi(2002),
            algorithms,
            keys: Keys::derive(algorithms, [1; 16], [2; 16]),
            encapsulation: Encapsulation::Transport,
            lifetime: LIFETIME_MAX,
        }
    }

    /// TS 33.203 §7.1: the figure of the four associations, from the P-CSCF.
    #[test]
    fn packets_go_from_a_client_port_to_a_server_port_by_the_spi_of_the_receiver() {
        let drawn: Vec<_> = at_pcscf()
            .associations()
            .map(|sa| (sa.source().port(), sa.destination().port(), sa.spi.get()))
            .into_iter()
            .collect();
        assert_eq!(
            drawn,
            [(31_000, 6100, 1002), (6100, 31_000, 2001), (31_001, 6101, 1001), (6101, 31_001, 2002)]
        );
    }

    #[test]
    fn both_ends_see_the_same_four() {
        let (own, peer) = (at_pcscf().associations(), at_pcscf().mirrored().associations());
        for association in own {
            assert_eq!(peer.iter().filter(|other| association.is_mirror_of(other)).count(), 1);
        }
        assert_eq!(at_pcscf().mirrored().mirrored(), at_pcscf());
    }

    #[test]
    fn reserved_spis_are_none() {
        assert_eq!(Spi::new(255), None);
        assert_eq!(Spi::new(256), Some(Spi::MIN));
    }
}
