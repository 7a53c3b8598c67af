//! The ladder: who sent what to whom, and when; as text, Mermaid, SVG or JSON.

mod draw;

use crate::entry::{Entry, Function, Node, Protocol, ReferencePoint, What};
use crate::join::{self, owners};
use crate::sip;
use crate::summary::visible;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Messages and facts between columns, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// The parties, from left to right.
    pub columns: Vec<Column>,
    /// What happened, from top to bottom.
    pub rows: Vec<Row>,
}

/// One party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// How it is headed.
    pub title: String,
    /// What it is.
    pub function: Function,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Since the first entry.
    pub at: Duration,
    /// Where the entry is in what the ladder was made from.
    pub entry: usize,
    /// What it shows.
    pub what: Shown,
}

/// What a line shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A message from one column to another.
    Arrow {
        /// The sender's column.
        from: usize,
        /// The receiver's.
        to: usize,
        /// What it is of.
        protocol: Protocol,
        /// Where it passed.
        interface: ReferencePoint,
        /// `INVITE`, `200 OK (INVITE)`, `UAA 2001`.
        summary: String,
        /// Whether it says that something went wrong.
        is_failure: bool,
        /// Whether a security association protected it.
        is_secured: bool,
        /// From and to.
        ends: (SocketAddr, SocketAddr),
    },
    /// A fact at a column.
    Note {
        /// Whose.
        at: usize,
        /// In words.
        text: String,
    },
}

/// One message of joined entries, as it was sent or, where its sender records nothing, as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The entry of it.
    pub entry: usize,
    /// The entry of its receiver, where both ends record.
    pub received: Option<usize>,
}

/// Each message once, of joined entries.
pub fn passed(entries: &[Entry]) -> Vec<Passed> {
    let mut sent: BTreeMap<(Protocol, &[u8]), Vec<usize>> = BTreeMap::new();
    let mut passed: Vec<Passed> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let What::Message(message) = &entry.what else { continue };
        let key = (message.protocol, message.bytes.as_slice());
        if message.sent {
            sent.entry(key).or_default().push(passed.len());
            passed.push(Passed { entry: at, received: None });
            continue;
        }
        let open = sent.get_mut(&key).filter(|open| !open.is_empty()).map(|open| open.remove(0));
        match open {
            Some(index) => passed[index].received = Some(at),
            None => passed.push(Passed { entry: at, received: None }),
        }
    }
    passed
}

impl Ladder {
    /// The ladder of joined entries, without what Diameter connections say for themselves.
    pub fn of(entries: &[Entry]) -> Ladder {
        let owners = owners(entries);
        let mut parties = Parties::default();
        let mut rows = Vec::new();
        let mut passed = passed(entries).into_iter().peekable();
        let start = entries.first().map_or(ambient::Instant::START, |first| first.at.instant);
        for (at, entry) in entries.iter().enumerate() {
            let what = match &entry.what {
                What::Fact(fact) => {
                    let detail =
                        if fact.detail.is_empty() { String::new() } else { format!(" ({})", fact.detail) };
                    let text = format!("{}: {}{detail}", fact.name, fact.cause);
                    Shown::Note { at: parties.of_node(&entry.node), text }
                }
                What::Message(message) => {
                    // Those are in the order of their entries.
                    let Some(Passed { received, .. }) = passed.next_if(|passed| passed.entry == at) else {
                        continue;
                    };
                    if join::is_upkeep(entry) {
                        continue;
                    }
                    let own = parties.of_node(&entry.node);
                    let other = match received.map(|at| &entries[at].node).or(owners.get(&message.remote)) {
                        Some(node) => parties.of_node(node),
                        None => parties.of_stranger(message.remote, stranger(entry)),
                    };
                    let (from, to) = if message.sent { (own, other) } else { (other, own) };
                    Shown::Arrow {
                        from,
                        to,
                        protocol: message.protocol,
                        interface: message.interface,
                        summary: message.summary(),
                        is_failure: message.is_failure(),
                        is_secured: message.security.is_some(),
                        ends: message.ends(),
                    }
                }
            };
            rows.push(Row { at: entry.at.instant - start, entry: at, what });
        }
        parties.arranged(rows)
    }

