//! Where a request leaves the network that nobody here is called by: the decision of a BGCF (TS 24.229 §5.6), as a pure
//! function of the configured rules.

use crate::config::BreakoutRule;
use crate::role::Failure;
use crate::trust::{self, Outsider};
use crate::turn::Target;
use sip_core::uri::{TelUri, unescape};
use sip_core::{Edits, Message, Method, Name, Uri};
use std::collections::VecDeque;
use std::time::Duration;

/// The rule for a number that has no subscriber, or for a short code: the one that names the trunk group of the Request-URI
/// goes first, then the one with the longest prefix, then the first of the table.
pub fn of_number<'r>(rules: &'r [BreakoutRule], uri: &Uri<'_>) -> Option<&'r BreakoutRule> {
    let written = written(uri)?;
    let Ok(Uri::Tel(tel)) = Uri::parse(&written) else { return None };
    let number = dialled(&tel);
    let trunk = tel.params.get(b"tgrp");
    best(rules, |rule| {
        let is_of_trunk = match &rule.trunk {
            None => Some(0),
            Some(wanted) => {
                trunk.is_some_and(|trunk| trunk.eq_ignore_ascii_case(wanted.as_bytes())).then_some(TRUNK)
            }
        };
        let is_of_prefix = match &rule.prefix {
            None => rule.trunk.is_some().then_some(0),
            Some(prefix) => number.starts_with(prefix.as_bytes()).then_some(prefix.len()),
        };
        Some(is_of_trunk? + is_of_prefix?)
    })
}

/// The rule for a domain that is not ours: the longest that fits; without one, DNS knows the way.
pub fn of_domain<'r>(rules: &'r [BreakoutRule], domain: &[u8]) -> Option<&'r BreakoutRule> {
    best(rules, |rule| {
        let wanted = rule.domain.as_deref()?.as_bytes();
        let end = domain.len().checked_sub(wanted.len()).and_then(|at| domain.get(at..))?;
        let fits = match wanted.first() {
            Some(b'.') => end.eq_ignore_ascii_case(wanted),
            _ => domain.eq_ignore_ascii_case(wanted),
        };
        (fits && rule.trunk.is_none()).then_some(wanted.len())
    })
}

/// A request that leaves by a rule, and which of its next hops it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    next_hops: VecDeque<String>,
    is_trusted: bool,
    /// What was put in the place of its Request-URI.
    request_uri: Option<String>,
}

impl Departure {
    /// By a rule, to its first next hop; with another Request-URI if given.
    pub fn by(rule: &BreakoutRule, request_uri: Option<String>) -> Departure {
        let next_hops = rule.next_hops.iter().cloned().collect();
        Departure { next_hops, is_trusted: rule.is_trusted, request_uri }
    }

    /// After a next hop that has said nothing: to the one behind it; `None` where there is none, or where it has said something,
    /// which is an answer.
    pub fn after(mut self, failure: &Failure<'_>) -> Option<Departure> {
        if !matches!(failure, Failure::Timeout { answered: false } | Failure::Unreachable(_)) {
            return None;
        }
        self.next_hops.pop_front();
        (!self.next_hops.is_empty()).then_some(self)
    }

    /// How long this next hop may say nothing, where another could be tried; a MESSAGE may arrive all the same, and is not for
    /// two of them before its time is over.
    pub fn silence_max(&self, method: Method<'_>) -> Option<Duration> {
        (self.next_hops.len() > 1 && method == Method::Invite).then_some(SILENCE_MAX)
    }

    /// Lets the request leave: the next hop is its first Route, and learns no more than another network may.
    pub fn leave(&self, message: &Message, edits: &mut Edits) -> Target {
        if !self.is_trusted {
            trust::leaving(message, Outsider::Network, edits);
        }
        if let Some(changed) = &self.request_uri {
            edits.set_uri(changed);
        }
        let Some(next_hop) = self.next_hops.front() else { return Target::RequestUri };
        let uri = Uri::parse(next_hop.as_bytes());
        let loose = if uri.is_ok_and(|uri| uri.params().has(b"lr")) { "" } else { ";lr" };
        edits.push_top(Name::Route, format_args!("<{next_hop}{loose}>"));
        Target::Uri(next_hop.clone().into_bytes())
    }
}

/// Until a next hop shows by 100 or more that it lives: a caller waits for two of them, and not for Timer B.
const SILENCE_MAX: Duration = Duration::from_secs(4);

/// Above every prefix and domain.
const TRUNK: usize = 1 << 16;

/// The first of those that fit best.
fn best(rules: &[BreakoutRule], fits: impl Fn(&BreakoutRule) -> Option<usize>) -> Option<&BreakoutRule> {
    // Of equals, `max_by_key` takes the last.
    let scored = rules.iter().rev().filter_map(|rule| Some((fits(rule)?, rule)));
    scored.max_by_key(|(score, _)| *score).map(|(_, rule)| rule)
}

