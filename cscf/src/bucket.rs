//! Buckets, and the tokens that carry one: how a packet finds the shard that owns it.
//!
//! A token stands in the user part of a Path, Service-Route or Record-Route URI of ours. Its first three characters are
//! the bucket, the last ones a checksum that only this deployment can compute, so that a forged or mistyped token is
//! recognised before it names anything.

use ambient::Entropy;
use ambient::entropy::KeyedState;
use std::hash::BuildHasher;
use std::num::NonZeroU16;

/// How many buckets there are, for ever.
pub const BUCKETS: u16 = 4096;

/// A shard: one of the stations that a function is made of, each with a thread of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A bucket: the unit by which users are spread over shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket with this number, modulo [`BUCKETS`].
    pub const fn new(number: u16) -> Bucket {
        Bucket(number % BUCKETS)
    }

    /// Its number, below [`BUCKETS`].
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Which of `shards` shards owns it; a function has at least one.
    pub const fn shard(self, shards: NonZeroU16) -> ShardId {
        ShardId(self.0 % shards.get())
    }
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of the bucket at the start of a token: 15 bits hold 12.
const BUCKET_CHARS: usize = 3;
/// Characters of the checksum at the end of a token: 40 bits.
const CHECK_CHARS: usize = 8;

/// Appends `bits` bits of `value` to `out` in base32, most significant first; `bits` is a multiple of 5.
pub fn base32(value: u64, bits: u32, out: &mut Vec<u8>) {
    let mut shift = bits;
    while shift >= 5 {
        shift -= 5;
        out.push(ALPHABET[(value >> shift) as usize & 31]);
    }
}

/// Reads base32 as [`base32`] wrote it, in either case; `None` for any other character or more than 12 characters.
pub fn unbase32(text: &[u8]) -> Option<u64> {
    if text.len() > 12 {
        return None;
    }
    text.iter().try_fold(0, |value, byte| {
        let digit = match byte.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => letter - b'a',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        Some(value << 5 | u64::from(digit))
    })
}

/// The key of a deployment's buckets and tokens. Kept in the store, so that tokens outlive a restart.
#[derive(Clone, Copy, Debug)]
pub struct TokenKey {
    hash: KeyedState,
    key: (u64, u64),
}

impl TokenKey {
    /// A new key.
    pub fn new(entropy: &mut Entropy) -> TokenKey {
        TokenKey::from_key((entropy.next_u64(), entropy.next_u64()))
    }

    /// The key read back from the store.
    pub fn from_key(key: (u64, u64)) -> TokenKey {
        TokenKey { hash: KeyedState::from_key(key), key }
    }

    /// What the store keeps.
    pub fn key(&self) -> (u64, u64) {
        self.key
    }

    /// The bucket of a key: a public identity, a Call-ID, a source address.
    pub fn bucket(&self, key: &[u8]) -> Bucket {
        Bucket::new((self.hash.hash_one(key) & u64::from(u16::MAX)) as u16)
    }

    /// A token for `bucket` that carries `payload` (letters, digits, and what a SIP user part holds unescaped).
    pub fn mint(&self, bucket: Bucket, payload: &str) -> String {
        let mut token = Vec::with_capacity(BUCKET_CHARS + payload.len() + CHECK_CHARS);
        base32(u64::from(bucket.0), 15, &mut token);
        token.extend_from_slice(payload.as_bytes());
        let check = self.check(&token);
        base32(check, 40, &mut token);
        String::from_utf8_lossy(&token).into_owned()
    }

    /// The bucket and payload of a token of ours; `None` for anything else.
    pub fn open<'t>(&self, token: &'t [u8]) -> Option<(Bucket, &'t str)> {
        let body_len = token.len().checked_sub(CHECK_CHARS)?;
        let (body, check) = token.split_at(body_len);
        if body.len() < BUCKET_CHARS || unbase32(check)? != self.check(body) {
            return None;
        }
        let (bucket, payload) = body.split_at(BUCKET_CHARS);
        let bucket = u16::try_from(unbase32(bucket)?).ok().filter(|number| *number < BUCKETS)?;
        Some((Bucket(bucket), std::str::from_utf8(payload).ok()?))
    }

    /// A checksum of `text` that only this deployment can compute: 40 bits.
    pub fn seal(&self, text: &[u8]) -> u64 {
        self.hash.hash_one((text, "seal")) & ((1 << 40) - 1)
    }

    fn check(&self, body: &[u8]) -> u64 {
        // A second domain, so that a bucket number tells nothing of a checksum.
        self.hash.hash_one((body, "token")) & ((1 << 40) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_with_its_own_key_only() {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        let token = key.mint(Bucket::new(4095), "r17.3");
        assert_eq!(key.open(token.as_bytes()), Some((Bucket::new(4095), "r17.3")));
        let other = TokenKey::new(&mut Entropy::seeded(2));
        assert_eq!(other.open(token.as_bytes()), None);
    }

    #[test]
    fn a_token_with_one_character_changed_is_not_ours() {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        let token = key.mint(Bucket::new(7), "orig").into_bytes();
        for at in 0..token.len() {
            let mut forged = token.clone();
            forged[at] = if forged[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(key.open(&forged), None, "changed at {at}");
        }
        assert_eq!(key.open(b""), None);
        assert_eq!(key.open(b"short"), None);
    }
}
