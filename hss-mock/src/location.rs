//! LIR: which S-CSCF serves this user, or may come to (TS 29.228 §6.1.4.1).

use crate::directory::Located;
use crate::registration::{Registration, State};
use crate::subscriber::{Permission, Subscriber};
use diameter_client::cx::{CxResult, Lia, Lir, UserAuthorizationType};

/// Decides for an identity that exists.
pub fn answer(subscriber: &Subscriber, located: &Located, registration: &mut Registration, lir: &Lir) -> Lia {
    let wildcarded_public_identity = located.wildcard.clone();
    let decision = decide(subscriber, located, registration, lir);
    Lia { wildcarded_public_identity, ..decision }
}

fn decide(subscriber: &Subscriber, located: &Located, registration: &mut Registration, lir: &Lir) -> Lia {
    let named = |name: &str| Lia { server_name: Some(name.to_owned()), ..Lia::default() };
    let set = subscriber.implicit_sets.get(located.set);
    // A public service identity is reached at its AS, unless the AS itself asks on its behalf.
    if let Some(server) = set.and_then(|set| set.application_server.as_deref())
        && !lir.is_originating
    {
        return named(server);
    }
    let is_served = registration.state(located.set) != State::NotRegistered;
    let has_services = subscriber.unregistered_services == Permission::Allowed || lir.is_originating;
    if !is_served && !has_services {
        return Lia { result: CxResult::IDENTITY_NOT_REGISTERED, ..Lia::default() };
    }
    let server_capabilities = subscriber.server.clone();
    if lir.authorization_type == Some(UserAuthorizationType::RegistrationAndCapabilities) {
        registration.is_reassignment_pending = registration.server.is_some();
        return Lia { server_capabilities, ..Lia::default() };
    }
    match registration.server_name() {
        Some(name) => named(name),
        None => Lia { result: CxResult::UNREGISTERED_SERVICE, server_capabilities, ..Lia::default() },
    }
}
