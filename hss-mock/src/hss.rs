//! The HSS as a value: requests and commands in, answers, requests and records out.
//!
//! An answer that depends on a change leaves only when the store has the change ([`HssInput::Stored`]). Until then what
//! else concerns the subscription waits in line, so that every decision is made on durable state; a store that fails
//! takes the change back.

mod asked;
mod config;
mod decision;
mod served;

pub use config::HssConfig;

use crate::assignment;
use crate::command::{CommandError, CommandReport, HssCommand};
use crate::directory::{Conflict, Directory};
use crate::record::{HssRecord, read_registration, read_sqn, registration_key, sqn_key, subscriber_key};
use crate::refusal::Refusals;
use crate::registration::{Registration, Server, State};
use crate::subscriber::Subscriber;
use ambient::{Entropy, Now};
use asked::Asked;
use diameter_client::cx::{CxAnswer, CxRequest, CxResult, SupportedFeatures};
use diameter_client::endpoint::{CxFailure, Destination, RequestId};
use served::{Job, Served, Waiting};
use std::collections::{BTreeMap, VecDeque};

/// What a driver tells the HSS.
#[derive(Debug)]
pub enum HssInput {
    /// A CSCF asks.
    Request {
        /// Names the request when it is answered.
        id: RequestId,
        /// The request.
        request: CxRequest,
        /// Its Origin-Host.
        origin_host: String,
        /// Its Origin-Realm.
        origin_realm: String,
    },
    /// What became of a request of ours.
    Answer {
        /// From [`HssOutput::Request`].
        id: u64,
        /// The answer, or why there is none.
        result: Result<CxAnswer, CxFailure>,
    },
    /// An operator asks.
    Command {
        /// Names the command when it is done.
        id: u64,
        /// The command.
        command: HssCommand,
    },
    /// A batch of records is durable, or could not be made so.
    Stored {
        /// From [`HssOutput::Store`].
        batch: u64,
        /// Whether it is.
        result: Result<(), StoreFailure>,
    },
}

/// A store that did not do what it was asked; the reason is in the driver's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFailure;

/// What the HSS wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum HssOutput {
    /// Answer a CSCF.
    Answer {
        /// From [`HssInput::Request`].
        id: RequestId,
        /// The answer.
        answer: CxAnswer,
    },
    /// Ask an S-CSCF; [`HssInput::Answer`] with the same id follows, exactly once.
    Request {
        /// Names the request.
        id: u64,
        /// An RTR or a PPR.
        request: CxRequest,
        /// The S-CSCF.
        destination: Destination,
    },
    /// Make records durable, all or none; [`HssInput::Stored`] with the same number follows, exactly once.
    Store {
        /// Numbers the batch, from 1.
        batch: u64,
        /// The records.
        records: Vec<HssRecord>,
    },
    /// A command came to its end.
    Done {
        /// From [`HssInput::Command`].
        command: u64,
        /// How it ended.
        result: Result<CommandReport, CommandError>,
    },
}

/// Why an HSS cannot start with what a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Two subscriptions do not go together.
    Conflict(Conflict),
    /// The record under this key cannot be read.
    Damaged(String),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::Conflict(conflict) => conflict.fmt(f),
            LoadError::Damaged(key) => write!(f, "the record {key} cannot be read"),
        }
    }
}

impl std::error::Error for LoadError {}

/// A Cx HSS (TS 29.228).
#[derive(Debug)]
pub struct Hss {
    config: HssConfig,
    entropy: Entropy,
    directory: Directory,
    refusals: Refusals,
    served: BTreeMap<String, Served>,
    outputs: VecDeque<HssOutput>,
    batch_last: u64,
    waiting: BTreeMap<u64, Waiting>,
    asked_last: u64,
    asked: BTreeMap<u64, Asked>,
}

impl Hss {
    /// An HSS without subscribers.
    pub fn new(config: HssConfig, entropy: Entropy) -> Hss {
        Hss {
            config,
            entropy,
            directory: Directory::default(),
            refusals: Refusals::default(),
            served: BTreeMap::new(),
            outputs: VecDeque::new(),
            batch_last: 0,
            waiting: BTreeMap::new(),
            asked_last: 0,
            asked: BTreeMap::new(),
        }
    }

