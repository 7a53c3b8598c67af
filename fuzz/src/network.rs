//! A whole CSCF under fire: messages from both sides, answers of next hops and of the HSS, time, and failures.
//!
//! An input is a script. Records are separated by 0x1e, and the first byte of each says what it is: `u` a message from
//! outside, `c` one from the trust domain, `r` the answer of the next hop to the request that left last (status, then
//! header lines), `a` an answer to the oldest question (its kind in the next byte), `t` time (the next byte, in quarters
//! of a second), `x` the failure of what left last, `g` the loss of a flow, `d` the order to stop. Anything else is a
//! message from outside, so that any bytes are a script. `$NONCE` and `$RESPONSE` in a message stand for the nonce
//! of the last 401 and for alice's digest over it.

use crate::seeds;
use crate::target::signature;
use ambient::{Entropy, Instant, Now, Wall};
use cscf::assembly::Part;
use cscf::bucket::TokenKey;
use cscf::config::Config;
use cscf::flow::{Flow, Local, Source, Transport, Trust};
use cscf::input::{Event, Input, Output, Ticket};
use cscf::node::{Node, Setup};
use cscf::query::{Secure, SecureFailure, StoreFailure, Unresolved};
use cscf::resolve::StaticNames;
use cscf::{Answer, Hop, Query, QueryId, Role, ShardId};
use diameter_client::cx::{AuthDataItem, CxAnswer, CxRequest, CxResult, Lia, Maa, Saa, Uaa};
use diameter_client::endpoint::CxFailure;
use icscf::Icscf;
use ipsec::SaSet;
use pcscf::Pcscf;
use scscf::Scscf;
use sip_core::{Limits, Message};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Separates the records of a script.
pub const SEPARATOR: u8 = 0x1e;
/// Stands for the digest over the last nonce.
const RESPONSE: &[u8] = b"$RESPONSE";
/// Records of one script that are played.
const RECORDS_MAX: usize = 64;
/// One input leads to no more outputs than this.
const OUTPUTS_MAX: usize = 4096;
/// All that is open is over after this much silence: Timer C and what follows it, with the long timers of Gm.
const QUIET: Duration = Duration::from_secs(1200);

/// A P-CSCF.
pub fn pcscf(script: &[u8]) -> u64 {
    play(script, Pcscf::new, |config| Part::Pcscf.locals(config))
}

/// An I-CSCF.
pub fn icscf(script: &[u8]) -> u64 {
    play(script, Icscf::new, |config| config.icscf.listen.clone())
}

/// An S-CSCF.
pub fn scscf(script: &[u8]) -> u64 {
    play(script, Scscf::new, |config| config.scscf.listen.clone())
}

fn config() -> Arc<Config> {
    static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
    const TEXT: &str = "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[pcscf]\nlisten = \"127.0.0.10:5060\"\n\
        icscf = \"sip:127.0.0.11:4060\"\n[icscf]\nlisten = \"127.0.0.11:4060\"\n\
        scscfs = [\"sip:127.0.0.12:6060\", { uri = \"sip:127.0.0.22:6060\", capabilities = [7] }]\n\
        [scscf]\ncountry_code = \"49\"\nreauthenticate = \"unprotected\"\n\
        [ipsec]\npolicy = \"optional\"\n";
    CONFIG
        .get_or_init(|| Arc::new(Config::parse(TEXT, "fuzz").unwrap_or_else(|faults| panic!("{faults:?}"))))
        .clone()
}

