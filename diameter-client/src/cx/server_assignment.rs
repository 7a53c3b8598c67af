//! Server-Assignment: the S-CSCF takes or gives up a user and fetches the profile (TS 29.228 §6.1.2).

use super::body::Body;
use super::registration_termination::{take_associated_identities, write_associated_identities};
use super::{AnswerDetails, ChargingInformation, CxResult, Fault, ScscfRestorationInfo, SupportedFeatures};
use crate::dictionary::avp;
use crate::wire::{RawAvp, Writer};

/// Server-Assignment-Type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ServerAssignmentType {
    /// The profile is wanted, nothing changes.
    #[default]
    NoAssignment = 0,
    /// The user registered for the first time.
    Registration = 1,
    /// The user registered again.
    ReRegistration = 2,
    /// A session for a user who is not registered.
    UnregisteredUser = 3,
    /// The registration ran out.
    TimeoutDeregistration = 4,
    /// The user de-registered.
    UserDeregistration = 5,
    /// The registration ran out, the S-CSCF would keep the user.
    TimeoutDeregistrationStoreServerName = 6,
    /// The user de-registered, the S-CSCF would keep the user.
    UserDeregistrationStoreServerName = 7,
    /// The network ended the registration.
    AdministrativeDeregistration = 8,
    /// Authentication failed.
    AuthenticationFailure = 9,
    /// Authentication was not completed.
    AuthenticationTimeout = 10,
    /// The profile is more than the S-CSCF can hold.
    DeregistrationTooMuchData = 11,
}

impl ServerAssignmentType {
    /// The value of this number; 12 to 14 belong to SWx and not to Cx.
    pub fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::NoAssignment,
            1 => Self::Registration,
            2 => Self::ReRegistration,
            3 => Self::UnregisteredUser,
            4 => Self::TimeoutDeregistration,
            5 => Self::UserDeregistration,
            6 => Self::TimeoutDeregistrationStoreServerName,
            7 => Self::UserDeregistrationStoreServerName,
            8 => Self::AdministrativeDeregistration,
            9 => Self::AuthenticationFailure,
            10 => Self::AuthenticationTimeout,
            11 => Self::DeregistrationTooMuchData,
            _ => return None,
        })
    }

    /// Whether it ends a registration; only then may there be several Public-Identity, or none (TS 29.228 §6.1.2).
    pub fn is_deregistration(self) -> bool {
        use ServerAssignmentType::*;
        matches!(
            self,
            TimeoutDeregistration
                | UserDeregistration
                | TimeoutDeregistrationStoreServerName
                | UserDeregistrationStoreServerName
                | AdministrativeDeregistration
                | DeregistrationTooMuchData
        )
    }
}

/// User-Data-Already-Available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum UserDataAlreadyAvailable {
    /// The S-CSCF needs the profile.
    #[default]
    NotAvailable = 0,
    /// The S-CSCF has the profile.
    AlreadyAvailable = 1,
}

impl UserDataAlreadyAvailable {
    /// The value of this number.
    pub fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::NotAvailable),
            1 => Some(Self::AlreadyAvailable),
            _ => None,
        }
    }
}

/// SAR-Flags, bit 0: the P-CSCF of the user is gone, and the access network is to send the UE to another one (TS 29.229
/// §6.3.63); with UNREGISTERED_USER and ADMINISTRATIVE_DEREGISTRATION.
pub const P_CSCF_RESTORATION_INDICATION: u32 = 1 << 0;

/// Server-Assignment-Request, S-CSCF to HSS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sar {
    /// Server-Name: the S-CSCF, as a SIP URI.
    pub server_name: String,
    /// Server-Assignment-Type.
    pub assignment_type: ServerAssignmentType,
    /// User-Data-Already-Available.
    pub user_data_already_available: UserDataAlreadyAvailable,
    /// User-Name: the private identity; may be absent for UNREGISTERED_USER and de-registrations.
    pub user_name: Option<String>,
    /// Public-Identity: exactly one, except for de-registrations.
    pub public_identities: Vec<String>,
    /// Wildcarded-Public-Identity that the identity matched.
    pub wildcarded_public_identity: Option<String>,
    /// SCSCF-Restoration-Info to keep.
    pub restoration_info: Option<ScscfRestorationInfo>,
    /// Multiple-Registration-Indication: whether the user registers several contacts.
    pub is_multiple_registration: Option<bool>,
    /// Session-Priority, 0 (highest) to 4.
    pub session_priority: Option<u32>,
    /// SAR-Flags.
    pub sar_flags: Option<u32>,
    /// Supported-Features.
    pub supported_features: Vec<SupportedFeatures>,
    /// AVPs that this crate does not know, as they came.
    pub unknown: Vec<RawAvp>,
}

