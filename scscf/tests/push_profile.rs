//! A profile that the HSS pushes under many registrations changes what it names, and nothing else (TS 29.228 §6.2, §6.5.2.1).

mod bench;

use bench::*;
use cscf::identity::Impu;
use diameter_client::cx::{ChargingInformation, CxAnswer, CxRequest, CxResult, Ppr};
use scscf::registrar::registrations::Registration;

const USERS: usize = 1000;

fn user(number: usize) -> String {
    format!("u{number}")
}

fn registration(bench: &Bench, number: usize) -> &Registration {
    let impu = Impu::parse(format!("sip:{}@{HOME}", user(number)).as_bytes()).expect("an identity");
    bench.node.role().registrations().find(&impu).expect("registered").1
}

/// All that is known of a user, as text.
fn known(bench: &Bench, number: usize) -> String {
    let Registration { set, state, bindings, charging, home, .. } = registration(bench, number);
    format!("{:?} {state:?} {bindings:?} {charging:?} {home:?}", (set.identities(), set.services()))
}

/// A call of one user to another, answered: its session stands in the S-CSCF.
fn call(bench: &mut Bench, number: usize) {
    let callee = user(number + 1);
    let invite = format!(
        "INVITE sip:{callee}@{HOME} SIP/2.0\nVia: SIP/2.0/UDP {ICSCF};branch=z9hG4bKcall{number}\n\
         Route: <sip:scscf.{HOME}:6060;lr>\nMax-Forwards: 68\nFrom: <sip:far@far.example>;tag=a\nTo: <sip:{callee}@{HOME}>\n\
         Call-ID: call{number}\nCSeq: 1 INVITE\nContact: <sip:far@192.0.2.9>\nContent-Length: 0\n\n"
    );
    let did = bench.receive(ICSCF, &invite);
    let sent = sip(&did).to_owned();
    let mut ok = "SIP/2.0 200 OK\n".to_owned();
    for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
        headers(&sent, name).iter().for_each(|value| ok.push_str(&format!("{name}: {value}\n")));
    }
    ok.push_str(&format!(
        "To: {};tag=b\nContact: <sip:{callee}@10.0.0.1:5060>\nContent-Length: 0\n\n",
        header(&sent, "To")
    ));
    let did = bench.receive(PCSCF, &ok);
    assert!(sip(&did).starts_with("SIP/2.0 200 "), "{did:?}");
}

fn criteria(server: &str) -> String {
    format!(
        "<InitialFilterCriteria><Priority>0</Priority><ApplicationServer><ServerName>{server}</ServerName>\
         </ApplicationServer></InitialFilterCriteria>"
    )
}

fn pushed(number: usize, identities: &[&str], rest: &str) -> Ppr {
    let impi = format!("{}@{HOME}", user(number));
    let identities: String = identities
        .iter()
        .map(|identity| format!("<PublicIdentity><Identity>{identity}</Identity></PublicIdentity>"))
        .collect();
    let xml = format!(
        "<IMSSubscription><PrivateID>{impi}</PrivateID><ServiceProfile>{identities}{rest}</ServiceProfile></IMSSubscription>"
    );
    Ppr { user_name: impi, user_data: Some(xml.into_bytes()), ..Default::default() }
}

