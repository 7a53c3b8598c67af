//! Identities of an IMS user (TS 23.003 §13), in the form under which they are compared and kept.
//!
//! Both kinds print redacted: a log names nobody. Whoever needs the text asks for it by `as_str`.

mod home_network;
mod number;

pub use home_network::{HomeNetwork, Plmn, PlmnError};
pub use number::{GlobalNumber, Number, NumberPolicy};

use ambient::entropy::KeyedState;
use sip_core::uri::Uri;
use std::fmt;
use std::hash::BuildHasher;

/// A public user identity in canonical form (TS 29.229 §6.3.2).
///
/// A SIP URI without port, parameters and headers, its host in lower case; or `tel:` with a number without separators.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Impu(String);

impl Impu {
    /// The identity that `uri` names; `None` unless it is a SIP or tel URI in UTF-8.
    pub fn from_uri(uri: &Uri<'_>) -> Option<Impu> {
        if !matches!(uri, Uri::Sip(_) | Uri::Tel(_)) {
            return None;
        }
        // One allocation for nearly all of them.
        let mut canonical = Vec::with_capacity(64);
        uri.canonical_aor(&mut canonical);
        String::from_utf8(canonical).ok().map(Impu)
    }

    /// The identity written as a URI in `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<Impu> {
        Impu::from_uri(&Uri::parse(bytes).ok()?)
    }

    /// A wildcarded identity by its expression (TS 23.003 §13.4A, §13.5), which is compared as it stands: only the HSS
    /// knows who lies within it.
    pub fn of_wildcard(expression: &str) -> Option<Impu> {
        let is_one = expression.bytes().filter(|byte| *byte == b'!').count() == 2
            && expression.len() <= WILDCARD_MAX
            && expression.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'));
        is_one.then(|| Impu(expression.to_owned()))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, without a copy.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Whether it is a telephone number.
    pub fn is_tel(&self) -> bool {
        self.0.starts_with("tel:")
    }

    /// The host of a SIP identity.
    pub fn host(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("sip:").or_else(|| self.0.strip_prefix("sips:"))?;
        Some(rest.rsplit_once('@').map_or(rest, |(_, host)| host))
    }

    /// The private identity of a user whose REGISTER names none: this identity without its scheme
    /// (TS 24.229 §5.3.1.2).
    pub fn derived_impi(&self) -> Impi {
        let (_, rest) = self.0.split_once(':').unwrap_or(("", &self.0));
        Impi(rest.to_owned())
    }
}

/// Longer than any expression that somebody wrote.
const WILDCARD_MAX: usize = 512;

/// A private user identity: the name that a subscription authenticates with, `user@realm`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Impi(String);

impl Impi {
    /// The identity as the UE or the HSS wrote it; it is compared octet by octet (TS 23.003 §13.3, RFC 4282).
    pub fn new(text: impl Into<String>) -> Impi {
        Impi(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, without a copy.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A user part stands as four hex digits: enough to follow one user through a log, too few to name one.
fn redacted(scheme: &str, rest: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mark = KeyedState::from_key((0x5245_4441, 0x4354_4544)).hash_one(rest) & 0xffff;
    match rest.rsplit_once('@') {
        Some((_, host)) => write!(f, "{scheme}#{mark:04x}@{host}"),
        None => write!(f, "{scheme}#{mark:04x}"),
    }
}

impl fmt::Display for Impu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_at(self.0.find(':').map_or(0, |colon| colon + 1));
        redacted(scheme, rest, f)
    }
}

impl fmt::Debug for Impu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Impu({self})")
    }
}

impl fmt::Display for Impi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        redacted("", &self.0, f)
    }
}

impl fmt::Debug for Impi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Impi({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcarded_identity_is_its_expression() {
        for expression in ["sip:ep_user!.*!@home1.net", "tel:+4930![0-9]{3}!"] {
            assert_eq!(Impu::of_wildcard(expression).unwrap().as_str(), expression);
        }
        for other in ["sip:alice@home1.net", "sip:a!b@home1.net", "sip:!.*!@h>;x=<", "sip:!\r\n!@h", ""] {
            assert_eq!(Impu::of_wildcard(other), None, "{other}");
        }
    }

    #[test]
    fn spellings_of_one_identity_are_equal_and_two_users_are_not() {
        let canonical = |text: &str| Impu::parse(text.as_bytes()).map(|impu| impu.as_str().to_owned());
        for (written, expected) in [
            ("sip:alice@HOME1.net:5060;transport=tcp", Some("sip:alice@home1.net")),
            ("sip:+49301@home1.net;user=phone", Some("sip:+49301@home1.net")),
            ("sip:%61lice@home1.net", Some("sip:alice@home1.net")),
            ("sip:Alice@home1.net", Some("sip:Alice@home1.net")),
            ("tel:+49-30-1", Some("tel:+49301")),
            ("tel:301;phone-context=home1.net", Some("tel:301;phone-context=home1.net")),
            ("urn:service:sos", None),
            ("alice", None),
        ] {
            assert_eq!(canonical(written).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn an_identity_prints_without_its_user() {
        let alice = Impu::parse(b"sip:alice@home1.net").expect("a SIP URI");
        let bob = Impu::parse(b"sip:bob@home1.net").expect("a SIP URI");
        for printed in [format!("{alice}"), format!("{alice:?}"), format!("{:?}", alice.derived_impi())] {
            assert!(!printed.contains("alice") && printed.contains("@home1.net"), "{printed}");
        }
        assert_ne!(alice.to_string(), bob.to_string());
        let number = Impu::parse(b"tel:+49301000001").expect("a tel URI");
        assert!(number.to_string().starts_with("tel:#"), "{number}");
    }

    #[test]
    fn a_private_identity_is_derived_without_scheme() {
        let alice = Impu::parse(b"sip:alice@home1.net:5060").expect("a SIP URI");
        assert_eq!(alice.derived_impi(), Impi::new("alice@home1.net"));
        assert_eq!(alice.host(), Some("home1.net"));
    }
}
