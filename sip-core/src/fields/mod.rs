//! Header fields as typed views, read when asked for and borrowed from the message.

pub mod access;
pub mod auth;
pub mod charging;
pub mod cseq;
pub mod name_addr;
pub mod privacy;
pub mod rack;
pub mod security;
pub mod session_timer;
pub mod subscription;
pub mod via;

use crate::grammar;
use crate::message::{Message, SlotId};
use crate::name::Name;
use crate::uri::{Uri, UriError};
use cseq::CSeq;
use name_addr::NameAddr;
use std::fmt;
use via::Via;

/// A header field that is missing or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Which one; [`Name::Other`] for the Request-URI.
    pub field: Name,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It does not follow its grammar.
    Syntax,
    /// Its number does not fit the range that the RFC gives.
    OutOfRange,
    /// It may stand once and stands twice.
    Repeated,
}

impl FieldError {
    pub(crate) fn syntax(field: Name) -> FieldError {
        FieldError { field, fault: Fault::Syntax }
    }

    pub(crate) fn missing(field: Name) -> FieldError {
        FieldError { field, fault: Fault::Missing }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field == Name::Other { "Request-URI" } else { self.field.as_str() };
        match self.fault {
            Fault::Missing => write!(f, "{field} is missing"),
            Fault::Syntax => write!(f, "{field} cannot be read"),
            Fault::OutOfRange => write!(f, "{field} is out of range"),
            Fault::Repeated => write!(f, "{field} is repeated"),
        }
    }
}

impl std::error::Error for FieldError {}

