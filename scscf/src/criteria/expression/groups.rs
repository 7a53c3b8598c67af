//! Where an expression matches, and what stood between its parentheses: for the substitutions of RFC 3402 §3.2.
//!
//! By trying, with bounds on steps and depth: for short texts such as a number, and not for the way of a message.

use super::Case;
use super::syntax::{self, Fault, Piece};
use std::ops::Range;

/// Where a match and its groups lie in the text: 0 is all of it, 1 to 9 are the groups by their opening parentheses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups([Option<Range<usize>>; GROUPS]);

impl Groups {
    /// One of them; `None` when it took no part in the match.
    pub fn get(&self, number: usize) -> Option<Range<usize>> {
        self.0.get(number).cloned().flatten()
    }
}

/// The match of an expression that begins first, and of those the longest (IEEE Std 1003.1 §9.1); `None` where there is none,
/// or where finding it takes too many steps.
pub fn find(expression: &str, case: Case, text: &[u8]) -> Result<Option<Groups>, Fault> {
    let piece = syntax::parse_groups(expression)?;
    let mut search = Search { text, case, steps: 0, groups: Groups::default(), found: None };
    for start in 0..=text.len() {
        search.step(&Rest::Then(&piece, &Rest::Done { start }), start, 0);
        if search.steps > STEPS_MAX {
            return Ok(None);
        }
        if search.found.is_some() {
            break;
        }
    }
    Ok(search.found)
}

/// What is yet to match.
enum Rest<'r> {
    Done { start: usize },
    Then(&'r Piece, &'r Rest<'r>),
    All(&'r [Piece], &'r Rest<'r>),
    GroupEnd { number: usize, start: usize, rest: &'r Rest<'r> },
    Again { piece: &'r Piece, min: u32, max: Option<u32>, from: Option<usize>, rest: &'r Rest<'r> },
}

struct Search<'t> {
    text: &'t [u8],
    case: Case,
    steps: usize,
    groups: Groups,
    found: Option<Groups>,
}

impl Search<'_> {
    fn step(&mut self, rest: &Rest<'_>, at: usize, depth: usize) {
        self.steps += 1;
        if self.steps > STEPS_MAX || depth > DEPTH_MAX {
            self.steps = STEPS_MAX + 1;
            return;
        }
        let depth = depth + 1;
        match *rest {
            Rest::Done { start } => self.done(start, at),
            Rest::Then(piece, rest) => self.piece(piece, rest, at, depth),
            Rest::All([], rest) => self.step(rest, at, depth),
            Rest::All([first, others @ ..], rest) => {
                self.piece(first, &Rest::All(others, rest), at, depth);
            }
            Rest::GroupEnd { number, start, rest } => {
                let Some(group) = self.groups.0.get_mut(number) else { return self.step(rest, at, depth) };
                let before = group.replace(start..at);
                self.step(rest, at, depth);
                if let Some(group) = self.groups.0.get_mut(number) {
                    *group = before;
                }
            }
            Rest::Again { piece, min, max, from, rest } => {
                // A round that has eaten nothing is not worth another.
                let is_idle = from == Some(at);
                if !is_idle && max != Some(0) {
                    let (min, max) = (min.saturating_sub(1), max.map(|max| max - 1));
                    let again = Rest::Again { piece, min, max, from: Some(at), rest };
                    self.piece(piece, &again, at, depth);
                }
                if min == 0 || is_idle {
                    self.step(rest, at, depth);
                }
            }
        }
    }

    fn piece(&mut self, piece: &Piece, rest: &Rest<'_>, at: usize, depth: usize) {
        let is_here = match piece {
            Piece::Start if at == 0 => return self.step(rest, at, depth),
            Piece::End if at == self.text.len() => return self.step(rest, at, depth),
            Piece::Start | Piece::End => false,
            Piece::Concat(pieces) => return self.step(&Rest::All(pieces, rest), at, depth),
            Piece::Either(pieces) => {
                return pieces.iter().for_each(|piece| self.step(&Rest::Then(piece, rest), at, depth));
            }
            Piece::Group(number, inner) => {
                let end = Rest::GroupEnd { number: *number, start: at, rest };
                return self.step(&Rest::Then(inner, &end), at, depth);
            }
            Piece::Repeat { piece, min, max } => {
                let again = Rest::Again { piece, min: *min, max: *max, from: None, rest };
                return self.step(&again, at, depth);
            }
            Piece::Any => at < self.text.len(),
            Piece::Octet(octet) => self.text.get(at).is_some_and(|other| match self.case {
                Case::Sensitive => other == octet,
                Case::Ignored => other.eq_ignore_ascii_case(octet),
            }),
            Piece::Set(set) => self.text.get(at).is_some_and(|other| match self.case {
                Case::Sensitive => set.contains(*other),
                Case::Ignored => set.in_any_case().contains(*other),
            }),
        };
        if is_here {
            self.step(rest, at + 1, depth);
        }
    }

    /// Of matches of one length the first counts, which is that of the longest left parts.
    fn done(&mut self, start: usize, at: usize) {
        let best = self.found.as_ref().and_then(|found| found.get(0));
        if best.is_none_or(|best| best.end < at) {
            let mut found = self.groups.clone();
            found.0[0] = Some(start..at);
            self.found = Some(found);
        }
    }
}

