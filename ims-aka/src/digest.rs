//! HTTP digest authentication as SIP uses it: MD5 and SHA-256 (RFC 2617, RFC 7616, RFC 8760).
//!
//! Works on the octets of each piece, unquoted; which of them a message must carry is for the caller to decide. The
//! `-sess` variants are not offered.

use crate::key::digit;
use md5::Md5;
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The hash function H of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// RFC 2617.
    Md5,
    /// RFC 7616.
    Sha256,
}

impl Hash {
    /// The `algorithm` token.
    pub fn token(self) -> &'static str {
        match self {
            Hash::Md5 => "MD5",
            Hash::Sha256 => "SHA-256",
        }
    }

    /// The hash of an `algorithm` token, in either case; `None` for one that is not offered.
    pub fn from_token(token: &[u8]) -> Option<Hash> {
        [Hash::Md5, Hash::Sha256].into_iter().find(|hash| token.eq_ignore_ascii_case(hash.token().as_bytes()))
    }

    /// H of the pieces joined by colons, as lower-case hexadecimal.
    pub fn joined(self, pieces: &[&[u8]]) -> HexDigest {
        match self {
            Hash::Md5 => joined::<Md5>(pieces),
            Hash::Sha256 => joined::<Sha256>(pieces),
        }
    }
}

/// A hash as lower-case hexadecimal digits, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexDigest {
    digits: [u8; 64],
    length: usize,
}

impl HexDigest {
    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("hexadecimal digits are ASCII")
    }

    /// The digits as octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// Whether a peer's digits are these, in constant time for equal lengths.
    pub fn matches(&self, digits: &[u8]) -> bool {
        self.as_bytes().ct_eq(digits).into()
    }

    fn of(octets: &[u8]) -> HexDigest {
        let mut hex = HexDigest { digits: [0; 64], length: 2 * octets.len() };
        for (pair, octet) in hex.digits.chunks_exact_mut(2).zip(octets) {
            pair[0] = digit(octet >> 4);
            pair[1] = digit(octet & 15);
        }
        hex
    }
}

impl fmt::Display for HexDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HexDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// H(A1): as good as the password for its realm. Wiped, and printed as `Ha1(..)`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Ha1 {
    digits: [u8; 64],
    length: usize,
    #[zeroize(skip)]
    hash: Hash,
}

impl Ha1 {
    /// H(A1) of a password: H(username:realm:password).
    pub fn from_password(hash: Hash, username: &[u8], realm: &[u8], password: &[u8]) -> Ha1 {
        let mut hex = hash.joined(&[username, realm, password]);
        let ha1 = Ha1 { digits: hex.digits, length: hex.length, hash };
        hex.digits.zeroize();
        ha1
    }

    /// H(A1) as an HSS stores or sends it; `None` when it does not look like one of this hash.
    pub fn from_digits(hash: Hash, digits: &[u8]) -> Option<Ha1> {
        let length = match hash {
            Hash::Md5 => 32,
            Hash::Sha256 => 64,
        };
        if digits.len() != length || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut ha1 = Ha1 { digits: [0; 64], length, hash };
        for (to, from) in ha1.digits.iter_mut().zip(digits) {
            *to = from.to_ascii_lowercase();
        }
        Some(ha1)
    }

    /// The digits, for a store or a Cx answer.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.length]).expect("hexadecimal digits are ASCII")
    }

    /// The hash that it belongs to.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The `response` of a request with this method and digest-uri.
    pub fn response(&self, method: &[u8], uri: &[u8], nonce: &[u8], qop: Qop<'_>) -> HexDigest {
        let a1 = self.expose().as_bytes();
        let (word, nc, cnonce, a2) = match qop {
            Qop::None => {
                let a2 = self.hash.joined(&[method, uri]);
                return self.hash.joined(&[a1, nonce, a2.as_bytes()]);
            }
            Qop::Auth { nc, cnonce } => (&b"auth"[..], nc, cnonce, self.hash.joined(&[method, uri])),
            Qop::AuthInt { nc, cnonce, body } => {
                let body = self.hash.joined(&[body]);
                (&b"auth-int"[..], nc, cnonce, self.hash.joined(&[method, uri, body.as_bytes()]))
            }
        };
        self.hash.joined(&[a1, nonce, nc, cnonce, word, a2.as_bytes()])
    }

    /// The `rspauth` of Authentication-Info: a response whose A2 has no method (RFC 7616 §3.5).
    pub fn rspauth(&self, uri: &[u8], nonce: &[u8], qop: Qop<'_>) -> HexDigest {
        self.response(b"", uri, nonce, qop)
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1(..)")
    }
}

