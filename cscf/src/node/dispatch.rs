//! How a message finds its transaction, and how what a step left behind is worked off.

use crate::context::ContextId;
use crate::flow::Source;
use crate::metrics::{Flowing, Kind};
use crate::node::client::ClientEvent;
use crate::node::lingering::Holder;
use crate::node::server::{ServerEvent, response_exit, transaction_key};
use crate::node::{Node, Pending};
use crate::reject::Reject;
use crate::role::{Failure, Incoming, Role};
use ambient::Now;
use sip_core::transaction::Class;
use sip_core::{CheckError, Message, Method, Name, Status};

impl<R: Role> Node<R> {
    /// One received message.
    pub(super) fn message(&mut self, now: Now, source: Source, bytes: Vec<u8>) {
        let index = self.core.indexes.pop().unwrap_or_default();
        let message = match Message::parse_into(bytes, &self.core.limits, index) {
            Ok(message) => message,
            Err(error) => return self.core.malformed(source, error),
        };
        if message.is_request() {
            self.request(now, source, message)
        } else {
            self.response(now, source, message)
        }
    }

    /// A message whose home is another shard, which takes no more: 503 for a request, nothing for anything else.
    pub fn refuse_busy(&mut self, source: Source, bytes: Vec<u8>) {
        let index = self.core.indexes.pop().unwrap_or_default();
        match Message::parse_into(bytes, &self.core.limits, index) {
            Err(error) => self.core.malformed(source, error),
            Ok(mut message) if message.is_request() => {
                if !self.core.stamp_via(&source, &mut message) {
                    return self.core.count("dropped", "request without a readable Via");
                }
                let reject = Reject::new(Status::SERVICE_UNAVAILABLE, "the user's shard is busy")
                    .header(Name::RetryAfter, "5");
                self.core.refuse_stateless(&Incoming { message, source }, &reject);
            }
            Ok(message) => {
                self.core.count("dropped", "response to a busy shard");
                self.core.reclaim(message);
            }
        }
    }

    fn response(&mut self, now: Now, source: Source, message: Message) {
        let via = message.top_via();
        let checked = via.map_err(CheckError::from).and_then(|via| message.check_beneath(&via).map(|()| via));
        let via = match checked {
            Ok(via) => via,
            Err(error) => {
                tracing::debug!(role = R::NAME, %error, remote = %source.remote, "response dropped");
                return self.core.count("dropped", "malformed response");
            }
        };
        let Some(status) = message.status() else { return };
        let Some(id) = self.core.match_response(&message, &via) else {
            return self.core.count("dropped", "response to no transaction");
        };
        if let Some(traffic) = &mut self.core.traffic {
            let kind = Kind::of(&message.method());
            traffic.response(Flowing::In, kind, source.transport, status.code());
        }
        let event = ClientEvent::Response(Class::of(status.code()));
        self.core.client_event(now, id, event, Some(Incoming { message, source }));
    }

