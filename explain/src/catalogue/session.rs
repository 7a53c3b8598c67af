//! Between the two ends of a call.

use crate::cause::{Cause, Sign, Verdict};
use crate::scene::Scene;
use crate::story::{Kind, Outcome, Story};
use recorder::Function;
use sip_core::Name;

const CALLS: &[Kind] = &[Kind::Call];
const TOWARDS_SOMEBODY: &[Kind] = &[Kind::Call, Kind::Text, Kind::Request];

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "media-not-subscribed",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "{who} or {called} has not subscribed to the media of this call: {node} refused the offer with {status}.",
        clause: "TS 24.229 §6.3, TS 29.228 §B.2.1",
        fix: "Compare the m= lines of the offer with `scscf.media_profile` of the number that the subscriber's profile names.",
        signs: &[Sign::Warned(&["media not subscribed to"])],
    },
    Cause {
        name: "no-common-media-profile",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "{who} offers secured media (SRTP) and nothing else, and {node} refused it with {status}: it has none.",
        clause: "RFC 3264 §6, RFC 4568 §7.1, TS 33.328",
        fix: "Offer RTP/AVP, too, or RTP/AVP with the keys beside it (RFC 8643); else switch SRTP on at both phones.",
        signs: &[Sign::Shows(secured_alone)],
    },
    Cause {
        name: "no-common-codec",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "The two phones have no codec in common: {node} refused the offer with {status}.",
        clause: "RFC 3264 §6, TS 24.229 §6.1",
        fix: "Compare the m= and a=rtpmap lines of the offer with what the called phone has (AMR, AMR-WB, EVS).",
        signs: &[Sign::Refused(&[488, 606])],
    },
    Cause {
        name: "media-type-unsupported",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "{node} does not understand the body of the {story}: {status} {words}.",
        clause: "RFC 3261 §21.4.13",
        fix: "Compare Content-Type with Accept of the 415: a phone's SMS is `application/vnd.3gpp.sms`, which an IP-SM-GW takes.",
        signs: &[Sign::Refused(&[415])],
    },
    Cause {
        name: "precondition-unmet",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "The resources that the call needs were not there: {node} refused with {status}.",
        clause: "RFC 3312 §5, TS 24.229 §5.1.3.1",
        fix: "Compare a=curr with a=des in the offer and the answer: the dedicated bearer (QCI 1) of one side is missing.",
        signs: &[Sign::Refused(&[580])],
    },
    Cause {
        name: "session-interval-too-small",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "{who} asked for a shorter session interval than {node} takes, and did not try with a longer one.",
        clause: "RFC 4028 §7.3, §8.1",
        fix: "Raise Session-Expires of the phone to Min-SE of the 422, or lower `scscf.min_se`.",
        signs: &[Sign::Refused(&[422])],
    },
    Cause {
        name: "extension-unsupported",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} does not know an extension that the {story} requires: {status} {words}.",
        clause: "RFC 3261 §8.2.2.3, §16.3",
        fix: "Require or Proxy-Require of the request and Unsupported of the 420 name it; the sender tries without.",
        signs: &[Sign::Refused(&[420, 421])],
    },
    Cause {
        name: "session-expired",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "The call was ended because nobody refreshed it in time ({node} sent BYE).",
        clause: "RFC 4028 §10, TS 24.229 §5.4.5",
        fix: "Session-Expires of the 200 names the refresher: that phone sent no UPDATE or re-INVITE, or it was lost. Compare with the lifetime of its registration.",
        signs: &[Sign::Shows(session_expired)],
    },
    Cause {
        name: "ended-by-network",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "The network ended the call: {node} sent BYE to both phones.",
        clause: "TS 24.229 §5.4.5.1, §5.2.8.1",
        fix: "A registration of one of them ended, or an operator ended it: look at what happened just before.",
        signs: &[Sign::Shows(released)],
    },
    Cause {
        name: "no-ack",
        verdict: Verdict::Fault,
        kinds: CALLS,
        sentence: "The 200 OK to the INVITE was never acknowledged, and {node} sent it {count} times.",
        clause: "RFC 3261 §13.3.1.4",
        fix: "The ACK of the caller is lost or never sent: look at the Route set of the 200 and at where the ACK should go.",
        signs: &[Sign::Shows(unacknowledged)],
    },
    Cause {
        name: "callee-unreachable",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "The phone of {called} is registered and cannot be reached: it refuses or has closed the connection.",
        clause: "TS 24.229 §5.2.6.4, RFC 3261 §18.1.1",
        fix: "A UE that registers over UDP must take TCP at the same port for long messages (RFC 3261 §18.1.1): see which transport the P-CSCF chose; it may also have moved or lost its address.",
        signs: &[Sign::Warned(&["UE cannot be reached", "the TLS connection of the UE is gone"])],
    },
    Cause {
        name: "callee-silent",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "The phone of {called} is registered and says nothing: the {story} was sent to {peer} and never answered.",
        clause: "RFC 3261 §16.8, §17.1.1.2",
        fix: "The phone has lost its network, its address or its security associations: look when it last registered, and at the NAT in between.",
        signs: &[Sign::Shows(callee_silent)],
    },
    Cause {
        name: "callee-gone",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "{node} says that {called} cannot be reached: {status} {words}.",
        clause: "TS 24.229 §5.4.3.3",
        fix: "See the registration of {called}: `ims explain registration {called}`.",
        signs: &[Sign::Warned(&[
            "registration ended",
            "registered at another shard",
            "the user is about to leave",
        ])],
    },
    Cause {
        name: "cancelled",
        verdict: Verdict::Happened,
        kinds: CALLS,
        sentence: "{who} gave up before {called} answered.",
        clause: "RFC 3261 §9.1",
        fix: "Nothing.",
        signs: &[Sign::Shows(cancelled)],
    },
    Cause {
        name: "busy",
        verdict: Verdict::Happened,
        kinds: TOWARDS_SOMEBODY,
        sentence: "{called} is busy.",
        clause: "RFC 3261 §21.4.24",
        fix: "Nothing.",
        signs: &[Sign::Refused(&[486, 600])],
    },
    Cause {
        name: "declined",
        verdict: Verdict::Happened,
        kinds: TOWARDS_SOMEBODY,
        sentence: "{called} declined.",
        clause: "RFC 3261 §21.6.2",
        fix: "Nothing.",
        signs: &[Sign::Refused(&[603])],
    },
    Cause {
        name: "no-answer",
        verdict: Verdict::Happened,
        kinds: CALLS,
        sentence: "The phone of {called} rang, and nobody answered.",
        clause: "RFC 3261 §21.4.9, §16.8",
        fix: "Nothing.",
        signs: &[Sign::Shows(rang_in_vain)],
    },
];

