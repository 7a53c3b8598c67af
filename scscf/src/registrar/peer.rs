//! What the HSS asks: Registration-Termination and Push-Profile (TS 29.228 §6.1.3, §6.2.2).

use super::assignment::USER_DATA_MAX;
use super::record;
use super::registrations::{RegistrationId, Registrations, State};
use crate::role::Scscf;
use crate::waiting::{Cause, Waiting};
use cscf::Turn;
use cscf::identity::{Impi, Impu};
use cscf::query::Query;
use cscf::user_data;
use diameter_client::cx::{CxRequest, CxResult, Ppr, ReasonCode, Rtr};
use diameter_client::endpoint::RequestId;

impl Scscf {
    /// A request of the HSS; its answer leaves when what it changed is stored.
    pub(crate) fn hss_asks(&mut self, turn: &mut Turn<'_, Scscf>, id: RequestId, request: CxRequest) {
        let outcome = match &request {
            CxRequest::Rtr(rtr) => Ok(self.terminate(turn, rtr)),
            CxRequest::Ppr(ppr) => self.push(turn, ppr),
            _ => Err(CxResult::COMMAND_UNSUPPORTED),
        };
        match outcome {
            Err(result) => turn.answer_peer(id, request.refuse(result)),
            Ok(records) if records.is_empty() => turn.answer_peer(id, request.refuse(CxResult::SUCCESS)),
            Ok(records) => {
                let answer = Box::new(request.refuse(CxResult::SUCCESS));
                let refusal = Box::new(request.refuse(CxResult::UNABLE_TO_COMPLY));
                turn.query(Query::Store(records), Waiting::StoredForPeer { id, answer, refusal });
            }
        }
    }

    /// Ends registrations. The HSS has changed its state already, so that no SAR follows (TS 29.228 §6.1.3.1).
    fn terminate(&mut self, turn: &mut Turn<'_, Scscf>, rtr: &Rtr) -> Vec<cscf::query::Record> {
        let mut impis = vec![Impi::new(rtr.user_name.clone())];
        impis.extend(rtr.associated_identities.iter().cloned().map(Impi::new));
        turn.count("registration", "ended by the hss");
        let mut records = Vec::new();
        for id in named(&self.registrations, rtr, &impis) {
            let Some(registration) = self.registrations.get_mut(id) else { continue };
            if rtr.reason.code == ReasonCode::RemoveScscf && registration.state == State::Registered {
                // Only the data of users who are not registered is to go.
                continue;
            }
            registration.bindings.retain(|binding| !impis.contains(&binding.impi));
            // TS 29.228 §6.1.3.1: with another S-CSCF in charge the data goes silently, and calls may run on.
            let cause = match rtr.reason.code {
                ReasonCode::PermanentTermination | ReasonCode::RemoveScscf => Cause::Hss,
                ReasonCode::NewServerAssigned | ReasonCode::ServerChange => Cause::Moved,
            };
            records.extend(self.keep_or_drop(turn, id, cause));
        }
        for impi in &impis {
            self.authentications.forget(impi);
        }
        records
    }

    /// Takes a new profile over, whole or not at all (TS 29.228 §6.5.2.1).
    fn push(&mut self, turn: &mut Turn<'_, Scscf>, ppr: &Ppr) -> Result<Vec<cscf::query::Record>, CxResult> {
        let impi = Impi::new(ppr.user_name.clone());
        let id = match &ppr.user_data {
            None => self.registrations.iter().find(|(_, set)| belongs_to(set, &impi)).map(|(id, _)| id),
            Some(xml) if xml.len() > USER_DATA_MAX => return Err(CxResult::TOO_MUCH_DATA),
            Some(xml) => {
                let pushed = user_data::parse(xml).map_err(|_| CxResult::NOT_SUPPORTED_USER_DATA)?;
                let default = pushed
                    .default_identity()
                    .and_then(|identity| Impu::parse(identity.identity.as_bytes()))
                    // An empty set, or one without a default identity, is ended by an RTR.
                    .ok_or(CxResult::NOT_SUPPORTED_USER_DATA)?;
                let (id, registration) = self.registrations.find(&default).ok_or(CxResult::USER_UNKNOWN)?;
                let stands =
                    registration.associated_uris().next().and_then(|uri| Impu::parse(uri.as_bytes()));
                if stands.is_some_and(|stands| stands != default) {
                    // A PPR cannot change the default identity.
                    return Err(CxResult::UNABLE_TO_COMPLY);
                }
                self.registrations.replace_profile(id, pushed);
                Some(id)
            }
        };
        let id = id.ok_or(CxResult::USER_UNKNOWN)?;
        let Some(registration) = self.registrations.get_mut(id) else { return Err(CxResult::USER_UNKNOWN) };
        if ppr.charging_information.is_some() {
            registration.charging = ppr.charging_information.clone();
        }
        turn.count("registration", "profile pushed");
        if registration.state == State::Unregistered {
            return Ok(Vec::new());
        }
        let now = ambient::Now { instant: turn.now(), wall: turn.wall() };
        Ok(vec![record::of(registration, now)])
    }
}

fn belongs_to(registration: &super::registrations::Registration, impi: &Impi) -> bool {
    registration.has_binding_of(impi) || registration.subscription.private_id == impi.as_str()
}

/// The registrations that an RTR means: those of its public identities, or else all of its private ones.
fn named(registrations: &Registrations, rtr: &Rtr, impis: &[Impi]) -> Vec<RegistrationId> {
    if rtr.public_identities.is_empty() {
        return registrations
            .iter()
            .filter(|(_, registration)| impis.iter().any(|impi| belongs_to(registration, impi)))
            .map(|(id, _)| id)
            .collect();
    }
    let mut ids: Vec<RegistrationId> = rtr
        .public_identities
        .iter()
        .filter_map(|identity| registrations.find(&Impu::parse(identity.as_bytes())?).map(|(id, _)| id))
        .collect();
    ids.sort();
    ids.dedup();
    ids
}
