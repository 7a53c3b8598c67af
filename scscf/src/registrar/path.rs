//! The Path of a binding: the proxies between this registrar and the UE, in order (RFC 3327).

use smallvec::SmallVec;

/// The entries of a Path, the one nearest to us first (RFC 3327 §5.3), in one piece of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Each behind its length, in two octets.
    packed: SmallVec<[u8; 128]>,
}

impl Path {
    /// Adds an entry at the end; false when it is longer than any header field may be.
    pub fn push(&mut self, entry: &[u8]) -> bool {
        let Ok(length) = u16::try_from(entry.len()) else { return false };
        self.packed.extend_from_slice(&length.to_be_bytes());
        self.packed.extend_from_slice(entry);
        true
    }

    /// The octets in which a binding keeps it; [`entries`] reads them.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        entries(&self.packed)
    }
}

/// The entries of a packed Path in order.
pub fn entries(packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = packed;
    std::iter::from_fn(move || {
        let (length, left) = rest.split_first_chunk::<2>()?;
        let (entry, left) = left.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = left;
        Some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order_and_what_is_cut_off_does_not() {
        let mut path = Path::default();
        assert!(path.push(b"<sip:p1;lr>") && path.push(b"<sip:p2;lr>") && !path.push(&[b'a'; 70_000]));
        assert_eq!(path.entries().collect::<Vec<_>>(), [b"<sip:p1;lr>", b"<sip:p2;lr>"]);
        let cut = &path.packed()[..path.packed().len() - 1];
        assert_eq!(entries(cut).collect::<Vec<_>>(), [b"<sip:p1;lr>"]);
    }
}
