//! The registrar and the way to it.

use crate::cause::{Cause, Sign, Verdict, warned};
use crate::scene::Scene;
use crate::sip::Sip;
use crate::story::{Kind, Outcome, Story};
use recorder::Function;
use sip_core::Name;

const REGISTRATIONS: &[Kind] = &[Kind::Registration, Kind::Deregistration];

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "deregistered-by-network",
        verdict: Verdict::Fault,
        kinds: &[Kind::Termination],
        sentence: "The HSS ended the registration of {who}: {detail}.",
        clause: "TS 29.228 §6.4, TS 24.229 §5.4.1.5",
        fix: "It is what an operator or the HSS asked for; with SERVER_CHANGE the phone registers again by itself.",
        signs: &[Sign::Shows(terminated)],
    },
    Cause {
        name: "no-dns-record",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "DNS has no record that leads {node} on: {detail}.",
        clause: "RFC 3263 §4, TS 23.003 §13",
        fix: "Add the record (NAPTR and SRV, or A), write the address under `[names]`, or set `pcscf.icscf`.",
        signs: &[Sign::Found("unresolved", "no record")],
    },
    Cause {
        name: "dns-silent",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The DNS server does not answer {node}: {detail}.",
        clause: "RFC 3263 §4",
        fix: "Check `dns.servers` (else /etc/resolv.conf), and that UDP and TCP 53 get through.",
        signs: &[Sign::Found("unresolved", "no answer")],
    },
    Cause {
        name: "no-common-transport",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} has no transport that the next hop takes: {detail}.",
        clause: "RFC 3263 §4.1",
        fix: "Let the node listen for UDP and TCP, and for TLS where a `sips:` URI or the record asks for it.",
        signs: &[Sign::Found("unresolved", "no common transport")],
    },
    Cause {
        name: "hss-names-wrong-scscf",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "The HSS names {peer} as the S-CSCF of {who}, where nothing answers, and the S-CSCF is somewhere else.",
        clause: "TS 29.228 §6.1.1, TS 24.229 §5.3.1.2",
        fix: "Correct the S-CSCF's name in the subscriber data (host and port), so that it leads to where `scscf.listen` is.",
        signs: &[Sign::Shows(named_wrongly)],
    },
    Cause {
        name: "scscf-unavailable",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "No S-CSCF answers: the I-CSCF tried all that it may.",
        clause: "TS 24.229 §5.3.1.3",
        fix: "Start the S-CSCF; compare `icscf.scscfs` and the name that the HSS has with where it listens.",
        signs: &[Sign::Warned(&["no S-CSCF answers"]), Sign::Shows(tried_in_vain)],
    },
    Cause {
        name: "no-scscf-with-capabilities",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "No S-CSCF has the capabilities that the HSS wants for {who}.",
        clause: "TS 29.228 §6.1.1, TS 24.229 §5.3.1.2",
        fix: "Compare Server-Capabilities in the UAA or LIA with `icscf.scscfs`.",
        signs: &[Sign::Warned(&["no S-CSCF can be selected", "HSS names no SIP URI as the S-CSCF"])],
    },
    Cause {
        name: "not-by-a-pcscf",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{who} sent its REGISTER straight to {node}, and to no P-CSCF.",
        clause: "TS 24.229 §5.1.1.2.1, §9.2.1",
        fix: "Give the phone the address of the P-CSCF: it is in the PCO of the APN, in DHCP, or in the phone's own settings.",
        signs: &[Sign::Shows(without_pcscf)],
    },
    Cause {
        name: "not-trusted",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} does not trust where the {story} came from: {words}.",
        clause: "TS 24.229 §4.4, TS 33.210",
        fix: "Add the address of the sender to `trust.domain` at that node, if it is one of the network.",
        signs: &[Sign::Warned(&[
            "REGISTER from outside the trust domain",
            "request from outside the trust domain",
            "not from the trust domain",
            "registrar outside the trust domain",
        ])],
    },
    Cause {
        name: "store-failed",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} could not write the registration of {who} to its store, and grants nothing that a restart would lose.",
        clause: "TS 24.229 §5.4.1.2.2",
        fix: "Look at the disk and at `store.path`: full, read-only, or another owner.",
        signs: &[Sign::Warned(&["registration could not be stored"])],
    },
    Cause {
        name: "shutting-down",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} is shutting down and takes no new work.",
        clause: "RFC 3261 §21.5.4",
        fix: "Wait for its restart: Retry-After of the 503 says how long.",
        signs: &[Sign::Warned(&["shutting down"])],
    },
    Cause {
        name: "overload",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} has as much as it takes: {words}.",
        clause: "RFC 3261 §21.5.4",
        fix: "Raise the bound that the words name (`[limits]`, `registrations_max`), or spread the load.",
        signs: &[Sign::Warned(&[
            "too many registrations",
            "too many open transactions",
            "too many open requests of one source",
            "the user's shard is busy",
            "too many subscriptions",
            "too many requests at application servers",
        ])],
    },
    Cause {
        name: "too-many-contacts",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{who} has as many contacts registered as one user may have.",
        clause: "TS 24.229 §5.4.1.2.2",
        fix: "De-register phones that are gone (`ims reg deregister`), or raise `scscf.contacts_max`.",
        signs: &[Sign::Warned(&["too many contacts"])],
    },
    Cause {
        name: "registration-lapsed",
        verdict: Verdict::Fault,
        kinds: &[Kind::Call, Kind::Text, Kind::Request],
        sentence: "The registration of {who} had run out when its {story} came.",
        clause: "TS 24.229 §5.1.1.4, RFC 3261 §10.2.4",
        fix: "The UE did not refresh in time: look at Expires of its last 200 OK, at its clock, and at whether the refresh was lost.",
        signs: &[Sign::Shows(lapsed)],
    },
    Cause {
        name: "caller-not-registered",
        verdict: Verdict::Fault,
        kinds: &[Kind::Call, Kind::Text, Kind::Request],
        sentence: "{who} is not registered, and its {story} came all the same.",
        clause: "TS 24.229 §5.2.6.3",
        fix: "The UE registers first; see why it is not: `ims explain registration`.",
        signs: &[Sign::Warned(&["sender is not registered", "no asserted identity"])],
    },
    Cause {
        name: "core-silent",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} forwarded the {story} of {who} to {peer} and heard nothing from there.",
        clause: "TS 24.229 §5.2.2, RFC 3261 §17.1.2",
        fix: "Start what listens at {peer}, and check addresses, ports and what firewalls let through.",
        signs: &[Sign::Shows(core_silent)],
    },
    Cause {
        name: "core-unreachable",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{node} found no way into the core for the {story} of {who}: {words}.",
        clause: "TS 24.229 §5.2.2, RFC 3263 §4",
        fix: "Check `pcscf.icscf` or the DNS records of the home domain, and that the next hop takes connections.",
        signs: &[Sign::Warned(&["core network does not answer"])],
    },
    Cause {
        name: "pcscf-silent",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "Nobody answered the {story} of {who}: {peer} is not there, or what it sends does not come back.",
        clause: "RFC 3261 §17.1.2, TS 24.229 §5.1.1.2",
        fix: "Start the P-CSCF, and check its address, the way to it, and what lies between (NAT, firewall, MTU).",
        signs: &[Sign::Shows(unanswered)],
    },
];

