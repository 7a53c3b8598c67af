//! The body of the reg event package (RFC 3680 §5): by which contacts identities are registered, and what became of each.
//!
//! [`Document`] writes it, [`read`] reads it; both know the words of its schema and nothing of a registrar. A [`Watcher`] is the
//! subscriber's end of a subscription: a P-CSCF's or a UE's.

mod read;
mod watcher;
mod write;

pub use read::{Contact, Reginfo, ReginfoError, Registration, read};
pub use watcher::{Over, Told, Watcher, refresh_point};
pub use write::{ContactFields, Document};

/// The package (RFC 3680 §4.1).
pub const PACKAGE: &str = "reg";
/// The type of its body.
pub const CONTENT_TYPE: &str = "application/reginfo+xml";

/// How much a document tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything: what it does not list is not there.
    Full,
    /// What has changed.
    Partial,
}

/// The state of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no contact yet.
    Init,
    /// It has a contact.
    Active,
    /// It has none any more.
    Terminated,
}

/// What happened to a contact last (RFC 3680 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactEvent {
    /// It was registered by a REGISTER for the identity.
    Registered,
    /// It came to be by other means, as with an implicit registration.
    Created,
    /// It lives longer.
    Refreshed,
    /// It lives shorter than it was granted: the UE is to register again in time.
    Shortened,
    /// Nobody refreshed it.
    Expired,
    /// The network ended it, and the UE may register again at once.
    Deactivated,
    /// The network ended it, and the UE may register again after a while.
    Probation,
    /// The UE ended it.
    Unregistered,
    /// The network ended it, and the UE is not to register again.
    Rejected,
}

impl ContactEvent {
    const ALL: [(&'static str, ContactEvent); 9] = [
        ("registered", ContactEvent::Registered),
        ("created", ContactEvent::Created),
        ("refreshed", ContactEvent::Refreshed),
        ("shortened", ContactEvent::Shortened),
        ("expired", ContactEvent::Expired),
        ("deactivated", ContactEvent::Deactivated),
        ("probation", ContactEvent::Probation),
        ("unregistered", ContactEvent::Unregistered),
        ("rejected", ContactEvent::Rejected),
    ];

    /// The word of the schema.
    pub fn word(self) -> &'static str {
        // Every event is in the list.
        ContactEvent::ALL.iter().find(|(_, event)| *event == self).map_or("", |(word, _)| word)
    }

    /// The event of a word.
    pub fn of(word: &str) -> Option<ContactEvent> {
        ContactEvent::ALL.iter().find(|(known, _)| *known == word).map(|(_, event)| *event)
    }

    /// Whether the contact is gone after it: its state is `terminated` and not `active`.
    pub fn is_end(self) -> bool {
        match self {
            ContactEvent::Registered
            | ContactEvent::Created
            | ContactEvent::Refreshed
            | ContactEvent::Shortened => false,
            ContactEvent::Expired
            | ContactEvent::Deactivated
            | ContactEvent::Probation
            | ContactEvent::Unregistered
            | ContactEvent::Rejected => true,
        }
    }
}

impl State {
    /// The word of the schema.
    pub fn word(self) -> &'static str {
        match self {
            State::Init => "init",
            State::Active => "active",
            State::Terminated => "terminated",
        }
    }

    /// The state of a word.
    pub fn of(word: &str) -> Option<State> {
        [State::Init, State::Active, State::Terminated].into_iter().find(|state| state.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a registrar of ours writes, a subscriber of ours reads, whatever stands in it.
    #[test]
    fn what_is_written_is_read_back() {
        let mut document = Document::new(7, Extent::Partial);
        document.registration("sip:al&ice@home1.net", 0xa, State::Active, |contacts| {
            contacts.contact(&ContactFields {
                id: 0x1f,
                event: ContactEvent::Registered,
                expires_s: Some(600),
                q: Some(500),
                call_id: b"a\"b<c>",
                cseq: 3,
                uri: b"sip:alice@10.0.0.1;transport=tcp",
                params: b";+sip.instance=\"<urn:gsma:imei:1-2-3>\";+g.3gpp.smsip;q=0.5;reg-id=1",
                public_gruu: Some("sip:alice@home1.net;gr=urn:uuid:1"),
                temporary_gruu: Some(("sip:t1@home1.net;gr", 2)),
            });
        });
        document.registration("tel:+491", 0xb, State::Terminated, |contacts| {
            contacts.contact(&ContactFields {
                id: 0x20,
                event: ContactEvent::Deactivated,
                expires_s: None,
                q: None,
                call_id: b"\xff\x01",
                cseq: 4,
                uri: b"sip:alice@10.0.0.1",
                params: b"",
                public_gruu: None,
                temporary_gruu: None,
            });
        });
        let text = document.end();
        let reginfo = read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((reginfo.version, reginfo.extent), (7, Extent::Partial));
        let [alice, tel] = &reginfo.registrations[..] else { panic!("{reginfo:?}") };
        assert_eq!(
            (alice.aor.as_str(), alice.id.as_str(), alice.state),
            ("sip:al&ice@home1.net", "a", State::Active)
        );
        let contact = &alice.contacts[0];
        assert_eq!(
            (contact.event, contact.expires_s, contact.id.as_str()),
            (ContactEvent::Registered, Some(600), "1f")
        );
        assert_eq!(contact.uri, "sip:alice@10.0.0.1;transport=tcp");
        assert_eq!((tel.state, tel.contacts[0].event), (State::Terminated, ContactEvent::Deactivated));
        for part in [
            "q=\"0.5\"",
            "callid=\"a&quot;b&lt;c&gt;\"",
            "<unknown-param name=\"+sip.instance\">&quot;&lt;urn:gsma:imei:1-2-3&gt;&quot;</unknown-param>",
            "<unknown-param name=\"+g.3gpp.smsip\"></unknown-param>",
            "<unknown-param name=\"reg-id\">1</unknown-param>",
            "state=\"terminated\" event=\"deactivated\"",
            "<gr:pub-gruu xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" uri=\"sip:alice@home1.net;gr=urn:uuid:1\"/>",
            "<gr:temp-gruu xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" uri=\"sip:t1@home1.net;gr\" first-cseq=\"2\"/>\n</contact>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("name=\"q\""), "{text}");
    }

    #[test]
    fn every_event_has_its_word() {
        for (word, event) in ContactEvent::ALL {
            assert_eq!((event.word(), ContactEvent::of(word)), (word, Some(event)));
        }
        assert_eq!(ContactEvent::of("lost"), None);
    }
}
