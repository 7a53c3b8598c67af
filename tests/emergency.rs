//! Calls for help (TS 24.229 §5.2.10, §5.11; TS 23.167): from whoever may call, by the P-CSCF and the E-CSCF, to the PSAP
//! that serves the place.

use sim::world::HostId;
use sim::{Ims, Phone, Plan, checker, ladder};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use ue::psap::{self, Emergency};
use ue::{Deregistration, Ending, Fault, Notice, RegistersFor, UeConfig};

const BERLIN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const GERMANY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A network with an E-CSCF, and a PSAP for Berlin before that of the country.
fn plan(seed: u64, pcscf: &str, more: &str) -> Plan {
    Plan::seeded(seed).with_settings(&format!(
        "[ecscf]\nlisten = \"127.0.0.14:7060\"\n\
         psap = [{{ uri = \"sip:{GERMANY}:5060\", cells = [\"26201\"], country = \"DE\" }}, \
         {{ uri = \"sip:{BERLIN}:5060\", cells = [\"262010001\"], country = \"DE\", area = \"Berlin\" }}]\n\
         [pcscf]\n{pcscf}\n{more}"
    ))
}

fn in_berlin(config: &mut UeConfig) {
    config.access = Some("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2620100010000001".to_owned());
}

/// What a PSAP was asked for.
fn calls(ims: &mut Ims, psap: HostId) -> Vec<Emergency> {
    let notices = ims.world.take_notices::<psap::Notice>(psap);
    let calls = notices.into_iter().filter_map(|(_, notice)| match notice {
        psap::Notice::Call(call) => Some(*call),
        _ => None,
    });
    calls.collect()
}

fn settled(mut ims: Ims, registered: &[&Phone]) {
    let broken = checker::settle(&mut ims, registered);
    assert!(broken.is_empty(), "{broken:#?}\n{}", ims.ladder());
}

fn status(notice: &Notice) -> u16 {
    let Notice::Ended { ending: Ending::Refused { status, .. }, .. } = notice else { panic!("{notice:?}") };
    status.code()
}

/// TS 24.229 §5.2.10.3, §5.11.2: a registered caller reaches the PSAP of its cell, which sees who calls, from where and for
/// what; no S-CSCF hears of it.
#[test]
fn a_registered_caller_reaches_the_psap_of_its_cell() {
    let mut ims = plan(1, "", "").start();
    let alice = ims.phone_with(in_berlin);
    let psap = ims.psap("psap", BERLIN);
    ims.register_well(&alice);
    let registered = ladder::ladder(&ims.world).count();
    let notice = ims.call(&alice, "urn:service:sos.fire");
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    let call = calls(&mut ims, psap).remove(0);
    assert_eq!(call.service, "urn:service:sos.fire");
    assert!(call.callers.iter().any(|caller| caller.contains("tel:+49301000001")), "{call:?}");
    assert_eq!(call.access, ["3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2620100010000001"]);
    ims.advance(Duration::from_secs(2));
    let notice = ims.hang_up(&alice);
    assert!(matches!(notice, Notice::Ended { ending: Ending::Local, .. }), "{notice:?}");
    ims.advance(Duration::from_secs(1));
    let drawn = ims.ladder();
    let mut lines = drawn.lines();
    let header = lines.next().unwrap();
    let call: Vec<&str> = std::iter::once(header).chain(lines.skip(registered)).collect();
    golden("emergency.txt", &format!("{}\n", call.join("\n")));
    settled(ims, &[&alice]);
}

fn for_help(config: &mut UeConfig) {
    in_berlin(config);
    config.registers_for = RegistersFor::Emergencies;
}

