//! Everything that was recorded, and the stories in it.

use crate::catalogue;
use crate::event::{self, Event};
use crate::explanation::{Explanation, Finding};
use crate::known::Known;
use crate::story::{Kind, Outcome, Story};
use recorder::{Entry, Function};
use std::collections::BTreeMap;

/// What was recorded by one node or by several.
#[derive(Debug)]
pub struct Scene {
    events: Vec<Event>,
    stories: Vec<Story>,
    known: Known,
}

impl Scene {
    /// Reads entries whose instants are comparable, as `recorder` joins them.
    pub fn of(entries: &[Entry]) -> Scene {
        Scene::with(entries, Known::default())
    }

    /// Reads entries, with what else is known of the subscribers.
    pub fn with(entries: &[Entry], known: Known) -> Scene {
        let entries = &entries[entries.len().saturating_sub(ENTRIES_MAX)..];
        let events = event::read(entries);
        let mut stories = stories(&events);
        for story in &mut stories {
            join(story, &events);
        }
        Scene { events, stories, known }
    }

    /// Its events, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Its stories, in the order in which they began.
    pub fn stories(&self) -> &[Story] {
        &self.stories
    }

    /// What else is known.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// What became of a story, and why: each cause that shows, the root first.
    pub fn explain<'s>(&'s self, story: &'s Story) -> Explanation<'s> {
        let mut findings: Vec<Finding> =
            catalogue::causes().filter_map(|cause| cause.find(story, self)).collect();
        // Those of a narrower sign come first in the catalogue; what merely happened never hides a fault, and what nobody
        // can name never hides what happened.
        findings.sort_by_key(|finding| finding.cause.verdict);
        Explanation { story, scene: self, findings }
    }

    /// The newest story that something is wrong with; else the newest of all.
    pub fn last(&self) -> Option<Explanation<'_>> {
        let newest = || self.stories.iter().rev();
        let faulty = newest().map(|story| self.explain(story)).find(Explanation::is_fault);
        faulty.or_else(|| newest().next().map(|story| self.explain(story)))
    }

    /// The newest registration of a public identity that began before a moment.
    pub fn registration_of(&self, identity: &str, before_ms: u64) -> Option<&Story> {
        let user = user_part(identity);
        self.stories.iter().rev().find(|story| {
            story.kind == Kind::Registration
                && story.span_ms.0 <= before_ms
                && (user_part(&story.who) == user || self.is_implied(story, identity))
        })
    }

    /// Whether a registration made an identity reachable: P-Associated-URI lists it.
    fn is_implied(&self, registration: &Story, identity: &str) -> bool {
        let user = user_part(identity);
        registration.sips(&self.events).any(|(_, sip)| {
            let listed = sip.status == 200 && sip.has(sip_core::Name::PAssociatedUri);
            listed && sip.header_all(sip_core::Name::PAssociatedUri).iter().any(|uri| user_part(uri) == user)
        })
    }
}

/// The user of a URI, without scheme, host and parameters.
pub fn user_part(uri: &str) -> &str {
    let uri = uri.trim_start_matches(['<', '"']);
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split(['@', ';', '>']).next().unwrap_or(rest)
}

/// The host of a URI.
pub fn host_part(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    host.split([':', ';', '>', '?']).next().unwrap_or(host)
}

/// Cuts the events into stories by Call-ID and, for registrations, by attempt.
fn stories(events: &[Event]) -> Vec<Story> {
    let mut calls: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let call_id = match (event.sip(), event.fact()) {
            (Some(sip), _) => sip.call_id.as_str(),
            (_, Some(fact)) => fact.call_id.as_str(),
            _ => continue,
        };
        if call_id.is_empty() {
            continue;
        }
        let known = calls.entry(call_id).or_default();
        if known.is_empty() {
            order.push(call_id);
        }
        if known.len() < STORY_MAX {
            known.push(at);
        }
    }
    let mut stories = Vec::new();
    for call_id in order {
        let positions = calls.remove(call_id).unwrap_or_default();
        let first = positions.iter().find_map(|at| events[*at].sip().filter(|sip| sip.is_request()));
        match first.map(|sip| sip.method.as_str()) {
            Some("REGISTER") if is_third_party(events, &positions) => {}
            Some("REGISTER") => stories.extend(attempts(events, positions)),
            Some("INVITE") => stories.extend(Story::of(Kind::Call, events, positions)),
            Some("MESSAGE") => stories.extend(Story::of(Kind::Text, events, positions)),
            Some("SUBSCRIBE" | "OPTIONS" | "PUBLISH" | "REFER") => {
                stories.extend(Story::of(Kind::Request, events, positions));
            }
            _ => {}
        }
    }
    stories.extend(terminations(events));
    stories.sort_by_key(|story| story.span_ms.0);
    stories
}

/// A REGISTER that an S-CSCF sends for a user (TS 24.229 §5.4.1.7) is part of no attempt of the user's.
fn is_third_party(events: &[Event], positions: &[usize]) -> bool {
    let first = positions.iter().find(|at| events[**at].sip().is_some_and(|sip| sip.is_request()));
    first.is_some_and(|at| {
        let event = &events[*at];
        let differs = event.sip().is_some_and(|sip| user_part(&sip.from) != user_part(&sip.to));
        event.ends.0 == Function::Scscf || differs
    })
}

