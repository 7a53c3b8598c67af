//! Decisions of the proxy core (RFC 3261 §16) that need no state.

pub mod best;
pub mod loop_detection;
