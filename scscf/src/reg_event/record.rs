//! The durable form of a subscription: what a restarted S-CSCF needs to keep what it has promised.
//!
//! One record per subscription, written with each answer to a SUBSCRIBE and not with each NOTIFY: how far CSeq and version
//! have come since is not known after a restart, and both go on from numbers above ([`beyond`]).

use super::subscription::{Subscription, SubscriptionId};
use crate::registrar::registrations::RegistrationId;
use crate::registrar::restoration_info::{Watcher, beyond};
use crate::stored::{number, put, read_number, take};
use ambient::{Instant, Now, Wall};
use cscf::bucket::Bucket;
use cscf::identity::Impu;
use cscf::query::Record;
use sip_core::dialog::{Dialog, DialogParts};

/// The first byte of every key of ours.
pub const KEY_SUBSCRIPTION: u8 = b's';
/// The form below.
const VERSION: u8 = 1;
/// More proxies than that do not stand in a route set that we keep.
const ROUTES_MAX: u64 = 64;

/// A subscription as it was stored.
#[derive(Debug)]
pub struct Stored {
    /// Its id.
    pub id: SubscriptionId,
    /// What it watches.
    pub impu: Impu,
    /// The bucket where that is served.
    pub home: Bucket,
    /// When it ends.
    pub ends: Wall,
    /// Its dialog.
    pub dialog: Dialog,
    /// Our Contact in it.
    pub contact: String,
    /// Who has it.
    pub watcher: Watcher,
    /// The `id` of its Event.
    pub event_id: Option<Box<[u8]>>,
    /// The version of the next document.
    pub version: u32,
}

/// The record of a subscription.
pub fn of(id: SubscriptionId, subscription: &Subscription, ends: Instant, home: Bucket, now: Now) -> Record {
    let DialogParts { call_id, local, remote, local_sequence, remote_sequence, route_set, remote_target } =
        subscription.dialog.parts();
    let mut value = vec![VERSION, subscription.watcher as u8];
    for part in [subscription.impu.as_str().as_bytes(), call_id, local, remote, remote_target] {
        put(&mut value, part);
    }
    put(&mut value, subscription.contact.as_bytes());
    // An empty id is none.
    put(&mut value, subscription.event_id.as_deref().unwrap_or_default());
    let ends = now.wall + ends.since(now.instant);
    for part in [
        u64::from(home.number()),
        ends.as_millis(),
        u64::from(local_sequence),
        // One more than the value; zero: none.
        remote_sequence.map_or(0, |sequence| u64::from(sequence) + 1),
        u64::from(subscription.version()),
        route_set.len() as u64,
    ] {
        number(&mut value, part);
    }
    route_set.iter().for_each(|route| put(&mut value, route));
    Record { key: key(id), value: Some(value) }
}

/// The record that removes a subscription.
pub fn gone(id: SubscriptionId) -> Record {
    Record { key: key(id), value: None }
}

/// The subscription that a key names.
pub fn named(key: &[u8]) -> Option<SubscriptionId> {
    let id = key.strip_prefix(&[KEY_SUBSCRIPTION])?;
    Some(SubscriptionId(u64::from_be_bytes(id.try_into().ok()?)))
}

/// Reads a record back; `None` when it is not one of ours or is damaged.
pub fn read(record: &Record, now: Wall) -> Option<Stored> {
    let id = named(&record.key)?;
    let (&[version, watcher], rest) = record.value.as_deref()?.split_first_chunk::<2>()?;
    if version != VERSION {
        return None;
    }
    let watcher =
        [Watcher::User, Watcher::Proxy, Watcher::Server].into_iter().find(|known| *known as u8 == watcher)?;
    let mut rest = rest;
    let impu = Impu::parse(take(&mut rest)?)?;
    let [call_id, local, remote, remote_target] =
        [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?, take(&mut rest)?];
    let contact = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
    let event_id = Some(take(&mut rest)?).filter(|id| !id.is_empty()).map(Box::from);
    let home = Bucket::new(u16::try_from(read_number(&mut rest)?).ok()?);
    let ends = Wall::from_millis(read_number(&mut rest)?);
    let local_sequence = u32::try_from(read_number(&mut rest)?).ok()?.max(beyond(now));
    let remote_sequence = u32::try_from(read_number(&mut rest)?).ok()?.checked_sub(1);
    let version = u32::try_from(read_number(&mut rest)?).ok()?.max(beyond(now));
    let routes = Some(read_number(&mut rest)?).filter(|routes| *routes <= ROUTES_MAX)?;
    let route_set = (0..routes).map(|_| take(&mut rest)).collect::<Option<Vec<_>>>()?;
    let parts =
        DialogParts { call_id, local, remote, local_sequence, remote_sequence, route_set, remote_target };
    let dialog = Dialog::of_parts(parts).ok()?;
    rest.is_empty().then_some(Stored { id, impu, home, ends, dialog, contact, watcher, event_id, version })
}

