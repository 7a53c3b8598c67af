//! Identities that are served elsewhere than in their own bucket: the others of an implicit registration set.

use crate::bucket::Bucket;
use ambient::Entropy;
use ambient::entropy::KeyedState;
use std::collections::HashMap;

/// What a shard knows of such identities: by the keyed hash of the canonical form, the bucket that serves it.
///
/// Every shard of a function knows all of them, so that any of them finds the home of a message alone.
#[derive(Debug)]
pub(super) struct Aliases {
    /// For look-up only; the order of a keyed map reaches no output.
    owners: HashMap<u64, Bucket, KeyedState>,
    max: usize,
}

impl Aliases {
    /// An empty table of at most `max` identities.
    pub(super) fn new(max: usize, entropy: &mut Entropy) -> Aliases {
        Aliases { owners: HashMap::with_hasher(KeyedState::new(entropy)), max }
    }

    /// The bucket that serves an identity; `None`: its own.
    pub(super) fn owner(&self, identity: u64) -> Option<Bucket> {
        self.owners.get(&identity).copied()
    }

    /// An identity is served in `owner`; the last who says so is right. False when there is no room for it.
    pub(super) fn insert(&mut self, identity: u64, owner: Bucket) -> bool {
        let fits = self.owners.len() < self.max || self.owners.contains_key(&identity);
        if fits {
            self.owners.insert(identity, owner);
        }
        fits
    }

    /// An identity is not served in `owner` any more; another owner's word stands.
    pub(super) fn remove(&mut self, identity: u64, owner: Bucket) {
        if self.owners.get(&identity) == Some(&owner) {
            self.owners.remove(&identity);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(max: usize) -> Aliases {
        Aliases::new(max, &mut Entropy::seeded(1))
    }

    #[test]
    fn the_last_owner_is_right_and_one_before_takes_nothing_back() {
        let mut aliases = table(8);
        let (first, second) = (Bucket::new(1), Bucket::new(2));
        assert!(aliases.insert(7, first) && aliases.insert(7, second));
        aliases.remove(7, first);
        assert_eq!(aliases.owner(7), Some(second));
        aliases.remove(7, second);
        assert_eq!((aliases.owner(7), aliases.len()), (None, 0));
    }

    #[test]
    fn a_full_table_takes_no_more_identities_and_still_follows_those_it_has() {
        let mut aliases = table(2);
        assert!(aliases.insert(1, Bucket::new(1)) && aliases.insert(2, Bucket::new(1)));
        assert!(!aliases.insert(3, Bucket::new(1)));
        assert!(aliases.insert(2, Bucket::new(5)));
        assert_eq!((aliases.owner(2), aliases.owner(3)), (Some(Bucket::new(5)), None));
    }
}
