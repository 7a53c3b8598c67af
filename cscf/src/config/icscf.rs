//! `[icscf]`: the I-CSCF (TS 24.229 §5.3).

use super::address::Points;
use super::reader::{Fallback, Reader};
use super::scscf::ScscfSection;
use super::value::{Fault, ForeignRequests, Value};
use crate::bucket::SHARDS_MAX;
use crate::flow::{Local, Side};
use crate::identity::HomeNetwork;
use std::net::SocketAddr;
use std::time::Duration;
use toml::de::DeValue;

/// The I-CSCF's section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcscfSection {
    /// Where it listens.
    pub listen: Vec<Local>,
    /// Its host name.
    pub host: String,
    /// How many shards it runs, each with a thread of its own.
    pub shards: u16,
    /// Its SIP URI.
    pub uri: String,
    /// Its Diameter identity.
    pub diameter_host: String,
    /// The inter operator identifier that it writes into P-Charging-Vector.
    pub ioi: String,
    /// Whether requests of other networks are taken, which no border has looked at.
    pub takes_foreign: bool,
    /// The S-CSCFs to choose from when the HSS names none, in order of preference.
    pub scscfs: Vec<ScscfEntry>,
    /// How many S-CSCFs are tried for one request.
    pub scscf_tries_max: u32,
    /// How long an S-CSCF may stay silent before another is tried.
    pub scscf_timeout: Duration,
}

/// One S-CSCF that the I-CSCF may choose (TS 29.228 §6.7 names capabilities by numbers that the operator gives).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScscfEntry {
    /// Its SIP URI, as the HSS keeps it in Server-Name.
    pub uri: String,
    /// What it can do.
    pub capabilities: Vec<u32>,
}

impl IcscfSection {
    pub(super) fn read(reader: &mut Reader<'_>, home: &HomeNetwork, scscf: &ScscfSection) -> IcscfSection {
        let mut section = reader.section("icscf");
        let listen =
            section.get("listen", Fallback::Default(Points::both(SocketAddr::from(([127, 0, 0, 11], 4060)))));
        let host = section.get("host", Fallback::Derived(home.host("icscf")));
        let own_scscf = vec![ScscfEntry { uri: scscf.uri.clone(), capabilities: Vec::new() }];
        let port = listen.0.first().map_or(4060, |hop| hop.remote.port());
        let read = IcscfSection {
            uri: section.get("uri", Fallback::Derived(format!("sip:{host}:{port}"))),
            diameter_host: section.get("diameter_host", Fallback::Derived(host.clone())),
            ioi: section.get("ioi", Fallback::Derived(home.domain().to_owned())),
            takes_foreign: section.get("foreign", Fallback::Default(ForeignRequests::Refuse))
                == ForeignRequests::Accept,
            scscfs: section.get("scscfs", Fallback::Derived(own_scscf)),
            scscf_tries_max: section.within("scscf_tries_max", 3, 1..=16),
            scscf_timeout: section.within(
                "scscf_timeout",
                Duration::from_secs(8),
                Duration::from_millis(100)..=Duration::from_secs(32),
            ),
            listen: listen.locals(Side::Core),
            host,
            shards: section.within("shards", 1, 1..=u32::from(SHARDS_MAX)) as u16,
        };
        section.end();
        read
    }
}

impl Value for ScscfEntry {
    fn read(value: &DeValue<'_>) -> Result<ScscfEntry, Fault> {
        let remedy = "write { uri = \"sip:scscf.example:6060\", capabilities = [1, 2] }, or the URI alone";
        let table = match value {
            DeValue::String(uri) => return Ok(ScscfEntry { uri: uri.to_string(), capabilities: Vec::new() }),
            DeValue::Table(table) => table,
            _ => return Err(Fault::new("is not an S-CSCF", remedy)),
        };
        if let Some(key) = table.keys().find(|key| !["uri", "capabilities"].contains(&key.get_ref().as_ref()))
        {
            let fault = Fault::new(format!("an S-CSCF has no {}", key.get_ref()), remedy);
            return Err(Fault { at: Some(key.span()), ..fault });
        }
        let uri = table.get("uri").ok_or_else(|| Fault::new("an S-CSCF needs its uri", remedy))?;
        let capabilities =
            table.get("capabilities").map_or(Ok(Vec::new()), |list| Vec::read(list.get_ref()))?;
        Ok(ScscfEntry { uri: String::read(uri.get_ref())?, capabilities })
    }

    fn show(&self) -> String {
        format!("{{ uri = {}, capabilities = {} }}", self.uri.show(), self.capabilities.show())
    }
}
