//! UAR: may this user register, and where (TS 29.228 §6.1.1.1).

use crate::registration::{Registration, State};
use crate::subscriber::{Permission, Subscriber};
use diameter_client::cx::{CxResult, Uaa, Uar, UserAuthorizationType};

/// Decides for identities that exist and belong together.
pub fn answer(subscriber: &Subscriber, set: usize, registration: &mut Registration, uar: &Uar) -> Uaa {
    if let Err(result) = permitted(subscriber, set, uar) {
        return Uaa { result, ..Uaa::default() };
    }
    match uar.authorization_type {
        UserAuthorizationType::Registration => place(subscriber, set, registration),
        UserAuthorizationType::DeRegistration => leave(set, registration, &uar.user_name),
        UserAuthorizationType::RegistrationAndCapabilities => {
            // The I-CSCF could not reach the S-CSCF on record: the next SAR may name another.
            registration.is_reassignment_pending = registration.server.is_some();
            Uaa { server_capabilities: subscriber.server.clone(), ..Uaa::default() }
        }
    }
}

fn permitted(subscriber: &Subscriber, set: usize, uar: &Uar) -> Result<(), CxResult> {
    // Neither barring nor roaming rights stand against an emergency registration.
    if uar.is_emergency() {
        return Ok(());
    }
    // A barred identity may register as long as the set has another one to use.
    if !subscriber.implicit_sets.get(set).is_some_and(|set| set.has_unbarred()) {
        return Err(CxResult::AUTHORIZATION_REJECTED);
    }
    if uar.authorization_type == UserAuthorizationType::DeRegistration {
        return Ok(());
    }
    if !subscriber.roaming.allows(&uar.visited_network) {
        return Err(CxResult::ROAMING_NOT_ALLOWED);
    }
    match subscriber.registration {
        Permission::Allowed => Ok(()),
        Permission::Denied => Err(CxResult::AUTHORIZATION_REJECTED),
    }
}

fn place(subscriber: &Subscriber, set: usize, registration: &Registration) -> Uaa {
    // All identities of a subscription are served by one S-CSCF: a name is on record when the set is served, when
    // another set is, or when an authentication is pending.
    match registration.server_name() {
        Some(name) => Uaa {
            result: CxResult::SUBSEQUENT_REGISTRATION,
            server_name: Some(name.to_owned()),
            ..Uaa::default()
        },
        None => {
            debug_assert_eq!(registration.state(set), State::NotRegistered, "who is served has a server");
            Uaa {
                result: CxResult::FIRST_REGISTRATION,
                server_capabilities: subscriber.server.clone(),
                ..Uaa::default()
            }
        }
    }
}

fn leave(set: usize, registration: &Registration, impi: &str) -> Uaa {
    let is_known = registration.state(set) != State::NotRegistered || registration.is_pending(set, impi);
    match registration.server_name() {
        Some(name) if is_known => Uaa { server_name: Some(name.to_owned()), ..Uaa::default() },
        _ => Uaa { result: CxResult::IDENTITY_NOT_REGISTERED, ..Uaa::default() },
    }
}
