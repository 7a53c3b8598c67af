//! The programs of this workspace, built as this test was.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The programs that the tests run.
const PROGRAMS: [&str; 6] = ["pcscf", "icscf", "scscf", "ims-core", "hss-mock", "ims"];

/// Where a program is. The first call builds them all: cargo gives a test only the programs of its own package.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    // TARGET/PROFILE/deps/interop-0123456789abcdef
    let own = std::env::current_exe().expect("a test knows its own file");
    let folder = own.ancestors().nth(2).expect("a folder of a profile").to_path_buf();
    let target = folder.parent().expect("the target folder");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Of the whole workspace, for then the features of dependencies are those that its tests were built with.
    command.args(["build", "--quiet", "--workspace", "--profile", profile, "--target-dir"]).arg(target);
    for program in PROGRAMS {
        command.args(["--bin", program]);
    }
    let built = command.current_dir(top()).output().expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    folder
}

/// The top of the workspace.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}
