//! A core before it starts: in which nothing is wrong, until a fault changes it.

use crate::standin::{self, StandIn};
use carillon_tests::lab::{DOMAIN, Part};
use carillon_tests::loopback::Loopback;
use cscf::config::Config;
use cscf::user_data::{
    ApplicationServer as Server, Condition, DefaultHandling, InitialFilterCriteria, ServicePointTrigger,
    SessionCase, TriggerPoint,
};
use hss_mock::Subscriber;
use ims_aka::{Key, Opc};
use sim::Behaviour;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The P-CSCF.
    Pcscf,
    /// The I-CSCF.
    Icscf,
    /// The S-CSCF.
    Scscf,
    /// The E-CSCF, which is there when it is configured.
    Ecscf,
    /// The HSS.
    Hss,
}

/// A core before it starts: what a fault may change.
pub struct Setup {
    pub(crate) loopback: Loopback,
    pub(crate) settings: BTreeMap<(&'static str, &'static str), String>,
    pub(crate) of_one: Vec<(Who, &'static str, &'static str, String)>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) cards: Vec<Subscriber>,
    pub(crate) missing: BTreeSet<Who>,
    pub(crate) servers: Vec<(SocketAddr, Behaviour)>,
    pub(crate) psaps: Vec<SocketAddr>,
    pub(crate) stand_ins: Vec<StandIn>,
    pub(crate) silent_ports: Vec<UdpSocket>,
    pub(crate) broken_store: BTreeSet<Who>,
    pub(crate) hss_is_silent: bool,
    pub(crate) kamailio: Option<Who>,
}

/// The subscribers, by their places: alice, bob, and two more.
pub(crate) const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

impl Setup {
    /// A core in which nothing is wrong: alice, bob, carol and dave, one of each function, short timers.
    pub fn new() -> Setup {
        let loopback = Loopback::take();
        let at = |host, port| loopback.at(host, port);
        let (p, i, s, hss) = (at(11, 5060), at(12, 4060), at(13, 6060), at(20, 3868));
        let text = |address: SocketAddr| format!("\"{address}\"");
        let host = |address: SocketAddr| format!("\"{}\"", address.ip());
        let mut settings: BTreeMap<(&'static str, &'static str), String> = BTreeMap::new();
        for (section, key, value) in [
            ("plmn", "mcc", "\"001\"".to_owned()),
            ("plmn", "mnc", "\"01\"".to_owned()),
            ("pcscf", "listen", text(p)),
            ("pcscf", "host", host(p)),
            ("pcscf", "icscf", format!("\"sip:{i}\"")),
            ("icscf", "listen", text(i)),
            ("icscf", "host", host(i)),
            ("icscf", "diameter_host", format!("\"icscf.{DOMAIN}\"")),
            ("icscf", "scscf_timeout", "\"900ms\"".to_owned()),
            ("scscf", "listen", text(s)),
            ("scscf", "host", host(s)),
            ("scscf", "diameter_host", format!("\"scscf.{DOMAIN}\"")),
            ("scscf", "country_code", "\"49\"".to_owned()),
            ("scscf", "application_server_timeout", "\"900ms\"".to_owned()),
            ("hss", "listen", text(hss)),
            ("hss", "host", host(hss)),
            ("diameter", "request_timeout", "\"900ms\"".to_owned()),
            ("diameter", "reconnect", "\"200ms\"".to_owned()),
            ("timers", "t1", "\"60ms\"".to_owned()),
            ("timers", "t2", "\"240ms\"".to_owned()),
            ("timers", "t4", "\"240ms\"".to_owned()),
            ("timers", "access_t1", "\"60ms\"".to_owned()),
            ("timers", "access_t2", "\"240ms\"".to_owned()),
            ("timers", "access_t4", "\"240ms\"".to_owned()),
        ] {
            settings.insert((section, key), value);
        }
        let mut setup = Setup {
            settings,
            of_one: Vec::new(),
            subscribers: Vec::new(),
            cards: Vec::new(),
            missing: BTreeSet::new(),
            servers: Vec::new(),
            psaps: Vec::new(),
            stand_ins: Vec::new(),
            silent_ports: Vec::new(),
            broken_store: BTreeSet::new(),
            hss_is_silent: false,
            kamailio: None,
            loopback,
        };
        let home = setup.config(Who::Hss).home;
        for (n, name) in (1..).zip(NAMES) {
            let key = |salt: u8| Key::new([salt.wrapping_mul(17).wrapping_add(n as u8); 16]);
            let imsi = home.plmn().imsi(n);
            let subscriber =
                Subscriber::lab(&home, &imsi, key(3), Opc(key(5)), &format!("+4930100{n:04}"), name);
            setup.subscribers.push(subscriber.unwrap_or_else(|error| panic!("{error}")));
        }
        setup.cards = setup.subscribers.clone();
        setup
    }

    /// Sets a key of the configuration of every function; the value as TOML has it.
    pub fn set(&mut self, section: &'static str, key: &'static str, value: &str) {
        self.settings.insert((section, key), value.to_owned());
    }

    /// Sets a key of the configuration of one function alone.
    pub fn set_at(&mut self, who: Who, section: &'static str, key: &'static str, value: &str) {
        self.of_one.push((who, section, key, value.to_owned()));
    }

    /// Changes what the HSS has of a subscriber; the card stays as it is.
    pub fn subscriber(&mut self, name: &str, change: impl FnOnce(&mut Subscriber)) {
        let found = self.subscribers.iter_mut().find(|subscriber| subscriber.name == name);
        change(found.expect("a subscriber of the bench"));
    }

