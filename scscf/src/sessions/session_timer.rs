//! Session timers at a proxy (RFC 4028 §8).
//!
//! Pure: what a request or response says goes in, what to write comes out.

use cscf::Reject;
use sip_core::{Message, Name, Status};

/// The operator's values, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Inserted where the caller asks for none; a longer wish is shortened to it.
    pub expires_s: u32,
    /// The shortest that is let through.
    pub min_s: u32,
}

/// What to write into a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestEdit<'m> {
    /// Session-Expires: seconds, and the parameters that stay behind them, with their semicolon.
    pub session_expires: Option<(u32, &'m str)>,
    /// Min-SE.
    pub min_se: Option<u32>,
    /// What the session interval is from here on.
    pub interval_s: u32,
}

/// What a request that sets up or refreshes a session needs (RFC 4028 §8.1).
pub fn of_request(message: &Message, limits: Limits) -> Result<RequestEdit<'_>, Reject> {
    let malformed = |_| Reject::new(Status::BAD_REQUEST, "malformed session timer");
    let min_se = read(message, Name::MinSe).transpose().map_err(malformed)?.map(|(seconds, _)| seconds);
    let floor_s = min_se.unwrap_or(0).max(limits.min_s);
    let Some((asked_s, params)) = read(message, Name::SessionExpires).transpose().map_err(malformed)? else {
        let interval_s = limits.expires_s.max(floor_s);
        return Ok(RequestEdit { session_expires: Some((interval_s, "")), min_se: None, interval_s });
    };
    if asked_s < limits.min_s {
        if supports_timer(message) {
            return Err(Reject::new(Status::SESSION_INTERVAL_TOO_SMALL, "session interval too small")
                .header(Name::MinSe, limits.min_s.to_string()));
        }
        // The caller could not make anything of a 422: the interval is raised on its behalf.
        return Ok(RequestEdit {
            session_expires: Some((floor_s, params)),
            min_se: Some(floor_s),
            interval_s: floor_s,
        });
    }
    let wanted_s = limits.expires_s.max(floor_s);
    if asked_s > wanted_s {
        return Ok(RequestEdit {
            session_expires: Some((wanted_s, params)),
            min_se: None,
            interval_s: wanted_s,
        });
    }
    Ok(RequestEdit { session_expires: None, min_se: None, interval_s: asked_s })
}

/// What a 2xx means for the session (RFC 4028 §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// It runs for this long.
    Every(u32),
    /// The callee knows no timer but the caller does: the caller refreshes, which the proxy writes into the response.
    CallerEvery(u32),
    /// Nobody refreshes.
    Never,
}

/// Reads a 2xx to a request that asked for `interval_s`.
pub fn of_response(request: &Message, response: &Message, interval_s: u32) -> Refresh {
    match read(response, Name::SessionExpires) {
        Some(Ok((agreed_s, _))) => Refresh::Every(agreed_s),
        _ if supports_timer(request) => Refresh::CallerEvery(interval_s),
        _ => Refresh::Never,
    }
}

/// Whether the sender of a request can refresh.
fn supports_timer(message: &Message) -> bool {
    message.has_option(Name::Supported, b"timer")
}

/// Seconds, and the parameters behind them with their semicolon.
fn read(message: &Message, name: Name) -> Option<Result<(u32, &str), ()>> {
    let Ok(value) = std::str::from_utf8(message.first(name)?) else { return Some(Err(())) };
    let (digits, params) = value.split_at(value.find(';').unwrap_or(value.len()));
    Some(digits.trim().parse().map(|seconds| (seconds, params)).map_err(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { expires_s: 1800, min_s: 120 };

    fn message(start: &str, headers: &str) -> Message {
        let text = format!("{start}\r\nCSeq: 1 INVITE\r\n{headers}\r\n");
        Message::parse(text.into_bytes(), &sip_core::Limits::default()).unwrap()
    }

    fn request(headers: &str) -> Message {
        message("INVITE sip:bob@home1.net SIP/2.0", headers)
    }

    #[test]
    fn each_wish_of_a_caller_is_met_shortened_raised_or_refused() {
        let edit =
            |session_expires, min_se, interval_s| Ok(RequestEdit { session_expires, min_se, interval_s });
        let table = [
            ("", edit(Some((1800, "")), None, 1800)),
            ("Min-SE: 3600\r\n", edit(Some((3600, "")), None, 3600)),
            ("Session-Expires: 600;refresher=uac\r\n", edit(None, None, 600)),
            ("x: 7200;refresher=uas\r\n", edit(Some((1800, ";refresher=uas")), None, 1800)),
            ("x: 7200\r\nMin-SE: 2400\r\n", edit(Some((2400, "")), None, 2400)),
            ("x: 90\r\n", edit(Some((120, "")), Some(120), 120)),
            ("x: 90\r\nk: timer\r\n", Err(Status::SESSION_INTERVAL_TOO_SMALL)),
            ("x: soon\r\n", Err(Status::BAD_REQUEST)),
        ];
        for (headers, expected) in table {
            let request = request(headers);
            let found = of_request(&request, LIMITS).map_err(|refusal| refusal.status);
            assert_eq!(found, expected, "{headers}");
        }
    }

    #[test]
    fn a_refusal_tells_the_least_interval() {
        let request = request("x: 90\r\nSupported: timer\r\n");
        let refusal = of_request(&request, LIMITS).unwrap_err();
        assert_eq!(refusal.headers, [(Name::MinSe, "120".to_owned())]);
    }

    #[test]
    fn the_caller_refreshes_where_the_callee_cannot() {
        let ok = |headers: &str| message("SIP/2.0 200 OK", headers);
        let caller = request("Supported: timer\r\n");
        assert_eq!(of_response(&caller, &ok("x: 600;refresher=uas\r\n"), 1800), Refresh::Every(600));
        assert_eq!(of_response(&caller, &ok(""), 1800), Refresh::CallerEvery(1800));
        assert_eq!(of_response(&request(""), &ok(""), 1800), Refresh::Never);
    }
}
