//! The durable form of a registration: what a restarted S-CSCF needs to serve on.
//!
//! One record per implicit registration set. Its first byte is the version of the form; times are wall time, so that a
//! binding that ran out while the process was down is seen to have done so.

use super::binding::{Binding, Texts};
use super::implicit_set::{Details, Identity, ImplicitSet};
use super::registrations::{Registration, Registrations, State};
use super::services::Services;
use super::shared::Shared;
use crate::criteria::SharedSets;
use crate::stored::{number, put, read_number, take};
use ambient::{Instant, Now, Wall};
use cscf::bucket::Bucket;
use cscf::identity::Impi;
use cscf::query::Record;
use cscf::user_data::{IdentityType, PublicIdentity};
use diameter_client::cx::ChargingInformation;
use smallvec::SmallVec;
use std::num::NonZeroU32;
use std::sync::Arc;

/// The first byte of every key of ours.
const KEY_REGISTRATION: u8 = b'r';
/// Beside the preference of a contact, which is far below: its UE has GRUUs, and since which CSeq follows.
const HAS_GRUUS_SINCE: u64 = 1 << 17;
/// The same as it was written before that was told: since the last CSeq at the latest.
const HAS_GRUU: u64 = 1 << 16;
/// The form below.
const VERSION: u8 = 2;

/// The record of a registration as it stands.
pub fn of(registration: &Registration, now: Now) -> Record {
    let set = &registration.set;
    let documents: usize = set.services().iter().map(|services| services.document().len()).sum();
    let mut value = Vec::with_capacity(documents + 1024);
    value.push(VERSION);
    put(&mut value, set.private_id.as_str().as_bytes());
    number(&mut value, set.services().len() as u64);
    for services in set.services() {
        put(&mut value, services.document().as_bytes());
    }
    number(&mut value, set.identities().len() as u64);
    for identity in set.identities() {
        put_identity(&mut value, identity);
    }
    let charging = registration.charging.as_deref();
    for function in [
        charging.and_then(|charging| charging.primary_ecf.as_deref()),
        charging.and_then(|charging| charging.secondary_ecf.as_deref()),
        charging.and_then(|charging| charging.primary_ccf.as_deref()),
        charging.and_then(|charging| charging.secondary_ccf.as_deref()),
    ] {
        put(&mut value, function.unwrap_or_default().as_bytes());
    }
    number(&mut value, registration.bindings.len() as u64);
    for binding in &registration.bindings {
        put_binding(&mut value, binding, now);
    }
    number(&mut value, u64::from(registration.home.number()));
    Record { key: key(registration), value: Some(value) }
}

/// The record that removes a registration.
pub fn gone(registration: &Registration) -> Record {
    Record { key: key(registration), value: None }
}

/// Reads a record back; `None` when it is not one of ours or is damaged. Services that are in `known` are not read again.
pub fn read(record: &Record, known: &Shared<Services>, sets: &SharedSets, now: Now) -> Option<Registration> {
    if record.key.first() != Some(&KEY_REGISTRATION) {
        return None;
    }
    let (&version, rest) = record.value.as_deref()?.split_first()?;
    if version != VERSION {
        return None;
    }
    let mut rest = rest;
    let private_id = Impi::new(text(take(&mut rest)?)?);
    let mut services = SmallVec::new();
    for _ in 0..read_number(&mut rest)? {
        let document = std::str::from_utf8(take(&mut rest)?).ok()?;
        services.push(match known.get(&Services::named(document)) {
            Some(known) => known,
            None => Arc::new(Services::read(document, sets)?),
        });
    }
    let mut identities = Vec::new();
    for _ in 0..read_number(&mut rest)? {
        identities.push(read_identity(&mut rest)?);
    }
    let set = ImplicitSet::of_parts(private_id, identities, services)?;
    let mut registration = Registration::new(set, State::Registered, Bucket::new(0))?;
    let mut function = || some_text(&mut rest);
    let charging = ChargingInformation {
        primary_ecf: function()?,
        secondary_ecf: function()?,
        primary_ccf: function()?,
        secondary_ccf: function()?,
    };
    registration.charging = charging.has_primary().then(|| Arc::new(charging));
    for _ in 0..read_number(&mut rest)? {
        registration.bindings.push(read_binding(&mut rest, now)?);
    }
    if registration.ordinary().next().is_none() {
        registration.state = State::Unregistered;
    }
    registration.home = Bucket::new(u16::try_from(read_number(&mut rest)?).ok()?);
    registration.named_by(record.key.get(1..)?)?;
    rest.is_empty().then_some(registration)
}

