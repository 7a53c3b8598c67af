//! Registration-Termination: the HSS ends registrations (TS 29.228 §6.1.3).

use super::body::Body;
use super::{AnswerDetails, CxResult, Fault, SupportedFeatures};
use crate::dictionary::avp;
use crate::wire::{RawAvp, Writer};

/// Reason-Code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ReasonCode {
    /// The subscription ends: contacts are de-registered.
    #[default]
    PermanentTermination = 0,
    /// Another S-CSCF serves the user: local data is dropped.
    NewServerAssigned = 1,
    /// The user is asked to register again, at another S-CSCF.
    ServerChange = 2,
    /// The S-CSCF drops what it keeps for an unregistered user.
    RemoveScscf = 3,
}

impl ReasonCode {
    /// The value of this number.
    pub fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::PermanentTermination),
            1 => Some(Self::NewServerAssigned),
            2 => Some(Self::ServerChange),
            3 => Some(Self::RemoveScscf),
            _ => None,
        }
    }
}

/// Deregistration-Reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeregistrationReason {
    /// Reason-Code.
    pub code: ReasonCode,
    /// Reason-Info, which may be passed on to the user.
    pub info: Option<String>,
}

/// Registration-Termination-Request, HSS to S-CSCF; its Destination-Host is in the envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rtr {
    /// User-Name: the private identity.
    pub user_name: String,
    /// Deregistration-Reason.
    pub reason: DeregistrationReason,
    /// Public-Identity to de-register; none means all of the private identities.
    pub public_identities: Vec<String>,
    /// Associated-Identities: further private identities of the subscription.
    pub associated_identities: Vec<String>,
    /// RTR-Flags.
    pub rtr_flags: Option<u32>,
    /// Supported-Features.
    pub supported_features: Vec<SupportedFeatures>,
    /// AVPs that this crate does not know, as they came.
    pub unknown: Vec<RawAvp>,
}

impl Rtr {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text(&avp::USER_NAME, &self.user_name);
        write_associated_identities(&self.associated_identities, writer);
        SupportedFeatures::write_all(&self.supported_features, writer);
        writer.texts(&avp::PUBLIC_IDENTITY, &self.public_identities);
        writer.group(&avp::DEREGISTRATION_REASON, |w| {
            w.unsigned32(&avp::REASON_CODE, self.reason.code as u32);
            w.text_if(&avp::REASON_INFO, self.reason.info.as_deref());
        });
        writer.unsigned32_if(&avp::RTR_FLAGS, self.rtr_flags);
        writer.raws(&self.unknown);
    }

    pub(crate) fn read(body: &mut Body<'_>) -> Result<Rtr, Fault> {
        Ok(Rtr {
            user_name: body.text(&avp::USER_NAME)?,
            reason: body.group(&avp::DEREGISTRATION_REASON, |inside| {
                Ok(DeregistrationReason {
                    code: inside.enumerated(&avp::REASON_CODE, ReasonCode::from_code)?,
                    info: inside.text_if(&avp::REASON_INFO)?,
                })
            })?,
            public_identities: body.texts(&avp::PUBLIC_IDENTITY)?,
            associated_identities: take_associated_identities(body)?,
            rtr_flags: body.unsigned32_if(&avp::RTR_FLAGS)?,
            supported_features: SupportedFeatures::take_all(body)?,
            unknown: body.rest()?,
        })
    }
}

/// Identity-with-Emergency-Registration: a pair that stays registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmergencyIdentity {
    /// User-Name.
    pub user_name: String,
    /// Public-Identity.
    pub public_identity: String,
}

/// Registration-Termination-Answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rta {
    /// SUCCESS; LIMITED_SUCCESS or UNABLE_TO_COMPLY when some or all identities are registered for emergency.
    pub result: CxResult,
    /// Associated-Identities that were de-registered.
    pub associated_identities: Vec<String>,
    /// Identity-with-Emergency-Registration: what was not de-registered.
    pub emergency_identities: Vec<EmergencyIdentity>,
    /// Features, diagnosis and unknown AVPs.
    pub details: AnswerDetails,
}

impl Rta {
    pub(crate) fn write(&self, writer: &mut Writer) {
        write_associated_identities(&self.associated_identities, writer);
        for identity in &self.emergency_identities {
            writer.group(&avp::IDENTITY_WITH_EMERGENCY_REGISTRATION, |w| {
                w.text(&avp::USER_NAME, &identity.user_name);
                w.text(&avp::PUBLIC_IDENTITY, &identity.public_identity);
            });
        }
    }

    pub(crate) fn read(body: &mut Body<'_>, result: CxResult) -> Result<Rta, Fault> {
        Ok(Rta {
            result,
            associated_identities: take_associated_identities(body)?,
            emergency_identities: body.groups(&avp::IDENTITY_WITH_EMERGENCY_REGISTRATION, |inside| {
                Ok(EmergencyIdentity {
                    user_name: inside.text(&avp::USER_NAME)?,
                    public_identity: inside.text(&avp::PUBLIC_IDENTITY)?,
                })
            })?,
            details: AnswerDetails::default(),
        })
    }
}

/// Writes Associated-Identities, unless there are none.
pub(super) fn write_associated_identities(user_names: &[String], writer: &mut Writer) {
    if !user_names.is_empty() {
        writer.group(&avp::ASSOCIATED_IDENTITIES, |w| w.texts(&avp::USER_NAME, user_names));
    }
}

/// Takes Associated-Identities; absent and empty mean the same.
pub(super) fn take_associated_identities(body: &mut Body<'_>) -> Result<Vec<String>, Fault> {
    let user_names = body.group_if(&avp::ASSOCIATED_IDENTITIES, |inside| inside.texts(&avp::USER_NAME))?;
    Ok(user_names.unwrap_or_default())
}
