//! ENUM: the SIP URI of a number, by the DNS (RFC 6116; TS 24.229 §5.4.3.2). Pure: what is asked, and what the records say.

use crate::criteria::expression::{Case, find};
use cscf::identity::GlobalNumber;
use cscf::resolve::Naptr;
use sip_core::Uri;
use sip_core::uri::unescape;

/// The name under which the records of a number stand (RFC 6116 §3.2): its digits from the last to the first.
pub fn name(number: &GlobalNumber, suffix: &str) -> String {
    let digits = number.digits().chars().rev();
    digits.flat_map(|digit| [digit, '.']).chain(suffix.chars()).collect()
}

/// Whether somebody has looked a number up already (RFC 4694): then it goes where that says.
pub fn is_looked_up(uri: &Uri<'_>) -> bool {
    let written = match uri {
        Uri::Tel(tel) => return tel.params.has(b"npdi") || tel.params.has(b"rn"),
        Uri::Sip(sip) => unescape(sip.user.unwrap_or_default()),
        Uri::Urn(_) | Uri::Other { .. } => return false,
    };
    match Uri::parse(&[b"tel:", &*written].concat()) {
        Ok(Uri::Tel(tel)) => tel.params.has(b"npdi") || tel.params.has(b"rn"),
        _ => false,
    }
}

/// The SIP URI of a number: of the first record, by order and preference, that is for SIP and makes one (RFC 6116 §3.4, §3.5).
///
/// Records that lead to further names are passed over, as are those for other services.
pub fn uri(records: &[Naptr], number: &GlobalNumber) -> Option<String> {
    let mut records: Vec<&Naptr> =
        records.iter().take(RECORDS_MAX).filter(|record| is_for_sip(record)).collect();
    records.sort_by_key(|record| (record.order, record.preference));
    let written = format!("+{}", number.digits());
    records.into_iter().find_map(|record| {
        let made = substituted(&record.regexp, &written)?;
        matches!(Uri::parse(made.as_bytes()), Ok(Uri::Sip(sip)) if sip.headers.is_none()).then_some(made)
    })
}

/// `u`, and `E2U+sip` among others (RFC 6116 §3.4.3, RFC 3764).
fn is_for_sip(record: &Naptr) -> bool {
    let mut words = record.services.split('+');
    let is_enum = words.next().is_some_and(|word| word.eq_ignore_ascii_case("E2U"));
    let kind = |word: &str| word.split(':').next().is_some_and(|kind| kind.eq_ignore_ascii_case("sip"));
    is_enum && record.flags.eq_ignore_ascii_case("u") && words.any(kind)
}

/// What a substitution expression makes of a text (RFC 3402 §3.2); `None` when it does not match or is none.
fn substituted(expression: &str, text: &str) -> Option<String> {
    let delimiter =
        expression.chars().next().filter(|first| !first.is_ascii_digit() && !"\\i".contains(*first))?;
    let mut parts = [String::new(), String::new(), String::new()];
    let (mut part, mut characters) = (0, expression.chars().skip(1));
    while let Some(character) = characters.next() {
        if character == delimiter {
            part += 1;
            continue;
        }
        let into = parts.get_mut(part)?;
        if character != '\\' {
            into.push(character);
            continue;
        }
        // An escaped delimiter stands for itself; what else is escaped is the part's own matter.
        let escaped = characters.next()?;
        if escaped != delimiter {
            into.push('\\');
        }
        into.push(escaped);
    }
    let [pattern, replacement, flags] = parts;
    let case = match flags.as_str() {
        "" => Case::Sensitive,
        "i" | "I" => Case::Ignored,
        _ => return None,
    };
    let groups = (part == 2).then(|| find(&pattern, case, text.as_bytes()).ok().flatten())??;
    let mut made = String::new();
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (plain, false) => made.push(plain),
            (_, true) => match characters.next()? {
                digit @ '1'..='9' => {
                    let group = groups.get(digit as usize - '0' as usize);
                    made.push_str(group.and_then(|group| text.get(group)).unwrap_or_default());
                }
                escaped => made.push(escaped),
            },
        }
        if made.len() > URI_OCTETS_MAX {
            return None;
        }
    }
    Some(made)
}

