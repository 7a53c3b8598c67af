//! Where a message belongs: from its first bytes to the bucket that is its home.
//!
//! Any shard of a function may receive any message. This looks at a few fields, without indexing the message, and uses only
//! what an ACK and a CANCEL repeat (RFC 3261 §9.1, §17.1.1.3), so that a transaction stays in one shard. What cannot be read
//! has no home: whoever received it refuses it, as every shard would.

use super::aliases::Aliases;
use super::remembered::Remembered;
use crate::bucket::{Bucket, TokenKey};
use crate::flow::Trust;
use crate::identity::{Number, NumberPolicy};
use crate::node::branch_id::BranchId;
use ambient::Entropy;
use sip_core::uri::SipUri;
use sip_core::{Name, NameAddr, Uri, Via};
use std::net::IpAddr;

/// Finds the homes of messages.
#[derive(Debug)]
pub(super) struct Placement {
    access: AccessSide,
    /// What makes a telephone number of a SIP URI, as the role reads it.
    numbers: NumberPolicy,
    pub(super) aliases: Aliases,
    /// What `;orig` has placed by a field that not every message of its transaction has.
    remembered: Remembered,
    /// A canonical identity being written.
    scratch: Vec<u8>,
}

/// Whether requests from outside the trust domain come from UEs, which are known by their address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessSide {
    /// Nobody registers by address here.
    None,
    /// A P-CSCF.
    Gm,
}

impl Placement {
    pub(super) fn new(access: AccessSide, numbers: NumberPolicy, entropy: &mut Entropy) -> Placement {
        let aliases = Aliases::new(ALIASES_MAX, entropy);
        let remembered = Remembered::new(REMEMBERED_MAX, entropy);
        Placement { access, numbers, aliases, remembered, scratch: Vec::new() }
    }

    /// The home of a message from `remote`; `None` when nothing in it tells.
    pub(super) fn home(
        &mut self,
        key: &TokenKey,
        trust: Trust,
        remote: IpAddr,
        message: &[u8],
    ) -> Option<Bucket> {
        let (start, head) = split_start(message);
        if start.starts_with(b"SIP/2.0 ") {
            let via = fields(head).find_map(|(name, value)| name.is(b"via", b"v").then_some(value))?;
            // One that is not ours matches nothing in any shard.
            return Via::parse(first_value(via)).ok()?.branch().and_then(BranchId::read).map(|id| id.bucket);
        }
        if let Some(bucket) = self.home_of_sender(key, trust, remote) {
            return Some(bucket);
        }
        let mut words = start.split(|byte| *byte == b' ');
        let (method, request_uri) = (words.next()?, words.next()?);
        let is_register = method == b"REGISTER";
        let (mut route, mut to, mut call_id) = (None, None, None);
        let (mut via, mut served, mut asserted) = (None, None, None);
        for (name, value) in fields(head) {
            if name.is(b"route", b"") && route.is_none() {
                route = Some(value);
                if let Some(bucket) = token_of_route(key, value) {
                    return Some(bucket);
                }
            } else if name.is(b"to", b"t") {
                to = to.or(Some(value));
            } else if name.is(b"call-id", b"i") {
                call_id = call_id.or(Some(value));
            } else if name.is(b"via", b"v") {
                via = via.or(Some(value));
            } else if name.is(b"p-served-user", b"") {
                served = served.or(Some((Name::PServedUser, value)));
            } else if name.is(b"p-asserted-identity", b"") {
                asserted = asserted.or(Some((Name::PAssertedIdentity, value)));
            }
        }
        if route.is_some_and(is_originating)
            && let Some(bucket) = self.home_of_originating(key, via, served.or(asserted))
        {
            return Some(bucket);
        }
        let request_uri = Uri::parse(request_uri).ok();
        if let Some(bucket) = request_uri.as_ref().and_then(|uri| token_of(key, uri)) {
            return Some(bucket);
        }
        let to = || Uri::parse(NameAddr::parse(Name::To, to?).ok()?.uri()).ok();
        let named = if is_register { to() } else { request_uri };
        named
            .and_then(|uri| self.home_of_identity(key, &uri))
            .or_else(|| call_id.map(|call_id| key.bucket(call_id)))
    }

    /// The home of whatever a UE sends; `None` for anybody else.
    pub(super) fn home_of_sender(&self, key: &TokenKey, trust: Trust, remote: IpAddr) -> Option<Bucket> {
        let is_ue = self.access == AccessSide::Gm && trust == Trust::Outside;
        is_ue.then(|| key.bucket_of_address(remote))
    }

    /// Where a request is served that an application server sends for a user (TS 24.229 §5.7.1), or its ACK or CANCEL.
    fn home_of_originating(
        &mut self,
        key: &TokenKey,
        via: Option<&[u8]>,
        user: Option<(Name, &[u8])>,
    ) -> Option<Bucket> {
        let transaction = key.hash(Via::parse(first_value(via?)).ok()?.branch()?);
        let Some((name, value)) = user else { return self.remembered.home(transaction) };
        let uri = Uri::parse(NameAddr::parse(name, first_value(value)).ok()?.uri()).ok()?;
        let home = self.home_of_identity(key, &uri)?;
        self.remembered.insert(transaction, home);
        Some(home)
    }

