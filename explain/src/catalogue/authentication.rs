//! Who the UE is: AKA and SIP digest.

use crate::cause::{Cause, Sign, Verdict, warned};
use crate::scene::Scene;
use crate::sip::Sip;
use crate::story::{Kind, Outcome, Story};
use diameter_client::cx::CxResult;
use recorder::Function;

const REGISTRATIONS: &[Kind] = &[Kind::Registration, Kind::Deregistration];

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "op-as-opc",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The card of {impi} does not believe the network: what is stored as its OPc is stored for cards with other keys, too, so that it is the operator's OP and not an OPc.",
        clause: "TS 35.206 §8.1, TS 33.102 §6.3.3",
        fix: "Store it as OP: `ims sub` derives OPc(K, OP) for each card; an OPc is never the same for two of them.",
        signs: &[Sign::Shows(op_as_opc)],
    },
    Cause {
        name: "wrong-key",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The card of {impi} does not believe the network (MAC failure): K, OPc or AMF in the HSS are not those of the card, or OP was entered as OPc.",
        clause: "TS 33.102 §6.3.3, TS 24.229 §5.1.1.5.3",
        fix: "Enter K and OPc of this card again, as the card's supplier gave them; where you were given OP, let `ims sub` derive OPc from it.",
        signs: &[Sign::Shows(disbelieved), Sign::Warned(&["challenge not believed"])],
    },
    Cause {
        name: "sqn-loop",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The card of {impi} asks for another sequence number again and again: what the HSS takes from AUTS does not move its SQN to where the card is.",
        clause: "TS 33.102 §6.3.5",
        fix: "Two systems may count for this card, or AUTS fails its check for a wrong K or OPc: see `ims hss show {impi}`, and set it with `ims hss set-sqn`.",
        signs: &[Sign::Shows(resynchronised_in_vain)],
    },
    Cause {
        name: "challenge-expired",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The S-CSCF had given up the challenge of {impi} when its answer came, and challenged it again.",
        clause: "TS 24.229 §5.4.1.2.3, table 7.8.1",
        fix: "Raise `scscf.reg_await_auth`, or see what takes the answer so long: the card, the radio, requests that are sent again.",
        signs: &[Sign::Shows(answered_too_late)],
    },
    Cause {
        name: "wrong-password",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{impi} answered its challenge with another password than the HSS has.",
        clause: "TS 33.203 Annex N, RFC 7616 §3.4",
        fix: "Enter the password again at the phone or in the HSS; the HSS keeps H(A1), which depends on IMPI and realm, too.",
        signs: &[Sign::Shows(|story, scene| wrong_response(story, scene, Scheme::Digest))],
    },
    Cause {
        name: "wrong-response",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{impi} believed the challenge and answered it wrongly: its RES is not the XRES of the HSS.",
        clause: "TS 33.203 §6.1.1, RFC 3310 §3.3",
        fix: "The card's algorithm or the way the UE makes its digest of RES differs: compare Authorization below with the challenge (algorithm, qop, RES as binary).",
        signs: &[
            Sign::Shows(|story, scene| wrong_response(story, scene, Scheme::Aka)),
            Sign::Warned(&["authentication failed"]),
        ],
    },
    Cause {
        name: "auts-refused",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{impi} asked for another sequence number, and its AUTS could not be used.",
        clause: "TS 33.102 §6.3.5, RFC 3310 §3.4",
        fix: "AUTS is 14 octets in base64 of the challenge that is out: a late REGISTER of an older challenge has none.",
        signs: &[Sign::Warned(&["malformed auts", "no challenge to resynchronise"])],
    },
    Cause {
        name: "scheme-not-supported",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The HSS has no credentials for {impi} of the scheme that was asked for ({detail}).",
        clause: "TS 29.228 §6.3, TS 33.203 Annex P",
        fix: "Give the subscriber K and OPc for AKA, or a password for SIP digest; see `ims hss show {impi}`.",
        signs: &[
            Sign::Cx(&[303], &[CxResult::AUTH_SCHEME_NOT_SUPPORTED]),
            Sign::Warned(&["authentication scheme not supported"]),
        ],
    },
    Cause {
        name: "access-scheme-refused",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The P-CSCF does not let {who} in by this way from this access network: {words}.",
        clause: "TS 33.203 Annex P",
        fix: "`access.networks` says which address ranges may use which scheme.",
        signs: &[Sign::Warned(&[
            "access network is not served",
            "IMS-AKA is not allowed on this access",
            "SIP digest is not allowed on this access",
            "SIP digest over TLS is not allowed on this access",
            "REGISTER without credentials, and GIBA is not allowed on this access",
        ])],
    },
    Cause {
        name: "no-vector",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The HSS gave no authentication vector that can be used for {impi}.",
        clause: "TS 29.228 §6.3.1",
        fix: "Look at SIP-Auth-Data-Item in the MAA: RAND, AUTN, XRES, CK and IK must be there.",
        signs: &[Sign::Warned(&["no usable vector from the hss"])],
    },
    Cause {
        name: "challenge-unanswered",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{impi} was challenged and never answered: its K or OPc differ from the card's and it drops the challenge silently, or its answer does not arrive (ESP, NAT, MTU).",
        clause: "TS 33.102 §6.3.3, TS 33.203 §6.1.1",
        fix: "Compare K and OPc with the card's; where the UE does send a second REGISTER, see `ims counters pcscf` for what the P-CSCF drops.",
        signs: &[Sign::Shows(unanswered)],
    },
    Cause {
        name: "sqn-resynchronised",
        verdict: Verdict::Happened,
        kinds: REGISTRATIONS,
        sentence: "The HSS counted behind the card of {impi} or far ahead of it; the sequence number was brought into step, and the registration went on.",
        clause: "TS 33.102 §6.3.5",
        fix: "Nothing, unless it comes back: then two systems count for this card.",
        signs: &[Sign::Shows(resynchronised)],
    },
];

