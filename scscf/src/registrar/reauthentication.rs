//! Re-authentication by the network (TS 24.229 §5.4.1.6): the contacts run out sooner, whoever watches hears of it, and the
//! next REGISTER is challenged whatever vouches for it. A UE that does not react loses its registration.

use super::binding::Change;
use super::register::Register;
use super::registration::{Policy, Reauthenticate};
use super::registrations::State;
use crate::role::Scscf;
use crate::waiting::{Notice, Waiting};
use cscf::Turn;
use cscf::identity::Impu;
use cscf::query::Query;
use std::time::Duration;

impl Scscf {
    /// Lets a registration run out within a time, unless its user proves anew who it is.
    pub(crate) fn reauthenticate(&mut self, turn: &mut Turn<'_, Scscf>, impu: &Impu, within: Duration) {
        let latest = turn.now() + within;
        let found = self.registrations.find(impu);
        let Some((id, registration)) = found.filter(|(_, found)| found.state == State::Registered) else {
            return turn.notice(Notice::NotRegistered { impu: impu.clone() });
        };
        let mut bindings = registration.bindings.clone();
        let ordinary = bindings.iter_mut().filter(|binding| !binding.is_emergency);
        ordinary.for_each(|binding| binding.expires_at = binding.expires_at.min(latest));
        bindings.iter().for_each(|binding| self.note(id, binding, Change::Shortened));
        self.registrations.bind(id, bindings);
        if let Some(registration) = self.registrations.get_mut(id) {
            registration.must_prove = true;
        }
        self.arm_expiry(turn, id);
        turn.count("registration", "shortened");
        let records: Vec<_> = self.stored_form(turn, id).into_iter().collect();
        turn.query(Query::Store(records.clone()), Waiting::StoredAlone { records });
        self.tell_subscribers(turn, id);
        turn.notice(Notice::Shortened { impu: impu.clone() });
    }

    /// The operator's policy for a REGISTER: who is to prove anew who it is, is challenged always.
    pub(super) fn policy_for(&self, register: &Register) -> Policy {
        let found = self.registrations.find(&register.impu);
        match found.is_some_and(|(_, registration)| registration.must_prove) {
            true => Policy { reauthenticate: Reauthenticate::Always, ..self.policy },
            false => self.policy,
        }
    }

    /// A user of the registration has proven who it is.
    pub(super) fn has_proven(&mut self, impu: &Impu) {
        let id = self.registrations.find(impu).map(|(id, _)| id);
        if let Some(registration) = id.and_then(|id| self.registrations.get_mut(id)) {
            registration.must_prove = false;
        }
    }
}
