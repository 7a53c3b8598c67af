//! Client transactions of a node: sending a request to one hop after the other, and what comes back.

use crate::bucket::Bucket;
use crate::context::{BranchEntry, BranchState, ContextId};
use crate::flow::{Flow, Hop, Side, Transport};
use crate::input::{Exit, Output, Ticket};
use crate::node::branch_id::BranchId;
use crate::node::{Core, Key, Pending, Wait};
use crate::query::{Answer, Query};
use crate::resolve::{self, Resolved};
use crate::role::{Branch, Incoming, Role};
use crate::turn::Target;
use ambient::{Now, TimerId};
use sip_core::proxy::loop_detection::loop_hash;
use sip_core::transaction::{Action, Class, Step, Timer, Timing, invite_client, non_invite_client};
use sip_core::{Edits, Message, Method, Name, NameAddr, RequestBuilder, Uri};
use smallvec::SmallVec;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

/// Names a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub(crate) u32, pub(crate) u32);

impl ClientId {
    pub(crate) fn ticket(self) -> Ticket {
        // Never zero: zero means that nobody waits.
        Ticket(u64::from(self.0 + 1) << 32 | u64::from(self.1))
    }

    pub(crate) fn of_ticket(ticket: Ticket) -> Option<ClientId> {
        let slot = u32::try_from(ticket.0 >> 32).ok()?.checked_sub(1)?;
        Some(ClientId(slot, ticket.0 as u32))
    }
}

/// The state of one of the two client machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientState {
    /// The name of the next hop is being resolved.
    Resolving,
    Invite(invite_client::State),
    NonInvite(non_invite_client::State),
}

/// How far a CANCEL has come (RFC 3261 §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelling {
    No,
    /// Wanted; waits for a provisional response.
    Wanted,
    /// Sent, in a transaction of its own.
    Sent(ClientId),
}

/// Whose request it is.
#[derive(Debug)]
pub(crate) enum Owner<W> {
    /// A branch of a context.
    Branch(ContextId, u16),
    /// The role's own request.
    Role(W),
    /// A CANCEL of ours: its final response changes nothing (RFC 3261 §9.1).
    Cancel,
    /// The role holds the wait in its hook, or has been told the end.
    Nobody,
}

/// One attempt of where to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) hop: Hop,
    pub(crate) flow: Option<Flow>,
}

/// A client transaction.
#[derive(Debug)]
pub(crate) struct Client<W> {
    pub(crate) owner: Owner<W>,
    pub(crate) state: ClientState,
    pub(crate) is_invite: bool,
    /// The request, with our Via once a hop is chosen.
    pub(crate) request: Vec<u8>,
    /// Where our Via line stands in `request`; empty before a hop is chosen.
    pub(crate) via: Range<usize>,
    /// The hop in use.
    pub(crate) attempt: Option<Attempt>,
    /// What is left to try (RFC 3263 §4.3), in order.
    pub(crate) rest: SmallVec<[Attempt; 2]>,
    pub(crate) random: u64,
    pub(crate) loop_hash: u32,
    pub(crate) timing: Timing,
    pub(crate) timers: SmallVec<[(Timer, TimerId, Duration); 2]>,
    pub(crate) timer_c: Option<TimerId>,
    pub(crate) cancelling: Cancelling,
    /// Whether Timer C made us give up: a late final response no longer counts.
    pub(crate) has_provisional: bool,
}

/// What arrives at a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientEvent {
    Response(Class),
    Timer(Timer),
    TransportError,
}

