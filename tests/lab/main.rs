//! Gm on the real wire (TS 33.203): a core in one network namespace, phones in another, ESP by the kernel between them.
//!
//! The running kernel may lack ESP, so that each story runs again under `tests/lab-kernel`; within, the phones are a third
//! life of this program, in the namespace of the UEs.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a failing test shows what every process has said"
)]

mod capture;
mod container;
mod network;

use carillon_tests::kernel;
use carillon_tests::phone::{Esp, Phone, Place};
use carillon_tests::process::Process;
use cscf::config::Config;
use cscf::flow::{Hop, Transport};
use ipsec::Algorithms;
use network::{CORE, Core, UE, in_namespace};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use ue::{SecurityConfig, Tunnel};

/// Register, call, message, re-register with new associations, de-register: over UDP and TCP, IPv4 and IPv6, by every pair
/// of algorithms of the permissive profile; and the kernel's own tool sees the traffic in the associations.
#[test]
fn phones_live_in_esp_by_every_pair_of_algorithms() {
    on_a_kernel("phones_live_in_esp_by_every_pair_of_algorithms", KERNEL, |core| {
        core.phones("play_every_pair", KERNEL);
        let left = in_namespace(CORE, &["ip", "xfrm", "state"]);
        assert!(left.contains("proto esp"), "what was de-registered lingers for the last 200: {left}");
        let counters = in_namespace(CORE, &["cat", "/proc/net/xfrm_stat"]);
        for wrong in ["XfrmInStateProtoError", "XfrmInStateSeqError", "XfrmInNoStates"] {
            let count = counters.lines().find_map(|line| line.strip_prefix(wrong)).map(str::trim);
            assert_eq!(count, Some("0"), "{wrong}");
        }
    });
}

/// The kernel's ESP and our own speak with each other, whichever is at which end.
#[test]
fn our_own_esp_and_the_kernels_speak_with_each_other() {
    on_a_kernel("our_own_esp_and_the_kernels_speak_with_each_other", KERNEL, |core| {
        core.phones("play_every_pair", OWN);
    });
}

#[test]
fn phones_of_the_kernel_speak_with_a_pcscf_of_our_own_esp() {
    on_a_kernel("phones_of_the_kernel_speak_with_a_pcscf_of_our_own_esp", OWN, |core| {
        core.phones("play_every_pair", KERNEL);
    });
}

/// All of it by our own ESP, in a container that may open raw sockets and do nothing else: no IPsec of the kernel, no
/// privilege over the network, no device.
#[test]
fn our_own_esp_needs_cap_net_raw_alone() {
    let programs = carillon_tests::binaries::binary("");
    if container::run_again("our_own_esp_needs_cap_net_raw_alone") {
        return;
    }
    let core = Core::start_here(&programs, OWN);
    every_pair(&Stage::at(core.folder(), Esp::Own));
}

/// The command that people type: its phones offer associations where the P-CSCF requires them.
#[test]
fn ims_calls_through_esp_where_it_is_required() {
    let programs = carillon_tests::binaries::binary("");
    if container::run_again("ims_calls_through_esp_where_it_is_required") {
        return;
    }
    let core = Core::start_here(&programs, OWN);
    let said = core.ims(&["call", "alice", "bob"]);
    assert!(said.contains("bob has answered"), "{said}");
    let table = core.ims(&["sa", "list"]);
    let ending = table.matches("null/aes-gcm ending").count();
    assert_eq!(ending, 4, "of two phones, each registered and de-registered by a challenge: {table}");
}

