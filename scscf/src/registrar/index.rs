//! Finds slots of a table by a name that stands in the slot: only a hash of the name is kept here.

use ambient::entropy::KeyedState;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

/// The slots under each name. Two names may have one hash: whoever asks compares the names.
#[derive(Debug, Default)]
pub struct Index {
    /// The slot of a hash; [`SEVERAL`] where there are more.
    slots: Hashes<u32>,
    several: Hashes<SmallVec<[u32; 4]>>,
}

type Hashes<T> = HashMap<u32, T, BuildHasherDefault<Spread>>;

/// No slot: registrations are far fewer than 2^32.
const SEVERAL: u32 = u32::MAX;

/// Only names that the HSS gave are put in, so that no peer can choose what collides, and the key need not be secret.
const STATE: (u64, u64) = (0x7363_7363_665f_6964, 0x656e_7469_7469_6573);

/// Of a million names, a few hundred share theirs with another.
pub(super) fn hash(name: &str) -> u32 {
    KeyedState::from_key(STATE).hash_one(name) as u32
}

impl Index {
    /// Puts a slot under a name.
    pub fn insert(&mut self, name: &str, slot: u32) {
        let hash = hash(name);
        match self.slots.get(&hash).copied() {
            None => {
                self.slots.insert(hash, slot);
            }
            Some(SEVERAL) => {
                let several = self.several.entry(hash).or_default();
                if !several.contains(&slot) {
                    several.push(slot);
                }
            }
            Some(other) if other == slot => {}
            Some(other) => {
                self.slots.insert(hash, SEVERAL);
                self.several.insert(hash, SmallVec::from_slice(&[other, slot]));
            }
        }
    }

    /// Takes a slot away from a name.
    pub fn remove(&mut self, name: &str, slot: u32) {
        let hash = hash(name);
        if self.slots.get(&hash) == Some(&slot) {
            self.slots.remove(&hash);
        }
        let Some(several) = self.several.get_mut(&hash) else { return };
        several.retain(|other| *other != slot);
        if let [last] = several[..] {
            self.slots.insert(hash, last);
            self.several.remove(&hash);
        }
    }

    /// The slots that may have the name, in the order in which they came.
    pub fn slots(&self, name: &str) -> &[u32] {
        self.slots_of(hash(name))
    }

    /// The slots that may have a name with this hash.
    pub(super) fn slots_of(&self, hash: u32) -> &[u32] {
        match self.slots.get(&hash) {
            None => &[],
            Some(&SEVERAL) => self.several.get(&hash).map_or(&[], |several| several),
            Some(slot) => std::slice::from_ref(slot),
        }
    }
}

/// Takes a number that is a hash already, and spreads it over all bits that a map looks at.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, number: u32) {
        // The golden ratio; the low bits choose the place, the high ones are compared.
        self.0 = u64::from(number) | u64::from(number.wrapping_mul(0x9e37_79b9)) << 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_slots_until_each_is_taken_away() {
        let mut index = Index::default();
        let name = "sip:alice@home1.net";
        for slot in [3, 3, 1, 7, 3, 1] {
            index.insert(name, slot);
        }
        assert_eq!(index.slots(name), [3, 1, 7]);
        assert!(index.slots("sip:bob@home1.net").is_empty());
        index.remove(name, 3);
        index.remove("sip:bob@home1.net", 1);
        assert_eq!(index.slots(name), [1, 7]);
        index.remove(name, 1);
        index.remove(name, 9);
        assert_eq!((index.slots(name), index.several.len()), (&[7][..], 0));
        index.insert(name, 8);
        assert_eq!(index.slots(name), [7, 8]);
        index.remove(name, 7);
        index.remove(name, 8);
        assert!(index.slots.is_empty() && index.several.is_empty());
    }

    #[test]
    fn ten_thousand_names_are_all_found_and_hardly_any_two_share_a_hash() {
        let name = |number: u32| format!("sip:{number}@home1.net");
        let mut index = Index::default();
        (0..10_000).for_each(|number| index.insert(&name(number), number));
        assert!(index.several.len() < 10);
        assert_eq!((0..10_000).find(|number| !index.slots(&name(*number)).contains(number)), None);
    }
}
