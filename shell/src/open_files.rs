//! How many files this process may have open, and with them connections: `RLIMIT_NOFILE` (getrlimit(2)).

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as this process may: for root that is what the kernel allows at all (`fs.nr_open`), for
/// anybody else the hard limit that it was started with. Gives the limit that holds.
pub fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    for wanted in [kernel_limit().unwrap_or(hard).max(hard), hard] {
        if setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted.max(hard)).is_ok() {
            return wanted;
        }
    }
    soft
}

/// Raises the limit, and tells the operator when so many connections will not fit.
pub(crate) fn prepare(name: &str, connections_max: usize) {
    let allowed = raise();
    if let Some(room) = shortage(allowed, connections_max) {
        tracing::warn!(
            allowed,
            "{name} may have fewer files open than limits.connections = {connections_max} needs, so that there is room \
             for about {room} connections: raise the limit (`ulimit -n`, LimitNOFILE=), or lower limits.connections"
        );
    }
}

/// For how many connections there is room, when that is fewer than there may be.
fn shortage(allowed: u64, connections_max: usize) -> Option<u64> {
    let room = allowed.saturating_sub(FILES_OF_OUR_OWN);
    (room < connections_max as u64).then_some(room)
}

fn kernel_limit() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}

/// Listening sockets, journals, event loops: what is open beside connections, generously.
const FILES_OF_OUR_OWN: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_told_only_when_connections_will_not_fit() {
        assert_eq!(shortage(1024, 10_000), Some(768));
        assert_eq!(shortage(10_256, 10_000), None);
        assert_eq!(shortage(100, 10_000), Some(0));
    }

    #[test]
    fn what_is_raised_holds_and_is_not_lowered_by_a_second_time() {
        let before = getrlimit(Resource::RLIMIT_NOFILE).unwrap().0;
        let raised = raise();
        assert!(raised >= before);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, raised);
        assert_eq!(raise(), raised);
    }
}
