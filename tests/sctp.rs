//! Cx over SCTP (TS 29.229 §5.4): our four processes, and `ims`, on a kernel that has SCTP.
//!
//! Where the running kernel has none, `tests/lab-kernel` starts one that has, as a process, and this program runs again
//! inside of it.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process has said")]

#[allow(dead_code, reason = "other tests use the rest")]
use carillon_tests::loopback::Loopback;
use carillon_tests::process::Process;
use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

#[test]
fn a_core_registers_calls_and_heals_over_sctp() {
    if let Some(programs) = inside() {
        return registers_calls_and_heals(Path::new(&programs));
    }
    if has_sctp() {
        return registers_calls_and_heals(programs());
    }
    if ["linux.uml", "modprobe", "ip"].into_iter().all(carillon_tests::needs) {
        on_another_kernel("a_core_registers_calls_and_heals_over_sctp");
    }
}

/// RFC 6733 §11.4: payload protocol 46 marks Diameter, for those on the way that cannot go by the port.
#[test]
fn wireshark_reads_cx_over_sctp_with_the_payload_protocol_of_diameter() {
    if let Some(programs) = inside() {
        return wireshark_reads(Path::new(&programs));
    }
    if has_sctp() {
        return carillon_tests::skip("only root of a kernel of our own may be sure to capture");
    }
    if ["linux.uml", "modprobe", "ip", "tshark"].into_iter().all(carillon_tests::needs) {
        on_another_kernel("wireshark_reads_cx_over_sctp_with_the_payload_protocol_of_diameter");
    }
}

#[test]
fn where_the_kernel_has_no_sctp_nothing_is_opened_and_the_remedy_is_told() {
    if has_sctp() {
        return carillon_tests::skip("this kernel has SCTP");
    }
    let core = Core::new(programs());
    for program in ["hss-mock", "icscf", "scscf"] {
        let mut process = core.start(program);
        let status = process.wait(START_MAX);
        let output = process.output();
        assert_eq!(status.code(), Some(1), "{program}: {output}");
        let told = "the kernel has no SCTP; load it with `modprobe sctp`";
        assert!(output.contains(told), "{program}: {output}");
        assert!(!output.contains("listens for"), "{program} has opened a socket: {output}");
    }
}

fn registers_calls_and_heals(programs: &Path) {
    let core = Core::new(programs);
    let mut hss = core.start("hss-mock");
    let _cscfs = ["scscf", "icscf", "pcscf"].map(|program| core.start(program));
    core.wait_for_peers(&mut hss);
    assert!(TcpStream::connect(core.hss).is_err(), "the HSS listens on TCP too");
    assert_eq!(core.associations(), 2, "one of the I-CSCF and one of the S-CSCF");
    let said = core.ims(&["call", "alice", "bob"]).expect("a call");
    assert!(said.contains("bob has answered"), "{said}");

    hss.kill();
    let said = core.ims(&["register", "alice"]).expect_err("nobody can be asked");
    assert!(said.contains("HSS") && said.contains(": 5"), "a 5xx with its reason: {said}");
    let mut hss = core.start("hss-mock");
    core.wait_for_peers(&mut hss);
    let said = core.ims(&["register", "alice"]).expect("the CSCFs have found their HSS again");
    assert!(said.contains("alice is registered"), "{said}");
}

fn wireshark_reads(programs: &Path) {
    let core = Core::new(programs);
    let mut tshark = Command::new(carillon_tests::find("tshark").expect("looked for outside"));
    let fields = ["sctp.data_payload_proto_id", "diameter.cmd.code", "_ws.expert.message"];
    tshark.args(["-i", "lo", "-l", "-f", "sctp", "-Y", "diameter", "-T", "fields"]);
    tshark.args(fields.iter().flat_map(|field| ["-e", field]));
    let mut tshark = Process::start("tshark", &mut tshark, core.folder.path());
    tshark.wait_for_output("Capture started", START_MAX);
    let mut hss = core.start("hss-mock");
    let _cscfs = ["scscf", "icscf", "pcscf"].map(|program| core.start(program));
    core.wait_for_peers(&mut hss);
    core.ims(&["register", "alice"]).expect("a registration");
    tshark.wait_for_output("\t301\t", START_MAX);
    let output = tshark.output();
    let rows: Vec<Vec<&str>> = output.lines().map(|line| line.split('\t').collect()).collect();
    let messages: Vec<_> = rows.iter().filter(|row| row.len() == fields.len()).collect();
    // CER, UAR, MAR and SAR, in the order in which a registration has them.
    for command in ["257", "300", "303", "301"] {
        assert!(messages.iter().any(|row| row[1] == command), "no {command}: {output}");
    }
    for row in messages {
        // Its dictionary lacks Registration-Time-Out (TS 29.229 §6.3).
        let is_content = row[2].is_empty() || row[2].starts_with("Unknown AVP 661 (vendor=3GPP)");
        assert!(row[0] == "46" && is_content, "the payload protocol, and no complaint: {row:?}");
    }
}

