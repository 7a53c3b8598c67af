//! IPsec between a UE and its P-CSCF (TS 33.203), pure.
//!
//! - [`algorithm`]: what RFC 3329 headers name, and which pairs make sense (TS 33.203 Annex H)
//! - [`keys`]: keys of the algorithms from CK and IK (TS 33.203 Annex I)
//! - [`association`]: the four security associations of one agreement, as one end sees them (TS 33.203 §7.1)
//!
//! Nothing here opens a socket, reads a clock or draws a random number.

pub mod algorithm;
pub mod association;
pub mod keys;

pub use algorithm::{Algorithms, Encryption, Integrity};
pub use association::{Association, Direction, Encapsulation, Protocol, SaSet, Selector, Spi};
pub use keys::Keys;