/// An offer in which each stream is secured, refused as not acceptable.
fn secured_alone(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let Some((refusal, _)) = story.refusal(events).filter(|(_, sip)| matches!(sip.status, 488 | 606)) else {
        return Vec::new();
    };
    let is_secured_alone = |sip: &crate::Sip| {
        let body = String::from_utf8_lossy(sip.body());
        let mut profiles =
            body.lines().filter_map(|line| line.strip_prefix("m=")?.split(' ').nth(2)).peekable();
        profiles.peek().is_some() && profiles.all(|profile| profile.contains("/SAVP"))
    };
    let offer = story.requests(events, "INVITE").into_iter().find(|(_, sip)| is_secured_alone(sip));
    offer.map(|(offer, _)| vec![refusal, offer]).unwrap_or_default()
}

fn cancelled(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let cancel = story.sips(events).find(|(_, sip)| sip.is_request() && sip.method == "CANCEL");
    let ended = story.sips(events).find(|(_, sip)| sip.status == 487 && sip.method == "INVITE");
    // One that a phone sent: a proxy cancels branches for reasons of its own.
    match (cancel, ended, &story.outcome) {
        (Some((cancel, _)), Some((ended, _)), Outcome::Refused(487)) => vec![cancel, ended],
        _ => Vec::new(),
    }
}

fn has_rung(story: &Story, scene: &Scene) -> Option<usize> {
    let mut sips = story.sips(scene.events());
    sips.find(|(_, sip)| matches!(sip.status, 180..=189) && sip.method == "INVITE").map(|(at, _)| at)
}

fn rang_in_vain(story: &Story, scene: &Scene) -> Vec<usize> {
    match (&story.outcome, has_rung(story, scene), story.refusal(scene.events())) {
        (Outcome::Refused(408 | 480), Some(rang), Some((end, _))) => vec![rang, end],
        _ => Vec::new(),
    }
}

