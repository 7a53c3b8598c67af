//! The registrations of this S-CSCF: one per implicit registration set, found by any of its identities.

use super::binding::Binding;
use super::implicit_set::{Details, Identity, ImplicitSet};
use super::index::Index;
use super::profile_fault::ProfileFault;
use super::restoration_info::Told;
use super::services::Services;
use super::shared::Shared;
use super::sources::Sources;
use crate::criteria::SharedSets;
use ambient::TimerId;
use cscf::bucket::Bucket;
use cscf::identity::{Impi, Impu};
use cscf::user_data;
use diameter_client::cx::ChargingInformation;
use smallvec::SmallVec;
use std::num::NonZeroU16;
use std::sync::Arc;

/// Names one registration while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId {
    slot: u32,
    generation: u32,
}

impl RegistrationId {
    /// Names none, and never will.
    pub(crate) const NONE: RegistrationId = RegistrationId { slot: u32::MAX, generation: 0 };
}

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
    /// What the HSS gave; changed by [`Registrations::replace_set`].
    pub set: ImplicitSet,
    /// Towards the HSS.
    pub state: State,
    /// Of every private identity that shares the set; changed by [`Registrations::bind`].
    pub bindings: SmallVec<[Binding; 1]>,
    /// Where charging events go; changed by [`Registrations::charge`].
    pub charging: Option<Arc<ChargingInformation>>,
    /// Fires at the next expiry.
    pub timer: Option<TimerId>,
    /// Where it is served; does not change while the registration lives.
    pub home: Bucket,
    /// Which identity of the set a REGISTER named last; the default one where that is not known any more.
    explicit: Option<NonZeroU16>,
    /// Whether the network wants the user to prove anew who it is; not kept over a restart.
    pub must_prove: bool,
    /// What the HSS has been told of it for restoration; not kept over a restart.
    pub told: Option<Told>,
    /// Names the record in the store, which does not change while the registration lives; `None` where the first identity
    /// of the set does.
    key: Option<Box<str>>,
}

impl Registration {
    /// A registration without bindings, served in `home`; its record has the name of the first identity.
    pub fn new(set: ImplicitSet, state: State, home: Bucket) -> Option<Registration> {
        set.identities().first()?.canonical()?;
        Some(Registration {
            set,
            state,
            bindings: SmallVec::new(),
            charging: None,
            timer: None,
            home,
            explicit: None,
            must_prove: false,
            told: None,
            key: None,
        })
    }

    /// A REGISTER named this identity.
    pub fn named_explicitly(&mut self, impu: &Impu) {
        let place =
            self.set.identities().iter().position(|identity| identity.canonical() == Some(impu.as_str()));
        self.explicit = place.and_then(|place| NonZeroU16::new(u16::try_from(place + 1).ok()?));
    }

    /// Whether an identity of the set is the one that a REGISTER named, and did not come with another.
    pub fn is_explicit(&self, identity: &Identity) -> bool {
        let place = self.explicit.map(|place| usize::from(place.get()) - 1);
        let named = place.and_then(|place| self.set.identities().get(place));
        let named = named.filter(|named| !named.is_barred).or_else(|| self.set.associated().next());
        named.is_some_and(|named| named.as_str() == identity.as_str())
    }

    /// What the store files it under: the canonical form of an identity.
    pub fn key(&self) -> &str {
        let first = || self.set.identities().first()?.canonical();
        self.key.as_deref().or_else(first).unwrap_or_default()
    }

    /// Files it under the name that its record has: a profile that was pushed may have taken that identity away.
    pub(super) fn named_by(&mut self, key: &[u8]) -> Option<()> {
        let key = std::str::from_utf8(key).ok().filter(|key| Impu::parse(key.as_bytes()).is_some())?;
        self.key = None;
        self.key = (key != self.key()).then(|| key.into());
        Some(())
    }

    /// Takes another set, under the name that it has; gives the old one back.
    fn replace_set(&mut self, set: ImplicitSet) -> ImplicitSet {
        let first = set.identities().first().and_then(Identity::canonical);
        let key = (first != Some(self.key())).then(|| self.key().into());
        self.key = key;
        self.explicit = None;
        std::mem::replace(&mut self.set, set)
    }

    /// The identity by which the HSS is told about the set.
    pub fn named(&self) -> Option<Impu> {
        Impu::parse(self.key().as_bytes())
    }

