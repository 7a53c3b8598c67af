//! A function of several shards, told as what its driver sees.

use super::super::parcel::Content;
use super::super::tests::{ACCEPTED, Ask, OPTIONS, OURS, PEER, Probe, at, endpoint};
use super::*;
use crate::bucket::{Bucket, Share, TokenKey};
use crate::flow::{Flow, Local, Side, Transport};
use crate::input::{Exit, Ticket};
use crate::node::Setup;
use crate::query::{Answer, Query, Record};
use crate::resolve::StaticNames;
use crate::transport::{TransportLimits, Transports, TrustList};
use ambient::Entropy;
use diameter_client::endpoint::Endpoint;
use std::time::Duration;

fn key() -> TokenKey {
    TokenKey::from_key((3, 4))
}

fn station(share: Share, endpoint: Option<Endpoint>) -> Station<Probe> {
    let mut entropy = Entropy::seeded(1 + u64::from(share.id().0));
    let local = |transport| Local { side: Side::Core, transport, address: at(OURS) };
    let locals = vec![local(Transport::Udp), local(Transport::Tcp)];
    let limits = TransportLimits::default();
    let transports =
        Transports::of_shard(share.id(), locals.clone(), TrustList::none(), limits, &mut entropy);
    let setup = Setup { share, token_key: Some(key()), ..Setup::new(locals, StaticNames::new(), entropy) };
    Station::new(Node::new(Probe, setup), transports, endpoint)
}

fn two() -> Shards<Probe> {
    let mut shards = Shards::new(Share::split(2).map(|share| station(share, None)).collect());
    input(&mut shards, WireInput::Start { restored: Vec::new() });
    shards
}

/// Shard 1 of 2, by itself.
fn second() -> Station<Probe> {
    let share = Share::split(2).last().expect("two shards");
    let mut station = station(share, None);
    input(&mut station, WireInput::Start { restored: Vec::new() });
    station
}

fn input(machine: &mut impl Machine, input: WireInput) -> Vec<WireOutput> {
    input_at(machine, Now::default(), input)
}

fn input_at(machine: &mut impl Machine, now: Now, input: WireInput) -> Vec<WireOutput> {
    machine.handle(now, input);
    std::iter::from_fn(|| machine.poll_output()).collect()
}

/// An OPTIONS whose home is `shard` of two: its Call-ID says so.
fn options_of(shard: ShardId) -> Vec<u8> {
    let share = Share::split(2).last().expect("two shards");
    let call_id = (0..100)
        .map(|n| format!("call-{n}"))
        .find(|call_id| share.home(key().bucket(call_id.as_bytes())) == shard)
        .expect("one of a hundred");
    let options = String::from_utf8_lossy(OPTIONS);
    options.replace("Call-ID: 1\r\n", &format!("Call-ID: {call_id}\r\n")).into_bytes()
}

fn notices(machine: &mut impl Operated<Notice = String>) -> Vec<String> {
    std::iter::from_fn(|| machine.poll_notice()).collect()
}

#[test]
fn a_datagram_is_answered_whichever_shard_hears_it() {
    let mut shards = two();
    for (number, home) in [ShardId(0), ShardId(1)].into_iter().enumerate() {
        let bytes = options_of(home);
        let outputs = input(&mut shards, WireInput::Datagram { local: at(OURS), remote: at(PEER), bytes });
        let [WireOutput::Datagram { local, remote, bytes }] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!((*local, *remote), (at(OURS), at(PEER)));
        assert!(bytes.starts_with(b"SIP/2.0 200 OK\r\n"));
        assert_eq!(shards.stations()[number].node().open().0, 1, "its transaction is at home");
    }
    assert_eq!(shards.handed_over(), 1, "the one that was heard elsewhere");
}

#[test]
fn what_came_by_a_connection_is_answered_by_it_and_its_end_is_told_to_all() {
    let mut shards = two();
    let accepted =
        WireInput::Accepted { link: ACCEPTED, protocol: Protocol::Sip, local: at(OURS), remote: at(PEER) };
    assert!(input(&mut shards, accepted).is_empty());
    for home in [ShardId(0), ShardId(1)] {
        let outputs = input(&mut shards, WireInput::Received { link: ACCEPTED, bytes: options_of(home) });
        let [WireOutput::Write { link: ACCEPTED, bytes }] = &outputs[..] else { panic!("{outputs:?}") };
        assert!(bytes.starts_with(b"SIP/2.0 200 OK\r\n"), "{home:?}");
    }
    notices(&mut shards);
    input(&mut shards, WireInput::Closed { link: ACCEPTED });
    assert_eq!(notices(&mut shards), ["flow lost", "flow lost"]);
}

#[test]
fn every_shard_asks_the_hss_by_the_first() {
    let mut shards = two();
    notices(&mut shards);
    shards.command(Now::default(), Ask::Cx);
    assert_eq!(notices(&mut shards), ["Cx(Err(NoPeer))", "Cx(Err(NoPeer))"]);
    let mut second = second();
    notices(&mut second);
    second.command(Now::default(), Ask::Cx);
    let Some(WireOutput::Parcel { shard: ShardId(0), parcel }) = second.poll_output() else {
        panic!("the question goes to shard 0");
    };
    input(&mut second, WireInput::ParcelReturned { shard: ShardId(0), parcel });
    assert_eq!(notices(&mut second), ["Cx(Err(Overload))"], "a full queue is an answer");
}

