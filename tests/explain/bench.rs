//! A core in this process on real sockets, as a fault left it, and its phones.

use crate::running::{Recording, Running, Shared};
use crate::setup::{NAMES, Setup, Who};
use crate::standin;
use ambient::Entropy;
use carillon_tests::kamailio;
use carillon_tests::lab::{self, DOMAIN};
use carillon_tests::process::Process;
use cscf::assembly::{self, Part};
use cscf::config::Config;
use cscf::flow::{Hop, Local, Side, Transport};
use cscf::node::Node as CscfNode;
use cscf::query::{Record, StoreFailure};
use cscf::station::Station;
use diameter_client::endpoint::{Endpoint, EndpointConfig};
use ecscf::Ecscf;
use hss_mock::{Hss, HssCommand, HssConfig, HssNotice, HssStation, Refusal};
use icscf::Icscf;
use ims_aka::Usim;
use pcscf::Pcscf;
use recorder::{Entry, Mode, Rule, What};
use scscf::Scscf;
use shell::driver::Operator;
use shell::{
    Acknowledge, Backend, Binding, Clock, Driver, Security, Sockets, Store, process, system_entropy,
};
use sim::ApplicationServer;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use ue::psap::Psap;
use ue::{Answering, Command, Notice, Policy, SecurityConfig, Ue, UeConfig};

/// A running core, and its phones.
pub struct Bench {
    setup: Setup,
    clock: Clock,
    /// Of each machine that ran.
    recordings: Vec<Recording>,
    hss: Option<Operator<HssCommand, HssNotice>>,
    /// The phones that are on, and the places of their recordings.
    phones: BTreeMap<String, (usize, Shared<Command, Notice>)>,
    kamailio: Option<Kamailio>,
}

/// Kamailio in the place of a CSCF, and its folder.
struct Kamailio {
    _process: Process,
    _folder: TempDir,
}

impl Bench {
    /// Starts the core.
    pub fn start(mut setup: Setup) -> Bench {
        let clock = Clock::start();
        let mut recordings = Vec::new();
        let mut hss_operator = None;
        let hss_config = setup.config(Who::Hss);
        let hss_address = hss_config.hss.listen[0].address;
        if setup.hss_is_silent {
            let stand_in = standin::silent_hss(hss_address, &hss_config.hss.host, hss_config.home.domain());
            setup.stand_ins.push(stand_in);
        } else if !setup.missing.contains(&Who::Hss) {
            let mut hss = Hss::new(
                HssConfig { scscf_pool: hss_config.scscf.uri.clone(), ..HssConfig::default() },
                entropy(),
            );
            hss.load(setup.subscribers.clone(), Default::default()).unwrap_or_else(|error| panic!("{error}"));
            let endpoint = EndpointConfig {
                origin_realm: hss_config.hss.realm.clone(),
                accept_unknown_peers: hss_config.hss.accept_unknown_peers,
                ..assembly::endpoint_config(&hss_config, &hss_config.hss.host, vec![hss_address.ip()])
            };
            let station = HssStation::new(hss, Endpoint::new(endpoint, entropy()));
            let bindings = hss_config.hss.listen.iter().map(Binding::from);
            let sockets = Sockets::bind(bindings).unwrap_or_else(|error| panic!("{error}"));
            let driven = shell::Setup::new(sockets, clock, entropy());
            let mut handle = Driver::spawn("hss", station, driven).unwrap_or_else(|error| panic!("{error}"));
            hss_operator = Some(handle.operator());
            recordings.push(Recording::of(Running::of(handle).0));
        }
        let mut bench =
            Bench { setup, clock, recordings, hss: hss_operator, phones: BTreeMap::new(), kamailio: None };
        bench.start_part(Who::Scscf);
        bench.start_part(Who::Icscf);
        bench.start_part(Who::Pcscf);
        bench.start_others();
        bench.wait_for_diameter();
        bench
    }