/// An Enumerated of two values, 0 and 1.
fn either(code: u32) -> Option<bool> {
    match code {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

impl Sar {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text_if(&avp::USER_NAME, self.user_name.as_deref());
        SupportedFeatures::write_all(&self.supported_features, writer);
        writer.texts(&avp::PUBLIC_IDENTITY, &self.public_identities);
        writer.text_if(&avp::WILDCARDED_PUBLIC_IDENTITY, self.wildcarded_public_identity.as_deref());
        writer.text(&avp::SERVER_NAME, &self.server_name);
        writer.unsigned32(&avp::SERVER_ASSIGNMENT_TYPE, self.assignment_type as u32);
        writer.unsigned32(&avp::USER_DATA_ALREADY_AVAILABLE, self.user_data_already_available as u32);
        if let Some(info) = &self.restoration_info {
            info.write(writer);
        }
        writer.unsigned32_if(
            &avp::MULTIPLE_REGISTRATION_INDICATION,
            self.is_multiple_registration.map(u32::from),
        );
        writer.unsigned32_if(&avp::SESSION_PRIORITY, self.session_priority);
        writer.unsigned32_if(&avp::SAR_FLAGS, self.sar_flags);
        writer.raws(&self.unknown);
    }

    pub(crate) fn read(body: &mut Body<'_>) -> Result<Sar, Fault> {
        Ok(Sar {
            server_name: body.text(&avp::SERVER_NAME)?,
            assignment_type: body
                .enumerated(&avp::SERVER_ASSIGNMENT_TYPE, ServerAssignmentType::from_code)?,
            user_data_already_available: body
                .enumerated(&avp::USER_DATA_ALREADY_AVAILABLE, UserDataAlreadyAvailable::from_code)?,
            user_name: body.text_if(&avp::USER_NAME)?,
            public_identities: body.texts(&avp::PUBLIC_IDENTITY)?,
            wildcarded_public_identity: body.text_if(&avp::WILDCARDED_PUBLIC_IDENTITY)?,
            restoration_info: body.group_if(&avp::SCSCF_RESTORATION_INFO, ScscfRestorationInfo::read)?,
            is_multiple_registration: body.enumerated_if(&avp::MULTIPLE_REGISTRATION_INDICATION, either)?,
            session_priority: body.unsigned32_if(&avp::SESSION_PRIORITY)?,
            sar_flags: body.unsigned32_if(&avp::SAR_FLAGS)?,
            supported_features: SupportedFeatures::take_all(body)?,
            unknown: body.rest()?,
        })
    }
}

/// Server-Assignment-Answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saa {
    /// SUCCESS, or why not; IN_ASSIGNMENT_TYPE may still carry restoration information.
    pub result: CxResult,
    /// User-Name.
    pub user_name: Option<String>,
    /// User-Data: the profile, as XML.
    pub user_data: Option<Vec<u8>>,
    /// Charging-Information.
    pub charging_information: Option<ChargingInformation>,
    /// Associated-Identities: all private identities of the subscription.
    pub associated_identities: Vec<String>,
    /// Loose-Route-Indication: whether loose routing is required to reach the user.
    pub is_loose_route_required: Option<bool>,
    /// SCSCF-Restoration-Info left by the S-CSCF before.
    pub restoration_infos: Vec<ScscfRestorationInfo>,
    /// Associated-Registered-Identities: private identities registered with the same public one.
    pub associated_registered_identities: Vec<String>,
    /// Server-Name of the S-CSCF that has the user, with IDENTITY_ALREADY_REGISTERED.
    pub server_name: Option<String>,
    /// Wildcarded-Public-Identity that the identity matched.
    pub wildcarded_public_identity: Option<String>,
    /// Priviledged-Sender-Indication.
    pub is_privileged_sender: Option<bool>,
    /// Features, diagnosis and unknown AVPs.
    pub details: AnswerDetails,
}

impl Saa {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text_if(&avp::USER_NAME, self.user_name.as_deref());
        writer.octets_if(&avp::USER_DATA, self.user_data.as_deref());
        if let Some(charging) = &self.charging_information {
            charging.write(writer);
        }
        write_associated_identities(&self.associated_identities, writer);
        writer.unsigned32_if(&avp::LOOSE_ROUTE_INDICATION, self.is_loose_route_required.map(u32::from));
        for info in &self.restoration_infos {
            info.write(writer);
        }
        if !self.associated_registered_identities.is_empty() {
            writer.group(&avp::ASSOCIATED_REGISTERED_IDENTITIES, |w| {
                w.texts(&avp::USER_NAME, &self.associated_registered_identities);
            });
        }
        writer.text_if(&avp::SERVER_NAME, self.server_name.as_deref());
        writer.text_if(&avp::WILDCARDED_PUBLIC_IDENTITY, self.wildcarded_public_identity.as_deref());
        writer.unsigned32_if(&avp::PRIVILEDGED_SENDER_INDICATION, self.is_privileged_sender.map(u32::from));
    }

    pub(crate) fn read(body: &mut Body<'_>, result: CxResult) -> Result<Saa, Fault> {
        Ok(Saa {
            result,
            user_name: body.text_if(&avp::USER_NAME)?,
            user_data: body.octets_if(&avp::USER_DATA)?,
            charging_information: ChargingInformation::take(body)?,
            associated_identities: take_associated_identities(body)?,
            is_loose_route_required: body.enumerated_if(&avp::LOOSE_ROUTE_INDICATION, either)?,
            restoration_infos: body.groups(&avp::SCSCF_RESTORATION_INFO, ScscfRestorationInfo::read)?,
            associated_registered_identities: body
                .group_if(&avp::ASSOCIATED_REGISTERED_IDENTITIES, |inside| inside.texts(&avp::USER_NAME))?
                .unwrap_or_default(),
            server_name: body.text_if(&avp::SERVER_NAME)?,
            wildcarded_public_identity: body.text_if(&avp::WILDCARDED_PUBLIC_IDENTITY)?,
            is_privileged_sender: body.enumerated_if(&avp::PRIVILEDGED_SENDER_INDICATION, either)?,
            details: AnswerDetails::default(),
        })
    }
}
