//! What the HSS knows of the identities.

use crate::cause::{Cause, Sign, Verdict};
use crate::scene::{Scene, host_part, user_part};
use crate::story::{Kind, Outcome, Story};
use diameter_client::cx::CxResult;

const REGISTRATIONS: &[Kind] = &[Kind::Registration, Kind::Deregistration];
const TOWARDS_SOMEBODY: &[Kind] = &[Kind::Call, Kind::Text, Kind::Request];
const UAR: u32 = 300;
const SAR: u32 = 301;
const LIR: u32 = 302;
const MAR: u32 = 303;

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        name: "mnc-digits",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{impi} reads the MNC of its IMSI with another number of digits than the network: its domain {domain} is not that of the home network.",
        clause: "TS 23.003 §13.2, TS 31.102 §4.2.18",
        fix: "Correct the length of the MNC on the card (EF_AD, octet 4) or `plmn.mnc` in the configuration: \"01\" and \"010\" are two networks.",
        signs: &[Sign::Shows(mnc_digits)],
    },
    Cause {
        name: "domain-not-ours",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{who} wants to register in the domain {domain}, which is not that of this network.",
        clause: "TS 23.003 §13.2, TS 24.229 §5.1.1.2.1",
        fix: "Correct the home domain of the card (EF_DOMAIN of an ISIM, else from the IMSI), or `[plmn]` and `home.domain` of the network.",
        signs: &[Sign::Shows(foreign_domain)],
    },
    Cause {
        name: "unknown-identity",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The HSS knows no {identity} with {impi}{near}.",
        clause: "TS 29.228 §6.1.1, TS 24.229 §5.3.1.3",
        fix: "Add the subscriber or the public identity (`ims sub`), or correct the card.",
        signs: &[
            Sign::Cx(&[UAR, MAR, SAR], &[CxResult::USER_UNKNOWN]),
            Sign::Warned(&["HSS does not know the user", "user unknown"]),
        ],
    },
    Cause {
        name: "identities-do-not-match",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{impi} and {identity} are of two subscribers.",
        clause: "TS 29.228 §6.1.1",
        fix: "Give the public identity to this private one in the HSS, or correct the card (EF_IMPI, EF_IMPU).",
        signs: &[
            Sign::Cx(&[UAR, MAR, SAR], &[CxResult::IDENTITIES_DONT_MATCH]),
            Sign::Warned(&["public and private identity do not belong together", "identities do not match"]),
        ],
    },
    Cause {
        name: "roaming-not-allowed",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "{who} may not use the network that it is in: the HSS has no roaming agreement for it.",
        clause: "TS 29.228 §6.1.1, TS 24.229 §5.3.1.3",
        fix: "Allow the visited network (P-Visited-Network-ID of the REGISTER) for the subscriber, or correct `pcscf.visited_network_id`.",
        signs: &[
            Sign::Cx(&[UAR], &[CxResult::ROAMING_NOT_ALLOWED]),
            Sign::Warned(&["roaming is not allowed"]),
        ],
    },
    Cause {
        name: "barred-identity",
        verdict: Verdict::Fault,
        kinds: &[],
        sentence: "{identity} is barred, or may not register: the HSS authorizes nothing for it.",
        clause: "TS 29.228 §6.1.1, TS 23.228 §4.3.3.1",
        fix: "Lift the bar of the identity or allow the subscriber to register; a barred identity registers only together with others.",
        signs: &[
            Sign::Cx(&[UAR, MAR, SAR], &[CxResult::AUTHORIZATION_REJECTED]),
            Sign::Warned(&["HSS does not authorize the registration", "not authorized", "identity barred"]),
        ],
    },
    Cause {
        name: "identity-not-registered",
        verdict: Verdict::Fault,
        kinds: REGISTRATIONS,
        sentence: "The HSS has no registration of {identity} to end.",
        clause: "TS 29.228 §6.1.1",
        fix: "Nothing: it had ended before. The phone and the HSS disagree since a restart or a change by hand.",
        signs: &[
            Sign::Cx(&[UAR], &[CxResult::IDENTITY_NOT_REGISTERED]),
            Sign::Warned(&["identity is not registered"]),
        ],
    },
    Cause {
        name: "number-completed-wrongly",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "{called} was completed to {identity}, which nobody has{near}: the country code or the prefixes of the S-CSCF are not those by which it was dialled.",
        clause: "TS 24.229 §5.4.3.2, TS 23.228 §4.3.3",
        fix: "Compare `scscf.country_code`, `scscf.national_prefix` and `scscf.international_prefix` with how numbers are dialled here.",
        signs: &[Sign::Shows(completed_wrongly)],
    },
    Cause {
        name: "callee-unknown",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "Nobody has the identity {identity}{near}.",
        clause: "TS 29.228 §6.1.4, TS 24.229 §5.3.2.1",
        fix: "Add the identity to its subscriber (a number needs both `tel:` and `sip:`), or correct what was dialled.",
        signs: &[
            Sign::Cx(&[LIR], &[CxResult::USER_UNKNOWN]),
            Sign::Warned(&["HSS does not know the user", "user unknown", "no identity in request-uri"]),
        ],
    },
    Cause {
        name: "callee-not-registered",
        verdict: Verdict::Fault,
        kinds: TOWARDS_SOMEBODY,
        sentence: "{called} is not registered.",
        clause: "TS 29.228 §6.1.4, TS 24.229 §5.4.3.3",
        fix: "See why its phone is not registered: `ims explain registration {called}`.",
        signs: &[
            Sign::Cx(&[LIR], &[CxResult::IDENTITY_NOT_REGISTERED]),
            Sign::Warned(&["user is not registered", "not registered", "no registration behind this Path"]),
        ],
    },
];

