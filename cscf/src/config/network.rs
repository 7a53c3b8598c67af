//! `[diameter]`, `[trust]`, `[names]` and `[dns]`: the network around the functions.

use super::address::{DiameterPeer, Points, TrustedNet};
use super::ecscf::EcscfSection;
use super::hss::HssSection;
use super::icscf::IcscfSection;
use super::pcscf::PcscfSection;
use super::reader::{Fallback, Reader};
use super::scscf::ScscfSection;
use crate::flow::{Hop, Local};
use crate::identity::HomeNetwork;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

/// Diameter, at whoever speaks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiameterSection {
    /// Silence before a watchdog request is sent (RFC 3539 §3.4.1, Tw).
    pub watchdog: Duration,
    /// How long a request waits for its answer.
    pub request_timeout: Duration,
    /// Requests that wait for an answer, at most.
    pub pending_max: usize,
    /// How long to wait before a lost connection is opened again; doubled at each failure, up to 30 s.
    pub reconnect: Duration,
    /// The HSSs, or relays towards one, that the I- and S-CSCF connect to, in order of preference.
    pub hss: Vec<DiameterPeer>,
}

impl DiameterSection {
    pub(super) fn read(reader: &mut Reader<'_>, hss: &HssSection) -> DiameterSection {
        let own_hss = hss.listen.first().map(|point| DiameterPeer {
            host: hss.host.clone(),
            realm: hss.realm.clone(),
            address: point.address,
            transport: point.transport,
        });
        let seconds = Duration::from_secs;
        let mut section = reader.section("diameter");
        let read = DiameterSection {
            // RFC 3539 §3.4.1: 30 s by default, never below 6 s.
            watchdog: section.within("watchdog", seconds(30), seconds(6)..=seconds(300)),
            request_timeout: section.within(
                "request_timeout",
                seconds(5),
                Duration::from_millis(100)..=seconds(60),
            ),
            pending_max: section.within("pending_max", 10_000, 1..=1_000_000) as usize,
            reconnect: section.within("reconnect", seconds(1), Duration::from_millis(100)..=seconds(30)),
            hss: section.get("hss", Fallback::Derived(own_hss.into_iter().collect())),
        };
        section.end();
        read
    }
}

/// The trust domain (TS 24.229 §4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustSection {
    /// Who is inside.
    pub domain: Vec<TrustedNet>,
}

impl TrustSection {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        pcscf: &PcscfSection,
        icscf: &IcscfSection,
        scscf: &ScscfSection,
        ecscf: &EcscfSection,
    ) -> TrustSection {
        let mut own: Vec<TrustedNet> = Vec::new();
        let locals = pcscf
            .listen
            .iter()
            .chain(&pcscf.core_listen)
            .chain(&icscf.listen)
            .chain(&scscf.listen)
            .chain(&ecscf.listen);
        for Local { address, .. } in locals {
            // Whatever runs on this machine may use 127.0.0.1 or ::1, UEs too: there only the port tells them apart.
            let shared = ["127.0.0.1".parse(), "::1".parse()].contains(&Ok(address.ip()));
            let net = if shared { TrustedNet::socket(*address) } else { TrustedNet::host(address.ip()) };
            if !own.contains(&net) {
                own.push(net);
            }
        }
        let mut section = reader.section("trust");
        let read = TrustSection { domain: section.get("domain", Fallback::Derived(own)) };
        section.end();
        read
    }

    /// Whether `remote` is inside.
    pub fn contains(&self, remote: SocketAddr) -> bool {
        self.domain.iter().any(|net| net.contains(remote))
    }
}

/// The deployment's own names, then those of `[names]`, which win.
pub(super) fn read_names(
    reader: &mut Reader<'_>,
    home: &HomeNetwork,
    pcscf: &PcscfSection,
    icscf: &IcscfSection,
    scscf: &ScscfSection,
    ecscf: &EcscfSection,
) -> BTreeMap<String, Vec<Hop>> {
    let hops = |locals: &[Local]| -> Vec<Hop> {
        locals.iter().map(|local| Hop { transport: local.transport, remote: local.address }).collect()
    };
    let pcscf_core = if pcscf.core_listen.is_empty() { &pcscf.listen } else { &pcscf.core_listen };
    let own = [
        // TS 23.003 §13.2: REGISTER and requests to a user of the home network enter it at an I-CSCF.
        (home.domain(), hops(&icscf.listen)),
        (pcscf.host.as_str(), hops(pcscf_core)),
        (&icscf.host, hops(&icscf.listen)),
        (&scscf.host, hops(&scscf.listen)),
    ];
    let own_ecscf = (!ecscf.listen.is_empty()).then(|| (ecscf.host.as_str(), hops(&ecscf.listen)));
    let mut section = reader.section("names");
    let written = section.entries::<Points>();
    let mut names: BTreeMap<String, Vec<Hop>> =
        written.into_iter().map(|(name, points)| (name.to_ascii_lowercase(), points.0)).collect();
    for (name, hops) in own.into_iter().chain(own_ecscf) {
        if let Entry::Vacant(vacant) = names.entry(name.to_ascii_lowercase()) {
            section.derived(&format!("\"{}\"", vacant.key()), &Points(hops.clone()));
            vacant.insert(hops);
        }
    }
    section.end();
    names
}

/// DNS for the names that are not known statically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSection {
    /// The servers; empty means those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long a server may stay silent.
    pub timeout: Duration,
}

impl DnsSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> DnsSection {
        let mut section = reader.section("dns");
        let read = DnsSection {
            servers: section.get("servers", Fallback::Default(Vec::new())),
            timeout: section.within(
                "timeout",
                Duration::from_secs(2),
                Duration::from_millis(100)..=Duration::from_secs(30),
            ),
        };
        section.end();
        read
    }
}
