//! `[ipsec]`: security associations between UEs and the P-CSCF (TS 33.203).

use super::reader::{Fallback, Reader};
use super::value::{
    EmergencyPolicy, Fault, ListedMechanisms, SecurityBackEnd, SecurityPolicy, SecurityProfile,
};
use crate::flow::{Local, Side, Transport};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// The section of security associations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpsecSection {
    /// Whether UEs use them.
    pub policy: SecurityPolicy,
    /// Who does ESP.
    pub back_end: SecurityBackEnd,
    /// Which algorithms are allowed.
    pub profile: SecurityProfile,
    /// What Security-Server lists.
    pub listed: ListedMechanisms,
    /// The protected server port, one for all UEs: `port-ps` of TS 33.203 §7.1.
    pub server_port: u16,
    /// The ring of protected client ports, shared by all UEs: `port-pc`. At least two.
    pub client_ports: Vec<u16>,
    /// Where ESP in UDP is taken, of UEs behind a NAT (TS 33.203 Annex M); 0: nowhere.
    pub nat_port: u16,
    /// Which emergency requests go on.
    pub emergency: EmergencyPolicy,
}

impl IpsecSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> IpsecSection {
        let mut section = reader.section("ipsec");
        let ports = 1..=u32::from(u16::MAX);
        let client_ports = section.get::<Vec<u32>>("client_ports", Fallback::Default(vec![5100, 5101, 5102]));
        let read = IpsecSection {
            policy: section.get("policy", Fallback::Default(SecurityPolicy::Off)),
            back_end: section.get("back_end", Fallback::Default(SecurityBackEnd::Xfrm)),
            profile: section.get("profile", Fallback::Default(SecurityProfile::Permissive)),
            listed: section.get("security_server", Fallback::Default(ListedMechanisms::All)),
            server_port: section.within("server_port", 6100, ports.clone()) as u16,
            client_ports: client_ports.iter().filter_map(|port| u16::try_from(*port).ok()).collect(),
            nat_port: section.within("nat_port", 4500, 0..=u32::from(u16::MAX)) as u16,
            emergency: section.get("emergency", Fallback::Default(EmergencyPolicy::Any)),
        };
        section.end();
        let mut distinct = read.client_ports.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let is_ring = distinct.len() == client_ports.len()
            && distinct.len() >= 2
            && !distinct.contains(&0)
            && !distinct.contains(&read.server_port);
        if !is_ring {
            let fault = Fault::new(
                "is no ring of ports",
                "name two or more different ports that are not the server port, as in [5100, 5101, 5102]",
            );
            reader.reject("ipsec", "client_ports", fault);
        }
        read
    }

    /// Whether the P-CSCF has protected ports.
    pub fn is_on(&self) -> bool {
        self.policy != SecurityPolicy::Off
    }

    /// The port of ESP in UDP, where UEs behind a NAT are served: by our own ESP.
    pub fn tunnel_port(&self) -> Option<u16> {
        let has_tunnels = self.is_on() && self.back_end == SecurityBackEnd::Userspace;
        Some(self.nat_port).filter(|port| has_tunnels && *port != 0)
    }

    /// Where ESP in UDP is taken, at the addresses of `listen`.
    pub fn tunnels(&self, listen: &[Local]) -> Vec<SocketAddr> {
        let port = self.tunnel_port();
        let addresses = port
            .into_iter()
            .flat_map(|port| listen.iter().map(move |local| SocketAddr::new(local.address.ip(), port)));
        addresses.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The protected ports at the addresses of `listen`, the server port first; none when they are off.
    pub fn locals(&self, listen: &[Local]) -> Vec<Local> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for local in listen.iter().filter(|_| self.is_on()) {
            if !addresses.contains(&local.address.ip()) {
                addresses.push(local.address.ip());
            }
        }
        let at = |transport, ip, port| Local {
            side: Side::Protected,
            transport,
            address: SocketAddr::new(ip, port),
        };
        addresses
            .into_iter()
            .flat_map(|ip| {
                let server =
                    [Transport::Udp, Transport::Tcp].map(|transport| at(transport, ip, self.server_port));
                let clients = self.client_ports.iter().map(move |port| at(Transport::Udp, ip, *port));
                server.into_iter().chain(clients)
            })
            .collect()
    }
}
