//! Requests on their way out: forwarded ones, our own, and the ACK that has no transaction.

use super::hops::{install_via, line_end};
use super::{Attempt, Cancelling, Client, ClientId, ClientState, Owner};
use crate::bucket::Bucket;
use crate::context::{BranchEntry, BranchState, ContextId};
use crate::flow::{Hop, Transport};
use crate::input::{Output, Ticket};
use crate::metrics::{Flowing, Kind};
use crate::node::branch_id::{BranchId, LOOP_MASK};
use crate::node::strict_routing::yield_to_strict_router;
use crate::node::{Core, Pending, Wait, breadth_of};
use crate::query::Query;
use crate::resolve::Resolved;
use crate::role::{Branch, Incoming, Role};
use crate::turn::Target;
use ambient::Now;
use sip_core::proxy::loop_detection::loop_hash;
use sip_core::{Edits, Message, Method, Name};
use smallvec::SmallVec;

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
            self.count("dropped", "forward after the final response");
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
            let breadth = breadth_of(message) / context.fork_width.max(1);
            edits.remove_other(message, b"Max-Breadth");
            edits.append_other(b"Max-Breadth", format_args!("{breadth}"));
        }
        if let Target::Route(slot) = target {
            yield_to_strict_router(message, &mut edits, slot);
        }
        let number = context.map_or(0, |context| {
            context.branches.push(BranchEntry { state: BranchState::Open, client: None });
            u16::try_from(context.branches.len() - 1).unwrap_or(u16::MAX)
        });
        let mut bytes = self.buffers.take();
        edits.render(message, &mut bytes);
        edits.clear();
        self.edits_pool.push(edits);
        let loop_hash = loop_hash(message, &self.hash_state) & LOOP_MASK;
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

    pub(super) fn start_client(
        &mut self,
        now: Now,
        owner: Owner<R::Waiting>,
        request: Vec<u8>,
        (is_invite, loop_hash): (bool, u64),
        target: Target,
        received: Option<&Message>,
    ) -> ClientId {
        if let Owner::Branch(id, _) = &owner
            && let Some(context) = self.contexts.get_mut(*id)
        {
            context.clients += 1;
        }
        let (len, via) = (request.len(), line_end(&request));
        let (slot, generation) = self.clients.insert(Client {
            owner,
            state: ClientState::Resolving,
            is_invite,
            request,
            via: via..via,
            attempt: None,
            attempts: 0,
            rest: SmallVec::new(),
            random: 0,
            loop_hash,
            timing: self.timing_towards(&target),
            timers: SmallVec::new(),
            timer_c: None,
            cancelling: Cancelling::No,
            has_provisional: false,
            has_shown_life: false,
        });
        let id = ClientId(slot, generation);
        self.name_branch(id);
        if len > REQUEST_BYTES_MAX {
            self.pending.push_back(Pending::ClientFailed(id, "request has grown too long"));
            return id;
        }
        match self.resolve(&target, received) {
            Ok(Resolved::Hops(hops)) => {
                self.set_attempts(id, hops.into_iter().map(|hop| Attempt::of(&target, hop)));
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
    pub(super) fn name_branch(&mut self, id: ClientId) {
        if let Some(Owner::Branch(context, number)) =
            self.clients.get((id.0, id.1)).map(|client| &client.owner)
            && let Some(context) = self.contexts.get_mut(*context)
            && let Some(branch) = context.branches.get_mut(usize::from(*number))
        {
            branch.client = Some(id);
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
        let hop = match self.resolve(&target, received) {
            Ok(Resolved::Hops(hops)) => hops.into_iter().next(),
            Ok(Resolved::Ask(lookup)) => {
                self.query(None, Query::Resolve(lookup), Wait::Stateless(request));
                return;
            }
            Ok(Resolved::Fail(_)) | Err(_) => None,
        };
        let Some(hop) = hop else {
            self.count("dropped", "ACK without a next hop");
            return;
        };
        let mut via = line_end(&request)..line_end(&request);
        let attempt = self.stateless_attempt(Attempt::of(&target, hop), request.len());
        let branch = BranchId {
            bucket: self.share.nearest(Bucket::new(0)),
            slot: (1 << 25) - 1,
            generation: 0,
            loop_hash: 0,
            random: self.entropy.next_u64() & ((1 << 60) - 1),
        };
        let local = self.local_address(attempt);
        self.write_via(attempt.hop.transport, local, &branch);
        install_via(&mut request, &mut via, &self.scratch);
        if let Some(traffic) = &mut self.traffic {
            traffic.request(Flowing::Out, Kind::of_request(&request), attempt.hop.transport);
        }
        let exit = self.exit_of(attempt);
        self.outputs.push_back(Output::Send { exit, bytes: request, ticket: Ticket::default() });
    }

    pub(super) fn stateless_attempt(&self, attempt: Attempt, len: usize) -> Attempt {
        if self.wants_tcp(&attempt, len) {
            return Attempt { hop: Hop { transport: Transport::Tcp, ..attempt.hop }, ..attempt };
        }
        attempt
    }
}

/// A request with our Via beyond 65 535 bytes fits into no datagram, and no element of ours would read it.
const REQUEST_BYTES_MAX: usize = 65_535 - 256;
