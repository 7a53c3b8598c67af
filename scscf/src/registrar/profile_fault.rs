//! Why User-Data cannot be taken.

use crate::criteria::{Reason, Refusal};
use cscf::user_data::UserDataError;
use std::fmt;

/// What is wrong with a profile that the HSS gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileFault {
    /// It is no User-Data.
    Document(UserDataError),
    /// Its filter criteria cannot be evaluated, or would cost too much.
    Criteria(Refusal),
    /// It names no public identity that can be asked for first.
    NoIdentity,
}

impl ProfileFault {
    /// Whether it is one that another S-CSCF may be able to hold: nothing is wrong with it but its size.
    pub fn is_too_much(&self) -> bool {
        matches!(self, ProfileFault::Criteria(Refusal { reason: Reason::TooMany(_), .. }))
    }

    /// The word under which it is counted.
    pub fn cause(&self) -> &'static str {
        match self {
            ProfileFault::Document(_) => "not user data",
            ProfileFault::Criteria(_) if self.is_too_much() => "too many filter criteria",
            ProfileFault::Criteria(_) => "filter criteria",
            ProfileFault::NoIdentity => "no identity",
        }
    }
}

impl fmt::Display for ProfileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileFault::Document(error) => error.fmt(f),
            ProfileFault::Criteria(refusal) => refusal.fmt(f),
            ProfileFault::NoIdentity => f.write_str("names no public identity that can be asked for"),
        }
    }
}

impl std::error::Error for ProfileFault {}
