//! Requests for an emergency service (TS 24.229 §5.2.10).

use crate::bench::*;

const ECSCF: &str = "127.0.0.14:7060";
/// Somebody who is not registered.
const STRANGER: &str = "10.0.0.77:5060";

fn with(policy: &str) -> Bench {
    Bench::with(&format!("ecscf = \"sip:{ECSCF}\"\nemergency = \"{policy}\"\n"))
}

fn request(method: &str, uri: &str, from: &str, extra: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bKe{}{method};rport\nMax-Forwards: 70\n\
         From: <sip:anonymous@anonymous.invalid>;tag=a1\nTo: <{uri}>\nCall-ID: help\nCSeq: 1 {method}\n{extra}Contact: \
         <sip:{from}>\nContent-Length: 0\n\n",
        uri.len()
    )
}

fn last(sent: &[Sent]) -> &str {
    &sent.last().unwrap_or_else(|| panic!("nothing was sent")).1
}

fn forwarded(sent: &[Sent]) -> &str {
    let found = sent.iter().find(|(_, text)| !text.starts_with("SIP/2.0 "));
    let (to, text) = found.unwrap_or_else(|| panic!("nothing was forwarded: {sent:?}"));
    assert_eq!(to, &format!("udp:{ECSCF}"));
    text
}

/// §5.2.10.3: to the E-CSCF instead of the Service-Route, with the asserted identities, and with the location as it came.
#[test]
fn an_emergency_of_a_registered_ue_goes_to_the_ecscf_with_its_identities() {
    let mut bench = with("registered");
    bench.register();
    let extra = format!(
        "Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\nP-Asserted-Identity: <sip:king@{HOME}>\n\
         P-Access-Network-Info: 3GPP-NR;utran-cell-id-3gpp=1\nGeolocation: <cid:here>\n"
    );
    let sent = bench.ue_sends(ALICE, &request("INVITE", "urn:service:sos.police", ALICE, &extra));
    let text = forwarded(&sent);
    assert!(text.starts_with("INVITE urn:service:sos.police SIP/2.0\r\n"), "{text}");
    assert_eq!(values(text, "Route"), [format!("<sip:{ECSCF};lr>")]);
    let asserted = values(text, "P-Asserted-Identity").join(",");
    assert!(asserted.contains("<tel:+49301>") && asserted.contains("<sip:alice@"), "{asserted}");
    assert!(!asserted.contains("king"), "{asserted}");
    assert_eq!(values(text, "P-Access-Network-Info"), ["3GPP-NR;utran-cell-id-3gpp=1"]);
    assert_eq!(values(text, "Geolocation"), ["<cid:here>"]);
    assert!(value(text, "P-Charging-Vector").contains("icid-value="));
    assert_eq!(values(text, "Record-Route").len(), 1);
}

/// §5.2.10: a registration for emergencies is for calls for help alone; beside an ordinary one of the same address it is
/// what a call for help goes by.
#[test]
fn a_registration_for_emergencies_is_for_calls_for_help() {
    let mut bench = with("registered");
    let contact = "Contact: <sip:alice@10.0.0.1:5060;sos>";
    let sent = bench.ue_sends(ALICE, &register("r9", contact));
    let granted = format!("{contact};expires=300\nP-Associated-URI: <sip:help@{HOME}>, <tel:+49309>");
    let sent = bench.core_sends(&response(&sent[0].1, "200 OK", &granted));
    assert!(last(&sent).starts_with("SIP/2.0 200 "), "{sent:?}");
    let sent = bench.ue_sends(ALICE, &request("INVITE", "sip:bob@elsewhere.net", ALICE, ""));
    assert!(last(&sent).starts_with("SIP/2.0 403 "), "{sent:?}");
    bench.register();
    let sent = bench.ue_sends(ALICE, &request("INVITE", "urn:service:sos", ALICE, ""));
    let asserted = values(forwarded(&sent), "P-Asserted-Identity").join(",");
    assert!(asserted.contains("sip:help@") && asserted.contains("tel:+49309"), "{asserted}");
    let route = format!("Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\n");
    let sent = bench.ue_sends(ALICE, &request("MESSAGE", "sip:carol@elsewhere.net", ALICE, &route));
    let text =
        &sent.iter().find(|(_, text)| text.starts_with("MESSAGE ")).unwrap_or_else(|| panic!("{sent:?}")).1;
    assert!(!value(text, "P-Asserted-Identity").contains("help"), "{text}");
}

