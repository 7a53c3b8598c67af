//! An I-CSCF with two S-CSCFs to choose from, and a hand in the place of every neighbour.

use ambient::{Entropy, Now};
use cscf::config::Config;
use cscf::input::{Exit, Input, Output, Ticket};
use cscf::node::{Node, Setup};
use cscf::resolve::StaticNames;
use cscf::{Answer, Flow, Query, QueryId, ShardId, Source, Transport, Trust};
use diameter_client::cx::{CxAnswer, CxRequest};
use diameter_client::endpoint::CxFailure;
use icscf::Icscf;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub const HOME: &str = "ims.mnc001.mcc001.3gppnetwork.org";
pub const PCSCF: &str = "127.0.0.10:5060";
pub const ICSCF: &str = "127.0.0.11:4060";
/// The S-CSCF that comes first in the configuration.
pub const FIRST: &str = "sip:127.0.0.12:6060";
/// The other one, with capability 7.
pub const SECOND: &str = "sip:127.0.0.22:6060";

pub struct Bench {
    pub node: Node<Icscf>,
    now: Now,
    asked: Vec<(QueryId, CxRequest)>,
}

impl Bench {
    pub fn new() -> Bench {
        let text = format!(
            "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[icscf]\nlisten = \"{ICSCF}\"\nscscfs = [\"{FIRST}\", {{ uri = \"{SECOND}\", capabilities = [7] }}]\n"
        );
        let config = Config::parse(&text, "bench").expect("a valid configuration");
        let setup = Setup::new(config.icscf.listen.clone(), StaticNames::new(), Entropy::seeded(1));
        Bench { node: Node::new(Icscf::new(Arc::new(config)), setup), now: Now::default(), asked: Vec::new() }
    }

    /// What leaves after a message from inside the trust domain: where to, and the text.
    pub fn receive(&mut self, remote: &str, text: &str) -> Vec<(String, String)> {
        self.receive_from(Trust::Domain, remote, text)
    }

    pub fn receive_from(&mut self, trust: Trust, remote: &str, text: &str) -> Vec<(String, String)> {
        let source = Source {
            flow: Flow { shard: ShardId(0), slot: 1, generation: 0 },
            transport: Transport::Udp,
            local: ICSCF.parse().expect("an address"),
            remote: remote.parse().expect("an address"),
            trust,
            secured: None,
        };
        let bytes = text.replace('\n', "\r\n").into_bytes();
        self.node.handle(self.now, Input::Message { source, bytes });
        self.drain().into_iter().map(|(to, text, _)| (to, text)).collect()
    }

    /// The one question that is open.
    pub fn asked(&mut self) -> CxRequest {
        assert_eq!(self.asked.len(), 1, "open questions: {:?}", self.asked);
        self.asked[0].1.clone()
    }

    /// Answers the one question that is open.
    pub fn answer(&mut self, answer: impl Into<Result<CxAnswer, CxFailure>>) -> Vec<(String, String)> {
        assert_eq!(self.asked.len(), 1, "open questions: {:?}", self.asked);
        let (query, _) = self.asked.remove(0);
        self.node.handle(self.now, Input::Answer { query, answer: Answer::Cx(answer.into().map(Box::new)) });
        self.drain().into_iter().map(|(to, text, _)| (to, text)).collect()
    }

    /// Receives a request, answers the question that it raises, and lets every send fail that follows.
    pub fn answer_with_all_unreachable(
        &mut self,
        answer: impl Into<Result<CxAnswer, CxFailure>>,
    ) -> Vec<(String, String)> {
        let (query, _) = self.asked.remove(0);
        self.node.handle(self.now, Input::Answer { query, answer: Answer::Cx(answer.into().map(Box::new)) });
        let mut seen = Vec::new();
        loop {
            let sent = self.drain();
            let failed: Vec<Ticket> =
                sent.iter().filter(|(.., t)| *t != Ticket::default()).map(|(.., t)| *t).collect();
            seen.extend(sent.into_iter().map(|(to, text, _)| (to, text)));
            if failed.is_empty() {
                return seen;
            }
            for ticket in failed {
                self.node.handle(self.now, Input::SendFailed { ticket, why: "refused" });
            }
        }
    }

    pub fn advance(&mut self, by: Duration) -> Vec<(String, String)> {
        let until = self.now.instant + by;
        let mut sent = Vec::new();
        while let Some((at, _)) = self.node.next_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.after(at.since(self.now.instant));
            self.node.handle(self.now, Input::Timeout);
            sent.extend(self.drain().into_iter().map(|(to, text, _)| (to, text)));
        }
        self.now = self.now.after(until.since(self.now.instant));
        sent
    }

    fn drain(&mut self) -> Vec<(String, String, Ticket)> {
        let mut sent = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { exit, bytes, ticket } => {
                    let to = match exit {
                        Exit::Flow { .. } => "back".to_owned(),
                        Exit::Secured { set, .. } => format!("secured {set}"),
                        Exit::Hop { hop, .. } => hop.to_string(),
                    };
                    sent.push((to, String::from_utf8(bytes).expect("text"), ticket));
                }
                Output::Query { id, query: Query::Cx { request, destination, .. } } => {
                    assert_eq!((destination.realm.as_str(), destination.host), (HOME, None));
                    self.asked.push((id, *request));
                }
                other => panic!("unexpected output {other:?}"),
            }
        }
        sent
    }

    /// Whether nothing is left some time after the last message.
    pub fn settles(&mut self) -> bool {
        self.advance(Duration::from_secs(300));
        self.node.open() == (0, 0, 0)
    }
}

/// The answer of the next hop to a request that left, as `start` with what the request says.
pub fn response(request: &str, status: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\n");
    for line in request.lines() {
        if ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            text.push_str(&format!("{line}\n"));
        } else if line.starts_with("To:") {
            text.push_str(&format!("{line};tag=there\n"));
        }
    }
    text + "Content-Length: 0\n\n"
}

/// The remote address of a place that something was sent to.
pub fn address(to: &str) -> String {
    to.split_once(':')
        .map_or(String::new(), |(_, remote)| remote.parse::<SocketAddr>().expect("an address").to_string())
}
