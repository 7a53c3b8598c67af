//! The tap of a station: every SIP and Diameter message that it sent or received, in order.
//!
//! Feeds the ladder. Off, it costs one test of an `Option` per message.

mod secrets;

use crate::station::{LinkId, Protocol};
use ambient::Now;
use diameter_client::dictionary::command_name;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// One message that passed the edge of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When the input was handled that brought or caused it.
    pub at: Now,
    /// Whether it left this station; else it came in.
    pub sent: bool,
    /// What it is.
    pub protocol: Protocol,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The whole message, without CK and IK.
    pub bytes: Vec<u8>,
}

impl Event {
    /// What a ladder writes on the arrow: `INVITE`, `200 OK (INVITE)`, `UAR`, `UAA 2001`.
    pub fn summary(&self) -> String {
        match self.protocol {
            Protocol::Sip => sip_summary(&self.bytes),
            Protocol::Diameter => diameter_summary(&self.bytes),
        }
    }
}

fn sip_summary(bytes: &[u8]) -> String {
    let line_end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let line = String::from_utf8_lossy(&bytes[..line_end]);
    match line.strip_prefix("SIP/2.0 ") {
        Some(status) => match cseq_method(bytes) {
            Some(method) => format!("{status} ({method})"),
            None => status.to_owned(),
        },
        None => line.split(' ').next().unwrap_or_default().to_owned(),
    }
}

/// The method of the CSeq header, found without a parse of the rest.
fn cseq_method(bytes: &[u8]) -> Option<String> {
    let text = bytes.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
        name.trim_ascii().eq_ignore_ascii_case(b"CSeq").then_some(&value[1..])
    })?;
    let text = text.trim_ascii();
    let method_at = text.iter().rposition(|byte| matches!(byte, b' ' | b'\t'))? + 1;
    Some(String::from_utf8_lossy(&text[method_at..]).into_owned())
}

fn diameter_summary(bytes: &[u8]) -> String {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return "Diameter".to_owned();
    };
    let is_request = header[4] & 0x80 != 0;
    let command = u32::from_be_bytes([0, header[5], header[6], header[7]]);
    let Some(name) = command_name(command, is_request) else {
        return format!("{} {command}", if is_request { "request" } else { "answer" });
    };
    match result_code(&bytes[HEADER_BYTES..], 0).filter(|_| !is_request) {
        Some(code) => format!("{name} {code}"),
        None => name.to_owned(),
    }
}

/// The value of Result-Code (268), or of Experimental-Result-Code (298) in its group (297).
fn result_code(mut avps: &[u8], depth: u8) -> Option<u32> {
    while let Some((header, _)) = avps.split_first_chunk::<8>() {
        let code = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let length = u32::from_be_bytes([0, header[5], header[6], header[7]]) as usize;
        let data_at = if header[4] & 0x80 != 0 { 12 } else { 8 };
        let data = avps.get(data_at..length)?;
        match code {
            268 | 298 => return Some(u32::from_be_bytes(*data.first_chunk()?)),
            297 if depth == 0 => return result_code(data, 1),
            _ => {}
        }
        avps = avps.get(length.next_multiple_of(4)..)?;
    }
    None
}

const HEADER_BYTES: usize = 20;
/// A Diameter message longer than this is not shown: the endpoint refuses it too.
const DIAMETER_MAX: usize = 1 << 20;
/// Events kept for a reader that is behind; the oldest go first.
const EVENTS_MAX: usize = 65_536;

/// Collects events, and cuts Diameter streams into messages.
#[derive(Debug, Default)]
pub struct Tap {
    events: VecDeque<Event>,
    /// Ends and unfinished input of each Diameter connection; `None` once its framing is lost.
    streams: BTreeMap<LinkId, (SocketAddr, SocketAddr, Option<Vec<u8>>)>,
}

