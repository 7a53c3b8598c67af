//! The phones of a console: switched on when they are first told something, and listened to without waiting.

use crate::arguments::Entry;
use crate::core::Tracing;
use crate::exit::Failure;
use crate::phone::Phone;
use crate::switched_on::told;
use ::console::api;
use cscf::config::Config;
use cscf::trace;
use hss_mock::Subscriber;
use shell::Clock;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ue::{Command, Deregistration, Handset, Notice};

/// Those that are on, by the names of their subscribers.
pub struct Phones {
    config: Arc<Config>,
    clock: Clock,
    on: BTreeMap<String, On>,
}

/// One that is on.
struct On {
    phone: Phone,
    state: State,
    said: VecDeque<String>,
    /// What it does once it is registered.
    next: Option<Command>,
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    Registering,
    Registered,
    Calling,
    Ringing,
    Talking,
    Failed,
}

/// Phones that are on at once: each is a thread and a socket.
const ON_MAX: usize = 32;
/// Lines that are kept of one.
const SAID_MAX: usize = 20;
/// Notices of one that are read at once.
const NOTICES_MAX: usize = 64;
/// How long all of them have to leave the network at the end.
const LEAVE: Duration = Duration::from_secs(2);

impl Phones {
    /// None is on.
    pub fn new(config: Arc<Config>, clock: Clock) -> Phones {
        Phones { config, clock, on: BTreeMap::new() }
    }

    /// Has a phone begin something; one that has to be registered for it registers first.
    pub fn command(&mut self, subscriber: &Subscriber, command: Command) -> Result<(), Failure> {
        if !self.on.contains_key(&subscriber.name) {
            if matches!(command, Command::Deregister | Command::Hangup { .. }) {
                return Err(Failure::Usage(format!("{} is switched off", subscriber.name)));
            }
            let phone = self.switch_on(subscriber)?;
            self.on.insert(subscriber.name.clone(), phone);
        }
        match self.on.get_mut(&subscriber.name) {
            Some(on) => on.begin(command),
            None => Ok(()),
        }
    }

    fn switch_on(&self, subscriber: &Subscriber) -> Result<On, Failure> {
        if self.on.len() >= ON_MAX {
            return Err(Failure::Usage(format!("{ON_MAX} phones are on; switch one off first")));
        }
        let (entry, plain) = (Entry::default(), Handset::plain());
        let phone = Phone::start(subscriber, &self.config, (&entry, plain), self.clock, Tracing::On)?;
        Ok(On { phone, state: State::Off, said: VecDeque::new(), next: None })
    }

    /// Reads what they have said.
    pub fn listen(&mut self) {
        self.on.values_mut().for_each(On::listen);
    }

    /// What each sent and received, with its name and where it listens.
    pub fn take_events(&mut self) -> Vec<(String, SocketAddr, Vec<trace::Event>)> {
        let taken =
            |(name, on): (&String, &mut On)| (name.clone(), on.phone.address(), on.phone.take_events());
        self.on.iter_mut().map(taken).collect()
    }

    /// The phone of a subscriber, whether it is on or not.
    pub fn shown(&self, name: &str, number: &str) -> api::Phone {
        let on = self.on.get(name);
        api::Phone {
            name: name.to_owned(),
            number: number.strip_prefix("tel:").unwrap_or(number).to_owned(),
            state: on.map_or(State::Off, |on| on.state).word().to_owned(),
            said: on.map(|on| on.said.iter().cloned().collect()).unwrap_or_default(),
        }
    }

    /// De-registers and switches off all of them.
    pub fn switch_off(&mut self) {
        let until = Instant::now() + LEAVE;
        for (name, mut on) in std::mem::take(&mut self.on) {
            let is_known = !matches!(on.state, State::Off | State::Failed);
            let left = if is_known { on.phone.deregister(until) } else { Ok(()) };
            if let Err(failure) = left.and_then(|()| on.phone.stop().map(drop)) {
                tracing::info!(name, %failure, "a phone of the console was switched off");
            }
        }
    }
}

impl On {
    fn begin(&mut self, command: Command) -> Result<(), Failure> {
        let needs_registration = matches!(command, Command::Call { .. } | Command::Message { .. });
        match (&command, self.state) {
            (_, State::Off | State::Failed) if needs_registration => {
                self.next = Some(command);
                self.state = State::Registering;
                return self.phone.command(Command::Register);
            }
            (_, State::Registering) if needs_registration => {
                self.next = Some(command);
                return Ok(());
            }
            (Command::Register, _) => self.state = State::Registering,
            _ => {}
        }
        self.phone.command(command)
    }

    fn listen(&mut self) {
        for _ in 0..NOTICES_MAX {
            let Some(notice) = self.phone.next(Duration::ZERO) else { break };
            self.state = self.state.after(&notice);
            if self.said.len() == SAID_MAX {
                self.said.pop_front();
            }
            self.said.push_back(told(self.phone.name(), &notice));
            if !matches!(notice, Notice::Registered { .. }) {
                continue;
            }
            if let Some(Err(failure)) = self.next.take().map(|next| self.phone.command(next)) {
                self.said.push_back(failure.to_string());
            }
        }
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Off => "off",
            State::Registering => "registering",
            State::Registered => "registered",
            State::Calling => "calling",
            State::Ringing => "ringing",
            State::Talking => "talking",
            State::Failed => "failed",
        }
    }

    fn after(self, notice: &Notice) -> State {
        match notice {
            Notice::Registered { refresh: false, .. } => State::Registered,
            Notice::RegistrationFailed(_) => State::Failed,
            Notice::Deregistered(Deregistration::Expired | Deregistration::ByNetwork) => State::Failed,
            Notice::Deregistered(_) => State::Off,
            Notice::Calling { .. } => State::Calling,
            Notice::IncomingCall { .. } => State::Ringing,
            Notice::Established { .. } => State::Talking,
            Notice::Ended { .. } => State::Registered,
            _ => self,
        }
    }
}
