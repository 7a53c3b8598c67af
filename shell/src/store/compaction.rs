//! Compaction of a journal: what is live is written into a new file, which then takes the place of the old one.
//!
//! A thread of its own reads the journal twice, up to where it ended when the thread began: once for the place of each
//! key's last record, once to copy those. So nothing of a record is in memory between two compactions, and while one
//! runs, writes go on. What they have added is copied when it is done, and is little.

use super::journal::{self, Frames};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A compaction under way.
#[derive(Debug)]
pub(super) struct Compaction {
    thread: Option<JoinHandle<io::Result<Compacted>>>,
    is_wanted: Arc<AtomicBool>,
    /// Up to here the journal is read by the thread.
    end: u64,
}

/// A journal that holds nothing but what is live.
#[derive(Debug)]
pub(super) struct Compacted {
    /// Written up to `bytes`, and not under the journal's name yet.
    pub(super) file: File,
    /// Its length.
    pub(super) bytes: u64,
    /// The sequence number of its next frame.
    pub(super) next_sequence: u64,
}

impl Compaction {
    /// Begins to compact the journal at `path`, which is whole up to `end`, into the file at `into`; the frames there are
    /// numbered from `sequence` on.
    pub(super) fn begin(path: &Path, end: u64, into: PathBuf, sequence: u64) -> io::Result<Compaction> {
        let is_wanted = Arc::new(AtomicBool::new(true));
        let (from, wanted) = (path.to_owned(), Arc::clone(&is_wanted));
        let thread = std::thread::Builder::new()
            .name("compaction".to_owned())
            .spawn(move || compact(&from, end, &into, sequence, &wanted))?;
        Ok(Compaction { thread: Some(thread), is_wanted, end })
    }

    /// Whether [`Compaction::finish`] has nothing to wait for but the disk.
    pub(super) fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the new file, and adds to it what the journal at `path` has got meanwhile, up to `sound_bytes`.
    pub(super) fn finish(mut self, path: &Path, sound_bytes: u64) -> io::Result<Compacted> {
        let thread = self.thread.take().ok_or(io::ErrorKind::Interrupted)?;
        let mut compacted = thread.join().map_err(|_| io::Error::other("the compaction panicked"))??;
        let mut frames = frames(path, self.end, sound_bytes)?;
        let (mut frame, mut out) = (Vec::new(), BufWriter::new(&compacted.file));
        while let Some(payload) = frames.next()? {
            frame.clear();
            journal::write_frame_of(compacted.next_sequence, &mut frame, |out| {
                out.extend_from_slice(payload)
            });
            out.write_all(&frame)?;
            compacted.bytes += frame.len() as u64;
            compacted.next_sequence += 1;
        }
        out.flush()?;
        drop(out);
        compacted.file.sync_all()?;
        Ok(compacted)
    }
}

impl Drop for Compaction {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        self.is_wanted.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whatever it came to: the old file is the journal.
            let _ = thread.join();
        }
    }
}

/// Where the last record of each key stands: the name of the key, and the number of the record from the start.
type Latest = HashMap<(u64, u64), u64>;

fn compact(path: &Path, end: u64, into: &Path, sequence: u64, wanted: &AtomicBool) -> io::Result<Compacted> {
    let is_wanted = || match wanted.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::Interrupted)),
    };
    let start = journal::header().len() as u64;
    let mut latest = Latest::new();
    let mut number = 0;
    let mut old = frames(path, start, end)?;
    while let Some(payload) = old.next()? {
        is_wanted()?;
        records(payload, |key, value| {
            number += 1;
            match value {
                Some(_) => latest.insert(name(key), number),
                None => latest.remove(&name(key)),
            };
        })?;
    }

    let mut new = Writer::create(into, sequence)?;
    let mut number = 0;
    let mut old = frames(path, start, end)?;
    while let Some(payload) = old.next()? {
        is_wanted()?;
        records(payload, |key, value| {
            number += 1;
            if latest.get(&name(key)) == Some(&number) {
                new.add(key, value);
            }
        })?;
        new.write_if_full()?;
    }
    new.finish()
}

/// The frames of a journal from `start` up to `end`.
fn frames(path: &Path, start: u64, end: u64) -> io::Result<Frames<io::Take<File>>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(Frames::new(file.take(end.saturating_sub(start)), start))
}

fn records(payload: &[u8], take: impl FnMut(&[u8], Option<&[u8]>)) -> io::Result<()> {
    journal::each_record(payload, take)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a frame that is made of no records"))
}

/// What stands for a key. Keys are names that the HSS or this process gave, so that nobody can choose two with one hash;
/// and of 2^128 hashes, those of a billion keys are different by chance.
fn name(key: &[u8]) -> (u64, u64) {
    let mut hasher = SipHasher13::new();
    hasher.write(key);
    let hash = hasher.finish128();
    (hash.h1, hash.h2)
}

/// Writes the new file, frame by frame.
struct Writer {
    file: BufWriter<File>,
    bytes: u64,
    next_sequence: u64,
    /// Records of the next frame.
    payload: Vec<u8>,
    frame: Vec<u8>,
}

impl Writer {
    fn create(path: &Path, sequence: u64) -> io::Result<Writer> {
        let header = journal::header();
        let mut file = BufWriter::new(secret().create(true).truncate(true).open(path)?);
        file.write_all(&header)?;
        let bytes = header.len() as u64;
        Ok(Writer { file, bytes, next_sequence: sequence, payload: Vec::new(), frame: Vec::new() })
    }

    fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        journal::write_record(key, value, &mut self.payload);
    }

    fn write_if_full(&mut self) -> io::Result<()> {
        if self.payload.len() >= FRAME_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        let Writer { payload, frame, .. } = self;
        frame.clear();
        journal::write_frame_of(self.next_sequence, frame, |out| out.append(payload));
        self.file.write_all(frame)?;
        self.bytes += frame.len() as u64;
        self.next_sequence += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<Compacted> {
        if !self.payload.is_empty() {
            self.write()?;
        }
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(Compacted { file, bytes: self.bytes, next_sequence: self.next_sequence })
    }
}

/// For a file that is its owner's alone: a journal tells who is where, and an HSS's holds keys.
pub(super) fn secret() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// A frame of the new file is written once it has so much.
const FRAME_BYTES: usize = 256 * 1024;