/// Wireshark finds every ICV good by the table that `ims sa list` prints, and reads the SIP inside; without the keys it
/// reads none. (AES-GMAC it does not know: there the kernel has judged.)
#[test]
fn wireshark_opens_our_esp_by_the_printed_table() {
    let programs = carillon_tests::binaries::binary("");
    if !carillon_tests::needs("tshark")
        || container::run_again("wireshark_opens_our_esp_by_the_printed_table")
    {
        return;
    }
    let core = Core::start_here(&programs, OWN);
    let stage = Stage::at(core.folder(), Esp::Own);
    let file = core.folder().join("gm.pcapng");
    let mut capture = capture::Capture::start(&file, core.folder());
    let mut phones = Vec::new();
    for (at, name) in ["null/aes-gcm", "hmac-sha-1-96/aes-cbc", "hmac-md5-96/des-ede3-cbc"].iter().enumerate()
    {
        let pair = Algorithms::ALL.into_iter().find(|pair| pair.name() == *name).expect("a pair");
        let host = 11 + 2 * at as u16;
        let transport = if at == 1 { Transport::Tcp } else { Transport::Udp };
        let mut alice = stage.phone("alice", IPV4, host, transport, pair);
        let mut bob = stage.phone("bob", IPV6, host + 1, transport, pair);
        assert!(!alice.register() && !bob.register());
        live(&mut alice, &mut bob);
        assert!(alice.register());
        live(&mut alice, &mut bob);
        phones.push((alice, bob));
    }
    let table = core.ims(&["sa", "list", "-o", "wireshark", "--with-keys"]);
    let hidden = core.ims(&["sa", "list", "-o", "wireshark"]);
    assert!(core.ims(&["sa", "list"]).contains("hmac-md5-96/des-ede3-cbc"));
    capture.stop();
    let seen = capture::read(&file, &table);
    let esp = seen.iter().filter(|row| row.is_esp).count();
    assert!(esp > 100, "{esp} packets of ESP");
    assert_eq!(seen.iter().filter(|row| row.is_esp && !row.has_good_icv).count(), 0, "of {esp}");
    for method in ["REGISTER", "INVITE", "PRACK", "ACK", "BYE", "MESSAGE"] {
        let inside = seen.iter().filter(|row| row.is_esp && row.methods.contains(method)).count();
        assert!(inside > 0 || method == "PRACK", "no {method} is found in ESP");
    }
    let keys: Vec<&str> =
        table.split('"').filter_map(|word| word.strip_prefix("0x")).filter(|word| word.len() >= 32).collect();
    assert!(keys.len() > 12, "{table}");
    let said = core.said();
    assert!(said.contains("TRACE") || said.contains("DEBUG"), "the log tells everything: {said}");
    for key in keys {
        // Of HMAC-SHA-1 it is the first 16 octets that are IK.
        let key = &key[..32];
        assert!(!said.to_ascii_lowercase().contains(key) && !hidden.contains(key), "a key is in a log");
    }
    let blind = capture::read(&file, &hidden);
    assert_eq!(blind.iter().filter(|row| row.is_esp && !row.methods.is_empty()).count(), 0, "without keys");
}

/// A P-CSCF of our own ESP is killed: it takes the sequence numbers up where its marks are, and beyond.
#[test]
fn our_own_esp_goes_on_after_a_kill() {
    let programs = carillon_tests::binaries::binary("");
    if container::run_again("our_own_esp_goes_on_after_a_kill") {
        return;
    }
    let mut core = Core::start_here(&programs, OWN);
    let stage = Stage::at(core.folder(), Esp::Own);
    around_a_crash(&stage, || core.crash_pcscf());
}

