//! Streams put together again, and cut into messages.

use super::ip::Segment;
use super::{DIAMETER_MAX, MESSAGE_MAX, is_diameter, is_sip};
use recorder::Protocol;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// One direction of a connection.
type Direction = (SocketAddr, SocketAddr);

/// Every connection of a capture.
#[derive(Default)]
pub struct Streams {
    streams: BTreeMap<Direction, Stream>,
    order: VecDeque<Direction>,
}

/// What is known of one direction.
#[derive(Default)]
struct Stream {
    /// The number of the octet that comes next.
    next: Option<u32>,
    /// Octets in order that are no whole message yet.
    buffer: Vec<u8>,
    /// Segments that came too early.
    early: Vec<(u32, Vec<u8>)>,
}

impl Streams {
    /// Takes a segment; the messages that it completes.
    pub fn segment(
        &mut self,
        direction: Direction,
        segment: &Segment,
        messages: &mut Vec<(Protocol, Vec<u8>)>,
    ) {
        if !self.streams.contains_key(&direction) {
            if segment.bytes.is_empty() && !segment.is_syn {
                return;
            }
            if self.order.len() >= STREAMS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.streams.remove(&oldest);
            }
            self.order.push_back(direction);
        }
        let stream = self.streams.entry(direction).or_default();
        if segment.is_syn {
            let first = segment.sequence.wrapping_add(1);
            // The same SYN at another interface changes nothing.
            if stream.next != Some(first) && stream.buffer.is_empty() {
                *stream = Stream { next: Some(first), ..Stream::default() };
            }
            return;
        }
        if segment.bytes.is_empty() {
            return;
        }
        stream.take(segment.sequence, &segment.bytes);
        stream.cut(messages);
    }
}

impl Stream {
    fn take(&mut self, sequence: u32, bytes: &[u8]) {
        let next = *self.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next) as i32;
        if ahead > 0 {
            let waiting: usize = self.early.iter().map(|(_, bytes)| bytes.len()).sum();
            if waiting + bytes.len() <= BUFFER_MAX && self.early.len() < EARLY_MAX {
                self.early.push((sequence, bytes.to_vec()));
            } else {
                // Something was not captured: go on behind the gap.
                self.buffer.clear();
                self.early.clear();
                self.next = Some(sequence.wrapping_add(bytes.len() as u32));
                self.buffer.extend_from_slice(bytes);
            }
            return;
        }
        let known = ahead.unsigned_abs() as usize;
        if let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) {
            self.buffer.extend_from_slice(fresh);
            self.next = Some(next.wrapping_add(fresh.len() as u32));
        }
        let now = self.next;
        let follows = |early: &(u32, Vec<u8>)| now.is_some_and(|next| early.0.wrapping_sub(next) as i32 <= 0);
        if let Some(at) = self.early.iter().position(follows) {
            let (sequence, bytes) = self.early.swap_remove(at);
            self.take(sequence, &bytes);
        }
    }

    /// Cuts whole messages off the front.
    fn cut(&mut self, messages: &mut Vec<(Protocol, Vec<u8>)>) {
        let mut used = 0;
        while let Some(step) = first(&self.buffer[used..]) {
            match step {
                Step::Message(protocol, length) => {
                    messages.push((protocol, self.buffer[used..used + length].to_vec()));
                    used += length;
                }
                Step::Skip(length) => used += length,
            }
        }
        self.buffer.drain(..used);
        if self.buffer.len() > BUFFER_MAX {
            self.buffer.clear();
        }
    }
}

/// What is at the front of a buffer.
enum Step {
    Message(Protocol, usize),
    /// It is nothing that is read here.
    Skip(usize),
}

fn first(bytes: &[u8]) -> Option<Step> {
    match bytes {
        [] => None,
        // Keep-alives (RFC 5626 §3.5.1).
        [b'\r' | b'\n', ..] => Some(Step::Skip(1)),
        _ if is_sip(bytes) => sip_length(bytes).map(|length| Step::Message(Protocol::Sip, length)),
        _ if is_diameter(bytes) => {
            let length = u32::from_be_bytes([0, bytes[1], bytes[2], bytes[3]]) as usize;
            (bytes.len() >= length).then_some(Step::Message(Protocol::Diameter, length))
        }
        // The beginning of a message may still be on its way.
        [1, ..] if bytes.len() < 20 => None,
        _ if bytes.len() < FIRST_LINE && bytes.is_ascii() && !bytes.contains(&b'\n') => None,
        _ => Some(Step::Skip(bytes.len())),
    }
}

/// The length of a whole SIP message, by its Content-Length.
fn sip_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let length = bytes[..head].split(|octet| *octet == b'\n').find_map(|line| {
        let (name, value) = line.split_at(line.iter().position(|octet| *octet == b':')?);
        let name = name.trim_ascii();
        let is_length = name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l");
        is_length.then(|| std::str::from_utf8(value[1..].trim_ascii()).ok()?.parse::<usize>().ok()).flatten()
    });
    let total = head + length.unwrap_or(0).min(MESSAGE_MAX);
    (bytes.len() >= total).then_some(total)
}

/// Directions of connections.
const STREAMS_MAX: usize = 4096;
/// Octets of one direction that wait.
const BUFFER_MAX: usize = DIAMETER_MAX + MESSAGE_MAX;
/// Segments of one direction that came too early.
const EARLY_MAX: usize = 256;
/// Octets within which a first line ends, or begins to look like one.
const FIRST_LINE: usize = 512;
