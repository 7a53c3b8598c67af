//! The console of `ims dev`: the core of this process as the web console asks for it.

mod criteria;
mod feed;
mod phones;
mod privacy;
mod registered;

use crate::control::{Conversation, HSS};
use crate::core::Core;
use crate::exit::Failure;
use crate::roster::{Roster, identities};
use ::console::api::{
    CriteriaOutcome, CriteriaTry, Explanation, Function, Phone, PublicIdentity, Registrations, Setting,
    Subscriber,
};
use ::console::{Access, Console, Operator, PhoneCommand, Recording, Refusal};
use cscf::assembly::Part;
use cscf::config::{Config, Effective};
use feed::Feed;
use phones::Phones;
use recorder::Entry;
use shell::Clock;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A console that is served, and what feeds it.
pub struct Served {
    console: Console,
    desk: Arc<Desk>,
    feed: Feed,
}

/// The core as the console knows it.
struct Desk {
    config: Arc<Config>,
    roster: Roster,
    phones: Mutex<Phones>,
    is_running: AtomicBool,
}

impl Served {
    /// Serves a console of a core that runs in this process.
    pub fn start(wanted: SocketAddr, config: &Arc<Config>, clock: Clock) -> Result<Served, Failure> {
        let recording = Arc::new(Recording::new(feed::known(config)));
        let desk = Arc::new(Desk {
            config: config.clone(),
            roster: Roster::of(config)?,
            phones: Mutex::new(Phones::new(config.clone(), clock)),
            is_running: AtomicBool::new(true),
        });
        let mut random = [0; 16];
        crate::core::entropy()?.fill(&mut random);
        let access = Access::for_address(wanted, random);
        let console = Console::serve(wanted, access, recording.clone(), desk.clone())
            .map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(Served { console, desk, feed: Feed::new(config.clone(), recording) })
    }

    /// What a person opens.
    pub fn url(&self) -> String {
        self.console.url()
    }

    /// Takes what the core and the phones have told since the last time.
    pub fn look(&mut self, core: &mut Core) {
        // The core first: what it received from a phone has then been told by the phone.
        let of_core = core.take_events();
        let mut phones = self.desk.phones();
        phones.listen();
        let of_phones = phones.take_events();
        drop(phones);
        self.desk.is_running.store(!core.has_ended(), Ordering::Relaxed);
        self.feed.take(of_core, of_phones);
    }

    /// Switches the phones off, while the core still runs.
    pub fn stop(self) {
        self.desk.phones().switch_off();
    }
}

impl Desk {
    fn phones(&self) -> MutexGuard<'_, Phones> {
        self.phones.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the HSS has of a subscriber, in a few words.
    fn state(conversation: &mut Result<Conversation, Failure>, name: &str) -> String {
        let Ok(conversation) = conversation else { return "unknown: the HSS does not answer".to_owned() };
        let told = conversation.ask(HSS, &format!("show {name}")).unwrap_or_default();
        let value = |label: &str| told.iter().find_map(|line| line.strip_prefix(label)).map(str::trim);
        value("set ").unwrap_or("unknown").to_owned()
    }
}

impl Operator for Desk {
    fn network(&self) -> (String, String) {
        let plmn = self.config.home.plmn();
        (self.config.home.domain().to_owned(), format!("{}/{}", plmn.mcc(), plmn.mnc()))
    }

    fn functions(&self) -> Vec<Function> {
        let is_running = self.is_running.load(Ordering::Relaxed);
        let function = |id: &str, name: &str, addresses: Vec<String>| Function {
            id: id.to_owned(),
            name: name.to_owned(),
            addresses,
            is_running,
        };
        let of = |part: Part| {
            let locals = part.locals(&self.config).into_iter();
            locals.map(|local| format!("{}:{}", local.transport, local.address)).collect()
        };
        let mut functions = vec![
            function("pcscf", "P-CSCF", of(Part::Pcscf)),
            function("icscf", "I-CSCF", of(Part::Icscf)),
            function("scscf", "S-CSCF", of(Part::Scscf)),
            function("hss", "HSS", self.config.hss.listen.iter().map(ToString::to_string).collect()),
        ];
        if !self.config.ecscf.listen.is_empty() {
            let listens = self.config.ecscf.listen.iter();
            let addresses = listens.map(|local| format!("{}:{}", local.transport, local.address)).collect();
            functions.push(function("ecscf", "E-CSCF", addresses));
        }
        functions
    }

