//! An operator at running processes: the four of them on real sockets, commanded by `ims`.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process and phone has said")]

use carillon_tests::lab::{Lab, Part};
use std::fs;
use std::time::Duration;

/// TS 29.228 §6.1.3.1, TS 24.229 §5.4.1.5: the HSS ends a registration by RTR, the operator of the S-CSCF by himself.
#[test]
fn the_network_ends_registrations_and_who_calls_is_told_480() {
    let mut lab = Lab::ready_made();
    lab.start_all();
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    bob.call(&mut alice);
    let shown = lab.ims(&["hss", "show", "alice"]).unwrap();
    assert!(shown.contains("set       registered by 001010000000001@"), "{shown}");
    assert!(shown.contains("s-cscf    sip:scscf."), "{shown}");
    let keys = fs::read_to_string(lab.folder().join("subscribers.csv")).unwrap();
    let key =
        keys.lines().find(|line| line.contains("alice")).and_then(|line| line.split(',').nth(1)).unwrap();
    assert!(!shown.contains(key), "a key is shown");

    let told = lab.ims(&["hss", "deregister", "alice", "--info", "moved out"]).unwrap();
    assert!(told.contains("the S-CSCF answered 2001 SUCCESS"), "{told}");
    assert_eq!(bob.call_refused(alice.sip()), 480);
    let shown = lab.ims(&["hss", "show", "alice"]).unwrap();
    assert!(
        shown.contains("set       unregistered, and served"),
        "for the call that has just been tried: {shown}"
    );
    let told = lab.ims(&["hss", "deregister", "user050"]).unwrap();
    assert!(told.contains("nobody had to be told"), "{told}");

    alice.register();
    bob.call(&mut alice);
    let told = lab.ims(&["hss", "push", "+49301000001"]).unwrap();
    assert!(told.contains("the S-CSCF answered 2001 SUCCESS"), "{told}");
    let told = lab.ims(&["reg", "deregister", "alice"]).unwrap();
    assert!(told.contains("de-registered sip:alice@"), "{told}");
    assert_eq!(bob.call_refused(alice.sip()), 480);
    let (status, told) = lab.ims(&["reg", "deregister", "alice"]).unwrap_err();
    assert!(status == Some(1) && told.contains("is not registered here"), "{told}");
}

/// Refusals on demand: for anybody and once, for one subscriber until told otherwise.
#[test]
fn the_hss_refuses_what_it_is_told_to_and_then_serves_again() {
    let mut lab = Lab::ready_made();
    lab.start_all();
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    let told = lab.ims(&["hss", "refuse", "MAR", "5012", "--count", "1"]).unwrap();
    assert!(told.contains("the next MAR of anybody is refused: 5012 UNABLE_TO_COMPLY"), "{told}");
    let (status, reason) = alice.is_refused();
    assert!((500..600).contains(&status) && !reason.is_empty(), "{status} {reason}");
    alice.register();

    lab.ims(&["hss", "refuse", "uar", "user_unknown", "--who", "bob"]).unwrap();
    assert_eq!(bob.is_refused().0, 403);
    assert!(alice.register(), "others are served");
    lab.ims(&["hss", "serve-all"]).unwrap();
    bob.register();

    // A card takes no vector with a number that it has seen, and tells its own (TS 33.102 §6.3.5).
    let impi = "001010000000002@ims.mnc001.mcc001.3gppnetwork.org";
    lab.ims(&["hss", "set-sqn", impi, "0"]).unwrap();
    bob.register();

    for (words, status) in [
        (&["hss", "refuse", "mar", "7"][..], 2),
        (&["hss", "set-sqn", impi, "xyz"], 2),
        (&["hss", "set-sqn", "nobody@home1.net", "0"], 1),
        (&["hss", "show", "nobody"], 1),
    ] {
        let (code, told) = lab.ims(words).expect_err("a mistake");
        assert_eq!(code, Some(status), "{words:?}: {told}");
    }
    lab.process(Part::Hss).kill();
    let (status, told) = lab.ims(&["hss", "list"]).unwrap_err();
    assert_eq!(status, Some(3), "a socket that a crash left: {told}");
    lab.start(Part::Hss);
    assert!(lab.ims(&["hss", "list"]).unwrap().contains("alice"));
}

