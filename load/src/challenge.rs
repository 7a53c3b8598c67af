//! The answer to a challenge by IMS-AKA (RFC 3310): what the UE's USIM computes.

use ims_aka::{AkaAlgorithm, AkaNonce, Algorithm, Key, Opc, Qop, Usim, UsimAnswer};

/// A subscriber's secrets.
#[derive(Clone, Debug)]
pub struct Card {
    /// The subscriber key.
    pub k: Key<16>,
    /// The operator's field, bound to the key.
    pub opc: Opc,
}

/// The parameters of a challenge.
#[derive(Debug, Default)]
struct Challenge<'a> {
    realm: &'a [u8],
    nonce: &'a [u8],
    algorithm: &'a [u8],
    opaque: Option<&'a [u8]>,
    has_qop: bool,
}

impl<'a> Challenge<'a> {
    fn read(value: &'a [u8]) -> Challenge<'a> {
        let mut challenge = Challenge::default();
        let mut rest = value.get(b"Digest ".len()..).unwrap_or_default();
        while let Some(equals) = memchr::memchr(b'=', rest) {
            let name = rest[..equals].trim_ascii();
            rest = rest[equals + 1..].trim_ascii_start();
            let (text, after) = match rest.strip_prefix(b"\"") {
                Some(quoted) => split(quoted, b'"'),
                None => split(rest, b','),
            };
            let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
            if is(b"realm") {
                challenge.realm = text;
            } else if is(b"nonce") {
                challenge.nonce = text;
            } else if is(b"algorithm") {
                challenge.algorithm = text.trim_ascii();
            } else if is(b"opaque") {
                challenge.opaque = Some(text);
            } else if is(b"qop") {
                challenge.has_qop = text.split(|byte| *byte == b',').any(|qop| qop.trim_ascii() == b"auth");
            }
            rest = after.trim_ascii_start();
            rest = rest.strip_prefix(b",").unwrap_or(rest);
        }
        challenge
    }
}

/// What stands before the first `end`, and what behind it.
fn split(text: &[u8], end: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(end, text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

/// An answer, and the keys that go with it.
pub(crate) struct Answered {
    /// The value of Authorization.
    pub(crate) authorization: Vec<u8>,
    pub(crate) ck: Key<16>,
    pub(crate) ik: Key<16>,
}

/// The Authorization value that answers `challenge` (the value of WWW-Authenticate) for a REGISTER of `uri`; or why
/// there is none. The card takes every sequence number: it is a new one each time, and remembers none.
pub(crate) fn answer(
    card: &Card,
    impi: &str,
    uri: &str,
    challenge: &[u8],
    cnonce: &[u8],
) -> Result<Answered, &'static str> {
    let challenge = Challenge::read(challenge);
    let algorithm = AkaAlgorithm::from_token(challenge.algorithm).ok_or("not by AKA")?;
    let nonce = AkaNonce::decode(challenge.nonce).ok_or("without RAND and AUTN")?;
    let mut usim = Usim::new(Algorithm::milenage(&card.k, card.opc.clone()));
    let UsimAnswer::Ok { res, ck, ik } = usim.answer(&nonce.rand, &nonce.autn) else {
        return Err("not genuine");
    };
    let ha1 = algorithm.ha1(impi.as_bytes(), challenge.realm, &res, &ck, &ik);
    let qop = match challenge.has_qop {
        true => Qop::Auth { nc: NONCE_COUNT, cnonce },
        false => Qop::None,
    };
    let response = ha1.response(b"REGISTER", uri.as_bytes(), challenge.nonce, qop);
    let mut value = Vec::with_capacity(VALUE_BYTES_USUAL);
    let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| value.extend_from_slice(piece));
    put(&[b"Digest username=\"", impi.as_bytes(), b"\",realm=\"", challenge.realm]);
    put(&[b"\",nonce=\"", challenge.nonce, b"\",uri=\"", uri.as_bytes()]);
    put(&[b"\",response=\"", response.as_bytes(), b"\",algorithm=", challenge.algorithm]);
    if let Some(opaque) = challenge.opaque {
        put(&[b",opaque=\"", opaque, b"\""]);
    }
    if challenge.has_qop {
        put(&[b",qop=auth,nc=", NONCE_COUNT, b",cnonce=\"", cnonce, b"\""]);
    }
    Ok(Answered { authorization: value, ck, ik })
}

/// Every challenge is answered once.
const NONCE_COUNT: &[u8] = b"00000001";
/// Bytes of an ordinary Authorization value.
const VALUE_BYTES_USUAL: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;
    use ims_aka::Sqn;

