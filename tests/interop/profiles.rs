//! Service profiles for a comparison: made of a seed, and of what two S-CSCFs understand alike; and those that they do not.

use ambient::Entropy;
use cscf::user_data::{
    ApplicationServer, Condition, ConditionForm, InitialFilterCriteria, ProfilePart, ServicePointTrigger,
    SessionCase, TriggerPoint,
};
use std::net::SocketAddr;

/// A request that is sent for each user.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// Header fields, `Name: value`.
    pub headers: Vec<&'static str>,
    /// The session description.
    pub body: Option<&'static str>,
}

/// Something that Kamailio 5.6 reads otherwise than TS 29.228.
pub struct Difference {
    /// What.
    pub feature: &'static str,
    /// Where it is said how it is to be read.
    pub clause: &'static str,
    condition: Condition,
    is_negated: bool,
    /// The request that shows it, of the user.
    pub request: Request,
    /// Whether the condition holds by the clause; it is the other way round with Kamailio.
    pub holds: bool,
}

/// How many profiles are compared.
pub const PROFILES: usize = 50;

const AUDIO: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 8\r\na=sendrecv\r\n";
const VIDEO: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=video 40002 RTP/AVP 96\r\n";

/// The `number`th profile.
pub fn profile(number: usize, server: SocketAddr) -> Vec<InitialFilterCriteria> {
    let mut dice = Entropy::seeded(number as u64);
    let count = 1 + dice.below(6) as u32;
    // Neither in order nor without gaps: each gets a priority that the others do not have.
    let step = [1, 3, 5, 7][dice.below(4) as usize];
    let from = dice.below(10) as u32;
    let modulus = 11;
    let criterion = |place: u32| InitialFilterCriteria {
        priority: from + (place * step + 4) % modulus,
        trigger_point: trigger_point(&mut dice),
        application_server: ApplicationServer {
            server_name: format!("sip:as{place}@{server}"),
            ..ApplicationServer::default()
        },
        profile_part: [None, None, None, Some(ProfilePart::Registered), Some(ProfilePart::Unregistered)]
            [dice.below(5) as usize],
    };
    (0..count).map(criterion).collect()
}

fn trigger_point(dice: &mut Entropy) -> Option<TriggerPoint> {
    if dice.below(8) == 0 {
        return None;
    }
    let form = match dice.below(2) {
        0 => ConditionForm::Conjunctive,
        _ => ConditionForm::Disjunctive,
    };
    let count = 1 + dice.below(5);
    let triggers = (0..count).map(|_| {
        let condition = condition(dice);
        let is_presence = matches!(condition, Condition::SipHeader { content: None, .. });
        let mut groups = vec![dice.below(3) as u32];
        if dice.below(4) == 0 {
            groups.push(3);
        }
        // Kamailio holds a presence that is negated for true always.
        let is_negated = !is_presence && dice.below(4) == 0;
        ServicePointTrigger { is_negated, groups, condition, registration_types: Vec::new() }
    });
    Some(TriggerPoint { form, triggers: triggers.collect() })
}

