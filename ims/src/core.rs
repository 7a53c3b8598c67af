//! A whole core in this process: four machines, each on a thread and on sockets of its own.

use crate::control::{HSS, PCSCF, SCSCF};
use crate::exit::Failure;
use crate::roster::{Roster, database_url};
use cscf::assembly::{self, Part};
use cscf::config::{Config, LabAddresses, Personality};
use cscf::ladder::{Kind, Ladder, Party};
use cscf::query::{Record, StoreFailure};
use cscf::station::Protocol;
use cscf::trace;
use cscf::wording::Wording;
use diameter_client::endpoint::{Endpoint, EndpointConfig};
use hss_mock::station::{HssNotice, HssStation};
use hss_mock::store::keeper::Keeper;
use hss_mock::{Hss, HssCommand, HssConfig};
use icscf::Icscf;
use pcscf::Pcscf;
use scscf::Scscf;
use shell::control::ControlError;
use shell::driver::Ended;
use shell::process;
use shell::{
    Acknowledge, Backend, Binding, Clock, Control, ControlSocket, Driver, Handle, Reload, Setup, Sockets,
    Store, Tls, system_entropy,
};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bound sockets of the four functions.
#[derive(Debug)]
pub struct CoreSockets {
    pcscf: Sockets,
    icscf: Sockets,
    scscf: Sockets,
    hss: Sockets,
}

impl CoreSockets {
    /// Those that a configuration names.
    pub fn of(config: &Config) -> Result<CoreSockets, Failure> {
        let sip = |part: Part| {
            let shards = NonZeroU16::new(part.shards(config)).unwrap_or(NonZeroU16::MIN);
            Sockets::bind_for(shards, process::bindings(part, config))
                .map_err(|error| Failure::Failed(error.to_string()))
        };
        Ok(CoreSockets {
            pcscf: sip(Part::Pcscf)?,
            icscf: sip(Part::Icscf)?,
            scscf: sip(Part::Scscf)?,
            hss: bind(config.hss.listen.iter().map(Binding::from))?,
        })
    }

    /// Free ports of four loopback addresses, and which ones they are.
    pub fn free() -> Result<(CoreSockets, LabAddresses), Failure> {
        let loopback = |host| IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
        let free =
            |host| Sockets::bind_free(loopback(host)).map_err(|error| Failure::Failed(error.to_string()));
        let sockets = CoreSockets {
            pcscf: free(10)?,
            icscf: free(11)?,
            scscf: free(12)?,
            hss: bind([Binding::diameter(SocketAddr::new(loopback(13), 0))])?,
        };
        let lab = LabAddresses {
            pcscf: first_address(&sockets.pcscf)?,
            icscf: first_address(&sockets.icscf)?,
            scscf: first_address(&sockets.scscf)?,
            hss: first_address(&sockets.hss)?,
        };
        Ok((sockets, lab))
    }
}

fn bind(bindings: impl IntoIterator<Item = Binding>) -> Result<Sockets, Failure> {
    Sockets::bind(bindings).map_err(|error| Failure::Failed(error.to_string()))
}

fn first_address(sockets: &Sockets) -> Result<SocketAddr, Failure> {
    let first = sockets.addresses().first().map(|binding| binding.address);
    first.ok_or_else(|| Failure::Failed("no socket is bound".to_owned()))
}

/// What of its messages a machine reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// Everything that it sends and receives.
    On,
    /// Nothing.
    Off,
}

/// A running core.
pub struct Core {
    config: Arc<Config>,
    tls: Option<Tls>,
    pcscf: Handle<pcscf::wording::Command, pcscf::wording::Notice>,
    icscf: Handle<Infallible, Infallible>,
    scscf: Handle<scscf::Command, scscf::Notice>,
    hss: Handle<HssCommand, HssNotice>,
    /// In the order of [`Core::columns`].
    events: [Vec<trace::Event>; 4],
}

