//! Sequence numbers of the private identities, allocated in durable batches.
//!
//! The store holds the last number of the batch in use, so that a restart skips what is left of it and never repeats one
//! (TS 33.102 Annex C lets numbers be skipped). A warm subscriber so needs no store for most vectors.

use ims_aka::Sqn;

/// The sequence numbers of one private identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The last number used.
    last: Sqn,
    /// How many more may be used before the store has to know.
    left: u32,
}

impl Sequence {
    /// Goes on after `last`, with no number allocated.
    pub fn after(last: Sqn) -> Sequence {
        Sequence { last, left: 0 }
    }

    /// The next number; allocates `batch` of them when none is left.
    pub fn take(&mut self, batch: u32) -> Sqn {
        if self.left == 0 {
            self.left = batch.max(1);
        }
        self.left -= 1;
        self.last = self.last.next();
        self.last
    }

    /// Goes on after the number that a USIM told in AUTS, if ours is out of its range.
    pub fn resynchronise(&mut self, sqn_ms: Sqn) {
        *self = Sequence::after(self.last.resynchronised(sqn_ms));
    }

    /// The last number used.
    pub fn last(&self) -> Sqn {
        self.last
    }

    /// The last number that may have been used when all that is known is the store.
    pub fn reserved(&self) -> Sqn {
        self.last.after(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_reserved_once_and_used_up_before_the_next() {
        let mut sequence = Sequence::after(Sqn::default());
        let reserved: Vec<u64> = (0..9)
            .map(|_| {
                sequence.take(4);
                sequence.reserved().seq()
            })
            .collect();
        assert_eq!(reserved, [4, 4, 4, 4, 8, 8, 8, 8, 12]);
    }

    #[test]
    fn a_restart_goes_on_above_everything_that_may_have_been_used() {
        let mut sequence = Sequence::after(Sqn::default());
        let used = [sequence.take(32), sequence.take(32)];
        let mut restarted = Sequence::after(sequence.reserved());
        assert!(used.iter().all(|sqn| restarted.take(32).seq() > sqn.seq()));
    }

    #[test]
    fn after_auts_the_next_number_is_above_the_cards() {
        let mut sequence = Sequence::after(Sqn::default());
        sequence.take(32);
        sequence.resynchronise(Sqn::from_parts(900, 7));
        assert_eq!(sequence.take(32), Sqn::from_parts(901, 8));
    }
}
