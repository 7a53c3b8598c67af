//! How far the sequence numbers of our own ESP have come, as a store keeps it (RFC 4303 §2.2): a process that takes a set up
//! again sends no number twice, for to the peer that would be a replay, and hears none that was heard before its mark.
//!
//! A mark is written with every [`EVERY`]th packet of a set, so that so many packets may be heard again after a crash.

use cscf::query::Record;
use ipsec::Spi;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// How far a set has come, at its server port and at its client port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The newest number that came.
    pub(super) received: [u32; 2],
    sent: [u32; 2],
    /// Whether connections went through it.
    pub(super) has_streams: bool,
    /// Where the NAT of its peer was, if there is one.
    pub(super) outer: Option<SocketAddr>,
}

impl Mark {
    /// The newest number that may have been sent since.
    ///
    /// TCP cuts what it sends into segments, and acknowledges, hence the second factor.
    pub(super) fn sent_at_most(self) -> [u32; 2] {
        self.sent.map(|sent| sent.saturating_add(EVERY * SEGMENTS))
    }
}

/// Whether a record is the driver's own, and no machine's.
pub(crate) fn is_own(record: &Record) -> bool {
    record.key.starts_with(KEY)
}

/// The marks of one machine.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Of an earlier process, until the sets are taken up.
    kept: BTreeMap<Spi, Mark>,
    /// Packets since the last mark.
    carried: BTreeMap<Spi, u32>,
    /// Sets that connections went through.
    streams: BTreeSet<Spi>,
    /// Where the NATs of peers are.
    outer: BTreeMap<Spi, SocketAddr>,
    records: Vec<Record>,
}

impl Marks {
    /// Those among the records of a store, which are taken out.
    pub(super) fn taken_from(records: &mut Vec<Record>) -> Marks {
        let own: Vec<Record> = records.extract_if(.., |record| is_own(record)).collect();
        let read = |record: &Record| {
            let spi = Spi::new(u32::from_be_bytes(record.key.strip_prefix(KEY)?.try_into().ok()?))?;
            let (numbers, rest) = record.value.as_deref()?.split_first_chunk::<16>()?;
            let (words, _) = numbers.as_chunks::<4>();
            let [received, received_c, sent, sent_c] = *words else { return None };
            let (streams, outer) = rest.split_first()?;
            let outer = match outer {
                [] => None,
                outer => Some(std::str::from_utf8(outer).ok()?.parse().ok()?),
            };
            let numbers = |pair: [[u8; 4]; 2]| pair.map(u32::from_be_bytes);
            let (received, sent) = (numbers([received, received_c]), numbers([sent, sent_c]));
            Some((spi, Mark { received, sent, has_streams: *streams == 1, outer }))
        };
        Marks { kept: own.iter().filter_map(read).collect(), ..Marks::default() }
    }

    /// A set of an earlier process is taken up: the mark that it left. The next packet leaves another.
    pub(super) fn take_up(&mut self, set: Spi) -> Option<Mark> {
        let mark = self.kept.remove(&set)?;
        self.carried.insert(set, 0);
        self.outer.extend(mark.outer.map(|outer| (set, outer)));
        Some(mark)
    }

    /// Everything that is known has been taken up: marks of other sets are of no use to anybody.
    pub(super) fn started(&mut self) {
        let unknown = std::mem::take(&mut self.kept);
        self.records.extend(unknown.into_keys().map(|set| Record { key: key(set), value: None }));
    }

    /// A set begins anew.
    pub(super) fn forget(&mut self, set: Spi) {
        self.carried.insert(set, 0);
        self.streams.remove(&set);
        self.outer.remove(&set);
    }

    /// The NAT of a peer is here: the next packet leaves a mark that says so, if that is new. Gives where it was before, and
    /// `None` when it has not moved.
    pub(super) fn moves_to(&mut self, set: Spi, outer: SocketAddr) -> Option<Option<SocketAddr>> {
        let before = self.outer.insert(set, outer);
        if before == Some(outer) {
            return None;
        }
        self.carried.insert(set, 0);
        Some(before)
    }

    /// A connection begins in a set: the next packet leaves a mark that says so.
    pub(super) fn begins_stream(&mut self, set: Spi) {
        if self.streams.insert(set) {
            self.carried.insert(set, 0);
        }
    }

    /// A set has ended.
    pub(super) fn end(&mut self, set: Spi) {
        self.streams.remove(&set);
        self.outer.remove(&set);
        if self.carried.remove(&set).is_some() {
            self.records.push(Record { key: key(set), value: None });
        }
    }

    /// A packet of a set came or went; `sequences` tells how far it is by that.
    pub(super) fn carried(&mut self, set: Spi, sequences: impl FnOnce() -> Option<([u32; 2], [u32; 2])>) {
        let carried = self.carried.entry(set).or_default();
        // The first one leaves a mark as well: there is none yet.
        let is_due = carried.is_multiple_of(EVERY);
        *carried += 1;
        if is_due && let Some(numbers) = sequences() {
            self.note(set, numbers);
        }
    }

    /// A mark for all that went since the last ones: nothing more will.
    pub(super) fn rest(&mut self, sequences: impl Fn(Spi) -> Option<([u32; 2], [u32; 2])>) {
        let carried = std::mem::take(&mut self.carried);
        for set in carried.into_iter().filter(|(_, packets)| *packets > 0).map(|(set, _)| set) {
            if let Some(numbers) = sequences(set) {
                self.note(set, numbers);
            }
        }
    }

