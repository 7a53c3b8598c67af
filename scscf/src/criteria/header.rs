//! A condition on header fields: which, and what is in them.

use super::expression::{self, Case, Compiler, Expression, Fault};
use sip_core::name::Cardinality;
use sip_core::{Message, Name};

/// One condition.
#[derive(Debug)]
pub struct Header {
    fields: Fields,
    content: Option<Expression>,
}

/// Which header fields.
#[derive(Debug)]
enum Fields {
    /// One that this stack knows.
    Known(Name),
    /// One that it does not, in any case.
    Other(Box<[u8]>),
    /// All whose name an expression matches.
    Matching {
        /// The known ones, by the bit of their number.
        known: Names,
        /// For the others.
        expression: Expression,
    },
}

/// A set of known names.
#[derive(Clone, Copy, Debug, Default)]
struct Names([u64; 4]);

impl Names {
    fn insert(&mut self, name: Name) {
        self.0[name as usize / 64] |= 1 << (name as usize % 64);
    }

    fn contains(&self, name: Name) -> bool {
        self.0[name as usize / 64] & (1 << (name as usize % 64)) != 0
    }
}

impl Header {
    /// Compiles one; a fault comes with the element that has it.
    ///
    /// A name without operators means the field of that name, and not every one in whose name it occurs as an expression
    /// would have it: `To` is not `Reply-To`.
    pub fn compile(
        header: &str,
        content: Option<&str>,
        compiler: &mut Compiler,
    ) -> Result<Header, (&'static str, Fault)> {
        let fields = match expression::literal(header) {
            Some(name) => match Name::from_bytes(&name) {
                Name::Other => Fields::Other(name.into_boxed_slice()),
                known => Fields::Known(known),
            },
            None => {
                let expression =
                    compiler.compile(header, Case::Ignored).map_err(|fault| ("Header", fault))?;
                let mut known = Names::default();
                Name::known()
                    .filter(|name| expression.matches(name.as_str().as_bytes()))
                    .for_each(|name| known.insert(name));
                Fields::Matching { known, expression }
            }
        };
        let content = content.map(|content| compiler.compile(content, Case::Sensitive)).transpose();
        Ok(Header { fields, content: content.map_err(|fault| ("Content", fault))? })
    }

    /// Whether it asks more than octets can answer.
    pub fn is_machine(&self) -> bool {
        self.content.as_ref().is_some_and(Expression::is_machine)
    }

    /// Whether it asks for no more than one known field.
    pub fn is_look_up(&self) -> bool {
        matches!(self.fields, Fields::Known(_)) && self.content.is_none()
    }

    /// Whether a field is there, and one of its values matches.
    pub fn matches(&self, message: &Message) -> bool {
        let is_met = |name: Name, line: &[u8]| match &self.content {
            None => true,
            Some(content) => a_value_matches(name, line, content),
        };
        match &self.fields {
            Fields::Known(name) => match self.content {
                None => message.has(*name),
                Some(_) if name.cardinality() == Cardinality::Single => {
                    message.first(*name).is_some_and(|line| is_met(*name, line))
                }
                Some(_) => message.has(*name) && message.all(*name).any(|(_, line)| is_met(*name, line)),
            },
            Fields::Other(name) => message.others(name).any(|(_, line)| is_met(Name::Other, line)),
            Fields::Matching { known, expression } => message.slots().any(|(_, name, spelling, line)| {
                let is_named = match name {
                    Name::Other => expression.matches(spelling),
                    name => known.contains(name),
                };
                is_named && is_met(name, line)
            }),
        }
    }
}

/// Whether a value of a line matches: each of a list is one (TS 29.228 Annex F).
fn a_value_matches(name: Name, line: &[u8], content: &Expression) -> bool {
    let is_list = match name.cardinality() {
        // The parser took them apart, or there is only one.
        Cardinality::List | Cardinality::Single => false,
        Cardinality::Lines => !has_commas_between_parameters(name),
    };
    if !is_list || memchr::memchr(b',', line).is_none() {
        return content.matches(line);
    }
    values(line).any(|value| content.matches(value))
}

