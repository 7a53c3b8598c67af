//! UAR, MAR and SAR of a registration, and their refusals (TS 29.228 §6.1.1, §6.3, §6.1.2).

mod lab;

use cscf::user_data;
use diameter_client::cx::{
    AuthScheme, CxRequest, CxResult, Lir, P_CSCF_RESTORATION_INDICATION, RestorationInfo, SIFC,
    ScscfRestorationInfo, ServerAssignmentType as Type, ServerCapabilities, SupportedFeatures, Uar,
    UserAuthorizationType, UserDataAlreadyAvailable,
};
use hss_mock::assignment::KeepServer;
use hss_mock::{Credentials, HssCommand, HssConfig, Permission, Personality, Refusal, Roaming, State};
use ims_aka::{Hash, Key, Opc, UsimAnswer};
use lab::*;

#[test]
fn a_first_registration_gets_capabilities_a_genuine_vector_and_the_profile() {
    let mut subscriber = alice();
    subscriber.server = Some(ServerCapabilities { mandatory: vec![7], ..ServerCapabilities::default() });
    let mut card = card(&subscriber);
    let mut lab = Lab::with(HssConfig::default(), vec![subscriber.clone()]);

    let uaa = lab.uar(ALICE_IMPI, ALICE);
    assert_eq!((uaa.result, uaa.server_name), (CxResult::FIRST_REGISTRATION, None));
    assert_eq!(uaa.server_capabilities, subscriber.server);

    let maa = lab.mar(ALICE_IMPI, ALICE, SCSCF);
    let item = &maa.auth_data_items[0];
    let UsimAnswer::Ok { res, ck, ik } = answer_of(&mut card, item) else { panic!("a fresh card takes it") };
    assert_eq!(item.authorization.as_deref(), Some(res.expose()));
    assert_eq!(item.ck.as_deref(), Some(&ck.expose()[..]));
    assert_eq!(item.ik.as_deref(), Some(&ik.expose()[..]));

    let uaa = lab.uar(ALICE_IMPI, ALICE);
    assert_eq!(uaa.result, CxResult::SUBSEQUENT_REGISTRATION, "the authentication is pending");
    assert_eq!(uaa.server_name.as_deref(), Some(SCSCF));

    let saa = lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    let profile = user_data::validate(&saa.user_data.unwrap()).unwrap();
    assert_eq!(profile, subscriber.user_data(&subscriber.implicit_sets[0], ALICE_IMPI));
    assert_eq!(profile.default_identity().unwrap().identity, ALICE);
    assert_eq!(lab.hss.state(ALICE_TEL), Some((State::Registered, Some(SCSCF))), "with the whole set");
}

#[test]
fn identities_that_do_not_exist_or_do_not_match_are_refused_by_each_command() {
    let mut lab = Lab::new();
    for (impi, impu, result) in [
        ("nobody@x", ALICE, CxResult::USER_UNKNOWN),
        (ALICE_IMPI, "sip:nobody@x", CxResult::USER_UNKNOWN),
        (BOB_IMPI, ALICE, CxResult::IDENTITIES_DONT_MATCH),
    ] {
        assert_eq!(lab.uar(impi, impu).result, result);
        assert_eq!(lab.mar(impi, impu, SCSCF).result, result);
        assert_eq!(lab.sar(impi, impu, SCSCF, Type::Registration).result, result);
    }
    assert_eq!(lab.stored, 0, "nothing changed");
}

#[test]
fn a_barred_identity_registers_only_while_its_set_has_another() {
    let mut lab = Lab::new();
    let temporary = format!("sip:{ALICE_IMPI}");
    assert_eq!(lab.uar(ALICE_IMPI, &temporary).result, CxResult::FIRST_REGISTRATION);

    let mut barred = alice();
    let identities = &mut barred.implicit_sets[0].service_profiles[0].public_identities;
    identities.iter_mut().for_each(|identity| identity.is_barred = true);
    let mut lab = Lab::with(HssConfig::default(), vec![barred]);
    assert_eq!(lab.uar(ALICE_IMPI, &temporary).result, CxResult::AUTHORIZATION_REJECTED);
    let emergency = Uar {
        user_name: ALICE_IMPI.to_owned(),
        public_identity: temporary,
        uar_flags: Some(1),
        ..Uar::default()
    };
    assert_eq!(lab.ask(CxRequest::Uar(emergency)).result(), CxResult::FIRST_REGISTRATION);
}

