//! What an S-CSCF does for one registered user.

use crate::cases::Round;
use crate::rig::{HOME, ICSCF, PCSCF, Rig, SCSCF, source};
use crate::samples;
use crate::template::{SERIAL, Template, header};
use crate::within::Within;
use cscf::{Answer, Trust};
use diameter_client::cx::{AuthDataItem, CxAnswer, CxResult, Maa, Saa};
use ims_aka::{Ha1, Hash, Qop};
use scscf::Scscf;
use std::sync::Arc;

const RES: [u8; 8] = [3; 8];

fn rig() -> Rig<Scscf> {
    let section = "[scscf]\ncountry_code = \"49\"\nreauthenticate = \"unprotected\"\n";
    Rig::new(section, |config| config.scscf.listen.clone(), |config| Scscf::new(Arc::new(config)))
}

fn register_template(head_more: &str, integrity: &str) -> Template {
    Template::new(&register_text(head_more, integrity))
}

fn register_text(head_more: &str, integrity: &str) -> String {
    let head = format!(
        "{}Path: <sip:path-alice@{PCSCF};lr>\nRequire: path\n\
         P-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy;orig-ioi={HOME}\n{head_more}",
        samples::core_vias(PCSCF)
    );
    let integrity = format!(",integrity-protected=\"{integrity}\"");
    samples::register(&format!("sip:scscf.{HOME}:6060"), &head, &integrity)
}

fn maa() -> CxAnswer {
    let item = AuthDataItem {
        authenticate: Some([[1; 16], [2; 16]].concat()),
        authorization: Some(RES.to_vec()),
        ck: Some(vec![4; 16]),
        ik: Some(vec![5; 16]),
        ..AuthDataItem::default()
    };
    CxAnswer::Maa(Maa { result: CxResult::SUCCESS, auth_data_items: vec![item], ..Maa::default() })
}

/// The profile of alice, as XML.
pub fn profile() -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\"?><IMSSubscription><PrivateID>alice@{HOME}</PrivateID><ServiceProfile>\
         <PublicIdentity><BarringIndication>1</BarringIndication><Identity>sip:imsi-alice@{HOME}</Identity></PublicIdentity>\
         <PublicIdentity><Identity>sip:alice@{HOME}</Identity></PublicIdentity>\
         <PublicIdentity><Identity>tel:+4930100001</Identity></PublicIdentity>\
         </ServiceProfile></IMSSubscription>"
    )
    .into_bytes()
}

/// An unprotected REGISTER: the vectors are fetched, and the challenge goes out.
pub fn challenge() -> Round {
    let (mut rig, request) = (rig(), register_template("", "no"));
    Box::new(move || {
        let serial = rig.next_round();
        rig.receive(source(SCSCF, PCSCF, Trust::Domain), &request, serial);
        let (query, _) = rig.question();
        rig.answer(query, Answer::Cx(Ok(Box::new(maa()))));
        rig.expect("SIP/2.0 401 ");
    })
}

/// An S-CSCF at which alice is registered, and her Service-Route.
fn registered() -> (Rig<Scscf>, String) {
    let mut rig = rig();
    let from = source(SCSCF, PCSCF, Trust::Domain);
    let serial = rig.next_round();
    rig.receive(from, &register_template("", "no"), serial);
    let (query, _) = rig.question();
    rig.answer(query, Answer::Cx(Ok(Box::new(maa()))));
    let challenge = String::from_utf8_lossy(rig.expect("SIP/2.0 401 ")).into_owned();
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce");
    let ha1 = Ha1::from_password(Hash::Md5, format!("alice@{HOME}").as_bytes(), HOME.as_bytes(), &RES);
    let qop = Qop::Auth { nc: b"00000001", cnonce: b"abc" };
    let response = ha1.response(b"REGISTER", format!("sip:{HOME}").as_bytes(), nonce.as_bytes(), qop);
    let text = samples::register(
        &format!("sip:scscf.{HOME}:6060"),
        &format!("{}Path: <sip:path-alice@{PCSCF};lr>\nRequire: path\n", samples::core_vias(PCSCF)),
        ",integrity-protected=\"no\",qop=auth,nc=00000001,cnonce=\"abc\"",
    )
    .replace("nonce=\"\"", &format!("nonce=\"{nonce}\""))
    .replace("response=\"\"", &format!("response=\"{response}\""))
    .replace("CSeq: 1 ", "CSeq: 2 ")
    .replace("branch=z9hG4bKcore", "branch=z9hG4bKcor2");
    // The same Call-ID: the serial number of the first REGISTER.
    rig.receive(from, &Template::new(&text), serial);
    let (query, _) = rig.question();
    let saa = Saa { result: CxResult::SUCCESS, user_data: Some(profile()), ..Saa::default() };
    rig.answer(query, Answer::Cx(Ok(Box::new(CxAnswer::Saa(saa)))));
    let (query, _) = rig.question();
    rig.answer(query, Answer::Stored(Ok(())));
    let service_route = header(rig.expect("SIP/2.0 200 "), "Service-Route");
    (rig, service_route)
}

