//! A store that keeps what a running HSS tells it: opened and read once, then written by a thread of its own, so that no
//! answer waits for it unless it depends on a record.

use super::{Store, StoreError};
use crate::record::HssRecord;
use crate::subscriber::Subscriber;
use cscf::query::{Record, StoreFailure};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::runtime::Runtime;

/// What an HSS starts with, and what keeps its changes.
pub struct Kept {
    /// Those that the store has, and those that were added to it.
    pub subscribers: Vec<Subscriber>,
    /// The dynamic state, as a station reads it at its start.
    pub records: Vec<Record>,
    /// What keeps the changes.
    pub keeper: Keeper,
}

/// Writes records, in the order in which they are given.
pub struct Keeper {
    batches: SyncSender<Batch>,
    thread: JoinHandle<()>,
}

/// Records that are to be durable all or none, and who is told.
struct Batch {
    records: Vec<Record>,
    tell: Box<dyn FnOnce(Result<(), StoreFailure>) + Send>,
}

impl Keeper {
    /// Opens the store at `url`, makes the folder of a new SQLite file, and adds who of `listed` it does not have.
    pub fn open(url: &str, listed: Vec<Subscriber>) -> Result<Kept, StoreError> {
        let folder = url.strip_prefix("sqlite:").and_then(|path| Path::new(path).parent());
        if let Some(folder) = folder.filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(of_system)?;
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(of_system)?;
        let (store, loaded) = runtime.block_on(async {
            let store = Store::open(url).await?;
            let mut loaded = store.load().await?;
            let is_new =
                |subscriber: &Subscriber| loaded.subscribers.iter().all(|old| old.name != subscriber.name);
            let added: Vec<_> = listed.into_iter().filter(is_new).collect();
            let records: Vec<_> = added.iter().cloned().map(Box::new).map(HssRecord::Subscriber).collect();
            store.apply(&records).await?;
            loaded.subscribers.extend(added);
            Ok::<_, StoreError>((store, loaded))
        })?;
        let records = loaded.records.into_iter();
        let records =
            records.map(|(key, value)| Record { key: key.into_bytes(), value: Some(value) }).collect();
        let (batches, received) = sync_channel(BATCHES_MAX);
        let thread = std::thread::Builder::new().name("database".to_owned());
        let thread = thread.spawn(move || write(&runtime, store, &received)).map_err(of_system)?;
        Ok(Kept { subscribers: loaded.subscribers, records, keeper: Keeper { batches, thread } })
    }

    /// Queues records; `tell` is called once they are durable or cannot be, from any thread. What cannot be queued is
    /// refused at once, and `tell` is not called.
    pub fn write(
        &self,
        records: Vec<Record>,
        tell: impl FnOnce(Result<(), StoreFailure>) + Send + 'static,
    ) -> Result<(), StoreFailure> {
        self.batches.try_send(Batch { records, tell: Box::new(tell) }).map_err(|error| {
            StoreFailure::Failed(match error {
                TrySendError::Full(_) => "too many writes wait for the database".to_owned(),
                TrySendError::Disconnected(_) => "the database's thread has ended".to_owned(),
            })
        })
    }

    /// Writes what is queued, and closes the store.
    pub fn close(self) {
        drop(self.batches);
        if self.thread.join().is_err() {
            tracing::error!("the database's thread panicked");
        }
    }
}

fn of_system(error: io::Error) -> StoreError {
    StoreError::Database(sqlx::Error::Io(error))
}

/// Applies what has gathered in one transaction, and tells each batch.
fn write(runtime: &Runtime, store: Store, received: &Receiver<Batch>) {
    while let Ok(first) = received.recv() {
        let (mut records, mut tells) = (Vec::new(), Vec::new());
        let more = received.try_iter().take(GATHERED_MAX);
        for batch in std::iter::once(first).chain(more) {
            match batch.records.into_iter().map(of_station).collect::<Result<Vec<_>, _>>() {
                Ok(batched) => {
                    records.extend(batched);
                    tells.push(batch.tell);
                }
                Err(failure) => (batch.tell)(Err(failure)),
            }
        }
        let result = runtime.block_on(store.apply(&records)).map_err(|error| {
            tracing::error!(%error, "the database did not take a change");
            StoreFailure::Failed(error.to_string())
        });
        for tell in tells {
            tell(result.clone());
        }
    }
    runtime.block_on(store.close());
}

/// A record of the station as the store keeps it: subscriptions become rows.
fn of_station(record: Record) -> Result<HssRecord, StoreFailure> {
    let key = String::from_utf8(record.key).ok();
    key.and_then(|key| HssRecord::from_stored(key, record.value))
        .ok_or_else(|| StoreFailure::Failed("a record of the HSS cannot be read".to_owned()))
}

/// Batches that wait for the database; beyond, they fail at once.
const BATCHES_MAX: usize = 16_384;
/// Batches of one transaction.
const GATHERED_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn record(key: &str, value: &str) -> Record {
        Record { key: key.as_bytes().to_vec(), value: Some(value.as_bytes().to_vec()) }
    }

    #[test]
    fn what_was_told_durable_is_there_when_the_store_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("new/hss.db").display());
        let kept = Keeper::open(&url, Vec::new()).unwrap();
        assert!(kept.subscribers.is_empty() && kept.records.is_empty());
        let (told, heard) = channel();
        for n in 0..20 {
            let told = told.clone();
            let tell = move |result| told.send(result).unwrap();
            kept.keeper.write(vec![record("number", &n.to_string())], tell).unwrap();
        }
        for _ in 0..20 {
            assert_eq!(heard.recv().unwrap(), Ok(()));
        }
        kept.keeper.close();
        assert_eq!(Keeper::open(&url, Vec::new()).unwrap().records, [record("number", "19")]);
    }

    #[test]
    fn a_record_that_no_hss_writes_fails_alone() {
        let kept = Keeper::open("sqlite::memory:", Vec::new()).unwrap();
        let (told, heard) = channel();
        for key in [&[0xff][..], b"sound"] {
            let told = told.clone();
            let tell = move |result: Result<(), StoreFailure>| told.send(result.is_ok()).unwrap();
            kept.keeper.write(vec![Record { key: key.to_vec(), value: Some(Vec::new()) }], tell).unwrap();
        }
        assert_eq!([heard.recv().unwrap(), heard.recv().unwrap()], [false, true]);
        kept.keeper.close();
    }
}
