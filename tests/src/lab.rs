//! A core on a loopback network of its own: one configuration, the processes that read it, and phones.

use crate::binaries::{binary, top};
use crate::loopback::Loopback;
use crate::phone::Phone;
use crate::process::Process;
use cscf::config::Config;
use hss_mock::{Subscriber, csv};
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The functions of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The P-CSCF.
    Pcscf,
    /// The I-CSCF.
    Icscf,
    /// The S-CSCF.
    Scscf,
    /// The HSS.
    Hss,
    /// P-, I- and S-CSCF in one process.
    Core,
}

impl Part {
    /// The four processes, in the order in which they are started.
    pub const ALL: [Part; 4] = [Part::Hss, Part::Scscf, Part::Icscf, Part::Pcscf];

    /// Its host number and port.
    const fn address(self) -> (u8, u16) {
        match self {
            Part::Pcscf | Part::Core => (11, 5060),
            Part::Icscf => (12, 4060),
            Part::Scscf => (13, 6060),
            Part::Hss => (20, 3868),
        }
    }

    /// The name of its program.
    pub const fn program(self) -> &'static str {
        match self {
            Part::Pcscf => "pcscf",
            Part::Icscf => "icscf",
            Part::Scscf => "scscf",
            Part::Hss => "hss-mock",
            Part::Core => "ims-core",
        }
    }
}

/// Where a core runs, and what of it runs.
pub struct Lab {
    running: BTreeMap<Part, Process>,
    loopback: Loopback,
    folder: TempDir,
}

impl Lab {
    /// The ready-made lab of the documentation, with its addresses and paths replaced.
    pub fn ready_made() -> Lab {
        let lab = Lab::by_addresses();
        let mut text = fs::read_to_string(top().join("docs/config/lab.toml")).expect("the ready-made lab");
        for (written, part) in [
            ("127.0.0.10:5060", Part::Pcscf),
            ("127.0.0.11:4060", Part::Icscf),
            ("127.0.0.12:6060", Part::Scscf),
            ("127.0.0.13:3868", Part::Hss),
        ] {
            assert!(text.contains(&format!("\nlisten = [\"{written}\"]\n")), "{part:?} is not at {written}");
            text = text.replace(written, &lab.address(part).to_string());
        }
        for (written, name) in [
            ("lab-subscribers.csv", "subscribers.csv"),
            ("../../target/lab-store", "store"),
            ("../../target/lab-control", "control"),
        ] {
            text = text.replace(written, name);
        }
        fs::write(lab.config_file(), text).expect("the scratch folder is writable");
        lab.config();
        lab
    }

    /// A place for a core, and its configuration.
    ///
    /// Hosts are named by their addresses, because not every peer resolves names.
    pub fn by_addresses() -> Lab {
        let lab = Lab {
            running: BTreeMap::new(),
            loopback: Loopback::take(),
            folder: tempfile::tempdir().expect("a scratch folder"),
        };
        let at = |part| lab.address(part);
        let host = |part| lab.address(part).ip();
        let (p, i, s, hss) = (Part::Pcscf, Part::Icscf, Part::Scscf, Part::Hss);
        let text = format!(
            "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n\
             [pcscf]\nlisten = \"{}\"\nhost = \"{}\"\n\
             [icscf]\nlisten = \"{}\"\nhost = \"{}\"\ndiameter_host = \"icscf.{DOMAIN}\"\n\
             [scscf]\nlisten = \"{}\"\nhost = \"{}\"\ndiameter_host = \"scscf.{DOMAIN}\"\ncountry_code = \"49\"\n\
             [hss]\nlisten = \"{}\"\nhost = \"{}\"\nsubscribers = \"{}\"\n\
             [store]\nkind = \"file\"\npath = \"{}\"\n",
            at(p),
            host(p),
            at(i),
            host(i),
            at(s),
            host(s),
            at(hss),
            host(hss),
            lab.folder().join("subscribers.csv").display(),
            lab.folder().join("store").display(),
        );
        let subscribers =
            fs::read_to_string(top().join("docs/config/lab-subscribers.csv")).expect("the ready-made lab");
        fs::write(lab.folder().join("subscribers.csv"), subscribers).expect("the scratch folder is writable");
        fs::write(lab.config_file(), text).expect("the scratch folder is writable");
        // A mistake shows here, and not in the log of a process.
        lab.config();
        lab
    }

    /// Adds sections to the configuration, before anything is started.
    pub fn add_settings(&self, settings: &str) {
        let text = fs::read_to_string(self.config_file()).expect("the configuration was written");
        fs::write(self.config_file(), text + settings).expect("the scratch folder is writable");
        self.config();
    }

    /// Replaces a line of the configuration, before anything is started.
    pub fn set(&self, written: &str, wanted: &str) {
        let text = fs::read_to_string(self.config_file()).expect("the configuration was written");
        assert!(text.contains(written), "{written} is not in the configuration");
        fs::write(self.config_file(), text.replace(written, wanted)).expect("the scratch folder is writable");
        self.config();
    }

    /// Adds a subscriber (imsi,k,opc,msisdn,name), before the HSS is started.
    pub fn add_subscriber(&self, line: &str) {
        let file = self.folder().join("subscribers.csv");
        let text = fs::read_to_string(&file).expect("the subscribers were written");
        fs::write(file, format!("{text}{line}\n")).expect("the scratch folder is writable");
    }

