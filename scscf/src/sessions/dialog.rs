//! The sessions of the users that are served here: what it takes to end one from the middle (TS 24.229 §5.4.5.1).
//!
//! Routing never needs this: what a later request needs stands in its Route. A session that is lost in a restart runs
//! on; it only cannot be released any more.

use crate::registrar::binding::Binding;
use crate::registrar::path::Path;
use crate::registrar::{path, same_uri};
use ambient::TimerId;
use ambient::entropy::KeyedState;
use cscf::context::ContextId;
use cscf::identity::Impu;
use sip_core::{Message, Method, Name, NameAddr, RequestBuilder};
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;

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
    /// Address (From or To, with the tag), tag, Contact URI, and the route from here to this end, one behind the other.
    text: Box<[u8]>,
    /// Where each but the last ends.
    ends: [u32; 3],
    /// The highest CSeq number that this end has sent.
    sequence: u32,
}

impl Party {
    fn new(address: &[u8], tag: &[u8], target: &[u8], routes: &[u8], sequence: u32) -> Party {
        let (mut text, mut ends) = (SmallVec::<[u8; 512]>::new(), [0; 3]);
        for (part, end) in [address, tag, target].into_iter().zip(&mut ends) {
            text.extend_from_slice(part);
            *end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        }
        text.extend_from_slice(routes);
        Party { text: Box::from(&text[..]), ends, sequence }
    }

    fn part(&self, number: usize) -> &[u8] {
        let end = |number: usize| self.ends.get(number).map_or(self.text.len(), |end| *end as usize);
        let start = number.checked_sub(1).map_or(0, end);
        self.text.get(start..end(number)).unwrap_or_default()
    }

    fn address(&self) -> &[u8] {
        self.part(0)
    }

    fn tag(&self) -> &[u8] {
        self.part(1)
    }

    fn target(&self) -> &[u8] {
        self.part(2)
    }

    fn routes(&self) -> impl Iterator<Item = &[u8]> {
        path::entries(self.part(3))
    }

    fn move_to(&mut self, target: &[u8]) {
        if self.target() != target {
            *self = Party::new(self.address(), self.tag(), target, self.part(3), self.sequence);
        }
    }
}

/// A branch of an INVITE that has no final response.
#[derive(Debug)]
pub struct Ringing {
    /// Its number.
    pub branch: u16,
    /// Where it went.
    pub binding: Binding,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// The user that is served.
    pub impu: Impu,
    /// The INVITE, while it has no final response.
    pub context: Option<ContextId>,
    /// The branches of an INVITE to the user, while it has no final response.
    pub ringing: SmallVec<[Ringing; 1]>,
    /// Some branch was ended because the network took its contact away.
    pub is_curtailed: bool,
    /// The network ended it before it was answered: an answer that comes all the same is ended at once.
    pub is_released: bool,
    /// Its INVITE came back from an application server.
    pub passes_again: bool,
    /// Ends the record when nobody refreshes.
    pub timer: Option<TimerId>,
    call_id: SmallVec<[u8; 64]>,
    /// CSeq number of the INVITE, which its ACK repeats.
    invite_sequence: u32,
    caller: Party,
    /// One per 2xx: a forked INVITE may have several.
    callees: SmallVec<[Party; 1]>,
}

/// More 2xx than this to one INVITE are not kept; a caller ends all but one anyway (RFC 3261 §13.2.2.4).
const CALLEES_MAX: usize = 8;

impl Session {
    /// The session that an initial INVITE asks for; `None` when it lacks what a dialog needs.
    pub fn of_invite(invite: &Message, impu: Impu, context: Option<ContextId>) -> Option<Session> {
        let (from, sequence) = (invite.from().ok()?, invite.cseq().ok()?.number);
        // RFC 3261 §12.1.1: the called side uses the recorded routes as they stand.
        let mut recorded = Path::default();
        routes(invite).for_each(|route| {
            recorded.push(route.raw());
        });
        let target = contact(invite)?;
        let caller = Party::new(from.raw(), from.tag()?, target.uri(), recorded.packed(), sequence);
        Some(Session {
            impu,
            context,
            ringing: SmallVec::new(),
            is_curtailed: false,
            is_released: false,
            passes_again: false,
            timer: None,
            call_id: invite.call_id().into(),
            invite_sequence: sequence,
            caller,
            callees: SmallVec::new(),
        })
    }

