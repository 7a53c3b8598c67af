//! What the end-to-end tests stand on: a core in processes of its own and phones that call through it, and programs that
//! may be missing.
//!
//! A test that cannot run says so and is counted: `tests/run` reads the file that `CARILLON_SKIPS` names. Where
//! `CARILLON_TOOLS` is `required` (as root `tests/run` has installed everything), a missing program fails instead.

pub mod authority;
pub mod binaries;
pub mod kamailio;
pub mod kernel;
pub mod lab;
pub mod loopback;
pub mod phone;
pub mod process;
pub mod story;
pub mod template;

use std::io::Write;
use std::path::PathBuf;

/// Reports that the running test does not run, and why. The test then returns.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test").to_owned();
    eprintln!("SKIP {test}: {reason}");
    let Some(file) = std::env::var_os("CARILLON_SKIPS") else { return };
    let line = format!("SKIP {test}: {reason}\n");
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    assert!(written.is_ok(), "cannot count a skip in {}", PathBuf::from(file).display());
}

/// Whether `program` can be run; when not, the running test is skipped, or fails where every tool is required.
pub fn needs(program: &str) -> bool {
    find(program).is_some()
        || missing(&format!("{program} is not installed (tests/packages.txt lists its package)"))
}

/// Skips the running test for want of a tool, or fails it where every tool is required. Always false.
pub fn missing(reason: &str) -> bool {
    assert!(std::env::var_os("CARILLON_TOOLS").is_none_or(|value| value != "required"), "{reason}");
    skip(reason);
    false
}

/// Where `program` is: in `PATH`, or where Debian keeps daemons.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_name_and_another_is_not() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
