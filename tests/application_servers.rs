//! Every session case with every behaviour of an application server and both default handlings (TS 24.229 §5.4.3.2,
//! §5.4.3.3; TS 23.218 §5.2), in simulation.
//!
//! `CARILLON_BLESS=1 cargo test -p carillon-tests --test application_servers` writes the ladders of `docs/flows/` anew.

use carillon_tests::story::{header, refusal, settled};
use cscf::user_data::{
    ApplicationServer, Condition, DefaultHandling, InitialFilterCriteria, ServicePointTrigger, SessionCase,
    TriggerPoint,
};
use hss_mock::Subscriber;
use sim::{Behaviour, Ims, Order, Outcame, Phone, Plan, ladder};
use sip_core::Status;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;
use ue::Notice;

const SERVER: &str = "127.0.0.60:5060";
const HANDLINGS: [DefaultHandling; 2] =
    [DefaultHandling::SessionContinued, DefaultHandling::SessionTerminated];
const CASES: [SessionCase; 5] = [
    SessionCase::OriginatingRegistered,
    SessionCase::TerminatingRegistered,
    SessionCase::TerminatingUnregistered,
    SessionCase::OriginatingUnregistered,
    SessionCase::OriginatingCdiv,
];
/// A call that stands.
const STANDS: u16 = 200;

/// Criteria that send the INVITEs of a session case to a server.
fn criterion(
    priority: u32,
    case: SessionCase,
    server: &str,
    handling: DefaultHandling,
) -> InitialFilterCriteria {
    let trigger = |condition| ServicePointTrigger {
        is_negated: false,
        groups: vec![0],
        condition,
        registration_types: Vec::new(),
    };
    let triggers = vec![trigger(Condition::Method("INVITE".into())), trigger(Condition::SessionCase(case))];
    InitialFilterCriteria {
        priority,
        trigger_point: Some(TriggerPoint { triggers, ..TriggerPoint::default() }),
        application_server: ApplicationServer {
            server_name: server.to_owned(),
            default_handling: handling,
            ..ApplicationServer::default()
        },
        profile_part: None,
    }
}

fn subscribe(subscriber: &mut Subscriber, criteria: &[InitialFilterCriteria]) {
    for set in &mut subscriber.implicit_sets {
        for profile in &mut set.service_profiles {
            profile.filter_criteria = criteria.to_vec();
        }
    }
}

/// How the server under test behaves.
#[derive(Clone, Debug)]
enum Server {
    Behaves(Behaviour),
    /// Nobody takes its connections.
    Dead,
}

fn servers() -> Vec<(&'static str, Server)> {
    let refuse = |status| Server::Behaves(Behaviour::Refuse(status));
    vec![
        ("proxy", Server::Behaves(Behaviour::Proxy)),
        ("b2bua", Server::Behaves(Behaviour::BackToBack)),
        ("redirect", Server::Behaves(Behaviour::Redirect("sip:elsewhere@example.net".into()))),
        ("answers", Server::Behaves(Behaviour::Answer)),
        ("silent", Server::Behaves(Behaviour::Silent)),
        ("4xx", refuse(Status::FORBIDDEN)),
        ("5xx", refuse(Status::SERVER_INTERNAL_ERROR)),
        ("dead", Server::Dead),
    ]
}

/// What the caller gets by the clause: `without` is what it would get if there were no application server.
fn wanted(server: &str, handling: DefaultHandling, without: u16) -> u16 {
    use DefaultHandling::{SessionContinued, SessionTerminated};
    match (server, handling) {
        ("proxy" | "b2bua", _) => without,
        ("redirect", _) => 302,
        ("answers", _) => STANDS,
        ("4xx", _) => 403,
        ("silent" | "5xx" | "dead", SessionContinued) => without,
        ("silent", SessionTerminated) => 408,
        ("5xx", SessionTerminated) => 500,
        ("dead", SessionTerminated) => 504,
        _ => panic!("no row for {server}"),
    }
}

struct Run {
    ims: Ims,
    outcome: u16,
    registered: Vec<Phone>,
    /// Where the call begins in the ladder.
    begins: usize,
}

impl Run {
    fn ladder(&self) -> String {
        let drawn = self.ims.ladder();
        let mut lines = drawn.lines();
        let header = lines.next().unwrap_or_default();
        let call: Vec<&str> = std::iter::once(header).chain(lines.skip(self.begins)).collect();
        format!("{}\n", call.join("\n"))
    }

