//! Responses on their way upstream: what each branch came to, and the best of them (RFC 3261 §16.7).

use crate::context::{BranchState, ContextId};
use crate::node::client::{Cancelling, Owner};
use crate::node::{ClientId, Core, Node, Pending};
use crate::reject::Reject;
use crate::role::{Branch, Failure, Incoming, Next, Outcome, Role};
use ambient::Now;
use sip_core::proxy::best;
use sip_core::transaction::Class;
use sip_core::{Edits, Method, Name, Status};

impl<R: Role> Node<R> {
    /// A response that its client transaction passes up.
    pub(super) fn client_response(&mut self, now: Now, id: ClientId, response: Incoming) {
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
        if class != Class::Provisional {
            self.core.let_linger(id);
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
        // One that was given up goes on in its transaction only.
        let is_open =
            context.branches.get(usize::from(number)).is_some_and(|branch| branch.state == BranchState::Open);
        match class {
            Class::Provisional => {
                // RFC 3261 §16.7 step 5: a 100 goes one hop.
                if response.message.status() == Some(Status::TRYING) {
                    return;
                }
                self.core.reset_timer_c(now, id);
                if let Some(client) = self.core.clients.get_mut((id.0, id.1)) {
                    client.has_shown_life = true;
                }
                if !is_answered && is_open {
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

    pub(super) fn client_ended_without_response(&mut self, now: Now, id: ClientId, failure: Failure<'_>) {
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
                } else if is_challenge(code) {
                    // RFC 3261 §16.7 step 7: should a challenge be the best, it goes with all the others.
                    for name in [Name::WwwAuthenticate, Name::ProxyAuthenticate] {
                        let values = response.message.all(name).map(|(_, value)| (name, value.to_vec()));
                        context.challenges.extend(values);
                    }
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
    pub(super) fn settle(&mut self, now: Now, id: ContextId) {
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
        match self.core.contexts.get(id) {
            Some(context) if context.is_over() => {}
            _ => return self.core.retire(now, id),
        }
        if let Some(context) = self.core.contexts.remove(id) {
            self.core.quota.leave(context.holder);
            if let Some(request) = context.request {
                self.core.reclaim(request.message);
            }
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
            self.core.count("dropped", "408 to a non-INVITE");
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
    /// See [`crate::turn::Turn::pass`].
    pub(crate) fn pass(&mut self, now: Now, id: Option<ContextId>, response: &Incoming, mut edits: Edits) {
        let message = &response.message;
        let (Some(id), Some(status)) = (id, message.status()) else { return };
        let Some((via, _)) = message.all(Name::Via).next() else { return };
        edits.remove_slot(via);
        let code = best::upstream_code(status.code());
        if is_challenge(code)
            && let Some(context) = self.contexts.get_mut(id)
        {
            for (name, value) in context.challenges.drain(..) {
                edits.append(name, &value);
            }
        }
        if code != status.code()
            && let Some(status) = Status::new(code)
        {
            edits.set_status(status, status.reason());
        }
        let mut bytes = self.buffers.take();
        edits.render(message, &mut bytes);
        edits.clear();
        self.edits_pool.push(edits);
        self.tell_end(now, id, code, message);
        self.respond(now, id, code, bytes);
    }
}

/// Whether a response asks for credentials.
fn is_challenge(code: u16) -> bool {
    matches!(code, 401 | 407)
}
