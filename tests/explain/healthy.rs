//! Runs in which nothing is wrong: users do what users do, and the network copes with what it is made for.

use crate::bench::Bench;
use crate::setup::Setup;
use crate::{Healthy, Takes};
use cscf::user_data::{DefaultHandling, SessionCase};
use hss_mock::HssCommand;
use ims_aka::Sqn;
use sim::Behaviour;
use sip_core::Status;
use std::time::Duration;
use ue::{Answering, Command, Notice};

use Takes::{RawSockets, Sockets};

fn nothing(_: &mut Setup) {}

fn both_registered(bench: &mut Bench) {
    bench.registered(&["alice", "bob"]);
}

fn talk(bench: &mut Bench) {
    let bob = bench.number("bob");
    let notice = bench.call("alice", &bob);
    assert!(matches!(notice, Some(Notice::Established { .. })), "{notice:?}");
    bench.pause(Duration::from_millis(150));
}

fn hang_up(bench: &mut Bench, who: &str) {
    let notice = bench.hang_up(who);
    assert!(matches!(notice, Some(Notice::Ended { .. })), "{notice:?}");
    bench.pause(Duration::from_millis(100));
}

fn call(bench: &mut Bench) {
    both_registered(bench);
    talk(bench);
    hang_up(bench, "alice");
}

fn refused_by_bob(bench: &mut Bench, status: Status) {
    both_registered(bench);
    bench.policy("bob", |policy| policy.answering = Answering::Refuse(status));
    let bob = bench.number("bob");
    let notice = bench.call("alice", &bob);
    assert!(matches!(notice, Some(Notice::Ended { .. })), "{notice:?}");
}

fn with_server(setup: &mut Setup, behaviour: Behaviour, case: SessionCase) {
    let server = setup.application_server(behaviour);
    let whose = if case == SessionCase::OriginatingRegistered { "alice" } else { "bob" };
    setup.criterion(whose, case, &server, DefaultHandling::SessionTerminated);
}

const fn run(name: &'static str, changed: fn(&mut Setup), done: fn(&mut Bench)) -> Healthy {
    Healthy { name, changed, done, takes: Sockets }
}

