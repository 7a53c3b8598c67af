//! A set of octets: what a bracket expression stands for.

/// A set of octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Octets([u64; 4]);

impl Octets {
    /// Adds one.
    pub fn insert(&mut self, octet: u8) {
        self.0[usize::from(octet >> 6)] |= 1 << (octet & 63);
    }

    /// Whether one is in it.
    pub fn contains(&self, octet: u8) -> bool {
        self.0[usize::from(octet >> 6)] & (1 << (octet & 63)) != 0
    }

    /// All others.
    pub fn negated(&self) -> Octets {
        Octets(self.0.map(|word| !word))
    }

    /// With each letter its other case.
    pub fn in_any_case(&self) -> Octets {
        let mut folded = *self;
        for octet in (b'a'..=b'z').chain(b'A'..=b'Z').filter(|octet| self.contains(*octet)) {
            folded.insert(octet ^ 0x20);
        }
        folded
    }

    /// The runs of neighbours in it, in order.
    pub fn ranges(&self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for octet in (0..=u8::MAX).filter(|octet| self.contains(*octet)) {
            match ranges.last_mut() {
                Some((_, end)) if end.checked_add(1) == Some(octet) => *end = octet,
                _ => ranges.push((octet, octet)),
            }
        }
        ranges
    }
}

impl FromIterator<u8> for Octets {
    fn from_iter<I: IntoIterator<Item = u8>>(octets: I) -> Octets {
        let mut set = Octets::default();
        octets.into_iter().for_each(|octet| set.insert(octet));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_was_put_in_as_runs() {
        let set: Octets = b"acb\xffz".iter().copied().collect();
        assert_eq!(set.ranges(), [(b'a', b'c'), (b'z', b'z'), (255, 255)]);
        assert_eq!(set.negated().ranges(), [(0, b'a' - 1), (b'd', b'y'), (b'z' + 1, 254)]);
        assert!(set.in_any_case().contains(b'B') && !set.in_any_case().contains(b'D'));
    }
}
