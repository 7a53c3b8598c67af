//! What people look at in a terminal: our own screens, and sngrep with what it gets of us.

use crate::{called, text};
use carillon_tests::binaries::binary;
use carillon_tests::lab::Lab;
use carillon_tests::{find, needs};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

/// A terminal of its own, as a person has one.
struct Tmux<'l>(&'l Lab);

impl Tmux<'_> {
    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new(find("tmux").expect("needed by the test"));
        command.arg("-S").arg(self.0.folder().join("tmux")).args(words).env("LC_ALL", "C.UTF-8");
        let output = command.output().expect("tmux runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Begins with a command.
    fn run(&self, command: &str) {
        self.tmux(&["-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", "200", "-y", "60", command]);
    }

    /// Presses keys, and waits until the screen shows all of it.
    fn shows(&self, keys: &[&str], wanted: &[&str]) -> String {
        self.tmux(&[&["send-keys", "-t", "t"], keys].concat());
        for _ in 0..200 {
            let screen = self.tmux(&["capture-pane", "-p", "-t", "t"]);
            if wanted.iter().all(|text| screen.contains(text)) {
                return screen;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("after {keys:?}, not {wanted:?}:\n{}", self.tmux(&["capture-pane", "-p", "-t", "t"]));
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        // sngrep outlives its terminal.
        let process = self.tmux(&["display-message", "-p", "-t", "t", "#{pane_pid}"]);
        if let Ok(process) = process.trim().parse::<u32>() {
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        }
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn a_person_finds_a_call_by_keys_and_sees_what_a_hop_has_changed() {
    if !needs("tmux") {
        return;
    }
    let lab = called();
    let tmux = Tmux(&lab);
    let command = format!(
        "exec {} ladder --interactive --config {}",
        binary("ims").display(),
        lab.config_file().display()
    );
    tmux.run(&command);
    let list = tmux.shows(&[], &[" call ", " registration ", "Esc leave"]);
    // The call stands after the two registrations and what follows from them.
    let line = list.lines().skip(2).position(|line| line.contains(" call ")).expect("a call");
    let mut down = vec!["Down"; line];
    down.push("Enter");
    tmux.shows(&down, &["P-CSCF", "S-CSCF", "HSS", "Gm  INVITE", "Cx  LIR", "200 OK (BYE)"]);
    tmux.shows(&["Enter"], &["INVITE sip:", "Max-Forwards: 70", "Esc back"]);
    tmux.shows(&["Escape"], &["Space mark"]);
    let invite = tmux.tmux(&["capture-pane", "-p", "-t", "t"]);
    let rows: Vec<_> = invite.lines().skip(2).collect();
    let next = rows.iter().skip(1).position(|line| line.contains("Mw  INVITE")).expect("the next hop") + 1;
    let mut keys = vec!["Space"];
    keys.extend(vec!["Down"; next]);
    keys.push("Enter");
    tmux.shows(&keys, &["+ Via: ", "- Max-Forwards: 70", "+ Max-Forwards: 69", "+ P-Charging-Vector: "]);
    tmux.shows(&["Escape"], &["Space mark"]);
}

/// Debian's sngrep is sent everything as HEP3, and lists as many messages, each of which it could read.
pub fn sngrep_counts_the_same(lab: &Lab, rows: &[serde_json::Value]) {
    if !needs("tmux") || !needs("sngrep") {
        return;
    }
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let tmux = Tmux(lab);
    let sngrep = find("sngrep").expect("needed above");
    tmux.run(&format!("exec {} --no-config -L udp:{free}", sngrep.display()));
    // It listens to this alone, and captures nothing on the way.
    tmux.shows(&[], &[&format!("Online [L:{}]", free.port()), "Dialogs: 0"]);
    lab.ims(&["trace", "send", "--to", &format!("hep:udp:{free}")]).expect("`ims` succeeds");
    let sip: Vec<_> = rows.iter().filter(|row| text(row, "protocol") == "SIP").collect();
    let mut counted = 0;
    let mut screen = String::new();
    for _ in 0..200 {
        screen = tmux.shows(&[], &[" INVITE "]);
        // [ ] 1 INVITE from to messages ...
        let count = |line: &str| line.split_whitespace().nth(6)?.parse::<usize>().ok();
        counted = screen.lines().filter(|line| line.trim_start().starts_with("[ ] ")).filter_map(count).sum();
        if counted == sip.len() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("sngrep has {counted} of {}:\n{screen}", sip.len());
}