/// A hundred phones and twenty calls over a kill -9 of the P-CSCF: nobody registers anew, everybody is reached, and the calls
/// are changed and ended from both sides.
#[test]
fn a_hundred_phones_do_not_notice_a_kill() {
    let programs = carillon_tests::binaries::binary("");
    if container::run_again("a_hundred_phones_do_not_notice_a_kill") {
        return;
    }
    let mut core = Core::start_here(&programs, OWN);
    let stage = Stage::at(core.folder(), Esp::Own);
    let name = |number: u16| match number {
        1 => "alice".to_owned(),
        2 => "bob".to_owned(),
        number => format!("user{:03}", number - 2),
    };
    let mut phones: Vec<Phone> = (1..=100)
        .map(|number| {
            let mut phone =
                stage.phone(&name(number), IPV4, 100 + number, Transport::Udp, Algorithms::ALL[0]);
            assert!(!phone.register());
            phone
        })
        .collect();
    for pair in phones[..40].chunks_mut(2) {
        let [one, other] = pair else { continue };
        let number = other.sip().to_owned();
        one.call_and_stay(&number, other);
    }
    core.crash_pcscf();
    for pair in phones.chunks_mut(2) {
        let [one, other] = pair else { continue };
        one.message(other, "there");
        other.message(one, "and back");
    }
    for pair in phones[..40].chunks_mut(2) {
        let [one, other] = pair else { continue };
        one.hold();
        other.hang_up(one);
    }
    for phone in &mut phones {
        assert_eq!(phone.story().matches("REGISTER sip:").count(), 2, "one, and the answer to its challenge");
    }
}

/// What those who listen on the access network see: one REGISTER and its 401, and ESP from there on.
#[test]
fn a_capture_shows_no_sip_behind_the_first_401() {
    on_a_kernel("a_capture_shows_no_sip_behind_the_first_401", KERNEL, |core| {
        let Some(tshark) = carillon_tests::find("tshark") else {
            return eprintln!("left out: tshark is not here");
        };
        let mut capture = Command::new("ip");
        capture.args(["netns", "exec", UE]).arg(tshark).args(["-i", "ue", "-l", "-T", "fields"]);
        let fields = ["ip.proto", "esp.spi", "sip.Method", "sip.Status-Code", "sip.Call-ID", "sip.CSeq.seq"];
        capture.args(fields.iter().flat_map(|field| ["-e", field]));
        let mut capture = Process::start("tshark", &mut capture, core.folder());
        capture.wait_for_output("Capture started", START);
        core.phones("play_one_pair", KERNEL);
        let output = capture.output();
        let rows: Vec<Vec<&str>> = output.lines().map(|line| line.split('\t').collect()).collect();
        // A REGISTER that waits for its turn on a busy machine is sent again: each counts once.
        let of_sip: BTreeSet<(&str, &str, &str, &str)> = rows
            .iter()
            .filter(|row| row.len() == fields.len() && (!row[2].is_empty() || !row[3].is_empty()))
            .map(|row| (row[4], row[5], row[3], row[2]))
            .collect();
        let in_clear: Vec<(&str, &str)> =
            of_sip.iter().map(|(_, _, status, method)| (*status, *method)).collect();
        assert_eq!(
            in_clear,
            [("", "REGISTER"), ("401", ""), ("", "REGISTER"), ("401", "")],
            "alice's and bob's: {output}"
        );
        let esp = rows.iter().filter(|row| row.first() == Some(&"50")).count();
        assert!(esp > 40, "{esp} packets of ESP: {output}");
    });
}

/// The associations of two phones survive a kill -9 of the P-CSCF: no phone registers anew, and both reach each other.
#[test]
fn a_killed_pcscf_takes_its_associations_up_again() {
    on_a_kernel("a_killed_pcscf_takes_its_associations_up_again", KERNEL, |core| {
        let mut phones = core.start_phones("play_around_a_crash", KERNEL);
        phones.wait_for_output("ready for the crash", START);
        core.crash_pcscf();
        core.tell("restarted");
        let status = phones.wait(Duration::from_secs(120));
        assert!(status.success(), "{}\n{}", phones.output(), core.said());
    });
}

