//! The ring of one shard: entries as framed bytes in memory of a fixed size; the oldest are overwritten.
//!
//! Nothing is allocated for an entry, and nothing is locked: the ring belongs to the thread of its shard, and who wants
//! to read asks that thread for a chunk.

use crate::entry::Node;
use crate::frame::{self, FactRef, MessageRef};
use crate::secrets;
use ambient::Now;

/// What happened at one node, as far back as memory goes.
#[derive(Clone, Debug)]
pub struct Ring {
    node: Node,
    bytes: Box<[u8]>,
    /// Where the oldest frame begins.
    oldest: usize,
    /// Where the next frame goes.
    next: usize,
    /// Where the frames behind `oldest` end, when `next` has gone round.
    end: usize,
    /// How many frames there are.
    frames: usize,
    /// The number of the newest entry, kept or not.
    sequence: u64,
    /// Whether what users write is kept.
    keeps_texts: bool,
    /// Where a reader was last: after this entry, at this place. Good while the entry behind it is kept.
    read: Option<(u64, usize)>,
}

impl Ring {
    /// A ring of `node` that takes `memory` bytes, at least [`Ring::MEMORY_MIN`].
    pub fn new(node: Node, memory: usize) -> Ring {
        let memory = memory.max(Ring::MEMORY_MIN);
        Ring {
            node,
            bytes: vec![0; memory].into_boxed_slice(),
            oldest: 0,
            next: 0,
            end: memory,
            frames: 0,
            sequence: 0,
            keeps_texts: false,
            read: None,
        }
    }

    /// The same ring, which keeps what users write to each other, or overwrites it as it does keys.
    pub fn keeping_texts(self, keeps_texts: bool) -> Ring {
        Ring { keeps_texts, ..self }
    }

    /// The smallest ring: a few of the longest messages of SIP.
    pub const MEMORY_MIN: usize = 1 << 18;

    /// Whose it is.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// The number of the newest entry; 0 before the first.
    pub const fn newest(&self) -> u64 {
        self.sequence
    }

    /// Appends a message, without the keys in it, and without what a user wrote.
    pub fn message(&mut self, at: Now, message: &MessageRef<'_>) {
        self.sequence += 1;
        if let Some(place) = self.reserve(message.framed_bytes()) {
            let written = &mut self.bytes[place..][..message.framed_bytes()];
            message.write(self.sequence, at, written);
            let body = written.len() - message.bytes.len();
            secrets::hide(message.protocol, &mut written[body..]);
            if !self.keeps_texts {
                secrets::hide_text(message.protocol, &mut written[body..]);
            }
        }
    }

    /// Appends a fact.
    pub fn fact(&mut self, at: Now, fact: &FactRef<'_>) {
        self.sequence += 1;
        if let Some(place) = self.reserve(fact.framed_bytes()) {
            let length = fact.framed_bytes();
            fact.write(self.sequence, at, &mut self.bytes[place..][..length]);
        }
    }

    /// Entries after the one numbered `after`, oldest first, as a chunk of at most some `max` bytes; at least one if there
    /// is one. What was overwritten shows as a gap in their numbers.
    pub fn chunk(&mut self, after: u64, max: usize) -> Vec<u8> {
        let mut chunk = frame::chunk_header(&self.node, self.sequence);
        let header = chunk.len();
        let mut at = match self.read {
            Some((read, at)) if read == after => at,
            _ => self.oldest,
        };
        let mut last = after;
        for _ in 0..self.frames {
            if at == self.end {
                at = 0;
            }
            // All have been read.
            if at == self.next && last == self.sequence {
                break;
            }
            let Some((length, sequence)) = frame::length_and_sequence(&self.bytes[at..]) else { break };
            if sequence > after {
                if chunk.len() > header && chunk.len() - header + length > max {
                    break;
                }
                chunk.extend_from_slice(&self.bytes[at..][..length]);
                last = sequence;
            }
            at += length;
            if sequence == self.sequence {
                break;
            }
        }
        self.read = Some((last, at));
        chunk
    }

