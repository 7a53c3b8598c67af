//! One source that floods: it gets its share of the tables, and the others theirs.

use super::*;

impl Bench {
    /// A node that lets a source outside of the trust domain have two open requests.
    fn with_quota() -> Bench {
        let mut bench = Bench::new();
        bench.node.core.quota = Quota::new(2, bench.node.core.hash_state);
        bench
    }

    /// The status line that a request from outside gets at once, if any.
    fn ask(&mut self, remote: &str, text: &str) -> Option<String> {
        let source = Source { trust: Trust::Outside, ..Bench::source(remote) };
        let bytes = text.replace('\n', "\r\n").into_bytes();
        self.node.handle(self.now, Input::Message { source, bytes });
        let sent = self.drain();
        sent.iter().map(|(_, text)| first_line(text).to_owned()).find(|line| line.starts_with("SIP/2.0 "))
    }
}

fn options(branch: &str) -> String {
    request("OPTIONS", "sip:bob@127.0.0.20", branch)
}

const REFUSED: &str = "SIP/2.0 503 Service Unavailable";

#[test]
fn a_source_that_floods_is_refused_and_another_one_is_served() {
    let mut bench = Bench::with_quota();
    assert_eq!(bench.ask("192.0.2.1:5060", &options("1")), None);
    assert_eq!(bench.ask("192.0.2.1:5061", &options("2")), None);
    assert_eq!(bench.ask("192.0.2.1:5062", &options("3")).as_deref(), Some(REFUSED), "ports do not count");
    assert_eq!(bench.node.counters().get("refused", "too many open requests of one source"), 1);
    assert_eq!(bench.ask("192.0.2.1:5060", &options("1")), None, "a retransmission opens nothing");
    assert_eq!(bench.ask("192.0.2.2:5060", &options("4")), None);
    assert_eq!(bench.receive(UPSTREAM, &options("5")).len(), 1, "the trust domain has no quota");
}

#[test]
fn a_refused_request_counts_until_its_transaction_is_gone_and_then_no_more() {
    let mut bench = Bench::with_quota();
    let refused = |branch: &str| request("OPTIONS", "sip:refused@127.0.0.20", branch);
    for branch in ["1", "2"] {
        assert_eq!(bench.ask("192.0.2.1:5060", &refused(branch)).as_deref(), Some("SIP/2.0 403 Forbidden"));
    }
    assert_eq!(bench.ask("192.0.2.1:5060", &refused("3")).as_deref(), Some(REFUSED));
    bench.advance(Duration::from_secs(33));
    assert_eq!(bench.node.core.quota.len(), 0, "nobody is remembered");
    assert_eq!(
        bench.ask("192.0.2.1:5060", &refused("4")).as_deref(),
        Some("SIP/2.0 403 Forbidden"),
        "served again"
    );
}

#[test]
fn all_addresses_of_an_ipv6_network_are_one_source() {
    let mut bench = Bench::with_quota();
    assert_eq!(bench.ask("[2001:db8::1]:5060", &options("1")), None);
    assert_eq!(bench.ask("[2001:db8::2]:5060", &options("2")), None);
    assert_eq!(bench.ask("[2001:db8::3]:5060", &options("3")).as_deref(), Some(REFUSED));
    assert_eq!(bench.ask("[2001:db8:0:1::3]:5060", &options("4")), None, "another network");
}

#[test]
fn a_source_without_room_can_still_cancel() {
    let mut bench = Bench::with_quota();
    let invite = |method: &str| request(method, "sip:bob@127.0.0.20", "1");
    bench.ask("192.0.2.1:5060", &invite("INVITE"));
    bench.ask("192.0.2.1:5060", &options("2"));
    assert_eq!(bench.ask("192.0.2.1:5060", &invite("CANCEL")).as_deref(), Some("SIP/2.0 200 OK"));
    let stray = request("CANCEL", "sip:bob@127.0.0.20", "9");
    assert_eq!(bench.ask("192.0.2.1:5060", &stray).as_deref(), Some(REFUSED), "a CANCEL of nothing");
}

/// What was answered may come again for half a minute; that is no reason to refuse what is new.
#[test]
fn answered_requests_give_way_to_new_ones_the_oldest_first() {
    let mut bench = Bench::new();
    bench.node.core.contexts = Contexts(Table::with_max(3));
    let refused = |branch: &str| request("OPTIONS", "sip:refused@127.0.0.20", branch);
    for branch in ["1", "2", "3", "4", "5"] {
        assert_eq!(bench.ask("192.0.2.1:5060", &refused(branch)).as_deref(), Some("SIP/2.0 403 Forbidden"));
        bench.advance(Duration::from_millis(100));
    }
    assert_eq!(bench.node.counters().get("ended early", "answered request"), 2);
    assert_eq!((bench.node.open().0, bench.node.core.server_keys.len()), (3, 3), "nothing is left of them");
    bench.ask("192.0.2.1:5060", &refused("3"));
    assert_eq!(bench.node.counters().get("refused", "not here"), 5, "a retransmission of the third is known");
    for branch in ["6", "7", "8"] {
        bench.ask("192.0.2.1:5060", &options(branch));
    }
    assert_eq!(
        bench.ask("192.0.2.1:5060", &options("9")).as_deref(),
        Some(REFUSED),
        "what is under way stays"
    );
}
