//! A station with a role of a few lines, told as what its driver sees.

use super::*;
use crate::flow::{Local, Side, Transport};
use crate::node::Setup;
use crate::reject::Reject;
use crate::resolve::StaticNames;
use crate::role::Incoming;
use crate::transport::{TransportLimits, TrustList};
use crate::turn::Turn;
use ambient::Entropy;
use diameter_client::cx::{CxRequest, Lir};
use diameter_client::endpoint::{Destination, EndpointConfig, PeerConfig, PeerRole, StreamTransport};
use sip_core::{Method, Status};

/// Answers every request, and asks the world on command.
pub(super) struct Probe;

#[derive(Clone, Debug)]
pub(super) enum Ask {
    Cx,
    Store,
}

impl Role for Probe {
    type Waiting = ();
    type Timer = ();
    type Data = ();
    type Command = Ask;
    type Notice = String;

    const NAME: &'static str = "probe";

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        if request.message.method() != Method::Ack {
            turn.reply(request, Status::OK, |response| response);
        }
        Ok(())
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        _: Option<&Incoming>,
        (): (),
        answer: Answer,
    ) -> Result<(), Reject> {
        turn.notice(format!("{answer:?}"));
        Ok(())
    }

    fn event(&mut self, turn: &mut Turn<'_, Self>, event: Event<Self>) {
        match event {
            Event::Restored(records) => turn.notice(format!("restored {}", records.len())),
            Event::Command(Ask::Cx) => {
                let request = CxRequest::Lir(Lir::default());
                let destination = Destination { realm: "home.example".to_owned(), host: None };
                turn.query(Query::Cx { request: Box::new(request), destination, trace: None }, ());
            }
            Event::Command(Ask::Store) => {
                turn.query(Query::Store(vec![Record { key: b"k".to_vec(), value: None }]), ());
            }
            Event::FlowLost(_) => turn.notice("flow lost".to_owned()),
            Event::Draining => turn.notice("draining".to_owned()),
        }
    }
}

pub(super) const OPTIONS: &[u8] = b"OPTIONS sip:p.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.5:5070;branch=z9hG4bK1\r\n\
    Max-Forwards: 70\r\nTo: <sip:p.example>\r\nFrom: <sip:a@a.example>;tag=1\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
    Content-Length: 0\r\n\r\n";
pub(super) const OURS: &str = "192.0.2.10:5060";
pub(super) const PEER: &str = "192.0.2.5:5070";
const HSS: &str = "192.0.2.13:3868";
pub(super) const ACCEPTED: LinkId = LinkId(LinkId::ACCEPTED | 1);

pub(super) fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn station(endpoint: Option<Endpoint>) -> Station<Probe> {
    let mut entropy = Entropy::seeded(1);
    let local = |transport| Local { side: Side::Core, transport, address: at(OURS) };
    let locals = vec![local(Transport::Udp), local(Transport::Tcp)];
    let limits = TransportLimits::default();
    let transports = Transports::new(locals.clone(), TrustList::none(), limits, &mut entropy);
    let setup = Setup::new(locals, StaticNames::new(), entropy);
    Station::new(Node::new(Probe, setup), transports, endpoint)
}

pub(super) fn endpoint() -> Endpoint {
    let mut config = EndpointConfig::new("probe.home.example", "home.example");
    config.host_ips = vec![at(OURS).ip()];
    config.peers = vec![PeerConfig {
        host: None,
        realm: "home.example".to_owned(),
        addr: at(HSS),
        transport: StreamTransport::Tcp,
        role: PeerRole::Connect,
        priority: 0,
    }];
    Endpoint::new(config, Entropy::seeded(2))
}

fn start(station: &mut Station<Probe>) -> Vec<WireOutput> {
    input(station, WireInput::Start { restored: Vec::new() })
}

fn input(station: &mut Station<Probe>, input: WireInput) -> Vec<WireOutput> {
    station.handle(Now::default(), input);
    std::iter::from_fn(|| station.poll_output()).collect()
}

fn notices(station: &mut Station<Probe>) -> Vec<String> {
    std::iter::from_fn(|| station.poll_notice()).collect()
}

#[test]
fn the_key_of_tokens_is_stored_once_and_taken_back_after_a_restart() {
    let mut first = station(None);
    let outputs = start(&mut first);
    let [WireOutput::Query { id, query: Query::Store(records) }] = &outputs[..] else {
        panic!("one write: {outputs:?}");
    };
    assert!(input(&mut first, WireInput::Answered { id: *id, answer: Answer::Stored(Ok(())) }).is_empty());
    assert_eq!(notices(&mut first), ["restored 0"], "the station's own write is no business of the role");

    let mut second = station(None);
    second.node_mut().set_token_key(TokenKey::from_key((1, 2)));
    let own = Record { key: b"own".to_vec(), value: Some(b"v".to_vec()) };
    let restored = records.iter().cloned().chain([own]).collect();
    assert!(input(&mut second, WireInput::Start { restored }).is_empty(), "nothing is stored again");
    assert_eq!(notices(&mut second), ["restored 1"]);
    assert_eq!(second.node().token_key().key(), first.node().token_key().key());
}

