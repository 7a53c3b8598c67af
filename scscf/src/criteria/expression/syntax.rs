//! The grammar of POSIX extended regular expressions (IEEE Std 1003.1 chapter 9), read into a tree.
//!
//! What POSIX leaves undefined is taken where readers of it agree, and refused where they do not: an escaped letter is
//! that letter, an empty alternative matches nothing at all, and an operator with nothing before it is a mistake.

use super::bracket;
use super::octets::Octets;
use std::fmt;

/// The longest expression that is read, in octets.
pub const OCTETS_MAX: usize = 512;
/// The deepest nesting of groups and repetitions.
pub const DEPTH_MAX: usize = 24;
/// The largest number in an interval (RE_DUP_MAX of POSIX).
pub const REPETITIONS_MAX: u32 = 255;
/// How many places an expression may have once its repetitions are written out.
pub const PLACES_MAX: u32 = 2048;

/// One part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `^`
    Start,
    /// `$`
    End,
    /// `.`
    Any,
    /// One octet that stands for itself.
    Octet(u8),
    /// A bracket expression.
    Set(Octets),
    /// One behind the other; nothing when empty.
    Concat(Vec<Piece>),
    /// One or the other.
    Either(Vec<Piece>),
    /// Between parentheses, by the number of the first: where somebody asks what stood there ([`parse_groups`]).
    Group(usize, Box<Piece>),
    /// Several times.
    Repeat {
        /// What.
        piece: Box<Piece>,
        /// At least.
        min: u32,
        /// At most.
        max: Option<u32>,
    },
}

/// Why text is no expression that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The octet at which it is seen, from 0.
    pub at: usize,
    /// What is wrong. Holds nothing of the expression, which may name people.
    pub reason: Wrong,
}

/// What may be wrong with an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Longer than [`OCTETS_MAX`].
    Long,
    /// Deeper than [`DEPTH_MAX`].
    Deep,
    /// More places than [`PLACES_MAX`], or a machine that is larger than what it may be.
    Large,
    /// `*`, `+`, `?` or an interval behind nothing.
    NothingToRepeat,
    /// An interval that is not `{n}`, `{n,}`, `{,m}` or `{n,m}`.
    Interval,
    /// An interval whose numbers are in the wrong order, or beyond [`REPETITIONS_MAX`].
    Bounds,
    /// `(` without `)`.
    GroupOpen,
    /// `)` without `(`.
    GroupClosed,
    /// `[` without `]`.
    BracketOpen,
    /// A range whose end comes before its start, or whose end is a class.
    Range,
    /// `[:name:]` of no class.
    Class,
    /// `[.x.]` or `[=x=]` of more than one character.
    Collation,
    /// A character in brackets that is more than one octet.
    NotAscii,
    /// `\1` to `\9`: extended expressions have no back-references.
    BackReference,
    /// `\` at the end.
    Escape,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Long => write!(f, "longer than {OCTETS_MAX} octets"),
            Wrong::Deep => write!(f, "nested deeper than {DEPTH_MAX}"),
            Wrong::Large => f.write_str("too large once its repetitions are written out"),
            Wrong::NothingToRepeat => f.write_str("nothing stands before the repetition"),
            Wrong::Interval => f.write_str("an interval must be {n}, {n,} or {n,m}"),
            Wrong::Bounds => {
                write!(f, "the bounds of an interval must rise, and not beyond {REPETITIONS_MAX}")
            }
            Wrong::GroupOpen => f.write_str("the parenthesis is not closed"),
            Wrong::GroupClosed => f.write_str("the parenthesis was not opened"),
            Wrong::BracketOpen => f.write_str("the bracket is not closed"),
            Wrong::Range => f.write_str("the range in the bracket does not rise"),
            Wrong::Class => f.write_str("no class of characters has this name"),
            Wrong::Collation => f.write_str("a collating element must be one character"),
            Wrong::NotAscii => f.write_str("only ASCII may stand in a bracket"),
            Wrong::BackReference => f.write_str("extended expressions have no back-references"),
            Wrong::Escape => f.write_str("nothing stands behind the backslash"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at character {})", self.reason, self.at + 1)
    }
}

/// Reads an expression.
pub fn parse(text: &str) -> Result<Piece, Fault> {
    read(text, None)
}

/// Reads an expression of which one asks what stood between its parentheses.
pub fn parse_groups(text: &str) -> Result<Piece, Fault> {
    read(text, Some(0))
}