    /// How many messages there are.
    pub fn count(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.what, Shown::Arrow { .. })).count()
    }
}

/// What is known of one who records nothing: its function, and a name for it.
fn stranger(entry: &Entry) -> (Function, String) {
    let What::Message(message) = &entry.what else { return (Function::Other, String::new()) };
    let function = match message.interface {
        ReferencePoint::Gm => Function::Ue,
        ReferencePoint::Isc => Function::ApplicationServer,
        ReferencePoint::Cx => Function::Hss,
        _ => Function::Other,
    };
    // A request that it sends says who it is, and one that it gets, too.
    let is_request = sip::status(&message.bytes).is_none();
    let says = match (message.sent, is_request) {
        (false, true) | (true, false) => ("From", "f"),
        (true, true) | (false, false) => ("To", "t"),
    };
    let name = match function {
        Function::Ue => sip::header(&message.bytes, says.0, says.1).and_then(user).unwrap_or_default(),
        _ => String::new(),
    };
    (function, name)
}

/// The user part of the URI of From or To.
fn user(value: &str) -> Option<String> {
    let at = value.find("sip:").map(|at| at + 4).or_else(|| value.find("tel:").map(|at| at + 4))?;
    let user = value[at..].split(['@', ';', '>']).next()?;
    (!user.is_empty()).then(|| user.to_owned())
}

/// The columns, as they are met.
#[derive(Debug, Default)]
struct Parties {
    columns: Vec<Column>,
    of_node: BTreeMap<Node, usize>,
    /// By address: a phone has several, its ports.
    of_stranger: BTreeMap<(Function, String), usize>,
}

impl Parties {
    fn of_node(&mut self, node: &Node) -> usize {
        if let Some(at) = self.of_node.get(node) {
            return *at;
        }
        let title = match node.name.is_empty() {
            true => node.function.title().to_owned(),
            false => node.name.clone(),
        };
        self.columns.push(Column { title, function: node.function });
        self.of_node.insert(node.clone(), self.columns.len() - 1);
        self.columns.len() - 1
    }

    fn of_stranger(&mut self, address: SocketAddr, (function, name): (Function, String)) -> usize {
        // A phone is its host where all of them have one, and its user where several share one.
        let key = match name.is_empty() {
            true => (function, address.to_string()),
            false => (function, name.clone()),
        };
        if let Some(at) = self.of_stranger.get(&key) {
            return *at;
        }
        let title = match (name.is_empty(), function) {
            (false, _) => name,
            (true, Function::Other) => address.to_string(),
            (true, function) => function.title().to_owned(),
        };
        self.columns.push(Column { title, function });
        self.of_stranger.insert(key, self.columns.len() - 1);
        self.columns.len() - 1
    }

    /// Phones first, the HSS last.
    fn arranged(self, mut rows: Vec<Row>) -> Ladder {
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        order.sort_by_key(|at| rank(self.columns[*at].function));
        let place: BTreeMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let new = |old: usize| place.get(&old).copied().unwrap_or(old);
        for row in &mut rows {
            match &mut row.what {
                Shown::Arrow { from, to, summary, .. } => {
                    (*from, *to, *summary) = (new(*from), new(*to), visible(summary));
                }
                Shown::Note { at, text } => (*at, *text) = (new(*at), visible(text)),
            }
        }
        let column = |at: usize| {
            let Column { title, function } = &self.columns[at];
            Column { title: visible(title), function: *function }
        };
        let columns = order.into_iter().map(column).collect();
        Ladder { columns, rows }
    }
}

const fn rank(function: Function) -> u8 {
    match function {
        Function::Ue => 0,
        Function::Pcscf => 1,
        Function::Icscf => 2,
        Function::Scscf => 3,
        Function::ApplicationServer => 4,
        Function::Ecscf => 5,
        Function::Other => 6,
        Function::Hss => 7,
    }
}
