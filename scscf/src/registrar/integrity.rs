//! The `integrity-protected` parameter: how the P-CSCF got the REGISTER (TS 24.229 §7.2A.2, TS 33.203 §6.1.5).

/// How far the P-CSCF vouches for a REGISTER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Integrity {
    /// `yes`: over the security associations of IMS-AKA.
    Protected,
    /// `no`: IMS-AKA, not over an association.
    Unprotected,
    /// `tls-yes` and `ip-assoc-yes`: SIP digest, bound to a connection or address that authenticated before.
    Associated,
    /// `tls-pending` and `ip-assoc-pending`: SIP digest, not bound yet.
    Pending,
    /// `tls-connected`: AKA over TLS.
    Connected,
    /// `auth-done`: authenticated by a trusted node.
    Done,
    /// No parameter, or one that nobody defined.
    #[default]
    Absent,
}

impl Integrity {
    /// Reads the parameter's value.
    pub fn of(value: Option<&[u8]>) -> Integrity {
        let Some(value) = value else { return Integrity::Absent };
        const VALUES: [(&[u8], Integrity); 8] = [
            (b"yes", Integrity::Protected),
            (b"no", Integrity::Unprotected),
            (b"tls-yes", Integrity::Associated),
            (b"ip-assoc-yes", Integrity::Associated),
            (b"tls-pending", Integrity::Pending),
            (b"ip-assoc-pending", Integrity::Pending),
            (b"tls-connected", Integrity::Connected),
            (b"auth-done", Integrity::Done),
        ];
        VALUES
            .iter()
            .find(|(text, _)| text.eq_ignore_ascii_case(value))
            .map_or(Integrity::Absent, |(_, integrity)| *integrity)
    }

    /// Whether a REGISTER without a challenge of its own may change bindings.
    pub fn is_protected(self) -> bool {
        matches!(self, Integrity::Protected | Integrity::Associated | Integrity::Connected)
    }

    /// Whether the scheme is SIP digest.
    pub fn is_digest(self) -> bool {
        matches!(self, Integrity::Associated | Integrity::Pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_spec_is_read_and_anything_else_vouches_for_nothing() {
        assert_eq!(Integrity::of(Some(b"yes")), Integrity::Protected);
        assert_eq!(Integrity::of(Some(b"TLS-Yes")), Integrity::Associated);
        for worthless in [None, Some(&b""[..]), Some(b"true"), Some(b"no"), Some(b"tls-pending")] {
            assert!(!Integrity::of(worthless).is_protected(), "{worthless:?}");
        }
    }
}
