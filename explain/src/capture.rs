//! Captures of anyone's core: pcap and pcapng, as entries of the recorder.
//!
//! SIP and Diameter are known by what they look like, whatever their ports: over UDP, TCP and SCTP, in IPv4 and IPv6, in
//! fragments, in GTP-U and in ESP with NULL encryption. Everything is bounded, and what does not fit is left out: a
//! capture is a file of a stranger.

mod file;
mod functions;
mod ip;
mod stream;

use ambient::{Instant, Now, Wall};
use file::Frame;
use ip::{Layers, Packet, Payload};
use recorder::{Entry, Message, Protocol, ReferencePoint, Security, Transport, What};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use stream::Streams;

/// What a capture holds.
#[derive(Debug, Default)]
pub struct Capture {
    /// Its SIP and Diameter messages, each told by its sender.
    pub entries: Vec<Entry>,
    /// Frames that were read.
    pub frames: usize,
    /// Packets of ESP that cannot be read without their keys.
    pub protected: usize,
    /// Whether the file ends in the middle of something, or has more than is read.
    pub is_cut: bool,
}

/// Why a file is no capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// It begins with none of the marks of pcap and pcapng.
    UnknownFormat,
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::UnknownFormat => f.write_str("neither pcap nor pcapng"),
        }
    }
}

impl std::error::Error for CaptureError {}

/// Reads a capture.
pub fn read(bytes: &[u8]) -> Result<Capture, CaptureError> {
    let mut reading = Reading::default();
    reading.capture.is_cut = file::frames(bytes, |frame| reading.frame(&frame))?;
    let mut found = reading.found;
    found.sort_by_key(|message| message.at_us);
    reading.capture.is_cut |= reading.is_full;
    let known = functions::of(&found);
    for (sequence, message) in (1..).zip(found) {
        let node = functions::node(&known, message.from);
        let at = Now {
            instant: Instant::from_micros(message.at_us),
            wall: Wall::from_millis(message.at_us / 1000),
        };
        let what = What::Message(Message {
            sent: true,
            protocol: message.protocol,
            transport: message.transport,
            interface: ReferencePoint::Unknown,
            local: message.from,
            remote: message.to,
            security: message.spi.map(|spi| Security { spi }),
            bytes: message.bytes,
        });
        reading.capture.entries.push(Entry { sequence, at, node, what });
    }
    Ok(reading.capture)
}

/// One message of a capture.
#[derive(Debug)]
struct Found {
    at_us: u64,
    protocol: Protocol,
    transport: Transport,
    from: SocketAddr,
    to: SocketAddr,
    spi: Option<u32>,
    bytes: Vec<u8>,
}

/// What a reader keeps from one frame to the next.
#[derive(Default)]
struct Reading {
    capture: Capture,
    found: Vec<Found>,
    is_full: bool,
    layers: Layers,
    streams: Streams,
    /// Datagrams of the last moment: a capture on all interfaces has a packet at each of them.
    recent: VecDeque<(u64, SocketAddr, SocketAddr, Vec<u8>)>,
}

impl Reading {
    fn frame(&mut self, frame: &Frame<'_>) -> bool {
        self.capture.frames += 1;
        let mut packets = Vec::new();
        self.layers.open(frame, &mut packets);
        for packet in packets {
            self.packet(frame.at_us, packet);
        }
        !self.is_full
    }

    fn packet(&mut self, at_us: u64, packet: Packet) {
        let Packet { from, to, spi, payload } = packet;
        match payload {
            Payload::Protected => self.capture.protected += 1,
            Payload::Udp(bytes) => {
                if is_sip(&bytes) && !self.is_repeated(at_us, from, to, &bytes) {
                    self.keep(Found {
                        at_us,
                        protocol: Protocol::Sip,
                        transport: Transport::Udp,
                        from,
                        to,
                        spi,
                        bytes,
                    });
                }
            }
            Payload::Sctp(chunks) => {
                for bytes in chunks {
                    if is_diameter(&bytes) && !self.is_repeated(at_us, from, to, &bytes) {
                        let protocol = Protocol::Diameter;
                        self.keep(Found {
                            at_us,
                            protocol,
                            transport: Transport::Sctp,
                            from,
                            to,
                            spi,
                            bytes,
                        });
                    }
                }
            }
            Payload::Tcp(segment) => {
                let mut messages = Vec::new();
                self.streams.segment((from, to), &segment, &mut messages);
                for (protocol, bytes) in messages {
                    self.keep(Found { at_us, protocol, transport: Transport::Tcp, from, to, spi, bytes });
                }
            }
        }
    }

    fn keep(&mut self, mut found: Found) {
        if self.found.len() >= MESSAGES_MAX {
            self.is_full = true;
            return;
        }
        found.bytes.truncate(MESSAGE_MAX);
        self.found.push(found);
    }

    fn is_repeated(&mut self, at_us: u64, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> bool {
        while self.recent.len() > RECENT_MAX
            || self.recent.front().is_some_and(|(at, ..)| at_us.saturating_sub(*at) > REPEATED_US)
        {
            self.recent.pop_front();
        }
        let is_same = |known: &(u64, SocketAddr, SocketAddr, Vec<u8>)| {
            known.1 == from && known.2 == to && known.3 == bytes
        };
        let repeated = self.recent.iter().any(is_same);
        if !repeated {
            self.recent.push_back((at_us, from, to, bytes.to_vec()));
        }
        repeated
    }
}

/// Whether octets begin as a SIP message does.
fn is_sip(bytes: &[u8]) -> bool {
    let line_end = bytes.iter().take(LINE_MAX).position(|octet| *octet == b'\n').unwrap_or(0);
    let line = bytes[..line_end].trim_ascii_end();
    // Something else may stand in front of a message, and its line end would be the first.
    let is_text =
        line.iter().all(|octet| *octet >= b' ') && line.first().is_some_and(u8::is_ascii_alphabetic);
    is_text && (line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0"))
}

/// Whether octets begin as a Diameter message does (RFC 6733 §3).
fn is_diameter(bytes: &[u8]) -> bool {
    let Some(head) = bytes.first_chunk::<20>() else { return false };
    let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
    head[0] == 1
        && head[4] & 0x0f == 0
        && length >= 20
        && length.is_multiple_of(4)
        && length <= bytes.len().max(DIAMETER_MAX)
}

/// Parts of messages by key.
type Parts<K> = BTreeMap<K, Vec<u8>>;

/// Messages of one capture that are read.
const MESSAGES_MAX: usize = 500_000;
/// Octets of a message that are kept.
const MESSAGE_MAX: usize = 65_535;
/// Octets of a Diameter message.
const DIAMETER_MAX: usize = 1 << 20;
/// Octets of a first line.
const LINE_MAX: usize = 2048;
/// A datagram that comes again within this time is the same one on another interface: Timer A is 500 ms at the least.
const REPEATED_US: u64 = 100_000;
/// Datagrams that are compared.
const RECENT_MAX: usize = 256;

#[cfg(test)]
mod tests;
