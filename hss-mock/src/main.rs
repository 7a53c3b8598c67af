//! The process of the HSS: its subscribers from a database or a CSV file, its Diameter from the network.

use ambient::Entropy;
use cscf::assembly;
use cscf::config::{Config, HssSection, Personality, StoreUrl};
use cscf::query::{Record, StoreFailure};
use diameter_client::endpoint::{Endpoint, EndpointConfig};
use hss_mock::store::keeper::{self, Keeper};
use hss_mock::{Hss, HssConfig, HssStation, Subscriber, WORDING, csv};
use shell::process::{self, Deployment, Failure};
use shell::{Acknowledge, Backend, Binding, Store, system_entropy};
use std::process::ExitCode;

/// docs/decisions/21-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::run(NAME, "A Cx HSS for labs (TS 29.228)", |_| Ok(()), serve)
}

fn serve(deployment: Deployment) -> Result<(), Failure> {
    let config = &deployment.config;
    let listed = listed(config)?;
    let kept = Kept::open(config, listed)?;
    let mut hss = Hss::new(hss_config(config), entropy()?);
    let count = kept.subscribers.len();
    hss.load(kept.subscribers, Vec::new()).map_err(Failure::usage)?;
    tracing::info!(count, "subscribers are loaded");
    let station = HssStation::new(hss, Endpoint::new(endpoint_config(config), entropy()?));
    let bindings = config.hss.listen.iter().map(Binding::from);
    process::serve(NAME, station, bindings, kept.store, kept.records, &deployment, WORDING)
}

/// The subscribers of the CSV file that `hss.subscribers` names.
fn listed(config: &Config) -> Result<Vec<Subscriber>, Failure> {
    let Some(path) = &config.hss.subscribers else { return Ok(Vec::new()) };
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("{shown}: {error}; `hss.subscribers` names this file")))?;
    let import = csv::import(&text, &config.home)
        .map_err(|error| Failure::Usage(format!("{shown}:{}: {}", error.line, error.reason)))?;
    if !import.opc_computed.is_empty() {
        tracing::info!(lines = import.opc_computed.len(), "OPc was computed from OP");
    }
    Ok(import.subscribers)
}

fn hss_config(config: &Config) -> HssConfig {
    let personality = match config.hss.personality {
        Personality::ThreeGpp => hss_mock::Personality::ThreeGpp,
        Personality::PyHss => hss_mock::Personality::PyHss,
        Personality::Open5gs => hss_mock::Personality::Open5gs,
        Personality::Fhoss => hss_mock::Personality::FHoss,
    };
    HssConfig { personality, scscf_pool: config.scscf.uri.clone(), ..HssConfig::default() }
}

fn endpoint_config(config: &Config) -> EndpointConfig {
    let HssSection { listen, host, realm, accept_unknown_peers, .. } = &config.hss;
    let host_ips = listen.iter().map(|point| point.address.ip()).take(1).collect();
    EndpointConfig {
        origin_realm: realm.clone(),
        accept_unknown_peers: *accept_unknown_peers,
        ..assembly::endpoint_config(config, host, host_ips)
    }
}

fn entropy() -> Result<Entropy, Failure> {
    system_entropy().map_err(Failure::failed)
}

/// What the HSS starts with, and what keeps its changes.
struct Kept {
    subscribers: Vec<Subscriber>,
    records: Vec<Record>,
    store: Store,
}

impl Kept {
    /// Opens what `hss.store` names; subscribers of the file that it does not have are added to it.
    fn open(config: &Config, listed: Vec<Subscriber>) -> Result<Kept, Failure> {
        match &config.hss.store {
            // The subscribers come from their file each time; what changes goes where the CSCFs keep theirs.
            StoreUrl::Memory => {
                let (store, records) = process::open_store("hss", config)?;
                Ok(Kept { subscribers: listed, records, store })
            }
            StoreUrl::Sqlite(path) => Kept::of_database(&format!("sqlite:{}", path.display()), listed),
            StoreUrl::Postgres(url) => Kept::of_database(url, listed),
        }
    }

    fn of_database(url: &str, listed: Vec<Subscriber>) -> Result<Kept, Failure> {
        let keeper::Kept { subscribers, records, keeper } =
            Keeper::open(url, listed).map_err(|error| Failure::Failed(format!("`hss.store`: {error}")))?;
        Ok(Kept { subscribers, records, store: Store::backend(Database(keeper)) })
    }
}

/// The database, kept by a thread of its own.
struct Database(Keeper);

impl Backend for Database {
    fn write(&mut self, records: Vec<Record>, acknowledge: Acknowledge) -> Result<(), StoreFailure> {
        self.0.write(records, |result| acknowledge.with(result))
    }

    fn close(self: Box<Self>) {
        self.0.close();
    }
}

const NAME: &str = "hss-mock";
