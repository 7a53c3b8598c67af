//! A netlink socket to the kernel's IPsec (`NETLINK_XFRM`): requests with their acknowledgements, and dumps.
//!
//! Requests hold keys, and the kernel repeats a request in the error that it answers: every buffer is wiped, and an error
//! keeps the number alone.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::time::Duration;
use zeroize::Zeroizing;

/// An open socket.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    answers: Zeroizing<Vec<u8>>,
}

impl Netlink {
    /// Opens a socket.
    pub(super) fn open() -> io::Result<Netlink> {
        let (domain, protocol) = (Domain::from(libc::AF_NETLINK), Protocol::from(libc::NETLINK_XFRM));
        let socket = Socket::new(domain, Type::RAW.cloexec(), Some(protocol))?;
        // The kernel answers while it is asked; this is for a kernel that is broken.
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Netlink { socket, sequence: 0, answers: Zeroizing::new(vec![0; ANSWERS]) })
    }

    /// Sends requests together, and gives how each fared.
    pub(super) fn ask(&mut self, requests: &mut [Request]) -> io::Result<Vec<io::Result<()>>> {
        let mut outcomes = Vec::with_capacity(requests.len());
        let first = self.sequence.wrapping_add(1);
        let mut batch =
            Zeroizing::new(Vec::with_capacity(requests.iter().map(|request| request.0.len()).sum()));
        for request in requests.iter_mut() {
            self.sequence = self.sequence.wrapping_add(1);
            request.finish(self.sequence, ACKNOWLEDGE);
            batch.extend_from_slice(&request.0);
        }
        (&self.socket).write_all(&batch)?;
        while outcomes.len() < requests.len() {
            let length = (&self.socket).read(&mut self.answers)?;
            for message in messages(&self.answers[..length]) {
                let expected = first.wrapping_add(outcomes.len() as u32);
                if message.kind == ERROR && message.sequence == expected {
                    outcomes.push(message.error());
                }
            }
            self.answers[..length].fill(0);
        }
        Ok(outcomes)
    }

    /// Asks for all there is of a kind, and hands each to `take`.
    pub(super) fn dump(&mut self, kind: u16, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = Request::new(kind, 0);
        request.finish(self.sequence, DUMP);
        (&self.socket).write_all(&request.0)?;
        loop {
            let length = (&self.socket).read(&mut self.answers)?;
            let mut end = None;
            for message in messages(&self.answers[..length]) {
                match message.kind {
                    _ if message.sequence != self.sequence => {}
                    DONE => end = Some(Ok(())),
                    ERROR => end = Some(message.error()),
                    _ => take(message.body),
                }
            }
            self.answers[..length].fill(0);
            if let Some(end) = end {
                return end;
            }
        }
    }
}

/// One request being written. Wiped when dropped.
pub(super) struct Request(Zeroizing<Vec<u8>>);

impl Request {
    /// A request of a kind. Room for the longest is made at once, so that no copy with a key stays behind.
    pub(super) fn new(kind: u16, flags: u16) -> Request {
        let mut request = Request(Zeroizing::new(Vec::with_capacity(1024)));
        request.u32(0);
        request.0.extend_from_slice(&kind.to_ne_bytes());
        request.0.extend_from_slice(&flags.to_ne_bytes());
        request.zeros(8);
        request
    }

    /// Appends octets as they are.
    pub(super) fn octets(&mut self, octets: &[u8]) -> &mut Request {
        self.0.extend_from_slice(octets);
        self
    }

    /// Appends so many zeros.
    pub(super) fn zeros(&mut self, count: usize) -> &mut Request {
        let length = self.0.len() + count;
        self.0.resize(length, 0);
        self
    }

    /// Appends one octet.
    pub(super) fn u8(&mut self, number: u8) -> &mut Request {
        self.octets(&[number])
    }

    /// Appends a number in the order of the machine.
    pub(super) fn u16(&mut self, number: u16) -> &mut Request {
        self.octets(&number.to_ne_bytes())
    }

    /// Appends a number in the order of the machine.
    pub(super) fn u32(&mut self, number: u32) -> &mut Request {
        self.octets(&number.to_ne_bytes())
    }

    /// Appends a number in the order of the machine.
    pub(super) fn u64(&mut self, number: u64) -> &mut Request {
        self.octets(&number.to_ne_bytes())
    }

    /// Appends an attribute whose value `write` appends.
    pub(super) fn attribute(&mut self, kind: u16, write: impl FnOnce(&mut Request)) -> &mut Request {
        let start = self.0.len();
        self.u16(0).u16(kind);
        write(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.zeros(usize::from(length).next_multiple_of(4) - usize::from(length))
    }

    fn finish(&mut self, sequence: u32, flags: u16) {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        let set = u16::from_ne_bytes([self.0[6], self.0[7]]) | REQUEST | flags;
        self.0[6..8].copy_from_slice(&set.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.zeros((length as usize).next_multiple_of(4) - length as usize);
    }
}

/// A message of the kernel's.
struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

impl Message<'_> {
    /// What an acknowledgement says.
    fn error(&self) -> io::Result<()> {
        match self.body.first_chunk().copied().map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(negative) => Err(io::Error::from_raw_os_error(negative.wrapping_neg())),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The messages of one answer.
fn messages(mut answer: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header: &[u8; 16] = answer.first_chunk()?;
        let length = number(&header[..4])? as usize;
        let body = answer.get(16..length)?;
        let (kind, sequence) = (u16::from_ne_bytes([header[4], header[5]]), number(&header[8..12])?);
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, sequence, body })
    })
}

/// The attributes of a message behind its fixed part, by their kinds.
pub(super) fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header: &[u8; 4] = octets.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = octets.get(4..length)?;
        let kind = u16::from_ne_bytes([header[2], header[3]]);
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A number of 32 bits at the start of `octets`.
pub(super) fn number(octets: &[u8]) -> Option<u32> {
    octets.first_chunk().copied().map(u32::from_ne_bytes)
}

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
/// With a request that makes something: and there must be none yet.
pub(super) const CREATE: u16 = 0x400 | 0x200;

const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The kernel fills at most so many octets of a dump at once.
const ANSWERS: usize = 65_536;
const ANSWER_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_back_with_their_padding() {
        let mut request = Request::new(1, 0);
        request.attribute(7, |value| _ = value.u8(1)).attribute(8, |value| _ = value.u32(5));
        let read: Vec<_> = attributes(&request.0[16..]).map(|(kind, value)| (kind, value.to_vec())).collect();
        assert_eq!(read, [(7, vec![1]), (8, 5_u32.to_ne_bytes().to_vec())]);
    }

    #[test]
    fn a_cut_answer_ends_where_it_is_cut() {
        let mut request = Request::new(1, 0);
        request.octets(&[0; 24]).finish(3, ACKNOWLEDGE);
        assert_eq!(messages(&request.0).count(), 1);
        for length in 0..request.0.len() {
            assert_eq!(messages(&request.0[..length]).count(), 0, "{length}");
        }
        let endless = [0; 64];
        assert_eq!(messages(&endless).count(), 0, "a length below that of the header");
        assert_eq!(attributes(&endless).count(), 0);
    }
}
