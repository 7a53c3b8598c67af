//! The Diameter header and AVPs on the wire (RFC 6733 §3, §4), as views over received bytes.
//!
//! Nothing here allocates: an [`Avp`] borrows its data, an [`Avps`] walks one level of AVPs and checks every length
//! against the bytes that are there.

mod error;
mod raw;
mod writer;

pub use error::{AvpHead, WireError};
pub use raw::RawAvp;
pub use writer::Writer;

use crate::dictionary::AvpDef;

/// Octets of a Diameter header.
pub const HEADER_LEN: usize = 20;

/// Levels of grouped AVPs that a reader follows: Cx nests three deep, a Failed-AVP may wrap those.
pub const DEPTH_MAX: u8 = 8;

/// Command flag: a request (RFC 6733 §3).
pub const FLAG_REQUEST: u8 = 0x80;
/// Command flag: may be proxied, relayed or redirected.
pub const FLAG_PROXIABLE: u8 = 0x40;
/// Command flag: the answer carries a protocol error.
pub const FLAG_ERROR: u8 = 0x20;
/// Command flag: sent again after a failover, may be a duplicate.
pub const FLAG_RETRANSMITTED: u8 = 0x10;

/// AVP flag: a Vendor-ID follows the length (RFC 6733 §4.1).
pub const AVP_VENDOR: u8 = 0x80;
/// AVP flag: the receiver must understand this AVP.
pub const AVP_MANDATORY: u8 = 0x40;

/// The header of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The R, P, E and T bits; reserved bits are ignored when read and clear when written.
    pub flags: u8,
    /// Command code, 24 bits.
    pub command: u32,
    /// Application identifier.
    pub application: u32,
    /// Matches an answer to its request on one connection.
    pub hop_by_hop: u32,
    /// Names a request end to end, so that a duplicate is known.
    pub end_to_end: u32,
}

impl Header {
    /// Whether the message is a request.
    pub fn is_request(&self) -> bool {
        self.flags & FLAG_REQUEST != 0
    }

    /// Whether the answer carries a protocol error.
    pub fn is_error(&self) -> bool {
        self.flags & FLAG_ERROR != 0
    }

    /// The header of the answer to this request: same command, application, identifiers and P bit.
    pub fn answer(&self) -> Header {
        Header { flags: self.flags & FLAG_PROXIABLE, ..*self }
    }
}

/// One message: its header and the octets of its AVPs.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The header.
    pub header: Header,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the header of a whole message and checks that its length is the length of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, WireError> {
        let header = read_header(bytes)?;
        match message_len(bytes, usize::MAX)? {
            Some(len) if len == bytes.len() => Ok(Message { header, body: &bytes[HEADER_LEN..] }),
            _ => Err(WireError::MessageLength(u32::try_from(bytes.len()).unwrap_or(u32::MAX))),
        }
    }

    /// The AVPs of the message, outermost level.
    pub fn avps(&self) -> Avps<'a> {
        Avps { rest: self.body, depth: 0 }
    }

    /// The first AVP with the code and vendor of `def`, skipping over what cannot be read.
    pub fn find(&self, def: &AvpDef) -> Option<Avp<'a>> {
        self.avps().map_while(Result::ok).find(|avp| avp.is(def))
    }
}

/// Reads the header without looking at version or length, so that even a bad message can be answered.
///
/// Fails only when fewer than [`HEADER_LEN`] octets are there.
pub fn read_header(bytes: &[u8]) -> Result<Header, WireError> {
    let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(WireError::MessageLength(u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
    };
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Ok(Header {
        flags: head[4] & 0xf0,
        command: word(4) & 0x00ff_ffff,
        application: word(8),
        hop_by_hop: word(12),
        end_to_end: word(16),
    })
}

/// The length of the message that starts at `bytes`, or `None` while its first four octets are not all there.
///
/// A length that is no multiple of four, shorter than a header or above `len_max` makes the stream unreadable: where
/// the next message begins is not known.
pub fn message_len(bytes: &[u8], len_max: usize) -> Result<Option<usize>, WireError> {
    let Some(&[version, a, b, c]) = bytes.first_chunk::<4>() else { return Ok(None) };
    if version != 1 {
        return Err(WireError::Version(version));
    }
    let len = u32::from_be_bytes([0, a, b, c]);
    if (len as usize) < HEADER_LEN || !len.is_multiple_of(4) || len as usize > len_max {
        return Err(WireError::MessageLength(len));
    }
    Ok(Some(len as usize))
}

/// One AVP, borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avp<'a> {
    /// AVP code.
    pub code: u32,
    /// Vendor-ID; 0 for the IETF's codes.
    pub vendor: u32,
    /// The V, M and P bits as received.
    pub flags: u8,
    /// The data without padding.
    pub data: &'a [u8],
    depth: u8,
}

