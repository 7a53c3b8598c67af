//! Timers as a value: arm, cancel, and take what is due.
//!
//! A hashed hierarchical wheel would save comparisons at a million timers; a heap with lazy cancellation is exact to the
//! microsecond, which the simulation wants, and costs less than one parse per SIP transaction.

use crate::now::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Names one armed timer. A stale id (fired or cancelled) is harmless: it no longer matches its slot's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot<K> {
    generation: u32,
    /// `None` while the slot is free.
    armed: Option<(K, &'static str)>,
}

/// A set of armed timers, each with a key that says what to do when it fires.
///
/// Timers due at the same instant fire in the order in which they were armed, so that runs of one seed are equal.
#[derive(Debug)]
pub struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, u64, u32, u32)>>,
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    armed_count: usize,
    sequence: u64,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), armed_count: 0, sequence: 0 }
    }
}

impl<K> Timers<K> {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms a timer that fires `after` from `now`; `why` names it for an operator (`"timer F"`).
    pub fn arm(&mut self, now: Instant, after: Duration, key: K, why: &'static str) -> TimerId {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { generation: 0, armed: None });
                u32::try_from(self.slots.len() - 1)
                    .expect("fewer than 2^32 timers: every table that arms one is bounded")
            }
        };
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.armed = Some((key, why));
        self.sequence += 1;
        self.armed_count += 1;
        self.heap.push(Reverse((now + after, self.sequence, slot, entry.generation)));
        TimerId { slot, generation: entry.generation }
    }

    /// Takes the timer back; `None` when it fired or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<K> {
        let key = self.release(id.slot, id.generation)?;
        // Lazy cancellation leaves entries behind in the heap: rebuild when they are the greater part.
        if self.heap.len() > 64 && self.heap.len() > self.armed_count * 4 {
            let slots = &self.slots;
            self.heap.retain(|Reverse((_, _, slot, generation))| {
                let entry = &slots[*slot as usize];
                entry.generation == *generation && entry.armed.is_some()
            });
        }
        Some(key)
    }

    /// The next timer due at `now`, removed from the set; `None` when nothing is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        self.drop_stale();
        let &Reverse((at, _, slot, generation)) = self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        self.release(slot, generation)
    }

    /// When the next timer fires, and its name.
    pub fn next(&self) -> Option<(Instant, &'static str)> {
        // Stale entries may sit on top: waking early for one is harmless, and the next `pop_due` sweeps it.
        let Reverse((at, _, slot, generation)) = self.heap.peek()?;
        let entry = &self.slots[*slot as usize];
        match &entry.armed {
            Some((_, why)) if entry.generation == *generation => Some((*at, why)),
            _ => Some((*at, "cancelled")),
        }
    }

    /// Sweeps cancelled timers off the top, so that `next` is exact.
    pub fn drop_stale(&mut self) {
        while let Some(Reverse((_, _, slot, generation))) = self.heap.peek() {
            let entry = &self.slots[*slot as usize];
            if entry.generation == *generation && entry.armed.is_some() {
                return;
            }
            self.heap.pop();
        }
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.armed_count
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.armed_count == 0
    }

    fn release(&mut self, slot: u32, generation: u32) -> Option<K> {
        let entry = self.slots.get_mut(slot as usize)?;
        if entry.generation != generation {
            return None;
        }
        let (key, _) = entry.armed.take()?;
        self.armed_count -= 1;
        self.free.push(slot);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn timers_fire_in_order_of_time_then_of_arming() {
        let mut timers = Timers::new();
        timers.arm(Instant::START, 2 * MS, "late", "");
        timers.arm(Instant::START, MS, "first", "");
        timers.arm(Instant::START, MS, "second", "");
        let due = Instant::START + 2 * MS;
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop_due(due)).collect();
        assert_eq!(fired, ["first", "second", "late"]);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cancelled_timer_does_not_fire_and_its_id_stays_stale() {
        let mut timers = Timers::new();
        let id = timers.arm(Instant::START, MS, 1, "");
        assert_eq!(timers.cancel(id), Some(1));
        let reused = timers.arm(Instant::START, MS, 2, "");
        assert_eq!(timers.cancel(id), None);
        assert_eq!(timers.pop_due(Instant::START + MS), Some(2));
        assert_eq!(timers.cancel(reused), None);
    }

    #[test]
    fn cancelling_many_timers_does_not_keep_their_entries() {
        let mut timers = Timers::new();
        for n in 0..10_000 {
            let id = timers.arm(Instant::START, MS, n, "");
            timers.cancel(id);
        }
        assert!(timers.heap.len() <= 65, "{} stale entries", timers.heap.len());
    }
}
