//! What an I-CSCF does: it asks the HSS, and forwards.

use crate::cases::Round;
use crate::rig::{HOME, ICSCF, PCSCF, Rig, SCSCF, source};
use crate::samples;
use crate::template::Template;
use cscf::{Answer, Trust};
use diameter_client::cx::{CxAnswer, CxResult, Lia, Uaa};
use icscf::Icscf;
use std::sync::Arc;

fn rig() -> Rig<Icscf> {
    let section = format!("[icscf]\nlisten = \"{ICSCF}\"\nscscfs = [\"sip:{SCSCF}\"]\n");
    Rig::new(&section, |config| config.icscf.listen.clone(), |config| Icscf::new(Arc::new(config)))
}

fn run(request: String, remote: &'static str, method: &'static str, answer: fn() -> CxAnswer) -> Round {
    let (mut rig, request) = (rig(), Template::new(&request));
    let mut ok = None;
    Box::new(move || {
        let serial = rig.next_round();
        rig.receive(source(ICSCF, remote, Trust::Domain), &request, serial);
        let (query, _) = rig.question();
        rig.answer(query, Answer::Cx(Ok(Box::new(answer()))));
        let forwarded = rig.expect(method);
        let ok = ok.get_or_insert_with(|| Template::answer(forwarded, serial, "200 OK", ""));
        rig.receive_answer(source(ICSCF, SCSCF, Trust::Domain), ok, serial);
        rig.expect("SIP/2.0 200 ");
    })
}

/// A REGISTER of a user who has an S-CSCF.
pub fn register() -> Round {
    let head = format!(
        "{}Path: <sip:aaaptoken0123456789@{PCSCF};lr>\nP-Visited-Network-ID: \"{HOME}\"\n\
         P-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy;orig-ioi={HOME}\nRequire: path\n",
        samples::core_vias(PCSCF)
    );
    let text = samples::register(&format!("sip:{HOME}"), &head, ",integrity-protected=\"no\"");
    run(text, PCSCF, "REGISTER ", || {
        CxAnswer::Uaa(Uaa {
            result: CxResult::SUBSEQUENT_REGISTRATION,
            server_name: Some(format!("sip:{SCSCF}")),
            ..Uaa::default()
        })
    })
}

/// An INVITE to a registered user.
pub fn invite() -> Round {
    let head = format!(
        "{}Route: <sip:{ICSCF};lr>\nRecord-Route: <sip:aabotoken@{SCSCF};lr>, <sip:aaatoken0123456789@{PCSCF};lr>\n\
         P-Asserted-Identity: <sip:alice@{HOME}>\nP-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy;orig-ioi={HOME}\n",
        samples::core_vias(SCSCF)
    );
    run(samples::invite(&format!("sip:bob@{HOME}"), &head), SCSCF, "INVITE ", || {
        CxAnswer::Lia(Lia {
            result: CxResult::SUCCESS,
            server_name: Some(format!("sip:{SCSCF}")),
            ..Lia::default()
        })
    })
}