/// TS 33.203 Annex M: phones behind a NAT register, live, and re-register through ESP in UDP; they keep the NAT open, and when it
/// moves, their tunnels follow. The P-CSCF names them as what they are.
#[test]
fn phones_behind_a_nat_live_in_esp_in_udp() {
    if !carillon_tests::needs("iptables-legacy") {
        return;
    }
    match kernel::inside() {
        Some(programs) => {
            let core = Core::start_beyond_nat(Path::new(&programs), OWN);
            let mut phones = core.start_phones("play_behind_a_nat", OWN);
            phones.wait_for_output("ready for another NAT", Duration::from_secs(150));
            let table = core.ims(&["sa", "list"]);
            for host in [11, 12] {
                let named = format!("behind a NAT (calls itself 10.9.0.{host}, UDP-enc-tun)");
                assert!(table.contains(&named), "{table}");
            }
            assert!(table.lines().all(|line| line.starts_with("192.0.2.2 ")), "{table}");
            let counters = core.ims(&["counters", "pcscf"]);
            assert!(!counters.contains("esp_refused"), "{counters}");
            assert!(counters.contains("behind_nat: UDP-enc-tun: 4"), "{counters}");
            network::move_nat();
            core.tell("moved");
            let status = phones.wait(Duration::from_secs(150));
            assert!(
                status.success() && phones.output().contains("1 passed"),
                "{}\n{}",
                phones.output(),
                core.said()
            );
            let said = core.said();
            assert!(said.contains("a UE is behind a NAT: its ESP comes in UDP"), "{said}");
            assert!(said.contains("the NAT of a peer has moved"), "{said}");
            eprint!("{}", phones.output());
        }
        None if kernel::can_be_started() => {
            kernel::run_again("phones_behind_a_nat_live_in_esp_in_udp", Duration::from_secs(400));
        }
        None => {}
    }
}

/// TS 33.203 §7.4: three lifetimes of security associations, with two re-registrations in each, texts and a call throughout, and a
/// de-registration: nothing is lost. In real time, which is short here.
#[test]
fn three_lifetimes_of_associations_lose_nothing() {
    match kernel::inside() {
        Some(programs) => {
            let mut core = Core::start_for(Path::new(&programs), KERNEL, LIFETIME);
            core.phones("play_three_lifetimes", KERNEL);
        }
        None if kernel::can_be_started() => {
            kernel::run_again("three_lifetimes_of_associations_lose_nothing", Duration::from_secs(300));
        }
        None => {}
    }
}

// --- the stories of the phones, each in the namespace of the UEs ------------------------------------------------------

#[test]
fn play_every_pair() {
    if let Some(stage) = Stage::of_phones() {
        every_pair(&stage);
    }
}

fn every_pair(stage: &Stage) {
    let mut host = 10;
    for ip in [IPV4, IPV6] {
        for transport in [Transport::Udp, Transport::Tcp] {
            for pair in Algorithms::ALL {
                println!("{pair} over {transport} to {ip}");
                let mut phone = |name| {
                    host += 1;
                    stage.phone(name, ip, host, transport, pair)
                };
                let (mut alice, mut bob) = (phone("alice"), phone("bob"));
                assert!(!alice.register() && !bob.register());
                live(&mut alice, &mut bob);
                if stage.esp == Esp::Kernel {
                    let states = in_namespace(UE, &["ip", "-s", "xfrm", "state"]);
                    assert!(states.contains(kernel_name(pair)), "{pair}: {states}");
                }
                assert!(alice.register(), "with new associations");
                live(&mut alice, &mut bob);
                alice.deregister();
                bob.deregister();
                drop((alice, bob));
                let states = in_namespace(UE, &["ip", "xfrm", "state"]);
                assert!(stage.esp == Esp::Own || !states.contains("proto esp"), "{pair}: {states}");
            }
        }
    }
}

#[test]
fn play_one_pair() {
    let Some(stage) = Stage::of_phones() else { return };
    let phone = |name, host| stage.phone(name, IPV4, host, Transport::Udp, Algorithms::ALL[0]);
    let (mut alice, mut bob) = (phone("alice", 11), phone("bob", 12));
    assert!(!alice.register() && !bob.register());
    live(&mut alice, &mut bob);
    assert!(alice.register());
    live(&mut alice, &mut bob);
    alice.deregister();
    bob.deregister();
}

