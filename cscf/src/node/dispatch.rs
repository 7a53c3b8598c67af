//! How a message finds its transaction, and how what a step left behind is worked off.

use crate::context::{BranchState, ContextId};
use crate::flow::Source;
use crate::input::{Output, Ticket};
use crate::node::branch_id::BranchId;
use crate::node::client::{Cancelling, ClientEvent, Owner};
use crate::node::server::{ServerEvent, response_exit, transaction_key};
use crate::node::{ClientId, Core, Node, Pending, breadth_of};
use crate::reject::Reject;
use crate::role::{Branch, Failure, Incoming, Next, Outcome, Role};
use ambient::Now;
use sip_core::proxy::best;
use sip_core::proxy::loop_detection::loop_hash;
use sip_core::transaction::Class;
use sip_core::{Edits, Message, Method, Name, ParseError, ResponseBuilder, Status};
use std::io::Write;

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
                    return self.core.counters.add("dropped", "request without a readable Via");
                }
                let reject = Reject::new(Status::SERVICE_UNAVAILABLE, "the user's shard is busy")
                    .header(Name::RetryAfter, "5");
                self.core.refuse_stateless(&Incoming { message, source }, &reject);
            }
            Ok(message) => {
                self.core.counters.add("dropped", "response to a busy shard");
                self.core.reclaim(message);
            }
        }
    }

    fn response(&mut self, now: Now, source: Source, message: Message) {
        if let Err(error) = message.check() {
            tracing::debug!(role = R::NAME, %error, remote = %source.remote, "response dropped");
            return self.core.counters.add("dropped", "malformed response");
        }
        let Some(status) = message.status() else { return };
        let Some(id) = self.core.match_response(&message) else {
            return self.core.counters.add("dropped", "response to no transaction");
        };
        let event = ClientEvent::Response(Class::of(status.code()));
        self.core.client_event(now, id, event, Some(Incoming { message, source }));
    }

    fn request(&mut self, now: Now, source: Source, mut message: Message) {
        if !self.core.stamp_via(&source, &mut message) {
            return self.core.counters.add("dropped", "request without a readable Via");
        }
        let Ok(via) = message.top_via() else { return };
        let method = message.method();
        let (is_ack, is_cancel, is_invite) =
            (method == Method::Ack, method == Method::Cancel, method == Method::Invite);
        let key_method = if is_ack { Method::Invite } else { method };
        let key = transaction_key(self.core.hash_key, &message, &via, &key_method);
        let exit = response_exit(&source, &via);
        if let Some(id) = self.core.server_keys.get(&key).copied() {
            if !is_ack {
                self.core.counters.add("retransmission", "request");
                self.core.server_event(now, id, ServerEvent::Request, None);
                return self.core.reclaim(message);
            }
            if !self.core.server_event(now, id, ServerEvent::Ack, None) {
                return self.core.reclaim(message);
            }
        }
        if is_ack {
            // The ACK to a 2xx is a transaction of its own that is never answered (RFC 3261 §13.2.2.4).
            if message.check().is_ok() && message.max_forwards().is_ok_and(|left| left != Some(0)) {
                let request = Incoming { message, source };
                let mut turn = crate::turn::Turn { core: &mut self.core, now, context: None };
                if let Err(reject) = self.role.request(&mut turn, &request) {
                    self.core.counters.add("ack_dropped", reject.cause);
                }
                self.core.reclaim(request.message);
            } else {
                self.core.counters.add("dropped", "malformed ACK");
            }
            return;
        }
        let invite_key =
            is_cancel.then(|| transaction_key(self.core.hash_key, &message, &via, &Method::Invite));
        if self.core.contexts.0.room() == 0 || self.core.clients.room() == 0 {
            let reject = Reject::new(Status::SERVICE_UNAVAILABLE, "too many open transactions")
                .header(Name::RetryAfter, "5");
            return self.core.refuse_stateless(&Incoming { message, source }, &reject);
        }
        let refusal = self.core.screen(&message, R::SUPPORTED).err();
        let id = self.core.open_context(Incoming { message, source }, key, is_invite, exit);
        if let Some(reject) = refusal {
            self.hook(now, Some(id), |_, _, _| Err::<(), _>(reject));
        } else if let Some(invite_key) = invite_key {
            self.cancel(now, id, invite_key);
        } else {
            if is_invite {
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
        let Some(invite) = self.core.server_keys.get(&invite_key).copied() else {
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
                    self.core.counters.add("unreachable", why);
                    self.client_ended_without_response(now, id, Failure::Unreachable(why));
                    self.core.end_client(id);
                }
                Pending::ClientTimedOut(id) => {
                    let answered =
                        self.core.clients.get((id.0, id.1)).is_some_and(|client| client.has_provisional);
                    self.core.counters.add("timeout", "no final response");
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

    /// A response that its client transaction passes up.
    fn client_response(&mut self, now: Now, id: ClientId, response: Incoming) {
        let Some(status) = response.message.status() else { return };
        let class = Class::of(status.code());
        let Some(client) = self.core.clients.get_mut((id.0, id.1)) else { return };
        if class == Class::Provisional && client.cancelling == Cancelling::Wanted {
            self.core.send_cancel(now, id);
        }
        match self.owner_of(id) {
            Some(Owner::Branch(context, number)) => {
                let (context, number) = (*context, *number);
                self.branch_response(now, id, context, number, class, response);
            }
            Some(owner @ Owner::Role(_)) => {
                let Owner::Role(mut waiting) = std::mem::replace(owner, Owner::Nobody) else { return };
                match class {
                    Class::Provisional => self.core.reset_timer_c(now, id),
                    Class::Success | Class::Failure => self.core.stop_timer_c(id),
                }
                self.hook(now, None, |role, turn, _| {
                    role.originated(turn, id, &mut waiting, Outcome::Response(&response));
                    Ok(())
                });
                if let Some(owner) = self.owner_of(id) {
                    *owner = Owner::Role(waiting);
                }
            }
            Some(Owner::Cancel | Owner::Nobody) | None => {}
        }
    }

    fn branch_response(
        &mut self,
        now: Now,
        id: ClientId,
        context_id: ContextId,
        number: u16,
        class: Class,
        response: Incoming,
    ) {
        let hop =
            self.core.clients.get((id.0, id.1)).and_then(|client| client.attempt).map(|attempt| attempt.hop);
        let branch = Branch { number, hop };
        let Some(context) = self.core.contexts.get_mut(context_id) else { return };
        let is_answered = context.is_answered;
        match class {
            Class::Provisional => {
                // RFC 3261 §16.7 step 5: a 100 goes one hop.
                if response.message.status() == Some(Status::TRYING) {
                    return;
                }
                self.core.reset_timer_c(now, id);
                if !is_answered {
                    self.pass_up(now, context_id, branch, &response);
                }
                self.core.reclaim(response.message);
            }
            Class::Success => {
                let is_invite = response.message.method() == Method::Invite;
                if let Some(entry) = context.branches.get_mut(usize::from(number)) {
                    entry.state = BranchState::Ended;
                }
                self.core.stop_timer_c(id);
                if !is_answered || is_invite {
                    self.pass_up(now, context_id, branch, &response);
                }
                self.core.reclaim(response.message);
                if is_invite && !is_answered {
                    // RFC 3261 §16.7 step 10.
                    self.core.cancel_branches(now, context_id);
                }
            }
            Class::Failure => {
                self.core.stop_timer_c(id);
                let is_unavailable = response.message.status() == Some(Status::SERVICE_UNAVAILABLE);
                if is_unavailable && self.core.try_next_hop(now, id) {
                    return;
                }
                if self.end_branch(context_id, number) {
                    self.branch_failed(now, context_id, branch, BranchFailure::Response(response));
                }
            }
        }
    }

    /// Hands a response to the role on its way upstream.
    fn pass_up(&mut self, now: Now, context: ContextId, branch: Branch, response: &Incoming) {
        self.hook(now, Some(context), |role, turn, request| {
            if let Some(request) = request {
                role.response(turn, request, branch, response);
            }
            Ok(())
        });
    }

    /// Marks a branch as ended; false when it was already.
    fn end_branch(&mut self, context: ContextId, number: u16) -> bool {
        let entry = self.core.contexts.get_mut(context).and_then(|c| c.branches.get_mut(usize::from(number)));
        match entry {
            Some(entry) if entry.state == BranchState::Open => {
                entry.state = BranchState::Ended;
                true
            }
            _ => false,
        }
    }

    fn client_ended_without_response(&mut self, now: Now, id: ClientId, failure: Failure<'_>) {
        let hop =
            self.core.clients.get((id.0, id.1)).and_then(|client| client.attempt).map(|attempt| attempt.hop);
        match self.owner_of(id) {
            Some(Owner::Branch(context, number)) => {
                let (context, number) = (*context, *number);
                let failure = match failure {
                    Failure::Timeout { answered } => BranchFailure::Timeout { answered },
                    Failure::Unreachable(why) => BranchFailure::Unreachable(why),
                    Failure::Response(_) => return,
                };
                if self.end_branch(context, number) {
                    self.branch_failed(now, context, Branch { number, hop }, failure);
                }
            }
            Some(owner @ Owner::Role(_)) => {
                let Owner::Role(mut waiting) = std::mem::replace(owner, Owner::Nobody) else { return };
                self.hook(now, None, |role, turn, _| {
                    let outcome = match failure {
                        Failure::Unreachable(why) => Outcome::Unreachable(why),
                        Failure::Timeout { .. } | Failure::Response(_) => Outcome::Timeout,
                    };
                    role.originated(turn, id, &mut waiting, outcome);
                    Ok(())
                });
            }
            Some(Owner::Cancel | Owner::Nobody) | None => {}
        }
    }

    /// Asks the role what a failed branch means, and keeps the failure when it says so (RFC 3261 §16.7 step 4 to 6).
    fn branch_failed(&mut self, now: Now, id: ContextId, branch: Branch, failure: BranchFailure) {
        let is_answered = self.core.contexts.get(id).is_none_or(|context| context.is_answered);
        if is_answered {
            return self.core.pending.push_back(Pending::Settle(id));
        }
        let next = self.hook(now, Some(id), |role, turn, request| match request {
            Some(request) => role.failed(turn, request, branch, failure.as_failure()),
            None => Ok(Next::Collect),
        });
        if next == Next::Handled {
            return;
        }
        let Some(context) = self.core.contexts.get_mut(id) else { return };
        match failure {
            BranchFailure::Response(response) => {
                let code = response.message.status().map_or(500, Status::code);
                let is_better = context.best.as_ref().is_none_or(|(_, best)| {
                    best::is_better(code, best.message.status().map_or(500, Status::code))
                });
                if is_better {
                    context.best = Some((branch.number, response));
                }
                if code >= 600 {
                    // RFC 3261 §16.7 step 5: a 6xx ends the search.
                    self.core.cancel_branches(now, id);
                }
            }
            BranchFailure::Timeout { .. } => {
                let code = if context.is_cancelled { 487 } else { 408 };
                context.best_own = Some(
                    context.best_own.map_or(code, |own| if best::is_better(code, own) { code } else { own }),
                );
            }
            BranchFailure::Unreachable(_) => {
                let code = if context.is_cancelled { 487 } else { 503 };
                context.best_own = Some(
                    context.best_own.map_or(code, |own| if best::is_better(code, own) { code } else { own }),
                );
            }
        }
    }

    /// Sends the best response once every branch has ended, and forgets a context that is over.
    fn settle(&mut self, now: Now, id: ContextId) {
        let Some(context) = self.core.contexts.get_mut(id) else { return };
        let is_ready = !context.is_answered
            && !context.branches.is_empty()
            && !context.has_open_branch()
            && context.queries == 0
            && context.request.is_some();
        if is_ready {
            let best = context.best.take();
            let own = context.best_own.take();
            match (best, own) {
                (Some((number, response)), own) => {
                    let code = response.message.status().map_or(500, Status::code);
                    if own.is_none_or(|own| !best::is_better(own, code)) {
                        self.pass_up(now, id, Branch { number, hop: None }, &response);
                        self.core.reclaim(response.message);
                    } else {
                        self.answer_own(now, id, own.unwrap_or(500));
                    }
                }
                (None, Some(own)) => self.answer_own(now, id, own),
                // Every branch was handled by the role, which has yet to reply: it waits for something else.
                (None, None) => {}
            }
        }
        if self.core.contexts.get(id).is_some_and(|context| context.is_over())
            && let Some(request) = self.core.contexts.remove(id).and_then(|context| context.request)
        {
            self.core.reclaim(request.message);
        }
    }

    /// Answers with a failure that no peer sent.
    fn answer_own(&mut self, now: Now, id: ContextId, code: u16) {
        let is_invite = self
            .core
            .contexts
            .get(id)
            .and_then(|context| context.request.as_ref())
            .is_some_and(|request| request.message.method() == Method::Invite);
        if code == 408 && !is_invite {
            // RFC 4320 §4.2: a 408 to a non-INVITE request always comes too late; say nothing.
            self.core.counters.add("dropped", "408 to a non-INVITE");
            self.core.end_server(id);
            return;
        }
        let reject = match code {
            408 => Reject::new(Status::REQUEST_TIMEOUT, "next hop did not answer"),
            487 => Reject::new(Status::REQUEST_TERMINATED, "request was cancelled"),
            // RFC 3261 §16.7 step 6: an unreachable next hop is a 503 of its branch, and a 500 upstream.
            _ => Reject::new(Status::SERVER_INTERNAL_ERROR, "next hop cannot be reached"),
        };
        self.hook(now, Some(id), |_, _, _| Err::<(), _>(reject));
    }
}

/// [`Failure`], owned.
#[expect(
    clippy::large_enum_variant,
    reason = "made, handled and gone: boxing would cost an allocation per message"
)]
#[derive(Debug)]
enum BranchFailure {
    Response(Incoming),
    Timeout { answered: bool },
    Unreachable(&'static str),
}

impl BranchFailure {
    fn as_failure(&self) -> Failure<'_> {
        match self {
            BranchFailure::Response(response) => Failure::Response(&response.message),
            BranchFailure::Timeout { answered } => Failure::Timeout { answered: *answered },
            BranchFailure::Unreachable(why) => Failure::Unreachable(why),
        }
    }
}

impl<R: Role> Core<R> {
    /// What every request must pass before a role sees it (RFC 3261 §16.3, RFC 5393 §4.2 and §5.3).
    fn screen(&self, message: &Message, supported: &[&str]) -> Result<(), Reject> {
        message.check().map_err(|error| {
            Reject::new(Status::BAD_REQUEST, "malformed request").detail(error.to_string())
        })?;
        let is_cancel = message.method() == Method::Cancel;
        if message.max_forwards().is_ok_and(|left| left == Some(0)) && !is_cancel {
            return Err(Reject::new(Status::TOO_MANY_HOPS, "Max-Forwards is used up"));
        }
        if breadth_of(message) == 0 {
            return Err(Reject::new(Status::MAX_BREADTH_EXCEEDED, "Max-Breadth is used up"));
        }
        if self.is_loop(message) {
            return Err(Reject::new(Status::LOOP_DETECTED, "request came back unchanged"));
        }
        let unknown: Vec<String> = message
            .option_tags(Name::ProxyRequire)
            .filter(|tag| !supported.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(tag)))
            .map(|tag| String::from_utf8_lossy(tag).into_owned())
            .collect();
        if !unknown.is_empty() && !is_cancel {
            return Err(Reject::new(Status::BAD_EXTENSION, "Proxy-Require names an unknown extension")
                .header(Name::Unsupported, unknown.join(", ")));
        }
        let is_initial = message.to().is_ok_and(|to| to.tag().is_none());
        if self.is_draining && is_initial && !is_cancel {
            return Err(
                Reject::new(Status::SERVICE_UNAVAILABLE, "shutting down").header(Name::RetryAfter, "10")
            );
        }
        Ok(())
    }

    /// Whether a Via of ours in the message was made from the same request: a loop, not a spiral.
    fn is_loop(&self, message: &Message) -> bool {
        let mut own_hash = None;
        message.vias().any(|(_, via)| {
            let Ok(via) = via else { return false };
            let Some(branch) = via.branch().and_then(BranchId::read) else { return false };
            let is_ours = self.locals.iter().any(|local| {
                via.port.unwrap_or(5060) == local.address.port()
                    && via.sent_by().ip() == Some(local.address.ip())
            });
            is_ours && branch.loop_hash != 0 && {
                let hash =
                    *own_hash.get_or_insert_with(|| (loop_hash(message, &self.hash_state) & 0xf_ffff) as u32);
                hash == branch.loop_hash
            }
        })
    }

    /// Writes what the packet says of the sender into the top Via: received and rport (RFC 3261 §18.2.1, RFC 3581 §4).
    ///
    /// False when there is no readable Via, or no room for it.
    fn stamp_via(&mut self, source: &Source, message: &mut Message) -> bool {
        let (Ok(via), Some((slot, raw))) = (message.top_via(), message.all(Name::Via).next()) else {
            return false;
        };
        let is_named_right = via.sent_by().ip() == Some(source.remote.ip());
        if is_named_right && via.rport().is_none() && via.received().is_none() {
            return true;
        }
        let value = &mut self.scratch;
        value.clear();
        let head = raw.iter().position(|byte| *byte == b';').unwrap_or(raw.len());
        value.extend_from_slice(raw[..head].trim_ascii_end());
        for (name, param) in via.params() {
            if name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"rport") {
                continue;
            }
            value.push(b';');
            value.extend_from_slice(name);
            if let Some(param) = param {
                value.push(b'=');
                value.extend_from_slice(param);
            }
        }
        // Writing into memory does not fail.
        let _ = write!(value, ";received={}", source.remote.ip());
        if via.rport().is_some() {
            let _ = write!(value, ";rport={}", source.remote.port());
        }
        message.overwrite(slot, value)
    }

    /// A message that could not be parsed: answered where that is possible (RFC 3261 §8.2, RFC 4475).
    fn malformed(&mut self, source: Source, error: ParseError) {
        self.counters.add("malformed", error.reason.label());
        tracing::debug!(role = R::NAME, reason = error.reason.label(), remote = %source.remote, "malformed message");
        let status = error.reason.status();
        let cause = error.reason.label();
        if let Some(message) = error.into_request() {
            self.refuse_stateless(&Incoming { message, source }, &Reject::new(status, cause));
        }
    }

    /// Refuses the request of a context, or counts a refusal that comes too late.
    pub(crate) fn refuse(&mut self, now: Now, id: Option<ContextId>, request: &Incoming, reject: &Reject) {
        let is_late = id.and_then(|id| self.contexts.get(id)).is_some_and(|context| context.is_answered);
        if is_late {
            return self.counters.add("late_refusal", reject.cause);
        }
        self.counters.add("refused", reject.cause);
        tracing::info!(
            role = R::NAME,
            status = reject.status.code(),
            cause = reject.cause,
            detail = reject.detail.as_deref().unwrap_or_default(),
            method = %request.message.method(),
            remote = %request.source.remote,
            "refused"
        );
        if let Some(id) = id {
            self.cancel_branches(now, id);
        }
        let warning = self.warning(reject);
        self.reply(now, id, request, reject.status, |response| fill_refusal(response, reject, &warning));
    }

    /// Refuses a request that gets no transaction.
    fn refuse_stateless(&mut self, request: &Incoming, reject: &Reject) {
        self.counters.add("refused", reject.cause);
        let Ok(via) = request.message.top_via() else { return };
        if request.message.method() == Method::Ack {
            return;
        }
        let exit = response_exit(&request.source, &via);
        let mut builder = ResponseBuilder::for_request(&request.message, reject.status);
        if request.message.to().is_ok_and(|to| to.tag().is_none()) {
            let tag = self.mint_tag();
            builder = builder.to_tag(tag.as_str());
        }
        let warning = self.warning(reject);
        let bytes = fill_refusal(builder, reject, &warning).build();
        self.outputs.push_back(Output::Send { exit, bytes, ticket: Ticket::default() });
    }

    /// The cause as a Warning value (RFC 3261 §20.43: 399, miscellaneous).
    fn warning(&self, reject: &Reject) -> String {
        format!("399 {} \"{}\"", self.locals[0].address, reject.cause)
    }

    /// See [`crate::turn::Turn::pass`].
    pub(crate) fn pass(&mut self, now: Now, id: Option<ContextId>, response: &Incoming, mut edits: Edits) {
        let message = &response.message;
        let (Some(id), Some(status)) = (id, message.status()) else { return };
        let Some((via, _)) = message.all(Name::Via).next() else { return };
        edits.remove_slot(via);
        let code = best::upstream_code(status.code());
        if code != status.code()
            && let Some(status) = Status::new(code)
        {
            edits.set_status(status, status.reason());
        }
        let mut bytes = self.buffers.take();
        edits.render(message, &mut bytes);
        edits.clear();
        self.edits_pool.push(edits);
        self.respond(now, id, code, bytes);
    }
}

fn fill_refusal<'m>(response: ResponseBuilder<'m>, reject: &Reject, warning: &str) -> ResponseBuilder<'m> {
    let response = response.header(Name::Warning, warning);
    reject.headers.iter().fold(response, |response, (name, value)| response.header(*name, value.as_str()))
}
