//! Bracket expressions: `[abc]`, `[^a-z]`, `[[:digit:]]`. A backslash is a character like others in them.

use super::octets::Octets;
use super::syntax::Wrong;

/// Reads what stands behind `[`, from `at`; the set, and where the text goes on.
pub fn read(text: &[u8], mut at: usize) -> Result<(Octets, usize), Wrong> {
    let mut set = Octets::default();
    let is_negated = text.get(at) == Some(&b'^');
    at += usize::from(is_negated);
    let first = at;
    loop {
        let octet = *text.get(at).ok_or(Wrong::BracketOpen)?;
        if octet == b']' && at != first {
            let set = if is_negated { set.negated() } else { set };
            return Ok((set, at + 1));
        }
        if let (b'[', Some(b':')) = (octet, text.get(at + 1)) {
            let (name, end) = delimited(text, at, b':')?;
            class(name).ok_or(Wrong::Class)?.into_iter().for_each(|member| set.insert(member));
            at = end;
            // A class is no end of a range.
            if text.get(at) == Some(&b'-') && text.get(at + 1).is_some_and(|next| *next != b']') {
                return Err(Wrong::Range);
            }
            continue;
        }
        let (from, end) = element(text, at)?;
        at = end;
        let opens_range = text.get(at) == Some(&b'-') && text.get(at + 1).is_some_and(|next| *next != b']');
        let to = match opens_range {
            false => from,
            true => {
                if text.get(at + 1..at + 3) == Some(b"[:") {
                    return Err(Wrong::Range);
                }
                let (to, end) = element(text, at + 1)?;
                at = end;
                to
            }
        };
        if to < from {
            return Err(Wrong::Range);
        }
        (from..=to).for_each(|member| set.insert(member));
    }
}

/// One character, also as `[.x.]` or `[=x=]`, and where the text goes on.
fn element(text: &[u8], at: usize) -> Result<(u8, usize), Wrong> {
    let octet = *text.get(at).ok_or(Wrong::BracketOpen)?;
    match (octet, text.get(at + 1)) {
        (b'[', Some(kind @ (b'.' | b'='))) => match delimited(text, at, *kind)? {
            ([one], end) if one.is_ascii() => Ok((*one, end)),
            _ => Err(Wrong::Collation),
        },
        _ if !octet.is_ascii() => Err(Wrong::NotAscii),
        _ => Ok((octet, at + 1)),
    }
}

/// What stands between `[:` and `:]`, and where the text goes on.
fn delimited(text: &[u8], at: usize, kind: u8) -> Result<(&[u8], usize), Wrong> {
    let inside = &text[at + 2..];
    let end = inside.windows(2).position(|pair| pair == [kind, b']']).ok_or(Wrong::BracketOpen)?;
    Ok((&inside[..end], at + 2 + end + 2))
}

/// The characters of a class, in the POSIX locale.
fn class(name: &[u8]) -> Option<Vec<u8>> {
    let is_member: fn(&u8) -> bool = match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |octet| matches!(octet, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |octet| (0x20..0x7f).contains(octet),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |octet| matches!(octet, b' ' | 0x09..=0x0d),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    };
    Some((0..=u8::MAX).filter(is_member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The printable members of a bracket expression.
    fn members(bracket: &str) -> String {
        let (set, end) = read(bracket.as_bytes(), 1).unwrap_or_else(|wrong| panic!("{bracket}: {wrong}"));
        assert_eq!(end, bracket.len(), "{bracket}");
        (0x20..0x7f).filter(|octet| set.contains(*octet)).map(char::from).collect()
    }

    #[test]
    fn a_bracket_stands_for_its_members() {
        for (bracket, expected) in [
            ("[abc]", "abc"),
            ("[]abc]", "]abc"),
            ("[a-c]", "abc"),
            ("[-a]", "-a"),
            ("[a-]", "-a"),
            ("[+--]", "+,-"),
            (r"[\d]", r"\d"),
            (r"[\]", r"\"),
            ("[[:digit:]]", "0123456789"),
            ("[[:xdigit:]_]", "0123456789ABCDEF_abcdef"),
            ("[[.-.]a]", "-a"),
            ("[[=a=]]", "a"),
            ("[[.a.]-c]", "abc"),
            ("[[]", "["),
            ("[.*$^(|]", "$(*.^|"),
        ] {
            let mut sorted: Vec<char> = expected.chars().collect();
            sorted.sort_unstable();
            assert_eq!(members(bracket), sorted.into_iter().collect::<String>(), "{bracket}");
        }
    }

    #[test]
    fn a_negated_bracket_stands_for_all_others() {
        let all: String = (0x20..0x7fu8).map(char::from).collect();
        let without = |gone: &str| all.chars().filter(|c| !gone.contains(*c)).collect::<String>();
        assert_eq!(members("[^a]"), without("a"));
        assert_eq!(members("[^]a]"), without("]a"));
        assert_eq!(members("[^^]"), without("^"));
        assert_eq!(members("[^[:print:]]"), "");
    }

    #[test]
    fn a_class_is_no_end_of_a_range() {
        for bracket in ["[a-[:digit:]]", "[[:digit:]-z]"] {
            assert_eq!(read(bracket.as_bytes(), 1), Err(Wrong::Range), "{bracket}");
        }
        assert_eq!(members("[[:digit:]-]"), "-0123456789");
    }
}
