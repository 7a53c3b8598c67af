//! The console of a real core on free ports: what it answers about it, and that no answer has a key in it.

use super::*;
use crate::core::{CoreSockets, Tracing};
use cscf::identity::Plmn;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// Keys of the built-in subscribers, as any view would print them.
const KEYS: [&str; 4] = [
    "465b5ce8b199b49faa5f0a2ee238a6bc",
    "cd63cb71954a9f4e48a5994e37a02baf",
    "0396eb317b6d1c36f19c1c84cd6ffd16",
    "53c15671c60a4b731c55b4a441c0bde2",
];

struct Lab {
    core: Core,
    served: Served,
    _control: Vec<shell::Control>,
    _folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Lab {
        Lab::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Lab {
        let (sockets, lab) = CoreSockets::free().expect("free ports");
        let mut config = Config::lab_at(&Plmn::test(), &lab);
        let folder = tempfile::tempdir().expect("a folder");
        config.control.path = Some(folder.path().to_owned());
        change(&mut config);
        let config = Arc::new(config);
        let roster = Roster::built_in(&config.home);
        let clock = Clock::start();
        let mut core = Core::start(config.clone(), &roster, sockets, clock, Tracing::On).expect("a core");
        core.wait_for_hss(Duration::from_secs(20)).expect("an HSS");
        let control = core.operate(folder.path(), None).expect("control sockets");
        let served = Served::start(([127, 0, 0, 1], 0).into(), &config, clock).expect("a console");
        Lab { core, served, _control: control, _folder: folder }
    }

    /// Lets things happen until `is_so`.
    fn until(&mut self, what: &str, is_so: impl Fn(&Lab) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !is_so(self) {
            assert!(Instant::now() < end, "{what} never came to be: {:?}", self.state("alice"));
            self.served.look(&mut self.core);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn state(&self, name: &str) -> String {
        let phones = Operator::phones(&*self.served.desk);
        phones.into_iter().find(|phone| phone.name == name).map_or_else(String::new, |phone| phone.state)
    }

    fn get(&self, path: &str) -> String {
        let (status, body) =
            self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.served.console.address()), "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn post(&self, path: &str, json: &str) -> (u16, String) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n",
            self.served.console.address()
        );
        self.ask(&head, json)
    }

    fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.served.console.address()).expect("a console");
        let text = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).expect("a request");
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("an answer");
        let status = told.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, told.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    fn stop(self) {
        let Lab { mut core, served, .. } = self;
        served.desk.phones().switch_off();
        drop(core.take_events());
        drop(served);
        core.stop().expect("a core that stops in good order");
    }
}

/// No K, OPc, CK, IK, RES or password in an answer; everything is asked for and looked through.
#[test]
fn a_call_is_told_by_every_answer_and_no_answer_has_a_key() {
    let mut lab = Lab::new();
    assert_eq!(lab.post("/api/phones/bob/register", "{}").0, 200);
    lab.until("bob registered", |lab| lab.state("bob") == "registered");
    // Alice registers first, and calls then.
    assert_eq!(lab.post("/api/phones/alice/call", "{\"to\":\"bob\"}").0, 200);
    lab.until("alice talking", |lab| lab.state("alice") == "talking");
    let registrations = lab.get("/api/registrations");
    assert!(
        registrations.contains("sip:001010000000001@") && registrations.contains("expires_s"),
        "{registrations}"
    );
    assert_eq!(lab.post("/api/phones/alice/hangup", "{}").0, 200);
    lab.until("alice hung up", |lab| lab.state("alice") == "registered");
    assert_eq!(lab.post("/api/phones/alice/text", "{\"to\":\"+49301000002\",\"text\":\"Hello Bob\"}").0, 200);
    lab.until("the text", |lab| lab.get("/api/phones").contains("Hello Bob"));
    lab.until("the stories", |lab| lab.get("/api/stories?kind=text&state=done").contains("\"count\":1"));
    let ended = lab.get("/api/stories?kind=call&state=ended");
    assert!(ended.contains("\"count\":1"), "{ended}");

    let mut answers = vec![registrations, ended];
    for path in ["overview", "subscribers", "registrations", "stories", "failures", "phones", "configuration"]
    {
        answers.push(lab.get(&format!("/api/{path}")));
    }
    let stories = lab.served_stories();
    assert!(stories >= 4, "two registrations, a call and a text: {stories}");
    for story in 1..=stories {
        answers.push(lab.get(&format!("/api/stories/{story}")));
    }
    let recorded = lab.served_last();
    for sequence in 1..=recorded {
        answers.push(lab.get(&format!("/api/messages/{sequence}")));
    }
    for offset in (0..recorded).step_by(500) {
        answers.push(lab.get(&format!("/api/messages?offset={offset}&limit=500")));
    }
    let tried =
        lab.post("/api/criteria", "{\"subscriber\":\"alice\",\"case\":\"orig\",\"method\":\"INVITE\"}");
    assert_eq!(tried.0, 200, "{}", tried.1);
    answers.push(tried.1);

    let all = answers.join("\n").to_lowercase();
    assert!(
        all.contains("confidentiality-key") && all.contains("hidden"),
        "no answer has what a key would be in"
    );
    for key in KEYS {
        assert!(!all.contains(key), "{key} is shown");
    }
    let vectors = vectors(&all);
    assert!(vectors.len() >= 2, "both have been challenged: {}", vectors.len());
    for secret in vectors.iter().flatten() {
        assert!(!all.contains(secret), "RES, CK or IK is shown");
    }
    let registered = lab.get("/api/stories?kind=registration");
    assert!(registered.contains("\"state\":\"registered\""), "{registered}");
    lab.stop();
}

