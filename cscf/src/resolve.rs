//! Where the next hop of a SIP URI is (RFC 3263 §4), as pure logic.
//!
//! [`hops`] answers what needs no name server: numeric hosts and the names of the configuration. Everything else becomes
//! a [`Lookup`], which a driver turns into hops by feeding record sets to a [`Resolution`].

mod names;
mod resolution;

pub use crate::query::Unresolved;
pub use names::StaticNames;
pub use resolution::{Naptr, Question, Records, Resolution, Srv, Step};

use crate::flow::{Hop, Transport};
use sip_core::uri::{Host, Uri};
use smallvec::{SmallVec, smallvec};
use std::net::SocketAddr;

/// The hops of one request: seldom more than two.
pub type Hops = SmallVec<[Hop; 2]>;

/// A name to look up in the DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The TARGET of RFC 3263 §4: the maddr parameter, else the host; lower case, without a final dot.
    pub name: String,
    /// The port that the URI names; it makes NAPTR and SRV records moot.
    pub port: Option<u16>,
    /// The transport that the URI names; it makes NAPTR records moot.
    pub transport: Option<Transport>,
    /// The transports of this node, the preferred one first; never empty.
    pub have: SmallVec<[Transport; 2]>,
}

/// What came of a URI without a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The hops in the order in which to try them; never empty.
    Hops(Hops),
    /// A name server must be asked.
    Ask(Lookup),
    /// The URI leads nowhere.
    Fail(Unresolved),
}

/// The hops of `uri`, by its own numbers or by `statics`; `have` lists the transports of this node, preferred one first.
///
/// `sips:` needs TLS on every hop (RFC 3261 §26.2.2): whatever transport it names, it is reached by TLS or not at all.
pub fn hops(uri: &Uri<'_>, statics: &StaticNames, have: &[Transport]) -> Resolved {
    let Uri::Sip(sip) = uri else {
        return no_transport("a URI that is not SIP");
    };
    let transport = match uri.param(b"transport") {
        _ if sip.secure && have.contains(&Transport::Tls) => Some(Transport::Tls),
        _ if sip.secure => return no_transport("sips URI"),
        None => None,
        Some(token) => match have.iter().find(|transport| is_token(token, **transport)) {
            Some(transport) => Some(*transport),
            None => return no_transport(&String::from_utf8_lossy(token)),
        },
    };
    let host = uri.param(b"maddr").and_then(Host::parse).unwrap_or(sip.host);
    destination(host, sip.port, transport, statics, have)
}

/// RFC 3263 §4.1 and §4.2 for a target that is an address, or else a name.
fn destination(
    host: Host<'_>,
    port: Option<u16>,
    transport: Option<Transport>,
    statics: &StaticNames,
    have: &[Transport],
) -> Resolved {
    let Some(default) = default_transport(have) else {
        return no_transport(&canonical_name(host.name().unwrap_or_default()));
    };
    if let Some(address) = host.ip() {
        // §4.1: a numeric target without a transport parameter is reached by UDP.
        let transport = transport.unwrap_or(default);
        let remote = SocketAddr::new(address, port.unwrap_or(transport.default_port()));
        return Resolved::Hops(smallvec![Hop { transport, remote }]);
    }
    let name = host.name().unwrap_or_default();
    if let Some(entries) = statics.entries(name) {
        let hops = names::choose(entries, port, transport, have);
        return match hops.is_empty() {
            true => no_transport(&canonical_name(name)),
            false => Resolved::Hops(hops),
        };
    }
    let name = canonical_name(name);
    // TLS is for those who ask for it: whoever writes `sip:` without a transport is not looked up as `sips`.
    let usual = have.iter().filter(|had| transport.is_some() || **had != Transport::Tls || have.len() == 1);
    Resolved::Ask(Lookup { name, port, transport, have: usual.copied().collect() })
}

/// UDP where the node has it (RFC 3263 §4.1), else what it has.
fn default_transport(have: &[Transport]) -> Option<Transport> {
    have.iter().copied().find(|transport| *transport == Transport::Udp).or(have.first().copied())
}

fn is_token(token: &[u8], transport: Transport) -> bool {
    token.eq_ignore_ascii_case(transport.uri_token().as_bytes())
}

fn no_transport(what: &str) -> Resolved {
    Resolved::Fail(Unresolved::NoTransport(what.to_owned()))
}

