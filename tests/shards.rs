//! The functions of a core in two shards each, as processes on real sockets.

use carillon_tests::lab::{Lab, Part};
use std::time::Duration;

/// A lab whose CSCFs run two shards each, and listen as `transport` says.
fn lab(transport: &str) -> Lab {
    let lab = Lab::ready_made();
    for (part, section) in [(Part::Pcscf, "pcscf"), (Part::Icscf, "icscf"), (Part::Scscf, "scscf")] {
        let address = lab.address(part);
        let sharded = format!("[{section}]\nshards = 2\nlisten = [\"{transport}{address}\"]");
        let text = std::fs::read_to_string(lab.config_file()).expect("the lab has written it");
        let listens = format!("listen = [\"{address}\"]");
        let section = format!("[{section}]");
        assert!(text.contains(&section) && text.contains(&listens), "{text}");
        lab.set(&listens, "");
        lab.set(&section, &sharded);
    }
    lab
}

#[test]
fn two_shards_each_serve_registrations_calls_and_messages_over_udp_and_tcp() {
    for transport in ["", "tcp:"] {
        let mut lab = lab(transport);
        lab.start_all();
        // Users of both shards: which ones is up to the key of the deployment.
        let mut phones: Vec<_> =
            ["alice", "bob", "user001", "user002", "user003", "user004"].map(|name| lab.phone(name)).into();
        for phone in &mut phones {
            phone.register();
        }
        for caller in 0..phones.len() {
            let callee = (caller + 1) % phones.len();
            let [caller, callee] = phones.get_disjoint_mut([caller, callee]).expect("two phones");
            caller.call(callee);
            callee.message(caller, "and back");
        }
        for phone in &mut phones {
            assert!(phone.register(), "a refresh");
            phone.deregister();
        }
        for part in [Part::Pcscf, Part::Icscf, Part::Scscf, Part::Hss] {
            let process = lab.process(part);
            process.signal("TERM");
            let status = process.wait(STOP_MAX);
            let output = process.output();
            assert_eq!(status.code(), Some(0), "{part:?}: {output}");
            assert!(!output.contains("ERROR") && !output.contains("work left"), "{part:?}: {output}");
            assert_eq!(output.contains("runs in shards"), part != Part::Hss, "{part:?}: {output}");
        }
    }
}

#[test]
fn registered_users_are_reachable_after_a_crash_and_with_another_number_of_shards() {
    let mut lab = lab("");
    lab.start_all();
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    for (before, after) in [("shards = 2", "shards = 3"), ("shards = 3", "shards = 1")] {
        lab.set(before, after);
        for part in [Part::Scscf, Part::Pcscf, Part::Icscf] {
            lab.process(part).kill();
            lab.start(part);
            lab.wait_for_diameter_again(part);
            alice.call(&mut bob);
            bob.message(&mut alice, after);
        }
    }
}

/// How long a process may take to stop: longer than `limits.drain`.
const STOP_MAX: Duration = Duration::from_secs(10);
