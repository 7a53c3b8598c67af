//! Why criteria are not taken.

use super::expression::Fault;
use super::{CRITERIA_MAX, GROUPS_MAX, SHARED_SETS_MAX, TRIGGERS_MAX};
use std::fmt;

/// Why a profile with these criteria is refused. Holds nothing of an expression, which may name people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which of the criteria, from 1, by priority; 0 when it is none of them.
    pub criterion: usize,
    /// Its priority.
    pub priority: u32,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// More of something than is taken.
    TooMany(Bound),
    /// An expression that is none, or is too large.
    Expression {
        /// Which of the triggers, from 1, in the order of the document.
        trigger: usize,
        /// The element that holds it.
        element: &'static str,
        /// What is wrong.
        fault: Fault,
    },
}

/// What there may be so many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Criteria of a profile.
    Criteria,
    /// Triggers of all criteria of a profile.
    Triggers,
    /// Groups that one trigger stands in.
    Groups,
    /// Shared sets that a profile names.
    SharedSets,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { criterion, priority, reason } = self;
        if *criterion == 0 {
            return reason.fmt(f);
        }
        write!(f, "InitialFilterCriteria {criterion} (Priority {priority}): {reason}")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::TooMany(Bound::Criteria) => write!(f, "a profile may have {CRITERIA_MAX} criteria"),
            Reason::TooMany(Bound::Triggers) => write!(f, "a profile may have {TRIGGERS_MAX} triggers"),
            Reason::TooMany(Bound::Groups) => write!(f, "a trigger may be in {GROUPS_MAX} groups"),
            Reason::TooMany(Bound::SharedSets) => {
                write!(f, "a profile may name {SHARED_SETS_MAX} shared sets")
            }
            Reason::Expression { trigger, element, fault } => {
                write!(f, "SPT {trigger}, {element}: {fault}")
            }
        }
    }
}

impl std::error::Error for Refusal {}
