//! What follows an INVITE of ours in the same hop: CANCEL, Timer C, and the ACK to a failure (RFC 3261 §9.1, §16.8).

use super::hops::line_end;
use super::{Cancelling, Client, ClientId, ClientState, Owner};
use crate::context::ContextId;
use crate::input::{Output, Ticket};
use crate::metrics::{Flowing, Kind};
use crate::node::{Core, Key, Pending};
use crate::role::Role;
use crate::turn::LifeSign;
use ambient::Now;
use sip_core::transaction::non_invite_client;
use sip_core::{Message, Method, Name, RequestBuilder};
use smallvec::SmallVec;
use std::time::Duration;

impl<R: Role> Core<R> {
    /// Sends the ACK to a final response of 300 or above (RFC 3261 §17.1.1.3).
    pub(super) fn acknowledge(&mut self, id: ClientId, response: &Message) {
        let Some(client) = self.clients.get((id.0, id.1)) else { return };
        let Some(attempt) = client.attempt else { return };
        let to = response.first(Name::To).unwrap_or_default().to_vec();
        let Some(bytes) = derived_request(&client.request, Method::Ack, Some(&to)) else {
            return;
        };
        if let Some(traffic) = &mut self.traffic {
            traffic.request(Flowing::Out, Kind::of(&Method::Ack), attempt.hop.transport);
        }
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
        let line = line_end(&bytes);
        let (slot, generation) = self.clients.insert(Client {
            owner: Owner::Cancel,
            state: ClientState::NonInvite(non_invite_client::State::Trying),
            is_invite: false,
            request: bytes,
            via: line..line + via.len(),
            attempt: Some(attempt),
            attempts: 0,
            rest: SmallVec::new(),
            random,
            loop_hash: 0,
            timing,
            timers: SmallVec::new(),
            timer_c: None,
            cancelling: Cancelling::No,
            has_provisional: false,
            has_shown_life: false,
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
        if let Some(traffic) = &mut self.traffic {
            traffic.request(Flowing::Out, Kind::of(&Method::Cancel), attempt.hop.transport);
        }
        self.client_actions(now, cancel, non_invite_client::START, None);
    }

    /// See [`crate::turn::Turn::limit_silence`].
    pub(crate) fn limit_silence(
        &mut self,
        now: Now,
        context: ContextId,
        number: u16,
        after: Duration,
        sign: LifeSign,
    ) {
        let branch = self.contexts.get(context).and_then(|context| context.branches.get(usize::from(number)));
        if let Some(id) = branch.and_then(|branch| branch.client) {
            self.timers.arm(now.instant, after, Key::Silence(id, sign), "silence of a hop");
        }
    }

    /// See [`crate::turn::Turn::lift_silence`].
    pub(crate) fn lift_silence(&mut self, context: ContextId, number: u16) {
        let branch = self.contexts.get(context).and_then(|context| context.branches.get(usize::from(number)));
        if let Some(client) =
            branch.and_then(|branch| branch.client).and_then(|id| self.clients.get_mut((id.0, id.1)))
        {
            client.has_shown_life = true;
        }
    }

    /// The patience with a silent branch is over. A late final response finds the transaction gone; or, of an INVITE that had a
    /// 100, the branch ended: it is cancelled, and nobody but a late 2xx is heard any more (RFC 3261 §16.7 step 10).
    pub(crate) fn silence_over(&mut self, now: Now, id: ClientId, sign: LifeSign) {
        let Some(client) = self.clients.get((id.0, id.1)) else { return };
        let is_silent = match sign {
            LifeSign::Trying => client.is_unanswered(),
            LifeSign::Progress => client.is_open() && !matches!(client.cancelling, Cancelling::Sent(_)),
        };
        if client.has_shown_life || !is_silent {
            return;
        }
        let has_transaction = client.is_invite && client.has_provisional;
        let context = match client.owner {
            Owner::Branch(context, _) => Some(context),
            Owner::Role(_) | Owner::Cancel | Owner::Nobody => None,
        };
        self.pending.push_back(Pending::ClientTimedOut(id));
        if has_transaction {
            self.cancel_client(now, id);
            self.pending.extend(context.map(Pending::Settle));
        } else {
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

    pub(super) fn clients_of(&self, context: ContextId) -> SmallVec<[ClientId; 2]> {
        let Some(context) = self.contexts.get(context) else { return SmallVec::new() };
        context.branches.iter().filter_map(|branch| branch.client).collect()
    }
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
