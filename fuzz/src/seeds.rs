//! Inputs that are made, not kept: octets of Diameter, a profile, and scripts with a whole registration and call.

use crate::network::SEPARATOR;
use diameter_client::cx::{
    CxAnswer, CxRequest, CxResult, Envelope, Lia, Lir, Maa, Mar, Ppr, Rtr, Saa, Sar, Uaa, Uar,
};
use diameter_client::wire::Message;
use ims_aka::{Ha1, Hash, Qop};

const HOME: &str = "ims.mnc001.mcc001.3gppnetwork.org";

/// The RES of alice's USIM to every challenge.
pub const RES: [u8; 8] = [3; 8];

/// Her digest over `nonce`, in the REGISTER of the script.
pub fn response(nonce: &[u8]) -> String {
    let ha1 = Ha1::from_password(Hash::Md5, format!("alice@{HOME}").as_bytes(), HOME.as_bytes(), &RES);
    let qop = Qop::Auth { nc: b"00000001", cnonce: b"abc" };
    ha1.response(b"REGISTER", format!("sip:{HOME}").as_bytes(), nonce, qop).to_string()
}

/// The seeds of a target, beside its corpus.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "diameter" => diameter(),
        "xml" => vec![user_data()],
        "expression" => EXPRESSIONS.iter().map(|one| one.as_bytes().to_vec()).collect(),
        "sdp" => vec![SDP.replace('\n', "\r\n").into_bytes()],
        "stun" => STUN.iter().map(|one| one.to_vec()).collect(),
        "pcscf" => vec![pcscf(), secured_pcscf()],
        "icscf" => vec![icscf("REGISTER"), icscf("INVITE")],
        "scscf" => vec![scscf("INVITE"), scscf("MESSAGE")],
        _ => Vec::new(),
    }
}

/// Binding requests: bare, with what need not be understood, and with what must be; and an indication.
const STUN: &[&[u8]] = &[
    b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl",
    b"\0\x01\0\x08\x21\x12\xa4\x42abcdefghijkl\x80\x22\0\x03ims\0",
    b"\0\x01\0\x08\x21\x12\xa4\x42abcdefghijkl\0\x03\0\x04\0\0\0\0",
    b"\0\x11\0\0\x21\x12\xa4\x42abcdefghijkl",
];

/// An expression, a line end, and a text.
const EXPRESSIONS: &[&str] = &[
    "^<(sip|tel):\\+49[0-9]{6,12}@?\n<tel:+49301000001>",
    "icsi-ref=.*mmtel\n*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"",
    "[^[:space:]]+[]a-f.-]{0,3}$\nconference-1.ab",
    "^(a*|b+)*(c|)?d{2}\naabbcdd",
    "(^a|b$)|a^b|[[.-.]][[=a=]]\n-a",
];

const SDP: &str = "v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\nm=audio 49152 RTP/AVP 96 0\n\
    b=AS:41\na=rtpmap:96 AMR-WB/16000\na=fmtp:96 octet-align=1\na=sendrecv\nm=video 0 RTP/AVP 31\n";

/// A profile.
pub fn user_data() -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\"?><IMSSubscription><PrivateID>alice@{HOME}</PrivateID><ServiceProfile>\
         <PublicIdentity><BarringIndication>1</BarringIndication><Identity>sip:imsi-alice@{HOME}</Identity></PublicIdentity>\
         <PublicIdentity><Identity>sip:alice@{HOME}</Identity></PublicIdentity>\
         <PublicIdentity><Identity>tel:+4930100001</Identity></PublicIdentity>\
         <InitialFilterCriteria><Priority>1</Priority><TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF>\
         <SPT><ConditionNegated>0</ConditionNegated><Group>0</Group><Method>INVITE</Method></SPT></TriggerPoint>\
         <ApplicationServer><ServerName>sip:as.{HOME}</ServerName><DefaultHandling>0</DefaultHandling></ApplicationServer>\
         </InitialFilterCriteria></ServiceProfile></IMSSubscription>"
    )
    .into_bytes()
}

