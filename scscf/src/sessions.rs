//! Requests of and to the users that are served here (TS 24.229 §5.4.3).
//!
//! A request is originating or terminating by what its topmost Route says; the served user follows from that. Between
//! [`Scscf::originating`] or [`Scscf::terminating`] and the next hop it visits the application servers of the user's filter
//! criteria, one after the other ([`visit`]).

pub mod caller_preferences;
pub mod chain;
pub mod default_handling;
mod device;
pub mod dialog;
pub mod e164;
pub mod left_out;
mod media_policy;
pub mod next_hop;
mod originating;
pub mod pcscf_restoration;
pub mod release;
mod restoration;
pub mod service;
pub mod session_timer;
mod terminating;
pub mod token;
mod visit;

use crate::registrar::binding::Binding;
use crate::role::Scscf;
use crate::waiting::Timer;
use chain::ChainId;
use cscf::breakout::Departure;
use cscf::charging::{ChargingVector, Icid};
use cscf::flow::Trust;
use cscf::identity::Impu;
use cscf::metrics;
use cscf::trust::{self, Outsider};
use cscf::user_data::SessionCase;
use cscf::{Branch, Incoming, Reject, Target, Turn};
use dialog::{Session, SessionId};
use session_timer::Refresh;
use sip_core::{Edits, Message, Method, Name, NameAddr, SlotId, Status, fields};
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::time::Duration;
use token::{Case, Own};

/// Who is served by a request, and in which direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The direction.
    pub case: ServedCase,
    /// The user.
    pub impu: Impu,
    /// The wildcarded identity that the user lies within, by its expression; only the HSS can tell.
    pub wildcard: Option<Impu>,
}

impl Served {
    /// A user, and what P-Profile-Key says (RFC 5002): the I-CSCF has asked the HSS.
    fn of(case: ServedCase, impu: Impu, message: &Message) -> Served {
        let key =
            message.first(Name::PProfileKey).and_then(|key| NameAddr::parse(Name::PProfileKey, key).ok());
        let expression = key.and_then(|key| std::str::from_utf8(key.uri()).ok().map(str::to_owned));
        Served { case, impu, wildcard: expression.as_deref().and_then(Impu::of_wildcard) }
    }

    /// What the profile is found by.
    fn key(&self) -> &Impu {
        self.wildcard.as_ref().unwrap_or(&self.impu)
    }
}

/// The direction of a request, seen from the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedCase {
    /// The user sent it.
    Originating,
    /// It is for the user.
    Terminating,
    /// It was for the user, and goes to somebody else for the user's sake: originating after a call diversion.
    Diverting,
}

impl ServedCase {
    fn token(self) -> Case {
        match self {
            ServedCase::Originating | ServedCase::Diverting => Case::Originating,
            ServedCase::Terminating => Case::Terminating,
        }
    }

    /// What a request of it is to filter criteria (TS 29.228 Annex E).
    fn session_case(self, is_registered: bool) -> SessionCase {
        match (self, is_registered) {
            (ServedCase::Originating, true) => SessionCase::OriginatingRegistered,
            (ServedCase::Originating, false) => SessionCase::OriginatingUnregistered,
            (ServedCase::Terminating, true) => SessionCase::TerminatingRegistered,
            (ServedCase::Terminating, false) => SessionCase::TerminatingUnregistered,
            (ServedCase::Diverting, _) => SessionCase::OriginatingCdiv,
        }
    }
}

/// Whether the request stays in the way of later ones.
fn opens_dialog(message: &Message) -> bool {
    matches!(message.method(), Method::Invite | Method::Subscribe | Method::Refer)
}

/// What is remembered of a request until its final response.
#[derive(Debug, Default)]
pub struct Data {
    /// The charging vector of a request that came without one.
    charging: Option<ChargingVector>,
    /// The served user and direction; `None` for a request within a dialog.
    served: Option<Served>,
    /// The session, when the request sets one up or refreshes it.
    session: Option<SessionId>,
    /// The other session that it refreshes, where both users are served here.
    also: SmallVec<[SessionId; 2]>,
    /// The session interval that was asked for.
    interval_s: Option<u32>,
    /// Contacts that are tried, those of equal preference at once, when the ones before have failed.
    further: SmallVec<[Binding; 1]>,
    /// By which contact each branch goes, where that may be asked: of flows (RFC 5626), and for P-CSCF restoration.
    tried: Vec<(u16, Binding)>,
    /// Branches without a final response.
    open: usize,
    /// The caller gave up.
    is_cancelled: bool,
    /// The visit to an application server that the request is on.
    chain: Option<ChainId>,
    /// By which rule it leaves the network.
    departure: Option<Box<Departure>>,
}

