//! SIP-Auth-Data-Item: an authentication vector, or the wish for one (TS 29.229 §6.3.13).

use super::Fault;
use super::body::Body;
use crate::dictionary::avp;
use crate::wire::Writer;
use std::fmt;

/// SIP-Authentication-Scheme.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum AuthScheme {
    /// `Digest-AKAv1-MD5`, which also stands for AKAv2.
    DigestAkaV1Md5,
    /// `SIP Digest`, with a space.
    SipDigest,
    /// `NASS-Bundled`.
    NassBundled,
    /// `Early-IMS-Security`.
    EarlyIms,
    /// `Unknown`: the HSS chooses.
    #[default]
    Unknown,
    /// A scheme that TS 29.229 does not name, such as the `Digest-MD5` of some HSSs.
    Other(String),
}

impl AuthScheme {
    /// The scheme of this text; letters count in either case, as HSSs differ.
    pub fn from_text(text: &str) -> AuthScheme {
        const NAMED: [AuthScheme; 5] = [
            AuthScheme::DigestAkaV1Md5,
            AuthScheme::SipDigest,
            AuthScheme::NassBundled,
            AuthScheme::EarlyIms,
            AuthScheme::Unknown,
        ];
        NAMED
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
            .unwrap_or_else(|| AuthScheme::Other(text.to_owned()))
    }

    /// The text on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            AuthScheme::DigestAkaV1Md5 => "Digest-AKAv1-MD5",
            AuthScheme::SipDigest => "SIP Digest",
            AuthScheme::NassBundled => "NASS-Bundled",
            AuthScheme::EarlyIms => "Early-IMS-Security",
            AuthScheme::Unknown => "Unknown",
            AuthScheme::Other(text) => text,
        }
    }
}

impl fmt::Display for AuthScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// In an MAR the scheme that is wished for, and RAND and AUTS when SQN has to be resynchronised; in an MAA the vector.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthDataItem {
    /// SIP-Item-Number: the order of vectors when there are several; the lowest is used first.
    pub item_number: Option<u32>,
    /// SIP-Authentication-Scheme.
    pub scheme: Option<AuthScheme>,
    /// SIP-Authenticate: RAND and AUTN, 32 octets.
    pub authenticate: Option<Vec<u8>>,
    /// SIP-Authorization: in a request RAND and AUTS, 30 octets; in an answer XRES.
    pub authorization: Option<Vec<u8>>,
    /// SIP-Authentication-Context.
    pub context: Option<Vec<u8>>,
    /// Confidentiality-Key.
    pub ck: Option<Vec<u8>>,
    /// Integrity-Key.
    pub ik: Option<Vec<u8>>,
    /// SIP-Digest-Authenticate.
    pub digest: Option<DigestAuthenticate>,
    /// Framed-IP-Address: the address that GIBA or NASS bundling expects.
    pub framed_ip_address: Option<Vec<u8>>,
    /// Framed-IPv6-Prefix.
    pub framed_ipv6_prefix: Option<Vec<u8>>,
    /// Framed-Interface-Id.
    pub framed_interface_id: Option<Vec<u8>>,
    /// Line-Identifier of ETSI, for NASS-bundled authentication.
    pub line_identifiers: Vec<Vec<u8>>,
}

/// SIP-Digest-Authenticate: what the S-CSCF needs to check a digest (TS 29.229 §6.3.36).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DigestAuthenticate {
    /// Digest-Realm.
    pub realm: String,
    /// Digest-QoP; `auth` in IMS.
    pub qop: Option<String>,
    /// Digest-Algorithm; MD5 when absent.
    pub algorithm: Option<String>,
    /// Digest-HA1, in hexadecimal.
    pub ha1: String,
}

struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

impl fmt::Debug for AuthDataItem {
    /// Prints no key, no XRES and no RAND.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |value: &Option<Vec<u8>>| value.as_ref().map(|_| Redacted);
        f.debug_struct("AuthDataItem")
            .field("item_number", &self.item_number)
            .field("scheme", &self.scheme)
            .field("authenticate", &hidden(&self.authenticate))
            .field("authorization", &hidden(&self.authorization))
            .field("context", &hidden(&self.context))
            .field("ck", &hidden(&self.ck))
            .field("ik", &hidden(&self.ik))
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DigestAuthenticate {
    /// Prints no HA1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestAuthenticate")
            .field("realm", &self.realm)
            .field("qop", &self.qop)
            .field("algorithm", &self.algorithm)
            .field("ha1", &Redacted)
            .finish()
    }
}

