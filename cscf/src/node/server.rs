//! Server transactions of a node: matching (RFC 3261 §17.2.3), responses and their retransmission.

use crate::context::{Came, Context, ContextId};
use crate::flow::{Hop, Source, Transport, Trust};
use crate::identity::Impu;
use crate::input::{Exit, Output, Ticket};
use crate::node::branch_id::MAGIC_COOKIE;
use crate::node::lingering::{Holder, LingeringId};
use crate::node::quota::emergency_reserve;
use crate::node::{Core, Key};
use crate::role::{Incoming, Role};
use ambient::{Instant, Now, TimerId, Timers};
use sip_core::transaction::{Action, Class, Step, Timer, Timing, invite_server, non_invite_server};
use sip_core::{Message, Method, ResponseBuilder, Status, Via};
use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;
use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Duration;

/// The state of one of the two server machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerState {
    Invite(invite_server::State),
    NonInvite(non_invite_server::State),
}

/// A server transaction.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) state: ServerState,
    pub(crate) key: u128,
    pub(crate) timing: Timing,
    pub(crate) is_reliable: bool,
    /// The last response sent; empty before the first.
    pub(crate) last: Vec<u8>,
    pub(crate) timers: SmallVec<[(Timer, TimerId, Duration); 2]>,
}

/// What arrives at a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerEvent {
    Request,
    Ack,
    Respond(Class),
    Timer(Timer),
}

impl Server {
    pub(crate) fn new(is_invite: bool, key: u128, timing: Timing, is_reliable: bool) -> Server {
        let state = if is_invite {
            ServerState::Invite(invite_server::State::Proceeding)
        } else {
            ServerState::NonInvite(non_invite_server::State::Trying)
        };
        Server { state, key, timing, is_reliable, last: Vec::new(), timers: SmallVec::new() }
    }

    fn step(&mut self, event: ServerEvent) -> &'static [Action] {
        match &mut self.state {
            ServerState::Invite(state) => {
                let Step { state: next, actions } = invite_server::on(
                    *state,
                    match event {
                        ServerEvent::Request => invite_server::Event::Request,
                        ServerEvent::Ack => invite_server::Event::Ack,
                        ServerEvent::Respond(class) => invite_server::Event::Respond(class),
                        ServerEvent::Timer(timer) => invite_server::Event::Timer(timer),
                    },
                );
                *state = next;
                actions
            }
            ServerState::NonInvite(state) => {
                let Step { state: next, actions } = non_invite_server::on(
                    *state,
                    match event {
                        // An ACK carries its INVITE's branch only; one that names another transaction is absorbed.
                        ServerEvent::Request | ServerEvent::Ack => non_invite_server::Event::Request,
                        ServerEvent::Respond(class) => non_invite_server::Event::Respond(class),
                        ServerEvent::Timer(timer) => non_invite_server::Event::Timer(timer),
                    },
                );
                *state = next;
                actions
            }
        }
    }
}

/// Arms a timer of a machine; one that only lets a transaction linger may be late.
pub(super) fn arm<K>(timers: &mut Timers<K>, now: Instant, after: Duration, key: K, timer: Timer) -> TimerId {
    match timer {
        Timer::D | Timer::I | Timer::J | Timer::K | Timer::L | Timer::M => {
            timers.arm_coarse(now, after, key, timer.name())
        }
        _ => timers.arm(now, after, key, timer.name()),
    }
}

/// Whether a branch is of RFC 3261, and names its transaction: the magic cookie and something behind it.
fn is_unique(branch: &[u8]) -> bool {
    branch.len() > MAGIC_COOKIE.len() && branch[..MAGIC_COOKIE.len()].eq_ignore_ascii_case(MAGIC_COOKIE)
}

