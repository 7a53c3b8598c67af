//! A story: what has one Call-ID, and the Diameter that belongs to it. How far it has come is a function of its messages.

use crate::api::StorySummary;
use crate::traffic::Traffic;
use std::collections::VecDeque;

/// What a story is about, by the request that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// INVITE.
    Call,
    /// REGISTER.
    Registration,
    /// MESSAGE.
    Text,
    /// SUBSCRIBE or NOTIFY.
    Subscription,
    /// Anything else.
    Other,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::Call, Kind::Registration, Kind::Text, Kind::Subscription, Kind::Other];

    /// By the method of the first request.
    pub fn of(method: &str) -> Kind {
        match method {
            "INVITE" => Kind::Call,
            "REGISTER" => Kind::Registration,
            "MESSAGE" => Kind::Text,
            "SUBSCRIBE" | "NOTIFY" => Kind::Subscription,
            _ => Kind::Other,
        }
    }

    /// Its name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Call => "call",
            Kind::Registration => "registration",
            Kind::Text => "text",
            Kind::Subscription => "subscription",
            Kind::Other => "other",
        }
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No final response yet.
    Trying,
    /// The called phone rings.
    Ringing,
    /// The phone is to prove who it is.
    Challenged,
    /// The call stands.
    Talking,
    /// The call is over.
    Ended,
    /// The caller hung up before the answer.
    Cancelled,
    /// The contact is bound.
    Registered,
    /// The contact is no longer bound.
    Deregistered,
    /// A 2xx to anything else.
    Done,
    /// A final response that refuses.
    Failed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Trying => "trying",
            State::Ringing => "ringing",
            State::Challenged => "challenged",
            State::Talking => "talking",
            State::Ended => "ended",
            State::Cancelled => "cancelled",
            State::Registered => "registered",
            State::Deregistered => "deregistered",
            State::Done => "done",
            State::Failed => "failed",
        }
    }

    /// The state after a SIP message that reached or left the one who began the story.
    pub fn after(self, kind: Kind, message: &Traffic, is_ending: bool) -> State {
        let Some(code) = message.result else {
            return match (kind, message.method.as_str()) {
                (Kind::Call, "BYE") => State::Ended,
                (Kind::Registration, "REGISTER") if self == State::Failed => State::Trying,
                _ => self,
            };
        };
        match (kind, message.method.as_str(), code) {
            (Kind::Call, "INVITE", 180) => State::Ringing,
            (Kind::Call, "INVITE", 200..=299) if self != State::Ended => State::Talking,
            (Kind::Call, "INVITE", 487) => State::Cancelled,
            // A re-INVITE that is refused leaves the call as it is.
            (Kind::Call, "INVITE", 400..) if self != State::Talking => State::Failed,
            (Kind::Call, ..) => self,
            (_, _, 401 | 407 | 494) => State::Challenged,
            (Kind::Registration, "REGISTER", 200..=299) if is_ending => State::Deregistered,
            (Kind::Registration, "REGISTER", 200..=299) => State::Registered,
            (_, _, 200..=299) => State::Done,
            (_, _, 400..) => State::Failed,
            _ => self,
        }
    }
}

/// What is kept of a story.
#[derive(Debug)]
pub struct Record {
    /// Counts stories from 1.
    pub id: u64,
    /// What it is about.
    pub kind: Kind,
    /// The Call-ID.
    pub call_id: String,
    /// Who began it.
    pub from: String,
    /// Whom it is for.
    pub to: String,
    /// How far it is.
    pub state: State,
    /// The first refusal.
    pub cause: Option<String>,
    /// The column that sent the first message.
    pub origin: String,
    /// Whether the newest REGISTER ends bindings.
    pub is_ending: bool,
    /// Wall time of the first message.
    pub started_ms: u64,
    /// Instant of the first message.
    pub first_us: u64,
    /// Instant of the last message.
    pub last_us: u64,
    /// Its entries, the oldest first.
    pub sequences: VecDeque<u64>,
    /// By which it is found: Call-ID, Session-Ids.
    pub threads: Vec<String>,
    /// Whom it names.
    pub identities: Vec<String>,
}

impl Record {
    /// Adds a SIP message between two columns.
    pub fn tell(&mut self, message: &Traffic, from: &str, to: &str) {
        if message.method == "REGISTER" && message.is_request() {
            self.is_ending = message.is_deregistration;
        }
        let concerns_origin = match message.is_request() {
            true => from == self.origin || message.method == "BYE",
            false => to == self.origin,
        };
        if concerns_origin {
            let before = self.state;
            self.state = before.after(self.kind, message, self.is_ending);
            if before == State::Failed && self.state != State::Failed {
                self.cause = None;
            }
        }
        if self.cause.is_none() {
            self.cause.clone_from(&message.cause);
        }
    }

    /// What lists show.
    pub fn summary(&self) -> StorySummary {
        // A refusal that somebody got round is no failure.
        let cause = (self.state == State::Failed).then(|| self.cause.clone()).flatten();
        StorySummary {
            id: self.id,
            kind: self.kind.name().to_owned(),
            call_id: self.call_id.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            state: self.state.name().to_owned(),
            cause,
            started_ms: self.started_ms,
            lasted_us: self.last_us.saturating_sub(self.first_us),
            messages: u32::try_from(self.sequences.len()).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(method: &str, result: Option<u32>) -> Traffic {
        Traffic { method: method.to_owned(), result, ..Traffic::default() }
    }

    #[test]
    fn every_step_of_a_story_is_told_by_a_message() {
        use Kind::{Call, Registration, Text};
        use State::{
            Cancelled, Challenged, Deregistered, Done, Ended, Failed, Registered, Ringing, Talking, Trying,
        };
        for (kind, before, method, result, is_ending, after) in [
            (Call, Trying, "INVITE", None, false, Trying),
            (Call, Trying, "INVITE", Some(100), false, Trying),
            (Call, Trying, "INVITE", Some(180), false, Ringing),
            (Call, Ringing, "INVITE", Some(200), false, Talking),
            (Call, Ringing, "INVITE", Some(487), false, Cancelled),
            (Call, Trying, "INVITE", Some(480), false, Failed),
            (Call, Talking, "INVITE", Some(488), false, Talking),
            (Call, Talking, "BYE", None, false, Ended),
            (Call, Ended, "BYE", Some(200), false, Ended),
            (Call, Ended, "INVITE", Some(200), false, Ended),
            (Registration, Trying, "REGISTER", Some(401), false, Challenged),
            (Registration, Challenged, "REGISTER", Some(200), false, Registered),
            (Registration, Registered, "REGISTER", Some(200), true, Deregistered),
            (Registration, Trying, "REGISTER", Some(403), false, Failed),
            (Registration, Failed, "REGISTER", None, false, Trying),
            (Text, Trying, "MESSAGE", Some(202), false, Done),
            (Text, Trying, "MESSAGE", Some(404), false, Failed),
        ] {
            let told = before.after(kind, &message(method, result), is_ending);
            assert_eq!(told, after, "{kind:?} {before:?} {method} {result:?}");
        }
    }
}
