//! The transport layer, told as what a driver and a node see.

mod secured;

use super::*;
use crate::config::TrustedNet;
use crate::flow::{Side, Trust};

const OPTIONS: &[u8] = b"OPTIONS sip:p.example SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.5:5070;branch=z9hG4bK1\r\n\
    Max-Forwards: 70\r\nTo: <sip:p.example>\r\nFrom: <sip:a@a.example>;tag=1\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
    Content-Length: 0\r\n\r\n";
const OURS: &str = "192.0.2.10:5060";
const PEER: &str = "192.0.2.5:5070";
const STRANGER: &str = "203.0.113.9:40000";
const LINK: LinkId = LinkId(LinkId::ACCEPTED | 1);

/// A transport layer, a clock, and what came out, one line an output.
struct Bench {
    transports: Transports,
    now: Instant,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(TransportLimits::default())
    }

    fn with(limits: TransportLimits) -> Bench {
        let local = |transport| Local { side: Side::Core, transport, address: at(OURS) };
        let trust = TrustList::new(vec![TrustedNet::host("192.0.2.5".parse().unwrap())]);
        let locals = vec![local(Transport::Udp), local(Transport::Tcp)];
        Bench {
            transports: Transports::new(locals, trust, limits, &mut Entropy::seeded(1)),
            now: Instant::START,
        }
    }

    fn accept(&mut self, link: LinkId, remote: &str) {
        self.transports.accepted(self.now, link, at(OURS), at(remote));
    }

    fn receive(&mut self, link: LinkId, bytes: &[u8]) {
        self.transports.received(self.now, link, bytes);
    }

    /// Sends `text` to a TCP hop, with a ticket.
    fn send_tcp(&mut self, remote: &str, text: &str, ticket: u64) {
        let exit = Exit::Hop { hop: hop(Transport::Tcp, remote), local: at(OURS) };
        self.transports.send(self.now, exit, text.into(), Ticket(ticket));
    }

    fn advance(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some((due, _)) = self.transports.next_timeout().filter(|(due, _)| *due <= until) {
            self.now = self.now.max(due);
            self.transports.timeout(self.now);
        }
        self.now = until;
    }

    fn seen(&mut self) -> Vec<String> {
        let outputs = std::iter::from_fn(|| self.transports.poll_output());
        outputs
            .map(|output| match output {
                TransportOutput::Message { source, bytes } => {
                    let line = String::from_utf8_lossy(bytes.split(|byte| *byte == b' ').next().unwrap());
                    let trust = if source.trust == Trust::Domain { "trusted" } else { "outside" };
                    format!("{line} from {} {} {trust}", source.transport, source.remote)
                }
                TransportOutput::FlowLost(_) => "flow lost".to_owned(),
                TransportOutput::SendFailed { ticket, why } => format!("ticket {} failed: {why}", ticket.0),
                TransportOutput::Wire(wire) => match wire {
                    WireOutput::Datagram { local, remote, bytes } => {
                        format!("datagram {local} to {remote}: {}", String::from_utf8_lossy(&bytes))
                    }
                    WireOutput::Connect { link, local, remote, .. } => {
                        format!("connect {} from {} to {remote}", link.0, local.unwrap())
                    }
                    WireOutput::Write { bytes, .. } => format!("write {:?}", String::from_utf8_lossy(&bytes)),
                    WireOutput::Close { .. } => "close".to_owned(),
                    WireOutput::Query { .. } => "query".to_owned(),
                    WireOutput::Parcel { .. } => "parcel".to_owned(),
                },
            })
            .collect()
    }

    /// The flow of the one message that came.
    fn flow(&mut self) -> Flow {
        std::iter::from_fn(|| self.transports.poll_output())
            .find_map(|output| match output {
                TransportOutput::Message { source, .. } => Some(source.flow),
                _ => None,
            })
            .unwrap()
    }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn hop(transport: Transport, remote: &str) -> Hop {
    Hop { transport, remote: at(remote) }
}

#[test]
fn a_datagram_is_a_message_and_its_flow_leads_back() {
    let mut bench = Bench::new();
    bench.transports.datagram(bench.now, at(OURS), at(STRANGER), OPTIONS.to_vec());
    bench.transports.datagram(bench.now, at(OURS), at(PEER), OPTIONS.to_vec());
    let flow = bench.flow();
    assert_eq!(bench.seen(), ["OPTIONS from udp 192.0.2.5:5070 trusted"]);
    bench.transports.send(bench.now, Exit::Flow { flow, or: None }, b"200".to_vec(), Ticket(0));
    assert_eq!(bench.seen(), ["datagram 192.0.2.10:5060 to 203.0.113.9:40000: 200"]);
}

