//! The P-CSCF (TS 24.229 §5.2): the first hop of a UE, and the edge of the trust domain.
//!
//! It knows which UE registered from which address, asserts who sends a request, holds the UE to its Service-Route, and
//! removes what may not cross the edge. [`Pcscf`] is a [`Role`] for [`cscf::Node`]. Its only lasting state is
//! [`bindings`], and the [`agreements`] on the security associations that they are reached by; what a dialog needs travels
//! in our Record-Route ([`path`]).

pub mod admission;
pub mod agreement_record;
pub mod agreements;
pub mod assertion;
pub mod binding;
pub mod bindings;
pub mod credentials;
pub mod dialog;
pub mod emergency;
pub mod gm;
pub mod grant;
pub mod kept;
pub mod nat;
pub mod originating;
pub mod path;
pub mod record;
pub mod reg_event;
pub mod registration;
pub mod restoration;
pub mod route_set;
pub mod scheme;
pub mod securing;
mod slots;
pub mod terminating;
pub mod tls_session;
pub mod wording;
pub mod written;

use admission::Proposal;
use agreements::Agreements;
use ambient::Now;
use binding::BindingId;
use bindings::Bindings;
use cscf::bucket::TokenKey;
use cscf::config::Config;
use cscf::metrics::{Case, Gauge, Holding};
use cscf::node::ClientId;
use cscf::role::Outcome;
use cscf::{Answer, Branch, Event, Failure, Incoming, Next, Reject, Role, Transport, Trust, Turn, priority};
use gm::Routes;
use ipsec::Spi;
use path::Token;
use reg_event::Watches;
use scheme::Way;
use sip_core::fields::via::Transport as ViaTransport;
use sip_core::{Message, Method, Status};
use std::net::SocketAddr;
use std::sync::Arc;
use tls_session::TlsSessions;
use wording::{Command, Notice};

/// The P-CSCF.
#[derive(Debug)]
pub struct Pcscf {
    config: Arc<Config>,
    bindings: Bindings,
    agreements: Agreements,
    tls_sessions: TlsSessions,
    watches: Watches,
}

/// What a P-CSCF waits for.
#[derive(Debug)]
pub enum Waiting {
    /// That what a 2xx to REGISTER changes is durable.
    Stored {
        /// The 2xx.
        response: Incoming,
        /// What it changes.
        change: grant::Change,
    },
    /// That the security associations stand which the UE will answer this challenge through.
    Installed {
        /// The 401.
        response: Incoming,
        /// Their set.
        set: Spi,
    },
    /// That the associations of an earlier life stand.
    Adopted(Spi),
    /// A SUBSCRIBE of ours to the registration behind this binding.
    Subscribed(BindingId),
    /// That the store or the back end of IPsec has dropped what ended by itself; nobody depends on it.
    Forgotten,
}

/// The timers of a P-CSCF.
#[derive(Clone, Debug)]
pub enum Timer {
    /// The first contact of this binding that ends, ends.
    ContactEnds(BindingId),
    /// The subscription to the registration behind this binding is to be refreshed.
    Watch(BindingId),
    /// The time of a set of security associations is over.
    AgreementEnds(Spi),
}

/// What a P-CSCF remembers of one request.
#[derive(Debug, Default)]
pub enum Data {
    /// Nothing: it was answered at once.
    #[default]
    Own,
    /// A REGISTER.
    Register {
        /// For this binding.
        id: BindingId,
        /// The security associations that it asks for.
        proposal: Option<Box<Proposal>>,
        /// What it authenticates by.
        way: Way,
    },
    /// A request of a UE.
    FromUe {
        /// The UE's, for a request outside a dialog.
        binding: Option<BindingId>,
        /// Whether the UE has cancelled it.
        is_cancelled: bool,
    },
    /// A request for an emergency service, outside a dialog.
    Emergency {
        /// Of this binding, where the UE is known.
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
        Pcscf {
            config,
            bindings: Bindings::default(),
            agreements: Agreements::default(),
            tls_sessions: TlsSessions::default(),
            watches: Watches::default(),
        }
    }

    /// Which security associations stand, and how far their agreements have come.
    pub fn agreements(&self) -> &Agreements {
        &self.agreements
    }

    /// Which registrations are watched.
    pub fn watches(&self) -> &Watches {
        &self.watches
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
    type Command = Command;
    type Notice = Notice;

    const NAME: &'static str = "pcscf";
    const SUPPORTED: &'static [&'static str] = &[gm::SEC_AGREE, "path"];
    const COUNTS_TRAFFIC: bool = true;

    fn gauges(&self) -> Vec<Gauge> {
        vec![
            Gauge::new(Holding::Registrations, "registered", self.bindings.len()),
            Gauge::new(Holding::Subscriptions, "watched", self.watches.len()),
            Gauge::new(Holding::SecurityAssociations, "installed", 4 * self.agreements.len()),
        ]
    }

    fn case(data: &Data) -> Case {
        match data {
            Data::FromUe { .. } | Data::Emergency { .. } => Case::Originating,
            Data::ToUe(_) => Case::Terminating,
            Data::Own | Data::Register { .. } => Case::None,
        }
    }

