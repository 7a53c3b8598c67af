//! What lists show of a recording: the overview, messages, stories, failures.

use super::{ITEMS_MAX, Item, Kept, Load, Recording, SECONDS};
use crate::api::{
    Arrow, FailureCause, Failures, Function as Shown, FunctionLoad, Link, Live, LiveArrow, Message,
    MessageRow, Messages, Outcome, Peer, Recorded, Stories, StorySummary,
};
use crate::story::{Kind, State};
use crate::{decode, difference, meaning};
use recorder::{Function, Node, Protocol, ReferencePoint, Transport, What};
use std::collections::BTreeMap;

/// Names a column.
pub fn column(node: &Node) -> String {
    let token = match node.function {
        Function::Ue => "ue",
        Function::Pcscf => "pcscf",
        Function::Icscf => "icscf",
        Function::Scscf => "scscf",
        Function::Ecscf => "ecscf",
        Function::Hss => "hss",
        Function::ApplicationServer => "as",
        Function::Other => "other",
    };
    match node.name.is_empty() {
        true => token.to_owned(),
        false => format!("{token}:{}", node.name),
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Sip => "sip",
        Protocol::Diameter => "diameter",
    }
}

fn interface(point: ReferencePoint) -> &'static str {
    match point {
        ReferencePoint::Unknown => "",
        known => known.name(),
    }
}

fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Sctp => "sctp",
        Transport::Memory => "memory",
    }
}

impl Item {
    pub(super) fn message(&self) -> Option<&recorder::Message> {
        match &self.entry.what {
            What::Message(message) => Some(message),
            What::Fact(_) => None,
        }
    }

    /// As a row; a fact as what it is.
    fn row(&self) -> MessageRow {
        let (sent, peer, protocol, summary, size) = match &self.entry.what {
            What::Message(message) => {
                let other = if message.sent { &self.to } else { &self.from };
                let size = u32::try_from(message.bytes.len()).unwrap_or(u32::MAX);
                (message.sent, other.title(), protocol(message.protocol), self.traffic.summary.clone(), size)
            }
            What::Fact(fact) => (false, String::new(), "fact", format!("{} {}", fact.name, fact.cause), 0),
        };
        MessageRow {
            sequence: self.entry.sequence,
            at_ms: self.entry.at.wall.as_millis(),
            node: self.entry.node.title(),
            sent,
            peer,
            protocol: protocol.to_owned(),
            interface: interface(self.interface).to_owned(),
            summary,
            cause: self.traffic.cause.clone(),
            story: self.story,
            size,
        }
    }

    /// As an arrow of a ladder.
    pub(super) fn arrow(&self) -> Option<Arrow> {
        let message = self.message()?;
        let (from, to) = (&self.from, &self.to);
        Some(Arrow {
            sequence: self.entry.sequence,
            at_us: self.entry.at.instant.as_micros(),
            at_ms: self.entry.at.wall.as_millis(),
            from: column(from),
            to: column(to),
            protocol: protocol(message.protocol).to_owned(),
            interface: interface(self.interface).to_owned(),
            summary: self.traffic.summary.clone(),
            meaning: meaning::of(&self.traffic, message.protocol, from.function, to.function).to_owned(),
            cause: self.traffic.cause.clone(),
            is_secured: message.security.is_some(),
            is_answer: !self.traffic.is_request(),
        })
    }

    fn fits(&self, text: &str) -> bool {
        let has = |field: &str| field.to_ascii_lowercase().contains(text);
        has(&self.traffic.summary)
            || has(&self.traffic.thread)
            || has(&self.traffic.from)
            || has(&self.traffic.to)
            || self.traffic.cause.as_deref().is_some_and(has)
            || has(interface(self.interface))
            || has(&self.entry.node.title())
    }
}

impl Load {
    fn per_second(&self, now_ms: u64) -> f64 {
        let now = now_ms / 1000;
        let recent =
            self.seconds.iter().filter(|(second, _)| *second + SECONDS as u64 > now && *second < now);
        recent.map(|(_, count)| *count as f64).sum::<f64>() / (SECONDS as f64 - 1.0)
    }
}

impl Kept {
    fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |kind: Kind| {
            let (count, failed) = self.outcomes.get(&kind).copied().unwrap_or_default();
            Outcome { kind: kind.name().to_owned(), count, failed }
        };
        Kind::ALL.into_iter().map(outcome).filter(|outcome| outcome.count > 0).collect()
    }
}

impl Recording {
    /// The functions that run, with their load, and those that were seen besides; who talks to whom; the peers.
    pub fn topology(&self, running: Vec<Shown>, now_ms: u64) -> (Vec<FunctionLoad>, Vec<Link>, Vec<Peer>) {
        let kept = self.lock();
        let loads: BTreeMap<String, (&super::Node, &Load)> =
            kept.loads.iter().map(|(node, load)| (column(node), (node, load))).collect();
        let loaded = |function: Shown| {
            let load = loads.get(&function.id).map(|(_, load)| *load);
            FunctionLoad {
                messages: load.map_or(0, |load| load.messages),
                per_second: load.map_or(0.0, |load| load.per_second(now_ms)),
                refusals: load.map_or(0, |load| load.refusals),
                function,
            }
        };
        let mut seen: BTreeMap<String, Shown> = BTreeMap::new();
        for node in kept.links.keys().flat_map(|(a, b)| [a, b]) {
            let shown =
                Shown { id: column(node), name: node.title(), addresses: Vec::new(), is_running: true };
            seen.insert(column(node), shown);
        }
        for function in running {
            seen.insert(function.id.clone(), function);
        }
        let links = kept.links.iter().map(|((a, b), link)| Link {
            a: column(a),
            b: column(b),
            interface: interface(link.interface).to_owned(),
            messages: link.messages,
            refusals: link.refusals,
            last_ms: link.last_ms,
        });
        (seen.into_values().map(loaded).collect(), links.collect(), kept.peers.shown(now_ms))
    }

