//! Messages that are to be sent, end to end in one buffer.

use crate::sources::Source;
use std::net::SocketAddr;

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where from.
    pub source: Source,
    /// Where to.
    pub remote: SocketAddr,
    /// What.
    pub bytes: &'a [u8],
}

/// Messages in the order in which they are to leave.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Source, remote, and where in `bytes` it ends.
    entries: Vec<(Source, SocketAddr, usize)>,
    /// How many have left.
    sent: usize,
}

impl Outbox {
    /// Adds a message.
    pub fn push(&mut self, source: Source, remote: SocketAddr, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.entries.push((source, remote, self.bytes.len()));
    }

    /// The message that leaves next.
    pub fn front(&self) -> Option<Outgoing<'_>> {
        let (source, remote, end) = *self.entries.get(self.sent)?;
        let start = self.sent.checked_sub(1).map_or(0, |before| self.entries[before].2);
        Some(Outgoing { source, remote, bytes: &self.bytes[start..end] })
    }

    /// The front one has left.
    pub fn pop(&mut self) {
        self.sent += 1;
        if self.sent >= self.entries.len() {
            self.bytes.clear();
            self.entries.clear();
            self.sent = 0;
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len() - self.sent
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_in_their_order_and_the_buffer_is_used_again() {
        let remote: SocketAddr = "127.0.0.1:5060".parse().unwrap();
        let source = Source { ue: 0, socket: 0, address: remote };
        let mut outbox = Outbox::default();
        for round in 0..2 {
            outbox.push(source, remote, b"one");
            outbox.push(source, remote, b"");
            outbox.push(source, remote, b"three");
            assert_eq!(outbox.len(), 3, "round {round}");
            let mut left = Vec::new();
            while let Some(outgoing) = outbox.front() {
                left.push(outgoing.bytes.to_vec());
                outbox.pop();
            }
            assert_eq!(left, [&b"one"[..], b"", b"three"]);
            assert!(outbox.is_empty());
        }
    }
}