    fn invites(&self, host: &str) -> usize {
        self.ims.received(host, "INVITE").len()
    }
}

/// A call in which a server is visited in a session case.
fn run(case: SessionCase, server: &Server, handling: DefaultHandling) -> Run {
    let uri = match server {
        Server::Behaves(_) => format!("sip:{SERVER}"),
        Server::Dead => format!("sip:{SERVER};transport=tcp"),
    };
    let (is_originating, is_diverted) = match case {
        SessionCase::OriginatingRegistered | SessionCase::OriginatingUnregistered => (true, false),
        SessionCase::OriginatingCdiv => (false, true),
        SessionCase::TerminatingRegistered | SessionCase::TerminatingUnregistered => (false, false),
    };
    let mut criteria = vec![criterion(2, case, &uri, handling)];
    if is_diverted {
        let diverts = "sip:127.0.0.61:5060";
        let terminating = SessionCase::TerminatingRegistered;
        criteria.push(criterion(1, terminating, diverts, DefaultHandling::SessionTerminated));
    }
    let served = if is_originating { 0 } else { 1 };
    let mut ims = Plan::seeded(90)
        .with_subscribers(3)
        .with_subscriber(served, |subscriber| subscribe(subscriber, &criteria))
        .start();
    let (alice, bob, carol) = (ims.phone(), ims.phone(), ims.phone());
    let behaviour = match server {
        Server::Behaves(behaviour) => behaviour.clone(),
        Server::Dead => Behaviour::Silent,
    };
    ims.application_server("as1", Ipv4Addr::new(127, 0, 0, 60), behaviour);
    if matches!(server, Server::Behaves(Behaviour::Silent)) {
        ims.world.network.cut("scscf", "as1");
    }
    if matches!(server, Server::Dead) {
        let host = ims.world.host("as1");
        ims.world.set_refuses_streams(host, true);
    }
    let mut registered = Vec::new();
    for phone in [&alice, &bob, &carol] {
        let is_away = match case {
            SessionCase::OriginatingUnregistered => phone.name == "alice",
            SessionCase::TerminatingUnregistered => phone.name == "bob",
            _ => false,
        };
        if !is_away {
            ims.register_well(phone);
            registered.push(phone.clone());
        }
    }
    if is_diverted {
        ims.application_server("as2", Ipv4Addr::new(127, 0, 0, 61), Behaviour::Divert(carol.sip.clone()));
    }
    let begins = ladder::ladder(&ims.world).count();
    let outcome = if case == SessionCase::OriginatingUnregistered {
        ims.application_server("as3", Ipv4Addr::new(127, 0, 0, 62), Behaviour::Silent);
        let host = ims.world.host("as3");
        let by = "sip:127.0.0.101:6060".to_owned();
        ims.world.command(host, Order::CallFor { user: alice.sip.clone(), to: bob.sip.clone(), by });
        let mut outcome = None;
        ims.world.run_until(Duration::from_secs(60), |world| {
            outcome = world.take_notices::<Outcame>(host).pop().map(|(_, Outcame(status))| status);
            outcome.is_some()
        });
        ims.advance(Duration::from_secs(2));
        outcome.unwrap_or_default()
    } else {
        match ims.call(&alice, &bob.sip) {
            Notice::Established { .. } => {
                ims.advance(Duration::from_secs(1));
                ims.hang_up(&alice);
                ims.advance(Duration::from_secs(1));
                STANDS
            }
            notice => refusal(&notice),
        }
    };
    Run { ims, outcome, registered, begins }
}

fn callee(case: SessionCase) -> &'static str {
    if case == SessionCase::OriginatingCdiv { "user2" } else { "bob" }
}

fn without(case: SessionCase) -> u16 {
    if case == SessionCase::TerminatingUnregistered { 480 } else { STANDS }
}

/// Must show 1 of the service layer: the outcome that the clause asks for, and nobody is called twice.
#[test]
fn every_session_case_meets_every_behaviour_and_both_default_handlings() {
    for case in CASES {
        for (name, server) in servers() {
            for handling in HANDLINGS {
                let run = run(case, &server, handling);
                let what = format!("{case:?}, {name}, {handling:?}");
                let wanted = wanted(name, handling, without(case));
                assert_eq!(run.outcome, wanted, "{what}\n{}", run.ladder());
                let is_called = wanted == STANDS && name != "answers";
                assert_eq!(run.invites(callee(case)), usize::from(is_called), "{what}\n{}", run.ladder());
                if name != "dead" && name != "silent" {
                    assert_eq!(run.invites("as1"), 1, "{what}\n{}", run.ladder());
                }
                settled(run.ims, &run.registered.iter().collect::<Vec<_>>());
            }
        }
    }
}

