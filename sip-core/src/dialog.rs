//! Dialogs (RFC 3261 §12): what two user agents must remember to send each other requests in a row.
//!
//! Pure state: built of the message that makes the dialog, fed with the requests and responses in it, asked for the
//! next request. When a dialog ends is its owner's to say.

use crate::build::RequestBuilder;
use crate::fields::FieldError;
use crate::fields::name_addr::NameAddr;
use crate::message::Message;
use crate::method::Method;
use crate::name::Name;
use crate::uri::Uri;
use std::fmt;

/// What identifies a dialog at one of its ends (RFC 3261 §12).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogId {
    /// The Call-ID.
    pub call_id: Vec<u8>,
    /// Our tag.
    pub local_tag: Vec<u8>,
    /// The other end's tag.
    pub remote_tag: Vec<u8>,
}

impl DialogId {
    /// The dialog that a request from the other end names: its To tag is ours. `None` for a request outside dialogs.
    pub fn of_request(request: &Message) -> Option<DialogId> {
        DialogId::read(request, request.to().ok()?, request.from().ok()?)
    }

    /// The dialog that a response to a request of ours makes or belongs to; `None` when its To has no tag.
    pub fn of_response(response: &Message) -> Option<DialogId> {
        DialogId::read(response, response.from().ok()?, response.to().ok()?)
    }

    fn read(message: &Message, local: NameAddr<'_>, remote: NameAddr<'_>) -> Option<DialogId> {
        Some(DialogId {
            call_id: message.call_id().to_vec(),
            local_tag: local.tag()?.to_vec(),
            remote_tag: remote.tag()?.to_vec(),
        })
    }
}

impl fmt::Debug for DialogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        write!(f, "{}/{}/{}", text(&self.call_id), text(&self.local_tag), text(&self.remote_tag))
    }
}

/// How far a dialog has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A provisional response made it.
    Early,
    /// A 2xx made or confirmed it.
    Confirmed,
}

/// Why a message makes no dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialogError {
    /// A field that a dialog is made of is missing or unreadable.
    Field(FieldError),
    /// From or To has no tag.
    NoTag,
    /// There is no Contact to send requests to.
    NoContact,
}

impl fmt::Display for DialogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialogError::Field(error) => error.fmt(f),
            DialogError::NoTag => f.write_str("From or To has no tag"),
            DialogError::NoContact => f.write_str("Contact is missing"),
        }
    }
}

impl std::error::Error for DialogError {}

impl From<FieldError> for DialogError {
    fn from(error: FieldError) -> DialogError {
        DialogError::Field(error)
    }
}

/// A request came that is older than one before it: to be answered with a 500 (RFC 3261 §12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfOrder;

/// One end of a dialog.
#[derive(Clone, Debug)]
pub struct Dialog {
    id: DialogId,
    state: State,
    /// Our From value, tag included.
    local: Vec<u8>,
    /// Our To value, tag included.
    remote: Vec<u8>,
    local_sequence: u32,
    /// `None` until the other end has sent a request.
    remote_sequence: Option<u32>,
    /// Route values, the next hop first.
    route_set: Vec<Vec<u8>>,
    remote_target: Vec<u8>,
}

/// What a confirmed dialog consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialogParts<'a> {
    /// The Call-ID.
    pub call_id: &'a [u8],
    /// Our From value, tag included.
    pub local: &'a [u8],
    /// Our To value, tag included.
    pub remote: &'a [u8],
    /// The CSeq number of our latest request.
    pub local_sequence: u32,
    /// The CSeq number of the other end's latest request, where it is known.
    pub remote_sequence: Option<u32>,
    /// Route values, the next hop first.
    pub route_set: Vec<&'a [u8]>,
    /// The other end's Contact URI.
    pub remote_target: &'a [u8],
}

impl Dialog {
    /// The dialog that a 101 to 299 to a request of ours makes (RFC 3261 §12.1.2).
    pub fn of_response(response: &Message) -> Result<Dialog, DialogError> {
        let (from, to, cseq) = (response.from()?, response.to()?, response.cseq()?);
        let id = DialogId::of_response(response).ok_or(DialogError::NoTag)?;
        let is_final = response.status().is_some_and(|status| status.is_final());
        Ok(Dialog {
            id,
            state: if is_final { State::Confirmed } else { State::Early },
            local: from.raw().to_vec(),
            remote: to.raw().to_vec(),
            local_sequence: cseq.number,
            remote_sequence: None,
            route_set: response.all(Name::RecordRoute).rev().map(|(_, route)| route.to_vec()).collect(),
            remote_target: contact(response)?,
        })
    }

