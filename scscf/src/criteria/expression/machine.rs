//! Deterministic automata: one table look-up for each octet of the text.

use super::Case;
use super::octets::Octets;
use super::syntax::Piece;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Input, MatchKind};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Dot, Hir, Look, Repetition};
use std::collections::BTreeSet;
use std::fmt;

/// One automaton.
pub struct Machine(dense::DFA<Vec<u32>>);

/// What one automaton may take, in octets.
const OCTETS_MAX: usize = 128 * 1024;
/// What its non-deterministic form may take.
const NFA_OCTETS_MAX: usize = 256 * 1024;
/// What making it may take beside itself.
const SCRATCH_OCTETS_MAX: usize = 256 * 1024;

impl Machine {
    /// The automaton of an expression; `None` when it is larger than `octets_max` or than what any may be.
    pub fn new(piece: &Piece, case: Case, octets_max: usize) -> Option<Machine> {
        let nfa: NFA = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .utf8(false)
                    .which_captures(WhichCaptures::None)
                    .nfa_size_limit(Some(NFA_OCTETS_MAX)),
            )
            .build_from_hir(&hir(piece, case))
            .ok()?;
        let config = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .match_kind(MatchKind::LeftmostFirst)
            // Values are short: looking for the one octet that leads on costs more than walking to it.
            .accelerate(false)
            .dfa_size_limit(Some(octets_max.min(OCTETS_MAX)))
            .determinize_size_limit(Some(SCRATCH_OCTETS_MAX));
        dense::Builder::new().configure(config).build_from_nfa(&nfa).ok().map(Machine)
    }

    /// Whether it matches anywhere in `text`.
    pub fn matches(&self, text: &[u8]) -> bool {
        // It fails at octets that an automaton was told to quit at; none was told so.
        self.0.try_search_fwd(&Input::new(text).earliest(true)).is_ok_and(|end| end.is_some())
    }

    /// Whether there is a text that matches: whether a state that does is reached from the start.
    pub fn can_match(&self) -> bool {
        let Ok(start) = self.0.start_state_forward(&Input::new(b"")) else { return true };
        let mut reached = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(state) = open.pop() {
            if self.0.is_match_state(state) || self.0.is_match_state(self.0.next_eoi_state(state)) {
                return true;
            }
            for octet in 0..=u8::MAX {
                let next = self.0.next_state(state, octet);
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }

    /// What it takes, in octets.
    pub fn octets(&self) -> usize {
        self.0.memory_usage()
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine({} octets)", self.octets())
    }
}

fn hir(piece: &Piece, case: Case) -> Hir {
    let all = |pieces: &[Piece]| pieces.iter().map(|piece| hir(piece, case)).collect();
    match piece {
        Piece::Start => Hir::look(Look::Start),
        Piece::End => Hir::look(Look::End),
        Piece::Any => Hir::dot(Dot::AnyByte),
        Piece::Octet(octet) if case == Case::Ignored && octet.is_ascii_alphabetic() => {
            set([*octet].into_iter().collect(), case)
        }
        Piece::Octet(octet) => Hir::literal([*octet]),
        Piece::Set(octets) => set(*octets, case),
        Piece::Concat(pieces) => Hir::concat(all(pieces)),
        Piece::Either(pieces) => Hir::alternation(all(pieces)),
        Piece::Group(_, piece) => hir(piece, case),
        Piece::Repeat { piece, min, max } => Hir::repetition(Repetition {
            min: *min,
            max: *max,
            greedy: true,
            sub: Box::new(hir(piece, case)),
        }),
    }
}

fn set(octets: Octets, case: Case) -> Hir {
    let octets = if case == Case::Ignored { octets.in_any_case() } else { octets };
    let ranges = octets.ranges().into_iter().map(|(from, to)| ClassBytesRange::new(from, to));
    Hir::class(Class::Bytes(ClassBytes::new(ranges)))
}
