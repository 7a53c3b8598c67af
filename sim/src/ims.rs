//! A whole core in a world: P-CSCF, I-CSCF, one or more S-CSCFs, the HSS, and phones.

use crate::application_server::{ApplicationServer, Behaviour};
use crate::network::Link;
use crate::world::{HostId, World};
use ambient::Entropy;
use cscf::assembly::{self, Part};
use cscf::config::Config;
use cscf::flow::{Hop, Local, Side, Transport};
use cscf::node::Node;
use cscf::role::Role;
use cscf::station::{Operated, Shards, Station};
use diameter_client::endpoint::Endpoint;
use ecscf::Ecscf;
use hss_mock::{Hss, HssConfig, HssStation, Subscriber};
use icscf::Icscf;
use ims_aka::{Algorithm, Key, Opc, Usim};
use pcscf::Pcscf;
use scscf::Scscf;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use ue::psap::Psap;
use ue::{Answering, Command, Notice, Policy, Ue, UeConfig};

/// What every phone of a simulation shares; each has an IMSI of its own.
const K: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";
const OPC: &str = "cd63cb71954a9f4e48a5994e37a02baf";
const PHONE_PORT: u16 = 5060;

/// How a core is built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of everything random.
    pub seed: u64,
    /// How many S-CSCFs.
    pub scscfs: u8,
    /// How many subscribers: `alice`, `bob`, then `user2`, `user3` ...
    pub subscribers: u8,
    /// How many shards each CSCF runs.
    pub shards: u16,
    /// Lines added to the configuration of every part.
    pub settings: String,
    /// Lines added to the section of the S-CSCF.
    pub scscf_settings: String,
    /// Whether the S-CSCFs speak TLS beside UDP and TCP.
    pub scscf_tls: bool,
    /// Lines added to the section of the I-CSCF.
    pub icscf_settings: String,
    /// Whether messages are traced.
    pub traced: bool,
    /// Subscribers that differ from the others, by their number.
    pub special: BTreeMap<u8, Subscriber>,
    /// Which network it is, where there are two: the first or the second.
    pub network: Network,
    /// What the S-CSCFs can do, by their number, where they can do anything.
    pub capabilities: BTreeMap<u8, Vec<u32>>,
}

impl Plan {
    /// One S-CSCF, alice and bob.
    pub fn seeded(seed: u64) -> Plan {
        Plan {
            seed,
            scscfs: 1,
            subscribers: 2,
            shards: 1,
            settings: String::new(),
            scscf_settings: String::new(),
            scscf_tls: false,
            icscf_settings: String::new(),
            traced: true,
            special: BTreeMap::new(),
            network: Network::First,
            capabilities: BTreeMap::new(),
        }
    }

    /// With so many S-CSCFs.
    pub fn with_scscfs(self, scscfs: u8) -> Plan {
        Plan { scscfs, ..self }
    }

    /// With so many shards at each CSCF.
    pub fn with_shards(self, shards: u16) -> Plan {
        Plan { shards, ..self }
    }

    /// With so many subscribers.
    pub fn with_subscribers(self, subscribers: u8) -> Plan {
        Plan { subscribers, ..self }
    }

    /// With these lines of configuration at each part.
    pub fn with_settings(self, settings: &str) -> Plan {
        Plan { settings: settings.to_owned(), ..self }
    }

    /// With these lines in the section of the S-CSCF.
    pub fn with_scscf_settings(self, settings: &str) -> Plan {
        Plan { scscf_settings: settings.to_owned(), ..self }
    }

    /// With S-CSCFs that speak TLS; `[tls]` belongs to the settings.
    pub fn with_scscf_over_tls(self) -> Plan {
        Plan { scscf_tls: true, ..self }
    }

    /// With these lines in the section of the I-CSCF.
    pub fn with_icscf_settings(self, settings: &str) -> Plan {
        Plan { icscf_settings: settings.to_owned(), ..self }
    }

