//! The UE: the other end of TS 24.229 §5.1, a pure state machine.
//!
//! [`Ue`] is a [`cscf::Role`]: `Node<Ue>` and `Station<Ue>` drive it as they drive a CSCF. Its user speaks
//! [`command::Command`] and hears [`command::Notice`].

mod authentication;
mod binding;
mod call;
mod change;
pub mod command;
pub mod config;
pub mod handset;
mod incoming;
mod initial_request;
mod media;
mod outgoing;
mod page;
pub mod psap;
mod registration;
mod response;
mod restoration;
mod security;
mod session;
mod session_timer;
pub mod ue;
mod watch;

pub use command::{CallNumber, Command, Deregistration, Ending, Notice, RegistrationFailure, RequestFailure};
pub use config::{
    Answering, Credentials, Fault, Password, Persistence, Policy, RegistersFor, Reliable, SecurityConfig,
    Tunnel, UeConfig,
};
pub use handset::Handset;
pub use ue::Ue;
pub use watch::Watching;
