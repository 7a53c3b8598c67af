//! Digest AKA: AKAv1-MD5 (RFC 3310), AKAv2-MD5 and AKAv2-SHA-256 (RFC 4169 with the profile of TS 33.203).
//!
//! The nonce carries RAND and AUTN; RES, or a key derived of RES, IK and CK, is the password.

use crate::digest::{Ha1, Hash};
use crate::key::{Key, Res};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The digest algorithms that are built on AKA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AkaAlgorithm {
    /// RFC 3310: the one of IMS-AKA.
    V1Md5,
    /// RFC 4169.
    V2Md5,
    /// The form that TS 33.203 wants for AKA over TLS.
    V2Sha256,
}

impl AkaAlgorithm {
    /// The `algorithm` token.
    pub fn token(self) -> &'static str {
        match self {
            AkaAlgorithm::V1Md5 => "AKAv1-MD5",
            AkaAlgorithm::V2Md5 => "AKAv2-MD5",
            AkaAlgorithm::V2Sha256 => "AKAv2-SHA-256",
        }
    }

    /// The algorithm of a token, in either case; `None` for any other.
    pub fn from_token(token: &[u8]) -> Option<AkaAlgorithm> {
        [AkaAlgorithm::V1Md5, AkaAlgorithm::V2Md5, AkaAlgorithm::V2Sha256]
            .into_iter()
            .find(|algorithm| token.eq_ignore_ascii_case(algorithm.token().as_bytes()))
    }

    /// The hash below it.
    pub fn hash(self) -> Hash {
        match self {
            AkaAlgorithm::V1Md5 | AkaAlgorithm::V2Md5 => Hash::Md5,
            AkaAlgorithm::V2Sha256 => Hash::Sha256,
        }
    }

    /// H(A1) of an authentication that succeeded on the card.
    pub fn ha1(self, username: &[u8], realm: &[u8], res: &Res, ck: &Key<16>, ik: &Key<16>) -> Ha1 {
        match self {
            // RFC 3310 §3.3: RES itself, as octets.
            AkaAlgorithm::V1Md5 => Ha1::from_password(self.hash(), username, realm, res.expose()),
            AkaAlgorithm::V2Md5 | AkaAlgorithm::V2Sha256 => {
                Ha1::from_password(self.hash(), username, realm, self.v2_password(res, ck, ik).as_bytes())
            }
        }
    }

    /// H(A1) of a message that carries `auts`: the password is empty (RFC 3310 §3.4).
    pub fn ha1_of_auts(self, username: &[u8], realm: &[u8]) -> Ha1 {
        Ha1::from_password(self.hash(), username, realm, b"")
    }

    /// RFC 4169 §3: base64 of a keyed hash, keyed with RES, IK and CK in this order.
    fn v2_password(self, res: &Res, ck: &Key<16>, ik: &Key<16>) -> Zeroizing<String> {
        let key = Zeroizing::new([res.expose(), ik.expose(), ck.expose()].concat());
        let label = b"http-digest-akav2-password";
        Zeroizing::new(match self.hash() {
            Hash::Md5 => STANDARD.encode(keyed::<Hmac<Md5>>(&key, label)),
            Hash::Sha256 => STANDARD.encode(keyed::<Hmac<Sha256>>(&key, label)),
        })
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8], label: &[u8]) -> impl AsRef<[u8]> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(label);
    mac.finalize().into_bytes()
}

/// The nonce of digest AKA: RAND, AUTN, and data of the server's own (RFC 3310 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AkaNonce {
    /// The challenge.
    pub rand: [u8; 16],
    /// The network's proof.
    pub autn: [u8; 16],
    /// What the server added; usually empty.
    pub data: Vec<u8>,
}

impl AkaNonce {
    /// The longest nonce that is decoded, in characters.
    pub const CHARACTERS_MAX: usize = 1024;

    /// A nonce without server data.
    pub fn new(rand: [u8; 16], autn: [u8; 16]) -> AkaNonce {
        AkaNonce { rand, autn, data: Vec::new() }
    }

    /// The base64 form, without quotes.
    pub fn encode(&self) -> String {
        if self.data.is_empty() {
            let mut octets = [0; 32];
            let (rand, autn) = octets.split_at_mut(16);
            rand.copy_from_slice(&self.rand);
            autn.copy_from_slice(&self.autn);
            return STANDARD.encode(octets);
        }
        STANDARD.encode([&self.rand, &self.autn, &self.data[..]].concat())
    }

    /// Reads the base64 form; `None` when it is no base64, too long or shorter than RAND and AUTN.
    pub fn decode(nonce: &[u8]) -> Option<AkaNonce> {
        let octets = decoded(nonce)?;
        let (rand, rest) = octets.split_first_chunk::<16>()?;
        let (autn, data) = rest.split_first_chunk::<16>()?;
        Some(AkaNonce { rand: *rand, autn: *autn, data: data.to_vec() })
    }
}