#[test]
fn roaming_and_registration_rights_are_looked_at_but_not_to_leave() {
    let mut away = alice();
    away.roaming = Roaming::Networks(vec!["visited.example".to_owned()]);
    let mut denied = bob();
    denied.registration = Permission::Denied;
    let mut lab = Lab::with(HssConfig::default(), vec![away, denied]);
    assert_eq!(lab.uar(ALICE_IMPI, ALICE).result, CxResult::ROAMING_NOT_ALLOWED);
    assert_eq!(lab.uar(BOB_IMPI, BOB).result, CxResult::AUTHORIZATION_REJECTED);
    let leave = lab.uar_of(ALICE_IMPI, ALICE, UserAuthorizationType::DeRegistration);
    assert_eq!(leave.result, CxResult::IDENTITY_NOT_REGISTERED, "not refused for its network");
}

#[test]
fn leaving_is_sent_to_the_server_on_record() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let uaa = lab.uar_of(ALICE_IMPI, ALICE_TEL, UserAuthorizationType::DeRegistration);
    assert_eq!((uaa.result, uaa.server_name.as_deref()), (CxResult::SUCCESS, Some(SCSCF)));
}

#[test]
fn another_server_is_refused_unless_a_reassignment_is_pending() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let saa = lab.sar(ALICE_IMPI, ALICE, OTHER_SCSCF, Type::Registration);
    assert_eq!(saa.result, CxResult::IDENTITY_ALREADY_REGISTERED);
    assert_eq!(saa.server_name.as_deref(), Some(SCSCF));

    let uaa = lab.uar_of(ALICE_IMPI, ALICE, UserAuthorizationType::RegistrationAndCapabilities);
    assert_eq!((uaa.result, uaa.server_name), (CxResult::SUCCESS, None));
    let saa = lab.sar(ALICE_IMPI, ALICE, OTHER_SCSCF, Type::Registration);
    assert_eq!(saa.result, CxResult::SUCCESS);
    assert_eq!(lab.hss.state(ALICE), Some((State::Registered, Some(OTHER_SCSCF))));
    let saa = lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    assert_eq!(saa.result, CxResult::IDENTITY_ALREADY_REGISTERED, "the pending flag was for once");
}

/// TS 29.228 §8.1.1.
#[test]
fn an_mar_of_another_server_takes_the_user_over_and_the_old_one_is_told() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    assert_eq!(lab.mar(ALICE_IMPI, ALICE, OTHER_SCSCF).result, CxResult::SUCCESS);
    assert_eq!(lab.uar(ALICE_IMPI, ALICE).server_name.as_deref(), Some(OTHER_SCSCF));
    let [(_, CxRequest::Rtr(rtr), host)] = lab.sent.as_slice() else { panic!("one RTR") };
    assert_eq!(
        (rtr.reason.code as u32, rtr.user_name.as_str(), host.as_str()),
        (1, ALICE_IMPI, "scscf1.home1.net")
    );
}

#[test]
fn a_stale_card_brings_the_sequence_number_back_in_step() {
    let mut lab = Lab::new();
    let mut card = card(&alice());
    for _ in 0..40 {
        let maa = lab.mar(ALICE_IMPI, ALICE, SCSCF);
        assert!(matches!(answer_of(&mut card, &maa.auth_data_items[0]), UsimAnswer::Ok { .. }));
    }
    lab.command(HssCommand::SetSqn { impi: ALICE_IMPI.to_owned(), sqn: ims_aka::Sqn::default() });
    let maa = lab.mar(ALICE_IMPI, ALICE, SCSCF);
    let UsimAnswer::SyncFailure { auts } = answer_of(&mut card, &maa.auth_data_items[0]) else {
        panic!("a number that was used is refused");
    };
    let rand = &maa.auth_data_items[0].authenticate.as_ref().unwrap()[..16];
    let resync = |server: &str, auts: &[u8]| {
        let mut mar = mar(ALICE_IMPI, ALICE, server);
        mar.auth_data_item.authorization = Some([rand, auts].concat());
        mar
    };
    let mut forged = auts;
    forged[13] ^= 1;
    let maa = lab.mar_of(resync(SCSCF, &forged));
    assert!(matches!(answer_of(&mut card, &maa.auth_data_items[0]), UsimAnswer::SyncFailure { .. }));
    let maa = lab.mar_of(resync(SCSCF, &auts));
    assert!(matches!(answer_of(&mut card, &maa.auth_data_items[0]), UsimAnswer::Ok { .. }));
    assert_eq!(lab.mar_of(resync(SCSCF, &auts[..9])).result, CxResult::INVALID_AVP_VALUE);
}