    /// The default public identity.
    pub fn default_identity(&self) -> Option<Impu> {
        self.set.default_identity()
    }

    /// Whether the identity may do nothing but register. Unknown identities may not either.
    pub fn is_barred(&self, impu: &Impu) -> bool {
        self.set.identity(impu.as_str()).is_none_or(|identity| identity.is_barred)
    }

    /// The contacts by which the user is registered: all but those for emergencies, which make nobody registered
    /// (TS 29.228 Annex G).
    pub fn ordinary(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(|binding| !binding.is_emergency)
    }

    /// Whether a private identity is registered by a contact in the set.
    pub fn has_binding_of(&self, impi: &Impi) -> bool {
        self.ordinary().any(|binding| binding.is_of(impi))
    }

    /// Whether a private identity has a contact in the set, or is the one that the HSS gave the set for.
    pub fn belongs_to(&self, impi: &Impi) -> bool {
        self.set.private_id == *impi || self.bindings.iter().any(|binding| binding.is_of(impi))
    }

    /// The private identities that are registered, each once.
    pub fn registered_impis(&self) -> Vec<Impi> {
        each_impi(self.ordinary())
    }

    /// The private identities with a contact, each once.
    pub fn impis(&self) -> Vec<Impi> {
        each_impi(self.bindings.iter())
    }
}

fn each_impi<'b>(bindings: impl Iterator<Item = &'b Binding>) -> Vec<Impi> {
    let mut impis: Vec<Impi> = Vec::new();
    for binding in bindings {
        if !impis.iter().any(|impi| binding.is_of(impi)) {
            impis.push(binding.impi());
        }
    }
    impis
}

/// All registrations. What is asked for by name costs the same whatever their number.
#[derive(Debug, Default)]
pub struct Registrations {
    slots: Vec<Slot>,
    free: Vec<u32>,
    len: usize,
    /// By the canonical form of each public identity.
    by_impu: Index,
    /// By each private identity that a set belongs to.
    by_impi: Index,
    /// By the name of the record, where no identity of the set has it any more.
    by_key: Index,
    /// The criteria that profiles name by number, and those of users who have none.
    shared_sets: SharedSets,
    services: Shared<Services>,
    details: Shared<Details>,
    charging: Shared<ChargingInformation>,
    sources: Sources,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    registration: Option<Box<Registration>>,
}

impl Registrations {
    /// None yet; `shared_sets` completes the profiles that will come.
    pub fn new(shared_sets: SharedSets) -> Registrations {
        Registrations { shared_sets, ..Registrations::default() }
    }

    /// What completes the profiles that come.
    pub fn shared_sets(&self) -> &SharedSets {
        &self.shared_sets
    }

    /// The registration that a canonical public identity belongs to.
    pub fn find(&self, impu: &Impu) -> Option<(RegistrationId, &Registration)> {
        self.find_canonical(impu.as_str())
    }

    fn find_canonical(&self, canonical: &str) -> Option<(RegistrationId, &Registration)> {
        // Of two that have the identity, the later one: the HSS gave it that one.
        self.by_impu.slots(canonical).iter().rev().find_map(|slot| {
            let found = self.at(*slot)?;
            found.1.set.identity(canonical).map(|_| found)
        })
    }

    /// The registrations that may have an identity with this hash, the latest first.
    pub(super) fn by_hash(&self, hash: u32) -> impl Iterator<Item = (RegistrationId, &Registration)> {
        self.by_impu.slots_of(hash).iter().rev().filter_map(|slot| self.at(*slot))
    }

    /// The registrations that belong to a private identity, in no order that means anything.
    pub fn of_impi(&self, impi: &Impi) -> impl Iterator<Item = (RegistrationId, &Registration)> {
        let slots = self.by_impi.slots(impi.as_str());
        slots.iter().filter_map(|slot| self.at(*slot)).filter(|(_, found)| found.belongs_to(impi))
    }

    /// The registration whose record in the store has this name.
    pub fn by_key(&self, key: &str) -> Option<&Registration> {
        let found = self.find_canonical(key).map(|(_, found)| found).filter(|found| found.key() == key);
        found.or_else(|| {
            let moved = self.by_key.slots(key).iter().filter_map(|slot| self.at(*slot));
            moved.map(|(_, found)| found).find(|found| found.key() == key)
        })
    }

