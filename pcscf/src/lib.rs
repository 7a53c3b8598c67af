//! The P-CSCF (TS 24.229 §5.2): the first hop of a UE, and the edge of the trust domain.
//!
//! It knows which UE registered from which address, asserts who sends a request, holds the UE to its Service-Route, and
//! removes what may not cross the edge. [`Pcscf`] is a [`Role`] for [`cscf::Node`]. Its only lasting state is
//! [`bindings`]; what a dialog needs travels in our Record-Route ([`path`]).

pub mod assertion;
pub mod binding;
pub mod bindings;
pub mod credentials;
pub mod dialog;
pub mod gm;
pub mod grant;
pub mod kept;
pub mod originating;
pub mod path;
pub mod record;
pub mod registration;
pub mod restoration;
pub mod route_set;
pub mod terminating;

use ambient::Now;
use binding::BindingId;
use bindings::Bindings;
use cscf::config::Config;
use cscf::{Answer, Branch, Event, Failure, Incoming, Next, Reject, Role, Trust, Turn};
use gm::Routes;
use path::Token;
use sip_core::{Message, Method, Status};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

/// The P-CSCF.
#[derive(Debug)]
pub struct Pcscf {
    config: Arc<Config>,
    bindings: Bindings,
}

/// What a P-CSCF waits for.
#[expect(
    clippy::large_enum_variant,
    reason = "lives in the node's table of queries: boxing would cost an allocation per registration"
)]
#[derive(Debug)]
pub enum Waiting {
    /// That what a 2xx to REGISTER changes is durable.
    Stored {
        /// The 2xx.
        response: Incoming,
        /// What it changes.
        change: grant::Change,
    },
    /// That the store has dropped what ended by itself; nobody depends on it.
    Forgotten,
}

/// The timers of a P-CSCF.
#[derive(Clone, Debug)]
pub enum Timer {
    /// The first contact of this binding that ends, ends.
    ContactEnds(BindingId),
}

/// What a P-CSCF remembers of one request.
#[derive(Debug, Default)]
pub enum Data {
    /// Nothing: it was answered at once.
    #[default]
    Own,
    /// A REGISTER, for this binding.
    Register(BindingId),
    /// A request of a UE.
    FromUe {
        /// The UE's, for a request outside a dialog.
        binding: Option<BindingId>,
        /// Whether the UE has cancelled it.
        is_cancelled: bool,
    },
    /// A request to a UE; outside a dialog, to the one of this binding.
    ToUe(Option<BindingId>),
}

impl Pcscf {
    /// A P-CSCF by its section of the configuration, without registrations.
    pub fn new(config: Arc<Config>) -> Pcscf {
        Pcscf { config, bindings: Bindings::default() }
    }

    /// Who is registered through this P-CSCF.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }
}

impl Role for Pcscf {
    type Waiting = Waiting;
    type Timer = Timer;
    type Data = Data;
    type Command = Infallible;
    type Notice = Infallible;

    const NAME: &'static str = "pcscf";
    const SUPPORTED: &'static [&'static str] = &[gm::SEC_AGREE, "path"];

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        if message.method() == Method::Register {
            return registration::begin(self, turn, request);
        }
        let routes = Routes::of(self, turn, message);
        if message.method() == Method::Options
            && routes.rest.is_empty()
            && gm::is_own(self, turn, message.uri())
        {
            turn.reply(request, Status::OK, |response| response);
            return Ok(());
        }
        let is_in_dialog = originating::is_in_dialog(message);
        match (request.source.trust, &routes.token) {
            (Trust::Outside, _) if is_in_dialog => dialog::from_ue(self, turn, request, &routes),
            (Trust::Outside, _) => originating::begin(self, turn, request, &routes),
            (Trust::Domain, Some(Token::Path(id))) => terminating::begin(self, turn, request, &routes, *id),
            (Trust::Domain, _) if is_in_dialog => dialog::to_ue(self, turn, request, &routes),
            (Trust::Domain, _) => Err(Reject::new(Status::NOT_FOUND, "request names no Path of this P-CSCF")),
        }
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        _request: Option<&Incoming>,
        waiting: Waiting,
        answer: Answer,
    ) -> Result<(), Reject> {
        match waiting {
            Waiting::Stored { response, change } => {
                registration::stored(self, turn, &response, change, answer)
            }
            Waiting::Forgotten => {
                if let Answer::Stored(Err(failure)) = answer {
                    tracing::warn!(%failure, "an ended registration stays in the store; it is dropped when it is read");
                }
                Ok(())
            }
        }
    }

    fn response(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        _branch: Branch,
        response: &Incoming,
    ) {
        match *turn.data() {
            Data::Register(id) => registration::response(self, turn, request, response, id),
            Data::ToUe(binding) => terminating::response(self, turn, request, response, binding),
            Data::FromUe { .. } | Data::Own => originating::response(turn, request, response),
        }
    }

    fn failed(
        &mut self,
        turn: &mut Turn<'_, Self>,
        _request: &Incoming,
        _branch: Branch,
        failure: Failure<'_>,
    ) -> Result<Next, Reject> {
        match (&*turn.data(), failure) {
            // TS 24.229 §5.2.2.1 and §5.2.6.3: the core is silent or gone.
            (
                &Data::FromUe { binding: Some(id), is_cancelled: false },
                Failure::Timeout { answered: false } | Failure::Unreachable(_),
            ) => Err(restoration::refusal(self, turn, id)),
            (
                Data::Register(_) | Data::FromUe { is_cancelled: false, .. },
                Failure::Timeout { answered: false } | Failure::Unreachable(_),
            ) => Err(Reject::new(Status::SERVER_TIMEOUT, gm::SILENT_CORE)),
            (Data::ToUe(_), Failure::Unreachable(_)) => {
                Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "UE cannot be reached"))
            }
            _ => Ok(Next::Collect),
        }
    }

    fn cancelled(&mut self, turn: &mut Turn<'_, Self>, _request: &Incoming) {
        if let Data::FromUe { is_cancelled, .. } = turn.data() {
            *is_cancelled = true;
        }
    }

    fn event(&mut self, turn: &mut Turn<'_, Self>, event: Event<Self>) {
        match event {
            Event::Restored(records) => {
                let now = Now { instant: turn.now(), wall: turn.wall() };
                for binding in records.iter().filter_map(|kept| record::read(kept, now)) {
                    // A UE is at home at its address: another shard reads the same records, and keeps the rest.
                    let home = turn.token_key().bucket_of_address(binding.hop.remote.ip());
                    if turn.owns(home) {
                        registration::stand(&mut self.bindings, turn, binding);
                    }
                }
                tracing::info!(registrations = self.bindings.len(), "restored");
            }
            Event::FlowLost(flow) => self.bindings.flow_lost(flow),
            Event::Draining => {}
            Event::Command(never) => match never {},
        }
    }

    fn timer(&mut self, turn: &mut Turn<'_, Self>, timer: Timer) {
        match timer {
            Timer::ContactEnds(id) => registration::contact_ended(self, turn, id),
        }
    }
}

/// The numeric sent-by of the top Via.
fn sent_by(message: &Message) -> Option<SocketAddr> {
    let via = message.top_via().ok()?;
    Some(SocketAddr::new(via.sent_by().ip()?, via.port.unwrap_or(cscf::resolve::DEFAULT_PORT)))
}
