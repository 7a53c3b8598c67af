//! Whether a process can serve: its main loops answer, and where it needs an HSS, one is there.

use cscf::metrics::Snapshot;

/// A function that a process must run to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its role.
    pub role: &'static str,
    /// What it cannot do without.
    pub needs: Needs,
}

impl Expected {
    /// The function that a process of this name is.
    pub fn of(process: &'static str) -> Expected {
        match process {
            "icscf" | "scscf" => Expected { role: process, needs: Needs::Hss },
            "hss-mock" => Expected { role: "hss", needs: Needs::Nothing },
            _ => Expected { role: process, needs: Needs::Nothing },
        }
    }
}

/// What a function cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but itself.
    Nothing,
    /// An open Diameter connection with an HSS.
    Hss,
}

/// What is missing, one line each; empty when the process is ready. A process that answers listens: its sockets are bound
/// before anything else.
pub fn unready(expected: &[Expected], snapshots: &[Snapshot]) -> Vec<String> {
    let missing = |Expected { role, needs }: &Expected| {
        let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot.role == *role) else {
            return Some(format!("{role}: its main loop does not answer"));
        };
        match (needs, &snapshot.diameter) {
            (Needs::Nothing, _) => None,
            (Needs::Hss, Some(diameter)) if diameter.has_open_peer() => None,
            (Needs::Hss, Some(diameter)) => {
                let names: Vec<_> = diameter.peers.iter().map(|(name, _)| name.as_str()).collect();
                Some(format!("{role}: no HSS is connected; tried: {}", names.join(", ")))
            }
            (Needs::Hss, None) => Some(format!("{role}: it has no Diameter endpoint")),
        }
    };
    expected.iter().filter_map(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diameter_client_peers::of;

    /// Snapshots with peers, which only an endpoint makes.
    mod diameter_client_peers {
        use cscf::metrics::{DiameterTraffic, Snapshot};

        pub fn of(role: &'static str, peers: &[(&str, bool)]) -> Snapshot {
            let mut diameter = DiameterTraffic::default();
            diameter.peers = peers.iter().map(|(name, is_open)| ((*name).to_owned(), *is_open)).collect();
            Snapshot { role, diameter: Some(diameter), ..Snapshot::default() }
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let needs_hss = [Expected { role: "scscf", needs: Needs::Hss }];
        let alone = [Expected { role: "pcscf", needs: Needs::Nothing }];
        for (expected, snapshots, missing) in [
            (&needs_hss, vec![of("scscf", &[("hss1", false), ("hss2", true)])], None),
            (
                &needs_hss,
                vec![of("scscf", &[("hss1", false), ("hss2", false)])],
                Some("scscf: no HSS is connected; tried: hss1, hss2"),
            ),
            (&needs_hss, vec![of("icscf", &[("hss1", true)])], Some("scscf: its main loop does not answer")),
            (
                &needs_hss,
                vec![Snapshot { role: "scscf", ..Snapshot::default() }],
                Some("scscf: it has no Diameter endpoint"),
            ),
            (&alone, vec![Snapshot { role: "pcscf", ..Snapshot::default() }], None),
        ] {
            assert_eq!(unready(expected, &snapshots).first().map(String::as_str), missing);
        }
    }
}