impl Core {
    /// Starts the four functions.
    pub fn start(
        config: Arc<Config>,
        roster: &Roster,
        sockets: CoreSockets,
        clock: Clock,
        tracing: Tracing,
    ) -> Result<Core, Failure> {
        let tls = Tls::of(&config).map_err(|error| Failure::Usage(error.to_string()))?;
        let setup = |name: &str, sockets| {
            Ok::<_, Failure>(Setup { tls: tls.clone(), ..setup(name, sockets, &config, clock, tracing)? })
        };
        let hss = hss_station(&config, roster)?;
        let (store, restored) = hss_store(&config, roster)?;
        let hss = spawn("hss", hss, kept_by(store, restored, sockets.hss, &config, clock, tracing)?)?;
        let scscf = assembly::shards(Part::Scscf, || Scscf::new(config.clone()), &config, entropy()?);
        let scscf = spawn_shards("scscf", scscf, setup("scscf", sockets.scscf)?)?;
        let icscf = assembly::shards(Part::Icscf, || Icscf::new(config.clone()), &config, entropy()?);
        let icscf = spawn_shards("icscf", icscf, setup("icscf", sockets.icscf)?)?;
        let pcscf = assembly::shards(Part::Pcscf, || Pcscf::new(config.clone()), &config, entropy()?);
        let security = process::security(Part::Pcscf, &config)
            .map_err(|failure| Failure::Failed(failure.to_string()))?;
        let pcscf = spawn_shards("pcscf", pcscf, Setup { security, ..setup("pcscf", sockets.pcscf)? })?;
        Ok(Core { config, tls, pcscf, icscf, scscf, hss, events: Default::default() })
    }

    /// Takes commands of an operator at sockets in `directory` while what is returned lives; `file` is what
    /// `ims reload` reads.
    pub fn operate(&mut self, directory: &Path, file: Option<&Path>) -> Result<[Control; 4], Failure> {
        let reload =
            Arc::new(Reload::new(self.config.clone(), file.map(Path::to_owned)).with_tls(self.tls.clone()));
        let socket = |name| ControlSocket::bind(directory, name);
        let opened = || {
            let (pcscf, icscf) = (self.pcscf.operator(), self.icscf.operator());
            let (scscf, hss) = (self.scscf.operator(), self.hss.operator());
            Ok([
                socket(PCSCF)?.serve(pcscf, pcscf::wording::WORDING, reload.clone())?,
                socket("icscf")?.serve(icscf, Wording::NONE, reload.clone())?,
                socket(SCSCF)?.serve(scscf, scscf::WORDING, reload.clone())?,
                socket(HSS)?.serve(hss, hss_mock::WORDING, reload)?,
            ])
        };
        opened().map_err(|error: ControlError| Failure::Failed(error.to_string()))
    }

    /// Waits until the I- and the S-CSCF have their Diameter connections; the core must be traced.
    pub fn wait_for_hss(&mut self, within: Duration) -> Result<(), Failure> {
        let until = Instant::now() + within;
        loop {
            self.collect();
            let accepted = self.events[3].iter().filter(|event| is_accepted_peer(event)).count();
            if accepted >= 2 {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Failure::Timeout("the CSCFs have no Diameter connection to the HSS".to_owned()));
            }
            std::thread::sleep(POLL);
        }
    }

    /// The columns of the core in a ladder.
    pub fn columns(&self, ladder: &mut Ladder) -> [Party; 4] {
        let of = |part: Part| part.locals(&self.config).into_iter().map(|local| local.address);
        [
            ladder.column("P-CSCF", Kind::Cscf, of(Part::Pcscf)),
            ladder.column("I-CSCF", Kind::Cscf, of(Part::Icscf)),
            ladder.column("S-CSCF", Kind::Cscf, of(Part::Scscf)),
            ladder.column("HSS", Kind::Hss, self.config.hss.listen.iter().map(|point| point.address)),
        ]
    }

    /// Stops the core in good order, and gives every message that its functions sent or received, in the order of
    /// [`Core::columns`].
    pub fn stop(mut self) -> Result<[Vec<trace::Event>; 4], Failure> {
        self.pcscf.drain();
        self.icscf.drain();
        self.scscf.drain();
        // The HSS goes last: its peers say goodbye to it (RFC 6733 §5.4).
        while !(self.pcscf.is_finished() && self.icscf.is_finished() && self.scscf.is_finished()) {
            self.collect();
            std::thread::sleep(POLL);
        }
        self.hss.drain();
        while !self.hss.is_finished() {
            self.collect();
            std::thread::sleep(POLL);
        }
        self.collect();
        let Core { pcscf, icscf, scscf, hss, mut events, .. } = self;
        // The shards of one function tell each their own in order.
        events.iter_mut().for_each(|events| events.sort_by_key(|event| event.at.instant));
        for ended in [pcscf.join(), icscf.join(), scscf.join(), hss.join()] {
            check(ended)?;
        }
        Ok(events)
    }

    /// Whether a machine has ended by itself, which none should.
    pub fn has_ended(&self) -> bool {
        self.pcscf.is_finished()
            || self.icscf.is_finished()
            || self.scscf.is_finished()
            || self.hss.is_finished()
    }

    fn collect(&mut self) {
        let traces = [&self.pcscf.traces, &self.icscf.traces, &self.scscf.traces, &self.hss.traces];
        for (events, traces) in self.events.iter_mut().zip(traces) {
            events.extend(traces.try_iter());
        }
    }
}

