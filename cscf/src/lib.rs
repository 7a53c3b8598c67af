//! What TS 24.229 asks of every CSCF, as a value without IO.
//!
//! [`node::Node`] drives one [`role::Role`]: hand it one [`input::Input`], it runs to completion and leaves
//! [`input::Output`]s in a queue. It holds no socket, no clock, no lock, no task. [`station::Station`] joins a node to
//! the SIP transport layer (RFC 3261 §18) and to its Diameter endpoint, so that a driver moves nothing but bytes.

pub mod assembly;
pub mod breakout;
pub mod bucket;
pub mod charging;
pub mod config;
pub mod context;
pub mod emergency;
pub mod flow;
pub mod gruu;
pub mod identity;
pub mod input;
pub mod ladder;
pub mod metrics;
pub mod node;
pub mod priority;
pub mod query;
pub mod reginfo;
pub mod reject;
pub mod resolve;
pub mod role;
pub mod station;
pub mod stun;
pub mod trace;
pub mod transport;
pub mod trust;
pub mod turn;
pub mod user_data;
pub mod wording;

pub use bucket::ShardId;
pub use flow::{Flow, Hop, Local, Side, Source, Transport, Trust};
pub use input::{Event, Input, Output};
pub use node::Node;
pub use query::{Answer, Query, QueryId};
pub use reject::Reject;
pub use role::{Branch, Failure, Incoming, Next, Role};
pub use turn::{LifeSign, Target, Turn};
