//! CSeq: the order of requests in a dialog (RFC 3261 §20.16).

use super::{Fault, FieldError};
use crate::grammar;
use crate::method::Method;
use crate::name::Name;

/// A CSeq value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number; RFC 3261 §8.1.1.5 keeps senders below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads a CSeq value.
    pub fn parse(value: &'a [u8]) -> Result<CSeq<'a>, FieldError> {
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = value.split_at(digits);
        let method = grammar::trim_start(rest);
        if digits == 0 || method.len() == rest.len() || !grammar::is_token(method) {
            return Err(FieldError::syntax(Name::CSeq));
        }
        let number =
            grammar::number(number).ok_or(FieldError { field: Name::CSeq, fault: Fault::OutOfRange })?;
        Ok(CSeq { number, method: Method::from_token(method) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_method_stand_apart() {
        assert_eq!(CSeq::parse(b"0009\r\n INVITE"), Ok(CSeq { number: 9, method: Method::Invite }));
        for broken in ["", "INVITE", "1", "1INVITE", "-1 INVITE", "1 IN VITE"] {
            assert_eq!(
                CSeq::parse(broken.as_bytes()).map_err(|error| error.fault),
                Err(Fault::Syntax),
                "{broken}"
            );
        }
    }

    #[test]
    fn a_number_beyond_32_bits_is_out_of_range() {
        assert_eq!(CSeq::parse(b"4294967296 ACK").map_err(|error| error.fault), Err(Fault::OutOfRange));
    }
}
