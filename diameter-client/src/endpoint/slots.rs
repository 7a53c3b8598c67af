//! Slots with generations: what waits is found by array index, and a stale id finds nothing.

/// Bits of an id that are the slot; the rest is the generation.
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

/// A bounded table whose ids fit a Hop-by-Hop identifier.
#[derive(Debug)]
pub(super) struct Slots<T> {
    entries: Vec<(u32, Option<T>)>,
    /// Free slots, the longest free first, so that an id comes back as late as possible.
    free: std::collections::VecDeque<u32>,
    slots_max: usize,
}

impl<T> Slots<T> {
    /// A table of at most `slots_max` entries, never more than 2^20.
    pub fn new(slots_max: usize) -> Slots<T> {
        let slots_max = slots_max.min(1 << SLOT_BITS);
        Slots { entries: Vec::new(), free: std::collections::VecDeque::new(), slots_max }
    }

    pub fn is_full(&self) -> bool {
        self.free.is_empty() && self.entries.len() >= self.slots_max
    }

    /// Puts `value` in a free slot; `None` when the table is full.
    pub fn insert(&mut self, value: T) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let slot = match self.free.pop_front() {
            Some(slot) => slot,
            None => {
                self.entries.push((0, None));
                u32::try_from(self.entries.len() - 1).ok()?
            }
        };
        let entry = &mut self.entries[slot as usize];
        entry.0 = entry.0.wrapping_add(1);
        entry.1 = Some(value);
        Some(id(entry.0, slot))
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.entry(id)?.1.as_mut()
    }

    pub fn remove(&mut self, id: u32) -> Option<T> {
        let value = self.entry(id)?.1.take()?;
        self.free.push_back(id & SLOT_MASK);
        Some(value)
    }

    /// The ids of the entries that `wanted` picks, in order of slot.
    pub fn ids(&self, mut wanted: impl FnMut(&T) -> bool) -> Vec<u32> {
        let each = self.entries.iter().enumerate();
        each.filter_map(|(slot, (generation, value))| {
            let is_wanted = value.as_ref().is_some_and(&mut wanted);
            is_wanted.then(|| id(*generation, slot as u32))
        })
        .collect()
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn entry(&mut self, wanted: u32) -> Option<&mut (u32, Option<T>)> {
        let slot = wanted & SLOT_MASK;
        let entry = self.entries.get_mut(slot as usize)?;
        (id(entry.0, slot) == wanted).then_some(entry)
    }
}

fn id(generation: u32, slot: u32) -> u32 {
    generation << SLOT_BITS | slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing_after_its_slot_was_used_again() {
        let mut slots = Slots::new(1);
        let first = slots.insert("first").unwrap();
        assert_eq!(slots.insert("too many"), None);
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second").unwrap();
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
        assert_eq!(slots.len(), 1);
    }
}
