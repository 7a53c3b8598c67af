//! An identity where it is kept: most identities of a network end in its domain, which is kept once.

use cscf::identity::Impu;
use std::fmt;

/// An identity as it was written, in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'b> {
    /// All of it, or what stands before the `@`.
    own: &'b str,
    /// What stands behind the `@`; empty where nothing is shared.
    domain: &'b str,
}

impl<'b> Written<'b> {
    /// `own` alone; at `domain`, if that is not empty.
    pub fn new(own: &'b str, domain: &'b str) -> Written<'b> {
        Written { own, domain }
    }

    /// Cuts the domain off an identity, if it ends in it.
    pub fn cut(identity: &'b str, domain: &'b str) -> Written<'b> {
        let own = identity.strip_suffix(domain).filter(|_| !domain.is_empty());
        match own.and_then(|own| own.strip_suffix('@')) {
            Some(own) => Written { own, domain },
            None => Written { own: identity, domain: "" },
        }
    }

    /// What is its own, and whether the domain comes behind it.
    pub fn parts(self) -> (&'b str, bool) {
        (self.own, !self.domain.is_empty())
    }

    /// Whether it is this, letter by letter.
    pub fn is(self, identity: &[u8]) -> bool {
        if self.domain.is_empty() {
            return self.own.as_bytes() == identity;
        }
        let rest = identity.strip_suffix(self.domain.as_bytes());
        rest.and_then(|rest| rest.strip_suffix(b"@")) == Some(self.own.as_bytes())
    }

    /// The identity that it names.
    pub fn impu(self) -> Option<Impu> {
        match self.domain {
            "" => Impu::parse(self.own.as_bytes()),
            _ => Impu::parse(self.to_string().as_bytes()),
        }
    }
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.own)?;
        if self.domain.is_empty() {
            return Ok(());
        }
        f.write_str("@")?;
        f.write_str(self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_cut_at_the_domain_that_it_ends_in_and_nowhere_else() {
        for (identity, domain, own) in [
            ("sip:alice@home.net", "home.net", "sip:alice"),
            ("sip:alice@home.net;user=phone", "home.net", "sip:alice@home.net;user=phone"),
            ("sip:alice@HOME.net", "home.net", "sip:alice@HOME.net"),
            ("sip:alice@away.home.net", "home.net", "sip:alice@away.home.net"),
            ("tel:+491", "home.net", "tel:+491"),
            ("sip:alice@", "", "sip:alice@"),
        ] {
            let written = Written::cut(identity, domain);
            assert_eq!(written.parts().0, own);
            assert_eq!(written.to_string(), identity);
            assert!(written.is(identity.as_bytes()) && !written.is(b"sip:bob@home.net"));
            assert_eq!(written.impu(), Impu::parse(identity.as_bytes()));
        }
        assert!(!Written::new("sip:alice", "home.net").is(b"sip:alicehome.net"));
    }
}
