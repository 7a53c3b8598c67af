//! Buffers that have been used and will be again: what was sent becomes room for what is received.

/// A few buffers of one thread, all empty.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// An empty buffer with room for most messages.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(ROOM))
    }

    /// A buffer with these bytes.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.take();
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a buffer for later; gives it back when there are enough.
    pub(crate) fn keep(&mut self, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
        if !(ROOM..=ROOM_MAX).contains(&buffer.capacity()) {
            return None;
        }
        if self.0.len() >= KEPT_MAX {
            return Some(buffer);
        }
        buffer.clear();
        self.0.push(buffer);
        None
    }
}

/// Room of a new buffer: few SIP messages are longer.
const ROOM: usize = 2048;
/// A buffer that grew beyond this is not kept.
const ROOM_MAX: usize = 64 * 1024;
/// Buffers kept: some batches.
const KEPT_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_with_its_room() {
        let mut spare = Spare::default();
        let mut buffer = spare.copy(b"INVITE");
        assert_eq!(buffer, b"INVITE");
        buffer.reserve(5000);
        let room = buffer.capacity();
        assert_eq!(spare.keep(buffer), None);
        let again = spare.take();
        assert_eq!((again.len(), again.capacity()), (0, room));
        assert!(spare.is_empty());
    }

    #[test]
    fn what_is_too_small_too_large_or_too_much_is_not_kept() {
        let mut spare = Spare::default();
        assert_eq!(spare.keep(Vec::with_capacity(10)), None);
        assert_eq!(spare.keep(Vec::with_capacity(ROOM_MAX * 2)), None);
        assert!(spare.is_empty());
        for _ in 0..KEPT_MAX {
            assert_eq!(spare.keep(Vec::with_capacity(ROOM)), None);
        }
        assert!(spare.keep(Vec::with_capacity(ROOM)).is_some(), "somebody else may want it");
    }
}
