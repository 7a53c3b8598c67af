//! Commands of Cx as they were counted: by direction and result, and how long the answers took. Tables of a fixed size: no
//! peer can make them grow.

use super::{Counters, CxFailure};
use crate::cx::CxResult;
use crate::durations::Durations;

/// What an endpoint has counted, and what its peers are.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    commands: [CommandTraffic; COMMANDS.len()],
    /// The peers of the configuration, and those that were let in, with whether each is open.
    pub peers: Vec<(String, bool)>,
    /// What else an operator would ask about.
    pub counters: Counters,
}

/// One command.
#[derive(Clone, Debug)]
struct CommandTraffic {
    sent: [u64; RESULTS],
    received: [u64; RESULTS],
    /// From our request to its answer, or to the end of waiting.
    took: Durations,
}

impl Default for CommandTraffic {
    fn default() -> CommandTraffic {
        CommandTraffic { sent: [0; RESULTS], received: [0; RESULTS], took: Durations::default() }
    }
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// We did.
    ByUs,
    /// A peer did.
    ByPeer,
}

impl Traffic {
    /// One of our requests came to its end.
    pub(super) fn ended(
        &mut self,
        command: u32,
        result: Result<CxResult, &CxFailure>,
        took: std::time::Duration,
    ) {
        if let Some(traffic) = index_of(command).and_then(|at| self.commands.get_mut(at)) {
            traffic.sent[place(result)] += 1;
            traffic.took.add(took);
        }
    }

    /// One of our requests was not sent.
    pub(super) fn unsent(&mut self, command: u32, failure: &CxFailure) {
        if let Some(traffic) = index_of(command).and_then(|at| self.commands.get_mut(at)) {
            traffic.sent[place(Err(failure))] += 1;
        }
    }

    /// A request of a peer was answered.
    pub(super) fn answered(&mut self, command: u32, result: CxResult) {
        if let Some(traffic) = index_of(command).and_then(|at| self.commands.get_mut(at)) {
            traffic.received[place(Ok(result))] += 1;
        }
    }

    /// Every count that is not nought: command, who asked, result.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, Asked, &'static str, u64)> {
        self.commands.iter().zip(COMMANDS).flat_map(|(traffic, (_, name))| {
            [(Asked::ByUs, &traffic.sent), (Asked::ByPeer, &traffic.received)].into_iter().flat_map(
                move |(asked, counts)| {
                    let counted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
                    counted.map(move |(at, count)| (name, asked, result_name(at), *count))
                },
            )
        })
    }

    /// How long each command of ours took that was ever sent.
    pub fn durations(&self) -> impl Iterator<Item = (&'static str, &Durations)> {
        let each = self.commands.iter().zip(COMMANDS).map(|(traffic, (_, name))| (name, &traffic.took));
        each.filter(|(_, took)| took.count() > 0)
    }

    /// Whether some peer is open.
    pub fn has_open_peer(&self) -> bool {
        self.peers.iter().any(|(_, is_open)| *is_open)
    }
}

/// The commands by their codes (TS 29.229 §6.1).
const COMMANDS: [(u32, &str); 6] =
    [(300, "UAR"), (301, "SAR"), (302, "LIR"), (303, "MAR"), (304, "RTR"), (305, "PPR")];

fn index_of(command: u32) -> Option<usize> {
    COMMANDS.iter().position(|(code, _)| *code == command)
}

/// The results that are told apart: of the base protocol, then those of Cx, then what is no answer.
const BASE: [(u32, &str); 22] = [
    (2001, "2001"),
    (2002, "2002"),
    (3001, "3001"),
    (3002, "3002"),
    (3003, "3003"),
    (3004, "3004"),
    (3005, "3005"),
    (3006, "3006"),
    (3007, "3007"),
    (3008, "3008"),
    (3010, "3010"),
    (5001, "5001"),
    (5002, "5002"),
    (5003, "5003"),
    (5004, "5004"),
    (5005, "5005"),
    (5008, "5008"),
    (5009, "5009"),
    (5010, "5010"),
    (5011, "5011"),
    (5012, "5012"),
    (5014, "5014"),
];
const EXPERIMENTAL: [(u32, &str); 15] = [
    (2001, "3gpp:2001"),
    (2002, "3gpp:2002"),
    (2003, "3gpp:2003"),
    (2004, "3gpp:2004"),
    (5001, "3gpp:5001"),
    (5002, "3gpp:5002"),
    (5003, "3gpp:5003"),
    (5004, "3gpp:5004"),
    (5005, "3gpp:5005"),
    (5006, "3gpp:5006"),
    (5007, "3gpp:5007"),
    (5008, "3gpp:5008"),
    (5009, "3gpp:5009"),
    (5011, "3gpp:5011"),
    (5012, "3gpp:5012"),
];
const NO_ANSWER: [&str; 5] = ["other", "no_peer", "timeout", "overload", "undecodable"];
const RESULTS: usize = BASE.len() + EXPERIMENTAL.len() + NO_ANSWER.len();
const OTHER: usize = BASE.len() + EXPERIMENTAL.len();

fn place(result: Result<CxResult, &CxFailure>) -> usize {
    let code_in = |table: &[(u32, &str)], code| table.iter().position(|(known, _)| *known == code);
    match result {
        Ok(CxResult::Base(code)) => code_in(&BASE, code).unwrap_or(OTHER),
        Ok(CxResult::Experimental { code, .. }) => {
            code_in(&EXPERIMENTAL, code).map_or(OTHER, |at| BASE.len() + at)
        }
        Err(CxFailure::NoPeer) => OTHER + 1,
        Err(CxFailure::Timeout) => OTHER + 2,
        Err(CxFailure::Overload) => OTHER + 3,
        Err(CxFailure::Undecodable { .. }) => OTHER + 4,
        Err(CxFailure::Rejected { result }) => place(Ok(*result)),
    }
}

fn result_name(at: usize) -> &'static str {
    let coded = BASE.iter().chain(&EXPERIMENTAL).map(|(_, name)| *name);
    coded.chain(NO_ANSWER).nth(at).unwrap_or(NO_ANSWER[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_a_place_and_a_name_of_its_own_and_what_is_not_known_is_other() {
        for (result, name) in [
            (Ok(CxResult::SUCCESS), "2001"),
            (Ok(CxResult::FIRST_REGISTRATION), "3gpp:2001"),
            (Ok(CxResult::USER_UNKNOWN), "3gpp:5001"),
            (Ok(CxResult::Base(4_711)), "other"),
            (Err(&CxFailure::Timeout), "timeout"),
            (Err(&CxFailure::NoPeer), "no_peer"),
            (Err(&CxFailure::Rejected { result: CxResult::TOO_BUSY }), "3004"),
        ] {
            assert_eq!(result_name(place(result)), name);
        }
        let names: std::collections::BTreeSet<_> = (0..RESULTS).map(result_name).collect();
        assert_eq!(names.len(), RESULTS);
    }
}