/// The `auts` parameter of 14 octets (RFC 3310 §3.4).
pub fn encode_auts(auts: &[u8; 14]) -> String {
    STANDARD.encode(auts)
}

/// Reads an `auts` parameter; of a longer value, which some phones send, the first 14 octets count.
pub fn decode_auts(auts: &[u8]) -> Option<[u8; 14]> {
    decoded(auts)?.first_chunk().copied()
}

/// Base64 as phones write it: with or without padding.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > AkaNonce::CHARACTERS_MAX {
        return None;
    }
    TOLERANT.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> (Res, Key<16>, Key<16>) {
        (Res::new(&[0, 0xff, b':', b'"', 5, 6, 7, 8]).unwrap(), Key::new([0xc; 16]), Key::new([0x1; 16]))
    }

    #[test]
    fn a_nonce_carries_rand_autn_and_the_servers_data() {
        let nonce = AkaNonce { rand: [1; 16], autn: [2; 16], data: b"more".to_vec() };
        assert_eq!(AkaNonce::decode(nonce.encode().as_bytes()), Some(nonce));
        let bare = AkaNonce::new([1; 16], [2; 16]);
        assert_eq!(bare.encode().len(), 44, "32 octets");
        assert_eq!(AkaNonce::decode(bare.encode().trim_end_matches('=').as_bytes()), Some(bare));
    }

    #[test]
    fn a_nonce_that_is_short_or_long_or_no_base64_is_refused() {
        assert_eq!(AkaNonce::decode(b""), None);
        assert_eq!(AkaNonce::decode(STANDARD.encode([0; 31]).as_bytes()), None);
        assert_eq!(AkaNonce::decode(&[b'A'; AkaNonce::CHARACTERS_MAX + 4]), None);
        assert_eq!(AkaNonce::decode(b"not base64, not at all, not even a little bit of it"), None);
    }

    #[test]
    fn a_longer_auts_counts_by_its_first_fourteen_octets() {
        let auts = [7; 14];
        assert_eq!(decode_auts(encode_auts(&auts).as_bytes()), Some(auts));
        assert_eq!(decode_auts(STANDARD.encode([7; 30]).as_bytes()), Some(auts));
        assert_eq!(decode_auts(STANDARD.encode([7; 13]).as_bytes()), None);
    }

    /// RFC 3310 §3.3: the password is RES as octets, whatever characters they make.
    #[test]
    fn the_password_of_version_one_is_res_as_raw_octets() {
        let (res, ck, ik) = keys();
        let ha1 = AkaAlgorithm::V1Md5.ha1(b"impi", b"home1.net", &res, &ck, &ik);
        assert_eq!(ha1, Ha1::from_password(Hash::Md5, b"impi", b"home1.net", res.expose()));
        assert_ne!(ha1, AkaAlgorithm::V1Md5.ha1_of_auts(b"impi", b"home1.net"));
    }

    /// The password computed by hand with another HMAC construction: the inner and outer hash of RFC 2104.
    #[test]
    fn the_password_of_version_two_is_base64_of_the_keyed_hash() {
        let (res, ck, ik) = keys();
        let key = [res.expose(), ik.expose(), ck.expose()].concat();
        let pad = |with: u8| {
            let mut block = [with; 64];
            block.iter_mut().zip(&key).for_each(|(octet, key)| *octet ^= key);
            block
        };
        use sha2::Digest;
        let inner = Sha256::digest([&pad(0x36)[..], b"http-digest-akav2-password"].concat());
        let outer = Sha256::digest([&pad(0x5c)[..], &inner[..]].concat());
        let password = STANDARD.encode(outer);
        let expected = Ha1::from_password(Hash::Sha256, b"impi", b"home1.net", password.as_bytes());
        assert_eq!(AkaAlgorithm::V2Sha256.ha1(b"impi", b"home1.net", &res, &ck, &ik), expected);

        let swapped = AkaAlgorithm::V2Sha256.ha1(b"impi", b"home1.net", &res, &ik, &ck);
        assert_ne!(swapped, expected, "IK comes before CK");
    }

    #[test]
    fn tokens_are_read_in_either_case() {
        for algorithm in [AkaAlgorithm::V1Md5, AkaAlgorithm::V2Md5, AkaAlgorithm::V2Sha256] {
            assert_eq!(AkaAlgorithm::from_token(algorithm.token().as_bytes()), Some(algorithm));
        }
        assert_eq!(AkaAlgorithm::from_token(b"akaV1-md5"), Some(AkaAlgorithm::V1Md5));
        assert_eq!(AkaAlgorithm::from_token(b"MD5"), None);
    }
}