#[test]
fn play_around_a_crash() {
    if let Some(stage) = Stage::of_phones() {
        around_a_crash(&stage, || {
            println!("ready for the crash");
            stage.wait_for("restarted");
        });
    }
}

#[test]
fn play_behind_a_nat() {
    let Some(stage) = Stage::of_phones() else { return };
    // All of one NAT have one address, so that their ports differ (TS 33.203 §7.1).
    let phone = |name, host, first_port, transport| {
        let security = SecurityConfig {
            pairs: vec![Algorithms::ALL[0]],
            server_ports: vec![first_port],
            client_ports: (1..4).map(|step| first_port + step).collect(),
            tunnel: Some(Tunnel::default()),
        };
        let address = IpAddr::from([10, 9, 0, host]);
        network::add_address(UE, "ue", address);
        stage.phone_at(
            name,
            address,
            Hop { transport, remote: SocketAddr::from(([192, 0, 2, 1], 5060)) },
            security,
        )
    };
    let mut alice = phone("alice", 11, 6300, Transport::Udp);
    let mut bob = phone("bob", 12, 6400, Transport::Tcp);
    assert!(!alice.register() && !bob.register());
    live(&mut alice, &mut bob);
    assert!(alice.register() && bob.register(), "with new associations");
    live(&mut bob, &mut alice);
    // Longer than the NAT remembers those whom it does not hear of.
    std::thread::sleep(Duration::from_secs(18));
    alice.message(&mut bob, "still there?");
    let number = bob.sip().to_owned();
    alice.call_and_stay(&number, &mut bob);
    println!("ready for another NAT");
    stage.wait_for("moved");
    // Their REGISTERs show where they are, and the challenges come back through the tunnels that were there.
    assert!(alice.register() && bob.register());
    alice.hold();
    bob.hang_up(&mut alice);
    live(&mut alice, &mut bob);
    alice.deregister();
    bob.deregister();
}

#[test]
fn play_three_lifetimes() {
    let Some(stage) = Stage::of_phones() else { return };
    let phone = |name, host, transport| stage.phone(name, IPV4, host, transport, Algorithms::ALL[0]);
    let (mut alice, mut bob) = (phone("alice", 11, Transport::Udp), phone("bob", 12, Transport::Tcp));
    assert!(!alice.register() && !bob.register());
    let number = bob.sip().to_owned();
    alice.call_and_stay(&number, &mut bob);
    let begun = Instant::now();
    let mut texts = 0;
    while begun.elapsed() < LIFETIME * 3 {
        texts += 1;
        alice.message(&mut bob, &format!("there {texts}"));
        bob.message(&mut alice, &format!("and back {texts}"));
        std::thread::sleep(LIFETIME / 20);
    }
    bob.hang_up(&mut alice);
    for phone in [&mut alice, &mut bob] {
        let story = phone.story();
        let sets: BTreeSet<_> = story
            .lines()
            .filter(|line| line.starts_with("Security-Server: "))
            .filter_map(|line| line.split("spi-s=").nth(1)?.split(';').next())
            .collect();
        assert!(sets.len() > 3, "the associations have moved with each re-registration: {sets:?}");
        phone.deregister();
    }
    drop((alice, bob));
    let states = in_namespace(UE, &["ip", "xfrm", "state"]);
    assert!(!states.contains("proto esp"), "{states}");
}

fn around_a_crash(stage: &Stage, crash: impl FnOnce()) {
    let phone = |name, host, transport| stage.phone(name, IPV4, host, transport, Algorithms::ALL[2]);
    let mut alice = phone("alice", 11, Transport::Udp);
    let mut bob = phone("bob", 12, Transport::Tcp);
    assert!(!alice.register() && !bob.register());
    live(&mut alice, &mut bob);
    crash();
    live(&mut alice, &mut bob);
    live(&mut bob, &mut alice);
    for phone in [&mut alice, &mut bob] {
        let story = phone.story();
        // A slow machine may repeat one of them.
        let registers: BTreeSet<_> = story
            .lines()
            .filter(|line| line.starts_with("CSeq: ") && line.trim_end().ends_with(" REGISTER"))
            .collect();
        assert_eq!(registers.len(), 2, "the one, and the answer to its challenge: {story}");
        assert!(phone.register(), "the registration of before the crash is refreshed");
        phone.deregister();
    }
}

