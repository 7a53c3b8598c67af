//! URIs: `sip:` and `sips:` (RFC 3261 §19.1), `tel:` (RFC 3966), `urn:` (RFC 8141), and any other by its scheme.

use crate::grammar::{self, byte_table};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A URI, borrowed from the message that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uri<'a> {
    /// `sip:` or `sips:`
    Sip(SipUri<'a>),
    /// `tel:`
    Tel(TelUri<'a>),
    /// `urn:`, with everything behind the scheme, such as `service:sos`.
    Urn(&'a [u8]),
    /// Another scheme, which a proxy can only hand on or refuse (416).
    Other {
        /// What stands before the colon.
        scheme: &'a [u8],
        /// What stands behind it.
        rest: &'a [u8],
    },
}

/// The parts of a `sip:` or `sips:` URI, escapes kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// Whether the scheme is `sips`.
    pub secure: bool,
    /// The user part; never empty when present.
    pub user: Option<&'a [u8]>,
    /// The password, which nobody should use.
    pub password: Option<&'a [u8]>,
    /// The host.
    pub host: Host<'a>,
    /// The port, when given.
    pub port: Option<u16>,
    /// The URI parameters.
    pub params: UriParams<'a>,
    /// What stands behind the question mark, without it.
    pub headers: Option<&'a [u8]>,
}

/// The parts of a `tel:` URI, visual separators kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelUri<'a> {
    /// The number; a global one begins with `+`.
    pub number: &'a [u8],
    /// The parameters, among them `phone-context` of a local number.
    pub params: UriParams<'a>,
}

/// A host of a URI or of a Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A domain name, in its own case.
    Name(&'a [u8]),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, which stands in brackets.
    V6(Ipv6Addr),
}

/// Why a URI was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// No scheme, or one that does not begin with a letter.
    Scheme,
    /// The user part is empty or has a byte that must be escaped.
    User,
    /// The host is no name, no IPv4 address and no bracketed IPv6 address.
    Host,
    /// The port is no number below 65 536.
    Port,
    /// A parameter or header with white space, a quote or an angle bracket.
    Params,
    /// A telephone number with something else than digits and separators.
    Number,
}

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone (in angle brackets, or as a Request-URI).
    pub fn parse(bytes: &'a [u8]) -> Result<Uri<'a>, UriError> {
        let colon = memchr::memchr(b':', bytes).ok_or(UriError::Scheme)?;
        let (scheme, rest) = (&bytes[..colon], &bytes[colon + 1..]);
        if !is_scheme(scheme) {
            return Err(UriError::Scheme);
        }
        if scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips") {
            return SipUri::parse(rest, scheme.len() == 4).map(Uri::Sip);
        }
        if !are_uri_bytes(rest) || rest.is_empty() {
            return Err(UriError::Params);
        }
        if scheme.eq_ignore_ascii_case(b"tel") {
            return TelUri::parse(rest).map(Uri::Tel);
        }
        if scheme.eq_ignore_ascii_case(b"urn") {
            return Ok(Uri::Urn(rest));
        }
        Ok(Uri::Other { scheme, rest })
    }

    /// The SIP URI, if it is one.
    pub fn sip(&self) -> Option<&SipUri<'a>> {
        match self {
            Uri::Sip(sip) => Some(sip),
            _ => None,
        }
    }

    /// The parameters of a `sip:`, `sips:` or `tel:` URI; none for others.
    pub fn params(&self) -> UriParams<'a> {
        match self {
            Uri::Sip(sip) => sip.params,
            Uri::Tel(tel) => tel.params,
            Uri::Urn(_) | Uri::Other { .. } => UriParams::default(),
        }
    }

    /// The value of a URI parameter (name in any case); `""` for a flag such as `lr`.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.params().get(name)
    }

    /// The host of a SIP URI.
    pub fn host(&self) -> Option<Host<'a>> {
        self.sip().map(|sip| sip.host)
    }

    /// The user part of a SIP URI, escapes kept.
    pub fn user(&self) -> Option<&'a [u8]> {
        self.sip().and_then(|sip| sip.user)
    }

    /// Whether both name the same resource: RFC 3261 §19.1.4 for SIP, RFC 3966 §4 for telephone numbers.
    pub fn uri_eq(&self, other: &Uri<'_>) -> bool {
        match (self, other) {
            (Uri::Sip(a), Uri::Sip(b)) => a.uri_eq(b),
            (Uri::Tel(a), Uri::Tel(b)) => a.uri_eq(b),
            // RFC 8141 §3.1: the namespace is case-insensitive, and comparing the rest so too only merges what nobody
            // keeps apart (`urn:service:sos`).
            (Uri::Urn(a), Uri::Urn(b)) => a.eq_ignore_ascii_case(b),
            (Uri::Other { scheme: a, rest: a_rest }, Uri::Other { scheme: b, rest: b_rest }) => {
                a.eq_ignore_ascii_case(b) && a_rest == b_rest
            }
            _ => false,
        }
    }

    /// Appends the form under which a registrar looks an identity up (RFC 3261 §10.3 step 5).
    ///
    /// No parameters, headers, password or port; the host in lower case; needless escapes of the user part resolved. A
    /// telephone number loses its visual separators, and a local one keeps its context.
    pub fn canonical_aor(&self, out: &mut Vec<u8>) {
        match self {
            Uri::Sip(sip) => {
                out.extend_from_slice(if sip.secure { b"sips:" } else { b"sip:" });
                if let Some(user) = sip.user {
                    write_normal_escapes(user, out);
                    out.push(b'@');
                }
                sip.host.write_lower(out);
            }
            Uri::Tel(tel) => {
                out.extend_from_slice(b"tel:");
                out.extend(tel.digits());
                if let Some(context) = tel.params.get(b"phone-context").filter(|_| !tel.is_global()) {
                    out.extend_from_slice(b";phone-context=");
                    out.extend(context.iter().map(u8::to_ascii_lowercase));
                }
            }
            Uri::Urn(rest) => {
                out.extend_from_slice(b"urn:");
                out.extend(rest.iter().map(u8::to_ascii_lowercase));
            }
            Uri::Other { scheme, rest } => {
                out.extend(scheme.iter().map(u8::to_ascii_lowercase));
                out.push(b':');
                out.extend_from_slice(rest);
            }
        }
    }
}

