//! An open-loop load generator with UEs of its own, for any P-CSCF.
//!
//! An arrival is scheduled at its time, whether or not earlier ones have ended, and its latency counts from that time:
//! a slow server makes the waits longer, and never the load smaller.
//!
//! - pure: [`scenario`], [`arrivals`] (when what begins), [`population`] (the UEs), [`generator`] (all that is under
//!   way: requests, answers, timers), [`run`] (preparing, warming up, measuring, draining), [`measure`], [`report`],
//!   [`search`] (the highest rate held)
//! - pure as well: [`security`], the associations of UEs that use IPsec
//! - the world: [`sockets`], [`protected`], [`driver`]

pub mod arrivals;
mod call;
mod challenge;
pub mod driver;
pub mod generator;
pub mod measure;
mod message;
mod operation;
pub mod outbox;
pub mod population;
pub mod protected;
mod received;
mod registration;
pub mod report;
mod request;
mod response;
pub mod run;
pub mod scenario;
pub mod search;
pub mod security;
pub mod sockets;
pub mod sources;
mod token;
pub mod transport;
