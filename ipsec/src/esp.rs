//! ESP packets in transport mode (RFC 4303), with sequence numbers of 32 bits.
//!
//! ```text
//! SPI | sequence number | IV | payload | padding | pad length | next header | ICV
//! ```
//!
//! A packet is opened in place, and sealed into a buffer of the caller: neither allocates once the buffer has grown.

use crate::association::Spi;
use crate::transform::{HEADER, IvKind, Transform};
use crate::window::ReplayWindow;
use ambient::Entropy;
use std::sync::Arc;

/// The number of ESP in an IP header.
pub const PROTOCOL: u8 = 50;

/// The sending end of one association.
#[derive(Clone, Debug)]
pub struct Outbound {
    spi: Spi,
    transform: Arc<Transform>,
    /// The last that was sent.
    sequence: u32,
    /// What the sequence number is XORed with for the vector of a counter mode.
    ///
    /// All four associations of a set have one key, so that a counter alone would repeat between them, and a sequence
    /// number alone after a restart.
    mask: u64,
}

impl Outbound {
    /// The end of a new association.
    pub fn new(spi: Spi, transform: Arc<Transform>, entropy: &mut Entropy) -> Outbound {
        Outbound { spi, transform, sequence: 0, mask: entropy.next_u64() }
    }

    /// Goes on behind a number that may have been sent, as after a restart.
    pub fn skip_to(&mut self, sequence: u32) {
        self.sequence = self.sequence.max(sequence);
    }

    /// The last number that was sent; 0 before the first packet.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Appends a packet with the concatenation of `parts` to `packet`.
    pub fn seal(
        &mut self,
        entropy: &mut Entropy,
        next_header: u8,
        parts: &[&[u8]],
        packet: &mut Vec<u8>,
    ) -> Result<(), SequenceExhausted> {
        // RFC 4303 §3.3.3: a number must not cycle, because the peer could not tell the packet from a replay.
        let sequence = self.sequence.checked_add(1).ok_or(SequenceExhausted)?;
        self.sequence = sequence;
        let mut iv = [0; 16];
        let iv = &mut iv[..self.transform.iv_length()];
        match self.transform.iv_kind() {
            IvKind::None => {}
            IvKind::Random(_) => entropy.fill(iv),
            IvKind::Counter => iv.copy_from_slice(&(u64::from(sequence) ^ self.mask).to_be_bytes()),
        }
        write(&self.transform, self.spi.get(), sequence, iv, next_header, parts, packet);
        Ok(())
    }
}

/// All 2^32 - 1 sequence numbers have been sent: the association has to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceExhausted;

/// Appends one packet.
fn write(
    transform: &Transform,
    spi: u32,
    sequence: u32,
    iv: &[u8],
    next_header: u8,
    parts: &[&[u8]],
    packet: &mut Vec<u8>,
) {
    let start = packet.len();
    let text: usize = parts.iter().map(|part| part.len()).sum::<usize>() + TRAILER;
    let padding = text.next_multiple_of(transform.block_length()) - text;
    packet.reserve(HEADER + iv.len() + text + padding + transform.icv_length());
    packet.extend_from_slice(&spi.to_be_bytes());
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(iv);
    for part in parts {
        packet.extend_from_slice(part);
    }
    // RFC 4303 §2.4: 1, 2, 3 and so on; at most 15, the block of AES being the longest.
    packet.extend((1..).take(padding));
    packet.push(padding as u8);
    packet.push(next_header);
    transform.seal(packet, start);
}

/// The receiving end of one association.
#[derive(Clone, Debug)]
pub struct Inbound {
    transform: Arc<Transform>,
    window: ReplayWindow,
}

impl Inbound {
    /// The end of a new association.
    pub fn new(transform: Arc<Transform>) -> Inbound {
        Inbound { transform, window: ReplayWindow::default() }
    }

    /// Refuses everything up to a number, as after a restart.
    pub fn skip_to(&mut self, sequence: u32) {
        if sequence > self.window.highest() {
            self.window = ReplayWindow::after(sequence);
        }
    }

    /// The highest number that has come; 0 before the first packet.
    pub const fn sequence(&self) -> u32 {
        self.window.highest()
    }

    /// Opens a packet in place.
    ///
    /// The ICV is checked first of all. RFC 4303 §3.4.3 would have the sequence number looked at before, to save work; but
    /// then a forged packet with an old number would count as a replay, and what a counter says is what operators act on.
    pub fn open<'p>(&mut self, packet: &'p mut [u8]) -> Result<Opened<'p>, Refusal> {
        let head = HEADER + self.transform.iv_length();
        let text = packet.len().checked_sub(head + self.transform.icv_length());
        let text = text.ok_or(Refusal::Malformed)?;
        if text < TRAILER || !text.is_multiple_of(self.transform.block_length()) {
            return Err(Refusal::Malformed);
        }
        let sequence = sequence(packet).ok_or(Refusal::Malformed)?;
        let text = self.transform.open(packet).map_err(|_| Refusal::BadIcv)?;
        if !self.window.admits(sequence) {
            return Err(Refusal::Replay);
        }
        self.window.note(sequence);
        let [payload @ .., padding, next_header] = text else { return Err(Refusal::Malformed) };
        let length = payload.len().checked_sub(usize::from(*padding)).ok_or(Refusal::Malformed)?;
        Ok(Opened { next_header: *next_header, payload: &payload[..length], sequence })
    }
}

/// What was in an authentic packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'p> {
    /// The protocol of the payload.
    pub next_header: u8,
    /// The segment or datagram with its header.
    pub payload: &'p [u8],
    /// The number of the packet.
    pub sequence: u32,
}

/// Why an ESP packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It is too short, not whole blocks, or its padding does not fit.
    Malformed,
    /// No association has its SPI.
    UnknownSpi,
    /// The ICV is wrong: another key, or changed on its way.
    BadIcv,
    /// A packet of its number has come, or it is older than the window.
    Replay,
    /// It is from another address than its association, as behind a NAT.
    Source,
    /// What is inside is not from or to the ports of its association, or neither UDP nor TCP.
    Selector,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 6] = [
        Refusal::Malformed,
        Refusal::UnknownSpi,
        Refusal::BadIcv,
        Refusal::Replay,
        Refusal::Source,
        Refusal::Selector,
    ];

    /// The reason as a counter names it.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed",
            Refusal::UnknownSpi => "unknown SPI",
            Refusal::BadIcv => "bad ICV",
            Refusal::Replay => "replay",
            Refusal::Source => "other source",
            Refusal::Selector => "other ports inside",
        }
    }
}

/// The SPI of a packet, if it is long enough for one and it is not reserved.
pub fn spi(packet: &[u8]) -> Option<Spi> {
    Spi::new(u32::from_be_bytes(*packet.first_chunk()?))
}

/// The sequence number of a packet.
fn sequence(packet: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*packet.get(4..)?.first_chunk()?))
}

/// Pad length and next header.
const TRAILER: usize = 2;

#[cfg(test)]
mod tests;