    fn start_part(&mut self, who: Who) {
        if self.setup.missing.contains(&who) {
            return;
        }
        if self.setup.kamailio == Some(who) {
            return self.start_kamailio(who);
        }
        let config = Arc::new(self.setup.config(who));
        match who {
            Who::Pcscf => self.spawn(who, Part::Pcscf, &config, Pcscf::new(config.clone())),
            Who::Icscf => self.spawn(who, Part::Icscf, &config, Icscf::new(config.clone())),
            Who::Scscf => self.spawn(who, Part::Scscf, &config, Scscf::new(config.clone())),
            Who::Ecscf | Who::Hss => {}
        }
    }

    fn start_kamailio(&mut self, who: Who) {
        let listens = |part| self.setup.address(part);
        let part = match who {
            Who::Pcscf => lab::Part::Pcscf,
            Who::Icscf => lab::Part::Icscf,
            Who::Scscf | Who::Ecscf | Who::Hss => lab::Part::Scscf,
        };
        let folder = tempfile::tempdir().expect("a scratch folder");
        let mut process = kamailio::start_cscf(part, &|part| listens(part).ip(), folder.path());
        process.wait_for_port(listens(part), START_MAX);
        self.kamailio = Some(Kamailio { _process: process, _folder: folder });
    }

    fn spawn<R>(&mut self, who: Who, part: Part, config: &Config, role: R)
    where
        R: cscf::Role + Send + 'static,
        CscfNode<R>: Send,
        R::Command: Clone + Send + 'static,
        R::Notice: Send + 'static,
    {
        let station = assembly::station(part, role, config, entropy());
        let bindings = process::bindings(part, config);
        let sockets = Sockets::bind(bindings).unwrap_or_else(|error| panic!("{error}"));
        let security = process::security(part, config).unwrap_or_else(|error| panic!("{error}"));
        let store = match self.setup.broken_store.contains(&who) {
            true => Store::backend(Broken),
            false => Store::memory(),
        };
        let driven = shell::Setup {
            security,
            store,
            dns: config.dns.clone(),
            ..shell::Setup::new(sockets, self.clock, entropy())
        };
        let handle =
            Driver::spawn(part.name(), station, driven).unwrap_or_else(|error| panic!("{part:?}: {error}"));
        self.recordings.push(Recording::of(Running::of(handle).0));
    }

    /// The E-CSCF, application servers and PSAPs.
    fn start_others(&mut self) {
        let config = Arc::new(self.setup.config(Who::Ecscf));
        if !config.ecscf.listen.is_empty() && !self.setup.missing.contains(&Who::Ecscf) {
            let locals = config.ecscf.listen.clone();
            let station = assembly::sip_station(Ecscf::new(config.clone()), &config, locals, None, entropy());
            self.spawn_station("ecscf", Mode::On, station, &config.ecscf.listen);
        }
        // What is not of the core records nothing.
        for (address, behaviour) in self.setup.servers.clone() {
            let locals = both(Side::Core, address);
            let role = ApplicationServer::new(&format!("sip:{address}"), behaviour);
            let station = assembly::sip_station(role, &config, locals.clone(), None, entropy());
            self.spawn_station("as", Mode::Off, station, &locals);
        }
        for address in self.setup.psaps.clone() {
            let locals = both(ue::psap::SIDE, address);
            let station = assembly::sip_station(Psap::default(), &config, locals.clone(), None, entropy());
            self.spawn_station("psap", Mode::Off, station, &locals);
        }
    }

    fn spawn_station<R>(&mut self, name: &str, mode: Mode, station: Station<R>, locals: &[Local])
    where
        R: cscf::Role + Send + 'static,
        CscfNode<R>: Send,
        R::Command: Clone + Send + 'static,
        R::Notice: Send + 'static,
    {
        let sockets =
            Sockets::bind(locals.iter().map(Binding::from)).unwrap_or_else(|error| panic!("{error}"));
        let recorder = (String::new(), Rule { mode, ..Rule::default() });
        let driven = shell::Setup { recorder, ..shell::Setup::new(sockets, self.clock, entropy()) };
        let handle = Driver::spawn(name, station, driven).unwrap_or_else(|error| panic!("{name}: {error}"));
        self.recordings.push(Recording::of(Running::of(handle).0));
    }