    /// Takes over what a store holds: subscriptions, and the records by key. Done before any other input.
    ///
    /// A subscription among the records was changed while an HSS ran: it goes before the one of its name. Dynamic records
    /// of subscriptions and identities that are gone are passed over. What can be read is taken over even when something
    /// else cannot.
    pub fn load(
        &mut self,
        subscribers: Vec<Subscriber>,
        records: Vec<(String, Vec<u8>)>,
    ) -> Result<(), LoadError> {
        let mut result = Ok(());
        for subscriber in subscribers {
            result = result.and(self.directory.add(subscriber).map_err(LoadError::Conflict));
        }
        let (changed, dynamic): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|(key, _)| key.starts_with(subscriber_key("").as_str()));
        for (key, value) in changed {
            result = result.and(self.load_subscriber(key, value));
        }
        for (key, value) in dynamic {
            result = result.and(self.load_dynamic(key, &value));
        }
        result
    }

    fn load_subscriber(&mut self, key: String, value: Vec<u8>) -> Result<(), LoadError> {
        let Some(HssRecord::Subscriber(changed)) = HssRecord::from_stored(key.clone(), Some(value)) else {
            return Err(LoadError::Damaged(key));
        };
        let listed = self.directory.remove(&changed.name);
        if listed.as_ref().is_some_and(|listed| *listed != *changed) {
            tracing::warn!(
                "a subscription was changed while the HSS ran and differs from the one it was started with"
            );
        }
        self.directory.add(*changed).map_err(|conflict| {
            if let Some(listed) = listed {
                self.directory.add(listed).expect("what was in the directory fits in again");
            }
            LoadError::Conflict(conflict)
        })
    }

    fn load_dynamic(&mut self, key: String, value: &[u8]) -> Result<(), LoadError> {
        if let Some(name) = key.strip_prefix(registration_key("").as_str()) {
            let Some(registration) = read_registration(value) else { return Err(LoadError::Damaged(key)) };
            if self.directory.get(name).is_some() {
                self.served.entry(name.to_owned()).or_default().registration = registration;
            }
        } else if let Some(impi) = key.strip_prefix(sqn_key("").as_str()) {
            let Some(sqn) = read_sqn(value) else { return Err(LoadError::Damaged(key)) };
            if let Some(name) = self.directory.owner(impi) {
                self.served.entry(name.to_owned()).or_default().continue_after(impi, sqn);
            }
        }
        Ok(())
    }

    /// The subscriptions and their identities.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The state of a public identity, and the S-CSCF on record; `None` for an identity that does not exist.
    pub fn state(&self, impu: &str) -> Option<(State, Option<&str>)> {
        let located = self.directory.locate(impu)?;
        let registration = self.registration(&located.name);
        Some(registration.map_or((State::NotRegistered, None), |registration| {
            (registration.state(located.set), registration.server_name())
        }))
    }

    /// The dynamic data of a subscription, once there is any.
    pub fn registration(&self, name: &str) -> Option<&Registration> {
        self.served.get(name).map(|served| &served.registration)
    }

    /// Handles one input to completion.
    pub fn handle(&mut self, _now: Now, input: HssInput) {
        match input {
            HssInput::Request { id, request, origin_host, origin_realm } => {
                self.request(id, request, origin_host, origin_realm);
            }
            HssInput::Answer { id, result } => self.answered(id, result),
            HssInput::Command { id, command } => self.command(id, command),
            HssInput::Stored { batch, result } => self.stored(batch, result),
        }
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<HssOutput> {
        self.outputs.pop_front()
    }

    fn request(&mut self, id: RequestId, request: CxRequest, origin_host: String, origin_realm: String) {
        let is_served_all = self.refusals.is_empty();
        let about = if is_served_all { None } else { self.owner_of(&request).ok() };
        if let Some(result) = self.refusals.take(&request, about.as_deref()) {
            return self.outputs.push_back(HssOutput::Answer { id, answer: request.refuse(result) });
        }
        match self.owner_of(&request) {
            Ok(name) => {
                let request = Box::new(request);
                self.line_up(&name, Job::Request { id, request, origin_host, origin_realm });
            }
            Err(result) => self.reply(id, &request, request.refuse(result)),
        }
    }

    /// The subscription that a request is about, or the refusal of one that no subscription can be found for.
    fn owner_of(&self, request: &CxRequest) -> Result<String, CxResult> {
        SupportedFeatures::check(features_of(request), &self.config.features)?;
        match request {
            CxRequest::Uar(uar) => Ok(self.directory.associated(&uar.user_name, &uar.public_identity)?.name),
            CxRequest::Mar(mar) => Ok(self.directory.associated(&mar.user_name, &mar.public_identity)?.name),
            CxRequest::Sar(sar) => Ok(assignment::identify(&self.directory, sar)?.name),
            CxRequest::Lir(lir) => {
                Ok(self.directory.locate(&lir.public_identity).ok_or(CxResult::USER_UNKNOWN)?.name)
            }
            CxRequest::Rtr(_) | CxRequest::Ppr(_) => Err(CxResult::COMMAND_UNSUPPORTED),
        }
    }

    /// Does a job for a subscription now, or when the store has what came before.
    fn line_up(&mut self, name: &str, job: Job) {
        let served = self.served.entry(name.to_owned()).or_default();
        if !served.is_waiting() {
            return self.run(name, job);
        }
        if let Err(job) = served.line_up(job, self.config.line_max) {
            match job {
                Job::Request { id, request, .. } => {
                    let answer = request.refuse(CxResult::TOO_BUSY);
                    self.outputs.push_back(HssOutput::Answer { id, answer });
                }
                Job::Command { id, .. } => self.done(id, Err(CommandError::TooBusy)),
                Job::Reject { .. } => unreachable!("an answer that was asked for always finds a place"),
            }
        }
    }

    fn run(&mut self, name: &str, job: Job) {
        match job {
            Job::Request { id, request, origin_host, origin_realm } => {
                let before = self.served.get(name).map(Served::snapshot).unwrap_or_default();
                let origin = (origin_host, origin_realm);
                // Asked anew: the subscription may have changed while the job waited.
                let answer = match self.owner_of(&request) {
                    Ok(owner) if owner == name => self.decide(name, &request, origin),
                    Ok(_) => request.refuse(CxResult::UNABLE_TO_COMPLY),
                    Err(result) => request.refuse(result),
                };
                let mut release = vec![self.dressed(id, &request, answer)];
                release.extend(self.new_server_assigned(name, &before));
                let refuse =
                    vec![HssOutput::Answer { id, answer: request.refuse(CxResult::UNABLE_TO_COMPLY) }];
                self.commit(name, before, Vec::new(), release, refuse);
            }
            Job::Command { id, command } => self.run_command(name, id, command),
            Job::Reject { command } => self.reject_profile(name, command),
        }
        self.forget_if_empty(name);
    }

    fn reply(&mut self, id: RequestId, request: &CxRequest, answer: CxAnswer) {
        let output = self.dressed(id, request, answer);
        self.outputs.push_back(output);
    }

    /// The answer with our features, if features were spoken of, in the manner of the personality.
    fn dressed(&self, id: RequestId, request: &CxRequest, mut answer: CxAnswer) -> HssOutput {
        if !features_of(request).is_empty() {
            let details = match &mut answer {
                CxAnswer::Uaa(uaa) => &mut uaa.details,
                CxAnswer::Saa(saa) => &mut saa.details,
                CxAnswer::Lia(lia) => &mut lia.details,
                CxAnswer::Maa(maa) => &mut maa.details,
                CxAnswer::Rta(rta) => &mut rta.details,
                CxAnswer::Ppa(ppa) => &mut ppa.details,
            };
            details.supported_features.clone_from(&self.config.features);
        }
        let answer = self.config.personality.dress(answer, &self.config.scscf_pool);
        HssOutput::Answer { id, answer }
    }

    /// Lets outputs go when the store has what changed since `before`; at once when nothing did.
    fn commit(
        &mut self,
        name: &str,
        before: Served,
        mut records: Vec<HssRecord>,
        release: Vec<HssOutput>,
        refuse: Vec<HssOutput>,
    ) {
        let Some(served) = self.served.get_mut(name) else {
            return self.outputs.extend(release);
        };
        records.extend(served.changes(name, &before));
        if records.is_empty() {
            return self.outputs.extend(release);
        }
        self.batch_last += 1;
        served.wait_for(self.batch_last);
        let undo = None;
        self.waiting
            .insert(self.batch_last, Waiting { name: name.to_owned(), before, release, refuse, undo });
        self.outputs.push_back(HssOutput::Store { batch: self.batch_last, records });
    }

    fn stored(&mut self, batch: u64, result: Result<(), StoreFailure>) {
        let Some(waiting) = self.waiting.remove(&batch) else { return };
        let line = self.served.get_mut(&waiting.name).map(Served::take_line).unwrap_or_default();
        match result {
            Ok(()) => self.outputs.extend(waiting.release),
            Err(StoreFailure) => {
                tracing::warn!(batch, "the store failed: the change is taken back");
                self.take_back(&waiting.release, waiting.undo);
                self.served.insert(waiting.name.clone(), waiting.before);
                self.outputs.extend(waiting.refuse);
            }
        }
        // What waited behind the first job that stores something goes on waiting, in its order.
        for job in line {
            self.line_up(&waiting.name, job);
        }
        self.forget_if_empty(&waiting.name);
    }

    fn forget_if_empty(&mut self, name: &str) {
        if self.directory.get(name).is_none()
            && self.served.get(name).is_some_and(|served| !served.is_waiting())
        {
            self.served.remove(name);
        }
    }

    fn done(&mut self, command: u64, result: Result<CommandReport, CommandError>) {
        self.outputs.push_back(HssOutput::Done { command, result });
    }
}

fn features_of(request: &CxRequest) -> &[SupportedFeatures] {
    match request {
        CxRequest::Uar(uar) => &uar.supported_features,
        CxRequest::Mar(mar) => &mar.supported_features,
        CxRequest::Sar(sar) => &sar.supported_features,
        CxRequest::Lir(lir) => &lir.supported_features,
        CxRequest::Rtr(rtr) => &rtr.supported_features,
        CxRequest::Ppr(ppr) => &ppr.supported_features,
    }
}

fn destination(server: &Server) -> Destination {
    Destination { realm: server.realm.clone(), host: Some(server.host.clone()) }
}
