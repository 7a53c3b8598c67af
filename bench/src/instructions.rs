//! Instructions of a round, counted by valgrind: a figure that a busy machine does not change.

use std::path::Path;
use std::process::Command;

/// Rounds of the shorter of two runs; the difference of the two is what counts.
const FEW: u32 = 100;

/// Whether valgrind is there; else why it is not.
pub fn tool() -> Result<(), String> {
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("valgrind ends with {}", output.status)),
        Err(error) => Err(format!("valgrind does not start: {error}")),
    }
}

/// Instructions of one round of a case of `program`, which is this package's: the difference of two runs, so that
/// starting and preparing cancel out, over so many rounds.
pub fn per_round(program: &Path, key: &str, rounds: u32) -> Option<u64> {
    let difference = counted(program, key, FEW + rounds)?.checked_sub(counted(program, key, FEW)?)?;
    Some(difference / u64::from(rounds))
}

fn counted(program: &Path, key: &str, rounds: u32) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(["--rounds", key, &rounds.to_string()])
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = report.lines().find(|line| line.contains("I   refs:") || line.contains("I refs:"))?;
    line.split(':').nth(1)?.trim().replace(',', "").parse().ok()
}