    /// With an S-CSCF that has capabilities; they count from 1.
    pub fn with_capabilities(mut self, scscf: u8, capabilities: &[u32]) -> Plan {
        self.capabilities.insert(scscf, capabilities.to_vec());
        self
    }

    /// With a change of a subscriber: 0 is alice.
    pub fn with_subscriber(mut self, n: u8, change: impl FnOnce(&mut Subscriber)) -> Plan {
        let mut changed = self.special.remove(&n).unwrap_or_else(|| subscriber(&self.config(1), n));
        change(&mut changed);
        self.special.insert(n, changed);
        self
    }

    /// The same as the home network of other subscribers, in a world of two: PLMN 001/02, on addresses of its own.
    pub fn of_second_network(self) -> Plan {
        Plan { network: Network::Second, ..self }
    }

    /// Without a trace: for long runs.
    pub fn untraced(self) -> Plan {
        Plan { traced: false, ..self }
    }

    /// Builds it and starts it.
    pub fn start(self) -> Ims {
        Ims::start(self)
    }

    fn config(&self, scscf: u8) -> Config {
        let none = Vec::new();
        let network = self.network;
        let entry = |n| {
            let capabilities = self.capabilities.get(&n).unwrap_or(&none);
            format!("{{ uri = \"{}\", capabilities = {capabilities:?} }}", network.scscf_uri(n))
        };
        let entries: Vec<String> = (1..=self.scscfs).map(entry).collect();
        let names: Vec<String> = (1..=self.scscfs)
            .map(|n| format!("\"{}\" = [\"{}:6060\"]", network.scscf_host(n), network.address(100 + n)))
            .collect();
        let text = format!(
            "[plmn]\nmcc = \"001\"\nmnc = \"{mnc}\"\n\
             [scscf]\nlisten = [\"{address}:6060\"{tls}]\nhost = \"{host}\"\nuri = \"{uri}\"\n{scscf_settings}\n\
             [icscf]\nscscfs = [{entries}]\n{icscf_settings}\n{elsewhere}\
             [trust]\ndomain = [\"{trusted}/24\"]\n\
             [names]\n{names}\n{settings}",
            mnc = network.mnc(),
            elsewhere = network.listens(),
            icscf_settings = self.icscf_settings,
            trusted = network.address(0),
            address = network.address(100 + scscf),
            tls = match self.scscf_tls {
                true => format!(", \"tls:{}:6061\"", network.address(100 + scscf)),
                false => String::new(),
            },
            host = network.scscf_host(scscf),
            uri = network.scscf_uri(scscf),
            entries = entries.join(", "),
            names = names.join("\n"),
            settings = self.settings,
            scscf_settings = self.scscf_settings,
        );
        Config::parse(&text, "simulation").unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
    }
}

/// A home network of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// PLMN 001/01, at 127.0.0.x.
    First,
    /// PLMN 001/02, at 127.0.1.x.
    Second,
}

impl Network {
    fn mnc(self) -> &'static str {
        match self {
            Network::First => "01",
            Network::Second => "02",
        }
    }

    /// Where its I-CSCF is asked for, and its domain.
    pub fn entry(self) -> (String, SocketAddr) {
        let domain = format!("ims.mnc0{}.mcc001.3gppnetwork.org", self.mnc());
        (domain, SocketAddr::new(IpAddr::V4(self.address(11)), 4060))
    }

    /// An S-CSCF of it, by name and address.
    pub fn scscf(self, n: u8) -> (String, SocketAddr) {
        (self.scscf_host(n), SocketAddr::new(IpAddr::V4(self.address(100 + n)), 6060))
    }

    /// An address of the core.
    fn address(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, u8::from(self == Network::Second), host)
    }

    fn scscf_host(self, n: u8) -> String {
        format!("scscf{n}.{}", self.entry().0)
    }

    fn scscf_uri(self, n: u8) -> String {
        format!("sip:{}:6060", self.scscf_host(n))
    }

    /// Settings of the section of the I-CSCF and of sections behind it; the first network has the addresses of a lab.
    fn listens(self) -> String {
        match self {
            Network::First => String::new(),
            Network::Second => format!(
                "listen = \"{i}:4060\"\n[pcscf]\nlisten = \"{p}:5060\"\n[hss]\nlisten = \"{h}:3868\"\n",
                i = self.address(11),
                p = self.address(10),
                h = self.address(13),
            ),
        }
    }

    /// The name of a host of the core.
    fn host(self, name: &str) -> String {
        match self {
            Network::First => name.to_owned(),
            Network::Second => format!("{name}@2"),
        }
    }
}

