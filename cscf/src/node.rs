//! The node: one role, the transactions under it, and the queue of what it wants done.
//!
//! [`Node::handle`] takes one input and runs to completion. Whatever an input sets off (a response that passes through
//! two machines, a branch that fails while it is being made) goes through one internal queue, so that no hook of the
//! role is ever entered twice at once.

pub(crate) mod branch_id;
mod buffers;
mod client;
mod counters;
mod dispatch;
mod facts;
mod lingering;
mod quota;
mod refusal;
mod screening;
pub(crate) mod server;
mod strict_routing;
mod table;
mod upstream;

pub use client::ClientId;
pub use counters::{Count, Counters};

use crate::bucket::{Share, TokenKey};
use crate::context::{Context, ContextId};
use crate::flow::{Hop, Local, Side, Transport, Trust};
use crate::input::{Event, Input, Output};
use crate::metrics::{Gauge, Holding, Traffic};
use crate::query::{Answer, Query, QueryId};
use crate::reject::Reject;
use crate::resolve::StaticNames;
use crate::role::{Incoming, Role};
use crate::turn::{LifeSign, Target, Turn};
use ambient::entropy::KeyedState;
use ambient::{Entropy, Instant, Now, TimerId, Timers};
use buffers::Buffers;
use client::{Client, Owner};
use lingering::{Lingering, ServerKeys};
use quota::Quota;
use sip_core::transaction::{Timer, Timing};
use sip_core::{Edits, Index, Limits, Message, Name};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use table::Table;

/// What a node is built with.
#[derive(Debug)]
pub struct Setup {
    /// The listening points, in order of preference.
    pub locals: Vec<Local>,
    /// Names that need no DNS.
    pub statics: StaticNames,
    /// Randomness.
    pub entropy: Entropy,
    /// The key of tokens and buckets; a new one when the store has none.
    pub token_key: Option<TokenKey>,
    /// Bounds of a message.
    pub limits: Limits,
    /// How many transactions of each kind may be open; more are refused with 503.
    pub transactions_max: usize,
    /// How many requests of one source outside of the trust domain may be open; more are refused with 503.
    pub contexts_per_source_max: usize,
    /// Timers towards the core, and towards UEs (TS 24.229 §7.7).
    pub timing: (Timing, Timing),
    /// Timer C, above 3 minutes (RFC 3261 §16.6 step 11).
    pub timer_c: Duration,
    /// A request over this many bytes leaves by TCP first; 0 never switches (RFC 3261 §18.1.1).
    pub udp_request_max: usize,
    /// Which shard of its function the node is: every branch and token that it mints lies in a bucket of it.
    pub share: Share,
}

impl Setup {
    /// A node at `locals` with the values of the RFCs.
    pub fn new(locals: Vec<Local>, statics: StaticNames, entropy: Entropy) -> Setup {
        Setup {
            locals,
            statics,
            entropy,
            token_key: None,
            limits: Limits::default(),
            transactions_max: 200_000,
            contexts_per_source_max: 2_000,
            timing: (Timing::CORE, Timing::ACCESS),
            timer_c: Duration::from_secs(185),
            udp_request_max: UDP_REQUEST_MAX,
            share: Share::WHOLE,
        }
    }
}

/// RFC 3261 §18.1.1: a request over this many bytes may not fit into a datagram where the path MTU is not known.
pub const UDP_REQUEST_MAX: usize = 1300;
/// Indexes kept for the next messages: as many as buffers.
const INDEXES_MAX: usize = 1024;

/// What waits for the answer to a query.
#[derive(Debug)]
pub(crate) enum Wait<W> {
    Role(W),
    /// A client transaction waits for its next hop.
    Resolve(ClientId),
    /// An ACK waits for its next hop.
    Stateless(Vec<u8>),
}

/// What a timer is for.
#[derive(Clone, Debug)]
pub(crate) enum Key<T> {
    Server(ContextId, Timer),
    Client(ClientId, Timer),
    TimerC(ClientId),
    CancelLinger(ClientId),
    Silence(ClientId, LifeSign),
    Role(T),
}

