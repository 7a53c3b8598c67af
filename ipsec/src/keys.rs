//! The keys of ESP from CK and IK (TS 33.203 Annex I).

use crate::algorithm::{Algorithms, Encryption, Integrity};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The keys that all four associations of a set share. Wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    integrity: Octets,
    encryption: Octets,
}

impl Keys {
    /// Expands the CK and IK of one authentication for a pair of algorithms.
    ///
    /// The salts of AES-GCM and AES-GMAC follow their keys, which is how RFC 4106 §8.1 and RFC 4543 §5.3 count them.
    pub fn derive(algorithms: Algorithms, ck: [u8; 16], ik: [u8; 16]) -> Keys {
        let (ck, ik) = (Zeroizing::new(ck), Zeroizing::new(ik));
        let mut keys = Keys { integrity: Octets::empty(), encryption: Octets::empty() };
        match algorithms.integrity {
            Integrity::HmacSha1 => {
                keys.integrity.push(&*ik);
                keys.integrity.push(&[0; 4]);
            }
            Integrity::HmacMd5 => keys.integrity.push(&*ik),
            Integrity::AesGmac => {
                keys.integrity.push(&*ik);
                keys.integrity.push(&*salt(&ck, &ik, 0x58, b"AES_GMAC_SALT"));
            }
            Integrity::Null => {}
        }
        match algorithms.encryption {
            Encryption::AesCbc => keys.encryption.push(&*ck),
            Encryption::DesEde3Cbc => {
                keys.encryption.push(&*ck);
                keys.encryption.push(&ck[..8]);
            }
            Encryption::AesGcm => {
                keys.encryption.push(&*ck);
                keys.encryption.push(&*salt(&ck, &ik, 0x59, b"AES_GCM_SALT"));
            }
            Encryption::Null => {}
        }
        keys
    }

    /// Keys as [`Keys::expose_integrity`] and [`Keys::expose_encryption`] gave them to a store; `None` when they are too
    /// long to be that.
    pub fn kept(integrity: &[u8], encryption: &[u8]) -> Option<Keys> {
        let mut keys = Keys { integrity: Octets::empty(), encryption: Octets::empty() };
        if integrity.len().max(encryption.len()) > keys.integrity.octets.len() {
            return None;
        }
        keys.integrity.push(integrity);
        keys.encryption.push(encryption);
        Some(keys)
    }

    /// Keys that are not from an authentication.
    #[cfg(test)]
    pub(crate) fn of(integrity: &[u8], encryption: &[u8]) -> Keys {
        let mut keys = Keys { integrity: Octets::empty(), encryption: Octets::empty() };
        keys.integrity.push(integrity);
        keys.encryption.push(encryption);
        keys
    }

    /// The key of the integrity algorithm: 20 octets for HMAC-SHA-1 and AES-GMAC, 16 for HMAC-MD5, else none.
    pub fn expose_integrity(&self) -> &[u8] {
        self.integrity.as_slice()
    }

    /// The key of the encryption algorithm: 16 octets for AES-CBC, 24 for triple DES, 20 for AES-GCM, else none.
    pub fn expose_encryption(&self) -> &[u8] {
        self.encryption.as_slice()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Keys) -> bool {
        (self.expose_integrity().ct_eq(other.expose_integrity())
            & self.expose_encryption().ct_eq(other.expose_encryption()))
        .into()
    }
}

impl Eq for Keys {}

/// The low 32 bits of the KDF of TS 33.220 Annex B over CK and IK.
fn salt(ck: &[u8; 16], ik: &[u8; 16], function: u8, name: &[u8]) -> Zeroizing<[u8; 4]> {
    let mut key = Zeroizing::new([0; 32]);
    key[..16].copy_from_slice(ck);
    key[16..].copy_from_slice(ik);
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*key).expect("HMAC takes a key of any length");
    mac.update(&[function]);
    mac.update(name);
    mac.update(&[0, name.len() as u8]);
    let mut output = Zeroizing::new([0; 32]);
    output.copy_from_slice(&mac.finalize().into_bytes());
    let mut salt = Zeroizing::new([0; 4]);
    salt.copy_from_slice(&output[28..]);
    salt
}

/// A key of at most 24 octets, in place.
#[derive(Clone, Zeroize)]
struct Octets {
    octets: [u8; 24],
    length: usize,
}

impl Octets {
    const fn empty() -> Octets {
        Octets { octets: [0; 24], length: 0 }
    }

    fn push(&mut self, more: &[u8]) {
        self.octets[self.length..][..more.len()].copy_from_slice(more);
        self.length += more.len();
    }

    fn as_slice(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_keys_are_the_same_and_longer_ones_are_none() {
        for algorithms in Algorithms::ALL {
            let keys = Keys::derive(algorithms, CK, IK);
            assert_eq!(Keys::kept(keys.expose_integrity(), keys.expose_encryption()), Some(keys));
        }
        assert_eq!(Keys::kept(&[0; 25], &[]), None);
        assert_eq!(Keys::kept(&[], &[0; 25]), None);
    }

    const CK: [u8; 16] = *b"abcdefghijklmnop";
    const IK: [u8; 16] = *b"ABCDEFGHIJKLMNOP";

    fn derive(integrity: Integrity, encryption: Encryption) -> Keys {
        Keys::derive(Algorithms { integrity, encryption }, CK, IK)
    }

    #[test]
    fn sha1_is_padded_with_zeros_and_md5_is_not() {
        assert_eq!(
            derive(Integrity::HmacSha1, Encryption::Null).expose_integrity(),
            b"ABCDEFGHIJKLMNOP\0\0\0\0"
        );
        assert_eq!(derive(Integrity::HmacMd5, Encryption::Null).expose_integrity(), IK);
    }

    #[test]
    fn triple_des_repeats_the_first_half_of_ck() {
        assert_eq!(
            derive(Integrity::HmacMd5, Encryption::DesEde3Cbc).expose_encryption(),
            b"abcdefghijklmnopabcdefgh"
        );
        assert_eq!(derive(Integrity::HmacMd5, Encryption::AesCbc).expose_encryption(), CK);
    }

    #[test]
    fn the_counter_modes_are_salted_each_in_its_own_way() {
        let gcm = derive(Integrity::Null, Encryption::AesGcm);
        let gmac = derive(Integrity::AesGmac, Encryption::Null);
        assert_eq!((gcm.expose_integrity().len(), gmac.expose_encryption().len()), (0, 0));
        assert_eq!(&gcm.expose_encryption()[..16], CK);
        assert_eq!(&gmac.expose_integrity()[..16], IK);
        assert_eq!((gcm.expose_encryption().len(), gmac.expose_integrity().len()), (20, 20));
        assert_ne!(gcm.expose_encryption()[16..], gmac.expose_integrity()[16..]);
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", derive(Integrity::HmacSha1, Encryption::AesCbc)), "Keys(..)");
    }
}
