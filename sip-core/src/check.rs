//! The strict level: whether a message may enter a transaction (RFC 3261 §8.1.1, §16.3 step 1, §18.3).
//!
//! Only what routing, matching and answering depend on is judged. Everything else passes through as it stands.

use crate::fields::via::Via;
use crate::fields::{Fault, FieldError};
use crate::grammar;
use crate::message::Message;
use crate::name::{Cardinality, Name};
use crate::status::Status;
use crate::uri::Uri;
use std::fmt;

/// Why a message that could be parsed is refused all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckError {
    /// A header field, or the Request-URI, that is missing, repeated or unreadable.
    Field(FieldError),
    /// CSeq names another method than the request line (RFC 3261 §8.1.1.5).
    CseqMethod,
    /// The Request-URI carries headers (RFC 3261 §19.1.1).
    UriHeaders,
}

impl CheckError {
    /// The response that a refused request deserves.
    pub fn status(self) -> Status {
        Status::BAD_REQUEST
    }

    /// A short name, for a counter's label.
    pub fn label(self) -> &'static str {
        match self {
            CheckError::Field(FieldError { fault: Fault::Missing, .. }) => "field_missing",
            CheckError::Field(FieldError { fault: Fault::Repeated, .. }) => "field_repeated",
            CheckError::Field(FieldError { fault: Fault::OutOfRange, .. }) => "field_out_of_range",
            CheckError::Field(FieldError { fault: Fault::Syntax, .. }) => "field_syntax",
            CheckError::CseqMethod => "cseq_method",
            CheckError::UriHeaders => "uri_headers",
        }
    }
}

impl From<FieldError> for CheckError {
    fn from(error: FieldError) -> CheckError {
        CheckError::Field(error)
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::Field(error) => error.fmt(f),
            CheckError::CseqMethod => f.write_str("CSeq names another method"),
            CheckError::UriHeaders => f.write_str("Request-URI has headers"),
        }
    }
}

impl std::error::Error for CheckError {}

impl Message {
    /// Judges what [`Message::parse`] does not look at; the first fault found is the error.
    pub fn check(&self) -> Result<(), CheckError> {
        self.check_all(0)
    }

    /// As [`Message::check`], for somebody who has read the topmost Via: `_top` is it, and need not be read again.
    pub fn check_beneath(&self, _top: &Via<'_>) -> Result<(), CheckError> {
        self.check_all(1)
    }

    /// `vias_read`: how many from the top on are known to be good.
    fn check_all(&self, vias_read: usize) -> Result<(), CheckError> {
        self.check_repetition()?;
        let cseq = self.cseq()?;
        if self.is_request() {
            if cseq.method != self.method() {
                return Err(CheckError::CseqMethod);
            }
            // RFC 3261 §19.1.1: headers have no place in a Request-URI; a `Route` there would route the request.
            if let Uri::Sip(sip) = self.request_uri()?
                && sip.headers.is_some()
            {
                return Err(CheckError::UriHeaders);
            }
        }
        // Absent in a request of RFC 2543, so its absence is no fault (RFC 4475 §3.4.1).
        self.max_forwards()?;
        self.check_vias(vias_read)?;
        self.check_call_id()?;
        for end in [self.from()?, self.to()?] {
            end.parsed_uri()?;
        }
        self.check_addresses()?;
        self.check_date()?;
        self.check_retry_after()
    }

    /// RFC 3261 §7.3.1: what is no list stands once.
    fn check_repetition(&self) -> Result<(), CheckError> {
        let mut seen = [0_u64; 4];
        for slot in &self.index.slots {
            if slot.name.cardinality() != Cardinality::Single {
                continue;
            }
            let (word, bit) = (slot.name as usize / 64, 1 << (slot.name as usize % 64));
            if seen[word] & bit != 0 {
                return Err(CheckError::Field(FieldError { field: slot.name, fault: Fault::Repeated }));
            }
            seen[word] |= bit;
        }
        Ok(())
    }

    fn check_vias(&self, read: usize) -> Result<(), CheckError> {
        if !self.has(Name::Via) {
            return Err(FieldError::missing(Name::Via).into());
        }
        for (_, via) in self.all(Name::Via).skip(read) {
            Via::parse(via)?;
        }
        Ok(())
    }

    fn check_call_id(&self) -> Result<(), CheckError> {
        match self.first(Name::CallId) {
            None => Err(FieldError::missing(Name::CallId).into()),
            Some(call_id) if call_id.is_empty() || call_id.iter().any(|byte| *byte <= b' ') => {
                Err(FieldError::syntax(Name::CallId).into())
            }
            Some(_) => Ok(()),
        }
    }

    fn check_addresses(&self) -> Result<(), CheckError> {
        for slot in &self.index.slots {
            let must_be_bracketed = match slot.name {
                Name::Contact => false,
                Name::Route | Name::RecordRoute | Name::Path | Name::ServiceRoute => true,
                _ => continue,
            };
            let address = crate::NameAddr::parse(slot.name, self.span(slot.value, slot.end))?;
            if must_be_bracketed && !address.is_bracketed() {
                return Err(FieldError::syntax(slot.name).into());
            }
            if !address.is_wildcard() {
                address.parsed_uri()?;
            }
        }
        Ok(())
    }

