//! The registrations of this S-CSCF: one per implicit registration set, found by any of its public identities.

use super::binding::Binding;
use ambient::TimerId;
use cscf::identity::{Impi, Impu};
use cscf::user_data::{IdentityType, ImsSubscription, PublicIdentity, ServiceProfile};
use diameter_client::cx::ChargingInformation;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Names one registration while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(u64);

/// What the HSS holds this S-CSCF for (TS 29.228 §6.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The set has, or is about to have, a binding.
    Registered,
    /// The profile is here to serve a user who is not registered; it is dropped after a while.
    Unregistered,
}

/// One implicit registration set, which is registered and de-registered as a whole (TS 29.228 §6.5.1.2).
#[derive(Debug)]
pub struct Registration {
    /// The profile that the HSS gave.
    pub subscription: ImsSubscription,
    /// Towards the HSS.
    pub state: State,
    /// Of every private identity that shares the set.
    pub bindings: Vec<Binding>,
    /// Where charging events go.
    pub charging: Option<ChargingInformation>,
    /// Fires at the next expiry.
    pub timer: Option<TimerId>,
    /// Names the record in the store; does not change while the registration lives.
    key: Impu,
}

impl Registration {
    /// A set without bindings; `None` when the profile names no public identity.
    pub fn new(subscription: ImsSubscription, state: State) -> Option<Registration> {
        let key = Impu::parse(subscription.public_identities().next()?.0.identity.as_bytes())?;
        Some(Registration { subscription, state, bindings: Vec::new(), charging: None, timer: None, key })
    }

    /// What the store files it under.
    pub fn key(&self) -> &Impu {
        &self.key
    }

    /// The identity and its profile, by canonical form.
    pub fn identity(&self, impu: &Impu) -> Option<(&PublicIdentity, &ServiceProfile)> {
        self.subscription
            .public_identities()
            .find(|(identity, _)| Impu::parse(identity.identity.as_bytes()).is_some_and(|own| own == *impu))
    }

    /// Whether the identity may do nothing but register. Unknown identities may not either.
    pub fn is_barred(&self, impu: &Impu) -> bool {
        self.identity(impu).is_none_or(|(identity, _)| identity.is_barred)
    }

    /// What P-Associated-URI lists: the default identity, then every other distinct one that is not barred
    /// (TS 24.229 §5.4.1.2.2F).
    pub fn associated_uris(&self) -> impl Iterator<Item = &str> {
        // The default is the first of exactly these (TS 29.228 §6.5.1.1), so that the document's order serves.
        self.subscription
            .public_identities()
            .map(|(identity, _)| identity)
            .filter(|identity| !identity.is_barred && identity.identity_type == IdentityType::DistinctImpu)
            .map(|identity| identity.identity.as_str())
    }

    /// An identity of the other scheme, `sip` or `tel`, that is an alias of `impu` (TS 29.228 §B.2.1).
    pub fn companion(&self, impu: &Impu) -> Option<&str> {
        let (own, own_profile) = self.identity(impu)?;
        self.subscription
            .public_identities()
            .filter(|(identity, profile)| match (&own.alias_group, &identity.alias_group) {
                (Some(own_group), Some(group)) => own_group == group,
                // Without groups, those of one profile in one set are aliases.
                (None, None) => std::ptr::eq(own_profile, *profile),
                _ => false,
            })
            .map(|(identity, _)| identity)
            .find(|identity| {
                !identity.is_barred
                    && identity.identity_type == IdentityType::DistinctImpu
                    && is_tel(&identity.identity) != impu.is_tel()
            })
            .map(|identity| identity.identity.as_str())
    }

    /// Whether a private identity has a binding in the set.
    pub fn has_binding_of(&self, impi: &Impi) -> bool {
        self.bindings.iter().any(|binding| binding.impi == *impi)
    }

    /// The private identities with a binding, each once.
    pub fn impis(&self) -> Vec<Impi> {
        let mut impis: Vec<Impi> = Vec::new();
        for binding in &self.bindings {
            if !impis.contains(&binding.impi) {
                impis.push(binding.impi.clone());
            }
        }
        impis
    }
}

fn is_tel(identity: &str) -> bool {
    identity.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"))
}

/// All registrations.
#[derive(Debug, Default)]
pub struct Registrations {
    by_id: BTreeMap<RegistrationId, Registration>,
    by_impu: BTreeMap<Impu, RegistrationId>,
    minted: u64,
}

impl Registrations {
    /// The registration that a canonical public identity belongs to.
    pub fn find(&self, impu: &Impu) -> Option<(RegistrationId, &Registration)> {
        let id = *self.by_impu.get(impu)?;
        Some((id, self.by_id.get(&id)?))
    }

    /// The registration of this id, if it still lives.
    pub fn get(&self, id: RegistrationId) -> Option<&Registration> {
        self.by_id.get(&id)
    }

    /// The same, to change its bindings. The profile is changed by [`Registrations::replace_profile`].
    pub fn get_mut(&mut self, id: RegistrationId) -> Option<&mut Registration> {
        self.by_id.get_mut(&id)
    }

