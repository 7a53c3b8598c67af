//! Commands, and the requests to S-CSCFs that come of them.

use super::served::{Job, Served, Undo};
use super::{Hss, HssOutput, destination};
use crate::command::{CommandError, CommandReport, HssCommand, Shown, ShownSet};
use crate::deregistration::{self, Scope};
use crate::profile::{self, SharedSupport};
use crate::push::Push;
use crate::record::HssRecord;
use crate::registration::{Server, SetRegistration};
use crate::sequence::Sequence;
use crate::subscriber::Subscriber;
use diameter_client::cx::{CxAnswer, CxRequest, CxResult, DeregistrationReason, ReasonCode, Rtr};
use diameter_client::endpoint::CxFailure;

/// A request of ours that waits for its answer.
#[derive(Debug)]
pub enum Asked {
    /// An RTR, and the command that it came of; none for one of the HSS's own accord.
    Deregistration { command: Option<u64> },
    /// A PPR.
    Push { command: u64, name: String, push: Push },
}

impl Hss {
    pub(super) fn command(&mut self, id: u64, command: HssCommand) {
        let name = match &command {
            HssCommand::Refuse(refusal) => {
                let is_taken = self.refusals.add(refusal.clone());
                let result = if is_taken { Ok(CommandReport::Done) } else { Err(CommandError::TooBusy) };
                return self.done(id, result);
            }
            HssCommand::ClearRefusals => {
                self.refusals.clear();
                return self.done(id, Ok(CommandReport::Done));
            }
            HssCommand::ListSubscribers => {
                let names = self.directory.iter().map(|subscriber| subscriber.name.clone()).collect();
                return self.done(id, Ok(CommandReport::Listed(names)));
            }
            HssCommand::AddSubscriber(subscriber) | HssCommand::PutSubscriber(subscriber) => {
                Some(subscriber.name.clone())
            }
            HssCommand::ReplaceSubscriber(subscriber) => {
                self.directory.get(&subscriber.name).map(|known| known.name.clone())
            }
            HssCommand::RemoveSubscriber { target }
            | HssCommand::Deregister { target, .. }
            | HssCommand::PushProfile { target }
            | HssCommand::Show { target } => {
                self.directory.find(target).map(|subscriber| subscriber.name.clone())
            }
            HssCommand::SetSqn { impi, .. } => self.directory.owner(impi).map(str::to_owned),
        };
        match name {
            Some(name) => self.line_up(&name, Job::Command { id, command }),
            None => self.done(id, Err(CommandError::Unknown)),
        }
    }

    pub(super) fn run_command(&mut self, name: &str, id: u64, command: HssCommand) {
        match command {
            HssCommand::AddSubscriber(subscriber) => self.add(name, id, *subscriber),
            HssCommand::ReplaceSubscriber(subscriber) => self.replace(name, id, *subscriber),
            HssCommand::PutSubscriber(subscriber) => match self.directory.get(name) {
                None => self.add(name, id, *subscriber),
                Some(known) if known == &*subscriber => self.done(id, Ok(CommandReport::Unchanged)),
                Some(_) => self.replace(name, id, *subscriber),
            },
            HssCommand::RemoveSubscriber { .. } => self.remove(name, id),
            HssCommand::Deregister { target, reason, info } => {
                let reason = DeregistrationReason { code: reason, info };
                let scope = self.scope(name, &target);
                self.deregister(name, id, &scope, reason);
            }
            HssCommand::PushProfile { .. } => self.push(name, id),
            HssCommand::SetSqn { impi, sqn } => {
                let before = self.snapshot(name);
                if let Some(served) = self.served.get_mut(name) {
                    served.sequences.insert(impi, Sequence::after(sqn));
                }
                self.commit_command(name, id, before, Vec::new(), Vec::new(), None);
            }
            HssCommand::Show { .. } => {
                let shown = self.show(name).map(|shown| CommandReport::Shown(Box::new(shown)));
                self.done(id, shown.ok_or(CommandError::Unknown));
            }
            HssCommand::Refuse(_) | HssCommand::ClearRefusals | HssCommand::ListSubscribers => {
                unreachable!("what concerns no single subscription is done at once")
            }
        }
    }

    fn show(&self, name: &str) -> Option<Shown> {
        let subscriber = self.directory.get(name)?;
        let served = self.served.get(name);
        let registration = served.map(|served| &served.registration);
        let private_identities = subscriber.private_identities.iter().map(|identity| {
            let sequence = served.and_then(|served| served.sequences.get(&identity.impi));
            (identity.impi.clone(), sequence.map_or(identity.sqn, Sequence::last))
        });
        let sets = subscriber.implicit_sets.iter().enumerate().map(|(position, set)| {
            let record = registration.and_then(|registration| registration.sets.get(&position));
            ShownSet {
                state: record.map(SetRegistration::state).unwrap_or_default(),
                registered: record.map(|set| set.registered.keys().cloned().collect()).unwrap_or_default(),
                identities: set.identities().map(|impu| (impu.identity.clone(), impu.is_barred)).collect(),
            }
        });
        Some(Shown {
            name: subscriber.name.clone(),
            imsi: subscriber.imsi.clone(),
            server_name: registration.and_then(|registration| registration.server_name()).map(str::to_owned),
            private_identities: private_identities.collect(),
            sets: sets.collect(),
        })
    }

