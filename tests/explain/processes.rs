//! `ims explain` of a core that runs: four processes, and what their flight recorders have.

use carillon_tests::lab::{DOMAIN, Lab};

/// The first cause that `ims explain -o json` tells, and its exit status.
fn told(lab: &Lab, words: &[&str]) -> (Option<i32>, String) {
    let (status, text) = match lab.ims(&[&["explain", "-o", "json"], words].concat()) {
        Ok(text) => (Some(0), text),
        Err((status, text)) => (status, text),
    };
    let cause = text.split_once("\"cause\": \"").and_then(|(_, rest)| rest.split_once('"'));
    (status, cause.map(|(cause, _)| cause.to_owned()).unwrap_or_default())
}

#[test]
fn a_running_core_and_a_recording_of_it_are_explained_alike() {
    let mut lab = Lab::ready_made();
    lab.start_all();
    assert_eq!(told(&lab, &[]).0, Some(2), "nothing has happened yet");
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    alice.call(&mut bob);
    assert_eq!(told(&lab, &["all"]), (Some(0), String::new()), "all went well");

    let number = format!("sip:+49301000777@{DOMAIN}");
    assert_eq!(alice.call_refused(&number), 404);
    let unknown = (Some(1), "callee-unknown".to_owned());
    assert_eq!(told(&lab, &[]), unknown);
    assert_eq!(told(&lab, &["imsi", "001010000000001"]).1, unknown.1);
    assert_eq!(told(&lab, &["registration", "001010000000002"]), (Some(0), String::new()));
    let text = lab.ims(&["explain"]).expect_err("something is wrong").1;
    assert!(text.contains("HSS -> I-CSCF: LIA 5001"), "{text}");

    let file = lab.folder().join("all.rec").display().to_string();
    lab.ims(&["trace", "export", "-o", &file]).expect("`ims` succeeds");
    assert_eq!(told(&lab, &["last", "--recording", &file]), unknown);
}
