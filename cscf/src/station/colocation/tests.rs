//! Three functions in one process, told as what their driver sees.

use super::super::tests::{OPTIONS, at};
use super::*;
use crate::flow::{Hop, Local};
use crate::identity::Plmn;
use crate::input::Event;
use crate::node::Setup;
use crate::reject::Reject;
use crate::resolve::StaticNames;
use crate::role::Incoming;
use crate::transport::{TransportLimits, Transports, TrustList};
use crate::turn::{Target, Turn};
use ambient::Entropy;
use sip_core::{Method, Status};

const UE: &str = "192.0.2.5:5070";

/// Forwards to the next function, or answers when there is none; stores first, where asked to.
struct Relay {
    next: Option<SocketAddr>,
    stores: bool,
}

impl Role for Relay {
    type Waiting = ();
    type Timer = ();
    type Data = ();
    type Command = ();
    type Notice = String;
    const NAME: &'static str = "relay";

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        if request.message.method() == Method::Ack {
            return Ok(());
        }
        match self.next {
            Some(remote) => {
                let edits = turn.edits();
                turn.forward(request, edits, Target::Hop(Hop { transport: Transport::Udp, remote }));
            }
            None if self.stores => {
                turn.query(Query::Store(vec![Record { key: b"k".to_vec(), value: Some(vec![1]) }]), ());
            }
            None => turn.reply(request, Status::OK, |response| response),
        }
        Ok(())
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: Option<&Incoming>,
        (): (),
        answer: Answer,
    ) -> Result<(), Reject> {
        match (answer, request) {
            (Answer::Stored(Ok(())), Some(request)) => turn.reply(request, Status::OK, |response| response),
            (answer, _) => turn.notice(format!("{answer:?}")),
        }
        Ok(())
    }

    fn event(&mut self, turn: &mut Turn<'_, Self>, event: Event<Self>) {
        if let Event::Restored(records) = event {
            turn.notice(format!("{records:?}"));
        }
    }
}

fn config() -> Config {
    Config::lab(&Plmn::test())
}

fn address(part: Part) -> SocketAddr {
    part.locals(&config())[0].address
}

fn station(part: Part, role: Relay) -> Station<Relay> {
    let mut entropy = Entropy::seeded(1);
    let locals: Vec<Local> = part.locals(&config());
    let transports =
        Transports::new(locals.clone(), TrustList::none(), TransportLimits::default(), &mut entropy);
    Station::new(Node::new(role, Setup::new(locals, StaticNames::new(), entropy)), transports, None)
}

/// P- forwards to I-, I- to S-CSCF, which answers.
fn colocation(stores: bool) -> Colocation<Relay, Relay, Relay> {
    let to = |part| Relay { next: Some(address(part)), stores: false };
    let mut together = Colocation::new(
        &config(),
        station(Part::Pcscf, to(Part::Icscf)),
        station(Part::Icscf, to(Part::Scscf)),
        station(Part::Scscf, Relay { next: None, stores }),
    );
    input(&mut together, WireInput::Start { restored: Vec::new() });
    while together.poll_notice().is_some() {}
    together
}

fn input(machine: &mut impl Machine, input: WireInput) -> Vec<WireOutput> {
    machine.handle(Now::default(), input);
    std::iter::from_fn(|| machine.poll_output()).collect()
}

fn from_ue(bytes: &[u8]) -> WireInput {
    WireInput::Datagram { local: address(Part::Pcscf), remote: at(UE), bytes: bytes.to_vec() }
}

/// Where datagrams go, and how their first lines begin.
fn sent(outputs: &[WireOutput]) -> Vec<(SocketAddr, String)> {
    let datagram = |output: &WireOutput| match output {
        WireOutput::Datagram { remote, bytes, .. } => {
            Some((*remote, String::from_utf8_lossy(bytes).chars().take(11).collect()))
        }
        _ => None,
    };
    outputs.iter().filter_map(datagram).collect()
}

fn writes(outputs: &[WireOutput]) -> Vec<QueryId> {
    let write = |output: &WireOutput| match output {
        WireOutput::Query { id, query: Query::Store(_) } => Some(*id),
        _ => None,
    };
    outputs.iter().filter_map(write).collect()
}

