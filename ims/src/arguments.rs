//! The command line.

mod ifc;
mod recorded;
mod sub;

pub use ifc::{Ifc, IfcCase, IfcCommand, IfcLint, IfcSource, IfcTest};
pub use recorded::{Bundle, Destination, Ladder, LadderForm, Trace, TraceAction, TraceForm};
pub use sub::{Sub, SubAdd, SubCommand, SubGen};

use crate::doctor::Pool;
use clap::{Args, Parser, Subcommand};
use cscf::flow::Transport;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use ue::{Fault, Handset, Watching};

/// An IMS core to try, to call through, and to look at.
#[derive(Debug, Parser)]
#[command(name = "ims", version, about, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts a core on free loopback ports, registers alice and bob, sends a message, calls, hangs up, and prints the
    /// ladder of it all.
    Demo(Demo),
    /// Starts a core that stays, and tells what to type next.
    Dev(Dev),
    /// Switches on a phone that registers and stays, answers calls, and tells what happens.
    Ue(Ue),
    /// Stands in for a PSAP: answers calls for help, and tells who calls, from where, and for what.
    Psap(Psap),
    /// Registers A, and de-registers it again.
    Register(Register),
    /// Registers A and B, calls from A to B, talks for a while, hangs up.
    Call(Call),
    /// Registers A and B and sends a text from A to B.
    Message(Message),
    /// Loads a P-CSCF with UEs that register, call and write at a rate, and reports what came of it.
    Load(Box<crate::load::Load>),
    /// Looks at and changes the subscribers of a deployment.
    Sub(Sub),
    /// Shows what filter criteria do with a request, and what is wrong with them; takes no running core.
    Ifc(Ifc),
    /// Tells a running HSS what to do.
    Hss(Hss),
    /// Ends registrations at a running S-CSCF.
    Reg(Reg),
    /// Shows the security associations of a running P-CSCF.
    Sa(Sa),
    /// Looks for what keeps a core from working: configuration, kernel, ports, names, peers, room; each with what to do.
    Doctor(Doctor),
    /// Changes what the running processes log, until they stop or are told again.
    Log(Log),
    /// Tells why a registration, a call or a text in a capture failed: the cause, what shows it, and what to do.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Shows what the running processes have counted, by name and cause.
    Counters(Counters),
    /// Shows what happened, across all functions of a running core, as a ladder.
    Ladder(Ladder),
    /// Gives what was recorded to other tools: pcapng, HEP3, OTLP, or a file to look at later.
    Trace(Trace),
    /// Packs what was recorded, ladder, capture and configuration into one file, to report what went wrong.
    Bundle(Bundle),
    /// Has every running process read the configuration again.
    Reload(Reload),
}

/// `ims demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Print one line a message (seconds, source, destination, protocol, message) instead of arrows.
    #[arg(long)]
    pub list: bool,
    /// How long the call lasts.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub talk: Duration,
}

/// `ims dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// The configuration; without it, the lab on 127.0.0.10 to 127.0.0.14 with alice and bob.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Let the CSCFs talk to each other over sockets, as processes do, and not in memory: Mw can be captured.
    #[arg(long)]
    pub sockets: bool,
    /// Serve /metrics, /livez and /readyz of all functions at this address; a port of 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    pub metrics: Option<SocketAddr>,
    /// Where the web console listens, or "off". Without it, 127.0.0.1:8090 or the next free port. Anywhere but on
    /// loopback it wants a token, which is made anew and printed at each start.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8090", value_parser = console)]
    pub console: ConsoleAddress,
}

/// An address of this host that no other host reaches.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write it as 127.0.0.1:9400".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => {
            Err("others than addresses of the loopback are for [metrics] of the configuration".to_owned())
        }
    }
}

/// Where the console listens; `None` where there is to be none.
pub type ConsoleAddress = Option<SocketAddr>;

fn console(text: &str) -> Result<ConsoleAddress, String> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| "write IP:PORT, as in 127.0.0.1:8090, or off".to_owned()),
    }
}

