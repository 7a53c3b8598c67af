//! Which addresses belong to the trust domain (TS 24.229 §4.4): the `[trust]` section as a predicate.

use crate::flow::Trust;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The addresses whose messages are believed: single ones, networks, and single ports of an address.
///
/// A port narrows an entry to what comes from that very port, which connections to us do not: it is for laboratories
/// where everything shares one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustList(Vec<Entry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    network: IpAddr,
    /// Leading bits that must agree.
    prefix: u8,
    port: Option<u16>,
}

/// A text that names no address, network or port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustListError {
    /// The text.
    pub entry: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for TrustListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no trusted address: {}", self.entry, self.reason)
    }
}

impl std::error::Error for TrustListError {}

impl TrustList {
    /// Trusts nobody.
    pub fn none() -> TrustList {
        TrustList::default()
    }

    /// Reads `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1:5060` and `[2001:db8::1]:5060`.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<TrustList, TrustListError> {
        entries.into_iter().map(|entry| Entry::parse(entry.as_ref())).collect::<Result<_, _>>().map(TrustList)
    }

    /// Adds one address with every port.
    pub fn insert(&mut self, address: IpAddr) {
        self.0.push(Entry { network: address, prefix: bits(address), port: None });
    }

    /// How far a sender at `remote` is believed.
    pub fn trust(&self, remote: SocketAddr) -> Trust {
        match self.0.iter().any(|entry| entry.covers(remote)) {
            true => Trust::Domain,
            false => Trust::Outside,
        }
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Entry, TrustListError> {
        let wrong = |reason| TrustListError { entry: text.to_owned(), reason };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Entry { network: address, prefix: bits(address), port: None });
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Entry { network: socket.ip(), prefix: bits(socket.ip()), port: Some(socket.port()) });
        }
        let (network, prefix) =
            text.split_once('/').ok_or_else(|| wrong("write an IP address, ip/prefix or ip:port"))?;
        let network = network.parse().map_err(|_| wrong("what stands before the slash is no IP address"))?;
        let prefix = prefix.parse().map_err(|_| wrong("what stands behind the slash is no number"))?;
        if prefix > bits(network) {
            return Err(wrong("the prefix is longer than the address"));
        }
        Ok(Entry { network, prefix, port: None })
    }

    fn covers(&self, remote: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == remote.port())
            && match (self.network, remote.ip().to_canonical()) {
                (IpAddr::V4(network), IpAddr::V4(address)) => {
                    agree(u128::from(network.to_bits()), u128::from(address.to_bits()), 32 - self.prefix)
                }
                (IpAddr::V6(network), IpAddr::V6(address)) => {
                    agree(network.to_bits(), address.to_bits(), 128 - self.prefix)
                }
                _ => false,
            }
    }
}

fn agree(network: u128, address: u128, host_bits: u8) -> bool {
    (network ^ address).checked_shr(u32::from(host_bits)).unwrap_or(0) == 0
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_and_ports_are_told_apart() {
        let list =
            TrustList::parse(["127.0.0.10", "10.0.0.0/8", "2001:db8::/32", "192.0.2.1:5060", "[::1]:7"])
                .unwrap();
        for (remote, trusted) in [
            ("127.0.0.10:40000", true),
            ("127.0.0.11:40000", false),
            ("10.255.0.1:1", true),
            ("11.0.0.1:1", false),
            ("[::ffff:10.0.0.1]:1", true),
            ("[2001:db8:1::9]:1", true),
            ("[2001:db9::9]:1", false),
            ("192.0.2.1:5060", true),
            ("192.0.2.1:5061", false),
            ("[::1]:7", true),
            ("[::1]:8", false),
        ] {
            let trust = list.trust(remote.parse().unwrap());
            assert_eq!(trust == Trust::Domain, trusted, "{remote}");
        }
    }

    #[test]
    fn a_prefix_of_zero_covers_one_family_only() {
        let list = TrustList::parse(["0.0.0.0/0"]).unwrap();
        assert_eq!(list.trust("203.0.113.9:1".parse().unwrap()), Trust::Domain);
        assert_eq!(list.trust("[2001:db8::1]:1".parse().unwrap()), Trust::Outside);
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        assert_eq!(TrustList::none().trust("127.0.0.1:5060".parse().unwrap()), Trust::Outside);
    }

    #[test]
    fn nonsense_is_refused_with_its_text() {
        for entry in ["", "home.example", "10.0.0.0/33", "10.0.0.0/x", "x/8", "::/129"] {
            let error = TrustList::parse([entry]).unwrap_err();
            assert_eq!(error.entry, entry);
        }
    }
}
