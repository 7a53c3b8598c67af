//! User-Authorization: may this user register, and where (TS 29.228 §6.1.1).

use super::body::Body;
use super::{AnswerDetails, CxResult, Fault, ServerCapabilities, SupportedFeatures};
use crate::dictionary::avp;
use crate::wire::{RawAvp, Writer};

/// User-Authorization-Type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum UserAuthorizationType {
    /// Initial registration or re-registration; what an absent AVP means.
    #[default]
    Registration = 0,
    /// De-registration.
    DeRegistration = 1,
    /// Registration, and the capabilities are wanted because the assigned S-CSCF does not answer.
    RegistrationAndCapabilities = 2,
}

impl UserAuthorizationType {
    /// The value of this number.
    pub fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Registration),
            1 => Some(Self::DeRegistration),
            2 => Some(Self::RegistrationAndCapabilities),
            _ => None,
        }
    }
}

/// Bit of UAR-Flags: an emergency registration.
pub const UAR_EMERGENCY: u32 = 1;

/// User-Authorization-Request, I-CSCF to HSS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uar {
    /// User-Name: the private identity.
    pub user_name: String,
    /// Public-Identity that registers.
    pub public_identity: String,
    /// Visited-Network-Identifier, the value of P-Visited-Network-ID.
    pub visited_network: Vec<u8>,
    /// User-Authorization-Type.
    pub authorization_type: UserAuthorizationType,
    /// UAR-Flags; see [`UAR_EMERGENCY`].
    pub uar_flags: Option<u32>,
    /// Supported-Features.
    pub supported_features: Vec<SupportedFeatures>,
    /// AVPs that this crate does not know, as they came.
    pub unknown: Vec<RawAvp>,
}

impl Uar {
    /// Whether the registration is an emergency registration.
    pub fn is_emergency(&self) -> bool {
        self.uar_flags.unwrap_or(0) & UAR_EMERGENCY != 0
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text(&avp::USER_NAME, &self.user_name);
        SupportedFeatures::write_all(&self.supported_features, writer);
        writer.text(&avp::PUBLIC_IDENTITY, &self.public_identity);
        writer.octets(&avp::VISITED_NETWORK_IDENTIFIER, &self.visited_network);
        writer.unsigned32(&avp::USER_AUTHORIZATION_TYPE, self.authorization_type as u32);
        writer.unsigned32_if(&avp::UAR_FLAGS, self.uar_flags);
        writer.raws(&self.unknown);
    }

    pub(crate) fn read(body: &mut Body<'_>) -> Result<Uar, Fault> {
        Ok(Uar {
            user_name: body.text(&avp::USER_NAME)?,
            public_identity: body.text(&avp::PUBLIC_IDENTITY)?,
            visited_network: body.octets(&avp::VISITED_NETWORK_IDENTIFIER)?,
            authorization_type: body
                .enumerated_if(&avp::USER_AUTHORIZATION_TYPE, UserAuthorizationType::from_code)?
                .unwrap_or_default(),
            uar_flags: body.unsigned32_if(&avp::UAR_FLAGS)?,
            supported_features: SupportedFeatures::take_all(body)?,
            unknown: body.rest()?,
        })
    }
}

/// User-Authorization-Answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uaa {
    /// FIRST_REGISTRATION, SUBSEQUENT_REGISTRATION, SUCCESS for a de-registration, or why not.
    pub result: CxResult,
    /// Server-Name: the S-CSCF that serves the user.
    pub server_name: Option<String>,
    /// Server-Capabilities to select an S-CSCF by. Some HSSs send neither these nor a name with FIRST_REGISTRATION:
    /// then any S-CSCF will do.
    pub server_capabilities: Option<ServerCapabilities>,
    /// Features, diagnosis and unknown AVPs.
    pub details: AnswerDetails,
}

impl Uaa {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text_if(&avp::SERVER_NAME, self.server_name.as_deref());
        if let Some(capabilities) = &self.server_capabilities {
            capabilities.write(writer);
        }
    }

    pub(crate) fn read(body: &mut Body<'_>, result: CxResult) -> Result<Uaa, Fault> {
        Ok(Uaa {
            result,
            server_name: body.text_if(&avp::SERVER_NAME)?,
            server_capabilities: ServerCapabilities::take(body)?,
            details: AnswerDetails::default(),
        })
    }
}
