//! The configuration: one TOML file for a deployment, each section as plain data.
//!
//! `[plmn] mcc, mnc` is given, everything else is derived from it or has a default, and can be overridden. All checking
//! happens here, at start: every mistake is a [`ConfigError`] with file, line, key and remedy.

mod access;
mod address;
mod bgcf;
mod change;
mod check;
mod control;
mod criteria;
mod ecscf;
mod fault;
mod hss;
mod icscf;
mod ipsec;
mod limits;
mod media_profile;
mod metrics;
mod mtu;
mod network;
mod pcscf;
mod reader;
mod recorder;
mod scscf;
mod tls;
mod value;

pub use access::{AccessNetwork, AccessSection};
pub use address::{DiameterPeer, DiameterPoint, Points, StoreUrl, TrustedNet};
pub use bgcf::{BgcfSection, BreakoutRule};
pub use control::ControlSection;
pub use criteria::{SharedIfcSet, WrittenCriteria};
pub use ecscf::{EcscfSection, Psap};
pub use fault::{ConfigError, suggestion};
pub use hss::HssSection;
pub use icscf::{IcscfSection, ScscfEntry};
pub use ipsec::IpsecSection;
pub use limits::{LimitsSection, LogSection, StoreSection, TimersSection};
pub use media_profile::MediaProfile;
pub use metrics::MetricsSection;
pub use mtu::NetworkSection;
pub use network::{DiameterSection, DnsSection, TrustSection};
pub use pcscf::PcscfSection;
pub use reader::{Effective, Origin};
pub use recorder::RecorderSection;
pub use scscf::{ScscfSection, SessionTimers};
pub use tls::TlsSection;
pub use value::{
    EmergencyCallers, EmergencyPolicy, ListedMechanisms, LogFormat, LogLevel, Personality, Reauthenticate,
    RouteEnforcement, Scheme, SecurityBackEnd, SecurityPolicy, SecurityProfile, StoreKind, duration,
};

use crate::flow::Hop;
use crate::identity::{HomeNetwork, Plmn, PlmnError};
use reader::{Fallback, Reader};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use value::Fault;

/// The whole configuration of a deployment. Every role reads the same file and takes its own section.
#[derive(Clone, Debug)]
pub struct Config {
    /// The home PLMN, and the domain and realm derived from it.
    pub home: HomeNetwork,
    /// The P-CSCF.
    pub pcscf: PcscfSection,
    /// Which way in UEs may take, by their access network.
    pub access: AccessSection,
    /// Security associations between UEs and the P-CSCF.
    pub ipsec: IpsecSection,
    /// TLS, at whoever listens for it or connects by it.
    pub tls: TlsSection,
    /// The I-CSCF.
    pub icscf: IcscfSection,
    /// The S-CSCF.
    pub scscf: ScscfSection,
    /// The E-CSCF.
    pub ecscf: EcscfSection,
    /// Where calls break out to other networks.
    pub bgcf: BgcfSection,
    /// The mock HSS.
    pub hss: HssSection,
    /// Diameter, at whoever speaks it.
    pub diameter: DiameterSection,
    /// What is known of the network between the functions.
    pub network: NetworkSection,
    /// The trust domain.
    pub trust: TrustSection,
    /// Names that need no DNS server, in lower case: this deployment's own, and those of `[names]`.
    pub names: BTreeMap<String, Vec<Hop>>,
    /// DNS for the other names.
    pub dns: DnsSection,
    /// Where the CSCFs keep what must survive them.
    pub store: StoreSection,
    /// Where running processes take commands.
    pub control: ControlSection,
    /// Where running processes tell what they have counted.
    pub metrics: MetricsSection,
    /// What is kept of what happened.
    pub recorder: RecorderSection,
    /// Bounds of every table and buffer.
    pub limits: LimitsSection,
    /// The SIP timers.
    pub timers: TimersSection,
    /// Logging.
    pub log: LogSection,
    effective: Vec<Effective>,
}

/// Where the four functions of a lab listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabAddresses {
    /// The P-CSCF.
    pub pcscf: SocketAddr,
    /// The I-CSCF.
    pub icscf: SocketAddr,
    /// The S-CSCF.
    pub scscf: SocketAddr,
    /// The HSS.
    pub hss: SocketAddr,
}

impl Default for LabAddresses {
    /// Four loopback addresses, with the ports that such functions have in most labs.
    fn default() -> LabAddresses {
        let loopback = |host, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), port);
        LabAddresses {
            pcscf: loopback(10, 5060),
            icscf: loopback(11, 4060),
            scscf: loopback(12, 6060),
            hss: loopback(13, 3868),
        }
    }
}

/// The text of a lab.
fn lab(plmn: &Plmn, lab: &LabAddresses) -> String {
    format!(
        "[plmn]\nmcc = \"{}\"\nmnc = \"{}\"\n\
         [pcscf]\nlisten = \"{}\"\n[icscf]\nlisten = \"{}\"\n[scscf]\nlisten = \"{}\"\n[hss]\nlisten = \"{}\"\n",
        plmn.mcc(),
        plmn.mnc(),
        lab.pcscf,
        lab.icscf,
        lab.scscf,
        lab.hss
    )
}

impl Config {
    /// A complete configuration without a file.
    pub fn lab(plmn: &Plmn) -> Config {
        Config::lab_at(plmn, &LabAddresses::default())
    }

