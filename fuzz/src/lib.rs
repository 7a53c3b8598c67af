//! Fuzz entry points as commands, and their corpus.
//!
//! A target is an ordinary function of bytes that panics when an invariant does not hold. `main.rs` feeds it mutations of
//! the corpus; `tests/replay.rs` feeds it the corpus itself.

pub mod mutation;
pub mod network;
pub mod seeds;
pub mod target;
