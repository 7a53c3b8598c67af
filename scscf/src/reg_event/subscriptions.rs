//! All subscriptions, found by their number and by what they watch at a cost that does not grow with the others.

use super::subscription::{Subscription, SubscriptionId};
use crate::registrar::registrations::RegistrationId;
use std::collections::{BTreeMap, BTreeSet};

/// All subscriptions.
#[derive(Debug, Default)]
pub struct Subscriptions {
    by_id: BTreeMap<SubscriptionId, Box<Subscription>>,
    by_registration: BTreeSet<(RegistrationId, SubscriptionId)>,
}

impl Subscriptions {
    /// Keeps a subscription.
    pub fn insert(&mut self, id: SubscriptionId, subscription: Subscription) {
        self.by_registration.insert((subscription.registration, id));
        self.by_id.insert(id, Box::new(subscription));
    }

    /// The subscription of this id.
    pub fn get(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.by_id.get(&id).map(|subscription| &**subscription)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.by_id.get_mut(&id).map(|subscription| &mut **subscription)
    }

    /// Takes a subscription out.
    pub fn remove(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let subscription = *self.by_id.remove(&id)?;
        self.by_registration.remove(&(subscription.registration, id));
        Some(subscription)
    }

    /// Those that watch a registration.
    pub fn of(&self, registration: RegistrationId) -> impl Iterator<Item = SubscriptionId> {
        let all = (registration, SubscriptionId(0))..=(registration, SubscriptionId(u64::MAX));
        self.by_registration.range(all).map(|(_, id)| *id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
