//! User-Data: the profile of a subscription that an HSS hands to an S-CSCF (TS 29.228 Annexes B, E and F).
//!
//! [`parse`] reads what real HSSs send: any namespace prefix, unknown elements and any nesting of Extension are taken.
//! [`validate`] asks in addition for what Annex E asks, and is for data that a person imports. [`write`] gives the form
//! that passes it. Stops short of ReferenceLocationInformation, ServiceLevelTraceInfo and ExtendedPriority, which are
//! passed over.

mod element;
mod read;
mod sequence;
mod split;
mod write;

pub use read::{criteria, parse, validate};
pub use split::{Split, split};
pub use write::write;

use std::fmt;

/// The root of User-Data: one private identity's view of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImsSubscription {
    /// PrivateID.
    pub private_id: String,
    /// In the order of the document; at least one.
    pub service_profiles: Vec<ServiceProfile>,
    /// The IMSI, where the HSS tells it.
    pub imsi: Option<String>,
}

impl ImsSubscription {
    /// Every public identity with its profile, in the order of the document.
    pub fn public_identities(&self) -> impl Iterator<Item = (&PublicIdentity, &ServiceProfile)> {
        self.service_profiles
            .iter()
            .flat_map(|profile| profile.public_identities.iter().map(move |identity| (identity, profile)))
    }

    /// The default public identity: the first that is distinct and not barred (TS 29.228 §6.5.1.1).
    pub fn default_identity(&self) -> Option<&PublicIdentity> {
        self.public_identities()
            .map(|(identity, _)| identity)
            .find(|identity| !identity.is_barred && identity.identity_type == IdentityType::DistinctImpu)
    }
}

/// The services of some public identities of one implicit registration set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceProfile {
    /// In the order of the document; at least one.
    pub public_identities: Vec<PublicIdentity>,
    /// `None` restricts nothing.
    pub core_network_services: Option<CoreNetworkServices>,
    /// Sorted by priority, the one that is evaluated first in front.
    pub filter_criteria: Vec<InitialFilterCriteria>,
    /// Sets of filter criteria that the S-CSCF knows by number.
    pub shared_ifc_set_ids: Vec<u32>,
}

/// One public identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicIdentity {
    /// A SIP or tel URI; of a wildcarded identity an example of it.
    pub identity: String,
    /// BarringIndication: may be used to register, and for nothing else.
    pub is_barred: bool,
    /// What kind of identity it is.
    pub identity_type: IdentityType,
    /// The expression of a wildcarded PSI.
    pub wildcarded_psi: Option<String>,
    /// The expression of a wildcarded public user identity.
    pub wildcarded_impu: Option<String>,
    /// The name that goes with it.
    pub display_name: Option<String>,
    /// Identities of one group are aliases of each other.
    pub alias_group: Option<String>,
    /// How urgent its sessions are, 0 (most) to 4.
    pub service_priority_level: Option<u32>,
    /// How many contacts may be registered at once.
    pub max_simultaneous_registrations: Option<u32>,
}

/// IdentityType of a public identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityType {
    /// 0, and what an absent element means.
    #[default]
    DistinctImpu,
    /// 1.
    DistinctPsi,
    /// 2.
    WildcardedPsi,
    /// 3: an identity that lies within a wildcarded one.
    NonDistinctImpu,
    /// 4.
    WildcardedImpu,
}

/// What a subscriber may use of the core network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreNetworkServices {
    /// Names a media policy of the S-CSCF.
    pub subscribed_media_profile_id: Option<u32>,
    /// The IMS communication services that are subscribed to.
    pub service_ids: Vec<String>,
}

/// Which requests go to which application server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitialFilterCriteria {
    /// The lower the earlier; unique within a profile.
    pub priority: u32,
    /// `None` matches every request.
    pub trigger_point: Option<TriggerPoint>,
    /// Where a matching request goes.
    pub application_server: ApplicationServer,
    /// `None` holds for registered and unregistered users.
    pub profile_part: Option<ProfilePart>,
}