const CAROL: &[&str] = &[
    "sub",
    "add",
    "carol",
    "--imsi",
    "001010000000777",
    "--msisdn",
    "+49301000777",
    "--running",
    "--k",
    "00112233445566778899aabbccddeeff",
    "--opc",
    "ffeeddccbbaa99887766554433221100",
];

/// What `ims` printed for a command that is to succeed.
fn done(lab: &Lab, words: &[&str]) -> String {
    lab.ims(words).unwrap_or_else(|(status, told)| panic!("{words:?}: {status:?}: {told}"))
}

/// Subscribers come and go while the HSS runs, and are as they were after a crash.
fn subscribers_change_while_the_hss_runs(store: &str) {
    let mut lab = Lab::ready_made();
    lab.set("# store = \"memory\"", &format!("store = \"{store}\""));
    lab.start_all();

    let told = done(&lab, CAROL);
    assert!(told.contains("The running HSS has the change too."), "{told}");
    done(&lab, &["message", "carol", "alice", "Hello Alice"]);
    lab.process(Part::Hss).kill();
    lab.start(Part::Hss);
    lab.wait_for_diameter();
    done(&lab, &["register", "carol"]);

    // A person gives bob another number and takes user100 out.
    let csv = lab.folder().join("subscribers.csv");
    let people = fs::read_to_string(&csv).expect("the subscribers");
    let people: Vec<_> = people
        .lines()
        .filter(|line| !line.ends_with("user100"))
        .map(|line| line.replace("+49301000002", "+49301000999"))
        .collect();
    fs::write(&csv, people.join("\n") + "\n").expect("the scratch folder is writable");
    assert!(!done(&lab, &["hss", "show", "bob"]).contains("+49301000999"));
    let told = done(&lab, &["hss", "reload"]);
    assert!(told.contains("The HSS has 1 new or changed subscribers"), "{told}");
    lab.process(Part::Hss).kill();
    lab.start(Part::Hss);
    lab.wait_for_diameter();
    assert!(done(&lab, &["hss", "show", "bob"]).contains("tel:+49301000999"));

    let told = done(&lab, &["sub", "remove", "carol", "--running"]);
    assert!(told.contains("The running HSS has the change too."), "{told}");
    lab.process(Part::Hss).kill();
    lab.start(Part::Hss);
    let listed = done(&lab, &["hss", "list"]);
    assert!(!listed.contains("carol") && listed.contains("bob"), "{listed}");
}

#[test]
fn subscribers_change_while_the_hss_runs_with_a_journal() {
    subscribers_change_while_the_hss_runs("memory");
}

#[test]
fn subscribers_change_while_the_hss_runs_with_a_database() {
    subscribers_change_while_the_hss_runs("sqlite:hss.db");
}

/// A file that was edited is taken over whole or not at all.
#[test]
fn an_edited_configuration_is_read_again_and_errors_refuse_all_of_it() {
    let mut lab = Lab::ready_made();
    lab.start_all();
    let file = lab.config_file();
    let text = fs::read_to_string(&file).unwrap();
    let edited = |level: &str, key: &str| {
        let text = text.replace("# level = \"info\"", &format!("level = \"{level}\""));
        fs::write(&file, text.replace("# contacts_max = 10", &format!("{key} = 5"))).unwrap();
    };
    edited("debug", "contact_max");
    lab.process(Part::Scscf).signal("HUP");
    lab.process(Part::Scscf)
        .wait_for_output("scscf.contact_max: unknown key; did you mean contacts_max?", SOON);

    edited("debug", "contacts_max");
    lab.process(Part::Scscf).signal("HUP");
    lab.process(Part::Scscf).wait_for_output("scscf.contacts_max: takes effect with a restart", SOON);
    assert!(lab.process(Part::Scscf).output().contains("log.level: in effect"));
    let told = lab.ims(&["reload"]).unwrap();
    for process in ["hss-mock", "icscf", "pcscf"] {
        assert!(told.contains(&format!("{process}: log.level: in effect")), "{told}");
    }
    assert!(told.contains("scscf: scscf.contacts_max: takes effect with a restart"), "{told}");
    let log = lab.process(Part::Scscf).output();
    assert!(log.contains("DEBUG the configuration was read again"), "the level is in effect: {log}");
    lab.ims(&["register", "alice"]).unwrap();
}

/// How long a process may take to hear a signal.
const SOON: Duration = Duration::from_secs(10);
