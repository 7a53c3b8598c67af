//! Addresses in a configuration: listening points, trusted networks, Diameter peers, store URLs.

use super::value::Fault;
use crate::flow::{Hop, Local, Side, Transport};
use diameter_client::endpoint::StreamTransport;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// A list of SIP addresses, each written `udp:ip:port`, `tcp:ip:port`, `tls:ip:port`, or `ip:port` for UDP and TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Points(pub Vec<Hop>);

impl Points {
    /// UDP and TCP on one address.
    pub fn both(address: SocketAddr) -> Points {
        Points(vec![
            Hop { transport: Transport::Udp, remote: address },
            Hop { transport: Transport::Tcp, remote: address },
        ])
    }

    /// The listening points of one side.
    pub fn locals(&self, side: Side) -> Vec<Local> {
        self.0.iter().map(|hop| Local { side, transport: hop.transport, address: hop.remote }).collect()
    }

    pub(super) fn add(&mut self, text: &str) -> Result<(), Fault> {
        let (transports, address): (&[Transport], &str) = match text.split_once(':') {
            Some(("udp", address)) => (&[Transport::Udp], address),
            Some(("tcp", address)) => (&[Transport::Tcp], address),
            Some(("tls", address)) => (&[Transport::Tls], address),
            _ => (&[Transport::Udp, Transport::Tcp], text),
        };
        let remote = address.parse().map_err(|_| {
            Fault::new(
                format!("\"{text}\" is not a SIP address"),
                "write \"192.0.2.1:5060\" for UDP and TCP, or \"udp:192.0.2.1:5060\", \"tcp:[2001:db8::1]:5060\", \"tls:192.0.2.1:5061\"",
            )
        })?;
        self.0.extend(transports.iter().map(|&transport| Hop { transport, remote }));
        Ok(())
    }

    /// The shortest texts that say the same.
    pub(super) fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let mut rest = self.0.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            match behind.split_first() {
                Some((second, behind)) if both(first.remote) == [*first, *second] => {
                    texts.push(first.remote.to_string());
                    rest = behind;
                }
                _ => {
                    texts.push(first.to_string());
                    rest = behind;
                }
            }
        }
        texts
    }
}

fn both(address: SocketAddr) -> [Hop; 2] {
    [Transport::Udp, Transport::Tcp].map(|transport| Hop { transport, remote: address })
}

/// A part of the trust domain: a network, or one address, or one port of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedNet {
    /// The address, or the first one of the network.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
    /// Only this port, when given. A connection that a peer opens comes from any port: give the port only where hosts
    /// inside and outside share an address.
    pub port: Option<u16>,
}

impl TrustedNet {
    /// One host, with any port.
    pub fn host(address: IpAddr) -> TrustedNet {
        TrustedNet { address, prefix: bits(address), port: None }
    }

    /// One port of one host.
    pub fn socket(address: SocketAddr) -> TrustedNet {
        TrustedNet { port: Some(address.port()), ..TrustedNet::host(address.ip()) }
    }

    /// Whether `remote` lies in it. An IPv4 address that came in on an IPv6 socket counts as IPv4.
    pub fn contains(&self, remote: SocketAddr) -> bool {
        let masked = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => (32, u128::from(address.to_bits()) & mask(self.prefix, 32)),
            IpAddr::V6(address) => (128, address.to_bits() & mask(self.prefix, 128)),
        };
        masked(self.address) == masked(remote.ip()) && self.port.is_none_or(|port| port == remote.port())
    }

    pub(super) fn from_text(text: &str) -> Result<TrustedNet, Fault> {
        let fault = || {
            Fault::new(
                format!("\"{text}\" is no address, network, or address with port"),
                "write \"192.0.2.1\", \"10.0.0.0/8\" or \"192.0.2.1:5060\"",
            )
        };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(TrustedNet::host(address.to_canonical()));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(TrustedNet::socket(address));
        }
        let (address, prefix) = text.split_once('/').ok_or_else(fault)?;
        let (address, prefix) = (address.parse::<IpAddr>(), prefix.parse::<u8>());
        match (address, prefix) {
            (Ok(address), Ok(prefix)) if prefix <= bits(address) => {
                Ok(TrustedNet { address, prefix, port: None })
            }
            _ => Err(fault()),
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The `prefix` leading ones of a word of `width` bits.
fn mask(prefix: u8, width: u32) -> u128 {
    let zeros = width.saturating_sub(u32::from(prefix));
    u128::MAX.checked_shl(zeros).unwrap_or(0) & (u128::MAX >> (128 - width))
}

impl fmt::Display for TrustedNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::new(self.address, port)),
            None if self.prefix == bits(self.address) => write!(f, "{}", self.address),
            None => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

