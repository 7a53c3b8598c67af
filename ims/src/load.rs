//! `ims load`: thousands of UEs that register, call and write at a rate, and what came of it.

use crate::exit::Failure;
use crate::progress::Progress;
use crate::roster::{Roster, card};
use crate::{core, screen};
use ambient::Instant;
use carillon_load::arrivals::{Rate, Spacing};
use carillon_load::driver::{Clock, Ended, Watching, drive};
use carillon_load::generator::{Generator, Setup};
use carillon_load::population::{Card, Order, Population, Subscriber};
use carillon_load::protected::Protected;
use carillon_load::report::Report;
use carillon_load::run::{Plan, Run};
use carillon_load::scenario::{Mix, Scenario};
use carillon_load::search::{Search, Try};
use carillon_load::security::Security;
use carillon_load::sockets::{self, Sockets};
use carillon_load::sources::Network;
use carillon_load::transport::Transport;
use clap::Args;
use cscf::identity::{HomeNetwork, Plmn};
use hss_mock::Credentials;
use ipsec::Algorithms;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `ims load`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = EXAMPLES_SHORT)]
pub struct Load {
    /// What the UEs do: register, reregister, call, message or deregister.
    #[arg(value_parser = scenario, required_unless_present = "mix", conflicts_with = "mix")]
    pub scenario: Option<Scenario>,
    /// Several scenarios, each with its rate: register=10,call=5,message=20.
    ///
    /// With --rate, these are their proportions.
    #[arg(long, value_name = "MIX", value_parser = Mix::parse, help_heading = "Load")]
    pub mix: Option<Mix>,
    /// Arrivals per second, or a ramp: 100..2000.
    #[arg(long, value_parser = Rate::parse, required_unless_present = "mix", help_heading = "Load")]
    pub rate: Option<Rate>,
    /// How long the load is measured.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "30s",
          help_heading = "Load")]
    pub duration: Duration,
    /// How long the load runs before it is measured.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "0s",
          help_heading = "Load")]
    pub warmup: Duration,
    /// How long the UEs do nothing between their registrations and the load.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "0s",
          help_heading = "Load")]
    pub pause: Duration,
    /// Space arrivals evenly, instead of by chance (Poisson).
    #[arg(long, help_heading = "Load")]
    pub even: bool,
    /// Take each UE once before one comes again, instead of by chance.
    #[arg(long, help_heading = "Load")]
    pub in_turn: bool,
    /// Repeats the choices of an earlier run.
    #[arg(long, default_value_t = 1, help_heading = "Load")]
    pub seed: u64,
    /// The subscribers: a CSV file as `ims sub import` reads it.
    #[arg(long, value_name = "CSV", help_heading = "UEs")]
    pub subscribers: PathBuf,
    /// How many of them have a UE; without it, all.
    #[arg(long, value_name = "N", help_heading = "UEs")]
    pub ues: Option<usize>,
    /// Registrations per second before the load, which are not measured.
    #[arg(long, value_name = "RATE", default_value_t = 500.0, value_parser = positive, help_heading = "UEs")]
    pub register_rate: f64,
    /// How long a registration is asked for.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "1h",
          help_heading = "UEs")]
    pub expires: Duration,
    /// How long a UE waits before it answers a challenge.
    ///
    /// For a core whose 401 leaves before it knows the challenge.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "0s",
          help_heading = "UEs")]
    pub answer_after: Duration,
    /// How long a called UE rings.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "0s",
          help_heading = "UEs")]
    pub ring: Duration,
    /// How long a call lasts.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "1s",
          help_heading = "UEs")]
    pub talk: Duration,
    /// SIP timer T1.
    ///
    /// Over UDP a request is sent again after this time; over both it is given up after 64 times this time.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "500ms",
          help_heading = "UEs")]
    pub t1: Duration,
    /// The P-CSCF.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.10:5060", help_heading = "Network")]
    pub pcscf: SocketAddr,
    /// What the UEs speak to it over: udp or tcp.
    ///
    /// Over TCP each UE has a connection of its own, which is kept open and used by both ends.
    #[arg(long, value_name = "TRANSPORT", value_parser = transport, default_value = "udp",
          help_heading = "Network")]
    pub transport: Transport,
    /// How often each connection carries something at least; 0s is never.
    ///
    /// A P-CSCF closes a connection that is silent for long. What is sent is the ping of RFC 5626.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "5min",
          help_heading = "Network")]
    pub keep_alive: Duration,
    /// The home network domain name.
    #[arg(long, default_value = "ims.mnc001.mcc001.3gppnetwork.org", help_heading = "Network")]
    pub domain: String,
    /// Where the UEs are: an address, or a network of this host's addresses.
    ///
    /// On one address each UE has a port, in a network each has an address. Without it, 127.64.0.0/10 towards a P-CSCF
    /// on loopback, else the address that leads there.
    #[arg(long, value_name = "IP[/BITS]", value_parser = Network::parse, help_heading = "Network")]
    pub source: Option<Network>,
    /// The UEs use IPsec, by ESP of their own on a raw socket.
    ///
    /// They offer every pair of algorithms, or one (hmac-md5-96/null). It needs CAP_NET_RAW, an address for each UE, and UDP.
    #[arg(long, value_name = "PAIR", num_args = 0..=1, default_missing_value = "all", value_parser = pairs,
          help_heading = "Network")]
    pub ipsec: Option<Pairs>,
    /// The port of the UEs, or the first of their ports; without it, any.
    ///
    /// From the same port, a later load is the same UEs for the P-CSCF.
    #[arg(long, default_value_t = 0, hide_default_value = true, help_heading = "Network")]
    pub port: u16,
    /// A success that takes longer is late.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "2s",
          help_heading = "Verdict")]
    pub late_after: Duration,
    /// The percentage of failures that is still a success.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.1, value_parser = percentage, help_heading = "Verdict")]
    pub allow_failures: f64,
    /// Look for the highest rate that is held, beginning with --rate.
    ///
    /// A rate is held when at most 0.1 % fail or are late, and at most 0.1 % are sent again.
    #[arg(long, help_heading = "Verdict")]
    pub find_highest: bool,
    /// How long --find-highest tries a rate.
    #[arg(long, value_name = "TIME", value_parser = cscf::config::duration, default_value = "60s",
          help_heading = "Verdict")]
    pub hold: Duration,
    /// Write the report as JSON.
    ///
    /// Of --find-highest, that of the highest rate held.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub json: Option<PathBuf>,
    /// Write the report as HTML with plots: one file, without scripts.
    ///
    /// Of --find-highest, that of the highest rate held.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub html: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Arrivals keep their times, whether or not the core keeps up, and latency counts from the time of arrival.

