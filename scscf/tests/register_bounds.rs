//! What of a REGISTER is not taken as it comes: a proof for another resource, contacts without end; and what of its
//! answer not every P-CSCF is told.

mod bench;

use bench::*;
use diameter_client::cx::{ChargingInformation, CxAnswer, CxRequest, CxResult, Ppr, Saa};

/// The status of the answer to a challenge whose digest was made for this `uri`; the SAR counts as 100.
fn answer_for(uri: &str) -> String {
    let mut bench = Bench::new();
    let nonce = bench.challenge(&register("alice"));
    let ha1 = ims_aka::Ha1::from_password(
        ims_aka::Hash::Md5,
        format!("alice@{HOME}").as_bytes(),
        HOME.as_bytes(),
        &RES,
    );
    let qop = ims_aka::Qop::Auth { nc: b"00000001", cnonce: b"abc" };
    let right = |uri: &str| ha1.response(b"REGISTER", uri.as_bytes(), nonce.as_bytes(), qop).to_string();
    let text = register("alice").next().text(Some((&nonce, &RES)));
    let text = text
        .replace(&format!("uri=\"sip:{HOME}\""), &format!("uri=\"{uri}\""))
        .replace(&right(&format!("sip:{HOME}")), &right(uri));
    let did = bench.receive(PCSCF, &text);
    match sips(&did).first() {
        Some((_, refusal)) => refusal.split(' ').nth(1).unwrap_or_default().to_owned(),
        None => {
            sar(&did);
            "100".to_owned()
        }
    }
}

/// RFC 7616 §3.4.6: the digest is right, and it is one for something else.
#[test]
fn a_proof_for_another_resource_is_a_400_and_any_form_of_the_registrar_is_taken() {
    for uri in [
        format!("sip:{HOME}"),
        format!("sip:{HOME}:5060"),
        format!("sip:{};transport=tcp", HOME.to_uppercase()),
        format!("sip:scscf.{HOME}:6060"),
        "sip:127.0.0.10:5060".to_owned(),
    ] {
        assert_eq!(answer_for(&uri), "100", "{uri}");
    }
    for uri in ["sip:other.example".to_owned(), format!("sip:bob@{HOME}"), "tel:+4930".to_owned()] {
        assert_eq!(answer_for(&uri), "400", "{uri}");
    }
}

/// A REGISTER of a user who is registered, with these contacts; the status of its answer.
fn refreshed_with(bench: &mut Bench, cseq: u32, contacts: &str) -> String {
    let refresh = Register { cseq, integrity: "yes", ..register("alice") }.contact(contacts);
    let did = bench.receive(PCSCF, &refresh.text(None));
    match sips(&did).first() {
        Some((_, refusal)) => refusal.split("\r\n").next().unwrap_or_default().to_owned(),
        None => {
            store(&did);
            "stored".to_owned()
        }
    }
}

#[test]
fn contacts_beyond_what_is_kept_are_refused_and_the_registration_stays() {
    let mut bench = Bench::configured("contacts_max = 3");
    bench.register(&register("alice"));
    let contacts = |count: usize| {
        let one = |n| format!("<sip:alice@10.0.0.1:5060;n={n}>;expires=600;+sip.instance=\"<urn:uuid:{n}>\"");
        (0..count).map(one).collect::<Vec<_>>().join(", ")
    };
    assert!(refreshed_with(&mut bench, 7, &contacts(40)).starts_with("SIP/2.0 403 "));
    let long = format!("<sip:alice@10.0.0.1:5060>;expires=600;+x=\"{}\"", "x".repeat(3000));
    assert!(refreshed_with(&mut bench, 8, &long).starts_with("SIP/2.0 513 "));
    assert_eq!(refreshed_with(&mut bench, 9, "<sip:alice@10.0.0.1:5060>;expires=600"), "stored");
}

/// The P-Charging-Function-Addresses of the 200 to a REGISTER with these header fields.
fn charging_told(headers_more: &str, orig_ioi: &str) -> usize {
    let mut bench = Bench::new();
    let register = Register { more: headers_more.to_owned(), ..register("alice") };
    let vector = |text: String| text.replace("orig-ioi=visited", &format!("orig-ioi={orig_ioi}"));
    let did = bench.receive(PCSCF, &vector(register.text(None)));
    let (mar, _) = cx(&did);
    let did = bench.cx(mar, maa());
    let nonce = nonce(sip(&did));
    let did = bench.receive(PCSCF, &vector(register.next().text(Some((&nonce, &RES)))));
    let (id, _) = sar(&did);
    let charging = ChargingInformation {
        primary_ccf: Some("aaa://ccf1.home1.net".into()),
        secondary_ccf: Some("aaa://ccf2.home1.net".into()),
        ..Default::default()
    };
    let saa = Saa {
        result: CxResult::SUCCESS,
        user_data: Some(profile("alice")),
        charging_information: Some(charging),
        ..Default::default()
    };
    let did = bench.cx(id, CxAnswer::Saa(saa));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    let told = headers(sip(&did), "P-Charging-Function-Addresses");
    let expected = "ccf=\"aaa://ccf1.home1.net\"; ccf=\"aaa://ccf2.home1.net\"";
    assert!(told.iter().all(|value| *value == expected), "{told:?}");
    told.len()
}