    /// Where an identity is served; `None` for a URI that names nobody.
    fn home_of_identity(&mut self, key: &TokenKey, uri: &Uri<'_>) -> Option<Bucket> {
        match uri {
            Uri::Sip(SipUri { user: Some(_), .. }) | Uri::Tel(_) => {}
            _ => return None,
        }
        self.scratch.clear();
        uri.canonical_aor(&mut self.scratch);
        let identity = key.hash(&self.scratch);
        if let Some(owner) = self.aliases.owner(identity) {
            return Some(owner);
        }
        // The role looks for a number where nobody has the URI itself.
        let identity = if self.write_number(uri) { key.hash(&self.scratch) } else { identity };
        Some(self.aliases.owner(identity).unwrap_or(TokenKey::bucket_of(identity)))
    }

    /// Puts the tel URI that `uri` means into the scratch, where it means another one than itself.
    fn write_number(&mut self, uri: &Uri<'_>) -> bool {
        match uri {
            Uri::Tel(tel) if tel.is_global() => return false,
            Uri::Tel(_) => {}
            Uri::Sip(sip) => {
                let is_phone =
                    sip.params.get(b"user").is_some_and(|user| user.eq_ignore_ascii_case(b"phone"));
                let home = self.numbers.home_domain.as_bytes();
                let is_home = sip.host.name().is_some_and(|name| name.eq_ignore_ascii_case(home));
                if !is_phone || !is_home {
                    return false;
                }
                let user = sip.user.unwrap_or_default();
                if let Some(digits) = user.strip_prefix(b"+")
                    && digits.iter().all(u8::is_ascii_digit)
                {
                    // By far the most: no policy is needed for them.
                    let is_number = (3..=15).contains(&digits.len());
                    if is_number {
                        self.scratch.clear();
                        self.scratch.extend_from_slice(b"tel:");
                        self.scratch.extend_from_slice(user);
                    }
                    return is_number;
                }
            }
            Uri::Urn(_) | Uri::Other { .. } => return false,
        }
        let Number::Global(number) = self.numbers.number(uri) else { return false };
        self.scratch.clear();
        self.scratch.extend_from_slice(number.tel_uri().as_bytes());
        true
    }
}

/// The bucket of the token in the first Route, where it is one of ours.
fn token_of_route(key: &TokenKey, value: &[u8]) -> Option<Bucket> {
    let route = NameAddr::parse(Name::Route, first_value(value)).ok()?;
    token_of(key, &route.parsed_uri().ok()?)
}

/// Whether the first Route is marked by `;orig`.
fn is_originating(value: &[u8]) -> bool {
    let route = NameAddr::parse(Name::Route, first_value(value));
    route.is_ok_and(|route| route.parsed_uri().is_ok_and(|uri| uri.param(b"orig").is_some()))
}

/// The bucket of a token of ours in the user part.
fn token_of(key: &TokenKey, uri: &Uri<'_>) -> Option<Bucket> {
    key.open(uri.user()?).map(|(bucket, _)| bucket)
}

/// Start line and header of a message; lone line feeds end lines too.
fn split_start(message: &[u8]) -> (&[u8], &[u8]) {
    let from = message.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(message.len());
    let message = &message[from..];
    let end = memchr::memchr(b'\n', message).unwrap_or(message.len());
    let start = &message[..end];
    (start.strip_suffix(b"\r").unwrap_or(start), message.get(end + 1..).unwrap_or_default())
}

/// The name of a header field, in its own case.
#[derive(Clone, Copy, Debug)]
struct FieldName<'m>(&'m [u8]);

impl FieldName<'_> {
    fn is(self, long: &[u8], compact: &[u8]) -> bool {
        self.0.eq_ignore_ascii_case(long) || self.0.eq_ignore_ascii_case(compact)
    }
}

/// The fields of a header, folds kept in their values; ends at the empty line.
fn fields(head: &[u8]) -> impl Iterator<Item = (FieldName<'_>, &[u8])> {
    let mut rest = head;
    std::iter::from_fn(move || {
        loop {
            let mut end = memchr::memchr(b'\n', rest)?;
            if rest[..end].is_empty() || &rest[..end] == b"\r" {
                return None;
            }
            while rest.get(end + 1).is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
                end += 1 + memchr::memchr(b'\n', &rest[end + 1..])?;
            }
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if let Some(colon) = memchr::memchr(b':', line) {
                return Some((FieldName(line[..colon].trim_ascii_end()), line[colon + 1..].trim_ascii()));
            }
        }
    })
}

/// The first value of a list: up to a comma outside of quotes and angle brackets.
fn first_value(values: &[u8]) -> &[u8] {
    let (mut is_quoted, mut is_escaped, mut is_uri) = (false, false, false);
    for (at, byte) in values.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' if !is_uri => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'<' => is_uri = true,
            b'>' => is_uri = false,
            b',' if !is_uri => return values[..at].trim_ascii_end(),
            _ => {}
        }
    }
    values
}

/// Identities that are served elsewhere than in their own bucket, at most: some 28 octets each, in every shard.
const ALIASES_MAX: usize = 1 << 24;

/// Transactions of application servers that are remembered, some 32 octets each: a hundred a second for as long as a
/// transaction of an INVITE may last.
const REMEMBERED_MAX: usize = 1 << 15;

#[cfg(test)]
mod tests;
