//! A whole core in this process: the three CSCFs and the HSS.

use crate::control::HSS;
use crate::cscfs::{Arrangement, CscfSockets, Cscfs};
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
use ecscf::Ecscf;
use hss_mock::station::{HssNotice, HssStation};
use hss_mock::store::keeper::Keeper;
use hss_mock::{Hss, HssCommand, HssConfig};
use shell::control::ControlError;
use shell::driver::Ended;
use shell::metrics::{Expected, Metrics, MetricsSocket, Subject};
use shell::{
    Acknowledge, Backend, Binding, Clock, Control, ControlSocket, Driver, Handle, Reload, Setup, Sockets,
    Store, Tls, system_entropy,
};
use shell::{colocated, process};
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
    cscfs: CscfSockets,
    /// Where there is an E-CSCF.
    ecscf: Option<Sockets>,
    hss: Sockets,
}

impl CoreSockets {
    /// Those that a configuration names.
    pub fn of(config: &Config, arrangement: Arrangement) -> Result<CoreSockets, Failure> {
        let sip = |part: Part, bindings: Vec<Binding>| {
            let shards = NonZeroU16::new(part.shards(config)).unwrap_or(NonZeroU16::MIN);
            Sockets::bind_for(shards, bindings).map_err(|error| Failure::Failed(error.to_string()))
        };
        let apart = |part| sip(part, process::bindings(part, config));
        Ok(CoreSockets {
            cscfs: match arrangement {
                Arrangement::Sockets => {
                    CscfSockets::Apart([apart(Part::Pcscf)?, apart(Part::Icscf)?, apart(Part::Scscf)?])
                }
                Arrangement::Memory => CscfSockets::Together(sip(Part::Pcscf, colocated::bindings(config))?),
            },
            ecscf: match config.ecscf.listen.is_empty() {
                true => None,
                false => Some(bind(config.ecscf.listen.iter().map(Binding::from))?),
            },
            hss: bind(config.hss.listen.iter().map(Binding::from))?,
        })
    }

    /// Free ports of four loopback addresses, and which ones they are.
    pub fn free() -> Result<(CoreSockets, LabAddresses), Failure> {
        let loopback = |host| IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
        let free =
            |host| Sockets::bind_free(loopback(host)).map_err(|error| Failure::Failed(error.to_string()));
        let (pcscf, icscf, scscf) = (free(10)?, free(11)?, free(12)?);
        let hss = bind([Binding::diameter(SocketAddr::new(loopback(13), 0))])?;
        let lab = LabAddresses {
            pcscf: first_address(&pcscf)?,
            icscf: first_address(&icscf)?,
            scscf: first_address(&scscf)?,
            hss: first_address(&hss)?,
        };
        let cscfs = CscfSockets::Apart([pcscf, icscf, scscf]);
        Ok((CoreSockets { cscfs, ecscf: None, hss }, lab))
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
    cscfs: Cscfs,
    ecscf: Option<Handle<Infallible, Infallible>>,
    hss: Handle<HssCommand, HssNotice>,
    events: [Vec<trace::Event>; 3],
    hss_events: Vec<trace::Event>,
}

/// What the machines of a core have alike.
pub struct Launch {
    tls: Option<Tls>,
    clock: Clock,
    tracing: Tracing,
}

impl Launch {
    /// What one machine starts with.
    pub fn setup(
        &self,
        config: &Config,
        (store, restored): (Store, Vec<Record>),
        sockets: Sockets,
    ) -> Result<Setup, Failure> {
        Ok(Setup {
            store,
            restored,
            tls: self.tls.clone(),
            trace: self.tracing == Tracing::On,
            dns: config.dns.clone(),
            recorder: (String::new(), config.recorder.rule.clone()),
            drain_max: config.limits.drain,
            write_buffer_max: config.limits.connection_buffer_bytes,
            ..Setup::new(sockets, self.clock, entropy()?)
        })
    }
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
        <scscf::Scscf as cscf::Role>::check(&config).map_err(|error| Failure::Usage(error.to_string()))?;
        let tls = Tls::of(&config).map_err(|error| Failure::Usage(error.to_string()))?;
        let hss = hss_station(&config, roster)?;
        let launch = Launch { tls: None, clock, tracing };
        let hss = spawn("hss", hss, launch.setup(&config, hss_store(&config, roster)?, sockets.hss)?)?;
        let launch = Launch { tls: tls.clone(), ..launch };
        let cscfs = Cscfs::start(&config, sockets.cscfs, &launch)?;
        let beside = |sockets| {
            let (role, locals) = (Ecscf::new(config.clone()), config.ecscf.listen.clone());
            let station = assembly::sip_station(role, &config, locals, None, entropy()?);
            let launch = Launch { tracing: Tracing::Off, tls: tls.clone(), clock };
            spawn("ecscf", station, launch.setup(&config, (Store::memory(), Vec::new()), sockets)?)
        };
        let ecscf = sockets.ecscf.map(beside).transpose()?;
        Ok(Core { config, tls, cscfs, ecscf, hss, events: Default::default(), hss_events: Vec::new() })
    }

