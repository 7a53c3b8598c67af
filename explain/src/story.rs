//! A story: what belongs to one registration, one call or one text.

use crate::event::Event;
use crate::sip::Sip;
use recorder::Function;
use std::collections::BTreeSet;

/// What a story is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A UE registers or refreshes its registration, from its first REGISTER to what came of it.
    Registration,
    /// A UE ends its registration.
    Deregistration,
    /// A call.
    Call,
    /// A text.
    Text,
    /// Something else that a user asked for: a subscription, an OPTIONS.
    Request,
    /// The HSS ends a registration.
    Termination,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Registration => "registration",
            Kind::Deregistration => "de-registration",
            Kind::Call => "call",
            Kind::Text => "text",
            Kind::Request => "request",
            Kind::Termination => "end by the network",
        }
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It went well, at least at first.
    Success,
    /// A final response of 300 or more.
    Refused(u16),
    /// No final response.
    Unanswered,
}

/// One story.
#[derive(Clone, Debug)]
pub struct Story {
    /// What it is of.
    pub kind: Kind,
    /// Its Call-ID; empty where it has none.
    pub call_id: String,
    /// The private identity, where the story names one.
    pub impi: String,
    /// The public identity of who registers, calls or writes.
    pub who: String,
    /// Whom it is for; empty for a registration.
    pub called: String,
    /// The method that it turns on.
    pub method: String,
    /// What became of it.
    pub outcome: Outcome,
    /// When it began and ended, in milliseconds since the recording began.
    pub span_ms: (u64, u64),
    /// Positions in the events of the scene, in order.
    pub events: Vec<usize>,
}

impl Story {
    /// The story of SIP messages of one Call-ID, at these positions.
    pub fn of(kind: Kind, events: &[Event], positions: Vec<usize>) -> Option<Story> {
        let sips = || positions.iter().filter_map(|at| events[*at].sip());
        let first = sips().find(|sip| sip.is_request() && sip.is_whole())?;
        let method = first.method.clone();
        // The first element of the network that asserts who it is knows better than From.
        let asserted = sips().find_map(|sip| {
            (sip.is_request() && sip.method == method)
                .then(|| sip.address(sip_core::Name::PAssertedIdentity))
                .flatten()
        });
        let preferred = || first.address(sip_core::Name::PPreferredIdentity);
        let (who, called) = match kind {
            Kind::Registration | Kind::Deregistration => (first.to.clone(), String::new()),
            _ => (asserted.or_else(preferred).unwrap_or_else(|| first.from.clone()), first.uri.clone()),
        };
        let impi = sips().map(|sip| sip.impi.as_str()).find(|impi| !impi.is_empty()).unwrap_or_default();
        let span_ms = (events[*positions.first()?].at_ms, events[*positions.last()?].at_ms);
        let outcome = outcome(events, &positions, &method);
        Some(Story {
            kind,
            call_id: first.call_id.clone(),
            impi: impi.to_owned(),
            who,
            called,
            method,
            outcome,
            span_ms,
            events: positions,
        })
    }

    /// Its SIP messages with their positions.
    pub fn sips<'e>(&'e self, events: &'e [Event]) -> impl DoubleEndedIterator<Item = (usize, &'e Sip)> {
        self.events.iter().filter_map(|at| Some((*at, events[*at].sip()?)))
    }

    /// The requests of a method that it turns on, each once: the first copy of each that is seen.
    pub fn requests<'e>(&'e self, events: &'e [Event], method: &str) -> Vec<(usize, &'e Sip)> {
        let mut seen = BTreeSet::new();
        let of_method = self.sips(events).filter(|(_, sip)| sip.is_request() && sip.method == method);
        of_method.filter(|(_, sip)| seen.insert((sip.cseq, sip.from.clone()))).collect()
    }

    /// The final response that ended it: the last one that refused, where it was first sent.
    pub fn refusal<'e>(&'e self, events: &'e [Event]) -> Option<(usize, &'e Sip)> {
        let Outcome::Refused(status) = self.outcome else { return None };
        self.sips(events).find(|(_, sip)| sip.status == status && sip.method == self.method)
    }
}

/// What became of the request that a story turns on: as its sender learnt it.
fn outcome(events: &[Event], positions: &[usize], method: &str) -> Outcome {
    let finals = || {
        let of_method = |sip: &Sip| sip.is_final() && sip.method == method;
        positions.iter().filter(move |at| events[**at].sip().is_some_and(of_method))
    };
    // What reached the phone is what became of it; where no phone is seen, the last response is.
    let to_ue = finals().filter(|at| events[**at].ends.1 == Function::Ue).collect::<Vec<_>>();
    let statuses = |at: &usize| events[*at].sip().map_or(0, |sip| sip.status);
    let is_success = |status: &u16| (200..300).contains(status);
    let all: Vec<u16> = finals().map(statuses).collect();
    let decisive: Vec<u16> = match to_ue.is_empty() {
        true => all,
        false => to_ue.into_iter().map(statuses).collect(),
    };
    match decisive.iter().find(|status| is_success(status)) {
        Some(_) => Outcome::Success,
        None => decisive.last().map_or(Outcome::Unanswered, |status| Outcome::Refused(*status)),
    }
}
