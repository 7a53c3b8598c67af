//! Values that many users have in common, kept once: services of a profile, addresses of charging functions.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Values of one kind, each for as long as somebody has it.
#[derive(Debug)]
pub struct Shared<T> {
    known: BTreeSet<Arc<T>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared { known: BTreeSet::new() }
    }
}

impl<T: Ord> Shared<T> {
    /// The one that equals `value`; it is that one from here on when there is none.
    pub fn share(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        match self.known.get(&*value) {
            Some(known) => known.clone(),
            None => {
                self.known.insert(value.clone());
                value
            }
        }
    }

    /// The one that equals `value`, if somebody has it.
    pub fn get(&self, value: &T) -> Option<Arc<T>> {
        self.known.get(value).cloned()
    }

    /// Says that whoever has `owned` of these is about to drop them; what nobody else has is forgotten.
    pub fn release(&mut self, value: &Arc<T>, owned: usize) {
        // Those, and the one in here.
        if Arc::strong_count(value) <= owned + 1 {
            self.known.remove(&**value);
        }
    }

    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_the_last_owner_takes_it_away() {
        let mut shared = Shared::default();
        let (one, two) = (shared.share("a".to_owned()), shared.share("a".to_owned()));
        assert!(Arc::ptr_eq(&one, &two) && shared.len() == 1);
        shared.release(&one, 1);
        drop(one);
        assert!(shared.get(&"a".to_owned()).is_some(), "the other still has it");
        shared.release(&two, 1);
        assert!(shared.is_empty());
    }
}