fn diameter() -> Vec<Vec<u8>> {
    let envelope = Envelope {
        session_id: "scscf.example;1;2".into(),
        origin_host: "scscf.example".into(),
        origin_realm: "example".into(),
        destination_realm: Some("example".into()),
        ..Envelope::default()
    };
    let requests = [
        CxRequest::Uar(Uar { user_name: "a@example".into(), ..Uar::default() }),
        CxRequest::Mar(Mar { user_name: "a@example".into(), ..Mar::default() }),
        CxRequest::Sar(Sar { server_name: "sip:s".into(), ..Sar::default() }),
        CxRequest::Lir(Lir { public_identity: "sip:a@example".into(), ..Lir::default() }),
        CxRequest::Rtr(Rtr { user_name: "a@example".into(), ..Rtr::default() }),
        CxRequest::Ppr(Ppr { user_name: "a@example".into(), user_data: Some(user_data()), ..Ppr::default() }),
    ];
    let result = CxResult::SUCCESS;
    let answers = [
        CxAnswer::Uaa(Uaa { result, server_name: Some("sip:s".into()), ..Uaa::default() }),
        CxAnswer::Maa(Maa { result, auth_data_items: vec![Default::default()], ..Maa::default() }),
        CxAnswer::Saa(Saa { result, user_data: Some(user_data()), ..Saa::default() }),
        CxAnswer::Lia(Lia { result, server_name: Some("sip:s".into()), ..Lia::default() }),
    ];
    let mut all: Vec<Vec<u8>> = requests.iter().map(|request| request.encode(&envelope, 1, 2)).collect();
    let headers: Vec<_> = all.iter().filter_map(|bytes| Some(Message::parse(bytes).ok()?.header)).collect();
    all.extend(answers.iter().zip(&headers).map(|(answer, header)| answer.encode(header, &envelope)));
    all
}

fn script(records: &[String]) -> Vec<u8> {
    let records: Vec<String> = records.iter().map(|record| record.replace('\n', "\r\n")).collect();
    records.join(&char::from(SEPARATOR).to_string()).into_bytes()
}

fn register(uri: &str, cseq: u32, more: &str) -> String {
    format!(
        "REGISTER {uri} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKr{cseq};rport\nMax-Forwards: 70\n\
         From: <sip:alice@{HOME}>;tag=a1\nTo: <sip:alice@{HOME}>\nCall-ID: reg\nCSeq: {cseq} REGISTER\n\
         Contact: <sip:alice@10.0.0.1:5060>;expires=600\n{more}Content-Length: 0\n\n"
    )
}

fn request(method: &str, uri: &str, branch: u32, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKi{branch};rport\nMax-Forwards: 70\n\
         From: <sip:alice@{HOME}>;tag=a1\nTo: <{uri}>\nCall-ID: call\nCSeq: {branch} {method}\n\
         Contact: <sip:alice@10.0.0.1:5060>\n{more}Content-Length: 0\n\n"
    )
}

fn pcscf() -> Vec<u8> {
    let granted = format!(
        "r200Contact: <sip:alice@10.0.0.1:5060>;expires=600\nService-Route: <sip:mo@127.0.0.12:6060;lr>\n\
         P-Associated-URI: <sip:alice@{HOME}>, <tel:+49301>\nContent-Length: 0\n"
    );
    let bob = format!("sip:bob@{HOME}");
    let route = "Route: <sip:127.0.0.10:5060;lr>, <sip:mo@127.0.0.12:6060;lr>\n";
    script(&[
        format!("u{}", register(&format!("sip:{HOME}"), 1, "")),
        granted,
        "a\u{0}".into(),
        format!("u{}", request("INVITE", &bob, 2, route)),
        "r180Contact: <sip:bob@10.0.0.2>\nRequire: 100rel\nRSeq: 1\nContent-Length: 0\n".into(),
        "r200Contact: <sip:bob@10.0.0.2>\nContent-Length: 0\n".into(),
        format!("u{}", request("ACK", "sip:bob@10.0.0.2", 2, route)),
        format!("u{}", request("CANCEL", &bob, 2, route)),
        "t\u{40}".into(),
        format!("u{}", request("MESSAGE", &bob, 3, route)),
        "r486Content-Length: 0\n".into(),
    ])
}

