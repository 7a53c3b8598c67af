//! Why a request visits an application server, or does not: every criterion with every trigger of it.

use super::request::Request;
use super::words::InWords;
use super::{Criteria, Criterion, Facts, Origin, Place};
use cscf::user_data::{ApplicationServer, ConditionForm, InitialFilterCriteria, ProfilePart};
use std::collections::BTreeMap;

/// What came of one criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Its place in the order of evaluation.
    pub place: Place,
    /// Its priority.
    pub priority: u32,
    /// Who wrote it.
    pub origin: Origin,
    /// Where it leads.
    pub application_server: ApplicationServer,
    /// Whether the request goes there.
    pub matches: bool,
    /// The part of the profile that it is of, and whether the user is in that state.
    pub part: Option<(ProfilePart, bool)>,
    /// How its groups are joined.
    pub form: ConditionForm,
    /// Its groups by their number; none when every request matches.
    pub groups: Vec<GroupExplanation>,
}

/// What came of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupExplanation {
    /// Its number in the document.
    pub number: u32,
    /// Whether it holds.
    pub holds: bool,
    /// Its triggers.
    pub triggers: Vec<TriggerExplanation>,
}

/// What came of one trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerExplanation {
    /// Which of the criterion's, from 1, in the order of the document.
    pub number: usize,
    /// Whether it holds.
    pub holds: bool,
    /// What it asks, in words.
    pub asks: String,
}

/// The criteria of a profile as they are written, in the order in which they are evaluated.
pub fn in_order<'a>(
    own: &'a [InitialFilterCriteria],
    shared: &[&'a [InitialFilterCriteria]],
    fallback: &'a [InitialFilterCriteria],
) -> Vec<&'a InitialFilterCriteria> {
    let mut written: Vec<_> = own.iter().chain(shared.iter().copied().flatten()).collect();
    if written.is_empty() {
        written.extend(fallback);
    }
    written.sort_by_key(|criterion| criterion.priority);
    written
}

/// Evaluates every criterion against one request, as if each server sent it back as it was; `written` is what the
/// criteria were compiled of, [`in_order`].
pub fn explain(
    criteria: &Criteria,
    written: &[&InitialFilterCriteria],
    facts: &Facts<'_>,
) -> Vec<Explanation> {
    let request = Request::new(facts);
    criteria.iter().zip(written).map(|(criterion, written)| one(criterion, written, &request)).collect()
}

fn one(criterion: &Criterion, written: &InitialFilterCriteria, request: &Request<'_>) -> Explanation {
    let form = written.trigger_point.as_ref().map_or(ConditionForm::Disjunctive, |point| point.form);
    let mut groups: BTreeMap<u32, Vec<TriggerExplanation>> = BTreeMap::new();
    for (number, trigger) in written.trigger_point.iter().flat_map(|point| &point.triggers).enumerate() {
        let holds = criterion.trigger_point.holds(number, request);
        let asks = InWords(trigger).to_string();
        for group in &trigger.groups {
            let explained = TriggerExplanation { number: number + 1, holds, asks: asks.clone() };
            groups.entry(*group).or_default().push(explained);
        }
    }
    let groups = groups.into_iter().map(|(number, triggers)| {
        let holds = match form {
            ConditionForm::Disjunctive => triggers.iter().all(|trigger| trigger.holds),
            ConditionForm::Conjunctive => triggers.iter().any(|trigger| trigger.holds),
        };
        GroupExplanation { number, holds, triggers }
    });
    Explanation {
        place: criterion.place,
        priority: criterion.priority,
        origin: criterion.origin,
        application_server: (*criterion.application_server).clone(),
        matches: criterion.matches(request),
        part: criterion.profile_part.map(|part| (part, criterion.is_of_part(request.is_registered))),
        form,
        groups: groups.collect(),
    }
}
