//! A Cx HSS for labs: subscriptions with several identities, AKA and digest, profiles, and every refusal on demand.
//!
//! - [`hss`]: [`Hss`], the HSS as a value. It holds no socket, no clock and no database: a driver hands it requests and
//!   commands, and takes answers, requests and records to store.
//! - [`subscriber`], [`credentials`], [`identity`], [`directory`]: what it is provisioned with
//! - [`registration`], [`record`], [`subscriber_record`], [`sequence`]: what it remembers, and the durable form of it
//! - [`authorization`], [`authentication`], [`assignment`], [`location`], [`deregistration`], [`push`]: the six commands
//! - [`refusal`], [`personality`]: how it is made to misbehave
//! - [`command`], [`wording`]: what an operator asks of it, and in which words
//! - [`provisioning`], [`csv`]: where subscribers come from
//! - [`store`]: SQLite or PostgreSQL by sqlx; the only asynchronous part

pub mod assignment;
pub mod authentication;
pub mod authorization;
pub mod command;
pub mod credentials;
pub mod criteria;
pub mod csv;
pub mod deregistration;
pub mod directory;
pub mod hss;
pub mod identity;
pub mod location;
pub mod personality;
pub mod profile;
pub mod provisioning;
pub mod push;
pub mod record;
pub mod refusal;
pub mod registration;
pub mod sequence;
pub mod station;
pub mod store;
pub mod subscriber;
pub mod subscriber_record;
pub mod wording;

pub use command::{CommandError, CommandReport, HssCommand, Shown, ShownSet};
pub use credentials::Credentials;
pub use directory::{Conflict, Directory};
pub use hss::{Hss, HssConfig, HssInput, HssOutput, StoreFailure};
pub use personality::Personality;
pub use record::HssRecord;
pub use refusal::Refusal;
pub use registration::{Registration, State};
pub use station::{HssNotice, HssStation};
pub use subscriber::{ImplicitSet, Permission, PrivateIdentity, Roaming, Subscriber};
pub use wording::WORDING;
