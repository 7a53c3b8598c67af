//! Entries as bytes: in the ring, from process to process, and in files.
//!
//! A chunk is a version, the node, the number of the newest entry, and frames; a frame is its length, the number of its entry,
//! the times, and a message or a fact. All numbers are big-endian. Who reads trusts nothing.

use crate::entry::{
    Entry, Fact, Function, Message, Node, Protocol, ReferencePoint, Security, Transport, What,
};
use ambient::{Instant, Now, Wall};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A message that is to be recorded, where it lies.
#[derive(Clone, Copy, Debug)]
pub struct MessageRef<'a> {
    /// See [`Message::sent`], as the others.
    pub sent: bool,
    pub protocol: Protocol,
    pub transport: Transport,
    pub interface: ReferencePoint,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub security: Option<Security>,
    pub bytes: &'a [u8],
}

/// A fact that is to be recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct FactRef<'a> {
    /// See [`Fact::name`], as the others.
    pub name: &'a str,
    pub cause: &'a str,
    pub detail: &'a str,
    pub call_id: &'a [u8],
    pub remote: Option<SocketAddr>,
}

/// What a process told of its ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Whose ring it is.
    pub node: Node,
    /// The number of the newest entry of the ring, here or not.
    pub newest: u64,
    /// Some entries, in order.
    pub entries: Vec<Entry>,
}

/// What was read is no chunk of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no recording of this version")
    }
}

impl std::error::Error for Malformed {}

// --- writing ----------------------------------------------------------------------------------------------------------

/// Writes into memory that is as long as what is written.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.out.get_mut(self.at..self.at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    fn address(&mut self, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(ip) => {
                self.bytes(&[4]);
                self.bytes(&ip.octets());
                self.bytes(&[0; 12]);
            }
            IpAddr::V6(ip) => {
                self.bytes(&[6]);
                self.bytes(&ip.octets());
            }
        }
        self.bytes(&address.port().to_be_bytes());
    }

    fn head(&mut self, length: usize, sequence: u64, at: Now, kind: u8) {
        self.bytes(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        self.bytes(&sequence.to_be_bytes());
        self.bytes(&at.instant.as_micros().to_be_bytes());
        self.bytes(&at.wall.as_millis().to_be_bytes());
        self.bytes(&[kind]);
    }

    fn short(&mut self, bytes: &[u8]) {
        let bytes = cut(bytes);
        self.bytes(&(bytes.len() as u16).to_be_bytes());
        self.bytes(bytes);
    }
}

/// As much of a text as a frame takes.
fn cut(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(TEXT_MAX)]
}

impl MessageRef<'_> {
    /// The length of its frame.
    pub(crate) const fn framed_bytes(&self) -> usize {
        HEAD_BYTES + MESSAGE_BYTES + self.bytes.len()
    }

    pub(crate) fn write(&self, sequence: u64, at: Now, out: &mut [u8]) {
        let mut writer = Writer { out, at: 0 };
        writer.head(self.framed_bytes(), sequence, at, MESSAGE);
        let spi = self.security.map_or(0, |security| security.spi);
        let kinds = [self.protocol as u8, self.transport as u8, self.interface as u8];
        writer.bytes(&[u8::from(self.sent)]);
        writer.bytes(&kinds);
        writer.bytes(&[u8::from(self.security.is_some())]);
        writer.bytes(&spi.to_be_bytes());
        writer.address(self.local);
        writer.address(self.remote);
        writer.bytes(self.bytes);
    }
}

impl FactRef<'_> {
    pub(crate) fn framed_bytes(&self) -> usize {
        let texts = [self.name.as_bytes(), self.cause.as_bytes(), self.detail.as_bytes(), self.call_id];
        HEAD_BYTES + 1 + ADDRESS_BYTES + texts.map(|text| 2 + cut(text).len()).iter().sum::<usize>()
    }

    pub(crate) fn write(&self, sequence: u64, at: Now, out: &mut [u8]) {
        let mut writer = Writer { out, at: 0 };
        writer.head(self.framed_bytes(), sequence, at, FACT);
        writer.bytes(&[u8::from(self.remote.is_some())]);
        writer.address(self.remote.unwrap_or(SocketAddr::from(([0; 4], 0))));
        for text in [self.name.as_bytes(), self.cause.as_bytes(), self.detail.as_bytes(), self.call_id] {
            writer.short(text);
        }
    }
}

