//! `[access]`: which way in a REGISTER may take, by the access network that it comes from (TS 33.203 Annex P).

use super::address::TrustedNet;
use super::reader::{Fallback, Reader};
use super::value::{Fault, Scheme, Value};
use std::net::SocketAddr;
use toml::de::DeValue;

/// The section of access networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSection {
    /// In order: the first that fits decides. Without any, every scheme but GIBA is open to everybody.
    pub networks: Vec<AccessNetwork>,
}

/// One access network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessNetwork {
    /// The addresses of its UEs; all of them when empty.
    pub from: Vec<TrustedNet>,
    /// How the access type begins that its UEs write into P-Access-Network-Info, such as `3GPP`; any when empty. That is
    /// what a UE says: it may choose among rules, and proves nothing.
    pub claims: Vec<String>,
    /// Its access type, as this network knows it (RFC 7315 §5.4).
    pub access_type: String,
    /// What its UEs may authenticate by.
    pub schemes: Vec<Scheme>,
}

impl AccessSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> AccessSection {
        let mut section = reader.section("access");
        let networks = section.get::<Vec<AccessNetwork>>("networks", Fallback::Default(Vec::new()));
        section.end();
        if networks.iter().any(|network| network.schemes.is_empty()) {
            let remedy = "write schemes = [\"aka\"], or some of aka, digest, digest-tls, giba";
            reader.reject("access", "networks", Fault::new("has a network that lets nobody in", remedy));
        }
        AccessSection { networks }
    }

    /// The network of a UE at `remote` that claims this access type; `None` when none fits.
    pub fn network(&self, remote: SocketAddr, claimed: Option<&[u8]>) -> Option<&AccessNetwork> {
        self.networks.iter().find(|network| network.fits(remote, claimed))
    }

    /// Whether anybody is let in by the address of the bearer.
    pub fn has_giba(&self) -> bool {
        self.networks.iter().any(|network| network.allows(Scheme::Giba))
    }
}

impl AccessNetwork {
    fn fits(&self, remote: SocketAddr, claimed: Option<&[u8]>) -> bool {
        let begins = |claimed: &[u8], how: &String| {
            claimed.get(..how.len()).is_some_and(|start| start.eq_ignore_ascii_case(how.as_bytes()))
        };
        let is_claimed = |claimed| self.claims.iter().any(|how| begins(claimed, how));
        (self.from.is_empty() || self.from.iter().any(|net| net.contains(remote)))
            && (self.claims.is_empty() || claimed.is_some_and(is_claimed))
    }

    /// Whether its UEs may authenticate so.
    pub fn allows(&self, scheme: Scheme) -> bool {
        self.schemes.contains(&scheme)
    }

    /// Whether it is one that 3GPP has specified.
    pub fn is_3gpp(&self) -> bool {
        self.access_type.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("3GPP"))
    }
}

impl Value for AccessNetwork {
    fn read(value: &DeValue<'_>) -> Result<AccessNetwork, Fault> {
        const KEYS: [&str; 4] = ["from", "claims", "type", "schemes"];
        let remedy = "write { from = [\"10.45.0.0/16\"], type = \"3GPP-E-UTRAN\", schemes = [\"aka\"] }";
        let DeValue::Table(table) = value else { return Err(Fault::new("is not an access network", remedy)) };
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.get_ref().as_ref())) {
            let fault = Fault::new(format!("an access network has no {}", key.get_ref()), remedy);
            return Err(Fault { at: Some(key.span()), ..fault });
        }
        let access_type = match table.get("type") {
            Some(text) => String::read(text.get_ref())?,
            None => "IEEE-802.11".to_owned(),
        };
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        if access_type.is_empty() || !access_type.bytes().all(is_token) {
            let fault = format!("\"{access_type}\" is no access type");
            return Err(Fault::new(
                fault,
                "write one of RFC 7315 §5.4, as in \"3GPP-E-UTRAN-FDD\" or \"IEEE-802.11\"",
            ));
        }
        Ok(AccessNetwork {
            from: table.get("from").map_or(Ok(Vec::new()), |list| Vec::read(list.get_ref()))?,
            claims: table.get("claims").map_or(Ok(Vec::new()), |list| Vec::read(list.get_ref()))?,
            access_type,
            schemes: table.get("schemes").map_or(Ok(Vec::new()), |list| Vec::read(list.get_ref()))?,
        })
    }

    fn show(&self) -> String {
        let AccessNetwork { from, claims, access_type, schemes } = self;
        let (from, claims, schemes) = (from.show(), claims.show(), schemes.show());
        format!("{{ from = {from}, claims = {claims}, type = {}, schemes = {schemes} }}", access_type.show())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(networks: &str) -> Result<Config, String> {
        let text = format!("[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[access]\nnetworks = {networks}\n");
        Config::parse(&text, "lab.toml").map_err(|errors| errors[0].to_string())
    }

    #[test]
    fn the_first_network_that_fits_decides() {
        let config = parse(
            "[{ from = [\"10.45.0.0/16\"], type = \"3GPP-E-UTRAN-FDD\", schemes = [\"aka\", \"giba\"] }, \
              { claims = [\"3gpp-\"], schemes = [\"aka\"] }, \
              { from = [\"192.0.2.0/24\"], schemes = [\"digest-tls\"] }]",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let found = |remote: &str, claimed: Option<&str>| {
            let remote = remote.parse().expect("an address");
            let network = config.access.network(remote, claimed.map(str::as_bytes))?;
            config.access.networks.iter().position(|known| known == network)
        };
        assert_eq!(found("10.45.0.7:5060", None), Some(0));
        assert_eq!(found("192.0.2.1:40001", Some("3GPP-NR-FDD")), Some(1));
        assert_eq!(found("192.0.2.1:40001", Some("IEEE-802.11")), Some(2));
        assert_eq!(found("198.51.100.1:5060", Some("IEEE-802.11")), None);
        assert!(config.access.has_giba() && config.access.networks[0].is_3gpp());
        assert!(!config.access.networks[2].is_3gpp());
        // What is shown is what was read.
        let again = Config::parse(&config.print_config(), "again").expect("a configuration");
        assert_eq!(again.access, config.access);
    }

    #[test]
    fn a_network_that_is_wrong_is_told_with_its_remedy() {
        for (networks, expected) in [
            ("[{ schemes = [] }]", "lets nobody in"),
            ("[{ schemes = [\"md5\"] }]", "not one of the choices"),
            ("[{ scheme = [\"aka\"] }]", "an access network has no scheme"),
            ("[{ type = \"3GPP;network-provided\", schemes = [\"aka\"] }]", "is no access type"),
            ("[\"aka\"]", "is not an access network"),
        ] {
            let told = parse(networks).err().unwrap_or_default();
            assert!(told.contains(expected), "{networks}: {told}");
        }
    }
}