/// How a UE authenticates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Aka,
    Digest,
}

fn registers<'s>(story: &'s Story, scene: &'s Scene) -> impl Iterator<Item = (usize, &'s Sip)> {
    story.requests(scene.events(), "REGISTER").into_iter()
}

/// REGISTERs that name a challenge and answer it with nothing.
fn disbelieved(story: &Story, scene: &Scene) -> Vec<usize> {
    if story.outcome == Outcome::Success {
        return Vec::new();
    }
    let empty = registers(story, scene).filter(|(_, sip)| sip.disbelieves_challenge());
    let empty: Vec<usize> = empty.map(|(at, _)| at).collect();
    let Some(first) = empty.first() else { return empty };
    let challenge = challenge_before(story, scene, *first);
    challenge.into_iter().chain(empty.iter().copied()).collect()
}

fn op_as_opc(story: &Story, scene: &Scene) -> Vec<usize> {
    if !scene.known().shares_opc(&story.impi) {
        return Vec::new();
    }
    match disbelieved(story, scene) {
        found if found.is_empty() => unanswered(story, scene),
        found => found,
    }
}

fn challenge_before(story: &Story, scene: &Scene, at: usize) -> Option<usize> {
    let challenges = story.sips(scene.events()).filter(|(_, sip)| sip.status == 401);
    challenges.map(|(at, _)| at).take_while(|challenge| *challenge < at).last()
}

fn asking(story: &Story, scene: &Scene) -> Vec<usize> {
    registers(story, scene).filter(|(_, sip)| sip.asks_to_resynchronise()).map(|(at, _)| at).collect()
}

fn resynchronised_in_vain(story: &Story, scene: &Scene) -> Vec<usize> {
    match asking(story, scene) {
        asked if asked.len() >= 2 && story.outcome != Outcome::Success => asked,
        _ => Vec::new(),
    }
}

