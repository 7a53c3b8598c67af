//! Identities as keys: the canonical form of a public identity (TS 29.229 §6.3.2), and wildcarded ones.

use cscf::identity::Impu;

/// The form under which a public identity is stored and found; what is no identity stays as it is.
pub fn canonical(identity: &str) -> String {
    let identity = identity.trim();
    Impu::parse(identity.as_bytes()).map_or_else(|| identity.to_owned(), |impu| impu.as_str().to_owned())
}

/// A wildcarded public identity: `sip:ep_user!.*!@home1.net`.
///
/// Stops short of TS 23.003 §13.4A: between the delimiters only `.*` and `.` and `[0-9]` with `*`, `+` or `{n}` behind
/// them are understood; another expression matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    before: String,
    pattern: Pattern,
    after: String,
    /// The expression as it was provisioned, which answers carry.
    pub expression: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pattern {
    /// Whether only digits match, or any character.
    is_digits: bool,
    length_min: usize,
    length_max: usize,
}

impl Wildcard {
    /// Reads an expression; `None` when it has no delimiters or asks for more than is understood.
    pub fn new(expression: &str) -> Option<Wildcard> {
        let mut parts = expression.splitn(3, '!');
        let (before, pattern, after) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Wildcard {
            before: before.to_owned(),
            pattern: Pattern::new(pattern)?,
            after: after.to_owned(),
            expression: expression.to_owned(),
        })
    }

    /// Whether a canonical identity lies within.
    pub fn matches(&self, identity: &str) -> bool {
        let middle = identity.strip_prefix(&self.before).and_then(|rest| rest.strip_suffix(&self.after));
        middle.is_some_and(|middle| self.pattern.matches(middle))
    }
}

impl Pattern {
    fn new(pattern: &str) -> Option<Pattern> {
        let (is_digits, repeat) = match pattern.strip_prefix("[0-9]") {
            Some(repeat) => (true, repeat),
            None => (false, pattern.strip_prefix('.')?),
        };
        let (length_min, length_max) = match repeat {
            "*" => (0, usize::MAX),
            "+" => (1, usize::MAX),
            "" => (1, 1),
            counted => {
                let count = counted.strip_prefix('{')?.strip_suffix('}')?.parse().ok()?;
                (count, count)
            }
        };
        Some(Pattern { is_digits, length_min, length_max })
    }

    fn matches(&self, text: &str) -> bool {
        (self.length_min..=self.length_max).contains(&text.chars().count())
            && (!self.is_digits || text.bytes().all(|octet| octet.is_ascii_digit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_identity_has_one_canonical_form() {
        for (identity, expected) in [
            ("sip:Alice@HOME1.net;user=phone?Subject=x", "sip:Alice@home1.net"),
            ("SIP:home1.net", "sip:home1.net"),
            ("tel:+49-301-000(001);isub=1", "tel:+49301000001"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(canonical(identity), expected);
        }
    }

    #[test]
    fn a_wildcard_matches_what_lies_between_its_ends() {
        let wildcard = Wildcard::new("sip:ep_user!.*!@home1.net").unwrap();
        assert!(wildcard.matches("sip:ep_user17@home1.net"));
        assert!(wildcard.matches("sip:ep_user@home1.net"));
        assert!(!wildcard.matches("sip:user17@home1.net"));
        let numbers = Wildcard::new("tel:+4930![0-9]{3}!").unwrap();
        assert!(numbers.matches("tel:+4930123"));
        assert!(!numbers.matches("tel:+49301234"));
        assert!(!numbers.matches("tel:+493012x"));
    }

    #[test]
    fn an_expression_that_is_not_understood_is_refused() {
        assert_eq!(Wildcard::new("sip:alice@home1.net"), None);
        assert_eq!(Wildcard::new("sip:!(a|b)!@home1.net"), None);
        assert_eq!(Wildcard::new("tel:![0-9]{x}!"), None);
    }
}
