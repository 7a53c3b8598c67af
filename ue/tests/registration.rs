//! Registration as TS 24.229 §5.1.1 asks of the UE, against a registrar that checks the digest.

mod phones;

use ims_aka::Sqn;
use phones::{ALICE, HOME, Phones, param, status};
use sip_core::Status;
use std::time::Duration;
use ue::{Command, Deregistration, Fault, Notice, Persistence, RegistrationFailure};

fn registers(phones: &Phones) -> Vec<&str> {
    phones.log.iter().map(|(_, text)| text.as_str()).filter(|text| text.starts_with("REGISTER")).collect()
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

#[test]
fn a_registration_answers_the_challenge_and_keeps_what_the_network_grants() {
    let mut phones = Phones::new();
    phones.command(ALICE, Command::Register);

    let sent = registers(&phones);
    assert_eq!(sent.len(), 2);
    let uri = format!("REGISTER sip:{HOME} SIP/2.0");
    assert!(sent.iter().all(|text| text.starts_with(&uri)));
    assert_eq!(header(sent[0], "CSeq"), "1 REGISTER");
    assert_eq!(header(sent[1], "CSeq"), "2 REGISTER");
    assert_eq!(header(sent[0], "Call-ID"), header(sent[1], "Call-ID"));
    assert_eq!(header(sent[0], "Expires"), "600000");
    assert!(header(sent[0], "Supported").contains("path"));
    assert!(header(sent[0], "Authorization").contains("nonce=\"\",response=\"\""));
    assert!(!header(sent[0], "To").contains("tag"));

    assert_eq!(
        phones.notices[ALICE],
        [Notice::Registered {
            identities: vec![format!("sip:alice@{HOME}"), "tel:+4930alice".to_owned()],
            service_route: vec![format!("<sip:orig@scscf.{HOME};lr>")],
            expires_s: 600_000,
            refresh: false,
        }]
    );
}

#[test]
fn access_network_info_is_not_told_before_the_registration_and_told_after_it() {
    let mut phones = Phones::configured(|_, config| config.access = Some("IEEE-802.11".to_owned()));
    phones.command(ALICE, Command::Register);
    assert!(registers(&phones).iter().all(|text| !text.contains("P-Access-Network-Info")));
    phones.command(ALICE, Command::Message { to: phones::bob(), text: "hi".to_owned() });
    assert!(phones.last(ALICE, "MESSAGE").contains("P-Access-Network-Info: IEEE-802.11"));
}

#[test]
fn a_card_that_is_ahead_brings_the_network_back_in_step() {
    let mut phones = Phones::new();
    phones.registrar.sqn = Sqn::from_parts(5000, 0);
    phones.command(ALICE, Command::Register);
    phones.registrar.sqn = Sqn::from_parts(3, 0);
    phones.log.clear();
    phones.command(ALICE, Command::Register);

    let sent = registers(&phones);
    assert_eq!(sent.len(), 3, "refresh, AUTS, response");
    assert!(param(header(sent[1], "Authorization"), "auts").is_some());
    assert!(param(header(sent[2], "Authorization"), "auts").is_none());
    assert!(matches!(phones.notices[ALICE].last(), Some(Notice::Registered { refresh: true, .. })));
}

#[test]
fn two_forged_challenges_are_refused_with_an_empty_response_and_a_third_ends_it() {
    let mut phones = Phones::new();
    phones.registrar.forges_mac = true;
    phones.command(ALICE, Command::Register);

    let sent = registers(&phones);
    assert_eq!(sent.len(), 3);
    for refusal in &sent[1..] {
        let authorization = header(refusal, "Authorization");
        assert!(
            authorization.contains("response=\"\"") && !authorization.contains("auts"),
            "{authorization}"
        );
    }
    assert!(matches!(
        phones.notices[ALICE][..],
        [Notice::RegistrationFailed(RegistrationFailure::Challenge(_))]
    ));
    // The next attempt is a new one (TS 24.229 §5.1.1.5.1).
    let first = header(sent[0], "Call-ID").to_owned();
    phones.registrar.forges_mac = false;
    phones.command(ALICE, Command::Register);
    assert_ne!(header(phones.last(ALICE, "REGISTER"), "Call-ID"), first);
    assert!(phones.nodes[ALICE].role().is_registered());
}

#[test]
fn a_wrong_res_is_refused_and_the_user_hears_why() {
    let mut phones = Phones::configured(|_, config| config.policy.fault = Some(Fault::WrongRes));
    phones.command(ALICE, Command::Register);
    let [Notice::RegistrationFailed(failure)] = &phones.notices[ALICE][..] else {
        panic!("{:?}", phones.notices)
    };
    assert_eq!(failure.status(), Some(Status::FORBIDDEN));
    phones.advance(Duration::from_secs(100_000));
    assert_eq!(registers(&phones).len(), 2, "a 403 is not tried again");
}

#[test]
fn a_423_is_obeyed_once_it_asks_for_more() {
    let mut phones = Phones::configured(|_, config| config.expires = Duration::from_secs(60));
    phones.registrar.scripted = vec!["423 Interval Too Brief\nMin-Expires: 3600\n".to_owned()];
    phones.command(ALICE, Command::Register);
    assert_eq!(header(registers(&phones)[1], "Expires"), "3600");
    assert!(phones.nodes[ALICE].role().is_registered());

    let mut phones = Phones::new();
    phones.registrar.scripted = vec!["423 Interval Too Brief\nMin-Expires: 60\n".to_owned()];
    phones.command(ALICE, Command::Register);
    assert_eq!(registers(&phones).len(), 1, "a 423 that asks for less leads nowhere");
    assert!(
        matches!(&phones.notices[ALICE][..], [Notice::RegistrationFailed(failure)] if failure.status() == Some(status(423)))
    );
}

#[test]
fn retry_after_is_obeyed_and_without_it_the_user_decides() {
    let mut phones = Phones::new();
    phones.registrar.scripted = vec!["503 Service Unavailable\nRetry-After: 20 (busy)\n".to_owned()];
    phones.command(ALICE, Command::Register);
    phones.advance(Duration::from_secs(19));
    assert_eq!(registers(&phones).len(), 1);
    phones.advance(Duration::from_secs(2));
    assert!(phones.nodes[ALICE].role().is_registered());

    let mut phones = Phones::new();
    phones.registrar.scripted = vec!["503 Service Unavailable\n".to_owned()];
    phones.command(ALICE, Command::Register);
    phones.advance(Duration::from_secs(100_000));
    assert_eq!(registers(&phones).len(), 1);
}

#[test]
fn a_persistent_ue_registers_once_the_network_is_back() {
    let mut phones = Phones::configured(|_, config| config.policy.persistence = Persistence::KeepTrying);
    phones.loses = Box::new(|_, text| text.starts_with("REGISTER"));
    phones.command(ALICE, Command::Register);
    phones.advance(Duration::from_secs(200));
    assert_eq!(phones.notices[ALICE], [Notice::RegistrationFailed(RegistrationFailure::Timeout)]);
    phones.loses = Box::new(|_, _| false);
    phones.advance(Duration::from_secs(2000));
    assert!(phones.nodes[ALICE].role().is_registered());
}

#[test]
fn a_registration_is_refreshed_before_it_expires_and_expires_when_it_cannot_be() {
    let mut phones = Phones::new();
    phones.registrar.expires_s = 1000;
    phones.command(ALICE, Command::Register);
    let call_id = header(phones.last(ALICE, "REGISTER"), "Call-ID").to_owned();
    phones.log.clear();
    phones.advance(Duration::from_secs(499));
    assert_eq!(registers(&phones).len(), 0);
    phones.advance(Duration::from_secs(2));
    assert!(matches!(phones.notices[ALICE].last(), Some(Notice::Registered { refresh: true, .. })));
    assert_eq!(header(phones.last(ALICE, "REGISTER"), "Call-ID"), call_id);

    phones.loses = Box::new(|_, text| text.starts_with("REGISTER"));
    phones.advance(Duration::from_secs(1001));
    assert_eq!(phones.notices[ALICE].last(), Some(&Notice::Deregistered(Deregistration::Expired)));
    assert!(!phones.nodes[ALICE].role().is_registered());
}

#[test]
fn a_deregistration_names_our_contact_or_all_of_them() {
    let mut phones = Phones::new();
    phones.command(ALICE, Command::Register);
    phones.command(ALICE, Command::Deregister);
    let last = phones.last(ALICE, "REGISTER");
    assert_eq!(header(last, "Expires"), "0");
    assert!(header(last, "Contact").ends_with(";expires=0"));
    assert_eq!(phones.notices[ALICE].last(), Some(&Notice::Deregistered(Deregistration::Confirmed)));

    phones.command(ALICE, Command::Register);
    phones.command(ALICE, Command::DeregisterAll);
    assert_eq!(header(phones.last(ALICE, "REGISTER"), "Contact"), "*");
    assert!(!phones.nodes[ALICE].role().is_registered());

    phones.command(ALICE, Command::Deregister);
    assert!(matches!(phones.notices[ALICE].last(), Some(Notice::Refused { command: "deregister", .. })));
}

#[test]
fn a_deregistration_while_the_registration_is_under_way_waits_for_its_end() {
    let mut phones =
        Phones::configured(|_, config| config.policy.challenge_pause = Duration::from_millis(30));
    phones.command(ALICE, Command::Register);
    phones.command(ALICE, Command::Deregister);
    assert_eq!(registers(&phones).len(), 1, "one at a time");
    phones.advance(Duration::from_secs(1));
    assert_eq!(phones.notices[ALICE].last(), Some(&Notice::Deregistered(Deregistration::Confirmed)));
}

#[test]
fn a_deregistration_that_nobody_answers_is_forgotten_all_the_same() {
    let mut phones = Phones::new();
    phones.command(ALICE, Command::Register);
    phones.loses = Box::new(|_, _| true);
    phones.command(ALICE, Command::Deregister);
    phones.advance(Duration::from_secs(129));
    assert_eq!(phones.notices[ALICE].last(), Some(&Notice::Deregistered(Deregistration::Unconfirmed)));
    assert_eq!(phones.nodes[ALICE].open(), (0, 0, 0));
}