/// A phone of the simulation.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Its subscriber's name, and its host's.
    pub name: String,
    /// Its host.
    pub host: HostId,
    /// Its number as a SIP URI of the home network.
    pub sip: String,
    /// Its number as a tel URI.
    pub tel: String,
}

/// A core with phones.
pub struct Ims {
    /// The world that it stands in.
    pub world: World,
    plan: Plan,
    config: Arc<Config>,
    phones: u8,
    shards: Rc<Cell<u16>>,
}

impl Ims {
    /// One S-CSCF, subscribers alice and bob, good links.
    pub fn seeded(seed: u64) -> Ims {
        Plan::seeded(seed).start()
    }

    fn start(plan: Plan) -> Ims {
        Ims::start_in(World::seeded(plan.seed), plan)
    }

    /// Builds another network in the world of this one, and gives it back with a phone of it: what it is asked for is asked of
    /// the phone.
    pub fn beside(self, second: Plan, change: impl FnOnce(&mut UeConfig)) -> (Ims, Phone) {
        let Ims { world, plan, config, phones, shards } = self;
        let mut second = Ims::start_in(world, second.of_second_network());
        let phone = second.phone_with(change);
        (Ims { world: second.world, plan, config, phones, shards }, phone)
    }

    fn start_in(mut world: World, plan: Plan) -> Ims {
        let config = Arc::new(plan.config(1));
        let traced = plan.traced;
        let shards = Rc::new(Cell::new(plan.shards));
        let hss_config = config.clone();
        let subscribers: Vec<Subscriber> = (0..plan.subscribers)
            .map(|n| plan.special.get(&n).cloned().unwrap_or_else(|| subscriber(&config, n)))
            .collect();
        world.add(
            &plan.network.host("hss"),
            config.hss.listen[0].address.ip(),
            Box::new(move |seed| {
                let mut entropy = Entropy::seeded(seed);
                let mut hss = Hss::new(HssConfig::default(), entropy.fork());
                hss.load(subscribers.clone(), Vec::new()).unwrap_or_else(|error| panic!("{error}"));
                let ips = hss_config.hss.listen.iter().map(|point| point.address.ip()).collect();
                let endpoint = diameter_client::endpoint::EndpointConfig {
                    accept_unknown_peers: true,
                    ..assembly::endpoint_config(&hss_config, &hss_config.hss.host, ips)
                };
                boxed(HssStation::new(hss, Endpoint::new(endpoint, entropy)), traced)
            }),
        );
        for n in 1..=plan.scscfs {
            let config = Arc::new(plan.config(n));
            let shards = shards.clone();
            let name = if plan.scscfs == 1 { plan.network.host("scscf") } else { format!("scscf-{n}") };
            world.add(
                &name,
                IpAddr::V4(plan.network.address(100 + n)),
                Box::new(move |seed| {
                    let mut config = (*config).clone();
                    config.scscf.shards = shards.get();
                    let config = Arc::new(config);
                    let role = || Scscf::new(config.clone());
                    sharded(assembly::shards(Part::Scscf, role, &config, Entropy::seeded(seed)), traced)
                }),
            );
        }
        let (icscf_config, icscf_shards) = (config.clone(), shards.clone());
        world.add(
            &plan.network.host("icscf"),
            config.icscf.listen[0].address.ip(),
            Box::new(move |seed| {
                let mut config = (*icscf_config).clone();
                config.icscf.shards = icscf_shards.get();
                let config = Arc::new(config);
                let role = || Icscf::new(config.clone());
                sharded(assembly::shards(Part::Icscf, role, &config, Entropy::seeded(seed)), traced)
            }),
        );
        let (pcscf_config, pcscf_shards) = (config.clone(), shards.clone());
        world.add(
            &plan.network.host("pcscf"),
            config.pcscf.listen[0].address.ip(),
            Box::new(move |seed| {
                let mut config = (*pcscf_config).clone();
                config.pcscf.shards = pcscf_shards.get();
                let config = Arc::new(config);
                let role = || Pcscf::new(config.clone());
                sharded(assembly::shards(Part::Pcscf, role, &config, Entropy::seeded(seed)), traced)
            }),
        );
        if !config.ecscf.listen.is_empty() {
            let config = config.clone();
            world.add(
                "ecscf",
                config.ecscf.listen[0].address.ip(),
                Box::new(move |seed| {
                    let (role, locals) = (Ecscf::new(config.clone()), config.ecscf.listen.clone());
                    boxed(assembly::sip_station(role, &config, locals, None, Entropy::seeded(seed)), traced)
                }),
            );
        }
        // The Diameter connections come up before anybody calls.
        world.advance(Duration::from_secs(1));
        Ims { world, plan, config, phones: 0, shards }
    }

