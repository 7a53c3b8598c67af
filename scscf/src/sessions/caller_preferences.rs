//! Which contacts a caller prefers (RFC 3841 §7.2): Accept-Contact and Reject-Contact against the feature tags that each
//! contact was registered with (RFC 3840).
//!
//! Pure. A request without either field asks for nothing; the method that it has by itself (§7.2.2) is not looked at, since
//! phones that list their methods do so for others to read and not to be left out by.

use crate::registrar::binding::Binding;
use sip_core::grammar::{self, Params};
use sip_core::{Message, Name};
use smallvec::SmallVec;

/// Contacts with how well they fit, in thousandths.
pub type Fitting<'b> = SmallVec<[(&'b Binding, u16); 4]>;

/// Whether a request prefers any contact to another.
pub fn has_any(message: &Message) -> bool {
    message.first(Name::AcceptContact).is_some() || message.first(Name::RejectContact).is_some()
}

/// The contacts that a caller may be given, each with its score.
pub fn fitting<'b>(message: &Message, contacts: impl Iterator<Item = &'b Binding>) -> Fitting<'b> {
    let read = |name| -> SmallVec<[Preference<'_>; 4]> {
        let values = message.all(name).take(PREFERENCES_MAX);
        values.filter_map(|(_, value)| Preference::read(value)).collect()
    };
    let (accepted, rejected) = (read(Name::AcceptContact), read(Name::RejectContact));
    contacts.filter_map(|contact| Some((contact, score(contact.params(), &accepted, &rejected)?))).collect()
}

/// What of Accept-Contact and Reject-Contact is looked at, of each.
const PREFERENCES_MAX: usize = 16;
/// Feature tags of one preference that are looked at.
const TERMS_MAX: usize = 32;
/// The score of a contact that fits wholly.
const WHOLLY: u16 = 1000;

/// One Accept-Contact or Reject-Contact.
struct Preference<'m> {
    terms: SmallVec<[Term<'m>; 4]>,
    /// A contact that does not fit is left out.
    is_required: bool,
    /// A contact that does not say everything that is asked for fits no better than one that fits not at all.
    is_explicit: bool,
}

/// A feature tag with its value as it is written, empty for a tag alone.
struct Term<'m> {
    tag: &'m [u8],
    value: &'m [u8],
}

impl<'m> Preference<'m> {
    /// Reads `*;audio;require`.
    fn read(value: &'m [u8]) -> Option<Preference<'m>> {
        let params = Params::lenient(grammar::trim(value).strip_prefix(b"*")?);
        let mut preference = Preference { terms: SmallVec::new(), is_required: false, is_explicit: false };
        for (name, value) in params {
            match value {
                None if name.eq_ignore_ascii_case(b"require") => preference.is_required = true,
                None if name.eq_ignore_ascii_case(b"explicit") => preference.is_explicit = true,
                value if is_feature(name) && preference.terms.len() < TERMS_MAX => {
                    preference.terms.push(Term { tag: bare(name), value: value.unwrap_or_default() });
                }
                _ => {}
            }
        }
        Some(preference)
    }
}

/// How well a contact with these parameters fits; `None` when it is left out.
fn score(params: &[u8], accepted: &[Preference<'_>], rejected: &[Preference<'_>]) -> Option<u16> {
    let features: SmallVec<[Term<'_>; 8]> = Params::lenient(params)
        .into_iter()
        .filter(|(name, _)| is_feature(name))
        .map(|(name, value)| Term { tag: bare(name), value: value.unwrap_or_default() })
        .collect();
    if features.is_empty() {
        // RFC 3841 §7.2.1: a contact that says nothing of itself is immune.
        return Some(WHOLLY);
    }
    let of = |tag: &[u8]| features.iter().find(|feature| feature.tag.eq_ignore_ascii_case(tag));
    // RFC 3841 §7.2.3: only a contact that says all of it is rejected.
    let is_rejected = |preference: &Preference<'_>| {
        !preference.terms.is_empty()
            && preference
                .terms
                .iter()
                .all(|term| of(term.tag).is_some_and(|feature| overlaps(feature.value, term.value)))
    };
    if rejected.iter().any(is_rejected) {
        return None;
    }
    let mut sum = 0_u32;
    for preference in accepted {
        let said = preference.terms.iter().filter_map(|term| Some((of(term.tag)?, term)));
        let (mut count, mut fits) = (0, true);
        for (feature, term) in said {
            count += 1;
            fits &= overlaps(feature.value, term.value);
        }
        // RFC 3841 §7.2.4: by how much of what is asked for the contact says.
        let all = preference.terms.len().max(1);
        let part = if preference.terms.is_empty() { u32::from(WHOLLY) } else { (count * 1000 / all) as u32 };
        let scored = match (fits, preference.is_explicit && count < preference.terms.len()) {
            (true, false) => part,
            (true, true) | (false, _) if preference.is_required => return None,
            (true, true) | (false, _) => 0,
        };
        sum += scored;
    }
    let average = sum / u32::try_from(accepted.len().max(1)).unwrap_or(u32::MAX);
    Some(if accepted.is_empty() { WHOLLY } else { u16::try_from(average).unwrap_or(WHOLLY) })
}

/// Whether a parameter is a feature tag (RFC 3840 §9): one with a plus sign, or one of the base tags.
fn is_feature(name: &[u8]) -> bool {
    const BASE: [&[u8]; 22] = [
        b"audio",
        b"automata",
        b"class",
        b"duplex",
        b"data",
        b"control",
        b"mobility",
        b"description",
        b"events",
        b"priority",
        b"methods",
        b"extensions",
        b"schemes",
        b"application",
        b"video",
        b"language",
        b"type",
        b"isfocus",
        b"actor",
        b"text",
        b"image",
        b"message",
    ];
    name.first() == Some(&b'+') || BASE.iter().any(|base| base.eq_ignore_ascii_case(name))
}

/// A tag without its plus sign.
fn bare(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"+").unwrap_or(name)
}