#[test]
fn keep_alives_and_stun_over_udp_reach_no_node() {
    let mut bench = Bench::new();
    for noise in [&b""[..], b"\r\n\r\n", b"\0\0", b"\x00\x01\x00\x00\x21\x12\xa4\x42"] {
        bench.transports.datagram(bench.now, at(OURS), at(STRANGER), noise.to_vec());
    }
    assert_eq!(bench.seen(), [""; 0]);
    assert_eq!(bench.transports.counts()["keep-alive datagram"], 3);
    assert_eq!(bench.transports.counts()["datagram that is not SIP"], 1);
}

/// RFC 5626 §4.4.2: at the port where it sends SIP, a UE asks by STUN whether its flow is there still, and which it is.
#[test]
fn a_stun_request_of_a_ue_is_answered_on_its_flow_and_a_flood_is_not() {
    const GM: &str = "192.0.2.11:5060";
    let mut bench = Bench::new();
    bench.transports.locals.push(Local { side: Side::Access, transport: Transport::Udp, address: at(GM) });
    let ask = |bench: &mut Bench, local: &str| {
        let request = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl".to_vec();
        bench.transports.datagram(bench.now, at(local), at(STRANGER), request);
        bench.seen()
    };
    let answers = ask(&mut bench, GM);
    assert!(
        answers.len() == 1 && answers[0].starts_with(&format!("datagram {GM} to {STRANGER}: \x01\x01")),
        "{answers:?}"
    );
    assert_eq!(ask(&mut bench, OURS), [""; 0], "towards other functions there is no NAT");
    assert_eq!((0..100).map(|_| ask(&mut bench, GM).len()).sum::<usize>(), 14);
    bench.advance(10);
    assert_eq!(ask(&mut bench, GM), answers);
    assert_eq!(bench.transports.counts()["STUN request"], 16);
    assert_eq!(bench.transports.counts()["STUN request too soon after others"], 86);
}

#[test]
fn a_stream_cut_anywhere_gives_whole_messages() {
    let stream = [b"\r\n\r\n", OPTIONS, OPTIONS].concat();
    for cut in 0..stream.len() {
        let mut bench = Bench::new();
        bench.accept(LINK, PEER);
        bench.receive(LINK, &stream[..cut]);
        bench.receive(LINK, &stream[cut..]);
        let seen = bench.seen();
        let messages = seen.iter().filter(|line| line.starts_with("OPTIONS from tcp")).count();
        assert_eq!(messages, 2, "cut at {cut}: {seen:?}");
    }
}

/// RFC 5626 §4.4.1.
#[test]
fn a_ping_on_a_stream_is_answered_by_a_pong() {
    let mut bench = Bench::new();
    bench.accept(LINK, STRANGER);
    bench.receive(LINK, b"\r\n\r\n");
    assert_eq!(bench.seen(), ["write \"\\r\\n\""]);
}

#[test]
fn a_stream_that_cannot_be_framed_is_closed_once_its_head_could_be_answered() {
    let mut bench = Bench::new();
    bench.accept(LINK, STRANGER);
    bench.receive(LINK, b"OPTIONS sip:p SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n");
    let seen = bench.seen();
    assert_eq!(seen, ["OPTIONS from tcp 203.0.113.9:40000 outside"]);
    bench.receive(LINK, OPTIONS);
    assert_eq!(bench.seen(), [""; 0], "nothing later can be read");
    bench.advance(0);
    assert_eq!(bench.seen(), ["close", "flow lost"]);
}

#[test]
fn a_message_without_content_length_ends_its_stream_unread() {
    let mut bench = Bench::new();
    bench.accept(LINK, STRANGER);
    bench.receive(LINK, b"OPTIONS sip:p SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n");
    bench.advance(0);
    assert_eq!(bench.seen(), ["close", "flow lost"]);
}