/// The record that brings the store up to date with what stands: what a failed write wanted is outdated by the time
/// that it is tried again.
pub fn anew(failed: &Record, registrations: &Registrations, now: Now) -> Record {
    let named = failed.key.split_first().filter(|(kind, _)| **kind == KEY_REGISTRATION);
    let key = named.and_then(|(_, key)| std::str::from_utf8(key).ok());
    let standing = key.and_then(|key| registrations.by_key(key));
    match standing.filter(|registration| !registration.bindings.is_empty()) {
        Some(registration) => of(registration, now),
        None => Record { key: failed.key.clone(), value: None },
    }
}

fn key(registration: &Registration) -> Vec<u8> {
    [&[KEY_REGISTRATION], registration.key().as_bytes()].concat()
}

fn put_identity(value: &mut Vec<u8>, identity: &Identity) {
    put(value, identity.as_str().as_bytes());
    value.extend([u8::from(identity.is_barred), identity.identity_type as u8]);
    value.extend(identity.profile().to_be_bytes());
    let Some(details) = identity.details() else { return value.push(0) };
    value.push(1);
    for part in
        [&details.wildcarded_psi, &details.wildcarded_impu, &details.display_name, &details.alias_group]
    {
        put(value, part.as_deref().unwrap_or_default().as_bytes());
    }
    // One more than the value; zero: none.
    for part in [details.service_priority_level, details.max_simultaneous_registrations] {
        number(value, part.map_or(0, |part| u64::from(part) + 1));
    }
}

fn read_identity(rest: &mut &[u8]) -> Option<Identity> {
    let identity = text(take(rest)?)?;
    let ([is_barred, kind, high, low, has_details], left) = rest.split_first_chunk::<5>()?;
    *rest = left;
    let identity_type = [
        IdentityType::DistinctImpu,
        IdentityType::DistinctPsi,
        IdentityType::WildcardedPsi,
        IdentityType::NonDistinctImpu,
        IdentityType::WildcardedImpu,
    ]
    .into_iter()
    .find(|known| *known as u8 == *kind)?;
    let details = match has_details {
        0 => Details::default(),
        _ => Details {
            wildcarded_psi: some_text(rest)?,
            wildcarded_impu: some_text(rest)?,
            display_name: some_text(rest)?,
            alias_group: some_text(rest)?,
            service_priority_level: u32::try_from(read_number(rest)?).ok()?.checked_sub(1),
            max_simultaneous_registrations: u32::try_from(read_number(rest)?).ok()?.checked_sub(1),
        },
    };
    let identity = PublicIdentity {
        identity,
        is_barred: *is_barred != 0,
        identity_type,
        wildcarded_psi: details.wildcarded_psi,
        wildcarded_impu: details.wildcarded_impu,
        display_name: details.display_name,
        alias_group: details.alias_group,
        service_priority_level: details.service_priority_level,
        max_simultaneous_registrations: details.max_simultaneous_registrations,
    };
    Some(Identity::new(identity, u16::from_be_bytes([*high, *low])))
}

fn put_binding(value: &mut Vec<u8>, binding: &Binding, now: Now) {
    let Texts { impi, uri, params, instance, call_id, path } = binding.texts();
    for part in [impi, uri, params, instance, call_id, path] {
        put(value, part);
    }
    // Who has no GRUUs is written as ever.
    number(value, u64::from(binding.q) | if binding.has_gruu() { HAS_GRUUS_SINCE } else { 0 });
    if let Some(since) = binding.gruus_since {
        number(value, u64::from(since));
    }
    // Zero: none. A reg-id is at least 1 (RFC 5626 §4.2.1).
    number(value, binding.reg_id.map_or(0, |reg_id| u64::from(reg_id.get())));
    number(value, u64::from(binding.cseq));
    number(value, (now.wall + binding.expires_at.since(now.instant)).as_millis());
}

fn read_binding(rest: &mut &[u8], now: Now) -> Option<Binding> {
    let texts = Texts {
        impi: take(rest).filter(|impi| std::str::from_utf8(impi).is_ok())?,
        uri: take(rest)?,
        params: take(rest)?,
        instance: take(rest)?,
        call_id: take(rest)?,
        path: take(rest)?,
    };
    let q = read_number(rest)?;
    let since = match q & HAS_GRUUS_SINCE {
        0 => None,
        _ => Some(u32::try_from(read_number(rest)?).ok()?),
    };
    let (q, has_gruu) = (u16::try_from(q & !(HAS_GRUUS_SINCE | HAS_GRUU)).ok()?, q & HAS_GRUU != 0);
    let reg_id = NonZeroU32::new(u32::try_from(read_number(rest)?).ok()?);
    let cseq = u32::try_from(read_number(rest)?).ok()?;
    let expires_at = expires_at(Wall::from_millis(read_number(rest)?), now);
    let mut binding = Binding::new(texts, q, reg_id, cseq, expires_at);
    binding.gruus_since = since.or(has_gruu.then_some(cseq));
    Some(binding)
}

