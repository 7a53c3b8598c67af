//! A machine that counts, commanded over its socket.

use super::*;
use crate::clock::{Clock, system_entropy};
use crate::driver::{Driver, Handle, Setup};
use crate::sockets::Sockets;
use ambient::{Instant as MachineInstant, Now};
use cscf::config::Config;
use cscf::identity::Plmn;
use cscf::station::{Machine, Operated, WireInput, WireOutput};
use cscf::trace;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// Adds what it is told to; above 9 it says nothing.
#[derive(Default)]
struct Counter {
    sum: u32,
    notices: Vec<u32>,
    is_stopping: bool,
}

impl Machine for Counter {
    fn handle(&mut self, _: Now, input: WireInput) {
        self.is_stopping |= matches!(input, WireInput::Drain);
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        None
    }

    fn next_timeout(&self) -> Option<(MachineInstant, &'static str)> {
        None
    }

    fn is_drained(&self) -> bool {
        self.is_stopping
    }
}

impl Operated for Counter {
    type Command = u32;
    type Notice = u32;

    fn command(&mut self, _: Now, command: u32) {
        self.sum += command;
        // Something that nobody has asked for comes first.
        self.notices.extend([self.sum, 1000]);
    }

    fn poll_notice(&mut self) -> Option<u32> {
        self.notices.pop()
    }

    fn set_trace(&mut self, _: bool) {}

    fn poll_trace(&mut self) -> Option<trace::Event> {
        None
    }
}

const WORDING: Wording<u32, u32> = Wording {
    help: &["a number"],
    read: |line| line.parse().map_err(|_| format!("{line:?} is no number")),
    tell: |_, given, sum| {
        (*sum < 1000).then(|| Reply::done([format!("{sum} after {given}"), "and no more".to_owned()]))
    },
};

struct Lab {
    directory: TempDir,
    handle: Handle<u32, u32>,
    control: Control,
}

impl Lab {
    fn new() -> Lab {
        let sockets = Sockets::bind([]).unwrap();
        let setup = Setup::new(sockets, Clock::start(), system_entropy().unwrap());
        let mut handle = Driver::spawn("counter", Counter::default(), setup).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let control = open(&directory.path().join("run"), &mut handle).unwrap();
        Lab { directory, handle, control }
    }

    fn ask(&self, line: &str) -> Result<Reply, Unanswered> {
        ask(self.control.path(), line, Duration::from_secs(10))
    }
}

fn ask(path: &Path, line: &str, within: Duration) -> Result<Reply, Unanswered> {
    Connection::open(path, within)?.ask(line)
}

fn open(directory: &Path, handle: &mut Handle<u32, u32>) -> Result<Control, ControlError> {
    let reload = Arc::new(Reload::new(Arc::new(Config::lab(&Plmn::test())), None));
    ControlSocket::bind(directory, "counter")?.serve(handle.operator(), WORDING, reload)
}

#[test]
fn a_line_is_a_command_and_its_notice_is_the_reply() {
    let lab = Lab::new();
    let reply = |text: &str| Ok(Reply::done([text.to_owned(), "and no more".to_owned()]));
    assert_eq!(lab.ask("3"), reply("3 after 1"));
    assert_eq!(lab.ask(" 4 "), reply("7 after 2"));
    assert_eq!(lab.ask("three"), Ok(Reply::of(Outcome::Usage("\"three\" is no number".to_owned()))));
    let mut connection = Connection::open(lab.control.path(), Duration::from_secs(10)).unwrap();
    assert_eq!(connection.ask("1"), reply("8 after 3"));
    assert_eq!(connection.ask("1"), reply("9 after 4"), "on the same connection");
    drop(connection);
    assert_eq!(
        lab.ask("help").unwrap().lines,
        ["a number", "counters", "recorded SHARD AFTER", "log FILTER | configured", "reload", "help"]
    );
    assert!(matches!(lab.ask("reload").unwrap().outcome, Outcome::Failed(_)), "there is no file");
}

#[test]
fn several_lines_of_one_connection_are_answered_in_turn() {
    let lab = Lab::new();
    let mut stream = UnixStream::connect(lab.control.path()).unwrap();
    stream.write_all(b"1\n2\nx\xff\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(
        text,
        "| 1 after 1\n| and no more\ndone\n| 3 after 2\n| and no more\ndone\nusage the line is not UTF-8\n"
    );
}

#[test]
fn a_line_without_end_costs_a_bounded_buffer_and_the_next_is_served() {
    let lab = Lab::new();
    let mut stream = UnixStream::connect(lab.control.path()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let flood = vec![b'9'; 2 * LINE_MAX];
    assert!(stream.write_all(&flood).is_err(), "the connection is closed");
    assert!(lab.ask("1").is_ok());
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_process() {
    let lab = Lab::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = lab.control.path().to_owned();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    drop(lab.control);
    assert!(!path.exists());
    assert!(matches!(ask(&path, "1", Duration::from_secs(1)), Err(Unanswered::Unreachable(_))));
    lab.handle.stop().unwrap();
}

#[test]
fn a_socket_that_a_crash_left_is_replaced_and_one_in_use_is_not() {
    let mut lab = Lab::new();
    let directory = lab.directory.path().join("run");
    let error = open(&directory, &mut lab.handle).unwrap_err().to_string();
    assert!(error.contains("another process") && error.contains("control.path"), "{error}");
    let left = lab.directory.path().join("left");
    std::fs::create_dir(&left).unwrap();
    drop(UnixListener::bind(socket_path(&left, "counter")).unwrap());
    let mut other = Lab::new();
    assert!(open(&left, &mut other.handle).is_ok());
}

#[test]
fn a_directory_that_others_can_write_to_is_refused_at_both_ends() {
    let mut lab = Lab::new();
    let open_to_all = lab.directory.path().join("open");
    std::fs::create_dir(&open_to_all).unwrap();
    std::fs::set_permissions(&open_to_all, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(open(&open_to_all, &mut lab.handle).is_err());
    let path = socket_path(&open_to_all, "counter");
    let _trap = UnixListener::bind(&path).unwrap();
    assert!(matches!(ask(&path, "1", Duration::from_secs(1)), Err(Unanswered::Unreachable(_))));
}

#[test]
fn a_machine_that_has_stopped_is_out_of_reach() {
    let Lab { directory: _directory, handle, control } = Lab::new();
    handle.stop().unwrap();
    let reply = ask(control.path(), "1", Duration::from_secs(10)).unwrap();
    assert!(matches!(reply.outcome, Outcome::Unreachable(_)), "{reply}");
}