/// The last request towards the called phone has no answer of any kind.
fn callee_silent(story: &Story, scene: &Scene) -> Vec<usize> {
    if !matches!(story.outcome, Outcome::Unanswered | Outcome::Refused(408 | 480 | 487 | 504)) {
        return Vec::new();
    }
    let events = scene.events();
    let mut towards = story.sips(events).filter(|(at, sip)| {
        let from_pcscf = events[*at].ends.0 == Function::Pcscf;
        let out_of_core = matches!(events[*at].ends.1, Function::Ue | Function::Other);
        sip.is_request() && sip.method == story.method && from_pcscf && out_of_core
    });
    let Some((at, _)) = towards.next_back() else { return Vec::new() };
    let Some((_, phone)) = events[at].addresses else { return Vec::new() };
    let answered = story.sips(events).any(|(other, sip)| {
        !sip.is_request() && events[other].addresses.is_some_and(|(from, _)| from == phone)
    });
    if answered { Vec::new() } else { vec![at] }
}

/// The phone that called or was called does not say that it hangs up, and something in between does.
fn network_bye(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let byes: Vec<usize> = story
        .sips(events)
        .filter(|(_, sip)| sip.is_request() && sip.method == "BYE")
        .map(|(at, _)| at)
        .collect();
    let first = byes.first().map(|at| &events[*at]);
    let is_of_network = first.is_some_and(|event| {
        matches!(event.ends.0, Function::Scscf | Function::Pcscf | Function::Ecscf)
            && event.sip().is_some_and(|sip| sip.header_all(Name::Via).len() == 1)
    });
    if is_of_network { byes } else { Vec::new() }
}

fn session_expired(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let byes = network_bye(story, scene);
    let of_phone = story.sips(events).filter(|(_, sip)| sip.is_request() && sip.method == "BYE");
    let says_so = |at: &usize| {
        events[*at].sip().is_some_and(|sip| {
            let reason = sip.header(Name::Reason).to_ascii_lowercase();
            reason.contains("cause=408") || (reason.contains("session") && reason.contains("expired"))
        })
    };
    let told: Vec<usize> = byes.iter().copied().chain(of_phone.map(|(at, _)| at)).filter(says_so).collect();
    if let Some(first) = told.first() {
        return vec![*first];
    }
    // Whoever ends it gives no reason: the interval that was agreed on is over.
    let agreed = story
        .sips(events)
        .filter(|(_, sip)| sip.status == 200 && matches!(sip.method.as_str(), "INVITE" | "UPDATE"));
    let interval = |sip: &crate::Sip| {
        let value = sip.header(Name::SessionExpires);
        value.split(';').next().and_then(|seconds| seconds.trim().parse::<u64>().ok())
    };
    let last = agreed.filter_map(|(at, sip)| Some((at, interval(sip)?))).next_back();
    let bye = story.sips(events).find(|(_, sip)| sip.is_request() && sip.method == "BYE").map(|(at, _)| at);
    match (last, bye) {
        (Some((at, seconds)), Some(bye)) => {
            let lasted = events[bye].at_ms.saturating_sub(events[at].at_ms);
            // RFC 4028 §10: the BYE comes at two thirds or shortly before the end, at the earliest 32 s before it.
            let earliest = seconds.saturating_sub(32.min(seconds / 3)) * 1000;
            if lasted + 1000 >= earliest && seconds > 0 { vec![at, bye] } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}

fn released(story: &Story, scene: &Scene) -> Vec<usize> {
    network_bye(story, scene)
}

/// A 200 that was sent three times or more by its first sender, and no ACK that anybody saw.
fn unacknowledged(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let answers: Vec<(usize, &crate::Sip)> =
        story.sips(events).filter(|(_, sip)| sip.status == 200 && sip.method == "INVITE").collect();
    let Some((first, sip)) = answers.first() else { return Vec::new() };
    let has_ack = story
        .sips(events)
        .any(|(_, other)| other.is_request() && other.method == "ACK" && other.cseq == sip.cseq);
    let again = answers
        .iter()
        .filter(|(at, other)| other.cseq == sip.cseq && events[*at].addresses == events[*first].addresses);
    let again: Vec<usize> = again.map(|(at, _)| *at).collect();
    if !has_ack && again.len() >= 3 { again } else { Vec::new() }
}