    /// Waits until the CSCFs that speak Diameter have spoken to whoever plays the HSS, where there is one.
    fn wait_for_diameter(&mut self) {
        let is_there = |who| !self.setup.missing.contains(&who);
        let all = [Who::Icscf, Who::Scscf].into_iter().filter(|who| is_there(*who)).count();
        let is_strange = |who: &Who| self.setup.kamailio == Some(*who);
        let strange = [Who::Icscf, Who::Scscf].iter().filter(|who| is_strange(who)).count();
        if !is_there(Who::Hss) {
            return;
        }
        let until = Instant::now() + START_MAX;
        loop {
            self.collect();
            let entries = || self.recordings.iter().flat_map(|recording| &recording.entries);
            let answers = |sent| entries().filter(|entry| is_cea(entry, sent)).count();
            // What the HSS answered to Kamailio is seen at the HSS alone.
            if answers(false) >= all - strange && (strange == 0 || answers(true) >= all) {
                return;
            }
            assert!(Instant::now() < until, "the CSCFs have not met the HSS");
            std::thread::sleep(POLL);
        }
    }

    /// Switches on the phone of a subscriber, changed by `change`.
    pub fn phone_with(&mut self, name: &str, change: impl FnOnce(&mut UeConfig)) {
        let config = self.setup.config(Who::Pcscf);
        let number = NAMES.iter().position(|known| *known == name);
        let number = number.expect("a subscriber of the bench") as u8;
        let card = self.setup.cards[usize::from(number)].clone();
        let private = &card.private_identities[0];
        let algorithm = private.credentials.algorithm().expect("a card");
        let pcscf = Hop { transport: Transport::Udp, remote: config.pcscf.listen[0].address };
        let impu =
            card.implicit_sets[0].identities().next().expect("an identity").identity.as_str().to_owned();
        // Kamailio's registrar stores a vector only after its 401 has left.
        let pause = if self.setup.kamailio.is_some() { 60 } else { 0 };
        let policy = Policy {
            answering: Answering::After(Duration::from_millis(100)),
            challenge_pause: Duration::from_millis(pause),
            ..Policy::default()
        };
        let mut ue = UeConfig {
            policy,
            ..UeConfig::new(&private.impi, impu, config.home.domain(), Usim::new(algorithm), pcscf)
        };
        if config.ipsec.is_on() {
            ue.security = Some(SecurityConfig::default());
        }
        change(&mut ue);
        let host = self.setup.loopback.host(100 + self.phones.len() as u8);
        let address = SocketAddr::new(host, 5060);
        let mut locals = both(Side::Access, address);
        let open: Vec<Binding> = locals.iter().map(Binding::from).collect();
        let mut security = Security::None;
        if let Some(offer) = &ue.security {
            let protected = offer.locals(host);
            if config.ipsec.is_on() {
                let protected = protected.iter().map(|local| local.address).collect();
                security = Security::Userspace { protected, encapsulated: Vec::new() };
            }
            locals.extend(protected);
        }
        let sockets = Sockets::bind(open).unwrap_or_else(|error| panic!("{error}"));
        let station = assembly::sip_station(Ue::new(ue), &config, locals, None, entropy());
        let recorder = (name.to_owned(), Rule::default());
        let driven = shell::Setup { recorder, security, ..shell::Setup::new(sockets, self.clock, entropy()) };
        let handle = Driver::spawn(name, station, driven).unwrap_or_else(|error| panic!("{name}: {error}"));
        let key = match self.phones.contains_key(name) {
            true => format!("{name}-{}", self.phones.len()),
            false => name.to_owned(),
        };
        let (running, handle) = Running::of(handle);
        self.phones.insert(key, (self.recordings.len(), handle));
        self.recordings.push(Recording::of(running));
    }

    /// Switches on the phone of a subscriber.
    pub fn phone(&mut self, name: &str) {
        self.phone_with(name, |_| {});
    }

