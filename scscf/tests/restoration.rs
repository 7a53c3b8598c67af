//! S-CSCF and P-CSCF restoration, told as messages (TS 23.380 §4, §5.4; TS 29.228 §6.1.2).

mod bench;

use bench::*;
use cscf::bucket::TokenKey;
use diameter_client::cx::{
    AnswerDetails, ChargingInformation, CxAnswer, CxResult, P_CSCF_RESTORATION,
    P_CSCF_RESTORATION_INDICATION, Saa, ScscfRestorationInfo, ServerAssignmentType as Type,
    SupportedFeatures, UserDataAlreadyAvailable,
};
use diameter_client::endpoint::CxFailure;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Where the edge proxy of the Path of the bench's REGISTER listens, which is the P-CSCF.
const PATH: &str = "<sip:path-alice@127.0.0.10:5060;lr>";

fn alice() -> String {
    format!("sip:alice@{HOME}")
}

/// A phone with an instance id.
fn device(contact: &str, instance: u32) -> Register {
    let contact = format!("<{contact}>;expires=600;+sip.instance=\"<urn:uuid:{instance}>\"");
    Register { call_id: format!("reg-{instance}"), ..register("alice").contact(&contact) }
}

/// Registers, and gives what the HSS was left with.
fn left_by(bench: &mut Bench, register: &Register) -> ScscfRestorationInfo {
    let (id, sar) = bench.authenticate(register);
    let did = bench.cx(id, saa("alice"));
    let (id, records) = store(&did);
    bench.stored(id, &records);
    sar.restoration_info.expect("restoration information")
}

fn request(method: &str, uri: &str, branch: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {ICSCF};branch=z9hG4bK{branch}\nMax-Forwards: 60\nFrom: <sip:bob@{HOME}>;tag=b\n\
         To: <{uri}>\nCall-ID: {branch}\nCSeq: 1 {method}\nContact: <sip:bob@10.0.0.2>\n\
         P-Charging-Vector: icid-value=i2;orig-ioi={HOME}\n{more}Content-Length: 0\n\n"
    )
}

/// What the I-CSCF sends for alice.
fn to_alice(branch: &str) -> String {
    request("MESSAGE", &alice(), branch, &format!("Route: <sip:scscf.{HOME}:6060;lr>\n"))
}

fn from_alice(branch: &str, service_route: &str) -> String {
    let more = format!("Route: {service_route}\nP-Asserted-Identity: <{}>\n", alice());
    request("MESSAGE", &format!("sip:bob@{HOME}"), branch, &more)
}

/// The answer of an HSS that holds alice for registered here.
fn kept(result: CxResult, restoration_infos: Vec<ScscfRestorationInfo>) -> CxAnswer {
    CxAnswer::Saa(Saa { result, user_data: Some(profile("alice")), restoration_infos, ..Default::default() })
}

/// An S-CSCF that has lost everything, its token key included, `after` later.
fn forgetful(bench: &Bench, after: Duration) -> Bench {
    let mut fresh = Bench::new();
    fresh.now.wall = bench.now.wall + after;
    fresh.node.set_token_key(TokenKey::from_key((9, 9)));
    fresh
}

#[test]
fn a_registration_is_left_with_the_hss_by_the_sar_that_takes_the_user() {
    let mut bench = Bench::new();
    let (_, sar) = bench.authenticate(&device("sip:alice@10.0.0.1:5060", 1));
    assert_eq!((sar.assignment_type, sar.is_multiple_registration), (Type::Registration, Some(true)));
    assert_eq!(SupportedFeatures::common(&sar.supported_features, &[SupportedFeatures::cx(4)]), 4);
    let info = sar.restoration_info.expect("restoration information");
    assert_eq!((info.user_name, info.registrations.len()), (format!("alice@{HOME}"), 1));
    let contact = &info.registrations[0];
    assert_eq!(String::from_utf8_lossy(&contact.path), PATH);
    assert_eq!(
        String::from_utf8_lossy(&contact.contact),
        "<sip:alice@10.0.0.1:5060>;+sip.instance=\"<urn:uuid:1>\";expires=600"
    );
    assert_eq!((contact.call_id.as_deref(), contact.initial_cseq), (Some(&b"reg-1"[..]), Some(2)));
    // The switch is a switch.
    let (_, sar) = Bench::configured("restoration = false\n").authenticate(&device("sip:a@10.0.0.1", 1));
    assert_eq!((sar.restoration_info, sar.is_multiple_registration), (None, None));
    assert!(sar.supported_features.is_empty());
}

