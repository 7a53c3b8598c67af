//! Two phones on one wire, and a registrar in the place of the whole network.
//!
//! REGISTER goes to the registrar. Everything else goes to the other phone, as it stands: a core that does nothing.

#![allow(dead_code, reason = "each test file uses a part of it")]

use ambient::{Entropy, Now};
use cscf::flow::{Flow, Hop, Local, Side, Source, Transport, Trust};
use cscf::node::Setup;
use cscf::resolve::StaticNames;
use cscf::{Event, Input, Node, Output, ShardId};
use ims_aka::{AkaAlgorithm, AkaNonce, Algorithm, Key, Opc, Qop, Sqn, Usim};
use sip_core::{Limits, Message, Name, Status};
use std::net::SocketAddr;
use std::time::Duration;
use ue::{Command, Notice, Ue, UeConfig};

pub const HOME: &str = "ims.mnc001.mcc001.3gppnetwork.org";

/// What the registrar does with the next REGISTERs.
#[derive(Clone, Debug)]
pub struct Registrar {
    pub algorithm: Algorithm,
    pub sqn: Sqn,
    /// The challenge that waits for its answer, by Call-ID.
    outstanding: Option<(String, AkaNonce)>,
    pub expires_s: u32,
    /// Responses to give instead, in order: status line and header lines.
    pub scripted: Vec<String>,
    /// Whether the next challenge has a broken MAC.
    pub forges_mac: bool,
}

impl Registrar {
    fn new() -> Registrar {
        Registrar {
            algorithm: algorithm(),
            sqn: Sqn::from_parts(100, 0),
            outstanding: None,
            expires_s: 600_000,
            scripted: Vec::new(),
            forges_mac: false,
        }
    }

    fn answer(&mut self, request: &Message) -> String {
        if !self.scripted.is_empty() {
            return self.scripted.remove(0);
        }
        let authorization = text(request.first(Name::Authorization).unwrap_or_default());
        let call_id = text(request.call_id());
        if let Some(auts) = param(&authorization, "auts") {
            let (_, nonce) = self.outstanding.take().expect("AUTS answers a challenge");
            let auts = ims_aka::aka_digest::decode_auts(auts.as_bytes()).expect("14 octets");
            self.sqn = self.algorithm.resync(&nonce.rand, &auts).expect("the card's own AUTS").next();
            return self.challenge(call_id);
        }
        match self.outstanding.take() {
            Some((challenged, nonce))
                if challenged == call_id && param(&authorization, "response").is_some() =>
            {
                let vector = self.algorithm.vector(nonce.rand, self.sqn, [0x80, 0]);
                let username = param(&authorization, "username").unwrap_or_default();
                let ha1 = AkaAlgorithm::V1Md5.ha1(
                    username.as_bytes(),
                    HOME.as_bytes(),
                    &vector.xres,
                    &vector.ck,
                    &vector.ik,
                );
                let uri = format!("sip:{HOME}");
                let expected =
                    ha1.response(b"REGISTER", uri.as_bytes(), nonce.encode().as_bytes(), Qop::None);
                if param(&authorization, "response").as_deref() == Some(expected.as_str()) {
                    return self.granted(request);
                }
                "403 Forbidden\n".to_owned()
            }
            _ => self.challenge(call_id),
        }
    }

    fn challenge(&mut self, call_id: String) -> String {
        self.sqn = self.sqn.next();
        let vector = self.algorithm.vector([9; 16], self.sqn, [0x80, 0]);
        let mut nonce = AkaNonce::new(vector.rand, vector.autn);
        if self.forges_mac {
            nonce.autn[15] ^= 1;
        }
        let line = format!(
            "401 Unauthorized\nWWW-Authenticate: Digest realm=\"{HOME}\",nonce=\"{}\",algorithm=AKAv1-MD5\n",
            nonce.encode()
        );
        self.outstanding = Some((call_id, nonce));
        line
    }