/// TS 24.229 §5.1.6.2, §5.4.8.2: a phone that registers for emergencies calls for help and nobody else, is de-registered by
/// nobody, and at the HSS its user is not registered. Its time is its own.
#[test]
fn a_phone_registers_for_emergencies_and_calls_for_help_alone() {
    let mut ims = plan(9, "", "").with_scscf_settings("emergency_expires = \"5min\"").start();
    let alice = ims.phone_with(for_help);
    let psap = ims.psap("psap", BERLIN);
    let Notice::Registered { service_route, expires_s, .. } = ims.register(&alice) else {
        panic!("not registered\n{}", ims.ladder());
    };
    assert!(service_route.is_empty() && expires_s == 300, "{service_route:?} {expires_s}");
    assert_eq!(ims.registered_at(&alice), None, "TS 29.228 Annex G");
    let notice = ims.call(&alice, "urn:service:sos.police");
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    let call = calls(&mut ims, psap).remove(0);
    assert!(call.callers.iter().any(|caller| caller.contains("tel:+49301000001")), "{call:?}");
    ims.advance(Duration::from_secs(1));
    ims.hang_up(&alice);
    ims.advance(Duration::from_secs(1));
    assert_eq!(status(&ims.call(&alice, "sip:bob@elsewhere.net")), 403);
    ims.advance(Duration::from_secs(1));
    let notice = ims.ask(&alice, ue::Command::Deregister, Duration::from_secs(5), |_| true);
    assert!(matches!(notice, Notice::Refused { .. }), "{notice:?}");
    golden("emergency-registration.txt", &ims.ladder());
    // Nobody is helped: it is not refreshed.
    let ended =
        ims.wait_for(&alice, Duration::from_secs(400), |notice| matches!(notice, Notice::Deregistered(_)));
    assert_eq!(ended, Some(Notice::Deregistered(Deregistration::Expired)));
    settled(ims, &[]);
}

/// TS 24.229 §5.1.6.4: it lives on as long as somebody is helped.
#[test]
fn a_registration_for_emergencies_outlives_the_call_that_it_is_for() {
    let mut ims = plan(10, "", "").with_scscf_settings("emergency_expires = \"2min\"").start();
    let alice = ims.phone_with(for_help);
    let psap = ims.psap("psap", BERLIN);
    ims.register_well(&alice);
    let notice = ims.call(&alice, "urn:service:sos");
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    for _ in 0..5 {
        let refreshed = ims.wait_for(&alice, Duration::from_secs(61), |notice| {
            matches!(notice, Notice::Registered { refresh: true, .. })
        });
        assert!(refreshed.is_some(), "{}", ims.ladder());
    }
    assert_eq!(calls(&mut ims, psap).len(), 1);
    ims.hang_up(&alice);
    settled(ims, &[]);
}

/// Both registrations of one user, by one phone each, behind CSCFs of several shards: neither disturbs the other.
#[test]
fn an_emergency_registration_stands_beside_an_ordinary_one_in_any_shard() {
    for shards in [1, 3] {
        let mut ims = plan(11, "", "").with_shards(shards).with_subscribers(4).start();
        let psap = ims.psap("psap", BERLIN);
        let ordinary: Vec<Phone> = (0..4).map(|_| ims.phone()).collect();
        ordinary.iter().for_each(|phone| ims.register_well(phone));
        for n in 0..4 {
            let address = Ipv4Addr::new(10, 2, 0, n + 1);
            let phone = ims.phone_of(n, &format!("help-{n}"), address, for_help);
            ims.register_well(&phone);
            let notice = ims.call(&phone, "urn:service:sos");
            assert!(matches!(notice, Notice::Established { .. }), "{shards}: {notice:?}\n{}", ims.ladder());
            ims.hang_up(&phone);
        }
        assert_eq!(calls(&mut ims, psap).len(), 4);
        for (from, to) in ordinary.iter().zip(ordinary.iter().skip(1)) {
            let notice = ims.call(from, &to.sip);
            assert!(matches!(notice, Notice::Established { .. }), "{shards}: {notice:?}\n{}", ims.ladder());
            ims.hang_up(from);
            let notice = ims.deregister(from);
            assert_eq!(notice, Notice::Deregistered(Deregistration::Confirmed), "{shards}");
        }
        settled(ims, &[&ordinary[3]]);
    }
}

/// TS 24.229 §5.2.10.3: a number that is dialled as any other is known at the P-CSCF.
#[test]
fn a_dialled_emergency_number_reaches_the_psap_as_a_service() {
    let mut ims = plan(2, "emergency_numbers = [\"110\"]", "").start();
    let alice = ims.phone_with(in_berlin);
    let psap = ims.psap("psap", BERLIN);
    ims.register_well(&alice);
    let notice = ims.call(&alice, "tel:110");
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    assert_eq!(calls(&mut ims, psap).remove(0).service, "urn:service:sos");
    ims.hang_up(&alice);
    settled(ims, &[&alice]);
}