impl Data {
    /// Whether every branch has failed, and none is left to try.
    pub(crate) fn is_over(&self) -> bool {
        self.open == 0 && self.further.is_empty() && !self.is_cancelled
    }

    /// Whom the request is of, where it opens a dialog.
    pub(crate) fn case(&self) -> metrics::Case {
        match self.served.as_ref().map(|served| served.case) {
            Some(ServedCase::Originating | ServedCase::Diverting) => metrics::Case::Originating,
            Some(ServedCase::Terminating) => metrics::Case::Terminating,
            None => metrics::Case::None,
        }
    }

    /// The caller gave up: nobody else is tried.
    pub(crate) fn stop(&mut self) {
        self.is_cancelled = true;
        self.further.clear();
    }
}

/// The P-Charging-Vector of a message; `None` when there is none with an icid.
fn charging_vector(message: &Message) -> Option<fields::charging::ChargingVector<'_>> {
    message.charging_vector()?.ok().filter(|vector| !vector.icid_value().is_empty())
}

/// A session is forgotten after this when nobody refreshes it, whatever interval its ends have agreed on.
const SESSION_KEPT: Duration = Duration::from_secs(24 * 3600);
/// An INVITE without a final response is over at last when Timer C has fired everywhere.
const SETUP_KEPT: Duration = Duration::from_secs(3600);

/// The Route values at the top of a request that name us.
#[derive(Debug, Default)]
pub(crate) struct OwnRoutes {
    /// Their slots, in order.
    slots: SmallVec<[SlotId; 4]>,
    /// What the topmost says.
    top: Option<Own>,
    /// The sessions that they name.
    sessions: SmallVec<[SessionId; 2]>,
    /// The first Route that is another's.
    next: Option<SlotId>,
}

impl OwnRoutes {
    /// Where the request goes by its Routes, else by its Request-URI (RFC 3261 §16.6 step 6 and 7).
    fn target(&self) -> Target {
        self.next.map_or(Target::RequestUri, Target::Route)
    }

    /// The URI of the topmost; empty without one.
    fn top_uri<'m>(&self, message: &'m Message) -> &'m [u8] {
        let top = self.slots.first().map(|slot| NameAddr::parse(Name::Route, message.slot(*slot)));
        top.and_then(Result::ok).map_or(b"", |route| route.uri())
    }
}

impl Scscf {
    /// Any request but REGISTER.
    pub(crate) fn serve(&mut self, turn: &mut Turn<'_, Scscf>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        let own = self.own_routes(turn, message);
        // What goes by a Route is for somebody behind us, but for a SUBSCRIBE that a proxy has sent by one.
        if own.next.is_none()
            && (own.slots.is_empty() || message.method() == Method::Subscribe)
            && let Some(id) = self.subscription_of(turn, message)
        {
            return self.within_subscription(turn, request, id);
        }
        let is_within_dialog = message.to().is_ok_and(|to| to.tag().is_some());
        if is_within_dialog || message.method() == Method::Ack {
            return self.within_dialog(turn, request, own);
        }
        if own.next.is_none() && self.is_for_us(turn, message) {
            return self.for_us(turn, request);
        }
        if own.next.is_none()
            && let Some(impu) = self.is_watched_here(message)
        {
            return self.subscribe(turn, request, &impu);
        }
        if let Some(id) = own.top.and_then(|top| top.chain)
            && let Some(progress) = self.came_back(turn, message, id)?
        {
            return self.resume(turn, request, own, progress);
        }
        match own.top.and_then(|top| top.case) {
            // TS 24.229 §5.4.3.4: an original dialog identifier that names nothing leaves a request like any other.
            Some(Case::OriginatingChain) => self.originating(turn, request, own),
            Some(Case::ServiceRoute | Case::Originating) => self.originating(turn, request, own),
            Some(Case::Terminating | Case::TerminatingChain) | None if own.next.is_some() => {
                self.pass_through(turn, request, own)
            }
            Some(Case::Terminating | Case::TerminatingChain) | None => self.terminating(turn, request, own),
        }
    }

    /// Whether a request from another network belongs to a session of ours: by the token that only the ends of it were
    /// given, and by what tells a dialog from others.
    pub(crate) fn is_within_session(&mut self, turn: &Turn<'_, Scscf>, request: &Incoming) -> bool {
        let message = &request.message;
        if !message.to().is_ok_and(|to| to.tag().is_some()) {
            return false;
        }
        let sessions = self.own_routes(turn, message).sessions;
        sessions
            .into_iter()
            .any(|id| self.sessions.get_mut(id).is_some_and(|session| session.is_of(message.call_id())))
    }

