//! GPRS-IMS-bundled authentication at the S-CSCF, told as messages (TS 33.203 Annex T).

mod bench;

use bench::*;
use cscf::identity::Impu;
use diameter_client::cx::{AuthDataItem, AuthScheme, CxAnswer, CxRequest, CxResult, Maa, Mar};

/// A deployment that lets UEs in by their bearer.
fn giba() -> Bench {
    Bench::configured("[access]\nnetworks = [{ type = \"3GPP-E-UTRAN\", schemes = [\"aka\", \"giba\"] }]\n")
}

/// A REGISTER of alice without credentials; the last Via is the one that her phone wrote.
fn register_from(via: &str, more: &str) -> String {
    format!(
        "REGISTER sip:scscf.{HOME}:6060 SIP/2.0\n\
         Via: SIP/2.0/UDP 127.0.0.10:5060;branch=z9hG4bKtop\nVia: SIP/2.0/UDP {via};branch=z9hG4bKue\n\
         Path: <sip:path-alice@127.0.0.10:5060;lr>\nMax-Forwards: 68\n\
         From: <sip:alice@{HOME}>;tag=f\nTo: <sip:alice@{HOME}>\nCall-ID: giba\nCSeq: 1 REGISTER\n\
         Contact: <sip:alice@10.45.0.2:5060>;expires=600\nRequire: path\nSupported: path\n\
         P-Charging-Vector: icid-value=i1;orig-ioi=visited\n{more}Content-Length: 0\n\n"
    )
}

fn bearer(address: [u8; 4]) -> CxAnswer {
    let item = AuthDataItem {
        scheme: Some(AuthScheme::EarlyIms),
        framed_ip_address: Some(address.to_vec()),
        ..AuthDataItem::default()
    };
    CxAnswer::Maa(Maa { result: CxResult::SUCCESS, auth_data_items: vec![item], ..Maa::default() })
}

fn mar(did: &[Did]) -> (cscf::QueryId, &Mar) {
    match cx(did) {
        (id, CxRequest::Mar(mar)) => (id, mar),
        (_, other) => panic!("{other:?}"),
    }
}

fn is_registered(bench: &Bench) -> bool {
    let alice = Impu::parse(format!("sip:alice@{HOME}").as_bytes()).expect("an identity");
    bench.node.role().registrations().find(&alice).is_some()
}

#[test]
fn a_user_registers_by_the_address_of_the_bearer_and_is_not_challenged() {
    let mut bench = giba();
    // The phone wrote another address than the one that it has; the P-CSCF saw the right one.
    let did = bench.receive(PCSCF, &register_from("192.168.0.9:5060;received=10.45.0.2", ""));
    let (id, asked) = mar(&did);
    assert_eq!(
        asked.user_name,
        format!("alice@{HOME}"),
        "TS 24.229 §5.3.1.2: implied by the public identity"
    );
    assert_eq!(asked.auth_data_item.scheme, Some(AuthScheme::EarlyIms));
    let did = bench.cx(id, bearer([10, 45, 0, 2]));
    let (id, _) = sar(&did);
    let did = bench.cx(id, saa("alice"));
    let (id, records) = store(&did);
    let did = bench.stored(id, &records);
    assert!(sip(&did).starts_with("SIP/2.0 200 "), "{did:?}");
    assert!(is_registered(&bench));
}

#[test]
fn another_address_than_the_bearers_is_refused_with_its_reason() {
    for via in ["10.45.0.3:5060", "10.45.0.2:5060;received=10.45.0.3", "phone.example"] {
        let mut bench = giba();
        let did = bench.receive(PCSCF, &register_from(via, ""));
        let (id, _) = mar(&did);
        let did = bench.cx(id, bearer([10, 45, 0, 2]));
        let refusal = sip(&did);
        assert!(refusal.starts_with("SIP/2.0 403 "), "{via}: {refusal}");
        assert!(!is_registered(&bench));
    }
}

#[test]
fn a_user_who_has_no_bearer_at_the_hss_is_refused() {
    let mut bench = giba();
    let did = bench.receive(PCSCF, &register_from("10.45.0.2:5060", ""));
    let (id, _) = mar(&did);
    let unknown = Maa { result: CxResult::AUTH_SCHEME_NOT_SUPPORTED, ..Maa::default() };
    let did = bench.cx(id, CxAnswer::Maa(unknown));
    assert!(sip(&did).starts_with("SIP/2.0 403 "), "{did:?}");
    // An answer without an address lets nobody in either.
    let did = bench.receive(
        PCSCF,
        &register_from("10.45.0.2:5060", "").replace("giba", "again").replace("bKtop", "bKagain"),
    );
    let (id, _) = mar(&did);
    let empty = Maa { result: CxResult::SUCCESS, ..Maa::default() };
    let did = bench.cx(id, CxAnswer::Maa(empty));
    assert!(sip(&did).starts_with("SIP/2.0 403 "), "{did:?}");
    assert!(!is_registered(&bench));
}

/// TS 33.203 §P.4: what is not for GIBA is challenged as ever.
#[test]
fn whoever_has_credentials_or_comes_by_another_access_is_challenged() {
    let wlan = "P-Access-Network-Info: IEEE-802.11;network-provided\n";
    let credentials = format!("Authorization: Digest username=\"alice@{HOME}\",response=\"\"\n");
    for more in [wlan, &credentials] {
        let mut bench = giba();
        let did = bench.receive(PCSCF, &register_from("10.45.0.2:5060", more));
        assert_eq!(mar(&did).1.auth_data_item.scheme, Some(AuthScheme::DigestAkaV1Md5), "{more}");
    }
    let mut bench = Bench::new();
    let did = bench.receive(PCSCF, &register_from("10.45.0.2:5060", ""));
    assert_eq!(mar(&did).1.auth_data_item.scheme, Some(AuthScheme::DigestAkaV1Md5), "nobody allows GIBA");
}