    /// The registration whose record in the store has this name.
    ///
    /// A walk through the table when a later profile has moved the identity away.
    pub fn by_key(&self, key: &Impu) -> Option<&Registration> {
        let found = self.find(key).map(|(_, found)| found).filter(|found| found.key() == key);
        found.or_else(|| self.by_id.values().find(|registration| registration.key() == key))
    }

    /// All, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (RegistrationId, &Registration)> {
        self.by_id.iter().map(|(id, registration)| (*id, registration))
    }

    /// The registration after `id`, or the first: lets a caller walk the table while it changes.
    pub fn after(&self, id: Option<RegistrationId>) -> Option<RegistrationId> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_id.range((from, Bound::Unbounded)).next().map(|(id, _)| *id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Adds a registration. An identity that another one held belongs to this one from here on: the HSS says so.
    pub fn insert(&mut self, registration: Registration) -> RegistrationId {
        self.minted += 1;
        let id = RegistrationId(self.minted);
        self.by_id.insert(id, registration);
        self.index(id);
        id
    }

    /// Gives a registration another profile (TS 29.228 §6.5.2.1: it replaces the old one whole); false when either is
    /// gone or empty.
    pub fn replace_profile(&mut self, id: RegistrationId, subscription: ImsSubscription) -> bool {
        if subscription.public_identities().next().is_none() || !self.by_id.contains_key(&id) {
            return false;
        }
        self.unindex(id);
        if let Some(registration) = self.by_id.get_mut(&id) {
            registration.subscription = subscription;
        }
        self.index(id);
        true
    }

    /// Takes a registration out.
    pub fn remove(&mut self, id: RegistrationId) -> Option<Registration> {
        self.unindex(id);
        self.by_id.remove(&id)
    }

    /// Forgets the identities that lead to a registration; those that another one took over stay with it.
    fn unindex(&mut self, id: RegistrationId) {
        let Some(registration) = self.by_id.get(&id) else { return };
        for impu in identities(&registration.subscription) {
            if self.by_impu.get(&impu) == Some(&id) {
                self.by_impu.remove(&impu);
            }
        }
    }

    fn index(&mut self, id: RegistrationId) {
        let Some(registration) = self.by_id.get(&id) else { return };
        for impu in identities(&registration.subscription) {
            self.by_impu.insert(impu, id);
        }
    }
}

fn identities(subscription: &ImsSubscription) -> Vec<Impu> {
    subscription
        .public_identities()
        .filter_map(|(identity, _)| Impu::parse(identity.identity.as_bytes()))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

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

    fn impu(uri: &str) -> Impu {
        Impu::parse(uri.as_bytes()).unwrap()
    }

    fn alice() -> Registration {
        let identities = vec![
            barred("sip:001010000000001@home1.net"),
            identity("sip:alice@home1.net"),
            identity("tel:+4930100001"),
        ];
        Registration::new(subscription(identities), State::Registered).unwrap()
    }

    #[test]
    fn a_set_is_found_by_every_spelling_of_each_of_its_identities() {
        let mut registrations = Registrations::default();
        let id = registrations.insert(alice());
        for spelling in
            ["sip:alice@HOME1.net:5060;user=phone", "tel:+49-30-100001", "sip:001010000000001@home1.net"]
        {
            let impu = impu(spelling);
            assert_eq!(registrations.find(&impu).map(|(found, _)| found), Some(id), "{spelling}");
        }
        assert!(registrations.find(&impu("sip:bob@home1.net")).is_none());
        registrations.remove(id);
        assert!(registrations.find(&impu("sip:alice@home1.net")).is_none() && registrations.is_empty());
    }

    #[test]
    fn the_default_identity_comes_first_and_barred_ones_are_not_told() {
        assert_eq!(alice().associated_uris().collect::<Vec<_>>(), ["sip:alice@home1.net", "tel:+4930100001"]);
        assert!(alice().is_barred(&impu("sip:001010000000001@home1.net")));
        assert!(alice().is_barred(&impu("sip:stranger@home1.net")));
        assert!(!alice().is_barred(&impu("tel:+4930100001")));
    }

    #[test]
    fn a_companion_is_an_alias_of_the_other_scheme() {
        assert_eq!(alice().companion(&impu("sip:alice@home1.net")), Some("tel:+4930100001"));
        assert_eq!(alice().companion(&impu("tel:+4930100001")), Some("sip:alice@home1.net"));
        let mut grouped = subscription(vec![identity("sip:alice@home1.net"), identity("tel:+4930100001")]);
        grouped.service_profiles[0].public_identities[1].alias_group = Some("2".into());
        let grouped = Registration::new(grouped, State::Registered).unwrap();
        assert_eq!(grouped.companion(&impu("sip:alice@home1.net")), None);
    }

    #[test]
    fn a_pushed_profile_takes_identities_away_and_brings_others() {
        let mut registrations = Registrations::default();
        let id = registrations.insert(alice());
        let pushed = subscription(vec![identity("sip:alice@home1.net"), identity("sip:carol@home1.net")]);
        assert!(registrations.replace_profile(id, pushed));
        assert!(registrations.find(&impu("tel:+4930100001")).is_none());
        assert!(registrations.find(&impu("sip:carol@home1.net")).is_some());
        assert!(!registrations.replace_profile(id, ImsSubscription::default()));
    }
}