/// Compares ladders with their golden file.
fn golden(name: &str, drawn: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flows").join(name);
    if std::env::var_os("CARILLON_BLESS").is_some() {
        std::fs::write(&path, drawn).expect("docs/flows can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == drawn, "docs/flows/{name} differs from this run:\n{drawn}");
}

/// One page for each behaviour: a call of a registered user, and where default handling makes a difference, by both.
#[test]
fn each_behaviour_has_its_ladder() {
    for (name, server) in servers() {
        let mut page = String::new();
        for handling in HANDLINGS {
            let run = run(SessionCase::OriginatingRegistered, &server, handling);
            page.push_str(&format!("{handling:?}: {}\n\n{}\n", run.outcome, run.ladder()));
            if !matches!(name, "silent" | "5xx" | "dead") {
                break;
            }
        }
        golden(&format!("application-server-{name}.txt"), &page);
    }
}

/// And one for each session case, with an application server that is a proxy.
#[test]
fn each_session_case_has_its_ladder() {
    for (name, case) in [
        ("terminating", SessionCase::TerminatingRegistered),
        ("terminating-unregistered", SessionCase::TerminatingUnregistered),
        ("originating-unregistered", SessionCase::OriginatingUnregistered),
        ("diversion", SessionCase::OriginatingCdiv),
    ] {
        let run = run(case, &Server::Behaves(Behaviour::Proxy), DefaultHandling::SessionContinued);
        golden(&format!("application-server-{name}.txt"), &run.ladder());
    }
}

/// TS 24.229 §5.4.3.2 and §5.4.3.3 on one way: the servers of both users are visited, each is told whom it serves and how, and
/// both stay in the dialog.
#[test]
fn a_call_visits_the_servers_of_both_users_and_so_does_its_end() {
    use SessionCase::{OriginatingRegistered, TerminatingRegistered};
    let of = |case, server: &str| criterion(1, case, server, DefaultHandling::SessionTerminated);
    let (first, second) = (format!("sip:{SERVER}"), "sip:127.0.0.61:5060");
    let mut ims = Plan::seeded(91)
        .with_subscriber(0, |alice| subscribe(alice, &[of(OriginatingRegistered, &first)]))
        .with_subscriber(1, |bob| subscribe(bob, &[of(TerminatingRegistered, second)]))
        .start();
    ims.application_server("as1", Ipv4Addr::new(127, 0, 0, 60), Behaviour::Proxy);
    ims.application_server("as2", Ipv4Addr::new(127, 0, 0, 61), Behaviour::Proxy);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    let notice = ims.call(&alice, &bob.sip);
    assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
    ims.advance(Duration::from_secs(1));
    ims.hang_up(&bob);
    ims.advance(Duration::from_secs(1));
    for (server, case, user) in [("as1", "orig", &alice), ("as2", "term", &bob)] {
        let invites = ims.received(server, "INVITE");
        let served = header(&invites[0], "P-Served-User").expect("whom it serves");
        assert!(served.ends_with(&format!(";sescase={case};regstate=reg")), "{served}");
        assert!(served.contains(&format!("sip:{}@", user.name)) || served.contains(&user.sip), "{served}");
        assert_eq!((invites.len(), ims.received(server, "BYE").len()), (1, 1), "{server}");
    }
    for phone in [&alice, &bob] {
        for message in ims.received(&phone.name, "INVITE") {
            assert_eq!(header(&message, "P-Served-User"), None, "it stays inside");
        }
    }
    settled(ims, &[&alice, &bob]);
}

/// A server that has sent a text on lives, however long its receiver says nothing: default handling would deliver it twice.
#[test]
fn a_text_that_a_server_has_sent_on_is_not_sent_once_more() {
    let mut text = criterion(
        1,
        SessionCase::OriginatingRegistered,
        &format!("sip:{SERVER}"),
        DefaultHandling::SessionContinued,
    );
    text.trigger_point = None;
    let mut ims = Plan::seeded(92).with_subscriber(0, |alice| subscribe(alice, &[text])).start();
    ims.application_server("as1", Ipv4Addr::new(127, 0, 0, 60), Behaviour::Proxy);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    ims.register_well(&bob);
    ims.world.network.cut("pcscf", "bob");
    let begins = ims.received("pcscf", "MESSAGE").len();
    let command = ue::Command::Message { to: bob.sip.clone(), text: "hello".to_owned() };
    ims.world.command(alice.host, command);
    ims.advance(Duration::from_secs(20));
    let branches: std::collections::BTreeSet<String> = ims
        .received("pcscf", "MESSAGE")
        .into_iter()
        .skip(begins)
        .filter(|message| header(message, "P-Called-Party-ID").is_some())
        .filter_map(|message| header(&message, "Via").map(str::to_owned))
        .collect();
    assert_eq!(branches.len(), 1, "one request, however often it is repeated: {branches:?}");
}

/// A core in which alice's INVITEs visit a proxy at this URI.
fn with_proxy(seed: u64, uri: &str) -> (Ims, Phone, Phone) {
    let handling = DefaultHandling::SessionTerminated;
    let criteria = [criterion(1, SessionCase::OriginatingRegistered, uri, handling)];
    // Without the first an INVITE would be too long for UDP; the files are for the sockets of a process.
    let settings = "[network]\npath_mtu = 9000\n[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
    let plan = Plan::seeded(seed).with_settings(settings).with_scscf_over_tls();
    let mut ims = plan.with_subscriber(0, |alice| subscribe(alice, &criteria)).start();
    ims.application_server("as1", Ipv4Addr::new(127, 0, 0, 60), Behaviour::Proxy);
    let (alice, bob) = (ims.phone(), ims.phone_with(|bob| bob.policy.answering = ue::Answering::Manual));
    ims.register_well(&alice);
    ims.register_well(&bob);
    (ims, alice, bob)
}

/// RFC 3261 §16.10: who gives up gives up at the server, and at whom it has called.
#[test]
fn a_caller_who_gives_up_stops_the_ringing_behind_a_server() {
    let (mut ims, alice, bob) = with_proxy(93, &format!("sip:{SERVER}"));
    ims.world.command(alice.host, ue::Command::Call { to: bob.sip.clone(), offer: None });
    ims.advance(Duration::from_secs(2));
    let notice = ims.hang_up(&alice);
    assert!(matches!(notice, Notice::Ended { .. }), "{notice:?}");
    ims.advance(Duration::from_secs(1));
    for (host, cancels) in [("as1", 1), ("bob", 1)] {
        assert_eq!(ims.received(host, "CANCEL").len(), cancels, "{host}\n{}", ims.ladder());
    }
    settled(ims, &[&alice, &bob]);
}

/// TS 24.229 §5.4.5.1.2: what the network ends it ends in the whole chain.
#[test]
fn a_call_that_the_network_releases_ends_at_the_server_too() {
    let (mut ims, alice, bob) = with_proxy(94, &format!("sip:{SERVER}"));
    ims.world.command(alice.host, ue::Command::Call { to: bob.sip.clone(), offer: None });
    ims.advance(Duration::from_secs(2));
    ims.world.command(bob.host, ue::Command::Answer { call: None });
    ims.advance(Duration::from_secs(2));
    assert_eq!(ims.received("as1", "ACK").len(), 1, "the call stands\n{}", ims.ladder());
    let scscf = ims.world.host("scscf");
    let impu = cscf::identity::Impu::parse(alice.sip.as_bytes()).expect("an identity");
    ims.world.command(scscf, scscf::Command::Deregister { impu });
    ims.advance(Duration::from_secs(2));
    for host in ["alice", "as1", "bob"] {
        assert_eq!(ims.received(host, "BYE").len(), 1, "{host}\n{}", ims.ladder());
    }
    settled(ims, &[&bob]);
}

/// The transport is what the URI says (RFC 3263 §4.1).
#[test]
fn a_server_is_visited_by_the_transport_of_its_uri() {
    for (transport, via) in [("udp", "SIP/2.0/UDP"), ("tcp", "SIP/2.0/TCP"), ("tls", "SIP/2.0/TLS")] {
        let (mut ims, alice, bob) = with_proxy(95, &format!("sip:{SERVER};transport={transport}"));
        ims.world.command(alice.host, ue::Command::Call { to: bob.sip.clone(), offer: None });
        ims.advance(Duration::from_secs(2));
        let invites = ims.received("as1", "INVITE");
        let found = invites.first().and_then(|invite| header(invite, "Via")).unwrap_or_default();
        assert!(found.starts_with(via), "{transport}: {found}\n{}", ims.ladder());
        ims.hang_up(&alice);
        ims.advance(Duration::from_secs(1));
        settled(ims, &[&alice, &bob]);
    }
}

/// TS 24.229 §5.7.3: a server calls for a public service identity, which nobody can register; its services are visited.
#[test]
fn a_server_calls_for_a_public_service_identity() {
    let psi = "sip:conference@ims.mnc001.mcc001.3gppnetwork.org";
    let handling = DefaultHandling::SessionTerminated;
    let criteria = [criterion(1, SessionCase::OriginatingUnregistered, &format!("sip:{SERVER}"), handling)];
    let mut ims = Plan::seeded(96)
        .with_subscribers(3)
        .with_subscriber(2, |services| {
            let set = &mut services.implicit_sets[0].service_profiles[0];
            set.filter_criteria = criteria.to_vec();
            set.public_identities = vec![cscf::user_data::PublicIdentity {
                identity: psi.to_owned(),
                identity_type: cscf::user_data::IdentityType::DistinctPsi,
                ..Default::default()
            }];
        })
        .start();
    ims.application_server("as1", Ipv4Addr::new(127, 0, 0, 60), Behaviour::Proxy);
    ims.application_server("conference", Ipv4Addr::new(127, 0, 0, 62), Behaviour::Silent);
    ims.phone();
    let bob = ims.phone();
    ims.register_well(&bob);
    let host = ims.world.host("conference");
    // By the I-CSCF: the server need not know which S-CSCF there is.
    let by = "sip:127.0.0.11:4060".to_owned();
    ims.world.command(host, Order::CallFor { user: psi.to_owned(), to: bob.sip.clone(), by });
    let mut outcome = None;
    ims.world.run_until(Duration::from_secs(60), |world| {
        outcome = world.take_notices::<Outcame>(host).pop().map(|(_, Outcame(status))| status);
        outcome.is_some()
    });
    assert_eq!(outcome, Some(STANDS), "{}", ims.ladder());
    let invites = ims.received("as1", "INVITE");
    let served = invites.first().and_then(|invite| header(invite, "P-Served-User"));
    assert_eq!(served, Some(format!("<{psi}>;sescase=orig;regstate=unreg").as_str()), "{}", ims.ladder());
    ims.advance(Duration::from_secs(2));
    settled(ims, &[&bob]);
}

/// TS 23.003 §13.5, TS 29.228 §6.1.2.1: the HSS knows who lies within a wildcard; its profile is fetched once for all of them.
#[test]
fn a_number_within_a_wildcarded_service_identity_is_served_by_its_services() {
    let handling = DefaultHandling::SessionTerminated;
    let criteria = [criterion(1, SessionCase::TerminatingUnregistered, &format!("sip:{SERVER}"), handling)];
    let domain = "ims.mnc001.mcc001.3gppnetwork.org";
    let mut ims = Plan::seeded(97)
        .with_subscribers(2)
        .with_subscriber(1, |services| {
            let set = &mut services.implicit_sets[0].service_profiles[0];
            set.filter_criteria = criteria.to_vec();
            set.public_identities = vec![cscf::user_data::PublicIdentity {
                identity: format!("sip:room0@{domain}"),
                identity_type: cscf::user_data::IdentityType::WildcardedPsi,
                wildcarded_psi: Some(format!("sip:room![0-9]+!@{domain}")),
                ..Default::default()
            }];
        })
        .start();
    ims.application_server("as1", Ipv4Addr::new(127, 0, 0, 60), Behaviour::Answer);
    let alice = ims.phone();
    ims.register_well(&alice);
    for room in [7, 42] {
        let notice = ims.call(&alice, &format!("sip:room{room}@{domain}"));
        assert!(matches!(notice, Notice::Established { .. }), "{notice:?}\n{}", ims.ladder());
        ims.advance(Duration::from_secs(1));
        ims.hang_up(&alice);
        ims.advance(Duration::from_secs(1));
    }
    let invites = ims.received("as1", "INVITE");
    let served: Vec<_> = invites.iter().filter_map(|invite| header(invite, "P-Served-User")).collect();
    let wanted = [7, 42].map(|room| format!("<sip:room{room}@{domain}>;sescase=term;regstate=unreg"));
    assert_eq!(served, wanted, "{}", ims.ladder());
    // Of alice's registration one, and one of the service.
    assert_eq!(ims.ladder().matches("SAR").count(), 2, "{}", ims.ladder());
    // What lies outside of the wildcard is nobody.
    assert_eq!(refusal(&ims.call(&alice, &format!("sip:room@{domain}"))), 404, "{}", ims.ladder());
    settled(ims, &[&alice]);
}