/// One attempt is from a REGISTER to the response that a UE does not go on from by itself.
fn attempts(events: &[Event], positions: Vec<usize>) -> Vec<Story> {
    let mut attempts: Vec<Vec<usize>> = Vec::new();
    // The numbers of the REGISTERs of the attempt that is open.
    let mut open: Option<(u32, Option<u16>)> = None;
    for at in positions {
        let Some(sip) = events[at].sip().filter(|sip| sip.method == "REGISTER") else {
            if let Some(attempt) = attempts.last_mut() {
                attempt.push(at);
            }
            continue;
        };
        if sip.is_request() {
            let goes_on = match open {
                None => false,
                Some((cseq, _)) if sip.cseq <= cseq => true,
                // A challenge, another list of mechanisms or a longer expiry is what the next REGISTER answers.
                Some((_, Some(401 | 407 | 421 | 423 | 494))) => true,
                Some((_, Some(_))) => false,
                Some((_, None)) => false,
            };
            match (goes_on, attempts.last_mut()) {
                (true, Some(attempt)) => attempt.push(at),
                _ => attempts.push(vec![at]),
            }
            let cseq = open.filter(|_| goes_on).map_or(sip.cseq, |(cseq, _)| cseq.max(sip.cseq));
            let is_newer = open.is_none_or(|(known, _)| sip.cseq > known);
            let answered = open.and_then(|(_, status)| status).filter(|_| !is_newer);
            open = Some((cseq, answered));
        } else {
            if let Some(attempt) = attempts.last_mut() {
                attempt.push(at);
            }
            if let Some((cseq, status)) = &mut open
                && sip.cseq == *cseq
                && sip.is_final()
            {
                *status = Some(sip.status);
            }
        }
    }
    let kind = |positions: &[usize]| {
        let is_end = positions.iter().any(|at| events[*at].sip().is_some_and(|sip| sip.is_deregistration()));
        if is_end { Kind::Deregistration } else { Kind::Registration }
    };
    attempts.into_iter().filter_map(|positions| Story::of(kind(&positions), events, positions)).collect()
}

/// Each RTR is a story of its own.
fn terminations(events: &[Event]) -> Vec<Story> {
    let requests = events.iter().enumerate().filter_map(|(at, event)| {
        let diameter = event.diameter().filter(|diameter| diameter.command == 304 && diameter.is_request)?;
        Some((at, event, diameter))
    });
    let story = |(at, event, diameter): (usize, &Event, &crate::Diameter)| {
        let answers = events.iter().enumerate().skip(at).filter(|(_, event)| {
            event.diameter().is_some_and(|answer| answer.command == 304 && answer.session == diameter.session)
        });
        let positions: Vec<usize> = answers.map(|(at, _)| at).take(STORY_MAX).collect();
        let end = positions.last().map_or(event.at_ms, |at| events[*at].at_ms);
        Story {
            kind: Kind::Termination,
            call_id: String::new(),
            impi: diameter.user_name.clone(),
            who: if diameter.public_identity.is_empty() {
                diameter.user_name.clone()
            } else {
                diameter.public_identity.clone()
            },
            called: String::new(),
            method: String::new(),
            outcome: Outcome::Success,
            span_ms: (event.at_ms, end),
            events: positions,
        }
    };
    requests.map(story).collect()
}

/// Brings the Diameter messages about the users of a story to it, and what nodes found at that time.
fn join(story: &mut Story, events: &[Event]) {
    let (from, to) = (story.span_ms.0, story.span_ms.1.saturating_add(AFTERWARDS_MS));
    // What a number was completed to on the way is asked for, too.
    let completed: Vec<String> = story
        .sips(events)
        .filter(|(_, sip)| sip.is_request() && user_part(&sip.uri).starts_with('+'))
        .map(|(_, sip)| sip.uri.clone())
        .take(USERS_MAX)
        .collect();
    let own = [story.who.as_str(), story.called.as_str(), story.impi.as_str()];
    let users: Vec<&str> = own.into_iter().chain(completed.iter().map(String::as_str)).collect();
    let is_named = |name: &str| {
        let user = user_part(name);
        !user.is_empty()
            && users.iter().any(|own| !own.is_empty() && (user_part(own) == user || *own == name))
    };
    let mut sessions: Vec<&str> = Vec::new();
    let mut joined = Vec::new();
    for (at, event) in events.iter().enumerate() {
        if event.at_ms < from || event.at_ms > to {
            continue;
        }
        match (event.diameter(), event.fact()) {
            (Some(diameter), _) if diameter.is_cx() && story.kind != Kind::Termination => {
                let is_own = is_named(&diameter.user_name)
                    || is_named(&diameter.public_identity)
                    || (!diameter.session.is_empty() && sessions.contains(&diameter.session.as_str()));
                if is_own {
                    sessions.push(&diameter.session);
                    joined.push(at);
                }
            }
            (_, Some(fact)) if fact.call_id.is_empty() => joined.push(at),
            _ => {}
        }
    }
    story.events.extend(joined.into_iter().take(STORY_MAX));
    story.events.sort_unstable();
    story.events.dedup();
}

/// Entries that are looked at: the newest.
const ENTRIES_MAX: usize = 1_000_000;
/// Request-URIs of one story whose users are looked for in Diameter.
const USERS_MAX: usize = 16;
/// Events of one story that are looked at.
const STORY_MAX: usize = 4096;
/// What is found so long behind the last message of a story may still be of it.
const AFTERWARDS_MS: u64 = 2000;