/// A host name as it is compared: lower case, without the dot of the root.
fn canonical_name(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[Transport] = &[Transport::Udp, Transport::Tcp];

    fn statics() -> StaticNames {
        let mut names = StaticNames::new();
        names.insert("icscf.home.example", hop("udp", "127.0.0.11:4060"));
        names.insert("icscf.home.example", hop("tcp", "127.0.0.11:4060"));
        names.insert("Udp-Only.home.example.", hop("udp", "[2001:db8::1]:5062"));
        names
    }

    fn hop(transport: &str, remote: &str) -> Hop {
        let transport = if transport == "udp" { Transport::Udp } else { Transport::Tcp };
        Hop { transport, remote: remote.parse().unwrap() }
    }

    fn outcome(uri: &str, have: &[Transport]) -> String {
        let parsed = Uri::parse(uri.as_bytes()).unwrap();
        match hops(&parsed, &statics(), have) {
            Resolved::Hops(hops) => hops.iter().map(Hop::to_string).collect::<Vec<_>>().join(" "),
            Resolved::Ask(Lookup { name, port, transport, .. }) => {
                format!("ask {name} port {port:?} transport {transport:?}")
            }
            Resolved::Fail(why) => format!("fail: {why}"),
        }
    }

    #[test]
    fn what_the_uri_or_the_configuration_says_needs_no_name_server() {
        for (uri, expected) in [
            ("sip:192.0.2.1", "udp:192.0.2.1:5060"),
            ("sip:192.0.2.1:5070", "udp:192.0.2.1:5070"),
            ("sip:192.0.2.1;transport=tcp", "tcp:192.0.2.1:5060"),
            ("sip:192.0.2.1:5070;transport=TCP", "tcp:192.0.2.1:5070"),
            ("sip:u@[2001:db8::9]:5070", "udp:[2001:db8::9]:5070"),
            ("sip:home.example;maddr=192.0.2.7", "udp:192.0.2.7:5060"),
            ("sip:home.example:5080;maddr=192.0.2.7;transport=tcp", "tcp:192.0.2.7:5080"),
            ("sip:192.0.2.1;maddr=icscf.home.example;transport=tcp", "tcp:127.0.0.11:4060"),
            ("sip:icscf.home.example", "udp:127.0.0.11:4060 tcp:127.0.0.11:4060"),
            ("sip:ICSCF.Home.Example.", "udp:127.0.0.11:4060 tcp:127.0.0.11:4060"),
            ("sip:icscf.home.example;transport=tcp", "tcp:127.0.0.11:4060"),
            ("sip:icscf.home.example:5099", "udp:127.0.0.11:5099"),
            ("sip:udp-only.home.example", "udp:[2001:db8::1]:5062"),
        ] {
            assert_eq!(outcome(uri, BOTH), expected, "{uri}");
        }
    }

    #[test]
    fn what_the_configuration_does_not_know_is_asked() {
        for (uri, expected) in [
            ("sip:Elsewhere.example.", "ask elsewhere.example port None transport None"),
            ("sip:elsewhere.example:5070", "ask elsewhere.example port Some(5070) transport None"),
            ("sip:a@elsewhere.example;transport=udp", "ask elsewhere.example port None transport Some(Udp)"),
        ] {
            assert_eq!(outcome(uri, BOTH), expected, "{uri}");
        }
    }

    #[test]
    fn a_transport_that_the_node_does_not_have_is_refused() {
        for (uri, have, expected) in [
            ("sips:192.0.2.1", BOTH, "fail: no common transport for sips URI"),
            ("sip:192.0.2.1;transport=tls", BOTH, "fail: no common transport for tls"),
            ("sip:192.0.2.1;transport=sctp", BOTH, "fail: no common transport for sctp"),
            ("sip:192.0.2.1;transport=tcp", &[Transport::Udp], "fail: no common transport for tcp"),
            (
                "sip:udp-only.home.example",
                &[Transport::Tcp],
                "fail: no common transport for udp-only.home.example",
            ),
            ("tel:+15551234", BOTH, "fail: no common transport for a URI that is not SIP"),
            ("sip:192.0.2.1", &[], "fail: no common transport for "),
        ] {
            assert_eq!(outcome(uri, have), expected, "{uri}");
        }
    }

    /// RFC 3263 §4.1, RFC 3261 §26.2.2.
    #[test]
    fn sips_and_a_uri_that_names_tls_go_by_tls_and_nothing_else_does() {
        const ALL: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls];
        for (uri, expected) in [
            ("sips:192.0.2.1", "tls:192.0.2.1:5061"),
            ("sips:192.0.2.1:5099;transport=tcp", "tls:192.0.2.1:5099"),
            ("sip:192.0.2.1;transport=tls", "tls:192.0.2.1:5061"),
            ("sip:192.0.2.1", "udp:192.0.2.1:5060"),
            ("sip:[2001:db8::1];transport=TLS", "tls:[2001:db8::1]:5061"),
            ("sips:icscf.home.example", "fail: no common transport for icscf.home.example"),
            ("sips:elsewhere.example", "ask elsewhere.example port None transport Some(Tls)"),
        ] {
            assert_eq!(outcome(uri, ALL), expected, "{uri}");
        }
        let Resolved::Ask(lookup) = hops(&Uri::parse(b"sip:elsewhere.example").unwrap(), &statics(), ALL)
        else {
            panic!("a name server is asked");
        };
        assert_eq!(lookup.have[..], *BOTH);
    }

    #[test]
    fn a_node_without_udp_reaches_a_numeric_host_by_what_it_has() {
        assert_eq!(outcome("sip:192.0.2.1", &[Transport::Tcp]), "tcp:192.0.2.1:5060");
    }
}
