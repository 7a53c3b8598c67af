//! The four processes on real sockets, as somebody runs them: the ready-made lab, signals, crashes, mistakes.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process and phone has said")]

use carillon_tests::binaries::{binary, top};
use carillon_tests::lab::{Lab, Part, START_MAX};
use carillon_tests::process::Process;
use std::net::UdpSocket;
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

/// The HSS on PostgreSQL: what an answer depended on is in the database when the process is killed.
#[test]
fn an_hss_on_postgresql_knows_numbers_and_servers_after_a_crash() {
    let Some(database) = Database::create("carillon_processes") else { return };
    let mut lab = Lab::ready_made();
    lab.set("# store = \"memory\"", &format!("store = \"{}\"", database.url));
    lab.start_all();
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    alice.register();
    let shown = lab.ims(&["hss", "show", "alice"]).unwrap();
    assert!(shown.contains("s-cscf    sip:scscf.") && shown.contains("set       registered by"), "{shown}");
    let before = sqn(&shown);
    assert!(before > 0, "vectors were made: {shown}");

    lab.process(Part::Hss).kill();
    lab.start(Part::Hss);
    lab.wait_for_diameter();
    let kept = lab.ims(&["hss", "show", "alice"]).unwrap();
    let besides_sqn = |shown: &str| -> Vec<_> {
        shown.lines().filter(|line| !line.contains("(SQN ")).map(str::to_owned).collect()
    };
    assert_eq!(besides_sqn(&kept), besides_sqn(&shown));
    assert!(sqn(&kept) >= before, "no number is used twice: {kept}");
    assert!(alice.register(), "a refresh");
    bob.call(&mut alice);
    alice.deregister();
    let shown = lab.ims(&["hss", "show", "alice"]).unwrap();
    assert!(shown.contains("set       not registered"), "{shown}");
}

/// `ims dev` keeps what its HSS must not forget where the configuration has it kept, as the HSS's own process does.
#[test]
fn a_core_in_one_process_keeps_its_hss_in_the_database_too() {
    let lab = Lab::ready_made();
    lab.set("# store = \"memory\"", "store = \"sqlite:hss.db\"");
    lab.set("kind = \"file\"", "kind = \"memory\"");
    let shown_after_a_start = || {
        let mut command = Command::new(binary("ims"));
        command.args(["dev", "--config"]).arg(lab.config_file());
        let mut core = Process::start("dev", &mut command, lab.folder());
        core.wait_for_output("An IMS core of PLMN 001/01 is up", START_MAX);
        let shown = lab.ims(&["hss", "show", "alice"]).unwrap();
        lab.ims(&["register", "alice"]).unwrap();
        core.kill();
        shown
    };
    let (first, second) = (shown_after_a_start(), shown_after_a_start());
    assert!(sqn(&first) == 0 && sqn(&second) > 0, "{first}\n{second}");
}