/// A core whose HSS listens on SCTP alone.
struct Core {
    programs: PathBuf,
    folder: tempfile::TempDir,
    hss: SocketAddr,
    _loopback: Loopback,
}

impl Core {
    fn new(programs: &Path) -> Core {
        let (loopback, folder) = (Loopback::take(), tempfile::tempdir().expect("a scratch folder"));
        let hss = loopback.at(20, 3868);
        let text = format!(
            "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n\
             [pcscf]\nlisten = \"{}\"\n[icscf]\nlisten = \"{}\"\n[scscf]\nlisten = \"{}\"\ncountry_code = \"49\"\n\
             [hss]\nlisten = \"sctp:{hss}\"\nsubscribers = \"subscribers.csv\"\n\
             [store]\nkind = \"file\"\npath = \"store\"\n",
            loopback.at(11, 5060),
            loopback.at(12, 4060),
            loopback.at(13, 6060),
        );
        fs::write(folder.path().join("lab.toml"), text).expect("the scratch folder is writable");
        let subscribers = top().join("docs/config/lab-subscribers.csv");
        fs::copy(subscribers, folder.path().join("subscribers.csv")).expect("the ready-made lab");
        Core { programs: programs.to_path_buf(), folder, hss, _loopback: loopback }
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(words).arg("--config").arg(self.folder.path().join("lab.toml"));
        command
    }

    fn start(&self, program: &str) -> Process {
        Process::start(program, &mut self.command(program, &[]), self.folder.path())
    }

    /// Waits until the HSS tells of its two peers.
    fn wait_for_peers(&self, hss: &mut Process) {
        for name in ["icscf", "scscf"] {
            hss.wait_for_output(&format!("Diameter peer is up role=\"hss\" peer=\"{name}."), START_MAX);
        }
    }

    /// How many associations the HSS has.
    fn associations(&self) -> usize {
        let table = fs::read_to_string("/proc/net/sctp/assocs").expect("this kernel has SCTP");
        let (ip, port) = (self.hss.ip().to_string(), self.hss.port().to_string());
        // ASSOC SOCK STY SST ST HBKT ASSOC-ID TX_QUEUE RX_QUEUE UID INODE LPORT RPORT LADDRS <-> RADDRS ...
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row.get(11) == Some(&port.as_str()) && row.contains(&ip.as_str())).count()
    }

    /// Runs `ims` against this core; what it said, whether it succeeded or failed.
    fn ims(&self, words: &[&str]) -> Result<String, String> {
        let mut process = Process::start("ims", &mut self.command("ims", words), self.folder.path());
        let status = process.wait(START_MAX);
        if status.success() { Ok(process.output()) } else { Err(process.output()) }
    }
}

/// Runs one test of this program again, on a kernel that has SCTP.
fn on_another_kernel(test: &str) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let own = std::env::current_exe().expect("a test knows its own file");
    let mut kernel = Command::new(top().join("tests/lab-kernel"));
    kernel.args(["--timeout", "100", "--share"]).arg(top()).arg("--share").arg(programs()).arg("--").arg(own);
    kernel.args(["--exact", test, "--nocapture"]).env(INSIDE, programs());
    // User-mode Linux keeps a folder in the home of its user.
    kernel.env("HOME", scratch.path()).current_dir(top());
    let mut kernel = Process::start("lab-kernel", &mut kernel, scratch.path());
    let status = kernel.wait(KERNEL_MAX);
    assert!(status.success() && kernel.output().contains("1 passed"), "{status}: {}", kernel.output());
}

/// Where the programs are, when this program runs on a kernel of our own.
fn inside() -> Option<OsString> {
    std::env::var_os(INSIDE)
}

fn has_sctp() -> bool {
    fs::read_to_string("/proc/net/protocols").is_ok_and(|table| table.contains("SCTP"))
}

/// The folder of the programs, built as this test was, those that speak Diameter with the feature `sctp`.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // TARGET/PROFILE/deps/sctp-0123456789abcdef
        let own = std::env::current_exe().expect("a test knows its own file");
        let folder = own.ancestors().nth(2).expect("a folder of a profile").to_path_buf();
        build(&folder, &["--package", "ims", "--package", "pcscf"]);
        // Apart, lest the features of these reach those.
        let (packages, features) = (["hss-mock", "icscf", "scscf"], "hss-mock/sctp,icscf/sctp,scscf/sctp");
        let mut words: Vec<_> = packages.iter().flat_map(|package| ["--package", package]).collect();
        words.extend(["--features", features]);
        build(&folder, &words);
        folder
    })
}

fn build(folder: &Path, words: &[&str]) {
    let target = folder.parent().expect("the target folder");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--bins", "--profile", profile, "--target-dir"]).arg(target).args(words);
    let built = cargo.current_dir(top()).output().expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// The top of the workspace.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// Names the folder of the programs to this program on another kernel.
const INSIDE: &str = "CARILLON_SCTP_PROGRAMS";
const START_MAX: Duration = Duration::from_secs(20);
const KERNEL_MAX: Duration = Duration::from_secs(120);
