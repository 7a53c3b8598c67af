//! What a registered UE costs a P-CSCF: the heap with few and with many of them; `CARILLON_USERS=100000` says how many.

use ambient::{Entropy, Now};
use cscf::bucket::{Bucket, ShardId, TokenKey};
use cscf::config::Config;
use cscf::input::{Input, Output};
use cscf::node::{Node, Setup};
use cscf::resolve::StaticNames;
use cscf::{Answer, Flow, Local, Query, Side, Source, Transport, Trust};
use pcscf::Pcscf;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const HOME: &str = "ims.mnc001.mcc001.3gppnetwork.org";
const PCSCF: &str = "127.0.0.10:5060";
const SCSCF: &str = "127.0.0.12:6060";
/// What a UE with two identities may cost; half a kilobyte is the bar.
const BYTES_MAX: i64 = 450;

/// A P-CSCF between phones that register and a registrar that grants.
struct Edge {
    node: Node<Pcscf>,
    now: Now,
    key: TokenKey,
    text: String,
}

impl Edge {
    fn new() -> Edge {
        let text = format!(
            "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[pcscf]\nlisten = \"{PCSCF}\"\nicscf = \"sip:127.0.0.11:4060\"\n\
             registrations_max = 1_000_000\n"
        );
        let config = Config::parse(&text, "memory").unwrap_or_else(|errors| panic!("{errors:?}"));
        let mut locals = config.pcscf.locals();
        let core: Vec<Local> =
            locals.iter().map(|local| Local { side: Side::Core, ..local.clone() }).collect();
        locals.extend(core);
        let key = TokenKey::from_key((1, 2));
        let setup =
            Setup { token_key: Some(key), ..Setup::new(locals, StaticNames::new(), Entropy::seeded(1)) };
        let node = Node::new(Pcscf::new(Arc::new(config)), setup);
        Edge { node, now: Now::default(), key, text: String::new() }
    }

    fn receive(&mut self, remote: SocketAddr, slot: u32, trust: Trust) -> Vec<Vec<u8>> {
        let source = Source {
            flow: Flow { shard: ShardId(0), slot, generation: 0 },
            transport: Transport::Udp,
            local: PCSCF.parse().expect("an address"),
            remote,
            trust,
            secured: None,
        };
        let bytes = self.text.replace('\n', "\r\n").into_bytes();
        self.node.handle(self.now, Input::Message { source, bytes });
        let mut sent = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { bytes, .. } => sent.push(bytes),
                Output::Query { id, query: Query::Store(_) } => {
                    self.node.handle(self.now, Input::Answer { query: id, answer: Answer::Stored(Ok(())) });
                }
                other => panic!("unexpected output {other:?}"),
            }
        }
        sent
    }

    /// Registers the phone of this number from an address of its own, for a week, with two identities.
    fn register(&mut self, number: u32) {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)), 5060);
        let contact = format!("sip:user{number:07}@{address}");
        self.text.clear();
        let _ = write!(
            self.text,
            "REGISTER sip:{HOME} SIP/2.0\nVia: SIP/2.0/UDP {address};branch=z9hG4bKr{number};rport\nMax-Forwards: 70\n\
             From: <sip:user{number:07}@{HOME}>;tag=a1\nTo: <sip:user{number:07}@{HOME}>\nCall-ID: reg{number}\n\
             CSeq: 1 REGISTER\nContact: <{contact}>\nContent-Length: 0\n\n"
        );
        let sent = self.receive(address, number, Trust::Outside);
        let forwarded = String::from_utf8_lossy(&sent[0]).into_owned();
        // A Service-Route says the bucket of its user, as that of our own S-CSCF does.
        let route = self.key.mint(Bucket::new((number % 4096) as u16), "r");
        self.text.clear();
        self.text.push_str("SIP/2.0 200 OK\n");
        for line in forwarded.lines() {
            let is_copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Path:"];
            if is_copied.iter().any(|name| line.starts_with(name)) {
                let _ = writeln!(self.text, "{line}{}", if line.starts_with("To:") { ";tag=t" } else { "" });
            }
        }
        let _ = write!(
            self.text,
            "Contact: <{contact}>;expires=604800\nService-Route: <sip:{route}@{SCSCF};lr>\n\
             P-Associated-URI: <sip:user{number:07}@{HOME}>, <tel:+4930{number:07}>\nContent-Length: 0\n\n"
        );
        let sent = self.receive(SCSCF.parse().expect("an address"), u32::MAX, Trust::Domain);
        assert!(sent[0].starts_with(b"SIP/2.0 200 OK\r\n"), "{}", String::from_utf8_lossy(&sent[0]));
        self.advance(Duration::from_millis(10));
    }

    fn advance(&mut self, by: Duration) {
        let until = self.now.instant + by;
        while self.node.next_timeout().is_some_and(|(at, _)| at <= until) {
            self.now = self.now.after(until.since(self.now.instant));
            self.node.handle(self.now, Input::Timeout);
        }
        self.now = self.now.after(until.since(self.now.instant));
    }

    /// Registers phones up to this many, and waits until every transaction has ended.
    fn fill(&mut self, count: u32) {
        for number in self.node.role().bindings().len() as u32..count {
            self.register(number);
        }
        self.advance(Duration::from_secs(300));
        assert_eq!(self.node.open(), (0, 0, 0));
        assert_eq!(self.node.role().bindings().len(), count as usize);
    }
}

#[test]
fn a_registered_ue_with_two_identities_takes_less_than_half_a_kilobyte() {
    let (few, many) = match std::env::var("CARILLON_USERS").ok().and_then(|users| users.parse().ok()) {
        Some(users) => (users / 10, users),
        // What grows by doubling is three quarters full at both, as it is with a hundred thousand.
        None => (3_100, 24_800),
    };
    let mut edge = Edge::new();
    edge.fill(few);
    let grown = allocation_counter::measure(|| edge.fill(many)).bytes_current;
    let each = grown / i64::from(many - few);
    println!("{each} bytes of heap for each registered UE between {few} and {many}");
    assert!(each <= BYTES_MAX, "{each} bytes for each UE");
    assert!(each > 100, "what is registered is somewhere: {each} bytes");
}
