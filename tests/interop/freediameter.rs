//! freeDiameter as a relay between our CSCFs and our HSS.

use carillon_tests::lab::{DOMAIN, Lab, Part, START_MAX};
use carillon_tests::process::Process;
use carillon_tests::template;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

/// The programs that it takes.
pub const PROGRAMS: [&str; 2] = ["freeDiameterd", "openssl"];

/// The relay's Diameter identity.
pub fn identity() -> String {
    format!("relay.{DOMAIN}")
}

/// Where a relay will listen: a port that is free at every address, because it takes them all.
pub fn choose_address(lab: &Lab) -> SocketAddr {
    let free =
        TcpListener::bind("0.0.0.0:0").and_then(|listener| listener.local_addr()).expect("a free port");
    lab.loopback().at(30, free.port())
}

/// Starts a relay, and waits until it has its connection to the HSS.
pub fn start(lab: &mut Lab, address: SocketAddr) -> Process {
    let folder = lab.folder().join("freediameter");
    fs::create_dir(&folder).expect("the relay is started once");
    let names = [
        ("@PORT@", address.port().to_string()),
        ("@HSS@", lab.address(Part::Hss).ip().to_string()),
        ("@DOMAIN@", DOMAIN.to_owned()),
        ("@RUN@", folder.display().to_string()),
    ];
    template::write("freediameter", &names, &folder);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "1", "-subj", &format!("/CN={}", identity())])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(&folder)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let program = carillon_tests::find("freeDiameterd").expect("the test has asked for it");
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("freeDiameter.conf"));
    let mut process = Process::start("freediameter", &mut command, lab.folder());
    process.wait_for_port(address, START_MAX);
    lab.process(Part::Hss)
        .wait_for_output(&format!("peer is up role=\"hss\" peer=\"{}\"", identity()), START_MAX);
    process
}
