//! The names that the configuration resolves, so that a deployment or a lab needs no name server.

use super::{Hops, canonical_name, default_transport};
use crate::flow::{Hop, Transport};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Host names and their hops, in the order in which to try them.
///
/// An entry stands for the NAPTR, SRV and address records of its name together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticNames(BTreeMap<String, Vec<Hop>>);

impl StaticNames {
    /// No names.
    pub fn new() -> StaticNames {
        StaticNames::default()
    }

    /// Adds a hop of `name`, after those that it has; a hop that is there already is not doubled.
    pub fn insert(&mut self, name: &str, hop: Hop) {
        let hops = self.0.entry(canonical_name(name.as_bytes())).or_default();
        if !hops.contains(&hop) {
            hops.push(hop);
        }
    }

    /// Whether `name` is here.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(&canonical_name(name.as_bytes()))
    }

    /// The hops of a name, in any case and with or without the dot of the root.
    pub(super) fn entries(&self, name: &[u8]) -> Option<&[Hop]> {
        let mut lower: SmallVec<[u8; 256]> = SmallVec::from_slice(name.strip_suffix(b".").unwrap_or(name));
        lower.make_ascii_lowercase();
        self.0.get(std::str::from_utf8(&lower).ok()?).map(Vec::as_slice)
    }
}

impl FromIterator<(String, Hop)> for StaticNames {
    fn from_iter<I: IntoIterator<Item = (String, Hop)>>(entries: I) -> StaticNames {
        let mut names = StaticNames::new();
        for (name, hop) in entries {
            names.insert(&name, hop);
        }
        names
    }
}

/// The hops of an entry that a URI with this port and transport means.
pub(super) fn choose(
    entries: &[Hop],
    port: Option<u16>,
    transport: Option<Transport>,
    have: &[Transport],
) -> Hops {
    let mut hops = Hops::new();
    match port {
        None => hops.extend(
            entries
                .iter()
                .filter(|hop| {
                    have.contains(&hop.transport) && transport.is_none_or(|only| only == hop.transport)
                })
                .copied(),
        ),
        // RFC 3263 §4.2: a port in the URI leaves only the addresses of the name.
        Some(port) => {
            let Some(transport) = transport.or(default_transport(have)) else {
                return hops;
            };
            for entry in entries {
                let hop = Hop { transport, remote: SocketAddr::new(entry.remote.ip(), port) };
                if !hops.contains(&hop) {
                    hops.push(hop);
                }
            }
        }
    }
    hops
}
