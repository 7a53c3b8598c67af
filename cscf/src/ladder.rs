//! The ladder: who sent what to whom, and when, as text.

use crate::station::Protocol;
use crate::trace::Event;
use ambient::Instant;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// Messages of several stations in the order in which they were sent, drawn as arrows between columns.
#[derive(Debug, Default)]
pub struct Ladder {
    columns: Vec<Column>,
    events: Vec<Event>,
}

/// Names one party of a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party(usize);

/// One party.
#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
    addresses: Vec<SocketAddr>,
    /// Whether it tells what it sends. What another party sends is told by those who receive it.
    reports: bool,
}

/// What a party is, which gives the reference point between two of them its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A phone: Gm towards its P-CSCF.
    Ue,
    /// A CSCF: Mw towards another one.
    Cscf,
    /// An application server: ISC towards a CSCF.
    ApplicationServer,
    /// The HSS: Cx towards a CSCF.
    Hss,
}

/// One message, once: as it was sent or, from a party that reports nothing, as it was received.
#[derive(Debug)]
struct Message {
    /// Since the first message.
    at: Duration,
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

    /// Adds a party, to the right of those before it, with the addresses where it listens.
    pub fn column(
        &mut self,
        name: &str,
        kind: Kind,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Party {
        let addresses = addresses.into_iter().collect();
        self.columns.push(Column { name: name.to_owned(), kind, addresses, reports: false });
        Party(self.columns.len() - 1)
    }

    /// Adds what a party reports. Its end of each message is an address of its own: so the port of an outgoing
    /// connection becomes known.
    pub fn report(&mut self, party: Party, events: impl IntoIterator<Item = Event>) {
        let column = &mut self.columns[party.0];
        column.reports = true;
        for event in events {
            if !column.addresses.contains(&event.local) {
                column.addresses.push(event.local);
            }
            self.events.push(event);
        }
    }

    /// How many messages there are.
    pub fn count(&self) -> usize {
        self.messages().len()
    }

    /// The ladder as lines: time in ms, arrow, reference point, message.
    pub fn draw(&self) -> String {
        let mut out = self.header();
        for message in self.messages() {
            let (from, to) = (self.position(message.from), self.position(message.to));
            let _ = write!(out, "{:>9.3}  ", message.at.as_secs_f64() * 1000.0);
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
        for message in self.messages() {
            let protocol = match message.protocol {
                Protocol::Sip => "SIP",
                Protocol::Diameter => "Diameter",
            };
            let Message { at, from, to, summary, .. } = message;
            let _ = writeln!(out, "{:.6}\t{from}\t{to}\t{protocol}\t{summary}", at.as_secs_f64());
        }
        out
    }

    /// The messages in the order of their time; those of one moment stay as they were reported.
    fn messages(&self) -> Vec<Message> {
        let is_own = |event: &&Event| {
            let from = if event.sent { event.local } else { event.remote };
            event.sent == self.position(from).is_none_or(|at| self.columns[at].reports)
        };
        let mut events: Vec<&Event> = self.events.iter().filter(is_own).collect();
        events.sort_by_key(|event| event.at.instant);
        let start = events.first().map_or(Instant::START, |first| first.at.instant);
        let message = |event: &Event| {
            let (from, to) =
                if event.sent { (event.local, event.remote) } else { (event.remote, event.local) };
            let Event { at, protocol, .. } = *event;
            Message { at: at.instant - start, from, to, protocol, summary: event.summary() }
        };
        events.into_iter().map(message).collect()
    }

    fn header(&self) -> String {
        let names: String =
            self.columns.iter().map(|column| pad_centre(&column.name, COLUMN_WIDTH)).collect();
        let line = format!("{:>9}  {names}", "ms");
        format!("{}\n", line.trim_end())
    }

    /// The column of an address.
    fn position(&self, address: SocketAddr) -> Option<usize> {
        self.columns.iter().position(|column| column.addresses.contains(&address))
    }

    fn reference_point(&self, from: usize, to: usize) -> &'static str {
        match (self.columns[from].kind, self.columns[to].kind) {
            (Kind::Hss, _) | (_, Kind::Hss) => "Cx",
            (Kind::ApplicationServer, _) | (_, Kind::ApplicationServer) => "ISC",
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

    /// Alice, bob, P-CSCF and HSS.
    fn ladder() -> (Ladder, [Party; 4]) {
        let mut ladder = Ladder::new();
        let parties = [
            ladder.column("alice", Kind::Ue, [at("127.0.0.1:5001")]),
            ladder.column("bob", Kind::Ue, [at("127.0.0.1:5002")]),
            ladder.column("P-CSCF", Kind::Cscf, [at("127.0.0.10:5060")]),
            ladder.column("HSS", Kind::Hss, [at("127.0.0.13:3868")]),
        ];
        (ladder, parties)
    }

    const OPTIONS: &str = "OPTIONS sip:p SIP/2.0\r\n\r\n";
    const OK: &str = "SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n";

    #[test]
    fn messages_of_all_parties_stand_in_the_order_of_their_time_and_each_one_once() {
        let (mut ladder, [alice, _, pcscf, _]) = ladder();
        let received = Event { sent: false, ..event(5100, "127.0.0.10:5060", "127.0.0.1:5001", OPTIONS) };
        let answer = event(5200, "127.0.0.10:5060", "127.0.0.1:5001", OK);
        ladder.report(pcscf, [received, answer]);
        ladder.report(alice, [event(5000, "127.0.0.1:5001", "127.0.0.10:5060", OPTIONS)]);
        let expected = [
            "       ms    alice     bob    P-CSCF     HSS",
            "    0.000      ──────────────────▶        │      Gm  OPTIONS",
            "    0.200      ◀──────────────────        │      Gm  200 OK (OPTIONS)",
        ];
        assert_eq!(ladder.draw().lines().map(str::trim_end).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_port_of_an_outgoing_connection_is_its_party() {
        let (mut ladder, [_, _, pcscf, hss]) = ladder();
        ladder.report(pcscf, [event(1, "127.0.0.1:40000", "127.0.0.13:3868", OPTIONS)]);
        ladder.report(hss, [event(2, "127.0.0.13:3868", "127.0.0.1:40000", OK)]);
        let lines: Vec<_> = ladder.draw().lines().skip(1).map(str::to_owned).collect();
        assert!(lines[0].ends_with("─────────▶      Cx  OPTIONS"), "{}", lines[0]);
        assert!(lines[1].ends_with("◀─────────      Cx  200 OK (OPTIONS)"), "{}", lines[1]);
    }

    #[test]
    fn a_party_elsewhere_is_drawn_by_those_who_receive_from_it() {
        let (mut ladder, [alice, ..]) = ladder();
        let answer = Event { sent: false, ..event(9, "127.0.0.1:5001", "127.0.0.10:5060", OK) };
        ladder.report(alice, [event(1, "127.0.0.1:5001", "127.0.0.10:5060", OPTIONS), answer]);
        assert_eq!(ladder.count(), 2);
        assert!(ladder.list().contains("127.0.0.10:5060\t127.0.0.1:5001\tSIP\t200 OK"), "{}", ladder.list());
    }

    #[test]
    fn a_message_of_a_stranger_is_listed_with_its_addresses() {
        let (mut ladder, [_, _, pcscf, _]) = ladder();
        let request = event(1000, "127.0.0.10:5060", "127.0.0.99:1", OPTIONS);
        ladder.report(pcscf, [request]);
        assert!(ladder.draw().contains("OPTIONS 127.0.0.10:5060 → 127.0.0.99:1"), "{}", ladder.draw());
        assert_eq!(ladder.list(), "0.000000\t127.0.0.10:5060\t127.0.0.99:1\tSIP\tOPTIONS\n");
    }
}