/// A protected REGISTER of a registered user: no challenge, and stored before the 200.
pub fn register() -> Round {
    let (mut rig, _) = registered();
    // As a UE does it: one Call-ID, and CSeq counts. The HSS hears of the first one, whose Call-ID is another.
    let text = register_text("", "yes")
        .replace(&format!("Call-ID: {SERIAL}@"), "Call-ID: refresh@")
        .replace("CSeq: 1 ", &format!("CSeq: {SERIAL} "));
    let request = Template::new(&text);
    refresh(&mut rig, &request);
    let (query, _) = rig.question();
    let saa = Saa { result: CxResult::SUCCESS, ..Saa::default() };
    rig.answer(query, Answer::Cx(Ok(Box::new(CxAnswer::Saa(saa)))));
    Box::new(move || {
        refresh(&mut rig, &request);
        assert!(rig.asked.is_empty(), "the HSS knows all of it");
    })
}

fn refresh(rig: &mut Rig<Scscf>, request: &Template) {
    let serial = rig.next_round();
    rig.receive(source(SCSCF, PCSCF, Trust::Domain), request, serial);
    let (query, _) = rig.question();
    rig.answer(query, Answer::Stored(Ok(())));
    rig.expect("SIP/2.0 200 ");
}

fn invite_head(routes: &str, remote: &str) -> String {
    format!(
        "{}{routes}Record-Route: <sip:aaatoken0123456789@{PCSCF};lr>\nP-Asserted-Identity: <sip:alice@{HOME}>\n\
         P-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy;orig-ioi={HOME}\n",
        samples::core_vias(remote)
    )
}

/// An INVITE with these routes, and its 200 from `next`.
fn invited(rig: Rig<Scscf>, routes: &str, uri: &str, remote: &'static str, next: &'static str) -> Round {
    let mut rig = rig;
    let request = Template::new(&samples::invite(uri, &invite_head(routes, remote)));
    let mut ok = None;
    Box::new(move || {
        let serial = rig.next_round();
        rig.receive(source(SCSCF, remote, Trust::Domain), &request, serial);
        let forwarded = rig.expect("INVITE ");
        let ok = ok.get_or_insert_with(|| {
            Template::answer(forwarded, serial, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>\n")
        });
        rig.receive_answer(source(SCSCF, next, Trust::Domain), ok, serial);
        rig.expect("SIP/2.0 200 ");
    })
}

/// A call of alice.
pub fn originating() -> Round {
    let (rig, service_route) = registered();
    let routes = format!("Route: {service_route}\n");
    invited(rig, &routes, &format!("sip:bob@{HOME}"), PCSCF, ICSCF)
}

/// A call to alice.
pub fn terminating() -> Round {
    let (rig, _) = registered();
    let routes = format!("Route: <sip:scscf.{HOME}:6060;lr>\n");
    invited(rig, &routes, &format!("sip:alice@{HOME}"), ICSCF, PCSCF)
}

/// A request within a dialog of alice's; an ACK has no answer.
pub fn within(method: &'static str) -> Round {
    let (rig, request) = called(method);
    request.on(rig)
}

/// The same with the flight recorder, as a station has it.
pub fn recorded(method: &'static str) -> Round {
    let (mut rig, request) = called(method);
    rig.record();
    request.on(rig)
}

/// An S-CSCF with a call, and a request within it.
fn called(method: &'static str) -> (Rig<Scscf>, Within) {
    let (mut rig, service_route) = registered();
    let serial = rig.next_round();
    let head = invite_head(&format!("Route: {service_route}\n"), PCSCF);
    let text = samples::invite(&format!("sip:bob@{HOME}"), &head)
        .replace(&format!("Call-ID: {}@", crate::template::SERIAL), "Call-ID: call@");
    rig.receive(source(SCSCF, PCSCF, Trust::Domain), &Template::new(&text), serial);
    let forwarded = rig.expect("INVITE ");
    let recorded = header(forwarded, "Record-Route");
    let ok = Template::answer(forwarded, serial, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>\n");
    rig.receive_answer(source(SCSCF, ICSCF, Trust::Domain), &ok, serial);
    let text = samples::within(
        method,
        "sip:bob@10.0.0.2:5060",
        &samples::core_vias(PCSCF),
        &format!("Route: {recorded}, <sip:aab@{ICSCF};lr>\n"),
        &format!("P-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy;orig-ioi={HOME}\n"),
    );
    let within = Within {
        request: Template::new(&text),
        method,
        from: source(SCSCF, PCSCF, Trust::Domain),
        to: source(SCSCF, ICSCF, Trust::Domain),
    };
    (rig, within)
}
