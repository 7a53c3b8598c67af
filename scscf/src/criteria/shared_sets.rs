//! Criteria that the S-CSCF knows itself: sets that a profile names by number, and those of a user who has none.

use super::{Criteria, Criterion, Refusal};
use cscf::config::{Config, ConfigError};
use cscf::user_data::InitialFilterCriteria;
use std::collections::BTreeMap;
use std::fmt;

/// Who wrote a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It stands in the profile of the user.
    Profile,
    /// It is of the shared set of this number (TS 29.228 §B.2.1).
    Shared(u32),
    /// It is for users who have no criteria.
    Fallback,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Profile => f.write_str("profile"),
            Origin::Shared(id) => write!(f, "shared set {id}"),
            Origin::Fallback => f.write_str("fall-back"),
        }
    }
}

/// The criteria of the configuration, compiled once for all users.
#[derive(Debug, Default)]
pub struct SharedSets {
    by_id: BTreeMap<u32, Vec<Criterion>>,
    fallback: Vec<Criterion>,
}

impl SharedSets {
    /// Compiles sets by their number, and the criteria of users who have none.
    pub fn compile<'a>(
        sets: impl IntoIterator<Item = (u32, &'a [InitialFilterCriteria])>,
        fallback: &[InitialFilterCriteria],
    ) -> Result<SharedSets, (Origin, Refusal)> {
        let mut by_id = BTreeMap::new();
        for (id, criteria) in sets {
            let origin = Origin::Shared(id);
            let compiled = Criterion::compile_all(criteria, origin).map_err(|refusal| (origin, refusal))?;
            by_id.insert(id, compiled);
        }
        let origin = Origin::Fallback;
        let fallback = Criterion::compile_all(fallback, origin).map_err(|refusal| (origin, refusal))?;
        Ok(SharedSets { by_id, fallback })
    }

    /// Those of the configuration.
    pub fn configured(config: &Config) -> Result<SharedSets, ConfigError> {
        let section = &config.scscf;
        let sets = section.shared_ifc_sets.iter().map(|set| (set.id, &set.criteria.criteria[..]));
        let fallback = section.fallback_criteria.as_ref().map_or(&[][..], |written| &written.criteria);
        SharedSets::compile(sets, fallback).map_err(|(origin, refusal)| {
            let key = match origin {
                Origin::Fallback => "fallback_criteria",
                Origin::Profile | Origin::Shared(_) => "shared_ifc_sets",
            };
            let message = format!("{origin}: {refusal}");
            config.criteria_error(key, message, "`ims ifc lint` explains what is wrong, and what to write")
        })
    }

    /// Whether there are no sets to name.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Those of the numbers that name no set.
    pub fn unknown<'i>(&self, ids: &'i [u32]) -> impl Iterator<Item = u32> + use<'i, '_> {
        ids.iter().copied().filter(|id| !self.by_id.contains_key(id))
    }

    /// The criteria of a profile with those of the sets that it names; a set that is named twice counts once.
    pub(super) fn complete(&self, own: Vec<Criterion>, ids: &[u32]) -> Criteria {
        let mut criteria = own;
        for (place, id) in ids.iter().enumerate() {
            if !ids[..place].contains(id) {
                criteria.extend(self.by_id.get(id).into_iter().flatten().cloned());
            }
        }
        if criteria.is_empty() {
            criteria.extend(self.fallback.iter().cloned());
        }
        Criteria::of(criteria)
    }
}
