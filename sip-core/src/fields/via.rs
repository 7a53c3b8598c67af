//! Via: the way back of a response (RFC 3261 §20.42, RFC 3581).

use super::FieldError;
use crate::grammar::{self, Params, take_token, trim, trim_start};
use crate::name::Name;
use crate::uri::Host;
use std::net::IpAddr;

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The transport that the request was sent over.
    pub transport: Transport<'a>,
    /// The host of sent-by as it stands, an IPv6 address in brackets.
    pub host: &'a [u8],
    /// The port of sent-by, when given.
    pub port: Option<u16>,
    sent_by: Host<'a>,
    params: Params<'a>,
    /// The parameters that every element asks for, found when they were judged.
    branch: Option<&'a [u8]>,
    received: Option<&'a [u8]>,
    rport: Option<&'a [u8]>,
}

/// A transport protocol as Via spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport<'a> {
    /// `UDP`
    Udp,
    /// `TCP`
    Tcp,
    /// `TLS`, over TCP
    Tls,
    /// `SCTP`
    Sctp,
    /// `WS` (RFC 7118)
    Ws,
    /// `WSS` (RFC 7118)
    Wss,
    /// Another token.
    Other(&'a [u8]),
}

impl<'a> Transport<'a> {
    /// The transport that `token` spells, in any case.
    pub fn from_token(token: &'a [u8]) -> Transport<'a> {
        const KNOWN: [Transport<'static>; 6] =
            [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Sctp, Transport::Ws, Transport::Wss];
        for known in KNOWN {
            if known.as_bytes().eq_ignore_ascii_case(token) {
                return known;
            }
        }
        Transport::Other(token)
    }

    /// The transport as Via spells it.
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Transport::Udp => b"UDP",
            Transport::Tcp => b"TCP",
            Transport::Tls => b"TLS",
            Transport::Sctp => b"SCTP",
            Transport::Ws => b"WS",
            Transport::Wss => b"WSS",
            Transport::Other(token) => token,
        }
    }

    /// Whether the transport delivers in order and without loss (RFC 3261 §17: retransmissions are off).
    pub fn is_reliable(&self) -> bool {
        !matches!(self, Transport::Udp | Transport::Other(_))
    }
}

impl<'a> Via<'a> {
    /// Reads one Via value.
    pub fn parse(value: &'a [u8]) -> Result<Via<'a>, FieldError> {
        Via::read(trim(value)).ok_or(FieldError::syntax(Name::Via))
    }

    fn read(value: &'a [u8]) -> Option<Via<'a>> {
        let (protocol, rest) = take_token(value);
        let (version, rest) = take_token(trim_start(trim_start(rest).strip_prefix(b"/")?));
        let (transport, rest) = take_token(trim_start(trim_start(rest).strip_prefix(b"/")?));
        if !protocol.eq_ignore_ascii_case(b"SIP") || version != b"2.0" || transport.is_empty() {
            return None;
        }
        let sent_by = trim_start(rest);
        if sent_by.len() == rest.len() {
            return None;
        }
        let host_end = match sent_by.first()? {
            b'[' => memchr::memchr(b']', sent_by)? + 1,
            _ => sent_by
                .iter()
                .position(|byte| matches!(byte, b':' | b';') || grammar::is_lws(*byte))
                .unwrap_or(sent_by.len()),
        };
        let (host, rest) = sent_by.split_at(host_end);
        let sent_by = Host::parse(host)?;
        let (port, rest) = match trim_start(rest).strip_prefix(b":") {
            None => (None, rest),
            Some(rest) => {
                let rest = trim_start(rest);
                let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
                (Some(u16::try_from(grammar::number(&rest[..end])?).ok()?), &rest[end..])
            }
        };
        let (mut branch, mut received, mut rport) = (None, None, None);
        let params = Params::parse_each(rest, |name, value| {
            let slot = match name.len() {
                6 if name.eq_ignore_ascii_case(b"branch") => &mut branch,
                8 if name.eq_ignore_ascii_case(b"received") => &mut received,
                5 if name.eq_ignore_ascii_case(b"rport") => &mut rport,
                _ => return,
            };
            // Of a name given twice the first counts, as in `Params::get`.
            slot.get_or_insert(value.unwrap_or(b""));
        })?;
        let transport = Transport::from_token(transport);
        Some(Via { transport, host, port, sent_by, params, branch, received, rport })
    }

    /// The host of sent-by, read.
    pub fn sent_by(&self) -> Host<'a> {
        self.sent_by
    }

    /// The branch; `None` when absent or empty.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.branch.filter(|branch| !branch.is_empty())
    }

