//! What belongs together: a call with all of its legs, a registration, a text, with the Diameter that they caused.
//!
//! Legs are joined by Call-ID, by the icid that all functions of the IMS pass on (RFC 7315 §5.6), and by what our Session-Ids
//! carry of it; Diameter without it by its user.

use crate::entry::{Entry, Fact, Message, Protocol, What};
use crate::{diameter, sip};
use std::collections::BTreeMap;

/// A call, a registration, or something else that a user did or got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// What it is.
    pub kind: Kind,
    /// The places of its entries in what it was made from, in order.
    pub entries: Vec<usize>,
    /// Its Call-IDs, in the order in which they came; the first names it.
    pub call_ids: Vec<String>,
    /// Its icids.
    pub icids: Vec<String>,
    /// Who began it: the address of From.
    pub from: String,
    /// For whom: the address of To.
    pub to: String,
    /// The status that its first request came to, as who began it was told.
    pub status: Option<u16>,
}

/// The kinds of stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It began with an INVITE.
    Call,
    /// With a REGISTER.
    Registration,
    /// With a MESSAGE.
    Message,
    /// With a SUBSCRIBE or NOTIFY.
    Subscription,
    /// With anything else.
    Other,
}

impl Kind {
    /// As a list shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Call => "call",
            Kind::Registration => "registration",
            Kind::Message => "message",
            Kind::Subscription => "subscription",
            Kind::Other => "other",
        }
    }

    fn of(method: &str) -> Kind {
        match method {
            "INVITE" => Kind::Call,
            "REGISTER" => Kind::Registration,
            "MESSAGE" => Kind::Message,
            "SUBSCRIBE" | "NOTIFY" => Kind::Subscription,
            _ => Kind::Other,
        }
    }
}

impl Story {
    /// The Call-ID that names it.
    pub fn id(&self) -> &str {
        self.call_ids.first().map_or("", String::as_str)
    }

    /// Its entries, of those that it was made from.
    pub fn of(&self, entries: &[Entry]) -> Vec<Entry> {
        self.entries.iter().filter_map(|at| entries.get(*at)).cloned().collect()
    }

    /// Whether a message of it names this identity, or digits of one.
    pub fn names(&self, identity: &str, entries: &[Entry]) -> bool {
        self.entries.iter().filter_map(|at| entries.get(*at)).any(|entry| match &entry.what {
            What::Message(message) => memchr::memmem::find(&message.bytes, identity.as_bytes()).is_some(),
            What::Fact(fact) => fact.detail.contains(identity),
        })
    }
}

/// The stories of joined entries, in the order in which they began. What belongs to none, as a peer that went away, is in
/// none.
pub fn stories(entries: &[Entry]) -> Vec<Story> {
    let mut groups = Groups::default();
    let mut of_entry: Vec<Option<usize>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let keys = keys(entry);
        let group = match keys.is_empty() {
            true => None,
            false => Some(groups.group(keys)),
        };
        of_entry.push(group);
    }
    let mut stories: Vec<Story> = Vec::new();
    let mut of_group: BTreeMap<usize, usize> = BTreeMap::new();
    // The story that last named a user.
    let mut of_user: BTreeMap<String, usize> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        let root = of_entry[at].map(|group| groups.root(group));
        let known = root.and_then(|root| of_group.get(&root).copied());
        let story = match (&entry.what, known) {
            (_, Some(story)) => story,
            (What::Message(message), None) if message.protocol == Protocol::Sip => {
                stories.push(Story::begun_by(message));
                stories.len() - 1
            }
            // Diameter that says nothing of its cause is about the user of whom was spoken last.
            (What::Message(message), None) => {
                let by_user = users(message).into_iter().find_map(|user| of_user.get(&user).copied());
                let Some(story) = by_user.filter(|_| !diameter::is_upkeep(&message.bytes)) else { continue };
                story
            }
            (What::Fact(_), None) => continue,
        };
        if let Some(root) = root {
            of_group.insert(root, story);
        }
        if let What::Message(message) = &entry.what {
            for user in users(message) {
                of_user.insert(user, story);
            }
        }
        stories[story].add(at, entry);
    }
    stories
}

impl Story {
    fn begun_by(message: &Message) -> Story {
        let method = sip::method(&message.bytes).unwrap_or_default();
        let address =
            |name, short| sip::header(&message.bytes, name, short).map(address_of).unwrap_or_default();
        Story {
            kind: Kind::of(&method),
            entries: Vec::new(),
            call_ids: Vec::new(),
            icids: Vec::new(),
            from: address("From", "f"),
            to: address("To", "t"),
            status: None,
        }
    }

    fn add(&mut self, at: usize, entry: &Entry) {
        self.entries.push(at);
        let What::Message(message) = &entry.what else { return };
        if message.protocol != Protocol::Sip {
            return;
        }
        let keep = |list: &mut Vec<String>, found: String| {
            if !list.contains(&found) {
                list.push(found);
            }
        };
        if let Some(call_id) = sip::call_id(&message.bytes) {
            keep(&mut self.call_ids, call_id.to_owned());
        }
        if let Some(icid) = sip::icid(&message.bytes) {
            keep(&mut self.icids, icid);
        }
        let first = self.call_ids.first().map(String::as_str);
        let is_first = sip::call_id(&message.bytes) == first
            && sip::method(&message.bytes).is_some_and(|method| Kind::of(&method) == self.kind);
        // What was said last to the one who began outweighs, so that an answered challenge is a success.
        if is_first && let Some(status) = sip::status(&message.bytes).filter(|status| *status >= 200) {
            self.status = Some(status);
        }
    }
}

