//! URIs that name one device of a user (RFC 5627), as far as more than the S-CSCF reads them: which URI is one, and which
//! S-CSCF a temporary one, that hides its user, was made by.

use crate::bucket::{base32, unbase32};
use ambient::entropy::KeyedState;
use sip_core::Uri;
use sip_core::uri::SipUri;
use std::hash::BuildHasher;

/// The `gr` of a public GRUU, as it is written; `None` for any other URI.
pub fn public<'u>(uri: &Uri<'u>) -> Option<&'u [u8]> {
    uri.param(b"gr").filter(|value| !value.is_empty())
}

/// The user part of a temporary GRUU: its `gr` has no value (RFC 5627 §3.2).
pub fn temporary<'u>(uri: &Uri<'u>) -> Option<&'u [u8]> {
    let Uri::Sip(SipUri { user: Some(user), .. }) = uri else { return None };
    (uri.params().has(b"gr") && public(uri).is_none()).then_some(*user)
}

/// Whether a URI may be a GRUU: asked of every request, so that nothing is read that need not be.
pub fn may_be(uri: &[u8]) -> bool {
    memchr::memchr(b';', uri)
        .is_some_and(|at| uri[at..].windows(3).any(|part| part.eq_ignore_ascii_case(b";gr")))
}

/// Where the mark of an S-CSCF stands in a temporary GRUU: behind the bucket, the kind and before what is sealed.
const MARK_AT: std::ops::Range<usize> = 4..8;
const MARK_BITS: u32 = 20;

/// What temporary GRUUs of an S-CSCF have in common: who reads it learns which S-CSCF is asked, and nothing of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u32);

impl Mark {
    /// Of the S-CSCF with this URI.
    pub fn of(scscf: &str) -> Mark {
        let key = KeyedState::from_key((0x6772_7575, 0));
        Mark(key.hash_one(scscf.to_ascii_lowercase()) as u32 & ((1 << MARK_BITS) - 1))
    }

    /// The mark in a temporary GRUU.
    pub fn read(user: &[u8]) -> Option<Mark> {
        u32::try_from(unbase32(user.get(MARK_AT)?)?).ok().map(Mark)
    }

    /// Writes it.
    pub fn write(self, out: &mut impl Extend<u8>) {
        base32(u64::from(self.0), MARK_BITS, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_kinds_are_told_apart_by_the_value_of_gr() {
        for (uri, expected) in [
            ("sip:alice@home.net;gr=urn:uuid:1", (Some("urn:uuid:1"), None)),
            ("sip:abc@home.net;gr", (None, Some("abc"))),
            ("sip:abc@home.net;GR;x=1", (None, Some("abc"))),
            ("sip:home.net;gr", (None, None)),
            ("sip:abc@home.net;group=1", (None, None)),
            ("tel:+491;gr", (None, None)),
        ] {
            let parsed = Uri::parse(uri.as_bytes()).unwrap_or_else(|error| panic!("{uri}: {error:?}"));
            let found = (public(&parsed), temporary(&parsed));
            assert_eq!(found, (expected.0.map(str::as_bytes), expected.1.map(str::as_bytes)), "{uri}");
            let is_one = found != (None, None);
            assert!(may_be(uri.as_bytes()) || !is_one, "{uri}");
        }
        assert!(!may_be(b"sip:alice@home.net:5060;transport=tcp"));
    }

    #[test]
    fn a_mark_is_read_back_and_differs_between_servers() {
        let mut user = b"abcg".to_vec();
        Mark::of("sip:S1.home.net:6060").write(&mut user);
        assert_eq!(Mark::read(&user), Some(Mark::of("sip:s1.home.net:6060")));
        assert_ne!(Mark::read(&user), Some(Mark::of("sip:s2.home.net:6060")));
        assert_eq!(Mark::read(b"abcg"), None);
    }
}
