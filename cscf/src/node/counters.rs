//! Counts by name and cause, both from the code: a peer cannot make more of them.

use std::collections::BTreeMap;

/// How often something happened, by name and cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// What happened.
    pub name: &'static str,
    /// Why.
    pub cause: &'static str,
    /// How often.
    pub count: u64,
}

/// Counters of one node.
#[derive(Clone, Debug, Default)]
pub struct Counters(BTreeMap<(&'static str, &'static str), u64>);

impl Counters {
    /// Counts one.
    pub(crate) fn add(&mut self, what: &'static str, cause: &'static str) {
        *self.0.entry((what, cause)).or_default() += 1;
    }

    /// How often this was counted.
    pub fn get(&self, what: &str, cause: &str) -> u64 {
        self.0.iter().find(|((w, c), _)| *w == what && *c == cause).map_or(0, |(_, count)| *count)
    }

    /// All counts, ordered by name and cause.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        self.0.iter().map(|((what, cause), count)| (*what, *cause, *count))
    }
}