#[test]
fn several_vectors_are_numbered_and_taken_by_the_card_in_any_order() {
    let mut lab = Lab::new();
    let mut card = card(&alice());
    let mut mar = mar(ALICE_IMPI, ALICE, SCSCF);
    mar.number_auth_items = 1000;
    let maa = lab.mar_of(mar);
    let numbers: Vec<_> = maa.auth_data_items.iter().filter_map(|item| item.item_number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5], "no more than the HSS is set to");
    for item in maa.auth_data_items.iter().rev() {
        assert!(matches!(answer_of(&mut card, item), UsimAnswer::Ok { .. }));
    }
}

#[test]
fn a_scheme_that_the_subscriber_has_not_is_refused() {
    let mut digest = bob();
    digest.private_identities[0].credentials =
        Credentials::digest_password(Hash::Sha256, BOB_IMPI, DOMAIN, "secret");
    let mut lab = Lab::with(HssConfig::default(), vec![alice(), digest]);
    let mut ask = |impi, impu, scheme: AuthScheme| {
        let mut mar = mar(impi, impu, SCSCF);
        mar.auth_data_item.scheme = Some(scheme);
        lab.mar_of(mar)
    };
    let unsupported = CxResult::AUTH_SCHEME_NOT_SUPPORTED;
    assert_eq!(ask(ALICE_IMPI, ALICE, AuthScheme::SipDigest).result, unsupported);
    assert_eq!(ask(ALICE_IMPI, ALICE, AuthScheme::Unknown).result, unsupported);
    assert_eq!(ask(BOB_IMPI, BOB, AuthScheme::DigestAkaV1Md5).result, unsupported);
    let maa = ask(BOB_IMPI, BOB, AuthScheme::Unknown);
    let item = maa.auth_data_items[0].digest.as_ref().unwrap();
    assert_eq!((item.realm.as_str(), item.algorithm.as_deref()), (DOMAIN, Some("SHA-256")));
    assert_eq!(maa.auth_data_items[0].scheme, Some(AuthScheme::SipDigest));
}

/// TS 33.203 Annex T, TS 29.228 §6.3.1: the address of the bearer, and nothing to answer.
#[test]
fn a_subscriber_with_a_bearer_is_known_by_its_address() {
    for (address, v4, v6) in [
        ("10.45.0.2", Some(vec![10, 45, 0, 2]), None),
        ("2001:db8:0:7::1", None, Some(vec![0, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 7])),
    ] {
        let mut bearer = bob();
        bearer.private_identities[0].credentials = Credentials::Giba { address: address.parse().unwrap() };
        let mut lab = Lab::with(HssConfig::default(), vec![alice(), bearer]);
        let mut ask = |impi, impu, scheme: AuthScheme| {
            let mut mar = mar(impi, impu, SCSCF);
            mar.auth_data_item.scheme = Some(scheme);
            lab.mar_of(mar)
        };
        let unsupported = CxResult::AUTH_SCHEME_NOT_SUPPORTED;
        assert_eq!(ask(BOB_IMPI, BOB, AuthScheme::DigestAkaV1Md5).result, unsupported);
        assert_eq!(ask(ALICE_IMPI, ALICE, AuthScheme::EarlyIms).result, unsupported);
        let maa = ask(BOB_IMPI, BOB, AuthScheme::EarlyIms);
        let item = &maa.auth_data_items[0];
        assert_eq!((&item.framed_ip_address, &item.framed_ipv6_prefix), (&v4, &v6), "{address}");
        assert_eq!(lab.sar(BOB_IMPI, BOB, SCSCF, Type::Registration).result, CxResult::SUCCESS);
    }
}