    /// The dialog that a response of ours with `local_tag` makes (RFC 3261 §12.1.1).
    pub fn of_request(request: &Message, local_tag: &[u8]) -> Result<Dialog, DialogError> {
        let (from, to, cseq) = (request.from()?, request.to()?, request.cseq()?);
        let mut local = to.raw().to_vec();
        if to.tag().is_none() {
            local.extend_from_slice(b";tag=");
            local.extend_from_slice(local_tag);
        }
        Ok(Dialog {
            id: DialogId {
                call_id: request.call_id().to_vec(),
                local_tag: local_tag.to_vec(),
                remote_tag: from.tag().ok_or(DialogError::NoTag)?.to_vec(),
            },
            state: State::Early,
            local,
            remote: from.raw().to_vec(),
            local_sequence: 0,
            remote_sequence: Some(cseq.number),
            route_set: request.all(Name::RecordRoute).map(|(_, route)| route.to_vec()).collect(),
            remote_target: contact(request)?,
        })
    }

    /// A dialog of what was kept of it.
    pub fn of_parts(parts: DialogParts<'_>) -> Result<Dialog, DialogError> {
        let tag = |name, value| -> Result<Vec<u8>, DialogError> {
            Ok(NameAddr::parse(name, value)?.tag().ok_or(DialogError::NoTag)?.to_vec())
        };
        Ok(Dialog {
            id: DialogId {
                call_id: parts.call_id.to_vec(),
                local_tag: tag(Name::From, parts.local)?,
                remote_tag: tag(Name::To, parts.remote)?,
            },
            state: State::Confirmed,
            local: parts.local.to_vec(),
            remote: parts.remote.to_vec(),
            local_sequence: parts.local_sequence,
            remote_sequence: parts.remote_sequence,
            route_set: parts.route_set.into_iter().map(<[u8]>::to_vec).collect(),
            remote_target: parts.remote_target.to_vec(),
        })
    }

    /// What is to be kept of a confirmed dialog for [`Dialog::of_parts`].
    pub fn parts(&self) -> DialogParts<'_> {
        DialogParts {
            call_id: &self.id.call_id,
            local: &self.local,
            remote: &self.remote,
            local_sequence: self.local_sequence,
            remote_sequence: self.remote_sequence,
            route_set: self.route_set().collect(),
            remote_target: &self.remote_target,
        }
    }

    /// What identifies it.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// How far it has come.
    pub fn state(&self) -> State {
        self.state
    }

    /// Where requests are addressed to: the other end's Contact URI.
    pub fn remote_target(&self) -> &[u8] {
        &self.remote_target
    }

    /// The proxies on the way, the next hop first, as Route values.
    pub fn route_set(&self) -> impl Iterator<Item = &[u8]> {
        self.route_set.iter().map(Vec::as_slice)
    }

    /// The CSeq number of our latest request.
    pub fn local_sequence(&self) -> u32 {
        self.local_sequence
    }

    /// A 2xx came to our INVITE: the dialog is confirmed, its route set and target are those of the 2xx
    /// (RFC 3261 §13.2.2.4).
    pub fn confirmed_by(&mut self, response: &Message) {
        self.state = State::Confirmed;
        self.route_set = response.all(Name::RecordRoute).rev().map(|(_, route)| route.to_vec()).collect();
        self.refresh_target(response);
    }

    /// The dialog was made by a request of the other end that overtook the answer to ours of this number, which began it
    /// (RFC 6665 §4.1.2.4).
    pub fn begun_by_us(&mut self, number: u32) {
        self.state = State::Confirmed;
        self.local_sequence = self.local_sequence.max(number);
    }

    /// We sent a 2xx to the other end's INVITE.
    pub fn confirm(&mut self) {
        self.state = State::Confirmed;
    }

    /// Takes the Contact of a target refresh request, or of a 2xx to one of ours (RFC 3261 §12.2.1.2, §12.2.2).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Ok(target) = contact(message) {
            self.remote_target = target;
        }
    }

    /// Whether a request in the dialog comes in order (RFC 3261 §12.2.2); remembers its number. An ACK repeats the one
    /// of its INVITE and is always in order.
    pub fn receive(&mut self, request: &Message) -> Result<(), OutOfOrder> {
        if request.method() == Method::Ack {
            return Ok(());
        }
        let number = request.cseq().map_err(|_| OutOfOrder)?.number;
        if self.remote_sequence.is_some_and(|last| number < last) {
            return Err(OutOfOrder);
        }
        self.remote_sequence = Some(number);
        Ok(())
    }

    /// The next request in the dialog (RFC 3261 §12.2.1.1), complete but for Via, Contact and what the method needs.
    pub fn request(&mut self, method: Method<'_>) -> RequestBuilder {
        self.local_sequence = self.local_sequence.saturating_add(1);
        self.request_numbered(method, self.local_sequence)
    }

    /// The ACK to the 2xx of the INVITE with this number (RFC 3261 §13.2.2.4).
    pub fn ack(&self, invite: u32) -> RequestBuilder {
        self.request_numbered(Method::Ack, invite)
    }

    fn request_numbered(&self, method: Method<'_>, number: u32) -> RequestBuilder {
        let (uri, routes) = self.first_hop();
        let mut request = RequestBuilder::new(method, uri);
        for route in routes {
            request = request.header(Name::Route, &route);
        }
        request
            .header(Name::MaxForwards, "70")
            .header(Name::From, &self.local[..])
            .header(Name::To, &self.remote[..])
            .header(Name::CallId, &self.id.call_id[..])
            .header(Name::CSeq, format_args!("{number} {method}"))
    }

    /// The Request-URI and the Route values. A first hop without `lr` is a strict router: it gets the Request-URI, and
    /// the target goes to the end of the list (RFC 3261 §12.2.1.1).
    fn first_hop(&self) -> (&[u8], Vec<Vec<u8>>) {
        let first = self.route_set.first().and_then(|route| NameAddr::parse(Name::Route, route).ok());
        match first {
            Some(first) if Uri::parse(first.uri()).is_ok_and(|uri| uri.param(b"lr").is_none()) => {
                let target = [b"<", &self.remote_target[..], b">"].concat();
                (first.uri(), self.route_set.iter().skip(1).cloned().chain([target]).collect())
            }
            _ => (&self.remote_target, self.route_set.clone()),
        }
    }
}