    /// A 2xx to the INVITE came by. `own` tells which recorded routes are ours.
    pub fn answered(&mut self, response: &Message, own: impl Fn(&NameAddr<'_>) -> bool) {
        self.context = None;
        self.ringing = SmallVec::new();
        let (Ok(to), Some(target)) = (response.to(), contact(response)) else { return };
        let Some(tag) = to.tag() else { return };
        if let Some(known) = self.callees.iter_mut().find(|known| known.tag() == tag) {
            return known.move_to(target.uri());
        }
        if self.callees.len() == CALLEES_MAX {
            return;
        }
        // Between us and the called side, in its order, stand the entries above our own; the way there is the reverse.
        // Where the request passed here more than once, between two application servers, the way begins at the first.
        let mut beyond: SmallVec<[&[u8]; 8]> = SmallVec::new();
        let mut len = None;
        for route in routes(response) {
            if own(&route) {
                len = Some(beyond.len());
                if !self.passes_again {
                    break;
                }
            }
            beyond.push(route.raw());
        }
        beyond.truncate(len.unwrap_or(beyond.len()));
        let mut way = Path::default();
        beyond.iter().rev().for_each(|route| {
            way.push(route);
        });
        self.callees.push(Party::new(to.raw(), tag, target.uri(), way.packed(), 0));
    }

    /// Whether an INVITE that came back from an application server is still the one that was sent to it: no other Call-ID,
    /// and no other caller.
    pub fn is_set_up_by(&self, invite: &Message) -> bool {
        let tag = invite.from().ok().and_then(|from| from.tag());
        invite.call_id() == &self.call_id[..] && tag == Some(self.caller.tag())
    }

    /// Whether it has this Call-ID.
    pub fn is_of(&self, call_id: &[u8]) -> bool {
        call_id == &self.call_id[..]
    }

    /// Whether a 2xx was seen.
    pub fn is_answered(&self) -> bool {
        !self.callees.is_empty()
    }

    /// Whether one of its ends is this contact.
    pub fn has_end_at(&self, contact: &[u8]) -> bool {
        std::iter::once(&self.caller).chain(&self.callees).any(|party| same_uri(party.target(), contact))
    }

    /// A request within the session passed: sequence numbers and, for a target refresh, the new contact.
    pub fn passed(&mut self, request: &Message) {
        let (Ok(from), Ok(cseq)) = (request.from(), request.cseq()) else { return };
        let Some(tag) = from.tag() else { return };
        let refreshes = matches!(request.method(), Method::Invite | Method::Update);
        let sender = match self.caller.tag() == tag {
            true => Some(&mut self.caller),
            false => self.callees.iter_mut().find(|callee| callee.tag() == tag),
        };
        let Some(sender) = sender else { return };
        sender.sequence = sender.sequence.max(cseq.number);
        if refreshes && let Some(target) = contact(request) {
            sender.move_to(target.uri());
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
            .routes()
            .next()
            .and_then(|route| Some(NameAddr::parse(Name::Route, route).ok()?.uri().to_vec()));
        (bytes, first.unwrap_or_else(|| to.target().to_vec()))
    }

    fn within(&self, method: Method<'_>, sequence: u32, from: &Party, to: &Party) -> RequestBuilder {
        let word = String::from_utf8_lossy(method.as_bytes()).into_owned();
        let mut request = RequestBuilder::new(method, to.target());
        for route in to.routes() {
            request = request.header(Name::Route, route);
        }
        request
            .header(Name::MaxForwards, "70")
            .header(Name::From, from.address())
            .header(Name::To, to.address())
            .header(Name::CallId, &self.call_id[..])
            .header(Name::CSeq, format_args!("{sequence} {word}"))
    }
}

fn contact(message: &Message) -> Option<NameAddr<'_>> {
    message.contacts().next()?.1.ok()
}

fn routes(message: &Message) -> impl Iterator<Item = NameAddr<'_>> {
    message.record_routes().filter_map(|(_, route)| route.ok())
}

/// All sessions, found by their number and by their user at a cost that does not grow with the others.
#[derive(Debug)]
pub struct Sessions {
    by_id: HashMap<SessionId, Box<Session>, KeyedState>,
    /// A hash of the user's identity in front: the sessions of one user stand together.
    by_user: BTreeSet<(u64, SessionId)>,
}

/// The numbers are random and come back in tokens of ours only, and the users are those of the HSS: nobody can choose
/// what collides, and the key need not be secret.
const STATE: (u64, u64) = (0x7365_7373_696f_6e73, 0x6279_5f75_7365_7221);

fn hash(canonical: &str) -> u64 {
    KeyedState::from_key(STATE).hash_one(canonical)
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { by_id: HashMap::with_hasher(KeyedState::from_key(STATE)), by_user: BTreeSet::new() }
    }
}

impl Sessions {
    /// Keeps a session.
    pub fn insert(&mut self, id: SessionId, session: Session) {
        self.by_user.insert((hash(session.impu.as_str()), id));
        self.by_id.insert(id, Box::new(session));
    }

    /// The session of an id.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id).map(Box::as_ref)
    }

    /// The session of this id.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id).map(|session| &mut **session)
    }

    /// Takes a session out.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = *self.by_id.remove(&id)?;
        self.by_user.remove(&(hash(session.impu.as_str()), id));
        Some(session)
    }

    /// The sessions of the user with this canonical identity.
    pub fn of_user(&self, canonical: &str) -> impl Iterator<Item = SessionId> {
        let hash = hash(canonical);
        let stand = self.by_user.range((hash, SessionId(0))..=(hash, SessionId(u64::MAX)));
        stand
            .map(|(_, id)| *id)
            .filter(move |id| self.by_id.get(id).is_some_and(|session| session.impu.as_str() == canonical))
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
        session.answered(&ok, |route| route.raw() == b"<sip:own;lr>");
        session
    }

    #[test]
    fn sessions_are_found_by_their_user() {
        let mut sessions = Sessions::default();
        for id in 1..=3 {
            sessions.insert(SessionId(id), session());
        }
        assert_eq!(sessions.of_user("sip:alice@home1.net").collect::<Vec<_>>(), [1, 2, 3].map(SessionId));
        assert_eq!(sessions.of_user("sip:bob@home1.net").count(), 0);
        assert!(sessions.remove(SessionId(2)).is_some_and(|session| session.has_end_at(b"sip:bob@10.0.0.2")));
        assert_eq!(sessions.of_user("sip:alice@home1.net").collect::<Vec<_>>(), [1, 3].map(SessionId));
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