impl PartialEq for Ha1 {
    fn eq(&self, other: &Ha1) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for Ha1 {}

/// The quality of protection of a digest, with the parameters that exist only because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop<'a> {
    /// No `qop`: the form of RFC 2069.
    None,
    /// `qop=auth`.
    Auth {
        /// The eight digits of the nonce count.
        nc: &'a [u8],
        /// The client's nonce.
        cnonce: &'a [u8],
    },
    /// `qop=auth-int`: the body is covered too.
    AuthInt {
        /// The eight digits of the nonce count.
        nc: &'a [u8],
        /// The client's nonce.
        cnonce: &'a [u8],
        /// The whole body of the message.
        body: &'a [u8],
    },
}

fn joined<H: sha2::Digest>(pieces: &[&[u8]]) -> HexDigest {
    let mut hasher = H::new();
    for (n, piece) in pieces.iter().enumerate() {
        if n > 0 {
            hasher.update(b":");
        }
        hasher.update(piece);
    }
    HexDigest::of(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2617 §3.5.
    #[test]
    fn the_example_of_rfc_2617_gives_its_response() {
        let ha1 = Ha1::from_password(Hash::Md5, b"Mufasa", b"testrealm@host.com", b"Circle Of Life");
        assert_eq!(ha1.expose(), "939e7578ed9e3c518a452acee763bce9");
        let response = ha1.response(
            b"GET",
            b"/dir/index.html",
            b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
            Qop::Auth { nc: b"00000001", cnonce: b"0a4f113b" },
        );
        assert_eq!(response.as_str(), "6629fae49393a05397450978507c4ef1");
    }

    /// RFC 7616 §3.9.1: one challenge, answered by MD5 and by SHA-256.
    #[test]
    fn the_examples_of_rfc_7616_give_their_responses() {
        let nonce = b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let qop = Qop::Auth { nc: b"00000001", cnonce: b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ" };
        for (hash, expected) in [
            (Hash::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Hash::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let ha1 = Ha1::from_password(hash, b"Mufasa", b"http-auth@example.org", b"Circle of Life");
            assert_eq!(ha1.response(b"GET", b"/dir/index.html", nonce, qop).as_str(), expected);
        }
    }

    #[test]
    fn without_qop_the_older_form_is_used() {
        let ha1 = Ha1::from_password(Hash::Md5, b"alice", b"home1.net", b"secret");
        let a2 = Hash::Md5.joined(&[b"REGISTER", b"sip:home1.net"]);
        let expected = Hash::Md5.joined(&[ha1.expose().as_bytes(), b"nonce", a2.as_bytes()]);
        assert_eq!(ha1.response(b"REGISTER", b"sip:home1.net", b"nonce", Qop::None), expected);
    }

    #[test]
    fn auth_int_covers_the_body_and_rspauth_leaves_the_method_out() {
        let ha1 = Ha1::from_password(Hash::Sha256, b"alice", b"home1.net", b"secret");
        let qop = |body| Qop::AuthInt { nc: b"00000001", cnonce: b"c", body };
        let of = |body| ha1.response(b"INVITE", b"sip:bob", b"n", qop(body));
        assert_ne!(of(b"one"), of(b"two"));
        let auth = Qop::Auth { nc: b"00000001", cnonce: b"c" };
        assert_ne!(ha1.rspauth(b"sip:bob", b"n", auth), ha1.response(b"INVITE", b"sip:bob", b"n", auth));
        assert_eq!(ha1.rspauth(b"sip:bob", b"n", auth), ha1.response(b"", b"sip:bob", b"n", auth));
    }

    #[test]
    fn an_ha1_is_taken_from_digits_of_its_hash_only() {
        assert_eq!(Ha1::from_digits(Hash::Md5, &[b'A'; 32]).unwrap().expose(), "a".repeat(32));
        assert_eq!(Ha1::from_digits(Hash::Md5, &[b'a'; 64]), None);
        assert_eq!(Ha1::from_digits(Hash::Sha256, &[b'g'; 64]), None);
        assert_eq!(format!("{:?}", Ha1::from_digits(Hash::Md5, &[b'a'; 32])), "Some(Ha1(..))");
    }

    #[test]
    fn a_response_matches_its_digits_and_no_others() {
        let hex = Hash::Md5.joined(&[b"a"]);
        assert!(hex.matches(b"0cc175b9c0f1b6a831c399e269772661"));
        assert!(!hex.matches(b"0cc175b9c0f1b6a831c399e269772660"));
        assert!(!hex.matches(b"0cc1"));
        assert_eq!(Hash::from_token(b"sha-256"), Some(Hash::Sha256));
        assert_eq!(Hash::from_token(b"SHA-512-256"), None);
    }
}
