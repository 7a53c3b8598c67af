//! Why a request of ours has no answer that could be used, in words for an operator.

use crate::cx::CxResult;
use std::fmt;

/// Why a request has no answer that could be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CxFailure {
    /// No peer for the destination is connected.
    NoPeer,
    /// No answer came in time.
    Timeout,
    /// Too many requests wait for an answer.
    Overload,
    /// The Diameter network refused the request with a protocol error, and no other peer could be tried.
    Rejected {
        /// The result, a 3xxx.
        result: CxResult,
    },
    /// The answer could not be read.
    Undecodable {
        /// What was wrong with it.
        reason: String,
    },
}

impl fmt::Display for CxFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CxFailure::NoPeer => write!(f, "no Diameter peer is connected for the destination"),
            CxFailure::Timeout => write!(f, "no answer from the HSS in time"),
            CxFailure::Overload => write!(f, "too many Cx requests wait for an answer"),
            CxFailure::Rejected { result } => write!(f, "the Diameter network refused the request: {result}"),
            CxFailure::Undecodable { reason } => write!(f, "the HSS's answer cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for CxFailure {}
