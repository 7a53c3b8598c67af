//! What remains where no narrower cause shows: who said no, or nothing, and in which words.

use crate::cause::{Cause, Sign, Verdict};
use crate::scene::Scene;
use crate::story::{Outcome, Story};

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "next-hop-silent",
        verdict: Verdict::Unexplained,
        kinds: &[],
        sentence: "{node} sent the {story} of {who} to {peer} and heard nothing from there.",
        clause: "RFC 3261 §16.8, §17.1",
        fix: "Start what listens at {peer}, and check addresses, ports and what firewalls let through.",
        signs: &[Sign::Shows(silent_hop)],
    },
    Cause {
        name: "next-hop-unreachable",
        verdict: Verdict::Unexplained,
        kinds: &[],
        sentence: "{node} cannot reach the next hop of the {story} of {who}: {words}.",
        clause: "RFC 3263 §4, RFC 3261 §16.7",
        fix: "Check the name and the address of the next hop (DNS, `[names]`), and that it takes connections.",
        signs: &[Sign::Warned(&["next hop cannot be reached"])],
    },
    Cause {
        name: "server-failed",
        verdict: Verdict::Unexplained,
        kinds: &[],
        sentence: "{node} failed at the {story} of {who}: {status} {words}.",
        clause: "RFC 3261 §21.5",
        fix: "The log of {node} has more at that time.",
        signs: &[Sign::Shows(|story, scene| refused(story, scene, 500..600))],
    },
    Cause {
        name: "refused",
        verdict: Verdict::Unexplained,
        kinds: &[],
        sentence: "{node} refused the {story} of {who}: {status} {words}.",
        clause: "RFC 3261 §21",
        fix: "The words are those of {node}; its log has more at that time.",
        signs: &[Sign::Shows(|story, scene| refused(story, scene, 300..700))],
    },
    Cause {
        name: "unanswered",
        verdict: Verdict::Unexplained,
        kinds: &[],
        sentence: "The {story} of {who} has no final answer: {node} sent it to {peer} last.",
        clause: "RFC 3261 §17.1",
        fix: "See what {peer} did with it; where the recording ends before the answer could come, look again.",
        signs: &[Sign::Shows(unanswered)],
    },
];

fn refused(story: &Story, scene: &Scene, statuses: std::ops::Range<u16>) -> Vec<usize> {
    match story.refusal(scene.events()) {
        Some((at, refusal)) if statuses.contains(&refusal.status) => vec![at],
        _ => Vec::new(),
    }
}

/// The request that went furthest, and no word from where it went.
fn silent_hop(story: &Story, scene: &Scene) -> Vec<usize> {
    if !matches!(story.outcome, Outcome::Unanswered | Outcome::Refused(408 | 500 | 503 | 504)) {
        return Vec::new();
    }
    let events = scene.events();
    let requests = story.sips(events).filter(|(_, sip)| sip.is_request() && sip.method == story.method);
    let Some(furthest) = requests.map(|(at, _)| at).next_back() else { return Vec::new() };
    let Some((_, hop)) = events[furthest].addresses else { return Vec::new() };
    let spoke = story.sips(events).any(|(_, sip)| !sip.is_request())
        && story
            .sips(events)
            .any(|(at, sip)| !sip.is_request() && events[at].addresses.is_some_and(|(from, _)| from == hop));
    // The first hop of the phone has causes of its own.
    let has_answer = story.sips(events).any(|(_, sip)| !sip.is_request());
    if spoke || !has_answer { Vec::new() } else { vec![furthest] }
}

/// No final response, and long enough passed for one.
fn unanswered(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let end = events.last().map_or(0, |event| event.at_ms);
    if story.outcome != Outcome::Unanswered || end.saturating_sub(story.span_ms.0) < ANSWER_MS {
        return Vec::new();
    }
    let requests = story.sips(events).filter(|(_, sip)| sip.is_request() && sip.method == story.method);
    requests.map(|(at, _)| at).next_back().into_iter().collect()
}

/// What is younger than this may still be answered.
const ANSWER_MS: u64 = 2000;
