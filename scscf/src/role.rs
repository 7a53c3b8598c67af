//! The S-CSCF as a role: which hook leads where.

use crate::criteria::SharedSets;
use crate::reg_event::{self, EXPIRES_DEFAULT_S as SUBSCRIPTION_DEFAULT_S, Subscriptions};
use crate::registrar::authentication::Authentications;
use crate::registrar::expiry::Bounds;
use crate::registrar::gruu::NameSpace;
use crate::registrar::listing;
use crate::registrar::record;
use crate::registrar::registration::{self, Answerable, Forgotten, Policy};
use crate::registrar::registrations::Registrations;
use crate::sessions::Data;
use crate::sessions::chain::Chains;
use crate::sessions::dialog::Sessions;
use crate::sessions::left_out::LeftOut;
use crate::sessions::token::OwnName;
use crate::waiting::{Command, Notice, Timer, Waiting};
use ambient::Now;
use cscf::bucket::TokenKey;
use cscf::config::{Config, ConfigError, Reauthenticate};
use cscf::flow::Trust;
use cscf::gruu::Mark;
use cscf::metrics::{Case, Gauge, Holding};
use cscf::node::ClientId;
use cscf::query::{Query, Record};
use cscf::role::Outcome;
use cscf::{Answer, Branch, Event, Failure, Incoming, Next, Reject, Role, Turn, emergency, priority};

use diameter_client::cx::{CxAnswer, CxRequest};
use diameter_client::endpoint::{CxFailure, RequestId};
use sip_core::{Message, Method, Status};
use std::sync::Arc;
use std::time::Duration;

/// The S-CSCF.
#[derive(Debug)]
pub struct Scscf {
    pub(crate) config: Arc<Config>,
    pub(crate) own_name: OwnName,
    pub(crate) bounds: Bounds,
    pub(crate) emergency_bounds: Bounds,
    pub(crate) gruu_space: NameSpace,
    pub(crate) gruu_mark: Mark,
    pub(crate) policy: Policy,
    pub(crate) registrations: Registrations,
    pub(crate) authentications: Authentications,
    pub(crate) sessions: Sessions,
    pub(crate) subscription_bounds: Bounds,
    pub(crate) subscriptions: Subscriptions,
    /// REGISTERs to application servers that are out.
    pub(crate) third_party_open: usize,
    pub(crate) chains: Chains,
    pub(crate) left_out: LeftOut,
}

/// How long until a record that could not be stored is written again.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Scscf {
    /// An S-CSCF without users.
    pub fn new(config: Arc<Config>) -> Scscf {
        let section = &config.scscf;
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let bounds = Bounds {
            min_s: seconds(section.expires_min),
            default_s: seconds(section.expires_default),
            max_s: seconds(section.expires_max),
        };
        let emergency_s = seconds(section.emergency_expires);
        let emergency_bounds = Bounds { min_s: 1, default_s: emergency_s, max_s: emergency_s };
        let policy = Policy {
            reauthenticate: match section.reauthenticate {
                Reauthenticate::Always => registration::Reauthenticate::Always,
                Reauthenticate::Unprotected => registration::Reauthenticate::Unprotected,
                Reauthenticate::Never => registration::Reauthenticate::Never,
            },
            answerable: match section.require_integrity {
                true => Answerable::OverGm,
                false => Answerable::InTheClear,
            },
            forgotten: match section.restoration {
                true => Forgotten::Challenged,
                false => Forgotten::Refused,
            },
        };
        let shared_sets = SharedSets::configured(&config).unwrap_or_else(|error| {
            tracing::error!(%error, "the filter criteria of the configuration are left out");
            SharedSets::default()
        });
        let subscription_bounds = Bounds {
            min_s: seconds(section.subscription_min),
            default_s: SUBSCRIPTION_DEFAULT_S,
            max_s: seconds(section.subscription_max),
        };
        Scscf {
            bounds,
            emergency_bounds,
            gruu_space: NameSpace::of(config.home.domain()),
            gruu_mark: Mark::of(&config.scscf.uri),
            policy,
            registrations: Registrations::new(shared_sets),
            authentications: Authentications::default(),
            sessions: Sessions::default(),
            subscription_bounds,
            subscriptions: Subscriptions::default(),
            third_party_open: 0,
            chains: Chains::default(),
            left_out: LeftOut::default(),
            own_name: OwnName::of(&config.scscf.uri),
            config,
        }
    }

    /// The registrations, for an operator and for checks.
    pub fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    /// The sessions, for an operator and for checks.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The subscriptions to registrations, for an operator and for checks.
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// The visits to application servers under way, for an operator and for checks.
    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    /// The application servers that are left out, for an operator and for checks.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// The authentications under way, for an operator and for checks.
    pub fn authentications(&self) -> &Authentications {
        &self.authentications
    }
}