#[test]
fn what_one_function_sends_to_another_is_seen_by_no_driver() {
    let mut together = colocation(false);
    let outputs = input(&mut together, from_ue(OPTIONS));
    assert_eq!(sent(&outputs), [(at(UE), "SIP/2.0 200".to_owned())]);
    for open in
        [together.pcscf().node().open(), together.icscf().node().open(), together.scscf().node().open()]
    {
        // Towards the UE the answer may be asked for again; inside nothing is lost, and nothing lingers.
        assert!(open.0 <= 1 && open.1 == 0 && open.2 == 0, "{open:?}");
    }
    assert_eq!(together.scscf().node().open(), (0, 0, 0));
}

/// RFC 3261 §18.1.1 is about the path MTU: there is no path.
#[test]
fn a_large_request_stays_inside_and_needs_no_100() {
    let mut together = colocation(false);
    let body = "x".repeat(3000);
    let invite = String::from_utf8_lossy(OPTIONS).replace("OPTIONS", "INVITE");
    let invite = invite.replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: 3000\r\n\r\n{body}"));
    let outputs = input(&mut together, from_ue(invite.as_bytes()));
    assert_eq!(sent(&outputs), [(at(UE), "SIP/2.0 100".to_owned()), (at(UE), "SIP/2.0 200".to_owned())]);
    assert!(!outputs.iter().any(|output| matches!(output, WireOutput::Connect { .. })), "{outputs:?}");
}

/// A 200 that follows from a write of the S-CSCF is held until the disk has it; the S-CSCF itself has gone on.
#[test]
fn what_follows_from_a_write_leaves_when_it_is_durable() {
    let mut together = colocation(true);
    let outputs = input(&mut together, from_ue(OPTIONS));
    assert!(sent(&outputs).is_empty(), "{outputs:?}");
    let [write] = writes(&outputs)[..] else { panic!("one write: {outputs:?}") };
    let outputs = input(&mut together, WireInput::Answered { id: write, answer: Answer::Stored(Ok(())) });
    assert_eq!(sent(&outputs), [(at(UE), "SIP/2.0 200".to_owned())]);
}

#[test]
fn what_follows_from_a_write_that_fails_never_leaves() {
    let mut together = colocation(true);
    let outputs = input(&mut together, from_ue(OPTIONS));
    let write = writes(&outputs)[0];
    let failed = Answer::Stored(Err(StoreFailure::Late));
    let outputs = input(&mut together, WireInput::Answered { id: write, answer: failed });
    assert!(sent(&outputs).is_empty(), "{outputs:?}");
}

/// Another function's write that follows from the failed one is failed, too, even if the disk took it.
#[test]
fn a_write_behind_a_failed_one_is_no_success() {
    let mut together = colocation(true);
    let (first, second) = (outer_query(Part::Scscf, QueryId(1)), outer_query(Part::Pcscf, QueryId(7)));
    together.early.push_back(first);
    together.after = Some(first);
    together.put_out(WireOutput::Query { id: second, query: Query::Store(Vec::new()) });
    together.after = None;
    together.durable(first, Err(StoreFailure::Late));
    assert!(matches!(together.in_order(second, Ok(())), Err(StoreFailure::Failed(_))));
    assert_eq!(together.in_order(second, Ok(())), Ok(()), "it is forgotten then");
}

#[test]
fn each_function_gets_its_own_records_back() {
    let mut together = colocation(false);
    let mut restored = Vec::new();
    for part in Part::ALL {
        let mut record = Record { key: part.name().into(), value: Some(Vec::new()) };
        mark(part, &mut record);
        assert!(is_of(part, &record));
        restored.push(record);
    }
    input(&mut together, WireInput::Start { restored });
    let told: Vec<_> = std::iter::from_fn(|| together.poll_notice()).collect();
    let key = |part: Part| format!("{:?}", part.name().as_bytes());
    let [OfPart::Pcscf(p), OfPart::Icscf(i), OfPart::Scscf(s)] = &told[..] else { panic!("{told:?}") };
    assert!(p.contains(&key(Part::Pcscf)) && i.contains(&key(Part::Icscf)) && s.contains(&key(Part::Scscf)));
}

#[test]
fn ids_outside_say_whose_they_are() {
    for part in Part::ALL {
        for id in [0, 1, 1 << 40, u64::MAX, u64::MAX - 1] {
            assert_eq!(inner_query(outer_query(part, QueryId(id))), (part, QueryId(id)));
        }
    }
    let together = colocation(false);
    for part in Part::ALL {
        let outer = LinkId(5 | 1 << 62 | number(part) << LINK_SHIFT);
        assert_eq!(together.owner(outer), (part, LinkId(5 | 1 << 62)));
    }
}
