//! A node with the plainest role, driven by SIP text: what RFC 3261 §16 and §17 ask of every proxy.

mod flood;
mod hostile;
mod routing;

use super::*;
use crate::bucket::ShardId;
use crate::flow::{Flow, Source};
use crate::input::{Exit, Ticket};
use crate::query::Answer;
use crate::role::{Branch, Failure, Next};
use sip_core::Status;
use std::net::SocketAddr;

/// Forwards everything; a request to `fork@` goes to two contacts.
#[derive(Debug, Default)]
struct Relay {
    failures: Vec<String>,
}

impl Role for Relay {
    type Waiting = ();
    type Timer = ();
    type Data = ();
    type Command = ();
    type Notice = ();
    const NAME: &'static str = "relay";

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        if message.uri().starts_with(b"sip:refused@") {
            return Err(Reject::new(Status::FORBIDDEN, "not here"));
        }
        if message.uri().starts_with(b"sip:fork@") {
            turn.fork_into(request, 2);
            for contact in ["sip:one@127.0.0.21", "sip:two@127.0.0.22"] {
                let mut edits = turn.edits();
                edits.set_uri(contact);
                turn.forward(request, edits, Target::Uri(contact.into()));
            }
            return Ok(());
        }
        let edits = turn.edits();
        turn.forward(request, edits, Target::of(message));
        Ok(())
    }

    fn answer(
        &mut self,
        _: &mut Turn<'_, Self>,
        _: Option<&Incoming>,
        (): (),
        _: Answer,
    ) -> Result<(), Reject> {
        Ok(())
    }

    fn failed(
        &mut self,
        _: &mut Turn<'_, Self>,
        _: &Incoming,
        _: Branch,
        failure: Failure<'_>,
    ) -> Result<Next, Reject> {
        self.failures.push(match failure {
            Failure::Response(response) => response.status().unwrap().code().to_string(),
            Failure::Timeout { .. } => "timeout".to_owned(),
            Failure::Unreachable(why) => why.to_owned(),
        });
        Ok(Next::Collect)
    }
}

struct Bench {
    node: Node<Relay>,
    now: Now,
}

const UPSTREAM: &str = "127.0.0.1:5060";

impl Bench {
    fn new() -> Bench {
        let address: SocketAddr = "127.0.0.9:5060".parse().unwrap();
        let locals =
            [Transport::Udp, Transport::Tcp].map(|transport| Local { side: Side::Core, transport, address });
        let setup = Setup::new(locals.to_vec(), StaticNames::new(), Entropy::seeded(1));
        Bench { node: Node::new(Relay::default(), setup), now: Now::default() }
    }

    fn source(remote: &str) -> Source {
        Source {
            flow: Flow { shard: ShardId(0), slot: 1, generation: 0 },
            transport: Transport::Udp,
            local: "127.0.0.9:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            trust: Trust::Domain,
            secured: None,
        }
    }

    /// What leaves after a message from `remote`: where to, and the text.
    fn receive(&mut self, remote: &str, text: &str) -> Vec<(String, String)> {
        let bytes = text.replace('\n', "\r\n").into_bytes();
        self.node.handle(self.now, Input::Message { source: Bench::source(remote), bytes });
        self.drain()
    }

    fn advance(&mut self, by: Duration) -> Vec<(String, String)> {
        let until = self.now.instant + by;
        let mut sent = Vec::new();
        while let Some((at, _)) = self.node.next_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.after(at.since(self.now.instant));
            self.node.handle(self.now, Input::Timeout);
            sent.extend(self.drain());
        }
        self.now = self.now.after(until.since(self.now.instant));
        sent
    }

    fn drain(&mut self) -> Vec<(String, String)> {
        let mut sent = Vec::new();
        while let Some(output) = self.node.poll_output() {
            if let Output::Send { exit, bytes, .. } = output {
                let to = match exit {
                    Exit::Flow { .. } => "back".to_owned(),
                    Exit::Secured { set, .. } => format!("secured {set}"),
                    Exit::Hop { hop, .. } => hop.to_string(),
                };
                sent.push((to, String::from_utf8(bytes).unwrap()));
            }
        }
        sent
    }

    fn is_empty(&self) -> bool {
        self.node.open() == (0, 0, 0)
    }
}

