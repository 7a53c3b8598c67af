//! `ims trace`: what was recorded, for other tools: a file of ours, pcapng, HEP3, OTLP.

use crate::arguments::{Destination, Trace, TraceAction, TraceForm};
use crate::exit::Failure;
use crate::recording::{self, Choice, Collector};
use crate::{screen, settings};
use recorder::ladder::passed;
use recorder::{Entry, What};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// Carries out `ims trace`.
pub fn run(trace: &Trace, is_asked_to_stop: impl Fn() -> bool) -> Result<(), Failure> {
    let config = settings::read(trace.core.config.as_deref())?;
    match &trace.action {
        TraceAction::Export(export) => {
            let entries = recording::read(&config, export.choice.from.as_deref(), trace.core.timeout)?;
            let entries = export.choice.read().entries(&entries)?;
            let bytes = match export.form_of_file() {
                TraceForm::Pcapng => recorder::pcapng::write(&entries),
                TraceForm::Recording => recorder::file::save(&entries),
                TraceForm::Otlp => traces(&entries).into_bytes(),
            };
            write(&export.output, &bytes)?;
            screen::line(format_args!("{}: {} messages", export.output.display(), passed(&entries).len()));
            Ok(())
        }
        TraceAction::Send(send) => {
            let mut collector = Collector::new(&config, trace.core.timeout);
            let mut sender = Sender::open(&send.to)?;
            let choice = send.choice.read();
            loop {
                // A core that has ended has nothing more to say.
                if collector.look().is_err() {
                    break;
                }
                sender.send(&choice, &collector.shown(config.recorder.privacy));
                if !send.follow || is_asked_to_stop() {
                    break;
                }
                std::thread::sleep(LOOK);
            }
            let Sender { sent, failed, .. } = sender;
            screen::line(format_args!("{sent} sent, {failed} lost"));
            Ok(())
        }
    }
}

/// Spans as OTLP, a line for each trace.
fn traces(entries: &[Entry]) -> String {
    let mut by_trace: BTreeMap<[u8; 16], Vec<recorder::otlp::Span>> = BTreeMap::new();
    for span in recorder::otlp::spans(entries) {
        by_trace.entry(span.trace).or_default().push(span);
    }
    by_trace.values().map(|spans| format!("{}\n", recorder::otlp::json(spans))).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// Sends messages to a collector; one that is down costs what would have gone to it, and nothing else.
struct Sender<'d> {
    to: &'d Destination,
    datagrams: Option<UdpSocket>,
    stream: Option<TcpStream>,
    /// Places of the messages that were sent; traces are sent when all is read.
    shown: usize,
    sent: u64,
    failed: u64,
}

impl<'d> Sender<'d> {
    fn open(to: &'d Destination) -> Result<Sender<'d>, Failure> {
        let datagrams = match to {
            Destination::HepUdp(address) => {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                Some(UdpSocket::bind(any).map_err(|error| Failure::Failed(error.to_string()))?)
            }
            Destination::HepTcp(_) | Destination::Otlp(..) => None,
        };
        Ok(Sender { to, datagrams, stream: None, shown: 0, sent: 0, failed: 0 })
    }

    /// Sends what is new.
    fn send(&mut self, choice: &Choice, entries: &[Entry]) {
        let Ok(entries) = choice.entries(entries) else { return };
        if let Destination::Otlp(authority, path) = self.to {
            let body = recorder::otlp::json(&recorder::otlp::spans(&entries)).to_string();
            return match post(authority, path, &body) {
                Ok(()) => self.sent += 1,
                Err(error) => self.lost(&error.to_string()),
            };
        }
        // Legs of a call share its first icid.
        let stories = recorder::stories(&entries);
        let mut correlation: BTreeMap<usize, &str> = BTreeMap::new();
        for story in &stories {
            let id = story.icids.first().map_or(story.id(), String::as_str);
            correlation.extend(story.entries.iter().map(|at| (*at, id)));
        }
        let passed = passed(&entries);
        for message in passed.iter().skip(self.shown) {
            let entry = &entries[message.entry];
            let is_sip =
                matches!(&entry.what, What::Message(message) if message.protocol == recorder::Protocol::Sip);
            if is_sip
                && let Some(packet) = recorder::hep::packet(entry, correlation.get(&message.entry).copied())
            {
                match self.packet(&packet) {
                    Ok(()) => self.sent += 1,
                    Err(error) => self.lost(&error.to_string()),
                }
            }
        }
        self.shown = passed.len();
    }

    fn lost(&mut self, why: &str) {
        if self.failed == 0 {
            screen::complain(format_args!("ims: the collector did not take it: {why}"));
        }
        self.failed += 1;
        self.stream = None;
    }

    fn packet(&mut self, packet: &[u8]) -> std::io::Result<()> {
        match self.to {
            Destination::HepUdp(address) => match &self.datagrams {
                Some(socket) => {
                    socket.send_to(packet, address)?;
                    // A collector's buffer does not hold a whole recording.
                    std::thread::sleep(PACE);
                    Ok(())
                }
                None => Ok(()),
            },
            Destination::HepTcp(address) => {
                if self.stream.is_none() {
                    let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    self.stream = Some(stream);
                }
                self.stream.as_mut().map_or(Ok(()), |stream| stream.write_all(packet))
            }
            Destination::Otlp(..) => Ok(()),
        }
    }
}

/// One POST of JSON.
fn post(authority: &str, path: &str, body: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    match answer.strip_prefix(b"HTTP/1.1 2").is_some() {
        true => Ok(()),
        false => Err(std::io::Error::other(String::from_utf8_lossy(&answer).into_owned())),
    }
}

/// Between two datagrams: some two thousand a second.
const PACE: Duration = Duration::from_micros(500);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a core that is followed is looked at.
const LOOK: Duration = Duration::from_millis(200);
