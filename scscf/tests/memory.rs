//! What a registered user costs in memory.

mod bench;

use bench::*;
use cscf::Answer;
use diameter_client::cx::{ChargingInformation, CxAnswer, CxRequest, CxResult, Saa};
use std::time::Duration;

/// Between two registrations: some hundred transactions are open at any time, whatever the number of users.
const STEP: Duration = Duration::from_millis(100);
/// After so long every transaction has ended.
const QUIET: Duration = Duration::from_secs(300);

/// Both public identities are aliases of each other.
const ALIAS: &str = "<Extension><IdentityType>0</IdentityType><Extension><AliasIdentityGroupID>1\
                     </AliasIdentityGroupID></Extension></Extension>";

/// Two public identities beside the barred one, and two filter criteria, as an HSS sends them.
fn user_data(user: &str, number: usize) -> Vec<u8> {
    let criteria = |priority: u32, server: &str, method: &str| {
        format!(
            "<InitialFilterCriteria><Priority>{priority}</Priority><TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF>\
             <SPT><ConditionNegated>0</ConditionNegated><Group>0</Group><Method>{method}</Method></SPT>\
             <SPT><ConditionNegated>0</ConditionNegated><Group>1</Group><SessionCase>0</SessionCase></SPT>\
             <SPT><ConditionNegated>1</ConditionNegated><Group>2</Group><SIPHeader><Header>P-Asserted-Service</Header>\
             <Content>urn:urn-7:3gpp-service.ims.icsi.mmtel</Content></SIPHeader></SPT></TriggerPoint>\
             <ApplicationServer><ServerName>sip:{server}.{HOME}:5065;lr</ServerName><DefaultHandling>0</DefaultHandling>\
             </ApplicationServer></InitialFilterCriteria>"
        )
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><IMSSubscription><PrivateID>{user}@{HOME}</PrivateID><ServiceProfile>\
         <PublicIdentity><BarringIndication>1</BarringIndication><Identity>sip:{user}@{HOME}</Identity></PublicIdentity>\
         <PublicIdentity><Identity>sip:+4930{number:08}@{HOME}</Identity>{ALIAS}</PublicIdentity>\
         <PublicIdentity><Identity>tel:+4930{number:08}</Identity>{ALIAS}</PublicIdentity>{}{}</ServiceProfile></IMSSubscription>",
        criteria(0, "mmtel", "INVITE"),
        criteria(1, "ipsmgw", "MESSAGE"),
    )
    .into_bytes()
}

/// Registers one user as a phone does: by AKA, with the contact of a real one.
fn register_user(bench: &mut Bench, number: usize) {
    let user = format!("00101{number:010}");
    let contact = format!(
        "<sip:{user}@10.{}.{}.{}:5060;transport=udp>;expires=600000;+sip.instance=\"<urn:gsma:imei:35{number:06}-000000-0>\";\
         +g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";+g.3gpp.smsip;q=1.0",
        number >> 16 & 255,
        number >> 8 & 255,
        number & 255,
    );
    let register = register(&user).contact(&contact);
    let mut answer = None;
    for cseq in 1..=2 {
        let text =
            Register { cseq, ..register.clone() }.text(answer.as_deref().map(|nonce| (nonce, &RES[..])));
        let mut did = bench.receive(PCSCF, &text);
        while let Some(query) = did.iter().position(|one| !matches!(one, Did::Sip(..))) {
            did = match did.swap_remove(query) {
                Did::Cx(id, CxRequest::Mar(_)) => bench.cx(id, maa()),
                Did::Cx(id, _) => {
                    let charging = ChargingInformation {
                        primary_ccf: Some("aaa://ccf.home1.net".into()),
                        ..Default::default()
                    };
                    let saa = Saa {
                        result: CxResult::SUCCESS,
                        user_data: Some(user_data(&user, number)),
                        charging_information: Some(charging),
                        ..Default::default()
                    };
                    bench.cx(id, CxAnswer::Saa(saa))
                }
                // The store of this test is the size of nothing.
                Did::Store(id, _) => bench.answer(id, Answer::Stored(Ok(()))),
                other => panic!("{other:?}"),
            };
        }
        answer = did.iter().find_map(|one| match one {
            Did::Sip(_, text) if text.starts_with("SIP/2.0 401 ") => Some(nonce(text)),
            _ => None,
        });
    }
    bench.advance(STEP);
    bench.notices.clear();
}

/// What `users` more users add to the heap, in octets, when all is quiet.
fn growth(bench: &mut Bench, users: std::ops::Range<usize>) -> i64 {
    let info = allocation_counter::measure(|| {
        users.for_each(|number| register_user(bench, number));
        bench.advance(QUIET);
    });
    info.bytes_current
}

/// The slope, so that what a node has once does not count.
#[test]
fn a_registered_user_costs_at_most_two_kilobytes() {
    let (few, many) = match std::env::var("CARILLON_USERS").ok().and_then(|users| users.parse().ok()) {
        Some(users) => (users / 10, users),
        None => (1_000, 10_000),
    };
    let mut bench = Bench::new();
    growth(&mut bench, 0..few);
    let slope = growth(&mut bench, few..many) / (many - few) as i64;
    println!("{slope} octets for each of {many} users");
    let registrations = bench.node.role().registrations();
    assert_eq!(registrations.len(), many);
    assert_eq!(registrations.services().len(), 1, "all of them subscribe to the same");
    assert!(bench.node.role().authentications().is_empty(), "nothing of AKA is left when it is done");
    assert!(slope > 300, "{slope} octets cannot hold what is known of a user: the count is wrong");
    assert!(slope <= 2048, "{slope} octets");
}
