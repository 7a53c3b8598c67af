//! Names that tell what they belong to: an answer finds its operation by an array index.

/// The place of an operation, as it is in our branches and Call-IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Which run of the generator: an answer to an earlier one is not ours.
    pub run: u32,
    /// Index of the operation.
    pub slot: u32,
    /// How often that index was used before.
    pub generation: u32,
    /// Which request of the operation; 0 in a Call-ID.
    pub sequence: u16,
}

/// The magic cookie of RFC 3261 §8.1.1.7.
pub(crate) const COOKIE: &[u8] = b"z9hG4bK";
/// Digits of a token.
pub(crate) const DIGITS: usize = 28;

impl Token {
    /// Its digits, all of them in hexadecimal and of one width.
    pub(crate) fn digits(self) -> [u8; DIGITS] {
        let mut digits = [0; DIGITS];
        write_hex(self.run.into(), &mut digits[..8]);
        write_hex(self.slot.into(), &mut digits[8..16]);
        write_hex(self.generation.into(), &mut digits[16..24]);
        write_hex(self.sequence.into(), &mut digits[24..]);
        digits
    }

    /// The token that `text` begins with.
    pub(crate) fn read(text: &[u8]) -> Option<Token> {
        let digits = text.get(..DIGITS)?;
        let low = |digits: &[u8]| u32::try_from(read_hex(digits)?).ok();
        Some(Token {
            run: low(&digits[..8])?,
            slot: low(&digits[8..16])?,
            generation: low(&digits[16..24])?,
            sequence: u16::try_from(read_hex(&digits[24..])?).ok()?,
        })
    }

    /// The token in the branch of a Via.
    pub(crate) fn in_via(via: &[u8]) -> Option<Token> {
        let at = memchr::memmem::find(via, COOKIE)?;
        Token::read(&via[at + COOKIE.len()..])
    }
}

fn write_hex(mut value: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = Token { run: 0xdead_beef, slot: 77, generation: u32::MAX, sequence: 5 };

    #[test]
    fn a_token_comes_back_from_a_via_with_what_others_put_behind_it() {
        let digits = TOKEN.digits();
        let text = String::from_utf8_lossy(&digits);
        assert_eq!(text, "deadbeef0000004dffffffff0005");
        let via = format!("SIP/2.0/UDP 127.64.0.1:5060;branch=z9hG4bK{text};rport=5060;received=127.64.0.1");
        assert_eq!(Token::in_via(via.as_bytes()), Some(TOKEN));
        assert_eq!(Token::read(format!("{text}@example").as_bytes()), Some(TOKEN));
    }

    #[test]
    fn what_is_no_token_of_ours_is_none() {
        for via in [
            "SIP/2.0/UDP a;branch=z9hG4bKdeadbeef",
            "SIP/2.0/UDP a;branch=1",
            "",
            "z9hG4bKghijklmnghijklmnghijklmnghij",
        ] {
            assert_eq!(Token::in_via(via.as_bytes()), None, "{via}");
        }
    }
}