/// Pushes, and lets the store take what follows; the result of the PPA.
fn push(bench: &mut Bench, ppr: Ppr) -> CxResult {
    let mut did = bench.hss_asks(CxRequest::Ppr(ppr));
    if did.iter().any(|one| matches!(one, Did::Store(..))) {
        let (id, records) = store(&did);
        did = bench.stored(id, &records);
    }
    assert!(sips(&did).is_empty(), "nobody hears of it by SIP: {did:?}");
    match &did[..] {
        [Did::Peer(CxAnswer::Ppa(ppa))] => ppa.result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pushed_profile_changes_what_it_names_under_a_thousand_registrations_and_calls() {
    let mut bench = Bench::new();
    for number in 0..=USERS {
        let name = user(number);
        let (id, _) = bench
            .authenticate(&register(&name).contact(&format!("<sip:{name}@10.0.0.1:5060>;expires=600000")));
        // No two users have a number in common.
        let CxAnswer::Saa(mut saa) = saa(&name) else { panic!("an SAA") };
        let xml = String::from_utf8(saa.user_data.take().expect("a profile")).expect("text");
        saa.user_data = Some(xml.replace("4930100002", &format!("4940{number:06}")).into_bytes());
        let did = bench.cx(id, CxAnswer::Saa(saa));
        let (id, records) = store(&did);
        bench.stored(id, &records);
    }
    (0..USERS).for_each(|number| call(&mut bench, number));
    assert_eq!(
        (bench.node.role().registrations().len(), bench.node.role().sessions().len()),
        (USERS + 1, USERS)
    );
    let before: Vec<String> = (0..=USERS).map(|number| known(&bench, number)).collect();
    let bindings = |bench: &Bench| registration(bench, 500).bindings.clone();
    let contacts = bindings(&bench);

    // A new service and another number for one user, and other charging functions for a second one.
    let own = format!("sip:{}@{HOME}", user(500));
    let server = format!("sip:as1.{HOME}");
    let ppr = pushed(500, &[&own, "tel:+4950"], &criteria(&server));
    assert_eq!(push(&mut bench, ppr), CxResult::SUCCESS);
    let charging =
        ChargingInformation { primary_ccf: Some("aaa://ccf.home1.net".into()), ..Default::default() };
    let ppr = Ppr {
        user_name: format!("{}@{HOME}", user(501)),
        charging_information: Some(charging),
        ..Default::default()
    };
    assert_eq!(push(&mut bench, ppr), CxResult::SUCCESS);
    let changed: Vec<usize> =
        (0..=USERS).filter(|number| known(&bench, *number) != before[*number]).collect();
    assert_eq!(changed, [500, 501]);
    let pushed_to = registration(&bench, 500);
    assert_eq!(pushed_to.set.services()[0].server_names().collect::<Vec<_>>(), [server.as_str()]);
    assert!(
        pushed_to.set.identity("tel:+4950").is_some() && pushed_to.set.identity("tel:+4940000500").is_none()
    );
    assert_eq!(bindings(&bench), contacts, "whoever is registered stays so");
    assert!(registration(&bench, 501).charging.is_some());
    assert_eq!(bench.node.role().sessions().len(), USERS, "every call runs on");
    assert_eq!(bench.node.role().registrations().services().len(), 2);

    // One that cannot be used leaves the old one; one for nobody is told so.
    let standing = known(&bench, 500);
    for (ppr, result) in [
        (
            Ppr { user_data: Some(b"<no".to_vec()), ..pushed(500, &[&own], "") },
            CxResult::NOT_SUPPORTED_USER_DATA,
        ),
        (pushed(500, &["mailto:a"], ""), CxResult::NOT_SUPPORTED_USER_DATA),
        (Ppr { user_data: Some(vec![b' '; 300_000]), ..pushed(500, &[&own], "") }, CxResult::TOO_MUCH_DATA),
        // Another default identity is for an RTR.
        (pushed(500, &["tel:+4950", &own], ""), CxResult::UNABLE_TO_COMPLY),
        (pushed(500, &["sip:nobody@h"], ""), CxResult::USER_UNKNOWN),
        (Ppr { user_name: "nobody@h".into(), ..Default::default() }, CxResult::USER_UNKNOWN),
    ] {
        let text = format!("{ppr:?}");
        assert_eq!(push(&mut bench, ppr), result, "{}", &text[..text.len().min(300)]);
        assert_eq!(known(&bench, 500), standing);
    }
    let changed: Vec<usize> =
        (0..=USERS).filter(|number| known(&bench, *number) != before[*number]).collect();
    assert_eq!(changed, [500, 501]);
}
