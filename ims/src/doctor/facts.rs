//! What is so: looked at, and not judged.

use super::{peers, system};
use crate::control;
use crate::roster::Roster;
use cscf::assembly::Part;
use cscf::config::{Config, StoreKind};
use cscf::resolve::{Question, Records};
use hss_mock::Subscriber;
use shell::control::socket_path;
use shell::process;
use shell::{Speaks, Tls};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All that the checks judge.
#[derive(Debug)]
pub struct Facts {
    /// Which of our processes take commands.
    pub running: BTreeSet<&'static str>,
    /// Our listening points, and whether they can be bound.
    pub points: Vec<Point>,
    /// Whether the kernel can be asked for security associations.
    pub xfrm: Result<(), String>,
    /// Whether the kernel has ESP; `None` where that cannot be told.
    pub esp: Option<bool>,
    /// Whether SCTP can be had.
    pub sctp: Result<(), String>,
    /// The effective capabilities of this user, as a bit set (capabilities(7)).
    pub capabilities: u64,
    /// How many files a process may have open at most.
    pub open_files_max: Option<u64>,
    /// Processors.
    pub processors: usize,
    /// Memory that can be had, in octets.
    pub memory_octets: Option<u64>,
    /// By the address of a listening point, the MTU of its interface.
    pub mtus: Vec<(IpAddr, u32)>,
    /// Seconds since the Unix epoch, and whether something keeps the clock right.
    pub clock: Clock,
    /// How packets to UEs leave.
    pub route: Option<Route>,
    /// What name servers say.
    pub names: Vec<(Question, Records)>,
    /// What became of a capabilities exchange with each HSS.
    pub peers: Vec<PeerAnswer>,
    /// The subscribers, as far as they can be read.
    pub subscribers: Result<Vec<Subscriber>, String>,
    /// The directory of the journals.
    pub store: Option<Directory>,
    /// The directory of the control sockets.
    pub control: Directory,
    /// What is wrong with the files of TLS.
    pub tls: Result<bool, String>,
}

/// One listening point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The process that is to listen there.
    pub process: &'static str,
    /// What it speaks.
    pub what: String,
    /// The address.
    pub address: SocketAddr,
    /// Whether it can be bound.
    pub bound: Bound,
}

/// What became of binding an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It can be.
    Free,
    /// Somebody listens there.
    Taken,
    /// This host has no such address.
    NotLocal,
    /// This user may not.
    NotAllowed,
    /// Something else.
    Failed(String),
    /// Not tried: our own ESP binds no port.
    NotTried,
}

/// The clock of this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Since the Unix epoch.
    pub now_s: u64,
    /// Whether something keeps it right; `None` where nobody tells.
    pub is_synchronised: Option<bool>,
}

/// How packets to a network leave this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network.
    pub pool: Pool,
    /// Our address towards it, or why there is no way.
    pub own: Result<IpAddr, String>,
    /// Whether only the default route leads there; `None` where that cannot be told.
    pub is_default: Option<bool>,
}

/// A network of UEs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its first address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

/// What became of a capabilities exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAnswer {
    /// Its name in the configuration.
    pub host: String,
    /// Its address.
    pub address: SocketAddr,
    /// What it said.
    pub said: PeerSaid,
}

/// What a Diameter peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerSaid {
    /// It takes us: a CEA with success.
    Up,
    /// It answered, and does not take us; why.
    Refused(String),
    /// Nobody is there, or nobody answered.
    Silent(String),
    /// Not asked; why.
    NotAsked(&'static str),
}

/// A directory that a process writes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Where.
    pub path: PathBuf,
    /// Why nothing can be written there.
    pub fault: Option<String>,
    /// Octets that are free.
    pub free_octets: Option<u64>,
    /// Whether others may write there.
    pub is_open_to_others: bool,
}

impl std::str::FromStr for Pool {
    type Err = String;

    fn from_str(text: &str) -> Result<Pool, String> {
        let wrong = || "write it as 10.45.0.0/16 or 2001:db8::/48".to_owned();
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix > bits { Err(wrong()) } else { Ok(Pool { address, prefix }) }
    }
}

impl Pool {
    /// An address of a UE: the one behind the first.
    pub fn ue(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits().saturating_add(1)).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits().saturating_add(1)).into()),
        }
    }
}

