//! RAck and RSeq: reliable provisional responses (RFC 3262 §7).

use super::cseq::CSeq;
use super::{Fault, FieldError};
use crate::grammar;
use crate::message::Message;
use crate::name::Name;

/// A RAck value: which response a PRACK acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    /// The RSeq of the response.
    pub rseq: u32,
    /// The CSeq of the response.
    pub cseq: CSeq<'a>,
}

impl<'a> RAck<'a> {
    /// Reads the field's value.
    pub fn parse(value: &'a [u8]) -> Result<RAck<'a>, FieldError> {
        let syntax = FieldError::syntax(Name::RAck);
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = value.split_at(digits);
        let cseq = grammar::trim_start(rest);
        if digits == 0 || cseq.len() == rest.len() {
            return Err(syntax);
        }
        let out_of_range = FieldError { field: Name::RAck, fault: Fault::OutOfRange };
        let rseq = grammar::number(number).ok_or(out_of_range)?;
        let cseq = CSeq::parse(cseq).map_err(|error| FieldError { field: Name::RAck, fault: error.fault })?;
        Ok(RAck { rseq, cseq })
    }
}

impl Message {
    /// RAck; an error when absent.
    pub fn rack(&self) -> Result<RAck<'_>, FieldError> {
        RAck::parse(self.first(Name::RAck).ok_or(FieldError::missing(Name::RAck))?)
    }

    /// RSeq; `None` when absent.
    pub fn rseq(&self) -> Result<Option<u32>, FieldError> {
        self.number(Name::RSeq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Method;

    #[test]
    fn the_three_parts_are_read() {
        let rack = RAck::parse(b"776656 1\r\n INVITE").unwrap();
        assert_eq!((rack.rseq, rack.cseq), (776_656, CSeq { number: 1, method: Method::Invite }));
        for broken in ["", "1", "1 INVITE", "1 2", "x 1 INVITE", "4294967296 1 INVITE"] {
            assert!(RAck::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
