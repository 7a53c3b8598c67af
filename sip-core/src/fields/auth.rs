//! Authentication fields: Authorization, WWW-Authenticate and their Proxy forms, Authentication-Info (RFC 3261 §20.7,
//! §20.44, RFC 7616, RFC 3310).
//!
//! Only syntax: what a response hashes to is computed elsewhere.

use super::FieldError;
use crate::edit::Value;
use crate::grammar::{self, take_token, trim, trim_start};
use crate::message::{Message, SlotId};
use crate::name::Name;
use std::borrow::Cow;

/// The `auth-param`s of a field: `name=value` with commas between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthParams<'a> {
    raw: &'a [u8],
}

/// What a client presents: Authorization or Proxy-Authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The scheme, such as `Digest`.
    pub scheme: &'a [u8],
    /// Its parameters.
    pub params: AuthParams<'a>,
}

/// What a server asks for: WWW-Authenticate or Proxy-Authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The scheme, such as `Digest`.
    pub scheme: &'a [u8],
    /// Its parameters.
    pub params: AuthParams<'a>,
}

impl<'a> AuthParams<'a> {
    /// Reads a list of parameters; `None` when one of them is not `name=token` or `name="text"`.
    pub fn parse(raw: &'a [u8]) -> Option<AuthParams<'a>> {
        let raw = trim(raw);
        let mut rest = raw;
        while !rest.is_empty() {
            rest = take_param(rest)?.1;
        }
        Some(AuthParams { raw })
    }

    /// The value of a parameter (name in any case), without its quotes.
    pub fn get(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.raw(name).map(grammar::unquote)
    }

    /// The value of a parameter as it stands, quotes kept.
    pub fn raw(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every parameter as (name, value), quotes kept.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let (param, behind) = take_param(rest)?;
            rest = behind;
            Some(param)
        })
    }
}

impl<'a> Credentials<'a> {
    /// Reads one value of Authorization or Proxy-Authorization.
    pub fn parse(field: Name, value: &'a [u8]) -> Result<Credentials<'a>, FieldError> {
        let (scheme, params) = read_scheme(value).ok_or(FieldError::syntax(field))?;
        Ok(Credentials { scheme, params })
    }

    /// Whether the scheme is Digest.
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"Digest")
    }

    /// The value of a parameter (name in any case), without its quotes.
    pub fn param(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.params.get(name)
    }
}

impl<'a> Challenge<'a> {
    /// Reads one value of WWW-Authenticate or Proxy-Authenticate.
    pub fn parse(field: Name, value: &'a [u8]) -> Result<Challenge<'a>, FieldError> {
        let (scheme, params) = read_scheme(value).ok_or(FieldError::syntax(field))?;
        Ok(Challenge { scheme, params })
    }

    /// Whether the scheme is Digest.
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"Digest")
    }

    /// The value of a parameter (name in any case), without its quotes.
    pub fn param(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.params.get(name)
    }
}

impl Message {
    /// Every Authorization or Proxy-Authorization.
    pub fn credentials(
        &self,
        name: Name,
    ) -> impl Iterator<Item = (SlotId, Result<Credentials<'_>, FieldError>)> {
        self.all(name).map(move |(id, value)| (id, Credentials::parse(name, value)))
    }

    /// Every WWW-Authenticate or Proxy-Authenticate.
    pub fn challenges(
        &self,
        name: Name,
    ) -> impl Iterator<Item = (SlotId, Result<Challenge<'_>, FieldError>)> {
        self.all(name).map(move |(id, value)| (id, Challenge::parse(name, value)))
    }

    /// The parameters of Authentication-Info; `None` when absent.
    pub fn authentication_info(&self) -> Option<Result<AuthParams<'_>, FieldError>> {
        let value = self.first(Name::AuthenticationInfo)?;
        Some(AuthParams::parse(value).ok_or(FieldError::syntax(Name::AuthenticationInfo)))
    }
}

/// Writes the value of an authentication field, parameter by parameter.
#[derive(Clone, Debug, Default)]
pub struct AuthBuilder {
    out: Vec<u8>,
    has_params: bool,
}

impl AuthBuilder {
    /// Credentials or a challenge of this scheme.
    pub fn new(scheme: &str) -> AuthBuilder {
        let mut out = Vec::with_capacity(256);
        out.extend(scheme.bytes().filter(|byte| grammar::is_token_byte(*byte)));
        AuthBuilder { out, has_params: false }
    }

