//! P-Charging-Vector and P-Charging-Function-Addresses (RFC 7315 §4.6, §4.5).

use super::FieldError;
use crate::grammar::{self, Params};
use crate::message::Message;
use crate::name::Name;
use std::borrow::Cow;

/// A P-Charging-Vector: parameters with semicolons between, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargingVector<'a> {
    /// The first parameter, which has no semicolon before it.
    first: (&'a [u8], Option<&'a [u8]>),
    rest: Params<'a>,
}

impl<'a> ChargingVector<'a> {
    /// Reads the field's value.
    pub fn parse(value: &'a [u8]) -> Result<ChargingVector<'a>, FieldError> {
        let (first, rest) = read_params(value).ok_or(FieldError::syntax(Name::PChargingVector))?;
        let vector = ChargingVector { first, rest };
        vector.param(b"icid-value").ok_or(FieldError::syntax(Name::PChargingVector))?;
        Ok(vector)
    }

    /// The IMS charging identifier.
    pub fn icid_value(&self) -> Cow<'a, [u8]> {
        self.param(b"icid-value").unwrap_or_default()
    }

    /// The element that made the ICID.
    pub fn icid_generated_at(&self) -> Option<Cow<'a, [u8]>> {
        self.param(b"icid-generated-at")
    }

    /// The originating operator.
    pub fn orig_ioi(&self) -> Option<Cow<'a, [u8]>> {
        self.param(b"orig-ioi")
    }

    /// The terminating operator.
    pub fn term_ioi(&self) -> Option<Cow<'a, [u8]>> {
        self.param(b"term-ioi")
    }

    /// A parameter (name in any case), without its quotes.
    pub fn param(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        let (first, value) = self.first;
        let found = if first.eq_ignore_ascii_case(name) { value } else { self.rest.get(name) };
        found.map(grammar::unquote)
    }

    /// Every parameter, quotes kept.
    pub fn params(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        std::iter::once(self.first).chain(self.rest)
    }

    /// The vector with its operator identifiers replaced; `None` leaves one out, everything else is kept.
    pub fn with_ioi(&self, orig: Option<&[u8]>, term: Option<&[u8]>) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let is_ioi =
            |name: &[u8]| name.eq_ignore_ascii_case(b"orig-ioi") || name.eq_ignore_ascii_case(b"term-ioi");
        for (name, value) in self.params().filter(|(name, _)| !is_ioi(name)) {
            write_param(name, value, &mut out);
        }
        write_iois(orig, term, &mut out);
        out
    }
}

impl Message {
    /// The P-Charging-Vector; `None` when absent.
    pub fn charging_vector(&self) -> Option<Result<ChargingVector<'_>, FieldError>> {
        self.first(Name::PChargingVector).map(ChargingVector::parse)
    }
}

/// A new P-Charging-Vector. ICID and operators are written as quoted strings where a token does not hold them.
pub fn charging_vector(
    icid: &[u8],
    generated_at: Option<&[u8]>,
    orig: Option<&[u8]>,
    term: Option<&[u8]>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    write_text(b"icid-value", icid, &mut out);
    if let Some(generated_at) = generated_at {
        write_text(b"icid-generated-at", generated_at, &mut out);
    }
    write_iois(orig, term, &mut out);
    out
}

/// One address of P-Charging-Function-Addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargingFunction<'a> {
    /// `ccf`: where CDRs of offline charging go.
    Ccf(Cow<'a, [u8]>),
    /// `ecf`: who decides in online charging.
    Ecf(Cow<'a, [u8]>),
}

/// The addresses of a P-Charging-Function-Addresses value, in order; unknown parameters are passed over.
pub fn charging_functions(value: &[u8]) -> Result<impl Iterator<Item = ChargingFunction<'_>>, FieldError> {
    let (first, rest) = read_params(value).ok_or(FieldError::syntax(Name::PChargingFunctionAddresses))?;
    Ok(std::iter::once(first).chain(rest).filter_map(|(name, value)| {
        let address = grammar::unquote(value?);
        match name {
            name if name.eq_ignore_ascii_case(b"ccf") => Some(ChargingFunction::Ccf(address)),
            name if name.eq_ignore_ascii_case(b"ecf") => Some(ChargingFunction::Ecf(address)),
            _ => None,
        }
    }))
}

