//! An E-CSCF with a hand in the place of every neighbour (TS 24.229 §5.11).

use ambient::{Entropy, Now};
use cscf::config::Config;
use cscf::input::{Exit, Input, Output};
use cscf::node::{Node, Setup};
use cscf::resolve::StaticNames;
use cscf::{Flow, ShardId, Source, Transport, Trust};
use ecscf::Ecscf;
use std::sync::Arc;

const ECSCF: &str = "127.0.0.14:7060";
const PCSCF: &str = "127.0.0.10:5060";
const PSAP: &str = "192.0.2.1:5060";

struct Bench(Node<Ecscf>);

impl Bench {
    fn new() -> Bench {
        let text = format!(
            "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[ecscf]\nlisten = \"{ECSCF}\"\n[[ecscf.psap]]\nuri = \"sip:{PSAP}\"\n"
        );
        let config = Config::parse(&text, "bench").expect("a valid configuration");
        let setup = Setup::new(config.ecscf.listen.clone(), StaticNames::new(), Entropy::seeded(1));
        Bench(Node::new(Ecscf::new(Arc::new(config)), setup))
    }

    /// What leaves after a message: where to, and the text.
    fn receive(&mut self, trust: Trust, remote: &str, text: &str) -> Vec<(String, String)> {
        let source = Source {
            flow: Flow { shard: ShardId(0), slot: 1, generation: 0 },
            transport: Transport::Udp,
            local: ECSCF.parse().expect("an address"),
            remote: remote.parse().expect("an address"),
            trust,
            secured: None,
        };
        let bytes = text.replace('\n', "\r\n").into_bytes();
        self.0.handle(Now::default(), Input::Message { source, bytes });
        let mut sent = Vec::new();
        while let Some(output) = self.0.poll_output() {
            if let Output::Send { exit, bytes, .. } = output {
                let to = match exit {
                    Exit::Hop { hop, .. } => hop.to_string(),
                    _ => "back".to_owned(),
                };
                sent.push((to, String::from_utf8(bytes).expect("text")));
            }
        }
        sent
    }
}

fn request(method: &str, uri: &str, from: &str, extra: &str) -> String {
    let tag = if extra.contains("Route: ") && method == "BYE" { ";tag=there" } else { "" };
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{}\nMax-Forwards: 70\n\
         From: <sip:alice@home.net>;tag=1\nTo: <urn:service:sos>{tag}\nCall-ID: help\nCSeq: 1 {method}\n{extra}\
         Content-Length: 0\n\n",
        extra.len()
    )
}

fn status(sent: &[(String, String)]) -> &str {
    &sent.last().unwrap_or_else(|| panic!("nothing was sent")).1[8..11]
}

/// The URN stays, the PSAP is the Route; identity and place go along even in privacy, and what is the operator's stays.
#[test]
fn the_psap_is_told_who_where_and_for_what_and_no_more() {
    let extra = format!(
        "Route: <sip:{ECSCF};lr>\nP-Asserted-Identity: <sip:alice@home.net>\nPrivacy: id\n\
         P-Access-Network-Info: 3GPP-NR;utran-cell-id-3gpp=1\nGeolocation: <cid:here>\nP-Served-User: <sip:alice@home.net>\n\
         P-Charging-Function-Addresses: ccf=c\n"
    );
    let sent =
        Bench::new().receive(Trust::Domain, PCSCF, &request("INVITE", "urn:service:sos.fire", PCSCF, &extra));
    let (to, text) = sent.last().unwrap();
    assert_eq!(to, &format!("udp:{PSAP}"));
    assert!(text.starts_with("INVITE urn:service:sos.fire SIP/2.0\r\n"), "{text}");
    for present in [
        &format!("Route: <sip:{PSAP};lr>\r\n"),
        "P-Asserted-Identity: <sip:alice@home.net>",
        "P-Access-Network-Info: 3GPP-NR",
        "Geolocation: <cid:here>",
        "Record-Route: <sip:",
    ] {
        assert!(text.contains(present), "{present} in {text}");
    }
    for absent in ["P-Served-User", "P-Charging-Function-Addresses", &format!("<sip:{ECSCF};lr>")] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
}

/// Only the core calls through it, and only for help; a dialog is entered by the token that its INVITE was recorded with.
#[test]
fn who_is_not_of_an_emergency_call_is_refused() {
    let invite = request("INVITE", "urn:service:sos", PCSCF, "");
    assert_eq!(status(&Bench::new().receive(Trust::Outside, PSAP, &invite)), "403");
    let ordinary = request("INVITE", "sip:bob@home.net", PCSCF, "");
    assert_eq!(status(&Bench::new().receive(Trust::Domain, PCSCF, &ordinary)), "403");
    let mut bench = Bench::new();
    let sent = bench.receive(Trust::Domain, PCSCF, &invite);
    let text = &sent.last().unwrap().1;
    let own = text.lines().find_map(|line| line.strip_prefix("Record-Route: ")).expect("it is recorded");
    for (route, call, expected) in [
        (own.to_owned(), "help", None),
        (own.to_owned(), "other", Some("481")),
        (format!("<sip:{ECSCF};lr>"), "help", Some("481")),
    ] {
        let bye = request("BYE", &format!("sip:alice@{PCSCF}"), PSAP, &format!("Route: {route}\n"));
        let bye = bye
            .replace("Call-ID: help", &format!("Call-ID: {call}"))
            .replace("z9hG4bK", &format!("z9hG4bK{call}"));
        let sent = bench.receive(Trust::Outside, PSAP, &bye);
        match expected {
            Some(expected) => assert_eq!(status(&sent), expected, "{route} {call}"),
            None => assert_eq!(sent.last().unwrap().0, format!("udp:{PCSCF}"), "{sent:?}"),
        }
    }
}
