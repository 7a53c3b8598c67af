//! Client transactions of a node: the machine of one, what arrives at it, and what it asks for.

mod cancel;
mod forward;
mod hops;

use crate::context::ContextId;
use crate::flow::{Flow, Hop};
use crate::input::{Output, Ticket};
use crate::metrics::{Flowing, Kind};
use crate::node::branch_id::BranchId;
use crate::node::server::arm;
use crate::node::{Core, Key, Pending};
use crate::role::{Incoming, Role};
use crate::turn::Target;
use ambient::{Now, TimerId};
use ipsec::Spi;
use sip_core::transaction::{Action, Class, Step, Timer, Timing, invite_client, non_invite_client};
use sip_core::{Message, Method, Via};
use smallvec::SmallVec;
use std::ops::Range;
use std::time::Duration;

/// Names a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub(crate) u32, pub(crate) u32);

impl ClientId {
    /// The ticket of what is sent to the hop that is tried as number `attempt`, so that the late failure of one hop is not
    /// taken for the next one's.
    pub(crate) fn ticket(self, attempt: u8) -> Ticket {
        // Never zero: zero means that nobody waits. A slot is below 2^25, as in a branch, so that 58 bits hold it all.
        let of_slot = (self.1 % GENERATIONS) << 6 | u32::from(attempt % ATTEMPTS);
        Ticket(u64::from(self.0 + 1) << 32 | u64::from(of_slot))
    }
}

/// What a ticket says: the slot of a client transaction, its generation modulo [`GENERATIONS`], the attempt modulo
/// [`ATTEMPTS`].
fn read_ticket(ticket: Ticket) -> Option<(u32, u32, u8)> {
    let slot = u32::try_from(ticket.0 >> 32).ok()?.checked_sub(1)?;
    let of_slot = ticket.0 as u32;
    Some((slot, of_slot >> 6, (of_slot % u32::from(ATTEMPTS)) as u8))
}

/// How many uses of a slot a ticket tells apart.
const GENERATIONS: u32 = 1 << 26;
/// How many attempts a ticket tells apart, more than a name has hops.
const ATTEMPTS: u8 = 64;

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
    /// The set of security associations that it goes through.
    pub(crate) secured: Option<Spi>,
}

impl Attempt {
    /// To a hop of a target.
    pub(crate) fn of(target: &Target, hop: Hop) -> Attempt {
        match target {
            Target::Flow(flow, _) => Attempt { hop, flow: Some(*flow), secured: None },
            Target::Secured(set, _) => Attempt { hop, flow: None, secured: Some(*set) },
            Target::Uri(_) | Target::Route(_) | Target::RequestUri | Target::Hop(_) => Attempt::at(hop),
        }
    }

    /// To a hop, by whatever way there is.
    pub(crate) fn at(hop: Hop) -> Attempt {
        Attempt { hop, flow: None, secured: None }
    }
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
    /// Counts the hops tried so far.
    pub(crate) attempts: u8,
    /// What is left to try (RFC 3263 §4.3), in order.
    pub(crate) rest: SmallVec<[Attempt; 2]>,
    pub(crate) random: u64,
    pub(crate) loop_hash: u64,
    pub(crate) timing: Timing,
    pub(crate) timers: SmallVec<[(Timer, TimerId, Duration); 2]>,
    pub(crate) timer_c: Option<TimerId>,
    pub(crate) cancelling: Cancelling,
    /// Whether Timer C made us give up: a late final response no longer counts.
    pub(crate) has_provisional: bool,
    /// Its hop lives: it has said more than 100, or the role knows it otherwise.
    pub(crate) has_shown_life: bool,
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
            self.about_client(id);
            self.count("hop_failover", "no answer");
            return self.next_attempt(now, id, "no hop left");
        }
        if matches!(event, ClientEvent::Response(Class::Provisional)) {
            client.has_provisional = true;
        }
        let actions = client.step(event);
        if matches!(event, ClientEvent::Timer(_))
            && actions.contains(&Action::Send)
            && let Some(traffic) = &mut self.traffic
        {
            traffic.again(Flowing::Out, Kind::of_request(&client.request));
        }
        if event == ClientEvent::TransportError && !actions.is_empty() {
            self.pending.push_back(Pending::ClientFailed(id, "next hop cannot be reached"));
            return;
        }
        self.client_actions(now, id, actions, response);
    }

    /// A message of ours could not be sent.
    pub(crate) fn send_failed(&mut self, now: Now, ticket: Ticket) {
        let Some((slot, generation, attempt)) = read_ticket(ticket) else { return };
        match self.clients.at(slot) {
            Some((id, client)) if id.1 % GENERATIONS == generation => {
                if client.attempts % ATTEMPTS == attempt {
                    self.client_event(now, ClientId(id.0, id.1), ClientEvent::TransportError, None);
                } else {
                    self.count("dropped", "failure of a hop given up before");
                }
            }
            _ => {}
        }
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
                    let is_reliable = client.attempt.is_some_and(|Attempt { hop, .. }| {
                        hop.transport.is_reliable() || self.colocated.contains(&hop.remote)
                    });
                    let last = client.timers.iter().find(|(t, ..)| *t == timer).map(|(_, _, last)| *last);
                    client.timers.retain(|(t, ..)| *t != timer);
                    let after = match last {
                        Some(last) if is_again => Some(client.timing.next(timer, last, is_proceeding)),
                        _ => client.timing.first(timer, is_reliable),
                    };
                    match after {
                        Some(after) => {
                            let key = Key::Client(id, timer);
                            let armed = arm(&mut self.timers, now.instant, after, key, timer);
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
        self.outputs.push_back(Output::Send { exit, bytes, ticket: id.ticket(client.attempts) });
    }

    fn disarm_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut((id.0, id.1)) {
            for (_, armed, _) in client.timers.drain(..) {
                self.timers.cancel(armed);
            }
        }
    }

    /// A final response has been dealt with: its retransmissions need neither the request (but for the ACK to a failed
    /// INVITE) nor, where they are absorbed, the context.
    pub(super) fn let_linger(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        let (is_absorbed, needs_request) = match client.state {
            ClientState::NonInvite(non_invite_client::State::Completed) => (true, false),
            ClientState::Invite(invite_client::State::Completed) => (true, true),
            ClientState::Invite(invite_client::State::Accepted) => (false, false),
            _ => return,
        };
        if !needs_request {
            self.buffers.push(std::mem::take(&mut client.request));
        }
        if is_absorbed && let Owner::Branch(context_id, _) = client.owner {
            client.owner = Owner::Nobody;
            if let Some(context) = self.contexts.get_mut(context_id) {
                context.clients -= 1;
            }
            self.pending.push_back(Pending::Settle(context_id));
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
    pub(crate) fn match_response(&self, response: &Message, via: &Via<'_>) -> Option<ClientId> {
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
}
