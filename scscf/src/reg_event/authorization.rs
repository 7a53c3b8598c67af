//! Who may watch a registration (TS 24.229 §5.4.2.1.1): the user, whoever stands in the Path of a contact, and the
//! application servers of the filter criteria. Pure.

use crate::registrar::registrations::Registration;
use cscf::Reject;
use cscf::identity::Impu;
use sip_core::uri::SipUri;
use sip_core::{Message, Name, NameAddr, Status, Uri};

/// Refuses a SUBSCRIBE of somebody else.
pub fn check(message: &Message, registration: &Registration, watched: &Impu) -> Result<(), Reject> {
    let mut asserted = message.name_addrs(Name::PAssertedIdentity).filter_map(|(_, asserted)| asserted.ok());
    let may = asserted.any(|asserted| {
        is_of_user(asserted.uri(), registration)
            || registration.bindings.iter().flat_map(|binding| binding.path()).any(|entry| {
                NameAddr::parse(Name::Path, entry)
                    .is_ok_and(|entry| is_same_host(entry.uri(), asserted.uri()))
            })
            || is_application_server(asserted.uri(), registration, watched)
    });
    match may {
        true => Ok(()),
        false => Err(Reject::new(Status::FORBIDDEN, "may not watch this registration")),
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
    services
        .is_some_and(|services| services.server_names().any(|name| is_same_host(name.as_bytes(), asserted)))
}

/// Whether two SIP URIs name one host; a port counts where both have one, and the user part does not: it tells what a
/// URI was handed out for.
fn is_same_host(one: &[u8], other: &[u8]) -> bool {
    let (Ok(Uri::Sip(one)), Ok(Uri::Sip(other))) = (Uri::parse(one), Uri::parse(other)) else { return false };
    let is_same_port =
        |a: &SipUri<'_>, b: &SipUri<'_>| a.port.is_none() || b.port.is_none() || a.port == b.port;
    let is_same_name = match (one.host.name(), other.host.name()) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (None, None) => one.host.ip() == other.host.ip(),
        _ => false,
    };
    is_same_name && is_same_port(&one, &other)
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
            ("<sip:alice@h>", true),
            ("<tel:+49-1>", true),
            ("<sip:imsi@h>", false),
            ("<sip:bob@h>", false),
            ("<sip:10.0.0.10:5060>", true),
            ("<sip:other@10.0.0.10>", true),
            ("<sip:10.0.0.10:5070>", false),
            ("<sip:10.0.0.11:5060>", false),
            ("<sip:AS1.h>", true),
            ("<sip:bob@h>, <sip:as1.h>", true),
            ("<sip:as2.h>", false),
        ] {
            let text = format!(
                "SUBSCRIBE sip:alice@h SIP/2.0\r\nCSeq: 1 SUBSCRIBE\r\nP-Asserted-Identity: {asserted}\r\n\r\n"
            );
            let message = Message::parse(text.into_bytes(), &Limits::default()).expect("a message");
            let found = check(&message, &alice, &watched);
            assert_eq!(found.is_ok(), expected, "{asserted}");
            assert!(found.is_ok() || found.is_err_and(|refusal| refusal.status == Status::FORBIDDEN));
        }
        let nobody = Message::parse(b"SUBSCRIBE sip:alice@h SIP/2.0\r\n\r\n".to_vec(), &Limits::default());
        assert!(check(&nobody.expect("a message"), &alice, &watched).is_err(), "nobody asserted");
    }
}
