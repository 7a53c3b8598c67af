//! The subscriber's end of a subscription to the reg event package (RFC 6665 §4.1, RFC 3680 §4.9). Pure state.

use super::{CONTENT_TYPE, Extent, PACKAGE, Reginfo, read};
use crate::reject::Reject;
use sip_core::dialog::{Dialog, DialogId};
use sip_core::{Message, Method, Name, NameAddr, RequestBuilder, Status};
use std::time::Duration;

/// A subscription of ours.
#[derive(Debug)]
pub struct Watcher {
    call_id: Box<str>,
    tag: Box<str>,
    /// `None` until a 2xx or a NOTIFY has come, whichever is first.
    dialog: Option<Dialog>,
    /// Of the latest document.
    version: Option<u32>,
}

/// What a NOTIFY says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What is new; `None` for a NOTIFY without a body, or with one that is known.
    pub reginfo: Option<Reginfo>,
    /// Whether a document is missing before this one: the whole state is to be asked for (RFC 3680 §5.1).
    pub is_missing: bool,
    /// How the subscription has ended, where it has.
    pub over: Option<Over>,
}

/// What a subscriber does when a subscription has ended (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It may subscribe anew at once.
    Again,
    /// There is nothing to watch, or it may not.
    ForGood,
}

impl Watcher {
    /// A subscription that is about to be asked for.
    pub fn new(call_id: impl Into<Box<str>>, tag: impl Into<Box<str>>) -> Watcher {
        Watcher { call_id: call_id.into(), tag: tag.into(), dialog: None, version: None }
    }

    /// Call-ID and our tag, for the SUBSCRIBE that begins it; its CSeq is 1.
    pub fn begin(&self) -> (&str, &str) {
        (&self.call_id, &self.tag)
    }

    /// The SUBSCRIBE that refreshes it, complete but for Via, Contact and Expires, and the URI of its first hop; `None`
    /// while nobody has answered.
    pub fn refresh(&mut self) -> Option<(RequestBuilder, Vec<u8>)> {
        let dialog = self.dialog.as_mut()?;
        let route = dialog.route_set().next().and_then(|route| NameAddr::parse(Name::Route, route).ok());
        let first_hop = route.map_or(dialog.remote_target(), |route| route.uri()).to_vec();
        let request = dialog.request(Method::Subscribe);
        Some((request.header(Name::Event, PACKAGE).header(Name::Accept, CONTENT_TYPE), first_hop))
    }

    /// Whether a request names it.
    pub fn is_named_by(&self, request: &Message) -> bool {
        request.call_id() == self.call_id.as_bytes()
            && request.to().is_ok_and(|to| to.tag() == Some(self.tag.as_bytes()))
    }

    /// A 2xx came to a SUBSCRIBE; gives how long the subscription lasts from here on.
    pub fn granted(&mut self, response: &Message, asked: Duration) -> Duration {
        match &mut self.dialog {
            Some(dialog) => dialog.refresh_target(response),
            None => self.dialog = Dialog::of_response(response).ok(),
        }
        let seconds = response.expires().ok().flatten();
        seconds.map_or(asked, |seconds| Duration::from_secs(u64::from(seconds))).min(asked)
    }

    /// A NOTIFY came; refuses what is not of this subscription.
    pub fn notified(&mut self, notify: &Message) -> Result<Told, Reject> {
        let gone = || Reject::new(Status::CALL_DOES_NOT_EXIST, "no such subscription");
        let bad = |cause| Reject::new(Status::BAD_REQUEST, cause);
        if !self.is_named_by(notify) {
            return Err(gone());
        }
        if notify.event().map_err(|_| bad("notify without event"))?.package != PACKAGE.as_bytes() {
            return Err(Reject::new(Status::BAD_EVENT, "another package").header(Name::AllowEvents, PACKAGE));
        }
        let state = notify.subscription_state().map_err(|_| bad("notify without subscription-state"))?;
        match &mut self.dialog {
            Some(dialog) => {
                if DialogId::of_request(notify).is_none_or(|named| named != *dialog.id()) {
                    return Err(gone());
                }
                if dialog.receive(notify).is_err() {
                    return Err(Reject::new(Status::SERVER_INTERNAL_ERROR, "cseq is out of order"));
                }
                dialog.refresh_target(notify);
            }
            // RFC 6665 §4.1.2.4: it may be faster than the 2xx.
            None => {
                let mut dialog = Dialog::of_request(notify, self.tag.as_bytes())
                    .map_err(|error| bad("notify makes no dialog").detail(error.to_string()))?;
                dialog.begun_by_us(1);
                self.dialog = Some(dialog);
            }
        }
        let over = state.is_terminated().then(|| match state.reason() {
            Some(b"deactivated" | b"timeout") => Over::Again,
            _ => Over::ForGood,
        });
        if notify.body().is_empty() {
            return Ok(Told { reginfo: None, is_missing: false, over });
        }
        let reginfo =
            read(notify.body()).map_err(|error| bad("malformed reginfo").detail(error.to_string()))?;
        let known = self.version;
        if known.is_some_and(|known| reginfo.version <= known) {
            return Ok(Told { reginfo: None, is_missing: false, over });
        }
        self.version = Some(reginfo.version);
        let follows = known.map_or(0, |known| known.saturating_add(1));
        let is_missing = reginfo.extent == Extent::Partial && reginfo.version > follows;
        Ok(Told { reginfo: Some(reginfo), is_missing, over })
    }
}

