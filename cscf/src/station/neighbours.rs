//! A station among the other shards of its function: what it hands to them, and what they hand to it.
//!
//! A message goes to the shard that is its home; what is sent by a connection goes to the shard that has it; questions to
//! the HSS and its requests pass through shard 0, which alone is a Diameter peer.

use super::merge::Merges;
use super::parcel::{Content, CxQuery};
use super::placement::{AccessSide, Placement};
use super::{Parcel, Station, Stopping, WireOutput};
use crate::bucket::{Bucket, ShardId, Share};
use crate::flow::Trust;
use crate::identity::NumberPolicy;
use crate::input::{AliasChange, Event, Input, Ticket};
use crate::node::Node;
use crate::query::{Answer, QueryId};
use crate::role::Role;
use ambient::{Entropy, Instant, Now};
use diameter_client::cx::{CxAnswer, CxRequest, CxResult};
use diameter_client::endpoint::{CxFailure, Destination, EndpointInput, RequestId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// What a station knows of the other shards.
#[derive(Debug)]
pub(super) struct Neighbours {
    pub(super) share: Share,
    pub(super) placement: Placement,
    /// At shard 0: questions to the HSS that others asked.
    asked: BTreeMap<u64, (ShardId, QueryId)>,
    asked_count: u64,
    /// At shard 0: requests of the HSS that every shard answers.
    merges: Merges,
    /// At shard 0: how many others have no work left.
    drained: usize,
    /// What a full queue returned and must be said again.
    unsaid: VecDeque<(ShardId, Content)>,
    /// When to say it again.
    again_at: Option<Instant>,
}

impl Neighbours {
    pub(super) fn new(
        share: Share,
        access: AccessSide,
        numbers: NumberPolicy,
        entropy: &mut Entropy,
    ) -> Self {
        Neighbours {
            share,
            placement: Placement::new(access, numbers, entropy),
            asked: BTreeMap::new(),
            asked_count: 0,
            merges: Merges::default(),
            drained: 0,
            unsaid: VecDeque::new(),
            again_at: None,
        }
    }

    /// When something is to be said again.
    pub(super) fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        self.again_at.map(|at| (at, "other shard was busy"))
    }

    /// Whether every other shard has finished and none waits for an answer of the HSS.
    pub(super) fn are_drained(&self) -> bool {
        self.drained >= self.share.others().count() && self.asked.is_empty()
    }
}

impl<R: Role> Station<R> {
    /// The shard that a message belongs to, when that is another one.
    pub(super) fn elsewhere(&mut self, trust: Trust, remote: SocketAddr, message: &[u8]) -> Option<ShardId> {
        let Neighbours { share, placement, .. } = &mut self.neighbours;
        if share.is_whole() {
            return None;
        }
        let bucket = placement.home(&self.node.token_key(), trust, remote.ip(), message)?;
        Some(share.home(bucket)).filter(|home| *home != share.id())
    }

    /// The shard that a connection belongs to, by who opened it; this one where that tells nothing.
    pub(super) fn home_of_sender(&self, trust: Trust, remote: SocketAddr) -> ShardId {
        let Neighbours { share, placement, .. } = &self.neighbours;
        let bucket = placement.home_of_sender(&self.node.token_key(), trust, remote.ip());
        bucket.map_or(share.id(), |bucket| share.home(bucket))
    }

    /// Says something to another shard.
    pub(super) fn say(&mut self, shard: ShardId, content: Content) {
        self.outputs.push_back(WireOutput::Parcel { shard, parcel: Parcel::new(content) });
    }

    /// Says something to all other shards.
    pub(super) fn say_to_all(&mut self, content: impl Fn() -> Content) {
        for shard in self.neighbours.share.others() {
            self.say(shard, content());
        }
    }

