//! The ways in beside IMS-AKA: SIP digest over TLS, GIBA, and which access network may take which (TS 33.203 Annexes N, O,
//! P, T).

use crate::bench::*;
use cscf::input::{Event, Input};
use cscf::{Flow, ShardId, Transport, Trust};

const TLS: &str = "listen = [\"127.0.0.10:5060\", \"tls:127.0.0.10:5061\"]";
const FILES: &str = "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
/// Where alice's TLS connections come from.
const CONNECTION: &str = "10.0.0.1:40001";
const OFFER: &str = "Security-Client: tls;q=0.2\nRequire: sec-agree\nProxy-Require: sec-agree";

fn credentials(user: &str, more: &str) -> String {
    format!("{CONTACT}\nAuthorization: Digest username=\"{user}@{HOME}\",realm=\"{HOME}\",nonce=\"n\"{more}")
}

fn bench() -> Bench {
    Bench::listening(TLS, FILES)
}

fn says(sent: &[Sent]) -> String {
    let authorization = value(&sent[0].1, "Authorization");
    let said = authorization.split("integrity-protected=\"").nth(1).unwrap_or("\"");
    said.split('"').next().unwrap_or_default().to_owned()
}

fn is_refused(sent: &[Sent], status: &str, why: &str) {
    let [(_, text)] = sent else { panic!("{sent:?}") };
    assert!(text.starts_with(&format!("SIP/2.0 {status} ")), "{text}");
    assert!(text.contains(why), "{why}: {text}");
}

/// Registers alice over the connection in a slot; gives the Path.
fn register_by(bench: &mut Bench, slot: u32, remote: &str, branch: &str) -> String {
    let sent = bench.by_tls(
        slot,
        remote,
        &register(branch, &credentials("alice", ",algorithm=MD5,response=\"66\"")),
    );
    let path = value(&sent[0].1, "Path");
    let back = bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600")));
    assert!(back[0].1.starts_with("SIP/2.0 200 "), "{back:?}");
    path
}

/// TS 33.203 §O.2.2, §O.4.3.
#[test]
fn a_tls_connection_is_bound_to_the_user_who_has_registered_by_it() {
    let mut bench = bench();
    let sent = bench.by_tls(5, CONNECTION, &register("r1", &credentials("alice", ",response=\"\"")));
    assert_eq!(says(&sent), "tls-pending");
    register_by(&mut bench, 5, CONNECTION, "r2");
    let refresh = register("r3", &credentials("alice", ",algorithm=MD5,response=\"66\""));
    assert_eq!(says(&bench.by_tls(5, CONNECTION, &refresh)), "tls-yes");
    let other = register("r4", &credentials("mallory", ",algorithm=MD5,response=\"66\""));
    is_refused(&bench.by_tls(5, CONNECTION, &other), "403", "another TLS connection");
    let elsewhere = register("r5", &credentials("alice", ",algorithm=MD5,response=\"66\""));
    assert_eq!(says(&bench.by_tls(6, "10.0.0.1:40002", &elsewhere)), "tls-pending");
    // The claim of a UE counts for nothing, by whatever it comes.
    let claim = register(
        "r6",
        &credentials("alice", ",algorithm=MD5,response=\"66\",integrity-protected=\"tls-yes\""),
    );
    assert_eq!(says(&bench.ue_sends("10.0.0.9:5060", &claim)), "ip-assoc-pending");
}

fn message(branch: &str) -> String {
    format!(
        "MESSAGE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/TLS 10.0.0.1:5060;branch=z9hG4bK{branch}\nMax-Forwards: 70\n\
         Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\nFrom: <sip:alice@{HOME}>;tag=1\nTo: <sip:bob@{HOME}>\n\
         Call-ID: {branch}\nCSeq: 1 MESSAGE\nContent-Length: 0\n\n"
    )
}

