//! What a UE is told before it starts: who its user is, how it authenticates, where its P-CSCF is, how it behaves.

use crate::handset::{self, Handset};
use crate::watch::Watching;
use cscf::flow::{Hop, Local, Side, Transport};
use ims_aka::Usim;
use ipsec::{Algorithms, Mode};
use sip_core::Status;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use zeroize::Zeroizing;

/// The configuration of one UE. Debug output hides who the user is.
#[derive(Clone)]
pub struct UeConfig {
    /// The private identity (`001010000000001@ims.mnc001.mcc001.3gppnetwork.org`).
    pub impi: String,
    /// The public identity to register, a SIP URI; perhaps a barred temporary one derived from the IMSI.
    pub impu: String,
    /// The home network domain, without a scheme: the Request-URI of a REGISTER.
    pub home_domain: String,
    /// How the UE proves who it is.
    pub credentials: Credentials,
    /// The P-CSCF, as it was learnt at discovery; every request goes there.
    pub pcscf: Hop,
    /// What to write into Contact; the listening point when `None`.
    pub contact: Option<SocketAddr>,
    /// The value of `+sip.instance`, an IMEI URN (`urn:gsma:imei:35332411-091032-0`).
    pub instance_id: Option<String>,
    /// The value of P-Access-Network-Info, in requests that may carry it.
    pub access: Option<String>,
    /// The expiry to ask for.
    pub expires: Duration,
    /// What it offers for security associations with the P-CSCF; `None`: nothing, it registers in clear.
    pub security: Option<SecurityConfig>,
    /// How the UE behaves where the specification leaves it a choice.
    pub policy: Policy,
    /// Whether it watches its registration.
    pub watching: Watching,
    /// Whether it gives the public GRUU that it was assigned as its Contact (RFC 5627 §4.4), where it was given one.
    pub uses_gruu: bool,
    /// What it registers for.
    pub registers_for: RegistersFor,
    /// How it writes what it says.
    pub handset: &'static Handset,
}

/// What a UE registers for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistersFor {
    /// Whatever its user wants.
    #[default]
    Everything,
    /// Emergencies alone (TS 24.229 §5.1.6.2): its contact has `sos`, nobody de-registers it, and nobody watches it.
    Emergencies,
}

impl UeConfig {
    /// The expiry that a UE asks for (TS 24.229 §5.1.1.2.1): 600 000 s.
    pub const EXPIRES: Duration = Duration::from_secs(600_000);

    /// A UE with a USIM, and defaults for everything else.
    pub fn new(
        impi: impl Into<String>,
        impu: impl Into<String>,
        home_domain: impl Into<String>,
        usim: Usim,
        pcscf: Hop,
    ) -> UeConfig {
        UeConfig::with_credentials(impi, impu, home_domain, Credentials::Aka(Box::new(usim)), pcscf)
    }

    /// A UE with these credentials, and defaults for everything else.
    pub fn with_credentials(
        impi: impl Into<String>,
        impu: impl Into<String>,
        home_domain: impl Into<String>,
        credentials: Credentials,
        pcscf: Hop,
    ) -> UeConfig {
        UeConfig {
            impi: impi.into(),
            impu: impu.into(),
            home_domain: home_domain.into(),
            credentials,
            pcscf,
            contact: None,
            instance_id: None,
            access: None,
            expires: UeConfig::EXPIRES,
            security: None,
            policy: Policy::default(),
            watching: Watching::Nothing,
            uses_gruu: false,
            registers_for: RegistersFor::default(),
            handset: &handset::plain::PLAIN,
        }
    }

    /// Becomes a phone of a make: how it writes, what it offers, its transport, its expiry, and the cell that it names.
    ///
    /// Its IMEI is one of the type allocation code for tests, and the user's alone.
    pub fn play(&mut self, handset: &'static Handset) {
        self.handset = handset;
        self.pcscf.transport = handset.transport;
        self.expires = handset.expires;
        self.security = Some(handset.security());
        self.policy.reliable = handset.reliable;
        self.access = handset.access.map(str::to_owned);
        let digits: Vec<u8> = self.impi.bytes().take_while(u8::is_ascii_digit).collect();
        let serial = String::from_utf8_lossy(&digits[digits.len().saturating_sub(6)..]).into_owned();
        self.instance_id = Some(format!("urn:gsma:imei:00101700-{serial:0>6}-0"));
    }
}

impl fmt::Debug for UeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UeConfig")
            .field("home_domain", &self.home_domain)
            .field("credentials", &self.credentials)
            .field("pcscf", &self.pcscf)
            .field("contact", &self.contact)
            .field("expires", &self.expires)
            .field("security", &self.security)
            .field("policy", &self.policy)
            .field("handset", &self.handset)
            .finish_non_exhaustive()
    }
}

/// What a UE offers for security associations (TS 33.203 §7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityConfig {
    /// The pairs of algorithms, the preferred one first.
    pub pairs: Vec<Algorithms>,
    /// The ring of protected server ports, `port-us`: a UE that is not registered takes the next one.
    pub server_ports: Vec<u16>,
    /// The ring of protected client ports, `port-uc`: each REGISTER takes the next one.
    pub client_ports: Vec<u16>,
    /// What it offers for the case of a NAT; `None`: nothing.
    pub tunnel: Option<Tunnel>,
}

/// Where ESP in UDP goes, through a NAT between a UE and its P-CSCF (TS 33.203 Annex M).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The UE's own port.
    pub port: u16,
    /// The P-CSCF's: SIP does not name it.
    pub pcscf_port: u16,
}

