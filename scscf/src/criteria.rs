//! Initial filter criteria: which application servers a request visits, and in which order (TS 23.218 §5.2, TS 29.228
//! Annexes B.2.2, C and F).
//!
//! The criteria of a profile are compiled once, when the profile comes, and asked for every initial request. Pure: which
//! criterion is next is data, going there is the business of a session.

mod explanation;
pub mod expression;
mod header;
pub mod lint;
mod refusal;
mod request;
mod request_uri;
pub mod server_uri;
pub(crate) mod session_description;
mod shared_sets;
mod trigger;
mod trigger_point;
pub mod words;

pub use explanation::{Explanation, GroupExplanation, TriggerExplanation, explain, in_order};
pub use refusal::{Bound, Reason, Refusal};
pub use shared_sets::{Origin, SharedSets};

use cscf::user_data::{ApplicationServer, InitialFilterCriteria, ProfilePart, RegistrationType, SessionCase};
use expression::Compiler;
use request::Request;
use sip_core::Message;
use std::sync::Arc;
use trigger_point::TriggerPoint;

/// The criteria of one profile.
#[derive(Debug, Default)]
pub struct Criteria {
    /// In the order of evaluation: by priority, those of the profile before shared ones of the same.
    criteria: Box<[Criterion]>,
}

/// One criterion.
#[derive(Clone, Debug)]
pub struct Criterion {
    /// Its place in the order of evaluation.
    pub place: Place,
    /// The lower the earlier.
    pub priority: u32,
    /// Who wrote it.
    pub origin: Origin,
    /// Where a matching request goes.
    pub application_server: Arc<ApplicationServer>,
    /// `None` holds for registered and unregistered users.
    pub profile_part: Option<ProfilePart>,
    trigger_point: Arc<TriggerPoint>,
}

/// A place in the order of evaluation: after which criterion a chain goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u16);

/// What criteria are matched against.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The request as it is at this point of the chain.
    pub message: &'a Message,
    /// Who is served, and in which state.
    pub case: SessionCase,
    /// Which part of the profile holds: whether the served user is registered.
    pub is_registered: bool,
    /// Of a REGISTER: what it does.
    pub registration: Option<RegistrationType>,
}

/// The most criteria of one profile, or of one shared set.
pub const CRITERIA_MAX: usize = 256;
/// The most triggers of one profile.
pub const TRIGGERS_MAX: usize = 1024;
/// The most groups that one trigger may stand in.
pub const GROUPS_MAX: usize = 32;
/// The most shared sets that one profile may name.
pub const SHARED_SETS_MAX: usize = 64;

impl Criteria {
    /// Compiles the criteria of a profile; those of the shared sets that it names are merged in by their priority.
    pub fn compile(
        own: &[InitialFilterCriteria],
        shared_ifc_set_ids: &[u32],
        sets: &SharedSets,
    ) -> Result<Criteria, Refusal> {
        if shared_ifc_set_ids.len() > SHARED_SETS_MAX {
            let reason = Reason::TooMany(Bound::SharedSets);
            return Err(Refusal { criterion: 0, priority: 0, reason });
        }
        Ok(sets.complete(Criterion::compile_all(own, Origin::Profile)?, shared_ifc_set_ids))
    }

    /// The criteria in any order; of equal priorities the first of them stays first.
    fn of(mut criteria: Vec<Criterion>) -> Criteria {
        criteria.sort_by_key(|criterion| criterion.priority);
        for (place, criterion) in criteria.iter_mut().enumerate() {
            // A profile and all shared sets that it may name are far below 2^16.
            criterion.place = Place(u16::try_from(place).unwrap_or(u16::MAX));
        }
        Criteria { criteria: criteria.into_boxed_slice() }
    }

    /// Whether no request visits anybody.
    pub fn is_empty(&self) -> bool {
        self.criteria.is_empty()
    }

    /// The first criterion behind `after`, or of all, whose triggers match.
    pub fn next(&self, after: Option<Place>, facts: &Facts<'_>) -> Option<&Criterion> {
        let rest = self.criteria.get(after.map_or(0, |Place(place)| usize::from(place) + 1)..)?;
        if rest.is_empty() {
            return None;
        }
        let request = Request::new(facts);
        rest.iter().find(|criterion| criterion.matches(&request))
    }

    /// Every criterion, in the order of evaluation.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Criterion> {
        self.criteria.iter()
    }
}

impl Criterion {
    /// Compiles the criteria that somebody wrote together.
    fn compile_all(written: &[InitialFilterCriteria], origin: Origin) -> Result<Vec<Criterion>, Refusal> {
        let mut compiler = Compiler::default();
        let mut triggers = 0;
        let one = |(number, criterion): (usize, &InitialFilterCriteria)| {
            let refusal = |reason| Refusal { criterion: number + 1, priority: criterion.priority, reason };
            triggers += criterion.trigger_point.as_ref().map_or(0, |point| point.triggers.len());
            if number >= CRITERIA_MAX {
                return Err(refusal(Reason::TooMany(Bound::Criteria)));
            }
            if triggers > TRIGGERS_MAX {
                return Err(refusal(Reason::TooMany(Bound::Triggers)));
            }
            Criterion::compile(criterion, origin, &mut compiler).map_err(refusal)
        };
        written.iter().enumerate().map(one).collect()
    }

    fn compile(
        criterion: &InitialFilterCriteria,
        origin: Origin,
        compiler: &mut Compiler,
    ) -> Result<Criterion, Reason> {
        Ok(Criterion {
            place: Place(0),
            priority: criterion.priority,
            origin,
            application_server: Arc::new(criterion.application_server.clone()),
            profile_part: criterion.profile_part,
            trigger_point: Arc::new(TriggerPoint::compile(criterion.trigger_point.as_ref(), compiler)?),
        })
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        self.is_of_part(request.is_registered) && self.trigger_point.matches(request)
    }

    fn is_of_part(&self, is_registered: bool) -> bool {
        match self.profile_part {
            None => true,
            Some(ProfilePart::Registered) => is_registered,
            Some(ProfilePart::Unregistered) => !is_registered,
        }
    }
}

#[cfg(test)]
mod tests;
