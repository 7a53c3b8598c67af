//! Security-Client, Security-Server and Security-Verify (RFC 3329 §2.2; the `ipsec-3gpp` parameters of TS 33.203).

use super::FieldError;
use crate::grammar::{self, Params};
use crate::message::{Message, SlotId};
use crate::name::Name;
use std::borrow::Cow;

/// One mechanism of a Security field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mechanism<'a> {
    /// The mechanism, such as `ipsec-3gpp` or `tls`.
    pub name: &'a [u8],
    params: Params<'a>,
}

impl<'a> Mechanism<'a> {
    /// Reads one value of the field `field`.
    pub fn parse(field: Name, value: &'a [u8]) -> Result<Mechanism<'a>, FieldError> {
        let (name, rest) = grammar::take_token(grammar::trim(value));
        if name.is_empty() {
            return Err(FieldError::syntax(field));
        }
        Ok(Mechanism { name, params: Params::parse(rest).ok_or(FieldError::syntax(field))? })
    }

    /// A parameter (name in any case), without its quotes, such as `alg` or `ealg`.
    pub fn param(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.params.get(name).map(grammar::unquote)
    }

    /// A parameter that is a number, such as `spi-c` or `port-s`.
    pub fn number(&self, name: &[u8]) -> Option<u32> {
        self.param(name).and_then(|value| grammar::number(&value))
    }

    /// The preference `q` in thousandths; 1 when absent (RFC 3329 §2.2), 0 when unreadable.
    pub fn preference_milli(&self) -> u16 {
        self.params.get(b"q").map_or(1000, |q| milli(q).unwrap_or(0))
    }

    /// The parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }
}

impl Message {
    /// Every mechanism of a Security field, in order.
    pub fn mechanisms(
        &self,
        name: Name,
    ) -> impl Iterator<Item = (SlotId, Result<Mechanism<'_>, FieldError>)> {
        self.all(name).map(move |(id, value)| (id, Mechanism::parse(name, value)))
    }
}

/// Reads a q-value: 0 to 1 with up to three decimals (RFC 3261 §25.1).
fn milli(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole] => (whole, &b""[..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut milli = 0;
    for at in 0..3 {
        let digit = decimals.get(at).copied().unwrap_or(b'0');
        milli = milli * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    match (whole, milli) {
        (b'0', milli) => Some(milli),
        (b'1', 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Limits;

    #[test]
    fn mechanisms_of_several_values_and_lines_are_read() {
        let text = b"REGISTER sip:h SIP/2.0\r\nSecurity-Client: ipsec-3gpp; alg=hmac-sha-1-96; ealg=aes-cbc; \
            spi-c=1111; spi-s=4294967295; port-c=5062; port-s=5064; q=0.5, tls;q=1.0\r\nSecurity-Client: digest\r\n\r\n";
        let message = Message::parse(text.to_vec(), &Limits::default()).unwrap();
        let found: Vec<_> =
            message.mechanisms(Name::SecurityClient).map(|(_, value)| value.unwrap()).collect();
        let names: Vec<_> = found.iter().map(|mechanism| mechanism.name).collect();
        assert_eq!(names, [&b"ipsec-3gpp"[..], b"tls", b"digest"]);
        assert_eq!(found[0].number(b"spi-s"), Some(u32::MAX));
        assert_eq!(found[0].param(b"ealg").unwrap().as_ref(), b"aes-cbc");
        let preferences: Vec<_> = found.iter().map(Mechanism::preference_milli).collect();
        assert_eq!(preferences, [500, 1000, 1000]);
    }

    #[test]
    fn an_unreadable_preference_is_the_last_one() {
        for broken in ["1.1", "2", "0.1234", "x", "0.x"] {
            let value = format!("tls;q={broken}");
            assert_eq!(
                Mechanism::parse(Name::SecurityServer, value.as_bytes()).unwrap().preference_milli(),
                0,
                "{broken}"
            );
        }
        assert!(Mechanism::parse(Name::SecurityServer, b";q=1").is_err());
    }
}
