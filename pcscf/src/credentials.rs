//! The parameters of Authorization and WWW-Authenticate that stay between CSCFs (TS 24.229 §7.2A).
//!
//! `integrity-protected` is the P-CSCF's word on how a REGISTER came; `ck` and `ik` are keys for the P-CSCF alone.

use sip_core::Name;
use sip_core::fields::auth::{AuthParams, Challenge, Credentials};
use smallvec::SmallVec;

/// A header value in the making. Nearly every one fits without an allocation.
pub type Value = SmallVec<[u8; 512]>;

/// The credentials as they go to the registrar: without what the UE claims, with what this P-CSCF says.
///
/// `None` when they cannot be read: then nobody can say what the registrar would read in them.
pub fn with_integrity(authorization: &[u8]) -> Option<Value> {
    let Credentials { scheme, params } = Credentials::parse(Name::Authorization, authorization).ok()?;
    let own = integrity(&params).map(|says| (&b"integrity-protected"[..], says));
    Some(write(scheme, without(&params, &[b"integrity-protected"]).chain(own)))
}

/// The challenge as it goes to the UE: without the keys. `None` when it cannot be read.
pub fn without_keys(challenge: &[u8]) -> Option<Value> {
    let Challenge { scheme, params } = Challenge::parse(Name::WwwAuthenticate, challenge).ok()?;
    Some(write(scheme, without(&params, &[b"ck", b"ik"])))
}

/// What this P-CSCF says of a REGISTER that came without a security association (TS 33.203 §6.1.5, TS 24.229 §7.2A.2).
///
/// Credentials whose algorithm is one of SIP digest are spared the word that would start AKA: their first REGISTER says
/// nothing, a later one that its address is not bound yet. Everything else is AKA that is not protected.
fn integrity(params: &AuthParams<'_>) -> Option<&'static [u8]> {
    let algorithm = params.get(b"algorithm").unwrap_or_default();
    let is_aka = algorithm.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"AKAV"));
    let is_digest = !algorithm.is_empty() && !is_aka;
    let has_response = params.get(b"response").is_some_and(|response| !response.is_empty());
    match (is_digest, has_response) {
        (false, _) => Some(b"\"no\""),
        (true, true) => Some(b"\"ip-assoc-pending\""),
        (true, false) => None,
    }
}

/// The parameters but for those of these names.
fn without<'a>(params: &AuthParams<'a>, names: &[&[u8]]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    params.iter().filter(|(name, _)| !names.iter().any(|unwanted| unwanted.eq_ignore_ascii_case(name)))
}

fn write<'a>(scheme: &[u8], params: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Value {
    let mut value = Value::from_slice(scheme);
    for (at, (name, content)) in params.enumerate() {
        value.extend_from_slice(if at == 0 { b" " } else { b"," });
        value.extend_from_slice(name);
        value.push(b'=');
        value.extend_from_slice(content);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Option<Value>) -> String {
        let value = value.unwrap_or_else(|| Value::from_slice(b"unreadable"));
        String::from_utf8(value.into_vec()).expect("text")
    }

    #[test]
    fn the_keys_leave_with_their_quotes_and_commas() {
        for (challenge, expected) in [
            (
                "Digest realm=\"h\",nonce=\"n\",algorithm=AKAv1-MD5,ik=\"00ff\",ck=\"ff00\"",
                "Digest realm=\"h\",nonce=\"n\",algorithm=AKAv1-MD5",
            ),
            ("Digest ck=\"1\", ik=\"2\", realm=\"a, ck=\\\"b\"", "Digest realm=\"a, ck=\\\"b\""),
            (
                "Digest realm=\"h\", CK = \"1\", qop=\"auth,auth-int\", IK=2",
                "Digest realm=\"h\",qop=\"auth,auth-int\"",
            ),
            ("Digest ck=\"1\"", "Digest"),
            ("Digest tick=\"1\", nick=2", "Digest tick=\"1\",nick=2"),
            ("Digest realm=\"h\" ck=\"1\"", "unreadable"),
        ] {
            assert_eq!(text(without_keys(challenge.as_bytes())), expected);
        }
    }

    #[test]
    fn the_ues_own_claim_of_protection_is_replaced() {
        for (authorization, expected) in [
            (
                "Digest username=\"u\", integrity-protected=\"yes\", response=\"\"",
                "Digest username=\"u\",response=\"\",integrity-protected=\"no\"",
            ),
            (
                "Digest username=\"u\",Integrity-Protected = yes,algorithm=MD5",
                "Digest username=\"u\",algorithm=MD5",
            ),
            ("Digest username=\"u\" integrity-protected=\"yes\"", "unreadable"),
        ] {
            assert_eq!(text(with_integrity(authorization.as_bytes())), expected);
        }
    }

    #[test]
    fn what_is_said_of_a_register_without_security_association() {
        for (params, expected) in [
            ("username=\"u\",nonce=\"\",response=\"\"", "\"no\""),
            ("username=\"u\",algorithm=AKAv1-MD5,response=\"6629\"", "\"no\""),
            ("username=\"u\",algorithm=\"AKAv2-SHA-256\",response=\"6629\"", "\"no\""),
            ("username=\"u\",algorithm=MD5,response=\"\"", ""),
            ("username=\"u\",algorithm=SHA-256,response=\"6629\"", "\"ip-assoc-pending\""),
        ] {
            let read = AuthParams::parse(params.as_bytes()).expect("parameters");
            assert_eq!(integrity(&read).unwrap_or_default(), expected.as_bytes(), "{params}");
        }
    }
}
