//! An S-CSCF on a bench: SIP text and Cx answers in, SIP text, Cx requests and records out.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part, and a failed bench fails its test"
)]

use ambient::{Entropy, Instant, Now, Wall};
use cscf::config::Config;
use cscf::flow::{Flow, Local, Side, Source, Transport, Trust};
use cscf::identity::Plmn;
use cscf::input::Exit;
use cscf::node::Setup;
use cscf::query::{Record, StoreFailure};
use cscf::resolve::StaticNames;
use cscf::{Answer, Event, Hop, Input, Node, Output, Query, QueryId, ShardId};
use diameter_client::cx::{AuthDataItem, CxAnswer, CxRequest, CxResult, Maa, Saa, Sar};
use diameter_client::endpoint::{CxFailure, RequestId};
use ims_aka::{Ha1, Hash, Qop};
use scscf::{Command, Notice, Scscf};
use std::sync::Arc;
use std::time::Duration;

pub const HOME: &str = "ims.mnc001.mcc001.3gppnetwork.org";
pub const PCSCF: &str = "127.0.0.10:5060";
pub const ICSCF: &str = "127.0.0.11:4060";
pub const RES: [u8; 8] = [3; 8];

/// What the S-CSCF did.
#[derive(Debug)]
pub enum Did {
    /// Sent a SIP message: where to (`back` is the flow it came from), and its text.
    Sip(String, String),
    /// Asked the HSS.
    Cx(QueryId, CxRequest),
    /// Asked the DNS for the NAPTR records of a name.
    Naptr(QueryId, String),
    /// Asked the store.
    Store(QueryId, Vec<Record>),
    /// Answered the HSS.
    Peer(CxAnswer),
    /// Told the operator.
    Notice(Notice),
}

