//! Privacy: what a user wants hidden (RFC 3323 §4.2, RFC 3325 §9.3).

use crate::grammar;
use crate::message::Message;
use crate::name::Name;

/// The wishes of all Privacy lines of a message together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// `header`: hide what routing headers tell.
    pub header: bool,
    /// `session`: hide the media addresses.
    pub session: bool,
    /// `user`: the user's identity, which a UA asks a service to hide.
    pub user: bool,
    /// `id`: keep the asserted identity inside the trust domain.
    pub id: bool,
    /// `history`: keep History-Info inside (RFC 7044).
    pub history: bool,
    /// `none`: the user wants nothing hidden.
    pub none: bool,
    /// `critical`: rather fail than go without.
    pub critical: bool,
}

impl Privacy {
    /// Reads one value; unknown wishes are passed over. Semicolons separate wishes, and commas are taken as well.
    pub fn parse(value: &[u8]) -> Privacy {
        let mut privacy = Privacy::default();
        for wish in value.split(|byte| matches!(byte, b';' | b',')) {
            let wish = grammar::trim(wish);
            let known: [(&[u8], &mut bool); 7] = [
                (b"header", &mut privacy.header),
                (b"session", &mut privacy.session),
                (b"user", &mut privacy.user),
                (b"id", &mut privacy.id),
                (b"history", &mut privacy.history),
                (b"none", &mut privacy.none),
                (b"critical", &mut privacy.critical),
            ];
            for (name, wanted) in known {
                *wanted |= wish.eq_ignore_ascii_case(name);
            }
        }
        privacy
    }
}

impl Message {
    /// What the message's Privacy lines ask for; nothing when absent.
    pub fn privacy(&self) -> Privacy {
        self.all(Name::Privacy).map(|(_, value)| Privacy::parse(value)).fold(Privacy::default(), |a, b| {
            Privacy {
                header: a.header | b.header,
                session: a.session | b.session,
                user: a.user | b.user,
                id: a.id | b.id,
                history: a.history | b.history,
                none: a.none | b.none,
                critical: a.critical | b.critical,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Limits;

    #[test]
    fn wishes_are_collected_over_lines() {
        let text =
            b"OPTIONS sip:b SIP/2.0\r\nPrivacy: ID; critical\r\nPrivacy: user,sparkle\r\n\r\n".to_vec();
        let privacy = Message::parse(text, &Limits::default()).unwrap().privacy();
        assert_eq!(privacy, Privacy { id: true, critical: true, user: true, ..Privacy::default() });
    }
}
