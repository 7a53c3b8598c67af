//! `ims doctor` on real sockets, files and name servers: what is broken turns its own line red, and no other.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process has said")]

use carillon_tests::binaries::binary;
use carillon_tests::lab::{DOMAIN, Lab, Part};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// The lab, where a name server that is silent is not waited for long.
fn a_lab() -> Lab {
    let lab = Lab::ready_made();
    lab.set("# timeout = \"2s\"", "timeout = \"200ms\"");
    lab
}

/// The lines of a kind, by the name of the check.
fn lines(told: &str, mark: &str) -> Vec<String> {
    let lines = told.lines().filter_map(|line| line.strip_prefix(mark)?.split_whitespace().next());
    lines.map(str::to_owned).collect()
}

/// What the doctor says, and its exit status.
fn doctor(lab: &Lab, more: &[&str]) -> (Option<i32>, String) {
    let words: Vec<_> = ["doctor"].into_iter().chain(more.iter().copied()).collect();
    match lab.ims(&words) {
        Ok(told) => (Some(0), told),
        Err(failed) => failed,
    }
}

/// The HSS at an address, as a line of [diameter].
fn peer(address: &str) -> String {
    format!("hss = [{{ host = \"hss.{DOMAIN}\", realm = \"{DOMAIN}\", address = \"{address}\" }}]\n")
}

/// Breaks one thing of a lab that is well otherwise; one line is red, and the exit status says so.
fn only_red(check: &str, why: &str, lab: &Lab, more: &[&str]) {
    let (status, told) = doctor(lab, more);
    assert_eq!(lines(&told, "BAD "), [check], "{told}");
    assert!(told.contains(why), "{why}: {told}");
    assert_eq!(status, Some(1), "{told}");
    let red = told.lines().position(|line| line.starts_with("BAD ")).expect("a red line");
    assert!(told.lines().nth(red + 1).is_some_and(|fix| fix.trim_start().starts_with("-> ")), "{told}");
}

#[test]
fn a_lab_before_and_while_it_runs_is_well() {
    let mut lab = a_lab();
    let (status, told) = doctor(&lab, &[]);
    assert_eq!((status, lines(&told, "BAD ")), (Some(0), Vec::new()), "{told}");
    assert!(told.lines().filter(|line| !line.starts_with(' ')).count() >= 20, "{told}");
    assert!(told.contains("is ours, and starts with the core"), "{told}");
    lab.start_all();
    let (status, told) = doctor(&lab, &[]);
    assert_eq!((status, lines(&told, "BAD ")), (Some(0), Vec::new()), "{told}");
    assert!(told.contains("running: hss-mock, icscf, pcscf, scscf"), "{told}");
    assert!(told.contains("are our running processes'"), "{told}");
    let (_, told) = doctor(&lab, &["--json"]);
    assert!(told.starts_with("[{") && told.contains("\"check\":\"diameter\""), "{told}");
}

#[test]
fn what_is_wrong_in_the_configuration_and_its_files_is_red_alone() {
    let lab = a_lab();
    lab.add_subscriber(
        "001020000000999,000102030405060708090a0b0c0d0e0f,000102030405060708090a0b0c0d0e0f,+4930999,eve",
    );
    only_red("subscribers", "eve: its IMSI has another MCC or MNC", &lab, &[]);

    let lab = a_lab();
    fs::write(lab.folder().join("subscribers.csv"), "imsi,k\n1,2\n").expect("a scratch folder");
    only_red("subscribers", "subscribers.csv:", &lab, &[]);

    let lab = a_lab();
    lab.set("[home]\n", "[home]\nrealm = \"ims.mnc010.mcc001.3gppnetwork.org\"\n");
    only_red("plmn", "is of another network than [plmn] 001/01", &lab, &[]);
}

#[test]
fn a_configuration_that_cannot_be_read_is_the_only_line() {
    let lab = a_lab();
    let text = fs::read_to_string(lab.config_file()).expect("the configuration");
    fs::write(lab.config_file(), text.replace("[log]\n", "[log]\nlevle = \"info\"\n"))
        .expect("a scratch folder");
    let (status, told) = doctor(&lab, &[]);
    assert_eq!((status, lines(&told, "BAD ")), (Some(1), vec!["configuration".to_owned()]), "{told}");
    assert!(told.contains("did you mean level?"), "{told}");
    assert_eq!(lines(&told, "ok"), Vec::<String>::new(), "nothing else can be told: {told}");
}

