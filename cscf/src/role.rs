//! The hooks of a role: what a P-, I- or S-CSCF, a UE or an application server decides.

use crate::bucket::TokenKey;
use crate::config::{Config, ConfigError};
use crate::emergency;
use crate::flow::{Hop, Source, Trust};
use crate::input::Event;
use crate::metrics::{Case, Gauge};
use crate::node::ClientId;
use crate::query::Answer;
use crate::reject::Reject;
use crate::turn::Turn;
use diameter_client::cx::CxRequest;
use diameter_client::endpoint::RequestId;
use sip_core::Message;

/// A received SIP message and where it came from.
#[derive(Debug)]
pub struct Incoming {
    /// The message.
    pub message: Message,
    /// Its source.
    pub source: Source,
}

/// One client transaction of the context being handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Counts the branches of the context, from 0.
    pub number: u16,
    /// Where the request went; `None` while the name was still being resolved.
    pub hop: Option<Hop>,
}

/// Why a branch ended without success.
#[derive(Debug)]
pub enum Failure<'a> {
    /// A final response of 300 or above.
    Response(&'a Message),
    /// Timer B, C or F fired: no final response.
    Timeout {
        /// Whether a provisional response had come.
        answered: bool,
    },
    /// No hop could be reached, or the name did not resolve.
    Unreachable(&'static str),
}

/// What follows after a branch failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    /// Keep the failure for the best response (RFC 3261 §16.7 step 6).
    Collect,
    /// The role forwarded again, queried or replied: forget this branch.
    #[default]
    Handled,
}

/// A role of the IMS, driven by [`crate::node::Node`].
///
/// Every hook runs to completion. Two may refuse: what they return is the response. The others default to the proxy of
/// RFC 3261 §16.
pub trait Role: Sized {
    /// The few named waits of the role: what it needs when the answer to a query comes, or to a request of its own.
    type Waiting: std::fmt::Debug;
    /// The timers of the role.
    type Timer: std::fmt::Debug + Clone;
    /// What the role remembers of one request until its final response.
    type Data: Default + std::fmt::Debug;
    /// What an operator or user can ask for.
    type Command: std::fmt::Debug;
    /// What an operator or user is told.
    type Notice: std::fmt::Debug;

    /// The role's name in logs, metrics and ladders (`"pcscf"`).
    const NAME: &'static str;
    /// The option tags that a Proxy-Require may name (RFC 3261 §16.3 item 5).
    const SUPPORTED: &'static [&'static str] = &[];
    /// Whether its requests over UDP ask for the answer at the port that they come from (RFC 3581 §3): a UE's do, for there may
    /// be a NAT in front of it.
    const ASKS_RPORT: bool = false;

    /// Whether its messages are counted by method and code ([`crate::metrics`]): a server's are.
    const COUNTS_TRAFFIC: bool = false;

    /// What of a configuration the role alone can check, at start; what it is made with has passed.
    fn check(_config: &Config) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Whether a request is of an emergency, or has another right to go first, so that there is room for it in a reserve when
    /// the others are refused.
    fn is_emergency(&self, key: &TokenKey, trust: Trust, request: &Message) -> bool {
        let _ = (key, trust);
        emergency::service(request.uri()).is_some() || emergency::is_registration(request)
    }

    /// What it holds many of, for who looks from outside.
    fn gauges(&self) -> Vec<Gauge> {
        Vec::new()
    }

    /// Whom a request is of that left this memory behind, as far as the role knows.
    fn case(data: &Self::Data) -> Case {
        let _ = data;
        Case::None
    }

    /// A request that belongs to no transaction: anything but a retransmission, a CANCEL, or the ACK to a non-2xx.
    ///
    /// Forward, reply, or query; a UA may reply later, by [`Turn::reply_to`]. An ACK is forwarded or dropped, never answered.
    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject>;

    /// The answer to a query. `request` is the one that asked; `None` when the query was made outside a request, or the
    /// request is over.
    fn answer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: Option<&Incoming>,
        waiting: Self::Waiting,
        answer: Answer,
    ) -> Result<(), Reject>;

    /// A response on its way upstream: each provisional but 100, each 2xx, and the best final one when all branches have
    /// ended. Pass it on, edited, by [`Turn::pass`]; what is not passed is not seen upstream.
    fn response(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        branch: Branch,
        response: &Incoming,
    ) {
        let _ = (request, branch);
        let edits = turn.edits();
        turn.pass(response, edits);
    }

    /// A branch ended without success. The default collects it for the best response.
    fn failed(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        branch: Branch,
        failure: Failure<'_>,
    ) -> Result<Next, Reject> {
        let _ = (turn, request, branch, failure);
        Ok(Next::Collect)
    }

    /// The client cancelled the request (RFC 3261 §16.10). The node has answered the CANCEL and cancels the branches.
    fn cancelled(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) {
        let _ = (turn, request);
    }

    /// A response, or the lack of one, to a request that this role originated.
    fn originated(
        &mut self,
        turn: &mut Turn<'_, Self>,
        client: ClientId,
        waiting: &mut Self::Waiting,
        outcome: Outcome<'_>,
    ) {
        let _ = (turn, client, waiting, outcome);
    }

    /// A Diameter request of a peer; answer it by [`Turn::answer_peer`].
    fn peer_request(&mut self, turn: &mut Turn<'_, Self>, id: RequestId, request: CxRequest) {
        let _ = (turn, id, request);
    }

    /// Something outside any message.
    fn event(&mut self, turn: &mut Turn<'_, Self>, event: Event<Self>) {
        let _ = (turn, event);
    }

    /// A timer armed by [`Turn::arm`] fired.
    fn timer(&mut self, turn: &mut Turn<'_, Self>, timer: Self::Timer) {
        let _ = (turn, timer);
    }
}

/// What came of a request that a role originated.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// A response: provisional, final, or a retransmitted 2xx to INVITE.
    Response(&'a Incoming),
    /// No final response in time.
    Timeout,
    /// The request could not be sent.
    Unreachable(&'static str),
}
