//! What the console answers: the shapes of its JSON, from which the OpenAPI document and the types of the front end are made.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the first screen shows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Overview {
    /// The version of the program.
    pub version: String,
    /// The home domain.
    pub domain: String,
    /// MCC and MNC.
    pub plmn: String,
    /// The wall clock of the program, in ms since 1970.
    pub now_ms: u64,
    /// The functions that run and those that were seen.
    pub functions: Vec<FunctionLoad>,
    /// Who talks to whom.
    pub links: Vec<Link>,
    /// Diameter connections.
    pub peers: Vec<Peer>,
    /// The recording.
    pub recorded: Recorded,
    /// The newest calls, registrations and texts.
    pub latest: Vec<StorySummary>,
}

/// A function and its listening points.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Function {
    /// Names its column: `pcscf`.
    pub id: String,
    /// For people: `P-CSCF`.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// Whether it runs.
    pub is_running: bool,
}

/// A function and how much it has to do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FunctionLoad {
    /// The function.
    #[serde(flatten)]
    pub function: Function,
    /// Messages that it sent and received.
    pub messages: u64,
    /// The same by the second, over the last ten.
    pub per_second: f64,
    /// Refusals that it sent.
    pub refusals: u64,
}

/// Messages between two functions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Link {
    /// The one whose id comes first.
    pub a: String,
    /// The other one.
    pub b: String,
    /// The reference point.
    pub interface: String,
    /// How many.
    pub messages: u64,
    /// How many of them refuse.
    pub refusals: u64,
    /// When the last one was, in ms since 1970.
    pub last_ms: u64,
}

/// A Diameter connection, as its messages show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Peer {
    /// Who saw it.
    pub node: String,
    /// The Origin-Host of the other end.
    pub host: String,
    /// Its address.
    pub address: String,
    /// `open`, `closing`, `silent` (nothing for more than two watchdog intervals) or `refused`.
    pub state: String,
    /// When capabilities were exchanged, in ms since 1970.
    pub since_ms: Option<u64>,
    /// When the last message came, in ms since 1970.
    pub last_ms: u64,
    /// Requests in both directions, without watchdogs.
    pub requests: u64,
    /// Answers that say that something failed.
    pub errors: u64,
    /// Watchdog requests.
    pub watchdogs: u64,
}

/// How much is recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recorded {
    /// The oldest entry that is kept.
    pub first: u64,
    /// The newest one; 0 before the first.
    pub last: u64,
    /// Entries that made room for newer ones.
    pub dropped: u64,
    /// Octets of the messages that are kept.
    pub bytes: u64,
}

/// Who may register. Never a key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Subscriber {
    /// The name of the subscription.
    pub name: String,
    /// The IMSI.
    pub imsi: Option<String>,
    /// Private identities.
    pub private_identities: Vec<String>,
    /// Public identities.
    pub identities: Vec<PublicIdentity>,
    /// Whether it is registered, and where, as the HSS has it.
    pub state: String,
}

/// A public identity.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PublicIdentity {
    /// The URI.
    pub uri: String,
    /// Whether nobody may use it.
    pub is_barred: bool,
    /// The number of its implicit set, from 0.
    pub set: u32,
    /// How many filter criteria its profile has.
    pub criteria: u32,
}

/// Who is registered, and through which security associations.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Registrations {
    /// Contacts at the S-CSCF.
    pub contacts: Vec<Contact>,
    /// Sets of security associations at the P-CSCF.
    pub associations: Vec<Association>,
}

/// One contact of a registered user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Contact {
    /// The default identity of the set.
    pub identity: String,
    /// Who registered it.
    pub private_identity: String,
    /// The contact.
    pub uri: String,
    /// What is left of it, in seconds.
    pub expires_s: u64,
    /// The Path, top first.
    pub path: Vec<String>,
}

