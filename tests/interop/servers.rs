//! Application servers that we did not write on the chain of our S-CSCF: Kamailio as a proxy, SIPp as a back-to-back user
//! agent and as a terminating one.

use crate::{kamailio, sipp};
use carillon_tests::lab::Lab;
use carillon_tests::process::Process;
use std::net::SocketAddr;
use std::time::Duration;

/// A core in which the INVITEs of one user visit an application server, which is trusted.
fn core_with_server(user: &str) -> (Lab, SocketAddr) {
    let mut lab = Lab::by_addresses();
    let address = lab.loopback().at(60, 5060);
    lab.trust(address.ip());
    lab.add_criteria(user, &format!("INVITE=sip:{address}"));
    lab.start_all();
    (lab, address)
}

/// What an application server that is Kamailio says of each request.
fn visits(server: &Process, method: &str) -> Vec<String> {
    let said = format!("visited by {method}, serving ");
    let output = server.output();
    output.lines().filter_map(|line| line.split_once(&said)).map(|(_, who)| who.to_owned()).collect()
}

/// TS 24.229 §5.4.3.2, §5.4.3.3: on the way from the user and on the way to the user, and both stay in the dialog.
#[test]
fn kamailio_as_a_proxy_is_visited_and_sees_who_hangs_up() {
    if !kamailio::is_installed() {
        return;
    }
    let (lab, address) = core_with_server("alice");
    let server = kamailio::start_server(&lab, address);
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    alice.call(&mut bob);
    let number = bob.sip().to_owned();
    alice.call_and_stay(&number, &mut bob);
    bob.hang_up(&mut alice);
    bob.call(&mut alice);
    let served = visits(&server, "INVITE");
    let cases: Vec<_> = served.iter().filter_map(|who| who.split_once(";sescase=")).collect();
    let wanted = ["orig;regstate=reg", "orig;regstate=reg", "term;regstate=reg"];
    assert_eq!(cases.iter().map(|(_, case)| *case).collect::<Vec<_>>(), wanted, "{served:?}");
    assert_eq!((visits(&server, "ACK").len(), visits(&server, "BYE").len()), (3, 3), "{}", server.output());
    alice.message(&mut bob, "no INVITE");
    assert_eq!(visits(&server, "MESSAGE"), [""; 0], "the criterion is about INVITEs");
}

/// TS 24.229 §5.7.5: a dialog on each side, and an end of either is an end of both.
#[test]
fn sipp_as_a_back_to_back_user_agent_joins_two_dialogs() {
    if !carillon_tests::needs("sipp") {
        return;
    }
    let (lab, address) = core_with_server("alice");
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    let number = bob.sip().to_owned();
    for caller_hangs_up in [true, false] {
        let mut server = sipp::start_server(&lab, "b2bua", address);
        alice.call_and_stay(&number, &mut bob);
        std::thread::sleep(TALK);
        match caller_hangs_up {
            true => alice.hang_up(&mut bob),
            false => bob.hang_up(&mut alice),
        }
        let status = server.wait(sipp::SCENARIO_MAX);
        assert!(status.success(), "{status}: {}", sipp::story(&lab));
        let story = sipp::story(&lab);
        assert!(story.contains("P-Served-User: ") && story.contains("Call-ID: far///"), "{story}");
    }
}

/// TS 24.229 §5.7.2: the call ends at the application server; whom it was for hears nothing of it.
#[test]
fn sipp_as_a_terminating_user_agent_takes_the_call() {
    if !carillon_tests::needs("sipp") {
        return;
    }
    let (lab, address) = core_with_server("bob");
    let (mut alice, mut bob) = (lab.phone("alice"), lab.phone("bob"));
    alice.register();
    bob.register();
    let mut server = sipp::start_server(&lab, "called", address);
    alice.call_until_hung_up(bob.sip());
    let status = server.wait(sipp::SCENARIO_MAX);
    assert!(status.success(), "{status}: {}", sipp::story(&lab));
    assert!(!bob.story().contains("\nINVITE ") && !bob.story().contains("INVITE sip:"), "bob was called");
}

/// How long two talk.
const TALK: Duration = Duration::from_millis(100);
