//! Secrets: K, OP, OPc, TOP, TOPc, CK, IK and RES. Wiped when dropped, never printed, compared in constant time.

use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret of `N` octets. Prints as `Key(..)`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key<const N: usize>([u8; N]);

impl<const N: usize> Key<N> {
    /// Takes the octets over; wipe the original if it lives on.
    pub fn new(octets: [u8; N]) -> Key<N> {
        Key(octets)
    }

    /// Reads exactly `2 * N` hexadecimal digits.
    pub fn from_hex(digits: &str) -> Result<Key<N>, KeyError> {
        let digits = digits.as_bytes();
        if digits.len() != 2 * N {
            return Err(KeyError::Length { wanted: 2 * N, found: digits.len() });
        }
        let mut key = Key([0; N]);
        for (octet, pair) in key.0.iter_mut().zip(digits.chunks_exact(2)) {
            *octet = (nibble(pair[0])? << 4) | nibble(pair[1])?;
        }
        Ok(key)
    }

    /// Reads exactly `N` octets.
    pub fn from_slice(octets: &[u8]) -> Result<Key<N>, KeyError> {
        let octets: &[u8; N] =
            octets.try_into().map_err(|_| KeyError::Length { wanted: N, found: octets.len() })?;
        Ok(Key(*octets))
    }

    /// The secret itself, for the algorithm or the wire that needs it.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Appends the secret as lower-case hexadecimal: the `ck` and `ik` of a 401.
    pub fn expose_hex_into(&self, text: &mut String) {
        text.extend(self.0.iter().flat_map(|octet| [octet >> 4, octet & 15]).map(digit).map(char::from));
    }

    /// The secret as lower-case hexadecimal, for a store.
    pub fn expose_hex(&self) -> String {
        hex(&self.0)
    }
}

impl<const N: usize> fmt::Debug for Key<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl<const N: usize> PartialEq for Key<N> {
    fn eq(&self, other: &Key<N>) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Key<N> {}

/// Why a text or a slice is not a key. Never carries a digit of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Too short or too long; in digits for a text, in octets for a slice.
    Length {
        /// How many there should be.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// A character that is no hexadecimal digit.
    NotHexadecimal,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Length { wanted, found } => write!(f, "length is {found} where {wanted} is needed"),
            KeyError::NotHexadecimal => f.write_str("a character is not a hexadecimal digit"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The operator variant configuration field of MILENAGE, common to all of an operator's cards (TS 35.206).
///
/// Never usable in the place of [`Opc`]: only [`crate::milenage::Milenage::opc`] turns one into the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op(pub Key<16>);

/// OP encrypted under one subscriber's K: what a card and the home network store (TS 35.206).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opc(pub Key<16>);

/// The operator variant configuration field of TUAK (TS 35.231).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top(pub Key<32>);

/// TOP bound to one subscriber's K (TS 35.231).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topc(pub Key<32>);

/// RES or XRES: 4 to 32 octets. Prints as `Res(..)`; equality is in constant time for equal lengths.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Res {
    octets: [u8; Res::OCTETS_MAX],
    length: usize,
}

impl Res {
    /// The longest RES that TUAK can give.
    pub const OCTETS_MAX: usize = 32;

    /// A RES of these octets; `None` above [`Res::OCTETS_MAX`].
    pub fn new(octets: &[u8]) -> Option<Res> {
        let mut res = Res { octets: [0; Res::OCTETS_MAX], length: octets.len() };
        res.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(res)
    }

    /// The octets, for a digest or a Cx answer.
    pub fn expose(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

impl fmt::Debug for Res {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Res(..)")
    }
}

impl PartialEq for Res {
    fn eq(&self, other: &Res) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for Res {}

/// Writes octets as lower-case hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    text.extend(octets.iter().flat_map(|octet| [octet >> 4, octet & 15]).map(digit).map(char::from));
    text
}

/// The lower-case hexadecimal digit of a value below 16.
pub(crate) fn digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble & 15)]
}

fn nibble(digit: u8) -> Result<u8, KeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(KeyError::NotHexadecimal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_prints_its_octets() {
        let key = Key::<16>::from_hex("465b5ce8b199b49faa5f0a2ee238a6bc").unwrap();
        assert_eq!(format!("{key:?}"), "Key(..)");
        assert_eq!(format!("{:?}", Opc(key)), "Opc(Key(..))");
        assert_eq!(format!("{:?}", Res::new(&[0xa5; 8]).unwrap()), "Res(..)");
    }

    #[test]
    fn hexadecimal_is_read_in_both_cases_and_written_in_lower() {
        let key = Key::<4>::from_hex("00Ff7aC9").unwrap();
        assert_eq!(key.expose(), &[0x00, 0xff, 0x7a, 0xc9]);
        assert_eq!(key.expose_hex(), "00ff7ac9");
    }

    #[test]
    fn a_key_of_the_wrong_length_or_alphabet_is_refused_without_echoing_it() {
        assert_eq!(Key::<16>::from_hex("465b"), Err(KeyError::Length { wanted: 32, found: 4 }));
        assert_eq!(Key::<2>::from_hex("12g4"), Err(KeyError::NotHexadecimal));
        assert_eq!(Key::<2>::from_slice(&[1]), Err(KeyError::Length { wanted: 2, found: 1 }));
        assert_eq!(KeyError::NotHexadecimal.to_string(), "a character is not a hexadecimal digit");
    }

    #[test]
    fn equality_looks_at_every_octet_and_the_length() {
        assert_eq!(Key::new([1, 2]), Key::new([1, 2]));
        assert_ne!(Key::new([1, 2]), Key::new([1, 3]));
        assert_ne!(Res::new(&[0; 4]), Res::new(&[0; 8]));
        assert_eq!(Res::new(&[0; 33]), None);
    }
}
