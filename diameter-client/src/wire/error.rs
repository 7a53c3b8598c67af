//! What is wrong with received octets, and which AVP it is about.

use super::DEPTH_MAX;
use std::fmt;

/// Names an AVP in an error: what a Failed-AVP is built from when the data cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvpHead {
    /// AVP code; 0 when not even that could be read.
    pub code: u32,
    /// Vendor-ID; 0 for the IETF's codes.
    pub vendor: u32,
    /// The flags as received.
    pub flags: u8,
}

/// What is wrong with received octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The version is not 1.
    Version(u8),
    /// The message length is impossible, or larger than we accept.
    MessageLength(u32),
    /// An AVP's length does not fit its type or the octets that are there.
    AvpLength(AvpHead),
    /// An AVP's value is not one that its definition allows.
    AvpValue(AvpHead),
    /// Grouped AVPs are nested deeper than [`DEPTH_MAX`].
    Depth(AvpHead),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Version(version) => write!(f, "Diameter version {version} is not 1"),
            WireError::MessageLength(len) => {
                write!(f, "message length {len} is impossible or above the limit")
            }
            WireError::AvpLength(head) => write!(f, "AVP {head} has a length that does not fit"),
            WireError::AvpValue(head) => {
                write!(f, "AVP {head} has a value that its definition does not allow")
            }
            WireError::Depth(head) => write!(f, "AVP {head} is nested deeper than {DEPTH_MAX} levels"),
        }
    }
}

impl std::error::Error for WireError {}

impl fmt::Display for AvpHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match crate::dictionary::lookup(self.code, self.vendor) {
            Some(def) => write!(f, "{} ({})", def.name, self.code),
            None if self.vendor == 0 => write!(f, "{}", self.code),
            None => write!(f, "{} of vendor {}", self.code, self.vendor),
        }
    }
}