#[test]
fn failed_authentication_clears_the_name_of_a_stranger_and_leaves_a_registered_user_alone() {
    let mut lab = Lab::new();
    lab.mar(ALICE_IMPI, ALICE, SCSCF);
    assert_eq!(lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::AuthenticationFailure).result, CxResult::SUCCESS);
    assert_eq!(lab.uar(ALICE_IMPI, ALICE).result, CxResult::FIRST_REGISTRATION);

    lab.register(ALICE_IMPI, ALICE, SCSCF);
    lab.mar(ALICE_IMPI, ALICE, SCSCF);
    assert_eq!(lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::AuthenticationTimeout).result, CxResult::SUCCESS);
    assert_eq!(lab.hss.state(ALICE), Some((State::Registered, Some(SCSCF))));
}

#[test]
fn the_last_deregistration_clears_the_name_and_storing_the_name_keeps_it() {
    let mut lab = Lab::new();
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let saa = lab.sar(ALICE_IMPI, ALICE, OTHER_SCSCF, Type::UserDeregistration);
    assert_eq!(saa.result, CxResult::UNABLE_TO_COMPLY, "only the server on record may");
    lab.sar(ALICE_IMPI, ALICE_TEL, SCSCF, Type::UserDeregistrationStoreServerName);
    assert_eq!(lab.hss.state(ALICE), Some((State::Unregistered, Some(SCSCF))));
    lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::TimeoutDeregistration);
    assert_eq!(lab.hss.state(ALICE), Some((State::NotRegistered, None)));

    let config = HssConfig { keep_server: KeepServer::No, ..HssConfig::default() };
    let mut lab = Lab::with(config, vec![alice()]);
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    let saa = lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::TimeoutDeregistrationStoreServerName);
    assert_eq!(saa.result, CxResult::SUCCESS_SERVER_NAME_NOT_STORED);
    assert_eq!(lab.hss.state(ALICE), Some((State::NotRegistered, None)));
}

#[test]
fn a_shared_identity_stays_registered_while_one_private_identity_is() {
    let mut shared = alice();
    let mut second = shared.private_identities[0].clone();
    second.impi = "second@home1.net".to_owned();
    shared.private_identities.push(second);
    let mut lab = Lab::with(HssConfig::default(), vec![shared]);
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    lab.register("second@home1.net", ALICE, SCSCF);
    let saa = lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::ReRegistration);
    assert_eq!(saa.associated_identities, [ALICE_IMPI, "second@home1.net"]);
    assert_eq!(saa.associated_registered_identities, ["second@home1.net"]);

    let mut nameless = sar(ALICE_IMPI, ALICE, SCSCF, Type::UserDeregistration);
    nameless.user_name = None;
    assert_eq!(lab.sar_of(nameless.clone()).result, CxResult::MISSING_AVP, "which of the two?");
    lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::UserDeregistration);
    assert_eq!(lab.hss.state(ALICE), Some((State::Registered, Some(SCSCF))));
    assert_eq!(lab.sar_of(nameless).result, CxResult::SUCCESS);
    assert_eq!(lab.hss.state(ALICE), Some((State::NotRegistered, None)));
}

#[test]
fn the_number_of_identities_in_an_sar_must_fit_its_type() {
    let mut lab = Lab::new();
    let mut two = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    two.public_identities.push(ALICE_TEL.to_owned());
    assert_eq!(lab.sar_of(two.clone()).result, CxResult::AVP_OCCURS_TOO_MANY_TIMES);
    two.assignment_type = Type::AdministrativeDeregistration;
    assert_eq!(lab.sar_of(two).result, CxResult::SUCCESS);
    let mut none = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    none.public_identities.clear();
    assert_eq!(lab.sar_of(none.clone()).result, CxResult::MISSING_AVP);
    none.assignment_type = Type::UserDeregistration;
    assert_eq!(lab.sar_of(none).result, CxResult::SUCCESS);
    let mut nameless = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    nameless.user_name = None;
    assert_eq!(lab.sar_of(nameless).result, CxResult::MISSING_AVP);
}

#[test]
fn the_profile_alone_is_for_the_server_on_record() {
    let mut lab = Lab::new();
    assert_eq!(lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::NoAssignment).result, CxResult::UNABLE_TO_COMPLY);
    lab.register(ALICE_IMPI, ALICE, SCSCF);
    assert!(lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::NoAssignment).user_data.is_some());
    assert_eq!(
        lab.sar(ALICE_IMPI, ALICE, OTHER_SCSCF, Type::NoAssignment).result,
        CxResult::UNABLE_TO_COMPLY
    );
    let mut known = sar(ALICE_IMPI, ALICE, SCSCF, Type::ReRegistration);
    known.user_data_already_available = UserDataAlreadyAvailable::AlreadyAvailable;
    assert_eq!(lab.sar_of(known).user_data, None);
}

