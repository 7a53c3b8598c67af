//! Default handling: what happens when an application server fails (TS 24.229 §5.4.3.2 and §5.4.3.3, TS 29.228 Annex B).
//!
//! Pure: how it failed goes in, what follows comes out.

use super::chain::Life;
use cscf::user_data::DefaultHandling;
use cscf::{Failure, Reject};
use sip_core::{Method, Status};

/// What follows when the request at an application server has ended without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// The criterion counts as worked off: the request goes on as it came here, without the application server.
    Continue,
    /// What the application server said is the answer.
    PassOn,
    /// It said nothing, and this is the answer.
    Refuse(Reject),
}

/// What follows `failure` of a request by `method`.
pub fn after(failure: &Failure<'_>, handling: DefaultHandling, life: Life, method: Method<'_>) -> Then {
    if life != Life::Unknown || !is_of_server(failure) {
        return Then::PassOn;
    }
    match (handling, failure) {
        (DefaultHandling::SessionContinued, _) => Then::Continue,
        (DefaultHandling::SessionTerminated, Failure::Response(_)) => Then::PassOn,
        (DefaultHandling::SessionTerminated, Failure::Timeout { .. }) => Then::Refuse(match method {
            Method::Invite => Reject::new(Status::REQUEST_TIMEOUT, SILENT),
            // RFC 4320 §4.2: a 408 is for INVITE only.
            _ => Reject::new(Status::SERVER_TIMEOUT, SILENT),
        }),
        (DefaultHandling::SessionTerminated, Failure::Unreachable(_)) => {
            Then::Refuse(Reject::new(Status::SERVER_TIMEOUT, "application server cannot be reached"))
        }
    }
}

const SILENT: &str = "application server does not answer";

/// Whether it is a failure of the application server, and not its decision about the request.
fn is_of_server(failure: &Failure<'_>) -> bool {
    match failure {
        Failure::Response(response) => response
            .status()
            .is_some_and(|status| status == Status::REQUEST_TIMEOUT || (500..600).contains(&status.code())),
        Failure::Timeout { .. } | Failure::Unreachable(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DefaultHandling::{SessionContinued, SessionTerminated};
    use sip_core::{Limits, Message};

    fn response(code: u16) -> Message {
        let text = format!("SIP/2.0 {code} X\r\nCSeq: 1 INVITE\r\n\r\n");
        Message::parse(text.into_bytes(), &Limits::default()).expect("a response")
    }

    fn refused(then: Then) -> Option<u16> {
        match then {
            Then::Refuse(reject) => Some(reject.status.code()),
            Then::Continue | Then::PassOn => None,
        }
    }

    #[test]
    fn each_failure_is_handled_as_the_criterion_says_and_each_decision_is_passed_on() {
        let then = |code, handling, life| {
            let message = response(code);
            after(&Failure::Response(&message), handling, life, Method::Invite)
        };
        for code in [408, 500, 503, 504, 580] {
            assert_eq!(then(code, SessionContinued, Life::Unknown), Then::Continue, "{code}");
            assert_eq!(then(code, SessionTerminated, Life::Unknown), Then::PassOn, "{code}");
            // Who has shown life has decided.
            assert_eq!(then(code, SessionContinued, Life::Shown), Then::PassOn, "{code}");
        }
        for code in [302, 403, 404, 407, 480, 486, 487, 600, 603] {
            for handling in [SessionContinued, SessionTerminated] {
                assert_eq!(then(code, handling, Life::Unknown), Then::PassOn, "{code}");
            }
        }
    }

    #[test]
    fn silence_and_an_address_where_nobody_is_are_handled_or_refused() {
        for failure in [Failure::Timeout { answered: false }, Failure::Unreachable("refused")] {
            let then = |handling, life, method| after(&failure, handling, life, method);
            assert_eq!(then(SessionContinued, Life::Unknown, Method::Invite), Then::Continue);
            assert_eq!(then(SessionTerminated, Life::Shown, Method::Invite), Then::PassOn);
            assert!(refused(then(SessionTerminated, Life::Unknown, Method::Message)) == Some(504));
        }
        let silent = Failure::Timeout { answered: true };
        assert_eq!(refused(after(&silent, SessionTerminated, Life::Unknown, Method::Invite)), Some(408));
    }
}
