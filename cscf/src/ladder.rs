//! The ladder: who sent what to whom, and when, as text.

use crate::station::Protocol;
use crate::trace::Event;
use ambient::Instant;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Messages of several stations in the order in which they were sent, drawn as arrows between columns.
#[derive(Debug, Default)]
pub struct Ladder {
    columns: Vec<Column>,
    messages: Vec<Message>,
}

/// One party.
#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
    addresses: Vec<SocketAddr>,
}

/// What a party is, which gives the reference point between two of them its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A phone: Gm towards its P-CSCF.
    Ue,
    /// A CSCF: Mw towards another one.
    Cscf,
    /// The HSS: Cx towards a CSCF.
    Hss,
}

#[derive(Debug)]
struct Message {
    at: Instant,
    from: SocketAddr,
    to: SocketAddr,
    protocol: Protocol,
    summary: String,
}

/// Characters of one column.
const COLUMN_WIDTH: usize = 9;

impl Ladder {
    /// A ladder without parties.
    pub fn new() -> Ladder {
        Ladder::default()
    }

    /// Adds a party, to the right of those before it. An address stands for its host too, so that the port of an
    /// outgoing connection finds its party, unless another party has an address on the same host.
    pub fn column(&mut self, name: &str, kind: Kind, addresses: impl IntoIterator<Item = SocketAddr>) {
        let column = Column { name: name.to_owned(), kind, addresses: addresses.into_iter().collect() };
        self.columns.push(column);
    }

    /// Adds what a station sent; what it received is the other end's to tell.
    pub fn add(&mut self, event: &Event) {
        if !event.sent {
            return;
        }
        self.messages.push(Message {
            at: event.at.instant,
            from: event.local,
            to: event.remote,
            protocol: event.protocol,
            summary: event.summary(),
        });
    }

    /// How many messages there are.
    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// The ladder as lines: time in ms, arrow, reference point, message.
    pub fn draw(&self) -> String {
        let mut out = self.header();
        for (at, message) in self.in_order() {
            let (from, to) = (self.position(message.from), self.position(message.to));
            let _ = write!(out, "{:>9.3}  ", at.as_secs_f64() * 1000.0);
            match (from, to) {
                (Some(from), Some(to)) => {
                    self.arrow(from, to, &mut out);
                    let _ = writeln!(out, "  {:<3} {}", self.reference_point(from, to), message.summary);
                }
                _ => {
                    let lane: String =
                        (0..self.columns.len()).map(|_| pad_centre("│", COLUMN_WIDTH)).collect();
                    let _ =
                        writeln!(out, "{lane}      {} {} → {}", message.summary, message.from, message.to);
                }
            }
        }
        out
    }

    /// One line a message: time in seconds, source, destination, protocol, summary, separated by tabs.
    pub fn list(&self) -> String {
        let mut out = String::new();
        for (at, message) in self.in_order() {
            let protocol = match message.protocol {
                Protocol::Sip => "SIP",
                Protocol::Diameter => "Diameter",
            };
            let Message { from, to, summary, .. } = message;
            let _ = writeln!(out, "{:.6}\t{from}\t{to}\t{protocol}\t{summary}", at.as_secs_f64());
        }
        out
    }

    /// The messages with the time since the first; those of one moment stay as they were added.
    fn in_order(&self) -> Vec<(std::time::Duration, &Message)> {
        let mut messages: Vec<&Message> = self.messages.iter().collect();
        messages.sort_by_key(|message| message.at);
        let start = messages.first().map_or(Instant::START, |first| first.at);
        messages.into_iter().map(|message| (message.at - start, message)).collect()
    }

    fn header(&self) -> String {
        let names: String =
            self.columns.iter().map(|column| pad_centre(&column.name, COLUMN_WIDTH)).collect();
        let line = format!("{:>9}  {names}", "ms");
        format!("{}\n", line.trim_end())
    }

    /// The column of an address: the one that has it, else the only one on its host.
    fn position(&self, address: SocketAddr) -> Option<usize> {
        let exact = self.columns.iter().position(|column| column.addresses.contains(&address));
        exact.or_else(|| {
            let on_host = |host: IpAddr| {
                let has_host =
                    move |column: &Column| column.addresses.iter().any(|address| address.ip() == host);
                self.columns.iter().enumerate().filter(move |(_, column)| has_host(column)).map(|(at, _)| at)
            };
            let mut found = on_host(address.ip());
            found.next().filter(|_| found.next().is_none())
        })
    }