fn read(text: &str, groups: Option<usize>) -> Result<Piece, Fault> {
    if text.len() > OCTETS_MAX {
        return Err(Fault { at: OCTETS_MAX, reason: Wrong::Long });
    }
    let mut parser = Parser { text: text.as_bytes(), at: 0, groups };
    let (piece, places) = parser.either(0)?;
    match parser.peek() {
        Some(_) => Err(parser.fault(Wrong::GroupClosed)),
        None if places > PLACES_MAX => Err(Fault { at: 0, reason: Wrong::Large }),
        None => Ok(piece),
    }
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    /// How many groups were opened, where they are told.
    groups: Option<usize>,
}

/// A piece, and how many places it has with repetitions written out.
type Sized = (Piece, u32);

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn fault(&self, reason: Wrong) -> Fault {
        Fault { at: self.at, reason }
    }

    fn either(&mut self, depth: usize) -> Result<Sized, Fault> {
        if depth > DEPTH_MAX {
            return Err(self.fault(Wrong::Deep));
        }
        let (first, mut places) = self.concat(depth)?;
        if self.peek() != Some(b'|') {
            return Ok((first, places));
        }
        let mut alternatives = vec![first];
        while self.peek() == Some(b'|') {
            self.at += 1;
            let (alternative, more) = self.concat(depth)?;
            alternatives.push(alternative);
            places = places.saturating_add(more);
        }
        Ok((Piece::Either(alternatives), places))
    }

    fn concat(&mut self, depth: usize) -> Result<Sized, Fault> {
        let mut pieces = Vec::new();
        let mut places = 0u32;
        while !matches!(self.peek(), None | Some(b'|' | b')')) {
            let (mut piece, mut own) = self.one(depth)?;
            let mut repetitions = depth;
            while let Some((min, max)) = self.repetition()? {
                if matches!(piece, Piece::Start | Piece::End) {
                    return Err(self.fault(Wrong::NothingToRepeat));
                }
                repetitions += 1;
                if repetitions > DEPTH_MAX {
                    return Err(self.fault(Wrong::Deep));
                }
                own = own.saturating_mul(max.unwrap_or(min).max(min).max(1));
                piece = Piece::Repeat { piece: Box::new(piece), min, max };
            }
            pieces.push(piece);
            places = places.saturating_add(own);
        }
        match pieces.len() {
            1 => Ok((pieces.remove(0), places)),
            _ => Ok((Piece::Concat(pieces), places)),
        }
    }

    fn one(&mut self, depth: usize) -> Result<Sized, Fault> {
        let Some(octet) = self.peek() else { return Err(self.fault(Wrong::NothingToRepeat)) };
        let start = self.at;
        self.at += 1;
        let piece = match octet {
            b'^' => Piece::Start,
            b'$' => Piece::End,
            b'.' => Piece::Any,
            b'(' => {
                self.groups = self.groups.map(|groups| groups + 1);
                let number = self.groups;
                let (inner, places) = self.either(depth + 1)?;
                if self.peek() != Some(b')') {
                    return Err(Fault { at: start, reason: Wrong::GroupOpen });
                }
                self.at += 1;
                return Ok(match number {
                    Some(number) => (Piece::Group(number, Box::new(inner)), places),
                    None => (inner, places),
                });
            }
            b'[' => {
                let (set, end) =
                    bracket::read(self.text, self.at).map_err(|reason| Fault { at: start, reason })?;
                self.at = end;
                Piece::Set(set)
            }
            b'\\' => {
                let Some(escaped) = self.peek() else { return Err(self.fault(Wrong::Escape)) };
                if matches!(escaped, b'1'..=b'9') {
                    return Err(self.fault(Wrong::BackReference));
                }
                self.at += 1;
                Piece::Octet(escaped)
            }
            b'*' | b'+' | b'?' => return Err(Fault { at: start, reason: Wrong::NothingToRepeat }),
            b'{' if self.peek().is_some_and(is_in_interval) => {
                return Err(Fault { at: start, reason: Wrong::NothingToRepeat });
            }
            octet => Piece::Octet(octet),
        };
        Ok((piece, 1))
    }

    /// The repetition that stands here, if one does.
    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, Fault> {
        let repetition = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            // A brace that opens no interval stands for itself.
            Some(b'{') if self.text.get(self.at + 1).copied().is_some_and(is_in_interval) => {
                return self.interval().map(Some);
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(repetition))
    }

    fn interval(&mut self) -> Result<(u32, Option<u32>), Fault> {
        let inside = &self.text[self.at + 1..];
        let wrong = |reason| Fault { at: self.at, reason };
        let end = inside.iter().position(|octet| *octet == b'}').ok_or(wrong(Wrong::Interval))?;
        let number = |text: &[u8]| -> Result<Option<u32>, Fault> {
            if text.is_empty() {
                return Ok(None);
            }
            if !text.iter().all(u8::is_ascii_digit) {
                return Err(wrong(Wrong::Interval));
            }
            let value = text
                .iter()
                .fold(0u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
            (value <= REPETITIONS_MAX).then_some(Some(value)).ok_or(wrong(Wrong::Bounds))
        };
        let text = &inside[..end];
        let (min, max) = match text.iter().position(|octet| *octet == b',') {
            None => {
                let times = number(text)?.ok_or(wrong(Wrong::Interval))?;
                (times, Some(times))
            }
            Some(comma) => {
                let (min, max) = (number(&text[..comma])?, number(&text[comma + 1..])?);
                if min.is_none() && max.is_none() {
                    return Err(wrong(Wrong::Interval));
                }
                (min.unwrap_or(0), max)
            }
        };
        if max.is_some_and(|max| max < min) {
            return Err(wrong(Wrong::Bounds));
        }
        self.at += end + 2;
        Ok((min, max))
    }
}

