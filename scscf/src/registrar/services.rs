//! The services of a profile (TS 29.228 Annex B): what of it is the same for all users who subscribe to the same.

use crate::criteria::{Criteria, Refusal, SharedSets};
use cscf::user_data::{self, CoreNetworkServices, ImsSubscription, PublicIdentity, ServiceProfile};
use std::cmp::Ordering;

/// A service profile without its public identities.
///
/// Two with one document are one: the document is written from the rest.
#[derive(Debug)]
pub struct Services {
    document: Box<str>,
    /// `None` restricts nothing.
    pub core_network_services: Option<CoreNetworkServices>,
    /// Which application servers its requests visit: its own criteria, and those of the shared sets that it names.
    pub criteria: Criteria,
    /// Sets of filter criteria that the S-CSCF knows by number.
    pub shared_ifc_set_ids: Box<[u32]>,
}

/// A profile of Annex E has at least one identity; the document has one that is nobody's.
const NOBODY: &str = "sip:nobody.invalid";

impl Services {
    /// Takes a profile apart: the identities, and what they share.
    pub fn of(
        mut profile: ServiceProfile,
        sets: &SharedSets,
    ) -> Result<(Vec<PublicIdentity>, Services), Refusal> {
        for set in sets.unknown(&profile.shared_ifc_set_ids) {
            tracing::warn!(
                set,
                "a profile names shared filter criteria that `scscf.shared_ifc_sets` does not have"
            );
        }
        let criteria = Criteria::compile(&profile.filter_criteria, &profile.shared_ifc_set_ids, sets)?;
        let nobody = PublicIdentity { identity: NOBODY.to_owned(), ..PublicIdentity::default() };
        let identities = std::mem::replace(&mut profile.public_identities, vec![nobody]);
        let mut subscription =
            ImsSubscription { private_id: String::new(), service_profiles: vec![profile], imsi: None };
        let document = user_data::write(&subscription).into_boxed_str();
        let profile = subscription.service_profiles.pop().unwrap_or_default();
        let services = Services {
            document,
            core_network_services: profile.core_network_services,
            criteria,
            shared_ifc_set_ids: profile.shared_ifc_set_ids.into(),
        };
        Ok((identities, services))
    }

    /// The form in which the store keeps them: User-Data that names nobody.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// The application servers that its filter criteria name.
    pub fn server_names(&self) -> impl Iterator<Item = &str> {
        self.criteria.iter().map(|criterion| criterion.application_server.server_name.as_str())
    }

    /// Reads [`Services::document`] back.
    pub fn read(document: &str, sets: &SharedSets) -> Option<Services> {
        let profile = user_data::parse(document.as_bytes()).ok()?.service_profiles.pop()?;
        Some(Services::of(profile, sets).ok()?.1)
    }

    /// What equals the services with this document, for a look-up; it has nothing else.
    pub fn named(document: &str) -> Services {
        Services {
            document: document.into(),
            core_network_services: None,
            criteria: Criteria::default(),
            shared_ifc_set_ids: Box::default(),
        }
    }
}

impl PartialEq for Services {
    fn eq(&self, other: &Services) -> bool {
        self.document == other.document
    }
}

impl Eq for Services {}

impl PartialOrd for Services {
    fn partial_cmp(&self, other: &Services) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Services {
    fn cmp(&self, other: &Services) -> Ordering {
        self.document.cmp(&other.document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::user_data::InitialFilterCriteria;

    fn of(profile: ServiceProfile) -> (Vec<PublicIdentity>, Services) {
        Services::of(profile, &SharedSets::default()).expect("criteria that can be compiled")
    }

    fn profile(user: &str, priority: u32) -> ServiceProfile {
        let criteria = InitialFilterCriteria { priority, ..InitialFilterCriteria::default() };
        ServiceProfile {
            public_identities: vec![PublicIdentity { identity: user.into(), ..Default::default() }],
            filter_criteria: vec![InitialFilterCriteria {
                application_server: user_data::ApplicationServer {
                    server_name: "sip:as1.home1.net".into(),
                    ..Default::default()
                },
                ..criteria
            }],
            ..Default::default()
        }
    }

    #[test]
    fn users_with_equal_criteria_have_equal_services_and_others_do_not() {
        let (alices, alice) = of(profile("sip:alice@home1.net", 1));
        let (_, bob) = of(profile("sip:bob@home1.net", 1));
        let (_, other) = of(profile("sip:bob@home1.net", 2));
        assert_eq!(alices[0].identity, "sip:alice@home1.net");
        assert!(alice == bob && alice != other);
        assert!(!alice.document().contains("alice"), "{}", alice.document());
    }

    #[test]
    fn what_is_stored_of_services_reads_back_as_they_were() {
        let (_, services) = of(profile("sip:alice@home1.net", 7));
        let read = Services::read(services.document(), &SharedSets::default()).expect("what was written");
        let priorities = |services: &Services| -> Vec<u32> {
            services.criteria.iter().map(|criterion| criterion.priority).collect()
        };
        assert_eq!(priorities(&read), [7]);
        assert_eq!(read, services);
        assert_eq!(Services::named(services.document()), services);
        assert!(Services::read("<no", &SharedSets::default()).is_none());
    }
}
