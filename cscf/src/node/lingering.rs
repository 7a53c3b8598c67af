//! What is left of a request other than INVITE once all is said: its final response, for as long as the request may come
//! again (RFC 3261 §17.2.2, state Completed and Timer J).
//!
//! All that wait equally long end in the order in which they came. So they lie behind each other in pages, the bytes of
//! the responses too, and a page is taken again when its last response has had its time: nothing is allocated, and
//! nothing moves.

use crate::context::ContextId;
use crate::input::Exit;
use ambient::Instant;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// The answered requests that may come again.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    lanes: Vec<Lane>,
    spare: Vec<Page>,
    len: usize,
}

/// Those of one duration.
#[derive(Debug)]
struct Lane {
    after: Duration,
    pages: VecDeque<Page>,
    /// The number of the front page; later ones count on.
    first: u32,
    /// How many of the front page are over.
    over: usize,
}

impl Lane {
    /// The one that is over first.
    fn front(&self) -> Option<&Entry> {
        self.pages.front()?.entries.get(self.over)
    }
}

#[derive(Debug)]
struct Page {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// One answered request.
#[derive(Debug)]
struct Entry {
    key: u128,
    until: Instant,
    exit: Exit,
    holder: Option<IpAddr>,
    /// Where the response lies in the page.
    start: u32,
    end: u32,
}

/// Names an answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LingeringId {
    page: u32,
    entry: u16,
    lane: u16,
}

/// Bytes of responses in a page; one response is at most as long as a message.
const PAGE_BYTES: usize = 64 * 1024;
/// Responses of a page.
const PAGE_ENTRIES: usize = 128;
/// Empty pages kept.
const SPARE_MAX: usize = 16;
/// A driver need not wake up for each that is over: what comes meanwhile does it.
const PATIENCE: Duration = Duration::from_millis(500);

impl Lingering {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Keeps a response for `after`; `holder` is whose quota it counts against.
    pub(crate) fn insert(
        &mut self,
        (now, after): (Instant, Duration),
        key: u128,
        (exit, holder): (Exit, Option<IpAddr>),
        response: &[u8],
    ) -> LingeringId {
        let at = match self.lanes.iter().position(|lane| lane.after == after) {
            Some(at) => at,
            None => {
                self.lanes.push(Lane { after, pages: VecDeque::new(), first: 0, over: 0 });
                self.lanes.len() - 1
            }
        };
        let lane = &mut self.lanes[at];
        let has_room = lane.pages.back().is_some_and(|page| {
            page.entries.len() < PAGE_ENTRIES && page.bytes.len() + response.len() <= PAGE_BYTES
        });
        if !has_room {
            lane.pages.push_back(self.spare.pop().unwrap_or_else(|| Page {
                bytes: Vec::with_capacity(PAGE_BYTES),
                entries: Vec::with_capacity(PAGE_ENTRIES),
            }));
        }
        let number = lane.first.wrapping_add(lane.pages.len() as u32 - 1);
        let page = lane.pages.back_mut().expect("one was pushed where there was no room");
        let start = page.bytes.len();
        page.bytes.extend_from_slice(response);
        let (start, end) = (start as u32, page.bytes.len() as u32);
        page.entries.push(Entry { key, until: now + after, exit, holder, start, end });
        self.len += 1;
        LingeringId { page: number, entry: (page.entries.len() - 1) as u16, lane: at as u16 }
    }

    /// The response to send again, and where to.
    pub(crate) fn get(&self, id: LingeringId) -> Option<(Exit, &[u8])> {
        let lane = self.lanes.get(usize::from(id.lane))?;
        let page = lane.pages.get(id.page.wrapping_sub(lane.first) as usize)?;
        let entry = page.entries.get(usize::from(id.entry))?;
        Some((entry.exit, page.bytes.get(entry.start as usize..entry.end as usize)?))
    }