    fn granted(&self, request: &Message) -> String {
        let contact = text(request.first(Name::Contact).unwrap_or_default());
        if contact.contains("expires=0") || contact == "*" {
            return "200 OK\n".to_owned();
        }
        let user = text(request.to().expect("To").uri()).replace("sip:", "");
        let user = user.split('@').next().unwrap_or_default();
        format!(
            "200 OK\nContact: {contact};expires={}\nService-Route: <sip:orig@scscf.{HOME};lr>\n\
             Path: <sip:token@pcscf.{HOME};lr>\nP-Associated-URI: <sip:{user}@{HOME}>, <tel:+4930{user}>\n",
            self.expires_s
        )
    }
}

fn algorithm() -> Algorithm {
    Algorithm::milenage(&Key::new([7; 16]), Opc(Key::new([9; 16])))
}

/// Whether a message of this sender is lost.
pub type Losses = Box<dyn FnMut(usize, &str) -> bool>;

/// Two phones, alice and bob.
pub struct Phones {
    pub nodes: [Node<Ue>; 2],
    pub now: Now,
    pub registrar: Registrar,
    /// Everything that left, in order: who sent it, and the text with bare line feeds.
    pub log: Vec<(usize, String)>,
    pub notices: [Vec<Notice>; 2],
    /// Says of each message whether it is lost: sender, text.
    pub loses: Losses,
}

pub const ALICE: usize = 0;
pub const BOB: usize = 1;

pub fn bob() -> String {
    format!("sip:bob@{HOME}")
}

fn address(phone: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, phone as u8 + 1], 5060))
}

fn pcscf() -> Hop {
    Hop { transport: Transport::Udp, remote: SocketAddr::from(([10, 0, 0, 9], 5060)) }
}

impl Phones {
    pub fn new() -> Phones {
        Phones::configured(|_, _| ())
    }

    pub fn configured(change: impl Fn(usize, &mut UeConfig)) -> Phones {
        let node = |phone: usize, name: &str| {
            let mut config = UeConfig::new(
                format!("{name}@{HOME}"),
                format!("sip:{name}@{HOME}"),
                HOME,
                Usim::new(algorithm()),
                pcscf(),
            );
            change(phone, &mut config);
            let local = Local { side: Side::Access, transport: Transport::Udp, address: address(phone) };
            Node::new(
                Ue::new(config),
                Setup::new(vec![local], StaticNames::default(), Entropy::seeded(phone as u64)),
            )
        };
        Phones {
            nodes: [node(ALICE, "alice"), node(BOB, "bob")],
            now: Now::default(),
            registrar: Registrar::new(),
            log: Vec::new(),
            notices: [Vec::new(), Vec::new()],
            loses: Box::new(|_, _| false),
        }
    }

    /// Both phones registered.
    pub fn registered(change: impl Fn(usize, &mut UeConfig)) -> Phones {
        let mut phones = Phones::configured(change);
        phones.command(ALICE, Command::Register);
        phones.command(BOB, Command::Register);
        assert!(phones.nodes.iter().all(|node| node.role().is_registered()));
        phones.log.clear();
        phones.notices = [Vec::new(), Vec::new()];
        phones
    }

    pub fn command(&mut self, phone: usize, command: Command) {
        self.nodes[phone].handle(self.now, Input::Event(Event::Command(command)));
        self.settle();
    }

    /// Hands a message to a phone: the start line and headers with bare line feeds, no body.
    pub fn deliver(&mut self, phone: usize, text: &str) {
        self.receive(phone, text.replace('\n', "\r\n").into_bytes(), pcscf().remote);
        self.settle();
    }