    /// Whether the branch is one that names its transaction: the magic cookie and something behind it
    /// (RFC 3261 §8.1.1.7).
    pub fn is_rfc3261_branch(&self) -> bool {
        self.branch().is_some_and(|branch| {
            branch.len() > MAGIC_COOKIE.len()
                && branch[..MAGIC_COOKIE.len()].eq_ignore_ascii_case(MAGIC_COOKIE)
        })
    }

    /// The `received` parameter as it stands.
    pub fn received(&self) -> Option<&'a [u8]> {
        self.received
    }

    /// The `received` address; IPv6 is read with and without brackets (RFC 5118 §4.5).
    pub fn received_ip(&self) -> Option<IpAddr> {
        let text = self.received()?;
        let bare = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")).unwrap_or(text);
        std::str::from_utf8(bare).ok()?.parse().ok()
    }

    /// The `rport` parameter (RFC 3581): `None` when absent, `Some(None)` as a client sends it, `Some(Some(port))` as
    /// a server filled it in.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.rport.map(|port| grammar::number(port).and_then(|port| u16::try_from(port).ok()))
    }

    /// A parameter as it stands; `""` for a flag.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.params.get(name)
    }

    /// The parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }
}

/// What begins every branch of an RFC 3261 element.
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_via_comes_apart_however_it_is_spaced() {
        let via =
            Via::parse(b"SIP  / 2.0\r\n /\tudp\r\n  [2001:db8::9] : 5070 ;\r\n branch = z9hG4bKx;rport")
                .unwrap();
        assert_eq!(via.transport, Transport::Udp);
        assert_eq!(via.host, b"[2001:db8::9]");
        assert_eq!(via.sent_by().ip(), Some("2001:db8::9".parse().unwrap()));
        assert_eq!(via.port, Some(5070));
        assert_eq!(via.branch(), Some(&b"z9hG4bKx"[..]));
        assert_eq!(via.rport(), Some(None));
        assert!(via.is_rfc3261_branch());
    }

    #[test]
    fn what_a_server_filled_in_is_read() {
        let via = Via::parse(b"SIP/2.0/TLS h;received=[2001:db8::1];rport=99;branch=z9hG4bK").unwrap();
        assert_eq!(via.received_ip(), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(via.rport(), Some(Some(99)));
        assert!(!via.is_rfc3261_branch(), "the cookie alone names no transaction");
        assert!(via.transport.is_reliable());
    }

    #[test]
    fn broken_vias_are_refused() {
        let broken = [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 h",
            "SIP/1.0/UDP h",
            "HTTP/2.0/UDP h",
            "SIP/2.0/ h",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP h:65536",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP h;;",
            "SIP/2.0/UDP h h2",
            "SIP/2.0/UDP h, SIP/2.0/UDP h2",
        ];
        for text in broken {
            assert!(Via::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn of_a_parameter_given_twice_the_first_counts() {
        let via =
            Via::parse(b"SIP/2.0/UDP h;BRANCH=z9hG4bK1;rport;branch=z9hG4bK2;RPort=7;received=a").unwrap();
        assert_eq!(
            (via.branch(), via.rport(), via.received()),
            (Some(&b"z9hG4bK1"[..]), Some(None), Some(&b"a"[..]))
        );
        assert_eq!(via.param(b"branch"), via.branch());
    }

    #[test]
    fn a_transport_nobody_knows_is_kept() {
        let via = Via::parse(b"SIP/2.0/CARRIER h").unwrap();
        assert_eq!(via.transport, Transport::Other(b"CARRIER"));
    }
}