/// What a chunk begins with.
pub(crate) fn chunk_header(node: &Node, newest: u64) -> Vec<u8> {
    let name = &node.name.as_bytes()[..node.name.len().min(255)];
    let mut header = vec![VERSION, node.function as u8, name.len() as u8];
    header.extend_from_slice(name);
    header.extend_from_slice(&newest.to_be_bytes());
    header
}

/// Entries of one node as a chunk, for a file.
pub fn write_chunk(node: &Node, entries: &[&Entry]) -> Vec<u8> {
    let newest = entries.last().map_or(0, |entry| entry.sequence);
    let mut out = chunk_header(node, newest);
    for entry in entries {
        let at = out.len();
        match &entry.what {
            What::Message(message) => {
                let message = MessageRef {
                    sent: message.sent,
                    protocol: message.protocol,
                    transport: message.transport,
                    interface: message.interface,
                    local: message.local,
                    remote: message.remote,
                    security: message.security,
                    bytes: &message.bytes,
                };
                out.resize(at + message.framed_bytes(), 0);
                message.write(entry.sequence, entry.at, &mut out[at..]);
            }
            What::Fact(fact) => {
                let fact = FactRef {
                    name: &fact.name,
                    cause: &fact.cause,
                    detail: &fact.detail,
                    call_id: fact.call_id.as_bytes(),
                    remote: fact.remote,
                };
                out.resize(at + fact.framed_bytes(), 0);
                fact.write(entry.sequence, entry.at, &mut out[at..]);
            }
        }
    }
    out
}

// --- reading ----------------------------------------------------------------------------------------------------------

/// The length of the frame at the start of `bytes`, and the number of its entry.
pub(crate) fn length_and_sequence(bytes: &[u8]) -> Option<(usize, u64)> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
    let sequence = u64::from_be_bytes(*bytes.get(4..)?.first_chunk::<8>()?);
    (length >= HEAD_BYTES && length <= bytes.len()).then_some((length, sequence))
}

/// Reads from bytes of anyone.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Result<T, Malformed> {
        let number = self.byte()?;
        all.get(usize::from(number)).copied().ok_or(Malformed)
    }

    fn address(&mut self) -> Result<SocketAddr, Malformed> {
        let family = self.byte()?;
        let octets = self.array::<16>()?;
        let port = u16::from_be_bytes(self.array()?);
        match family {
            4 => Ok(SocketAddr::from(([octets[0], octets[1], octets[2], octets[3]], port))),
            6 => Ok(SocketAddr::from((octets, port))),
            _ => Err(Malformed),
        }
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(length.into()).map(|text| String::from_utf8_lossy(text).into_owned())
    }
}

/// Reads a chunk. Its entries are of one node; a frame that was cut off is an error.
pub fn read_chunk(bytes: &[u8]) -> Result<Chunk, Malformed> {
    let mut reader = Reader(bytes);
    if reader.byte()? != VERSION {
        return Err(Malformed);
    }
    let function = reader.one_of(&Function::ALL)?;
    let length = reader.byte()?;
    let name = String::from_utf8(reader.take(length.into())?.to_vec()).map_err(|_| Malformed)?;
    let node = Node { function, name };
    let newest = reader.u64()?;
    let mut entries = Vec::new();
    while !reader.0.is_empty() {
        let (length, _) = length_and_sequence(reader.0).ok_or(Malformed)?;
        entries.push(read_frame(&node, reader.take(length)?)?);
    }
    Ok(Chunk { node, newest, entries })
}