/// TS 24.229 §5.4.1.2.2F.
#[test]
fn where_we_charge_is_told_to_a_pcscf_of_our_own_network_only() {
    let at = |network: &str| format!("P-Visited-Network-ID: \"{network}\"\n");
    assert_eq!(charging_told(&at(HOME), HOME), 1);
    assert_eq!(charging_told("", HOME), 1);
    assert_eq!(charging_told(&at("visited.example"), HOME), 0);
    assert_eq!(charging_told(&at(HOME), "visited"), 0);
    assert_eq!(charging_told("", "visited"), 0);
    let path = "Path: <sip:token@pcscf.visited.example;lr>\n";
    assert_eq!(charging_told(&format!("{path}{}", at(HOME)), HOME), 0);
}

/// TS 29.228 §6.2.2, §6.5.2.3: other addresses are pushed alone, and told with the next 200.
#[test]
fn where_we_charge_is_told_anew_after_the_hss_has_pushed_it() {
    let mut bench = Bench::new();
    bench.register(&register("alice"));
    let charging = ChargingInformation {
        primary_ccf: Some("aaa://ccf1".into()),
        secondary_ccf: Some("aaa://ccf2".into()),
        primary_ecf: Some("aaa://ecf1".into()),
        secondary_ecf: Some("aaa://ecf2".into()),
    };
    let did = bench.hss_asks(CxRequest::Ppr(Ppr {
        user_name: format!("alice@{HOME}"),
        charging_information: Some(charging),
        ..Default::default()
    }));
    let (id, records) = store(&did);
    bench.stored(id, &records);
    let more = format!("P-Visited-Network-ID: \"{HOME}\"\n");
    let refresh = Register { cseq: 9, integrity: "yes", more, ..register("alice") };
    let text = refresh.text(None).replace("orig-ioi=visited", &format!("orig-ioi={HOME}"));
    let did = bench.receive(PCSCF, &text);
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert_eq!(
        header(sip(&did), "P-Charging-Function-Addresses"),
        "ccf=\"aaa://ccf1\"; ccf=\"aaa://ccf2\"; ecf=\"aaa://ecf1\"; ecf=\"aaa://ecf2\""
    );
}

/// TS 29.228 Annex E: a subscription may allow fewer contacts than the operator does.
#[test]
fn a_profile_may_allow_fewer_contacts_than_the_operator() {
    let contact = |n: u8| format!("<sip:alice@10.0.0.{n}:5060>;expires=600;+sip.instance=\"<urn:uuid:{n}>\"");
    for (allowed, is_refused) in [("", false), (MAX_ONE, true)] {
        let mut bench = Bench::new();
        let both = format!("{}, {}", contact(1), contact(2));
        let (id, _) = bench.authenticate(&register("alice").contact(&both));
        let profile = String::from_utf8(profile("alice")).expect("text");
        let identity = format!("<Identity>sip:alice@{HOME}</Identity>");
        let profile = profile.replace(&identity, &format!("{identity}{allowed}"));
        let saa =
            Saa { result: CxResult::SUCCESS, user_data: Some(profile.into_bytes()), ..Default::default() };
        let did = bench.cx(id, CxAnswer::Saa(saa));
        let refused = sips(&did).iter().any(|(_, text)| text.starts_with("SIP/2.0 403 "));
        assert_eq!(refused, is_refused, "{allowed} {did:?}");
        assert_eq!(did.iter().any(|one| matches!(one, Did::Store(..))), !is_refused, "{allowed}");
        // The HSS does not go on holding this S-CSCF for the user's.
        assert_eq!(did.iter().any(|one| matches!(one, Did::Cx(..))), is_refused, "{allowed}");
    }
}

const MAX_ONE: &str = "<Extension><Extension><Extension><Extension><MaxNumOfAllowedSimultRegistrations>1\
    </MaxNumOfAllowedSimultRegistrations></Extension></Extension></Extension></Extension>";
