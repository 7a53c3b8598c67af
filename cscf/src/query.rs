//! What a node asks the world, and what comes back: Cx, DNS, the store and IPsec are one mechanism.

use crate::flow::Hop;
use diameter_client::cx::{CxAnswer, CxRequest};
use diameter_client::endpoint::{CxFailure, Destination};
use ipsec::SaSet;
use std::fmt;

/// Names one open query. Unique within a node for as long as the query is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// A question to the world outside the node.
#[derive(Debug)]
pub enum Query {
    /// A Cx request to the HSS (TS 29.228). `trace` becomes the optional part of the Session-Id (RFC 6733 §8.8).
    Cx {
        /// The command.
        request: Box<CxRequest>,
        /// The realm, and the host once it is known.
        destination: Destination,
        /// Correlates the Diameter session with the SIP dialog: the icid's trace id.
        trace: Option<String>,
    },
    /// The hops of a SIP URI (RFC 3263 §4).
    Resolve(crate::resolve::Lookup),
    /// The NAPTR records of a name, which are kept for as long as they say.
    Naptr(String),
    /// Records to make durable, all or none.
    Store(Vec<Record>),
    /// A set of security associations to install or to remove.
    Secure(Secure),
}

/// What is to become of a set of security associations (TS 33.203 §7.1).
#[derive(Debug)]
pub enum Secure {
    /// Messages go through it from here on.
    Install(Box<SaSet>),
    /// As [`Secure::Install`], of a set that an earlier life of this process used: where it is still in place it stays.
    Adopt(Box<SaSet>),
    /// It ends. No error if it has ended already.
    Remove(Box<SaSet>),
    /// The newest packet that left through it leaves once more: what a UE does that is told to do wrong.
    Repeat(Box<SaSet>),
}

/// What a query came to.
#[derive(Debug)]
pub enum Answer {
    /// The HSS answered, or why it could not be asked.
    Cx(Result<Box<CxAnswer>, CxFailure>),
    /// The hops in the order in which to try them; never empty when `Ok`.
    Resolved(Result<Vec<Hop>, Unresolved>),
    /// The NAPTR records; none where the name has none.
    Naptr(Result<Vec<crate::resolve::Naptr>, Unresolved>),
    /// The records are durable.
    Stored(Result<(), StoreFailure>),
    /// The associations are as asked.
    Secured(Result<(), SecureFailure>),
}

/// Why security associations could not be installed or removed; the text is for an operator and has no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureFailure(pub String);

impl fmt::Display for SecureFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name has no hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The name does not exist or has no usable record.
    NoRecord(String),
    /// The name server did not answer.
    Unreachable(String),
    /// The URI asks for a transport that this node does not have.
    NoTransport(String),
}

impl Unresolved {
    /// The reason as a counter names it.
    pub const fn name(&self) -> &'static str {
        match self {
            Unresolved::NoRecord(_) => "no record",
            Unresolved::Unreachable(_) => "no answer",
            Unresolved::NoTransport(_) => "no common transport",
        }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::NoRecord(name) => write!(f, "no usable DNS record for {name}"),
            Unresolved::Unreachable(name) => write!(f, "no DNS answer for {name}"),
            Unresolved::NoTransport(uri) => write!(f, "no common transport for {uri}"),
        }
    }
}

/// Why records did not become durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// The back end refused or failed; the text is for an operator.
    Failed(String),
    /// No acknowledgement within the bound.
    Late,
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreFailure::Failed(why) => write!(f, "store failed: {why}"),
            StoreFailure::Late => f.write_str("store did not acknowledge in time"),
        }
    }
}

/// One durable record of a node. The last record of a key wins; `None` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the record is of, and whose: the role's own, versioned by its first byte.
    pub key: Vec<u8>,
    /// The role's own encoding; expiries in wall time.
    pub value: Option<Vec<u8>>,
}
