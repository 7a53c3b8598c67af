//! What a station has counted and holds, as plain numbers of one shard (docs/monitoring.md).
//!
//! Nothing here is shared, locked or formatted: a node adds to its own tables, and a [`Snapshot`] is a copy of them that
//! leaves the shard when somebody asks. Every label has its values in the code or in the configuration; no peer can make more.

mod traffic;

pub use traffic::{Case, Flowing, Kind, METHODS, Stage, Traffic};

use crate::node::Count;
pub use diameter_client::durations::Durations;
pub use diameter_client::endpoint::{Asked, Traffic as DiameterTraffic};

/// What one station of a shard has to tell.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The role.
    pub role: &'static str,
    /// SIP messages and transactions; `None` at what speaks no SIP.
    pub traffic: Option<Traffic>,
    /// Diameter; `None` where there is none.
    pub diameter: Option<DiameterTraffic>,
    /// What it holds.
    pub gauges: Vec<Gauge>,
    /// What was counted by name and cause.
    pub counts: Vec<Count>,
}

/// How many there are of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gauge {
    /// What.
    pub holding: Holding,
    /// In which state; from the code.
    pub state: &'static str,
    /// How many.
    pub count: u64,
}

/// What a station may hold many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// SIP transactions: `server`, `client`.
    Transactions,
    /// Queries to the world that wait for their answer.
    Queries,
    /// Registrations.
    Registrations,
    /// Sessions that are remembered.
    Dialogs,
    /// Subscriptions to registrations.
    Subscriptions,
    /// Security associations, four to a set.
    SecurityAssociations,
    /// Connections that SIP goes by.
    Connections,
}

impl Gauge {
    /// So many, for who has them in a table.
    pub fn new(holding: Holding, state: &'static str, count: usize) -> Gauge {
        Gauge { holding, state, count: count as u64 }
    }
}

impl Snapshot {
    /// Adds what another shard of the same role tells.
    pub fn merge(&mut self, other: Snapshot) {
        debug_assert_eq!(self.role, other.role, "shards are of one role");
        match (&mut self.traffic, other.traffic) {
            (Some(own), Some(more)) => own.merge(&more),
            (own @ None, more) => *own = more,
            (Some(_), None) => {}
        }
        // Shard 0 alone is a Diameter peer.
        self.diameter = self.diameter.take().or(other.diameter);
        for gauge in other.gauges {
            let alike = |own: &&mut Gauge| (own.holding, own.state) == (gauge.holding, gauge.state);
            match self.gauges.iter_mut().find(alike) {
                Some(own) => own.count += gauge.count,
                None => self.gauges.push(gauge),
            }
        }
        for count in other.counts {
            let alike = |own: &&mut Count| (own.name, own.cause) == (count.name, count.cause);
            match self.counts.iter_mut().find(alike) {
                Some(own) => own.count += count.count,
                None => self.counts.push(count),
            }
        }
    }
}

/// One snapshot of each role, in the order of first appearance.
pub fn merged(snapshots: impl IntoIterator<Item = Snapshot>) -> Vec<Snapshot> {
    let mut merged: Vec<Snapshot> = Vec::new();
    for snapshot in snapshots {
        match merged.iter_mut().find(|known| known.role == snapshot.role) {
            Some(known) => known.merge(snapshot),
            None => merged.push(snapshot),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_a_role_are_told_as_one_and_roles_apart() {
        let of = |role, count| Snapshot {
            role,
            gauges: vec![Gauge::new(Holding::Registrations, "registered", count)],
            counts: vec![Count { name: "refused", cause: "busy", count: 1 }],
            ..Snapshot::default()
        };
        let merged = merged([of("pcscf", 2), of("scscf", 7), of("pcscf", 3)]);
        let shown: Vec<_> = merged
            .iter()
            .map(|snapshot| (snapshot.role, snapshot.gauges[0].count, snapshot.counts[0].count))
            .collect();
        assert_eq!(shown, [("pcscf", 5, 2), ("scscf", 7, 1)]);
    }
}
