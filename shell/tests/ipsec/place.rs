//! Where a story runs: on a kernel that has ESP, or in a container that may do next to nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a story on a kernel that has ESP, by starting one that runs this test again.
pub fn on_a_kernel(test: &str, story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    let has = |program: &str| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&folders).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        folders.into_iter().any(|folder| folder.join(program).exists())
    };
    if let Some(missing) = ["linux.uml", "modprobe", "ip"].iter().find(|program| !has(program)) {
        eprintln!("left out: {missing} is not here (apt-get install user-mode-linux kmod iproute2)");
        return;
    }
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let own = std::env::current_exe().expect("a test knows its own file");
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("shell/ lies in the workspace");
    let mut kernel = Command::new(top.join("tests/lab-kernel"));
    kernel.args(["--timeout", "200", "--mem", "512", "--share"]).arg(own.parent().expect("a folder"));
    kernel.arg("--").arg(&own).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    // User-mode Linux keeps a folder in the home of its user.
    let run = kernel.env("HOME", scratch.path()).current_dir(top).output().expect("a shell script");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{}: {said}", run.status);
    eprint!("{said}");
}

/// Runs a story in a network and user namespace of its own, with CAP_NET_RAW and no other capability.
pub fn in_a_bare_container(test: &str, story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    let own = std::env::current_exe().expect("a test knows its own file");
    // The container's network is made before the capabilities go.
    let script = "ip link set lo up && for a in 192.0.2.1/32 192.0.2.2/32 2001:db8::1/128 2001:db8::2/128; do \
                  ip addr add $a dev lo || exit 99; done && \
                  exec setpriv --inh-caps=-all --bounding-set=-all,+net_raw \"$0\" --exact \"$1\" --nocapture";
    let mut container = Command::new("unshare");
    container.args(["--user", "--map-root-user", "--net", "sh", "-c", script]).arg(own).arg(test);
    match container.env(INSIDE, "1").output() {
        Ok(run) if String::from_utf8_lossy(&run.stdout).contains("running 1 test") => {
            let said = String::from_utf8_lossy(&run.stdout);
            let wrong = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success() && said.contains("1 passed"), "{}: {said}\n{wrong}", run.status);
        }
        Ok(run) => eprintln!("left out: no container here: {}", String::from_utf8_lossy(&run.stderr)),
        Err(error) => eprintln!("left out: no unshare here: {error}"),
    }
}

/// Tells this program that it runs where a story is to run.
const INSIDE: &str = "CARILLON_IPSEC_KERNEL";
