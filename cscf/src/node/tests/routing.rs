//! Strict routers before and behind us (RFC 3261 §16.4, §16.6 step 6), hops that fail late, and challenges of a fork.

use super::*;

/// A URI that this node may have put into a Record-Route.
fn recorded_by(bench: &Bench) -> String {
    let token = bench.node.token_key().mint(crate::bucket::Bucket::new(1), "orig");
    format!("sip:{token}@127.0.0.9:5060;lr")
}

#[test]
fn what_a_strict_router_put_into_the_request_uri_is_put_back() {
    let mut bench = Bench::new();
    let ours = recorded_by(&bench);
    let text = request("INFO", &ours, "1").replace(
        "Max-Forwards",
        "Route: <sip:127.0.0.30;lr>\nRoute: <sip:bob@127.0.0.40:5070>\nMax-Forwards",
    );
    let sent = bench.receive(UPSTREAM, &text);
    let forwarded = &sent[0].1;
    assert!(forwarded.starts_with("INFO sip:bob@127.0.0.40:5070 SIP/2.0\r\n"), "{forwarded}");
    let routes: Vec<_> = forwarded.lines().filter(|line| line.starts_with("Route")).collect();
    assert_eq!(routes, [format!("Route: <{ours}>"), "Route: <sip:127.0.0.30;lr>".to_owned()]);
}

#[test]
fn a_request_uri_that_we_did_not_record_stays() {
    for uri in ["sip:aaaforgedtoken00000@127.0.0.9:5060;lr", "sip:bob@127.0.0.20"] {
        let mut bench = Bench::new();
        let text = request("INFO", uri, "1")
            .replace("Max-Forwards", "Route: <sip:127.0.0.30;lr>, <sip:127.0.0.31;lr>\nMax-Forwards");
        let sent = bench.receive(UPSTREAM, &text);
        assert!(sent[0].1.starts_with(&format!("INFO {uri} SIP/2.0\r\n")), "{sent:?}");
        assert!(sent[0].1.contains("\r\nRoute: <sip:127.0.0.30;lr>, <sip:127.0.0.31;lr>\r\n"), "{sent:?}");
    }
}

#[test]
fn a_strict_router_behind_us_gets_its_uri_as_the_request_uri() {
    let mut bench = Bench::new();
    let text = request("INFO", "sip:bob@127.0.0.20", "1")
        .replace("Max-Forwards", "Route: <sip:127.0.0.30>, <sip:127.0.0.31;lr>\nMax-Forwards");
    let sent = bench.receive(UPSTREAM, &text);
    let (to, forwarded) = &sent[0];
    assert_eq!(to, "udp:127.0.0.30:5060");
    assert!(forwarded.starts_with("INFO sip:127.0.0.30 SIP/2.0\r\n"), "{forwarded}");
    let routes: Vec<_> = forwarded.lines().filter(|line| line.starts_with("Route")).collect();
    assert_eq!(routes, ["Route: <sip:127.0.0.31;lr>", "Route: <sip:bob@127.0.0.20>"]);
}

#[test]
fn a_401_of_a_fork_carries_the_challenges_of_all_its_branches() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &request("INVITE", "sip:fork@example.org", "1"));
    let (one, two) = (sent[1].1.clone(), sent[2].1.clone());
    let challenge = |to: &str, status: &str, lines: &str| {
        response(to, status).replace("Content-Length", &format!("{lines}\nContent-Length"))
    };
    let first = challenge(&one, "401 Unauthorized", "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"");
    bench.receive("127.0.0.21:5060", &first);
    let second = challenge(
        &two,
        "407 Proxy Authentication Required",
        "Proxy-Authenticate: Digest realm=\"b\", nonce=\"2\"\nWWW-Authenticate: Digest realm=\"c\", nonce=\"3\"",
    );
    let sent = bench.receive("127.0.0.22:5060", &second);
    let passed = &sent.last().unwrap().1;
    assert_eq!(first_line(passed), "SIP/2.0 401 Unauthorized");
    let challenges: Vec<_> = passed.lines().filter(|line| line.contains("Authenticate: ")).collect();
    assert_eq!(
        challenges,
        [
            "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"",
            "WWW-Authenticate: Digest realm=\"c\", nonce=\"3\"",
            "Proxy-Authenticate: Digest realm=\"b\", nonce=\"2\"",
        ]
    );
}

#[test]
fn a_failure_that_beats_the_challenges_carries_none() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &request("INVITE", "sip:fork@example.org", "1"));
    let (one, two) = (sent[1].1.clone(), sent[2].1.clone());
    let challenge = response(&one, "401 Unauthorized")
        .replace("Content-Length", "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\nContent-Length");
    bench.receive("127.0.0.21:5060", &challenge);
    let sent = bench.receive("127.0.0.22:5060", &response(&two, "603 Decline"));
    let passed = &sent.last().unwrap().1;
    assert_eq!(first_line(passed), "SIP/2.0 603 Decline");
    assert!(!passed.contains("Authenticate"), "{passed}");
}

#[test]
fn the_late_failure_of_one_hop_does_not_end_the_next_one() {
    let mut bench = Bench::new();
    let text = request("MESSAGE", "sip:bob@127.0.0.20", "1")
        .replace("Content-Length: 0\n\n", &format!("Content-Length: 1400\n\n{}", "x".repeat(1400)));
    let bytes = text.replace('\n', "\r\n").into_bytes();
    bench.node.handle(bench.now, Input::Message { source: Bench::source(UPSTREAM), bytes });
    let Some(Output::Send { ticket: over_tcp, .. }) = bench.node.poll_output() else { panic!() };
    let failed = || Input::SendFailed { ticket: over_tcp, why: "connection refused" };
    bench.node.handle(bench.now, failed());
    let Some(Output::Send { ticket: over_udp, bytes, .. }) = bench.node.poll_output() else { panic!() };
    assert_ne!(over_tcp, over_udp);
    bench.node.handle(bench.now, failed());
    assert!(bench.drain().is_empty(), "the request over UDP goes on");
    assert_eq!(bench.node.counters().get("dropped", "failure of a hop given up before"), 1);
    let sent = bench.receive("127.0.0.20:5060", &response(&String::from_utf8(bytes).unwrap(), "200 OK"));
    assert_eq!(first_line(&sent[0].1), "SIP/2.0 200 OK");
}
