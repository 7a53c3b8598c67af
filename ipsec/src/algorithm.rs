//! Integrity and encryption algorithms by their names in RFC 3329 headers (TS 33.203 Annex H), and pairs of them.

use std::fmt;

/// An integrity algorithm: the parameter `alg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Integrity {
    /// HMAC-SHA-1-96 (RFC 2404).
    HmacSha1,
    /// HMAC-MD5-96 (RFC 2403). Taken out of TS 33.203; phones offer it still.
    HmacMd5,
    /// AES-GMAC (RFC 4543).
    AesGmac,
    /// None of its own: the encryption algorithm protects integrity as well.
    Null,
}

impl Integrity {
    /// All of them.
    pub const ALL: [Integrity; 4] =
        [Integrity::HmacSha1, Integrity::HmacMd5, Integrity::AesGmac, Integrity::Null];

    /// The token in a header field.
    pub const fn name(self) -> &'static str {
        match self {
            Integrity::HmacSha1 => "hmac-sha-1-96",
            Integrity::HmacMd5 => "hmac-md5-96",
            Integrity::AesGmac => "aes-gmac",
            Integrity::Null => "null",
        }
    }

    /// Reads the token of a header field, in any case of letters.
    pub fn parse(token: &[u8]) -> Option<Integrity> {
        Integrity::ALL.into_iter().find(|algorithm| token.eq_ignore_ascii_case(algorithm.name().as_bytes()))
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An encryption algorithm: the parameter `ealg`, whose default is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encryption {
    /// None (RFC 2410).
    Null,
    /// AES-CBC with a key of 128 bits (RFC 3602).
    AesCbc,
    /// Triple DES in CBC mode (RFC 2451). Taken out of TS 33.203; phones offer it still.
    DesEde3Cbc,
    /// AES-GCM with a key of 128 bits and an ICV of 16 octets (RFC 4106).
    AesGcm,
}

impl Encryption {
    /// All of them.
    pub const ALL: [Encryption; 4] =
        [Encryption::Null, Encryption::AesCbc, Encryption::DesEde3Cbc, Encryption::AesGcm];

    /// The token in a header field.
    pub const fn name(self) -> &'static str {
        match self {
            Encryption::Null => "null",
            Encryption::AesCbc => "aes-cbc",
            Encryption::DesEde3Cbc => "des-ede3-cbc",
            Encryption::AesGcm => "aes-gcm",
        }
    }

    /// Reads the token of a header field, in any case of letters.
    pub fn parse(token: &[u8]) -> Option<Encryption> {
        Encryption::ALL.into_iter().find(|algorithm| token.eq_ignore_ascii_case(algorithm.name().as_bytes()))
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An integrity and an encryption algorithm that are chosen together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Algorithms {
    /// The parameter `alg`.
    pub integrity: Integrity,
    /// The parameter `ealg`.
    pub encryption: Encryption,
}

impl Algorithms {
    /// Every pair that protects integrity exactly once.
    pub const ALL: [Algorithms; 8] = [
        Algorithms { integrity: Integrity::Null, encryption: Encryption::AesGcm },
        Algorithms { integrity: Integrity::AesGmac, encryption: Encryption::Null },
        Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc },
        Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::DesEde3Cbc },
        Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null },
        Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::AesCbc },
        Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::DesEde3Cbc },
        Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null },
    ];

    /// Both names.
    pub const fn name(self) -> &'static str {
        match (self.integrity, self.encryption) {
            (Integrity::Null, Encryption::AesGcm) => "null/aes-gcm",
            (Integrity::AesGmac, Encryption::Null) => "aes-gmac/null",
            (Integrity::HmacSha1, Encryption::AesCbc) => "hmac-sha-1-96/aes-cbc",
            (Integrity::HmacSha1, Encryption::DesEde3Cbc) => "hmac-sha-1-96/des-ede3-cbc",
            (Integrity::HmacSha1, Encryption::Null) => "hmac-sha-1-96/null",
            (Integrity::HmacMd5, Encryption::AesCbc) => "hmac-md5-96/aes-cbc",
            (Integrity::HmacMd5, Encryption::DesEde3Cbc) => "hmac-md5-96/des-ede3-cbc",
            (Integrity::HmacMd5, Encryption::Null) => "hmac-md5-96/null",
            (Integrity::Null | Integrity::AesGmac, _) | (_, Encryption::AesGcm) => "no pair of TS 33.203",
        }
    }

    /// The pair, if it protects integrity exactly once (TS 33.203 Annex H).
    ///
    /// AES-GCM goes with no integrity algorithm, AES-GMAC with no encryption, and nothing goes with neither.
    pub fn new(integrity: Integrity, encryption: Encryption) -> Option<Algorithms> {
        let pair = Algorithms { integrity, encryption };
        Algorithms::ALL.contains(&pair).then_some(pair)
    }
}

impl fmt::Display for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.integrity, self.encryption)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_any_case() {
        for algorithm in Integrity::ALL {
            assert_eq!(Integrity::parse(algorithm.name().to_uppercase().as_bytes()), Some(algorithm));
        }
        for algorithm in Encryption::ALL {
            assert_eq!(Encryption::parse(algorithm.name().to_uppercase().as_bytes()), Some(algorithm));
        }
        assert_eq!(Integrity::parse(b"hmac-sha-256-128"), None);
        assert_eq!(Encryption::parse(b""), None);
    }

    #[test]
    fn a_pair_protects_integrity_exactly_once() {
        assert!(Algorithms::new(Integrity::Null, Encryption::Null).is_none(), "nothing protects integrity");
        assert!(Algorithms::new(Integrity::Null, Encryption::AesCbc).is_none(), "CBC alone is malleable");
        assert!(Algorithms::new(Integrity::HmacSha1, Encryption::AesGcm).is_none(), "twice");
        assert!(
            Algorithms::new(Integrity::AesGmac, Encryption::AesCbc).is_none(),
            "GMAC is for no encryption"
        );
        assert!(Algorithms::new(Integrity::Null, Encryption::AesGcm).is_some());
        assert!(Algorithms::new(Integrity::AesGmac, Encryption::Null).is_some());
        assert!(Algorithms::new(Integrity::HmacMd5, Encryption::DesEde3Cbc).is_some());
    }
}