/// TS 23.167 §6.2.1: a phone without a registration is served where policy allows it, without an identity that nobody has
/// checked; and each end hangs up on it, by the route that was recorded.
#[test]
fn an_unregistered_caller_reaches_the_psap_and_either_end_hangs_up() {
    for psap_ends in [false, true] {
        let mut ims = plan(3, "emergency = \"anyone\"", "").start();
        let alice = ims.phone_with(|config| {
            in_berlin(config);
            config.policy.fault = Some(Fault::Unregistered);
        });
        let psap = ims.psap("psap", BERLIN);
        let notice = ims.call(&alice, "urn:service:sos");
        assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
        let call = calls(&mut ims, psap).remove(0);
        assert!(call.callers.is_empty(), "{call:?}");
        assert_eq!(call.access.len(), 1);
        ims.advance(Duration::from_secs(1));
        if psap_ends {
            ims.world.command(psap, psap::Command::HangUp);
            let ended = ims.wait_for(&alice, Duration::from_secs(10), |notice| {
                matches!(notice, Notice::Ended { ending: Ending::Remote, .. })
            });
            assert!(ended.is_some(), "{}", ims.ladder());
        } else {
            ims.hang_up(&alice);
            ims.advance(Duration::from_secs(1));
            let notices = ims.world.take_notices::<psap::Notice>(psap);
            assert!(notices.iter().any(|(_, notice)| *notice == psap::Notice::Ended), "{}", ims.ladder());
        }
        settled(ims, &[]);
    }
}

/// RFC 6442, TS 24.229 §5.11.2: the location that an anonymous caller carries arrives as it was written, and chooses the
/// PSAP.
#[test]
fn an_anonymous_caller_is_routed_by_the_location_that_it_carries() {
    let mut ims = plan(4, "emergency = \"anyone\"", "").start();
    let (psap, other) = (ims.psap("psap", BERLIN), ims.psap("psap-2", GERMANY));
    ims.world.inject(SocketAddr::from(([10, 9, 9, 9], 5060)), pcscf(), anonymous("b").as_bytes());
    ims.advance(Duration::from_millis(500));
    let call = calls(&mut ims, psap).remove(0);
    assert_eq!(call.geolocation, ["<cid:here@phone>"]);
    assert_eq!(call.pidf.as_deref(), Some(PIDF));
    assert_eq!(call.callers, [""; 0], "what an unknown caller asserts is not believed");
    assert!(call.from.contains("anonymous.invalid"), "{call:?}");
    assert!(calls(&mut ims, other).is_empty());
}

/// TS 23.167 §7.4: where policy knows registered callers only, or nobody, the UE is told what to do.
#[test]
fn an_unregistered_caller_is_refused_by_policy() {
    for policy in ["registered", "off"] {
        let mut ims = plan(5, &format!("emergency = \"{policy}\""), "").start();
        let alice = ims.phone_with(|config| config.policy.fault = Some(Fault::Unregistered));
        let psap = ims.psap("psap", GERMANY);
        assert_eq!(status(&ims.call(&alice, "urn:service:sos")), 380, "{policy}");
        assert!(calls(&mut ims, psap).is_empty());
        settled(ims, &[]);
    }
}

/// A PSAP that is not there is passed over for the next of the table; when none is left, the caller is told.
#[test]
fn a_silent_psap_is_passed_over_and_none_at_all_is_a_refusal() {
    let mut ims = plan(6, "", "").start();
    let alice = ims.phone_with(in_berlin);
    let psap = ims.psap("psap", GERMANY);
    ims.register_well(&alice);
    let notice = ims.call(&alice, "urn:service:sos");
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    assert_eq!(calls(&mut ims, psap).len(), 1);
    ims.hang_up(&alice);
    ims.advance(Duration::from_secs(1));
    ims.world.crash(psap);
    assert_eq!(status(&ims.call(&alice, "urn:service:sos")), 504);
    settled(ims, &[&alice]);
}