#[test]
fn messages_wait_for_a_connection_and_later_ones_reuse_it() {
    let mut bench = Bench::new();
    bench.send_tcp(PEER, "first", 1);
    bench.send_tcp(PEER, "second", 2);
    assert_eq!(bench.seen(), ["connect 1 from 192.0.2.10:0 to 192.0.2.5:5070"]);
    bench.transports.connected(bench.now, LinkId(1), at("192.0.2.10:41000"));
    bench.send_tcp(PEER, "third", 3);
    assert_eq!(bench.seen(), ["write \"first\"", "write \"second\"", "write \"third\""]);
}

#[test]
fn each_message_that_waited_for_a_refused_connection_fails() {
    let mut bench = Bench::new();
    bench.send_tcp(PEER, "first", 1);
    bench.send_tcp(PEER, "second", 2);
    bench.seen();
    bench.transports.connect_failed(LinkId(1), "connection refused");
    assert_eq!(
        bench.seen(),
        ["ticket 1 failed: connection refused", "ticket 2 failed: connection refused", "flow lost"]
    );
    bench.send_tcp(PEER, "again", 3);
    assert_eq!(bench.seen(), ["connect 2 from 192.0.2.10:0 to 192.0.2.5:5070"]);
}

#[test]
fn a_connection_that_does_not_open_in_time_fails_what_waits() {
    let mut bench = Bench::new();
    bench.send_tcp(PEER, "first", 1);
    bench.seen();
    bench.advance(4);
    assert_eq!(bench.seen(), ["close", "ticket 1 failed: connection timed out", "flow lost"]);
    bench.transports.connected(bench.now, LinkId(1), at("192.0.2.10:41000"));
    assert_eq!(bench.seen(), [""; 0], "a late success finds nothing");
}

#[test]
fn more_than_the_bound_does_not_wait_for_a_connection() {
    let mut bench = Bench::with(TransportLimits { waiting_bytes_max: 8, ..TransportLimits::default() });
    bench.send_tcp(PEER, "12345", 1);
    bench.send_tcp(PEER, "6789", 2);
    assert_eq!(
        bench.seen(),
        [
            "connect 1 from 192.0.2.10:0 to 192.0.2.5:5070",
            "ticket 2 failed: too much waits for the connection"
        ]
    );
}

#[test]
fn a_request_lost_with_its_connection_fails_but_one_that_was_heard_does_not() {
    let mut bench = Bench::new();
    bench.send_tcp(PEER, "heard", 1);
    bench.transports.connected(bench.now, LinkId(1), at("192.0.2.10:41000"));
    bench.receive(LinkId(1), OPTIONS);
    bench.send_tcp(PEER, "lost", 2);
    bench.seen();
    bench.transports.closed(LinkId(1));
    assert_eq!(bench.seen(), ["ticket 2 failed: connection closed", "flow lost"]);
}

/// RFC 3261 §18.2.2.
#[test]
fn a_response_whose_connection_is_gone_goes_by_a_new_one_to_the_sent_by() {
    let mut bench = Bench::new();
    bench.accept(LINK, PEER);
    bench.receive(LINK, OPTIONS);
    let flow = bench.flow();
    bench.transports.closed(LINK);
    bench.seen();
    let or = Some(hop(Transport::Tcp, "192.0.2.5:5099"));
    bench.transports.send(bench.now, Exit::Flow { flow, or }, b"200".to_vec(), Ticket(0));
    assert_eq!(bench.seen(), ["connect 1 from 192.0.2.10:0 to 192.0.2.5:5099"]);
    bench.transports.send(bench.now, Exit::Flow { flow, or: None }, b"200".to_vec(), Ticket(9));
    assert_eq!(bench.seen(), ["ticket 9 failed: the flow is gone"]);
}

#[test]
fn the_slot_of_a_lost_connection_does_not_lead_to_its_successor() {
    let mut bench = Bench::new();
    bench.accept(LINK, PEER);
    bench.receive(LINK, OPTIONS);
    let flow = bench.flow();
    bench.transports.closed(LINK);
    bench.accept(LinkId(LinkId::ACCEPTED | 2), STRANGER);
    bench.seen();
    bench.transports.send(bench.now, Exit::Flow { flow, or: None }, b"secret".to_vec(), Ticket(1));
    assert_eq!(bench.seen(), ["ticket 1 failed: the flow is gone"]);
}