#[test]
fn what_cannot_be_done_is_refused_in_words_and_other_origins_are_not_let_in() {
    let lab = Lab::new();
    let (status, told) = lab.post("/api/phones/nobody/register", "{}");
    assert!(status == 404 && told.contains("no subscriber is called nobody"), "{status} {told}");
    let (status, told) = lab.post("/api/phones/alice/hangup", "{}");
    assert!(status == 422 && told.contains("switched off"), "{status} {told}");
    let (status, told) =
        lab.post("/api/criteria", "{\"subscriber\":\"alice\",\"case\":\"x\",\"method\":\"INVITE\"}");
    assert!(status == 422 && told.contains("a case is"), "{status} {told}");
    // What a form of another page can send: no JSON, or another Host.
    let host = lab.served.console.address();
    let form =
        format!("POST /api/phones/alice/register HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n");
    assert_eq!(lab.ask(&form, "{}").0, 415);
    let (status, told) = lab.ask("GET /api/overview HTTP/1.1\r\nHost: evil.example\r\n", "");
    assert!(status == 403 && !told.contains("functions"), "{status} {told}");
    // What a browser says of a page of another site, which would send JSON to our own address.
    let foreign = format!(
        "POST /api/phones/alice/register HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\nContent-Type: application/json\r\n"
    );
    assert_eq!(lab.ask(&foreign, "{}").0, 403);
    assert_eq!(lab.state("alice"), "off");
    lab.stop();
}

#[test]
fn with_privacy_no_answer_has_a_whole_identity() {
    let mut lab = Lab::with(|config| config.recorder.privacy = true);
    assert_eq!(lab.post("/api/phones/bob/register", "{}").0, 200);
    lab.until("bob registered", |lab| lab.state("bob") == "registered");
    assert_eq!(lab.post("/api/phones/alice/call", "{\"to\":\"bob\"}").0, 200);
    lab.until("alice talking", |lab| lab.state("alice") == "talking");
    lab.until("the stories", |lab| lab.get("/api/stories?kind=call&state=talking").contains("\"count\":1"));
    let mut answers: Vec<String> =
        ["overview", "subscribers", "registrations", "stories", "failures", "phones", "configuration"]
            .iter()
            .map(|path| lab.get(&format!("/api/{path}")))
            .collect();
    for sequence in 1..=lab.served_last() {
        answers.push(lab.get(&format!("/api/messages/{sequence}")));
    }
    for story in 1..=lab.served_stories() {
        answers.push(lab.get(&format!("/api/stories/{story}")));
    }
    answers.push(lab.get("/api/messages?limit=500"));
    let all = answers.join("\n");
    assert!(all.contains("0************01"), "shortened, and still to be told apart");
    for identity in ["00101000000000", "49301000001", "49301000002", "alice@", "bob@"] {
        let shown = all.find(identity).map(|at| &all[at.saturating_sub(80)..(at + 80).min(all.len())]);
        assert_eq!(shown, None, "{identity} is shown");
    }
    lab.stop();
}

impl Lab {
    fn served_stories(&self) -> u64 {
        let told = self.get("/api/stories?limit=1");
        number_after(&told, "\"count\":")
    }

    fn served_last(&self) -> u64 {
        let told = self.get("/api/overview");
        number_after(&told, "\"last\":")
    }
}

/// RES, CK and IK of every challenge that the answers tell of, computed anew from the keys of whose it is.
fn vectors(answers: &str) -> Vec<[String; 3]> {
    let cards = [(KEYS[0], KEYS[1]), (KEYS[2], KEYS[3])].map(|(k, opc)| {
        let key = |digits| ims_aka::Key::<16>::from_hex(digits).expect("a key");
        ims_aka::Milenage::new(&key(k), ims_aka::Opc(key(opc)))
    });
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let told = answers.split("\"name\":\"sip-authenticate\",\"value\":\"").skip(1);
    let mut found = Vec::new();
    for digits in told.filter_map(|rest| rest.split('"').next()).filter(|digits| digits.len() == 64) {
        let octet = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("hexadecimal");
        let rand: [u8; 16] = std::array::from_fn(octet);
        let autn: [u8; 16] = std::array::from_fn(|at| octet(16 + at));
        for card in &cards {
            let outputs = card.f2345(&rand);
            let sqn: [u8; 6] = std::array::from_fn(|at| autn[at] ^ outputs.ak.expose()[at]);
            // The MAC tells whose challenge it is.
            if card.f1(&rand, sqn, [autn[6], autn[7]]) == autn[8..] {
                found.push([hex(outputs.res.expose()), hex(outputs.ck.expose()), hex(outputs.ik.expose())]);
            }
        }
    }
    found
}

fn number_after(text: &str, label: &str) -> u64 {
    let rest = text.split(label).nth(1).unwrap_or_else(|| panic!("{label} in {text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn the_password_of_a_database_is_no_part_of_the_configuration_that_is_shown() {
    let text =
        "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[hss]\nstore = \"postgres://ims:s3cret@db.example/hss\"\n";
    let config = Config::parse(text, "lab.toml").expect("a configuration");
    let shown = format!("{:?}", settings(&config));
    assert!(shown.contains("postgres://ims@db.example/hss"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