impl<'a> SipUri<'a> {
    /// Reads what stands behind `sip:` or `sips:`.
    fn parse(rest: &'a [u8], secure: bool) -> Result<SipUri<'a>, UriError> {
        // `;` and `?` may stand unescaped in a user part, `@` may not: the first one ends it.
        let (userinfo, rest) = match memchr::memchr(b'@', rest) {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        let (user, password) = match userinfo.map(|info| split_at_byte(info, b':')) {
            None => (None, None),
            Some((user, password)) => (Some(user), password),
        };
        let user_is_good = user.is_none_or(|user| !user.is_empty() && is_userinfo(user));
        if !user_is_good || !password.is_none_or(is_userinfo) {
            return Err(UriError::User);
        }
        let (host, rest) = take_host(rest).ok_or(UriError::Host)?;
        let (port, rest) = take_port(rest)?;
        let (params, headers) = split_at_byte(rest, b'?');
        if !params.is_empty() && params[0] != b';' {
            return Err(UriError::Host);
        }
        if !are_uri_bytes(rest) {
            return Err(UriError::Params);
        }
        Ok(SipUri { secure, user, password, host, port, params: UriParams { rest: params }, headers })
    }

    fn uri_eq(&self, other: &SipUri<'_>) -> bool {
        self.secure == other.secure
            && option_eq(self.user, other.user, escapes_eq)
            && option_eq(self.password, other.password, escapes_eq)
            && self.host.host_eq(&other.host)
            && self.port == other.port
            && self.params_eq(other)
            && headers_eq(self.headers.unwrap_or_default(), other.headers.unwrap_or_default())
    }

    fn params_eq(&self, other: &SipUri<'_>) -> bool {
        // A parameter that only one side has is ignored, unless leaving it out and giving its default differ.
        const NEVER_IGNORED: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];
        // Of a name given twice, which RFC 3261 §19.1.1 forbids, the first value counts, as everywhere.
        let same_when_both =
            self.params.into_iter().all(|(name, _)| match (self.params.get(name), other.params.get(name)) {
                (Some(ours), Some(theirs)) => escapes_eq_ignore_case(ours, theirs),
                _ => true,
            });
        same_when_both && NEVER_IGNORED.iter().all(|name| self.params.has(name) == other.params.has(name))
    }
}

impl<'a> TelUri<'a> {
    fn parse(rest: &'a [u8]) -> Result<TelUri<'a>, UriError> {
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (number, params) = rest.split_at(end);
        let digits = number.strip_prefix(b"+").unwrap_or(number);
        let is_global = digits.len() < number.len();
        let is_phone_byte = |byte: &u8| {
            is_visual_separator(*byte)
                || byte.is_ascii_digit()
                || (!is_global && (byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#')))
        };
        let has_digit = digits.iter().any(|byte| !is_visual_separator(*byte));
        if !has_digit || !digits.iter().all(is_phone_byte) {
            return Err(UriError::Number);
        }
        Ok(TelUri { number, params: UriParams { rest: params } })
    }

    /// Whether the number is global: `+` and a country code.
    pub fn is_global(&self) -> bool {
        self.number.first() == Some(&b'+')
    }

    /// The number without visual separators, `+` kept, letters in lower case.
    pub fn digits(&self) -> impl Iterator<Item = u8> {
        self.number.iter().filter(|byte| !is_visual_separator(**byte)).map(u8::to_ascii_lowercase)
    }

    fn uri_eq(&self, other: &TelUri<'_>) -> bool {
        let subset = |a: &TelUri<'_>, b: &TelUri<'_>| {
            a.params.into_iter().all(|(name, _)| match (a.params.get(name), b.params.get(name)) {
                (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
                _ => false,
            })
        };
        self.digits().eq(other.digits()) && subset(self, other) && subset(other, self)
    }
}

impl<'a> Host<'a> {
    /// Reads a host that stands alone, IPv6 in brackets.
    pub fn parse(bytes: &'a [u8]) -> Option<Host<'a>> {
        take_host(bytes).filter(|(_, rest)| rest.is_empty()).map(|(host, _)| host)
    }

    /// The address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(ip) => Some(IpAddr::V4(*ip)),
            Host::V6(ip) => Some(IpAddr::V6(*ip)),
        }
    }

    /// The domain name, when the host is one.
    pub fn name(&self) -> Option<&'a [u8]> {
        match self {
            Host::Name(name) => Some(name),
            Host::V4(_) | Host::V6(_) => None,
        }
    }

    /// Whether both are the same name (in any case) or the same address (in any spelling).
    pub fn host_eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            _ => self.ip().is_some() && self.ip() == other.ip(),
        }
    }