fn condition(dice: &mut Entropy) -> Condition {
    let mut pick = |from: &[&'static str]| from[dice.below(from.len() as u64) as usize].to_owned();
    let kind =
        pick(&["method", "method", "header", "header", "value", "value", "case", "uri", "sdp", "line"]);
    match kind.as_str() {
        "method" => Condition::Method(pick(&["INVITE", "MESSAGE", "PUBLISH"])),
        "header" => {
            Condition::SipHeader { header: pick(&["X-Tariff", "Subject", "Accept-Contact"]), content: None }
        }
        "value" => Condition::SipHeader {
            header: pick(&["X-Tariff", "Subject"]),
            content: Some(pick(&[
                "gold",
                "^silver$",
                "gold|copper",
                "(s|c)[a-z]+r",
                "^[a-z]{4}$",
                "[[:digit:]]",
            ])),
        },
        "case" => Condition::SessionCase(match pick(&["0", "1", "2", "3"]).as_str() {
            "0" => SessionCase::OriginatingRegistered,
            "1" => SessionCase::TerminatingRegistered,
            "2" => SessionCase::TerminatingUnregistered,
            _ => SessionCase::OriginatingUnregistered,
        }),
        "uri" => Condition::RequestUri(pick(&["mnc001", ":5060$", "3gppnetwork\\.org$", "^nobody"])),
        "sdp" => Condition::SessionDescription {
            line: "m".to_owned(),
            content: Some(pick(&["audio", "video", "(audio|video) 4000[0-9]", "message"])),
        },
        _ => Condition::SessionDescription { line: pick(&["a", "m", "b"]), content: None },
    }
}

/// The request for the `number`th profile.
pub fn request(number: usize) -> Request {
    let mut dice = Entropy::seeded(1000 + number as u64);
    let method = ["INVITE", "INVITE", "MESSAGE", "PUBLISH"][dice.below(4) as usize];
    let body = match method {
        "INVITE" => [Some(AUDIO), Some(VIDEO), None][dice.below(3) as usize],
        _ => None,
    };
    let mut headers = Vec::new();
    for choices in [
        ["X-Tariff: gold", "X-Tariff: silver", "X-Tariff: iron7"],
        ["Subject: copper", "Subject: gold", "Subject: silver"],
        ["Accept-Contact: *;audio", "Accept-Contact: *;video", "Accept-Contact: *"],
    ] {
        headers.extend(choices.get(dice.below(4) as usize));
    }
    if method == "PUBLISH" {
        headers.push("Event: presence");
    }
    Request { method, headers, body }
}

/// What is read differently, one condition each.
pub fn differences() -> Vec<Difference> {
    let header = |content: Option<&str>| Condition::SipHeader {
        header: "X-Tariff".to_owned(),
        content: content.map(str::to_owned),
    };
    let request =
        |headers: &[&'static str]| Request { method: "MESSAGE", headers: headers.to_vec(), body: None };
    let with_audio = Request { method: "INVITE", headers: Vec::new(), body: Some(AUDIO) };
    vec![
        Difference {
            feature: "an expression on the Request-URI is about its host and port, and not about its user part",
            clause: "TS 29.228 Annex F",
            condition: Condition::RequestUri("end".to_owned()),
            is_negated: false,
            request: request(&[]),
            holds: false,
        },
        Difference {
            feature: "a header field without content, negated, is one that is absent",
            clause: "TS 29.228 §B.2.2",
            condition: header(None),
            is_negated: true,
            request: request(&["X-Tariff: gold"]),
            holds: false,
        },
        Difference {
            feature: "an expression on a header field is about each value of a list",
            clause: "TS 29.228 Annex F",
            condition: header(Some("^silver$")),
            is_negated: false,
            request: request(&["X-Tariff: gold, silver"]),
            holds: true,
        },
        Difference {
            feature: "an expression on a header field's content tells capital letters from small ones",
            clause: "TS 29.228 Annex F",
            condition: header(Some("GOLD")),
            is_negated: false,
            request: request(&["X-Tariff: gold"]),
            holds: false,
        },
        Difference {
            feature: "an expression on an SDP line is found anywhere in its content",
            clause: "TS 29.228 Annex F",
            condition: Condition::SessionDescription {
                line: "m".to_owned(),
                content: Some("RTP/AVP".to_owned()),
            },
            is_negated: false,
            request: with_audio,
            holds: true,
        },
        Difference {
            feature: "a method is compared as it stands",
            clause: "RFC 3261 §7.1",
            condition: Condition::Method("message".to_owned()),
            is_negated: false,
            request: request(&[]),
            holds: false,
        },
    ]
}

impl Difference {
    /// A profile with it alone.
    pub fn profile(&self, server: SocketAddr) -> Vec<InitialFilterCriteria> {
        let trigger = ServicePointTrigger {
            is_negated: self.is_negated,
            groups: vec![0],
            condition: self.condition.clone(),
            registration_types: Vec::new(),
        };
        vec![InitialFilterCriteria {
            priority: 0,
            trigger_point: Some(TriggerPoint { triggers: vec![trigger], ..TriggerPoint::default() }),
            application_server: ApplicationServer {
                server_name: format!("sip:as0@{server}"),
                ..ApplicationServer::default()
            },
            profile_part: None,
        }]
    }
}
