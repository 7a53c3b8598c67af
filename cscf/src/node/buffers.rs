//! A pool of byte buffers, so that a message in steady state allocates nothing.

/// Buffers kept at the most.
const KEPT_MAX: usize = 1024;
/// Buffers that nobody else gets: what one input may need at once.
const NEEDED: usize = 16;
/// A buffer that grew beyond this is not kept.
const CAPACITY_MAX: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(2048))
    }

    /// An empty buffer that is not needed here for a while; `None` when there are few.
    pub(crate) fn spare(&mut self) -> Option<Vec<u8>> {
        (self.0.len() > NEEDED).then(|| self.0.pop()).flatten()
    }

    /// A buffer with these bytes.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.take();
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back.
    pub(crate) fn push(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && buffer.capacity() <= CAPACITY_MAX && self.0.len() < KEPT_MAX {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