    /// Changes the card of a subscriber; the HSS stays as it is.
    pub fn card(&mut self, name: &str, change: impl FnOnce(&mut Subscriber)) {
        let found = self.cards.iter_mut().find(|subscriber| subscriber.name == name);
        change(found.expect("a subscriber of the bench"));
    }

    /// The HSS does not know a subscriber.
    pub fn without_subscriber(&mut self, name: &str) {
        self.subscribers.retain(|subscriber| subscriber.name != name);
    }

    /// A function is not started.
    pub fn without(&mut self, who: Who) {
        self.missing.insert(who);
    }

    /// The HSS takes connections and answers nothing.
    pub fn silent_hss(&mut self) {
        self.hss_is_silent = true;
    }

    /// Kamailio takes the place of a CSCF.
    pub fn kamailio(&mut self, who: Who) {
        self.kamailio = Some(who);
    }

    /// The store of a function writes nothing.
    pub fn broken_store(&mut self, who: Who) {
        self.broken_store.insert(who);
    }

    /// Gives a subscriber criteria that send INVITEs of a session case to a server.
    pub fn criterion(&mut self, name: &str, case: SessionCase, server: &str, handling: DefaultHandling) {
        let trigger = |condition| ServicePointTrigger {
            is_negated: false,
            groups: vec![0],
            condition,
            registration_types: Vec::new(),
        };
        let triggers =
            vec![trigger(Condition::Method("INVITE".into())), trigger(Condition::SessionCase(case))];
        let criterion = InitialFilterCriteria {
            priority: 0,
            trigger_point: Some(TriggerPoint { triggers, ..TriggerPoint::default() }),
            application_server: Server {
                server_name: server.to_owned(),
                default_handling: handling,
                ..Server::default()
            },
            profile_part: None,
        };
        self.subscriber(name, |subscriber| {
            for set in &mut subscriber.implicit_sets {
                for profile in &mut set.service_profiles {
                    profile.filter_criteria.push(criterion.clone());
                }
            }
        });
    }

    /// Starts an application server; its URI.
    pub fn application_server(&mut self, behaviour: Behaviour) -> String {
        let address = self.loopback.at(60 + self.servers.len() as u8, 5060);
        self.servers.push((address, behaviour));
        self.trusted();
        format!("sip:{address}")
    }

    /// The URI of an application server that is not there.
    pub fn no_application_server(&mut self) -> String {
        let address = self.loopback.at(59, 5060);
        self.trusted();
        format!("sip:{address}")
    }

    /// What the bench plays besides is of the trust domain.
    fn trusted(&mut self) {
        let all = (11..=20).chain(59..=69).map(|host| format!("\"{}\"", self.loopback.host(host)));
        let list = all.collect::<Vec<_>>().join(", ");
        self.set("trust", "domain", &format!("[{list}]"));
    }

    /// Starts an E-CSCF, and a PSAP for it where `psap` says so; else its PSAP is not there.
    pub fn emergency(&mut self, psap: bool) {
        let (ecscf, address) = (self.loopback.at(14, 7060), self.loopback.at(15, 5060));
        self.set("ecscf", "listen", &format!("\"{ecscf}\""));
        self.set("ecscf", "host", &format!("\"{}\"", ecscf.ip()));
        self.set("ecscf", "psap_timeout", "\"900ms\"");
        self.set("ecscf", "psap", &format!("[{{ uri = \"sip:{address}\", service = \"urn:service:sos\" }}]"));
        self.set("pcscf", "ecscf", &format!("\"sip:{ecscf}\""));
        self.trusted();
        if psap {
            self.psaps.push(address);
        }
    }

    /// Names are asked of a server that knows none.
    pub fn empty_dns(&mut self) {
        let address = self.loopback.at(53, 5300);
        self.stand_ins.push(standin::empty_dns(address));
        self.set("dns", "servers", &format!("[\"{address}\"]"));
        self.set("dns", "timeout", "\"500ms\"");
    }

    /// Names are asked of a server that never answers.
    pub fn silent_dns(&mut self) {
        let address = self.loopback.at(53, 5300);
        self.silent_ports.push(standin::silent_port(address));
        self.set("dns", "servers", &format!("[\"{address}\"]"));
        self.set("dns", "timeout", "\"300ms\"");
    }

    /// The P-CSCF wants security associations, and makes them itself.
    pub fn secured(&mut self) {
        self.set("ipsec", "policy", "\"required\"");
        self.set("ipsec", "back_end", "\"userspace\"");
        self.set("ipsec", "nat_port", "0");
    }

    /// The HSS's subscribers.
    pub fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// An address of the bench's network.
    pub fn at(&self, host: u8, port: u16) -> SocketAddr {
        self.loopback.at(host, port)
    }

    /// Where a part of the core listens, whoever plays it.
    pub(crate) fn address(&self, part: Part) -> SocketAddr {
        let config = self.config(Who::Hss);
        match part {
            Part::Pcscf | Part::Core => config.pcscf.listen[0].address,
            Part::Icscf => config.icscf.listen[0].address,
            Part::Scscf => config.scscf.listen[0].address,
            Part::Hss => config.hss.listen[0].address,
        }
    }

    /// The configuration of one of the functions.
    pub(crate) fn config(&self, who: Who) -> Config {
        let mut settings = self.settings.clone();
        for (of, section, key, value) in &self.of_one {
            if *of == who {
                settings.insert((section, key), value.clone());
            }
        }
        let mut text = String::new();
        let mut section = "";
        for ((of, key), value) in &settings {
            if *of != section {
                section = of;
                text.push_str(&format!("[{section}]\n"));
            }
            text.push_str(&format!("{key} = {value}\n"));
        }
        Config::parse(&text, "bench").unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
    }
}