#[test]
fn a_request_is_answered_to_where_it_came_from_and_the_tap_shows_both() {
    let mut station = station(None);
    station.set_trace(true);
    start(&mut station);
    let datagram = WireInput::Datagram { local: at(OURS), remote: at(PEER), bytes: OPTIONS.to_vec() };
    let outputs = input(&mut station, datagram);
    let [WireOutput::Datagram { local, remote, bytes }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!((*local, *remote), (at(OURS), at(PEER)));
    assert!(bytes.starts_with(b"SIP/2.0 200 OK\r\n"));
    let seen: Vec<_> = std::iter::from_fn(|| station.poll_trace())
        .map(|event| (event.sent, event.local, event.remote, event.summary()))
        .collect();
    let (ours, peer) = (at(OURS), at(PEER));
    assert_eq!(
        seen,
        [(false, ours, peer, "OPTIONS".to_owned()), (true, ours, peer, "200 OK (OPTIONS)".to_owned())]
    );
}

#[test]
fn malformed_sip_on_a_stream_is_answered_before_the_connection_ends() {
    let mut station = station(None);
    start(&mut station);
    let accepted =
        WireInput::Accepted { link: ACCEPTED, protocol: Protocol::Sip, local: at(OURS), remote: at(PEER) };
    input(&mut station, accepted);
    let text = String::from_utf8_lossy(OPTIONS).replace("Content-Length: 0", "Content-Length: nonsense");
    let outputs = input(&mut station, WireInput::Received { link: ACCEPTED, bytes: text.into_bytes() });
    let [WireOutput::Write { bytes, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(bytes.starts_with(b"SIP/2.0 400 "), "{}", String::from_utf8_lossy(bytes));
    let outputs = input(&mut station, WireInput::Timeout);
    assert!(matches!(outputs[..], [WireOutput::Close { link: ACCEPTED }]), "{outputs:?}");
    assert_eq!(notices(&mut station), ["restored 0", "flow lost"]);
}

#[test]
fn a_role_without_diameter_is_told_that_nobody_answers_and_takes_no_diameter_connection() {
    let mut station = station(None);
    start(&mut station);
    station.command(Now::default(), Ask::Cx);
    assert_eq!(notices(&mut station), ["restored 0", "Cx(Err(NoPeer))"]);
    let protocol = Protocol::Diameter;
    let accepted = WireInput::Accepted { link: ACCEPTED, protocol, local: at(OURS), remote: at(HSS) };
    let outputs = input(&mut station, accepted);
    assert!(matches!(outputs[..], [WireOutput::Close { link: ACCEPTED }]), "{outputs:?}");
}

#[test]
fn links_of_the_two_protocols_are_never_mixed_up() {
    let mut station = station(Some(endpoint()));
    let outputs = start(&mut station);
    let diameter = outputs.iter().find_map(|output| match output {
        WireOutput::Connect { link, protocol: Protocol::Diameter, remote, .. } if *remote == at(HSS) => {
            Some(*link)
        }
        _ => None,
    });
    let diameter = diameter.expect("the endpoint connects to its HSS");
    assert!(!diameter.is_accepted());
    let outputs = input(&mut station, WireInput::Connected { link: diameter, local: at("192.0.2.10:40000") });
    let [WireOutput::Write { link, bytes }] = &outputs[..] else { panic!("a CER: {outputs:?}") };
    assert_eq!((*link, bytes[0]), (diameter, 1));
    // SIP text on the Diameter connection is Diameter's problem: the node sees no message.
    let outputs = input(&mut station, WireInput::Received { link: diameter, bytes: OPTIONS.to_vec() });
    assert!(outputs.iter().all(|output| matches!(output, WireOutput::Close { .. })), "{outputs:?}");
}

#[test]
fn a_station_is_drained_when_the_last_answer_has_come() {
    let mut station = station(None);
    start(&mut station);
    station.command(Now::default(), Ask::Store);
    let query = std::iter::from_fn(|| station.poll_output()).find_map(|output| match output {
        WireOutput::Query { id, .. } => Some(id),
        _ => None,
    });
    assert!(!station.is_drained(), "nobody asked yet");
    input(&mut station, WireInput::Drain);
    input(&mut station, WireInput::Drain);
    assert!(!station.is_drained(), "a write is open");
    let id = query.expect("the role stores");
    input(&mut station, WireInput::Answered { id, answer: Answer::Stored(Ok(())) });
    assert!(station.is_drained());
    assert_eq!(notices(&mut station), ["restored 0", "draining", "Stored(Ok(()))"]);
}
