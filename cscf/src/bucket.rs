//! Buckets, and the tokens that carry one: how a packet finds the shard that owns it.
//!
//! A token stands in the user part of a Path, Service-Route or Record-Route URI of ours. Its first three characters are
//! the bucket, the last ones a checksum that only this deployment can compute, so that a forged or mistyped token is
//! recognised before it names anything.

use ambient::Entropy;
use ambient::entropy::KeyedState;
use smallvec::SmallVec;
use std::fmt;
use std::hash::BuildHasher;
use std::io::Write;
use std::net::IpAddr;
use std::num::NonZeroU16;

/// How many buckets there are, for ever.
pub const BUCKETS: u16 = 4096;

/// Shards of a function at most: what is left of a [`crate::input::Ticket`] must hold one.
pub const SHARDS_MAX: u16 = 32;

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
}

/// Which shard of a function a station is, and of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    id: ShardId,
    of: NonZeroU16,
}

impl Share {
    /// The only shard of a function.
    pub const WHOLE: Share = Share { id: ShardId(0), of: NonZeroU16::MIN };

    /// Every shard of a function that has so many: one at least, [`SHARDS_MAX`] at most.
    pub fn split(shards: u16) -> impl Iterator<Item = Share> {
        let of = NonZeroU16::new(shards.min(SHARDS_MAX)).unwrap_or(NonZeroU16::MIN);
        (0..of.get()).map(move |id| Share { id: ShardId(id), of })
    }

    /// Which one it is.
    pub const fn id(self) -> ShardId {
        self.id
    }

    /// Whether there is no other.
    pub const fn is_whole(self) -> bool {
        self.of.get() == 1
    }

    /// The shard that owns a bucket.
    pub const fn home(self, bucket: Bucket) -> ShardId {
        ShardId(bucket.0 % self.of.get())
    }

    /// Whether this shard owns a bucket.
    pub fn owns(self, bucket: Bucket) -> bool {
        self.home(bucket) == self.id
    }

    /// The bucket where this shard owns it, else the one of this shard beside it.
    pub const fn nearest(self, bucket: Bucket) -> Bucket {
        let shards = self.of.get();
        let nearest = bucket.0 - bucket.0 % shards + self.id.0;
        Bucket(if nearest < BUCKETS { nearest } else { nearest - shards })
    }

    /// The other shards.
    pub fn others(self) -> impl Iterator<Item = ShardId> {
        (0..self.of.get()).map(ShardId).filter(move |id| *id != self.id)
    }
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of the bucket at the start of a token: 15 bits hold 12.
const BUCKET_CHARS: usize = 3;
/// An IPv6 address at its longest, as text.
const ADDRESS_CHARS: usize = 46;
/// Characters of the checksum at the end of a token: 40 bits.
const CHECK_CHARS: usize = 8;

/// Appends `bits` bits of `value` to `out` in base32, most significant first; `bits` is a multiple of 5.
pub fn base32(value: u64, bits: u32, out: &mut impl Extend<u8>) {
    out.extend((0..bits / 5).rev().map(|at| ALPHABET[(value >> (5 * at)) as usize & 31]));
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

/// The bytes of a token in the making. Nearly every token fits without an allocation.
pub type TokenText = SmallVec<[u8; 128]>;

/// A token of this deployment, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted(TokenText);

impl Minted {
    /// The user part of a URI.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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
        TokenKey::bucket_of(self.hash(key))
    }

    /// The keyed hash that a bucket is made of: what shards call an identity when they speak of it.
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hash.hash_one(key)
    }

    /// The bucket of a key by its hash.
    pub const fn bucket_of(hash: u64) -> Bucket {
        Bucket::new((hash & 0xffff) as u16)
    }

    /// The bucket of a source address: of the text that it is written as.
    pub fn bucket_of_address(&self, address: IpAddr) -> Bucket {
        let mut text = [0; ADDRESS_CHARS];
        let mut rest = &mut text[..];
        // The longest address fits.
        let _ = write!(rest, "{address}");
        let left = rest.len();
        self.bucket(&text[..ADDRESS_CHARS - left])
    }

    /// A token for `bucket` that carries `payload` (letters, digits, and what a SIP user part holds unescaped).
    pub fn mint(&self, bucket: Bucket, payload: &str) -> String {
        self.mint_with(bucket, |token| token.extend_from_slice(payload.as_bytes())).as_str().to_owned()
    }

    /// As [`TokenKey::mint`], with what `write` appends for a payload: without an allocation.
    pub fn mint_with(&self, bucket: Bucket, write: impl FnOnce(&mut TokenText)) -> Minted {
        let mut token = TokenText::new();
        base32(u64::from(bucket.0), 15, &mut token);
        write(&mut token);
        let check = self.check(&token);
        base32(check, 40, &mut token);
        Minted(token)
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

    /// A key for one purpose, which tells nothing of another.
    pub fn derive(&self, purpose: &[u8]) -> [u8; 16] {
        let mut derived = [0; 16];
        for (half, number) in derived.chunks_exact_mut(8).zip(0_u8..) {
            half.copy_from_slice(&self.hash.hash_one((purpose, "derive", number)).to_be_bytes());
        }
        derived
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
    fn every_bucket_has_one_owner_and_its_nearest_of_each_other_shard() {
        for shards in [1, 2, 3, 5, SHARDS_MAX] {
            let all: Vec<Share> = Share::split(shards).collect();
            assert_eq!(all.len(), usize::from(shards));
            for bucket in (0..BUCKETS).map(Bucket::new) {
                assert_eq!(all.iter().filter(|share| share.owns(bucket)).count(), 1, "{bucket:?}");
                for share in &all {
                    let nearest = share.nearest(bucket);
                    assert!(share.owns(nearest) && nearest.number() < BUCKETS, "{share:?} {bucket:?}");
                    assert_eq!(nearest == bucket, share.owns(bucket));
                }
            }
        }
        assert_eq!(Share::split(0).collect::<Vec<_>>(), [Share::WHOLE], "a function has at least one shard");
    }

    #[test]
    fn an_address_is_hashed_as_it_is_written() {
        let key = TokenKey::new(&mut Entropy::seeded(1));
        for address in ["10.0.0.1", "255.255.255.255", "::1", "1111:2222:3333:4444:5555:6666:7777:8888"] {
            let parsed = address.parse().expect("an address");
            assert_eq!(key.bucket_of_address(parsed), key.bucket(address.as_bytes()), "{address}");
        }
    }

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
