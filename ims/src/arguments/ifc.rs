//! `ims ifc`: questions about filter criteria.

use clap::{Args, Subcommand};
use cscf::user_data::{RegistrationType, SessionCase};
use std::path::PathBuf;

/// `ims ifc`.
#[derive(Debug, Args)]
pub struct Ifc {
    /// What to do.
    #[command(subcommand)]
    pub command: IfcCommand,
}

/// What can be asked about filter criteria.
#[derive(Debug, Subcommand)]
pub enum IfcCommand {
    /// Shows which application servers a request visits, in which order, and why.
    #[command(after_help = IFC_EXAMPLES)]
    Test(Box<IfcTest>),
    /// Tells what is wrong in a profile, where, and what to do about it.
    Lint(IfcLint),
}

const IFC_EXAMPLES: &str = "Examples:
  ims ifc test --profile alice.xml --method MESSAGE
  ims ifc test --subscriber alice --case term --request invite.sip
  ims ifc test --profile alice.xml --to tel:+49301 --header 'Accept-Contact: *;audio' --json";

/// Whose criteria.
#[derive(Debug, Args)]
pub struct IfcSource {
    /// User-Data as XML (TS 29.228 Annex E), or any element with InitialFilterCriteria in it.
    #[arg(long, value_name = "FILE", required_unless_present = "subscriber", conflicts_with = "subscriber")]
    pub profile: Option<PathBuf>,
    /// A subscriber of the configuration: a name, number, IMSI or identity.
    #[arg(long, value_name = "WHO")]
    pub subscriber: Option<String>,
    /// The identity whose profile counts, where there are several; without it, the first that has criteria.
    #[arg(long, value_name = "URI")]
    pub impu: Option<String>,
    /// The configuration, for its subscribers, shared sets and domain.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ims ifc test`.
#[derive(Debug, Args)]
pub struct IfcTest {
    /// Whose criteria.
    #[command(flatten)]
    pub source: IfcSource,
    /// Who is served, and in which state.
    #[arg(long, value_enum, default_value_t = IfcCase::Orig)]
    pub case: IfcCase,
    /// A SIP request, as a trace or an editor has it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "to", "from", "header"])]
    pub request: Option<PathBuf>,
    /// The method of a request that is made up.
    #[arg(long, default_value = "INVITE", value_parser = method)]
    pub method: String,
    /// Its Request-URI; without it, a user of the home network.
    #[arg(long, value_name = "URI")]
    pub to: Option<String>,
    /// Its From; without it, another user of the home network.
    #[arg(long, value_name = "URI")]
    pub from: Option<String>,
    /// A header field of it; may be repeated.
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// Of a REGISTER: what it does; without it, a first registration.
    #[arg(long, value_enum)]
    pub registration: Option<IfcRegistration>,
}

/// `ims ifc lint`.
#[derive(Debug, Args)]
pub struct IfcLint {
    /// Whose criteria.
    #[command(flatten)]
    pub source: IfcSource,
}

/// A session case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum IfcCase {
    /// From a registered user.
    Orig,
    /// To a registered user.
    Term,
    /// To a user who is not registered.
    TermUnreg,
    /// From a user who is not registered.
    OrigUnreg,
    /// From a user whose call was diverted.
    OrigCdiv,
}

impl IfcCase {
    /// Which part of the profile holds.
    pub fn is_registered(self) -> bool {
        !matches!(self, IfcCase::TermUnreg | IfcCase::OrigUnreg)
    }
}

impl From<IfcCase> for SessionCase {
    fn from(case: IfcCase) -> SessionCase {
        match case {
            IfcCase::Orig => SessionCase::OriginatingRegistered,
            IfcCase::Term => SessionCase::TerminatingRegistered,
            IfcCase::TermUnreg => SessionCase::TerminatingUnregistered,
            IfcCase::OrigUnreg => SessionCase::OriginatingUnregistered,
            IfcCase::OrigCdiv => SessionCase::OriginatingCdiv,
        }
    }
}

/// What a REGISTER does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum IfcRegistration {
    /// Registers.
    Initial,
    /// Registers again.
    Re,
    /// Ends a registration.
    De,
}

impl From<IfcRegistration> for RegistrationType {
    fn from(registration: IfcRegistration) -> RegistrationType {
        match registration {
            IfcRegistration::Initial => RegistrationType::Initial,
            IfcRegistration::Re => RegistrationType::ReRegistration,
            IfcRegistration::De => RegistrationType::DeRegistration,
        }
    }
}

fn method(word: &str) -> Result<String, String> {
    let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet);
    match !word.is_empty() && word.bytes().all(is_token) {
        true => Ok(word.to_owned()),
        false => Err("a method is one word, as in INVITE".to_owned()),
    }
}