fn request(method: &str, uri: &str, branch: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {UPSTREAM};branch=z9hG4bK{branch}\nMax-Forwards: 70\n\
         From: <sip:alice@example.org>;tag=a1\nTo: <{uri}>\nCall-ID: c-{branch}\nCSeq: 1 {method}\n\
         Content-Length: 0\n\n"
    )
}

/// The response of the next hop to a request that was sent to it.
fn response(to: &str, status: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\n");
    for line in to.split("\r\n").skip(1).take_while(|line| !line.is_empty()) {
        if ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            text += &format!("{line}\n");
        } else if line.starts_with("To:") {
            text += &format!("{line};tag=b-{}\n", status.len());
        }
    }
    text + "Content-Length: 0\n\n"
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap()
}

#[test]
fn a_request_goes_on_with_our_via_and_its_response_comes_back_without() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &request("OPTIONS", "sip:bob@127.0.0.20:5070", "1"));
    let [(to, forwarded)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(to, "udp:127.0.0.20:5070");
    assert!(forwarded.starts_with(
        "OPTIONS sip:bob@127.0.0.20:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:5060;branch=z9hG4bK"
    ));
    assert!(forwarded.contains("\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\n"));
    assert!(forwarded.contains("\r\nMax-Forwards: 69\r\n"));
    let sent = bench.receive("127.0.0.20:5070", &response(forwarded, "200 OK"));
    let [(to, passed)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(to, "back");
    assert!(passed.starts_with("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\nFrom:"));
}

#[test]
fn a_retransmitted_request_gets_the_same_bytes_again_and_is_not_forwarded_twice() {
    let mut bench = Bench::new();
    let text = request("OPTIONS", "sip:bob@127.0.0.20", "1");
    let forwarded = bench.receive(UPSTREAM, &text);
    assert!(bench.receive(UPSTREAM, &text).is_empty());
    let passed = bench.receive("127.0.0.20:5060", &response(&forwarded[0].1, "200 OK"));
    assert_eq!(bench.receive(UPSTREAM, &text), passed);
    bench.advance(Duration::from_secs(64));
    assert!(bench.is_empty(), "{:?}", bench.node.open());
}

#[test]
fn an_invite_gets_100_at_once_and_the_ack_to_its_200_goes_through() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &request("INVITE", "sip:bob@127.0.0.20", "1"));
    assert_eq!(first_line(&sent[0].1), "SIP/2.0 100 Trying");
    let forwarded = sent[1].1.clone();
    for status in ["180 Ringing", "200 OK", "200 OK"] {
        let sent = bench.receive("127.0.0.20:5060", &response(&forwarded, status));
        assert_eq!(sent.len(), 1, "each provisional, 2xx and retransmitted 2xx is passed");
        assert_eq!(first_line(&sent[0].1), format!("SIP/2.0 {status}"));
    }
    let ack = request("ACK", "sip:bob@127.0.0.20", "2").replace("c-2", "c-1");
    let sent = bench.receive(UPSTREAM, &ack);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].1.starts_with("ACK sip:bob@127.0.0.20 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:5060"));
    bench.advance(Duration::from_secs(64));
    assert!(bench.is_empty(), "{:?}", bench.node.open());
}