    /// The registration of this id, if it still lives.
    pub fn get(&self, id: RegistrationId) -> Option<&Registration> {
        let slot = self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        slot.registration.as_deref()
    }

    /// The same, to change what no index is kept of.
    pub(crate) fn get_mut(&mut self, id: RegistrationId) -> Option<&mut Registration> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        slot.registration.as_deref_mut()
    }

    fn at(&self, slot: u32) -> Option<(RegistrationId, &Registration)> {
        let entry = self.slots.get(slot as usize)?;
        let id = RegistrationId { slot, generation: entry.generation };
        Some((id, entry.registration.as_deref()?))
    }

    /// All of them, for an operator and for checks.
    pub fn iter(&self) -> impl Iterator<Item = (RegistrationId, &Registration)> {
        (0..).zip(&self.slots).filter_map(|(slot, _)| self.at(slot))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What users subscribe to, each different one once.
    pub fn services(&self) -> &Shared<Services> {
        &self.services
    }

    /// Reads User-Data; services that another user has are not read again. Why one is refused is told in the log.
    pub fn read(&mut self, xml: &[u8]) -> Result<ImplicitSet, ProfileFault> {
        self.read_quietly(xml).inspect_err(|fault| {
            let octets = xml.len();
            tracing::warn!(cause = fault.cause(), %fault, octets, "a profile of the HSS is refused");
        })
    }

    fn read_quietly(&mut self, xml: &[u8]) -> Result<ImplicitSet, ProfileFault> {
        let parse = |xml| user_data::parse(xml).map_err(ProfileFault::Document);
        let split = user_data::split(xml).and_then(|split| Some((split, split.identities()?)));
        let Some((split, subscription)) = split else {
            return ImplicitSet::new(parse(xml)?, &self.shared_sets);
        };
        if let Some(services) = self.sources.find(split.services) {
            return ImplicitSet::with_services(subscription, services).ok_or(ProfileFault::NoIdentity);
        }
        let mut set = ImplicitSet::new(parse(xml)?, &self.shared_sets)?;
        if let [services] = set.services_mut() {
            // The one that will be shared when this set is kept.
            *services = self.services.get(services).unwrap_or_else(|| services.clone());
            self.sources.remember(split.services, services);
        }
        Ok(set)
    }

    /// Adds a registration. An identity that another one held belongs to this one from here on: the HSS says so.
    pub fn insert(&mut self, mut registration: Registration) -> RegistrationId {
        self.share(&mut registration.set);
        registration.charging = registration.charging.map(|charging| self.charging.share(charging));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("registrations_max is far below 2^32")
        });
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.registration = Some(Box::new(registration));
        self.len += 1;
        let id = RegistrationId { slot, generation: entry.generation };
        self.index(id);
        id
    }

    /// Gives a registration another set (TS 29.228 §6.5.2.1: it replaces the old one whole); nothing when it is gone.
    pub fn replace_set(&mut self, id: RegistrationId, mut set: ImplicitSet) {
        if self.get(id).is_none() {
            return;
        }
        self.share(&mut set);
        self.unindex(id);
        if let Some(registration) = self.get_mut(id) {
            let old = registration.replace_set(set);
            self.release(&old);
        }
        self.index(id);
    }

    /// Gives a registration other bindings.
    pub fn bind(&mut self, id: RegistrationId, bindings: SmallVec<[Binding; 1]>) {
        let Some(registration) = self.get_mut(id) else { return };
        let old = std::mem::replace(&mut registration.bindings, bindings);
        // The common case: a refresh, by the same private identity.
        let same = |(a, b): (&Binding, &Binding)| a.texts().impi == b.texts().impi;
        if old.len() == registration.bindings.len() && old.iter().zip(&registration.bindings).all(same) {
            return;
        }
        let Some((_, registration)) = self.at(id.slot) else { return };
        let (now, own) = (registration.impis(), registration.set.private_id.clone());
        for binding in &old {
            let impi = binding.impi();
            if !now.contains(&impi) && impi != own {
                self.by_impi.remove(impi.as_str(), id.slot);
            }
        }
        for impi in &now {
            self.by_impi.insert(impi.as_str(), id.slot);
        }
    }

    /// Gives a registration other addresses for its charging events.
    pub fn charge(&mut self, id: RegistrationId, charging: ChargingInformation) {
        let charging = self.charging.share(charging);
        let old = self.get_mut(id).and_then(|registration| registration.charging.replace(charging));
        if let Some(old) = old {
            self.charging.release(&old, 1);
        }
    }

    /// Takes a registration out.
    pub fn remove(&mut self, id: RegistrationId) -> Option<Registration> {
        self.get(id)?;
        self.unindex(id);
        let registration = *self.slots[id.slot as usize].registration.take()?;
        self.free.push(id.slot);
        self.len -= 1;
        // Who takes it out reads it and drops it: nobody else finds these by it.
        self.release(&registration.set);
        if let Some(charging) = &registration.charging {
            self.charging.release(charging, 1);
        }
        Some(registration)
    }

    fn share(&mut self, set: &mut ImplicitSet) {
        for services in set.services_mut() {
            *services = self.services.share(services.clone());
        }
        for details in set.details_mut() {
            *details = self.details.share(details.clone());
        }
    }

    fn release(&mut self, set: &ImplicitSet) {
        for services in set.services() {
            let owned = set.services().iter().filter(|other| Arc::ptr_eq(other, services)).count();
            self.services.release(services, owned);
        }
        for details in set.details() {
            let owned = set.details().filter(|other| Arc::ptr_eq(other, details)).count();
            self.details.release(details, owned);
        }
    }

    /// Forgets the identities that lead to a registration.
    fn unindex(&mut self, id: RegistrationId) {
        self.each_name(id, |index, name| index.remove(name, id.slot));
    }

    fn index(&mut self, id: RegistrationId) {
        self.each_name(id, |index, name| index.insert(name, id.slot));
    }

    fn each_name(&mut self, id: RegistrationId, mut step: impl FnMut(&mut Index, &str)) {
        let Some(registration) =
            self.slots.get(id.slot as usize).and_then(|slot| slot.registration.as_deref())
        else {
            return;
        };
        for canonical in registration.set.identities().iter().filter_map(Identity::canonical) {
            step(&mut self.by_impu, canonical);
        }
        step(&mut self.by_impi, registration.set.private_id.as_str());
        for binding in &registration.bindings {
            step(&mut self.by_impi, binding.impi().as_str());
        }
        if registration.set.identity(registration.key()).is_none() {
            step(&mut self.by_key, registration.key());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::implicit_set::tests::{barred, identity, set};
    use super::*;

    fn impu(uri: &str) -> Impu {
        Impu::parse(uri.as_bytes()).unwrap()
    }

    fn alice() -> Registration {
        let identities = vec![
            barred("sip:001010000000001@home1.net"),
            identity("sip:alice@home1.net"),
            identity("tel:+4930100001"),
        ];
        Registration::new(set(identities), State::Registered, Bucket::new(7)).unwrap()
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
        assert!(registrations.get(id).is_none() && registrations.services().is_empty());
    }

    #[test]
    fn barred_and_unknown_identities_may_not_do_anything() {
        assert!(alice().is_barred(&impu("sip:001010000000001@home1.net")));
        assert!(alice().is_barred(&impu("sip:stranger@home1.net")));
        assert!(!alice().is_barred(&impu("tel:+4930100001")));
    }

    #[test]
    fn an_identity_that_two_sets_have_belongs_to_the_later_one_and_goes_back_with_it() {
        let mut registrations = Registrations::default();
        let first = registrations.insert(alice());
        let second = registrations.insert(alice());
        let found =
            |registrations: &Registrations| registrations.find(&impu("tel:+4930100001")).map(|(id, _)| id);
        assert_eq!(found(&registrations), Some(second));
        registrations.remove(second);
        assert_eq!(found(&registrations), Some(first));
    }

    #[test]
    fn a_private_identity_leads_to_its_sets_and_to_those_that_it_has_contacts_in() {
        let mut registrations = Registrations::default();
        let id = registrations.insert(alice());
        let bound = |impi: &str| {
            let texts = super::super::binding::Texts { impi: impi.as_bytes(), ..Default::default() };
            Binding::new(texts, 1000, None, 1, ambient::Instant::START)
        };
        let is_of = |registrations: &Registrations, impi: &str| {
            registrations.of_impi(&Impi::new(impi)).map(|(id, _)| id).eq([id])
        };
        assert!(is_of(&registrations, "alice@home1.net") && !is_of(&registrations, "tablet@home1.net"));
        registrations.bind(id, [bound("tablet@home1.net"), bound("alice@home1.net")].into_iter().collect());
        assert!(is_of(&registrations, "alice@home1.net") && is_of(&registrations, "tablet@home1.net"));
        registrations.bind(id, SmallVec::new());
        assert!(is_of(&registrations, "alice@home1.net") && !is_of(&registrations, "tablet@home1.net"));
    }

    #[test]
    fn a_pushed_profile_takes_identities_away_and_brings_others() {
        let mut registrations = Registrations::default();
        let id = registrations.insert(alice());
        let pushed = set(vec![identity("sip:alice@home1.net"), identity("sip:carol@home1.net")]);
        registrations.replace_set(id, pushed);
        assert!(registrations.find(&impu("tel:+4930100001")).is_none());
        assert!(registrations.find(&impu("sip:carol@home1.net")).is_some());
        assert!(registrations.by_key("sip:001010000000001@home1.net").is_some(), "its record keeps its name");
        let again = set(vec![barred("sip:001010000000001@home1.net"), identity("sip:dave@home1.net")]);
        registrations.replace_set(id, again);
        registrations.replace_set(id, set(vec![identity("sip:carol@home1.net")]));
        assert!(registrations.by_key("sip:carol@home1.net").is_none());
        registrations.remove(id);
        assert!(registrations.by_key("sip:001010000000001@home1.net").is_none());
    }

    /// What is read in two parts is what is read whole, and another text of the services is another.
    #[test]
    fn services_are_read_once_and_those_of_another_text_again() {
        let document = |user: &str, server: &str| {
            format!(
                "<IMSSubscription><PrivateID>{user}@h</PrivateID><ServiceProfile><PublicIdentity>\
                 <Identity>sip:{user}@h</Identity></PublicIdentity><InitialFilterCriteria><Priority>1</Priority>\
                 <ApplicationServer><ServerName>{server}</ServerName></ApplicationServer></InitialFilterCriteria>\
                 </ServiceProfile></IMSSubscription>"
            )
        };
        let mut registrations = Registrations::default();
        let mut keep = |text: &str| {
            let read = registrations.read(text.as_bytes()).unwrap();
            let whole =
                ImplicitSet::new(user_data::parse(text.as_bytes()).unwrap(), &SharedSets::default()).unwrap();
            assert_eq!(read, whole);
            assert_eq!(read.services()[0].criteria.iter().len(), whole.services()[0].criteria.iter().len());
            let services = read.services()[0].clone();
            registrations.insert(Registration::new(read, State::Registered, Bucket::new(7)).unwrap());
            services
        };
        let (alice, bob) = (keep(&document("alice", "sip:as1")), keep(&document("bob", "sip:as1")));
        assert!(Arc::ptr_eq(&alice, &bob));
        assert!(!Arc::ptr_eq(&alice, &keep(&document("carol", "sip:as2"))));
        let commented = document("dave", "sip:as1").replace("<PrivateID>", "<!-- whole --><PrivateID>");
        assert_eq!(alice, keep(&commented));
        assert!(registrations.read(b"<no").is_err());
        assert_eq!(registrations.services().len(), 2);
    }

    fn grouped(uri: &str) -> cscf::user_data::PublicIdentity {
        cscf::user_data::PublicIdentity { alias_group: Some("1".into()), ..identity(uri) }
    }

    #[test]
    fn users_who_subscribe_to_the_same_share_it() {
        let mut registrations = Registrations::default();
        let ids: Vec<RegistrationId> = (0..3)
            .filter_map(|n| {
                Registration::new(
                    set(vec![grouped(&format!("sip:u{n}@h")), grouped(&format!("sip:v{n}@h"))]),
                    State::Registered,
                    Bucket::new(7),
                )
            })
            .map(|registration| registrations.insert(registration))
            .collect();
        assert_eq!((registrations.services().len(), registrations.details.len()), (1, 1));
        for id in ids {
            assert!(!registrations.services().is_empty() && !registrations.details.is_empty());
            registrations.remove(id);
        }
        assert!(registrations.services().is_empty() && registrations.details.is_empty());
    }
}