    fn note(&mut self, set: Spi, (received, sent): ([u32; 2], [u32; 2])) {
        let mut octets: Vec<u8> =
            [received, sent].concat().iter().flat_map(|number| number.to_be_bytes()).collect();
        octets.push(self.streams.contains(&set).into());
        octets.extend(self.outer.get(&set).into_iter().flat_map(|outer| outer.to_string().into_bytes()));
        self.records.push(Record { key: key(set), value: Some(octets) });
    }

    /// What is to be stored.
    pub(super) fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }
}

fn key(set: Spi) -> Vec<u8> {
    [KEY, &set.get().to_be_bytes()].concat()
}

/// Of records that are the driver's own: a machine never sees them.
const KEY: &[u8] = b"\0esp/";
/// Packets between two marks.
const EVERY: u32 = 64;
/// Segments of TCP for each message, at most.
const SEGMENTS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn spi(number: u32) -> Spi {
        Spi::new(number).unwrap()
    }

    #[test]
    fn a_mark_comes_back_from_the_store_and_leaves_room_for_what_was_sent_since() {
        let mut marks = Marks::default();
        marks.forget(spi(300));
        for packet in 0..130 {
            marks.carried(spi(300), || Some(([packet, 7], [packet, 9])));
        }
        let mut records = marks.take_records();
        assert_eq!(records.len(), 3, "the first, the 65th and the 129th");
        records.remove(0);
        records.remove(0);
        records.push(Record { key: b"pcscf/binding/1".to_vec(), value: None });
        let mut next = Marks::taken_from(&mut records);
        assert_eq!(records.len(), 1, "what is not ours stays");
        let mark = next.take_up(spi(300)).unwrap();
        assert_eq!((mark.received, mark.has_streams), ([128, 7], false));
        marks.begins_stream(spi(300));
        marks.carried(spi(300), || Some(([131, 7], [131, 9])));
        let mut next = Marks::taken_from(&mut marks.take_records());
        assert!(next.take_up(spi(300)).unwrap().has_streams);
        assert!(mark.sent_at_most()[0] >= 130 && mark.sent_at_most()[1] > 9);
    }

    #[test]
    fn where_the_nat_of_a_peer_is_comes_back_from_the_store() {
        let mut marks = Marks::default();
        let (before, after) =
            (SocketAddr::from(([203, 0, 113, 5], 1024)), SocketAddr::from(([203, 0, 113, 6], 2)));
        assert_eq!(marks.moves_to(spi(300), before), Some(None));
        for packet in 0..10 {
            assert!(marks.moves_to(spi(300), before).is_none());
            marks.carried(spi(300), || Some(([packet, 0], [packet, 0])));
        }
        assert_eq!(marks.moves_to(spi(300), after), Some(Some(before)));
        marks.carried(spi(300), || Some(([11, 0], [11, 0])));
        let mut next = Marks::taken_from(&mut marks.take_records());
        assert_eq!(next.take_up(spi(300)).and_then(|mark| mark.outer), Some(after), "told at once");
        assert_eq!(next.moves_to(spi(300), after), None);
        next.forget(spi(300));
        assert_eq!(next.moves_to(spi(300), after), Some(None));
    }

    #[test]
    fn an_end_in_good_order_leaves_marks_of_the_last_packets() {
        let mut marks = Marks::default();
        marks.forget(spi(301));
        for packet in 1..=40 {
            marks.carried(spi(300), || Some(([packet, 0], [packet, 0])));
        }
        marks.rest(|_| Some(([40, 0], [41, 0])));
        let mut next = Marks::taken_from(&mut marks.take_records());
        assert_eq!(next.take_up(spi(300)).map(|mark| mark.received), Some([40, 0]));
        assert_eq!(next.take_up(spi(301)), None, "it carried nothing");
    }

    #[test]
    fn a_set_that_has_ended_leaves_no_mark() {
        let mut marks = Marks::default();
        marks.carried(spi(300), || Some(([1, 1], [1, 1])));
        marks.end(spi(300));
        marks.end(spi(301));
        let records = marks.take_records();
        assert_eq!(records.iter().map(|record| record.value.is_some()).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_mark_whose_set_is_not_taken_up_leaves_the_store() {
        let mut marks = Marks::default();
        for set in [300, 301] {
            marks.carried(spi(set), || Some(([1, 1], [1, 1])));
        }
        let mut next = Marks::taken_from(&mut marks.take_records());
        assert!(next.take_up(spi(300)).is_some());
        next.started();
        assert_eq!(next.take_records(), [Record { key: key(spi(301)), value: None }]);
        next.end(spi(300));
        assert_eq!(next.take_records(), [Record { key: key(spi(300)), value: None }]);
    }

    #[test]
    fn a_broken_record_is_no_mark() {
        for value in [None, Some(vec![1; 16]), Some(vec![1; 21]), Some(vec![])] {
            let mut records = vec![Record { key: key(spi(300)), value }];
            assert_eq!(Marks::taken_from(&mut records).take_up(spi(300)), None);
            assert!(records.is_empty());
        }
    }
}