    /// As [`Config::lab`], with an E-CSCF, and a PSAP where `ims psap` listens.
    pub fn lab_with_emergencies(plmn: &Plmn) -> Config {
        let text = lab(plmn, &LabAddresses::default());
        // As `ims psap` listens.
        let emergencies =
            "[ecscf]\nlisten = \"127.0.0.14:7060\"\npsap = [{ uri = \"sip:127.0.0.15:5060\" }]\n";
        Config::of_lab(&format!("{text}{emergencies}"))
    }

    /// As [`Config::lab`], at other addresses: what a demonstration on free ports wants.
    pub fn lab_at(plmn: &Plmn, lab: &LabAddresses) -> Config {
        Config::of_lab(&self::lab(plmn, lab))
    }

    fn of_lab(text: &str) -> Config {
        Config::parse(text, "lab").unwrap_or_else(|errors| {
            panic!(
                "a PLMN and four addresses are a valid configuration: {}",
                errors.first().map_or(String::new(), ToString::to_string)
            )
        })
    }

    /// Reads a configuration, or tells every mistake in it. `file` is the name of the file, as a person would give it;
    /// relative paths in the text are taken from its directory.
    pub fn parse(text: &str, file: &str) -> Result<Config, Vec<ConfigError>> {
        let mut reader = Reader::new(text, file);
        if !reader.is_sound() {
            return Err(reader.finish_syntax());
        }
        let directory = Path::new(file).parent().unwrap_or(Path::new(""));
        let home = read_home(&mut reader);
        let ecscf = EcscfSection::read(&mut reader, &home);
        let bgcf = BgcfSection::read(&mut reader);
        let pcscf = PcscfSection::read(&mut reader, &home, &ecscf);
        let access = AccessSection::read(&mut reader);
        let ipsec = IpsecSection::read(&mut reader);
        let tls = TlsSection::read(&mut reader, directory);
        let scscf = ScscfSection::read(&mut reader, &home, directory);
        let icscf = IcscfSection::read(&mut reader, &home, &scscf);
        let hss = HssSection::read(&mut reader, &home, directory);
        let diameter = DiameterSection::read(&mut reader, &hss);
        let network = NetworkSection::read(&mut reader);
        let trust = TrustSection::read(&mut reader, &pcscf, &icscf, &scscf, &ecscf);
        let names = network::read_names(&mut reader, &home, &pcscf, &icscf, &scscf, &ecscf);
        let dns = DnsSection::read(&mut reader);
        let store = StoreSection::read(&mut reader, directory);
        let control = ControlSection::read(&mut reader, directory);
        let metrics = MetricsSection::read(&mut reader);
        let recorder = RecorderSection::read(&mut reader);
        let limits = LimitsSection::read(&mut reader);
        let timers = TimersSection::read(&mut reader);
        let log = LogSection::read(&mut reader);
        let mut config = Config {
            home,
            pcscf,
            access,
            ipsec,
            tls,
            icscf,
            scscf,
            bgcf,
            ecscf,
            hss,
            diameter,
            network,
            trust,
            names,
            dns,
            store,
            control,
            metrics,
            recorder,
            limits,
            timers,
            log,
            effective: Vec::new(),
        };
        check::check(&config, &mut reader);
        let (effective, errors) = reader.finish();
        if !errors.is_empty() {
            return Err(errors);
        }
        config.effective = effective;
        Ok(config)
    }

    /// Every effective value in the order of the sections, with its origin.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// The effective configuration as TOML; a comment on each line tells where the value came from.
    pub fn print_config(&self) -> String {
        let mut out = String::new();
        let mut section = "";
        for Effective { section: name, key, value, origin } in &self.effective {
            if name != section {
                let gap = if out.is_empty() { "" } else { "\n" };
                out.push_str(&format!("{gap}[{name}]\n"));
                section = name;
            }
            out.push_str(&format!("{:<56}  # {origin}\n", format!("{key} = {value}")));
        }
        out
    }
}

/// `[plmn]` and `[home]`: the network's own names (TS 23.003 §13.2).
fn read_home(reader: &mut Reader<'_>) -> HomeNetwork {
    let mut section = reader.section("plmn");
    let mcc = section.required("mcc", "001".to_owned(), "write the mobile country code: mcc = \"001\"");
    let mnc = section.required(
        "mnc",
        "01".to_owned(),
        "write the mobile network code with its own digits: mnc = \"01\"",
    );
    section.end();
    let plmn = Plmn::new(&mcc, &mnc).unwrap_or_else(|wrong| {
        let (key, remedy) = if wrong == PlmnError::Mcc {
            ("mcc", "an MCC has three digits, as in mcc = \"001\"")
        } else {
            ("mnc", "an MNC has two or three digits, as in mnc = \"01\"; they are two different networks")
        };
        reader.reject("plmn", key, Fault::new("is not made of the right number of digits", remedy));
        Plmn::test()
    });
    let derived = HomeNetwork::of(&plmn);
    let mut section = reader.section("home");
    let domain = section.get("domain", Fallback::Derived(derived.domain().to_owned())).to_ascii_lowercase();
    let realm = section.get("realm", Fallback::Derived(domain.clone())).to_ascii_lowercase();
    section.end();
    for (key, name) in [("domain", &domain), ("realm", &realm)] {
        check::host_name(reader, "home", key, name);
    }
    derived.with_names(domain, realm)
}

/// The longest registration that is worth having: a UE asks for 600 000 s, which is a little less.
const ONE_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests;
