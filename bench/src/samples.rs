//! The messages of the cases: as long, and with the header fields, that a phone with voice over LTE sends.

use crate::rig::{HOME, PCSCF};
use crate::template::SERIAL;

/// The address of the calling phone.
pub const ALICE: &str = "10.0.0.1:5060";
/// The address of the called phone.
pub const BOB: &str = "10.0.0.2:5060";

const SDP: &str = "v=0\no=- 3860941532 3860941532 IN IP4 10.0.0.1\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\n\
    m=audio 49152 RTP/AVP 96 97 98 99 100 101\nb=AS:41\nb=RS:600\nb=RR:2000\na=rtpmap:96 EVS/16000/1\n\
    a=fmtp:96 br=5.9-13.2;bw=nb-swb;ch-aw-recv=-1;max-red=220\na=rtpmap:97 AMR-WB/16000/1\n\
    a=fmtp:97 mode-change-capability=2;max-red=220\na=rtpmap:98 AMR-WB/16000/1\n\
    a=fmtp:98 octet-align=1;mode-change-capability=2;max-red=220\na=rtpmap:99 AMR/8000/1\n\
    a=fmtp:99 mode-change-capability=2;max-red=220\na=rtpmap:100 telephone-event/16000\na=fmtp:100 0-15\n\
    a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=ptime:20\na=maxptime:240\na=sendrecv\n\
    a=curr:qos local none\na=curr:qos remote none\na=des:qos mandatory local sendrecv\n\
    a=des:qos optional remote sendrecv\n";

/// An INVITE of 2.4 kB to `uri`; `head` is header lines from Via to Route.
pub fn invite(uri: &str, head: &str) -> String {
    let body_len = SDP.len() + SDP.lines().count();
    format!(
        "INVITE {uri} SIP/2.0\n{head}Max-Forwards: 70\nFrom: \"Alice\" <sip:alice@{HOME}>;tag=a1b2c3d4\nTo: <{uri}>\n\
         Call-ID: {SERIAL}@10.0.0.1\nCSeq: 1 INVITE\n\
         Contact: <sip:alice@10.0.0.1:5060>;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";\
         +sip.instance=\"<urn:gsma:imei:35824005-944763-1>\"\n\
         Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\n\
         P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel\nP-Early-Media: supported\n\
         P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000101\n\
         Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, OPTIONS, MESSAGE, REFER, NOTIFY, INFO\n\
         Supported: 100rel, timer, precondition, replaces, norefersub, gruu\nSession-Expires: 1800\nMin-SE: 90\n\
         Accept: application/sdp, application/3gpp-ims+xml\nUser-Agent: Phone/14.1 Voice/9\nX-Padding: {padding}\n\
         Content-Type: application/sdp\nContent-Length: {body_len}\n\n{SDP}",
        padding = "p".repeat(PADDING.saturating_sub(head.len() + 2 * uri.len())),
    )
}

/// Fills the INVITE up to 2.4 kB.
const PADDING: usize = 500;

/// A REGISTER of a phone, with AKA and security agreement; `head` is header lines from Via on.
pub fn register(uri: &str, head: &str, integrity: &str) -> String {
    format!(
        "REGISTER {uri} SIP/2.0\n{head}Max-Forwards: 70\nFrom: <sip:alice@{HOME}>;tag=r1\nTo: <sip:alice@{HOME}>\n\
         Call-ID: {SERIAL}@10.0.0.1\nCSeq: 1 REGISTER\n\
         Contact: <sip:alice@10.0.0.1:5060>;+sip.instance=\"<urn:gsma:imei:35824005-944763-1>\";\
         +g.3gpp.smsip;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";expires=600000\n\
         Authorization: Digest username=\"alice@{HOME}\",realm=\"{HOME}\",uri=\"sip:{HOME}\",nonce=\"\",\
         response=\"\",algorithm=AKAv1-MD5{integrity}\n\
         P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000101\n\
         Supported: path, gruu\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, OPTIONS, MESSAGE, REFER, NOTIFY, INFO\n\
         User-Agent: Phone/14.1 Voice/9\nExpires: 600000\nContent-Length: 0\n\n"
    )
}

/// The Via of the calling phone.
pub fn phone_via() -> String {
    format!("Via: SIP/2.0/UDP {ALICE};branch=z9hG4bK{SERIAL};rport\n")
}

/// The Vias of a request that the P-CSCF has forwarded.
pub fn core_vias(remote: &str) -> String {
    format!(
        "Via: SIP/2.0/UDP {remote};branch=z9hG4bKcore{SERIAL}\n\
         Via: SIP/2.0/UDP {ALICE};branch=z9hG4bK{SERIAL};received=10.0.0.1;rport=5060\n"
    )
}

/// A 200 to the INVITE on its way back, for the parser.
pub fn ok() -> String {
    format!(
        "SIP/2.0 200 OK\n{}Record-Route: <sip:aaatoken0123456789@{PCSCF};lr>, <sip:aab@scscf.{HOME}:6060;lr>\n\
         From: \"Alice\" <sip:alice@{HOME}>;tag=a1b2c3d4\nTo: <sip:bob@{HOME}>;tag=b1\nCall-ID: {SERIAL}@10.0.0.1\n\
         CSeq: 1 INVITE\nContact: <sip:bob@10.0.0.2:5060>\nP-Asserted-Identity: <sip:bob@{HOME}>\n\
         P-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy;orig-ioi={HOME};term-ioi={HOME}\n\
         Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\nSupported: 100rel, timer\nRequire: timer\n\
         Session-Expires: 1800;refresher=uac\nContent-Length: 0\n\n",
        core_vias(crate::rig::SCSCF)
    )
}

/// A request within a dialog, without a body.
pub fn within(method: &str, uri: &str, vias: &str, routes: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\n{vias}Max-Forwards: 69\n{routes}From: \"Alice\" <sip:alice@{HOME}>;tag=a1b2c3d4\n\
         To: <sip:bob@{HOME}>;tag=there\nCall-ID: call@10.0.0.1\nCSeq: 2 {method}\n{more}\
         P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000101\n\
         User-Agent: Phone/14.1 Voice/9\nContent-Length: 0\n\n"
    )
}