    /// Switches on phones and registers them, which must go well.
    pub fn registered(&mut self, names: &[&str]) {
        for name in names {
            self.phone(name);
            let notice = self.register(name);
            assert!(matches!(notice, Some(Notice::Registered { .. })), "{name}: {notice:?}");
        }
    }

    /// Registers a phone, whatever comes of it.
    pub fn register(&mut self, name: &str) -> Option<Notice> {
        self.ask(name, Command::Register, |notice| {
            matches!(notice, Notice::Registered { .. } | Notice::RegistrationFailed(_))
        })
    }

    /// De-registers a phone.
    pub fn deregister(&mut self, name: &str) -> Option<Notice> {
        self.ask(name, Command::Deregister, |notice| matches!(notice, Notice::Deregistered(_)))
    }

    /// Calls a URI, and waits until the call stands or has failed.
    pub fn call(&mut self, from: &str, to: &str) -> Option<Notice> {
        self.call_with(from, to, None)
    }

    /// Calls a URI with an offer of one's own.
    pub fn call_with(&mut self, from: &str, to: &str, offer: Option<&str>) -> Option<Notice> {
        let offer = offer.map(|offer| offer.replace('\n', "\r\n").into_bytes());
        self.ask(from, Command::Call { to: to.to_owned(), offer }, |notice| {
            matches!(notice, Notice::Established { .. } | Notice::Ended { .. } | Notice::Refused { .. })
        })
    }

    /// Begins to call, and does not wait.
    pub fn dial(&mut self, from: &str, to: &str) {
        self.command(from, Command::Call { to: to.to_owned(), offer: None });
    }

    /// Hangs up, and waits until the call is over.
    pub fn hang_up(&mut self, name: &str) -> Option<Notice> {
        self.ask(name, Command::Hangup { call: None }, |notice| {
            matches!(notice, Notice::Ended { .. } | Notice::Refused { .. })
        })
    }

    /// Writes a text.
    pub fn message(&mut self, from: &str, to: &str, text: &str) -> Option<Notice> {
        self.ask(from, Command::Message { to: to.to_owned(), text: text.to_owned() }, |notice| {
            matches!(
                notice,
                Notice::MessageSent { .. } | Notice::MessageFailed { .. } | Notice::Refused { .. }
            )
        })
    }

    /// Gives a phone a command and waits for one of these notices; `None` when none comes.
    pub fn ask(&mut self, name: &str, command: Command, ends: impl Fn(&Notice) -> bool) -> Option<Notice> {
        self.command(name, command);
        self.wait_for(name, ends)
    }

    /// Gives a phone a command.
    pub fn command(&mut self, name: &str, command: Command) {
        let shared = self.phones[name].1.borrow();
        let phone = shared.as_ref().expect("a phone that is on");
        while phone.notices.try_recv().is_ok() {}
        phone.command(command).expect("a phone takes commands");
    }

