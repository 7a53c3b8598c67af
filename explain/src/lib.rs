//! Why it failed: stories rebuilt from what was recorded, and the catalogue of causes that are looked for in them.
//!
//! [`Scene::of`] reads the entries of one node or of several, joins what belongs together into [`Story`]s (a
//! registration, a call, a text), and [`Scene::explain`] holds each [`Cause`] of the [`catalogue`] against a story. What
//! comes back names the root first, with the entries that show it.

pub mod capture;
pub mod catalogue;
mod cause;
mod diameter;
mod event;
mod explanation;
mod known;
mod scene;
mod sip;
mod story;
mod subject;

pub use cause::{Cause, Sign, Verdict};
pub use diameter::Diameter;
pub use event::{Event, Seen};
pub use explanation::{Explanation, Finding};
pub use known::{Known, KnownIdentity};
pub use scene::Scene;
pub use sip::Sip;
pub use story::{Kind, Outcome, Story};
pub use subject::{NoSuchSubject, Subject};
