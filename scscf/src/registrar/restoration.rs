//! S-CSCF restoration (TS 23.380 §4): the HSS keeps what is needed to serve a registered user on, and gives it to an S-CSCF
//! that has lost its memory, or that has taken the place of another.

use super::assignment::Profile;
use super::binding::Binding;
use super::registrations::{Registration, RegistrationId, State};
use super::restoration_info::{self, Restored, Told, Watched, Watcher};
use super::same_uri;
use crate::role::Scscf;
use crate::waiting::Waiting;
use ambient::{Now, Wall};
use cscf::identity::{Impi, Impu};
use cscf::query::Query;
use cscf::{Reject, Turn};
use diameter_client::cx::{
    CxRequest, Saa, ScscfRestorationInfo, ServerAssignmentType, UserDataAlreadyAvailable,
};
use smallvec::SmallVec;
use std::time::Duration;

/// What was left with the HSS so lately may be of another shard, whose word has not come yet.
const MAY_BE_ANOTHER_SHARD: Duration = Duration::from_secs(5);
/// More private identities than that do not share a set: what the HSS answers is bounded by it.
const PRIVATE_IDENTITIES_MAX: usize = 16;

impl Scscf {
    /// What is left with the HSS for a private identity that has these bindings; `None` where nothing is.
    pub(super) fn restoration_info(
        &self,
        turn: &Turn<'_, Scscf>,
        impu: &Impu,
        impi: &Impi,
        bindings: &[Binding],
    ) -> Option<ScscfRestorationInfo> {
        if !self.config.scscf.restoration {
            return None;
        }
        let id = self.registrations.find(impu).map(|(id, _)| id);
        let watched: Vec<Watched<'_>> = id
            .filter(|_| !self.subscriptions.is_empty())
            .into_iter()
            .flat_map(|id| self.subscriptions.of(id))
            .filter_map(|id| self.subscriptions.get(id))
            .map(|subscription| Watched { dialog: &subscription.dialog, watcher: subscription.watcher })
            .collect();
        restoration_info::of(impi, bindings, &watched, now(turn))
    }

    /// The HSS knows how a registration stands.
    pub(super) fn has_told(&mut self, id: RegistrationId) {
        let is_on = self.config.scscf.restoration;
        if let Some(registration) = self.registrations.get_mut(id).filter(|_| is_on) {
            registration.told = Told::of(&registration.bindings);
        }
    }

    /// Tells the HSS how a registration stands, where that has changed by no request to it.
    pub(super) fn tell_what_changed(&mut self, turn: &mut Turn<'_, Scscf>, id: RegistrationId, impi: &Impi) {
        let Some(registration) = self.registrations.get(id) else { return };
        let now = turn.now();
        if self.config.scscf.restoration
            && !registration.told.is_some_and(|told| told.holds_for(&registration.bindings, now))
        {
            self.leave_with_hss(turn, id, impi);
        }
    }

    /// Leaves with the HSS what a private identity has, subscriptions included; nothing waits for it.
    pub(crate) fn leave_with_hss(&mut self, turn: &mut Turn<'_, Scscf>, id: RegistrationId, impi: &Impi) {
        let asked = ServerAssignmentType::ReRegistration;
        let Some(registration) = self.registrations.get(id) else { return };
        let Some(impu) = registration.named().filter(|_| registration.state == State::Registered) else {
            return;
        };
        let info = self.restoration_info(turn, &impu, impi, &registration.bindings);
        let Some(info) = info else { return };
        let mut sar = self.assignment(asked, Some(impi), &impu);
        sar.user_data_already_available = UserDataAlreadyAvailable::AlreadyAvailable;
        sar.restoration_info = Some(info);
        self.has_told(id);
        let request = Box::new(CxRequest::Sar(sar));
        turn.query(Query::Cx { request, destination: self.hss(), trace: None }, Waiting::Told { asked });
    }

    /// Whether what the HSS has kept is probably of another shard of this S-CSCF, which has the registration.
    pub(crate) fn is_of_another_shard(&self, turn: &Turn<'_, Scscf>, saa: &Saa) -> bool {
        let is_new = |restored: &Restored| {
            restored.written.is_some_and(|written: Wall| turn.wall().since(written) < MAY_BE_ANOTHER_SHARD)
        };
        turn.has_neighbours() && self.kept(turn, saa).iter().any(|(_, restored)| is_new(restored))
    }

    fn kept(&self, turn: &Turn<'_, Scscf>, saa: &Saa) -> Vec<(Impi, Restored)> {
        let section = &self.config.scscf;
        let infos = saa.restoration_infos.iter().take(PRIVATE_IDENTITIES_MAX);
        infos
            .map(|info| {
                let restored = restoration_info::restored(
                    info,
                    section.contacts_max,
                    section.expires_default,
                    now(turn),
                );
                (Impi::new(info.user_name.clone()), restored)
            })
            .collect()
    }

    /// Makes a registration of what the HSS has kept, or adds to it the private identities that it lacks; gives the profile
    /// back where there is nothing to be made of it.
    pub(crate) fn restore(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        impu: &Impu,
        profile: Profile,
        saa: &Saa,
    ) -> Result<Result<RegistrationId, Profile>, Reject> {
        if !self.config.scscf.restoration {
            return Ok(Err(profile));
        }
        let found = self.registrations.find(impu).map(|(_, found)| found);
        let is_lacking = |impi: &Impi| found.is_none_or(|found: &Registration| !found.has_binding_of(impi));
        let mut kept = self.kept(turn, saa);
        kept.retain(|(impi, restored)| !restored.bindings.is_empty() && is_lacking(impi));
        let too_many = found.is_none() && self.registrations.len() >= self.config.scscf.registrations_max;
        if kept.is_empty() || too_many {
            return Ok(Err(profile));
        }
        let id = self.adopt(turn, impu, profile)?;
        let Some(registration) = self.registrations.get_mut(id) else { return Ok(Err(Profile::Kept)) };
        registration.state = State::Registered;
        let mut bindings: SmallVec<[Binding; 1]> = registration.bindings.clone();
        let mut dialogs = Vec::new();
        for (_, restored) in kept {
            for binding in restored.bindings {
                let is_new = !bindings.iter().any(|known| known.is_same(&binding, same_uri));
                if is_new && bindings.len() < self.config.scscf.contacts_max {
                    bindings.push(binding);
                }
            }
            dialogs.extend(restored.subscriptions);
        }
        let contacts = bindings.len();
        self.registrations.bind(id, bindings);
        if let Some(charging) = &saa.charging_information {
            self.registrations.charge(id, charging.clone());
        }
        self.has_told(id);
        self.arm_expiry(turn, id);
        let mut records: Vec<_> = self.stored_form(turn, id).into_iter().collect();
        records.extend(self.resume_watching(turn, id, impu, dialogs));
        turn.query(Query::Store(records.clone()), Waiting::StoredAlone { records });
        turn.count("registration", "restored");
        tracing::info!(%impu, contacts, "a registration is restored from the HSS");
        Ok(Ok(id))
    }

    fn resume_watching(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        id: RegistrationId,
        impu: &Impu,
        dialogs: Vec<(sip_core::dialog::Dialog, Watcher)>,
    ) -> Vec<cscf::query::Record> {
        let mut records = Vec::new();
        for (dialog, watcher) in dialogs {
            records.extend(self.resume_subscription(turn, id, impu, dialog, watcher));
        }
        records
    }
}

fn now(turn: &Turn<'_, Scscf>) -> Now {
    Now { instant: turn.now(), wall: turn.wall() }
}