Examples:
  ims load register --subscribers lab.csv --rate 200 --duration 30s
  ims load call --subscribers lab.csv --rate 50..500 --talk 5s --json calls.json
  ims load --mix register=10,call=5,message=20 --subscribers lab.csv --duration 10min --html mix.html
  ims load call --subscribers lab.csv --rate 100 --find-highest
  ims load reregister --subscribers lab.csv --rate 1000 --duration 60s --in-turn --even    # a refresh storm
  ims load message --subscribers lab.csv --rate 100 --transport tcp

Times carry a unit: 500ms, 30s, 10min, 1h. Exit status: 0 ok, 1 more failures than allowed, 2 usage, 3 the P-CSCF is
unreachable.";
const EXAMPLES_SHORT: &str = "\
Example:
  ims load call --subscribers lab.csv --rate 50 --duration 30s --html calls.html

--help says more, with more examples.";

/// Runs the load; `is_stopped` tells that somebody has had enough.
pub fn run(load: &Load, is_stopped: impl Fn() -> bool) -> Result<(), Failure> {
    let report = measure(load, is_stopped)?;
    screen::show(format_args!("\n{report}"));
    if let Some(path) = &load.json {
        write(path, &report.json())?;
    }
    if let Some(path) = &load.html {
        write(path, &report.html())?;
    }
    if report.attempted == 0 {
        return Err(Failure::Failed("nothing was attempted: no UE could be registered".to_owned()));
    }
    let percent = 100.0 * report.failed_share();
    if percent > load.allow_failures {
        let allowed = load.allow_failures;
        return Err(Failure::Failed(format!("{percent:.3} % failed; {allowed} % are allowed")));
    }
    Ok(())
}

