//! What was recorded, in a bound of memory, and what is found out while it comes: stories, links, peers.

mod ladder;
mod peers;
mod rows;

use crate::story::{Kind, Record, State};
use crate::traffic::Traffic;
use peers::Peers;
use recorder::{Entry, Function, Node, Protocol, ReferencePoint, What};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the console knows of a network before anything is recorded.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Where functions listen.
    pub addresses: Vec<(SocketAddr, Node)>,
    /// Host names of Diameter peers.
    pub hosts: Vec<(String, Node)>,
}

/// Everything that was recorded and is still kept.
#[derive(Debug)]
pub struct Recording {
    kept: Mutex<Kept>,
    last: AtomicU64,
}

/// One entry, and what was found out about it.
#[derive(Debug)]
struct Item {
    entry: Arc<Entry>,
    traffic: Traffic,
    /// 0 for none.
    story: u64,
    from: Node,
    to: Node,
    interface: ReferencePoint,
    /// Whether a ladder draws it: as it was sent or, from somebody who records nothing, as it was received.
    is_drawn: bool,
}

#[derive(Debug, Default)]
struct Kept {
    items: VecDeque<Item>,
    bytes: usize,
    dropped: u64,
    stories: VecDeque<Record>,
    stories_begun: u64,
    /// Call-ID or Session-Id of a story.
    by_thread: BTreeMap<String, u64>,
    /// The newest story that names an identity.
    by_identity: BTreeMap<String, u64>,
    addresses: BTreeMap<SocketAddr, Node>,
    hosts: Vec<(String, Node)>,
    /// Who tells what it sends, by protocol.
    recording: BTreeSet<(Node, Protocol)>,
    loads: BTreeMap<Node, Load>,
    links: BTreeMap<(Node, Node), LinkLoad>,
    peers: Peers,
    /// Stories that were begun and failed, for good, by kind: what has left the ring still counts.
    outcomes: BTreeMap<Kind, (u64, u64)>,
}

/// How much a function has to do.
#[derive(Clone, Debug, Default)]
struct Load {
    messages: u64,
    refusals: u64,
    /// Second of the wall clock and how many were in it.
    seconds: [(u64, u64); SECONDS],
}

/// How much goes between two functions.
#[derive(Clone, Debug)]
struct LinkLoad {
    interface: ReferencePoint,
    messages: u64,
    refusals: u64,
    last_ms: u64,
}

/// Entries that are kept at most.
const ITEMS_MAX: usize = 131_072;
/// Octets of messages that are kept at most.
const BYTES_MAX: usize = 96 << 20;
/// Messages of one story that are kept in it; later ones are in the list of messages alone.
const STORY_MAX: usize = 2_000;
/// Addresses and identities that are remembered.
const NAMES_MAX: usize = 65_536;
/// Identities of one story by which Diameter finds it.
const IDENTITIES_MAX: usize = 16;
/// Pairs of parties, and parties, that are counted.
const PARTIES_MAX: usize = 256;
/// Seconds that a rate is the mean of.
const SECONDS: usize = 10;

impl Recording {
    /// An empty recording.
    pub fn new(known: Known) -> Recording {
        let kept =
            Kept { addresses: known.addresses.into_iter().collect(), hosts: known.hosts, ..Kept::default() };
        Recording { kept: Mutex::new(kept), last: AtomicU64::new(0) }
    }

    /// The sequence of the newest entry; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Somebody listens there.
    pub fn know(&self, address: SocketAddr, node: Node) {
        let mut kept = self.lock();
        if kept.addresses.len() < NAMES_MAX {
            kept.addresses.insert(address, node);
        }
    }

