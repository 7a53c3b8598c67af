//! What counts as a refusal, and its cause in a few words.

use diameter_client::cx::CxResult;
use diameter_client::dictionary::VENDOR_3GPP;
use sip_core::{Message, Name};

/// The cause of a response that refuses.
///
/// A challenge and the demand for an agreement (RFC 3329) ask for more, and who hangs up early is not refused.
pub fn of_response(code: u32, reason: &str, message: &Message) -> Option<String> {
    if code < 400 || matches!(code, 401 | 407 | 423 | 487 | 494) {
        return None;
    }
    let told = message.first(Name::Warning).map(String::from_utf8_lossy);
    let words = told.as_deref().and_then(|warning| warning.split('"').nth(1)).filter(|text| !text.is_empty());
    Some(match words {
        Some(words) => format!("{code} {reason}: {words}"),
        None => format!("{code} {reason}"),
    })
}

/// The cause of a Diameter answer that refuses.
pub fn of_answer(name: &str, code: u32, is_experimental: bool) -> Option<String> {
    // 1001 of CEA is never final; a first registration is a success of its own number (TS 29.229 §6.2.1).
    if (2000..3000).contains(&code) {
        return None;
    }
    if code == 0 {
        return Some(format!("{name} without a result"));
    }
    let result = match is_experimental {
        true => CxResult::Experimental { vendor: VENDOR_3GPP, code },
        false => CxResult::Base(code),
    };
    Some(format!("{name} {result}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    #[test]
    fn a_challenge_and_a_hang_up_are_no_refusals() {
        let message = |warning: &str| {
            let text = format!("SIP/2.0 403 Forbidden\r\n{warning}CSeq: 1 INVITE\r\n\r\n");
            Message::parse(text.into_bytes(), &Limits::default()).expect("a response")
        };
        let plain = message("");
        for code in [100, 180, 200, 302, 401, 407, 487, 494] {
            assert_eq!(of_response(code, "x", &plain), None, "{code}");
        }
        assert_eq!(of_response(403, "Forbidden", &plain).as_deref(), Some("403 Forbidden"));
        let warned = message("Warning: 399 h \"barred\"\r\n");
        assert_eq!(of_response(403, "Forbidden", &warned).as_deref(), Some("403 Forbidden: barred"));
    }

    #[test]
    fn the_two_number_spaces_of_results_are_told_apart() {
        assert_eq!(of_answer("UAA", 2001, false), None);
        assert_eq!(of_answer("UAA", 2002, true), None);
        let cause = |code, experimental| of_answer("UAA", code, experimental).expect("a refusal");
        assert_eq!(cause(5001, true), "UAA 5001 ERROR_USER_UNKNOWN (3GPP)");
        assert_eq!(cause(5001, false), "UAA 5001 AVP_UNSUPPORTED");
        assert_eq!(cause(0, false), "UAA without a result");
    }
}
