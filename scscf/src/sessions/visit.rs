//! A request on its way through the application servers of its served user (TS 24.229 §5.4.3.2, §5.4.3.3; TS 23.218 §5.2,
//! §6.9).
//!
//! At each step the next criterion that matches the request as it is by then decides: it goes to that application server
//! with our Route behind, whose original dialog identifier it comes back by; or, when none is left, on to whom it is for.

use super::chain::{
    ANSWERED_KEPT, ChainId, GIVEN_UP_KEPT, Life, Progress, RETURNS_MAX, VISIT_KEPT, VISITS_MAX, Visit,
};
use super::default_handling::{self, Then};
use super::dialog::SessionId;
use super::token::{self, Case};
use super::{OwnRoutes, Served, ServedCase, left_out, service};
use crate::criteria::server_uri::{self, Routing};
use crate::criteria::{Criterion, Facts, Place};
use crate::registrar::registrations::{Registration, State};
use crate::role::Scscf;
use crate::waiting::{Timer, Waiting};
use cscf::role::Outcome;
use cscf::user_data::ApplicationServer;
use cscf::{Branch, Failure, Incoming, LifeSign, Next, Reject, Target, Turn};
use sip_core::{Edits, Limits, Message, Method, Name, RequestBuilder, Status};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

impl Progress {
    /// The beginning of a chain; `None` when the user has no criteria, which costs next to nothing to find out.
    pub(super) fn of(registration: &Registration, served: &Served) -> Option<Progress> {
        if registration.set.services().iter().all(|services| services.criteria.is_empty()) {
            return None;
        }
        let services = registration.set.shared_services_of(served.key())?;
        (!services.criteria.is_empty()).then(|| Progress {
            served: served.clone(),
            is_registered: registration.state == State::Registered,
            services: services.clone(),
            after: None,
            visits: 0,
            session: None,
        })
    }

    fn next(&self, message: &Message) -> Option<(Place, Arc<ApplicationServer>)> {
        let asserted = self.asserted(message);
        let facts = Facts {
            message: asserted.as_ref().unwrap_or(message),
            case: self.served.case.session_case(self.is_registered),
            is_registered: self.is_registered,
            registration: None,
        };
        let matched = self.services.criteria.next(self.after, &facts)?;
        let Criterion { place, application_server, .. } = matched;
        Some((*place, application_server.clone()))
    }

    /// The request with the service that is asserted of it, which criteria may look at; `None` where it says none.
    fn asserted(&self, message: &Message) -> Option<Message> {
        if self.served.case != ServedCase::Originating || !message.has(Name::PPreferredService) {
            return None;
        }
        let mut edits = Edits::new();
        service::assert_preferred(self.services.core_network_services.as_ref(), message, &mut edits);
        let mut bytes = Vec::with_capacity(message.bytes().len());
        edits.render(message, &mut bytes);
        Message::parse(bytes, &Limits::default()).ok()
    }
}

impl Scscf {
    /// The next step of a chain: to an application server, or on to whom the request is for.
    pub(super) fn advance(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        own: OwnRoutes,
        mut progress: Progress,
    ) -> Result<(), Reject> {
        while let Some((place, server)) = progress.next(&request.message) {
            progress.after = Some(place);
            let why = match self.way_to(turn, &server) {
                Ok(routing) => return self.visit(turn, request, own, progress, &server, routing),
                Err(why) => why,
            };
            let (failure, handling) = (Failure::Unreachable(why), server.default_handling);
            let method = request.message.method();
            if let Then::Refuse(reject) = default_handling::after(&failure, handling, Life::Unknown, method) {
                turn.count("application server", "failed, session terminated");
                return Err(reject);
            }
            turn.count("application server", "failed, session continued");
        }
        let served = progress.served;
        match served.case {
            ServedCase::Originating | ServedCase::Diverting => self.leave(turn, request, served, own),
            // TS 24.229 §5.4.3.3: a Route that an application server has put behind ours leads elsewhere.
            ServedCase::Terminating if own.next.is_some() => self.pass_through(turn, request, own),
            ServedCase::Terminating => self.deliver(turn, request, served),
        }
    }

