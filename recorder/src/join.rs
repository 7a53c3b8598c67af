//! What many processes recorded as one story.
//!
//! Each process has a clock of its own for its timers, and they share the wall clock, which is coarse and can be wrong. So
//! the order is that of causes first: what one node did stays in its order, and a message is sent before it is received.

use crate::entry::{Entry, Function, Node, Protocol, ReferencePoint, What};
use crate::{diameter, sip};
use ambient::{Instant, Wall};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Joins what several rings kept, each in order, into one view.
///
/// The instants of what is returned count from its first entry, and are comparable; the reference points that a node
/// could not know are told by who is at the other end.
pub fn join(rings: Vec<Vec<Entry>>) -> Vec<Entry> {
    let rings: Vec<_> = rings.into_iter().filter(|ring| !ring.is_empty()).collect();
    let partners = partners(&rings);
    let offsets = offsets(&rings, &partners);
    let mut entries = merged(rings, &partners, &offsets);
    name_reference_points(&mut entries);
    entries
}

/// Where an entry is: its ring, and its place there.
type Place = (usize, usize);

/// For each message that was received, where it was sent.
fn partners(rings: &[Vec<Entry>]) -> BTreeMap<Place, Place> {
    let mut sent: BTreeMap<(Protocol, &[u8]), VecDeque<Place>> = BTreeMap::new();
    for (ring, entries) in rings.iter().enumerate() {
        for (at, entry) in entries.iter().enumerate() {
            if let What::Message(message) = &entry.what
                && message.sent
            {
                sent.entry((message.protocol, &message.bytes)).or_default().push_back((ring, at));
            }
        }
    }
    let mut partners = BTreeMap::new();
    for (ring, entries) in rings.iter().enumerate() {
        for (at, entry) in entries.iter().enumerate() {
            let What::Message(message) = &entry.what else { continue };
            if message.sent {
                continue;
            }
            let Some(places) = sent.get_mut(&(message.protocol, message.bytes.as_slice())) else { continue };
            // A shard may send to its own function; it does not send to itself what it has yet to do.
            if let Some(first) = places.iter().position(|(from, sent_at)| *from != ring || *sent_at < at)
                && let Some(place) = places.remove(first)
            {
                partners.insert((ring, at), place);
            }
        }
    }
    partners
}

/// Microseconds of the wall clock at the start of the clock of each ring.
fn offsets(rings: &[Vec<Entry>], partners: &BTreeMap<Place, Place>) -> Vec<i128> {
    let wall = |entry: &Entry| i128::from(entry.at.wall.as_millis()) * 1000;
    let instant = |entry: &Entry| i128::from(entry.at.instant.as_micros());
    // The wall clock is cut to milliseconds: the largest difference is the nearest.
    let mut offsets: Vec<i128> = rings
        .iter()
        .map(|entries| entries.iter().map(|entry| wall(entry) - instant(entry)).max().unwrap_or(0))
        .collect();
    let mut leads: BTreeMap<(usize, usize), i128> = BTreeMap::new();
    for ((to, received), (from, sent)) in partners.iter().map(|(a, b)| (*a, *b)) {
        if from != to {
            let lead = instant(&rings[from][sent]) - instant(&rings[to][received]);
            let most = leads.entry((from, to)).or_insert(lead);
            *most = lead.max(*most);
        }
    }
    // Nothing is received before it is sent: where clocks say so, the receiver's is late. Bounded, lest clocks that
    // contradict each other chase each other.
    for _ in 0..rings.len() {
        for ((from, to), lead) in &leads {
            offsets[*to] = offsets[*to].max(offsets[*from] + lead);
        }
    }
    offsets
}