impl<W> Client<W> {
    fn step(&mut self, event: ClientEvent) -> &'static [Action] {
        match &mut self.state {
            ClientState::Resolving => &[],
            ClientState::Invite(state) => {
                let Step { state: next, actions } = invite_client::on(
                    *state,
                    match event {
                        ClientEvent::Response(class) => invite_client::Event::Response(class),
                        ClientEvent::Timer(timer) => invite_client::Event::Timer(timer),
                        ClientEvent::TransportError => invite_client::Event::TransportError,
                    },
                );
                *state = next;
                actions
            }
            ClientState::NonInvite(state) => {
                let Step { state: next, actions } = non_invite_client::on(
                    *state,
                    match event {
                        ClientEvent::Response(class) => non_invite_client::Event::Response(class),
                        ClientEvent::Timer(timer) => non_invite_client::Event::Timer(timer),
                        ClientEvent::TransportError => non_invite_client::Event::TransportError,
                    },
                );
                *state = next;
                actions
            }
        }
    }

    /// Whether no response at all has come, so that another hop may be tried.
    fn is_unanswered(&self) -> bool {
        !self.has_provisional
            && matches!(
                self.state,
                ClientState::Resolving
                    | ClientState::Invite(invite_client::State::Calling)
                    | ClientState::NonInvite(non_invite_client::State::Trying)
            )
    }

    /// Whether a final response is still awaited.
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            self.state,
            ClientState::Resolving
                | ClientState::Invite(invite_client::State::Calling | invite_client::State::Proceeding)
                | ClientState::NonInvite(
                    non_invite_client::State::Trying | non_invite_client::State::Proceeding
                )
        )
    }

    fn is_proceeding(&self) -> bool {
        matches!(self.state, ClientState::NonInvite(non_invite_client::State::Proceeding))
    }
}

impl<R: Role> Core<R> {
    /// See [`crate::turn::Turn::forward`].
    pub(crate) fn forward(
        &mut self,
        now: Now,
        id: Option<ContextId>,
        request: &Incoming,
        mut edits: Edits,
        target: Target,
    ) -> Branch {
        let message = &request.message;
        if id.and_then(|id| self.contexts.get(id)).is_some_and(|context| context.is_answered) {
            // Cancelled or refused while a query was open: there is nobody to forward for.
            self.counters.add("dropped", "forward after the final response");
            return Branch { number: u16::MAX, hop: None };
        }
        // RFC 3261 §16.6 step 3; the value was checked when the request came in.
        match message.max_forwards() {
            Ok(Some(left)) => {
                edits.set(message, Name::MaxForwards, format_args!("{}", left.saturating_sub(1)))
            }
            _ => edits.set(message, Name::MaxForwards, "70"),
        }
        let context = id.and_then(|id| self.contexts.get_mut(id));
        if let Some(context) = &context
            && (context.fork_width > 1 || message.other(b"Max-Breadth").is_some())
        {
            let breadth = super::breadth_of(message) / context.fork_width.max(1);
            edits.remove_other(message, b"Max-Breadth");
            edits.append_other(b"Max-Breadth", format_args!("{breadth}"));
        }
        let number = context.map_or(0, |context| {
            context.branches.push(BranchEntry { state: BranchState::Open, client: None });
            u16::try_from(context.branches.len() - 1).unwrap_or(u16::MAX)
        });
        let mut bytes = self.buffers.take();
        edits.render(message, &mut bytes);
        edits.clear();
        self.edits_pool.push(edits);
        let loop_hash = (loop_hash(message, &self.hash_state) & 0xf_ffff) as u32;
        if message.method() == Method::Ack {
            self.send_stateless(now, bytes, target, Some(message));
            return Branch { number, hop: None };
        }
        let owner = match id {
            Some(id) => Owner::Branch(id, number),
            None => Owner::Nobody,
        };
        let is_invite = message.method() == Method::Invite;
        let client = self.start_client(now, owner, bytes, (is_invite, loop_hash), target, Some(message));
        let hop = self
            .clients
            .get((client.0, client.1))
            .and_then(|client| client.attempt)
            .map(|attempt| attempt.hop);
        Branch { number, hop }
    }

