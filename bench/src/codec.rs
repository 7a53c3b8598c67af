//! The SIP message layer alone: parse, check, and one hop without a transaction.

use crate::cases::Round;
use crate::rig::{HOME, PCSCF};
use crate::samples;
use crate::template::Template;
use sip_core::{Edits, Index, Limits, Message, Name};

/// The message that a case parses.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// 2.4 kB.
    Invite,
    /// With AKA.
    Register,
    /// To the INVITE.
    Ok,
}

impl Kind {
    fn template(self) -> Template {
        match self {
            Kind::Invite => Template::new(&samples::invite(
                &format!("sip:bob@{HOME}"),
                &format!(
                    "{}Route: <sip:{PCSCF};lr>, <sip:mo@127.0.0.12:6060;lr>\n",
                    samples::core_vias("127.0.0.9:5060")
                ),
            )),
            Kind::Register => {
                Template::new(&samples::register(&format!("sip:{HOME}"), &samples::phone_via(), ""))
            }
            Kind::Ok => Template::new(&samples::ok()),
        }
    }
}

/// Parses a message into a recycled index.
pub fn parse(kind: Kind) -> Round {
    let template = kind.template();
    let (mut bytes, mut index, limits) = (Vec::new(), Index::new(), Limits::default());
    Box::new(move || {
        template.fill(1, &mut bytes);
        let parts = (std::mem::take(&mut bytes), std::mem::take(&mut index));
        let message = Message::parse_into(parts.0, &limits, parts.1).expect("a well-formed message");
        (bytes, index) = std::hint::black_box(message).into_parts();
    })
}

/// Checks a parsed message.
pub fn check(kind: Kind) -> Round {
    let mut bytes = Vec::new();
    kind.template().fill(1, &mut bytes);
    let message = Message::parse(bytes, &Limits::default()).expect("a well-formed message");
    Box::new(move || std::hint::black_box(&message).check().expect("a good message"))
}

/// Parses, checks, edits as a proxy does, and renders.
pub fn hop() -> Round {
    let template = Kind::Invite.template();
    let (mut bytes, mut index, limits) = (Vec::new(), Index::new(), Limits::default());
    let (mut edits, mut out) = (Edits::new(), Vec::new());
    Box::new(move || {
        template.fill(1, &mut bytes);
        let parts = (std::mem::take(&mut bytes), std::mem::take(&mut index));
        let message = Message::parse_into(parts.0, &limits, parts.1).expect("a well-formed message");
        message.check().expect("a good message");
        edits.clear();
        let left = message.max_forwards().expect("a number").unwrap_or(70);
        edits.set(&message, Name::MaxForwards, format_args!("{}", left - 1));
        let (route, _) = message.routes().next().expect("a Route");
        edits.remove_slot(route);
        edits.push_top(Name::RecordRoute, format_args!("<sip:token@{PCSCF};lr>"));
        edits.push_top(
            Name::Via,
            format_args!("SIP/2.0/UDP {PCSCF};branch=z9hG4bKaaaaaaaaaaaaaaaaaaaaaaaa{:08x}", 7),
        );
        out.clear();
        edits.render(&message, &mut out);
        std::hint::black_box(&out);
        (bytes, index) = message.into_parts();
    })
}
