//! Diameter base protocol (RFC 6733) and the Cx application (TS 29.228, TS 29.229).
//!
//! Sans-IO: [`endpoint::Endpoint`] is this node's Diameter as a value. A driver gives it connections, bytes and the
//! time, and takes bytes, connections to open and Cx messages out of it.
//!
//! - [`wire`]: header and AVPs, borrowed from the received bytes, and the writer.
//! - [`dictionary`]: codes, types and flags of the AVPs in use; names of commands.
//! - [`cx`]: the six Cx commands, typed in both directions.
//! - [`peer`], [`watchdog`], [`capabilities`]: what two neighbours say to each other.
//! - [`endpoint`]: peers, routing, failover, pending requests.
//! - [`durations`]: how long things took, as a histogram of fixed size.
//! - [`fuzz`]: entry points for a fuzzer, as ordinary functions.

pub mod capabilities;
pub mod cx;
pub mod dictionary;
pub mod durations;
pub mod endpoint;
pub mod fuzz;
pub mod peer;
pub mod watchdog;
pub mod wire;

#[cfg(test)]
mod tests;
