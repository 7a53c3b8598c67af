//! Slots in pages that never move: to move what a hundred thousand UEs have registered takes time for which every message
//! would wait, and to grow by doubling takes memory for as many again.

/// Things in slots; a slot that is free is taken again first.
#[derive(Debug)]
pub struct Slots<T> {
    pages: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

/// Slots of a page.
const PAGE: usize = 256;

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { pages: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slots<T> {
    /// How many are taken.
    pub fn len(&self) -> usize {
        self.len
    }

    /// What is in a slot.
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.pages.get(slot as usize / PAGE)?.get(slot as usize % PAGE)?.as_ref()
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.entry(slot)?.as_mut()
    }

    fn entry(&mut self, slot: u32) -> Option<&mut Option<T>> {
        self.pages.get_mut(slot as usize / PAGE)?.get_mut(slot as usize % PAGE)
    }

    /// All that is there, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten().flatten()
    }

    /// Puts it into a free slot.
    pub fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(slot) = self.free.pop()
            && let Some(entry) = self.entry(slot)
        {
            *entry = Some(value);
            return slot;
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let before = (self.pages.len() - 1) * PAGE;
        let page = self.pages.last_mut().expect("a page was pushed where there was none");
        page.push(Some(value));
        u32::try_from(before + page.len() - 1).expect("`registrations_max` is far below 2^32")
    }

    /// Takes it out.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.entry(slot)?.take()?;
        self.free.push(slot);
        self.len -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_was_left_is_taken_again_and_the_others_stay() {
        let mut slots = Slots::default();
        let taken: Vec<u32> = (0..600).map(|number| slots.insert(number)).collect();
        assert_eq!((slots.len(), slots.get(taken[300])), (600, Some(&300)));
        assert_eq!((slots.remove(taken[300]), slots.remove(taken[300])), (Some(300), None));
        assert_eq!((slots.get(taken[300]), slots.iter().count()), (None, 599));
        assert_eq!(slots.insert(700), taken[300]);
        *slots.get_mut(taken[299]).unwrap() = 800;
        let there: Vec<i32> = slots.iter().skip(298).take(4).copied().collect();
        assert_eq!(there, [298, 800, 700, 301]);
        assert_eq!(slots.get(10_000), None);
    }
}