impl Stored {
    /// The subscription, to a registration that stands.
    pub fn of_registration(self, registration: RegistrationId) -> Subscription {
        let mut subscription = Subscription::new(
            self.dialog,
            self.contact,
            (registration, self.impu),
            self.watcher,
            self.event_id,
        );
        subscription.go_on_from(self.version);
        subscription
    }
}

fn key(SubscriptionId(number): SubscriptionId) -> Vec<u8> {
    [&[KEY_SUBSCRIPTION][..], &number.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registrar::implicit_set::tests::{identity, set};
    use crate::registrar::registrations::{Registration, Registrations, State};
    use std::time::Duration;

    fn any_id() -> RegistrationId {
        let alice = set(vec![identity("sip:alice@h")]);
        let alice = Registration::new(alice, State::Registered, Bucket::new(5)).expect("an identity");
        Registrations::default().insert(alice)
    }

    const NOW: Now = Now { instant: Instant::from_micros(7), wall: Wall::from_millis(1_700_000_000_000) };

    fn subscription() -> Subscription {
        let dialog = Dialog::of_parts(DialogParts {
            call_id: b"c",
            local: b"<sip:alice@h>;tag=n",
            remote: b"\"W\" <sip:w@h>;tag=w",
            local_sequence: 3,
            remote_sequence: Some(8),
            route_set: vec![b"<sip:p;lr>", b"<sip:s;lr>"],
            remote_target: b"sip:w@10.0.0.1",
        })
        .expect("a dialog");
        let impu = Impu::parse(b"sip:alice@h").expect("an identity");
        let event_id = Some(Box::from(&b"7"[..]));
        let contact = "sip:token@scscf.h".to_owned();
        let mut subscription = Subscription::new(dialog, contact, (any_id(), impu), Watcher::Proxy, event_id);
        subscription.next_version();
        subscription
    }

    fn written() -> Record {
        let ends = NOW.instant + Duration::from_secs(600);
        of(SubscriptionId(77), &subscription(), ends, Bucket::new(5), NOW)
    }

    #[test]
    fn a_subscription_is_read_back_and_goes_on_above_all_numbers_that_it_may_have_used() {
        let written = subscription();
        let record = self::written();
        let later = NOW.wall + Duration::from_secs(100);
        let stored = read(&record, later).expect("a subscription");
        assert_eq!(
            (stored.id, stored.home, stored.ends),
            (SubscriptionId(77), Bucket::new(5), NOW.wall + Duration::from_secs(600))
        );
        assert_eq!(stored.version, 1_700_000_100);
        let mut read = stored.of_registration(any_id());
        assert_eq!(read.next_version(), 1_700_000_100);
        assert_eq!(
            (read.watcher, &read.event_id, &read.impu),
            (Watcher::Proxy, &written.event_id, &written.impu)
        );
        let (read, written) = (read.dialog.parts(), written.dialog.parts());
        assert_eq!(read, DialogParts { local_sequence: 1_700_000_100, ..written });
        // A clock that was set back does not count.
        let stored = super::read(&record, Wall::from_millis(0)).expect("a subscription");
        assert_eq!((stored.version, stored.dialog.local_sequence()), (1, 3));
    }

    #[test]
    fn a_damaged_or_foreign_record_is_not_read() {
        let record = written();
        let value = record.value.clone().expect("a value");
        for length in 0..value.len() {
            let cut = Record { key: record.key.clone(), value: Some(value[..length].to_vec()) };
            assert!(read(&cut, NOW.wall).is_none(), "cut to {length}");
        }
        assert!(read(&Record { key: b"r7".to_vec(), ..record.clone() }, NOW.wall).is_none());
        assert!(read(&gone(SubscriptionId(77)), NOW.wall).is_none());
        assert_eq!(named(&gone(SubscriptionId(77)).key), Some(SubscriptionId(77)));
    }
}
