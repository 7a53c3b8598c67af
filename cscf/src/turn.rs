//! One input being handled: the verbs that a role's hook has.

use crate::bucket::{Bucket, TokenKey};
use crate::context::ContextId;
use crate::flow::{Flow, Hop, Local, Side};
use crate::input::{AliasChange, Exit, Output, Ticket};
use crate::node::{ClientId, Core, Wait};
use crate::query::{Query, QueryId};
use crate::reject::Reject;
use crate::role::{Branch, Incoming, Role};
use ambient::{Entropy, Instant, Now, TimerId, Wall};
use diameter_client::cx::CxAnswer;
use diameter_client::endpoint::RequestId;
use ipsec::Spi;
use sip_core::{Edits, Message, ResponseBuilder, SlotId, Status};
use std::time::Duration;

/// Where a request goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the hops of a SIP URI by RFC 3263: the top Route, else the Request-URI (RFC 3261 §16.6 step 7).
    Uri(Vec<u8>),
    /// To the hops of a Route value of the request that is forwarded; nothing is copied.
    Route(SlotId),
    /// To the hops of the Request-URI that the forwarded request came with; nothing is copied.
    RequestUri,
    /// To a known hop.
    Hop(Hop),
    /// On a flow that a binding came in on, and by a new one to the hop when it is gone (RFC 5626 §5.3).
    Flow(Flow, Hop),
    /// Through a set of security associations, named by the SPI of our server port, to the peer's protected server port.
    Secured(Spi, Hop),
}

impl Target {
    /// The target that RFC 3261 §16.6 step 6 and 7 choose for `message` as it stands: top Route, else Request-URI.
    pub fn of(message: &Message) -> Target {
        match message.routes().next() {
            Some((slot, Ok(_))) => Target::Route(slot),
            _ => Target::RequestUri,
        }
    }
}

/// The least that shows that a hop lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeSign {
    /// Any response, a 100 too: its transaction has the request.
    Trying,
    /// A response other than 100: somebody works at it.
    Progress,
}

/// One input being handled.
///
/// What a hook does through it takes effect in order; nothing waits.
pub struct Turn<'a, R: Role> {
    pub(crate) core: &'a mut Core<R>,
    pub(crate) now: Now,
    pub(crate) context: Option<ContextId>,
}

impl<'a, R: Role> Turn<'a, R> {
    // --- what a hook may know -------------------------------------------------------------------------------------

    /// The time of the input.
    pub fn now(&self) -> Instant {
        self.now.instant
    }

    /// The wall time of the input, for what leaves the process or outlives it.
    pub fn wall(&self) -> Wall {
        self.now.wall
    }

    /// The node's randomness.
    pub fn entropy(&mut self) -> &mut Entropy {
        &mut self.core.entropy
    }

    /// What the role remembers of the request being handled.
    ///
    /// Outside a request (a timer, an event) it is a scratch value that nobody sees again.
    pub fn data(&mut self) -> &mut R::Data {
        match self.context.and_then(|id| self.core.contexts.get_mut(id)) {
            Some(context) => &mut context.data,
            None => &mut self.core.scratch_data,
        }
    }

    /// Names the request being handled, so that it can be answered later.
    pub fn context(&self) -> Option<ContextId> {
        self.context
    }

    /// Our listening points.
    pub fn locals(&self) -> &[Local] {
        &self.core.locals
    }

    /// The listening point that serves `side`: the one of `hop`'s transport and address family where there is one.
    pub fn local(&self, side: Side, hop: Option<Hop>) -> &Local {
        self.core.local(side, hop)
    }

    /// The bucket of a key (a public identity, a Call-ID, a source address) where this shard owns it; else one of this
    /// shard, so that whatever is minted with it comes back here.
    pub fn bucket(&self, key: &[u8]) -> Bucket {
        self.core.share.nearest(self.core.token_key.bucket(key))
    }

    /// Whether what belongs to a bucket is this shard's: a token, a record of the store.
    pub fn owns(&self, bucket: Bucket) -> bool {
        self.core.share.owns(bucket)
    }

