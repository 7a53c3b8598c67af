//! The durable form of a registration: what a restarted S-CSCF needs to serve on.
//!
//! One record per implicit registration set. Its first byte is the version of the form; times are wall time, so that a
//! binding that ran out while the process was down is seen to have done so.

use super::binding::{Binding, Contact};
use super::registrations::{Registration, Registrations, State};
use ambient::{Instant, Now, Wall};
use cscf::identity::{Impi, Impu};
use cscf::query::Record;
use cscf::user_data;
use diameter_client::cx::ChargingInformation;

/// The first byte of every key of ours.
const KEY_REGISTRATION: u8 = b'r';
/// The form below.
const VERSION: u8 = 1;

/// The record of a registration as it stands.
pub fn of(registration: &Registration, now: Now) -> Record {
    let mut value = vec![VERSION];
    put(&mut value, user_data::write(&registration.subscription).as_bytes());
    let charging = registration.charging.clone().unwrap_or_default();
    for function in
        [charging.primary_ecf, charging.secondary_ecf, charging.primary_ccf, charging.secondary_ccf]
    {
        put(&mut value, function.unwrap_or_default().as_bytes());
    }
    number(&mut value, registration.bindings.len() as u64);
    for binding in &registration.bindings {
        put_binding(&mut value, binding, now);
    }
    Record { key: key(registration), value: Some(value) }
}

/// The record that removes a registration.
pub fn gone(registration: &Registration) -> Record {
    Record { key: key(registration), value: None }
}

/// Reads a record back; `None` when it is not one of ours or is damaged.
pub fn read(record: &Record, now: Now) -> Option<Registration> {
    if record.key.first() != Some(&KEY_REGISTRATION) {
        return None;
    }
    let (&version, rest) = record.value.as_deref()?.split_first()?;
    if version != VERSION {
        return None;
    }
    let mut rest = rest;
    let subscription = user_data::parse(take(&mut rest)?).ok()?;
    let mut registration = Registration::new(subscription, State::Registered)?;
    let mut function = || Some(Some(text(take(&mut rest)?)?).filter(|name| !name.is_empty()));
    let charging = ChargingInformation {
        primary_ecf: function()?,
        secondary_ecf: function()?,
        primary_ccf: function()?,
        secondary_ccf: function()?,
    };
    registration.charging = charging.has_primary().then_some(charging);
    for _ in 0..read_number(&mut rest)? {
        registration.bindings.push(read_binding(&mut rest, now)?);
    }
    rest.is_empty().then_some(registration)
}

/// The record that brings the store up to date with what stands: what a failed write wanted is outdated by the time
/// that it is tried again.
pub fn anew(failed: &Record, registrations: &Registrations, now: Now) -> Record {
    let named = failed.key.split_first().filter(|(kind, _)| **kind == KEY_REGISTRATION);
    let key = named.and_then(|(_, key)| Impu::parse(key));
    let standing = key.and_then(|key| match failed.value {
        Some(_) => registrations.by_key(&key),
        // Most of these are gone for good: no walk for each.
        None => registrations.find(&key).map(|(_, found)| found).filter(|found| *found.key() == key),
    });
    match standing.filter(|registration| registration.state == State::Registered) {
        Some(registration) => of(registration, now),
        None => Record { key: failed.key.clone(), value: None },
    }
}

fn key(registration: &Registration) -> Vec<u8> {
    let mut key = vec![KEY_REGISTRATION];
    key.extend_from_slice(registration.key().as_str().as_bytes());
    key
}

fn put_binding(value: &mut Vec<u8>, binding: &Binding, now: Now) {
    let Contact { uri, params, q, instance, reg_id, expires_s } = &binding.contact;
    put(value, binding.impi.as_str().as_bytes());
    put(value, uri);
    put(value, params);
    number(value, u64::from(*q));
    put(value, instance.as_deref().unwrap_or_default());
    // Zero: none. A reg-id is at least 1 (RFC 5626 §4.2.1).
    number(value, u64::from(reg_id.unwrap_or(0)));
    number(value, u64::from(*expires_s));
    number(value, binding.path.len() as u64);
    for entry in &binding.path {
        put(value, entry);
    }
    put(value, &binding.call_id);
    number(value, u64::from(binding.cseq));
    number(value, (now.wall + binding.expires_at.since(now.instant)).as_millis());
}

