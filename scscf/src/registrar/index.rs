//! Finds slots of a table by a name that stands in the slot: only a hash of the name is kept here.

use ambient::entropy::KeyedState;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

/// The slots under each name. Two names may have one hash: whoever asks compares the names.
#[derive(Debug, Default)]
pub struct Index {
    by_hash: HashMap<u64, SmallVec<[u32; 2]>, BuildHasherDefault<Hashed>>,
}

/// Only names that the HSS gave are put in, so that no peer can choose what collides, and the key need not be secret.
const STATE: (u64, u64) = (0x7363_7363_665f_6964, 0x656e_7469_7469_6573);

fn hash(name: &str) -> u64 {
    KeyedState::from_key(STATE).hash_one(name)
}

impl Index {
    /// Puts a slot under a name.
    pub fn insert(&mut self, name: &str, slot: u32) {
        let slots = self.by_hash.entry(hash(name)).or_default();
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }

    /// Takes a slot away from a name.
    pub fn remove(&mut self, name: &str, slot: u32) {
        let hash = hash(name);
        let Some(slots) = self.by_hash.get_mut(&hash) else { return };
        slots.retain(|other| *other != slot);
        if slots.is_empty() {
            self.by_hash.remove(&hash);
        }
    }

    /// The slots that may have the name, in the order in which they came.
    pub fn slots(&self, name: &str) -> &[u32] {
        self.by_hash.get(&hash(name)).map_or(&[], |slots| slots)
    }
}

/// Takes a number that is a hash already for what it is.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_slots_until_each_is_taken_away() {
        let mut index = Index::default();
        index.insert("sip:alice@home1.net", 3);
        index.insert("sip:alice@home1.net", 1);
        index.insert("sip:alice@home1.net", 3);
        assert_eq!(index.slots("sip:alice@home1.net"), [3, 1]);
        assert!(index.slots("sip:bob@home1.net").is_empty());
        index.remove("sip:alice@home1.net", 3);
        index.remove("sip:bob@home1.net", 1);
        assert_eq!(index.slots("sip:alice@home1.net"), [1]);
        index.remove("sip:alice@home1.net", 1);
        assert!(index.by_hash.is_empty());
    }
}
