//! Peers that do not do what they should: they stand in the place of one that does.

use diameter_client::dictionary::{self, avp};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A stand-in; it leaves when this is dropped.
pub struct StandIn {
    stop: Arc<AtomicBool>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

const POLL: Duration = Duration::from_millis(20);

/// An HSS that takes connections and answers nothing that is asked about users.
pub fn silent_hss(address: SocketAddr, host: &str, realm: &str) -> StandIn {
    let stop = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind(address).expect("the address of the HSS");
    listener.set_nonblocking(true).expect("a socket");
    let (told, host, realm) = (stop.clone(), host.to_owned(), realm.to_owned());
    std::thread::spawn(move || {
        let mut connections: Vec<(std::net::TcpStream, Vec<u8>)> = Vec::new();
        while !told.load(Ordering::Relaxed) {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).expect("a socket");
                connections.push((stream, Vec::new()));
            }
            for (stream, buffer) in &mut connections {
                let mut part = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut part) {
                    buffer.extend_from_slice(&part[..length]);
                }
                while let Ok(Some(length)) = diameter_client::wire::message_len(buffer, 1 << 16) {
                    if buffer.len() < length {
                        break;
                    }
                    let message: Vec<u8> = buffer.drain(..length).collect();
                    if let Some(answer) = base_answer(&message, &host, &realm) {
                        stream.write_all(&answer).expect("a peer");
                    }
                }
            }
            std::thread::sleep(POLL);
        }
    });
    StandIn { stop }
}

/// The answer to a CER or a DWR.
fn base_answer(message: &[u8], host: &str, realm: &str) -> Option<Vec<u8>> {
    use diameter_client::wire::{Message, Writer};
    let message = Message::parse(message).ok()?;
    if !message.header.is_request() || !matches!(message.header.command, 257 | 280) {
        return None;
    }
    let mut writer = Writer::new(message.header.answer());
    writer.unsigned32(&avp::RESULT_CODE, 2001);
    writer.text(&avp::ORIGIN_HOST, host);
    writer.text(&avp::ORIGIN_REALM, realm);
    if message.header.command == 257 {
        writer.octets(&avp::HOST_IP_ADDRESS, &[0, 1, 127, 0, 0, 1]);
        writer.unsigned32(&avp::VENDOR_ID, 10_415);
        writer.text(&avp::PRODUCT_NAME, "silent");
        writer.group(&avp::VENDOR_SPECIFIC_APPLICATION_ID, |inner| {
            inner.unsigned32(&avp::VENDOR_ID, 10_415);
            inner.unsigned32(&avp::AUTH_APPLICATION_ID, dictionary::APPLICATION_CX);
        });
    }
    Some(writer.finish())
}

/// A name server that says of every name that it does not exist.
pub fn empty_dns(address: SocketAddr) -> StandIn {
    let stop = Arc::new(AtomicBool::new(false));
    let socket = UdpSocket::bind(address).expect("the address of the name server");
    socket.set_read_timeout(Some(POLL)).expect("a socket");
    let told = stop.clone();
    std::thread::spawn(move || {
        let mut question = [0; 1500];
        while !told.load(Ordering::Relaxed) {
            let Ok((length @ 12.., from)) = socket.recv_from(&mut question) else { continue };
            // RFC 1035 §4.1.1: a response, authoritative, recursion available, NXDOMAIN; the question as it came.
            let mut answer = question[..length].to_vec();
            answer[2] = 0x84 | (question[2] & 1);
            answer[3] = 0x83;
            answer[6..12].fill(0);
            // What stood behind the question (EDNS) is left out.
            let end = 12 + question[12..length].iter().position(|octet| *octet == 0).unwrap_or(0) + 5;
            answer.truncate(end);
            let _ = socket.send_to(&answer, from);
        }
    });
    StandIn { stop }
}

/// A port that takes datagrams and says nothing.
pub fn silent_port(address: SocketAddr) -> UdpSocket {
    UdpSocket::bind(address).expect("a free port")
}
