//! Transactions whose home an ACK or a CANCEL does not tell.
//!
//! An application server that acts for a user marks its request by `;orig` and names the user in a field that the ACK and
//! the CANCEL of the request do not repeat. They come by the same flow, so that the shard that heard the one hears the others.

use crate::bucket::Bucket;
use ambient::Entropy;
use ambient::entropy::KeyedState;
use std::collections::{HashMap, VecDeque};

/// The homes of the last such transactions, by a keyed hash of their branch.
#[derive(Debug)]
pub(super) struct Remembered {
    /// For look-up only; the order of a keyed map reaches no output.
    homes: HashMap<u64, Bucket, KeyedState>,
    /// The oldest first.
    order: VecDeque<u64>,
    max: usize,
}

impl Remembered {
    /// Nothing, and at most `max` transactions.
    pub(super) fn new(max: usize, entropy: &mut Entropy) -> Remembered {
        Remembered {
            homes: HashMap::with_hasher(KeyedState::new(entropy)),
            order: VecDeque::new(),
            max: max.max(1),
        }
    }

    /// The home of a transaction.
    pub(super) fn home(&self, transaction: u64) -> Option<Bucket> {
        self.homes.get(&transaction).copied()
    }

    /// A transaction is at home in `home`, as long as it is not sent again; the oldest makes room for it.
    pub(super) fn insert(&mut self, transaction: u64, home: Bucket) {
        if self.homes.insert(transaction, home).is_some() {
            return;
        }
        self.order.push_back(transaction);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.homes.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_one_that_comes_again_is_not_doubled() {
        let mut remembered = Remembered::new(2, &mut Entropy::seeded(1));
        for transaction in [1, 1, 2, 3] {
            remembered.insert(transaction, Bucket::new(transaction as u16));
        }
        assert_eq!([1, 2, 3].map(|id| remembered.home(id).is_some()), [false, true, true]);
        assert_eq!((remembered.homes.len(), remembered.order.len()), (2, 2));
    }
}