/// RFC 3261 §7.3.1: the fields of authentication are not lists, their commas stand between parameters.
fn has_commas_between_parameters(name: Name) -> bool {
    matches!(
        name,
        Name::Authorization
            | Name::ProxyAuthorization
            | Name::WwwAuthenticate
            | Name::ProxyAuthenticate
            | Name::AuthenticationInfo
            | Name::ProxyAuthenticationInfo
    )
}

/// The values of a list: commas in quotes and in angle brackets are not between values.
fn values(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut is_quoted, mut is_bracketed, mut is_escaped) = (false, false, false);
        let comma = text.iter().position(|octet| {
            match octet {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                b'<' if !is_quoted => is_bracketed = true,
                b'>' if !is_quoted => is_bracketed = false,
                b',' => return !is_quoted && !is_bracketed,
                _ => {}
            }
            false
        });
        rest = comma.map(|comma| &text[comma + 1..]);
        Some(text[..comma.unwrap_or(text.len())].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::parse::Limits;

    const INVITE: &str = "INVITE sip:b@home1.net SIP/2.0\r\n\
        v: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        From: \"A, B\" <sip:a@home1.net>;tag=1\r\n\
        To: <sip:b@home1.net>\r\n\
        Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\r\n\
        Allow: INVITE, ACK, CANCEL\r\n\
        P-Asserted-Identity: <sip:a@home1.net>, <tel:+4930100001>\r\n\
        X-Foo: one, \"two, three\", <four,five>\r\n\
        X-Empty:\r\n\
        Proxy-Authorization: Digest username=\"a\", realm=\"home1.net\"\r\n\
        CSeq: 7 INVITE\r\n\r\n";

    fn matches(header: &str, content: Option<&str>) -> bool {
        let message = Message::parse(INVITE.as_bytes().to_vec(), &Limits::default()).unwrap();
        Header::compile(header, content, &mut Compiler::default()).unwrap().matches(&message)
    }

    #[test]
    fn a_field_is_named_whole_in_any_case_and_in_its_compact_form() {
        for (header, expected) in [
            ("Via", true),
            ("via", true),
            ("V", true),
            ("X-Foo", true),
            ("x-foo", true),
            ("X-Empty", true),
            ("Contact", false),
            ("Reply-To", false),
            ("X-Fo", false),
            // Expressions are searched for in the name.
            ("Contact$", true),
            ("P-.*-Identity", true),
            ("^X-", true),
            ("^p-asserted", true),
            ("^contact$", false),
            ("Contact|X-Bar", true),
        ] {
            assert_eq!(matches(header, None), expected, "{header}");
        }
    }

    #[test]
    fn content_is_matched_with_each_value_of_a_list_alone() {
        for (header, content, expected) in [
            ("P-Asserted-Identity", "^<tel:", true),
            ("P-Asserted-Identity", "^<tel:.*>$", true),
            ("P-Asserted-Identity", "home1.*tel", false),
            ("Allow", "^ACK$", true),
            ("Allow", "INVITE, ACK", false),
            ("X-Foo", "^\"two, three\"$", true),
            ("X-Foo", "^<four,five>$", true),
            ("X-Foo", "^one$", true),
            ("X-Foo", "^five", false),
            ("X-Empty", "^$", true),
            ("X-Empty", "x", false),
            ("From", "A, B", true),
            ("Proxy-Authorization", "username=\"a\", realm", true),
            ("Accept-Contact", "mmtel", true),
            ("Accept-Contact", "MMTEL", false),
            ("Contact", "", false),
            ("P-.*", "tel:\\+49", true),
            ("P-.*", "tel:\\+44", false),
        ] {
            assert_eq!(matches(header, Some(content)), expected, "{header}: {content}");
        }
    }

    #[test]
    fn a_fault_comes_with_its_element() {
        let fault =
            |header, content| Header::compile(header, content, &mut Compiler::default()).unwrap_err().0;
        assert_eq!(fault("[", None), "Header");
        assert_eq!(fault("To", Some("(")), "Content");
    }
}