/// The domains that are known to be of this network.
fn is_home(scene: &Scene, domain: &str) -> Option<bool> {
    let known = &scene.known().domain;
    if !known.is_empty() {
        return Some(known.eq_ignore_ascii_case(domain));
    }
    // What the elements of the core call their realm when they meet (RFC 6733 §5.3).
    let realms = scene.events().iter().filter_map(|event| event.diameter());
    let mut realms =
        realms.map(|diameter| diameter.origin_realm.as_str()).filter(|realm| !realm.is_empty()).peekable();
    realms.peek()?;
    Some(realms.any(|realm| realm.eq_ignore_ascii_case(domain)))
}

fn refused_first<'s>(story: &'s Story, scene: &'s Scene) -> Option<(usize, &'s crate::Sip, usize)> {
    let events = scene.events();
    let end = match story.outcome {
        Outcome::Success | Outcome::Refused(401) => return None,
        Outcome::Refused(_) => story.refusal(events)?.0,
        Outcome::Unanswered => *story.events.last()?,
    };
    let first = story.requests(events, "REGISTER").into_iter().next()?;
    Some((first.0, first.1, end))
}

fn foreign_domain(story: &Story, scene: &Scene) -> Vec<usize> {
    let Some((first, register, end)) = refused_first(story, scene) else { return Vec::new() };
    match is_home(scene, host_part(&register.uri)) {
        Some(false) => vec![first, end],
        _ => Vec::new(),
    }
}

/// The domain of a REGISTER names another network of the same country whose MNC is the IMSI's read the other way.
fn mnc_digits(story: &Story, scene: &Scene) -> Vec<usize> {
    let Some((first, register, end)) = refused_first(story, scene) else { return Vec::new() };
    let asked = host_part(&register.uri);
    let home = scene.known().domain.clone();
    let realms = scene.events().iter().filter_map(|event| Some(event.diameter()?.origin_realm.clone()));
    let differs = |home: String| {
        let imsi = user_part(&story.impi);
        let (Some(asked), Some(home)) = (plmn(asked), plmn(&home)) else { return false };
        let digits = |range: std::ops::Range<usize>| imsi.get(range).unwrap_or_default().to_owned();
        let readings = [format!("0{}", digits(3..5)), digits(3..6)];
        asked != home
            && asked.0 == home.0
            && readings.contains(&asked.1.to_owned())
            && readings.contains(&home.1.to_owned())
    };
    if std::iter::once(home).chain(realms).any(differs) { vec![first, end] } else { Vec::new() }
}

/// The HSS was asked for a number of the world, does not know it, and another one was dialled.
fn completed_wrongly(story: &Story, scene: &Scene) -> Vec<usize> {
    let dialled = user_part(&story.called);
    if story.outcome == Outcome::Success || !dialled.starts_with(|sign: char| sign.is_ascii_digit()) {
        return Vec::new();
    }
    let diameters = || story.events.iter().filter_map(|at| Some((*at, scene.events()[*at].diameter()?)));
    let unknown = diameters().find(|(_, answer)| {
        !answer.is_request && answer.command == LIR && answer.result == Some(CxResult::USER_UNKNOWN)
    });
    let Some((unknown, answer)) = unknown else { return Vec::new() };
    let asked = diameters().find(|(_, request)| request.is_request && request.session == answer.session);
    match asked {
        Some((asked, request)) if user_part(&request.public_identity).starts_with('+') => {
            vec![unknown, asked]
        }
        _ => Vec::new(),
    }
}

/// MCC and MNC of a domain by TS 23.003 §13.2.
fn plmn(domain: &str) -> Option<(&str, &str)> {
    let mut mnc = None;
    let mut mcc = None;
    for label in domain.split('.') {
        if let Some(digits) = label.strip_prefix("mnc") {
            mnc = Some(digits);
        } else if let Some(digits) = label.strip_prefix("mcc") {
            mcc = Some(digits);
        }
    }
    Some((mcc?, mnc?))
}