/// Looks at all but names.
pub fn look(config: &Config, pool: Option<Pool>, within: Duration) -> Facts {
    let running = running(config);
    let points = points(config);
    let mut ips: Vec<IpAddr> = points.iter().map(|point| point.address.ip()).collect();
    ips.sort_unstable();
    ips.dedup();
    Facts {
        xfrm: shell::ipsec::Xfrm::open()
            .and_then(|mut xfrm| xfrm.list())
            .map(drop)
            .map_err(|error| error.to_string()),
        esp: system::has_esp(),
        sctp: process::has_sctp().map_err(|error| error.to_string()),
        capabilities: system::capabilities(),
        open_files_max: system::open_files_max(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory_octets: system::memory_octets(),
        mtus: ips.into_iter().filter_map(|ip| Some((ip, system::mtu_of(ip)?))).collect(),
        clock: system::clock(),
        route: pool.map(system::route),
        names: Vec::new(),
        peers: peers::ask(config, &running, within),
        subscribers: Roster::of(config)
            .map(|roster| roster.subscribers().to_vec())
            .map_err(|failure| failure.to_string()),
        store: (config.store.kind == StoreKind::File).then(|| directory(&config.store.path)),
        control: directory(&control::directory(config)),
        tls: Tls::of(config).map(|tls| tls.is_some()).map_err(|error| error.to_string()),
        points,
        running,
    }
}

/// What name servers are asked: how others find this network (RFC 3263 §4.1).
pub fn questions(config: &Config) -> Vec<Question> {
    let domain = config.home.domain();
    vec![
        Question::Naptr(domain.to_owned()),
        Question::Srv(format!("_sip._udp.{domain}")),
        Question::Address(config.pcscf.host.clone()),
        Question::Address(config.icscf.host.clone()),
    ]
}

/// The processes whose control sockets somebody serves.
fn running(config: &Config) -> BTreeSet<&'static str> {
    let directory = control::directory(config);
    let answers =
        |name: &&str| std::os::unix::net::UnixStream::connect(socket_path(&directory, name)).is_ok();
    ["pcscf", "icscf", "scscf", "ecscf", control::HSS].into_iter().filter(answers).collect()
}

fn points(config: &Config) -> Vec<Point> {
    let mut points = Vec::new();
    for part in Part::ALL {
        // Those of our own ESP are the raw socket's.
        for binding in process::bindings(part, config) {
            points.push(point(part.name(), binding.speaks, binding.address));
        }
    }
    for local in &config.ecscf.listen {
        let binding = shell::Binding::from(local);
        points.push(point("ecscf", binding.speaks, binding.address));
    }
    for listen in &config.hss.listen {
        let binding = shell::Binding::from(listen);
        points.push(point(control::HSS, binding.speaks, binding.address));
    }
    for process in ["pcscf", "icscf", "scscf", "ecscf", control::HSS, "ims-core"] {
        if let Some(address) = config.metrics.of(process) {
            let bound = bound(TcpListener::bind(address).map(drop));
            points.push(Point { process, what: "metrics on tcp".to_owned(), address, bound });
        }
    }
    points
}

fn point(process: &'static str, speaks: Speaks, address: SocketAddr) -> Point {
    let bound = match speaks {
        Speaks::SipDatagrams => bound(UdpSocket::bind(address).map(drop)),
        Speaks::SipStreams | Speaks::SipTls | Speaks::DiameterStreams => {
            bound(TcpListener::bind(address).map(drop))
        }
        Speaks::DiameterSctp => Bound::NotTried,
    };
    Point { process, what: speaks.to_string(), address, bound }
}

fn bound(tried: std::io::Result<()>) -> Bound {
    match tried {
        Ok(()) => Bound::Free,
        Err(error) => match error.kind() {
            ErrorKind::AddrInUse => Bound::Taken,
            ErrorKind::AddrNotAvailable => Bound::NotLocal,
            ErrorKind::PermissionDenied => Bound::NotAllowed,
            _ => Bound::Failed(error.to_string()),
        },
    }
}

/// Tries to write below `path`, or, when it is not there yet, where it would be made.
fn directory(path: &Path) -> Directory {
    let there = path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let trial = there.join(format!(".ims-doctor-{}", std::process::id()));
    let tried = std::fs::OpenOptions::new().write(true).create_new(true).open(&trial);
    let fault = tried.err().map(|error| error.to_string());
    if fault.is_none() {
        // It was made a moment ago.
        let _ = std::fs::remove_file(&trial);
    }
    Directory {
        path: path.to_owned(),
        // What cannot be written to needs no room.
        free_octets: fault.is_none().then(|| system::free_octets(there)).flatten(),
        is_open_to_others: system::is_open_to_others(path),
        fault,
    }
}
