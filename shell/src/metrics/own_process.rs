//! What the system says of this process, by the names that Prometheus gives to it.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a process takes of its machine; a number that cannot be read is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_s: Option<f64>,
    pub(super) resident_octets: Option<f64>,
    pub(super) threads: Option<f64>,
    pub(super) open_files: Option<f64>,
    pub(super) open_files_max: Option<f64>,
    /// Since the Unix epoch.
    pub(super) started_s: Option<f64>,
}

/// Reads it from `/proc`.
pub(super) fn usage() -> Usage {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64()).ok();
    Usage {
        open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64),
        ..read(&stat, &limits, &uptime, now_s)
    }
}

/// Reads proc(5)'s `stat`, `limits` and `uptime`.
fn read(stat: &str, limits: &str, uptime: &str, now_s: Option<f64>) -> Usage {
    // The name of the process, in brackets, may hold anything: fields count from behind it, the state first, field 3.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let fields: Vec<&str> = after.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let age_s = || Some(uptime.split_whitespace().next()?.parse::<f64>().ok()? - field(22)? / TICKS);
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    Usage {
        cpu_s: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
        resident_octets: field(24).map(|pages| pages * PAGE_OCTETS),
        threads: field(20),
        open_files: None,
        open_files_max: line.and_then(|line| line.split_whitespace().next()?.parse().ok()),
        started_s: now_s.zip(age_s()).map(|(now, age)| now - age),
    }
}

/// USER_HZ, which Linux shows to every process on every machine.
const TICKS: f64 = 100.0;
/// Of the machines that this runs on.
const PAGE_OCTETS: f64 = 4096.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_a_name_that_holds_brackets() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 5 0 2000 1000000 300 18446744073709551615";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 4096                 files\n";
        let usage = read(stat, limits, "120.50 99.0\n", Some(1_000_000.0));
        assert_eq!(
            usage,
            Usage {
                cpu_s: Some(2.0),
                resident_octets: Some(300.0 * 4096.0),
                threads: Some(5.0),
                open_files: None,
                open_files_max: Some(1024.0),
                started_s: Some(1_000_000.0 - 100.5),
            }
        );
        assert_eq!(read("", "", "", None), Usage::default());
    }

    #[test]
    fn this_process_has_files_open_and_memory() {
        let usage = usage();
        assert!(
            usage.open_files.is_some_and(|count| count > 0.0) && usage.resident_octets.is_some(),
            "{usage:?}"
        );
    }
}