    fn card() -> Card {
        Card { k: Key::new([7; 16]), opc: Opc(Key::new([9; 16])) }
    }

    fn challenged(card: &Card, more: &str) -> String {
        let algorithm = Algorithm::milenage(&card.k, card.opc.clone());
        let vector = algorithm.vector([3; 16], Sqn::default().next(), [0x80, 0]);
        let nonce = AkaNonce::new(vector.rand, vector.autn).encode();
        format!("Digest realm=\"home.net\", nonce=\"{nonce}\", algorithm=AKAv1-MD5{more}")
    }

    fn text(answer: Result<Answered, &'static str>) -> Result<String, &'static str> {
        answer.map(|answered| String::from_utf8(answered.authorization).unwrap())
    }

    #[test]
    fn a_genuine_challenge_is_answered_with_the_digest_of_the_vector() {
        let card = card();
        let challenge = challenged(&card, ", opaque=\"o\", qop=\"auth,auth-int\"");
        let value = text(answer(&card, "a@home.net", "sip:home.net", challenge.as_bytes(), b"c")).unwrap();
        let vector =
            Algorithm::milenage(&card.k, card.opc.clone()).vector([3; 16], Sqn::default().next(), [0x80, 0]);
        let nonce = AkaNonce::new(vector.rand, vector.autn).encode();
        let ha1 = AkaAlgorithm::V1Md5.ha1(b"a@home.net", b"home.net", &vector.xres, &vector.ck, &vector.ik);
        let qop = Qop::Auth { nc: b"00000001", cnonce: b"c" };
        let response = ha1.response(b"REGISTER", b"sip:home.net", nonce.as_bytes(), qop);
        assert_eq!(
            value,
            format!(
                "Digest username=\"a@home.net\",realm=\"home.net\",nonce=\"{nonce}\",uri=\"sip:home.net\",\
                 response=\"{}\",algorithm=AKAv1-MD5,opaque=\"o\",qop=auth,nc=00000001,cnonce=\"c\"",
                response.as_str()
            )
        );
    }

    #[test]
    fn without_qop_the_answer_has_neither_count_nor_cnonce() {
        let card = card();
        let value = text(answer(&card, "a", "sip:b", challenged(&card, "").as_bytes(), b"c")).unwrap();
        assert!(!value.contains("nc=") && !value.contains("qop"), "{value}");
    }

    #[test]
    fn a_challenge_of_somebody_else_is_not_answered() {
        let other = Card { k: Key::new([8; 16]), opc: Opc(Key::new([9; 16])) };
        let foreign = challenged(&other, "");
        assert_eq!(text(answer(&card(), "a", "sip:b", foreign.as_bytes(), b"c")), Err("not genuine"));
        let plain = b"Digest realm=\"r\", nonce=\"n\", algorithm=MD5";
        assert_eq!(text(answer(&card(), "a", "sip:b", plain, b"c")), Err("not by AKA"));
        let empty = b"Digest realm=\"r\", nonce=\"n\", algorithm=AKAv1-MD5";
        assert_eq!(text(answer(&card(), "a", "sip:b", empty, b"c")), Err("without RAND and AUTN"));
        assert_eq!(text(answer(&card(), "a", "sip:b", b"", b"c")), Err("not by AKA"));
    }
}