    fn own_routes(&self, turn: &Turn<'_, Scscf>, message: &Message) -> OwnRoutes {
        let mut own = OwnRoutes::default();
        for (slot, route) in message.routes() {
            let Ok(route) = route else { break };
            let Some(ours) = token::own(&route, &self.own_name, turn.locals(), turn.token_key()) else {
                own.next = Some(slot);
                break;
            };
            if own.top.is_some() && ours.bucket.is_some_and(|bucket| !turn.owns(bucket)) {
                // It names a session that another shard keeps: that one is the next hop.
                own.next = Some(slot);
                break;
            }
            if own.top.is_none() {
                own.top = Some(ours);
            }
            own.slots.push(slot);
            own.sessions.extend(ours.session);
        }
        own
    }

    fn is_for_us(&self, turn: &Turn<'_, Scscf>, message: &Message) -> bool {
        let Ok(uri) = message.request_uri() else { return false };
        let Some(sip) = uri.sip() else { return false };
        sip.user.is_none() && token::names_us(&sip.host, sip.port, &self.own_name, turn.locals())
    }

    /// A request to this S-CSCF itself: OPTIONS asks whether it lives (RFC 3261 §11).
    fn for_us(&self, turn: &mut Turn<'_, Scscf>, request: &Incoming) -> Result<(), Reject> {
        match request.message.method() {
            Method::Options => {
                turn.reply(request, Status::OK, |response| {
                    response.header(Name::Allow, "REGISTER, OPTIONS").header(Name::Supported, "path")
                });
                Ok(())
            }
            _ => Err(Reject::new(Status::METHOD_NOT_ALLOWED, "not a service of the s-cscf")
                .header(Name::Allow, "REGISTER, OPTIONS")),
        }
    }

    /// A request that another route decides about: a user of ours is not named by it. Whom an application server has served
    /// is not said any further than the network reaches (RFC 5502 §5).
    fn pass_through(
        &self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        own: OwnRoutes,
    ) -> Result<(), Reject> {
        let mut edits = turn.edits();
        own.slots.iter().take(1).for_each(|slot| edits.remove_slot(*slot));
        let is_chain_over = own.top.and_then(|top| top.case) == Some(Case::TerminatingChain);
        if is_chain_over {
            edits.remove(&request.message, Name::PServedUser);
        }
        if own.next.is_some_and(|next| !self.is_inside(&request.message, next)) {
            trust::leaving(&request.message, Outsider::Network, &mut edits);
        }
        turn.forward(request, edits, own.target());
        Ok(())
    }

    /// Whether a Route leads to a host of the trust domain, by its address or by its name.
    fn is_inside(&self, message: &Message, route: SlotId) -> bool {
        let Ok(route) = NameAddr::parse(Name::Route, message.slot(route)) else { return false };
        let Ok(uri) = route.parsed_uri() else { return false };
        let Some(sip) = uri.sip() else { return false };
        let is_trusted = |address| self.config.trust.contains(address);
        match (sip.host.ip(), sip.host.name()) {
            (Some(ip), _) => is_trusted(SocketAddr::new(ip, sip.port.unwrap_or(5060))),
            (None, Some(name)) => {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                let home = self.config.home.domain();
                name.strip_suffix(home).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                    || self
                        .config
                        .names
                        .get(&name)
                        .is_some_and(|hops| hops.iter().all(|hop| is_trusted(hop.remote)))
            }
            (None, None) => false,
        }
    }

    // --- within a dialog ----------------------------------------------------------------------------------------------

