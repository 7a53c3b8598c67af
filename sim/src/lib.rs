//! The simulation driver: the same machines as in production, in virtual time, over a network with faults.
//!
//! [`world::World`] drives [`cscf::station::Machine`]s: it owns the event heap, the network, the stores and the clock,
//! and everything random comes from one seed, so that a run repeats to the byte. Between protected ports it carries ESP
//! ([`security`]). [`ims::Ims`] builds a whole core with
//! phones on it; [`checker`] watches what must hold in every run.

pub mod application_server;
pub mod checker;
pub mod errors;
pub mod evidence;
pub mod host;
pub mod ims;
pub mod ladder;
pub mod nat;
pub mod network;
pub mod security;
pub mod stranger;
pub mod world;

pub use application_server::{ApplicationServer, Behaviour, Order, Outcame};
pub use ims::{Ims, Phone, Plan};
pub use network::Link;
pub use stranger::{Heard, Say, Stranger};
pub use world::{Fate, Packet, World};