type Param<'a> = (&'a [u8], Option<&'a [u8]>);

/// Reads `name=value *( ";" name [ "=" value ] )`.
fn read_params(value: &[u8]) -> Option<(Param<'_>, Params<'_>)> {
    let value = grammar::trim(value);
    let (name, rest) = grammar::take_token(value);
    let first = grammar::trim_start(grammar::trim_start(rest).strip_prefix(b"=")?);
    let end = match first.first()? {
        b'"' => grammar::quoted_end(first)?,
        _ => first.iter().position(|byte| *byte == b';' || grammar::is_lws(*byte)).unwrap_or(first.len()),
    };
    let (first, rest) = first.split_at(end);
    if name.is_empty() || first.is_empty() {
        return None;
    }
    Some(((name, Some(first)), Params::parse(rest)?))
}

fn write_iois(orig: Option<&[u8]>, term: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(orig) = orig {
        write_text(b"orig-ioi", orig, out);
    }
    if let Some(term) = term {
        write_text(b"term-ioi", term, out);
    }
}

fn write_text(name: &[u8], text: &[u8], out: &mut Vec<u8>) {
    if grammar::is_token(text) {
        write_param(name, Some(text), out);
    } else {
        let mut quoted = Vec::with_capacity(text.len() + 2);
        grammar::write_quoted(text, &mut quoted);
        write_param(name, Some(&quoted), out);
    }
}

fn write_param(name: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b';');
    }
    out.extend_from_slice(name);
    if let Some(value) = value {
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_comes_apart_in_any_order() {
        let vector = ChargingVector::parse(
            b"orig-ioi=home1.net; icid-value=\"AyretyU0dm+6O2Ir\" ;x;icid-generated-at=[::1]",
        )
        .unwrap();
        assert_eq!(vector.icid_value().as_ref(), b"AyretyU0dm+6O2Ir");
        assert_eq!(vector.orig_ioi().unwrap().as_ref(), b"home1.net");
        assert_eq!(vector.term_ioi(), None);
        assert_eq!(vector.icid_generated_at().unwrap().as_ref(), b"[::1]");
    }

    #[test]
    fn operators_are_replaced_and_the_rest_is_kept() {
        let vector = ChargingVector::parse(b"icid-value=1;orig-ioi=a;ggsn=[::1];term-ioi=b").unwrap();
        assert_eq!(
            vector.with_ioi(Some(b"a"), Some(b"type 3 c")),
            b"icid-value=1;ggsn=[::1];orig-ioi=a;term-ioi=\"type 3 c\""
        );
        assert_eq!(vector.with_ioi(None, None), b"icid-value=1;ggsn=[::1]");
    }

    #[test]
    fn a_vector_without_icid_is_refused() {
        for broken in ["", "orig-ioi=a", "icid-value", "icid-value=", "icid-value=\"open", "icid-value=1;;"] {
            assert!(ChargingVector::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_new_vector_is_read_back() {
        let built = charging_vector(b"a b", Some(b"192.0.2.1"), Some(b"home1.net"), None);
        assert_eq!(built, b"icid-value=\"a b\";icid-generated-at=192.0.2.1;orig-ioi=home1.net");
        assert_eq!(ChargingVector::parse(&built).unwrap().icid_value().as_ref(), b"a b");
    }

    #[test]
    fn charging_functions_keep_their_order() {
        let found: Vec<_> =
            charging_functions(b"ccf=192.0.2.1; ccf=\"aaa://x\";ecf=[::1];y").unwrap().collect();
        let [ChargingFunction::Ccf(first), ChargingFunction::Ccf(second), ChargingFunction::Ecf(third)] =
            &found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!(
            (first.as_ref(), second.as_ref(), third.as_ref()),
            (&b"192.0.2.1"[..], &b"aaa://x"[..], &b"[::1]"[..])
        );
    }
}