/// Where Diameter is spoken, written `ip:port` for TCP or `sctp:ip:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiameterPoint {
    /// What connections run over.
    pub transport: StreamTransport,
    /// The address.
    pub address: SocketAddr,
}

impl DiameterPoint {
    /// A point of TCP.
    pub const fn tcp(address: SocketAddr) -> DiameterPoint {
        DiameterPoint { transport: StreamTransport::Tcp, address }
    }

    pub(super) fn from_text(text: &str) -> Result<DiameterPoint, Fault> {
        let (transport, address) = match text.split_once(':') {
            Some(("sctp", address)) => (StreamTransport::Sctp, address),
            Some(("tcp", address)) => (StreamTransport::Tcp, address),
            _ => (StreamTransport::Tcp, text),
        };
        match address.parse() {
            Ok(address) => Ok(DiameterPoint { transport, address }),
            Err(_) => Err(Fault::new(
                format!("\"{text}\" is not an address with a port"),
                "write \"192.0.2.1:3868\" or \"[2001:db8::1]:3868\", with \"sctp:\" before it for SCTP",
            )),
        }
    }
}

impl fmt::Display for DiameterPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            StreamTransport::Tcp => write!(f, "{}", self.address),
            StreamTransport::Sctp | StreamTransport::Tls => write!(f, "{}:{}", self.transport, self.address),
        }
    }
}

/// A Diameter peer to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiameterPeer {
    /// Its Diameter identity.
    pub host: String,
    /// Its realm.
    pub realm: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What the connection runs over.
    pub transport: StreamTransport,
}

impl DiameterPeer {
    /// Where it listens, and for what.
    pub const fn point(&self) -> DiameterPoint {
        DiameterPoint { transport: self.transport, address: self.address }
    }
}

/// Where the HSS keeps its subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// In memory only.
    Memory,
    /// In a SQLite file.
    Sqlite(PathBuf),
    /// In a PostgreSQL database; the whole URL.
    Postgres(String),
}

