//! A table of live things: dense slots, each with a generation, bounded.

/// Slots with generations. An id is `(slot, generation)`; one that was removed matches nothing.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    len: usize,
    max: usize,
}

impl<T> Table<T> {
    pub(crate) fn with_max(max: usize) -> Table<T> {
        Table { slots: Vec::new(), free: Vec::new(), len: 0, max }
    }

    /// How many more fit.
    pub(crate) fn room(&self) -> usize {
        self.max.saturating_sub(self.len)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Inserts beyond `max` too: callers check [`Table::room`] where a refusal is possible.
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.slots[slot as usize];
            entry.0 = entry.0.wrapping_add(1);
            entry.1 = Some(value);
            return (slot, entry.0);
        }
        self.slots.push((0, Some(value)));
        (u32::try_from(self.slots.len() - 1).expect("bounded far below 2^32"), 0)
    }

    pub(crate) fn get(&self, (slot, generation): (u32, u32)) -> Option<&T> {
        self.slots.get(slot as usize).filter(|entry| entry.0 == generation)?.1.as_ref()
    }

    /// Every live entry, in the order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|(_, entry)| entry.as_ref())
    }

    pub(crate) fn get_mut(&mut self, (slot, generation): (u32, u32)) -> Option<&mut T> {
        self.slots.get_mut(slot as usize).filter(|entry| entry.0 == generation)?.1.as_mut()
    }

    /// The live entry of a slot, with its whole id.
    pub(crate) fn at(&self, slot: u32) -> Option<((u32, u32), &T)> {
        let entry = self.slots.get(slot as usize)?;
        Some(((slot, entry.0), entry.1.as_ref()?))
    }

    pub(crate) fn remove(&mut self, (slot, generation): (u32, u32)) -> Option<T> {
        let entry = self.slots.get_mut(slot as usize).filter(|entry| entry.0 == generation)?;
        let value = entry.1.take()?;
        self.free.push(slot);
        self.len -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_id_matches_nothing_even_when_its_slot_is_taken_again() {
        let mut table = Table::with_max(2);
        let first = table.insert('a');
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert('b');
        assert_eq!(first.0, second.0);
        assert_eq!(table.get(first), None);
        assert_eq!(table.get(second), Some(&'b'));
        assert_eq!((table.len(), table.room()), (1, 1));
    }
}
