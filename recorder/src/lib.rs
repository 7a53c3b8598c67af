//! The flight recorder: one stream of what happened, which feeds the ladder, the console, `ims explain`, captures, HEP and
//! traces.
//!
//! A [`Ring`] keeps the entries of one shard; [`join`] makes one view of those of many.

pub mod diameter;
mod entry;
pub mod file;
mod frame;
pub mod hep;
mod join;
pub mod ladder;
pub mod otlp;
pub mod pcapng;
mod redaction;
mod ring;
mod rule;
#[cfg(test)]
mod sample;
mod secrets;
pub mod sip;
mod story;
mod summary;

pub use entry::{Entry, Fact, Function, Message, Node, Protocol, ReferencePoint, Security, Transport, What};
pub use frame::{Chunk, FactRef, Malformed, MessageRef, read_chunk, write_chunk};
pub use join::{is_upkeep, join};
pub use ladder::Ladder;
pub use redaction::{redact, redact_text};
pub use ring::Ring;
pub use rule::{Mode, Rule};
pub use story::{Kind, Story, stories};
pub use summary::visible;