fn play<R: Role>(script: &[u8], role: fn(Arc<Config>) -> R, locals: fn(&Config) -> Vec<Local>) -> u64 {
    let config = config();
    let mut statics = StaticNames::new();
    for (name, hops) in &config.names {
        hops.iter().for_each(|hop| statics.insert(name, *hop));
    }
    let locals = locals(&config);
    let setup = Setup {
        token_key: Some(TokenKey::from_key((1, 2))),
        transactions_max: 64,
        ..Setup::new(locals.clone(), statics, Entropy::seeded(1))
    };
    let mut stage = Stage {
        node: Node::new(role(config.clone()), setup),
        now: Now { instant: Instant::START, wall: Wall::from_millis(1_700_000_000_000) },
        local: locals[0].clone(),
        asked: VecDeque::new(),
        last_request: Vec::new(),
        ticket: Ticket::default(),
        nonce: Vec::new(),
        set: None,
        verify: Vec::new(),
        seen: BTreeSet::new(),
    };
    for record in script.split(|byte| *byte == SEPARATOR).take(RECORDS_MAX) {
        stage.record(record);
    }
    stage.end()
}

struct Stage<R: Role> {
    node: Node<R>,
    now: Now,
    local: Local,
    asked: VecDeque<(QueryId, Query)>,
    last_request: Vec<u8>,
    ticket: Ticket,
    nonce: Vec<u8>,
    /// The security associations that were asked for last, and the Security-Server that left last.
    set: Option<SaSet>,
    verify: Vec<u8>,
    /// Statuses that left.
    seen: BTreeSet<u16>,
}

impl<R: Role> Stage<R> {
    fn record(&mut self, record: &[u8]) {
        let (kind, rest) = record.split_first().map_or((b'u', record), |(kind, rest)| (*kind, rest));
        match kind {
            b'u' => self.receive(Trust::Outside, rest),
            b's' => self.receive_protected(rest),
            b'c' => self.receive(Trust::Domain, rest),
            b'r' => {
                let answer = self.answer_of_next_hop(rest);
                self.receive(Trust::Domain, &answer);
            }
            b'R' => {
                let answer = self.answer_of_next_hop(rest);
                self.receive(Trust::Outside, &answer);
            }
            b'a' => self.answer(rest.first().copied().unwrap_or_default()),
            b't' => self.advance(Duration::from_millis(250) * u32::from(rest.first().copied().unwrap_or(1))),
            b'x' => self.input(Input::SendFailed { ticket: self.ticket, why: "refused" }),
            b'g' => {
                self.input(Input::Event(Event::FlowLost(Flow { shard: ShardId(0), slot: 1, generation: 0 })))
            }
            b'd' => self.input(Input::Event(Event::Draining)),
            _ => self.receive(Trust::Outside, record),
        }
    }

    fn receive(&mut self, trust: Trust, text: &[u8]) {
        let source = Source {
            flow: Flow { shard: ShardId(0), slot: 1, generation: 0 },
            transport: Transport::Udp,
            local: self.local.address,
            remote: match trust {
                Trust::Outside => ([10, 0, 0, 1], 5060).into(),
                Trust::Domain => ([127, 0, 0, 12], 6060).into(),
            },
            trust,
            secured: None,
        };
        self.arrive(source, text);
    }

    /// A UE sends through its security associations, where it has any.
    fn receive_protected(&mut self, text: &[u8]) {
        let Some(set) = &self.set else { return self.receive(Trust::Outside, text) };
        let source = Source {
            flow: Flow { shard: ShardId(0), slot: 2, generation: 0 },
            transport: Transport::Udp,
            local: (set.own_ip, set.own_server_port).into(),
            remote: (set.peer_ip, set.peer_client_port).into(),
            trust: Trust::Outside,
            secured: Some(set.own_spi_s),
        };
        self.arrive(source, text);
    }

    fn arrive(&mut self, source: Source, text: &[u8]) {
        let mut bytes = replaced(text, b"$NONCE", &self.nonce);
        if bytes.windows(RESPONSE.len()).any(|part| part == RESPONSE) {
            bytes = replaced(&bytes, RESPONSE, seeds::response(&self.nonce).as_bytes());
        }
        bytes = replaced(&bytes, b"$VERIFY", &self.verify);
        self.input(Input::Message { source, bytes });
    }

