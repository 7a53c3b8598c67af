//! Filter criteria of the S-CSCF's own configuration.

mod bench;

use bench::*;
use cscf::identity::Impu;
use diameter_client::cx::{CxAnswer, CxResult, IMS_RESTORATION_IND, SIFC, Saa, SupportedFeatures};

/// A criterion for INVITEs, in a root as a file has it.
fn criteria(priority: u32, server: &str) -> String {
    format!(
        "<x><InitialFilterCriteria><Priority>{priority}</Priority><TriggerPoint><ConditionTypeCNF>0</ConditionTypeCNF>\
         <SPT><Group>0</Group><Method>INVITE</Method></SPT></TriggerPoint><ApplicationServer><ServerName>{server}</ServerName>\
         </ApplicationServer></InitialFilterCriteria></x>"
    )
}

/// The servers of alice, by priority, once she is registered with this profile.
fn servers(bench: &mut Bench, user_data: Vec<u8>) -> Vec<String> {
    let (id, _) = bench.authenticate(&register("alice"));
    let answer = Saa { result: CxResult::SUCCESS, user_data: Some(user_data), ..Default::default() };
    let did = bench.cx(id, CxAnswer::Saa(answer));
    let (id, records) = store(&did);
    assert!(sip(&bench.stored(id, &records)).starts_with("SIP/2.0 200 "));
    let alice = Impu::parse(format!("sip:alice@{HOME}").as_bytes()).expect("a SIP URI");
    let (_, alice) = bench.node.role().registrations().find(&alice).expect("registered");
    let criteria = alice.set.services()[0].criteria.iter();
    criteria.map(|criterion| criterion.application_server.server_name.clone()).collect()
}

/// A profile of alice with this behind her identities.
fn profile_with(services: &str) -> Vec<u8> {
    let whole = String::from_utf8(profile("alice")).expect("text");
    whole.replace("</ServiceProfile>", &format!("{services}</ServiceProfile>")).into_bytes()
}

/// TS 29.228 §B.2.1, TS 29.229 §7.1.1.
#[test]
fn a_server_with_sets_says_so_and_completes_profiles_that_name_them() {
    let section = format!("shared_ifc_sets = [{{ id = 7, criteria = '{}' }}]\n", criteria(1, "sip:shared"));
    let mut bench = Bench::configured(&section);
    let (_, sar) = bench.authenticate(&register("bob"));
    assert_eq!(sar.supported_features, [SupportedFeatures::cx(SIFC | IMS_RESTORATION_IND)]);
    let own = criteria(2, "sip:own").replace("<x>", "").replace("</x>", "");
    let named = "<Extension><SharedIFCSetID>7</SharedIFCSetID><SharedIFCSetID>8</SharedIFCSetID></Extension>";
    assert_eq!(servers(&mut bench, profile_with(&format!("{own}{named}"))), ["sip:shared", "sip:own"]);
    let (_, sar) = Bench::new().authenticate(&register("bob"));
    assert_eq!(
        sar.supported_features,
        [SupportedFeatures::cx(IMS_RESTORATION_IND)],
        "without sets the HSS writes criteria out"
    );
}

#[test]
fn users_without_criteria_have_those_of_the_configuration() {
    let section = format!("fallback_criteria = '{}'\n", criteria(1, "sip:fallback"));
    assert_eq!(servers(&mut Bench::configured(&section), profile("alice")), ["sip:fallback"]);
    let own = criteria(2, "sip:own").replace("<x>", "").replace("</x>", "");
    assert_eq!(servers(&mut Bench::configured(&section), profile_with(&own)), ["sip:own"]);
}

/// A mistake ends the start, and tells the file, the line, the key and what to do.
#[test]
fn criteria_of_the_configuration_that_cannot_be_evaluated_are_a_mistake_in_it() {
    let wrong = criteria(1, "sip:as").replace("<Method>INVITE</Method>", "<RequestURI>(</RequestURI>");
    for (key, value, origin) in [
        ("fallback_criteria", format!("'{wrong}'"), "fall-back"),
        ("shared_ifc_sets", format!("[{{ id = 3, criteria = '{wrong}' }}]"), "shared set 3"),
    ] {
        let text = format!("[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[scscf]\n{key} = {value}\n");
        let config = cscf::config::Config::parse(&text, "lab.toml").unwrap();
        let error = <scscf::Scscf as cscf::Role>::check(&config).unwrap_err().to_string();
        let expected = format!(
            "lab.toml:5:1: scscf.{key}: {origin}: InitialFilterCriteria 1 (Priority 1): SPT 1, RequestURI: the \
             parenthesis is not closed (at character 1); `ims ifc lint` explains what is wrong, and what to write"
        );
        assert_eq!(error, expected);
    }
}
