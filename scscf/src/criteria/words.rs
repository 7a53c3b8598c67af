//! Triggers in words, for whoever reads a profile.

use cscf::user_data::{Condition, RegistrationType, ServicePointTrigger, SessionCase};
use std::fmt;

/// A trigger in words.
pub struct InWords<'t>(pub &'t ServicePointTrigger);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InWords(trigger) = self;
        if trigger.is_negated {
            f.write_str("not: ")?;
        }
        match &trigger.condition {
            Condition::Method(method) => write!(f, "the method is {method}")?,
            Condition::SessionCase(case) => write!(f, "the session case is {}", session_case(*case))?,
            Condition::RequestUri(expression) => {
                write!(f, "the host of the Request-URI matches {expression:?}")?;
            }
            Condition::SipHeader { header, content: None } => write!(f, "there is a {header}")?,
            Condition::SipHeader { header, content: Some(content) } => {
                write!(f, "a value of {header} matches {content:?}")?;
            }
            Condition::SessionDescription { line, content: None } => {
                write!(f, "the session description has a line {line}=")?;
            }
            Condition::SessionDescription { line, content: Some(content) } => {
                write!(f, "a line {line}= of the session description matches {content:?}")?;
            }
        }
        let kinds: Vec<_> = trigger.registration_types.iter().map(|kind| registration(*kind)).collect();
        match kinds[..] {
            [] => Ok(()),
            _ => write!(f, ", for {}", kinds.join(" or ")),
        }
    }
}

/// A session case in words.
pub fn session_case(case: SessionCase) -> &'static str {
    match case {
        SessionCase::OriginatingRegistered => "originating",
        SessionCase::TerminatingRegistered => "terminating",
        SessionCase::TerminatingUnregistered => "terminating unregistered",
        SessionCase::OriginatingUnregistered => "originating unregistered",
        SessionCase::OriginatingCdiv => "originating after a diversion",
    }
}

/// A kind of registration in words.
pub fn registration(kind: RegistrationType) -> &'static str {
    match kind {
        RegistrationType::Initial => "an initial registration",
        RegistrationType::ReRegistration => "a re-registration",
        RegistrationType::DeRegistration => "a de-registration",
    }
}
