//! Records: the durable form of what changes while an HSS runs.
//!
//! Text, a line for each fact, so that a person can read a store. The first line is the version. Values that may hold
//! any octet are in hexadecimal.

use crate::registration::{Registration, Server};
use crate::subscriber::Subscriber;
use crate::subscriber_record::{read_subscriber, write_subscriber};
use diameter_client::cx::{AuthScheme, RestorationInfo, ScscfRestorationInfo, SubscriptionInfo};
use ims_aka::Sqn;
use std::fmt::Write;

/// One change that a store makes durable; those of one batch all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HssRecord {
    /// Dynamic data under a key; `None` removes it.
    Dynamic {
        /// From [`registration_key`] or [`sqn_key`].
        key: String,
        /// The record.
        value: Option<Vec<u8>>,
    },
    /// A subscription that was added or replaced.
    Subscriber(Box<Subscriber>),
    /// A subscription that was removed, by its name.
    RemoveSubscriber(String),
}

impl HssRecord {
    /// The key and the value under which a store of keys and values keeps it; no value removes it.
    pub fn into_stored(self) -> (String, Option<Vec<u8>>) {
        match self {
            HssRecord::Dynamic { key, value } => (key, value),
            HssRecord::Subscriber(subscriber) => {
                (subscriber_key(&subscriber.name), Some(write_subscriber(&subscriber)))
            }
            HssRecord::RemoveSubscriber(name) => (subscriber_key(&name), None),
        }
    }

    /// Reads [`HssRecord::into_stored`]; `None` when a subscription is damaged.
    pub fn from_stored(key: String, value: Option<Vec<u8>>) -> Option<HssRecord> {
        let Some(name) = key.strip_prefix(subscriber_key("").as_str()) else {
            return Some(HssRecord::Dynamic { key, value });
        };
        let Some(value) = value else {
            return Some(HssRecord::RemoveSubscriber(name.to_owned()));
        };
        let subscriber = read_subscriber(&value).filter(|subscriber| subscriber.name == name)?;
        Some(HssRecord::Subscriber(Box::new(subscriber)))
    }
}

/// The key of a subscription.
pub fn subscriber_key(name: &str) -> String {
    format!("subscriber/{name}")
}

/// The key of the registration of a subscription.
pub fn registration_key(name: &str) -> String {
    format!("registration/{name}")
}

/// The key of the sequence number of a private identity.
pub fn sqn_key(impi: &str) -> String {
    format!("sqn/{impi}")
}

/// The first line of every record.
const VERSION: &str = "1";

/// The record of a sequence number: nothing above it was used.
pub fn write_sqn(sqn: Sqn) -> Vec<u8> {
    format!("{VERSION}\n{sqn}\n").into_bytes()
}

/// Reads [`write_sqn`].
pub fn read_sqn(record: &[u8]) -> Option<Sqn> {
    let text = std::str::from_utf8(record).ok()?;
    let digits = text.strip_prefix(VERSION)?.strip_prefix('\n')?.trim_end();
    Sqn::new(u64::from_str_radix(digits, 16).ok()?)
}

/// The record of a registration; `None` when there is nothing to keep.
///
/// An authentication that is pending with a set that is served is not written: nothing depends on it.
pub fn write_registration(registration: &Registration) -> Option<Vec<u8>> {
    let server = registration.server.as_ref()?;
    let mut text = format!("{VERSION}\n");
    line(&mut text, "server", &[&server.name, &server.host, &server.realm]);
    if registration.is_reassignment_pending {
        line(&mut text, "reassignment-pending", &[]);
    }
    for (position, set) in &registration.sets {
        let position = position.to_string();
        for (impi, restoration) in &set.registered {
            line(&mut text, "registered", &[&position, impi]);
            if let Some(info) = restoration {
                write_restoration(&mut text, &position, impi, info);
            }
        }
        if set.is_unregistered_served {
            line(&mut text, "unregistered", &[&position]);
        }
        if set.registered.is_empty() && !set.is_unregistered_served {
            set.pending.iter().for_each(|impi| line(&mut text, "pending", &[&position, impi]));
        }
    }
    Some(text.into_bytes())
}

