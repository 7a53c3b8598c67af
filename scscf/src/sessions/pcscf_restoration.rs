//! P-CSCF restoration by the HSS (TS 23.380 §5.4): a P-CSCF that does not answer is gone, and with it the way to its UEs. The
//! HSS has the access network send them to another P-CSCF; until a UE has registered there it is not registered.
//!
//! An HSS that does not know the mechanism changes nothing, and neither do we.

use crate::registrar::binding::{Binding, Change};
use crate::registrar::registrations::RegistrationId;
use crate::registrar::{saa, same_uri};
use crate::role::Scscf;
use crate::waiting::{Cause, Waiting};
use cscf::identity::Impi;
use cscf::query::Query;
use cscf::{Failure, Turn};
use diameter_client::cx::{
    CxAnswer, CxRequest, P_CSCF_RESTORATION, P_CSCF_RESTORATION_INDICATION, ServerAssignmentType,
    SupportedFeatures, UserDataAlreadyAvailable,
};
use diameter_client::endpoint::CxFailure;
use sip_core::Status;
use smallvec::SmallVec;

/// Whether a failure says that nobody is there: no response at all, not even a provisional one; or that whoever is there has
/// lost what it knew (TS 24.229 §4.14: a 404).
pub fn is_sign_of_loss(failure: &Failure<'_>) -> bool {
    match failure {
        Failure::Timeout { answered } => !answered,
        Failure::Unreachable(_) => true,
        Failure::Response(response) => response.status() == Some(Status::NOT_FOUND),
    }
}

/// What the HSS is told of a private identity whose P-CSCF is gone: where it is the only one, the user is served on as one who
/// is not registered (TS 29.229 §6.3.15).
pub fn assignment_type(private_identities: usize) -> ServerAssignmentType {
    match private_identities {
        0 | 1 => ServerAssignmentType::UnregisteredUser,
        _ => ServerAssignmentType::AdministrativeDeregistration,
    }
}

impl Scscf {
    /// Remembers by which contact a branch goes, where that may matter.
    pub(super) fn remember_branch(&self, turn: &mut Turn<'_, Scscf>, branch: u16, binding: &Binding) {
        if self.config.scscf.pcscf_restoration || binding.reg_id.is_some() {
            turn.data().tried.push((branch, binding.clone()));
        }
    }

    /// A branch failed: whether its P-CSCF is gone, which the HSS is told then.
    pub(crate) fn is_pcscf_gone(
        &self,
        turn: &mut Turn<'_, Scscf>,
        branch: u16,
        failure: &Failure<'_>,
    ) -> bool {
        // Another failure says nothing of the P-CSCF.
        if !self.config.scscf.pcscf_restoration || !is_sign_of_loss(failure) {
            return false;
        }
        let data = turn.data();
        let tried = data.tried.iter().find(|(number, _)| *number == branch);
        let (Some((_, binding)), Some(served)) = (tried, &data.served) else { return false };
        let (binding, key) = (binding.clone(), served.key().clone());
        // Without a Path it is the UE itself that is silent.
        if binding.path().next().is_none() {
            return false;
        }
        let Some((id, registration)) = self.registrations.find(&key) else { return false };
        let stands = registration.bindings.iter().any(|standing| standing.is_same(&binding, same_uri));
        let Some(named) = registration.named().filter(|_| stands) else { return false };
        let impi = binding.impi();
        let mut sar = self.assignment(assignment_type(registration.impis().len()), Some(&impi), &named);
        sar.user_data_already_available = UserDataAlreadyAvailable::AlreadyAvailable;
        sar.sar_flags = Some(P_CSCF_RESTORATION_INDICATION);
        turn.count("registration", "p-cscf gone");
        tracing::warn!(%impi, "the P-CSCF of a user does not answer; the HSS is told");
        let request = Box::new(CxRequest::Sar(sar));
        turn.query(
            Query::Cx { request, destination: self.hss(), trace: None },
            Waiting::PcscfGone { id, impi },
        );
        true
    }

    /// The HSS has taken over, or cannot: only then does anything change here.
    pub(crate) fn pcscf_restoration_begun(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        id: RegistrationId,
        impi: &Impi,
        answer: &Result<CxAnswer, CxFailure>,
    ) {
        let has_begun = saa(answer).is_ok_and(|saa| {
            let own = [SupportedFeatures::cx(P_CSCF_RESTORATION)];
            saa.result.is_success() && SupportedFeatures::common(&saa.details.supported_features, &own) != 0
        });
        if !has_begun {
            turn.count("registration", "p-cscf restoration refused");
            return tracing::warn!(%impi, "the HSS does not restore P-CSCFs; the registration stands");
        }
        let Some(registration) = self.registrations.get(id) else { return };
        let is_of = |binding: &Binding| binding.is_of(impi);
        let (gone, stay): (SmallVec<[Binding; 1]>, SmallVec<[Binding; 1]>) =
            registration.bindings.iter().cloned().partition(is_of);
        gone.iter().for_each(|binding| self.note(id, binding, Change::Deactivated));
        self.registrations.bind(id, stay);
        self.authentications.forget(impi);
        let records = self.keep_or_drop(turn, id, Cause::Pcscf);
        self.tell_subscribers(turn, id);
        turn.query(Query::Store(records.clone()), Waiting::StoredAlone { records });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::{Limits, Message};

    #[test]
    fn a_user_with_one_private_identity_is_served_on_unregistered_and_one_of_several_goes() {
        for (private_identities, expected) in [
            (1, ServerAssignmentType::UnregisteredUser),
            (2, ServerAssignmentType::AdministrativeDeregistration),
        ] {
            assert_eq!(assignment_type(private_identities), expected);
        }
    }

    #[test]
    fn a_phone_that_rings_or_refuses_shows_that_its_pcscf_is_there() {
        assert!(is_sign_of_loss(&Failure::Timeout { answered: false }));
        assert!(is_sign_of_loss(&Failure::Unreachable("no route")));
        assert!(!is_sign_of_loss(&Failure::Timeout { answered: true }));
        for (status, expected) in [(404, true), (486, false), (480, false)] {
            let text = format!("SIP/2.0 {status} No\r\nCSeq: 1 INVITE\r\n\r\n");
            let response = Message::parse(text.into_bytes(), &Limits::default()).expect("a response");
            assert_eq!(is_sign_of_loss(&Failure::Response(&response)), expected, "{status}");
        }
    }
}