impl<'a> Avp<'a> {
    /// Whether this is the AVP that `def` defines: code and vendor both.
    ///
    /// The flags take no part: TS 29.229 forbids a receiver to refuse an M bit that differs from the table.
    pub fn is(&self, def: &AvpDef) -> bool {
        self.code == def.code && self.vendor == def.vendor
    }

    /// Whether the M bit is set.
    pub fn is_mandatory(&self) -> bool {
        self.flags & AVP_MANDATORY != 0
    }

    /// The data as text; UTF8String, DiameterIdentity or DiameterURI.
    pub fn text(&self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.data).map_err(|_| self.invalid_value())
    }

    /// The data as Unsigned32, Enumerated or Time.
    pub fn unsigned32(&self) -> Result<u32, WireError> {
        match self.data.try_into() {
            Ok(word) => Ok(u32::from_be_bytes(word)),
            Err(_) => Err(WireError::AvpLength(self.head())),
        }
    }

    /// The AVPs inside this grouped AVP.
    pub fn group(&self) -> Result<Avps<'a>, WireError> {
        if self.depth >= DEPTH_MAX {
            return Err(WireError::Depth(self.head()));
        }
        Ok(Avps { rest: self.data, depth: self.depth + 1 })
    }

    /// The error that says this AVP's value is not one that its definition allows.
    pub fn invalid_value(&self) -> WireError {
        WireError::AvpValue(self.head())
    }

    fn head(&self) -> AvpHead {
        AvpHead { code: self.code, vendor: self.vendor, flags: self.flags }
    }
}

/// Walks the AVPs of one level; stops after the first error.
#[derive(Clone, Copy, Debug)]
pub struct Avps<'a> {
    rest: &'a [u8],
    depth: u8,
}

impl<'a> Avps<'a> {
    /// The AVPs in `bytes`, taken as the outermost level.
    pub fn new(bytes: &'a [u8]) -> Avps<'a> {
        Avps { rest: bytes, depth: 0 }
    }

    fn read(&mut self) -> Result<Avp<'a>, WireError> {
        let Some(&[c0, c1, c2, c3, flags, l0, l1, l2]) = self.rest.first_chunk::<8>() else {
            // Fewer octets than a header: the code, as far as it can be read, is unknown.
            return Err(WireError::AvpLength(AvpHead { code: 0, vendor: 0, flags: 0 }));
        };
        let code = u32::from_be_bytes([c0, c1, c2, c3]);
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let mut head = AvpHead { code, vendor: 0, flags };
        let mut data_at = 8;
        if flags & AVP_VENDOR != 0 {
            let vendor = self.rest[8..].first_chunk::<4>().ok_or(WireError::AvpLength(head))?;
            head.vendor = u32::from_be_bytes(*vendor);
            data_at = 12;
        }
        let data = self.rest.get(data_at..len).ok_or(WireError::AvpLength(head))?;
        // Some stacks leave the padding of the last AVP out of a group's length: what is missing at the end is taken
        // as there.
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Ok(Avp { code, vendor: head.vendor, flags, data, depth: self.depth })
    }
}

impl<'a> Iterator for Avps<'a> {
    type Item = Result<Avp<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::avp;

