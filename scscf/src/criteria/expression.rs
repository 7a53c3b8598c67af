//! POSIX extended regular expressions, compiled to answer one question: does it match somewhere (TS 29.228 Annex F)?
//!
//! An expression becomes a comparison of octets where it has no operator, and a deterministic automaton else: one step
//! for each octet, whatever the expression, and none of it allocates. What would need a larger automaton is refused.

mod bracket;
mod groups;
mod machine;
mod octets;
mod plain;
mod positions;
mod syntax;

pub use groups::{Groups, find};
pub use syntax::{Fault, Wrong};

use machine::Machine;
use plain::Plain;
use std::collections::BTreeMap;
use std::sync::Arc;
use syntax::Piece;

/// Whether letters of the other case match too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// As POSIX has it.
    Sensitive,
    /// For what SIP compares without case: names of header fields and of hosts.
    Ignored,
}

/// One expression.
#[derive(Clone, Debug)]
pub enum Expression {
    /// Octets that must be there.
    Plain(Arc<Plain>),
    /// An automaton.
    Machine(Arc<Machine>),
}

impl Expression {
    /// Whether it matches anywhere in `text`.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Expression::Plain(plain) => plain.matches(text),
            Expression::Machine(machine) => machine.matches(text),
        }
    }

    /// Whether every text matches.
    pub fn is_always(&self) -> bool {
        matches!(self, Expression::Plain(plain) if plain.is_always())
    }

    /// Whether there is a text that matches.
    pub fn can_match(&self) -> bool {
        match self {
            Expression::Plain(_) => true,
            Expression::Machine(machine) => machine.can_match(),
        }
    }

    /// Whether it needs an automaton.
    pub fn is_machine(&self) -> bool {
        matches!(self, Expression::Machine(_))
    }
}

/// The text that an expression stands for when it has no operator at all.
pub fn literal(text: &str) -> Option<Vec<u8>> {
    match syntax::parse(text).ok()? {
        Piece::Octet(octet) => Some(vec![octet]),
        Piece::Concat(pieces) => pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Octet(octet) => Some(octet),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// Compiles the expressions of one profile, each once, within bounds.
#[derive(Debug)]
pub struct Compiler {
    compiled: BTreeMap<(Box<str>, Case), Expression>,
    /// What the automata of the profile may still take, in octets.
    left: usize,
}

/// What all automata of a profile may take.
const PROFILE_OCTETS_MAX: usize = 512 * 1024;
/// What an automaton counts for that is smaller: making one takes time however small it comes out.
const MACHINE_OCTETS_MIN: usize = PROFILE_OCTETS_MAX / 128;

impl Default for Compiler {
    fn default() -> Compiler {
        Compiler { compiled: BTreeMap::new(), left: PROFILE_OCTETS_MAX }
    }
}

impl Compiler {
    /// Compiles one expression.
    pub fn compile(&mut self, text: &str, case: Case) -> Result<Expression, Fault> {
        let key = (Box::from(text), case);
        if let Some(known) = self.compiled.get(&key) {
            return Ok(known.clone());
        }
        let trimmed = plain::trimmed(syntax::parse(text)?);
        let expression = match Plain::of(&trimmed, case) {
            Some(plain) => Expression::Plain(Arc::new(plain)),
            None => {
                let machine = Machine::new(&trimmed.into_piece(), case, self.left)
                    .ok_or(Fault { at: 0, reason: Wrong::Large })?;
                self.left = self.left.saturating_sub(machine.octets().max(MACHINE_OCTETS_MIN));
                Expression::Machine(Arc::new(machine))
            }
        };
        self.compiled.insert(key, expression.clone());
        Ok(expression)
    }
}

/// Reads any octets as an expression, a line end and a text: what is compiled must say what an oracle says. Gives a number
/// that differs where it behaved differently.
pub fn fuzz_expression(data: &[u8]) -> u64 {
    let at = memchr::memchr(b'\n', data).unwrap_or(data.len());
    let (expression, text) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    // The oracle takes its time.
    let (expression, text) = (String::from_utf8_lossy(expression), &text[..text.len().min(48)]);
    let mut behaved = 0;
    for case in [Case::Sensitive, Case::Ignored] {
        let piece = match syntax::parse(&expression) {
            Ok(piece) => piece,
            Err(fault) => return 8 + fault.reason as u64,
        };
        let Ok(compiled) = Compiler::default().compile(&expression, case) else { return 7 };
        let matches = compiled.matches(text);
        assert_eq!(matches, positions::matches(&piece, case, text), "{expression:?} {case:?} {text:?}");
        assert!(!matches || compiled.can_match(), "{expression:?} matches, so there is a text that does");
        // Where it takes too many steps, nothing is found.
        if let Ok(Some(groups)) = groups::find(&expression, case, text) {
            assert!(
                matches && groups.get(0).is_some_and(|all| all.len() <= text.len()),
                "{expression:?} {text:?}"
            );
        } else {
            let is_short = expression.len() + text.len() < 16;
            assert!(!matches || !is_short, "{expression:?} {case:?} {text:?} has groups");
        }
        behaved = behaved * 4 + u64::from(matches) * 2 + u64::from(compiled.is_machine());
    }
    behaved + 64
}

#[cfg(test)]
mod tests;
