//! What the registrar's 200 says, on its way to the UE.

use crate::bench::*;

/// TS 24.229 §5.1.1.2.1 f): by `Require: outbound` the UE knows that the registrar tells flows apart.
#[test]
fn the_ue_hears_whether_the_registrar_tells_flows_apart() {
    for require in ["Require: outbound\n", ""] {
        let mut bench = Bench::new();
        let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
        let granted = granted(&sent[0].1, &format!("{require}{CONTACT};expires=600"));
        let back = bench.core_sends(&granted);
        assert_eq!(values(&back[0].1, "Require").join(""), require.replace("Require: ", "").trim_end());
    }
}

/// Contacts that make the 200 nearly as long as a datagram may be: it reaches the UE whole, and what it grants stands.
#[test]
fn a_very_long_200_reaches_the_ue_whole_and_grants_what_it_says() {
    let mut bench = Bench::new();
    let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
    let others: String =
        (0..9).map(|at| format!("\nContact: <sip:{at}@h;x={}>;expires=60", "y".repeat(6800))).collect();
    let back = bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600{others}")));
    assert!(back[0].1.starts_with("SIP/2.0 200 OK\r\n") && back[0].1.len() > 60_000);
    assert_eq!(values(&back[0].1, "Contact").len(), 10);
    let contacts: Vec<usize> =
        bench.node.role().bindings().iter().map(|binding| binding.contacts().count()).collect();
    assert_eq!(contacts, [1], "what the UE asked for, and not what others registered");
}

/// A 200 longer than a message may be is none: the UE is not told of a registration that this node does not have.
#[test]
fn a_200_that_is_too_long_registers_nobody_here() {
    let mut bench = Bench::new();
    let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
    let others: String =
        (0..10).map(|at| format!("\nContact: <sip:{at}@h;x={}>;expires=60", "y".repeat(7000))).collect();
    let back = bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600{others}")));
    assert_eq!(back, []);
    assert!(!bench.is_registered() && bench.store.is_empty());
    assert!(bench.node.counters().iter().any(|(what, ..)| what == "malformed"), "counted");
    assert!(bench.settles());
}