    fn one(bytes: &[u8]) -> Result<Avp<'_>, WireError> {
        Avps::new(bytes).next().expect("bytes are not empty")
    }

    #[test]
    fn a_written_message_reads_back() {
        let header =
            Header { flags: 0xc0, command: 300, application: 16_777_216, hop_by_hop: 7, end_to_end: 9 };
        let mut writer = Writer::new(header);
        writer.text(&avp::USER_NAME, "alice@ims.example");
        writer.group(&avp::SERVER_CAPABILITIES, |w| w.unsigned32(&avp::MANDATORY_CAPABILITY, 3));
        let bytes = writer.finish();
        assert_eq!(bytes.len() % 4, 0);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.header, header);
        let avps: Vec<_> = message.avps().collect::<Result<_, _>>().unwrap();
        assert_eq!(avps[0].text(), Ok("alice@ims.example"));
        let inner = avps[1].group().unwrap().next().unwrap().unwrap();
        assert!(inner.is(&avp::MANDATORY_CAPABILITY));
        assert_eq!(inner.unsigned32(), Ok(3));
        assert_eq!(avps.len(), 2);
    }

    /// The wrapping subtraction here has cost other stacks a 4 GiB allocation.
    #[test]
    fn an_avp_length_below_its_own_header_is_refused() {
        for len in 0..8 {
            let bytes = [0, 0, 0, 1, 0x40, 0, 0, len, b'a', b'b', b'c', b'd'];
            let head = AvpHead { code: 1, vendor: 0, flags: 0x40 };
            assert_eq!(one(&bytes), Err(WireError::AvpLength(head)), "length {len}");
        }
        for len in 8..12 {
            let bytes = [0, 0, 2, 0x58, 0xc0, 0, 0, len, 0, 0, 0x28, 0xaf, 1, 2, 3, 4];
            let head = AvpHead { code: 600, vendor: 10415, flags: 0xc0 };
            assert_eq!(one(&bytes), Err(WireError::AvpLength(head)), "length {len} with a vendor");
        }
    }

    #[test]
    fn an_avp_longer_than_the_message_is_refused_and_ends_the_walk() {
        let mut avps = Avps::new(&[0, 0, 0, 1, 0x40, 0, 0, 13, b'a', b'b', b'c', b'd']);
        assert!(matches!(avps.next(), Some(Err(WireError::AvpLength(_)))));
        assert!(avps.next().is_none());
    }

    #[test]
    fn missing_padding_at_the_end_is_forgiven() {
        let avp = one(&[0, 0, 0, 1, 0x40, 0, 0, 9, b'a']).unwrap();
        assert_eq!(avp.text(), Ok("a"));
    }

    #[test]
    fn message_lengths_that_cannot_be_are_refused() {
        for len in [0, 3, 16, 19, 21, 22] {
            assert_eq!(message_len(&[1, 0, 0, len], 4096), Err(WireError::MessageLength(len.into())));
        }
        assert_eq!(message_len(&[1, 0, 0x10, 4], 4096), Err(WireError::MessageLength(4100)));
        assert_eq!(message_len(&[2, 0, 0, 20], 4096), Err(WireError::Version(2)));
        assert_eq!(message_len(&[1, 0, 0], 4096), Ok(None));
        assert_eq!(message_len(&[1, 0, 0x10, 0], 4096), Ok(Some(4096)));
    }

    #[test]
    fn nesting_has_an_end() {
        // Every group's data is one whole group of the same kind, three hundred deep.
        let mut bytes = Vec::new();
        for _ in 0..300 {
            let len = u32::try_from(bytes.len() + 8).unwrap().to_be_bytes();
            let mut outer = vec![0, 0, 1, 0x29, 0x40, len[1], len[2], len[3]];
            outer.extend_from_slice(&bytes);
            bytes = outer;
        }
        let mut avp = one(&bytes).unwrap();
        for _ in 0..DEPTH_MAX {
            avp = avp.group().unwrap().next().unwrap().unwrap();
        }
        assert!(matches!(avp.group(), Err(WireError::Depth(_))));
    }

    #[test]
    fn raw_avps_print_no_data() {
        let raw = RawAvp { code: 625, vendor: 10415, flags: 0xc0, data: vec![0xab; 16] };
        assert_eq!(format!("{raw:?}"), "RawAvp(Confidentiality-Key (625), 16 octets)");
    }
}
