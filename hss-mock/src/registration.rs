//! What an HSS remembers of a subscription while it runs, and across restarts: who registered, and where.

use diameter_client::cx::ScscfRestorationInfo;
use std::collections::{BTreeMap, BTreeSet};

/// The registration state of the public identities of one implicit set (TS 29.228 §6.5.1.2: they share it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No S-CSCF serves them.
    #[default]
    NotRegistered,
    /// At least one private identity registered with them.
    Registered,
    /// An S-CSCF serves them though nobody registered.
    Unregistered,
}

/// An S-CSCF, as it named itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Server-Name: its SIP URI.
    pub name: String,
    /// Origin-Host of its last request, the Destination-Host of ours (TS 29.229 §5.5).
    pub host: String,
    /// Origin-Realm of its last request.
    pub realm: String,
}

/// The dynamic data of one subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The S-CSCF that has, or is about to have, the subscription.
    pub server: Option<Server>,
    /// Another S-CSCF may take the subscription over with its next SAR.
    pub is_reassignment_pending: bool,
    /// By the position of the implicit set.
    pub sets: BTreeMap<usize, SetRegistration>,
}

/// The dynamic data of one implicit set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetRegistration {
    /// The private identities that are registered, each with what its S-CSCF left for restoration.
    pub registered: BTreeMap<String, Option<ScscfRestorationInfo>>,
    /// Served though nobody is registered; false while somebody is.
    pub is_unregistered_served: bool,
    /// The private identities whose authentication has begun and not ended.
    pub pending: BTreeSet<String>,
}

impl SetRegistration {
    /// The state of the set.
    pub fn state(&self) -> State {
        if !self.registered.is_empty() {
            State::Registered
        } else if self.is_unregistered_served {
            State::Unregistered
        } else {
            State::NotRegistered
        }
    }

    fn is_idle(&self) -> bool {
        self.state() == State::NotRegistered && self.pending.is_empty()
    }
}

impl Registration {
    /// The state of a set.
    pub fn state(&self, set: usize) -> State {
        self.sets.get(&set).map_or(State::NotRegistered, SetRegistration::state)
    }

    /// Whether an authentication of this private identity has begun with this set.
    pub fn is_pending(&self, set: usize, impi: &str) -> bool {
        self.sets.get(&set).is_some_and(|set| set.pending.contains(impi))
    }

    /// The record of a set, made when there is none.
    pub fn set_mut(&mut self, set: usize) -> &mut SetRegistration {
        self.sets.entry(set).or_default()
    }

    /// The Server-Name on record.
    pub fn server_name(&self) -> Option<&str> {
        self.server.as_ref().map(|server| server.name.as_str())
    }

    /// Whether an S-CSCF other than this one is on record.
    pub fn is_served_by_other(&self, server_name: &str) -> bool {
        self.server_name().is_some_and(|name| name != server_name)
    }

    /// Forgets sets that nothing is known of, and the S-CSCF when no set needs one.
    pub fn tidy(&mut self) {
        self.sets.retain(|_, set| !set.is_idle());
        if self.sets.is_empty() {
            self.server = None;
            self.is_reassignment_pending = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served_by(name: &str) -> Registration {
        let server = Some(Server { name: name.to_owned(), ..Server::default() });
        Registration { server, ..Registration::default() }
    }

    #[test]
    fn a_set_is_registered_while_one_private_identity_is() {
        let mut registration = served_by("sip:s1");
        registration.set_mut(0).registered.insert("a".to_owned(), None);
        registration.set_mut(0).registered.insert("b".to_owned(), None);
        registration.set_mut(0).registered.remove("a");
        registration.tidy();
        assert_eq!(registration.state(0), State::Registered);
        registration.set_mut(0).registered.remove("b");
        registration.tidy();
        assert_eq!(registration, Registration::default(), "the name goes with the last registration");
    }

    #[test]
    fn the_server_stays_while_an_authentication_is_pending() {
        let mut registration = served_by("sip:s1");
        registration.set_mut(1).pending.insert("a".to_owned());
        registration.tidy();
        assert!(registration.is_pending(1, "a") && registration.server_name() == Some("sip:s1"));
        assert!(registration.is_served_by_other("sip:s2") && !registration.is_served_by_other("sip:s1"));
    }
}
