//! A container that may do next to nothing: a user and a network namespace of its own, and CAP_NET_RAW alone.

use std::process::Command;

/// Runs a test of this program again in such a container, and insists on its success; false when this is that run.
pub fn run_again(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let own = std::env::current_exe().expect("a test knows its own file");
    // The container's network is made before the capabilities go.
    let script = "ip link set lo up && ip addr add 192.0.2.0/24 dev lo && \
                  for host in 1 $(seq 11 99); do ip addr add 2001:db8::$host/64 dev lo nodad || exit 99; done && \
                  exec setpriv --inh-caps=-all,+net_raw --ambient-caps=-all,+net_raw --bounding-set=-all,+net_raw \
                  \"$0\" --exact \"$1\" --nocapture";
    let mut container = Command::new("unshare");
    container.args(["--user", "--map-root-user", "--net", "sh", "-c", script]).arg(own).arg(test);
    match container.env(INSIDE, "1").output() {
        Ok(run) if String::from_utf8_lossy(&run.stdout).contains("running 1 test") => {
            let said = String::from_utf8_lossy(&run.stdout);
            let wrong = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success() && said.contains("1 passed"), "{}: {said}\n{wrong}", run.status);
        }
        Ok(run) => {
            carillon_tests::skip(&format!(
                "no container here: {}",
                String::from_utf8_lossy(&run.stderr).trim()
            ));
        }
        Err(error) => carillon_tests::skip(&format!("no unshare here: {error}")),
    }
    true
}

/// Tells this program that it runs in the container.
const INSIDE: &str = "CARILLON_LAB_CONTAINER";
