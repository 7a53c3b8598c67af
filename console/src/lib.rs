//! The web console: what a core does, live, in a browser.
//!
//! It reads a [`Recording`] and asks an [`Operator`], and knows no function of the core. [`Console::serve`] answers the
//! requests of [`api`], whose OpenAPI document the front end in `web/` takes its types from; what that was built into is
//! in `dist/` and in the program.

pub mod api;
mod assets;
pub mod decode;
mod difference;
pub mod io;
mod judgement;
mod meaning;
mod operator;
mod recording;
mod story;
mod traffic;

pub use io::{Access, Console, ServeError};
pub use operator::{Operator, PhoneCommand, Refusal};
pub use recording::{Known, Recording};
