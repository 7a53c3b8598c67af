//! A binding as the store keeps it, so that an acknowledged registration outlives a restart.
//!
//! Versioned by its first byte; every text has its length in four bytes before it. Flows and timers are not kept.

use crate::binding::{Binding, BindingId, BoundContact};
use ambient::{Now, Wall};
use cscf::identity::Impu;
use cscf::query::Record;
use cscf::{Hop, Transport};
use smallvec::SmallVec;
use std::io::Write;
use std::net::SocketAddr;

const KEY: &[u8] = b"pcscf/binding/";
/// The first version knew no protection.
const VERSIONS: [u8; 2] = [1, 2];
/// By the number that stands for them.
const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];
/// An address at its longest, as text: IPv6 with a scope and a port.
const ADDRESS_CHARS: usize = 58;

/// A value in the making: the record has it without slack.
type Value = SmallVec<[u8; 512]>;

/// The record of a binding that stands.
pub fn of(binding: &Binding) -> Record {
    let mut value = Value::from_slice(&[
        VERSIONS[1],
        TRANSPORTS.iter().position(|known| *known == binding.hop.transport).unwrap_or(0) as u8,
        u8::from(binding.is_protected),
    ]);
    put_address(&mut value, binding.hop.remote);
    put_address(&mut value, binding.local);
    put(&mut value, binding.aor.as_str().as_bytes());
    put_all(&mut value, &binding.identities);
    put_all(&mut value, &binding.service_route);
    put_count(&mut value, binding.contacts.len());
    for contact in &binding.contacts {
        put(&mut value, contact.uri.as_bytes());
        value.extend_from_slice(&contact.ends_wall.as_millis().to_be_bytes());
    }
    Record { key: key(binding.id), value: Some(value.to_vec()) }
}

/// The record that removes a binding.
pub fn removal(id: BindingId) -> Record {
    Record { key: key(id), value: None }
}

/// The binding of a record, without the contacts that have ended; `None` for a foreign record, a version that this
/// build does not know, or when no contact is left.
pub fn read(record: &Record, now: Now) -> Option<Binding> {
    let id = record.key.strip_prefix(KEY)?.try_into().ok().map(u64::from_be_bytes)?;
    let mut rest = record.value.as_deref()?;
    let version = take(&mut rest, 1)?;
    if !VERSIONS.contains(version.first()?) {
        return None;
    }
    let transport = *TRANSPORTS.get(usize::from(*take(&mut rest, 1)?.first()?))?;
    let is_protected = version == [VERSIONS[1]] && take(&mut rest, 1)? == [1];
    let remote = get(&mut rest)?.parse().ok()?;
    let local = get(&mut rest)?.parse().ok()?;
    let aor = Impu::parse(get(&mut rest)?.as_bytes())?;
    let identities = get_all(&mut rest)?;
    let service_route = get_all(&mut rest)?;
    let mut contacts = Vec::new();
    for _ in 0..get_count(&mut rest)? {
        let uri = get(&mut rest)?.to_owned();
        let ends_wall = Wall::from_millis(u64::from_be_bytes(take(&mut rest, 8)?.try_into().ok()?));
        if ends_wall > now.wall {
            contacts.push(BoundContact { uri, ends: now.instant + ends_wall.since(now.wall), ends_wall });
        }
    }
    let binding = Binding {
        id: BindingId(id),
        aor,
        hop: Hop { transport, remote },
        is_protected,
        local,
        flow: None,
        identities,
        service_route,
        contacts,
        timer: None,
    };
    (!binding.contacts.is_empty()).then_some(binding)
}

fn key(id: BindingId) -> Vec<u8> {
    [KEY, &id.0.to_be_bytes()].concat()
}

fn put(value: &mut Value, text: &[u8]) {
    put_count(value, text.len());
    value.extend_from_slice(text);
}

fn put_address(value: &mut Value, address: SocketAddr) {
    let mut text = [0; ADDRESS_CHARS];
    let mut rest = &mut text[..];
    // The longest address fits.
    let _ = write!(rest, "{address}");
    let left = rest.len();
    put(value, &text[..ADDRESS_CHARS - left]);
}

fn put_all(value: &mut Value, texts: &[String]) {
    put_count(value, texts.len());
    texts.iter().for_each(|text| put(value, text.as_bytes()));
}

fn put_count(value: &mut Value, count: usize) {
    let count = u32::try_from(count)
        .expect("every text is made of a part of a message, which has at most 65535 bytes");
    value.extend_from_slice(&count.to_be_bytes());
}

fn take<'r>(rest: &mut &'r [u8], len: usize) -> Option<&'r [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn get_count(rest: &mut &[u8]) -> Option<usize> {
    take(rest, 4)?.try_into().ok().map(|bytes| u32::from_be_bytes(bytes) as usize)
}

fn get<'r>(rest: &mut &'r [u8]) -> Option<&'r str> {
    let len = get_count(rest)?;
    std::str::from_utf8(take(rest, len)?).ok()
}

fn get_all(rest: &mut &[u8]) -> Option<Vec<String>> {
    (0..get_count(rest)?).map(|_| get(rest).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::tests::binding;
    use ambient::Instant;

    #[test]
    fn a_binding_comes_back_from_its_record() {
        let kept = binding(7, "[2001:db8::1]:5060", "sip:alice@home.net");
        let now = Now { instant: Instant::from_micros(5), wall: Wall::from_millis(400) };
        let back = read(&of(&kept), now).expect("a binding");
        assert_eq!(back.contacts[0].ends, Instant::from_micros(600_005));
        assert_eq!(Binding { contacts: kept.contacts.clone(), ..back }, kept);
    }

    #[test]
    fn a_record_of_the_first_version_is_read_as_unprotected() {
        let kept = Binding { is_protected: true, ..binding(7, "10.0.0.1:5060", "sip:alice@home.net") };
        let record = of(&kept);
        assert!(read(&record, Now::default()).expect("a binding").is_protected);
        let value = record.value.expect("a value");
        let older = Record { key: record.key, value: Some([&[1, value[1]], &value[3..]].concat()) };
        assert!(!read(&older, Now::default()).expect("a binding").is_protected);
    }

    #[test]
    fn what_has_ended_or_is_cut_or_foreign_is_no_binding() {
        let record = of(&binding(7, "10.0.0.1:5060", "sip:alice@home.net"));
        let late = Now { instant: Instant::START, wall: Wall::from_millis(1000) };
        assert_eq!(read(&record, late), None, "ended");
        let value = record.value.clone().expect("a value");
        for len in 0..value.len() {
            let cut = Record { value: Some(value[..len].to_vec()), ..record.clone() };
            assert_eq!(read(&cut, Now::default()), None, "cut at {len}");
        }
        let foreign = Record { key: b"token-key".to_vec(), ..record.clone() };
        assert_eq!(read(&foreign, Now::default()), None);
        assert_eq!(read(&removal(BindingId(7)), Now::default()), None);
        let newer = Record { value: Some([&[3], &value[1..]].concat()), ..record };
        assert_eq!(read(&newer, Now::default()), None);
    }
}