/// What every command against a running core shares.
#[derive(Debug, Args)]
pub struct Running {
    /// The configuration of the running core; without it, the lab that `ims dev` starts.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the phones reach the P-CSCF.
    #[command(flatten)]
    pub entry: Entry,
    /// Print the ladder of Gm.
    #[arg(long)]
    pub ladder: bool,
    /// Give up after this time.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// Write as phones of a make do: plain, samsung, samsung-list, apple, qualcomm, google, mediatek.
    #[arg(long, value_name = "HANDSET", default_value = "plain", value_parser = handset)]
    pub profile: &'static Handset,
}

/// `ims psap`.
#[derive(Debug, Args)]
pub struct Psap {
    /// Where it listens, by UDP and TCP.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.15:5060")]
    pub listen: SocketAddr,
    /// The configuration of the deployment.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `ims ue A`.
#[derive(Debug, Args)]
pub struct Ue {
    /// A name, number or identity of a subscriber.
    pub subscriber: String,
    /// Watch the registration (reg event package), and tell what the network says of it.
    #[arg(long)]
    pub watch: bool,
    /// The core.
    #[command(flatten)]
    pub running: Running,
}

/// How phones reach the P-CSCF, and what they prove who they are by.
#[derive(Clone, Debug, Default, Args)]
pub struct Entry {
    /// The transport to the P-CSCF; without it, the first that it listens for.
    #[arg(long, value_enum)]
    pub transport: Option<EntryTransport>,
    /// The trust anchors of TLS in PEM; without them, those of the configuration.
    #[arg(long, value_name = "FILE")]
    pub trust_anchors: Option<PathBuf>,
    /// Authenticate by SIP digest with this password.
    #[arg(long, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// Whether they watch their registration.
    #[arg(skip)]
    pub watching: Watching,
    /// Register for emergencies alone: the phone calls for help, and nobody is called by it or calls it.
    #[arg(long)]
    pub emergency: bool,
}

/// A transport of Gm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EntryTransport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
}

impl From<EntryTransport> for Transport {
    fn from(transport: EntryTransport) -> Transport {
        match transport {
            EntryTransport::Udp => Transport::Udp,
            EntryTransport::Tcp => Transport::Tcp,
            EntryTransport::Tls => Transport::Tls,
        }
    }
}

/// `ims register A`.
#[derive(Debug, Args)]
pub struct Register {
    /// A name, number or identity of a subscriber.
    pub subscriber: String,
    /// Something that the phone does wrong.
    #[arg(long, value_name = "NAME", value_parser = fault)]
    pub fault: Option<Fault>,
    /// The core.
    #[command(flatten)]
    pub running: Running,
}

/// `ims call A B`.
#[derive(Debug, Args)]
pub struct Call {
    /// Who calls: a name, number or identity of a subscriber.
    pub caller: String,
    /// Who is called: a name, number or identity of a subscriber; or a service that helps, as urn:service:sos.police.
    pub called: String,
    /// How long the call lasts.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub talk: Duration,
    /// The core.
    #[command(flatten)]
    pub running: Running,
}

/// `ims message A B TEXT`.
#[derive(Debug, Args)]
pub struct Message {
    /// Who sends: a name, number or identity of a subscriber.
    pub sender: String,
    /// Who receives.
    pub receiver: String,
    /// What.
    pub text: String,
    /// The core.
    #[command(flatten)]
    pub running: Running,
}

/// Which core an operator's command is for.
#[derive(Debug, Args)]
pub struct Core {
    /// The configuration of the running core; without it, the lab that `ims dev` starts.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Give up after this time.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, global = true)]
    pub timeout: Duration,
}

/// `ims hss`.
#[derive(Debug, Args)]
pub struct Hss {
    /// The core.
    #[command(flatten)]
    pub core: Core,
    /// What to do.
    #[command(subcommand)]
    pub command: HssCommand,
}