    /// Appends the host as a URI spells it, names in lower case.
    pub fn write_lower(&self, out: &mut Vec<u8>) {
        match self {
            Host::Name(name) => out.extend(name.iter().map(u8::to_ascii_lowercase)),
            Host::V4(ip) => out.extend_from_slice(ip.to_string().as_bytes()),
            Host::V6(ip) => out.extend_from_slice(format!("[{ip}]").as_bytes()),
        }
    }
}

/// URI parameters: `*( ";" name [ "=" value ] )`, without white space or quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UriParams<'a> {
    rest: &'a [u8],
}

impl<'a> UriParams<'a> {
    /// The value of the first parameter of this name (any case); `""` for a flag.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.into_iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or(b""))
    }

    /// Whether a parameter of this name is there.
    pub fn has(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// The parameters as they stand, from the first semicolon on.
    pub fn raw(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> IntoIterator for UriParams<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    type IntoIter = UriParamsIter<'a>;

    fn into_iter(self) -> UriParamsIter<'a> {
        UriParamsIter { rest: self.rest }
    }
}

/// Walks URI parameters as (name, value).
#[derive(Clone, Debug)]
pub struct UriParamsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for UriParamsIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.rest.strip_prefix(b";")?;
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            self.rest = &rest[end..];
            if end > 0 {
                return Some(split_at_byte(&rest[..end], b'='));
            }
        }
    }
}

/// `bytes` with its `%HH` escapes resolved; an escape without two hexadecimal digits stays as it is.
pub fn unescape(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(unescaped(bytes).collect())
}

