//! Endpoints that talk to each other: handshake, answers, failover, watchdog, goodbye.

mod lab;
mod refusals;

use super::*;
use crate::cx::*;
use crate::dictionary::{DEVICE_WATCHDOG, avp};
use crate::wire::{FLAG_RETRANSMITTED, Message};
use lab::*;
use std::time::Duration;

const REALM: &str = "ims.example";

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

/// RFC 6733 §8.16: the peer lost power, and the transport never said so.
#[test]
fn a_peer_that_started_anew_takes_the_place_of_its_former_life() {
    let (mut lab, icscf, hss) = pair(22);
    lab.heard(hss);
    lab.advance(Duration::from_secs(5));
    // The process is new, and nobody closes the old connection: its end leads nowhere.
    lab.pipes[0][0].1 = ConnId(9999);
    let mut config = EndpointConfig::new("icscf.ims.example", REALM);
    config.peers = vec![connect_to(13, Some("hss"), 0)];
    lab.nodes[icscf].endpoint = Endpoint::new(config, Entropy::seeded(99));
    lab.input(icscf, EndpointInput::Start);
    let peer = "icscf.ims.example".to_owned();
    let reason = "the peer started anew".to_owned();
    assert_eq!(
        lab.heard(hss),
        [EndpointOutput::PeerDown { peer: peer.clone(), reason }, EndpointOutput::PeerUp { peer }]
    );
    lab.ask(icscf, 1, None);
    assert_eq!(lab.asked(hss).len(), 1);
}

/// RFC 6733 §5.6, R-Reject: what stands is kept.
#[test]
fn a_second_connection_of_a_connected_peer_is_closed() {
    let (mut lab, _, hss) = pair(23);
    let conn = ConnId::accepted(50);
    lab.pipes.push([(hss, conn), (hss, ConnId(77))]);
    lab.input(hss, EndpointInput::Accepted { conn, remote: addr(11) });
    let cer = crate::capabilities::Capabilities::own("icscf.ims.example", REALM, "again", &[]);
    lab.input(hss, EndpointInput::Bytes { conn, bytes: &cer.encode_request(1, 1) });
    assert_eq!(lab.pipes.len(), 1);
    assert_eq!(lab.open_peers(hss).len(), 1);
}

#[test]
fn equal_peers_take_turns() {
    let mut lab = Lab::new(24);
    let icscf = lab.node(11, "icscf", vec![connect_to(13, None, 1), connect_to(14, None, 1)]);
    let first = lab.node(13, "hss-1", vec![accept_from(11, "icscf")]);
    let second = lab.node(14, "hss-2", vec![accept_from(11, "icscf")]);
    lab.start();
    for id in 0..10 {
        lab.ask(icscf, id, None);
    }
    assert_eq!((lab.asked(first).len(), lab.asked(second).len()), (5, 5));
}

#[test]
fn what_is_answered_during_the_goodbye_still_counts_and_the_rest_fails() {
    let (mut lab, icscf, hss) = pair(25);
    lab.heard(icscf);
    lab.ask(icscf, 1, None);
    lab.ask(icscf, 2, None);
    let asked = lab.asked(hss);
    // The goodbye is on its way when the HSS answers the first.
    lab.nodes[icscf].endpoint.handle(lab.now, EndpointInput::Stop);
    lab.answer(hss, asked[0], CxResult::SUCCESS);
    assert_eq!(lab.answers(icscf), [(1, Ok(CxResult::SUCCESS)), (2, Err(CxFailure::NoPeer))]);
    lab.ask(icscf, 3, None);
    assert_eq!(lab.answers(icscf), [(3, Err(CxFailure::NoPeer))]);
    lab.advance(Duration::from_secs(600));
    assert_eq!(lab.open_peers(icscf), [], "nobody is called again");
}
