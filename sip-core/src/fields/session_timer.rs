//! Session-Expires and Min-SE (RFC 4028 §4, §5).

use super::{Fault, FieldError};
use crate::grammar::{self, Params};
use crate::message::Message;
use crate::name::Name;

/// A Session-Expires value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// The interval in seconds.
    pub interval_s: u32,
    /// Who refreshes, where that is settled.
    pub refresher: Option<Refresher>,
}

/// Who refreshes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answered it.
    Uas,
}

impl SessionExpires {
    /// Reads the field's value.
    pub fn parse(value: &[u8]) -> Result<SessionExpires, FieldError> {
        let (interval_s, params) = read_seconds(Name::SessionExpires, value)?;
        let refresher = match params.get(b"refresher") {
            None => None,
            Some(side) if side.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) => return Err(FieldError::syntax(Name::SessionExpires)),
        };
        Ok(SessionExpires { interval_s, refresher })
    }
}

impl Message {
    /// Session-Expires; `None` when absent.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, FieldError> {
        self.first(Name::SessionExpires).map(SessionExpires::parse).transpose()
    }

    /// Min-SE in seconds; `None` when absent.
    pub fn min_se(&self) -> Result<Option<u32>, FieldError> {
        let value = self.first(Name::MinSe).map(|value| read_seconds(Name::MinSe, value));
        Ok(value.transpose()?.map(|(seconds, _)| seconds))
    }
}

fn read_seconds(field: Name, value: &[u8]) -> Result<(u32, Params<'_>), FieldError> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = value.split_at(digits);
    let params = Params::parse(rest).filter(|_| digits > 0).ok_or(FieldError::syntax(field))?;
    let seconds = grammar::number(number).ok_or(FieldError { field, fault: Fault::OutOfRange })?;
    Ok((seconds, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_and_refresher_are_read() {
        let parse = SessionExpires::parse;
        assert_eq!(parse(b"1800"), Ok(SessionExpires { interval_s: 1800, refresher: None }));
        let by_uac = SessionExpires { interval_s: 90, refresher: Some(Refresher::Uac) };
        assert_eq!(parse(b"90 ; Refresher=UAC;x"), Ok(by_uac));
        for broken in ["", "x", "90;refresher=me", "90;;", "4294967296"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