    /// See [`crate::turn::Turn::originate`].
    pub(crate) fn originate(
        &mut self,
        now: Now,
        request: Vec<u8>,
        target: Target,
        waiting: R::Waiting,
    ) -> ClientId {
        let is_invite = request.starts_with(b"INVITE ");
        self.start_client(now, Owner::Role(waiting), request, (is_invite, 0), target, None)
    }

    fn start_client(
        &mut self,
        now: Now,
        owner: Owner<R::Waiting>,
        request: Vec<u8>,
        (is_invite, loop_hash): (bool, u32),
        target: Target,
        received: Option<&Message>,
    ) -> ClientId {
        if let Owner::Branch(id, _) = &owner
            && let Some(context) = self.contexts.get_mut(*id)
        {
            context.clients += 1;
        }
        let (len, line_end) = (request.len(), memchr_line_end(&request));
        let (slot, generation) = self.clients.insert(Client {
            owner,
            state: ClientState::Resolving,
            is_invite,
            request,
            via: line_end..line_end,
            attempt: None,
            rest: SmallVec::new(),
            random: 0,
            loop_hash,
            timing: self.timing_towards(&target),
            timers: SmallVec::new(),
            timer_c: None,
            cancelling: Cancelling::No,
            has_provisional: false,
        });
        let id = ClientId(slot, generation);
        self.name_branch(id);
        if len > REQUEST_BYTES_MAX {
            self.pending.push_back(Pending::ClientFailed(id, "request has grown too long"));
            return id;
        }
        match self.resolve(&target, received) {
            Ok(Resolved::Hops(hops)) => {
                let flow = match target {
                    Target::Flow(flow, _) => Some(flow),
                    _ => None,
                };
                self.set_attempts(id, hops.into_iter().map(|hop| Attempt { hop, flow }));
                self.next_attempt(now, id, "no hop left");
            }
            Ok(Resolved::Ask(lookup)) => {
                self.query(None, Query::Resolve(lookup), Wait::Resolve(id));
            }
            Ok(Resolved::Fail(unresolved)) => {
                tracing::warn!(role = R::NAME, %unresolved, "next hop does not resolve");
                self.pending.push_back(Pending::ClientFailed(id, "next hop does not resolve"));
            }
            Err(why) => self.pending.push_back(Pending::ClientFailed(id, why)),
        }
        id
    }

    /// Writes the client transaction into the branch that it carries.
    fn name_branch(&mut self, id: ClientId) {
        if let Some(Owner::Branch(context, number)) =
            self.clients.get((id.0, id.1)).map(|client| &client.owner)
            && let Some(context) = self.contexts.get_mut(*context)
            && let Some(branch) = context.branches.get_mut(usize::from(*number))
        {
            branch.client = Some(id);
        }
    }