/// TS 23.380 §4: what changes without a SAR of its own is told behind the 200; what does not is not.
#[test]
fn the_hss_hears_of_a_refresh_that_lasts_longer_than_it_knows_and_of_no_other() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    for (cseq, after, is_told) in [(3, 60, false), (4, 60, true), (5, 10, false)] {
        bench.advance(after * SECOND);
        let refresh = Register { cseq, integrity: "yes", ..register("alice") };
        let did = bench.receive(PCSCF, &refresh.text(None));
        let (id, records) = store(&did);
        let did = bench.stored(id, &records);
        assert!(sip(&did).starts_with("SIP/2.0 200 "), "{did:?}");
        assert_eq!(did.iter().any(|one| matches!(one, Did::Cx(..))), is_told, "{cseq}");
        if is_told {
            let (id, sar) = sar(&did);
            assert_eq!(sar.assignment_type, Type::ReRegistration);
            assert_eq!(sar.user_data_already_available, UserDataAlreadyAvailable::AlreadyAvailable);
            assert!(sar.restoration_info.is_some());
            bench.cx(id, saa_result(CxResult::SUCCESS));
        }
    }
}

#[test]
fn a_request_to_a_user_who_was_forgotten_reaches_the_contact_that_the_hss_has_kept() {
    let mut before = Bench::new();
    let info = left_by(&mut before, &register("alice"));
    let mut bench = forgetful(&before, 200 * SECOND);
    let (id, sar) = {
        let did = bench.receive(ICSCF, &to_alice("m1"));
        let (id, sar) = sar(&did);
        (id, sar.clone())
    };
    assert_eq!((sar.assignment_type, sar.public_identities), (Type::UnregisteredUser, vec![alice()]));
    let charging = ChargingInformation { primary_ccf: Some("aaa://ccf".into()), ..Default::default() };
    let CxAnswer::Saa(saa) = kept(CxResult::IN_ASSIGNMENT_TYPE, vec![info]) else { unreachable!() };
    let did = bench.cx(id, CxAnswer::Saa(Saa { charging_information: Some(charging), ..saa }));
    let forwarded = sip(&did);
    assert!(forwarded.starts_with("MESSAGE sip:alice@10.0.0.1:5060 SIP/2.0\r\n"), "{forwarded}");
    assert_eq!(header(forwarded, "Route"), PATH);
    // It is durable, and lasts as long as it would have.
    let (id, records) = store(&did);
    bench.stored(id, &records);
    let did = bench.receive(ICSCF, &to_alice("m2"));
    assert!(sip(&did).starts_with("MESSAGE sip:alice@"), "the HSS is not asked twice: {did:?}");
    let (mut bench, _) = bench.restart(SECOND);
    assert!(sip(&bench.receive(ICSCF, &to_alice("m3"))).starts_with("MESSAGE "));
    let did = bench.advance(400 * SECOND);
    assert_eq!(self::sar_among(&did), [Type::TimeoutDeregistration]);
}

/// The types of all SARs.
fn sar_among(did: &[Did]) -> Vec<Type> {
    did.iter()
        .filter_map(|one| match one {
            Did::Cx(_, diameter_client::cx::CxRequest::Sar(sar)) => Some(sar.assignment_type),
            _ => None,
        })
        .collect()
}

/// TS 24.229 §5.4.3.2: by the Service-Route of a registration that is lost, with its token key.
#[test]
fn a_request_of_a_user_who_was_forgotten_goes_on_or_asks_the_ue_to_register() {
    let mut before = Bench::new();
    let info = left_by(&mut before, &register("alice"));
    let ok = before.register(&Register { call_id: "again".into(), ..register("alice") });
    let service_route = header(&ok, "Service-Route").to_owned();
    let answers = [
        (Some(kept(CxResult::SUCCESS, vec![info.clone()])), 60, true),
        (Some(kept(CxResult::SUCCESS, vec![])), 60, false),
        // It has run out.
        (Some(kept(CxResult::SUCCESS, vec![info])), 1000, false),
        // TS 29.228 §6.1.2.1: another S-CSCF has the user.
        (Some(saa_result(CxResult::UNABLE_TO_COMPLY)), 60, false),
        (Some(saa_result(CxResult::USER_UNKNOWN)), 60, false),
        (None, 60, false),
    ];
    for (answer, after, goes_on) in answers {
        let mut bench = forgetful(&before, after * SECOND);
        let did = bench.receive(PCSCF, &from_alice("m1", &service_route));
        let (id, asked) = sar(&did);
        assert_eq!(asked.assignment_type, Type::NoAssignment, "nothing changes at the HSS");
        let did = match &answer {
            Some(answer) => bench.cx(id, answer.clone()),
            None => bench.cx_fails(id, CxFailure::Timeout),
        };
        let [(to, text)] = sips(&did)[..] else { panic!("{did:?}") };
        if goes_on {
            assert!(to == ICSCF && text.starts_with("MESSAGE "), "{text}");
        } else {
            assert!(text.starts_with("SIP/2.0 504 ") && text.contains("<type>restoration</type>"), "{text}");
            assert_eq!(header(text, "P-Asserted-Identity"), service_route);
        }
        assert_eq!(bench.node.role().registrations().len(), usize::from(goes_on), "{answer:?}");
    }
}

