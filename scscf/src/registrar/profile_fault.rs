//! Why User-Data cannot be taken.

use crate::criteria::Refusal;
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
