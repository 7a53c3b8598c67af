//! RTR: the network ends registrations (TS 29.228 §6.1.3.1).

use crate::registration::{Registration, Server, State};
use crate::subscriber::Subscriber;
use diameter_client::cx::{DeregistrationReason, ReasonCode, Rtr};

/// Which registrations of a subscription end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Subscription,
    /// Those of one private identity.
    Impi(String),
    /// Those of one implicit set, by its position.
    Set(usize),
}

/// Changes the state and makes the request that tells the S-CSCF; `None` when no S-CSCF serves what ends.
///
/// The state changes before the S-CSCF is asked: it sends no SAR afterwards.
pub fn begin(
    subscriber: &Subscriber,
    registration: &mut Registration,
    scope: &Scope,
    reason: DeregistrationReason,
) -> Option<(Rtr, Server)> {
    let server = registration.server.clone()?;
    // Another S-CSCF takes over with all registrations or none.
    let scope = if reason.code == ReasonCode::ServerChange { &Scope::Subscription } else { scope };
    let mut impis = Vec::new();
    for (&position, set) in &mut registration.sets {
        if matches!(scope, Scope::Set(only) if *only != position) || set.state() == State::NotRegistered {
            continue;
        }
        let is_ending = |impi: &String| !matches!(scope, Scope::Impi(only) if only != impi);
        impis.extend(set.registered.keys().filter(|impi| is_ending(impi)).cloned());
        if set.is_unregistered_served && !matches!(scope, Scope::Impi(_)) {
            impis.extend(
                subscriber
                    .implicit_sets
                    .get(position)
                    .and_then(|set| subscriber.impis_of(set).next().map(str::to_owned)),
            );
        }
        match reason.code {
            // The S-CSCF loses the user, who is registered elsewhere.
            ReasonCode::NewServerAssigned => {}
            ReasonCode::RemoveScscf => set.is_unregistered_served = false,
            ReasonCode::PermanentTermination | ReasonCode::ServerChange => {
                set.registered.retain(|impi, _| !is_ending(impi));
                set.is_unregistered_served &= matches!(scope, Scope::Impi(_));
            }
        }
        if reason.code == ReasonCode::ServerChange {
            set.pending.clear();
        }
    }
    registration.tidy();
    impis.sort();
    impis.dedup();
    let (user_name, associated) = impis.split_first()?;
    let public_identities = match scope {
        Scope::Set(position) => subscriber
            .implicit_sets
            .get(*position)
            .map(|set| set.identities().map(|identity| identity.identity.clone()).collect())
            .unwrap_or_default(),
        Scope::Subscription | Scope::Impi(_) => Vec::new(),
    };
    let rtr = Rtr {
        user_name: user_name.clone(),
        reason,
        public_identities,
        associated_identities: associated.to_vec(),
        ..Rtr::default()
    };
    Some((rtr, server))
}