impl AuthDataItem {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.group(&avp::SIP_AUTH_DATA_ITEM, |w| {
            w.unsigned32_if(&avp::SIP_ITEM_NUMBER, self.item_number);
            w.text_if(&avp::SIP_AUTHENTICATION_SCHEME, self.scheme.as_ref().map(AuthScheme::as_str));
            w.octets_if(&avp::SIP_AUTHENTICATE, self.authenticate.as_deref());
            w.octets_if(&avp::SIP_AUTHORIZATION, self.authorization.as_deref());
            w.octets_if(&avp::SIP_AUTHENTICATION_CONTEXT, self.context.as_deref());
            w.octets_if(&avp::CONFIDENTIALITY_KEY, self.ck.as_deref());
            w.octets_if(&avp::INTEGRITY_KEY, self.ik.as_deref());
            if let Some(digest) = &self.digest {
                digest.write(w);
            }
            w.octets_if(&avp::FRAMED_IP_ADDRESS, self.framed_ip_address.as_deref());
            w.octets_if(&avp::FRAMED_IPV6_PREFIX, self.framed_ipv6_prefix.as_deref());
            w.octets_if(&avp::FRAMED_INTERFACE_ID, self.framed_interface_id.as_deref());
            for line in &self.line_identifiers {
                w.octets(&avp::LINE_IDENTIFIER, line);
            }
        });
    }

    pub(crate) fn read(inside: &mut Body<'_>) -> Result<AuthDataItem, Fault> {
        Ok(AuthDataItem {
            item_number: inside.unsigned32_if(&avp::SIP_ITEM_NUMBER)?,
            scheme: inside.text_if(&avp::SIP_AUTHENTICATION_SCHEME)?.map(|text| AuthScheme::from_text(&text)),
            authenticate: inside.octets_if(&avp::SIP_AUTHENTICATE)?,
            authorization: inside.octets_if(&avp::SIP_AUTHORIZATION)?,
            context: inside.octets_if(&avp::SIP_AUTHENTICATION_CONTEXT)?,
            ck: inside.octets_if(&avp::CONFIDENTIALITY_KEY)?,
            ik: inside.octets_if(&avp::INTEGRITY_KEY)?,
            digest: inside.group_if(&avp::SIP_DIGEST_AUTHENTICATE, DigestAuthenticate::read)?,
            framed_ip_address: inside.octets_if(&avp::FRAMED_IP_ADDRESS)?,
            framed_ipv6_prefix: inside.octets_if(&avp::FRAMED_IPV6_PREFIX)?,
            framed_interface_id: inside.octets_if(&avp::FRAMED_INTERFACE_ID)?,
            line_identifiers: inside.octets_all(&avp::LINE_IDENTIFIER),
        })
    }
}

impl DigestAuthenticate {
    fn write(&self, writer: &mut Writer) {
        writer.group(&avp::SIP_DIGEST_AUTHENTICATE, |w| {
            w.text(&avp::DIGEST_REALM, &self.realm);
            w.text_if(&avp::DIGEST_ALGORITHM, self.algorithm.as_deref());
            w.text_if(&avp::DIGEST_QOP, self.qop.as_deref());
            w.text(&avp::DIGEST_HA1, &self.ha1);
        });
    }

    fn read(inside: &mut Body<'_>) -> Result<DigestAuthenticate, Fault> {
        Ok(DigestAuthenticate {
            realm: inside.text(&avp::DIGEST_REALM)?,
            qop: inside.text_if(&avp::DIGEST_QOP)?,
            algorithm: inside.text_if(&avp::DIGEST_ALGORITHM)?,
            ha1: inside.text(&avp::DIGEST_HA1)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_texts_round_trip_and_the_unnamed_are_kept() {
        for text in
            ["Digest-AKAv1-MD5", "SIP Digest", "NASS-Bundled", "Early-IMS-Security", "Unknown", "Digest-MD5"]
        {
            assert_eq!(AuthScheme::from_text(text).as_str(), text);
        }
        assert_eq!(AuthScheme::from_text("digest-akav1-md5"), AuthScheme::DigestAkaV1Md5);
        assert_eq!(AuthScheme::from_text("Digest-MD5"), AuthScheme::Other("Digest-MD5".into()));
    }

    #[test]
    fn no_key_is_printed() {
        let digest = DigestAuthenticate { ha1: "5ec2e7".into(), ..Default::default() };
        let item = AuthDataItem {
            authorization: Some(vec![222; 8]),
            ck: Some(vec![222; 16]),
            ik: Some(vec![222; 16]),
            digest: Some(digest),
            ..Default::default()
        };
        let printed = format!("{item:?}");
        assert!(!printed.contains("222") && !printed.contains("5ec2e7"), "{printed}");
        assert!(printed.contains("ck: Some(redacted)"), "{printed}");
    }
}