#[test]
fn a_refused_invite_is_acknowledged_on_each_hop() {
    let mut bench = Bench::new();
    let forwarded = bench.receive(UPSTREAM, &request("INVITE", "sip:bob@127.0.0.20", "1"))[1].1.clone();
    let sent = bench.receive("127.0.0.20:5060", &response(&forwarded, "486 Busy Here"));
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent[0].1.starts_with("ACK sip:bob@127.0.0.20 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:5060"));
    assert_eq!(sent[0].1.matches("Via:").count(), 1);
    assert_eq!(first_line(&sent[1].1), "SIP/2.0 486 Busy Here");
    let again = bench.advance(Duration::from_millis(500));
    assert_eq!(again[0].1, sent[1].1, "timer G sends the same bytes");
    let ack = request("ACK", "sip:bob@127.0.0.20", "1");
    assert!(bench.receive(UPSTREAM, &ack).is_empty());
    assert!(bench.advance(Duration::from_secs(64)).is_empty());
    assert!(bench.is_empty(), "{:?}", bench.node.open());
}

#[test]
fn a_cancel_is_answered_and_follows_the_invite_once_it_was_provisionally_answered() {
    let mut bench = Bench::new();
    let forwarded = bench.receive(UPSTREAM, &request("INVITE", "sip:bob@127.0.0.20", "1"))[1].1.clone();
    let sent = bench.receive(UPSTREAM, &request("CANCEL", "sip:bob@127.0.0.20", "1"));
    assert_eq!(sent.iter().map(|(_, text)| first_line(text)).collect::<Vec<_>>(), ["SIP/2.0 200 OK"]);
    let sent = bench.receive("127.0.0.20:5060", &response(&forwarded, "180 Ringing"));
    let cancel = sent.iter().find(|(_, text)| text.starts_with("CANCEL")).expect("a CANCEL").1.clone();
    let via = |text: &str| text.lines().nth(1).unwrap().to_owned();
    assert_eq!(via(&cancel), via(&forwarded), "RFC 3261 §9.1: the branch is the INVITE's");
    assert!(bench.receive("127.0.0.20:5060", &response(&cancel, "200 OK")).is_empty());
    let sent = bench.receive("127.0.0.20:5060", &response(&forwarded, "487 Request Terminated"));
    assert_eq!(first_line(&sent[1].1), "SIP/2.0 487 Request Terminated");
    bench.receive(UPSTREAM, &request("ACK", "sip:bob@127.0.0.20", "1"));
    bench.advance(Duration::from_secs(64));
    assert!(bench.is_empty(), "{:?}", bench.node.open());
}

#[test]
fn a_cancel_for_no_invite_gets_481() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &request("CANCEL", "sip:bob@127.0.0.20", "1"));
    assert_eq!(first_line(&sent[0].1), "SIP/2.0 481 Call/Transaction Does Not Exist");
}

#[test]
fn a_fork_waits_for_all_branches_and_a_200_cancels_the_others() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &request("INVITE", "sip:fork@example.org", "1"));
    let (one, two) = (sent[1].1.clone(), sent[2].1.clone());
    let sent = bench.receive("127.0.0.21:5060", &response(&one, "486 Busy Here"));
    assert!(sent.iter().all(|(_, text)| text.starts_with("ACK")), "the failure waits: {sent:?}");
    let sent = bench.receive("127.0.0.22:5060", &response(&two, "404 Not Found"));
    assert_eq!(first_line(&sent.last().unwrap().1), "SIP/2.0 486 Busy Here", "the first of the best class");

    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &request("INVITE", "sip:fork@example.org", "1"));
    let (one, two) = (sent[1].1.clone(), sent[2].1.clone());
    bench.receive("127.0.0.21:5060", &response(&one, "180 Ringing"));
    let sent = bench.receive("127.0.0.22:5060", &response(&two, "200 OK"));
    assert!(
        sent.iter().any(|(to, text)| to == "udp:127.0.0.21:5060" && text.starts_with("CANCEL")),
        "{sent:?}"
    );
}