/// Reads [`write_registration`]; `None` when it is damaged or of an unknown version.
pub fn read_registration(record: &[u8]) -> Option<Registration> {
    let text = std::str::from_utf8(record).ok()?;
    let mut lines = text.lines();
    if lines.next()? != VERSION {
        return None;
    }
    let mut registration = Registration::default();
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            ["server", name, host, realm] => {
                let (name, host, realm) = (name.to_string(), host.to_string(), realm.to_string());
                registration.server = Some(Server { name, host, realm });
            }
            ["reassignment-pending"] => registration.is_reassignment_pending = true,
            ["registered", set, impi] => {
                registration.set_mut(set.parse().ok()?).registered.insert(impi.to_string(), None);
            }
            ["unregistered", set] => registration.set_mut(set.parse().ok()?).is_unregistered_served = true,
            ["pending", set, impi] => {
                registration.set_mut(set.parse().ok()?).pending.insert(impi.to_string());
            }
            ["restoration", set, impi, user_name, time_out, scheme] => {
                let info = ScscfRestorationInfo {
                    user_name: user_name.to_string(),
                    registrations: Vec::new(),
                    registration_time_out: number_if(time_out)?,
                    scheme: (!scheme.is_empty()).then(|| AuthScheme::from_text(scheme)),
                };
                *registration.set_mut(set.parse().ok()?).registered.get_mut(*impi)? = Some(info);
            }
            ["contact", set, impi, rest @ ..] => {
                let set = registration.set_mut(set.parse().ok()?);
                set.registered.get_mut(*impi)?.as_mut()?.registrations.push(read_contact(rest)?);
            }
            _ => return None,
        }
    }
    // Who is served, or about to be, has a server.
    registration.server.is_some().then_some(registration)
}

fn write_restoration(text: &mut String, set: &str, impi: &str, info: &ScscfRestorationInfo) {
    let time_out = info.registration_time_out.map(|time| time.to_string()).unwrap_or_default();
    let scheme = info.scheme.as_ref().map(AuthScheme::as_str).unwrap_or_default();
    line(text, "restoration", &[set, impi, &info.user_name, &time_out, scheme]);
    for contact in &info.registrations {
        let cseq = contact.initial_cseq.map(|cseq| cseq.to_string()).unwrap_or_default();
        let call_id = contact.call_id.as_deref().map(hex).unwrap_or_default();
        let fields = [hex(&contact.path), hex(&contact.contact), cseq, call_id];
        let [ue, pcscf] = [&contact.subscription, &contact.pcscf_subscription].map(write_subscription);
        let mut all = vec![set, impi];
        all.extend(fields.iter().map(String::as_str));
        all.extend([ue.as_str(), pcscf.as_str()]);
        line(text, "contact", &all);
    }
}

fn read_contact(fields: &[&str]) -> Option<RestorationInfo> {
    let [path, contact, cseq, call_id, ue, pcscf] = fields else { return None };
    Some(RestorationInfo {
        path: unhex(path)?,
        contact: unhex(contact)?,
        initial_cseq: number_if(cseq)?,
        call_id: if call_id.is_empty() { None } else { Some(unhex(call_id)?) },
        subscription: read_subscription(ue)?,
        pcscf_subscription: read_subscription(pcscf)?,
    })
}

/// Five values between commas, or nothing at all.
fn write_subscription(subscription: &Option<SubscriptionInfo>) -> String {
    let Some(s) = subscription else { return String::new() };
    [&s.call_id, &s.from, &s.to, &s.record_route, &s.contact].map(|value| hex(value)).join(",")
}

fn read_subscription(field: &str) -> Option<Option<SubscriptionInfo>> {
    if field.is_empty() {
        return Some(None);
    }
    let values = field.split(',').map(unhex).collect::<Option<Vec<_>>>()?;
    let [call_id, from, to, record_route, contact] = <[Vec<u8>; 5]>::try_from(values).ok()?;
    Some(Some(SubscriptionInfo { call_id, from, to, record_route, contact }))
}