    /// A request within a dialog follows its Route. All entries that name us are taken off at once, so that a call
    /// between two of our users passes here once.
    fn within_dialog(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        own: OwnRoutes,
    ) -> Result<(), Reject> {
        let message = &request.message;
        if own.slots.is_empty() && own.next.is_none() && self.is_for_us(turn, message) {
            return match message.method() {
                // An ACK has no response.
                Method::Ack => Ok(()),
                _ => Err(Reject::new(Status::CALL_DOES_NOT_EXIST, "no dialog here")),
            };
        }
        let mut edits = turn.edits();
        if request.source.trust == Trust::Outside {
            trust::entering(message, Outsider::Network, &mut edits);
        }
        for session in own.sessions.iter().filter_map(|id| self.sessions.get(*id)) {
            self.check_media(&session.impu, message)?;
        }
        own.slots.iter().for_each(|slot| edits.remove_slot(*slot));
        if own.next.is_some()
            && let Some(contact) = self.contact_of_gruu(turn, message)
        {
            edits.set_uri(&contact);
        }
        let refreshes = matches!(message.method(), Method::Invite | Method::Update);
        let mut interval_s = None;
        if refreshes {
            interval_s = Some(self.time_session(message, &mut edits)?);
        }
        for id in &own.sessions {
            if let Some(session) = self.sessions.get_mut(*id) {
                session.passed(message);
                if message.method() == Method::Bye {
                    self.forget_session(turn, *id);
                }
            }
        }
        if refreshes {
            let data = turn.data();
            data.session = own.sessions.first().copied();
            data.also = own.sessions.iter().skip(1).copied().collect();
            data.interval_s = interval_s;
        }
        turn.forward(request, edits, own.target());
        Ok(())
    }

    // --- what both directions do to an initial request ----------------------------------------------------------------

    /// Session-Expires and Min-SE of a request, and the interval.
    fn time_session(&self, message: &Message, edits: &mut Edits) -> Result<u32, Reject> {
        let timers = &self.config.scscf.session;
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let limits =
            session_timer::Limits { expires_s: seconds(timers.expires), min_s: seconds(timers.min_se) };
        let edit = session_timer::of_request(message, limits)?;
        if let Some((seconds, params)) = edit.session_expires {
            edits.set(message, Name::SessionExpires, format_args!("{seconds}{params}"));
        }
        if let Some(min_se) = edit.min_se {
            edits.set(message, Name::MinSe, format_args!("{min_se}"));
        }
        Ok(edit.interval_s)
    }

    /// Stays in the way of later requests where the request may open a dialog; an INVITE is remembered.
    fn record(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        served: &Served,
        edits: &mut Edits,
    ) -> Result<(), Reject> {
        let message = &request.message;
        let mut session = turn.data().session;
        let interval_s = match message.method() {
            Method::Invite => Some(self.time_session(message, edits)?),
            _ => None,
        };
        if interval_s.is_some() && session.is_none() {
            let has_room = self.sessions.len() < self.sessions_max();
            if !has_room {
                // The call goes on: it only cannot be released from here.
                turn.count("session", "not remembered");
            }
            let kept = Session::of_invite(message, served.impu.clone(), turn.context()).filter(|_| has_room);
            session = kept.map(|kept| {
                let id = SessionId(turn.entropy().next_u64() >> (64 - SessionId::BITS));
                self.sessions.insert(id, kept);
                self.arm_session(turn, id, SETUP_KEPT);
                id
            });
            turn.data().session = session;
        }
        if interval_s.is_some() {
            turn.data().interval_s = interval_s;
        }
        if opens_dialog(message) {
            let token = self.own_token(turn, &served.impu, served.case.token(), session);
            let uri = token::uri(&self.config.scscf.uri, &token);
            edits.push_top(Name::RecordRoute, format_args!("<{uri}>"));
        }
        Ok(())
    }

    /// How many sessions are remembered: what the users who fit in here can have, two each.
    fn sessions_max(&self) -> usize {
        self.config.scscf.registrations_max.saturating_mul(2)
    }

    /// P-Charging-Vector of the request, as we send it (TS 24.229 §4.5.4).
    fn charge(&self, turn: &mut Turn<'_, Scscf>, message: &Message, edits: &mut Edits) {
        let ioi = &self.config.scscf.ioi;
        if let Some(received) = charging_vector(message) {
            let sent = received.with_ioi(Some(ioi.as_bytes()), None);
            return edits.set(message, Name::PChargingVector, &sent);
        }
        // Its first IMS element was none that charges: an application server, a lab tool. One for all branches.
        if turn.data().charging.is_none() {
            let minted = ChargingVector::new(Icid::mint(turn.entropy()), ioi);
            turn.data().charging = Some(minted);
        }
        if let Some(minted) = &turn.data().charging {
            edits.set(message, Name::PChargingVector, format_args!("{minted}"));
        }
    }

