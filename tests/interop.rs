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

use lab::{DOMAIN, Lab, Part, START_MAX};

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