/// What one step leaves to be done before the input is handled.
#[expect(
    clippy::large_enum_variant,
    reason = "made, handled and gone: boxing would cost an allocation per message"
)]
#[derive(Debug)]
pub(crate) enum Pending {
    Response(ClientId, Incoming),
    ClientFailed(ClientId, &'static str),
    ClientTimedOut(ClientId),
    ClientTimer(ClientId, Timer),
    ClientEnded(ClientId),
    ServerTimer(ContextId, Timer),
    Settle(ContextId),
}

/// Everything of a node but its role, so that a hook can hold both.
#[derive(Debug)]
pub struct Core<R: Role> {
    pub(crate) contexts: Contexts<R>,
    pub(crate) quota: Quota,
    pub(crate) server_keys: ServerKeys,
    pub(crate) lingering: Lingering,
    pub(crate) clients: Table<Client<R::Waiting>>,
    pub(crate) queries: Table<(Option<ContextId>, Wait<R::Waiting>)>,
    pub(crate) timers: Timers<Key<R::Timer>>,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) outputs: VecDeque<Output<R>>,
    pub(crate) entropy: Entropy,
    pub(crate) hash_state: KeyedState,
    pub(crate) hash_key: (u64, u64),
    pub(crate) token_key: TokenKey,
    pub(crate) locals: Vec<Local>,
    /// Our addresses as a Via spells them.
    pub(crate) sent_by: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) transports: Vec<Transport>,
    pub(crate) statics: StaticNames,
    pub(crate) limits: Limits,
    pub(crate) timing: (Timing, Timing),
    pub(crate) timer_c: Duration,
    pub(crate) udp_request_max: usize,
    /// Where other functions of this process take datagrams: none of these is lost, too large, or comes twice.
    pub(crate) colocated: Vec<SocketAddr>,
    pub(crate) share: Share,
    pub(crate) edits_pool: Vec<Edits>,
    pub(crate) buffers: Buffers,
    /// Indexes of messages that are done with.
    pub(crate) indexes: Vec<Index>,
    /// One line being written.
    pub(crate) scratch: Vec<u8>,
    pub(crate) counters: Counters,
    /// Messages and transactions, where the role has them counted.
    pub(crate) traffic: Option<Box<Traffic>>,
    pub(crate) facts: facts::Facts,
    pub(crate) scratch_data: R::Data,
    pub(crate) is_draining: bool,
}

/// The contexts by id.
#[derive(Debug)]
pub(crate) struct Contexts<R: Role>(Table<Context<R>>);

impl<R: Role> Contexts<R> {
    pub(crate) fn get(&self, id: ContextId) -> Option<&Context<R>> {
        self.0.get((id.slot, id.generation))
    }

    pub(crate) fn get_mut(&mut self, id: ContextId) -> Option<&mut Context<R>> {
        self.0.get_mut((id.slot, id.generation))
    }

    pub(crate) fn insert(&mut self, context: Context<R>) -> ContextId {
        let (slot, generation) = self.0.insert(context);
        ContextId { slot, generation }
    }

    pub(crate) fn remove(&mut self, id: ContextId) -> Option<Context<R>> {
        self.0.remove((id.slot, id.generation))
    }
}

/// One role, driven by inputs.
#[derive(Debug)]
pub struct Node<R: Role> {
    role: R,
    core: Core<R>,
}

impl<R: Role> Node<R> {
    /// A node for `role`.
    pub fn new(role: R, setup: Setup) -> Node<R> {
        let mut entropy = setup.entropy;
        let hash_key = (entropy.next_u64(), entropy.next_u64());
        let hash_state = KeyedState::from_key(hash_key);
        let token_key = setup.token_key.unwrap_or_else(|| TokenKey::new(&mut entropy));
        let mut transports: Vec<Transport> = setup.locals.iter().map(|local| local.transport).collect();
        transports.sort_unstable();
        transports.dedup();
        Node {
            role,
            core: Core {
                contexts: Contexts(Table::with_max(setup.transactions_max)),
                quota: Quota::new(setup.contexts_per_source_max, hash_state),
                server_keys: ServerKeys::default(),
                lingering: Lingering::default(),
                clients: Table::with_max(setup.transactions_max),
                queries: Table::with_max(setup.transactions_max),
                timers: Timers::new(),
                pending: VecDeque::new(),
                outputs: VecDeque::new(),
                entropy,
                hash_state,
                hash_key,
                token_key,
                sent_by: setup
                    .locals
                    .iter()
                    .map(|local| (local.address, local.address.to_string().into_bytes()))
                    .collect(),
                locals: setup.locals,
                transports,
                statics: setup.statics,
                limits: setup.limits,
                timing: setup.timing,
                timer_c: setup.timer_c,
                udp_request_max: setup.udp_request_max,
                colocated: Vec::new(),
                share: setup.share,
                edits_pool: Vec::new(),
                buffers: Buffers::default(),
                indexes: Vec::new(),
                scratch: Vec::new(),
                counters: Counters::default(),
                traffic: R::COUNTS_TRAFFIC.then(Box::default),
                facts: facts::Facts::default(),
                scratch_data: R::Data::default(),
                is_draining: false,
            },
        }
    }

