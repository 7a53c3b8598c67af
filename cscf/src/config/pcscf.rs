//! `[pcscf]`: the P-CSCF (TS 24.229 §5.2).

use super::address::Points;
use super::ecscf::EcscfSection;
use super::reader::{Fallback, Reader};
use super::value::{EmergencyCallers, RouteEnforcement};
use crate::bucket::SHARDS_MAX;
use crate::flow::{Local, Side, Transport};
use crate::identity::HomeNetwork;
use std::net::SocketAddr;

/// The P-CSCF's section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcscfSection {
    /// Where UEs reach it, and the core too when `core_listen` is empty.
    pub listen: Vec<Local>,
    /// Where the core reaches it, when that is apart.
    pub core_listen: Vec<Local>,
    /// Its host name.
    pub host: String,
    /// How many shards it runs, each with a thread of its own.
    pub shards: u16,
    /// P-Visited-Network-ID that it writes (RFC 7315 §4.3).
    pub visited_network_id: String,
    /// The inter operator identifier that it writes into P-Charging-Vector.
    pub ioi: String,
    /// The URI of the I-CSCF that REGISTER goes to; without it, the Request-URI's domain decides (RFC 3263).
    pub icscf: Option<String>,
    /// The URI of the E-CSCF that emergency requests go to; without it, they are told to look elsewhere (380).
    pub ecscf: Option<String>,
    /// Whose emergency requests go there.
    pub emergency: EmergencyCallers,
    /// The numbers that stand for the emergency services.
    pub emergency_numbers: Vec<String>,
    /// What becomes of a Route that differs from the Service-Route.
    pub route_enforcement: RouteEnforcement,
    /// Whether it watches the registrations that go through it (TS 24.229 §5.2.3).
    pub reg_event: bool,
    /// Registered contacts at most; beyond, 503.
    pub registrations_max: usize,
}

impl PcscfSection {
    pub(super) fn read(reader: &mut Reader<'_>, home: &HomeNetwork, ecscf: &EcscfSection) -> PcscfSection {
        let mut section = reader.section("pcscf");
        let listen =
            section.get("listen", Fallback::Default(Points::both(SocketAddr::from(([127, 0, 0, 10], 5060)))));
        let core_listen = section.optional::<Points>("core_listen").unwrap_or_default();
        let read = PcscfSection {
            listen: listen.locals(Side::Access),
            core_listen: core_listen.locals(Side::Core),
            host: section.get("host", Fallback::Derived(home.host("pcscf"))),
            visited_network_id: section
                .get("visited_network_id", Fallback::Derived(home.domain().to_owned())),
            ioi: section.get("ioi", Fallback::Derived(home.domain().to_owned())),
            icscf: section.optional("icscf"),
            ecscf: section.optional("ecscf").or_else(|| ecscf.uri()),
            emergency: section.get("emergency", Fallback::Default(EmergencyCallers::Registered)),
            emergency_numbers: section.get(
                "emergency_numbers",
                // TS 22.101 §10.1.1: these two stand for emergency services in every phone.
                Fallback::Default(vec!["112".to_owned(), "911".to_owned()]),
            ),
            route_enforcement: section.get("route_enforcement", Fallback::Default(RouteEnforcement::Reject)),
            reg_event: section.get("reg_event", Fallback::Default(false)),
            registrations_max: section.within("registrations_max", 200_000, 1..=10_000_000) as usize,
            shards: section.within("shards", 1, 1..=u32::from(SHARDS_MAX)) as u16,
        };
        section.end();
        read
    }

    /// Where the core reaches it, as long as it has no address of its own: at those of the UEs but for TLS, which nobody
    /// in the core needs.
    pub fn shared_with_core(&self) -> impl Iterator<Item = Local> {
        let all_tls = self.listen.iter().all(|local| local.transport == Transport::Tls);
        let shared = self.listen.iter().filter(move |local| all_tls || local.transport != Transport::Tls);
        shared.map(|local| Local { side: Side::Core, ..local.clone() })
    }

    /// Every listening point.
    pub fn locals(&self) -> Vec<Local> {
        self.listen.iter().chain(&self.core_listen).cloned().collect()
    }
}
