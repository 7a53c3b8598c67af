//! IPsec between a UE and its P-CSCF (TS 33.203), pure.
//!
//! - [`algorithm`]: what RFC 3329 headers name, and which pairs make sense (TS 33.203 Annex H)
//! - [`agreement`]: the lists of RFC 3329 and the choice from them (TS 33.203 §7.2)
//! - [`keys`]: keys of the algorithms from CK and IK (TS 33.203 Annex I)
//! - [`association`]: the four security associations of one agreement, as one end sees them (TS 33.203 §7.1)
//! - [`esp`]: packets (RFC 4303), by a [`transform`] and behind a [`window`] against replays
//! - [`sad`]: the associations of a node with their counters, which protects and accepts; [`udp`] is what it carries
//! - [`wireshark`]: rows of Wireshark's table of associations
//!
//! Nothing here opens a socket or reads a clock; random numbers come from an [`ambient::Entropy`].

pub mod agreement;
pub mod algorithm;
pub mod association;
pub mod esp;
mod inner;
pub mod keys;
pub mod sad;
pub mod transform;
pub mod udp;
pub mod window;
pub mod wireshark;

pub use agreement::{Ends, Fingerprint, Mode, Offer, Profile, Unusable};
pub use algorithm::{Algorithms, Encryption, Integrity};
pub use association::{Association, Direction, Encapsulation, Protocol, SaSet, Selector, Spi};
pub use esp::{Inbound, Opened, Outbound, Refusal, SequenceExhausted};
pub use keys::Keys;
pub use sad::{Accepted, NotInstalled, NotSent, Sad, Usage};
pub use transform::Transform;
pub use window::ReplayWindow;
