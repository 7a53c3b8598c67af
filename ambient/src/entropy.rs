//! Randomness as a value: a seeded generator that the driver constructs.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use siphasher::sip::SipHasher13;
use std::hash::BuildHasher;

/// The source of every random value that a pure crate mints: tags, branches, Call-IDs, nonces, RAND.
///
/// A production driver seeds it from the operating system, a simulation from its seed number. ChaCha12, so that one
/// value seen on the wire tells nothing about the next.
#[derive(Clone, Debug)]
pub struct Entropy(ChaCha12Rng);

impl Entropy {
    /// A generator from 32 bytes of the operating system's randomness.
    pub fn from_seed(seed: [u8; 32]) -> Entropy {
        Entropy(ChaCha12Rng::from_seed(seed))
    }

    /// A repeatable generator, for tests and simulation.
    pub fn seeded(seed: u64) -> Entropy {
        Entropy(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A generator that shares nothing with this one from here on.
    pub fn fork(&mut self) -> Entropy {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Entropy::from_seed(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the multiplication is below 2^-32 for every bound in use.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Fills `bytes` with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// Hashes keys that the network chooses, with a key that it does not know (SipHash-1-3).
///
/// Given at construction, so that a simulation is repeatable and a peer cannot aim at one bucket.
#[derive(Clone, Copy, Debug)]
pub struct KeyedState {
    key: (u64, u64),
}

impl KeyedState {
    /// A state with a key drawn from `entropy`.
    pub fn new(entropy: &mut Entropy) -> KeyedState {
        KeyedState { key: (entropy.next_u64(), entropy.next_u64()) }
    }

    /// A state with a given key, as read back from a store.
    pub fn from_key(key: (u64, u64)) -> KeyedState {
        KeyedState { key }
    }
}

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (mut a, mut b) = (Entropy::seeded(7), Entropy::seeded(7));
        assert_eq!(a.next_u64(), b.next_u64());
        assert_ne!(a.fork().next_u64(), a.next_u64());
    }

    #[test]
    fn below_stays_below() {
        let mut entropy = Entropy::seeded(1);
        assert!((0..1000).all(|_| entropy.below(3) < 3));
        assert_eq!(entropy.below(0), 0);
    }
}