#[test]
fn a_603_ends_the_search() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &request("INVITE", "sip:fork@example.org", "1"));
    let (one, two) = (sent[1].1.clone(), sent[2].1.clone());
    bench.receive("127.0.0.21:5060", &response(&one, "180 Ringing"));
    let sent = bench.receive("127.0.0.22:5060", &response(&two, "603 Decline"));
    assert!(sent.iter().any(|(_, text)| text.starts_with("CANCEL")), "{sent:?}");
    let sent = bench.receive("127.0.0.21:5060", &response(&one, "487 Request Terminated"));
    assert_eq!(first_line(&sent.last().unwrap().1), "SIP/2.0 603 Decline");
}

#[test]
fn silence_gives_a_408_to_an_invite_and_nothing_to_anything_else() {
    let mut bench = Bench::new();
    bench.receive(UPSTREAM, &request("INVITE", "sip:bob@127.0.0.20", "1"));
    let sent = bench.advance(Duration::from_secs(33));
    assert_eq!(sent.iter().filter(|(_, text)| text.starts_with("INVITE")).count(), 6, "timer A doubles");
    assert!(sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 408")), "{sent:?}");
    bench.receive(UPSTREAM, &request("ACK", "sip:bob@127.0.0.20", "1"));

    bench.receive(UPSTREAM, &request("OPTIONS", "sip:bob@127.0.0.20", "2"));
    let sent = bench.advance(Duration::from_secs(100));
    assert!(sent.iter().all(|(_, text)| text.starts_with("OPTIONS")), "RFC 4320 §4.2: no 408");
    assert_eq!(sent.len(), 10, "timer E doubles to T2");
    assert_eq!(bench.node.role().failures, ["timeout", "timeout"]);
    assert!(bench.is_empty(), "{:?}", bench.node.open());
}

#[test]
fn a_request_that_comes_back_unchanged_is_a_loop_and_a_changed_one_a_spiral() {
    let mut bench = Bench::new();
    let forwarded = bench.receive(UPSTREAM, &request("OPTIONS", "sip:bob@127.0.0.20", "1"))[0].1.clone();
    let back = forwarded.replace(
        "Via: SIP/2.0/UDP 127.0.0.9",
        "Via: SIP/2.0/UDP 127.0.0.20;branch=z9hG4bKx\nVia: SIP/2.0/UDP 127.0.0.9",
    );
    let sent = bench.receive("127.0.0.20:5060", &back.replace("\r\n", "\n"));
    assert_eq!(first_line(&sent[0].1), "SIP/2.0 482 Loop Detected");
    let spiral =
        back.replace("OPTIONS sip:bob@127.0.0.20", "OPTIONS sip:bob2@127.0.0.30").replace("bKx", "bKy");
    let sent = bench.receive("127.0.0.20:5060", &spiral.replace("\r\n", "\n"));
    assert_eq!(sent[0].0, "udp:127.0.0.30:5060");
}

#[test]
fn what_cannot_be_served_is_refused_with_its_reason() {
    for (change, status) in [
        (("Max-Forwards: 70", "Max-Forwards: 0"), "483 Too Many Hops"),
        (("Max-Forwards: 70", "Max-Forwards: 70\nProxy-Require: magic"), "420 Bad Extension"),
        (("Max-Forwards: 70", "Max-Forwards: 70\nMax-Breadth: 0"), "440 Max-Breadth Exceeded"),
        (("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"), "400 Bad Request"),
        (("SIP/2.0\nVia", "SIP/7.0\nVia"), "505 Version Not Supported"),
        (("Content-Length: 0", "Content-Length: 7"), "400 Bad Request"),
        (("sip:bob@127.0.0.20", "sip:refused@127.0.0.20"), "403 Forbidden"),
        (("sip:bob@127.0.0.20", "sip:bob@nowhere.invalid;transport=sctp"), "500 Server Internal Error"),
    ] {
        let mut bench = Bench::new();
        let text = request("OPTIONS", "sip:bob@127.0.0.20", "1").replacen(change.0, change.1, 1);
        let sent = bench.receive(UPSTREAM, &text);
        assert_eq!(first_line(&sent[0].1), format!("SIP/2.0 {status}"), "{change:?}");
        assert!(sent[0].1.contains("\r\nWarning: 399 "), "{sent:?}");
        bench.advance(Duration::from_secs(64));
        assert!(bench.is_empty(), "{change:?} {:?}", bench.node.open());
    }
}

#[test]
fn rport_brings_the_response_back_to_where_the_packet_came_from() {
    let mut bench = Bench::new();
    let text = request("OPTIONS", "sip:refused@127.0.0.20", "1").replace(";branch", ";rport;branch");
    let sent = bench.receive("127.0.0.77:40000", &text);
    assert_eq!(sent[0].0, "back");
    assert!(
        sent[0]
            .1
            .contains("Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;received=127.0.0.77;rport=40000\r\n"),
        "{sent:?}"
    );
    let sent = bench.receive("127.0.0.77:40000", &request("OPTIONS", "sip:refused@127.0.0.20", "2"));
    assert_eq!(sent[0].0, "udp:127.0.0.77:5060", "RFC 3261 §18.2.2: without rport the port is the sent-by's");
}

#[test]
fn a_large_request_tries_tcp_and_comes_back_to_udp_when_that_is_refused() {
    let mut bench = Bench::new();
    let text = request("MESSAGE", "sip:bob@127.0.0.20", "1")
        .replace("Content-Length: 0\n\n", &format!("Content-Length: 1400\n\n{}", "x".repeat(1400)));
    let bytes = text.replace('\n', "\r\n").into_bytes();
    bench.node.handle(bench.now, Input::Message { source: Bench::source(UPSTREAM), bytes });
    let Some(Output::Send { exit: Exit::Hop { hop, .. }, ticket, bytes }) = bench.node.poll_output() else {
        panic!()
    };
    assert_eq!(hop.to_string(), "tcp:127.0.0.20:5060");
    assert!(String::from_utf8(bytes).unwrap().contains("\r\nVia: SIP/2.0/TCP 127.0.0.9:5060;branch="));
    assert_ne!(ticket, Ticket::default());
    bench.node.handle(bench.now, Input::SendFailed { ticket, why: "connection refused" });
    let sent = bench.drain();
    assert_eq!(sent[0].0, "udp:127.0.0.20:5060");
    assert!(sent[0].1.contains("\r\nVia: SIP/2.0/UDP 127.0.0.9:5060;branch="));
    assert_eq!(sent[0].1.matches("Via:").count(), 2);
}

#[test]
fn a_response_to_no_transaction_goes_nowhere() {
    let mut bench = Bench::new();
    let forwarded = bench.receive(UPSTREAM, &request("OPTIONS", "sip:bob@127.0.0.20", "1"))[0].1.clone();
    let mut forged = response(&forwarded, "200 OK");
    let at = forged.find("z9hG4bK").unwrap() + 30;
    let other = if forged.as_bytes()[at] == b'a' { "b" } else { "a" };
    forged.replace_range(at..=at, other);
    assert!(bench.receive("127.0.0.20:5060", &forged).is_empty());
    assert_eq!(bench.node.counters().get("dropped", "response to no transaction"), 1);
}

#[test]
fn a_draining_node_refuses_new_work_and_finishes_the_old() {
    let mut bench = Bench::new();
    let forwarded = bench.receive(UPSTREAM, &request("OPTIONS", "sip:bob@127.0.0.20", "1"))[0].1.clone();
    bench.node.handle(bench.now, Input::Event(Event::Draining));
    let sent = bench.receive(UPSTREAM, &request("OPTIONS", "sip:bob@127.0.0.20", "2"));
    assert_eq!(first_line(&sent[0].1), "SIP/2.0 503 Service Unavailable");
    assert!(sent[0].1.contains("\r\nRetry-After: 10\r\n"));
    assert!(!bench.node.is_idle());
    let sent = bench.receive("127.0.0.20:5060", &response(&forwarded, "200 OK"));
    assert_eq!(first_line(&sent[0].1), "SIP/2.0 200 OK");
    assert!(bench.node.is_idle());
}

#[test]
fn the_next_hop_of_a_request_is_its_top_route_else_its_uri() {
    let text = request("OPTIONS", "sip:bob@127.0.0.20", "1")
        .replace("Max-Forwards", "Route: <sip:127.0.0.30;lr>\nMax-Forwards");
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &text);
    assert_eq!(sent[0].0, "udp:127.0.0.30:5060");
}

