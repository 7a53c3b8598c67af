//! What lasts: octets of a dialog, counted by the allocator. A registration is weighed where its role is
//! (`scscf/tests/memory.rs`, `pcscf/tests/memory.rs`), and a flow beside its table (`cscf/src/transport/datagram.rs`).

use carillon_bench::cases::by_key;

/// Octets that a node holds more after each round, when as many transactions end as begin: what is left is of dialogs.
fn left_by(key: &str) -> i64 {
    let case = by_key(key).unwrap_or_else(|| panic!("no case {key}"));
    let mut round = (case.make)();
    (0..case.warm_up).for_each(|_| round());
    allocation_counter::measure(|| (0..2000).for_each(|_| round())).bytes_current / 2000
}

/// What a request within a dialog needs stands in its Route.
#[test]
fn a_pcscf_and_an_icscf_keep_nothing_of_a_dialog() {
    for key in ["p-invite", "i-invite"] {
        let left = left_by(key);
        assert!((-8..=8).contains(&left), "{key}: {left}");
    }
}

/// An S-CSCF keeps what it takes to end the session from the middle (TS 24.229 §5.4.5.1): both ends, their routes, a timer.
#[test]
fn an_scscf_keeps_a_kilobyte_of_a_dialog() {
    for key in ["s-invite", "s-invite-to"] {
        let left = left_by(key);
        println!("{key}: {left} octets for a dialog");
        assert!((300..=1024).contains(&left), "{key}: {left}");
    }
}
