//! From a configuration to a station: the one place that knows which setting goes where.

use crate::config::Config;
use crate::flow::{Local, Side};
use crate::node::{Node, Setup};
use crate::resolve::StaticNames;
use crate::role::Role;
use crate::station::Station;
use crate::transport::{TransportLimits, Transports, TrustList};
use ambient::Entropy;
use diameter_client::endpoint::{Endpoint, EndpointConfig, PeerConfig, PeerRole};
use sip_core::Limits;
use std::net::IpAddr;

/// A function of the network, as the configuration's sections name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `[pcscf]`
    Pcscf,
    /// `[icscf]`
    Icscf,
    /// `[scscf]`
    Scscf,
}

impl Part {
    /// Where the part listens for SIP.
    pub fn locals(self, config: &Config) -> Vec<Local> {
        match self {
            Part::Pcscf => {
                let mut locals = config.pcscf.locals();
                if config.pcscf.core_listen.is_empty() {
                    // One address serves both sides; towards the core it has the core's timers.
                    let core =
                        config.pcscf.listen.iter().map(|local| Local { side: Side::Core, ..local.clone() });
                    locals.extend(core);
                }
                locals
            }
            Part::Icscf => config.icscf.listen.clone(),
            Part::Scscf => config.scscf.listen.clone(),
        }
    }

    /// The part's Diameter identity; `None` for one that speaks no Diameter.
    fn diameter_host(self, config: &Config) -> Option<&str> {
        match self {
            Part::Pcscf => None,
            Part::Icscf => Some(&config.icscf.diameter_host),
            Part::Scscf => Some(&config.scscf.diameter_host),
        }
    }
}

/// The station of a part, with its Diameter endpoint where it has one.
pub fn station<R: Role>(part: Part, role: R, config: &Config, mut entropy: Entropy) -> Station<R> {
    let locals = part.locals(config);
    let host_ips: Vec<IpAddr> = locals.iter().map(|local| local.address.ip()).take(1).collect();
    let endpoint = part.diameter_host(config).map(|host| {
        let endpoint = EndpointConfig { peers: hss_peers(config), ..endpoint_config(config, host, host_ips) };
        Endpoint::new(endpoint, entropy.fork())
    });
    sip_station(role, config, locals, endpoint, entropy)
}

/// A station at `locals`, for what has no section of its own: a UE.
pub fn sip_station<R: Role>(
    role: R,
    config: &Config,
    locals: Vec<Local>,
    endpoint: Option<Endpoint>,
    mut entropy: Entropy,
) -> Station<R> {
    let message = Limits {
        message_bytes: config.limits.message_bytes,
        headers: config.limits.headers,
        ..Limits::default()
    };
    let transports = Transports::new(
        locals.clone(),
        TrustList::new(config.trust.domain.clone()),
        TransportLimits {
            connections_max: config.limits.connections,
            connections_per_remote_max: config.limits.connections_per_remote,
            waiting_bytes_max: config.limits.connection_buffer_bytes,
            idle_timeout: config.limits.connection_idle,
            message,
            ..TransportLimits::default()
        },
        &mut entropy,
    );
    let setup = Setup {
        limits: message,
        transactions_max: config.limits.contexts,
        timing: (config.timers.core, config.timers.access),
        timer_c: config.timers.timer_c,
        ..Setup::new(locals, static_names(config), entropy)
    };
    Station::new(Node::new(role, setup), transports, endpoint)
}

/// What every Diameter endpoint of a deployment shares; the peers are the caller's.
pub fn endpoint_config(config: &Config, host: &str, host_ips: Vec<IpAddr>) -> EndpointConfig {
    EndpointConfig {
        host_ips,
        tw: config.diameter.watchdog,
        request_timeout: config.diameter.request_timeout,
        pending_max: config.diameter.pending_max,
        reconnect_min: config.diameter.reconnect,
        ..EndpointConfig::new(host, config.home.realm())
    }
}

/// The HSSs that the I- and S-CSCF connect to, in order of preference.
fn hss_peers(config: &Config) -> Vec<PeerConfig> {
    let peer = |(priority, hss): (usize, &crate::config::DiameterPeer)| PeerConfig {
        host: Some(hss.host.clone()),
        realm: hss.realm.clone(),
        addr: hss.address,
        transport: hss.transport,
        role: PeerRole::Connect,
        priority: u16::try_from(priority).unwrap_or(u16::MAX),
    };
    config.diameter.hss.iter().enumerate().map(peer).collect()
}

fn static_names(config: &Config) -> StaticNames {
    let mut names = StaticNames::new();
    for (name, hops) in &config.names {
        for hop in hops {
            names.insert(name, *hop);
        }
    }
    names
}