/// All entries by time; those of one ring in their order, and none before its cause.
fn merged(rings: Vec<Vec<Entry>>, partners: &BTreeMap<Place, Place>, offsets: &[i128]) -> Vec<Entry> {
    let time = |ring: usize, entry: &Entry| offsets[ring] + i128::from(entry.at.instant.as_micros());
    let mut heads = vec![0; rings.len()];
    let mut order: Vec<(i128, Place)> = Vec::with_capacity(rings.iter().map(Vec::len).sum());
    loop {
        let waits = |ring: usize| {
            partners.get(&(ring, heads[ring])).is_some_and(|(from, sent)| heads[*from] <= *sent)
        };
        let open = (0..rings.len()).filter(|ring| heads[*ring] < rings[*ring].len());
        // Where all wait, which clocks and rings that begin late can make, time decides.
        let first = open.min_by_key(|ring| (waits(*ring), time(*ring, &rings[*ring][heads[*ring]]), *ring));
        let Some(ring) = first else { break };
        order.push((time(ring, &rings[ring][heads[ring]]), (ring, heads[ring])));
        heads[ring] += 1;
    }
    let start = order.iter().map(|(time, _)| *time).min().unwrap_or(0);
    let mut rings: Vec<Vec<Option<Entry>>> =
        rings.into_iter().map(|entries| entries.into_iter().map(Some).collect()).collect();
    let mut latest = start;
    let mut joined = Vec::with_capacity(order.len());
    for (time, (ring, at)) in order {
        latest = latest.max(time);
        if let Some(mut entry) = rings[ring][at].take() {
            let since = u64::try_from(latest - start).unwrap_or(0);
            entry.at.instant = Instant::from_micros(since);
            entry.at.wall = Wall::from_millis(u64::try_from(latest / 1000).unwrap_or(0));
            joined.push(entry);
        }
    }
    joined
}

/// Who is at each address, as far as somebody there has recorded.
pub(crate) fn owners(entries: &[Entry]) -> BTreeMap<SocketAddr, Node> {
    let mut owners = BTreeMap::new();
    for entry in entries {
        if let What::Message(message) = &entry.what {
            owners.entry(message.local).or_insert_with(|| entry.node.clone());
        }
    }
    owners
}

/// The reference point of a message is told by its two ends.
fn name_reference_points(entries: &mut [Entry]) {
    let owners = owners(entries);
    let servers = application_servers(entries, &owners);
    for entry in entries {
        let own = entry.node.function;
        let What::Message(message) = &mut entry.what else { continue };
        let other = owners.get(&message.remote).map(|node| node.function);
        let other = match other {
            None if servers.contains(&message.remote) => Some(Function::ApplicationServer),
            other => other,
        };
        if let Some(point) = between(message.protocol, own, other) {
            message.interface = point;
        }
    }
}

fn between(protocol: Protocol, own: Function, other: Option<Function>) -> Option<ReferencePoint> {
    use Function::*;
    if protocol == Protocol::Diameter {
        return Some(ReferencePoint::Cx);
    }
    Some(match (own, other?) {
        (ApplicationServer, _) | (_, ApplicationServer) => ReferencePoint::Isc,
        (Ue, _) | (_, Ue) => ReferencePoint::Gm,
        (Pcscf | Icscf | Scscf | Ecscf, Pcscf | Icscf | Scscf | Ecscf) => ReferencePoint::Mw,
        (Other | Hss, _) | (_, Other | Hss) => return None,
    })
}

/// Strangers to whom an S-CSCF sends what only an application server gets: a REGISTER of its own, or a request that
/// names the served user (TS 24.229 §5.4.1.7, RFC 5502).
fn application_servers(entries: &[Entry], owners: &BTreeMap<SocketAddr, Node>) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> = entries
        .iter()
        .filter(|entry| entry.node.function == Function::Scscf)
        .filter_map(|entry| match &entry.what {
            What::Message(message) if message.sent && message.protocol == Protocol::Sip => Some(message),
            _ => None,
        })
        .filter(|message| !owners.contains_key(&message.remote) && sip::status(&message.bytes).is_none())
        .filter(|message| {
            sip::method(&message.bytes).as_deref() == Some("REGISTER")
                || sip::header(&message.bytes, "P-Served-User", "").is_some()
        })
        .map(|message| message.remote)
        .collect();
    servers.sort();
    servers.dedup();
    servers
}

