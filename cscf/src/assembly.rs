//! From a configuration to a station: the one place that knows which setting goes where.

use crate::bucket::{ShardId, Share, TokenKey};
use crate::config::Config;
use crate::flow::Local;
use crate::node::{Node, Setup};
use crate::resolve::StaticNames;
use crate::role::Role;
use crate::station::{AccessSide, Station};
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
    /// All three.
    pub const ALL: [Part; 3] = [Part::Pcscf, Part::Icscf, Part::Scscf];

    /// The name of its process, its section and its journal.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Pcscf => "pcscf",
            Part::Icscf => "icscf",
            Part::Scscf => "scscf",
        }
    }

    /// Where the part listens for SIP.
    pub fn locals(self, config: &Config) -> Vec<Local> {
        match self {
            Part::Pcscf => {
                let mut locals = config.pcscf.locals();
                locals.extend(config.ipsec.locals(&config.pcscf.listen));
                if config.pcscf.core_listen.is_empty() {
                    // One address serves both sides; towards the core it has the core's timers.
                    locals.extend(config.pcscf.shared_with_core());
                }
                locals
            }
            Part::Icscf => config.icscf.listen.clone(),
            Part::Scscf => config.scscf.listen.clone(),
        }
    }

    /// How many shards the part runs.
    pub fn shards(self, config: &Config) -> u16 {
        match self {
            Part::Pcscf => config.pcscf.shards,
            Part::Icscf => config.icscf.shards,
            Part::Scscf => config.scscf.shards,
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

/// The station of a part that is one shard, with its Diameter endpoint where it has one.
pub fn station<R: Role>(part: Part, role: R, config: &Config, mut entropy: Entropy) -> Station<R> {
    let locals = part.locals(config);
    let endpoint = endpoint(part, config, &locals, &mut entropy);
    shard_station(role, config, locals, endpoint, (Share::WHOLE, None), entropy)
}

/// The stations of a part, one for each of its shards: as many as the configuration says. The first has the Diameter
/// endpoint.
pub fn shards<R: Role>(
    part: Part,
    mut role: impl FnMut() -> R,
    config: &Config,
    mut entropy: Entropy,
) -> Vec<Station<R>> {
    let count = part.shards(config);
    if count == 1 {
        return vec![station(part, role(), config, entropy)];
    }
    // Tokens that one shard mints are opened by all.
    let key = TokenKey::new(&mut entropy);
    let access = match part {
        Part::Pcscf => AccessSide::Gm,
        Part::Icscf | Part::Scscf => AccessSide::None,
    };
    let stations = Share::split(count).map(|share| {
        let mut entropy = entropy.fork();
        let locals = part.locals(config);
        let endpoint = match share.id() {
            ShardId(0) => endpoint(part, config, &locals, &mut entropy),
            _ => None,
        };
        let mut placing = entropy.fork();
        shard_station(role(), config, locals, endpoint, (share, Some(key)), entropy).placed_by(
            access,
            config.scscf.numbers.clone(),
            &mut placing,
        )
    });
    stations.collect()
}

fn endpoint(part: Part, config: &Config, locals: &[Local], entropy: &mut Entropy) -> Option<Endpoint> {
    let host_ips: Vec<IpAddr> = locals.iter().map(|local| local.address.ip()).take(1).collect();
    part.diameter_host(config).map(|host| {
        let endpoint = EndpointConfig { peers: hss_peers(config), ..endpoint_config(config, host, host_ips) };
        Endpoint::new(endpoint, entropy.fork())
    })
}

/// A station at `locals`, for what is no part of every core: a UE, an E-CSCF.
pub fn sip_station<R: Role>(
    role: R,
    config: &Config,
    locals: Vec<Local>,
    endpoint: Option<Endpoint>,
    entropy: Entropy,
) -> Station<R> {
    shard_station(role, config, locals, endpoint, (Share::WHOLE, None), entropy)
}

fn shard_station<R: Role>(
    role: R,
    config: &Config,
    locals: Vec<Local>,
    endpoint: Option<Endpoint>,
    (share, token_key): (Share, Option<TokenKey>),
    mut entropy: Entropy,
) -> Station<R> {
    let message = Limits {
        message_bytes: config.limits.message_bytes,
        headers: config.limits.headers,
        ..Limits::default()
    };
    let transports = Transports::of_shard(
        share.id(),
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
        contexts_per_source_max: config.limits.contexts_per_source,
        timing: (config.timers.core, config.timers.access),
        timer_c: config.timers.timer_c,
        udp_request_max: config.network.udp_request_max(),
        token_key,
        share,
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