    fn add(&mut self, name: &str, id: u64, subscriber: Subscriber) {
        let record = HssRecord::Subscriber(Box::new(subscriber.clone()));
        match self.directory.add(subscriber) {
            Ok(()) => {
                let before = self.snapshot(name);
                let undo = Undo::Remove(name.to_owned());
                self.commit_command(name, id, before, vec![record], Vec::new(), Some(undo));
            }
            Err(conflict) => {
                self.forget_if_empty(name);
                self.done(id, Err(CommandError::Conflict(conflict)));
            }
        }
    }

    fn replace(&mut self, name: &str, id: u64, subscriber: Subscriber) {
        let Some(known) = self.directory.remove(name) else {
            return self.done(id, Err(CommandError::Unknown));
        };
        let record = HssRecord::Subscriber(Box::new(subscriber.clone()));
        if let Err(conflict) = self.directory.add(subscriber) {
            self.directory.add(known).expect("what was in the directory fits in again");
            return self.done(id, Err(CommandError::Conflict(conflict)));
        }
        let before = self.snapshot(name);
        self.drop_what_is_gone(name);
        self.commit_command(name, id, before, vec![record], Vec::new(), Some(Undo::Restore(Box::new(known))));
    }

    /// Forgets registrations of private identities and sets that the new version of a subscription has not.
    fn drop_what_is_gone(&mut self, name: &str) {
        let (Some(subscriber), Some(served)) = (self.directory.get(name), self.served.get_mut(name)) else {
            return;
        };
        let has = |impi: &String| subscriber.private_identity(impi).is_some();
        served.sequences.retain(|impi, _| has(impi));
        served.registration.sets.retain(|position, _| *position < subscriber.implicit_sets.len());
        for set in served.registration.sets.values_mut() {
            set.registered.retain(|impi, _| has(impi));
            set.pending.retain(has);
        }
        served.registration.tidy();
    }

    fn remove(&mut self, name: &str, id: u64) {
        let before = self.snapshot(name);
        let told = self.terminate(name, &Scope::Subscription, DeregistrationReason::default());
        let Some(known) = self.directory.remove(name) else {
            return self.done(id, Err(CommandError::Unknown));
        };
        if let Some(served) = self.served.get_mut(name) {
            *served = Served::default();
        }
        let records = vec![HssRecord::RemoveSubscriber(name.to_owned())];
        let told = told.map(|(rtr, server)| self.ask(Some(id), rtr, &server)).into_iter().collect();
        self.commit_command(name, id, before, records, told, Some(Undo::Restore(Box::new(known))));
    }

    fn deregister(&mut self, name: &str, id: u64, scope: &Scope, reason: DeregistrationReason) {
        let before = self.snapshot(name);
        match self.terminate(name, scope, reason) {
            Some((rtr, server)) => {
                let request = self.ask(Some(id), rtr, &server);
                self.commit_command(name, id, before, Vec::new(), vec![request], None);
            }
            None => {
                let done = HssOutput::Done { command: id, result: Ok(CommandReport::NotServed) };
                self.commit(name, before, Vec::new(), vec![done], vec![not_stored(id)]);
            }
        }
    }

    fn terminate(
        &mut self,
        name: &str,
        scope: &Scope,
        reason: DeregistrationReason,
    ) -> Option<(Rtr, Server)> {
        let (subscriber, served) = (self.directory.get(name)?, self.served.get_mut(name)?);
        deregistration::begin(subscriber, &mut served.registration, scope, reason)
    }

    fn scope(&self, name: &str, target: &str) -> Scope {
        if target == name {
            Scope::Subscription
        } else if self.directory.owner(target).is_some() {
            Scope::Impi(target.to_owned())
        } else {
            self.directory.locate(target).map_or(Scope::Subscription, |located| Scope::Set(located.set))
        }
    }

    fn push(&mut self, name: &str, id: u64) {
        let (Some(subscriber), Some(served)) = (self.directory.get(name), self.served.get(name)) else {
            return self.done(id, Err(CommandError::Unknown));
        };
        let push = Push::new(subscriber, &served.registration);
        self.push_on(id, name.to_owned(), push, CommandReport::NotServed);
    }

