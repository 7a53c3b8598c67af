//! An oracle for the automata: an expression followed by the positions in the text that it can have come to.

use super::Case;
use super::syntax::Piece;
use std::collections::BTreeSet;

/// Whether an expression matches anywhere in `text`, by following every way at once.
pub fn matches(piece: &Piece, case: Case, text: &[u8]) -> bool {
    let all: BTreeSet<usize> = (0..=text.len()).collect();
    !behind(piece, case, text, &all).is_empty()
}

/// Where one can be behind a piece, coming from these positions.
fn behind(piece: &Piece, case: Case, text: &[u8], from: &BTreeSet<usize>) -> BTreeSet<usize> {
    let step = |is_it: &dyn Fn(u8) -> bool| {
        let here = from.iter().filter(|at| text.get(**at).is_some_and(|octet| is_it(*octet)));
        here.map(|at| at + 1).collect()
    };
    match piece {
        Piece::Start => from.iter().copied().filter(|at| *at == 0).collect(),
        Piece::End => from.iter().copied().filter(|at| *at == text.len()).collect(),
        Piece::Any => step(&|_| true),
        Piece::Octet(octet) => step(&|other| match case {
            Case::Sensitive => other == *octet,
            Case::Ignored => other.eq_ignore_ascii_case(octet),
        }),
        Piece::Set(set) => step(&|other| match case {
            Case::Sensitive => set.contains(other),
            Case::Ignored => set.in_any_case().contains(other),
        }),
        Piece::Concat(pieces) => {
            pieces.iter().fold(from.clone(), |from, piece| behind(piece, case, text, &from))
        }
        Piece::Either(pieces) => pieces.iter().flat_map(|piece| behind(piece, case, text, from)).collect(),
        Piece::Group(_, piece) => behind(piece, case, text, from),
        Piece::Repeat { piece, min, max } => {
            let mut at = from.clone();
            for _ in 0..*min {
                at = behind(piece, case, text, &at);
            }
            let mut all = at.clone();
            // Behind as many repetitions as the text has positions, nothing new is reached.
            for _ in 0..max.map_or(text.len() + 1, |max| (max - min) as usize) {
                at = behind(piece, case, text, &at);
                if at.is_subset(&all) {
                    break;
                }
                all.extend(&at);
            }
            all
        }
    }
}
