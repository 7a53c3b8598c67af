//! Interoperation with programs that we did not write: Kamailio's IMS modules, freeDiameter, SIPp, Wireshark.
//!
//! Each test has a loopback network of its own, runs our four processes but for the one that the peer replaces, and
//! uses phones of ours on real sockets. A test whose peer is not installed is skipped, and says so.
#![allow(clippy::print_stderr, reason = "a failing test shows what every process and phone has said")]

#[path = "interop/demo.rs"]
mod demo;
#[path = "interop/freediameter.rs"]
mod freediameter;
#[path = "interop/isc.rs"]
mod isc;
#[path = "interop/profiles.rs"]
mod profiles;
#[path = "interop/recorder.rs"]
mod recorder;
#[path = "interop/servers.rs"]
mod servers;
#[path = "interop/sipp.rs"]
mod sipp;
#[path = "interop/wireshark.rs"]
mod wireshark;

use carillon_tests::kamailio;
use carillon_tests::lab::{DOMAIN, Lab, Part, START_MAX};
use carillon_tests::process::Process;
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
    let mut lab = Lab::by_addresses();
    core_of(&mut lab, stranger);
    a_day_of_two_phones(&lab);
}

/// Starts a core in which Kamailio is `stranger`.
fn core_of(lab: &mut Lab, stranger: Part) {
    for part in Part::ALL {
        match part == stranger {
            true => kamailio::start(lab, part),
            false => lab.start(part),
        }
    }
    lab.wait_for_diameter();
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

/// A core whose CSCFs know no HSS but through the relay.
fn behind_freediameter() -> Option<(Lab, Process)> {
    if !freediameter::PROGRAMS.into_iter().all(carillon_tests::needs) {
        return None;
    }
    let mut lab = Lab::by_addresses();
    let (relay, address) = (freediameter::identity(), freediameter::choose_address(&lab));
    lab.add_settings(&format!(
        "[diameter]\nhss = [{{ host = \"{relay}\", realm = \"{DOMAIN}\", address = \"{address}\" }}]\n\
         [control]\npath = \"control\"\n"
    ));
    lab.start(Part::Hss);
    let process = freediameter::start(&mut lab, address);
    for part in [Part::Scscf, Part::Icscf, Part::Pcscf] {
        lab.start(part);
    }
    for part in [Part::Scscf, Part::Icscf] {
        lab.process(part).wait_for_output(&format!("peer=\"{relay}\""), START_MAX);
    }
    Some((lab, process))
}

fn assert_nobody_went_past_the_relay(mut lab: Lab) {
    let told = lab.process(Part::Hss).output();
    assert!(
        !told.contains("peer=\"icscf.") && !told.contains("peer=\"scscf."),
        "a CSCF has gone past the relay: {told}"
    );
}

#[test]
fn freediameter_relays_cx() {
    let Some((lab, _relay)) = behind_freediameter() else { return };
    a_day_of_two_phones(&lab);
    assert_nobody_went_past_the_relay(lab);
}

/// TS 29.228 §6.1.3.1 and §6.2.2: what the HSS begins finds its S-CSCF through the relay, and has its effect there.
#[test]
fn freediameter_relays_what_the_hss_begins() {
    let Some((lab, _relay)) = behind_freediameter() else { return };
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    bob.call(&mut alice);
    let told = lab.ims(&["hss", "deregister", "alice"]).unwrap();
    assert!(told.contains("the S-CSCF answered 2001 SUCCESS"), "{told}");
    assert_eq!(bob.call_refused(alice.sip()), 480, "alice is de-registered");

    // Bob gets another number, which the S-CSCF learns by PPR.
    alice.register();
    let number = format!("sip:+49301000888@{DOMAIN}");
    assert_eq!(alice.call_refused(&number), 404);
    let csv = lab.folder().join("subscribers.csv");
    let people = std::fs::read_to_string(&csv).unwrap();
    std::fs::write(&csv, people.replace("+49301000002", "+49301000888")).unwrap();
    lab.ims(&["hss", "reload"]).unwrap();
    let told = lab.ims(&["hss", "push", "bob"]).unwrap();
    assert!(told.contains("the S-CSCF answered 2001 SUCCESS"), "{told}");
    alice.call_number(&number, &mut bob);
    assert_nobody_went_past_the_relay(lab);
}

/// RFC 3310 by SIPp's own implementation, and a call on the Service-Route to a registered contact.
#[test]
fn sipp_registers_by_aka_and_calls_a_phone() {
    if !carillon_tests::needs("sipp") {
        return;
    }
    let mut lab = Lab::by_addresses();
    lab.add_subscriber(sipp::SUBSCRIBER);
    lab.start_all();
    let mut bob = lab.phone("bob");
    bob.register();
    let mut sipp = sipp::start_registered(&lab, "caller");
    bob.is_called();
    let status = sipp.wait(sipp::SCENARIO_MAX);
    assert!(status.success(), "{status}: {}", sipp::story(&lab));
    bob.deregister();
}

/// The other way round: SIPp's registered contact is called by a phone, answers and hangs up.
#[test]
fn sipp_is_called_at_its_registered_contact_answers_and_hangs_up() {
    if !carillon_tests::needs("sipp") {
        return;
    }
    let mut lab = Lab::by_addresses();
    lab.add_subscriber(sipp::SUBSCRIBER);
    lab.start_all();
    let mut alice = lab.phone("alice");
    alice.register();
    assert_eq!(alice.call_refused(&sipp::called()), 480, "SIPp has not registered yet");
    let status = sipp::start_registered(&lab, "register").wait(sipp::SCENARIO_MAX);
    assert!(status.success(), "{status}: {}", sipp::story(&lab));
    let mut sipp = sipp::start(&lab, "called");
    sipp.wait_for_udp_port(sipp::contact(&lab), sipp::SCENARIO_MAX);
    alice.call_until_hung_up(&sipp::called());
    let status = sipp.wait(sipp::SCENARIO_MAX);
    assert!(status.success(), "{status}: {}", sipp::story(&lab));
    alice.deregister();
}

#[test]
fn wireshark_reads_the_demo_as_the_demo_tells_it() {
    if !carillon_tests::needs("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Built before the capture: it would see the compiler's friends too.
    carillon_tests::binaries::binary("ims");
    let capture = match Capture::start(folder.path()) {
        Ok(capture) => capture,
        Err(NotPermitted(why)) => {
            carillon_tests::missing(&format!("this user may not capture: {why}"));
            return;
        }
    };
    let (first, second) = (demo::run(folder.path()), demo::run(folder.path()));
    let capture = capture.stop();
    for list in [&first, &second] {
        let story =
            [&demo::REGISTRATION[..], &demo::REGISTRATION, &["MESSAGE"], &demo::CALL, &["SAR", "SAA 2001"]];
        demo::assert_in_order(list, &story.concat());
    }
    let ids = demo::assert_as_captured(&first, &capture);
    let others = demo::assert_as_captured(&second, &capture);
    assert!(ids.len() > 4 && ids.is_disjoint(&others), "Call-IDs and RANDs of two runs: {ids:?} {others:?}");
    assert_ne!(
        demo::addresses(&first, "SIP"),
        demo::addresses(&second, "SIP"),
        "two runs take ports of their own"
    );
}
