//! The S-CSCF (TS 24.229 §5.4): registrar of the home network, and the proxy that serves its users.
//!
//! [`registrar`] authenticates, keeps bindings and speaks with the HSS about both; [`sessions`] routes the requests of
//! and to the users that it keeps. Both are hooks of one [`Scscf`], a role of [`cscf::Node`].

pub mod criteria;
pub mod reg_event;
pub mod registrar;
mod role;
pub mod sessions;
mod stored;
mod waiting;
mod wording;

pub use role::Scscf;
pub use waiting::{Cause, Command, Notice, Timer, Waiting};
pub use wording::WORDING;