    /// Another shard says something.
    pub(super) fn parcel(&mut self, now: Now, from: ShardId, Parcel { content, .. }: Parcel) {
        match content {
            Content::Datagram { local, remote, bytes } => {
                self.transports.datagram(now.instant, local, remote, bytes);
            }
            Content::Message { source, bytes } => self.message(now, source, bytes),
            Content::Send { exit, bytes, ticket } => {
                self.transports.send(now.instant, exit, bytes, ticket.held_for(from));
            }
            Content::SendFailed { ticket, why } => self.node.handle(now, Input::SendFailed { ticket, why }),
            Content::FlowLost(flow) => self.node.handle(now, Input::Event(Event::FlowLost(flow))),
            Content::Cx(query) => self.ask_for(now, from, *query),
            Content::CxAnswer { id, result } => self.cx_answered(now, id, *result),
            Content::PeerRequest { id, request } => {
                self.node.handle(now, Input::PeerRequest { id, request: *request });
            }
            Content::PeerAnswer { id, answer } => self.peer_answer(now, id, *answer),
            Content::Alias { identity, owner, stands: true } => self.learn(identity, owner),
            Content::Alias { identity, owner, stands: false } => {
                self.neighbours.placement.aliases.remove(identity, owner);
            }
            Content::Drained => self.neighbours.drained += 1,
        }
    }

    /// The queue of another shard is full.
    pub(super) fn returned(&mut self, now: Now, shard: ShardId, Parcel { content, .. }: Parcel) {
        match content {
            Content::Datagram { local, remote, bytes } => {
                let source = self.transports.datagram_source(local, remote);
                self.node.refuse_busy(source, bytes);
            }
            Content::Message { source, bytes } => self.node.refuse_busy(source, bytes),
            Content::Send { ticket, .. } if ticket != Ticket::default() => {
                self.node.handle(now, Input::SendFailed { ticket, why: BUSY });
            }
            // Nobody waits for it: what it answers is sent again, or times out.
            Content::Send { .. } => {
                tracing::warn!(role = R::NAME, shard = shard.0, "a message is lost: {BUSY}")
            }
            Content::Cx(query) => self.cx_answered(now, query.id, Err(CxFailure::Overload)),
            Content::PeerRequest { id, request } => {
                self.peer_answer(now, id, request.refuse(CxResult::UNABLE_TO_COMPLY));
            }
            Content::SendFailed { .. } | Content::FlowLost(_) | Content::Alias { .. }
                if self.neighbours.unsaid.len() >= UNSAID_MAX =>
            {
                tracing::warn!(role = R::NAME, shard = shard.0, "news is lost: {BUSY}");
            }
            // Somebody waits for it, or is wrong for long without it.
            Content::SendFailed { .. }
            | Content::FlowLost(_)
            | Content::Alias { .. }
            | Content::CxAnswer { .. }
            | Content::PeerAnswer { .. }
            | Content::Drained => {
                self.neighbours.unsaid.push_back((shard, content));
                self.neighbours.again_at.get_or_insert(now.instant + SAY_AGAIN_AFTER);
            }
        }
    }

    /// Says again what was returned, when it is time to.
    pub(super) fn say_again(&mut self, now: Now) {
        if self.neighbours.again_at.is_some_and(|at| at <= now.instant) {
            self.neighbours.again_at = None;
            for (shard, content) in std::mem::take(&mut self.neighbours.unsaid) {
                self.say(shard, content);
            }
        }
    }

    // --- the HSS ----------------------------------------------------------------------------------------------------

    /// A question of this shard's role to the HSS.
    pub(super) fn ask(
        &mut self,
        now: Now,
        id: QueryId,
        request: CxRequest,
        destination: Destination,
        trace: Option<String>,
    ) {
        if self.endpoint.is_some() {
            let id = id.0;
            return self
                .tell_endpoint(now, EndpointInput::Request { id, request, destination, session: trace });
        }
        match self.neighbours.share.id() {
            ShardId(0) => self.cx_answered(now, id, Err(CxFailure::NoPeer)),
            _ => self.say(ShardId(0), Content::Cx(Box::new(CxQuery { id, request, destination, trace }))),
        }
    }

    /// A question of another shard.
    fn ask_for(&mut self, now: Now, from: ShardId, query: CxQuery) {
        let CxQuery { id, request, destination, trace } = query;
        if self.endpoint.is_none() {
            let result = Box::new(Err(CxFailure::NoPeer));
            return self.say(from, Content::CxAnswer { id, result });
        }
        let Neighbours { asked, asked_count, .. } = &mut self.neighbours;
        *asked_count += 1;
        let own = ASKED | *asked_count;
        asked.insert(own, (from, id));
        self.tell_endpoint(now, EndpointInput::Request { id: own, request, destination, session: trace });
    }

    /// The answer to a question of any shard.
    pub(super) fn endpoint_answered(&mut self, now: Now, id: u64, result: Result<CxAnswer, CxFailure>) {
        match self.neighbours.asked.remove(&id) {
            Some((shard, id)) => self.say(shard, Content::CxAnswer { id, result: Box::new(result) }),
            None => self.cx_answered(now, QueryId(id), result),
        }
    }

