//! SIPp as a phone that we did not write.

use carillon_tests::lab::{DOMAIN, Lab, Part};
use carillon_tests::process::Process;
use carillon_tests::template;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// The subscription of SIPp's user, with K and OPc of TS 35.208 §4.3, test set 2.
///
/// A key with the byte of "[" or "]" would not do: SIPp reads keywords in what it has made of the key.
pub const SUBSCRIBER: &str =
    "001010000009999,fec86ba6eb707ed08905757b1bb44b8f,1006020f0a478bf6b699f15c062e42b3,+49301009999,sipp";

/// Whom one calls to reach SIPp.
pub fn called() -> String {
    format!("sip:+49301009999@{DOMAIN}")
}

/// Where SIPp's user is reached.
pub fn contact(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.loopback().host(110), 5060)
}

/// Runs `sipp/SCENARIO.xml` against the P-CSCF, with bob of the lab as the called one.
pub fn start(lab: &Lab, scenario: &str) -> Process {
    start_at(lab, scenario, contact(lab), Part::Pcscf)
}

/// Runs `sipp/SCENARIO.xml` as an application server, and waits until it listens.
pub fn start_server(lab: &Lab, scenario: &str, address: SocketAddr) -> Process {
    let mut process = start_at(lab, scenario, address, Part::Scscf);
    process.wait_for_udp_port(address, SCENARIO_MAX);
    process
}

fn start_at(lab: &Lab, scenario: &str, address: SocketAddr, peer: Part) -> Process {
    let folder = lab.folder().join("sipp");
    fs::create_dir_all(&folder).expect("the scratch folder is writable");
    let names = [
        ("@DOMAIN@", DOMAIN.to_owned()),
        ("@IMSI@", "001010000009999".to_owned()),
        ("@CALLED@", "+49301000002".to_owned()),
        ("@K@", "fec86ba6eb707ed08905757b1bb44b8f".to_owned()),
        // SIPp computes OPc from it.
        ("@OP@", "dbc59adcb6f9a0ef735477b7fadf8374".to_owned()),
    ];
    template::write("sipp", &names, &folder);
    let mut command = Command::new(carillon_tests::find("sipp").expect("the test has asked for it"));
    command
        .arg("-sf")
        .arg(folder.join(format!("{scenario}.xml")))
        .args(["-m", "1", "-i", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(["-timeout", "30", "-timeout_error", "-nostdin", "-trace_err", "-trace_msg"])
        .args(["-message_file", "messages.log", "-error_file", "errors.log"])
        .arg(lab.address(peer).to_string())
        .current_dir(&folder);
    Process::start("sipp", &mut command, lab.folder())
}

/// Runs a scenario that begins with a registration until that succeeds.
///
/// SIPp's AKA answers a challenge wrongly once in some thirty times, so a refused registration is begun anew, by a new
/// challenge; that all are refused is a fault of ours.
pub fn start_registered(lab: &Lab, scenario: &str) -> Process {
    for _ in 0..ATTEMPTS {
        let mut process = start(lab, scenario);
        loop {
            match process.ended() {
                Some(status) if status.success() => return process,
                Some(_) => break,
                None if story(lab).contains("\nINVITE ") => return process,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
    panic!("SIPp is not registered: {}", story(lab));
}

/// Every message that SIPp sent and received, and its complaints.
pub fn story(lab: &Lab) -> String {
    let read = |name| fs::read_to_string(lab.folder().join("sipp").join(name)).unwrap_or_default();
    format!("{}\n{}", read("messages.log"), read("errors.log"))
}

/// How long a scenario may take.
pub const SCENARIO_MAX: Duration = Duration::from_secs(40);
/// Challenges that SIPp may answer wrongly, one after the other.
const ATTEMPTS: usize = 6;