/// The URI of From or To.
fn address_of(value: &str) -> String {
    let uri = match (value.find('<'), value.find('>')) {
        (Some(from), Some(to)) if from < to => &value[from + 1..to],
        _ => value.split(';').next().unwrap_or(value),
    };
    uri.trim().to_owned()
}

/// By what an entry belongs to others.
fn keys(entry: &Entry) -> Vec<String> {
    match &entry.what {
        What::Message(message) if message.protocol == Protocol::Sip => {
            let call_id = sip::call_id(&message.bytes).map(|id| format!("c{id}"));
            let trace = sip::icid(&message.bytes).map(|icid| format!("t{}", trace_of(&icid)));
            call_id.into_iter().chain(trace.filter(|trace| trace.len() > 1)).collect()
        }
        What::Message(message) => {
            let Some(session) = diameter::session_id(&message.bytes) else { return Vec::new() };
            let session = String::from_utf8_lossy(session);
            let trace = session.splitn(4, ';').nth(3).filter(|trace| !trace.is_empty());
            let trace = trace.map(|trace| format!("t{trace}"));
            std::iter::once(format!("s{session}")).chain(trace).collect()
        }
        What::Fact(Fact { call_id, .. }) if !call_id.is_empty() => vec![format!("c{call_id}")],
        What::Fact(_) => Vec::new(),
    }
}

/// What our Session-Ids carry of an icid.
pub(crate) fn trace_of(icid: &str) -> String {
    icid.chars().filter(|c| c.is_ascii_alphanumeric() || "-._@".contains(*c)).take(TRACE_MAX).collect()
}

/// The users that a message is about.
fn users(message: &Message) -> Vec<String> {
    let bytes = &message.bytes;
    match message.protocol {
        Protocol::Sip => {
            let of = |name, short| sip::header(bytes, name, short).map(address_of);
            [of("From", "f"), of("To", "t")].into_iter().flatten().collect()
        }
        Protocol::Diameter => {
            let of = |code| diameter::text(bytes, code).map(str::to_owned);
            [of(diameter::PUBLIC_IDENTITY), of(diameter::USER_NAME)].into_iter().flatten().collect()
        }
    }
}

/// Sets of keys that are joined as they are met.
#[derive(Debug, Default)]
struct Groups {
    parents: Vec<usize>,
    of_key: BTreeMap<String, usize>,
}

impl Groups {
    fn root(&self, mut group: usize) -> usize {
        while self.parents[group] != group {
            group = self.parents[group];
        }
        group
    }

    fn group(&mut self, keys: Vec<String>) -> usize {
        let mut joined: Option<usize> = None;
        let mut new = Vec::new();
        for key in keys {
            match self.of_key.get(&key).map(|group| self.root(*group)) {
                Some(found) => match joined {
                    // The older one stays, so that chains are short.
                    Some(other) => {
                        let (older, younger) = (found.min(other), found.max(other));
                        self.parents[younger] = older;
                        joined = Some(older);
                    }
                    None => joined = Some(found),
                },
                None => new.push(key),
            }
        }
        let group = joined.unwrap_or_else(|| {
            self.parents.push(self.parents.len());
            self.parents.len() - 1
        });
        for key in new {
            self.of_key.insert(key, group);
        }
        group
    }
}

/// The longest that a Session-Id carries of an icid.
const TRACE_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn legs_of_different_call_ids_are_one_call_by_their_icid() {
        let entries = [
            sample::sip("INVITE sip:b SIP/2.0", "one", Some("ic")),
            sample::sip("INVITE sip:c SIP/2.0", "other", Some("another")),
            sample::sip("INVITE sip:b SIP/2.0", "two", Some("ic")),
            sample::sip("SIP/2.0 486 Busy Here", "two", None),
            sample::sip("SIP/2.0 486 Busy Here", "one", None),
        ];
        let stories = stories(&entries);
        assert_eq!(stories.len(), 2);
        assert_eq!(stories[0].entries, [0, 2, 3, 4]);
        assert_eq!(stories[0].call_ids, ["one", "two"]);
        assert_eq!((stories[0].kind, stories[0].status), (Kind::Call, Some(486)));
        assert_eq!(stories[1].status, None);
    }

    #[test]
    fn diameter_belongs_to_the_request_that_it_carries_the_icid_of_or_to_its_user() {
        let entries = [
            sample::sip("REGISTER sip:h SIP/2.0", "r", Some("ic-1")),
            sample::diameter(300, "icscf;1;2;ic-1", None),
            sample::sip("REGISTER sip:h SIP/2.0", "q", Some("ic-2")),
            sample::diameter(301, "scscf;1;3", Some("sip:a@h")),
            sample::diameter(280, "", None),
        ];
        let stories = stories(&entries);
        assert_eq!(
            stories.iter().map(|story| story.entries.clone()).collect::<Vec<_>>(),
            [vec![0, 1], vec![2, 3]]
        );
        assert!(stories[1].names("sip:a@h", &entries));
    }
}