impl Default for Tunnel {
    /// The port of RFC 3948 at both ends.
    fn default() -> Tunnel {
        Tunnel { port: 4500, pcscf_port: 4500 }
    }
}

impl Default for SecurityConfig {
    /// Every pair, at ports that a phone could have, and nothing for a NAT.
    fn default() -> SecurityConfig {
        SecurityConfig {
            pairs: Algorithms::ALL.to_vec(),
            server_ports: vec![6300],
            client_ports: vec![6301, 6302, 6303],
            tunnel: None,
        }
    }
}

impl SecurityConfig {
    /// What Security-Client lists, the preferred mechanism first.
    pub fn mechanisms(&self) -> impl Iterator<Item = (Mode, Algorithms)> {
        let in_mode = |mode| self.pairs.iter().map(move |pair| (mode, *pair));
        let tunnels = in_mode(Mode::UdpTunnel).filter(|_| self.tunnel.is_some());
        in_mode(Mode::Transport).chain(tunnels)
    }

    /// The protected listening points at an address, the server ports first.
    pub fn locals(&self, ip: IpAddr) -> Vec<Local> {
        let at =
            |transport, port| Local { side: Side::Protected, transport, address: SocketAddr::new(ip, port) };
        let servers = self
            .server_ports
            .iter()
            .flat_map(|port| [Transport::Udp, Transport::Tcp].map(|transport| at(transport, *port)));
        let clients = self.client_ports.iter().map(|port| at(Transport::Udp, *port));
        servers.chain(clients).collect()
    }
}

/// How a UE proves who it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// IMS-AKA (TS 33.203 §6.1): a USIM or ISIM.
    Aka(Box<Usim>),
    /// SIP digest (TS 33.203 Annex N): a password.
    Digest(Password),
}

/// The password of SIP digest. Wiped when dropped, printed as `Password(..)`.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the password over.
    pub fn new(password: impl Into<String>) -> Password {
        Password(Zeroizing::new(password.into()))
    }

    /// The password itself, for the digest.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How the UE behaves where the specification leaves it a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What happens to an incoming call.
    pub answering: Answering,
    /// What happens after a registration failed for a reason that may pass.
    pub persistence: Persistence,
    /// When the UE sends a 18x reliably (RFC 3262).
    pub reliable: Reliable,
    /// The session interval to ask for (RFC 4028); `None`: no session timer of our own.
    pub session_expires: Option<Duration>,
    /// The shortest session interval that the UE accepts; at least 90 s (RFC 4028 §5).
    pub min_se: Duration,
    /// How many calls at once; one more is refused as busy.
    pub calls_max: usize,
    /// How long the USIM takes over a challenge; some registrars store a vector only after its 401 has left.
    pub challenge_pause: Duration,
    /// Something the UE does wrong, to see what the network makes of it.
    pub fault: Option<Fault>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            answering: Answering::Manual,
            persistence: Persistence::GiveUp,
            reliable: Reliable::WhenRequired,
            session_expires: Some(Duration::from_secs(1800)),
            min_se: Duration::from_secs(90),
            calls_max: 4,
            challenge_pause: Duration::ZERO,
            fault: None,
        }
    }
}

/// What happens to an incoming call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// It rings until a command answers or refuses it.
    Manual,
    /// It rings for a while and is answered.
    After(Duration),
    /// It is refused at once.
    Refuse(Status),
}

/// What happens after a registration failed for a reason that may pass: no answer, a 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Only a Retry-After is obeyed; else the user decides.
    GiveUp,
    /// Try again with a growing pause (RFC 5626 §4.5) until the user de-registers.
    KeepTrying,
}

/// When the UE sends a 18x reliably (RFC 3262).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliable {
    /// Only when the caller requires it.
    WhenRequired,
    /// Whenever the caller supports it.
    WhenSupported,
}

/// Something the UE does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers each challenge with a wrong RES.
    WrongRes,
    /// Takes each challenge for one with a wrong MAC.
    MacFailure,
    /// Never answers a challenge.
    IgnoreChallenge,
    /// Never acknowledges a 2xx to INVITE.
    NoAck,
    /// Claims another identity in P-Preferred-Identity and in P-Asserted-Identity.
    ForgedIdentity,
    /// Sends calls and messages without being registered.
    Unregistered,
    /// Leaves Security-Verify out.
    NoSecurityVerify,
    /// Returns another Security-Verify than the Security-Server that it was sent, as after an attempt to bid it down.
    AlteredSecurityVerify,
    /// Protects what it sends by an association with another SPI.
    WrongSpi,
    /// Goes on with the older set after it has agreed on a newer one.
    StaleSecurity,
    /// Offers other algorithms with the answer to a challenge than before it.
    ChangedAlgorithms,
    /// Sends a protected packet twice, as whoever listens on the way could.
    Replay,
}

impl Fault {
    /// All of them, as a command line names them.
    pub const NAMES: [(&str, Fault); 12] = [
        ("wrong-res", Fault::WrongRes),
        ("mac-failure", Fault::MacFailure),
        ("ignore-challenge", Fault::IgnoreChallenge),
        ("no-ack", Fault::NoAck),
        ("forged-identity", Fault::ForgedIdentity),
        ("unregistered", Fault::Unregistered),
        ("no-security-verify", Fault::NoSecurityVerify),
        ("altered-security-verify", Fault::AlteredSecurityVerify),
        ("wrong-spi", Fault::WrongSpi),
        ("stale-security", Fault::StaleSecurity),
        ("changed-algorithms", Fault::ChangedAlgorithms),
        ("replay", Fault::Replay),
    ];

    /// The fault of a name.
    pub fn named(name: &str) -> Option<Fault> {
        Fault::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, fault)| fault)
    }
}
