//! The lexical rules that header fields share (RFC 3261 §25.1): tokens, LWS, quoted strings, lists, parameters.
//!
//! Everything works on bytes: a SIP header may carry bytes that are not UTF-8, and a fold (CRLF followed by a space) is
//! ordinary white space.

use std::borrow::Cow;

/// Whether `byte` may stand in a token.
pub const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

/// Which bytes an expression holds for, as a table: one look-up a byte, whatever the expression.
macro_rules! byte_table {
    ($byte:ident => $holds:expr) => {{
        let mut table = [false; 256];
        let mut at = 0;
        while at < table.len() {
            let $byte = at as u8;
            table[at] = $holds;
            at += 1;
        }
        table
    }};
}
pub(crate) use byte_table;

static TOKEN_BYTES: [bool; 256] = byte_table!(byte => byte.is_ascii_alphanumeric()
    || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'));

/// How many bytes at the start of `bytes` the table holds for. Four at a time, for hosts and values are long.
pub(crate) fn span(bytes: &[u8], table: &[bool; 256]) -> usize {
    let holds = |byte: u8| table[usize::from(byte)];
    let (fours, _) = bytes.as_chunks::<4>();
    let whole = fours.iter().take_while(|[a, b, c, d]| holds(*a) & holds(*b) & holds(*c) & holds(*d)).count();
    let rest = &bytes[4 * whole..];
    4 * whole + rest.iter().position(|byte| !holds(*byte)).unwrap_or(rest.len())
}

/// Whether `bytes` is a token: at least one byte, all of them token bytes.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Whether `byte` is linear white space, fold included.
pub const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `bytes` without the white space around it.
pub fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// `bytes` without the white space before it.
pub fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_lws(*first)
    {
        bytes = rest;
    }
    bytes
}

/// `bytes` without the white space after it.
pub fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes
        && is_lws(*last)
    {
        bytes = rest;
    }
    bytes
}

/// The leading token of `bytes` (possibly empty), and what follows it.
pub fn take_token(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// Where the quoted string at the start of `bytes` ends (just behind its closing quote); `None` when it never does.
///
/// `bytes[0]` is the opening quote.
pub fn quoted_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// The content of a quoted string, its escapes resolved; anything else comes back as it is.
pub fn unquote(bytes: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = bytes else { return Cow::Borrowed(bytes) };
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => plain.extend(rest.next()),
            byte => plain.push(*byte),
        }
    }
    Cow::Owned(plain)
}

/// Writes `bytes` as a quoted string, escaping quotes and backslashes.
pub fn write_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Reads a number of digits only. `None` when it is empty, has another byte, or passes `u32::MAX`.
pub fn number(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u32, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Where the first value of a comma-separated list ends: at a comma outside quotes and angle brackets, or at the end.
///
/// An unterminated quote or bracket swallows the rest, and the field's own parser refuses it.
pub fn value_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b',', b'"', b'<', &bytes[at..]) {
        at += found;
        let skipped = match bytes[at] {
            b',' => return at,
            b'"' => quoted_end(&bytes[at..]),
            _ => memchr::memchr(b'>', &bytes[at..]).map(|close| close + 1),
        };
        match skipped {
            Some(length) => at += length,
            None => return bytes.len(),
        }
    }
    bytes.len()
}

/// The values of a comma-separated list, trimmed. Empty ones are kept, except that nothing at all is no value.
pub fn values(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = (!trim(bytes).is_empty()).then_some(bytes);
    std::iter::from_fn(move || {
        let list = rest.take()?;
        let end = value_end(list);
        rest = list.get(end + 1..);
        Some(trim(&list[..end]))
    })
}