    /// Sends the next PPR, or ends the command with `report`.
    fn push_on(&mut self, command: u64, name: String, push: Push, report: CommandReport) {
        let subscriber = self.directory.get(&name);
        let server = self.served.get(&name).and_then(|served| served.registration.server.as_ref());
        let shared = &self.config.shared_ifc;
        let request = subscriber.zip(server).and_then(|(subscriber, server)| {
            // What the S-CSCF can do is not remembered from its SAR: written out, every one understands it.
            let user_data = |position: usize, impi: &str| {
                subscriber.implicit_sets.get(position).map_or_else(Vec::new, |set| {
                    profile::user_data(subscriber, set, impi, shared, SharedSupport::WrittenOut)
                })
            };
            Some((push.request(subscriber, &user_data)?, destination(server)))
        });
        let Some((ppr, destination)) = request else {
            return self.done(command, Ok(report));
        };
        self.asked_last += 1;
        self.asked.insert(self.asked_last, Asked::Push { command, name, push });
        let request = CxRequest::Ppr(ppr);
        self.outputs.push_back(HssOutput::Request { id: self.asked_last, request, destination });
    }

    pub(super) fn answered(&mut self, id: u64, result: Result<CxAnswer, CxFailure>) {
        match self.asked.remove(&id) {
            Some(Asked::Deregistration { command: Some(command) }) => {
                let result = result.map(|answer| CommandReport::Answered(answer.result()));
                self.done(command, result.map_err(CommandError::NotTold));
            }
            Some(Asked::Push { command, name, mut push }) => match result {
                Ok(answer) => {
                    let result = answer.result();
                    if result == CxResult::TOO_MUCH_DATA || result == CxResult::NOT_SUPPORTED_USER_DATA {
                        return self.line_up(&name, Job::Reject { command });
                    }
                    if result == CxResult::USER_UNKNOWN {
                        push.next_impi();
                    } else {
                        push.next_set();
                    }
                    self.push_on(command, name, push, CommandReport::Answered(result));
                }
                Err(failure) => self.done(command, Err(CommandError::NotTold(failure))),
            },
            Some(Asked::Deregistration { command: None }) | None => {}
        }
    }

    /// TS 29.228 §6.2.2: the S-CSCF cannot hold the profile, so the user has to register at another.
    pub(super) fn reject_profile(&mut self, name: &str, command: u64) {
        let reason = DeregistrationReason { code: ReasonCode::ServerChange, info: None };
        self.deregister(name, command, &Scope::Subscription, reason);
    }

    /// The RTR to the S-CSCF that another has just taken a served subscription from (TS 29.228 §8.1.1).
    pub(super) fn new_server_assigned(&mut self, name: &str, before: &Served) -> Option<HssOutput> {
        let server = self.served.get(name)?.registration.server.as_ref()?;
        let is_new = before.registration.server.as_ref().is_some_and(|old| old.host != server.host);
        if !is_new {
            return None;
        }
        let mut registration = before.registration.clone();
        let reason = DeregistrationReason { code: ReasonCode::NewServerAssigned, info: None };
        let subscriber = self.directory.get(name)?;
        let (rtr, old) = deregistration::begin(subscriber, &mut registration, &Scope::Subscription, reason)?;
        Some(self.ask(None, rtr, &old))
    }

    fn ask(&mut self, command: Option<u64>, rtr: Rtr, server: &Server) -> HssOutput {
        self.asked_last += 1;
        self.asked.insert(self.asked_last, Asked::Deregistration { command });
        HssOutput::Request {
            id: self.asked_last,
            request: CxRequest::Rtr(rtr),
            destination: destination(server),
        }
    }

    /// As [`Hss::commit`], for a command: it is done with the requests' answers, or with the store when there are none.
    fn commit_command(
        &mut self,
        name: &str,
        id: u64,
        before: Served,
        records: Vec<HssRecord>,
        mut release: Vec<HssOutput>,
        undo: Option<Undo>,
    ) {
        if release.is_empty() {
            release.push(HssOutput::Done { command: id, result: Ok(CommandReport::Done) });
        }
        self.commit(name, before, records, release, vec![not_stored(id)]);
        if let Some(waiting) = self.waiting.get_mut(&self.batch_last)
            && waiting.name == name
        {
            waiting.undo = undo;
        }
    }

    /// Takes back what a failed store leaves behind outside the subscription's own data.
    pub(super) fn take_back(&mut self, release: &[HssOutput], undo: Option<Undo>) {
        for output in release {
            if let HssOutput::Request { id, .. } = output {
                self.asked.remove(id);
            }
        }
        match undo {
            Some(Undo::Remove(name)) => {
                self.directory.remove(&name);
            }
            Some(Undo::Restore(known)) => {
                self.directory.remove(&known.name);
                // An identity that was free for a moment may belong to another subscription since.
                if let Err(conflict) = self.directory.add(*known) {
                    tracing::error!(
                        reason = conflict.reason(),
                        "a subscription that could not be changed is lost"
                    );
                }
            }
            None => {}
        }
    }

    fn snapshot(&self, name: &str) -> Served {
        self.served.get(name).map(Served::snapshot).unwrap_or_default()
    }
}

fn not_stored(command: u64) -> HssOutput {
    HssOutput::Done { command, result: Err(CommandError::NotStored) }
}
