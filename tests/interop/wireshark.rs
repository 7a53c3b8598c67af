//! What Wireshark sees: a capture of the loopback interface, and its dissectors' reading of it.

use carillon_tests::process::Process;
use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A capture that runs.
pub struct Capture {
    process: Process,
    file: PathBuf,
    beacon: UdpSocket,
}

/// Why there is no capture: this user may not.
pub struct NotPermitted(pub String);

impl Capture {
    /// Starts to capture, and waits until packets arrive.
    pub fn start(folder: &Path) -> Result<Capture, NotPermitted> {
        let file = folder.join("loopback.pcapng");
        let program = carillon_tests::find("tshark").expect("the test has asked for it");
        let mut command = Command::new(program);
        command.args(["-i", "lo", "-f", "net 127.0.0.0/8", "-w"]).arg(&file);
        let process = Process::start("tshark", &mut command, folder);
        let beacon = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let mut capture = Capture { process, file, beacon };
        if capture.has_seen("begin") { Ok(capture) } else { Err(NotPermitted(capture.process.output())) }
    }

    /// Ends the capture; everything sent before is in it.
    pub fn stop(mut self) -> PathBuf {
        assert!(self.has_seen("end"), "the capture has broken off:\n{}", self.process.output());
        self.process.signal("INT");
        self.process.wait(CAPTURE_MAX);
        self.file.clone()
    }

    /// Sends a datagram of ours until it is in the file; false when the capture has ended.
    fn has_seen(&mut self, word: &str) -> bool {
        let word = format!("carillon capture {word} {}", std::process::id());
        let own = self.beacon.local_addr().expect("a bound socket");
        let until = Instant::now() + CAPTURE_MAX;
        while Instant::now() < until && self.process.ended().is_none() {
            let _ = self.beacon.send_to(word.as_bytes(), own);
            std::thread::sleep(Duration::from_millis(50));
            let captured = fs::read(&self.file).unwrap_or_default();
            if captured.windows(word.len()).any(|bytes| bytes == word.as_bytes()) {
                return true;
            }
        }
        false
    }
}

/// A SIP or Diameter message as Wireshark reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Seconds since 1970.
    pub time_s: f64,
    /// From where.
    pub source: String,
    /// Where to.
    pub destination: String,
    /// `SIP` or `Diameter`.
    pub protocol: &'static str,
    /// `INVITE`, `200 OK (INVITE)`, `UAR`, `UAA 2001`.
    pub summary: String,
    /// The Call-ID of SIP.
    pub call_id: String,
    /// The nonce of a challenge or of credentials, where there is one.
    pub nonce: String,
}

/// What Wireshark made of a capture.
#[derive(Debug, Default)]
pub struct Reading {
    /// The messages in the order of the wire.
    pub messages: Vec<Message>,
    /// Malformed packets, and what its experts warn of in SIP, SDP and Diameter.
    pub complaints: Vec<String>,
}

/// Reads the packets from and to `sip` and `diameter`, as SIP and as Diameter.
pub fn read(capture: &Path, sip: &BTreeSet<SocketAddr>, diameter: &BTreeSet<SocketAddr>) -> Reading {
    let mut command = Command::new(carillon_tests::find("tshark").expect("the test has asked for it"));
    command.arg("-r").arg(capture);
    let mut ours = Vec::new();
    for (addresses, protocol) in [(sip, "sip"), (diameter, "diameter")] {
        for address in addresses {
            let (ip, port) = (address.ip(), address.port());
            command.args(["-d", &format!("tcp.port=={port},{protocol}")]);
            if protocol == "sip" {
                command.args(["-d", &format!("udp.port=={port},{protocol}")]);
            }
            for (end, transport) in [("src", "udp"), ("dst", "udp"), ("src", "tcp"), ("dst", "tcp")] {
                ours.push(format!("(ip.{end}=={ip} && {transport}.{end}port=={port})"));
            }
        }
    }
    let read = command.args(["-Y", &ours.join(" || "), "-T", "pdml"]).output().expect("tshark runs");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    Reading::of(&String::from_utf8_lossy(&read.stdout))
}

/// AVPs that its dictionary of Diameter lacks: Registration-Time-Out (TS 29.229 §6.3).
const NEWER_THAN_WIRESHARK: [&str; 1] = ["Unknown AVP 661 (vendor=3GPP)"];

impl Reading {
    /// From PDML, which has an element a line.
    fn of(pdml: &str) -> Reading {
        let mut reading = Reading::default();
        let mut packet = Packet::default();
        for line in pdml.lines() {
            let (Some(name), show) = (attribute(line, "name"), attribute(line, "show").unwrap_or_default())
            else {
                if line.trim_start().starts_with("<packet>") {
                    packet = Packet::default();
                } else if line.trim_start().starts_with("</packet>") {
                    reading.messages.append(&mut packet.messages());
                }
                continue;
            };
            if line.trim_start().starts_with("<proto ") {
                if name == "_ws.malformed" {
                    reading.complaints.push(format!("malformed at {}: {line}", packet.time));
                }
                // Only those on top: a body is a protocol inside of its message's.
                if line.starts_with("  <proto ") {
                    packet.protocol = name.to_owned();
                    if matches!(name, "sip" | "diameter") {
                        packet.parts.push(Part { is_sip: name == "sip", ..Part::default() });
                    }
                }
                continue;
            }
            let is_ours = matches!(packet.protocol.as_str(), "sip" | "diameter");
            let severity = (name == "_ws.expert.severity").then(|| show.parse::<u32>().unwrap_or(u32::MAX));
            let is_new = NEWER_THAN_WIRESHARK.iter().any(|known| packet.expert.starts_with(known));
            if is_ours && !is_new && severity.is_some_and(|severity| severity >= EXPERT_WARNING) {
                reading.complaints.push(format!("{} at {}: {}", packet.protocol, packet.time, packet.expert));
            }
            packet.field(name, show);
        }
        reading
    }
}

