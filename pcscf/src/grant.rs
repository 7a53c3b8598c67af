//! What a 2xx to REGISTER grants (TS 24.229 §5.2.2.1, RFC 3261 §10.3): from what was asked and what the registrar lists to
//! the bindings that follow. Pure.

use crate::binding::{Binding, BindingId, BoundContact, is_same_contact};
use crate::bindings::Bindings;
use crate::kept::{Kept, KeptContact};
use crate::record;
use ambient::Now;
use cscf::identity::Impu;
use cscf::query::Record;
use cscf::{Hop, Source, emergency};
use sip_core::{Message, Name};
use smallvec::SmallVec;
use std::time::Duration;

/// A REGISTER that was answered with 2xx.
pub struct Asked<'r> {
    /// The binding that its Path names.
    pub id: BindingId,
    /// The public identity of its To.
    pub aor: Impu,
    /// Where it came from, as its UE is known.
    pub source: Source,
    /// The REGISTER.
    pub request: &'r Message,
}

/// What a 2xx to REGISTER changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Bindings as they are from here on.
    pub stand: Vec<Binding>,
    /// Bindings that end.
    pub end: Vec<BindingId>,
}

impl Change {
    /// Whether everything stays as it was.
    pub fn is_empty(&self) -> bool {
        self.stand.is_empty() && self.end.is_empty()
    }

    /// The change for the store.
    pub fn records(&self) -> Vec<Record> {
        self.stand.iter().map(record::of).chain(self.end.iter().map(|id| record::removal(*id))).collect()
    }

    /// A binding with other contacts than before: none of them ends it.
    fn leave(&mut self, binding: Binding) {
        if binding.contacts.is_empty() { self.end.push(binding.id) } else { self.stand.push(binding) }
    }
}

