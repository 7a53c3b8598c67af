//! `[hss]`: the mock HSS.

use super::address::{DiameterPoint, StoreUrl};
use super::reader::{Fallback, Reader};
use super::value::Personality;
use crate::identity::HomeNetwork;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The HSS's section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HssSection {
    /// Where it listens for Diameter.
    pub listen: Vec<DiameterPoint>,
    /// Its Diameter identity.
    pub host: String,
    /// Its realm.
    pub realm: String,
    /// Where subscribers are kept.
    pub store: StoreUrl,
    /// A CSV file of subscribers that is read at start; those that the store does not have are added.
    pub subscribers: Option<PathBuf>,
    /// Whose answers it imitates.
    pub personality: Personality,
    /// Whether a peer that `[diameter]` does not name may connect (RFC 6733 §5.3 answers 3010 otherwise).
    pub accept_unknown_peers: bool,
}

impl HssSection {
    pub(super) fn read(reader: &mut Reader<'_>, home: &HomeNetwork, directory: &Path) -> HssSection {
        let mut section = reader.section("hss");
        let own = DiameterPoint::tcp(SocketAddr::from(([127, 0, 0, 13], 3868)));
        let listen = section.get("listen", Fallback::Default(Listeners(vec![own])));
        let host = section.get("host", Fallback::Derived(home.host("hss")));
        let realm = section.get("realm", Fallback::Derived(home.realm().to_owned()));
        let read = HssSection {
            store: section.get("store", Fallback::Default(StoreUrl::Memory)).beside(directory),
            subscribers: section.optional::<PathBuf>("subscribers").map(|path| directory.join(path)),
            personality: section.get("personality", Fallback::Default(Personality::ThreeGpp)),
            accept_unknown_peers: section.get("accept_unknown_peers", Fallback::Default(true)),
            listen: listen.0,
            host,
            realm,
        };
        section.end();
        read
    }
}

/// One address, or a list of them.
struct Listeners(Vec<DiameterPoint>);

impl super::value::Value for Listeners {
    fn read(value: &toml::de::DeValue<'_>) -> Result<Listeners, super::value::Fault> {
        let listeners = match value.as_array() {
            Some(_) => Vec::read(value)?,
            None => vec![DiameterPoint::read(value)?],
        };
        match listeners.is_empty() {
            true => Err(super::value::Fault::new("is an empty list", "name at least one address")),
            false => Ok(Listeners(listeners)),
        }
    }

    fn show(&self) -> String {
        self.0.show()
    }
}