    /// The configuration of the P-CSCF, the I-CSCF and the first S-CSCF.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Puts a PSAP at an address, port 5060.
    pub fn psap(&mut self, name: &str, address: Ipv4Addr) -> HostId {
        let (config, traced) = (self.config.clone(), self.plan.traced);
        let address = SocketAddr::new(IpAddr::V4(address), PHONE_PORT);
        let build = Box::new(move |seed| {
            let local = |transport| Local { side: ue::psap::SIDE, transport, address };
            let locals = [Transport::Udp, Transport::Tcp].map(local).to_vec();
            let role = Psap::default();
            boxed(assembly::sip_station(role, &config, locals, None, Entropy::seeded(seed)), traced)
        });
        self.world.add(name, address.ip(), build)
    }

    /// Switches on the phone of the next subscriber, which answers calls after a second.
    pub fn phone(&mut self) -> Phone {
        self.phone_with(|_| {})
    }

    /// Switches on the phone of the next subscriber, with its configuration changed.
    pub fn phone_with(&mut self, change: impl FnOnce(&mut UeConfig)) -> Phone {
        let n = self.phones;
        assert!(n < self.plan.subscribers, "the plan has {} subscribers", self.plan.subscribers);
        self.phones += 1;
        let second = u8::from(self.plan.network == Network::Second);
        let name = self.plan.network.host(&name_of(n));
        self.phone_of(n, &name, Ipv4Addr::new(10, 1, second, n + 1), change)
    }

    /// Starts an application server in the trust domain; its URI.
    pub fn application_server(&mut self, name: &str, address: Ipv4Addr, behaviour: Behaviour) -> String {
        let address = SocketAddr::new(IpAddr::V4(address), 5060);
        let uri = format!("sip:{address}");
        let (traced, config, server_uri) = (self.plan.traced, self.config.clone(), uri.clone());
        self.world.add(
            name,
            address.ip(),
            Box::new(move |seed| {
                let locals = [Transport::Udp, Transport::Tcp, Transport::Tls]
                    .map(|transport| Local { side: Side::Core, transport, address })
                    .to_vec();
                let role = ApplicationServer::new(&server_uri, behaviour.clone());
                boxed(assembly::sip_station(role, &config, locals, None, Entropy::seeded(seed)), traced)
            }),
        );
        uri
    }

