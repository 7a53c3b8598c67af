//! A P-CSCF with a UE on one side and the core on the other, both played by hand.

use ambient::{Entropy, Now};
use cscf::assembly::Part;
use cscf::bucket::TokenKey;
use cscf::config::Config;
use cscf::input::{Event, Exit, Input, Output, Ticket};
use cscf::node::{Node, Setup};
use cscf::query::{Record, Secure, SecureFailure, StoreFailure};
use cscf::resolve::StaticNames;
use cscf::{Answer, Flow, Query, QueryId, ShardId, Source, Transport, Trust};
use ipsec::SaSet;
use pcscf::Pcscf;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub const HOME: &str = "ims.mnc001.mcc001.3gppnetwork.org";
pub const PCSCF: &str = "127.0.0.10:5060";
pub const SCSCF: &str = "127.0.0.12:6060";
/// Alice's phone.
pub const ALICE: &str = "10.0.0.1:5060";
/// The Service-Route that the registrar gives.
pub const SERVICE_ROUTE: &str = "sip:mo@127.0.0.12:6060;lr";

/// Something that left: where to, and the text.
pub type Sent = (String, String);

pub struct Bench {
    pub node: Node<Pcscf>,
    pub now: Now,
    /// What the store holds.
    pub store: BTreeMap<Vec<u8>, Vec<u8>>,
    waiting: Vec<(QueryId, Vec<Record>)>,
    /// Whether the store answers by itself.
    pub store_is_quick: bool,
    /// Whether whatever is sent in a transaction fails to leave.
    pub network_is_down: bool,
    /// The sets of security associations that stand, in the order in which they came.
    pub sets: Vec<SaSet>,
    /// Whether the back end of IPsec refuses.
    pub ipsec_is_broken: bool,
    listen: String,
    section: String,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with("")
    }

    /// With more lines in the section of the P-CSCF.
    pub fn with(section: &str) -> Bench {
        Bench::listening(&format!("listen = \"{PCSCF}\""), section)
    }

    /// Listening by this line of the section.
    pub fn listening(listen: &str, section: &str) -> Bench {
        let text = format!(
            "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[pcscf]\n{listen}\nicscf = \"sip:127.0.0.11:4060\"\n{section}\n"
        );
        let config = Config::parse(&text, "bench").unwrap_or_else(|errors| panic!("{errors:?}"));
        let locals = Part::Pcscf.locals(&config);
        let setup = Setup {
            token_key: Some(TokenKey::from_key((1, 2))),
            ..Setup::new(locals, StaticNames::new(), Entropy::seeded(1))
        };
        Bench {
            node: Node::new(Pcscf::new(Arc::new(config)), setup),
            now: Now::default(),
            store: BTreeMap::new(),
            waiting: Vec::new(),
            store_is_quick: true,
            network_is_down: false,
            sets: Vec::new(),
            ipsec_is_broken: false,
            listen: listen.to_owned(),
            section: section.to_owned(),
        }
    }

    /// Another process with the same configuration, key, store and time.
    pub fn restarted(self) -> Bench {
        let mut next =
            Bench { now: self.now, store: self.store, ..Bench::listening(&self.listen, &self.section) };
        let records = next
            .store
            .iter()
            .map(|(key, value)| Record { key: key.clone(), value: Some(value.clone()) })
            .collect();
        next.node.handle(next.now, Input::Event(Event::Restored(records)));
        next.settle();
        next
    }

    pub fn ue_sends(&mut self, remote: &str, text: &str) -> Vec<Sent> {
        self.receive(Trust::Outside, Transport::Udp, remote, text)
    }

    pub fn core_sends(&mut self, text: &str) -> Vec<Sent> {
        self.receive(Trust::Domain, Transport::Udp, SCSCF, text)
    }

    /// What the UE sends through a set of security associations, from its client port to our server port.
    pub fn ue_sends_through(&mut self, set: &SaSet, text: &str) -> Vec<Sent> {
        let local = format!("{}:{}", set.own_ip, set.own_server_port);
        let remote = format!("{}:{}", set.peer_ip, set.peer_client_port);
        self.arrive(
            Source {
                secured: Some(set.own_spi_s),
                ..source(Trust::Outside, Transport::Udp, &local, &remote)
            },
            text,
        )
    }

    pub fn receive(&mut self, trust: Trust, transport: Transport, remote: &str, text: &str) -> Vec<Sent> {
        self.arrive(source(trust, transport, PCSCF, remote), text)
    }

    /// What a UE sends by the TLS connection in a slot of the transport layer.
    pub fn by_tls(&mut self, slot: u32, remote: &str, text: &str) -> Vec<Sent> {
        let source = source(Trust::Outside, Transport::Tls, "127.0.0.10:5061", remote);
        self.arrive(Source { flow: Flow { slot, ..source.flow }, ..source }, text)
    }

    fn arrive(&mut self, source: Source, text: &str) -> Vec<Sent> {
        let bytes = text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
        self.node.handle(self.now, Input::Message { source, bytes });
        self.settle()
    }

    /// Answers what waits for the store.
    pub fn store_answers(&mut self, result: Result<(), StoreFailure>) -> Vec<Sent> {
        for (query, records) in std::mem::take(&mut self.waiting) {
            if result.is_ok() {
                self.keep(records);
            }
            self.node.handle(self.now, Input::Answer { query, answer: Answer::Stored(result.clone()) });
        }
        self.settle()
    }

    pub fn advance(&mut self, by: Duration) -> Vec<Sent> {
        let until = self.now.instant + by;
        let mut sent = Vec::new();
        while let Some((at, _)) = self.node.next_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.after(at.since(self.now.instant));
            self.node.handle(self.now, Input::Timeout);
            sent.extend(self.settle());
        }
        self.now = self.now.after(until.since(self.now.instant));
        sent
    }

    fn keep(&mut self, records: Vec<Record>) {
        for record in records {
            match record.value {
                Some(value) => self.store.insert(record.key, value),
                None => self.store.remove(&record.key),
            };
        }
    }

    fn settle(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { exit, bytes, ticket } => {
                    let to = match exit {
                        Exit::Flow { .. } => "flow".to_owned(),
                        Exit::Secured { set, transport, .. } => format!("{transport} through {set}"),
                        Exit::Hop { hop, .. } => hop.to_string(),
                    };
                    sent.push((to, String::from_utf8(bytes).expect("text")));
                    if self.network_is_down && ticket != Ticket::default() {
                        self.node.handle(self.now, Input::SendFailed { ticket, why: "refused" });
                    }
                }
                Output::Query { id, query: Query::Store(records) } if self.store_is_quick => {
                    self.keep(records);
                    self.node.handle(self.now, Input::Answer { query: id, answer: Answer::Stored(Ok(())) });
                }
                Output::Query { id, query: Query::Store(records) } => self.waiting.push((id, records)),
                Output::Query { id, query: Query::Secure(wish) } => {
                    let answer = Answer::Secured(self.secure(wish));
                    self.node.handle(self.now, Input::Answer { query: id, answer });
                }
                other => panic!("unexpected output {other:?}"),
            }
        }
        sent
    }

    fn secure(&mut self, wish: Secure) -> Result<(), SecureFailure> {
        match wish {
            _ if self.ipsec_is_broken => return Err(SecureFailure("no ESP here".to_owned())),
            Secure::Install(set) | Secure::Adopt(set) => {
                let selectors = |set: &SaSet| set.associations().map(|association| association.selector);
                let clashes =
                    |other: &SaSet| selectors(other).iter().any(|one| selectors(&set).contains(one));
                assert!(
                    !self.sets.iter().any(clashes),
                    "a kernel would refuse the same selector twice: {set:?}"
                );
                self.sets.push(*set);
            }
            Secure::Repeat(_) => {}
            Secure::Remove(set) => self.sets.retain(|other| other.own_spi_s != set.own_spi_s),
        }
        Ok(())
    }

    /// Registers alice, and tells the Path that the registrar was given.
    pub fn register(&mut self) -> String {
        let sent = self.ue_sends(ALICE, &register("r1", CONTACT));
        let path = value(&sent[0].1, "Path");
        let granted = self.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600")));
        assert!(granted[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{granted:?}");
        path
    }

    pub fn is_registered(&self) -> bool {
        !self.node.role().bindings().is_empty()
    }

    /// Whether no transaction is left some time after the last message.
    pub fn settles(&mut self) -> bool {
        self.advance(Duration::from_secs(300));
        self.node.open() == (0, 0, 0)
    }
}

fn source(trust: Trust, transport: Transport, local: &str, remote: &str) -> Source {
    Source {
        flow: Flow { shard: ShardId(0), slot: 1, generation: 0 },
        transport,
        local: local.parse().expect("an address"),
        remote: remote.parse().expect("an address"),
        trust,
        secured: None,
    }
}

pub const CONTACT: &str = "Contact: <sip:alice@10.0.0.1:5060>";

/// A REGISTER of alice; `extra` is header lines without the last line end.
pub fn register(branch: &str, extra: &str) -> String {
    format!(
        "REGISTER sip:{HOME} SIP/2.0\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bK{branch};rport\nMax-Forwards: 70\n\
         From: <sip:alice@{HOME}>;tag=a1\nTo: <sip:alice@{HOME}>\nCall-ID: reg\nCSeq: 1 REGISTER\n{extra}\n\
         Content-Length: 0\n\n"
    )
}

/// The registrar's 200 with these contact lines.
pub fn granted(request: &str, contacts: &str) -> String {
    let extra = format!(
        "{contacts}\nPath: {}\nService-Route: <{SERVICE_ROUTE}>\n\
         P-Associated-URI: <sip:alice@{HOME}>, <tel:+49301>\nP-Charging-Vector: icid-value=x;term-ioi=h\n\
         P-Charging-Function-Addresses: ccf=c",
        value(request, "Path")
    );
    response(request, "200 OK", &extra)
}

/// A response of the next hop to what it received.
pub fn response(request: &str, status: &str, extra: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\n");
    for line in request.lines() {
        let is_copied =
            ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"].iter().any(|name| line.starts_with(name));
        let is_tagless = line.starts_with("To:") && !line.contains(";tag=");
        if is_copied || line.starts_with("To:") {
            text.push_str(line);
            text.push_str(if is_tagless { ";tag=there\n" } else { "\n" });
        }
    }
    let extra = if extra.is_empty() { String::new() } else { format!("{extra}\n") };
    format!("{text}{extra}Content-Length: 0\n\n")
}

/// The first value of a header field; panics when there is none.
pub fn value(text: &str, name: &str) -> String {
    values(text, name).into_iter().next().unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// The lines of a header field.
pub fn values(text: &str, name: &str) -> Vec<String> {
    let prefix = format!("{name}: ");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
}