impl Tap {
    pub fn message(
        &mut self,
        at: Now,
        sent: bool,
        protocol: Protocol,
        (local, remote): (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        let mut bytes = bytes.to_vec();
        secrets::hide(protocol, &mut bytes);
        self.events.push_back(Event { at, sent, protocol, local, remote, bytes });
    }

    pub fn opened(&mut self, link: LinkId, local: SocketAddr, remote: SocketAddr) {
        self.streams.insert(link, (local, remote, Some(Vec::new())));
    }

    /// A connection of ours stands: our end is known.
    pub fn connected(&mut self, link: LinkId, local: SocketAddr) {
        if let Some(stream) = self.streams.get_mut(&link) {
            stream.0 = local;
        }
    }

    pub fn closed(&mut self, link: LinkId) {
        self.streams.remove(&link);
    }

    /// What a Diameter endpoint wrote: whole messages.
    pub fn wrote(&mut self, at: Now, link: LinkId, mut bytes: &[u8]) {
        let Some((local, remote, _)) = self.streams.get(&link) else { return };
        let ends = (*local, *remote);
        while let Some(message) = first_message(bytes) {
            self.message(at, true, Protocol::Diameter, ends, message);
            bytes = &bytes[message.len()..];
        }
    }

    /// What a Diameter connection received: cut anywhere.
    pub fn read(&mut self, at: Now, link: LinkId, bytes: &[u8]) {
        let Some((local, remote, pending)) = self.streams.get_mut(&link) else { return };
        let ends = (*local, *remote);
        let Some(mut buffer) = pending.take() else { return };
        buffer.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(message) = first_message(&buffer[used..]) {
            let length = message.len();
            let message = message.to_vec();
            self.message(at, false, Protocol::Diameter, ends, &message);
            used += length;
        }
        buffer.drain(..used);
        let framed = buffer.first().is_none_or(|version| *version == 1) && buffer.len() <= DIAMETER_MAX;
        if let Some((_, _, pending)) = self.streams.get_mut(&link) {
            *pending = framed.then_some(buffer);
        }
    }

    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// The Diameter message at the start of `bytes`; `None` when it is unfinished or none.
fn first_message(bytes: &[u8]) -> Option<&[u8]> {
    let [version, a, b, c] = *bytes.first_chunk::<4>()?;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if version != 1 || length < HEADER_BYTES {
        return None;
    }
    bytes.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);

    fn uaa() -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 32, 0x40, 0, 1, 44, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        bytes.extend_from_slice(&[0, 0, 1, 12, 0x40, 0, 0, 12]);
        bytes.extend_from_slice(&2001_u32.to_be_bytes());
        bytes
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn event(protocol: Protocol, bytes: &[u8]) -> Event {
        Event {
            at: Now::default(),
            sent: true,
            protocol,
            local: address(1),
            remote: address(2),
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn a_sip_message_is_summed_up_by_its_method_or_status() {
        let request = event(Protocol::Sip, b"INVITE sip:bob@example.org SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n");
        assert_eq!(request.summary(), "INVITE");
        let response = event(Protocol::Sip, b"SIP/2.0 200 OK\r\nVia: x\r\ncseq : 7  INVITE\r\n\r\n");
        assert_eq!(response.summary(), "200 OK (INVITE)");
        assert_eq!(event(Protocol::Sip, b"").summary(), "");
    }

    #[test]
    fn a_diameter_message_is_summed_up_by_command_and_result() {
        assert_eq!(event(Protocol::Diameter, &uaa()).summary(), "UAA 2001");
        let mut request = uaa();
        request[4] = 0xc0;
        assert_eq!(event(Protocol::Diameter, &request).summary(), "UAR");
        let mut experimental = uaa()[..20].to_vec();
        experimental.extend_from_slice(&[0, 0, 1, 41, 0x40, 0, 0, 20, 0, 0, 1, 42, 0x40, 0, 0, 12]);
        experimental.extend_from_slice(&5001_u32.to_be_bytes());
        assert_eq!(event(Protocol::Diameter, &experimental).summary(), "UAA 5001");
        for cut in 0..experimental.len() {
            let _ = event(Protocol::Diameter, &experimental[..cut]).summary();
        }
    }

    #[test]
    fn a_diameter_stream_cut_anywhere_is_shown_message_by_message() {
        let stream = [uaa(), uaa()].concat();
        for cut in 0..stream.len() {
            let mut tap = Tap::default();
            tap.opened(LINK, address(1), address(2));
            tap.read(Now::default(), LINK, &stream[..cut]);
            tap.read(Now::default(), LINK, &stream[cut..]);
            let seen: Vec<_> = std::iter::from_fn(|| tap.poll()).map(|event| event.bytes).collect();
            assert_eq!(seen, [uaa(), uaa()], "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_that_is_not_diameter_is_not_collected() {
        let mut tap = Tap::default();
        tap.opened(LINK, address(1), address(2));
        tap.read(Now::default(), LINK, b"GET / HTTP/1.1\r\n");
        tap.read(Now::default(), LINK, &uaa());
        assert_eq!(tap.poll(), None);
    }
}