/// A call that stands and ends, and a text in each direction.
fn live(one: &mut Phone, other: &mut Phone) {
    one.call(other);
    one.message(other, "there");
    other.message(one, "and back");
}

/// What `ip xfrm` calls the algorithm that stands for a pair.
fn kernel_name(pair: Algorithms) -> &'static str {
    match pair.name() {
        "null/aes-gcm" => "rfc4106(gcm(aes))",
        "aes-gmac/null" => "rfc4543(gcm(aes))",
        name if name.ends_with("aes-cbc") => "cbc(aes)",
        name if name.ends_with("des-ede3-cbc") => "cbc(des3_ede)",
        name if name.starts_with("hmac-md5") => "hmac(md5)",
        _ => "hmac(sha1)",
    }
}

/// What the phones know of the core, in their own life of this program.
struct Stage {
    config: Config,
    folder: PathBuf,
    esp: Esp,
}

impl Stage {
    /// `None` outside of the namespace of the UEs.
    fn of_phones() -> Option<Stage> {
        let folder = PathBuf::from(std::env::var_os(network::PHONES)?);
        let esp = match std::env::var(network::ESP).as_deref() {
            Ok(OWN) => Esp::Own,
            _ => Esp::Kernel,
        };
        Some(Stage::at(&folder, esp))
    }

    fn at(folder: &Path, esp: Esp) -> Stage {
        let file = folder.join("lab.toml");
        let text = std::fs::read_to_string(&file).expect("the core has written it");
        let config =
            Config::parse(&text, &file.display().to_string()).unwrap_or_else(|errors| panic!("{errors:?}"));
        Stage { config, folder: folder.to_path_buf(), esp }
    }

    fn phone(&self, name: &str, pcscf: &str, host: u16, transport: Transport, pair: Algorithms) -> Phone {
        let remote = SocketAddr::new(pcscf.parse().expect("an address"), 5060);
        let address: IpAddr = match remote.is_ipv4() {
            true => format!("192.0.2.{host}"),
            false => format!("2001:db8::{host}"),
        }
        .parse()
        .expect("an address");
        if kernel::inside().is_some() {
            network::add_address(UE, "ue", address);
        }
        let security = SecurityConfig { pairs: vec![pair], ..SecurityConfig::default() };
        self.phone_at(name, address, Hop { transport, remote }, security)
    }

    fn phone_at(&self, name: &str, address: IpAddr, pcscf: Hop, security: SecurityConfig) -> Phone {
        Phone::secured(name, &self.config, &Place { address, pcscf, security, esp: self.esp })
    }

    /// Waits until the other life of this program has said something.
    fn wait_for(&self, word: &str) {
        let until = std::time::Instant::now() + START;
        while !self.folder.join(word).exists() {
            assert!(std::time::Instant::now() < until, "nobody says {word}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Runs a story with a core, on a kernel that has ESP.
fn on_a_kernel(test: &str, back_end: &str, story: impl FnOnce(&mut Core)) {
    match kernel::inside() {
        Some(programs) => story(&mut Core::start(Path::new(&programs), back_end)),
        None if kernel::can_be_started() => kernel::run_again(test, Duration::from_secs(400)),
        None => {}
    }
}

/// The values of `ipsec.back_end`.
const KERNEL: &str = "xfrm";
const OWN: &str = "userspace";
const IPV4: &str = "192.0.2.1";
const IPV6: &str = "2001:db8::1";
const START: Duration = Duration::from_secs(60);
/// What a registration and its associations last in the soak; a phone refreshes at half time (TS 24.229 §5.1.1.4.1).
const LIFETIME: Duration = Duration::from_secs(16);
