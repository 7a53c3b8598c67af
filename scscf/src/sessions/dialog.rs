//! The sessions of the users that are served here: what it takes to end one from the middle (TS 24.229 §5.4.5.1).
//!
//! Routing never needs this: what a later request needs stands in its Route. A session that is lost in a restart runs
//! on; it only cannot be released any more.

use ambient::TimerId;
use cscf::context::ContextId;
use cscf::identity::Impu;
use sip_core::{Message, Method, Name, NameAddr, RequestBuilder};
use std::collections::BTreeMap;

/// Names one session; a random number, so that a token of an earlier life of this process names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// How many bits of it are used: what a token carries.
    pub const BITS: u32 = 60;
}

/// One end of a session, as seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Party {
    /// From or To, with the tag.
    address: Vec<u8>,
    tag: Vec<u8>,
    /// Contact URI.
    target: Vec<u8>,
    /// The route from here to this end.
    routes: Vec<Vec<u8>>,
    /// The highest CSeq number that this end has sent.
    sequence: u32,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// The user that is served.
    pub impu: Impu,
    /// The INVITE, while it has no final response.
    pub context: Option<ContextId>,
    /// The network ended it before it was answered: an answer that comes all the same is ended at once.
    pub is_released: bool,
    /// Ends the record when nobody refreshes.
    pub timer: Option<TimerId>,
    call_id: Vec<u8>,
    /// CSeq number of the INVITE, which its ACK repeats.
    invite_sequence: u32,
    caller: Party,
    /// One per 2xx: a forked INVITE may have several.
    callees: Vec<Party>,
}

/// More 2xx than this to one INVITE are not kept; a caller ends all but one anyway (RFC 3261 §13.2.2.4).
const CALLEES_MAX: usize = 8;

impl Session {
    /// The session that an initial INVITE asks for; `None` when it lacks what a dialog needs.
    pub fn of_invite(invite: &Message, impu: Impu, context: Option<ContextId>) -> Option<Session> {
        let from = invite.from().ok()?;
        let caller = Party {
            address: from.raw().to_vec(),
            tag: from.tag()?.to_vec(),
            target: contact(invite)?,
            // RFC 3261 §12.1.1: the called side uses the recorded routes as they stand.
            routes: routes(invite).collect(),
            sequence: invite.cseq().ok()?.number,
        };
        Some(Session {
            impu,
            context,
            is_released: false,
            timer: None,
            call_id: invite.call_id().to_vec(),
            invite_sequence: caller.sequence,
            caller,
            callees: Vec::new(),
        })
    }

    /// A 2xx to the INVITE came by. `own` tells which recorded routes are ours.
    pub fn answered(&mut self, response: &Message, own: impl Fn(&[u8]) -> bool) {
        self.context = None;
        let (Ok(to), Some(target)) = (response.to(), contact(response)) else { return };
        let Some(tag) = to.tag() else { return };
        // Between us and the called side, in its order, stand the entries above our own; the way there is the reverse.
        let mut beyond: Vec<Vec<u8>> = routes(response).take_while(|route| !own(route)).collect();
        beyond.reverse();
        let callee =
            Party { address: to.raw().to_vec(), tag: tag.to_vec(), target, routes: beyond, sequence: 0 };
        match self.callees.iter().position(|known| known.tag == callee.tag) {
            Some(at) => self.callees[at].target = callee.target,
            None if self.callees.len() < CALLEES_MAX => self.callees.push(callee),
            None => {}
        }
    }

    /// Whether a 2xx was seen.
    pub fn is_answered(&self) -> bool {
        !self.callees.is_empty()
    }

    /// A request within the session passed: sequence numbers and, for a target refresh, the new contact.
    pub fn passed(&mut self, request: &Message) {
        let (Ok(from), Ok(cseq)) = (request.from(), request.cseq()) else { return };
        let Some(tag) = from.tag() else { return };
        let refreshes = matches!(request.method(), Method::Invite | Method::Update);
        let sender = match self.caller.tag == tag {
            true => Some(&mut self.caller),
            false => self.callees.iter_mut().find(|callee| callee.tag == tag),
        };
        let Some(sender) = sender else { return };
        sender.sequence = sender.sequence.max(cseq.number);
        if refreshes && let Some(target) = contact(request) {
            sender.target = target;
        }
    }

    /// The BYEs that end it, each with the URI of its first hop: one to each end, as if it came from the other.
    pub fn byes(&self, reason: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.callees
            .iter()
            .flat_map(|callee| {
                [self.bye(&self.caller, callee, reason), self.bye(callee, &self.caller, reason)]
            })
            .collect()
    }

