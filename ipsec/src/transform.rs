//! What an ESP packet is made of and opened with: an encryption and an integrity algorithm with their keys.
//!
//! - AES-CBC (RFC 3602) and triple DES in CBC mode (RFC 2451), with HMAC-SHA-1-96 (RFC 2404) or HMAC-MD5-96 (RFC 2403)
//! - no encryption (RFC 2410) with either
//! - AES-GCM (RFC 4106) and AES-GMAC (RFC 4543), with an ICV of 16 octets
//!
//! One transform serves the four associations of a set, whose keys are the same (TS 33.203 §6.2).

use crate::algorithm::{Algorithms, Encryption, Integrity};
use crate::keys::Keys;
use aes::Aes128;
use aes::cipher::array::Array;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Nonce};
use des::TdesEde3;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use std::fmt;
use zeroize::Zeroizing;

/// Algorithms that are ready for packets. Its keys are wiped when it is dropped, and never printed.
pub struct Transform {
    cipher: Cipher,
    mac: Authenticator,
}

enum Cipher {
    Null,
    AesCbc(Box<Aes128>),
    DesEde3Cbc(Box<TdesEde3>),
    AesGcm(Box<Aes128Gcm>, Zeroizing<[u8; 4]>),
}

enum Authenticator {
    /// AES-GCM has protected integrity.
    Cipher,
    HmacSha1(Box<Hmac<Sha1>>),
    HmacMd5(Box<Hmac<Md5>>),
    AesGmac(Box<Aes128Gcm>, Zeroizing<[u8; 4]>),
}

/// Where the initialisation vector of a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IvKind {
    /// There is none.
    None,
    /// So many random octets.
    Random(usize),
    /// Eight octets, never twice under one key.
    Counter,
}

/// The ICV of a packet is not what its octets give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIcv;

impl Transform {
    /// The transform of a pair, or nothing if the pair is none of [`Algorithms::ALL`] or the keys are another pair's.
    pub fn new(algorithms: Algorithms, keys: &Keys) -> Option<Transform> {
        let pair = Algorithms::new(algorithms.integrity, algorithms.encryption)?;
        let (integrity, encryption) = (keys.expose_integrity(), keys.expose_encryption());
        let cipher = match pair.encryption {
            Encryption::Null => Cipher::Null,
            Encryption::AesCbc => Cipher::AesCbc(Box::new(Aes128::new_from_slice(encryption).ok()?)),
            Encryption::DesEde3Cbc => {
                Cipher::DesEde3Cbc(Box::new(TdesEde3::new_from_slice(encryption).ok()?))
            }
            Encryption::AesGcm => {
                let (cipher, salt) = salted(encryption)?;
                Cipher::AesGcm(cipher, salt)
            }
        };
        let mac = match pair.integrity {
            Integrity::Null => Authenticator::Cipher,
            Integrity::HmacSha1 => {
                Authenticator::HmacSha1(Box::new(<Hmac<Sha1> as KeyInit>::new_from_slice(integrity).ok()?))
            }
            Integrity::HmacMd5 => {
                Authenticator::HmacMd5(Box::new(<Hmac<Md5> as KeyInit>::new_from_slice(integrity).ok()?))
            }
            Integrity::AesGmac => {
                let (cipher, salt) = salted(integrity)?;
                Authenticator::AesGmac(cipher, salt)
            }
        };
        Some(Transform { cipher, mac })
    }

    /// What the vectors of its packets are.
    pub fn iv_kind(&self) -> IvKind {
        match (&self.cipher, &self.mac) {
            (Cipher::AesGcm(..), _) | (_, Authenticator::AesGmac(..)) => IvKind::Counter,
            (Cipher::AesCbc(_), _) => IvKind::Random(16),
            (Cipher::DesEde3Cbc(_), _) => IvKind::Random(8),
            (Cipher::Null, _) => IvKind::None,
        }
    }

    /// The octets of a vector in a packet.
    pub fn iv_length(&self) -> usize {
        match self.iv_kind() {
            IvKind::None => 0,
            IvKind::Random(length) => length,
            IvKind::Counter => 8,
        }
    }

    /// The octets of an ICV in a packet.
    pub const fn icv_length(&self) -> usize {
        match self.mac {
            Authenticator::HmacSha1(_) | Authenticator::HmacMd5(_) => 12,
            Authenticator::Cipher | Authenticator::AesGmac(..) => 16,
        }
    }

    /// What the payload with its padding is a multiple of (RFC 4303 §2.4).
    pub const fn block_length(&self) -> usize {
        match self.cipher {
            Cipher::Null | Cipher::AesGcm(..) => 4,
            Cipher::AesCbc(_) => 16,
            Cipher::DesEde3Cbc(_) => 8,
        }
    }