#[test]
fn a_message_that_no_connection_carries_fails_at_the_shard_that_waits_for_it() {
    let mut second = second();
    let flow = Flow { shard: ShardId(1), slot: 1 << 31, generation: 1 };
    let exit = Exit::Flow { flow, or: None };
    let send = |ticket| Parcel::new(Content::Send { exit, bytes: OPTIONS.to_vec(), ticket });
    let told = |outputs: Vec<WireOutput>| -> Vec<String> {
        outputs.iter().map(|output| format!("{output:?}")).collect()
    };
    let waited = input(&mut second, WireInput::Parcel { from: ShardId(0), parcel: send(Ticket(7 << 32)) });
    assert!(
        matches!(
            &waited[..],
            [WireOutput::Parcel {
                shard: ShardId(0),
                parcel: Parcel { content: Content::SendFailed { ticket: Ticket(0x7_0000_0000), .. }, .. }
            }]
        ),
        "{:?}",
        told(waited)
    );
    let unwaited = input(&mut second, WireInput::Parcel { from: ShardId(0), parcel: send(Ticket(0)) });
    assert!(unwaited.is_empty(), "{:?}", told(unwaited));
}

#[test]
fn a_request_for_a_busy_shard_is_refused_and_its_ack_is_not() {
    let mut second = second();
    let mut refused = |bytes: Vec<u8>| {
        let parcel = Parcel::new(Content::Datagram { local: at(OURS), remote: at(PEER), bytes });
        input(&mut second, WireInput::ParcelReturned { shard: ShardId(0), parcel })
    };
    let outputs = refused(OPTIONS.to_vec());
    let [WireOutput::Datagram { remote, bytes, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(*remote, at(PEER));
    assert!(text.starts_with("SIP/2.0 503 ") && text.contains("Retry-After: 5\r\n"), "{text}");
    let ack = String::from_utf8_lossy(OPTIONS).replace("OPTIONS", "ACK");
    assert!(refused(ack.into_bytes()).is_empty());
    assert!(refused(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n".to_vec()).is_empty());
}

#[test]
fn news_that_a_busy_shard_did_not_hear_is_said_again_in_order() {
    let mut second = second();
    for stands in [true, false] {
        let parcel = Parcel::new(Content::Alias { identity: 7, owner: Bucket::new(1), stands });
        assert!(input(&mut second, WireInput::ParcelReturned { shard: ShardId(0), parcel }).is_empty());
    }
    let (due, _) = second.next_timeout().expect("a time to say it again");
    assert!(input(&mut second, WireInput::Timeout).is_empty(), "not before its time");
    let later = Now { instant: due, ..Now::default() };
    let said = input_at(&mut second, later, WireInput::Timeout);
    let order: Vec<bool> = said
        .iter()
        .map(|output| match output {
            WireOutput::Parcel { parcel: Parcel { content: Content::Alias { stands, .. }, .. }, .. } => {
                *stands
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, [true, false]);
}

#[test]
fn the_hss_is_left_when_the_last_shard_has_no_work() {
    let mut stations: Vec<_> = Share::split(2).map(|share| station(share, None)).collect();
    stations[0] = station(Share::split(2).next().expect("two shards"), Some(endpoint()));
    let mut shards = Shards::new(stations);
    input(&mut shards, WireInput::Start { restored: Vec::new() });
    notices(&mut shards);
    shards.stations[1].command(Now::default(), Ask::Store);
    shards.carry(Now::default());
    let outputs: Vec<_> = std::iter::from_fn(|| shards.poll_output()).collect();
    let id = outputs.iter().find_map(|output| match output {
        WireOutput::Query { id, query: Query::Store(_) } => Some(*id),
        _ => None,
    });
    input(&mut shards, WireInput::Drain);
    assert!(!shards.is_drained() && !shards.stations[0].is_drained(), "the other one waits for the store");
    let id = id.expect("the role stores");
    input(&mut shards, WireInput::Answered { id, answer: Answer::Stored(Ok(())) });
    assert!(shards.is_drained());
}

#[test]
fn the_first_shard_stores_the_key_of_all() {
    let mut shards = Shards::new(Share::split(3).map(|share| station(share, None)).collect());
    let outputs = input(&mut shards, WireInput::Start { restored: Vec::new() });
    let [WireOutput::Query { query: Query::Store(records), .. }] = &outputs[..] else {
        panic!("one write: {outputs:?}");
    };
    let restored: Vec<Record> = records.clone();
    let mut again = Shards::new(Share::split(2).map(|share| station(share, None)).collect());
    for station in &mut again.stations {
        station.node_mut().set_token_key(TokenKey::from_key((0, 0)));
    }
    assert!(input(&mut again, WireInput::Start { restored }).is_empty());
    assert!(again.stations().iter().all(|station| station.node().token_key().key() == key().key()));
}

#[test]
fn a_full_queue_between_shards_is_a_refusal_and_not_growth() {
    let mut shards = two().with_parcels_max(0);
    let mut refused = 0;
    for home in [ShardId(0), ShardId(1)] {
        let bytes = options_of(home);
        let outputs =
            input_at(&mut shards, later(), WireInput::Datagram { local: at(OURS), remote: at(PEER), bytes });
        let [WireOutput::Datagram { bytes, .. }] = &outputs[..] else { panic!("{outputs:?}") };
        refused += usize::from(bytes.starts_with(b"SIP/2.0 503 "));
    }
    assert_eq!(refused, 1, "the one that was heard elsewhere");
}

fn later() -> Now {
    Now::default().after(Duration::from_secs(1))
}