/// What identifies the server transaction of a request (RFC 3261 §17.2.3), as a keyed hash that a peer cannot aim.
///
/// `method` is the request's own, INVITE for an ACK and for the INVITE that a CANCEL names.
pub(crate) fn transaction_key(
    hash_key: (u64, u64),
    message: &Message,
    via: &Via<'_>,
    method: &Method<'_>,
) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(hash_key.0, hash_key.1);
    method.as_bytes().hash(&mut hasher);
    match via.branch() {
        Some(branch) if is_unique(branch) => {
            branch.hash(&mut hasher);
            if via.host.iter().any(u8::is_ascii_uppercase) {
                via.host.to_ascii_lowercase().hash(&mut hasher);
            } else {
                via.host.hash(&mut hasher);
            }
            via.port.hash(&mut hasher);
        }
        // RFC 2543 clients: the To tag is left out, for an ACK carries the one of the response.
        _ => {
            message.uri().hash(&mut hasher);
            message.from().ok().and_then(|from| from.tag()).hash(&mut hasher);
            message.call_id().hash(&mut hasher);
            message.cseq().map(|cseq| cseq.number).unwrap_or_default().hash(&mut hasher);
            via.host.hash(&mut hasher);
            via.port.hash(&mut hasher);
            via.branch().hash(&mut hasher);
        }
    }
    hasher.finish128().as_u128()
}

/// Where the responses to a request go (RFC 3261 §18.2.2, RFC 3581 §4).
pub(crate) fn response_exit(source: &Source, via: &Via<'_>) -> Exit {
    let sent_by_port = via.port.unwrap_or(source.transport.default_port());
    // TS 33.203 §7.1: between protected ports, whatever the Via says.
    if let Some(set) = source.secured {
        let flow = source.transport.is_reliable().then_some(source.flow);
        return Exit::Secured { set, transport: source.transport, flow };
    }
    match source.transport {
        // The connection that the request came by; when it is gone, a new one to the sent-by.
        Transport::Tcp | Transport::Tls => {
            let remote = SocketAddr::new(source.remote.ip(), sent_by_port);
            let again = Hop { transport: source.transport, remote };
            // A UE has no certificate: nobody can open a TLS connection to it.
            let is_ue = source.transport == Transport::Tls && source.trust == Trust::Outside;
            Exit::Flow { flow: source.flow, or: Some(again).filter(|_| !is_ue) }
        }
        Transport::Udp if via.rport().is_some() || sent_by_port == source.remote.port() => {
            Exit::Flow { flow: source.flow, or: None }
        }
        Transport::Udp => Exit::Hop {
            hop: Hop { transport: Transport::Udp, remote: SocketAddr::new(source.remote.ip(), sent_by_port) },
            local: source.local,
        },
    }
}

impl<R: Role> Core<R> {
    /// Feeds a server transaction; `response` is the one to send for [`ServerEvent::Respond`].
    ///
    /// True when the machine asks to pass the request on: an ACK to a 2xx.
    pub(crate) fn server_event(
        &mut self,
        now: Now,
        id: ContextId,
        event: ServerEvent,
        response: Option<Vec<u8>>,
    ) -> bool {
        let Some(context) = self.contexts.get_mut(id) else { return false };
        let Some(server) = context.server.as_mut() else { return false };
        let actions = server.step(event);
        let mut response = response;
        let mut is_passed = false;
        for action in actions {
            let Some(context) = self.contexts.get_mut(id) else { return false };
            let exit = context.exit;
            let Some(server) = context.server.as_mut() else { return false };
            match *action {
                Action::Send => {
                    if server.state == ServerState::Invite(invite_server::State::Accepted) {
                        // RFC 6026 §7.1: the INVITE again is absorbed, so that a 2xx need not be kept.
                        let old = std::mem::take(&mut server.last);
                        self.buffers.push(old);
                        if let Some(bytes) = response.take() {
                            self.outputs.push_back(Output::Send { exit, bytes, ticket: Ticket::default() });
                        }
                        continue;
                    }
                    if let Some(bytes) = response.take() {
                        let old = std::mem::replace(&mut server.last, bytes);
                        self.buffers.push(old);
                    }
                    if !server.last.is_empty() {
                        let bytes = self.buffers.copy(&server.last);
                        self.outputs.push_back(Output::Send { exit, bytes, ticket: Ticket::default() });
                    }
                }
                Action::Pass => is_passed = true,
                // It begins when nobody but the client has anything to say; see `retire`.
                Action::Arm(Timer::J) if !server.is_reliable => {
                    self.pending.push_back(super::Pending::Settle(id));
                }
                Action::Arm(timer) | Action::Rearm(timer) => {
                    let is_again = matches!(action, Action::Rearm(_));
                    let last = server.timers.iter().find(|(t, ..)| *t == timer).map(|(_, _, last)| *last);
                    server.timers.retain(|(t, ..)| *t != timer);
                    let after = match last {
                        Some(last) if is_again => Some(server.timing.next(timer, last, false)),
                        _ => server.timing.first(timer, server.is_reliable),
                    };
                    match after {
                        Some(after) => {
                            let key = Key::Server(id, timer);
                            let armed = arm(&mut self.timers, now.instant, after, key, timer);
                            server.timers.push((timer, armed, after));
                        }
                        // RFC 3261 table 4: I and J are zero on a reliable flow.
                        None if matches!(timer, Timer::I | Timer::J) => {
                            self.pending.push_back(super::Pending::ServerTimer(id, timer));
                        }
                        None => {}
                    }
                }
                Action::Disarm(timer) => {
                    if let Some(at) = server.timers.iter().position(|(t, ..)| *t == timer) {
                        let (_, armed, _) = server.timers.remove(at);
                        self.timers.cancel(armed);
                    }
                }
                Action::Timeout => self.count("server_timeout", "no ACK"),
                Action::Terminate => self.end_server(id),
                Action::SendAck => unreachable!("no server machine asks for an ACK"),
            }
        }
        if let Some(unsent) = response {
            self.buffers.push(unsent);
        }
        is_passed
    }

