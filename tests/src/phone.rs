//! A phone of our own on real sockets, and what a test asks of it.

use crate::loopback::Loopback;
use ambient::Entropy;
use cscf::config::Config;
use cscf::flow::{Hop, Local, Side, Transport};
use cscf::{assembly, trace};
use hss_mock::{Subscriber, csv};
use ims_aka::Usim;
use shell::{Binding, Clock, Driver, Handle, Security, Setup, Sockets, system_entropy};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use ue::{
    Answering, Command, Deregistration, Ending, Notice, Policy, RegistrationFailure, SecurityConfig, Ue,
    UeConfig,
};

/// Where a phone with security associations is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its own address.
    pub address: IpAddr,
    /// The P-CSCF, where it takes the first REGISTER.
    pub pcscf: Hop,
    /// What it offers.
    pub security: SecurityConfig,
    /// Who does its ESP.
    pub esp: Esp,
}

/// Who does ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Esp {
    /// The kernel.
    Kernel,
    /// Our own process.
    Own,
}

/// A phone that is switched on.
pub struct Phone {
    name: String,
    sip: String,
    handle: Option<Handle<Command, Notice>>,
    traced: Vec<trace::Event>,
}

impl Phone {
    /// Switches on the phone of a subscriber of the lab.
    pub fn start(name: &str, config: &Config, loopback: &Loopback) -> Phone {
        Phone::start_with(name, config, loopback, |_| {})
    }

    /// The same with a change of its policy.
    pub fn start_with(
        name: &str,
        config: &Config,
        loopback: &Loopback,
        change: impl FnOnce(&mut Policy),
    ) -> Phone {
        let subscriber = subscriber(name, config);
        let private = &subscriber.private_identities[0];
        let identities: Vec<_> = subscriber.implicit_sets[0].identities().collect();
        let sip = identities
            .iter()
            .find(|identity| !identity.is_barred && identity.identity.as_str().starts_with("sip:+"))
            .map(|identity| identity.identity.as_str().to_owned())
            .expect("a number as a SIP URI");
        let usim = Usim::new(private.credentials.algorithm().expect("a USIM"));
        let pcscf = config.pcscf.listen.first().expect("a P-CSCF");
        let hop = Hop { transport: pcscf.transport, remote: pcscf.address };
        let mut policy = Policy {
            answering: Answering::After(Duration::from_millis(200)),
            // Kamailio's registrar stores a vector only after its 401 has left.
            challenge_pause: Duration::from_millis(60),
            ..Policy::default()
        };
        change(&mut policy);
        let impu = identities[0].identity.as_str();
        let ue = UeConfig { policy, ..UeConfig::new(&private.impi, impu, config.home.domain(), usim, hop) };
        // By the name's length: all that matters is that alice and bob differ.
        let host = loopback.host(100 + name.len() as u8);
        let sockets = Sockets::bind_free(host).unwrap_or_else(|error| panic!("{error}"));
        let address = sockets.addresses()[0].address;
        let local = |transport| Local { side: Side::Access, transport, address };
        let locals = [Transport::Udp, Transport::Tcp].map(local).to_vec();
        let station = assembly::sip_station(Ue::new(ue), config, locals, None, entropy());
        let setup = Setup { trace: true, ..Setup::new(sockets, Clock::start(), entropy()) };
        let handle = Driver::spawn(name, station, setup).expect("a thread for the phone");
        Phone { name: name.to_owned(), sip, handle: Some(handle), traced: Vec::new() }
    }

