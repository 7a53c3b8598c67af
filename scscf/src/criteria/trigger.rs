//! A service point trigger, compiled: one condition, and whether it must not hold.

use super::Reason;
use super::expression::{Case, Compiler, Expression};
use super::header::Header;
use super::request::Request;
use super::session_description::SessionDescription;
use cscf::user_data::{Condition, RegistrationType, ServicePointTrigger, SessionCase};
use sip_core::Method;

/// One trigger.
#[derive(Debug)]
pub struct Trigger {
    is_negated: bool,
    look: Look,
}

/// What a trigger looks at.
#[derive(Debug)]
enum Look {
    Method {
        token: Box<[u8]>,
        /// Of a REGISTER: the kinds that match, as [`kind`] numbers them; all when it is 0.
        kinds: u8,
    },
    SessionCase(SessionCase),
    RequestUri(Expression),
    Header(Header),
    SessionDescription(SessionDescription),
}

/// How much a trigger costs: those that cost less are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// A comparison.
    Least,
    /// A look-up.
    LookUp,
    /// A search.
    Search,
    /// A walk over the body.
    Body,
    /// An automaton.
    Machine,
}

impl Trigger {
    /// Compiles the `number`th trigger, from 1.
    pub fn compile(
        trigger: &ServicePointTrigger,
        number: usize,
        compiler: &mut Compiler,
    ) -> Result<Trigger, Reason> {
        let refused = |(element, fault)| Reason::Expression { trigger: number, element, fault };
        let look = match &trigger.condition {
            Condition::Method(method) => Look::Method {
                token: method.as_bytes().into(),
                // TS 29.228 §B.2.3: they say nothing of another method.
                kinds: match method == "REGISTER" {
                    true => trigger.registration_types.iter().fold(0, |kinds, one| kinds | kind(*one)),
                    false => 0,
                },
            },
            Condition::SessionCase(case) => Look::SessionCase(*case),
            Condition::RequestUri(expression) => {
                let compiled = compiler.compile(expression, Case::Ignored);
                Look::RequestUri(compiled.map_err(|fault| refused(("RequestURI", fault)))?)
            }
            Condition::SipHeader { header, content } => {
                Look::Header(Header::compile(header, content.as_deref(), compiler).map_err(refused)?)
            }
            Condition::SessionDescription { line, content } => Look::SessionDescription(
                SessionDescription::compile(line, content.as_deref(), compiler).map_err(refused)?,
            ),
        };
        Ok(Trigger { is_negated: trigger.is_negated, look })
    }

    /// Whether it holds: the condition is met, or is not where it is negated.
    pub fn holds(&self, request: &Request<'_>) -> bool {
        self.is_met(request) != self.is_negated
    }

    fn is_met(&self, request: &Request<'_>) -> bool {
        match &self.look {
            Look::Method { token, kinds } => {
                request.method.as_bytes() == &**token
                    && (*kinds == 0 || request.registration.is_some_and(|one| kinds & kind(one) != 0))
            }
            Look::SessionCase(case) => request.case == *case,
            Look::RequestUri(expression) => expression.matches(request.target()),
            Look::Header(header) => header.matches(request.message),
            Look::SessionDescription(description) => description.matches(request.session_description()),
        }
    }

    /// What it costs.
    pub fn cost(&self) -> Cost {
        match &self.look {
            Look::Method { .. } | Look::SessionCase(_) => Cost::Least,
            Look::Header(header) if header.is_look_up() => Cost::LookUp,
            Look::Header(header) if !header.is_machine() => Cost::Search,
            Look::RequestUri(expression) if !expression.is_machine() => Cost::Search,
            Look::SessionDescription(description) if !description.is_machine() => Cost::Body,
            _ => Cost::Machine,
        }
    }

    /// Whether [`Trigger::methods`] tells all about it: a method that has a number, of any kind.
    pub fn is_told_by_methods(&self) -> bool {
        matches!(&self.look, Look::Method { token, kinds: 0 } if methods(&Method::from_token(token)) != OTHER_METHOD)
    }

    /// Whether [`Trigger::cases`] tells all about it.
    pub fn is_told_by_cases(&self) -> bool {
        matches!(self.look, Look::SessionCase(_))
    }

    /// The methods for which it may hold, as [`methods`] numbers them.
    pub fn methods(&self) -> u16 {
        match &self.look {
            Look::Method { token, kinds } => {
                let one = methods(&Method::from_token(token));
                match self.is_negated {
                    false => one,
                    // Of a method that has no number, and of a REGISTER of another kind, it may hold all the same.
                    true if one == OTHER_METHOD || *kinds != 0 => u16::MAX,
                    true => !one,
                }
            }
            _ => u16::MAX,
        }
    }

    /// The session cases for which it may hold, as [`cases`] numbers them.
    pub fn cases(&self) -> u8 {
        match &self.look {
            Look::SessionCase(case) if self.is_negated => !cases(*case),
            Look::SessionCase(case) => cases(*case),
            _ => u8::MAX,
        }
    }
}

/// The bit of a method; all that nobody knows share one.
pub fn methods(method: &Method<'_>) -> u16 {
    1 << method.place()
}

const OTHER_METHOD: u16 = 1 << (Method::PLACES - 1);
/// Every bit that [`methods`] can set.
pub const ALL_METHODS: u16 = (1 << 15) - 1;

/// The bit of a session case.
pub fn cases(case: SessionCase) -> u8 {
    1 << case as u8
}

/// Every bit that [`cases`] can set.
pub const ALL_CASES: u8 = (1 << 5) - 1;

/// The bit of a kind of registration.
fn kind(registration: RegistrationType) -> u8 {
    1 << registration as u8
}