impl Role for Scscf {
    type Waiting = Waiting;
    type Timer = Timer;
    type Data = Data;
    type Command = Command;
    type Notice = Notice;

    const NAME: &'static str = "scscf";
    const COUNTS_TRAFFIC: bool = true;

    fn gauges(&self) -> Vec<Gauge> {
        vec![
            Gauge::new(Holding::Registrations, "kept", self.registrations.len()),
            Gauge::new(Holding::Dialogs, "remembered", self.sessions.len()),
            Gauge::new(Holding::Subscriptions, "served", self.subscriptions.len()),
        ]
    }

    fn case(data: &Data) -> Case {
        data.case()
    }

    fn is_emergency(&self, _: &TokenKey, trust: Trust, request: &Message) -> bool {
        emergency::service(request.uri()).is_some()
            || emergency::is_registration(request)
            || priority::is_granted(&self.config.limits.priority_namespaces, trust, request)
    }

    fn check(config: &Config) -> Result<(), ConfigError> {
        SharedSets::configured(config).map(|_| ())
    }

    fn request(&mut self, turn: &mut Turn<'_, Self>, request: &Incoming) -> Result<(), Reject> {
        let method = request.message.method();
        if request.source.trust == Trust::Outside {
            // Whoever goes round the P-CSCF has nobody who vouches for him.
            self.warn_of_outside_server(turn, request);
            return match method {
                _ if self.is_within_session(turn, request) => self.serve(turn, request),
                Method::Ack => Ok(()),
                _ => Err(Reject::new(Status::FORBIDDEN, "not from the trust domain")),
            };
        }
        match method {
            Method::Register => self.register(turn, request),
            _ => self.serve(turn, request),
        }
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: Option<&Incoming>,
        waiting: Waiting,
        answer: Answer,
    ) -> Result<(), Reject> {
        match (waiting, answer, request) {
            (Waiting::Maa { register, scheme }, Answer::Cx(answer), Some(request)) => {
                self.vectors_came(turn, request, register, scheme, unboxed(answer))
            }
            (Waiting::Saa { register, asked, authentication_info }, Answer::Cx(answer), Some(_)) => {
                self.assigned(turn, register, asked, authentication_info, unboxed(answer))
            }
            (Waiting::Released { register, authentication_info }, Answer::Cx(answer), Some(request)) => {
                self.released(turn, request, register, authentication_info, unboxed(answer))
            }
            (
                Waiting::Stored { register, id, created, heard, authentication_info },
                Answer::Stored(stored),
                Some(request),
            ) => self.stored(
                turn,
                request,
                register,
                (id, &created, heard),
                authentication_info.as_deref(),
                stored,
            ),
            (Waiting::Profile { served, asked }, Answer::Cx(answer), Some(request)) => {
                self.profile_came(turn, request, served, asked, unboxed(answer))
            }
            (Waiting::Number { served }, Answer::Naptr(records), Some(request)) => {
                self.number_came(turn, request, served, records)
            }
            (Waiting::StoredForPeer { id, answer, refusal }, Answer::Stored(stored), _) => {
                turn.answer_peer(id, if stored.is_ok() { *answer } else { *refusal });
                Ok(())
            }
            (Waiting::StoredAlone { records }, Answer::Stored(Err(failure)), _) => {
                tracing::warn!(%failure, "a registration could not be stored; trying again");
                turn.arm(STORE_AGAIN_AFTER, Timer::StoreAgain(records), "store again");
                Ok(())
            }
            (Waiting::Subscribed { id, expires_s }, Answer::Stored(stored), request) => {
                self.subscription_stored(turn, request, (id, expires_s), stored)
            }
            (Waiting::PcscfGone { id, impi }, Answer::Cx(answer), _) => {
                self.pcscf_restoration_begun(turn, id, &impi, &unboxed(answer));
                Ok(())
            }
            (Waiting::Told { asked }, Answer::Cx(answer), _) => {
                self.told(turn, asked, &unboxed(answer));
                Ok(())
            }
            // The request is over: its client went away, and nobody waits for an answer.
            (_, _, _) => {
                turn.count("dropped", "answer that nobody waits for");
                Ok(())
            }
        }
    }

