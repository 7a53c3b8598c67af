//! The Authorization of a REGISTER, as the registrar reads it (RFC 7616, RFC 3310, TS 24.229 §7.2A.2).

use super::integrity::Integrity;
use super::registration::Response;
use cscf::Reject;
use sip_core::fields::auth::Credentials;
use sip_core::{Message, Name, Status};
use std::fmt;

/// What an Authorization header field says, unquoted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authorization {
    /// The private identity.
    pub username: String,
    /// `nonce`
    pub nonce: Vec<u8>,
    /// `uri`
    pub uri: Vec<u8>,
    /// `response`
    pub response: Vec<u8>,
    /// `auts`, as it stands in base64.
    pub auts: Option<Vec<u8>>,
    /// `algorithm`
    pub algorithm: Option<Vec<u8>>,
    /// `qop`
    pub qop: Option<Vec<u8>>,
    /// `nc`
    pub nc: Vec<u8>,
    /// `cnonce`
    pub cnonce: Vec<u8>,
    /// `integrity-protected`, which only a P-CSCF may have written.
    pub integrity: Integrity,
}

impl fmt::Debug for Authorization {
    /// Names nobody and shows no proof.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorization({:?}, {:?})", self.integrity, self.response())
    }
}

impl Authorization {
    /// Reads the first Authorization of the digest scheme; `None` when there is none.
    pub fn read(message: &Message) -> Result<Option<Authorization>, Reject> {
        let Some((_, value)) = message.all(Name::Authorization).next() else { return Ok(None) };
        let malformed = || Reject::new(Status::BAD_REQUEST, "malformed authorization");
        let credentials = Credentials::parse(Name::Authorization, value).map_err(|_| malformed())?;
        if !credentials.is_digest() {
            return Ok(None);
        }
        let field = |name: &[u8]| credentials.param(name).map(|value| value.into_owned());
        let username = String::from_utf8(field(b"username").unwrap_or_default()).map_err(|_| malformed())?;
        if username.is_empty() || username.len() > USERNAME_MAX {
            return Err(malformed());
        }
        Ok(Some(Authorization {
            username,
            nonce: field(b"nonce").unwrap_or_default(),
            uri: field(b"uri").unwrap_or_default(),
            response: field(b"response").unwrap_or_default(),
            auts: field(b"auts").filter(|auts| !auts.is_empty()),
            algorithm: field(b"algorithm"),
            qop: field(b"qop"),
            nc: field(b"nc").unwrap_or_default(),
            cnonce: field(b"cnonce").unwrap_or_default(),
            integrity: Integrity::of(field(b"integrity-protected").as_deref()),
        }))
    }

    /// What it brings beside names.
    pub fn response(&self) -> Response {
        match (&self.auts, self.response.is_empty()) {
            (Some(_), _) => Response::Auts,
            (None, true) => Response::Empty,
            (None, false) => Response::Given,
        }
    }

    /// The nonce count as a number; `None` when there is none, or no eight digits.
    pub fn nonce_count(&self) -> Option<u32> {
        let digits = std::str::from_utf8(&self.nc).ok().filter(|digits| digits.len() == 8)?;
        u32::from_str_radix(digits, 16).ok()
    }
}

/// A private identity is a NAI of at most 253 octets (RFC 7542 §2.2); a little more is let through to the HSS.
const USERNAME_MAX: usize = 255;
