//! The branch parameter of our Via: where its client transaction lives, and proof that it is ours.
//!
//! `z9hG4bK` + base32(bucket, slot, generation, loop hash, random). A response finds its transaction by array index; a
//! forged one misses on the random part.

use crate::bucket::{Bucket, base32, unbase32};

/// RFC 3261 §8.1.1.7.
pub(crate) const MAGIC_COOKIE: &[u8] = b"z9hG4bK";
const BUCKET: usize = 3;
const SLOT: usize = 5;
const GENERATION: usize = 3;
const LOOP: usize = 8;
const RANDOM: usize = 12;
const LEN: usize = 7 + BUCKET + SLOT + GENERATION + LOOP + RANDOM;

/// The bits of a loop hash that a branch has room for.
pub(crate) const LOOP_MASK: u64 = (1 << (5 * LOOP)) - 1;

/// What a branch of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BranchId {
    pub(crate) bucket: Bucket,
    /// Slot of the client transaction, below 2^25.
    pub(crate) slot: u32,
    /// Low 15 bits of the slot's generation.
    pub(crate) generation: u16,
    /// Low 40 bits of [`sip_core::proxy::loop_detection::loop_hash`]: what two requests have in common by chance is a
    /// refusal of the second, so that it must not happen.
    pub(crate) loop_hash: u64,
    /// 60 random bits.
    pub(crate) random: u64,
}

impl BranchId {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC_COOKIE);
        base32(u64::from(self.bucket.number()), 15, out);
        base32(u64::from(self.slot), 25, out);
        base32(u64::from(self.generation), 15, out);
        base32(self.loop_hash, 40, out);
        base32(self.random, 60, out);
    }

    /// Reads a branch in our form; whether it names a live transaction is for the table to say.
    pub(crate) fn read(branch: &[u8]) -> Option<BranchId> {
        if branch.len() != LEN || !branch.starts_with(MAGIC_COOKIE) {
            return None;
        }
        let mut rest = &branch[MAGIC_COOKIE.len()..];
        let mut take = |chars: usize| {
            let (head, tail) = rest.split_at(chars);
            rest = tail;
            unbase32(head)
        };
        Some(BranchId {
            bucket: Bucket::new(take(BUCKET)? as u16),
            slot: take(SLOT)? as u32,
            generation: take(GENERATION)? as u16,
            loop_hash: take(LOOP)?,
            random: take(RANDOM)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_reads_back_as_written() {
        let id = BranchId {
            bucket: Bucket::new(4095),
            slot: (1 << 25) - 1,
            generation: 0x7fff,
            loop_hash: LOOP_MASK,
            random: (1 << 60) - 1,
        };
        let mut text = Vec::new();
        id.write(&mut text);
        assert_eq!(text.len(), LEN);
        assert_eq!(BranchId::read(&text), Some(id));
        assert_eq!(BranchId::read(b"z9hG4bK776asdhds"), None);
        assert_eq!(BranchId::read(&text[1..]), None);
    }
}