impl StoreUrl {
    pub(super) fn from_text(text: &str) -> Result<StoreUrl, Fault> {
        match text.split_once(':') {
            None if text == "memory" => Ok(StoreUrl::Memory),
            Some(("sqlite", path)) if !path.is_empty() => Ok(StoreUrl::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", _)) => Ok(StoreUrl::Postgres(text.to_owned())),
            _ => Err(Fault::new(
                format!("\"{text}\" names no store"),
                "write \"memory\", \"sqlite:hss.db\" or \"postgres://user@host/database\"",
            )),
        }
    }

    /// The same with a relative path taken from `directory`.
    pub(super) fn beside(self, directory: &Path) -> StoreUrl {
        match self {
            StoreUrl::Sqlite(path) => StoreUrl::Sqlite(directory.join(path)),
            other => other,
        }
    }
}

impl fmt::Display for StoreUrl {
    /// Without the password of a database.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Memory => f.write_str("memory"),
            StoreUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            StoreUrl::Postgres(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                match rest.rsplit_once('@') {
                    Some((user, host)) => {
                        let name = user.split(':').next().unwrap_or("");
                        write!(f, "{scheme}://{name}@{host}")
                    }
                    None => write!(f, "{scheme}://{rest}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(text: &str) -> TrustedNet {
        TrustedNet::from_text(text).unwrap_or_else(|fault| panic!("{}", fault.message))
    }

    #[test]
    fn a_trusted_network_holds_its_own_addresses_only() {
        for (net, inside, outside) in [
            ("127.0.0.10", "127.0.0.10:9", "127.0.0.11:9"),
            ("10.0.0.0/8", "10.255.0.1:5060", "11.0.0.1:5060"),
            ("192.0.2.128/25", "192.0.2.200:1", "192.0.2.1:1"),
            ("127.0.0.1:5060", "127.0.0.1:5060", "127.0.0.1:5061"),
            ("2001:db8::/32", "[2001:db8:1::1]:5060", "[2001:db9::1]:5060"),
            ("[2001:db8::1]:4060", "[2001:db8::1]:4060", "[2001:db8::1]:4061"),
            ("10.0.0.0/8", "[::ffff:10.1.1.1]:1", "[::ffff:11.1.1.1]:1"),
        ] {
            assert!(trusted(net).contains(inside.parse().unwrap()), "{inside} in {net}");
            assert!(!trusted(net).contains(outside.parse().unwrap()), "{outside} in {net}");
            assert_eq!(trusted(net).to_string(), net);
        }
        assert!(trusted("0.0.0.0/0").contains("198.51.100.1:1".parse().unwrap()));
        assert!(!trusted("0.0.0.0/0").contains("[2001:db8::1]:1".parse().unwrap()), "another family");
        for wrong in ["", "10.0.0.0/33", "host", "10.0.0/8", "::/129", "1.2.3.4:99999"] {
            assert!(TrustedNet::from_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_point_without_a_transport_is_both_of_them() {
        let mut points = Points::default();
        let texts = ["127.0.0.1:5060", "tcp:[::1]:5060", "udp:127.0.0.2:5070", "tls:127.0.0.1:5061"];
        for text in texts {
            points.add(text).unwrap_or_else(|fault| panic!("{}", fault.message));
        }
        assert_eq!(points.0.len(), 5);
        assert_eq!(points.texts(), texts);
        assert!(points.add("ws:127.0.0.1:5061").is_err());
        assert!(points.add("127.0.0.1").is_err());
    }

    #[test]
    fn a_diameter_point_is_tcp_unless_it_says_sctp() {
        for (text, transport, shown) in [
            ("127.0.0.13:3868", StreamTransport::Tcp, "127.0.0.13:3868"),
            ("tcp:[::1]:3868", StreamTransport::Tcp, "[::1]:3868"),
            ("sctp:127.0.0.13:3868", StreamTransport::Sctp, "sctp:127.0.0.13:3868"),
            ("sctp:[2001:db8::1]:3868", StreamTransport::Sctp, "sctp:[2001:db8::1]:3868"),
        ] {
            let point = DiameterPoint::from_text(text).unwrap_or_else(|fault| panic!("{}", fault.message));
            assert_eq!((point.transport, point.to_string().as_str()), (transport, shown));
        }
        for wrong in ["sctp:", "sctp:127.0.0.13", "udp:127.0.0.13:3868", "SCTP:127.0.0.13:3868"] {
            let remedy = DiameterPoint::from_text(wrong).map_err(|fault| fault.remedy);
            assert!(remedy.is_err_and(|remedy| remedy.contains("\"sctp:\"")), "{wrong}");
        }
    }

    #[test]
    fn a_store_url_prints_without_its_password() {
        let url = StoreUrl::from_text("postgres://ims:secret@db.example/hss").unwrap_or(StoreUrl::Memory);
        assert_eq!(url.to_string(), "postgres://ims@db.example/hss");
        assert!(StoreUrl::from_text("mysql://x").is_err());
        assert!(StoreUrl::from_text("sqlite:").is_err());
    }
}
