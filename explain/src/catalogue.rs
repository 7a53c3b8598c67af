//! The causes, the root before what follows from it.
//!
//! A cause is data; where its signs need more than words and numbers, a pure function from a story to the events that
//! show it. Of two that fit one story the one that stands earlier is told first, so that a narrower cause stands before a
//! wider one.

mod authentication;
mod emergency;
mod hss;
mod identity;
mod registration;
mod remaining;
mod routing;
mod security;
mod service;
mod session;

use crate::cause::Cause;

/// Every cause, in the order in which they are told.
pub fn causes() -> impl Iterator<Item = &'static Cause> {
    let all: [&'static [Cause]; 10] = [
        security::CAUSES,
        authentication::CAUSES,
        identity::CAUSES,
        hss::CAUSES,
        registration::CAUSES,
        emergency::CAUSES,
        service::CAUSES,
        session::CAUSES,
        routing::CAUSES,
        remaining::CAUSES,
    ];
    all.into_iter().flatten()
}

/// The catalogue as a page of the documentation.
pub fn page() -> String {
    use std::fmt::Write;
    let mut page = String::new();
    for cause in causes() {
        let _ = writeln!(page, "### `{}`\n", cause.name);
        let kinds: Vec<&str> = cause.kinds.iter().map(|kind| kind.word()).collect();
        let of = if kinds.is_empty() { "anything".to_owned() } else { kinds.join(", ") };
        let told = match cause.verdict {
            crate::Verdict::Fault => "a fault",
            crate::Verdict::Happened => "what happened, no fault",
            crate::Verdict::Unexplained => "where no narrower cause shows",
        };
        let _ = writeln!(page, "{}\n", cause.sentence);
        let _ = writeln!(page, "- of: {of}; {told}\n- clause: {}\n- fix: {}\n", cause.clause, cause.fix);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PLACES: [&str; 13] = [
        "who", "impi", "called", "story", "node", "peer", "status", "words", "detail", "identity", "near",
        "domain", "count",
    ];

    #[test]
    fn names_are_unique_and_there_are_many() {
        let names: Vec<&str> = causes().map(|cause| cause.name).collect();
        let unique: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), unique.len(), "{names:?}");
        assert!(names.len() >= 40, "{}", names.len());
    }

    #[test]
    fn every_cause_is_told_in_one_sentence_with_places_that_exist() {
        for cause in causes() {
            for text in [cause.sentence, cause.fix] {
                assert!(!text.is_empty() && !text.contains('\n'), "{}", cause.name);
                for place in text.split('{').skip(1) {
                    let place = place.split('}').next().unwrap_or_default();
                    assert!(PLACES.contains(&place), "{}: {place}", cause.name);
                }
            }
            assert!(!cause.clause.is_empty() && !cause.signs.is_empty(), "{}", cause.name);
            assert!(
                cause.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{}",
                cause.name
            );
        }
    }
}
