//! Everything around an S-CSCF but phones, on one socket: who sends a request, every application server that it visits, and
//! whom it is for in another network. The application servers are one proxy that writes down by which name it was visited.

use crate::profiles::Request;
use sip_core::{Edits, Limits, Message, Method, Name};
use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The socket.
pub struct Recorder {
    socket: UdpSocket,
    own: SocketAddr,
    scscf: SocketAddr,
    sent: u32,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The application servers, in the order of their visits.
    pub visited: Vec<String>,
    /// The final response.
    pub status: u16,
}

impl Recorder {
    /// At `own`, around the S-CSCF at `scscf`.
    pub fn bind(own: SocketAddr, scscf: SocketAddr) -> Recorder {
        let socket = UdpSocket::bind(own).expect("an address of this lab");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Recorder { socket, own, scscf, sent: 0 }
    }

    /// Sends a request to `uri` on a Route, and plays everybody until it is answered.
    pub fn send(&mut self, request: &Request, route: &str, user: &str, uri: &str) -> Outcome {
        self.sent += 1;
        let (own, number, method) = (self.own, self.sent, request.method);
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKcaller{number}\r\nMax-Forwards: 70\r\n\
             Route: {route}\r\nFrom: <{user}>;tag=f{number}\r\nTo: <{uri}>\r\nCall-ID: call-{number}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:caller@{own}>\r\nP-Asserted-Identity: <{user}>\r\n"
        );
        for header in &request.headers {
            text.push_str(&format!("{header}\r\n"));
        }
        let body = request.body.unwrap_or_default();
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.tell(text.as_bytes(), self.scscf);
        let (mut visited, mut seen) = (Vec::new(), BTreeSet::new());
        let until = Instant::now() + OUTCOME_MAX;
        let mut buffer = vec![0; 65_536];
        loop {
            assert!(Instant::now() < until, "no outcome after {visited:?} of\n{text}");
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else {
                self.tell(text.as_bytes(), self.scscf);
                continue;
            };
            let message = Message::parse(buffer[..length].to_vec(), &Limits::default()).expect("SIP");
            // What belongs to an earlier request has been counted with it.
            if message.call_id() != format!("call-{number}").as_bytes() {
                continue;
            }
            if let Some(status) = message.status() {
                if self.pass(&message) || !status.is_final() {
                    continue;
                }
                if method == "INVITE" {
                    self.acknowledge(&text, &message);
                }
                return Outcome { visited, status: status.code() };
            }
            let is_new = message.method() != Method::Ack && seen.insert(branch(&message));
            match server(&message, self.own) {
                Some(name) => {
                    visited.extend(Some(name).filter(|_| is_new));
                    self.forward(&message);
                }
                None if is_new => self.refuse(&message),
                None => {}
            }
        }
    }

    /// As a proxy: our Route goes, and the request follows the next one, which is the S-CSCF's.
    fn forward(&self, message: &Message) {
        let mut edits = Edits::new();
        let (own, _) = message.all(Name::Route).next().expect("our Route");
        edits.remove_slot(own);
        let via = format!("SIP/2.0/UDP {};branch=z9hG4bKas.{}", self.own, branch(message));
        edits.push_top(Name::Via, via.as_str());
        self.render(message, &edits, self.scscf);
    }

    /// A response goes to the Via below ours; false when there is none: it is for the caller.
    fn pass(&self, message: &Message) -> bool {
        let mut vias = message.all(Name::Via);
        let (Some((own, _)), Some((_, next))) = (vias.next(), vias.next()) else { return false };
        let next = String::from_utf8_lossy(next);
        let sent_by = next.split([' ', ';']).nth(1).and_then(|sent_by| sent_by.parse().ok());
        let mut edits = Edits::new();
        edits.remove_slot(own);
        self.render(message, &edits, sent_by.expect("an address in a Via"));
        true
    }

    fn render(&self, message: &Message, edits: &Edits, to: SocketAddr) {
        let mut bytes = Vec::new();
        edits.render(message, &mut bytes);
        self.tell(&bytes, to);
    }

    /// As the called one of another network: it is over here.
    fn refuse(&self, message: &Message) {
        if message.method() == Method::Ack {
            return;
        }
        let mut text = "SIP/2.0 486 Busy Here\r\n".to_owned();
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            for (_, value) in message.all(name) {
                let tag = if name == Name::To { ";tag=end" } else { "" };
                text.push_str(&format!("{}: {}{tag}\r\n", name.as_str(), String::from_utf8_lossy(value)));
            }
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        self.tell(text.as_bytes(), self.scscf);
    }

    /// As the caller, of a call that was refused (RFC 3261 §17.1.1.3).
    fn acknowledge(&self, request: &str, response: &Message) {
        let to = String::from_utf8_lossy(response.first(Name::To).unwrap_or_default()).into_owned();
        let (head, _) = request.split_once("\r\n\r\n").expect("a request");
        let kept = ["Via:", "Max-Forwards:", "Route:", "From:", "Call-ID:"];
        let mut ack = head.lines().next().expect("a line").replacen("INVITE", "ACK", 1) + "\r\n";
        for line in head.lines().filter(|line| kept.iter().any(|name| line.starts_with(name))) {
            ack.push_str(&format!("{line}\r\n"));
        }
        ack.push_str(&format!("To: {to}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"));
        self.tell(ack.as_bytes(), self.scscf);
    }

    fn tell(&self, bytes: &[u8], to: SocketAddr) {
        self.socket.send_to(bytes, to).expect("a datagram");
    }
}

/// The application server that a request is for, by the user part of its topmost Route.
fn server(message: &Message, own: SocketAddr) -> Option<String> {
    let route = String::from_utf8_lossy(message.first(Name::Route)?).into_owned();
    let (_, uri) = route.split_once("sip:")?;
    let (name, rest) = uri.split_once('@')?;
    rest.starts_with(&own.to_string()).then(|| name.to_owned())
}

fn branch(message: &Message) -> String {
    let via = String::from_utf8_lossy(message.first(Name::Via).unwrap_or_default()).into_owned();
    let (_, branch) = via.split_once(";branch=").expect("a Via with a branch");
    branch.split(';').next().unwrap_or_default().to_owned()
}

/// How long nothing may be heard before the request is sent again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one request may take.
const OUTCOME_MAX: Duration = Duration::from_secs(20);