    fn check_date(&self) -> Result<(), CheckError> {
        match self.first(Name::Date) {
            Some(date) if !is_date(date) => Err(FieldError::syntax(Name::Date).into()),
            _ => Ok(()),
        }
    }

    fn check_retry_after(&self) -> Result<(), CheckError> {
        let Some(value) = self.first(Name::RetryAfter) else { return Ok(()) };
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match grammar::number(&value[..digits]) {
            Some(_) => Ok(()),
            None if digits == 0 => Err(FieldError::syntax(Name::RetryAfter).into()),
            None => Err(FieldError { field: Name::RetryAfter, fault: Fault::OutOfRange }.into()),
        }
    }
}

/// Whether `date` is an RFC 1123 date in GMT, the only zone that SIP knows (RFC 3261 §20.17).
fn is_date(date: &[u8]) -> bool {
    const PATTERN: &[u8] = b"aaa, dd aaa dddd dd:dd:dd GMT";
    let fits = |(byte, pattern): (&u8, &u8)| match pattern {
        b'a' => byte.is_ascii_alphabetic(),
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    };
    const DAYS: &[&[u8]] = &[b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    const MONTHS: &[&[u8]] =
        &[b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    date.len() == PATTERN.len()
        && date.iter().zip(PATTERN).all(fits)
        && DAYS.contains(&&date[..3])
        && MONTHS.contains(&&date[8..11])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Limits;

    const GOOD: [&str; 5] = [
        "Via: SIP/2.0/UDP a;branch=z9hG4bK1",
        "From: <sip:a@h>;tag=1",
        "To: <sip:b@h>",
        "Call-ID: c@h",
        "CSeq: 1 INVITE",
    ];

    fn check(lines: &[&str]) -> Result<(), CheckError> {
        let text = format!("INVITE sip:b@h SIP/2.0\r\n{}\r\n\r\n", lines.join("\r\n"));
        Message::parse(text.into_bytes(), &Limits::default()).unwrap().check()
    }

    #[test]
    fn the_five_mandatory_fields_are_enough_and_none_can_go() {
        assert_eq!(check(&GOOD), Ok(()));
        for left_out in GOOD {
            let lines: Vec<_> = GOOD.into_iter().filter(|line| *line != left_out).collect();
            let error = check(&lines).unwrap_err();
            assert_eq!(error.label(), "field_missing", "without {left_out}");
        }
    }

    #[test]
    fn one_bad_line_more_is_refused_by_its_kind() {
        let cases = [
            ("f: <sip:x@h>;tag=2", "field_repeated"),
            ("Max-Forwards: 256", "field_out_of_range"),
            ("Max-Forwards: -1", "field_syntax"),
            ("Via: SIP/2.0/UDP a;;", "field_syntax"),
            ("Contact: <sip:x y@h>", "field_syntax"),
            ("Contact: <sip:[1]>", "field_syntax"),
            ("Route: sip:p", "field_syntax"),
            ("Date: Fri, 01 Jan 2010 16:00:00 EST", "field_syntax"),
            ("Date: Fry, 01 Jan 2010 16:00:00 GMT", "field_syntax"),
            ("Retry-After: 4294967296", "field_out_of_range"),
        ];
        for (line, label) in cases {
            let lines = [&GOOD[..], &[line]].concat();
            assert_eq!(check(&lines).map_err(CheckError::label), Err(label), "{line}");
        }
        let fine =
            ["Contact: *", "Route: <sip:p;lr>", "Date: Fri, 01 Jan 2010 16:00:00 GMT", "Retry-After: 5 (x)"];
        assert_eq!(check(&[&GOOD[..], &fine].concat()), Ok(()));
    }

    #[test]
    fn a_via_beneath_the_one_that_was_read_is_judged() {
        let read = |lines: &[&str]| {
            let text = format!("INVITE sip:b@h SIP/2.0\r\n{}\r\n\r\n", lines.join("\r\n"));
            let message = Message::parse(text.into_bytes(), &Limits::default()).unwrap();
            message.check_beneath(&message.top_via().unwrap()).map_err(CheckError::label)
        };
        assert_eq!(read(&GOOD), Ok(()));
        assert_eq!(read(&[&GOOD[..], &["Via: SIP/2.0/UDP a;;"]].concat()), Err("field_syntax"));
    }

    #[test]
    fn a_request_uri_with_headers_is_refused() {
        let text = format!("INVITE sip:b@h?Route=x SIP/2.0\r\n{}\r\n\r\n", GOOD.join("\r\n"));
        let message = Message::parse(text.into_bytes(), &Limits::default()).unwrap();
        assert_eq!(message.check(), Err(CheckError::UriHeaders));
    }
}