fn secured_pcscf() -> Vec<u8> {
    let offer = |spi: u32| {
        format!(
            "Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={spi};spi-s={};port-c={};port-s=6300\n\
             Authorization: Digest username=\"alice@{HOME}\",nonce=\"\",response=\"\"\n",
            spi + 1,
            spi + 2
        )
    };
    let challenge = format!(
        "r401WWW-Authenticate: Digest realm=\"{HOME}\",nonce=\"bg==\",algorithm=AKAv1-MD5,ck=\"{}\",ik=\"{}\"\n\
         Content-Length: 0\n",
        "1".repeat(32),
        "2".repeat(32)
    );
    let granted = format!(
        "r200Contact: <sip:alice@10.0.0.1:5060>;expires=600\nService-Route: <sip:mo@127.0.0.12:6060;lr>\n\
         P-Associated-URI: <sip:alice@{HOME}>\nContent-Length: 0\n"
    );
    let uri = format!("sip:{HOME}");
    let verified = |spi| format!("{}Security-Verify: $VERIFY\n", offer(spi));
    let route = "Route: <sip:127.0.0.10:6100;lr>, <sip:mo@127.0.0.12:6060;lr>\nSecurity-Verify: $VERIFY\n";
    script(&[
        format!("u{}", register(&uri, 1, &offer(25_600))),
        challenge.clone(),
        "a\u{0}".into(),
        format!("s{}", register(&uri, 2, &verified(25_600))),
        granted.clone(),
        "a\u{0}".into(),
        format!("s{}", request("MESSAGE", &format!("sip:bob@{HOME}"), 3, route)),
        "r200Content-Length: 0\n".into(),
        format!("s{}", register(&uri, 4, &verified(25_700))),
        challenge,
        "a\u{0}".into(),
        format!("s{}", register(&uri, 5, &verified(25_700))),
        granted,
        "a\u{0}".into(),
        "t\u{40}".into(),
    ])
}

fn icscf(method: &str) -> Vec<u8> {
    let more = "P-Charging-Vector: icid-value=x;orig-ioi=v\nPath: <sip:t@127.0.0.10;lr>\n";
    let bob = format!("sip:bob@{HOME}");
    let text = match method {
        "REGISTER" => register(&format!("sip:{HOME}"), 1, more),
        method => {
            request(method, &bob, 1, "Route: <sip:127.0.0.11:4060;lr>\nP-Asserted-Identity: <sip:a@b>\n")
        }
    };
    script(&[
        format!("c{text}"),
        format!("a{}", if method == "REGISTER" { '\u{2}' } else { '\u{0}' }),
        "r480Content-Length: 0\n".into(),
        "a\u{1}".into(),
        "r200Content-Length: 0\n".into(),
        "t\u{40}".into(),
    ])
}

fn scscf(method: &str) -> Vec<u8> {
    let uri = format!("sip:scscf.{HOME}:6060");
    let path = "Path: <sip:path@127.0.0.10:5060;lr>\nRequire: path\nSupported: path\n";
    let authorization = |nonce: &str, response: &str, more: &str, protected: &str| {
        format!(
            "{path}Authorization: Digest username=\"alice@{HOME}\",realm=\"{HOME}\",uri=\"sip:{HOME}\",nonce=\"{nonce}\",\
             response=\"{response}\",integrity-protected=\"{protected}\"{more}\n"
        )
    };
    let bob = format!("sip:bob@{HOME}");
    let alice = format!("sip:alice@{HOME}");
    let asserted =
        format!("P-Asserted-Identity: <sip:alice@{HOME}>\nP-Charging-Vector: icid-value=x;orig-ioi=v\n");
    let orig = format!("Route: <sip:orig@scscf.{HOME}:6060;lr;orig>\n{asserted}");
    let term = format!("Route: <sip:scscf.{HOME}:6060;lr>\n{asserted}");
    script(&[
        format!("c{}", register(&uri, 1, &authorization("", "", "", "no"))),
        "a\u{0}".into(),
        format!(
            "c{}",
            register(
                &uri,
                2,
                &authorization("$NONCE", "$RESPONSE", ",qop=auth,nc=00000001,cnonce=\"abc\"", "no")
            )
        ),
        "a\u{0}".into(),
        "a\u{0}".into(),
        format!("c{}", request(method, &bob, 3, &orig)),
        "r200Contact: <sip:bob@10.0.0.2>\nContent-Length: 0\n".into(),
        format!("c{}", request(method, &alice, 4, &term)),
        "a\u{0}".into(),
        "r183Contact: <sip:bob@10.0.0.2>\nContent-Length: 0\n".into(),
        "r603Content-Length: 0\n".into(),
        "t\u{40}".into(),
    ])
}
