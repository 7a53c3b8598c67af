//! Criteria, and groups of them, that can never match.

use super::super::expression::Compiler;
use super::super::trigger::{self, Trigger};
use super::super::trigger_point::TriggerPoint as Compiled;
use super::Findings;
use cscf::user_data::{
    Condition, ConditionForm, InitialFilterCriteria, ProfilePart, ServicePointTrigger, SessionCase,
    TriggerPoint,
};
use std::collections::BTreeMap;

/// Looks for what contradicts itself.
pub fn find(criterion: &InitialFilterCriteria, point: &TriggerPoint, findings: &mut Findings) {
    let mut groups: BTreeMap<u32, Vec<&ServicePointTrigger>> = BTreeMap::new();
    for trigger in &point.triggers {
        for group in &trigger.groups {
            groups.entry(*group).or_default().push(trigger);
        }
    }
    if point.form == ConditionForm::Disjunctive {
        for (group, triggers) in &groups {
            if let Some(why) = never(triggers) {
                findings.error(
                    format!("group {group} never holds: {why}"),
                    "with ConditionTypeCNF 0 all triggers of a group must hold; put alternatives into groups of their own",
                );
            }
        }
    }
    if point.form == ConditionForm::Conjunctive
        && groups.len() == 1
        && point.triggers.iter().any(|trigger| kind(trigger) != kind(&point.triggers[0]))
    {
        findings.warning(
            "all triggers are in one group, of which one is enough: a request that has any of them goes there",
            "with ConditionTypeCNF 1, put what must hold together into groups of their own, or write 0",
        );
    }
    let Ok(compiled) = Compiled::compile(Some(point), &mut Compiler::default()) else { return };
    let is_told =
        point.form == ConditionForm::Disjunctive && groups.values().all(|triggers| never(triggers).is_some());
    if is_told {
        return;
    }
    if compiled.is_never() {
        findings.error(
            "no request matches: the groups ask for methods or session cases that exclude each other",
            "with ConditionTypeCNF 1 every group must hold; put alternatives into one group",
        );
    } else if let Some(part) = criterion.profile_part
        && compiled.cases() & cases_of(part) == 0
    {
        let state = match part {
            ProfilePart::Registered => "registered",
            ProfilePart::Unregistered => "unregistered",
        };
        findings.error(
            format!("no request matches: it is for {state} users, and its session cases are for others"),
            "change ProfilePartIndicator or SessionCase, or leave the indicator out",
        );
    }
}

/// What a trigger looks at.
fn kind(trigger: &ServicePointTrigger) -> std::mem::Discriminant<Condition> {
    std::mem::discriminant(&trigger.condition)
}

/// Why triggers can never hold together.
fn never(triggers: &[&ServicePointTrigger]) -> Option<&'static str> {
    let compiled: Vec<Trigger> = triggers
        .iter()
        .filter_map(|trigger| Trigger::compile(trigger, 1, &mut Compiler::default()).ok())
        .collect();
    if compiled.iter().fold(trigger::ALL_METHODS, |all, one| all & one.methods()) == 0 {
        return Some("it asks for two methods at once");
    }
    if compiled.iter().fold(trigger::ALL_CASES, |all, one| all & one.cases()) == 0 {
        return Some("it asks for two session cases at once");
    }
    let is_opposite = |a: &ServicePointTrigger, b: &ServicePointTrigger| {
        a.condition == b.condition
            && a.is_negated != b.is_negated
            && a.registration_types == b.registration_types
    };
    let is_absent_and_matched =
        |a: &ServicePointTrigger, b: &ServicePointTrigger| match (&a.condition, &b.condition) {
            (
                Condition::SipHeader { header, content: None },
                Condition::SipHeader { header: other, content: Some(_) },
            ) => a.is_negated && !b.is_negated && header.eq_ignore_ascii_case(other),
            _ => false,
        };
    for (at, a) in triggers.iter().enumerate() {
        for b in triggers.iter().skip(at + 1) {
            if is_opposite(a, b) {
                return Some("it asks for a condition and its opposite");
            }
            if is_absent_and_matched(a, b) || is_absent_and_matched(b, a) {
                return Some("it asks for the content of a header field that must be absent");
            }
        }
    }
    None
}

/// The session cases that users in this state can be in.
fn cases_of(part: ProfilePart) -> u8 {
    let all = match part {
        ProfilePart::Registered => [
            SessionCase::OriginatingRegistered,
            SessionCase::TerminatingRegistered,
            SessionCase::OriginatingCdiv,
        ],
        ProfilePart::Unregistered => [
            SessionCase::OriginatingUnregistered,
            SessionCase::TerminatingUnregistered,
            SessionCase::OriginatingCdiv,
        ],
    };
    all.into_iter().fold(0, |bits, case| bits | trigger::cases(case))
}

/// Whether a REGISTER may match.
pub fn register_may_match(criterion: &InitialFilterCriteria) -> bool {
    Compiled::compile(criterion.trigger_point.as_ref(), &mut Compiler::default())
        .is_ok_and(|compiled| compiled.methods() & trigger::methods(&sip_core::Method::Register) != 0)
}