    /// The role, for a look from outside.
    pub fn role(&self) -> &R {
        &self.role
    }

    /// The role, for what is set up before the first input.
    pub fn role_mut(&mut self) -> &mut R {
        &mut self.role
    }

    /// What was counted, by name and cause.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// What was counted of SIP; `None` of a role that has nothing counted.
    pub fn traffic(&self) -> Option<&Traffic> {
        self.core.traffic.as_deref()
    }

    /// What the role and the node hold many of.
    pub fn gauges(&self) -> Vec<Gauge> {
        let (contexts, clients, queries) = self.open();
        let mut gauges = self.role.gauges();
        gauges.push(Gauge::new(Holding::Transactions, "server", contexts));
        gauges.push(Gauge::new(Holding::Transactions, "client", clients));
        gauges.push(Gauge::new(Holding::Queries, "open", queries));
        gauges
    }

    /// Whether facts are kept for [`Node::poll_fact`].
    pub fn set_facts(&mut self, on: bool) {
        self.core.facts.set(on);
    }

    /// The next thing that was found or decided.
    pub fn poll_fact(&mut self) -> Option<crate::trace::Fact> {
        self.core.facts.poll()
    }

    /// The key of this node's tokens, for the store.
    pub fn token_key(&self) -> TokenKey {
        self.core.token_key
    }

    /// Which shard of its function it is.
    pub fn share(&self) -> Share {
        self.core.share
    }

    /// Takes over the key that the store held, before the first message.
    pub fn set_token_key(&mut self, key: TokenKey) {
        self.core.token_key = key;
    }

    /// Datagrams to and from these addresses stay in this process: a way as reliable as a connection, whatever their size.
    pub fn set_colocated(&mut self, colocated: Vec<SocketAddr>) {
        self.core.colocated = colocated;
    }

    /// How many contexts, client transactions and queries are open; all zero some time after the last message.
    pub fn open(&self) -> (usize, usize, usize) {
        let contexts = self.core.contexts.0.len() + self.core.lingering.len();
        (contexts, self.core.clients.len(), self.core.queries.len())
    }

    /// Whether every request has its final response and every query its answer.
    pub fn is_idle(&self) -> bool {
        self.core.queries.len() == 0
            && self.core.contexts.0.iter().all(|context| context.is_answered)
            && self.core.clients.iter().all(|client| !client.is_open())
    }

    /// Handles one input to completion; drain [`Node::poll_output`] after it.
    pub fn handle(&mut self, now: Now, input: Input<R>) {
        match input {
            Input::Message { source, bytes } => self.message(now, source, bytes),
            Input::Answer { query, answer } => self.answer(now, query, answer),
            Input::PeerRequest { id, request } => {
                self.hook(now, None, |role, turn, _| {
                    role.peer_request(turn, id, request);
                    Ok(())
                });
            }
            Input::SendFailed { ticket, why } => {
                tracing::debug!(role = R::NAME, why, "a message could not be sent");
                self.core.facts.about(None, None);
                self.core.count("send_failed", why);
                self.core.send_failed(now, ticket);
            }
            Input::Event(event) => {
                if matches!(event, Event::Draining) {
                    self.core.is_draining = true;
                }
                self.hook(now, None, |role, turn, _| {
                    role.event(turn, event);
                    Ok(())
                });
            }
            Input::Timeout => {}
        }
        self.run_pending(now);
        self.fire_timers(now);
    }

    /// The next output, until `None`.
    pub fn poll_output(&mut self) -> Option<Output<R>> {
        self.core.outputs.pop_front()
    }