/// One set of security associations (TS 33.203 §7). Never a key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Association {
    /// The address of the UE.
    pub ue: String,
    /// Ports, SPIs, algorithms.
    pub detail: String,
    /// How far it has come.
    pub state: String,
    /// How long it is there, in seconds.
    pub age_s: u64,
}

/// A call, a registration, a text or a subscription: all that has one Call-ID, and the Diameter that belongs to it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StorySummary {
    /// Counts stories from 1.
    pub id: u64,
    /// `call`, `registration`, `text`, `subscription`, `other`.
    pub kind: String,
    /// The Call-ID.
    pub call_id: String,
    /// Who began it.
    pub from: String,
    /// Whom it is for.
    pub to: String,
    /// `trying`, `ringing`, `talking`, `ended`, `registered`, `done`, `cancelled`, `failed` ...
    pub state: String,
    /// The first refusal in it, where it failed.
    pub cause: Option<String>,
    /// Its first message, in ms since 1970.
    pub started_ms: u64,
    /// From the first to the last message, in µs.
    pub lasted_us: u64,
    /// Recorded messages: one that was sent and received between two functions that record counts twice.
    pub messages: u32,
}

/// Some stories, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stories {
    /// Those of this page.
    pub stories: Vec<StorySummary>,
    /// How many there are.
    pub count: u64,
}

/// A story as a ladder.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Story {
    /// What it is.
    pub summary: StorySummary,
    /// The parties, from left to right.
    pub columns: Vec<Column>,
    /// Each message once, in the order of time.
    pub arrows: Vec<Arrow>,
    /// Why it ended as it did, where that is known.
    pub explanation: Option<Explanation>,
}

/// A party of a ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Column {
    /// Names it.
    pub id: String,
    /// For people.
    pub name: String,
}

/// A message between two parties.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Arrow {
    /// Its entry.
    pub sequence: u64,
    /// When, in µs of the program's monotonic clock.
    pub at_us: u64,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// The column that it leaves.
    pub from: String,
    /// The column that it goes to.
    pub to: String,
    /// `sip` or `diameter`.
    pub protocol: String,
    /// The reference point.
    pub interface: String,
    /// `INVITE`, `200 OK (INVITE)`, `UAA 2001`.
    pub summary: String,
    /// What it means, in one line.
    pub meaning: String,
    /// Why it refuses, where it does.
    pub cause: Option<String>,
    /// Whether a security association protected it.
    pub is_secured: bool,
    /// Whether it is an ACK, a response or an answer.
    pub is_answer: bool,
}

/// The cause of what happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// In one sentence.
    pub sentence: String,
    /// What shows it.
    pub evidence: Vec<String>,
    /// What to do.
    pub remedy: String,
}

/// One recorded message, as a row of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageRow {
    /// Its entry.
    pub sequence: u64,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// Who recorded it.
    pub node: String,
    /// Whether that node sent it.
    pub sent: bool,
    /// The other end.
    pub peer: String,
    /// `sip` or `diameter`.
    pub protocol: String,
    /// The reference point.
    pub interface: String,
    /// What it is.
    pub summary: String,
    /// Why it refuses, where it does.
    pub cause: Option<String>,
    /// The story that it belongs to; 0 for none.
    pub story: u64,
    /// How many octets.
    pub size: u32,
}

/// A page of messages.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Messages {
    /// In the order of their sequence.
    pub rows: Vec<MessageRow>,
    /// How many there are in all that fit.
    pub count: u64,
    /// The place of the first row among them, from 0.
    pub offset: u64,
}

/// A message, decoded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Message {
    /// What the list has of it.
    pub row: MessageRow,
    /// What it means.
    pub meaning: String,
    /// Our end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// `udp`, `tcp`, `tls`, `sctp`, `memory`.
    pub transport: String,
    /// The SPI of the association that protected it.
    pub spi: Option<String>,
    /// The message as a tree.
    #[schema(no_recursion)]
    pub tree: Vec<Field>,
    /// The text of a SIP message.
    pub text: Option<String>,
    /// The same message one hop before, where there is one.
    pub previous: Option<u64>,
    /// Lines that changed since then.
    pub difference: Vec<ChangedLine>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Field {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub value: String,
    /// What that means, where a name says more than a number.
    pub note: Option<String>,
    /// What is in it.
    #[schema(no_recursion)]
    pub parts: Vec<Field>,
}

