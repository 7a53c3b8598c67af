//! Endpoints that talk to each other over pipes which split the bytes anyhow, in virtual time.

use super::*;
use crate::cx::*;
use crate::dictionary::{APPLICATION_CX, DEVICE_WATCHDOG, avp};
use crate::wire::{FLAG_ERROR, FLAG_PROXIABLE, FLAG_REQUEST, FLAG_RETRANSMITTED, Header, Message, Writer};
use std::time::Duration;

const REALM: &str = "ims.example";

/// Nodes with pipes between them.
struct Lab {
    nodes: Vec<Node>,
    /// Pairs of ends; each byte written at one arrives at the other.
    pipes: Vec<[(usize, ConnId); 2]>,
    now: Now,
    entropy: Entropy,
    accepted: u64,
}

struct Node {
    endpoint: Endpoint,
    addr: SocketAddr,
    heard: Vec<EndpointOutput>,
    /// Whole messages that it wrote.
    sent: Vec<Vec<u8>>,
    /// Reads and writes nothing, and keeps its connections: a process that hangs.
    is_frozen: bool,
    /// Takes no connection, and has none.
    is_dead: bool,
}

fn addr(n: u8) -> SocketAddr {
    ([127, 0, 0, n], 3868).into()
}

fn connect_to(n: u8, host: Option<&str>, priority: u16) -> PeerConfig {
    let host = host.map(|host| format!("{host}.{REALM}"));
    PeerConfig { host, realm: REALM.into(), addr: addr(n), role: PeerRole::Connect, priority }
}

fn accept_from(n: u8, host: &str) -> PeerConfig {
    PeerConfig { role: PeerRole::Accept, ..connect_to(n, Some(host), 0) }
}

impl Lab {
    fn new(seed: u64) -> Lab {
        Lab {
            nodes: Vec::new(),
            pipes: Vec::new(),
            now: Now { instant: Instant::START, wall: ambient::Wall::from_millis(1_700_000_000_000) },
            entropy: Entropy::seeded(seed),
            accepted: 0,
        }
    }

    /// Adds a node at 127.0.0.`n`.
    fn node(&mut self, n: u8, host: &str, peers: Vec<PeerConfig>) -> usize {
        self.node_with(n, host, |config| config.peers = peers)
    }

    fn node_with(&mut self, n: u8, host: &str, change: impl FnOnce(&mut EndpointConfig)) -> usize {
        let mut config = EndpointConfig::new(format!("{host}.{REALM}"), REALM);
        config.host_ips.push(addr(n).ip());
        change(&mut config);
        let endpoint = Endpoint::new(config, self.entropy.fork());
        let addr = addr(n);
        let (heard, sent) = (Vec::new(), Vec::new());
        self.nodes.push(Node { endpoint, addr, heard, sent, is_frozen: false, is_dead: false });
        self.nodes.len() - 1
    }

    fn start(&mut self) {
        for node in 0..self.nodes.len() {
            self.input(node, EndpointInput::Start);
        }
    }

    fn input(&mut self, node: usize, input: EndpointInput<'_>) {
        self.nodes[node].endpoint.handle(self.now, input);
        self.settle();
    }