    /// The next that is over at `now`: its key, and whose quota it counted against.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(u128, Option<IpAddr>)> {
        let is_over = |lane: &Lane| lane.front().is_some_and(|entry| entry.until <= now);
        let lane = self.lanes.iter().position(is_over)?;
        self.pop(lane)
    }

    /// The one that was answered longest ago, whether it is over or not.
    pub(crate) fn pop_oldest(&mut self) -> Option<(u128, Option<IpAddr>)> {
        let answered_at = |lane: &Lane| {
            let until = lane.front()?.until.as_micros();
            Some(u128::from(until).saturating_sub(lane.after.as_micros()))
        };
        let fronts = self.lanes.iter().enumerate().filter_map(|(at, lane)| Some((answered_at(lane)?, at)));
        let (_, lane) = fronts.min()?;
        self.pop(lane)
    }

    /// Takes the front one of a lane.
    fn pop(&mut self, lane: usize) -> Option<(u128, Option<IpAddr>)> {
        let lane = self.lanes.get_mut(lane)?;
        let entry = lane.front()?;
        let popped = (entry.key, entry.holder);
        lane.over += 1;
        self.len -= 1;
        // The last page stays: the next response goes there, or begins it anew.
        let is_done = lane.pages.front().is_some_and(|page| lane.over == page.entries.len());
        if is_done
            && (lane.pages.len() > 1 || lane.over == PAGE_ENTRIES || self.len == 0)
            && let Some(mut page) = lane.pages.pop_front()
        {
            (lane.first, lane.over) = (lane.first.wrapping_add(1), 0);
            if self.spare.len() < SPARE_MAX {
                page.bytes.clear();
                page.entries.clear();
                self.spare.push(page);
            }
        }
        Some(popped)
    }

    /// When somebody should look what is over.
    pub(crate) fn next(&self) -> Option<Instant> {
        let fronts = self.lanes.iter().filter_map(Lane::front);
        fronts.map(|entry| entry.until + PATIENCE).min()
    }
}

/// What the key of a server transaction leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A request that is being handled, or an INVITE.
    Context(ContextId),
    /// One that is answered.
    Lingering(LingeringId),
}

/// Server transactions by key.
pub(crate) type ServerKeys = HashMap<u128, Holder, BuildHasherDefault<KeyHasher>>;

/// A key of a transaction is a keyed hash that no peer can aim; see `transaction_key`. It needs no other.
#[derive(Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Hop, Transport};

    fn exit() -> Exit {
        let address = "192.0.2.1:5060".parse().unwrap();
        Exit::Hop { hop: Hop { transport: Transport::Udp, remote: address }, local: address }
    }

    const LONG: Duration = Duration::from_secs(128);
    const SHORT: Duration = Duration::from_secs(32);

    #[test]
    fn the_oldest_is_the_one_that_was_answered_first_however_long_it_may_wait() {
        let mut lingering = Lingering::default();
        let at = |secs| Instant::START + Duration::from_secs(secs);
        for (secs, after) in [(0, LONG), (1, SHORT), (2, LONG), (3, SHORT)] {
            lingering.insert((at(secs), after), secs.into(), (exit(), None), b"200");
        }
        let order: Vec<_> = std::iter::from_fn(|| lingering.pop_oldest()).map(|(key, _)| key).collect();
        assert_eq!((order, lingering.len(), lingering.next()), (vec![0, 1, 2, 3], 0, None));
    }

    #[test]
    fn a_response_is_there_until_its_time_is_over() {
        let mut lingering = Lingering::default();
        let at = |secs| Instant::START + Duration::from_secs(secs);
        let ids: Vec<_> = (0..1000_u64)
            .map(|n| {
                let after = if n % 2 == 0 { SHORT } else { LONG };
                lingering.insert(
                    (at(n), after),
                    n.into(),
                    (exit(), None),
                    n.to_string().repeat(300).as_bytes(),
                )
            })
            .collect();
        let text = |n: usize| n.to_string().repeat(300).into_bytes();
        let read = |lingering: &Lingering, n: usize| lingering.get(ids[n]).map(|(_, bytes)| bytes.to_vec());
        assert_eq!((read(&lingering, 0), read(&lingering, 999)), (Some(text(0)), Some(text(999))));
        let mut over: Vec<u128> =
            std::iter::from_fn(|| lingering.pop_due(at(700))).map(|(key, _)| key).collect();
        over.sort_unstable();
        let expected: Vec<u128> = (0..=668).filter(|n| n % 2 == 0 || *n <= 572).collect();
        assert_eq!(over, expected);
        assert_eq!(lingering.len(), 1000 - expected.len());
        assert_eq!(read(&lingering, 670), Some(text(670)));
        assert_eq!(read(&lingering, 0), None, "its page has gone to others");
    }

    #[test]
    fn pages_go_round() {
        let mut lingering = Lingering::default();
        for n in 0..100_000_u64 {
            let now = Instant::from_micros(n * 10_000);
            lingering.insert((now, SHORT), n.into(), (exit(), None), &[0; 700]);
            while lingering.pop_due(now).is_some() {}
        }
        let pages: usize = lingering.lanes.iter().map(|lane| lane.pages.len()).sum();
        // 3,200 responses wait, 93 in a page.
        assert!(pages + lingering.spare.len() < 40, "{pages} and {}", lingering.spare.len());
        assert_eq!(
            lingering.next(),
            Some(Instant::from_micros((100_000 - 3_200) * 10_000) + SHORT + PATIENCE)
        );
        while lingering.pop_due(Instant::from_micros(u64::MAX)).is_some() {}
        assert_eq!((lingering.len(), lingering.next()), (0, None));
    }
}