    /// The hops of a target; `received` is the request that is forwarded, where one is.
    fn resolve(&self, target: &Target, received: Option<&Message>) -> Result<Resolved, &'static str> {
        const NO_URI: &str = "next hop is not a SIP URI";
        let uri = match (target, received) {
            (Target::Hop(hop) | Target::Flow(_, hop), _) => {
                return Ok(Resolved::Hops(SmallVec::from_slice(&[*hop])));
            }
            (Target::Uri(uri), _) => &uri[..],
            (Target::Route(slot), Some(received)) => {
                NameAddr::parse(Name::Route, received.slot(*slot)).map_err(|_| NO_URI)?.uri()
            }
            (Target::RequestUri, Some(received)) => received.uri(),
            (Target::Route(_) | Target::RequestUri, None) => return Err("no request is forwarded"),
        };
        let uri = Uri::parse(uri).map_err(|_| NO_URI)?;
        Ok(resolve::hops(&uri, &self.statics, &self.transports))
    }

    /// Moves a branch whose hop said 503 to the next hop (RFC 3263 §4.3); false when none is left.
    pub(crate) fn try_next_hop(&mut self, now: Now, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return false };
        // The same server over another transport is no other server.
        let busy = client.attempt.as_ref().map(|attempt| attempt.hop.remote);
        client.rest.retain(|attempt| Some(attempt.hop.remote) != busy);
        if client.rest.is_empty() || client.cancelling != Cancelling::No {
            return false;
        }
        let (slot, generation) = {
            let moved = Client {
                owner: std::mem::replace(&mut client.owner, Owner::Nobody),
                state: ClientState::Resolving,
                is_invite: client.is_invite,
                request: client.request.clone(),
                via: client.via.clone(),
                attempt: None,
                rest: std::mem::take(&mut client.rest),
                random: 0,
                loop_hash: client.loop_hash,
                timing: client.timing,
                timers: SmallVec::new(),
                timer_c: None,
                cancelling: Cancelling::No,
                has_provisional: false,
            };
            self.clients.insert(moved)
        };
        let next = ClientId(slot, generation);
        self.name_branch(next);
        self.counters.add("hop_failover", "503");
        self.next_attempt(now, next, "no hop left");
        true
    }

    /// Fills the list of what to try: a large request over UDP tries TCP first (RFC 3261 §18.1.1).
    fn set_attempts(&mut self, id: ClientId, attempts: impl Iterator<Item = Attempt>) {
        let has_tcp = self.transports.contains(&Transport::Tcp);
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        let is_large = self.udp_request_max > 0 && client.request.len() + 120 > self.udp_request_max;
        client.rest.clear();
        for attempt in attempts {
            if is_large && has_tcp && attempt.flow.is_none() && attempt.hop.transport == Transport::Udp {
                client
                    .rest
                    .push(Attempt { hop: Hop { transport: Transport::Tcp, ..attempt.hop }, flow: None });
            }
            client.rest.push(attempt);
        }
    }

    /// The answer to a resolve query.
    pub(crate) fn resolved(&mut self, now: Now, id: ClientId, answer: Answer) {
        match answer {
            Answer::Resolved(Ok(hops)) => {
                self.set_attempts(id, hops.into_iter().map(|hop| Attempt { hop, flow: None }));
                self.next_attempt(now, id, "no hop left");
            }
            Answer::Resolved(Err(unresolved)) => {
                tracing::warn!(role = R::NAME, %unresolved, "next hop does not resolve");
                self.pending.push_back(Pending::ClientFailed(id, "next hop does not resolve"));
            }
            Answer::Cx(_) | Answer::Stored(_) => {
                self.pending.push_back(Pending::ClientFailed(id, "driver answered another question"));
            }
        }
    }

    /// Starts the machine at the next hop, or reports that none is left.
    fn next_attempt(&mut self, now: Now, id: ClientId, why: &'static str) {
        let random = self.entropy.next_u64() & ((1 << 60) - 1);
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        if client.rest.is_empty() || client.cancelling == Cancelling::Wanted {
            self.pending.push_back(Pending::ClientFailed(id, why));
            return;
        }
        let attempt = client.rest.remove(0);
        client.attempt = Some(attempt);
        client.random = random;
        let branch = BranchId {
            // The response comes back to this shard, whichever receives it.
            bucket: self.share.nearest(Bucket::new((random & 0xfff) as u16)),
            slot: id.0,
            generation: (id.1 & 0x7fff) as u16,
            loop_hash: client.loop_hash,
            random,
        };
        client.state = if client.is_invite {
            ClientState::Invite(invite_client::State::Calling)
        } else {
            ClientState::NonInvite(non_invite_client::State::Trying)
        };
        let local = self.local_address(attempt);
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        write_via(attempt.hop.transport, local, &branch, &mut self.scratch);
        install_via(&mut client.request, &mut client.via, &self.scratch);
        let start = if client.is_invite { invite_client::START } else { non_invite_client::START };
        // A proxy's Timer C. A UA waits as long for a sign of life: a UAS that keeps a call ringing repeats its
        // provisional response every minute (RFC 3261 §13.3.1.1), so that no lost peer leaves a transaction behind.
        if client.is_invite && client.timer_c.is_none() {
            let armed = self.timers.arm(now.instant, self.timer_c, Key::TimerC(id), "timer C");
            client.timer_c = Some(armed);
        }
        self.client_actions(now, id, start, None);
    }

    /// Our address for a hop: the listening point of its side, transport and family.
    fn local_address(&self, attempt: Attempt) -> SocketAddr {
        let side = if attempt.flow.is_some() { Side::Access } else { Side::Core };
        self.local(side, Some(attempt.hop)).address
    }

    /// Feeds a client transaction. `response` is the one at hand for [`ClientEvent::Response`].
    pub(crate) fn client_event(
        &mut self,
        now: Now,
        id: ClientId,
        event: ClientEvent,
        response: Option<Incoming>,
    ) {
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        if matches!(event, ClientEvent::TransportError | ClientEvent::Timer(Timer::B | Timer::F))
            && client.is_unanswered()
            && !client.rest.is_empty()
        {
            // RFC 3263 §4.3: this hop failed, the next one is a new transaction.
            self.disarm_client(id);
            self.counters.add("hop_failover", "no answer");
            return self.next_attempt(now, id, "no hop left");
        }
        if matches!(event, ClientEvent::Response(Class::Provisional)) {
            client.has_provisional = true;
        }
        let actions = client.step(event);
        if event == ClientEvent::TransportError && !actions.is_empty() {
            self.pending.push_back(Pending::ClientFailed(id, "next hop cannot be reached"));
            return;
        }
        self.client_actions(now, id, actions, response);
    }

    fn client_actions(
        &mut self,
        now: Now,
        id: ClientId,
        actions: &'static [Action],
        response: Option<Incoming>,
    ) {
        let mut response = response;
        for action in actions {
            let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
            match *action {
                Action::Send => self.send_client(id),
                Action::SendAck => {
                    if let Some(response) = &response {
                        self.acknowledge(id, &response.message);
                    }
                }
                Action::Pass => {
                    if let Some(response) = response.take() {
                        self.pending.push_back(Pending::Response(id, response));
                    }
                }
                Action::Arm(timer) | Action::Rearm(timer) => {
                    let is_again = matches!(action, Action::Rearm(_));
                    let is_proceeding = client.is_proceeding();
                    let is_reliable =
                        client.attempt.is_some_and(|attempt| attempt.hop.transport.is_reliable());
                    let last = client.timers.iter().find(|(t, ..)| *t == timer).map(|(_, _, last)| *last);
                    client.timers.retain(|(t, ..)| *t != timer);
                    let after = match last {
                        Some(last) if is_again => Some(client.timing.next(timer, last, is_proceeding)),
                        _ => client.timing.first(timer, is_reliable),
                    };
                    match after {
                        Some(after) => {
                            let key = Key::Client(id, timer);
                            let armed = self.timers.arm(now.instant, after, key, timer.name());
                            client.timers.push((timer, armed, after));
                        }
                        // RFC 3261 table 4: D and K are zero on a reliable flow.
                        None if matches!(timer, Timer::D | Timer::K) => {
                            self.pending.push_back(Pending::ClientTimer(id, timer));
                        }
                        None => {}
                    }
                }
                Action::Disarm(timer) => {
                    if let Some(at) = client.timers.iter().position(|(t, ..)| *t == timer) {
                        let (_, armed, _) = client.timers.remove(at);
                        self.timers.cancel(armed);
                    }
                }
                Action::Timeout => self.pending.push_back(Pending::ClientTimedOut(id)),
                Action::Terminate => self.pending.push_back(Pending::ClientEnded(id)),
            }
        }
    }

    fn send_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get((id.0, id.1)) else { return };
        let Some(attempt) = client.attempt else { return };
        let exit = self.exit_of(attempt);
        let bytes = self.buffers.copy(&client.request);
        self.outputs.push_back(Output::Send { exit, bytes, ticket: id.ticket() });
    }

    fn exit_of(&self, attempt: Attempt) -> Exit {
        match attempt.flow {
            Some(flow) => Exit::Flow { flow, or: Some(attempt.hop) },
            None => Exit::Hop { hop: attempt.hop, local: self.local_address(attempt) },
        }
    }

    /// Sends the ACK to a final response of 300 or above (RFC 3261 §17.1.1.3).
    fn acknowledge(&mut self, id: ClientId, response: &Message) {
        let Some(client) = self.clients.get((id.0, id.1)) else { return };
        let Some(attempt) = client.attempt else { return };
        let to = response.first(Name::To).unwrap_or_default().to_vec();
        let Some(bytes) = derived_request(&client.request, Method::Ack, Some(&to)) else {
            return;
        };
        let exit = self.exit_of(attempt);
        self.outputs.push_back(Output::Send { exit, bytes, ticket: Ticket::default() });
    }

    /// Ends every open branch of a context: CANCEL for an INVITE, silence for anything else (RFC 3261 §9.1).
    pub(crate) fn cancel_branches(&mut self, now: Now, context: ContextId) {
        for id in self.clients_of(context) {
            self.cancel_client(now, id);
        }
    }

    /// See [`crate::turn::Turn::cancel`].
    pub(crate) fn cancel_client(&mut self, now: Now, id: ClientId) {
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        if !client.is_invite || !client.is_open() || client.cancelling != Cancelling::No {
            return;
        }
        client.cancelling = Cancelling::Wanted;
        client.rest.clear();
        if client.has_provisional {
            self.send_cancel(now, id);
        }
    }

    /// Sends the CANCEL that was wanted, once a provisional response has come.
    pub(crate) fn send_cancel(&mut self, now: Now, id: ClientId) {
        let Some(client) = self.clients.get((id.0, id.1)) else { return };
        let Some(attempt) = client.attempt else { return };
        let (timing, random, via) = (client.timing, client.random, client.via.clone());
        let Some(bytes) = derived_request(&client.request, Method::Cancel, None) else {
            return;
        };
        let line_end = memchr_line_end(&bytes);
        let (slot, generation) = self.clients.insert(Client {
            owner: Owner::Cancel,
            state: ClientState::NonInvite(non_invite_client::State::Trying),
            is_invite: false,
            request: bytes,
            via: line_end..line_end + via.len(),
            attempt: Some(attempt),
            rest: SmallVec::new(),
            random,
            loop_hash: 0,
            timing,
            timers: SmallVec::new(),
            timer_c: None,
            cancelling: Cancelling::No,
            has_provisional: false,
        });
        let cancel = ClientId(slot, generation);
        // RFC 3261 §9.1: without a final response 64*T1 after the CANCEL the INVITE is given up.
        let armed = self.timers.arm(now.instant, timing.t1 * 64, Key::CancelLinger(id), "64*T1 after CANCEL");
        if let Some(client) = self.clients.get_mut((id.0, id.1)) {
            client.cancelling = Cancelling::Sent(cancel);
            if let Some(timer_c) = client.timer_c.replace(armed) {
                self.timers.cancel(timer_c);
            }
        }
        self.client_actions(now, cancel, non_invite_client::START, None);
    }

    /// See [`crate::turn::Turn::limit_silence`].
    pub(crate) fn limit_silence(&mut self, now: Now, context: ContextId, number: u16, after: Duration) {
        let branch = self.contexts.get(context).and_then(|context| context.branches.get(usize::from(number)));
        if let Some(id) = branch.and_then(|branch| branch.client) {
            self.timers.arm(now.instant, after, Key::Silence(id), "silence of a hop");
        }
    }

    /// The patience with a silent branch is over. A late final response finds the transaction gone.
    pub(crate) fn silence_over(&mut self, id: ClientId) {
        let is_silent = self.clients.get((id.0, id.1)).is_some_and(|client| client.is_unanswered());
        if is_silent {
            self.pending.push_back(Pending::ClientTimedOut(id));
            self.pending.push_back(Pending::ClientEnded(id));
        }
    }

    /// Timer C (RFC 3261 §16.8): after a provisional response CANCEL, else as if a 408 had come.
    pub(crate) fn timer_c_fired(&mut self, now: Now, id: ClientId) {
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        client.timer_c = None;
        if !client.is_open() {
            return;
        }
        if client.has_provisional {
            client.cancelling = Cancelling::Wanted;
            self.send_cancel(now, id);
        } else {
            self.pending.push_back(Pending::ClientTimedOut(id));
            self.pending.push_back(Pending::ClientEnded(id));
        }
    }

    /// A provisional response other than 100 resets Timer C (RFC 3261 §16.7 step 2).
    pub(crate) fn reset_timer_c(&mut self, now: Now, id: ClientId) {
        let after = self.timer_c;
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        if client.cancelling != Cancelling::No {
            return;
        }
        if let Some(old) = client.timer_c.take() {
            self.timers.cancel(old);
            client.timer_c = Some(self.timers.arm(now.instant, after, Key::TimerC(id), "timer C"));
        }
    }

    /// Disarms Timer C once a final response has come.
    pub(crate) fn stop_timer_c(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut((id.0, id.1))
            && let Some(armed) = client.timer_c.take()
        {
            self.timers.cancel(armed);
        }
    }

    fn disarm_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut((id.0, id.1)) {
            for (_, armed, _) in client.timers.drain(..) {
                self.timers.cancel(armed);
            }
        }
    }

    /// Removes a client transaction; its context may be over with it.
    pub(crate) fn end_client(&mut self, id: ClientId) {
        self.disarm_client(id);
        self.stop_timer_c(id);
        let Some(client) = self.clients.remove((id.0, id.1)) else { return };
        self.buffers.push(client.request);
        match client.owner {
            Owner::Branch(context_id, _) => {
                if let Some(context) = self.contexts.get_mut(context_id) {
                    context.clients -= 1;
                }
                self.pending.push_back(Pending::Settle(context_id));
            }
            Owner::Role(_) | Owner::Cancel | Owner::Nobody => {}
        }
        if let Cancelling::Sent(cancel) = client.cancelling {
            self.pending.push_back(Pending::ClientEnded(cancel));
        }
    }

    /// The client transaction that a response belongs to (RFC 3261 §17.1.3).
    pub(crate) fn match_response(&self, response: &Message) -> Option<ClientId> {
        let via = response.top_via().ok()?;
        let branch = BranchId::read(via.branch()?)?;
        let (id, client) = self.clients.at(branch.slot)?;
        if client.random != branch.random || (id.1 & 0x7fff) as u16 != branch.generation {
            return None;
        }
        let is_cancel = response.method() == Method::Cancel;
        match client.cancelling {
            Cancelling::Sent(cancel) if is_cancel => Some(cancel),
            _ if is_cancel => None,
            _ if (response.method() == Method::Invite) == client.is_invite => Some(ClientId(id.0, id.1)),
            _ => None,
        }
    }

    /// Sends a request outside any transaction: an ACK.
    pub(crate) fn send_stateless(
        &mut self,
        _now: Now,
        mut request: Vec<u8>,
        target: Target,
        received: Option<&Message>,
    ) {
        let flow = match target {
            Target::Flow(flow, _) => Some(flow),
            _ => None,
        };
        let hop = match self.resolve(&target, received) {
            Ok(Resolved::Hops(hops)) => hops.into_iter().next(),
            Ok(Resolved::Ask(lookup)) => {
                self.query(None, Query::Resolve(lookup), Wait::Stateless(request));
                return;
            }
            Ok(Resolved::Fail(_)) | Err(_) => None,
        };
        let Some(hop) = hop else {
            self.counters.add("dropped", "ACK without a next hop");
            return;
        };
        let mut via = memchr_line_end(&request)..memchr_line_end(&request);
        let attempt = self.stateless_attempt(hop, flow, request.len());
        let branch = BranchId {
            bucket: self.share.nearest(Bucket::new(0)),
            slot: (1 << 25) - 1,
            generation: 0,
            loop_hash: 0,
            random: self.entropy.next_u64() & ((1 << 60) - 1),
        };
        let local = self.local_address(attempt);
        write_via(attempt.hop.transport, local, &branch, &mut self.scratch);
        install_via(&mut request, &mut via, &self.scratch);
        let exit = self.exit_of(attempt);
        self.outputs.push_back(Output::Send { exit, bytes: request, ticket: Ticket::default() });
    }

    fn stateless_attempt(&self, hop: Hop, flow: Option<Flow>, len: usize) -> Attempt {
        let is_large = self.udp_request_max > 0 && len + 120 > self.udp_request_max;
        if is_large
            && flow.is_none()
            && hop.transport == Transport::Udp
            && self.transports.contains(&Transport::Tcp)
        {
            return Attempt { hop: Hop { transport: Transport::Tcp, ..hop }, flow };
        }
        Attempt { hop, flow }
    }

    fn clients_of(&self, context: ContextId) -> SmallVec<[ClientId; 2]> {
        let Some(context) = self.contexts.get(context) else { return SmallVec::new() };
        context.branches.iter().filter_map(|branch| branch.client).collect()
    }
}