#[test]
fn only_the_connection_of_the_registration_speaks_for_its_user() {
    let mut bench = bench();
    register_by(&mut bench, 5, CONNECTION, "r1");
    let sent = bench.by_tls(5, CONNECTION, &message("m1"));
    assert!(sent[0].1.contains(&format!("P-Asserted-Identity: <sip:alice@{HOME}>")), "{sent:?}");
    // The same host, and the Via of the registered contact: over TCP that would be believed.
    is_refused(&bench.by_tls(6, "10.0.0.1:40002", &message("m2")), "403", "not registered");
    let sent = bench.receive(Trust::Outside, Transport::Tcp, "10.0.0.1:40003", &message("m3"));
    is_refused(&sent, "403", "not registered");
    is_refused(&bench.ue_sends("10.0.0.1:5060", &message("m4")), "403", "not registered");
}

/// TS 33.203 §O.4.1: a UE whose connection is gone registers again, and nobody else can be reached in its place.
#[test]
fn a_ue_whose_connection_is_gone_is_unreachable_until_it_comes_back_as_itself() {
    let mut bench = bench();
    let path = register_by(&mut bench, 5, CONNECTION, "r1");
    let to_alice = |branch: &str| {
        let route = path.trim_matches(['<', '>']);
        format!(
            "MESSAGE sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bK{branch}\n\
             Max-Forwards: 60\nRoute: <{route}>\nFrom: <sip:bob@{HOME}>;tag=1\nTo: <sip:alice@{HOME}>\n\
             Call-ID: {branch}\nCSeq: 1 MESSAGE\nContent-Length: 0\n\n"
        )
    };
    assert_eq!(bench.core_sends(&to_alice("t1"))[0].0, "flow");
    let gone = Flow { shard: ShardId(0), slot: 5, generation: 0 };
    bench.node.handle(bench.now, Input::Event(Event::FlowLost(gone)));
    is_refused(&bench.core_sends(&to_alice("t2")), "480", "TLS connection");
    assert_eq!(
        register_by(&mut bench, 6, "10.0.0.1:40002", "r2"),
        path,
        "the same binding, by another connection"
    );
    assert_eq!(bench.core_sends(&to_alice("t3"))[0].0, "flow");
    assert!(bench.is_registered() && bench.store.len() == 1);
}

/// RFC 3329 §2.3.1, TS 33.203 §O.2.1: who offers TLS in clear is told ours with the challenge, and is held to it.
#[test]
fn a_ue_that_offers_tls_is_led_to_it() {
    let mut bench = bench();
    let first = register("r1", &format!("{}\n{OFFER}", credentials("alice", ",response=\"\"")));
    let sent = bench.ue_sends(ALICE, &first);
    assert_eq!(says(&sent), "tls-pending");
    assert!(!sent[0].1.contains("Security-Client") && !sent[0].1.contains("sec-agree"), "{sent:?}");
    let challenge = "WWW-Authenticate: Digest realm=\"h\",nonce=\"n\",algorithm=MD5,qop=\"auth\"";
    let back = bench.core_sends(&response(&sent[0].1, "401 Unauthorized", challenge));
    assert_eq!(value(&back[0].1, "Security-Server"), "tls;q=0.1");

    let answer = credentials("alice", ",algorithm=MD5,response=\"66\"");
    let in_clear = register("r2", &format!("{answer}\n{OFFER}\nSecurity-Verify: tls;q=0.1"));
    is_refused(&bench.ue_sends(ALICE, &in_clear), "494", "Security-Server: tls;q=0.1");
    let altered = register("r3", &format!("{answer}\n{OFFER}\nSecurity-Verify: tls;q=0.9"));
    is_refused(&bench.by_tls(5, CONNECTION, &altered), "494", "Security-Server: tls;q=0.1");
    let right = register("r4", &format!("{answer}\n{OFFER}\nSecurity-Verify: tls;q=0.1"));
    assert_eq!(says(&bench.by_tls(5, CONNECTION, &right)), "tls-pending");
}