    /// Room for a frame of `length` bytes, for which the oldest go; `None` when it is longer than is sensible.
    fn reserve(&mut self, length: usize) -> Option<usize> {
        if length > self.bytes.len() / 4 {
            return None;
        }
        if self.next + length > self.bytes.len() {
            // What is behind here would be younger than what comes, so it goes.
            while self.frames > 0 && self.oldest >= self.next {
                self.drop_oldest();
            }
            match self.frames {
                // Nobody is behind: a reader that has read all goes on from the start.
                0 => self.reset_end(self.next),
                _ => self.end = self.next,
            }
            self.next = 0;
        }
        while self.frames > 0 && self.oldest >= self.next && self.oldest < self.next + length {
            self.drop_oldest();
        }
        if self.frames == 0 {
            self.oldest = self.next;
        }
        let place = self.next;
        self.next += length;
        self.frames += 1;
        Some(place)
    }

    fn drop_oldest(&mut self) {
        let Some((length, sequence)) = frame::length_and_sequence(&self.bytes[self.oldest..]) else {
            debug_assert!(false, "a frame that was written whole can be read");
            self.frames = 0;
            return;
        };
        // A reader that stood before it begins with the oldest.
        if self.read.is_some_and(|(read, _)| read < sequence) {
            self.read = None;
        }
        self.oldest += length;
        self.frames -= 1;
        if self.oldest == self.end {
            self.oldest = 0;
            self.reset_end(self.end);
        }
    }