    /// When the node wants [`Input::Timeout`], and the name of the timer.
    pub fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        let lingering = self.core.lingering.next().map(|at| (at, Timer::J.name()));
        self.core.timers.next().into_iter().chain(lingering).min_by_key(|(at, _)| *at)
    }

    /// Gives a sent buffer back for reuse.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.core.buffers.push(buffer);
    }

    /// A buffer that is not needed here for a while.
    pub fn spare_buffer(&mut self) -> Option<Vec<u8>> {
        self.core.buffers.spare()
    }

    fn fire_timers(&mut self, now: Now) {
        while let Some(key) = self.core.timers.pop_due(now.instant) {
            match key {
                Key::Server(id, timer) => {
                    self.core.server_timer(now, id, timer);
                }
                Key::Client(id, timer) => {
                    self.core.client_event(now, id, client::ClientEvent::Timer(timer), None)
                }
                Key::TimerC(id) => self.core.timer_c_fired(now, id),
                Key::Silence(id, sign) => self.core.silence_over(now, id, sign),
                Key::CancelLinger(id) => {
                    self.core.pending.push_back(Pending::ClientTimedOut(id));
                    self.core.pending.push_back(Pending::ClientEnded(id));
                }
                Key::Role(timer) => {
                    self.hook(now, None, |role, turn, _| {
                        role.timer(turn, timer);
                        Ok(())
                    });
                }
            }
            self.run_pending(now);
        }
        self.core.timers.drop_stale();
        self.core.end_lingering(now);
    }

    /// Runs one hook of the role with the context's request in hand, and turns a refusal into the response.
    fn hook<T: Default>(
        &mut self,
        now: Now,
        context: Option<ContextId>,
        run: impl FnOnce(&mut R, &mut Turn<'_, R>, Option<&Incoming>) -> Result<T, Reject>,
    ) -> T {
        let request = context.and_then(|id| self.core.contexts.get_mut(id)?.request.take());
        if self.core.facts.is_on() {
            let call_id = request.as_ref().and_then(|request| request.message.first(Name::CallId));
            self.core.facts.about(call_id, request.as_ref().map(|request| request.source.remote));
        }
        let mut turn = Turn { core: &mut self.core, now, context };
        let outcome = run(&mut self.role, &mut turn, request.as_ref());
        let value = match (outcome, &request) {
            (Ok(value), _) => value,
            (Err(reject), Some(request)) => {
                self.core.refuse(now, context, request, &reject);
                T::default()
            }
            (Err(reject), None) => {
                tracing::warn!(role = R::NAME, cause = reject.cause, detail = ?reject.detail, "refusal after the request was over");
                T::default()
            }
        };
        if let Some(id) = context {
            if let Some(context) = self.core.contexts.get_mut(id) {
                context.request = request;
            }
            self.core.pending.push_back(Pending::Settle(id));
        }
        value
    }
}

impl<R: Role> Core<R> {
    /// Counts something, and records it.
    pub(crate) fn count(&mut self, what: &'static str, cause: &'static str) {
        self.counters.add(what, cause);
        self.facts.add(what, cause, "");
    }

    /// What is found next is about the request that a client transaction has sent.
    pub(crate) fn about_client(&mut self, id: client::ClientId) {
        if self.facts.is_on()
            && let Some(client) = self.clients.get((id.0, id.1))
        {
            let remote = client.attempt.as_ref().map(|attempt| attempt.hop.remote);
            self.facts.about(recorder::sip::call_id(&client.request).map(str::as_bytes), remote);
        }
    }

    /// The listening point that serves `side`: the one of the hop's transport and family where there is one.
    pub(crate) fn local(&self, side: Side, hop: Option<Hop>) -> &Local {
        let fits = |local: &Local| match hop {
            Some(hop) => {
                u8::from(local.transport == hop.transport) * 2
                    + u8::from(local.address.is_ipv4() == hop.remote.is_ipv4()) * 4
            }
            None => 0,
        };
        // The first of the best: side counts less than being able to send at all.
        let mut best = &self.locals[0];
        let mut best_score = 0;
        for local in &self.locals {
            // What is protected is chosen by name only.
            if (local.side == Side::Protected) != (side == Side::Protected) {
                continue;
            }
            let score = 1 + fits(local) + u8::from(local.side == side);
            if score > best_score {
                (best, best_score) = (local, score);
            }
        }
        best
    }

