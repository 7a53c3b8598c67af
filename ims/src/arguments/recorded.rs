//! `ims ladder`, `ims trace`, `ims bundle`: what was recorded, and which of it.

use super::Core;
use clap::{Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Which of what was recorded.
#[derive(Debug, Args)]
pub struct Choice {
    /// One call or registration: `last`, or a part of its Call-ID.
    #[arg(long, value_name = "ID")]
    pub call: Option<String>,
    /// What names this IMSI, number or other identity.
    #[arg(long, value_name = "IDENTITY")]
    pub imsi: Option<String>,
    /// Read a file of `ims trace export`, and not a running core.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

impl Choice {
    /// As the recording takes it.
    pub fn read(&self) -> crate::recording::Choice {
        crate::recording::Choice { call: self.call.clone(), imsi: self.imsi.clone() }
    }
}

/// `ims ladder`.
#[derive(Debug, Args)]
pub struct Ladder {
    /// Go on with what happens.
    #[arg(long, conflicts_with_all = ["from", "output", "list"])]
    pub follow: bool,
    /// Look at calls, ladders and messages by keys.
    #[arg(long, short, conflicts_with_all = ["output", "list", "follow"])]
    pub interactive: bool,
    /// Only a line for each call, registration and so on.
    #[arg(long)]
    pub list: bool,
    /// How it is drawn.
    #[arg(long, short, value_enum, default_value = "text")]
    pub output: LadderForm,
    /// Which.
    #[command(flatten)]
    pub choice: Choice,
    /// The core.
    #[command(flatten)]
    pub core: Core,
}

/// How a ladder is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LadderForm {
    /// Lines for a terminal.
    Text,
    /// A sequence diagram of Mermaid.
    Mermaid,
    /// A picture.
    Svg,
    /// Everything, with the messages.
    Json,
}

/// `ims trace`.
#[derive(Debug, Args)]
pub struct Trace {
    /// What to do with it.
    #[command(subcommand)]
    pub action: TraceAction,
    /// The core.
    #[command(flatten)]
    pub core: Core,
}

/// What is done with what was recorded.
#[derive(Debug, Subcommand)]
pub enum TraceAction {
    /// Writes it to a file.
    Export(Export),
    /// Sends it to a collector.
    Send(Send),
}

/// `ims trace export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The file: `.pcapng` for a capture, `.jsonl` for traces, anything else for a recording that `--from` reads.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// The form, whatever the file is called.
    #[arg(long, value_enum)]
    pub form: Option<TraceForm>,
    /// Which.
    #[command(flatten)]
    pub choice: Choice,
}

impl Export {
    /// The form, by name or by the file's.
    pub fn form_of_file(&self) -> TraceForm {
        self.form.unwrap_or_else(|| match self.output.extension().and_then(|extension| extension.to_str()) {
            Some("pcapng" | "pcap") => TraceForm::Pcapng,
            Some("jsonl" | "json") => TraceForm::Otlp,
            _ => TraceForm::Recording,
        })
    }
}

/// Forms of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TraceForm {
    /// A capture with an interface for each reference point.
    Pcapng,
    /// Traces of OpenTelemetry, a line of JSON each.
    Otlp,
    /// Our own.
    Recording,
}

/// `ims trace send`.
#[derive(Debug, Args)]
pub struct Send {
    /// Where to: `hep:udp:ADDRESS:PORT`, `hep:tcp:ADDRESS:PORT`, or `http://HOST:PORT/v1/traces`.
    #[arg(long, value_parser = destination)]
    pub to: Destination,
    /// Go on with what happens, until the core ends.
    #[arg(long)]
    pub follow: bool,
    /// Which.
    #[command(flatten)]
    pub choice: Choice,
}

/// A collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// HEP3 in datagrams.
    HepUdp(SocketAddr),
    /// HEP3 in a stream.
    HepTcp(SocketAddr),
    /// OTLP by HTTP: host and port, path.
    Otlp(String, String),
}

fn destination(text: &str) -> Result<Destination, String> {
    let address = |text: &str| text.parse().map_err(|_| format!("{text:?} is no address with a port"));
    if let Some(rest) = text.strip_prefix("hep:udp:") {
        return address(rest).map(Destination::HepUdp);
    }
    if let Some(rest) = text.strip_prefix("hep:tcp:") {
        return address(rest).map(Destination::HepTcp);
    }
    let rest = text.strip_prefix("http://").ok_or("write hep:udp:, hep:tcp: or http:// in front")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, "v1/traces"));
    Ok(Destination::Otlp(authority.to_owned(), format!("/{path}")))
}

/// `ims bundle`.
#[derive(Debug, Args)]
pub struct Bundle {
    /// The file.
    #[arg(long, short, value_name = "FILE", default_value = "bundle.zip")]
    pub output: PathBuf,
    /// Which.
    #[command(flatten)]
    pub choice: Choice,
    /// The core.
    #[command(flatten)]
    pub core: Core,
}
