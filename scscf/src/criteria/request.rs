//! A request as triggers look at it: what several of them ask for is read once.

use super::session_description::Lines;
use super::{Facts, request_uri, trigger};
use cscf::user_data::{RegistrationType, SessionCase};
use sip_core::{Message, Method};
use std::cell::OnceCell;

/// One request during one evaluation.
pub struct Request<'a> {
    pub message: &'a Message,
    pub method: Method<'a>,
    method_bit: u16,
    pub case: SessionCase,
    pub is_registered: bool,
    pub registration: Option<RegistrationType>,
    target: OnceCell<&'a [u8]>,
    session_description: OnceCell<Lines<'a>>,
}

impl<'a> Request<'a> {
    pub fn new(facts: &Facts<'a>) -> Request<'a> {
        let method = facts.message.method();
        Request {
            message: facts.message,
            method,
            method_bit: trigger::methods(&method),
            case: facts.case,
            is_registered: facts.is_registered,
            registration: facts.registration,
            target: OnceCell::new(),
            session_description: OnceCell::new(),
        }
    }

    /// The bit of its method.
    pub fn method_bit(&self) -> u16 {
        self.method_bit
    }

    /// The bit of the session case.
    pub fn case_bit(&self) -> u8 {
        trigger::cases(self.case)
    }

    /// The part of the Request-URI that triggers look at.
    pub fn target(&self) -> &'a [u8] {
        self.target.get_or_init(|| request_uri::target(self.message.uri()))
    }

    /// The lines of the session description in the body; none when there is none.
    pub fn session_description(&self) -> &Lines<'a> {
        self.session_description.get_or_init(|| Lines::of(self.message))
    }
}