    fn subscribers(&self) -> Vec<Subscriber> {
        let mut conversation = Conversation::begin(&self.config, HSS, WITHIN);
        let subscribers = self.roster.subscribers().iter().take(SHOWN_MAX);
        let shown = subscribers.map(|subscriber| {
            let sets = subscriber.implicit_sets.iter().enumerate();
            let public = sets.flat_map(|(number, set)| {
                set.service_profiles.iter().flat_map(move |profile| {
                    profile.public_identities.iter().map(move |identity| PublicIdentity {
                        uri: identity.identity.clone(),
                        is_barred: identity.is_barred,
                        set: u32::try_from(number).unwrap_or(u32::MAX),
                        criteria: u32::try_from(profile.filter_criteria.len()).unwrap_or(u32::MAX),
                    })
                })
            });
            Subscriber {
                name: subscriber.name.clone(),
                imsi: subscriber.imsi.clone(),
                private_identities: subscriber
                    .private_identities
                    .iter()
                    .map(|own| own.impi.clone())
                    .collect(),
                identities: public.collect(),
                state: Desk::state(&mut conversation, &subscriber.name),
            }
        });
        let mut shown: Vec<Subscriber> = shown.collect();
        if self.config.recorder.privacy {
            shown.iter_mut().for_each(privacy::of_subscriber);
        }
        shown
    }

    fn registrations(&self) -> Result<Registrations, Refusal> {
        let mut registered = registered::of(&self.config, WITHIN)?;
        if self.config.recorder.privacy {
            registered.contacts.iter_mut().for_each(privacy::of_contact);
        }
        Ok(registered)
    }

    fn phones(&self) -> Vec<Phone> {
        let phones = Desk::phones(self);
        let subscribers = self.roster.subscribers().iter().take(PHONES_SHOWN_MAX);
        let shown = subscribers.map(|subscriber| {
            let number = identities(subscriber).find(|identity| identity.starts_with("tel:"));
            phones.shown(&subscriber.name, number.or(identities(subscriber).next()).unwrap_or_default())
        });
        let mut shown: Vec<Phone> = shown.collect();
        if self.config.recorder.privacy {
            shown.iter_mut().for_each(privacy::of_phone);
        }
        shown
    }

    fn command(&self, phone: &str, command: PhoneCommand) -> Result<(), Refusal> {
        let subscriber = self.roster.find(phone, &self.config).map_err(unknown)?;
        let dial = |to: &str| match self.roster.find(to, &self.config) {
            Ok(other) => crate::roster::dialled(to, other, &self.config).map_err(wrong),
            // Whom no file names may be somewhere else, or nobody: the network tells.
            Err(_) if to.starts_with("sip:") || to.starts_with("tel:") || to.starts_with("urn:") => {
                Ok(to.to_owned())
            }
            Err(failure) => Err(unknown(failure)),
        };
        let command = match command {
            PhoneCommand::Call { to } => ue::Command::Call { to: dial(&to)?, offer: None },
            PhoneCommand::Text { to, text } => ue::Command::Message { to: dial(&to)?, text },
            PhoneCommand::Hangup => ue::Command::Hangup { call: None },
            PhoneCommand::Register => ue::Command::Register,
            PhoneCommand::Deregister => ue::Command::Deregister,
        };
        Desk::phones(self).command(subscriber, command).map_err(failed)
    }

    fn criteria(&self, wanted: &CriteriaTry) -> Result<CriteriaOutcome, Refusal> {
        let mut tried = criteria::tried(wanted, &self.config)?;
        if self.config.recorder.privacy {
            recorder::hide_text(&mut tried.text);
        }
        Ok(tried)
    }

    fn configuration(&self) -> Vec<Setting> {
        settings(&self.config)
    }

    /// Nobody in this program explains yet.
    fn explain(&self, _: &[Entry]) -> Option<Explanation> {
        None
    }
}

/// What `print-config` prints. A key that would hold a password prints none.
fn settings(config: &Config) -> Vec<Setting> {
    let setting = |effective: &Effective| Setting {
        section: effective.section.clone(),
        key: effective.key.clone(),
        value: effective.value.clone(),
        origin: effective.origin.to_string(),
    };
    config.effective().iter().map(setting).collect()
}

fn unknown(failure: Failure) -> Refusal {
    Refusal::Unknown(failure.to_string())
}

fn wrong(failure: Failure) -> Refusal {
    Refusal::Wrong(failure.to_string())
}

fn failed(failure: Failure) -> Refusal {
    match failure {
        Failure::Usage(why) => Refusal::Wrong(why),
        other => Refusal::Failed(other.to_string()),
    }
}

/// How long one question to a function may take.
const WITHIN: Duration = Duration::from_secs(2);
/// Subscribers that are shown.
const SHOWN_MAX: usize = 500;
/// Subscribers whose phones are shown.
const PHONES_SHOWN_MAX: usize = 200;

#[cfg(test)]
mod tests;
