//! Session timers (RFC 4028): what is asked for, what is agreed, who refreshes.

use sip_core::grammar::{self, Params};
use sip_core::{Message, Name};
use std::time::Duration;

/// Which end of the INVITE or UPDATE refreshes the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresher {
    /// The one that sent the request.
    Uac,
    /// The one that answered it.
    Uas,
}

/// What two ends agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) expires: Duration,
    pub(crate) refresher: Refresher,
}

/// The shortest interval that anybody may ask for (RFC 4028 §5).
pub(crate) const SHORTEST: Duration = Duration::from_secs(90);

impl Interval {
    /// The value of Session-Expires.
    pub(crate) fn field(&self) -> String {
        let refresher = match self.refresher {
            Refresher::Uac => "uac",
            Refresher::Uas => "uas",
        };
        format!("{};refresher={refresher}", self.expires.as_secs())
    }

    /// When the refresher refreshes: at half time (RFC 4028 §7.2).
    pub(crate) fn refresh_point(&self) -> Duration {
        self.expires / 2
    }

    /// When the other end gives the session up: 32 s, or a third of the interval, before its end (RFC 4028 §10).
    pub(crate) fn give_up_point(&self) -> Duration {
        self.expires - (self.expires / 3).min(Duration::from_secs(32))
    }

    /// What a 2xx to our request agreed on; `None`: no session timer (RFC 4028 §7.2).
    pub(crate) fn of_response(response: &Message) -> Option<Interval> {
        let (expires, refresher) = asked(response)?;
        Some(Interval { expires: expires.max(SHORTEST), refresher: refresher.unwrap_or(Refresher::Uac) })
    }

    /// What we agree to for a request (RFC 4028 §9); the error is the Min-SE of a 422.
    ///
    /// `ours` is the interval that we would like when the other end asks for none.
    pub(crate) fn of_request(
        request: &Message,
        least: Duration,
        ours: Option<Duration>,
    ) -> Result<Option<Interval>, Duration> {
        let supports =
            request.has_option(Name::Supported, b"timer") || request.has_option(Name::Require, b"timer");
        let least = least.max(SHORTEST);
        match asked(request) {
            Some((expires, _)) if expires < least && supports => Err(least),
            Some((expires, refresher)) => {
                // An end that does not know session timers cannot refresh.
                let refresher = if supports { refresher.unwrap_or(Refresher::Uac) } else { Refresher::Uas };
                let min_se = seconds(request, Name::MinSe).unwrap_or(SHORTEST);
                let wanted = ours.map_or(expires, |ours| expires.min(ours.max(min_se)));
                Ok(Some(Interval { expires: wanted.max(least), refresher }))
            }
            None => Ok(ours.map(|ours| Interval {
                expires: ours.max(least).max(seconds(request, Name::MinSe).unwrap_or(SHORTEST)),
                refresher: if supports { Refresher::Uac } else { Refresher::Uas },
            })),
        }
    }
}

/// The Min-SE of a 422, or of a request.
pub(crate) fn seconds(message: &Message, name: Name) -> Option<Duration> {
    let (number, _) = grammar::take_token(message.first(name)?);
    Some(Duration::from_secs(u64::from(grammar::number(number)?)))
}

fn asked(message: &Message) -> Option<(Duration, Option<Refresher>)> {
    let expires = seconds(message, Name::SessionExpires)?;
    let (_, rest) = grammar::take_token(message.first(Name::SessionExpires)?);
    let refresher = match Params::lenient(grammar::trim(rest)).get(b"refresher") {
        Some(token) if token.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
        Some(token) if token.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
        _ => None,
    };
    Some((expires, refresher))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    fn invite(headers: &str) -> Message {
        let text = format!("INVITE sip:b@h SIP/2.0\r\n{headers}\r\n");
        Message::parse(text.replace('|', "\r\n").into_bytes(), &Limits::default()).unwrap()
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_called_agrees_to_what_is_asked_unless_it_is_too_short() {
        let cases = [
            ("Supported: timer|x: 1800;refresher=uas|", Ok(Some((1800, Refresher::Uas)))),
            ("Supported: timer|Session-Expires: 1800|", Ok(Some((1800, Refresher::Uac)))),
            ("Session-Expires: 600;refresher=uac|", Ok(Some((600, Refresher::Uas)))),
            ("Supported: timer|Session-Expires: 60|", Err(s(90))),
            ("Session-Expires: 60|", Ok(Some((90, Refresher::Uas)))),
            ("Supported: timer|Session-Expires: 90000|Min-SE: 2000|", Ok(Some((2000, Refresher::Uac)))),
            ("Supported: timer|", Ok(Some((1800, Refresher::Uac)))),
            ("", Ok(Some((1800, Refresher::Uas)))),
        ];
        for (headers, expected) in cases {
            let agreed = Interval::of_request(&invite(headers), SHORTEST, Some(s(1800)));
            let expected = expected
                .map(|agreed| agreed.map(|(expires, refresher)| Interval { expires: s(expires), refresher }));
            assert_eq!(agreed, expected, "{headers}");
        }
        assert_eq!(Interval::of_request(&invite(""), SHORTEST, None), Ok(None));
    }

    #[test]
    fn the_refresher_is_early_and_the_other_end_patient() {
        let interval = Interval { expires: s(1800), refresher: Refresher::Uac };
        assert_eq!((interval.refresh_point(), interval.give_up_point()), (s(900), s(1768)));
        let short = Interval { expires: s(90), ..interval };
        assert_eq!((short.refresh_point(), short.give_up_point()), (s(45), s(60)));
        assert_eq!(interval.field(), "1800;refresher=uac");
    }
}