    fn cx_answered(&mut self, now: Now, query: QueryId, result: Result<CxAnswer, CxFailure>) {
        self.node.handle(now, Input::Answer { query, answer: Answer::Cx(result.map(Box::new)) });
    }

    /// The HSS asks something: every shard answers, for it may name a private identity alone.
    pub(super) fn peer_asks(&mut self, now: Now, id: RequestId, request: CxRequest) {
        let share = self.neighbours.share;
        if !share.is_whole() {
            self.neighbours.merges.open(id, 1 + share.others().count());
            self.say_to_all(|| Content::PeerRequest { id, request: Box::new(request.clone()) });
        }
        self.node.handle(now, Input::PeerRequest { id, request });
    }

    /// What a shard has to say to a request of the HSS.
    pub(super) fn peer_answer(&mut self, now: Now, id: RequestId, answer: CxAnswer) {
        let share = self.neighbours.share;
        if share.id() != ShardId(0) {
            return self.say(ShardId(0), Content::PeerAnswer { id, answer: Box::new(answer) });
        }
        let answer = match share.is_whole() {
            true => Some(answer),
            false => self.neighbours.merges.answer(id, answer),
        };
        if let Some(answer) = answer {
            self.tell_endpoint(now, EndpointInput::Answer { id, answer });
        }
    }

    // --- identities -------------------------------------------------------------------------------------------------

    /// The role says where an identity is served.
    pub(super) fn alias(&mut self, identity: u64, owner: Bucket, change: AliasChange) {
        match change {
            AliasChange::Noted => return self.learn(identity, owner),
            AliasChange::Announced => self.learn(identity, owner),
            AliasChange::Withdrawn => self.neighbours.placement.aliases.remove(identity, owner),
        }
        let stands = change == AliasChange::Announced;
        self.say_to_all(|| Content::Alias { identity, owner, stands });
    }

    fn learn(&mut self, identity: u64, owner: Bucket) {
        if !self.neighbours.placement.aliases.insert(identity, owner) {
            tracing::warn!(role = R::NAME, "too many identities outside of their own bucket");
        }
    }

    // --- the end ----------------------------------------------------------------------------------------------------

    /// All work of this shard is done: shard 0 waits for the others before it takes leave of the HSS.
    pub(super) fn try_end(&mut self, now: Now) -> bool {
        match self.neighbours.share.id() {
            ShardId(0) if !self.neighbours.are_drained() => return false,
            // RFC 6733 §5.4: the peers are told only when no answer of theirs is awaited any more.
            ShardId(0) => self.tell_endpoint(now, EndpointInput::Stop),
            _ => self.say(ShardId(0), Content::Drained),
        }
        self.stopping = Stopping::Drained;
        true
    }
}

impl<R: Role> Station<R> {
    /// Says how messages are placed: a station among others needs it before its first message.
    pub fn placed_by(
        mut self,
        access: AccessSide,
        numbers: NumberPolicy,
        entropy: &mut Entropy,
    ) -> Station<R> {
        self.neighbours = Neighbours::new(self.node.share(), access, numbers, entropy);
        self
    }

    /// How many identities are known to be served outside of their own bucket.
    pub fn aliases(&self) -> usize {
        self.neighbours.placement.aliases.len()
    }
}

/// A station that knows nothing of how its role reads numbers.
pub(super) fn alone<R: Role>(node: &Node<R>) -> Neighbours {
    let numbers = NumberPolicy {
        country_code: None,
        national_prefix: String::new(),
        international_prefix: String::new(),
        home_domain: String::new(),
    };
    let (high, low) = node.token_key().key();
    // Keys a table of hashes that are keyed themselves.
    let mut entropy = Entropy::seeded(high ^ low);
    Neighbours::new(node.share(), AccessSide::None, numbers, &mut entropy)
}

/// Why something did not reach another shard.
const BUSY: &str = "another shard is busy";
/// How long until what was returned is said again: a queue of that length is worked off by then.
const SAY_AGAIN_AFTER: Duration = Duration::from_millis(2);
/// News that may wait to be said again; answers, which somebody waits for, are bounded by the questions.
const UNSAID_MAX: usize = 65_536;
/// Set in the ids of questions that another shard asked: a node numbers its own below.
const ASKED: u64 = 1 << 63;
