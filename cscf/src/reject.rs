//! A refusal: the SIP response that a request gets instead of service.

use sip_core::{Name, Status};
use std::borrow::Cow;

/// The error response to the request being handled, and why.
///
/// `Err(Reject)` from a role's hook *is* the response; [`crate::turn::Turn`] turns it to bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status code.
    pub status: Status,
    /// The cause in a few words: counted by, logged, and told to the peer in a Warning header (RFC 3261 §20.43).
    pub cause: &'static str,
    /// Details for the operator's log, never sent.
    pub detail: Option<String>,
    /// Headers that the status asks for (Retry-After, Min-Expires, Unsupported, WWW-Authenticate ...).
    pub headers: Vec<(Name, String)>,
    /// What the peer is told to do, where the status has a body: its type and its text.
    pub body: Option<(&'static str, Cow<'static, str>)>,
}

impl Reject {
    /// A refusal with a cause that names the rule, in lower case and without a full stop.
    pub fn new(status: Status, cause: &'static str) -> Reject {
        Reject { status, cause, detail: None, headers: Vec::new(), body: None }
    }

    /// Adds what an operator would want to know.
    pub fn detail(mut self, detail: impl Into<String>) -> Reject {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a header to the response.
    pub fn header(mut self, name: Name, value: impl Into<String>) -> Reject {
        self.headers.push((name, value.into()));
        self
    }

    /// Gives the response a body.
    pub fn body(mut self, content_type: &'static str, text: impl Into<Cow<'static, str>>) -> Reject {
        self.body = Some((content_type, text.into()));
        self
    }
}
