//! The journal on disk: one thread that writes groups of records and answers when they are safe.

use super::compaction::{Compaction, secret};
use super::journal::{self, JournalError};
use super::{Acknowledge, Backend, StoreError};
use cscf::query::{Record, StoreFailure};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The sending side of the writer thread.
#[derive(Debug)]
pub(super) struct FileWriter {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

/// What waits for the writer thread.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    writes: Vec<Write>,
    /// Whether `writes` may be taken: a turn of the machine is over.
    is_flushed: bool,
    /// The writer thread waits for more.
    is_idle: bool,
    is_closed: bool,
    /// The thread is there to take more.
    has_ended: bool,
}

/// One write of a machine.
type Write = (Vec<Record>, Acknowledge);

impl FileWriter {
    /// Reads the journal at `path`, or makes one, and starts the writer.
    pub(super) fn open(path: &Path) -> Result<(FileWriter, Vec<Record>), StoreError> {
        let (journal, live) = JournalFile::open(path)?;
        let restored = live.into_iter().map(|(key, value)| Record { key, value: Some(value) }).collect();
        let queue = Arc::new(Queue::default());
        let taken = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || run(journal, &taken));
        let thread = thread.map_err(|error| StoreError::Io { path: path.to_owned(), error })?;
        Ok((FileWriter { queue, thread: Some(thread) }, restored))
    }
}

impl Backend for FileWriter {
    fn write(&mut self, records: Vec<Record>, acknowledge: Acknowledge) -> Result<(), StoreFailure> {
        let mut waiting = self.queue.lock();
        if waiting.has_ended {
            return Err(StoreFailure::Failed("the writer has ended".to_owned()));
        }
        if waiting.writes.len() >= WRITES_MAX {
            return Err(StoreFailure::Failed("too many writes wait for the disk".to_owned()));
        }
        waiting.writes.push((records, acknowledge));
        Ok(())
    }

    fn flush(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.is_flushed = !waiting.writes.is_empty();
        if waiting.is_flushed && waiting.is_idle {
            self.queue.more.notify_one();
        }
    }

    fn close(mut self: Box<Self>) {
        self.end();
    }
}

impl FileWriter {
    fn end(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.more.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the store panicked");
        }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        self.end();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn's writes and takes them, with those of the turns that follow within a moment; false at the end.
    ///
    /// `last` is when the group before was taken.
    fn take(&self, into: &mut Vec<Write>, last: &mut Option<Instant>) -> bool {
        let mut waiting = self.lock();
        while !waiting.is_flushed && !waiting.is_closed {
            waiting.is_idle = true;
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.is_idle = false;
        let is_busy = waiting.writes.len() > 1 || last.is_some_and(|last| last.elapsed() < BUSY_TIME);
        *last = Some(Instant::now());
        // Where nothing else will come soon, a write does not wait for company.
        if is_busy && !waiting.is_closed {
            // Nobody is woken meanwhile: a call of the system for each turn would cost more than the writes.
            drop(waiting);
            std::thread::sleep(GATHER_TIME);
            waiting = self.lock();
        }
        waiting.is_flushed = false;
        into.append(&mut waiting.writes);
        !into.is_empty()
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({})", self.lock().writes.len())
    }
}

/// Takes what has gathered, writes it as groups, and answers.
fn run(mut journal: JournalFile, queue: &Queue) {
    let _ended = Ended(queue);
    let (mut writes, mut last) = (Vec::new(), None);
    while queue.take(&mut writes, &mut last) {
        let mut records = Vec::new();
        let mut answers = Vec::new();
        let mut rest = writes.drain(..).peekable();
        while let Some((group, acknowledge)) = rest.next() {
            records.extend(group);
            answers.push(acknowledge);
            if records.len() < GROUP_RECORDS_MAX && rest.peek().is_some() {
                continue;
            }
            let result = journal.append(&records);
            records.clear();
            Acknowledge::all(answers.drain(..), &result);
        }
        drop(rest);
        if let Err(error) = journal.compact_if_due() {
            tracing::error!(path = %journal.path.display(), %error, "the store could not be compacted");
        }
    }
}

/// Tells that the thread takes no more, should it panic.
struct Ended<'q>(&'q Queue);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
    }
}