    /// An Authentication-Info, which has no scheme.
    pub fn info() -> AuthBuilder {
        AuthBuilder::default()
    }

    /// Adds `name="value"`, escaped as needed.
    pub fn quoted(mut self, name: &str, value: impl Value) -> AuthBuilder {
        let mut text = Vec::new();
        value.write_to(&mut text);
        self.name(name);
        grammar::write_quoted(&text, &mut self.out);
        self
    }

    /// Adds `name=value`; what is no token byte is left out of the value.
    pub fn token(mut self, name: &str, value: impl Value) -> AuthBuilder {
        self.name(name);
        let start = self.out.len();
        value.write_to(&mut self.out);
        crate::edit::retain_from(&mut self.out, start, grammar::is_token_byte);
        self
    }

    /// The value of the field.
    pub fn build(self) -> Vec<u8> {
        self.out
    }

    fn name(&mut self, name: &str) {
        if self.has_params {
            self.out.extend_from_slice(b", ");
        } else if !self.out.is_empty() {
            self.out.push(b' ');
        }
        self.has_params = true;
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'=');
    }
}

fn read_scheme(value: &[u8]) -> Option<(&[u8], AuthParams<'_>)> {
    let (scheme, rest) = take_token(trim(value));
    let params = trim_start(rest);
    if scheme.is_empty() || params.len() == rest.len() {
        return None;
    }
    Some((scheme, AuthParams::parse(params)?))
}

type Param<'a> = (&'a [u8], &'a [u8]);

/// One `name=value` off the front, the comma behind it, and what follows.
fn take_param(bytes: &[u8]) -> Option<(Param<'_>, &[u8])> {
    let (name, rest) = take_token(bytes);
    let value = trim_start(trim_start(rest).strip_prefix(b"=")?);
    let end = match value.first() {
        Some(b'"') => grammar::quoted_end(value)?,
        _ => value
            .iter()
            .position(|byte| *byte == b',' || *byte == b'"' || grammar::is_lws(*byte))
            .unwrap_or(value.len()),
    };
    let (value, rest) = value.split_at(end);
    if name.is_empty() || value.is_empty() {
        return None;
    }
    match trim_start(rest) {
        [] => Some(((name, value), b"")),
        [b',', rest @ ..] => Some(((name, value), skip_commas(rest))),
        _ => None,
    }
}

/// Empty list elements, as in `a=1,,b=2` or behind the last one, are met and mean nothing.
fn skip_commas(bytes: &[u8]) -> &[u8] {
    let mut rest = trim_start(bytes);
    while let [b',', behind @ ..] = rest {
        rest = trim_start(behind);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_apart() {
        let value =
            b"Digest username=\"a@h\",realm=\"h\" , nonce = \"x,\\\"y\",uri=\"sip:h\",response=\"\",\r\n \
            algorithm=AKAv1-MD5,integrity-protected=yes, nc=00000001,";
        let credentials = Credentials::parse(Name::Authorization, value).unwrap();
        assert!(credentials.is_digest());
        assert_eq!(credentials.param(b"USERNAME").unwrap().as_ref(), b"a@h");
        assert_eq!(credentials.param(b"nonce").unwrap().as_ref(), b"x,\"y");
        assert_eq!(credentials.param(b"response").unwrap().as_ref(), b"");
        assert_eq!(credentials.param(b"algorithm").unwrap().as_ref(), b"AKAv1-MD5");
        assert_eq!(credentials.params.raw(b"realm"), Some(&b"\"h\""[..]));
        assert_eq!(credentials.params.iter().count(), 8);
        assert_eq!(credentials.param(b"auts"), None);
    }

    #[test]
    fn broken_credentials_are_refused() {
        for broken in
            ["", "Digest", "Digest x", "Digest x=", "Digest x=\"open", "Digest a=1 b=2", "Digest =1"]
        {
            assert!(Credentials::parse(Name::Authorization, broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_is_built_is_read_back() {
        let built =
            AuthBuilder::new("Digest").quoted("realm", "a\"b").token("algorithm", "AKAv1-MD5").build();
        assert_eq!(built, b"Digest realm=\"a\\\"b\", algorithm=AKAv1-MD5");
        let challenge = Challenge::parse(Name::WwwAuthenticate, &built).unwrap();
        assert_eq!(challenge.param(b"realm").unwrap().as_ref(), b"a\"b");
        assert_eq!(AuthBuilder::info().quoted("rspauth", "1").build(), b"rspauth=\"1\"");
    }
}
