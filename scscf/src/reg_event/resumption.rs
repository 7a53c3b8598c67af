//! Subscriptions after a restart: whoever was promised to be told is told, how the registration stands or that it has ended.

use super::subscription::{Ending, Subscription, SubscriptionId};
use super::{PER_REGISTRATION_MAX, document, record};
use crate::registrar::registrations::RegistrationId;
use crate::registrar::restoration_info::{Watcher, beyond};
use crate::role::Scscf;
use crate::waiting::{Timer, Waiting};
use cscf::Turn;
use cscf::identity::Impu;
use cscf::query::{Query, Record};
use sip_core::dialog::Dialog;
use std::time::Duration;

/// How much later each subscriber is told than the one before: all of them at once would be a storm.
const APART: Duration = Duration::from_millis(2);
/// What has restored a subscription is answered first.
const RESUMED_AFTER: Duration = Duration::from_secs(1);

impl Scscf {
    /// Takes the subscriptions of the store over, after the registrations.
    pub(crate) fn resume_subscriptions(&mut self, turn: &mut Turn<'_, Scscf>, records: &[Record]) {
        let mut over = Vec::new();
        let mut after = Duration::ZERO;
        for kept in records.iter().filter(|kept| record::named(&kept.key).is_some()) {
            let Some(stored) = record::read(kept, turn.wall()) else {
                turn.count("restored", "not a subscription");
                continue;
            };
            if !turn.owns(stored.home) {
                continue;
            }
            let (id, left) = (stored.id, stored.ends.since(turn.wall()));
            if left.is_zero() || self.subscriptions.len() >= self.config.scscf.subscriptions_max {
                over.push(record::gone(id));
                continue;
            }
            let found = self.registrations.find(&stored.impu).map(|(id, _)| id);
            let mut subscription = stored.of_registration(found.unwrap_or(RegistrationId::NONE));
            if found.is_none() {
                // It ended, and whether its subscriber has heard so is not known.
                let version = subscription.next_version();
                let last = document::ended(version, subscription.impu.as_str());
                subscription.ending = Some(Ending::Gone(last));
            }
            after += APART;
            self.take_up(turn, id, subscription, left, after);
        }
        if !over.is_empty() {
            turn.query(Query::Store(over.clone()), Waiting::StoredAlone { records: over });
        }
    }

    /// A subscription that the HSS has kept goes on; gives what the store is to have of it.
    pub(crate) fn resume_subscription(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        registration: RegistrationId,
        impu: &Impu,
        dialog: Dialog,
        watcher: Watcher,
    ) -> Option<Record> {
        let has_room = self.subscriptions.len() < self.config.scscf.subscriptions_max
            && self.subscriptions.of(registration).count() < PER_REGISTRATION_MAX;
        let id = SubscriptionId::of(dialog.id());
        if !has_room || self.subscriptions.get(id).is_some() {
            return None;
        }
        let contact = self.contact_of_subscription(turn, id, impu);
        let mut subscription =
            Subscription::new(dialog, contact, (registration, impu.clone()), watcher, None);
        subscription.go_on_from(beyond(turn.wall()));
        // For how long it was granted is not kept.
        let left = self.config.scscf.subscription_max;
        self.take_up(turn, id, subscription, left, RESUMED_AFTER);
        let ends = turn.now() + left;
        self.subscription_record(turn, id, ends)
    }

    fn take_up(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        id: SubscriptionId,
        mut subscription: Subscription,
        left: Duration,
        after: Duration,
    ) {
        (subscription.is_granted, subscription.is_stored) = (true, true);
        subscription.expires_at = turn.now() + left;
        subscription.timer = Some(turn.arm(left, Timer::Subscription(id), "subscription expiry"));
        subscription.due.all();
        self.subscriptions.insert(id, subscription);
        turn.arm(after, Timer::Resume(id), "subscription resumed");
    }
}
