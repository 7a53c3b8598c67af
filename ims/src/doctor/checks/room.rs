//! Whether there is room: files, processors, memory, directories.

use crate::doctor::facts::{Directory, Facts};
use crate::doctor::finding::Verdict;
use cscf::config::{Config, StoreKind};

pub fn files(config: &Config, facts: &Facts) -> Verdict {
    let wanted = config.limits.connections as u64 + FILES_OF_OUR_OWN;
    match facts.open_files_max {
        None => Verdict::skipped("the limit cannot be read"),
        Some(limit) if limit < wanted => Verdict::warn(
            format!(
                "{limit} files may be open, and limits.connections = {} needs {wanted}",
                config.limits.connections
            ),
            format!("`ulimit -Hn {wanted}`, LimitNOFILE={wanted} in the unit, or lower limits.connections"),
        ),
        Some(limit) => Verdict::good(format!("{limit} may be open")),
    }
}

pub fn processors(config: &Config, facts: &Facts) -> Verdict {
    let shards = [config.pcscf.shards, config.icscf.shards, config.scscf.shards];
    let most = usize::from(shards.into_iter().max().unwrap_or(1));
    match most > facts.processors {
        true => Verdict::warn(
            format!("a function has {most} shards, and there are {} processors", facts.processors),
            "write shards = the number of processors at most: each is a thread that never waits",
        ),
        false => Verdict::good(format!("{} for {most} shards of a function at the most", facts.processors)),
    }
}

pub fn memory(_: &Config, facts: &Facts) -> Verdict {
    match facts.memory_octets {
        None => Verdict::skipped("cannot be read"),
        Some(octets) if octets < MEMORY_MIN => Verdict::warn(
            format!("{} MiB are left", octets >> 20),
            format!("free {} MiB at least; a million registered UEs take some GiB", MEMORY_MIN >> 20),
        ),
        Some(octets) => Verdict::good(format!("{} MiB are left", octets >> 20)),
    }
}

pub fn journal(config: &Config, facts: &Facts) -> Verdict {
    match &facts.store {
        None => {
            debug_assert_eq!(config.store.kind, StoreKind::Memory);
            Verdict::warn(
                "registrations are kept in memory: a restart forgets them",
                "write [store] kind = \"file\" and a path",
            )
        }
        Some(Directory { path, fault: Some(why), .. }) => Verdict::bad(
            format!("nothing can be written to {}: {why}", path.display()),
            format!("`chown` or `chmod u+w` {}, or point store.path elsewhere", path.display()),
        ),
        Some(Directory { path, .. }) => Verdict::good(format!("{} can be written to", path.display())),
    }
}

pub fn journal_space(_: &Config, facts: &Facts) -> Verdict {
    let Some(store) = &facts.store else { return Verdict::skipped("nothing is kept on disk") };
    match store.free_octets {
        None => Verdict::skipped("cannot be read"),
        Some(octets) if octets < SPACE_MIN => Verdict::bad(
            format!("{} MiB are free at {}", octets >> 20, store.path.display()),
            format!("free {} MiB at least: what cannot be stored is refused with 5xx", SPACE_MIN >> 20),
        ),
        Some(octets) => Verdict::good(format!("{} MiB are free", octets >> 20)),
    }
}

pub fn control(_: &Config, facts: &Facts) -> Verdict {
    let Directory { path, fault, is_open_to_others, .. } = &facts.control;
    match (is_open_to_others, fault) {
        (true, _) => Verdict::bad(
            format!("{} can be written by others, so that no process opens its socket there", path.display()),
            format!("`chmod go-w {}`", path.display()),
        ),
        (false, Some(why)) => Verdict::bad(
            format!("no socket can be made in {}: {why}", path.display()),
            format!("`chmod u+w {}`, or point control.path elsewhere", path.display()),
        ),
        (false, None) => Verdict::good(format!("{} is ours alone", path.display())),
    }
}

/// As the processes count: listening sockets, journals, event loops.
const FILES_OF_OUR_OWN: u64 = 256;
/// Below it nothing larger than a lab runs.
const MEMORY_MIN: u64 = 128 << 20;
/// A journal grows ahead, and is written twice when it is made smaller.
const SPACE_MIN: u64 = 64 << 20;