fn terminated(story: &Story, _: &Scene) -> Vec<usize> {
    story.events.clone()
}

/// A refusal for want of a registration that there was before.
fn lapsed(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let words = &["sender is not registered", "security association has ended"];
    let refusal = story.events.iter().copied().find(|at| warned(&events[*at], words));
    let before = scene.registration_of(&story.who, story.span_ms.0);
    let (Some(refusal), Some(before)) = (refusal, before) else { return Vec::new() };
    if before.outcome != Outcome::Success {
        return Vec::new();
    }
    let is_expiry = |event: &crate::Event| {
        event.fact().is_some_and(|fact| {
            (fact.name == "registration_ended" || fact.name == "registration") && fact.cause == "expired"
        })
    };
    let expiry = (0..refusal).rev().find(|at| is_expiry(&events[*at]));
    let granted = before.sips(events).filter(|(_, sip)| sip.status == 200).map(|(at, _)| at).next_back();
    // Without the word of a node, the time that was granted says it.
    let is_over = granted.is_some_and(|at| {
        let sip = events[at].sip();
        let contact = sip.map(|sip| sip.header(Name::Contact)).unwrap_or_default();
        let expires = contact.split(';').find_map(|part| part.trim().strip_prefix("expires="));
        let seconds = expires.and_then(|digits| digits.trim().parse::<u64>().ok());
        seconds.is_some_and(|seconds| events[refusal].at_ms >= events[at].at_ms + seconds * 1000)
    });
    match (granted, expiry) {
        (Some(granted), Some(expiry)) => vec![granted, expiry, refusal],
        (Some(granted), None) if is_over => vec![granted, refusal],
        _ => Vec::new(),
    }
}