    /// The ACK and the BYE by which the last 2xx is ended in the caller's place, and the URI of their first hop.
    pub fn refusal_of_answer(&self, reason: &str) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        let callee = self.callees.last()?;
        let ack = self.within(Method::Ack, self.invite_sequence, &self.caller, callee).build();
        let (bye, first_hop) = self.bye(&self.caller, callee, reason);
        Some((ack, bye, first_hop))
    }

    fn bye(&self, from: &Party, to: &Party, reason: &str) -> (Vec<u8>, Vec<u8>) {
        let sequence = from.sequence.saturating_add(1);
        let bytes = self.within(Method::Bye, sequence, from, to).header(Name::Reason, reason).build();
        let first = to
            .routes
            .first()
            .and_then(|route| Some(NameAddr::parse(Name::Route, route).ok()?.uri().to_vec()));
        (bytes, first.unwrap_or_else(|| to.target.clone()))
    }

    fn within(&self, method: Method<'_>, sequence: u32, from: &Party, to: &Party) -> RequestBuilder {
        let word = String::from_utf8_lossy(method.as_bytes()).into_owned();
        let mut request = RequestBuilder::new(method, &to.target[..]);
        for route in &to.routes {
            request = request.header(Name::Route, &route[..]);
        }
        request
            .header(Name::MaxForwards, "70")
            .header(Name::From, &from.address[..])
            .header(Name::To, &to.address[..])
            .header(Name::CallId, &self.call_id[..])
            .header(Name::CSeq, format_args!("{sequence} {word}"))
    }
}

fn contact(message: &Message) -> Option<Vec<u8>> {
    let (_, contact) = message.contacts().next()?;
    Some(contact.ok()?.uri().to_vec())
}

fn routes(message: &Message) -> impl Iterator<Item = Vec<u8>> {
    message.record_routes().filter_map(|(_, route)| Some(route.ok()?.raw().to_vec()))
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: BTreeMap<SessionId, Session>,
}

impl Sessions {
    /// Keeps a session.
    pub fn insert(&mut self, id: SessionId, session: Session) {
        self.by_id.insert(id, session);
    }

    /// The session of this id.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    /// Takes a session out.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.by_id.remove(&id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.by_id.iter().map(|(id, session)| (*id, session))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::Limits;

    fn parse(text: &str) -> Message {
        Message::parse(text.replace('\n', "\r\n").into_bytes(), &Limits::default()).unwrap()
    }

    fn session() -> Session {
        let invite = parse(
            "INVITE sip:bob@home1.net SIP/2.0\nRecord-Route: <sip:t@s1;lr>, <sip:p1;lr>\nCSeq: 4 INVITE\n\
             From: <sip:alice@home1.net>;tag=a\nTo: <sip:bob@home1.net>\nCall-ID: c1\n\
             Contact: <sip:alice@10.0.0.1>\n\n",
        );
        let mut session =
            Session::of_invite(&invite, Impu::parse(b"sip:alice@home1.net").unwrap(), None).unwrap();
        let ok = parse(
            "SIP/2.0 200 OK\nRecord-Route: <sip:p2;lr>, <sip:s2;lr>, <sip:own;lr>, <sip:t@s1;lr>, <sip:p1;lr>\n\
             CSeq: 4 INVITE\nFrom: <sip:alice@home1.net>;tag=a\nTo: <sip:bob@home1.net>;tag=b\nCall-ID: c1\n\
             Contact: <sip:bob@10.0.0.2>\n\n",
        );
        session.answered(&ok, |route| route == b"<sip:own;lr>");
        session
    }

    #[test]
    fn a_release_sends_a_bye_to_each_end_by_its_own_way() {
        let byes = session().byes("SIP;cause=503");
        let text: Vec<String> =
            byes.iter().map(|(bytes, _)| String::from_utf8_lossy(bytes).into_owned()).collect();
        assert!(
            text[0]
                .starts_with("BYE sip:bob@10.0.0.2 SIP/2.0\r\nRoute: <sip:s2;lr>\r\nRoute: <sip:p2;lr>\r\n"),
            "{}",
            text[0]
        );
        assert!(
            text[0].contains("CSeq: 5 BYE") && text[0].contains("From: <sip:alice@home1.net>;tag=a"),
            "{}",
            text[0]
        );
        assert!(
            text[1].starts_with(
                "BYE sip:alice@10.0.0.1 SIP/2.0\r\nRoute: <sip:t@s1;lr>\r\nRoute: <sip:p1;lr>\r\n"
            ),
            "{}",
            text[1]
        );
        assert!(
            text[1].contains("CSeq: 1 BYE") && text[1].contains("From: <sip:bob@home1.net>;tag=b"),
            "{}",
            text[1]
        );
        assert_eq!(byes[0].1, b"sip:s2;lr");
    }

    #[test]
    fn requests_within_the_session_raise_the_sequence_and_move_the_target() {
        let mut session = session();
        session.passed(&parse(
            "UPDATE sip:alice@10.0.0.1 SIP/2.0\nCSeq: 9 UPDATE\nFrom: <sip:bob@home1.net>;tag=b\n\
             To: <sip:alice@home1.net>;tag=a\nCall-ID: c1\nContact: <sip:bob@10.0.0.9>\n\n",
        ));
        let byes = session.byes("SIP;cause=503");
        assert!(byes[0].0.starts_with(b"BYE sip:bob@10.0.0.9 "));
        assert!(String::from_utf8_lossy(&byes[1].0).contains("CSeq: 10 BYE"));
    }

    #[test]
    fn an_invite_without_tag_or_contact_makes_no_session() {
        for headers in ["From: <sip:a@h>\nContact: <sip:a@1>\n", "From: <sip:a@h>;tag=1\n"] {
            let invite = parse(&format!("INVITE sip:b@h SIP/2.0\nCSeq: 1 INVITE\nCall-ID: c\n{headers}\n"));
            assert!(
                Session::of_invite(&invite, Impu::parse(b"sip:a@h").unwrap(), None).is_none(),
                "{headers}"
            );
        }
    }
}
