//! What a NOTIFY tells: the document of RFC 3680 §5 for one registration (TS 24.229 §5.4.2.1.2). Pure.

use super::due::Due;
use crate::registrar::binding::{Binding, Change};
use crate::registrar::gruu::{self, NameSpace};
use crate::registrar::implicit_set::Identity;
use crate::registrar::registrations::Registration;
use ambient::Instant;
use ambient::entropy::KeyedState;
use cscf::reginfo::{ContactEvent, ContactFields, Document, Extent, State};
use std::hash::BuildHasher;

/// A document of this length goes without the parameters of the contacts: a message has a bound, and these can be asked for
/// by OPTIONS.
const OCTETS_WITH_PARAMETERS_MAX: usize = 32 * 1024;
/// No document gets longer than this; a set that is larger is told in part.
const OCTETS_MAX: usize = 56 * 1024;

/// The GRUUs that a document tells of (RFC 5628).
pub struct Gruus<'a> {
    /// From which names of phones are made.
    pub space: NameSpace,
    /// Makes a temporary one of a contact of an identity, for a subscriber who may know it.
    pub temporary: &'a mut dyn FnMut(&Identity, &Binding) -> Option<String>,
}

/// Who is told what of the set: each identity that is not barred, with each contact.
pub fn write(
    version: u32,
    registration: &Registration,
    due: &Due,
    now: Instant,
    mut gruus: Gruus<'_>,
) -> String {
    let whole = written(version, registration, due, now, (Parameters::Told, &mut gruus));
    match whole.len() {
        ..=OCTETS_WITH_PARAMETERS_MAX => whole,
        _ => written(version, registration, due, now, (Parameters::LeftOut, &mut gruus)),
    }
}

/// The last word about a registration of which nothing is known any more but that it has ended.
pub fn ended(version: u32, aor: &str) -> String {
    let mut document = Document::new(version, Extent::Full);
    document.registration(aor, hash(&[aor.as_bytes()]), State::Terminated, |_| {});
    document.end()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameters {
    Told,
    LeftOut,
}

fn written(
    version: u32,
    registration: &Registration,
    due: &Due,
    now: Instant,
    (parameters, gruus): (Parameters, &mut Gruus<'_>),
) -> String {
    let extent = if due.is_all { Extent::Full } else { Extent::Partial };
    let mut document = Document::new(version, extent);
    let state = if registration.ordinary().next().is_none() { State::Terminated } else { State::Active };
    for identity in registration.set.associated() {
        if document.len() > OCTETS_MAX {
            break;
        }
        let aor = identity.as_str();
        let is_explicit = registration.is_explicit(identity);
        document.registration(aor, hash(&[aor.as_bytes()]), state, |contacts| {
            let mut tell = |binding: &Binding, event: ContactEvent| {
                let public = gruu_of(aor, binding, gruus.space);
                // What has ended has no temporary one any more (RFC 5627 §3.2).
                let since = binding.gruus_since.filter(|_| !event.is_end());
                let temporary = since.and_then(|since| Some(((gruus.temporary)(identity, binding)?, since)));
                contacts.contact(&ContactFields {
                    public_gruu: public.as_deref(),
                    temporary_gruu: temporary.as_ref().map(|(gruu, since)| (&**gruu, *since)),
                    ..fields(aor, binding, event, now, parameters)
                });
            };
            if due.is_all {
                for binding in registration.ordinary() {
                    let changed = due.changes.iter().find(|(changed, _)| changed == binding);
                    let change = changed.map_or(Change::Registered, |(_, change)| *change);
                    tell(binding, event(change, is_explicit));
                }
            }
            for (binding, change) in &due.changes {
                if change.is_end() || !due.is_all {
                    tell(binding, event(*change, is_explicit));
                }
            }
        });
    }
    for aor in &due.gone {
        document.registration(aor, hash(&[aor.as_bytes()]), State::Terminated, |contacts| {
            for binding in registration.ordinary() {
                contacts.contact(&fields(aor, binding, ContactEvent::Rejected, now, parameters));
            }
        });
    }
    document.end()
}

fn fields<'a>(
    aor: &str,
    binding: &'a Binding,
    event: ContactEvent,
    now: Instant,
    parameters: Parameters,
) -> ContactFields<'a> {
    let texts = binding.texts();
    let left_s = binding.expires_at.since(now).as_micros().div_ceil(1_000_000);
    ContactFields {
        // Another contact URI is another contact (TS 24.229 §5.4.2.1.2 NOTE).
        id: hash(&[aor.as_bytes(), texts.impi, texts.uri]),
        event,
        expires_s: (!event.is_end()).then(|| u32::try_from(left_s).unwrap_or(u32::MAX)),
        q: (binding.q != 1000).then_some(binding.q),
        call_id: texts.call_id,
        cseq: binding.cseq,
        uri: texts.uri,
        params: if parameters == Parameters::Told { texts.params } else { b"" },
        public_gruu: None,
        temporary_gruu: None,
    }
}