/// A request with our Via beyond 65 535 bytes fits into no datagram, and no element of ours would read it.
const REQUEST_BYTES_MAX: usize = 65_535 - 256;

/// The offset behind the start line.
fn memchr_line_end(request: &[u8]) -> usize {
    request.iter().position(|byte| *byte == b'\n').map_or(request.len(), |at| at + 1)
}

/// Writes the line of our Via.
fn write_via(transport: Transport, local: SocketAddr, branch: &BranchId, line: &mut Vec<u8>) {
    line.clear();
    // Writing into memory does not fail.
    let _ = write!(line, "Via: SIP/2.0/{} {local};branch=", transport.via_token());
    branch.write(line);
    line.extend_from_slice(b"\r\n");
}

/// Makes `line` the first header, in place of the one at `via`.
fn install_via(request: &mut Vec<u8>, via: &mut Range<usize>, line: &[u8]) {
    let (old_len, behind) = (request.len(), via.start + line.len());
    let len = old_len - via.len() + line.len();
    request.resize(old_len.max(len), 0);
    request.copy_within(via.end..old_len, behind);
    request.truncate(len);
    request[via.start..behind].copy_from_slice(line);
    via.end = behind;
}

/// The ACK or CANCEL of an INVITE of ours: same Request-URI, top Via, From, Call-ID, CSeq number and Route
/// (RFC 3261 §9.1, §17.1.1.3).
fn derived_request(invite: &[u8], method: Method<'_>, to: Option<&[u8]>) -> Option<Vec<u8>> {
    // Ours has more lines than the one that was let in.
    let limits = sip_core::Limits { headers: usize::MAX, values: usize::MAX, ..sip_core::Limits::default() };
    let message = Message::parse(invite.to_vec(), &limits).ok()?;
    let cseq = message.cseq().ok()?.number;
    let mut builder = RequestBuilder::new(method, message.uri()).header(Name::Via, message.first(Name::Via)?);
    for (_, route) in message.all(Name::Route) {
        builder = builder.header(Name::Route, route);
    }
    let builder = builder
        .header(Name::MaxForwards, "70")
        .header(Name::From, message.first(Name::From)?)
        .header(Name::To, to.or_else(|| message.first(Name::To))?)
        .header(Name::CallId, message.call_id())
        .header(Name::CSeq, format_args!("{cseq} {method}"));
    Some(builder.build())
}
