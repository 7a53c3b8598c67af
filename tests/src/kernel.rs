//! Tests that need what the running kernel may lack, SCTP or ESP: they run again on a kernel of their own.

use crate::binaries::{binary, top};
use crate::process::Process;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Whether the tools are here that start a kernel; when not, the running test is skipped, or fails where every tool is
/// required.
pub fn can_be_started() -> bool {
    ["linux.uml", "modprobe", "ip"].into_iter().all(crate::needs)
}

/// Runs one test of this program again on a kernel that has SCTP and ESP, with the programs of this workspace at hand.
pub fn run_again(test: &str, within: Duration) {
    let folder = binary("");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let own = std::env::current_exe().expect("a test knows its own file");
    let mut kernel = Command::new(top().join("tests/lab-kernel"));
    kernel.arg("--timeout").arg(within.as_secs().to_string());
    kernel.arg("--share").arg(top()).arg("--share").arg(&folder).arg("--").arg(own);
    kernel.args(["--exact", test, "--nocapture"]).env(INSIDE, &folder);
    // User-mode Linux keeps a folder in the home of its user.
    kernel.env("HOME", scratch.path()).current_dir(top());
    let mut kernel = Process::start("lab-kernel", &mut kernel, scratch.path());
    let status = kernel.wait(within + START);
    assert!(status.success() && kernel.output().contains("1 passed"), "{status}: {}", kernel.output());
}

/// Where the programs are, when this program runs on such a kernel.
pub fn inside() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// Names the folder of the programs to this program on another kernel.
const INSIDE: &str = "CARILLON_KERNEL_PROGRAMS";
/// How long such a kernel takes to start and to stop.
const START: Duration = Duration::from_secs(60);
