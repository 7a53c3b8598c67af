//! Benchmarks that anyone can run: what one message costs a node, in time, instructions and allocations.
//!
//! A node is a value, so a case feeds it prepared messages and reads what leaves; no socket and no kernel is in the
//! figures. [`cases::ALL`] lists the cases; `main.rs` prints them as a table, and `tests/` holds what must stay true.

pub mod cases;
pub mod codec;
pub mod criteria;
pub mod cx;
pub mod esp;
pub mod icscf;
pub mod instructions;
pub mod pcscf;
pub mod rig;
pub mod samples;
pub mod scscf;
pub mod shards;
pub mod template;
pub mod within;