fn unescaped(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (first, behind) = rest.split_first()?;
        if *first == b'%'
            && let Some(byte) = hex_pair(behind)
        {
            rest = &behind[2..];
            return Some(byte);
        }
        rest = behind;
        Some(*first)
    })
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let [high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// Writes a user part with every escape resolved that needs none, and the others in capitals.
fn write_normal_escapes(user: &[u8], out: &mut Vec<u8>) {
    for byte in unescaped(user) {
        if is_unreserved(byte) || is_user_unreserved(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The host at the front of `bytes`, and what follows it.
fn take_host(bytes: &[u8]) -> Option<(Host<'_>, &[u8])> {
    if let [b'[', rest @ ..] = bytes {
        let close = memchr::memchr(b']', rest)?;
        return Some((Host::V6(read_ipv6(&rest[..close])?), &rest[close + 1..]));
    }
    if let Some((address, rest)) = take_ipv4(bytes) {
        return Some((Host::V4(address), rest));
    }
    let (name, rest) = bytes.split_at(grammar::span(bytes, &HOST_BYTES));
    if name.is_empty() {
        return None;
    }
    // RFC 3261 §25.1: the last label of a name begins with a letter, so digits and dots could only be an address.
    if !name[0].is_ascii_alphabetic() && name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
        return None;
    }
    Some((Host::Name(name), rest))
}

/// Four numbers below 256 without needless zeros, in one pass, and what follows them.
fn take_ipv4(bytes: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let mut octets = [0_u8; 4];
    let (mut part, mut digits, mut number) = (0, 0, 0_u32);
    let mut end = bytes.len();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                let is_padded = digits > 0 && number == 0;
                number = number * 10 + u32::from(byte - b'0');
                digits += 1;
                if is_padded || number > 255 {
                    return None;
                }
            }
            b'.' if digits > 0 && part < 3 => {
                octets[part] = number as u8;
                (part, digits, number) = (part + 1, 0, 0);
            }
            byte if HOST_BYTES[usize::from(*byte)] => return None,
            _ => {
                end = at;
                break;
            }
        }
    }
    if part < 3 || digits == 0 {
        return None;
    }
    octets[3] = number as u8;
    Some((Ipv4Addr::from_octets(octets), &bytes[end..]))
}

/// RFC 5118 §4.10: the grammar of RFC 3261 allows one colon too many before a dotted tail, which is to be tolerated.
fn read_ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    let text = std::str::from_utf8(bytes).ok()?;
    match text.parse() {
        Err(_) if text.contains('.') && text.contains(":::") => text.replacen(":::", "::", 1).parse().ok(),
        parsed => parsed.ok(),
    }
}

/// A `:port` at the front of `bytes`, if one is there, and what follows it.
fn take_port(bytes: &[u8]) -> Result<(Option<u16>, &[u8]), UriError> {
    let Some(rest) = bytes.strip_prefix(b":") else { return Ok((None, bytes)) };
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let port =
        grammar::number(&rest[..end]).and_then(|port| u16::try_from(port).ok()).ok_or(UriError::Port)?;
    Ok((Some(port), &rest[end..]))
}

fn split_at_byte(bytes: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(separator, bytes) {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    }
}

/// Whether `bytes` is a URI scheme (RFC 3986 §3.1).
pub(crate) fn is_scheme(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Whether every byte may stand in a user part or password, and every `%` begins an escape.
fn is_userinfo(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => hex_pair(&bytes[at + 1..]).is_some(),
        // `#` ought to be escaped; telephone-like users (`*21#`) are met with it bare.
        byte => USER_BYTES[usize::from(*byte)],
    })
}

static HOST_BYTES: [bool; 256] =
    byte_table!(byte => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
static USER_BYTES: [bool; 256] =
    byte_table!(byte => is_unreserved(byte) || is_user_unreserved(byte) || byte == b'#');

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}

const fn is_user_unreserved(byte: u8) -> bool {
    matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
}

/// Whether `byte` may stand anywhere behind a scheme: visible ASCII, no quote and no angle bracket.
const fn is_uri_byte(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && !matches!(byte, b'"' | b'<' | b'>')
}

/// Whether every byte may stand behind a scheme. Looks at all of them without a branch: the compiler takes many at once.
pub(crate) fn are_uri_bytes(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |is_bad, byte| is_bad | !is_uri_byte(*byte))
}

const fn is_visual_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

fn option_eq(a: Option<&[u8]>, b: Option<&[u8]>, eq: fn(&[u8], &[u8]) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn escapes_eq(a: &[u8], b: &[u8]) -> bool {
    unescaped(a).eq(unescaped(b))
}

fn escapes_eq_ignore_case(a: &[u8], b: &[u8]) -> bool {
    unescaped(a).map(|byte| byte.to_ascii_lowercase()).eq(unescaped(b).map(|byte| byte.to_ascii_lowercase()))
}

/// Whether both have the same header components, in any order.
fn headers_eq(a: &[u8], b: &[u8]) -> bool {
    fn parts(headers: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        headers
            .split(|byte| *byte == b'&')
            .filter(|part| !part.is_empty())
            .map(|part| split_at_byte(part, b'='))
    }
    let subset = |a, b| {
        parts(a).all(|(name, value)| {
            parts(b).any(|(found, other)| {
                escapes_eq_ignore_case(name, found) && option_eq(value, other, escapes_eq)
            })
        })
    };
    parts(a).count() == parts(b).count() && subset(a, b) && subset(b, a)
}
