//! Registration for emergencies (TS 24.229 §5.4.8.2): it stands beside whatever else the user has registered, makes nobody
//! registered at the HSS (TS 29.228 Annex G), asks neither for barring nor for roaming, is told to no application server,
//! and ends by its own time alone.

use super::assignment::Profile;
use super::register::Register;
use crate::role::Scscf;
use cscf::{Reject, Turn, emergency};
use diameter_client::cx::ServerAssignmentType;
use sip_core::{Name, Status};

impl Scscf {
    /// The user is who he says, and may need help.
    pub(super) fn assign_for_emergency(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        register: Box<Register>,
        authentication_info: Option<String>,
    ) -> Result<(), Reject> {
        if self.registrations.find(&register.impu).is_some() {
            let updated = self.binding_update(turn, &register)?;
            return self.commit(turn, register, updated, Profile::Kept, None, authentication_info);
        }
        let most = self.config.scscf.registrations_max;
        if self.registrations.len() >= most.saturating_add(emergency::reserve(most)) {
            return Err(Reject::new(Status::SERVICE_UNAVAILABLE, "too many registrations")
                .header(Name::RetryAfter, "60"));
        }
        self.ask_assignment(turn, register, ServerAssignmentType::UnregisteredUser, &[], authentication_info);
        Ok(())
    }
}