    pub(super) fn end_server(&mut self, id: ContextId) {
        let Some(context) = self.contexts.get_mut(id) else { return };
        if let Some(server) = context.server.take() {
            self.server_keys.remove(&server.key);
            for (_, armed, _) in server.timers {
                self.timers.cancel(armed);
            }
            self.buffers.push(server.last);
        }
        self.pending.push_back(super::Pending::Settle(id));
    }

    /// Keeps of an answered request what its retransmissions need: the response alone where they are answered by it, and
    /// without the request where the machine of an INVITE goes on.
    pub(super) fn retire(&mut self, now: Now, id: ContextId) {
        let Some(context) = self.contexts.get_mut(id) else { return };
        let Some(server) = context.server.as_ref().filter(|_| context.is_done()) else { return };
        let after = match server.state {
            ServerState::NonInvite(non_invite_server::State::Completed) => {
                server.timing.first(Timer::J, server.is_reliable)
            }
            _ => None,
        };
        let Some(after) = after else {
            context.data = R::Data::default();
            let best = context.best.take().map(|(_, best)| best);
            for incoming in context.request.take().into_iter().chain(best) {
                self.reclaim(incoming.message);
            }
            return;
        };
        let Some(context) = self.contexts.remove(id) else { return };
        if let Some(server) = context.server {
            let place = (context.exit, context.holder);
            let kept = self.lingering.insert((now.instant, after), server.key, place, &server.last);
            self.server_keys.insert(server.key, Holder::Lingering(kept));
            self.buffers.push(server.last);
        }
        for incoming in context.request.into_iter().chain(context.best.map(|(_, best)| best)) {
            self.reclaim(incoming.message);
        }
    }

    /// A request that was answered came again.
    pub(super) fn send_lingering(&mut self, id: LingeringId) {
        let Some((exit, response)) = self.lingering.get(id) else { return };
        let bytes = self.buffers.copy(response);
        self.outputs.push_back(Output::Send { exit, bytes, ticket: Ticket::default() });
    }

    /// Forgets the answered requests that cannot come again.
    pub(super) fn end_lingering(&mut self, now: Now) {
        while let Some((key, holder)) = self.lingering.pop_due(now.instant) {
            self.server_keys.remove(&key);
            self.quota.leave(holder);
        }
    }

    /// Whether there is room for one more request. One that is answered gives way to a new one, so that how many come in
    /// a second is not bounded by how long their answers are kept: under load Timer J (RFC 3261 §17.2.2) is cut short.
    pub(super) fn has_room(&mut self) -> bool {
        if self.clients.room() == 0 || self.contexts.0.room() == 0 {
            return false;
        }
        if self.contexts.0.room() <= self.lingering.len()
            && let Some((key, holder)) = self.lingering.pop_oldest()
        {
            self.server_keys.remove(&key);
            self.quota.leave(holder);
            self.count("ended early", "answered request");
        }
        true
    }

    /// Whether there is room for one more emergency request, above what [`Core::has_room`] leaves to the others.
    pub(super) fn has_emergency_room(&self) -> bool {
        let reserve = emergency_reserve(self.clients.max());
        self.clients.room_with(reserve) > 0 && self.contexts.0.room_with(reserve) > 0
    }