/// The number in a Request-URI as a tel URI.
fn written(uri: &Uri<'_>) -> Option<Vec<u8>> {
    match uri {
        Uri::Tel(tel) => Some([b"tel:", tel.number, tel.params.raw()].concat()),
        Uri::Sip(sip) => {
            let is_phone = sip.params.get(b"user").is_some_and(|user| user.eq_ignore_ascii_case(b"phone"));
            let user = sip.user.filter(|_| is_phone)?;
            Some([b"tel:", &*unescape(user)].concat())
        }
        Uri::Urn(_) | Uri::Other { .. } => None,
    }
}

/// What decides: the routing number of a number that was ported (RFC 4694), else the number.
fn dialled(tel: &TelUri<'_>) -> Vec<u8> {
    match tel.params.get(b"rn") {
        Some(routing) => {
            routing.iter().copied().filter(|byte| byte.is_ascii_digit() || *byte == b'+').collect()
        }
        None => tel.digits().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(next_hop: &str) -> BreakoutRule {
        BreakoutRule { next_hops: vec![next_hop.to_owned()], ..BreakoutRule::default() }
    }

    fn number(next_hop: &str, prefix: &str) -> BreakoutRule {
        BreakoutRule { prefix: Some(prefix.to_owned()), ..rule(next_hop) }
    }

    #[test]
    fn a_number_leaves_by_its_trunk_then_by_the_longest_prefix_then_by_the_first_rule() {
        let rules = [
            number("any", "+"),
            number("germany", "+49"),
            number("berlin", "+4930"),
            number("berlin-2", "+4930"),
            number("short", "11"),
            BreakoutRule { trunk: Some("tg1".to_owned()), ..rule("trunk") },
            BreakoutRule { trunk: Some("tg1".to_owned()), ..number("trunk-uk", "+44") },
            BreakoutRule { domain: Some("pbx.example".to_owned()), ..rule("pbx") },
        ];
        for (uri, expected) in [
            ("tel:+49-89-1", Some("germany")),
            ("tel:+4930123", Some("berlin")),
            ("tel:+33123", Some("any")),
            ("sip:+4930123@home.net;user=phone", Some("berlin")),
            ("sip:+4930123@home.net", None),
            ("tel:115;phone-context=home.net", Some("short")),
            ("tel:220;phone-context=home.net", None),
            ("tel:+49301;tgrp=TG1;trunk-context=home.net", Some("trunk")),
            ("tel:+44301;tgrp=tg1;trunk-context=home.net", Some("trunk-uk")),
            ("tel:+49301;tgrp=tg2;trunk-context=home.net", Some("berlin")),
            ("tel:+33123;npdi;rn=+4930999", Some("berlin")),
            ("urn:service:sos", None),
        ] {
            let parsed = Uri::parse(uri.as_bytes()).unwrap_or_else(|error| panic!("{uri}: {error:?}"));
            let found = of_number(&rules, &parsed).map(|rule| rule.next_hops[0].as_str());
            assert_eq!(found, expected, "{uri}");
        }
    }

    #[test]
    fn another_next_hop_is_tried_after_silence_and_after_nothing_else() {
        let rule = BreakoutRule { next_hops: vec!["sip:a".to_owned(), "sip:b".to_owned()], ..rule("") };
        let first = Departure::by(&rule, None);
        assert_eq!(first.silence_max(Method::Invite), Some(SILENCE_MAX));
        assert_eq!(first.silence_max(Method::Message), None);
        let silent = Failure::Timeout { answered: false };
        let second = first.clone().after(&silent).expect("the second");
        assert_eq!(second.next_hops, ["sip:b"]);
        assert_eq!(second.silence_max(Method::Invite), None, "it has all the time");
        assert_eq!(second.clone().after(&silent), None);
        assert!(first.clone().after(&Failure::Unreachable("refused")).is_some());
        assert_eq!(first.after(&Failure::Timeout { answered: true }), None);
    }

    #[test]
    fn a_domain_leaves_by_its_rule_or_by_that_of_a_domain_above() {
        let of = |domain: &str, next_hop| BreakoutRule { domain: Some(domain.to_owned()), ..rule(next_hop) };
        let rules = [of(".example", "all"), of("pbx.example", "pbx"), number("number", "+49")];
        for (domain, expected) in [
            ("PBX.example", Some("pbx")),
            ("a.pbx.example", Some("all")),
            ("example", None),
            ("home.net", None),
        ] {
            let found = of_domain(&rules, domain.as_bytes()).map(|rule| rule.next_hops[0].as_str());
            assert_eq!(found, expected, "{domain}");
        }
    }
}
