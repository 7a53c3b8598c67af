//! What makes a machine's records durable: nothing (`memory`), a journal on disk (`file`), or a back end of the
//! process's own (an HSS has its database).
//!
//! A write is answered only when its records would survive a crash of the process and of the host.

mod file;
mod journal;

use crate::driver::Arrived;
use cscf::query::{Answer, QueryId, Record, StoreFailure};
use file::FileWriter;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::Sender;

/// The store of one machine.
pub struct Store(Option<Box<dyn Backend>>);

/// What writes records, on a thread of its own: the machine never waits for it.
pub trait Backend: Send {
    /// Queues records that are to be durable all or none; refuses at once what it cannot queue.
    fn write(&mut self, records: Vec<Record>, acknowledge: Acknowledge) -> Result<(), StoreFailure>;

    /// Writes what is queued, and ends.
    fn close(self: Box<Self>);
}

/// Tells a machine what became of its records; to be called exactly once, from any thread but the driver's.
pub struct Acknowledge(Box<dyn FnOnce(Result<(), StoreFailure>) + Send>);

impl Acknowledge {
    /// Calls `tell` with the result.
    pub fn new(tell: impl FnOnce(Result<(), StoreFailure>) + Send + 'static) -> Acknowledge {
        Acknowledge(Box::new(tell))
    }

    /// The records are durable, or not.
    pub fn with(self, result: Result<(), StoreFailure>) {
        (self.0)(result);
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
        Store(Some(Box::new(backend)))
    }

    /// Makes records durable, all or none; the answer goes to `events`.
    ///
    /// Returns the answer instead where it is known at once.
    pub(crate) fn write(
        &mut self,
        id: QueryId,
        records: Vec<Record>,
        events: &Sender<Arrived>,
    ) -> Option<Result<(), StoreFailure>> {
        let Some(backend) = &mut self.0 else { return Some(Ok(())) };
        let events = events.clone();
        let acknowledge = Acknowledge::new(move |result| {
            // The driver is gone when this fails, and nobody waits.
            let answer = Box::new(Answer::Stored(result));
            let _ = events.blocking_send(Arrived::Answered { id, answer });
        });
        backend.write(records, acknowledge).err().map(Err)
    }

    /// Writes what is queued, and ends.
    pub(crate) fn close(self) {
        if let Some(backend) = self.0 {
            backend.close();
        }
    }
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