impl Message {
    /// The Request-URI, read; an error for a response.
    pub fn request_uri(&self) -> Result<Uri<'_>, FieldError> {
        Uri::parse(self.uri()).map_err(|error| match error {
            UriError::Scheme if !self.is_request() => FieldError::missing(Name::Other),
            _ => FieldError::syntax(Name::Other),
        })
    }

    /// The topmost Via.
    pub fn top_via(&self) -> Result<Via<'_>, FieldError> {
        Via::parse(self.first(Name::Via).ok_or(FieldError::missing(Name::Via))?)
    }

    /// Every Via from the top down.
    pub fn vias(&self) -> impl DoubleEndedIterator<Item = (SlotId, Result<Via<'_>, FieldError>)> {
        self.all(Name::Via).map(|(id, value)| (id, Via::parse(value)))
    }

    /// The From.
    pub fn from(&self) -> Result<NameAddr<'_>, FieldError> {
        self.name_addr(Name::From)
    }

    /// The To.
    pub fn to(&self) -> Result<NameAddr<'_>, FieldError> {
        self.name_addr(Name::To)
    }

    /// The Call-ID as it stands; empty when absent.
    pub fn call_id(&self) -> &[u8] {
        self.first(Name::CallId).unwrap_or_default()
    }

    /// The CSeq.
    pub fn cseq(&self) -> Result<CSeq<'_>, FieldError> {
        CSeq::parse(self.first(Name::CSeq).ok_or(FieldError::missing(Name::CSeq))?)
    }

    /// Max-Forwards, 0 to 255; `None` when absent.
    pub fn max_forwards(&self) -> Result<Option<u8>, FieldError> {
        let out_of_range = FieldError { field: Name::MaxForwards, fault: Fault::OutOfRange };
        let number = self.number(Name::MaxForwards)?;
        number.map(|number| u8::try_from(number).map_err(|_| out_of_range)).transpose()
    }

    /// Expires in seconds; `None` when absent.
    pub fn expires(&self) -> Result<Option<u32>, FieldError> {
        self.number(Name::Expires)
    }

    /// A field that is one number of at most 32 bits; `None` when absent.
    pub fn number(&self, name: Name) -> Result<Option<u32>, FieldError> {
        let Some(value) = self.first(name) else { return Ok(None) };
        let all_digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let fault = if all_digits { Fault::OutOfRange } else { Fault::Syntax };
        grammar::number(value).map(Some).ok_or(FieldError { field: name, fault })
    }

    /// The first value of a field that is a name-addr or an addr-spec.
    pub fn name_addr(&self, name: Name) -> Result<NameAddr<'_>, FieldError> {
        NameAddr::parse(name, self.first(name).ok_or(FieldError::missing(name))?)
    }

    /// Every value of a field of name-addrs.
    pub fn name_addrs(
        &self,
        name: Name,
    ) -> impl DoubleEndedIterator<Item = (SlotId, Result<NameAddr<'_>, FieldError>)> {
        self.all(name).map(move |(id, value)| (id, NameAddr::parse(name, value)))
    }

    /// Every Contact; `*` is one whose [`NameAddr::is_wildcard`] holds.
    pub fn contacts(&self) -> impl DoubleEndedIterator<Item = (SlotId, Result<NameAddr<'_>, FieldError>)> {
        self.name_addrs(Name::Contact)
    }

    /// Every Route, the next hop first.
    pub fn routes(&self) -> impl DoubleEndedIterator<Item = (SlotId, Result<NameAddr<'_>, FieldError>)> {
        self.name_addrs(Name::Route)
    }

    /// Every Record-Route, the latest proxy first.
    pub fn record_routes(
        &self,
    ) -> impl DoubleEndedIterator<Item = (SlotId, Result<NameAddr<'_>, FieldError>)> {
        self.name_addrs(Name::RecordRoute)
    }

    /// Every Path (RFC 3327), the latest proxy first.
    pub fn paths(&self) -> impl DoubleEndedIterator<Item = (SlotId, Result<NameAddr<'_>, FieldError>)> {
        self.name_addrs(Name::Path)
    }

    /// Every Service-Route (RFC 3608), the first hop first.
    pub fn service_routes(
        &self,
    ) -> impl DoubleEndedIterator<Item = (SlotId, Result<NameAddr<'_>, FieldError>)> {
        self.name_addrs(Name::ServiceRoute)
    }

    /// The tokens of a field that lists tokens: Require, Supported, Proxy-Require, Unsupported, Allow.
    pub fn option_tags(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.all(name).flat_map(|(_, value)| grammar::values(value)).filter(|tag| !tag.is_empty())
    }

    /// Whether `tag` stands in such a field, in any case.
    pub fn has_option(&self, name: Name, tag: &[u8]) -> bool {
        self.option_tags(name).any(|found| found.eq_ignore_ascii_case(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Limits;

    fn message(headers: &str) -> Message {
        let text = format!("OPTIONS sip:b SIP/2.0\r\n{headers}\r\n");
        Message::parse(text.into_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn option_tags_are_collected_across_values_and_lines() {
        let message =
            message("Require: path, Sec-Agree\r\nRequire: gruu\r\nAllow: INVITE,ACK\r\nSupported:\r\n");
        assert_eq!(
            message.option_tags(Name::Require).collect::<Vec<_>>(),
            [&b"path"[..], b"Sec-Agree", b"gruu"]
        );
        assert!(message.has_option(Name::Require, b"sec-agree"));
        assert!(message.has_option(Name::Allow, b"ACK"));
        assert!(!message.has_option(Name::Allow, b"BYE"));
        assert_eq!(message.option_tags(Name::Supported).count(), 0);
    }

    #[test]
    fn numbers_know_their_range() {
        let message = message("Max-Forwards: 256\r\nExpires: 4294967296\r\nMin-Expires: soon\r\n");
        assert_eq!(message.max_forwards().unwrap_err().fault, Fault::OutOfRange);
        assert_eq!(message.expires().unwrap_err().fault, Fault::OutOfRange);
        assert_eq!(message.number(Name::MinExpires).unwrap_err().fault, Fault::Syntax);
        assert_eq!(message.number(Name::MinSe), Ok(None));
    }

    #[test]
    fn an_absent_field_is_missing_by_name() {
        let message = message("");
        assert_eq!(message.from().unwrap_err().to_string(), "From is missing");
        assert_eq!(message.top_via().unwrap_err().fault, Fault::Missing);
        assert_eq!(message.call_id(), b"");
    }
}