    /// Carries out outputs until there are none.
    fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            for node in 0..self.nodes.len() {
                while let Some(output) = self.nodes[node].endpoint.poll_output() {
                    is_quiet = false;
                    self.carry_out(node, output);
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    fn carry_out(&mut self, node: usize, output: EndpointOutput) {
        let now = self.now;
        match output {
            EndpointOutput::Connect { conn, addr } => {
                let target = self.nodes.iter().position(|n| n.addr == addr && !n.is_dead);
                let Some(target) = target else {
                    return self.nodes[node].endpoint.handle(now, EndpointInput::ConnectFailed { conn });
                };
                self.accepted += 1;
                let theirs = ConnId::accepted(self.accepted);
                self.pipes.push([(node, conn), (target, theirs)]);
                let remote = SocketAddr::new(self.nodes[node].addr.ip(), 40_000);
                self.nodes[target].endpoint.handle(now, EndpointInput::Accepted { conn: theirs, remote });
                self.nodes[node].endpoint.handle(now, EndpointInput::Connected { conn });
            }
            EndpointOutput::Send { conn, bytes } => {
                self.nodes[node].sent.push(bytes.clone());
                let Some((other, theirs)) = self.other_end(node, conn) else { return };
                if self.nodes[node].is_frozen || self.nodes[other].is_frozen {
                    return;
                }
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let len = 1 + self.entropy.below(rest.len() as u64) as usize;
                    let (piece, after) = rest.split_at(len);
                    self.nodes[other]
                        .endpoint
                        .handle(now, EndpointInput::Bytes { conn: theirs, bytes: piece });
                    rest = after;
                }
            }
            EndpointOutput::Close { conn } => self.break_pipe(node, conn),
            other => self.nodes[node].heard.push(other),
        }
    }

    fn other_end(&self, node: usize, conn: ConnId) -> Option<(usize, ConnId)> {
        self.pipes.iter().find_map(|[a, b]| match (node, conn) {
            end if end == *a => Some(*b),
            end if end == *b => Some(*a),
            _ => None,
        })
    }

    /// One end closes; the other hears of it.
    fn break_pipe(&mut self, node: usize, conn: ConnId) {
        let Some((other, theirs)) = self.other_end(node, conn) else { return };
        self.pipes.retain(|pipe| !pipe.contains(&(node, conn)));
        self.nodes[other].endpoint.handle(self.now, EndpointInput::Closed { conn: theirs });
    }

    /// The process ends: its peers see their connections close, and nobody can connect.
    fn kill(&mut self, node: usize) {
        self.nodes[node].is_dead = true;
        while let Some(end) = self.pipes.iter().flatten().copied().find(|end| end.0 == node) {
            self.break_pipe(end.0, end.1);
        }
        self.settle();
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now.after(by);
        loop {
            let due = (0..self.nodes.len())
                .filter(|&node| !self.nodes[node].is_frozen)
                .filter_map(|node| Some((self.nodes[node].endpoint.next_timeout()?.0, node)))
                .min();
            match due {
                Some((at, node)) if at <= end.instant => {
                    self.now = self.now.after(at.since(self.now.instant));
                    self.input(node, EndpointInput::Timeout);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn ask(&mut self, node: usize, id: u64, host: Option<&str>) {
        let destination = Destination { realm: REALM.into(), host: host.map(|h| format!("{h}.{REALM}")) };
        let request = CxRequest::Uar(uar());
        let session = Some(format!("trace-{id}"));
        self.input(node, EndpointInput::Request { id, request, destination, session });
    }

    /// Takes what the node heard since the last time.
    fn heard(&mut self, node: usize) -> Vec<EndpointOutput> {
        std::mem::take(&mut self.nodes[node].heard)
    }

    /// The requests that a node was asked since the last time.
    fn asked(&mut self, node: usize) -> Vec<RequestId> {
        let ids = |output| match output {
            EndpointOutput::Request { id, .. } => Some(id),
            _ => None,
        };
        self.heard(node).into_iter().filter_map(ids).collect()
    }

    fn answers(&mut self, node: usize) -> Vec<(u64, Result<CxResult, CxFailure>)> {
        let answer = |output| match output {
            EndpointOutput::Answer { id, result, .. } => Some((id, result.map(|answer| answer.result()))),
            _ => None,
        };
        self.heard(node).into_iter().filter_map(answer).collect()
    }

    fn answer(&mut self, node: usize, id: RequestId, result: CxResult) {
        let answer = CxAnswer::Uaa(Uaa { result, ..Uaa::default() });
        self.input(node, EndpointInput::Answer { id, answer });
    }

    fn open_peers(&self, node: usize) -> Vec<(String, WatchdogState)> {
        self.nodes[node].endpoint.open_peers()
    }

    /// Writes raw bytes at the node's end of its only connection.
    fn inject(&mut self, node: usize, bytes: &[u8]) {
        let conn = self.pipes.iter().flatten().find(|end| end.0 == node).expect("the node is connected").1;
        self.carry_out(node, EndpointOutput::Send { conn, bytes: bytes.to_vec() });
        self.settle();
    }

    /// The last message that a node wrote.
    fn last_sent(&self, node: usize) -> Message<'_> {
        Message::parse(self.nodes[node].sent.last().expect("something was sent"))
            .expect("we write what we read")
    }
}

fn uar() -> Uar {
    Uar {
        user_name: "alice@ims.example".into(),
        public_identity: "sip:alice@ims.example".into(),
        visited_network: b"ims.example".to_vec(),
        ..Uar::default()
    }
}

/// An I-CSCF that knows one HSS.
fn pair(seed: u64) -> (Lab, usize, usize) {
    let mut lab = Lab::new(seed);
    let icscf = lab.node(11, "icscf", vec![connect_to(13, Some("hss"), 0)]);
    let hss = lab.node(13, "hss", vec![accept_from(11, "icscf")]);
    lab.start();
    (lab, icscf, hss)
}

/// An I-CSCF that knows two HSSs and prefers the first.
fn trio(seed: u64) -> (Lab, usize, usize, usize) {
    let mut lab = Lab::new(seed);
    let peers = vec![connect_to(13, Some("hss-1"), 1), connect_to(14, Some("hss-2"), 2)];
    let icscf = lab.node(11, "icscf", peers);
    let first = lab.node(13, "hss-1", vec![accept_from(11, "icscf")]);
    let second = lab.node(14, "hss-2", vec![accept_from(11, "icscf")]);
    lab.start();
    (lab, icscf, first, second)
}

#[test]
fn two_peers_exchange_capabilities_and_a_request_is_answered() {
    for seed in 0..20 {
        let (mut lab, icscf, hss) = pair(seed);
        assert_eq!(lab.heard(icscf), [EndpointOutput::PeerUp { peer: "hss.ims.example".into() }]);
        assert_eq!(lab.heard(hss), [EndpointOutput::PeerUp { peer: "icscf.ims.example".into() }]);
        lab.ask(icscf, 7, None);
        let heard = lab.heard(hss);
        let [EndpointOutput::Request { id, request, origin_host, origin_realm }] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(*request, CxRequest::Uar(uar()));
        assert_eq!((origin_host.as_str(), origin_realm.as_str()), ("icscf.ims.example", REALM));
        lab.answer(hss, *id, CxResult::FIRST_REGISTRATION);
        let heard = lab.heard(icscf);
        let [EndpointOutput::Answer { id: 7, result: Ok(answer), origin_host }] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(answer.result(), CxResult::FIRST_REGISTRATION);
        assert_eq!(origin_host.as_deref(), Some("hss.ims.example"));
        assert_eq!(lab.nodes[icscf].endpoint.pending_count(), 0);
    }
}

#[test]
fn requests_are_pipelined_and_answered_in_any_order() {
    let (mut lab, icscf, hss) = pair(1);
    lab.heard(hss);
    for id in 0..50 {
        lab.ask(icscf, id, None);
    }
    let mut asked = lab.asked(hss);
    asked.reverse();
    for id in asked {
        lab.answer(hss, id, CxResult::SUCCESS);
    }
    let answered: Vec<u64> = lab.answers(icscf).into_iter().map(|(id, _)| id).collect();
    assert_eq!(answered, (0..50).rev().collect::<Vec<_>>());
}

/// TS 29.229 §5.5: the HSS names the S-CSCF that it asks, which connected to it.
#[test]
fn a_request_goes_against_the_direction_of_the_connection() {
    let (mut lab, icscf, hss) = pair(2);
    lab.heard(icscf);
    lab.ask(hss, 1, Some("icscf"));
    let asked = lab.asked(icscf);
    lab.answer(icscf, asked[0], CxResult::SUCCESS);
    assert_eq!(lab.answers(hss), [(1, Ok(CxResult::SUCCESS))]);
}

#[test]
fn without_a_peer_a_request_fails_at_once_and_says_so() {
    let (mut lab, icscf, hss) = pair(3);
    lab.kill(hss);
    lab.heard(icscf);
    lab.ask(icscf, 1, None);
    assert_eq!(lab.answers(icscf), [(1, Err(CxFailure::NoPeer))]);
    let destination = Destination { realm: "elsewhere.example".into(), host: None };
    let request = CxRequest::Uar(uar());
    lab.nodes[hss].is_dead = false;
    lab.advance(Duration::from_secs(60));
    lab.heard(icscf);
    lab.input(icscf, EndpointInput::Request { id: 2, request, destination, session: None });
    assert_eq!(lab.answers(icscf), [(2, Err(CxFailure::NoPeer))], "no peer serves that realm");
}

#[test]
fn a_request_without_answer_times_out_and_its_late_answer_is_counted() {
    let (mut lab, icscf, hss) = pair(4);
    lab.heard(hss);
    lab.ask(icscf, 1, None);
    let asked = lab.asked(hss);
    lab.advance(Duration::from_secs(6));
    assert_eq!(lab.answers(icscf), [(1, Err(CxFailure::Timeout))]);
    lab.answer(hss, asked[0], CxResult::SUCCESS);
    assert_eq!(lab.answers(icscf), []);
    assert_eq!(lab.nodes[icscf].endpoint.counters().late_answers, 1);
}

#[test]
fn requests_beyond_the_limit_are_refused_until_one_is_answered() {
    let mut lab = Lab::new(5);
    let icscf = lab.node_with(11, "icscf", |config| {
        config.peers = vec![connect_to(13, None, 0)];
        config.pending_max = 2;
    });
    let hss = lab.node_with(13, "hss", |config| config.accept_unknown_peers = true);
    lab.start();
    lab.heard(icscf);
    lab.heard(hss);
    for id in 1..=3 {
        lab.ask(icscf, id, None);
    }
    assert_eq!(lab.answers(icscf), [(3, Err(CxFailure::Overload))]);
    let asked = lab.asked(hss);
    lab.answer(hss, asked[0], CxResult::SUCCESS);
    lab.ask(icscf, 4, None);
    assert_eq!(lab.answers(icscf), [(1, Ok(CxResult::SUCCESS))]);
    assert_eq!(lab.asked(hss).len(), 1);
}

/// RFC 6733 §5.5.4: T bit, same End-to-End id, another Hop-by-Hop id.
#[test]
fn a_request_moves_to_the_other_peer_when_the_first_dies() {
    let (mut lab, icscf, first, second) = trio(6);
    lab.heard(icscf);
    lab.ask(icscf, 1, None);
    assert_eq!(lab.asked(first).len(), 1, "the first is preferred");
    let before = lab.last_sent(icscf).header;
    lab.kill(first);
    let after = lab.last_sent(icscf).header;
    assert_eq!(after.flags, before.flags | FLAG_RETRANSMITTED);
    assert_eq!(after.end_to_end, before.end_to_end);
    assert_ne!(after.hop_by_hop, before.hop_by_hop);
    let asked = lab.asked(second);
    lab.answer(second, asked[0], CxResult::SUCCESS);
    assert_eq!(lab.answers(icscf), [(1, Ok(CxResult::SUCCESS))]);
}

/// RFC 3539 §3.4.1: one DWR without DWA makes a suspect, another Tw closes.
#[test]
fn a_peer_that_hangs_is_suspected_and_its_requests_move() {
    let (mut lab, icscf, first, second) = trio(7);
    lab.heard(icscf);
    lab.nodes[first].is_frozen = true;
    lab.advance(Duration::from_secs(45));
    lab.heard(second);
    assert_eq!(lab.open_peers(icscf)[0].1, WatchdogState::Okay, "the DWR is out, Tw is not over");
    lab.ask(icscf, 1, None);
    assert_eq!(lab.asked(second).len(), 0, "it went to the first");
    // The request would time out before Tw: another is asked when the peer is suspect.
    lab.advance(Duration::from_secs(20));
    assert_eq!(lab.open_peers(icscf)[0], ("hss-1.ims.example".into(), WatchdogState::Suspect));
    lab.heard(icscf);
    lab.ask(icscf, 2, None);
    let asked = lab.asked(second);
    lab.answer(second, asked[0], CxResult::SUCCESS);
    assert_eq!(lab.answers(icscf), [(2, Ok(CxResult::SUCCESS))]);
    lab.advance(Duration::from_secs(35));
    assert_eq!(lab.open_peers(icscf).len(), 1, "the silent connection was closed");
}

#[test]
fn what_waits_at_a_suspect_peer_is_sent_to_the_other_one() {
    let (mut lab, icscf, first, second) = trio(8);
    lab.nodes[first].is_frozen = true;
    while lab.nodes[icscf].sent.iter().all(|bytes| !is_dwr_of(bytes)) {
        lab.advance(Duration::from_secs(1));
    }
    // Tw is at least 28 s: the last three seconds of it are within the time of a request.
    lab.advance(Duration::from_secs(27));
    lab.heard(second);
    lab.ask(icscf, 1, None);
    assert_eq!(lab.asked(second), []);
    lab.advance(Duration::from_millis(4900));
    let asked = lab.asked(second);
    assert_eq!(asked.len(), 1, "the watchdog ran out, the request moved");
    assert!(lab.nodes[icscf].sent.iter().any(|bytes| bytes[4] & FLAG_RETRANSMITTED != 0));
}

fn is_dwr_of(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_ok_and(|m| m.header.command == DEVICE_WATCHDOG && m.header.is_request())
}

#[test]
fn a_quiet_connection_is_kept_alive_by_watchdogs() {
    let (mut lab, icscf, hss) = pair(9);
    lab.advance(Duration::from_secs(3600));
    assert_eq!(lab.open_peers(icscf), [("hss.ims.example".into(), WatchdogState::Okay)]);
    assert_eq!(lab.heard(hss).len(), 1, "up once, never down");
    assert!(lab.nodes[icscf].sent.iter().filter(|bytes| is_dwr_of(bytes)).count() > 50);
}

#[test]
fn an_hss_that_comes_back_is_connected_and_served_without_a_restart() {
    let (mut lab, icscf, hss) = pair(10);
    lab.kill(hss);
    lab.advance(Duration::from_secs(300));
    lab.nodes[hss].is_dead = false;
    lab.advance(Duration::from_secs(31));
    assert_eq!(lab.open_peers(icscf), [("hss.ims.example".into(), WatchdogState::Reopen)]);
    lab.heard(hss);
    lab.heard(icscf);
    lab.ask(icscf, 1, None);
    let asked = lab.asked(hss);
    lab.answer(hss, asked[0], CxResult::SUCCESS);
    assert_eq!(
        lab.answers(icscf),
        [(1, Ok(CxResult::SUCCESS))],
        "the only peer is used before it is trusted"
    );
    lab.advance(Duration::from_secs(70));
    assert_eq!(lab.open_peers(icscf)[0].1, WatchdogState::Okay);
}

#[test]
fn stopping_says_goodbye_and_the_peer_comes_back_later() {
    let (mut lab, icscf, hss) = pair(11);
    lab.heard(icscf);
    lab.input(hss, EndpointInput::Stop);
    let reason = "the peer disconnected: rebooting".into();
    assert_eq!(lab.heard(icscf), [EndpointOutput::PeerDown { peer: "hss.ims.example".into(), reason }]);
    lab.advance(Duration::from_secs(6));
    assert!(lab.pipes.iter().flatten().all(|end| end.0 != hss), "{:?}", lab.pipes);
    assert_eq!(lab.nodes[hss].endpoint.next_timeout(), None, "nothing is left to do");
    assert!(lab.nodes[icscf].endpoint.next_timeout().is_some(), "the other waits to connect again");
}

/// RFC 6733 §5.6.4: both connect at once, and one connection is left at both.
#[test]
fn an_election_leaves_one_connection() {
    for seed in 0..20 {
        let mut lab = Lab::new(seed);
        let a = lab.node(11, "a", vec![connect_to(13, Some("b"), 0)]);
        let b = lab.node(13, "b", vec![connect_to(11, Some("a"), 0)]);
        // Both connections are asked for before either is carried out.
        for node in [a, b] {
            lab.nodes[node].endpoint.handle(lab.now, EndpointInput::Start);
        }
        lab.settle();
        lab.advance(Duration::from_secs(1));
        assert_eq!(lab.pipes.len(), 1, "seed {seed}");
        assert_eq!((lab.open_peers(a).len(), lab.open_peers(b).len()), (1, 1), "seed {seed}");
        lab.heard(b);
        lab.ask(a, 1, None);
        assert_eq!(lab.asked(b).len(), 1);
    }
}

#[test]
fn an_unknown_peer_is_refused_unless_the_switch_lets_it_in() {
    for (accept_unknown_peers, expected) in [(false, 0), (true, 1)] {
        let mut lab = Lab::new(12);
        let icscf = lab.node(11, "icscf", vec![connect_to(13, None, 0)]);
        let hss = lab.node_with(13, "hss", |config| config.accept_unknown_peers = accept_unknown_peers);
        lab.start();
        assert_eq!(lab.open_peers(hss).len(), expected);
        if !accept_unknown_peers {
            let cea = lab.last_sent(hss);
            assert_eq!(cea.find(&avp::RESULT_CODE).unwrap().unsigned32(), Ok(3010));
            assert!(cea.header.is_error());
            let heard = format!("{:?}", lab.heard(icscf));
            assert!(heard.contains("3010 UNKNOWN_PEER"), "{heard}");
        }
    }
}

#[test]
fn a_peer_with_another_identity_than_configured_is_not_taken() {
    let mut lab = Lab::new(13);
    let icscf = lab.node(11, "icscf", vec![connect_to(13, Some("hss"), 0)]);
    lab.node_with(13, "impostor", |config| config.accept_unknown_peers = true);
    lab.start();
    assert_eq!(lab.open_peers(icscf), []);
    let heard = format!("{:?}", lab.heard(icscf));
    assert!(
        heard.contains("calls itself impostor.ims.example, it is configured as hss.ims.example"),
        "{heard}"
    );
}

/// RFC 6733 §7.1.3: 3002 and 3004 say that another peer may do it.
#[test]
fn a_busy_peer_hands_over_to_the_other_and_the_last_refusal_is_told() {
    let (mut lab, icscf, first, second) = trio(14);
    for node in [icscf, first, second] {
        lab.heard(node);
    }
    lab.ask(icscf, 1, None);
    let asked = lab.asked(first);
    lab.answer(first, asked[0], CxResult::TOO_BUSY);
    assert!(lab.last_sent(first).header.is_error());
    let asked = lab.asked(second);
    assert_eq!(asked.len(), 1);
    lab.answer(second, asked[0], CxResult::TOO_BUSY);
    assert_eq!(lab.answers(icscf), [(1, Err(CxFailure::Rejected { result: CxResult::TOO_BUSY }))]);
}

/// TS 29.229 §5.5: an SLF redirects to the HSS of the user.
#[test]
fn a_redirect_is_followed_to_the_host_that_it_names() {
    let (mut lab, icscf, first, second) = trio(15);
    for node in [icscf, first, second] {
        lab.heard(node);
    }
    lab.ask(icscf, 1, None);
    let id = lab.asked(first)[0];
    let redirect_hosts = vec!["aaa://nobody.example".into(), "aaa://hss-2.ims.example:3868".into()];
    let details = AnswerDetails { redirect_hosts, ..AnswerDetails::default() };
    let answer = CxAnswer::Uaa(Uaa { result: CxResult::REDIRECT_INDICATION, details, ..Uaa::default() });
    lab.input(first, EndpointInput::Answer { id, answer });
    let asked = lab.asked(second);
    assert_eq!(asked.len(), 1);
    assert_eq!(lab.last_sent(icscf).find(&avp::DESTINATION_HOST).unwrap().text(), Ok("hss-2.ims.example"));
}

#[test]
fn the_host_that_is_named_gets_the_request_and_another_answers_when_it_is_down() {
    let (mut lab, icscf, first, second) = trio(16);
    lab.ask(icscf, 1, Some("hss-2"));
    assert_eq!((lab.asked(first).len(), lab.asked(second).len()), (0, 1));
    lab.kill(second);
    assert_eq!(lab.asked(first).len(), 1);
    assert_eq!(lab.last_sent(icscf).find(&avp::DESTINATION_HOST), None, "the first may answer for the realm");
}

fn raw_request(command: u32, application: u32, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let flags = FLAG_REQUEST | FLAG_PROXIABLE;
    let mut writer = Writer::new(Header { flags, command, application, hop_by_hop: 1, end_to_end: 2 });
    write(&mut writer);
    writer.finish()
}

fn result_of(message: &Message<'_>) -> (u32, bool) {
    let code = message.find(&avp::RESULT_CODE).expect("a Result-Code").unsigned32().expect("of four octets");
    (code, message.header.flags & FLAG_ERROR != 0)
}

#[test]
fn requests_that_are_not_for_us_get_the_answer_of_the_rfc() {
    let (mut lab, icscf, hss) = pair(17);
    let session = |w: &mut Writer| w.text(&avp::SESSION_ID, "s;1;2");
    lab.inject(icscf, &raw_request(306, APPLICATION_CX, session));
    assert_eq!(result_of(&lab.last_sent(hss)), (3001, true));
    assert_eq!(lab.last_sent(hss).find(&avp::SESSION_ID).unwrap().text(), Ok("s;1;2"));
    lab.inject(icscf, &raw_request(300, 16_777_217, session));
    assert_eq!(result_of(&lab.last_sent(hss)), (3007, true));
    lab.inject(icscf, &raw_request(300, APPLICATION_CX, session));
    assert_eq!(result_of(&lab.last_sent(hss)), (5005, false));
    for (host, realm, expected) in [
        (Some("other.ims.example"), REALM, Some((3002, true))),
        (None, "other.example", Some((3003, true))),
        (Some("HSS.ims.example"), REALM, None),
    ] {
        let envelope = Envelope {
            session_id: "s;1;2".into(),
            origin_host: "icscf.ims.example".into(),
            origin_realm: REALM.into(),
            destination_host: host.map(str::to_owned),
            destination_realm: Some(realm.into()),
            ..Envelope::default()
        };
        lab.heard(hss);
        lab.inject(icscf, &CxRequest::Uar(uar()).encode(&envelope, 5, 6));
        match expected {
            Some(refusal) => assert_eq!(result_of(&lab.last_sent(hss)), refusal),
            None => assert_eq!(lab.asked(hss).len(), 1),
        }
    }
    assert_eq!(lab.open_peers(hss).len(), 1, "a bad request costs no connection");
}

#[test]
fn an_unreadable_stream_closes_the_connection_and_the_peer_comes_back() {
    let (mut lab, icscf, hss) = pair(18);
    lab.heard(icscf);
    let mut bytes = raw_request(300, APPLICATION_CX, |_| {});
    bytes[1..4].copy_from_slice(&[0, 0, 19]);
    lab.inject(icscf, &bytes);
    assert_eq!(result_of(&lab.last_sent(hss)), (5015, false));
    assert_eq!(lab.open_peers(icscf), []);
    assert_eq!(lab.nodes[hss].endpoint.counters().malformed, 1);
    lab.advance(Duration::from_secs(2));
    assert_eq!(lab.open_peers(icscf).len(), 1);
}

/// PyHSS answers an SAR for an unknown user in the application of Sh: the Hop-by-Hop id says what it belongs to.
#[test]
fn an_answer_in_the_application_of_sh_is_taken() {
    let (mut lab, icscf, hss) = pair(19);
    lab.heard(icscf);
    lab.ask(icscf, 1, None);
    let header = Header { application: 16_777_217, ..lab.last_sent(icscf).header };
    let answer = CxAnswer::Uaa(Uaa { result: CxResult::IDENTITY_ALREADY_REGISTERED, ..Uaa::default() });
    lab.inject(hss, &answer.encode(&header, &Envelope::default()));
    assert_eq!(lab.answers(icscf), [(1, Ok(CxResult::IDENTITY_ALREADY_REGISTERED))]);
}

#[test]
fn an_answer_that_cannot_be_read_fails_its_request_and_no_other() {
    let (mut lab, icscf, hss) = pair(20);
    lab.heard(icscf);
    lab.ask(icscf, 1, None);
    lab.ask(icscf, 2, None);
    let header = lab.last_sent(icscf).header;
    lab.inject(hss, &Writer::new(header.answer()).finish());
    let reason = "Result-Code is missing".to_owned();
    assert_eq!(lab.answers(icscf), [(2, Err(CxFailure::Undecodable { reason }))]);
    assert_eq!(lab.nodes[icscf].endpoint.pending_count(), 1);
    assert_eq!(lab.open_peers(icscf).len(), 1);
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let mut lab = Lab::new(21);
    let hss = lab.node(13, "hss", vec![]);
    let conn = ConnId::accepted(1);
    lab.input(hss, EndpointInput::Accepted { conn, remote: addr(99) });
    lab.pipes.push([(hss, conn), (hss, ConnId(77))]);
    lab.advance(Duration::from_secs(6));
    assert!(lab.pipes.is_empty());
    assert_eq!(lab.nodes[hss].endpoint.next_timeout(), None);
}
