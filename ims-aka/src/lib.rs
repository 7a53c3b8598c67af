//! IMS-AKA, pure: authentication vectors, the USIM's side of them, sequence numbers and the digests built on them.
//!
//! - [`key`]: secrets that are wiped and never printed, and the operator's OP and OPc, which cannot be mixed up
//! - [`milenage`] and [`tuak`]: the two 3GPP algorithm sets (TS 35.206, TS 35.231)
//! - [`vector`]: [`Algorithm`] makes vectors and reads AUTS for the home network (TS 33.102 §6.3)
//! - [`usim`] and [`sqn`]: the USIM's answer and the sequence number schemes of TS 33.102 Annex C
//! - [`digest`]: HTTP digest with MD5 and SHA-256 (RFC 2617, RFC 7616, RFC 8760)
//! - [`aka_digest`]: digest AKA (RFC 3310 and RFC 4169)
//!
//! Nothing here reads a clock or draws a random number: RAND is an argument.

pub mod aka_digest;
pub mod digest;
pub mod key;
pub mod milenage;
pub mod sqn;
pub mod tuak;
pub mod usim;
pub mod vector;

pub use aka_digest::{AkaAlgorithm, AkaNonce};
pub use digest::{Ha1, Hash, HexDigest, Qop};
pub use key::{Key, KeyError, Op, Opc, Res, Top, Topc};
pub use milenage::Milenage;
pub use sqn::{Sqn, SqnArray};
pub use tuak::{Tuak, TuakKey, TuakLengths};
pub use usim::{Usim, UsimAnswer};
pub use vector::{Algorithm, AuthVector, AutsError};
