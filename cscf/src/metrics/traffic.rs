//! SIP as it was counted: requests and responses by method, direction, transport and code, how long requests took, and
//! what came of calls.
//!
//! Each method has a row of fixed size, made when the first message of it comes. The codes are those that are registered for
//! SIP, and one for all others of their class.

use crate::context::Came;
use crate::flow::Transport;
use ambient::Instant;
use diameter_client::durations::Durations;
use sip_core::Method;
use std::time::Duration;

/// Counts of one node.
#[derive(Clone, Debug)]
pub struct Traffic {
    rows: Vec<Option<Box<Row>>>,
    /// Initial INVITEs by case and final code.
    calls: Vec<u64>,
    /// How long callers waited, by [`Stage`].
    setups: [Durations; 2],
}

/// Of one method.
#[derive(Clone, Debug)]
struct Row {
    requests: [[u64; TRANSPORTS]; 2],
    responses: [[[u64; CODES.len()]; TRANSPORTS]; 2],
    /// Requests that came or went again.
    again: [u64; 2],
    /// From a request to its final response, by class: 2xx first.
    took: [Durations; CLASSES.len()],
}

/// A method, as a place in a table: kept in a byte, and names all that are none of ours alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(u8);

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flowing {
    /// To us.
    In,
    /// From us.
    Out,
}

/// Whom a request is of, as far as its role knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// Not known, or no such thing at this role.
    #[default]
    None,
    /// A user who is served here sent it.
    Originating,
    /// It is for a user who is served here.
    Terminating,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The first 180.
    Ringing,
    /// The 2xx.
    Answer,
}

impl Kind {
    /// The kind of a method.
    pub fn of(method: &Method<'_>) -> Kind {
        // There are fewer than a byte has values.
        Kind(method.place() as u8)
    }

    /// The kind of a request in bytes.
    pub fn of_request(bytes: &[u8]) -> Kind {
        let end = bytes.iter().take(METHOD_OCTETS_MAX).position(|byte| *byte == b' ').unwrap_or(0);
        Kind::of(&Method::from_token(&bytes[..end]))
    }

