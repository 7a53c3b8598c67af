//! An implicit registration set: the public identities that are registered together, and the services of each
//! (TS 23.228 §5.2.1a, TS 29.228 §6.5.1).

use super::profile_fault::ProfileFault;
use super::services::Services;
use crate::criteria::SharedSets;
use cscf::identity::{Impi, Impu};
use cscf::user_data::{IdentityType, ImsSubscription, PublicIdentity};
use smallvec::SmallVec;
use std::sync::Arc;

/// What of User-Data a registration keeps.
#[derive(Debug, PartialEq, Eq)]
pub struct ImplicitSet {
    /// The private identity that the profile was given for.
    pub private_id: Impi,
    identities: Box<[Identity]>,
    services: SmallVec<[Arc<Services>; 1]>,
}

/// One public identity of the set.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    text: Box<str>,
    canonical: Canonical,
    /// May be used to register, and for nothing else.
    pub is_barred: bool,
    /// What kind of identity it is.
    pub identity_type: IdentityType,
    /// Its place among the services of the set.
    profile: u16,
    details: Option<Arc<Details>>,
}

/// What few identities have, or many alike; the fields are those of [`PublicIdentity`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Details {
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

/// The form under which an identity is looked up.
#[derive(Debug, PartialEq, Eq)]
enum Canonical {
    /// As the HSS wrote it.
    Same,
    /// Another spelling of it.
    Other(Box<str>),
    /// It is no SIP or tel URI: nobody can ask for it.
    None,
}

impl Identity {
    /// The identity of a profile, the `profile`th of the set.
    pub fn new(identity: PublicIdentity, profile: u16) -> Identity {
        let details = Details {
            wildcarded_psi: identity.wildcarded_psi,
            wildcarded_impu: identity.wildcarded_impu,
            display_name: identity.display_name,
            alias_group: identity.alias_group,
            service_priority_level: identity.service_priority_level,
            max_simultaneous_registrations: identity.max_simultaneous_registrations,
        };
        // Of a wildcarded identity the element is an example; it is asked for by its expression (TS 29.228 §6.1.2.1).
        let expression = match identity.identity_type {
            IdentityType::WildcardedPsi => details.wildcarded_psi.as_deref(),
            IdentityType::WildcardedImpu => details.wildcarded_impu.as_deref(),
            IdentityType::DistinctImpu | IdentityType::DistinctPsi | IdentityType::NonDistinctImpu => None,
        };
        let asked_for = match expression {
            Some(expression) => Impu::of_wildcard(expression),
            None => Impu::parse(identity.identity.as_bytes()),
        };
        let canonical = match asked_for {
            Some(impu) if impu.as_str() == identity.identity => Canonical::Same,
            Some(impu) => Canonical::Other(impu.as_str().into()),
            None => Canonical::None,
        };
        Identity {
            text: identity.identity.into_boxed_str(),
            canonical,
            is_barred: identity.is_barred,
            identity_type: identity.identity_type,
            profile,
            details: (details != Details::default()).then(|| Arc::new(details)),
        }
    }

    /// The same as the HSS gave it, with its place among the services.
    pub fn as_given(&self) -> (PublicIdentity, u16) {
        let details = self.details.as_deref().cloned().unwrap_or_default();
        let identity = PublicIdentity {
            identity: self.text.as_ref().to_owned(),
            is_barred: self.is_barred,
            identity_type: self.identity_type,
            wildcarded_psi: details.wildcarded_psi,
            wildcarded_impu: details.wildcarded_impu,
            display_name: details.display_name,
            alias_group: details.alias_group,
            service_priority_level: details.service_priority_level,
            max_simultaneous_registrations: details.max_simultaneous_registrations,
        };
        (identity, self.profile)
    }

    /// The identity as the HSS wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form under which it is looked up (see [`Impu`]).
    pub fn canonical(&self) -> Option<&str> {
        match &self.canonical {
            Canonical::Same => Some(&self.text),
            Canonical::Other(canonical) => Some(canonical),
            Canonical::None => None,
        }
    }

    /// The place of its services in the set.
    pub fn profile(&self) -> u16 {
        self.profile
    }