pub struct Bench {
    pub node: Node<Scscf>,
    pub now: Now,
    /// What the store holds, as acknowledged.
    pub store: Vec<Record>,
    pub notices: Vec<Notice>,
    peer_requests: u64,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::configured("")
    }

    /// With lines for the `[scscf]` section.
    pub fn configured(section: &str) -> Bench {
        let text = format!("[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[scscf]\ncountry_code = \"49\"\n{section}");
        let config = Config::parse(&text, "bench").unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(config.home.plmn(), &Plmn::test());
        let mut statics = StaticNames::new();
        for (name, hops) in &config.names {
            hops.iter().for_each(|hop| statics.insert(name, *hop));
        }
        statics.insert(
            "far.example",
            Hop { transport: Transport::Udp, remote: "192.0.2.9:5060".parse().unwrap() },
        );
        let server = Hop { transport: Transport::Udp, remote: "192.0.2.50:5060".parse().unwrap() };
        statics.insert(&format!("as.{HOME}"), server);
        let locals: Vec<Local> = config.scscf.listen.clone();
        assert!(locals.iter().all(|local| local.side == Side::Core));
        let setup = Setup { udp_request_max: 0, ..Setup::new(locals, statics, Entropy::seeded(7)) };
        let now = Now { instant: Instant::START, wall: Wall::from_millis(1_700_000_000_000) };
        let node = Node::new(Scscf::new(Arc::new(config)), setup);
        Bench { node, now, store: Vec::new(), notices: Vec::new(), peer_requests: 0 }
    }

    // --- inputs -----------------------------------------------------------------------------------------------------

    pub fn receive_from(&mut self, remote: &str, trust: Trust, text: &str) -> Vec<Did> {
        let source = Source {
            flow: Flow { shard: ShardId(0), slot: 1, generation: 0 },
            transport: Transport::Udp,
            local: "127.0.0.12:6060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            trust,
            secured: None,
        };
        let bytes = text.replace('\n', "\r\n").into_bytes();
        self.node.handle(self.now, Input::Message { source, bytes });
        self.drain()
    }

    pub fn receive(&mut self, remote: &str, text: &str) -> Vec<Did> {
        self.receive_from(remote, Trust::Domain, text)
    }

    pub fn answer(&mut self, query: QueryId, answer: Answer) -> Vec<Did> {
        self.node.handle(self.now, Input::Answer { query, answer });
        self.drain()
    }

    pub fn cx(&mut self, query: QueryId, answer: CxAnswer) -> Vec<Did> {
        self.answer(query, Answer::Cx(Ok(Box::new(answer))))
    }

    pub fn cx_fails(&mut self, query: QueryId, failure: CxFailure) -> Vec<Did> {
        self.answer(query, Answer::Cx(Err(failure)))
    }

    pub fn stored(&mut self, query: QueryId, records: &[Record]) -> Vec<Did> {
        for record in records {
            self.store.retain(|known| known.key != record.key);
            if record.value.is_some() {
                self.store.push(record.clone());
            }
        }
        self.answer(query, Answer::Stored(Ok(())))
    }

    pub fn not_stored(&mut self, query: QueryId) -> Vec<Did> {
        self.answer(query, Answer::Stored(Err(StoreFailure::Late)))
    }

    pub fn hss_asks(&mut self, request: CxRequest) -> Vec<Did> {
        self.peer_requests += 1;
        self.node.handle(self.now, Input::PeerRequest { id: RequestId(self.peer_requests), request });
        self.drain()
    }

    pub fn command(&mut self, command: Command) -> Vec<Did> {
        self.node.handle(self.now, Input::Event(Event::Command(command)));
        self.drain()
    }

    pub fn advance(&mut self, by: Duration) -> Vec<Did> {
        let until = self.now.instant + by;
        let mut did = Vec::new();
        while let Some((at, _)) = self.node.next_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.after(at.since(self.now.instant));
            self.node.handle(self.now, Input::Timeout);
            did.extend(self.drain());
        }
        self.now = self.now.after(until.since(self.now.instant));
        did
    }

    /// A new process with the same store, `after` later by the wall clock, and what it does at once.
    pub fn restart(self, after: Duration) -> (Bench, Vec<Did>) {
        let mut restarted = Bench::new();
        restarted.now.wall = self.now.wall + after;
        restarted.node.set_token_key(self.node.token_key());
        restarted.store = self.store;
        let records = restarted.store.clone();
        restarted.node.handle(restarted.now, Input::Event(Event::Restored(records)));
        let did = restarted.drain();
        (restarted, did)
    }

    fn drain(&mut self) -> Vec<Did> {
        let mut did = Vec::new();
        while let Some(output) = self.node.poll_output() {
            did.push(match output {
                Output::Send { exit, bytes, .. } => {
                    let to = match exit {
                        Exit::Flow { .. } => "back".to_owned(),
                        Exit::Secured { set, .. } => format!("secured {set}"),
                        Exit::Hop { hop, .. } => hop.remote.to_string(),
                    };
                    Did::Sip(to, String::from_utf8(bytes).unwrap())
                }
                Output::Query { id, query: Query::Cx { request, .. } } => Did::Cx(id, *request),
                Output::Query { id, query: Query::Store(records) } => Did::Store(id, records),
                Output::Query { id, query: Query::Naptr(name) } => Did::Naptr(id, name),
                Output::Query { query, .. } => panic!("nothing needs resolving: {query:?}"),
                Output::PeerAnswer { answer, .. } => Did::Peer(*answer),
                // One shard has nobody to tell.
                Output::Alias { .. } => continue,
                Output::Notice(notice) => {
                    self.notices.push(notice);
                    continue;
                }
            });
        }
        did
    }

    // --- stories ----------------------------------------------------------------------------------------------------

    /// REGISTER, MAR, 401; gives the nonce.
    pub fn challenge(&mut self, register: &Register) -> String {
        let did = self.receive(PCSCF, &register.text(None));
        let (mar, _) = cx(&did);
        let did = self.cx(mar, maa());
        let unauthorized = sip(&did);
        assert!(unauthorized.starts_with("SIP/2.0 401 "), "{unauthorized}");
        nonce(unauthorized)
    }

    /// The answer to a challenge, up to the SAR.
    pub fn authenticate(&mut self, register: &Register) -> (QueryId, Sar) {
        let nonce = self.challenge(register);
        let answer = register.clone().next();
        let did = self.receive(PCSCF, &answer.text(Some((&nonce, &RES))));
        match cx(&did) {
            (id, CxRequest::Sar(sar)) => (id, sar.clone()),
            (_, other) => panic!("{other:?}"),
        }
    }

    /// A whole registration; gives the 200.
    pub fn register(&mut self, register: &Register) -> String {
        let (sar, _) = self.authenticate(register);
        let did = self.cx(sar, saa(&register.user));
        let (store, records) = store(&did);
        let did = self.stored(store, &records);
        let ok = sip(&did).to_owned();
        assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
        ok
    }
}

/// A REGISTER as the S-CSCF gets it.
#[derive(Clone)]
pub struct Register {
    pub user: String,
    pub contact: String,
    pub call_id: String,
    pub cseq: u32,
    pub integrity: &'static str,
    pub more: String,
}

pub fn register(user: &str) -> Register {
    Register {
        user: user.into(),
        contact: format!("<sip:{user}@10.0.0.1:5060>;expires=600"),
        call_id: format!("reg-{user}"),
        cseq: 1,
        integrity: "no",
        more: String::new(),
    }
}

impl Register {
    pub fn next(mut self) -> Register {
        self.cseq += 1;
        self
    }

    pub fn contact(mut self, contact: &str) -> Register {
        self.contact = contact.into();
        self
    }