/// The URI of the first Contact.
fn contact(message: &Message) -> Result<Vec<u8>, DialogError> {
    let (_, contact) = message.contacts().next().ok_or(DialogError::NoContact)?;
    Ok(contact?.uri().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Limits;

    fn message(text: &str) -> Message {
        Message::parse(text.replace('\n', "\r\n").into_bytes(), &Limits::default()).unwrap()
    }

    fn response(status: &str, more: &str) -> Message {
        message(&format!(
            "SIP/2.0 {status}\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\nFrom: <sip:alice@home>;tag=a\nTo: <sip:bob@home>;tag=b\n\
             Call-ID: c\nCSeq: 7 INVITE\n{more}\n"
        ))
    }

    const RINGING: &str =
        "Contact: <sip:bob@10.0.0.2>\nRecord-Route: <sip:p2;lr>, <sip:s2;lr>\nRecord-Route: <sip:p1;lr>\n";

    fn invite() -> Message {
        message(
            "INVITE sip:bob@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP p2;branch=z9hG4bK1\nFrom: <sip:alice@home>;tag=a\n\
             To: <sip:bob@home>\nCall-ID: c\nCSeq: 7 INVITE\nContact: <sip:alice@10.0.0.1>\n\
             Record-Route: <sip:p2;lr>, <sip:s2;lr>\nRecord-Route: <sip:p1;lr>\n\n",
        )
    }

    fn text(builder: RequestBuilder) -> String {
        String::from_utf8(builder.build()).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn the_caller_walks_the_record_route_backwards() {
        let mut dialog = Dialog::of_response(&response("180 Ringing", RINGING)).unwrap();
        assert_eq!(dialog.state(), State::Early);
        assert_eq!(
            text(dialog.request(Method::Prack)),
            "PRACK sip:bob@10.0.0.2 SIP/2.0\nRoute: <sip:p1;lr>\nRoute: <sip:s2;lr>\nRoute: <sip:p2;lr>\nMax-Forwards: 70\n\
             From: <sip:alice@home>;tag=a\nTo: <sip:bob@home>;tag=b\nCall-ID: c\nCSeq: 8 PRACK\nContent-Length: 0\n\n"
        );
    }

    #[test]
    fn the_called_walks_it_forwards_with_the_ends_swapped() {
        let mut dialog = Dialog::of_request(&invite(), b"b").unwrap();
        dialog.confirm();
        assert_eq!(
            text(dialog.request(Method::Bye)),
            "BYE sip:alice@10.0.0.1 SIP/2.0\nRoute: <sip:p2;lr>\nRoute: <sip:s2;lr>\nRoute: <sip:p1;lr>\nMax-Forwards: 70\n\
             From: <sip:bob@home>;tag=b\nTo: <sip:alice@home>;tag=a\nCall-ID: c\nCSeq: 1 BYE\nContent-Length: 0\n\n"
        );
    }

    #[test]
    fn both_ends_agree_on_what_the_dialog_is_called() {
        let caller = Dialog::of_response(&response("200 OK", RINGING)).unwrap();
        let called = Dialog::of_request(&invite(), b"b").unwrap();
        assert_eq!(caller.id().local_tag, called.id().remote_tag);
        assert_eq!(caller.id().remote_tag, called.id().local_tag);
        assert_eq!(DialogId::of_response(&response("200 OK", "")), Some(caller.id().clone()));
        assert_eq!(
            DialogId::of_request(&invite()),
            None,
            "an INVITE without a To tag is outside of any dialog"
        );
    }

    #[test]
    fn a_2xx_replaces_route_set_and_target_of_the_early_dialog() {
        let mut dialog = Dialog::of_response(&response("180 Ringing", RINGING)).unwrap();
        dialog.confirmed_by(&response("200 OK", "Contact: <sip:bob@10.0.0.9>\nRecord-Route: <sip:p1;lr>\n"));
        assert_eq!(dialog.state(), State::Confirmed);
        assert_eq!(dialog.remote_target(), b"sip:bob@10.0.0.9");
        assert_eq!(dialog.route_set().collect::<Vec<_>>(), [b"<sip:p1;lr>"]);
        assert!(text(dialog.ack(7)).contains("\nCSeq: 7 ACK\n"));
        assert_eq!(dialog.local_sequence(), 7, "an ACK takes no number of its own");
    }

    #[test]
    fn an_older_request_is_out_of_order_and_an_ack_never_is() {
        let mut dialog = Dialog::of_request(&invite(), b"b").unwrap();
        let numbered = |method: &str, number: u32| {
            message(&format!(
                "{method} sip:bob@10.0.0.2 SIP/2.0\nFrom: <sip:alice@home>;tag=a\nTo: <sip:bob@home>;tag=b\nCall-ID: c\n\
                 CSeq: {number} {method}\n\n"
            ))
        };
        assert_eq!(dialog.receive(&numbered("UPDATE", 20)), Ok(()));
        assert_eq!(dialog.receive(&numbered("ACK", 7)), Ok(()));
        assert_eq!(dialog.receive(&numbered("BYE", 19)), Err(OutOfOrder));
        assert_eq!(dialog.receive(&numbered("BYE", 21)), Ok(()));
    }

    #[test]
    fn a_strict_router_takes_the_place_of_the_target() {
        let strict = "Contact: <sip:bob@10.0.0.2>\nRecord-Route: <sip:p2;lr>, <sip:old>\n";
        let mut dialog = Dialog::of_response(&response("200 OK", strict)).unwrap();
        let bye = text(dialog.request(Method::Bye));
        assert!(
            bye.starts_with("BYE sip:old SIP/2.0\nRoute: <sip:p2;lr>\nRoute: <sip:bob@10.0.0.2>\n"),
            "{bye}"
        );
    }

    #[test]
    fn a_dialog_goes_on_from_what_was_kept_of_it() {
        let mut dialog = Dialog::of_request(&invite(), b"b").unwrap();
        dialog.request(Method::Notify);
        let mut kept = Dialog::of_parts(dialog.parts()).unwrap();
        assert_eq!(kept.id(), dialog.id());
        assert_eq!(text(kept.request(Method::Bye)), text(dialog.request(Method::Bye)));
        let untagged = DialogParts { local: b"<sip:bob@home>", ..dialog.parts() };
        assert_eq!(Dialog::of_parts(untagged).unwrap_err(), DialogError::NoTag);
    }

    #[test]
    fn no_dialog_without_a_tag_or_a_contact() {
        let untagged = message(
            "SIP/2.0 200 OK\nFrom: <sip:a@h>;tag=a\nTo: <sip:b@h>\nCall-ID: c\nCSeq: 1 INVITE\nContact: <sip:b@1>\n\n",
        );
        assert_eq!(Dialog::of_response(&untagged).unwrap_err(), DialogError::NoTag);
        assert_eq!(Dialog::of_response(&response("200 OK", "")).unwrap_err(), DialogError::NoContact);
        assert!(matches!(
            Dialog::of_response(&response("200 OK", "Contact: \"open <sip:b@1>\n")).unwrap_err(),
            DialogError::Field(_)
        ));
    }
}
