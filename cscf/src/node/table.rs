//! A table of live things: dense slots, each with a generation, bounded.

/// Slots with generations. An id is `(slot, generation)`; one that was removed matches nothing.
///
/// Slots lie in pages that never move: to move what a loaded node has open takes a tenth of a second, for which every
/// message would wait.
#[derive(Debug)]
pub(crate) struct Table<T> {
    pages: Vec<Vec<Slot<T>>>,
    free: Vec<u32>,
    len: usize,
    max: usize,
}

/// How often the slot was used before, and what is in it.
type Slot<T> = (u32, Option<T>);

/// Slots of a page.
const PAGE: usize = 256;

impl<T> Table<T> {
    pub(crate) fn with_max(max: usize) -> Table<T> {
        Table { pages: Vec::new(), free: Vec::new(), len: 0, max }
    }

    /// How many more fit.
    pub(crate) fn room(&self) -> usize {
        self.max.saturating_sub(self.len)
    }

    /// How many more fit when `reserve` is added to the bound.
    pub(crate) fn room_with(&self, reserve: usize) -> usize {
        self.max.saturating_add(reserve).saturating_sub(self.len)
    }

    /// How many fit in all.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Inserts beyond `max` too: callers check [`Table::room`] where a refusal is possible.
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        self.len += 1;
        if let Some(slot) = self.free.pop()
            && let Some(entry) = self.slot_mut(slot)
        {
            entry.0 = entry.0.wrapping_add(1);
            entry.1 = Some(value);
            return (slot, entry.0);
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let before = (self.pages.len() - 1) * PAGE;
        let page = self.pages.last_mut().expect("a page was pushed where there was none");
        page.push((0, Some(value)));
        (u32::try_from(before + page.len() - 1).expect("bounded far below 2^32"), 0)
    }

    fn slot(&self, slot: u32) -> Option<&Slot<T>> {
        self.pages.get(slot as usize / PAGE)?.get(slot as usize % PAGE)
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        self.pages.get_mut(slot as usize / PAGE)?.get_mut(slot as usize % PAGE)
    }

    pub(crate) fn get(&self, (slot, generation): (u32, u32)) -> Option<&T> {
        self.slot(slot).filter(|entry| entry.0 == generation)?.1.as_ref()
    }

    /// Every live entry, in the order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten().filter_map(|(_, entry)| entry.as_ref())
    }

    pub(crate) fn get_mut(&mut self, (slot, generation): (u32, u32)) -> Option<&mut T> {
        self.slot_mut(slot).filter(|entry| entry.0 == generation)?.1.as_mut()
    }

    /// The live entry of a slot, with its whole id.
    pub(crate) fn at(&self, slot: u32) -> Option<((u32, u32), &T)> {
        let entry = self.slot(slot)?;
        Some(((slot, entry.0), entry.1.as_ref()?))
    }

    pub(crate) fn remove(&mut self, (slot, generation): (u32, u32)) -> Option<T> {
        let entry = self.slot_mut(slot).filter(|entry| entry.0 == generation)?;
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

    #[test]
    fn what_is_in_the_table_does_not_move_when_it_grows() {
        let mut table = Table::with_max(10_000);
        let ids: Vec<_> = (0..10_000).map(|number| table.insert(number)).collect();
        let place = |table: &Table<i32>, at: usize| std::ptr::from_ref(table.get(ids[at]).unwrap());
        let before = place(&table, 300);
        for number in 0..10_000 {
            table.insert(number);
        }
        assert_eq!(place(&table, 300), before);
        assert_eq!((table.get(ids[300]), table.iter().count()), (Some(&300), 20_000));
    }
}