/// TS 33.203 Annex P: by the network that a UE comes from.
#[test]
fn each_access_network_lets_in_what_it_allows_and_says_what_it_does_not() {
    let networks = "[access]\nnetworks = [\
        { from = [\"10.45.0.0/16\"], type = \"3GPP-E-UTRAN-FDD\", schemes = [\"aka\", \"giba\"] }, \
        { from = [\"10.46.0.0/16\"], type = \"3GPP-NR\", schemes = [\"aka\"] }, \
        { from = [\"10.0.0.0/16\"], schemes = [\"digest-tls\"] }, \
        { from = [\"10.9.0.0/16\"], schemes = [\"digest\"] }]\n";
    let mut bench = Bench::listening(TLS, &format!("{FILES}{networks}"));
    let digest = credentials("alice", ",algorithm=MD5,response=\"66\"");
    let aka = credentials("alice", ",algorithm=AKAv1-MD5,response=\"66\"");
    let unnamed = credentials("alice", ",response=\"\"");
    for (at, remote, extra, expected) in [
        (1, "10.45.0.2:5060", &aka, "no"),
        (2, "10.45.0.2:5060", &unnamed, "no"),
        (3, "10.45.0.2:5060", &digest, "SIP digest is not allowed on this access"),
        (4, "10.0.0.1:5060", &digest, "SIP digest is not allowed on this access"),
        (5, "10.0.0.1:5060", &unnamed, "IMS-AKA is not allowed on this access"),
        (6, "10.9.0.1:5060", &unnamed, "ip-assoc-pending"),
        (7, "10.9.0.1:5060", &digest, "ip-assoc-pending"),
        (8, "10.9.0.1:5060", &aka, "IMS-AKA is not allowed on this access"),
        (9, "198.51.100.1:5060", &aka, "access network is not served"),
    ] {
        let sent = bench.ue_sends(remote, &register(&format!("p{at}"), extra));
        match sent[0].1.starts_with("REGISTER") {
            true => assert_eq!(says(&sent), expected, "{at}"),
            false => is_refused(&sent, "403", expected),
        }
    }
    assert_eq!(says(&bench.by_tls(5, CONNECTION, &register("t1", &digest))), "tls-pending");
    let sent = bench.by_tls(6, "10.45.0.2:40001", &register("t2", &digest));
    is_refused(&sent, "403", "SIP digest over TLS is not allowed on this access");
}

/// TS 33.203 §P.3, §T.5: GIBA is for those whose address the network knows.
#[test]
fn a_register_without_credentials_is_for_giba_where_that_is_allowed() {
    let networks = "[access]\nnetworks = [\
        { from = [\"10.45.0.0/16\"], type = \"3GPP-E-UTRAN-FDD\", schemes = [\"aka\", \"giba\"] }, \
        { from = [\"10.46.0.0/16\"], type = \"3GPP-NR\", schemes = [\"aka\"] }, \
        { from = [\"10.0.0.0/16\"], type = \"IEEE-802.11ac\", schemes = [\"aka\"] }]\n";
    let mut bench = Bench::with(networks);
    let claim = format!("{CONTACT}\nP-Access-Network-Info: IEEE-802.11;network-provided");
    let sent = bench.ue_sends("10.45.0.2:5060", &register("g1", &claim));
    assert_eq!(values(&sent[0].1, "P-Access-Network-Info"), [""; 0], "{sent:?}");
    let via = values(&sent[0].1, "Via").pop().unwrap_or_default();
    assert!(via.contains("received=10.45.0.2"), "the Via of the UE, with the address that it has: {via}");

    let forged = register("g2", CONTACT).replacen(
        "Max-Forwards",
        "Via: SIP/2.0/UDP 10.45.0.77:5060;branch=z9hG4bKvictim\nMax-Forwards",
        1,
    );
    is_refused(&bench.ue_sends("10.45.0.2:5060", &forged), "403", "more than one Via");
    is_refused(&bench.ue_sends("10.46.0.2:5060", &register("g3", CONTACT)), "403", "GIBA is not allowed");
    // Another access is named to the registrar, which would take it for one of 3GPP.
    let sent = bench.ue_sends("10.0.0.1:5060", &register("g4", CONTACT));
    assert_eq!(values(&sent[0].1, "P-Access-Network-Info"), ["IEEE-802.11ac;network-provided"]);
}