    /// Gives a subscriber filter criteria (see the column `ifc`), before the HSS is started.
    pub fn add_criteria(&self, name: &str, criteria: &str) {
        let file = self.folder().join("subscribers.csv");
        let text = fs::read_to_string(&file).expect("the subscribers were written");
        let of_name = format!(",{name}");
        let line = |line: &str| match line {
            line if line.starts_with('#') => line.to_owned(),
            line if line.starts_with("imsi,") && !line.ends_with(",ifc") => format!("{line},ifc"),
            line if line.ends_with(&of_name) => format!("{line},{criteria}"),
            line => line.to_owned(),
        };
        let lines: Vec<String> = text.lines().map(line).collect();
        fs::write(file, lines.join("\n") + "\n").expect("the scratch folder is writable");
        assert!(!self.subscribers().is_empty());
    }

    /// The subscribers of the file, in its order.
    pub fn subscribers(&self) -> Vec<Subscriber> {
        let file = self.folder().join("subscribers.csv");
        let text = fs::read_to_string(file).expect("the subscribers were written");
        csv::import(&text, &self.config().home).expect("valid subscribers").subscribers
    }

    /// Adds a host to the trust domain, beside those of the core, before anything is started.
    pub fn trust(&self, host: IpAddr) {
        let parts = Part::ALL.map(|part| self.address(part).ip());
        let domain: Vec<String> = parts.into_iter().chain([host]).map(|ip| format!("\"{ip}/32\"")).collect();
        self.add_settings(&format!("[trust]\ndomain = [{}]\n", domain.join(", ")));
    }

    /// The network that the core runs on.
    pub fn loopback(&self) -> &Loopback {
        &self.loopback
    }

    /// Where a part is, whoever plays it.
    pub fn address(&self, part: Part) -> SocketAddr {
        let (host, port) = part.address();
        self.loopback.at(host, port)
    }

    /// The scratch folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration's file.
    pub fn config_file(&self) -> PathBuf {
        self.folder().join("lab.toml")
    }

    /// The configuration.
    pub fn config(&self) -> Config {
        let file = self.config_file();
        let text = fs::read_to_string(&file).expect("the configuration was written");
        Config::parse(&text, &file.display().to_string())
            .unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"))
    }

    /// Starts a part of ours, or starts it again, and waits until it is there.
    pub fn start(&mut self, part: Part) {
        let mut command = Command::new(binary(part.program()));
        command.arg("--config").arg(self.config_file());
        let process = Process::start(part.program(), &mut command, self.folder());
        self.run(part, process);
    }

    /// Starts all four parts, and waits until they know each other.
    pub fn start_all(&mut self) {
        for part in Part::ALL {
            self.start(part);
        }
        self.wait_for_diameter();
    }

    /// Starts the HSS, and the three CSCFs as one process, and waits until they know each other.
    pub fn start_in_one_process(&mut self) {
        self.start(Part::Hss);
        self.start(Part::Core);
        self.wait_for_diameter();
    }

    /// Puts `process` in the place of a part, and waits until it is there.
    pub fn run(&mut self, part: Part, mut process: Process) {
        process.wait_for_port(self.address(part), START_MAX);
        self.running.insert(part, process);
    }

    /// Waits until the I- and the S-CSCF have their Diameter connections to the HSS, which the HSS tells in its log.
    pub fn wait_for_diameter(&mut self) {
        for name in ["icscf", "scscf"] {
            let told = format!("Diameter peer is up role=\"hss\" peer=\"{name}.{DOMAIN}\"");
            self.process(Part::Hss).wait_for_output(&told, START_MAX);
        }
    }

    /// Waits until a CSCF that was started anew has its Diameter connection, where it has any.
    pub fn wait_for_diameter_again(&mut self, part: Part) {
        if matches!(part, Part::Icscf | Part::Scscf) {
            self.process(part).wait_for_output("Diameter peer is up", START_MAX);
        }
    }

    /// The process of a part.
    pub fn process(&mut self, part: Part) -> &mut Process {
        self.running.get_mut(&part).unwrap_or_else(|| panic!("{part:?} was started"))
    }

    /// A phone of a subscriber; it registers when asked to.
    pub fn phone(&self, name: &str) -> Phone {
        Phone::start(name, &self.config(), &self.loopback)
    }

    /// Runs `ims` against this core; what it printed, or its exit status and all that it said.
    pub fn ims(&self, words: &[&str]) -> Result<String, (Option<i32>, String)> {
        let mut command = Command::new(binary("ims"));
        command.args(words).arg("--config").arg(self.config_file());
        let mut process = Process::start("ims", &mut command, self.folder());
        let status = process.wait(IMS_MAX);
        if status.success() { Ok(process.output()) } else { Err((status.code(), process.output())) }
    }
}

/// The home network of PLMN 001/01.
pub const DOMAIN: &str = "ims.mnc001.mcc001.3gppnetwork.org";
/// How long a process may take to listen.
pub const START_MAX: Duration = Duration::from_secs(20);
/// How long a command may take.
const IMS_MAX: Duration = Duration::from_secs(60);
