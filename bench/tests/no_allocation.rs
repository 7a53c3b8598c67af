//! In steady state a request within a dialog, and its 200, pass a node without one allocation: pools, slabs and edits go
//! round.

use carillon_bench::cases::by_key;

/// How often a case allocates in a thousand rounds, after as many rounds as it takes to fill its pools.
fn allocations(key: &str) -> u64 {
    let case = by_key(key).unwrap_or_else(|| panic!("no case {key}"));
    let mut round = (case.make)();
    for _ in 0..case.warm_up {
        round();
    }
    allocation_counter::measure(|| {
        for _ in 0..1000 {
            round();
        }
    })
    .count_total
}

#[test]
fn a_request_within_a_dialog_allocates_nothing_at_a_pcscf() {
    for key in ["p-ack", "p-info", "p-info-to"] {
        assert_eq!(allocations(key), 0, "{key}");
    }
}

#[test]
fn a_request_within_a_dialog_allocates_nothing_at_an_scscf() {
    for key in ["s-ack", "s-info"] {
        assert_eq!(allocations(key), 0, "{key}");
    }
}

#[test]
fn the_message_layer_allocates_nothing() {
    for key in [
        "parse-invite",
        "parse-register",
        "parse-ok",
        "check-invite",
        "check-register",
        "check-ok",
        "hop-invite",
    ] {
        assert_eq!(allocations(key), 0, "{key}");
    }
}

/// The count can fail: what asks the HSS and the store allocates.
#[test]
fn a_registration_allocates() {
    assert!(allocations("s-register") > 1000);
}
