//! Kamailio 5.6 with its IMS modules, in the place of one of our CSCFs; and as an application server.
//!
//! The configurations below `kamailio/` are for Debian's packages. What they have to know: each node needs the memory
//! managers named here; the Diameter peer's host name is its address, so our HSS calls itself by its address; the
//! S-CSCF stores a vector after its 401 has left, so a phone answers a little later than it could.

use crate::template;
use carillon_tests::lab::{DOMAIN, Lab, Part, START_MAX};
use carillon_tests::process::Process;
use carillon_tests::{missing, needs};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether Kamailio is here with all the modules that it takes; else the running test is skipped, or fails.
pub fn is_installed() -> bool {
    ["kamailio", "sqlite3"].into_iter().all(needs)
        && (modules().is_some()
            || missing("Kamailio's modules ims_icscf, presence and db_sqlite are not installed"))
}

/// Starts Kamailio in the place of `part`, and waits until it is there.
pub fn start(lab: &mut Lab, part: Part) {
    let name = part.program();
    let managers: &[&str] = match part {
        // Any other shared one deadlocks its `lookup()`, which unlocks by a string that it has freed.
        Part::Scscf => &["-x", "qm", "-X", "qm"],
        _ => &["-x", "tlsf", "-X", "qm"],
    };
    let process = start_node(lab, name, managers, None);
    lab.run(part, process);
}

/// Starts Kamailio as an application server that is a proxy.
pub fn start_server(lab: &Lab, address: SocketAddr) -> Process {
    let mut process = start_node(lab, "as", &["-x", "tlsf", "-X", "qm"], Some(address));
    process.wait_for_port(address, START_MAX);
    process
}

fn start_node(lab: &Lab, name: &str, managers: &[&str], server: Option<SocketAddr>) -> Process {
    let folder = lab.folder().join(format!("kamailio-{name}"));
    fs::create_dir(&folder).expect("each node is started once");
    let modules = modules().expect("Kamailio's modules are where Debian puts them");
    let names = [
        ("@P@", lab.address(Part::Pcscf).ip().to_string()),
        ("@I@", lab.address(Part::Icscf).ip().to_string()),
        ("@S@", lab.address(Part::Scscf).ip().to_string()),
        ("@HSS@", lab.address(Part::Hss).ip().to_string()),
        ("@A@", server.map_or(String::new(), |server| server.ip().to_string())),
        ("@DOMAIN@", DOMAIN.to_owned()),
        ("@RUN@", folder.display().to_string()),
        ("@MODULES@", format!("{}/", modules.display())),
    ];
    template::write("kamailio", &names, &folder);
    if name == Part::Icscf.program() {
        create_database(&folder);
    }
    let program = carillon_tests::find("kamailio").expect("the test has asked for it");
    let mut command = Command::new(program);
    command
        .args(["-m", "64", "-M", "16", "-b", "4194304", "-DD", "-E"])
        .args(managers)
        .arg("-f")
        .arg(folder.join(format!("{name}.cfg")))
        .arg("-P")
        .arg(folder.join("pid"))
        .arg("-Y")
        .arg(&folder)
        .arg("-w")
        .arg(&folder);
    Process::start(&format!("kamailio-{name}"), &mut command, lab.folder())
}

/// The I-CSCF reads the list of S-CSCFs from SQL.
fn create_database(folder: &Path) {
    let tables = fs::File::open(folder.join("icscf.sql")).expect("a template");
    let created = Command::new("sqlite3")
        .arg(folder.join("icscf.sqlite"))
        .stdin(tables)
        .output()
        .expect("sqlite3 runs");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
}

/// Debian keeps modules in a folder of the architecture.
fn modules() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    folders.map(|folder| folder.path().join("kamailio/modules")).find(|folder| {
        ["ims_icscf.so", "presence.so", "db_sqlite.so"].iter().all(|module| folder.join(module).is_file())
    })
}