    /// How much is kept.
    pub fn recorded(&self) -> Recorded {
        let kept = self.lock();
        let last = kept.items.back().map_or(0, |item| item.entry.sequence);
        Recorded { first: kept.first(), last, dropped: kept.dropped, bytes: kept.bytes as u64 }
    }

    /// Stories, the newest first.
    pub fn stories(
        &self,
        kind: Option<&str>,
        state: Option<&str>,
        text: &str,
        offset: usize,
        limit: usize,
    ) -> Stories {
        let kept = self.lock();
        let text = text.to_ascii_lowercase();
        let fits = |story: &StorySummary| {
            kind.is_none_or(|kind| story.kind == kind)
                && state.is_none_or(|state| story.state == state)
                && (text.is_empty()
                    || [&story.from, &story.to, &story.call_id, &story.state]
                        .into_iter()
                        .chain(story.cause.as_ref())
                        .any(|field| field.to_ascii_lowercase().contains(&text)))
        };
        let all = kept.stories.iter().rev().map(super::Record::summary).filter(fits);
        let mut count = 0_u64;
        let mut stories = Vec::new();
        for story in all {
            if count >= offset as u64 && stories.len() < limit {
                stories.push(story);
            }
            count += 1;
        }
        Stories { stories, count }
    }

    /// Messages in the order of their sequence. Without an offset, the last ones.
    pub fn messages(&self, text: &str, story: Option<u64>, offset: Option<usize>, limit: usize) -> Messages {
        let kept = self.lock();
        let text = text.to_ascii_lowercase();
        if text.is_empty() && story.is_none() {
            let count = kept.items.len();
            let offset = offset.unwrap_or(count.saturating_sub(limit)).min(count);
            let rows = kept.items.range(offset..(offset + limit).min(count)).map(Item::row).collect();
            return Messages { rows, count: count as u64, offset: offset as u64 };
        }
        let fitting: Vec<&Item> = kept
            .items
            .iter()
            .filter(|item| {
                story.is_none_or(|story| item.story == story) && (text.is_empty() || item.fits(&text))
            })
            .take(ITEMS_MAX)
            .collect();
        let count = fitting.len();
        let offset = offset.unwrap_or(count.saturating_sub(limit)).min(count);
        let rows = fitting.iter().skip(offset).take(limit).map(|item| item.row()).collect();
        Messages { rows, count: count as u64, offset: offset as u64 }
    }

    /// One message, decoded, against the hop before.
    pub fn message(&self, sequence: u64) -> Option<Message> {
        let kept = self.lock();
        let item = kept.item(sequence)?;
        let message = item.message()?;
        let text = |message: &recorder::Message| String::from_utf8_lossy(&message.bytes).into_owned();
        let is_sip = message.protocol == Protocol::Sip;
        let previous = kept.hop_before(item).filter(|_| is_sip);
        let difference =
            previous.and_then(Item::message).map(|old| difference::between(&text(old), &text(message)));
        Some(Message {
            row: item.row(),
            meaning: meaning::of(&item.traffic, message.protocol, item.from.function, item.to.function)
                .to_owned(),
            local: message.local.to_string(),
            remote: message.remote.to_string(),
            transport: transport(message.transport).to_owned(),
            spi: message.security.map(|security| format!("0x{:08x}", security.spi)),
            tree: decode::tree(message),
            text: is_sip.then(|| text(message)),
            previous: previous.map(|item| item.entry.sequence),
            difference: difference.unwrap_or_default(),
        })
    }

    /// What failed, by cause.
    pub fn failures(&self) -> Failures {
        let kept = self.lock();
        let mut causes: BTreeMap<String, FailureCause> = BTreeMap::new();
        for story in kept.stories.iter().rev().filter(|story| story.state == State::Failed) {
            let summary = story.summary();
            let cause = summary.cause.clone().unwrap_or_else(|| "refused".to_owned());
            let none = || FailureCause {
                cause: cause.clone(),
                explanation: None,
                count: 0,
                last_ms: summary.started_ms,
                stories: Vec::new(),
            };
            let entry = causes.entry(cause.clone()).or_insert_with(none);
            entry.count += 1;
            if entry.stories.len() < EXAMPLES {
                entry.stories.push(summary);
            }
        }
        let mut causes: Vec<_> = causes.into_values().collect();
        causes.sort_by_key(|cause| std::cmp::Reverse((cause.count, cause.last_ms)));
        Failures { causes, outcomes: kept.outcomes() }
    }

    /// What came after an entry and is drawn; at most so much, the oldest left out.
    pub fn live(&self, after: u64, limit: usize, now_ms: u64) -> Live {
        let kept = self.lock();
        let last = kept.items.back().map_or(0, |item| item.entry.sequence);
        let oldest = kept.first().max(after + 1).max((last + 1).saturating_sub(limit as u64));
        let skipped = oldest - (after + 1).min(oldest);
        let from =
            usize::try_from(oldest.saturating_sub(kept.first())).unwrap_or(usize::MAX).min(kept.items.len());
        let drawn = kept.items.range(from..).filter(|item| item.is_drawn);
        let live = |item: &Item| Some(LiveArrow { arrow: item.arrow()?, story: item.story });
        Live { now_ms, arrows: drawn.filter_map(live).collect(), skipped, last }
    }
}

/// Stories that stand for a cause.
const EXAMPLES: usize = 10;