#[test]
fn timer_c_cancels_a_call_that_rings_for_ever() {
    let mut bench = Bench::new();
    let forwarded = bench.receive(UPSTREAM, &request("INVITE", "sip:bob@127.0.0.20", "1"))[1].1.clone();
    bench.receive("127.0.0.20:5060", &response(&forwarded, "180 Ringing"));
    bench.advance(Duration::from_secs(180));
    bench.receive("127.0.0.20:5060", &response(&forwarded, "180 Ringing"));
    let sent = bench.advance(Duration::from_secs(180));
    assert!(sent.is_empty(), "each provisional response starts Timer C anew: {sent:?}");
    let sent = bench.advance(Duration::from_secs(6));
    assert!(sent[0].1.starts_with("CANCEL sip:bob@127.0.0.20 SIP/2.0"), "{sent:?}");
    let sent = bench.receive("127.0.0.20:5060", &response(&forwarded, "487 Request Terminated"));
    assert_eq!(first_line(&sent.last().unwrap().1), "SIP/2.0 487 Request Terminated");
}

#[test]
fn a_cancelled_branch_that_never_ends_is_given_up() {
    let mut bench = Bench::new();
    let forwarded = bench.receive(UPSTREAM, &request("INVITE", "sip:bob@127.0.0.20", "1"))[1].1.clone();
    bench.receive("127.0.0.20:5060", &response(&forwarded, "180 Ringing"));
    bench.receive(UPSTREAM, &request("CANCEL", "sip:bob@127.0.0.20", "1"));
    let sent = bench.advance(Duration::from_secs(33));
    assert!(
        sent.iter().any(|(_, text)| text.starts_with("SIP/2.0 487")),
        "RFC 3261 §9.1: 64*T1 later: {sent:?}"
    );
}

