//! A phone: a UE of a subscriber, on a socket of its own, and somebody who listens to what it says.

use crate::arguments::Entry;
use crate::core::{Tracing, check, entropy, spawn};
use crate::exit::Failure;
use crate::roster::{card, identities_of_phone as identities, reachable_at};
use ambient::Entropy;
use cscf::config::{Config, IpsecSection, SecurityBackEnd, SecurityPolicy};
use cscf::flow::{Hop, Local, Side, Transport};
use cscf::ladder::{Kind, Ladder, Party};
use cscf::{assembly, trace};
use hss_mock::Subscriber;
use shell::{Binding, Clock, Handle, Security, Setup, Sockets, Tls};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use ue::{
    Answering, CallNumber, Command, Deregistration, Ending, Fault, Handset, Notice, Password, Policy,
    RegistersFor, RegistrationFailure, RequestFailure, SecurityConfig, Tunnel, Ue, UeConfig,
};

/// Where a phone listens.
struct Ports {
    sockets: Sockets,
    locals: Vec<Local>,
    /// Where it takes what is not protected.
    address: SocketAddr,
    /// What it offers for security associations, where the P-CSCF requires them.
    offers: Option<SecurityConfig>,
    security: Security,
}

impl Ports {
    /// Free ports of an address.
    ///
    /// A handset has as many protected ports as it has, and they are free ones of this host: many phones share it.
    fn bind(
        ip: IpAddr,
        ipsec: &IpsecSection,
        way: Transport,
        handset: &Handset,
        entropy: &mut Entropy,
    ) -> Result<Ports, Failure> {
        let failed = |error: shell::BindError| Failure::Failed(error.to_string());
        let local = |address| move |transport| Local { side: Side::Access, transport, address };
        // A phone of a make offers what it has wherever that is of use; a plain one, where it must.
        let is_protected = match ipsec.policy {
            SecurityPolicy::Required => true,
            SecurityPolicy::Optional => handset != Handset::plain(),
            SecurityPolicy::Off => false,
        };
        if !is_protected || way == Transport::Tls {
            let sockets = Sockets::bind_free(ip).map_err(failed)?;
            let address = sockets.addresses().first().map(|binding| binding.address);
            let address = address.ok_or_else(|| Failure::Failed("no socket is bound".to_owned()))?;
            let mut locals = [Transport::Udp, Transport::Tcp].map(local(address)).to_vec();
            // Nobody can connect to it: the address is what Via and Contact say of a connection of its own.
            locals.extend((way == Transport::Tls).then(|| local(address)(Transport::Tls)));
            return Ok(Ports { sockets, locals, address, offers: None, security: Security::None });
        }
        let mut tries_left = FREE_PORTS_TRIES;
        loop {
            let first = FIRST_FREE_PORT + entropy.below(FREE_PORTS) as u16;
            let address = SocketAddr::new(ip, first);
            let SecurityConfig { pairs, server_ports, client_ports, .. } = handset.security();
            let mut free = first + 1..;
            let server_ports = free.by_ref().take(server_ports.len()).collect();
            let client_ports = free.by_ref().take(client_ports.len()).collect();
            // Nobody knows whether there is a NAT before the P-CSCF has seen where the REGISTER comes from.
            let tunnel_port = ipsec.tunnel_port().zip(free.next());
            let tunnel = tunnel_port.map(|(pcscf_port, port)| Tunnel { port, pcscf_port });
            let offers = SecurityConfig { pairs, server_ports, client_ports, tunnel };
            let protected = offers.locals(ip);
            let security = match ipsec.back_end {
                SecurityBackEnd::Xfrm => Security::Xfrm { guarded: Vec::new() },
                SecurityBackEnd::Userspace => {
                    let protected = protected.iter().map(|local| local.address).collect();
                    let encapsulated = tunnel.map(|tunnel| SocketAddr::new(ip, tunnel.port));
                    Security::Userspace { protected, encapsulated: encapsulated.into_iter().collect() }
                }
            };
            let open = [Transport::Udp, Transport::Tcp].map(local(address));
            let bound = protected.iter().filter(|_| ipsec.back_end == SecurityBackEnd::Xfrm);
            match Sockets::bind(open.iter().chain(bound).map(Binding::from)) {
                Ok(sockets) => {
                    let locals = open.into_iter().chain(protected).collect();
                    return Ok(Ports { sockets, locals, address, offers: Some(offers), security });
                }
                Err(_) if tries_left > 0 => tries_left -= 1,
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// Where runs of free ports are looked for: below those that the system gives out.
const FIRST_FREE_PORT: u16 = 20_000;
const FREE_PORTS: u64 = 12_000;
const FREE_PORTS_TRIES: u8 = 50;

/// A running phone.
pub struct Phone {
    name: String,
    dialled: String,
    address: SocketAddr,
    handle: Handle<Command, Notice>,
    /// What it said while somebody waited for something else.
    heard: Vec<Notice>,
}

impl Phone {
    /// Switches the phone of `subscriber` on; it registers only when asked to.
    pub fn start(
        subscriber: &Subscriber,
        config: &Config,
        (entry, handset): (&Entry, &'static Handset),
        clock: Clock,
        tracing: Tracing,
    ) -> Result<Phone, Failure> {
        let listen = &config.pcscf.listen;
        let of = |transport| listen.iter().find(|local| local.transport == transport);
        let wanted = entry.transport.map(Transport::from);
        let pcscf = match wanted {
            Some(wanted) => of(wanted),
            None => of(handset.transport).or(listen.first()),
        };
        let pcscf = pcscf.ok_or_else(|| {
            let wanted = wanted.map_or("an address".to_owned(), |wanted| format!("\"{wanted}:ip:port\""));
            Failure::Usage(format!("pcscf.listen: the P-CSCF does not listen there; add {wanted}"))
        })?;
        let hop = Hop { transport: pcscf.transport, remote: pcscf.address };
        let tls = tls(config, entry, hop)?;
        let Ports { sockets, locals, address, offers, security } =
            Ports::bind(source_towards(hop.remote)?, &config.ipsec, hop.transport, handset, &mut entropy()?)?;
        let mut ue = match &entry.password {
            Some(password) => {
                let (impi, impu) = identities(subscriber)?;
                let credentials = ue::Credentials::Digest(Password::new(password.clone()));
                UeConfig::with_credentials(impi, impu, config.home.domain(), credentials, hop)
            }
            None => {
                let (impi, impu, usim) = card(subscriber)?;
                UeConfig::new(impi, impu, config.home.domain(), usim, hop)
            }
        };
        ue.play(handset);
        ue.watching = entry.watching;
        if entry.emergency {
            ue.registers_for = RegistersFor::Emergencies;
        }
        let policy = Policy { answering: Answering::After(RING_TIME), ..ue.policy };
        let ue = Ue::new(UeConfig { policy, pcscf: hop, security: offers, ..ue });
        let station = assembly::sip_station(ue, config, locals, None, entropy()?);
        let setup = Setup {
            trace: tracing == Tracing::On,
            recorder: (subscriber.name.clone(), config.recorder.rule.clone()),
            security,
            tls,
            ..Setup::new(sockets, clock, entropy()?)
        };
        let handle = spawn(&subscriber.name, station, setup)?;
        let (name, dialled) = (subscriber.name.clone(), reachable_at(subscriber)?.to_owned());
        Ok(Phone { name, dialled, address, handle, heard: Vec::new() })
    }

    /// The same phone, which others reach by `dialled`.
    pub fn dialled_as(self, dialled: String) -> Phone {
        Phone { dialled, ..self }
    }

    /// From here on it does this wrong.
    pub fn does_wrong(&self, fault: Fault) -> Result<(), Failure> {
        let policy =
            Policy { answering: Answering::After(RING_TIME), fault: Some(fault), ..Policy::default() };
        self.command(Command::SetPolicy(policy))
    }

    /// What others dial to reach it.
    pub fn dialled(&self) -> &str {
        &self.dialled
    }

    /// The name of its subscriber.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Registers, and tells the identities and the time that the network granted.
    pub fn register(&mut self, until: Instant) -> Result<(Vec<String>, u32), Failure> {
        self.command(Command::Register)?;
        self.listen(until, "to be registered", |notice| match notice {
            Notice::Registered { identities, expires_s, .. } => Some(Ok((identities.clone(), *expires_s))),
            Notice::RegistrationFailed(failure) => Some(Err(match failure {
                RegistrationFailure::Unreachable(_) => Failure::Unreachable(failure.to_string()),
                RegistrationFailure::Timeout => Failure::Timeout(failure.to_string()),
                _ => Failure::Failed(failure.to_string()),
            })),
            _ => None,
        })
    }

    /// De-registers.
    pub fn deregister(&mut self, until: Instant) -> Result<(), Failure> {
        self.command(Command::Deregister)?;
        self.listen(until, "to be de-registered", |notice| match notice {
            Notice::Deregistered(Deregistration::Confirmed) => Some(Ok(())),
            Notice::Deregistered(other) => Some(Err(Failure::Failed(format!("de-registration: {other:?}")))),
            _ => None,
        })
    }

    /// Sends a text and waits until the network has taken it.
    pub fn message(&mut self, to: &str, text: &str, until: Instant) -> Result<(), Failure> {
        self.command(Command::Message { to: to.to_owned(), text: text.to_owned() })?;
        self.listen(until, "for its message to be taken", |notice| match notice {
            Notice::MessageSent { .. } => Some(Ok(())),
            Notice::MessageFailed { failure, .. } => Some(Err(match failure {
                RequestFailure::Unreachable(_) => Failure::Unreachable(failure.to_string()),
                RequestFailure::Timeout => Failure::Timeout(failure.to_string()),
                RequestFailure::Refused(_) => Failure::Failed(failure.to_string()),
            })),
            _ => None,
        })
    }

    /// Waits for a text.
    pub fn receive(&mut self, until: Instant) -> Result<String, Failure> {
        self.listen(until, "for a message", |notice| match notice {
            Notice::MessageReceived { text, .. } => Some(Ok(text.clone())),
            _ => None,
        })
    }

    /// Calls somebody and waits for the answer.
    pub fn call(&mut self, to: &str, until: Instant) -> Result<CallNumber, Failure> {
        self.command(Command::Call { to: to.to_owned(), offer: None })?;
        self.answered(until)
    }

    /// Waits until a call is set up.
    pub fn answered(&mut self, until: Instant) -> Result<CallNumber, Failure> {
        self.listen(until, "for its call to be set up", |notice| match notice {
            Notice::Established { call, .. } => Some(Ok(*call)),
            Notice::Ended { ending, .. } => Some(Err(match ending {
                Ending::Unreachable(why) => Failure::Unreachable((*why).to_owned()),
                Ending::NoAnswer => Failure::Timeout("no answer to the call".to_owned()),
                Ending::Refused { status, reason } => Failure::Failed(format!("refused: {status} {reason}")),
                other => Failure::Failed(format!("the call ended: {other:?}")),
            })),
            _ => None,
        })
    }

    /// What it says next, if it says anything for so long.
    pub fn next(&mut self, at_most: Duration) -> Option<Notice> {
        if !self.heard.is_empty() {
            return Some(self.heard.remove(0));
        }
        self.handle.notices.recv_timeout(at_most).ok()
    }

    /// Where it takes what is not protected.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has sent and received since the last time.
    pub fn take_events(&self) -> Vec<trace::Event> {
        self.handle.traces.try_iter().collect()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.handle.is_finished()
    }

    /// Hangs up.
    pub fn hang_up(&mut self, call: CallNumber) -> Result<(), Failure> {
        self.command(Command::Hangup { call: Some(call) })
    }

    /// Waits until a call is over.
    pub fn ended(&mut self, until: Instant) -> Result<(), Failure> {
        self.listen(until, "for the call to end", |notice| match notice {
            Notice::Ended { ending: Ending::Local | Ending::Remote, .. } => Some(Ok(())),
            Notice::Ended { ending, .. } => Some(Err(Failure::Failed(format!("the call ended: {ending:?}")))),
            _ => None,
        })
    }

    /// The phone's column in a ladder.
    pub fn column(&self, ladder: &mut Ladder) -> Party {
        ladder.column(&self.name, Kind::Ue, [self.address])
    }

    /// Switches the phone off, and gives every message that it sent or received.
    pub fn stop(self) -> Result<Vec<trace::Event>, Failure> {
        let mut events = Vec::new();
        self.handle.drain();
        while !self.handle.is_finished() {
            events.extend(self.handle.traces.try_iter());
            std::thread::sleep(Duration::from_millis(2));
        }
        events.extend(self.handle.traces.try_iter());
        check(self.handle.join())?;
        Ok(events)
    }

    /// Has it begin something; what comes of it is among what it says [`Phone::next`].
    pub fn command(&self, command: Command) -> Result<(), Failure> {
        self.handle.command(command).map_err(|gone| Failure::Failed(format!("{}: {gone}", self.name)))
    }

    /// The first notice, said before or until then, that `pick` takes.
    fn listen<T>(
        &mut self,
        until: Instant,
        what: &str,
        pick: impl Fn(&Notice) -> Option<Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let whose = |failure| named(&self.name, failure);
        if let Some((at, picked)) =
            self.heard.iter().enumerate().find_map(|(at, notice)| Some((at, pick(notice)?)))
        {
            self.heard.remove(at);
            return picked.map_err(whose);
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(notice) = self.handle.notices.recv_timeout(left) else {
                return Err(Failure::Timeout(format!("{} waited {what}", self.name)));
            };
            if let Notice::Refused { command, why } = &notice {
                return Err(Failure::Failed(format!("{}: {command}: {why}", self.name)));
            }
            match pick(&notice) {
                Some(picked) => return picked.map_err(whose),
                None => self.heard.push(notice),
            }
        }
    }
}

/// The failure with the name of the one that it happened to.
fn named(name: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Failed(why) => Failure::Failed(format!("{name}: {why}")),
        Failure::Unreachable(why) => Failure::Unreachable(format!("{name}: {why}")),
        Failure::Timeout(why) => Failure::Timeout(format!("{name}: {why}")),
        usage @ Failure::Usage(_) => usage,
    }
}

/// The TLS of a phone: whom it believes, by which name.
fn tls(config: &Config, entry: &Entry, hop: Hop) -> Result<Option<Tls>, Failure> {
    if hop.transport != Transport::Tls {
        return Ok(None);
    }
    let anchors = entry.trust_anchors.as_ref().or(config.tls.trust_anchors.as_ref()).ok_or_else(|| {
        let why = "TLS needs trust anchors: write --trust-anchors FILE, or [tls] trust_anchors";
        Failure::Usage(why.to_owned())
    })?;
    let tls = Tls::client(anchors, &config.pcscf.host, hop.remote);
    tls.map(Some).map_err(|error| Failure::Usage(error.to_string()))
}

/// The address of this host that packets to `remote` leave from.
fn source_towards(remote: SocketAddr) -> Result<IpAddr, Failure> {
    let unspecified: SocketAddr =
        if remote.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let source = UdpSocket::bind(unspecified).and_then(|socket| {
        // Sends nothing: it only asks the routing table.
        socket.connect(remote)?;
        socket.local_addr()
    });
    source.map(|address| address.ip()).map_err(|error| Failure::Unreachable(format!("{remote}: {error}")))
}

/// Between hanging up and what comes next: the answer to the BYE is on its way when both ends have hung up already.
pub const PAUSE: Duration = Duration::from_millis(50);
/// How long a called phone rings.
const RING_TIME: Duration = Duration::from_millis(200);