    /// Waits for a notice of a phone.
    pub fn wait_for(&mut self, name: &str, ends: impl Fn(&Notice) -> bool) -> Option<Notice> {
        let until = Instant::now() + ANSWER_MAX;
        let shared = self.phones[name].1.borrow();
        let phone = shared.as_ref().expect("a phone that is on");
        let found = loop {
            let left = until.saturating_duration_since(Instant::now());
            match phone.notices.recv_timeout(left) {
                Ok(notice) if ends(&notice) => break Some(notice),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        drop(shared);
        self.collect();
        found
    }

    /// Lets the phone behave otherwise from here on.
    pub fn policy(&mut self, name: &str, change: impl FnOnce(&mut Policy)) {
        let mut policy =
            Policy { answering: Answering::After(Duration::from_millis(100)), ..Policy::default() };
        change(&mut policy);
        self.command(name, Command::SetPolicy(policy));
    }

    /// A phone is gone from one moment to the next: its battery is empty.
    pub fn battery_out(&mut self, name: &str) {
        self.collect();
        if let Some((place, _)) = self.phones.remove(name) {
            self.recordings[place].end();
        }
    }

    /// Gives the HSS a command, and waits for what came of it.
    pub fn hss(&mut self, command: HssCommand) {
        let hss = self.hss.as_ref().expect("an HSS");
        hss.command(command).expect("an HSS takes commands");
        let notice = hss.notices.recv_timeout(ANSWER_MAX).expect("the HSS reports");
        assert!(notice.result.is_ok(), "{:?}", notice.result);
        self.collect();
    }

    /// The HSS refuses a command from here on.
    pub fn hss_refuses(&mut self, command: &str, result: diameter_client::cx::CxResult) {
        let refusal = Refusal { command: Some(command.to_owned()), identity: None, result, count: None };
        self.hss(HssCommand::Refuse(refusal));
    }

    /// Sends a request by hand from a port of its own to the P-CSCF; `{at}` stands for that port's address, `{domain}` for
    /// the home domain. Waits for an answer.
    pub fn by_hand(&mut self, text: &str) {
        let pcscf = self.setup.config(Who::Pcscf).pcscf.listen[0].address;
        let address = self.setup.loopback.at(150, 5060);
        let socket = UdpSocket::bind(address).expect("a free port");
        let text =
            text.replace("{at}", &address.to_string()).replace("{domain}", DOMAIN).replace('\n', "\r\n");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket");
        socket.send_to(text.as_bytes(), pcscf).expect("a P-CSCF");
        let _ = socket.recv_from(&mut [0; 4096]);
        self.collect();
    }

    /// An address of the bench's network.
    pub fn at(&self, host: u8, port: u16) -> SocketAddr {
        self.setup.at(host, port)
    }

    /// How others reach a subscriber: the number as a SIP URI.
    pub fn number(&self, name: &str) -> String {
        let number = NAMES.iter().position(|known| *known == name).expect("a subscriber of the bench") + 1;
        format!("sip:+4930100{number:04}@{DOMAIN}")
    }

    /// Lets time pass.
    pub fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
        self.collect();
    }

    /// Stops everything at once; what was recorded.
    pub fn stop(mut self) -> Vec<Entry> {
        // What is under way arrives yet.
        self.pause(SETTLE);
        self.recordings.iter_mut().for_each(Recording::end);
        recorder::join(self.recordings.drain(..).map(|recording| recording.entries).collect())
    }

    /// Takes what the nodes have recorded.
    fn collect(&mut self) {
        self.recordings.iter_mut().for_each(Recording::look);
    }
}

fn both(side: Side, address: SocketAddr) -> Vec<Local> {
    [Transport::Udp, Transport::Tcp].map(|transport| Local { side, transport, address }).to_vec()
}

/// A CEA that was sent or received, whatever it says.
fn is_cea(entry: &Entry, sent: bool) -> bool {
    let What::Message(message) = &entry.what else { return false };
    let is_cea = message.bytes.get(4..8).is_some_and(|head| head[0] & 0x80 == 0 && head[1..] == [0, 1, 1]);
    message.protocol == recorder::Protocol::Diameter && message.sent == sent && is_cea
}

fn entropy() -> Entropy {
    system_entropy().expect("a system with randomness")
}

/// Whether this process may open raw sockets.
pub fn may_open_raw_sockets() -> bool {
    use socket2::{Domain, Protocol, Socket, Type};
    Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(50))).is_ok()
}

/// A store that is broken.
struct Broken;

impl Backend for Broken {
    fn write(&mut self, _: Vec<Record>, acknowledge: Acknowledge) -> Result<(), StoreFailure> {
        acknowledge.with(Err(StoreFailure::Failed("no space left on device".to_owned())));
        Ok(())
    }

    fn close(self: Box<Self>) {}
}

/// How long functions may take to find each other.
const START_MAX: Duration = Duration::from_secs(20);
/// How long an answer may take: longer than the longest timer of the bench.
const ANSWER_MAX: Duration = Duration::from_secs(12);
/// What is under way at the end arrives in this time.
const SETTLE: Duration = Duration::from_millis(150);
const POLL: Duration = Duration::from_millis(5);