/// A line of a message against the hop before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangedLine {
    /// `same`, `added`, `removed`.
    pub change: String,
    /// The line.
    pub text: String,
}

/// What failed how often.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Failures {
    /// By cause, the commonest first.
    pub causes: Vec<FailureCause>,
    /// Stories of each kind, and how many of them failed.
    pub outcomes: Vec<Outcome>,
}

/// A cause and what it ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FailureCause {
    /// The first refusal.
    pub cause: String,
    /// The sentence of the catalogue of causes for the newest of them, where there is one.
    pub explanation: Option<Explanation>,
    /// How many stories.
    pub count: u64,
    /// When the newest began, in ms since 1970.
    pub last_ms: u64,
    /// The newest ones.
    pub stories: Vec<StorySummary>,
}

/// How stories of a kind ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outcome {
    /// The kind.
    pub kind: String,
    /// All of them.
    pub count: u64,
    /// Those that failed.
    pub failed: u64,
}

/// A phone of the console.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Phone {
    /// The name of its subscriber.
    pub name: String,
    /// Its number, or the identity that others call.
    pub number: String,
    /// `off`, `registering`, `registered`, `calling`, `ringing`, `talking`, `failed`.
    pub state: String,
    /// What it said last.
    pub said: Vec<String>,
}

/// Whom to call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CallWanted {
    /// A name, a number or a URI.
    pub to: String,
}

/// What to send.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct TextWanted {
    /// A name, a number or a URI.
    pub to: String,
    /// The text.
    pub text: String,
}

/// Nothing more to say: `{}`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Nothing {}

/// A request to try on the criteria of a subscriber.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CriteriaTry {
    /// A name, number or identity.
    pub subscriber: String,
    /// `orig`, `term`, `term-unreg`, `orig-unreg`, `orig-cdiv`.
    pub case: String,
    /// The method.
    pub method: String,
    /// The Request-URI; a user of the home network where it is empty.
    #[serde(default)]
    pub to: String,
    /// Header fields, `Name: value`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// A whole request, instead of the method, the Request-URI and the header fields.
    #[serde(default)]
    pub request: String,
}

/// What criteria do with a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CriteriaOutcome {
    /// For people, as `ims ifc test` prints it.
    pub text: String,
    /// The application servers that it visits, in order.
    pub visits: Vec<String>,
    /// Each criterion.
    pub criteria: Vec<CriterionOutcome>,
}

/// What came of a criterion.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CriterionOutcome {
    /// The application server.
    pub server: String,
    /// The priority.
    pub priority: u32,
    /// Whether it matches.
    pub matches: bool,
    /// What it asks, and whether that holds.
    pub asked: Vec<Asked>,
}

/// A trigger point.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Asked {
    /// What is asked.
    pub text: String,
    /// Whether it holds.
    pub holds: bool,
    /// The group that it belongs to.
    pub group: i32,
}

/// A key of the configuration with its effective value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Setting {
    /// The section.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value, without passwords.
    pub value: String,
    /// Where it is from.
    pub origin: String,
}

/// What has just been recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Live {
    /// The wall clock of the program, in ms since 1970.
    pub now_ms: u64,
    /// Messages, drawn once each.
    pub arrows: Vec<LiveArrow>,
    /// Messages that a slow reader missed.
    pub skipped: u64,
    /// The newest entry.
    pub last: u64,
}

/// An arrow and the story that it belongs to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LiveArrow {
    /// The arrow.
    #[serde(flatten)]
    pub arrow: Arrow,
    /// Its story; 0 for none.
    pub story: u64,
}

/// Why something was not done.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// In a sentence.
    pub error: String,
}
