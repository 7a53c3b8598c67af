//! The four processes on real sockets, as somebody runs them: the ready-made lab, signals, crashes, mistakes.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process and phone has said")]

#[path = "interop/binaries.rs"]
mod binaries;
#[path = "interop/lab.rs"]
#[allow(dead_code, reason = "`interop.rs` uses the rest")]
mod lab;
#[path = "interop/loopback.rs"]
#[allow(dead_code, reason = "`interop.rs` uses the rest")]
mod loopback;
#[path = "interop/phone.rs"]
#[allow(dead_code, reason = "`interop.rs` uses the rest")]
mod phone;
#[path = "interop/process.rs"]
#[allow(dead_code, reason = "`interop.rs` uses the rest")]
mod process;

use binaries::{binary, top};
use lab::{Lab, Part};
use std::process::Command;
use std::time::{Duration, Instant};

/// `docs/config/lab.toml`, `ims call` and `ims message` through it, and a stop in good order.
#[test]
fn the_ready_made_lab_serves_calls_and_messages_and_stops_when_asked() {
    let mut lab = Lab::ready_made();
    lab.start_all();
    let called = lab.ims(&["call", "alice", "bob", "--talk", "300ms"]).unwrap();
    assert!(called.contains("alice has hung up"), "{called}");
    let sent = lab.ims(&["message", "alice", "bob", "Hello Bob"]).unwrap();
    assert!(sent.contains("bob received from alice: Hello Bob"), "{sent}");
    // Names, numbers and identities name the same people.
    lab.ims(&["message", "+49301000001", "bob", "by number"]).unwrap();
    lab.ims(&["register", "user100"]).unwrap();
    let (status, told) = lab.ims(&["call", "alice", "nobody"]).unwrap_err();
    assert_eq!(status, Some(2), "{told}");
    for part in [Part::Pcscf, Part::Icscf, Part::Scscf, Part::Hss] {
        let process = lab.process(part);
        process.signal("TERM");
        let status = process.wait(STOP_MAX);
        assert_eq!(status.code(), Some(0), "{part:?}: {}", process.output());
        let output = process.output();
        assert!(!output.contains("ERROR") && !output.contains("work left"), "{part:?}: {output}");
    }
    let (status, told) = lab.ims(&["register", "alice", "--timeout", "3s"]).unwrap_err();
    assert_eq!(status, Some(3), "nobody is there: {told}");
}

/// TS 29.228 §6.1, TS 24.229 §5.3.1: what needs the HSS is refused with a reason; what does not goes on; it heals.
#[test]
fn registered_users_call_on_while_the_hss_is_gone() {
    let mut lab = Lab::ready_made();
    lab.start_all();
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    lab.process(Part::Hss).kill();

    let mut newcomer = lab.phone("user001");
    let (status, reason) = newcomer.is_refused();
    assert!((500..600).contains(&status), "{status} {reason}");
    assert!(reason.contains("HSS"), "the reason names what is missing: {status} {reason}");
    bob.call(&mut alice);
    alice.message(&mut bob, "still here");

    lab.start(Part::Hss);
    let until = Instant::now() + HEAL_MAX;
    while !newcomer.try_register() {
        assert!(Instant::now() < until, "the CSCFs have not found the HSS again");
        std::thread::sleep(Duration::from_millis(500));
    }
    // The vectors go on where they were: a number used twice would be refused by the card.
    assert!(alice.register(), "a refresh");
    alice.call(&mut newcomer);
    alice.deregister();
}

/// What was acknowledged survives a crash of whoever acknowledged it.
#[test]
fn registered_users_are_reachable_after_a_crash_of_each_cscf() {
    let mut lab = Lab::ready_made();
    lab.start_all();
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    for part in [Part::Scscf, Part::Pcscf, Part::Icscf] {
        lab.process(part).kill();
        lab.start(part);
        lab.wait_for_diameter_again(part);
        alice.call(&mut bob);
        bob.message(&mut alice, part.program());
    }
    alice.deregister();
    bob.deregister();
}

#[test]
fn a_mistake_in_the_configuration_is_told_before_a_socket_opens() {
    let lab = Lab::ready_made();
    let sound = std::fs::read_to_string(lab.config_file()).unwrap();
    let broken = sound.replace("country_code = \"49\"", "country_cod = \"49\"");
    let line = 1 + broken.lines().position(|line| line.starts_with("country_cod ")).unwrap();
    let file = lab.folder().join("broken.toml");
    std::fs::write(&file, broken).unwrap();
    for part in Part::ALL {
        for words in [&["--check-config"][..], &[]] {
            let run =
                Command::new(binary(part.program())).args(words).arg("--config").arg(&file).output().unwrap();
            let told = String::from_utf8_lossy(&run.stderr);
            assert_eq!(run.status.code(), Some(2), "{told}");
            assert!(told.contains(&format!("broken.toml:{line}:")), "where: {told}");
            assert!(
                told.contains("country_cod") && told.contains("country_code"),
                "what, and what to write: {told}"
            );
            assert!(!told.contains("listens"), "{told}");
        }
    }
    let run =
        Command::new(binary("ims")).args(["register", "alice", "--config"]).arg(&file).output().unwrap();
    assert_eq!(run.status.code(), Some(2), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_documented_configuration_is_valid_and_says_where_each_value_is_from() {
    for part in Part::ALL {
        let run = |action| {
            let file = top().join("docs/config/lab.toml");
            Command::new(binary(part.program())).arg("--config").arg(file).arg(action).output().unwrap()
        };
        let checked = run("--check-config");
        assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
        let printed = String::from_utf8_lossy(&run("--print-config").stdout).into_owned();
        assert!(printed.contains("[scscf]") && printed.contains("country_code = \"49\""), "{printed}");
        assert!(
            printed.lines().filter(|line| line.contains(" = ")).all(|line| line.contains("  # ")),
            "{printed}"
        );
    }
}

/// How long a process may take to stop: longer than `limits.drain`.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How long the CSCFs may take to find the HSS again.
const HEAL_MAX: Duration = Duration::from_secs(20);
