//! One entry: a message that passed the edge of a node, or something that the node found or decided.

use ambient::Now;
use std::net::SocketAddr;

/// One thing that happened at one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts the entries of its process's ring from 1. A gap tells what was overwritten.
    pub sequence: u64,
    /// When: the instant orders the entries of one process, the wall clock those of several.
    pub at: Now,
    /// Where.
    pub node: Node,
    /// What.
    pub what: What,
}

/// A node: a function and the name of its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The function.
    pub function: Function,
    /// Tells two of a function apart: `alice`, or the name in the configuration; empty when there is one.
    pub name: String,
}

/// The functions that record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// A phone.
    Ue,
    /// TS 24.229 §5.2.
    Pcscf,
    /// TS 24.229 §5.3.
    Icscf,
    /// TS 24.229 §5.4.
    Scscf,
    /// TS 24.229 §5.11.
    Ecscf,
    /// TS 29.228.
    Hss,
    /// TS 24.229 §5.7.
    ApplicationServer,
    /// Something else, known by what it sends alone.
    Other,
}

impl Function {
    /// All of them, by their numbers in a frame.
    pub const ALL: [Function; 8] = [
        Function::Ue,
        Function::Pcscf,
        Function::Icscf,
        Function::Scscf,
        Function::Ecscf,
        Function::Hss,
        Function::ApplicationServer,
        Function::Other,
    ];
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message was sent or received.
    Message(Message),
    /// Something was found or decided.
    Fact(Fact),
}

/// One message that passed the edge of a node, after decryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether it left this node; else it came in.
    pub sent: bool,
    /// What it is.
    pub protocol: Protocol,
    /// What it passed over.
    pub transport: Transport,
    /// Between which functions, as far as this node knows.
    pub interface: ReferencePoint,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The security association that protected it (TS 33.203).
    pub security: Option<Security>,
    /// The whole message, without CK, IK and passwords.
    pub bytes: Vec<u8>,
}

/// The protocols that are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// RFC 3261.
    Sip,
    /// RFC 6733.
    Diameter,
}

impl Protocol {
    /// All of them, by their numbers in a frame.
    pub const ALL: [Protocol; 2] = [Protocol::Sip, Protocol::Diameter];
}

/// What a message passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
    /// A stream, protected.
    Tls,
    /// RFC 9260.
    Sctp,
    /// Handed over within a process.
    Memory,
}

impl Transport {
    /// All of them, by their numbers in a frame.
    pub const ALL: [Transport; 5] =
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Sctp, Transport::Memory];
}

/// The reference points of TS 23.002 that are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferencePoint {
    /// UE and P-CSCF.
    Gm,
    /// CSCF and CSCF.
    Mw,
    /// S-CSCF and application server.
    Isc,
    /// CSCF and HSS.
    Cx,
    /// S-CSCF or P-CSCF and what is beyond the home network.
    Mm,
    /// E-CSCF and PSAP.
    Mi,
    /// Not known to this node.
    Unknown,
}

impl ReferencePoint {
    /// All of them, by their numbers in a frame.
    pub const ALL: [ReferencePoint; 7] = [
        ReferencePoint::Gm,
        ReferencePoint::Mw,
        ReferencePoint::Isc,
        ReferencePoint::Cx,
        ReferencePoint::Mm,
        ReferencePoint::Mi,
        ReferencePoint::Unknown,
    ];
}

/// The security association of a message, by its SPI; never a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Security {
    /// The SPI of the packets that carried the message.
    pub spi: u32,
}

/// Something that a node found or decided: `refused`, `registered`, `esp_refused`, `peer_down`, `timer_fired` ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What kind, one of a closed list; counters have the same names.
    pub name: String,
    /// The cause, of a closed list for each kind.
    pub cause: String,
    /// What an operator wants to know besides, in words.
    pub detail: String,
    /// The dialog or registration that it belongs to; empty when it belongs to none.
    pub call_id: String,
    /// The other end, where there is one.
    pub remote: Option<SocketAddr>,
}
