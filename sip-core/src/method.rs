//! Methods (RFC 3261 §7.1, and the methods of its extensions).

use std::fmt;

/// A request method. Methods are case-sensitive (RFC 3261 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method<'a> {
    /// RFC 3261 §13
    Invite,
    /// RFC 3261 §13.2.2.4
    Ack,
    /// RFC 3261 §15
    Bye,
    /// RFC 3261 §9
    Cancel,
    /// RFC 3261 §10
    Register,
    /// RFC 3261 §11
    Options,
    /// RFC 3262
    Prack,
    /// RFC 3311
    Update,
    /// RFC 3428
    Message,
    /// RFC 6665
    Subscribe,
    /// RFC 6665
    Notify,
    /// RFC 3903
    Publish,
    /// RFC 6086
    Info,
    /// RFC 3515
    Refer,
    /// A token that none of the above spells.
    Other(&'a [u8]),
}

impl<'a> Method<'a> {
    /// The method that `token` spells.
    pub fn from_token(token: &'a [u8]) -> Method<'a> {
        match token {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"BYE" => Method::Bye,
            b"CANCEL" => Method::Cancel,
            b"REGISTER" => Method::Register,
            b"OPTIONS" => Method::Options,
            b"PRACK" => Method::Prack,
            b"UPDATE" => Method::Update,
            b"MESSAGE" => Method::Message,
            b"SUBSCRIBE" => Method::Subscribe,
            b"NOTIFY" => Method::Notify,
            b"PUBLISH" => Method::Publish,
            b"INFO" => Method::Info,
            b"REFER" => Method::Refer,
            other => Method::Other(other),
        }
    }

    /// The method as it stands on the wire.
    pub fn as_bytes(&self) -> &'a [u8] {
        match *self {
            Method::Invite => b"INVITE",
            Method::Ack => b"ACK",
            Method::Bye => b"BYE",
            Method::Cancel => b"CANCEL",
            Method::Register => b"REGISTER",
            Method::Options => b"OPTIONS",
            Method::Prack => b"PRACK",
            Method::Update => b"UPDATE",
            Method::Message => b"MESSAGE",
            Method::Subscribe => b"SUBSCRIBE",
            Method::Notify => b"NOTIFY",
            Method::Publish => b"PUBLISH",
            Method::Info => b"INFO",
            Method::Refer => b"REFER",
            Method::Other(token) => token,
        }
    }

    /// Its place in a table of methods, below [`Method::PLACES`]; those that nobody knows share the last one.
    pub const fn place(&self) -> usize {
        match self {
            Method::Invite => 0,
            Method::Ack => 1,
            Method::Bye => 2,
            Method::Cancel => 3,
            Method::Register => 4,
            Method::Options => 5,
            Method::Prack => 6,
            Method::Update => 7,
            Method::Message => 8,
            Method::Subscribe => 9,
            Method::Notify => 10,
            Method::Publish => 11,
            Method::Info => 12,
            Method::Refer => 13,
            Method::Other(_) => Method::PLACES - 1,
        }
    }

    /// How many places a table of methods has.
    pub const PLACES: usize = 15;

    /// The method of the list above, or `None` for another token. Borrows nothing, so it can be kept.
    pub fn known(&self) -> Option<Method<'static>> {
        match Method::from_token(self.as_bytes()) {
            Method::Other(_) => None,
            Method::Invite => Some(Method::Invite),
            Method::Ack => Some(Method::Ack),
            Method::Bye => Some(Method::Bye),
            Method::Cancel => Some(Method::Cancel),
            Method::Register => Some(Method::Register),
            Method::Options => Some(Method::Options),
            Method::Prack => Some(Method::Prack),
            Method::Update => Some(Method::Update),
            Method::Message => Some(Method::Message),
            Method::Subscribe => Some(Method::Subscribe),
            Method::Notify => Some(Method::Notify),
            Method::Publish => Some(Method::Publish),
            Method::Info => Some(Method::Info),
            Method::Refer => Some(Method::Refer),
        }
    }
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_spelled_in_capitals_or_it_is_another_method() {
        assert_eq!(Method::from_token(b"INVITE"), Method::Invite);
        assert_eq!(Method::from_token(b"Invite"), Method::Other(b"Invite"));
        assert_eq!(Method::from_token(b"RE%47IST%45R").known(), None);
        assert_eq!(Method::Refer.to_string(), "REFER");
    }
}
