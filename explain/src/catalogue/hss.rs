//! Between the CSCFs and the HSS.

use crate::cause::{Cause, Sign, Verdict, warned};
use crate::scene::Scene;
use crate::story::{Outcome, Story};
use diameter_client::cx::CxResult;

const CX: &[u32] = &[300, 301, 302, 303];

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "diameter-realm-wrong",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "Diameter does not find the HSS: {node} answered {detail}.",
        clause: "RFC 6733 §6.1, §7.1.3",
        fix: "Compare Destination-Realm of the request with `hss.realm` and with the realms of the agents in between.",
        signs: &[Sign::Cx(CX, &[CxResult::Base(3002), CxResult::Base(3003), CxResult::Base(3007)])],
    },
    Cause {
        name: "hss-overloaded",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The HSS is too busy ({detail}).",
        clause: "RFC 6733 §7.1.3",
        fix: "Look at the load of the HSS, and at who asks so much: `ims counters`.",
        signs: &[
            Sign::Cx(CX, &[CxResult::Base(3004)]),
            Sign::Warned(&["too many requests wait for the hss", "too many Cx requests wait"]),
        ],
    },
    Cause {
        name: "hss-cannot-comply",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The HSS cannot do what it was asked for {identity}: {detail}.",
        clause: "TS 29.228 §6.1, RFC 6733 §7.1.5",
        fix: "The log of the HSS says why; its store may be full or gone.",
        signs: &[Sign::Shows(other_refusal)],
    },
    Cause {
        name: "diameter-peer-refused",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The HSS takes no Diameter connection from {peer}: {detail}.",
        clause: "RFC 6733 §5.3",
        fix: "Name the CSCF as a peer of the HSS (`hss.accept_unknown_peers`, its peer list), with the host and realm that its CER has.",
        signs: &[Sign::Shows(peer_refused)],
    },
    Cause {
        name: "hss-silent",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The HSS took {detail} about {identity} and never answered.",
        clause: "TS 29.228 §6.1, RFC 3539 §3.4",
        fix: "Look at the HSS: it keeps its connections and answers nothing. `diameter.request_timeout` says how long is waited.",
        signs: &[Sign::Shows(silent)],
    },
    Cause {
        name: "hss-down",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} has no connection to the HSS, and could not ask about {who}.",
        clause: "RFC 6733 §5.1, TS 24.229 §5.3.1.2",
        fix: "Start the HSS, and check address and port in `diameter.hss` and what firewalls let through (TCP or SCTP 3868).",
        signs: &[Sign::Warned(&["hss not reachable", "hss did not answer"]), Sign::Shows(unasked)],
    },
    Cause {
        name: "profile-unusable",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The HSS gave a profile of {identity} that cannot be used: {words}.",
        clause: "TS 29.228 §6.6, Annex E",
        fix: "`ims ifc lint` names what is wrong in the profile, and where.",
        signs: &[Sign::Warned(&[
            "no profile from the hss",
            "malformed profile",
            "profile without the identity",
            "profile too large",
        ])],
    },
    Cause {
        name: "served-by-another-scscf",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The HSS has another S-CSCF for {identity} than the one that was asked.",
        clause: "TS 29.228 §8.1.2",
        fix: "See `ims hss show {identity}`; end the old registration there with `ims hss deregister`.",
        signs: &[
            Sign::Cx(&[301], &[CxResult::IDENTITY_ALREADY_REGISTERED]),
            Sign::Warned(&["served by another s-cscf"]),
        ],
    },
];

