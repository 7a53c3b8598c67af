//! REGISTER (TS 24.229 §5.2.2).

use crate::bench::*;
use cscf::query::StoreFailure;
use std::time::Duration;

/// TS 24.229 §5.2.2.1: what the registrar is told, whatever the UE said.
#[test]
fn a_register_goes_to_the_core_with_what_the_network_knows() {
    let mut bench = Bench::new();
    let sent = bench.ue_sends(
        ALICE,
        &register(
            "r1",
            &format!(
                "{CONTACT}\nRoute: <sip:{PCSCF};lr>, <sip:elsewhere.net;lr>\nRequire: sec-agree\nProxy-Require: sec-agree\n\
                 Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1;spi-s=2;port-c=3;port-s=4\n\
                 P-Charging-Vector: icid-value=forged\nP-Visited-Network-ID: \"forged\"\nPath: <sip:forged@x;lr>\n\
                 P-Access-Network-Info: 3GPP-E-UTRAN-FDD;network-provided\nP-Asserted-Identity: <sip:bob@{HOME}>\n\
                 Authorization: Digest username=\"u@{HOME}\",integrity-protected=\"yes\",nonce=\"\",response=\"\""
            ),
        ),
    );
    let [(to, text)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(to, "udp:127.0.0.11:4060");
    assert!(
        !text.contains("forged") && !text.contains("bob") && !text.contains("network-provided"),
        "{text}"
    );
    for absent in ["Route", "Proxy-Require", "Security-Client"] {
        assert_eq!(values(text, absent), [""; 0], "{absent} in {text}");
    }
    assert_eq!(values(text, "Require"), ["path"]);
    let path = value(text, "Path");
    assert!(path.starts_with("<sip:") && path.ends_with(&format!("@{PCSCF};lr>")), "{path}");
    assert_eq!(value(text, "P-Visited-Network-ID"), format!("\"{HOME}\""));
    let charging = value(text, "P-Charging-Vector");
    assert!(
        charging.starts_with("icid-value=") && charging.ends_with(&format!(";orig-ioi={HOME}")),
        "{charging}"
    );
    let authorization = value(text, "Authorization");
    assert_eq!(authorization.matches("integrity-protected").count(), 1);
    assert!(authorization.ends_with(",integrity-protected=\"no\""), "{authorization}");
}

/// A second Authorization could carry the claim past an eye that looks at the first only.
#[test]
fn each_authorization_loses_its_claim_and_an_unreadable_one_is_refused() {
    let claim = "Authorization: Digest username=\"u\",integrity-protected=\"yes\"";
    let mut bench = Bench::new();
    let sent = bench.ue_sends(ALICE, &register("r1", &format!("{CONTACT}\n{claim}\n{claim}")));
    assert!(!sent[0].1.contains("\"yes\""), "{sent:?}");
    let broken = "Authorization: Digest username=\"u\" integrity-protected=\"yes\"";
    let sent = bench.ue_sends(ALICE, &register("r2", &format!("{CONTACT}\n{broken}")));
    assert!(sent[0].1.starts_with("SIP/2.0 400 "), "{sent:?}");
}

/// TS 24.229 §5.2.2.2: the keys of the challenge are the P-CSCF's alone.
#[test]
fn a_challenge_reaches_the_ue_without_its_keys() {
    let mut bench = Bench::new();
    let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
    let challenge = "WWW-Authenticate: Digest realm=\"h\",nonce=\"bm9uY2U=\",algorithm=AKAv1-MD5,ik=\"00\",ck=\"11\"\n\
                     P-Charging-Vector: icid-value=x";
    let back = bench.core_sends(&response(&sent[0].1, "401 Unauthorized", challenge));
    let [(to, text)] = &back[..] else { panic!("{back:?}") };
    assert_eq!(to, "flow");
    assert_eq!(value(text, "WWW-Authenticate"), "Digest realm=\"h\",nonce=\"bm9uY2U=\",algorithm=AKAv1-MD5");
    assert_eq!(values(text, "P-Charging-Vector"), [""; 0]);
    assert!(!bench.is_registered());
    assert!(bench.settles());
}

/// The design's durability: the 200 waits for the store.
#[test]
fn the_200_leaves_when_the_binding_is_stored() {
    let mut bench = Bench::new();
    bench.store_is_quick = false;
    let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
    assert_eq!(bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600"))), []);
    assert!(!bench.is_registered());
    let back = bench.store_answers(Ok(()));
    let [(_, text)] = &back[..] else { panic!("{back:?}") };
    assert!(text.starts_with("SIP/2.0 200 OK\r\n"), "{text}");
    assert_eq!(values(text, "P-Charging-Vector"), [""; 0]);
    assert_eq!(values(text, "P-Charging-Function-Addresses"), [""; 0]);
    assert_eq!(value(text, "P-Associated-URI"), format!("<sip:alice@{HOME}>, <tel:+49301>"));
    assert_eq!(value(text, "Path"), value(&sent[0].1, "Path"), "the UE sees the Path of its own REGISTER");
    assert!(bench.is_registered() && bench.store.len() == 1);
}

#[test]
fn a_store_that_fails_is_told_and_nothing_is_bound() {
    for failure in [StoreFailure::Late, StoreFailure::Failed("disk full".to_owned())] {
        let mut bench = Bench::new();
        bench.store_is_quick = false;
        let sent = bench.ue_sends(ALICE, &register("r1", CONTACT));
        bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600")));
        let back = bench.store_answers(Err(failure));
        assert!(back[0].1.starts_with("SIP/2.0 500 "), "{back:?}");
        assert!(back[0].1.contains("registration could not be stored"), "{back:?}");
        assert!(!bench.is_registered());
        assert!(bench.settles());
    }
}

#[test]
fn a_refresh_keeps_the_path_and_prolongs_the_binding() {
    let mut bench = Bench::new();
    let path = bench.register();
    bench.advance(Duration::from_secs(500));
    let sent = bench.ue_sends(ALICE, &register("r2", CONTACT));
    assert_eq!(value(&sent[0].1, "Path"), path);
    bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600")));
    bench.advance(Duration::from_secs(500));
    assert!(bench.is_registered() && bench.store.len() == 1);
    bench.advance(Duration::from_secs(101));
    assert!(!bench.is_registered() && bench.store.is_empty(), "the store forgets what has ended");
}

#[test]
fn a_deregistration_ends_the_binding() {
    for (contact, listed) in [
        (format!("{CONTACT};expires=0"), ""),
        (format!("{CONTACT}\nExpires: 0"), "Contact: <sip:another@10.9.9.9>;expires=60"),
        ("Contact: *\nExpires: 0".to_owned(), ""),
    ] {
        let mut bench = Bench::new();
        bench.register();
        let sent = bench.ue_sends(ALICE, &register("r2", &contact));
        let listed = if listed.is_empty() { "X-None: 1" } else { listed };
        let back = bench.core_sends(&granted(&sent[0].1, listed));
        assert!(back[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{back:?}");
        assert!(!bench.is_registered() && bench.store.is_empty(), "{contact}");
        assert!(bench.settles());
    }
}

#[test]
fn one_of_two_contacts_ends_alone() {
    let mut bench = Bench::new();
    let second = "Contact: <sip:alice@10.0.0.1:5070>";
    let sent = bench.ue_sends(ALICE, &register("r1", &format!("{CONTACT}\n{second}")));
    bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600\n{second};expires=60")));
    let contacts =
        |bench: &Bench| bench.node.role().bindings().iter().map(|b| b.contacts().count()).sum::<usize>();
    assert_eq!(contacts(&bench), 2);
    bench.advance(Duration::from_secs(61));
    assert_eq!(contacts(&bench), 1);
    let sent = bench.ue_sends(ALICE, &register("r2", &format!("{CONTACT};expires=0")));
    bench.core_sends(&granted(&sent[0].1, "X-None: 1"));
    assert_eq!(contacts(&bench), 0);
}

/// A UE that comes back from another port has moved: its old binding does not linger.
#[test]
fn the_same_contact_from_another_port_replaces_the_binding() {
    let mut bench = Bench::new();
    bench.register();
    let sent = bench.ue_sends("10.0.0.1:6000", &register("r2", CONTACT));
    bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=600")));
    let remotes: Vec<String> =
        bench.node.role().bindings().iter().map(|b| b.hop().remote.to_string()).collect();
    assert_eq!(remotes, ["10.0.0.1:6000"]);
    assert_eq!(bench.store.len(), 1);
}

#[test]
fn a_restart_keeps_what_was_acknowledged() {
    let mut bench = Bench::new();
    bench.register();
    bench.advance(Duration::from_secs(300));
    let mut bench = bench.restarted();
    assert!(bench.is_registered());
    bench.advance(Duration::from_secs(301));
    assert!(!bench.is_registered(), "the expiry goes on");
}

#[test]
fn a_register_whose_to_names_nobody_is_refused() {
    let mut bench = Bench::new();
    let text = register("r1", CONTACT).replace(&format!("To: <sip:alice@{HOME}>"), "To: <urn:service:sos>");
    assert!(bench.ue_sends(ALICE, &text)[0].1.starts_with("SIP/2.0 400 "));
}

#[test]
fn registrations_are_bounded() {
    let mut bench = Bench::with("registrations_max = 1");
    bench.register();
    let other = register("r2", "Contact: <sip:bob@10.0.0.2:5060>").replace("sip:alice@", "sip:bob@");
    let sent = bench.ue_sends("10.0.0.2:5060", &other);
    assert!(sent[0].1.starts_with("SIP/2.0 503 ") && sent[0].1.contains("Retry-After: "), "{sent:?}");
    let sent = bench.ue_sends(ALICE, &register("r3", CONTACT));
    assert!(sent[0].1.starts_with("REGISTER "), "a refresh is let through: {sent:?}");
}

/// TS 24.229 §5.2.2.1: a core that stays silent is told to the UE.
#[test]
fn a_silent_core_is_a_504() {
    let mut bench = Bench::new();
    bench.ue_sends(ALICE, &register("r1", CONTACT));
    let sent = bench.advance(Duration::from_secs(33));
    let (_, last) = sent.last().expect("a response");
    assert!(last.starts_with("SIP/2.0 504 "), "{last}");
    assert!(bench.settles());
}

#[test]
fn a_fetch_of_bindings_changes_none() {
    let mut bench = Bench::new();
    bench.register();
    let before = bench.store.clone();
    let sent = bench.ue_sends(ALICE, &register("r2", "X-None: 1"));
    let back = bench.core_sends(&granted(&sent[0].1, &format!("{CONTACT};expires=500")));
    assert!(back[0].1.starts_with("SIP/2.0 200 OK\r\n"), "{back:?}");
    assert_eq!(bench.store, before);
}