/// Runs the load and reports it.
fn measure(load: &Load, is_stopped: impl Fn() -> bool) -> Result<Report, Failure> {
    let plan = load.plan();
    let subscribers = load.subscribers()?;
    let mut sockets = load.sockets(subscribers.len())?;
    let population = Population::new(subscribers).in_order(load.order());
    let ues = population.len();
    let mut generator = Generator::new(load.setup(), sockets.sources().clone(), population, core::entropy()?);
    let mut protected = load.protected(ues)?;
    if let (Some(_), Some(Pairs(pairs))) = (&protected, &load.ipsec) {
        generator = generator.with_security(Security::new(ues, pairs.clone(), core::entropy()?));
    }
    let clock = Clock::start();
    let mut run = Run::new(clock.now(), generator, plan, ambient::Entropy::seeded(load.seed));
    let mut progress = Progress::new();
    let mut watch = |run: &Run, now: Instant| {
        progress.show(run, now);
        if is_stopped() { Watching::Stop } else { Watching::GoOn }
    };
    let mut once = |run: &mut Run| match drive(run, &mut sockets, protected.as_mut(), clock, &mut watch) {
        Ended::Over(cost) => Ok(Report::of(run, &cost)),
        Ended::Unreachable => Err(Failure::Unreachable(format!("no answer from {}", load.pcscf))),
    };
    if !load.find_highest {
        return once(&mut run);
    }
    let mut search = Search::from(run.plan().rate.mean());
    let (mut best, mut tries) = (None, Vec::new());
    while let Some(rate) = search.next().filter(|_| !is_stopped()) {
        let plan = Plan { rate: Rate::steady(rate), duration: load.hold, ..load.plan() };
        run = run.again(clock.now(), plan);
        let report = once(&mut run)?;
        let tried = Try::of(&report, rate);
        let tried = Try { is_held: tried.is_held && !is_stopped(), ..tried };
        let is_held = tried.is_held;
        let verdict = match (is_held, tried.generator_limited) {
            (true, _) => "held",
            (false, false) => "not held",
            (false, true) => "not held, and the generator was the limit",
        };
        screen::line(format_args!("{rate:>9.1}/s  {verdict}"));
        search.tried(rate, is_held);
        tries.push(tried);
        if is_held {
            best = Some(report);
        }
    }
    best.map(|best| Report { tries, ..best }).ok_or_else(|| Failure::Failed("no rate was held".to_owned()))
}

impl Load {
    fn plan(&self) -> Plan {
        let mix = match (&self.mix, self.scenario) {
            (Some(mix), _) => mix.clone(),
            (None, scenario) => Mix::only(scenario.unwrap_or(Scenario::Register)),
        };
        Plan {
            rate: self.rate.unwrap_or_else(|| Rate::steady(mix.total())),
            mix,
            spacing: if self.even { Spacing::Even } else { Spacing::Poisson },
            pause: self.pause,
            warmup: self.warmup,
            duration: self.duration,
            register_rate: self.register_rate,
        }
    }

    fn order(&self) -> Order {
        if self.in_turn { Order::InTurn } else { Order::Chance }
    }

    fn setup(&self) -> Setup {
        Setup {
            expires_s: u32::try_from(self.expires.as_secs()).unwrap_or(u32::MAX),
            t1: self.t1,
            t2: self.t1 * 8,
            answer_after: self.answer_after,
            ring: self.ring,
            talk: self.talk,
            late_after: self.late_after,
            transport: self.transport,
            ..Setup::new(self.pcscf, &self.domain)
        }
    }

