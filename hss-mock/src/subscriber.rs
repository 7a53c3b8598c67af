//! What an HSS is provisioned with: subscriptions, their identities, profiles and rights (TS 23.228 §4.3.3.4).

use crate::credentials::Credentials;
use crate::identity::{Wildcard, canonical};
use cscf::user_data::{IdentityType, ImsSubscription, PublicIdentity, ServiceProfile};
use diameter_client::cx::{ChargingInformation, ServerCapabilities};
use ims_aka::Sqn;

/// One subscription: all its identities are served by one S-CSCF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Names the subscription among others; for people and as a key.
    pub name: String,
    /// The IMSI, which User-Data then tells the S-CSCF.
    pub imsi: Option<String>,
    /// At least one.
    pub private_identities: Vec<PrivateIdentity>,
    /// At least one.
    pub implicit_sets: Vec<ImplicitSet>,
    /// What an S-CSCF must have, or which one it is to be; `None` when any will do.
    pub server: Option<ServerCapabilities>,
    /// Where the subscriber may register from.
    pub roaming: Roaming,
    /// Whether the subscriber may register at all.
    pub registration: Permission,
    /// Whether services run for the subscriber who is not registered.
    pub unregistered_services: Permission,
    /// Where charging events go.
    pub charging: Option<ChargingInformation>,
}

/// Yes or no, as an operator says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    #[default]
    Allowed,
    /// No.
    Denied,
}

/// The networks that a subscriber may register from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roaming {
    /// Every network.
    #[default]
    Anywhere,
    /// These, by their Visited-Network-Identifier; letters count in either case.
    Networks(Vec<String>),
}

impl Roaming {
    /// Whether registering from this network is allowed.
    pub fn allows(&self, visited_network: &[u8]) -> bool {
        match self {
            Roaming::Anywhere => true,
            Roaming::Networks(networks) => {
                networks.iter().any(|network| network.as_bytes().eq_ignore_ascii_case(visited_network))
            }
        }
    }
}

/// A private identity and what it is authenticated with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateIdentity {
    /// The IMPI.
    pub impi: String,
    /// Its secrets.
    pub credentials: Credentials,
    /// The authentication management field of its vectors.
    pub amf: [u8; 2],
    /// The sequence number to start after, where no later one is on record.
    pub sqn: Sqn,
}

/// An implicit registration set: what registers with one of these public identities registers with all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImplicitSet {
    /// The private identities that may use the set; all of the subscription when empty.
    pub impis: Vec<String>,
    /// The public identities, in order, with their services. The first that is distinct and not barred is the default.
    pub service_profiles: Vec<ServiceProfile>,
    /// The AS that hosts a public service identity and is reached without an S-CSCF.
    pub application_server: Option<String>,
}

impl ImplicitSet {
    /// All public identities, in order.
    pub fn identities(&self) -> impl Iterator<Item = &PublicIdentity> {
        self.service_profiles.iter().flat_map(|profile| &profile.public_identities)
    }

    /// The identity with this canonical form.
    pub fn identity(&self, canonical_form: &str) -> Option<&PublicIdentity> {
        self.identities().find(|identity| canonical(&identity.identity) == canonical_form)
    }

    /// Whether any public user identity could be used for more than registering.
    pub fn has_unbarred(&self) -> bool {
        self.identities().any(|identity| !identity.is_barred)
    }

    /// The wildcards that the set holds.
    pub fn wildcards(&self) -> impl Iterator<Item = Wildcard> {
        self.identities()
            .filter_map(|identity| identity.wildcarded_impu.as_deref().or(identity.wildcarded_psi.as_deref()))
            .filter_map(Wildcard::new)
    }
}

impl Subscriber {
    /// The private identity of this name.
    pub fn private_identity(&self, impi: &str) -> Option<&PrivateIdentity> {
        self.private_identities.iter().find(|identity| identity.impi == impi)
    }

    /// The private identities that may use a set.
    pub fn impis_of<'a>(&'a self, set: &'a ImplicitSet) -> impl Iterator<Item = &'a str> {
        self.private_identities
            .iter()
            .map(|identity| identity.impi.as_str())
            .filter(|impi| set.impis.is_empty() || set.impis.iter().any(|allowed| allowed == impi))
    }

    /// User-Data of one set for one private identity (TS 29.228 §6.6).
    pub fn user_data(&self, set: &ImplicitSet, impi: &str) -> ImsSubscription {
        ImsSubscription {
            private_id: impi.to_owned(),
            service_profiles: set.service_profiles.clone(),
            imsi: self.imsi.clone(),
        }
    }

    /// What makes it unusable, in words; `Ok` when an HSS can serve it.
    pub fn check(&self) -> Result<(), String> {
        let impis = self.private_identities.iter().map(|identity| &identity.impi);
        if self.name.is_empty() || impis.chain([&self.name]).any(|name| name.contains(char::is_control)) {
            return Err("has no name, or a control character in a name".to_owned());
        }
        if self.private_identities.is_empty() {
            return Err("has no private identity".to_owned());
        }
        if self.implicit_sets.is_empty() {
            return Err("has no implicit registration set".to_owned());
        }
        for set in &self.implicit_sets {
            if set.identities().next().is_none() {
                return Err("has an implicit registration set without a public identity".to_owned());
            }
            if let Some(unknown) = set.impis.iter().find(|impi| self.private_identity(impi).is_none()) {
                return Err(format!("has an implicit registration set for {unknown}, which it has not"));
            }
        }
        Ok(())
    }
}

/// Whether an identity is one user's or service's own, and no pattern (TS 29.228 §6.1.1.1).
pub fn is_distinct(identity: &PublicIdentity) -> bool {
    matches!(identity.identity_type, IdentityType::DistinctImpu | IdentityType::DistinctPsi)
}