    /// Switches on one more phone of a subscriber, on a host and an address of its own.
    pub fn phone_of(
        &mut self,
        n: u8,
        name: &str,
        address: Ipv4Addr,
        change: impl FnOnce(&mut UeConfig),
    ) -> Phone {
        let subscriber = subscriber(&self.config, n);
        let impi = subscriber.private_identities[0].impi.clone();
        let domain = self.config.home.domain().to_owned();
        let address = IpAddr::V4(address);
        let pcscf = Hop {
            transport: Transport::Udp,
            remote: SocketAddr::new(IpAddr::V4(self.plan.network.address(10)), 5060),
        };
        let mut ue = UeConfig::new(impi.clone(), format!("sip:{impi}"), domain.clone(), usim(), pcscf);
        ue.policy = Policy { answering: Answering::After(Duration::from_secs(1)), ..Policy::default() };
        change(&mut ue);
        let traced = self.plan.traced;
        let config = self.config.clone();
        let host = self.world.add(
            name,
            address,
            Box::new(move |seed| {
                let address = SocketAddr::new(address, PHONE_PORT);
                let mut locals = [Transport::Udp, Transport::Tcp]
                    .map(|transport| Local { side: Side::Access, transport, address })
                    .to_vec();
                // No TLS server is a phone: the address is what it calls itself by.
                let tls = Some(Transport::Tls).filter(|tls| *tls == ue.pcscf.transport);
                locals.extend(tls.map(|transport| Local { side: Side::Access, transport, address }));
                locals.extend(ue.security.iter().flat_map(|security| security.locals(address.ip())));
                let role = Ue::new(ue.clone());
                boxed(assembly::sip_station(role, &config, locals, None, Entropy::seeded(seed)), traced)
            }),
        );
        Phone {
            name: name.to_owned(),
            host,
            sip: format!("sip:{}@{domain}", msisdn(n)),
            tel: format!("tel:{}", msisdn(n)),
        }
    }

    /// Registers a phone; the notice that ended it.
    pub fn register(&mut self, phone: &Phone) -> Notice {
        self.ask(phone, Command::Register, Duration::from_secs(300), |notice| {
            matches!(notice, Notice::Registered { .. } | Notice::RegistrationFailed(_))
        })
    }

    /// Registers a phone and insists on success.
    pub fn register_well(&mut self, phone: &Phone) {
        let notice = self.register(phone);
        assert!(matches!(notice, Notice::Registered { .. }), "{} is not registered: {notice:?}", phone.name);
    }

    /// De-registers a phone.
    pub fn deregister(&mut self, phone: &Phone) -> Notice {
        self.ask(phone, Command::Deregister, Duration::from_secs(300), |notice| {
            matches!(notice, Notice::Deregistered(_))
        })
    }

    /// Calls from one phone to a URI until the call stands or has failed.
    pub fn call(&mut self, from: &Phone, to: &str) -> Notice {
        let command = Command::Call { to: to.to_owned(), offer: None };
        self.ask(from, command, Duration::from_secs(400), |notice| {
            matches!(notice, Notice::Established { .. } | Notice::Ended { .. } | Notice::Refused { .. })
        })
    }

    /// Ends the newest call of a phone.
    pub fn hang_up(&mut self, phone: &Phone) -> Notice {
        self.ask(phone, Command::Hangup { call: None }, Duration::from_secs(200), |notice| {
            matches!(notice, Notice::Ended { .. } | Notice::Refused { .. })
        })
    }

    /// Sends a text from one phone to a URI.
    pub fn message(&mut self, from: &Phone, to: &str, text: &str) -> Notice {
        let command = Command::Message { to: to.to_owned(), text: text.to_owned() };
        self.ask(from, command, Duration::from_secs(200), |notice| {
            matches!(
                notice,
                Notice::MessageSent { .. } | Notice::MessageFailed { .. } | Notice::Refused { .. }
            )
        })
    }

    /// Gives a command and waits for the notice that ends it.
    pub fn ask(
        &mut self,
        phone: &Phone,
        command: Command,
        at_most: Duration,
        ends: impl Fn(&Notice) -> bool,
    ) -> Notice {
        self.world.take_notices::<Notice>(phone.host);
        self.world.command(phone.host, command);
        self.wait_for(phone, at_most, ends)
            .unwrap_or_else(|| panic!("{} heard nothing within {at_most:?}\n{}", phone.name, self.ladder()))
    }

