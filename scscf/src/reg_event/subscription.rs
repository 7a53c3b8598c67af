//! One subscription: its dialog, and what it has been told.

use super::due::Due;
use crate::registrar::registrations::RegistrationId;
use crate::registrar::restoration_info::Watcher;
use ambient::entropy::KeyedState;
use ambient::{Instant, TimerId};
use cscf::identity::Impu;
use sip_core::dialog::{Dialog, DialogId};
use std::hash::BuildHasher;

/// Names one subscription, by its dialog: it has the same name in every life of this process, and at another S-CSCF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

impl SubscriptionId {
    /// How many bits of it are used: what a token carries.
    pub const BITS: u32 = 60;

    /// The name of the subscription in this dialog. Whoever asks compares the dialog.
    pub fn of(dialog: &DialogId) -> SubscriptionId {
        let hash = KeyedState::from_key((0x7375_6273_6372_6962, 0)).hash_one((
            &dialog.call_id[..],
            &dialog.local_tag[..],
            &dialog.remote_tag[..],
        ));
        SubscriptionId(hash >> (64 - SubscriptionId::BITS))
    }
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
    /// The identity by which it was asked for.
    pub impu: Impu,
    /// Who has it.
    pub watcher: Watcher,
    /// The `id` of its Event.
    pub event_id: Option<Box<[u8]>>,
    /// When it ends.
    pub expires_at: Instant,
    /// Fires then.
    pub timer: Option<TimerId>,
    /// What its subscriber is yet to be told.
    pub due: Due,
    /// Whether its subscriber has been told that it stands; before that nothing is told.
    pub is_granted: bool,
    /// Whether the store has it.
    pub is_stored: bool,
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
        (registration, impu): (RegistrationId, Impu),
        watcher: Watcher,
        event_id: Option<Box<[u8]>>,
    ) -> Subscription {
        Subscription {
            dialog,
            contact: contact.into_boxed_str(),
            registration,
            impu,
            watcher,
            event_id,
            expires_at: Instant::START,
            timer: None,
            due: Due::default(),
            is_granted: false,
            is_stored: false,
            is_held: false,
            is_notifying: false,
            ending: None,
            version: 0,
        }
    }

    /// The version of the next document.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Goes on with this version, after all that it may have used before.
    pub fn go_on_from(&mut self, version: u32) {
        self.version = version;
    }

    /// The version of the document that is about to be written (RFC 3680 §5.1: the first is 0, each one higher).
    pub fn next_version(&mut self) -> u32 {
        let version = self.version;
        self.version = version.wrapping_add(1);
        version
    }
}
