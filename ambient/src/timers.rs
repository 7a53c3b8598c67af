//! Timers as a value: arm, cancel, and take what is due.
//!
//! Nearly all timers of a SIP node are of a few durations (T1, 64*T1, T4, Timer C), and of one duration the one that is
//! armed first is due first: each duration has a list of its own, which costs the same to arm and to cancel however long
//! it is. What is of no such duration, the end of a registration, is in a heap with lazy cancellation.

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
    /// Its place in a list; [`NONE`] for one in the heap. Apart from the slot, for a registration has a timer for days.
    link: u32,
    /// `None` while the slot is free.
    armed: Option<(K, &'static str)>,
}

/// The place of a timer in the list of its duration.
#[derive(Clone, Copy, Debug)]
struct Link {
    due: Due,
    slot: u32,
    /// The neighbours, [`NONE`] at the ends.
    before: u32,
    behind: u32,
    /// Which list.
    lane: u8,
}

/// When a timer fires, and which of two of the same moment goes first.
type Due = (Instant, u64);

/// The timers of one duration, in the order in which they fire.
#[derive(Clone, Copy, Debug)]
struct Lane {
    /// The duration, and whether the moment is rounded.
    of: (Duration, bool),
    /// Links, [`NONE`] in an empty list.
    first: u32,
    last: u32,
    /// When the first fires.
    due: Due,
}

/// No link.
const NONE: u32 = u32::MAX;
/// As many durations have a list of their own.
const LANES_MAX: usize = 24;
/// What is longer than every timer of a transaction is not worth a list.
const LANE_MAX: Duration = Duration::from_secs(300);
/// What [`Timers::arm_coarse`] rounds to.
const GRAIN_US: u64 = 100_000;

/// A set of armed timers, each with a key that says what to do when it fires.
///
/// Timers due at the same instant fire in the order in which they were armed, so that runs of one seed are equal.
#[derive(Debug)]
pub struct Timers<K> {
    lanes: Vec<Lane>,
    heap: BinaryHeap<Reverse<(Due, u32, u32)>>,
    /// How many of the heap are armed.
    heap_count: usize,
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    links: Vec<Link>,
    free_links: Vec<u32>,
    armed_count: usize,
    sequence: u64,
    /// Nothing fires before this moment.
    soonest: Instant,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers {
            lanes: Vec::new(),
            heap: BinaryHeap::new(),
            heap_count: 0,
            slots: Vec::new(),
            free: Vec::new(),
            links: Vec::new(),
            free_links: Vec::new(),
            armed_count: 0,
            sequence: 0,
            soonest: Instant::START,
        }
    }
}

impl<K> Timers<K> {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms a timer that fires `after` from `now`; `why` names it for an operator (`"timer F"`).
    pub fn arm(&mut self, now: Instant, after: Duration, key: K, why: &'static str) -> TimerId {
        self.arm_in((after, false), now + after, key, why)
    }

    /// Arms a timer that may fire up to a tenth of a second late, so that many fire at once and a driver wakes up for all
    /// of them.
    pub fn arm_coarse(&mut self, now: Instant, after: Duration, key: K, why: &'static str) -> TimerId {
        let at = Instant::from_micros((now + after).as_micros().next_multiple_of(GRAIN_US));
        self.arm_in((after, true), at, key, why)
    }

