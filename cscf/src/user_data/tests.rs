//! User-Data as several HSSs write it, and as none should.

use super::*;

/// In the manner of FHoSS: nested empty Extension elements, numbers for every optional element.
const FHOSS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<IMSSubscription><PrivateID>alice@home1.net</PrivateID><ServiceProfile>
<PublicIdentity><BarringIndication>1</BarringIndication><Identity>sip:001010000000001@home1.net</Identity>
<Extension><IdentityType>0</IdentityType><Extension></Extension></Extension></PublicIdentity>
<PublicIdentity><Identity>sip:alice@home1.net</Identity><Extension><IdentityType>0</IdentityType>
<Extension><DisplayName>Alice &amp; Co</DisplayName><AliasIdentityGroupID>1</AliasIdentityGroupID></Extension></Extension></PublicIdentity>
<InitialFilterCriteria><Priority>2</Priority>
<TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF>
<SPT><ConditionNegated>0</ConditionNegated><Group>0</Group><Method>INVITE</Method><Extension></Extension></SPT>
<SPT><ConditionNegated>1</ConditionNegated><Group>1</Group><SIPHeader><Header>X-Loop</Header></SIPHeader></SPT>
</TriggerPoint>
<ApplicationServer><ServerName>sip:as1.home1.net;lr</ServerName><DefaultHandling>0</DefaultHandling></ApplicationServer>
</InitialFilterCriteria>
<InitialFilterCriteria><Priority>1</Priority><TriggerPoint><ConditionTypeCNF>0</ConditionTypeCNF>
<SPT><Group>0</Group><Method>REGISTER</Method><Extension><RegistrationType>0</RegistrationType><RegistrationType>2</RegistrationType></Extension></SPT>
</TriggerPoint><ApplicationServer><ServerName>sip:smsc.home1.net:7090</ServerName><DefaultHandling>1</DefaultHandling>
<Extension><IncludeRegisterRequest/></Extension></ApplicationServer><ProfilePartIndicator>0</ProfilePartIndicator>
</InitialFilterCriteria></ServiceProfile></IMSSubscription>"#;

/// In the manner of a hand-written template: a namespace, elements out of order, booleans in words, a trailing zero.
const TEMPLATE: &str = r#"
<cx:IMSSubscription xmlns:cx="urn:example">
  <!-- a comment -->
  <cx:ServiceProfile>
    <cx:Vendor><cx:Deep>ignored</cx:Deep></cx:Vendor>
    <cx:PublicIdentity><cx:Identity><![CDATA[tel:+49301000001]]></cx:Identity><cx:BarringIndication>false</cx:BarringIndication></cx:PublicIdentity>
    <cx:SharedIFCSetID>7</cx:SharedIFCSetID>
  </cx:ServiceProfile>
  <cx:PrivateID>&#97;lice</cx:PrivateID>
</cx:IMSSubscription>"#;

fn subscriber() -> ImsSubscription {
    parse(FHOSS.as_bytes()).expect("the example is well-formed")
}

#[test]
fn identities_and_criteria_are_read_and_criteria_sorted_by_priority() {
    let subscription = subscriber();
    assert_eq!(subscription.private_id, "alice@home1.net");
    let profile = &subscription.service_profiles[0];
    assert!(profile.public_identities[0].is_barred);
    assert_eq!(profile.public_identities[1].display_name.as_deref(), Some("Alice & Co"));
    assert_eq!(profile.public_identities[1].alias_group.as_deref(), Some("1"));
    let priorities: Vec<u32> = profile.filter_criteria.iter().map(|criteria| criteria.priority).collect();
    assert_eq!(priorities, [1, 2]);

    let sms = &profile.filter_criteria[0];
    assert!(sms.application_server.includes_register_request);
    assert_eq!(sms.application_server.default_handling, DefaultHandling::SessionTerminated);
    assert_eq!(sms.profile_part, Some(ProfilePart::Registered));
    let trigger = &sms.trigger_point.as_ref().unwrap().triggers[0];
    assert_eq!(trigger.registration_types, [RegistrationType::Initial, RegistrationType::DeRegistration]);

    let call = profile.filter_criteria[1].trigger_point.as_ref().unwrap();
    assert_eq!(call.form, ConditionForm::Conjunctive);
    assert!(call.triggers[1].is_negated);
    let header = Condition::SipHeader { header: "X-Loop".to_owned(), content: None };
    assert_eq!(call.triggers[1].condition, header);
}

/// TS 29.228 §6.5.1.1.
#[test]
fn the_default_identity_is_the_first_that_is_not_barred() {
    assert_eq!(subscriber().default_identity().unwrap().identity, "sip:alice@home1.net");
}

#[test]
fn prefixes_order_unknown_elements_and_a_trailing_zero_do_not_matter() {
    let subscription = parse(format!("{TEMPLATE}\0").as_bytes()).unwrap();
    assert_eq!(subscription.private_id, "alice");
    let profile = &subscription.service_profiles[0];
    assert_eq!(profile.public_identities[0].identity, "tel:+49301000001");
    assert_eq!(profile.shared_ifc_set_ids, [7]);
}