/// Nobody serves a place outside of every area of the table.
#[test]
fn a_place_that_no_psap_serves_is_a_refusal() {
    let mut ims = plan(7, "", "").start();
    let alice = ims.phone_with(|config| {
        config.access = Some("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2080100010000001".to_owned());
    });
    ims.register_well(&alice);
    assert_eq!(status(&ims.call(&alice, "urn:service:sos")), 404);
    settled(ims, &[&alice]);
}

/// TS 23.167 §4.1: an emergency is served while ordinary calls are refused for overload, of the whole P-CSCF as of one
/// source; and the reserve has an end.
#[test]
fn an_emergency_is_served_while_the_core_refuses_ordinary_calls() {
    let own = |_: u8| SocketAddr::from(([10, 1, 0, 1], 5060));
    let others = |n: u8| SocketAddr::from(([10, 9, 9, n], 5060));
    for (limits, flood) in [
        ("contexts = 16", &others as &dyn Fn(u8) -> SocketAddr),
        ("contexts_per_source = 16", &own as &dyn Fn(u8) -> SocketAddr),
    ] {
        let mut ims = plan(8, "emergency = \"anyone\"", &format!("[limits]\n{limits}")).start();
        let alice = ims.phone_with(in_berlin);
        let psap = ims.psap("psap", BERLIN);
        ims.register_well(&alice);
        for n in 0..40 {
            let invite = format!(
                "INVITE sip:bob@elsewhere.net SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKflood{n}\r\nMax-Forwards: 70\r\n\
                 From: <sip:x@elsewhere.net>;tag=1\r\nTo: <sip:bob@elsewhere.net>\r\nCall-ID: flood-{n}\r\nCSeq: 1 INVITE\r\n\
                 Content-Length: 0\r\n\r\n",
                from = flood(n)
            );
            ims.world.inject(flood(n), pcscf(), invite.as_bytes());
        }
        ims.advance(Duration::from_millis(100));
        assert_eq!(status(&ims.call(&alice, "sip:bob@elsewhere.net")), 503, "{limits}");
        let notice = ims.call(&alice, "urn:service:sos");
        assert!(matches!(notice, Notice::Established { .. }), "{limits}: {notice:?}\n{}", ims.ladder());
        assert_eq!(calls(&mut ims, psap).len(), 1);
        let notice = ims.hang_up(&alice);
        assert!(matches!(notice, Notice::Ended { ending: Ending::Local, .. }), "{limits}: {notice:?}");
        ims.advance(Duration::from_millis(500));
        let ended = ims.world.take_notices::<psap::Notice>(psap);
        assert!(
            ended.iter().any(|(_, notice)| *notice == psap::Notice::Ended),
            "the BYE has room too: {limits}"
        );
        for n in 0..40 {
            ims.world.inject(flood(n), pcscf(), anonymous(&format!("flood-{n}")).as_bytes());
        }
        ims.advance(Duration::from_millis(500));
        let taken = calls(&mut ims, psap).len();
        assert!((1..=8).contains(&taken), "{limits}: a flood of {taken} emergencies goes through");
    }
}

fn pcscf() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 10], 5060))
}

const PIDF: &str = "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\"><ca:civicAddress xmlns:ca=\"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr\"><ca:country>DE</ca:country><ca:A1>Berlin</ca:A1></ca:civicAddress></presence>";

/// An INVITE of nobody, with its place in the body.
fn anonymous(call: &str) -> String {
    let body = format!(
        "--cut\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 10.9.9.9\r\ns=-\r\nc=IN IP4 10.9.9.9\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n--cut\r\nContent-Type: application/pidf+xml\r\n\
         Content-ID: <here@phone>\r\n\r\n{PIDF}\r\n--cut--\r\n"
    );
    format!(
        "INVITE urn:service:sos SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:anonymous@anonymous.invalid>;tag=1\r\nTo: <urn:service:sos>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:10.9.9.9:5060>\r\nP-Asserted-Identity: <sip:king@home.net>\r\nGeolocation: <cid:here@phone>\r\n\
         Geolocation-Routing: yes\r\nContent-Type: multipart/mixed;boundary=cut\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Compares a ladder with its golden file.
fn golden(name: &str, drawn: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flows").join(name);
    if std::env::var_os("CARILLON_BLESS").is_some() {
        std::fs::write(&path, drawn).expect("docs/flows can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == drawn, "docs/flows/{name} differs from this run:\n{drawn}");
}
