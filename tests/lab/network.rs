//! Two network namespaces with a wire between them: a core in the one, phones in the other.

use carillon_tests::binaries::top;
use carillon_tests::process::Process;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The namespace of the core.
pub const CORE: &str = "core";
/// The namespace of the UEs.
pub const UE: &str = "ue";
/// The namespace between them, where there is a NAT.
pub const NAT: &str = "nat";
/// Names the folder of the core to the phones.
pub const PHONES: &str = "CARILLON_LAB_OF_PHONES";

/// Tells the phones who does their ESP.
pub const ESP: &str = "CARILLON_LAB_ESP";

/// A core whose P-CSCF is at 192.0.2.1 and 2001:db8::1.
pub struct Core {
    namespace: Option<&'static str>,
    programs: PathBuf,
    folder: tempfile::TempDir,
    processes: Vec<Process>,
    pcscf: Process,
}

impl Core {
    /// A core in a namespace of its own, whose P-CSCF has this back end.
    pub fn start(programs: &Path, back_end: &str) -> Core {
        lay_wire();
        Core::start_in(Some(CORE), programs, back_end)
    }

    /// As [`Core::start`], with registrations that last for so long.
    pub fn start_for(programs: &Path, back_end: &str, expires: Duration) -> Core {
        lay_wire();
        let section = "[scscf]\n";
        let seconds = expires.as_secs();
        let brief = format!(
            "{section}expires_min = \"1s\"\nexpires_default = \"{seconds}s\"\nexpires_max = \"{seconds}s\"\n"
        );
        Core::start_as(Some(CORE), programs, &CONFIG.replace("BACK_END", back_end).replace(section, &brief))
    }

    /// As [`Core::start`], with a NAT between the UEs, which are in 10.9.0.0/24, and the P-CSCF.
    pub fn start_beyond_nat(programs: &Path, back_end: &str) -> Core {
        lay_wires_through_nat();
        Core::start_in(Some(CORE), programs, back_end)
    }

    /// A core in the namespace where it is started.
    pub fn start_here(programs: &Path, back_end: &str) -> Core {
        Core::start_in(None, programs, back_end)
    }

    fn start_in(namespace: Option<&'static str>, programs: &Path, back_end: &str) -> Core {
        Core::start_as(namespace, programs, &CONFIG.replace("BACK_END", back_end))
    }