    fn is_alias_of(&self, other: &Identity) -> bool {
        match (self.alias_group(), other.alias_group()) {
            (Some(one), Some(other)) => one == other,
            // Without groups, those of one profile in one set are aliases.
            (None, None) => self.profile == other.profile,
            _ => false,
        }
    }

    /// What few identities have.
    pub fn details(&self) -> Option<&Details> {
        self.details.as_deref()
    }

    fn alias_group(&self) -> Option<&str> {
        self.details.as_ref()?.alias_group.as_deref()
    }

    fn is_told(&self) -> bool {
        !self.is_barred && self.identity_type == IdentityType::DistinctImpu
    }
}

impl ImplicitSet {
    /// The set of a subscription.
    pub fn new(subscription: ImsSubscription, sets: &SharedSets) -> Result<ImplicitSet, ProfileFault> {
        let mut identities = Vec::new();
        let mut services = SmallVec::new();
        for (place, profile) in subscription.service_profiles.into_iter().enumerate() {
            let place = u16::try_from(place).map_err(|_| ProfileFault::NoIdentity)?;
            let (own, shared) = Services::of(profile, sets).map_err(ProfileFault::Criteria)?;
            identities.extend(own.into_iter().map(|identity| Identity::new(identity, place)));
            services.push(Arc::new(shared));
        }
        ImplicitSet::of_parts(Impi::new(subscription.private_id), identities, services)
            .ok_or(ProfileFault::NoIdentity)
    }

    /// The set of a subscription whose services were read before; `None` when it names no public identity that can be
    /// asked for first.
    pub fn with_services(mut subscription: ImsSubscription, services: Arc<Services>) -> Option<ImplicitSet> {
        let [profile] = &mut subscription.service_profiles[..] else { return None };
        let identities = std::mem::take(&mut profile.public_identities);
        let identities = identities.into_iter().map(|identity| Identity::new(identity, 0)).collect();
        let private_id = Impi::new(subscription.private_id);
        ImplicitSet::of_parts(private_id, identities, SmallVec::from_elem(services, 1))
    }

    /// A set of what it is made of; `None` when an identity has no services, or there is none that can be asked for
    /// first.
    pub fn of_parts(
        private_id: Impi,
        identities: Vec<Identity>,
        services: SmallVec<[Arc<Services>; 1]>,
    ) -> Option<ImplicitSet> {
        identities.first()?.canonical()?;
        identities
            .iter()
            .all(|identity| usize::from(identity.profile) < services.len())
            .then(|| ImplicitSet { private_id, identities: identities.into_boxed_slice(), services })
    }

    /// Every public identity, in the order of the document.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The services of each profile, in the order of the document.
    pub fn services(&self) -> &[Arc<Services>] {
        &self.services
    }

    /// The same, to put shared ones in their place.
    pub(super) fn services_mut(&mut self) -> &mut [Arc<Services>] {
        &mut self.services
    }

    /// The details of its identities.
    pub(super) fn details(&self) -> impl Iterator<Item = &Arc<Details>> {
        self.identities.iter().filter_map(|identity| identity.details.as_ref())
    }

    /// The same, to put shared ones in their place.
    pub(super) fn details_mut(&mut self) -> impl Iterator<Item = &mut Arc<Details>> {
        self.identities.iter_mut().filter_map(|identity| identity.details.as_mut())
    }

    /// The services of one of its identities.
    pub fn services_of(&self, identity: &Identity) -> Option<&Services> {
        self.services.get(usize::from(identity.profile)).map(|services| &**services)
    }

