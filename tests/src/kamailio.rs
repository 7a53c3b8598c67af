//! Kamailio 5.6 with its IMS modules, in the place of one of our CSCFs; and as an application server.
//!
//! The configurations below `interop/kamailio/` are for Debian's packages. What they have to know: each node needs the memory
//! managers named here; the Diameter peer's host name is its address, so our HSS calls itself by its address; the
//! S-CSCF stores a vector after its 401 has left, so a phone answers a little later than it could.

use crate::lab::{DOMAIN, Lab, Part, START_MAX};
use crate::process::Process;
use crate::{missing, needs, template};
use std::fs;
use std::net::{IpAddr, SocketAddr};
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
    let process = start_cscf(part, &|part| lab.address(part).ip(), lab.folder());
    lab.run(part, process);
}

/// Starts Kamailio as one of the CSCFs of a core whose parts have these addresses; it does not listen yet.
pub fn start_cscf(part: Part, address: &dyn Fn(Part) -> IpAddr, folder: &Path) -> Process {
    let managers: &[&str] = match part {
        // Any other shared one deadlocks its `lookup()`, which unlocks by a string that it has freed.
        Part::Scscf => &["-x", "qm", "-X", "qm"],
        _ => &["-x", "tlsf", "-X", "qm"],
    };
    start_node(part.program(), address, folder, managers, None)
}

/// Starts Kamailio as an application server that is a proxy.
pub fn start_server(lab: &Lab, address: SocketAddr) -> Process {
    let of = |part| lab.address(part).ip();
    let mut process = start_node("as", &of, lab.folder(), &["-x", "tlsf", "-X", "qm"], Some(address));
    process.wait_for_port(address, START_MAX);
    process
}

fn start_node(
    name: &str,
    address: &dyn Fn(Part) -> IpAddr,
    lab: &Path,
    managers: &[&str],
    server: Option<SocketAddr>,
) -> Process {
    let folder = lab.join(format!("kamailio-{name}"));
    fs::create_dir(&folder).expect("each node is started once");
    let modules = modules().expect("Kamailio's modules are where Debian puts them");
    let names = [
        ("@P@", address(Part::Pcscf).to_string()),
        ("@I@", address(Part::Icscf).to_string()),
        ("@S@", address(Part::Scscf).to_string()),
        ("@HSS@", address(Part::Hss).to_string()),
        ("@A@", server.map_or(String::new(), |server| server.ip().to_string())),
        ("@DOMAIN@", DOMAIN.to_owned()),
        ("@RUN@", folder.display().to_string()),
        ("@MODULES@", format!("{}/", modules.display())),
    ];
    template::write("kamailio", &names, &folder);
    if name == Part::Icscf.program() {
        create_database(&folder);
    }
    let program = crate::find("kamailio").expect("the test has asked for it");
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
    Process::start(&format!("kamailio-{name}"), &mut command, lab)
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