    /// Waits for a notice of a phone; those before it are dropped.
    pub fn wait_for(
        &mut self,
        phone: &Phone,
        at_most: Duration,
        ends: impl Fn(&Notice) -> bool,
    ) -> Option<Notice> {
        let mut found = None;
        self.world.run_until(at_most, |world| {
            for (_, notice) in world.take_notices::<Notice>(phone.host) {
                if found.is_none() && ends(&notice) {
                    found = Some(notice);
                }
            }
            found.is_some()
        });
        found
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        self.world.advance(by);
    }

    /// Makes every link like this one.
    pub fn set_links(&mut self, link: Link) {
        self.world.network.set_default(link);
    }

    /// Crashes a host of the core and starts it again after a while.
    pub fn restart(&mut self, name: &str, after: Duration) {
        let host = self.world.host(name);
        self.world.crash(host);
        self.world.advance(after);
        self.world.start(host);
    }

    /// The same, with an empty disk: nothing of what it knew is left.
    pub fn replace(&mut self, name: &str, after: Duration) {
        let host = self.world.host(name);
        self.world.crash(host);
        self.world.lose_disk(host);
        self.world.advance(after);
        self.world.start(host);
    }

    /// Gives each CSCF another number of shards from its next start on.
    pub fn set_shards(&mut self, shards: u16) {
        self.shards.set(shards);
    }

    /// Which S-CSCF the HSS has on record for a phone.
    pub fn registered_at(&self, phone: &Phone) -> Option<String> {
        let host = self.world.host("hss");
        let machine = self.world.hosts()[host].machine.as_ref()?;
        let station = machine.as_any().downcast_ref::<HssStation>()?;
        let (state, server) = station.hss().state(&phone.sip)?;
        (state == hss_mock::State::Registered).then(|| server.map(str::to_owned)).flatten()
    }

    /// The messages so far, as a picture.
    pub fn ladder(&self) -> String {
        crate::ladder::draw(&self.world)
    }
}

/// The shards of a function as one machine; a single one as itself.
fn sharded<R>(mut stations: Vec<Station<R>>, traced: bool) -> Box<dyn crate::host::AnyMachine>
where
    R: Role + Send + 'static,
    Node<R>: Send,
    R::Command: Clone + Send + 'static,
    R::Notice: Send + 'static,
{
    match stations.pop() {
        Some(only) if stations.is_empty() => boxed(only, traced),
        last => {
            stations.extend(last);
            boxed(Shards::new(stations), traced)
        }
    }
}

fn boxed<M: Operated + 'static>(mut machine: M, traced: bool) -> Box<dyn crate::host::AnyMachine> {
    machine.set_trace(traced);
    Box::new(machine)
}

fn name_of(n: u8) -> String {
    match n {
        0 => "alice".to_owned(),
        1 => "bob".to_owned(),
        n => format!("user{n}"),
    }
}

fn msisdn(n: u8) -> String {
    format!("+4930100{:04}", u16::from(n) + 1)
}

fn keys() -> (Key<16>, Opc) {
    let key = |digits| Key::from_hex(digits).unwrap_or_else(|_| panic!("32 hexadecimal digits"));
    (key(K), Opc(key(OPC)))
}

fn usim() -> Usim {
    let (k, opc) = keys();
    Usim::new(Algorithm::milenage(&k, opc))
}

fn subscriber(config: &Config, n: u8) -> Subscriber {
    let (k, opc) = keys();
    let imsi = config.home.plmn().imsi(u64::from(n) + 1);
    Subscriber::lab(&config.home, &imsi, k, opc, &msisdn(n), &name_of(n))
        .unwrap_or_else(|error| panic!("a lab subscriber: {error}"))
}
