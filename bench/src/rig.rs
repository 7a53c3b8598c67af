//! A node under measurement, with whatever stands around it: buffers that go round, and a clock that a case moves.

use crate::template::Template;
use ambient::{Entropy, Instant, Now, Wall};
use cscf::config::Config;
use cscf::flow::{Flow, Local, Side, Source, Transport, Trust};
use cscf::input::{Input, Output};
use cscf::node::{Node, Setup};
use cscf::resolve::StaticNames;
use cscf::trace::{Tap, Way};
use cscf::{Answer, Query, QueryId, Role, ShardId};
use std::time::Duration;

/// The home network of all cases.
pub const HOME: &str = "ims.mnc001.mcc001.3gppnetwork.org";
/// The P-CSCF.
pub const PCSCF: &str = "127.0.0.10:5060";
/// The I-CSCF.
pub const ICSCF: &str = "127.0.0.11:4060";
/// The S-CSCF.
pub const SCSCF: &str = "127.0.0.12:6060";

/// Virtual time between two rounds: as many transactions are open as at a hundred requests a second.
const STEP: Duration = Duration::from_millis(10);

/// A node, and what it did last.
pub struct Rig<R: Role> {
    /// The node.
    pub node: Node<R>,
    now: Now,
    serial: u64,
    spare: Vec<Vec<u8>>,
    /// What records, and how what leaves goes.
    tap: Option<(Tap, Way)>,
    /// What left after the last input, in order.
    pub sent: Vec<Vec<u8>>,
    /// What was asked after the last input, in order.
    pub asked: Vec<(QueryId, Query)>,
}

impl<R: Role> Rig<R> {
    /// A node for the role that `make` builds of the configuration in `section` and the sections that all share.
    pub fn new(section: &str, locals: impl Fn(&Config) -> Vec<Local>, make: impl Fn(Config) -> R) -> Rig<R> {
        let text = format!("[plmn]\nmcc = \"001\"\nmnc = \"01\"\n{section}");
        let config = Config::parse(&text, "bench").unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut statics = StaticNames::new();
        for (name, hops) in &config.names {
            hops.iter().for_each(|hop| statics.insert(name, *hop));
        }
        // One transport throughout: the switch to TCP over 1300 bytes would answer a question of the network.
        let setup = Setup {
            udp_request_max: 0,
            contexts_per_source_max: 1_000_000,
            ..Setup::new(locals(&config), statics, Entropy::seeded(7))
        };
        Rig {
            node: Node::new(make(config), setup),
            now: Now { instant: Instant::START, wall: Wall::from_millis(1_700_000_000_000) },
            serial: 0,
            spare: Vec::new(),
            tap: None,
            sent: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// From here on every message is recorded, and what the node finds.
    pub fn record(&mut self) {
        let node = recorder::Node { function: recorder::Function::Scscf, name: String::new() };
        let tap = Tap::new(node, &recorder::Rule::default()).expect("by default everything is recorded");
        self.tap = Some((tap, way(source(SCSCF, ICSCF, Trust::Domain))));
        self.node.set_facts(true);
    }

    /// Begins a round: a new serial number, a little later.
    pub fn next_round(&mut self) -> u64 {
        self.now = self.now.after(STEP);
        self.serial += 1;
        self.serial
    }

    /// Hands the node the message of a template.
    pub fn receive(&mut self, source: Source, message: &Template, serial: u64) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        message.fill(serial, &mut bytes);
        self.handle(source, bytes);
    }

    /// Hands the node the answer to the request that left last.
    pub fn receive_answer(&mut self, source: Source, message: &Template, serial: u64) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        message.fill_answer(serial, self.last(), &mut bytes);
        self.handle(source, bytes);
    }

    fn handle(&mut self, source: Source, bytes: Vec<u8>) {
        self.clear();
        if let Some((tap, _)) = &mut self.tap {
            tap.message(self.now, false, way(source), &bytes);
        }
        self.node.handle(self.now, Input::Message { source, bytes });
        self.drain();
    }

    /// Answers a query.
    pub fn answer(&mut self, query: QueryId, answer: Answer) {
        self.clear();
        self.node.handle(self.now, Input::Answer { query, answer });
        self.drain();
    }

    /// The message that left last; panics when none did: then the case does not do what it says.
    pub fn last(&self) -> &[u8] {
        self.sent.last().expect("the node sends something")
    }

    /// The last message, which must begin with `start`.
    pub fn expect(&self, start: &str) -> &[u8] {
        let last = self.last();
        assert!(last.starts_with(start.as_bytes()), "not {start}: {}", String::from_utf8_lossy(last));
        last
    }

    /// The one question that is open.
    pub fn question(&mut self) -> (QueryId, Query) {
        self.asked.pop().expect("the node asks something")
    }

    /// Gives the buffers of what left back: half to the node, which keeps what it received, half to receive into.
    fn clear(&mut self) {
        for buffer in self.sent.drain(..) {
            if self.spare.len() < 4 {
                self.spare.push(buffer);
            } else {
                self.node.recycle(buffer);
            }
        }
        self.asked.clear();
    }

    fn drain(&mut self) {
        if let Some((tap, _)) = &mut self.tap {
            while let Some(fact) = self.node.poll_fact() {
                tap.fact(self.now, &fact.as_ref());
            }
        }
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { bytes, .. } => {
                    if let Some((tap, way)) = &mut self.tap {
                        tap.message(self.now, true, *way, &bytes);
                    }
                    self.sent.push(bytes);
                }
                Output::Query { id, query } => self.asked.push((id, query)),
                Output::PeerAnswer { .. } | Output::Notice(_) | Output::Alias { .. } => {}
            }
        }
    }
}

/// A datagram from `remote` to `local`.
pub fn source(local: &str, remote: &str, trust: Trust) -> Source {
    Source {
        flow: Flow { shard: ShardId(0), slot: 1, generation: 0 },
        transport: Transport::Udp,
        local: local.parse().expect("an address"),
        remote: remote.parse().expect("an address"),
        trust,
        secured: None,
    }
}

/// What the recorder is told of a message over these.
const fn way(Source { local, remote, transport, trust, secured, .. }: Source) -> Way {
    Way { ends: (local, remote), transport, trust, secured }
}

/// The listening points of a node, which serve the core too.
pub fn both_sides(mut locals: Vec<Local>) -> Vec<Local> {
    let core: Vec<Local> = locals.iter().map(|local| Local { side: Side::Core, ..local.clone() }).collect();
    locals.extend(core);
    locals
}