#[test]
fn a_port_that_somebody_has_is_red_alone() {
    let lab = a_lab();
    let taken = UdpSocket::bind(lab.address(Part::Scscf)).expect("a free port");
    only_red("ports", "which scscf needs for SIP on udp", &lab, &[]);
    drop(taken);
    let _taken = TcpListener::bind(lab.address(Part::Icscf)).expect("a free port");
    only_red("ports", "which icscf needs for SIP on tcp", &lab, &[]);
}

#[test]
fn an_address_that_this_host_has_not_is_red_alone() {
    let lab = a_lab();
    let written = format!("listen = [\"{}\"]", lab.address(Part::Pcscf));
    lab.set(&written, "listen = [\"192.0.2.77:5060\"]");
    only_red("addresses", "no interface of this host has 192.0.2.77", &lab, &[]);
}

#[test]
fn directories_that_cannot_be_written_or_that_all_may_write_are_red_alone() {
    let lab = a_lab();
    // Not even root makes a directory there.
    lab.set("path = \"store\"", "path = \"/proc/ims-doctor/store\"");
    only_red("journal", "nothing can be written to /proc/ims-doctor/store", &lab, &[]);

    let lab = a_lab();
    let control = lab.folder().join("control");
    fs::create_dir(&control).expect("a scratch folder");
    fs::set_permissions(&control, Permissions::from_mode(0o777)).expect("our own folder");
    only_red("control", "can be written by others", &lab, &[]);
}

#[test]
fn an_hss_that_is_silent_refuses_or_is_not_there_is_red_alone() {
    let mut lab = a_lab();
    let hss = lab.address(Part::Hss);
    let elsewhere = lab.loopback().at(60, 3868);
    let name = format!("[diameter]\n{}", peer(&elsewhere.to_string()));
    lab.set("[diameter]\n", &name);
    only_red("diameter", "does not answer: Connection refused", &lab, &[]);

    let silent = TcpListener::bind(elsewhere).expect("a free port");
    only_red("diameter", "does not answer: no CEA", &lab, &["--timeout", "300ms"]);
    drop(silent);

    lab.set(&elsewhere.to_string(), &hss.to_string());
    lab.set("[hss]\n", "[hss]\naccept_unknown_peers = false\n");
    lab.start(Part::Hss);
    only_red("diameter", "refuses us", &lab, &[]);
}

#[test]
fn users_inside_of_the_trust_domain_are_red_alone() {
    let lab = a_lab();
    lab.set("[trust]\n", "[trust]\ndomain = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n");
    let (_, told) = doctor(&lab, &["--ue-pool", "10.45.0.0/16"]);
    assert!(lines(&told, "BAD ").contains(&"trust".to_owned()), "{told}");
    assert!(told.contains("UEs of 10.45.0.0/16 lie in trust.domain"), "{told}");
}

#[test]
fn certificates_that_are_not_there_are_red_alone() {
    let lab = a_lab();
    lab.set("[tls]\n", "[tls]\ncertificate = \"none.pem\"\nkey = \"none.key\"\n");
    only_red("tls", "none.pem", &lab, &[]);
}

#[test]
fn sctp_that_cannot_be_had_is_red_alone() {
    let lab = a_lab();
    let hss = lab.address(Part::Hss);
    lab.set("[diameter]\n", &format!("[diameter]\n{}", peer(&format!("sctp:{hss}"))));
    let (status, told) = doctor(&lab, &[]);
    // A kernel and a program that have it are as well.
    match told.contains("SCTP can be had") {
        true => assert_eq!((status, lines(&told, "BAD ")), (Some(0), Vec::new()), "{told}"),
        false => only_red("kernel.sctp", "SCTP", &lab, &[]),
    }
}

