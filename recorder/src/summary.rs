//! A message in few words.

use crate::entry::{Function, Message, Node, Protocol, ReferencePoint, Transport};
use crate::{diameter, sip};

/// Text of anyone for a terminal or a drawing: what would steer it is a dot.
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

impl Message {
    /// What a ladder writes on the arrow: `INVITE`, `200 OK (INVITE)`, `UAR`, `UAA 2001`.
    pub fn summary(&self) -> String {
        match self.protocol {
            Protocol::Sip => sip::summary(&self.bytes),
            Protocol::Diameter => diameter::summary(&self.bytes),
        }
    }

    /// Whether it says that something went wrong: a response from 400 but the challenges, a result that is no success.
    pub fn is_failure(&self) -> bool {
        match self.protocol {
            Protocol::Sip => {
                sip::status(&self.bytes).is_some_and(|code| code >= 400 && code != 401 && code != 407)
            }
            Protocol::Diameter => {
                !diameter::is_request(&self.bytes)
                    && diameter::result_code(&self.bytes).is_some_and(|code| !(2000..3000).contains(&code))
            }
        }
    }

    /// From where to where it went.
    pub const fn ends(&self) -> (std::net::SocketAddr, std::net::SocketAddr) {
        if self.sent { (self.local, self.remote) } else { (self.remote, self.local) }
    }
}

impl Function {
    /// As a column of a ladder is headed.
    pub const fn title(self) -> &'static str {
        match self {
            Function::Ue => "UE",
            Function::Pcscf => "P-CSCF",
            Function::Icscf => "I-CSCF",
            Function::Scscf => "S-CSCF",
            Function::Ecscf => "E-CSCF",
            Function::Hss => "HSS",
            Function::ApplicationServer => "AS",
            Function::Other => "other",
        }
    }
}

impl Node {
    /// As people call it: its function, and its name where it has one.
    pub fn title(&self) -> String {
        match (self.function, self.name.as_str()) {
            (Function::Other, name) => name.to_owned(),
            (function, "") => function.title().to_owned(),
            (function, name) => format!("{} {name}", function.title()),
        }
    }
}

impl Protocol {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Sip => "SIP",
            Protocol::Diameter => "Diameter",
        }
    }
}

impl Transport {
    /// As SIP writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Sctp => "SCTP",
            Transport::Memory => "memory",
        }
    }
}

impl ReferencePoint {
    /// As TS 23.002 writes it.
    pub const fn name(self) -> &'static str {
        match self {
            ReferencePoint::Gm => "Gm",
            ReferencePoint::Mw => "Mw",
            ReferencePoint::Isc => "ISC",
            ReferencePoint::Cx => "Cx",
            ReferencePoint::Mm => "Mm",
            ReferencePoint::Mi => "Mi",
            ReferencePoint::Unknown => "?",
        }
    }
}
