//! The I-CSCF (TS 24.229 §5.3): the way into a home network.
//!
//! It keeps no state beyond one request: it asks the HSS who serves the user, and passes the request on. [`Icscf`] is a
//! [`Role`] for [`cscf::Node`]; [`registration`] and [`session`] hold what it decides.

pub mod registration;
pub mod selection;
pub mod session;

use cscf::breakout::Departure;
use cscf::bucket::TokenKey;
use cscf::charging::{self, ChargingVector, Icid};
use cscf::config::Config;
use cscf::trust::{self, Outsider};
use cscf::{Answer, Branch, Failure, Incoming, Next, Query, Reject, Role, Trust, Turn, emergency, priority};
use diameter_client::cx::CxRequest;
use diameter_client::endpoint::Destination;
use selection::Search;
use session::SessionSide;
use sip_core::{Edits, Message, Method, Name, SlotId, Status, Uri};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

/// The I-CSCF.
#[derive(Debug)]
pub struct Icscf {
    config: Arc<Config>,
}

/// What an I-CSCF waits for.
#[derive(Debug)]
pub enum Waiting {
    /// The answer to a UAR, for a REGISTER.
    Uaa,
    /// The answer to an LIR, for any other request.
    Lia,
}

/// What an I-CSCF remembers of one request.
#[derive(Debug, Default)]
pub struct Data {
    search: Search,
    side: SessionSide,
    /// Whether the S-CSCFs are tried in turn because the HSS could not be asked.
    is_blind: bool,
    /// The wildcarded identity that the served user matched.
    profile_key: Option<String>,
    /// The charging vector of a request that came without one.
    charging: Option<ChargingVector>,
    is_cancelled: bool,
    /// Whether it comes from another network.
    is_foreign: bool,
    /// By which rule it leaves this one.
    departure: Option<Box<Departure>>,
}

impl Icscf {
    /// An I-CSCF by its section of the configuration.
    pub fn new(config: Arc<Config>) -> Icscf {
        Icscf { config }
    }

    /// Asks the HSS: by realm only, for the I-CSCF remembers none (TS 29.229 §5.5).
    fn ask(&self, turn: &mut Turn<'_, Icscf>, message: &Message, request: CxRequest, waiting: Waiting) {
        let own = || Some(turn.data().charging.as_ref()?.icid.trace());
        let trace = charging::trace(message).or_else(own);
        let destination = Destination { realm: self.config.home.realm().to_owned(), host: None };
        turn.query(Query::Cx { request: Box::new(request), destination, trace }, waiting);
    }

    /// Mints the charging vector of a request that has none (TS 24.229 §4.5.2).
    fn charge(&self, turn: &mut Turn<'_, Icscf>, message: &Message) {
        let received = message.charging_vector().and_then(Result::ok);
        turn.data().charging = match received.is_some_and(|vector| !vector.icid_value().is_empty()) {
            true => None,
            false => Some(ChargingVector::new(Icid::mint(turn.entropy()), &self.config.icscf.ioi)),
        };
    }

    /// What changes whichever way the request goes: our own Route goes, a missing charging vector comes.
    fn edits(&self, turn: &mut Turn<'_, Icscf>, message: &Message) -> Edits {
        let mut edits = turn.edits();
        if turn.data().is_foreign {
            trust::entering(message, Outsider::Network, &mut edits);
        }
        if let Some((slot, _)) = self.own_route(turn, message) {
            edits.remove_slot(slot);
        }
        if let Some(charging) = &turn.data().charging {
            edits.set(message, Name::PChargingVector, format_args!("{charging}"));
        }
        edits
    }

    /// The next S-CSCF of the search, or the refusal that stands for none.
    fn next_scscf(&self, turn: &mut Turn<'_, Icscf>) -> Result<String, Reject> {
        let search = &mut turn.data().search;
        // TS 24.229 §5.3.1.3 and §5.3.2.1: no S-CSCF can be selected.
        search.next(self.config.icscf.scscf_tries_max).ok_or_else(|| {
            Reject::new(Status::SERVER_TIMEOUT, "no S-CSCF can be selected")
                .detail(format!("last tried: {}", search.last()))
        })
    }

    /// The topmost Route when it is this node's own (RFC 3261 §16.4), and what it asks for.
    fn own_route(&self, turn: &Turn<'_, Icscf>, message: &Message) -> Option<(SlotId, SessionSide)> {
        let (slot, route) = message.routes().next()?;
        let route = route.ok().filter(|route| self.is_own_uri(turn, route.uri()))?;
        let is_originating = route.parsed_uri().is_ok_and(|uri| uri.params().has(b"orig"));
        Some((slot, if is_originating { SessionSide::Originating } else { SessionSide::Terminating }))
    }

    /// Whether a URI leads to this node: by its host name, the home domain, or an address of its own.
    fn is_own_uri(&self, turn: &Turn<'_, Icscf>, uri: &[u8]) -> bool {
        let Ok(Uri::Sip(sip)) = Uri::parse(uri) else { return false };
        let own_port = |address: &SocketAddr| sip.port.is_none_or(|port| port == address.port());
        let own_host = |address: &SocketAddr| match sip.host.name() {
            Some(name) => {
                name.eq_ignore_ascii_case(self.config.icscf.host.as_bytes())
                    || self.config.home.is_domain(name)
            }
            None => sip.host.ip() == Some(address.ip()),
        };
        turn.locals().iter().any(|local| own_host(&local.address) && own_port(&local.address))
    }
}

impl Role for Icscf {
    type Waiting = Waiting;
    type Timer = Infallible;
    type Data = Data;
    type Command = Infallible;
    type Notice = Infallible;

    const NAME: &'static str = "icscf";
    const COUNTS_TRAFFIC: bool = true;

    fn is_emergency(&self, _: &TokenKey, trust: Trust, request: &Message) -> bool {
        emergency::service(request.uri()).is_some()
            || emergency::is_registration(request)
            || priority::is_granted(&self.config.limits.priority_namespaces, trust, request)
    }

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        match request.message.method() {
            Method::Register => registration::begin(self, turn, request),
            _ => session::begin(self, turn, request),
        }
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: Option<&Incoming>,
        waiting: Waiting,
        answer: Answer,
    ) -> Result<(), Reject> {
        let Some(request) = request else { return Ok(()) };
        match waiting {
            Waiting::Uaa => registration::assigned(self, turn, request, answer),
            Waiting::Lia => session::located(self, turn, request, answer),
        }
    }

    fn failed(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        _branch: Branch,
        failure: Failure<'_>,
    ) -> Result<Next, Reject> {
        match request.message.method() {
            Method::Register => registration::failed(self, turn, request, &failure),
            _ => session::failed(self, turn, request, &failure),
        }
    }

    fn cancelled(&mut self, turn: &mut Turn<'_, Self>, _request: &Incoming) {
        turn.data().is_cancelled = true;
    }
}

/// A Server-Name of the HSS as a SIP URI that a request can be sent to.
fn server_name(name: String) -> Result<String, Reject> {
    match Uri::parse(name.as_bytes()) {
        Ok(Uri::Sip(_)) => Ok(name),
        _ => Err(Reject::new(Status::SERVER_TIMEOUT, "HSS names no SIP URI as the S-CSCF").detail(name)),
    }
}

/// Too many Cx requests wait for an answer.
fn overloaded() -> Reject {
    Reject::new(Status::SERVICE_UNAVAILABLE, "too many Cx requests wait").header(Name::RetryAfter, "5")
}
