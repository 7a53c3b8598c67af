//! Location-Info: where the S-CSCF of a user is (TS 29.228 §6.1.4).

use super::body::Body;
use super::{AnswerDetails, CxResult, Fault, ServerCapabilities, SupportedFeatures, UserAuthorizationType};
use crate::dictionary::avp;
use crate::wire::{RawAvp, Writer};

/// Location-Info-Request, I-CSCF to HSS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lir {
    /// Public-Identity whose S-CSCF is wanted.
    pub public_identity: String,
    /// Originating-Request: the session comes from the user, by way of an AS.
    pub is_originating: bool,
    /// User-Authorization-Type; only REGISTRATION_AND_CAPABILITIES has a meaning here.
    pub authorization_type: Option<UserAuthorizationType>,
    /// Session-Priority, 0 (highest) to 4.
    pub session_priority: Option<u32>,
    /// Supported-Features.
    pub supported_features: Vec<SupportedFeatures>,
    /// AVPs that this crate does not know, as they came.
    pub unknown: Vec<RawAvp>,
}

/// The one value of Originating-Request.
const ORIGINATING: u32 = 0;

impl Lir {
    pub(crate) fn write(&self, writer: &mut Writer) {
        if self.is_originating {
            writer.unsigned32(&avp::ORIGINATING_REQUEST, ORIGINATING);
        }
        SupportedFeatures::write_all(&self.supported_features, writer);
        writer.text(&avp::PUBLIC_IDENTITY, &self.public_identity);
        writer.unsigned32_if(&avp::USER_AUTHORIZATION_TYPE, self.authorization_type.map(|t| t as u32));
        writer.unsigned32_if(&avp::SESSION_PRIORITY, self.session_priority);
        writer.raws(&self.unknown);
    }

    pub(crate) fn read(body: &mut Body<'_>) -> Result<Lir, Fault> {
        let originating = |code| (code == ORIGINATING).then_some(());
        // The command has no User-Name, yet an identity too many is no reason to refuse a call.
        body.take(&avp::USER_NAME)?;
        Ok(Lir {
            public_identity: body.text(&avp::PUBLIC_IDENTITY)?,
            is_originating: body.enumerated_if(&avp::ORIGINATING_REQUEST, originating)?.is_some(),
            authorization_type: body
                .enumerated_if(&avp::USER_AUTHORIZATION_TYPE, UserAuthorizationType::from_code)?,
            session_priority: body.unsigned32_if(&avp::SESSION_PRIORITY)?,
            supported_features: SupportedFeatures::take_all(body)?,
            unknown: body.rest()?,
        })
    }
}

/// Location-Info-Answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lia {
    /// SUCCESS with a name, UNREGISTERED_SERVICE with capabilities, or why not.
    pub result: CxResult,
    /// Server-Name: the S-CSCF, or the AS that hosts a public service identity.
    pub server_name: Option<String>,
    /// Server-Capabilities to select an S-CSCF by.
    pub server_capabilities: Option<ServerCapabilities>,
    /// Wildcarded-Public-Identity that the identity matched.
    pub wildcarded_public_identity: Option<String>,
    /// LIA-Flags.
    pub lia_flags: Option<u32>,
    /// Features, diagnosis and unknown AVPs.
    pub details: AnswerDetails,
}

impl Lia {
    /// Whether an S-CSCF is to be selected for the services of an unregistered user.
    ///
    /// Beside UNREGISTERED_SERVICE that is 3GPP's 2004 without a name: the Open5GS HSS sends it here, where TS 29.228
    /// has no use for it.
    pub fn is_unregistered_service(&self) -> bool {
        self.result == CxResult::UNREGISTERED_SERVICE
            || (self.result == CxResult::SUCCESS_SERVER_NAME_NOT_STORED && self.server_name.is_none())
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text_if(&avp::SERVER_NAME, self.server_name.as_deref());
        if let Some(capabilities) = &self.server_capabilities {
            capabilities.write(writer);
        }
        writer.text_if(&avp::WILDCARDED_PUBLIC_IDENTITY, self.wildcarded_public_identity.as_deref());
        writer.unsigned32_if(&avp::LIA_FLAGS, self.lia_flags);
    }

    pub(crate) fn read(body: &mut Body<'_>, result: CxResult) -> Result<Lia, Fault> {
        Ok(Lia {
            result,
            server_name: body.text_if(&avp::SERVER_NAME)?,
            server_capabilities: ServerCapabilities::take(body)?,
            wildcarded_public_identity: body.text_if(&avp::WILDCARDED_PUBLIC_IDENTITY)?,
            lia_flags: body.unsigned32_if(&avp::LIA_FLAGS)?,
            details: AnswerDetails::default(),
        })
    }
}
