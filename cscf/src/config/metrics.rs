//! `[metrics]`: where running processes answer by HTTP what they have counted, and whether they can serve.

use super::reader::{Fallback, Reader};
use super::value::Fault;
use std::net::SocketAddr;

/// Where each process serves `/metrics`, `/livez` and `/readyz`: nowhere unless it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSection {
    /// By the name of the process.
    listen: Vec<(&'static str, SocketAddr)>,
}

/// The keys, and whose address each is.
const KEYS: [(&str, &str); 6] = [
    ("pcscf", "pcscf"),
    ("icscf", "icscf"),
    ("scscf", "scscf"),
    ("ecscf", "ecscf"),
    ("hss", "hss-mock"),
    ("core", "ims-core"),
];

impl MetricsSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> MetricsSection {
        let mut section = reader.section("metrics");
        let addresses = KEYS.map(|(key, process)| (key, process, section.optional::<SocketAddr>(key)));
        let is_remote = section.get("remote", Fallback::Default(false));
        section.end();
        let mut listen: Vec<(&str, SocketAddr)> = Vec::new();
        for (key, process, address) in addresses {
            let Some(address) = address else { continue };
            if !address.ip().is_loopback() && !is_remote {
                let fault = Fault::new(
                    format!(
                        "{address} can be reached from other hosts, who may then read how many users there are"
                    ),
                    "use an address of the loopback, or write remote = true in [metrics]",
                );
                reader.reject("metrics", key, fault);
            }
            if address.port() != 0 && listen.iter().any(|(_, other)| *other == address) {
                let fault = Fault::new(
                    format!("{address} is another process's too"),
                    "give each process its own port",
                );
                reader.reject("metrics", key, fault);
            }
            listen.push((process, address));
        }
        MetricsSection { listen }
    }

    /// The address of a process, by its name: `pcscf`, `hss-mock`, `ims-core`.
    pub fn of(&self, process: &str) -> Option<SocketAddr> {
        self.listen.iter().find(|(name, _)| *name == process).map(|(_, address)| *address)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn read(metrics: &str) -> Result<Config, String> {
        let text = format!("[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[metrics]\n{metrics}\n");
        Config::parse(&text, "lab.toml").map_err(|errors| errors[0].to_string())
    }

    #[test]
    fn nothing_is_served_unless_it_is_said_and_loopback_unless_that_is_said_too() {
        let read_from = |metrics: &str| read(metrics).map(|config| config.metrics);
        assert_eq!(read_from("").unwrap().of("pcscf"), None);
        let metrics = read_from("pcscf = \"127.0.0.1:9401\"\nhss = \"[::1]:9405\"").unwrap();
        assert_eq!(metrics.of("pcscf"), Some(([127, 0, 0, 1], 9401).into()));
        assert!(metrics.of("hss-mock").is_some() && metrics.of("scscf").is_none());
        let refused = read("scscf = \"192.0.2.1:9403\"").unwrap_err();
        assert!(
            refused.contains("lab.toml:5:9: metrics.scscf") && refused.contains("remote = true"),
            "{refused}"
        );
        assert!(read("remote = true\nscscf = \"192.0.2.1:9403\"").is_ok());
        let twice = read("pcscf = \"127.0.0.1:9401\"\nicscf = \"127.0.0.1:9401\"").unwrap_err();
        assert!(twice.contains("metrics.icscf"), "{twice}");
    }
}
