//! What a transaction holds once it is answered, for as long as retransmissions may come: counted by the allocator.

use carillon_bench::cases::by_key;

/// Bytes that a node holds more after each round, while none of them has ended yet.
fn held(key: &str) -> i64 {
    let case = by_key(key).unwrap_or_else(|| panic!("no case {key}"));
    let mut round = (case.make)();
    for _ in 0..2000 {
        round();
    }
    // A round takes 10 ms, and no server transaction ends within 12 s of its answer.
    allocation_counter::measure(|| (0..1000).for_each(|_| round())).bytes_current / 1000
}

/// A final response and its key. A page of responses that a thousand rounds begin or end is 64 bytes of each.
#[test]
fn an_answered_request_leaves_its_response_and_no_more() {
    for key in ["p-info", "p-info-to", "s-info", "p-register", "i-register", "s-challenge"] {
        let held = held(key);
        assert!((0..=1024).contains(&held), "{key}: {held}");
    }
    // The registration is in there too.
    let held = held("s-register");
    assert!((0..=1400).contains(&held), "s-register: {held}");
}

/// For the 2xx of another branch, which goes back as the first one did (RFC 6026 §7.2), the INVITE is kept; neither what
/// was sent on nor what was answered is. An S-CSCF keeps the session besides.
#[test]
fn an_answered_invite_leaves_the_invite() {
    for key in ["p-invite", "i-invite", "s-invite", "s-invite-to"] {
        let held = held(key);
        assert!((0..=8500).contains(&held), "{key}: {held}");
    }
}

/// The count can fail.
#[test]
fn a_challenge_is_not_free() {
    assert!(held("s-challenge") > 256);
}