    fn is_emergency(&self, key: &TokenKey, trust: Trust, request: &Message) -> bool {
        emergency::is_part(&self.config.pcscf, key, request)
            || priority::is_granted(&self.config.limits.priority_namespaces, trust, request)
    }

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        let message = &request.message;
        if let Some(set) = request.source.secured {
            securing::used(self, turn, set);
        }
        if message.method() == Method::Register {
            return registration::begin(self, turn, request);
        }
        if let Some(id) = reg_event::named(self, turn, request) {
            return reg_event::notified(self, turn, request, id);
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
        request: Option<&Incoming>,
        waiting: Waiting,
        answer: Answer,
    ) -> Result<(), Reject> {
        match waiting {
            Waiting::Stored { response, change } => {
                registration::stored(self, turn, request, &response, change, answer)
            }
            Waiting::Installed { response, set } => securing::installed(self, turn, &response, set, answer),
            Waiting::Adopted(set) => {
                securing::adopted(self, turn, set, &answer);
                Ok(())
            }
            // What comes of a request of ours is no answer to a query.
            Waiting::Subscribed(_) => Ok(()),
            Waiting::Forgotten => {
                match answer {
                    Answer::Stored(Err(failure)) => {
                        tracing::warn!(%failure, "what has ended stays in the store; it is dropped when it is read");
                    }
                    Answer::Secured(Err(failure)) => {
                        tracing::warn!(%failure, "security associations that have ended stay in place");
                    }
                    Answer::Cx(_)
                    | Answer::Resolved(_)
                    | Answer::Naptr(_)
                    | Answer::Stored(Ok(()))
                    | Answer::Secured(Ok(())) => {}
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
        if let Some(set) = response.source.secured {
            securing::used(self, turn, set);
        }
        match *turn.data() {
            Data::Register { id, ref mut proposal, way } => {
                let proposal = proposal.take();
                registration::response(self, turn, request, response, id, (proposal, way));
            }
            Data::ToUe(binding) => terminating::response(self, turn, request, response, binding),
            Data::FromUe { .. } | Data::Emergency { .. } | Data::Own => {
                originating::response(turn, request, response)
            }
        }
    }

    fn failed(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        _branch: Branch,
        failure: Failure<'_>,
    ) -> Result<Next, Reject> {
        match (&*turn.data(), failure) {
            (
                &Data::Emergency { binding, is_cancelled: false },
                Failure::Timeout { answered: false } | Failure::Unreachable(_),
            ) => Err(emergency::unserved(self, turn, request, binding)),
            // TS 24.229 §5.2.2.1 and §5.2.6.3: the core is silent or gone.
            (
                &Data::FromUe { binding: Some(id), is_cancelled: false },
                Failure::Timeout { answered: false } | Failure::Unreachable(_),
            ) => Err(restoration::refusal(self, turn, id)),
            (
                Data::Register { .. } | Data::FromUe { is_cancelled: false, .. },
                Failure::Timeout { answered: false } | Failure::Unreachable(_),
            ) => Err(Reject::new(Status::SERVER_TIMEOUT, gm::SILENT_CORE)),
            (Data::ToUe(_), Failure::Unreachable(_)) => {
                Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "UE cannot be reached"))
            }
            _ => Ok(Next::Collect),
        }
    }

    fn cancelled(&mut self, turn: &mut Turn<'_, Self>, _request: &Incoming) {
        if let Data::FromUe { is_cancelled, .. } | Data::Emergency { is_cancelled, .. } = turn.data() {
            *is_cancelled = true;
        }
    }

    fn originated(
        &mut self,
        turn: &mut Turn<'_, Self>,
        _: ClientId,
        waiting: &mut Waiting,
        outcome: Outcome<'_>,
    ) {
        if let Waiting::Subscribed(id) = waiting {
            reg_event::answered(self, turn, *id, &outcome);
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
                for agreement in records.iter().filter_map(agreement_record::read) {
                    let home = turn.token_key().bucket_of_address(agreement.set.peer_ip);
                    if turn.owns(home) {
                        securing::restored(self, turn, agreement);
                    }
                }
                let (registrations, secured) = (self.bindings.len(), self.agreements.len());
                tracing::info!(registrations, secured, "restored");
            }
            Event::FlowLost(flow) => {
                self.bindings.flow_lost(flow);
                self.tls_sessions.flow_lost(flow);
            }
            Event::Draining => {}
            Event::Command(Command::SecurityAssociations(form)) => {
                turn.notice(wording::shown(&self.agreements, form, turn.wall()));
            }
        }
    }

    fn timer(&mut self, turn: &mut Turn<'_, Self>, timer: Timer) {
        match timer {
            Timer::ContactEnds(id) => registration::contact_ended(self, turn, id),
            Timer::Watch(id) => reg_event::timed(self, turn, id),
            Timer::AgreementEnds(set) => securing::timed_out(self, turn, set),
        }
    }
}

/// The numeric sent-by of the top Via.
fn sent_by(message: &Message) -> Option<SocketAddr> {
    let via = message.top_via().ok()?;
    let default = if via.transport == ViaTransport::Tls { Transport::Tls } else { Transport::Udp };
    Some(SocketAddr::new(via.sent_by().ip()?, via.port.unwrap_or(default.default_port())))
}