fn resynchronised(story: &Story, scene: &Scene) -> Vec<usize> {
    if story.outcome == Outcome::Success { asking(story, scene) } else { Vec::new() }
}

/// A refusal of an answer that was not empty.
fn wrong_response(story: &Story, scene: &Scene, scheme: Scheme) -> Vec<usize> {
    if !matches!(story.outcome, Outcome::Refused(401 | 403)) {
        return Vec::new();
    }
    let events = scene.events();
    let answer = registers(story, scene).filter(|(_, sip)| sip.answers_challenge()).last();
    let Some((answer, sip)) = answer else { return Vec::new() };
    let algorithm = sip.credential("algorithm").unwrap_or_default().to_ascii_uppercase();
    let is_aka = algorithm.is_empty() || algorithm.starts_with("AKA");
    if is_aka != (scheme == Scheme::Aka) {
        return Vec::new();
    }
    let of_registrar = |at: &usize| warned(&events[*at], &["authentication failed"]);
    let refused = story.events.iter().copied().find(of_registrar);
    // Of a registrar that says no more than 403, the HSS hears it (TS 29.229 §6.3.15: AUTHENTICATION_FAILURE).
    let told = story.events.iter().copied().find(|at| {
        let sar = events[*at].diameter().filter(|diameter| diameter.command == 301 && diameter.is_request);
        sar.is_some_and(|sar| sar.assignment == Some(AUTHENTICATION_FAILURE))
    });
    // Or it says so in its own words.
    let in_words = story.refusal(events).filter(|(_, refusal)| {
        let reason = refusal.reason.to_ascii_lowercase();
        refusal.status == 403 && refusal.cseq == sip.cseq && reason.contains("authentication fail")
    });
    match refused.or(told).or(in_words.map(|(at, _)| at)) {
        Some(shown) => vec![answer, shown],
        None if story.outcome == Outcome::Refused(401) => vec![answer],
        None => Vec::new(),
    }
}

/// An answer behind the SAR by which the S-CSCF tells that it waits no longer (TS 29.229 §6.3.15).
fn answered_too_late(story: &Story, scene: &Scene) -> Vec<usize> {
    if story.outcome != Outcome::Refused(401) {
        return Vec::new();
    }
    let events = scene.events();
    let gives_up = |at: &usize| {
        let sar = events[*at].diameter().filter(|diameter| diameter.command == 301 && diameter.is_request);
        sar.is_some_and(|sar| sar.assignment == Some(AUTHENTICATION_TIMEOUT))
    };
    let Some(given_up) = story.events.iter().copied().find(gives_up) else { return Vec::new() };
    let challenge = challenge_before(story, scene, given_up);
    let late = registers(story, scene).find(|(at, sip)| *at > given_up && sip.answers_challenge());
    match (challenge, late) {
        (Some(challenge), Some((late, _))) => vec![challenge, given_up, late],
        _ => Vec::new(),
    }
}

/// A challenge that is the last word of the network, and no REGISTER behind it.
fn unanswered(story: &Story, scene: &Scene) -> Vec<usize> {
    if story.outcome != Outcome::Refused(401) {
        return Vec::new();
    }
    let events = scene.events();
    let first = registers(story, scene).next();
    let answers = registers(story, scene).any(|(at, sip)| {
        let arrived = events[at].ends.1 != Function::Pcscf || events[at].arrived != Some(false);
        arrived && (sip.answers_challenge() || sip.asks_to_resynchronise() || sip.disbelieves_challenge())
    });
    let challenge = story.sips(events).rfind(|(_, sip)| sip.status == 401);
    match (first, challenge, answers) {
        (Some((first, _)), Some((challenge, _)), false) => vec![first, challenge],
        _ => Vec::new(),
    }
}

/// Server-Assignment-Type AUTHENTICATION_FAILURE.
const AUTHENTICATION_FAILURE: u32 = 9;
/// Server-Assignment-Type AUTHENTICATION_TIMEOUT.
const AUTHENTICATION_TIMEOUT: u32 = 10;