    /// The identity whose canonical form this is.
    pub fn identity(&self, canonical: &str) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.canonical() == Some(canonical))
    }

    /// What P-Associated-URI lists: the default identity, then every other distinct one that is not barred
    /// (TS 24.229 §5.4.1.2.2F).
    pub fn associated(&self) -> impl Iterator<Item = &Identity> {
        // The default is the first of exactly these (TS 29.228 §6.5.1.1), so that the document's order serves.
        self.identities.iter().filter(|identity| identity.is_told())
    }

    /// The default public identity (TS 29.228 §6.5.1.1).
    pub fn default_identity(&self) -> Option<Impu> {
        Impu::parse(self.associated().next()?.as_str().as_bytes())
    }

    /// Whether two identities of the set are the same to everybody who calls (TS 29.228 §B.2.1).
    pub fn are_aliases(&self, one: &Impu, other: &Impu) -> bool {
        match (self.identity(one.as_str()), self.identity(other.as_str())) {
            (Some(one), Some(other)) => one.is_alias_of(other),
            _ => false,
        }
    }

    /// What the identity subscribes to.
    pub fn shared_services_of(&self, impu: &Impu) -> Option<&Arc<Services>> {
        self.services.get(usize::from(self.identity(impu.as_str())?.profile))
    }

    /// An identity of the other scheme, `sip` or `tel`, that is an alias of `impu` (TS 29.228 §B.2.1).
    pub fn companion(&self, impu: &Impu) -> Option<&str> {
        let own = self.identity(impu.as_str())?;
        self.identities
            .iter()
            .filter(|identity| own.is_alias_of(identity))
            .find(|identity| identity.is_told() && is_tel(&identity.text) != impu.is_tel())
            .map(Identity::as_str)
    }
}

fn is_tel(identity: &str) -> bool {
    identity.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use cscf::user_data::ServiceProfile;

    pub(crate) fn identity(uri: &str) -> PublicIdentity {
        PublicIdentity { identity: uri.into(), ..Default::default() }
    }

    pub(crate) fn barred(uri: &str) -> PublicIdentity {
        PublicIdentity { is_barred: true, ..identity(uri) }
    }

    pub(crate) fn subscription(identities: Vec<PublicIdentity>) -> ImsSubscription {
        ImsSubscription {
            private_id: "alice@home1.net".into(),
            service_profiles: vec![ServiceProfile { public_identities: identities, ..Default::default() }],
            imsi: None,
        }
    }

    pub(crate) fn set(identities: Vec<PublicIdentity>) -> ImplicitSet {
        ImplicitSet::new(subscription(identities), &SharedSets::default()).unwrap()
    }

    fn impu(uri: &str) -> Impu {
        Impu::parse(uri.as_bytes()).unwrap()
    }

    fn alice() -> ImplicitSet {
        set(vec![
            barred("sip:001010000000001@home1.net"),
            identity("sip:alice@HOME1.net"),
            identity("tel:+49-30-100001"),
        ])
    }

    #[test]
    fn the_default_identity_comes_first_and_barred_ones_are_not_told() {
        let alice = alice();
        let told: Vec<&str> = alice.associated().map(Identity::as_str).collect();
        assert_eq!(told, ["sip:alice@HOME1.net", "tel:+49-30-100001"]);
    }

    #[test]
    fn an_identity_is_found_by_its_canonical_form_and_told_as_it_was_given() {
        let set = alice();
        for (canonical, given) in
            [("sip:alice@home1.net", "sip:alice@HOME1.net"), ("tel:+4930100001", "tel:+49-30-100001")]
        {
            assert_eq!(set.identity(canonical).map(Identity::as_str), Some(given));
            assert!(set.identity(given).is_none(), "{given} is no canonical form");
        }
        let nobody = ImplicitSet::new(subscription(Vec::new()), &SharedSets::default());
        assert_eq!(nobody, Err(ProfileFault::NoIdentity));
    }

    #[test]
    fn a_companion_is_an_alias_of_the_other_scheme() {
        assert_eq!(alice().companion(&impu("sip:alice@home1.net")), Some("tel:+49-30-100001"));
        assert_eq!(alice().companion(&impu("tel:+4930100001")), Some("sip:alice@HOME1.net"));
        let grouped = PublicIdentity { alias_group: Some("2".into()), ..identity("tel:+4930100001") };
        let grouped = set(vec![identity("sip:alice@home1.net"), grouped]);
        assert_eq!(grouped.companion(&impu("sip:alice@home1.net")), None);
    }

    #[test]
    fn an_identity_loses_nothing_of_what_the_hss_gave() {
        let given = PublicIdentity {
            display_name: Some("Alice".into()),
            wildcarded_impu: Some("sip:a!.*!@home1.net".into()),
            service_priority_level: Some(2),
            is_barred: true,
            identity_type: IdentityType::NonDistinctImpu,
            ..identity("sip:alice@home1.net")
        };
        assert_eq!(Identity::new(given.clone(), 3).as_given(), (given, 3));
    }
}
