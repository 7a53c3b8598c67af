//! The process of the HSS: its subscribers from a database or a CSV file, its Diameter from the network.

use ambient::Entropy;
use cscf::assembly;
use cscf::config::{Config, HssSection, Personality, StoreUrl};
use cscf::query::{Record, StoreFailure};
use diameter_client::endpoint::{Endpoint, EndpointConfig};
use hss_mock::store::Store as Database;
use hss_mock::{Hss, HssConfig, HssRecord, HssStation, Subscriber, WORDING, csv};
use shell::process::{self, Deployment, Failure};
use shell::{Acknowledge, Backend, Binding, Store, system_entropy};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    process::run(NAME, "A Cx HSS for labs (TS 29.228)", serve)
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
            StoreUrl::Sqlite(path) => {
                if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
                    std::fs::create_dir_all(folder)
                        .map_err(|error| Failure::Failed(format!("{}: {error}", folder.display())))?;
                }
                Kept::of_database(&format!("sqlite:{}", path.display()), listed)
            }
            StoreUrl::Postgres(url) => Kept::of_database(url, listed),
        }
    }

    fn of_database(url: &str, listed: Vec<Subscriber>) -> Result<Kept, Failure> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        let (database, mut loaded) = runtime
            .block_on(async {
                let database = Database::open(url).await?;
                let loaded = database.load().await?;
                Ok((database, loaded))
            })
            .map_err(|error: hss_mock::store::StoreError| Failure::Failed(format!("`hss.store`: {error}")))?;
        let is_new =
            |subscriber: &Subscriber| loaded.subscribers.iter().all(|old| old.name != subscriber.name);
        let added: Vec<_> = listed.into_iter().filter(is_new).collect();
        let records: Vec<_> = added.iter().cloned().map(Box::new).map(HssRecord::Subscriber).collect();
        runtime
            .block_on(database.apply(&records))
            .map_err(|error| Failure::Failed(format!("`hss.store`: {error}")))?;
        loaded.subscribers.extend(added);
        let records = loaded.records.into_iter();
        let records =
            records.map(|(key, value)| Record { key: key.into_bytes(), value: Some(value) }).collect();
        let store = Store::backend(DatabaseWriter::start(runtime, database)?);
        Ok(Kept { subscribers: loaded.subscribers, records, store })
    }
}

/// The database behind a thread of its own: no answer waits for it unless it depends on a record.
struct DatabaseWriter {
    batches: SyncSender<(Vec<Record>, Acknowledge)>,
    thread: JoinHandle<()>,
}

impl DatabaseWriter {
    fn start(runtime: Runtime, database: Database) -> Result<DatabaseWriter, Failure> {
        let (batches, received) = sync_channel(BATCHES_MAX);
        let thread = std::thread::Builder::new().name("database".to_owned());
        let thread = thread.spawn(move || write(&runtime, database, &received)).map_err(Failure::failed)?;
        Ok(DatabaseWriter { batches, thread })
    }
}

impl Backend for DatabaseWriter {
    fn write(&mut self, records: Vec<Record>, acknowledge: Acknowledge) -> Result<(), StoreFailure> {
        self.batches.try_send((records, acknowledge)).map_err(|error| {
            StoreFailure::Failed(match error {
                TrySendError::Full(_) => "too many writes wait for the database".to_owned(),
                TrySendError::Disconnected(_) => "the database's thread has ended".to_owned(),
            })
        })
    }

    fn close(self: Box<Self>) {
        drop(self.batches);
        if self.thread.join().is_err() {
            tracing::error!("the database's thread panicked");
        }
    }
}

/// Applies what has gathered in one transaction, and tells each batch.
fn write(runtime: &Runtime, database: Database, received: &Receiver<(Vec<Record>, Acknowledge)>) {
    while let Ok(first) = received.recv() {
        let (mut records, mut acknowledges) = (Vec::new(), Vec::new());
        let more = received.try_iter().take(GATHERED_MAX);
        for (batch, acknowledge) in std::iter::once(first).chain(more) {
            match batch.into_iter().map(of_station).collect::<Result<Vec<_>, _>>() {
                Ok(batch) => {
                    records.extend(batch);
                    acknowledges.push(acknowledge);
                }
                Err(failure) => acknowledge.with(Err(failure)),
            }
        }
        let result = runtime.block_on(database.apply(&records)).map_err(|error| {
            tracing::error!(%error, "the database did not take a change");
            StoreFailure::Failed(error.to_string())
        });
        for acknowledge in acknowledges {
            acknowledge.with(result.clone());
        }
    }
    runtime.block_on(database.close());
}

/// A record of the station as the database keeps it: subscriptions become rows.
fn of_station(record: Record) -> Result<HssRecord, StoreFailure> {
    let key = String::from_utf8(record.key).ok();
    key.and_then(|key| HssRecord::from_stored(key, record.value))
        .ok_or_else(|| StoreFailure::Failed("a record of the HSS cannot be read".to_owned()))
}

const NAME: &str = "hss-mock";
/// Batches that wait for the database; beyond, they fail at once.
const BATCHES_MAX: usize = 16_384;
/// Batches of one transaction.
const GATHERED_MAX: usize = 1024;
