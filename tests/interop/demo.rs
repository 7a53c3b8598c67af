//! What `ims demo` tells of its own messages, compared with what Wireshark saw.

use crate::wireshark;
use carillon_tests::binaries::binary;
use carillon_tests::process::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// One line of `ims demo --list`.
pub struct Listed {
    time_s: f64,
    source: String,
    destination: String,
    protocol: String,
    summary: String,
}

/// Runs `ims demo`; what it lists.
pub fn run(folder: &Path) -> Vec<Listed> {
    let mut command = Command::new(binary("ims"));
    command.args(["demo", "--list", "--talk", "300ms"]);
    let mut process = Process::start("demo", &mut command, folder);
    let status = process.wait(Duration::from_secs(30));
    let output = process.output();
    assert!(status.success(), "{status}: {output}");
    output.lines().filter(|line| line.matches('\t').count() == 4).map(Listed::of).collect()
}

impl Listed {
    fn of(line: &str) -> Listed {
        let columns: Vec<&str> = line.split('\t').collect();
        let [time, source, destination, protocol, summary] = columns[..] else { panic!("{line}") };
        let own = str::to_owned;
        let time_s = time.parse().unwrap_or_else(|_| panic!("{line}"));
        let (source, destination) = (own(source), own(destination));
        Listed { time_s, source, destination, protocol: own(protocol), summary: own(summary) }
    }
}

/// Every address that a protocol of a list runs between.
pub fn addresses(list: &[Listed], protocol: &str) -> BTreeSet<SocketAddr> {
    let of_protocol = list.iter().filter(|listed| listed.protocol == protocol);
    of_protocol
        .flat_map(|listed| [&listed.source, &listed.destination])
        .map(|address| address.parse().unwrap_or_else(|_| panic!("{address} is no address")))
        .collect()
}

/// Whether `wanted` stands in `list` in this order, with whatever else between.
pub fn assert_in_order(list: &[Listed], wanted: &[&str]) {
    let mut rest = list.iter();
    for summary in wanted {
        assert!(rest.any(|listed| listed.summary == *summary), "{summary} is missing, or comes too early");
    }
}

/// The capture of a run, compared with what the run tells of itself; gives Call-IDs and nonces.
pub fn assert_as_captured(list: &[Listed], capture: &Path) -> BTreeSet<String> {
    let (sip, diameter) = (addresses(list, "SIP"), addresses(list, "Diameter"));
    let reading = wireshark::read(capture, &sip, &diameter);
    assert!(reading.complaints.is_empty(), "{:#?}", reading.complaints);
    // Two messages of two parties may pass each other between the list's clock and the wire; those of one may not.
    let mut listed = BTreeMap::<_, Vec<_>>::new();
    for line in list {
        let flow = (line.source.clone(), line.destination.clone());
        listed.entry(flow).or_default().push((line.time_s, line.protocol.clone(), line.summary.clone()));
    }
    let mut captured = BTreeMap::<_, Vec<_>>::new();
    let start = reading.messages.first().map_or(0.0, |message| message.time_s);
    for message in &reading.messages {
        let flow = (message.source.clone(), message.destination.clone());
        let what = (message.time_s - start, message.protocol.to_owned(), message.summary.clone());
        captured.entry(flow).or_default().push(what);
    }
    assert_eq!(reading.messages.len(), list.len());
    assert_eq!(captured.keys().collect::<Vec<_>>(), listed.keys().collect::<Vec<_>>());
    for (flow, listed) in &listed {
        let captured = &captured[flow];
        let what = |messages: &[(f64, String, String)]| -> Vec<_> {
            messages.iter().map(|(_, protocol, summary)| format!("{protocol} {summary}")).collect()
        };
        assert_eq!(what(captured), what(listed), "{flow:?}");
        for (captured, listed) in captured.iter().zip(listed) {
            let apart = (captured.0 - listed.0).abs();
            assert!(apart < CLOCKS_APART_S, "{flow:?}: {listed:?} was on the wire at {}", captured.0);
        }
    }
    let ids = reading.messages.into_iter().flat_map(|message| [message.call_id, message.nonce]);
    ids.filter(|id| !id.is_empty()).collect()
}

/// A message is stamped when its cause is handled; a busy machine may send it a little later.
const CLOCKS_APART_S: f64 = 0.25;

/// A registration by AKA (TS 24.229 §5.4.1.2), as far as its order is certain.
pub const REGISTRATION: [&str; 12] = [
    "REGISTER",
    "UAR",
    "UAA 2001",
    "MAR",
    "MAA 2001",
    "401 Unauthorized (REGISTER)",
    "REGISTER",
    "UAR",
    "UAA 2002",
    "SAR",
    "SAA 2001",
    "200 OK (REGISTER)",
];

/// A call, from its setup to its end.
pub const CALL: [&str; 8] =
    ["INVITE", "LIR", "LIA 2001", "180 Ringing (INVITE)", "200 OK (INVITE)", "ACK", "BYE", "200 OK (BYE)"];
