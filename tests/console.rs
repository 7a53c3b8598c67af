//! The web console in a browser: Debian's Chromium, driven by playwright-core, which reaches loopback and nothing else.
//!
//! `CARILLON_BLESS=1` writes the pictures of docs/console/ anew.

use carillon_tests::binaries::{binary, top};
use carillon_tests::lab::Lab;
use carillon_tests::process::Process;
use carillon_tests::{find, missing, needs, skip};
use console::api::{
    CriteriaOutcome, CriteriaTry, Explanation, Function, Phone, Registrations, Setting, Subscriber,
};
use console::{Access, Console, Known, Operator, PhoneCommand, Recording, Refusal};
use recorder::{Entry, Message, Node, Protocol, ReferencePoint, Transport, What};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A person calls from the console by the keyboard alone, and sees every message decoded while it happens; 100,000
/// messages scroll; axe has nothing serious to say; nothing is asked of another host.
#[test]
fn a_person_calls_watches_and_reads_in_a_browser() {
    if !needs("node") || !needs("chromium") {
        return;
    }
    let Some(folder) = packages() else { return };
    let lab = Lab::ready_made();
    let mut command = Command::new(binary("ims"));
    command.args(["dev", "--console", "127.0.0.1:0", "--config"]).arg(lab.config_file());
    let mut dev = Process::start("ims", &mut command, lab.folder());
    dev.wait_for_output("Console: http://127.0.0.1:", Duration::from_secs(60));
    let told = dev.output();
    let url =
        told.split("Console: ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    let (_many, many) = many_messages();

    let pictures = match std::env::var_os("CARILLON_BLESS") {
        Some(_) => top().join("docs/console"),
        None => folder.join("pictures"),
    };
    fs::create_dir_all(&pictures).expect("a folder for pictures");
    let chromium = find("chromium").expect("it is there");
    let mut browser = Command::new("node");
    browser.current_dir(&folder).arg("browser.mjs").arg(url).arg(&many).arg(&pictures).arg(chromium);
    let ended = browser.output().expect("node runs");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    println!("{said}");
    assert!(ended.status.success(), "{said}\n{}", dev.output());
    dev.signal("TERM");
    assert!(dev.wait(Duration::from_secs(20)).success(), "{}", dev.output());
}

/// The packages of the test, by the committed lock, beside what cargo builds.
fn packages() -> Option<PathBuf> {
    if find("npm").is_none() {
        missing("npm is not installed (tests/packages.txt lists its package)");
        return None;
    }
    let source = top().join("console/browser");
    let folder = binary("ims").parent().expect("a folder").join("console-browser");
    fs::create_dir_all(&folder).expect("a folder");
    let lock = fs::read_to_string(source.join("package-lock.json")).expect("a lock");
    let is_new = fs::read_to_string(folder.join("installed")).ok().as_deref() != Some(&lock);
    for file in ["package.json", "package-lock.json", "browser.mjs"] {
        fs::copy(source.join(file), folder.join(file)).expect("a file of the test");
    }
    if is_new {
        let words = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        let installed = Command::new("npm").args(words).current_dir(&folder).output().expect("npm runs");
        if !installed.status.success() {
            // What the registry that npm is configured for does not give is nothing that a package of Debian brings.
            skip(&format!("npm ci: {}", String::from_utf8_lossy(&installed.stderr)));
            return None;
        }
        fs::write(folder.join("installed"), lock).expect("a file");
    }
    Some(folder)
}

/// A console of a core that has sent a hundred thousand messages, and its address.
fn many_messages() -> (Console, String) {
    let phone =
        |number: usize| Node { function: recorder::Function::Ue, name: format!("user{:03}", number % 500) };
    let pcscf = Node { function: recorder::Function::Pcscf, name: String::new() };
    let listens = "127.0.0.10:5060".parse().expect("an address");
    let recording = Recording::new(Known { addresses: vec![(listens, pcscf)], hosts: vec![] });
    recording.push((0..MANY).map(|number| {
        let micros = number as u64 * 100;
        let text = format!(
            "OPTIONS sip:p.home1.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK{number}\r\nFrom: <sip:user{:03}@home1.net>;tag=1\r\nTo: <sip:p.home1.net>\r\nCall-ID: many-{}\r\nCSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n",
            number % 500,
            number / 10,
        );
        let message = Message {
            sent: true,
            protocol: Protocol::Sip,
            transport: Transport::Udp,
            interface: ReferencePoint::Gm,
            local: ([127, 0, 0, 1], 10_000 + (number % 500) as u16).into(),
            remote: listens,
            security: None,
            bytes: text.into_bytes(),
        };
        let wall = ambient::Wall::from_millis(1_700_000_000_000 + micros / 1000);
        let at = ambient::Now { instant: ambient::Instant::from_micros(micros), wall };
        Entry { sequence: 0, at, node: phone(number), what: What::Message(message) }
    }));
    assert_eq!(recording.last(), MANY as u64);
    let access = Access::of_this_host();
    let console = Console::serve(([127, 0, 0, 1], 0).into(), access, Arc::new(recording), Arc::new(Nobody));
    let console = console.expect("a console");
    let url = console.url();
    (console, url)
}

const MANY: usize = 100_000;

/// A core that does nothing.
struct Nobody;

impl Operator for Nobody {
    fn network(&self) -> (String, String) {
        ("home1.net".to_owned(), "001/01".to_owned())
    }

    fn functions(&self) -> Vec<Function> {
        Vec::new()
    }

    fn subscribers(&self) -> Vec<Subscriber> {
        Vec::new()
    }

    fn registrations(&self) -> Result<Registrations, Refusal> {
        Ok(Registrations::default())
    }

    fn phones(&self) -> Vec<Phone> {
        Vec::new()
    }

    fn command(&self, phone: &str, _: PhoneCommand) -> Result<(), Refusal> {
        Err(Refusal::Unknown(format!("there is no {phone}")))
    }

    fn criteria(&self, _: &CriteriaTry) -> Result<CriteriaOutcome, Refusal> {
        Err(Refusal::Unknown("there is nobody".to_owned()))
    }

    fn configuration(&self) -> Vec<Setting> {
        Vec::new()
    }

    fn explain(&self, _: &[Entry]) -> Option<Explanation> {
        None
    }
}