/// The last value of each key.
type Live = BTreeMap<Vec<u8>, Vec<u8>>;

/// An open journal file. Nothing of its records is in memory.
#[derive(Debug)]
struct JournalFile {
    path: PathBuf,
    file: File,
    /// Held for as long as the journal is open, so that no second process writes to it.
    _lock: File,
    next_sequence: u64,
    /// Up to here the file is whole and on the disk.
    sound_bytes: u64,
    /// Up to here the file has blocks on the disk: zeros behind `sound_bytes`.
    room_bytes: u64,
    /// Size at which to try the next compaction.
    compact_at: u64,
    compaction: Option<Compaction>,
    /// Room for the next frame.
    frame: Vec<u8>,
    /// After a failed sync nobody knows what is on the disk: nothing is acknowledged until a restart reads it again.
    poisoned: Option<String>,
}

impl JournalFile {
    /// Opens or makes a journal, and reads what is live in it.
    fn open(path: &Path) -> Result<(JournalFile, Live), StoreError> {
        let io = |error| StoreError::Io { path: path.to_owned(), error };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(io)?;
        }
        let lock = File::create(beside(path, "lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StoreError::InUse { path: path.to_owned() }),
            Err(fs::TryLockError::Error(error)) => return Err(io(error)),
        }
        // A compaction that a crash cut short: the journal itself is still the truth.
        match fs::remove_file(beside(path, "new")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let file = secret().read(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut live = Live::new();
        let contents = journal::read(&mut &file, |key, value| match value {
            Some(value) => {
                live.insert(key.to_vec(), value.to_vec());
            }
            None => {
                live.remove(key);
            }
        });
        let contents = contents.map_err(|error| match error {
            JournalError::Io(error) => StoreError::Io { path: path.to_owned(), error },
            JournalError::Foreign(reason) => StoreError::Foreign { path: path.to_owned(), reason },
            JournalError::Damaged { offset } => StoreError::Damaged { path: path.to_owned(), offset },
        })?;
        if contents.torn_bytes > 0 {
            let torn_bytes = contents.torn_bytes;
            tracing::warn!(path = %path.display(), torn_bytes, "the last write before the crash was cut short and unacknowledged");
        }
        let mut sound_bytes = contents.sound_bytes;
        file.set_len(sound_bytes).map_err(io)?;
        if sound_bytes == 0 {
            let header = journal::header();
            file.write_all_at(&header, 0).map_err(io)?;
            sound_bytes = header.len() as u64;
        }
        file.sync_all().map_err(io)?;
        sync_directory(path).map_err(io)?;
        let live_bytes: usize = live.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        let journal = JournalFile {
            path: path.to_owned(),
            file,
            _lock: lock,
            next_sequence: contents.next_sequence,
            sound_bytes,
            room_bytes: sound_bytes,
            compact_at: worthwhile(live_bytes as u64),
            compaction: None,
            frame: Vec::new(),
            poisoned: None,
        };
        Ok((journal, live))
    }

    /// Writes records as one frame and waits for the disk.
    fn append(&mut self, records: &[Record]) -> Result<(), StoreFailure> {
        if let Some(why) = &self.poisoned {
            return Err(StoreFailure::Failed(why.clone()));
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let pieces = records.iter().map(|record| (record.key.as_slice(), record.value.as_deref()));
        journal::write_frame(self.next_sequence, pieces, &mut frame);
        let written = self
            .make_room(frame.len() as u64)
            .and_then(|()| self.file.write_all_at(&frame, self.sound_bytes));
        if let Err(error) = written {
            tracing::error!(path = %self.path.display(), %error, "the store cannot be written");
            // What was written of the frame must not stand before the next one.
            if let Err(error) = self.give_room_back() {
                self.poison(format!("cannot undo a failed write: {error}"));
            }
            return Err(StoreFailure::Failed(error.to_string()));
        }
        if let Err(error) = self.file.sync_data() {
            self.poison(format!("the disk failed to keep a write: {error}"));
            return Err(StoreFailure::Failed(error.to_string()));
        }
        self.sound_bytes += frame.len() as u64;
        self.next_sequence += 1;
        frame.truncate(FRAME_KEPT_MAX);
        frame.shrink_to(FRAME_KEPT_MAX);
        self.frame = frame;
        Ok(())
    }

    /// Lets the file grow ahead of its frames, by zeros: where a frame only replaces them, a sync writes the data and
    /// nothing else. One that changes the size of the file, or what its blocks are, writes to the file system's own
    /// journal, too.
    fn make_room(&mut self, frame_bytes: u64) -> io::Result<()> {
        let end = self.sound_bytes + frame_bytes;
        while self.room_bytes < end {
            let zeros = vec![0; ROOM_BYTES];
            self.file.write_all_at(&zeros, self.room_bytes)?;
            self.room_bytes += zeros.len() as u64;
        }
        Ok(())
    }

    fn give_room_back(&mut self) -> io::Result<()> {
        self.room_bytes = self.sound_bytes;
        self.file.set_len(self.sound_bytes)
    }

    fn poison(&mut self, why: String) {
        tracing::error!(path = %self.path.display(), why, "the store takes no more writes until a restart");
        self.poisoned = Some(why);
    }

    /// Has what is live written into a new file when most of the old one is superseded, and puts that in its place once it
    /// is written.
    fn compact_if_due(&mut self) -> io::Result<()> {
        if self.poisoned.is_some() {
            return Ok(());
        }
        match self.compaction.take() {
            // A file that grows faster than it is compacted has an end, too.
            Some(compaction) if compaction.is_done() || self.sound_bytes >= 2 * self.compact_at => {
                self.take_place(compaction)
            }
            Some(compaction) => {
                self.compaction = Some(compaction);
                Ok(())
            }
            None if self.sound_bytes >= self.compact_at => {
                // Should this fail, the old file goes on, and the next try comes when it has doubled.
                self.compact_at = self.sound_bytes.saturating_mul(2);
                let into = beside(&self.path, "new");
                let compaction = Compaction::begin(&self.path, self.sound_bytes, into, self.next_sequence)?;
                self.compaction = Some(compaction);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The compacted file becomes the journal.
    fn take_place(&mut self, compaction: Compaction) -> io::Result<()> {
        let new = compaction.finish(&self.path, self.sound_bytes)?;
        fs::rename(beside(&self.path, "new"), &self.path)?;
        // From here on the new file is the journal, whatever follows.
        self.file = new.file;
        self.next_sequence = new.next_sequence;
        self.sound_bytes = new.bytes;
        self.room_bytes = new.bytes;
        self.compact_at = worthwhile(new.bytes);
        if let Err(error) = sync_directory(&self.path) {
            self.poison(format!("the directory of the store cannot be synced: {error}"));
        }
        Ok(())
    }
}

/// The size of a journal from which compaction saves more than it costs.
fn worthwhile(live_bytes: u64) -> u64 {
    COMPACT_MIN.max(4 * live_bytes)
}

impl Drop for JournalFile {
    /// Of a journal that is closed, nothing is left but its frames.
    fn drop(&mut self) {
        if self.poisoned.is_none()
            && let Err(error) = self.give_room_back()
        {
            tracing::debug!(path = %self.path.display(), %error, "room of the store was not given back");
        }
    }
}

/// Makes the name of a file durable, too.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes that wait for the disk; beyond, they fail at once.
const WRITES_MAX: usize = 16_384;
/// Records of one frame.
const GROUP_RECORDS_MAX: usize = 4096;
/// How long a group gathers: a wait for the disk costs as much processor time as half of a registration, and is shared.
const GATHER_TIME: Duration = Duration::from_millis(3);
/// A write that comes sooner than this after the group before will not be the last one.
const BUSY_TIME: Duration = Duration::from_millis(10);
/// By so much the file grows at a time: some thousand registrations.
const ROOM_BYTES: usize = 1 << 20;
/// A larger frame gives its room back.
const FRAME_KEPT_MAX: usize = 1 << 20;
/// A smaller journal is not compacted.
const COMPACT_MIN: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn record(key: &str, value: Option<&str>) -> Record {
        Record { key: key.into(), value: value.map(Into::into) }
    }

    /// Writes and waits for the answer.
    fn store(writer: &mut FileWriter, records: Vec<Record>) -> Result<(), StoreFailure> {
        let (answer, answered) = channel();
        writer.write(records, Acknowledge::new(move |result| answer.send(result).unwrap()))?;
        writer.flush();
        answered.recv().unwrap()
    }

    impl JournalFile {
        /// Waits for the compaction that runs.
        fn finish_compaction(&mut self) {
            if let Some(compaction) = self.compaction.take() {
                self.take_place(compaction).unwrap();
            }
        }
    }

    fn reopen(path: &Path) -> Vec<Record> {
        let (writer, restored) = FileWriter::open(path).unwrap();
        Box::new(writer).close();
        restored
    }

    #[test]
    fn a_journal_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.journal");
        let _open = FileWriter::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_was_acknowledged_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/in/scscf.journal");
        let (mut writer, restored) = FileWriter::open(&path).unwrap();
        assert_eq!(restored, []);
        store(&mut writer, vec![record("b", Some("1")), record("a", Some("2"))]).unwrap();
        store(&mut writer, vec![record("b", None)]).unwrap();
        Box::new(writer).close();
        assert_eq!(reopen(&path), [record("a", Some("2"))]);
    }

    #[test]
    fn a_crash_at_any_byte_keeps_whole_writes_and_the_journal_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let whole = directory.path().join("whole");
        let (mut writer, _) = FileWriter::open(&whole).unwrap();
        store(&mut writer, vec![record("a", Some("1"))]).unwrap();
        store(&mut writer, vec![record("a", Some("2")), record("b", Some("2"))]).unwrap();
        Box::new(writer).close();
        let bytes = fs::read(&whole).unwrap();
        for cut in 0..=bytes.len() {
            let path = directory.path().join("torn");
            fs::write(&path, &bytes[..cut]).unwrap();
            let (mut writer, restored) = FileWriter::open(&path).unwrap();
            let values: Vec<_> = restored.iter().filter_map(|record| record.value.as_deref()).collect();
            let states: [&[&[u8]]; 3] = [&[], &[b"1"], &[b"2", b"2"]];
            assert!(states.contains(&&values[..]), "cut at {cut}: {restored:?}");
            store(&mut writer, vec![record("z", Some("later"))]).unwrap();
            Box::new(writer).close();
            assert!(reopen(&path).contains(&record("z", Some("later"))), "cut at {cut}");
        }
    }

    #[test]
    fn a_second_process_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (writer, _) = FileWriter::open(&path).unwrap();
        assert!(matches!(FileWriter::open(&path), Err(StoreError::InUse { .. })));
        Box::new(writer).close();
        assert!(FileWriter::open(&path).is_ok());
    }

    #[test]
    fn a_file_of_somebody_else_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lab.toml");
        fs::write(&path, "[plmn]\nmcc = \"001\"\n").unwrap();
        let error = FileWriter::open(&path).unwrap_err();
        assert!(error.to_string().contains("is no store of this program"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[plmn]\nmcc = \"001\"\n");
    }

    #[test]
    fn damage_before_whole_records_stops_the_start_and_names_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut writer, _) = FileWriter::open(&path).unwrap();
        store(&mut writer, vec![record("a", Some("1"))]).unwrap();
        store(&mut writer, vec![record("b", Some("2"))]).unwrap();
        Box::new(writer).close();
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(FileWriter::open(&path), Err(StoreError::Damaged { offset: 12, .. })));
    }

    #[test]
    fn a_journal_of_rewrites_stays_small_and_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = JournalFile::open(&path).unwrap();
        let value = "x".repeat(100);
        let mut live = Live::new();
        for n in 0..500 {
            let (key, value) = (format!("k{}", n % 3), format!("{n} {value}"));
            journal.append(&[record(&key, Some(&value)), record("gone", (n < 400).then_some("x"))]).unwrap();
            live.insert(key.into_bytes(), value.into_bytes());
            journal.compact_at = journal.compact_at.min(10_000);
            journal.compact_if_due().unwrap();
        }
        journal.finish_compaction();
        drop(journal);
        assert!(fs::metadata(&path).unwrap().len() < 22_000);
        assert!(!beside(&path, "new").exists());
        assert_eq!(JournalFile::open(&path).unwrap().1, live);
    }

    #[test]
    fn what_is_written_while_a_compaction_runs_is_in_the_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = JournalFile::open(&path).unwrap();
        for n in 0..100 {
            journal.append(&[record("a", Some(&n.to_string())), record("b", Some("1"))]).unwrap();
        }
        journal.compact_at = 0;
        journal.compact_if_due().unwrap();
        assert!(journal.compaction.is_some());
        let before = journal.sound_bytes;
        journal.append(&[record("a", Some("later")), record("c", Some("1"))]).unwrap();
        journal.append(&[record("b", None)]).unwrap();
        journal.finish_compaction();
        assert!(journal.sound_bytes < before / 4, "{} of {before} octets are left", journal.sound_bytes);
        journal.append(&[record("d", Some("1"))]).unwrap();
        drop(journal);
        let expected = [record("a", Some("later")), record("c", Some("1")), record("d", Some("1"))];
        assert_eq!(reopen(&path), expected);
    }

    /// A crash leaves the old file, with all that was acknowledged, and a new one that nobody looks at.
    #[test]
    fn a_journal_that_is_closed_while_it_is_compacted_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = JournalFile::open(&path).unwrap();
        for n in 0..100 {
            journal.append(&[record("a", Some(&n.to_string()))]).unwrap();
        }
        journal.compact_at = 0;
        journal.compact_if_due().unwrap();
        journal.append(&[record("b", Some("1"))]).unwrap();
        drop(journal);
        assert_eq!(reopen(&path), [record("a", Some("99")), record("b", Some("1"))]);
        assert!(!beside(&path, "new").exists());
    }

    #[test]
    fn a_write_grows_the_file_only_when_its_room_is_used_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = JournalFile::open(&path).unwrap();
        let value = "x".repeat(ROOM_BYTES / 4);
        let mut sizes = Vec::new();
        for n in 0..5 {
            journal.append(&[record(&n.to_string(), Some(&value))]).unwrap();
            sizes.push((fs::metadata(&path).unwrap().len() - 12) / ROOM_BYTES as u64);
        }
        assert_eq!(sizes, [1, 1, 1, 2, 2]);
        // A crash leaves the room behind: what was written is found before it, and what comes later follows.
        let crashed = directory.path().join("crashed");
        fs::copy(&path, &crashed).unwrap();
        let (mut writer, restored) = FileWriter::open(&crashed).unwrap();
        assert_eq!(restored.len(), 5);
        store(&mut writer, vec![record("later", Some("1"))]).unwrap();
        Box::new(writer).close();
        assert_eq!(reopen(&crashed).len(), 6);
    }

    #[test]
    fn a_compaction_cut_short_by_a_crash_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut writer, _) = FileWriter::open(&path).unwrap();
        store(&mut writer, vec![record("a", Some("1"))]).unwrap();
        Box::new(writer).close();
        fs::write(beside(&path, "new"), b"CARILL").unwrap();
        assert_eq!(reopen(&path), [record("a", Some("1"))]);
        assert!(!beside(&path, "new").exists());
    }

    #[test]
    fn a_thousand_writes_at_once_share_their_syncs_and_all_are_answered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut writer, _) = FileWriter::open(&path).unwrap();
        let (answer, answered) = channel();
        for n in 0..1000 {
            let answer = answer.clone();
            let records = vec![record(&format!("{n:04}"), Some("v"))];
            writer.write(records, Acknowledge::new(move |result| answer.send(result).unwrap())).unwrap();
        }
        writer.flush();
        drop(answer);
        assert_eq!(answered.iter().filter(Result::is_ok).count(), 1000);
        Box::new(writer).close();
        assert_eq!(reopen(&path).len(), 1000);
    }
}