/// Header parameters: `*( SEMI name [ EQUAL value ] )`, from the first semicolon on.
///
/// Values keep their quotes. A flag such as `lr` has the value `""` in [`Params::get`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    /// The parameters that `raw` spells: empty, or starting at a semicolon. `None` when it does not follow the grammar.
    pub fn parse(raw: &'a [u8]) -> Option<Params<'a>> {
        Params::parse_each(raw, |_, _| ())
    }

    /// As [`Params::parse`], and shows each on the way.
    pub(crate) fn parse_each(
        raw: &'a [u8],
        mut show: impl FnMut(&'a [u8], Option<&'a [u8]>),
    ) -> Option<Params<'a>> {
        let mut rest = trim(raw);
        let params = Params { rest };
        while !rest.is_empty() {
            let ((name, value), behind) = take_param(rest)?;
            show(name, value);
            rest = behind;
        }
        Some(params)
    }

    /// The parameters that `raw` spells, up to the first one that breaks the grammar.
    pub fn lenient(raw: &'a [u8]) -> Params<'a> {
        Params { rest: trim(raw) }
    }

    /// The value of the first parameter of this name (case-insensitive), quotes kept; `""` when it has none.
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

impl<'a> IntoIterator for Params<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    type IntoIter = ParamsIter<'a>;

    fn into_iter(self) -> ParamsIter<'a> {
        ParamsIter { rest: self.rest }
    }
}

impl<'a> IntoIterator for &Params<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    type IntoIter = ParamsIter<'a>;

    fn into_iter(self) -> ParamsIter<'a> {
        ParamsIter { rest: self.rest }
    }
}

/// Walks parameters as (name, value).
#[derive(Clone, Debug)]
pub struct ParamsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ParamsIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (param, rest) = take_param(self.rest)?;
        self.rest = rest;
        Some(param)
    }
}

type Param<'a> = (&'a [u8], Option<&'a [u8]>);

/// One `;name=value` off the front, and what follows it.
fn take_param(bytes: &[u8]) -> Option<(Param<'_>, &[u8])> {
    let [b';', rest @ ..] = bytes else { return None };
    let (name, rest) = take_token(trim_start(rest));
    if name.is_empty() {
        return None;
    }
    let rest = trim_start(rest);
    let [b'=', rest @ ..] = rest else { return Some(((name, None), rest)) };
    let rest = trim_start(rest);
    let end = match rest.first()? {
        b'"' => quoted_end(rest)?,
        _ => span(rest, &PARAM_BYTES),
    };
    let (value, rest) = rest.split_at(end);
    if value.is_empty() {
        return None;
    }
    Some(((name, Some(value)), trim_start(rest)))
}

/// What may stand in an unquoted parameter value.
///
/// Wider than `token / host`: base64 in branches, `@` in charging identifiers and IPv6 addresses without brackets
/// (RFC 5118 §4.5) are all met.
static PARAM_BYTES: [bool; 256] =
    byte_table!(byte => !matches!(byte, 0..=b' ' | b';' | b',' | b'"' | b'<' | b'>' | 0x7f));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_at_commas_outside_quotes_and_brackets() {
        let list = br#""a, \"b" <sip:x,y@h>;p="1,2" , <sip:z> ,"#;
        let cut: Vec<_> = values(list).collect();
        assert_eq!(cut, [&br#""a, \"b" <sip:x,y@h>;p="1,2""#[..], b"<sip:z>", b""]);
        assert_eq!(values(b"  ").count(), 0);
        assert_eq!(values(br#"a, "never closed, b"#).count(), 2);
    }

    #[test]
    fn parameters_may_stand_apart_and_quote_semicolons() {
        let params = Params::parse(b" ; a = 1 ;lr;\r\n q=\"x;\\\"y\" ; received=2001:db8::1").unwrap();
        assert_eq!(params.get(b"A"), Some(&b"1"[..]));
        assert_eq!(params.get(b"lr"), Some(&b""[..]));
        assert_eq!(unquote(params.get(b"q").unwrap()).as_ref(), b"x;\"y");
        assert_eq!(params.get(b"received"), Some(&b"2001:db8::1"[..]));
        assert_eq!(params.get(b"b"), None);
    }

    #[test]
    fn broken_parameters_are_refused() {
        for broken in ["x=1", ";", ";;", ";a=", ";a=\"open", ";a=1 b", ";a=1,", ";=1"] {
            assert_eq!(Params::parse(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_number_is_digits_and_fits_32_bits() {
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for refused in ["", "4294967296", "-1", "+1", "1 ", "0x1"] {
            assert_eq!(number(refused.as_bytes()), None, "{refused}");
        }
    }

    #[test]
    fn quoting_and_unquoting_are_inverse() {
        let mut quoted = Vec::new();
        write_quoted(b"a\"b\\c", &mut quoted);
        assert_eq!(quoted, br#""a\"b\\c""#);
        assert_eq!(unquote(&quoted).as_ref(), b"a\"b\\c");
        assert_eq!(quoted_end(br#""open \""#), None);
    }
}