/// When a subscription is refreshed (TS 24.229 §5.1.1.3, §5.2.3): 600 s before its end, at half time when it is short.
pub fn refresh_point(lifetime: Duration) -> Duration {
    const EARLY: Duration = Duration::from_secs(600);
    if lifetime > 2 * EARLY { lifetime - EARLY } else { lifetime / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    fn message(text: &str) -> Message {
        Message::parse(text.replace('\n', "\r\n").into_bytes(), &Limits::default()).expect("a message")
    }

    fn notify(cseq: u32, headers: &str, version: u32, state: &str) -> Message {
        let body = format!("<reginfo version=\"{version}\" state=\"{state}\"></reginfo>");
        message(&format!(
            "NOTIFY sip:us@h SIP/2.0\nFrom: <sip:alice@h>;tag=n\nTo: <sip:us@h>;tag=t\nCall-ID: c\nCSeq: {cseq} NOTIFY\n\
             Contact: <sip:notifier@h>\nRecord-Route: <sip:p;lr>\nEvent: reg\n{headers}Content-Length: {}\n\n{body}",
            body.len()
        ))
    }

    const ACTIVE: &str = "Subscription-State: active;expires=60\n";

    #[test]
    fn a_notify_before_the_2xx_makes_the_dialog_and_the_refresh_goes_on_in_it() {
        let mut watcher = Watcher::new("c", "t");
        assert!(watcher.refresh().is_none());
        let told = watcher.notified(&notify(1, ACTIVE, 0, "full")).expect("ours");
        assert_eq!(told.reginfo.map(|reginfo| reginfo.version), Some(0));
        let ok = message(
            "SIP/2.0 200 OK\nFrom: <sip:us@h>;tag=t\nTo: <sip:alice@h>;tag=n\nCall-ID: c\nCSeq: 1 SUBSCRIBE\n\
             Contact: <sip:notifier@h>\nExpires: 900\n\n",
        );
        assert_eq!(watcher.granted(&ok, Duration::from_secs(3600)), Duration::from_secs(900));
        let (request, first_hop) = watcher.refresh().expect("a dialog");
        let request = String::from_utf8(request.build()).expect("text");
        assert!(
            request.starts_with("SUBSCRIBE sip:notifier@h SIP/2.0\r\nRoute: <sip:p;lr>\r\n"),
            "{request}"
        );
        assert!(
            request.contains("CSeq: 2 SUBSCRIBE\r\n") && request.contains("To: <sip:alice@h>;tag=n\r\n"),
            "{request}"
        );
        assert_eq!(first_hop, b"sip:p;lr");
    }

    #[test]
    fn an_older_document_is_passed_over_and_a_missing_one_is_noticed() {
        let mut watcher = Watcher::new("c", "t");
        for (cseq, version, state, is_new, is_missing) in [
            (1, 0, "full", true, false),
            (2, 1, "partial", true, false),
            (3, 1, "partial", false, false),
            (4, 3, "partial", true, true),
            (5, 9, "full", true, false),
        ] {
            let told = watcher.notified(&notify(cseq, ACTIVE, version, state)).expect("ours");
            assert_eq!((told.reginfo.is_some(), told.is_missing), (is_new, is_missing), "{version} {state}");
        }
    }

    #[test]
    fn the_end_of_a_subscription_says_whether_to_begin_anew() {
        for (state, expected) in [
            ("active", None),
            ("terminated;reason=deactivated", Some(Over::Again)),
            ("terminated;reason=timeout", Some(Over::Again)),
            ("terminated;reason=noresource", Some(Over::ForGood)),
            ("terminated", Some(Over::ForGood)),
        ] {
            let mut watcher = Watcher::new("c", "t");
            let notify = notify(1, &format!("Subscription-State: {state}\n"), 0, "full");
            assert_eq!(watcher.notified(&notify).expect("ours").over, expected, "{state}");
        }
    }

    #[test]
    fn a_notify_of_another_or_of_none_is_refused() {
        let mut watcher = Watcher::new("c", "t");
        watcher.notified(&notify(5, ACTIVE, 0, "full")).expect("ours");
        let text = |from: &str, to: &str| {
            let notify = notify(6, ACTIVE, 1, "full");
            let text = String::from_utf8(notify.bytes().to_vec()).expect("text").replace("\r\n", "\n");
            message(&text.replace(from, to))
        };
        for (from, to, status) in [
            ("Call-ID: c", "Call-ID: d", Status::CALL_DOES_NOT_EXIST),
            ("tag=t", "tag=u", Status::CALL_DOES_NOT_EXIST),
            ("tag=n", "tag=m", Status::CALL_DOES_NOT_EXIST),
            ("CSeq: 6", "CSeq: 4", Status::SERVER_INTERNAL_ERROR),
            ("Event: reg", "Event: presence", Status::BAD_EVENT),
            (ACTIVE, "", Status::BAD_REQUEST),
            ("<reginfo version", "<reginfos version", Status::BAD_REQUEST),
        ] {
            let refusal = watcher.notified(&text(from, to)).expect_err(to);
            assert_eq!(refusal.status, status, "{to}");
        }
    }
}
