//! A story as a ladder: its parties from left to right, each message once.

use super::{Item, Kept, Recording};
use crate::api::{Column, Story};
use recorder::{Entry, Function, Node};

impl Recording {
    /// A story with its arrows, and its entries for who explains them.
    pub fn story(&self, id: u64) -> Option<(Story, Vec<Entry>)> {
        let kept = self.lock();
        let record = kept.story(id)?;
        let items: Vec<&Item> = record.sequences.iter().filter_map(|sequence| kept.item(*sequence)).collect();
        let mut drawn: Vec<&Item> = items.iter().copied().filter(|item| kept.draws(item)).collect();
        drawn.sort_by_key(|item| (item.entry.at.instant, item.entry.sequence));
        let drawn = by_cause(drawn);
        let arrows = drawn.iter().filter_map(|item| item.arrow()).collect();
        let story = Story { summary: record.summary(), columns: columns(&drawn), arrows, explanation: None };
        Some((story, items.iter().map(|item| (*item.entry).clone()).collect()))
    }
}

impl Kept {
    /// Whether a message is drawn, by what is known by now: a sender that began to record later is one that records.
    fn draws(&self, item: &Item) -> bool {
        let protocol = item.message().map(|message| message.protocol);
        let tells = |protocol| item.from != item.entry.node && self.records(&item.from, protocol);
        item.is_drawn && !protocol.is_some_and(tells)
    }

    /// The message that the sender of this one received before: the same request or response, one hop earlier.
    pub(super) fn hop_before(&self, item: &Item) -> Option<&Item> {
        let story = self.story(item.story)?;
        let is_same = |other: &&Item| {
            other.traffic.method == item.traffic.method
                && other.traffic.result == item.traffic.result
                && other.traffic.thread == item.traffic.thread
                && other.to == item.from
                && other.from != item.to
                && self.draws(other)
        };
        let earlier = story.sequences.iter().rev().skip_while(|sequence| **sequence >= item.entry.sequence);
        earlier.filter_map(|sequence| self.item(*sequence)).find(is_same)
    }
}

/// Messages of one instant in the order in which each caused the next: who works in turns stamps a turn once, and functions
/// that share a thread share its turn.
fn by_cause(drawn: Vec<&Item>) -> Vec<&Item> {
    let mut ordered: Vec<&Item> = Vec::with_capacity(drawn.len());
    for moment in drawn.chunk_by(|a, b| a.entry.at.instant == b.entry.at.instant) {
        if moment.len() > MOMENT_MAX {
            ordered.extend(moment);
            continue;
        }
        let mut left = moment.to_vec();
        while !left.is_empty() {
            let last = ordered.last().map(|item| &item.to);
            let next = left.iter().position(|item| Some(&item.from) == last).unwrap_or(0);
            ordered.push(left.remove(next));
        }
    }
    ordered
}

/// More messages of one instant stay as they were told.
const MOMENT_MAX: usize = 64;

/// The parties: who began on the left, the core as the signalling passes it, the others on the right.
fn columns(drawn: &[&Item]) -> Vec<Column> {
    let Some(first) = drawn.first() else { return Vec::new() };
    let origin = &first.from;
    let mut nodes: Vec<&Node> = Vec::new();
    for node in drawn.iter().flat_map(|item| [&item.from, &item.to]) {
        if !nodes.contains(&node) && nodes.len() < COLUMNS_MAX {
            nodes.push(node);
        }
    }
    let place = |node: &Node| match node.function {
        _ if node == origin && matches!(node.function, Function::Ue | Function::Other) => 0,
        Function::Pcscf => 1,
        Function::Ecscf => 2,
        Function::Icscf => 3,
        Function::Hss => 4,
        Function::Scscf => 5,
        Function::ApplicationServer => 6,
        Function::Ue => 7,
        Function::Other => 8,
    };
    nodes.sort_by_key(|node| place(node));
    let column = |node: &&Node| Column { id: super::rows::column(node), name: node.title() };
    nodes.iter().map(column).collect()
}

/// Parties of one ladder; more are in the list of messages.
const COLUMNS_MAX: usize = 16;
