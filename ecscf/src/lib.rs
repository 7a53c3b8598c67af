//! The E-CSCF (TS 24.229 §5.11): brings an emergency request to the PSAP that serves the place of its caller.
//!
//! It keeps no state beyond one request: [`selection`] chooses from the table of the configuration, and what belongs to a
//! dialog is known by the token in our Record-Route. [`Ecscf`] is a [`Role`] for [`cscf::Node`].

pub mod location;
pub mod route;
pub mod selection;

use cscf::bucket::TokenKey;
use cscf::config::Config;
use cscf::trust::{self, Outsider};
use cscf::{Answer, Branch, Failure, Incoming, LifeSign, Next, Reject, Role, Target, Trust, Turn, emergency};
use location::Location;
use route::Routes;
use sip_core::{Message, Method, Name, Status};
use smallvec::SmallVec;
use std::convert::Infallible;
use std::sync::Arc;

/// The E-CSCF.
#[derive(Debug)]
pub struct Ecscf {
    config: Arc<Config>,
}

/// What an E-CSCF remembers of one request.
#[derive(Debug, Default)]
pub struct Data {
    /// The PSAPs that are left to try, by their place in the table, the next one last.
    left: SmallVec<[usize; 4]>,
    is_cancelled: bool,
}

impl Ecscf {
    /// An E-CSCF by its section of the configuration.
    pub fn new(config: Arc<Config>) -> Ecscf {
        Ecscf { config }
    }

    /// A request that begins a call for help, or is one.
    fn begin(&self, turn: &mut Turn<'_, Ecscf>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        if request.source.trust == Trust::Outside {
            return Err(Reject::new(Status::FORBIDDEN, "request from outside the trust domain"));
        }
        let Some(service) = emergency::service(message.uri()) else {
            return Err(Reject::new(Status::FORBIDDEN, "Request-URI names no emergency service"));
        };
        let location = Location::of(message);
        let config = &self.config.ecscf;
        let mut left = selection::order(&config.psaps, service, &location);
        left.truncate(config.psap_tries_max as usize);
        left.reverse();
        turn.data().left = left;
        match self.next_psap(turn, request) {
            true => Ok(()),
            false => {
                let service = String::from_utf8_lossy(service).into_owned();
                Err(Reject::new(Status::NOT_FOUND, "no PSAP serves this place and service").detail(service))
            }
        }
    }

    /// Forwards to the next PSAP; false when none is left.
    ///
    /// It becomes the Route: the Request-URI stays the URN, so that the PSAP sees what the caller asked for (TS 24.229
    /// §5.11.2).
    fn next_psap(&self, turn: &mut Turn<'_, Ecscf>, request: &Incoming) -> bool {
        let config = &self.config.ecscf;
        let Some(psap) = turn.data().left.pop().and_then(|at| config.psaps.get(at)) else { return false };
        let message = &request.message;
        let mut edits = turn.edits();
        trust::leaving(message, Outsider::Psap, &mut edits);
        edits.remove(message, Name::Route);
        edits.push_top(Name::Route, format_args!("<{};lr>", psap.uri));
        if matches!(message.method(), Method::Invite | Method::Subscribe | Method::Refer) {
            route::record(turn, message, &mut edits);
        }
        tracing::info!(psap = %psap.uri, "an emergency request goes to its PSAP");
        turn.count("emergency", "to a PSAP");
        let branch = turn.forward(request, edits, Target::Uri(psap.uri.clone().into_bytes()));
        turn.limit_silence(branch, config.psap_timeout, LifeSign::Trying);
        true
    }

    /// A request within the dialog of an emergency call.
    fn within(&self, turn: &mut Turn<'_, Ecscf>, request: &Incoming, routes: &Routes) -> Result<(), Reject> {
        let message = &request.message;
        if !routes.is_of(turn.token_key(), message.call_id()) {
            return Err(Reject::new(Status::CALL_DOES_NOT_EXIST, "Route names no dialog of this Call-ID"));
        }
        let mut edits = turn.edits();
        match request.source.trust {
            Trust::Outside => trust::entering(message, Outsider::Psap, &mut edits),
            Trust::Domain => trust::leaving(message, Outsider::Psap, &mut edits),
        }
        routes.pop(&mut edits);
        turn.forward(request, edits, routes.next());
        Ok(())
    }
}

impl Role for Ecscf {
    type Waiting = Infallible;
    type Timer = Infallible;
    type Data = Data;
    type Command = Infallible;
    type Notice = Infallible;

    const NAME: &'static str = "ecscf";
    const COUNTS_TRAFFIC: bool = true;

    /// Everything that comes here is.
    fn is_emergency(&self, _: &TokenKey, _: Trust, _: &Message) -> bool {
        true
    }

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        let routes = Routes::of(self, turn, message);
        if message.method() == Method::Options && route::is_own(self, turn, message.uri()) {
            turn.reply(request, Status::OK, |response| response);
            return Ok(());
        }
        match message.to().is_ok_and(|to| to.tag().is_some()) {
            true => self.within(turn, request, &routes),
            false => self.begin(turn, request),
        }
    }

    fn answer(
        &mut self,
        _: &mut Turn<'_, Self>,
        _: Option<&Incoming>,
        waiting: Infallible,
        _: Answer,
    ) -> Result<(), Reject> {
        match waiting {}
    }

    fn response(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        _branch: Branch,
        response: &Incoming,
    ) {
        let mut edits = turn.edits();
        match (request.source.trust, response.source.trust) {
            (Trust::Outside, _) => trust::leaving(&response.message, Outsider::Psap, &mut edits),
            (Trust::Domain, Trust::Outside) => {
                trust::entering(&response.message, Outsider::Psap, &mut edits);
            }
            (Trust::Domain, Trust::Domain) => {}
        }
        turn.pass(response, edits);
    }

    fn failed(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        _branch: Branch,
        failure: Failure<'_>,
    ) -> Result<Next, Reject> {
        let is_in_dialog = request.message.to().is_ok_and(|to| to.tag().is_some());
        if is_in_dialog || turn.data().is_cancelled || !selection::moves_on(&failure) {
            return Ok(Next::Collect);
        }
        tracing::warn!(?failure, "a PSAP does not take an emergency request");
        turn.count("psap_failed", "emergency request");
        match (self.next_psap(turn, request), failure) {
            (true, _) => Ok(Next::Handled),
            (false, Failure::Response(_)) => Ok(Next::Collect),
            (false, Failure::Timeout { .. } | Failure::Unreachable(_)) => {
                Err(Reject::new(Status::SERVER_TIMEOUT, "no PSAP answers"))
            }
        }
    }

    fn cancelled(&mut self, turn: &mut Turn<'_, Self>, _request: &Incoming) {
        turn.data().is_cancelled = true;
    }
}