/// TS 29.228 §6.1.2.1: a REGISTER of another contact finds the first one again.
#[test]
fn a_second_device_of_a_user_who_was_forgotten_brings_the_first_one_back() {
    let mut before = Bench::new();
    let info = left_by(&mut before, &device("sip:alice@10.0.0.1:5060", 1));
    let mut bench = forgetful(&before, 10 * SECOND);
    let (id, _) = bench.authenticate(&device("sip:alice@10.0.0.2:5060", 2));
    let did = bench.cx(id, kept(CxResult::IN_ASSIGNMENT_TYPE, vec![info]));
    let (id, again) = sar(&did);
    assert_eq!(again.assignment_type, Type::ReRegistration);
    let told = again.restoration_info.as_ref().expect("restoration information");
    assert_eq!(told.registrations.len(), 2, "both are left anew");
    let did = bench.cx(id, saa_result(CxResult::SUCCESS));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    let ok = sip(&did);
    assert_eq!(headers(ok, "Contact").len(), 2, "{ok}");
    assert!(ok.contains("sip:alice@10.0.0.1:5060") && ok.contains("sip:alice@10.0.0.2:5060"), "{ok}");
}

#[test]
fn whoever_shares_the_identity_is_restored_by_the_registration_of_another() {
    let mut before = Bench::new();
    let other = ScscfRestorationInfo {
        user_name: "tablet@h".into(),
        ..left_by(&mut before, &device("sip:tablet@10.0.0.7", 7))
    };
    let mut bench = forgetful(&before, 10 * SECOND);
    let (id, _) = bench.authenticate(&register("alice"));
    let did = bench.cx(id, kept(CxResult::SUCCESS, vec![other]));
    let stores: Vec<_> = did
        .iter()
        .filter_map(|one| match one {
            Did::Store(id, records) => Some((*id, records.clone())),
            _ => None,
        })
        .collect();
    let mut last = Vec::new();
    for (id, records) in stores {
        last.extend(bench.stored(id, &records));
    }
    let ok = sip(&last);
    assert!(ok.contains("sip:tablet@10.0.0.7") && ok.contains("sip:alice@10.0.0.1:5060"), "{ok}");
}

/// TS 24.229 §5.4.1.2.3A: over its old security associations; it proves anew who it is.
#[test]
fn a_protected_register_of_a_user_who_was_forgotten_is_challenged() {
    let mut bench = Bench::new();
    let refresh = Register { cseq: 7, integrity: "yes", ..register("alice") };
    let (id, sar) = bench.authenticate(&refresh);
    assert_eq!(sar.assignment_type, Type::Registration);
    let did = bench.cx(id, saa("alice"));
    let (id, records) = store(&did);
    assert!(sip(&bench.stored(id, &records)).starts_with("SIP/2.0 200 "));
}

