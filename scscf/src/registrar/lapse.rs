//! Expiry: bindings that nobody refreshed, profiles that nobody needed again, and what a restart finds in the store.

use super::binding::{Binding, Change};
use super::registrations::{RegistrationId, State};
use super::{home, record};
use crate::reg_event;
use crate::role::Scscf;
use crate::waiting::{Cause, Timer, Waiting};
use ambient::Now;
use cscf::Turn;
use cscf::query::{Query, Record};
use diameter_client::cx::ServerAssignmentType;
use smallvec::SmallVec;
use std::time::Duration;

/// How long the profile of a user who is not registered is kept after it was fetched.
const UNREGISTERED_PROFILE_KEPT: Duration = Duration::from_secs(600);

impl Scscf {
    /// Arms the timer of the binding that ends first.
    pub(crate) fn arm_expiry(&mut self, turn: &mut Turn<'_, Scscf>, id: RegistrationId) {
        let now = turn.now();
        let Some(registration) = self.registrations.get_mut(id) else { return };
        if let Some(timer) = registration.timer.take() {
            turn.disarm(timer);
        }
        let after = match registration.bindings.iter().map(|binding| binding.expires_at).min() {
            Some(expires_at) => expires_at.since(now),
            None => UNREGISTERED_PROFILE_KEPT,
        };
        registration.timer = Some(turn.arm(after, Timer::Expiry(id), "registration expiry"));
    }

    /// The timer of a registration fired.
    pub(crate) fn lapsed(&mut self, turn: &mut Turn<'_, Scscf>, id: RegistrationId) {
        let now = turn.now();
        let Some(registration) = self.registrations.get_mut(id) else { return };
        registration.timer = None;
        if registration.state == State::Unregistered
            && registration.bindings.iter().all(|binding| binding.expires_at <= now)
        {
            return self.give_back(turn, id);
        }
        let before = registration.registered_impis();
        let (stay, ended): (SmallVec<[Binding; 1]>, SmallVec<[Binding; 1]>) =
            registration.bindings.iter().cloned().partition(|binding| binding.expires_at > now);
        ended.iter().for_each(|binding| self.note(id, binding, Change::Expired));
        self.registrations.bind(id, stay);
        turn.count("registration", "expired");
        self.settle(turn, id, Cause::Expiry, ServerAssignmentType::TimeoutDeregistration, &before);
    }

    /// TS 29.228 §6.1.2.1: the S-CSCF gives a user back whom it served unregistered, or registered for emergencies.
    fn give_back(&mut self, turn: &mut Turn<'_, Scscf>, id: RegistrationId) {
        self.withdraw(turn, id);
        let Some(registration) = self.registrations.remove(id) else { return };
        if let Some(impu) = registration.named() {
            let impi = &registration.set.private_id;
            self.tell(turn, ServerAssignmentType::TimeoutDeregistration, Some(impi), &impu);
        }
        if !registration.bindings.is_empty() {
            turn.count("registration", "expired");
            let records = vec![record::gone(&registration)];
            turn.query(Query::Store(records.clone()), Waiting::StoredAlone { records });
        }
    }

    /// The store was read: registrations stand as they were, and what ran out meanwhile ends.
    pub(crate) fn restored(&mut self, turn: &mut Turn<'_, Scscf>, records: &[Record]) {
        let now = Now { instant: turn.now(), wall: turn.wall() };
        let is_subscription = |stored: &&Record| reg_event::record::named(&stored.key).is_some();
        for stored in records.iter().filter(|stored| !is_subscription(stored)) {
            let (known, sets) = (self.registrations.services(), self.registrations.shared_sets());
            match record::read(stored, known, sets, now) {
                Some(registration) if !home::is_kept(turn, &registration) => {}
                Some(registration) => {
                    let id = self.registrations.insert(registration);
                    self.arm_expiry(turn, id);
                }
                // The node keeps records of its own; a damaged one of ours costs its user a new registration.
                None => turn.count("restored", "not a registration"),
            }
        }
        self.resume_subscriptions(turn, records);
        let (registrations, subscriptions) = (self.registrations.len(), self.subscriptions.len());
        tracing::info!(registrations, subscriptions, "restored");
    }
}