    /// Opens the server transaction and context of a request.
    pub(crate) fn open_context(&mut self, request: Incoming, key: u128, came: Came, exit: Exit) -> ContextId {
        let timing = self.timing_of(request.source.trust);
        let holder = self.quota.enter(&request.source);
        let Source { transport, remote, .. } = request.source;
        let is_reliable = transport.is_reliable() || self.colocated.contains(&remote);
        let is_invite = request.message.method() == Method::Invite;
        let server = Server::new(is_invite, key, timing, is_reliable);
        let id = self.contexts.insert(Context::new(request, Some(server), came, exit, holder));
        self.server_keys.insert(key, Holder::Context(id));
        id
    }

    /// Our To tag of a context.
    pub(crate) fn tag(&mut self, id: Option<ContextId>) -> String {
        let minted = self.mint_tag();
        match id.and_then(|id| self.contexts.get_mut(id)) {
            Some(context) => context.tag.get_or_insert(minted).clone(),
            None => minted,
        }
    }

    /// Answers the request of a context.
    pub(crate) fn reply(
        &mut self,
        now: Now,
        id: Option<ContextId>,
        request: &Incoming,
        status: Status,
        fill: impl for<'m> FnOnce(ResponseBuilder<'m>) -> ResponseBuilder<'m>,
    ) {
        let mut builder = ResponseBuilder::for_request(&request.message, status);
        // RFC 3261 §8.2.6.2: every response but 100 has a To tag; one that the client sent stays.
        if status != Status::TRYING && request.message.to().is_ok_and(|to| to.tag().is_none()) {
            let tag = self.tag(id);
            builder = builder.to_tag(tag.as_str());
        }
        let mut bytes = self.buffers.take();
        fill(builder).write_into(&mut bytes);
        match id {
            Some(id) => {
                self.tell_end(now, id, status.code(), &request.message);
                self.respond(now, id, status.code(), bytes);
            }
            // An ACK is never answered; anything else has a context.
            None => self.count("dropped", "reply without a transaction"),
        }
    }

    /// Answers a context whose hook has returned; false when it is over or has been answered.
    pub(crate) fn reply_to(
        &mut self,
        now: Now,
        id: ContextId,
        status: Status,
        fill: impl for<'m> FnOnce(ResponseBuilder<'m>) -> ResponseBuilder<'m>,
    ) -> bool {
        let Some(context) = self.contexts.get_mut(id) else { return false };
        if context.is_answered {
            return false;
        }
        let Some(request) = context.request.take() else { return false };
        self.reply(now, Some(id), &request, status, fill);
        if let Some(context) = self.contexts.get_mut(id) {
            context.request = Some(request);
        }
        true
    }

    /// Tells the log, where somebody wants it, that a request has its final response; `message` is either.
    pub(crate) fn tell_end(&self, now: Now, id: ContextId, code: u16, message: &Message) {
        if code < 200 || !tracing::enabled!(target: "transaction", tracing::Level::DEBUG) {
            return;
        }
        let Some(context) = self.contexts.get(id).filter(|context| !context.is_answered) else { return };
        let method = message.method();
        let user = if method == Method::Register { message.to() } else { message.from() };
        let user = user.ok().and_then(|user| Impu::parse(user.uri()));
        let vector = message.charging_vector().and_then(Result::ok);
        let icid = vector.map(|vector| String::from_utf8_lossy(&vector.icid_value()).into_owned());
        tracing::debug!(
            target: "transaction",
            role = R::NAME,
            %method,
            code,
            took_ms = now.instant.since(context.came.at).as_micros() as f64 / 1000.0,
            transport = %context.came.transport,
            user = user.map(tracing::field::display),
            call_id = %String::from_utf8_lossy(message.call_id()),
            icid,
        );
    }

    /// Sends a response, ours or a peer's, through the server transaction.
    pub(crate) fn respond(&mut self, now: Now, id: ContextId, code: u16, bytes: Vec<u8>) {
        if let Some(context) = self.contexts.get_mut(id) {
            let is_first = code >= 200 && !context.is_answered;
            context.is_answered |= code >= 200;
            if let Some(traffic) = &mut self.traffic {
                traffic.told(&mut context.came, now.instant, code, is_first.then(|| R::case(&context.data)));
            }
        }
        self.server_event(now, id, ServerEvent::Respond(Class::of(code)), Some(bytes));
    }
}