    fn start_as(namespace: Option<&'static str>, programs: &Path, config: &str) -> Core {
        let folder = tempfile::tempdir().expect("a scratch folder");
        fs::write(folder.path().join("lab.toml"), config).expect("the scratch folder is writable");
        let subscribers = top().join("docs/config/lab-subscribers.csv");
        fs::copy(subscribers, folder.path().join("subscribers.csv")).expect("the ready-made lab");
        let start = |program: &str| run(namespace, program, programs, folder.path());
        let mut processes = vec![start("hss-mock")];
        processes.extend(["scscf", "icscf"].map(start));
        for name in ["icscf", "scscf"] {
            processes[0].wait_for_output(&format!("Diameter peer is up role=\"hss\" peer=\"{name}."), START);
        }
        let pcscf = start("pcscf");
        let mut core = Core { namespace, programs: programs.to_path_buf(), folder, processes, pcscf };
        core.wait_for_pcscf();
        core
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Plays a story of the phones to its end.
    pub fn phones(&mut self, story: &str, esp: &str) {
        let mut phones = self.start_phones(story, esp);
        let status = phones.wait(Duration::from_secs(300));
        assert!(
            status.success() && phones.output().contains("1 passed"),
            "{}\n{}",
            phones.output(),
            self.said()
        );
        eprint!("{}", phones.output());
    }

    /// Begins a story of the phones in the namespace of the UEs, whose ESP is done so.
    pub fn start_phones(&self, story: &str, esp: &str) -> Process {
        let own = std::env::current_exe().expect("a test knows its own file");
        let mut phones = Command::new("ip");
        phones.args(["netns", "exec", UE]).arg(own).args(["--exact", story, "--nocapture"]);
        phones.env(PHONES, self.folder.path()).env(ESP, esp);
        Process::start("phones", &mut phones, self.folder.path())
    }

    /// Kills the P-CSCF, and starts it again.
    pub fn crash_pcscf(&mut self) {
        self.pcscf.kill();
        self.pcscf = run(self.namespace, "pcscf", &self.programs, self.folder.path());
        self.wait_for_pcscf();
    }

    /// What `ims` says to these words.
    pub fn ims(&self, words: &[&str]) -> String {
        let mut ims = Command::new(self.programs.join("ims"));
        let ran = ims
            .args(words)
            .arg("--config")
            .arg(self.folder.path().join("lab.toml"))
            .output()
            .expect("ims runs");
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// Says a word to the phones.
    pub fn tell(&self, word: &str) {
        fs::write(self.folder.path().join(word), "").expect("the scratch folder is writable");
    }

    /// What the processes have said.
    pub fn said(&self) -> String {
        self.processes.iter().chain([&self.pcscf]).map(Process::output).collect()
    }

    fn wait_for_pcscf(&mut self) {
        for ip in ["192.0.2.1", "2001:db8::1"] {
            let at = SocketAddr::new(ip.parse().expect("an address"), 5060);
            self.pcscf.wait_for_output(&format!("listens for SIP on tcp address={at}"), START);
        }
    }
}

fn run(namespace: Option<&str>, program: &str, programs: &Path, folder: &Path) -> Process {
    let file = programs.join(program);
    let mut command = match namespace {
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(file);
            command
        }
        None => Command::new(file),
    };
    command.arg("--config").arg(folder.join("lab.toml"));
    Process::start(program, &mut command, folder)
}

fn lay_wire() {
    for words in [
        "ip netns add core",
        "ip netns add ue",
        "ip link add core netns core type veth peer name ue netns ue",
    ] {
        sh(words);
    }
    for (namespace, host) in [(CORE, 1), (UE, 2)] {
        for words in [
            "ip link set lo up".to_owned(),
            format!("ip link set {namespace} up"),
            format!("ip addr add 192.0.2.{host}/24 dev {namespace}"),
            format!("ip addr add 2001:db8::{host}/64 dev {namespace} nodad"),
        ] {
            sh(&format!("ip netns exec {namespace} {words}"));
        }
    }
}

/// A NAT that keeps no port as it is, and soon forgets those whom it does not hear of.
fn lay_wires_through_nat() {
    for words in [
        "ip netns add core",
        "ip netns add nat",
        "ip netns add ue",
        "ip link add core netns core type veth peer name out netns nat",
        "ip link add in netns nat type veth peer name ue netns ue",
    ] {
        sh(words);
    }
    for (namespace, words) in [
        (CORE, "ip link set core up"),
        (CORE, "ip addr add 192.0.2.1/24 dev core"),
        (CORE, "ip addr add 2001:db8::1/64 dev core nodad"),
        (NAT, "ip link set out up"),
        (NAT, "ip link set in up"),
        (NAT, "ip addr add 192.0.2.2/24 dev out"),
        (NAT, "ip addr add 10.9.0.1/24 dev in"),
        (UE, "ip link set ue up"),
        (UE, "ip addr add 10.9.0.2/24 dev ue"),
        (UE, "ip route add default via 10.9.0.1"),
        (NAT, "sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'"),
        (NAT, "modprobe --all iptable_nat xt_MASQUERADE"),
        (
            NAT,
            "iptables-legacy --table nat --append POSTROUTING --out-interface out --jump MASQUERADE --random-fully",
        ),
        (NAT, "sh -c 'echo 12 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout'"),
        (NAT, "sh -c 'echo 12 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream'"),
    ] {
        sh(&format!("ip netns exec {namespace} {words}"));
    }
    for namespace in [CORE, NAT, UE] {
        sh(&format!("ip netns exec {namespace} ip link set lo up"));
    }
}

/// The NAT has another address from here on, and has forgotten whom its ports are of: so does masquerading, when an address
/// goes.
pub fn move_nat() {
    for words in [
        "ip addr add 192.0.2.3/24 dev out",
        "ip addr del 192.0.2.2/24 dev out",
        "ip addr add 192.0.2.3/24 dev out || true",
    ] {
        sh(&format!("ip netns exec {NAT} {words}"));
    }
}

/// Gives an interface one more address.
pub fn add_address(namespace: &str, interface: &str, address: IpAddr) {
    let (prefix, more) = if address.is_ipv4() { (24, "") } else { (64, " nodad") };
    sh(&format!("ip netns exec {namespace} ip addr add {address}/{prefix} dev {interface}{more}"));
}

/// What a command says in a namespace.
pub fn in_namespace(namespace: &str, words: &[&str]) -> String {
    let mut command = Command::new("ip");
    let ran = command.args(["netns", "exec", namespace]).args(words).output().expect("ip runs");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn sh(words: &str) {
    let ran = Command::new("sh").args(["-c", words]).output().expect("a shell");
    assert!(ran.status.success(), "{words}: {}", String::from_utf8_lossy(&ran.stderr));
}

const START: Duration = Duration::from_secs(60);

const CONFIG: &str = "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n\
    [pcscf]\nlisten = [\"192.0.2.1:5060\", \"[2001:db8::1]:5060\"]\ncore_listen = \"127.0.0.11:5060\"\n\
    [ipsec]\npolicy = \"required\"\nback_end = \"BACK_END\"\n\
    [icscf]\nlisten = \"127.0.0.12:4060\"\n[scscf]\nlisten = \"127.0.0.13:6060\"\ncountry_code = \"49\"\nreauthenticate = \"always\"\n\
    [hss]\nlisten = \"127.0.0.20:3868\"\nsubscribers = \"subscribers.csv\"\n\
    [store]\nkind = \"file\"\npath = \"store\"\n[control]\npath = \"control\"\n[log]\nlevel = \"trace\"\n";