/// Whether an entry is one of a Diameter connection's own messages, which belong to no call.
pub fn is_upkeep(entry: &Entry) -> bool {
    match &entry.what {
        What::Message(message) => {
            message.protocol == Protocol::Diameter && diameter::is_upkeep(&message.bytes)
        }
        What::Fact(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Message, Transport};
    use ambient::Now;

    fn entry(
        function: Function,
        sequence: u64,
        (micros, millis): (u64, u64),
        sent: bool,
        text: &str,
    ) -> Entry {
        let end = |function: Function| SocketAddr::from(([127, 0, 0, 10 + function as u8], 5060));
        let other = if function == Function::Pcscf { Function::Icscf } else { Function::Pcscf };
        Entry {
            sequence,
            at: Now { instant: Instant::from_micros(micros), wall: Wall::from_millis(millis) },
            node: Node { function, name: String::new() },
            what: What::Message(Message {
                sent,
                protocol: Protocol::Sip,
                transport: Transport::Udp,
                interface: ReferencePoint::Unknown,
                local: end(function),
                remote: end(other),
                security: None,
                bytes: text.as_bytes().to_vec(),
            }),
        }
    }

    fn told(entries: &[Entry]) -> Vec<(Function, String)> {
        let text = |entry: &Entry| match &entry.what {
            What::Message(message) => String::from_utf8_lossy(&message.bytes).into_owned(),
            What::Fact(fact) => fact.name.clone(),
        };
        entries.iter().map(|entry| (entry.node.function, text(entry))).collect()
    }

    /// The receiver's wall clock is 40 ms late, so that by it the answer was there before the question.
    #[test]
    fn a_message_is_sent_before_it_is_received_whatever_the_clocks_say() {
        use Function::{Icscf, Pcscf};
        let p =
            vec![entry(Pcscf, 1, (1000, 500), true, "ask"), entry(Pcscf, 2, (3000, 502), false, "answer")];
        let i = vec![
            entry(Icscf, 1, (700_000, 460), false, "ask"),
            entry(Icscf, 2, (700_100, 460), true, "answer"),
        ];
        for rings in [vec![p.clone(), i.clone()], vec![i, p]] {
            let joined = join(rings);
            let expected = [(Pcscf, "ask"), (Icscf, "ask"), (Icscf, "answer"), (Pcscf, "answer")]
                .map(|(who, text)| (who, text.to_owned()));
            assert_eq!(told(&joined), expected);
            assert!(joined.windows(2).all(|pair| pair[0].at.instant <= pair[1].at.instant));
            let at = |index: usize| joined[index].at.instant.as_micros();
            assert!(at(3) - at(0) <= 2100, "{}", at(3));
        }
    }

    /// Functions that share a thread do all of it in one moment.
    #[test]
    fn what_happens_at_one_moment_is_in_the_order_of_its_causes() {
        use Function::{Icscf, Pcscf};
        let p = vec![entry(Pcscf, 1, (5, 1), true, "ask"), entry(Pcscf, 2, (5, 1), false, "answer")];
        let i = vec![entry(Icscf, 1, (5, 1), false, "ask"), entry(Icscf, 2, (5, 1), true, "answer")];
        let joined = join(vec![i, p]);
        let who: Vec<_> = joined.iter().map(|entry| entry.node.function).collect();
        assert_eq!(who, [Pcscf, Icscf, Icscf, Pcscf]);
    }

    #[test]
    fn a_message_whose_sending_was_overwritten_stands_by_its_time() {
        use Function::{Icscf, Pcscf};
        let joined = join(vec![
            vec![entry(Pcscf, 9, (2000, 2), true, "late")],
            vec![entry(Icscf, 7, (1000, 1), false, "early")],
        ]);
        assert_eq!(told(&joined)[0].1, "early");
    }

    #[test]
    fn the_two_ends_of_a_message_name_its_reference_point() {
        let joined = join(vec![
            vec![entry(Function::Pcscf, 1, (1, 1), true, "x")],
            vec![entry(Function::Icscf, 1, (1, 1), false, "x")],
        ]);
        let points: Vec<_> = joined
            .iter()
            .map(|entry| match &entry.what {
                What::Message(message) => message.interface,
                What::Fact(_) => ReferencePoint::Unknown,
            })
            .collect();
        assert_eq!(points, [ReferencePoint::Mw; 2]);
    }
}
