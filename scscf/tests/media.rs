//! The media that a user has subscribed to (TS 24.229 §6.3, TS 29.228 §B.2.1).

mod bench;

use bench::*;
use diameter_client::cx::CxAnswer;

const PROFILES: &str = "media_profile = [{ id = 3, media = [\"audio\"] }]\n";

/// A bench whose HSS gives alice this number of a media profile; with her 200.
fn with_profile(settings: &str, id: u32) -> (Bench, String) {
    let mut bench = Bench::configured(settings);
    let services = format!(
        "<CoreNetworkServicesAuthorization><SubscribedMediaProfileId>{id}</SubscribedMediaProfileId>\
         </CoreNetworkServicesAuthorization>"
    );
    let (sar, _) = bench.authenticate(&register("alice"));
    let CxAnswer::Saa(mut answer) = saa("alice") else { unreachable!("it is an SAA") };
    let xml = String::from_utf8(profile("alice")).expect("XML");
    let xml = xml.replace("</ServiceProfile>", &format!("{services}</ServiceProfile>"));
    answer.user_data = Some(xml.into_bytes());
    let did = bench.cx(sar, CxAnswer::Saa(answer));
    let (id, records) = store(&did);
    let ok = sip(&bench.stored(id, &records)).to_owned();
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    (bench, ok)
}

const AUDIO: &str = "m=audio 49152 RTP/AVP 97\na=rtpmap:97 AMR/8000\n";
const VIDEO: &str = "m=video 49154 RTP/AVP 31\n";

fn invite(route: &str, uri: &str, call_id: &str, media: &str) -> String {
    let body = format!("v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\n{media}");
    format!(
        "INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP {PCSCF};branch=z9hG4bK{call_id}\nMax-Forwards: 69\nRoute: {route}\n\
         From: <sip:alice@{HOME}>;tag=a\nTo: <{uri}>\nCall-ID: {call_id}\nCSeq: 1 INVITE\n\
         Contact: <sip:alice@10.0.0.1:5060>\nP-Asserted-Identity: <sip:alice@{HOME}>\n\
         Content-Type: application/sdp\nContent-Length: {}\n\n{body}",
        body.replace('\n', "\r\n").len()
    )
}

/// The status of the refusal, or that the INVITE went on.
fn outcome(did: &[Did]) -> &str {
    let all = sips(did);
    let (_, last) = all.last().unwrap_or_else(|| panic!("{did:?}"));
    match last.starts_with("INVITE ") {
        true => "forwarded",
        false => last.split(' ').nth(1).unwrap_or_default(),
    }
}

#[test]
fn an_offer_beyond_the_subscription_is_refused_to_and_from_the_user() {
    for (settings, id, media, expected) in [
        (PROFILES, 3, AUDIO.to_owned(), "forwarded"),
        (PROFILES, 3, format!("{AUDIO}{VIDEO}"), "488"),
        (PROFILES, 3, VIDEO.to_owned(), "488"),
        (PROFILES, 4, VIDEO.to_owned(), "forwarded"),
        ("", 3, VIDEO.to_owned(), "forwarded"),
    ] {
        let (mut bench, ok) = with_profile(settings, id);
        let route = header(&ok, "Service-Route").to_owned();
        let did = bench.receive(PCSCF, &invite(&route, "sip:bob@192.0.2.77", "out", &media));
        assert_eq!(outcome(&did), expected, "from alice: {id} {media}");
        if expected == "488" {
            let all = sips(&did);
            let (_, refusal) = all.last().expect("a refusal");
            assert_eq!(header(refusal, "Content-Type"), "application/sdp");
            assert!(!refusal.contains("m=video"), "{refusal}");
        }
        let route = format!("<sip:scscf.{HOME}:6060;lr>");
        let did = bench.receive(ICSCF, &invite(&route, &format!("sip:alice@{HOME}"), "in", &media));
        assert_eq!(outcome(&did), expected, "to alice: {id} {media}");
    }
}

/// A call does not become what it could not have begun as.
#[test]
fn a_call_gets_no_other_media_later() {
    let (mut bench, ok) = with_profile(PROFILES, 3);
    let route = header(&ok, "Service-Route").to_owned();
    let did = bench.receive(PCSCF, &invite(&route, "sip:bob@192.0.2.77", "call", AUDIO));
    let all = sips(&did);
    let (_, sent) = all.last().expect("an INVITE");
    let recorded = header(sent, "Record-Route").to_owned();
    for (call, media, expected) in
        [("re1", AUDIO.to_owned(), "forwarded"), ("re2", format!("{AUDIO}{VIDEO}"), "488")]
    {
        let again = invite(&recorded, "sip:bob@192.0.2.77", call, &media);
        let again = again.replace(&format!("Call-ID: {call}"), "Call-ID: call");
        let again = again.replace("To: <sip:bob@192.0.2.77>", "To: <sip:bob@192.0.2.77>;tag=b");
        let again = again.replace("CSeq: 1", if call == "re1" { "CSeq: 2" } else { "CSeq: 3" });
        assert_eq!(outcome(&bench.receive(PCSCF, &again)), expected, "{call}");
    }
}