    /// The timer values towards a source: a node that has an access side uses the longer ones towards whoever is outside, and a
    /// UE towards everyone.
    pub(crate) fn timing_of(&self, trust: Trust) -> Timing {
        let has_access = self.locals.iter().any(|local| local.side == Side::Access);
        let is_over_access = has_access && (trust == Trust::Outside || self.is_ue());
        if is_over_access { self.timing.1 } else { self.timing.0 }
    }

    /// The timer values towards a target: only UEs are reached by flow, and a UE reaches everyone over its access.
    pub(crate) fn timing_towards(&self, target: &Target) -> Timing {
        if self.is_ue() || matches!(target, Target::Flow(..) | Target::Secured(..)) {
            self.timing.1
        } else {
            self.timing.0
        }
    }

    /// Whether this is a UE: no side of it is towards the core.
    fn is_ue(&self) -> bool {
        self.locals.iter().all(|local| local.side != Side::Core)
    }

    pub(crate) fn query(
        &mut self,
        context: Option<ContextId>,
        query: Query,
        wait: Wait<R::Waiting>,
    ) -> QueryId {
        if let Some(context) = context.and_then(|id| self.contexts.get_mut(id)) {
            context.queries += 1;
        }
        let (slot, generation) = self.queries.insert((context, wait));
        let id = QueryId(u64::from(slot) << 32 | u64::from(generation));
        self.outputs.push_back(Output::Query { id, query });
        id
    }

    pub(crate) fn take_query(&mut self, id: QueryId) -> Option<(Option<ContextId>, Wait<R::Waiting>)> {
        let (context, wait) = self.queries.remove(((id.0 >> 32) as u32, id.0 as u32))?;
        if let Some(context) = context.and_then(|id| self.contexts.get_mut(id)) {
            context.queries -= 1;
        }
        Some((context, wait))
    }

    pub(crate) fn arm_role(
        &mut self,
        now: Now,
        after: Duration,
        timer: R::Timer,
        why: &'static str,
    ) -> TimerId {
        self.timers.arm(now.instant, after, Key::Role(timer), why)
    }

    pub(crate) fn disarm(&mut self, id: TimerId) {
        self.timers.cancel(id);
    }

    /// Takes buffer and index of a message back.
    pub(crate) fn reclaim(&mut self, message: Message) {
        let (bytes, index) = message.into_parts();
        self.buffers.push(bytes);
        if self.indexes.len() < INDEXES_MAX {
            self.indexes.push(index);
        }
    }

    pub(crate) fn mint_tag(&mut self) -> String {
        let mut tag = Vec::with_capacity(12);
        crate::bucket::base32(self.entropy.next_u64() & ((1 << 60) - 1), 60, &mut tag);
        // Base32 is ASCII.
        String::from_utf8(tag).unwrap_or_default()
    }

    fn server_timer(&mut self, now: Now, id: ContextId, timer: Timer) {
        self.server_event(now, id, server::ServerEvent::Timer(timer), None);
    }
}

/// The Max-Breadth of a request (RFC 5393 §5.3.3): 60 when it has none.
pub(crate) fn breadth_of(message: &Message) -> u32 {
    message
        .other(b"Max-Breadth")
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
        .unwrap_or(60)
}

/// Answers of the driver that a client transaction waits for, and the answers of the role's own queries.
impl<R: Role> Node<R> {
    fn answer(&mut self, now: Now, query: QueryId, answer: Answer) {
        let Some((context, wait)) = self.core.take_query(query) else {
            self.core.count("dropped", "answer to no query");
            return;
        };
        match wait {
            Wait::Resolve(client) => self.core.resolved(now, client, answer),
            Wait::Stateless(request) => match answer {
                Answer::Resolved(Ok(hops)) if !hops.is_empty() => {
                    self.core.send_stateless(now, request, Target::Hop(hops[0]), None);
                }
                _ => self.core.count("dropped", "ACK without a next hop"),
            },
            Wait::Role(waiting) => {
                // A request that was cancelled or answered in the meantime: the role still hears the answer, for it may
                // have to undo what it asked for, but there is nothing left to answer.
                self.hook(now, context, |role, turn, request| role.answer(turn, request, waiting, answer));
            }
        }
    }

    /// Ends the client transaction's share in its owner with what `outcome` says.
    fn owner_of(&mut self, id: ClientId) -> Option<&mut Owner<R::Waiting>> {
        self.core.clients.get_mut((id.0, id.1)).map(|client| &mut client.owner)
    }
}

#[cfg(test)]
mod tests;