/// ProfilePartIndicator: the state of the user in which criteria hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfilePart {
    /// 0.
    Registered,
    /// 1.
    Unregistered,
}

/// A Boolean expression over conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerPoint {
    /// How groups and the conditions in them are joined.
    pub form: ConditionForm,
    /// At least one.
    pub triggers: Vec<ServicePointTrigger>,
}

/// ConditionTypeCNF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConditionForm {
    /// OR between groups, AND inside (false).
    #[default]
    Disjunctive,
    /// AND between groups, OR inside (true).
    Conjunctive,
}

/// SPT: one condition, and the groups that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePointTrigger {
    /// ConditionNegated.
    pub is_negated: bool,
    /// At least one.
    pub groups: Vec<u32>,
    /// What is looked at.
    pub condition: Condition,
    /// With the method REGISTER: the kinds of registration that match; all when empty.
    pub registration_types: Vec<RegistrationType>,
}

/// What an SPT looks at. Expressions are POSIX extended regular expressions (TS 29.228 Annex F).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// An expression on the host and port of a SIP Request-URI, or on the subscriber part of a tel one.
    RequestUri(String),
    /// The method, literally.
    Method(String),
    /// An expression on the name of a header field, and one on each of its values; without one, presence.
    SipHeader {
        /// On the name.
        header: String,
        /// On the value.
        content: Option<String>,
    },
    /// Who is served, and in which state.
    SessionCase(SessionCase),
    /// An expression on the type letter of an SDP line, and one on its value; without one, presence.
    SessionDescription {
        /// On the type.
        line: String,
        /// On the value.
        content: Option<String>,
    },
}

/// SessionCase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionCase {
    /// 0.
    OriginatingRegistered,
    /// 1.
    TerminatingRegistered,
    /// 2.
    TerminatingUnregistered,
    /// 3.
    OriginatingUnregistered,
    /// 4: originating after a call diversion.
    OriginatingCdiv,
}

/// RegistrationType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistrationType {
    /// 0.
    Initial,
    /// 1.
    ReRegistration,
    /// 2.
    DeRegistration,
}

/// An application server, and what it wants to hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplicationServer {
    /// Its SIP URI.
    pub server_name: String,
    /// What to do when it does not answer.
    pub default_handling: DefaultHandling,
    /// Text for the body of third-party registrations.
    pub service_info: Option<String>,
    /// Third-party registrations carry the UE's REGISTER.
    pub includes_register_request: bool,
    /// Third-party registrations carry the answer to the UE's REGISTER.
    pub includes_register_response: bool,
}

/// DefaultHandling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultHandling {
    /// 0 SESSION_CONTINUED, and what an absent element means.
    #[default]
    SessionContinued,
    /// 1 SESSION_TERMINATED.
    SessionTerminated,
}

/// Why a document is not User-Data. Carries names of elements, never their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDataError {
    /// The line of the document, from 1.
    pub line: u32,
    /// What is wrong there.
    pub reason: String,
}

impl UserDataError {
    fn new(line: u32, reason: impl Into<String>) -> UserDataError {
        UserDataError { line, reason: reason.into() }
    }
}

impl fmt::Display for UserDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for UserDataError {}

/// Reads any octets as User-Data; what is taken must come back the same after writing and reading.
pub fn fuzz_user_data(data: &[u8]) {
    let _ = validate(data);
    let identities = split(data).and_then(|split| split.identities());
    if let Ok(subscription) = parse(data) {
        if let Some(identities) = identities {
            assert_eq!(identities.private_id, subscription.private_id, "the parts say what the whole says");
            let of = |subscription: &ImsSubscription| -> Vec<PublicIdentity> {
                subscription.public_identities().map(|(identity, _)| identity.clone()).collect()
            };
            assert_eq!(of(&identities), of(&subscription), "the parts say what the whole says");
        }
        let again = parse(write(&subscription).as_bytes());
        assert_eq!(again.as_ref(), Ok(&subscription), "what is written reads as it was");
    }
}

#[cfg(test)]
mod tests;