/// What a running HSS can be told. WHO is a name, number or identity of a subscriber.
#[derive(Debug, Subcommand)]
pub enum HssCommand {
    /// Ends registrations (RTR): of a subscriber, of one private identity, or of one implicit set.
    Deregister {
        /// A name, number or identity.
        who: String,
        /// Why.
        #[arg(long, default_value = "permanent",
              value_parser = ["permanent", "server-change", "new-server", "remove-scscf"])]
        reason: String,
        /// A word for the user to read.
        #[arg(long, value_name = "TEXT")]
        info: Option<String>,
    },
    /// Gives the S-CSCF the profile as it is (PPR).
    Push {
        /// A name, number or identity.
        who: String,
    },
    /// Refuses requests of CSCFs, until `serve-all` or a restart of the HSS: it does not keep this.
    Refuse {
        /// UAR, MAR, SAR, LIR, or any.
        #[arg(value_parser = ["uar", "mar", "sar", "lir", "any"], ignore_case = true)]
        command: String,
        /// What the answer says: USER_UNKNOWN, 5012 for a Result-Code, 3gpp:5001 for one of Cx.
        #[arg(value_parser = crate::hss::cx_result)]
        result: String,
        /// Only requests about this subscriber or identity.
        #[arg(long)]
        who: Option<String>,
        /// Only so many.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        count: Option<u32>,
    },
    /// Refuses nothing any more.
    ServeAll,
    /// Sets the sequence number that the next vector comes after.
    SetSqn {
        /// A private identity.
        impi: String,
        /// Up to 12 hex digits.
        sqn: String,
    },
    /// Shows the state of a subscriber: registrations, S-CSCF, sequence numbers; no key.
    Show {
        /// A name, number or identity.
        who: String,
    },
    /// Lists the names of its subscribers.
    List,
    /// Reads the file and the database of subscribers again: adds, replaces and removes.
    Reload,
}

/// `ims reg`.
#[derive(Debug, Args)]
pub struct Reg {
    /// The core.
    #[command(flatten)]
    pub core: Core,
    /// What to do.
    #[command(subcommand)]
    pub command: RegCommand,
}

/// What a running S-CSCF can be told.
#[derive(Debug, Subcommand)]
pub enum RegCommand {
    /// Ends the registration of a user and its sessions, as the network does.
    Deregister {
        /// A name, number or identity.
        who: String,
    },
    /// Lets the registration of a user run out soon, unless the phone proves anew who it is: who watches it is told.
    Reauthenticate {
        /// A name, number or identity.
        who: String,
        /// What is left of it, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        within: u32,
    },
}

/// `ims explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// What to explain: last (the newest that something is wrong with), all, call CALL-ID, registration IDENTITY,
    /// subscriber IDENTITY, imsi IMSI; without it, last.
    #[arg(value_name = "SUBJECT", num_args = 0..=2)]
    pub subject: Vec<String>,
    /// A recording that `ims trace export` wrote, and not what a running core has recorded.
    #[arg(long, visible_alias = "from", value_name = "FILE", conflicts_with = "pcap")]
    pub recording: Option<PathBuf>,
    /// A capture of anyone's core, as pcap or pcapng. With the configuration of that core its domain and its subscribers are
    /// known: the nearest identity is found then, and an OP that is stored as OPc.
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// The core.
    #[command(flatten)]
    pub core: Core,
    /// How to tell it.
    #[arg(short, long, value_enum, default_value_t = ExplainOutput::Text)]
    pub output: ExplainOutput,
}

/// How `ims explain` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExplainOutput {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

const EXPLAIN_EXAMPLES: &str = "Examples:
  ims explain
  ims explain call 4128004109_45009256@192.168.101.2 --config lab.toml
  ims explain imsi 001010000000001
  ims explain --pcap volte.pcapng
  ims explain all --pcap volte.pcapng
  ims explain registration 001010000000001@ims.mnc001.mcc001.3gppnetwork.org --pcap volte.pcapng -o json
The exit status is 0 when nothing is wrong, 1 when something is, 2 when nothing of it was recorded.";

/// `ims sa`.
#[derive(Debug, Args)]
pub struct Sa {
    /// The core.
    #[command(flatten)]
    pub core: Core,
    /// What to do.
    #[command(subcommand)]
    pub command: SaCommand,
}

