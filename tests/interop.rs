//! Interoperation with programs that we did not write: Kamailio's IMS modules, freeDiameter, SIPp, Wireshark.
//!
//! Each test has a loopback network of its own, runs our four processes but for the one that the peer replaces, and
//! uses phones of ours on real sockets. A test whose peer is not installed is skipped, and says so.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process and phone has said")]

#[path = "interop/binaries.rs"]
mod binaries;
#[path = "interop/freediameter.rs"]
mod freediameter;
#[path = "interop/kamailio.rs"]
mod kamailio;
#[path = "interop/lab.rs"]
mod lab;
#[path = "interop/loopback.rs"]
mod loopback;
#[path = "interop/phone.rs"]
mod phone;
#[path = "interop/process.rs"]
mod process;
#[path = "interop/sipp.rs"]
mod sipp;
#[path = "interop/template.rs"]
mod template;
#[path = "interop/wireshark.rs"]
mod wireshark;

use lab::{DOMAIN, Lab, Part, START_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use wireshark::{Capture, NotPermitted};

/// Alice and bob register, refresh, call each other both ways, and de-register.
fn a_day_of_two_phones(lab: &Lab) {
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    assert!(!alice.register(), "the first registration is no refresh");
    assert!(!bob.register(), "the first registration is no refresh");
    assert!(alice.register(), "the second one is");
    alice.message(&mut bob, "Hello Bob");
    alice.call(&mut bob);
    bob.call(&mut alice);
    alice.deregister();
    bob.deregister();
}

/// A core of ours with Kamailio in the place of one CSCF.
fn with_kamailio(stranger: Part) {
    if !kamailio::is_installed() {
        return;
    }
    let mut lab = Lab::new();
    for part in Part::ALL {
        if part == stranger {
            kamailio::start(&mut lab, part);
        } else {
            lab.start(part);
        }
    }
    lab.wait_for_diameter();
    a_day_of_two_phones(&lab);
}

#[test]
fn kamailio_takes_the_place_of_the_pcscf() {
    with_kamailio(Part::Pcscf);
}

#[test]
fn kamailio_takes_the_place_of_the_icscf() {
    with_kamailio(Part::Icscf);
}

#[test]
fn kamailio_takes_the_place_of_the_scscf() {
    with_kamailio(Part::Scscf);
}

#[test]
fn freediameter_relays_cx() {
    if !freediameter::PROGRAMS.into_iter().all(carillon_tests::needs) {
        return;
    }
    let mut lab = Lab::new();
    let (relay, address) = (freediameter::identity(), freediameter::choose_address(&lab));
    lab.add_settings(&format!(
        "[diameter]\nhss = [{{ host = \"{relay}\", realm = \"{DOMAIN}\", address = \"{address}\" }}]\n"
    ));
    lab.start(Part::Hss);
    let _relay = freediameter::start(&mut lab, address);
    for part in [Part::Scscf, Part::Icscf, Part::Pcscf] {
        lab.start(part);
    }
    for part in [Part::Scscf, Part::Icscf] {
        lab.process(part).wait_for_output(&format!("peer=\"{relay}\""), START_MAX);
    }
    a_day_of_two_phones(&lab);
    let told = lab.process(Part::Hss).output();
    assert!(
        !told.contains("peer=\"icscf.") && !told.contains("peer=\"scscf."),
        "a CSCF has gone past the relay: {told}"
    );
}

/// RFC 3310 by SIPp's own implementation, and a call on the Service-Route to a registered contact.
#[test]
fn sipp_registers_by_aka_and_calls_a_phone() {
    if !carillon_tests::needs("sipp") {
        return;
    }
    let mut lab = Lab::new();
    lab.add_subscriber(sipp::SUBSCRIBER);
    for part in Part::ALL {
        lab.start(part);
    }
    lab.wait_for_diameter();
    let mut bob = lab.phone("bob");
    bob.register();
    let mut sipp = sipp::start(&lab, "caller");
    bob.is_called();
    let status = sipp.wait(sipp::SCENARIO_MAX);
    assert!(status.success(), "{status}: {}", sipp::story(&lab));
    bob.deregister();
}

/// One line of `ims demo --list`.
struct Listed {
    time_s: f64,
    source: String,
    destination: String,
    protocol: String,
    summary: String,
}

/// Runs `ims demo`; what it lists.
fn demo(folder: &std::path::Path) -> Vec<Listed> {
    let mut command = Command::new(binaries::binary("ims"));
    command.args(["demo", "--list", "--talk", "300ms"]);
    let mut process = process::Process::start("demo", &mut command, folder);
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
fn addresses(list: &[Listed], protocol: &str) -> BTreeSet<SocketAddr> {
    let of_protocol = list.iter().filter(|listed| listed.protocol == protocol);
    of_protocol
        .flat_map(|listed| [&listed.source, &listed.destination])
        .map(|address| address.parse().unwrap_or_else(|_| panic!("{address} is no address")))
        .collect()
}

/// Whether `wanted` stands in `list` in this order, with whatever else between.
fn assert_in_order(list: &[Listed], wanted: &[&str]) {
    let mut rest = list.iter();
    for summary in wanted {
        assert!(rest.any(|listed| listed.summary == *summary), "{summary} is missing, or comes too early");
    }
}

/// The capture of a run, compared with what the run tells of itself; gives Call-IDs and nonces.
fn assert_as_captured(list: &[Listed], capture: &std::path::Path) -> BTreeSet<String> {
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

#[test]
fn wireshark_reads_the_demo_as_the_demo_tells_it() {
    if !carillon_tests::needs("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Built before the capture: it would see the compiler's friends too.
    binaries::binary("ims");
    let capture = match Capture::start(folder.path()) {
        Ok(capture) => capture,
        Err(NotPermitted(why)) => {
            carillon_tests::missing(&format!("this user may not capture: {why}"));
            return;
        }
    };
    let (first, second) = (demo(folder.path()), demo(folder.path()));
    let capture = capture.stop();
    for list in [&first, &second] {
        let registration = [
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
        let call = [
            "INVITE",
            "LIR",
            "LIA 2001",
            "180 Ringing (INVITE)",
            "200 OK (INVITE)",
            "ACK",
            "BYE",
            "200 OK (BYE)",
        ];
        assert_in_order(
            list,
            &[&registration[..], &registration, &["MESSAGE"], &call, &["SAR", "SAA 2001"]].concat(),
        );
    }
    let ids = assert_as_captured(&first, &capture);
    let others = assert_as_captured(&second, &capture);
    assert!(ids.len() > 4 && ids.is_disjoint(&others), "Call-IDs and RANDs of two runs: {ids:?} {others:?}");
    assert_ne!(addresses(&first, "SIP"), addresses(&second, "SIP"), "two runs take ports of their own");
}