    /// What the next hop says to the request that left last: `record` is the status, and header lines behind it.
    fn answer_of_next_hop(&self, record: &[u8]) -> Vec<u8> {
        let mut answer = b"SIP/2.0 ".to_vec();
        let (status, more) = record.split_at(record.len().min(3));
        answer.extend_from_slice(status);
        answer.extend_from_slice(b" X\r\n");
        for line in self.last_request.split(|byte| *byte == b'\n') {
            let is_copied =
                [&b"Via:"[..], b"From:", b"To:", b"Call-ID:", b"CSeq:", b"Record-Route:", b"Path:"]
                    .iter()
                    .any(|name| line.starts_with(name));
            if is_copied {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                answer.extend_from_slice(line);
                if line.starts_with(b"To:") && !line.windows(5).any(|part| part == b";tag=") {
                    answer.extend_from_slice(b";tag=there");
                }
                answer.extend_from_slice(b"\r\n");
            }
            if line == b"\r" {
                break;
            }
        }
        answer.extend_from_slice(more);
        answer.extend_from_slice(b"\r\n");
        answer
    }

    /// Answers the oldest question; `kind` chooses how.
    fn answer(&mut self, kind: u8) {
        let Some((id, query)) = self.asked.pop_front() else { return };
        let answer = match query {
            Query::Store(_) => Answer::Stored(if kind % 16 == 7 { Err(StoreFailure::Late) } else { Ok(()) }),
            Query::Resolve(_) => Answer::Resolved(match kind % 4 {
                3 => Err(Unresolved::NoTransport("fuzz".into())),
                _ => Ok(vec![Hop { transport: Transport::Udp, remote: ([192, 0, 2, 1], 5060).into() }]),
            }),
            Query::Naptr(name) => Answer::Naptr(match kind % 4 {
                3 => Err(Unresolved::Unreachable(name)),
                _ => Ok(Vec::new()),
            }),
            Query::Secure(_) => Answer::Secured(match kind % 8 {
                5 => Err(SecureFailure("fuzz".into())),
                _ => Ok(()),
            }),
            Query::Cx { request, .. } => Answer::Cx(cx_answer(&request, kind).map(Box::new)),
        };
        self.input(Input::Answer { query: id, answer });
    }

    fn advance(&mut self, by: Duration) {
        let until = self.now.instant + by;
        let mut steps = 0;
        while let Some((at, why)) = self.node.next_timeout().filter(|(at, _)| *at <= until) {
            steps += 1;
            assert!(steps < 100_000, "time stands still at {why}");
            self.now = self.now.after(at.since(self.now.instant));
            self.input(Input::Timeout);
        }
        self.now = self.now.after(until.since(self.now.instant));
    }

    fn input(&mut self, input: Input<R>) {
        self.node.handle(self.now, input);
        let mut outputs = 0;
        while let Some(output) = self.node.poll_output() {
            outputs += 1;
            assert!(outputs < OUTPUTS_MAX, "one input leads to no end of outputs");
            match output {
                Output::Send { bytes, ticket, .. } => self.sent(bytes, ticket),
                Output::Query { id, query } => {
                    if let Query::Secure(Secure::Install(set)) = &query {
                        self.set = Some((**set).clone());
                    }
                    self.asked.push_back((id, query));
                }
                Output::PeerAnswer { .. } | Output::Notice(_) | Output::Alias { .. } => {}
            }
        }
    }