    /// Switches on the phone of a subscriber at an address of its own, with its protected ports there.
    pub fn secured(name: &str, config: &Config, place: &Place) -> Phone {
        let subscriber = subscriber(name, config);
        let private = &subscriber.private_identities[0];
        let identities: Vec<_> = subscriber.implicit_sets[0].identities().collect();
        let is_number = |uri: &str| uri.starts_with("sip:+");
        let sip = identities.iter().map(|identity| identity.identity.as_str()).find(|uri| is_number(uri));
        let usim = Usim::new(private.credentials.algorithm().expect("a USIM"));
        let policy = Policy { answering: Answering::After(Duration::from_millis(200)), ..Policy::default() };
        let ue = UeConfig {
            policy,
            security: Some(place.security.clone()),
            ..UeConfig::new(
                &private.impi,
                identities[0].identity.as_str(),
                config.home.domain(),
                usim,
                place.pcscf,
            )
        };
        let local = |transport| Local {
            side: Side::Access,
            transport,
            address: SocketAddr::new(place.address, 5060),
        };
        let mut locals = [Transport::Udp, Transport::Tcp].map(local).to_vec();
        locals.extend(place.security.locals(place.address));
        let is_bound = |local: &&Local| local.side != Side::Protected || place.esp == Esp::Kernel;
        let bindings = locals.iter().filter(is_bound).map(Binding::from);
        let sockets = Sockets::bind(bindings).unwrap_or_else(|error| panic!("{error}"));
        let protected = place.security.locals(place.address).into_iter().map(|local| local.address);
        let tunnel = place.security.tunnel;
        let encapsulated = tunnel.map(|tunnel| SocketAddr::new(place.address, tunnel.port));
        let security = match place.esp {
            Esp::Kernel => Security::Xfrm { guarded: Vec::new() },
            Esp::Own => Security::Userspace {
                protected: protected.collect(),
                encapsulated: encapsulated.into_iter().collect(),
            },
        };
        let station = assembly::sip_station(Ue::new(ue), config, locals, None, entropy());
        let setup = Setup { trace: true, security, ..Setup::new(sockets, Clock::start(), entropy()) };
        let handle = Driver::spawn(name, station, setup).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sip = sip.expect("a number as a SIP URI").to_owned();
        Phone { name: name.to_owned(), sip, handle: Some(handle), traced: Vec::new() }
    }

    /// Registers, or refreshes the registration; whether it was a refresh.
    pub fn register(&mut self) -> bool {
        match self.attempt() {
            Notice::Registered { refresh, identities, .. } => {
                assert!(identities.contains(&self.sip), "{}: P-Associated-URI has {identities:?}", self.name);
                refresh
            }
            other => panic!("{} is not registered: {other:?}", self.name),
        }
    }

    /// Tries to register, and tells the status and the reason of the refusal.
    pub fn is_refused(&mut self) -> (u16, String) {
        match self.attempt() {
            Notice::RegistrationFailed(RegistrationFailure::Refused { status, reason }) => {
                (status.code(), reason)
            }
            other => panic!("{} is not refused: {other:?}", self.name),
        }
    }

    /// Tries to register; whether that went well.
    pub fn try_register(&mut self) -> bool {
        matches!(self.attempt(), Notice::Registered { .. })
    }

    fn attempt(&mut self) -> Notice {
        self.ask(Command::Register, |notice| {
            matches!(notice, Notice::Registered { .. } | Notice::RegistrationFailed(_))
        })
    }