/// An answer that refuses, of no kind that has a cause of its own.
fn other_refusal(story: &Story, scene: &Scene) -> Vec<usize> {
    if story.outcome == Outcome::Success {
        return Vec::new();
    }
    let has_own = [
        CxResult::USER_UNKNOWN,
        CxResult::IDENTITIES_DONT_MATCH,
        CxResult::ROAMING_NOT_ALLOWED,
        CxResult::AUTHORIZATION_REJECTED,
        CxResult::IDENTITY_NOT_REGISTERED,
        CxResult::IDENTITY_ALREADY_REGISTERED,
        CxResult::AUTH_SCHEME_NOT_SUPPORTED,
        CxResult::IN_ASSIGNMENT_TYPE,
        CxResult::Base(3002),
        CxResult::Base(3003),
        CxResult::Base(3004),
        CxResult::Base(3007),
    ];
    let events = scene.events();
    let is_other = |at: &usize| {
        let answer = events[*at].diameter().filter(|diameter| diameter.is_cx() && diameter.is_refusal());
        answer.is_some_and(|answer| answer.result.is_some_and(|result| !has_own.contains(&result)))
    };
    story.events.iter().copied().filter(is_other).take(1).collect()
}

const WITHOUT_HSS: &[&str] = &[
    "HSS gives no usable answer",
    "hss did not answer",
    "hss not reachable",
    "no S-CSCF can be selected",
    "no S-CSCF answers",
];

/// A refusal for want of the HSS.
fn without_hss(story: &Story, scene: &Scene) -> Option<usize> {
    let events = scene.events();
    let found = story.events.iter().copied().find(|at| warned(&events[*at], WITHOUT_HSS));
    // Of another maker's CSCF: it says 5xx, and asked nobody with success.
    let foreign = || {
        let (at, refusal) = story.refusal(events)?;
        (refusal.status >= 500 && refusal.warnings.is_empty()).then_some(at)
    };
    found.or_else(foreign)
}

/// A request that has no answer.
fn silent(story: &Story, scene: &Scene) -> Vec<usize> {
    if story.outcome == Outcome::Success {
        return Vec::new();
    }
    let events = scene.events();
    let requests = story.events.iter().copied().filter_map(|at| {
        let request = events[at].diameter().filter(|diameter| diameter.is_request && diameter.is_cx())?;
        Some((at, request))
    });
    let is_answered = |session: &str| {
        events
            .iter()
            .filter_map(|event| event.diameter())
            .any(|other| !other.is_request && other.session == session)
    };
    let unanswered = requests.filter(|(_, request)| !is_answered(&request.session)).map(|(at, _)| at).next();
    match (unanswered, without_hss(story, scene)) {
        (Some(request), Some(refusal)) => vec![request, refusal],
        (Some(request), None) if story.outcome == Outcome::Unanswered => vec![request],
        _ => Vec::new(),
    }
}

/// The HSS, or who plays it, refused a peer before or while the story went on, and nothing was asked in it.
fn peer_refused(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let (Some(refusal), false) = (without_hss(story, scene), has_asked(story, scene)) else {
        return Vec::new();
    };
    let is_refused = |at: &usize| {
        events[*at].diameter().is_some_and(|answer| answer.command == 257 && answer.is_refusal())
    };
    let accepted = |at: usize| {
        events[..at]
            .iter()
            .rev()
            .filter_map(|event| event.diameter())
            .find(|answer| answer.command == 257 && !answer.is_request)
    };
    let last = (0..=refusal).rev().find(is_refused);
    match (last, accepted(refusal)) {
        (Some(at), Some(answer)) if answer.is_refusal() => vec![at, refusal],
        _ => Vec::new(),
    }
}

fn has_asked(story: &Story, scene: &Scene) -> bool {
    story.events.iter().any(|at| scene.events()[*at].diameter().is_some_and(|diameter| diameter.is_cx()))
}

/// A refusal for want of the HSS, in a story in which nobody asked it.
fn unasked(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let refusal = story.events.iter().copied().find(|at| warned(&events[*at], WITHOUT_HSS));
    match refusal {
        Some(refusal) if story.outcome != Outcome::Success && !has_asked(story, scene) => vec![refusal],
        _ => Vec::new(),
    }
}