/// Records of a number that are looked at.
const RECORDS_MAX: usize = 32;
/// A Request-URI that a zone makes is no longer than that.
const URI_OCTETS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::{Number, NumberPolicy};

    fn number(digits: &str) -> GlobalNumber {
        let policy = NumberPolicy {
            country_code: None,
            national_prefix: String::new(),
            international_prefix: String::new(),
            home_domain: "home.net".to_owned(),
        };
        match policy.number(&Uri::parse(format!("tel:+{digits}").as_bytes()).expect("a tel URI")) {
            Number::Global(number) => number,
            other => panic!("{other:?}"),
        }
    }

    fn record(order: u16, preference: u16, services: &str, regexp: &str) -> Naptr {
        Naptr {
            order,
            preference,
            flags: "u".to_owned(),
            services: services.to_owned(),
            regexp: regexp.to_owned(),
            replacement: ".".to_owned(),
        }
    }

    /// The example of RFC 6116 §3.2.
    #[test]
    fn a_number_is_a_name_from_its_last_digit_on() {
        assert_eq!(name(&number("442079460148"), "e164.arpa"), "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa");
    }

    #[test]
    fn the_first_record_that_makes_a_sip_uri_is_taken() {
        let all = "!^.*$!sip:info@example.com!";
        let none = "!^\\+44!sip:uk@example.com!";
        for (records, expected) in [
            (vec![record(100, 10, "E2U+sip", all)], Some("sip:info@example.com")),
            (
                vec![record(100, 20, "E2U+sip", all), record(100, 10, "e2u+SIP", "!.*!sip:b@h!")],
                Some("sip:b@h"),
            ),
            (
                vec![record(100, 10, "E2U+sip", all), record(90, 99, "E2U+sip", "!.*!sip:b@h!")],
                Some("sip:b@h"),
            ),
            (vec![record(1, 1, "E2U+sip", none), record(2, 1, "E2U+sip", all)], Some("sip:info@example.com")),
            (
                vec![record(1, 1, "E2U+pstn:tel", "!.*!tel:+1!"), record(2, 1, "E2U+email+sip", all)],
                Some("sip:info@example.com"),
            ),
            (vec![record(1, 1, "E2U+pstn:sip", all)], None),
            (vec![record(1, 1, "SIP+D2U", all)], None),
            (vec![Naptr { flags: String::new(), ..record(1, 1, "E2U+sip", all) }], None),
            (vec![record(1, 1, "E2U+sip", "!.*!tel:+1!")], None),
            (vec![record(1, 1, "E2U+sip", "!.*!sip:a@h?Subject=x!")], None),
            (vec![record(1, 1, "E2U+sip", "!.*!sip:a@h\r\nTo: x!")], None),
            (vec![], None),
        ] {
            assert_eq!(uri(&records, &number("4930123")).as_deref(), expected, "{records:?}");
        }
    }

    #[test]
    fn a_substitution_puts_in_what_was_matched() {
        for (expression, expected) in [
            ("!^\\+49(.*)$!sip:\\1@example.com!", Some("sip:30123@example.com")),
            ("!^(\\+)(..)(.*)$!sip:\\3.\\2\\9@h!", Some("sip:30123.49@h")),
            ("/^\\+49/sip:a\\/b@h/", Some("sip:a/b@h")),
            ("!x|\\+49!\\\\\\!!", Some("\\!")),
            ("!X|^.(4)!\\1!i", Some("4")),
            ("!^\\+33!sip:a@h!", None),
            ("!^.*$!sip:a@h", None),
            ("!^.*$!sip:a@h!x", None),
            ("!^.*$!sip:a@h!!", None),
            ("!^(.*$!sip:a@h!", None),
            ("1^.*$1sip:a@h1", None),
            ("", None),
            ("!", None),
            ("!.*!\\", None),
        ] {
            assert_eq!(substituted(expression, "+4930123").as_deref(), expected, "{expression}");
        }
        let long = format!("!.*!sip:{}@h!", "a".repeat(300));
        assert_eq!(substituted(&long, "+4930123"), None);
    }

    #[test]
    fn a_number_that_was_looked_up_is_not_again() {
        for (uri, expected) in [
            ("tel:+4930123", false),
            ("tel:+4930123;npdi", true),
            ("tel:+4930123;rn=+49999", true),
            ("sip:+4930123@home.net;user=phone", false),
            ("sip:+4930123;npdi;rn=+49999@home.net;user=phone", true),
            ("urn:service:sos", false),
        ] {
            assert_eq!(is_looked_up(&Uri::parse(uri.as_bytes()).expect("a URI")), expected, "{uri}");
        }
    }
}
