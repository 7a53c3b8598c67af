//! The parameters of Authorization and WWW-Authenticate that stay between CSCFs (TS 24.229 §7.2A).
//!
//! `integrity-protected` is the P-CSCF's word on how a REGISTER came; `ck` and `ik` are keys for the P-CSCF alone.

use crate::tls_session::TlsSession;
use sip_core::fields::auth::{AuthParams, Challenge, Credentials};
use sip_core::{Message, Name};
use smallvec::SmallVec;
use zeroize::Zeroizing;

/// A header value in the making. Nearly every one fits without an allocation.
pub type Value = SmallVec<[u8; 512]>;

/// How a REGISTER came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// In clear.
    Clear,
    /// Through a security association.
    Protected,
    /// By TLS, or on the way to it.
    Tls(TlsSession),
    /// In clear, where only SIP digest is allowed.
    Digest,
}

/// The credentials as they go to the registrar: without what the UE claims, with what this P-CSCF says.
///
/// `None` when they cannot be read: then nobody can say what the registrar would read in them.
pub fn with_integrity(authorization: &[u8], arrival: Arrival) -> Option<Value> {
    let Credentials { scheme, params } = Credentials::parse(Name::Authorization, authorization).ok()?;
    let says = match arrival {
        Arrival::Clear => integrity(&params),
        // TS 33.203 §6.1.5.
        Arrival::Protected => Some(&b"\"yes\""[..]),
        Arrival::Tls(session) => Some(over_tls(&params, session)),
        Arrival::Digest => Some(&b"\"ip-assoc-pending\""[..]),
    };
    let own = says.map(|says| (&b"integrity-protected"[..], says));
    Some(write(scheme, without(&params, &[b"integrity-protected"]).chain(own)))
}

/// The challenge as it goes to the UE: without the keys. `None` when it cannot be read.
pub fn without_keys(challenge: &[u8]) -> Option<Value> {
    let Challenge { scheme, params } = Challenge::parse(Name::WwwAuthenticate, challenge).ok()?;
    Some(write(scheme, without(&params, &[b"ck", b"ik"])))
}

/// CK and IK of a challenge of AKA, in this order, which are for this P-CSCF alone; `None` without them.
pub fn keys(response: &Message) -> Option<[Zeroizing<[u8; 16]>; 2]> {
    response.challenges(Name::WwwAuthenticate).find_map(|(_, challenge)| {
        let challenge = challenge.ok()?;
        Some([key(&challenge.param(b"ck")?)?, key(&challenge.param(b"ik")?)?])
    })
}

/// A key of 128 bits in hexadecimal.
fn key(text: &[u8]) -> Option<Zeroizing<[u8; 16]>> {
    let mut key = Zeroizing::new([0; 16]);
    if text.len() != 32 {
        return None;
    }
    for (octet, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
        for digit in digits {
            *octet = *octet << 4 | char::from(*digit).to_digit(16)? as u8;
        }
    }
    Some(key)
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

/// What this P-CSCF says of a REGISTER that came by TLS (TS 33.203 §O.4.3, §P.3): SIP digest, or AKA for who names the
/// algorithm that is for it.
fn over_tls(params: &AuthParams<'_>, session: TlsSession) -> &'static [u8] {
    let algorithm = params.get(b"algorithm").unwrap_or_default();
    let is_aka = algorithm.eq_ignore_ascii_case(b"AKAv2-SHA-256");
    match (is_aka, session) {
        (true, TlsSession::Complete) => b"\"tls-connected\"",
        // A registrar lets who is connected refresh without a challenge: nobody is vouched for who has not answered one.
        (true, TlsSession::Pending) => b"\"no\"",
        (false, TlsSession::Complete) => b"\"tls-yes\"",
        (false, TlsSession::Pending) => b"\"tls-pending\"",
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
    fn a_protected_register_says_so_whatever_the_ue_claims() {
        let authorization = b"Digest username=\"u\",integrity-protected=\"no\",response=\"66\"";
        assert_eq!(
            text(with_integrity(authorization, Arrival::Protected)),
            "Digest username=\"u\",response=\"66\",integrity-protected=\"yes\""
        );
    }

    /// TS 33.203 §O.4.3, §P.3.
    #[test]
    fn a_register_by_tls_is_digest_and_says_whether_the_connection_is_bound() {
        use TlsSession::{Complete, Pending};
        for (params, session, expected) in [
            ("response=\"\"", Pending, "tls-pending"),
            ("algorithm=MD5,response=\"66\"", Pending, "tls-pending"),
            ("algorithm=MD5,response=\"66\",integrity-protected=\"tls-yes\"", Pending, "tls-pending"),
            ("algorithm=MD5,response=\"66\"", Complete, "tls-yes"),
            ("algorithm=\"AKAv2-SHA-256\",response=\"66\"", Pending, "no"),
            ("algorithm=AKAv2-SHA-256,response=\"66\"", Complete, "tls-connected"),
        ] {
            let value = format!("Digest username=\"u\",{params}");
            let written = text(with_integrity(value.as_bytes(), Arrival::Tls(session)));
            assert!(written.ends_with(&format!("integrity-protected=\"{expected}\"")), "{params}: {written}");
            assert_eq!(written.matches("integrity-protected").count(), 1, "{written}");
        }
    }

    #[test]
    fn the_keys_of_a_challenge_are_read_whole_or_not_at_all() {
        let of = |params: &str| {
            let text = format!(
                "SIP/2.0 401 U\r\nCSeq: 1 REGISTER\r\nWWW-Authenticate: Digest realm=\"h\"{params}\r\n\r\n"
            );
            keys(&Message::parse(text.into_bytes(), &sip_core::Limits::default()).expect("a message"))
        };
        let (ck, ik) = ("00ff".repeat(8), "AbCd".repeat(8));
        let [found_ck, found_ik] = of(&format!(",ck=\"{ck}\",ik=\"{ik}\"")).expect("both");
        assert_eq!((found_ck[..2].to_vec(), found_ik[..2].to_vec()), (vec![0, 0xff], vec![0xab, 0xcd]));
        for broken in [
            String::new(),
            format!(",ck=\"{ck}\""),
            format!(",ck=\"{ck}\",ik=\"{}\"", &ik[1..]),
            format!(",ck=\"{ck}\",ik=\"{}g\"", &ik[1..]),
        ] {
            assert!(of(&broken).is_none(), "{broken}");
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
            assert_eq!(text(with_integrity(authorization.as_bytes(), Arrival::Clear)), expected);
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
