//! What the console asks of the core that it shows, and what it can tell it to do.

use crate::api::{
    CriteriaOutcome, CriteriaTry, Explanation, Function, Phone, Registrations, Setting, Subscriber,
};
use recorder::Entry;

/// The core behind a console.
///
/// Every call returns within seconds. No answer has K, OPc, CK, IK, RES or a password in it.
pub trait Operator: Send + Sync + 'static {
    /// The home domain and the PLMN.
    fn network(&self) -> (String, String);
    /// The functions that run, with their addresses.
    fn functions(&self) -> Vec<Function>;
    /// Who may register.
    fn subscribers(&self) -> Vec<Subscriber>;
    /// Who has, through which security associations.
    fn registrations(&self) -> Result<Registrations, Refusal>;
    /// The phones that can be switched on, and what those that are say.
    fn phones(&self) -> Vec<Phone>;
    /// Has a phone begin something; what comes of it is seen in [`Operator::phones`].
    fn command(&self, phone: &str, command: PhoneCommand) -> Result<(), Refusal>;
    /// What filter criteria do with a request.
    fn criteria(&self, wanted: &CriteriaTry) -> Result<CriteriaOutcome, Refusal>;
    /// The effective configuration.
    fn configuration(&self) -> Vec<Setting>;
    /// The cause of what happened in these entries, where one is known.
    fn explain(&self, entries: &[Entry]) -> Option<Explanation>;
}

/// What a phone can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneCommand {
    /// Register, after switching on where that is needed.
    Register,
    /// De-register.
    Deregister,
    /// Call somebody: a name, a number or a URI.
    Call {
        /// Whom.
        to: String,
    },
    /// End the call.
    Hangup,
    /// Send a text.
    Text {
        /// To whom.
        to: String,
        /// What.
        text: String,
    },
}

/// Why something was not done, for the person who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such thing.
    Unknown(String),
    /// It cannot be done like that.
    Wrong(String),
    /// The core did not do it.
    Failed(String),
}
