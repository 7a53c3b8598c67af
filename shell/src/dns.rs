//! Names looked up for a machine: hickory asks, [`Resolution`] (RFC 3263) decides what and in which order.

use ambient::Entropy;
use cscf::Hop;
use cscf::config::DnsSection;
use cscf::resolve::{Lookup, Naptr, Question, Records, Resolution, Srv, Step, Unresolved};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::IpAddr;
use std::sync::Arc;

mod desk;

pub(crate) use desk::{Asked, Desk};

/// Asks name servers, with a cache. Clones share it.
#[derive(Clone)]
pub struct Dns {
    /// `None` when the host has no usable DNS configuration: every lookup then fails.
    resolver: Option<Arc<TokioResolver>>,
}

impl Dns {
    /// A client of the servers of `setup`; to be called within the runtime that will use it.
    pub fn new(setup: &DnsSection) -> Dns {
        let builder = match setup.servers.is_empty() {
            true => TokioResolver::builder_tokio(),
            false => {
                let servers = setup.servers.iter().map(|server| {
                    let mut config = NameServerConfig::udp_and_tcp(server.ip());
                    for connection in &mut config.connections {
                        connection.port = server.port();
                    }
                    config
                });
                let config = ResolverConfig::from_name_servers(servers.collect());
                Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
            }
        };
        let resolver = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            options.timeout = setup.timeout;
            options.attempts = ATTEMPTS;
            builder.build()
        });
        match resolver {
            Ok(resolver) => Dns { resolver: Some(Arc::new(resolver)) },
            Err(error) => {
                tracing::warn!(%error, "no DNS: only names of the configuration resolve");
                Dns { resolver: None }
            }
        }
    }

    /// The hops of `lookup` (RFC 3263 §4).
    pub async fn resolve(&self, lookup: Lookup, entropy: Entropy) -> Result<Vec<Hop>, Unresolved> {
        let mut resolution = Resolution::new(lookup, entropy);
        let mut step = resolution.start();
        loop {
            match step {
                Step::Ask(question) => {
                    let records = self.ask(&question).await;
                    step = resolution.answered(records);
                }
                Step::Done(result) => return result,
            }
        }
    }

    /// The NAPTR records of a name.
    pub async fn naptr(&self, name: String) -> Result<Vec<Naptr>, Unresolved> {
        match self.ask(&Question::Naptr(name.clone())).await {
            Records::Naptr(records) => Ok(records),
            _ => Err(Unresolved::Unreachable(name)),
        }
    }

    /// The answer to one question.
    pub async fn ask(&self, question: &Question) -> Records {
        let Some(resolver) = &self.resolver else { return Records::Unreachable };
        match question {
            Question::Naptr(name) => match data(resolver, name, RecordType::NAPTR).await {
                Some(data) => Records::Naptr(data.iter().filter_map(naptr).collect()),
                None => Records::Unreachable,
            },
            Question::Srv(name) => match data(resolver, name, RecordType::SRV).await {
                Some(data) => Records::Srv(data.iter().filter_map(srv).collect()),
                None => Records::Unreachable,
            },
            Question::Address(name) => {
                let (six, four) =
                    tokio::join!(data(resolver, name, RecordType::AAAA), data(resolver, name, RecordType::A));
                match (six, four) {
                    (None, None) => Records::Unreachable,
                    // IPv4 first: a node without IPv6 address then wastes no try.
                    (six, four) => {
                        let both = four.into_iter().chain(six).flatten();
                        Records::Addresses(both.filter_map(|data| address(&data)).collect())
                    }
                }
            }
        }
    }
}

/// The records of a name, empty when there are none; `None` when no server answered.
async fn data(resolver: &TokioResolver, name: &str, kind: RecordType) -> Option<Vec<RData>> {
    // A final dot keeps the search list of the host out of it.
    match resolver.lookup(format!("{name}."), kind).await {
        Ok(lookup) => Some(lookup.answers().iter().map(|record| record.data.clone()).collect()),
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => Some(Vec::new()),
        Err(NetError::Proto(error)) => {
            tracing::debug!(name, %error, "not a name that DNS could hold");
            Some(Vec::new())
        }
        Err(error) => {
            tracing::warn!(name, %kind, %error, "no DNS answer");
            None
        }
    }
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: String::from_utf8_lossy(&record.flags).into_owned(),
        services: String::from_utf8_lossy(&record.services).into_owned(),
        regexp: String::from_utf8_lossy(&record.regexp).into_owned(),
        replacement: bare(record.replacement.to_ascii()),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    Some(Srv {
        priority: record.priority,
        weight: record.weight,
        port: record.port,
        target: bare(record.target.to_ascii()),
    })
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// A name without its final dot; the root stays a dot.
fn bare(name: String) -> String {
    match name.strip_suffix('.') {
        Some(bare) if !bare.is_empty() => bare.to_owned(),
        _ => name,
    }
}

/// How often a question is asked: UDP may lose it.
const ATTEMPTS: usize = 2;

#[cfg(test)]
mod tests;
