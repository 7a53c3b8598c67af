//! The requests of a UE, written piece by piece into one buffer (TS 24.229 §5.1).

use crate::generator::Setup;
use crate::operation::Operation;
use crate::population::Ue;
use crate::token::{COOKIE, Token};
use std::io::Write;
use std::net::SocketAddr;

/// Who sends a request, and as what.
pub(crate) struct Sender<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) ue: &'a Ue,
    pub(crate) number: u32,
    pub(crate) address: SocketAddr,
    /// Of this request.
    pub(crate) token: Token,
    /// Header lines about security associations; empty where there are none.
    pub(crate) security: &'a [u8],
}

/// What a REGISTER is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Kept,
    Removed,
}

impl Sender<'_> {
    /// REGISTER (TS 24.229 §5.1.1.2.1, §5.1.1.4.1, §5.1.1.6).
    pub(crate) fn register(&self, authorization: &[u8], binding: Binding, out: &mut Vec<u8>) {
        let Sender { setup, ue, address, .. } = self;
        let impu = ue.impu.as_bytes();
        let tag = &self.registration_id()[..];
        out.clear();
        put(out, &[b"REGISTER ", setup.registrar.as_bytes(), b" SIP/2.0\r\n"]);
        self.via(out);
        put(
            out,
            &[
                b"Max-Forwards: 70\r\nFrom: <",
                impu,
                b">;tag=",
                tag,
                b"\r\nTo: <",
                impu,
                b">\r\nCall-ID: ",
                tag,
            ],
        );
        number(out, b"\r\nCSeq: ", ue.cseq.into());
        put(out, &[b" REGISTER\r\nContact: <sip:"]);
        let expires_s = match binding {
            Binding::Kept => setup.expires_s,
            Binding::Removed => 0,
        };
        // Writing to a Vec does not fail.
        let _ = write!(
            out,
            "{address}{}>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-{:012x}>\";{MMTEL};expires={expires_s}\r\n",
            setup.transport.uri_parameter(),
            self.number
        );
        number(out, b"Expires: ", expires_s.into());
        put(out, &[b"\r\nSupported: path\r\nAuthorization: ", authorization, b"\r\n"]);
        // TS 24.229 §5.1.1.4.1: where the UE is, once it is registered; before, nobody may read it.
        if !ue.routes.is_empty() {
            put(out, &[b"P-Access-Network-Info: ", setup.access.as_bytes(), b"\r\n"]);
        }
        out.extend_from_slice(self.security);
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }

    /// Authorization before any challenge (TS 24.229 §5.1.1.2.2).
    pub(crate) fn unchallenged(&self, out: &mut Vec<u8>) {
        let Sender { setup, ue, .. } = self;
        out.clear();
        put(out, &[b"Digest username=\"", ue.impi.as_bytes(), b"\",realm=\"", setup.domain.as_bytes()]);
        put(out, &[b"\",uri=\"", setup.registrar.as_bytes(), b"\",nonce=\"\",response=\"\""]);
    }

    /// MESSAGE (RFC 3428).
    pub(crate) fn message(&self, peer: &[u8], out: &mut Vec<u8>) {
        self.initial(b"MESSAGE", peer, out);
        number(out, b"Content-Type: text/plain\r\nContent-Length: ", TEXT.len() as u64);
        put(out, &[b"\r\n\r\n", TEXT]);
    }

    /// INVITE with an offer.
    pub(crate) fn invite(&self, peer: &[u8], out: &mut Vec<u8>) {
        self.initial(b"INVITE", peer, out);
        let address = self.address;
        let sdp = description(address);
        let _ = write!(
            out,
            "Contact: <sip:{address}{}>;{MMTEL}\r\nAllow: {ALLOW}\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n",
            self.setup.transport.uri_parameter(),
            sdp.len()
        );
        out.extend_from_slice(sdp.as_bytes());
    }

    /// A request outside of any dialog (TS 24.229 §5.1.2A.1.1), but for what its method needs.
    fn initial(&self, method: &[u8], peer: &[u8], out: &mut Vec<u8>) {
        let Sender { setup, ue, .. } = self;
        let identity = &ue.identity[..];
        let call_id = &self.call_id()[..];
        out.clear();
        put(out, &[method, b" ", peer, b" SIP/2.0\r\n"]);
        self.via(out);
        put(out, &[&ue.routes, b"Max-Forwards: 70\r\nFrom: <", identity, b">;tag=", &call_id[8..]]);
        put(out, &[b"\r\nTo: <", peer, b">\r\nCall-ID: ", call_id, b"\r\nCSeq: 1 ", method]);
        put(out, &[b"\r\nP-Preferred-Identity: <", identity, b">\r\nP-Access-Network-Info: "]);
        put(out, &[setup.access.as_bytes(), b"\r\n", self.security]);
    }

    /// ACK to a 2xx, which is a transaction of its own (RFC 3261 §13.2.2.4).
    pub(crate) fn ack(&self, operation: &Operation, out: &mut Vec<u8>) {
        self.within(b"ACK", 1, operation, out);
    }

    /// BYE.
    pub(crate) fn bye(&self, operation: &Operation, out: &mut Vec<u8>) {
        self.within(b"BYE", 2, operation, out);
    }

    /// A request within the dialog that an operation has made (RFC 3261 §12.2.1.1).
    fn within(&self, method: &[u8], cseq: u64, operation: &Operation, out: &mut Vec<u8>) {
        let call_id = &self.call_id()[..];
        out.clear();
        put(out, &[method, b" ", &operation.target, b" SIP/2.0\r\n"]);
        self.via(out);
        put(out, &[&operation.routes, b"Max-Forwards: 70\r\nFrom: <", &self.ue.identity, b">;tag="]);
        put(out, &[&call_id[8..], b"\r\nTo: ", &operation.to, b"\r\nCall-ID: ", call_id]);
        number(out, b"\r\nCSeq: ", cseq);
        put(out, &[b" ", method, b"\r\n"]);
        if method != b"ACK" {
            put(out, &[b"P-Access-Network-Info: ", self.setup.access.as_bytes(), b"\r\n"]);
        }
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }

    /// ACK to a refusal: of the INVITE's own transaction (RFC 3261 §17.1.1.3).
    pub(crate) fn ack_refusal(&self, peer: &[u8], to: &[u8], out: &mut Vec<u8>) {
        let call_id = &self.call_id()[..];
        out.clear();
        put(out, &[b"ACK ", peer, b" SIP/2.0\r\n"]);
        self.via(out);
        put(out, &[&self.ue.routes, b"Max-Forwards: 70\r\nFrom: <", &self.ue.identity, b">;tag="]);
        put(out, &[&call_id[8..], b"\r\nTo: ", to, b"\r\nCall-ID: ", call_id]);
        out.extend_from_slice(b"\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n");
    }

    fn via(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "Via: SIP/2.0/{} {};rport;branch=", self.setup.transport.in_via(), self.address);
        put(out, &[COOKIE, &self.token.digits(), b"\r\n"]);
    }

    fn call_id(&self) -> [u8; crate::token::DIGITS] {
        Token { sequence: 0, ..self.token }.digits()
    }

    /// Call-ID and tag of a registration: the same for all its REGISTERs.
    fn registration_id(&self) -> [u8; crate::token::DIGITS + 1] {
        let token = Token { slot: self.number, generation: self.ue.registrations, sequence: 0, ..self.token };
        let mut id = [b'r'; crate::token::DIGITS + 1];
        id[1..].copy_from_slice(&token.digits());
        id
    }
}

/// A session description with one audio stream at `address`. No media flows.
pub(crate) fn description(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let ip = address.ip();
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio 49152 RTP/AVP 97\r\n\
         a=rtpmap:97 AMR/8000\r\n"
    )
}

pub(crate) fn put(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

pub(crate) fn number(out: &mut Vec<u8>, before: &[u8], number: u64) {
    out.extend_from_slice(before);
    let _ = write!(out, "{number}");
}

/// The feature tag of multimedia telephony (TS 24.173 §5.1).
pub(crate) const MMTEL: &str = "+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"";
/// The methods that the UEs understand.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE";
const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog.";