    fn sockets(&self, ues: usize) -> Result<Sockets, Failure> {
        let allowed = shell::open_files::raise();
        let needed = ues as u64 + FILES_OF_OUR_OWN;
        if self.transport == Transport::Tcp && needed > allowed {
            return Err(Failure::Usage(format!(
                "{ues} connections need {needed} open files, and this process may have {allowed}: raise the limit \
                 (`ulimit -n`, LimitNOFILE=), or take fewer --ues"
            )));
        }
        let path = sockets::Path { pcscf: self.pcscf, first_port: self.port, keep_alive: self.keep_alive };
        Sockets::open(self.transport, self.network()?, ues, path)
            .map_err(|error| Failure::Failed(format!("no sockets for the UEs: {error}")))
    }

    fn network(&self) -> Result<Network, Failure> {
        let unreachable = |error: std::io::Error| Failure::Unreachable(format!("{}: {error}", self.pcscf));
        match self.source {
            Some(network) => Ok(network),
            None => Ok(Network::towards(self.pcscf.ip(), source_towards(self.pcscf).map_err(unreachable)?)),
        }
    }

    /// The raw socket, where UEs use IPsec.
    fn protected(&self, ues: usize) -> Result<Option<Protected>, Failure> {
        if self.ipsec.is_none() {
            return Ok(None);
        }
        if self.transport != Transport::Udp {
            return Err(Failure::Usage("--ipsec goes over UDP: leave --transport out".to_owned()));
        }
        let network = self.network()?;
        let (IpAddr::V4(pcscf), true) = (self.pcscf.ip(), ues <= network.count as usize) else {
            let why = "--ipsec needs a P-CSCF over IPv4 and an address for each UE: name a larger network with --source";
            return Err(Failure::Usage(why.to_owned()));
        };
        let opened = Protected::open(pcscf);
        opened
            .map(Some)
            .map_err(|error| Failure::Failed(format!("no raw socket for ESP: {error}; it needs CAP_NET_RAW")))
    }

    /// The first ones of the file whose UE knows MILENAGE.
    fn subscribers(&self) -> Result<Vec<Subscriber>, Failure> {
        let home = HomeNetwork::of(&Plmn::test()).with_names(self.domain.clone(), self.domain.clone());
        let roster = Roster::read(&self.subscribers, &home)?;
        let wanted = self.ues.unwrap_or(usize::MAX);
        let usable: Vec<Subscriber> =
            roster.subscribers().iter().filter_map(of_milenage).take(wanted).collect();
        let count = usable.len();
        if count == 0 || self.ues.is_some_and(|wanted| count < wanted) {
            let shown = self.subscribers.display();
            let why = format!(
                "{shown} has {count} subscribers with MILENAGE; `ims sub gen` makes more, and the HSS must know them"
            );
            return Err(Failure::Usage(why));
        }
        Ok(usable)
    }
}

/// A subscriber as the load plays it; `None` when it is authenticated by something else than MILENAGE.
fn of_milenage(subscriber: &hss_mock::Subscriber) -> Option<Subscriber> {
    let (impi, impu, _) = card(subscriber).ok()?;
    let Credentials::Milenage { k, opc } = &subscriber.private_identities.first()?.credentials else {
        return None;
    };
    let card = Card { k: k.clone(), opc: opc.clone() };
    Some(Subscriber { impi: impi.to_owned(), impu: impu.to_owned(), card })
}

/// The address of this host that leads to another.
fn source_towards(remote: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => [0u16; 8].into(),
    };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(remote)?;
    Ok(probe.local_addr()?.ip())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// Pairs of algorithms that UEs offer.
#[derive(Clone, Debug)]
pub struct Pairs(Vec<Algorithms>);

fn pairs(text: &str) -> Result<Pairs, String> {
    if text == "all" {
        return Ok(Pairs(Algorithms::ALL.to_vec()));
    }
    let pair = Algorithms::ALL.into_iter().find(|pair| pair.name() == text);
    pair.map(|pair| Pairs(vec![pair]))
        .ok_or_else(|| format!("all, or one of {}", Algorithms::ALL.map(Algorithms::name).join(", ")))
}

fn scenario(text: &str) -> Result<Scenario, String> {
    Scenario::from_name(text)
        .ok_or_else(|| "one of register, reregister, call, message, deregister".to_owned())
}