#[test]
fn what_is_written_validates_and_reads_as_it_was() {
    let mut full = subscriber();
    full.imsi = Some("001010000000001".to_owned());
    let profile = &mut full.service_profiles[0];
    profile.shared_ifc_set_ids = vec![1, 2];
    profile.core_network_services = Some(CoreNetworkServices {
        subscribed_media_profile_id: Some(3),
        service_ids: vec!["urn:urn-7:3gpp-service.ims.icsi.mmtel".to_owned()],
    });
    profile.public_identities.push(PublicIdentity {
        identity: "sip:ep_user1@home1.net".to_owned(),
        identity_type: IdentityType::WildcardedImpu,
        wildcarded_impu: Some("sip:ep_user!.*!@home1.net".to_owned()),
        max_simultaneous_registrations: Some(4),
        ..PublicIdentity::default()
    });
    let criteria = &mut profile.filter_criteria[0];
    criteria.application_server.service_info = Some("<a href=\"x\">'&'\r\n</a>".to_owned());
    let trigger = &mut criteria.trigger_point.as_mut().unwrap().triggers[0];
    trigger.condition =
        Condition::SessionDescription { line: "m".to_owned(), content: Some("audio.*".to_owned()) };
    assert_eq!(validate(write(&full).as_bytes()), Ok(full));
}

#[test]
fn validation_names_the_line_of_an_element_out_of_order() {
    parse(TEMPLATE.as_bytes()).unwrap();
    let error = validate(TEMPLATE.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2: IMSSubscription: PrivateID must stand here exactly once, and stands 0 times"
    );
}

#[test]
fn validation_refuses_two_criteria_of_one_priority_and_an_identity_that_is_no_uri() {
    let twice = FHOSS.replace("<Priority>2<", "<Priority>1<");
    assert!(parse(twice.as_bytes()).is_ok(), "in use somewhere, so taken from an HSS");
    assert_eq!(validate(twice.as_bytes()).unwrap_err().line, 14);
    validate(FHOSS.as_bytes()).unwrap();
    let error = validate(FHOSS.replace("sip:alice", "alice").as_bytes()).unwrap_err();
    assert!(error.reason.contains("neither a SIP nor a tel URI"), "{error}");
}

#[test]
fn a_trigger_without_group_or_with_two_conditions_is_refused() {
    let no_group = FHOSS.replace("<SPT><Group>0</Group>", "<SPT>");
    assert!(parse(no_group.as_bytes()).unwrap_err().reason.contains("is in no Group"));
    let two = FHOSS.replace("<Method>INVITE</Method>", "<Method>INVITE</Method><SessionCase>0</SessionCase>");
    assert!(parse(two.as_bytes()).unwrap_err().reason.contains("exactly one condition"));
}

#[test]
fn values_outside_their_enumeration_are_refused() {
    for (from, to) in [
        ("<IdentityType>0", "<IdentityType>9"),
        ("<BarringIndication>1", "<BarringIndication>maybe"),
        ("<DefaultHandling>1", "<DefaultHandling>2"),
        ("<Priority>1", "<Priority>-1"),
        ("<RegistrationType>0", "<RegistrationType>3"),
        ("<ProfilePartIndicator>0", "<ProfilePartIndicator>2"),
        ("<ServerName>sip:as1.home1.net;lr", "<ServerName>"),
    ] {
        assert!(FHOSS.contains(from), "{from}");
        assert!(parse(FHOSS.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn documents_that_are_too_long_too_deep_or_define_entities_are_refused() {
    let long = format!("<IMSSubscription>{}</IMSSubscription>", " ".repeat(512 * 1024));
    assert!(parse(long.as_bytes()).unwrap_err().reason.contains("longer"));
    let deep = "<Extension>".repeat(100);
    assert!(parse(deep.as_bytes()).unwrap_err().reason.contains("nested deeper"));
    let wide = format!("<IMSSubscription>{}</IMSSubscription>", "<a/>".repeat(30_000));
    assert!(parse(wide.as_bytes()).unwrap_err().reason.contains("more than"));
    let doctype = format!("<!DOCTYPE x [<!ENTITY a \"aaaa\">]>{FHOSS}");
    assert!(parse(doctype.as_bytes()).unwrap_err().reason.contains("DOCTYPE"));
}

#[test]
fn documents_cut_anywhere_are_refused_and_none_panics() {
    let octets = FHOSS.as_bytes();
    for end in 0..octets.len() {
        assert!(parse(&octets[..end]).is_err(), "cut at {end}");
    }
    for seed in 0..octets.len() {
        let mut changed = octets.to_vec();
        changed[seed] = changed[seed].wrapping_mul(31).wrapping_add(seed as u8);
        fuzz_user_data(&changed);
    }
    assert_eq!(parse(b"<IMSSubscription>\n\xff").unwrap_err(), UserDataError::new(2, "not UTF-8"));
}