fn read_frame(node: &Node, frame: &[u8]) -> Result<Entry, Malformed> {
    let mut reader = Reader(frame);
    reader.take(4)?;
    let sequence = reader.u64()?;
    let instant = Instant::from_micros(reader.u64()?);
    let wall = Wall::from_millis(reader.u64()?);
    let what = match reader.byte()? {
        MESSAGE => What::Message(read_message(reader)?),
        FACT => What::Fact(read_fact(reader)?),
        _ => return Err(Malformed),
    };
    Ok(Entry { sequence, at: Now { instant, wall }, node: node.clone(), what })
}

fn read_message(mut reader: Reader<'_>) -> Result<Message, Malformed> {
    let sent = reader.flag()?;
    let protocol = reader.one_of(&Protocol::ALL)?;
    let transport = reader.one_of(&Transport::ALL)?;
    let interface = reader.one_of(&ReferencePoint::ALL)?;
    let is_secured = reader.flag()?;
    let spi = u32::from_be_bytes(reader.array()?);
    let security = is_secured.then_some(Security { spi });
    let (local, remote) = (reader.address()?, reader.address()?);
    let bytes = reader.0.to_vec();
    Ok(Message { sent, protocol, transport, interface, local, remote, security, bytes })
}

fn read_fact(mut reader: Reader<'_>) -> Result<Fact, Malformed> {
    let has_remote = reader.flag()?;
    let remote = Some(reader.address()?).filter(|_| has_remote);
    let (name, cause, detail) = (reader.text()?, reader.text()?, reader.text()?);
    let call_id = reader.text()?;
    match reader.0.is_empty() {
        true => Ok(Fact { name, cause, detail, call_id, remote }),
        false => Err(Malformed),
    }
}

/// The form of chunks.
const VERSION: u8 = 1;
const MESSAGE: u8 = 0;
const FACT: u8 = 1;
/// Length, number, instant, wall clock, kind.
const HEAD_BYTES: usize = 4 + 8 + 8 + 8 + 1;
/// Family, octets, port.
const ADDRESS_BYTES: usize = 1 + 16 + 2;
/// Direction, protocol, transport, reference point, whether it was secured, SPI, both ends.
const MESSAGE_BYTES: usize = 5 + 4 + 2 * ADDRESS_BYTES;
/// The longest text of a fact.
const TEXT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let node = Node { function: Function::Ue, name: "alice".to_owned() };
        let at = Now { instant: Instant::from_micros(5), wall: Wall::from_millis(6) };
        let message = Message {
            sent: true,
            protocol: Protocol::Diameter,
            transport: Transport::Sctp,
            interface: ReferencePoint::Cx,
            local: "[2001:db8::1]:3868".parse().unwrap(),
            remote: "192.0.2.1:7".parse().unwrap(),
            security: Some(Security { spi: 0x1001 }),
            bytes: b"anything".to_vec(),
        };
        let fact = Fact {
            name: "refused".to_owned(),
            cause: "user unknown".to_owned(),
            detail: "sip:carol@example.org".to_owned(),
            call_id: "a@b".to_owned(),
            remote: None,
        };
        let entry = |sequence, what| Entry { sequence, at, node: node.clone(), what };
        vec![entry(3, What::Message(message)), entry(9, What::Fact(fact))]
    }

    #[test]
    fn what_is_written_is_read() {
        let entries = entries();
        let chunk = write_chunk(&entries[0].node, &entries.iter().collect::<Vec<_>>());
        let expected = Chunk { node: entries[0].node.clone(), newest: 9, entries };
        assert_eq!(read_chunk(&chunk), Ok(expected));
    }

    #[test]
    fn bytes_of_anyone_are_read_or_refused_and_nothing_else() {
        let entries = entries();
        let chunk = write_chunk(&entries[0].node, &entries.iter().collect::<Vec<_>>());
        for cut in 0..chunk.len() {
            if let Ok(read) = read_chunk(&chunk[..cut]) {
                assert!(read.entries.len() < 2, "cut at {cut}");
            }
        }
        let mut generator = ambient::Entropy::seeded(3);
        for _ in 0..200_000 {
            let mut damaged = chunk.clone();
            for _ in 0..1 + generator.below(3) {
                let at = generator.below(damaged.len() as u64) as usize;
                damaged[at] = generator.below(256) as u8;
            }
            let _ = read_chunk(&damaged);
        }
    }
}