/// All of a match, and nine groups: a substitution names no more (RFC 3402 §3.2).
const GROUPS: usize = 10;
/// A number of fifteen digits takes some hundreds for an expression that somebody wrote in earnest.
const STEPS_MAX: usize = 20_000;
/// How deep steps lie within each other: the stack of a thread has its bound.
const DEPTH_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(expression: &str, text: &str) -> Option<Vec<String>> {
        let groups = find(expression, Case::Sensitive, text.as_bytes()).expect("an expression")?;
        let all = (0..GROUPS).map_while(|number| Some(text[groups.get(number)?].to_owned()));
        Some(all.collect())
    }

    #[test]
    fn a_match_is_the_first_and_longest_and_tells_its_groups() {
        for (expression, text, expected) in [
            ("^.*$", "+4930123", Some(&["+4930123"][..])),
            (r"^\+49(.*)$", "+4930123", Some(&["+4930123", "30123"])),
            (r"^\+(..)(30)([0-9]{2})", "+4930123", Some(&["+493012", "49", "30", "12"])),
            ("3|30|301", "+4930123", Some(&["301"])),
            ("(3|30)(.*)", "+4930123", Some(&["30123", "3", "0123"])),
            ("((0)(1))", "+4930123", Some(&["01", "01", "0", "1"])),
            ("(a|1)*2", "+4930112", Some(&["112", "1"])),
            ("()*x?", "", Some(&["", ""])),
            ("[^0-9]$", "+4930123", None),
            ("a{2,3}", "baaaa", Some(&["aaa"])),
            ("^(a?){3}b", "aab", Some(&["aab", ""])),
        ] {
            let expected = expected.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect());
            assert_eq!(found(expression, text), expected, "{expression} on {text}");
        }
        assert!(find("a", Case::Ignored, b"xA").expect("an expression").is_some());
        assert!(find("(a", Case::Sensitive, b"").is_err());
    }

    /// Whatever somebody writes into a zone: it ends soon, and says that nothing was found.
    #[test]
    fn the_worst_expressions_end() {
        let text = "1".repeat(16);
        for expression in
            ["(1*)*(1*)*(1*)*x", "((1?){20}){20}x", "(1|1|1|1)*x", &"(".repeat(20), &"1*".repeat(60)]
        {
            let found = find(expression, Case::Sensitive, text.as_bytes());
            assert!(!matches!(found, Ok(Some(_))) || *expression == *"1*".repeat(60), "{expression}");
        }
        let long = find("(.|1)*", Case::Sensitive, "1".repeat(5000).as_bytes());
        assert_eq!(long, Ok(None), "too deep");
    }
}
