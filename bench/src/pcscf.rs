//! What a P-CSCF does with one registered phone.

use crate::cases::Round;
use crate::rig::{HOME, PCSCF, Rig, SCSCF, both_sides, source};
use crate::samples::{self, ALICE};
use crate::template::{Template, header};
use crate::within::Within;
use cscf::{Answer, Query, Trust};
use pcscf::Pcscf;
use std::sync::Arc;

const SERVICE_ROUTE: &str = "sip:mo@127.0.0.12:6060;lr";

fn rig() -> Rig<Pcscf> {
    let section = format!("[pcscf]\nlisten = \"{PCSCF}\"\nicscf = \"sip:127.0.0.11:4060\"\n");
    Rig::new(&section, |config| both_sides(config.pcscf.locals()), |config| Pcscf::new(Arc::new(config)))
}

/// REGISTER and its 200, once; gives what answers the forwarded REGISTER.
struct Registering {
    request: Template,
    granted: Option<Template>,
}

impl Registering {
    fn new() -> Registering {
        let text = samples::register(&format!("sip:{HOME}"), &samples::phone_via(), "");
        Registering { request: Template::new(&text), granted: None }
    }

    fn run(&mut self, rig: &mut Rig<Pcscf>) {
        let serial = rig.next_round();
        rig.receive(source(PCSCF, ALICE, Trust::Outside), &self.request, serial);
        let forwarded = rig.expect("REGISTER ");
        let granted = self.granted.get_or_insert_with(|| {
            let path = header(forwarded, "Path");
            let more = format!(
                "Contact: <sip:alice@10.0.0.1:5060>;expires=600000\nPath: {path}\nService-Route: <{SERVICE_ROUTE}>\n\
                 P-Associated-URI: <sip:alice@{HOME}>, <tel:+49301>\nP-Charging-Vector: icid-value=x;term-ioi=h\n"
            );
            Template::answer(forwarded, serial, "200 OK", &more)
        });
        rig.receive_answer(source(PCSCF, SCSCF, Trust::Domain), granted, serial);
        while let Some((query, Query::Store(_))) = rig.asked.pop() {
            rig.answer(query, Answer::Stored(Ok(())));
        }
        rig.expect("SIP/2.0 200 ");
    }
}

/// The phone registers again.
pub fn register() -> Round {
    let (mut rig, mut registering) = (rig(), Registering::new());
    Box::new(move || registering.run(&mut rig))
}

fn registered() -> Rig<Pcscf> {
    let mut rig = rig();
    Registering::new().run(&mut rig);
    rig
}

fn invite_template() -> Template {
    let head = format!("{}Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\n", samples::phone_via());
    Template::new(&samples::invite(&format!("sip:bob@{HOME}"), &head))
}

/// The phone calls.
pub fn invite() -> Round {
    let (mut rig, request) = (registered(), invite_template());
    let mut ok = None;
    Box::new(move || {
        let serial = rig.next_round();
        rig.receive(source(PCSCF, ALICE, Trust::Outside), &request, serial);
        let forwarded = rig.expect("INVITE ");
        let ok = ok.get_or_insert_with(|| {
            Template::answer(forwarded, serial, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>\n")
        });
        rig.receive_answer(source(PCSCF, SCSCF, Trust::Domain), ok, serial);
        rig.expect("SIP/2.0 200 ");
    })
}

/// A dialog of the phone, and the Route entry of it that is ours: as the core and as the phone was given it.
fn in_call() -> (Rig<Pcscf>, String, String) {
    let mut rig = registered();
    let serial = rig.next_round();
    let head = format!("{}Route: <sip:{PCSCF};lr>, <{SERVICE_ROUTE}>\n", samples::phone_via());
    let text = samples::invite(&format!("sip:bob@{HOME}"), &head)
        .replace(&format!("Call-ID: {}@", crate::template::SERIAL), "Call-ID: call@");
    rig.receive(source(PCSCF, ALICE, Trust::Outside), &Template::new(&text), serial);
    let forwarded = rig.expect("INVITE ");
    let core = header(forwarded, "Record-Route");
    let recorded = format!("Record-Route: <{SERVICE_ROUTE}>, ");
    let forwarded = String::from_utf8_lossy(forwarded).replacen("Record-Route: ", &recorded, 1);
    let ok = Template::answer(forwarded.as_bytes(), serial, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>\n");
    rig.receive_answer(source(PCSCF, SCSCF, Trust::Domain), &ok, serial);
    let recorded = header(rig.expect("SIP/2.0 200 "), "Record-Route");
    let ue = recorded.rsplit(", ").next().unwrap_or_default().to_owned();
    (rig, core, ue)
}

/// A request of the phone within its dialog; an ACK has no answer.
pub fn from_ue(method: &'static str) -> Round {
    let (rig, _, route) = in_call();
    let routes = format!("Route: {route}, <{SERVICE_ROUTE}>\n");
    let text = samples::within(method, "sip:bob@10.0.0.2:5060", &samples::phone_via(), &routes, "");
    Within {
        request: Template::new(&text),
        method,
        from: source(PCSCF, ALICE, Trust::Outside),
        to: source(PCSCF, SCSCF, Trust::Domain),
    }
    .on(rig)
}

/// A request of the core within the dialog.
pub fn to_ue() -> Round {
    let (rig, route, _) = in_call();
    let charging = format!("P-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy;orig-ioi={HOME}\n");
    let text = samples::within(
        "INFO",
        "sip:alice@10.0.0.1:5060",
        &samples::core_vias(SCSCF),
        &format!("Route: {route}\n"),
        &charging,
    )
    .replace("tag=a1b2c3d4", "tag=x")
    .replace("tag=there", "tag=a1b2c3d4");
    Within {
        request: Template::new(&text),
        method: "INFO",
        from: source(PCSCF, SCSCF, Trust::Domain),
        to: source(PCSCF, ALICE, Trust::Outside),
    }
    .on(rig)
}
