//! A UE behind a NAT (TS 24.229 Annex F, TS 33.203 Annex M): it calls itself by an address that its packets do not come from.
//! Pure.

use cscf::Source;
use ipsec::Mode;
use sip_core::{Message, Name, Uri};
use std::net::IpAddr;

/// The address that the sender of a message takes for its own, if its packets come from another one.
///
/// It is in the Via; where that has a name, in the Contact. In clear only: what comes through a tunnel is known by the address
/// of its NAT.
pub fn claimed(message: &Message, source: &Source) -> Option<IpAddr> {
    if source.secured.is_some() {
        return None;
    }
    let of_via = message.top_via().ok().and_then(|via| via.sent_by().ip());
    let claimed = of_via.or_else(|| of_contact(message))?.to_canonical();
    (claimed != source.remote.ip().to_canonical()).then_some(claimed)
}

fn of_contact(message: &Message) -> Option<IpAddr> {
    let (_, contact) = message.name_addrs(Name::Contact).next()?;
    match Uri::parse(contact.ok()?.uri()) {
        Ok(Uri::Sip(sip)) => sip.host.ip(),
        Ok(_) | Err(_) => None,
    }
}

/// What becomes of a UE whose ESP is to travel so: the words of a counter and of the log.
pub fn outlook(mode: Mode, is_behind_nat: bool, has_tunnels: bool) -> Option<(&'static str, &'static str)> {
    match (is_behind_nat, mode, has_tunnels) {
        (false, ..) => None,
        (true, Mode::UdpTunnel, _) => Some(("UDP-enc-tun", "its ESP comes in UDP")),
        (true, Mode::Transport, true) => Some((
            "no UDP-enc-tun offered",
            "it offers no UDP-enc-tun, and ESP in transport mode does not pass a NAT",
        )),
        (true, Mode::Transport, false) => Some((
            "no tunnels here",
            "UDP-enc-tun takes ipsec.back_end = \"userspace\" and an ipsec.nat_port, and ESP in transport mode does not pass a NAT",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::{Flow, ShardId, Transport, Trust};
    use ipsec::Spi;
    use sip_core::Limits;

    #[test]
    fn a_nat_shows_where_the_packets_come_from_elsewhere_than_the_ue_thinks() {
        let v4 = "203.0.113.7:1024";
        for (via, contact, remote, expected) in [
            ("192.168.1.2:5060", "192.168.1.2:5060", v4, Some("192.168.1.2")),
            // A port alone says nothing: RFC 3261 lets a UE send from any.
            ("203.0.113.7:5060", "192.168.1.2:5060", v4, None),
            ("ue.example.net", "192.168.1.2:5060", v4, Some("192.168.1.2")),
            ("ue.example.net", "ue.example.net", v4, None),
            ("[2001:db8::9]:5060", "[2001:db8::9]", "[2001:db8::9]:40000", None),
            ("[fd00::9]:5060", "[2001:db8::9]", "[2001:db8::9]:40000", Some("fd00::9")),
            ("203.0.113.7", "203.0.113.7", "[::ffff:203.0.113.7]:5060", None),
        ] {
            let text = format!(
                "REGISTER sip:home.net SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1\r\nContact: <sip:alice@{contact}>\r\n\r\n"
            );
            let message = Message::parse(text.into_bytes(), &Limits::default()).expect("a message");
            let source = Source {
                flow: Flow { shard: ShardId(0), slot: 0, generation: 0 },
                transport: Transport::Udp,
                local: "127.0.0.10:5060".parse().expect("an address"),
                remote: remote.parse().expect("an address"),
                trust: Trust::Outside,
                secured: None,
            };
            let expected = expected.map(|ip| ip.parse::<IpAddr>().expect("an address"));
            assert_eq!(claimed(&message, &source), expected, "{via} {contact} {remote}");
            assert_eq!(claimed(&message, &Source { secured: Some(Spi::MIN), ..source }), None);
        }
    }

    #[test]
    fn an_operator_is_told_what_a_nat_does_to_its_ue() {
        assert_eq!(outlook(Mode::Transport, false, true), None);
        for (mode, has_tunnels, counted) in [
            (Mode::UdpTunnel, true, "UDP-enc-tun"),
            (Mode::Transport, true, "no UDP-enc-tun offered"),
            (Mode::Transport, false, "no tunnels here"),
        ] {
            assert_eq!(outlook(mode, true, has_tunnels).map(|(counted, _)| counted), Some(counted));
        }
    }
}