    /// Mints and checks the tokens that we put into Route, Path and Service-Route user parts.
    pub fn token_key(&self) -> &TokenKey {
        &self.core.token_key
    }

    /// The To tag of this node's own responses to the request being handled.
    pub fn tag(&mut self) -> String {
        self.core.tag(self.context)
    }

    // --- verbs ----------------------------------------------------------------------------------------------------

    /// An empty set of edits from the pool; give it to [`Turn::forward`] or [`Turn::pass`].
    pub fn edits(&mut self) -> Edits {
        self.core.edits_pool.pop().unwrap_or_default()
    }

    /// Forwards the request being handled, edited, to `target`; twice is a fork (RFC 3261 §16.6).
    ///
    /// The node decrements Max-Forwards and adds the Via; everything else is the role's edit. An ACK is forwarded
    /// without a transaction.
    pub fn forward(&mut self, request: &Incoming, edits: Edits, target: Target) -> Branch {
        self.core.forward(self.now, self.context, request, edits, target)
    }

    /// Gives a branch up when its hops have given no such sign of life for so long: shorter than Timer B, C or F, for a
    /// role that has somebody else to try. It then fails as [`crate::role::Failure::Timeout`].
    pub fn limit_silence(&mut self, branch: Branch, after: Duration, sign: LifeSign) {
        if let Some(context) = self.context {
            self.core.limit_silence(self.now, context, branch.number, after, sign);
        }
    }

    /// Takes [`Turn::limit_silence`] back for a branch of another request, named by [`Turn::context`] at its time: its hop has
    /// shown in another way that it lives.
    pub fn lift_silence(&mut self, context: ContextId, number: u16) {
        self.core.lift_silence(context, number);
    }

    /// Says how many branches the request being handled is about to be forwarded to, so that each gets its share of
    /// Max-Breadth (RFC 5393 §5.3.3); false when its breadth does not allow it.
    pub fn fork_into(&mut self, request: &Incoming, branches: u32) -> bool {
        if let Some(context) = self.context.and_then(|id| self.core.contexts.get_mut(id)) {
            context.fork_width = branches.max(1);
        }
        crate::node::breadth_of(&request.message) >= branches
    }

    /// Ends every branch of the request being handled that has no final response: CANCEL for an INVITE.
    pub fn cancel_branches(&mut self) {
        if let Some(context) = self.context {
            self.core.cancel_branches(self.now, context);
        }
    }

    /// The same for another request, named by [`Turn::context`] at its time.
    pub fn cancel_branches_of(&mut self, context: ContextId) {
        self.core.cancel_branches(self.now, context);
    }

    /// Ends one branch of another request if it has no final response: CANCEL for an INVITE.
    pub fn cancel_branch(&mut self, context: ContextId, number: u16) {
        let branch =
            self.core.contexts.get(context).and_then(|context| context.branches.get(usize::from(number)));
        if let Some(client) = branch.and_then(|branch| branch.client) {
            self.core.cancel_client(self.now, client);
        }
    }

    /// Passes a response upstream, edited (RFC 3261 §16.7). The node removes our Via.
    pub fn pass(&mut self, response: &Incoming, edits: Edits) {
        self.core.pass(self.now, self.context, response, edits);
    }

