//! The profile that is asked about: of a file, or of a subscriber.

use crate::arguments::IfcSource;
use crate::exit::Failure;
use crate::roster::Roster;
use cscf::config::Config;
use cscf::user_data::{self, ServiceProfile};
use std::path::Path;

/// A profile, and how a person would name it.
pub struct Profile {
    /// The file, or the subscriber.
    pub name: String,
    /// What is in it.
    pub profile: ServiceProfile,
}

impl Profile {
    /// The one that the command line names.
    pub fn read(source: &IfcSource, config: &Config) -> Result<Profile, Failure> {
        let (name, profiles) = match (&source.profile, &source.subscriber) {
            (Some(file), _) => (file.display().to_string(), of_file(file)?),
            (None, Some(who)) => {
                let roster = Roster::of(config)?;
                let subscriber = roster.find(who, config)?;
                let sets = subscriber.implicit_sets.iter();
                (subscriber.name.clone(), sets.flat_map(|set| set.service_profiles.clone()).collect())
            }
            (None, None) => return Err(Failure::Usage("give --profile FILE or --subscriber WHO".to_owned())),
        };
        let has_criteria = |profile: &&ServiceProfile| {
            !profile.filter_criteria.is_empty() || !profile.shared_ifc_set_ids.is_empty()
        };
        let profile = match &source.impu {
            Some(impu) => {
                let has = |profile: &&ServiceProfile| {
                    profile.public_identities.iter().any(|identity| identity.identity == *impu)
                };
                let found = profiles.iter().find(has);
                found.ok_or_else(|| Failure::Usage(format!("{name} has no identity {impu}")))?
            }
            // The one that has something to ask about.
            None => profiles
                .iter()
                .find(has_criteria)
                .or(profiles.first())
                .ok_or_else(|| Failure::Usage(format!("{name} has no service profile")))?,
        };
        Ok(Profile { name, profile: profile.clone() })
    }
}

/// The profiles of User-Data, or one of criteria that stand alone, as in a file of `scscf.shared_ifc_sets`.
fn of_file(file: &Path) -> Result<Vec<ServiceProfile>, Failure> {
    let shown = file.display();
    let wrong = |error: &dyn std::fmt::Display| Failure::Usage(format!("{shown}: {error}"));
    let xml = std::fs::read(file).map_err(|error| wrong(&error))?;
    match user_data::parse(&xml) {
        Ok(subscription) => Ok(subscription.service_profiles),
        Err(error) => match user_data::criteria(&xml) {
            Ok(filter_criteria) => Ok(vec![ServiceProfile { filter_criteria, ..ServiceProfile::default() }]),
            Err(alone) if error.reason.contains("the root must be") => Err(wrong(&alone)),
            Err(_) => Err(wrong(&error)),
        },
    }
}