/// A stored moment on the running clock; one that has passed is now.
fn expires_at(stored: Wall, now: Now) -> Instant {
    now.instant + stored.since(now.wall)
}

fn text(field: &[u8]) -> Option<String> {
    String::from_utf8(field.to_vec()).ok()
}

/// A text that may be absent, and is empty then.
fn some_text(rest: &mut &[u8]) -> Option<Option<String>> {
    Some(Some(text(take(rest)?)?).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::super::implicit_set::tests::{barred, identity, set};
    use super::*;

    fn read(record: &Record, now: Now) -> Option<Registration> {
        super::read(record, &Shared::default(), &SharedSets::default(), now)
    }
    use std::time::Duration;

    fn now(seconds: u64) -> Now {
        Now {
            instant: Instant::from_micros(seconds * 1_000_000),
            wall: Wall::from_millis(1_000_000 + seconds * 1000),
        }
    }

    fn registration() -> Registration {
        let named = PublicIdentity { display_name: Some("Alice".into()), ..identity("sip:alice@home1.net") };
        let set = set(vec![barred("sip:imsi@home1.net"), named]);
        let mut registration = Registration::new(set, State::Registered, Bucket::new(4095)).unwrap();
        registration.charging = Some(Arc::new(ChargingInformation {
            primary_ccf: Some("aaa://ccf.home1.net".into()),
            ..Default::default()
        }));
        let texts = Texts {
            impi: b"alice@home1.net",
            uri: b"sip:alice@10.0.0.1:5060",
            params: b";+g.3gpp.smsip",
            instance: b"<urn:uuid:1>",
            call_id: b"c1",
            path: b"\0\x16<sip:token@pcscf;lr>",
        };
        let expires_at = now(10).instant + Duration::from_secs(600);
        let mut binding = Binding::new(texts, 700, NonZeroU32::new(2), 7, expires_at);
        binding.gruus_since = Some(2);
        registration.bindings.push(binding);
        registration
    }

    #[test]
    fn a_registration_is_read_back_with_the_time_that_is_left() {
        let stored = of(&registration(), now(10));
        // The process that reads it back has a clock of its own, and 100 s have passed outside.
        let restarted = Now { instant: Instant::START, wall: now(110).wall };
        let read = read(&stored, restarted).unwrap();
        let binding = &read.bindings[0];
        assert_eq!(binding.expires_at, Instant::START + Duration::from_secs(500));
        assert_eq!(binding.texts(), registration().bindings[0].texts());
        assert_eq!((binding.q, binding.reg_id, binding.cseq), (700, NonZeroU32::new(2), 7));
        assert_eq!(binding.gruus_since, Some(2));
        assert_eq!(read.set, registration().set);
        assert_eq!(read.charging, registration().charging);
    }

    #[test]
    fn a_binding_that_ran_out_while_nobody_looked_ends_at_once() {
        let stored = of(&registration(), now(10));
        let later = Now { instant: Instant::START, wall: now(10_000).wall };
        assert_eq!(read(&stored, later).unwrap().bindings[0].expires_at, Instant::START);
    }

    #[test]
    fn services_that_are_known_are_shared_and_not_read_again() {
        let mut known = Shared::default();
        let shared = known.share(registration().set.services()[0].clone());
        let sets = SharedSets::default();
        let read = super::read(&of(&registration(), now(10)), &known, &sets, now(10)).unwrap();
        assert!(Arc::ptr_eq(&read.set.services()[0], &shared));
    }

    #[test]
    fn a_damaged_or_foreign_record_is_not_read() {
        let stored = of(&registration(), now(10));
        let value = stored.value.clone().unwrap();
        for length in 0..value.len() {
            let cut = Record { key: stored.key.clone(), value: Some(value[..length].to_vec()) };
            assert!(read(&cut, now(10)).is_none(), "cut to {length}");
        }
        let newer = Record { value: Some([&[VERSION + 1], &value[1..]].concat()), ..stored.clone() };
        assert!(read(&newer, now(10)).is_none());
        assert!(read(&Record { key: b"token".to_vec(), ..stored.clone() }, now(10)).is_none());
        assert!(read(&gone(&registration()), now(10)).is_none());
        assert_eq!(gone(&registration()).key, stored.key);
    }
}
