//! Loop detection (RFC 3261 §16.3 item 4, with the fields that RFC 5393 §4.2 asks for).

use crate::{Message, Name};
use std::hash::{BuildHasher, Hash, Hasher};

/// A hash of what decides where a request goes next: equal on a second pass, the request loops; different, it spirals.
///
/// Covers the Request-URI, From and To, Call-ID, CSeq number, Proxy-Require, Proxy-Authorization and the Route set.
pub fn loop_hash(request: &Message, state: &impl BuildHasher) -> u64 {
    let mut hasher = state.build_hasher();
    request.uri().hash(&mut hasher);
    // The tags, and what stands around them: nobody on the way changes these fields.
    for party in [Name::From, Name::To] {
        request.first(party).hash(&mut hasher);
    }
    request.call_id().hash(&mut hasher);
    request.cseq().map(|cseq| cseq.number).unwrap_or_default().hash(&mut hasher);
    for name in [Name::ProxyRequire, Name::ProxyAuthorization, Name::Route] {
        for (_, value) in request.all(name) {
            value.hash(&mut hasher);
        }
    }
    hasher.finish()
}