/// A request that a P-CSCF passed into the core, and its own refusal as the only answer.
fn core_silent(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let words = &["core network does not answer"];
    let refusal = story.events.iter().copied().find(|at| warned(&events[*at], words));
    let Some(refusal) = refusal else { return Vec::new() };
    let node = &events[refusal].node;
    let forwarded = story.sips(events).filter(|(at, sip)| {
        sip.is_request()
            && sip.method == story.method
            && events[*at].from == events[refusal].from
            && events[*at].node == *node
    });
    match forwarded.map(|(at, _)| at).next_back() {
        Some(forwarded) => vec![forwarded, refusal],
        None => Vec::new(),
    }
}

/// A request that was sent to an S-CSCF before none could be selected, and not answered from there.
fn tried_in_vain(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let words = &["no S-CSCF can be selected"];
    let refusal = story.events.iter().copied().find(|at| warned(&events[*at], words));
    let Some(refusal) = refusal else { return Vec::new() };
    let tried = story.sips(events).find(|(at, sip)| {
        sip.is_request()
            && *at < refusal
            && events[*at].from == events[refusal].from
            && sip.method == story.method
    });
    let answers = |at: usize| {
        let Some((_, scscf)) = events[at].addresses else { return true };
        story.sips(events).any(|(other, sip)| {
            !sip.is_request() && events[other].addresses.is_some_and(|(from, _)| from == scscf)
        })
    };
    match tried {
        Some((tried, _)) if !answers(tried) => vec![tried, refusal],
        _ => Vec::new(),
    }
}

/// A request that went where the HSS said, was not answered from there, and an S-CSCF that is known from elsewhere.
fn named_wrongly(story: &Story, scene: &Scene) -> Vec<usize> {
    let tried = tried_in_vain(story, scene);
    let Some(first) = tried.first() else { return Vec::new() };
    let events = scene.events();
    let uri = events[*first].sip().map(|sip| sip.uri.as_str()).unwrap_or_default();
    let names_it = |at: &usize| {
        let answer = events[*at].diameter().filter(|diameter| !diameter.is_request);
        answer.is_some_and(|answer| !uri.is_empty() && answer.server_name == uri)
    };
    let named = story.events.iter().copied().find(names_it);
    // What an S-CSCF of that address said would have been an answer.
    let is_elsewhere = events.iter().any(|event| event.node.function == Function::Scscf);
    match named {
        Some(named) if is_elsewhere => {
            std::iter::once(*first).chain([named]).chain(tried[1..].to_vec()).collect()
        }
        _ => Vec::new(),
    }
}

/// A REGISTER that no proxy has forwarded, and the refusal of who does not take it so.
fn without_pcscf(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let words = &["REGISTER from outside the trust domain", "registrar outside the trust domain"];
    let Some(refusal) = story.events.iter().copied().find(|at| warned(&events[*at], words)) else {
        return Vec::new();
    };
    let is_straight = |sip: &Sip| sip.header_all(Name::Via).len() == 1 && !sip.has(Name::Path);
    let straight = story
        .sips(events)
        .find(|(at, sip)| sip.is_request() && is_straight(sip) && events[*at].to == events[refusal].from);
    straight.map(|(straight, _)| vec![refusal, straight]).unwrap_or_default()
}

/// No response at all, to anybody.
fn unanswered(story: &Story, scene: &Scene) -> Vec<usize> {
    let events = scene.events();
    let has_answer = story.sips(events).any(|(_, sip)| !sip.is_request());
    if story.outcome != Outcome::Unanswered || has_answer {
        return Vec::new();
    }
    let first = story.sips(events).next().map(|(at, _)| at);
    // Somebody passed it on: then it is not the first hop that is silent.
    let passed_on = first.is_some_and(|first| {
        let sender = &events[first].from;
        story.sips(events).any(|(at, _)| events[at].from != *sender)
    });
    first.filter(|_| !passed_on).into_iter().collect()
}
