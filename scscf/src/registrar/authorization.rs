//! The Authorization of a REGISTER, as the registrar reads it (RFC 7616, RFC 3310, TS 24.229 §7.2A.2).

use super::integrity::Integrity;
use super::registration::Response;
use cscf::Reject;
use cscf::identity::{HomeNetwork, Impi};
use sip_core::fields::auth::Credentials;
use sip_core::{Message, Name, Status, Uri};
use smallvec::SmallVec;
use std::fmt;

/// What an Authorization header field says, unquoted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authorization {
    /// `nonce`
    pub nonce: SmallVec<[u8; 64]>,
    /// `uri`
    pub uri: SmallVec<[u8; 64]>,
    /// `response`
    pub response: SmallVec<[u8; 64]>,
    /// `auts`, as it stands in base64.
    pub auts: Option<SmallVec<[u8; 24]>>,
    /// `algorithm`
    pub algorithm: Option<SmallVec<[u8; 16]>>,
    /// `qop`
    pub qop: Option<SmallVec<[u8; 16]>>,
    /// `nc`
    pub nc: SmallVec<[u8; 16]>,
    /// `cnonce`
    pub cnonce: SmallVec<[u8; 64]>,
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
    /// Reads the first Authorization of the digest scheme, and the private identity in it; `None` when there is none.
    pub fn read(message: &Message) -> Result<Option<(Impi, Authorization)>, Reject> {
        let Some((_, value)) = message.all(Name::Authorization).next() else { return Ok(None) };
        let malformed = || Reject::new(Status::BAD_REQUEST, "malformed authorization");
        let credentials = Credentials::parse(Name::Authorization, value).map_err(|_| malformed())?;
        if !credentials.is_digest() {
            return Ok(None);
        }
        fn text<const N: usize>(credentials: &Credentials<'_>, name: &[u8]) -> Option<SmallVec<[u8; N]>>
        where
            [u8; N]: smallvec::Array<Item = u8>,
        {
            credentials.param(name).map(|value| SmallVec::from_slice(&value))
        }
        let username = credentials.param(b"username").unwrap_or_default();
        let username = std::str::from_utf8(&username).map_err(|_| malformed())?;
        if username.is_empty() || username.len() > USERNAME_MAX {
            return Err(malformed());
        }
        let authorization = Authorization {
            nonce: text(&credentials, b"nonce").unwrap_or_default(),
            uri: text(&credentials, b"uri").unwrap_or_default(),
            response: text(&credentials, b"response").unwrap_or_default(),
            auts: text(&credentials, b"auts").filter(|auts| !auts.is_empty()),
            algorithm: text(&credentials, b"algorithm"),
            qop: text(&credentials, b"qop"),
            nc: text(&credentials, b"nc").unwrap_or_default(),
            cnonce: text(&credentials, b"cnonce").unwrap_or_default(),
            integrity: Integrity::of(credentials.param(b"integrity-protected").as_deref()),
        };
        Ok(Some((Impi::new(username), authorization)))
    }

    /// Whether `uri` names what the REGISTER is for (RFC 7616 §3.4.6): the registrar of the home network.
    ///
    /// The Request-URI that the UE wrote is not here any more, since the I-CSCF put ours in its place (TS 24.229
    /// §5.3.1.2); RFC 3261 §22.4 lets a server look at what it is willing to serve instead. So the home domain, a node
    /// in it, and an address, which some UEs have instead of a name, are taken with any port and parameters.
    pub fn is_for_registrar(&self, home: &HomeNetwork, request_uri: &[u8]) -> bool {
        if super::same_uri(&self.uri, request_uri) {
            return true;
        }
        let Ok(Uri::Sip(uri)) = Uri::parse(&self.uri) else { return false };
        let is_of_home = |name: &[u8]| {
            home.is_domain(name)
                || name
                    .iter()
                    .enumerate()
                    .any(|(at, byte)| at > 0 && *byte == b'.' && home.is_domain(&name[at + 1..]))
        };
        // RFC 3261 §10.2: a registrar has no user part.
        uri.user.is_none() && uri.host.name().is_none_or(is_of_home)
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

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::Plmn;

    #[test]
    fn the_digest_uri_may_name_the_registrar_in_any_form_and_nothing_else() {
        let home = HomeNetwork::of(&Plmn::test());
        let domain = home.domain();
        let is_taken = |uri: &str| {
            let authorization = Authorization { uri: uri.as_bytes().into(), ..Default::default() };
            authorization.is_for_registrar(&home, b"sip:scscf.example:6060")
        };
        for uri in [
            format!("sip:{domain}"),
            format!("sip:{domain}:5060"),
            format!("SIP:{};transport=tcp", domain.to_uppercase()),
            format!("sips:{domain}"),
            format!("sip:icscf.{domain}"),
            "sip:10.0.0.1:5060".to_owned(),
            "sip:[2001:db8::1]".to_owned(),
            "sip:SCSCF.example:6060".to_owned(),
        ] {
            assert!(is_taken(&uri), "{uri}");
        }
        for uri in [
            format!("sip:alice@{domain}"),
            format!("sip:not{domain}"),
            format!("tel:{domain}"),
            "sip:other.example".to_owned(),
            "sip:scscf.example".to_owned(),
            String::new(),
        ] {
            assert!(!is_taken(&uri), "{uri}");
        }
    }
}
