//! LIR: where a callee is served (TS 29.228 §6.1.4).

mod lab;

use cscf::user_data::{IdentityType, PublicIdentity, ServiceProfile};
use diameter_client::cx::{CxResult, Lir, ServerAssignmentType as Type, UserAuthorizationType};
use hss_mock::{HssConfig, ImplicitSet, Permission, State};
use lab::*;

#[test]
fn a_registered_callee_is_found_under_any_identity_of_the_set_and_a_stranger_under_none() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    for impu in
        [ALICE, ALICE_TEL, "tel:+49-301-000-001", "sip:alice@IMS.mnc001.mcc001.3gppnetwork.org;user=phone"]
    {
        let lia = lab.lir(impu);
        assert_eq!((lia.result, lia.server_name.as_deref()), (CxResult::SUCCESS, Some(SCSCF)), "{impu}");
    }
    assert_eq!(lab.lir("sip:nobody@x").result, CxResult::USER_UNKNOWN);
}

#[test]
fn an_unregistered_callee_has_services_or_has_not() {
    let mut without = bob();
    without.unregistered_services = Permission::Denied;
    let mut lab = Lab::with(HssConfig::default(), vec![alice(), without]);
    assert_eq!(lab.lir(ALICE).result, CxResult::UNREGISTERED_SERVICE);
    assert_eq!(lab.lir(BOB).result, CxResult::IDENTITY_NOT_REGISTERED);
    let originating = Lir { public_identity: BOB.to_owned(), is_originating: true, ..Lir::default() };
    assert_eq!(lab.lir_of(originating).result, CxResult::UNREGISTERED_SERVICE, "an AS acts for him");
}

#[test]
fn a_server_that_serves_an_unregistered_callee_is_found_again() {
    let mut lab = Lab::new();
    let saa = lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::UnregisteredUser);
    assert!(saa.result == CxResult::SUCCESS && saa.user_data.is_some());
    assert_eq!(lab.hss.state(ALICE), Some((State::Unregistered, Some(SCSCF))));
    assert_eq!(lab.lir(ALICE).server_name.as_deref(), Some(SCSCF));
    assert_eq!(lab.uar(ALICE_IMPI, ALICE).server_name.as_deref(), Some(SCSCF), "and registers there");
}

#[test]
fn a_silent_server_is_given_up_when_capabilities_are_asked_for() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let authorization_type = Some(UserAuthorizationType::RegistrationAndCapabilities);
    let lia = lab.lir_of(Lir { public_identity: ALICE.to_owned(), authorization_type, ..Lir::default() });
    assert_eq!((lia.result, lia.server_name), (CxResult::SUCCESS, None));
    assert_eq!(lab.sar(ALICE_IMPI, ALICE, OTHER_SCSCF, Type::UnregisteredUser).result, CxResult::SUCCESS);
    assert_eq!(lab.lir(ALICE).server_name.as_deref(), Some(OTHER_SCSCF));
}

fn services() -> hss_mock::Subscriber {
    let mut subscriber = alice();
    let wildcard = PublicIdentity {
        identity: "sip:conf1@home1.net".to_owned(),
        identity_type: IdentityType::WildcardedPsi,
        wildcarded_psi: Some("sip:conf!.*!@home1.net".to_owned()),
        ..PublicIdentity::default()
    };
    let echo = PublicIdentity {
        identity: "sip:echo@home1.net".to_owned(),
        identity_type: IdentityType::DistinctPsi,
        ..PublicIdentity::default()
    };
    let set = |identity, application_server: Option<&str>| ImplicitSet {
        service_profiles: vec![ServiceProfile {
            public_identities: vec![identity],
            ..ServiceProfile::default()
        }],
        application_server: application_server.map(str::to_owned),
        ..ImplicitSet::default()
    };
    subscriber.implicit_sets.push(set(wildcard, None));
    subscriber.implicit_sets.push(set(echo, Some("sip:as.home1.net")));
    subscriber
}

#[test]
fn a_wildcard_is_named_in_the_answer_and_cannot_be_registered() {
    let mut lab = Lab::with(HssConfig::default(), vec![services()]);
    let lia = lab.lir("sip:conf42@home1.net");
    assert_eq!(lia.result, CxResult::UNREGISTERED_SERVICE);
    assert_eq!(lia.wildcarded_public_identity.as_deref(), Some("sip:conf!.*!@home1.net"));
    assert_eq!(lab.uar(ALICE_IMPI, "sip:conf42@home1.net").result, CxResult::USER_UNKNOWN);
    let saa = lab.sar(ALICE_IMPI, "sip:conf42@home1.net", SCSCF, Type::Registration);
    assert_eq!(saa.result, CxResult::IN_ASSIGNMENT_TYPE);
    let saa = lab.sar(ALICE_IMPI, "sip:conf42@home1.net", SCSCF, Type::UnregisteredUser);
    assert_eq!(saa.result, CxResult::SUCCESS);
    assert_eq!(saa.wildcarded_public_identity.as_deref(), Some("sip:conf!.*!@home1.net"));
}

#[test]
fn a_service_identity_is_reached_at_its_application_server() {
    let mut lab = Lab::with(HssConfig::default(), vec![services()]);
    assert_eq!(lab.lir("sip:echo@home1.net").server_name.as_deref(), Some("sip:as.home1.net"));
}