    pub fn text(&self, answer: Option<(&str, &[u8])>) -> String {
        let Register { user, contact, call_id, cseq, integrity, more } = self;
        let (nonce, response) = match answer {
            None => (String::new(), String::new()),
            Some((nonce, res)) => {
                let ha1 =
                    Ha1::from_password(Hash::Md5, format!("{user}@{HOME}").as_bytes(), HOME.as_bytes(), res);
                let qop = Qop::Auth { nc: b"00000001", cnonce: b"abc" };
                let uri = format!("sip:{HOME}");
                let response = ha1.response(b"REGISTER", uri.as_bytes(), nonce.as_bytes(), qop);
                (nonce.to_owned(), format!("{response}\",qop=auth,nc=00000001,cnonce=\"abc"))
            }
        };
        format!(
            "REGISTER sip:scscf.{HOME}:6060 SIP/2.0\n\
             Via: SIP/2.0/UDP 127.0.0.10:5060;branch=z9hG4bK{call_id}{cseq}\n\
             Path: <sip:path-{user}@127.0.0.10:5060;lr>\n\
             Max-Forwards: 68\nFrom: <sip:{user}@{HOME}>;tag=f\nTo: <sip:{user}@{HOME}>\n\
             Call-ID: {call_id}\nCSeq: {cseq} REGISTER\nContact: {contact}\nRequire: path\nSupported: path\n\
             P-Charging-Vector: icid-value=i1;orig-ioi=visited\n\
             Authorization: Digest username=\"{user}@{HOME}\",realm=\"{HOME}\",uri=\"sip:{HOME}\",nonce=\"{nonce}\",\
             response=\"{response}\",integrity-protected=\"{integrity}\"\n{more}Content-Length: 0\n\n"
        )
    }
}

pub fn item() -> AuthDataItem {
    AuthDataItem {
        authenticate: Some([[1; 16], [2; 16]].concat()),
        authorization: Some(RES.to_vec()),
        ck: Some(vec![4; 16]),
        ik: Some(vec![5; 16]),
        ..Default::default()
    }
}

pub fn maa() -> CxAnswer {
    CxAnswer::Maa(Maa { result: CxResult::SUCCESS, auth_data_items: vec![item()], ..Default::default() })
}

/// The profile of a user: a barred temporary identity, a SIP and a tel identity.
pub fn profile(user: &str) -> Vec<u8> {
    let number = if user == "alice" { "4930100001" } else { "4930100002" };
    format!(
        "<?xml version=\"1.0\"?><IMSSubscription><PrivateID>{user}@{HOME}</PrivateID><ServiceProfile>\
         <PublicIdentity><BarringIndication>1</BarringIndication><Identity>sip:imsi-{user}@{HOME}</Identity></PublicIdentity>\
         <PublicIdentity><Identity>sip:{user}@{HOME}</Identity></PublicIdentity>\
         <PublicIdentity><Identity>tel:+{number}</Identity></PublicIdentity>\
         </ServiceProfile></IMSSubscription>"
    )
    .into_bytes()
}

pub fn saa(user: &str) -> CxAnswer {
    CxAnswer::Saa(Saa { result: CxResult::SUCCESS, user_data: Some(profile(user)), ..Default::default() })
}

pub fn saa_result(result: CxResult) -> CxAnswer {
    CxAnswer::Saa(Saa { result, ..Default::default() })
}

pub fn nonce(response: &str) -> String {
    response.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// The only SIP message.
pub fn sip(did: &[Did]) -> &str {
    let all = sips(did);
    assert_eq!(all.len(), 1, "{did:?}");
    all[0].1
}

/// Every SIP message but 100, with its destination.
pub fn sips(did: &[Did]) -> Vec<(&str, &str)> {
    did.iter()
        .filter_map(|one| match one {
            Did::Sip(to, text) if !text.starts_with("SIP/2.0 100 ") => Some((to.as_str(), text.as_str())),
            _ => None,
        })
        .collect()
}

/// The only question to the HSS.
pub fn cx(did: &[Did]) -> (QueryId, &CxRequest) {
    let mut all = did.iter().filter_map(|one| match one {
        Did::Cx(id, request) => Some((*id, request)),
        _ => None,
    });
    let only = all.next().unwrap_or_else(|| panic!("no Cx request in {did:?}"));
    assert!(all.next().is_none(), "{did:?}");
    only
}

pub fn sar(did: &[Did]) -> (QueryId, &Sar) {
    match cx(did) {
        (id, CxRequest::Sar(sar)) => (id, sar),
        (_, other) => panic!("{other:?}"),
    }
}

/// The only question to the store.
pub fn store(did: &[Did]) -> (QueryId, Vec<Record>) {
    did.iter()
        .find_map(|one| match one {
            Did::Store(id, records) => Some((*id, records.clone())),
            _ => None,
        })
        .unwrap_or_else(|| panic!("nothing to store in {did:?}"))
}

/// Every value of a header, in order.
pub fn headers<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    message
        .lines()
        .filter_map(|line| line.split_once(": ").filter(|(found, _)| *found == name))
        .map(|(_, value)| value)
        .collect()
}

/// The only value of a header.
pub fn header<'m>(message: &'m str, name: &str) -> &'m str {
    let all = headers(message, name);
    assert_eq!(all.len(), 1, "{name} in {message}");
    all[0]
}
