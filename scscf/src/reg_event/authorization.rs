//! Who may watch a registration (TS 24.229 §5.4.2.1.1): the user, whoever stands in the Path of a contact, and the
//! application servers of the filter criteria. Pure.

use crate::registrar::registrations::Registration;
use crate::registrar::restoration_info::Watcher;
use crate::registrar::same_host;
use cscf::Reject;
use cscf::identity::Impu;
use sip_core::{Message, Name, NameAddr, Status};

/// Who it is that a SUBSCRIBE is of; refuses that of somebody else.
pub fn check(message: &Message, registration: &Registration, watched: &Impu) -> Result<Watcher, Reject> {
    let mut asserted = message.name_addrs(Name::PAssertedIdentity).filter_map(|(_, asserted)| asserted.ok());
    asserted
        .find_map(|asserted| watcher(asserted.uri(), registration, watched))
        .ok_or_else(|| Reject::new(Status::FORBIDDEN, "may not watch this registration"))
}

fn watcher(asserted: &[u8], registration: &Registration, watched: &Impu) -> Option<Watcher> {
    let is_proxy = || {
        registration.bindings.iter().flat_map(|binding| binding.path()).any(|entry| {
            NameAddr::parse(Name::Path, entry).is_ok_and(|entry| same_host(entry.uri(), asserted))
        })
    };
    match () {
        () if is_of_user(asserted, registration) => Some(Watcher::User),
        () if is_proxy() => Some(Watcher::Proxy),
        () if is_application_server(asserted, registration, watched) => Some(Watcher::Server),
        () => None,
    }
}

fn is_of_user(asserted: &[u8], registration: &Registration) -> bool {
    Impu::parse(asserted).is_some_and(|impu| !registration.is_barred(&impu))
}

fn is_application_server(asserted: &[u8], registration: &Registration, watched: &Impu) -> bool {
    let services = registration
        .set
        .identity(watched.as_str())
        .and_then(|identity| registration.set.services_of(identity));
    services.is_some_and(|services| services.server_names().any(|name| same_host(name.as_bytes(), asserted)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criteria::SharedSets;
    use crate::registrar::binding::{Binding, Texts};
    use crate::registrar::implicit_set::ImplicitSet;
    use crate::registrar::path::Path;
    use crate::registrar::registrations::State;
    use ambient::Instant;
    use cscf::bucket::Bucket;
    use cscf::user_data;
    use sip_core::Limits;

    fn alice() -> Registration {
        let xml = b"<IMSSubscription><PrivateID>a@h</PrivateID><ServiceProfile><PublicIdentity><BarringIndication>1</BarringIndication>\
            <Identity>sip:imsi@h</Identity></PublicIdentity><PublicIdentity><Identity>sip:alice@h</Identity></PublicIdentity>\
            <PublicIdentity><Identity>tel:+491</Identity></PublicIdentity><InitialFilterCriteria><Priority>0</Priority>\
            <ApplicationServer><ServerName>sip:as1.h:5065;lr</ServerName></ApplicationServer></InitialFilterCriteria>\
            </ServiceProfile></IMSSubscription>";
        let set = ImplicitSet::new(user_data::parse(xml).expect("user data"), &SharedSets::default())
            .expect("a set");
        let mut registration =
            Registration::new(set, State::Registered, Bucket::new(1)).expect("an identity");
        let mut path = Path::default();
        path.push(b"<sip:token@10.0.0.10:5060;lr>");
        let texts = Texts { impi: b"a@h", uri: b"sip:a@10.1.0.1", path: path.packed(), ..Texts::default() };
        registration.bindings.push(Binding::new(texts, 1000, None, 1, Instant::START));
        registration
    }

    #[test]
    fn the_user_its_proxies_and_its_application_servers_may_watch_and_nobody_else() {
        let alice = alice();
        let watched = Impu::parse(b"sip:alice@h").expect("an identity");
        for (asserted, expected) in [
            ("<sip:alice@h>", Some(Watcher::User)),
            ("<tel:+49-1>", Some(Watcher::User)),
            ("<sip:imsi@h>", None),
            ("<sip:bob@h>", None),
            ("<sip:10.0.0.10:5060>", Some(Watcher::Proxy)),
            ("<sip:other@10.0.0.10>", Some(Watcher::Proxy)),
            ("<sip:10.0.0.10:5070>", None),
            ("<sip:10.0.0.11:5060>", None),
            ("<sip:AS1.h>", Some(Watcher::Server)),
            ("<sip:bob@h>, <sip:as1.h>", Some(Watcher::Server)),
            ("<sip:as2.h>", None),
        ] {
            let text = format!(
                "SUBSCRIBE sip:alice@h SIP/2.0\r\nCSeq: 1 SUBSCRIBE\r\nP-Asserted-Identity: {asserted}\r\n\r\n"
            );
            let message = Message::parse(text.into_bytes(), &Limits::default()).expect("a message");
            let found = check(&message, &alice, &watched);
            assert_eq!(found.clone().ok(), expected, "{asserted}");
            assert!(found.is_ok() || found.is_err_and(|refusal| refusal.status == Status::FORBIDDEN));
        }
        let nobody = Message::parse(b"SUBSCRIBE sip:alice@h SIP/2.0\r\n\r\n".to_vec(), &Limits::default());
        assert!(check(&nobody.expect("a message"), &alice, &watched).is_err(), "nobody asserted");
    }
}