    /// How an application server routes; or why it is as good as unreachable.
    fn way_to(
        &self,
        turn: &mut Turn<'_, Scscf>,
        server: &ApplicationServer,
    ) -> Result<Routing, &'static str> {
        let uri = &server.server_name;
        let routing = server_uri::read(uri).inspect_err(|why| {
            turn.count("application server", "unusable uri");
            tracing::warn!(uri, why, "an application server cannot be visited");
        })?;
        match self.left_out.contains(uri, turn.now()) {
            false => Ok(routing),
            true => {
                turn.count("application server", "left out");
                Err("application server has failed a moment ago")
            }
        }
    }

    fn visit(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        own: OwnRoutes,
        progress: Progress,
        server: &ApplicationServer,
        routing: Routing,
    ) -> Result<(), Reject> {
        let message = &request.message;
        if progress.visits >= VISITS_MAX {
            return Err(Reject::new(Status::LOOP_DETECTED, "too many application servers"));
        }
        let Some(context) = turn.context() else { return Ok(()) };
        if self.chains.len() >= self.sessions_max() {
            return Err(Reject::new(Status::SERVICE_UNAVAILABLE, "too many requests at application servers"));
        }
        let id = ChainId(turn.entropy().next_u64() >> (64 - SessionId::BITS));
        let served = progress.served.clone();
        let mut edits = turn.edits();
        own.slots.iter().take(1).for_each(|slot| edits.remove_slot(*slot));
        let subscribed = progress.services.core_network_services.as_ref();
        match served.case {
            ServedCase::Originating => service::assert_preferred(subscribed, message, &mut edits),
            ServedCase::Terminating => service::check_asserted(subscribed, message, &mut edits),
            ServedCase::Diverting => {}
        }
        if served.case == ServedCase::Originating {
            let asserted = Some(&served.impu).filter(|_| message.first(Name::PServedUser).is_none());
            self.complete_identity(message, asserted, &mut edits);
        }
        let state = ServedState { case: served.case, is_registered: progress.is_registered };
        edits.set(message, Name::PServedUser, format_args!("<{}>{state}", served.impu.as_str()));
        self.charge(turn, message, &mut edits);
        self.record(turn, request, &served, &mut edits)?;
        // The user is known to the application server by its Route, which is why it stands above ours.
        let (case, mark) = match served.case {
            ServedCase::Terminating => (Case::TerminatingChain, ""),
            ServedCase::Originating | ServedCase::Diverting => (Case::OriginatingChain, ";orig"),
        };
        let bucket = self.home_of(turn, &served.impu);
        let token = turn.token_key().mint(bucket, &token::chain_payload(case, id));
        let own_uri = token::uri(&self.config.scscf.uri, &token);
        let loose = match routing {
            Routing::Loose => "",
            Routing::Unmarked => ";lr",
        };
        edits.push_top(Name::Route, format_args!("<{}{loose}>, <{own_uri}{mark}>", server.server_name));
        let target = Target::Uri(server.server_name.clone().into_bytes());
        let branch = turn.forward(request, edits, target);
        // TS 24.229 §5.4.3.2: only a 1xx other than 100 ends what default handling is for.
        turn.limit_silence(branch, self.config.scscf.application_server_timeout, LifeSign::Progress);
        turn.count("application server", "visited");
        let timer = turn.arm(VISIT_KEPT, Timer::Chain(id), "application server");
        let data = turn.data();
        let progress = Progress { visits: progress.visits + 1, session: data.session, ..progress };
        data.served = Some(served);
        data.open = 1;
        data.chain = Some(id);
        let waits = (context, branch.number);
        self.chains.insert(id, Visit { progress, life: Life::Unknown, waits, returns: 0, timer });
        Ok(())
    }

    // --- back from an application server ------------------------------------------------------------------------------

    /// How far the chain is that an original dialog identifier names; `None` when it names none.
    pub(super) fn came_back(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        message: &Message,
        id: ChainId,
    ) -> Result<Option<Progress>, Reject> {
        let Some(visit) = self.chains.get_mut(id) else { return Ok(None) };
        if visit.life == Life::GivenUp {
            return Err(Reject::new(Status::REQUEST_TIMEOUT, "chain has gone on without application server"));
        }
        if visit.returns >= RETURNS_MAX {
            return Err(Reject::new(Status::LOOP_DETECTED, "too often back from an application server"));
        }
        visit.returns += 1;
        visit.life = Life::Shown;
        let (context, branch) = visit.waits;
        turn.lift_silence(context, branch);
        let mut progress = visit.progress.clone();
        let session = progress.session.and_then(|id| Some((id, self.sessions.get_mut(id)?)));
        progress.session = match session {
            Some((id, session)) if session.is_set_up_by(message) => {
                // What rings from here on rings for this request.
                session.passes_again = true;
                session.context = turn.context();
                Some(id)
            }
            // Another dialog: that of a back-to-back user agent.
            _ => None,
        };
        Ok(Some(progress))
    }

    /// A request goes on where its chain was.
    pub(super) fn resume(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        own: OwnRoutes,
        mut progress: Progress,
    ) -> Result<(), Reject> {
        turn.data().session = progress.session;
        if progress.served.case == ServedCase::Terminating
            && self.is_diverted(turn, &request.message, &progress)?
        {
            // TS 24.229 §5.4.3.3: it is for somebody else by now. What it visits further is what the user wants of
            // requests that are diverted, and then it leaves like one that the user has sent.
            turn.count("application server", "diverted");
            progress.served.case = ServedCase::Diverting;
            progress.after = None;
        }
        self.advance(turn, request, own, progress)
    }

    /// Whether the Request-URI is another's than the served user's. An alias of the user is the user.
    fn is_diverted(
        &self,
        turn: &Turn<'_, Scscf>,
        message: &Message,
        progress: &Progress,
    ) -> Result<bool, Reject> {
        let served = &progress.served.impu;
        let Ok(called) = self.called_user(turn, message) else { return Ok(true) };
        let set = self.registrations.find(served).map(|(_, registration)| &registration.set);
        Ok(called != *served && !set.is_some_and(|set| set.are_aliases(served, &called)))
    }

    // --- what an application server answers ---------------------------------------------------------------------------

    /// A response of an application server passes: provisional, or a success.
    pub(super) fn heard_from(&mut self, turn: &mut Turn<'_, Scscf>, branch: Branch, status: Status) {
        let Some(id) = turn.data().chain else { return };
        // A server that was given up may answer all the same; the visit is to the next one by then.
        let visit = self.chains.get_mut(id).filter(|visit| visit.waits.1 == branch.number);
        if let Some(visit) = visit
            && status.code() < 300
        {
            visit.life = Life::Shown;
        }
        if status.is_success() {
            turn.data().chain = None;
            self.keep_chain(turn, id, ANSWERED_KEPT);
        }
    }

    /// The request at an application server has failed; [`Next::Handled`] when it goes on without.
    pub(crate) fn visit_failed(
        &mut self,
        turn: &mut Turn<'_, Scscf>,
        request: &Incoming,
        failure: &Failure<'_>,
    ) -> Result<Next, Reject> {
        let Some(id) = turn.data().chain.take() else { return Ok(Next::Collect) };
        let is_cancelled = turn.data().is_cancelled;
        let Some(visit) = self.chains.get_mut(id).filter(|_| !is_cancelled) else {
            self.forget_chain(turn, id);
            return Ok(Next::Collect);
        };
        let progress = &visit.progress;
        let visited =
            progress.services.criteria.iter().find(|criterion| Some(criterion.place) == progress.after);
        let server = visited.map(|visited| visited.application_server.clone()).unwrap_or_default();
        let then =
            default_handling::after(failure, server.default_handling, visit.life, request.message.method());
        let progress = progress.clone();
        if then != Then::PassOn && says_nothing(failure) {
            self.leave_out(turn, &server.server_name);
        }
        match then {
            Then::PassOn => {
                self.forget_chain(turn, id);
                Ok(Next::Collect)
            }
            Then::Refuse(reject) => {
                turn.count("application server", "failed, session terminated");
                self.give_up(turn, id);
                if let Some(session) = turn.data().session {
                    self.forget_session(turn, session);
                }
                Err(reject)
            }
            Then::Continue => {
                turn.count("application server", "failed, session continued");
                self.give_up(turn, id);
                turn.data().open = 0;
                let own = self.own_routes(turn, &request.message);
                self.advance(turn, request, own, progress)?;
                Ok(Next::Handled)
            }
        }
    }

    // --- application servers that are left out ------------------------------------------------------------------------

    /// An application server has not said a word: those after do not wait for it.
    fn leave_out(&mut self, turn: &mut Turn<'_, Scscf>, uri: &str) {
        let after = self.config.scscf.application_server_left_out;
        if self.left_out.failed(uri, turn.now(), after) {
            turn.count("application server", "does not answer, is left out");
            tracing::warn!(uri, "an application server does not answer, and is left out");
            self.ask_later(turn, uri);
        }
    }

    fn ask_later(&self, turn: &mut Turn<'_, Scscf>, uri: &str) {
        turn.arm(left_out::ASKED_EVERY, Timer::LeftOut(uri.into()), "application server that is left out");
    }

    /// Asks one that is left out whether it lives, as RFC 3261 §11 has it.
    pub(crate) fn ask_left_out(&mut self, turn: &mut Turn<'_, Scscf>, uri: &str) {
        match self.left_out.due(uri, turn.now()) {
            left_out::Next::Forget => return tracing::info!(uri, "an application server is tried again"),
            left_out::Next::Wait => {}
            left_out::Next::Ask => {
                let own = &self.config.scscf.uri;
                let (tag, call_id) = (turn.entropy().next_u64(), turn.entropy().next_u64());
                let request = RequestBuilder::new(Method::Options, uri)
                    .header(Name::MaxForwards, "70")
                    .header(Name::From, format_args!("<{own}>;tag={tag:016x}"))
                    .header(Name::To, format_args!("<{uri}>"))
                    .header(Name::CallId, format_args!("{call_id:016x}"))
                    .header(Name::CSeq, "1 OPTIONS")
                    .header(Name::Contact, format_args!("<{own}>"))
                    .build();
                turn.originate(request, Target::Uri(uri.as_bytes().to_vec()), Waiting::LeftOut(uri.into()));
            }
        }
        self.ask_later(turn, uri);
    }

    /// It has answered what it was asked, whatever it said; or it has not.
    pub(crate) fn left_out_answered(&mut self, turn: &mut Turn<'_, Scscf>, uri: &str, outcome: &Outcome<'_>) {
        match outcome {
            Outcome::Response(_) if self.left_out.answered(uri) => {
                turn.count("application server", "answers again");
                tracing::info!(uri, "an application server answers again");
            }
            Outcome::Response(_) => {}
            Outcome::Timeout | Outcome::Unreachable(_) => self.left_out.silent(uri),
        }
    }

    /// What an application server that was too slow sends back is refused from here on.
    fn give_up(&mut self, turn: &mut Turn<'_, Scscf>, id: ChainId) {
        if let Some(visit) = self.chains.get_mut(id) {
            visit.life = Life::GivenUp;
        }
        self.keep_chain(turn, id, GIVEN_UP_KEPT);
    }

    fn keep_chain(&mut self, turn: &mut Turn<'_, Scscf>, id: ChainId, after: Duration) {
        if let Some(visit) = self.chains.get_mut(id) {
            turn.disarm(visit.timer);
            visit.timer = turn.arm(after, Timer::Chain(id), "application server");
        }
    }

    fn forget_chain(&mut self, turn: &mut Turn<'_, Scscf>, id: ChainId) {
        if let Some(visit) = self.chains.remove(id) {
            turn.disarm(visit.timer);
        }
    }

    pub(crate) fn chain_lapsed(&mut self, id: ChainId) {
        self.chains.remove(id);
    }

    /// A request from outside the trust domain that has an original dialog identifier of ours comes from an application
    /// server whose address nobody has put into the trust domain.
    pub(crate) fn warn_of_outside_server(&mut self, turn: &mut Turn<'_, Scscf>, request: &Incoming) {
        let chain = self.own_routes(turn, &request.message).top.and_then(|top| top.chain);
        if chain.is_some_and(|id| self.chains.get_mut(id).is_some()) {
            let address = request.source.remote.ip();
            tracing::warn!(%address, "an application server is refused: add its address to [trust] domain");
        }
    }
}

/// Whether an application server has failed without a word.
fn says_nothing(failure: &Failure<'_>) -> bool {
    matches!(failure, Failure::Timeout { answered: false } | Failure::Unreachable(_))
}

/// The parameters of P-Served-User (RFC 5502 §6, RFC 8498 §4).
struct ServedState {
    case: ServedCase,
    is_registered: bool,
}

impl fmt::Display for ServedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_registered { "reg" } else { "unreg" };
        match self.case {
            ServedCase::Originating => write!(f, ";sescase=orig;regstate={state}"),
            ServedCase::Terminating => write!(f, ";sescase=term;regstate={state}"),
            ServedCase::Diverting => f.write_str(";orig-cdiv"),
        }
    }
}