#[test]
fn too_few_files_and_processors_are_told_and_not_red() {
    let lab = a_lab();
    lab.set("[pcscf]\n", "[pcscf]\nshards = 32\n");
    let line = format!(
        "ulimit -n 300 && exec {} doctor --config {}",
        binary("ims").display(),
        lab.config_file().display()
    );
    let output = Command::new("sh").args(["-c", &line]).output().expect("a shell");
    let told = String::from_utf8_lossy(&output.stdout);
    let warned = lines(&told, "warn");
    assert!(warned.contains(&"files".to_owned()), "{told}");
    let are_few = std::thread::available_parallelism().is_ok_and(|processors| processors.get() < 32);
    assert_eq!(warned.contains(&"processors".to_owned()), are_few, "{told}");
    assert!(output.status.success(), "{told}");
}

#[test]
fn each_record_that_a_zone_lacks_is_red_alone() {
    let lab = a_lab();
    let server = lab.loopback().at(53, 53_053);
    lab.set("[dns]\n", &format!("[dns]\nservers = [\"{server}\"]\n"));
    let config = lab.config();
    let (pcscf, icscf) = (config.pcscf.host.clone(), config.icscf.host.clone());
    let srv = format!("_sip._udp.{DOMAIN}");
    let zone: BTreeMap<(String, u16), Vec<u8>> = BTreeMap::from([
        ((DOMAIN.to_owned(), NAPTR), naptr(&srv)),
        ((srv.clone(), SRV), [&[0, 0, 0, 0, 0x0f, 0xdc][..], &labels(&icscf)].concat()),
        ((pcscf.clone(), A), vec![127, 0, 0, 10]),
        ((icscf.clone(), A), vec![127, 0, 0, 11]),
    ]);
    let socket = UdpSocket::bind(server).expect("a free port");
    for (missing, check) in [
        (None, None),
        (Some((DOMAIN.to_owned(), NAPTR)), Some("dns.naptr")),
        (Some((srv, SRV)), Some("dns.srv")),
        (Some((pcscf, A)), Some("dns.pcscf")),
        (Some((icscf, A)), Some("dns.icscf")),
    ] {
        let mut zone = zone.clone();
        if let Some(missing) = &missing {
            zone.remove(missing).expect("it was there");
        }
        let socket = socket.try_clone().expect("a handle");
        // Ends with the datagram of no octets.
        let serving = std::thread::spawn(move || name_server(&socket, &zone));
        match check {
            Some(check) => only_red(check, "add to the zone: ", &lab, &[]),
            None => assert_eq!(doctor(&lab, &[]).0, Some(0), "{}", doctor(&lab, &[]).1),
        }
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|end| end.send_to(&[], server))
            .expect("a datagram");
        serving.join().expect("it has ended");
    }
    drop(socket);
    let (status, told) = doctor(&lab, &[]);
    assert_eq!(status, Some(1));
    assert_eq!(lines(&told, "BAD "), ["dns.naptr", "dns.srv", "dns.pcscf", "dns.icscf"], "{told}");
}

// --- a name server (RFC 1035 §4) ---------------------------------------------------------------------------------------

const A: u16 = 1;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

fn labels(name: &str) -> Vec<u8> {
    let mut octets: Vec<u8> = Vec::new();
    for label in name.split('.') {
        octets.push(label.len() as u8);
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets
}

fn naptr(replacement: &str) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    [&[0, 20, 0, 50][..], &text("s"), &text("SIP+D2U"), &text(""), &labels(replacement)].concat()
}

/// Answers from the zone, and with no records for anything else.
fn name_server(socket: &UdpSocket, zone: &BTreeMap<(String, u16), Vec<u8>>) {
    let mut octets = [0; 1500];
    loop {
        let (read, client): (usize, SocketAddr) = socket.recv_from(&mut octets).expect("a datagram");
        if read == 0 {
            return;
        }
        let mut at = 12;
        let mut name = Vec::new();
        while octets[at] != 0 {
            let label = &octets[at + 1..at + 1 + usize::from(octets[at])];
            name.push(String::from_utf8_lossy(label).to_ascii_lowercase());
            at += 1 + label.len();
        }
        let kind = u16::from_be_bytes([octets[at + 1], octets[at + 2]]);
        let question = &octets[12..at + 5];
        let data = zone.get(&(name.join("."), kind));
        let counts = [0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0];
        let mut answer = [&octets[..2], &[0x85, 0x80], &counts, question].concat();
        if let Some(data) = data {
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 60]);
            answer.extend((data.len() as u16).to_be_bytes());
            answer.extend(data);
        }
        socket.send_to(&answer, client).expect("a datagram");
    }
}