fn transport(text: &str) -> Result<Transport, String> {
    let both = [Transport::Udp, Transport::Tcp];
    both.into_iter().find(|one| one.name() == text).ok_or_else(|| "one of udp, tcp".to_owned())
}

/// Files that are open beside the connections.
const FILES_OF_OUR_OWN: u64 = 64;

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("not a number above zero".to_owned()),
    }
}

fn percentage(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=100.0).contains(&number) => Ok(number),
        _ => Err("not a percentage".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Core, CoreSockets, Tracing};
    use crate::privilege::has_raw_sockets;
    use clap::Parser;
    use cscf::config::{Config, SecurityBackEnd, SecurityPolicy};
    use std::sync::Arc;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        load: Load,
    }

    fn lab_file() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config/lab-subscribers.csv")
    }

    fn load(words: &str, pcscf: SocketAddr) -> Load {
        let (pcscf, file) = (pcscf.to_string(), lab_file());
        let file = file.to_string_lossy();
        let fixed = ["load", "--pcscf", &pcscf, "--subscribers", &file];
        Line::try_parse_from(fixed.into_iter().chain(words.split(' '))).expect("a command line").load
    }

    /// Runs `story` against a core on free ports that knows the first `known` subscribers of the lab.
    fn with_core(known: usize, story: impl FnOnce(SocketAddr)) {
        with_core_by(SecurityPolicy::Off, known, story);
    }

    /// The same, where the P-CSCF asks for associations by our own ESP.
    fn with_core_by(policy: SecurityPolicy, known: usize, story: impl FnOnce(SocketAddr)) {
        let (sockets, lab) = CoreSockets::free().expect("free ports");
        let mut config = Config::lab_at(&Plmn::test(), &lab);
        config.ipsec.policy = policy;
        config.ipsec.back_end = SecurityBackEnd::Userspace;
        let config = Arc::new(config);
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = std::fs::read_to_string(lab_file()).expect("the lab's subscribers");
        // A comment and the header stand before the subscribers.
        let lines: Vec<_> = text.lines().take(known + 2).collect();
        std::fs::write(file.path(), lines.join("\n")).expect("a file that can be written");
        let roster = Roster::read(file.path(), &config.home).expect("subscribers");
        assert_eq!(roster.subscribers().len(), known);
        let clock = shell::Clock::start();
        let mut core = Core::start(config, &roster, sockets, clock, Tracing::On).expect("a core");
        core.wait_for_hss(Duration::from_secs(20)).expect("an HSS");
        story(lab.pcscf);
        core.stop().expect("a core that stops in good order");
    }

    #[test]
    fn every_scenario_succeeds_against_a_core() {
        with_core(6, |pcscf| {
            for scenario in ["register", "reregister", "message", "call", "deregister"] {
                let words = format!("{scenario} --ues 6 --rate 20 --even --duration 300ms --talk 20ms");
                let report = measure(&load(&words, pcscf), || false).expect("a report");
                let failed = format!("{scenario}: {:?}", report.failed);
                assert_eq!((report.attempted, report.succeeded + report.dropped), (5, 5), "{failed}");
                assert_eq!(report.latency_us.count, report.succeeded);
            }
        });
    }

    /// Through associations, by ESP of our own at both ends; an INVITE is too long for UDP and is tried over TCP first.
    #[test]
    fn every_scenario_succeeds_through_associations() {
        if !has_raw_sockets() {
            return;
        }
        with_core_by(SecurityPolicy::Required, 6, |pcscf| {
            let scenarios = ["register", "reregister", "message", "call", "deregister"];
            for (scenario, pair) in
                scenarios.into_iter().zip(["all", "hmac-md5-96/null", "all", "all", "all"])
            {
                let words = format!(
                    "{scenario} --ues 6 --rate 20 --even --duration 300ms --talk 20ms --ipsec {pair}"
                );
                let report = measure(&load(&words, pcscf), || false).expect("a report");
                let failed = format!("{scenario}: {:?}", report.failed);
                assert_eq!((report.attempted, report.succeeded + report.dropped), (5, 5), "{failed}");
            }
        });
    }

    #[test]
    fn every_scenario_succeeds_over_connections_that_stay() {
        with_core(6, |pcscf| {
            for scenario in ["reregister", "message", "call", "deregister"] {
                let words = format!(
                    "{scenario} --transport tcp --in-turn --rate 20 --even --duration 300ms --talk 20ms --ues 6"
                );
                let report = measure(&load(&words, pcscf), || false).expect("a report");
                let failed = format!("{scenario}: {:?}", report.failed);
                assert_eq!((report.attempted, report.succeeded), (5, 5), "{failed}");
                assert_eq!((report.connections, report.connections_lost), (6, 0), "{scenario}");
                assert_eq!((report.transport, report.retransmissions), ("tcp", 0), "{scenario}");
            }
        });
    }

    #[test]
    fn more_connections_than_files_are_refused_with_a_remedy() {
        let load = load("message --transport tcp --rate 1", ([127, 0, 0, 1], 9).into());
        let failure = load.sockets(usize::try_from(shell::open_files::raise()).expect("a number")).err();
        assert!(matches!(&failure, Some(Failure::Usage(why)) if why.contains("ulimit")), "{failure:?}");
    }

    #[test]
    fn a_mix_counts_each_scenario_by_itself() {
        with_core(6, |pcscf| {
            let words = "--mix reregister=20,message=40,call=20 --ues 6 --duration 500ms --talk 20ms";
            let report = measure(&load(words, pcscf), || false).expect("a report");
            assert_eq!(report.failures(), 0, "{:?}", report.failed);
            let sum: u64 = report.scenarios.values().map(|scenario| scenario.succeeded).sum();
            assert_eq!((report.scenarios.len(), sum), (3, report.attempted));
        });
    }

    #[test]
    fn the_highest_rate_is_one_that_was_held() {
        with_core(6, |pcscf| {
            let tries = std::cell::Cell::new(0);
            let words =
                "message --ues 6 --rate 20 --even --find-highest --hold 200ms --t1 10s --late-after 1min";
            // Somebody stops it after a while: what was held until then is the answer.
            let is_stopped = || {
                tries.set(tries.get() + 1);
                tries.get() > 12
            };
            let report = measure(&load(words, pcscf), is_stopped).expect("a rate that is held");
            assert!(report.rate >= 20.0 && report.failures() == 0, "{:?}", report.failed);
            let held = report.tries.iter().filter(|tried| tried.is_held).map(|tried| tried.rate);
            assert_eq!(held.reduce(f64::max), Some(report.rate), "{:?}", report.tries);
        });
    }

    #[test]
    fn subscribers_that_the_core_does_not_know_are_failures_by_their_status() {
        with_core(2, |pcscf| {
            let words = "register --ues 5 --rate 50 --even --duration 110ms";
            let report = measure(&load(words, pcscf), || false).expect("a report");
            assert_eq!((report.attempted, report.succeeded), (5, 2));
            assert_eq!(report.failed.get("REGISTER 403"), Some(&3), "{:?}", report.failed);
            let verdict = run(&load(words, pcscf), || false);
            assert!(matches!(verdict, Err(Failure::Failed(_))), "{verdict:?}");
        });
    }

    #[test]
    fn more_ues_than_there_are_subscribers_is_a_mistake_of_usage() {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let failure = load("register --rate 1 --ues 1000", nowhere).subscribers();
        assert!(matches!(failure, Err(Failure::Usage(why)) if why.contains("has 102 subscribers")));
    }

    #[test]
    fn a_load_is_one_scenario_with_a_rate_or_a_mix_that_has_its_own() {
        let parse = |words: &str| {
            Line::try_parse_from(["load", "--subscribers", "x"].into_iter().chain(words.split(' ')))
        };
        assert!(parse("call --rate 10").is_ok());
        assert!(parse("call").is_err(), "no rate");
        assert!(parse("--rate 10").is_err(), "no scenario");
        assert!(parse("call --rate 10 --mix call=1").is_err(), "both");
        let mix = parse("--mix call=1,message=2").expect("a mix has its rate").load.plan();
        assert_eq!(mix.rate, Rate::steady(3.0));
    }
}