    /// Whatever leaves can be read, and a request that leaves has our Via on top.
    fn sent(&mut self, bytes: Vec<u8>, ticket: Ticket) {
        let limits = Limits { message_bytes: 65_535, headers: 1024, values: 8192 };
        let message = match Message::parse(bytes, &limits) {
            Ok(message) => message,
            Err(error) => panic!("sent what nobody can read: {}", error.reason.label()),
        };
        match message.status() {
            Some(status) => {
                self.seen.insert(status.code());
                let listed: Vec<&[u8]> =
                    message.all(sip_core::Name::SecurityServer).map(|(_, value)| value).collect();
                if !listed.is_empty() {
                    self.verify = listed.join(&b", "[..]);
                }
                let challenge = message.first(sip_core::Name::WwwAuthenticate).unwrap_or_default();
                let mark = b"nonce=\"";
                if let Some(at) = challenge.windows(mark.len()).position(|part| part == mark) {
                    let nonce = &challenge[at + mark.len()..];
                    self.nonce = nonce.split(|byte| *byte == b'"').next().unwrap_or_default().to_vec();
                }
            }
            None => {
                let via = message.top_via().expect("a request that leaves has a Via");
                assert_eq!(via.sent_by().ip(), Some(self.local.address.ip()), "the top Via is ours");
                (self.last_request, self.ticket) = (message.into_bytes(), ticket);
            }
        }
    }

    /// Answers what is open, and waits: nothing may be left behind.
    fn end(mut self) -> u64 {
        for _ in 0..RECORDS_MAX {
            while !self.asked.is_empty() {
                self.answer(15);
            }
            self.advance(QUIET / RECORDS_MAX as u32);
        }
        // What the last of these timers asked: the HSS is silent to the end, the store is there again.
        while !self.asked.is_empty() {
            self.answer(15);
        }
        assert_eq!(self.node.open(), (0, 0, 0), "contexts, client transactions and queries after the quiet");
        let counters: Vec<_> = self.node.counters().iter().map(|(what, cause, _)| (what, cause)).collect();
        signature((self.seen, counters))
    }
}

fn replaced(text: &[u8], mark: &[u8], by: &[u8]) -> Vec<u8> {
    match text.windows(mark.len()).position(|part| part == mark) {
        Some(at) => [&text[..at], by, &text[at + mark.len()..]].concat(),
        None => text.to_vec(),
    }
}

fn cx_answer(request: &CxRequest, kind: u8) -> Result<CxAnswer, CxFailure> {
    const RESULTS: [CxResult; 6] = [
        CxResult::SUCCESS,
        CxResult::FIRST_REGISTRATION,
        CxResult::SUBSEQUENT_REGISTRATION,
        CxResult::USER_UNKNOWN,
        CxResult::UNABLE_TO_COMPLY,
        CxResult::UNREGISTERED_SERVICE,
    ];
    match kind {
        15 => return Err(CxFailure::Timeout),
        14 => return Err(CxFailure::NoPeer),
        // The HSS talks nonsense: an answer to another question.
        13 => return Ok(CxAnswer::Lia(Lia { result: CxResult::SUCCESS, ..Lia::default() })),
        _ => {}
    }
    let result = RESULTS[usize::from(kind) % RESULTS.len()];
    let server_name = (kind & 16 == 0).then(|| "sip:127.0.0.12:6060".to_owned());
    Ok(match request {
        CxRequest::Uar(_) => CxAnswer::Uaa(Uaa { result, server_name, ..Uaa::default() }),
        CxRequest::Lir(_) => CxAnswer::Lia(Lia { result, server_name, ..Lia::default() }),
        CxRequest::Mar(_) => {
            let item = AuthDataItem {
                authenticate: Some(vec![1; if kind & 32 == 0 { 32 } else { 7 }]),
                authorization: Some(seeds::RES.to_vec()),
                ck: Some(vec![4; 16]),
                ik: Some(vec![5; 16]),
                ..AuthDataItem::default()
            };
            CxAnswer::Maa(Maa { result, auth_data_items: vec![item], ..Maa::default() })
        }
        CxRequest::Sar(_) => {
            let user_data = (kind & 16 == 0).then(seeds::user_data);
            CxAnswer::Saa(Saa { result, user_data, ..Saa::default() })
        }
        other => other.refuse(CxResult::UNABLE_TO_COMPLY),
    })
}
