//! IETF SIP without IO or clock: messages, transactions, proxy core, dialogs.
//!
//! The message layer keeps a message in the buffer that it was received in: [`Message::parse`] lays an index over it,
//! typed views read a field when asked for, [`Edits`] say what changes, and [`Edits::render`] copies once.

pub mod build;
pub mod check;
pub mod dialog;
pub mod edit;
pub mod fields;
pub mod framing;
pub mod fuzz;
pub mod grammar;
pub mod message;
pub mod method;
pub mod name;
pub mod parse;
pub mod proxy;
mod render;
pub mod sdp;
pub mod status;
pub mod transaction;
pub mod uri;

pub use build::{RequestBuilder, ResponseBuilder};
pub use check::CheckError;
pub use dialog::{Dialog, DialogId};
pub use edit::{Edits, Value};
pub use fields::cseq::CSeq;
pub use fields::name_addr::NameAddr;
pub use fields::via::{Transport, Via};
pub use fields::{Fault, FieldError};
pub use framing::{Frame, Framer, FramingError, FramingReason};
pub use message::{Index, Message, SlotId};
pub use method::Method;
pub use name::Name;
pub use parse::{Limits, ParseError, ParseReason};
pub use sdp::Sdp;
pub use status::{Class, Status};
pub use uri::{Host, Uri};