/// Checks how a machine ended.
pub fn check(ended: io::Result<Ended>) -> Result<(), Failure> {
    match ended {
        Ok(Ended::Drained | Ended::Aborted) => Ok(()),
        Ok(Ended::Late) => {
            Err(Failure::Failed("work was left when the time to finish it was over".to_owned()))
        }
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

/// A successful CEA that the HSS sent.
fn is_accepted_peer(event: &trace::Event) -> bool {
    event.sent && event.protocol == Protocol::Diameter && event.summary() == "CEA 2001"
}

fn hss_station(config: &Config, roster: &Roster) -> Result<HssStation, Failure> {
    let personality = match config.hss.personality {
        Personality::ThreeGpp => hss_mock::Personality::ThreeGpp,
        Personality::PyHss => hss_mock::Personality::PyHss,
        Personality::Open5gs => hss_mock::Personality::Open5gs,
        Personality::Fhoss => hss_mock::Personality::FHoss,
    };
    let hss = HssConfig { personality, scscf_pool: config.scscf.uri.clone(), ..HssConfig::default() };
    let mut hss = Hss::new(hss, entropy()?);
    let subscribers = roster.subscribers().to_vec();
    hss.load(subscribers, Default::default()).map_err(|error| Failure::Usage(error.to_string()))?;
    let host_ips = config.hss.listen.iter().map(|point| point.address.ip()).take(1).collect();
    let endpoint = EndpointConfig {
        origin_realm: config.hss.realm.clone(),
        accept_unknown_peers: config.hss.accept_unknown_peers,
        ..assembly::endpoint_config(config, &config.hss.host, host_ips)
    };
    Ok(HssStation::new(hss, Endpoint::new(endpoint, entropy()?)))
}

fn setup(
    name: &str,
    sockets: Sockets,
    config: &Config,
    clock: Clock,
    tracing: Tracing,
) -> Result<Setup, Failure> {
    let (store, restored) = journal(name, config)?;
    kept_by(store, restored, sockets, config, clock, tracing)
}

fn journal(name: &str, config: &Config) -> Result<(Store, Vec<Record>), Failure> {
    process::open_store(name, config).map_err(|failure| Failure::Failed(failure.to_string()))
}

/// Where the HSS keeps its changes: in its database, where it has one, as the process of an HSS does.
fn hss_store(config: &Config, roster: &Roster) -> Result<(Store, Vec<Record>), Failure> {
    let Some(url) = database_url(config) else { return journal("hss", config) };
    let kept = Keeper::open(&url, roster.subscribers().to_vec())
        .map_err(|error| Failure::Failed(format!("`hss.store`: {error}")))?;
    Ok((Store::backend(Database(kept.keeper)), kept.records))
}

/// The database of the HSS, kept by a thread of its own.
struct Database(Keeper);

impl Backend for Database {
    fn write(&mut self, records: Vec<Record>, acknowledge: Acknowledge) -> Result<(), StoreFailure> {
        self.0.write(records, |result| acknowledge.with(result))
    }

    fn close(self: Box<Self>) {
        self.0.close();
    }
}

fn kept_by(
    store: Store,
    restored: Vec<Record>,
    sockets: Sockets,
    config: &Config,
    clock: Clock,
    tracing: Tracing,
) -> Result<Setup, Failure> {
    Ok(Setup {
        store,
        restored,
        trace: tracing == Tracing::On,
        dns: config.dns.clone(),
        drain_max: config.limits.drain,
        write_buffer_max: config.limits.connection_buffer_bytes,
        ..Setup::new(sockets, clock, entropy()?)
    })
}

/// Runs a machine.
pub fn spawn<M: cscf::station::Operated + 'static>(
    name: &str,
    machine: M,
    setup: Setup,
) -> Result<Handle<M::Command, M::Notice>, Failure> {
    spawn_shards(name, vec![machine], setup)
}

/// Runs the shards of a function.
fn spawn_shards<M: cscf::station::Operated + 'static>(
    name: &str,
    machines: Vec<M>,
    setup: Setup,
) -> Result<Handle<M::Command, M::Notice>, Failure> {
    Driver::spawn_shards(name, machines, setup).map_err(|error| Failure::Failed(format!("{name}: {error}")))
}

/// A generator seeded by the operating system.
pub fn entropy() -> Result<ambient::Entropy, Failure> {
    system_entropy().map_err(|error| Failure::Failed(format!("no randomness: {error}")))
}

/// How often a running core is looked at.
const POLL: Duration = Duration::from_millis(2);