/// RFC 5923 §5.
#[test]
fn an_alias_is_believed_inside_the_trust_domain_only() {
    let with_alias = String::from_utf8_lossy(OPTIONS).replace(";branch", ";alias;branch");
    for (remote, expected) in [
        ("192.0.2.5:41234", "write \"x\""),
        ("203.0.113.9:41234", "connect 1 from 192.0.2.10:0 to 203.0.113.9:5070"),
    ] {
        let mut bench = Bench::new();
        bench.accept(LINK, remote);
        bench.receive(LINK, with_alias.as_bytes());
        bench.seen();
        let listens = SocketAddr::new(at(remote).ip(), 5070).to_string();
        bench.send_tcp(&listens, "x", 0);
        assert_eq!(bench.seen(), [expected], "{remote}");
    }
}

#[test]
fn a_connection_is_used_for_requests_to_the_very_address_that_opened_it() {
    let mut bench = Bench::new();
    bench.accept(LINK, STRANGER);
    bench.receive(LINK, OPTIONS);
    bench.seen();
    bench.send_tcp(STRANGER, "x", 0);
    assert_eq!(bench.seen(), ["write \"x\""]);
}

#[test]
fn one_stranger_cannot_take_all_connections_but_a_trusted_peer_may_have_many() {
    let mut bench =
        Bench::with(TransportLimits { connections_per_remote_max: 1, ..TransportLimits::default() });
    for (n, remote) in
        ["203.0.113.9:1", "203.0.113.9:2", "203.0.113.8:1", PEER, "192.0.2.5:2"].iter().enumerate()
    {
        bench.accept(LinkId(LinkId::ACCEPTED | n as u64), remote);
    }
    assert_eq!(bench.seen(), ["close"]);
    bench.transports.closed(LinkId(LinkId::ACCEPTED));
    bench.accept(LinkId(LinkId::ACCEPTED | 9), "203.0.113.9:3");
    assert_eq!(bench.seen(), ["flow lost"], "a place that came free is given again");
}

#[test]
fn connections_in_all_are_bounded() {
    let mut bench = Bench::with(TransportLimits { connections_max: 1, ..TransportLimits::default() });
    bench.accept(LINK, PEER);
    bench.accept(LinkId(LinkId::ACCEPTED | 2), PEER);
    bench.send_tcp("192.0.2.6:5060", "x", 4);
    assert_eq!(bench.seen(), ["close", "ticket 4 failed: too many connections"]);
}

#[test]
fn a_silent_or_stalling_peer_is_closed_and_a_live_one_is_not() {
    let mut bench = Bench::new();
    let (silent, stalling, live) = (LINK, LinkId(LinkId::ACCEPTED | 2), LinkId(LinkId::ACCEPTED | 3));
    bench.accept(silent, "203.0.113.1:1");
    bench.accept(stalling, "203.0.113.2:1");
    bench.accept(live, "203.0.113.3:1");
    bench.receive(live, OPTIONS);
    bench.seen();
    bench.advance(29);
    bench.receive(stalling, &OPTIONS[..20]);
    bench.advance(2);
    assert_eq!(bench.seen(), ["close", "flow lost"], "the silent one");
    bench.advance(60);
    assert_eq!(bench.seen(), ["close", "flow lost"], "the stalling one");
    bench.advance(3 * 3600);
    assert_eq!(bench.seen(), ["close", "flow lost"], "the idle one");
    assert_eq!(bench.transports.next_timeout(), None);
}

#[test]
fn an_undeliverable_datagram_fails_the_tickets_of_its_destination() {
    let mut bench = Bench::new();
    for (remote, ticket) in [(PEER, 1), (STRANGER, 2), (PEER, 3), (PEER, 0)] {
        let exit = Exit::Hop { hop: hop(Transport::Udp, remote), local: at(OURS) };
        bench.transports.send(bench.now, exit, b"x".to_vec(), Ticket(ticket));
    }
    bench.seen();
    bench.transports.datagram_failed(at(PEER), "port unreachable");
    assert_eq!(bench.seen(), ["ticket 1 failed: port unreachable", "ticket 3 failed: port unreachable"]);
    bench.transports.datagram_failed(at(PEER), "port unreachable");
    assert_eq!(bench.seen(), [""; 0]);
}

#[test]
fn a_hop_of_another_address_family_fails_at_once() {
    let mut bench = Bench::new();
    let exit = Exit::Hop { hop: hop(Transport::Udp, "[2001:db8::1]:5060"), local: at(OURS) };
    bench.transports.send(bench.now, exit, b"x".to_vec(), Ticket(1));
    assert_eq!(bench.seen(), ["ticket 1 failed: no address of that family"]);
}