#[test]
fn a_restarted_server_gets_its_restoration_information_back() {
    let mut lab = Lab::new();
    lab.mar(ALICE_IMPI, ALICE, SCSCF);
    let info = ScscfRestorationInfo {
        user_name: ALICE_IMPI.to_owned(),
        registrations: vec![RestorationInfo { contact: b"<sip:ue>".to_vec(), ..RestorationInfo::default() }],
        ..ScscfRestorationInfo::default()
    };
    let mut register = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    register.restoration_info = Some(info.clone());
    assert_eq!(lab.sar_of(register).result, CxResult::SUCCESS);

    let saa = lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::UnregisteredUser);
    assert_eq!(saa.result, CxResult::IN_ASSIGNMENT_TYPE);
    assert_eq!(saa.restoration_infos, [info]);
    assert!(saa.user_data.is_some());
    assert_eq!(lab.hss.state(ALICE), Some((State::Registered, Some(SCSCF))));
}

fn restoration(impi: &str, contact: &str) -> ScscfRestorationInfo {
    ScscfRestorationInfo {
        user_name: impi.to_owned(),
        registrations: vec![RestorationInfo { contact: contact.into(), ..RestorationInfo::default() }],
        ..ScscfRestorationInfo::default()
    }
}

/// TS 29.228 §6.1.2.1: what is on record of other contacts is not overwritten by one who does not know them.
#[test]
fn a_registration_that_may_be_one_of_several_brings_back_what_is_on_record() {
    let mut lab = Lab::new();
    lab.mar(ALICE_IMPI, ALICE, SCSCF);
    let (first, second) = (restoration(ALICE_IMPI, "<sip:first>"), restoration(ALICE_IMPI, "<sip:second>"));
    let mut register = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    register.restoration_info = Some(first.clone());
    register.is_multiple_registration = Some(true);
    assert_eq!(lab.sar_of(register.clone()).result, CxResult::SUCCESS, "nothing is on record");
    register.restoration_info = Some(second.clone());
    let saa = lab.sar_of(register.clone());
    assert_eq!((saa.result, saa.restoration_infos), (CxResult::IN_ASSIGNMENT_TYPE, vec![first]));
    assert!(saa.user_data.is_some());
    // Whoever is the only one takes the place of what was there.
    register.is_multiple_registration = None;
    let saa = lab.sar_of(register);
    assert_eq!((saa.result, saa.restoration_infos), (CxResult::SUCCESS, vec![]));
    let kept = lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::NoAssignment);
    assert_eq!((kept.result, kept.restoration_infos), (CxResult::SUCCESS, vec![second]));
}

/// TS 23.380 §4: another S-CSCF, where the I-CSCF has found the one on record gone, gets what that one has left.
#[test]
fn what_a_server_has_left_goes_to_the_one_that_takes_its_place() {
    let mut lab = Lab::new();
    let info = restoration(ALICE_IMPI, "<sip:ue>");
    let mut register = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    register.restoration_info = Some(info.clone());
    lab.sar_of(register);
    let other = || sar(ALICE_IMPI, ALICE, OTHER_SCSCF, Type::UnregisteredUser);
    assert_eq!(lab.sar_of(other()).result, CxResult::IDENTITY_ALREADY_REGISTERED);
    let lir = Lir {
        public_identity: ALICE.to_owned(),
        authorization_type: Some(UserAuthorizationType::RegistrationAndCapabilities),
        ..Lir::default()
    };
    assert!(lab.lir_of(lir).result.is_success());
    let saa = lab.sar_of(other());
    assert_eq!((saa.result, saa.restoration_infos), (CxResult::IN_ASSIGNMENT_TYPE, vec![info]));
    assert_eq!(lab.hss.state(ALICE), Some((State::Registered, Some(OTHER_SCSCF))));
    // It outlives the HSS itself.
    let mut lab = Lab::restarted(HssConfig::default(), vec![alice(), bob()], lab.records.clone());
    assert_eq!(lab.sar_of(other()).restoration_infos.len(), 1);
}

