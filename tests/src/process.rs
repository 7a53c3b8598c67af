//! A program that a test runs: its output is kept, and it dies with the test.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running program, in a process group of its own.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`; what it prints goes to `name`.log in `folder`.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Process {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).expect("a log in the scratch folder");
        let errors = file.try_clone().expect("a second handle of the log");
        let child = command
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {:?}: {error}", command.get_program()));
        Process { name: name.to_owned(), child, log, ended: None }
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child of ours");
        }
        self.ended
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < until, "{} runs on after {within:?}:\n{}", self.name, self.output());
            std::thread::sleep(POLL);
        }
    }

    /// Waits until it has printed `text`.
    pub fn wait_for_output(&mut self, text: &str, within: Duration) {
        self.wait_until(within, &format!("printed {text:?}"), |process| process.output().contains(text));
    }

    /// Waits until somebody accepts connections at `address`.
    pub fn wait_for_port(&mut self, address: SocketAddr, within: Duration) {
        self.wait_until(within, &format!("listened at {address}"), |_| {
            TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
        });
    }

    /// Waits until a UDP socket is bound to `address`, without sending to it.
    pub fn wait_for_udp_port(&mut self, address: SocketAddr, within: Duration) {
        let IpAddr::V4(host) = address.ip() else { panic!("{address}: only /proc/net/udp is read") };
        // A local address stands there as the octets of the host as a number of this machine, then the port.
        let host = u32::from_ne_bytes(host.octets());
        let entry = format!(" {host:08X}:{:04X} ", address.port());
        self.wait_until(within, &format!("bound UDP {address}"), |_| {
            fs::read_to_string("/proc/net/udp").is_ok_and(|table| table.contains(&entry))
        });
    }

    fn wait_until(&mut self, within: Duration, what: &str, is_so: impl Fn(&Process) -> bool) {
        let until = Instant::now() + within;
        while !is_so(self) {
            let ended = self.ended();
            assert!(
                ended.is_none() && Instant::now() < until,
                "{} has not {what} ({}):\n{}",
                self.name,
                ended.map_or("it runs on".to_owned(), |status| status.to_string()),
                self.output()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal to it (`TERM`, `INT`), not to its children.
    pub fn signal(&mut self, signal: &str) {
        if self.ended().is_none() {
            send(signal, &self.child.id().to_string());
        }
    }

    /// Kills it and its children at once, as a crash would.
    pub fn kill(&mut self) {
        send("KILL", &format!("-{}", self.child.id()));
        self.ended = self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group outlives its leader when a child of it hangs.
        self.kill();
        if std::thread::panicking() {
            eprintln!("---- {} ----\n{}", self.name, self.output());
        }
    }
}

fn send(signal: &str, to: &str) {
    let mut shell = Command::new("sh");
    // The shell's own `kill`: nothing more has to be installed.
    shell.args(["-c", &format!("kill -s {signal} -- {to}")]).stdin(Stdio::null()).stderr(Stdio::null());
    let _ = shell.status();
}

const POLL: Duration = Duration::from_millis(20);