fn read_binding(rest: &mut &[u8], now: Now) -> Option<Binding> {
    Some(Binding {
        impi: Impi::new(text(take(rest)?)?),
        contact: Contact {
            uri: take(rest)?.to_vec(),
            params: take(rest)?.to_vec(),
            q: u16::try_from(read_number(rest)?).ok()?,
            instance: Some(take(rest)?.to_vec()).filter(|instance| !instance.is_empty()),
            reg_id: Some(u32::try_from(read_number(rest)?).ok()?).filter(|reg_id| *reg_id != 0),
            expires_s: u32::try_from(read_number(rest)?).ok()?,
        },
        path: (0..read_number(rest)?).map(|_| take(rest).map(<[u8]>::to_vec)).collect::<Option<_>>()?,
        call_id: take(rest)?.to_vec(),
        cseq: u32::try_from(read_number(rest)?).ok()?,
        expires_at: expires_at(Wall::from_millis(read_number(rest)?), now),
    })
}

/// A stored moment on the running clock; one that has passed is now.
fn expires_at(stored: Wall, now: Now) -> Instant {
    now.instant + stored.since(now.wall)
}

fn put(value: &mut Vec<u8>, field: &[u8]) {
    number(value, field.len() as u64);
    value.extend_from_slice(field);
}

fn number(value: &mut Vec<u8>, number: u64) {
    value.extend_from_slice(&number.to_be_bytes());
}

fn take<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let length = usize::try_from(read_number(rest)?).ok()?;
    let (field, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(field)
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let (number, left) = rest.split_first_chunk::<8>()?;
    *rest = left;
    Some(u64::from_be_bytes(*number))
}

fn text(field: &[u8]) -> Option<String> {
    String::from_utf8(field.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::registrations::tests::{identity, subscription};
    use super::*;
    use std::time::Duration;

    fn now(seconds: u64) -> Now {
        Now {
            instant: Instant::from_micros(seconds * 1_000_000),
            wall: Wall::from_millis(1_000_000 + seconds * 1000),
        }
    }

    fn registration() -> Registration {
        let mut registration =
            Registration::new(subscription(vec![identity("sip:alice@home1.net")]), State::Registered)
                .unwrap();
        registration.charging = Some(ChargingInformation {
            primary_ccf: Some("aaa://ccf.home1.net".into()),
            ..Default::default()
        });
        registration.bindings.push(Binding {
            impi: Impi::new("alice@home1.net"),
            contact: Contact {
                uri: b"sip:alice@10.0.0.1:5060".to_vec(),
                params: b";+g.3gpp.smsip".to_vec(),
                q: 700,
                instance: Some(b"<urn:uuid:1>".to_vec()),
                reg_id: None,
                expires_s: 600,
            },
            path: vec![b"<sip:token@pcscf;lr>".to_vec()],
            call_id: b"c1".to_vec(),
            cseq: 7,
            expires_at: now(10).instant + Duration::from_secs(600),
        });
        registration
    }

    #[test]
    fn a_registration_is_read_back_with_the_time_that_is_left() {
        let stored = of(&registration(), now(10));
        // The process that reads it back has a clock of its own, and 100 s have passed outside.
        let restarted = Now { instant: Instant::START, wall: now(110).wall };
        let read = read(&stored, restarted).unwrap();
        assert_eq!(read.bindings[0].expires_at, Instant::START + Duration::from_secs(500));
        assert_eq!(read.bindings[0].contact, registration().bindings[0].contact);
        assert_eq!(read.bindings[0].path, registration().bindings[0].path);
        assert_eq!(read.subscription, registration().subscription);
        assert_eq!(read.charging, registration().charging);
    }

    #[test]
    fn a_binding_that_ran_out_while_nobody_looked_ends_at_once() {
        let stored = of(&registration(), now(10));
        let later = Now { instant: Instant::START, wall: now(10_000).wall };
        assert_eq!(read(&stored, later).unwrap().bindings[0].expires_at, Instant::START);
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
