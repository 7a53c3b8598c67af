//! A SUBSCRIBE as the notifier understands it (RFC 6665 §4.2.1, RFC 3680 §4).

use crate::registrar::expiry::Bounds;
use cscf::Reject;
use cscf::reginfo::{CONTENT_TYPE, PACKAGE};
use sip_core::{Message, Name, Status};

/// What a SUBSCRIBE asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Seconds granted; zero ends the subscription, or fetches the state once.
    pub expires_s: u32,
    /// The `id` of its Event, which every NOTIFY repeats.
    pub event_id: Option<Box<[u8]>>,
}

/// RFC 3680 §4.4: 3761 seconds, where the subscriber names no time.
pub const EXPIRES_DEFAULT_S: u32 = 3761;

impl Subscribe {
    /// Reads it, within the operator's bounds on expiry.
    pub fn read(message: &Message, bounds: Bounds) -> Result<Subscribe, Reject> {
        let event = message.event().map_err(|_| bad_event())?;
        if !event.package.eq_ignore_ascii_case(PACKAGE.as_bytes()) {
            return Err(bad_event());
        }
        let mut accepted =
            message.all(Name::Accept).flat_map(|(_, value)| sip_core::grammar::values(value)).peekable();
        if accepted.peek().is_some() && !accepted.any(takes_reginfo) {
            return Err(Reject::new(Status::NOT_ACCEPTABLE, "only reginfo is told")
                .header(Name::Accept, CONTENT_TYPE));
        }
        let asked = message.expires().map_err(|_| Reject::new(Status::BAD_REQUEST, "malformed expires"))?;
        Ok(Subscribe { expires_s: bounds.grant(asked)?, event_id: event.id().map(Box::from) })
    }
}

/// RFC 6665 §4.2.1.1: what is not known is named with what is.
fn bad_event() -> Reject {
    Reject::new(Status::BAD_EVENT, "event package not served").header(Name::AllowEvents, PACKAGE)
}

fn takes_reginfo(range: &[u8]) -> bool {
    let range = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [CONTENT_TYPE, "application/*", "*/*"].iter().any(|known| range.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    #[test]
    fn each_subscribe_is_granted_or_refused_with_what_would_do() {
        let bounds = Bounds { min_s: 60, default_s: EXPIRES_DEFAULT_S, max_s: 600_000 };
        let granted = |expires_s, id: Option<&str>| {
            Ok(Subscribe { expires_s, event_id: id.map(|id| Box::from(id.as_bytes())) })
        };
        for (headers, expected) in [
            ("Event: reg\r\n", granted(EXPIRES_DEFAULT_S, None)),
            ("Event: reg;id=7\r\nExpires: 600000\r\n", granted(600_000, Some("7"))),
            (
                "o: reg\r\nExpires: 4000000\r\nAccept: text/plain, application/reginfo+xml;q=0.5\r\n",
                granted(600_000, None),
            ),
            ("Event: reg\r\nExpires: 0\r\nAccept: */*\r\n", granted(0, None)),
            ("Event: presence\r\n", Err((Status::BAD_EVENT, Some((Name::AllowEvents, "reg".to_owned()))))),
            ("Expires: 60\r\n", Err((Status::BAD_EVENT, Some((Name::AllowEvents, "reg".to_owned()))))),
            (
                "Event: reg\r\nExpires: 59\r\n",
                Err((Status::INTERVAL_TOO_BRIEF, Some((Name::MinExpires, "60".to_owned())))),
            ),
            (
                "Event: reg\r\nAccept: application/pidf+xml\r\n",
                Err((Status::NOT_ACCEPTABLE, Some((Name::Accept, CONTENT_TYPE.to_owned())))),
            ),
            ("Event: reg\r\nExpires: soon\r\n", Err((Status::BAD_REQUEST, None))),
        ] {
            let text = format!("SUBSCRIBE sip:a@h SIP/2.0\r\nCSeq: 1 SUBSCRIBE\r\n{headers}\r\n");
            let message = Message::parse(text.into_bytes(), &Limits::default()).expect("a message");
            let found = Subscribe::read(&message, bounds)
                .map_err(|refusal| (refusal.status, refusal.headers.into_iter().next()));
            assert_eq!(found, expected, "{headers}");
        }
    }
}
