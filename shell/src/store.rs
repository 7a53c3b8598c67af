//! What makes a machine's records durable: nothing (`memory`), or a journal on disk (`file`).
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
#[derive(Debug)]
pub struct Store(Backend);

#[derive(Debug)]
enum Backend {
    Memory,
    File(FileWriter),
}

impl Store {
    /// Keeps nothing beyond the process; answers at once.
    pub fn memory() -> Store {
        Store(Backend::Memory)
    }

    /// Opens or creates the journal at `path`, and reads it: the last record of each key, in the order of the keys.
    pub fn file(path: &Path) -> Result<(Store, Vec<Record>), StoreError> {
        let (writer, restored) = FileWriter::open(path)?;
        Ok((Store(Backend::File(writer)), restored))
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
        match &mut self.0 {
            Backend::Memory => Some(Ok(())),
            Backend::File(writer) => {
                let events = events.clone();
                let answered = move |result| {
                    // The driver is gone when this fails, and nobody waits.
                    let _ = events.blocking_send(Arrived::Answered { id, answer: Answer::Stored(result) });
                };
                writer.write(records, answered).err().map(Err)
            }
        }
    }

    /// Writes what is queued, and ends.
    pub(crate) fn close(self) {
        if let Backend::File(writer) = self.0 {
            writer.close();
        }
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