/// Whether one value at least lies in both sets: what a contact can do, and what is asked for.
fn overlaps(can: &[u8], asked: &[u8]) -> bool {
    let (can, asked) = (grammar::unquote(can), grammar::unquote(asked));
    items(&asked).any(|asked| items(&can).any(|can| meets(can, asked)))
}

/// The items of a tag-value-list; a tag alone is true.
fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    const TRUE: &[u8] = b"TRUE";
    let alone = grammar::trim(value).is_empty().then_some(TRUE);
    alone.into_iter().chain(grammar::values(value).filter(|item| !item.is_empty()))
}

/// Whether one item of each set has a value in common.
fn meets(one: &[u8], other: &[u8]) -> bool {
    match (one.strip_prefix(b"!"), other.strip_prefix(b"!")) {
        // Everything but two things is more than nothing.
        (Some(_), Some(_)) => true,
        (Some(not), None) => !meets(not, other),
        (None, Some(not)) => !meets(one, not),
        (None, None) => match (range(one), range(other)) {
            (Some((a, b)), Some((c, d))) => a <= d && c <= b,
            (None, None) => one.eq_ignore_ascii_case(other),
            _ => false,
        },
    }
}

/// The least and the largest number of `#5`, `#=5`, `#>=5`, `#<=5` or `#1:5`, in thousandths.
fn range(item: &[u8]) -> Option<(i64, i64)> {
    let number = |text: &[u8]| -> Option<i64> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let sign = if whole.starts_with('-') { -1 } else { 1 };
        let fraction: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(sign * fraction)
    };
    let text = item.strip_prefix(b"#")?;
    if let Some(least) = text.strip_prefix(b">=") {
        return Some((number(least)?, i64::MAX));
    }
    if let Some(largest) = text.strip_prefix(b"<=") {
        return Some((i64::MIN, number(largest)?));
    }
    if let Some(colon) = text.iter().position(|byte| *byte == b':') {
        return Some((number(&text[..colon])?, number(&text[colon + 1..])?));
    }
    let exactly = number(text.strip_prefix(b"=").unwrap_or(text))?;
    Some((exactly, exactly))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str =
        ";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";+g.3gpp.smsip;audio;video";
    const TABLET: &str = ";audio;mobility=\"mobile\";class=\"personal\";+g.fps=\"#>=25\"";

    fn judged(params: &str, accepted: &[&str], rejected: &[&str]) -> Option<u16> {
        let read = |values: &[&'static str]| -> Vec<Preference<'static>> {
            values.iter().filter_map(|value| Preference::read(value.as_bytes())).collect()
        };
        let leak = |values: &[&str]| -> Vec<&'static str> {
            values.iter().map(|value| &*value.to_string().leak()).collect()
        };
        score(params.as_bytes(), &read(&leak(accepted)), &read(&leak(rejected)))
    }

    #[test]
    fn a_contact_fits_by_how_much_it_says_of_what_is_asked() {
        for (params, accepted, expected) in [
            (PHONE, &["*;+g.3gpp.smsip"][..], Some(1000)),
            (PHONE, &["*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\""], Some(1000)),
            // Another service: it is known not to fit.
            (PHONE, &["*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma\""], Some(0)),
            (PHONE, &["*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma\";require"], None),
            (TABLET, &["*;+g.3gpp.smsip"], Some(0)),
            (TABLET, &["*;+g.3gpp.smsip;require"], Some(0)),
            (TABLET, &["*;+g.3gpp.smsip;require;explicit"], None),
            (TABLET, &["*;audio;+g.3gpp.smsip"], Some(500)),
            (TABLET, &["*;audio;+g.3gpp.smsip;explicit"], Some(0)),
            (TABLET, &["*;audio", "*;video"], Some(500)),
            (TABLET, &["*;audio=\"FALSE\";require"], None),
            (TABLET, &["*;mobility=\"fixed,mobile\""], Some(1000)),
            (TABLET, &["*;class=\"!personal\";require"], None),
            (TABLET, &["*;class=\"!business\";require"], Some(1000)),
            (TABLET, &["*;+g.fps=\"#30\";require"], Some(1000)),
            (TABLET, &["*;+g.fps=\"#<=24.5\";require"], None),
            (TABLET, &["*;+g.fps=\"#10:26\";require"], Some(1000)),
            // It says nothing: it is immune.
            (";q=0.5;reg-id=1", &["*;video;require;explicit"], Some(1000)),
            (PHONE, &[], Some(1000)),
            (PHONE, &["no star"], Some(1000)),
        ] {
            assert_eq!(judged(params, accepted, &[]), expected, "{params} {accepted:?}");
        }
    }

    #[test]
    fn a_contact_that_says_all_of_what_is_rejected_is_left_out() {
        for (rejected, expected) in [
            ("*;video", None),
            ("*;video;audio", None),
            ("*;video;+g.fps", Some(1000)),
            ("*;video=\"FALSE\"", Some(1000)),
            ("*", Some(1000)),
        ] {
            assert_eq!(judged(PHONE, &[], &[rejected]), expected, "{rejected}");
        }
    }
}