    fn arm_in(&mut self, of: (Duration, bool), at: Instant, key: K, why: &'static str) -> TimerId {
        self.sequence += 1;
        self.armed_count += 1;
        let due = (at, self.sequence);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { generation: 0, link: NONE, armed: None });
                u32::try_from(self.slots.len() - 1)
                    .expect("fewer than 2^32 timers: every table that arms one is bounded")
            }
        };
        let link = self.lane_for(of, at).map(|lane| self.append(lane, due, slot));
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        (entry.link, entry.armed) = (link.unwrap_or(NONE), Some((key, why)));
        let generation = entry.generation;
        if self.armed_count == 1 || at < self.soonest {
            self.soonest = at;
        }
        if link.is_none() {
            self.heap_count += 1;
            self.heap.push(Reverse((due, slot, generation)));
        }
        TimerId { slot, generation }
    }

    /// Puts a timer at the end of a list.
    fn append(&mut self, lane: usize, due: Due, slot: u32) -> u32 {
        let list = &mut self.lanes[lane];
        let new = Link { due, slot, before: list.last, behind: NONE, lane: lane as u8 };
        let link = match self.free_links.pop() {
            Some(link) => {
                self.links[link as usize] = new;
                link
            }
            None => {
                self.links.push(new);
                (self.links.len() - 1) as u32
            }
        };
        match self.links.get_mut(list.last as usize) {
            Some(last) => last.behind = link,
            None => (list.first, list.due) = (link, due),
        }
        list.last = link;
        link
    }

    /// Takes a timer out of its list.
    fn unlink(&mut self, link: u32) {
        let Link { before, behind, lane, .. } = self.links[link as usize];
        let list = &mut self.lanes[usize::from(lane)];
        match self.links.get_mut(before as usize) {
            Some(before) => before.behind = behind,
            None => list.first = behind,
        }
        match self.links.get_mut(behind as usize) {
            Some(next) => {
                next.before = before;
                if before == NONE {
                    list.due = next.due;
                }
            }
            None => list.last = before,
        }
        self.free_links.push(link);
    }

    /// The list of a duration, where there is one or room for one, and nothing in it fires later.
    fn lane_for(&mut self, of: (Duration, bool), at: Instant) -> Option<usize> {
        if of.0 > LANE_MAX {
            return None;
        }
        let lane = match self.lanes.iter().position(|lane| lane.of == of) {
            Some(lane) => lane,
            None => {
                let empty = Lane { of, first: NONE, last: NONE, due: (Instant::START, 0) };
                if self.lanes.len() < LANES_MAX {
                    self.lanes.push(empty);
                    self.lanes.len() - 1
                } else if let Some(unused) = self.lanes.iter().position(|lane| lane.first == NONE) {
                    self.lanes[unused] = empty;
                    unused
                } else {
                    return None;
                }
            }
        };
        // A driver's time does not go back; should it, the order holds all the same.
        match self.links.get(self.lanes[lane].last as usize) {
            Some(last) if last.due.0 > at => None,
            _ => Some(lane),
        }
    }

    /// Takes the timer back; `None` when it fired or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<K> {
        let key = self.release(id.slot, id.generation)?;
        // Lazy cancellation leaves entries behind in the heap: rebuild when they are the greater part.
        if self.heap.len() > 64 && self.heap.len() > self.heap_count * 4 {
            let slots = &self.slots;
            self.heap.retain(|Reverse((_, slot, generation))| {
                let entry = &slots[*slot as usize];
                entry.generation == *generation && entry.armed.is_some()
            });
        }
        Some(key)
    }

    /// The next timer due at `now`, removed from the set; `None` when nothing is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.armed_count == 0 || now < self.soonest {
            return None;
        }
        self.sweep_heap();
        let (due, slot) = self.first()?;
        // Until the next one is looked for, nothing is known to be earlier.
        self.soonest = due.0;
        if due.0 > now {
            return None;
        }
        let generation = self.slots[slot as usize].generation;
        self.release(slot, generation)
    }

    /// The one that fires first, and its slot.
    fn first(&self) -> Option<(Due, u32)> {
        let in_heap = self.heap.peek().map(|Reverse((due, slot, _))| (*due, *slot));
        let in_lanes = self.lanes.iter().filter(|lane| lane.first != NONE).map(|lane| (lane.due, lane.first));
        match in_lanes.min().map(|(due, link)| (due, self.links[link as usize].slot)) {
            Some(in_lane) => Some(in_heap.map_or(in_lane, |in_heap| in_lane.min(in_heap))),
            None => in_heap,
        }
    }

    /// When the next timer fires, and its name.
    pub fn next(&self) -> Option<(Instant, &'static str)> {
        // A cancelled one may sit on top of the heap: waking early for it is harmless, and the next `pop_due` sweeps it.
        let ((at, _), slot) = self.first()?;
        Some((at, self.slots[slot as usize].armed.as_ref().map_or("cancelled", |(_, why)| why)))
    }

    /// Sweeps cancelled timers off the top, so that `next` is exact.
    pub fn drop_stale(&mut self) {
        self.sweep_heap();
    }

    fn sweep_heap(&mut self) {
        while let Some(Reverse((_, slot, generation))) = self.heap.peek() {
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
        let link = std::mem::replace(&mut entry.link, NONE);
        self.armed_count -= 1;
        self.free.push(slot);
        if link == NONE {
            self.heap_count -= 1;
        } else {
            self.unlink(link);
        }
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
            let short = timers.arm(Instant::START, MS, n, "");
            let long = timers.arm(Instant::START, LANE_MAX * 2, n, "");
            timers.cancel(short);
            timers.cancel(long);
        }
        assert!(timers.heap.len() <= 65, "{} stale entries", timers.heap.len());
        assert!(timers.slots.len() <= 2, "{} slots", timers.slots.len());
    }

    /// A plain list, searched for the earliest, is what the lanes and the heap must agree with.
    #[test]
    fn lists_and_heap_fire_as_one_sorted_list_would() {
        let mut entropy = crate::Entropy::seeded(3);
        let mut timers = Timers::new();
        let mut model: Vec<(Instant, u64, TimerId)> = Vec::new();
        let mut now = Instant::START;
        for n in 0..20_000_u64 {
            now = now + Duration::from_micros(entropy.below(30_000));
            match entropy.below(4) {
                0 if !model.is_empty() => {
                    let (_, number, id) = model.swap_remove(entropy.below(model.len() as u64) as usize);
                    assert_eq!(timers.cancel(id), Some(number));
                    assert_eq!(timers.cancel(id), None);
                }
                1 => {
                    // More durations than lists, some of them too long for one.
                    let after = MS * (entropy.below(40) as u32 * 9_000);
                    model.push((now + after, n, timers.arm(now, after, n, "")));
                }
                _ => {
                    let after = MS * [500, 32_000, 5_000][entropy.below(3) as usize];
                    model.push((now + after, n, timers.arm(now, after, n, "")));
                }
            }
            while let Some(fired) = timers.pop_due(now) {
                let first = (0..model.len()).min_by_key(|at| (model[*at].0, model[*at].1)).unwrap();
                let (at, number, _) = model.swap_remove(first);
                assert_eq!(fired, number);
                assert!(at <= now);
            }
            timers.drop_stale();
            let next = model.iter().map(|(at, ..)| *at).min();
            assert!(next.is_none_or(|next| next > now));
            assert_eq!(timers.next().map(|(at, _)| at), next);
            assert_eq!(timers.len(), model.len());
        }
    }

    #[test]
    fn a_coarse_timer_fires_late_rather_than_early_and_with_others() {
        let mut timers = Timers::new();
        timers.arm_coarse(Instant::START, MS, 1, "");
        timers.arm_coarse(Instant::START + 30 * MS, MS, 2, "");
        timers.arm_coarse(Instant::START + 100 * MS, MS, 3, "");
        assert_eq!(timers.pop_due(Instant::START + 99 * MS), None);
        let both = Instant::START + 100 * MS;
        assert_eq!(
            (timers.pop_due(both), timers.pop_due(both), timers.pop_due(both)),
            (Some(1), Some(2), None)
        );
        assert_eq!(timers.next().map(|(at, _)| at), Some(Instant::START + 200 * MS));
    }
}
