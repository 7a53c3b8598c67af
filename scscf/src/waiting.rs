//! What this role waits for, and what it tells and is told.

use crate::reg_event::SubscriptionId;
use crate::registrar::binding::Binding;
use crate::registrar::register::Register;
use crate::registrar::registrations::RegistrationId;
use crate::registrar::third_party::{Asked, Heard};
use crate::sessions::Served;
use crate::sessions::chain::ChainId;
use crate::sessions::dialog::SessionId;
use cscf::identity::{Impi, Impu};
use cscf::query::Record;
use diameter_client::cx::{AuthScheme, CxAnswer, ServerAssignmentType};
use diameter_client::endpoint::RequestId;
use smallvec::SmallVec;
use std::time::Duration;

/// The named waits.
#[derive(Debug)]
pub enum Waiting {
    /// A vector for a REGISTER.
    Maa {
        /// The REGISTER.
        register: Box<Register>,
        /// The scheme that was asked for.
        scheme: AuthScheme,
    },
    /// The assignment that a REGISTER needs.
    Saa {
        /// The REGISTER.
        register: Box<Register>,
        /// The type that was asked for.
        asked: ServerAssignmentType,
        /// For the 200.
        authentication_info: Option<String>,
    },
    /// The end of an assignment, which a REGISTER asked for.
    Released {
        /// The REGISTER.
        register: Box<Register>,
        /// For the 200.
        authentication_info: Option<String>,
    },
    /// The store, before the 200 to a REGISTER.
    Stored {
        /// The REGISTER.
        register: Box<Register>,
        /// The registration that it changed.
        id: RegistrationId,
        /// The contacts that were new.
        created: SmallVec<[Binding; 1]>,
        /// Of whom application servers are to hear.
        heard: Option<Box<Heard>>,
        /// For the 200.
        authentication_info: Option<String>,
    },
    /// The store, before the answer to the HSS.
    StoredForPeer {
        /// The request of the HSS.
        id: RequestId,
        /// The answer to give.
        answer: Box<CxAnswer>,
        /// What a failing store gets it instead.
        refusal: Box<CxAnswer>,
    },
    /// The store, after a change that nobody waits for.
    StoredAlone {
        /// The records, to try again with.
        records: Vec<Record>,
    },
    /// A SAR that only tells: its answer changes nothing here.
    Told {
        /// The type.
        asked: ServerAssignmentType,
    },
    /// The profile of a user who is not registered.
    Profile {
        /// Who is served, and how.
        served: Served,
        /// The type that was asked for.
        asked: ServerAssignmentType,
    },
    /// The DNS, which may know a number that our user calls.
    Number {
        /// Who is served, and how.
        served: Served,
    },
    /// The store, before the answer to a SUBSCRIBE.
    Subscribed {
        /// The subscription.
        id: SubscriptionId,
        /// For how long it is granted; zero ends it.
        expires_s: u32,
    },
    /// The HSS, which was told that the P-CSCF of a private identity is gone.
    PcscfGone {
        /// The registration.
        id: RegistrationId,
        /// The private identity.
        impi: Impi,
    },
    /// A BYE of ours.
    Bye,
    /// A REGISTER of ours to an application server.
    ThirdParty(Asked),
    /// A NOTIFY of ours.
    Notify(SubscriptionId),
    /// An OPTIONS of ours to an application server that is left out, by its URI.
    LeftOut(Box<str>),
}

/// The timers of the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    /// reg-await-auth: nobody answered the challenge (TS 24.229 table 7.8.1).
    RegAwaitAuth(Impi),
    /// The next binding of the registration runs out.
    Expiry(RegistrationId),
    /// The session was not refreshed in time (RFC 4028 §10).
    Session(SessionId),
    /// The subscription was not refreshed in time (RFC 6665 §4.2.2).
    Subscription(SubscriptionId),
    /// Whoever has a subscription is told how things stand after a restart.
    Resume(SubscriptionId),
    /// A visit to an application server is over, whatever comes of it.
    Chain(ChainId),
    /// An application server that is left out is asked whether it lives, by its URI.
    LeftOut(Box<str>),
    /// Records whose writing failed are written again.
    StoreAgain(Vec<Record>),
}

/// What an operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// End the registration that the identity belongs to, and its sessions (TS 24.229 §5.4.1.5).
    Deregister {
        /// Any identity of the set.
        impu: Impu,
    },
    /// Let the registration that the identity belongs to run out within this time, unless the user proves anew who it is
    /// (TS 24.229 §5.4.1.6).
    Reauthenticate {
        /// Any identity of the set.
        impu: Impu,
        /// What is left of its contacts at most.
        within: Duration,
    },
    /// Tell who is registered.
    List,
}

/// Why a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The UE asked for it.
    User,
    /// The last binding ran out.
    Expiry,
    /// The HSS asked for it.
    Hss,
    /// The HSS gave the user to another S-CSCF, or is about to.
    Moved,
    /// An operator asked for it.
    Operator,
    /// The P-CSCF is gone, and the UE is to register at another one.
    Pcscf,
    /// An application server that must hear of it did not answer.
    ApplicationServer,
    /// It could not be stored.
    Store,
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A user is registered, or registered again; the 200 is on its way.
    Registered {
        /// The identity that the REGISTER named.
        impu: Impu,
        /// How many contacts the set has.
        contacts: usize,
    },
    /// The set has no contact left.
    Deregistered {
        /// The first identity of the set.
        impu: Impu,
        /// Why.
        cause: Cause,
    },
    /// The contacts of the set run out sooner, unless the user proves anew who it is.
    Shortened {
        /// The identity that the command named.
        impu: Impu,
    },
    /// Nothing was there to end.
    NotRegistered {
        /// The identity that the command named.
        impu: Impu,
    },
    /// Who is registered, a line for each contact: identity, private identity, contact, seconds left, Path.
    Listed {
        /// The lines.
        lines: Vec<String>,
    },
}