#[test]
fn a_fork_shares_its_breadth() {
    let mut bench = Bench::new();
    let text = request("INVITE", "sip:fork@example.org", "1")
        .replace("Max-Forwards", "Max-Breadth: 5\nMax-Forwards");
    let sent = bench.receive(UPSTREAM, &text);
    let breadths: Vec<_> =
        sent[1..].iter().map(|(_, text)| text.contains("\r\nMax-Breadth: 2\r\n")).collect();
    assert_eq!(breadths, [true, true], "{sent:?}");
}

#[test]
fn requests_of_rfc_2543_are_told_apart_without_a_branch() {
    let mut bench = Bench::new();
    let old = |number: u8| {
        request("OPTIONS", "sip:bob@127.0.0.20", "1")
            .replace(";branch=z9hG4bK1", "")
            .replace("CSeq: 1", &format!("CSeq: {number}"))
    };
    assert_eq!(bench.receive(UPSTREAM, &old(1)).len(), 1);
    assert_eq!(bench.receive(UPSTREAM, &old(1)).len(), 0, "the same request again");
    assert_eq!(bench.receive(UPSTREAM, &old(2)).len(), 1, "another request");
    let bare = |number: u8| old(number).replace(UPSTREAM, &format!("{UPSTREAM};branch=z9hG4bK"));
    assert_eq!(bench.receive(UPSTREAM, &bare(3)).len(), 1);
    assert_eq!(bench.receive(UPSTREAM, &bare(4)).len(), 1, "RFC 4475 §3.2.1: the bare cookie names nothing");
}