/// Whether an interval may begin so: `{5` and `{,5` do, `{a` does not.
fn is_in_interval(octet: u8) -> bool {
    octet.is_ascii_digit() || octet == b','
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_where_it_is() {
        for (text, at, reason) in [
            ("*a", 0, Wrong::NothingToRepeat),
            ("a|+", 2, Wrong::NothingToRepeat),
            ("(?:a)", 1, Wrong::NothingToRepeat),
            ("^*", 2, Wrong::NothingToRepeat),
            ("{2}a", 0, Wrong::NothingToRepeat),
            ("a{2", 1, Wrong::Interval),
            ("a{2;3}", 1, Wrong::Interval),
            ("a{,}", 1, Wrong::Interval),
            ("a{3,2}", 1, Wrong::Bounds),
            ("a{256}", 1, Wrong::Bounds),
            ("a{99999999999}", 1, Wrong::Bounds),
            ("a(b", 1, Wrong::GroupOpen),
            ("ab)", 2, Wrong::GroupClosed),
            ("a[b", 1, Wrong::BracketOpen),
            ("[]", 0, Wrong::BracketOpen),
            ("[z-a]", 0, Wrong::Range),
            ("[[:digits:]]", 0, Wrong::Class),
            ("[[.hyphen.]]", 0, Wrong::Collation),
            ("[ä]", 0, Wrong::NotAscii),
            (r"(a)\1", 4, Wrong::BackReference),
            ("a\\", 2, Wrong::Escape),
            ("(a{200}){200}", 0, Wrong::Large),
        ] {
            assert_eq!(parse(text), Err(Fault { at, reason }), "{text}");
        }
    }

    #[test]
    fn length_and_depth_have_their_bounds_and_what_is_just_within_is_taken() {
        let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(parse(&nested(DEPTH_MAX + 1)).unwrap_err().reason, Wrong::Deep);
        assert_eq!(parse(&nested(200)).unwrap_err().reason, Wrong::Deep);
        assert!(parse(&format!("a{}", "*".repeat(DEPTH_MAX))).is_ok());
        assert_eq!(parse(&format!("a{}", "*".repeat(DEPTH_MAX + 1))).unwrap_err().reason, Wrong::Deep);
        assert!(parse(&"a".repeat(OCTETS_MAX)).is_ok());
        assert_eq!(parse(&"a".repeat(OCTETS_MAX + 1)).unwrap_err().reason, Wrong::Long);
    }

    #[test]
    fn a_brace_that_opens_no_interval_stands_for_itself() {
        let octets = |text: &str| Piece::Concat(text.bytes().map(Piece::Octet).collect());
        assert_eq!(parse("a{b}"), Ok(octets("a{b}")));
        assert_eq!(parse("{a}"), Ok(octets("{a}")));
        let twice = Piece::Repeat { piece: Box::new(Piece::Octet(b'a')), min: 0, max: Some(2) };
        assert_eq!(parse("a{,2}"), Ok(twice));
    }
}