    fn response(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        branch: Branch,
        response: &Incoming,
    ) {
        self.answered(turn, request, branch, response);
    }

    fn failed(
        &mut self,
        turn: &mut Turn<'_, Self>,
        request: &Incoming,
        branch: Branch,
        failure: Failure<'_>,
    ) -> Result<Next, Reject> {
        if self.visit_failed(turn, request, &failure)? == Next::Handled {
            return Ok(Next::Handled);
        }
        if self.depart_again(turn, request, &failure)? == Next::Handled {
            return Ok(Next::Handled);
        }
        let is_pcscf_gone = self.is_pcscf_gone(turn, branch.number, &failure);
        let status = match failure {
            Failure::Response(response) => response.status(),
            Failure::Timeout { .. } | Failure::Unreachable(_) => None,
        };
        self.branch_failed(turn, request, branch.number, status)?;
        match is_pcscf_gone && turn.data().is_over() {
            // Whatever the P-CSCF says, the user exists.
            true => Err(Reject::new(Status::TEMPORARILY_UNAVAILABLE, "p-cscf of the user is gone")),
            false => Ok(Next::Collect),
        }
    }

    fn cancelled(&mut self, turn: &mut Turn<'_, Self>, _request: &Incoming) {
        turn.data().stop();
    }

    fn originated(
        &mut self,
        turn: &mut Turn<'_, Self>,
        _client: ClientId,
        waiting: &mut Waiting,
        outcome: Outcome<'_>,
    ) {
        match waiting {
            Waiting::ThirdParty(asked) => self.server_answered(turn, *asked, &outcome),
            Waiting::Notify(id) => self.notified(turn, *id, &outcome),
            Waiting::LeftOut(uri) => self.left_out_answered(turn, uri, &outcome),
            // A BYE of ours: whatever comes of it, the session is gone here.
            _ => tracing::debug!(?waiting, ?outcome, "released"),
        }
    }

    fn peer_request(&mut self, turn: &mut Turn<'_, Self>, id: RequestId, request: CxRequest) {
        self.hss_asks(turn, id, request);
    }

    fn event(&mut self, turn: &mut Turn<'_, Self>, event: Event<Self>) {
        match event {
            Event::Restored(records) => self.restored(turn, &records),
            Event::Command(Command::Deregister { impu }) => self.deregister(turn, &impu),
            Event::Command(Command::Reauthenticate { impu, within }) => {
                self.reauthenticate(turn, &impu, within);
            }
            Event::Command(Command::List) => {
                turn.notice(Notice::Listed { lines: listing::lines(&self.registrations, turn.now()) });
            }
            Event::FlowLost(_) | Event::Draining => {}
        }
    }

    fn timer(&mut self, turn: &mut Turn<'_, Self>, timer: Timer) {
        match timer {
            Timer::RegAwaitAuth(impi) => self.nobody_answered(turn, &impi),
            Timer::Expiry(id) => self.lapsed(turn, id),
            Timer::Session(id) => self.session_lapsed(turn, id),
            Timer::Subscription(id) => self.time_out(turn, id),
            Timer::Resume(id) => self.notify(turn, id),
            Timer::Chain(id) => self.chain_lapsed(id),
            Timer::LeftOut(uri) => self.ask_left_out(turn, &uri),
            Timer::StoreAgain(failed) => {
                let now = Now { instant: turn.now(), wall: turn.wall() };
                let anew = |failed: &Record| match reg_event::record::named(&failed.key) {
                    Some(id) => self.subscription_record_anew(turn, id),
                    None => record::anew(failed, &self.registrations, now),
                };
                let records: Vec<_> = failed.iter().map(anew).collect();
                turn.query(Query::Store(records.clone()), Waiting::StoredAlone { records });
            }
        }
    }
}

fn unboxed(answer: Result<Box<CxAnswer>, CxFailure>) -> Result<CxAnswer, CxFailure> {
    answer.map(|answer| *answer)
}