/// A field that holds a separator would read back as two; such identities are refused when they are provisioned, and
/// what a peer sends is cleaned here.
pub(crate) fn line(text: &mut String, word: &str, fields: &[&str]) {
    text.push_str(word);
    for field in fields {
        text.push('\t');
        text.extend(field.chars().filter(|c| !c.is_control()));
    }
    text.push('\n');
}

fn number_if(field: &str) -> Option<Option<u32>> {
    if field.is_empty() { Some(None) } else { field.parse().ok().map(Some) }
}

/// Lower-case hexadecimal.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        write!(text, "{octet:02x}").expect("a String takes all that is written");
        text
    })
}

/// Reads [`hex`].
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            let value = |digit: u8| char::from(digit).to_digit(16);
            Some((value(pair[0])? << 4 | value(pair[1])?) as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> Registration {
        let mut registration = Registration {
            server: Some(Server {
                name: "sip:scscf.home1.net:6060".to_owned(),
                host: "scscf.home1.net".to_owned(),
                realm: "home1.net".to_owned(),
            }),
            is_reassignment_pending: true,
            ..Registration::default()
        };
        let subscription =
            SubscriptionInfo { call_id: b"a,b".to_vec(), to: b"t\n".to_vec(), ..Default::default() };
        let contact = RestorationInfo {
            path: b"<sip:p;lr>,\t<sip:q>".to_vec(),
            contact: b"<sip:ue>".to_vec(),
            initial_cseq: Some(7),
            call_id: Some(b"c".to_vec()),
            subscription: Some(subscription),
            pcscf_subscription: None,
        };
        let info = ScscfRestorationInfo {
            user_name: "alice@home1.net".to_owned(),
            registrations: vec![contact, RestorationInfo::default()],
            registration_time_out: Some(9),
            scheme: Some(AuthScheme::SipDigest),
        };
        registration.set_mut(0).registered.insert("alice@home1.net".to_owned(), Some(info));
        registration.set_mut(0).registered.insert("alice2@home1.net".to_owned(), None);
        registration.set_mut(1).is_unregistered_served = true;
        registration.set_mut(2).pending.insert("alice@home1.net".to_owned());
        registration
    }

    #[test]
    fn a_registration_is_read_as_it_was_written() {
        let written = write_registration(&registration()).unwrap();
        assert_eq!(read_registration(&written), Some(registration()));
        assert_eq!(write_registration(&Registration::default()), None);
    }

    #[test]
    fn a_damaged_record_is_refused_and_none_panics() {
        let written = write_registration(&registration()).unwrap();
        for at in 0..written.len() {
            let mut damaged = written.clone();
            damaged[at] = b'\t';
            let _ = read_registration(&damaged);
            let _ = read_registration(&written[..at]);
        }
        assert_eq!(read_registration(b"2\n"), None);
        assert_eq!(read_registration(b"1\nsomething else\n"), None);
        assert_eq!(read_registration(b"1\nregistered\t-1\ta\n"), None);
    }

    #[test]
    fn a_control_character_of_a_peer_cannot_forge_a_line() {
        let mut forged = registration();
        forged.server.as_mut().unwrap().name = "sip:x\nunregistered\t5".to_owned();
        let read = read_registration(&write_registration(&forged).unwrap()).unwrap();
        assert_eq!(read.server_name(), Some("sip:xunregistered5"));
        assert!(!read.sets.contains_key(&5));
    }

    #[test]
    fn a_sequence_number_is_read_as_it_was_written() {
        let sqn = Sqn::from_parts(77, 3);
        assert_eq!(read_sqn(&write_sqn(sqn)), Some(sqn));
        assert_eq!(read_sqn(b"1\nfffffffffffff\n"), None);
        assert_eq!(read_sqn(b"0\n1\n"), None);
    }
}