/// TS 29.229 §6.3.63: with the flag a registered user is served on as one who is not registered.
#[test]
fn a_user_whose_pcscf_is_gone_is_unregistered() {
    let mut lab = Lab::new();
    let mut register = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    register.restoration_info = Some(restoration(ALICE_IMPI, "<sip:ue>"));
    lab.sar_of(register);
    let mut gone = sar(ALICE_IMPI, ALICE, SCSCF, Type::UnregisteredUser);
    gone.sar_flags = Some(P_CSCF_RESTORATION_INDICATION);
    let saa = lab.sar_of(gone);
    assert_eq!((saa.result, saa.restoration_infos), (CxResult::SUCCESS, vec![]));
    assert_eq!(lab.hss.state(ALICE), Some((State::Unregistered, Some(SCSCF))));
}

/// TS 29.228 §6.1.2.1: every type, of a user in every state: the result, and the state that follows.
#[test]
fn each_assignment_type_has_its_result_and_its_state() {
    use State::{NotRegistered, Registered, Unregistered};
    let (success, refused) = (CxResult::SUCCESS, CxResult::UNABLE_TO_COMPLY);
    for (assignment_type, expected) in [
        (Type::NoAssignment, [(refused, NotRegistered), (success, Registered), (success, Unregistered)]),
        (Type::Registration, [(success, Registered), (success, Registered), (success, Registered)]),
        (Type::ReRegistration, [(success, Registered), (success, Registered), (success, Registered)]),
        (Type::UnregisteredUser, [(success, Unregistered), (success, Unregistered), (success, Unregistered)]),
        (Type::TimeoutDeregistration, [(success, NotRegistered); 3]),
        (Type::UserDeregistration, [(success, NotRegistered); 3]),
        (
            Type::TimeoutDeregistrationStoreServerName,
            [
                (CxResult::SUCCESS_SERVER_NAME_NOT_STORED, NotRegistered),
                (success, Unregistered),
                (success, Unregistered),
            ],
        ),
        (
            Type::UserDeregistrationStoreServerName,
            [
                (CxResult::SUCCESS_SERVER_NAME_NOT_STORED, NotRegistered),
                (success, Unregistered),
                (success, Unregistered),
            ],
        ),
        (Type::AdministrativeDeregistration, [(success, NotRegistered); 3]),
        (
            Type::AuthenticationFailure,
            [(success, NotRegistered), (success, Registered), (success, Unregistered)],
        ),
        (
            Type::AuthenticationTimeout,
            [(success, NotRegistered), (success, Registered), (success, Unregistered)],
        ),
        (Type::DeregistrationTooMuchData, [(success, NotRegistered); 3]),
    ] {
        for (state, expected) in [NotRegistered, Registered, Unregistered].into_iter().zip(expected) {
            let mut lab = Lab::new();
            match state {
                NotRegistered => {}
                Registered => lab.register(ALICE_IMPI, ALICE, SCSCF),
                Unregistered => {
                    lab.sar(ALICE_IMPI, ALICE, SCSCF, Type::UnregisteredUser);
                }
            }
            let result = lab.sar(ALICE_IMPI, ALICE, SCSCF, assignment_type).result;
            let after = lab.hss.state(ALICE).map(|(state, _)| state);
            assert_eq!((result, after), (expected.0, Some(expected.1)), "{assignment_type:?} of {state:?}");
        }
    }
}

#[test]
fn shared_criteria_are_written_out_for_a_server_that_does_not_know_them() {
    let criteria = user_data::InitialFilterCriteria { priority: 5, ..Default::default() };
    let mut config = HssConfig::default();
    let named = user_data::ApplicationServer { server_name: "sip:as".to_owned(), ..Default::default() };
    config
        .shared_ifc
        .insert(9, vec![user_data::InitialFilterCriteria { application_server: named, ..criteria }]);
    let mut subscriber = alice();
    subscriber.implicit_sets[0].service_profiles[0].shared_ifc_set_ids = vec![9];
    let mut lab = Lab::with(config, vec![subscriber]);

    let mut request = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    let profile = |saa: diameter_client::cx::Saa| {
        user_data::parse(&saa.user_data.unwrap()).unwrap().service_profiles.remove(0)
    };
    let plain = profile(lab.sar_of(request.clone()));
    assert_eq!((plain.filter_criteria.len(), plain.shared_ifc_set_ids.len()), (1, 0));
    request.supported_features = vec![SupportedFeatures::cx(SIFC)];
    let saa = lab.sar_of(request);
    assert_eq!(saa.details.supported_features, HssConfig::default().features);
    let by_number = profile(saa);
    assert_eq!((by_number.filter_criteria.len(), by_number.shared_ifc_set_ids), (0, vec![9]));
}

