//! Where the UEs are: an address and port of its own for each.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Addresses and ports of UEs.
///
/// A P-CSCF tells UEs apart by source address and port. On loopback every address of 127.0.0.0/8 is ours, so all UEs
/// share one port, and thereby one socket; with one address, each UE has a port and a socket of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The first address.
    first: IpAddr,
    /// How many follow each other from there; at least one.
    count: u32,
    /// The port of each socket.
    ports: Vec<u16>,
}

/// A network that UEs are in, as it is written: `127.64.0.0/10`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first usable address.
    pub first: IpAddr,
    /// How many there are.
    pub count: u32,
}

impl Network {
    /// Where UEs are by default: at the P-CSCF's side of the world.
    pub fn towards(pcscf: IpAddr, local: IpAddr) -> Network {
        match pcscf {
            IpAddr::V4(ip) if ip.is_loopback() => Network::LOOPBACK,
            _ => Network { first: local, count: 1 },
        }
    }

    /// Loopback addresses that nobody configures: 127.64.0.0/10.
    const LOOPBACK: Network =
        Network { first: IpAddr::V4(Ipv4Addr::new(127, 64, 0, 1)), count: (1 << 22) - 2 };

    /// A network as it is written.
    pub fn parse(text: &str) -> Result<Network, String> {
        let wrong = || format!("`{text}` is neither an address nor an IPv4 network such as 127.64.0.0/10");
        let Some((ip, bits)) = text.split_once('/') else {
            return Ok(Network { first: text.parse().map_err(|_| wrong())?, count: 1 });
        };
        let ip: Ipv4Addr = ip.parse().map_err(|_| wrong())?;
        let bits: u32 = bits.parse().map_err(|_| wrong())?;
        match bits {
            32 => Ok(Network { first: ip.into(), count: 1 }),
            // Without the first and the last address, which are the network's own.
            8..=30 => {
                let size = 1u32 << (32 - bits);
                let first = Ipv4Addr::from_bits((ip.to_bits() & !(size - 1)) + 1);
                Ok(Network { first: first.into(), count: size - 2 })
            }
            _ => Err(wrong()),
        }
    }

    /// How many sockets so many UEs need.
    pub fn sockets(&self, ues: usize) -> usize {
        ues.div_ceil(self.count as usize).max(1)
    }
}

/// Where a UE sends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which UE.
    pub ue: u32,
    /// Which socket.
    pub socket: usize,
    /// The address, as the P-CSCF sees it.
    pub address: SocketAddr,
}

impl Sources {
    /// The UEs of a network behind sockets of these ports, of which there is at least one.
    pub fn new(network: Network, ports: Vec<u16>) -> Sources {
        assert!(!ports.is_empty(), "UEs need a socket");
        Sources { first: network.first, count: network.count, ports }
    }

    /// Where a UE is.
    pub fn of(&self, ue: u32) -> Source {
        let socket = (ue / self.count) as usize % self.ports.len();
        let ip = match self.first {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits().wrapping_add(ue % self.count)).into(),
            first => first,
        };
        Source { ue, socket, address: SocketAddr::new(ip, self.ports[socket]) }
    }

    /// The UE that is at an address.
    pub fn at(&self, address: SocketAddr) -> Option<Source> {
        let socket = self.ports.iter().position(|own| *own == address.port())?;
        let offset = match (self.first, address.ip()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => ip.to_bits().checked_sub(first.to_bits())?,
            (first, ip) => (first == ip).then_some(0)?,
        };
        let before = u32::try_from(socket).ok()?.checked_mul(self.count)?;
        (offset < self.count).then_some(Source { ue: before.checked_add(offset)?, socket, address })
    }

    /// Whether datagrams must name their source: one socket stands for many addresses.
    pub fn has_many_addresses(&self) -> bool {
        self.count > 1
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", SocketAddr::new(self.first, self.ports[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sources: &Sources, ue: u32) -> (usize, String) {
        let source = sources.of(ue);
        (source.socket, source.address.to_string())
    }

    #[test]
    fn ues_on_loopback_share_a_port_and_have_an_address_each() {
        let pcscf = "127.0.0.10".parse().unwrap();
        let network = Network::towards(pcscf, pcscf);
        assert_eq!(network.sockets(1_000_000), 1);
        let sources = Sources::new(network, vec![5060]);
        assert_eq!(at(&sources, 0), (0, "127.64.0.1:5060".to_owned()));
        assert_eq!(at(&sources, 256), (0, "127.64.1.1:5060".to_owned()));
        assert_eq!(at(&sources, 999_999), (0, "127.79.66.64:5060".to_owned()));
    }

    #[test]
    fn ues_of_one_address_have_a_port_each() {
        let network = Network::parse("192.0.2.7").unwrap();
        assert_eq!(network.sockets(3), 3);
        let sources = Sources::new(network, vec![1001, 1002, 1003]);
        assert_eq!(at(&sources, 2), (2, "192.0.2.7:1003".to_owned()));
        assert_eq!(sources.at("192.0.2.7:1002".parse().unwrap()), Some(sources.of(1)));
        assert_eq!(sources.at("192.0.2.8:1002".parse().unwrap()), None);
        assert!(!sources.has_many_addresses());
    }

    #[test]
    fn a_small_network_begins_a_second_port_when_it_is_full() {
        let network = Network::parse("127.9.9.0/30").unwrap();
        assert_eq!((network.count, network.sockets(5)), (2, 3));
        let sources = Sources::new(network, vec![1, 2, 3]);
        let all: Vec<_> = (0..5).map(|ue| at(&sources, ue).1).collect();
        assert_eq!(all, ["127.9.9.1:1", "127.9.9.2:1", "127.9.9.1:2", "127.9.9.2:2", "127.9.9.1:3"]);
        for ue in 0..5 {
            assert_eq!(sources.at(sources.of(ue).address), Some(sources.of(ue)));
        }
        assert_eq!(sources.at("127.9.9.3:1".parse().unwrap()), None, "outside of the network");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "x", "1.2.3.4/7", "1.2.3.4/31", "::1/64", "1.2.3.4/33"] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }
}