/// The same by IPv6, to an E-CSCF with such an address.
#[test]
fn an_emergency_of_ipv6_goes_to_an_ecscf_of_ipv6() {
    let mut bench = Bench::listening(
        "listen = [\"127.0.0.10:5060\", \"[2001:db8::10]:5060\"]",
        "ecscf = \"sip:[2001:db8::14]:7060\"\nemergency = \"anyone\"\n",
    );
    let from = "[2001:db8:1::7]:5060";
    let sent = bench.ue_sends(from, &request("INVITE", "urn:service:sos", from, ""));
    let (to, text) =
        sent.iter().find(|(_, text)| text.starts_with("INVITE ")).unwrap_or_else(|| panic!("{sent:?}"));
    assert_eq!(to, "udp:[2001:db8::14]:7060");
    assert_eq!(values(text, "Route"), ["<sip:[2001:db8::14]:7060;lr>"]);
    assert!(!values(text, "Record-Route").is_empty(), "{text}");
}

/// §5.2.10.3: a number that the UE did not know as one of an emergency becomes the URN.
#[test]
fn an_emergency_number_becomes_the_urn_however_it_is_dialled() {
    for (uri, is_emergency) in [
        ("tel:112".to_owned(), true),
        (format!("tel:911;phone-context={HOME}"), true),
        (format!("sip:112@{HOME}"), true),
        ("sip:112@elsewhere.net;user=phone".to_owned(), true),
        ("sip:112@elsewhere.net".to_owned(), false),
        ("tel:110".to_owned(), false),
    ] {
        let mut bench = with("registered");
        bench.register();
        let extra = format!("Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\n");
        let sent = bench.ue_sends(ALICE, &request("INVITE", &uri, ALICE, &extra));
        match is_emergency {
            true => {
                let text = forwarded(&sent);
                assert!(text.starts_with("INVITE urn:service:sos SIP/2.0\r\n"), "{uri}: {text}");
                assert_eq!(value(text, "To"), format!("<{uri}>"), "To is the UE's");
            }
            false => assert_eq!(sent.last().unwrap().0, format!("udp:{SCSCF}"), "{uri}"),
        }
    }
}

/// §5.2.10.2: who is not registered is served by policy, without an identity, and by INVITE alone.
#[test]
fn an_emergency_of_an_unknown_ue_is_served_by_policy() {
    let claims = format!("P-Asserted-Identity: <sip:king@{HOME}>\n");
    let invite = request("INVITE", "urn:service:sos", STRANGER, &claims);
    let sent = with("anyone").ue_sends(STRANGER, &invite);
    assert_eq!(values(forwarded(&sent), "P-Asserted-Identity"), [""; 0]);
    assert_eq!(values(forwarded(&sent), "Route"), [format!("<sip:{ECSCF};lr>")]);
    let sent = with("anyone").ue_sends(STRANGER, &request("MESSAGE", "urn:service:sos", STRANGER, ""));
    assert!(last(&sent).starts_with("SIP/2.0 403 "), "{sent:?}");
    let sent =
        with("anyone").ue_sends(STRANGER, &request("INVITE", &format!("sip:bob@{HOME}"), STRANGER, ""));
    assert!(last(&sent).starts_with("SIP/2.0 403 "), "{sent:?}");
    for (policy, action) in [("registered", true), ("off", false)] {
        let sent = with(policy).ue_sends(STRANGER, &invite);
        let text = last(&sent);
        assert!(text.starts_with("SIP/2.0 380 Alternative Service"), "{policy}: {text}");
        assert!(text.contains("<type>emergency</type>"), "{policy}: {text}");
        assert_eq!(text.contains("<action>emergency-registration</action>"), action, "{policy}: {text}");
        assert_eq!(values(text, "Content-Type"), ["application/3gpp-ims+xml"]);
    }
}

/// §5.2.10.2: without an E-CSCF, and with one that is gone, the UE is told to look for another network.
#[test]
fn an_emergency_that_nobody_serves_is_answered_by_an_alternative_service() {
    let mut bench = Bench::new();
    bench.register();
    let path = |text: &str| value(text, "P-Asserted-Identity").contains(&format!("@{PCSCF};lr>"));
    let sent = bench.ue_sends(ALICE, &request("INVITE", "urn:service:sos", ALICE, ""));
    assert!(last(&sent).starts_with("SIP/2.0 380 ") && path(last(&sent)), "{sent:?}");
    assert!(!last(&sent).contains("<action>"), "{sent:?}");
    let mut bench = with("registered");
    bench.register();
    bench.network_is_down = true;
    let sent = bench.ue_sends(ALICE, &request("INVITE", "urn:service:sos", ALICE, ""));
    assert!(last(&sent).starts_with("SIP/2.0 380 ") && path(last(&sent)), "{sent:?}");
}