    /// Encrypts a packet from its header to its trailer in place, and appends the ICV.
    ///
    /// `packet` begins at `start`, and is padded to [`block_length`](Transform::block_length).
    pub(crate) fn seal(&self, packet: &mut Vec<u8>, start: usize) {
        let (header, rest) = packet[start..].split_at_mut(HEADER);
        let (iv, text) = rest.split_at_mut(self.iv_length());
        match &self.cipher {
            Cipher::Null => {}
            Cipher::AesCbc(aes) => {
                let mut cbc = cbc::Encryptor::inner_iv_init(&**aes, &block(iv));
                cbc.encrypt_blocks(Array::slice_as_chunks_mut(text).0);
            }
            Cipher::DesEde3Cbc(des) => {
                let mut cbc = cbc::Encryptor::inner_iv_init(&**des, &block(iv));
                cbc.encrypt_blocks(Array::slice_as_chunks_mut(text).0);
            }
            Cipher::AesGcm(gcm, salt) => {
                let icv = gcm
                    .encrypt_inout_detached(&nonce(salt, iv), header, text.into())
                    .expect("a datagram is shorter than what one nonce encrypts");
                packet.extend_from_slice(&icv);
                return;
            }
        }
        match &self.mac {
            Authenticator::Cipher => unreachable!("the pair without an integrity algorithm is AES-GCM"),
            Authenticator::HmacSha1(mac) => {
                let icv = (**mac).clone().chain_update(&packet[start..]).finalize().into_bytes();
                packet.extend_from_slice(&icv[..12]);
            }
            Authenticator::HmacMd5(mac) => {
                let icv = (**mac).clone().chain_update(&packet[start..]).finalize().into_bytes();
                packet.extend_from_slice(&icv[..12]);
            }
            Authenticator::AesGmac(gcm, salt) => {
                // RFC 4543 §3.3: nothing is encrypted, and all of the packet is associated data.
                let nonce = nonce(salt, &packet[start + HEADER..][..8]);
                let nothing: &mut [u8] = &mut [];
                let icv = gcm
                    .encrypt_inout_detached(&nonce, &packet[start..], nothing.into())
                    .expect("a datagram is shorter than what one nonce authenticates");
                packet.extend_from_slice(&icv);
            }
        }
    }

    /// Checks the ICV of a packet, and only then decrypts in place; gives what was between the vector and the ICV.
    ///
    /// `packet` has at least a header, a vector and an ICV, and whole blocks between them.
    pub(crate) fn open<'p>(&self, packet: &'p mut [u8]) -> Result<&'p mut [u8], BadIcv> {
        let (covered, icv) = packet.split_at_mut(packet.len() - self.icv_length());
        match &self.mac {
            Authenticator::Cipher => {}
            Authenticator::HmacSha1(mac) => {
                (**mac).clone().chain_update(&*covered).verify_truncated_left(icv).map_err(|_| BadIcv)?;
            }
            Authenticator::HmacMd5(mac) => {
                (**mac).clone().chain_update(&*covered).verify_truncated_left(icv).map_err(|_| BadIcv)?;
            }
            Authenticator::AesGmac(gcm, salt) => {
                let nonce = nonce(salt, &covered[HEADER..][..8]);
                let nothing: &mut [u8] = &mut [];
                gcm.decrypt_inout_detached(&nonce, covered, nothing.into(), &block(icv))
                    .map_err(|_| BadIcv)?;
            }
        }
        let (header, rest) = covered.split_at_mut(HEADER);
        let (iv, text) = rest.split_at_mut(self.iv_length());
        match &self.cipher {
            Cipher::Null => {}
            Cipher::AesCbc(aes) => {
                let mut cbc = cbc::Decryptor::inner_iv_init(&**aes, &block(iv));
                cbc.decrypt_blocks(Array::slice_as_chunks_mut(text).0);
            }
            Cipher::DesEde3Cbc(des) => {
                let mut cbc = cbc::Decryptor::inner_iv_init(&**des, &block(iv));
                cbc.decrypt_blocks(Array::slice_as_chunks_mut(text).0);
            }
            Cipher::AesGcm(gcm, salt) => {
                gcm.decrypt_inout_detached(&nonce(salt, iv), header, (&mut *text).into(), &block(icv))
                    .map_err(|_| BadIcv)?;
            }
        }
        Ok(text)
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transform(..)")
    }
}

/// SPI and sequence number.
pub(crate) const HEADER: usize = 8;

/// A cipher and the salt that follows its key (RFC 4106 §8.1).
fn salted(key: &[u8]) -> Option<(Box<Aes128Gcm>, Zeroizing<[u8; 4]>)> {
    let (key, salt) = key.split_at_checked(16)?;
    Some((Box::new(Aes128Gcm::new_from_slice(key).ok()?), Zeroizing::new(salt.try_into().ok()?)))
}

/// The salt and then the vector (RFC 4106 §4).
fn nonce(salt: &[u8; 4], iv: &[u8]) -> Nonce<aes::cipher::consts::U12> {
    let mut nonce = Nonce::default();
    nonce[..4].copy_from_slice(salt);
    nonce[4..].copy_from_slice(iv);
    nonce
}

/// A slice whose length is known as an array.
fn block<N: aes::cipher::array::ArraySize>(octets: &[u8]) -> Array<u8, N> {
    let mut block = Array::default();
    block.copy_from_slice(octets);
    block
}