/// What a running P-CSCF tells of its security associations.
#[derive(Debug, Subcommand)]
pub enum SaCommand {
    /// Lists them: addresses, ports, SPIs, algorithms, how far each set has come, and its age.
    List {
        /// As text, or as rows of Wireshark's table `esp_sa`.
        #[arg(short, long, value_enum, default_value_t = SaOutput::Text)]
        output: SaOutput,
        /// Puts the keys into the rows: whoever has them reads what the associations carry.
        #[arg(long)]
        with_keys: bool,
    },
}

/// How security associations are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SaOutput {
    /// A line for each set.
    Text,
    /// A row for each association.
    Wireshark,
}

/// `ims doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The configuration of the deployment; without it, the lab that `ims dev` starts.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The network that phones have their addresses of, as 10.45.0.0/16.
    #[arg(long, value_name = "NETWORK")]
    pub ue_pool: Option<Pool>,
    /// An array of objects instead of lines.
    #[arg(long)]
    pub json: bool,
    /// How long an HSS may take to answer.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub timeout: Duration,
}

/// `ims log`.
#[derive(Debug, Args)]
pub struct Log {
    /// error, warn, info, debug or trace; or parts, as in info,transaction=debug; or "configured" for what the file says.
    pub filter: String,
    /// One process alone: hss-mock, scscf, icscf, pcscf, ecscf.
    #[arg(long, value_name = "PROCESS")]
    pub process: Option<String>,
    /// The core.
    #[command(flatten)]
    pub core: Core,
}

/// `ims counters`.
#[derive(Debug, Args)]
pub struct Counters {
    /// Whose; of all without it.
    #[arg(value_parser = crate::control::PROCESSES)]
    pub process: Option<String>,
    /// The core.
    #[command(flatten)]
    pub core: Core,
}

/// `ims reload`.
#[derive(Debug, Args)]
pub struct Reload {
    /// The core.
    #[command(flatten)]
    pub core: Core,
}

/// The fault of a name.
fn fault(name: &str) -> Result<Fault, String> {
    let known = || Fault::NAMES.map(|(known, _)| known).join(", ");
    Fault::named(name).ok_or_else(|| format!("faults are {}", known()))
}

/// A duration with its unit, as in a configuration.
fn duration(text: &str) -> Result<Duration, String> {
    cscf::config::duration(text)
}

/// A handset by its name.
fn handset(name: &str) -> Result<&'static Handset, String> {
    let names = || ue::handset::ALL.map(|handset| handset.name).join(", ");
    Handset::of(name).ok_or_else(|| format!("one of {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_call_has_two_parties_and_may_name_its_core() {
        let parsed = Arguments::try_parse_from([
            "ims", "call", "alice", "bob", "--config", "lab.toml", "--talk", "2s",
        ]);
        let Ok(Arguments { command: Command::Call(call) }) = parsed else { panic!("{parsed:?}") };
        assert_eq!((call.caller.as_str(), call.called.as_str()), ("alice", "bob"));
        assert_eq!(call.talk, Duration::from_secs(2));
        assert_eq!(call.running.config, Some(PathBuf::from("lab.toml")));
        assert!(Arguments::try_parse_from(["ims", "call", "alice"]).is_err());
        assert!(
            Arguments::try_parse_from(["ims", "call", "alice", "bob", "--talk", "2"]).is_err(),
            "no unit"
        );
    }

    #[test]
    fn a_phone_is_plain_or_of_a_make_that_is_known() {
        let profile = |words: &[&str]| {
            let parsed = Arguments::try_parse_from(["ims", "ue", "alice"].iter().chain(words));
            parsed.map(|parsed| match parsed.command {
                Command::Ue(ue) => ue.running.profile.name,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(profile(&[]).ok(), Some("plain"));
        assert_eq!(profile(&["--profile", "samsung"]).ok(), Some("samsung"));
        assert_eq!(profile(&["--profile", "google"]).ok(), Some("qualcomm"));
        let refused = profile(&["--profile", "fax"]).expect_err("no handset").to_string();
        assert!(
            refused.contains("one of plain, samsung, samsung-list, apple, qualcomm, mediatek"),
            "{refused}"
        );
    }
}
