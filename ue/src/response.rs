//! What the UE adds to a response, kept so that the same response can be built twice, byte for byte.

use sip_core::{Name, ResponseBuilder};

/// The methods that the UE understands, for Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, OPTIONS, MESSAGE, NOTIFY";
/// The option tags that the UE understands, for Supported.
pub(crate) const SUPPORTED: &str = "100rel, timer";
/// The body of a session description.
pub(crate) const SDP: &str = "application/sdp";

/// Headers and body beyond those that every response has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    makes_dialog: bool,
    headers: Vec<(Name, String)>,
    sdp: Option<Vec<u8>>,
}

impl Extra {
    /// Nothing beyond.
    pub(crate) fn none() -> Extra {
        Extra::default()
    }

    /// What a response that makes or refreshes a dialog has: Record-Route and our Contact (RFC 3261 §12.1.1).
    pub(crate) fn for_dialog(contact: String) -> Extra {
        Extra { makes_dialog: true, ..Extra::default() }.header(Name::Contact, contact)
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: Name, value: impl Into<String>) -> Extra {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets a session description as the body.
    pub(crate) fn sdp(mut self, sdp: Option<Vec<u8>>) -> Extra {
        self.sdp = sdp;
        self
    }

    /// Adds everything to a response.
    pub(crate) fn fill<'m>(&self, mut response: ResponseBuilder<'m>) -> ResponseBuilder<'m> {
        if self.makes_dialog {
            response = response.record_route();
        }
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        match &self.sdp {
            Some(sdp) => response.body(SDP, sdp),
            None => response,
        }
    }
}