/// One packet while its lines are read.
#[derive(Debug, Default)]
struct Packet {
    time: String,
    addresses: [String; 2],
    ports: [String; 2],
    protocol: String,
    expert: String,
    parts: Vec<Part>,
}

/// One message of a packet while its lines are read.
#[derive(Debug, Default)]
struct Part {
    is_sip: bool,
    start: String,
    method: String,
    call_id: String,
    nonce: String,
    command: String,
    is_request: bool,
    result: String,
}

impl Packet {
    fn field(&mut self, name: &str, show: &str) {
        let first = |field: &mut String| {
            if field.is_empty() {
                show.clone_into(field);
            }
        };
        match name {
            "frame.time_epoch" => first(&mut self.time),
            "ip.src" => first(&mut self.addresses[0]),
            "ip.dst" => first(&mut self.addresses[1]),
            "udp.srcport" | "tcp.srcport" => first(&mut self.ports[0]),
            "udp.dstport" | "tcp.dstport" => first(&mut self.ports[1]),
            "_ws.expert.message" => show.clone_into(&mut self.expert),
            _ => {}
        }
        let Some(part) = self.parts.last_mut() else { return };
        match name {
            "sip.Request-Line" => first(&mut part.start),
            "sip.Status-Line" => first(&mut part.start),
            "sip.CSeq.method" => first(&mut part.method),
            "sip.Call-ID" => first(&mut part.call_id),
            // Quoted as in the header; empty in a request that has not been challenged.
            "sip.auth.nonce" => show.replace("&quot;", "").clone_into(&mut part.nonce),
            "diameter.cmd.code" => first(&mut part.command),
            "diameter.flags.request" => part.is_request = matches!(show, "1" | "True"),
            "diameter.Result-Code" | "diameter.Experimental-Result-Code" => first(&mut part.result),
            _ => {}
        }
    }

    fn messages(&self) -> Vec<Message> {
        let end = |at: usize| format!("{}:{}", self.addresses[at], self.ports[at]);
        let message = |part: &Part| Message {
            time_s: self.time.parse().unwrap_or_default(),
            source: end(0),
            destination: end(1),
            protocol: if part.is_sip { "SIP" } else { "Diameter" },
            summary: part.summary(),
            call_id: part.call_id.clone(),
            nonce: part.nonce.clone(),
        };
        self.parts.iter().map(message).collect()
    }
}

impl Part {
    fn summary(&self) -> String {
        if self.is_sip {
            return match self.start.strip_prefix("SIP/2.0 ") {
                Some(status) => format!("{status} ({})", self.method),
                None => self.start.split(' ').next().unwrap_or_default().to_owned(),
            };
        }
        // RFC 6733 §3.1, TS 29.229 §6.1.
        let name = match self.command.as_str() {
            "257" => "CE",
            "280" => "DW",
            "282" => "DP",
            "300" => "UA",
            "301" => "SA",
            "302" => "LI",
            "303" => "MA",
            "304" => "RT",
            "305" => "PP",
            other => other,
        };
        if self.is_request { format!("{name}R") } else { format!("{name}A {}", self.result) }
    }
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = line.split_once(&format!(" {name}=\""))?;
    value.split_once('"').map(|(value, _)| value)
}

/// Wireshark's severities are chat, note, warning and error, from 0x200000 to 0x800000.
const EXPERT_WARNING: u32 = 0x60_0000;
/// How long a capture may take to begin, and to end.
const CAPTURE_MAX: Duration = Duration::from_secs(15);

#[test]
fn what_the_experts_warn_of_is_a_complaint_inside_our_protocols_only() {
    let packet = |protocol: &str| {
        format!(
            "<packet>\n  <proto name=\"{protocol}\" showname=\"x\">\n    <field name=\"_ws.expert\" show=\"\">\n      \
             <field name=\"_ws.expert.message\" show=\"odd\"/>\n      \
             <field name=\"_ws.expert.severity\" show=\"6291456\"/>\n    </field>\n  </proto>\n</packet>\n"
        )
    };
    assert_eq!(Reading::of(&packet("tcp")).complaints, [""; 0]);
    assert_eq!(Reading::of(&packet("sip")).complaints.len(), 1);
    let malformed = "<packet>\n  <proto name=\"_ws.malformed\" showname=\"x\"/>\n</packet>\n";
    assert_eq!(Reading::of(malformed).complaints.len(), 1);
}