pub const RUNS: &[Healthy] = &[
    run("alice registers", nothing, |bench| bench.registered(&["alice"])),
    run("four users register", nothing, |bench| bench.registered(&["alice", "bob", "carol", "dave"])),
    run("alice registers and refreshes", nothing, |bench| {
        bench.registered(&["alice"]);
        for _ in 0..3 {
            let notice = bench.register("alice");
            assert!(matches!(notice, Some(Notice::Registered { .. })), "{notice:?}");
        }
    }),
    run(
        "alice refreshes and is challenged each time",
        |setup| setup.set("scscf", "reauthenticate", "\"always\""),
        |bench| {
            bench.registered(&["alice"]);
            let notice = bench.register("alice");
            assert!(matches!(notice, Some(Notice::Registered { .. })), "{notice:?}");
        },
    ),
    run("alice registers and de-registers", nothing, |bench| {
        bench.registered(&["alice"]);
        bench.deregister("alice");
    }),
    run("alice leaves and comes back", nothing, |bench| {
        bench.registered(&["alice"]);
        bench.deregister("alice");
        let notice = bench.register("alice");
        assert!(matches!(notice, Some(Notice::Registered { .. })), "{notice:?}");
    }),
    run("a card that is behind is brought into step", nothing, |bench| {
        bench.registered(&["alice"]);
        bench.deregister("alice");
        let impi = format!("001010000000001@{}", carillon_tests::lab::DOMAIN);
        bench.hss(HssCommand::SetSqn { impi, sqn: Sqn::new(32).expect("a small number") });
        let notice = bench.register("alice");
        assert!(matches!(notice, Some(Notice::Registered { .. })), "{notice:?}");
    }),
    run(
        "alice asks for less time than she gets",
        |setup| setup.set("scscf", "expires_min", "\"10min\""),
        |bench| {
            bench.phone_with("alice", |ue| ue.expires = Duration::from_secs(120));
            let notice = bench.register("alice");
            assert!(matches!(notice, Some(Notice::Registered { .. })), "{notice:?}");
        },
    ),
    run("alice calls bob and hangs up", nothing, call),
    run("alice calls bob and bob hangs up", nothing, |bench| {
        both_registered(bench);
        talk(bench);
        hang_up(bench, "bob");
    }),
    run("they call twice", nothing, |bench| {
        both_registered(bench);
        for _ in 0..2 {
            talk(bench);
            hang_up(bench, "alice");
        }
    }),
    run("they call and the recording ends in between", nothing, |bench| {
        both_registered(bench);
        talk(bench);
    }),
    run("alice holds and goes on", nothing, |bench| {
        both_registered(bench);
        talk(bench);
        for command in [Command::Hold { call: None }, Command::Resume { call: None }] {
            bench.ask("alice", command, |notice| matches!(notice, Notice::Changed { .. }));
        }
        hang_up(bench, "alice");
    }),
    run("alice sends an UPDATE", nothing, |bench| {
        both_registered(bench);
        talk(bench);
        bench.ask("alice", Command::Update { call: None }, |notice| matches!(notice, Notice::Changed { .. }));
        hang_up(bench, "bob");
    }),
    run("bob is busy", nothing, |bench| refused_by_bob(bench, Status::BUSY_HERE)),
    run("bob is busy everywhere", nothing, |bench| refused_by_bob(bench, Status::BUSY_EVERYWHERE)),
    run("bob declines", nothing, |bench| refused_by_bob(bench, Status::DECLINE)),
    run("alice gives up while it rings", nothing, |bench| {
        both_registered(bench);
        bench.policy("bob", |policy| policy.answering = Answering::Manual);
        let bob = bench.number("bob");
        bench.dial("alice", &bob);
        bench.wait_for("alice", |notice| matches!(notice, Notice::Ringing { .. }));
        hang_up(bench, "alice");
    }),
    run("bob lets it ring and rejects", nothing, |bench| {
        both_registered(bench);
        bench.policy("bob", |policy| policy.answering = Answering::Manual);
        let bob = bench.number("bob");
        bench.dial("alice", &bob);
        bench.wait_for("alice", |notice| matches!(notice, Notice::Ringing { .. }));
        bench.command("bob", Command::Reject { call: None, status: Status::BUSY_HERE });
        bench.wait_for("alice", |notice| matches!(notice, Notice::Ended { .. }));
    }),
    run("alice writes to bob", nothing, |bench| {
        both_registered(bench);
        let bob = bench.number("bob");
        let notice = bench.message("alice", &bob, "hello");
        assert!(matches!(notice, Some(Notice::MessageSent { .. })), "{notice:?}");
    }),
    run("they write to each other", nothing, |bench| {
        both_registered(bench);
        for (from, to) in [("alice", "bob"), ("bob", "alice"), ("alice", "bob")] {
            let to = bench.number(to);
            bench.message(from, &to, "hello");
        }
    }),
    run("alice writes while she talks", nothing, |bench| {
        both_registered(bench);
        talk(bench);
        let bob = bench.number("bob");
        bench.message("alice", &bob, "can you hear me?");
        hang_up(bench, "alice");
    }),
    run("alice asks what bob can do", nothing, |bench| {
        both_registered(bench);
        let to = bench.number("bob");
        bench
            .ask("alice", Command::Options { to }, |notice| matches!(notice, Notice::OptionsAnswered { .. }));
    }),
    run("two calls at once", nothing, |bench| {
        bench.registered(&["alice", "bob", "carol", "dave"]);
        talk(bench);
        let dave = bench.number("dave");
        let notice = bench.call("carol", &dave);
        assert!(matches!(notice, Some(Notice::Established { .. })), "{notice:?}");
        hang_up(bench, "carol");
        hang_up(bench, "alice");
    }),
    run("an operator pushes a profile", nothing, |bench| {
        bench.registered(&["alice"]);
        bench.hss(HssCommand::PushProfile { target: "alice".to_owned() });
        bench.pause(Duration::from_millis(100));
    }),
    run(
        "a call through an application server of the caller",
        |setup| with_server(setup, Behaviour::Proxy, SessionCase::OriginatingRegistered),
        call,
    ),
    run(
        "a call through an application server of the called",
        |setup| with_server(setup, Behaviour::Proxy, SessionCase::TerminatingRegistered),
        call,
    ),
    run(
        "a call through a back-to-back user agent",
        |setup| with_server(setup, Behaviour::BackToBack, SessionCase::TerminatingRegistered),
        call,
    ),
    run(
        "a call for help",
        |setup| setup.emergency(true),
        |bench| {
            bench.registered(&["alice"]);
            let notice = bench.call("alice", "urn:service:sos");
            assert!(matches!(notice, Some(Notice::Established { .. })), "{notice:?}");
            hang_up(bench, "alice");
        },
    ),
    run("the P-CSCF watches registrations", |setup| setup.set("pcscf", "reg_event", "true"), call),
    Healthy {
        name: "a call through security associations",
        changed: Setup::secured,
        done: call,
        takes: RawSockets,
    },
    Healthy {
        name: "a refresh through security associations",
        changed: |setup| {
            setup.secured();
            setup.set("scscf", "reauthenticate", "\"always\"");
        },
        done: |bench| {
            bench.registered(&["alice"]);
            let notice = bench.register("alice");
            assert!(matches!(notice, Some(Notice::Registered { .. })), "{notice:?}");
            bench.pause(Duration::from_millis(200));
        },
        takes: RawSockets,
    },
];