    /// Nothing lies behind the youngest: a reader that stood where the frames ended goes on from the start.
    fn reset_end(&mut self, old: usize) {
        self.end = self.bytes.len();
        if let Some((_, at)) = self.read.as_mut().filter(|(_, at)| *at == old) {
            *at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, Function, Protocol, ReferencePoint, Transport, What};
    use ambient::{Instant, Wall};
    use std::net::SocketAddr;

    fn node() -> Node {
        Node { function: Function::Pcscf, name: String::new() }
    }

    fn now(micros: u64) -> Now {
        Now { instant: Instant::from_micros(micros), wall: Wall::from_millis(7) }
    }

    fn message(bytes: &[u8]) -> MessageRef<'_> {
        MessageRef {
            sent: true,
            protocol: Protocol::Sip,
            transport: Transport::Udp,
            interface: ReferencePoint::Gm,
            local: SocketAddr::from(([127, 0, 0, 1], 5060)),
            remote: SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 5061)),
            security: None,
            bytes,
        }
    }

    fn read(ring: &mut Ring, after: u64, max: usize) -> Vec<Entry> {
        frame::read_chunk(&ring.chunk(after, max)).unwrap().entries
    }

    #[test]
    fn what_is_appended_is_read_in_order_and_in_parts() {
        let mut ring = Ring::new(node(), 0);
        for number in 1..=100_u8 {
            ring.message(now(number.into()), &message(&[number; 500]));
        }
        let mut seen = Vec::new();
        let mut after = 0;
        loop {
            let entries = read(&mut ring, after, 4000);
            let Some(last) = entries.last() else { break };
            assert!(entries.len() <= 8, "a chunk is bounded: {}", entries.len());
            after = last.sequence;
            seen.extend(entries);
        }
        let numbers: Vec<_> = seen.iter().map(|entry| entry.sequence).collect();
        assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
        assert!(seen.iter().all(|entry| match &entry.what {
            What::Message(message) => message.bytes == vec![entry.sequence as u8; 500],
            What::Fact(_) => false,
        }));
        // Nothing is new, and then one is.
        assert_eq!(read(&mut ring, 100, 4000), []);
        ring.message(now(101), &message(b"x"));
        assert_eq!(read(&mut ring, 100, 4000).len(), 1);
    }

    /// Frames of every length, so that they meet the end of memory in every way.
    #[test]
    fn the_oldest_are_overwritten_and_the_gap_can_be_counted() {
        let mut ring = Ring::new(node(), 0);
        let text: Vec<u8> = (0..60_000_u32).map(|at| at as u8).collect();
        let mut length = 1_usize;
        let mut after = 0;
        for number in 1..=20_000_u64 {
            length = length * 31 % 5003;
            ring.message(now(number), &message(&text[..length]));
            assert!(ring.oldest <= ring.bytes.len() && ring.next <= ring.bytes.len());
            // A reader that comes now and then, and one that has to begin anew.
            if number % 97 == 0 {
                let entries = read(&mut ring, after, usize::MAX);
                assert_eq!(entries.last().map(|entry| entry.sequence), Some(number));
                assert!(entries.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
                if number % 194 == 0 {
                    after = number;
                }
            }
        }
        let kept = read(&mut ring, 0, usize::MAX);
        let first = kept.first().map(|entry| entry.sequence).unwrap();
        assert_eq!(kept.len() as u64, 20_000 - first + 1);
        let bytes: usize = kept.iter().map(entry_bytes).sum();
        assert!(bytes > Ring::MEMORY_MIN * 9 / 10 && bytes <= Ring::MEMORY_MIN, "{bytes}");
    }

    fn entry_bytes(entry: &Entry) -> usize {
        match &entry.what {
            What::Message(kept) => message(&kept.bytes).framed_bytes(),
            What::Fact(_) => 0,
        }
    }

    #[test]
    fn a_million_messages_take_no_more_memory_than_one() {
        let mut ring = Ring::new(node(), 1 << 20);
        let text = [b'x'; 700];
        for number in 0..1_000_000 {
            ring.message(now(number), &message(&text));
        }
        assert_eq!((ring.bytes.len(), ring.newest()), (1 << 20, 1_000_000));
        assert!(ring.frames <= (1 << 20) / 700, "{}", ring.frames);
    }

    #[test]
    fn what_is_too_long_is_left_out_and_counted() {
        let mut ring = Ring::new(node(), 0);
        ring.message(now(1), &message(&vec![b'x'; Ring::MEMORY_MIN]));
        ring.fact(now(2), &FactRef { name: "refused", cause: "no user", ..FactRef::default() });
        let entries = read(&mut ring, 0, usize::MAX);
        assert_eq!(entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [2]);
    }

    /// RFC 3428: the body of a MESSAGE is what one user writes to another.
    #[test]
    fn what_users_write_gets_into_it_when_that_is_asked_for_alone() {
        let text = b"MESSAGE sip:b SIP/2.0\r\nSubject: a\r\n\r\nsee you\r\n\r\nat eight";
        for (keeps, expected) in [(true, &text[..]), (false, &[&text[..37], &[b'*'; 19]].concat())] {
            let mut ring = Ring::new(node(), 0).keeping_texts(keeps);
            ring.message(now(1), &message(text));
            ring.message(now(2), &message(b"INVITE sip:b SIP/2.0\r\n\r\nv=0\r\n"));
            let entries = read(&mut ring, 0, usize::MAX);
            let kept = |at: usize| match &entries[at].what {
                What::Message(message) => message.bytes.clone(),
                What::Fact(_) => panic!("a message"),
            };
            assert_eq!(kept(0), expected);
            assert!(kept(1).ends_with(b"v=0\r\n"));
        }
    }

    #[test]
    fn keys_never_get_into_it() {
        let mut ring = Ring::new(node(), 0);
        ring.message(
            now(1),
            &message(b"SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest ck=\"00ff\"\r\n\r\n"),
        );
        let chunk = ring.chunk(0, usize::MAX);
        assert!(!chunk.windows(4).any(|part| part == b"00ff"));
        assert!(chunk.windows(4).any(|part| part == b"****"));
    }
}
