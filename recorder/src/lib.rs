//! The flight recorder: one stream of what happened, which feeds the ladder, the console, `ims explain`, captures, HEP and
//! traces.

mod entry;

pub use entry::{Entry, Fact, Function, Message, Node, Protocol, ReferencePoint, Security, Transport, What};
