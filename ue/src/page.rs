//! Requests that stand alone: pager-mode MESSAGE (RFC 3428) and OPTIONS (RFC 3261 §11).

use crate::command::{Notice, RequestFailure};
use crate::initial_request::Thread;
use crate::response::{ALLOW, Extra, SDP, SUPPORTED};
use crate::ue::{Ue, Waiting};
use cscf::role::Outcome;
use cscf::{Incoming, Reject, Turn};
use sip_core::{Message, Method, Name, Status};

/// The longest text of a MESSAGE (RFC 3428 §8).
const TEXT_MAX: usize = 1300;
const TEXT: &str = "text/plain";

impl Ue {
    /// Sends a MESSAGE.
    pub(crate) fn message(
        &mut self,
        turn: &mut Turn<'_, Ue>,
        to: &str,
        text: &str,
    ) -> Result<(), &'static str> {
        if text.len() > TEXT_MAX {
            return Err("text is longer than 1300 bytes");
        }
        let request = self
            .initial_request(&mut Thread::new(turn), Method::Message, to)?
            .body("text/plain;charset=UTF-8", text.as_bytes());
        turn.originate(
            self.config.handset.finish(request),
            self.target(),
            Waiting::Message { to: to.to_owned() },
        );
        Ok(())
    }

    /// Sends an OPTIONS.
    pub(crate) fn options(&mut self, turn: &mut Turn<'_, Ue>, to: &str) -> Result<(), &'static str> {
        let contact = self.contact(turn);
        let request = self
            .initial_request(&mut Thread::new(turn), Method::Options, to)?
            .header(Name::Contact, &contact)
            .header(Name::Accept, SDP);
        turn.originate(
            self.config.handset.finish(request),
            self.target(),
            Waiting::Options { to: to.to_owned() },
        );
        Ok(())
    }

    pub(crate) fn message_outcome(&mut self, turn: &mut Turn<'_, Ue>, to: &str, outcome: Outcome<'_>) {
        let to = to.to_owned();
        match finished(&outcome) {
            None => {}
            Some(Ok(status)) => turn.notice(Notice::MessageSent { to, status }),
            Some(Err(failure)) => turn.notice(Notice::MessageFailed { to, failure }),
        }
    }

    pub(crate) fn options_outcome(&mut self, turn: &mut Turn<'_, Ue>, to: &str, outcome: Outcome<'_>) {
        if let Some(outcome) = finished(&outcome) {
            turn.notice(Notice::OptionsAnswered { to: to.to_owned(), outcome });
        }
    }

    /// A MESSAGE came, inside or outside of a dialog.
    pub(crate) fn paged(&mut self, turn: &mut Turn<'_, Ue>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        require_known_extensions(message)?;
        let kind = message.first(Name::ContentType).unwrap_or(TEXT.as_bytes());
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !kind.eq_ignore_ascii_case(TEXT.as_bytes()) {
            let reject = Reject::new(Status::UNSUPPORTED_MEDIA_TYPE, "only plain text is displayed");
            return Err(reject.header(Name::Accept, TEXT));
        }
        let text = String::from_utf8_lossy(message.body()).into_owned();
        turn.reply(request, Status::OK, |response| response);
        turn.notice(Notice::MessageReceived { from: sender(message), text });
        Ok(())
    }

    /// An OPTIONS came: what would an INVITE get? (RFC 3261 §11.2)
    pub(crate) fn capabilities(&mut self, turn: &mut Turn<'_, Ue>, request: &Incoming) {
        let extra = Extra::none()
            .header(Name::Contact, self.contact(turn))
            .header(Name::Accept, format!("{SDP}, {TEXT}"))
            .header(Name::Allow, ALLOW)
            .header(Name::Supported, SUPPORTED);
        turn.reply(request, Status::OK, |response| extra.fill(response));
    }
}

/// Who sent a request: the asserted identity, else From (RFC 3325 §8).
pub(crate) fn sender(request: &Message) -> String {
    let asserted = request.name_addrs(Name::PAssertedIdentity).find_map(|(_, identity)| identity.ok());
    let from = asserted.or_else(|| request.from().ok());
    from.map_or_else(String::new, |from| String::from_utf8_lossy(from.uri()).into_owned())
}

/// RFC 3261 §8.2.2.3: an extension that is required and not known is named in a 420.
pub(crate) fn require_known_extensions(request: &Message) -> Result<(), Reject> {
    let is_known =
        |tag: &&[u8]| SUPPORTED.split(", ").any(|known| known.as_bytes().eq_ignore_ascii_case(tag));
    let unknown: Vec<_> = request
        .option_tags(Name::Require)
        .filter(|tag| !is_known(tag))
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Reject::new(Status::BAD_EXTENSION, "required extension is not known")
        .header(Name::Unsupported, unknown.join(", ")))
}

/// What a request of ours finally came to; `None` after a provisional response.
fn finished(outcome: &Outcome<'_>) -> Option<Result<Status, RequestFailure>> {
    match outcome {
        Outcome::Response(response) => match response.message.status()? {
            status if status.is_provisional() => None,
            status if status.is_success() => Some(Ok(status)),
            status => Some(Err(RequestFailure::Refused(status))),
        },
        Outcome::Timeout => Some(Err(RequestFailure::Timeout)),
        Outcome::Unreachable(why) => Some(Err(RequestFailure::Unreachable(why))),
    }
}
