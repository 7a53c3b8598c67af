//! What a test does whose oracle is not installed.

use std::io::Write;

/// Reports that the running test does not run, and why; the test then returns.
///
/// The file that `CARILLON_SKIPS` names counts it. Where `CARILLON_TOOLS` is `required`, what is missing fails instead.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CARILLON_TOOLS").is_none_or(|value| value != "required"), "{reason}");
    let thread = std::thread::current();
    let line = format!("SKIP {}: {reason}\n", thread.name().unwrap_or("a test"));
    eprint!("{line}");
    let Some(file) = std::env::var_os("CARILLON_SKIPS") else { return };
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    assert!(written.is_ok(), "cannot count a skip");
}