    /// Adds entries in the order of their time; each gets the next sequence.
    pub fn push(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut kept = self.lock();
        let mut last = self.last();
        for entry in entries {
            last += 1;
            kept.add(Entry { sequence: last, ..entry });
        }
        self.last.store(last, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing between two statements of a writer leaves it half done in a way that a reader could trip over.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn first(&self) -> u64 {
        self.items.front().map_or(0, |item| item.entry.sequence)
    }

    fn item(&self, sequence: u64) -> Option<&Item> {
        let at = sequence.checked_sub(self.first())?;
        self.items.get(usize::try_from(at).ok()?)
    }

    fn story(&self, id: u64) -> Option<&Record> {
        let at = self.stories.binary_search_by_key(&id, |story| story.id).ok()?;
        self.stories.get(at)
    }

    fn story_mut(&mut self, id: u64) -> Option<&mut Record> {
        let at = self.stories.binary_search_by_key(&id, |story| story.id).ok()?;
        self.stories.get_mut(at)
    }

    fn add(&mut self, entry: Entry) {
        let What::Message(message) = &entry.what else {
            let (node, story) = (entry.node.clone(), 0);
            let (traffic, interface) = (Traffic::default(), ReferencePoint::Unknown);
            let item = Item {
                entry: Arc::new(entry),
                traffic,
                story,
                from: node.clone(),
                to: node,
                interface,
                is_drawn: false,
            };
            return self.keep(item, 0);
        };
        let traffic = Traffic::of(message);
        let size = message.bytes.len();
        if self.addresses.len() < NAMES_MAX {
            self.addresses.insert(message.local, entry.node.clone());
        }
        self.recording.insert((entry.node.clone(), message.protocol));
        let peer = self.peer(message, &traffic);
        let is_drawn = message.sent || !self.records(&peer, message.protocol);
        let (from, to) = match message.sent {
            true => (entry.node.clone(), peer),
            false => (peer, entry.node.clone()),
        };
        let interface = match message.interface {
            ReferencePoint::Unknown => between(from.function, to.function),
            known => known,
        };
        let at_ms = entry.at.wall.as_millis();
        self.count(&entry.node, &from, &to, interface, &traffic, (at_ms, is_drawn));
        if message.protocol == Protocol::Diameter {
            self.peers.tell(&entry, message, &traffic);
        }
        let story = self.place(&entry, message.protocol, &traffic, (&from, &to));
        self.keep(Item { entry: Arc::new(entry), traffic, story, from, to, interface, is_drawn }, size);
    }

    /// Whether a party tells what it sends.
    fn records(&self, node: &Node, protocol: Protocol) -> bool {
        self.recording.contains(&(node.clone(), protocol))
    }

    /// The node at the other end.
    fn peer(&self, message: &recorder::Message, traffic: &Traffic) -> Node {
        if let Some(node) = self.addresses.get(&message.remote) {
            return node.clone();
        }
        let host = if message.sent { &traffic.to } else { &traffic.from };
        let known =
            self.hosts.iter().find(|(name, _)| message.protocol == Protocol::Diameter && name == host);
        match known.or_else(|| self.of_connection(message)) {
            Some((_, node)) => node.clone(),
            None => Node { function: Function::Other, name: message.remote.to_string() },
        }
    }

    /// Who said at this connection who it is.
    fn of_connection(&self, message: &recorder::Message) -> Option<&(String, Node)> {
        let host = self.peers.host(message.local, message.remote)?;
        self.hosts.iter().find(|(name, _)| name == host)
    }

    fn count(
        &mut self,
        node: &Node,
        from: &Node,
        to: &Node,
        interface: ReferencePoint,
        traffic: &Traffic,
        (at_ms, is_drawn): (u64, bool),
    ) {
        let is_refusal = u64::from(traffic.cause.is_some());
        if self.loads.len() < PARTIES_MAX || self.loads.contains_key(node) {
            let load = self.loads.entry(node.clone()).or_default();
            load.messages += 1;
            load.refusals += u64::from(from == node) * is_refusal;
            let second = at_ms / 1000;
            let slot = &mut load.seconds[(second % SECONDS as u64) as usize];
            *slot = if slot.0 == second { (second, slot.1 + 1) } else { (second, 1) };
        }
        let pair = if from <= to { (from.clone(), to.clone()) } else { (to.clone(), from.clone()) };
        if is_drawn && (self.links.len() < PARTIES_MAX || self.links.contains_key(&pair)) {
            let none = LinkLoad { interface, messages: 0, refusals: 0, last_ms: 0 };
            let link = self.links.entry(pair).or_insert(none);
            link.messages += 1;
            link.refusals += is_refusal;
            link.last_ms = link.last_ms.max(at_ms);
        }
    }

    /// The story that a message belongs to, which it is added to.
    fn place(
        &mut self,
        entry: &Entry,
        protocol: Protocol,
        traffic: &Traffic,
        (from, to): (&Node, &Node),
    ) -> u64 {
        let known = self.by_thread.get(&traffic.thread).copied();
        let id = match (protocol, known) {
            (_, Some(id)) => id,
            (Protocol::Sip, None)
                if traffic.is_request() && traffic.method != "ACK" && !traffic.thread.is_empty() =>
            {
                self.begin(entry, traffic, from)
            }
            (Protocol::Sip, None) => return 0,
            // What asks the HSS about somebody belongs to what somebody does.
            (Protocol::Diameter, None) => {
                let named =
                    traffic.identities.iter().filter_map(|identity| self.by_identity.get(&key(identity)));
                let newest = named.max_by_key(|id| self.story(**id).map(|story| story.last_us));
                let Some(id) = newest.copied() else { return 0 };
                id
            }
        };
        if protocol == Protocol::Sip && asks_about_users(traffic) {
            self.index(id, traffic);
        }
        let (sequence, at_us) = (entry.sequence, entry.at.instant.as_micros());
        let (from, to) = (rows::column(from), rows::column(to));
        let Some(story) = self.story_mut(id) else { return 0 };
        let (kind, before) = (story.kind, story.state);
        match protocol {
            Protocol::Sip => story.tell(traffic, &from, &to),
            Protocol::Diameter if story.cause.is_none() => story.cause.clone_from(&traffic.cause),
            Protocol::Diameter => {}
        }
        story.last_us = story.last_us.max(at_us);
        if story.sequences.len() < STORY_MAX {
            story.sequences.push_back(sequence);
        }
        let (after, is_new) = (story.state, known.is_none() && story.threads.len() < STORY_MAX);
        if is_new && !traffic.thread.is_empty() {
            story.threads.push(traffic.thread.clone());
            self.by_thread.insert(traffic.thread.clone(), id);
        }
        if before != after && (before == State::Failed || after == State::Failed) {
            let failed = &mut self.outcomes.entry(kind).or_default().1;
            *failed = if after == State::Failed { *failed + 1 } else { failed.saturating_sub(1) };
        }
        id
    }

    /// The newest that somebody does is what the HSS is asked about.
    fn index(&mut self, id: u64, traffic: &Traffic) {
        for identity in traffic.identities.iter().map(|identity| key(identity)) {
            if self.by_identity.len() >= NAMES_MAX && !self.by_identity.contains_key(&identity) {
                continue;
            }
            self.by_identity.insert(identity.clone(), id);
            let Some(story) = self.story_mut(id) else { return };
            if story.identities.len() < IDENTITIES_MAX && !story.identities.contains(&identity) {
                story.identities.push(identity);
            }
        }
    }

    fn begin(&mut self, entry: &Entry, traffic: &Traffic, from: &Node) -> u64 {
        self.stories_begun += 1;
        let id = self.stories_begun;
        let kind = Kind::of(&traffic.method);
        self.outcomes.entry(kind).or_default().0 += 1;
        let from_whom = if kind == Kind::Registration { &traffic.to } else { &traffic.from };
        self.stories.push_back(Record {
            id,
            kind,
            call_id: traffic.thread.clone(),
            from: from_whom.clone(),
            to: traffic.to.clone(),
            state: State::Trying,
            cause: None,
            origin: rows::column(from),
            is_ending: false,
            started_ms: entry.at.wall.as_millis(),
            first_us: entry.at.instant.as_micros(),
            last_us: entry.at.instant.as_micros(),
            sequences: VecDeque::new(),
            threads: Vec::new(),
            identities: Vec::new(),
        });
        id
    }

    fn keep(&mut self, item: Item, size: usize) {
        self.bytes += size;
        self.items.push_back(item);
        while self.items.len() > ITEMS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.items.pop_front() else { return };
            self.dropped += 1;
            if let What::Message(message) = &oldest.entry.what {
                self.bytes = self.bytes.saturating_sub(message.bytes.len());
            }
            self.forget(oldest.story);
        }
    }

    /// One message of a story has gone; the story goes with its last one.
    fn forget(&mut self, id: u64) {
        let first = self.first();
        let Some(story) = self.story_mut(id) else { return };
        while story.sequences.front().is_some_and(|sequence| *sequence < first) {
            story.sequences.pop_front();
        }
        if !story.sequences.is_empty() {
            return;
        }
        let Ok(at) = self.stories.binary_search_by_key(&id, |story| story.id) else { return };
        let Some(gone) = self.stories.remove(at) else { return };
        for thread in &gone.threads {
            self.by_thread.remove(thread);
        }
        for identity in &gone.identities {
            if self.by_identity.get(identity) == Some(&id) {
                self.by_identity.remove(identity);
            }
        }
    }
}

/// Whether a request makes a CSCF ask the HSS.
fn asks_about_users(traffic: &Traffic) -> bool {
    traffic.is_request() && matches!(traffic.method.as_str(), "REGISTER" | "INVITE" | "MESSAGE")
}

/// The part of an identity by which a private and a public one of a lab user meet: without its scheme.
fn key(identity: &str) -> String {
    let bare = identity.strip_prefix("sip:").or_else(|| identity.strip_prefix("tel:")).unwrap_or(identity);
    bare.to_ascii_lowercase()
}

/// The reference point between two functions.
fn between(a: Function, b: Function) -> ReferencePoint {
    use Function::{ApplicationServer, Ecscf, Hss, Other, Pcscf, Ue};
    match (a, b) {
        (Hss, _) | (_, Hss) => ReferencePoint::Cx,
        (ApplicationServer, _) | (_, ApplicationServer) => ReferencePoint::Isc,
        (Ue, _) | (_, Ue) => ReferencePoint::Gm,
        // Whom a P-CSCF does not know is a phone in a lab.
        (Other, Pcscf) | (Pcscf, Other) => ReferencePoint::Gm,
        (Other, Ecscf) | (Ecscf, Other) => ReferencePoint::Mi,
        (Other, _) | (_, Other) => ReferencePoint::Mm,
        _ => ReferencePoint::Mw,
    }
}

#[cfg(test)]
pub mod tests;
