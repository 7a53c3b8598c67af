//! Expressions that need no automaton: octets that must stand somewhere, at an end, or alone.

use super::Case;
use super::syntax::Piece;
use memchr::memmem::Finder;

/// Octets, and where they must stand.
#[derive(Clone, Debug)]
pub struct Plain {
    /// In lower case where case is ignored.
    text: Finder<'static>,
    at_start: bool,
    at_end: bool,
    case: Case,
}

/// An expression without what changes nothing about whether it matches: `.*` at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    pieces: Vec<Piece>,
    at_start: bool,
    at_end: bool,
}

/// Takes the anchors and every `.*` from the ends of an expression.
pub fn trimmed(piece: Piece) -> Trimmed {
    let mut pieces = Vec::new();
    flatten(piece, &mut pieces);
    let is_free =
        |piece: &Piece| matches!(piece, Piece::Repeat { piece, min: 0, max: None } if **piece == Piece::Any);
    let leading = pieces.iter().take_while(|piece| **piece == Piece::Start || is_free(piece)).count();
    // Of anchors and `.*`, the innermost says whether what follows must stand at the start.
    let at_start = pieces[..leading].last() == Some(&Piece::Start);
    let mut rest = pieces.split_off(leading);
    let trailing = rest.iter().rev().take_while(|piece| **piece == Piece::End || is_free(piece)).count();
    let behind = rest.split_off(rest.len() - trailing);
    let at_end = behind.first() == Some(&Piece::End);
    Trimmed { pieces: rest, at_start, at_end }
}

fn flatten(piece: Piece, into: &mut Vec<Piece>) {
    match piece {
        Piece::Concat(pieces) => pieces.into_iter().for_each(|piece| flatten(piece, into)),
        piece => into.push(piece),
    }
}

impl Trimmed {
    /// The expression that is left.
    pub fn into_piece(self) -> Piece {
        let start = self.at_start.then_some(Piece::Start);
        let end = self.at_end.then_some(Piece::End);
        Piece::Concat(start.into_iter().chain(self.pieces).chain(end).collect())
    }
}

impl Plain {
    /// The comparison that an expression is; `None` when it has operators.
    pub fn of(trimmed: &Trimmed, case: Case) -> Option<Plain> {
        let octet = |piece: &Piece| match piece {
            Piece::Octet(octet) => Some(*octet),
            _ => None,
        };
        let mut text = trimmed.pieces.iter().map(octet).collect::<Option<Vec<u8>>>()?;
        if case == Case::Ignored {
            text.make_ascii_lowercase();
        }
        let text = Finder::new(&text).into_owned();
        Some(Plain { text, at_start: trimmed.at_start, at_end: trimmed.at_end, case })
    }

    /// Whether every text matches.
    pub fn is_always(&self) -> bool {
        self.text.needle().is_empty() && !(self.at_start && self.at_end)
    }

    /// Whether the octets stand where they must.
    pub fn matches(&self, text: &[u8]) -> bool {
        let length = self.text.needle().len();
        match (self.at_start, self.at_end) {
            (true, true) => self.equals(text),
            (true, false) => text.get(..length).is_some_and(|start| self.equals(start)),
            (false, true) => text.len().checked_sub(length).is_some_and(|from| self.equals(&text[from..])),
            (false, false) => match self.case {
                Case::Sensitive => self.text.find(text).is_some(),
                Case::Ignored => self.is_in_any_case(text),
            },
        }
    }

    fn is_in_any_case(&self, text: &[u8]) -> bool {
        let [first, rest @ ..] = self.text.needle() else { return true };
        memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text).any(|at| {
            text.get(at + 1..at + 1 + rest.len()).is_some_and(|behind| behind.eq_ignore_ascii_case(rest))
        })
    }

    fn equals(&self, text: &[u8]) -> bool {
        match self.case {
            Case::Sensitive => text == self.text.needle(),
            Case::Ignored => text.eq_ignore_ascii_case(self.text.needle()),
        }
    }
}