/// TS 29.229 §6.3.49: the dialogs of the UE and of its P-CSCF are kept, too, and go on.
#[test]
fn subscriptions_to_a_registration_that_was_forgotten_go_on() {
    let mut before = Bench::new();
    before.register(&register("alice"));
    let subscribe = request(
        "SUBSCRIBE",
        &alice(),
        "s1",
        &format!(
            "Route: <sip:scscf.{HOME}:6060;lr>\nRecord-Route: <sip:edge@127.0.0.10:5060;lr>\nEvent: reg\nExpires: 6000\n\
             P-Asserted-Identity: <sip:path-alice@127.0.0.10:5060>\n"
        ),
    )
    .replace("<sip:bob@10.0.0.2>", "<sip:path-alice@127.0.0.10:5060>");
    let did = before.receive(ICSCF, &subscribe);
    let (id, records) = store(&did);
    let did = before.stored(id, &records);
    let first =
        sips(&did).into_iter().find(|(_, text)| text.starts_with("NOTIFY ")).expect("a NOTIFY").1.to_owned();
    let (_, told) = sar(&did);
    assert_eq!(told.assignment_type, Type::ReRegistration);
    let info = told.restoration_info.clone().expect("restoration information");
    assert!(
        info.registrations[0].pcscf_subscription.is_some() && info.registrations[0].subscription.is_none()
    );

    let mut bench = forgetful(&before, 100 * SECOND);
    let did = bench.receive(ICSCF, &to_alice("m1"));
    let did = bench.cx(sar(&did).0, kept(CxResult::IN_ASSIGNMENT_TYPE, vec![info]));
    assert!(sip(&did).starts_with("MESSAGE "), "{did:?}");
    let (id, records) = store(&did);
    assert_eq!(records.len(), 2, "the registration and the subscription");
    bench.stored(id, &records);
    let did = bench.advance(2 * SECOND);
    let notify = sips(&did).into_iter().find(|(_, text)| text.starts_with("NOTIFY ")).expect("a NOTIFY").1;
    for name in ["From", "To", "Call-ID", "Route"] {
        assert_eq!(header(notify, name), header(&first, name), "{name}");
    }
    assert_ne!(header(notify, "Contact"), header(&first, "Contact"), "the key of its token is lost");
    // By our Contact of before, whose token nobody can read.
    let contact = header(&first, "Contact").trim_matches(['<', '>']).to_owned();
    let refresh = subscribe
        .replace(&format!("SUBSCRIBE {} ", alice()), &format!("SUBSCRIBE {contact} "))
        .replace(&format!("To: <{}>", alice()), &format!("To: {}", header(&first, "From")))
        .replace("branch=z9hG4bKs1", "branch=z9hG4bKs1r")
        .replace("CSeq: 1 ", "CSeq: 2 ");
    let did = bench.receive(ICSCF, &refresh);
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(sips(&did)[0].1.starts_with("SIP/2.0 200 "), "{did:?}");
}

/// A P-CSCF that says nothing to a MESSAGE for alice, and what the HSS is asked then.
fn pcscf_gone() -> (Bench, cscf::QueryId) {
    let mut bench = Bench::configured("pcscf_restoration = true\n");
    bench.register(&register("alice"));
    bench.receive(ICSCF, &to_alice("m1"));
    let did = bench.advance(40 * SECOND);
    let (id, sar) = sar(&did);
    assert_eq!(
        (sar.assignment_type, sar.sar_flags),
        (Type::UnregisteredUser, Some(P_CSCF_RESTORATION_INDICATION))
    );
    assert_eq!(sar.user_name.as_deref(), Some(format!("alice@{HOME}").as_str()));
    (bench, id)
}

/// TS 23.380 §5.4: a user whose P-CSCF is gone is not registered until it has registered by another one.
#[test]
fn a_user_whose_pcscf_is_gone_is_unregistered_where_the_hss_takes_it_on() {
    let (mut bench, id) = pcscf_gone();
    let details = AnswerDetails {
        supported_features: vec![SupportedFeatures::cx(P_CSCF_RESTORATION)],
        ..Default::default()
    };
    let did = bench.cx(id, CxAnswer::Saa(Saa { result: CxResult::SUCCESS, details, ..Default::default() }));
    let (_, records) = store(&did);
    assert!(records.iter().all(|record| record.value.is_none()), "{records:?}");
    assert!(bench.node.role().registrations().is_empty());
    let did = bench.receive(ICSCF, &to_alice("m2"));
    assert_eq!(sar(&did).1.assignment_type, Type::UnregisteredUser);
}

#[test]
fn a_registration_stands_where_the_hss_restores_no_pcscf() {
    for answer in [saa_result(CxResult::SUCCESS), saa_result(CxResult::UNABLE_TO_COMPLY)] {
        let (mut bench, id) = pcscf_gone();
        let did = bench.cx(id, answer);
        assert!(did.is_empty(), "{did:?}");
        assert_eq!(bench.node.role().registrations().len(), 1);
    }
    // It is off where nobody has switched it on, and a phone that answers has a P-CSCF.
    for (section, answer) in [("", None), ("pcscf_restoration = true\n", Some("SIP/2.0 486 Busy Here"))] {
        let mut bench = Bench::configured(section);
        bench.register(&register("alice"));
        let did = bench.receive(ICSCF, &to_alice("m1"));
        let forwarded = sip(&did).to_owned();
        if let Some(status) = answer {
            let mut text = format!("{status}\n");
            for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
                headers(&forwarded, name)
                    .iter()
                    .for_each(|value| text.push_str(&format!("{name}: {value}\n")));
            }
            bench.receive(PCSCF, &format!("{text}Content-Length: 0\n\n"));
        }
        assert!(sar_among(&bench.advance(40 * SECOND)).is_empty(), "{section}");
    }
}
