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
fn filter_criteria_are_evaluated_without_an_allocation() {
    for key in ["ifc-plain", "ifc", "ifc-worst"] {
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

#[test]
fn the_recorder_allocates_nothing() {
    for key in ["s-ack-recorded", "s-info-recorded"] {
        assert_eq!(allocations(key), 0, "{key}");
    }
}

/// What allocates does so a known number of times, and why is said beside it.
#[test]
fn what_allocates_does_not_do_it_more_often() {
    let most = [
        // The lines of the 100, and a copy of an identity of the user while the request is written.
        ("p-invite", 2),
        // The typed request to the HSS with its identities, what the wait for it remembers, and the S-CSCF of the answer.
        // Request and answer are in boxes, lest whatever is queued have room for one.
        ("i-invite", 10),
        ("i-register", 10),
        // The lines of the 100, the served user, the charging vector of each direction, and the session with its ends and token.
        ("s-invite", 12),
        ("s-invite-to", 12),
        // The identities and contacts of the grant, the binding as it is kept, and the record for the store.
        ("p-register", 18),
        // The REGISTER while HSS and store are asked, the record, and the 200 with its fields; 13 are for the two GRUUs that
        // this UE asks for.
        ("s-register", 33),
        // The vectors as they come from the HSS, the challenge, and the REGISTER that waits for them.
        ("s-challenge", 28),
    ];
    let counted = most.map(|(key, most)| (key, most, allocations(key).div_ceil(1000)));
    assert!(counted.iter().all(|(_, most, counted)| counted <= most), "key, most, counted: {counted:?}");
}

/// The count can fail: what asks the HSS and the store allocates.
#[test]
fn a_registration_allocates() {
    assert!(allocations("s-register") > 1000);
}