#[test]
fn a_required_feature_that_the_hss_lacks_is_refused_with_its_own_list() {
    let mut lab = Lab::new();
    let mut request = sar(ALICE_IMPI, ALICE, SCSCF, Type::Registration);
    request.supported_features =
        vec![SupportedFeatures { is_required: true, ..SupportedFeatures::cx(1 << 9) }];
    let saa = lab.sar_of(request);
    assert_eq!(saa.result, CxResult::FEATURE_UNSUPPORTED);
    assert_eq!(saa.details.supported_features, HssConfig::default().features);
}

#[test]
fn any_refusal_comes_on_demand_and_goes_again() {
    let mut lab = Lab::new();
    let refusal = Refusal {
        command: Some("UAR".to_owned()),
        identity: Some(ALICE.to_owned()),
        result: CxResult::ROAMING_NOT_ALLOWED,
        count: Some(1),
    };
    lab.command(HssCommand::Refuse(refusal));
    assert_eq!(lab.uar(BOB_IMPI, BOB).result, CxResult::FIRST_REGISTRATION);
    assert_eq!(lab.uar(ALICE_IMPI, ALICE).result, CxResult::ROAMING_NOT_ALLOWED);
    assert_eq!(lab.uar(ALICE_IMPI, ALICE).result, CxResult::FIRST_REGISTRATION);
}

#[test]
fn other_hsss_habits_are_put_on() {
    let of = |personality| {
        let config = HssConfig { personality, scscf_pool: SCSCF.to_owned(), ..HssConfig::default() };
        let mut subscriber = alice();
        subscriber.server = Some(ServerCapabilities { mandatory: vec![1], ..ServerCapabilities::default() });
        Lab::with(config, vec![subscriber])
    };
    let uaa = of(Personality::PyHss).uar(ALICE_IMPI, ALICE);
    assert_eq!((uaa.server_name.as_deref(), uaa.server_capabilities), (Some(SCSCF), None));
    let maa = of(Personality::PyHss).mar(ALICE_IMPI, ALICE, SCSCF);
    assert_eq!(maa.auth_data_items[0].item_number, Some(0));
    let lia = of(Personality::PyHss).lir(ALICE);
    assert_eq!((lia.result, lia.server_name.as_deref()), (CxResult::SUCCESS, Some(SCSCF)));

    let uaa = of(Personality::Open5gs).uar(ALICE_IMPI, ALICE);
    assert_eq!((uaa.server_name, uaa.server_capabilities), (None, None));
    let lia = of(Personality::Open5gs).lir(ALICE);
    assert!(lia.result == CxResult::SUCCESS_SERVER_NAME_NOT_STORED && lia.is_unregistered_service());
    let mut unknown = mar(ALICE_IMPI, ALICE, SCSCF);
    unknown.auth_data_item.scheme = Some(AuthScheme::Unknown);
    assert_eq!(of(Personality::Open5gs).mar_of(unknown).result, CxResult::SUCCESS);

    let capabilities = of(Personality::FHoss).uar(ALICE_IMPI, ALICE).server_capabilities.unwrap();
    assert_eq!(capabilities.server_names, [SCSCF]);
}

#[test]
fn a_tuak_subscriber_registers_as_one_of_milenage_does() {
    let mut tuak = alice();
    let k = ims_aka::TuakKey::K256(Key::new([8; 32]));
    tuak.private_identities[0].credentials = Credentials::tuak_top(k, &ims_aka::Top(Key::new([9; 32])), 1);
    let mut card = card(&tuak);
    let mut lab = Lab::with(HssConfig::default(), vec![tuak]);
    let maa = lab.mar(ALICE_IMPI, ALICE, SCSCF);
    assert!(matches!(answer_of(&mut card, &maa.auth_data_items[0]), UsimAnswer::Ok { .. }));
    let other = Credentials::Milenage { k: Key::new([8; 16]), opc: Opc(Key::new([9; 16])) };
    let mut stranger = ims_aka::Usim::new(other.algorithm().unwrap());
    assert_eq!(answer_of(&mut stranger, &maa.auth_data_items[0]), UsimAnswer::MacFailure);
}