impl Asked<'_> {
    /// From what was asked and what `response` lists to the bindings that follow. A fetch of bindings changes none.
    pub fn change(&self, bindings: &Bindings, response: &Message, now: Now) -> Change {
        let wanted: SmallVec<[&[u8]; 4]> =
            self.request.contacts().filter_map(|(_, contact)| Some(contact.ok()?.uri())).collect();
        let mut change = Change::default();
        if wanted.is_empty() {
            return change;
        }
        let listed = listed(response, now);
        // `*` names every contact of the UE and asks for none: what the registrar still lists is another UE's.
        let is_all = wanted.contains(&&b"*"[..]);
        let is_wanted = |uri: &str| wanted.iter().any(|wanted| is_same_contact(wanted, uri.as_bytes()));
        let is_listed =
            |uri: &str| listed.iter().any(|contact| is_same_contact(contact.uri.as_bytes(), uri.as_bytes()));

        let times_listed = |uri: &str| {
            listed.iter().filter(|contact| is_same_contact(contact.uri.as_bytes(), uri.as_bytes())).count()
        };
        let before = bindings.get(self.id);
        let still = before.into_iter().flat_map(Kept::contacts);
        let still = still.filter(|contact| is_listed(contact.uri) && !is_wanted(contact.uri));
        let granted = listed.iter().copied().filter(|contact| is_wanted(contact.uri));
        let mut contacts: Vec<BoundContact> = still.chain(granted).map(BoundContact::from).collect();
        // Two flows may have one contact: the binding of each has it once.
        contacts.dedup_by(|later, earlier| {
            let is_same = is_same_contact(later.uri.as_bytes(), earlier.uri.as_bytes());
            if is_same && later.ends > earlier.ends {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        if before.is_some() || !contacts.is_empty() {
            change.leave(self.binding(before, response, contacts));
        }
        // The registrar lists contacts of one kind: those for emergencies, or the others.
        let is_emergency = emergency::is_registration(self.request);
        let is_other = |other: &&Kept| other.id() != self.id && other.is_emergency() == is_emergency;
        for other in bindings.of_impu(&self.aor).filter(is_other) {
            let Some(mut left) = other.unpacked() else { continue };
            let count = left.contacts.len();
            if left.aor == self.aor {
                // The registrar lists every contact of the identity, and one that registered anew has moved here.
                // Unless it is listed once more: then it is another flow of the same UE (RFC 5626 §4.2.1).
                let stays = |uri: &str| is_listed(uri) && (!is_wanted(uri) || times_listed(uri) > 1);
                left.contacts.retain(|contact| stays(&contact.uri));
            } else if left.hop.remote.ip() == self.source.remote.ip() {
                // A contact that ends does so for the whole set that the UE registered it with.
                left.contacts
                    .retain(|contact| is_listed(&contact.uri) || !(is_all || is_wanted(&contact.uri)));
            }
            if left.contacts.len() < count {
                change.leave(left);
            }
        }
        change
    }

    /// The binding as the response describes it, with these contacts.
    fn binding(&self, before: Option<&Kept>, response: &Message, contacts: Vec<BoundContact>) -> Binding {
        let or_before = |uris: Vec<String>, known: fn(&Kept) -> Vec<String>| match before {
            Some(before) if uris.is_empty() => known(before),
            _ => uris,
        };
        Binding {
            id: self.id,
            aor: self.aor.clone(),
            hop: Hop { transport: self.source.transport, remote: self.source.remote },
            is_protected: self.source.secured.is_some(),
            local: self.source.local,
            // TS 33.203 §7.1: a connection that the UE opened is for its own requests.
            flow: Some(self.source.flow).filter(|_| self.source.secured.is_none()),
            identities: or_before(uris(response, Name::PAssociatedUri), |before| {
                before.identities().map(|identity| identity.to_string()).collect()
            }),
            service_route: or_before(uris(response, Name::ServiceRoute), |before| {
                before.service_route().to_vec()
            }),
            contacts,
            timer: before.and_then(|before| before.timer),
        }
    }
}

/// The contacts that the registrar lists, with the time that each has left (RFC 3261 §10.3 step 8).
fn listed(response: &Message, now: Now) -> SmallVec<[KeptContact<'_>; 4]> {
    let header = response.expires().ok().flatten();
    let mut listed = SmallVec::new();
    for (_, contact) in response.contacts() {
        let Ok(contact) = contact else { continue };
        let seconds = contact.expires().or(header).unwrap_or(0);
        if let (1.., Ok(uri)) = (seconds, std::str::from_utf8(contact.uri())) {
            let after = Duration::from_secs(seconds.into());
            listed.push(KeptContact { uri, ends: now.instant + after, ends_wall: now.wall + after });
        }
    }
    listed
}

/// The URIs of a field of name-addrs, as they stand.
fn uris(message: &Message, name: Name) -> Vec<String> {
    message
        .name_addrs(name)
        .filter_map(|(_, value)| std::str::from_utf8(value.ok()?.uri()).ok().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::tests::{binding, source};
    use cscf::Transport;
    use sip_core::Limits;

    const REMOTE: &str = "10.0.0.1:5060";

    fn message(start: &str, headers: &str) -> Message {
        let text = format!("{start}\r\nCSeq: 1 REGISTER\r\n{headers}\r\n");
        Message::parse(text.into_bytes(), &Limits::default()).expect("a message")
    }

    /// The bindings after alice's REGISTER, as `id:contact,contact`; 1 is hers from `REMOTE`.
    fn after(bindings: &Bindings, asked: &str, listed: &str) -> String {
        let request = message("REGISTER sip:home.net SIP/2.0", asked);
        let asked = Asked {
            id: BindingId(1),
            aor: Impu::parse(b"sip:alice@home.net").expect("a URI"),
            source: source(Transport::Udp, REMOTE),
            request: &request,
        };
        let change = asked.change(bindings, &message("SIP/2.0 200 OK", listed), Now::default());
        let stand = change.stand.iter().map(|binding| {
            let contacts: Vec<&str> = binding.contacts.iter().map(|contact| contact.uri.as_str()).collect();
            format!("{}:{}", binding.id.0, contacts.join(","))
        });
        stand.chain(change.end.iter().map(|id| format!("-{}", id.0))).collect::<Vec<_>>().join(" ")
    }

    const OWN: &str = "Contact: <sip:ue@10.0.0.1:5060>";

    #[test]
    fn what_is_asked_and_listed_stands_and_nothing_else() {
        let nobody = Bindings::default();
        for (asked, listed, expected) in [
            (OWN, format!("{OWN};expires=60"), "1:sip:ue@10.0.0.1:5060"),
            (OWN, format!("{OWN}\r\nExpires: 60"), "1:sip:ue@10.0.0.1:5060"),
            (OWN, format!("{OWN};expires=0"), ""),
            (OWN, format!("{OWN};expires=60, <sip:ue@10.0.0.9>;expires=9"), "1:sip:ue@10.0.0.1:5060"),
            (OWN, "Contact: <sip:ue@10.0.0.9>;expires=9".to_owned(), ""),
            ("X: 1", format!("{OWN};expires=60"), ""),
        ] {
            assert_eq!(
                after(&nobody, &format!("{asked}\r\n"), &format!("{listed}\r\n")),
                expected,
                "{asked} {listed}"
            );
        }
    }

    #[test]
    fn the_registrars_list_decides_on_older_bindings() {
        let mut bindings = Bindings::default();
        bindings.insert(&binding(1, REMOTE, "sip:alice@home.net"));
        // Her tablet elsewhere, and another identity of her own phone that the same set registered.
        bindings.insert(&binding(2, "10.0.0.2:5060", "sip:alice@home.net"));
        let mut sibling = binding(3, REMOTE, "sip:work@home.net");
        sibling.identities.push("sip:alice@home.net".to_owned());
        bindings.insert(&sibling);
        let tablet = "Contact: <sip:ue@10.0.0.2:5060>;expires=9";
        for (asked, listed, expected) in [
            (OWN.to_owned(), format!("{OWN};expires=60\r\n{tablet}"), "1:sip:ue@10.0.0.1:5060"),
            (OWN.to_owned(), format!("{OWN};expires=60"), "1:sip:ue@10.0.0.1:5060 -2"),
            (format!("{OWN};expires=0"), tablet.to_owned(), "-1 -3"),
            ("Contact: *\r\nExpires: 0".to_owned(), "X: 1".to_owned(), "-1 -2 -3"),
        ] {
            assert_eq!(
                after(&bindings, &format!("{asked}\r\n"), &format!("{listed}\r\n")),
                expected,
                "{asked} {listed}"
            );
        }
    }
}
