//! What the world supplies to a pure crate, as values: the time, timers and randomness.
//!
//! Nothing here reads a clock or the operating system. A driver stamps [`now::Now`] on every input batch, and seeds
//! [`entropy::Entropy`] once.

pub mod entropy;
pub mod now;
pub mod timers;

pub use entropy::Entropy;
pub use now::{Instant, Now, Wall};
pub use timers::{TimerId, Timers};
