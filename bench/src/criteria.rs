//! Initial filter criteria: a profile of twenty criteria with sixty triggers against an INVITE that none of them is for.

use crate::cases::Round;
use crate::rig::HOME;
use cscf::user_data::{
    ApplicationServer, Condition, InitialFilterCriteria, ServicePointTrigger, SessionCase, TriggerPoint,
};
use scscf::criteria::{Criteria, Facts, SharedSets};
use sip_core::{Limits, Message};

/// What five of the criteria ask about the content of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Octets that must stand there.
    Plain,
    /// Expressions that need an automaton.
    Expressions,
}

/// The criteria of the profile.
pub fn profile(content: Content) -> Vec<InitialFilterCriteria> {
    let method = || Condition::Method("INVITE".into());
    let case = || Condition::SessionCase(SessionCase::OriginatingRegistered);
    let mut criteria = Vec::new();
    for number in 0..5 {
        let (header, plain, expression) = CONTENTS[number];
        let content = if content == Content::Plain { plain } else { expression };
        let last = [
            Condition::SipHeader { header: header.into(), content: Some(content.into()) },
            Condition::SipHeader { header: ABSENT[number].into(), content: None },
            Condition::RequestUri(TARGETS[number].into()),
            Condition::SessionDescription { line: "m".into(), content: Some(MEDIA[number].into()) },
        ];
        for condition in last {
            let triggers = [method(), case(), condition].map(|condition| ServicePointTrigger {
                is_negated: false,
                groups: vec![0],
                condition,
                registration_types: Vec::new(),
            });
            criteria.push(InitialFilterCriteria {
                priority: criteria.len() as u32,
                trigger_point: Some(TriggerPoint { triggers: triggers.into(), ..TriggerPoint::default() }),
                application_server: ApplicationServer {
                    server_name: format!("sip:as{number}.{HOME}"),
                    ..ApplicationServer::default()
                },
                profile_part: None,
            });
        }
    }
    criteria
}

/// Of header fields of the INVITE: the name, octets that are not in it, and an expression that does not match it.
const CONTENTS: [(&str, &str, &str); 5] = [
    ("Accept-Contact", "icsi\\.mcptt", "icsi\\.(mcptt|mcvideo|mcdata)"),
    ("P-Asserted-Identity", "tel:\\+44", "^<?(sip|tel):\\+4[4-8][0-9]{6,12}"),
    ("User-Agent", "Desk", "(Desk|Soft)[ -]?[Pp]hone/[0-9]+\\.[0-9]+"),
    ("P-Access-Network-Info", "IEEE-802\\.11", "^(IEEE-802\\.1[15][a-z]?|xDSL|DOCSIS)"),
    ("Contact", "isfocus", ";(isfocus|automata|\\+g\\.oma\\.[a-z]+)"),
];
const ABSENT: [&str; 5] = ["Replaces", "Resource-Priority", "X-Charging", "Refer-To", "Privacy"];
const TARGETS: [&str; 5] = ["conference", "voicemail", "^conf", "example\\.org$", "anonymous\\.invalid"];
const MEDIA: [&str; 5] = ["video", "message", "text", "application", "image"];

/// An INVITE of 1.5 kB as an S-CSCF gets it.
pub fn invite() -> Message {
    let body = "v=0\r\no=- 3860941532 3860941532 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
        m=audio 49152 RTP/AVP 97 101\r\nb=AS:41\r\na=rtpmap:97 AMR-WB/16000/1\r\n\
        a=fmtp:97 mode-change-capability=2\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
        a=ptime:20\r\na=sendrecv\r\n";
    let head = format!(
        "INVITE sip:bob@{HOME} SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.10:5060;branch=z9hG4bKcore1\n\
         Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=5060\n\
         Route: <sip:aab@scscf.{HOME}:6060;lr>\nMax-Forwards: 69\n\
         From: <sip:alice@{HOME}>;tag=a1b2c3d4\nTo: <sip:bob@{HOME}>\nCall-ID: 1@10.0.0.1\nCSeq: 1 INVITE\n\
         Contact: <sip:alice@10.0.0.1:5060>;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\n\
         Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\n\
         P-Asserted-Identity: <sip:alice@{HOME}>\n\
         P-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy\n\
         P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000101\n\
         Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, MESSAGE\nSupported: 100rel, timer, precondition\n\
         User-Agent: Phone/14.1 Voice/9\nX-Trace: 5f2c\n\
         Record-Route: <sip:aaatoken0123456789@127.0.0.10:5060;lr>\nSession-Expires: 1800\nMin-SE: 90\n\
         P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel\nP-Early-Media: supported\n\
         Accept: application/sdp, application/3gpp-ims+xml\n\
         Content-Type: application/sdp\nContent-Length: {}\n\n",
        body.len()
    );
    let text = head.replace('\n', "\r\n") + body;
    assert!((1450..1550).contains(&text.len()), "{} octets", text.len());
    Message::parse(text.into_bytes(), &Limits::default()).expect("a well-formed message")
}