    /// Lets time pass, and every timer fire when it is due.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now.after(time);
        loop {
            let due = self.nodes.iter().filter_map(Node::next_timeout).map(|(at, _)| at).min();
            match due {
                Some(at) if at <= end.instant => {
                    self.now = self.now.after(at.since(self.now.instant));
                    for phone in [ALICE, BOB] {
                        self.nodes[phone].handle(self.now, Input::Timeout);
                    }
                    self.settle();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// The start lines of what left since the log was last cleared: `>` from alice, `<` from bob.
    pub fn ladder(&self) -> Vec<String> {
        self.log
            .iter()
            .map(|(phone, text)| {
                let line = text.lines().next().unwrap_or_default();
                let what = match line.strip_prefix("SIP/2.0 ") {
                    Some(status) => {
                        let method =
                            text.lines().find_map(|line| line.strip_prefix("CSeq: ")?.split(' ').nth(1));
                        format!(
                            "{} {}",
                            status.split(' ').next().unwrap_or_default(),
                            method.unwrap_or_default()
                        )
                    }
                    None => line.split(' ').next().unwrap_or_default().to_owned(),
                };
                format!("{} {what}", if *phone == ALICE { '>' } else { '<' })
            })
            .collect()
    }

    /// The last message that a phone sent whose first line starts so.
    pub fn last(&self, phone: usize, start: &str) -> &str {
        let found = self.log.iter().rev().find(|(sender, text)| *sender == phone && text.starts_with(start));
        found.map_or_else(|| panic!("{phone} never sent {start}: {:?}", self.ladder()), |(_, text)| text)
    }

    fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            for phone in [ALICE, BOB] {
                while let Some(output) = self.nodes[phone].poll_output() {
                    is_quiet = false;
                    self.output(phone, output);
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    fn output(&mut self, phone: usize, output: Output<Ue>) {
        let bytes = match output {
            Output::Send { bytes, .. } => bytes,
            Output::Notice(notice) => return self.notices[phone].push(notice),
            other => panic!("a UE asks for nothing else: {other:?}"),
        };
        let text = text(&bytes).replace("\r\n", "\n");
        self.log.push((phone, text.clone()));
        if (self.loses)(phone, &text) {
            return;
        }
        let message =
            Message::parse(bytes.clone(), &Limits::default()).expect("a UE sends well-formed messages");
        if message.is_request() {
            message.check().expect("a UE sends complete requests");
        }
        if text.starts_with("REGISTER ") {
            let answer = self.registrar.answer(&message);
            let response = response(&message, &answer);
            self.receive(phone, response, pcscf().remote);
        } else {
            self.receive(1 - phone, bytes, address(phone));
        }
    }

    fn receive(&mut self, phone: usize, bytes: Vec<u8>, remote: SocketAddr) {
        let source = Source {
            flow: Flow { shard: ShardId(0), slot: 0, generation: 0 },
            transport: Transport::Udp,
            local: address(phone),
            remote,
            trust: Trust::Outside,
            secured: None,
        };
        self.nodes[phone].handle(self.now, Input::Message { source, bytes });
    }
}

/// A response to a request: status line and header lines as given.
fn response(request: &Message, answer: &str) -> Vec<u8> {
    let (status, headers) = answer.split_once('\n').expect("a status line");
    let mut out = format!("SIP/2.0 {status}\r\n");
    for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
        let value = text(request.first(name).unwrap_or_default());
        let tag = if name == Name::To { ";tag=registrar" } else { "" };
        out.push_str(&format!("{}: {value}{tag}\r\n", name.as_str()));
    }
    out.push_str(&headers.replace('\n', "\r\n"));
    out.push_str("Content-Length: 0\r\n\r\n");
    out.into_bytes()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A parameter of a Digest value, without its quotes; `None` when absent or empty.
pub fn param(value: &str, name: &str) -> Option<String> {
    let rest = value.split([',', ' ']).find_map(|param| param.strip_prefix(name)?.strip_prefix('='))?;
    let rest = rest.trim_matches('"');
    (!rest.is_empty()).then(|| rest.to_owned())
}

pub fn status(code: u16) -> Status {
    Status::new(code).expect("a status code")
}
