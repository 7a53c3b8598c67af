//! `[ecscf]`: the E-CSCF (TS 24.229 §5.11), and the table of the PSAPs that it routes to.

use super::address::Points;
use super::reader::{Fallback, Reader};
use super::value::{Fault, Value};
use crate::emergency;
use crate::flow::{Local, Side};
use crate::identity::HomeNetwork;
use std::time::Duration;
use toml::de::DeValue;

/// The E-CSCF's section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcscfSection {
    /// Where it listens; empty where there is no E-CSCF in this deployment.
    pub listen: Vec<Local>,
    /// Its host name.
    pub host: String,
    /// The PSAPs, in order of preference among those that fit equally well.
    pub psaps: Vec<Psap>,
    /// How many PSAPs are tried for one request.
    pub psap_tries_max: u32,
    /// How long a PSAP may stay silent before another is tried.
    pub psap_timeout: Duration,
}

/// One PSAP, and whom it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psap {
    /// Its SIP URI.
    pub uri: String,
    /// The service that it offers, as `sos.police`; it serves what lies below too.
    pub service: String,
    /// What the cell identities of its area begin with: the digits of MCC, MNC and area code. Empty: any.
    pub cells: Vec<String>,
    /// The country of its area in a civic address, in two letters (RFC 5139).
    pub country: Option<String>,
    /// The state or province in that country: A1 of a civic address.
    pub area: Option<String>,
}

impl EcscfSection {
    pub(super) fn read(reader: &mut Reader<'_>, home: &HomeNetwork) -> EcscfSection {
        let mut section = reader.section("ecscf");
        let listen = section.optional::<Points>("listen").unwrap_or_default();
        let read = EcscfSection {
            listen: listen.locals(Side::Core),
            host: section.get("host", Fallback::Derived(home.host("ecscf"))),
            psaps: section.get("psap", Fallback::Default(Vec::new())),
            psap_tries_max: section.within("psap_tries_max", 3, 1..=16),
            psap_timeout: section.within(
                "psap_timeout",
                Duration::from_secs(5),
                Duration::from_millis(100)..=Duration::from_secs(32),
            ),
        };
        section.end();
        read
    }

    /// Its SIP URI; `None` where there is no E-CSCF.
    pub fn uri(&self) -> Option<String> {
        self.listen.first().map(|local| format!("sip:{}:{}", self.host, local.address.port()))
    }
}

impl Value for Psap {
    fn read(value: &DeValue<'_>) -> Result<Psap, Fault> {
        let remedy = "write [[ecscf.psap]], uri = \"sip:psap.example\", and whom it serves: service = \
                      \"urn:service:sos.police\", cells = [\"26201\"], country = \"DE\", area = \"Berlin\"";
        let DeValue::Table(table) = value else { return Err(Fault::new("is not a PSAP", remedy)) };
        let known = ["uri", "service", "cells", "country", "area"];
        if let Some(key) = table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            let fault = Fault::new(format!("a PSAP has no {}", key.get_ref()), remedy);
            return Err(Fault { at: Some(key.span()), ..fault });
        }
        let text = |name: &str| table.get(name).map(|value| String::read(value.get_ref())).transpose();
        let uri = text("uri")?.ok_or_else(|| Fault::new("a PSAP needs its uri", remedy))?;
        let urn = text("service")?.unwrap_or_else(|| emergency::SOS.to_owned());
        let service = emergency::service(urn.as_bytes()).map(|service| String::from_utf8_lossy(service));
        let service =
            service.ok_or_else(|| Fault::new(format!("{} is no emergency service", urn.show()), remedy))?;
        let cells = table.get("cells").map_or(Ok(Vec::new()), |list| Vec::<String>::read(list.get_ref()))?;
        if cells.iter().any(|cell| cell.is_empty() || !cell.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(Fault::new("has a cell that is no row of digits", remedy));
        }
        let (country, area) = (text("country")?, text("area")?);
        if area.is_some() && country.is_none() {
            return Err(Fault::new("has an area without its country", remedy));
        }
        Ok(Psap { uri, service: service.to_ascii_lowercase(), cells, country, area })
    }

    fn show(&self) -> String {
        let urn = format!("urn:service:{}", self.service);
        let mut shown = format!("{{ uri = {}, service = {}", self.uri.show(), urn.show());
        if !self.cells.is_empty() {
            shown.push_str(&format!(", cells = {}", self.cells.show()));
        }
        for (name, value) in [("country", &self.country), ("area", &self.area)] {
            if let Some(value) = value {
                shown.push_str(&format!(", {name} = {}", value.show()));
            }
        }
        shown + " }"
    }
}
