//! One subscription: its dialog, and what it has been told.

use super::due::Due;
use crate::registrar::registrations::RegistrationId;
use ambient::{Instant, TimerId};
use sip_core::dialog::Dialog;

/// Names one subscription; a random number, so that a token of an earlier life of this process names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

impl SubscriptionId {
    /// How many bits of it are used: what a token carries.
    pub const BITS: u32 = 60;
}

/// One subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Its dialog.
    pub dialog: Dialog,
    /// Our Contact in it.
    pub contact: Box<str>,
    /// What it watches.
    pub registration: RegistrationId,
    /// The `id` of its Event.
    pub event_id: Option<Box<[u8]>>,
    /// When it ends.
    pub expires_at: Instant,
    /// Fires then.
    pub timer: Option<TimerId>,
    /// What its subscriber is yet to be told.
    pub due: Due,
    /// Whether what is due waits for the store, and for the 200 to a REGISTER.
    pub is_held: bool,
    /// Whether a NOTIFY has no final response yet.
    pub is_notifying: bool,
    /// Why it ends with its next NOTIFY.
    pub ending: Option<Ending>,
    /// The version of the next document.
    version: u32,
}

/// The end of a subscription.
#[derive(Debug)]
pub enum Ending {
    /// Its time is over.
    Timeout,
    /// The registration is gone; the document is the last word about it.
    Gone(String),
}

impl Subscription {
    /// A subscription of which nothing has been told.
    pub fn new(
        dialog: Dialog,
        contact: String,
        registration: RegistrationId,
        event_id: Option<Box<[u8]>>,
    ) -> Subscription {
        Subscription {
            dialog,
            contact: contact.into_boxed_str(),
            registration,
            event_id,
            expires_at: Instant::START,
            timer: None,
            due: Due::default(),
            is_held: false,
            is_notifying: false,
            ending: None,
            version: 0,
        }
    }

    /// The version of the document that is about to be written (RFC 3680 §5.1: the first is 0, each one higher).
    pub fn next_version(&mut self) -> u32 {
        let version = self.version;
        self.version = version.wrapping_add(1);
        version
    }
}