    /// De-registers.
    pub fn deregister(&mut self) {
        let notice = self.ask(Command::Deregister, |notice| matches!(notice, Notice::Deregistered(_)));
        assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed));
    }

    /// Calls `other`, lets both talk, and hangs up.
    pub fn call(&mut self, other: &mut Phone) {
        let number = other.sip.clone();
        self.call_number(&number, other);
    }

    /// Calls `other` by this identity of theirs, lets both talk, and hangs up.
    pub fn call_number(&mut self, number: &str, other: &mut Phone) {
        self.call_and_stay(number, other);
        std::thread::sleep(TALK);
        self.hang_up(other);
    }

    /// Calls `other` by this identity of theirs, until both talk.
    pub fn call_and_stay(&mut self, number: &str, other: &mut Phone) {
        let stands = |notice: &Notice| matches!(notice, Notice::Established { .. } | Notice::Ended { .. });
        let notice = self.ask(Command::Call { to: number.to_owned(), offer: None }, stands);
        assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
        let notice = other.listen(stands);
        assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
    }

    /// Puts the other end on hold, by a re-INVITE.
    pub fn hold(&mut self) {
        let notice = self.ask(Command::Hold { call: None }, |notice| {
            matches!(notice, Notice::Changed { .. } | Notice::ChangeRefused { .. } | Notice::Ended { .. })
        });
        assert!(matches!(notice, Notice::Changed { .. }), "{}: {notice:?}", self.name);
    }

    /// Ends the call with `other`.
    pub fn hang_up(&mut self, other: &mut Phone) {
        let is_over = |notice: &Notice| matches!(notice, Notice::Ended { .. });
        let notice = self.ask(Command::Hangup { call: None }, is_over);
        assert!(matches!(notice, Notice::Ended { ending: Ending::Local, .. }), "{notice:?}");
        let notice = other.listen(is_over);
        assert!(matches!(notice, Notice::Ended { ending: Ending::Remote, .. }), "{notice:?}");
    }

    /// Calls somebody who answers, and waits until that side hangs up.
    pub fn call_until_hung_up(&mut self, to: &str) {
        let stands = |notice: &Notice| matches!(notice, Notice::Established { .. } | Notice::Ended { .. });
        let notice = self.ask(Command::Call { to: to.to_owned(), offer: None }, stands);
        assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
        let notice = self.listen(|notice| matches!(notice, Notice::Ended { .. }));
        assert!(matches!(notice, Notice::Ended { ending: Ending::Remote, .. }), "{notice:?}");
    }

    /// Calls somebody in vain, and tells the status of the refusal.
    pub fn call_refused(&mut self, to: &str) -> u16 {
        let is_over = |notice: &Notice| matches!(notice, Notice::Established { .. } | Notice::Ended { .. });
        match self.ask(Command::Call { to: to.to_owned(), offer: None }, is_over) {
            Notice::Ended { ending: Ending::Refused { status, .. }, .. } => status.code(),
            other => panic!("{} is not refused: {other:?}", self.name),
        }
    }

    /// Whom one calls to reach this phone.
    pub fn sip(&self) -> &str {
        &self.sip
    }

    /// Waits for a call, and for its end.
    pub fn is_called(&mut self) {
        let notice = self.listen(|notice| matches!(notice, Notice::Established { .. }));
        assert!(matches!(notice, Notice::Established { .. }), "{notice:?}");
        let notice = self.listen(|notice| matches!(notice, Notice::Ended { .. }));
        assert!(matches!(notice, Notice::Ended { ending: Ending::Remote, .. }), "{notice:?}");
    }

    /// Sends a text to `other`, who receives it.
    pub fn message(&mut self, other: &mut Phone, text: &str) {
        let command = Command::Message { to: other.sip.clone(), text: text.to_owned() };
        let notice = self.ask(command, |notice| {
            matches!(notice, Notice::MessageSent { .. } | Notice::MessageFailed { .. })
        });
        assert!(matches!(notice, Notice::MessageSent { .. }), "{notice:?}");
        let notice = other.listen(|notice| matches!(notice, Notice::MessageReceived { .. }));
        let Notice::MessageReceived { text: received, .. } = &notice else { panic!("{notice:?}") };
        assert_eq!(received, text);
    }

    fn ask(&mut self, command: Command, ends: impl Fn(&Notice) -> bool) -> Notice {
        let handle = self.handle.as_ref().expect("a phone that is switched on");
        // What it said before is about something else.
        while handle.notices.try_recv().is_ok() {}
        handle.command(command).expect("a phone takes commands");
        self.listen(ends)
    }

    fn listen(&mut self, ends: impl Fn(&Notice) -> bool) -> Notice {
        let until = Instant::now() + ANSWER_MAX;
        loop {
            let handle = self.handle.as_ref().expect("a phone that is switched on");
            match handle.notices.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(notice) if ends(&notice) => return notice,
                Ok(notice @ Notice::Refused { .. }) => panic!("{}: {notice:?}", self.name),
                Ok(_) => {}
                Err(_) => panic!("{} heard nothing within {ANSWER_MAX:?}", self.name),
            }
        }
    }

    /// Every message so far, in full.
    pub fn story(&mut self) -> String {
        if let Some(handle) = &self.handle {
            self.traced.extend(handle.traces.try_iter());
        }
        let mut out = format!("==== {} ====\n", self.name);
        for event in &self.traced {
            let way = if event.sent { "to" } else { "from" };
            let text = String::from_utf8_lossy(&event.bytes);
            let _ = writeln!(
                out,
                "-- {} ms, {way} {}\n{text}",
                event.at.instant.as_micros() / 1000,
                event.remote
            );
        }
        out
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story());
        }
        if let Some(handle) = self.handle.take() {
            let _ = handle.abort();
        }
    }
}

fn entropy() -> Entropy {
    system_entropy().expect("a system with randomness")
}

fn subscriber(name: &str, config: &Config) -> Subscriber {
    let file = config.hss.subscribers.as_ref().expect("the lab's subscribers");
    let text = std::fs::read_to_string(file).expect("the lab has written them");
    let import = csv::import(&text, &config.home).expect("valid subscribers");
    import
        .subscribers
        .into_iter()
        .find(|subscriber| subscriber.name == name)
        .expect("a subscriber of the lab")
}

/// How long two talk.
const TALK: Duration = Duration::from_millis(300);
/// How long an answer may take: longer than Timer F, so that a timeout is told as what it is.
const ANSWER_MAX: Duration = Duration::from_secs(40);
