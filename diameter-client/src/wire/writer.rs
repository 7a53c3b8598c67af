//! Writes one message: header, AVPs, grouped AVPs with their length put in afterwards (RFC 6733 §3, §4).

use super::{AVP_VENDOR, HEADER_LEN, Header, RawAvp};
use crate::dictionary::AvpDef;

/// A message being written. Flags of each AVP come from its definition.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts a message with `header`; its length is put in by [`finish`](Writer::finish).
    pub fn new(header: Header) -> Writer {
        Writer::reusing(Vec::with_capacity(512), header)
    }

    /// Starts a message in a buffer that is used again; what it held is dropped.
    pub fn reusing(mut buffer: Vec<u8>, header: Header) -> Writer {
        buffer.clear();
        buffer.extend_from_slice(&[1, 0, 0, 0]);
        buffer.extend_from_slice(&header.command.to_be_bytes());
        buffer[4] = header.flags;
        buffer.extend_from_slice(&header.application.to_be_bytes());
        buffer.extend_from_slice(&header.hop_by_hop.to_be_bytes());
        buffer.extend_from_slice(&header.end_to_end.to_be_bytes());
        debug_assert_eq!(buffer.len(), HEADER_LEN);
        Writer { bytes: buffer }
    }

    /// AVPs without a message around them, for what another message carries inside.
    pub fn fragment() -> Writer {
        Writer { bytes: Vec::new() }
    }

    /// The AVPs of a [`fragment`](Writer::fragment).
    pub fn into_avps(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes an AVP of any type from its octets.
    pub fn octets(&mut self, def: &AvpDef, data: &[u8]) {
        let start = self.open(def.code, def.vendor, def.flags());
        self.bytes.extend_from_slice(data);
        self.close(start);
    }

    /// Writes a UTF8String, DiameterIdentity or DiameterURI.
    pub fn text(&mut self, def: &AvpDef, text: &str) {
        self.octets(def, text.as_bytes());
    }

    /// Writes an Unsigned32, Enumerated or Time.
    pub fn unsigned32(&mut self, def: &AvpDef, value: u32) {
        self.octets(def, &value.to_be_bytes());
    }

    /// Writes the octets if they are there.
    pub fn octets_if(&mut self, def: &AvpDef, data: Option<&[u8]>) {
        if let Some(data) = data {
            self.octets(def, data);
        }
    }

    /// Writes the text if it is there.
    pub fn text_if(&mut self, def: &AvpDef, text: Option<&str>) {
        if let Some(text) = text {
            self.text(def, text);
        }
    }

    /// Writes the number if it is there.
    pub fn unsigned32_if(&mut self, def: &AvpDef, value: Option<u32>) {
        if let Some(value) = value {
            self.unsigned32(def, value);
        }
    }

    /// Writes one AVP for each text.
    pub fn texts(&mut self, def: &AvpDef, texts: &[String]) {
        for text in texts {
            self.text(def, text);
        }
    }

    /// Writes a grouped AVP that holds what `inside` writes.
    pub fn group(&mut self, def: &AvpDef, inside: impl FnOnce(&mut Writer)) {
        let start = self.open(def.code, def.vendor, def.flags());
        inside(self);
        self.close(start);
    }

    /// Writes an AVP as it came: its own flags, and the V bit exactly when it has a vendor.
    pub fn raw(&mut self, avp: &RawAvp) {
        let start = self.open(avp.code, avp.vendor, avp.flags & !AVP_VENDOR);
        self.bytes.extend_from_slice(&avp.data);
        self.close(start);
    }

    /// Writes AVPs as they came.
    pub fn raws(&mut self, avps: &[RawAvp]) {
        for avp in avps {
            self.raw(avp);
        }
    }

    /// Puts in the message length and hands the bytes over.
    pub fn finish(mut self) -> Vec<u8> {
        self.put_len(1, self.bytes.len());
        self.bytes
    }

    fn open(&mut self, code: u32, vendor: u32, flags: u8) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&code.to_be_bytes());
        let vendor_bit = if vendor == 0 { 0 } else { AVP_VENDOR };
        self.bytes.extend_from_slice(&[flags | vendor_bit, 0, 0, 0]);
        if vendor != 0 {
            self.bytes.extend_from_slice(&vendor.to_be_bytes());
        }
        start
    }

    fn close(&mut self, start: usize) {
        let len = self.bytes.len() - start;
        self.put_len(start + 5, len);
        // The padding counts in the enclosing lengths and not in this one (RFC 6733 §4.1).
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn put_len(&mut self, at: usize, len: usize) {
        debug_assert!(len < 1 << 24, "a length has 24 bits: our own messages are bounded far below that");
        let len = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        self.bytes[at..at + 3].copy_from_slice(&len[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::avp;

    #[test]
    fn lengths_leave_padding_out_and_groups_take_it_in() {
        let header = Header { flags: 0, command: 1, application: 0, hop_by_hop: 0, end_to_end: 0 };
        let mut writer = Writer::new(header);
        writer.group(&avp::FAILED_AVP, |w| w.text(&avp::USER_NAME, "a"));
        let bytes = writer.finish();
        let expected = [0, 0, 1, 0x17, 0x40, 0, 0, 20, 0, 0, 0, 1, 0x40, 0, 0, 9, b'a', 0, 0, 0];
        assert_eq!(bytes[HEADER_LEN..], expected);
        assert_eq!(bytes[..4], [1, 0, 0, 40]);
    }

    #[test]
    fn a_raw_avp_keeps_its_flags_and_loses_a_vendor_bit_without_vendor() {
        let header = Header { flags: 0, command: 1, application: 0, hop_by_hop: 0, end_to_end: 0 };
        let mut writer = Writer::new(header);
        writer.raw(&RawAvp { code: 9, vendor: 0, flags: 0xe0, data: vec![1, 2, 3, 4] });
        let bytes = writer.finish();
        assert_eq!(bytes[HEADER_LEN..], [0, 0, 0, 9, 0x60, 0, 0, 12, 1, 2, 3, 4]);
    }
}