/// `ims dev` is one process, whose CSCFs hand over in memory and keep one journal; over sockets where that is asked for.
#[test]
fn a_core_for_development_hands_over_in_memory_unless_told_otherwise() {
    for (more, journal) in [(&[][..], "core.journal"), (&["--sockets"][..], "scscf.journal")] {
        let lab = Lab::ready_made();
        let mut command = Command::new(binary("ims"));
        command.args(["dev", "--config"]).arg(lab.config_file()).args(more);
        let mut core = Process::start("dev", &mut command, lab.folder());
        core.wait_for_output("An IMS core of PLMN 001/01 is up", START_MAX);
        lab.ims(&["call", "alice", "bob"]).unwrap();
        for part in [Part::Pcscf, Part::Icscf, Part::Scscf] {
            lab.ims(&["counters", part.program()]).unwrap();
        }
        assert!(lab.folder().join("store").join(journal).exists(), "{journal}");
        core.signal("TERM");
        let status = core.wait(STOP_MAX);
        assert_eq!(status.code(), Some(0), "{}", core.output());
    }
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

/// The three CSCFs in one process: what passes between them is in memory, and nothing else differs.
#[test]
fn one_process_serves_as_three_do_and_remembers_after_a_crash() {
    let mut lab = Lab::ready_made();
    lab.start_in_one_process();
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    alice.call(&mut bob);
    alice.message(&mut bob, "in memory");
    lab.process(Part::Core).kill();
    lab.start(Part::Core);
    lab.process(Part::Core).wait_for_output("Diameter peer is up role=\"icscf\"", START_MAX);
    lab.process(Part::Core).wait_for_output("Diameter peer is up role=\"scscf\"", START_MAX);
    bob.call(&mut alice);
    assert!(alice.register(), "a refresh");

    // Each function is commanded by its own name.
    let shown = lab.ims(&["reg", "deregister", "sip:bob@ims.mnc001.mcc001.3gppnetwork.org"]);
    assert!(shown.is_ok(), "{shown:?}");
    lab.ims(&["sa", "list"]).unwrap();
    for part in [Part::Pcscf, Part::Icscf, Part::Scscf] {
        lab.ims(&["counters", part.program()]).unwrap();
    }
    let core = lab.process(Part::Core);
    core.signal("TERM");
    let status = core.wait(STOP_MAX);
    assert_eq!(status.code(), Some(0), "{}", core.output());
    assert!(!core.output().contains("ERROR"), "{}", core.output());
}

/// From three processes to one: the registrations go along. Back again is refused, lest they be forgotten.
#[test]
fn one_process_takes_over_what_three_have_kept() {
    let mut lab = Lab::ready_made();
    lab.start_all();
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    for part in [Part::Pcscf, Part::Icscf, Part::Scscf, Part::Hss] {
        lab.process(part).kill();
    }
    lab.start_in_one_process();
    alice.call(&mut bob);
    lab.process(Part::Core).kill();

    let mut command = Command::new(binary("pcscf"));
    command.arg("--config").arg(lab.config_file());
    let mut alone = Process::start("pcscf-alone", &mut command, lab.folder());
    assert_eq!(alone.wait(STOP_MAX).code(), Some(2), "{}", alone.output());
    assert!(
        alone.output().contains("core.journal") && alone.output().contains("ims-core"),
        "{}",
        alone.output()
    );
}

#[test]
fn shards_that_share_threads_are_as_many_in_each_function() {
    let lab = Lab::ready_made();
    lab.set("[scscf]\n", "[scscf]\nshards = 2\n");
    let mut command = Command::new(binary("ims-core"));
    command.arg("--config").arg(lab.config_file());
    let mut core = Process::start("ims-core", &mut command, lab.folder());
    assert_eq!(core.wait(STOP_MAX).code(), Some(2), "{}", core.output());
    assert!(core.output().contains("is 1, 1 and 2"), "{}", core.output());
}

/// With several shards a message may still belong to another thread than the one that has it.
#[test]
fn one_process_of_two_shards_serves_too() {
    let mut lab = Lab::ready_made();
    for section in ["[pcscf]\n", "[icscf]\n", "[scscf]\n"] {
        lab.set(section, &format!("{section}shards = 2\n"));
    }
    lab.start_in_one_process();
    let mut phones: Vec<_> = ["alice", "bob", "user001", "user002"].map(|name| lab.phone(name)).into();
    for phone in &mut phones {
        phone.register();
    }
    for _ in 0..3 {
        let [a, b, c, d] = &mut phones[..] else { unreachable!("four phones") };
        a.call(b);
        c.message(d, "two shards");
        d.call(a);
        phones.rotate_left(1);
    }
    // RFC 5626 §4.4.2: whichever thread has the datagram answers with where it came from.
    let pcscf = lab.address(Part::Pcscf);
    for _ in 0..8 {
        let socket = UdpSocket::bind((pcscf.ip(), 0)).expect("a socket");
        socket.set_read_timeout(Some(STOP_MAX)).expect("a bound");
        socket.send_to(b"\x00\x01\0\0\x21\x12\xa4\x42abcdefghijkl", pcscf).expect("it is sent");
        let mut answer = [0; 64];
        let (length, from) = socket.recv_from(&mut answer).expect("an answer to STUN");
        let port = socket.local_addr().expect("a port").port() ^ 0x2112;
        assert_eq!((length, from, &answer[..2]), (32, pcscf, &b"\x01\x01"[..]));
        assert_eq!(answer[26..28], port.to_be_bytes());
    }
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

/// The sequence number of a subscriber with one private identity, as `ims hss show` shows it.
fn sqn(shown: &str) -> u64 {
    let digits = shown.split_once("(SQN ").and_then(|(_, rest)| rest.split(')').next()).expect("a number");
    u64::from_str_radix(digits, 16).expect("a hexadecimal number")
}

/// A database of a test's own on the server that `CARILLON_TEST_POSTGRES` names; gone with it.
struct Database {
    server: String,
    name: &'static str,
    url: String,
}

impl Database {
    /// `None`, and the test skips, where there is no server.
    fn create(name: &'static str) -> Option<Database> {
        let Ok(server) = std::env::var("CARILLON_TEST_POSTGRES") else {
            carillon_tests::skip("CARILLON_TEST_POSTGRES names no server");
            return None;
        };
        if !carillon_tests::needs("psql") {
            return None;
        }
        let (at, _) = server.rsplit_once('/').expect("a URL that ends in the name of a database");
        let database = Database { url: format!("{at}/{name}"), server, name };
        database.tell(&format!("DROP DATABASE IF EXISTS {name}"));
        database.tell(&format!("CREATE DATABASE {name}"));
        Some(database)
    }

    fn tell(&self, statement: &str) {
        let run = Command::new("psql").arg(&self.server).args(["-q", "-c", statement]).output();
        let run = run.expect("psql runs");
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() || std::thread::panicking(), "{statement}: {told}");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A process that was killed may not have left yet, in the eyes of the server.
        self.tell(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// How long a process may take to stop: longer than `limits.drain`.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How long the CSCFs may take to find the HSS again.
const HEAL_MAX: Duration = Duration::from_secs(20);

/// TS 24.229 §5.11: `ims-core` has an E-CSCF beside the others; a phone registers for emergencies and calls the stand-in of a
/// PSAP, which tells what it got.
#[test]
fn a_phone_registered_for_emergencies_reaches_the_psap_of_a_core_in_one_process() {
    let mut lab = Lab::by_addresses();
    let (ecscf, psap) = (lab.loopback().at(14, 7060), lab.loopback().at(15, 5060));
    lab.add_settings(&format!(
        "[ecscf]\nlisten = \"{ecscf}\"\nhost = \"{}\"\npsap = [{{ uri = \"sip:{psap}\" }}]\n",
        ecscf.ip()
    ));
    lab.start_in_one_process();
    let mut command = Command::new(binary("ims"));
    command.args(["psap", "--listen", &psap.to_string(), "--config"]).arg(lab.config_file());
    let mut stand_in = Process::start("psap", &mut command, lab.folder());
    stand_in.wait_for_output("a PSAP answers at", START_MAX);
    let told = lab.ims(&["call", "alice", "urn:service:sos.fire", "--emergency"]).unwrap();
    assert!(told.contains("a PSAP has answered"), "{told}");
    stand_in.wait_for_output("a call has ended", START_MAX);
    let got = stand_in.output();
    assert!(got.contains("a call for urn:service:sos.fire") && got.contains("tel:+49301000001"), "{got}");
}
