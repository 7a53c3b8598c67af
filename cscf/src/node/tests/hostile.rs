//! What a peer that means harm may send: nothing of it may stay behind.

use super::*;

/// An INVITE with `lines` header lines in all.
fn invite_with_headers(lines: usize) -> String {
    let plain = request("INVITE", "sip:bob@127.0.0.20", "1");
    let (head, rest) = plain.split_once("Content-Length").unwrap();
    let more: String = (7..lines).map(|number| format!("X-{number}: x\n")).collect();
    format!("{head}{more}Content-Length{rest}")
}

#[test]
fn a_refused_invite_with_as_many_headers_as_are_let_in_is_acknowledged() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &invite_with_headers(Limits::default().headers));
    let forwarded = sent[1].1.clone();
    let sent = bench.receive("127.0.0.20:5060", &response(&forwarded, "486 Busy Here"));
    assert!(sent[0].1.starts_with("ACK sip:bob@127.0.0.20 SIP/2.0\r\n"), "{sent:?}");
}

#[test]
fn a_ringing_invite_with_as_many_headers_as_are_let_in_is_cancelled_in_the_end() {
    let mut bench = Bench::new();
    let sent = bench.receive(UPSTREAM, &invite_with_headers(Limits::default().headers));
    bench.receive("127.0.0.20:5060", &response(&sent[1].1, "180 Ringing"));
    let sent = bench.advance(Duration::from_secs(400));
    assert!(sent.iter().any(|(_, text)| text.starts_with("CANCEL ")), "{sent:?}");
    assert!(bench.is_empty(), "{:?}", bench.node.open());
}

#[test]
fn an_invite_too_long_to_be_sent_on_fails_and_leaves_nothing_behind() {
    let mut bench = Bench::new();
    let plain = request("INVITE", "sip:bob@127.0.0.20", "1");
    let filler = 65_535 - plain.replace('\n', "\r\n").len() - "Subject: \r\n".len();
    let long = plain.replace("Content-Length", &format!("Subject: {}\nContent-Length", "x".repeat(filler)));
    let sent = bench.receive(UPSTREAM, &long);
    let lines: Vec<_> = sent.iter().map(|(_, text)| first_line(text)).collect();
    assert_eq!(lines, ["SIP/2.0 100 Trying", "SIP/2.0 500 Server Internal Error"]);
    bench.advance(Duration::from_secs(400));
    assert!(bench.is_empty(), "{:?}", bench.node.open());
}