    fn place(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Traffic {
    fn default() -> Traffic {
        Traffic {
            rows: METHODS.map(|_| None).into(),
            calls: vec![0; CASES.len() * CODES.len()],
            setups: Default::default(),
        }
    }
}

impl Traffic {
    fn row(&mut self, kind: Kind) -> &mut Row {
        self.rows[kind.place()].get_or_insert_with(|| {
            Box::new(Row {
                requests: [[0; TRANSPORTS]; 2],
                responses: [[[0; CODES.len()]; TRANSPORTS]; 2],
                again: [0; 2],
                took: Default::default(),
            })
        })
    }

    /// A request, the first time that it is seen.
    pub(crate) fn request(&mut self, flowing: Flowing, kind: Kind, transport: Transport) {
        self.row(kind).requests[flowing as usize][place_of(transport)] += 1;
    }

    /// A request that was there before.
    pub(crate) fn again(&mut self, flowing: Flowing, kind: Kind) {
        self.row(kind).again[flowing as usize] += 1;
    }

    /// A response.
    pub(crate) fn response(&mut self, flowing: Flowing, kind: Kind, transport: Transport, code: u16) {
        self.row(kind).responses[flowing as usize][place_of(transport)][place_of_code(code)] += 1;
    }

    /// A response of ours to a request that came; `first_final` says whose it is, where it ends the waiting.
    pub(crate) fn told(&mut self, came: &mut Came, now: Instant, code: u16, first_final: Option<Case>) {
        let took = now.since(came.at);
        self.response(Flowing::Out, came.kind, came.transport, code);
        if code == 180 && came.is_initial && !came.has_rung {
            came.has_rung = true;
            self.set_up(Stage::Ringing, took);
        }
        let Some(case) = first_final else { return };
        self.answered(came.kind, code, took);
        if came.is_initial {
            self.call(case, code);
            if code < 300 {
                self.set_up(Stage::Answer, took);
            }
        }
    }

    /// A request has its final response.
    fn answered(&mut self, kind: Kind, code: u16, took: Duration) {
        let class = usize::from(code / 100).saturating_sub(2).min(CLASSES.len() - 1);
        self.row(kind).took[class].add(took);
    }

    /// An initial INVITE has its final response.
    fn call(&mut self, case: Case, code: u16) {
        self.calls[case as usize * CODES.len() + place_of_code(code)] += 1;
    }

    /// A caller has waited so long.
    fn set_up(&mut self, stage: Stage, took: Duration) {
        self.setups[stage as usize].add(took);
    }

    /// Adds those of another shard.
    pub fn merge(&mut self, other: &Traffic) {
        for (at, row) in other.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            let own = self.row(Kind(at as u8));
            for direction in 0..2 {
                own.again[direction] += row.again[direction];
                for transport in 0..TRANSPORTS {
                    own.requests[direction][transport] += row.requests[direction][transport];
                    let more = &row.responses[direction][transport];
                    own.responses[direction][transport]
                        .iter_mut()
                        .zip(more)
                        .for_each(|(own, more)| *own += more);
                }
            }
            own.took.iter_mut().zip(&row.took).for_each(|(own, more)| own.merge(more));
        }
        self.calls.iter_mut().zip(&other.calls).for_each(|(own, more)| *own += more);
        self.setups.iter_mut().zip(&other.setups).for_each(|(own, more)| own.merge(more));
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, &Row)> {
        METHODS.into_iter().zip(&self.rows).filter_map(|(method, row)| Some((method, row.as_deref()?)))
    }

    /// Requests that are not nought: direction, method, transport.
    pub fn requests(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> {
        self.each().flat_map(|(method, row)| {
            let each = DIRECTIONS.into_iter().zip(&row.requests);
            each.flat_map(move |(direction, counts)| {
                let counts = TRANSPORT_NAMES.into_iter().zip(counts).filter(|(_, count)| **count > 0);
                counts.map(move |(transport, count)| ([direction, method, transport], *count))
            })
        })
    }

    /// Responses that are not nought: direction, method, code, transport.
    pub fn responses(&self) -> impl Iterator<Item = ([&'static str; 4], u64)> {
        self.each().flat_map(|(method, row)| {
            DIRECTIONS.into_iter().zip(&row.responses).flat_map(move |(direction, by_transport)| {
                TRANSPORT_NAMES.into_iter().zip(by_transport).flat_map(move |(transport, counts)| {
                    let counts = CODES.iter().zip(counts).filter(|(_, count)| **count > 0);
                    counts.map(move |((_, code), count)| ([direction, method, *code, transport], *count))
                })
            })
        })
    }

    /// Requests that were seen again: direction, method. Nought as well, once there was one of the method.
    pub fn retransmissions(&self) -> impl Iterator<Item = ([&'static str; 2], u64)> {
        self.each().flat_map(|(method, row)| {
            DIRECTIONS.into_iter().zip(row.again).map(move |(direction, count)| ([direction, method], count))
        })
    }

    /// How long requests took: method, class of the final response.
    pub fn durations(&self) -> impl Iterator<Item = ([&'static str; 2], &Durations)> {
        self.each().flat_map(|(method, row)| {
            let each = CLASSES.into_iter().zip(&row.took).filter(|(_, took)| took.count() > 0);
            each.map(move |(class, took)| ([method, class], took))
        })
    }

    /// What came of initial INVITEs: session case, code, class of the code.
    pub fn calls(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> {
        CASES.into_iter().zip(self.calls.chunks(CODES.len())).flat_map(|(case, counts)| {
            let counts = CODES.iter().zip(counts).filter(|(_, count)| **count > 0);
            counts.map(move |((number, code), count)| ([case, *code, class_of(*number)], *count))
        })
    }

    /// What came of REGISTERs, by the final responses that left.
    pub fn registrations(&self) -> [(&'static str, u64); REGISTRATION_OUTCOMES.len()] {
        let mut counts = REGISTRATION_OUTCOMES.map(|(outcome, _)| (outcome, 0));
        let register = self.rows[Kind::of(&Method::Register).place()].as_deref();
        for by_transport in register.iter().map(|row| &row.responses[Flowing::Out as usize]) {
            for (at, (code, _)) in CODES.iter().enumerate().filter(|(_, (code, _))| *code >= 200) {
                let count: u64 = by_transport.iter().map(|counts| counts[at]).sum();
                let outcome = REGISTRATION_OUTCOMES.iter().position(|(_, is_of)| is_of(*code));
                counts[outcome.unwrap_or(REGISTRATION_OUTCOMES.len() - 1)].1 += count;
            }
        }
        counts
    }

    /// How long callers waited.
    pub fn setups(&self) -> impl Iterator<Item = (&'static str, &Durations)> {
        ["ringing", "answer"].into_iter().zip(&self.setups)
    }
}

fn place_of(transport: Transport) -> usize {
    match transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        Transport::Tls => 2,
    }
}

fn place_of_code(code: u16) -> usize {
    let other_of_class = || CODES.len() - 6 + usize::from(code / 100).clamp(1, 6) - 1;
    CODES[..CODES.len() - 6]
        .binary_search_by_key(&code, |(known, _)| *known)
        .unwrap_or_else(|_| other_of_class())
}

fn class_of(code: u16) -> &'static str {
    CLASSES[usize::from(code / 100).saturating_sub(2).min(CLASSES.len() - 1)]
}

/// A REGISTER's final response as an operator counts it: the first that fits.
type IsOf = fn(u16) -> bool;
const REGISTRATION_OUTCOMES: [(&str, IsOf); 7] = [
    ("ok", |code| code < 300),
    ("challenged", |code| matches!(code, 401 | 407)),
    ("forbidden", |code| code == 403),
    ("not_found", |code| code == 404),
    ("timeout", |code| matches!(code, 408 | 504)),
    ("server_error", |code| code >= 500),
    ("refused", |_| true),
];

/// The methods, by kind.
pub const METHODS: [&str; Method::PLACES] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "OPTIONS",
    "PRACK",
    "UPDATE",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "INFO",
    "REFER",
    "other",
];
const DIRECTIONS: [&str; 2] = ["in", "out"];
const TRANSPORT_NAMES: [&str; 3] = ["udp", "tcp", "tls"];
const TRANSPORTS: usize = TRANSPORT_NAMES.len();
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "6xx"];
const CASES: [&str; 3] = ["none", "originating", "terminating"];
/// The longest method that has a kind of its own, and its space.
const METHOD_OCTETS_MAX: usize = 10;

/// Registered status codes in order, then the others of each class.
const CODES: [(u16, &str); 77] = [
    (100, "100"),
    (180, "180"),
    (181, "181"),
    (182, "182"),
    (183, "183"),
    (199, "199"),
    (200, "200"),
    (202, "202"),
    (204, "204"),
    (300, "300"),
    (301, "301"),
    (302, "302"),
    (305, "305"),
    (380, "380"),
    (400, "400"),
    (401, "401"),
    (402, "402"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (407, "407"),
    (408, "408"),
    (410, "410"),
    (412, "412"),
    (413, "413"),
    (414, "414"),
    (415, "415"),
    (416, "416"),
    (417, "417"),
    (420, "420"),
    (421, "421"),
    (422, "422"),
    (423, "423"),
    (424, "424"),
    (428, "428"),
    (429, "429"),
    (430, "430"),
    (433, "433"),
    (436, "436"),
    (437, "437"),
    (438, "438"),
    (439, "439"),
    (440, "440"),
    (469, "469"),
    (470, "470"),
    (480, "480"),
    (481, "481"),
    (482, "482"),
    (483, "483"),
    (484, "484"),
    (485, "485"),
    (486, "486"),
    (487, "487"),
    (488, "488"),
    (489, "489"),
    (491, "491"),
    (493, "493"),
    (494, "494"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (505, "505"),
    (513, "513"),
    (580, "580"),
    (600, "600"),
    (603, "603"),
    (604, "604"),
    (606, "606"),
    (199, "1xx"),
    (299, "2xx"),
    (399, "3xx"),
    (499, "4xx"),
    (599, "5xx"),
    (699, "6xx"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_place_of_its_own_or_the_one_of_its_class() {
        assert!(CODES[..71].is_sorted_by_key(|(code, _)| *code));
        for (code, name) in
            [(100, "100"), (183, "183"), (606, "606"), (299, "2xx"), (499, "4xx"), (699, "6xx")]
        {
            assert_eq!(CODES[place_of_code(code)].1, name);
        }
        let names: std::collections::BTreeSet<_> = CODES.iter().map(|(_, name)| name).collect();
        assert_eq!(names.len(), CODES.len());
    }

    #[test]
    fn a_method_has_the_same_kind_in_bytes_and_as_a_value() {
        for (at, name) in METHODS.iter().enumerate() {
            let line = format!("{name} sip:a@b SIP/2.0\r\n");
            assert_eq!(Kind::of_request(line.as_bytes()), Kind(at as u8), "{name}");
            assert_eq!(Kind::of(&Method::from_token(name.as_bytes())), Kind(at as u8), "{name}");
        }
        assert_eq!(Kind::of_request(b"ANYTHINGELSE sip:a@b"), Kind(14));
    }

    #[test]
    fn what_was_counted_is_told_with_its_labels_and_shards_add_up() {
        let invite = Kind::of(&Method::Invite);
        let register = Kind::of(&Method::Register);
        let mut traffic = Traffic::default();
        traffic.request(Flowing::In, invite, Transport::Tcp);
        traffic.response(Flowing::Out, register, Transport::Udp, 401);
        traffic.response(Flowing::Out, register, Transport::Udp, 200);
        traffic.response(Flowing::Out, register, Transport::Tcp, 504);
        traffic.answered(invite, 486, Duration::from_millis(30));
        traffic.call(Case::Originating, 486);
        traffic.set_up(Stage::Ringing, Duration::from_secs(1));
        let first = traffic.clone();
        traffic.merge(&first);
        let all = |counts: Vec<([&'static str; 3], u64)>| counts;
        assert_eq!(all(traffic.requests().collect()), [(["in", "INVITE", "tcp"], 2)]);
        assert_eq!(all(traffic.calls().collect()), [(["originating", "486", "4xx"], 2)]);
        assert_eq!(
            traffic.durations().map(|(labels, took)| (labels, took.count())).collect::<Vec<_>>(),
            [(["INVITE", "4xx"], 2)]
        );
        let outcomes = traffic.registrations().into_iter().filter(|(_, count)| *count > 0);
        assert_eq!(outcomes.collect::<Vec<_>>(), [("ok", 2), ("challenged", 2), ("timeout", 2)]);
        assert_eq!(
            traffic.setups().map(|(stage, took)| (stage, took.count())).collect::<Vec<_>>(),
            [("ringing", 2), ("answer", 0)]
        );
        let again = traffic.retransmissions().collect::<Vec<_>>();
        assert!(again.contains(&(["in", "INVITE"], 0)), "{again:?}");
    }
}