    /// Takes commands of an operator at sockets in `directory` while what is returned lives; `file` is what
    /// `ims reload` reads.
    pub fn operate(&mut self, directory: &Path, file: Option<&Path>) -> Result<Vec<Control>, Failure> {
        let reload =
            Arc::new(Reload::new(self.config.clone(), file.map(Path::to_owned)).with_tls(self.tls.clone()));
        let opened = || {
            let mut controls = self.cscfs.operate(directory, &reload)?;
            let hss = ControlSocket::bind(directory, HSS)?;
            controls.push(hss.serve(self.hss.operator(), hss_mock::WORDING, Arc::clone(&reload))?);
            if let Some(ecscf) = &mut self.ecscf {
                let socket = ControlSocket::bind(directory, "ecscf")?;
                controls.push(socket.serve(ecscf.operator(), Wording::NONE, reload)?);
            }
            Ok(controls)
        };
        opened().map_err(|error: ControlError| Failure::Failed(error.to_string()))
    }

    /// Tells what all functions have counted, at `socket`, while what is returned lives.
    pub fn measure(&self, socket: MetricsSocket) -> Result<Metrics, Failure> {
        let mut meters = self.cscfs.meters();
        meters.push(self.hss.meter());
        meters.extend(self.ecscf.iter().map(Handle::meter));
        let mut expected = ["pcscf", "icscf", "scscf", HSS].map(Expected::of).to_vec();
        expected.extend(self.ecscf.iter().map(|_| Expected::of("ecscf")));
        socket.serve(Subject { meters, expected }).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// Waits until the I- and the S-CSCF have their Diameter connections; the core must be traced.
    pub fn wait_for_hss(&mut self, within: Duration) -> Result<(), Failure> {
        let until = Instant::now() + within;
        loop {
            self.collect();
            let accepted = self.hss_events.iter().filter(|event| is_accepted_peer(event)).count();
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
        self.cscfs.drain();
        self.ecscf.iter().for_each(Handle::drain);
        // The HSS goes last: its peers say goodbye to it (RFC 6733 §5.4).
        while !self.cscfs.are_finished() {
            self.collect();
            std::thread::sleep(POLL);
        }
        self.hss.drain();
        while !self.hss.is_finished() {
            self.collect();
            std::thread::sleep(POLL);
        }
        self.collect();
        let Core { cscfs, ecscf, hss, events: [pcscf, icscf, scscf], hss_events, .. } = self;
        let mut events = [pcscf, icscf, scscf, hss_events];
        // The shards of one function tell each their own in order.
        events.iter_mut().for_each(|events| events.sort_by_key(|event| event.at.instant));
        cscfs.join()?;
        if let Some(ecscf) = ecscf {
            check(ecscf.join())?;
        }
        check(hss.join())?;
        Ok(events)
    }

    /// Whether a machine has ended by itself, which none should.
    pub fn has_ended(&self) -> bool {
        let has_ecscf_ended = self.ecscf.as_ref().is_some_and(Handle::is_finished);
        self.cscfs.has_one_ended() || has_ecscf_ended || self.hss.is_finished()
    }

    /// What the functions have told since the last time, in the order of [`Core::columns`].
    pub fn take_events(&mut self) -> [Vec<trace::Event>; 4] {
        self.collect();
        let [pcscf, icscf, scscf] = std::mem::take(&mut self.events);
        [pcscf, icscf, scscf, std::mem::take(&mut self.hss_events)]
    }

    fn collect(&mut self) {
        self.cscfs.collect(&mut self.events);
        self.hss_events.extend(self.hss.traces.try_iter());
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

/// Where the HSS keeps its changes: in its database, where it has one, as the process of an HSS does.
fn hss_store(config: &Config, roster: &Roster) -> Result<(Store, Vec<Record>), Failure> {
    let Some(url) = database_url(config) else {
        return process::open_store("hss", config).map_err(|failure| Failure::Failed(failure.to_string()));
    };
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

/// Runs a machine.
pub fn spawn<M: cscf::station::Operated + 'static>(
    name: &str,
    machine: M,
    setup: Setup,
) -> Result<Handle<M::Command, M::Notice>, Failure> {
    spawn_shards(name, vec![machine], setup)
}

/// Runs the shards of a function.
pub fn spawn_shards<M: cscf::station::Operated + 'static>(
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
