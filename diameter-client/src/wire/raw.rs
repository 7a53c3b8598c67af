//! AVPs that are kept and not understood.

use super::{Avp, AvpHead};
use std::fmt;

/// An AVP kept as it came: code, vendor, flags and data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawAvp {
    /// AVP code.
    pub code: u32,
    /// Vendor-ID; 0 for the IETF's codes.
    pub vendor: u32,
    /// The flags as received; the V bit is written when `vendor` is not 0.
    pub flags: u8,
    /// The data without padding.
    pub data: Vec<u8>,
}

impl fmt::Debug for RawAvp {
    /// Prints the length and not the data, which may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = AvpHead { code: self.code, vendor: self.vendor, flags: self.flags };
        write!(f, "RawAvp({head}, {} octets)", self.data.len())
    }
}

impl From<&Avp<'_>> for RawAvp {
    fn from(avp: &Avp<'_>) -> RawAvp {
        RawAvp { code: avp.code, vendor: avp.vendor, flags: avp.flags, data: avp.data.to_vec() }
    }
}
