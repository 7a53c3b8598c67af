//! Application servers.

use crate::cause::{Cause, Sign, Verdict, warned};
use crate::event::Event;
use crate::scene::Scene;
use crate::sip::Sip;
use crate::story::{Kind, Story};
use recorder::Function;

const TOWARDS_SOMEBODY: &[Kind] = &[Kind::Call, Kind::Text, Kind::Request];

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "third-party-register-refused",
        verdict: Verdict::Fault,
        kinds: &[Kind::Registration],
        sentence: "The application server {node} refused to hear that {who} is registered ({status} {words}), and may do nothing for it.",
        clause: "TS 24.229 §5.4.1.7, §5.7.1.1",
        fix: "Add the user at that server, or look at its log; without such a criterion for REGISTER in the profile it is not told.",
        signs: &[Sign::Shows(refused_to_hear)],
    },
    Cause {
        name: "as-down",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "The application server of a filter criterion of {who} or {called} cannot be reached.",
        clause: "TS 24.229 §5.4.3.2, TS 29.228 Annex B",
        fix: "Start it, or correct ServerName in the criterion (`ims ifc lint`); with SESSION_CONTINUED a call goes on without it.",
        signs: &[Sign::Warned(&["application server cannot be reached"])],
    },
    Cause {
        name: "as-silent",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "The application server {peer} took the {story} of {who} and said nothing.",
        clause: "TS 24.229 §5.4.3.2, TS 29.228 Annex B",
        fix: "Start the application server; with default handling SESSION_CONTINUED a call goes on without it. `ims ifc test` shows why it was visited.",
        signs: &[Sign::Shows(silent)],
    },
    Cause {
        name: "as-refused",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "The application server {node} refused the {story} of {who}: {status} {words}.",
        clause: "TS 24.229 §5.7.2",
        fix: "It is the decision of that server: look at its log, and with `ims ifc test` at the criterion that led there.",
        signs: &[Sign::Shows(refused)],
    },
];

/// A REGISTER of the S-CSCF for the user who registered, and a refusal of it.
fn refused_to_hear(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    // It is sent when the registration stands, and its answer comes when it may.
    let since = story.events.last().copied().unwrap_or_default();
    let from = story.events.first().copied().unwrap_or_default();
    let until = events.get(since).map_or(0, |event| event.at_ms).saturating_add(AFTERWARDS_MS);
    let behind = || events.iter().enumerate().skip(from).take_while(|(_, event)| event.at_ms <= until);
    let is_of_story = |sip: &Sip, event: &Event| {
        let of = scene.registration_of(&sip.to, event.at_ms);
        of.is_some_and(|of| of.call_id == story.call_id && of.span_ms == story.span_ms)
    };
    let of_scscf = behind().filter_map(|(at, event)| {
        let sip = event.sip().filter(|sip| sip.is_request() && sip.method == "REGISTER")?;
        let is_third_party = event.ends.0 == Function::Scscf && sip.call_id != story.call_id;
        (is_third_party && is_of_story(sip, event)).then_some((at, sip))
    });
    for (asked, sip) in of_scscf {
        let refusal = behind().find(|(_, event)| {
            event.sip().is_some_and(|answer| {
                answer.status >= 300 && answer.call_id == sip.call_id && answer.cseq == sip.cseq
            })
        });
        if let Some((refusal, _)) = refusal {
            return vec![refusal, asked];
        }
    }
    Vec::new()
}

/// Whether an event is a request to an application server: by what is recorded, or by the ISC that it passed.
fn is_to_server(event: &Event, story: &Story) -> bool {
    let Some(sip) = event.sip().filter(|sip| sip.is_request() && sip.method == story.method) else {
        return false;
    };
    let by_scscf = event.ends.0 == Function::Scscf || event.node.function == Function::Scscf;
    let to_core = matches!(
        event.ends.1,
        Function::Pcscf | Function::Icscf | Function::Scscf | Function::Ecscf | Function::Hss | Function::Ue
    );
    // The S-CSCF puts itself behind the server, to be visited again (TS 24.229 §5.4.3.2).
    let comes_back = sip.header_all(sip_core::Name::Route).len() >= 2;
    let is_sent = event.from == event.node.title();
    by_scscf && is_sent && !to_core && (event.ends.1 == Function::ApplicationServer || comes_back)
}

fn visits<'s>(story: &'s Story, scene: &'s Scene) -> impl Iterator<Item = usize> + 's {
    let events = scene.events();
    story.events.iter().copied().filter(move |at| is_to_server(&events[*at], story))
}

/// A request to an application server that nothing came back from, whatever became of the call.
fn silent(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let is_at = |at: usize, place: std::net::SocketAddr| {
        events[at].addresses.is_some_and(|(from, to)| [from, to].contains(&place))
    };
    // A 100 says that it is there, and nothing else; what follows from a CANCEL says that it was given up.
    let is_word =
        |sip: &Sip| !sip.is_request() && !matches!(sip.status, 100 | 487) && sip.method == story.method;
    let answered = |at: usize| {
        let Some((_, server)) = events[at].addresses else { return true };
        story.sips(events).any(|(other, sip)| {
            other > at
                && (is_word(sip) || sip.is_request())
                && events[other].addresses.is_some_and(|(from, _)| from == server)
        })
    };
    let unanswered = visits(story, scene).find(|at| !answered(*at));
    let Some(first) = unanswered else { return Vec::new() };
    let Some((_, server)) = events[first].addresses else { return Vec::new() };
    // A call that its caller gave up at once shows nothing of the server.
    let end = events.last().map_or(0, |event| event.at_ms);
    let waited = end.saturating_sub(events[first].at_ms) >= SILENCE_MS;
    let refusal = story.refusal(events).map(|(at, _)| at);
    let cancels = |(_, sip): &(usize, &Sip)| sip.is_request() && sip.method == "CANCEL";
    let is_given_up = story.sips(events).filter(cancels).any(|(at, _)| !is_at(at, server));
    let is_dropped = story.sips(events).filter(cancels).any(|(at, _)| is_at(at, server)) && !is_given_up;
    let says_so = is_dropped
        || story.events.iter().any(|at| warned(&events[*at], &["application server does not answer"]));
    match says_so || (waited && !is_given_up) {
        true => std::iter::once(first).chain(refusal).collect(),
        false => Vec::new(),
    }
}

/// The refusal that ended the story came from an application server first.
fn refused(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let Some((at, refusal)) = story.refusal(events) else { return Vec::new() };
    let Some((source, _)) = events[at].addresses else { return Vec::new() };
    // Busy and not there are words of the called user, whoever says them.
    let is_of_user = matches!(refusal.status, 486 | 487 | 600 | 603);
    let visit = visits(story, scene)
        .find(|visit| *visit < at && events[*visit].addresses.is_some_and(|(_, to)| to == source));
    match visit {
        Some(visit) if !is_of_user => vec![at, visit],
        _ => Vec::new(),
    }
}

/// A server that answers later than this is not waited for.
const AFTERWARDS_MS: u64 = 10_000;
/// A server may take so long before it is called silent.
const SILENCE_MS: u64 = 1500;