    /// P-Charging-Vector of a response, as we pass it on: the icid and orig-ioi of the request as it came, and our
    /// term-ioi (TS 24.229 §4.5.4).
    fn charge_answer(
        &self,
        turn: &mut Turn<'_, Scscf>,
        request: &Message,
        response: &Message,
        edits: &mut Edits,
    ) {
        let ioi = self.config.scscf.ioi.as_bytes();
        let answer = charging_vector(response);
        if let Some(received) = charging_vector(request) {
            let orig = received.orig_ioi();
            let icid = received.icid_value();
            let answer = answer.filter(|answer| answer.icid_value() == icid).unwrap_or(received);
            let value = answer.with_ioi(orig.as_deref(), Some(ioi));
            return edits.set(response, Name::PChargingVector, &value);
        }
        if let Some(minted) = turn.data().charging.clone() {
            let answer = ChargingVector::of(response).unwrap_or_else(|| minted.clone());
            let value = answer.restored(&minted).answered_by(&self.config.scscf.ioi);
            edits.set(response, Name::PChargingVector, format_args!("{value}"));
        }
    }

    /// The token of a URI of ours in a Service-Route or Record-Route; [`token::uri`] is the URI.
    pub(crate) fn own_token(
        &self,
        turn: &Turn<'_, Scscf>,
        impu: &Impu,
        case: Case,
        session: Option<SessionId>,
    ) -> String {
        let bucket = self.home_of(turn, impu);
        turn.token_key().mint(bucket, &token::payload(case, session))
    }

    // --- responses ----------------------------------------------------------------------------------------------------

    /// A response on its way upstream.
    pub(crate) fn answered(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        branch: Branch,
        response: &Incoming,
    ) {
        let message = &response.message;
        let Some(status) = message.status() else { return };
        let mut edits = turn.edits();
        if response.source.trust == Trust::Outside {
            trust::entering(message, Outsider::Network, &mut edits);
        }
        let case = turn.data().served.as_ref().map(|served| served.case);
        if case.is_some() {
            self.charge_answer(turn, &request.message, message, &mut edits);
        }
        if turn.data().chain.is_some() {
            self.heard_from(turn, branch, status);
        }
        if case == Some(ServedCase::Terminating) && status.code() < 300 {
            self.complete_identity(message, None, &mut edits);
        }
        if status.is_success() {
            turn.data().further.clear();
            self.session_answered(turn, request, message, &mut edits);
            let session = turn.data().session;
            if session.is_some_and(|id| self.refuse_answer(turn, id)) {
                return;
            }
        }
        turn.pass(response, edits);
    }

    /// A 2xx to an INVITE or UPDATE.
    fn session_answered(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        response: &Message,
        edits: &mut Edits,
    ) {
        let data = turn.data();
        let (Some(interval_s), session) = (data.interval_s, data.session) else { return };
        let refresh = session_timer::of_response(&request.message, response, interval_s);
        if let Refresh::CallerEvery(interval_s) = refresh {
            // RFC 4028 §8.2.
            edits.set(response, Name::SessionExpires, format_args!("{interval_s};refresher=uac"));
            if !response.has_option(Name::Require, b"timer") {
                edits.append(Name::Require, "timer");
            }
        }
        let Some(id) = session else { return };
        let (name, locals, key) = (&self.own_name, turn.locals(), turn.token_key());
        if let Some(session) = self.sessions.get_mut(id) {
            session.answered(response, |route| {
                token::own(route, name, locals, key).is_some_and(|own| own.session == Some(id))
            });
        }
        if self.sessions.get_mut(id).is_some_and(|session| session.is_released) {
            return;
        }
        let kept = match refresh {
            Refresh::Every(seconds) | Refresh::CallerEvery(seconds) => {
                Duration::from_secs(u64::from(seconds)).min(SESSION_KEPT)
            }
            Refresh::Never => SESSION_KEPT,
        };
        let also = std::mem::take(&mut turn.data().also);
        for id in also.into_iter().chain([id]) {
            self.arm_session(turn, id, kept);
        }
    }

    pub(crate) fn arm_session(&mut self, turn: &mut Turn<'_, Scscf>, id: SessionId, after: Duration) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Some(timer) = session.timer.take() {
            turn.disarm(timer);
        }
        session.timer = Some(turn.arm(after, Timer::Session(id), "session timer"));
    }

    pub(crate) fn forget_session(&mut self, turn: &mut Turn<'_, Scscf>, id: SessionId) {
        if let Some(timer) = self.sessions.remove(id).and_then(|session| session.timer) {
            turn.disarm(timer);
        }
    }

    /// RFC 4028 §10: nobody refreshed. A proxy forgets; ending the call is for its ends.
    pub(crate) fn session_lapsed(&mut self, turn: &mut Turn<'_, Scscf>, id: SessionId) {
        if self.sessions.remove(id).is_some() {
            turn.count("session", "not refreshed");
        }
    }
}
