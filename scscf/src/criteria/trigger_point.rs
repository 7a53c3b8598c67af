//! A trigger point, compiled: groups of triggers, and what they need before any is worth asking.

use super::expression::Compiler;
use super::request::Request;
use super::trigger::{self, Trigger};
use super::{Bound, GROUPS_MAX, Reason};
use cscf::user_data::{self, ConditionForm};
use std::collections::BTreeMap;

/// A Boolean expression over triggers.
#[derive(Debug)]
pub struct TriggerPoint {
    form: ConditionForm,
    /// In the order of the document.
    triggers: Box<[Trigger]>,
    /// Each the numbers of its triggers, but for those that `methods` and `cases` decide. What costs least comes first, in a
    /// group and of groups.
    groups: Box<[Box<[u16]>]>,
    /// The methods that may match, as [`trigger::methods`] numbers them.
    methods: u16,
    /// The session cases that may match, as [`trigger::cases`] numbers them.
    cases: u8,
}

impl TriggerPoint {
    /// Compiles one; `None` matches every request.
    pub fn compile(
        point: Option<&user_data::TriggerPoint>,
        compiler: &mut Compiler,
    ) -> Result<TriggerPoint, Reason> {
        let Some(point) = point else { return Ok(TriggerPoint::always()) };
        let mut triggers = Vec::with_capacity(point.triggers.len());
        let mut groups: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
        for (number, trigger) in point.triggers.iter().enumerate() {
            if trigger.groups.len() > GROUPS_MAX {
                return Err(Reason::TooMany(Bound::Groups));
            }
            triggers.push(Trigger::compile(trigger, number + 1, compiler)?);
            for group in &trigger.groups {
                // The number of triggers is bounded far below 2^16.
                groups.entry(*group).or_default().push(u16::try_from(number).unwrap_or(u16::MAX));
            }
        }
        let cost = |number: &u16| triggers.get(usize::from(*number)).map(Trigger::cost);
        let mut groups: Vec<Box<[u16]>> = groups
            .into_values()
            .map(|mut group| {
                group.dedup();
                group.sort_by_key(cost);
                group.into_boxed_slice()
            })
            .collect();
        groups.sort_by_key(|group| group.iter().map(cost).max());
        let mut compiled = TriggerPoint {
            form: point.form,
            triggers: triggers.into_boxed_slice(),
            groups: groups.into_boxed_slice(),
            methods: 0,
            cases: 0,
        };
        compiled.methods = compiled.may(trigger::ALL_METHODS, Trigger::methods, |a, b| a & b, |a, b| a | b);
        compiled.cases = compiled.may(trigger::ALL_CASES, Trigger::cases, |a, b| a & b, |a, b| a | b);
        compiled.leave_out_what_is_told();
        Ok(compiled)
    }

    fn always() -> TriggerPoint {
        TriggerPoint {
            form: ConditionForm::Disjunctive,
            triggers: Box::default(),
            groups: Box::new([Box::default()]),
            methods: trigger::ALL_METHODS,
            cases: trigger::ALL_CASES,
        }
    }

    /// What may match when each trigger may hold for what `of` tells, and other triggers are not looked at.
    fn may<T: Copy + Default>(
        &self,
        all: T,
        of: impl Fn(&Trigger) -> T,
        and: impl Fn(T, T) -> T,
        or: impl Fn(T, T) -> T,
    ) -> T {
        let sets = |group: &[u16]| {
            let triggers = group.iter().filter_map(|number| self.triggers.get(usize::from(*number)));
            triggers.map(&of).collect::<Vec<T>>()
        };
        match self.form {
            ConditionForm::Disjunctive => self
                .groups
                .iter()
                .map(|group| sets(group).into_iter().fold(all, &and))
                .fold(T::default(), &or),
            ConditionForm::Conjunctive => self
                .groups
                .iter()
                .map(|group| sets(group).into_iter().fold(T::default(), &or))
                .fold(all, &and),
        }
    }

    /// Takes from the groups what methods and cases have decided before a group is asked.
    fn leave_out_what_is_told(&mut self) {
        let TriggerPoint { triggers, groups, form, .. } = self;
        let is = |told: fn(&Trigger) -> bool| {
            let triggers = &*triggers;
            move |number: &u16| triggers.get(usize::from(*number)).is_some_and(told)
        };
        let (by_methods, by_cases) = (is(Trigger::is_told_by_methods), is(Trigger::is_told_by_cases));
        match (form, &mut **groups) {
            // All of the only group must hold, and these do.
            (ConditionForm::Disjunctive, [group]) => {
                let left = group.iter().copied().filter(|number| !by_methods(number) && !by_cases(number));
                *group = left.collect();
            }
            (ConditionForm::Disjunctive, _) => {}
            // One of each group must hold, and in a group of these alone one does.
            (ConditionForm::Conjunctive, _) => {
                let is_told = |group: &[u16]| group.iter().all(&by_methods) || group.iter().all(&by_cases);
                *groups = groups.iter().filter(|group| !is_told(group)).cloned().collect();
            }
        }
    }

    /// Whether it matches a request.
    pub fn matches(&self, request: &Request<'_>) -> bool {
        if self.methods & request.method_bit() == 0 || self.cases & request.case_bit() == 0 {
            return false;
        }
        let holds = |number: &u16| self.holds(usize::from(*number), request);
        match self.form {
            ConditionForm::Disjunctive => self.groups.iter().any(|group| group.iter().all(holds)),
            ConditionForm::Conjunctive => self.groups.iter().all(|group| group.iter().any(holds)),
        }
    }

    /// The methods that may match, as [`trigger::methods`] numbers them.
    pub fn methods(&self) -> u16 {
        self.methods
    }

    /// The session cases that may match, as [`trigger::cases`] numbers them.
    pub fn cases(&self) -> u8 {
        self.cases
    }

    /// Whether methods and cases alone tell that nothing can match.
    pub fn is_never(&self) -> bool {
        self.methods == 0 || self.cases == 0
    }

    /// Whether one of its triggers holds, by its number in the document from 0.
    pub fn holds(&self, number: usize, request: &Request<'_>) -> bool {
        self.triggers.get(number).is_some_and(|trigger| trigger.holds(request))
    }
}
