//! Which addresses belong to the trust domain (TS 24.229 §4.4): the `[trust]` section as a predicate.

use crate::config::TrustedNet;
use crate::flow::Trust;
use std::net::SocketAddr;

/// The addresses whose messages are believed: single ones, networks, and single ports of an address.
///
/// A port narrows an entry to what comes from that very port, which connections to us do not: it is for laboratories
/// where everything shares one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustList(Vec<TrustedNet>);

impl TrustList {
    /// Trusts nobody.
    pub fn none() -> TrustList {
        TrustList::default()
    }

    /// Trusts these.
    pub fn new(nets: Vec<TrustedNet>) -> TrustList {
        TrustList(nets)
    }

    /// How far a sender at `remote` is believed.
    pub fn trust(&self, remote: SocketAddr) -> Trust {
        match self.0.iter().any(|net| net.contains(remote)) {
            true => Trust::Domain,
            false => Trust::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_and_ports_are_told_apart() {
        let net =
            |address: &str, prefix, port| TrustedNet { address: address.parse().unwrap(), prefix, port };
        let list = TrustList::new(vec![
            net("127.0.0.10", 32, None),
            net("10.0.0.0", 8, None),
            net("2001:db8::", 32, None),
            net("192.0.2.1", 32, Some(5060)),
            net("::1", 128, Some(7)),
        ]);
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
        let list =
            TrustList::new(vec![TrustedNet { address: "0.0.0.0".parse().unwrap(), prefix: 0, port: None }]);
        assert_eq!(list.trust("203.0.113.9:1".parse().unwrap()), Trust::Domain);
        assert_eq!(list.trust("[2001:db8::1]:1".parse().unwrap()), Trust::Outside);
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        assert_eq!(TrustList::none().trust("127.0.0.1:5060".parse().unwrap()), Trust::Outside);
    }
}
