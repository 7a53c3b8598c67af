//! Application servers that have failed, and are left out until they answer again or their time is over.
//!
//! Pure: who is left out is data; asking whether one lives is the role's business. A request that would visit one of them
//! goes the way of default handling at once, instead of waiting as long as the one before.

use ambient::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Those that are left out, by the URI of the filter criteria.
#[derive(Debug, Default)]
pub struct LeftOut {
    by_uri: BTreeMap<Box<str>, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    until: Instant,
    /// An OPTIONS has no answer yet.
    is_asked: bool,
}

/// What follows for one that is asked from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is asked whether it lives.
    Ask,
    /// It has been asked, and its answer is waited for.
    Wait,
    /// Its time is over: the next request tries it.
    Forget,
}

/// The most that are left out at once; any beyond is visited, and waited for.
pub const SERVERS_MAX: usize = 256;
/// How often one that is left out is asked whether it lives.
pub const ASKED_EVERY: Duration = Duration::from_secs(5);

impl LeftOut {
    /// Whether one is left out.
    pub fn contains(&self, uri: &str, now: Instant) -> bool {
        self.by_uri.get(uri).is_some_and(|entry| now < entry.until)
    }

    /// One has failed; true when it is left out from here on, and was not before.
    pub fn failed(&mut self, uri: &str, now: Instant, after: Duration) -> bool {
        let until = now + after;
        if let Some(entry) = self.by_uri.get_mut(uri) {
            entry.until = until;
            return false;
        }
        if after.is_zero() || self.by_uri.len() >= SERVERS_MAX {
            return false;
        }
        self.by_uri.insert(uri.into(), Entry { until, is_asked: false });
        true
    }

    /// One lives; true when it was left out.
    pub fn answered(&mut self, uri: &str) -> bool {
        !self.by_uri.is_empty() && self.by_uri.remove(uri).is_some()
    }

    /// It is time to ask one.
    pub fn due(&mut self, uri: &str, now: Instant) -> Next {
        match self.by_uri.get_mut(uri) {
            Some(entry) if now >= entry.until => {
                self.by_uri.remove(uri);
                Next::Forget
            }
            Some(Entry { is_asked: true, .. }) => Next::Wait,
            Some(entry) => {
                entry.is_asked = true;
                Next::Ask
            }
            None => Next::Forget,
        }
    }

    /// It has not answered what it was asked.
    pub fn silent(&mut self, uri: &str) {
        if let Some(entry) = self.by_uri.get_mut(uri) {
            entry.is_asked = false;
        }
    }

    /// Who is left out, in alphabetical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_uri.keys().map(|uri| &**uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AS1: &str = "sip:as1.home1.net";
    const TIME: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    #[test]
    fn one_that_has_failed_is_left_out_until_it_answers_or_its_time_is_over() {
        let mut left_out = LeftOut::default();
        assert!(left_out.failed(AS1, at(0), TIME));
        assert!(!left_out.failed(AS1, at(1), TIME), "the second failure is no news");
        assert!(left_out.contains(AS1, at(30)) && !left_out.contains(AS1, at(31)));
        assert!(!left_out.contains("sip:as2.home1.net", at(1)));
        assert!(left_out.answered(AS1) && !left_out.answered(AS1));
        assert!(!left_out.contains(AS1, at(2)));
    }

    #[test]
    fn it_is_asked_once_at_a_time_and_no_longer_than_it_is_left_out() {
        let mut left_out = LeftOut::default();
        left_out.failed(AS1, at(0), TIME);
        assert_eq!(left_out.due(AS1, at(5)), Next::Ask);
        assert_eq!(left_out.due(AS1, at(10)), Next::Wait);
        left_out.silent(AS1);
        assert_eq!(left_out.due(AS1, at(15)), Next::Ask);
        assert_eq!(left_out.due(AS1, at(30)), Next::Forget);
        assert_eq!((left_out.due(AS1, at(31)), left_out.iter().len()), (Next::Forget, 0));
    }

    #[test]
    fn no_more_are_left_out_than_there_is_room_for_and_none_without_a_time() {
        let mut left_out = LeftOut::default();
        assert!(!left_out.failed(AS1, at(0), Duration::ZERO));
        for number in 0..SERVERS_MAX {
            assert!(left_out.failed(&format!("sip:as{number}"), at(0), TIME));
        }
        assert!(!left_out.failed(AS1, at(0), TIME));
        assert!(!left_out.contains(AS1, at(0)));
    }
}