/// Evaluates the whole profile; nothing matches.
pub fn evaluate(content: Content) -> Round {
    let criteria = compiled(&profile(content));
    against(criteria, invite())
}

/// How long the header value is that the worst expression walks.
pub const WORST_OCTETS: usize = 40_000;

/// The expression that an engine with backtracking would take longest for, on the longest value that a message can have.
pub fn worst() -> Round {
    let content = "^((a*)*|(a|aa)+|[ab]*a[ab]{7})*$";
    let trigger = ServicePointTrigger {
        is_negated: false,
        groups: vec![0],
        condition: Condition::SipHeader { header: "X-Long".into(), content: Some(content.into()) },
        registration_types: Vec::new(),
    };
    let criterion = InitialFilterCriteria {
        trigger_point: Some(TriggerPoint { triggers: vec![trigger], ..TriggerPoint::default() }),
        ..InitialFilterCriteria::default()
    };
    let long = "a".repeat(WORST_OCTETS - 1) + "!";
    let text = format!("INVITE sip:bob@{HOME} SIP/2.0\r\nX-Long: {long}\r\nCSeq: 1 INVITE\r\n\r\n");
    let message = Message::parse(text.into_bytes(), &Limits::default()).expect("a well-formed message");
    against(compiled(&[criterion]), message)
}

fn compiled(criteria: &[InitialFilterCriteria]) -> Criteria {
    Criteria::compile(criteria, &[], &SharedSets::default()).expect("criteria that can be compiled")
}

fn against(criteria: Criteria, message: Message) -> Round {
    Box::new(move || {
        let facts = Facts {
            message: std::hint::black_box(&message),
            case: SessionCase::OriginatingRegistered,
            is_registered: true,
            registration: None,
        };
        assert!(std::hint::black_box(criteria.next(None, &facts)).is_none(), "nothing matches");
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use scscf::criteria::expression::{Case, Compiler};

    #[test]
    fn expressions_need_automata_and_what_is_plain_does_not() {
        let is_machine = |text: &str| {
            let compiled = Compiler::default().compile(text, Case::Ignored);
            compiled.expect("an expression").is_machine()
        };
        for (header, plain, expression) in CONTENTS {
            assert!(!is_machine(plain) && is_machine(expression), "{header}");
        }
        for plain in TARGETS.iter().chain(&MEDIA).chain(&ABSENT) {
            assert!(!is_machine(plain), "{plain}");
        }
    }

    #[test]
    fn the_profile_has_twenty_criteria_with_sixty_triggers_and_each_could_match_another_invite() {
        let criteria = profile(Content::Expressions);
        let triggers = criteria.iter().flat_map(|criterion| &criterion.trigger_point);
        assert_eq!((criteria.len(), triggers.map(|point| point.triggers.len()).sum::<usize>()), (20, 60));
        // Every condition is asked: negated, each criterion matches.
        let message = invite();
        let facts = Facts {
            message: &message,
            case: SessionCase::OriginatingRegistered,
            is_registered: true,
            registration: None,
        };
        for mut criterion in criteria {
            let point = criterion.trigger_point.as_mut().expect("it has triggers");
            point.triggers[2].is_negated = true;
            assert!(compiled(&[criterion.clone()]).next(None, &facts).is_some(), "{criterion:?}");
        }
    }
}
