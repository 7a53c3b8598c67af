//! What the running processes of a core have recorded: all of it as one view, and what is new since.

use crate::control::{PROCESSES, directory};
use crate::exit::Failure;
use crate::screen;
use cscf::config::Config;
use cscf::wording::{Outcome, Reply};
use recorder::{Entry, Story};
use shell::control::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Reads the recorders of a core.
pub struct Collector {
    directory: PathBuf,
    within: Duration,
    /// By socket and shard: the number of the entry that was read last, and all entries that were read.
    rings: BTreeMap<(PathBuf, usize), (u64, Vec<Entry>)>,
}

impl Collector {
    /// One for the core of `config`; `within` is for one look at one process.
    pub fn new(config: &Config, within: Duration) -> Collector {
        Collector { directory: directory(config), within, rings: BTreeMap::new() }
    }

    /// Reads what is new at every process; how many entries. Fails when no process can be read.
    pub fn look(&mut self) -> Result<usize, Failure> {
        let mut found = 0;
        let mut answered = 0;
        let mut why = format!("nobody takes commands in {}", self.directory.display());
        for socket in sockets(&self.directory) {
            match self.read(&socket) {
                Ok(count) => {
                    found += count;
                    answered += 1;
                }
                // A socket that a crash left behind, or a process that is about to end.
                Err(told) => why = format!("{}: {told}", socket.display()),
            }
        }
        match answered {
            0 => Err(Failure::Unreachable(format!(
                "{why}; is a core running, with the same `[control] path`?"
            ))),
            _ => Ok(found),
        }
    }

    /// All that was read, joined.
    pub fn joined(&self) -> Vec<Entry> {
        recorder::join(self.rings.values().map(|(_, entries)| entries.clone()).collect())
    }

    /// The same as it may be shown.
    pub fn shown(&self, is_private: bool) -> Vec<Entry> {
        let mut entries = self.joined();
        if is_private {
            recorder::redact(&mut entries);
        }
        entries
    }

    /// How many entries were overwritten before they could be read, of those that followed one that was.
    pub fn lost(&self) -> u64 {
        let gaps = |entries: &Vec<Entry>| -> u64 {
            entries.windows(2).map(|pair| pair[1].sequence.saturating_sub(pair[0].sequence + 1)).sum()
        };
        self.rings.values().map(|(_, entries)| gaps(entries)).sum()
    }

    fn read(&mut self, socket: &Path) -> Result<usize, String> {
        let mut connection =
            Connection::open(socket, self.within).map_err(|unanswered| unanswered.to_string())?;
        let (mut found, mut shard, mut shards) = (0, 0, 1);
        while shard < shards {
            let ring = self.rings.entry((socket.to_owned(), shard)).or_default();
            let reply =
                connection.ask(&format!("recorded {shard} {}", ring.0)).map_err(|why| why.to_string())?;
            let Reply { lines, outcome } = reply;
            if outcome != Outcome::Done {
                return Err(format!("{outcome:?}"));
            }
            shards = lines.first().and_then(|count| count.parse().ok()).unwrap_or(1).min(SHARDS_MAX);
            // A process that records nothing says how many shards it has, and no more.
            let Some(chunk) = lines.get(1) else {
                shard += 1;
                continue;
            };
            let chunk = shell::control::read_recorded(chunk).ok_or("it sent what is no recording")?;
            // A process that began anew counts anew.
            if chunk.newest < ring.0 {
                *ring = Default::default();
                continue;
            }
            match chunk.entries.last() {
                Some(last) => {
                    ring.0 = last.sequence;
                    found += chunk.entries.len();
                    ring.1.extend(chunk.entries);
                    let surplus = ring.1.len().saturating_sub(ENTRIES_MAX);
                    ring.1.drain(..surplus);
                }
                None => shard += 1,
            }
        }
        Ok(found)
    }
}

/// What a running core has recorded, or what a file has.
pub fn read(config: &Config, file: Option<&Path>, within: Duration) -> Result<Vec<Entry>, Failure> {
    match file {
        Some(file) => {
            let shown = file.display();
            let bytes = std::fs::read(file).map_err(|error| Failure::Usage(format!("{shown}: {error}")))?;
            let loaded = recorder::file::load(&bytes);
            let mut entries = loaded.map_err(|error| Failure::Usage(format!("{shown}: {error}")))?;
            if config.recorder.privacy {
                recorder::redact(&mut entries);
            }
            Ok(entries)
        }
        None => {
            let mut collector = Collector::new(config, within);
            collector.look()?;
            if collector.lost() > 0 {
                screen::complain(format_args!(
                    "ims: {} entries were overwritten or too long",
                    collector.lost()
                ));
            }
            Ok(collector.shown(config.recorder.privacy))
        }
    }
}

/// Which of what was recorded is wanted.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// `last`, or a part of a Call-ID.
    pub call: Option<String>,
    /// An identity, or a part of one.
    pub imsi: Option<String>,
}

impl Choice {
    /// The stories that are wanted; all of them without a choice.
    pub fn of(&self, entries: &[Entry]) -> Vec<Story> {
        let mut stories = recorder::stories(entries);
        if let Some(imsi) = &self.imsi {
            stories.retain(|story| story.names(imsi, entries));
        }
        match self.call.as_deref() {
            Some("last") => {
                let last = stories.iter().rposition(|story| story.kind == recorder::Kind::Call);
                last.map(|at| stories.swap_remove(at)).into_iter().collect()
            }
            Some(id) => {
                stories.retain(|story| story.call_ids.iter().any(|call_id| call_id.contains(id)));
                stories
            }
            None => stories,
        }
    }

    /// The entries that are wanted, in their order; without a choice all of them, with those that belong to no story.
    pub fn entries(&self, entries: &[Entry]) -> Result<Vec<Entry>, Failure> {
        if self.call.is_none() && self.imsi.is_none() {
            return Ok(entries.to_vec());
        }
        let mut wanted: Vec<usize> = self.of(entries).into_iter().flat_map(|story| story.entries).collect();
        wanted.sort_unstable();
        wanted.dedup();
        match wanted.is_empty() {
            true => Err(Failure::Failed(
                "nothing of that was recorded; `ims ladder --list` shows what was".to_owned(),
            )),
            false => Ok(wanted.into_iter().map(|at| entries[at].clone()).collect()),
        }
    }
}

/// The control sockets in a directory: first those of the functions of a core, then all others.
fn sockets(directory: &Path) -> Vec<PathBuf> {
    let mut sockets: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
        .collect();
    let rank = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        (PROCESSES.iter().position(|process| *process == name).unwrap_or(PROCESSES.len()), name)
    };
    sockets.sort_by_key(rank);
    sockets
}

/// Entries of one ring that are kept while a core is followed.
const ENTRIES_MAX: usize = 1_000_000;
/// More shards than any process has.
const SHARDS_MAX: usize = 1024;