    fn reference_point(&self, from: usize, to: usize) -> &'static str {
        match (self.columns[from].kind, self.columns[to].kind) {
            (Kind::Hss, _) | (_, Kind::Hss) => "Cx",
            (Kind::Ue, _) | (_, Kind::Ue) => "Gm",
            (Kind::Cscf, Kind::Cscf) => "Mw",
        }
    }

    fn arrow(&self, from: usize, to: usize, out: &mut String) {
        let centre = |column: usize| column * COLUMN_WIDTH + COLUMN_WIDTH / 2;
        let (left, right) = (centre(from.min(to)), centre(from.max(to)));
        let lane = |at: usize| at % COLUMN_WIDTH == COLUMN_WIDTH / 2;
        for at in 0..self.columns.len() * COLUMN_WIDTH {
            out.push(match at {
                _ if from == to && at == left => '↺',
                _ if at == left && to < from => '◀',
                _ if at == right && from < to => '▶',
                _ if (left..=right).contains(&at) => '─',
                _ if lane(at) => '│',
                _ => ' ',
            });
        }
    }
}

fn pad_centre(text: &str, width: usize) -> String {
    format!("{text:^width$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ambient::{Now, Wall};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn event(micros: u64, from: &str, to: &str, text: &str) -> Event {
        Event {
            at: Now { instant: Instant::from_micros(micros), wall: Wall::default() },
            sent: true,
            protocol: Protocol::Sip,
            local: at(from),
            remote: at(to),
            bytes: text.as_bytes().to_vec(),
        }
    }

    fn ladder() -> Ladder {
        let mut ladder = Ladder::new();
        ladder.column("alice", Kind::Ue, [at("127.0.0.1:5001")]);
        ladder.column("bob", Kind::Ue, [at("127.0.0.1:5002")]);
        ladder.column("P-CSCF", Kind::Cscf, [at("127.0.0.10:5060")]);
        ladder.column("HSS", Kind::Hss, [at("127.0.0.13:3868")]);
        ladder
    }

    #[test]
    fn messages_of_all_stations_stand_in_the_order_of_their_time() {
        let mut ladder = ladder();
        ladder.add(&event(
            5200,
            "127.0.0.10:5060",
            "127.0.0.1:5001",
            "SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n",
        ));
        ladder.add(&event(5000, "127.0.0.1:5001", "127.0.0.10:5060", "OPTIONS sip:p SIP/2.0\r\n\r\n"));
        let expected = [
            "       ms    alice     bob    P-CSCF     HSS",
            "    0.000      ──────────────────▶        │      Gm  OPTIONS",
            "    0.200      ◀──────────────────        │      Gm  200 OK (OPTIONS)",
        ];
        assert_eq!(ladder.draw().lines().map(str::trim_end).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_was_received_is_not_drawn_a_second_time() {
        let mut ladder = ladder();
        let received = Event {
            sent: false,
            ..event(1, "127.0.0.10:5060", "127.0.0.1:5001", "OPTIONS sip:p SIP/2.0\r\n\r\n")
        };
        ladder.add(&received);
        assert_eq!(ladder.count(), 0);
    }

    #[test]
    fn the_port_of_an_outgoing_connection_finds_its_party_by_host() {
        let ladder = ladder();
        assert_eq!(ladder.position(at("127.0.0.10:40000")), Some(2));
        assert_eq!(ladder.position(at("127.0.0.1:40000")), None, "two parties share the host");
        assert_eq!(ladder.position(at("127.0.0.99:1")), None);
    }

    #[test]
    fn a_message_of_a_stranger_is_listed_with_its_addresses() {
        let mut ladder = ladder();
        ladder.add(&event(1000, "127.0.0.99:1", "127.0.0.10:5060", "OPTIONS sip:p SIP/2.0\r\n\r\n"));
        assert!(ladder.draw().contains("OPTIONS 127.0.0.99:1 → 127.0.0.10:5060"), "{}", ladder.draw());
        assert_eq!(ladder.list(), "0.000000\t127.0.0.99:1\t127.0.0.10:5060\tSIP\tOPTIONS\n");
    }
}
