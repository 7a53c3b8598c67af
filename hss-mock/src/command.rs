//! What an operator tells an HSS to do, and what came of it.

use crate::directory::Conflict;
use crate::refusal::Refusal;
use crate::registration::State;
use crate::subscriber::Subscriber;
use diameter_client::cx::{CxResult, ReasonCode};
use diameter_client::endpoint::CxFailure;
use ims_aka::Sqn;
use std::fmt;

/// A command. A `target` is the name of a subscription, a private identity or a public identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HssCommand {
    /// A new subscription.
    AddSubscriber(Box<Subscriber>),
    /// Another version of a subscription of the same name; its registrations stay. See [`HssCommand::PushProfile`].
    ReplaceSubscriber(Box<Subscriber>),
    /// The subscription as given: added, or in the place of another version of it. The same version changes nothing.
    PutSubscriber(Box<Subscriber>),
    /// A subscription ends; its S-CSCF is told with PERMANENT_TERMINATION.
    RemoveSubscriber {
        /// Whose.
        target: String,
    },
    /// The network ends registrations (RTR): of all of a subscription, of one private identity, or of one implicit set.
    Deregister {
        /// Whose.
        target: String,
        /// Why.
        reason: ReasonCode,
        /// For the user to read.
        info: Option<String>,
    },
    /// The S-CSCF gets the profile as it now is (PPR), of every set that is served.
    PushProfile {
        /// Whose.
        target: String,
    },
    /// Refuse requests.
    Refuse(Refusal),
    /// Refuse nothing any more.
    ClearRefusals,
    /// The next vector is made with the number after this one.
    SetSqn {
        /// Whose.
        impi: String,
        /// The last number used.
        sqn: Sqn,
    },
    /// Tell the state of a subscription.
    Show {
        /// Whose.
        target: String,
    },
    /// Tell the names of all subscriptions.
    ListSubscribers,
}

/// What came of a command that could be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandReport {
    /// It is done and durable.
    Done,
    /// It is done and durable; nobody had to be told.
    NotServed,
    /// It is done and durable, and the S-CSCF answered this.
    Answered(CxResult),
    /// It was so before.
    Unchanged,
    /// A subscription, as it was asked for.
    Shown(Box<Shown>),
    /// The names of all subscriptions, in order.
    Listed(Vec<String>),
}

/// What an operator is shown of a subscription: no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its IMSI.
    pub imsi: Option<String>,
    /// The S-CSCF on record.
    pub server_name: Option<String>,
    /// The private identities, and the last sequence number used with each.
    pub private_identities: Vec<(String, Sqn)>,
    /// The implicit sets, in order.
    pub sets: Vec<ShownSet>,
}

/// What an operator is shown of an implicit set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSet {
    /// Its state.
    pub state: State,
    /// The private identities that are registered with it.
    pub registered: Vec<String>,
    /// The public identities, in order, each with whether it is barred.
    pub identities: Vec<(String, bool)>,
}

/// Why a command was not carried out, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No subscription has this name or identity.
    Unknown,
    /// The subscription cannot be added.
    Conflict(Conflict),
    /// The change could not be stored, and is taken back.
    NotStored,
    /// The change is made, but the S-CSCF could not be told.
    NotTold(CxFailure),
    /// Too much waits for this subscription, or too many refusals are in force.
    TooBusy,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Unknown => f.write_str("no subscription has this name or identity"),
            CommandError::Conflict(conflict) => conflict.fmt(f),
            CommandError::NotStored => f.write_str("the change could not be stored and is taken back"),
            CommandError::NotTold(failure) => write!(f, "done, but the S-CSCF could not be told: {failure}"),
            CommandError::TooBusy => f.write_str("too much is waiting; try again"),
        }
    }
}

impl std::error::Error for CommandError {}
