//! What makes a machine's records durable: nothing (`memory`), a journal on disk (`file`), or a back end of the
//! process's own (an HSS has its database).
//!
//! A write is answered only when its records would survive a crash of the process and of the host.

mod compaction;
mod file;
mod journal;

use crate::driver::Inbox;
use cscf::query::{Answer, QueryId, Record, StoreFailure};
use file::FileWriter;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The store of one machine; all shards of a function share one.
pub struct Store(Option<Arc<Mutex<Box<dyn Backend>>>>);

/// What writes records, on a thread of its own: the machine never waits for it.
pub trait Backend: Send {
    /// Takes records that are to be durable all or none; refuses at once what it cannot take.
    fn write(&mut self, records: Vec<Record>, acknowledge: Acknowledge) -> Result<(), StoreFailure>;

    /// Called when the machine has no more to write for now: what was taken must not wait any longer.
    fn flush(&mut self) {}

    /// Writes what is queued, and ends.
    fn close(self: Box<Self>);
}

/// Tells a machine what became of its records; to be called exactly once, from any thread but the driver's.
pub struct Acknowledge(To);

enum To {
    Machine { inbox: Arc<Inbox>, id: QueryId },
    Other(Box<dyn FnOnce(Result<(), StoreFailure>) + Send>),
}

impl Acknowledge {
    /// Calls `tell` with the result.
    pub fn new(tell: impl FnOnce(Result<(), StoreFailure>) + Send + 'static) -> Acknowledge {
        Acknowledge(To::Other(Box::new(tell)))
    }

    /// The records are durable, or not.
    pub fn with(self, result: Result<(), StoreFailure>) {
        match self.0 {
            To::Machine { inbox, id } => inbox.answer(id, Answer::Stored(result)),
            To::Other(tell) => tell(result),
        }
    }

    /// Tells the same of several writes; a machine is woken once they are all told.
    pub(crate) fn all(them: impl Iterator<Item = Acknowledge>, result: &Result<(), StoreFailure>) {
        let mut told: Option<Arc<Inbox>> = None;
        for acknowledge in them {
            let (inbox, id) = match acknowledge.0 {
                To::Machine { inbox, id } => (inbox, id),
                To::Other(tell) => {
                    tell(result.clone());
                    continue;
                }
            };
            inbox.put_answer(id, Answer::Stored(result.clone()));
            if let Some(other) = told.replace(inbox)
                && told.as_ref().is_some_and(|inbox| !Arc::ptr_eq(inbox, &other))
            {
                other.bell.ring();
            }
        }
        if let Some(inbox) = told {
            inbox.bell.ring();
        }
    }
}

impl Store {
    /// Keeps nothing beyond the process; answers at once.
    pub fn memory() -> Store {
        Store(None)
    }

    /// Opens or creates the journal at `path`, and reads it: the last record of each key, in the order of the keys.
    pub fn file(path: &Path) -> Result<(Store, Vec<Record>), StoreError> {
        let (writer, restored) = FileWriter::open(path)?;
        Ok((Store::backend(writer), restored))
    }

    /// Keeps records by a back end of the process's own.
    pub fn backend(backend: impl Backend + 'static) -> Store {
        Store(Some(Arc::new(Mutex::new(Box::new(backend)))))
    }

    /// The same store for another shard.
    pub(crate) fn share(&self) -> Store {
        Store(self.0.clone())
    }

    /// Makes records durable, all or none; the answer goes to `inbox`, and no later than some time after
    /// [`Store::flush`].
    ///
    /// Returns the answer instead where it is known at once.
    pub(crate) fn write(
        &mut self,
        id: QueryId,
        records: Vec<Record>,
        inbox: &Arc<Inbox>,
    ) -> Option<Result<(), StoreFailure>> {
        let Some(backend) = &self.0 else { return Some(Ok(())) };
        let acknowledge = Acknowledge(To::Machine { inbox: Arc::clone(inbox), id });
        locked(backend).write(records, acknowledge).err().map(Err)
    }

    /// Makes records durable before anybody is served, and waits for it.
    pub(crate) fn write_now(&mut self, records: Vec<Record>) -> Result<(), StoreFailure> {
        let Some(backend) = &self.0 else { return Ok(()) };
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let acknowledge = Acknowledge::new(move |result| {
            let _ = tell.send(result);
        });
        locked(backend).write(records, acknowledge)?;
        locked(backend).flush();
        told.recv().unwrap_or_else(|_| Err(StoreFailure::Failed("the store has ended".to_owned())))
    }

    /// Lets what was written go to the disk.
    pub(crate) fn flush(&mut self) {
        if let Some(backend) = &self.0 {
            locked(backend).flush();
        }
    }

    /// Writes what is queued and ends, when no other shard uses it any more.
    pub(crate) fn close(self) {
        if let Some(backend) = self.0.and_then(Arc::into_inner) {
            backend.into_inner().unwrap_or_else(PoisonError::into_inner).close();
        }
    }
}

/// A back end whose caller has panicked still takes writes: it is whole between two calls.
fn locked(backend: &Mutex<Box<dyn Backend>>) -> MutexGuard<'_, Box<dyn Backend>> {
    backend.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Store(durable)" } else { "Store(memory)" })
    }
}

/// Why a store could not be opened.
#[derive(Debug)]
pub enum StoreError {
    /// The file or its directory cannot be used.
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process has it open.
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// The file is no journal of ours, or of a later version.
    Foreign {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// Bytes in the middle are damaged: records that were acknowledged are lost.
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io { path, error } => {
                write!(
                    f,
                    "cannot use the store {}: {error}; check `store.path` and its permissions",
                    path.display()
                )
            }
            StoreError::InUse { path } => {
                write!(
                    f,
                    "the store {} is open in another process; give each its own `store.path`",
                    path.display()
                )
            }
            StoreError::Foreign { path, reason } => {
                write!(
                    f,
                    "{} is no store of this program: {reason}; point `store.path` elsewhere",
                    path.display()
                )
            }
            StoreError::Damaged { path, offset } => write!(
                f,
                "the store {} is damaged at byte {offset}, before records that are whole; restore it from a copy, or \
                 move it away to start with no registrations",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StoreError {}