    /// Answers the request being handled. `fill` adds headers and a body; Via, From, To with our tag, Call-ID, CSeq and
    /// Content-Length are there.
    pub fn reply(
        &mut self,
        request: &Incoming,
        status: Status,
        fill: impl for<'m> FnOnce(ResponseBuilder<'m>) -> ResponseBuilder<'m>,
    ) {
        self.core.reply(self.now, self.context, request, status, fill);
    }

    /// Refuses the request being handled, for a hook that returns nothing.
    pub fn refuse(&mut self, request: &Incoming, reject: &Reject) {
        self.core.refuse(self.now, self.context, request, reject);
    }

    /// Answers a request whose hook has returned, named by [`Turn::context`]; false when it is over.
    pub fn reply_to(
        &mut self,
        context: ContextId,
        status: Status,
        fill: impl for<'m> FnOnce(ResponseBuilder<'m>) -> ResponseBuilder<'m>,
    ) -> bool {
        self.core.reply_to(self.now, context, status, fill)
    }

    /// Sends a request of our own, complete but for the Via, in a transaction; what comes of it goes to
    /// [`Role::originated`] with `waiting`.
    pub fn originate(&mut self, request: Vec<u8>, target: Target, waiting: R::Waiting) -> ClientId {
        self.core.originate(self.now, request, target, waiting)
    }

    /// Sends a CANCEL for an INVITE that this role originated (RFC 3261 §9.1).
    pub fn cancel(&mut self, client: ClientId) {
        self.core.cancel_client(self.now, client);
    }

    /// Sends a request of our own, complete but for the Via, outside any transaction: the ACK to a 2xx.
    pub fn send_ack(&mut self, ack: Vec<u8>, target: Target) {
        self.core.send_stateless(self.now, ack, target, None);
    }

    /// Sends bytes as they are: a 2xx to INVITE again (RFC 3261 §13.3.1.4).
    pub fn send_raw(&mut self, exit: Exit, bytes: Vec<u8>) {
        self.core.outputs.push_back(Output::Send { exit, bytes, ticket: Ticket::default() });
    }

    /// Asks the world; the answer goes to [`Role::answer`] with `waiting` and with the request being handled.
    pub fn query(&mut self, query: Query, waiting: R::Waiting) -> QueryId {
        self.core.query(self.context, query, Wait::Role(waiting))
    }

    /// Arms a timer of the role.
    pub fn arm(&mut self, after: Duration, timer: R::Timer, why: &'static str) -> TimerId {
        self.core.arm_role(self.now, after, timer, why)
    }

    /// Disarms a timer of the role; a stale id does nothing.
    pub fn disarm(&mut self, id: TimerId) {
        self.core.disarm(id);
    }

    /// Answers a Diameter request of a peer.
    pub fn answer_peer(&mut self, id: RequestId, answer: CxAnswer) {
        self.core.outputs.push_back(Output::PeerAnswer { id, answer: Box::new(answer) });
    }

    /// Whether the function has other shards, which must be told where identities are served.
    pub fn has_neighbours(&self) -> bool {
        !self.core.share.is_whole()
    }

    /// Tells every shard that an identity in canonical form, which has a bucket of its own, is served in `owner`: messages for it go there
    /// from then on.
    ///
    /// An identity in its own bucket needs it only when it may be called in another form, as a number.
    pub fn announce(&mut self, identity: &str, owner: Bucket) {
        self.alias(identity, owner, AliasChange::Announced);
    }

    /// As [`Turn::announce`], to this shard alone: when the store is read every shard reads all of it.
    pub fn note(&mut self, identity: &str, owner: Bucket) {
        self.alias(identity, owner, AliasChange::Noted);
    }

    /// Takes an announcement back; one that another owner has made since stays.
    pub fn withdraw(&mut self, identity: &str, owner: Bucket) {
        self.alias(identity, owner, AliasChange::Withdrawn);
    }

    fn alias(&mut self, identity: &str, owner: Bucket, change: AliasChange) {
        if !self.has_neighbours() {
            return;
        }
        let text = identity.as_bytes();
        let hash = self.core.token_key.hash(text);
        let is_like_number = text
            .splitn(2, |byte| *byte == b':')
            .nth(1)
            .and_then(<[u8]>::first)
            .is_some_and(|first| *first == b'+' || first.is_ascii_digit());
        if TokenKey::bucket_of(hash) != owner || is_like_number {
            self.core.outputs.push_back(Output::Alias { identity: hash, owner, change });
        }
    }

    /// Tells the owner of the node.
    pub fn notice(&mut self, notice: R::Notice) {
        self.core.outputs.push_back(Output::Notice(notice));
    }

    /// Counts something that an operator would ask about; bounded label values only.
    pub fn count(&mut self, what: &'static str, cause: &'static str) {
        self.core.count(what, cause);
    }
}