/// The public GRUU of a contact of an identity, where its UE has asked for such (RFC 5628). A number has none.
fn gruu_of(aor: &str, binding: &Binding, space: NameSpace) -> Option<String> {
    (binding.has_gruu() && aor.starts_with("sip:")).then(|| gruu::public(aor, binding, space))
}

/// The words of RFC 3680; an identity that came with another one was not registered, but created.
fn event(change: Change, is_explicit: bool) -> ContactEvent {
    match change {
        Change::Registered if is_explicit => ContactEvent::Registered,
        Change::Registered => ContactEvent::Created,
        Change::Refreshed => ContactEvent::Refreshed,
        Change::Shortened => ContactEvent::Shortened,
        Change::Expired => ContactEvent::Expired,
        Change::Deactivated => ContactEvent::Deactivated,
        Change::Unregistered => ContactEvent::Unregistered,
        Change::Rejected => ContactEvent::Rejected,
    }
}

/// Names an identity or a contact: the same in every document, of every subscription, in every life of this process.
fn hash(parts: &[&[u8]]) -> u64 {
    KeyedState::from_key((0x7265_6769_6e66_6f00, 0)).hash_one(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criteria::SharedSets;
    use crate::registrar::binding::Texts;
    use crate::registrar::implicit_set::ImplicitSet;
    use crate::registrar::registrations;
    use cscf::bucket::Bucket;
    use cscf::reginfo;
    use cscf::user_data;
    use std::time::Duration;

    fn alice(contacts: &[&str]) -> Registration {
        let xml = b"<IMSSubscription><PrivateID>a@h</PrivateID><ServiceProfile><PublicIdentity><BarringIndication>1</BarringIndication>\
            <Identity>sip:imsi@h</Identity></PublicIdentity><PublicIdentity><Identity>sip:alice@h</Identity></PublicIdentity>\
            <PublicIdentity><Identity>tel:+491</Identity></PublicIdentity></ServiceProfile></IMSSubscription>";
        let set = ImplicitSet::new(user_data::parse(xml).expect("user data"), &SharedSets::default())
            .expect("a set");
        let mut alice =
            Registration::new(set, registrations::State::Registered, Bucket::new(1)).expect("an identity");
        alice.bindings = contacts.iter().map(|uri| contact(uri, "")).collect();
        alice
    }

    fn contact(uri: &str, params: &str) -> Binding {
        let texts =
            Texts { impi: b"a@h", uri: uri.as_bytes(), params: params.as_bytes(), ..Texts::default() };
        Binding::new(texts, 1000, None, 1, Instant::START + Duration::from_secs(60))
    }

    fn gruus<'a>(temporary: &'a mut dyn FnMut(&Identity, &Binding) -> Option<String>) -> Gruus<'a> {
        Gruus { space: NameSpace::of("h"), temporary }
    }

    /// Identity, state, and event and URI of each contact, of what is written for alice.
    fn told(registration: &Registration, due: &Due) -> Vec<String> {
        let text = write(0, registration, due, Instant::START, gruus(&mut |_, _| None));
        let reginfo = reginfo::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let line = |registration: &reginfo::Registration| {
            let contacts = registration.contacts.iter();
            let contacts = contacts.map(|contact| format!(" {} {}", contact.event.word(), contact.uri));
            format!("{} {}:{}", registration.aor, registration.state.word(), contacts.collect::<String>())
        };
        reginfo.registrations.iter().map(line).collect()
    }

    #[test]
    fn the_whole_state_is_each_identity_that_is_not_barred_with_each_contact() {
        let due = Due { is_all: true, ..Due::default() };
        assert_eq!(
            told(&alice(&["sip:a", "sip:b"]), &due),
            [
                "sip:alice@h active: registered sip:a registered sip:b",
                "tel:+491 active: created sip:a created sip:b"
            ]
        );
        let mut ended = Due { is_all: true, ..Due::default() };
        ended.changed(&contact("sip:c", ""), Change::Expired);
        assert_eq!(told(&alice(&["sip:a"]), &ended)[0], "sip:alice@h active: registered sip:a expired sip:c");
    }

    #[test]
    fn a_change_is_told_alone_and_the_end_of_all_as_the_end() {
        let mut due = Due::default();
        due.changed(&contact("sip:b", ""), Change::Refreshed);
        assert_eq!(
            told(&alice(&["sip:a", "sip:b"]), &due),
            ["sip:alice@h active: refreshed sip:b", "tel:+491 active: refreshed sip:b"]
        );
        due.changed(&contact("sip:b", ""), Change::Unregistered);
        assert_eq!(told(&alice(&[]), &due)[1], "tel:+491 terminated: unregistered sip:b");
    }

    #[test]
    fn an_identity_that_was_taken_away_ends_and_the_others_stand() {
        let mut due = Due::default();
        due.identities_changed([Box::from("sip:old@h")].into_iter());
        let told = told(&alice(&["sip:a"]), &due);
        assert_eq!(told[0], "sip:alice@h active: registered sip:a");
        assert_eq!(told[2], "sip:old@h terminated: rejected sip:a");
    }

    #[test]
    fn a_contact_has_a_temporary_gruu_where_its_ue_asked_for_some_and_until_it_ends() {
        let mut alice = alice(&["sip:a", "sip:b"]);
        alice.bindings[0].gruus_since = Some(2);
        let mut due = Due { is_all: true, ..Due::default() };
        let mut gone = contact("sip:c", "");
        gone.gruus_since = Some(7);
        due.changed(&gone, Change::Expired);
        let mut named = Vec::new();
        let mut temporary = |identity: &Identity, binding: &Binding| {
            named.push(format!("{} {}", identity.as_str(), String::from_utf8_lossy(binding.uri())));
            identity.as_str().starts_with("sip:").then(|| "sip:t@h;gr".to_owned())
        };
        let text = write(0, &alice, &due, Instant::START, gruus(&mut temporary));
        assert_eq!(text.matches("<gr:temp-gruu").count(), 1, "{text}");
        assert!(text.contains(" uri=\"sip:t@h;gr\" first-cseq=\"2\"/>"), "{text}");
        assert_eq!(named, ["sip:alice@h sip:a", "tel:+491 sip:a"]);
    }

    #[test]
    fn a_set_that_is_too_large_is_told_without_parameters() {
        let due = Due { is_all: true, ..Due::default() };
        let mut alice = alice(&[]);
        let params = format!(";+g.long=\"{}\"", "x".repeat(2000));
        alice.bindings = (0..10).map(|number| contact(&format!("sip:{number}"), &params)).collect();
        let text = write(0, &alice, &due, Instant::START, gruus(&mut |_, _| None));
        assert!(text.len() < OCTETS_WITH_PARAMETERS_MAX && !text.contains("g.long"), "{}", text.len());
        assert!(text.contains("<uri>sip:9</uri>"));
    }
}