    fn request(&mut self, now: Now, source: Source, mut message: Message) {
        if !self.core.stamp_via(&source, &mut message) {
            return self.core.count("dropped", "request without a readable Via");
        }
        if let Some(loose) = self.core.undo_strict_routing(&message) {
            self.core.reclaim(std::mem::replace(&mut message, loose));
        }
        let Ok(via) = message.top_via() else { return };
        let method = message.method();
        let (is_ack, is_cancel, is_invite) =
            (method == Method::Ack, method == Method::Cancel, method == Method::Invite);
        let key_method = if is_ack { Method::Invite } else { method };
        let key = transaction_key(self.core.hash_key, &message, &via, &key_method);
        let exit = response_exit(&source, &via);
        let holder = self.core.server_keys.get(&key).copied();
        let came = self.core.came(now, &source, &message, &method, holder.is_some() && !is_ack);
        if holder.is_some() && !is_ack {
            self.core.counters.add("retransmission", "request");
        }
        if let Some(Holder::Lingering(id)) = holder {
            self.core.send_lingering(id);
            return self.core.reclaim(message);
        }
        if let Some(Holder::Context(id)) = holder {
            if !is_ack {
                self.core.server_event(now, id, ServerEvent::Request, None);
                return self.core.reclaim(message);
            }
            if !self.core.server_event(now, id, ServerEvent::Ack, None) {
                return self.core.reclaim(message);
            }
        }
        if is_ack {
            // The ACK to a 2xx is a transaction of its own that is never answered (RFC 3261 §13.2.2.4).
            if message.check_beneath(&via).is_ok() && message.max_forwards().is_ok_and(|left| left != Some(0))
            {
                let request = Incoming { message, source };
                let mut turn = crate::turn::Turn { core: &mut self.core, now, context: None };
                if let Err(reject) = self.role.request(&mut turn, &request) {
                    self.core.facts.about(request.message.first(Name::CallId), Some(request.source.remote));
                    self.core.count("ack_dropped", reject.cause);
                }
                self.core.reclaim(request.message);
            } else {
                self.core.count("dropped", "malformed ACK");
            }
            return;
        }
        let invite_key =
            is_cancel.then(|| transaction_key(self.core.hash_key, &message, &via, &Method::Invite));
        let has_room = self.core.has_room()
            || self.role.is_emergency(&self.core.token_key, source.trust, &message)
                && self.core.has_emergency_room();
        if !has_room {
            let reject = Reject::new(Status::SERVICE_UNAVAILABLE, "too many open transactions")
                .header(Name::RetryAfter, "5");
            return self.core.refuse_stateless(&Incoming { message, source }, &reject);
        }
        // The CANCEL of an INVITE that is counted makes room.
        let makes_room = invite_key.is_some_and(|key| self.core.server_keys.contains_key(&key));
        if self.core.quota.is_used_up(&source)
            && !makes_room
            && (!self.role.is_emergency(&self.core.token_key, source.trust, &message)
                || self.core.quota.is_reserve_used_up(&source))
        {
            let reject = Reject::new(Status::SERVICE_UNAVAILABLE, "too many open requests of one source")
                .header(Name::RetryAfter, "5");
            return self.core.refuse_stateless(&Incoming { message, source }, &reject);
        }
        let refusal = self.core.screen(&message, &via, R::SUPPORTED).err();
        let is_inside = self.core.colocated.contains(&source.remote);
        let id = self.core.open_context(Incoming { message, source }, key, came, exit);
        if let Some(reject) = refusal {
            self.hook(now, Some(id), |_, _, _| Err::<(), _>(reject));
        } else if let Some(invite_key) = invite_key {
            self.cancel(now, id, invite_key);
        } else {
            if is_invite && !is_inside {
                // RFC 3261 §16.2: at once, so that the client stops retransmitting.
                self.core.reply_to(now, id, Status::TRYING, |response| response);
            }
            self.hook(now, Some(id), |role, turn, request| match request {
                Some(request) => role.request(turn, request),
                None => Ok(()),
            });
        }
    }

    /// RFC 3261 §9.2 and §16.10: answer the CANCEL, then end what it names.
    fn cancel(&mut self, now: Now, id: ContextId, invite_key: u128) {
        let Some(Holder::Context(invite)) = self.core.server_keys.get(&invite_key).copied() else {
            let reject = Reject::new(Status::CALL_DOES_NOT_EXIST, "no INVITE for this CANCEL");
            return self.hook(now, Some(id), |_, _, _| Err(reject));
        };
        let tag = self.core.tag(Some(invite));
        if let Some(context) = self.core.contexts.get_mut(id) {
            // RFC 3261 §9.2: the To tag of both responses is the same.
            context.tag = Some(tag);
        }
        self.core.reply_to(now, id, Status::OK, |response| response);
        self.core.pending.push_back(Pending::Settle(id));
        match self.core.contexts.get_mut(invite) {
            Some(context) if !context.is_answered && !context.is_cancelled => context.is_cancelled = true,
            _ => return,
        }
        self.hook(now, Some(invite), |role, turn, request| {
            if let Some(request) = request {
                role.cancelled(turn, request);
            }
            Ok(())
        });
        self.core.cancel_branches(now, invite);
        let is_waiting = self.core.contexts.get(invite).is_some_and(|context| context.has_open_branch());
        if !is_waiting {
            self.core.reply_to(now, invite, Status::REQUEST_TERMINATED, |response| response);
            self.core.pending.push_back(Pending::Settle(invite));
        }
    }

    /// Works off what the steps so far left behind.
    pub(super) fn run_pending(&mut self, now: Now) {
        while let Some(pending) = self.core.pending.pop_front() {
            match pending {
                Pending::Response(id, response) => self.client_response(now, id, response),
                Pending::ClientFailed(id, why) => {
                    self.core.about_client(id);
                    self.core.count("unreachable", why);
                    self.client_ended_without_response(now, id, Failure::Unreachable(why));
                    self.core.end_client(id);
                }
                Pending::ClientTimedOut(id) => {
                    let answered =
                        self.core.clients.get((id.0, id.1)).is_some_and(|client| client.has_provisional);
                    self.core.about_client(id);
                    self.core.count("timeout", "no final response");
                    self.client_ended_without_response(now, id, Failure::Timeout { answered });
                }
                Pending::ClientTimer(id, timer) => {
                    self.core.client_event(now, id, ClientEvent::Timer(timer), None);
                }
                Pending::ClientEnded(id) => self.core.end_client(id),
                Pending::ServerTimer(id, timer) => self.core.server_timer(now, id, timer),
                Pending::Settle(id) => self.settle(now, id),
            }
        }
    }
}
